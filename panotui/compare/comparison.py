"""The changes to each stream and flow between two captures.

Two packet tables, their pairs and the streams from an analysis of one of them go in; records come
out. A packet counts as lost if the place that it passed first has it and the other has not,
although the other was capturing at the expected time. Near the ends of the captures this is
unknown: such packets are counted separately (`at_edge`). Delay variation is RFC 3393's (IPDV, the
mean of the differences between packets that follow each other) and RFC 5481's (PDV, 99th percentile
less the least); reordering is RFC 4737's (a packet whose place is lower than one that came before).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from panotui.compare.clocks import A_TO_B, Clock
from panotui.compare.flows import Flows, Place
from panotui.compare.matching import Matches
from panotui.compare.table import PacketTable
from panotui.model import F64, I64, SECOND, U32, Bool, StreamRecord
from panotui.model.arrays import distinct, group_order
from panotui.model.comparison import Absent, Cells, Change, Delay, Passage

FLOWS_TOLD = 1_000  # the worst
STRIPS_MOST = 256  # passages with a count by time
CELLS_MOST = 300
_CELLS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10_800, 21_600, 86_400)
EDGE_NS = SECOND // 5  # how long a queue may delay a packet beyond the observed delays
BLOCKED_LEAST = 2  # packets; a single one may have been too late
_NO_ROWS = np.empty(0, np.int64)
_NAMES = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp6"}


class _Crossing(Struct, frozen=True):
    """All packets of one direction (a to b, or back) by the place that they pass first."""

    name: str  # of that place
    first: PacketTable
    second: PacketTable
    rows_first: I64  # pairs of this direction, in order
    rows_second: I64
    way_ns: F64  # (pairs,) delay
    counterpart: I64  # (flows of first,) the same flow in second
    flows: Bool  # (flows of first,) of this direction
    flows_second: Bool
    in_window: Bool  # (rows of first,) the second was capturing at the expected time
    at_edge: Bool  # (rows of first,)
    in_window_second: Bool
    cell: I64  # (rows of first,) of time


def cells(a: PacketTable, b: PacketTable, clock: Clock) -> Cells:
    """The time of both captures in cells of whole seconds, as many as fit on a screen."""
    ends_b = clock.in_a(np.array([b.first_ns, b.last_ns]))
    start_s = int(min(a.first_ns, ends_b[0])) // SECOND
    end_s = int(max(a.last_ns, ends_b[1])) // SECOND + 1
    span = max(1, end_s - start_s)
    cell_s = next((c for c in _CELLS_S if c * CELLS_MOST >= span), span // CELLS_MOST + 1)
    start_s -= start_s % cell_s
    return Cells(start_s=start_s, cell_s=cell_s, count=-(-(end_s - start_s) // cell_s))


class Found(Struct, frozen=True):
    """The result for all flows: records of the important ones, and totals."""

    streams: list[Passage]
    flows: list[Passage]  # those that are not streams, worst first
    flows_total: int
    packets: int  # of all these flows
    lost: int
    absent: list[Absent]  # flows that only one place has, blocked ones first
    absent_total: int
    blocked_ways: int  # distinct senders, receivers and ports of the blocked ones


def passages(
    a: PacketTable,
    b: PacketTable,
    matches: Matches,
    streams: Sequence[StreamRecord],
    strips: Cells,
) -> Found:
    """All streams, the worst of the other flows, and the worst of those that only one place has."""
    media = _media(streams)
    crossings = []
    for forth in (True, False):
        way = A_TO_B if forth else -A_TO_B
        # otherwise nothing passes in this direction
        if (matches.clock.direction_a == way).any() or (matches.clock.direction_b == way).any():
            crossings.append(_crossing(a, b, matches, forth, strips))
    groups = [_Groups(c, _known_streams(c, media), strips.count) for c in crossings]
    records = [
        of.passage(n, with_strips=number < STRIPS_MOST)
        for number, (of, n) in enumerate((g, n) for g in groups for n in g.streams)
    ]
    room = STRIPS_MOST - len(records)
    side = np.repeat(np.arange(len(groups)), [len(g.flows) for g in groups])
    group = np.concatenate([_NO_ROWS, *(g.flows for g in groups)])
    packets = np.concatenate([_NO_ROWS, *(g.packets[g.flows] for g in groups)])
    lost = np.concatenate([_NO_ROWS, *(g.lost[g.flows] for g in groups)])
    worst = np.lexsort((-packets, -lost))[:FLOWS_TOLD]
    flows = [
        groups[of].passage(n, with_strips=number < room)
        for number, (of, n) in enumerate(
            zip(side[worst].tolist(), group[worst].tolist(), strict=True)
        )
    ]
    records.sort(key=lambda p: (-p.loss, p.camera or p.src, p.ssrc or ""))
    flows.sort(key=lambda p: (-p.lost, -p.packets, p.src, p.sport))
    absent = [_Absences(c) for c in crossings]
    return Found(
        records, flows, len(group), int(packets.sum()), int(lost.sum()),
        _worst_absent(absent, strips.count), sum(len(a.flows) for a in absent),
        sum(a.blocked_ways for a in absent),
    )  # fmt: skip


Media = dict[tuple[int, str, int, str, int], dict[int, StreamRecord]]


def _media(streams: Sequence[StreamRecord]) -> Media:
    """Streams by the ends of their flow, then by SSRC (0: all streams of a connection)."""
    out: Media = {}
    for stream in streams:
        udp = stream.transport == "udp"
        ends = (17 if udp else 6, stream.src, stream.sport, stream.dst, stream.dport)
        out.setdefault(ends, {})[int(stream.ssrc, 16) if udp else 0] = stream
    return out


def _crossing(
    a: PacketTable, b: PacketTable, matches: Matches, forth: bool, strips: Cells
) -> _Crossing:
    clock = matches.clock
    sign = A_TO_B if forth else -A_TO_B
    chosen = clock.direction_a[a.flow[matches.a]] == sign
    rows_a, rows_b = matches.a[chosen], matches.b[chosen]
    way = clock.way_ns(a.time_ns[rows_a], b.time_ns[rows_b])
    times_a, times_b = a.time_ns, clock.in_a(b.time_ns)
    flows_a = clock.direction_a == sign
    flows_b = clock.direction_b == sign
    if forth:
        name, first, second, rows_first, rows_second = "a", a, b, rows_a, rows_b
        times, others, counterpart = times_a, times_b, matches.flow_of_a
        flows, flows_second = flows_a, flows_b
    else:
        name, first, second, rows_first, rows_second = "b", b, a, rows_b, rows_a
        times, others, counterpart, way = times_b, times_a, matches.flow_of_b, -way
        flows, flows_second = flows_b, flows_a
        order = np.argsort(rows_first)
        order = order[flows[first.flow[rows_first[order]]]]
        rows_first, rows_second, way = rows_first[order], rows_second[order], way[order]
    most = np.zeros(len(first.flows))
    np.maximum.at(most, first.flow[rows_first], way)
    least = float(way.min()) if len(way) else 0.0
    begin, end = int(others.min()), int(others.max())
    latest = times + most[first.flow].astype(np.int64)
    reached = (times + int(least) <= end) & (latest >= begin)
    sure = (times + int(least) >= begin) & (latest + EDGE_NS <= end) & reached
    begin_first, end_first = int(times.min()), int(times.max())
    return _Crossing(
        name, first, second, rows_first, rows_second, way, counterpart, flows, flows_second, sure,
        reached & ~sure, (others - int(least) >= begin_first) & (others <= end_first),
        np.clip((times // SECOND - strips.start_s) // strips.cell_s, 0, strips.count - 1),
    )  # fmt: skip


def _known_streams(c: _Crossing, media: Media) -> dict[tuple[int, int], StreamRecord]:
    """(flow of the first place, SSRC) -> stream; the streams were found in either capture."""
    out = {}
    near, there = c.counterpart, np.maximum(c.counterpart, 0)
    first = _may_be(c.first.flows, media)
    second = (near >= 0) & _may_be(c.second.flows, media)[there]
    for flow in np.flatnonzero(first | second).tolist():
        found = media.get(c.first.flows[flow].ends)
        if found is None and near[flow] >= 0:
            found = media.get(c.second.flows[int(near[flow])].ends)
        for ssrc, stream in (found or {}).items():
            out[flow, ssrc] = stream
    return out


def _may_be(flows: Flows, media: Media) -> Bool:
    """(flows,) mask of those with the ports of a stream."""
    ports = np.array([sport << 16 | dport for _, _, sport, _, dport in media], np.int64)
    return np.isin(flows.sport.astype(np.int64) << 16 | flows.dport, ports)


class _Groups:
    """Rows of both places by group."""

    def __init__(
        self, c: _Crossing, known: dict[tuple[int, int], StreamRecord], cells: int
    ) -> None:
        self._c = c
        self._known = known
        self._cells = cells
        # one group per flow, for its packets outside known streams, then one per UDP stream
        self._first_stream = len(c.first.flows)
        self._streams = np.array(sorted(f << 32 | s for f, s in known if s), np.int64)
        self._stream_of_flow = np.zeros(self._first_stream, np.int64)
        self._stream_of_flow[self._streams >> 32] = np.arange(len(self._streams))
        streams_each = np.bincount(self._streams >> 32, minlength=self._first_stream)
        self._has_several = streams_each > 1
        count = self._first_stream + len(self._streams)
        ours = c.flows[c.first.flow]
        of_row = self._group(c.first.flow, c.first.tag)
        self._second = self._groups_of_second()
        hit = np.zeros(len(c.first), np.bool_)
        hit[c.rows_first] = True
        missing = ours & ~hit
        self._missing = np.flatnonzero(missing & c.in_window)
        self.matched = np.bincount(of_row[c.rows_first], minlength=count)
        self.lost = np.bincount(of_row[self._missing], minlength=count)
        self.packets = self.matched + self.lost
        self.edge = np.bincount(of_row[missing & c.at_edge], minlength=count)
        extra = c.in_window_second.copy()
        extra[c.rows_second] = False
        extra &= self._second >= 0
        self._extra = np.flatnonzero(extra)
        copies = self._is_copy(self._extra)
        self.appeared = np.bincount(self._second[self._extra[~copies]], minlength=count)
        self.duplicated = np.bincount(self._second[self._extra[copies]], minlength=count)
        self._pairs = group_order(of_row[c.rows_first])
        self._pair_starts = np.cumsum(self.matched) - self.matched
        self._missing = self._missing[group_order(of_row[self._missing])]
        self._missing_starts = np.cumsum(self.lost) - self.lost
        shared = np.flatnonzero(self.matched > 0)
        # groups with packets at both places
        self.streams = [g for g in shared.tolist() if self._ends(g) in known]
        self.flows = np.setdiff1d(shared, self.streams)

    def _group(self, flow: I64, tag: U32) -> I64:
        if not len(self._streams):
            return flow
        keys = flow << 32 | tag
        # nearly all flows have at most one stream
        at = self._stream_of_flow[flow]
        found = self._streams[at] == keys
        other = np.flatnonzero(~found & self._has_several[flow])
        if len(other):
            at[other] = np.searchsorted(self._streams, keys[other])
            at[at == len(self._streams)] = 0
            found[other] = self._streams[at[other]] == keys[other]
        return np.where(found, self._first_stream + at, flow)

    def _groups_of_second(self) -> I64:
        """(rows of second,) the group, -1 none."""
        c = self._c
        back = np.full(len(c.second.flows), -1, np.int64)
        some = np.flatnonzero((c.counterpart >= 0) & c.flows)
        back[c.counterpart[some]] = some
        flow = back[c.second.flow]
        return np.where(flow >= 0, self._group(np.maximum(flow, 0), c.second.tag), -1)

    def _ends(self, group: int) -> tuple[int, int]:
        """The flow of the first place, and the SSRC of a UDP stream, else 0."""
        if group < self._first_stream:
            return group, 0
        key = int(self._streams[group - self._first_stream])
        return key >> 32, key & 0xFFFFFFFF

    def _is_copy(self, rows: I64) -> Bool:
        """Which of these rows of the second place have a copy there that is matched."""
        second, matched = self._c.second, self._c.rows_second
        few = second.content[rows] + second.ident[rows].astype(np.uint64)
        if not len(few):
            return np.zeros(0, np.bool_)
        many = second.content[matched] + second.ident[matched].astype(np.uint64)
        wanted, which = np.unique(few, return_inverse=True)
        at = np.searchsorted(wanted, many)
        at[at == len(wanted)] = 0
        found = np.zeros(len(wanted), np.bool_)
        found[at[wanted[at] == many]] = True
        return found[which]

    def passage(self, group: int, *, with_strips: bool) -> Passage:
        c = self._c
        flow, ssrc = self._ends(group)
        place = c.first.flows[flow]
        stream = self._known.get((flow, ssrc))
        packets, matched, lost = (int(of[group]) for of in (self.packets, self.matched, self.lost))
        start = int(self._pair_starts[group])
        pairs = self._pairs[start : start + matched]
        rows_first, rows_second, way = c.rows_first[pairs], c.rows_second[pairs], c.way_ns[pairs]
        start = int(self._missing_starts[group])
        missing = self._missing[start : start + lost]
        hit = c.cell[rows_first], c.cell[missing]
        by_cell, lost_by_cell = (
            (_by_cell(np.concatenate(hit), self._cells), _by_cell(hit[1], self._cells))
            if with_strips
            else ((), ())
        )
        return Passage(
            transport=_NAMES.get(place.protocol, f"ip-{place.protocol}"),
            src=place.src, sport=place.sport, dst=place.dst, dport=place.dport,
            first_seen_at=c.name, packets=packets, matched=matched, lost=lost,
            loss=lost / packets if packets else 0.0, appeared=int(self.appeared[group]),
            at_edge=int(self.edge[group]), reordered=_reordered(rows_second),
            duplicated=int(self.duplicated[group]), delay=_delay(way),
            changes=_changes(place, c.second.flows[int(c.counterpart[flow])]),
            camera=stream.camera if stream else None, url=stream.url if stream else None,
            ssrc=stream.ssrc if stream else None, codec=stream.codec if stream else None,
            media=stream.media if stream else None,
            first_lost=tuple(c.first.number[missing[:8]].tolist()),
            lost_bytes=int(c.first.length[missing].sum()), packets_by_cell=by_cell,
            lost_by_cell=lost_by_cell,
        )  # fmt: skip


def _by_cell(cell: I64, count: int) -> tuple[int, ...]:
    return tuple(np.bincount(cell, minlength=count).tolist())


def _reordered(rows: I64) -> int:
    """RFC 4737: how many arrived after one that was sent later."""
    if len(rows) < 2:
        return 0
    # rows: positions in the second capture in the order of the first
    if (rows[1:] > rows[:-1]).all():
        return 0
    order = np.argsort(rows)
    return int(np.count_nonzero(order < np.maximum.accumulate(order)))


def _delay(way: F64) -> Delay | None:
    if not len(way):
        return None
    ms = way / 1e6
    ordered = np.sort(ms)
    low, middle, high, top = (_quantile(ordered, q) for q in (0.0, 0.5, 0.99, 1.0))
    steps = np.abs(np.diff(ms))
    return Delay(
        min_ms=low, median_ms=middle, p99_ms=high, max_ms=top,
        ipdv_ms=float(steps.mean()) if len(steps) else 0.0, pdv_ms=high - low,
    )  # fmt: skip


def _quantile(ordered: F64, share: float) -> float:
    """Interpolated between two values."""
    place = share * (len(ordered) - 1)
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    return low + (place - below) * (high - low)


def _changes(before: Place, after: Place) -> tuple[Change, ...]:
    return tuple(
        Change(field=name, before=_text(old), after=_text(new))
        for name, old, new in (
            ("src", before.src, after.src), ("sport", before.sport, after.sport),
            ("dst", before.dst, after.dst), ("dport", before.dport, after.dport),
            ("vlan", before.vlan, after.vlan), ("dscp", before.dscp, after.dscp),
            ("ttl", before.ttl, after.ttl),
        )
        if old != new
    )  # fmt: skip


def _text(value: object) -> str:
    return "none" if value == -1 else str(value)


class _Absences:
    """Flows that only the first place of a direction has.

    A flow is sent towards the other place if its frames go to the address of crossing frames and
    its sender is on this side. Flows that only the other place has belong to the other direction's
    table, or appeared there.
    """

    def __init__(self, c: _Crossing) -> None:
        self.crossing = c
        flows = c.first.flows
        count = len(flows)
        hit = np.bincount(c.first.flow[c.rows_first], minlength=count) > 0
        self.seen = np.bincount(c.first.flow[c.in_window], minlength=count)
        senders, receivers, hosts = flows.hosts()
        crossing = np.flatnonzero(hit & c.flows)
        self.flows = np.flatnonzero(~hit & c.flows & (self.seen > 0) & ~flows.stay())
        goals = np.zeros(hosts, np.bool_)
        goals[receivers[crossing]] = True
        hops = distinct(flows.dst_mac[crossing])
        heads = goals[receivers] | np.isin(flows.dst_mac, hops[hops != 0])
        self.blocked = heads & (self.seen >= BLOCKED_LEAST)
        stopped = self.flows[self.blocked[self.flows]]
        ways = (senders[stopped] * hosts + receivers[stopped]) << 16 | flows.dport[stopped]
        self.blocked_ways = len(distinct(ways))

    def records(self, chosen: I64, with_strips: int, cells: int) -> list[Absent]:
        """Records of these flows, the first `with_strips` with cells of time."""
        c = self.crossing
        number = np.full(len(self.seen), -1, np.int64)
        number[chosen] = np.arange(len(chosen))
        rows = np.flatnonzero(c.in_window)
        of_row = number[c.first.flow[rows]]
        rows, of_row = rows[of_row >= 0], of_row[of_row >= 0]
        rows = rows[group_order(of_row)]
        stop = np.cumsum(self.seen[chosen])
        out = []
        for place, flow in enumerate(chosen.tolist()):
            ends, mine = c.first.flows[flow], rows[stop[place] - self.seen[flow] : stop[place]]
            out.append(
                Absent(
                    transport=_NAMES.get(ends.protocol, f"ip-{ends.protocol}"), src=ends.src,
                    sport=ends.sport, dst=ends.dst, dport=ends.dport, seen_at=c.name,
                    packets=len(mine), first_packet=int(c.first.number[mine[0]]),
                    blocked=bool(self.blocked[flow]),
                    packets_by_cell=_by_cell(c.cell[mine], cells) if place < with_strips else (),
                )
            )  # fmt: skip
        return out


def _worst_absent(absences: list[_Absences], cells: int) -> list[Absent]:
    """Records of both directions: blocked ones first, then those with the most packets."""
    way = np.repeat(np.arange(len(absences)), [len(a.flows) for a in absences])
    blocked = np.concatenate([_NO_ROWS, *(a.blocked[a.flows] for a in absences)])
    packets = np.concatenate([_NO_ROWS, *(a.seen[a.flows] for a in absences)])
    flows = np.concatenate([_NO_ROWS, *(a.flows for a in absences)])
    worst = np.lexsort((-packets, 1 - blocked))[:FLOWS_TOLD]
    out = []
    for number, of in enumerate(absences):
        mine = way[worst] == number
        with_strips = int(np.count_nonzero(mine[:STRIPS_MOST]))
        out += of.records(flows[worst[mine]], with_strips, cells)
    out.sort(key=lambda p: (not p.blocked, -p.packets, p.src, p.sport))
    return out
