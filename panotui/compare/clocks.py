"""The offset of two clocks, measured by packets that both have stamped.

A packet from a to b is stamped by b with the offset plus its transit time; one in the other
direction with the offset minus its transit time. So the offset lies between the fastest packets of
both directions, in the middle if both directions take equally long (as in NTP, RFC 5905 section 8).
With a single direction, the fastest packet counts as having no transit time. Drift is the slope
(Theil and Sen) of the fastest packets of equal spans of time.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct, field

from panotui.compare.table import PacketTable
from panotui.model import F64, I64, SECOND
from panotui.model.arrays import group_order

SPANS = 48
SURE = 6.0  # blurs by which two medians must differ
APART_NS = 2_000.0
SAMPLED = 200_000  # values for each median
LEAST_SPAN_S = 5.0  # a drift over less time means nothing
A_TO_B, UNKNOWN, B_TO_A = 1, 0, -1


class Clock(Struct):
    """`time of b = time of a + offset_ns + drift * (time of a - start_ns)`, without transit
    time.
    """

    offset_ns: float
    drift: float
    start_ns: int
    uncertain_ns: float | None  # half of the fastest round trip; None with one direction
    slack_ns: int  # spread of pairs around the delay of their flow
    direction_a: I64  # (flows of a,) the capture that its packets pass first
    direction_b: I64  # the same for the flows of b
    assumed: bool  # the first capture is unknown: a is assumed
    delay_a: F64 = field(default_factory=lambda: np.zeros(0))  # (flows of a,) median of b - a, ns
    delay_b: F64 = field(default_factory=lambda: np.zeros(0))

    def in_a(self, times_b: I64) -> I64:
        """Times of b's clock on a's, ns."""
        since = times_b - self.start_ns - self.offset_ns
        return (self.start_ns + since / (1.0 + self.drift)).astype(np.int64)

    def way_ns(self, times_a: I64, times_b: I64) -> F64:
        """(m,) how much later b saw the packets than a, ns; negative for the other direction."""
        ran = (times_a - self.start_ns).astype(np.float64)
        return (times_b - times_a).astype(np.float64) - self.offset_ns - self.drift * ran

    def expected_a(self, b: PacketTable, rows: I64) -> I64:
        """When a would have stamped these rows of b, by the delay of their flow."""
        return self.in_a(b.time_ns[rows]) - self.delay_b[b.flow[rows]].astype(np.int64)


def fit(a: PacketTable, b: PacketTable, rows_a: I64, rows_b: I64) -> Clock:
    """The clocks from pairs of rows (at least one), ordered by `rows_a`."""
    times_a, times_b = a.time_ns[rows_a], b.time_ns[rows_b]
    start = int(times_a.min())
    apart = times_b - times_a
    coarse = int(np.median(apart[:: len(apart) // SAMPLED + 1]))
    rest = (apart - coarse).astype(np.float64)
    ran = (times_a - start).astype(np.float64)
    flow_a, flow_b = a.flow[rows_a], b.flow[rows_b]
    drift = _drift(flow_a, ran, rest)
    rest -= drift * ran
    median_a = _medians(flow_a, rest, len(a.flows))
    away = np.abs(rest - median_a[flow_a])
    direction_a, assumed = _directions(a, b, rows_a, rows_b, away, median_a)
    out = direction_a[flow_a] >= 0
    forth, back = rest[out], rest[~out]
    uncertain = None
    if len(forth) and len(back):
        low, high = float(back.max()), float(forth.min())
        offset, uncertain = (low + high) / 2, abs(high - low) / 2
    elif len(forth):
        offset = float(forth.min())
    else:
        offset = float(back.max())
    direction_b = np.zeros(len(b.flows), np.int64)
    direction_b[flow_b] = direction_a[flow_a]
    _complete(b, direction_b)
    median_b = _medians(flow_b, rest, len(b.flows))
    typical = {way: _typical(median_a, direction_a, way) for way in (A_TO_B, B_TO_A)}
    for medians, direction in ((median_a, direction_a), (median_b, direction_b)):
        missing = np.isnan(medians)
        medians[missing] = np.where(direction[missing] < 0, typical[B_TO_A], typical[A_TO_B])
        medians -= offset
    return Clock(
        coarse + offset, drift, start, uncertain, int(np.quantile(away, 0.999)) + 1,
        direction_a, direction_b, assumed, median_a, median_b,
    )  # fmt: skip


def _drift(flow: I64, ran: F64, rest: F64) -> float:
    """Seconds per second, from the largest flows: by the sharper of their two edges."""
    span = float(ran.max()) if len(ran) else 0.0
    if span < LEAST_SPAN_S * SECOND:
        return 0.0
    counts = np.bincount(flow)
    best: tuple[float, float] | None = None
    for name in np.argsort(-counts)[:12].tolist():
        chosen = flow == name
        bins = (ran[chosen] * (SPANS / (span + 1))).astype(np.int64)
        for sign in (1.0, -1.0):
            edge, when = _edge(bins, ran[chosen], sign * rest[chosen])
            if len(edge) < 8:
                continue
            i, j = np.triu_indices(len(edge), 1)
            slope = float(np.median((edge[j] - edge[i]) / (when[j] - when[i])))
            level = edge - slope * when
            blur = float(np.median(np.abs(level - np.median(level)))) / (when[-1] - when[0])
            if best is None or blur < best[0]:
                best = (blur, sign * slope)
    return best[1] if best is not None else 0.0


def _edge(bins: I64, ran: F64, rest: F64) -> tuple[F64, F64]:
    """The lowest value of each span, and its time."""
    order = np.lexsort((rest, bins))
    first = np.ones(len(order), np.bool_)
    first[1:] = bins[order][1:] != bins[order][:-1]
    at = order[first]
    at = at[np.argsort(ran[at])]
    keep = np.ones(len(at), np.bool_)
    keep[1:] = np.diff(ran[at]) > 0
    return rest[at[keep]], ran[at[keep]]


def _medians(groups: I64, values: F64, count: int) -> F64:
    """(count,) the median of each group, nan without one."""
    out = np.full(count, np.nan)
    step = len(groups) // SAMPLED + 1
    if step > 1:
        # a sample suffices for large groups; small ones are used whole
        large = np.bincount(groups, minlength=count)[groups] > 64 * step
        chosen = ~large
        chosen[::step] = True
        groups, values = groups[chosen], values[chosen]
    order = np.argsort(values)
    order = order[group_order(groups[order])]
    sizes = np.bincount(groups, minlength=count)
    starts = np.cumsum(sizes) - sizes
    some = sizes > 0
    out[some] = values[order][(starts + sizes // 2)[some]]
    return out


def _typical(medians: F64, direction: I64, way: int) -> float:
    some = (direction == way) & ~np.isnan(medians)
    if some.any():
        return float(np.median(medians[some]))
    return float(np.nanmedian(medians)) if (~np.isnan(medians)).any() else 0.0


def _directions(
    a: PacketTable, b: PacketTable, rows_a: I64, rows_b: I64, away: F64, median_a: F64
) -> tuple[I64, bool]:
    """(flows of a,) `A_TO_B` or `B_TO_A`, and whether that is only assumed.

    The two directions of a flow show it: the one with the larger difference of stamps passes a
    first, if the differences are clear. So does loss: a packet missing at one place has passed the
    other first. Hosts are on the side that they send from; flows without such evidence follow their
    hosts. `away`: the distance of each pair from the median of its flow.
    """
    direction = np.zeros(len(a.flows), np.int64)
    flow = a.flow[rows_a]
    counts = np.bincount(flow, minlength=len(a.flows))
    blur = _medians(flow, away, len(a.flows)) / np.sqrt(np.maximum(counts, 1))
    other = a.flows.turned()
    both = np.flatnonzero((other >= 0) & (counts > 0) & (counts[other] > 0))
    there = other[both]
    apart = median_a[both] - median_a[there]
    told = np.abs(apart) > np.maximum(SURE * (blur[both] + blur[there]), APART_NS)
    direction[both[told]] = np.sign(apart[told]).astype(np.int64)
    _complete(a, direction)
    if (direction == UNKNOWN).any():
        lost_a, lost_b = _lost(a, b, rows_a, rows_b)
        unknown = (direction == UNKNOWN) & (counts > 0)
        direction[unknown] = np.sign(lost_a - lost_b)[unknown]
        _complete(a, direction)
    assumed = not direction[counts > 0].any()
    direction[direction == UNKNOWN] = A_TO_B
    return direction, assumed


def _lost(a: PacketTable, b: PacketTable, rows_a: I64, rows_b: I64) -> tuple[I64, I64]:
    """(flows of a,) packets that only a has, and that only b has."""
    count = len(a.flows)
    only_a = np.bincount(a.flow, minlength=count) - np.bincount(a.flow[rows_a], minlength=count)
    only_b = np.bincount(b.flow, minlength=len(b.flows))
    only_b -= np.bincount(b.flow[rows_b], minlength=len(b.flows))
    theirs = np.full(count, -1, np.int64)
    theirs[a.flow[rows_a]] = b.flow[rows_b]
    return only_a, np.where(theirs >= 0, only_b[theirs], 0)


def _complete(table: PacketTable, direction: I64) -> None:
    """Give a direction to flows of hosts whose side is known, in place."""
    senders, receivers, count = table.flows.hosts()
    votes = np.bincount(senders, direction, count) - np.bincount(receivers, direction, count)
    vote = np.where(votes[senders] != 0, votes[senders], -votes[receivers])
    unknown = direction == UNKNOWN
    direction[unknown] = np.sign(vote[unknown]).astype(np.int64)
