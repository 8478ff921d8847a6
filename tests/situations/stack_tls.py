"""TLS with the sizes that AWS, OpenSSL and s2n show, and what is spoken inside it."""

from __future__ import annotations

import datetime
import hashlib
import random
import struct
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.situations.stack_tcp import Conn

KEY = ec.derive_private_key(77, ec.SECP256R1())


def noise(n, salt=""):
    """Bytes that look enciphered."""
    return random.Random(f"{n}{salt}").randbytes(n)


def rec(kind, body, version=0x0303):
    """Records of at most 16 kB."""
    return b"".join(
        struct.pack("!BHH", kind, version, len(body[n : n + 16384])) + body[n : n + 16384]
        for n in range(0, max(len(body), 1), 16384)
    )


def hs(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def ext(kind, body=b""):
    return struct.pack("!HH", kind, len(body)) + body


def hello(name, alpn=(), v13=True, pad=0, ticket=0, salt="", groups=True):
    """A ClientHello; `ticket` bytes of a session ticket (1.2) or of a pre-shared key (1.3)."""
    r = random.Random(name + salt)
    e = b""
    if name:
        n = name.encode()
        e += ext(0, struct.pack("!HBH", len(n) + 3, 0, len(n)) + n)
    e += (
        ext(23) + ext(0xFF01, b"\0") + ext(10, b"\0\x08\0\x1d\0\x17\0\x18\0\x19") + ext(11, b"\1\0")
    )
    e += ext(35, b"" if v13 or not ticket else r.randbytes(ticket))
    if alpn:
        one = b"".join(bytes([len(a)]) + a.encode() for a in alpn)
        e += ext(16, struct.pack("!H", len(one)) + one)
    e += ext(5, b"\1\0\0\0\0")
    e += ext(13, b"\0\x16\4\3\5\3\6\3\x08\7\x08\x04\x08\x05\x08\x06\4\1\5\1\6\1\3\3")
    if v13:
        e += ext(43, b"\4\3\4\3\3") + ext(45, b"\1\1")
        share = struct.pack("!HH", 0x1D, 32) + r.randbytes(32)
        e += ext(51, struct.pack("!H", len(share)) + share)
    if pad:
        e += ext(21, bytes(pad))
    if v13 and ticket:
        identity = struct.pack("!H", ticket) + r.randbytes(ticket) + r.randbytes(4)
        e += ext(41, struct.pack("!H", len(identity)) + identity + b"\0\x21\x20" + r.randbytes(32))
    suites = bytes.fromhex("c02bc02fc02cc030cca9cca8c009c013c00ac014009c009d002f0035")
    suites = bytes.fromhex("130213031301") + suites if v13 else suites
    body = b"\3\3" + r.randbytes(32) + b"\x20" + r.randbytes(32)
    body += struct.pack("!H", len(suites)) + suites + b"\1\0" + struct.pack("!H", len(e)) + e
    return rec(22, hs(1, body), 0x0301)


@lru_cache(400)
def certificate(subject, issuer, cn, day, since=-120, until=275, size=1250, alt=""):
    """DER of about `size` bytes."""
    oid = x509.NameOID

    def name(org, common):
        return x509.Name(
            [
                x509.NameAttribute(oid.COUNTRY_NAME, "US"),
                x509.NameAttribute(oid.ORGANIZATION_NAME, org[:60]),
                x509.NameAttribute(oid.COMMON_NAME, common[:64]),
            ]
        )

    base = datetime.datetime.fromtimestamp(day * 86400, datetime.UTC)
    b = x509.CertificateBuilder().subject_name(name("Owner", subject)).issuer_name(name(issuer, cn))
    b = b.public_key(KEY.public_key()).serial_number(
        int(hashlib.md5(subject.encode()).hexdigest()[:14], 16) + 1
    )
    b = b.not_valid_before(base + datetime.timedelta(days=since))
    b = b.not_valid_after(base + datetime.timedelta(days=until))
    if alt:
        b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(alt)]), False)
    filler = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"), noise(max(size - 560, 10), subject)
    )
    b = b.add_extension(filler, False)
    return b.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def chain(site, name, issuer="Amazon", cn=None, since=-120, until=275, subject=None, depth=3):
    day = int(site.t0 // 86400)
    cn = cn or ("Amazon RSA 2048 M02" if issuer == "Amazon" else issuer + " CA")
    wild = "*" + name[name.index(".") :] if issuer == "Amazon" and ".iot." in name else name
    out = [certificate(subject or wild, issuer, cn, day, since, until, 1290, alt=subject or wild)]
    above = [(cn, "Amazon Root CA 1"), ("Amazon Root CA 1", "Starfield Services Root CA - G2")]
    if issuer != "Amazon":
        above = [(cn, cn)]
    for who, by in above[: depth - 1]:
        out.append(certificate(who, issuer, by, day, -900, 3000, 1100))
    return out


class Tls(Conn):
    """A connection that speaks TLS."""

    v13 = True

    def greet(self, name, alpn=(), v13=True, ticket=0, pad=0, at=None):
        self.v13, self.name = v13, name
        self.up(hello(name, alpn, v13, pad, ticket, str(self.ports)), at)
        return self

    def flight(self, alpn=None, mutual=False, resumed=False, think=0.006, **cert):
        """The server's first flight."""
        self.down(self.flight_bytes(alpn, mutual, resumed, **cert), think)
        return self

    def flight_bytes(self, alpn=None, mutual=False, resumed=False, **cert):
        r = random.Random(self.name + str(self.ports) + "s")
        if self.v13:
            e = ext(43, b"\3\4") + ext(51, struct.pack("!HH", 0x1D, 32) + r.randbytes(32))
            e += ext(41, b"\0\0") if resumed else b""
            body = b"\3\3" + r.randbytes(32) + b"\x20" + r.randbytes(32) + b"\x13\1\0"
            out = rec(22, hs(2, body + struct.pack("!H", len(e)) + e)) + rec(20, b"\1")
            out += rec(23, noise(32 + (20 if alpn else 0)))
            if not resumed:
                der = chain(self.site, self.name, **cert)
                out += rec(23, noise(120)) if mutual else b""
                out += rec(23, noise(sum(len(d) + 5 for d in der) + 25)) + rec(23, noise(281))
            return out + rec(23, noise(69))
        e = ext(0xFF01, b"\0") + ext(11, b"\1\0") + ext(35)
        if alpn:
            e += ext(16, struct.pack("!HB", len(alpn) + 1, len(alpn)) + alpn.encode())
        body = b"\3\3" + r.randbytes(32) + b"\x20" + r.randbytes(32) + b"\xc0\x2f\0"
        out = hs(2, body + struct.pack("!H", len(e)) + e)
        if resumed:
            return rec(22, out) + rec(20, b"\1") + rec(22, noise(40))
        der = chain(self.site, self.name, **cert)
        der = b"".join(len(d).to_bytes(3, "big") + d for d in der)
        out = rec(22, out) + rec(22, hs(11, len(der).to_bytes(3, "big") + der))
        out += rec(22, hs(12, b"\3\0\x17\x41" + noise(65) + b"\4\1\1\0" + noise(256)))
        if mutual:
            out += rec(22, hs(13, b"\2\1\x40\0\x08\4\1\4\3\5\1\6\1\0\0"))
        return out + rec(22, hs(14, b""))

    def finish(self, mutual=False, resumed=False, tickets=2):
        """The client's end, and the server's."""
        if self.v13:
            mine = rec(20, b"\1") + (rec(23, noise(1190)) + rec(23, noise(281)) if mutual else b"")
            self.up(mine + rec(23, noise(69)), self.t + 0.002)
            if tickets:
                self.down(b"".join(rec(23, noise(239, str(n))) for n in range(tickets)), 0.001)
            return self
        if resumed:
            self.up(rec(20, b"\1") + rec(22, noise(40)), self.t + 0.001)
            return self
        out = b""
        if mutual:
            der = certificate(
                "AWS IoT Certificate",
                "Amazon Web Services",
                "Amazon Web Services O=Amazon.com Inc. L=Seattle",
                int(self.site.t0 // 86400),
                -200,
                9000,
                860,
            )
            der = len(der).to_bytes(3, "big") + der
            out += rec(22, hs(11, len(der).to_bytes(3, "big") + der))
        out += rec(22, hs(16, b"\x41" + noise(65)))
        if mutual:
            out += rec(22, hs(15, b"\4\1\1\0" + noise(256)))
        self.up(out + rec(20, b"\1") + rec(22, noise(40)), self.t + 0.003)
        self.down(
            rec(22, hs(4, struct.pack("!IH", 300, 176) + noise(176)))
            + rec(20, b"\1")
            + rec(22, noise(40)),
            0.002,
        )
        return self

    def hand(self, at, name, alpn=(), v13=True, mutual=False, resumed=False, agreed=True, **cert):
        """Open and shake hands."""
        self.open(at)
        self.greet(name, alpn, v13, 208 if resumed else 0)
        self.flight(alpn[0] if alpn and agreed else None, mutual, resumed, **cert)
        return self.finish(mutual, resumed)

    def data(self, up=0, down=0, at=None, think=0.02, lost=()):
        """A request and its answer, enciphered."""
        over = 17 if self.v13 else 24
        if up:
            self.up(rec(23, noise(up + over)), at)
        if down:
            self.down(rec(23, noise(down + over)), think, lost=lost)
        return self

    def alert(self, who, level, code, at=None):
        """In the clear."""
        self.send(
            who,
            rec(21, bytes([level, code])),
            self.t + (self.rtt if who else 0.001) if at is None else at,
        )
        return self

    def bye(self, at=None, who=0):
        """close_notify, enciphered, and FIN."""
        at = self.t if at is None else at
        self.send(who, rec(21 if not self.v13 else 23, noise(19 if self.v13 else 26)), at)
        return self.fin(self.t + 0.0002, who)
