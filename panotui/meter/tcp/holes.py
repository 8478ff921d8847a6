"""Bytes of a TCP direction that were acknowledged but never captured, followed segment by segment.

There is no closed form for them over arrays: an acknowledgement across a hole counts its bytes
once, and a late segment fills it.
"""

from __future__ import annotations

NONE = -(1 << 40)  # below every relative sequence number
_HOLES = 64  # open holes remembered per direction


class Half:
    """One direction while holes are followed: numbers relative to `origin`."""

    __slots__ = ("contiguous", "covered", "holes", "next", "origin")

    def __init__(self) -> None:
        self.origin = 0
        self.next: int | None = None  # highest end seen
        self.contiguous: int | None = None  # tshark's maxseqtobeacked
        self.covered = NONE  # acknowledged so far: holes below are counted already
        self.holes: list[tuple[int, int]] = []

    @property
    def pending(self) -> bool:
        """Whether the remembered state matters for later segments."""
        return bool(self.holes) or (self.next is not None and self.covered > self.next)

    def rebase(self, origin: int) -> None:
        """Count from another origin from now on."""
        step = (origin - self.origin + (1 << 31)) % (1 << 32) - (1 << 31)
        self.origin = origin
        self.holes = [(a - step, b - step) for a, b in self.holes]
        self.covered -= step

    def send(self, begin: int, finish: int, reset: bool) -> None:
        """A segment of this direction was captured."""
        if self.next is None:
            self.next = self.contiguous = finish
            return
        if begin > self.next and not reset:
            start = max(self.next, self.covered)
            if start < begin and len(self.holes) < _HOLES:
                self.holes.append((start, begin))
        elif self.holes and finish > begin:
            self.holes = [
                part
                for a, b in self.holes
                for part in ((a, min(b, begin)), (max(a, finish), b))
                if part[0] < part[1]
            ]
        if finish > self.next:
            self.next = finish
        if begin == self.contiguous:
            self.contiguous = self.next

    def acknowledge(self, acked: int) -> int:
        """The other side acknowledged `acked`; bytes below it that were never captured."""
        unseen = 0
        if self.holes:
            for a, b in self.holes:
                if a < acked:
                    unseen += min(b, acked) - a
            self.holes = [(max(a, acked), b) for a, b in self.holes if b > acked]
        if self.next is not None and acked > self.next:
            start = max(self.next, self.covered)
            if 0 < acked - start < 1 << 30:
                unseen += acked - start
            self.covered = max(self.covered, acked)
        return unseen
