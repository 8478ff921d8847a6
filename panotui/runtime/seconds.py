"""The ends of seconds of packet time, and the ticks within gaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from panotui.model import (
    I64,
    SECOND,
    SET_BACK_NS,
    PacketBatch,
)

_FINE_TICKS = 60  # seconds, then minutes, then one jump


# Packets are out of order by less than SET_BACK_NS. A larger step back, behind which so many
# packets in a row stay, means that the capture's clock was set back. This is accepted once per this
# many packets, since each jump forward costs ticks, and less and less often if it happens again and
# again (two clocks in one capture, a broken clock).
_STAYS_ROWS = 64


_FAR_BACK_NS = 60 * SECOND  # no order is as bad: one packet suffices


_SET_BACK_ROWS = 1_000


_SET_BACK_ROWS_MOST = 128_000


def gap_ticks(last_ns: int, next_ns: int) -> Iterator[int]:
    """Whole seconds at which to tick between two packet times: each second for a minute, each
    minute for an hour, then once.

    `last_ns` is the last tick (a whole second); the last value is the second that contains
    `next_ns`.
    """
    target = next_ns // SECOND
    second = last_ns // SECOND
    fine = min(target, second + _FINE_TICKS)
    while second < fine:
        second += 1
        yield second * SECOND
    coarse = min(target, second + 60 * 60)
    while second + 60 <= coarse:
        second += 60
        yield second * SECOND
    if second < target:
        yield target * SECOND


class SecondSplitter:
    """Splits batches where the running maximum of packet time enters a new second.

    The maximum falls if the capture's clock was set back by seconds or more, so that ticks
    continue; otherwise nothing would be reported until the old time is reached again.
    """

    def __init__(self) -> None:
        self.highest_ns = 0  # running maximum of packet time
        self.ticked_ns = 0  # last tick, a whole second
        self.begun = False  # there was a packet, or a tick
        self._skipped = (0, 0)
        self._late = 0  # packets in a row that came after one that is seconds newer
        self._rows_since = self._rows_needed = _SET_BACK_ROWS  # since the clock was last set back

    def skip(self, since_ns: int, until_ns: int) -> None:
        """Nobody captured between these times: no second of it gets a tick."""
        self._skipped = since_ns, until_ns

    def due(self, last_ns: int, next_ns: int) -> list[int]:
        """When to tick between two packet times, see `gap_ticks`."""
        since, until = self._skipped
        until = until // SECOND * SECOND
        return [at for at in gap_ticks(last_ns, next_ns) if at <= since or at >= until]

    def parts(self, batch: PacketBatch) -> Iterator[tuple[PacketBatch, I64]]:
        """(rows within one second, ticks that are due before them) in order."""
        if not len(batch):
            return
        running = self._running(batch.time_ns)
        seconds = running // SECOND
        starts = np.flatnonzero(np.diff(seconds)) + 1
        edges = [0, *starts.tolist(), len(batch)]
        for start, stop in itertools.pairwise(edges):
            now_ns = int(running[start])
            if not self.begun or now_ns < self.ticked_ns:
                self.begun = True
                self.ticked_ns = now_ns // SECOND * SECOND
            due = np.array(self.due(self.ticked_ns, now_ns), np.int64)
            if len(due):
                self.ticked_ns = int(due[-1])
            yield (batch if stop - start == len(batch) else batch.slice(start, stop)), due
        self.highest_ns = int(running[-1])

    def _running(self, time_ns: I64) -> I64:
        """(n,) the running maximum, which falls where the clock was set back."""
        if not self.begun:
            self.highest_ns = int(time_ns[0])
        running = np.maximum.accumulate(time_ns)
        np.maximum(running, self.highest_ns, out=running)
        start = 0
        while True:
            behind_ns = running[start:] - time_ns[start:]
            if int(behind_ns.max()) <= SET_BACK_NS:
                self._late = 0
                self._rows_since += len(time_ns) - start
                return running
            late = self._late_in_a_row(behind_ns)
            behind = np.flatnonzero((late >= _STAYS_ROWS) | (behind_ns > _FAR_BACK_NS))
            behind = behind[behind + self._rows_since >= self._rows_needed]
            if not len(behind):
                self._late = int(late[-1])
                self._rows_since += len(time_ns) - start
                return running
            start += int(behind[0])
            running[start:] = np.maximum.accumulate(time_ns[start:])
            self._rows_since = self._late = 0
            self._rows_needed = min(2 * self._rows_needed, _SET_BACK_ROWS_MOST)

    def _late_in_a_row(self, behind_ns: I64) -> I64:
        """(n,) the number of late rows in a row that each of these ends, 0 if it is not late."""
        place = np.arange(len(behind_ns))
        in_time = np.maximum.accumulate(np.where(behind_ns <= SET_BACK_NS, place, -1))
        late: I64 = place - in_time + np.where(in_time < 0, self._late, 0)
        return late
