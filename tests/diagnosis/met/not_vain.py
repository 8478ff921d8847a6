"""What resembles an attempt in vain and is none, or has another cause."""

from __future__ import annotations

import struct

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, ETH0, Wire, client_hello, server_hello
from tests.made_up import APPLIANCE, CAMERA

SDP = description(media_line())
SOUND = description(media_line("PCMU"))
EVENTS = description(media_line("VND.ONVIF.METADATA", 107))
GROUP = "239.1.1.1"


def _sound(ssrc: int) -> Film:
    return Film("PCMU", fps=50, parts=1, key_parts=1, size=160, ssrc=ssrc)


def _leave(reader: Reader, at: float) -> None:
    reader.in_session(at, "TEARDOWN")
    reader.flow.close(at + 0.1)


@scene
def not_in_vain_are_events_read_beside_the_picture(wire: Wire) -> Truth:
    """Who asks for metadata only waits for no picture."""
    Reader(wire, 39_000).start(0.2, SDP, ports=7000).film(0.6, 50, port=7000)
    for turn in range(4):
        at = 1.2 + 12 * turn
        reader = Reader(wire, 40_000 + turn).start(at, EVENTS, channel=0)
        film = Film("VND.ONVIF.METADATA", 107, fps=1, parts=1, key_parts=1, ssrc=10 + turn)
        reader.film(at + 0.5, at + 8, film, channel=0)
        _leave(reader, at + 8.1)
    return Truth(("stream-codec",))


@scene
def not_in_vain_is_sound_over_udp_before_a_picture_over_tcp(wire: Wire) -> Truth:
    for turn in range(3):
        at = 0.2 + 30 * turn
        reader = Reader(wire, 40_000 + 2 * turn).start(at, SOUND)
        reader.film(at + 0.5, at + 5, _sound(10 + turn))
        _leave(reader, at + 5)
        reader = Reader(wire, 40_001 + 2 * turn).start(at + 6, SDP, channel=0)
        reader.film(at + 6.5, at + 28, Film(ssrc=100 + turn), channel=0)
        _leave(reader, at + 28.1)
    return Truth(allowed=("stream-codec",), never=("udp-blocked",), state="paused")


@scene
def not_in_vain_are_a_few_small_pictures(wire: Wire) -> Truth:
    """One a second, of which a reader looks at four."""
    for turn in range(5):
        at = 0.2 + 12 * turn
        reader = Reader(wire, 40_000 + turn).start(at, SDP, ports=6000 + 2 * turn)
        film = Film(fps=1, parts=1, key_parts=3, gop=1000, ssrc=10 + turn)
        reader.film(at + 0.5, at + 4, film, port=6000 + 2 * turn)
        _leave(reader, at + 4.1)
    return Truth(state="paused")


@scene
def not_in_vain_is_one_key_frame_that_a_reader_came_for(wire: Wire) -> Truth:
    """Snapshots: it waits for the next key frame of a small stream, takes it, and leaves."""
    for turn in range(5):
        at = 0.2 + 12 * turn
        reader = Reader(wire, 40_000 + turn).start(at, SDP, ports=6000 + 2 * turn)
        film = Film(fps=1, key_parts=5, gop=1, ssrc=10 + turn)
        reader.film(at + 2.0, at + 2.5, film, port=6000 + 2 * turn)
        _leave(reader, at + 2.6)
    return Truth(state=None)


@scene
def not_in_vain_is_one_key_frame_inside_tcp(wire: Wire) -> Truth:
    for turn in range(5):
        at = 0.2 + 12 * turn
        reader = Reader(wire, 40_000 + turn).start(at, SDP, channel=0)
        film = Film(fps=1, key_parts=5, gop=1, ssrc=10 + turn)
        reader.film(at + 2.0, at + 2.5, film, channel=0)
        _leave(reader, at + 2.6)
    return Truth(state="paused")


@scene
def not_in_vain_is_a_session_that_was_paused_at_once(wire: Wire) -> Truth:
    for turn in range(4):
        at = 0.2 + 15 * turn
        reader = Reader(wire, 40_000 + turn).start(at, SDP, ports=6000 + 2 * turn)
        reader.in_session(at + 0.3, "PAUSE")
        _leave(reader, at + 10)
    return Truth(state=None)


def _join(wire: Wire, at: float, sport: int, client: str, mac: str) -> Reader:
    """A reader that asks for the group."""
    reader = Reader(wire, sport, client=client, client_mac=mac)
    reader.flow.open(at, 0.002)
    reader.options(at + 0.05)
    reader.describe(at + 0.1, SDP)
    reader.set_up(at + 0.2, reader.url + "/track1", group=GROUP)
    reader.play(at + 0.25)
    return reader


@scene
def not_in_vain_is_multicast_that_two_read(wire: Wire) -> Truth:
    """Its stream is one, whoever has asked for it last."""
    Reader(wire, 39_000).film(0.3, 60, group=GROUP, silent=True)
    for turn in range(4):
        at = 0.2 + 12 * turn
        reader = _join(wire, at, 40_000 + turn, APPLIANCE, ETH0)
        other = _join(wire, at + 1, 41_000 + turn, "10.20.0.88", "02:00:00:00:08:88")
        _leave(reader, at + 8.1)
        _leave(other, at + 9.1)
    return Truth()


@scene
def multicast_in_vain_again_and_again(wire: Wire) -> Truth:
    for turn in range(5):
        at = 0.2 + 12 * turn
        _leave(_join(wire, at, 40_000 + turn, APPLIANCE, ETH0), at + 8.1)
    return Truth(("udp-blocked",), says={"udp-blocked": "multicast"}, state="silent")


@scene
def in_vain_by_one_reader_while_another_reads(wire: Wire) -> Truth:
    """Two tools, and no appliance: the camera streams."""
    pc = {"client": "10.20.0.77", "client_mac": "02:00:00:00:07:77"}
    Reader(wire, 39_000, **pc).start(0.2, SDP, ports=7000).film(0.6, 50, port=7000)
    for turn in range(4):
        at = 1.2 + 10 * turn
        tool = Reader(wire, 40_000 + turn, client="10.20.0.88", client_mac="02:00:00:00:08:88")
        _leave(tool.start(at, SDP), at + 8.1)
    return Truth()


@scene
def in_vain_and_then_out_of_reach(wire: Wire) -> Truth:
    for turn in range(4):
        at = 0.2 + 8 * turn
        _leave(Reader(wire, 40_000 + turn).start(at, SDP, ports=6000 + 2 * turn), at + 4.1)
    for turn in range(4):
        Reader(wire, 41_000 + turn).flow.syn(40 + 10 * turn, 3)
    wire.quiet(85, 90)
    return Truth(("camera-unreachable",), state="unreachable")


@scene
def in_vain_as_far_as_a_capture_without_udp_shows(wire: Wire) -> Truth:
    """A filter may have left the media out."""
    for turn in range(8):
        at = 0.2 + 5 * turn
        _leave(Reader(wire, 40_000 + turn).start(at, SDP, ports=6000 + 2 * turn), at + 4.2)
    return Truth(("udp-blocked",), severity={"udp-blocked": "warning"}, state="silent",
                 says={"udp-blocked": "nothing but TCP"})  # fmt: skip


@scene
def media_in_flight_at_a_quick_restart_are_not_astray(wire: Wire) -> Truth:
    """The reader asks anew at another port at once, and the camera begins five seconds later."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 20)
    reader.in_session(20.02, "TEARDOWN")
    reader.flow.close(20.05)
    again = Reader(wire, 40_001).start(20.1, SDP, ports=6010)
    again.film(25, 60, Film(ssrc=99), port=6010)
    return Truth(never=("media-wrong-port",), streams={99: {"lost": 0}})


@scene
def media_in_flight_at_a_quick_restart_and_none_since(wire: Wire) -> Truth:
    """Twin, in the same connection: nothing comes any more, at whichever port."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 20.11)
    reader.in_session(20.1, "TEARDOWN")
    reader.session = "87654321"
    reader.set_up(20.2, reader.url + "/track1", 6010)
    reader.play(20.25)
    for at in (30, 40, 50):
        reader.in_session(at, "GET_PARAMETER")
    return Truth(("udp-blocked",), never=("media-wrong-port",), state="silent")


@scene
def frozen_then_left_for_encrypted_rtsp(wire: Wire) -> Truth:
    """The reader gives up, and gets its picture inside TLS."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 20)
    _leave(reader, 31)
    flow = wire.tcp((ETH0, APPLIANCE, 45_000), (CAMERA_MAC, CAMERA, 322))
    flow.open(33, 0.002)
    flow.send(33.03, client_hello("dock"))
    flow.answer(33.05, server_hello())
    done = b"\x14\x03\x03\0\x01\x01\x16\x03\x03\0\x28" + bytes(40)
    flow.send(33.07, done)
    flow.answer(33.09, done)
    record = struct.pack("!BHH", 23, 0x303, 0x500) + bytes(0x500)
    for number in range(1500):
        flow.answer(33.3 + number / 25, record)
        if number % 2:
            flow.ack(33.301 + number / 25)
    return Truth(allowed=("stream-frozen",), over=("stream-frozen",))


@scene
def frozen_then_left_and_refused(wire: Wire) -> Truth:
    """What comes of the next try is told instead."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 20)
    _leave(reader, 31)
    for turn in range(4):
        at = 33 + 10 * turn
        reader = Reader(wire, 41_000 + turn)
        reader.flow.open(at, 0.002)
        reader.challenge(at + 0.1, "DESCRIBE")
        reader.challenge(at + 0.2, "DESCRIBE", sent=True)
        reader.flow.close(at + 0.3)
    return Truth(("rtsp-auth",), allowed=("stream-frozen",), over=("stream-frozen",),
                 state="refused")  # fmt: skip


@scene
def sound_that_was_silent_when_its_reader_left(wire: Wire) -> Truth:
    """Of sound, silence is usual."""
    reader = Reader(wire).start(0.2, SOUND)
    reader.film(0.6, 10, _sound(10))
    _leave(reader, 31)
    wire.quiet(60, 61)
    return Truth(("stream-codec",), state="paused")
