"""Grouped arrays: rows sorted by a key, processed as one array with segment operations.

In: a grouped key column (equal keys are neighbours). Out: the starts of segments, the previous
row's value within a segment, and running extremes, each without a Python step per row.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from panotui.model import I64, Bool
from panotui.model.arrays import lengths

_Number = TypeVar("_Number", bound=np.generic)

# Larger than any difference between values of one segment; see `running_max`.
_APART = 1 << 44


class Segments:
    """Runs of equal keys in a grouped (n,) column, n > 0."""

    __slots__ = ("_index", "counts", "ends", "ids", "n", "starts")

    ids: I64  # (s,) the keys
    starts: I64  # (s,) rows
    counts: I64  # (s,)
    ends: I64  # (s,) the last row of each

    def __init__(self, key: NDArray[_Number]) -> None:
        self.n = len(key)
        (change,) = (key[1:] != key[:-1]).nonzero()
        self.starts = np.empty(len(change) + 1, np.int64)
        self.starts[0] = 0
        self.starts[1:] = change + 1
        self.counts = lengths(self.starts, self.n)
        self.ends = self.starts + self.counts - 1
        self.ids = key[self.starts].astype(np.int64)
        self._index: I64 | None = None

    @classmethod
    def of(cls, ids: I64, counts: I64) -> Segments:
        """Segments of known keys and lengths, one after the other."""
        new = cls.__new__(cls)
        after = np.cumsum(counts)
        new.n = int(after[-1])
        new.ids, new.counts = ids, counts
        new.starts, new.ends = after - counts, after - 1
        new._index = None
        return new

    @property
    def index(self) -> I64:
        """(n,) the segment of each row."""
        if self._index is None:
            self._index = np.repeat(np.arange(len(self.starts)), self.counts)
        return self._index

    def previous(self, values: NDArray[_Number], before: NDArray[_Number]) -> NDArray[_Number]:
        """(n,) the preceding row's value, `before` (one value per segment) at the segments'
        starts.
        """
        out = np.empty_like(values)
        out[1:] = values[:-1]
        out[self.starts] = before
        return out

    def running_sum(self, values: I64, before: I64) -> I64:
        """(n,) sum of the segment's values up to and including each row, added to `before`."""
        total = np.cumsum(values)
        shift = before - total[self.starts] + values[self.starts]
        result: I64 = total + shift[self.index]
        return result

    def running_max(self, values: I64) -> I64:
        """(n,) largest value of the segment so far; values must span less than 2^44."""
        low = values.min(initial=0)
        # Segments are shifted apart, so that one accumulate over all rows starts again in each.
        lift = self.index * _APART - low
        result: I64 = np.maximum.accumulate(values + lift) - lift
        return result

    def running_min(self, values: I64) -> I64:
        """(n,) smallest value of the segment so far; values must span less than 2^44."""
        high = values.max(initial=0)
        lift = self.index * _APART + high
        result: I64 = np.minimum.accumulate(values - lift) + lift
        return result


def pick(mask: Bool, key: I64) -> tuple[I64, Segments | None]:
    """Rows where `mask` is true and their segments by `key`; None without any."""
    rows = np.flatnonzero(mask)
    return rows, Segments(key[rows]) if len(rows) else None
