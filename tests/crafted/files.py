"""Capture files around frames: classic pcap and pcapng of any link type and clock."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tests.sources import made

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


def pcap(shots: Sequence[Shot], linktype: int = ETHERNET, *, nano: bool = False) -> bytes:
    frames = [made.Frame(shot.data, shot.time_ns) for shot in in_order(shots)]
    return made.pcap(frames, nano=nano, linktype=linktype)


def pcapng(shots: Sequence[Shot], linktypes: Sequence[int] = (ETHERNET,)) -> bytes:
    """One section in nanoseconds, an interface for each link type."""
    nano = made.option(9, b"\x09")
    out = [made.section(), *(made.interface(options=nano, linktype=kind) for kind in linktypes)]
    for shot in in_order(shots):
        out.append(made.enhanced(made.Frame(shot.data, shot.time_ns), number=shot.interface))
    return b"".join(out)


def impossible_record() -> bytes:
    """239 bytes of a file whose only record claims 512 KiB."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x7FFF_FFFF, NULL)
    record = struct.pack("<IIII", START // SECOND, 0, 524_501, 524_501)
    return head + record + b"\x02\0\0\0" + bytes(range(195))


def nothing() -> bytes:
    return pcap([])
