"""Cameras of real makes that fail, as their owners tell it."""

from __future__ import annotations

import struct

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import (
    CAMERA_MAC,
    ETH0,
    EVERYBODY,
    Wire,
    arp_packet,
    dhcp_packet,
    ethernet,
    ipv4,
)
from tests.made_up import APPLIANCE, CAMERA

SDP = description(media_line())
VIEWER = {"client": "10.20.0.88", "client_mac": "02:00:00:00:08:88", "agent": "LibVLC/3.0.20"}
GROUP = "239.20.0.11"


def tries(wire: Wire, times: int = 3, every: float = 6.0, *, sport: int = 40_000,
          **more: object) -> list[tuple[float, Reader]]:  # fmt: skip
    """Some connections of the reader, opened; the times are those of their first request."""
    out = []
    for number in range(times):
        at = 0.2 + every * number
        reader = Reader(wire, sport + number, **more)  # type: ignore[arg-type]
        reader.flow.open(at, 0.002)
        out.append((at + 0.1, reader))
    return out


@scene
def moved_to_itself_without_end(wire: Wire) -> Truth:
    """Each DESCRIBE is answered 302 with the address that was asked."""
    for at, reader in tries(wire, 4):
        for number in range(4):
            reader.pair(at + 0.1 * number, "DESCRIBE", "302 Moved Temporarily", auth=True,
                        Location=reader.url)  # fmt: skip
        reader.flow.close(at + 0.6)
    return Truth(
        ("rtsp-error",),
        state="refused",
        says={"rtsp-error": "302.*back to.*asked already(.|\n)*redirects to itself"},
    )


@scene
def moved_to_an_encrypted_address(wire: Wire) -> Truth:
    """Plain RTSP was turned off: 301 to rtsps, which the reader cannot follow."""
    for at, reader in tries(wire):
        reader.options(at)
        reader.pair(at + 0.1, "DESCRIBE", "301 Moved Permanently",
                    Location=f"rtsps://{CAMERA}:322/stream1")  # fmt: skip
        reader.flow.close(at + 0.3)
    return Truth(
        ("rtsp-error",), state="refused", says={"rtsp-error": "rtsps(.|\n)*without encryption on"}
    )


@scene
def only_sha256_is_offered_and_the_reader_gives_up(wire: Wire) -> Truth:
    for at, reader in tries(wire):
        reader.ask(at, "DESCRIBE")
        reader.tell(at + 0.01, "401 Unauthorized", WWW_Authenticate='Digest realm="IPC", '
                    'nonce="a1", algorithm=SHA-256')  # fmt: skip
        reader.flow.close(at + 0.1)
    return Truth(("rtsp-auth",), state="refused", of=(("rtsp-auth", "dock"),),
                 acts={"rtsp-auth": "who administers the appliance"},
                 says={"rtsp-auth": "only .*SHA-256"})  # fmt: skip


@scene
def cut_when_the_password_comes(wire: Wire) -> Truth:
    """401, then the right-looking credentials, and the camera closes without a word."""
    for at, reader in tries(wire, 4):
        reader.challenge(at, "DESCRIBE")
        reader.ask(at + 0.1, "DESCRIBE", Authorization='Digest username="admin", response="0"')
        reader.flow.close(at + 0.2, by_server=True)
    return Truth(("rtsp-silent|rtsp-auth|rtsp-lockout",), state=None)


@scene
def track_is_not_found_at_setup(wire: Wire) -> Truth:
    for at, reader in tries(wire):
        reader.describe(at, SDP)
        reader.pair(at + 0.1, "SETUP", "404 Not Found", reader.url + "/track1",
                    asks={"Transport": "RTP/AVP;unicast;client_port=6000-6001"})  # fmt: skip
        reader.flow.close(at + 0.3)
    return Truth(("rtsp-not-found",), state="refused", says={"rtsp-not-found": "SETUP"})


@scene
def session_is_forgotten_before_play(wire: Wire) -> Truth:
    for at, reader in tries(wire):
        reader.describe(at, SDP)
        reader.set_up(at + 0.1, reader.url + "/track1")
        reader.play(at + 0.2, status="454 Session Not Found")
        reader.flow.close(at + 0.4)
    return Truth(("rtsp-error",), state="refused", says={"rtsp-error": "454.*PLAY"})


@scene
def play_is_not_valid_in_this_state(wire: Wire) -> Truth:
    for at, reader in tries(wire):
        reader.describe(at, SDP)
        reader.set_up(at + 0.1, reader.url + "/track1")
        reader.play(at + 0.2, status="455 Method Not Valid In This State")
        reader.flow.close(at + 0.4)
    return Truth(("rtsp-error",), state="refused", says={"rtsp-error": "455"})


@scene
def backchannel_is_required_and_always_refused(wire: Wire) -> Truth:
    """The reader insists on Require, the camera on 551."""
    for at, reader in tries(wire):
        reader.pair(at, "DESCRIBE", "551 Option not supported", auth=True,
                    asks={"Require": "www.onvif.org/ver20/backchannel"},
                    Unsupported="www.onvif.org/ver20/backchannel")  # fmt: skip
        reader.flow.close(at + 0.2)
    return Truth(("rtsp-error",), state="refused", says={"rtsp-error": "551"})


@scene
def internal_error_for_half_a_minute(wire: Wire) -> Truth:
    """500 while the encoder starts, then it plays."""
    for at, reader in tries(wire, 5):
        reader.pair(at, "DESCRIBE", "500 Internal Server Error", auth=True)
        reader.flow.close(at + 0.2)
    Reader(wire, 40_010).start(31, SDP).film(31.5, 48)
    return Truth(("rtsp-error",), over=("rtsp-error",))


@scene
def description_is_empty(wire: Wire) -> Truth:
    """200 to DESCRIBE, and no m= line at all."""
    for at, reader in tries(wire):
        reader.describe(at, description())
        reader.flow.close(at + 0.3)
    return Truth(
        ("stream-codec|rtsp-error",), state=None, of=(("stream-codec|rtsp-error", "dock"),)
    )


@scene
def secure_profile_is_wanted(wire: Wire) -> Truth:
    """The camera gives only RTP/SAVP; the reader asks for AVP."""
    for at, reader in tries(wire):
        reader.describe(at, description(media_line(profile="RTP/SAVP")))
        reader.pair(at + 0.1, "SETUP", "461 Unsupported Transport", reader.url + "/track1",
                    asks={"Transport": "RTP/AVP;unicast;client_port=6000-6001"})  # fmt: skip
        reader.flow.close(at + 0.3)
    return Truth(("rtsp-transport",), state="refused", says={"rtsp-transport": "SRTP"})


@scene
def five_seconds_of_time_out_and_no_keep_alive(wire: Wire) -> Truth:
    """Session: ...;timeout=5; the reader thinks of 60."""
    for number in range(4):
        at = 0.2 + 6.5 * number
        reader = Reader(wire, 40_000 + number)
        reader.timeout = 5
        reader.start(at, SDP, ports=6000 + 10 * number)
        reader.film(at + 0.4, at + 5.5, Film(ssrc=0x500 + number), port=6000 + 10 * number,
                    silent=True)  # fmt: skip
        reader.flow.close(at + 5.6, by_server=True)
    return Truth(("rtsp-timeout",), state=None, says={"rtsp-timeout": "5 s"},
                 never=("camera-reboot", "rtsp-closed"))  # fmt: skip


@scene
def keep_alive_is_refused_with_451_and_the_session_ends(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.timeout = 30
    reader.start(0.2, SDP).film(0.6, 30.5, Film(fps=10, gop=20), silent=True)
    reader.in_session(15, "GET_PARAMETER", "451 Parameter Not Understood")
    reader.flow.close(30.6, by_server=True)
    wire.quiet(30, 37, interface=0)
    return Truth(("rtsp-timeout",), state=None, says={"rtsp-timeout": "GET_PARAMETER"})


@scene
def media_go_to_the_port_of_the_reports(wire: Wire) -> Truth:
    """The camera has the two ports the wrong way round."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 20, port=6001, silent=True)
    return Truth(
        ("media-wrong-port",), state=None, says={"media-wrong-port": "6001.*second for reports"}
    )


@scene
def numbers_start_anew_with_each_key_frame(wire: Wire) -> Truth:
    """An encoder that counts its packets from nought each two seconds."""
    reader = Reader(wire).start(0.2, SDP)
    film = Film(gop=50)
    for number in range(12):
        film.sequence = 0
        reader.film(0.6 + 2 * number, 2.59 + 2 * number, film, silent=True)
    return Truth(("stream-restart",), state=None, never=("camera-reboot",))


@scene
def stamps_start_anew_with_each_key_frame(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = Film(gop=50)
    for number in range(12):
        film.stamp = 0
        reader.film(0.6 + 2 * number, 2.59 + 2 * number, film, silent=True)
    reader.reports(2, 24, film)
    return Truth(("stream-timestamps|stream-restart",), state=None)


@scene
def long_key_frame_distance_of_a_smart_codec(wire: Wire) -> Truth:
    """H.264+: a key frame each 30 s while nothing moves."""
    Reader(wire).start(0.2, SDP).film(0.6, 95, Film(fps=10, gop=300, parts=1))
    return Truth(("stream-gop",), state=None, of=(("stream-gop", "dock"),))


@scene
def wireless_bridge_sends_in_bursts(wire: Wire) -> Truth:
    """Four pictures at once, five times a second."""

    def late(number: int) -> float:
        return (3 - number % 4) * 0.05

    Reader(wire).start(0.2, SDP).film(0.6, 40, Film(fps=20, gop=40), late=late)
    return Truth(("stream-jitter",), state=None, of=(("stream-jitter", "dock"),))


@scene
def key_frames_lose_their_ends_at_a_small_port(wire: Wire) -> Truth:
    """Two cameras behind one 100 Mb/s uplink: the ends of key frames that meet are lost."""
    for number, (address, mac) in enumerate(((CAMERA, CAMERA_MAC),
                                             ("10.20.0.12", "02:00:00:00:01:12"))):  # fmt: skip
        reader = Reader(wire, 40_000 + number, address=address, mac=mac)
        reader.start(0.2 + 0.01 * number, SDP, ports=6000 + 10 * number)
        film = Film(ssrc=0x80 + number, gop=25, key_parts=40)
        reader.film(0.6 + 0.01 * number, 38, film, port=6000 + 10 * number,
                    lose=lambda n: n % 88 in (36, 37, 38, 39))  # fmt: skip
    return Truth(("loss-shared",), state=None, allowed=("stream-burst",))


@scene
def power_fails_at_night_and_comes_back(wire: Wire) -> Truth:
    """PoE budget: the lamps go on, the camera is gone for 40 s, and asks for its address anew."""
    Reader(wire).start(0.2, SDP).film(0.6, 15)
    for number in range(8):
        wire.add(18 + 4 * number, arp_packet(1, ETH0, APPLIANCE, CAMERA))
    server = ("02:00:00:00:02:01", "10.20.0.1", 67)
    for at, kind in ((52, 1), (52.1, 2), (52.2, 3), (52.3, 5)):
        if kind in (1, 3):
            wire.udp(at, (CAMERA_MAC, "0.0.0.0", 68), (EVERYBODY, "255.255.255.255", 67),
                     dhcp_packet(kind, CAMERA_MAC))  # fmt: skip
        else:
            wire.udp(at, server, (CAMERA_MAC, CAMERA, 68),
                     dhcp_packet(kind, CAMERA_MAC, yours=CAMERA))  # fmt: skip
    Reader(wire, 40_010).start(60, SDP).film(60.5, 75, Film(ssrc=0x88, stamp=7))
    return Truth(("camera-reboot", "camera-unreachable|stream-frozen"),
                 over=("camera-unreachable", "stream-frozen"))  # fmt: skip


@scene
def third_reader_is_cut_at_setup(wire: Wire) -> Truth:
    """A camera for two readers: the third is accepted, described, and cut off at SETUP."""
    for number in range(2):
        other = Reader(wire, 52_000 + number, client=f"10.20.0.{80 + number}",
                       client_mac=f"02:00:00:00:08:{number:02x}", agent="go2rtc")  # fmt: skip
        other.start(0.1 + 0.1 * number, SDP, channel=0)
        other.film(0.8, 24, Film(ssrc=0x90 + number, fps=10, gop=20), channel=0)
    for at, reader in tries(wire, 4):
        reader.describe(at, SDP)
        reader.ask(at + 0.1, "SETUP", reader.url + "/track1",
                   Transport="RTP/AVP/TCP;unicast;interleaved=0-1")  # fmt: skip
        reader.flow.close(at + 0.2, by_server=True)
    return Truth(("rtsp-silent|rtsp-sessions",), state=None,
                 of=(("rtsp-silent|rtsp-sessions", "dock"),),
                 says={"rtsp-silent": "SETUP"})  # fmt: skip


@scene
def small_camera_hangs_after_two_seconds(wire: Wire) -> Truth:
    """Two seconds of picture in each session, then nothing; the reader tries anew each 15 s."""
    for number in range(3):
        at = 0.2 + 15 * number
        reader = Reader(wire, 40_000 + number).start(at, SDP, channel=0)
        reader.film(at + 0.4, at + 2.4, Film(ssrc=0xE50 + number, fps=10), channel=0)
        if number < 2:
            reader.in_session(at + 12, "TEARDOWN")
            reader.flow.close(at + 12.2)
    wire.quiet(33, 44, interface=0)
    return Truth(("stream-frozen",), state="silent", of=(("stream-frozen", "dock"),))


@scene
def firewall_forgets_the_media_after_half_a_minute(wire: Wire) -> Truth:
    """UDP media end at 30 s, while RTSP goes on answering."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 30)
    for at in (20, 40, 50):
        reader.in_session(at, "GET_PARAMETER")
    wire.quiet(50, 52, interface=0)
    return Truth(("stream-frozen",), state="silent")


@scene
def reader_does_not_read_any_more(wire: Wire) -> Truth:
    """The appliance's window closes for 20 s; the camera probes it."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    reader.film(0.6, 15, channel=0)
    flow = reader.flow
    flow.window_out = 0
    flow.ack(15.05)
    for number in range(8):
        at = 15.3 + 2.4 * number
        flow.segment(at, False, 16, b"\0", flow.got - 1)
        flow.ack(at + 0.001)
    wire.quiet(30, 35, interface=0)
    return Truth(("receiver-slow",), state=None,
                 acts={"receiver-slow": "who administers the appliance"})  # fmt: skip


@scene
def multicast_ends_without_a_querier(wire: Wire) -> Truth:
    """No querier: snooping forgets the reader 260 s after its only report."""
    low = bytes(int(part) for part in GROUP.split("."))
    record = struct.pack("!BBHHH", 0x22, 0, 0, 0, 1) + struct.pack("!BBH4s", 4, 0, 0, low)
    wire.add(0.4, ethernet(ETH0, "01:00:5e:00:00:16", 0x800,
                           ipv4(APPLIANCE, "224.0.0.22", 2, record, 1)))  # fmt: skip
    reader = Reader(wire)
    reader.flow.open(0.1)
    reader.describe(0.15, SDP)
    reader.set_up(0.2, reader.url + "/track1", 6000, group=GROUP)
    reader.play(0.3)
    reader.film(0.6, 260.4, Film(fps=4, gop=8, parts=1, key_parts=2), group=GROUP,
                silent=True)  # fmt: skip
    for at in range(25, 275, 25):
        reader.in_session(at, "OPTIONS")
    wire.quiet(260, 276, interface=0)
    return Truth(("multicast-no-querier",), state="silent")


@scene
def another_host_has_the_cameras_address(wire: Wire) -> Truth:
    """A second camera with the same address answers ARP as well."""
    Reader(wire).start(0.2, SDP).film(0.6, 30)
    for number in range(6):
        at = 3 + 4 * number
        wire.add(at, arp_packet(1, ETH0, APPLIANCE, CAMERA))
        wire.add(at + 0.001, arp_packet(2, CAMERA_MAC, CAMERA, APPLIANCE, ETH0))
        wire.add(at + 0.002, arp_packet(2, "02:00:00:00:0e:0e", CAMERA, APPLIANCE, ETH0))
    return Truth(("ip-conflict",), state="streaming", of=(("ip-conflict", "dock"),))


@scene
def password_was_changed_while_the_camera_was_off(wire: Wire) -> Truth:
    """It plays, is reset, comes back, and the old password is refused from then on."""
    Reader(wire).start(0.2, SDP).film(0.6, 12)
    for number in range(2):
        wire.add(40 + number, arp_packet(1, CAMERA_MAC, CAMERA, CAMERA))
    for number in range(4):
        reader = Reader(wire, 40_010 + number)
        reader.flow.open(45 + 6 * number)
        reader.challenge(45.1 + 6 * number, "DESCRIBE")
        reader.challenge(45.2 + 6 * number, "DESCRIBE", sent=True)
        reader.flow.close(45.4 + 6 * number)
    return Truth(("rtsp-auth",), state="refused", allowed=("camera-reboot",))


@scene
def motion_jpeg_of_a_tiny_board(wire: Wire) -> Truth:
    """Type 26 without an rtpmap, ten pictures a second: the appliance cannot read it."""
    reader = Reader(wire, port=8554, path="/mjpeg/1")
    reader.start(0.2, description("m=video 0 RTP/AVP 26\r\na=control:track1\r\n"), login=False)
    reader.film(0.6, 20, Film("JPEG", fps=10, parts=6, key_parts=6))
    return Truth(("stream-codec",), state=None)


@scene
def sub_stream_alone_is_h265(wire: Wire) -> Truth:
    """The appliance reads /sub, which is H.265, and gets its pictures; they are of no use to it."""
    reader = Reader(wire, path="/sub")
    reader.start(0.2, description(media_line("H265", 98)))
    reader.film(0.6, 20, Film("H265", 98))
    return Truth(("stream-codec",), state=None, says={"stream-codec": r"H\.?265"})


@scene
def picture_falls_apart_behind_a_bad_cable(wire: Wire) -> Truth:
    """One packet in 25 is lost, evenly, from this camera alone; a neighbour loses nothing."""
    other = {"address": "10.20.0.12", "mac": "02:00:00:00:01:12"}
    Reader(wire, 41_000, **other).start(0.1, SDP, ports=6100).film(0.6, 36, Film(ssrc=2), port=6100)
    Reader(wire).start(0.2, SDP).film(0.6, 36, lose=lambda n: n % 25 == 7)
    return Truth(("stream-loss",), state="losing", severity={"stream-loss": "error"},
                 of=(("stream-loss", "dock"),), states={"10.20.0.12": "streaming"},
                 never=("loss-shared",))  # fmt: skip


@scene
def whole_seconds_are_lost_over_a_radio_link(wire: Wire) -> Truth:
    """Twice a second and a half is gone, with its packets: loss and no standstill of the camera."""

    def gone(n: int) -> bool:
        return 500 <= n < 585 or 1500 <= n < 1585

    Reader(wire).start(0.2, SDP).film(0.6, 45, lose=gone)
    return Truth(("stream-loss",), state=None, never=("stream-restart",),
                 allowed=("stream-jitter", "stream-frozen"))  # fmt: skip


@scene
def updated_its_firmware_by_night(wire: Wire) -> Truth:
    """All readers are torn down, 70 s of refused connections, ARP, then all plays again."""
    one, two = Reader(wire), Reader(wire, 52_000, **VIEWER)
    one.start(0.2, SDP).film(0.6, 14)
    two.start(0.4, SDP, ports=7000).film(0.8, 14, Film(ssrc=0x77), port=7000)
    one.flow.close(14.05, by_server=True)
    two.flow.close(14.06, by_server=True)
    for number in range(6):
        flow = wire.tcp((ETH0, APPLIANCE, 40_100 + number), (CAMERA_MAC, CAMERA, 554))
        flow.syn(30 + 8 * number)
        flow.reset(30.003 + 8 * number)
    for at in (78, 79):
        wire.add(at, arp_packet(1, CAMERA_MAC, CAMERA, CAMERA))
    Reader(wire, 40_200).start(85, SDP).film(85.5, 100, Film(ssrc=0x78, stamp=3))
    return Truth(("camera-reboot",))
