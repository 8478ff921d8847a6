"""Walk the records of a capture held in memory: bytes in, record offsets and headers out, by numpy.

A record's header gives its length, so records form a chain. Following it record by record in Python
costs more than all later processing. Two methods avoid this:

- records of equal size have a constant stride: one comparison of a strided view checks all of them;
- otherwise the region is split into segments, a *plausible* record start is guessed in each, and
  all chains are followed in lockstep, with one gather per step. A chain proves the next one: the
  first starts at a true record, and if it arrives exactly at the start of the next chain, that
  start was true as well. If it does not, the true chain is followed one record at a time until it
  meets known offsets. Guesses therefore affect only the speed, never the result.

A region is small enough for its tables to stay in the processor's cache.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from panotui.model import I64, U8, U32

Heads: TypeAlias = NDArray[Any]  # (n,) void of `Geometry.head` bytes

# (data, positions, window, stop) -> a plausible record start in [position, position + window) for
# each position, or -1
Guess: TypeAlias = Callable[[U8, I64, int, int], I64]

SERIAL_BELOW = 512  # records; fewer are followed one at a time
UNIFORM_LEAST = 32  # records of equal size in a row that justify a strided view
UNIFORM_AGAIN = 1024  # records; after a shorter run the sizes count as mixed
# Each chain touches its own pages. More chains than TLB entries cost 50 ns per record instead of 5;
# fewer chains pay more of numpy's fixed cost per call (3 us per step).
CHAINS = 384
RECORDS_A_CHAIN = 128
NARROW = 60_000  # bytes of the largest record so far up to which 16 bits of a length suffice
CHECK_EVERY = 8  # steps between checks whether all chains have arrived
CHAINS_LEAST = 8  # fewer do not justify the arrays


class Geometry(Struct, frozen=True):
    """Where a record has its length: a u32 at `length_at` of its header, plus `overhead` bytes."""

    head: int  # bytes of header that are kept, a multiple of 4
    least_head: int  # bytes needed to know the length
    length_at: int
    overhead: int
    order: str  # "<" or ">"
    least: int  # bytes of the smallest record
    largest: int  # bytes; a longer record counts as damage
    padded: bool = False  # lengths are rounded up to a multiple of 4

    def step(self, data: U8, position: int) -> int:
        """Bytes from this record to the next, according to the record."""
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


class Walk(Struct, frozen=True):
    """Whole records of a region, and where and why the walk ended."""

    offsets: I64  # (n,)
    heads: Heads  # (n,)
    next: int  # the first byte that is not part of a whole record
    broken: (
        bool  # the header at `next` is invalid (otherwise it is incomplete, or `most` was reached)
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
    while count < most and not broken:
        average = _average(data, position, stop, geometry)
        wanted = min(most - count, CHAINS * RECORDS_A_CHAIN)
        reach = min(stop, position + int(wanted * average * 1.02) + 4_096)
        if (reach - position) / average < SERIAL_BELOW:
            break
        mixed = _lockstep(data, position, reach, geometry, guess, average, largest_seen)
        mixed, position, broken = _cut(mixed, position, reach, geometry)
        if not len(mixed[0]):
            break
        pieces.append(mixed)
        count += len(mixed[0])
        largest_seen = max(largest_seen, int(np.diff(mixed[0]).max(initial=0)))
    if count < most and not broken:
        rest, position, broken = _serial(data, position, stop, geometry, min(most - count, 2_048))
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


def _head_view(data: U8, stop: int, geometry: Geometry) -> Heads:
    """(stop - head + 1,) overlapping headers, one per byte position."""
    return np.ndarray(
        (max(stop - geometry.head + 1, 0),), f"V{geometry.head}", buffer=data, strides=(1,)
    )


def _uniform(
    data: U8, start: int, stop: int, geometry: Geometry, most: int
) -> tuple[I64, Heads] | None:
    """The run of equally long records at `start`, or None if it is too short to matter."""
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
    """Mean size of the first records, to estimate how many the region has."""
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
    """Cut a true chain at an invalid length, or at an incomplete record."""
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
    """Headers at `offsets`; zero past the end of the data."""
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
    """Starts of the chains: `start`, and a guessed record in each further segment."""
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
    # lengths nearly always fit in 16 bits; if one did not, the chain is invalid
    for narrow in (True, False) if largest_seen < NARROW else (False,):
        table, steps = _follow(data, stop, starts, ends, edge, geometry, expected, narrow)
        inside = table[:steps] < ends
        counts = inside.sum(axis=0)
        exits = table[counts, np.arange(chains)]
        if bool((exits[:-1] == ends[:-1]).all()) and exits[-1] >= edge:
            offsets: I64 = table[:steps].T[inside.T]
        else:
            offsets = _mend(data, table, starts, ends, counts, exits, edge, geometry)
        heads: Heads = _head_view(data, stop, geometry)[offsets]
        if not narrow or bool((geometry.steps(heads)[:-1] == np.diff(offsets)).all()):
            break
    return offsets, heads


def _follow(
    data: U8,
    stop: int,
    starts: I64,
    ends: I64,
    edge: int,
    geometry: Geometry,
    expected: int,
    narrow: bool,
) -> tuple[I64, int]:
    """Follow all chains in lockstep: offsets (steps + 1, chains); the last row has the exits.

    `narrow`: read only the low 16 bits of lengths.
    """
    chains = len(starts)
    lengths_at = _length_reader(data, stop, starts, geometry, narrow)
    rows = expected + expected // 4 + CHECK_EVERY
    most_rows = expected * 4 + 64  # beyond that the sizes are too unequal: `_mend` handles the rest
    table = np.empty((rows + 1, chains), np.int64)
    offsets = table[0]
    offsets[:] = starts
    step = 0
    # operands as arrays: numpy takes twice as long with a Python number
    overhead = np.full(chains, geometry.overhead + (3 if geometry.padded else 0))
    whole, edges = np.full(chains, ~3), np.full(chains, edge)
    while True:
        following = table[step + 1]
        np.add(offsets, lengths_at(offsets), out=following)
        np.add(following, overhead, out=following)
        if geometry.padded:
            np.bitwise_and(following, whole, out=following)
        np.minimum(following, edges, out=following)
        offsets = following
        step += 1
        if step % CHECK_EVERY == 0 and (step >= most_rows or bool((offsets >= ends).all())):
            return table, step
        if step == rows:
            more = rows // 2 + CHECK_EVERY
            table = np.concatenate((table, np.empty((more, chains), np.int64)))
            rows += more
            offsets = table[step]


def _length_reader(
    data: U8, stop: int, starts: I64, geometry: Geometry, narrow: bool
) -> Callable[[I64], NDArray[Any]]:
    """A function from record offsets to their lengths in the file."""
    # a take has many cache misses in flight at once, a gather from odd addresses few
    words: U32 = data[: len(data) & ~3].view(geometry.order + "u4")
    if geometry.padded and words.flags.aligned and not (starts & 3).any():
        behind = words[geometry.length_at // 4 :]
        if words.dtype.isnative:
            return lambda offsets: behind.take(offsets >> 2)
    at = geometry.length_at
    if narrow:
        low, high = (data[at:], data[at + 1 :])
        if geometry.order == ">":
            low, high = (data[at + 3 :], data[at + 2 :])
        eight = np.full(len(starts), 8)

        def two_bytes(offsets: I64) -> I64:
            out = high.take(offsets).astype(np.int64)
            np.left_shift(out, eight, out=out)
            np.add(out, low.take(offsets), out=out)
            return out

        return two_bytes
    lengths: U32 = np.ndarray(
        (max(stop - at - 3, 0),), geometry.order + "u4", buffer=data, offset=at, strides=(1,)
    )
    return lambda offsets: lengths[offsets]


def _mend(
    data: U8,
    table: I64,
    starts: I64,
    ends: I64,
    counts: I64,
    exits: I64,
    edge: int,
    geometry: Geometry,
) -> I64:
    """The true chain where some guesses were wrong: proven chains joined by serial walks."""
    pieces: list[I64] = []
    chain, row = 0, 0  # the true chain is at table[row, chain]
    while True:
        pieces.append(table[row : counts[chain], chain])
        position = int(exits[chain])
        if counts[chain] and position == table[counts[chain] - 1, chain]:
            break  # a length of zero: `_cut` sees it
        while True:  # offsets at which a chain can be met
            if position >= edge:
                return np.concatenate(pieces)
            chain = int(np.searchsorted(starts, position, "right")) - 1
            column = table[: counts[chain], chain]
            row = int(np.searchsorted(column, position))
            if row < len(column) and column[row] == position:
                break
            known = set(column[row:].tolist())
            piece, position, broken = _serial_until(
                data, position, int(ends[chain]), edge, geometry, known
            )
            pieces.append(piece)
            if broken:
                return np.concatenate(pieces)
    return np.concatenate(pieces)


def _serial_until(
    data: U8, start: int, reach: int, edge: int, geometry: Geometry, known: set[int]
) -> tuple[I64, int, bool]:
    """Records that start in [start, reach), until one is `known`; (offsets, next, impossible)."""
    found: list[int] = []
    position = start
    while position < reach and position not in known:
        found.append(position)
        step = geometry.step(data, position)
        if not geometry.least <= step <= geometry.largest:
            return np.array(found, np.int64), position, True  # `_cut` looks at it
        position = min(position + step, edge)
    return np.array(found, np.int64), position, False
