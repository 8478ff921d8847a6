"""What becomes of pictures on their way, each beside the same scene in which they arrive well.

A site with three cameras and a cloud that works; what differs between a fault and its twin is the
fault alone.
"""

from __future__ import annotations

import struct

from tests.diagnosis.wire import ETH0, Rtsp, Tcp, ethernet, ipv4
from tests.made_up import START
from tests.situations.cameras import GATE, YARD, filmed, reports, streams
from tests.situations.endpoints import others_work
from tests.situations.situation import situation
from tests.situations.town import CAMERA, PORT0, SYN, Town

NTP_EPOCH = 2_208_988_800
GROUP = "239.1.2.3"
CAMERA_ROUTER = ("02:00:00:00:02:09", "10.20.0.1")


def alike(*told: str, twin: str, fault: str, well: str, build: object, **more: object) -> None:
    """Registers `build(True)` under the name `fault` and `build(False)` under `twin`."""
    for name, text, is_fault in ((fault, build.__doc__, True), (twin, well, False)):  # type: ignore[attr-defined]

        def made(is_fault: bool = is_fault) -> Town:
            return build(is_fault)  # type: ignore[operator, no-any-return]

        made.__name__, made.__doc__ = name, text
        fields = {**more, "twin": twin.replace("_", "-")} if is_fault else {}
        situation(*(told if is_fault else ()), **{"site": filmed, **fields})(made)


def site_at_work(end: float = 90) -> Town:
    town = Town()
    town.lives(end)
    others_work(town, 12, end - 10)
    return town


def _refuses(fault: bool) -> Town:
    """Two cameras stream; the gate's answers each SYN to 554 with a reset, for a minute."""
    town = site_at_work()
    for one in streams(town, 1, CAMERA, YARD):
        one.media(2, 90, packets=1)
        reports(one, 5, 90)
    for n in range(6 if fault else 1):
        town.arp(4.9 + 12 * n, PORT0, GATE[1], GATE[0])
        tried = town.tcp((*PORT0, 45_000 + n), (*GATE, 554))
        tried.segment(5 + 12 * n, True, SYN)
        tried.sent += 1
        tried.reset(5.001 + 12 * n)
    if not fault:
        served = Rtsp(town, 45_100, address=GATE[1], camera_mac=GATE[0], ports=6_400).play(5.6)
        served.media(6.2, 90, packets=1)
        reports(served, 7, 90)
    return town


alike("camera-refused", build=_refuses, says={"camera-refused": "gate"},
      fault="a_camera_refuses_each_connection", twin="a_camera_refuses_once_and_serves_then",
      well="As before, but its service has just begun: the second SYN is answered.")  # fmt: skip


def _expires(fault: bool) -> Town:
    """The reader keeps its session alive by GET_PARAMETER each 25 s; a firewall drops what comes
    after 60 s, and the camera closes the connection when its time-out of 60 s is over."""
    town = site_at_work(150)
    dock, yard = (Rtsp(town, 41_000 + n, address=address, camera_mac=mac, ports=6_000 + 10 * n)
                  for n, (mac, address) in enumerate((CAMERA, YARD)))  # fmt: skip
    dock.play(1), yard.play(1.05)
    last = 51.0
    dock.media(2, last + 60.4 if fault else 150, packets=1)
    yard.media(2, 150, packets=1)
    reports(yard, 5, 150)
    for at in (26.0, last, *(() if fault else (76.0, 101.0, 126.0))):
        dock.say(at, "GET_PARAMETER", asks="Session: 77\r\n")
    if fault:
        dock.flow.close(last + 60.5, by_server=True)
    return town


alike("rtsp-timeout", build=_expires, says={"rtsp-timeout": r"dock.*60 s"},
      also=("stream-frozen",),
      fault="a_session_is_not_kept_alive", twin="a_session_is_kept_alive_by_requests",
      well="As before, and each GET_PARAMETER reaches the camera.")  # fmt: skip


def _together(fault: bool) -> Town:
    """Three cameras lose three packets each in the same tenth of a second, every five seconds."""
    town = site_at_work()
    lose = tuple(n + k for n in range(200, 2200, 125) for k in range(3)) if fault else ()
    for one in streams(town, 1, CAMERA, YARD, GATE):
        one.media(2, 90, packets=1, lose=lose)
        reports(one, 5, 90)
    return town


alike("loss-shared", build=_together, fault="three_cameras_lose_in_the_same_moments",
      twin="three_cameras_lose_nothing", well="The three streams in whole.")  # fmt: skip


def _heavy(fault: bool) -> Town:
    """The yard's camera sends 11 Mb/s; the twin's sends 6.4 Mb/s."""
    town = site_at_work(60)
    dock, yard = streams(town, 1, CAMERA, YARD)
    dock.media(2, 60, packets=1)
    yard.media(2, 60, packets=40, size=1_350 if fault else 760)
    for one in (dock, yard):
        reports(one, 5, 60)
    return town


alike("stream-bitrate", build=_heavy, says={"stream-bitrate": "yard"},
      fault="a_stream_is_too_heavy", twin="a_stream_is_heavy_within_reason",
      well="As before, at 6.4 Mb/s.")  # fmt: skip


def report_of_sender(one: Rtsp, at: float, clock_s: float) -> None:
    """An RTCP sender report of a camera whose clock is off by `clock_s`."""
    stamp = int((START / 1e9 + at + clock_s + NTP_EPOCH) * 2**32) & (1 << 64) - 1
    body = struct.pack(
        "!BBHIQIII", 0x80, 200, 6, one.ssrc, stamp, one.stamp & 0xFFFFFFFF, 100, 9_000
    )
    one.wire.udp(
        at, (one.mac, one.address, 5001), (one.client_mac, one.client, one.ports + 1), body
    )


def _clock(fault: bool) -> Town:
    """The dock's camera believes that it is an hour earlier; its sender reports say so."""
    town = site_at_work()
    dock, yard = streams(town, 1, CAMERA, YARD)
    yard.media(2, 92, packets=1)
    for n in range(18):
        dock.media(2 + 5 * n, 7 + 5 * n, packets=1, key_every=25)
        report_of_sender(dock, 7 + 5 * n - 0.01, -3_600 if fault else 0.02)
    for one in (dock, yard):
        reports(one, 5, 90)
    return town


alike(build=_clock, info=("camera-clock",), says={"camera-clock": "dock"},
      fault="a_cameras_clock_is_an_hour_late", twin="a_cameras_clock_is_right",
      well="As before, with a clock that is right to 20 ms.")  # fmt: skip


def _window(fault: bool) -> Town:
    """The appliance reads over TCP and closes its window for 0.8 s every four seconds."""
    town = site_at_work(62)
    yard = streams(town, 1, YARD)[0]
    yard.media(2, 62, packets=1)
    reports(yard, 5, 62)
    dock = Rtsp(town, tcp=True).play(1)
    for n in range(15):
        at = 2 + 4 * n
        closed = 0.8 if fault else 0.2 * (n == 7)
        dock.media(at, at + 4 - closed, packets=1, key_every=25)
        if closed:
            shut(dock.flow, at + 4 - closed, closed)
            dock.stamp += int(closed * 90_000)  # what the camera could not send is thrown away
        if n % 6 == 5:
            dock.say(at + 3.999, "GET_PARAMETER", asks="Session: 77\r\n")
    return town


def shut(flow: Tcp, at: float, lasts: float) -> None:
    """The reader has no room for `lasts` seconds."""
    flow.window_out = 0
    flow.ack(at)
    flow.window_out = 60_000
    flow.ack(at + lasts)


alike("receiver-slow", build=_window, says={"receiver-slow": "eth0"},
      fault="the_appliance_shuts_its_window_again_and_again",
      twin="the_appliance_shuts_its_window_once",
      well="As before, but the window closes once only, for 0.2 s.")  # fmt: skip


def _group(fault: bool) -> Town:
    """The appliance joins a group once and nobody asks who still wants it: after 260 s the switch
    forwards it no more; the twin's router asks each 100 s and is answered."""
    town = site_at_work(320)
    member(town, 1.2)
    yard = streams(town, 1, YARD)[0]
    yard.media(2, 320, fps=5, packets=1, key_every=10)
    reports(yard, 5, 320)
    dock = Rtsp(town, group=GROUP).play(1)
    dock.media(2, 261.3 if fault else 320, fps=5, packets=1, key_every=10)
    for at in range(25, 320, 25):
        dock.say(at + 0.07, "GET_PARAMETER", asks="Session: 77\r\n")
    if not fault:
        for at in (30.0, 130.0, 230.0):
            asks = struct.pack("!BBH4s", 0x11, 100, 0, bytes(4))
            packet = ipv4(CAMERA_ROUTER[1], "224.0.0.1", 2, asks, 1)
            town.add(at, ethernet(CAMERA_ROUTER[0], "01:00:5e:00:00:01", 0x800, packet))
            member(town, at + 2)
    return town


def member(town: Town, at: float) -> None:
    """A membership report of the appliance."""
    low = bytes(int(p) for p in GROUP.split("."))
    mac = f"01:00:5e:{low[1] & 127:02x}:{low[2]:02x}:{low[3]:02x}"
    body = struct.pack("!BBH4s", 0x16, 0, 0, low)
    town.add(at, ethernet(ETH0, mac, 0x800, ipv4(PORT0[1], GROUP, 2, body, 1)))


alike("multicast-no-querier", build=_group, says={"multicast-no-querier": GROUP},
      fault="nobody_asks_who_still_wants_the_group", twin="a_router_asks_who_still_wants_the_group",
      well="As before, and a router asks each 100 s.")  # fmt: skip


def _tail(fault: bool) -> Town:
    """Key frames of forty packets lose their last five, all else arrives: a small buffer."""
    town = site_at_work()
    dock, yard = streams(town, 1, CAMERA, YARD)
    dock.media(2, 90, packets=2, key_packets=40, lose_key_tail=5 if fault else 0)
    yard.media(2, 90, packets=1)
    for one in (dock, yard):
        reports(one, 5, 90)
    return town


alike("stream-burst", build=_tail, says={"stream-burst": r"dock.*\d %"},
      severity={"stream-burst": "error"}, fault="switch_drops_the_tail_of_each_key_frame",
      twin="key_frames_pass_whole", well="As before, and key frames pass whole.")  # fmt: skip


def _restarts(fault: bool) -> Town:
    """The dock's camera is restarted by its own menu: it closes the session at 40 s, announces
    itself by ARP at 47 s and is read again at 52 s; the twin's reader leaves and comes back."""
    town = site_at_work(150)
    dock, yard = streams(town, 1, CAMERA, YARD)
    dock.media(2, 40, packets=1)
    yard.media(2, 150, packets=1)
    reports(yard, 5, 150)
    if fault:
        dock.flow.close(40.05, by_server=True)
        for at in (47.0, 48.0):
            town.announce(at, CAMERA)
    else:
        dock.say(40.01, "TEARDOWN", asks="Session: 77\r\n")
        dock.flow.close(40.1)
    again = Rtsp(town, 42_000, address=CAMERA[1], camera_mac=CAMERA[0], ports=6_100).play(52)
    again.media(53, 150, packets=1)
    reports(again, 55, 150)
    return town


alike("camera-reboot", build=_restarts, says={"camera-reboot": "dock"}, either=("camera-reboot",),
      fault="a_camera_restarts_within_seconds", twin="a_camera_is_left_and_read_again",
      well="As before, but its reader leaves it and comes back.")  # fmt: skip
