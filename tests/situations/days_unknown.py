"""Sites without a site file: what is learnt from the traffic, and what is told with it."""

from __future__ import annotations

import struct

from panotui.model import SECOND
from tests.situations.trace import Host, Tcp
from tests.situations.trace_names import lease, ntp
from tests.situations.trace_site import Day
from tests.situations.visit import visit


@visit("gateway-silent", either=("gateway-silent",), says={"*": "gateway"})
def gateway_that_is_the_resolver_dies_without_a_site_file():
    """The gateway, which answers for names and times as well, answers no ARP from 30 s on. Its own
    address is seen in all that it says itself: that it forwards is known by what comes through it.
    """
    p = Day(501, "single", 2)
    p.arps(0.1, 25)
    p.cloud(0.5, 28)
    p.stream(0.3, 70)
    p.lan(70)
    for t in range(32, 68, 5):
        p.w.ask(t, p.a0, p.cams[0])
        for i in range(3):
            p.w.ask(t + i, p.a1, p.gw, answer=False)
    p.sitetext = ""
    return p


@visit("neighbour-silent", severity={"neighbour-silent": "warning"}, says={"*": "109.*by ARP"})
def camera_is_off_from_the_first_packet_without_a_site_file():
    """A camera that nobody ever saw: the appliance asks for its address three times, each 8 s."""
    p = Day(502, "dual", 2)
    p.healthy(40)
    away = Host(f"{p.camnet}.109", "00:00:00:00:00:00")
    for t in range(3, 38, 8):
        for i in range(3):
            p.w.ask(t + i, p.a0, away, answer=False)
    p.sitetext = ""
    return p


@visit()
def neighbour_of_unknown_role_answers():
    """The same questions, and each is answered."""
    p = Day(502, "dual", 2)
    p.healthy(40)
    there = Host(f"{p.camnet}.109", "00:40:8c:00:01:09")
    for t in range(3, 38, 8):
        p.w.ask(t, p.a0, there)
    p.sitetext = ""
    return p


@visit("proxy-seen", says={"*": "407"}, violations=None)
def proxy_wants_a_password_without_a_site_file():
    """The cloud port speaks to a proxy alone, and each CONNECT is answered 407: only the names in
    these requests show whose port it is.
    """
    p = Day(503, "dual", 1)
    p.arps(0.1, 50)
    p.stream(0.3, 50)
    p.lan(50)
    p.time(0.7, 50)
    proxy = Host(f"{p.cloudnet}.30", "00:50:56:77:00:30")
    p.w.ask(0.5, p.a1, proxy)
    for t in range(2, 48, 6):
        for name in (p.iot, p.logs):
            k = Tcp(p.w, p.a1, proxy, 3128, t + len(name) / 100, 0.002).open()
            k.c(f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
            k.s(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n"
                b'Proxy-Authenticate: Basic realm="proxy"\r\nConnection: close\r\n\r\n'
            )
            k.fin(by="s")
    p.sitetext = ""
    return p


@visit(cameras={"Axis .100": "streaming"})
def appliance_gets_another_address_without_a_site_file():
    """It restarts, is given another address by DHCP, and does all it did from there."""
    p = Day(504, "single", 1, vendor="axis")
    p.arps(0.1, 30)
    p.cloud(0.5, 30)
    p.stream(0.3, 30, teardown=True)
    p.lan(80)
    p.a0.ip = f"{p.camnet}.199"
    lease(p.w, 40, p.a0, p.gw, p.gw.ip, [p.gw.ip], "panorama")
    p.w.ask(45, p.a0, p.gw)
    ntp(p.w, 45.2, p.a0, p.gw)
    p.arps(46, 80)
    p.cloud(47, 80)
    p.stream(48, 80)
    p.sitetext = ""
    return p


@visit("capture-unreadable", file=True, says={"*": "802[.]11.*link type 127"})
def frames_of_a_wireless_card():
    """The technician captured on the laptop's wireless card: radiotap, and encrypted frames."""
    p = Day(505, "single", 1)
    p.healthy(8)
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 127)]
    for at, frame, _ in p.sorted():
        body = (
            b"\0\0\x08\0\0\0\0\0\x08\x42\0\0" + frame[:12] + frame[6:12] + b"\x10\0" + frame[::-1]
        )
        time_ns = p.w.start + int(at * SECOND)
        out.append(
            struct.pack("<IIII", time_ns // SECOND, time_ns % SECOND // 1000, len(body), len(body))
        )
        out.append(body)
    p.file = b"".join(out)
    p.sitetext = ""
    return p
