"""When frames start: their jitter, usual interval and lateness, and play-out.

In: the frames that begin in a batch, in order of their first packet. Out: in the stream's row the
lateness and the jumps of its RTP clock; the interval between frames in `StreamColumns`; jitter of
frames; and the stalls of a decoder (`playout_stalls`). Only frames that advance the clock count:
with B-frames, others come in between.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.meter.rtp.by_stream import Segments
from panotui.meter.rtp.clock import (
    AGREES_S,
    HALF,
    JUMP_S,
    VIDEO_HZ,
    deviation,
    is_jump,
    wrap32,
)
from panotui.meter.rtp.frames import Frames
from panotui.meter.rtp.jitter import Jitter
from panotui.meter.rtp.playout_stalls import BUFFERS_MS, Stutter
from panotui.meter.rtp.records import Grouped
from panotui.meter.rtp.stamp_rate import StampRate
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.meter.rtp.stream_seconds import StreamSeconds
from panotui.model import F64, I64, SECOND, Bool, Rows

SETTLE_NS = SECOND  # of a new or resumed stream, before play-out is judged
_BACK_S = 0.5  # a larger step back of the clock is examined: B-frames soon catch up,
_BEHIND_MAX = 10  # and a clock that stays behind for more frames was set
_STRANGE_MAX = 3  # consecutive frames with far-off stamps that start a new timeline
_STEPS = 32  # frame intervals whose median is the usual one
_NEVER = np.iinfo(np.int64).max


class FrameStarts(Struct):
    """Packets of a batch that start frames, and the frame interval at that time."""

    rows: I64  # (k,) ascending
    interval: I64  # (k,) ticks, 0 unknown

    def interval_at(self, row: int, packets: Grouped, stream: int) -> int | None:
        """The interval at the stream's first start from this row on; None: none."""
        place = int(np.searchsorted(self.rows, row))
        if place == len(self.rows):
            return None
        owner = packets.stream(self.rows[place : place + 1])
        return int(self.interval[place]) if int(owner[0]) == stream else None


class Timed(Struct):
    """s streams at the ends of k seconds."""

    jitter_ms: F64  # (s, k) of frames
    stamp_rate: F64  # (s, k)
    ticks: I64  # (s, k) of their clocks


NO_STARTS = FrameStarts(np.zeros(0, np.int64), np.zeros(0, np.int64))


class FrameTiming:
    """State per stream: its newest frame, and the newest one that advanced its clock."""

    def __init__(self, state: StreamColumns, seconds: StreamSeconds) -> None:
        n = state.capacity
        self._state = state
        self._seconds = seconds
        self._jitter = Jitter(n)
        self._stutter = Stutter(n)
        self._rate = StampRate(state)
        self._has_frame: Bool = np.zeros(n, bool)
        self._newest_ns: I64 = np.zeros(n, np.int64)  # of the newest frame
        self._newest_stamp: I64 = np.zeros(n, np.int64)
        # of the newest frame with a far-off stamp: stamp, time, number in a row
        self._strange: I64 = np.zeros((n, 3), np.int64)
        self._lag: I64 = np.zeros(n, np.int64)  # the highest timestamp minus that
        self._behind: I64 = np.zeros(n, np.int64)  # frames since the clock stepped back
        self._ordinal: I64 = np.zeros(n, np.int64)  # frames so far
        self._forward_ns: I64 = np.zeros(n, np.int64)  # of the newest that advanced the clock
        self._forward_stamp: I64 = np.zeros(n, np.int64)
        self._forward_ordinal: I64 = np.zeros(n, np.int64)
        self._steps: I64 = np.zeros((n, _STEPS), np.int64)  # ticks, newest last
        self._step_count: I64 = np.zeros(n, np.int64)

    def forget(self, stream: int) -> None:
        self._jitter.forget(stream)
        self._stutter.forget(stream)
        self._rate.forget(stream)
        self._has_frame[stream] = False
        for table in (
            self._newest_ns,
            self._strange,
            self._lag,
            self._behind,
            self._ordinal,
            self._forward_ns,
            self._forward_ordinal,
            self._steps,
            self._step_count,
        ):
            table[stream] = 0

    def measure(self, packets: Grouped, frames: Frames, resumed: I64) -> FrameStarts:
        """Measure the new frames of a batch; before the packets `resumed` the stream was paused."""
        new, at = frames.new, frames.starts
        if not len(new):
            return NO_STARTS
        state = self._state
        stream, stamp, time_ns = frames.stream[new], frames.timestamp[new], frames.first_ns[new]
        stamp_before, before_ns = packets.stamp_before(at), packets.before_ns(at)
        part = Segments(stream)
        ids = part.ids
        unknown, step, since_ns = self._steps_of(part, stamp, time_ns, at, resumed)
        clock = state.clock[stream].astype(np.float64)
        jump = _jumps(step, since_ns, clock) & ~unknown
        if jump.any() or self._strange[ids, 2].any():
            keep, jump = self._part_strange(part, stamp, time_ns, unknown, clock, jump)
            if not keep.any():
                return NO_STARTS
            if not keep.all():
                new, at, jump, clock = new[keep], at[keep], jump[keep], clock[keep]
                stream, stamp, time_ns = stream[keep], stamp[keep], time_ns[keep]
                stamp_before, before_ns = stamp_before[keep], before_ns[keep]
                part = Segments(stream)
                ids = part.ids
                unknown, step, since_ns = self._steps_of(part, stamp, time_ns, at, resumed)
        fresh = jump | unknown
        ordinal = part.running_sum(np.ones(part.n, np.int64), self._ordinal[ids])
        forward: Bool | None = None
        if (step <= 0).any() or fresh.any() or self._lag[ids].any():
            self._set_back(part, step, fresh, clock)
            forward, self._lag[ids] = self._forward(stream, step, fresh, part)
        self._ordinal[ids] = ordinal[part.ends]
        self._has_frame[ids] = True
        self._newest_stamp[ids] = stamp[part.ends]
        self._newest_ns[ids] = time_ns[part.ends]
        rows = np.arange(part.n) if forward is None else np.flatnonzero(forward)
        if not len(rows):
            return NO_STARTS
        moves = part if forward is None else Segments(stream[rows])
        ids = moves.ids
        at_ns, at_stamp, rate = time_ns[rows], stamp[rows], clock[rows]
        gap_ns = at_ns - moves.previous(at_ns, self._forward_ns[ids])
        forward_before = moves.previous(at_stamp, self._forward_stamp[ids])
        ticks = wrap32(at_stamp - forward_before)
        valid = ~fresh[rows]
        self._add_jitter(moves, at_ns, deviation(gap_ns, ticks, rate), valid, rate)
        # With B-frames a step forward covers all frames since the last one.
        self._rate.follow(moves, at_ns, ticks, fresh[rows], rate)
        count = ordinal[rows] - moves.previous(ordinal[rows], self._forward_ordinal[ids])
        self._forward_ordinal[ids] = ordinal[rows][moves.ends]
        if (count > 1).any():
            ticks //= np.maximum(count, 1)
        interval = self._intervals(moves, ticks, valid)
        self._note_lateness(moves, since_ns[rows], interval, rate, unknown[rows])
        # The frame before a new one is complete, unless packets of others came in between.
        whole = stamp_before[rows] == forward_before
        self._forward_ns[ids] = at_ns[moves.ends]
        self._forward_stamp[ids] = at_stamp[moves.ends]
        done = rows[whole]
        self._play(stream[done], before_ns[done], stamp_before[done], rate[whole])
        return FrameStarts(at[rows], interval)

    def _steps_of(
        self, part: Segments, stamp: I64, time_ns: I64, at: I64, resumed: I64
    ) -> tuple[Bool, I64, I64]:
        """(n,) frames without a usable predecessor, and the ticks and time since the frame before
        each one.
        """
        ids = part.ids
        first = np.zeros(part.n, bool)
        first[part.starts] = ~self._has_frame[ids]
        unknown = first  # earlier frames say nothing about their lateness
        if len(resumed):
            unknown = first | np.isin(at, resumed)
        step = wrap32(stamp - part.previous(stamp, self._newest_stamp[ids]))
        step[first] = 0
        return unknown, step, time_ns - part.previous(time_ns, self._newest_ns[ids])

    def _part_strange(
        self, part: Segments, stamp: I64, time_ns: I64, unknown: Bool, clock: F64, jump: Bool
    ) -> tuple[Bool, Bool]:
        """(n,) frames that are on their stream's timeline, and those of them that begin another.

        Some recorders stamp one picture hours off now and then: it is counted and ignored. Three
        consistent ones in a row mean that the clock was set.
        """
        keep, begins = np.ones(part.n, bool), np.zeros(part.n, bool)
        odd = np.logical_or.reduceat(jump, part.starts) | (self._strange[part.ids, 2] > 0)
        jumps = self._state.row["timestamp_jumps"]
        for k in np.flatnonzero(odd).tolist():
            stream = int(part.ids[k])
            rows = slice(int(part.starts[k]), int(part.ends[k]) + 1)
            last = int(self._newest_stamp[stream]), int(self._newest_ns[stream])
            rate = float(clock[rows.start]) or VIDEO_HZ
            strange_stamp, strange_ns, count = self._strange[stream].tolist()
            for i, here, when, anew in zip(
                range(rows.start, rows.stop),
                stamp[rows].tolist(),
                time_ns[rows].tolist(),
                unknown[rows].tolist(),
                strict=True,
            ):
                off_s = 0.0 if anew else _off(here - last[0], when - last[1], rate)
                if off_s <= JUMP_S / 2:
                    # A camera that paused while its clock ran has not jumped.
                    begins[i] = off_s > AGREES_S
                    jumps[stream] += max(count - 1, 0)
                    count = 0
                    last = here, when
                    continue
                follows = count and not _off(here - strange_stamp, when - strange_ns, rate)
                count = count + 1 if follows else 1
                jumps[stream] += count == 1
                strange_stamp, strange_ns = here, when
                if count < _STRANGE_MAX:
                    keep[i] = False
                else:
                    begins[i] = True
                    count = 0
                    last = here, when
            self._strange[stream] = (strange_stamp, strange_ns, count)
        return keep, begins

    def _set_back(self, part: Segments, step: I64, fresh: Bool, clock: F64) -> None:
        """Mark in `fresh` (n,) the frames at which a clock that stepped back has not caught up: it
        was set, and continues from there.
        """
        rate = np.where(clock > 0, clock, VIDEO_HZ)
        far = step < -_BACK_S * rate
        odd = np.logical_or.reduceat(far & ~fresh, part.starts) | (self._behind[part.ids] > 0)
        for k in np.flatnonzero(odd).tolist():
            owner = int(part.ids[k])
            lag, behind = int(self._lag[owner]), int(self._behind[owner])
            for i in range(int(part.starts[k]), int(part.ends[k]) + 1):
                lag -= int(step[i])
                if fresh[i] or lag < 0:
                    lag = behind = 0
                elif behind or far[i]:
                    behind += 1
                if behind > _BEHIND_MAX:
                    fresh[i] = True
                    self._state.row["timestamp_jumps"][owner] += 1
                    lag = behind = 0
            self._behind[owner] = behind

    def _forward(self, stream: I64, step: I64, fresh: Bool, part: Segments) -> tuple[Bool, I64]:
        """Frames (n,) ahead of all before them, and the lag of each stream at its end.

        A timeline is a stretch without jumps; within it only advances of the clock count.
        """
        anew = fresh.copy()
        anew[part.starts] = True
        lines = Segments(np.cumsum(anew))
        head = lines.starts
        continues = ~fresh[head]
        owner = stream[head]
        ticks = step.copy()
        ticks[fresh] = 0
        run = lines.running_sum(ticks, np.zeros(len(head), np.int64))
        lag = np.where(continues, self._lag[owner], -1)
        peak = run.copy()
        peak[head] = np.maximum(peak[head], np.where(continues, lag, peak[head]))
        peak = lines.running_max(peak)
        return run > lines.previous(peak, lag), (peak - run)[part.ends]

    def _add_jitter(self, moves: Segments, time_ns: I64, off: F64, valid: Bool, rate: F64) -> None:
        smoothed = self._jitter.fold(off, valid & (rate > 0), moves)
        with np.errstate(divide="ignore", invalid="ignore"):
            jitter_ms = smoothed.at(np.arange(moves.n)) / rate * 1000
        self._seconds.add_frame_jitter(moves.ids[moves.index], time_ns, jitter_ms)

    def _play(self, stream: I64, complete_ns: I64, timestamp: I64, rate: F64) -> None:
        """Pass these complete frames to the play-out model.

        (Not B-frames: they are late by design, and a decoder waits for them.)
        """
        state = self._state
        known = (rate > 0) & state.picture[stream]
        known &= self._forward_ns[stream] > 0
        if not known.any():
            return
        stream, complete_ns = stream[known], complete_ns[known]
        # The start of a stream (a burst, then pacing) does not count as a stall.
        settling = complete_ns - state.row["first_ns"][stream] < SETTLE_NS
        if state.pauses:
            settling |= state.pauses.ended(stream, complete_ns - SETTLE_NS, complete_ns)
        self._stutter.play(stream, complete_ns, timestamp[known], rate[known], settling)

    def _intervals(self, moves: Segments, ticks: I64, valid: Bool) -> I64:
        """(n,) the normal frame interval at each row: median of the last steps.

        It is updated after the 2nd, 4th, 8th and every 16th step, so that it does not depend on how
        packets were batched.
        """
        known = self._state.frame_interval
        out = known[moves.ids][moves.index]
        rows = np.flatnonzero(valid)
        if not len(rows):
            return out
        part = Segments(moves.ids[moves.index[rows]])
        ids = part.ids
        position = np.arange(part.n) - part.starts[part.index]
        total = self._step_count[ids][part.index] + position + 1
        # One line per stream: the 32 steps before, then the new ones.
        width = _STEPS + part.counts
        base = np.cumsum(width) - width
        line = np.empty(int(width.sum()), np.int64)
        line[base[:, None] + np.arange(_STEPS)] = self._steps[ids]
        at = base[part.index] + _STEPS + position
        line[at] = ticks[rows]
        renew = np.flatnonzero((total % 16 == 0) | (total == 2) | (total == 4) | (total == 8))
        if len(renew):
            window = line[at[renew][:, None] - np.arange(_STEPS)]
            have = np.minimum(total[renew], _STEPS)
            window[np.arange(_STEPS)[None, :] >= have[:, None]] = _NEVER
            window.sort(axis=1)
            median = window[np.arange(len(renew)), (have - 1) // 2]
            # (the last assignment of a stream stays, which is its newest)
            known[ids[part.index[renew]]] = median
            # Rows after an update, up to the next, use it.
            source = np.full(moves.n, -1, np.int64)
            source[rows[renew]] = np.arange(len(renew))
            shifted = moves.previous(source, np.full(len(moves.ids), -1, np.int64))
            lift = moves.index * (len(renew) + 2)
            latest = np.maximum.accumulate(np.where(shifted >= 0, shifted + 1, 0) + lift) - lift
            after = latest > 0
            out[after] = median[latest[after] - 1]
        tail = base + width - _STEPS
        self._steps[ids] = line[tail[:, None] + np.arange(_STEPS)]
        self._step_count[ids] += part.counts
        return out

    def _note_lateness(
        self, moves: Segments, since_ns: I64, interval: I64, rate: F64, unknown: Bool
    ) -> None:
        usable = (interval > 0) & (rate > 0) & ~unknown
        if not usable.any():
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            late_ms = (since_ns - interval * SECOND / rate) / 1e6
        late_ms[~usable] = -np.inf
        most = np.maximum.reduceat(late_ms, moves.starts)
        most = np.where(np.isinf(most), np.nan, np.maximum(most, 0))
        latest = self._state.row["late_frame_max_ms"]
        latest[moves.ids] = np.fmax(latest[moves.ids], most)

    def are_plain(self, ids: I64, stamp: I64) -> Bool:
        """(s,) streams whose newest frame, with this time stamp, is ahead of all before it."""
        plain: Bool = self._has_frame[ids] & self._rate.has(ids)
        plain &= (self._newest_stamp[ids] == stamp) & (self._forward_stamp[ids] == stamp)
        plain &= self._forward_ordinal[ids] == self._ordinal[ids]
        plain &= (self._lag[ids] == 0) & (self._behind[ids] == 0) & (self._strange[ids, 2] == 0)
        return plain

    def unrolled_s(self, start_ns: int) -> int:
        """See `StampRate.unrolled_s`."""
        return self._rate.unrolled_s(start_ns)

    def foresee(
        self, moves: Segments, at_ns: I64, ticks: I64, rate: F64, cells: I64, start_ns: int
    ) -> Timed:
        """What n frames to come will give, each of which advances its clock of `rate` Hz; see
        `StampRate.ahead`.
        """
        ids = moves.ids
        gap_ns = at_ns - moves.previous(at_ns, self._forward_ns[ids])
        jitter = self._jitter.ahead(deviation(gap_ns, ticks, rate), moves) / rate * 1000
        count = len(cells) // len(ids)
        ends = np.append(cells[1:], moves.n) - 1
        speed = self._rate.ahead(moves, at_ns, ticks, rate, cells, start_ns)
        return Timed(jitter[ends].reshape(-1, count), *speed)

    def nominal(self, ids: I64, pictures: I64, ticks: I64, visible: Bool) -> F64:
        """See `StampRate.nominal`."""
        return self._rate.nominal(ids, pictures, ticks, visible)

    def sample(self, ids: I64, time_ns: I64, pictures: I64, ticks: I64) -> None:
        """See `StampRate.sample`."""
        self._rate.sample(ids, time_ns, pictures, ticks)

    def tick(self, now_ns: int) -> None:
        """Once a second of packet time."""
        self._rate.tick(now_ns)

    def write_rates(self, out: Rows, streams: I64) -> None:
        """Fill in the rates by time stamps; see `StampRate`."""
        self._rate.write(out, streams)

    def write(self, out: Rows, streams: I64) -> None:
        """Fill in frame jitter and stalls in the streams' rows."""
        self._jitter.write(out, streams, "frame_jitter")
        for i, buffer_ms in enumerate(BUFFERS_MS):
            out[f"stalls_{buffer_ms}ms"] = self._stutter.stalls[streams, i]
            out[f"stall_{buffer_ms}ms_s"] = self._stutter.stalled_ns[streams, i] / SECOND


def _jumps(step: I64, since_ns: I64, clock: F64) -> Bool:
    """(n,) frames before which the RTP clock has jumped."""
    rate = np.where(clock > 0, clock, VIDEO_HZ)
    return is_jump(step, deviation(since_ns, step, rate), rate)


def _off(step: int, since_ns: int, rate: float) -> float:
    """Seconds by which a far step of the RTP clock differs from the elapsed time; 0 for a near
    one.
    """
    step = ((step + HALF) & 0xFFFFFFFF) - HALF
    if abs(step) <= JUMP_S * rate:
        return 0.0
    return abs(step / rate - since_ns / SECOND)
