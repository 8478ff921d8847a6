"""TCP connections and TLS of a `Yard`, byte by byte, written from the RFCs."""

from __future__ import annotations

import datetime
import random
import struct
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from tests.situations.yard import Host, Yard

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def csum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    words = array("H", data)
    words.byteswap()
    s = sum(words)
    s = (s & 0xFFFF) + (s >> 16)
    s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


class Conn:
    """A TCP connection; times are seconds at the mirror beside the client."""

    def __init__(
        self, y: Yard, c: Host, cp: int, s: Host, sp: int, rtt: float, mss: int = 1460
    ) -> None:
        self.y, self.c, self.cp, self.s, self.sp, self.rtt, self.mss = y, c, cp, s, sp, rtt, mss
        self.q, self.a = (
            y.r.randrange(1 << 32),
            y.r.randrange(1 << 32),
        )  # client's and server's next
        self.wc, self.ws = 502, 490
        self.more = {}

    def seg(
        self,
        at: float,
        out: bool,
        flags: int,
        data: bytes = b"",
        seq: int | None = None,
        ack: int | None = None,
        win: int | None = None,
        ttl: int | None = None,
        opts: bytes = b"",
        host: Host | None = None,
    ) -> bytes:
        src, sp, dst, dp = (
            (self.c, self.cp, self.s, self.sp) if out else (self.s, self.sp, self.c, self.cp)
        )
        src = host or src
        mine, other = (self.q, self.a) if out else (self.a, self.q)
        seq, ack = (
            mine if seq is None else seq,
            (other if flags & ACK else 0) if ack is None else ack,
        )
        if flags & SYN:
            opts = opts or struct.pack(
                "!BBHBBBBIIBBB",
                2,
                4,
                self.mss,
                4,
                2,
                8,
                10,
                int(at * 1000) & 0xFFFFFFFF,
                0,
                1,
                3,
                3,
            ) + bytes([7])
            opts = opts[:20] if len(opts) > 20 else opts
        opts = opts + b"\1" * (-len(opts) % 4)
        w = (64240 if flags & SYN else (self.wc if out else self.ws)) if win is None else win
        head = (
            struct.pack(
                "!HHIIBBHHH",
                sp,
                dp,
                seq & 0xFFFFFFFF,
                ack & 0xFFFFFFFF,
                (5 + len(opts) // 4) << 4,
                flags,
                w,
                0,
                0,
            )
            + opts
        )
        pseudo = (
            src.packed
            + dst.packed
            + (
                struct.pack("!BBH", 0, 6, len(head) + len(data))
                if "." in src.ip
                else struct.pack("!IHBB", len(head) + len(data), 0, 0, 6)
            )
        )
        c = csum(pseudo + head + data)
        head = head[:16] + struct.pack("!H", c) + head[18:]
        return self.y.ip(at, src, dst, 6, head + data, ttl=ttl, **self.more)

    def open(self, at: float) -> float:
        self.seg(at, True, SYN)
        self.q += 1
        self.seg(at + self.rtt, False, SYN | ACK)
        self.a += 1
        self.seg(at + self.rtt + 0.0002, True, ACK)
        return at + self.rtt + 0.0003

    def say(
        self,
        at: float,
        data: bytes,
        out: bool = True,
        ack: bool = True,
        lost: bool = False,
        chunk: int | None = None,
    ) -> float:
        """Data in one direction, acknowledged; gives the time of the acknowledgement."""
        size, t = chunk or self.mss - 12, at
        for n in range(0, len(data), size):
            part = data[n : n + size]
            last = n + size >= len(data)
            if not lost:
                self.seg(t, out, ACK | (PSH if last else 0), part)
            if out:
                self.q += len(part)
            else:
                self.a += len(part)
            t += 0.0002
        if ack and not lost:
            wait = self.rtt if out else 0.0003
            self.seg(t + wait, not out, ACK)
            return t + wait + 0.0002
        return t

    # TLS -----------------------------------------------------------------
    def tls(
        self,
        at: float,
        name: str,
        alpn: tuple[str, ...] = (),
        v13: bool = True,
        cc: bool = False,
        issuer: str = "Amazon",
        serveralpn: bool = True,
        **cert: Any,
    ) -> float:
        t = self.open(at)
        t = self.hello(t, name, alpn, v13)
        t = self.flight(t, name, alpn[0] if alpn and serveralpn else None, v13, cc, issuer, **cert)
        return self.finish(t, v13, cc)

    def hello(
        self,
        at: float,
        name: str,
        alpn: tuple[str, ...] = (),
        v13: bool = True,
        big: int = 0,
        ack: bool = False,
        lost: bool = False,
    ) -> float:
        return self.say(at, client_hello(self.y.r, name, alpn, v13, big), True, ack, lost)

    def flight(
        self,
        at: float,
        name: str,
        alpn: str | None = None,
        v13: bool = True,
        cc: bool = False,
        issuer: str = "Amazon",
        at_: Any | None = None,
        **cert: Any,
    ) -> float:
        t = at + self.rtt
        data = server_flight(self.y, name, alpn, v13, cc, issuer, **cert)
        return self.say(t, data, False)

    def finish(self, at: float, v13: bool = True, cc: bool = False) -> float:
        if v13:
            t = self.say(
                at,
                rec(20, b"\1") + (rec(23, bytes(1150)) if cc else b"") + rec(23, bytes(69)),
                True,
            )
            return self.say(t, rec(23, bytes(250)) + rec(23, bytes(250)), False)
        mine = b""
        if cc:
            der = leaf(self.y, "AWS IoT Certificate", "Amazon")
            mine = hs(11, u24(len(der) + 3) + u24(len(der)) + der)
        mine = (
            hs(16, b"\x41" + bytes(65))
            if not cc
            else mine
            + hs(16, b"\x41" + bytes(65))
            + hs(15, b"\x04\x03" + struct.pack("!H", 71) + bytes(71))
        )
        t = self.say(at, rec(22, mine) + rec(20, b"\1") + rec(22, bytes(40)), True)
        return self.say(t, rec(20, b"\1") + rec(22, bytes(40)), False)

    def data(self, at: float, up: int = 200, back: int = 200, wait: float = 0.0) -> float:
        t = self.say(at, rec(23, bytes(up)), True) if up else at
        return self.say(t + wait, rec(23, bytes(back)), False) if back else t

    def close(self, at: float, rst: bool = False) -> None:
        if rst:
            self.seg(at, True, RST | ACK)
            return
        self.seg(at, True, FIN | ACK)
        self.q += 1
        self.seg(at + self.rtt, False, FIN | ACK)
        self.a += 1
        self.seg(at + self.rtt + 0.0003, True, ACK)

    def server_close(self, at: float) -> None:
        self.seg(at, False, FIN | ACK)
        self.a += 1
        self.seg(at + 0.0004, True, FIN | ACK)
        self.q += 1
        self.seg(at + 0.0004 + self.rtt, False, ACK)


def u24(n: int) -> bytes:
    return n.to_bytes(3, "big")


def rec(kind: int, body: bytes, ver: int = 0x0303) -> bytes:
    return b"".join(
        struct.pack("!BHH", kind, ver, len(body[n : n + 16384])) + body[n : n + 16384]
        for n in range(0, max(len(body), 1), 16384)
    )


def hs(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + u24(len(body)) + body


def ext(n: int, body: bytes) -> bytes:
    return struct.pack("!HH", n, len(body)) + body


def client_hello(
    r: random.Random, name: str, alpn: tuple[str, ...] = (), v13: bool = True, big: int = 0
) -> bytes:
    e = b""
    if name:
        n = name.encode()
        e += ext(0, struct.pack("!HBH", len(n) + 3, 0, len(n)) + n)
    e += (
        ext(23, b"")
        + ext(0xFF01, b"\0")
        + ext(10, b"\0\6\0\x1d\0\x17\0\x18")
        + ext(11, b"\1\0")
        + ext(35, b"")
    )
    if alpn:
        body = b"".join(bytes([len(a)]) + a.encode() for a in alpn)
        e += ext(16, struct.pack("!H", len(body)) + body)
    e += ext(13, b"\0\x0e\4\3\5\3\6\3\x08\x04\x08\x05\x08\x06\4\1")
    if v13:
        e += (
            ext(43, b"\4\3\4\3\3")
            + ext(45, b"\1\1")
            + ext(51, struct.pack("!HHH", 36, 0x1D, 32) + r.randbytes(32))
        )
    if big:
        e += ext(21, bytes(big))
    suites = (
        b"\x13\1\x13\2\x13\3\xc0\x2f\xc0\x30\xc0\x2b\xc0\x2c"
        if v13
        else b"\xc0\x2f\xc0\x30\xc0\x2b\xc0\x2c\0\x9c\0\x9d"
    )
    body = (
        b"\3\3"
        + r.randbytes(32)
        + (b"\x20" + r.randbytes(32) if v13 else b"\0")
        + struct.pack("!H", len(suites))
        + suites
        + b"\1\0"
        + struct.pack("!H", len(e))
        + e
    )
    return rec(22, hs(1, body), 0x0301)


def server_flight(
    y: Yard, name: str, alpn: str | None, v13: bool, cc: bool, issuer: str, **cert: Any
) -> bytes:
    rnd = y.r.randbytes(32)
    if v13:
        e = ext(43, b"\3\4") + ext(51, struct.pack("!HH", 0x1D, 32) + y.r.randbytes(32))
        sh = (
            b"\3\3"
            + rnd
            + b"\x20"
            + y.r.randbytes(32)
            + b"\x13\1\0"
            + struct.pack("!H", len(e))
            + e
        )
        return (
            rec(22, hs(2, sh))
            + rec(20, b"\1")
            + rec(23, bytes(44 + (60 if cc else 0)))
            + rec(23, bytes(2900))
            + rec(23, bytes(281))
            + rec(23, bytes(69))
        )
    e = (
        ext(0xFF01, b"\0")
        + ext(11, b"\1\0")
        + (ext(16, struct.pack("!HB", len(alpn) + 1, len(alpn)) + alpn.encode()) if alpn else b"")
    )
    sh = b"\3\3" + rnd + b"\x20" + y.r.randbytes(32) + b"\xc0\x2f\0" + struct.pack("!H", len(e)) + e
    der, ca = leaf(y, name, issuer, **cert), leaf(y, issuer + " CA", issuer)
    chain = u24(len(der)) + der + u24(len(ca)) + ca
    out = (
        hs(2, sh)
        + hs(11, u24(len(chain)) + chain)
        + hs(12, b"\3\0\x17\x41" + bytes(65) + b"\4\3\0\x47" + bytes(71))
    )
    if cc:
        out += hs(13, b"\1\x40\0\4\4\3\4\1\0\0")
    return rec(22, out + hs(14, b""))


_key = ec.generate_private_key(ec.SECP256R1())


def leaf(
    y: Yard, name: str, issuer: str, until: int = 200, since: int = -100, cn: str | None = None
) -> bytes:
    return _leaf(name, issuer, int(y.t0 // 86400), until, since, cn)


@lru_cache(maxsize=400)
def _leaf(name: str, issuer: str, day: int, until: int, since: int, cn: str | None) -> bytes:
    oid = x509.NameOID
    base = datetime.datetime.fromtimestamp(day * 86400, datetime.UTC)

    def n(o, c):
        return x509.Name(
            [
                x509.NameAttribute(oid.ORGANIZATION_NAME, o),
                x509.NameAttribute(oid.COMMON_NAME, c[:64]),
            ]
        )

    b = (
        x509.CertificateBuilder()
        .subject_name(n("Subject", name))
        .issuer_name(
            n(issuer, cn or (f"{issuer} RSA 2048 M02" if issuer == "Amazon" else issuer + " CA"))
        )
        .public_key(_key.public_key())
        .serial_number(7)
    )
    b = b.not_valid_before(base + datetime.timedelta(days=since)).not_valid_after(
        base + datetime.timedelta(days=until)
    )
    if "." in name and " " not in name:
        b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    return b.sign(_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def alert(level: int, code: int) -> bytes:
    """A TLS alert in the clear."""
    return rec(21, bytes([level, code]))
