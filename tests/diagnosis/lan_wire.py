"""Packets of the local network: leases, neighbours, names and time, for `Wire`."""

from __future__ import annotations

import ipaddress
import struct

from panotui.engine.engine import Engine
from panotui.model import SECOND, FindingRecord
from tests.diagnosis.wire import (
    CLOUD,
    ETH1,
    EVERYBODY,
    GATEWAY,
    ROUTER_MAC,
    Wire,
    arp_packet,
    dhcp_packet,
    dns_name,
    ethernet,
    ipv4,
    server_id,
)
from tests.made_up import START

RESOLVER_MAC = "02:00:00:00:02:53"
OTHER_MAC = "02:00:00:00:04:04"
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK = 1, 2, 3, 4, 5, 6
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
A, AAAA = 1, 28
LOGS, IOT = "logs.us-east-1.amazonaws.com", "a1-ats.iot.us-east-1.amazonaws.com"


def loud(engine: Engine) -> list[str]:
    """Ids of warnings and errors that stand for themselves, cleared ones too."""
    found = engine.snapshot().findings
    return sorted(f.id for f in found if f.severity != "info" and f.hidden_by is None)


def the(engine: Engine, name: str) -> FindingRecord:
    """The one finding of an id."""
    (found,) = [f for f in engine.snapshot().findings if f.id == name]
    return found


def option(code: int, *addresses: str) -> bytes:
    raw = b"".join(ipaddress.ip_address(a).packed for a in addresses)
    return bytes([code, len(raw)]) + raw


def lease(address: str = CLOUD, *, server: str = GATEWAY, router: str = GATEWAY, dns: str = GATEWAY,
          seconds: int = 3600) -> bytes:  # fmt: skip
    """The options of an OFFER or ACK."""
    return (
        server_id(server) + b"\x33\x04" + seconds.to_bytes(4, "big")
        + option(1, "255.255.255.0") + option(3, router) + option(6, dns)
    )  # fmt: skip


class Dhcp:
    """A client and the servers that answer it."""

    def __init__(self, wire: Wire, client: str = ETH1, interface: int = 1) -> None:
        self.wire, self.client, self.interface = wire, client, interface
        self.xid = 100

    def ask(self, at: float, kind: int, *, wanted: str | None = None, server: str | None = None,
            ciaddr: str | None = None, to: str | None = None) -> None:  # fmt: skip
        options = option(50, wanted) if wanted else b""
        options += server_id(server) if server else b""
        body = dhcp_packet(kind, self.client, self.xid, options=options)
        if ciaddr:
            body = body[:12] + ipaddress.ip_address(ciaddr).packed + body[16:]
        far = (ROUTER_MAC, to, 67) if to else (EVERYBODY, "255.255.255.255", 67)
        self.wire.udp(at, (self.client, ciaddr or "0.0.0.0", 68), far, body, self.interface)

    def answer(self, at: float, kind: int, yours: str = CLOUD, options: bytes | None = None, *,
               mac: str = ROUTER_MAC, server: str = GATEWAY) -> None:  # fmt: skip
        said = lease(yours, server=server) if options is None else options
        body = dhcp_packet(kind, self.client, self.xid, yours=yours, options=said)
        near = (mac, server, 67)
        self.wire.udp(at, near, (EVERYBODY, "255.255.255.255", 68), body, self.interface)

    def gets(self, at: float, address: str = CLOUD, server: str = GATEWAY) -> None:
        """The whole row of a lease."""
        self.xid += 1
        self.ask(at, DISCOVER)
        self.answer(at + 0.01, OFFER, address, server=server)
        self.ask(at + 0.02, REQUEST, wanted=address, server=server)
        self.answer(at + 0.03, ACK, address, server=server)


def query(number: int, name: str, kind: int, addresses: tuple[str, ...] = (), rcode: int = 0, *,
          answer: bool = False) -> bytes:  # fmt: skip
    flags = (0x8180 | rcode) if answer else 0x100
    body = struct.pack("!HHHHHH", number, flags, 1, len(addresses), 0, 0)
    body += dns_name(name) + struct.pack("!HH", kind, 1)
    for address in addresses:
        raw = ipaddress.ip_address(address).packed
        body += struct.pack("!HHHIH", 0xC00C, kind, 1, 300, len(raw)) + raw
    return body


class Dns:
    """The cloud port's lookups."""

    def __init__(self, wire: Wire, client: tuple[str, str] = (ETH1, CLOUD)) -> None:
        self.wire, self.client, self.number = wire, client, 0

    def look(self, at: float, name: str, *addresses: str, kind: int = A, rcode: int = NOERROR,
             server: str = GATEWAY, after: float | None = 0.01, mac: str = ROUTER_MAC,
    ) -> None:  # fmt: skip
        """A question, and what the server says to it."""
        self.number += 1
        mine = (*self.client, 20_000 + self.number)
        theirs = (mac, server, 53)
        self.wire.udp(at, mine, theirs, query(self.number, name, kind), 1)
        if after is not None:
            said = query(self.number, name, kind, addresses, rcode, answer=True)
            self.wire.udp(at + after, theirs, mine, said, 1)


def stamp(at_s: float, era_s: float = 0.0) -> int:
    """A 64-bit NTP stamp of packet time, `era_s` seconds off."""
    seconds = START / SECOND + at_s + era_s + 2_208_988_800
    return int(seconds * (1 << 32)) & (1 << 64) - 1


class Ntp:
    """The cloud port's exchanges with time servers."""

    def __init__(self, wire: Wire, client: tuple[str, str] = (ETH1, CLOUD)) -> None:
        self.wire, self.client = wire, client

    def ask(self, at: float, server: str = GATEWAY, *, off: float = 0.0, sent: int | None = None,
            stratum: int = 2, leap: int = 0, refid: bytes = b"GPS\0", origin: int | None = None,
            server_off: float = 0.0, answers: bool = True) -> None:  # fmt: skip
        """A question of a client whose clock is `off` by seconds, and its answer."""
        mine, theirs = (*self.client, 123), (ROUTER_MAC, server, 123)
        sent = stamp(at, off) if sent is None else sent
        head = struct.pack("!BBbbII4s", 4 << 3 | 3, 0, 6, -20, 0, 0, bytes(4))
        self.wire.udp(at, mine, theirs, head + struct.pack("!QQQQ", 0, 0, 0, sent), 1)
        if not answers:
            return
        head = struct.pack("!BBbbII4s", leap << 6 | 4 << 3 | 4, stratum, 6, -20, 0, 0, refid)
        now = stamp(at + 0.01, server_off)
        quoted = sent if origin is None else origin
        body = head + struct.pack("!QQQQ", now, quoted, now, now)
        self.wire.udp(at + 0.02, theirs, mine, body, 1)


def vrrp(src: str, src_mac: str, priority: int = 100, group: int = 7,
         address: str = GATEWAY) -> bytes:  # fmt: skip
    """A VRRP advertisement, version 2."""
    body = bytes([0x21, group, priority, 1, 0, 1, 0, 0]) + ipaddress.ip_address(address).packed
    packet = ipv4(src, "224.0.0.18", 112, body + bytes(8), 255)
    return ethernet(src_mac, "01:00:5e:00:00:12", 0x800, packet)


def asked(wire: Wire, at: float, asker: tuple[str, str], target: str, *owners: str,
          interface: int = 1) -> None:  # fmt: skip
    """An ARP question and the answers of `owners`."""
    wire.add(at, arp_packet(1, asker[0], asker[1], target), interface)
    for n, mac in enumerate(owners):
        frame = arp_packet(2, mac, target, asker[1], asker[0])
        wire.add(at + 0.001 * (n + 1), frame, interface)
