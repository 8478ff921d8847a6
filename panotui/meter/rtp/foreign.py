"""Sequence numbers used by foreign packets: packets with a stream's SSRC that do not belong to it.

In: those numbers, and the stream's own packets. Out: missing numbers that are not lost packets. Two
behaviours are known. Error correction uses sequence numbers of its own, so a number that it used is
no loss. Some cameras give a foreign packet the number of the next picture's first packet, so a
missing number is lost all the same. The stream's packets so far show which behaviour it has.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.records import Grouped
from panotui.model import I64, SECOND, U16

_NEAR_NS = SECOND  # between a foreign packet and the gap that it explains
_KEPT = 512  # numbers per stream


class ForeignNumbers:
    """Recent numbers of foreign packets, by stream."""

    def __init__(self) -> None:
        self._when: dict[int, dict[int, int]] = {}  # stream -> number of 16 bits -> time_ns
        self._shared: dict[int, int] = {}  # numbers that were also used by the stream's own packets
        self._noted: dict[int, int] = {}
        self._excused: dict[int, dict[int, None]] = {}  # extended numbers that were explained

    def __bool__(self) -> bool:
        return bool(self._when)

    def forget(self, stream: int) -> None:
        for table in (self._when, self._shared, self._noted, self._excused):
            table.pop(stream, None)

    def note(self, stream: int, numbers: U16, time_ns: I64) -> None:
        """Add numbers of foreign packets (n,)."""
        known = self._when.setdefault(stream, {})
        self._noted[stream] = self._noted.get(stream, 0) + len(numbers)
        for number, when in zip(numbers[-_KEPT:].tolist(), time_ns[-_KEPT:].tolist(), strict=True):
            known.pop(number, None)
            known[number] = when
        while len(known) > _KEPT:
            del known[next(iter(known))]

    def compare(self, packets: Grouped) -> None:
        """Check whether the stream's own packets use the same numbers as foreign ones."""
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
        """The missing extended numbers that foreign packets used, so that they are not lost.

        `time_ns` is when the gap appeared. Each number is explained once.
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
        """A packet of the stream has an extended number that was explained: it was expected after
        all.
        """
        excused = self._excused.get(stream)
        if excused is None or number not in excused:
            return False
        del excused[number]
        return True
