"""Missing RTP packets: pending while they may still arrive late, then reported, with the cause.

In: batches with gaps in their sequence numbers, the passing of time, and packets known to be missed
by our own capture. Out: the loss columns of the stream's row and `StreamGap` messages. A gap inside
an intact TCP stream is due to the camera; one where the capture has a hole is ours; any other is
due to the path.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from panotui.meter.rtp.foreign import ForeignNumbers
from panotui.meter.rtp.records import Grouped
from panotui.meter.rtp.sequence import Flawed, Sequence
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.meter.rtp.stream_seconds import StreamSeconds
from panotui.model import I64, SECOND, U8, U16, Rows, StreamGap
from panotui.wire.h264 import KEY, MARK, START, VCL

REORDER_WINDOW = 128  # packets; a gap this far behind is reported
REORDER_NS = SECOND  # if it is this old
GAPS_TOLD = 4  # messages per stream and tick
_PENDING_MAX = 4096  # a stream
_NEVER, _ALWAYS = -(1 << 63), 1 << 63  # ages that no gap reaches, and that all exceed
NOTES_MAX = 64
NOTED_AFTER_NS = SECOND // 4  # a stream reveals its gap with its next packet


class Gap(Struct):
    """Missing sequence numbers that may still arrive."""

    first: int
    last: int
    time_ns: int
    before_ns: int  # the packet before it
    number: int
    timestamp_before: int
    timestamp_after: int
    damages: int  # bit 0 the frame before, bit 1 the frame after
    keyframe_tail: bool
    capture: bool  # our own capture has a hole here

    @property
    def lost(self) -> int:
        """Packets that are missing."""
        return self.last - self.first + 1


class Gaps:
    """Pending gaps per stream, oldest first; `highest` are the extended sequence numbers so far."""

    def __init__(self, state: StreamColumns, highest: I64, seconds: StreamSeconds) -> None:
        self._state = state
        self._highest = highest
        self._seconds = seconds
        # Of each stream's newest packet.
        self._flags: U8 = np.zeros(state.capacity, np.uint8)
        self._epoch: I64 = np.zeros(state.capacity, np.int64)
        self._gaps: dict[int, list[Gap]] = {}
        self._foreign = ForeignNumbers()
        self._gaps_told: dict[int, int] = {}
        self._damaged_stamp: dict[int, int] = {}
        self._capture_noted: list[list[int]] = []  # [from ns, to ns, packets left, interface]

    @property
    def pending(self) -> bool:
        """Whether any packet is missing that may still arrive."""
        return bool(self._gaps)

    def begin(self, packets: Grouped, at: I64, ids: I64) -> None:
        """The rows `at` are the first packets of the streams `ids`."""
        self._flags[ids] = MARK
        self._epoch[ids] = packets.epoch(at)

    def measure(self, packets: Grouped, sequence: Sequence) -> None:
        """Gaps that a batch opens, and those filled by its late packets."""
        if self._foreign:
            self._foreign.compare(packets)
        if sequence.flawed is not None:
            self._open(sequence.flawed)
            self._fill(sequence.flawed)
        ids, ends = packets.segments.ids, packets.segments.ends
        self._flags[ids] = packets.flags[ends]
        self._epoch[ids] = packets.epoch(ends)
        for stream in set(ids.tolist()) & self._gaps.keys():
            self._settle(stream, _NEVER)

    def _open(self, flawed: Flawed) -> None:
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
        stamp, stamp_before = packets.timestamp[rows].astype(np.int64), packets.stamp_before(rows)
        owner = ids[segments.index[rows]]
        keyframe_tail = (flags_before & KEY != 0) & (flags_before & (START | MARK) == 0)
        keyframe_tail &= self._state.reads_keys[owner]
        damages = np.where(
            stamp == stamp_before,
            1,
            (flags_before & MARK == 0) * 1 + (flags & (VCL | START) == VCL) * 2,
        )
        last = flawed.extended[rows]
        columns = (  # in the order of Gap's fields
            last - flawed.advance[rows] + 1,
            last - 1,
            packets.time_ns[rows],
            packets.before_ns(rows),
            packets.number(rows),
            stamp_before,
            stamp,
            damages,
            keyframe_tail,
            packets.epoch(rows) != epoch_before,
        )
        for stream, *values in zip(
            owner.tolist(), *(column.tolist() for column in columns), strict=True
        ):
            self._add(stream, Gap(*values))

    def _add(self, stream: int, gap: Gap) -> None:
        """Open a gap, without the numbers that foreign packets have used."""
        if self._foreign:
            for part in self._without_foreign(stream, gap):
                self._add_part(stream, part)
        else:
            self._add_part(stream, gap)

    def _without_foreign(self, stream: int, gap: Gap) -> list[Gap]:
        numbers = self._foreign.explained(stream, gap.first, gap.last, gap.time_ns)
        if not numbers:
            return [gap]
        self._expect(stream, gap.time_ns, -len(numbers))
        edges = [gap.first - 1, *numbers, gap.last + 1]
        return [
            replace(gap, first=before + 1, last=after - 1)
            for before, after in pairwise(edges)
            if after - before > 1
        ]

    def _expect(self, stream: int, time_ns: int, more: int) -> None:
        """More packets of the stream were expected than assumed before."""
        for name in ("expected", "lost", "lost_unique"):
            self._state.row[name][stream] += more
        self._seconds.add_expected(stream, time_ns, more)

    def note_foreign(self, stream: int, numbers: U16, time_ns: I64) -> None:
        """Foreign packets (n,) used these sequence numbers of the stream's SSRC."""
        self._foreign.note(stream, numbers, time_ns)
        pending = self._gaps.get(stream)
        if pending:
            self._gaps[stream] = [
                part for gap in pending for part in self._without_foreign(stream, gap)
            ]

    def _add_part(self, stream: int, gap: Gap) -> None:
        """Open a gap; loss that our capture has already reported is ours."""
        gap.capture = gap.capture or self._in_noted_loss(stream, gap.time_ns, gap.lost)
        if gap.capture:
            self._seconds.add_capture_loss(stream, gap.time_ns, gap.lost)
        self._gaps.setdefault(stream, []).append(gap)

    def _fill(self, flawed: Flawed) -> None:
        packets, late = flawed.packets, flawed.late
        for stream, extended, highest, before_ns in zip(
            packets.stream(late).tolist(),
            flawed.extended[late].tolist(),
            (flawed.extended - flawed.advance)[late].tolist(),
            packets.before_ns(late).tolist(),
            strict=True,
        ):
            self._fill_one(stream, extended, highest, before_ns)

    def write(self, out: Rows, streams: I64) -> None:
        """Add the pending gaps to copies of the streams' rows."""
        for i, stream in enumerate(streams.tolist()):
            damaged = self._damaged_stamp.get(stream, -1)
            for gap in self._gaps.get(stream, ()):
                damaged = self._count(stream, out[i : i + 1], gap, damaged)

    def forget(self, stream: int) -> None:
        self._gaps.pop(stream, None)
        self._foreign.forget(stream)
        self._damaged_stamp.pop(stream, None)

    def tick(self, now_ns: int) -> None:
        self._gaps_told.clear()
        for stream in list(self._gaps):
            self._settle(stream, now_ns - REORDER_NS)

    def _fill_one(self, stream: int, extended: int, highest: int, before_ns: int) -> None:
        """A late packet fills its place in a pending gap.

        `highest` and `before_ns` are those of the packet before it: a gap that would have been
        reported by then, with packets one at a time, stays as it is.
        """
        if self._foreign and self._foreign.came_after_all(stream, extended):
            self._expect(stream, before_ns, 1)
            return
        pending = self._gaps.get(stream)
        if not pending:
            return
        for i in range(len(pending) - 1, -1, -1):
            gap = pending[i]
            if gap.last < extended:
                return
            if gap.first <= extended:
                if _is_far(gap, highest, before_ns):
                    return
                if gap.capture:
                    self._seconds.add_capture_loss(stream, gap.time_ns, -1)
                if gap.first == gap.last:
                    del pending[i]
                elif extended == gap.first:
                    gap.first += 1
                elif extended == gap.last:
                    gap.last -= 1
                else:
                    rest = replace(gap, first=extended + 1)
                    gap.last = extended - 1
                    pending.insert(i + 1, rest)
                return

    def close(self, stream: int) -> None:
        """The stream is over: report all its gaps."""
        self._settle(stream, _ALWAYS)

    def _settle(self, stream: int, old_ns: int) -> None:
        """Report gaps that can no longer be filled: they opened by `old_ns`, or are far behind."""
        pending = self._gaps.get(stream)
        if not pending:
            self._gaps.pop(stream, None)
            return
        highest, last_ns = int(self._highest[stream]), int(self._state.row["last_ns"][stream])
        done = 0
        for gap in pending:
            far = _is_far(gap, highest, last_ns)
            if len(pending) - done > _PENDING_MAX:
                far |= gap.last < highest - REORDER_WINDOW
            if not (far or gap.time_ns <= old_ns):
                break
            self._tell(stream, gap)
            done += 1
        del pending[:done]
        if not pending:
            del self._gaps[stream]

    def _count(self, stream: int, row: Rows, gap: Gap, damaged: int) -> int:
        """Add a gap to `row`; returns the timestamp of the last damaged frame."""
        lost = gap.lost
        row["gap_events"] += 1
        if lost > row["longest_gap"][0]:
            row["longest_gap"] = lost
        where = self._where(row, gap)
        if where == "capture":
            row["capture_lost"] += lost
        elif where == "camera":
            row["camera_dropped"] += lost
            row["camera_gaps"] += 1
        if gap.keyframe_tail:
            row["tail_lost"] += lost
        if self._state.picture[stream]:
            for bit, stamp in ((1, gap.timestamp_before), (2, gap.timestamp_after)):
                if gap.damages & bit and damaged != stamp:
                    damaged = stamp
                    row["damaged_frames"] += 1
        return damaged

    def _where(self, row: Rows, gap: Gap) -> str:
        if gap.capture:
            return "capture"
        return "camera" if row["transport"][0] == 6 else "path"

    def _tell(self, stream: int, gap: Gap) -> None:
        row = self._state.row[stream : stream + 1]
        self._damaged_stamp[stream] = self._count(
            stream, row, gap, self._damaged_stamp.get(stream, -1)
        )
        self._state.changed[stream] = True
        told = self._gaps_told.get(stream, 0)
        if told < GAPS_TOLD:
            self._gaps_told[stream] = told + 1
            self._state.messages.append(
                StreamGap(
                    time_ns=gap.time_ns,
                    packet=gap.number,
                    interface=int(row["interface"][0]),
                    flow=int(row["flow"][0]),
                    stream=int(row["id"][0]),
                    lost=gap.lost,
                    where=self._where(row, gap),
                    keyframe_tail=gap.keyframe_tail,
                )
            )

    def note_capture_loss(
        self, time_ns: int, packets: int, interface: int, since_ns: int | None = None
    ) -> None:
        """Up to `packets` missing before `time_ns` were missed by our own capture.

        Drop counters are read about once per second, so gaps of the second and a half before count,
        unless it is known since when (`since_ns`) packets can be missing.
        """
        if packets <= 0:
            return
        since_ns = time_ns - SECOND * 3 // 2 if since_ns is None else since_ns
        note = [since_ns, time_ns + NOTED_AFTER_NS, packets, interface]
        self._capture_noted.append(note)
        del self._capture_noted[:-NOTES_MAX]
        for stream, pending in self._gaps.items():
            for gap in pending:
                if not gap.capture:
                    gap.capture = self._in_noted_loss(stream, gap.time_ns, gap.lost)
                    if gap.capture:
                        self._seconds.add_capture_loss(stream, gap.time_ns, gap.lost)

    def _in_noted_loss(self, stream: int, time_ns: int, lost: int) -> bool:
        for note in self._capture_noted:
            start, end, left, interface = note
            if (
                left > 0
                and start <= time_ns <= end
                and (interface < 0 or interface == int(self._state.row["interface"][stream]))
            ):
                note[2] = left - lost
                return True
        return False


def _is_far(gap: Gap, highest: int, last_ns: int) -> bool:
    """Whether a gap is too far behind to be filled.

    Loss that our own capture reports a little later must still be attributed to it, so distance
    counts only after a second of packet time.
    """
    return gap.last < highest - REORDER_WINDOW and gap.time_ns <= last_ns - REORDER_NS
