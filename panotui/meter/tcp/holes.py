"""Bytes of a TCP direction that were acknowledged but never captured, followed segment by segment.

There is no closed form for them over arrays: an acknowledgement across a hole counts its bytes
once, and a late segment fills it. A segment that its own acknowledgement overtook on the way to
us, as mirrors of two directions give them, takes its bytes off the count again.
"""

from __future__ import annotations

NONE = -(1 << 40)  # below every relative sequence number
_HOLES = 64  # open holes remembered per direction
_OVERTAKEN = 16  # segments of a direction among which one that was overtaken still comes


class Half:
    """One direction while holes are followed: numbers relative to `origin`."""

    __slots__ = ("contiguous", "counted", "covered", "holes", "next", "origin", "patience")

    def __init__(self) -> None:
        self.origin = 0
        self.next: int | None = None  # highest end seen
        self.contiguous: int | None = None  # tshark's maxseqtobeacked
        self.covered = NONE  # acknowledged so far: holes below are counted already
        self.holes: list[tuple[int, int]] = []
        self.counted: list[tuple[int, int]] = []  # bytes counted as never captured, of late
        self.patience = 0  # segments for which they are remembered

    @property
    def pending(self) -> bool:
        """Whether the remembered state matters for later segments."""
        ahead = self.next is not None and self.covered > self.next
        return ahead or bool(self.holes or self.counted)

    def rebase(self, origin: int) -> None:
        """Count from another origin from now on."""
        step = (origin - self.origin + (1 << 31)) % (1 << 32) - (1 << 31)
        self.origin = origin
        self.holes = [(a - step, b - step) for a, b in self.holes]
        self.counted = [(a - step, b - step) for a, b in self.counted]
        self.covered -= step

    def send(self, begin: int, finish: int, reset: bool) -> int:
        """A segment of this direction was captured; bytes of it that were counted as unseen."""
        if self.next is None:
            self.next = self.contiguous = finish
            return 0
        late = self._overtaken(begin, finish) if self.counted else 0
        if begin > self.next and not reset:
            start = max(self.next, self.covered)
            if start < begin and len(self.holes) < _HOLES:
                self.holes.append((start, begin))
        elif self.holes and finish > begin:
            self.holes = _without(self.holes, begin, finish)
        if finish > self.next:
            self.next = finish
        if begin == self.contiguous:
            self.contiguous = self.next
        return late

    def _overtaken(self, begin: int, finish: int) -> int:
        """Bytes counted as unseen that this segment brings."""
        late = sum(max(0, min(b, finish) - max(a, begin)) for a, b in self.counted)
        if late:
            self.counted = _without(self.counted, begin, finish)
        self.patience -= 1
        if self.patience <= 0:
            self.counted = []
        return late

    def _count(self, begin: int, finish: int) -> int:
        """Bytes that were acknowledged and not captured so far."""
        if len(self.counted) < _HOLES:
            self.counted.append((begin, finish))
        self.patience = _OVERTAKEN
        return finish - begin

    def acknowledge(self, acked: int) -> int:
        """The other side acknowledged `acked`; bytes below it that were never captured."""
        unseen = 0
        if self.holes:
            for a, b in self.holes:
                if a < acked:
                    unseen += self._count(a, min(b, acked))
            self.holes = [(max(a, acked), b) for a, b in self.holes if b > acked]
        if self.next is not None and acked > self.next:
            start = max(self.next, self.covered)
            if 0 < acked - start < 1 << 30:
                unseen += self._count(start, acked)
            self.covered = max(self.covered, acked)
        return unseen


def _without(ranges: list[tuple[int, int]], begin: int, finish: int) -> list[tuple[int, int]]:
    """The ranges without what lies between `begin` and `finish`."""
    return [
        part
        for a, b in ranges
        for part in ((a, min(b, begin)), (max(a, finish), b))
        if part[0] < part[1]
    ]
