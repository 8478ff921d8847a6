"""The fast path through interleaved TCP: runs of segments in order that hold only frames.

Almost all segments of a camera's connection are in such runs. Only the four `$` bytes of each frame
are read one at a time; the position of its RTP header, its completion time and packet are computed
for all frames of all runs together. A run with anything else (text, a retransmission, a hole,
truncated packets) is rejected as a whole, before any change, and takes the slow path
(`Direction.segment`); both give the same frames.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import accumulate
from operator import sub
from typing import NamedTuple

import numpy as np

from panotui.meter.rtsp.found_frames import FRAME_HEAD, SMALL, SMALL_FRAMES, Frames
from panotui.meter.rtsp.interleaved import Direction
from panotui.meter.rtsp.unwrapping import WebSocket
from panotui.model import I64

_DOLLAR = 0x24
_MANY, _ALIKE = 128, 4  # frames this small, more than this many per segment: counted at once


class Run:
    """Frames of consecutive segments of one direction, before they are reported."""

    __slots__ = ("begins", "counts", "ends", "found", "skip", "tail")

    def __init__(self, begins: list[int], ends: list[int], skip: int) -> None:
        self.begins = begins  # payload of each segment in the batch's data
        self.ends = ends
        self.skip = skip  # bytes of a frame that began before
        self.found = array("q")  # frames: position of `$` << 24 | channel << 16 | length
        self.counts: list[int] = []  # frames that begin in each segment
        self.tail: tuple[int, int] | None = None  # (segment, position) of a frame not complete

    def find(self, view: memoryview) -> bool:
        """Follow the frames; False if there is anything else, or a split that is not simple."""
        found, counts = self.found, self.counts
        add = found.append
        skip = self.skip
        for begin, end in zip(self.begins, self.ends, strict=True):
            before = len(found)
            at = begin + skip
            last = end - 4
            while at <= last:
                if view[at] != _DOLLAR:
                    return False
                head = view[at + 1] << 16 | view[at + 2] << 8 | view[at + 3]
                if head & 0xFFFF < SMALL:
                    small = SMALL_FRAMES.match(view, at, end)
                    if small is not None:
                        at = small.end()
                        continue
                stride = 4 + (head & 0xFFFF)
                if stride < _MANY and last - at > _ALIKE * stride:
                    alike = _alike(view, at, end, stride)
                    heads = np.arange(at, at + alike * stride, stride) << 24 | head
                    found.frombytes(heads.tobytes())
                    at += alike * stride
                    continue
                add(at << 24 | head)
                at += stride
            if at < end:
                after = len(counts) + 1
                head_bytes = bytes(view[at:end])
                if after == len(self.begins):
                    if head_bytes[0] != _DOLLAR:
                        return False
                    counts.append(len(found) - before)
                    self.tail = (after - 1, at)
                    return True
                more = self.begins[after]
                head_bytes += view[more : min(more + 4 - len(head_bytes), self.ends[after])]
                if len(head_bytes) < 4 or head_bytes[0] != _DOLLAR:
                    return False
                head = int.from_bytes(head_bytes[1:], "big")
                add(at << 24 | head)
                at += 4 + (head & 0xFFFF)
            counts.append(len(found) - before)
            skip = at - end
        if skip and found:
            segment = len(counts) - 1
            while not counts[segment]:
                segment -= 1
            counts[segment] -= 1
            self.tail = (segment, found.pop() >> 24)
        return True

    def lead_in(self, view: memoryview, side: Direction, stamps: list[tuple[int, int]]) -> None:
        """End the frame that began before this run; `stamps` are (time_ns, number) of segments."""
        left = self.skip
        for begin, end, (time_ns, number) in zip(self.begins, self.ends, stamps, strict=True):
            if not left:
                return
            take = min(left, end - begin)
            side.feed(view, begin, begin + take, time_ns, number)
            left -= take

    def lead_out(self, view: memoryview, side: Direction, stamps: list[tuple[int, int]]) -> None:
        """Begin the frame that continues after this run."""
        if self.tail is None:
            return
        segment, at = self.tail
        for i in range(segment, len(self.begins)):
            side.feed(view, at if i == segment else self.begins[i], self.ends[i], *stamps[i])


def _alike(view: memoryview, at: int, end: int, stride: int) -> int:
    """How many consecutive frames from `at` on have the same channel and length."""
    most = (end - at) // stride
    frames = bytes(view[at : at + most * stride])
    for place in range(4):
        column = frames[place : most * stride : stride]
        if column.count(column[:1]) < most:
            most = len(column) - len(column.lstrip(column[:1]))
    return most


def _forward(segment: I64, place: I64, last: I64) -> I64:
    """(n,) the first segment from `segment` on whose `last` is not before `place`."""
    on = segment.copy()
    rows = np.flatnonzero(place > last[on])
    while len(rows):
        on[rows] = np.minimum(on[rows] + 1, len(last) - 1)
        rows = rows[(place[rows] > last[on[rows]]) & (on[rows] < len(last) - 1)]
    return on


class Runs:
    """All runs of a batch. `begin`, `size`, `time_ns`, `number` (n,) describe the segments."""

    def __init__(self, view: memoryview, begin: I64, size: I64, time_ns: I64, number: I64) -> None:
        self._view = view
        self._begin, self._end = begin, begin + size
        self._begins, self._ends = begin.tolist(), self._end.tolist()
        self._time_ns, self._number = array("q"), array("q")
        self._time_ns.frombytes(time_ns.tobytes())
        self._number.frombytes(number.tobytes())
        self._counts = array("q", bytes(8 * len(begin)))
        self._found = array("q")
        self._sides: list[Direction] = []
        self._epochs: list[int] = []
        self._lengths: list[int] = []  # frames of each side's run

    @property
    def count(self) -> int:
        """How many segments there are."""
        return len(self._begins)

    def read(self, side: Direction, first: int, last: int) -> Run | None:
        """The frames of segments first..last-1, if the run can take the fast path."""
        skip = side.inside
        if skip < 0:
            return None
        run = Run(self._begins[first:last], self._ends[first:last], skip)
        return run if run.find(self._view) else None

    def unwrap(self, socket: WebSocket, onto: Runs, first: int, last: int) -> int | None:
        """Append the RTSP bytes inside the WebSocket frames of segments first..last-1 to `onto`, a
        segment each; returns their number, None if the fast path is impossible.
        """
        found = socket.pieces(self._view, self._begins[first:last], self._ends[first:last])
        if found is None:
            return None
        for segment, begin, end in found:
            onto._begins.append(begin)
            onto._ends.append(end)
            onto._time_ns.append(self._time_ns[first + segment])
            onto._number.append(self._number[first + segment])
        onto._counts.frombytes(bytes(8 * len(found)))
        return len(found)

    def take_parts(self, side: Direction, first: int, last: int) -> None:
        """The segments are pictures in an HTTP response: only those in which a part begins or ends
        are examined.
        """
        sizes = map(sub, self._ends[first:last], self._begins[first:last])
        reach = list(accumulate(sizes))
        at = before = 0
        while at < len(reach) and (parts := side.parts) is not None:
            inside = bisect_right(reach, before + parts.passable, at)
            if inside > at:
                parts.pass_over(reach[inside - 1] - before)
                at = inside
            else:
                here = first + at
                side.feed(
                    self._view, self._begins[here], self._ends[here], self._time_ns[here],
                    self._number[here],
                )  # fmt: skip
                at += 1
            before = reach[at - 1]

    def keep(self, side: Direction, run: Run, first: int) -> None:
        """Accept the run: move the reader of its frames to its end."""
        last = first + len(run.begins)
        if run.skip or run.tail is not None:
            stamps = list(zip(self._time_ns[first:last], self._number[first:last], strict=True))
            run.lead_in(self._view, side, stamps)
            run.lead_out(self._view, side, stamps)
        if run.found:
            self._counts[first:last] = array("q", run.counts)
            self._found += run.found
            self._sides.append(side)
            self._epochs.append(side.epoch)
            self._lengths.append(len(run.found))

    def tell(self, frames: Frames) -> None:
        """All frames of all runs, as a table of `frames`."""
        if not self._found:
            return
        # Runs were kept in the order of their segments, so frames are, too.
        counts = np.frombuffer(self._counts, np.int64)
        begin, end_of = self._begin, self._end
        if len(begin) < len(self._begins):  # pieces were put behind them
            begin, end_of = np.array(self._begins, np.int64), np.array(self._ends, np.int64)
        segment = np.repeat(np.arange(len(counts)), counts)
        found = np.frombuffer(self._found, np.int64)
        side = np.repeat(np.arange(len(self._sides)), self._lengths)
        small = (found & 0xFFFF) < SMALL  # those split by segments
        if small.any():
            found, segment, side = found[~small], segment[~small], side[~small]
        n = len(found)
        if not n:
            return
        head = found & 0xFFFFFF
        length = head & 0xFFFF
        own = end_of - begin
        after = np.cumsum(own)  # in the bytes of all segments together
        body = (found >> 24) - begin[segment] + (after - own)[segment] + 4
        holding = _forward(segment, body, after - 1)
        ending = _forward(segment, body + length, after)
        position = end_of[holding] + body - after[holding]
        captured = np.where(ending == segment, length, np.minimum(length, FRAME_HEAD))
        for i in np.flatnonzero(position + captured > end_of[holding]).tolist():
            position[i] = self._gather(frames, int(holding[i]), int(position[i]), int(captured[i]))
        table = np.empty((n, Frames.FIELDS), np.int64)
        table[:, 0] = self._carriers(side, head >> 16)
        table[:, 1] = position
        table[:, 2] = length
        table[:, 3] = captured
        table[:, 4] = np.frombuffer(self._time_ns, np.int64)[ending]
        table[:, 5] = np.frombuffer(self._number, np.int64)[ending]
        table[:, 6] = np.array(self._epochs, np.int64)[side]
        frames.tables.append(table)

    def _gather(self, frames: Frames, segment: int, position: int, size: int) -> int:
        """Copy the header of a frame that is split by segments to the side; returns its place
        there.
        """
        side = frames.side
        place = ~len(side)
        while size:
            piece = self._view[position : min(position + size, self._ends[segment])]
            side += piece
            size -= len(piece)
            segment += 1
            if size:
                position = self._begins[segment]
        return place

    def _carriers(self, side: I64, channel: I64) -> I64:
        key = side * 256 + channel
        present = np.zeros(256 * len(self._sides), np.bool_)
        present[key] = True
        carrier = np.empty(len(present), np.int64)
        for place in np.flatnonzero(present).tolist():
            carrier[place] = self._sides[place >> 8].carrier(place & 255)
        found: I64 = carrier[key]
        return found


class Readable(NamedTuple):
    """A run on the fast path, before it is accepted."""

    side: Direction  # whose frames they are
    runs: Runs
    run: Run
    first: int  # its first segment in `runs`
    socket: tuple[WebSocket, tuple[bytes, int, bool]] | None = None  # and where it was before

    def keep(self) -> None:
        """Accept it."""
        self.runs.keep(self.side, self.run, self.first)

    def undo(self) -> None:
        """Leave it to the slow path."""
        if self.socket is not None:
            self.socket[0].go_back(self.socket[1])


def readable(side: Direction, both: tuple[Runs, Runs], first: int, last: int) -> Readable | None:
    """The frames of segments first..last-1 of a direction. `both`: the runs of TCP segments, and
    the runs of RTSP inside WebSocket frames.
    """
    runs, carried = both
    if side.wrapped is None:
        run = runs.read(side, first, last)
        return Readable(side, runs, run, first) if run is not None else None
    socket, inner = side.wrapped
    known, place = socket.known, carried.count
    pieces = runs.unwrap(socket, carried, first, last)
    if pieces is None:
        return None
    inner.frames = side.frames
    run = carried.read(inner, place, place + pieces)
    if run is None:
        socket.go_back(known)
        return None
    return Readable(inner, carried, run, place, (socket, known))
