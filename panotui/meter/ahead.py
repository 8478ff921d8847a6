"""A batch that spans seconds, decoded as a whole before its seconds are metered one by one.

Half of the cost of a quiet second is numpy calls over a handful of rows. The content of a packet,
and whether it is a copy, do not depend on ticks, so they are computed once for a whole batch of a
file. In: the batch and its columns. Out: their part for a piece of the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from panotui.model import I64, SECOND, U8, U64, Bool, Heard, PacketBatch
from panotui.model.arrays import nonzero
from panotui.wire.columns import Columns


class Decoded(Struct):
    """The data of n packets computed before their second is metered."""

    columns: Columns
    slow: I64  # rows that are not usual frames, in order
    copies: Bool | None  # (n,) copies made by a mirror; None: there are none
    group_rows: I64  # rows of group-addressed frames, in order
    group_digests: U64  # (len(group_rows),) one number for each of these frames
    kinds: U8  # (n,) of control packets, see `kinds_of`

    def part(self, start: int, stop: int) -> Decoded:
        """The same for rows [start, stop), counted from `start`."""
        copies = None if self.copies is None else self.copies[start:stop]
        low, high = np.searchsorted(self.group_rows, (start, stop)).tolist()
        first, last = np.searchsorted(self.slow, (start, stop)).tolist()
        return Decoded(
            self.columns.part(start, stop),
            self.slow[first:last] - start,
            None if copies is None or not copies.any() else copies,
            self.group_rows[low:high] - start,
            self.group_digests[low:high],
            self.kinds[start:stop],
        )


class Ahead(Struct):
    """A batch that was decoded as a whole."""

    batch: PacketBatch
    decoded: Decoded

    def of(self, piece: PacketBatch) -> Decoded | None:
        """The data of a piece of the batch; None if it belongs to another batch."""
        if piece.data is not self.batch.data:
            return None
        start = piece.first_number - self.batch.first_number
        if not 0 <= start <= len(self.batch) - len(piece):
            return None
        return self.decoded.part(start, start + len(piece))

    def heard(self, start: int, stop: int) -> Heard:
        """Who has sent in rows [start, stop)."""
        c, second = self.decoded.columns, self.batch.time_ns[start:stop] // SECOND * SECOND
        single = nonzero(c.dst_mac[start:stop] >> np.uint64(40) & np.uint64(1) == 0)
        return Heard(
            _newest(c.src_mac[start:stop], second),
            _newest(self.batch.interface[start:stop][single], second[single]),
        )

    def first_from(self, rows: I64, time_ns: int) -> int:
        """The first of `rows` (n,), in order of time, that came at a time or later; -1: none
        did.
        """
        place = int(np.searchsorted(self.batch.time_ns[rows], time_ns))
        return int(rows[place]) if place < len(rows) else -1


def _newest(keys: NDArray[Any], second: I64) -> dict[int, int]:
    """The last value for each key, (n,) both."""
    return dict(zip(keys.tolist(), second.tolist(), strict=True))
