"""Names, time and leases as resolved, glibc, chrony, timesyncd, dhclient and dnsmasq send them."""

from __future__ import annotations

import random
import struct

from tests.situations.stack import BROADCAST, Host, packed, raw

A, AAAA, CNAME, SOA = 1, 28, 5, 6
EDNS = b"\0\0\x29\x05\xc0\0\0\0\0\0\0"


def qname(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.rstrip(".").split(".")) + b"\0"


def message(txid, name, kind, answers=None, rcode=0, edns=True, tc=False, soa=True):
    """A question, or with `answers` (owner, type, data, ttl) its answer."""
    flags = 0x0100 if answers is None else 0x8180 | rcode | (0x200 if tc else 0)
    bare = answers is not None and not any(a[1] == kind for a in answers) and soa and not tc
    out = struct.pack("!HHHHHH", txid, flags, 1, len(answers or ()), int(bare), int(edns))
    out += qname(name) + struct.pack("!HH", kind, 1)
    for owner, type_, data, ttl in answers or ():
        body = packed(data) if type_ in (A, AAAA) else qname(data)
        out += b"\xc0\x0c" if owner == name else qname(owner)
        out += struct.pack("!HHIH", type_, 1, ttl, len(body)) + body
    if bare:
        body = qname("ns-1670.awsdns-16.co.uk") + qname("awsdns-hostmaster.amazon.com")
        body += struct.pack("!IIIII", 1, 7200, 900, 1209600, 60)
        zone = ".".join(name.split(".")[-2:])
        out += qname(zone) + struct.pack("!HHIH", SOA, 1, 60, len(body)) + body
    return out + (EDNS if edns else b"")


def look(
    s,
    at,
    name,
    ips=None,
    who=None,
    server=None,
    think=0.012,
    rcode=0,
    ttl=60,
    alias=None,
    six=(),
    kinds=(A, AAAA),
    silent=(),
    tries=2,
    style="resolved",
    wait=5.0,
    soa=True,
):
    """A and AAAA at once, as people's resolvers ask; kinds in `silent` get no answer.

    resolved asks from a port for each question, with EDNS; glibc asks both from one, without it.
    """
    who, server = who or s.cloud, server or s.resolver
    r = random.Random(f"{name}{at}")
    port = r.randrange(32768, 60999)
    for n, kind in enumerate(kinds):
        txid = r.randrange(1 << 16)
        sport = port if style == "glibc" else r.randrange(32768, 60999)
        edns = style != "glibc"
        mute = kind in silent
        for k in range(tries if mute else 1):
            s.udp(
                at + n * 0.0002 + wait * k,
                who,
                sport,
                server,
                53,
                message(txid, name, kind, edns=edns),
            )
        if mute:
            continue
        data = (s.ips(name) if ips is None else ips) if kind == A else list(six)
        chainof = [(name, CNAME, alias, ttl)] if alias and not rcode else []
        owner = alias or name
        answers = chainof + ([(owner, kind, d, ttl) for d in data] if not rcode else [])
        s.udp(
            at + n * 0.0003 + think,
            server,
            53,
            who,
            sport,
            message(txid, name, kind, answers, rcode, edns, soa=soa),
        )
    return at + think + 0.001


def stamp(s, at):
    return int((at + s.t0 + 2208988800) * 2**32) & (2**64 - 1)


def ntp(
    s,
    at,
    who=None,
    server=None,
    style="chrony",
    off=0.0,
    wrong=0.0,
    answer=True,
    stratum=2,
    leap=0,
    ref=b"\x11\x22\x33\x44",
    rtt=None,
    kiss=None,
    origin=None,
    root=0.01,
):
    """One request and its answer. off: the client's clock; wrong: the server's."""
    who, server = who or s.cloud, server or s.clock
    rtt = (0.0007 if server.stack == "router" else s.rtt) if rtt is None else rtt
    r = random.Random(f"{at}{who.ip}")
    if style == "chrony":
        sport, xmt, first = r.randrange(32768, 60999), r.randrange(1 << 64), 0x23
        body = struct.pack("!BBbb", first, 0, 6, 32) + bytes(36) + struct.pack("!Q", xmt)
    elif style == "timesyncd":
        sport, xmt = r.randrange(32768, 60999), stamp(s, at + off)
        body = struct.pack("!BBbb", 0x23, 0, 0, 0) + bytes(36) + struct.pack("!Q", xmt)
    else:
        sport, xmt = 123, stamp(s, at + off)
        body = struct.pack(
            "!BBbbII4sQQQQ", 0x23, 3, 6, -20, 800, 900, b"\x0a\0\0\1", stamp(s, at - 60), 0, 0, xmt
        )
    s.udp(at, who, sport, server, 123, body)
    if not answer:
        return
    mid = at + rtt / 2 + wrong
    if kiss:
        stratum, leap, ref = 0, 3, kiss
    reply = struct.pack(
        "!BBbbII4sQQQQ",
        leap << 6 | 0x24,
        stratum,
        6,
        -23,
        int(root * 65536),
        900,
        ref,
        stamp(s, mid - 44),
        xmt if origin is None else origin,
        stamp(s, mid),
        stamp(s, mid + 0.00002),
    )
    s.udp(at + rtt, server, 123, who, sport, reply)


def option(kind, data):
    return bytes([kind, len(data)]) + data


def dhcp(
    s,
    at,
    kind,
    who,
    server=None,
    offer="0.0.0.0",
    xid=1,
    ci="0.0.0.0",
    more=b"",
    unicast=False,
    vendor=b"",
    name=b"",
    secs=0,
):
    """kind: 1 DISCOVER 2 OFFER 3 REQUEST 4 DECLINE 5 ACK 6 NAK 7 RELEASE 8 INFORM."""
    reply = kind in (2, 5, 6)
    body = struct.pack("!BBBBIHH", 2 if reply else 1, 1, 6, 0, xid, secs, 0)
    body += packed(ci) + packed(offer) + (packed(server.ip) if reply else bytes(4)) + bytes(4)
    body += (
        raw(who.mac).ljust(16, b"\0") + bytes(192) + b"\x63\x82\x53\x63" + option(53, bytes([kind]))
    )
    if not reply:
        body += option(61, b"\1" + raw(who.mac)) + option(57, struct.pack("!H", 1500))
        body += option(12, name or (who.name or "panorama").encode())
        body += option(60, vendor) if vendor else b""
        body += option(55, b"\1\2\6\x0c\x0f\x1a\x1c\x79\3\x21\x28\x29\x2a")
    body = (body + more + b"\xff").ljust(300, b"\0")
    if reply:
        to = Host(who.mac, offer) if kind != 6 else Host(BROADCAST, "255.255.255.255")
        s.udp(at, server, 67, to, 68, body)
    elif unicast:
        s.udp(at, Host(who.mac, ci, ttl=64), 68, server, 67, body)
    else:
        src = Host(who.mac, ci, ttl=64)
        s.udp(at, src, 68, Host(BROADCAST, "255.255.255.255"), 67, body)


def terms(s, server, gateway=None, names=None, seconds=86400, mask="255.255.255.0"):
    """dnsmasq's options."""
    out = option(54, packed(server.ip)) + option(51, struct.pack("!I", seconds))
    out += option(58, struct.pack("!I", seconds // 2)) + option(
        59, struct.pack("!I", seconds * 7 // 8)
    )
    out += option(1, packed(mask))
    if gateway:
        out += option(3, packed(gateway))
    return out + option(6, packed(names or s.resolver.ip)) + option(15, b"plant.example")


def lease(s, at, who, server=None, gateway=None, seconds=86400, probe=True, **more):
    """Four messages, and the address probed and announced."""
    server = server or s.router
    xid = random.Random(f"{at}{who.mac}").randrange(1 << 32)
    t = terms(s, server, gateway or server.ip, seconds=seconds)
    dhcp(s, at, 1, who, xid=xid, **more)
    dhcp(s, at + 0.02, 2, who, server, who.ip, xid, more=t)
    ask = option(50, packed(who.ip)) + option(54, packed(server.ip))
    dhcp(s, at + 0.03, 3, who, xid=xid, more=ask, **more)
    dhcp(s, at + 0.05, 5, who, server, who.ip, xid, more=t)
    if probe:
        for n in range(2):
            s.arp(at + 0.1 + n * 0.2, 1, who, who.ip, says="0.0.0.0")
        s.announce(at + 1.1, who)
    return at + 1.2


def renew(s, at, who, server=None, answer=True, seconds=86400, broadcast=False, xid=None):
    """At half of the lease, unicast; later to all."""
    server = server or s.router
    xid = xid or random.Random(f"{at}{who.mac}").randrange(1 << 32)
    dhcp(s, at, 3, who, server, xid=xid, ci=who.ip, unicast=not broadcast)
    if answer:
        dhcp(
            s,
            at + 0.004,
            5,
            who,
            server,
            who.ip,
            xid,
            ci=who.ip,
            more=terms(s, server, server.ip, seconds=seconds),
        )
