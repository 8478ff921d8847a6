"""Frames written by hand: hosts, TCP, TLS, RTSP with its media, names, leases, times, neighbours.

Times are seconds from a world's `start` (ns). What one side sends is on the wire at the time of the
call; answers come one round trip later, as at a mirror beside the appliance.
"""

from __future__ import annotations

import datetime
import functools
import ipaddress
import random
import struct

START = int(datetime.datetime(2026, 3, 10, 8, 0, tzinfo=datetime.UTC).timestamp() * 10**9)
BLOB = random.Random(7).randbytes(1 << 18)
BCAST = "ff:ff:ff:ff:ff:ff"


def mac(m):
    return bytes.fromhex(m.replace(":", ""))


@functools.lru_cache(None)
def addr(a):
    return ipaddress.ip_address(a).packed


@functools.lru_cache(4096)
def macb(m):
    return mac(m)


def csum(b):
    if len(b) & 1:
        b += b"\0"
    n = int.from_bytes(b, "big") % 0xFFFF
    return (~n) & 0xFFFF or 0xFFFF if n else 0xFFFF


_AT = [0]


def rnd(n):
    """So many bytes without a pattern."""
    _AT[0] = (_AT[0] + 7919) % (len(BLOB) - 70000)
    return BLOB[_AT[0] : _AT[0] + n]


class Host:
    def __init__(self, ip, m, ttl=64, name=None):
        self.ip, self.mac, self.ttl, self.name = ip, m, ttl, name
        self.id = random.Random(str(ip) + m).randrange(65536)
        self.port = 32768 + random.Random(m + str(ip)).randrange(20000)

    def eph(self):
        self.port += 2 + self.id % 5
        if self.port > 60990:
            self.port = 33001
        return self.port & ~1


class World:
    def __init__(self, start=START):
        self.p, self.start = [], start

    def add(self, t, frame):
        self.p.append((t, frame))

    def eth(self, t, src, dst, etype, payload):
        f = macb(dst) + macb(src) + struct.pack("!H", etype) + payload
        self.p.append((t, f if len(f) >= 60 else f + b"\0" * (60 - len(f))))

    def ip(
        self,
        t,
        src,
        dst,
        proto,
        payload,
        ttl=None,
        l2src=None,
        l2dst=None,
        df=True,
        tos=0,
        fragoff=None,
        ident=None,
    ):
        ttl = src.ttl if ttl is None else ttl
        if ":" in src.ip:
            h = (
                struct.pack("!IHBB", 0x60000000 | tos << 20, len(payload), proto, ttl)
                + addr(src.ip)
                + addr(dst.ip)
            )
            self.eth(t, l2src or src.mac, l2dst or dst.mac, 0x86DD, h + payload)
            return
        src.id = (src.id + 1) & 0xFFFF
        flags = fragoff if fragoff is not None else (0x4000 if df else 0)
        h = (
            struct.pack(
                "!BBHHHBBH",
                0x45,
                tos,
                20 + len(payload),
                src.id if ident is None else ident,
                flags,
                ttl,
                proto,
                0,
            )
            + addr(src.ip)
            + addr(dst.ip)
        )
        h = h[:10] + struct.pack("!H", csum(h)) + h[12:]
        self.eth(t, l2src or src.mac, l2dst or dst.mac, 0x0800, h + payload)

    def pseudo(self, src, dst, proto, n):
        if ":" in src.ip:
            return addr(src.ip) + addr(dst.ip) + struct.pack("!IHBB", n, 0, 0, proto)
        return addr(src.ip) + addr(dst.ip) + struct.pack("!BBH", 0, proto, n)

    def udp(self, t, src, dst, sport, dport, data, **k):
        n = 8 + len(data)
        h = struct.pack("!HHHH", sport, dport, n, 0)
        c = csum(self.pseudo(src, dst, 17, n) + h + data)
        self.ip(t, src, dst, 17, h[:6] + struct.pack("!H", c) + data, **k)

    def tcp(self, t, src, dst, sport, dport, seq, ack, flags, data=b"", win=501, opts=b"", **k):
        h = (
            struct.pack(
                "!HHIIBBHHH",
                sport,
                dport,
                seq & 0xFFFFFFFF,
                ack & 0xFFFFFFFF,
                (5 + len(opts) // 4) << 4,
                flags,
                win,
                0,
                0,
            )
            + opts
        )
        c = csum(self.pseudo(src, dst, 6, len(h) + len(data)) + h + data)
        self.ip(t, src, dst, 6, h[:16] + struct.pack("!H", c) + h[18:] + data, **k)

    def icmp(self, t, src, dst, typ, code, rest, **k):
        b = struct.pack("!BBH", typ, code, 0) + rest
        self.ip(t, src, dst, 1, b[:2] + struct.pack("!H", csum(b)) + b[4:], df=False, **k)

    def arp(self, t, op, sm, si, tm, ti, l2dst=None):
        self.eth(
            t,
            sm,
            l2dst or (BCAST if op == 1 else tm),
            0x0806,
            struct.pack("!HHBBH", 1, 0x0800, 6, 4, op) + macb(sm) + addr(si) + macb(tm) + addr(ti),
        )

    def ask(self, t, a, b, answer=True, after=0.0004):
        """a asks for b by ARP; b answers."""
        self.arp(t, 1, a.mac, a.ip, "00:00:00:00:00:00", b.ip)
        if answer:
            self.arp(t + after, 2, b.mac, b.ip, a.mac, a.ip)

    def last(self):
        return self.p[-1][1]

    def sorted(self):
        return sorted(self.p, key=lambda x: x[0])


SYNOPT = struct.pack("!BBHBBBBBB", 2, 4, 1460, 4, 2, 1, 3, 3, 7) + b"\1\1\1"
SYNOPT = SYNOPT[:12]
S, A, F, R, P = 2, 16, 1, 4, 8


class Tcp:
    """One connection; t moves on with what is said."""

    def __init__(
        self, w, c, s, dport, t, rtt=0.02, sport=None, cl2=None, sl2=None, mss=1448, ttl_s=None
    ):
        self.w, self.c_, self.s_, self.t, self.rtt, self.mss = w, c, s, t, rtt, mss
        self.sp, self.dp = sport or c.eph(), dport
        self.cs = random.Random(f"{c.ip}{self.sp}{t}").randrange(1 << 31)
        self.ss = random.Random(f"{s.ip}{self.sp}{t}x").randrange(1 << 31)
        self.n = 0
        self.ttl_s = ttl_s

    def out(self, flags, data=b"", t=None, opts=b"", win=501):
        self.w.tcp(
            self.t if t is None else t,
            self.c_,
            self.s_,
            self.sp,
            self.dp,
            self.cs,
            self.ss if flags & A else 0,
            flags,
            data,
            win,
            opts,
        )

    def back(self, flags, data=b"", t=None, opts=b"", win=501):
        self.w.tcp(
            self.t if t is None else t,
            self.s_,
            self.c_,
            self.dp,
            self.sp,
            self.ss,
            self.cs if flags & A else 0,
            flags,
            data,
            win,
            opts,
            ttl=self.ttl_s,
        )

    def open(self):
        self.out(S, opts=SYNOPT, win=64240)
        self.cs += 1
        self.t += self.rtt
        self.back(S | A, opts=SYNOPT, win=65535)
        self.ss += 1
        self.t += 0.0001
        self.out(A)
        return self

    def silent(self, tries=(0, 1, 3, 7), opts=SYNOPT):
        t0 = self.t
        for d in tries:
            self.out(S, t=t0 + d, opts=opts, win=64240)
        self.t = t0 + tries[-1] + 8
        return self

    def refused(self, ttl=None):
        self.out(S, opts=SYNOPT, win=64240)
        self.t += self.rtt
        self.w.tcp(
            self.t, self.s_, self.c_, self.dp, self.sp, 0, self.cs + 1, R | A, b"", 0, ttl=ttl
        )
        return self

    def c(self, data, at=None, ack=True):
        if at is not None:
            self.t = max(self.t, at)
        for i in range(0, len(data), self.mss):
            seg = data[i : i + self.mss]
            self.out(A | P, seg)
            self.cs += len(seg)
            self.t += 0.00005
        if ack:
            self.back(A, t=self.t + self.rtt - 0.0001)
        return self

    def s(self, data, at=None, ack=True, think=0.002):
        self.t = max(self.t + self.rtt + think, at or 0)
        for i in range(0, len(data), self.mss):
            seg = data[i : i + self.mss]
            self.back(A | P if i + self.mss >= len(data) else A, seg)
            self.ss += len(seg)
            self.t += 0.00005
            if ack and i // self.mss % 2:
                self.out(A, t=self.t + 0.00002)
        if ack:
            self.t += 0.0002
            self.out(A)
        return self

    def fin(self, at=None, by="c"):
        if at is not None:
            self.t = max(self.t, at)
        if by == "c":
            self.out(F | A)
            self.cs += 1
            self.t += self.rtt
            self.back(F | A)
            self.ss += 1
            self.t += 0.0001
            self.out(A)
        else:
            self.back(F | A)
            self.ss += 1
            self.t += 0.0003
            self.out(F | A)
            self.cs += 1
            self.t += self.rtt
            self.back(A)
        return self

    def rst(self, by="s", at=None, ttl=None):
        if at is not None:
            self.t = max(self.t, at)
        if by == "s":
            self.w.tcp(
                self.t, self.s_, self.c_, self.dp, self.sp, self.ss, self.cs, R | A, b"", 0, ttl=ttl
            )
        else:
            self.w.tcp(self.t, self.c_, self.s_, self.sp, self.dp, self.cs, self.ss, R | A, b"", 0)
        return self

    def resend(self, data, times, by="c"):
        """Retransmissions of the last data at these times, never acknowledged."""
        for t in times:
            for i in range(0, len(data), self.mss):
                seg = data[i : i + self.mss]
                if by == "c":
                    self.w.tcp(
                        t,
                        self.c_,
                        self.s_,
                        self.sp,
                        self.dp,
                        self.cs - len(data) + i,
                        self.ss,
                        A | P,
                        seg,
                        501,
                    )
                else:
                    self.w.tcp(
                        t,
                        self.s_,
                        self.c_,
                        self.dp,
                        self.sp,
                        self.ss - len(data) + i,
                        self.cs,
                        A | P,
                        seg,
                        501,
                    )
