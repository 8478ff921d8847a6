"""The measurements of RTP streams: one core for UDP batches and for frames interleaved in TCP.

In: `RtpRecords`, parallel columns in order of arrival, each row naming its stream by index. Out:
STREAM_DTYPE rows, rows per second, and messages of gaps, freezes and restarts. All streams of a
batch are processed at once: rows are sorted by stream and segment operations do the rest. Each
measure has a module: `sequence` and `gaps` (loss), `jitter`, `frames` and `pictures`,
`frame_timing`, `freezes`, `stream_seconds`. This module has their order, and the packet counts. The
result does not depend on how packets are batched.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.foresight import Coming, Foresight
from panotui.meter.rtp.frame_timing import NO_STARTS, FrameTiming
from panotui.meter.rtp.frames import OpenFrames
from panotui.meter.rtp.freezes import FREEZE_NS, Freezes
from panotui.meter.rtp.gaps import Gaps
from panotui.meter.rtp.jitter import Jitter, packet_deviation
from panotui.meter.rtp.pictures import Pictures
from panotui.meter.rtp.records import Grouped, RtpRecords
from panotui.meter.rtp.sequence import SequenceNumbers
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.meter.rtp.stream_seconds import StreamSeconds
from panotui.model import I64, SECOND, STREAM_DTYPE, U16, AnyMessage, Bool, Rows

PAUSE_LEAST_NS = SECOND // 10  # a shorter silence needs no explanation
_NEVER = np.iinfo(np.int64).max


class RtpMetrics:
    """Tables of at most `capacity` streams, and the method that measures."""

    def __init__(self, capacity: int) -> None:
        state = self.state = StreamColumns(capacity)
        self._seconds = StreamSeconds(state)
        self._sequence = SequenceNumbers(state)
        self._gaps = Gaps(state, self._sequence.highest, self._seconds)
        self._jitter = Jitter(capacity)
        self._pictures = Pictures(state, self._seconds)
        self._frames = OpenFrames(state, self._pictures.counted)
        self._timing = FrameTiming(state, self._seconds)
        self._freezes = Freezes(state, self._pictures.last_ns)
        self._foresight = Foresight(
            state, self._sequence.highest, self._frames, self._pictures, self._timing
        )

    # ------------------------------------------------------------ streams

    def open(self, stream: int, row: Rows) -> None:
        """Begin a stream in a free slot with the identity given in `row`."""
        self.state.open(stream, row)
        self._sequence.forget(stream)
        self._gaps.forget(stream)
        self._jitter.forget(stream)
        self._pictures.forget(stream)
        self._frames.forget(stream)
        self._timing.forget(stream)
        self._freezes.forget(stream)

    def close(self, stream: int) -> None:
        """Settle pending measurements; the row stays until `open` reuses the slot."""
        self._gaps.close(stream)
        self.state.watched[stream] = False
        self.state.changed[stream] = True

    # ------------------------------------------------------------ measuring

    def measure(self, records: RtpRecords) -> None:
        """Take n packets in order of arrival (each stream's rows in order; streams mixed)."""
        if not len(records.stream):
            return
        state = self.state
        packets = Grouped(records)
        segments = packets.segments
        ids, starts = segments.ids, segments.starts
        fresh = ~state.started[ids]
        if fresh.any():
            self._begin(packets, starts[fresh], ids[fresh])
        packets.follow(state.row["last_ns"][ids], state.timestamp[ids])
        sequence = self._sequence.measure(packets)
        ordered = int(packets.step_ns.min()) >= 0
        gap_ns = packets.step_ns if ordered else np.maximum(packets.step_ns, 0)
        size = self._count(packets)
        longest_ns = np.maximum.reduceat(gap_ns, starts)
        self._note_deltas(packets, gap_ns, longest_ns, fresh)
        resumed = self._resumed(packets)
        untold = np.concatenate([starts[fresh], resumed])
        jitter = self._jitter.fold(
            *packet_deviation(packets, state.clock, gap_ns, sequence, untold), segments
        )
        self._gaps.measure(packets, sequence)
        if len(resumed):
            gap_ns = gap_ns.copy()
            gap_ns[resumed] = 0
            longest_ns = np.maximum.reduceat(gap_ns, starts)
        self._seconds.add_packets(packets, sequence, gap_ns, size, longest_ns, ordered, jitter)
        frame_starts = NO_STARTS
        frames = self._frames.group(packets, sequence.flawed)
        if frames is not None:
            self._pictures.count(frames)
            frame_starts = self._timing.measure(packets, frames, resumed)
        if (longest_ns > FREEZE_NS).any():
            self._freezes.find(packets, gap_ns, frame_starts)
        self._remember(packets)
        state.changed[ids] = True

    def _begin(self, packets: Grouped, at: I64, ids: I64) -> None:
        """First packets: set the sequence just before them (the caller handles probation)."""
        state, row = self.state, self.state.row
        self._sequence.begin(ids, packets.sequence[at])
        self._gaps.begin(packets, at, ids)
        state.timestamp[ids] = packets.timestamp[at]
        row["first_ns"][ids] = row["last_ns"][ids] = packets.time_ns[at]
        row["first_packet"][ids] = packets.number(at)
        row["stamp_first"][ids] = packets.timestamp[at]
        state.started[ids] = True

    def _resumed(self, packets: Grouped) -> I64:
        """Rows that are the first after a pause: the time before them does not count."""
        pauses = self.state.pauses
        if not pauses:
            return np.zeros(0, np.int64)
        rows = np.flatnonzero(packets.step_ns > PAUSE_LEAST_NS)
        ends = packets.before_ns(rows), packets.time_ns[rows]
        return rows[pauses.ended(packets.stream(rows), *ends)]

    def _count(self, packets: Grouped) -> I64:
        """Count packets, bytes and markers; (s,) bytes of each segment."""
        segments, row = packets.segments, self.state.row
        ids, starts = segments.ids, segments.starts
        size = np.add.reduceat(packets.size, starts)
        row["packets"][ids] += segments.counts
        row["bytes"][ids] += size
        row["media_bytes"][ids] += np.add.reduceat(packets.media, starts, dtype=np.int64)
        row["markers"][ids] += np.add.reduceat(packets.flags >> 7, starts, dtype=np.int64)
        return size

    def _note_deltas(self, packets: Grouped, gap_ns: I64, longest_ns: I64, fresh: Bool) -> None:
        """Shortest and longest time between two packets; a first packet has none."""
        segments, row = packets.segments, self.state.row
        ids, starts = segments.ids, segments.starts
        between_ns = gap_ns
        if fresh.any():
            between_ns = gap_ns.copy()
            between_ns[starts[fresh]] = _NEVER
        shortest_ns = np.minimum.reduceat(between_ns, starts)
        low_ms, high_ms = shortest_ns / 1e6, longest_ns / 1e6
        low_ms[shortest_ns == _NEVER] = np.nan
        high_ms[fresh & (segments.counts == 1)] = np.nan
        row["delta_min_ms"][ids] = np.fmin(row["delta_min_ms"][ids], low_ms)
        row["delta_max_ms"][ids] = np.fmax(row["delta_max_ms"][ids], high_ms)

    def _remember(self, packets: Grouped) -> None:
        state, row = self.state, self.state.row
        ids, ends = packets.segments.ids, packets.segments.ends
        row["last_ns"][ids] = packets.time_ns[ends]
        row["last_packet"][ids] = packets.number(ends)
        state.timestamp[ids] = packets.timestamp[ends]

    def add_bytes(self, stream: I64, time_ns: I64, size: I64) -> None:
        """Bytes on the wire of packets that are measured by their first fragment; (n,) each."""
        np.add.at(self.state.row["bytes"], stream, size)
        self.state.changed[stream] = True
        self._seconds.add_bytes(stream, time_ns, size)

    def last_of(self, stream: int) -> tuple[int, int, int]:
        """Highest sequence number, timestamp and time of a stream's newest packet measured."""
        state = self.state
        highest = int(self._sequence.highest[stream]) & 0xFFFF
        return highest, int(state.timestamp[stream]), int(state.row["last_ns"][stream])

    def note_foreign(self, stream: int, numbers: U16, time_ns: I64) -> None:
        """Foreign packets (n,) have used sequence numbers of the stream's SSRC."""
        self._gaps.note_foreign(stream, numbers, time_ns)

    def note_capture_loss(
        self, time_ns: int, packets: int, interface: int, since_ns: int | None = None
    ) -> None:
        """Our own capture missed `packets` before `time_ns` (interface -1: on any)."""
        self._gaps.note_capture_loss(time_ns, packets, interface, since_ns)

    def note_blind(self, since_ns: int, until_ns: int) -> None:
        """Between these times our own capture saw little or nothing."""
        self.state.note_blind(since_ns, until_ns)

    def foresee(self, records: RtpRecords, odd: Bool, start_ns: int, count: int) -> Coming | None:
        """What the packets of seconds to come will give; see `Foresight.look`."""
        if self._gaps.pending or self._freezes.unjudged:
            return None
        return self._foresight.look(records, odd, start_ns, count)

    def tick(self, now_ns: int, ahead: Coming | None = None) -> None:
        """Once a second of packet time: settle gaps, find continuing freezes. `ahead`: once for
        several seconds that were foreseen.
        """
        self._gaps.tick(now_ns)
        if ahead is None:
            self._timing.tick(now_ns)
        else:
            told = ahead.told
            self._timing.sample(ahead.streams, told.time_ns, ahead.pictures, ahead.stamp_ticks)
        self._freezes.tick(now_ns)

    # ------------------------------------------------------------ out

    def rows(self, streams: I64) -> Rows:
        """STREAM_DTYPE rows of the given streams, with all derived values."""
        if not len(streams):
            return np.zeros(0, STREAM_DTYPE)  # most seconds of a capture without media
        out = self.state.row[streams].copy()
        first_ns, last_ns = out["first_ns"], out["last_ns"]
        lived_s = (last_ns - first_ns) / SECOND
        sent_s = self.state.unpaused_ns(streams, first_ns, last_ns) / SECOND
        with np.errstate(divide="ignore", invalid="ignore"):
            out["bitrate_mean_bps"] = np.where(sent_s > 0, out["bytes"] * 8 / sent_s, 0.0)
            out["delta_mean_ms"] = np.where(
                out["packets"] > 1, lived_s * 1000 / (out["packets"] - 1), np.nan
            )
        self._jitter.write(out, streams, "jitter")
        self._timing.write(out, streams)
        self._pictures.write(out, streams)
        self._timing.write_rates(out, streams)
        self._gaps.write(out, streams)
        return out

    def seconds(self, now_ns: int) -> Rows:
        """STREAM_SECOND_DTYPE rows that changed since the last call; cumulative per second."""
        return self._seconds.rows(now_ns)

    def drain(self) -> list[AnyMessage]:
        """Messages since the last call."""
        out = list(self.state.messages)
        self.state.messages.clear()
        return out
