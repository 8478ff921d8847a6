"""TCP quality: loss, order, windows and round trips derived from sequence numbers.

In: the rows of a batch, grouped by flow in order of arrival. Out: counts and state in the columns
of the flow table. The definitions are those of tshark 4.0 (`tcp_analyze_sequence_number` in
packet-tcp.c), so that the numbers can be compared.

Nearly all flows of a batch are in perfect order. A first pass proves that with a few comparisons
per row (each segment starts where its direction's last one ended, acknowledges nothing unseen,
repeats nothing, closes no window). Only the flows that fail it are analysed in full, still as
arrays. Bytes acknowledged across a hole have no closed form, and are followed segment by segment in
flows with holes, within a budget.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from panotui.meter.flows.grouping import Groups, group_sums
from panotui.meter.flows.state import ACK, COUNT, FIN, RST, SYN, FlowState, tally
from panotui.meter.tcp.history import note_history
from panotui.meter.tcp.holes import NONE, Half
from panotui.meter.tcp.progress import NO_SCALE, OF_SYN, SFR, WINDOW, odd, shift_of, unsettled
from panotui.meter.tcp.segments import Segments, collect, signed
from panotui.model import I64, U8, U32, Bool, PacketBatch
from panotui.model.arrays import distinct, nonzero
from panotui.wire.columns import Columns
from panotui.wire.gather import gather

_FAST_NS = 20_000_000  # tshark: a fast retransmission comes within 20 ms of the last duplicate ACK
_ORDER_NS = 3_000_000  # and is out of order within 3 ms where the initial RTT is unknown
_SHIFT = 40  # relative numbers stay below, so groups can share one running maximum
_PROBE_ROUNDS = 32
_KEEP_ALIVE, _PROBE = 1, 2  # `FlowState.last_kind`
_WALK_BUDGET = 20_000  # rows per batch that are followed one at a time across holes
_WALKS = 1024  # flows with open holes that are remembered between batches
_LONGEST_US = 2**31 - 1  # half an hour: the range of a row's field
# result of `_judge` per row: the bits for the history, and one more
_REPEATS, _GAP, _ZERO, _ASIDE = 1, 2, 4, 8
_OF_HISTORY = np.uint8(_REPEATS | _GAP | _ZERO)


class TcpQuality:
    """Keeps the TCP columns of a flow table."""

    def __init__(self, flows: FlowState) -> None:
        self.flows = flows
        # flow id -> (to be acked, next, covered, holes) of each half, in sequence numbers
        self._walks: OrderedDict[int, list[Half]] = OrderedDict()

    def update(self, batch: PacketBatch, c: Columns, groups: Groups) -> None:
        """Analyse the TCP rows of one batch, after `FlowTable.count`."""
        segments = collect(batch, c, groups)
        if segments is None:
            return
        self._options(batch, c, segments)
        self._handshakes(segments)
        self._sizes(segments)
        flawed = segments.marked(odd(self.flows, segments))
        flawed |= unsettled(self.flows, segments)
        verdicts = np.zeros(len(segments.rows), np.uint8)
        if flawed.any():
            verdicts[flawed.take(segments.group)] = self._judge(segments.take(flawed))
        if not flawed.all():
            self._keep_clean(segments.take(~flawed) if flawed.any() else segments)
        self._round_trips(segments, verdicts)
        self._remember(segments)
        note_history(
            self.flows, segments.slots, segments.group, segments.side, segments.flags,
            segments.length > 0, verdicts & _OF_HISTORY,
        )  # fmt: skip

    # -------------------------------------------------------------- cheap for all

    def _keep_clean(self, s: Segments) -> None:
        """Sequence state of groups in perfect order: that of their last segments."""
        flows = self.flows
        key = s.way_key()
        flows.next_seq.reshape(-1)[key] = s.end.take(s.newest)
        flows.to_be_acked.reshape(-1)[key] = s.end.take(s.newest)
        # in perfect order a segment that uses sequence numbers is one that others follow
        forward = s.end != s.seq
        lone = nonzero(s.own < 0)  # the first one of a direction counts too
        forward[lone] |= ~flows.tcp_open.reshape(-1).take(s.key.take(lone))
        next_seq_ns = flows.next_seq_ns.reshape(-1)
        for half in (0, 1):
            groups, rows = s.newest_of(forward, half)
            next_seq_ns[s.slots.take(groups) * 2 + half] = s.time.take(rows)

    def _remember(self, s: Segments) -> None:
        """The state that the next batch needs of each direction's last segment."""
        flows = self.flows
        key = s.way_key()
        of_syn = (s.flags.take(s.newest) & SYN) != 0
        flows.window.reshape(-1)[key] = s.window.take(s.newest) + of_syn * np.int64(OF_SYN)
        flows.last_ack.reshape(-1)[key] = s.ack.take(s.newest)
        flows.last_ack_ns.reshape(-1)[key] = s.time.take(s.newest)
        numbered = key
        refused = s.refusals()
        if refused.any():
            numbered = distinct(s.key[~refused])
        flows.tcp_open.reshape(-1)[numbered] = True

    def _sizes(self, s: Segments) -> None:
        flows = self.flows
        last = s.last
        data = s.length > 0
        both, of_back = group_sums(data, last), group_sums(data & (s.side == 1), last)
        segments = flows.tcp_counts[:, :, COUNT["data_segments"]]
        segments[s.slots, 0] += (both - of_back).astype(np.int32)
        segments[s.slots, 1] += of_back.astype(np.int32)
        largest = flows.max_segment.reshape(-1)
        larger = nonzero(s.length > largest.take(s.key))
        np.maximum.at(largest, s.key.take(larger), s.length.take(larger).astype(np.int32))

    def _handshakes(self, s: Segments) -> None:
        """Times of the client's ACK that ends the handshake, and of the newest SYN until then.

        On a one-way mirror its number identifies it, without the answer to the SYN. A SYN still in
        flight when the handshake is over changes no round trip.
        """
        flows = self.flows
        waiting = (flows.synack_ns.take(s.slots) > 0) | (flows.syn_ns.take(s.slots) > 0)
        waiting &= flows.handshake_ack_ns.take(s.slots) == 0
        if waiting.any():
            mask = waiting.take(s.group)
            mask &= (s.flags & (SYN | RST | ACK)) == ACK
            hit = nonzero(mask)
            slot, side = s.slot[hit], s.side[hit]
            good = (flows.synack_ns[slot] > 0) & (s.time[hit] >= flows.synack_ns[slot])
            next_number = flows.isn[slot, side] + np.uint32(1)
            good |= flows.isn_known[slot, side] & (s.seq[hit] == next_number)
            hit = hit[good & (side == flows.client[slot])][::-1]  # the first stays
            flows.handshake_ack_ns[s.slot[hit]] = s.time[hit]
        asked = nonzero((s.flags & (SYN | ACK)) == SYN)
        if len(asked):
            done = flows.handshake_ack_ns[s.slot[asked]]
            asked = asked[(done == 0) | (s.time[asked] <= done)]
            flows.syn_last_ns[s.slot[asked]] = s.time[asked]  # the last stays

    def _options(self, batch: PacketBatch, c: Columns, s: Segments) -> None:
        """MSS and window scale of SYN segments (RFC 9293 3.2, RFC 7323 2.2)."""
        syn = nonzero(s.flags & SYN)
        if not len(syn):
            return
        flows = self.flows
        rows = s.rows[syn]
        header = c.l4[rows]
        block = gather(batch.data, header, 60).view(np.uint8).reshape(len(rows), 60)
        size = np.minimum((block[:, 12] >> 4).astype(np.int64) * 4, 60)
        size = np.minimum(size, batch.offset[rows] + batch.captured[rows] - header)
        at = np.full(len(rows), 20)
        mss = np.zeros(len(rows), np.uint16)
        shift = np.full(len(rows), NO_SCALE, np.int8)
        walking = nonzero(at + 1 < size)
        for _ in range(40):
            if not len(walking):
                break
            kind = block[walking, at[walking]]
            after = block[walking, np.minimum(at[walking] + 1, 59)].astype(np.int64)
            length = np.where(kind == 1, 1, after)
            fits = (kind != 0) & (length >= 1) & ((kind == 1) | (length >= 2))
            fits &= at[walking] + length <= size[walking]
            walking, kind, length = walking[fits], kind[fits], length[fits]
            hit = walking[(kind == 2) & (length == 4)]
            value = block[hit, at[hit] + 2].astype(np.uint16) << 8
            mss[hit] = value | block[hit, at[hit] + 3]
            hit = walking[(kind == 3) & (length == 3)]
            shift[hit] = np.minimum(block[hit, at[hit] + 2], 14)
            at[walking] += length
            walking = walking[at[walking] + 1 < size[walking]]
        slot, side = s.slot[syn], s.side[syn]
        flows.mss[slot, side] = mss
        flows.window_shift[slot, side] = shift

    # -------------------------------------------------------------- in full for other flows

    def _judge(self, s: Segments) -> U8:
        """Count the events of these flows; bits (m,): retransmission, gap, zero window; late, a
        keep-alive or a probe.
        """
        flows = self.flows
        m = len(s.rows)
        place = np.arange(m)
        slots, group = s.slots, s.group
        side, length = s.side, s.length
        signal = (s.flags & (SYN | FIN)) != 0
        pure = (s.flags & SFR) == 0
        occupied = length + signal
        refused = s.refusals()

        # sequence numbers relative to what each direction's next one was before this batch
        base = flows.next_seq[slots].copy()
        opened = flows.tcp_open[slots].copy()
        for half in (0, 1):
            mine = (side == half) & ~refused
            oldest = np.minimum.reduceat(np.where(mine, place, m), s.first)
            new = ~opened[:, half] & (oldest < m)
            base[new, half] = s.seq[oldest[new]]
        at = self._unwrapped(s, base)
        end = np.where(refused, NONE, at + occupied)

        own_window = self._last(s, s.own, s.window, flows.window, side) & WINDOW
        peer_window = self._last(s, s.peer, s.window, flows.window, 1 - side) & WINDOW
        own_ack = self._last(s, s.own, s.ack, flows.last_ack, side)
        peer_ack = self._last(s, s.peer, s.ack, flows.last_ack, 1 - side)

        # a window that was never seen is not closed
        peer_seen = (s.peer >= 0) | opened[group, 1 - side]
        probe = (length == 1) & (peer_window == 0) & peer_seen
        probe, before, has = self._probes(s, at, end, opened, probe)
        end = np.where(probe, NONE, end)
        in_place = has & (at == before)
        keep_alive = (length <= 1) & has & (at == before - 1) & pure & ~probe
        kind = np.where(probe, _PROBE, np.where(keep_alive, _KEEP_ALIVE, 0)).astype(np.uint8)
        peer_kind = self._last(s, s.peer, kind, flows.last_kind, 1 - side)
        zero = (s.window == 0) & pure & ~probe
        lost = has & (at > before) & ((s.flags & RST) == 0) & ~probe
        same_ack = (length == 0) & in_place & (s.ack == own_ack) & pure
        open_window = s.window != 0
        update = same_ack & open_window & (s.window != own_window)
        repeat = same_ack & open_window & (s.window == own_window)
        answer = repeat & (peer_kind == _KEEP_ALIVE)
        duplicate = repeat & ~answer
        shift = shift_of(self.flows, s)
        scaled = peer_ack + (peer_window.astype(np.int64) << np.maximum(shift, 0)).astype(np.uint32)
        full = (length > 0) & (shift >= 0) & pure & ~probe
        full &= (s.seq + length.astype(np.uint32)) == scaled

        runs = self._duplicate_runs(s, duplicate, s.ack != own_ack)
        verdict = self._classify(s, at, end, before, has, keep_alive, runs, peer_ack)
        fresh = s.ack != own_ack
        mute = probe | refused
        acked_unseen = self._holes(s, base, opened, at, end, before, mute, fresh)

        counts = flows.tcp_counts
        for name, mask in (
            ("zero_window", zero),
            ("lost_segments", lost),
            ("keep_alive", keep_alive),
            ("window_update", update),
            ("dup_acks", duplicate),
            ("window_full", full),
            ("acked_unseen", acked_unseen),
            ("spurious", verdict == _SPURIOUS),
            ("fast_retransmits", verdict == _FAST),
            ("out_of_order", verdict == _OUT_OF_ORDER),
            ("retransmits", (verdict == _AGAIN) | (verdict == _FAST) | (verdict == _SPURIOUS)),
        ):
            hit = nonzero(mask)
            if len(hit):
                tally(counts, s.slot[hit], side[hit], COUNT[name])
        self._keep_judged(s, base, end, before, has, kind, runs)
        bits = np.where((verdict != 0) & (verdict != _OUT_OF_ORDER), _REPEATS, 0)
        bits |= np.where(lost, _GAP, 0) | np.where(zero, _ZERO, 0)
        bits |= np.where((verdict == _OUT_OF_ORDER) | (kind != 0), _ASIDE, 0)
        return bits.astype(np.uint8)

    def _unwrapped(self, s: Segments, base: U32) -> I64:
        """(m,) sequence numbers relative to `base` (g, 2), also if one batch wraps around."""
        seq = s.seq
        refused = nonzero(s.refusals())
        if len(refused):  # stays where its sender was
            seq, own = seq.copy(), s.own[refused]
            seq[refused] = np.where(own < 0, base[s.group[refused], s.side[refused]], seq[own])
        step = signed(seq - seq[s.own])
        lone = nonzero(s.own < 0)
        step[lone] = signed(seq[lone] - base[s.group[lone], s.side[lone]])
        at = np.empty(len(step), np.int64)
        for half in (0, 1):
            mine = s.side == half
            own = np.where(mine, step, 0)
            total = np.cumsum(own)
            np.copyto(at, total - (total - own)[s.start], where=mine)
        return at

    def _probes(
        self, s: Segments, at: I64, end: I64, opened: Bool, maybe: Bool
    ) -> tuple[Bool, I64, Bool]:
        """Which of the candidate rows are probes of a closed window; also returns `_running_next`.

        A probe is a byte at its position and does not advance the sender, so whether it is one
        depends on those before it. A number is ahead or behind by its distance from the highest one
        before it, so `at` and `end` of one that is half the number space away change here. Each
        round settles at least one more row of each flow.
        """
        probe = maybe
        for _ in range(_PROBE_ROUNDS):
            moved = np.where(probe, NONE, end)
            before, has = self._running_next(s, moved, opened)
            far = nonzero(has & (np.abs(at - before) >= 1 << 31) & (end > NONE))
            if len(far):
                size = end[far] - at[far]
                at[far] = before[far] + signed((at[far] - before[far]).astype(np.uint32))
                end[far] = at[far] + size
                continue
            found = maybe & has & (at == before)
            if (found == probe).all():
                break
            probe = found
        return probe, before, has

    def _last(
        self, s: Segments, which: I64, column: I64 | U32 | U8, state: U32 | U8, side: I64
    ) -> U32:
        """`column` at the previous segment `which`, from the table if it is in an older batch."""
        value = column[which].astype(np.uint32)
        lone = nonzero(which < 0)
        value[lone] = state[s.slot[lone], side[lone]]
        return value

    def _running_next(self, s: Segments, end: I64, opened: Bool) -> tuple[I64, Bool]:
        """Highest end of the same direction before each row (0: as before the batch), and whether
        it is known.
        """
        m = len(end)
        out = np.empty(m, np.int64)
        lift = s.group << _SHIFT
        edge = s.first
        for half in (0, 1):
            mine = s.side == half
            initial = np.where(opened[:, half], 0, NONE)
            value = np.where(mine, end, NONE)
            value = np.maximum(value, -(1 << 32)) + lift
            highest = np.maximum.accumulate(value) - lift
            before = np.empty(m, np.int64)
            before[1:] = highest[:-1]
            before[edge] = -(1 << 32)
            # a group's own maximum never falls below the leftovers of its neighbours
            before = np.maximum(before, initial[s.group])
            out[mine] = before[mine]
        return out, out > -(1 << 32)

    def _duplicate_runs(self, s: Segments, duplicate: Bool, changed: Bool) -> I64:
        """(m, 2) consecutive duplicate ACKs of each half up to and including each row."""
        m = len(s.rows)
        out = np.zeros((m, 2), np.int64)
        state = self.flows.dup_ack_run[s.slots]
        if not duplicate.any() and not state.any():
            return out
        place = np.arange(m)
        for half in (0, 1):
            mine = s.side == half
            total = np.cumsum(duplicate & mine)
            newest = np.maximum.accumulate(np.where(mine & changed, place, -1))
            inside = newest >= s.start
            before_group = total[s.start] - (duplicate & mine)[s.start]
            out[:, half] = np.where(
                inside,
                total - total[np.maximum(newest, 0)],
                total - before_group + state[s.group, half],
            )
        return out

    def _classify(
        self,
        s: Segments,
        at: I64,
        end: I64,
        before: I64,
        has: Bool,
        keep_alive: Bool,
        runs: I64,
        peer_ack: U32,
    ) -> U8:
        """(m,) what each segment repeats: 0 nothing, else one of the kinds below."""
        flows = self.flows
        verdict = np.zeros(len(s.rows), np.uint8)
        spurious = (s.length > 0) & (peer_ack != 0)
        spurious &= signed(s.seq + s.length.astype(np.uint32) - peer_ack) <= 0
        late = has & (at < before) & ((s.length > 0) | ((s.flags & (SYN | FIN)) != 0))
        hit = nonzero((late | spurious) & ~keep_alive)
        if not len(hit):
            return verdict
        side, slot, time = s.side[hit], s.slot[hit], s.time[hit]
        # more than one byte at the place of a keep-alive or probe is new data
        late = late[hit] & ~((s.length[hit] > 1) & (at[hit] == before[hit] - 1))
        peer = s.peer[hit]
        ack_time = np.where(peer >= 0, s.time[peer], flows.last_ack_ns[slot, 1 - side])
        # a clock that stepped back proves nothing recent (tshark's difference is unsigned)
        recent = (time >= ack_time) & (time - ack_time < _FAST_NS)
        recent &= runs[hit, 1 - side] >= 2
        fast = late & recent & (peer_ack[hit] == s.seq[hit])
        advanced = self._advance_time(s, hit, end > before)
        handshake = flows.handshake_ack_ns[slot]
        rtt = handshake - flows.syn_last_ns[slot]
        known = (handshake > 0) & (handshake <= time) & (flows.syn_last_ns[slot] > 0) & (rtt > 0)
        threshold = np.where(known, rtt, _ORDER_NS)
        order = late & (time >= advanced) & (time - advanced < threshold)
        order &= before[hit] != at[hit] + s.length[hit] + ((s.flags[hit] & (SYN | FIN)) != 0)
        verdict[hit] = np.select(
            [spurious[hit], fast, order, late], [_SPURIOUS, _FAST, _OUT_OF_ORDER, _AGAIN], 0
        )
        return verdict

    def _advance_time(self, s: Segments, hit: I64, advanced: Bool) -> I64:
        """When the highest sequence number of the same direction was reached, before `hit`."""
        place = np.arange(len(s.rows))
        out = self.flows.next_seq_ns[s.slot[hit], s.side[hit]]
        for half in (0, 1):
            newest = np.maximum.accumulate(np.where((s.side == half) & advanced, place, -1))
            mine = nonzero(s.side[hit] == half)
            earlier = np.where(hit[mine] > 0, newest[hit[mine] - 1], -1)
            inside = earlier >= s.start[hit[mine]]
            out[mine[inside]] = s.time[earlier[inside]]
        return out

    def _keep_judged(
        self,
        s: Segments,
        base: U32,
        end: I64,
        before: I64,
        has: Bool,
        kind: U8,
        runs: I64,
    ) -> None:
        flows = self.flows
        key, at = s.way_key(), s.newest
        highest = np.maximum(before.take(at), end.take(at)).astype(np.uint32)
        flows.next_seq.reshape(-1)[key] = base[s.way_group, s.way_half] + highest
        flows.last_kind.reshape(-1)[key] = kind.take(at)
        flows.dup_ack_run[s.slots] = runs[s.last]
        advanced = (end > before) | ~has
        for half in (0, 1):
            groups, rows = s.newest_of(advanced, half)
            flows.next_seq_ns[s.slots.take(groups), half] = s.time.take(rows)

    # -------------------------------------------------------------- holes

    def _holes(
        self,
        s: Segments,
        base: U32,
        opened: Bool,
        at: I64,
        end: I64,
        before: I64,
        probe: Bool,
        fresh: Bool,
    ) -> Bool:
        """(m,) rows that acknowledge bytes never captured; adds the bytes to `unseen`.

        Also keeps `to_be_acked`, tshark's highest number without a hole before it.
        """
        flows = self.flows
        slots = s.slots
        to_be_acked = flows.to_be_acked[slots]
        peer_next = self._peer_next(s, before, end, opened)
        known = peer_next > -(1 << 32)
        reached = np.where(known, peer_next, 0)
        ack = reached + signed(s.ack - base[s.group, 1 - s.side] - reached.astype(np.uint32))
        acks = fresh & ((s.flags & ACK) != 0)
        beyond = known & acks & (ack > peer_next)
        jump = (before > -(1 << 32)) & (end > before) & (at != before)
        walk = s.marked(jump | beyond)
        late = (to_be_acked != flows.next_seq[slots]) & opened
        walk |= late[:, 0] | late[:, 1] | flows.holes[slots]
        result = np.zeros(len(s.rows), np.bool_)
        size = np.diff(s.first, append=len(s.rows))
        affordable = np.cumsum(np.where(walk, size, 0)) <= _WALK_BUDGET
        rough = walk & ~affordable
        if rough.any():
            # without following holes: every ACK beyond the highest number seen is an event
            mask = np.repeat(rough, size)
            result |= beyond & mask
        for number in nonzero(walk & affordable).tolist():
            first = int(s.first[number])
            stop = first + int(size[number])
            slot = int(slots[number])
            self._walk(
                s, first, stop, slot, base[number], opened[number], to_be_acked[number],
                at, end, ack, probe, acks, result,
            )  # fmt: skip
        # the others have no hole: the number to be acknowledged is the one sent
        plain = nonzero(~(walk & affordable).take(s.way_group))
        key, where = s.way_key().take(plain), s.newest.take(plain)
        highest = np.maximum(before.take(where), end.take(where)).astype(np.uint32)
        start = base[s.way_group.take(plain), s.way_half.take(plain)]
        flows.to_be_acked.reshape(-1)[key] = start + highest
        return result

    def _peer_next(self, s: Segments, before: I64, end: I64, opened: Bool) -> I64:
        """Highest end of the other direction before each row, relative to that direction's base."""
        after = np.maximum(before, end)
        value = after[s.peer]
        lone = s.peer < 0
        value[lone] = np.where(opened[s.group, 1 - s.side][lone], 0, NONE)
        return value

    def _walk(
        self,
        s: Segments,
        first: int,
        stop: int,
        slot: int,
        base: U32,
        opened: Bool,
        to_be_acked: U32,
        at: I64,
        end: I64,
        ack: I64,
        probe: Bool,
        acks: Bool,
        result: Bool,
    ) -> None:
        """Follow one flow's holes segment by segment."""
        flows = self.flows
        flow = int(flows.id[slot])
        halves = self._walks.pop(flow, None)
        if halves is None:
            halves = [Half(), Half()]
        for half in (0, 1):
            state = halves[half]
            state.rebase(int(base[half]))
            if opened[half]:
                state.next = 0
                gap = int(to_be_acked[half]) - int(base[half])
                state.contiguous = (gap + (1 << 31)) % (1 << 32) - (1 << 31)
            else:
                state.next = state.contiguous = None
        rows = slice(first, stop)
        place = first
        for side, begin, finish, acked, flags, probing, news in zip(
            s.side[rows].tolist(),
            at[rows].tolist(),
            end[rows].tolist(),
            ack[rows].tolist(),
            s.flags[rows].tolist(),
            probe[rows].tolist(),
            acks[rows].tolist(),
            strict=True,
        ):
            if news:
                other = halves[1 - side]
                if other.contiguous is not None and acked > other.contiguous:
                    result[place] = True
                    other.contiguous = other.next
                flows.unseen[slot, 1 - side] += other.acknowledge(acked)
            if not probing:
                late = halves[side].send(begin, finish, bool(flags & RST))
                flows.unseen[slot, side] -= late
            place += 1
        for half in (0, 1):
            state = halves[half]
            if state.contiguous is not None:
                number = (int(base[half]) + state.contiguous) % (1 << 32)
                flows.to_be_acked[slot, half] = number
        flows.holes[slot] = any(half.pending for half in halves)
        if flows.holes[slot]:
            self._walks[flow] = halves
            if len(self._walks) > _WALKS:
                self._walks.popitem(last=False)

    # -------------------------------------------------------------- round trips

    def _round_trips(self, s: Segments, verdicts: U8) -> None:
        """Time from a data segment to the acknowledgement of exactly its end, if it was everything
        that its sender had sent.

        A retransmission is not timed, and hides the segment before it (Karn). Only the newest
        segment of each direction is remembered, so that samples do not depend on batches; each is
        also a `tcp.analysis.ack_rtt` of tshark.
        """
        flows = self.flows
        takes = s.end != s.seq  # uses sequence numbers: data, SYN or FIN
        timed = (s.length > 0) & (s.time != 0)  # a time of 0 stands for none
        timed &= (verdicts & (_REPEATS | _ASIDE)) == 0
        changed: Bool = s.ack != s.ack.take(s.own, mode="wrap")
        lone = nonzero(s.own < 0)
        changed[lone] = s.ack.take(lone) != flows.last_ack.reshape(-1).take(s.key.take(lone))
        changed &= (s.flags & (ACK | SYN | RST)) == ACK
        new = nonzero(changed)
        source = self._newest_taking(s, takes, s.peer.take(new), 1 - s.side.take(new))
        inside = nonzero(source >= 0)
        place, of = new.take(inside), source.take(inside)
        hit = nonzero(timed.take(of) & (s.end.take(of) == s.ack.take(place)))
        place, of = place.take(hit), of.take(hit)
        # an old acknowledgement may come between two of one segment: the first counts
        first: I64 = np.empty(len(takes), np.int64)
        first[of[::-1]] = place[::-1]
        hit = nonzero(first.take(of) == place)
        place, of = place.take(hit), of.take(hit)
        timed[of] = False
        sent = s.time.take(of)
        earlier = nonzero(source < 0)
        if len(earlier):  # the segment came with an earlier batch
            before = new.take(earlier)
            key = s.key.take(before) ^ 1
            then = flows.rtt_ns.reshape(-1).take(key)
            match = (then != 0) & (flows.rtt_seq.reshape(-1).take(key) == s.ack.take(before))
            hit = nonzero(match)
            of, first = np.unique(key.take(hit), return_index=True)
            flows.rtt_ns.reshape(-1)[of] = 0
            hit = hit.take(first)
            place = np.concatenate([place, before.take(hit)])
            sent = np.concatenate([sent, then.take(hit)])
        self._add_samples(s, place, (s.time.take(place) - sent) // 1000)
        newest = self._newest_taking(s, takes, s.newest, s.way_half)
        heard = nonzero(newest >= 0)
        newest, key = newest.take(heard), s.way_key().take(heard)
        flows.rtt_seq.reshape(-1)[key] = s.end.take(newest)
        flows.rtt_ns.reshape(-1)[key] = s.time.take(newest) * timed.take(newest)

    def _newest_taking(self, s: Segments, takes: Bool, rows: I64, half: I64) -> I64:
        """The newest of a half's rows that use sequence numbers, up to and including each of `rows`
        of that half; -1 if its group has none.
        """
        missed = nonzero((rows >= 0) & ~takes.take(rows, mode="wrap"))
        if not len(missed):
            return rows
        out = rows.copy()
        for side in (0, 1):
            some = missed.take(nonzero(half.take(missed) == side))
            if not len(some):
                continue
            at = rows.take(some)
            places = np.append(nonzero(takes & (s.side == side)), -1)
            found = places.take(np.searchsorted(places[:-1], at, side="right") - 1, mode="wrap")
            out[some] = np.where(found >= s.start.take(at), found, -1)
        return out

    def _add_samples(self, s: Segments, place: I64, micro: I64) -> None:
        """Add round trips, in microseconds, ended by the acknowledgements at `place`."""
        fine = nonzero(micro >= 0)  # a clock may step back
        if not len(fine):
            return
        key = s.key.take(place.take(fine)) ^ 1
        told = np.minimum(micro.take(fine), _LONGEST_US - 1) + 1
        least = self.flows.rtt_least.reshape(-1)
        before = least.take(key)
        better = nonzero((told < before) | (before == 0))
        if not len(better):
            return
        # of several of one direction the least stays, which is written last
        order = better[np.argsort(told.take(better), kind="stable")[::-1]]
        least[key.take(order)] = told.take(order).astype(np.int32)


_SPURIOUS, _FAST, _OUT_OF_ORDER, _AGAIN = 1, 2, 3, 4


__all__ = ["TcpQuality"]
