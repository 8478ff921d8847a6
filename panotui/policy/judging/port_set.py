"""The ports that a violation has touched: few as numbers, thousands (of a scan) as one byte
each.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from panotui.model import U16, Bool
from panotui.model.arrays import distinct

FEW = 512  # a bitmap takes as much memory as two thousand Python integers


class PortSet:
    """A set of ports that only grows."""

    __slots__ = ("_few", "_many")

    def __init__(self) -> None:
        self._few: set[int] = set()
        self._many: Bool | None = None  # by port, once there are many

    def __len__(self) -> int:
        return len(self._few) if self._many is None else int(np.count_nonzero(self._many))

    def add(self, ports: U16) -> None:
        """Add ports; duplicates are allowed."""
        if self._many is None:
            more = distinct(ports)
            if len(self._few) + len(more) <= FEW:
                self._few.update(more.tolist())
                return
            self._many = np.zeros(65_536, np.bool_)
            self._many[list(self._few)] = True
            self._few.clear()
        self._many[ports] = True

    def merge(self, other: PortSet) -> None:
        """Add the ports of another set."""
        self.add(other._ports())

    def lowest(self, count: int) -> list[int]:
        """The `count` lowest ports, in order."""
        return list(islice(self._ports().tolist(), count))

    def _ports(self) -> U16:
        """All ports, in order."""
        if self._many is not None:
            return np.flatnonzero(self._many).astype(np.uint16)
        return np.array(sorted(self._few), np.uint16)
