"""Two cameras at once, over UDP and inside TCP: where media go, shared fate, names, clothes, and
what a camera is called while this and that befalls it."""

from __future__ import annotations

import struct

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.called import announced, leased, probe_match
from tests.diagnosis.met.clothes import RECORDER, RECORDER_MAC
from tests.diagnosis.met.numbered import (
    BOTH,
    ONE,
    SDP,
    TWO,
    VIEWER,
    WELL,
    YARD,
    YARD_MAC,
    plays,
    slow,
    yard,
)
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import (
    CAMERA_MAC,
    ETH0,
    EVERYBODY,
    Wire,
    arp_packet,
    ethernet,
    ipv4,
    udp_segment,
)
from tests.made_up import APPLIANCE, CAMERA

SIX = {"address": "fd20::11", "mac": "02:00:00:00:01:16", "client": "fd20::10"}


def turns_away(wire: Wire, start: float, end: float, port: int, camera: str = CAMERA,
               mac: str = CAMERA_MAC) -> None:  # fmt: skip
    """The appliance says port unreachable, twice a second."""
    at = start
    while at < end:
        quoted = ipv4(camera, APPLIANCE, 17, udp_segment(5000, port, bytes(8)))[:28]
        body = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
        wire.add(at, ethernet(ETH0, mac, 0x800, ipv4(APPLIANCE, camera, 1, body)))
        at += 0.5


# ---------------------------------------------------------------- where the media went


@scene
def answer_echoes_another_port_and_media_come_as_asked(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.25, SDP)
    reader.set_up(0.3, f"{reader.url}/track1", 6000, answer="RTP/AVP;unicast;client_port=8000-8001;"
                  "server_port=5000-5001")  # fmt: skip
    reader.play(0.35)
    reader.film(0.6, 20, slow())
    plays(yard(wire), 0.3, 20, channel=0)
    return Truth(streams=BOTH, states={YARD: "streaming"}, never=("media-wrong-port",))


@scene
def media_follow_a_wrong_echo_and_are_turned_away(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.25, SDP)
    reader.set_up(0.3, f"{reader.url}/track1", 6000, answer="RTP/AVP;unicast;client_port=8000-8001;"
                  "server_port=5000-5001")  # fmt: skip
    reader.play(0.35)
    reader.film(0.6, 20, slow(), port=8000, silent=True)
    turns_away(wire, 0.7, 20, 8000)
    plays(yard(wire), 0.3, 20)
    return Truth(("media-wrong-port",), state="silent", states={YARD: "streaming"}, streams=WELL,
                 of=(("media-wrong-port", "dock"),),
                 says={"media-wrong-port": r"8000[\s\S]*6000|6000[\s\S]*8000"})  # fmt: skip


@scene
def reader_of_one_camera_has_closed_its_port(wire: Wire) -> Truth:
    """The application has crashed and its session lives on; the other's thread goes on."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 30, slow(), silent=True)
    turns_away(wire, 12, 30, 6000)
    plays(yard(wire), 0.3, 30)
    return Truth(("media-wrong-port",), state="silent", states={YARD: "streaming"}, streams=WELL,
                 says={"media-wrong-port": "listens there"})  # fmt: skip


@scene
def group_ends_without_a_querier_and_unicast_goes_on(wire: Wire) -> Truth:
    group = "239.9.1.2"
    reader = Reader(wire)
    reader.timeout = None
    reader.flow.open(0.2, 0.002)
    reader.describe(0.25, SDP)
    reader.set_up(0.3, f"{reader.url}/track1", 7000, group=group)
    reader.play(0.35)
    body = struct.pack("!BBHBBBB", 0x16, 0, 0, *(int(p) for p in group.split(".")))
    wire.add(0.5, ethernet(ETH0, "01:00:5e:09:01:02", 0x800, ipv4(APPLIANCE, group, 2, body, 1)))
    film = Film(fps=2, gop=4, parts=1, key_parts=2)
    reader.film(0.6, 262, film, port=7000, group=group, silent=True)
    for at in range(20, 275, 25):
        reader.in_session(at, "OPTIONS")
    other = yard(wire).start(0.3, SDP, ports=6020)
    other.film(0.7, 275, Film(ssrc=TWO, fps=2, gop=4, parts=1, key_parts=2), port=6020)
    return Truth(("multicast-no-querier",), state="silent", states={YARD: "streaming"})


# ---------------------------------------------------------------- shared fate


@scene
def all_of_the_port_falls_silent_inside_tcp_and_over_udp(wire: Wire) -> Truth:
    """Three cameras, two transports, one moment: the port, its switch or cable."""
    plays(Reader(wire), 0.2, 15, ssrc=ONE, ports=6000)
    plays(yard(wire), 0.3, 15, channel=0)
    plays(Reader(wire, 42_000, **SIX), 0.4, 15, ssrc=3, ports=6040)
    wire.quiet(15, 32)
    return Truth(("cameras-silent",), state="silent", states={YARD: "silent", "fd20::11": "silent"},
                 never=("camera-reboot",), allowed=("not-a-mirror",))  # fmt: skip


@scene
def one_camera_is_off_and_another_answers(wire: Wire) -> Truth:
    """Nobody names the cameras: the reader asks in vain for the one at .12, by ARP and by SYN."""
    plays(Reader(wire), 0.2, 40, ssrc=ONE, ports=6000)
    for number in range(10):
        wire.add(2 + 3.5 * number, arp_packet(1, ETH0, APPLIANCE, YARD))
        wire.add(3 + 3.5 * number, arp_packet(1, ETH0, APPLIANCE, YARD))
        wire.add(4 + 3.5 * number, arp_packet(1, ETH0, APPLIANCE, YARD))
    return Truth(("camera-unreachable",), states={YARD: "unreachable"}, bare=(),
                 says={"camera-unreachable": "yard"})  # fmt: skip


@scene
def cameras_on_odd_ports(wire: Wire) -> Truth:
    plays(Reader(wire, port=8554), 0.2, 20, ssrc=ONE, ports=6000)
    plays(yard(wire, port=10554), 0.3, 20, channel=0)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def bursts_of_two_of_three_cameras_coincide(wire: Wire) -> Truth:
    """Two share an uplink that drops; the third does not."""
    gone = {n + k for n in range(60, 400, 40) for k in range(4)}
    for number, (reader, ssrc) in enumerate(((Reader(wire), ONE), (yard(wire), TWO))):
        ports = 6000 + 20 * number
        reader.start(0.2, SDP, ports=ports)
        reader.film(0.6, 35, slow(ssrc), port=ports, lose=gone, silent=True)
    plays(Reader(wire, 42_000, **SIX), 0.3, 35, ssrc=3, ports=6040)
    return Truth(("loss-shared",), state="losing", states={YARD: "losing", "fd20::11": "streaming"},
                 streams={3: {"lost": 0}}, says={"loss-shared": "1 other does not"})  # fmt: skip


# ---------------------------------------------------------------- names


def titled(wire: Wire, reader: Reader, title: str, ssrc: int, ports: int) -> None:
    reader.start(0.2, description(media_line(), title=title), ports=ports)
    reader.film(0.6, 12, slow(ssrc), port=ports)


@scene
def titles_of_software_name_no_camera(wire: Wire) -> Truth:
    titled(wire, Reader(wire), "Media Server", ONE, 6000)
    titled(wire, yard(wire), "RTSP Session", TWO, 6020)
    return Truth(streams=BOTH, names={CAMERA: CAMERA, YARD: YARD})


@scene
def more_titles_of_software(wire: Wire) -> Truth:
    titled(wire, Reader(wire), 'Session streamed by "LIVE555 Media Server"', ONE, 6000)
    titled(wire, yard(wire), "Streamed by the RTSP server", TWO, 6020)
    return Truth(streams=BOTH, names={CAMERA: CAMERA, YARD: YARD})


@scene
def onvif_is_better_than_lease_and_lease_than_mdns(wire: Wire) -> Truth:
    announced(wire, 0.05, "cam-a1b2.local", CAMERA_MAC, CAMERA)
    leased(wire, 0.06, "ipc-lobby", CAMERA_MAC, CAMERA)
    titled(wire, Reader(wire), "Media Presentation", ONE, 6000)
    probe_match(wire, 3, "Lobby", "M3045")
    announced(wire, 0.07, "gate-cam.local", YARD_MAC, YARD)
    titled(wire, yard(wire), "Unnamed", TWO, 6020)
    return Truth(streams=BOTH, names={CAMERA: "Lobby", YARD: "gate-cam"})


@scene
def two_cameras_with_one_name_of_their_leases(wire: Wire) -> Truth:
    """Both ask for an address as `ipcamera`: each keeps a name of its own."""
    leased(wire, 0.05, "ipcamera", CAMERA_MAC, CAMERA)
    leased(wire, 0.06, "ipcamera", YARD_MAC, YARD)
    titled(wire, Reader(wire), "Media Presentation", ONE, 6000)
    titled(wire, yard(wire), "Media Presentation", TWO, 6020)
    return Truth(streams=BOTH, states={YARD: "streaming"})


# ---------------------------------------------------------------- other clothes


@scene
def lf_alone_lower_case_and_junk_between_frames(wire: Wire) -> Truth:
    one = Reader(wire)
    one.end, one.lower = "\n", True
    one.start(0.2, SDP)
    one.film(0.6, 20, slow())
    two = yard(wire).start(0.3, SDP, channel=0)
    film = slow(TWO)
    for number in range(190):
        for part, packet in enumerate(film.picture()):
            two.packet(0.7 + number / 10 + part * 0.0003, packet, channel=0)
        if number % 5 == 2:
            two.flow.answer(0.75 + number / 10, bytes(3) if number % 2 else b"\r\n\r\n")
            two.flow.ack(0.76 + number / 10)
    return Truth(streams={ONE: {"lost": 0, "fps": 10.0}, TWO: {"lost": 0, "fps": 10.0}},
                 states={YARD: "streaming"})  # fmt: skip


@scene
def secure_media_of_one_lose_and_the_other_plays(wire: Wire) -> Truth:
    """SRTP with its signalling in clear: loss is counted without the payload."""
    sdp = description(media_line(profile="RTP/SAVP", extra="a=crypto:1 AES_CM_128_HMAC_SHA1_80 "
                                 "inline:" + "A" * 40))  # fmt: skip
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.25, sdp)
    reader.set_up(0.3, f"{reader.url}/track1", profile="RTP/SAVP")
    reader.play(0.35)
    reader.film(0.6, 35, slow(encrypted=True), lose=lambda n: n % 25 == 3, silent=True)
    plays(yard(wire), 0.3, 35)
    return Truth(("stream-loss",), state="losing", states={YARD: "streaming"}, streams=WELL,
                 of=(("stream-loss", "dock"),))  # fmt: skip


@scene
def events_are_pulled_beside_two_pictures(wire: Wire) -> Truth:
    """ONVIF's PullMessages over HTTP each two seconds: neither a picture nor a violation."""
    plays(Reader(wire), 0.2, 20, ssrc=ONE, ports=6000)
    plays(yard(wire), 0.3, 20, channel=0)
    flow = wire.tcp(("02:00:00:00:07:77", "10.20.0.77", 45_200), (CAMERA_MAC, CAMERA, 80))
    flow.open(0.5)
    asked = b"<s:Envelope><s:Body><PullMessages><Timeout>PT2S</Timeout></PullMessages>"
    said = b"<s:Envelope><s:Body><tev:PullMessagesResponse>" + b" " * 300
    for number in range(9):
        at = 0.6 + 2 * number
        flow.send(at, b"POST /onvif/Events HTTP/1.1\r\nHost: cam\r\nContent-Type: application/soap+"
                  b"xml\r\nContent-Length: %d\r\n\r\n" % len(asked) + asked)  # fmt: skip
        flow.answer(at + 1.9, b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n"
                    b"Content-Length: %d\r\n\r\n" % len(said) + said)  # fmt: skip
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def pictures_over_http_from_one_and_rtsp_from_the_other(wire: Wire) -> Truth:
    flow = wire.tcp((RECORDER_MAC, RECORDER, 45_100), (CAMERA_MAC, CAMERA, 80))
    flow.open(0.1)
    flow.send(0.15, b"GET /video.mjpg HTTP/1.1\r\nHost: cam\r\n\r\n")
    flow.answer(0.2, b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; "
                b"boundary=--part\r\n\r\n")  # fmt: skip
    for number in range(150):
        picture = b"\xff\xd8" + bytes([number]) * 900 + b"\xff\xd9"
        flow.answer(0.3 + number / 10, b"--part\r\nContent-Type: image/jpeg\r\nContent-Length: %d"
                    b"\r\n\r\n" % len(picture) + picture + b"\r\n")  # fmt: skip
        if number % 5 == 4:
            flow.ack(0.31 + number / 10)
    plays(yard(wire), 0.3, 15)
    return Truth(streams=WELL, states={YARD: "streaming"}, state="streaming")


# ---------------------------------------------------------------- what they are called meanwhile


@scene
def one_is_paused_and_the_other_recovers(wire: Wire) -> Truth:
    one = Reader(wire).start(0.2, SDP)
    film = one.film(0.6, 15, slow())
    one.in_session(15.1, "PAUSE")
    two = yard(wire).start(0.3, SDP, ports=6020)
    film = two.film(0.7, 10, slow(TWO), port=6020, silent=True)
    film.stamp += 90_000 * 8
    two.film(18, 40, film, port=6020, silent=True)
    two.reports(2, 40, film, port=6021)
    return Truth(("stream-frozen",), over=("stream-frozen",), state="paused",
                 states={YARD: "streaming"}, of=(("stream-frozen", "yard"),))  # fmt: skip


@scene
def refused_until_the_password_is_put_right_at_both(wire: Wire) -> Truth:
    for number in range(4):
        at = 1 + 5 * number
        for one in (Reader(wire, 40_000 + number), yard(wire, 41_000 + number)):
            one.flow.open(at, 0.002)
            one.challenge(at + 0.1, "DESCRIBE")
            one.challenge(at + 0.2, "DESCRIBE", sent=True)
            one.flow.close(at + 0.3)
    plays(Reader(wire, 40_009), 22, 40, ssrc=ONE, ports=6000)
    plays(yard(wire, 41_009), 22.1, 40)
    return Truth(("rtsp-auth", "rtsp-auth"), over=("rtsp-auth",), streams=BOTH,
                 states={YARD: "streaming"})  # fmt: skip


@scene
def appliance_changes_from_udp_to_tcp_and_a_viewer_stays(wire: Wire) -> Truth:
    one = Reader(wire).start(0.2, SDP)
    one.film(0.6, 12, slow())
    one.in_session(12.1, "TEARDOWN")
    one.flow.close(12.2)
    plays(Reader(wire, 40_001), 13, 30, ssrc=0xF0, channel=0)
    plays(Reader(wire, 52_000, **VIEWER), 0.4, 30, ssrc=0xF1, ports=7000)  # type: ignore[arg-type]
    plays(yard(wire), 0.3, 30)
    return Truth(streams={ONE: {"lost": 0}, 0xF0: {"lost": 0}, 0xF1: {"lost": 0}, **WELL},
                 states={YARD: "streaming"})  # fmt: skip


@scene
def one_reboots_and_the_other_has_its_stream_again_at_once(wire: Wire) -> Truth:
    """The dock is away for 20 s, announces itself and is played again; the yard's reader
    reconnects by itself within the second."""
    one = Reader(wire).start(0.2, SDP)
    one.film(0.6, 12, slow())
    for number in range(6):
        wire.add(14 + 2 * number, arp_packet(1, ETH0, APPLIANCE, CAMERA))
        wire.add(15 + 2 * number, arp_packet(1, ETH0, APPLIANCE, CAMERA))
    wire.add(32, arp_packet(1, CAMERA_MAC, CAMERA, CAMERA))
    wire.add(32.1, arp_packet(1, CAMERA_MAC, CAMERA, CAMERA))
    wire.add(33.8, arp_packet(1, ETH0, APPLIANCE, CAMERA, EVERYBODY))
    wire.add(33.81, arp_packet(2, CAMERA_MAC, CAMERA, APPLIANCE, ETH0))
    plays(Reader(wire, 40_001), 34, 55, ssrc=0xAB, ports=6002)
    two = yard(wire).start(0.3, SDP, ports=6020)
    two.film(0.7, 20, slow(TWO), port=6020)
    two.in_session(20.1, "TEARDOWN")
    two.flow.close(20.2)
    plays(yard(wire, 41_001), 20.3, 55, ssrc=0xAC, ports=6022)
    return Truth(("camera-reboot",), states={YARD: "streaming"}, of=(("camera-reboot", "dock"),),
                 allowed=("stream-frozen", "camera-unreachable"),
                 over=("stream-frozen", "camera-unreachable"))  # fmt: skip
