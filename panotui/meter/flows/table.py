"""The flow table: five-tuples in, one slot a flow, counters a direction, rows out.

Comes in: the columns of a batch. `assign` gives every row its slot (opening flows, evicting others
when the table is full); `group` sorts the rows by slot, once for all who need them grouped; `split`
starts new flows where a five-tuple is used again; `count` adds packets, bytes and times. Goes out:
`rows`, the fields of FLOW_DTYPE, client first.

State is a column a field: per slot, or per slot and direction ("half"). Half 0 is the direction
whose source is the lower end of the canonical five-tuple, half 1 the other; `client` tells which
half goes from client to server.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panotui.meter.flows.grouping import Groups, Runs, group, group_sums, groups_of, runs
from panotui.meter.flows.hashindex import HashIndex
from panotui.meter.flows.tunnels import tunnel_apps
from panotui.model import (
    I32,
    I64,
    SECOND,
    U8,
    U64,
    Bool,
    MeterSettings,
    PacketBatch,
)
from panotui.model.flow_rows import FlowRows
from panotui.model.untouched import untouched
from panotui.wire.columns import TUNNEL, Columns
from panotui.wire.gather import gather

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
TCP, UDP = 6, 17

END_IDLE, END_CLOSED, END_RESET, END_EVICTED, END_REUSED, END_ACTIVE = range(1, 7)
BY_FIRST, BY_PORT, BY_SYN = range(3)

# Ports that servers listen on: the end that has one, when the other has none, is the server.
_KNOWN_PORT: Bool = np.zeros(65_536, np.bool_)
_KNOWN_PORT[1:1024] = True
_KNOWN_PORT[
    [
        1194, 1433, 1521, 1701, 1723, 1812, 1813, 1883, 1900, 2049, 2375, 2376, 2404, 3000, 3128,
        3260, 3306, 3389, 3478, 3702, 4460, 4500, 4789, 4840, 5000, 5004, 5005, 5060, 5061, 5353,
        5355, 5432, 5554, 5672, 5683, 5684, 5900, 5985, 5986, 6081, 6379, 6443, 7070, 8000, 8008,
        8080, 8081, 8086, 8123, 8333, 8443, 8472, 8554, 8883, 8888, 9000, 9090, 9092, 9100, 9200,
        9443, 10554, 11211, 15672, 19302, 20000, 27017, 37777, 44818, 47808, 50051,
    ]
] = True  # fmt: skip

# Names of the per-half TCP counters that `meter.tcp` and this table share: rows of `tcp_counts`.
TCP_COUNTS = (
    "syn",
    "fin",
    "rst",
    "data_segments",
    "retransmits",
    "fast_retransmits",
    "spurious",
    "out_of_order",
    "lost_segments",
    "dup_acks",
    "zero_window",
    "window_full",
    "window_update",
    "keep_alive",
    "acked_unseen",
)
COUNT = {name: i for i, name in enumerate(TCP_COUNTS)}

# Columns that most flows never write. Memory that was never written costs nothing, so they are
# blanked only where there is something to blank: in a flood they stay as empty as they began.
_SELDOM = (
    "isn", "synack_ns", "handshake_ack_ns", "rst_ns", "rst_packet", "rst_ttl", "unseen", "mss",
    "max_segment", "holes", "last_ack", "dup_ack_run", "last_kind", "rtt_seq", "rtt_ns",
    "rtt_least",
)  # fmt: skip
# Columns that `_open` writes in any case.
_OPENED = (
    "id", "hash", "version", "protocol", "client", "client_by", "vlan", "first_ns", "last_ns",
    "first_packet", "address", "port",
)  # fmt: skip

_HISTORY = 16
_ROWS_AT_ONCE = 2048


class TableTooSmall(Exception):
    """The batch holds more flows than the table can hold at once: halve the batch."""


class FlowTable:
    """Bounded table of live flows; see the module's paragraph."""

    def __init__(self, settings: MeterSettings) -> None:
        cap = max(16, settings.flows_max)
        self.settings = settings
        self.capacity = cap
        self._index = HashIndex(cap)
        self._free = np.arange(cap - 1, -1, -1, dtype=np.int32)  # a stack
        self._free_count = cap
        self._next_id = 1
        self.evicted = 0
        self.expired = 0
        self.unreported = 0  # evicted between two ticks without ever being told of
        self.one_way_ended = 0
        self.two_way_ended = 0
        self._evicted_before = 0  # of `evicted`, at the last drain
        self.last_drain = False  # the input has ended: nothing is held back any more
        self._ended: deque[FlowRows] = deque()
        self._ended_rows = 0

        self.id = untouched(cap, np.uint64)  # 0: the slot is free
        self.hash = untouched(cap, np.uint64)
        self.version = untouched(cap, np.uint8)
        self.protocol = untouched(cap, np.uint8)
        self.client = untouched(cap, np.uint8)  # the half that goes from client to server
        self.client_by = untouched(cap, np.uint8)
        self.app = untouched(cap, np.uint8)
        self.vlan = untouched(cap, np.int32)
        self.first_ns = untouched(cap, np.int64)
        self.last_ns = untouched(cap, np.int64)
        self.first_packet = untouched(cap, np.int64)
        self.last_packet = untouched(cap, np.int64)
        self.changed = untouched(cap, np.bool_)
        self.reported = untouched(cap, np.bool_)
        self.address = untouched((cap, 2, 16), np.uint8)  # source of each half
        self.port = untouched((cap, 2), np.uint16)
        # --- per half
        self.packets = untouched((cap, 2), np.int64)
        self.bytes = untouched((cap, 2), np.int64)
        self.payload = untouched((cap, 2), np.int64)
        self.half_last_ns = untouched((cap, 2), np.int64)
        self.interface = np.full((cap, 2), -1, np.int16)
        self.src_mac = untouched((cap, 2), np.uint64)
        self.dst_mac = untouched((cap, 2), np.uint64)
        self.ttl = untouched((cap, 2), np.uint8)
        self.lane = untouched((cap, 2), np.uint8)
        self.offered = untouched((cap, 2), np.uint8)
        self.first_payload_ns = untouched((cap, 2), np.int64)
        # --- TCP
        self.isn = untouched((cap, 2), np.uint32)
        self.isn_known = untouched((cap, 2), np.bool_)
        counts = untouched((len(TCP_COUNTS), cap, 2), np.int32)
        self._counts: list[I32] = list(counts)
        # (cap, 2, counters); each counter lies together, because most flows need few of them
        self.tcp_counts: I32 = counts.transpose(1, 2, 0)
        self.syn_ns = untouched(cap, np.int64)
        self.syn_last_ns = untouched(cap, np.int64)
        self.synack_ns = untouched(cap, np.int64)
        self.handshake_ack_ns = untouched(cap, np.int64)
        self.rst_ns = untouched(cap, np.int64)
        self.rst_packet = untouched(cap, np.int64)
        self.rst_ttl = untouched(cap, np.uint8)
        self.unseen = untouched((cap, 2), np.int64)
        self.mss = untouched((cap, 2), np.uint16)
        self.max_segment = untouched((cap, 2), np.int32)
        self.window = untouched((cap, 2), np.uint32)  # of the last segment; above: 1 << 16 of a SYN
        self.window_shift = np.full((cap, 2), -1, np.int8)  # -1 unknown
        self.tcp_open = untouched((cap, 2), np.bool_)  # the half's sequence state is valid
        self.next_seq = untouched((cap, 2), np.uint32)
        self.next_seq_ns = untouched((cap, 2), np.int64)
        self.to_be_acked = untouched((cap, 2), np.uint32)
        self.holes = untouched(cap, np.bool_)  # `meter.tcp` follows bytes that were never captured
        self.last_ack = untouched((cap, 2), np.uint32)
        self.last_ack_ns = untouched((cap, 2), np.int64)
        self.dup_ack_run = untouched((cap, 2), np.int32)
        self.last_kind = untouched((cap, 2), np.uint8)  # of the last segment: keep-alive, probe
        self.rtt_seq = untouched((cap, 2), np.uint32)  # end of the half's newest segment
        self.rtt_ns = untouched((cap, 2), np.int64)  # when it was sent; 0: it is not timed
        self.rtt_least = untouched((cap, 2), np.int32)  # microseconds and one; 0 unknown
        self.history = untouched((cap, _HISTORY), np.uint8)
        self.history_length = untouched(cap, np.uint8)
        self.history_seen = untouched(cap, np.uint32)
        # every column that a new flow must find blank, with that blank
        self._blank: list[tuple[NDArray[np.generic], int]] = [
            (_flat(column), blank)
            for name, column in vars(self).items()
            if isinstance(column, np.ndarray) and column.shape[:1] == (cap,)
            if name not in ("_free", "tcp_counts", *_OPENED, *_SELDOM)
            for blank in (-1 if name in ("interface", "window_shift") else 0,)
        ]
        self._seldom: list[NDArray[np.generic]] = [
            _flat(column, 8)  # no wider integer could be asked whether it is zero
            for column in (*self._counts, *(getattr(self, name) for name in _SELDOM))
        ]

    def __len__(self) -> int:
        return self.capacity - self._free_count

    @property
    def live(self) -> I64:
        """Slots in use."""
        return np.flatnonzero(self.id)

    # -------------------------------------------------------------- rows to slots

    def assign(self, batch: PacketBatch, c: Columns, rows: I64) -> I32:
        """Slot of each of `rows` (int32, aligned with them); opens flows that are new.

        Raises `TableTooSmall`, before anything has changed, when the flows of these rows and the
        table's size do not fit together.
        """
        self._fresh_from = self._next_id
        hashes = c.hash[rows] if len(rows) != len(c.hash) else c.hash
        slots = self._index.find(hashes)
        absent = np.flatnonzero(slots < 0)
        if len(absent):
            distinct, first, inverse = np.unique(
                hashes[absent], return_index=True, return_inverse=True
            )
            if len(distinct) > self._free_count:
                held = np.unique(slots[slots >= 0])
                if len(held) + len(distinct) > self.capacity:
                    raise TableTooSmall
                self._evict(len(distinct) - self._free_count, held)
            order = np.argsort(first)  # ids rise in order of arrival
            new = np.empty(len(distinct), np.int32)
            new[order] = self._open(batch, c, rows[absent[first[order]]])
            self._index.insert(distinct, new)
            slots[absent] = new[inverse]
        return slots

    def _open(self, batch: PacketBatch, c: Columns, rows: I64) -> I32:
        """Take free slots for flows whose first packets are `rows` (in order of arrival)."""
        n = len(rows)
        self._free_count -= n
        slots = self._free[self._free_count : self._free_count + n].copy()
        for column, blank in self._blank:
            column[slots] = blank
        for column in self._seldom:
            if column.take(slots, axis=0).any():
                column[slots] = 0
        half = np.where(c.forward[rows], 0, 1)
        self.id[slots] = np.arange(self._next_id, self._next_id + n, dtype=np.uint64)
        self._next_id += n
        self.hash[slots] = c.hash[rows]
        self.version[slots] = c.version[rows]
        self.protocol[slots] = c.protocol[rows]
        self.vlan[slots] = c.vlan[rows]
        self.first_ns[slots] = batch.time_ns[rows]
        self.last_ns[slots] = batch.time_ns[rows]
        self.first_packet[slots] = self._numbers_of(batch, rows)
        self._open_ends(batch, c, rows, slots, half)
        sport, dport = c.sport[rows], c.dport[rows]
        ported = (c.protocol[rows] == TCP) | (c.protocol[rows] == UDP)
        from_server = ported & _KNOWN_PORT[sport] & ~_KNOWN_PORT[dport]
        to_server = ported & _KNOWN_PORT[dport] & ~_KNOWN_PORT[sport]
        self.client[slots] = np.where(from_server, 1 - half, half)
        self.client_by[slots] = np.where(from_server | to_server, BY_PORT, BY_FIRST)
        tunnel = np.flatnonzero(c.flags[rows] & TUNNEL)
        if len(tunnel):
            self.app[slots[tunnel]] = tunnel_apps(batch, c, rows[tunnel])
        return slots

    # numbers of the packets of a batch that do not follow each other
    numbers: I64 | None = None

    def _numbers_of(self, batch: PacketBatch, rows: I64) -> I64:
        return batch.first_number + rows if self.numbers is None else self.numbers[rows]

    def _open_ends(self, batch: PacketBatch, c: Columns, rows: I64, slots: I32, half: I64) -> None:
        four = c.version[rows] == 4
        at = np.where(four, c.l3[rows] + 12, c.l3[rows] + 8)
        block = gather(batch.data, at, 32).view(np.uint8).reshape(len(rows), 32)
        src = np.where(four[:, None], 0, block[:, :16])
        dst = np.where(four[:, None], 0, block[:, 16:])
        src[four, :4] = block[four, 0:4]
        dst[four, :4] = block[four, 4:8]
        self.address[slots, half] = src
        self.address[slots, 1 - half] = dst
        self.port[slots, half] = c.sport[rows]
        self.port[slots, 1 - half] = c.dport[rows]

    # -------------------------------------------------------------- grouping

    def group(self, rows: I64, slots: I32) -> Groups:
        """Rows ordered by (slot, arrival)."""
        return group(rows, slots, self.capacity)

    def split(self, batch: PacketBatch, c: Columns, rows: I64, slots: I32, groups: Groups) -> bool:
        """Start new flows where a five-tuple is used again; changes `slots`; true if it did.

        A flow ends where a pure SYN carries another initial sequence number than its direction had
        (as tshark starts a new stream), where it was silent for longer than its idle time-out, or
        where it is older than `active_s`: then it goes on under another id.
        """
        reused = self._reuses(batch, c, groups)
        idle = self._idle_gaps(batch, groups)
        aging = self.settings.active_s > 0
        if reused is None and idle is None and not aging:
            return False
        m = len(groups.rows)
        mark = np.zeros(m, np.uint8)
        if idle is not None:
            mark[idle] = END_IDLE
        if reused is not None:
            mark[reused] = END_REUSED
        if aging:
            self._mark_aged(batch, groups, mark)
        places = np.flatnonzero(mark)
        if not len(places):
            return False
        if len(places) > self._free_count:
            held = groups.slot
            if len(held) + len(places) > self.capacity:
                raise TableTooSmall
            self._evict(len(places) - self._free_count, held)
        group_of = groups_of(places, groups.first)
        old = groups.slot[group_of]
        end_of_group = groups.first[group_of] + groups.size[group_of]
        # each mark's flow lives until the next mark of its group, or the end of the group
        next_place = np.append(places[1:], m)
        stop = np.minimum(next_place, end_of_group)
        # a slot whose very first row here is a mark ends now; otherwise its rows before the mark
        # are counted first, by `count`, so the old slot keeps them and is closed afterwards
        arrival = np.argsort(groups.rows[places], kind="stable")
        new = np.empty(len(places), np.int32)
        new[arrival] = self._open(batch, c, groups.rows[places[arrival]])
        self._number_fresh()
        owner = np.repeat(new, stop - places)
        width = stop - places
        within = np.arange(len(owner)) - np.repeat(np.cumsum(width) - width, width)
        moved = groups.rows[np.repeat(places, width) + within]
        position = np.searchsorted(rows, moved)
        slots[position] = owner
        # the index knows the newest; all older ones wait in `_closing` until they are counted
        last = np.append(group_of[1:] != group_of[:-1], True)
        self._index.replace(self.hash[new[last]], new[last])
        previous = np.where(
            np.append(False, group_of[1:] == group_of[:-1]), np.append(-1, new[:-1]), old
        )
        self._closing = (previous.astype(np.int64), mark[places], new.astype(np.int64), group_of)
        return True

    _fresh_from = 1  # the first id that `assign` gave, or would have given

    def _number_fresh(self) -> None:
        """Let ids rise with first packets also where flows were split off those of `assign`."""
        fresh = np.flatnonzero(self.id >= self._fresh_from)
        order = np.argsort(self.first_packet[fresh])
        self.id[fresh[order]] = np.arange(self._fresh_from, self._next_id, dtype=np.uint64)

    # slots that end, why, the slots that follow them, and the groups of these
    _closing: tuple[I64, U8, I64, I64] | None = None

    def hand_on(self) -> None:
        """Let flows that go on under another id know what they were, once that is counted."""
        if self._closing is None:
            return
        slots, ends, following, owner = self._closing
        aged = np.flatnonzero(ends == END_ACTIVE)
        if len(aged):
            # several pieces in one batch, oldest first
            piece = aged - np.searchsorted(owner, owner[aged])
            for number in np.unique(piece).tolist():
                some = aged[piece == number]
                self._inherit(slots[some], following[some])

    def finish_splits(self) -> None:
        """Close the flows that `split` ended, after all that their last rows told was noted."""
        if self._closing is not None:
            slots, ends, _, _ = self._closing
            self._closing = None
            self._close(slots, ends, indexed=False)

    def _inherit(self, old: I64, new: I64) -> None:
        """Give flows that go on under another id what their first packets told."""
        flip = self.client_by[new] == BY_SYN  # a piece may see the SYN sent again
        old, new = old[~flip], new[~flip]
        kept: list[NDArray[Any]] = [
            self.client, self.client_by, self.app, self.lane, self.offered, self.isn,
            self.isn_known, self.mss,
        ]  # fmt: skip
        for column in kept:
            column[new] = column[old]

    def _mark_aged(self, batch: PacketBatch, groups: Groups, mark: U8) -> None:
        """Mark (m,) the first packet of each flow that comes later than `active_s` after its
        first one; what is marked already begins another flow."""
        active_ns = int(self.settings.active_s * SECOND)
        time_ns = batch.time_ns[groups.rows]
        opens = np.zeros(len(mark), np.bool_)
        opens[groups.first] = True
        began = time_ns.copy()
        began[groups.first] = np.where(
            self.packets[groups.slot].any(axis=1), self.first_ns[groups.slot], time_ns[groups.first]
        )
        while True:  # once for each piece that one flow falls into
            began[mark > 0] = time_ns[mark > 0]
            first = np.flatnonzero(opens | (mark > 0))
            size = np.diff(first, append=len(mark))
            late = np.flatnonzero(time_ns - np.repeat(began[first], size) > active_ns)
            if not len(late):
                return
            _, oldest = np.unique(np.searchsorted(first, late, side="right"), return_index=True)
            mark[late[oldest]] = END_ACTIVE

    def _reuses(self, batch: PacketBatch, c: Columns, groups: Groups) -> I64 | None:
        """Positions in `groups.rows` of pure SYNs that open another connection."""
        flags = c.tcp_flags[groups.rows]
        syn = np.flatnonzero(flags & SYN)
        if not len(syn):
            return None
        rows = groups.rows[syn]
        group_of = groups_of(syn, groups.first)
        slot = groups.slot[group_of]
        half = np.where(c.forward[rows], 0, 1)
        block = gather(batch.data, c.l4[rows] + 4, 4)
        seq = block.view(">u4").astype(np.uint32)
        pure = flags[syn] & ACK == 0
        # what the same half said before: in this batch, or in the table
        order = np.lexsort((syn, group_of * 2 + half))
        key = (group_of * 2 + half)[order]
        same = np.append(False, key[1:] == key[:-1])
        before = np.append(np.uint32(0), seq[order][:-1])
        known = np.empty(len(syn), np.bool_)
        reference = np.empty(len(syn), np.uint32)
        known[order] = same | self.isn_known[slot, half][order]
        reference[order] = np.where(same, before, self.isn[slot, half][order])
        # a half that spoke before without a SYN was caught in mid-stream: any SYN is news
        spoke = self.packets[slot, half] > 0
        # ... or earlier in this batch
        inside = np.flatnonzero(pure & ~known & ~spoke & (syn > groups.first[group_of]))
        if len(inside):
            back = np.cumsum(~c.forward[groups.rows])  # packets of half 1 up to and with each row
            first, last = groups.first[group_of[inside]], syn[inside] - 1
            of_back = back[last] - back[first] + ~c.forward[groups.rows[first]]
            of_front = last - first + 1 - of_back
            spoke[inside] = np.where(half[inside] == 1, of_back, of_front) > 0
        spoke &= ~known
        opening = syn == groups.first[group_of]
        heard = ~opening | (self.packets[slot, 1 - half] > 0)
        silent = np.flatnonzero(pure & ~known & ~spoke & heard)
        answered = self._answered(
            batch, c, groups, syn[silent], slot[silent], half[silent], opening[silent]
        )
        spoke[silent] = (answered > 0) & (answered != seq[silent] + np.int64(1))
        again = pure & ((known & (reference != seq)) | spoke)
        hit = syn[again]
        return hit if len(hit) else None

    def _answered(
        self, batch: PacketBatch, c: Columns, groups: Groups, place: I64, slot: I64, half: I64,
        opening: Bool,
    ) -> I64:  # fmt: skip
        """(n,) what was acknowledged last to halves that have said nothing yet; 0 nothing.

        `place` are positions in `groups.rows`; at `opening` ones only the table knows.
        """
        told = np.where(self.tcp_open[slot, 1 - half], self.last_ack[slot, 1 - half], 0)
        out: I64 = told.astype(np.int64)
        inside = np.flatnonzero(~opening)
        before = groups.rows[place[inside] - 1]  # of the other half, which alone has spoken
        ack = gather(batch.data, np.maximum(c.l4[before], 0) + 8, 4).view(">u4")
        out[inside] = np.where(c.tcp_flags[before] & ACK, ack, 0)
        return out

    def _idle_gaps(self, batch: PacketBatch, groups: Groups) -> I64 | None:
        """Positions in `groups.rows` of packets that come after the flow's time was over."""
        settings = self.settings
        time_ns = batch.time_ns[groups.rows]
        shortest = int(
            min(settings.idle_tcp_s, settings.idle_udp_s, settings.idle_other_s) * SECOND
        )
        shortest_closed = int(min(settings.idle_tcp_closed_s * SECOND, shortest))
        first_time = time_ns[groups.first]
        quiet = first_time - self.last_ns[groups.slot]
        positions: list[I64] = []
        stale = np.flatnonzero(quiet > shortest_closed)
        if len(stale):
            positions.append(groups.first[stale[quiet[stale] > self._limits(groups.slot[stale])]])
        if len(time_ns) and int(time_ns.max() - time_ns.min()) > shortest:
            gap = np.diff(time_ns, prepend=time_ns[:1])
            gap[groups.first] = 0
            long = np.flatnonzero(gap > shortest)
            of = groups_of(long, groups.first)
            positions.append(long[gap[long] > self._open_limits(groups.slot[of])])
        if not positions:
            return None
        hit = np.unique(np.concatenate(positions))
        return hit if len(hit) else None

    def _open_limits(self, slots: I64) -> I64:
        """Idle time-out by protocol, in nanoseconds."""
        s = self.settings
        protocol = self.protocol[slots]
        seconds = np.where(
            protocol == TCP, s.idle_tcp_s, np.where(protocol == UDP, s.idle_udp_s, s.idle_other_s)
        )
        return (seconds * SECOND).astype(np.int64)

    def _limits(self, slots: I64) -> I64:
        """Idle time-out of each slot as it stands: closed and half-open connections go sooner."""
        s = self.settings
        limit = self._open_limits(slots)
        tcp = np.flatnonzero(self.protocol[slots] == TCP)
        of = slots[tcp]
        half_open = (self.packets[of] == 0).any(axis=1)
        half_open &= self.tcp_counts[of, :, COUNT["syn"]].any(axis=1)
        seconds = np.where(
            self._is_closed(of),
            s.idle_tcp_closed_s,
            np.where(half_open, s.idle_tcp_half_open_s, s.idle_tcp_s),
        )
        limit[tcp] = np.minimum(limit[tcp], (seconds * SECOND).astype(np.int64))
        return limit

    # -------------------------------------------------------------- counting

    def count(self, batch: PacketBatch, c: Columns, groups: Groups) -> None:
        """Add the rows to their flows: packets, bytes, times, MACs, who is the client."""
        rows, slot, first, last = groups.rows, groups.slot, groups.first, groups.last
        if not len(rows):
            return
        back = (~c.forward).take(rows)
        payload = c.payload_length.take(rows)
        of_back = group_sums(back, last)
        _add_halves(self.packets, slot, groups.size, of_back)
        for column, values in ((self.bytes, batch.wire_length.take(rows)), (self.payload, payload)):
            of_back = group_sums(values * back, last)
            _add_halves(column, slot, group_sums(values, last), of_back)
        ordered = bool((batch.time_ns[1:] >= batch.time_ns[:-1]).all())
        time_ns = batch.time_ns.take(rows)
        latest = time_ns.take(last) if ordered else np.maximum.reduceat(time_ns, first)
        earliest = time_ns.take(first) if ordered else np.minimum.reduceat(time_ns, first)
        self.last_ns[slot] = np.maximum(self.last_ns.take(slot), latest)
        self.first_ns[slot] = np.minimum(self.first_ns.take(slot), earliest)
        newest = self._numbers_of(batch, rows.take(last))
        self.last_packet[slot] = np.maximum(self.last_packet.take(slot), newest)
        self.changed[slot] = True
        self._count_directions(batch, c, groups, runs(back, first), time_ns, ordered)
        self._first_payloads(groups, back, payload, time_ns)
        self._signals(batch, c, groups, back)

    def _count_directions(
        self,
        batch: PacketBatch,
        c: Columns,
        groups: Groups,
        ways: Runs,
        time_ns: I64,
        ordered: bool,
    ) -> None:
        """What the newest packet each way tells, and the TTL of the oldest."""
        key = groups.slot.take(ways.group) * 2 + ways.half
        at = groups.rows.take(ways.newest)
        half_last_ns = self.half_last_ns.reshape(-1)
        seen = half_last_ns.take(key)
        if ordered:
            latest = batch.time_ns.take(at)
        else:
            # the newest by time, which need not be the last to arrive
            both = [np.maximum.reduceat(time_ns * mine, groups.first) for mine in
                    (~ways.back, ways.back)]  # fmt: skip
            latest = np.stack(both)[ways.half, ways.group]
        half_last_ns[key] = np.maximum(seen, latest)
        self.interface.reshape(-1)[key] = batch.interface.take(at)
        self.src_mac.reshape(-1)[key] = c.src_mac.take(at)
        self.dst_mac.reshape(-1)[key] = c.dst_mac.take(at)
        fresh = np.flatnonzero(seen == 0)
        if len(fresh):
            self.ttl.reshape(-1)[key.take(fresh)] = c.ttl[groups.rows[ways.oldest(fresh)]]

    def _first_payloads(self, groups: Groups, back: Bool, payload: I32, time_ns: I64) -> None:
        column = self.first_payload_ns.reshape(-1)
        has: Bool | None = None
        for side in (0, 1):
            wanted = np.flatnonzero(column.take(groups.slot * 2 + side) == 0)
            if not len(wanted):
                continue
            if has is None:
                has = (payload > 0) & (time_ns > 0)  # a time of 0 stands for none
            mine = has & (back if side else ~back)
            hits = np.flatnonzero(mine)
            if not len(hits):
                continue
            first = groups.first.take(wanted)
            before: I64 = np.cumsum(mine).take(first) - mine.take(first)  # hits before the group
            oldest = hits.take(np.minimum(before, len(hits) - 1))
            some = (before < len(hits)) & (oldest < first + groups.size.take(wanted))
            slot = groups.slot.take(wanted)[some]
            column[slot * 2 + side] = time_ns.take(oldest[some])

    def _signals(self, batch: PacketBatch, c: Columns, groups: Groups, half: Bool) -> None:
        """SYN, FIN and RST: counts, times, and the client that a SYN tells."""
        self._turned = None
        flags = c.tcp_flags[groups.rows]
        places = np.flatnonzero(flags & (SYN | FIN | RST))
        if not len(places):
            return
        rows = groups.rows[places]
        slot = groups.slot[groups_of(places, groups.first)]
        side = half[places].astype(np.int64)
        flag = flags[places]
        time_ns = batch.time_ns[rows]
        for bit, name in ((SYN, "syn"), (FIN, "fin"), (RST, "rst")):
            hit = flag & bit != 0
            tally(self.tcp_counts, slot[hit], side[hit], COUNT[name])
        syn = np.flatnonzero(flag & SYN)[::-1]  # earliest last, so that it stays
        block = gather(batch.data, c.l4[rows[syn]] + 4, 4)
        self.isn[slot[syn[::-1]], side[syn[::-1]]] = block.view(">u4").astype(np.uint32)[::-1]
        self.isn_known[slot[syn], side[syn]] = True
        answer = flag[syn] & ACK != 0
        opening, accepting = syn[~answer], syn[answer]
        new = opening[(self.syn_ns[slot[opening]] == 0) & (time_ns[opening] > 0)]
        self.syn_ns[slot[new]] = time_ns[new]
        new = accepting[(self.synack_ns[slot[accepting]] == 0) & (time_ns[accepting] > 0)]
        self.synack_ns[slot[new]] = time_ns[new]
        # the first SYN tells the client; `syn` is latest first, so that the first one stays
        fresh = syn[self.client_by[slot[syn]] != BY_SYN]
        if len(fresh):
            client = np.where(flag[fresh] & ACK != 0, 1 - side[fresh], side[fresh])
            told, first = np.unique(slot[fresh[::-1]], return_index=True)
            before = self.client[told]
            self._turned = (told, rows[fresh[::-1][first]], before)
            self.client[told] = client[::-1][first]
            turned = told[(before != self.client[told]) & (self.history_length[told] > 0)]
            self.history[turned] ^= np.where(self.history[turned] > 0, 32, 0).astype(np.uint8)
            self.client_by[told] = BY_SYN
        rst = np.flatnonzero(flag & RST)[::-1]
        rst = rst[self.rst_ns[slot[rst]] == 0]
        self.rst_ns[slot[rst]] = time_ns[rst]
        self.rst_packet[slot[rst]] = batch.first_number + rows[rst]
        self.rst_ttl[slot[rst]] = c.ttl[rows[rst]]

    # of the batch: slots whose client a SYN told, in order; where that SYN is; the client before
    _turned: tuple[I64, I64, U8] | None = None

    def from_client(self, rows: I64, slots: I32, half: I64 | Bool) -> Bool:
        """Whether rows of this batch are from the client, as far as was known when each came."""
        client = self.client[slots]
        if self._turned is not None:
            place, early = self._before_syn(rows, slots)
            client[early] = self._turned[2][place[early]]
        told: Bool = half == client
        return told

    def from_start(self, rows: I64, slots: I32) -> Bool:
        """Whether a SYN of their connection was seen when rows of this batch came."""
        known: Bool = self.isn_known[slots, 0] | self.isn_known[slots, 1]
        if self._turned is not None:
            known[self._before_syn(rows, slots)[1]] = False
        return known

    def _before_syn(self, rows: I64, slots: I32) -> tuple[I64, I64]:
        """Places of slots in `_turned`, and which of `rows` came before their connection's SYN."""
        assert self._turned is not None
        told, at, _ = self._turned
        place = np.minimum(np.searchsorted(told, slots), len(told) - 1)
        return place, np.flatnonzero((told[place] == slots) & (rows < at[place]))

    # -------------------------------------------------------------- endings

    def expire(self, now_ns: int) -> None:
        """End the flows whose time is over at `now_ns`."""
        live = self.live
        if not len(live):
            return
        s = self.settings
        idle = now_ns - self.last_ns[live]
        maybe = idle > int(min(s.idle_tcp_closed_s, s.idle_udp_s, s.idle_other_s) * SECOND)
        over = np.zeros(len(live), np.bool_)
        over[maybe] = idle[maybe] > self._limits(live[maybe])
        gone = live[over]
        most = self.capacity // 8
        if len(gone) > most and not self.last_drain:
            # what a flood left goes bit by bit, the oldest first
            gone = gone[np.lexsort((self.id[gone], self.last_ns[gone]))[:most]]
        reset = self.tcp_counts[gone, :, COUNT["rst"]].any(axis=1)
        closed = (self.protocol[gone] == TCP) & self._is_closed(gone)
        end = np.where(closed, np.where(reset, END_RESET, END_CLOSED), END_IDLE)
        self.expired += len(gone)
        self._close(gone, end.astype(np.uint8))

    def _is_closed(self, slots: I64) -> Bool:
        counts = self.tcp_counts[slots]
        # a connection that was refused may be asked for again with the same number
        reset = _any(counts[:, :, COUNT["rst"]] > 0) & (
            self.syn_last_ns[slots] <= self.rst_ns[slots]
        )
        return _both(counts[:, :, COUNT["fin"]] > 0) | reset

    def _evict(self, needed: int, held: NDArray[np.integer]) -> None:
        """Free at least `needed` slots, none of `held`: the least worth first, then the oldest.

        Worth: closed flows nothing, then by how often both sides spoke, so that a flood of single
        packets evicts itself and conversations keep their counts.
        """
        live = self.live
        keep = np.zeros(self.capacity, np.bool_)
        keep[held] = True
        candidates = live[~keep[live]]
        packets = self.packets[candidates]
        worth = np.minimum(packets.sum(axis=1), 7) // 2 + 4 * np.minimum(packets.min(axis=1), 2)
        worth[(self.protocol[candidates] == TCP) & self._is_closed(candidates)] = 0
        # seconds since 1970 fit in 2^40, so 2^-20 s leaves room for the worth above the time
        score = (worth << 56) | (self.last_ns[candidates] >> 8)
        count = min(len(candidates), max(needed, self.capacity // 16))
        victims = candidates[np.argpartition(score, count - 1)[:count]]
        self.evicted += len(victims)
        self._close(victims, np.full(len(victims), END_EVICTED, np.uint8))

    def _close(self, slots: I64, ends: U8, *, indexed: bool = True) -> None:
        """Write the last rows of flows and free their slots."""
        if not len(slots):
            return
        both = (self.packets[slots] > 0).all(axis=1) & (self.protocol[slots] == TCP)
        self.two_way_ended += int(both.sum())
        self.one_way_ended += int(self._one_way(slots).sum())
        # A flood that comes and goes between two ticks was never told of, and need not be.
        keep = self.reported[slots] | (ends != END_EVICTED)
        room = max(0, self.capacity // 16 - self._ended_rows)
        extra = np.flatnonzero(~keep)
        keep[extra[:room]] = True
        self.unreported += max(0, len(extra) - room)
        rows = FlowRows(int(np.count_nonzero(keep)))
        self._fill(rows, 0, slots[keep])
        rows["end"] = ends[keep]
        self._ended.append(rows)
        self._ended_rows += len(rows)
        if indexed:
            self._index.remove(self.hash[slots])
        self.id[slots] = 0
        self.changed[slots] = False
        self._free[self._free_count : self._free_count + len(slots)] = slots
        self._free_count += len(slots)

    # -------------------------------------------------------------- out

    def drain(self) -> FlowRows:
        """Rows of the flows that ended or changed since the last drain; ended ones first.

        Of new, unanswered flows (a flood, a scan) at most a sixteenth of the table's size is told
        of at once: the others wait until they have more to say, or until it is their turn. At the
        end of the input all are told, unless they are still being evicted.
        """
        changed = np.flatnonzero(self.changed)
        # in order of their ids: slots and endings depend on how packets were cut into batches
        changed = changed[np.argsort(self.id[changed])]
        most = self.capacity // 16
        flooded = self.evicted > self._evicted_before
        self._evicted_before = self.evicted
        if len(changed) > most and (flooded or not self.last_drain):
            packets = self.packets[changed]
            weak = ~self.reported[changed] & (packets.sum(axis=1) <= 2) & ~_both(packets > 0)
            waiting = np.flatnonzero(weak)[most:]
            changed = np.delete(changed, waiting)
        self._order_ended()
        if not self._ended and len(changed) <= _ROWS_AT_ONCE:
            out = self.rows(changed)  # most ticks
        else:
            out = self._ended_and(changed)
        self.changed[changed] = False
        self.reported[changed] = True
        return out

    def _ended_and(self, changed: I64) -> FlowRows:
        """The rows of flows that ended, which are given up one part after another, and others."""
        out = FlowRows(self._ended_rows + len(changed))
        place = 0
        while self._ended:
            part = self._ended.popleft()
            out.place(place, part)
            place += len(part)
        self._ended_rows = 0
        self._fill(out, place, changed)
        return out

    def _fill(self, out: FlowRows, place: int, slots: I64) -> None:
        """Write the rows of slots from a place on; some at a time bounds what is held besides."""
        for start in range(0, len(slots), _ROWS_AT_ONCE):
            out.place(place + start, self.rows(slots[start : start + _ROWS_AT_ONCE]))

    def _order_ended(self) -> None:
        """Put ended rows in order of their ids; those of a flood stay in that of their endings."""
        if not 1 < self._ended_rows <= _ROWS_AT_ONCE:
            return
        ended, place = FlowRows(self._ended_rows), 0
        while self._ended:
            part = self._ended.popleft()
            ended.place(place, part)
            place += len(part)
        self._ended.append(ended.some(np.argsort(ended["id"])))

    @property
    def opened(self) -> int:
        """Flows that were ever in the table."""
        return self._next_id - 1

    def _one_way(self, slots: I64) -> Bool:
        packets = self.packets[slots]
        established = packets.max(axis=1) > self.tcp_counts[slots, :, COUNT["syn"]].max(axis=1) + 2
        one: Bool = (packets == 0).any(axis=1) & (self.protocol[slots] == TCP) & established
        return one

    def set_apps(self, flow_ids: U64, apps: U8) -> None:
        """Name what live flows carry; ids that are not live are ignored."""
        if not len(flow_ids) or not len(live := self.live):
            return
        order = np.argsort(self.id[live])
        ids = self.id[live[order]]
        place = np.minimum(np.searchsorted(ids, flow_ids), len(ids) - 1)
        hit = ids[place] == flow_ids
        self.app[live[order[place[hit]]]] = apps[hit]

    def ways(self) -> tuple[int, int]:
        """TCP connections that ran in one direction only, and in both, ended ones included."""
        live = self.live
        both = (self.packets[live] > 0).all(axis=1) & (self.protocol[live] == TCP)
        return (
            self.one_way_ended + int(self._one_way(live).sum()),
            self.two_way_ended + int(both.sum()),
        )

    def rows(self, slots: I64) -> FlowRows:
        """Rows of slots as they are now, the client's direction as `out`."""
        out = FlowRows(len(slots))
        if not len(slots):
            return out
        for name in (
            "id", "version", "protocol", "client_by", "app", "vlan", "first_ns", "last_ns",
            "first_packet", "last_packet", "syn_ns", "syn_last_ns", "synack_ns", "rst_ns",
            "rst_packet", "rst_ttl",
        ):  # fmt: skip
            out[name] = getattr(self, name).take(slots)
        out["rtt_us"], out["rtt_min_us"] = self._round_trips(slots)
        # places in columns a half, laid flat: one index is several times as fast as two
        client = slots * 2 + self.client.take(slots)
        server = client ^ 1
        for side, place in (("out", client), ("in", server)):
            address = "src" if side == "out" else "dst"
            out[address] = self.address.reshape(-1, 16).take(place, axis=0)
            out[address[0] + "port"] = self.port.reshape(-1).take(place)
            out[f"interface_{side}"] = self.interface.reshape(-1).take(place)
            out[f"mac_{side}_src"] = self.src_mac.reshape(-1).take(place)
            out[f"mac_{side}_dst"] = self.dst_mac.reshape(-1).take(place)
            out[f"last_{side}_ns"] = self.half_last_ns.reshape(-1).take(place)
            for name in ("ttl", "packets", "bytes", "payload", "unseen", "mss", "max_segment"):
                out[f"{name}_{side}"] = getattr(self, name).reshape(-1).take(place)
            for name, counts in zip(TCP_COUNTS, self._counts, strict=True):
                out[f"{name}_{side}"] = counts.reshape(-1).take(place)
            closed = self.window.reshape(-1).take(place) == 0
            out[f"zero_window_now_{side}"] = closed & self.tcp_open.reshape(-1).take(place)
        out["first_payload_ns"] = self.first_payload_ns.reshape(-1).take(client)
        out["first_answer_ns"] = self.first_payload_ns.reshape(-1).take(server)
        syn_ns = self.syn_last_ns.take(slots)
        out["server_rtt_us"] = _span_us(syn_ns, self.synack_ns.take(slots))
        out["handshake_rtt_us"] = _span_us(syn_ns, self.handshake_ack_ns.take(slots))
        out["state"] = self._state(out)
        out["history"] = self.history.take(slots, axis=0).view("S16")[:, 0]
        return out

    def _round_trips(self, slots: I64) -> tuple[I32, I32]:
        """The least round trip from here to each end and back, together; and that of the nearer
        end. Of one end where only one is known, -1 where none is."""
        both, nearer = np.full((2, len(slots)), -1, np.int32)
        least = self.rtt_least.take(slots, axis=0).astype(np.int64)
        timed = np.flatnonzero(least.any(axis=1))
        if len(timed):
            least = least[timed] - 1
            known = np.where(least < 0, 2**31 - 1, least)
            both[timed] = np.minimum(np.maximum(least, 0).sum(axis=1), 2**31 - 1)
            nearer[timed] = known.min(axis=1)
        return both, nearer

    def _state(self, rows: FlowRows) -> U8:
        """FLOW_STATES of rows that are otherwise filled."""
        packets_out, packets_in = rows["packets_out"], rows["packets_in"]
        both = (packets_out > 0) & (packets_in > 0)
        state = np.where(both, 8, np.where(packets_out + packets_in == 1, 0, 9))
        tcp = rows["protocol"] == TCP
        syn = rows["syn_out"] > 0
        accepted = rows["syn_in"] > 0
        rst_in, rst_out = rows["rst_in"] > 0, rows["rst_out"] > 0
        fin_out, fin_in = rows["fin_out"] > 0, rows["fin_in"] > 0
        spoke = packets_out > rows["syn_out"]
        conditions = [
            syn & ~accepted & rst_in & (rows["data_segments_out"] == 0),
            rst_in | rst_out,
            fin_out & fin_in,
            fin_out | fin_in,
            ~syn & ~accepted,
            accepted | spoke,
        ]
        tcp_state = np.select(conditions, [6, 5, 4, 3, 7, 2], 1)
        return np.where(tcp, tcp_state, state).astype(np.uint8)


def tally(counts: I32, slot: I64, side: I64, number: int) -> None:
    """Add one to counter `number` of each (slot, side); repeated pairs count each time."""
    # numpy adds in place a hundred times as fast where index and type are plain
    np.add.at(counts[:, :, number].reshape(-1), slot * 2 + side, np.int32(1))


def _add_halves(column: I64, slot: I64, total: I64, of_back: I64) -> None:
    """Add to (slot, half) what both halves have together and what half 1 has of it."""
    flat = column.reshape(-1)
    key = slot * 2
    flat[key] += total - of_back
    key += 1
    flat[key] += of_back


def _flat(column: NDArray[Any], widest: int = 16) -> NDArray[np.generic]:
    """The same memory, one element a slot where a type of at most `widest` bytes fits: numpy is
    then several times as fast. Zero stays zero, and -1 (all bits of an integer) stays -1."""
    size = column.itemsize * column[0].size
    wide = {2: "i2", 4: "i4", 8: "i8", 16: "c16"}.get(size)
    if column.ndim == 1 or wide is None or size > widest:
        return column
    return column.reshape(len(column), -1).view(wide)[:, 0]


def _both(halves: Bool) -> Bool:
    out: Bool = halves[:, 0] & halves[:, 1]
    return out


def _any(halves: Bool) -> Bool:
    out: Bool = halves[:, 0] | halves[:, 1]
    return out


def _span_us(start_ns: I64, end_ns: I64) -> I32:
    known = (start_ns > 0) & (end_ns >= start_ns)
    return np.where(known, np.minimum((end_ns - start_ns) // 1000, 2**31 - 1), -1).astype(np.int32)


__all__ = ["COUNT", "TCP_COUNTS", "FlowTable", "TableTooSmall"]
