"""Walk the records of a capture held in memory: bytes in, record offsets and headers out, by numpy.

A record's header gives its length, so records form a chain, and following a chain one by one in
Python costs more than everything that is later done with the packets. Two ways avoid it:

- records of one size follow at one stride: one comparison of a strided view tells for all of them;
- otherwise the region is cut into segments, in each a *plausible* record start is guessed, and all
  chains are followed in lockstep, one gather for all of them a step. A chain proves the next one:
  the first starts at a true record, and when it arrives exactly where the next one started, that
  start was true as well. Where it does not, the true chain is followed one record at a time until
  it meets offsets that are known. So guesses decide speed only, never the result.

The headers are kept on the way, because touching each packet's memory is the real cost.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from panotui.model import I64, U8

Heads: TypeAlias = NDArray[Any]  # (n,) void of `Geometry.head` bytes

# (data, positions, window, stop) -> a plausible record start in [position, position + window) for
# each position, or -1
Guess: TypeAlias = Callable[[U8, I64, int, int], I64]

SERIAL_BELOW = 512  # records; fewer are walked one at a time
UNIFORM_LEAST = 32  # records of one size in a row that are worth a strided view
UNIFORM_AGAIN = 1024  # records; after a shorter run the sizes are taken for mixed
CHAINS = 2048
RECORDS_A_CHAIN = 96
CHECK_EVERY = 8  # steps between looking whether all chains have arrived
CHAINS_LEAST = 8  # fewer are not worth the arrays


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a record tells its length: a u32 at `length_at` of its header, plus `overhead` bytes."""

    head: int  # bytes of header that are kept, a multiple of 4
    least_head: int  # bytes that must be there to know the length
    length_at: int
    overhead: int
    order: str  # "<" or ">"
    least: int  # bytes of the smallest record
    largest: int  # bytes; a longer record is taken for damage
    padded: bool = False  # lengths are rounded up to a multiple of 4

    def step(self, data: U8, position: int) -> int:
        """Bytes from this record to the next, as the record says."""
        (length,) = struct.unpack_from(self.order + "I", data.data, position + self.length_at)
        step = int(length) + self.overhead
        return (step + 3) & ~3 if self.padded else step

    def steps(self, heads: Heads) -> I64:
        words = heads.view(self.order + "u4").reshape(-1, self.head // 4)
        steps = words[:, self.length_at // 4].astype(np.int64)
        steps += self.overhead
        if self.padded:
            steps += 3
            steps &= ~3
        return steps


@dataclass(frozen=True, slots=True)
class Walk:
    """Whole records of a region, and where and why the walk ended."""

    offsets: I64  # (n,)
    heads: Heads  # (n,)
    next: int  # the first byte that is not part of a whole record
    broken: (
        bool  # the header at `next` is impossible (else it is incomplete, or `most` was reached)
    )


def walk(
    data: U8, start: int, stop: int, geometry: Geometry, guess: Guess, most: int, largest_seen: int
) -> Walk:
    """At most `most` whole records of `data[start:stop]`, the first of which begins at `start`.

    `largest_seen` is a hint: bytes of the largest record so far (0 unknown).
    """
    pieces: list[tuple[I64, Heads]] = []
    position = start
    count = 0
    while count < most:
        run = _uniform(data, position, stop, geometry, most - count)
        if run is None:
            break
        pieces.append(run)
        count += len(run[0])
        position = int(run[0][-1]) + geometry.step(data, int(run[0][-1]))
        if len(run[0]) < UNIFORM_AGAIN:
            break
    broken = False
    if count < most:
        average = _average(data, position, stop, geometry)
        wanted = int((most - count) * average * 1.02) + 65_536
        if position + geometry.least_head <= stop:
            wanted += min(geometry.step(data, position), geometry.largest)
        reach = min(stop, position + wanted)
        if (reach - position) / average >= SERIAL_BELOW:
            mixed = _lockstep(data, position, reach, geometry, guess, average, largest_seen)
            mixed, position, broken = _cut(mixed, position, reach, geometry)
            pieces.append(mixed)
            count += len(mixed[0])
        if not broken and count < most:
            rest, position, broken = _serial(data, position, reach, geometry, most - count)
            pieces.append(rest)
    if len(pieces) == 1:
        offsets, heads = pieces[0]
    elif pieces:
        offsets = np.concatenate([piece[0] for piece in pieces])
        heads = np.concatenate([piece[1] for piece in pieces])
    else:
        offsets, heads = np.empty(0, np.int64), np.empty(0, f"V{geometry.head}")
    if len(offsets) > most:
        position, broken = int(offsets[most]), False
        offsets, heads = offsets[:most], heads[:most]
    return Walk(offsets, heads, position, broken)


def walk_serially(data: U8, start: int, stop: int, geometry: Geometry, most: int) -> Walk:
    """The same answer as `walk`, one record at a time."""
    (offsets, heads), position, broken = _serial(data, start, stop, geometry, most)
    return Walk(offsets, heads, position, broken)


def _head_view(data: U8, stop: int, geometry: Geometry) -> Heads:
    """(stop - head + 1,) overlapping headers, one a byte position."""
    return np.ndarray(
        (max(stop - geometry.head + 1, 0),), f"V{geometry.head}", buffer=data, strides=(1,)
    )


def _uniform(
    data: U8, start: int, stop: int, geometry: Geometry, most: int
) -> tuple[I64, Heads] | None:
    """The run of equally long records at `start`, or None when it is too short to matter."""
    if start + UNIFORM_LEAST * geometry.least > stop:
        return None
    step = geometry.step(data, start)
    if not geometry.least <= step <= geometry.largest:
        return None
    room = min(most, (stop - start) // step)
    if room < UNIFORM_LEAST or stop - (start + (room - 1) * step) < geometry.head:
        room -= 1
    if room < UNIFORM_LEAST:
        return None
    lengths: NDArray[np.uint32] = np.ndarray(
        (room,),
        geometry.order + "u4",
        buffer=data,
        offset=start + geometry.length_at,
        strides=(step,),
    )
    first = lengths[0]
    if not (lengths[:UNIFORM_LEAST] == first).all():
        return None
    run = UNIFORM_LEAST
    while run < room:
        reach = min(room, run * 4)
        other = lengths[run:reach] != first
        if other.any():
            run += int(other.argmax())
            break
        run = reach
    offsets = np.arange(start, start + run * step, step, dtype=np.int64)
    strided: Heads = np.ndarray(
        (run,), f"V{geometry.head}", buffer=data, offset=start, strides=(step,)
    )
    return offsets, strided.copy()


def _average(data: U8, start: int, stop: int, geometry: Geometry) -> float:
    """Mean size of the first records: how many there will be in the region, roughly."""
    position, seen = start, 0
    while seen < 16 and position + geometry.least_head <= stop:
        step = geometry.step(data, position)
        if not geometry.least <= step <= geometry.largest:
            break
        position += step
        seen += 1
    return max((position - start) / seen if seen else 0.0, geometry.least, 48.0)


def _cut(
    piece: tuple[I64, Heads], start: int, stop: int, geometry: Geometry
) -> tuple[tuple[I64, Heads], int, bool]:
    """Cut a true chain where it ends: at an impossible length, or at a record that is not whole."""
    offsets, heads = piece
    if not len(offsets):
        return piece, start, False
    steps = geometry.steps(heads)
    bad = (steps < geometry.least) | (steps > geometry.largest)
    if bad.any():
        first = int(bad.argmax())
        return (offsets[:first], heads[:first]), int(offsets[first]), True
    end = int(offsets[-1] + steps[-1])
    if end > stop:
        return (offsets[:-1], heads[:-1]), int(offsets[-1]), False
    return piece, end, False


def _serial(
    data: U8,
    start: int,
    stop: int,
    geometry: Geometry,
    most: int,
    known: frozenset[int] | set[int] = frozenset(),
) -> tuple[tuple[I64, Heads], int, bool]:
    """Follow the chain one record at a time, up to `stop`, `most` or an offset that is `known`."""
    unpack = struct.Struct(geometry.order + "I").unpack_from
    at, overhead, padded = geometry.length_at, geometry.overhead, geometry.padded
    least, largest, least_head = geometry.least, geometry.largest, geometry.least_head
    view = data.data
    found: list[int] = []
    position = start
    broken = False
    while position + least_head <= stop and len(found) < most and position not in known:
        step = unpack(view, position + at)[0] + overhead
        if padded:
            step = (step + 3) & ~3
        if not least <= step <= largest:
            broken = True
            break
        if position + step > stop:
            break
        found.append(position)
        position += step
    offsets = np.array(found, np.int64)
    return (offsets, _heads_at(data, offsets, geometry)), position, broken


def _heads_at(data: U8, offsets: I64, geometry: Geometry) -> Heads:
    """Headers at `offsets`; what reaches past the end of the data is zero."""
    view = _head_view(data, len(data), geometry)
    whole = int(np.searchsorted(offsets, len(view)))
    if whole == len(offsets):
        heads: Heads = view[offsets]
        return heads
    heads = np.zeros(len(offsets), f"V{geometry.head}")
    heads[:whole] = view[offsets[:whole]]
    raw = heads.view(np.uint8).reshape(len(offsets), geometry.head)
    for row in range(whole, len(offsets)):
        tail = data[int(offsets[row]) : int(offsets[row]) + geometry.head]
        raw[row, : len(tail)] = tail
    return heads


def _starts(
    data: U8, start: int, stop: int, guess: Guess, average: float, largest_seen: int
) -> I64:
    """Where the chains begin: `start`, and a guessed record in each further segment."""
    chains = int(min(CHAINS, (stop - start) / average / RECORDS_A_CHAIN))
    window = max(min(largest_seen, 16_384) if largest_seen else 2_048, 128) + 64
    chains = min(chains, (stop - start) // (2 * window))
    if chains < 2:
        return np.array([start], np.int64)
    segment = (stop - start) // chains
    positions = start + segment * np.arange(1, chains, dtype=np.int64)
    guesses = guess(data, positions, window, stop)
    starts: I64 = np.concatenate((np.array([start], np.int64), guesses[guesses > start]))
    return starts


def _lockstep(
    data: U8,
    start: int,
    stop: int,
    geometry: Geometry,
    guess: Guess,
    average: float,
    largest_seen: int,
) -> tuple[I64, Heads]:
    """The chain from `start`; headers within `head` bytes of `stop` are left out."""
    edge = stop - geometry.head  # a record that starts here or later is left to the caller
    starts = _starts(data, start, edge, guess, average, largest_seen)
    chains = len(starts)
    if chains < CHAINS_LEAST:
        return _serial(data, start, edge, geometry, 1 << 62)[0]
    ends = np.append(starts[1:], edge)
    expected = int((stop - start) / average / chains) + 8
    table, heads, steps = _follow(
        _head_view(data, stop, geometry), starts, ends, edge, geometry, expected
    )
    inside = table[:steps] < ends
    counts = inside.sum(axis=0)
    exits = table[counts, np.arange(chains)]
    wrong = np.flatnonzero(exits[:-1] != ends[:-1])
    if not len(wrong) and exits[-1] >= edge:
        chosen = inside.T
        return table[:steps].T[chosen], heads[:steps].T[chosen]
    return _mend(data, table, heads, starts, ends, counts, exits, edge, geometry)


def _follow(
    view: Heads, starts: I64, ends: I64, edge: int, geometry: Geometry, expected: int
) -> tuple[I64, Heads, int]:
    """Follow all chains in lockstep: offsets (steps + 1, chains), headers (steps, chains)."""
    chains = len(starts)
    rows = expected + expected // 4 + CHECK_EVERY
    most_rows = expected * 4 + 64  # beyond that the sizes are too unequal: the rest is mended
    table = np.empty((rows + 1, chains), np.int64)
    heads = np.empty((rows, chains), view.dtype)
    words = geometry.head // 4
    lengths = heads.view(geometry.order + "u4").reshape(rows, chains, words)
    offsets = starts.copy()
    step = 0
    while True:
        table[step] = offsets
        np.copyto(heads[step], view[offsets])
        offsets += lengths[step, :, geometry.length_at // 4]
        if geometry.overhead:
            offsets += geometry.overhead
        if geometry.padded:
            offsets += 3
            offsets &= ~3
        np.minimum(offsets, edge, out=offsets)
        step += 1
        if step % CHECK_EVERY == 0 and (step >= most_rows or bool((offsets >= ends).all())):
            break
        if step == rows:
            more = rows // 2 + CHECK_EVERY
            table = np.concatenate((table, np.empty((more, chains), np.int64)))
            heads = np.concatenate((heads, np.empty((more, chains), view.dtype)))
            rows += more
            lengths = heads.view(geometry.order + "u4").reshape(rows, chains, words)
    table[step] = offsets
    return table, heads, step


def _mend(
    data: U8,
    table: I64,
    heads: Heads,
    starts: I64,
    ends: I64,
    counts: I64,
    exits: I64,
    edge: int,
    geometry: Geometry,
) -> tuple[I64, Heads]:
    """The true chain where some guesses were wrong: proven chains joined by serial walks."""
    pieces: list[tuple[I64, Heads]] = []
    chain, row = 0, 0  # the true chain is at table[row, chain]
    chains = len(starts)
    while True:
        pieces.append((table[row : counts[chain], chain], heads[row : counts[chain], chain]))
        position = int(exits[chain])
        if position < edge and counts[chain] and exits[chain] == table[counts[chain] - 1, chain]:
            break  # a length of zero: the caller sees it as broken
        while True:  # meet a chain at one of its own offsets
            if position >= edge:
                return _joined(pieces)
            chain = int(np.searchsorted(starts, position, "right")) - 1
            column = table[: counts[chain], chain]
            row = int(np.searchsorted(column, position))
            if row < len(column) and column[row] == position:
                break
            met = set(column[row:].tolist())
            reach = int(ends[chain]) if chain + 1 < chains else edge
            # up to `reach` by starts, not by whole records: the last may reach into the next
            piece, position, broken = _serial_until(data, position, reach, edge, geometry, met)
            pieces.append(piece)
            if broken:
                return _joined(pieces)
    return _joined(pieces)


def _serial_until(
    data: U8, start: int, reach: int, edge: int, geometry: Geometry, known: set[int]
) -> tuple[tuple[I64, Heads], int, bool]:
    """Records that start in [start, reach), until one is `known`; broken: none may follow."""
    found: list[int] = []
    position = start
    ended = False
    while position < reach and position not in known:
        found.append(position)
        step = geometry.step(data, position)
        if not geometry.least <= step <= geometry.largest:
            ended = True  # the impossible header is the last one: `_cut` looks at it
            break
        position = min(position + step, edge)
    offsets = np.array(found, np.int64)
    return (offsets, _heads_at(data, offsets, geometry)), position, ended


def _joined(pieces: list[tuple[I64, Heads]]) -> tuple[I64, Heads]:
    return (
        np.concatenate([piece[0] for piece in pieces]),
        np.concatenate([piece[1] for piece in pieces]),
    )
