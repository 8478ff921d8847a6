"""An open-addressing index from 64-bit keys to small numbers, with lookups for a whole batch.

Keys must be well mixed already (their low bits choose the bucket) and greater than 0. A bucket
holds only the number; the key is stored by number. Numbers in use are few and adjacent, so that a
lookup misses the cache once, at the bucket. It takes two gathers and one comparison per row for
nearly all rows, then linear probing in rounds over the few remaining rows. Insertion writes all new
numbers at once; those that lose a bucket try the next.
"""

from __future__ import annotations

import numpy as np

from panotui.model import I32, I64, U64, Bool
from panotui.model.arrays import nonzero

_EMPTY, _DELETED = -1, -2


class HashIndex:
    """Maps keys to int32 numbers below `capacity`; its table is four to eight times as large."""

    def __init__(self, capacity: int) -> None:
        size = 64
        while size < 4 * capacity:
            size *= 2
        self._mask = np.uint64(size - 1)
        self._numbers: I32 = np.full(size, _EMPTY, np.int32)
        # by number; -1 and -2 find the two zeros at the end, which are not valid keys
        self._keys: U64 = np.zeros(capacity + 2, np.uint64)
        self._used = 0  # buckets that are not empty, deleted ones included

    def find(self, keys: U64) -> I32:
        """(n,) numbers of the keys, -1 where a key is absent."""
        bucket = (keys & self._mask).view(np.int64)
        numbers = self._numbers.take(bucket)
        pending = nonzero(self._keys.take(numbers, mode="wrap") != keys)
        if not len(pending):
            return numbers
        found = numbers.take(pending)
        numbers[pending] = -1
        probing = nonzero(found != _EMPTY)
        pending = pending.take(probing)
        bucket, wanted = bucket.take(pending), keys.take(pending)
        while len(pending):
            bucket = ((bucket + 1).view(np.uint64) & self._mask).view(np.int64)
            found = self._numbers.take(bucket)
            hit = self._keys.take(found, mode="wrap") == wanted
            numbers[pending[hit]] = found[hit]
            more = ~hit & (found != _EMPTY)
            pending, bucket, wanted = pending[more], bucket[more], wanted[more]
        return numbers

    def insert(self, keys: U64, numbers: I32) -> None:
        """Add keys that are distinct and not in the index, under unused numbers."""
        if self._used + len(keys) > len(self._numbers) // 2:
            self._rebuild()
        self._put(keys, numbers)

    def remove(self, keys: U64) -> None:
        """Delete keys; absent ones are ignored."""
        bucket = self._locate(keys)
        self._numbers[bucket[bucket >= 0]] = _DELETED

    def clear(self) -> None:
        self._numbers[:] = _EMPTY
        self._used = 0

    def replace(self, keys: U64, numbers: I32) -> None:
        """Give present keys new, unused numbers."""
        bucket = self._locate(keys)
        known: Bool = bucket >= 0
        self._numbers[bucket[known]] = numbers[known]
        self._keys[numbers[known]] = keys[known]

    def _locate(self, keys: U64) -> I64:
        bucket = (keys & self._mask).astype(np.int64)
        result = np.full(len(keys), -1, np.int64)
        pending = np.arange(len(keys))
        while len(pending):
            found = self._numbers.take(bucket)
            hit = self._keys.take(found, mode="wrap") == keys[pending]
            result[pending[hit]] = bucket[hit]
            more = ~hit & (found != _EMPTY)
            pending = pending[more]
            bucket = ((bucket[more] + 1).astype(np.uint64) & self._mask).astype(np.int64)
        return result

    def _put(self, keys: U64, numbers: I32) -> None:
        self._keys[numbers] = keys
        bucket = (keys & self._mask).astype(np.int64)
        while len(keys):
            occupant = self._numbers.take(bucket)
            free = occupant < 0
            self._numbers[bucket[free]] = numbers[free]
            # of several keys for one bucket the last write stays
            won = self._numbers.take(bucket) == numbers
            self._used += int(np.count_nonzero(occupant[won] == _EMPTY))
            lost = ~won
            keys, numbers = keys[lost], numbers[lost]
            bucket = ((bucket[lost] + 1).astype(np.uint64) & self._mask).astype(np.int64)

    def _rebuild(self) -> None:
        numbers = self._numbers[self._numbers >= 0]
        keys = self._keys[numbers]
        self.clear()
        self._put(keys, numbers)
