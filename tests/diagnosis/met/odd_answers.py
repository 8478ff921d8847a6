"""Cameras whose answers are odd and whose picture comes; and their twins, whose does not."""

from __future__ import annotations

import struct

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.begun_before import PLAYED
from tests.diagnosis.met.reported import SDP
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, ETH0, Wire
from tests.made_up import APPLIANCE, CAMERA

ONE = 0x5EED0001
AGAIN = {0x7: {"lost": 0}}


def played(reader: Reader, answer: str | None = None, sdp: str = SDP) -> Truth:
    """DESCRIBE, SETUP with that Transport in its answer, PLAY, and 20 s of pictures."""
    if reader.flow.sent == 1000:
        reader.flow.open(0.2, 0.002)
    reader.describe(0.3, sdp)
    reader.set_up(0.35, f"{reader.url}/track1", answer=answer)
    reader.play(0.4)
    reader.film(0.6, 20)
    return Truth(streams=PLAYED)


def play_again(wire: Wire, at: float) -> None:
    Reader(wire, 40_009).start(at, SDP, ports=6010).film(at + 0.4, at + 15, Film(ssrc=7), port=6010)


@scene
def keep_alive_is_refused_under_the_number_before(wire: Wire) -> Truth:
    """SET_PARAMETER is offered and refused with 400, CSeq one too low; reports keep the session."""
    reader, film = Reader(wire), Film()
    reader.timeout = 15
    reader.start(0.2, SDP, channel=0)
    for k in range(6):
        reader.film(0.6 + 7 * k, 7.6 + 7 * k, film, channel=0)
        reader.ask(7.59 + 7 * k, "SET_PARAMETER", Session=reader.session)
        reader.cseq -= 1
        reader.tell(7.593 + 7 * k, "400 Bad Request")
        reader.cseq += 1
    return Truth(streams=PLAYED)


@scene
def options_are_answered_as_number_zero(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.ask(0.25, "OPTIONS")
    reader.cseq = 0
    reader.tell(0.255, Public="OPTIONS, DESCRIBE, SETUP, PLAY")
    reader.cseq = 1
    return played(reader)


@scene
def content_base_has_no_scheme(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.ask(0.22, "DESCRIBE", Accept="application/sdp")
    reader.tell(0.23, body=SDP, Content_Base=f"{CAMERA}:554/stream1/")
    return played(reader)


@scene
def session_is_named_by_addresses_and_the_ssrc_in_decimal(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.session, reader.timeout = "121.254.102.120+7789+937239728", None
    return played(reader, "RTP/AVP/UDP;unicast;client_port=6000-6001;server_port=5000-5001;"
                          "ssrc=4294967295123")  # fmt: skip


@scene
def server_names_a_destination_as_if_by_multicast(wire: Wire) -> Truth:
    return played(Reader(wire), f"RTP/AVP/UDP;destination={APPLIANCE};port=6000-6001;ttl=1")


@scene
def client_port_is_a_single_number(wire: Wire) -> Truth:
    return played(Reader(wire), "RTP/AVP;unicast;client_port=6000;server_port=5000")


@scene
def description_has_a_negative_port_and_garbage_for_an_address(wire: Wire) -> Truth:
    sdp = SDP.replace("video 0", "video -1353744643").replace("a=rtpmap", "c=IN '&\r\na=rtpmap", 1)
    return played(Reader(wire), sdp=sdp)


@scene
def description_is_its_media_lines_alone(wire: Wire) -> Truth:
    return played(Reader(wire), sdp=media_line())


@scene
def media_type_has_a_slash(wire: Wire) -> Truth:
    """`m=application/TP-LINK 0 RTP/AVP smart/1/90000`, of which nothing ever comes."""
    smart = "m=application/TP-LINK 0 RTP/AVP smart/1/90000\r\na=rtpmap:95 TP-LINK/90000\r\n"
    sdp = description(media_line(), smart + "a=control:track3\r\n")
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.3, sdp)
    reader.set_up(0.35, f"{reader.url}/track1", channel=0)
    reader.set_up(0.36, f"{reader.url}/track3", channel=2)
    reader.play(0.45)
    reader.film(0.6, 20, channel=0)
    return Truth(streams=PLAYED)


@scene
def setup_is_asked_twice_with_other_ports(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.3, SDP)
    for k, ports in enumerate((6000, 6100)):
        reader.set_up(0.35 + 0.02 * k, f"{reader.url}/track1", ports)
    reader.play(0.45)
    reader.film(0.6, 20, port=6100)
    return Truth(streams=PLAYED)


@scene
def session_is_unknown_once_and_set_up_anew(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.22, SDP)
    reader.set_up(0.24, f"{reader.url}/track1")
    reader.play(0.26, status="454 Session Not Found")
    reader.session = "99"
    return played(reader)


@scene
def empty_frames_and_a_new_description_between_pictures(wire: Wire) -> Truth:
    reader, film = Reader(wire).start(0.2, SDP, channel=0), Film()
    announced = (
        f"ANNOUNCE {reader.url} RTSP/1.0\r\nCSeq: 1\r\nSession: {reader.session}\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"
    )
    for k in range(20):
        reader.film(0.6 + k, 1.6 + k, film, channel=0)
        reader.flow.answer(1.59 + k, b"$\0\0\0$\1\0\0")
    reader.flow.answer(20.61, announced.encode())
    reader.flow.send(20.62, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n")
    reader.film(20.64, 30, film, channel=0)
    return Truth(streams=PLAYED)


@scene
def reader_keeps_the_connection_by_blank_lines(wire: Wire) -> Truth:
    reader, film = Reader(wire), Film()
    reader.timeout = 10
    reader.start(0.2, SDP, channel=0)
    for k in range(8):
        reader.film(0.6 + 5 * k, 5.6 + 5 * k, film, channel=0)
        reader.flow.send(5.59 + 5 * k, b"\r\n\r\n")
    return Truth(streams=PLAYED)


@scene
def camera_closes_the_connection_and_sends_on(wire: Wire) -> Truth:
    """RFC 2326 1.1: media over UDP do not need the connection."""
    reader = Reader(wire).start(0.2, SDP)
    reader.flow.close(0.9, by_server=True)
    reader.film(0.6, 90)
    return Truth(streams=PLAYED)


@scene
def camera_closes_the_connection_and_stops(wire: Wire) -> Truth:
    """Its twin: pictures stop with the connection, and the reader comes again."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 20.5)
    reader.flow.close(20.3, by_server=True)
    play_again(wire, 30)
    return Truth(("rtsp-closed",), allowed=("stream-frozen",), streams=AGAIN)


@scene
def camera_closes_the_connection_and_stops_a_little_later(wire: Wire) -> Truth:
    """Another twin: pictures go on for some seconds without the connection, and never again."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 26)
    reader.flow.close(20.3, by_server=True)
    wire.quiet(26, 80, interface=0)
    return Truth(("rtsp-closed",), allowed=("stream-frozen",), state="silent")


@scene
def packets_come_for_five_seconds_after_the_end(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 10)
    reader.in_session(10.0, "TEARDOWN", "454 Session Not Found")
    reader.flow.close(10.1)
    reader.film(10.02, 15, film)
    play_again(wire, 16)
    return Truth(streams=AGAIN)


@scene
def says_goodbye_and_goes_on(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 10)
    report = struct.pack("!BBHIIIIII", 0x80, 200, 6, ONE, 0, 0, 0, 1, 1)
    wire.udp(10.01, (CAMERA_MAC, CAMERA, 5001), (ETH0, APPLIANCE, 6001),
             report + struct.pack("!BBHI", 0x81, 203, 1, ONE))  # fmt: skip
    reader.film(10.04, 30, film)
    return Truth(streams=PLAYED)


@scene
def says_goodbye_inside_tcp_and_is_silent(wire: Wire) -> Truth:
    """Its twin: the connection stays open, and nothing comes any more."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    reader.film(0.6, 10, channel=0)
    body = struct.pack("!BBHIIIIIIBBHI", 0x80, 200, 6, ONE, 0, 0, 0, 1, 1, 0x81, 203, 1, ONE)
    reader.flow.answer(10.01, struct.pack("!cBH", b"$", 1, len(body)) + body)
    for k in range(6):
        reader.flow.ack(10.02 + 4 * k)
    return Truth(("stream-frozen",), state="silent")


@scene
def reports_of_many_kinds(wire: Wire) -> Truth:
    """Descriptions alone, an application's, one whose length is wrong, a short NACK, four bytes."""
    Reader(wire).start(0.2, SDP).film(0.6, 20)
    bodies = (
        struct.pack("!BBHI", 0x81, 202, 2, ONE) + b"\1\2ab",
        struct.pack("!BBHI4s", 0x80, 204, 2, ONE, b"Test"),
        struct.pack("!BBHI", 0x80, 200, 60, ONE) + bytes(20),
        struct.pack("!BBHIII", 0x81, 205, 3, 9, ONE, 0x00050000),
        b"\x80\xc8\0\0",
    )
    for k in range(30):
        wire.udp(1 + 0.6 * k, (CAMERA_MAC, CAMERA, 5001), (ETH0, APPLIANCE, 6001), bodies[k % 5])
    return Truth(streams=PLAYED)


@scene
def reader_knocks_at_both_ports_first(wire: Wire) -> Truth:
    """As LIVE555, SharpRTSP and ExoPlayer do, to open a way through a NAT."""
    reader = Reader(wire).start(0.2, SDP)
    for port in (0, 1):
        for body in (b"\xce\xfa\xed\xfe", b"", struct.pack("!BBHII", 0x80, 127, 0, 0, 0x77)):
            wire.udp(0.5, (ETH0, APPLIANCE, 6000 + port), (CAMERA_MAC, CAMERA, 5000 + port), body)
    reader.film(0.6, 20)
    return Truth(streams=PLAYED)


@scene
def a_picture_each_ten_seconds_as_declared(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, description(media_line(extra="a=framerate:0.1")))
    reader.film(0.6, 120, Film(fps=0.1, gop=1, key_parts=6))
    for k in range(4):
        reader.in_session(25 * k + 20, "OPTIONS")
    return Truth(streams={ONE: {"lost": 0}})


@scene
def stamps_jump_two_hours_when_the_clock_is_set(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 15)
    film.stamp += 90_000 * 7_200
    reader.film(15, 40, film)
    return Truth(streams={ONE: {"lost": 0}})


@scene
def one_channel_for_picture_and_sound(wire: Wire) -> Truth:
    """Both SETUPs are answered with channels 0 and 1; two types and SSRCs share them."""
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.3, description(media_line(), media_line("PCMA", control="track2")))
    reader.set_up(0.35, f"{reader.url}/track1", channel=0)
    reader.set_up(0.4, f"{reader.url}/track2", channel=2, answered_channel=0)
    reader.play(0.45)
    film, sound = Film(), Film("PCMA", parts=1, key_parts=1, size=320, ssrc=5)
    for k in range(25 * 19):
        for packet in (*film.picture(), *sound.picture()):
            reader.packet(0.6 + k / 25, packet, channel=0)
        reader.flow.ack(0.62 + k / 25)
    return Truth(streams=PLAYED)


@scene
def only_vp9(wire: Wire) -> Truth:
    line = "m=video 0 RTP/AVP 98\r\na=rtpmap:98 VP9/90000\r\na=control:track1\r\n"
    Reader(wire).start(0.2, description(line)).film(0.6, 20, Film("AV1", 98))
    return Truth(("stream-codec",), says={"stream-codec": "only VP9"})


@scene
def only_a_transport_stream(wire: Wire) -> Truth:
    """MPEG-TS over RTP, type 33 without rtpmap: H.264 may be inside, the reader sees none."""
    reader = Reader(wire).start(0.2, description("m=video 0 RTP/AVP 33\r\na=control:track1\r\n"))
    for k in range(800):
        body = b"".join(b"\x47\1\0" + bytes([16 | k * 7 + n & 15]) + bytes(184) for n in range(7))
        head = struct.pack("!BBHII", 0x80, 33, k, k * 2250, 9)
        reader.packet(0.6 + k / 40, head + body)
    reader.reports(1, 20, Film(ssrc=9))
    return Truth(("stream-codec",), says={"stream-codec": "MP2T"}, streams={9: {"lost": 0}})
