"""A small site and the internet behind it, second by second: what situations are made of.

`Town` is a `Wire` with hosts, names and habits: lookups, TLS of either version, MQTT, time, ARP.
All frames lie on one interface, as a mirror session of both ports gives them.
"""

from __future__ import annotations

import datetime
import ipaddress
import random
import struct
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from panotui.model import SECOND, Site
from tests.crafted import hello as tls
from tests.crafted.files import Shot, pcap
from tests.diagnosis.lan_wire import Dhcp, query, stamp
from tests.diagnosis.wire import (
    ACK,
    EVERYBODY,
    FIN,
    PSH,
    RST,
    SYN,
    Tcp,
    Wire,
    alert,
    arp_packet,
    dhcp_packet,
    ethernet,
    handshake,
    ipv4,
    udp_segment,
)
from tests.made_up import site

__all__ = [
    "ACK", "EVERYBODY", "FIN", "PSH", "RST", "SYN", "Dhcp", "alert", "arp_packet",
    "dhcp_packet", "ethernet",
    "handshake", "ipv4", "udp_segment",
]  # fmt: skip

ETH0, ETH1 = "02:00:00:00:00:10", "02:00:00:00:00:11"
PORT0, PORT1 = (ETH0, "10.20.0.5"), (ETH1, "192.168.5.5")
ROUTER = ("02:00:00:00:02:01", "192.168.5.1")
RESOLVER2 = ("02:00:00:00:02:53", "192.168.5.53")
CLOCK2 = ("02:00:00:00:02:54", "192.168.5.54")
CAMERA = ("02:00:00:00:01:11", "10.20.0.11")
PC = ("02:00:00:00:07:07", "192.168.5.77")
SIX = "2001:db8:5::5"  # the cloud port's
SIX_ROUTER = (ROUTER[0], "fe80::1")

IOT = "a1b2c3d4e5f6g7-ats.iot.us-east-1.amazonaws.com"
CRED = "c1b2c3d4e5f6g7.credentials.iot.us-east-1.amazonaws.com"
LOGS = "logs.us-east-1.amazonaws.com"
METRICS = "monitoring.us-east-1.amazonaws.com"
S3 = "s3.us-east-1.amazonaws.com"
AT = {
    IOT: "44.196.10.21", CRED: "3.208.44.5", LOGS: "52.94.230.11", METRICS: "52.94.228.20",
    S3: "52.217.10.30",
}  # fmt: skip
AT6 = {name: f"2600:1f18:{n + 1:x}::10" for n, name in enumerate(AT)}
HTTPS = (CRED, LOGS, METRICS, S3)


def dual(**parts: object) -> Site:
    """Cameras on one port, the cloud on the other; two resolvers and two clocks inside."""
    inside = {
        "gateways": [ROUTER[1]],
        "dns": [ROUTER[1], RESOLVER2[1]],
        "ntp": [ROUTER[1], CLOCK2[1]],
    }
    return site(**{"network": inside, **parts})


def public() -> Site:
    """Names and time come from the internet."""
    return dual(network={"gateways": [ROUTER[1]], "dns": ["9.9.9.9", "1.1.1.1"], "ntp": []})


def single() -> Site:
    """Both ports in one network, the second stands by."""
    return site(
        site={"topology": "single", "region": "us-east-1", "vantage": "mirror"},
        ports={
            "eth0": {"mac": ETH0},
            "eth1": {"mac": ETH1, "address": "192.168.5.5/24"},
        },
        camera=[],
    )


def nobody() -> Site:
    """No site file."""
    return Site()


@lru_cache(maxsize=32)
def certificate(host: str, issuer: str = "Amazon", common: str = "Amazon RSA 2048 M01") -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())

    def name(organisation: str, called: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, called),
            ]
        )

    now = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name("Site", host))
        .issuer_name(name(issuer, common))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=395))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


class Conn(Tcp):
    """One TLS connection of the appliance, step by step."""

    def __init__(self, town: Town, src: tuple[str, str, int], dst: tuple[str, str, int]) -> None:
        super().__init__(town, src, dst, 0)
        self.town = town

    def segment(self, at: float, out: bool, flags: int, body: bytes = b"",
                sequence: int | None = None) -> None:  # fmt: skip
        if ":" not in self.src[1]:
            super().segment(at, out, flags, body, sequence)
            return
        a, b = (self.src, self.dst) if out else (self.dst, self.src)
        mine, theirs = (self.sent, self.got) if out else (self.got, self.sent)
        header = struct.pack(
            "!HHIIBBHHH", a[2], b[2], mine if sequence is None else sequence,
            theirs if flags & ACK else 0, 0x50, flags, 60_000, 0, 0,
        )  # fmt: skip
        self.town.six(at, a[:2], b[:2], 6, header + body, 64 if out else self.ttl_in)

    def hello(self, at: float, name: str | None, alpn: tuple[str, ...] = (), *, thirteen: bool,
              padded: int = 0, again: bool = False) -> bytes:  # fmt: skip
        more = tls.extension(21, bytes(padded)) if padded else b""
        made = tls.client_hello(self.town.chance, name, alpn, more=more, thirteen=thirteen)
        body = tls.record(22, made, 0x301)
        self.send(at, body, again=again)
        return body

    def flight(self, at: float, name: str, alpn: str | None = None, *, thirteen: bool,
               issuer: str = "Amazon", common: str = "Amazon RSA 2048 M01",
               subject: str | None = None, asks: bool = False) -> None:  # fmt: skip
        """The server's hello and what goes with it."""
        self.answer(at, tls.record(22, tls.server_hello(self.town.chance, alpn, thirteen)))
        if thirteen:
            self.answer(at + 0.001, tls.record(20, b"\1") + tls.record(23, bytes(1200)))
            self.answer(at + 0.002, tls.record(23, bytes(900)))
        else:
            der = certificate(subject or name, issuer, common)
            entry = len(der).to_bytes(3, "big") + der
            self.answer(at + 0.001, handshake(11, len(entry).to_bytes(3, "big") + entry))
            done = handshake(13, b"\x01\x40\0\x02\x04\x03\0\0") if asks else b""
            self.answer(at + 0.002, done + handshake(14, b""))
        self.ack(at + 0.003)

    def finish(self, at: float, *, thirteen: bool, certificate: bool = False) -> None:
        """The client's last words, and the server's."""
        if thirteen:
            body = tls.record(20, b"\1")
            body += tls.record(23, bytes(900)) if certificate else b""
            self.send(at, body + tls.record(23, bytes(53)))
            return
        mine = b""
        if certificate:
            der = bytes(700)
            entry = len(der).to_bytes(3, "big") + der
            mine = handshake(11, len(entry).to_bytes(3, "big") + entry)
        mine += handshake(16, b"\x20" + bytes(32)) + tls.record(20, b"\1")
        self.send(at, mine + tls.record(22, bytes(40)))

    def finished(self, at: float, *, thirteen: bool) -> None:
        if thirteen:
            self.answer(at, tls.record(23, bytes(230)))  # a session ticket
        else:
            self.answer(at, tls.record(20, b"\1") + tls.record(22, bytes(40)))

    def data(self, at: float, size: int = 128, back: int = 128, rtt: float = 0.03) -> None:
        self.send(at, tls.record(23, bytes(size)))
        if back:
            self.answer(at + rtt, tls.record(23, bytes(back)))
            self.ack(at + rtt + 0.001)

    def whole(self, at: float, name: str, alpn: tuple[str, ...] = (), *, thirteen: bool = True,
              rtt: float = 0.03, **more: str) -> Conn:  # fmt: skip
        """All of a handshake, and the first data."""
        self.open(at, rtt)
        self.hello(at + rtt + 0.01, name, alpn, thirteen=thirteen)
        self.flight(at + 2 * rtt + 0.01, name, alpn[0] if alpn else None, thirteen=thirteen, **more)
        self.finish(at + 2 * rtt + 0.02, thirteen=thirteen)
        self.finished(at + 3 * rtt + 0.02, thirteen=thirteen)
        self.data(at + 3 * rtt + 0.04, rtt=rtt)
        return self

    def leave(self, at: float) -> None:
        self.close(at)


class Town(Wire):
    """See the module's text."""

    def __init__(self, seed: int = 1, port: tuple[str, str] = PORT1,
                 interfaces: tuple[str, ...] = ("mirror",)) -> None:  # fmt: skip
        super().__init__(interfaces)
        self.chance = random.Random(seed)
        self.port = port
        self.sport = 40_000
        self.number = 0
        self.resolver = ROUTER

    # ------------------------------------------------------------------ frames

    def six(self, at: float, src: tuple[str, str], dst: tuple[str, str], protocol: int,
            body: bytes, hops: int = 64) -> None:  # fmt: skip
        """An IPv6 packet; hosts are (MAC, address)."""
        ends = b"".join(ipaddress.ip_address(e[1]).packed for e in (src, dst))
        head = struct.pack("!IHBB", 6 << 28, len(body), protocol, hops)
        self.add(at, ethernet(src[0], dst[0], 0x86DD, head + ends + body))

    def icmp(self, at: float, src: tuple[str, str], to: tuple[str, str], kind: int, code: int,
             quoted: bytes, rest: int = 0) -> None:  # fmt: skip
        """An ICMP error of `src` that quotes an IPv4 packet."""
        body = struct.pack("!BBHI", kind, code, 0, rest) + quoted
        self.add(at, ethernet(ROUTER[0], to[0], 0x800, ipv4(src[1], to[1], 1, body)))

    def icmp6(self, at: float, src: tuple[str, str], to: tuple[str, str], kind: int, code: int,
              quoted: bytes, rest: int = 0) -> None:  # fmt: skip
        self.six(
            at, (ROUTER[0], src[1]), to, 58, struct.pack("!BBHI", kind, code, 0, rest) + quoted
        )

    def arp(self, at: float, asker: tuple[str, str], target: str, *owners: str) -> None:
        """A question, and the answers of MACs."""
        self.add(at, arp_packet(1, *asker, target))
        for n, mac in enumerate(owners):
            self.add(at + 0.0004 * (n + 1), arp_packet(2, mac, target, asker[1], asker[0]))

    def announce(self, at: float, host: tuple[str, str], *, reply: bool = False) -> None:
        """Gratuitous ARP."""
        op = 2 if reply else 1
        self.add(at, arp_packet(op, host[0], host[1], host[1]))

    # ------------------------------------------------------------------ names, time

    def look(self, at: float, name: str, *addresses: str, kind: int = 1, rcode: int = 0,
             after: float | None = 0.012, server: tuple[str, str] | None = None,
             client: tuple[str, str] | None = None, again: int = 0) -> None:  # fmt: skip
        """A question and its answer; None: no answer, asked `again` times each 5 s."""
        self.number += 1
        server, client = server or self.resolver, client or self.port
        via = server[0] if server[1].startswith("192.168.5.") else ROUTER[0]
        mine, theirs = (*client, 20_000 + self.number), (via, server[1], 53)
        for n in range(again + 1):
            self.udp(at + 5 * n, mine, theirs, query(self.number, name, kind))
        if after is not None:
            said = query(self.number, name, kind, addresses, rcode, answer=True)
            self.udp(at + after, theirs, mine, said)

    def time(self, at: float, server: str = ROUTER[1], *, off: float = 0.0, stratum: int = 2,
             leap: int = 0, kiss: bytes = b"GPS\0", answers: bool = True, origin: int | None = None,
             client: tuple[str, str] | None = None, sport: int = 123,
             server_off: float = 0.0) -> None:  # fmt: skip
        """A question of a client whose clock is `off`, and its answer."""
        via = CLOCK2[0] if server == CLOCK2[1] else ROUTER[0]
        mine, theirs = (*(client or self.port), sport), (via, server, 123)
        sent = stamp(at, off)
        head = struct.pack("!BBbbII4s", 4 << 3 | 3, 0, 6, -20, 0, 0, bytes(4))
        self.udp(at, mine, theirs, head + struct.pack("!QQQQ", 0, 0, 0, sent))
        if answers:
            head = struct.pack("!BBbbII4s", leap << 6 | 4 << 3 | 4, stratum, 6, -20, 0, 0, kiss)
            now = stamp(at + 0.01, server_off)
            quoted = sent if origin is None else origin
            self.udp(at + 0.02, theirs, mine, head + struct.pack("!QQQQ", now, quoted, now, now))

    # ------------------------------------------------------------------ connections

    def to(self, name: str, dport: int = 443, *, address: str | None = None,
           client: tuple[str, str] | None = None, via: str = ROUTER[0]) -> Conn:  # fmt: skip
        self.sport += 1
        server = address or AT[name]
        mine = client or self.port
        if ":" in server and ":" not in mine[1]:
            mine = (mine[0], SIX)
        return Conn(self, (*mine, self.sport), (via, server, dport))

    def knock(self, at: float, name: str, dport: int = 443, times: int = 4, **more: str) -> Conn:
        """SYNs that nobody answers, as a kernel sends them: 1, 2, 4 s apart."""
        conn = self.to(name, dport, **more)
        for n in range(times):
            conn.segment(at + (2**n - 1), True, SYN)
        return conn

    def visit(self, at: float, name: str, *, look: bool = True, stay: float = 1.0,
              thirteen: bool = True, **more: str) -> Conn:  # fmt: skip
        """A lookup and a connection that works, closed after `stay` seconds."""
        if look:
            self.look(at, name, more.get("address") or AT[name])
        conn = self.to(name, **more)
        conn.whole(at + 0.05, name, thirteen=thirteen)
        conn.leave(at + 0.3 + stay)
        return conn

    def mqtt(self, at: float, until: float, *, every: float = 15.0, dport: int = 443,
             name: str = IOT, look: bool = True) -> Conn:  # fmt: skip
        """A long connection with keep-alives."""
        if look:
            self.look(at, name, AT[name])
        conn = self.to(name, dport)
        conn.whole(at + 0.05, name, ("x-amzn-mqtt-ca",) if dport == 443 else ())
        self.keep_alive(conn, at + 1, until, every)
        return conn

    def keep_alive(self, conn: Conn, start: float, until: float, every: float = 15.0) -> None:
        at = start
        while at < until:
            conn.data(at, 31, 31)
            at += every

    def boots(self, at: float = 0.5, *, times: bool = True) -> None:
        """The gateway, the time, and each HTTPS endpoint once."""
        self.arp(at, self.port, ROUTER[1], ROUTER[0])
        if times:
            self.time(at + 0.1)
        for n, name in enumerate(HTTPS):
            self.visit(at + 0.3 + 0.4 * n, name, thirteen=n % 2 == 0)

    def habits(self, start: float, end: float, *, times: bool = True, names: bool = True,
               arp: bool = True) -> None:  # fmt: skip
        """What goes on all the time: ARP, time, lookups, broadcasts of others."""
        at = start
        while at < end:
            if arp:
                self.arp(at, self.port, ROUTER[1], ROUTER[0])
            if times:
                self.time(at + 1.1)
            if names:
                self.look(at + 2.2, IOT, AT[IOT])
            self.add(at + 3.3, arp_packet(1, *PC, "192.168.5.200"))
            at += 16
        self.quiet(start, end, 5.0, 0)

    def lives(self, end: float) -> None:
        """A well site from the start to the end."""
        self.boots()
        self.habits(4, end)

    # ------------------------------------------------------------------ files

    def save(self, path: Path, snap: int = 0) -> None:
        """As a capture file."""
        frames = sorted(self.frames, key=lambda f: f[0])
        if any(len(frame) < wire for _, _, frame, wire in frames):
            snap = snap or 65_535  # they were cut before
        path.write_bytes(
            pcap([Shot(t, f[:snap] if snap else f) for t, _, f, _ in frames], nano=True)
            if not snap
            else pcap_snapped(frames, snap)
        )


def pcap_snapped(frames: list[tuple[int, int, bytes, int]], snap: int) -> bytes:
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snap, 1)]
    for time_ns, _, frame, wire in frames:
        kept = frame[:snap]
        out.append(
            struct.pack("<IIII", time_ns // SECOND, time_ns % SECOND, len(kept), wire) + kept
        )
    return b"".join(out)
