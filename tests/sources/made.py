"""Made-up captures for the tests of sources, and a reader that is too simple to be wrong."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """What a capture should give: captured bytes, length on the wire, nanoseconds."""

    data: bytes
    time_ns: int
    wire_length: int | None = None

    @property
    def length(self) -> int:
        return len(self.data) if self.wire_length is None else self.wire_length


def pcap(
    frames: Sequence[Frame],
    order: str = "<",
    nano: bool = False,
    modified: bool = False,
    linktype: int = 1,
) -> bytes:
    magic = 0xA1B2CD34 if modified else 0xA1B23C4D if nano else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, linktype)]
    unit = 1 if nano else 1000
    for frame in frames:
        second, rest = divmod(frame.time_ns, 10**9)
        out.append(struct.pack(order + "IIII", second, rest // unit, len(frame.data), frame.length))
        if modified:
            out.append(struct.pack(order + "IHBB", 1, 0, 0, 0))
        out.append(frame.data)
    return b"".join(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(order: str = "<", options: bytes = b"", linktype: int = 1, snap: int = 0) -> bytes:
    return block(1, struct.pack(order + "HHI", linktype, 0, snap) + options, order)


def enhanced(
    frame: Frame,
    order: str = "<",
    number: int = 0,
    units_a_second: int = 10**9,
    options: bytes = b"",
) -> bytes:
    second, rest = divmod(frame.time_ns, 10**9)
    units = second * units_a_second + rest * units_a_second // 10**9
    head = struct.pack(
        order + "IIIII", number, units >> 32, units & 0xFFFFFFFF, len(frame.data), frame.length
    )
    return block(6, head + frame.data + bytes(-len(frame.data) % 4) + options, order)


def pcapng(frames: Sequence[Frame], order: str = "<") -> bytes:
    nano = option(9, b"\x09", order)
    return (
        section(order)
        + interface(order, nano)
        + b"".join(enhanced(frame, order) for frame in frames)
    )


def serial_offsets(data: bytes, start: int, order: str, length_at: int, overhead: int) -> list[int]:
    """Starts of the whole records of a chain, one after the other."""
    found = []
    while start + max(overhead, 12) <= len(data):
        (length,) = struct.unpack_from(order + "I", data, start + length_at)
        if start + length + overhead > len(data):
            break
        found.append(start)
        start += length + overhead
    return found
