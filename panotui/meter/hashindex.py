"""An open-addressing index from 64-bit keys to small numbers, looked up for a batch at a time.

Keys must be well mixed already (their low bits choose the bucket) and greater than 1: 0 marks an
empty bucket, 1 a deleted one. Lookup is one gather and one comparison a row for nearly all rows,
then linear probing in rounds over the few that are left; insertion writes all new keys at once and
lets the losers of a bucket try the next.
"""

from __future__ import annotations

import numpy as np

from panotui.model import I32, I64, U64, Bool

_EMPTY, _DELETED = np.uint64(0), np.uint64(1)


class HashIndex:
    """Maps up to `capacity` keys to int32 numbers; its table is four to eight times as large."""

    def __init__(self, capacity: int) -> None:
        size = 64
        while size < 4 * capacity:
            size *= 2
        self._mask = np.uint64(size - 1)
        self._keys: U64 = np.zeros(size, np.uint64)
        self._values: I32 = np.zeros(size, np.int32)
        self._used = 0  # buckets that are not empty, deleted ones included

    def find(self, keys: U64) -> I32:
        """(n,) numbers of the keys, -1 where a key is absent."""
        bucket = (keys & self._mask).view(np.int64)
        found = self._keys.take(bucket)
        values = self._values.take(bucket)
        pending = np.flatnonzero(found != keys)
        if not len(pending):
            return values
        values[pending] = -1
        found = found[pending]
        pending = pending[found != _EMPTY]
        bucket = bucket[pending]
        wanted = keys[pending]
        while len(pending):
            bucket = ((bucket + 1).view(np.uint64) & self._mask).view(np.int64)
            found = self._keys.take(bucket)
            hit = found == wanted
            values[pending[hit]] = self._values.take(bucket[hit])
            more = ~hit & (found != _EMPTY)
            pending, bucket, wanted = pending[more], bucket[more], wanted[more]
        return values

    def insert(self, keys: U64, values: I32) -> None:
        """Add keys that are distinct and not in the index."""
        if self._used + len(keys) > len(self._keys) // 2:
            self._rebuild()
        self._put(keys, values)

    def remove(self, keys: U64) -> None:
        """Delete keys; those that are absent are ignored."""
        bucket = self._locate(keys)
        bucket = bucket[bucket >= 0]
        self._keys[bucket] = _DELETED

    def clear(self) -> None:
        self._keys[:] = _EMPTY
        self._used = 0

    def replace(self, keys: U64, values: I32) -> None:
        """Give present keys new numbers."""
        bucket = self._locate(keys)
        known: Bool = bucket >= 0
        self._values[bucket[known]] = values[known]

    def _locate(self, keys: U64) -> I64:
        bucket = (keys & self._mask).astype(np.int64)
        result = np.full(len(keys), -1, np.int64)
        pending = np.arange(len(keys))
        while len(pending):
            found = self._keys.take(bucket)
            hit = found == keys[pending]
            result[pending[hit]] = bucket[hit]
            more = ~hit & (found != _EMPTY)
            pending = pending[more]
            bucket = ((bucket[more] + 1).astype(np.uint64) & self._mask).astype(np.int64)
        return result

    def _put(self, keys: U64, values: I32) -> None:
        bucket = (keys & self._mask).astype(np.int64)
        while len(keys):
            occupant = self._keys.take(bucket)
            free = occupant <= _DELETED
            self._keys[bucket[free]] = keys[free]
            won = self._keys.take(bucket) == keys  # of several for one bucket the last write stays
            self._values[bucket[won]] = values[won]
            self._used += int(np.count_nonzero(occupant[won] == _EMPTY))
            lost = ~won
            keys, values = keys[lost], values[lost]
            bucket = ((bucket[lost] + 1).astype(np.uint64) & self._mask).astype(np.int64)

    def _rebuild(self) -> None:
        live = np.flatnonzero(self._keys > _DELETED)
        keys, values = self._keys[live].copy(), self._values[live].copy()
        self.clear()
        self._put(keys, values)
