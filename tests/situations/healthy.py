"""Networks that look odd and are well: nothing of warning or error is told of them."""

from __future__ import annotations

import struct

from tests.crafted import hello as tls
from tests.diagnosis.lan_wire import ACK as LEASED
from tests.diagnosis.lan_wire import DISCOVER, OFFER, REQUEST, lease
from tests.situations.endpoints import opened, others_work
from tests.situations.situation import situation
from tests.situations.town import (
    ACK,
    AT,
    AT6,
    ETH1,
    EVERYBODY,
    FIN,
    HTTPS,
    IOT,
    PC,
    RESOLVER2,
    ROUTER,
    RST,
    S3,
    SIX_ROUTER,
    SYN,
    Dhcp,
    Town,
    dhcp_packet,
    ethernet,
    ipv4,
    nobody,
    udp_segment,
)

SSDP = (
    b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\n'
    b"ST: ssdp:all\r\n\r\n"
)
ASKS = b"\x12\x34\x01\x10\0\1\0\0\0\0\0\0"
NOISE = (
    ("224.0.0.251", "01:00:5e:00:00:fb", 5353, bytes(4) + b"\0\1" + bytes(6)
     + b"\5_rtsp\4_tcp\5local\0\0\x0c\0\1"),
    ("239.255.255.250", "01:00:5e:7f:ff:fa", 1900, SSDP),
    ("224.0.0.252", "01:00:5e:00:00:fc", 5355, ASKS + b"\4wpad\0\0\1\0\1"),
    ("192.168.5.255", EVERYBODY, 137, ASKS + b"\x20" + b"CA" * 16 + b"\0\0\x20\0\1"),
    ("239.255.255.250", "01:00:5e:7f:ff:fa", 3702, b"<?xml version='1.0'?><e:Envelope/>"),
)  # fmt: skip


@situation()
def a_plain_well_site() -> Town:
    """All endpoints in use, MQTT, time, names."""
    town = Town()
    town.lives(120)
    others_work(town, 12, 110)
    town.mqtt(6, 120)
    return town


@situation(site=nobody)
def a_plain_well_site_without_a_site_file() -> Town:
    """The same without a site file."""
    return a_plain_well_site()


@situation()
def addresses_of_a_service_rotate() -> Town:
    """Each lookup of S3 gives other addresses, with others behind each connection."""
    town = Town()
    town.lives(120)
    for n in range(24):
        address = f"52.217.{10 + n}.{30 + n}"
        town.visit(6 + 4 * n, S3, address=address)
    return town


@situation()
def privacy_addresses_change() -> Town:
    """The cloud port uses IPv6 with temporary addresses, each proven by neighbour discovery."""
    town = Town()
    town.lives(120)
    for n in range(10):
        own = (ETH1, f"2001:db8:5::{n + 1:x}:{n + 77:x}")
        at = 6 + 10 * n
        group = f"33:33:ff:00:00:{n + 77:02x}"
        solicit = struct.pack("!BBHI", 135, 0, 0, 0) + bytes(16)
        town.six(at, (ETH1, "::"), (group, "ff02::1:ff00:1"), 58, solicit, 255)
        ask = struct.pack("!BBHI", 135, 0, 0, 0) + bytes.fromhex("fe80" + 12 * "00" + "0001")
        ask += b"\x01\x01" + bytes.fromhex(ETH1.replace(":", ""))
        town.six(at + 1, own, ("33:33:ff:00:00:01", "ff02::1:ff00:1"), 58, ask, 255)
        say = struct.pack("!BBHI", 136, 0, 0, 0xE000_0000) + ask[8:24]
        say += b"\x02\x01" + bytes.fromhex(ROUTER[0].replace(":", ""))
        town.six(at + 1.001, SIX_ROUTER, own, 58, say, 255)
        name = HTTPS[n % 4]
        town.look(at + 1.1, name, AT[name])
        town.look(at + 1.1, name, AT6[name], kind=28)
        conn = town.to(name, address=AT6[name], client=own)
        conn.whole(at + 1.3, name)
        conn.leave(at + 3)
    return town


@situation()
def two_resolvers_race() -> Town:
    """Each question goes to both resolvers; the slower answer finds its port closed."""
    town = Town()
    town.boots()
    town.habits(4, 90, names=False)
    for n in range(16):
        at = 6 + 5 * n
        name = HTTPS[n % 4]
        town.look(at, name, AT[name])
        town.look(at, name, AT[name], server=RESOLVER2, after=0.3)
        quote = ipv4(RESOLVER2[1], town.port[1], 17, udp_segment(53, 20_000 + town.number, b""))
        body = struct.pack("!BBHI", 3, 3, 0, 0) + quote
        packet = ipv4(town.port[1], RESOLVER2[1], 1, body)
        town.add(at + 0.301, ethernet(ETH1, RESOLVER2[0], 0x800, packet))
        town.visit(at + 0.4, name, look=False)
    return town


@situation()
def happy_eyeballs_leave_a_loser() -> Town:
    """IPv6 and IPv4 race; the loser is reset as soon as the winner has connected."""
    town = Town()
    town.lives(90)
    for n in range(12):
        at, name = 6 + 6 * n, HTTPS[n % 4]
        town.look(at, name, AT[name])
        town.look(at, name, AT6[name], kind=28)
        six = town.to(name, address=AT6[name])
        if n % 3:
            six.whole(at + 0.05, name)
            six.leave(at + 2)
            loser = town.to(name)
            loser.open(at + 0.06, 0.04)
            loser.reset(at + 0.11, by_server=False)
        else:
            six.segment(at + 0.05, True, SYN)
            town.visit(at + 0.3, name, look=False)
            six.sent += 1
            six.segment(at + 0.33, False, SYN | ACK)
            six.got += 1
            six.reset(at + 0.34, by_server=False)
    return town


@situation()
def tcp_keep_alives_hold_connections() -> Town:
    """Probes of no or one old byte each 45 s, answered by an acknowledgement."""
    town = Town()
    town.lives(400)
    for n, name in enumerate((IOT, S3)):
        town.look(6 + n, name, AT[name])
        conn = town.to(name).whole(6.05 + n, name, ("x-amzn-mqtt-ca",) if name == IOT else ())
        for k in range(8):
            at = 51 + 45 * k + n
            conn.segment(at, True, ACK, b"\0" if n else b"", conn.sent - 1)
            conn.segment(at + 0.03, False, ACK)
    return town


@situation()
def answers_come_through_two_routers() -> Town:
    """Two links with two routers: what leaves by one comes back by the other, with other TTLs."""
    town = Town()
    town.lives(90)
    for n in range(16):
        at, name = 6 + 5 * n, HTTPS[n % 4]
        town.look(at, name, AT[name])
        before = len(town.frames)
        conn = town.to(name)
        conn.ttl_in = 52 + n % 5
        conn.whole(at + 0.05, name)
        conn.leave(at + 2)
        other = bytes.fromhex("02000000020a")
        for i in range(before, len(town.frames)):
            t, k, frame, wire = town.frames[i]
            if frame[6:12] == bytes.fromhex(ROUTER[0].replace(":", "")):
                town.frames[i] = (t, k, frame[:6] + other + frame[12:], wire)
    return town


@situation()
def leases_come_through_a_relay() -> Town:
    """A relay carries DISCOVER and REQUEST to a server elsewhere; both legs are in sight."""
    town = Town()
    client = Dhcp(town, ETH1, 0)
    server, relay = ("02:00:00:00:02:77", "10.99.0.2"), ROUTER

    def leg(at: float, kind: int, yours: str = "0.0.0.0", options: bytes = b"") -> None:
        body = bytearray(dhcp_packet(kind, ETH1, client.xid, yours=yours, options=options))
        body[24:28] = bytes([192, 168, 5, 1])
        there = kind in (DISCOVER, REQUEST)
        ends = ((*relay, 67), (*server, 67))
        src, dst = ends if there else ends[::-1]
        town.udp(at, src, dst, bytes(body))

    for n in range(3):
        at = 2 + 40 * n
        client.xid += 1
        client.ask(at, DISCOVER)
        leg(at + 0.001, DISCOVER)
        given = lease("192.168.5.5", server="10.99.0.2")
        leg(at + 0.02, OFFER, "192.168.5.5", given)
        client.answer(at + 0.021, OFFER, "192.168.5.5", given)
        client.ask(at + 0.03, REQUEST, wanted="192.168.5.5", server="10.99.0.2")
        leg(at + 0.031, REQUEST)
        leg(at + 0.05, LEASED, "192.168.5.5", given)
        client.answer(at + 0.051, LEASED, "192.168.5.5", given)
    town.boots(5)
    town.habits(9, 110)
    return town


@situation()
def multicast_noise_everywhere() -> Town:
    """mDNS, SSDP, LLMNR, NetBIOS, WS-Discovery and IGMP of many hosts, none of it answered."""
    town = Town()
    town.lives(80)
    others_work(town, 12, 70)
    for n in range(60):
        host = (f"02:00:00:00:0c:{n % 20:02x}", f"192.168.5.{120 + n % 20}")
        at = 4 + 1.2 * n
        for group, mac, dport, body in NOISE:
            town.udp(at, (*host, 50_000 + n), (mac, group, dport), body)
    return town


@situation()
def phones_look_for_a_portal() -> Town:
    """Phones ask for their makers' test pages: some answered 204, some dropped, one redirected."""
    town = Town()
    town.lives(80)
    others_work(town, 12, 70)
    for n in range(10):
        phone = (f"02:00:00:00:0d:{n:02x}", f"192.168.5.{140 + n}")
        at = 5 + 6 * n
        host = "connectivitycheck.gstatic.com"
        town.look(at, host, "142.250.74.3", client=phone)
        if n % 3 == 0:
            town.knock(at + 0.1, "", 80, address="142.250.74.3", client=phone)
            continue
        conn = town.to("", 80, address="142.250.74.3", client=phone)
        conn.open(at + 0.1)
        conn.send(at + 0.2, f"GET /generate_204 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        said = b"204 No Content" if n % 3 == 1 else b"302 Found\r\nLocation: http://portal.example/"
        conn.answer(at + 0.22, b"HTTP/1.1 " + said + b"\r\nContent-Length: 0\r\n\r\n")
        conn.close(at + 0.4)
    return town


@situation()
def servers_end_connections_in_their_own_ways() -> Town:
    """FIN then RST, RST after close_notify by either side, a half-closed connection."""
    town = Town()
    town.lives(90)
    for n in range(15):
        at, name = 6 + 5 * n, HTTPS[n % 4]
        town.look(at, name, AT[name])
        conn = town.to(name).whole(at + 0.05, name)
        notice = tls.record(23, bytes(19))
        match n % 5:
            case 0:
                conn.answer(at + 1, notice)
                conn.segment(at + 1.001, False, FIN | ACK)
                conn.got += 1
                conn.send(at + 1.01, notice)
                conn.reset(at + 1.04)
            case 1:
                conn.send(at + 1, notice)
                conn.reset(at + 1.001, by_server=False)
            case 2:
                conn.send(at + 1, notice)
                conn.segment(at + 1.001, True, FIN | ACK)
                conn.sent += 1
                conn.segment(at + 1.03, False, RST | ACK)
            case 3:
                conn.segment(at + 1, True, FIN | ACK)
                conn.sent += 1
                conn.segment(at + 1.03, False, ACK)
            case _:
                conn.close(at + 1, by_server=True)
    return town


@situation()
def server_asks_for_another_key_share() -> Town:
    """HelloRetryRequest, a second hello, and the handshake."""
    town = Town()
    town.lives(70)
    magic = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    for n in range(8):
        at, name = 6 + 7 * n, HTTPS[n % 4]
        conn = opened(town, at, name)
        conn.hello(at + 0.1, name, thirteen=True)
        retry = tls.server_hello(town.chance)
        retry = retry[:6] + magic + retry[38:]
        conn.answer(at + 0.13, tls.record(22, retry) + tls.record(20, b"\1"))
        conn.hello(at + 0.15, name, thirteen=True)
        conn.flight(at + 0.18, name, thirteen=True)
        conn.finish(at + 0.2, thirteen=True)
        conn.finished(at + 0.23, thirteen=True)
        conn.data(at + 0.25)
        conn.leave(at + 1)
    return town


@situation()
def sessions_are_resumed() -> Town:
    """TLS 1.2 with a session identifier: the server's hello and its Finished in one flight."""
    town = Town()
    town.lives(70)
    for n in range(12):
        at, name = 6 + 5 * n, HTTPS[n % 4]
        conn = opened(town, at, name)
        conn.hello(at + 0.1, name, thirteen=False)
        done = tls.record(20, b"\1") + tls.record(22, bytes(40))
        conn.answer(at + 0.13, tls.record(22, tls.server_hello(town.chance, None, False)) + done)
        conn.send(at + 0.14, done)
        conn.data(at + 0.15)
        conn.leave(at + 1)
    return town


@situation()
def link_control_of_many_vendors() -> Town:
    """STP, LACP, EAPOL, Cisco's and Extreme's discovery, loop tests of switches."""
    town = Town()
    town.lives(80)
    others_work(town, 12, 70)
    for n in range(40):
        at = 2 * n + 0.3
        switch = "02:00:00:00:0e:01"
        town.add(at, ethernet(switch, "01:80:c2:00:00:00", 38, b"\x42\x42\x03" + bytes(35)))
        town.add(
            at, ethernet(switch, "01:80:c2:00:00:02", 0x8809, b"\x01\x01\x01\x14" + bytes(106))
        )
        town.add(at, ethernet(switch, "01:80:c2:00:00:03", 0x888E, b"\x01\x01\0\0"))
        town.add(at, ethernet(switch, switch, 0x9000, bytes(46)))
    return town


@situation()
def time_is_asked_in_bursts() -> Town:
    """iburst at the start, random stamps and source ports afterwards."""
    town = Town()
    town.arp(0.1, town.port, ROUTER[1], ROUTER[0])
    for n in range(4):
        town.time(1 + 2 * n)
    town.habits(10, 120, times=False)
    for n in range(7):
        town.time(12 + 16 * n, sport=40_000 + n, off=town.chance.uniform(-5e8, 5e8))
    others_work(town, 12, 100)
    return town


@situation()
def office_behind_inspection() -> Town:
    """A PC's TLS is inspected by the office's box and works; the appliance's is not."""
    town = Town()
    town.lives(80)
    others_work(town, 12, 70)
    for n in range(10):
        at = 6 + 6 * n
        host = f"www{n}.example.com"
        town.look(at, host, f"198.51.100.{n + 1}", client=PC)
        conn = town.to("", address=f"198.51.100.{n + 1}", client=PC)
        conn.whole(at + 0.1, host, thirteen=False, issuer="Office Filter", common="Filter CA")
        conn.leave(at + 2)
    return town


@situation()
def slow_answers_within_reason() -> Town:
    """A satellite line: 280 ms round trip, some SYNs sent twice, some segments again."""
    town = Town()
    town.boots()
    town.habits(4, 90)
    for n in range(14):
        at, name = 6 + 6 * n, HTTPS[n % 4]
        town.look(at, name, AT[name])
        conn = town.to(name)
        if n % 5 == 0:
            conn.segment(at + 0.1, True, SYN)
        conn.whole(at + 1.1, name, rtt=0.28)
        conn.leave(at + 4)
    return town


@situation()
def names_are_cached_and_asked_rarely() -> Town:
    """A resolver on the appliance: few lookups, then connections by addresses known before."""
    town = Town()
    town.arp(0.1, town.port, ROUTER[1], ROUTER[0])
    town.time(0.5)
    town.habits(4, 90, names=False)
    for n in range(14):
        town.visit(6 + 6 * n, HTTPS[n % 4], look=n < 4)
    return town
