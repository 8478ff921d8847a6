"""Limits control packets of each kind per second of packet time."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from panotui.meter.control.kinds import KINDS, NUMBERS
from panotui.meter.flows.grouping import rank
from panotui.model import I64, SECOND, U8, Bool

_COMMON_SHARE = 0.5  # of a second's budget: the pool, for kinds that may use it
_ONE_KINDS_SHARE = 0.6  # of the pool at most: a flood of one kind leaves some to the others
_SECONDS_KEPT = 4
_WEIGHTS_KEPT = 256


class Budget:
    """Allowances per second of packet time: a share for each kind, and a common pool."""

    def __init__(self, per_second: int) -> None:
        self._share = np.zeros(NUMBERS, np.int64)
        self._pooled = np.zeros(NUMBERS, np.bool_)
        for number, kind in enumerate(KINDS, 1):
            self._share[number] = kind.per_second or max(1, round(per_second * kind.share))
            self._pooled[number] = kind.may_draw_on_pool
        self._pool = max(1, int(per_second * _COMMON_SHARE))
        self._most = self._share + self._pooled * max(1, int(self._pool * _ONE_KINDS_SHARE))
        self._weights: dict[tuple[int, int], int] = {}  # (second, kind) -> beyond one each
        self._used: OrderedDict[int, tuple[I64, int]] = OrderedDict()

    def allow(self, time_ns: I64, kind: U8) -> Bool:
        """Mask (n,) of the packets that may be taken; packets are in arrival order."""
        allowed = np.zeros(len(kind), np.bool_)
        seconds = time_ns // SECOND
        if len(seconds) and seconds[0] == seconds[-1] and (seconds == seconds[0]).all():
            self._second(int(seconds[0]), slice(0, len(kind)), kind, allowed)
            return allowed
        order = np.argsort(seconds, kind="stable")
        ordered = seconds[order]
        cuts = np.flatnonzero(np.diff(ordered)) + 1
        for rows in np.split(order, cuts):
            if len(rows):
                self._second(int(seconds[rows[0]]), rows, kind, allowed)
        return allowed

    def charge(self, time_ns: int, kind: int, units: int) -> None:
        """Count an accepted packet as more than one."""
        second = time_ns // SECOND
        used = self._used.get(second)
        if used is not None:
            used[0][kind] += units
        weight = self._weights.get((second, kind), 0) + units
        if len(self._weights) > _WEIGHTS_KEPT:
            self._weights.clear()
        self._weights[second, kind] = weight

    def is_spent(self, time_ns: int, kind: int) -> bool:
        """Whether packets of the kind have used up their second's budget, those of the present
        batch included: they were accepted before their weight was known.
        """
        if not self._weights:
            return False
        return self._weights.get((time_ns // SECOND, kind), 0) >= int(self._most[kind])

    def _second(self, second: int, rows: I64 | slice, kind: U8, allowed: Bool) -> None:
        used, pool = self._used.get(second, (None, 0))
        if used is None:
            used = np.zeros(NUMBERS, np.int64)
        kinds = kind[rows]
        counts = np.bincount(kinds, minlength=NUMBERS)
        if (used + counts <= self._share).all():  # the usual second: no kind is over
            allowed[rows] = True
            self._keep(second, used + counts, pool)
            return
        # bytes are sorted by radix: a flood costs a few ns per packet
        place = rank(kinds) + used[kinds]
        own = place < self._share[kinds]
        asks = ~own & (place < self._most[kinds])
        granted = asks & (np.cumsum(asks) + pool <= self._pool)
        allowed[rows] = own | granted
        self._keep(second, used + counts, pool + int(granted.sum()))

    def _keep(self, second: int, used: I64, pool: int) -> None:
        self._used[second] = (used, pool)
        self._used.move_to_end(second)
        while len(self._used) > _SECONDS_KEPT:
            self._used.popitem(last=False)
