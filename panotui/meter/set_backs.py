"""Moments at which the clock of the capture was set back: what is measured across them is wrong.

A batch's times and interfaces come in; the newest such moment goes out. A single frame that comes
late is none: those after it are ahead of it again. Interfaces whose packets were merged without
order go back only beside each other, so each interface is compared with itself.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.model import I64, SECOND, PacketBatch
from panotui.model.arrays import distinct

LEAST_NS = SECOND // 2  # packets of one interface are out of order by less
APART_NS = 60 * SECOND  # an interface that goes back again and again counts once
BEHIND = 8  # packets that must stay behind the earlier time, without one that does not
BEHIND_NS = SECOND // 4  # and their span: a queue that comes late is shorter
_STEPS = 64  # looked at in one batch of an interface; more are disorder


class _Step(Struct):
    """A step back that may still be that of a late frame."""

    before_ns: int
    after_ns: int
    packets: int = 1  # that came since, all before `before_ns`


class SetBacks:
    """The clock of each interface of one meter."""

    def __init__(self) -> None:
        self._last_ns: I64 = np.zeros(1, np.int64)  # by interface: its last packet
        self._open: dict[int, _Step] = {}  # by interface
        self._at_ns: dict[int, int] = {}  # by interface: when it was last set back

    def find(self, batch: PacketBatch, *, steps: bool) -> int | None:
        """When (ns of packet time) the clock was last set back, as far as the batch shows.

        `steps`: a packet of the batch is older than the one before it.
        """
        time_ns, of = batch.time_ns, np.maximum(batch.interface, 0)
        most = int(of.max())
        if most >= len(self._last_ns):
            more = np.zeros(most + 1 - len(self._last_ns), np.int64)
            self._last_ns = np.append(self._last_ns, more)
        several = most > 0 and most != int(of.min())
        if several and not steps:  # one interface may go back behind the other's packets
            steps = bool((time_ns < self._last_ns.take(of)).any())
        told = None
        if steps or self._open:
            for one in distinct(of).tolist():
                own = time_ns[of == one]
                at = self._walk(one, np.concatenate((self._last_ns[one : one + 1], own)))
                told = at if at is not None else told
        if several:
            self._last_ns[of] = time_ns  # of several packets of an interface the last one stays
        else:
            self._last_ns[most] = time_ns[-1]
        return told

    def _walk(self, one: int, time_ns: I64) -> int | None:
        """Follow one interface; its first time is that of the last packet before."""
        told = None
        start = 1
        for _ in range(_STEPS):
            step = self._open.get(one)
            if step is None:
                down = np.flatnonzero(time_ns[start - 1 : -1] - time_ns[start:] >= LEAST_NS)
                if not len(down):
                    break
                start += int(down[0])
                step = self._open[one] = _Step(int(time_ns[start - 1]), int(time_ns[start]))
                start += 1
            rest = time_ns[start:]
            ahead = np.flatnonzero(rest >= step.before_ns)
            stayed = rest[: int(ahead[0])] if len(ahead) else rest
            enough = np.arange(1, len(stayed) + 1) + step.packets >= BEHIND
            enough &= stayed - step.after_ns >= BEHIND_NS
            if enough.any():
                start += int(np.argmax(enough)) + 1
                told = self._count(one, step.after_ns) or told
            elif len(ahead):
                start += int(ahead[0]) + 1  # those were late
            else:
                step.packets += len(stayed)
                break
            del self._open[one]
            if start >= len(time_ns):
                break
        return told

    def _count(self, one: int, after_ns: int) -> int | None:
        before_ns, self._at_ns[one] = self._at_ns.get(one), after_ns
        apart = before_ns is None or abs(after_ns - before_ns) > APART_NS
        return after_ns if apart else None
