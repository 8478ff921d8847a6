"""The same hosts at other addresses, and another site's traffic on the same wire."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Sequence

import msgspec

from panotui.model import Site
from tests.field.cases import FOLDER
from tests.variants.frames import (
    ARP,
    TCP,
    UDP,
    Shot,
    ip_of,
    kind_at,
    ports_of,
    resummed,
    unpacked,
)

ADDRESS = re.compile(rb"(?<![\d.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\d.])")
# whose messages hold addresses in four bytes: names, leases, and errors of ICMP
HOLDS = frozenset((53, 67, 68, 137, 5353, 5355))
ICMP = 1
LAST = 24  # bits of a network that stays one


def elsewhere(octets: Sequence[int]) -> tuple[int, ...]:
    """A private address in another block, as long in text; all others stay."""
    a, b, c, d = octets
    if (a, b) == (192, 168) and c < 100:
        return 172, 16 + c % 10, c + (10 if c < 10 else 100), d
    if a == 172 and 16 <= b < 32:
        return 10, 100 + b, c, d
    if a == 10:
        return a, 9 - b if b < 10 else 109 - b if b < 100 else 355 - b, c, d
    return a, b, c, d


def home(octets: Sequence[int]) -> tuple[int, ...]:
    """The inverse of `elsewhere`."""
    a, b, c, d = octets
    if a == 172 and 16 <= b < 32 and c >= 10:
        return 192, 168, c - (10 if c < 100 else 100), d
    if a == 10 and 116 <= b < 132:
        return 172, b - 100, c, d
    return elsewhere(octets) if a == 10 else (a, b, c, d)


Move = Callable[[Sequence[int]], tuple[int, ...]]


def in_text(text: bytes, move: Move) -> bytes:
    def other(found: re.Match[bytes]) -> bytes:
        octets = [int(part) for part in found.groups()]
        moved = move(octets) if max(octets) < 256 else tuple(octets)
        return ".".join(map(str, moved)).encode()

    return ADDRESS.sub(other, text)


def back(text: str) -> str:
    return in_text(text.encode(), home).decode()


def moved(shots: Sequence[Shot]) -> list[Shot]:
    """All hosts with private addresses, in headers and in what is said of them."""
    hosts = {a for shot in shots for a in _ends(shot.frame)}
    table = {a: bytes(elsewhere(a)) for a in hosts if bytes(elsewhere(a)) != a}
    if not table:
        return list(shots)
    four = re.compile(b"|".join(re.escape(a) for a in sorted(table)), re.DOTALL)

    def change(frame: bytes) -> bytes:
        kind, at = kind_at(frame)
        if kind == ARP:
            return frame[:at] + four.sub(lambda m: table[m.group()], frame[at:])
        ip = ip_of(frame)
        if ip is None or ip.version != 4:
            return frame
        head = four.sub(lambda m: table[m.group()], frame[ip.start + 12 : ip.start + 20])
        body = frame[ip.l4 :]
        if ip.protocol == ICMP or (ip.protocol in (TCP, UDP) and HOLDS & set(ports_of(frame, ip))):
            body = four.sub(lambda m: table[m.group()], body)
        elif ip.protocol in (TCP, UDP):
            body = in_text(body, elsewhere)
        return resummed(frame[: ip.start + 12] + head + frame[ip.start + 20 : ip.l4] + body, frame)

    return [Shot(shot.time_ns, change(shot.frame), shot.wire) for shot in shots]


def _ends(frame: bytes) -> tuple[bytes, ...]:
    kind, at = kind_at(frame)
    if kind == ARP and len(frame) >= at + 28:
        return frame[at + 14 : at + 18], frame[at + 24 : at + 28]
    ip = ip_of(frame)
    if ip is None or ip.version != 4:
        return ()
    return frame[ip.start + 12 : ip.start + 16], frame[ip.start + 16 : ip.start + 20]


def moved_site(site: Site) -> Site:
    said = in_text(msgspec.json.encode(site), elsewhere)
    return msgspec.json.decode(said, type=Site)


def movable(site: Site) -> bool:
    """Its networks are not so wide that parts of them would go to different places."""
    return all(
        network.version == 6
        or network.prefixlen >= (LAST if str(network).startswith("192.") else LAST - 8)
        for network in map(functools.partial(ipaddress.ip_network, strict=False),
                           site.network.local)
    )  # fmt: skip


# ---------------------------------------------------------------------- neighbours


def beside(shots: Sequence[Shot]) -> list[Shot]:
    """Another site that works, with its own cameras, in networks of its own."""
    theirs = moved([_other_macs(shot) for shot in moved(_well())])
    by = shots[0].time_ns - theirs[0].time_ns
    end = shots[-1].time_ns
    other = [Shot(s.time_ns + by, s.frame, s.wire) for s in theirs]
    return sorted([*shots, *(s for s in other if s.time_ns <= end)], key=lambda s: s.time_ns)


@functools.cache
def _well() -> tuple[Shot, ...]:
    return tuple(unpacked(FOLDER / "a-well-site.pcap.zst"))


def _other_macs(shot: Shot) -> Shot:
    """Each card is another one; groups stay."""

    def other(mac: bytes) -> bytes:
        return mac if mac[0] & 1 or not any(mac) else mac[:3] + bytes(b ^ 0x5A for b in mac[3:])

    frame = other(shot.frame[:6]) + other(shot.frame[6:12]) + shot.frame[12:]
    kind, at = kind_at(frame)
    if kind == ARP:
        parts = frame[at + 8 : at + 14], frame[at + 18 : at + 24]
        frame = (
            frame[: at + 8] + other(parts[0]) + frame[at + 14 : at + 18] + other(parts[1])
            + frame[at + 24 :]
        )  # fmt: skip
    return Shot(shot.time_ns, frame, shot.wire)
