"""The numbers of RTP streams: one core for UDP batches and for frames interleaved in TCP.

In: `RtpRecords`, parallel columns in order of arrival, each row naming its stream by index. Out:
`row`, one STREAM_DTYPE row a stream, per-second increments, gaps, freezes and restarts. All
streams of a batch are worked on at once: rows are sorted by stream and segment operations do the
rest. Sequence numbers follow RFC 3550 A.1 (`sequence`): where a segment stays within MAX_DROPOUT
and MAX_MISORDER (nearly always) as arrays, else packet by packet around the anomaly. The result
does not depend on how packets are cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from panotui.meter.gaps import Gap, Gaps
from panotui.meter.pauses import Pauses
from panotui.meter.rtp_records import Grouped, RtpRecords
from panotui.meter.segments import Segments, pick, smooth
from panotui.meter.sequence import Flawed, Sequence, SequenceNumbers
from panotui.meter.stutter import BUFFERS_MS, Stutter
from panotui.model import (
    F64,
    I32,
    I64,
    SECOND,
    STREAM_DTYPE,
    STREAM_SECOND_DTYPE,
    U8,
    AnyMessage,
    Bool,
    Rows,
    StreamFreeze,
    StreamRestart,
)
from panotui.wire.h264 import KEY, MARK, START, VCL

# A larger step of the RTP clock is an outlier or a new timeline, unless as much time has passed.
TIMESTAMP_JUMP_S = 5.0
TIMESTAMP_AGREES_S = 0.1
FREEZE_NS = 2 * SECOND
SETTLE_NS = SECOND  # of a new stream, or one that plays again, before play-out is judged
PAUSE_LEAST_NS = SECOND // 10  # a silence that is shorter needs no excuse
_OPEN_FRAMES = 8  # frames that may still receive packets
_COUNTED = 256  # pictures remembered: a packet that is later than `sequence.RECENT` starts anew
_STEPS = 32  # frame intervals of which the nominal one is the median
_SECONDS = 16  # seconds remembered for `fps_now`
_FPS_WINDOW = 10
_UNJUDGED_MAX = 8  # silences a stream
_HALF = 1 << 31
_NEVER = np.iinfo(np.int64).max


def _wrap32(difference: I64) -> I64:
    """Differences of RTP timestamps as signed 32-bit numbers."""
    result: I64 = ((difference + _HALF) & 0xFFFFFFFF) - _HALF
    return result


@dataclass(slots=True)
class _Totals:
    """Of one batch, a segment each."""

    size: I64  # (s,) bytes
    gap_ns: I64  # (s,) the longest time between two packets


class RtpMetrics:
    """Tables of at most `capacity` streams and the one method that measures."""

    def __init__(self, capacity: int) -> None:
        n = capacity
        self.row: Rows = np.zeros(n, STREAM_DTYPE)
        self.changed: Bool = np.zeros(n, bool)
        self.messages: list[AnyMessage] = []
        self.clock: I64 = np.zeros(
            n, np.int64
        )  # Hz used in sums; row["clock_rate"] is what is known
        self.picture: Bool = np.zeros(
            n, bool
        )  # frames mean pictures (video, or not known to be else)
        self.reads_keys: Bool = np.zeros(n, bool)  # the payload's key frames are recognised
        self.watched: Bool = np.zeros(n, bool)  # silence now is a freeze (playing, not ended)
        self.excused_ns: I64 = np.zeros(n, np.int64)  # silence before this time was asked for
        self.pauses = Pauses()
        self._started: Bool = np.zeros(n, bool)
        self._timestamp: I64 = np.zeros(n, np.int64)
        self._flags: U8 = np.zeros(n, np.uint8)
        self._epoch: I64 = np.zeros(n, np.int64)
        self._jitter: F64 = np.zeros((n, 4))  # now, sum, count, max; timestamp units
        self._frame_jitter: F64 = np.zeros((n, 4))
        self._open: I64 = np.zeros(
            (n, _OPEN_FRAMES, 4), np.int64
        )  # timestamp, bytes, flags, first ns
        self._open[:, :, 0] = -1
        self._counted: I64 = np.zeros((n, _COUNTED), np.int64)  # timestamps of pictures, plus 1
        self._last_new: I64 = np.zeros(n, np.int64)  # timestamp of the newest frame
        self._lag: I64 = np.zeros(n, np.int64)  # the highest timestamp minus that
        self._has_frame: Bool = np.zeros(n, bool)
        self._forward_ns: I64 = np.zeros(n, np.int64)
        self._forward_stamp: I64 = np.zeros(n, np.int64)
        self._new_ordinal: I64 = np.zeros(n, np.int64)  # frames so far, and up to the last forward
        self._forward_ordinal: I64 = np.zeros(n, np.int64)
        self._steps: I64 = np.zeros((n, _STEPS), np.int64)  # newest last
        self._step_count: I64 = np.zeros(n, np.int64)
        self.nominal: I64 = np.zeros(n, np.int64)  # frame interval, timestamp units, 0 unknown
        self._key_ordinal: I64 = np.full(n, -1, np.int64)
        self._key_stamp: I64 = np.zeros(n, np.int64)
        self._frame_first_ns: I64 = np.zeros(n, np.int64)
        self._frame_last_ns: I64 = np.zeros(n, np.int64)
        self._seconds: I64 = np.zeros(
            (n, _SECONDS, 4), np.int64
        )  # second, frames, first ns, last ns
        self._played: I64 = np.zeros(n, np.int64)  # timestamp of the last frame given to it
        self._stutter = Stutter(n)
        # Of the batch that is measured: rows that start frames, and the interval then.
        self._starts_at: I64 = np.zeros(0, np.int64)
        self._starts_nominal: I64 = np.zeros(0, np.int64)
        self._increments: list[Rows] = []
        self._seconds_open: Rows = np.zeros(0, STREAM_SECOND_DTYPE)
        self._frozen_since: I64 = np.zeros(n, np.int64)  # start of a freeze already told, 0 none
        # Silences that cannot be judged before the frame interval is known: (start, end,
        # packet number, kind) a stream.
        self._unjudged: dict[int, list[tuple[int, int, int, str]]] = {}
        self._poor_seconds: I64 = np.zeros(n, np.int64)
        self._bytes_at_tick: I64 = np.zeros(n, np.int64)
        self._new_frame_ns: I64 = np.zeros(n, np.int64)
        self._sequence = SequenceNumbers(
            n, self.row, self.clock, self._timestamp, self.pauses, self._tell_restart
        )
        self.gaps = Gaps(
            self.row,
            self.changed,
            self.picture,
            self._sequence.highest,
            self.messages,
            self._increments,
        )

    # ------------------------------------------------------------ streams

    def open(self, stream: int, row: Rows) -> None:
        """Begin a stream in a free place with the identity given in `row`."""
        self._started[stream] = False
        self.row[stream] = row
        for name in _NOT_YET_KNOWN:
            self.row[name][stream] = np.nan
        for name in ("sr_packets", "sr_lost", "rr_lost"):
            self.row[name][stream] = -1
        for table in (
            self.excused_ns,
            self._forward_ordinal,
            self._new_ordinal,
            self._jitter,
            self._frame_jitter,
            self._lag,
            self._steps,
            self._step_count,
            self.nominal,
            self._seconds,
            self._frozen_since,
            self._poor_seconds,
            self._bytes_at_tick,
            self._frame_first_ns,
            self._frame_last_ns,
            self._forward_ns,
            self._new_frame_ns,
        ):
            table[stream] = 0
        self._sequence.forget(stream)
        self._open[stream] = 0
        self._open[stream, :, 0] = -1
        self._counted[stream] = 0
        self._has_frame[stream] = False
        self._key_ordinal[stream] = -1
        self.watched[stream] = False
        self._unjudged.pop(stream, None)
        self.pauses.forget(stream)
        self._stutter.forget(stream)
        self.gaps.forget(stream)
        self.changed[stream] = True

    def close(self, stream: int) -> None:
        """Settle what is pending; the row stays until `open` gives the place away."""
        self.gaps.settle(stream, None)
        self.watched[stream] = False
        self.changed[stream] = True

    def release(self, stream: int) -> None:
        """The place is free: it takes part in nothing until it is opened again."""
        self._started[stream] = False
        self.watched[stream] = False
        self.pauses.forget(stream)

    # ------------------------------------------------------------ measuring

    def measure(self, records: RtpRecords) -> None:
        """Take n packets in order of arrival (each stream's rows in order; streams mixed)."""
        if not len(records.stream):
            return
        packets = Grouped(records)
        segments = packets.segments
        ids = segments.ids
        fresh = ~self._started[ids]
        if fresh.any():
            self._begin(packets, segments.starts[fresh], ids[fresh])
        packets.follow(self.row["last_ns"][ids], self._timestamp[ids])
        sequence = self._sequence.measure(packets)
        ordered = int(packets.step_ns.min()) >= 0
        gap_ns = packets.step_ns if ordered else np.maximum(packets.step_ns, 0)
        totals = self._count(packets, sequence, gap_ns, fresh)
        resumed = self._resumed(packets)
        jitter = self._per_packet(packets, gap_ns, sequence, fresh, resumed)
        self._find_gaps(packets, sequence)
        if len(resumed):
            gap_ns = gap_ns.copy()
            gap_ns[resumed] = 0
            totals.gap_ns = np.maximum.reduceat(gap_ns, segments.starts)
        self._add_seconds(packets, sequence, totals, gap_ns, ordered, jitter)
        self._frames(packets, sequence.flawed, resumed)
        if (totals.gap_ns > FREEZE_NS).any():
            self._find_freezes(packets, gap_ns)
        self._remember(packets, sequence)
        self.changed[ids] = True

    def _resumed(self, packets: Grouped) -> I64:
        """Rows that are the first after a pause: the time before them tells nothing."""
        if not self.pauses:
            return np.zeros(0, np.int64)
        rows = np.flatnonzero(packets.step_ns > PAUSE_LEAST_NS)
        ends = packets.before_ns(rows), packets.time_ns[rows]
        return rows[self.pauses.ended(packets.stream(rows), *ends)]

    def _begin(self, packets: Grouped, at: I64, ids: I64) -> None:
        """First packets: place the sequence just before them (probation is the caller's)."""
        self._sequence.begin(ids, packets.sequence[at])
        self._timestamp[ids] = packets.timestamp[at]
        self._epoch[ids] = packets.epoch(at)
        self._flags[ids] = MARK
        self.row["first_ns"][ids] = self.row["last_ns"][ids] = packets.time_ns[at]
        self.row["first_packet"][ids] = packets.number(at)
        self._started[ids] = True

    def _remember(self, packets: Grouped, sequence: Sequence) -> None:
        ids, ends = packets.segments.ids, packets.segments.ends
        self.row["last_ns"][ids] = packets.time_ns[ends]
        self.row["last_packet"][ids] = packets.number(ends)
        self._timestamp[ids] = packets.timestamp[ends]
        self._flags[ids] = packets.flags[ends]
        self._epoch[ids] = packets.epoch(ends)
        if sequence.flawed is not None:
            self._sequence.remember(sequence.flawed)

    # ------------------------------------------------------------ restarts

    def _tell_restart(
        self, stream: int, packets: Grouped, at: int, outage: bool, silent_ns: int
    ) -> None:
        if not outage:
            self.row["restarts"][stream] += 1
        self.messages.append(
            StreamRestart(
                time_ns=int(packets.time_ns[at]),
                packet=packets.number_of(at),
                interface=int(self.row["interface"][stream]),
                flow=int(self.row["flow"][stream]),
                stream=int(self.row["id"][stream]),
                kind="outage" if outage else "sequence",
                detail=f"after {max(silent_ns, 0) / SECOND:.1f} s",
            )
        )

    # ------------------------------------------------------------ counting

    def _count(self, packets: Grouped, sequence: Sequence, gap_ns: I64, fresh: Bool) -> _Totals:
        segments = packets.segments
        row, ids, starts = self.row, segments.ids, segments.starts
        size = np.add.reduceat(packets.size, starts)
        row["packets"][ids] += segments.counts
        row["bytes"][ids] += size
        row["media_bytes"][ids] += np.add.reduceat(packets.media, starts, dtype=np.int64)
        row["markers"][ids] += np.add.reduceat(packets.flags >> 7, starts, dtype=np.int64)
        row["expected"][ids] += sequence.expected
        flawed = sequence.flawed
        if flawed is not None:
            flawed.late = np.flatnonzero((flawed.advance <= 0) & flawed.counted)
            if len(flawed.late):
                repeated = self._sequence.repeated(flawed, flawed.late)
                part = flawed.packets.segments
                owner, count = part.index[flawed.late], len(part.ids)
                row["duplicates"][part.ids] += np.bincount(owner[repeated], minlength=count)
                row["reordered"][part.ids] += np.bincount(owner[~repeated], minlength=count)
                flawed.late = flawed.late[~repeated]
        row["lost"][ids] = row["expected"][ids] - self._sequence.received[ids]
        row["lost_unique"][ids] = row["lost"][ids] + row["duplicates"][ids]
        low = gap_ns
        if fresh.any():  # before a first packet there is no gap
            low = gap_ns.copy()
            low[starts[fresh]] = _NEVER
        shortest = np.minimum.reduceat(low, starts)
        longest = np.maximum.reduceat(gap_ns, starts)
        low_ms, high_ms = shortest / 1e6, longest / 1e6
        low_ms[shortest == _NEVER] = np.nan
        row["delta_min_ms"][ids] = np.fmin(row["delta_min_ms"][ids], low_ms)
        high_ms[fresh & (segments.counts == 1)] = np.nan
        row["delta_max_ms"][ids] = np.fmax(row["delta_max_ms"][ids], high_ms)
        return _Totals(size, longest)

    # ------------------------------------------------------------ jitter

    def _per_packet(
        self, packets: Grouped, gap_ns: I64, sequence: Sequence, fresh: Bool, resumed: I64
    ) -> tuple[F64, I64 | None]:
        """RFC 3550 A.8 per packet in order of arrival.

        Jitter after each row that counts, in units of the stream's clock, and those rows (None:
        all of them).
        """
        segments, step = packets.segments, packets.step
        clock = self.clock[segments.ids].astype(np.float64)
        flawed = sequence.flawed
        restarted = flawed is not None and flawed.restarted.any()
        rate: F64 | float
        if (clock == clock[0]).all():
            rate = float(clock[0])
            limit = TIMESTAMP_JUMP_S * rate
            calm = -limit <= int(step.min()) and int(step.max()) <= limit
        else:
            rate = clock[segments.index]
            calm = False
        deviation = np.multiply(gap_ns, rate / SECOND, dtype=np.float64)
        deviation -= step
        np.abs(deviation, out=deviation)
        valid: Bool | None = None
        if not (calm and rate and not restarted and not fresh.any() and not len(resumed)):
            valid = (step <= TIMESTAMP_JUMP_S * rate) & (step >= -TIMESTAMP_JUMP_S * rate)
            if not valid.all():
                valid |= deviation <= TIMESTAMP_AGREES_S * rate
            valid &= np.asarray(rate) > 0
            valid[segments.starts[fresh]] = False
            valid[resumed] = False
            if flawed is not None and restarted:
                valid[flawed.rows[flawed.restarted]] = False
        return self._filter(self._jitter, deviation, valid, segments)

    def _filter(
        self, state: F64, deviation: F64, valid: Bool | None, segments: Segments
    ) -> tuple[F64, I64 | None]:
        """Run the filter over valid rows (None: all), fold sums into `state`.

        What the filter says after each valid row, and those rows (None: all of them).
        """
        if valid is None or valid.all():
            rows, part = None, segments
            values = smooth(deviation, part, state[part.ids, 0])
        else:
            rows = np.flatnonzero(valid)
            if not len(rows):
                return np.zeros(0), rows
            part = Segments(segments.ids[segments.index[rows]])
            values = smooth(deviation[rows], part, state[part.ids, 0])
        ids = part.ids
        state[ids, 0] = values[part.ends]
        state[ids, 1] += np.add.reduceat(values, part.starts)
        state[ids, 2] += part.counts
        state[ids, 3] = np.maximum(state[ids, 3], np.maximum.reduceat(values, part.starts))
        return values, rows

    # ------------------------------------------------------------ gaps

    def _find_gaps(self, packets: Grouped, sequence: Sequence) -> None:
        flawed = sequence.flawed
        if flawed is not None:
            self._open_gaps(flawed)
            part, late = flawed.packets.segments, flawed.late
            for stream, extended, highest, before_ns in zip(
                part.ids[part.index[late]].tolist(),
                flawed.extended[late].tolist(),
                (flawed.extended - flawed.advance)[late].tolist(),
                flawed.packets.before_ns(late).tolist(),
                strict=True,
            ):
                self.gaps.fill(stream, extended, highest, before_ns)
        self.gaps.passed(set(packets.segments.ids.tolist()))

    def _open_gaps(self, flawed: Flawed) -> None:
        rows = np.flatnonzero((flawed.advance > 1) & ~flawed.restarted)
        if not len(rows):
            return
        packets = flawed.packets
        segments = packets.segments
        ids = segments.ids
        flags_before = segments.previous(packets.flags, self._flags[ids])[rows]
        first = rows == segments.starts[segments.index[rows]]
        epoch_before = packets.epoch(rows - ~first)
        epoch_before[first] = self._epoch[ids][segments.index[rows[first]]]
        flags = packets.flags[rows]
        stamp, stamp_then = packets.timestamp[rows].astype(np.int64), packets.stamp_before(rows)
        same = stamp == stamp_then
        owner = ids[segments.index[rows]]
        key_tail = (flags_before & KEY != 0) & (flags_before & (START | MARK) == 0)
        key_tail &= self.reads_keys[owner]
        damages = np.where(
            same,
            1,
            (flags_before & MARK == 0) * 1 + (flags & (VCL | START) == VCL) * 2,
        )
        for stream, last, advance, now, then, number, ts0, ts1, hurt, tail, hole in zip(
            owner.tolist(),
            flawed.extended[rows].tolist(),
            flawed.advance[rows].tolist(),
            packets.time_ns[rows].tolist(),
            packets.before_ns(rows).tolist(),
            packets.number(rows).tolist(),
            stamp_then.tolist(),
            stamp.tolist(),
            damages.tolist(),
            key_tail.tolist(),
            (packets.epoch(rows) != epoch_before).tolist(),
            strict=True,
        ):
            self.gaps.add(
                stream,
                Gap(last - advance + 1, last - 1, now, then, number, ts0, ts1, hurt, tail, hole),
            )

    # ------------------------------------------------------------ freezes

    def _find_freezes(self, packets: Grouped, gap_ns: I64) -> None:
        rows = np.flatnonzero(gap_ns > FREEZE_NS)
        for at, stream, before_ns in zip(
            rows.tolist(),
            packets.stream(rows).tolist(),
            packets.before_ns(rows).tolist(),
            strict=True,
        ):
            if self.picture[stream]:
                nominal = int(self.nominal[stream])
                following = int(np.searchsorted(self._starts_at, at))
                if following < len(self._starts_at):
                    start = self._starts_at[following : following + 1]
                    if int(packets.stream(start)[0]) == stream:
                        nominal = int(self._starts_nominal[following])
                excused = int(self.excused_ns[stream]) - before_ns
                silent_ns = int(gap_ns[at]) - max(excused, 0)
                if silent_ns > FREEZE_NS:
                    self._freeze_ended(stream, packets, at, silent_ns, nominal)

    def _freeze_ended(
        self, stream: int, packets: Grouped, at: int, gap_ns: int, nominal: int
    ) -> None:
        clock = int(self.clock[stream])
        time_ns, number = int(packets.time_ns[at]), packets.number_of(at)
        # What comes next was made during the silence: the RTP clock did not move with the wall's.
        backlog = clock > 0 and 0 <= int(packets.step[at]) < clock * gap_ns / SECOND / 2
        kind = "backlog" if backlog else "silence"
        if clock and not nominal:
            waiting = self._unjudged.setdefault(stream, [])
            if len(waiting) < _UNJUDGED_MAX:
                waiting.append((time_ns - gap_ns, time_ns, number, kind))
        elif not clock or gap_ns * clock > 3 * nominal * SECOND:
            self._freeze_is_over(stream, time_ns - gap_ns, time_ns, number, kind)

    def _freeze_is_over(
        self, stream: int, start_ns: int, end_ns: int, number: int, kind: str
    ) -> None:
        if self._frozen_since[stream] != start_ns:
            self.row["freezes"][stream] += 1
        self._frozen_since[stream] = 0
        seconds = (end_ns - start_ns) / SECOND
        self.row["freeze_longest_s"][stream] = max(
            float(self.row["freeze_longest_s"][stream]), seconds
        )
        self._tell_freeze(stream, end_ns, number, start_ns, seconds, kind)

    def _judge_silences(self) -> None:
        """Early silences of streams whose frame interval has become known."""
        for stream in [s for s in self._unjudged if self.nominal[s]]:
            limit_ns = 3 * int(self.nominal[stream]) * SECOND // int(self.clock[stream])
            for start_ns, end_ns, number, kind in self._unjudged.pop(stream):
                if end_ns - start_ns > limit_ns:
                    self._freeze_is_over(stream, start_ns, end_ns, number, kind)
                    self.changed[stream] = True

    def _tell_freeze(
        self, stream: int, time_ns: int, number: int, start_ns: int, seconds: float, kind: str
    ) -> None:
        row = self.row[stream]
        self.messages.append(
            StreamFreeze(
                time_ns=time_ns,
                packet=number,
                interface=int(row["interface"]),
                flow=int(row["flow"]),
                stream=int(row["id"]),
                start_ns=start_ns,
                seconds=seconds,
                kind=kind,
            )
        )

    # ------------------------------------------------------------ seconds

    def _add_seconds(
        self,
        packets: Grouped,
        sequence: Sequence,
        totals: _Totals,
        gap_ns: I64,
        ordered: bool,
        jitter: tuple[F64, I64 | None],
    ) -> None:
        segments = packets.segments
        time_ns, starts, ends = packets.time_ns, segments.starts, segments.ends
        first = int((time_ns[starts] if ordered else time_ns).min()) // SECOND
        last = int((time_ns[ends] if ordered else time_ns).max()) // SECOND
        second: I64 | int
        if first == last:
            ids, second, counts, size = segments.ids, first, segments.counts, totals.size
            expected, counted, longest = sequence.expected, sequence.counted, totals.gap_ns
        else:
            seconds = time_ns // SECOND
            change = np.empty(segments.n, bool)
            change[0] = True
            change[1:] = seconds[1:] != seconds[:-1]
            change[starts] = True
            starts = np.flatnonzero(change)
            ends = np.append(starts[1:], segments.n) - 1
            ids, second, counts = packets.stream(starts), seconds[starts], ends - starts + 1
            size = np.add.reduceat(packets.size, starts)
            longest = np.maximum.reduceat(gap_ns, starts)
            expected = counted = counts
            if sequence.flawed is not None:
                each = np.ones(segments.n, np.int64)
                each[sequence.flawed.rows] = np.maximum(sequence.flawed.advance, 0)
                expected = np.add.reduceat(each, starts)
                each[:] = 1
                each[sequence.flawed.rows] = sequence.flawed.counted
                counted = np.add.reduceat(each, starts)
        values, rows = jitter
        known: Bool | None = None
        if rows is not None:
            place = np.searchsorted(rows, ends, side="right") - 1
            known = place >= 0
            known[known] = rows[place[known]] == ends[known]
            ends = place
        now = np.full(len(ends), np.nan)
        if known is None:
            now[:] = values[ends]
        else:
            now[known] = values[ends[known]]
        out = np.zeros(len(ids), STREAM_SECOND_DTYPE)
        out["stream"] = self.row["id"][ids]
        out["second"] = second
        out["packets"] = counts
        out["bytes"] = size
        out["expected"] = expected
        out["lost"] = expected - counted
        out["gap_max_ms"] = longest / 1e6
        with np.errstate(divide="ignore", invalid="ignore"):
            out["jitter_ms"] = now / self.clock[ids] * 1000
        out["frame_jitter_ms"] = np.nan
        self._increments.append(out)

    def add_bytes(self, stream: I64, time_ns: I64, size: I64) -> None:
        """Bytes on the wire of packets that are measured by their first fragment; (n,) each."""
        np.add.at(self.row["bytes"], stream, size)
        self.changed[stream] = True
        rows = np.zeros(len(stream), STREAM_SECOND_DTYPE)
        rows["stream"] = self.row["id"][stream]
        rows["second"] = time_ns // SECOND
        rows["bytes"] = size
        rows["jitter_ms"] = rows["frame_jitter_ms"] = np.nan
        self._increments.append(rows)

    def seconds(self, now_ns: int) -> Rows:
        """STREAM_SECOND_DTYPE rows that changed since the last call; cumulative a second.

        Seconds younger than three are kept, so that a late packet or a late admission of capture
        loss can still change them; their row then comes again.
        """
        if not self._increments:
            return np.zeros(0, STREAM_SECOND_DTYPE)
        added = np.concatenate(self._increments)
        self._increments.clear()
        total, touched = _fold(self._seconds_open, added)
        newest = max(now_ns // SECOND, int(total["second"].max()))
        self._seconds_open = total[total["second"] >= newest - 3]
        out = total[touched]
        self._take_peaks(out)
        return out

    def _take_peaks(self, rows: Rows) -> None:
        """Fullest second of each stream."""
        known = np.flatnonzero(self._started)
        if not len(known) or not len(rows):
            return
        ids = self.row["id"][known]
        order = np.argsort(ids)
        place = np.minimum(np.searchsorted(ids[order], rows["stream"]), len(order) - 1)
        stream = known[order[place]]
        same = self.row["id"][stream] == rows["stream"]
        np.maximum.at(self.row["bitrate_peak_bps"], stream[same], rows["bytes"][same] * 8.0)

    # ------------------------------------------------------------ frames

    def _frames(self, records: Grouped, flawed: Flawed | None, resumed: I64) -> None:
        """Group packets of one timestamp into frames, count them, and measure their starts."""
        segments = records.segments
        self._starts_at = self._starts_nominal = np.zeros(0, np.int64)
        begins = records.step != 0
        begins[segments.starts] = True
        runs = np.flatnonzero(begins)
        owner = segments.index[runs]
        stamp = records.timestamp[runs].astype(np.int64)
        media = np.add.reduceat(records.media, runs, dtype=np.int64)
        bits = np.bitwise_or.reduceat(records.flags, runs).astype(np.int64)
        plain = ~self.reads_keys[segments.ids]
        if plain.any():
            bits[plain[owner]] |= VCL
        ids = segments.ids
        # Frames that are still open, oldest first, before the runs of this batch.
        opened = self._open[ids]  # (S, K, 4)
        held_segment, held_slot = np.nonzero(opened[:, :, 0] >= 0)
        held = opened[held_segment, held_slot]
        frames = None
        over = self._long_over(records, flawed, runs, owner, stamp, opened[:, :, 0])
        if over is not None:
            runs, owner, stamp = runs[~over], owner[~over], stamp[~over]
            media, bits = media[~over], bits[~over]
            if not len(runs):
                return
        else:
            frames = _frames_in_order(
                segments,
                opened[:, :, 0],
                held_segment,
                held,
                runs,
                stamp,
                records.step[runs],
                media,
                bits,
            )
        if frames is None:
            frames = _frames_in_any_order(held_segment, held, owner, stamp, media, bits)
        member, f_seg, new = frames.member, frames.segment, frames.new
        held_member, run_member = member[: len(held)], member[len(held) :]
        f_stamp = np.empty(len(f_seg), np.int64)
        f_stamp[held_member], f_stamp[run_member] = held[:, 0], stamp
        f_time = np.empty(len(f_seg), np.int64)
        f_time[run_member[::-1]] = records.time_ns[runs[::-1]]  # the first of them stays
        f_time[held_member] = held[:, 3]
        bits_before = np.zeros(len(f_seg), np.int64)
        bits_before[held_member] = held[:, 2]
        # Where each frame's first slice is; of several assignments the last, the earliest, wins.
        slices = np.flatnonzero(bits & VCL)[::-1]
        slice_at = np.full(len(f_seg), len(runs))
        slice_at[run_member[slices]] = slices
        size, f_bits = frames.size, frames.bits
        self._count_frames(segments, f_seg, f_stamp, f_time, f_bits, bits_before, size, slice_at)
        self._keep_open(segments, f_seg, f_stamp, size, f_bits, f_time)
        if len(new):
            at = runs[frames.first_run]
            self._frame_starts(
                segments,
                at,
                f_seg[new],
                f_stamp[new],
                f_time[new],
                records.before_ns(at),
                records.stamp_before(at),
                np.isin(at, resumed),
            )

    def _long_over(
        self,
        records: Grouped,
        flawed: Flawed | None,
        runs: I64,
        owner: I64,
        stamp: I64,
        held_stamps: I64,
    ) -> Bool | None:
        """(r,) runs of late packets whose picture was counted and is not held any more; None: none.

        Their bytes are the stream's, but they begin no picture.
        """
        if flawed is None:
            return None
        late = np.zeros(records.segments.n, bool)
        late[flawed.rows] = (flawed.advance <= 0) & flawed.counted
        over = late[runs]
        if not over.any():
            return None
        which = np.flatnonzero(over)
        seen = self._counted[records.segments.ids[owner[which]]] == stamp[which, None] + 1
        held = held_stamps[owner[which]] == stamp[which, None]
        over[which] = seen.any(axis=1) & ~held.any(axis=1)
        return over if over.any() else None

    def _keep_open(
        self, segments: Segments, f_seg: I64, stamp: I64, size: I64, bits: I64, time_ns: I64
    ) -> None:
        part = Segments(f_seg)
        slot = np.arange(part.n) - part.ends[part.index] + _OPEN_FRAMES - 1
        keep = np.flatnonzero(slot >= 0)
        stream = segments.ids[f_seg[keep]]
        self._open[segments.ids[part.ids], :, 0] = -1
        for i, values in enumerate((stamp, size, bits, time_ns)):
            self._open[stream, slot[keep], i] = values[keep]

    def _count_frames(
        self,
        segments: Segments,
        f_seg: I64,
        stamp: I64,
        time_ns: I64,
        bits: I64,
        bits_before: I64,
        size: I64,
        slice_at: I64,
    ) -> None:
        """Frames are distinct timestamps with a slice; key frames those with a key slice."""
        row = self.row
        stream = segments.ids[f_seg]
        pictures = self.picture[stream] & (bits & VCL != 0)
        whole = Segments(f_seg)
        largest = np.maximum.reduceat(np.where(pictures, size, 0), whole.starts)
        owner = segments.ids[whole.ids]
        row["frame_bytes_max"][owner] = np.maximum(row["frame_bytes_max"][owner], largest)
        born = pictures & (bits_before & VCL == 0)
        is_key = pictures & (bits & KEY != 0) & self.reads_keys[stream]
        new_key = is_key & ~((bits_before & KEY != 0) & (bits_before & VCL != 0))
        rows, part = pick(born | new_key, stream)
        if part is None:
            return
        shown = rows[born[rows]]
        if (np.diff(slice_at[rows]) < 0).any():
            # A picture begins with its first slice: count in that order.
            rows = rows[np.argsort(slice_at[rows])]
        ids = part.ids
        ordinal = part.running_sum(born[rows].astype(np.int64), row["frames"][ids])
        row["frames"][ids] = ordinal[part.ends]
        shows = born[rows]
        self._counted[stream[rows[shows]], ordinal[shows] % _COUNTED] = stamp[rows[shows]] + 1
        row["keyframes"][ids] += np.add.reduceat(new_key[rows].astype(np.int64), part.starts)
        self._note_keys(rows, stream, ordinal, new_key, stamp, time_ns)
        if len(shown):
            self._note_times(stream[shown], time_ns[shown])
        self._add_frame_seconds(stream[rows], time_ns[rows], born[rows], new_key[rows], size[rows])

    def _note_keys(
        self, rows: I64, stream: I64, ordinal: I64, new_key: Bool, stamp: I64, time_ns: I64
    ) -> None:
        """Length of the last complete interval between key frames."""
        which = np.flatnonzero(new_key[rows])
        if not len(which):
            return
        at = rows[which]
        part = Segments(stream[at])
        ids, ends = part.ids, part.ends
        number = ordinal[which]
        number_before = part.previous(number, self._key_ordinal[ids])[ends]
        stamp_before = part.previous(stamp[at], self._key_stamp[ids])[ends]
        key_ns = part.previous(time_ns[at], self.row["keyframe_last_ns"][ids])[ends]
        known = (number_before >= 0) & (key_ns >= self.excused_ns[ids])  # not over a pause
        whole = ids[known]
        self.row["gop_frames"][whole] = (number[ends] - number_before)[known]
        clock = self.clock[whole].astype(np.float64)
        ticks = _wrap32(stamp[at][ends] - stamp_before)[known]
        with np.errstate(divide="ignore"):
            self.row["gop_s"][whole] = np.where(clock > 0, ticks / clock, np.nan)
        self.row["keyframe_last_ns"][ids] = time_ns[at][ends]
        self._key_ordinal[ids] = number[ends]
        self._key_stamp[ids] = stamp[at][ends]

    def _note_times(self, stream: I64, time_ns: I64) -> None:
        """Arrival of pictures, for frames per second."""
        part = Segments(stream)
        ids = part.ids
        # A slice may come after the next picture has begun, so these are extremes.
        known = self._frame_first_ns[ids]
        first = np.minimum.reduceat(time_ns, part.starts)
        last = np.maximum.reduceat(time_ns, part.starts)
        self._frame_first_ns[ids] = np.where(known == 0, first, np.minimum(known, first))
        self._frame_last_ns[ids] = np.maximum(self._frame_last_ns[ids], last)
        second = time_ns // SECOND
        cells = Segments(part.index * (1 << 36) + second)
        at, ends = cells.starts, cells.ends
        place = second[at] % _SECONDS
        owner = stream[at]
        if len(at) == len(ids):
            # one second of each stream, as in nearly all batches
            cell = self._seconds[owner, place]
            same, newer = cell[:, 0] == second[at], cell[:, 0] < second[at]
            added = np.stack([second[at], cells.counts, time_ns[at], time_ns[ends]], axis=1)
            joined = added.copy()
            joined[:, 1] += cell[:, 1]
            joined[:, 2] = np.minimum(joined[:, 2], cell[:, 2])
            joined[:, 3] = np.maximum(joined[:, 3], cell[:, 3])
            cell[same], cell[newer] = joined[same], added[newer]
            self._seconds[owner, place] = cell
            return
        # Rows of a stream come in order of time, so a later second of the same place wins.
        for s, p, sec, n, t0, t1 in zip(
            owner.tolist(),
            place.tolist(),
            second[at].tolist(),
            cells.counts.tolist(),
            time_ns[at].tolist(),
            time_ns[ends].tolist(),
            strict=True,
        ):
            cell = self._seconds[s, p]
            if cell[0] == sec:
                cell[1] += n
                cell[2] = min(int(cell[2]), t0)
                cell[3] = max(int(cell[3]), t1)
            elif cell[0] < sec:
                cell[:] = (sec, n, t0, t1)

    def _add_frame_seconds(
        self, stream: I64, time_ns: I64, born: Bool, new_key: Bool, size: I64
    ) -> None:
        starts, rows = self._second_rows(stream, time_ns)
        rows["frames"] = np.add.reduceat(born, starts, dtype=np.int64)
        rows["keyframes"] = np.add.reduceat(new_key, starts, dtype=np.int64)
        rows["frame_bytes_max"] = np.maximum.reduceat(size, starts)

    def _second_rows(self, stream: I64, time_ns: I64) -> tuple[I64, Rows]:
        """Where a stream or its second changes in rows grouped by stream, and an increment each."""
        second = time_ns // SECOND
        change = np.empty(len(stream), bool)
        change[0] = True
        change[1:] = (second[1:] != second[:-1]) | (stream[1:] != stream[:-1])
        starts = np.flatnonzero(change)
        rows = np.zeros(len(starts), STREAM_SECOND_DTYPE)
        rows["stream"] = self.row["id"][stream[starts]]
        rows["second"] = second[starts]
        rows["jitter_ms"] = np.nan
        rows["frame_jitter_ms"] = np.nan
        self._increments.append(rows)
        return starts, rows

    def _frame_starts(
        self,
        segments: Segments,
        at: I64,
        f_seg: I64,
        stamp: I64,
        time_ns: I64,
        before_ns: I64,
        stamp_before: I64,
        resumed: Bool,
    ) -> None:
        """Jitter, lateness and nominal interval from the first packets of new timestamps."""
        stream = segments.ids[f_seg]
        part = Segments(stream)
        ids = part.ids
        first = np.zeros(part.n, bool)
        first[part.starts] = ~self._has_frame[ids]
        step = _wrap32(stamp - part.previous(stamp, self._last_new[ids]))
        step[first] = 0
        clock = self.clock[stream].astype(np.float64)
        limit = np.where(clock > 0, clock, 90000.0) * TIMESTAMP_JUMP_S
        jump = np.abs(step) > limit
        if jump.any():
            waited_ns = time_ns - part.previous(time_ns, self._new_frame_ns[ids])
            rate = np.where(clock > 0, clock, 90000.0)
            jump &= np.abs(waited_ns * (rate / SECOND) - step) > TIMESTAMP_AGREES_S * rate
            jump &= ~resumed
        self._note_jumps(stream, jump, step, time_ns, part, clock)
        fresh = jump | first | resumed
        since_ns = time_ns - part.previous(time_ns, self._new_frame_ns[ids])
        ordinal = part.running_sum(np.ones(part.n, np.int64), self._new_ordinal[ids])
        forward: Bool | None = None
        if (step <= 0).any() or fresh.any() or self._lag[ids].any():
            forward, self._lag[ids] = self._forward(stream, step, fresh, part)
        self._new_ordinal[ids] = ordinal[part.ends]
        self._has_frame[ids] = True
        self._last_new[ids] = stamp[part.ends]
        self._new_frame_ns[ids] = time_ns[part.ends]
        rows = np.arange(part.n) if forward is None else np.flatnonzero(forward)
        if not len(rows):
            return
        moves = part if forward is None else Segments(stream[rows])
        ids = moves.ids
        at_ns, at_stamp = time_ns[rows], stamp[rows]
        gap_ns = at_ns - moves.previous(at_ns, self._forward_ns[ids])
        ticks = _wrap32(at_stamp - moves.previous(at_stamp, self._forward_stamp[ids]))
        valid = ~fresh[rows]
        rate = clock[rows]
        deviation = np.abs(gap_ns * (rate / SECOND) - ticks)
        values, known = self._filter(self._frame_jitter, deviation, valid & (rate > 0), moves)
        jitter = np.full(moves.n, np.nan)
        jitter[slice(None) if known is None else known] = values
        with np.errstate(divide="ignore", invalid="ignore"):
            jitter = jitter / rate * 1000
        self._add_frame_jitter(stream[rows], at_ns, jitter)
        # With B-frames a step forward is that of all frames that came since the last one.
        count = ordinal[rows] - moves.previous(ordinal[rows], self._forward_ordinal[ids])
        self._forward_ordinal[ids] = ordinal[rows][moves.ends]
        if (count > 1).any():
            ticks //= np.maximum(count, 1)
        nominal = self._nominal_steps(moves, ticks, valid)
        self._starts_at, self._starts_nominal = at[rows], nominal
        self._note_lateness(moves, since_ns[rows], nominal, rate, (first | resumed)[rows])
        whole = stamp_before[rows] == moves.previous(at_stamp, self._forward_stamp[ids])
        self._forward_ns[ids] = at_ns[moves.ends]
        self._forward_stamp[ids] = at_stamp[moves.ends]
        self._play(stream, rows[whole], before_ns, stamp_before, rate[whole])

    def _forward(self, stream: I64, step: I64, fresh: Bool, part: Segments) -> tuple[Bool, I64]:
        """Frames (n,) that are ahead of all before them, and how far each stream lags at its end.

        A timeline is a stretch without jumps; within it only the clock's way forward counts.
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

    def _play(self, stream: I64, rows: I64, before_ns: I64, stamp_before: I64, rate: F64) -> None:
        """The frame before each new one is complete: let the decoders play it.

        (Not B-frames: they are late by design, and a decoder waits for them.)
        """
        known = (rate > 0) & self.picture[stream[rows]]
        known &= self._forward_ns[stream[rows]] > 0
        use = rows[known]
        if not len(use):
            return
        part = Segments(stream[use])
        done = stamp_before[use]
        step = _wrap32(done - part.previous(done, self._played[part.ids]))
        clock = rate[known]
        broken = np.abs(step) > TIMESTAMP_JUMP_S * clock
        # How a stream starts (a burst, then pacing) is no stutter.
        broken |= before_ns[use] - self.row["first_ns"][stream[use]] < SETTLE_NS
        if self.pauses:
            ends = before_ns[use] - SETTLE_NS, before_ns[use]
            broken |= self.pauses.ended(stream[use], *ends)
        self._played[part.ids] = done[part.ends]
        step_ns = np.where(broken, 0, step * (SECOND / clock)).astype(np.int64)
        self._stutter.frames(stream[use], before_ns[use], step_ns, broken)

    def _note_jumps(
        self, stream: I64, jump: Bool, step: I64, time_ns: I64, part: Segments, clock: F64
    ) -> None:
        if not jump.any():
            return
        before_ns = part.previous(time_ns, self._new_frame_ns[part.ids])
        passed = (time_ns - before_ns) / SECOND * np.where(clock > 0, clock, 90000.0)
        # A camera that paused and kept its clock running has not jumped.
        wrong = jump & (
            np.abs(step - passed) > TIMESTAMP_JUMP_S / 2 * np.where(clock > 0, clock, 90000.0)
        )
        np.add.at(self.row["timestamp_jumps"], stream[wrong], 1)

    def _add_frame_jitter(self, stream: I64, time_ns: I64, jitter: F64) -> None:
        starts, rows = self._second_rows(stream, time_ns)
        # the last value of each second that is a number
        place = np.where(np.isnan(jitter), -1, np.arange(len(jitter)))
        last = np.maximum.reduceat(place, starts)
        rows["frame_jitter_ms"] = np.where(last >= 0, jitter[np.maximum(last, 0)], np.nan)

    def _nominal_steps(self, moves: Segments, ticks: I64, valid: Bool) -> I64:
        """(n,) frame interval that is taken as normal at each row: median of the last steps.

        It is renewed after the 2nd, 4th, 8th and every 16th step, so that it does not depend on
        how packets were cut into batches.
        """
        out = self.nominal[moves.ids][moves.index]
        rows = np.flatnonzero(valid)
        if not len(rows):
            return out
        stream = moves.ids[moves.index[rows]]
        part = Segments(stream)
        ids = part.ids
        steps = ticks[rows]
        position = np.arange(part.n) - part.starts[part.index]
        total = self._step_count[ids][part.index] + position + 1
        # One line a stream: the 32 steps before, then the new ones.
        width = _STEPS + part.counts
        base = np.cumsum(width) - width
        line = np.empty(int(width.sum()), np.int64)
        line[base[:, None] + np.arange(_STEPS)] = self._steps[ids]
        at = base[part.index] + _STEPS + position
        line[at] = steps
        renew = np.flatnonzero((total % 16 == 0) | (total == 2) | (total == 4) | (total == 8))
        if len(renew):
            window = line[at[renew][:, None] - np.arange(_STEPS)]
            have = np.minimum(total[renew], _STEPS)
            window[np.arange(_STEPS)[None, :] >= have[:, None]] = np.iinfo(np.int64).max
            window.sort(axis=1)
            median = window[np.arange(len(renew)), (have - 1) // 2]
            # Rows after a renewal, up to the next, use it.
            # (the last assignment of a stream wins, which is its newest)
            self.nominal[ids[part.index[renew]]] = median
            source = np.full(moves.n, -1, np.int64)
            source[rows[renew]] = np.arange(len(renew))
            shifted = moves.previous(source, np.full(len(moves.ids), -1, np.int64))
            latest = np.maximum.accumulate(
                np.where(shifted >= 0, shifted + 1, 0) + moves.index * (len(renew) + 2)
            ) - moves.index * (len(renew) + 2)
            after = latest > 0
            out[after] = median[latest[after] - 1]
        tail = base + width - _STEPS
        self._steps[ids] = line[tail[:, None] + np.arange(_STEPS)]
        self._step_count[ids] += part.counts
        return out

    def _note_lateness(
        self, moves: Segments, gap_ns: I64, nominal: I64, rate: F64, first: Bool
    ) -> None:
        usable = (nominal > 0) & (rate > 0) & ~first
        if not usable.any():
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            late_ms = (gap_ns - nominal * SECOND / rate) / 1e6
        late_ms[~usable] = -np.inf
        most = np.maximum.reduceat(late_ms, moves.starts)
        ids = moves.ids
        most = np.where(np.isinf(most), np.nan, np.maximum(most, 0))
        self.row["late_frame_max_ms"][ids] = np.fmax(self.row["late_frame_max_ms"][ids], most)

    # ------------------------------------------------------------ time passes

    def tick(self, now_ns: int) -> None:
        """Once a second of packet time: settle gaps, see freezes that go on."""
        self.gaps.tick(now_ns)
        if self._unjudged:
            self._judge_silences()
        live = np.flatnonzero(self._started & self.picture)
        if not len(live):
            return
        row = self.row
        silent_ns = now_ns - row["last_ns"][live]
        watched = self.watched[live]
        clock = np.maximum(self.clock[live], 1)
        interval_ns = self.nominal[live] * SECOND // clock
        # Silence that was asked for does not count; how long is too long, the interval tells.
        still_ns = now_ns - np.maximum(row["last_ns"][live], self.excused_ns[live])
        frozen = watched & (still_ns > FREEZE_NS) & (still_ns > 3 * interval_ns)
        frozen &= interval_ns > 0
        for i in np.flatnonzero(frozen).tolist():
            self._freeze_goes_on(int(live[i]), now_ns)
        self._watch_picture(live, now_ns, silent_ns, interval_ns)

    def _freeze_goes_on(self, stream: int, now_ns: int) -> None:
        start_ns = max(int(self.row["last_ns"][stream]), int(self.excused_ns[stream]))
        seconds = (now_ns - start_ns) / SECOND
        self.row["freeze_longest_s"][stream] = max(
            float(self.row["freeze_longest_s"][stream]), seconds
        )
        self.changed[stream] = True
        if self._frozen_since[stream] != start_ns:
            self._frozen_since[stream] = start_ns
            self.row["freezes"][stream] += 1
            self._tell_freeze(
                stream,
                now_ns,
                int(self.row["last_packet"][stream]),
                start_ns,
                seconds,
                "silence",
            )

    def _watch_picture(self, live: I64, now_ns: int, silent_ns: I64, interval_ns: I64) -> None:
        """Packets go on, but the picture stands: a stuck clock, or nothing but tiny frames."""
        row = self.row
        flowing = silent_ns < SECOND
        since = now_ns - self._frame_last_ns[live]
        stuck = flowing & (self._frame_last_ns[live] > 0) & (since > FREEZE_NS)
        stuck &= since > 3 * interval_ns
        received = row["media_bytes"][live] - self._bytes_at_tick[live]
        self._bytes_at_tick[live] = row["media_bytes"][live]
        lived_ns = self._unpaused_ns(live, row["first_ns"][live], row["last_ns"][live])
        lived_s = np.maximum(lived_ns / SECOND, 1.0)
        mean = row["media_bytes"][live] / lived_s
        no_key = self.reads_keys[live] & (
            now_ns - row["keyframe_last_ns"][live]
            > np.fmax(2 * np.nan_to_num(row["gop_s"][live]), 10) * SECOND
        )
        poor = flowing & (received < 0.1 * mean) & no_key & (lived_s > 20)
        self._poor_seconds[live] = np.where(poor, self._poor_seconds[live] + 1, 0)
        tiny = self._poor_seconds[live] >= 10
        value = np.where(stuck, since / SECOND, np.where(tiny, self._poor_seconds[live], 0.0))
        before = row["frozen_picture_s"][live]
        begun = np.flatnonzero((value > 0) & (before == 0))
        row["frozen_picture_s"][live] = value
        self.changed[live[(value > 0) | (before > 0)]] = True
        for i in begun.tolist():
            stream = int(live[i])
            self._tell_freeze(
                stream,
                now_ns,
                int(row["last_packet"][stream]),
                now_ns - int(value[i] * SECOND),
                float(value[i]),
                "clock" if stuck[i] else "picture",
            )

    # ------------------------------------------------------------ out

    def rows(self, streams: I64) -> Rows:
        """STREAM_DTYPE rows of the named streams, with everything that is derived."""
        out = self.row[streams].copy()
        lived_s = (out["last_ns"] - out["first_ns"]) / SECOND
        with np.errstate(divide="ignore", invalid="ignore"):
            sent_s = self._unpaused_ns(streams, out["first_ns"], out["last_ns"]) / SECOND
            out["bitrate_mean_bps"] = np.where(sent_s > 0, out["bytes"] * 8 / sent_s, 0.0)
            out["delta_mean_ms"] = np.where(
                out["packets"] > 1, lived_s * 1000 / (out["packets"] - 1), np.nan
            )
            to_ms = np.where(out["clock_rate"] > 0, 1000 / out["clock_rate"], np.nan)
            for state, name in (
                (self._jitter, "jitter"),
                (self._frame_jitter, "frame_jitter"),
            ):
                now, total, count, most = state[streams].T
                known = count > 0
                out[f"{name}_ms"] = np.where(known, now * to_ms, np.nan)
                out[f"{name}_mean_ms"] = np.where(known, total / count * to_ms, np.nan)
                out[f"{name}_max_ms"] = np.where(known, most * to_ms, np.nan)
            shown = self.picture[streams] & (out["frames"] > 1)
            # Of an unknown codec only pictures of several packets tell that it is video.
            unclear = (out["codec"] == 0) & (out["packets"] < 1.5 * out["frames"])
            unclear &= out["signalled"] == 0
            shown &= ~unclear
            out["frames"][unclear] = 0
            first, last = self._frame_first_ns[streams], self._frame_last_ns[streams]
            span = self._unpaused_ns(streams, first, last) / SECOND
            out["fps"] = np.where(shown & (span > 0), (out["frames"] - 1) / span, np.nan)
            nominal = self.nominal[streams]
            known = shown & (nominal > 0) & (out["clock_rate"] > 0)
            out["fps_nominal"] = np.where(known, out["clock_rate"] / nominal, np.nan)
            out["frame_bytes_mean"] = np.where(shown, out["media_bytes"] / out["frames"], np.nan)
        out["fps_now"] = self._fps_now(streams)
        for i, buffer_ms in enumerate(BUFFERS_MS):
            out[f"stalls_{buffer_ms}ms"] = self._stutter.stalls[streams, i]
            out[f"stall_{buffer_ms}ms_s"] = self._stutter.stalled_ns[streams, i] / SECOND
        for k, stream in enumerate(streams.tolist()):
            self.gaps.provisional(stream, out[k : k + 1])
        return out

    def _fps_now(self, streams: I64) -> F64:
        """Frames a second over the last ten, by arrival."""
        cells = self._seconds[streams]
        newest = self.row["last_ns"][streams] // SECOND
        inside = (cells[:, :, 0] > (newest - _FPS_WINDOW)[:, None]) & (cells[:, :, 1] > 0)
        frames = np.where(inside, cells[:, :, 1], 0).sum(axis=1)
        first = np.where(inside, cells[:, :, 2], np.iinfo(np.int64).max).min(axis=1)
        last = np.where(inside, cells[:, :, 3], 0).max(axis=1)
        span_ns = self._unpaused_ns(streams, first, last)
        with np.errstate(divide="ignore", invalid="ignore"):
            fps: F64 = np.where(frames > 1, (frames - 1) * SECOND / span_ns, np.nan)
        return fps

    def _unpaused_ns(self, streams: I64, first_ns: I64, last_ns: I64) -> I64:
        """(s,) ns of each stream's span that its reader had not paused."""
        span_ns = last_ns - first_ns
        if self.pauses:
            ends = zip(streams.tolist(), first_ns.tolist(), last_ns.tolist(), strict=True)
            span_ns -= np.array([self.pauses.within(*span) for span in ends], np.int64)
        return span_ns

    def drain(self) -> list[AnyMessage]:
        out = list(self.messages)
        self.messages.clear()
        return out


_NOT_YET_KNOWN = (
    "jitter_ms",
    "jitter_mean_ms",
    "jitter_max_ms",
    "frame_jitter_ms",
    "frame_jitter_mean_ms",
    "frame_jitter_max_ms",
    "delta_min_ms",
    "delta_mean_ms",
    "delta_max_ms",
    "late_frame_max_ms",
    "fps",
    "fps_now",
    "fps_nominal",
    "gop_s",
    "frame_bytes_mean",
    "vui_fps",
    "rr_fraction",
    "rr_jitter_ms",
    "rtt_ms",
    "camera_clock_offset_s",
    "drift_ppm",
)


def _fold(before: Rows, added: Rows) -> tuple[Rows, Bool]:
    """One row a (stream, second), and which of them have something of `added` in them."""
    rows = np.concatenate([before, added])
    order = np.lexsort((rows["second"], rows["stream"]))
    fresh = order >= len(before)
    rows = rows[order]
    change = np.empty(len(rows), bool)
    change[0] = True
    change[1:] = (rows["second"][1:] != rows["second"][:-1]) | (
        rows["stream"][1:] != rows["stream"][:-1]
    )
    starts = np.flatnonzero(change)
    out = rows[starts].copy()
    for name in ("packets", "bytes", "expected", "lost", "frames", "keyframes", "capture_lost"):
        out[name] = np.add.reduceat(rows[name], starts)
    for name in ("frame_bytes_max", "gap_max_ms"):
        out[name] = np.maximum.reduceat(rows[name], starts)
    # The last value that is a number: rows without one carry NaN.
    position = np.arange(len(rows))
    for name in ("jitter_ms", "frame_jitter_ms"):
        last = np.maximum.reduceat(np.where(np.isnan(rows[name]), -1, position), starts)
        out[name] = np.where(last >= 0, rows[name][np.maximum(last, 0)], np.nan)
    return out, np.logical_or.reduceat(fresh, starts)


@dataclass(slots=True)
class _FrameTable:
    """Frames of a batch by segment, held ones first, new ones in order of their first packet."""

    member: I64  # (h + r,) the frame of each held frame and of each run of packets
    segment: I64  # (f,)
    size: I64  # (f,) media bytes so far
    bits: I64  # (f,) of all packets so far
    new: I64  # frames that were not held
    first_run: I64  # the run that begins each of them


def _frames_in_order(
    segments: Segments,
    held_stamps: I64,
    held_segment: I64,
    held: I64,
    runs: I64,
    stamp: I64,
    step: I32,
    media: I64,
    bits: I64,
) -> _FrameTable | None:
    """The frames where the RTP clock only moves forward, so that each run is a frame of its own.

    Only the first run of a segment may go on with a frame, the newest held one. None where that is
    not so. `held_stamps` (s, k) are those of the held frames, -1 none; `step` (r,) is how far the
    clock moved before each run.
    """
    first_run = np.searchsorted(runs, segments.starts)
    moved = step.copy()
    moved[first_run] = 1
    if int(moved.min()) <= 0 or int(moved.sum(dtype=np.int64)) >= _HALF // 2:
        return None
    known = held_stamps >= 0
    ahead = _wrap32(stamp[first_run][:, None] - held_stamps)
    continued = known[:, -1] & (ahead[:, -1] == 0)
    ahead[continued, -1] = 1
    ahead[~known] = 1
    if int(ahead.min()) <= 0 or int(ahead.max()) >= _HALF // 2:
        return None
    held_count = known.sum(axis=1)
    run_count = np.diff(first_run, append=len(runs))
    count = held_count + run_count - continued
    begin = np.cumsum(count) - count
    total = int(count.sum())
    held_begin = np.cumsum(held_count) - held_count
    held_member = np.arange(len(held)) + (begin - held_begin)[held_segment]
    run_member = np.arange(len(runs)) + np.repeat(
        begin + held_count - continued - first_run, run_count
    )
    size, every = np.zeros(total, np.int64), np.zeros(total, np.int64)
    size[run_member], every[run_member] = media, bits
    size[held_member] += held[:, 1]
    every[held_member] |= held[:, 2]
    fresh = np.ones(len(runs), bool)
    fresh[first_run[continued]] = False
    first = np.flatnonzero(fresh)
    return _FrameTable(
        np.concatenate([held_member, run_member]),
        np.repeat(np.arange(len(count)), count),
        size,
        every,
        run_member[first],
        first,
    )


def _frames_in_any_order(
    held_segment: I64, held: I64, owner: I64, stamp: I64, media: I64, bits: I64
) -> _FrameTable:
    """The frames of any packets: all runs of one timestamp are one frame."""
    held_count = len(held)
    key = np.concatenate([held_segment, owner]) << 32
    key |= np.concatenate([held[:, 0], stamp])
    rank = np.concatenate([held_segment, owner]) * 2 + (np.arange(len(key)) >= held_count)
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    # Frames in order of their first packet, stream by stream.
    order = np.lexsort((first, rank[first]))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    member = place[member]
    first = first[order]
    size = np.bincount(member, weights=np.concatenate([held[:, 1], media])).astype(np.int64)
    every = np.zeros(len(first), np.int64)
    np.bitwise_or.at(every, member, np.concatenate([held[:, 2], bits]))
    new = np.flatnonzero(first >= held_count)
    segment = np.concatenate([held_segment, owner])[first]
    return _FrameTable(member, segment, size, every, new, first[new] - held_count)
