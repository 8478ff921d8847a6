"""Sequence numbers that packets beside a stream, of its SSRC but not its own, have used up.

In: those numbers, and the stream's own packets. Out: which missing numbers nobody was to send. Two
habits are known: error correction takes numbers of its own (a number that it took is no loss), and
some cameras give a strange packet the number of the next picture's first (one that is missing is
lost all the same). What a stream's packets have shown so far tells which one it is.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.records import Grouped
from panotui.model import I64, SECOND, U16

_NEAR_NS = SECOND  # between a foreign packet and the gap that it explains
_KEPT = 512  # numbers a stream


class ForeignNumbers:
    """Numbers that foreign packets brought lately, by stream."""

    def __init__(self) -> None:
        self._when: dict[int, dict[int, int]] = {}  # stream -> number of 16 bits -> time_ns
        self._shared: dict[int, int] = {}  # numbers that came as the stream's own, too
        self._noted: dict[int, int] = {}
        self._excused: dict[int, dict[int, None]] = {}  # extended numbers that were explained

    def __bool__(self) -> bool:
        return bool(self._when)

    def forget(self, stream: int) -> None:
        for table in (self._when, self._shared, self._noted, self._excused):
            table.pop(stream, None)

    def note(self, stream: int, numbers: U16, time_ns: I64) -> None:
        """Foreign packets (n,) came with these numbers."""
        known = self._when.setdefault(stream, {})
        self._noted[stream] = self._noted.get(stream, 0) + len(numbers)
        for number, when in zip(numbers[-_KEPT:].tolist(), time_ns[-_KEPT:].tolist(), strict=True):
            known.pop(number, None)
            known[number] = when
        while len(known) > _KEPT:
            del known[next(iter(known))]

    def compare(self, packets: Grouped) -> None:
        """Do the stream's own packets bring numbers that foreign ones brought?"""
        segments = packets.segments
        for i in np.flatnonzero(np.isin(segments.ids, list(self._when))).tolist():
            stream = int(segments.ids[i])
            rows = slice(int(segments.starts[i]), int(segments.ends[i]) + 1)
            known = self._when[stream]
            numbers = packets.sequence[rows]
            hits = np.flatnonzero(np.isin(numbers, np.fromiter(known, np.uint16, len(known))))
            near = sum(
                abs(known[number] - when) <= _NEAR_NS
                for number, when in zip(
                    numbers[hits].tolist(), packets.time_ns[rows][hits].tolist(), strict=True
                )
            )
            self._shared[stream] = self._shared.get(stream, 0) + near

    def explained(self, stream: int, first: int, last: int, time_ns: int) -> list[int]:
        """Which of the missing extended numbers were foreign packets', so that none is lost.

        `time_ns` is when the gap showed. Each is explained once.
        """
        known = self._when.get(stream)
        if known is None or 2 * self._shared.get(stream, 0) > self._noted[stream]:
            return []
        missing = last - first + 1
        numbers = (
            range(first, last + 1)
            if missing <= len(known)
            else sorted(first + ((number - first) & 0xFFFF) for number in known)
        )
        excused = self._excused.setdefault(stream, {})
        out = [
            number
            for number in numbers
            if number <= last
            and number not in excused
            and abs(known.get(number & 0xFFFF, -(1 << 62)) - time_ns) <= _NEAR_NS
        ]
        for number in out:
            excused[number] = None
        while len(excused) > _KEPT:
            del excused[next(iter(excused))]
        return out

    def came_after_all(self, stream: int, number: int) -> bool:
        """A packet of the stream brings an extended number that was explained: it was to come."""
        excused = self._excused.get(stream)
        if excused is None or number not in excused:
            return False
        del excused[number]
        return True
