"""Repeated frames that IP does not identify: ARP copied by a mirror, and loops.

Batches with their columns come in, masks of rows go out. An ARP frame that repeats within the time
of a mirror's copy is a copy: no host repeats one so soon. A layer-2 loop shows as group-addressed
frames that are seen again and again: many different ones, each many times, further apart than a
mirror's copies, and hardly any other group frames.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.duplicates import content_digest
from panotui.model import I64, SECOND, U64, Bool, PacketBatch
from panotui.model.arrays import distinct
from panotui.wire.columns import Columns

_ARP = 0x0806
_KEPT = 512  # most ARP frames of earlier batches that are remembered
_GROUP = np.uint64(1) << np.uint64(40)
_WINDOW_NS = 5 * SECOND
_ROUND_NS = 8_000_000  # copies of a frame made by a mirror are closer together
_RING = 4096  # group-addressed frames that are compared
ROUNDS = 10  # repetitions of one frame within the window
DIFFERENT = 3  # frames that repeat so often
_SHARE = 0.5  # of all group-addressed frames
# groups of protocols that repeat on purpose: spanning tree and the like, and routers' groups
_LINK = np.uint64(0x0180_C200_0000) >> np.uint64(8)
_ROUTERS4, _ROUTERS6 = np.uint64(0x0100_5E00_00), np.uint64(0x3333_0000_00)


class ArpCopies:
    """Finds ARP frames that are copies of an earlier one, across batches."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._digest: U64 = np.empty(0, np.uint64)
        self._time: I64 = np.empty(0, np.int64)

    def find(self, batch: PacketBatch, c: Columns) -> I64:
        """Rows of the batch that are copies."""
        rows = np.flatnonzero(c.ethertype == _ARP)
        if not len(rows) or self.window_ns <= 0:
            return rows[:0]
        kept = len(self._digest)
        digest = np.concatenate([self._digest, _frame_digest(batch, c, rows)])
        time_ns = np.concatenate([self._time, batch.time_ns[rows]])
        order = np.lexsort((time_ns, digest))
        equal = digest[order[1:]] == digest[order[:-1]]
        near = np.diff(time_ns[order]) <= self.window_ns
        later = order[1:][equal & near]
        self._digest, self._time = digest[-_KEPT:], time_ns[-_KEPT:]
        chosen: I64 = rows[np.sort(later[later >= kept]) - kept]
        return chosen


class LoopFinder:
    """Finds group-addressed frames that are seen again and again, across batches."""

    def __init__(self) -> None:
        self._digest: U64 = np.empty(0, np.uint64)
        self._time: I64 = np.empty(0, np.int64)

    @staticmethod
    def read(batch: PacketBatch, c: Columns) -> tuple[I64, U64]:
        """The rows of group-addressed frames, and a number for each that equal frames share."""
        ends = c.dst_mac >> np.uint64(8)
        group = (c.dst_mac & _GROUP) != 0
        group &= (ends != _LINK) & (ends != _ROUTERS4) & (ends != _ROUTERS6)
        rows = np.flatnonzero(group)
        return rows, _frame_digest(batch, c, rows) if len(rows) else np.empty(0, np.uint64)

    def find(self, batch: PacketBatch, rows: I64, mine: U64) -> I64:
        """The rows from `read` that are part of a loop."""
        rows, mine = rows[-_RING:], mine[-_RING:]
        if not len(rows):
            return rows
        recent = int(batch.time_ns[rows[0]]) - self._time <= _WINDOW_NS
        digest = np.concatenate([self._digest[recent], mine])[-_RING:]
        time_ns = np.concatenate([self._time[recent], batch.time_ns[rows]])[-_RING:]
        self._digest, self._time = digest, time_ns
        if len(digest) < ROUNDS * DIFFERENT:
            return rows[:0]
        order = np.lexsort((time_ns, digest))
        digest, time_ns = digest[order], time_ns[order]
        first = np.append(True, digest[1:] != digest[:-1])
        starts = np.flatnonzero(first | np.append(True, np.diff(time_ns) >= _ROUND_NS))
        begin, end = starts[: 1 - ROUNDS], starts[ROUNDS - 1 :]
        runs = digest[begin] == digest[end]
        runs &= time_ns[end] - time_ns[begin] <= _WINDOW_NS
        looping = distinct(digest[begin[runs]])
        if len(looping) < DIFFERENT:
            return rows[:0]
        low, high = time_ns[begin[runs]].min(), time_ns[end[runs]].max()
        meanwhile = digest[(time_ns >= low) & (time_ns <= high)]
        if np.count_nonzero(np.isin(meanwhile, looping)) < _SHARE * len(meanwhile):
            return rows[:0]
        chosen: I64 = rows[np.isin(mine, looping)]
        return chosen


def _frame_digest(batch: PacketBatch, c: Columns, rows: I64) -> U64:
    """(m,) one number per frame: source, destination, content, and identification."""
    out = content_digest(batch, c, rows) ^ c.src_mac[rows]
    out ^= c.dst_mac[rows] << np.uint64(16)
    if c.digest is not None:
        out ^= np.where(c.version[rows] > 0, c.digest[rows], np.uint64(0))
    return out


def merged(copies: Bool | None, rows: I64, count: int) -> Bool | None:
    """The mask of copies with more rows in it; None if it stays empty."""
    if not len(rows):
        return copies
    mask = np.zeros(count, np.bool_) if copies is None else copies
    mask[rows] = True
    return mask
