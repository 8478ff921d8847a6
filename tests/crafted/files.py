"""Capture files around frames: classic pcap and pcapng of any link type and clock."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

SECOND = 1_000_000_000
START = 1_795_000_000 * SECOND  # in the autumn of 2026
ETHERNET, RAW, FRAME_RELAY, NULL, SLL = 1, 101, 107, 0, 113


@dataclass(frozen=True)
class Shot:
    """A frame at its time, as one interface of the capture saw it."""

    time_ns: int
    data: bytes
    interface: int = 0


def in_order(shots: Sequence[Shot]) -> list[Shot]:
    return sorted(shots, key=lambda shot: shot.time_ns)


def pcap(
    shots: Sequence[Shot], linktype: int = ETHERNET, *, nano: bool = False, order: str = "<"
) -> bytes:
    magic, unit = (0xA1B23C4D, 1) if nano else (0xA1B2C3D4, 1000)
    out = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262_144, linktype)]
    for shot in in_order(shots):
        second, rest = divmod(shot.time_ns, SECOND)
        size = len(shot.data)
        out += (struct.pack(f"{order}IIII", second, rest // unit, size, size), shot.data)
    return b"".join(out)


def pcapng(
    shots: Sequence[Shot], linktypes: Sequence[int] = (ETHERNET,), *, nano: bool = True
) -> bytes:
    """One section, an interface for each link type, every frame an enhanced packet block."""
    out = [_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    resolution = struct.pack("<HHB3xHH", 9, 1, 9, 0, 0) if nano else b""
    out += [_block(1, struct.pack("<HHI", kind, 0, 262_144) + resolution) for kind in linktypes]
    for shot in in_order(shots):
        units = shot.time_ns if nano else shot.time_ns // 1000
        size = len(shot.data)
        head = struct.pack("<IIIII", shot.interface, units >> 32, units & 0xFFFF_FFFF, size, size)
        out.append(_block(6, head + shot.data + bytes(-size % 4)))
    return b"".join(out)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def impossible_record() -> bytes:
    """239 bytes of a file whose only record claims 512 KiB."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x7FFF_FFFF, NULL)
    record = struct.pack("<IIII", START // SECOND, 0, 524_501, 524_501)
    return head + record + b"\x02\0\0\0" + bytes(range(195))


def nothing() -> bytes:
    return pcap([])
