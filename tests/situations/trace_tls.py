"""TLS by hand: hellos, flights with real certificates, alerts, and connections that use them."""

from __future__ import annotations

import datetime
import functools
import hashlib
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID as N

from tests.situations.trace import START, Tcp, rnd


def rec(typ, body, ver=0x0303):
    return struct.pack("!BHH", typ, ver, len(body)) + body


def hs(typ, body):
    return struct.pack("!B", typ) + len(body).to_bytes(3, "big") + body


def ext(n, b):
    return struct.pack("!HH", n, len(b)) + b


def hello(sni=None, alpn=None, v13=True, pad=0):
    e = b""
    if sni:
        n = sni.encode()
        e += ext(0, struct.pack("!HBH", len(n) + 3, 0, len(n)) + n)
    e += (
        ext(11, b"\3\0\1\2")
        + ext(10, struct.pack("!HHHH", 6, 29, 23, 24))
        + ext(35, b"")
        + ext(22, b"")
        + ext(23, b"")
    )
    e += ext(13, struct.pack("!H", 14) + bytes.fromhex("0403050306030804080508060401"))
    if alpn:
        every = b"".join(bytes([len(x)]) + x.encode() for x in alpn)
        e += ext(16, struct.pack("!H", len(every)) + every)
    if v13:
        e += (
            ext(43, b"\4\3\4\3\3")
            + ext(45, b"\1\1")
            + ext(51, struct.pack("!HHH", 36, 29, 32) + rnd(32))
        )
    if pad:
        e += ext(21, b"\0" * pad)
    suites = bytes.fromhex("130213031301c02cc030c02bc02fc024c028c023c027009f009e")
    b = (
        b"\3\3"
        + rnd(32)
        + b"\x20"
        + rnd(32)
        + struct.pack("!H", len(suites))
        + suites
        + b"\1\0"
        + struct.pack("!H", len(e))
        + e
    )
    return rec(22, hs(1, b), 0x0301)


def shello(v13, alpn=None):
    e = (
        ext(43, b"\3\4") + ext(51, struct.pack("!HH", 29, 32) + rnd(32))
        if v13
        else ext(0xFF01, b"\0") + ext(11, b"\3\0\1\2")
    )
    if alpn and not v13:
        e += ext(16, struct.pack("!HB", len(alpn) + 1, len(alpn)) + alpn.encode())
    return hs(
        2,
        b"\3\3"
        + rnd(32)
        + b"\x20"
        + rnd(32)
        + (b"\x13\x02" if v13 else b"\xc0\x2f")
        + b"\0"
        + struct.pack("!H", len(e))
        + e,
    )


@functools.lru_cache(None)
def cert(
    cn, issuer_cn="Amazon RSA 2048 M01", issuer_o="Amazon", sans=None, days=(-100, 260), ref=START
):
    key = _key()

    def name(cn, o=None):
        return x509.Name(
            [x509.NameAttribute(N.COUNTRY_NAME, "US")]
            + ([x509.NameAttribute(N.ORGANIZATION_NAME, o)] if o else [])
            + [x509.NameAttribute(N.COMMON_NAME, cn)]
        )

    at = datetime.datetime.fromtimestamp(ref / 1e9, datetime.UTC)
    c = (
        x509.CertificateBuilder()
        .subject_name(name(cn))
        .issuer_name(name(issuer_cn, issuer_o))
        .public_key(key.public_key())
        .serial_number(hash_(cn))
    )
    c = c.not_valid_before(at + datetime.timedelta(days=days[0])).not_valid_after(
        at + datetime.timedelta(days=days[1])
    )
    c = c.add_extension(
        x509.SubjectAlternativeName([x509.DNSName(x) for x in (sans or (cn,))]), False
    ).sign(key, hashes.SHA256())
    return c.public_bytes(serialization.Encoding.DER)


@functools.lru_cache(None)
def _key():
    return ec.generate_private_key(ec.SECP256R1())


def hash_(s):
    return int.from_bytes(hashlib.sha1(s.encode()).digest()[:8], "big")


def certs(*ders):
    every = b"".join(len(d).to_bytes(3, "big") + d for d in ders)
    return hs(11, len(every).to_bytes(3, "big") + every)


def data(n):
    return b"".join(rec(23, rnd(min(16000, n - i))) for i in range(0, n, 16000))


def alert(level, code):
    return rec(21, bytes([level, code]))


def sigs():
    return struct.pack("!H", 70) + rnd(70)


def tls_server12(cn, mutual=False, issuer=None, alpn=None, days=(-100, 260)):
    d = cert(cn, *(issuer or ("Amazon RSA 2048 M01", "Amazon")), None, days)
    ca = cert(
        (issuer or ("Amazon RSA 2048 M01",))[0],
        *(issuer or ("Amazon Root CA 1", "Amazon")),
        None,
        (-900, 2000),
    )
    b = shello(False, alpn) + certs(d, ca) + hs(12, b"\3\0\x17\x41" + rnd(65) + b"\4\3" + sigs())
    if mutual:
        b += hs(13, b"\1\x40" + struct.pack("!H", 4) + b"\4\3\4\1" + struct.pack("!H", 0))
    return rec(22, b + hs(14, b""))


def tls_client12(mutual=False, dev="AWS IoT Certificate"):
    b = (
        certs(cert(dev, "Amazon Web Services O=Amazon.com Inc.", "Amazon.com Inc."))
        if mutual
        else b""
    )
    b += hs(16, b"\x41" + rnd(65))
    if mutual:
        b += hs(15, b"\4\3" + sigs())
    return rec(22, b) + rec(20, b"\1") + rec(22, rnd(40))


def finished():
    return (
        rec(22, hs(4, struct.pack("!IH", 7200, 160) + rnd(160))) + rec(20, b"\1") + rec(22, rnd(40))
    )


class Tls(Tcp):
    def hand(
        self,
        sni,
        alpn=None,
        v13=True,
        mutual=False,
        cn=None,
        issuer=None,
        flight=None,
        pad=0,
        agreed=True,
        days=(-100, 260),
    ):
        self.c(hello(sni, alpn, v13, pad))
        a = alpn[0] if alpn and agreed else None
        if v13:
            self.s(
                rec(22, shello(True))
                + rec(20, b"\1")
                + data(60 if mutual else 40)
                + data(3200 if mutual else 2700)
                + data(281)
                + data(53)
            )
            self.c(rec(20, b"\1") + (data(1100) + data(281) if mutual else b"") + data(53))
            self.s(data(260) + data(260))
        else:
            self.s(tls_server12(cn or sni, mutual, issuer, a, days))
            self.c(tls_client12(mutual))
            self.s(finished())
        return self

    def req(self, up=900, down=450, at=None, think=0.02):
        self.c(data(up), at=at)
        self.s(data(down), think=think)
        return self

    def bye(self, at=None):
        if at is not None:
            self.t = max(self.t, at)
        self.c(rec(21, rnd(26)), ack=False)
        return self.fin()
