"""Shared code of the first look at TCP payloads: flows settled as a whole, and a bounded memory.

`established` and `unknown` handle many payloads at a time. Each settles all rows of a flow or none
of them, so that an `opening.Opening` that takes over has missed nothing. Until then it keeps the
flow's payloads, as the start for that `Opening`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from panotui.model import I64, Bool

FEW_ROWS = 8  # up to this many, one at a time is as fast

Shown = TypeVar("Shown")


class ByFlow(NamedTuple):
    """Rows by flow: n rows of g flows."""

    ids: I64  # (g,)
    of: I64  # (n,) flow index of each row
    fits: Bool  # (g,) flows of which every row matches; the caller may remove more

    def rows(self) -> I64:
        """Positions of the rows of matching flows, in order."""
        return np.flatnonzero(self.fits[self.of])

    def mask(self, rows: I64) -> Bool:
        """(n,) True at these positions."""
        out = np.zeros(len(self.of), np.bool_)
        out[rows] = True
        return out


def by_flow(flows: I64, fits: Bool) -> ByFlow | None:
    """Group rows (n,), some of which match, by their flows; a row without a flow never matches.
    None: no row matches.
    """
    if not fits.any():
        return None
    ids, of = np.unique(flows, return_inverse=True)
    whole = np.bincount(of[~fits], minlength=len(ids)) == 0
    whole &= ids >= 0
    return ByFlow(ids, of, whole)


class FirstLook(Generic[Shown]):
    """Remembers the content of flows, at most `most` of them, and forgets the oldest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._shown: OrderedDict[int, Shown] = OrderedDict()

    def __contains__(self, flow: int) -> bool:
        return flow in self._shown

    def take(self, flow: int) -> Shown | None:
        """Remove and return the content of a flow."""
        return self._shown.pop(flow, None)

    def _remembered(
        self, offered: ByFlow, is_known: Callable[[int], bool]
    ) -> Iterator[tuple[int, Shown]]:
        """The content of matching flows, with their index. Flows without any that `is_known` tests
        for are past this, and no longer match.
        """
        some = np.flatnonzero(offered.fits)
        for i, flow in zip(some.tolist(), offered.ids[some].tolist(), strict=True):
            shown = self._shown.get(flow)
            if shown is not None:
                yield i, shown
            elif is_known(flow):
                offered.fits[i] = False

    def forget(self, flows: Sequence[int]) -> None:
        """Flows have ended."""
        shown = self._shown
        for flow in flows:
            if flow in shown:
                del shown[flow]

    def _make_room(self) -> int:
        """Forget the oldest beyond the limit; returns their number."""
        over = max(0, len(self._shown) - self._most)
        for _ in range(over):
            self._shown.popitem(last=False)
        return over
