"""Captured packets as values, their headers, and files of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import zstandard

SECOND = 1_000_000_000
TAGS = (0x8100, 0x88A8)
IP4, IP6, ARP = 0x800, 0x86DD, 0x806
TCP, UDP = 6, 17


class Shot(NamedTuple):
    """A frame as it was captured; `wire` is its length on the wire."""

    time_ns: int
    frame: bytes
    wire: int


class Ip(NamedTuple):
    """Where the parts of an IPv4 or IPv6 packet lie in its frame; `body` is what TCP or UDP carry,
    and it ends at `end`, before any padding."""

    version: int
    start: int
    protocol: int
    l4: int
    body: int
    end: int


def kind_at(frame: bytes) -> tuple[int, int]:
    """The EtherType behind any tags, and where its packet starts."""
    at = 12
    kind = int.from_bytes(frame[at : at + 2], "big")
    while kind in TAGS:
        at += 4
        kind = int.from_bytes(frame[at : at + 2], "big")
    return kind, at + 2


def ip_of(frame: bytes) -> Ip | None:
    """The IP packet of a frame, unless it is a later fragment or cut within its headers."""
    kind, at = kind_at(frame)
    if kind == IP4 and len(frame) >= at + 20:
        head = (frame[at] & 15) * 4
        if int.from_bytes(frame[at + 6 : at + 8], "big") & 0x1FFF:
            return None
        protocol, l4 = frame[at + 9], at + head
        end = at + int.from_bytes(frame[at + 2 : at + 4], "big")
        version = 4
    elif kind == IP6 and len(frame) >= at + 40:
        protocol, l4 = frame[at + 6], at + 40
        end = l4 + int.from_bytes(frame[at + 4 : at + 6], "big")
        version = 6
    else:
        return None
    body = l4
    if protocol == TCP and len(frame) >= l4 + 20:
        body = l4 + (frame[l4 + 12] >> 4) * 4
    elif protocol == UDP and len(frame) >= l4 + 8:
        body = l4 + 8
    return Ip(version, at, protocol, l4, body, end)


def ends_of(frame: bytes, ip: Ip) -> tuple[bytes, bytes]:
    """Source and destination address."""
    first, size = (ip.start + 12, 4) if ip.version == 4 else (ip.start + 8, 16)
    return frame[first : first + size], frame[first + size : first + 2 * size]


def ports_of(frame: bytes, ip: Ip) -> tuple[int, int]:
    return struct.unpack_from("!HH", frame, ip.l4)


def summed(*parts: bytes) -> int:
    """The internet checksum."""
    total = 0
    for part in parts:
        whole = part + b"\0" if len(part) % 2 else part
        total += sum(struct.unpack(f"!{len(whole) // 2}H", whole))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def resummed(frame: bytes, before: bytes) -> bytes:
    """The frame with the checksums that `before`, the frame it was made of, had right put right.
    What offloads left open stays so."""
    now, old = ip_of(frame), ip_of(before)
    if now is None or old is None:
        return frame
    out = bytearray(frame)
    if now.version == 4 and not summed(before[old.start : old.l4]):
        out[now.start + 10 : now.start + 12] = bytes(2)
        out[now.start + 10 : now.start + 12] = summed(bytes(out[now.start : now.l4])).to_bytes(
            2, "big"
        )
    field = {TCP: 16, UDP: 6, 1: 2, 58: 2}.get(now.protocol)
    if field is None or len(before) < old.end or len(frame) < now.end or now.end <= now.l4:
        return bytes(out)
    if before[old.l4 + field : old.l4 + field + 2] == bytes(2) or summed(_covered(before, old)):
        return bytes(out)
    out[now.l4 + field : now.l4 + field + 2] = bytes(2)
    out[now.l4 + field : now.l4 + field + 2] = summed(_covered(bytes(out), now)).to_bytes(2, "big")
    return bytes(out)


def _covered(frame: bytes, ip: Ip) -> bytes:
    body = frame[ip.l4 : ip.end]
    if ip.protocol == 1:
        return body
    return b"".join(ends_of(frame, ip)) + struct.pack("!II", len(body), ip.protocol) + body


def read(content: bytes) -> list[Shot]:
    """The packets of a classic little-endian capture."""
    (magic,) = struct.unpack_from("<I", content)
    unit = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[magic]
    at, out = 24, []
    while at < len(content):
        seconds, part, kept, wire = struct.unpack_from("<IIII", content, at)
        out.append(Shot(seconds * SECOND + part * unit, content[at + 16 : at + 16 + kept], wire))
        at += 16 + kept
    return out


def unpacked(path: Path) -> list[Shot]:
    return read(zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()))


Writer = Callable[[Sequence[Shot]], bytes]


def pcap(shots: Sequence[Shot], order: str = "<", link: int = 1) -> bytes:
    """A classic capture in nanoseconds, of either byte order."""
    out = [struct.pack(f"{order}IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, link)]
    for time_ns, frame, wire in shots:
        out.append(struct.pack(f"{order}IIII", *divmod(time_ns, SECOND), len(frame), wire) + frame)
    return b"".join(out)


def big_endian(shots: Sequence[Shot]) -> bytes:
    return pcap(shots, ">")


def pcapng(shots: Sequence[Shot], order: str = "<", before: int = 0) -> bytes:
    """A section in nanoseconds with one interface, and `before` it others that heard nothing."""
    out = [_block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))]
    nano = struct.pack(f"{order}HHB3xHH", 9, 1, 9, 0, 0)
    out += (before + 1) * [_block(order, 1, struct.pack(f"{order}HHI", 1, 0, 262_144) + nano)]
    for time_ns, frame, wire in shots:
        head = struct.pack(
            f"{order}IIIII", before, time_ns >> 32, time_ns & 0xFFFF_FFFF, len(frame), wire
        )
        out.append(_block(order, 6, head + frame + bytes(-len(frame) % 4)))
    return b"".join(out)


def third_interface(shots: Sequence[Shot]) -> bytes:
    return pcapng(shots, ">", 2)


def _block(order: str, kind: int, body: bytes) -> bytes:
    size = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + size + body + size


def cooked(shots: Sequence[Shot]) -> bytes:
    """As `any` captures in cooked mode 2 (a link type without destination MAC): one interface."""
    return pcap([_cooked(shot) for shot in shots], link=276)


def _cooked(shot: Shot) -> Shot:
    frame = shot.frame
    kind = int.from_bytes(frame[12:14], "big")
    length = kind < 0x600  # 802.3: no EtherType
    to = 1 if frame[:6] == b"\xff" * 6 else 2 if frame[0] & 1 else 3
    head = struct.pack("!HHIHBB", 4 if length else kind, 0, 3, 1, to, 6) + frame[6:12] + bytes(2)
    return Shot(shot.time_ns, head + frame[14:], shot.wire + 6)


def times(shots: Sequence[Shot]) -> tuple[int, int]:
    """Of the first and the last packet."""
    return shots[0].time_ns, shots[-1].time_ns


def with_frames(shots: Sequence[Shot], change: Callable[[bytes], bytes]) -> Iterator[Shot]:
    """Each frame changed; its length on the wire changes by as much."""
    for shot in shots:
        frame = change(shot.frame)
        yield Shot(shot.time_ns, frame, shot.wire + len(frame) - len(shot.frame))
