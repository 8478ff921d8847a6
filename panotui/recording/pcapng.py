"""Writes and repairs pcapng: the evidence files of a recording.

Little-endian sections with nanosecond time stamps, one interface block per capture interface, a
comment with the event's name in the section header, comments on single packets. Blocks are written
whole, so a truncated tail is found by following the lengths, and cut off. draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType

SNAPLEN = 262_144
_SECTION = 0x0A0D0D0A
_INTERFACE = 1
_ENHANCED = 6


def _pad(raw: bytes) -> bytes:
    return raw + b"\0" * (-len(raw) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _pad(value)


def _block(kind: int, body: bytes) -> bytes:
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def _comment(text: str) -> bytes:
    return _option(1, text.encode()[:4000]) if text else b""


def section_block(comment: str) -> bytes:
    """A section header with the event's name as its comment."""
    options = _comment(comment) + _option(4, b"panotui") + struct.pack("<HH", 0, 0)
    return _block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options)


def interface_block(name: str, linktype: int) -> bytes:
    """An interface description with nanosecond resolution."""
    options = _option(2, name.encode()[:200]) + _option(9, b"\x09") + struct.pack("<HH", 0, 0)
    return _block(_INTERFACE, struct.pack("<HHI", linktype, 0, SNAPLEN) + options)


def packet_block(
    interface: int, time_ns: int, raw: bytes, wire_length: int, comment: str = ""
) -> bytes:
    """An enhanced packet block."""
    options = _comment(comment) + struct.pack("<HH", 0, 0) if comment else b""
    time_ns = max(0, time_ns)
    head = struct.pack(
        "<IIIII", interface, time_ns >> 32, time_ns & 0xFFFFFFFF, len(raw), wire_length
    )
    return _block(_ENHANCED, head + _pad(raw) + options)


class PcapngFile:
    """A pcapng file being written, or appended to with a new section."""

    def __init__(self, path: Path, comment: str, *, new: bool = False) -> None:
        """`new`: FileExistsError if the file exists."""
        self.appended = path.exists() and path.stat().st_size > 0
        self._file = path.open("xb" if new else "ab")
        self._interfaces: dict[tuple[str, int], int] = {}
        self._file.write(section_block(comment))

    def interface(self, name: str, linktype: int) -> int:
        """The number of an interface in this section, described on first use."""
        key = (name, linktype)
        number = self._interfaces.get(key)
        if number is None:
            number = self._interfaces[key] = len(self._interfaces)
            self._file.write(interface_block(name, linktype))
        return number

    def packet(
        self, interface: int, time_ns: int, raw: bytes, wire_length: int, comment: str = ""
    ) -> None:
        self._file.write(packet_block(interface, time_ns, raw, wire_length, comment))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> PcapngFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def repair(path: Path) -> int:
    """Cut off a truncated tail; returns the bytes removed. A file without a whole block is
    removed.
    """
    try:
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            good = 0
            while good + 12 <= size:
                file.seek(good)
                length = struct.unpack("<4xI", file.read(8))[0]
                if length < 12 or length % 4 or good + length > size:
                    break
                file.seek(good + length - 4)
                if struct.unpack("<I", file.read(4))[0] != length:
                    break
                good += length
            if good < size:
                file.truncate(good)
        if good == 0:
            path.unlink()
    except OSError:
        return 0  # problems with evidence are never a reason not to record
    return size - good
