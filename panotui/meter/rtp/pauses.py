"""Pauses of streams by their readers, which no mean over a stream's life may include.

PAUSE and PLAY come in by packet time, one stream at a time; the paused part of a span of time goes
out. Intervals are kept, because packets are measured later than the dialogue between them was
followed. Bounded: of a stream's older pauses only the sum is kept.
"""

from __future__ import annotations

import numpy as np

from panotui.model import I64, Bool

_NEVER = 1 << 62
_KEPT = 64  # newest pauses per stream


class Pauses:
    """Paused time of streams, by index."""

    def __init__(self) -> None:
        self._known: dict[int, list[tuple[int, int]]] = {}  # (since, until) ns, oldest first
        self._older: dict[int, tuple[int, int]] = {}  # (until, sum) ns of those that were dropped

    def __bool__(self) -> bool:
        return bool(self._known)

    def begin(self, stream: int, time_ns: int) -> None:
        """PAUSE was answered; a repetition changes nothing."""
        known = self._known.setdefault(stream, [])
        if known and known[-1][1] == _NEVER:
            return
        known.append((time_ns, _NEVER))
        if len(known) > _KEPT:
            since, until = known.pop(0)
            _, total = self._older.get(stream, (0, 0))
            self._older[stream] = (until, total + until - since)

    def end(self, stream: int, time_ns: int) -> None:
        """PLAY was answered."""
        known = self._known.get(stream)
        if known and known[-1][1] == _NEVER:
            since = known[-1][0]
            known[-1] = (since, max(since, time_ns))

    def forget(self, stream: int) -> None:
        """Another stream takes the slot."""
        self._known.pop(stream, None)
        self._older.pop(stream, None)

    def within(self, stream: int, first_ns: int, last_ns: int) -> int:
        """Nanoseconds of the span [first_ns, last_ns] that were paused."""
        known = self._known.get(stream)
        if known is None:
            return 0
        until, total = self._older.get(stream, (0, 0))
        return (total if first_ns < until else 0) + sum(
            max(0, min(end, last_ns) - max(since, first_ns)) for since, end in known
        )

    def ended(self, stream: I64, before_ns: I64, time_ns: I64) -> Bool:
        """(n,) whether a pause of these streams ended in the spans [before_ns, time_ns]."""
        out = np.zeros(len(stream), bool)
        if not len(out):
            return out
        first, last = int(before_ns.min()), int(time_ns.max())
        for index, known in self._known.items():
            for _, end in known:
                if first <= end <= last:
                    out |= (stream == index) & (before_ns <= end) & (end <= time_ns)
        return out

    def between(self, stream: int, before_ns: int, time_ns: int) -> bool:
        """Whether a pause of one stream ended in the span [before_ns, time_ns]."""
        return any(before_ns <= end <= time_ns for _, end in self._known.get(stream, ()))
