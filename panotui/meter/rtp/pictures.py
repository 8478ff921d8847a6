"""Pictures of video streams: their number, size and rate, and the distance between key frames.

In: the frames of a batch. Out: in the stream's row frames, key frames, their largest size, the
group of pictures, and, on request, frames per second. A picture is a frame with a slice; it is
counted when its first slice comes.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.meter.rtp.by_stream import Segments, pick
from panotui.meter.rtp.clock import JUMP_S, wrap32
from panotui.meter.rtp.frames import Frames
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.meter.rtp.stream_seconds import StreamSeconds
from panotui.model import F64, I64, SECOND, Bool, Rows
from panotui.wire.h264 import KEY, VCL

_REMEMBERED = 256  # pictures; a packet later than `sequence.RECENT` starts a new one
_SECONDS = 16  # remembered for `fps_now`
_FPS_WINDOW = 10
_NEVER = np.iinfo(np.int64).max


class Births(Struct):
    """b pictures to come, and h key frames among them: stream by stream, in order.

    A picture is counted with its first slice, in `second`, and begins with its first packet.
    """

    of: I64  # (b,) the stream, as a position
    second: I64  # (b,)
    begun_ns: I64  # (b,)
    key_of: I64  # (h,)
    key_second: I64  # (h,) in which it is known to be one
    key_ns: I64  # (h,)
    key_stamp: I64  # (h,)


class Pictures:
    """Counts of pictures, per stream."""

    def __init__(self, state: StreamColumns, seconds: StreamSeconds) -> None:
        n = state.capacity
        self._state = state
        self._told = seconds
        self._counted: I64 = np.zeros((n, _REMEMBERED), np.int64)  # timestamps, plus 1
        self._key_ordinal: I64 = np.full(n, -1, np.int64)
        self._key_stamp: I64 = np.zeros(n, np.int64)
        self._first_ns: I64 = np.zeros(n, np.int64)
        self.last_ns: I64 = np.zeros(n, np.int64)  # when the newest picture came, 0 none
        # second, pictures, first ns, last ns; a second's index is its number modulo _SECONDS
        self._seconds: I64 = np.zeros((n, _SECONDS, 4), np.int64)

    def forget(self, stream: int) -> None:
        self._counted[stream] = 0
        self._key_ordinal[stream] = -1
        self._first_ns[stream] = 0
        self.last_ns[stream] = 0
        self._seconds[stream] = 0

    def counted(self, streams: I64, timestamps: I64) -> Bool:
        """(n,) whether a picture of this stream with this timestamp was counted recently."""
        result: Bool = (self._counted[streams] == timestamps[:, None] + 1).any(axis=1)
        return result

    def count(self, frames: Frames) -> None:
        """Frames are distinct timestamps with a slice; key frames those with a key slice."""
        state, row = self._state, self._state.row
        stream, flags, before = frames.stream, frames.flags, frames.flags_before
        pictures = state.picture[stream] & (flags & VCL != 0)
        whole = Segments(stream)
        largest = np.maximum.reduceat(np.where(pictures, frames.size, 0), whole.starts)
        row["frame_bytes_max"][whole.ids] = np.maximum(row["frame_bytes_max"][whole.ids], largest)
        born = pictures & (before & VCL == 0)
        is_key = pictures & (flags & KEY != 0) & state.reads_keys[stream]
        new_key = is_key & ~((before & KEY != 0) & (before & VCL != 0))
        rows, part = pick(born | new_key, stream)
        if part is None:
            return
        shown = rows[born[rows]]
        if (np.diff(frames.slice_at[rows]) < 0).any():
            # A picture begins with its first slice: count in that order.
            rows = rows[np.argsort(frames.slice_at[rows])]
        ids = part.ids
        ordinal = part.running_sum(born[rows].astype(np.int64), row["frames"][ids])
        row["frames"][ids] = ordinal[part.ends]
        shows = born[rows]
        at = rows[shows]
        self._counted[stream[at], ordinal[shows] % _REMEMBERED] = frames.timestamp[at] + 1
        row["keyframes"][ids] += np.add.reduceat(new_key[rows].astype(np.int64), part.starts)
        keys = new_key[rows]
        if keys.any():
            self._note_keys(frames, rows[keys], ordinal[keys])
        if len(shown):
            self._note_times(stream[shown], frames.first_ns[shown])
        self._told.add_frames(
            stream[rows], frames.first_ns[rows], born[rows], new_key[rows], frames.size[rows]
        )

    def _note_keys(self, frames: Frames, at: I64, ordinal: I64) -> None:
        """Length of the last complete interval between key frames.

        `at` (k,) are frames that are new key frames; `ordinal` (k,) is their number in the stream.
        """
        state, row = self._state, self._state.row
        stamp, time_ns = frames.timestamp[at], frames.first_ns[at]
        part = Segments(frames.stream[at])
        ids, ends = part.ids, part.ends
        ordinal_before = part.previous(ordinal, self._key_ordinal[ids])[ends]
        stamp_before = part.previous(stamp, self._key_stamp[ids])[ends]
        key_ns = part.previous(time_ns, row["keyframe_last_ns"][ids])[ends]
        known = (ordinal_before >= 0) & (key_ns >= state.excused_ns[ids])  # not across a pause
        whole = ids[known]
        row["gop_frames"][whole] = (ordinal[ends] - ordinal_before)[known]
        clock = state.clock[whole].astype(np.float64)
        ticks = wrap32(stamp[ends] - stamp_before)[known]
        passed_s = ((time_ns[ends] - key_ns) / SECOND)[known]
        with np.errstate(divide="ignore", invalid="ignore"):
            by_stamps = ticks / clock
            # of a key frame with a stamp that is hours off only the arrival counts
            length = np.where(np.abs(by_stamps - passed_s) <= JUMP_S, by_stamps, passed_s)
            row["gop_s"][whole] = np.where(clock > 0, length, np.nan)
        row["keyframe_last_ns"][ids] = time_ns[ends]
        self._key_ordinal[ids] = ordinal[ends]
        self._key_stamp[ids] = stamp[ends]

    def _note_times(self, stream: I64, time_ns: I64) -> None:
        """Arrival of pictures, for frames per second."""
        part = Segments(stream)
        ids = part.ids
        # A slice may come after the next picture has begun, so these are extremes.
        known = self._first_ns[ids]
        first = np.minimum.reduceat(time_ns, part.starts)
        last = np.maximum.reduceat(time_ns, part.starts)
        self._first_ns[ids] = np.where(known == 0, first, np.minimum(known, first))
        self.last_ns[ids] = np.maximum(self.last_ns[ids], last)
        cells = Segments(part.index * (1 << 36) + time_ns // SECOND)
        at = cells.starts
        # second, pictures, first ns, last ns: (c, 4)
        added = np.stack(
            [time_ns[at] // SECOND, cells.counts, time_ns[at], time_ns[cells.ends]], axis=1
        )
        if len(at) == len(ids):
            self._add_second(ids, added)
        else:
            self._add_seconds(stream[at], added)

    def _add_second(self, ids: I64, added: I64) -> None:
        """One second per stream, as in nearly all batches."""
        place = added[:, 0] % _SECONDS
        cell = self._seconds[ids, place]
        same, newer = cell[:, 0] == added[:, 0], cell[:, 0] < added[:, 0]
        joined = added.copy()
        joined[:, 1] += cell[:, 1]
        joined[:, 2] = np.minimum(joined[:, 2], cell[:, 2])
        joined[:, 3] = np.maximum(joined[:, 3], cell[:, 3])
        cell[same], cell[newer] = joined[same], added[newer]
        self._seconds[ids, place] = cell

    def _add_seconds(self, stream: I64, added: I64) -> None:
        """Several seconds of a stream, in order of arrival: a later one in the same slot wins."""
        for owner, (second, count, first_ns, last_ns) in zip(
            stream.tolist(), added.tolist(), strict=True
        ):
            cell = self._seconds[owner, second % _SECONDS]
            if cell[0] == second:
                cell[1] += count
                cell[2] = min(int(cell[2]), first_ns)
                cell[3] = max(int(cell[3]), last_ns)
            elif cell[0] < second:
                cell[:] = (second, count, first_ns, last_ns)

    def fps_ahead(self, ids: I64, births: Births, start_ns: int, count: int) -> F64:
        """(s, k) `fps_now` at the end of each second from `start_ns` on; each stream with pictures
        has some in each.
        """
        width = len(ids) * count
        by = np.bincount(births.of * count + births.second, minlength=width).reshape(-1, count)
        total = np.cumsum(by, axis=1)
        base = np.append(0, np.cumsum(total[:, -1]))[:-1, None]
        # Births that have left the window: those begun before its first second.
        begun = np.maximum((births.begun_ns - start_ns) // SECOND + 1, 0)
        old = np.bincount(births.of * (count + 1) + begun, minlength=len(ids) * (count + 1))
        old = np.cumsum(old.reshape(-1, count + 1), axis=1)
        gone = np.zeros((len(ids), count), np.int64)
        kept = _FPS_WINDOW - 1  # seconds before the present one
        gone[:, kept:] = old[:, : max(count - kept, 0)]
        cells = self._seconds[ids][:, None, :, :]
        first_s = start_ns // SECOND
        oldest = first_s + np.arange(count)[None, :, None] - kept
        inside = (cells[:, :, :, 0] >= oldest) & (cells[:, :, :, 0] < first_s)
        inside &= cells[:, :, :, 1] > 0
        before = np.where(inside, cells[:, :, :, 1], 0).sum(axis=2)
        first_ns = np.where(inside, cells[:, :, :, 2], _NEVER).min(axis=2)
        if not len(births.of):
            return np.full((len(ids), count), np.nan)
        at = np.minimum(base + gone, len(births.of) - 1)
        first_ns = np.where(before > 0, first_ns, births.begun_ns[at])
        span_ns = births.begun_ns[np.maximum(base + total - 1, 0)] - first_ns
        frames = before + total - gone
        with np.errstate(divide="ignore", invalid="ignore"):
            fps: F64 = np.where(frames > 1, (frames - 1) * SECOND / span_ns, np.nan)
        fps[total[:, -1] == 0] = np.nan
        return fps

    def keys_ahead(self, ids: I64, births: Births, count: int) -> tuple[F64, I64]:
        """(s, k) `gop_s` and `keyframe_last_ns` at the ends of seconds."""
        row = self._state.row
        gop_s = np.repeat(row["gop_s"][ids][:, None], count, axis=1)
        newest = np.repeat(row["keyframe_last_ns"][ids][:, None], count, axis=1)
        if not len(births.key_of):
            return gop_s, newest
        part = Segments(births.key_of)
        owner = ids[part.ids]
        stamp_before = part.previous(births.key_stamp, self._key_stamp[owner])
        ns_before = part.previous(births.key_ns, row["keyframe_last_ns"][owner])
        known = part.previous(np.ones(part.n, np.int64), (self._key_ordinal[owner] >= 0) * 1) > 0
        known &= ns_before >= self._state.excused_ns[owner][part.index]
        clock = self._state.clock[owner].astype(np.float64)[part.index]
        by_stamps = wrap32(births.key_stamp - stamp_before) / clock
        passed_s = (births.key_ns - ns_before) / SECOND
        length = np.where(np.abs(by_stamps - passed_s) <= JUMP_S, by_stamps, passed_s)
        at = births.key_of * count + births.key_second
        total = np.cumsum(np.bincount(at, minlength=len(ids) * count).reshape(-1, count), axis=1)
        base = np.append(0, np.cumsum(total[:, -1]))[:-1, None]
        last = np.maximum(base + total - 1, 0)
        some = total > 0
        newest = np.where(some, births.key_ns[last], newest)
        return np.where(some & known[last], length[last], gop_s), newest

    def write(self, out: Rows, streams: I64) -> None:
        """Fill in rates and sizes of pictures in the streams' rows."""
        state = self._state
        shown = state.picture[streams] & (out["frames"] > 1)
        # For an unknown codec only pictures of several packets show that it is video.
        unclear = (out["codec"] == 0) & (out["packets"] < 1.5 * out["frames"])
        unclear &= out["signalled"] == 0
        shown &= ~unclear
        out["frames"][unclear] = 0
        span_ns = state.unpaused_ns(streams, self._first_ns[streams], self.last_ns[streams])
        span = span_ns / SECOND
        with np.errstate(divide="ignore", invalid="ignore"):
            out["fps"] = np.where(shown & (span > 0), (out["frames"] - 1) / span, np.nan)
            out["frame_bytes_mean"] = np.where(shown, out["media_bytes"] / out["frames"], np.nan)
        out["fps_now"] = self._fps_now(streams)

    def _fps_now(self, streams: I64) -> F64:
        """Frames per second over the last ten seconds, by arrival."""
        cells = self._seconds[streams]
        newest = self._state.row["last_ns"][streams] // SECOND
        inside = (cells[:, :, 0] > (newest - _FPS_WINDOW)[:, None]) & (cells[:, :, 1] > 0)
        frames = np.where(inside, cells[:, :, 1], 0).sum(axis=1)
        first = np.where(inside, cells[:, :, 2], _NEVER).min(axis=1)
        last = np.where(inside, cells[:, :, 3], 0).max(axis=1)
        span_ns = self._state.unpaused_ns(streams, first, last)
        with np.errstate(divide="ignore", invalid="ignore"):
            fps: F64 = np.where(frames > 1, (frames - 1) * SECOND / span_ns, np.nan)
        return fps
