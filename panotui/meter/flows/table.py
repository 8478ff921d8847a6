"""The flow table: five-tuples in, one slot per flow, counters per direction, rows out.

In: the columns of a batch. `assign` gives every row its slot (creating flows, and evicting others
if the table is full). `group` sorts the rows by slot, once for all users. `split` starts new flows
where a five-tuple is used again. `count` adds packets, bytes and times. Out: `rows`, the fields of
FLOW_DTYPE, client first.

The columns are in `state`; `boundaries` decides where a five-tuple's next flow begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from panotui.meter.flows.boundaries import idle_gaps, limits, mark_aged, reuses
from panotui.meter.flows.grouping import Groups, Runs, group, group_sums, groups_of, runs
from panotui.meter.flows.hashindex import HashIndex
from panotui.meter.flows.known_ports import KNOWN_PORT
from panotui.meter.flows.rows import ROWS_AT_ONCE, EndedRows, fill, rows_of
from panotui.meter.flows.state import (
    ACK,
    BY_FIRST,
    BY_PORT,
    BY_SYN,
    COUNT,
    END_ACTIVE,
    END_CLOSED,
    END_EVICTED,
    END_IDLE,
    END_RESET,
    END_REUSED,
    FIN,
    RST,
    SYN,
    FlowState,
    both,
    either,
    tally,
)  # fmt: skip
from panotui.meter.flows.tunnels import tunnel_apps
from panotui.model import (
    I32,
    I64,
    NEVER,
    SECOND,
    U8,
    U64,
    Bool,
    MeterSettings,
    PacketBatch,
)
from panotui.model.arrays import among, distinct, nonzero
from panotui.model.flow_rows import FlowRows
from panotui.wire.columns import TUNNEL, Columns
from panotui.wire.gather import gather
from panotui.wire.protocols import TCP, UDP


class TableTooSmall(Exception):
    """The batch holds more flows than the table: halve the batch."""


class FlowTable:
    """Bounded table of live flows; see the module."""

    def __init__(self, settings: MeterSettings) -> None:
        cap = max(16, settings.flows_max)
        self.settings = settings
        self.capacity = cap
        self.state = FlowState(cap)
        self._index = HashIndex(cap)
        self._free = np.arange(cap - 1, -1, -1, dtype=np.int32)  # a stack
        self._free_count = cap
        s = settings
        shortest_s = min(
            s.idle_tcp_closed_s, s.idle_tcp_half_open_s, s.idle_tcp_s, s.idle_udp_s, s.idle_other_s
        )
        self._shortest_ns = int(shortest_s * SECOND)  # the shortest timeout
        self._due_ns = NEVER  # no flow times out before
        self._next_id = 1
        self.evicted = 0
        self.expired = 0
        self.one_way_ended = 0
        self.two_way_ended = 0
        self._evicted_before = 0  # `evicted` at the last drain
        self.last_drain = False  # the input has ended: nothing is held back any more
        self._ended = EndedRows()
        self._let_go = 0  # of these, ended by `let_pass`
        # numbers of the batch's packets, if they are not consecutive
        self.numbers: I64 | None = None
        self._fresh_from = 1  # the first id from `assign`, or the next one
        # ending slots, the reason, the slots that follow them, and their groups
        self._closing: tuple[I64, U8, I64, I64] | None = None
        # of the batch: slots whose client a SYN determined, in order; position of that SYN; the
        # client before
        self._turned: tuple[I64, I64, U8] | None = None

    def __len__(self) -> int:
        return self.capacity - self._free_count

    # -------------------------------------------------------------- rows to slots

    def assign(self, batch: PacketBatch, c: Columns, rows: I64) -> I32:
        """Slot of each of `rows` (int32, aligned with them); creates new flows.

        Raises `TableTooSmall`, before any change, if the flows of these rows do not fit into the
        table.
        """
        self._fresh_from = self._next_id
        hashes = c.hash[rows] if len(rows) != len(c.hash) else c.hash
        slots = self._index.find(hashes)
        absent = nonzero(slots < 0)
        if len(absent):
            unknown, first, inverse = np.unique(
                hashes[absent], return_index=True, return_inverse=True
            )
            if len(unknown) > self._free_count:
                held = distinct(slots[slots >= 0])
                if len(held) + len(unknown) > self.capacity:
                    raise TableTooSmall
                self._evict(len(unknown) - self._free_count, held)
            order = np.argsort(first)  # ids rise in order of arrival
            new = np.empty(len(unknown), np.int32)
            new[order] = self._open(batch, c, rows[absent[first[order]]])
            self._index.insert(unknown, new)
            slots[absent] = new[inverse]
        return slots

    def _open(self, batch: PacketBatch, c: Columns, rows: I64) -> I32:
        """Take free slots for flows whose first packets are `rows` (in order of arrival)."""
        state = self.state
        n = len(rows)
        self._free_count -= n
        slots = self._free[self._free_count : self._free_count + n].copy()
        state.clear(slots)
        state.top = max(state.top, int(slots.max()) + 1)
        half = np.where(c.forward[rows], 0, 1)
        state.id[slots] = np.arange(self._next_id, self._next_id + n, dtype=np.uint64)
        self._next_id += n
        state.hash[slots] = c.hash[rows]
        state.version[slots] = c.version[rows]
        state.protocol[slots] = c.protocol[rows]
        state.vlan[slots] = c.vlan[rows]
        state.first_ns[slots] = batch.time_ns[rows]
        state.last_ns[slots] = batch.time_ns[rows]
        self._over_by(int(batch.time_ns[rows].min()))
        state.first_packet[slots] = self._numbers_of(batch, rows)
        self._open_ends(batch, c, rows, slots, half)
        sport, dport = c.sport[rows], c.dport[rows]
        ported = (c.protocol[rows] == TCP) | (c.protocol[rows] == UDP)
        from_server = ported & KNOWN_PORT[sport] & ~KNOWN_PORT[dport]
        to_server = ported & KNOWN_PORT[dport] & ~KNOWN_PORT[sport]
        state.client[slots] = np.where(from_server, 1 - half, half)
        state.client_by[slots] = np.where(from_server | to_server, BY_PORT, BY_FIRST)
        tunnel = nonzero(c.flags[rows] & TUNNEL)
        if len(tunnel):
            state.app[slots[tunnel]] = tunnel_apps(batch, c, rows[tunnel])
        return slots

    def _numbers_of(self, batch: PacketBatch, rows: I64) -> I64:
        return batch.first_number + rows if self.numbers is None else self.numbers[rows]

    def _open_ends(self, batch: PacketBatch, c: Columns, rows: I64, slots: I32, half: I64) -> None:
        state = self.state
        four = c.version[rows] == 4
        at = np.where(four, c.l3[rows] + 12, c.l3[rows] + 8)
        block = gather(batch.data, at, 32).view(np.uint8).reshape(len(rows), 32)
        src = np.where(four[:, None], 0, block[:, :16])
        dst = np.where(four[:, None], 0, block[:, 16:])
        src[four, :4] = block[four, 0:4]
        dst[four, :4] = block[four, 4:8]
        state.address[slots, half] = src
        state.address[slots, 1 - half] = dst
        state.port[slots, half] = c.sport[rows]
        state.port[slots, 1 - half] = c.dport[rows]

    def find(self, hashes: U64) -> I32:
        """(n,) slots of five-tuples, -1 without a known flow."""
        return self._index.find(hashes)

    def new(self, hashes: U64, times: I64) -> Bool:
        """(n,) whether packets of these five-tuples, of TCP openings or UDP, will begin flows if
        they come at these times, after their ticks.
        """
        slots = self.find(hashes)
        idle_ns = int(self.settings.idle_udp_s * SECOND)
        new: Bool = (slots < 0) | (times - self.state.last_ns.take(slots) > idle_ns)
        return new

    def expect(self, hashes: U64, times: I64) -> None:
        """Packets of these five-tuples come at these times, and are taken after later ticks: their
        flows are not over at those.
        """
        lasts = ~self.new(hashes, times)
        np.maximum.at(self.state.last_ns, self.find(hashes[lasts]), times[lasts])

    # -------------------------------------------------------------- grouping

    def group(self, rows: I64, slots: I32) -> Groups:
        """Rows ordered by (slot, arrival)."""
        return group(rows, slots, self.capacity)

    def split(self, batch: PacketBatch, c: Columns, rows: I64, slots: I32, groups: Groups) -> bool:
        """Start new flows where a five-tuple is used again; changes `slots`; true if there were
        any.

        A flow ends where a pure SYN carries another initial sequence number than its direction had
        (as in tshark), where it was silent for longer than its idle timeout, or where it is older
        than `active_s`: then it continues under another id.
        """
        state = self.state
        reused = reuses(state, batch, c, groups)
        idle = idle_gaps(state, self.settings, batch, groups)
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
            mark_aged(state, batch, groups, mark, self.settings.active_s)
        places = nonzero(mark)
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
        # each mark's flow lasts until the next mark of its group, or the end of the group
        next_place = np.append(places[1:], m)
        stop = np.minimum(next_place, end_of_group)
        # a slot whose first row in this batch is a mark ends now; otherwise `count` first adds its
        # rows before the mark, so the old slot keeps them and is closed afterwards
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
        # the index has the newest one; older ones wait in `_closing` until they are counted
        last = np.append(group_of[1:] != group_of[:-1], True)
        self._index.replace(state.hash[new[last]], new[last])
        previous = np.where(
            np.append(False, group_of[1:] == group_of[:-1]), np.append(-1, new[:-1]), old
        )
        self._closing = (previous.astype(np.int64), mark[places], new.astype(np.int64), group_of)
        return True

    def _number_fresh(self) -> None:
        """Let ids rise with first packets also for flows split off those of `assign`."""
        state = self.state
        fresh = nonzero(state.id[: state.top] >= self._fresh_from)
        order = np.argsort(state.first_packet[fresh])
        state.id[fresh[order]] = np.arange(self._fresh_from, self._next_id, dtype=np.uint64)

    def hand_on(self) -> None:
        """Copy the properties of flows that continue under another id, after counting."""
        if self._closing is None:
            return
        slots, ends, following, owner = self._closing
        aged = nonzero(ends == END_ACTIVE)
        if len(aged):
            # several pieces in one batch, oldest first
            piece = aged - np.searchsorted(owner, owner[aged])
            for number in distinct(piece).tolist():
                some = aged[piece == number]
                self._inherit(slots[some], following[some])

    def finish_splits(self) -> None:
        """Close the flows that `split` ended, after their last rows were counted."""
        if self._closing is not None:
            slots, ends, _, _ = self._closing
            self._closing = None
            self._close(slots, ends, indexed=False)

    def _inherit(self, old: I64, new: I64) -> None:
        """Copy the properties from the first packets to flows that continue under another id."""
        state = self.state
        flip = state.client_by[new] == BY_SYN  # a piece may contain the retransmitted SYN
        old, new = old[~flip], new[~flip]
        kept: list[NDArray[Any]] = [
            state.client, state.client_by, state.app, state.lane, state.offered, state.isn,
            state.isn_known, state.mss,
        ]  # fmt: skip
        for column in kept:
            column[new] = column[old]

    # -------------------------------------------------------------- counting

    def count(self, batch: PacketBatch, c: Columns, groups: Groups) -> None:
        """Add the rows to their flows: packets, bytes, times, MACs, the client."""
        state = self.state
        rows, slot, first, last = groups.rows, groups.slot, groups.first, groups.last
        if not len(rows):
            return
        back = (~c.forward).take(rows)
        payload = c.payload_length.take(rows)
        of_back = group_sums(back, last)
        _add_halves(state.packets, slot, groups.size, of_back)
        for column, values in (
            (state.bytes, batch.wire_length.take(rows)),
            (state.payload, payload),
        ):
            of_back = group_sums(values * back, last)
            _add_halves(column, slot, group_sums(values, last), of_back)
        ordered = bool((batch.time_ns[1:] >= batch.time_ns[:-1]).all())
        time_ns = batch.time_ns.take(rows)
        latest = time_ns.take(last) if ordered else np.maximum.reduceat(time_ns, first)
        earliest = time_ns.take(first) if ordered else np.minimum.reduceat(time_ns, first)
        state.last_ns[slot] = np.maximum(state.last_ns.take(slot), latest)
        state.first_ns[slot] = np.minimum(state.first_ns.take(slot), earliest)
        newest = self._numbers_of(batch, rows.take(last))
        state.last_packet[slot] = np.maximum(state.last_packet.take(slot), newest)
        state.changed[slot] = True
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
        """Properties of the newest packet each way, and the TTL of the oldest."""
        state = self.state
        key = groups.slot.take(ways.group) * 2 + ways.half
        at = groups.rows.take(ways.newest)
        half_last_ns = state.half_last_ns.reshape(-1)
        seen = half_last_ns.take(key)
        if ordered:
            latest = batch.time_ns.take(at)
        else:
            # the newest by time, which need not be the last to arrive
            newest = [
                np.maximum.reduceat(time_ns * mine, groups.first)
                for mine in (~ways.back, ways.back)
            ]
            latest = np.stack(newest)[ways.half, ways.group]
        half_last_ns[key] = np.maximum(seen, latest)
        state.interface.reshape(-1)[key] = batch.interface.take(at)
        state.src_mac.reshape(-1)[key] = c.src_mac.take(at)
        state.dst_mac.reshape(-1)[key] = c.dst_mac.take(at)
        fresh = nonzero(seen == 0)
        if len(fresh):
            state.ttl.reshape(-1)[key.take(fresh)] = c.ttl[groups.rows[ways.oldest(fresh)]]

    def _first_payloads(self, groups: Groups, back: Bool, payload: I32, time_ns: I64) -> None:
        column = self.state.first_payload_ns.reshape(-1)
        has: Bool | None = None
        for side in (0, 1):
            wanted = nonzero(column.take(groups.slot * 2 + side) == 0)
            if not len(wanted):
                continue
            if has is None:
                has = (payload > 0) & (time_ns > 0)  # a time of 0 stands for none
            mine = has & (back if side else ~back)
            hits = nonzero(mine)
            if not len(hits):
                continue
            first = groups.first.take(wanted)
            before: I64 = np.cumsum(mine).take(first) - mine.take(first)  # hits before the group
            oldest = hits.take(np.minimum(before, len(hits) - 1))
            some = (before < len(hits)) & (oldest < first + groups.size.take(wanted))
            slot = groups.slot.take(wanted)[some]
            column[slot * 2 + side] = time_ns.take(oldest[some])

    def _signals(self, batch: PacketBatch, c: Columns, groups: Groups, half: Bool) -> None:
        """SYN, FIN and RST: counts, times, and the client determined by a SYN."""
        state = self.state
        self._turned = None
        flags = c.tcp_flags[groups.rows]
        places = nonzero(flags & (SYN | FIN | RST))
        if not len(places):
            return
        rows = groups.rows[places]
        slot = groups.slot[groups_of(places, groups.first)]
        side = half[places].astype(np.int64)
        flag = flags[places]
        time_ns = batch.time_ns[rows]
        self._over_by(int(time_ns.min()))  # closed and half-open connections time out sooner
        for bit, name in ((SYN, "syn"), (FIN, "fin"), (RST, "rst")):
            hit = flag & bit != 0
            tally(state.tcp_counts, slot[hit], side[hit], COUNT[name])
        syn = nonzero(flag & SYN)[::-1]  # earliest last, so that it stays
        block = gather(batch.data, c.l4[rows[syn]] + 4, 4)
        state.isn[slot[syn[::-1]], side[syn[::-1]]] = block.view(">u4").astype(np.uint32)[::-1]
        state.isn_known[slot[syn], side[syn]] = True
        answer = flag[syn] & ACK != 0
        opening, accepting = syn[~answer], syn[answer]
        new = opening[(state.syn_ns[slot[opening]] == 0) & (time_ns[opening] > 0)]
        state.syn_ns[slot[new]] = time_ns[new]
        new = accepting[(state.synack_ns[slot[accepting]] == 0) & (time_ns[accepting] > 0)]
        state.synack_ns[slot[new]] = time_ns[new]
        # the first SYN determines the client; `syn` is latest first, so that the first one stays
        fresh = syn[state.client_by[slot[syn]] != BY_SYN]
        if len(fresh):
            client = np.where(flag[fresh] & ACK != 0, 1 - side[fresh], side[fresh])
            told, first = np.unique(slot[fresh[::-1]], return_index=True)
            before = state.client[told]
            self._turned = (told, rows[fresh[::-1][first]], before)
            state.client[told] = client[::-1][first]
            turned = told[(before != state.client[told]) & (state.history_length[told] > 0)]
            state.history[turned] ^= np.where(state.history[turned] > 0, 32, 0).astype(np.uint8)
            state.client_by[told] = BY_SYN
        rst = nonzero(flag & RST)[::-1]
        rst = rst[state.rst_ns[slot[rst]] == 0]
        state.rst_ns[slot[rst]] = time_ns[rst]
        state.rst_packet[slot[rst]] = batch.first_number + rows[rst]
        state.rst_ttl[slot[rst]] = c.ttl[rows[rst]]

    def from_client(self, rows: I64, slots: I32, half: I64 | Bool) -> Bool:
        """Whether rows of this batch are from the client, as known when each arrived."""
        client = self.state.client[slots]
        if self._turned is not None:
            place, early = self._before_syn(rows, slots)
            client[early] = self._turned[2][place[early]]
        told: Bool = half == client
        return told

    def from_start(self, rows: I64, slots: I32) -> Bool:
        """Whether a SYN of their connection was seen before rows of this batch."""
        state = self.state
        known: Bool = state.isn_known[slots, 0] | state.isn_known[slots, 1]
        if self._turned is not None:
            known[self._before_syn(rows, slots)[1]] = False
        return known

    def _before_syn(self, rows: I64, slots: I32) -> tuple[I64, I64]:
        """Positions of slots in `_turned`, and which of `rows` came before their connection's
        SYN.
        """
        assert self._turned is not None
        told, at, _ = self._turned
        place = np.minimum(np.searchsorted(told, slots), len(told) - 1)
        return place, nonzero((told[place] == slots) & (rows < at[place]))

    # -------------------------------------------------------------- endings

    def _over_by(self, time_ns: int) -> None:
        """The timeout of a flow with a packet at this time may have changed."""
        self._due_ns = min(self._due_ns, time_ns + self._shortest_ns)

    def is_quiet(self, now_ns: int) -> bool:
        """True if no flow has timed out by `now_ns`, and none waits to be reported."""
        if now_ns > self._due_ns or self._ended:
            return False
        return not self.state.changed[: self.state.top].any()

    def over_ns(self, until_ns: int, restless: U64 | None) -> int:
        """When the first flow times out whose end is news; checked only up to `until_ns`.

        The end of a connection that both sides have closed, or of an answered exchange over UDP,
        says nothing new: it may be told later (`let_pass`). `restless`: ids of flows of which all
        is news; None: each end is.
        """
        if len(self._ended) > self._let_go or self.last_drain:
            return 0
        if self._due_ns >= until_ns:
            return self._due_ns
        state, live = self.state, self.state.live
        over_ns = state.last_ns[live] + limits(state, self.settings, live)
        self._due_ns = int(over_ns.min(initial=NEVER))
        soon = nonzero(over_ns < until_ns)
        if not len(soon) or restless is None:
            return self._due_ns
        slots = live[soon]
        tcp = (state.protocol[slots] == TCP) & state.is_closed(slots)
        tcp &= ~either(state.counted("rst", slots))
        plain = (tcp | (state.protocol[slots] == UDP)) & both(state.packets[slots] > 0)
        plain &= state.reported[slots] & ~state.changed[slots] & ~among(state.id[slots], restless)
        return int(over_ns[np.delete(soon, nonzero(plain))].min(initial=until_ns))

    def expire(self, now_ns: int) -> None:
        """End the flows that have timed out by `now_ns`."""
        if now_ns <= self._due_ns:
            return
        state = self.state
        live = state.live
        if not len(live):
            self._due_ns = NEVER
            return
        over_ns = state.last_ns[live] + limits(state, self.settings, live)
        over = over_ns < now_ns
        gone = live[over]
        self._due_ns = int(over_ns[~over].min(initial=NEVER))
        if not len(gone):
            return
        most = self.capacity // 8
        if len(gone) > most and not self.last_drain:
            # the remains of a flood go in portions, the oldest first
            gone = gone[np.lexsort((state.id[gone], state.last_ns[gone]))[:most]]
            self._due_ns = 0
        reset = either(state.counted("rst", gone))
        closed = (state.protocol[gone] == TCP) & state.is_closed(gone)
        end = np.where(closed, np.where(reset, END_RESET, END_CLOSED), END_IDLE)
        self.expired += len(gone)
        self._close(gone, end.astype(np.uint8))

    def let_pass(self, now_ns: int) -> None:
        """End the flows that have timed out by a tick that is skipped, before packets that came
        after it are taken.
        """
        if now_ns > self._due_ns:
            before = len(self._ended)
            self.expire(now_ns)
            self._ended.order()
            self._let_go += len(self._ended) - before

    def _evict(self, needed: int, held: NDArray[np.integer]) -> None:
        """Free at least `needed` slots, none of `held`: the least valuable first, then the oldest.

        Value: zero for closed flows, otherwise by how often both sides sent, so that a flood of
        single packets evicts itself and conversations keep their counts.
        """
        state = self.state
        live = state.live
        keep = np.zeros(self.capacity, np.bool_)
        keep[held] = True
        candidates = live[~keep[live]]
        packets = state.packets[candidates]
        worth = np.minimum(packets.sum(axis=1), 7) // 2 + 4 * np.minimum(packets.min(axis=1), 2)
        worth[(state.protocol[candidates] == TCP) & state.is_closed(candidates)] = 0
        # seconds since 1970 fit in 2^40, so 2^-20 s leaves room for the value above the time
        score = (worth << 56) | (state.last_ns[candidates] >> 8)
        count = min(len(candidates), max(needed, self.capacity // 16))
        victims = candidates[np.argpartition(score, count - 1)[:count]]
        self.evicted += len(victims)
        self._close(victims, np.full(len(victims), END_EVICTED, np.uint8))

    def _close(self, slots: I64, ends: U8, *, indexed: bool = True) -> None:
        """Write the last rows of flows and free their slots."""
        state = self.state
        if not len(slots):
            return
        two_way = both(state.packets[slots] > 0) & (state.protocol[slots] == TCP)
        self.two_way_ended += int(two_way.sum())
        self.one_way_ended += int(state.one_way(slots).sum())
        # Flows of a flood that come and go between two ticks were never reported, and need not be.
        keep = state.reported[slots] | (ends != END_EVICTED)
        room = max(0, self.capacity // 16 - len(self._ended))
        extra = nonzero(~keep)
        keep[extra[:room]] = True
        rows = FlowRows(int(np.count_nonzero(keep)))
        fill(state, rows, 0, slots[keep])
        rows["end"] = ends[keep]
        self._ended.add(rows)
        self.drop(slots, indexed=indexed)

    def drop(self, slots: I64, *, indexed: bool = True) -> None:
        """Free slots, whose flows are not reported; `indexed`: their five-tuples lead to them."""
        state = self.state
        if indexed:
            self._index.remove(state.hash[slots])
        state.id[slots] = 0
        state.changed[slots] = False
        self._free[self._free_count : self._free_count + len(slots)] = slots
        self._free_count += len(slots)

    # -------------------------------------------------------------- out

    def drain(self) -> FlowRows:
        """Rows of the flows that ended or changed since the last drain; ended ones first.

        Of new, unanswered flows (a flood, a scan) at most a sixteenth of the table's size is
        reported at once; the others wait until they change, or for their turn. At the end of the
        input all are reported, except those still being evicted.
        """
        state = self.state
        changed = nonzero(state.changed[: state.top])
        # in order of their ids: slots and ends depend on how packets were split into batches
        changed = changed[np.argsort(state.id[changed])]
        most = self.capacity // 16
        flooded = self.evicted > self._evicted_before
        self._evicted_before = self.evicted
        if len(changed) > most and (flooded or not self.last_drain):
            packets = state.packets[changed]
            weak = ~state.reported[changed] & (packets.sum(axis=1) <= 2) & ~both(packets > 0)
            waiting = nonzero(weak)[most:]
            changed = np.delete(changed, waiting)
        self._ended.order()
        if not self._ended and len(changed) <= ROWS_AT_ONCE:
            out = rows_of(state, changed)  # most ticks
        else:
            out = FlowRows(len(self._ended) + len(changed))
            fill(state, out, self._ended.move_into(out), changed)
        state.changed[changed] = False
        state.reported[changed] = True
        self._let_go = 0
        return out

    def fresh(self) -> tuple[I64, FlowRows]:
        """Slots and rows of the flows that were never reported, in order of their ids."""
        state = self.state
        top = state.top
        slots = nonzero(state.changed[:top] & ~state.reported[:top])
        slots = slots[np.argsort(state.id[slots])]
        return slots, rows_of(state, slots)

    def told(self, slots: I64) -> None:
        """Flows of `fresh` were reported."""
        self.state.changed[slots] = False
        self.state.reported[slots] = True

    def so_far(self, most: int) -> FlowRows:
        """Rows of flows that changed since the last drain, at most `most`, those with the most
        packets; the next drain reports them anyway.
        """
        state = self.state
        changed = nonzero(state.changed[: state.top])
        if len(changed) > most:
            packets = state.packets[changed].sum(axis=1)
            changed = np.sort(changed[np.argpartition(packets, -most)[-most:]])
        return rows_of(state, changed)

    @property
    def opened(self) -> int:
        """Flows that were ever in the table."""
        return self._next_id - 1

    def set_apps(self, flow_ids: U64, apps: U8) -> None:
        """Set the protocols of live flows; other ids are ignored."""
        state = self.state
        if not len(flow_ids) or not len(live := state.live):
            return
        order = np.argsort(state.id[live])
        ids = state.id[live[order]]
        place = np.minimum(np.searchsorted(ids, flow_ids), len(ids) - 1)
        hit = ids[place] == flow_ids
        state.app[live[order[place[hit]]]] = apps[hit]

    def ways(self) -> tuple[int, int]:
        """TCP connections seen in one direction only, and in both, ended ones included."""
        state = self.state
        live = state.live
        two_way = both(state.packets[live] > 0) & (state.protocol[live] == TCP)
        return (
            self.one_way_ended + int(state.one_way(live).sum()),
            self.two_way_ended + int(two_way.sum()),
        )


def _add_halves(column: I64, slot: I64, total: I64, of_back: I64) -> None:
    """Add to (slot, half) the sum of both halves, and the part of half 1."""
    flat = column.reshape(-1)
    key = slot * 2
    flat[key] += total - of_back
    key += 1
    flat[key] += of_back
