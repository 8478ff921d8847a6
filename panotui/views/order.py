"""A fixed order: rows stay where they are, whatever their numbers do.

The keys of rows are kept in their order under a token of the screen; new rows come after them.
Bounded: of a long list the first rows are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

HELD_MAX = 8  # orders, for as many panes and screens
ROWS_MAX = 2_000  # keys per order

R = TypeVar("R")


class HeldOrders:
    """The orders held by screens."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, dict[str, int]] = OrderedDict()

    def of(self, token: str, rows: Sequence[R], key: Callable[[R], str]) -> list[R]:
        """The rows in the order of the token's first use, new ones after them."""
        places = self._places.get(token)
        if places is None:
            places = self._places[token] = {}
            while len(self._places) > HELD_MAX:
                self._places.popitem(last=False)
        self._places.move_to_end(token)
        for row in rows:
            if len(places) < ROWS_MAX:
                places.setdefault(key(row), len(places))
        last = len(places)
        return sorted(rows, key=lambda row: places.get(key(row), last))
