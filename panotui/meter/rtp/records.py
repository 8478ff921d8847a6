"""RTP packets as parallel columns, passed from the lanes to the measuring core.

`Arrivals` are packets as they were read, before their stream is known. `RtpRecords` are packets of
known streams, in order of arrival. `Grouped` are the same stream by stream, with the steps since
each stream's previous packet; columns that are needed for only few rows are not copied.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.meter.rtp.by_stream import Segments
from panotui.model import I32, I64, U8, U16, U32, Bool
from panotui.wire.rtp import RtpColumns

ORDER_BITS = 20  # most frames completed by one packet


class RtpRecords(Struct):
    """n RTP packets in order of arrival, of any streams."""

    stream: U16  # (n,) index into the core's tables
    sequence: U16  # (n,)
    timestamp: U32  # (n,)
    time_ns: I64  # (n,)
    size: I64  # (n,) bytes counted in `bytes`
    media: I32  # (n,) payload bytes
    flags: U8  # (n,) bits of panotui.wire.h264, with MARK for the marker
    order: I64  # (n,) packet number << ORDER_BITS | position among the packet's frames
    epoch: I32  # (n,) rises if the capture has a hole before the row

    def head(self, count: int) -> RtpRecords:
        """The first rows."""
        if count == len(self.stream):
            return self
        return RtpRecords(*(getattr(self, name)[:count] for name in self.__struct_fields__))

    def take(self, rows: I64) -> RtpRecords:
        """The given rows, in that order."""
        return RtpRecords(
            self.stream[rows],
            self.sequence[rows],
            self.timestamp[rows],
            self.time_ns[rows],
            self.size[rows],
            self.media[rows],
            self.flags[rows],
            self.order[rows],
            self.epoch[rows],
        )


class Arrivals(Struct):
    """n RTP packets as they were read; the columns are those of `RtpRecords`."""

    data: U8  # the bytes that `header` points into
    header: RtpColumns
    time_ns: I64  # (n,)
    size: I64  # (n,)
    order: I64  # (n,)
    epoch: I32  # (n,)

    def take(self, rows: I64) -> Arrivals:
        """The given rows, in that order."""
        return Arrivals(
            self.data,
            self.header.take(rows),
            self.time_ns[rows],
            self.size[rows],
            self.order[rows],
            self.epoch[rows],
        )

    def records(self, stream: U16, flags: U8) -> RtpRecords:
        """The packets of known streams; `flags` (n,) are without the marker."""
        header = self.header
        return RtpRecords(
            stream,
            header.sequence,
            header.timestamp,
            self.time_ns,
            self.size,
            header.payload_length,
            flags | header.marker.view(np.uint8) << np.uint8(7),
            self.order,
            self.epoch,
        )


def join(parts: list[RtpRecords]) -> RtpRecords:
    """The concatenation."""
    if len(parts) == 1:
        return parts[0]
    return RtpRecords(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in RtpRecords.__struct_fields__
        )
    )


class Grouped:
    """n packets grouped by stream, streams by index, each stream's in order of arrival."""

    __slots__ = (
        "_all",
        "_place",
        "flags",
        "media",
        "segments",
        "sequence",
        "size",
        "step",
        "step_ns",
        "time_ns",
        "timestamp",
    )

    step: I32  # (n,) step of the RTP clock since the stream's previous packet; see `follow`
    step_ns: I64  # (n,) of time

    def __init__(self, records: RtpRecords) -> None:
        stream = records.stream
        self._all = records
        self._place: I64 | None = None
        counts = np.bincount(stream)
        ids = np.flatnonzero(counts)
        self.segments = Segments.of(ids, counts[ids])
        if len(ids) == 1 or not (stream[1:] < stream[:-1]).any():
            self.sequence, self.timestamp = records.sequence, records.timestamp
            self.time_ns, self.size = records.time_ns, records.size
            self.media, self.flags = records.media, records.flags
            return
        place = self._place = np.argsort(stream, kind="stable")
        self.sequence, self.timestamp = records.sequence[place], records.timestamp[place]
        self.time_ns, self.size = records.time_ns.take(place), records.size.take(place)
        self.media, self.flags = records.media.take(place), records.flags.take(place)

    def follow(self, last_ns: I64, last_timestamp: I64) -> None:
        """Compute the steps; the arguments describe each stream's packet before these."""
        starts = self.segments.starts
        time_ns, timestamp = self.time_ns, self.timestamp
        step_ns = np.empty_like(time_ns)
        np.subtract(time_ns[1:], time_ns[:-1], out=step_ns[1:])
        step_ns[starts] = time_ns[starts] - last_ns
        step = np.empty_like(timestamp)
        np.subtract(timestamp[1:], timestamp[:-1], out=step[1:])
        step[starts] = timestamp[starts] - last_timestamp.astype(np.uint32)
        self.step_ns, self.step = step_ns, step.view(np.int32)

    def grouped(self, column: Bool) -> Bool:
        """(n,) a column of the packets in order of arrival, in the order here."""
        return column if self._place is None else column[self._place]

    def number(self, rows: I64) -> I64:
        """Packet numbers of these rows."""
        return self._all.order[self._at(rows)] >> ORDER_BITS

    def number_of(self, row: int) -> int:
        """The packet number of one row."""
        return int(self.number(np.array([row]))[0])

    def epoch(self, rows: I64) -> I32:
        """Epochs of these rows."""
        return self._all.epoch[self._at(rows)]

    def stream(self, rows: I64) -> I64:
        """Streams of these rows."""
        segments = self.segments
        return segments.ids[np.searchsorted(segments.starts, rows, side="right") - 1]

    def before_ns(self, rows: I64) -> I64:
        """Arrival times of the packets before these."""
        return self.time_ns[rows] - self.step_ns[rows]

    def stamp_before(self, rows: I64) -> I64:
        """RTP timestamps of the packets before these."""
        before = self.timestamp[rows] - self.step[rows].view(np.uint32)
        return before.astype(np.int64)

    def _at(self, rows: I64) -> I64:
        return rows if self._place is None else self._place[rows]

    def part(self, which: Bool) -> tuple[Grouped, I64]:
        """Only the packets of some segments, and their row numbers here."""
        segments = self.segments
        if which.all():
            return self, np.arange(segments.n)
        rows = np.flatnonzero(np.repeat(which, segments.counts))
        part = Grouped.__new__(Grouped)
        part._all, part._place = self._all, self._at(rows)
        part.segments = Segments.of(segments.ids[which], segments.counts[which])
        part.sequence, part.timestamp = self.sequence[rows], self.timestamp[rows]
        part.time_ns, part.size = self.time_ns[rows], self.size[rows]
        part.media, part.flags = self.media[rows], self.flags[rows]
        part.step_ns, part.step = self.step_ns[rows], self.step[rows]
        return part, rows
