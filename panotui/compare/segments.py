"""TCP segments that are split differently in the two captures.

A network card joins received segments, or splits those that it sends (GRO, LRO, TSO), and a proxy
may split them differently: then one place has one segment of 30,000 bytes where the other has 21.
Such segments are split at each byte at which either capture begins or ends one, and the pieces are
compared like packets: the same bytes of the same connection.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.compare.table import PacketTable
from panotui.model import I32, I64, U32, U64, Bool
from panotui.model.arrays import distinct, group_order
from panotui.wire.protocols import TCP

_PLACE_BITS = 40  # a terabyte of a connection
_PIECES_EACH = 4  # most pieces per split row,
_PIECES_MORE = 100_000  # and in total at least
_LONGEST = 1 << 16  # bytes of a segment
_ODD = np.uint64(0x9E3779B97F4A7C15)
_S31 = np.uint64(31)


class _Ranges(Struct):
    """The splittable segments of one capture, by connection and position in it."""

    rows: I64  # (k,)
    pair: I64  # (k,)
    start: I64  # (k,) position of the first byte
    stop: I64


def counterparts(one: PacketTable, other: PacketTable, rows: I64, others: I64) -> I64:
    """For each flow of `one` the flow of `other` with most of its packets, -1 none."""
    out = np.full(len(one.flows), -1, np.int64)
    pair = one.flow[rows] * len(other.flows) + other.flow[others]
    found, counts = np.unique(pair, return_counts=True)
    order = np.argsort(counts, kind="stable")
    flows, theirs = found[order] // len(other.flows), found[order] % len(other.flows)
    out[flows] = theirs  # the last assignment (the flow with the most packets) stays
    return out


def cut_alike(
    a: PacketTable, b: PacketTable, rows_a: I64, rows_b: I64
) -> tuple[I64, I64, I64, I64] | None:
    """Split unpaired segments (`rows_a` and `rows_b` are the pairs) in connections for which both
    captures have such segments, in place; None if there is nothing to split.

    Returns the pairs in the new tables, and the rows of pieces in both.
    """
    free_a, free_b = _free(a, rows_a), _free(b, rows_b)
    if not len(free_a) or not len(free_b):
        return None
    pair_a, pair_b = _connections(a, b, counterparts(a, b, rows_a, rows_b), free_a, free_b)
    ranges_a, ranges_b = _ranges(a, b, free_a, free_b, pair_a, pair_b)
    if not len(ranges_a.rows) or not len(ranges_b.rows):
        return None
    cuts = _cuts(ranges_a, ranges_b, len(pair_a))
    pieces = [_pieces(ranges, cuts) for ranges in (ranges_a, ranges_b)]
    total = sum(int(many.sum()) for _, many in pieces)
    many = len(ranges_a.rows) + len(ranges_b.rows)
    if total == many or total > _PIECES_EACH * many + _PIECES_MORE:
        return None
    moved_a, mine_a = _cut(a, ranges_a, cuts, *pieces[0])
    moved_b, mine_b = _cut(b, ranges_b, cuts, *pieces[1])
    return moved_a[rows_a], moved_b[rows_b], mine_a, mine_b


def _free(table: PacketTable, paired: I64) -> I64:
    """Rows with TCP payload that have no pair."""
    is_tcp = table.flows.protocol == TCP
    free: Bool = table.length > 0
    free[paired] = False
    rows = np.flatnonzero(free)
    segments: I64 = rows[is_tcp[table.flow[rows]]]
    return segments


def _connections(
    a: PacketTable, b: PacketTable, known: I64, free_a: I64, free_b: I64
) -> tuple[I64, I64]:
    """By flow of each table the number of the connection's direction, -1 none.

    A flow without a pair belongs to the connection of its other direction, else to the one with the
    same ends.
    """
    turned_a, turned_b = a.flows.turned(), b.flows.turned()
    answer = np.where(turned_a >= 0, known[turned_a], -1)
    behind = np.where(answer >= 0, turned_b[answer], b.flows.find(a.flows.key))
    theirs = np.where(known >= 0, known, behind)
    pair_a = np.full(len(a.flows), -1, np.int64)
    pair_b = np.full(len(b.flows), -1, np.int64)
    having = np.zeros(len(b.flows), np.bool_)
    having[b.flow[free_b]] = True
    flows = distinct(a.flow[free_a])
    flows = flows[(theirs[flows] >= 0) & having[theirs[flows]]]
    pair_b[theirs[flows][::-1]] = flows[::-1]  # the first of several
    flows = flows[pair_b[theirs[flows]] == flows]
    pair_a[flows] = flows
    return pair_a, pair_b


def _ranges(
    a: PacketTable, b: PacketTable, free_a: I64, free_b: I64, pair_a: I64, pair_b: I64
) -> tuple[_Ranges, _Ranges]:
    """Positions are counted from the lowest byte of either capture in each connection."""
    parts = []
    first = np.zeros(len(pair_a), np.uint32)  # by connection: its first sequence number in a
    for table, free, pair in ((a, free_a, pair_a), (b, free_b, pair_b)):
        numbers = pair[table.flow[free]]
        order = group_order(numbers + 1)  # -1 first
        order = order[np.count_nonzero(numbers < 0) :]
        rows, numbers = free[order], numbers[order]
        tags = table.tag[rows]
        new = np.ones(len(rows), np.bool_)
        new[1:] = numbers[1:] != numbers[:-1]
        if table is a:
            first[numbers[new]] = tags[new]
        ahead = (tags[new] - first[numbers[new]]).astype(np.int32)
        start = _unwrapped(tags, new, ahead)
        parts.append((rows, numbers, start, start + table.length[rows]))
    lowest = np.zeros(len(pair_a), np.int64)
    for _, numbers, start, _ in parts:  # in order of their numbers
        begins = np.flatnonzero(np.diff(numbers, prepend=-1))
        if len(begins):
            low = np.minimum.reduceat(start, begins)
            lowest[numbers[begins]] = np.minimum(lowest[numbers[begins]], low)
    out = []
    for rows, numbers, start, stop in parts:
        lead = lowest[numbers]
        inside = stop - lead < 1 << _PLACE_BITS
        lead -= numbers << _PLACE_BITS
        found = _Ranges(rows, numbers, start - lead, stop - lead)
        if not inside.all():
            columns = (found.rows, found.pair, found.start, found.stop)
            found = _Ranges(*(column[inside] for column in columns))
        out.append(found)
    return out[0], out[1]


def _cuts(a: _Ranges, b: _Ranges, connections: int) -> I64:
    """Positions at which either capture begins or ends a segment, in order; between lost neighbours
    without such positions, at the distances of the capture with smaller segments.
    """
    # nearly every segment ends where the next begins
    stops = (r.stop[np.append(r.stop[:-1] != r.start[1:], True)] for r in (a, b))
    cuts = distinct(np.concatenate([a.start, b.start, *stops]))
    usual = []
    for ranges in (a, b):
        longest = np.zeros(connections, np.int64)
        np.maximum.at(longest, ranges.pair, ranges.stop - ranges.start)
        usual.append(longest)
    size = np.maximum(1, np.minimum(*usual))[cuts[:-1] >> _PLACE_BITS]
    apart = np.diff(cuts)
    more = np.where(apart <= _LONGEST, (apart - 1) // size, 0)
    if int(more.sum()) > _PIECES_EACH * len(cuts) + _PIECES_MORE:
        return cuts
    within = np.arange(int(more.sum())) - np.repeat(np.cumsum(more) - more, more) + 1
    between = np.repeat(cuts[:-1], more) + within * np.repeat(size, more)
    return np.sort(np.concatenate([cuts, between]))


def _unwrapped(tags: U32, new: Bool, first: I32) -> I64:
    """Sequence numbers as positions that continue beyond 2^32; `first`: of the first of each
    connection, which are `new`.
    """
    steps = np.zeros(len(tags), np.int64)
    steps[1:] = np.diff(tags).view(np.int32)
    steps[new] = 0
    starts = np.flatnonzero(new)
    # so that the sum restarts
    last = np.add.reduceat(steps, starts)
    steps[starts] = first
    steps[starts[1:]] -= first[:-1] + last[:-1]
    return np.cumsum(steps)


def _pieces(ranges: _Ranges, cuts: I64) -> tuple[I64, I64]:
    """The first piece of each segment, and the number of its pieces."""
    first = np.searchsorted(cuts, ranges.start)
    return first, np.searchsorted(cuts, ranges.stop) - first


def _cut(table: PacketTable, ranges: _Ranges, cuts: I64, first: I64, many: I64) -> tuple[I64, I64]:
    """Replace segments by their pieces: the new position of each row, and the pieces' rows."""
    if len(many) and many.max() == 1:  # these are the pieces already
        moved = np.arange(len(table))
        table.content[ranges.rows] = _mixed(cuts[first].astype(np.uint64))
        table.ident[ranges.rows] = 0
        return moved, ranges.rows
    counts = np.ones(len(table), np.int64)
    counts[ranges.rows] = many
    moved = np.cumsum(counts) - counts
    piece_of = np.repeat(np.arange(len(many)), many)
    within = np.arange(len(piece_of)) - (np.cumsum(many) - many)[piece_of]
    rows = moved[ranges.rows][piece_of] + within
    cut = first[piece_of] + within
    for name in ("content", "ident", "time_ns", "flow", "tag", "length", "number"):
        setattr(table, name, np.repeat(getattr(table, name), counts))
    start = cuts[cut]
    table.content[rows] = _mixed(start.astype(np.uint64))
    table.ident[rows] = 0
    table.length[rows] = (cuts[cut + 1] - start).astype(np.int32)
    table.tag[rows] += (start - ranges.start[piece_of]).astype(np.uint32)
    return moved, rows


def _mixed(places: U64) -> U64:
    value = (places + np.uint64(1)) * _ODD
    value ^= value >> _S31
    mixed: U64 = value * _ODD
    return mixed
