"""RTCP reports, which wait for the packets before them and then update their streams.

In: compound packets as they pass. Out: the RTCP columns of the streams' rows (`rtcp_tracker`),
their ends by BYE, and `RtcpReport` messages. A report is compared with the packets counted by then,
so reports are settled once the packets before them are measured.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from panotui.meter.rtp.records import ORDER_BITS, RtpRecords
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.meter.rtsp.dialogue import Dialogue
from panotui.meter.rtsp.places import Place
from panotui.meter.streams import rtcp_tracker
from panotui.meter.streams.known_streams import KnownStreams, Stream
from panotui.model import I64, SECOND, AnyMessage
from panotui.model.tables import GOODBYE
from panotui.wire import rtcp

RTCP_PER_SECOND = 1_000  # reports read one at a time; 80 cameras send fewer than a hundred


class _Report(msgspec.Struct):
    compound: rtcp.Compound
    place: Place
    time_ns: int
    order: int
    dialogue: Dialogue | None


class RtcpReports:
    """Waiting reports, at most RTCP_PER_SECOND per second."""

    def __init__(
        self, state: StreamColumns, known: KnownStreams, emit: Callable[[AnyMessage], None]
    ) -> None:
        self._state = state
        self._known = known
        self._emit = emit
        self._waiting: list[_Report] = []
        self._second = 0
        self._taken = 0
        self.skipped = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def admitted(self, rows: I64) -> I64:
        """Those of rows (n,) that arrived together and are within the limit."""
        self.skipped += max(len(rows) - RTCP_PER_SECOND, 0)
        return rows[:RTCP_PER_SECOND]

    def take(
        self,
        raw: bytes,
        length: int,
        place: Place,
        time_ns: int,
        order: int,
        dialogue: Dialogue | None,
    ) -> None:
        """A packet that looks like RTCP: the captured part of its `length` bytes.

        `order` is that of `RtpRecords`; `dialogue` the one that named its port or channel.
        """
        second = time_ns // SECOND
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        if self._taken > RTCP_PER_SECOND:
            self.skipped += 1
            return
        compound = rtcp.parse(raw, complete=len(raw) >= length)
        if compound is not None:
            self._waiting.append(_Report(compound, place, time_ns, order, dialogue))

    def settle(self, measured: tuple[I64, RtpRecords] | None) -> None:
        """Process all waiting reports; `measured` are the packets measured just now.

        They come with the number of each stream's packets before, by index.
        """
        reports, self._waiting = self._waiting, []
        reports.sort(key=lambda report: report.order)
        for report in reports:
            self._settle(report, measured)

    def _settle(self, report: _Report, measured: tuple[I64, RtpRecords] | None) -> None:
        compound, place, row = report.compound, report.place, self._state.row
        dialogue = report.dialogue
        about = (report.time_ns, report.order >> ORDER_BITS, place.interface, place.flow)
        for sender in compound.senders:
            stream = self._known.find(sender.ssrc, place)
            if stream is None:
                continue
            seen = self._seen(stream, report, measured)
            at = row[stream.index : stream.index + 1]
            rtcp_tracker.sender_report(at, stream.clockwork, sender, report.time_ns, seen)
            self._tell(stream, rtcp_tracker.message_of(sender, stream.id, *about))
        for block in compound.reports:
            stream = self._known.find(block.about, place)
            if stream is None:
                continue
            at = row[stream.index : stream.index + 1]
            rtcp_tracker.reception_report(at, stream.clockwork, block, report.time_ns)
            dialogue = dialogue or stream.dialogue
            self._tell(stream, rtcp_tracker.message_of(block, stream.id, *about))
        receives = bool(compound.reports or compound.empty_reports) and not compound.senders
        if receives and dialogue is not None:
            dialogue.kept_alive(report.time_ns, "rtcp")
        for ssrc in compound.byes:
            stream = self._known.find(ssrc, place)
            if stream is None or stream.place.src != place.src or stream.ssrc != ssrc:
                continue
            row["end"][stream.index] = GOODBYE
            self._state.watched[stream.index] = False
            self._tell(stream, rtcp_tracker.message_of(ssrc, stream.id, *about))

    def _seen(
        self, stream: Stream, report: _Report, measured: tuple[I64, RtpRecords] | None
    ) -> int:
        """How many packets of the stream came before the report."""
        if measured is None:
            return int(self._state.row["packets"][stream.index])
        before, records = measured
        early = (records.stream == stream.index) & (records.order < report.order)
        return int(before[stream.index]) + int(np.count_nonzero(early))

    def _tell(self, stream: Stream, message: AnyMessage) -> None:
        self._state.changed[stream.index] = True
        self._emit(message)
