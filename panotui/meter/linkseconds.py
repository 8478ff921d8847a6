"""Packets and bytes of every Ethernet pair in every second, for ports and rates.

The columns of a batch come in. LINK_SECOND rows go out, one per interface, source MAC, destination
MAC and second of packet time, as increments since the last `drain`.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.flows.hashindex import HashIndex
from panotui.model import I64, LINK_SECOND_DTYPE, SECOND, U64, Bool, PacketBatch, Rows
from panotui.wire.columns import Columns

_PAIRS = 4096  # distinct pairs between two drains; further ones share one row without addresses
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_SPREAD_2 = np.uint64(0xC2B2AE3D27D4EB4F)


class LinkSeconds:
    """Bounded table of pairs; pair 0 takes the overflow."""

    def __init__(self) -> None:
        self._index = HashIndex(_PAIRS)
        self._interface = np.zeros(_PAIRS, np.int16)
        self._src = np.zeros(_PAIRS, np.uint64)
        self._dst = np.zeros(_PAIRS, np.uint64)
        self._ip4 = np.zeros(_PAIRS, np.uint32)
        self._pairs = 1
        self._rows: list[Rows] = []

    def add(
        self, batch: PacketBatch, c: Columns, copies: Bool | None, looped: I64 | None = None
    ) -> None:
        """Count a batch; `copies` masks the rows that repeat an earlier packet, `looped` the rows
        of frames in a loop.
        """
        if not len(batch):
            return
        pair = self._pair(batch, c)
        second = batch.time_ns // SECOND
        low, high = int(second.min()), int(second.max())
        if high - low < 256:
            seconds = np.arange(low, high + 1)
            cell = pair * len(seconds) + (second - low) if high > low else pair
        else:
            seconds, place = np.unique(second, return_inverse=True)
            cell = pair * len(seconds) + place
        packets = np.bincount(cell)
        used = np.flatnonzero(packets)
        out = np.zeros(len(used), LINK_SECOND_DTYPE)
        of = used // len(seconds)
        out["interface"], out["src_mac"] = self._interface[of], self._src[of]
        out["dst_mac"], out["ip4_src"] = self._dst[of], self._ip4[of]
        out["second"] = seconds[used % len(seconds)]
        out["packets"] = packets[used]
        newest = np.zeros(len(packets), np.int64)
        newest[cell] = np.arange(len(batch))  # of a cell's rows the last one stays
        out["last_packet"] = batch.first_number + newest[used]
        # float64 sums are exact here: the bytes of a batch stay far below 2^53
        out["bytes"] = np.bincount(cell, weights=batch.wire_length)[used]
        tagged = np.flatnonzero(c.vlan >= 0)
        if len(tagged):
            out["tagged"] = np.bincount(cell[tagged], minlength=len(packets))[used]
        if copies is not None:
            out["repeated"] = np.bincount(cell[copies], minlength=len(packets))[used]
            weights = batch.wire_length[copies]
            out["repeated_bytes"] = np.bincount(cell[copies], weights, len(packets))[used]
        if looped is not None and len(looped):
            out["looped"] = np.bincount(cell[looped], minlength=len(packets))[used]
        self._rows.append(out)

    def _pair(self, batch: PacketBatch, c: Columns) -> U64:
        key = c.src_mac * _SPREAD
        key ^= key >> np.uint64(31)
        key += c.dst_mac
        if len(batch.interfaces) > 1:
            # low enough that the product carries it up and the shift brings it down into the bucket
            key += batch.interface.astype(np.uint64) << np.uint64(24)
        key *= _SPREAD_2
        key ^= key >> np.uint64(32)
        np.maximum(key, np.uint64(2), out=key)
        pair = self._index.find(key)
        absent = np.flatnonzero(pair < 0)
        if len(absent):
            keys, first = np.unique(key[absent], return_index=True)
            room = min(len(keys), _PAIRS - self._pairs)
            rows = absent[first[:room]]
            new = np.arange(self._pairs, self._pairs + room, dtype=np.int32)
            self._interface[new] = batch.interface[rows]
            self._src[new], self._dst[new] = c.src_mac[rows], c.dst_mac[rows]
            self._ip4[new] = c.src4[rows]
            self._pairs += room
            self._index.insert(keys[:room], new)
            pair[absent] = np.maximum(self._index.find(key[absent]), 0)
        return pair.astype(np.int64)

    def drain(self) -> Rows:
        """LINK_SECOND rows since the last drain, by second."""
        if not self._rows:
            return np.zeros(0, LINK_SECOND_DTYPE)
        rows = np.concatenate(self._rows)
        self._rows = []
        if self._pairs > _PAIRS // 2:
            self._index.clear()
            self._pairs = 1
        if len(rows) == 1:
            return rows
        keys = np.stack(
            [rows["second"].astype(np.uint64), rows["interface"].astype(np.uint64),
             rows["src_mac"], rows["dst_mac"]]
        )  # fmt: skip
        order = np.lexsort(keys[::-1])
        ordered = keys[:, order]
        edge = np.append(True, (ordered[:, 1:] != ordered[:, :-1]).any(axis=0))
        first = np.flatnonzero(edge)
        out = rows[order[first]]
        for name in ("packets", "bytes", "tagged", "repeated", "repeated_bytes", "looped"):
            out[name] = np.add.reduceat(rows[name][order], first)
        for name in ("ip4_src", "last_packet"):
            out[name] = np.maximum.reduceat(rows[name][order], first)
        return out
