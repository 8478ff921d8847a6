"""The numbers of each second of each stream: one STREAM_SECOND_DTYPE row per stream and second.

In: increments, as packets, frames and losses are measured. Out: new or changed rows, cumulative per
second; and each stream's second with the most bits, in its own row. The last three seconds stay
open, so that a late packet or a late report of capture loss can still change them; their rows are
then repeated.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.jitter import Smoothed
from panotui.meter.rtp.records import Grouped
from panotui.meter.rtp.sequence import Sequence
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.model import F64, I64, SECOND, STREAM_SECOND_DTYPE, Bool, Rows

_OPEN_S = 3


class StreamSeconds:
    """Increments that were not reported yet, and the open seconds."""

    def __init__(self, state: StreamColumns) -> None:
        self._state = state
        self._increments: list[Rows] = []
        self._open: Rows = np.zeros(0, STREAM_SECOND_DTYPE)

    @property
    def waiting(self) -> int:
        """Rows of increments since the last call of `rows`."""
        return sum(len(rows) for rows in self._increments)

    def add_packets(
        self,
        packets: Grouped,
        sequence: Sequence,
        gap_ns: I64,
        size: I64,
        longest_ns: I64,
        ordered: bool,
        jitter: Smoothed,
    ) -> None:
        """A batch of n packets in s segments.

        `gap_ns` (n,) is the time before each, `longest_ns` (s,) the longest per segment; `size`
        (s,) bytes per segment; `ordered`: none is earlier than the one before it.
        """
        segments = packets.segments
        time_ns, starts, ends = packets.time_ns, segments.starts, segments.ends
        first = int((time_ns[starts] if ordered else time_ns).min()) // SECOND
        last = int((time_ns[ends] if ordered else time_ns).max()) // SECOND
        second: I64 | int
        if first == last:
            ids, second, counts = segments.ids, first, segments.counts
            expected, distinct = sequence.expected, sequence.distinct
        else:
            seconds = time_ns // SECOND
            starts = _changes(seconds, starts)
            ends = np.append(starts[1:], segments.n) - 1
            ids, second, counts = packets.stream(starts), seconds[starts], ends - starts + 1
            size = np.add.reduceat(packets.size, starts)
            longest_ns = np.maximum.reduceat(gap_ns, starts)
            expected, distinct = sequence.between(starts, counts, segments.n)
        out = self._begin(ids, second)
        out["packets"] = counts
        out["bytes"] = size
        out["expected"] = expected
        out["lost"] = expected - distinct
        out["gap_max_ms"] = longest_ns / 1e6
        with np.errstate(divide="ignore", invalid="ignore"):
            out["jitter_ms"] = jitter.at(ends) / self._state.clock[ids] * 1000

    def add_bytes(self, stream: I64, time_ns: I64, size: I64) -> None:
        """Bytes on the wire that are not separate packets; (n,) each."""
        self._begin(stream, time_ns // SECOND)["bytes"] = size

    def add_capture_loss(self, stream: int, time_ns: int, packets: int) -> None:
        """Packets missed by our own capture (-1: one that arrived after all)."""
        rows = self._begin(np.array([stream]), time_ns // SECOND)
        rows["capture_lost"] = packets

    def add_expected(self, stream: int, time_ns: int, packets: int) -> None:
        """More packets were expected than assumed; those that did not arrive are lost."""
        rows = self._begin(np.array([stream]), time_ns // SECOND)
        rows["expected"] = rows["lost"] = packets

    def add_frames(self, stream: I64, time_ns: I64, born: Bool, key: Bool, size: I64) -> None:
        """n frames grouped by stream: which are new pictures, which new key frames, their bytes."""
        starts, rows = self._by_second(stream, time_ns)
        rows["frames"] = np.add.reduceat(born, starts, dtype=np.int64)
        rows["keyframes"] = np.add.reduceat(key, starts, dtype=np.int64)
        rows["frame_bytes_max"] = np.maximum.reduceat(size, starts)

    def add_frame_jitter(self, stream: I64, time_ns: I64, jitter_ms: F64) -> None:
        """Jitter after n frames grouped by stream: per second the last value that is a number."""
        starts, rows = self._by_second(stream, time_ns)
        rows["frame_jitter_ms"] = _last_number(jitter_ms, starts)

    def _begin(self, streams: I64, second: I64 | int) -> Rows:
        """Increments for these streams (k,) and seconds, to be filled."""
        rows = np.zeros(len(streams), STREAM_SECOND_DTYPE)
        rows["stream"] = self._state.row["id"][streams]
        rows["second"] = second
        rows["jitter_ms"] = rows["frame_jitter_ms"] = np.nan
        self._increments.append(rows)
        return rows

    def _by_second(self, stream: I64, time_ns: I64) -> tuple[I64, Rows]:
        """Positions where a stream or its second changes in rows grouped by stream, and an
        increment for each.
        """
        second = time_ns // SECOND
        starts = _changes(second, np.flatnonzero(stream[1:] != stream[:-1]) + 1)
        return starts, self._begin(stream[starts], second[starts])

    def rows(self, now_ns: int) -> Rows:
        """STREAM_SECOND_DTYPE rows that changed since the last call."""
        if not self._increments:
            return np.zeros(0, STREAM_SECOND_DTYPE)
        added = np.concatenate(self._increments)
        self._increments.clear()
        total, touched = _fold(self._open, added)
        newest = max(now_ns // SECOND, int(total["second"].max()))
        self._open = total[total["second"] >= newest - _OPEN_S]
        out = total[touched]
        self._take_peaks(out)
        return out

    def _take_peaks(self, rows: Rows) -> None:
        """Second with the most bits of each stream."""
        state = self._state
        known = np.flatnonzero(state.started)
        if not len(known) or not len(rows):
            return
        ids = state.row["id"][known]
        order = np.argsort(ids)
        place = np.minimum(np.searchsorted(ids[order], rows["stream"]), len(order) - 1)
        stream = known[order[place]]
        same = state.row["id"][stream] == rows["stream"]
        np.maximum.at(state.row["bitrate_peak_bps"], stream[same], rows["bytes"][same] * 8.0)


def _changes(second: I64, also: I64) -> I64:
    """Starts of rows whose second differs from the row before, or that are `also`."""
    change = np.empty(len(second), bool)
    change[0] = True
    np.not_equal(second[1:], second[:-1], out=change[1:])
    change[also] = True
    return np.flatnonzero(change)


def _last_number(values: F64, starts: I64) -> F64:
    """The last value that is a number in each run of rows; NaN if there is none."""
    place = np.where(np.isnan(values), -1, np.arange(len(values)))
    last = np.maximum.reduceat(place, starts)
    result: F64 = np.where(last >= 0, values[np.maximum(last, 0)], np.nan)
    return result


def _fold(before: Rows, added: Rows) -> tuple[Rows, Bool]:
    """One row per (stream, second), and which of them contain something of `added`."""
    rows = np.concatenate([before, added])
    order = np.lexsort((rows["second"], rows["stream"]))
    fresh = order >= len(before)
    rows = rows[order]
    stream = rows["stream"]
    starts = _changes(rows["second"], np.flatnonzero(stream[1:] != stream[:-1]) + 1)
    out = rows[starts].copy()
    for name in ("packets", "bytes", "expected", "lost", "frames", "keyframes", "capture_lost"):
        out[name] = np.add.reduceat(rows[name], starts)
    for name in ("frame_bytes_max", "gap_max_ms"):
        out[name] = np.maximum.reduceat(rows[name], starts)
    for name in ("jitter_ms", "frame_jitter_ms"):
        out[name] = _last_number(rows[name], starts)
    return out, np.logical_or.reduceat(fresh, starts)
