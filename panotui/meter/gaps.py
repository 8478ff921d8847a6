"""Missing RTP packets: pending while they may still come late, then told, with whose fault it is.

In: gaps as they open, late packets that fill them, the passing of time, and what our own capture
admits to have missed. Out: the loss columns of the stream's row and `StreamGap` messages. A gap
inside an intact TCP stream is the camera's; one where the capture has a hole is ours; any other is
the path's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from panotui.model import I64, SECOND, STREAM_SECOND_DTYPE, AnyMessage, Bool, Rows, StreamGap

REORDER_WINDOW = 128  # packets; a gap is told when it is farther behind
REORDER_NS = SECOND  # and this old
GAPS_TOLD = 4  # messages a stream and tick
_PENDING_MAX = 4096  # a stream
NOTES_MAX = 64
NOTED_AFTER_NS = SECOND // 4  # a stream shows its gap with its next packet


@dataclass(slots=True)
class Gap:
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


class Gaps:
    """Pending gaps a stream, oldest first; the arrays are the core's own."""

    def __init__(
        self,
        row: Rows,
        changed: Bool,
        picture: Bool,
        highest: I64,
        messages: list[AnyMessage],
        increments: list[Rows],
    ) -> None:
        self.row = row
        self.changed = changed
        self.picture = picture
        self._highest = highest
        self.messages = messages
        self._increments = increments
        self._gaps: dict[int, list[Gap]] = {}
        self._gaps_told: dict[int, int] = {}
        self._damaged_stamp: dict[int, int] = {}
        self._capture_noted: list[list[int]] = []  # [from ns, to ns, packets left, interface]

    def add(self, stream: int, gap: Gap) -> None:
        """A gap opens; loss that our capture has admitted already is ours."""
        if not gap.capture:
            gap.capture = self._in_noted_loss(stream, gap.time_ns, gap.last - gap.first + 1)
        if gap.capture:
            self._admit(stream, gap, gap.last - gap.first + 1)
        self._gaps.setdefault(stream, []).append(gap)

    def provisional(self, stream: int, row: Rows) -> None:
        """Add the gaps that still wait to a copy of the stream's row (a view of length 1)."""
        damaged = self._damaged_stamp.get(stream, -1)
        for gap in self._gaps.get(stream, ()):
            damaged = self._count(stream, row, gap, damaged)

    def forget(self, stream: int) -> None:
        self._gaps.pop(stream, None)
        self._damaged_stamp.pop(stream, None)

    def passed(self, streams: set[int]) -> None:
        """Packets of these streams have come: tell what is far enough behind."""
        for stream in streams & self._gaps.keys():
            self.settle(stream, -1)

    def tick(self, now_ns: int) -> None:
        self._gaps_told.clear()
        for stream in list(self._gaps):
            self.settle(stream, now_ns)

    def fill(self, stream: int, extended: int, highest: int, before_ns: int) -> None:
        """A late packet takes its place in a pending gap.

        `highest` number and the time of the packet before it: a gap that had been told of by then,
        had its packets come one at a time, stays as it is.
        """
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
                    self._admit(stream, gap, -1)
                if gap.first == gap.last:
                    del pending[i]
                elif extended == gap.first:
                    gap.first += 1
                elif extended == gap.last:
                    gap.last -= 1
                else:
                    rest = Gap(
                        extended + 1,
                        gap.last,
                        gap.time_ns,
                        gap.before_ns,
                        gap.number,
                        gap.timestamp_before,
                        gap.timestamp_after,
                        gap.damages,
                        gap.keyframe_tail,
                        gap.capture,
                    )
                    gap.last = extended - 1
                    pending.insert(i + 1, rest)
                return

    def settle(self, stream: int, now_ns: int | None) -> None:
        """Tell gaps that nothing can fill any more; None: all of them; -1: by distance only."""
        pending = self._gaps.get(stream)
        if not pending:
            self._gaps.pop(stream, None)
            return
        highest, last_ns = int(self._highest[stream]), int(self.row["last_ns"][stream])
        done = 0
        for gap in pending:
            old = now_ns is None or (now_ns >= 0 and gap.time_ns <= now_ns - REORDER_NS)
            far = _is_far(gap, highest, last_ns)
            if len(pending) - done > _PENDING_MAX:
                far |= gap.last < highest - REORDER_WINDOW
            if not (old or far):
                break
            self._tell(stream, gap)
            done += 1
        del pending[:done]
        if not pending:
            del self._gaps[stream]

    def _count(self, stream: int, row: Rows, gap: Gap, damaged: int) -> int:
        """Fold a gap into `row`; the timestamp of the frame that was damaged last."""
        lost = gap.last - gap.first + 1
        row["gap_events"] += 1
        if lost > row["longest_gap"][0]:
            row["longest_gap"] = lost
        where = self._where(row, gap)
        if where == "capture":
            row["capture_lost"] += lost
        elif where == "camera":
            row["camera_dropped"] += lost
        if gap.keyframe_tail:
            row["tail_lost"] += lost
        if self.picture[stream]:
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
        row = self.row[stream : stream + 1]
        self._damaged_stamp[stream] = self._count(
            stream, row, gap, self._damaged_stamp.get(stream, -1)
        )
        lost = gap.last - gap.first + 1
        self.changed[stream] = True
        told = self._gaps_told.get(stream, 0)
        if told < GAPS_TOLD:
            self._gaps_told[stream] = told + 1
            self.messages.append(
                StreamGap(
                    time_ns=gap.time_ns,
                    packet=gap.number,
                    interface=int(row["interface"][0]),
                    flow=int(row["flow"][0]),
                    stream=int(row["id"][0]),
                    lost=lost,
                    where=self._where(row, gap),
                    keyframe_tail=gap.keyframe_tail,
                )
            )

    def _admit(self, stream: int, gap: Gap, packets: int) -> None:
        """Count `packets` as our own in the gap's second, at once: no alarm may come between."""
        second = np.zeros(1, STREAM_SECOND_DTYPE)
        second["stream"] = self.row["id"][stream]
        second["second"] = gap.time_ns // SECOND
        second["jitter_ms"] = second["frame_jitter_ms"] = np.nan  # it tells nothing of them
        second["capture_lost"] = packets
        self._increments.append(second)

    def note_capture_loss(self, time_ns: int, packets: int, interface: int) -> None:
        """Up to `packets` that were missed before `time_ns` fell out of our own capture.

        Drop counters are read about once a second, so gaps of the second and a half before count.
        """
        if packets <= 0:
            return
        note = [time_ns - SECOND * 3 // 2, time_ns + NOTED_AFTER_NS, packets, interface]
        self._capture_noted.append(note)
        del self._capture_noted[:-NOTES_MAX]
        for stream, pending in self._gaps.items():
            for gap in pending:
                if not gap.capture:
                    lost = gap.last - gap.first + 1
                    gap.capture = self._in_noted_loss(stream, gap.time_ns, lost)
                    if gap.capture:
                        self._admit(stream, gap, lost)

    def _in_noted_loss(self, stream: int, time_ns: int, lost: int) -> bool:
        for note in self._capture_noted:
            start, end, left, interface = note
            if (
                left > 0
                and start <= time_ns <= end
                and (interface < 0 or interface == int(self.row["interface"][stream]))
            ):
                note[2] = left - lost
                return True
        return False


def _is_far(gap: Gap, highest: int, last_ns: int) -> bool:
    """Whether a gap is too far behind to be filled.

    Loss that our own capture admits a little later is still told apart, hence by distance only once
    it is a second old in packet time as well.
    """
    return gap.last < highest - REORDER_WINDOW and gap.time_ns <= last_ns - REORDER_NS
