"""Copies made by a mirror: the same packet seen twice within a few milliseconds.

A SPAN session that mirrors both directions of two ports, or two taps on one path, delivers packets
twice; the second copy may differ by one hop (MAC addresses, VLAN tag, TTL). Batches with their
columns come in; a mask of the rows that are copies of an earlier row goes out.

Not every equal packet is a copy: datagrams are repeated, segments are retransmitted within a
millisecond on a fast path, and two acknowledgements may be equal. A copy is certain if

- the frame around it differs (another hop, tag or interface),
- its IPv4 identification excludes a repetition: it is set, and differs from that of the sender's
  packets before and after (some senders never change it), or
- no sender repeats such a packet so soon: a client's SYN, an RTP packet. A server may repeat its
  SYN/ACK at once (it answers a repeated SYN while its own timer expires), so a SYN/ACK counts as a
  copy only after another copy was certain.

All others (no identification: IPv6, "don't fragment" with 0, a constant one) are uncertain. They
count as copies only in a capture that doubles much of its traffic.
"""

from __future__ import annotations

import os

import numpy as np

from panotui.model import I64, U8, U16, U32, U64, Bool, PacketBatch
from panotui.model.arrays import distinct
from panotui.wire.columns import Columns
from panotui.wire.gather import gather
from panotui.wire.protocols import TCP, UDP

_MIX = np.frombuffer(os.urandom(8), np.uint64)[0] | np.uint64(1)
_COMPARED = 64  # bytes from the transport header on that must be equal
_DISORDER = 16  # windows by which packets may be out of order at the border between batches
_KEPT = 8192  # most rows of earlier batches that are remembered
_SYN, _ACK = 0x02, 0x10

# A capture doubles if at least this many packets, and this share of all, were seen twice. If none
# of them is certain, more are required.
_CERTAIN, _CERTAIN_SHARE = 20, 0.2
_DOUBTFUL, _DOUBTFUL_SHARE = 5, 0.3
_REMEMBERED = 1 << 18  # packets after which older evidence counts half

_CONTENTS = 4096  # slots for packets that were already seen twice
_LAST = 512  # packets of a batch whose senders are remembered
_WAITING, _WAITING_BATCHES = 16_384, 256  # packets, and batches, whose senders wait
_SOURCES = 4096  # slots for the newest identification of a sender; colliding senders share one


class CopyFinder:
    """Finds copies within `window_ns`, across batches; bounded memory."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._digest: U64 = np.empty(0, np.uint64)
        self._time: I64 = np.empty(0, np.int64)
        self._frame: U64 = np.empty(0, np.uint64)
        self._content: U8 = np.empty((0, _COMPARED), np.uint8)
        self._size: I64 = np.empty((0, 2), np.int64)
        self._twin: Bool = np.empty(0, np.bool_)  # equal to an earlier row
        self._senders = _Senders(window_ns)
        self._seen = 0
        self._doubled = 0  # contents that were seen twice, each counted once
        self._contents = np.zeros(_CONTENTS, np.uint64)
        self._certain = 0
        self._disorder = False  # packets were out of order

    def find(self, batch: PacketBatch, c: Columns) -> Bool | None:
        """Mask (n,) of rows that are copies, or None if there are none."""
        n = len(batch)
        if c.digest is None or self.window_ns <= 0 or n == 0:
            return None
        kept = len(self._digest)
        digest = np.concatenate([self._digest, c.digest]) if kept else c.digest
        time_ns = np.concatenate([self._time, batch.time_ns]) if kept else batch.time_ns
        order = np.argsort(digest.astype(np.uint16), kind="stable")
        ordered = digest.take(order)
        pairs = np.empty((2, 0), np.int64)
        for lag in (1, 2):  # 2: a different packet with the same 16 bits may be in between
            same = np.flatnonzero(ordered[lag:] == ordered[:-lag])
            if len(same):
                pairs = np.concatenate([pairs, [order[same], order[same + lag]]], axis=1)
        if pairs.shape[1]:
            gap = time_ns[pairs[1]] - time_ns[pairs[0]]
            pairs = pairs[:, (np.abs(gap) <= self.window_ns) & (pairs[1] >= kept)]
        twin = np.zeros(n, np.bool_)
        later, certain, fresh = self._judge(batch, c, pairs, kept, twin)
        chosen = self._believed(n, later, certain, fresh)
        mask = None
        if len(chosen):
            mask = np.zeros(n, np.bool_)
            mask[chosen] = True
        self._remember(batch, c, digest, time_ns, twin)
        return mask

    def _judge(
        self, batch: PacketBatch, c: Columns, pairs: I64, kept: int, twin: Bool
    ) -> tuple[I64, Bool, Bool]:
        """For `pairs` (2, m) of earlier and later rows: the later rows that are equal to the
        earlier, in order; which are certainly copies; which were not seen twice before. Marks
        `twin` rows.
        """
        nothing = np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.bool_)
        if not pairs.shape[1]:
            return nothing
        pairs = pairs[:, np.argsort(pairs[1], kind="stable")]
        later = pairs[1] - kept
        earlier = pairs[0] - kept
        here = earlier >= 0
        said = np.empty(len(later), np.uint64)
        said[here] = _digest_of(*_contents(batch, c, earlier[here]))
        before_here = pairs[0][~here]
        said[~here] = _digest_of(self._content[before_here], self._size[before_here])
        equal = said == _digest_of(*_contents(batch, c, later))
        later, earlier, here = later[equal], earlier[equal], here[equal]
        if not len(later):
            return nothing
        frame = _frame_words(batch, c, later)
        before = np.empty(len(later), np.uint64)
        before[here] = _frame_words(batch, c, earlier[here])
        before[~here] = self._frame[pairs[0][equal][~here]]
        certain = frame != before
        certain |= _never_repeated(batch, c, later)
        open_ = np.flatnonzero(~certain)
        if len(open_):
            certain[open_] = self._senders.identified(batch, c, later[open_])
        if self._certain or certain.any():
            since = -1 if self._certain else later[certain].min()
            certain |= _syn(c, later, answered=True) & (later > since)
        twin[later] = True
        # of packets repeated many times in a row only the first repetition counts as doubled
        again = np.empty(len(later), np.bool_)
        again[here] = twin[earlier[here]]
        again[~here] = self._twin[pairs[0][equal][~here]]
        assert c.digest is not None
        fresh = np.zeros(len(later), np.bool_)
        first = np.flatnonzero(~again)
        fresh[first] = self._new_contents(c.digest[later[first]])
        return later, certain, fresh

    def _new_contents(self, digest: U64) -> Bool:
        """Mask (m,) of the doubled packets, in order, that differ from the last one in their
        slot.
        """
        place = (digest % np.uint64(_CONTENTS)).astype(np.int64)
        order = np.argsort(place, kind="stable")
        place, digest = place[order], digest[order]
        opens = np.append(True, place[1:] != place[:-1])[: len(place)]
        before = np.where(opens, self._contents[place], np.append(digest[:1], digest[:-1]))
        out = np.empty(len(order), np.bool_)
        out[order] = digest != before
        self._contents[place] = digest  # the last write stays
        return out

    def _believed(self, n: int, later: I64, certain: Bool, fresh: Bool) -> I64:
        """Rows of the next n that are copies; counts row by row how much the capture doubles."""
        chosen: list[I64] = []
        start = 0
        while start < n:
            stop = min(n, start + _REMEMBERED - self._seen)
            part = slice(*np.searchsorted(later, (start, stop)).tolist())
            rows = later[part]
            if len(rows):
                seen = self._seen + rows - start + 1
                sure = self._certain + np.cumsum(certain[part])
                doubled = self._doubled + np.cumsum(fresh[part])
                doubling = (sure > _CERTAIN) & (sure > _CERTAIN_SHARE * seen)
                doubling |= (doubled > _DOUBTFUL) & (doubled > _DOUBTFUL_SHARE * seen)
                self._certain, self._doubled = int(sure[-1]), int(doubled[-1])
                chosen.append(rows[certain[part] | doubling])
            self._seen += stop - start
            if self._seen >= _REMEMBERED:
                self._seen //= 2
                self._doubled //= 2
                self._certain //= 2
            start = stop
        return np.concatenate(chosen) if chosen else np.empty(0, np.int64)

    def _remember(
        self, batch: PacketBatch, c: Columns, digest: U64, time_ns: I64, twin: Bool
    ) -> None:
        tail = max(0, len(digest) - _KEPT)
        newest = int(time_ns[-1])
        self._disorder = self._disorder or bool((time_ns[1:] < time_ns[:-1]).any())
        reach = self.window_ns * (_DISORDER if self._disorder else 1)
        near = np.abs(newest - time_ns[tail:]) <= reach
        keep = np.flatnonzero(near) + tail
        kept = len(digest) - len(batch)
        frame = np.empty(len(keep), np.uint64)
        twins = np.empty(len(keep), np.bool_)
        old = keep < kept
        frame[old], twins[old] = self._frame[keep[old]], self._twin[keep[old]]
        frame[~old] = _frame_words(batch, c, keep[~old] - kept)
        content, size = _contents(batch, c, keep[~old] - kept)
        self._content = np.concatenate([self._content[keep[old]], content])
        self._size = np.concatenate([self._size[keep[old]], size])
        twins[~old] = twin[keep[~old] - kept]
        self._digest, self._time = digest[keep], time_ns[keep]
        self._frame, self._twin = frame, twins
        self._senders.remember(batch, c)


class _Senders:
    """Which IPv4 senders change the identification from packet to packet.

    Neighbours in a batch are compared, and across batches the sender's last packet. For a sender's
    very first packet, the split into batches decides whether there is a packet to compare it with.
    """

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._source = np.zeros(_SOURCES, np.uint32)
        self._identification = np.zeros(_SOURCES, np.uint16)
        self._digest = np.zeros(_SOURCES, np.uint64)
        # for the packet before that one: whether it exists, and has the same identification
        self._told = np.zeros(_SOURCES, np.bool_)
        self._constant = np.zeros(_SOURCES, np.bool_)
        self._since = np.zeros(_SOURCES, np.int64)  # when the newest was seen first
        # source, identification, digest and time of packets not in the table yet
        self._waiting: list[tuple[U32, U16, U64, I64]] = []
        self._waiting_rows = 0

    def identified(self, batch: PacketBatch, c: Columns, rows: I64) -> Bool:
        """Mask (m,) of `rows` whose IP identification distinguishes copies from repetitions."""
        assert c.digest is not None
        self._settle()
        out: Bool = c.fragment[rows] == 2  # of one datagram, at one offset
        mine = _identification(batch, c, rows)
        whole = np.flatnonzero((c.version[rows] == 4) & (mine != 0) & (c.fragment[rows] != 2))
        if not len(whole):
            return out
        # the packets of these senders, by sender and arrival; runs of equal ones count as one
        all_rows = np.flatnonzero(np.isin(c.src4, distinct(c.src4[rows[whole]])))
        all_rows = all_rows[(c.version[all_rows] == 4) & (c.fragment[all_rows] != 2)]
        all_rows = all_rows[np.argsort(c.src4[all_rows], kind="stable")]
        source, digest = c.src4[all_rows], c.digest[all_rows]
        number = _identification(batch, c, all_rows)
        edge = np.append(True, (source[1:] != source[:-1]) | (digest[1:] != digest[:-1]))
        first = np.flatnonzero(edge)
        run = np.cumsum(edge) - 1
        of_run, by_run = source[first], number[first]
        alike = (of_run[1:] == of_run[:-1]) & (by_run[1:] == by_run[:-1])
        constant = np.append(False, alike) | np.append(alike, False)
        other = of_run[1:] == of_run[:-1]
        told = np.append(False, other) | np.append(other, False)  # there is a neighbour
        time_ns = batch.time_ns[all_rows]
        since, until = time_ns[first], time_ns[np.append(first[1:], len(all_rows)) - 1]
        # a sender's first run here has its neighbour in an older batch
        place = of_run % np.uint32(_SOURCES)
        known = np.append(True, ~other) & (self._source[place] == of_run)
        same = self._digest[place] == digest[first]
        before = np.where(same, self._constant[place], self._identification[place] == by_run)
        constant |= known & before
        told |= known & (~same | self._told[place])
        since = np.where(known & same, self._since[place], since)
        # for a sender with no other packets: a mirror does not keep copying one packet
        identified = np.where(told, ~constant, np.abs(until - since) <= self.window_ns)
        run_of_row = np.zeros(len(batch), np.int64)
        run_of_row[all_rows] = run
        out[whole] = identified[run_of_row[rows[whole]]]
        return out

    def remember(self, batch: PacketBatch, c: Columns) -> None:
        """Store the newest identification of the senders of the batch's last packets.

        It is rarely needed, so the packets wait until then.
        """
        assert c.digest is not None
        tail = slice(max(0, len(batch) - _LAST), len(batch))
        head = gather(batch.data, np.maximum(c.l3[tail], 0) + 4, 2)
        number = head.view(">u2").astype(np.uint16)
        usable = (c.version[tail] == 4) & (c.fragment[tail] != 2) & (number != 0)
        some = np.flatnonzero(usable)
        if not len(some):
            return
        self._waiting.append(
            (
                c.src4[tail].take(some), number.take(some), c.digest[tail].take(some),
                batch.time_ns[tail].take(some),
            )
        )  # fmt: skip
        self._waiting_rows += len(some)
        if self._waiting_rows > _WAITING or len(self._waiting) > _WAITING_BATCHES:
            self._settle()

    def _settle(self) -> None:
        """Move the waiting packets into the table."""
        if not self._waiting:
            return
        columns = zip(*self._waiting, strict=True)
        source, number, digest, time_ns = (np.concatenate(column) for column in columns)
        self._waiting, self._waiting_rows = [], 0
        # by sender and arrival; the first of equal ones in a row
        order = np.argsort(source, kind="stable")
        source, digest = source[order], digest[order]
        edge = np.append(True, (source[1:] != source[:-1]) | (digest[1:] != digest[:-1]))
        first = np.flatnonzero(edge)
        source, digest, order = source[first], digest[first], order[first]
        number, time_ns = number[order], time_ns[order]
        place = source % np.uint32(_SOURCES)
        opening = np.append(True, source[1:] != source[:-1])
        known = self._source[place] == source
        same = opening & known & (self._digest[place] == digest)
        told = ~opening | known
        before = np.where(opening, self._identification[place], np.append(number[:1], number[:-1]))
        constant = told & (before == number)
        # if the first one equals the remembered one, that stays
        told[same], constant[same] = self._told[place[same]], self._constant[place[same]]
        time_ns = np.where(same, self._since[place], time_ns)
        newest = np.append(opening[1:], True)
        place = place[newest]
        self._source[place], self._digest[place] = source[newest], digest[newest]
        self._identification[place] = number[newest]
        self._told[place], self._constant[place] = told[newest], constant[newest]
        self._since[place] = time_ns[newest]


def _identification(batch: PacketBatch, c: Columns, rows: I64) -> U16:
    """(m,) the IPv4 identification of IPv4 rows."""
    head: U8 = gather(batch.data, np.maximum(c.l3[rows], 0) + 4, 2).view(np.uint8).reshape(-1, 2)
    number: U16 = (head[:, 0].astype(np.uint16) << np.uint16(8)) | head[:, 1]
    return number


def _contents(batch: PacketBatch, c: Columns, rows: I64) -> tuple[U8, I64]:
    """The part that copies of a packet have in common: (m, _COMPARED) bytes, and (m, 2) their
    number and the payload bytes on the wire.
    """
    start = np.where(c.l4[rows] >= 0, c.l4[rows], c.l3[rows])
    # the fields before it are changed by a hop
    start += np.where((c.l4[rows] < 0) & (c.version[rows] == 4), 12, 0)
    start += np.where((c.l4[rows] < 0) & (c.version[rows] == 6), 8, 0)
    end = batch.offset[rows] + batch.captured[rows]
    inside = np.where(c.version[rows] > 0, c.payload[rows] + c.payload_captured[rows], end)
    end = np.where(c.payload[rows] >= 0, np.minimum(end, inside), end)
    block = gather(batch.data, start, _COMPARED).view(np.uint8).reshape(-1, _COMPARED)
    return block, np.stack([end - start, c.payload_length[rows].astype(np.int64)], axis=1)


def content_digest(batch: PacketBatch, c: Columns, rows: I64) -> U64:
    """(m,) one number for the content of each of `rows`, up to 64 bytes, and its length."""
    return _digest_of(*_contents(batch, c, rows))


def _digest_of(content: U8, size: I64) -> U64:
    """(m,) one number for `_contents`."""
    block = np.where(np.arange(_COMPARED) < size[:, :1], content, 0).astype(np.uint8)
    out = size[:, 1].astype(np.uint64)
    for word in block.view(np.uint64).T:
        out = (out ^ word) * _MIX
        out ^= out >> np.uint64(29)
    return out


def _never_repeated(batch: PacketBatch, c: Columns, rows: I64) -> Bool:
    """(m,) rows that no sender repeats within milliseconds."""
    certain = _syn(c, rows, answered=False)
    udp = (c.protocol[rows] == UDP) & (c.payload_captured[rows] >= 12)
    first = batch.data[np.where(udp, c.payload[rows], 0)]
    second = batch.data[np.where(udp, c.payload[rows] + 1, 0)]
    # RTP carries a sequence number; RTCP (types 192 to 223) does not
    certain |= udp & (first >> 6 == 2) & ((second < 192) | (second > 223))
    return certain


def _syn(c: Columns, rows: I64, *, answered: bool) -> Bool:
    """(m,) SYN segments of servers (`answered`) or of clients."""
    wanted = _SYN | _ACK if answered else _SYN
    found: Bool = (c.protocol[rows] == TCP) & (c.tcp_flags[rows] & (_SYN | _ACK) == wanted)
    return found


def _frame_words(batch: PacketBatch, c: Columns, rows: I64) -> U64:
    """The fields that a hop changes, as one number per row: MACs, tag, TTL, interface."""
    word = c.src_mac[rows] * np.uint64(0x9E3779B97F4A7C15) + c.dst_mac[rows]
    word *= np.uint64(0xC2B2AE3D27D4EB4F)
    word += c.vlan[rows].astype(np.uint64) << np.uint64(24)
    word += c.ttl[rows].astype(np.uint64) << np.uint64(16)
    word += batch.interface[rows].astype(np.uint64)
    return word
