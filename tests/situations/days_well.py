"""Healthy sites of many sorts, in which there is nothing to say."""

from __future__ import annotations

import ipaddress
import struct

from tests.situations.trace import Host, Tcp, addr, csum, mac, rnd
from tests.situations.trace_media import Cam, Session
from tests.situations.trace_names import dhcp, dns, lopts, ntp, qname
from tests.situations.trace_site import Day, scene
from tests.situations.trace_tls import Tls, data, hash_, hello, rec, shello
from tests.situations.visit import visit


def PC(p, n=50):
    return Host(f"{p.cloudnet}.{n}", f"3c:52:82:10:00:{n:02x}", 128)


def light(seed, cams=2, **k):
    return Day(seed, cams=cams, cam={"fps": 5, "kbps": 50, "gop": 2.0}, **k)


def rest(p, end, arps=True, cloud=True, which=None, lan=True):
    if arps:
        p.arps(0.1, end)
    if cloud:
        p.cloud(0.5, end)
    if lan:
        p.lan(end)
    p.stream(0.3, end, which=which)
    return p


@visit()
def well_single():
    """Well dual site, 60 s."""
    p = Day(2, "single", 4, "eu-west-1").healthy(34)
    p.end = 24
    return p


@visit()
def well_tcp():
    """Well dual site, 60 s."""
    p = Day(3, cams=6, region="ap-southeast-2").healthy(22, udp=False)
    p.end = 24
    return p


@visit()
def well_open_cameras():
    """Well dual site, 60 s."""
    p = Day(4, cams=3).healthy(65, auth=False, keep=20)
    p.end = 24
    return p


@visit()
def well_8883():
    """Well dual site, 60 s."""
    p = Day(5, "single", 1)
    p.arps(0.1, 26)
    p.cloud(0.5, 26, mqtt=False)
    p.mqtt(1, 26, alpn=None, port=8883)
    p.stream(end=26)
    p.lan(26)
    p.end = 24
    return p


@visit()
def privatelink_declared():
    """Well dual site, 60 s."""
    p = Day(7, "single", 2, "us-west-2")
    for i, n in enumerate((p.iot, p.cred, p.logs, p.mon, p.s3)):
        p.ips[n] = f"10.0.{i + 3}.{20 + i}"
    p.healthy(26)
    p.end = 24
    p.sitetext = p.toml().replace('vantage = "mirror"', 'vantage = "mirror"\nprivate_link = true')
    return p


@visit()
def privatelink_mixed():
    """Well dual site, 60 s."""
    p = Day(8, "dual", 1, "us-west-2")
    for i, n in enumerate((p.iot, p.logs)):
        p.ips[n] = f"10.200.{i + 3}.{20 + i}"
    p.healthy(26)
    p.end = 24
    p.sitetext = p.toml().replace('vantage = "mirror"', 'vantage = "mirror"\nprivate_link = true')
    return p


@visit()
def well_one_fps():
    """Well dual site, 60 s."""
    p = Day(9, "single", 2, cam={"fps": 1, "gop": 5.0, "kbps": 26}).healthy(34)
    p.end = 24
    return p


@visit()
def well_gop_8():
    """Well dual site, 60 s."""
    p = Day(11, "dual", 2, cam={"gop": 8.0}).healthy(34)
    p.end = 24
    return p


@visit()
def well_lens_covered():
    """Well dual site, 60 s."""
    p = Day(12, "dual", 2)
    p.arps(0.1, 30)
    p.cloud(0.5, 30)
    p.lan(30)
    p.stream(end=30, which=[0])
    p.stream(end=30, which=[1], shape=lambda t, k, s: s if t < 30 else (300 if k else 22))
    p.end = 24
    return p


@visit()
def well_privacy_mask():
    """Well dual site, 60 s."""
    p = Day(13, "single", 2)
    p.arps(0.1, 26)
    p.cloud(0.5, 26)
    p.lan(26)
    p.stream(end=26, which=[0])
    p.stream(end=26, which=[1], shape=lambda t, k, s: 260 if k else 32)
    p.end = 24
    return p


@visit()
def well_ptz():
    """Well dual site, 60 s."""
    p = Day(14, "dual", 2)
    p.arps(0.1, 30)
    p.cloud(0.5, 30)
    p.lan(30)
    p.stream(end=30, which=[0])
    p.stream(end=30, which=[1], shape=lambda t, k, s: s * 4 if 30 < t < 42 else s)
    p.end = 24
    return p


@visit()
def well_dual_stack():
    """Well dual site, 60 s."""
    p = Day(20, "single", 2)
    p.arps(0.1, 26)
    p.time(0.7, 26)
    p.stream(end=26)
    p.lan(26)
    w = p.w
    a6 = Host("2001:db8:20::5", p.a1.mac)

    def g6(n):
        return Host(f"2600:1f18:{hash_(n) % 60000:x}:1::{hash_(n) % 999 + 1:x}", p.gw.mac, 235)

    for i, n in enumerate((p.iot, p.logs, p.mon, p.s3, p.cred)):
        p.far(n)
        f = g6(n)
        t = 1 + i
        dns(w, t, p.a1, p.dns_, n, [p.far(n).ip])
        dns(w, t + 0.0002, p.a1, p.dns_, n, [f.ip], "AAAA")
        k = Tls(w, a6, f, 443, t + 0.04).open()
        k.hand(
            n, ["x-amzn-mqtt-ca"] if n == p.iot else ["http/1.1"], v13=n != p.iot, mutual=n == p.iot
        )
        k.req(400, 300)
        for s in range(10, 26, 10):
            k.req(300, 200, at=t + s)
    p.end = 24
    return p


@visit()
def well_with_office_pc():
    """Well dual site, 60 s."""
    p = Day(21, "single", 2)
    p.healthy(26)
    pc = PC(p)
    w = p.w
    for i, n in enumerate(
        ("www.example.com", "teams.microsoft.com", "dns.google", "update.example.net")
    ):
        f = p.far(n)
        dns(w, 3 + i, pc, p.dns_, n, [f.ip])
        Tls(w, pc, f, 443, 3.1 + i).open().hand(n, ["h2", "http/1.1"]).req(500, 20000).bye()
    Tcp(w, pc, Host(f"{p.cloudnet}.80", "00:30:77:00:00:09"), 9100, 20).open().c(
        b"\x1b%-12345X@PJL\r\n" * 20
    ).fin()
    w.udp(
        9,
        pc,
        Host("224.0.0.251", "01:00:5e:00:00:fb"),
        5353,
        5353,
        struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + qname("_ipp._tcp.local") + b"\0\x0c\0\1",
        ttl=1,
    )
    p.end = 24
    return p


@visit()
def well_with_recorder():
    """Well dual site, 60 s."""
    p = Day(22, "dual", 2)
    p.healthy(26)
    nvr = Host(f"{p.camnet}.200", "00:11:32:aa:bb:01")
    for i, c in enumerate(p.cams):
        Session(
            p.w,
            nvr,
            c,
            2 + i,
            26,
            udp=False,
            agent="LibVLC/3.0.18 (LIVE555 Streaming Media v2016.11.28)",
            teardown=False,
            keep=25,
            rr=False,
        )
    p.end = 24
    return p


@visit()
def well_lease_renewed():
    """Well dual site, 60 s."""
    p = Day(25, "single", 2)
    p.healthy(26)
    o = lopts(p.gw.ip, [p.gw.ip])
    dhcp(p.w, 20, 3, p.a1, xid=77, ci=p.a1.ip, dst=p.gw)
    dhcp(p.w, 20.02, 5, p.a1, p.gw, p.a1.ip, 77, o, ci=p.a1.ip, bcast=False)
    p.end = 24
    return p


@visit()
def well_declared_listener():
    """Well dual site, 60 s."""
    p = Day(27, "single", 1)
    p.healthy(26)
    pc = PC(p)
    for t in range(5, 26, 10):
        Tcp(p.w, pc, p.a1, 8080, t, 0.001).open().c(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").s(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        ).fin()
    p.end = 24
    p.sitetext = p.toml(extra=f'[[listen]]\nport = 8080\nfrom = ["{p.cloudnet}.0/24"]\n')
    return p


@visit()
def well_declared_services():
    """Well dual site, 60 s."""
    p = Day(28, "dual", 1)
    p.healthy(26)
    n1, n2 = f"dynamodb.{p.region}.amazonaws.com", f"kinesisvideo.{p.region}.amazonaws.com"
    p.posts(5, 26, n1, 8)
    p.posts(7, 26, n2, 15, reuse=False)
    p.end = 24
    p.sitetext = p.toml(
        extra="".join(
            f'[[service]]\nname = "{n.split(".")[0]}"\nhost = "{n}"\n'
            'port = 443\ndirection = "out"\n'
            for n in (n1, n2)
        )
    )
    return p


@visit()
def well_resumed():
    """Well dual site, 60 s."""
    p = Day(30, "single", 1)
    p.arps(0.1, 26)
    p.cloud(0.5, 26, logs=False)
    p.stream(end=26)
    p.lan(26)
    for t in range(2, 58, 8):
        k = p.tls(t, p.logs).open()
        k.c(hello(p.logs, ["http/1.1"], False))
        k.s(rec(22, shello(False, "http/1.1")) + rec(20, b"\1") + rec(22, rnd(40)))
        k.c(rec(20, b"\1") + rec(22, rnd(40)) + data(700))
        k.s(data(300))
        k.bye()
    p.end = 24
    return p


@visit()
def well_vrrp():
    """Well dual site, 60 s."""
    p = Day(31, "single", 2)
    p.gw.mac = "00:00:5e:00:01:0a"
    p.healthy(26)
    for t in range(26):
        p.w.ip(
            t + 0.3,
            Host(f"{p.cloudnet}.2", "00:00:5e:00:01:0a", 255),
            Host("224.0.0.18", "01:00:5e:00:00:12"),
            112,
            struct.pack("!BBBBBBH", 0x21, 10, 60, 1, 0, 1, 0x1234) + addr(p.gw.ip) + b"\0" * 8,
            df=False,
        )
    p.end = 24
    return p


@visit()
def well_routed_cameras():
    """Well dual site, 60 s."""
    p = Day(32, "dual", 3)
    r = Host(f"{p.camnet}.1", "00:1b:54:aa:00:01", 255)
    for i, c in enumerate(p.cams):
        c.ip = f"10.77.{i}.20"
        c.mac = r.mac
        c.ttl = 63
    p.cloud(0.5, 26)
    p.stream(end=26, arp=False)
    p.w.ask(0.1, p.a0, r)
    p.w.ask(30.1, p.a0, r)
    p.w.ask(0.2, p.a1, p.gw)
    p.w.ask(30.2, p.a1, p.gw)
    p.lan(26)
    p.end = 24
    p.sitetext = p.toml().replace("local = [", 'local = ["10.77.0.0/16", ')
    return p


@visit()
def well_natted_cameras():
    """Well dual site, 60 s."""
    p = Day(33, "dual", 3)
    p.arps(0.1, 26)
    p.cloud(0.5, 26)
    p.lan(26)
    ip, m = f"{p.camnet}.40", "00:0d:b9:11:22:33"
    for c in p.cams:
        c.ip, c.mac, c.ttl = ip, m, 63
    for i, c in enumerate(p.cams):
        c.url = lambda c=c, i=i: f"rtsp://{ip}:{5541 + i}{c.path}"
        p.sessions.append(
            Session(p.w, p.a0, c, 1 + i, 26, dport=5541 + i, udp=False, teardown=False)
        )
    s = p.toml(cams=False)
    for i, c in enumerate(p.cams):
        s += f'[[camera]]\nname = "cam{i + 1}"\naddress = "{ip}"\nurl = "{c.url()}"\n'
    p.end = 24
    p.sitetext = s
    return p


@visit()
def well_wifi_bridge():
    """Well dual site, 60 s."""
    p = Day(34, "dual", 3)
    for c in p.cams:
        c.mac = "f4:92:bf:01:02:03"
    p.end = 24
    return p.healthy(26, rtt=0.012, jit=0.006)


@visit()
def well_pool_time():
    """Well dual site, 60 s."""
    p = Day(38, "single", 1)
    p.arps(0.1, 70)
    p.cloud(0.5, 70, time=False)
    p.stream(end=70)
    p.lan(70)
    s = [Host(f"162.159.200.{i}", p.gw.mac, 55) for i in (1, 123, 77)]
    dns(p.w, 0.4, p.a1, p.dns_, "pool.ntp.org", [x.ip for x in s])
    for t in range(1, 70, 16):
        for i, x in enumerate(s):
            ntp(p.w, t + i * 0.1, p.a1, x, off=0.003 * i)
    p.end = 24
    p.sitetext = p.toml().replace(f'ntp = ["{p.ntp_.ip}"]\n', "")
    return p


@visit()
def well_8s():
    """Well dual site, 60 s."""
    p = Day(39, "dual", 2).healthy(8)
    p.end = 24
    return p


@visit()
def well_2s():
    """Well dual site, 60 s."""
    p = Day(40, "dual", 3).healthy(62)
    p.w.p = [(t - 58, f) for t, f in p.w.p if 58 < t < 26]
    p.end = 24
    return p


@visit()
def well_nat64():
    """Well dual site, 60 s."""
    p = Day(41, "single", 1)
    p.arps(0.1, 26)
    p.time(0.7, 26)
    p.stream(end=26)
    p.lan(26)
    w = p.w
    a6 = Host("2001:db8:44::9", p.a1.mac)
    for i, n in enumerate((p.iot, p.logs, p.mon, p.s3, p.cred)):
        v4 = p.far(n).ip
        f = Host(
            str(ipaddress.IPv6Address((0x64FF9B << 96) | int(ipaddress.ip_address(v4)))),
            p.gw.mac,
            230,
        )
        t = 1 + i
        dns(w, t, p.a1, p.dns_, n, [f.ip], "AAAA")
        dns(w, t + 0.0003, p.a1, p.dns_, n, [v4])
        k = Tls(w, a6, f, 443, t + 0.04).open()
        k.hand(
            n, ["x-amzn-mqtt-ca"] if n == p.iot else ["http/1.1"], v13=n != p.iot, mutual=n == p.iot
        )
        for s in range(8, 58, 9):
            k.req(300, 200, at=t + s)
    p.end = 24
    return p


@visit()
def well_single_with_standby():
    """Well dual site, 60 s."""
    p = Day(42, "single", 2)
    p.healthy(34)
    b = Host(f"{p.cloudnet}.99", p.a0.mac[:-2] + "11")
    for t in range(2, 34, 20):
        p.w.ask(t, b, p.gw)
        p.w.ask(t + 3, p.gw, b)
    p.end = 24
    p.sitetext = p.toml(extra="").replace(
        "[network]",
        f'[ports.eth1]\nrole = "both"\nmac = "{b.mac}"\naddress = "{b.ip}/24"\n[network]',
    )
    return p


@visit()
def well_one_reset():
    """Well dual site, 60 s."""
    p = Day(44, "dual", 1).healthy(26)
    p.tls(30, p.logs).open().rst("s")
    p.https(30.6, p.logs, look=False)
    p.end = 24
    return p


@visit()
def well_camera_only():
    """Well dual site, 60 s."""
    p = Day(46, "dual", 3)
    p.stream(end=26)
    p.lan(26)
    for t in (0.1, 30):
        for c in p.cams:
            p.w.ask(t, p.a0, c)
    p.end = 24
    p.sitetext = p.toml().replace('vantage = "mirror"', 'vantage = "mirror"\nmode = "camera-only"')
    return p


@visit()
def lacp_one_sided():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = rest(light(306), 26)
    b = (
        b"\x01\x01\x01\x14"
        + b"\x80\0"
        + mac("00:1b:54:00:00:03")
        + b"\0\1\x80\0\0\3\x05\0\0\0"
        + b"\x02\x14"
        + b"\0" * 18
        + b"\x03\x10"
        + b"\0" * 14
        + b"\0\0"
        + b"\0" * 50
    )
    for t in range(1, 26, 1):
        p.w.eth(t + 0.3, "00:1b:54:00:00:03", "01:30:c2:00:00:02", 0x8809, b)
    p.end = 24
    return p


@visit()
def igmp_snooping_well():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = rest(light(307, topology="single"), 26)
    for t in range(1, 26, 20):
        q = b"\x11\x64\0\0\0\0\0\0"
        q = q[:2] + struct.pack("!H", csum(q)) + q[4:]
        p.w.ip(t, p.gw, Host("224.0.0.1", "01:00:5e:00:00:01"), 2, q, ttl=1, df=False)
        m = b"\x16\0\0\0" + addr("239.255.1.1")
        m = m[:2] + struct.pack("!H", csum(m)) + m[4:]
        p.w.ip(
            t + 2,
            Host(f"{p.camnet}.66", "00:40:8c:00:00:66"),
            Host("239.255.1.1", "01:00:5e:7f:01:01"),
            2,
            m,
            ttl=1,
            df=False,
        )
    p.end = 24
    return p


@visit()
def wpad_asked_for():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = rest(light(314, 1), 26)
    for t in (3, 33):
        dns(p.w, t, p.a1, p.dns_, "wpad.example.lan", rcode=3)
        dns(p.w, t + 0.1, p.a1, p.dns_, "wpad.lan", rcode=3)
    p.end = 24
    return p


@visit()
def gateway_monitors():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = rest(light(325, 1), 26)
    for t in range(2, 26, 5):
        p.w.ask(t, p.gw, p.a1)
        p.w.icmp(t + 0.5, p.gw, p.a1, 8, 0, struct.pack("!HH", 1, t) + b"z" * 32)
        p.w.icmp(t + 0.5005, p.a1, p.gw, 0, 0, struct.pack("!HH", 1, t) + b"z" * 32)
    p.end = 24
    return p


@visit()
def constant_bit_rate():
    """Bit-rate explodes at night to 12 Mb/s on one camera (noise): above 9 Mb/s."""
    p = scene(421, 26, 2, shape=lambda t, k, s: 1500)
    p.end = 24
    return p


@visit()
def rtsps_cameras():
    """Bit-rate explodes at night to 12 Mb/s on one camera (noise): above 9 Mb/s."""
    p = scene(427, 26, 1)
    c = Cam(f"{p.camnet}.150", "ac:cc:8e:01:02:50")
    k = Tls(p.w, p.a0, c, 322, 1, 0.0006).open().hand(None, v13=True)
    for t in range(3, 26):
        for q in range(3):
            k.s(data(1100), at=t + q * 0.1)
        if t % 20 == 0:
            k.c(data(150))
    p.end = 24
    p.sitetext = p.toml(
        extra=f'[[camera]]\nname = "sealed"\naddress = "{c.ip}"\nurl = "rtsps://{c.ip}:322/live"\n'
    )
    return p
