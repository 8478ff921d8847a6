"""Sites that are well, of many sorts, and captures of them that show only a part."""

from __future__ import annotations

import random
import struct
from typing import Any

from tests.situations.visit import visit
from tests.situations.yard import Host, Yard
from tests.situations.yard_camera import View, stream
from tests.situations.yard_tcp import ACK, RST, SYN, mac, rec


def small(seed: int, end: int = 50, cams: int = 2, **k: Any) -> Yard:
    y = Yard(seed, cams=cams, **k)
    y.well(end)
    for n, c in enumerate(y.cams):
        stream(y, c, 1 + n, end - 4, transport=["udp", "tcp"][n % 2], delta=900)
    return y


@visit(
    variants=[
        {
            "seed": 1100 + i,
            "region": g,
            "topology": t,
            "dns": d,
            "ntp": n,
            "plan": p,
            "mqtt_port": m,
            "v13": v,
            "cams": c,
        }
        for i, (g, t, d, n, p, m, v, c) in enumerate(
            [
                ("us-east-1", "dual", "local", "local", "10", 443, True, 2),
                ("us-west-2", "single", "public", "public", "172", 8883, False, 3),
                ("eu-west-1", "dual", "host", "host", "192", 443, False, 1),
                ("ca-central-1", "single", "host", "public", "10", 443, True, 4),
                ("ap-southeast-1", "dual", "public", "host", "172", 8883, True, 0),
                ("ap-southeast-2", "single", "local", "host", "192", 443, False, 2),
                ("us-east-1", "dual", "host", "public", "172", 443, True, 3),
                ("eu-west-1", "single", "local", "local", "10", 8883, True, 1),
            ]
        )
    ]
)
def well_sites(seed: int, **k: Any) -> Yard:
    """A well site, with its site file."""
    return small(seed, 60, **k)


@visit(
    variants=[
        {"seed": 1120 + i, "topology": t, "dns": d, "ntp": n, "plan": p}
        for i, (t, d, n, p) in enumerate(
            [
                ("dual", "local", "local", "10"),
                ("single", "public", "public", "172"),
                ("dual", "host", "host", "192"),
                ("single", "local", "public", "192"),
            ]
        )
    ]
)
def well_sites_without_a_site_file(seed: int, **k: Any) -> Yard:
    """The same without a site file."""
    y = small(seed, 60, **k)
    y.sitetext = ""
    return y


@visit(
    variants=[
        {"seed": 1191, "delay": 0.000003},
        {"seed": 1192, "delay": 0.0011},
        {"seed": 1193, "delay": 0.004},
    ],
    also=("mirror-duplicates",),
)
def mirror_copies_each_frame(seed: int, delay: float) -> Yard:
    """The mirror copies both ingress and egress: each frame twice, 3 us to 4 ms apart: nothing of
    the site is wrong."""
    y = small(seed, topology="dual")
    y.frames = y.sorted()
    y.frames += [(t + delay, f, i) for t, f, i in y.frames]
    return y


@visit(variants=[{"seed": 1211}], also=("mirror-one-way",))
def only_what_the_appliance_receives(seed: int) -> Yard:
    """A one-way mirror: only frames towards the appliance (and broadcasts). Nothing of the site is
    wrong."""
    y = small(seed, 80, topology="dual")
    y.frames = [x for x in y.frames if x[1][6:12] not in (y.eth0.raw, y.eth1.raw)]
    return y


@visit(variants=[{"seed": 1221}], also=("mirror-one-way",))
def only_what_the_appliance_sends(seed: int) -> Yard:
    """A one-way mirror: only frames from the appliance."""
    y = small(seed, 80, topology="dual")
    y.frames = [x for x in y.frames if x[1][6:12] in (y.eth0.raw, y.eth1.raw)]
    return y


@visit(
    variants=[
        {"seed": 1241, "a": 18, "b": 30},
        {"seed": 1242, "a": 21.5, "b": 26},
        {"seed": 1243, "a": 10, "b": 11},
    ]
)
def window_out_of_the_middle(seed: int, a: float, b: float) -> Yard:
    """Some seconds out of the middle of a running site: no beginnings in sight."""
    y = small(seed, 60)
    y.frames = [x for x in y.frames if a < x[0] < b]
    return y


@visit(variants=[{"seed": 1251}])
def window_without_a_site_file(seed: int) -> Yard:
    """Ten seconds out of the middle, no site file."""
    y = small(seed, 60)
    y.frames = [x for x in y.frames if 18 < x[0] < 28]
    y.sitetext = ""
    return y


@visit(variants=[{"seed": 1261}], also=("mirror-loss",))
def mirror_loses_frames_of_tcp(seed: int) -> Yard:
    """The mirror port drops 4 % of the frames; both cameras are read by TCP and acknowledge all
    that was sent: the site is well."""
    y = Yard(seed)
    y.well(60)
    for n, c in enumerate(y.cams):
        stream(y, c, 1 + n, 56, transport="tcp", delta=3000)
    r = random.Random(seed)
    y.frames = [x for x in y.sorted() if r.random() > 0.04]
    return y


@visit(variants=[{"seed": 1281}], info=("lldp-info",))
def switch_talks_lldp_cdp_stp_lacp(seed: int) -> Yard:
    """LLDP with power and VLAN TLVs, CDP, RSTP, LACP, UDLD, DTP: nothing is wrong."""
    y = small(seed, 70)
    sw = mac("00:1a:6c:10:20:30")

    def tlv(k, b):
        return struct.pack("!H", k << 9 | len(b)) + b

    for n in range(3):
        lldp = (
            tlv(1, b"\4" + sw)
            + tlv(2, b"\5Gi1/0/7")
            + tlv(3, struct.pack("!H", 120))
            + tlv(5, b"sw-plant-3")
            + tlv(6, b"IOS 15.2")
            + tlv(127, b"\0\x12\x0f\1\3\x6c\x01\0\x1e")
            + tlv(127, b"\0\x80\xc2\1\0\x14")
            + tlv(127, b"\0\x12\x0f\2\7\1\1")
            + tlv(0, b"")
        )
        y.eth(2 + 28 * n, sw, mac("01:80:c2:00:00:0e"), 0x88CC, lldp)
        y.put(
            3 + 28 * n,
            (
                mac("01:00:0c:cc:cc:cc")
                + sw
                + struct.pack("!H", 60)
                + b"\xaa\xaa\3\0\0\x0c\x20\0"
                + b"\2\xb4\0\0"
                + struct.pack("!HH", 1, 12)
                + b"sw-plant"
                + struct.pack("!HH", 3, 11)
                + b"Gi1/0/7"
            ).ljust(60, b"\0"),
        )
    for n in range(30):
        bpdu = (
            b"\x42\x42\3"
            + b"\0\0\2\2\x3c"
            + struct.pack("!H", 0x8000)
            + sw
            + bytes(4)
            + struct.pack("!H", 0x8000)
            + sw
            + b"\x80\7\0\0\x14\0\2\0\x0f\0\0"
        )
        y.put(
            0.5 + 2 * n,
            (mac("01:80:c2:00:00:00") + sw + struct.pack("!H", len(bpdu)) + bpdu).ljust(60, b"\0"),
        )
    return y


@visit(variants=[{"seed": 1291}])
def cameras_announce_themselves_all_the_time(seed: int) -> Yard:
    """Cameras: gratuitous ARP each 10 s, mDNS, SSDP NOTIFY, WS-Discovery hello, link-local
    addresses beside."""
    y = small(seed, 70)
    for n in range(6):
        for i, c in enumerate(y.cams):
            t = 2 + 10 * n + i
            y.arp(t, 1, c, c.ip)
            ll = Host(c.mac, f"169.254.{50 + i}.9")
            y.arp(t + 0.1, 1, ll, ll.ip)
            y.udp(
                t + 0.2,
                c,
                5353,
                Host("01:00:5e:00:00:fb", "224.0.0.251"),
                5353,
                y.dnsmsg(0, "axis-123.local", 1, [(1, c.ip, 120)]),
                ttl=255,
            )
            y.udp(
                t + 0.3,
                c,
                1900,
                Host("01:00:5e:7f:ff:fa", "239.255.255.250"),
                1900,
                b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNTS: ssdp:alive\r\n\r\n",
                ttl=4,
            )
    return y


@visit(variants=[{"seed": 1301}], violations=0)
def technician_works_at_his_laptop(seed: int) -> Yard:
    """A technician's laptop opens the cameras' web pages, pings the gateway and the appliance,
    looks names up, browses: nothing of it is the appliance's."""
    y = small(seed, 80)
    for n in range(6):
        t = 3 + 11 * n
        for i, c in enumerate(y.cams):
            k = y.tcp(y.campc, c, 443, rtt=0.002)
            a = k.open(t + i)
            a = k.hello(a, "")
            a = k.flight(a, c.ip, v13=False, issuer="Camera Self")
            a = k.finish(a, False)
            a = k.data(a)
            k.close(a + 1)
        y.icmp(t, y.campc, y.camrouter, 8, 0, bytes(48), 1 << 16 | n)
        y.icmp(t + 0.001, y.camrouter, y.campc, 0, 0, bytes(48), 1 << 16 | n)
        y.icmp(t + 0.5, y.campc, y.eth0, 8, 0, bytes(48), 2 << 16 | n)
        y.icmp(t + 0.501, y.eth0, y.campc, 0, 0, bytes(48), 2 << 16 | n)
        y.look(t + 2, "www.example.org", ["93.184.216.34"], client=y.pc)
        k = y.tcp(y.pc, y.remote("93.184.216.34"), 443)
        a = k.tls(t + 2.1, "www.example.org", ("h2",), issuer="DigiCert")
        a = k.data(a)
        k.close(a + 1)
    return y


@visit(variants=[{"seed": 1311}])
def one_retry_here_and_there(seed: int) -> Yard:
    """A lookup, a SYN, a time request is lost once in a while and repeated with success."""
    y = small(seed, 100)
    for n in range(3):
        t = 11 + 27 * n
        y.udp(t, y.cloud, 33000 + n, y.resolver, 53, y.dnsmsg(500 + n, y.LOGS, 1))
        y.udp(t + 5, y.cloud, 33000 + n, y.resolver, 53, y.dnsmsg(500 + n, y.LOGS, 1))
        y.udp(
            t + 5.01,
            y.resolver,
            53,
            y.cloud,
            33000 + n,
            y.dnsmsg(500 + n, y.LOGS, 1, [(1, y.A[y.LOGS][0], 60)]),
        )
        c = y.to(y.MON)
        c.seg(t + 1, True, SYN)
        a = c.open(t + 2)
        a = c.hello(a, y.MON)
        a = c.flight(a, y.MON)
        a = c.finish(a)
        a = c.data(a)
        c.close(a + 1)
    y.ntp(40, answer=False)
    return y


@visit(variants=[{"seed": 1321}])
def cloud_closes_idle_http_connections(seed: int) -> Yard:
    """Servers end idle HTTPS connections after 20 s by FIN, some by close_notify and RST."""
    y = Yard(seed)
    y.begin()
    y.mqtt(3, 150)
    for n in range(9):
        t = 5 + 15 * n
        y.look(t, y.LOGS)
        c = y.to(y.LOGS)
        a = c.tls(t + 0.02, y.LOGS, v13=y.v13)
        a = c.data(a)
        if n % 2:
            c.server_close(a + 20)
        else:
            c.say(a + 20, rec(21, bytes(2 if not y.v13 else 19)), False)
            c.server_close(a + 20.001)
            c.seg(a + 20.002 + c.rtt, False, RST)
        y.who(t + 3, y.cloud, y.router)
        y.ntp(t + 4)
    return y


@visit(variants=[{"seed": 1331}])
def quic_is_tried_beside(seed: int) -> Yard:
    """An office PC uses QUIC to the internet and gets ICMP port unreachable; the appliance does
    not."""
    y = small(seed, 60)
    h = y.remote("142.250.1.9")
    for n in range(10):
        p = y.udp(3 + 5 * n, y.pc, 51000 + n, h, 443, b"\xc3\0\0\0\1\x08" + bytes(1194))
        y.icmp(3.001 + 5 * n, y.router, y.pc, 3, 3, p)
    return y


@visit(variants=[{"seed": 1341, "topology": "dual"}, {"seed": 1342, "topology": "single"}])
def an_empty_night_with_keep_alives_only(seed: int, topology: str) -> Yard:
    """Two hours of an open MQTT connection with keep-alives each 300 s, ARP, time each 1024 s; no
    cameras."""
    y = Yard(seed, cams=0, topology=topology)
    y.begin()
    y.mqtt(3, 7200, every=300)
    for n in range(7):
        y.ntp(20 + 1024 * n)
    for n in range(70):
        y.who(10 + 100 * n, y.cloud, y.router)
    if topology == "single":
        for n in range(60):
            y.arp(15 + 118 * n, 1, y.eth1, y.router.ip)
            y.arp(15.0004 + 118 * n, 2, y.router, y.eth1.ip, to=y.eth1.mac)
    return y


@visit(variants=[{"seed": 1351}], also=("no-appliance",))
def nothing_but_cameras_and_a_recorder(seed: int) -> Yard:
    """No appliance in sight, no site file: an NVR reads three cameras, the cameras' time is local;
    nothing to judge."""
    y = Yard(seed, cams=3)
    nvr = Host("00:1c:27:00:11:22", y.camnet + "240", name="nvr")
    for n, c in enumerate(y.cams):
        y.who(0.5 + n, nvr, c)
        stream(y, c, 1 + n, 50, reader=nvr, transport="tcp", agent="NVR/4.2", delta=900)
    y.sitetext = ""
    return y


@visit(variants=[{"seed": 1371}], violations=0)
def neighbours_of_the_appliance_fail(seed: int) -> Yard:
    """Other hosts: SYNs to dead addresses, NXDOMAIN, DHCP without offers, ARP for absent hosts,
    refused TLS: not the appliance's, nothing to do."""
    y = small(seed, 90)
    other = Host("b8:27:eb:11:22:33", y.net + "201")
    for n in range(10):
        t = 3 + 8 * n
        y.knock(t, addr="198.51.100.77", client=other, times=2)
        y.look(t + 1, "no.such.example", client=other, rcode=3)
        y.arp(t + 2, 1, other, y.net + "233")
        c = y.tcp(other, y.remote("93.184.216.34"), 443)
        a = c.open(t + 3)
        a = c.hello(a, "www.example.org")
        c.seg(a + 0.01, False, RST | ACK)
        y.look(t + 4, "video.example.net", [], client=other, after=None)
    return y


@visit(variants=[{"seed": 1381}])
def ipv6_beside_ipv4_all_well(seed: int) -> Yard:
    """Dual stack: AAAA are answered, happy eyeballs takes IPv6 for logs and IPv4 for others; router
    advertisements; neighbour discovery."""
    y = Yard(seed)
    y.well(80)
    me = Host(y.cloud.mac, "2001:db8:7::20")
    r = Host(y.router.mac, "fe80::1")
    y.sitetext = y.site(local=["2001:db8:7::/64"])
    for n in range(6):
        t = 2 + 12 * n
        y.ip(
            t,
            r,
            Host("33:33:00:00:00:01", "ff02::1"),
            58,
            b"\x86\0\0\0\x40\0\7\x08" + bytes(8) + b"\1\1" + y.router.raw,
            ttl=255,
        )
        a6 = f"2600:1f18:7::{n + 10:x}"
        y.look(t + 1, y.LOGS, [a6], qtype=28)
        y.look(t + 1.001, y.LOGS)
        c = y.tcp(me, Host(y.router.mac, a6), 443)
        a = c.tls(t + 1.05, y.LOGS, v13=True)
        a = c.data(a)
        c.close(a + 1)
        c = y.to(y.LOGS)
        c.open(t + 1.3)
        c.close(t + 1.31 + c.rtt, rst=True)
    return y


@visit(variants=[{"seed": 1391}])
def vpn_and_gre_and_esp_of_others(seed: int) -> Yard:
    """IPsec, GRE, WireGuard and OSPF of routers pass the mirror: nobody's fault."""
    y = small(seed, 60)
    h = y.remote("198.51.100.4")
    for n in range(40):
        y.ip(1 + n * 1.3, y.router, h, 50, struct.pack("!II", 99, n) + bytes(80))
        y.ip(1.1 + n * 1.3, h, y.router, 50, struct.pack("!II", 98, n) + bytes(80))
        y.udp(1.2 + n * 1.3, y.pc, 51820, h, 51820, b"\4\0\0\0" + bytes(60))
        y.udp(1.25 + n * 1.3, h, 51820, y.pc, 51820, b"\4\0\0\0" + bytes(60))
        y.ip(
            1.3 + n * 1.3,
            y.router,
            Host("01:00:5e:00:00:05", "224.0.0.5"),
            89,
            b"\2\1\0\x2c" + bytes(40),
            ttl=1,
        )
    return y


@visit(variants=[{"seed": 1401}])
def malformed_frames_here_and_there(seed: int) -> Yard:
    """Broken lengths, IP options, zero-length payloads, unknown ethertypes, jumbo 802.3, wrong
    checksums: counted, nothing else."""
    y = small(seed, 60)
    r = random.Random(seed)
    for n in range(60):
        t = 1 + n * 0.9
        k = n % 6
        if k == 0:
            y.eth(t, y.pc.raw, y.router.raw, 0x800, b"\x4f" + bytes(30))
        elif k == 1:
            y.eth(t, y.pc.raw, b"\xff" * 6, 0x9999, r.randbytes(60))
        elif k == 2:
            y.eth(t, y.pc.raw, y.router.raw, 0x800, b"\x45\0\xff\xff" + bytes(40))
        elif k == 3:
            y.udp(t, y.pc, 9, y.router, 53, r.randbytes(11))
        elif k == 4:
            y.put(t, y.pc.raw + y.pc.raw + b"\0\7abc")
        else:
            y.udp(t, y.pc, 40000, y.pc, 554, b"RTSP/1.0 200 OK\r\n")
    return y


@visit(variants=[{"seed": 1411}], violations=0)
def office_reads_the_wall_of_cameras(seed: int) -> Yard:
    """A guard's PC reads both cameras by UDP for a while, is refused once by 401 first, and leaves
    properly."""
    y = small(seed, 80)
    for n, c in enumerate(y.cams):
        v = View(y, c, reader=y.campc, agent="VLC/3.0")
        y.who(5 + n, y.campc, c)
        t = v.play(5.1 + n)
        v.film(t + 0.02, 40, delta=900)
        v.leave(40.1)
    return y
