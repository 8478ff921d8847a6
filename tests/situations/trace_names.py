"""Names, times, leases and what switches say: DNS, NTP, DHCP, spanning tree, LLDP."""

from __future__ import annotations

import random
import struct

from tests.situations.trace import BCAST, Host, addr, mac, macb


def qname(n):
    return b"".join(bytes([len(x)]) + x.encode() for x in n.rstrip(".").split(".")) + b"\0"


QT = {"A": 1, "AAAA": 28, "PTR": 12, "TXT": 16, "CNAME": 5, "SRV": 33, "SVCB": 64, "HTTPS": 65}


def dnsq(i, n, t="A", flags=0x0100):
    return struct.pack("!HHHHHH", i, flags, 1, 0, 0, 0) + qname(n) + struct.pack("!HH", QT[t], 1)


def dnsr(i, n, answers, t="A", rcode=0, flags=0x8180, ttl=60, cname=None):
    an = b""
    cnt = 0
    own = b"\xc0\x0c"
    if cname:
        c = qname(cname)
        an += own + struct.pack("!HHIH", 5, 1, ttl, len(c)) + c
        own = c
        cnt += 1
    for a in answers:
        b = addr(a)
        an += own + struct.pack("!HHIH", 1 if len(b) == 4 else 28, 1, ttl, len(b)) + b
        cnt += 1
    return (
        struct.pack("!HHHHHH", i, flags | rcode, 1, cnt, 0, 0)
        + qname(n)
        + struct.pack("!HH", QT[t], 1)
        + an
    )


def dns(
    w,
    t,
    c,
    s,
    n,
    answers=(),
    typ="A",
    rcode=0,
    rtt=0.012,
    answer=True,
    cname=None,
    sport=None,
    ttl=60,
    ident=None,
    flags=0x8180,
    resend=(),
):
    i = ident if ident is not None else random.Random(f"{n}{t}{typ}").randrange(65536)
    p = sport or 20000 + random.Random(f"{t}{n}{typ}").randrange(40000)
    w.udp(t, c, s, p, 53, dnsq(i, n, typ), df=False)
    for d in resend:
        w.udp(t + d, c, s, p, 53, dnsq(i, n, typ), df=False)
    if answer:
        w.udp(t + rtt, s, c, 53, p, dnsr(i, n, answers, typ, rcode, flags, ttl, cname), df=False)


def ntpt(ns):
    s = ns / 1e9 + 2208988800
    return struct.pack("!II", int(s), int((s % 1) * 2**32))


def ntp(
    w,
    t,
    c,
    s,
    off=0.0,
    answer=True,
    stratum=2,
    leap=0,
    rtt=0.015,
    sport=None,
    ref=b"\xc0\xa8\x01\x01",
    kod=None,
    client_time=None,
):
    me = (
        client_time if client_time is not None else w.start + int((t - off) * 1e9)
    )  # the client's clock is `off` behind
    tx = ntpt(me)
    p = sport or 123
    w.udp(
        t,
        c,
        s,
        p,
        123,
        struct.pack("!BBbb", 0x23, 0, 6, -20)
        + struct.pack("!II", 0, 0)
        + b"\0" * 4
        + b"\0" * 24
        + tx,
    )
    if answer:
        n = ntpt(w.start + int((t + rtt / 2) * 1e9))
        w.udp(
            t + rtt,
            s,
            c,
            123,
            p,
            struct.pack("!BBbb", leap << 6 | 0x24, stratum, 6, -23)
            + struct.pack("!II", 0x00000500, 0x00000300)
            + (kod or ref)
            + ntpt(w.start + int((t - 100) * 1e9))
            + tx
            + n
            + n,
        )


def dhcp(
    w,
    t,
    typ,
    c,
    server=None,
    yi="0.0.0.0",
    xid=0x3903F326,
    opts=b"",
    ci="0.0.0.0",
    dst=None,
    bcast=True,
    name=None,
    giaddr="0.0.0.0",
):
    """typ 1 DISCOVER 2 OFFER 3 REQUEST 4 DECLINE 5 ACK 6 NAK 7 RELEASE"""
    reply = typ in (2, 5, 6)
    b = (
        struct.pack("!BBBBIHH", 2 if reply else 1, 1, 6, 0, xid, 3, 0)
        + addr(ci)
        + addr(yi)
        + addr(server.ip if reply and server else "0.0.0.0")
        + addr(giaddr)
        + macb(c.mac)
        + b"\0" * 10
        + b"\0" * 192
    )
    b += b"\x63\x82\x53\x63" + bytes([53, 1, typ])
    if reply and server:
        b += b"\x36\4" + addr(server.ip)
    if not reply and name:
        b += bytes([12, len(name)]) + name.encode()
    b += opts + b"\xff"
    b += b"\0" * max(0, 300 - len(b))
    any0 = Host("0.0.0.0", c.mac)
    all1 = Host("255.255.255.255", BCAST)
    if reply:
        w.udp(t, server, Host(yi, c.mac) if not bcast else all1, 67, 68, b, df=False)
    elif dst:
        w.udp(t, c, dst, 68, 67, b)
    else:
        w.udp(t, any0, all1, 68, 67, b, df=False)


def lopts(gw=None, dnss=(), mask="255.255.255.0", lease=3600, ntps=()):
    o = b"\1\4" + addr(mask) + b"\x33\4" + struct.pack("!I", lease)
    if gw:
        o += b"\3\4" + addr(gw)
    if dnss:
        o += bytes([6, 4 * len(dnss)]) + b"".join(addr(x) for x in dnss)
    if ntps:
        o += bytes([42, 4 * len(ntps)]) + b"".join(addr(x) for x in ntps)
    return o


def lease(
    w,
    t,
    c,
    server,
    gw=None,
    dnss=(),
    name=None,
    lease=3600,
    ntps=(),
    mask="255.255.255.0",
    probe=True,
):
    x = random.Random(f"{c.mac}{t}").randrange(1 << 32)
    o = lopts(gw, dnss, mask, lease, ntps)
    dhcp(w, t, 1, c, xid=x, name=name, opts=b"\x37\5\1\3\6\x2a\x33")
    dhcp(w, t + 0.3, 2, c, server, c.ip, x, o)
    dhcp(
        w,
        t + 0.31,
        3,
        c,
        xid=x,
        name=name,
        opts=b"\x32\4" + addr(c.ip) + b"\x36\4" + addr(server.ip),
    )
    dhcp(w, t + 0.35, 5, c, server, c.ip, x, o)
    if probe:
        for i in range(3):
            w.arp(t + 0.4 + i, 1, c.mac, "0.0.0.0", "00:00:00:00:00:00", c.ip)
        for i in range(2):
            w.arp(t + 4.4 + 2 * i, 1, c.mac, c.ip, "00:00:00:00:00:00", c.ip)
    return t + 4.5


def bpdu(w, t, src="00:1b:54:00:00:01"):
    b = (
        b"\x42\x42\x03"
        + b"\0\0\0\0\0"
        + b"\x80\x01"
        + mac(src)
        + b"\0\0\0\4"
        + b"\x80\x01"
        + mac(src)
        + b"\x80\x03\0\0\x14\0\2\0\x0f\0"
    )
    f = mac("01:80:c2:00:00:00") + mac(src) + struct.pack("!H", len(b)) + b
    w.add(t, f + b"\0" * (60 - len(f)))


def lldp(w, t, src="00:1b:54:00:00:03", port="Gi1/0/3", name="sw-plant-1", desc="Gigabit", vlan=20):
    def tl(n, b):
        return struct.pack("!H", n << 9 | len(b)) + b

    b = (
        tl(1, b"\4" + mac(src))
        + tl(2, b"\5" + port.encode())
        + tl(3, struct.pack("!H", 120))
        + tl(4, desc.encode())
        + tl(5, name.encode())
        + tl(127, b"\0\x80\xc2\1" + struct.pack("!H", vlan))
        + tl(0, b"")
    )
    w.eth(t, src, "01:80:c2:00:00:0e", 0x88CC, b)
