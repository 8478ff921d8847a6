"""The JSON of one analysis, read from its file in pieces, so that flows are never all in memory.

It relies on the order of keys (`report/analysis`): the parts before and after `flows` are small.
Quotation marks inside a text are always escaped, so the marks searched for here occur only between
objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import msgspec

PIECE = 1 << 20
_BEFORE = b',"flows":['
_AFTER = b'],"streams":'
_BETWEEN = b'},{"id":'


class Answer:
    """Read once, from the start: `head`, then `flows()` to its end, then `tail`."""

    def __init__(self, file: IO[bytes]) -> None:
        """ValueError if it does not begin like an analysis."""
        self._file = file
        self._held = b""
        self.tail: dict[str, Any] = {}
        while _BEFORE not in self._held:
            self._more()
        head, _, self._held = self._held.partition(_BEFORE)
        self.head: dict[str, Any] = msgspec.json.decode(head + b"}")

    def _more(self) -> None:
        piece = self._file.read(PIECE)
        if not piece:
            raise ValueError("the analysis ended in the middle of its answer")
        self._held += piece

    def flows(self) -> Iterator[bytes]:
        """Objects of flows, one per line, about a megabyte at a time."""
        while (end := self._held.find(_AFTER)) < 0:
            cut = self._held.rfind(_BETWEEN)
            if cut >= 0:
                yield _lines(self._held[: cut + 1])
                self._held = self._held[cut + 2 :]
            self._more()
        if end:
            yield _lines(self._held[:end])
        rest = [self._held[end + 2 :]]
        while piece := self._file.read(PIECE):
            rest.append(piece)
        self._held = b""
        self.tail = msgspec.json.decode(b"{" + b"".join(rest))


def _lines(objects: bytes) -> bytes:
    return objects.replace(_BETWEEN, b'}\n{"id":') + b"\n"
