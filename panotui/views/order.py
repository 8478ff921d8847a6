"""An order that a person holds: rows stay where they are, whatever their numbers do.

Under a token of the screen the keys of rows are kept as they stood; a row that is new comes after
them. Bounded: of a long list the first rows are held.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

HELD_MAX = 8  # orders, of as many panes and screens
ROWS_MAX = 2_000  # of one order

R = TypeVar("R")


class HeldOrders:
    """The orders that screens hold."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, dict[str, int]] = OrderedDict()

    def of(self, token: str, rows: Sequence[R], key: Callable[[R], str]) -> list[R]:
        """The rows as they stood when the token was first used, new ones after them."""
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
