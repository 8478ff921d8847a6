"""What happened to each stream and flow between two captures.

Two packet tables, their pairs and the streams that an analysis of either found go in; records come
out. A packet counts as lost when the place that it passed first has it and the other has not,
although that one was capturing when it should have come. Near the ends of the captures that cannot
be known: such packets are told apart (`at_edge`). Delay variation is RFC 3393's (IPDV, the mean of
the differences between packets that follow each other) and RFC 5481's (PDV, 99th percentile less
the least); reordering is RFC 4737's (a packet whose place is lower than one that came before).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import numpy as np
from msgspec import Struct

from panotui.compare.clocks import A_TO_B, Clock
from panotui.compare.matching import Matches
from panotui.compare.table import PacketTable, Place
from panotui.model import F64, I64, SECOND, U32, Bool, StreamRecord
from panotui.model.comparison import Absent, Cells, Change, Delay, Passage

FLOWS_TOLD = 1_000  # the worst
STRIPS_MOST = 256  # passages with a count by time
CELLS_MOST = 300
_CELLS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10_800, 21_600, 86_400)
EDGE_NS = SECOND // 5  # a queue may hold a packet so long beyond what was seen
BLOCKED_LEAST = 2  # packets; a single one may have been too late
_NAMES = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp6"}


class _Crossing(Struct, frozen=True):
    """All packets of one way (a to b, or back) by the place that they pass first."""

    name: str  # of that place
    first: PacketTable
    second: PacketTable
    rows_first: I64  # pairs of this way
    rows_second: I64
    way_ns: F64  # (pairs,) delay
    counterpart: I64  # (flows of first,) its flow in second
    flows: Bool  # (flows of first,) of this way
    flows_second: Bool
    in_window: Bool  # (rows of first,) the second was capturing when it should have come
    at_edge: Bool  # (rows of first,)
    in_window_second: Bool
    cell: I64  # (rows of first,) of time


def cells(a: PacketTable, b: PacketTable, clock: Clock) -> Cells:
    """The time of both captures in cells of whole seconds, as few as fit a screen."""
    ends_b = clock.in_a(np.array([b.first_ns, b.last_ns]))
    start_s = int(min(a.first_ns, ends_b[0])) // SECOND
    end_s = int(max(a.last_ns, ends_b[1])) // SECOND + 1
    span = max(1, end_s - start_s)
    cell_s = next((c for c in _CELLS_S if c * CELLS_MOST >= span), span // CELLS_MOST + 1)
    start_s -= start_s % cell_s
    return Cells(start_s=start_s, cell_s=cell_s, count=-(-(end_s - start_s) // cell_s))


def passages(
    a: PacketTable,
    b: PacketTable,
    matches: Matches,
    streams: Sequence[StreamRecord],
    strips: Cells,
) -> tuple[list[Passage], list[Passage], list[Absent]]:
    """Streams, other flows (the worst first), and what only one place has."""
    media = _media(streams)
    found_streams: list[Passage] = []
    found_flows: list[Passage] = []
    absent: list[Absent] = []
    for forth in (True, False):
        way = A_TO_B if forth else -A_TO_B
        if (
            not (matches.clock.direction_a == way).any()
            and not (matches.clock.direction_b == way).any()
        ):
            continue  # nothing goes this way
        crossing = _crossing(a, b, matches, forth, strips)
        mine, others = _of_crossing(crossing, media, strips.count)
        found_streams += mine
        found_flows += others
        absent += _absent(crossing, strips.count)
    found_streams.sort(key=lambda p: (-p.loss, p.camera or p.src, p.ssrc or ""))
    found_flows.sort(key=lambda p: (-p.lost, -p.packets, p.src, p.sport))
    absent.sort(key=lambda p: (not p.blocked, -p.packets, p.src, p.sport))
    return found_streams, found_flows, absent


Media = dict[tuple[int, str, int, str, int], dict[int, StreamRecord]]


def _media(streams: Sequence[StreamRecord]) -> Media:
    """Streams by the ends of their flow, then by SSRC (0: all of a connection's)."""
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


def _of_crossing(c: _Crossing, media: Media, cells: int) -> tuple[list[Passage], list[Passage]]:
    """The passages of one way: a group is a flow, or a stream of a flow that has several."""
    known = _known_streams(c, media)
    groups = _Groups(c, known, cells)
    streams: list[Passage] = []
    flows: list[Passage] = []
    for group in groups.worth_telling():
        passage = groups.passage(group, with_strips=len(streams) + len(flows) < STRIPS_MOST)
        (streams if passage.ssrc is not None else flows).append(passage)
    return streams, flows


def _known_streams(c: _Crossing, media: Media) -> dict[tuple[int, int], StreamRecord]:
    """(flow of the first place, SSRC) -> stream; the streams were found in either capture."""
    out = {}
    for flow, place in enumerate(c.first.flows):
        found = media.get(place.ends)
        if found is None and c.counterpart[flow] >= 0:
            found = media.get(c.second.flows[c.counterpart[flow]].ends)
        for ssrc, stream in (found or {}).items():
            out[flow, ssrc] = stream
    return out


class _Groups:
    """Rows of both places by group."""

    def __init__(
        self, c: _Crossing, known: dict[tuple[int, int], StreamRecord], cells: int
    ) -> None:
        self._c = c
        self._known = known
        self._cells = cells
        # a group a flow, for all of it that is no known stream, then one a stream of UDP
        self._flows = len(c.first.flows)
        self._streams = np.array(sorted(f << 32 | s for f, s in known if s), np.int64)
        count = self._flows + len(self._streams)
        ours = c.flows[c.first.flow]
        self._of_row = np.where(ours, self._group(c.first.flow, c.first.tag), -1)
        self._rows = np.flatnonzero(ours)
        self._second = self._groups_of_second()
        matched = np.zeros(len(c.first), np.bool_)
        matched[c.rows_first] = True
        of = self._of_row[self._rows]
        sure, edge, hit = c.in_window[self._rows], c.at_edge[self._rows], matched[self._rows]
        self.packets = np.bincount(of[sure | hit], minlength=count)
        self.matched = np.bincount(of[hit], minlength=count)
        self._missing = self._rows[sure & ~hit]
        self.lost = np.bincount(self._of_row[self._missing], minlength=count)
        self.edge = np.bincount(of[edge & ~hit], minlength=count)
        extra = np.ones(len(c.second), np.bool_)
        extra[c.rows_second] = False
        extra &= self._second >= 0
        self._extra = np.flatnonzero(extra & c.in_window_second)
        copies = self._is_copy(self._extra)
        self.appeared = np.bincount(self._second[self._extra[~copies]], minlength=count)
        self.duplicated = np.bincount(self._second[self._extra[copies]], minlength=count)
        order = np.argsort(self._of_row[c.rows_first], kind="stable")
        self._pairs = order
        self._pair_starts = np.searchsorted(self._of_row[c.rows_first][order], np.arange(count + 1))
        order = np.argsort(self._of_row[self._missing], kind="stable")
        self._missing = self._missing[order]
        self._missing_starts = np.searchsorted(self._of_row[self._missing], np.arange(count + 1))

    def _group(self, flow: I64, tag: U32) -> I64:
        if not len(self._streams):
            return flow
        keys = flow << 32 | tag
        at = np.searchsorted(self._streams, keys)
        at[at == len(self._streams)] = 0
        return np.where(self._streams[at] == keys, self._flows + at, flow)

    def _groups_of_second(self) -> I64:
        """(rows of second,) the group, -1 none."""
        c = self._c
        back = np.full(len(c.second.flows), -1, np.int64)
        some = np.flatnonzero((c.counterpart >= 0) & c.flows)
        back[c.counterpart[some]] = some
        flow = back[c.second.flow]
        return np.where(flow >= 0, self._group(np.maximum(flow, 0), c.second.tag), -1)

    def _ends(self, group: int) -> tuple[int, int]:
        """The flow of the first place, and the SSRC of a stream of UDP, else 0."""
        if group < self._flows:
            return group, 0
        key = int(self._streams[group - self._flows])
        return key >> 32, key & 0xFFFFFFFF

    def _is_copy(self, rows: I64) -> Bool:
        """Which of these rows of the second place have a double there that is matched."""
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

    def worth_telling(self) -> list[int]:
        """Groups of which both places have packets: all streams, of the rest the worst."""
        shared = np.flatnonzero(self.matched > 0)
        named = [g for g in shared.tolist() if self._ends(g) in self._known]
        order = np.lexsort((-self.packets[shared], -self.lost[shared]))
        worst = shared[order][:FLOWS_TOLD].tolist()
        return list(dict.fromkeys(named + worst))

    @property
    def shared(self) -> int:
        """Groups of which both places have packets."""
        return int(np.count_nonzero(self.matched > 0))

    def passage(self, group: int, *, with_strips: bool) -> Passage:
        c = self._c
        flow, ssrc = self._ends(group)
        place = c.first.flows[flow]
        stream = self._known.get((flow, ssrc))
        pairs = self._pairs[self._pair_starts[group] : self._pair_starts[group + 1]]
        rows_first, rows_second = c.rows_first[pairs], c.rows_second[pairs]
        order = np.argsort(rows_first, kind="stable")
        rows_second, way = rows_second[order], c.way_ns[pairs][order]
        packets, lost = int(self.packets[group]), int(self.lost[group])
        missing = self._missing[self._missing_starts[group] : self._missing_starts[group + 1]]
        hit = c.cell[rows_first], c.cell[missing]
        by_cell, lost_by_cell = (
            (_by_cell(np.concatenate(hit), self._cells), _by_cell(hit[1], self._cells))
            if with_strips
            else ((), ())
        )
        return Passage(
            transport=_NAMES.get(place.protocol, f"ip-{place.protocol}"),
            src=place.src, sport=place.sport, dst=place.dst, dport=place.dport,
            first_seen_at=c.name, packets=packets, matched=int(self.matched[group]), lost=lost,
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
    """RFC 4737: how many came behind one that had been sent after them."""
    if len(rows) < 2:
        return 0
    # rows: places in the second capture in the order of the first
    order = np.argsort(rows, kind="stable")
    return int(np.count_nonzero(order < np.maximum.accumulate(order)))


def _delay(way: F64) -> Delay | None:
    if not len(way):
        return None
    ms = way / 1e6
    low, middle, high, top = np.quantile(ms, (0.0, 0.5, 0.99, 1.0)).tolist()
    steps = np.abs(np.diff(ms))
    return Delay(
        min_ms=low, median_ms=middle, p99_ms=high, max_ms=top,
        ipdv_ms=float(steps.mean()) if len(steps) else 0.0, pdv_ms=high - low,
    )  # fmt: skip


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


def _stays(address: str) -> bool:
    """Packets to it are no router's business."""
    parsed = ip_address(address)
    return parsed.is_multicast or parsed.is_link_local or address == "255.255.255.255"


def _absent(c: _Crossing, cells: int) -> list[Absent]:
    """Flows that only the first place of this way has.

    One heads for the other place when its frames go to the address that crossing frames go to and
    its sender stands on this side. What the other place has alone belongs to the other way's
    table, or appeared.
    """
    count = len(c.first.flows)
    hit = np.bincount(c.first.flow[c.rows_first], minlength=count) > 0
    seen = np.bincount(c.first.flow[c.in_window], minlength=count)
    rows = np.flatnonzero(c.in_window)
    earliest = np.full(count, -1, np.int64)
    earliest[c.first.flow[rows][::-1]] = c.first.number[rows][::-1]
    order = rows[np.argsort(c.first.flow[rows], kind="stable")]
    starts = np.cumsum(seen) - seen
    crossing = np.flatnonzero(hit & c.flows).tolist()
    hops = {c.first.flows[f].dst_mac for f in crossing} - {0}
    ends = {c.first.flows[f].dst for f in crossing}
    out: list[Absent] = []
    for flow in np.flatnonzero(~hit & c.flows & (seen > 0)).tolist():
        place = c.first.flows[flow]
        if _stays(place.dst):
            continue
        heads = place.dst in ends or (bool(hops) and place.dst_mac in hops)
        blocked = heads and int(seen[flow]) >= BLOCKED_LEAST
        mine = c.cell[order[starts[flow] : starts[flow] + seen[flow]]]
        out.append(
            Absent(
                transport=_NAMES.get(place.protocol, f"ip-{place.protocol}"), src=place.src,
                sport=place.sport, dst=place.dst, dport=place.dport, seen_at=c.name,
                packets=int(seen[flow]), first_packet=int(earliest[flow]), blocked=blocked,
                packets_by_cell=_by_cell(mine, cells) if len(out) < STRIPS_MOST else (),
            )
        )  # fmt: skip
    return out
