"""Groups RTP packets into frames: all packets of a stream with one timestamp, across batches.

In: packets grouped by stream. Out: `Frames`, the frames that they belong to, including open ones
from earlier batches. Nearly always the RTP clock only advances and each run of equal timestamps is
a separate frame; otherwise runs are matched by their timestamps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct

from panotui.meter.rtp.by_stream import Segments
from panotui.meter.rtp.clock import HALF, wrap32
from panotui.meter.rtp.records import Grouped
from panotui.meter.rtp.sequence import Flawed
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.model import I32, I64, Bool
from panotui.model.arrays import lengths
from panotui.wire.h264 import VCL

_OPEN = 8  # frames of a stream that may still receive packets
_STAMP, _SIZE, _FLAGS, _FIRST_NS = range(4)  # fields kept of them


class Frames(Struct):
    """f frames, stream by stream: the open ones first, new ones in order of their first packet."""

    stream: I64  # (f,)
    timestamp: I64  # (f,)
    first_ns: I64  # (f,) when the first packet came
    size: I64  # (f,) media bytes so far
    flags: I64  # (f,) bits of panotui.wire.h264 of all packets so far
    flags_before: I64  # (f,) the same before this batch
    slice_at: I64  # (f,) sort key: their first slice in this batch
    new: I64  # (k,) those that begin in this batch
    starts: I64  # (k,) the packets that begin them, as rows of the batch


class _Runs(Struct):
    """r runs of a stream's packets of one timestamp."""

    at: I64  # (r,) the row of the first
    segment: I64  # (r,)
    stamp: I64  # (r,)
    size: I64  # (r,) media bytes
    flags: I64  # (r,)

    def take(self, which: Bool) -> _Runs:
        return _Runs(
            self.at[which],
            self.segment[which],
            self.stamp[which],
            self.size[which],
            self.flags[which],
        )


class _Held(Struct):
    """h open frames of the streams of a batch, oldest first."""

    stamps: I64  # (s, 8) -1: none
    segment: I64  # (h,)
    frame: I64  # (h, 4)


class _Joined(Struct):
    """Frames of a batch by segment, held ones first, new ones in order of their first packet."""

    member: I64  # (h + r,) the frame of each held frame and of each run of packets
    segment: I64  # (f,)
    size: I64  # (f,) media bytes so far
    flags: I64  # (f,) of all packets so far
    new: I64  # frames that were not held
    first_run: I64  # the run that begins each of them


class OpenFrames:
    """The newest frames of each stream, which may still receive packets.

    `counted(streams, timestamps)` (n,) says which pictures were counted lately.
    """

    def __init__(self, state: StreamColumns, counted: Callable[[I64, I64], Bool]) -> None:
        self._state = state
        self._counted = counted
        self._open: I64 = np.zeros((state.capacity, _OPEN, 4), np.int64)
        self._open[:, :, _STAMP] = -1

    def forget(self, stream: int) -> None:
        self._open[stream] = 0
        self._open[stream, :, _STAMP] = -1

    def newest(self, ids: I64) -> tuple[I64, I64, I64]:
        """Time stamp, flags and first arrival of the newest frame of these streams, (s,) each."""
        newest = self._open[ids, -1]
        return newest[:, _STAMP], newest[:, _FLAGS], newest[:, _FIRST_NS]

    def group(self, packets: Grouped, flawed: Flawed | None) -> Frames | None:
        """The frames of a batch; None if all its packets belong to frames long over."""
        segments = packets.segments
        runs = self._runs(packets)
        # Frames that are still open, oldest first, before the runs of this batch.
        opened = self._open[segments.ids]
        stamps = opened[:, :, _STAMP]
        held_segment, slot = np.nonzero(stamps >= 0)
        held = _Held(stamps, held_segment, opened[held_segment, slot])
        over = self._long_over(packets, flawed, runs, held)
        joined: _Joined | None
        if over is None:
            joined = _in_order(segments, held, runs, packets.step[runs.at])
        else:
            joined, runs = None, runs.take(~over)
            if not len(runs.at):
                return None
        if joined is None:
            joined = _in_any_order(held, runs)
        frames = self._frames(packets, held, runs, joined)
        self._keep(frames)
        return frames

    def _runs(self, packets: Grouped) -> _Runs:
        segments = packets.segments
        begins = packets.step != 0
        begins[segments.starts] = True
        at = np.flatnonzero(begins)
        segment = segments.index[at]
        flags = np.bitwise_or.reduceat(packets.flags, at).astype(np.int64)
        plain = ~self._state.reads_keys[segments.ids]
        if plain.any():
            flags[plain[segment]] |= VCL
        return _Runs(
            at,
            segment,
            packets.timestamp[at].astype(np.int64),
            np.add.reduceat(packets.media, at, dtype=np.int64),
            flags,
        )

    def _long_over(
        self, packets: Grouped, flawed: Flawed | None, runs: _Runs, held: _Held
    ) -> Bool | None:
        """(r,) runs of late packets whose picture was counted and is no longer open; None: none.

        Their bytes count for the stream, but they begin no picture.
        """
        if flawed is None:
            return None
        late = np.zeros(packets.segments.n, bool)
        late[flawed.rows] = (flawed.advance <= 0) & flawed.counted
        over = late[runs.at]
        if not over.any():
            return None
        which = np.flatnonzero(over)
        segment, stamp = runs.segment[which], runs.stamp[which]
        is_held = (held.stamps[segment] == stamp[:, None]).any(axis=1)
        over[which] = self._counted(packets.segments.ids[segment], stamp) & ~is_held
        return over if over.any() else None

    def _frames(self, packets: Grouped, held: _Held, runs: _Runs, joined: _Joined) -> Frames:
        count = len(joined.segment)
        of_held, of_run = np.split(joined.member, [len(held.frame)])
        stamp = np.empty(count, np.int64)
        stamp[of_held], stamp[of_run] = held.frame[:, _STAMP], runs.stamp
        first_ns = np.empty(count, np.int64)
        first_ns[of_run[::-1]] = packets.time_ns[runs.at[::-1]]  # the first of them stays
        first_ns[of_held] = held.frame[:, _FIRST_NS]
        flags_before = np.zeros(count, np.int64)
        flags_before[of_held] = held.frame[:, _FLAGS]
        # Position of each frame's first slice; of several assignments the last (the earliest slice)
        # stays.
        slices = np.flatnonzero(runs.flags & VCL)[::-1]
        slice_at = np.full(count, len(runs.at))
        slice_at[of_run[slices]] = slices
        return Frames(
            packets.segments.ids[joined.segment],
            stamp,
            first_ns,
            joined.size,
            joined.flags,
            flags_before,
            slice_at,
            joined.new,
            runs.at[joined.first_run],
        )

    def _keep(self, frames: Frames) -> None:
        """The newest frames of each stream may receive more packets."""
        part = Segments(frames.stream)
        slot = np.arange(part.n) - part.ends[part.index] + _OPEN - 1
        keep = np.flatnonzero(slot >= 0)
        stream, slot = frames.stream[keep], slot[keep]
        self._open[part.ids, :, _STAMP] = -1
        for i, values in (
            (_STAMP, frames.timestamp),
            (_SIZE, frames.size),
            (_FLAGS, frames.flags),
            (_FIRST_NS, frames.first_ns),
        ):
            self._open[stream, slot, i] = values[keep]


def _in_order(segments: Segments, held: _Held, runs: _Runs, step: I32) -> _Joined | None:
    """The frames if the RTP clock only advances, so that each run is a separate frame.

    Only the first run of a segment may continue a frame, the newest open one. None if that does not
    hold. `step` (r,) is the clock's step before each run.
    """
    first_run = np.searchsorted(runs.at, segments.starts)
    moved = step.copy()
    moved[first_run] = 1
    if int(moved.min()) <= 0 or int(moved.sum(dtype=np.int64)) >= HALF // 2:
        return None
    known = held.stamps >= 0
    ahead = wrap32(runs.stamp[first_run][:, None] - held.stamps)
    continued = known[:, -1] & (ahead[:, -1] == 0)
    ahead[continued, -1] = 1
    ahead[~known] = 1
    if int(ahead.min()) <= 0 or int(ahead.max()) >= HALF // 2:
        return None
    held_count = known.sum(axis=1)
    run_count = lengths(first_run, len(runs.at))
    count = held_count + run_count - continued
    begin = np.cumsum(count) - count
    total = int(count.sum())
    held_begin = np.cumsum(held_count) - held_count
    of_held = np.arange(len(held.frame)) + (begin - held_begin)[held.segment]
    of_run = np.arange(len(runs.at)) + np.repeat(
        begin + held_count - continued - first_run, run_count
    )
    size, flags = np.zeros(total, np.int64), np.zeros(total, np.int64)
    size[of_run], flags[of_run] = runs.size, runs.flags
    size[of_held] += held.frame[:, _SIZE]
    flags[of_held] |= held.frame[:, _FLAGS]
    fresh = np.ones(len(runs.at), bool)
    fresh[first_run[continued]] = False
    first = np.flatnonzero(fresh)
    return _Joined(
        np.concatenate([of_held, of_run]),
        np.repeat(np.arange(len(count)), count),
        size,
        flags,
        of_run[first],
        first,
    )


def _in_any_order(held: _Held, runs: _Runs) -> _Joined:
    """The frames of packets in any order: all runs with one timestamp are one frame."""
    held_count = len(held.frame)
    segment = np.concatenate([held.segment, runs.segment])
    key = segment << 32
    key |= np.concatenate([held.frame[:, _STAMP], runs.stamp])
    rank = segment * 2 + (np.arange(len(key)) >= held_count)
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    # Frames in order of their first packet, stream by stream.
    order = np.lexsort((first, rank[first]))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    member = place[member]
    first = first[order]
    size = np.concatenate([held.frame[:, _SIZE], runs.size])
    flags = np.zeros(len(first), np.int64)
    np.bitwise_or.at(flags, member, np.concatenate([held.frame[:, _FLAGS], runs.flags]))
    new = np.flatnonzero(first >= held_count)
    return _Joined(
        member,
        segment[first],
        np.bincount(member, weights=size).astype(np.int64),
        flags,
        new,
        first[new] - held_count,
    )
