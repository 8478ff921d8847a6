"""Packet time that advances evenly, even if the machine's clock is set.

The kernel stamps packets with the wall clock, which is set by time servers, users and leap seconds.
`Timekeeper` starts from the wall clock and continues with a clock that is never set and does not
stop while the machine sleeps. The steps of the wall clock since then are kept in `stepped_ns`: wall
clock = packet time + that. All processes of a capture share one start, so that their times agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from msgspec.structs import replace

from panotui.model import I64, PacketBatch, Source, SourceCounters

STEP_NS = 100_000_000  # a larger offset of the wall clock is a step, not slewing
SLEPT_NS = 2_000_000_000
_CALM_NS = 1_000_000  # between two reads of one clock; more means that the process was interrupted


def steady_ns() -> int:
    """A clock that runs while the machine sleeps and is never set, in ns."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Timekeeper:
    """See the module. Call `look` before asking for times."""

    def __init__(
        self,
        began_ns: int | None = None,
        *,
        wall: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = steady_ns,
        awake: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`began_ns`: the start of another `Timekeeper`, to share its time; the clocks are for
        tests.
        """
        self._wall, self._steady, self._awake = wall, steady, awake
        self.stepped_ns = 0  # total by which the wall clock was set ahead
        self.slept_ns = 0  # total time that the machine slept
        now, at = self._clocks()
        self.began_ns = now - at if began_ns is None else began_ns  # packet time - steady time
        self._asleep = at - awake()
        self.now_ns = at + self.began_ns  # as of the last look

    def look(self) -> tuple[int, int]:
        """Read the clocks; returns (set ahead by, slept) since the last call."""
        wall, at = self._clocks()
        before, slept_before = self.stepped_ns, self.slept_ns
        self.now_ns = at + self.began_ns
        ahead = wall - self.now_ns
        if abs(ahead - self.stepped_ns) > STEP_NS:
            self.stepped_ns = ahead
        asleep = at - self._awake() - self._asleep
        if asleep - self.slept_ns > SLEPT_NS:
            self.slept_ns = asleep
        return self.stepped_ns - before, self.slept_ns - slept_before

    def __call__(self) -> int:
        """The current packet time."""
        self.now_ns = self._steady() + self.began_ns
        return self.now_ns

    def _clocks(self) -> tuple[int, int]:
        """(wall, steady) at one instant."""
        for _ in range(8):
            before = self._steady()
            wall = self._wall()
            after = self._steady()
            if after - before < _CALM_NS:
                break
        return wall, (before + after) // 2


class SteadySource:
    """A live source whose packets have the times of a `Timekeeper`."""

    def __init__(self, source: Source, keeper: Timekeeper) -> None:
        self.source = source
        self.keeper = keeper
        self.interfaces = source.interfaces
        self.ended = source.ended
        self.counters: SourceCounters = source.counters
        self._highest_ns = 0
        self._looked_ns = keeper.now_ns
        self._stepped_ns = keeper.stepped_ns

    @property
    def present(self) -> bool:
        """False while the interface is missing."""
        return bool(getattr(self.source, "present", True))

    def read(self, timeout_s: float) -> PacketBatch | None:
        """As for the source. The clocks are read afterwards, so no delivered packet is newer."""
        batch = self.source.read(timeout_s)
        keeper = self.keeper
        keeper.look()
        since, was = self._looked_ns, self._stepped_ns
        self._looked_ns, self._stepped_ns = keeper.now_ns, keeper.stepped_ns
        self.ended, self.counters = self.source.ended, self.source.counters
        self.counters.clock_stepped_ns = keeper.stepped_ns
        self.counters.slept_ns = keeper.slept_ns
        if batch is None or not len(batch):
            return batch
        if keeper.stepped_ns or was:
            low = max(since, self._highest_ns)
            even = _evened(batch.time_ns, was, keeper.stepped_ns, low, keeper.now_ns)
            batch = replace(batch, time_ns=even)
        self._highest_ns = max(self._highest_ns, int(batch.time_ns[-1]))
        return batch

    def close(self) -> None:
        self.ended = True
        self.source.close()


def _evened(stamps: I64, was_ns: int, is_ns: int, since_ns: int, now_ns: int) -> I64:
    """Packet times of a batch's stamps (n,), in order of arrival. The wall clock was `was_ns` ahead
    at the last look (`since_ns`), and is `is_ns` ahead now (`now_ns`).

    If the clock was set between two packets of the batch, the position is chosen that makes their
    times fit best between the two looks and to one another.
    """
    old, new = stamps - was_ns, stamps - is_ns
    if was_ns == is_ns:
        return np.minimum(old, now_ns)
    n = len(stamps)
    cost = np.zeros(n + 1)
    for times, first in ((old, True), (new, False)):
        off = np.maximum(times - now_ns, 0) + np.maximum(since_ns - times, 0).astype(np.float64)
        total = np.concatenate([[0.0], np.cumsum(off)])
        cost += total if first else total[-1] - total
    before = np.concatenate([[since_ns], old])
    after = np.concatenate([new, [now_ns]])
    cost += np.abs(after - before)  # a jump where the clock was set, if this is not the place
    at = int(cost.argmin())
    found: I64 = np.concatenate([old[:at], new[at:]])
    return np.minimum(found, now_ns)
