"""Known streams over UDP in seconds that are not metered yet: whether they may be measured at once.

In: rows of a batch that only continue known streams and reports about them. Out: what the streams'
rows will say at each tick (`rtp.foresight`), until something comes that needs a look in its second:
new parameters, a goodbye, a report from a new place or of loss. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from panotui.meter.rtp.foresight import LEAST, Coming
from panotui.meter.rtp.metrics import RtpMetrics
from panotui.meter.rtp.records import RtpRecords, join
from panotui.meter.streams.formats import Formats
from panotui.meter.streams.known_streams import KnownStreams
from panotui.meter.streams.udp_media import UdpMedia
from panotui.model import (
    I32,
    I64,
    SECOND,
    AnyMessage,
    Bool,
    PacketBatch,
    RtcpReport,
    RtspMessage,
)
from panotui.wire.columns import Columns
from panotui.wire.rtcp import ntp_to_unix_ns

REPORTS_A_SECOND = 64  # read twice; with more, each second is measured
LOSSY = 3  # of 256 packets lost by a reader: its report needs a look in its second

_KEEPALIVES = frozenset(("OPTIONS", "GET_PARAMETER", "SET_PARAMETER"))


def may_wait(messages: Iterable[AnyMessage]) -> bool:
    """Whether messages change nothing but the times of what they repeat: reports, and sessions that
    are kept alive by requests with an answer. A later tick may tell them.
    """
    asked: set[tuple[int, str, int | None]] = set()
    for message in messages:
        if type(message) is RtcpReport:
            continue
        if type(message) is not RtspMessage or message.method not in _KEEPALIVES:
            return False
        key = message.session, message.method, message.cseq
        if message.status is None and message.from_client and key not in asked:
            asked.add(key)
        elif message.status == 200 and not message.from_client and key in asked:
            asked.remove(key)
        else:
            return False
    return not asked


class StreamsAhead:
    """Looks ahead over all streams of a table."""

    def __init__(
        self, metrics: RtpMetrics, known: KnownStreams, formats: Formats, udp: UdpMedia
    ) -> None:
        self._metrics = metrics
        self._known = known
        self._formats = formats
        self._udp = udp
        self.waiting: list[RtpRecords] = []  # read but not measured yet

    def look(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        slot: I32,
        from_client: Bool,
        start_ns: int,
        count: int,
    ) -> Coming | None:
        """The `count` seconds from the tick at `start_ns` on; `rows` (n,) are UDP packets for which
        `UdpMedia.goes_on` is true, with their slots. Before these come those that are `waiting`.
        See `Foresight.look`.
        """
        stream, packets, other, carriers = self._udp.foresee(
            batch, columns, rows, slot, from_client
        )
        clocks: list[tuple[int, int, float]] = []  # second, stream, offset
        if len(other) > REPORTS_A_SECOND * count:
            return None
        for row, carrier in zip(other.tolist(), carriers.tolist(), strict=True):
            second = (int(batch.time_ns[row]) - start_ns) // SECOND
            said = self._udp.report(batch, columns, row, carrier)
            if said is None or said[0].byes:
                count = min(count, second)
                break
            compound, place = said
            if any(report.fraction >= LOSSY for report in compound.reports):
                count = min(count, second)
                break
            for sender in compound.senders:
                one = self._known.find(sender.ssrc, place)
                if one is not None and sender.ntp:
                    off_ns = ntp_to_unix_ns(sender.ntp) - int(batch.time_ns[row])
                    clocks.append((second, one.index, off_ns / SECOND))
        if count < LEAST or not len(stream):
            return None
        flags, odd = self._formats.ahead(packets.data, packets.header, stream)
        records = join([*self.waiting, packets.records(stream, flags)])
        odd = np.append(np.zeros(len(records.stream) - len(odd), np.bool_), odd)
        found = self._metrics.foresee(records, odd, start_ns, count)
        if found is None:
            return None
        offset_s = found.told.rows["camera_clock_offset_s"]
        for second, index, off_s in clocks:
            offset_s[second:, found.streams == index] = off_s
        return found
