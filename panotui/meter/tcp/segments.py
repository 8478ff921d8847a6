"""The TCP segments of a batch, by flow and in order of arrival, for `meter.tcp`.

In: a batch's columns and its rows grouped by flow. Out: `Segments`, with the header fields of each
and the segments before it in its own and in the other direction.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.meter.flows.grouping import Groups, group_sums, runs
from panotui.meter.flows.state import FIN, RST, SYN
from panotui.model import I64, U8, U32, Bool, PacketBatch
from panotui.model.arrays import lasts, nonzero
from panotui.wire.columns import Columns
from panotui.wire.protocols import TCP


class Segments(Struct):
    """TCP rows of a batch ordered by (slot, arrival), m rows in g groups."""

    rows: I64
    slots: I64  # (g,)
    group: I64  # (m,)
    slot: I64  # (m,)
    side: I64  # (m,) half of the sender
    key: I64  # (m,) slot * 2 + side: the sender's position in a flat column per half
    seq: U32
    ack: U32
    window: I64
    flags: U8
    length: I64
    end: U32  # sequence number behind the segment, including a SYN or FIN
    time: I64
    first: I64  # (g,)
    start: I64  # (m,) position of the group's first row
    own: I64  # (m,) previous row of the same direction, -1 none in this batch
    peer: I64  # (m,) previous row of the other direction, -1 none
    way_group: I64  # (d,) group of each direction that occurs
    way_half: I64  # (d,)
    newest: I64  # (d,) last row of the direction

    @property
    def last(self) -> I64:
        """(g,) last row of each group."""
        return lasts(self.first, len(self.rows))

    def way_key(self) -> I64:
        """(d,) slot * 2 + half of each direction."""
        return self.slots.take(self.way_group) * 2 + self.way_half

    def newest_of(self, rows: Bool, half: int) -> tuple[I64, I64]:
        """Groups with any of `rows` (a mask) in a half, and the last such row of each."""
        mine = rows & (self.side == half)
        hits = nonzero(mine)
        if not len(hits):
            return hits, hits
        rank = np.cumsum(mine).take(self.last) - 1
        newest = hits.take(np.maximum(rank, 0))
        groups = nonzero((rank >= 0) & (newest >= self.first))
        return groups, newest.take(groups)

    def marked(self, rows: Bool) -> Bool:
        """(g,) groups with any of `rows` (a mask)."""
        out: Bool = np.zeros(len(self.first), np.bool_)
        out[self.group.take(nonzero(rows))] = True
        return out

    def refusals(self) -> Bool:
        """(m,) resets without a number, which answer a SYN and say nothing about the sender's."""
        told: Bool = ((self.flags & RST) != 0) & (self.seq == 0)
        return told

    def take(self, keep: Bool) -> Segments:
        """The rows of the groups in `keep` (a mask over groups)."""
        chosen = nonzero(keep)
        rows = nonzero(keep.take(self.group))
        size = np.diff(self.first, append=len(self.rows)).take(chosen)
        first = np.cumsum(size) - size
        group = np.repeat(np.arange(len(chosen)), size)
        start = first.take(group)
        moved = start - self.start.take(rows)
        own, peer = self.own.take(rows), self.peer.take(rows)
        renamed = np.cumsum(keep) - 1
        ways = nonzero(keep.take(self.way_group))
        way_group = renamed.take(self.way_group.take(ways))
        newest = self.newest.take(ways)
        newest += first.take(way_group) - self.start.take(newest)
        return Segments(
            rows=self.rows.take(rows),
            slots=self.slots.take(chosen),
            group=group,
            slot=self.slot.take(rows),
            side=self.side.take(rows),
            key=self.key.take(rows),
            seq=self.seq.take(rows),
            ack=self.ack.take(rows),
            window=self.window.take(rows),
            flags=self.flags.take(rows),
            length=self.length.take(rows),
            end=self.end.take(rows),
            time=self.time.take(rows),
            first=first,
            start=start,
            own=np.where(own >= 0, own + moved, -1),
            peer=np.where(peer >= 0, peer + moved, -1),
            way_group=way_group,
            way_half=self.way_half.take(ways),
            newest=newest,
        )


def signed(numbers: U32) -> I64:
    """Differences of sequence numbers as signed numbers (RFC 1982)."""
    return numbers.view(np.int32).astype(np.int64)


def collect(batch: PacketBatch, c: Columns, groups: Groups) -> Segments | None:
    """The TCP rows of the groups with their headers; None without any."""
    rows = groups.rows
    if not len(rows):
        return None
    # decided in the batch's own order, which is better for the cache, then sorted in one gather
    fit = (c.protocol == TCP) & (c.l4 >= 0) & (c.fragment == 0)
    fit &= c.l4 + 16 <= batch.offset + batch.captured
    usable = fit.take(rows)
    if usable.all():
        chosen, slots, first = rows, groups.slot, groups.first
        size = groups.size
    else:
        chosen = rows.compress(usable)
        if not len(chosen):
            return None
        size = group_sums(usable, groups.last)
        some = nonzero(size)
        size, slots = size.take(some), groups.slot.take(some)
        first = np.cumsum(size) - size
    group = np.repeat(np.arange(len(slots)), size)
    slot = slots.take(group)
    back = (~c.forward).take(chosen)
    ways = runs(back, first)
    own, peer = ways.neighbours()
    side = back.astype(np.int64)
    numbers = c.transport[0].take(chosen)
    seq = (numbers >> np.uint64(32)).astype(np.uint32)
    flags = c.tcp_flags.take(chosen)
    length = c.payload_length.take(chosen)
    return Segments(
        rows=chosen,
        slots=slots,
        group=group,
        slot=slot,
        side=side,
        key=slot * 2 + side,
        seq=seq,
        ack=numbers.astype(np.uint32),
        window=((c.transport[1].take(chosen) >> np.uint64(32)) & np.uint64(0xFFFF)).view(np.int64),
        flags=flags,
        length=length.astype(np.int64),
        end=seq + length.view(np.uint32) + ((flags & (SYN | FIN)) != 0),
        time=batch.time_ns.take(chosen),
        first=first,
        start=first.take(group),
        own=own,
        peer=peer,
        way_group=ways.group,
        way_half=ways.half,
        newest=ways.newest,
    )
