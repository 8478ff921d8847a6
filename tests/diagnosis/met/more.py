"""Further scenes: several pictures in one description, what comes from elsewhere, what stands
still, captures that begin in the middle, and pictures that never come."""

from __future__ import annotations

import struct

from tests.diagnosis.camera_maker import SPROP, Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, ETH0, Wire, ethernet, ipv4, udp_segment
from tests.made_up import APPLIANCE, CAMERA

SDP = description(media_line())
PLAYED = {0x5EED0001: {"lost": 0, "fps": 25.0}}
RECORDER = {
    "client": "10.20.0.77", "client_mac": "02:00:00:00:07:77", "agent": "go2rtc",
}  # fmt: skip


def four_in_one(wire: Wire, ends: dict[int, float]) -> None:
    """Four sensors in one SDP and one session."""
    sdp = description(*(media_line(control=f"sensor{n}") for n in range(1, 5)))
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, sdp)
    for number in range(4):
        reader.set_up(0.3 + number * 0.05, f"{reader.url}/sensor{number + 1}", 6000 + 2 * number)
    reader.play(0.6)
    for number in range(4):
        film = Film(ssrc=0x700 + number, fps=10, gop=20)
        reader.film(0.9, ends.get(number, 25), film, port=6000 + 2 * number,
                    sport=5000 + 2 * number)  # fmt: skip


@scene
def four_sensors_in_one_session(wire: Wire) -> Truth:
    four_in_one(wire, {})
    return Truth(streams={0x700 + n: {"lost": 0, "fps": 10.0} for n in range(4)})


@scene
def one_of_four_sensors_in_one_session_freezes(wire: Wire) -> Truth:
    four_in_one(wire, {2: 12.0})
    return Truth(("stream-frozen",), state="silent", says={"stream-frozen": "sensor3"})


@scene
def repairs_beside_the_picture(wire: Wire) -> Truth:
    """Retransmissions (RFC 4588) as type 97 under an SSRC of their own, while they are needed."""
    extra = "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96"
    line = media_line(extra=extra).replace("RTP/AVP 96", "RTP/AVP 96 97")
    reader = Reader(wire).start(0.2, description(line))
    reader.film(0.6, 25)
    repairs = Film("AV1", 97, fps=50, parts=1, key_parts=1, ssrc=0xFEC)
    reader.film(3.0, 4.0, repairs, silent=True)
    return Truth(streams=PLAYED)


@scene
def media_come_from_another_address(wire: Wire) -> Truth:
    """A proxy's RTSP, and the media straight from the camera behind it."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, SDP)
    reader.set_up(0.4, reader.url + "/track1", answer="RTP/AVP;unicast;client_port=6000-6001;"
                  "source=10.20.0.44;server_port=5000-5001")  # fmt: skip
    reader.play(0.5)
    film = Film()
    at = 0.6
    while at < 14:
        for packet in film.picture():
            wire.udp(at, ("02:00:00:00:01:44", "10.20.0.44", 5000), (ETH0, APPLIANCE, 6000), packet)
        at += 0.04
    reader.reports(2, 14, film)
    return Truth(streams={0x5EED0001: {"lost": 0}})


@scene
def media_begin_before_play_is_answered(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, SDP)
    reader.set_up(0.4, reader.url + "/track1")
    reader.play(0.5, after=0.8)
    reader.film(0.6, 14)
    return Truth(streams=PLAYED)


@scene
def description_without_video(wire: Wire) -> Truth:
    """The video encoder is off: only sound is offered, and the reader leaves each time."""
    for number in range(3):
        reader = Reader(wire, 40_000 + number)
        at = 0.2 + 6 * number
        reader.flow.open(at)
        reader.describe(at + 0.1, description(media_line("PCMU")))
        reader.flow.close(at + 0.2)
    return Truth(("stream-codec",), state="silent", says={"stream-codec": "no video"})


@scene
def description_of_h265_and_the_reader_leaves(wire: Wire) -> Truth:
    for number in range(3):
        reader = Reader(wire, 40_000 + number)
        at = 0.2 + 6 * number
        reader.flow.open(at)
        reader.describe(at + 0.1, description(media_line("H265")))
        reader.flow.close(at + 0.2)
    return Truth(("stream-codec",), state="silent")


@scene
def nothing_comes_over_tcp_after_play(wire: Wire) -> Truth:
    """PLAY is answered, and the connection stays empty."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    reader.in_session(9, "GET_PARAMETER")
    reader.in_session(18, "GET_PARAMETER")
    return Truth(("stream-frozen",), state="silent", says={"stream-frozen": "PLAY"})


@scene
def only_sound_comes_after_play(wire: Wire) -> Truth:
    """Video and sound are set up, only sound comes: the sensor is gone."""
    sdp = description(media_line(), media_line("PCMU", control="track2"))
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, sdp)
    reader.set_up(0.3, reader.url + "/track1", channel=0)
    reader.set_up(0.35, reader.url + "/track2", channel=2)
    reader.play(0.5)
    sound = Film("PCMU", fps=50, parts=1, key_parts=1, size=160, ssrc=0xA0D10)
    reader.film(0.8, 20, sound, channel=2)
    return Truth(("stream-frozen",), state="silent", says={"stream-frozen": "video|picture"})


@scene
def nobody_listens_on_the_port_that_was_asked_for(wire: Wire) -> Truth:
    """The reader's host answers each packet with port unreachable: its program is gone."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 14, silent=True)
    for second in range(1, 14):
        lost = ipv4(CAMERA, APPLIANCE, 17, udp_segment(5000, 6000, bytes(100)))
        body = struct.pack("!BBHI", 3, 3, 0, 0) + lost[:28]
        wire.add(second, ethernet(ETH0, CAMERA_MAC, 0x800, ipv4(APPLIANCE, CAMERA, 1, body)))
    return Truth(("media-wrong-port",), state="silent", says={"media-wrong-port": "6000"})


@scene
def packets_in_fragments(wire: Wire) -> Truth:
    """RTP packets of 2400 bytes, each in two fragments."""
    reader = Reader(wire).start(0.2, SDP)
    film, at, number = Film(size=2400), 0.6, 0
    while at < 14:
        for packet in film.picture():
            number += 1
            whole = udp_segment(5000, 6000, packet)
            first, second = whole[:1480], whole[1480:]
            for piece, offset in ((first, 0x2000), (second, 185)):
                raw = bytearray(ipv4(CAMERA, APPLIANCE, 17, piece))
                raw[4:8] = struct.pack("!HH", number & 0xFFFF, offset)
                wire.add(at + 0.0001 * (offset == 185),
                         ethernet(CAMERA_MAC, ETH0, 0x800, bytes(raw)))  # fmt: skip
        at += 0.04
    reader.reports(2, 14, film)
    return Truth(streams={0x5EED0001: {"lost": 0}})


@scene
def key_frames_each_twenty_seconds(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 75, Film(fps=10, gop=200))
    return Truth(("stream-gop",))


@scene
def nothing_moves_at_night(wire: Wire) -> Truth:
    """Pictures without change are tiny; key frames come as always."""

    def small(film: Film) -> Film:
        body = film._body
        film._body = (
            lambda key, part, count: (  # type: ignore[method-assign]
                body(key, part, count) if key else body(key, part, count)[:40]
            )
        )
        return film

    Reader(wire).start(0.2, SDP).film(0.6, 50, small(Film(parts=1, gop=50)))
    return Truth(streams=PLAYED)


@scene
def stamps_stand_still_while_packets_come(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 20.6)
    film.step = 0
    film.gop = 10_000
    reader.film(20.6, 45, film)
    return Truth(("stream-frozen-picture",), state="silent")


@scene
def thirty_declared_and_fifteen_come(wire: Wire) -> Truth:
    sdp = description(media_line(extra="a=framerate:30"))
    Reader(wire).start(0.2, sdp).film(0.6, 40, Film(fps=15, gop=30))
    return Truth(("stream-fps",), says={"stream-fps": "15.0 frames/s instead of 30"})


@scene
def capture_begins_amid_udp_media(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.film(0.1, 14, Film(sequence=40_000))
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 25.0}})


@scene
def capture_begins_amid_udp_media_and_they_stop(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.film(0.1, 14, Film(sequence=40_000))
    wire.quiet(14, 24)
    return Truth(("stream-frozen",), state="silent")


@scene
def capture_begins_amid_tcp_media(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.cseq = 40
    film = Film(sequence=40_000)
    for start in range(0, 45, 15):
        reader.film(0.1 + start, 15 + start, film, channel=0)
        reader.in_session(15.02 + start, "GET_PARAMETER")
    return Truth(streams={0x5EED0001: {"lost": 0}})


@scene
def paused_by_the_reader_for_half_a_minute(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 12)
    reader.in_session(12.01, "PAUSE")
    for at in (20, 30, 40):
        reader.in_session(at, "GET_PARAMETER")
    reader.play(42)
    film.stamp += 30 * 90_000
    reader.film(42.1, 55, film)
    return Truth()


@scene
def paused_until_the_end(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 12)
    reader.in_session(12.01, "PAUSE")
    for at in (20, 30, 40):
        reader.in_session(at, "GET_PARAMETER")
    return Truth(state="paused")


@scene
def rtsp_on_port_88(wire: Wire) -> Truth:
    Reader(wire, port=88, path="/videoMain").start(0.2, SDP).film(0.6, 14)
    return Truth(streams=PLAYED)


@scene
def the_same_ports_again_for_the_next_connection(wire: Wire) -> Truth:
    """A reader with fixed source and media ports comes back after 20 s."""
    one = Reader(wire).start(0.2, SDP)
    one.film(0.6, 12)
    one.in_session(12, "TEARDOWN")
    one.flow.close(12.1)
    Reader(wire).start(32, SDP).film(32.5, 46, Film(ssrc=0x800))
    return Truth(streams={0x800: {"lost": 0, "fps": 25.0}}, never=("stream-restart",))


@scene
def connection_is_reset_after_a_reboot(wire: Wire) -> Truth:
    """Nothing for 40 s, the reader's keep-alive unanswered; then the camera does not know the
    connection any more (RST), and serves a new one."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    reader.film(0.6, 15, channel=0)
    reader.ask(30, "GET_PARAMETER", Session=reader.session)
    raw = b"GET_PARAMETER"
    for at in (31, 33, 37, 45):
        reader.flow.send(at, raw, again=True)
    reader.flow.reset(55)
    Reader(wire, 40_010).start(57, SDP, channel=0).film(57.5, 72, Film(ssrc=0x88), channel=0)
    return Truth(("camera-reboot",), never=("rtsp-closed", "rtsp-timeout", "stream-frozen"))


@scene
def password_is_corrected_after_half_a_minute(wire: Wire) -> Truth:
    for number in range(3):
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(0.2 + 10 * number)
        reader.challenge(0.3 + 10 * number, "DESCRIBE")
        reader.challenge(0.4 + 10 * number, "DESCRIBE", sent=True)
        reader.flow.close(0.5 + 10 * number)
    Reader(wire, 40_010).start(31, SDP).film(31.5, 50)
    return Truth(("rtsp-auth",), over=("rtsp-auth",), streams=PLAYED)


@scene
def recorders_session_is_cut_each_ten_seconds(wire: Wire) -> Truth:
    Reader(wire).start(0.1, SDP).film(0.5, 45)
    for number in range(4):
        at = 0.3 + 11 * number
        other = Reader(wire, 51_000 + number, **RECORDER)
        other.timeout = 10
        other.start(at, SDP, ports=7000 + 10 * number)
        other.film(at + 0.4, at + 10.2, Film(ssrc=0x900 + number), port=7000 + 10 * number,
                   sport=5100)  # fmt: skip
        other.flow.close(at + 10.3, by_server=True)
    return Truth(streams=PLAYED)


@scene
def one_packet_in_five_thousand_is_lost(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 60, lose={900})
    return Truth()


@scene
def parameter_sets_in_band_only(wire: Wire) -> Truth:
    """No sprop in the SDP, an empty fmtp, and blanks where none should be."""
    line = media_line().replace(f"sprop-parameter-sets={SPROP}", "sprop-parameter-sets= ")
    Reader(wire).start(0.2, description(line)).film(0.6, 12)
    return Truth(streams=PLAYED)


@scene
def pushed_to_a_server_by_record(wire: Wire) -> Truth:
    """A camera publishes to a restreamer: ANNOUNCE, SETUP mode=record, RECORD; media upstream."""
    reader = Reader(wire, 43_000, address="10.20.0.12", mac="02:00:00:00:01:12", port=8554,
                    client=CAMERA, client_mac=CAMERA_MAC, path="/dock", agent="Lavf60")  # fmt: skip
    reader.flow.open(0.2)
    reader.options(0.25)
    body = description(media_line(control="streamid=0"))
    reader.cseq += 1
    raw = (f"ANNOUNCE {reader.url} RTSP/1.0\r\nCSeq: {reader.cseq}\r\nContent-Type: application/sdp"
           f"\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()  # fmt: skip
    reader.flow.send(0.3, raw)
    reader.tell(0.31)
    reader.pair(0.35, "SETUP", url=reader.url + "/streamid=0",
                asks={"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"},
                Transport="RTP/AVP/TCP;unicast;interleaved=0-1;mode=record",
                Session=reader.session)  # fmt: skip
    reader.in_session(0.4, "RECORD")
    film, at = Film(), 0.5
    while at < 14:
        for packet in film.picture():
            reader.flow.send(at, struct.pack("!cBH", b"$", 0, len(packet)) + packet)
            at += 0.0001
        at += 0.04
    return Truth(state=None, streams={0x5EED0001: {"lost": 0}},
                 never=("stream-frozen", "udp-blocked", "rtsp-silent"))  # fmt: skip


@scene
def answers_only_on_the_mirror(wire: Wire) -> Truth:
    """The mirror shows what the camera sends and nothing of the appliance."""
    Reader(wire).start(0.2, SDP).film(0.6, 30)
    wire.frames = [f for f in wire.frames if f[2][6:12] != bytes.fromhex(ETH0.replace(":", ""))]
    return Truth(("mirror-one-way",), streams=PLAYED)


@scene
def fixed_port_pair_for_all_cameras(wire: Wire) -> Truth:
    """A careless reader asks each of two cameras for the same pair of ports."""
    Reader(wire).start(0.2, SDP).film(0.6, 14)
    other = {"address": "10.20.0.12", "mac": "02:00:00:00:01:12"}
    Reader(wire, 41_000, **other).start(0.3, SDP).film(0.7, 14, Film(ssrc=0xA00), sport=5050)
    return Truth(streams=PLAYED | {0xA00: {"lost": 0, "fps": 25.0}})


@scene
def another_payload_type_than_was_declared(wire: Wire) -> Truth:
    """The SDP says 96, and the packets come as 97: no reader knows what they are."""
    Reader(wire).start(0.2, SDP).film(0.6, 20, Film(payload=97))
    return Truth(("stream-codec",), state="silent", says={"stream-codec": "97"})


@scene
def an_old_session_still_sends_beside(wire: Wire) -> Truth:
    """The reader came again to the same ports after a crash; the camera goes on with both."""
    one = Reader(wire).start(0.2, SDP)
    one.film(0.6, 25, Film(ssrc=0xB00, fps=10, gop=20), silent=True)
    one.flow.reset(9, by_server=False)
    two = Reader(wire, 40_010).start(10, SDP)
    two.film(10.5, 40, Film(ssrc=0xB01))
    return Truth(streams={0xB01: {"lost": 0, "fps": 25.0}}, never=("stream-restart",))
