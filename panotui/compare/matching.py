"""The same packet in two captures.

Content that occurs once in both is one packet, unless both have an IP identification and these
differ (a retransmitted segment is another packet). Only if a NAT writes new identifications does
content alone decide. The rest (content that occurs more than once) is paired by time, once the
clocks are known: nearest to the delay of its flow first.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.compare.clocks import Clock, fit
from panotui.compare.segments import counterparts, cut_alike
from panotui.compare.table import PacketTable
from panotui.model import I64, SECOND, U64, Bool

ROUNDS = 64  # most copies of one content that are distinguished
LATE_NS = SECOND  # how late a packet may be relative to its neighbours
_ODD = np.uint64(0x9E3779B97F4A7C15)


class Matches(Struct):
    """Pairs of rows, in the order of `a`, and the resulting clocks."""

    a: I64  # (m,)
    b: I64  # (m,)
    clock: Clock
    flow_of_a: I64  # (flows of a,) the same flow in b, -1 none
    flow_of_b: I64
    pieces: int = 0  # pairs that are parts of segments that were split or joined on the way


def match(a: PacketTable, b: PacketTable) -> Matches | None:
    """All pairs; None if the captures share no certain packet.

    TCP segments that the two captures have in different pieces are split, also in the tables.
    """
    rows_a, rows_b = _once_in_both(a.content, b.content)
    kept_a, kept_b = _kept_idents(a, b, rows_a, rows_b)
    same = a.ident[rows_a] == b.ident[rows_b]
    fits = same | ~kept_a[a.flow[rows_a]] | (a.ident[rows_a] == 0) | (b.ident[rows_b] == 0)
    rows_a, rows_b = rows_a[fits], rows_b[fits]
    left_a, left_b = _left(len(a), rows_a), _left(len(b), rows_b)
    more_a, more_b = _once_in_both(_keys(a, kept_a, left_a), _keys(b, kept_b, left_b))
    rows_a = np.concatenate([rows_a, left_a[more_a]])
    rows_b = np.concatenate([rows_b, left_b[more_b]])
    pieces = 0
    cut = cut_alike(a, b, rows_a, rows_b)
    if cut is not None:
        rows_a, rows_b, mine_a, mine_b = cut
        more_a, more_b = _once_in_both(a.content[mine_a], b.content[mine_b])
        rows_a = np.concatenate([rows_a, mine_a[more_a]])
        rows_b = np.concatenate([rows_b, mine_b[more_b]])
        pieces = len(more_a)
    if not len(rows_a):
        return None
    rows_a, rows_b = _in_order(len(a), rows_a, rows_b)
    clock = fit(a, b, rows_a, rows_b)
    left_a, left_b = _left(len(a), rows_a), _left(len(b), rows_b)
    if len(left_a) and len(left_b):
        key_a, key_b = _keys(a, kept_a, left_a), _keys(b, kept_b, left_b)
        more_a, more_b = _by_time(a, b, clock, key_a, key_b, left_a, left_b)
        if len(more_a):
            rows_a, rows_b = _in_order(
                len(a), np.concatenate([rows_a, more_a]), np.concatenate([rows_b, more_b])
            )
    return Matches(
        rows_a,
        rows_b,
        clock,
        counterparts(a, b, rows_a, rows_b),
        counterparts(b, a, rows_b, rows_a),
        pieces,
    )


def _once_in_both(a: U64, b: U64) -> tuple[I64, I64]:
    """Positions of values that occur once in `a` and once in `b`.

    A word holds the high bits of a value, the side and the position, so that a single sort of words
    brings both sides together; this is several times faster than sorting each side and searching.
    Values that agree only in these bits are left out: a few of 40 million.
    """
    bits = max(len(a), len(b)).bit_length() + 1
    place = np.uint64((1 << bits - 1) - 1)
    words = np.concatenate([a, b])
    words >>= np.uint64(bits)
    words <<= np.uint64(bits)
    words[: len(a)] |= np.arange(len(a), dtype=np.uint64)
    words[len(a) :] |= np.arange(len(b), dtype=np.uint64) | place + np.uint64(1)
    words.sort()
    new = np.ones(len(words) + 1, np.bool_)  # differs in its bits from the one before
    new[1:-1] = (words[1:] ^ words[:-1]) >> np.uint64(bits) != 0
    pairs = np.flatnonzero(new[:-2] & ~new[1:-1] & new[2:])
    rows_a, rows_b = words[pairs], words[pairs + 1]
    of_both = (rows_a ^ rows_b) > place  # the side is the highest bit that may differ
    some_a = (rows_a[of_both] & place).astype(np.int64)
    some_b = (rows_b[of_both] & place).astype(np.int64)
    same = a[some_a] == b[some_b]
    return some_a[same], some_b[same]


def _in_order(count: int, rows_a: I64, rows_b: I64) -> tuple[I64, I64]:
    """The pairs in the order of `rows_a`, which are distinct rows below `count`."""
    partner = np.full(count, -1, np.int64)
    partner[rows_a] = rows_b
    rows = np.flatnonzero(partner >= 0)
    return rows, partner[rows]


def _kept_idents(a: PacketTable, b: PacketTable, rows_a: I64, rows_b: I64) -> tuple[Bool, Bool]:
    """By flow of each table: whether the IP identification stays the same."""
    ident_a, ident_b = a.ident[rows_a], b.ident[rows_b]
    known = (ident_a != 0) & (ident_b != 0)
    other = known & (ident_a != ident_b)
    all_known, all_other = np.count_nonzero(known), np.count_nonzero(other)
    out = []
    for table, rows in ((a, rows_a), (b, rows_b)):
        kept = np.ones(len(table.flows), np.bool_)
        if all_other:
            flows = table.flow[rows]
            count = np.bincount(flows[known], minlength=len(kept))
            changed = np.bincount(flows[other], minlength=len(kept))
            kept = changed * 2 <= count
            # a flow without a pair is treated like the others
            kept[count == 0] = all_other * 2 <= all_known
        out.append(kept)
    return out[0], out[1]


def _keys(table: PacketTable, kept: Bool, rows: I64) -> U64:
    """The values that must be equal: the content, with the identification if it stays the same."""
    ident = np.where(kept[table.flow[rows]], table.ident[rows], 0).astype(np.uint64)
    keys: U64 = table.content[rows] + ident * _ODD
    return keys


def _left(count: int, taken: I64) -> I64:
    free = np.ones(count, np.bool_)
    free[taken] = False
    return np.flatnonzero(free)


def _by_time(
    a: PacketTable, b: PacketTable, clock: Clock, key_a: U64, key_b: U64, left_a: I64, left_b: I64
) -> tuple[I64, I64]:
    """Pair repeated content: each row of `b` with the row of `a` nearest to its expected sending
    time, the nearest pairs first. The keys are those of the remaining rows.
    """
    shared = np.intersect1d(key_a, key_b)
    chosen_a, chosen_b = np.isin(key_a, shared), np.isin(key_b, shared)
    left_a, left_b = left_a[chosen_a], left_b[chosen_b]
    ranks_a = np.searchsorted(shared, key_a[chosen_a])
    ranks_b = np.searchsorted(shared, key_b[chosen_b])
    expected = clock.expected_a(b, left_b)
    times = a.time_ns[left_a]
    start = int(min(times.min(), expected.min())) if len(left_a) and len(left_b) else 0
    taken_a: list[I64] = []
    taken_b: list[I64] = []
    for _ in range(ROUNDS):
        if not len(left_a) or not len(left_b):
            break
        order = np.lexsort((times, ranks_a))
        left_a, times, ranks_a = left_a[order], times[order], ranks_a[order]
        near, apart = _nearest(ranks_a, times, ranks_b, expected, start)
        good = (near >= 0) & (apart <= clock.slack_ns + LATE_NS)
        if not good.any():
            break
        rows = np.flatnonzero(good)
        rows = rows[np.lexsort((apart[rows], near[rows]))]
        first = np.ones(len(rows), np.bool_)
        first[1:] = near[rows][1:] != near[rows][:-1]
        rows = rows[first]
        taken_a.append(left_a[near[rows]])
        taken_b.append(left_b[rows])
        rest_a, rest_b = _left(len(left_a), near[rows]), _left(len(left_b), rows)
        left_a, times, ranks_a = left_a[rest_a], times[rest_a], ranks_a[rest_a]
        left_b, expected, ranks_b = left_b[rest_b], expected[rest_b], ranks_b[rest_b]
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *taken_a]), np.concatenate([empty, *taken_b])


def _nearest(rank_a: I64, times: I64, rank_b: I64, expected: I64, start: int) -> tuple[I64, I64]:
    """For each row of b the position in a (ordered by rank and time) of the nearest of its rank, -1
    none, and the distance in ns.
    """
    # one number that sorts by rank, then by time, with a resolution of a microsecond
    span = np.int64(max(1, (max(int(times.max()), int(expected.max())) - start) // 1000 + 2))
    line_a = rank_a * span + (times - start) // 1000
    line_b = rank_b * span + np.maximum(0, (expected - start) // 1000)
    after = np.searchsorted(line_a, line_b)
    near = np.full(len(rank_b), -1, np.int64)
    apart = np.full(len(rank_b), np.iinfo(np.int64).max, np.int64)
    for step in (after - 1, after):
        inside = (step >= 0) & (step < len(rank_a))
        at = np.clip(step, 0, len(rank_a) - 1)
        distance = np.abs(times[at] - expected)
        better = inside & (rank_a[at] == rank_b) & (distance < apart)
        near[better], apart[better] = at[better], distance[better]
    return near, apart
