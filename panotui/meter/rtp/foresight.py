"""Several seconds of streams whose packets come evenly, seen before they are measured.

In: the RTP packets of whole seconds from a tick on, and the state of the measures. Out: what rows
and seconds of the streams will say at the tick after each of these seconds, as long as every number
is the next one, time stamps only advance, and each stream has pictures in each second. Then all of
them can be measured at once; what ticks sample is here as well (`Coming`). Nothing is written.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.meter.rtp.by_stream import Segments
from panotui.meter.rtp.clock import JUMP_S
from panotui.meter.rtp.frame_timing import FrameTiming
from panotui.meter.rtp.frames import OpenFrames
from panotui.meter.rtp.freezes import POOR
from panotui.meter.rtp.pictures import Births, Pictures
from panotui.meter.rtp.records import Grouped, RtpRecords
from panotui.meter.rtp.stamp_rate import FASTER
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.model import I64, SECOND, STREAM_SECOND_DTYPE, Bool
from panotui.model.foreseen import FORESEEN_DTYPE, Foreseen
from panotui.wire.h264 import KEY, VCL

LEAST = 2  # seconds for which this is worth its cost
MOST = 20


class Coming(Struct):
    """k seconds of s streams."""

    told: Foreseen
    streams: I64  # (s,) their indices
    pictures: I64  # (s, k) counted by each tick
    stamp_ticks: I64  # (s, k) of their RTP clocks, over all timelines

    def part(self, count: int) -> Coming:
        """The first seconds."""
        return Coming(
            self.told.part(count),
            self.streams,
            self.pictures[:, :count],
            self.stamp_ticks[:, :count],
        )


class _Even(Struct):
    """Packets of s streams in each of k seconds, in order."""

    packets: Grouped
    second: I64  # (n,) of k
    cells: I64  # (s * k,) the first packet of each stream's second
    start_ns: int
    count: int  # k


class Foresight:
    """Reads the state of the measures."""

    def __init__(
        self,
        state: StreamColumns,
        highest: I64,
        frames: OpenFrames,
        pictures: Pictures,
        timing: FrameTiming,
    ) -> None:
        self._state = state
        self._highest = highest
        self._frames = frames
        self._pictures = pictures
        self._timing = timing

    def look(self, records: RtpRecords, odd: Bool, start_ns: int, count: int) -> Coming | None:
        """The packets (n,) of `count` seconds from the tick at `start_ns` on, in order of time;
        `odd` (n,) ones end what is foreseen, as anything uneven does. None: not even the first
        seconds.
        """
        if (records.time_ns[1:] < records.time_ns[:-1]).any():
            return None
        count = min(count, self._timing.unrolled_s(start_ns), MOST)
        while count >= LEAST:
            n = int(np.searchsorted(records.time_ns, start_ns + count * SECOND))
            if not n:
                return None
            found = self._try(records.head(n), odd[:n], start_ns, count)
            if isinstance(found, Coming):
                return found
            count = found
        return None

    def _try(self, records: RtpRecords, odd: Bool, start_ns: int, count: int) -> Coming | int:
        """All of these seconds; or how many of them come before something uneven."""
        state, row = self._state, self._state.row
        packets = Grouped(records)
        segments = packets.segments
        ids, starts = segments.ids, segments.starts
        if not self._are_plain(ids, start_ns):
            return 0
        packets.follow(row["last_ns"][ids], state.timestamp[ids])
        second = (packets.time_ns - start_ns) // SECOND
        counts = np.bincount(segments.index * count + second, minlength=len(ids) * count)
        next_one = np.empty_like(packets.sequence)
        np.subtract(packets.sequence[1:], packets.sequence[:-1], out=next_one[1:])
        next_one[starts] = packets.sequence[starts] - self._highest[ids].astype(np.uint16)
        step = packets.step
        uneven = (next_one != 1) | (step < 0) | (step > JUMP_S * int(state.clock[ids].min()))
        uneven |= packets.step_ns < 0
        uneven |= packets.grouped(odd)
        even = int(second[uneven].min()) if uneven.any() else count
        even = min(even, _all_have(counts.reshape(-1, count)))
        if even < count:
            return even
        block = _Even(packets, second, np.cumsum(counts) - counts, start_ns, count)
        return self._ahead(block)

    def _are_plain(self, ids: I64, now_ns: int) -> bool:
        """Whether all streams are among these, and none has anything pending."""
        state, row = self._state, self._state.row
        return (
            np.array_equal(np.flatnonzero(state.started), ids)
            and not state.pauses
            and int(state.excused_ns[ids].max()) <= now_ns
            and not row["frozen_picture_s"][ids].any()
            and bool(row["codec"][ids].all())
            and bool(self._timing.are_plain(ids, state.timestamp[ids]).all())
            and bool((self._frames.newest(ids)[0] == state.timestamp[ids]).all())
        )

    def _ahead(self, block: _Even) -> Coming | int:
        state, row = self._state, self._state.row
        packets, count = block.packets, block.count
        segments, second = packets.segments, block.second
        ids, n = segments.ids, segments.n
        begins = packets.step != 0
        begins[segments.starts] = True
        at = np.flatnonzero(begins)
        of = segments.index[at]
        new = packets.step[at] != 0  # otherwise the open frame goes on
        # The packet with each run's first slice, and the first one of a key frame; n: none.
        slices = packets.flags & VCL != 0
        plain = ~state.reads_keys[ids]
        if plain.any():
            slices |= plain[segments.index]
        every = np.arange(n)
        shown = np.minimum.reduceat(np.where(slices, every, n), at)
        key = np.minimum.reduceat(np.where(packets.flags & KEY != 0, every, n), at)
        _, flags, first_ns = self._frames.newest(ids)
        begun_ns = np.where(new, packets.time_ns[at], first_ns[of])
        before = np.where(new, 0, flags[of])
        reads = state.reads_keys[ids][of] & state.picture[ids][of]
        keyed = (key < n) & reads
        late = ~new & (keyed | (before & KEY != 0) & reads) & (before & (KEY | VCL) != KEY | VCL)
        if late.any():
            return int(second[at[late]].min())
        born = (shown < n) & (before & VCL == 0) & state.picture[ids][of]
        keyed &= new & (shown < n)
        births = Births(
            of[born],
            second[shown[born]],
            begun_ns[born],
            of[keyed],
            second[np.maximum(shown, key)[keyed]],
            begun_ns[keyed],
            packets.timestamp[at[keyed]].astype(np.int64),
        )
        pictures = np.bincount(births.of * count + births.second, minlength=len(ids) * count)
        pictures = pictures.reshape(-1, count)
        moves = np.bincount(of[new] * count + second[at[new]], minlength=len(ids) * count)
        even = min(_all_have(pictures[state.picture[ids]]), _all_have(moves.reshape(-1, count)))
        media = np.add.reduceat(packets.media, block.cells, dtype=np.int64).reshape(-1, count)
        last_ns = packets.time_ns[np.append(block.cells[1:], n) - 1].reshape(-1, count)
        even = min(even, self._until_poor(ids, media, last_ns))
        if even < count:
            return even
        of_new = Segments.of(ids, moves.reshape(-1, count).sum(axis=1))
        clock = state.clock[ids].astype(np.float64)[of_new.index]
        timed = self._timing.foresee(
            of_new,
            packets.time_ns[at[new]],
            packets.step[at[new]].astype(np.int64),
            clock,
            np.cumsum(moves) - moves,
            block.start_ns,
        )
        told = np.zeros((count, len(ids)), FORESEEN_DTYPE)
        counted = row["frames"][ids][:, None] + np.cumsum(pictures, axis=1)
        told["last_ns"], told["frames"] = last_ns.T, counted.T
        told["stamp_rate"] = timed.stamp_rate.T
        told["fps_now"] = self._pictures.fps_ahead(ids, births, block.start_ns, count).T
        visible = state.picture[ids][:, None] & (counted > 1)
        told["fps_nominal"] = self._timing.nominal(ids, counted, timed.ticks, visible).T
        told["fps_stamped"] = told["fps_nominal"]  # there is one where there is the other
        gop_s, key_ns = self._pictures.keys_ahead(ids, births, count)
        told["gop_s"], told["keyframe_last_ns"] = gop_s.T, key_ns.T
        told["camera_clock_offset_s"] = row["camera_clock_offset_s"][ids]
        faster = (told["fps_now"] > FASTER * told["fps_nominal"]).any(axis=1)
        if faster.any():
            return int(faster.argmax())
        seconds = np.zeros((count, len(ids)), STREAM_SECOND_DTYPE)
        seconds["stream"] = row["id"][ids]
        seconds["second"] = (block.start_ns // SECOND + np.arange(count))[:, None]
        seconds["bytes"] = _by_second(np.add, packets.size, block).T
        seconds["gap_max_ms"] = _by_second(np.maximum, packets.step_ns, block).T / 1e6
        seconds["frame_jitter_ms"] = timed.jitter_ms.T
        begun = (births.begun_ns - block.start_ns) // SECOND
        inside = begun >= 0
        frames = np.bincount((births.of * count + begun)[inside], minlength=len(ids) * count)
        seconds["frames"] = frames.reshape(-1, count).T
        ticks_ns = block.start_ns + np.arange(1, count + 1) * SECOND
        foreseen = Foreseen(row["id"][ids], ticks_ns, told, seconds)
        return Coming(foreseen, ids, counted, timed.ticks)

    def _until_poor(self, ids: I64, media: I64, last_ns: I64) -> int:
        """How many seconds no stream's picture is nearly empty; see `freezes`."""
        row = self._state.row
        lived_s = np.maximum((last_ns - row["first_ns"][ids][:, None]) / SECOND, 1.0)
        mean = (row["media_bytes"][ids][:, None] + np.cumsum(media, axis=1)) / lived_s
        poor = (media < POOR * mean) & self._state.reads_keys[ids][:, None]
        return _all_have(~poor)


def _by_second(what: np.ufunc, values: I64, block: _Even) -> I64:
    """(s, k) a column, reduced."""
    result: I64 = what.reduceat(values, block.cells).reshape(-1, block.count)
    return result


def _all_have(counts: I64 | Bool) -> int:
    """How many of the columns, from the first on, have no zero; `counts` is (s, k)."""
    all_have = (counts != 0).all(axis=0)
    return len(all_have) if all_have.all() else int(all_have.argmin())
