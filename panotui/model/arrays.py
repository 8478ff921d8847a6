"""Types of columns, one second in nanoseconds, distinct values of a column and its groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

_T = TypeVar("_T", bound=np.generic)


U8: TypeAlias = NDArray[np.uint8]


U16: TypeAlias = NDArray[np.uint16]


U32: TypeAlias = NDArray[np.uint32]


U64: TypeAlias = NDArray[np.uint64]


I16: TypeAlias = NDArray[np.int16]


I32: TypeAlias = NDArray[np.int32]


I64: TypeAlias = NDArray[np.int64]


F64: TypeAlias = NDArray[np.float64]


Bool: TypeAlias = NDArray[np.bool_]


Rows: TypeAlias = NDArray[Any]  # a structured array; the dtype is named where it is used


SECOND = 1_000_000_000
NEVER = 1 << 62  # a time that is never reached
SET_BACK_NS = 3 * SECOND  # the clock of a capture that goes back by more was set back
_SHORT = 4_096  # comparisons


def distinct(values: NDArray[_T]) -> NDArray[_T]:
    """The distinct values, sorted: `numpy.unique` without its start-up and per-call cost.

    `numpy.unique` imports masked arrays on its first call (10 ms of a start), and checks for array
    types that no column has. Each NaN of a float column counts as a different value.
    """
    ordered = np.sort(values, axis=None)
    if ordered.size < 2:
        return ordered
    new = np.empty(ordered.size, np.bool_)
    new[0] = True
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]


def nonzero(mask: NDArray[Any]) -> I64:
    """(k,) positions of the values of a column (n,) that are not zero: `numpy.flatnonzero` of one
    dimension, at a third of its fixed cost."""
    found: I64 = mask.nonzero()[0]
    return found


def among(values: NDArray[Any], few: NDArray[Any] | Sequence[int]) -> Bool:
    """(n,) whether each value of a column (n,) is one of `few` (m,): `numpy.isin`, at a tenth of
    its fixed cost where both are short."""
    if len(values) * len(few) > _SHORT:
        return np.isin(values, few)
    found: Bool = (values[:, None] == np.asarray(few)).any(axis=1)
    return found


def lasts(starts: I64, end: int) -> I64:
    """(g,) last positions of the runs that begin at `starts` (g,), the last of which stops at
    `end`."""
    out = np.empty(len(starts), np.int64)
    np.subtract(starts[1:], 1, out=out[:-1])
    out[-1:] = end - 1
    return out


def lengths(starts: I64, end: int) -> I64:
    """(g,) lengths of the runs that begin at `starts` (g,), the last of which stops at `end`:
    `numpy.diff(starts, append=end)` at a third of its fixed cost."""
    out = np.empty(len(starts), np.int64)
    np.subtract(starts[1:], starts[:-1], out=out[:-1])
    out[-1:] = end - starts[-1:]
    return out


def group_order(groups: I64) -> I64:
    """The stable order of numbers from 0 to 2^32: what `argsort(kind="stable")` gives, a tenth of
    its time. Fewer than 2^32 of them.

    Number and row are one word, and words are sorted many at a time.
    """
    words = groups.astype(np.uint64)
    words <<= np.uint64(32)
    words |= np.arange(len(groups), dtype=np.uint64)
    words.sort()
    words &= np.uint64(0xFFFFFFFF)
    return words.view(np.int64)
