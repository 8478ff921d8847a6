"""Frames at random: every link, tag, label, option, extension header and fragment that is decoded.

Each frame knows what it is, so that whoever reads it back can be held to that: the five-tuple, and
where in it the network and the transport header begin.
"""

from __future__ import annotations

import ipaddress
import itertools
import random
import struct
from dataclasses import dataclass

TCP, UDP, AH = 6, 17, 51
NULL, ETHERNET, PPP, RAW, LOOP, SLL, IPV4, IPV6, SLL2 = 0, 1, 9, 101, 108, 113, 228, 229, 276
LINKS = (NULL, ETHERNET, PPP, RAW, LOOP, SLL, IPV4, IPV6, SLL2)
FOUR = tuple(ipaddress.ip_address(f"10.9.0.{n}").packed for n in range(1, 5))
SIX = tuple(ipaddress.ip_address(f"2001:db8::{n}").packed for n in range(1, 5))
PPPOE = b"\x88\x64\x11\0\0\5\0\0"  # its length is filled in with the packet
MAC = bytes.fromhex("02000000000502000000000a")
# (transport, source, destination, source port, destination port)
Key = tuple[int, bytes, bytes, int, int]


@dataclass(frozen=True)
class Made:
    link: int
    frame: bytes
    key: Key
    network_at: int
    ports_at: int  # where the ports are, or would be
    fragment: bool = False


class Frames:
    """Makes frames from a seed; fragments of a datagram in any order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.identification = 0

    def datagram(self, link: int) -> list[Made]:
        """One datagram in one frame, or in several of its fragments in any order."""
        draw = self.random
        six = link == IPV6 or (link != IPV4 and draw.random() < 0.5)
        src, dst = draw.sample(SIX if six else FOUR, 2)
        protocol = draw.choice((TCP, UDP))
        sport, dport = draw.randrange(20_000, 20_004), draw.randrange(9000, 9003)
        key = (protocol, src, dst, sport, dport)
        body = self.transport(protocol, sport, dport)
        self.identification += 1
        head = self.link(link, six)
        if draw.random() < 0.2 and len(body) > 100:
            return self.fragments(link, head, key, body)
        chain, first = self.extensions(protocol) if six else (b"", protocol)
        if not six and draw.random() < 0.1:
            chain, first = self.sealed(protocol), AH
        packet = self.network(key, first, chain + body, b"" if six else self.options())
        packet_head = len(packet) - len(body)
        pad = bytes(draw.choice((0, 0, 0, 6))) if link == ETHERNET else b""
        frame = joined(head, packet) + pad
        return [Made(link, frame, key, len(head), len(head) + packet_head)]

    def transport(self, protocol: int, sport: int, dport: int) -> bytes:
        draw = self.random
        data = bytes(draw.choice((0, 1, 20, 100, 600, 1400)))
        if protocol == UDP:
            return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
        words = draw.choice((0, 0, 3, 10))
        head = struct.pack("!HHII", sport, dport, self.identification * 5000, 1)
        return (
            head + struct.pack("!BBHHH", 5 + words << 4, 16, 500, 0, 0) + b"\1" * 4 * words + data
        )

    def options(self) -> bytes:
        draw = self.random
        kinds = (b"\1", b"\x94\4\0\0", b"\x07\x0b\4" + bytes(8), b"\x44\x0c\5\0" + bytes(8))
        text = b"".join(draw.choice(kinds) for _ in range(draw.choice((0, 0, 1, 3))))
        return text + bytes(-len(text) % 4)

    def extensions(self, protocol: int) -> tuple[bytes, int]:
        """A chain of IPv6 extension headers and the number of its first."""
        draw = self.random
        kinds = [0] if draw.random() < 0.2 else []
        kinds += [draw.choice((60, 43, AH, 44)) for _ in range(draw.choice((0, 0, 0, 1, 2, 4)))]
        if kinds.count(44) > 1:
            kinds = [k for k in kinds if k != 44]
        text = b""
        for kind, after in zip(kinds, [*kinds[1:], protocol], strict=False):
            if kind == 44:  # of a datagram that is whole
                text += struct.pack("!BBHI", after, 0, 0, self.identification)
            elif kind == AH:
                text += self.sealed(after)
            elif kind == 43:
                text += struct.pack("!BBBB", after, 2, 0, 0) + bytes(4) + SIX[0]
            else:
                size = draw.choice((0, 1, 3))
                text += struct.pack("!BBBB", after, size, 1, 8 * size + 4) + bytes(8 * size + 4)
        return text, kinds[0] if kinds else protocol

    def sealed(self, after: int) -> bytes:
        check = self.random.choice((12, 16))
        check += -(12 + check) % 8
        return struct.pack("!BBHII", after, (12 + check) // 4 - 2, 0, 7, 1) + bytes(check)

    def network(
        self, key: Key, following: int, body: bytes, options: bytes, field: int = 0
    ) -> bytes:
        if len(key[1]) == 16:
            label = 6 << 28 | self.identification & 0xFFFFF
            return struct.pack("!IHBB", label, len(body), following, 64) + key[1] + key[2] + body
        size = 20 + len(options)
        total = 0 if self.random.random() < 0.05 and not field else size + len(body)
        return (
            struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, total, self.identification & 0xFFFF or 1,
                        field, 64, following, 0)
            + key[1] + key[2] + options + body
        )  # fmt: skip

    def fragments(self, link: int, head: bytes, key: Key, body: bytes) -> list[Made]:
        draw = self.random
        six = len(key[1]) == 16
        places = (8 * draw.randrange(8, len(body) // 8 + 1) for _ in range(3))
        edges = sorted({0, len(body), *places})  # the first holds a whole header
        before, inside, first = b"", b"", key[0]
        if six and draw.random() < 0.5:  # headers on each fragment's way, and in the datagram
            before = struct.pack("!BBBB", 44, 0, 1, 4) + bytes(4)
            if draw.random() < 0.5:
                inside, first = self.sealed(key[0]), AH
            else:
                inside, first = struct.pack("!BBBB", key[0], 1, 1, 12) + bytes(12), 60
        out = []
        for start, stop in itertools.pairwise(edges):
            more = stop < len(body)
            if six:
                place = start + len(inside) * (start > 0)
                chain = before + struct.pack("!BBHI", first, 0, place | more, self.identification)
                chain += inside * (start == 0)
                kind = draw.choice((0, 60)) if before else 44
                packet = self.network(key, kind, chain + body[start:stop], b"")
            else:
                packet = self.network(key, key[0], body[start:stop], b"", start // 8 | more << 13)
            frame = joined(head, packet)
            at = len(frame) - (stop - start)
            out.append(Made(link, frame, key, len(head), at, True))
        draw.shuffle(out)
        return out

    def link(self, link: int, six: bool) -> bytes:
        draw = self.random
        ethertype = 0x86DD if six else 0x0800
        if link == ETHERNET:
            return MAC + self.shims(ethertype, six)
        if link == SLL:
            return struct.pack("!HHH", 0, 1, 6) + MAC[:6] + b"\0\0" + self.shims(ethertype, six)
        if link == SLL2:
            return struct.pack("!HHIHBB", ethertype, 0, 3, 1, 0, 6) + MAC[:6] + b"\0\0"
        if link in (NULL, LOOP):
            family = draw.choice((24, 28, 30)) if six else 2
            return struct.pack(">I" if link == LOOP or draw.random() < 0.5 else "<I", family)
        if link == PPP:
            return (b"\xff\3" if draw.random() < 0.5 else b"") + (b"\0\x57" if six else b"\0\x21")
        return b""

    def shims(self, ethertype: int, six: bool) -> bytes:
        """Tags, labels and PPPoE, with the ethertypes around them."""
        draw = self.random
        kind = draw.randrange(6)
        tags = b"".join(
            struct.pack("!HH", draw.choice((0x8100, 0x88A8)), draw.randrange(1, 4095))
            for _ in range(draw.choice((0, 0, 0, 1, 2)))
        )
        if kind == 0:
            labels = [draw.randrange(16, 1 << 20) << 12 | 64 for _ in range(draw.randrange(1, 4))]
            labels[-1] |= 1 << 8
            return tags + b"\x88\x47" + struct.pack(f"!{len(labels)}I", *labels)
        if kind == 1:
            return tags + PPPOE + (b"\0\x57" if six else b"\0\x21")
        return tags + struct.pack("!H", ethertype)


def joined(head: bytes, packet: bytes) -> bytes:
    if head[:-2].endswith(PPPOE):
        head = head[:-4] + struct.pack("!H", len(packet) + 2) + head[-2:]
    return head + packet
