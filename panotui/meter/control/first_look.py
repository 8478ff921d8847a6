"""What the first looks at TCP payloads share: flows settled as a whole, a bounded memory of them.

`established` and `unknown` see many payloads at a time. Each settles all rows of a flow or none of
them, so that an `opening.Opening` that takes over has missed nothing, and keeps what a flow has
shown until it is settled, which is what an `Opening` then begins with.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from panotui.model import I64, Bool

FEW_ROWS = 8  # one at a time is as quick

Shown = TypeVar("Shown")


class ByFlow(NamedTuple):
    """Rows by flow: n rows of g flows."""

    ids: I64  # (g,)
    of: I64  # (n,) the flow of each row
    fits: Bool  # (g,) flows of which every row fits; who asks may strike out more

    def rows(self) -> I64:
        """Places of the rows of flows that fit, in order."""
        return np.flatnonzero(self.fits[self.of])


def by_flow(flows: I64, fits: Bool) -> ByFlow:
    """Group rows (n,), of which some fit, by their flows; a row without a flow never fits."""
    ids, of = np.unique(flows, return_inverse=True)
    whole = np.bincount(of[~fits], minlength=len(ids)) == 0
    whole &= ids >= 0
    return ByFlow(ids, of, whole)


class FirstLook(Generic[Shown]):
    """Remembers what flows have shown, at most `most` of them, and forgets the oldest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._shown: OrderedDict[int, Shown] = OrderedDict()

    def __contains__(self, flow: int) -> bool:
        return flow in self._shown

    def take(self, flow: int) -> Shown | None:
        """What a flow has shown, which is then forgotten here."""
        return self._shown.pop(flow, None)

    def forget(self, flows: Sequence[int]) -> None:
        """Flows have ended."""
        shown = self._shown
        for flow in flows:
            if flow in shown:
                del shown[flow]

    def _make_room(self) -> int:
        """Forget the oldest beyond the limit; how many these were."""
        over = max(0, len(self._shown) - self._most)
        for _ in range(over):
            self._shown.popitem(last=False)
        return over
