"""More lives of cameras and of those who read them: some well, some not."""

from __future__ import annotations

import struct

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.oddities import VIEWER
from tests.diagnosis.met.pairs import THERE, YARD
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import (
    CAMERA_MAC,
    ETH0,
    Wire,
    arp_packet,
    client_hello,
    ethernet,
    ipv4,
    server_hello,
    udp_segment,
)
from tests.made_up import APPLIANCE, CAMERA

SDP = description(media_line())
PLAYED = {0x5EED0001: {"lost": 0, "fps": 25.0}}
GROUP = "239.20.0.11"


@scene
def main_profile_is_h265_and_the_second_is_taken(wire: Wire) -> Truth:
    """The reader looks at one profile, cannot use it, and plays the other from then on."""
    one = Reader(wire, path="/main")
    one.flow.open(0.2)
    one.describe(0.3, description(media_line("H265", 98)))
    one.flow.close(0.4)
    Reader(wire, 40_001, path="/sub").start(0.6, SDP).film(1.0, 25)
    return Truth(allowed=("stream-codec",), over=("stream-codec",), streams=PLAYED)


@scene
def second_channel_of_a_recorder_is_cut_while_the_first_plays(wire: Wire) -> Truth:
    Reader(wire, path="/ch1").start(0.2, SDP).film(0.6, 30)
    for number in range(4):
        other = Reader(wire, 40_001 + number, path="/ch2")
        at = 1 + 6 * number
        other.flow.open(at)
        other.ask(at + 0.1, "DESCRIBE", Authorization='Digest username="admin", response="0"')
        other.flow.close(at + 0.2, by_server=True)
    return Truth(("rtsp-silent",), state=None, of=(("rtsp-silent", "dock"),),
                 says={"rtsp-silent": "DESCRIBE"}, streams=PLAYED)  # fmt: skip


@scene
def camera_says_goodbye_by_rtcp_and_sends_no_more(wire: Wire) -> Truth:
    """BYE in the middle of the picture; the session stays, and its keep-alives are answered."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 15)
    bye = struct.pack("!BBHI", 0x81, 203, 1, 0x5EED0001)
    wire.udp(15.02, (CAMERA_MAC, CAMERA, 5001), (ETH0, APPLIANCE, 6001), bye)
    for at in (20, 28, 36):
        reader.in_session(at, "GET_PARAMETER")
    return Truth(("stream-frozen",), state="silent", says={"stream-frozen": "BYE"})


@scene
def paused_and_played_again(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 10)
    reader.in_session(10.1, "PAUSE")
    reader.play(16)
    reader.film(16.1, 30, film)
    return Truth(never=("stream-frozen",), streams={0x5EED0001: {"lost": 0}})


@scene
def comes_back_from_an_update_with_h265(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 10)
    reader.in_session(10.1, "TEARDOWN")
    reader.flow.close(10.2)
    for number in range(3):
        again = Reader(wire, 40_010 + number)
        again.flow.open(60 + 5 * number)
        again.describe(60.1 + 5 * number, description(media_line("H265", 98)))
        again.flow.close(60.2 + 5 * number)
    return Truth(("stream-codec",), state="silent", says={"stream-codec": r"H\.265"})


@scene
def every_tenth_packet_is_sent_twice(wire: Wire) -> Truth:
    """The camera repeats packets 30 ms later: of no harm."""
    reader = Reader(wire).start(0.2, SDP)
    film, count = Film(), 0
    at = 0.6
    while at < 20:
        for part, packet in enumerate(film.picture()):
            reader.packet(at + part * 0.0002, packet)
            if count % 10 == 0:
                reader.packet(at + 0.03 + part * 0.0002, packet)
            count += 1
        at += 0.04
    reader.reports(2, 20, film)
    return Truth(streams={0x5EED0001: {"fps": 25.0}})


@scene
def packets_overtake_each_other_over_two_links(wire: Wire) -> Truth:
    """A link group sends each seventh packet a little late: behind the next two."""
    reader = Reader(wire).start(0.2, SDP)
    film, count = Film(parts=4), 1
    at = 0.6
    while at < 20:
        for part, packet in enumerate(film.picture()):
            reader.packet(at + part * 0.0002 + (0.0005 if count % 7 == 0 else 0), packet)
            count += 1
        at += 0.04
    reader.reports(2, 20, film)
    return Truth(streams=PLAYED)


@scene
def a_viewer_has_closed_its_port_and_is_still_sent_to(wire: Wire) -> Truth:
    """A player has crashed: its host says port unreachable of each packet."""
    Reader(wire).start(0.2, SDP).film(0.6, 25)
    other = Reader(wire, 52_000, **VIEWER).start(0.4, SDP, ports=7000)
    film = Film(ssrc=0x70, fps=10, gop=20)
    other.film(0.8, 25, film, port=7000, silent=True)
    for number in range(60):
        quoted = ipv4(CAMERA, "10.20.0.88", 17, udp_segment(5000, 7000, bytes(8)))[:28]
        body = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
        wire.add(4 + 0.3 * number, ethernet("02:00:00:00:08:88", CAMERA_MAC, 0x800,
                                            ipv4("10.20.0.88", CAMERA, 1, body)))  # fmt: skip
    return Truth(streams=PLAYED)


@scene
def a_browser_looks_at_the_cameras_own_pages(wire: Wire) -> Truth:
    """HTTPS of a viewer to the camera, and a self-signed certificate that it turns down first."""
    Reader(wire).start(0.2, SDP).film(0.6, 16)
    for number in range(3):
        flow = wire.tcp(("02:00:00:00:08:88", "10.20.0.88", 54_000 + number),
                        (CAMERA_MAC, CAMERA, 443))  # fmt: skip
        flow.open(1 + number)
        flow.send(1.05 + number, client_hello("10.20.0.11"))
        flow.answer(1.1 + number, server_hello())
        flow.close(1.2 + number)
    return Truth(streams=PLAYED)


@scene
def somebody_tries_forty_paths(wire: Wire) -> Truth:
    """A stranger guesses stream paths: 404 each time; the appliance's picture is untouched."""
    Reader(wire).start(0.2, SDP).film(0.6, 25)
    for number in range(40):
        other = Reader(wire, 55_000 + number, path=f"/live/ch{number}", **VIEWER)
        at = 1 + 0.5 * number
        other.flow.open(at)
        other.pair(at + 0.05, "DESCRIBE", "404 Not Found", auth=True)
        other.flow.close(at + 0.1)
    return Truth(streams=PLAYED, allowed=("scan",))


@scene
def keep_alives_stay_without_an_answer_and_it_plays(wire: Wire) -> Truth:
    """The camera never answers GET_PARAMETER, and does not mind; reports keep it."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 100, Film(fps=5, gop=10))
    for at in (20, 45, 70, 95):
        reader.ask(at, "GET_PARAMETER", Session=reader.session)
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 5.0}})


@scene
def keep_alives_stay_without_an_answer_and_it_ends(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.timeout = 20
    reader.start(0.2, SDP).film(0.6, 20.5, Film(fps=10, gop=20), silent=True)
    for at in (8, 16):
        reader.ask(at, "GET_PARAMETER", Session=reader.session)
    reader.flow.close(20.6, by_server=True)
    wire.quiet(20, 27, interface=0)
    return Truth(("rtsp-timeout",), state="silent", never=("rtsp-closed",))


@scene
def picture_is_refused_with_500_and_the_sound_plays(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, description(media_line(), media_line("PCMA", control="track2")))
    reader.pair(0.3, "SETUP", "500 Internal Server Error", reader.url + "/track1",
                asks={"Transport": "RTP/AVP;unicast;client_port=6000-6001"})  # fmt: skip
    reader.set_up(0.4, reader.url + "/track2", 6002)
    reader.play(0.5)
    reader.film(
        0.6, 20, Film("PCMA", fps=25, parts=1, key_parts=1, ssrc=0xA), port=6002, sport=5002
    )
    return Truth(("rtsp-error",), state="refused", says={"rtsp-error": "500"})


@scene
def two_cameras_stop_ten_seconds_apart(wire: Wire) -> Truth:
    for number, where in enumerate(({}, THERE)):
        reader = Reader(wire, 40_000 + number, **where)  # type: ignore[arg-type]
        reader.start(0.2 + 0.03 * number, SDP, ports=6000 + 10 * number)
        reader.film(0.6, 15 + 10 * number, Film(ssrc=0x20 + number), port=6000 + 10 * number)
        reader.in_session(32, "GET_PARAMETER")
    return Truth(("stream-frozen", "stream-frozen"), state="silent", states={YARD: "silent"},
                 of=(("stream-frozen", "dock"), ("stream-frozen", "yard")),
                 never=("cameras-silent",))  # fmt: skip


@scene
def two_cameras_stop_together_and_come_back(wire: Wire) -> Truth:
    """Their switch restarts: eight seconds of nothing for both, then both go on."""
    for number, where in enumerate(({}, THERE)):
        reader = Reader(wire, 40_000 + number, **where)  # type: ignore[arg-type]
        ports = 6000 + 10 * number
        reader.start(0.2 + 0.03 * number, SDP, ports=ports)
        film = reader.film(0.6 + 0.01 * number, 15, Film(ssrc=0x30 + number), port=ports)
        film.sequence += 8 * 56  # as many as it sends in that time
        film.stamp += 8 * 90_000
        reader.film(23 + 0.01 * number, 60, film, port=ports)
    return Truth(("cameras-silent",), over=("cameras-silent",), state=None)  # fmt: skip


@scene
def multicast_stops_although_somebody_asks(wire: Wire) -> Truth:
    """There is a querier, its questions are answered: the camera itself has stopped."""
    low = bytes(int(part) for part in GROUP.split("."))
    for number in range(3):
        at = 1 + 12 * number
        query = ipv4("10.20.0.1", "224.0.0.1", 2, struct.pack("!BBH4s", 0x11, 100, 0, bytes(4)), 1)
        wire.add(at, ethernet("02:00:00:00:02:02", "01:00:5e:00:00:01", 0x800, query))
        report = ipv4(APPLIANCE, GROUP, 2, struct.pack("!BBH4s", 0x16, 0, 0, low), 1)
        wire.add(at + 0.5, ethernet(ETH0, "01:00:5e:14:00:0b", 0x800, report))
    reader = Reader(wire)
    reader.flow.open(0.1)
    reader.describe(0.15, SDP)
    reader.set_up(0.2, reader.url + "/track1", 6000, group=GROUP)
    reader.play(0.3)
    reader.film(0.6, 20, group=GROUP, silent=True)
    for at in (18, 30):
        reader.in_session(at, "OPTIONS")
    return Truth(("stream-frozen",), state="silent", never=("multicast-no-querier",))


@scene
def wrong_password_over_ipv6(wire: Wire) -> Truth:
    six = {"address": "fd20::11", "mac": "02:00:00:00:01:66", "client": "fd20::5"}
    for number in range(4):
        reader = Reader(wire, 40_000 + number, **six)
        at = 0.3 + 7 * number
        reader.flow.open(at, 0.002)
        reader.challenge(at + 0.1, "DESCRIBE")
        reader.challenge(at + 0.2, "DESCRIBE", sent=True)
        reader.flow.close(at + 0.4)
    return Truth(("rtsp-auth",), camera="fd20::11", state="refused", of=(("rtsp-auth", "six"),))


@scene
def two_cameras_with_the_same_ssrc(wire: Wire) -> Truth:
    """Cheap cameras of one make all send SSRC 1, to ports of one reader."""
    for number, where in enumerate(({}, THERE)):
        reader = Reader(wire, 40_000 + number, **where)  # type: ignore[arg-type]
        reader.start(0.2 + 0.03 * number, SDP, ports=6000 + 10 * number)
        reader.film(0.6, 16, Film(ssrc=1, sequence=7 + 9000 * number), port=6000 + 10 * number)
    return Truth(states={YARD: "streaming"})


@scene
def one_restarts_and_the_other_has_no_such_stream(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 15)
    for number in range(2):
        wire.add(40 + number, arp_packet(1, CAMERA_MAC, CAMERA, CAMERA))
    Reader(wire, 40_010).start(46, SDP).film(46.5, 60, Film(ssrc=0x88, stamp=9))
    for number in range(5):
        other = Reader(wire, 41_000 + number, **THERE)
        at = 1 + 11 * number
        other.flow.open(at)
        other.pair(at + 0.1, "DESCRIBE", "404 Not Found", auth=True)
        other.flow.close(at + 0.2)
    return Truth(("camera-reboot", "rtsp-not-found"),
                 states={YARD: "refused"},
                 of=(("camera-reboot", "dock"), ("rtsp-not-found", "yard")))  # fmt: skip


@scene
def reader_is_slow_and_the_camera_drops_for_it(wire: Wire) -> Truth:
    """The appliance's window is shut again and again; the camera leaves packets out meanwhile."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    film = Film()
    flow = reader.flow
    for number in range(8):
        at = 0.6 + 4 * number
        reader.film(at, at + 2.9, film, channel=0)
        flow.window_out = 0
        flow.ack(at + 2.95)
        flow.window_out = 60_000
        flow.ack(at + 3.6)
        film.sequence += 40
        film.stamp += 90_000
        film.frame = 0
    return Truth(("receiver-slow",), state=None,
                 allowed=("stream-camera-drop", "stream-jitter", "stream-fps"),
                 acts={"receiver-slow": "who administers the appliance"})  # fmt: skip
