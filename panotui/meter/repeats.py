"""Frames that are seen again beside what IP tells apart: ARP that a mirror doubles, and loops.

In come batches with their columns, out go masks of rows. An ARP frame that comes again within the
time of a mirror's copy is a copy: no host repeats one so soon. A layer-2 loop shows in frames to
groups that come round again and again: many different ones, each many times, apart from each other
by more than a mirror's copies are, and hardly any others beside them.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.duplicates import content_digest
from panotui.model import I64, SECOND, U64, Bool, PacketBatch
from panotui.model.arrays import distinct
from panotui.wire.columns import Columns

_ARP = 0x0806
_KEPT = 512  # ARP frames of earlier batches that are remembered at most
_GROUP = np.uint64(1) << np.uint64(40)
_WINDOW_NS = 5 * SECOND
_ROUND_NS = 8_000_000  # copies that a mirror makes of one frame lie nearer together
_RING = 4096  # group frames that are compared
ROUNDS = 10  # times that one frame comes round within the window
DIFFERENT = 3  # frames that do so
_SHARE = 0.5  # of all group frames
# what protocols of the link repeat on purpose: spanning tree and the like, and routers' groups
_LINK = np.uint64(0x0180_C200_0000) >> np.uint64(8)
_ROUTERS4, _ROUTERS6 = np.uint64(0x0100_5E00_00), np.uint64(0x3333_0000_00)


class ArpCopies:
    """Which ARP frames are copies of an earlier one, across batches."""

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
    """Which group frames come round again and again, across batches."""

    def __init__(self) -> None:
        self._digest: U64 = np.empty(0, np.uint64)
        self._time: I64 = np.empty(0, np.int64)

    @staticmethod
    def read(batch: PacketBatch, c: Columns) -> tuple[I64, U64]:
        """The rows of frames to groups, and a number for each that equal frames share."""
        ends = c.dst_mac >> np.uint64(8)
        group = (c.dst_mac & _GROUP) != 0
        group &= (ends != _LINK) & (ends != _ROUTERS4) & (ends != _ROUTERS6)
        rows = np.flatnonzero(group)
        return rows, _frame_digest(batch, c, rows) if len(rows) else np.empty(0, np.uint64)

    def find(self, batch: PacketBatch, rows: I64, mine: U64) -> I64:
        """Which of the rows that `read` gave are part of a loop."""
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
    """(m,) one number for a frame: who sends it to whom, what it holds, and its identification."""
    out = content_digest(batch, c, rows) ^ c.src_mac[rows]
    out ^= c.dst_mac[rows] << np.uint64(16)
    if c.digest is not None:
        out ^= np.where(c.version[rows] > 0, c.digest[rows], np.uint64(0))
    return out


def merged(copies: Bool | None, rows: I64, count: int) -> Bool | None:
    """The mask of copies with more rows in it; None while there are none."""
    if not len(rows):
        return copies
    mask = np.zeros(count, np.bool_) if copies is None else copies
    mask[rows] = True
    return mask
