"""Rows of a batch by flow and by direction: sorted once, for all users.

Most properties of a flow in a batch (its newest packet each way, bytes each way, the packet before
this one) follow from the places where the sender changes. `Runs` finds those places once; each
property then costs one step per flow instead of a pass over the rows, and sums are differences of
one running sum. Both are several times faster than numpy's `reduceat` and `where`, which take a
branch per row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from panotui.model import I32, I64, Bool
from panotui.model.arrays import lasts, lengths, nonzero


class Groups(Struct):
    """Rows of a batch ordered by (slot, arrival), m rows in g groups."""

    rows: I64  # (m,) rows of the batch
    slot: I64  # (g,) distinct slots
    first: I64  # (g,) position in `rows` of each group's first row
    size: I64  # (g,)

    @property
    def last(self) -> I64:
        """(g,) position of each group's last row."""
        return self.first + self.size - 1


def group(rows: I64, slots: I32, capacity: int) -> Groups:
    """Order rows by (slot, arrival): a radix sort on the slot numbers, which are below
    `capacity`."""
    order = np.argsort(slots.astype(np.uint16), kind="stable")
    if capacity > 65_536:
        high = (slots >> 16).astype(np.uint16)
        order = order[np.argsort(high[order], kind="stable")]
    ordered = slots.take(order)
    edge = np.empty(len(ordered), np.bool_)
    edge[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=edge[1:])
    first = nonzero(edge)
    size = lengths(first, len(ordered))
    return Groups(rows.take(order), ordered.take(first).astype(np.int64), first, size)


class Runs(Struct):
    """The places where the sender changes in grouped rows: r runs of rows of one flow and half.

    The directions that occur, d of them, are those of the groups' last rows, one per group,
    followed by the other halves of groups in which both halves send.
    """

    back: Bool  # (m,) sent by half 1
    start: I64  # (r,) position of each run's first row
    lead: I64  # (g,) each group's first run
    group: I64  # (d,) group of each direction
    half: I64  # (d,)
    newest: I64  # (d,) position of the direction's last row

    def oldest(self, some: I64) -> I64:
        """(len(some),) positions of the first rows of directions `some`."""
        run = self.lead.take(self.group.take(some))
        first = self.start.take(run)
        other = self.back.take(first) != self.half.take(some)
        after = self.start.take(np.minimum(run + 1, len(self.start) - 1))
        return np.where(other, after, first)

    def neighbours(self) -> tuple[I64, I64]:
        """(m,), (m,) position of the previous row of the same direction, and of the other
        direction; -1 if the group has none.
        """
        m = len(self.back)
        before = self.start - 1  # the last row of the other half, if the group has one
        before[self.lead] = -1
        peer = np.repeat(before, lengths(self.start, m))
        own = np.arange(-1, m - 1)
        earlier = np.empty(len(before), np.int64)
        earlier[1:] = before[:-1]
        earlier[self.lead] = -1
        own[self.start] = earlier
        return own, peer


def runs(back: Bool, first: I64) -> Runs:
    """Runs of rows whose groups start at positions `first` (g,), in order; g is at least 1."""
    m = len(back)
    edge = np.empty(m, np.bool_)
    edge[0] = True
    np.not_equal(back[1:], back[:-1], out=edge[1:])
    opens = np.zeros(m, np.bool_)
    opens[first] = True
    edge |= opens
    start = nonzero(edge)
    lead = nonzero(opens.take(start))
    end = lasts(lead, len(start))
    last = lasts(first, m)
    two = nonzero(end > lead)
    half = back.take(last).astype(np.int64)
    return Runs(
        back=back,
        start=start,
        lead=lead,
        group=np.concatenate([np.arange(len(first)), two]),
        half=np.concatenate([half, 1 - half.take(two)]),
        newest=np.concatenate([last, start.take(end.take(two)) - 1]),
    )


def group_sums(values: NDArray[np.integer[Any] | np.bool_], last: I64) -> I64:
    """(g,) sums of grouped values (m,); `last` (g,) each group's last position."""
    total: I64 = np.cumsum(values, dtype=np.int64).take(last)
    total[1:] -= total[:-1].copy()
    return total


def groups_of(places: I64, first: I64) -> I64:
    """Group of each of a few positions; `first` (g,) start of each group."""
    return np.searchsorted(first, places, side="right") - 1


def rank(key: NDArray[np.integer]) -> I64:
    """(n,) the number of earlier rows with the same key."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    edge = np.append(True, ordered[1:] != ordered[:-1])
    first = nonzero(edge)
    rank = np.empty(len(key), np.int64)
    rank[order] = np.arange(len(key)) - np.repeat(first, lengths(first, len(key)))
    return rank
