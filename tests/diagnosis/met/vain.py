"""Readers that try something in vain, again and again."""

from __future__ import annotations

import struct

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import Wire

SDP = description(media_line())
ONE = 0x5EED0001
PLAYED = {ONE: {"lost": 0, "fps": 25.0}}


def _in_vain(wire: Wire, at: float, sport: int, waits: float) -> None:
    """A session over UDP that brings nothing and is torn down by its reader."""
    reader = Reader(wire, sport)
    reader.start(at, SDP, ports=6000 + 2 * (sport % 100))
    reader.in_session(at + waits, "TEARDOWN")
    reader.flow.close(at + waits + 0.1)


@scene
def udp_is_tried_in_vain_at_each_start(wire: Wire) -> Truth:
    """FFmpeg: ten seconds over UDP, then TCP; and again after each restart of the reader."""
    for turn in range(3):
        at = 0.2 + 40 * turn
        _in_vain(wire, at, 40_000 + 2 * turn, 10.3)
        tcp = Reader(wire, 40_001 + 2 * turn).start(at + 10.5, SDP, channel=0)
        tcp.film(at + 11, at + 39, Film(ssrc=ONE + turn), channel=0)
        tcp.in_session(at + 39.1, "TEARDOWN")
        tcp.flow.close(at + 39.2)
    return Truth(("udp-blocked",), severity={"udp-blocked": "warning"}, state=None)


@scene
def udp_is_given_up_for_tcp_in_the_same_connection(wire: Wire) -> Truth:
    """FFmpeg: ten seconds over UDP, PAUSE, SETUP over TCP as a new session; at each start."""
    for turn in range(2):
        at = 0.2 + 40 * turn
        reader = Reader(wire, 40_000 + turn).start(at, SDP)
        reader.in_session(at + 10.6, "PAUSE")
        reader.session = f"8765432{turn}"
        reader.set_up(at + 10.7, reader.url + "/track1", channel=0)
        reader.play(at + 10.75)
        reader.film(at + 11, at + 39, Film(ssrc=ONE + turn), channel=0)
        if not turn:
            reader.in_session(at + 39.1, "TEARDOWN")
            reader.flow.close(at + 39.2)
    return Truth(("udp-blocked",), severity={"udp-blocked": "warning"},
                 says={"udp-blocked": "10 s"})  # fmt: skip


@scene
def second_session_of_a_connection_freezes(wire: Wire) -> Truth:
    """A session is torn down, another begins in the same connection, and its picture stops."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 10)
    reader.in_session(10.1, "TEARDOWN")
    reader.session = "87654321"
    reader.set_up(10.2, reader.url + "/track1", 6010)
    reader.play(10.25)
    reader.film(10.4, 30, Film(ssrc=7), port=6010)
    reader.in_session(38, "GET_PARAMETER")
    reader.in_session(45, "GET_PARAMETER")
    return Truth(("stream-frozen",), state="silent")


@scene
def second_session_of_a_connection_plays(wire: Wire) -> Truth:
    """Twin: and it goes on."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 10)
    reader.in_session(10.1, "TEARDOWN")
    reader.session = "87654321"
    reader.set_up(10.2, reader.url + "/track1", 6010)
    reader.play(10.25)
    reader.film(10.4, 60, Film(ssrc=7), port=6010)
    reader.in_session(38, "GET_PARAMETER")
    return Truth(streams={7: {"lost": 0, "fps": 25.0}})


@scene
def picture_freezes_after_the_sound_was_torn_down(wire: Wire) -> Truth:
    """TEARDOWN of one track leaves the other's reader waiting."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, description(media_line(), media_line("PCMU", control="track2")))
    reader.set_up(0.3, reader.url + "/track1", 6000)
    reader.set_up(0.35, reader.url + "/track2", 6002)
    reader.play(0.5)
    sound = Film("PCMU", fps=50, parts=1, key_parts=1, size=160, ssrc=0xA0D10)
    reader.film(0.8, 8, sound, port=6002)
    film = reader.film(0.8, 20)
    reader.in_session(8.1, "TEARDOWN", url=reader.url + "/track2")
    reader.in_session(30, "GET_PARAMETER")
    return Truth(("stream-frozen",), state="silent", streams={film.ssrc: {"lost": 0}})


@scene
def udp_in_vain_and_no_fall_back(wire: Wire) -> Truth:
    """A reader that tries only UDP, four seconds each, for ever."""
    for turn in range(8):
        _in_vain(wire, 0.2 + 5 * turn, 40_000 + turn, 4.2)
    wire.ask(1, "example.com", "203.0.113.9")  # not only TCP was captured
    return Truth(("udp-blocked",), severity={"udp-blocked": "error"}, state="silent")


@scene
def one_vain_start_over_tcp(wire: Wire) -> Truth:
    """Twin: a reader that looks for a second, leaves, and then plays."""
    _in_vain(wire, 0.2, 40_000, 1.0)
    Reader(wire, 40_001).start(2, SDP).film(2.4, 30)
    return Truth(streams=PLAYED)


@scene
def lengths_of_interleaved_frames_are_wrong(wire: Wire) -> Truth:
    """The camera writes four bytes too few as the length: its reader loses the frames, and begins
    anew each three seconds."""
    for turn in range(8):
        at = 0.2 + 4 * turn
        reader = Reader(wire, 40_000 + turn).start(at, SDP, channel=0)
        film = Film()
        for number in range(60):
            for packet in film.picture():
                framed = struct.pack("!cBH", b"$", 0, max(0, len(packet) - 4)) + packet
                reader.flow.answer(at + 0.5 + number / 25, framed)
        reader.flow.close(at + 3.2)
    return Truth(("stream-frozen|rtsp-closed|rtsp-unfinished",), state=None)


@scene
def h264_described_and_h265_sent_since_the_update(wire: Wire) -> Truth:
    """Its reader gets H.265 where the description says H.264, and starts again and again."""
    for turn in range(8):
        at = 0.2 + 5 * turn
        reader = Reader(wire, 40_000 + turn).start(at, SDP, ports=6000 + 2 * turn)
        reader.film(at + 0.4, at + 3, Film("H265", 96, ssrc=ONE + turn), port=6000 + 2 * turn)
        reader.in_session(at + 3.1, "TEARDOWN")
        reader.flow.close(at + 3.2)
    return Truth(("stream-codec",), state=None)


@scene
def described_as_h265_since_the_update(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 20)
    reader.flow.close(20.2, by_server=True)
    for turn in range(6):
        at = 60.2 + 5 * turn
        other = Reader(wire, 40_001 + turn)
        other.flow.open(at)
        other.options(at + 0.05)
        other.describe(at + 0.1, description(media_line("H265")))
        other.flow.close(at + 0.2)
    return Truth(("stream-codec",), state="silent", allowed=("rtsp-closed", "camera-reboot"))


@scene
def frozen_then_torn_down_and_nothing_since(wire: Wire) -> Truth:
    """The camera stops to send; its reader gives up after ten seconds and does not come back."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 20)
    reader.in_session(31, "TEARDOWN")
    reader.flow.close(31.1)
    wire.add(60, b"\x02" * 12 + b"\x88\xb5" + bytes(46))
    return Truth(("stream-frozen",), state="silent")


@scene
def frozen_then_read_anew(wire: Wire) -> Truth:
    """Twin: it plays again in a new session."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 20)
    reader.in_session(31, "TEARDOWN")
    reader.flow.close(31.1)
    Reader(wire, 40_001).start(32, SDP, ports=6010).film(32.4, 60, Film(ssrc=7), port=6010)
    return Truth(allowed=("stream-frozen",), over=("stream-frozen",), streams={7: {"lost": 0}})


@scene
def played_and_let_go(wire: Wire) -> Truth:
    """Twin: the reader takes leave of a picture that is well."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 20)
    reader.in_session(20.1, "TEARDOWN")
    reader.flow.close(20.2)
    wire.add(60, b"\x02" * 12 + b"\x88\xb5" + bytes(46))
    return Truth(state="paused")


@scene
def ssrc_new_with_each_key_frame_from_the_middle(wire: Wire) -> Truth:
    reader = Reader(wire)
    film = Film()
    reader.flow.established if hasattr(reader.flow, "established") else None
    for turn in range(30):
        film.ssrc = 0x1000 + turn
        reader.film(0.6 + turn, 0.6 + turn + 0.999, film, silent=True)
    return Truth(allowed=("stream-restart",))


@scene
def describe_is_answered_after_twelve_seconds(wire: Wire) -> Truth:
    for turn in range(4):
        reader = Reader(wire, 40_000 + turn)
        at = 0.2 + 15 * turn
        reader.flow.open(at, 0.002)
        reader.options(at + 0.05)
        reader.ask(at + 0.1, "DESCRIBE", Accept="application/sdp")
        reader.flow.close(at + 10)
    return Truth(("rtsp-silent",), state="silent")


@scene
def describe_takes_twelve_seconds_and_the_reader_waits(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.options(0.25)
    reader.ask(0.3, "DESCRIBE", Accept="application/sdp")
    reader.tell(12.3, body=SDP, Content_Base=reader.url + "/")
    reader.set_up(12.4, reader.url + "/track1")
    reader.play(12.45)
    reader.film(12.6, 40)
    return Truth(allowed=("rtsp-silent",), over=("rtsp-silent",), streams=PLAYED)


@scene
def describe_is_answered_too_late_for_its_reader(wire: Wire) -> Truth:
    """The reader leaves after ten seconds, the answer comes after twelve."""
    for turn in range(4):
        reader = Reader(wire, 40_000 + turn)
        at = 0.2 + 15 * turn
        reader.flow.open(at, 0.002)
        reader.options(at + 0.05)
        reader.ask(at + 0.1, "DESCRIBE", Accept="application/sdp")
        reader.flow.close(at + 10)
        reader.tell(at + 12, body=SDP, Content_Base=reader.url + "/")
    return Truth(("rtsp-silent",), state="silent")


@scene
def late_answers_and_the_reader_leaves_after_them(wire: Wire) -> Truth:
    """DESCRIBE is answered after 12 s; its reader closes then (its own time is over)."""
    for turn in range(4):
        reader = Reader(wire, 40_000 + turn)
        at = 0.2 + 15 * turn
        reader.flow.open(at, 0.002)
        reader.options(at + 0.05)
        reader.ask(at + 0.1, "DESCRIBE", Accept="application/sdp")
        reader.tell(at + 12.1, body=SDP, Content_Base=reader.url + "/")
        reader.flow.close(at + 12.2)
    return Truth(("rtsp-silent|rtsp-unfinished",), state=None)


@scene
def media_go_to_the_readers_old_port_after_a_reconnect(wire: Wire) -> Truth:
    """The camera's side keeps the port of the first session."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 20)
    reader.flow.close(20.1)
    anew = Reader(wire, 40_001).start(21, SDP, ports=6010)
    anew.film(20.04, 60, film, port=6000, silent=True)
    for at in (30, 40, 50):
        anew.in_session(at, "GET_PARAMETER")
    return Truth(("media-wrong-port",), state="silent")


@scene
def media_go_to_the_readers_new_port_after_a_reconnect(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 20)
    reader.in_session(20.1, "TEARDOWN")
    reader.flow.close(20.2)
    Reader(wire, 40_001).start(21, SDP, ports=6010).film(21.4, 60, film, port=6010)
    return Truth(state="streaming")


@scene
def udp_in_vain_until_the_firewall_is_opened(wire: Wire) -> Truth:
    for turn in range(4):
        _in_vain(wire, 0.2 + 8 * turn, 40_000 + turn, 4.8)
    Reader(wire, 40_010).start(34, SDP, ports=6020).film(34.4, 60, port=6020)
    return Truth(("udp-blocked",), over=("udp-blocked",), streams=PLAYED)


@scene
def sub_stream_is_tried_in_vain_beside_the_picture(wire: Wire) -> Truth:
    """The main stream plays over TCP, the second is asked for over UDP and never comes."""
    Reader(wire, 39_000, path="/main").start(0.2, SDP, channel=0).film(0.6, 50, channel=0)
    for turn in range(5):
        reader, at = Reader(wire, 40_000 + turn, path="/sub"), 1 + 9 * turn
        reader.start(at, SDP, ports=6000 + 2 * turn)
        reader.in_session(at + 5, "TEARDOWN")
        reader.flow.close(at + 5.1)
    return Truth(("udp-blocked",), state=None, streams=PLAYED)


@scene
def looked_at_for_a_moment_each_ten_seconds(wire: Wire) -> Truth:
    """Twin: a monitor that asks, plays and leaves at once, beside the picture."""
    Reader(wire, 39_000).start(0.2, SDP).film(0.6, 60)
    for turn in range(5):
        reader, at = Reader(wire, 40_000 + turn), 5 + 10 * turn
        reader.start(at, SDP, channel=0)
        reader.in_session(at + 0.3, "TEARDOWN")
        reader.flow.close(at + 0.35)
    return Truth(streams=PLAYED)


@scene
def setup_is_answered_too_late_for_its_reader(wire: Wire) -> Truth:
    told = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
    for turn in range(4):
        reader, at = Reader(wire, 40_000 + turn), 0.2 + 12 * turn
        reader.flow.open(at, 0.002)
        reader.describe(at + 0.1, SDP)
        reader.ask(at + 0.2, "SETUP", reader.url + "/track1", **told)
        reader.tell(at + 9, Session=reader.session, **told)
        reader.flow.close(at + 9.1)
    return Truth(("rtsp-silent",), state="silent", says={"rtsp-silent": "9 s"})
