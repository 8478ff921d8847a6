"""Consecutive pictures in one HTTP response (`multipart/x-mixed-replace`), one part each.

Cameras send MJPEG in this form to browsers and simple readers. A part has its own header, usually
with its length; otherwise it ends at the next boundary. Only the first bytes of a part are kept.
RFC 2046 5.1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HEAD_MAX = 4_096  # bytes of a part's header
KEPT = 2_048  # of a part, in which a JPEG has its size
PART_MAX = 1 << 26
PARTS_PER_SECOND = 240  # more than any camera sends; larger ones are ignored
_LENGTH = re.compile(rb"(?i)\ncontent-length\s*:\s*(\d{1,9})\s*\r?\n")
_BOUNDARY = re.compile(rb"(?i)boundary\s*=\s*\"?([^\s\";,]{1,100})")


_PART = re.compile(
    rb"(?i)(?:^|\n)--([!-~]{1,70})\r?\n(?:[!-~][ -~]{0,200}\r?\n){0,8}?content-type: *image/jpe?g"
)


def first_part(raw: bytes | bytearray) -> bytes | None:
    """The boundary that a response's header would name, if these bytes hold a part's header."""
    found = _PART.search(raw, 0, HEAD_MAX)
    return b"boundary=--" + found[1] if found else None


class Part(NamedTuple):
    """A complete picture."""

    carrier: int
    size: int  # bytes with its head
    length: int  # of the picture
    time_ns: int  # time of its last byte
    number: int  # the packet that brought it
    head: bytes  # the picture's first bytes


class Multipart:
    """The parts of one response. `head` is its header."""

    def __init__(self, carrier: int, head: bytes) -> None:
        found = _BOUNDARY.search(head)
        name = found[1] if found else b"--"
        self._line = b"\n" + (name if name.startswith(b"--") else b"--" + name)
        self._carrier = carrier
        self._waiting = bytearray()  # a header, or the end of a part without a length
        self._need = -1  # remaining bytes of the part; -1: in a header, -2: unknown
        self._kept = b""
        self._size = self._length = 0
        self._second = self._parts = 0
        self.is_lost = False

    def feed(self, raw: bytes, time_ns: int, number: int) -> list[Part]:
        """The parts completed by these bytes."""
        out: list[Part] = []
        at = 0
        while at < len(raw) and not self.is_lost:
            if self._need == -1:
                at = self._read_head(raw, at)
            elif self._need == -2:
                at = self._read_on(raw, at)
            else:
                piece = raw[at : at + self._need]
                self._take(piece)
                self._need -= len(piece)
                at += len(piece)
            if self._need == 0:
                self._count(time_ns)
                out.append(
                    Part(self._carrier, self._size, self._length, time_ns, number, self._kept)
                )
                self._need = -1
        return out

    @property
    def passable(self) -> int:
        """Number of next bytes of which only the count matters; the part continues behind them."""
        return self._need - 1 if self._need > 1 and len(self._kept) >= KEPT else 0

    def pass_over(self, size: int) -> None:
        """Count these bytes as passed."""
        self._need -= size
        self._length += size
        self._size += size
        self.is_lost |= self._length > PART_MAX

    def _count(self, time_ns: int) -> None:
        second = time_ns // 1_000_000_000
        if second != self._second:
            self._second, self._parts = second, 0
        self._parts += 1
        self.is_lost |= self._parts > PARTS_PER_SECOND

    def skip(self, missing: int) -> None:
        """Bytes were not captured: within a part of known length only its picture has a hole."""
        if 0 < missing < self._need:
            self._need -= missing
            self._length += missing
            self._size += missing
        else:
            self.is_lost = True

    def _take(self, piece: bytes) -> None:
        if len(self._kept) < KEPT:
            self._kept += piece[: KEPT - len(self._kept)]
        self._length += len(piece)
        self._size += len(piece)
        self.is_lost |= self._length > PART_MAX

    def _read_head(self, raw: bytes, at: int) -> int:
        waiting = self._waiting
        known = len(waiting)
        waiting += raw[at : at + HEAD_MAX]
        start = waiting.find(self._line[1:])
        if start < 0:
            if len(waiting) > HEAD_MAX:
                self.is_lost = True
            return len(raw) if len(raw) - at <= HEAD_MAX else at + HEAD_MAX
        blank = [waiting.find(b"\n\r\n", start) + 3, waiting.find(b"\n\n", start) + 2]
        ends = [end for end, size in zip(blank, (3, 2), strict=True) if end >= size]
        if not ends:
            self.is_lost = len(waiting) > HEAD_MAX
            return at + len(waiting) - known
        end = min(ends)
        found = _LENGTH.search(waiting, start, end)
        self._need = int(found[1]) or -1 if found else -2
        self._size, self._length, self._kept = end, 0, b""
        waiting.clear()
        return at + end - known

    def _read_on(self, raw: bytes, at: int) -> int:
        """A part without a length: up to the next boundary."""
        waiting = self._waiting
        known = len(waiting)
        waiting += raw[at:]
        end = waiting.find(self._line, max(0, known - len(self._line)))
        if end < 0:
            keep = len(self._line) + 1
            self._take(bytes(waiting[:-keep]))
            del waiting[:-keep]
            return len(raw)
        body = bytes(waiting[:end]).removesuffix(b"\r")
        self._take(body)
        self._need = 0
        waiting.clear()
        if end >= known:
            return at + end - known
        waiting += self._line[: known - end]  # the boundary began in an earlier segment
        return at
