"""Copies that a mirror made: the same packet seen twice within a few milliseconds.

A SPAN session that mirrors both directions of two ports, or two taps on one path, delivers packets
twice; the second copy may differ by one hop (MAC addresses, VLAN tag, TTL). In come batches with
their columns; out goes a mask of rows that are copies of an earlier row.

Not every equal packet is a copy. Identical packets *from the sender* within 2 ms exist where the IP
identification does not tell them apart (0 with "don't fragment", or IPv6): repeated datagrams,
duplicate acknowledgements, resets. Those count as copies only when the frame around them differs
(another hop or interface), when a sequence number inside forbids a repetition so soon (TCP data and
SYN, RTP), or when this capture has shown that it doubles much of what it sees.
"""

from __future__ import annotations

import numpy as np

from panotui.model import I64, U64, Bool, PacketBatch
from panotui.wire.columns import Columns
from panotui.wire.gather import gather

_COMPARED = 64  # bytes from the transport header on that must be equal
_KEPT = 8192  # rows of earlier batches that are remembered at most
_DOUBLING = 0.2  # share of certain copies from which doubtful ones are believed
_SYN = 2
_TCP, _UDP = 6, 17


class CopyFinder:
    """Finds copies within `window_ns`, across batches; bounded memory."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._digest: U64 = np.empty(0, np.uint64)
        self._time: I64 = np.empty(0, np.int64)
        self._frame: U64 = np.empty(0, np.uint64)
        self._seen = 0
        self._certain = 0

    def find(self, batch: PacketBatch, c: Columns) -> Bool | None:
        """Mask (n,) of rows that are copies, or None when there is none."""
        n = len(batch)
        if c.digest is None or self.window_ns <= 0 or n == 0:
            return None
        kept = len(self._digest)
        digest = np.concatenate([self._digest, c.digest]) if kept else c.digest
        time_ns = np.concatenate([self._time, batch.time_ns]) if kept else batch.time_ns
        order = np.argsort(digest.astype(np.uint16), kind="stable")
        ordered = digest[order]
        places: list[I64] = []
        for lag in (1, 2):  # 2: when a stranger with the same 16 bits stands between
            same = np.flatnonzero(ordered[lag:] == ordered[:-lag])
            places.append(np.stack([order[same], order[same + lag]]))
        pairs = np.concatenate(places, axis=1)
        if pairs.shape[1]:
            gap = time_ns[pairs[1]] - time_ns[pairs[0]]
            pairs = pairs[:, (np.abs(gap) <= self.window_ns) & (pairs[1] >= kept)]
        mask = self._judge(batch, c, pairs, kept) if pairs.shape[1] else None
        self._seen += n
        self._remember(batch, c, digest, time_ns)
        return mask

    def _judge(self, batch: PacketBatch, c: Columns, pairs: I64, kept: int) -> Bool | None:
        later = pairs[1] - kept
        earlier = pairs[0] - kept
        here = earlier >= 0
        # Within a batch the bytes decide; over a batch border the digest has to do.
        equal = ~here
        equal[here] = self._equal_bytes(batch, c, earlier[here], later[here])
        later, earlier, here = later[equal], earlier[equal], here[equal]
        if not len(later):
            return None
        frame = _frame_words(batch, c, later)
        before = np.empty(len(later), np.uint64)
        before[here] = _frame_words(batch, c, earlier[here])
        before[~here] = self._frame[pairs[0][equal][~here]]
        certain = self._certain_copies(batch, c, later) | (frame != before)
        self._certain += int(certain.sum())
        doubling = self._certain > _DOUBLING * (self._seen + len(batch)) and self._certain > 20
        chosen = later if doubling else later[certain]
        if not len(chosen):
            return None
        mask = np.zeros(len(batch), np.bool_)
        mask[chosen] = True
        return mask

    def _equal_bytes(self, batch: PacketBatch, c: Columns, a: I64, b: I64) -> Bool:
        blocks = []
        for rows in (a, b):
            start = np.where(c.l4[rows] >= 0, c.l4[rows], c.l3[rows])
            end = batch.offset[rows] + batch.captured[rows]
            inside = np.where(c.version[rows] > 0, c.payload[rows] + c.payload_captured[rows], end)
            end = np.where(c.payload[rows] >= 0, np.minimum(end, inside), end)
            block = gather(batch.data, start, _COMPARED).view(np.uint8).reshape(-1, _COMPARED)
            block[np.arange(_COMPARED) >= (end - start)[:, None]] = 0
            blocks.append(block)
        equal: Bool = np.logical_and.reduce(blocks[0] == blocks[1], axis=1)
        equal &= c.payload_length[a] == c.payload_length[b]
        return equal

    def _certain_copies(self, batch: PacketBatch, c: Columns, rows: I64) -> Bool:
        head = gather(batch.data, np.maximum(c.l3[rows], 0), 8).view(np.uint8).reshape(-1, 8)
        certain: Bool = (c.version[rows] == 4) & ((head[:, 4] | head[:, 5]) != 0)
        certain |= (c.fragment[rows] == 2) | (c.version[rows] == 0)
        tcp = c.protocol[rows] == _TCP
        certain |= tcp & ((c.payload_length[rows] > 1) | (c.tcp_flags[rows] & _SYN != 0))
        udp = (c.protocol[rows] == _UDP) & (c.payload_captured[rows] >= 12)
        first = batch.data[np.where(udp, c.payload[rows], 0)]
        second = batch.data[np.where(udp, c.payload[rows] + 1, 0)]
        # RTP carries a sequence number; RTCP (types 192 to 223) does not
        certain |= udp & (first >> 6 == 2) & ((second < 192) | (second > 223))
        return certain

    def _remember(self, batch: PacketBatch, c: Columns, digest: U64, time_ns: I64) -> None:
        tail = max(0, len(digest) - _KEPT)
        newest = int(time_ns[-1])
        keep = np.flatnonzero(np.abs(newest - time_ns[tail:]) <= self.window_ns) + tail
        kept = len(digest) - len(batch)
        frame = np.empty(len(keep), np.uint64)
        old = keep < kept
        frame[old] = self._frame[keep[old]]
        frame[~old] = _frame_words(batch, c, keep[~old] - kept)
        self._digest, self._time, self._frame = digest[keep], time_ns[keep], frame


def _frame_words(batch: PacketBatch, c: Columns, rows: I64) -> U64:
    """What a hop changes, as one number a row: MACs, tag, TTL, interface."""
    word = c.src_mac[rows] * np.uint64(0x9E3779B97F4A7C15) + c.dst_mac[rows]
    word *= np.uint64(0xC2B2AE3D27D4EB4F)
    word += c.vlan[rows].astype(np.uint64) << np.uint64(24)
    word += c.ttl[rows].astype(np.uint64) << np.uint64(16)
    word += batch.interface[rows].astype(np.uint64)
    return word
