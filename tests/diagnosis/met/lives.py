"""How sessions are kept alive, and how they and cameras end."""

from __future__ import annotations

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, ETH0, EVERYBODY, Wire, arp_packet, dhcp_packet
from tests.made_up import APPLIANCE, CAMERA

SDP = description(media_line())
SLOW = {0x5EED0001: {"lost": 0, "fps": 10.0}}
RECORDER = {
    "client": "10.20.0.77", "client_mac": "02:00:00:00:07:77", "agent": "go2rtc",
}  # fmt: skip


def slow(**more: object) -> Film:
    return Film(fps=10, gop=20, key_parts=3, parts=1, **more)  # type: ignore[arg-type]


@scene
def options_keeps_it_for_two_minutes(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 130, slow())
    for at in range(25, 130, 25):
        reader.in_session(at, "OPTIONS")
    return Truth(streams=SLOW)


@scene
def set_parameter_keeps_it(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.timeout = 20
    reader.start(0.2, SDP).film(0.6, 70, slow())
    for at in range(15, 70, 15):
        reader.in_session(at, "SET_PARAMETER")
    return Truth(streams=SLOW)


@scene
def reports_alone_keep_it(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 150, slow())
    reader.reports(3, 150, film)
    return Truth(streams=SLOW)


@scene
def get_parameter_is_not_known_and_it_plays_on(wire: Wire) -> Truth:
    """501 to the keep-alive, and the camera does not care."""
    reader = Reader(wire)
    reader.timeout = 10
    reader.start(0.2, SDP).film(0.6, 60, slow())
    for at in range(8, 60, 8):
        reader.in_session(at, "GET_PARAMETER", "501 Not Implemented")
    return Truth(streams=SLOW)


@scene
def keep_alive_without_the_session_is_refused_454(wire: Wire) -> Truth:
    """The reader forgets the Session header: 454, and the picture stays."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 60, slow())
    reader.reports(3, 60, film)
    for at in range(10, 60, 10):
        reader.pair(at, "GET_PARAMETER", "454 Session Not Found")
    return Truth(streams=SLOW)


@scene
def cut_each_minute_and_opened_again_at_once(wire: Wire) -> Truth:
    """Reports do not count: the camera ends each session at 60 s; the reader is back at once."""
    for number in range(3):
        at = 0.2 + 61.2 * number
        reader = Reader(wire, 40_000 + number)
        reader.timeout = None
        reader.start(at, SDP, ports=6000 + 10 * number)
        reader.film(at + 0.4, at + 60.3, slow(ssrc=0x200 + number), port=6000 + 10 * number)
        reader.flow.close(at + 60.4, by_server=True)
    return Truth(("rtsp-keepalive",), state=None, never=("camera-reboot", "rtsp-closed"))


@scene
def camera_tears_down_by_a_request_of_its_own(wire: Wire) -> Truth:
    """The server sends TEARDOWN and closes in the middle of the picture; nobody comes back."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 15)
    raw = f"TEARDOWN {reader.url} RTSP/1.0\r\nCSeq: 1\r\nSession: {reader.session}\r\n\r\n"
    reader.flow.answer(15.05, raw.encode())
    reader.flow.close(15.1, by_server=True)
    wire.quiet(15, 21)
    return Truth(("rtsp-closed",), state="silent", never=("stream-frozen",))


@scene
def reader_tears_down_and_closes(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 12)
    reader.ask(12.0, "TEARDOWN", Session=reader.session)
    reader.flow.close(12.02)
    wire.quiet(12, 18)
    return Truth(state="paused")


@scene
def reader_resets_and_comes_over_tcp(wire: Wire) -> Truth:
    """A player that gives UDP up by itself after 8 s of picture: no fault of the camera."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 8)
    reader.in_session(8.1, "TEARDOWN")
    reader.flow.reset(8.2, by_server=False)
    again = Reader(wire, 40_010).start(8.6, SDP, channel=0)
    again.film(9.2, 20, Film(ssrc=0x77), channel=0)
    return Truth(streams={0x77: {"lost": 0, "fps": 25.0}})


@scene
def udp_is_blocked_and_the_reader_falls_back_to_tcp(wire: Wire) -> Truth:
    """No datagram arrives; after 10 s the player asks for TCP and plays."""
    reader = Reader(wire).start(0.2, SDP)
    reader.in_session(10.3, "TEARDOWN")
    reader.flow.close(10.4)
    Reader(wire, 40_010).start(10.6, SDP, channel=0).film(11.1, 25, channel=0)
    return Truth(("udp-blocked",), over=("udp-blocked",),
                 streams={0x5EED0001: {"lost": 0, "fps": 25.0}})  # fmt: skip


@scene
def udp_is_blocked_for_good(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    reader.in_session(10, "GET_PARAMETER")
    return Truth(("udp-blocked",), state="silent", says={"udp-blocked": "6000-6001"})


@scene
def udp_is_blocked_and_a_recorder_reads_over_tcp(wire: Wire) -> Truth:
    # without any packet that is no TCP, a capture filter might have left the media out
    wire.add(0.1, arp_packet(1, CAMERA_MAC, CAMERA, APPLIANCE))
    reader = Reader(wire).start(0.2, SDP)
    Reader(wire, 51_000, **RECORDER).start(0.4, SDP, channel=0).film(1.0, 14, channel=0)
    reader.in_session(10, "GET_PARAMETER")
    return Truth(("udp-blocked",), state="silent", says={"udp-blocked": "while TCP works"})


def back(wire: Wire, at: float) -> None:
    """What a host sends when it has booted."""
    for number in range(2):
        wire.add(at - 1.5 + number * 0.5, arp_packet(1, CAMERA_MAC, "0.0.0.0", CAMERA))
    for number in range(2):
        wire.add(at + number * 2, arp_packet(1, CAMERA_MAC, CAMERA, CAMERA))


@scene
def rebooted_with_arp_probe_and_announcement(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 15)
    back(wire, 55)
    Reader(wire, 40_010).start(60, SDP).film(60.5, 75, Film(ssrc=0x88))
    return Truth(("camera-reboot",), state="streaming")


@scene
def rebooted_with_dhcp(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 15)
    zero = "0.0.0.0"
    wire.udp(50, (CAMERA_MAC, zero, 68), (EVERYBODY, "255.255.255.255", 67),
             dhcp_packet(1, CAMERA_MAC))  # fmt: skip
    wire.udp(50.1, ("02:00:00:00:02:01", "10.20.0.1", 67), (CAMERA_MAC, CAMERA, 68),
             dhcp_packet(2, CAMERA_MAC, yours=CAMERA))  # fmt: skip
    wire.udp(50.2, (CAMERA_MAC, zero, 68), (EVERYBODY, "255.255.255.255", 67),
             dhcp_packet(3, CAMERA_MAC))  # fmt: skip
    wire.udp(50.3, ("02:00:00:00:02:01", "10.20.0.1", 67), (CAMERA_MAC, CAMERA, 68),
             dhcp_packet(5, CAMERA_MAC, yours=CAMERA))  # fmt: skip
    Reader(wire, 40_010).start(58, SDP).film(58.5, 72, Film(ssrc=0x88))
    return Truth(("camera-reboot",), state="streaming")


@scene
def rebooted_as_its_stamps_tell(wire: Wire) -> Truth:
    """Stamps are the camera's uptime: before, two days; after, half a minute."""
    days = 0xA0000000
    Reader(wire).start(0.2, SDP).film(0.6, 15, Film(stamp=days))
    Reader(wire, 40_010).start(50, SDP).film(50.5, 70, Film(ssrc=0x88, stamp=90_000 * 31))
    return Truth(("camera-reboot",), state="streaming",
                 says={"camera-reboot": "stamps"})  # fmt: skip


@scene
def rebooted_as_its_reports_tell(wire: Wire) -> Truth:
    """The camera has no time server: its clock starts at 2000 with each boot."""
    y2000 = 3_155_673_600
    one = Reader(wire).start(0.2, SDP)
    film = one.film(0.6, 15)
    for at in (1, 6, 11):
        one.sender_report(at, film, y2000 + 86_400 * 9 + at)
    two = Reader(wire, 40_010).start(50, SDP)
    film = two.film(50.5, 70, Film(ssrc=0x88, stamp=0x91234567))
    for at in (51, 56, 61, 66):
        two.sender_report(at, film, y2000 + at - 22)
    # its reports come after the picture is back: until then it was frozen, for no known reason
    return Truth(("camera-reboot",), allowed=("stream-frozen",), state="streaming")


@scene
def came_back_without_having_rebooted(wire: Wire) -> Truth:
    """The same silence, but the stamps show that the camera was up all the time: the way failed."""
    days = 0xA0000000
    Reader(wire).start(0.2, SDP).film(0.6, 15, Film(stamp=days))
    later = Film(ssrc=0x88, stamp=(days + 90_000 * 50) & 0xFFFFFFFF)
    Reader(wire, 40_010).start(50, SDP).film(50.5, 70, later)
    return Truth(("stream-frozen",), over=("stream-frozen",), never=("camera-reboot",))


@scene
def each_session_begins_its_stamps_at_zero(wire: Wire) -> Truth:
    """Servers that stamp from zero in each session have not rebooted."""
    one = Reader(wire).start(0.2, SDP)
    one.film(0.6, 15, Film(stamp=0))
    one.in_session(15.0, "TEARDOWN")
    one.flow.close(15.1)
    Reader(wire, 40_010).start(20, SDP).film(20.5, 34, Film(ssrc=0x88, stamp=0))
    return Truth(never=("camera-reboot",))


@scene
def camera_falls_off_the_network(wire: Wire) -> Truth:
    """It sends nothing any more and does not answer ARP; nobody else is concerned."""
    Reader(wire).start(0.2, SDP).film(0.6, 12)
    other = {"address": "10.20.0.12", "mac": "02:00:00:00:01:12"}
    Reader(wire, 41_000, **other).start(0.3, SDP, ports=6100).film(0.7, 40, port=6100)
    for number in range(20):
        wire.add(14 + number, arp_packet(1, ETH0, APPLIANCE, CAMERA))
    return Truth(("camera-unreachable",), state="unreachable")


@scene
def camera_comes_and_goes_each_twenty_seconds(wire: Wire) -> Truth:
    """Three resets by the camera at odd times, each followed by a new session."""
    starts = (0.2, 14.0, 31.0, 40.0)
    for number, at in enumerate(starts):
        reader = Reader(wire, 40_000 + number).start(at, SDP, ports=6000 + 10 * number)
        end = starts[number + 1] - 4 if number + 1 < len(starts) else 60
        reader.film(at + 0.5, end, Film(ssrc=0x300 + number), port=6000 + 10 * number)
        if number + 1 < len(starts):
            reader.flow.reset(end)
    return Truth(("rtsp-closed",), never=("rtsp-timeout", "camera-reboot"))


@scene
def source_of_a_restreamer_stops(wire: Wire) -> Truth:
    """The restreamer closes the connection when its source ends, and answers 404 from then on."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    reader.film(0.6, 12, channel=0)
    reader.flow.close(12.1, by_server=True)
    for number in range(3):
        at = 13 + 5 * number
        again = Reader(wire, 40_010 + number)
        again.flow.open(at)
        again.pair(at + 0.1, "DESCRIBE", "404 Not Found")
        again.flow.close(at + 0.2)
    return Truth(("rtsp-not-found",), state="refused")


@scene
def picture_stalls_for_six_seconds_and_catches_up(wire: Wire) -> Truth:
    """Wi-Fi: nothing for 6 s over TCP, then all of it at once."""
    reader = Reader(wire).start(0.2, SDP, channel=0)

    def late(number: int) -> float:
        due = number / 25
        return 6 - 0.9 * (due - 20) if 20 <= due < 26.66 else 0.0

    reader.film(0.6, 50, Film(), channel=0, late=late)
    return Truth(("stream-frozen",), over=("stream-frozen",),
                 streams={0x5EED0001: {"lost": 0}})  # fmt: skip
