"""Finds where one flow of a five-tuple ends and the next begins.

A flow ends where a pure SYN carries another initial sequence number than its direction had (as in
tshark), where it was silent for longer than its idle timeout, or where it is older than `active_s`.
The functions work on the table's columns and on the packets of a batch, grouped by flow, and return
positions in `Groups.rows`.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.flows.grouping import Groups, groups_of
from panotui.meter.flows.state import ACK, END_ACTIVE, SYN, FlowState, either
from panotui.model import I64, SECOND, U8, Bool, MeterSettings, PacketBatch
from panotui.model.arrays import distinct, nonzero
from panotui.wire.columns import Columns
from panotui.wire.gather import gather
from panotui.wire.protocols import TCP, UDP


def mark_aged(
    state: FlowState, batch: PacketBatch, groups: Groups, mark: U8, active_s: float
) -> None:
    """Mark in (m,) the first packet of each flow that comes later than `active_s` after its first
    one; existing marks already begin another flow.
    """
    active_ns = int(active_s * SECOND)
    time_ns = batch.time_ns[groups.rows]
    opens = np.zeros(len(mark), np.bool_)
    opens[groups.first] = True
    began = time_ns.copy()
    began[groups.first] = np.where(
        state.packets[groups.slot].any(axis=1), state.first_ns[groups.slot], time_ns[groups.first]
    )
    while True:  # once for each piece that one flow falls into
        began[mark > 0] = time_ns[mark > 0]
        first = nonzero(opens | (mark > 0))
        size = np.diff(first, append=len(mark))
        late = nonzero(time_ns - np.repeat(began[first], size) > active_ns)
        if not len(late):
            return
        _, oldest = np.unique(np.searchsorted(first, late, side="right"), return_index=True)
        mark[late[oldest]] = END_ACTIVE


def reuses(state: FlowState, batch: PacketBatch, c: Columns, groups: Groups) -> I64 | None:
    """Positions in `groups.rows` of pure SYNs that open another connection."""
    flags = c.tcp_flags[groups.rows]
    syn = nonzero(flags & SYN)
    if not len(syn):
        return None
    rows = groups.rows[syn]
    group_of = groups_of(syn, groups.first)
    slot = groups.slot[group_of]
    half = np.where(c.forward[rows], 0, 1)
    block = gather(batch.data, c.l4[rows] + 4, 4)
    seq = block.view(">u4").astype(np.uint32)
    pure = flags[syn] & ACK == 0
    # the previous packet of the same half: in this batch, or in the table
    order = np.lexsort((syn, group_of * 2 + half))
    key = (group_of * 2 + half)[order]
    same = np.append(False, key[1:] == key[:-1])
    before = np.append(np.uint32(0), seq[order][:-1])
    known = np.empty(len(syn), np.bool_)
    reference = np.empty(len(syn), np.uint32)
    known[order] = same | state.isn_known[slot, half][order]
    reference[order] = np.where(same, before, state.isn[slot, half][order])
    # a half without a SYN so far was captured from its middle: any SYN starts a new connection
    spoke = state.packets[slot, half] > 0
    # ... or earlier in this batch
    inside = nonzero(pure & ~known & ~spoke & (syn > groups.first[group_of]))
    if len(inside):
        back = np.cumsum(~c.forward[groups.rows])  # packets of half 1 up to and including each row
        first, last = groups.first[group_of[inside]], syn[inside] - 1
        of_back = back[last] - back[first] + ~c.forward[groups.rows[first]]
        of_front = last - first + 1 - of_back
        spoke[inside] = np.where(half[inside] == 1, of_back, of_front) > 0
    spoke &= ~known
    opening = syn == groups.first[group_of]
    heard = ~opening | (state.packets[slot, 1 - half] > 0)
    silent = nonzero(pure & ~known & ~spoke & heard)
    answered = _answered(
        state, batch, c, groups, syn[silent], slot[silent], half[silent], opening[silent]
    )
    spoke[silent] = (answered > 0) & (answered != seq[silent] + np.int64(1))
    again = pure & ((known & (reference != seq)) | spoke)
    hit = syn[again]
    return hit if len(hit) else None


def _answered(
    state: FlowState,
    batch: PacketBatch,
    c: Columns,
    groups: Groups,
    place: I64,
    slot: I64,
    half: I64,
    opening: Bool,
) -> I64:
    """(n,) the last acknowledgement of halves that have sent nothing yet; 0 none.

    `place` are positions in `groups.rows`; at `opening` ones only the table has it.
    """
    told = np.where(state.tcp_open[slot, 1 - half], state.last_ack[slot, 1 - half], 0)
    out: I64 = told.astype(np.int64)
    inside = nonzero(~opening)
    before = groups.rows[place[inside] - 1]  # of the other half, the only one that has sent
    ack = gather(batch.data, np.maximum(c.l4[before], 0) + 8, 4).view(">u4")
    out[inside] = np.where(c.tcp_flags[before] & ACK, ack, 0)
    return out


def idle_gaps(
    state: FlowState, settings: MeterSettings, batch: PacketBatch, groups: Groups
) -> I64 | None:
    """Positions in `groups.rows` of packets that come after the flow's timeout."""
    time_ns = batch.time_ns[groups.rows]
    shortest = int(min(settings.idle_tcp_s, settings.idle_udp_s, settings.idle_other_s) * SECOND)
    shortest_closed = int(min(settings.idle_tcp_closed_s * SECOND, shortest))
    first_time = time_ns[groups.first]
    quiet = first_time - state.last_ns[groups.slot]
    positions: list[I64] = []
    stale = nonzero(quiet > shortest_closed)
    if len(stale):
        positions.append(
            groups.first[stale[quiet[stale] > limits(state, settings, groups.slot[stale])]]
        )
    if len(time_ns) and int(time_ns.max() - time_ns.min()) > shortest:
        gap = np.diff(time_ns, prepend=time_ns[:1])
        gap[groups.first] = 0
        long = nonzero(gap > shortest)
        of = groups_of(long, groups.first)
        positions.append(long[gap[long] > _open_limits(state, settings, groups.slot[of])])
    if not positions:
        return None
    hit = distinct(np.concatenate(positions))
    return hit if len(hit) else None


def _open_limits(state: FlowState, settings: MeterSettings, slots: I64) -> I64:
    """Idle timeout by protocol, in nanoseconds."""
    s = settings
    protocol = state.protocol[slots]
    seconds = np.where(
        protocol == TCP, s.idle_tcp_s, np.where(protocol == UDP, s.idle_udp_s, s.idle_other_s)
    )
    return (seconds * SECOND).astype(np.int64)


def limits(state: FlowState, settings: MeterSettings, slots: I64) -> I64:
    """Present idle timeout of each slot: shorter for closed and half-open connections."""
    s = settings
    limit = _open_limits(state, settings, slots)
    tcp = nonzero(state.protocol[slots] == TCP)
    of = slots[tcp]
    half_open = either(state.packets.take(of, axis=0) == 0)
    half_open &= either(state.counted("syn", of))
    seconds = np.where(
        state.is_closed(of),
        s.idle_tcp_closed_s,
        np.where(half_open, s.idle_tcp_half_open_s, s.idle_tcp_s),
    )
    limit[tcp] = np.minimum(limit[tcp], (seconds * SECOND).astype(np.int64))
    return limit
