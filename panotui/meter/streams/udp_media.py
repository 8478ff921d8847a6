"""RTP and RTCP in UDP: datagrams in, headers of known streams and of new sources out.

Nearly all packets are recognised by the words that the decoder has kept: the fixed header with the
look and the SSRC of their carrier's newest stream. The others are read in full: reports, another
SSRC, packets before media (STUN, DTLS). A flow with too many other packets is ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from panotui.meter.rtp.records import ORDER_BITS, Arrivals
from panotui.meter.rtsp.carriers import NO_MEDIA, RTCP, RTP, UNKNOWN, Carriers
from panotui.meter.rtsp.named_ports import Ports
from panotui.meter.rtsp.places import Place, place_of
from panotui.meter.streams import media_heuristics
from panotui.meter.streams.known_streams import KnownStreams
from panotui.meter.streams.lanes import NOTHING, Announced, Recognised
from panotui.meter.streams.media_heuristics import STRIKE
from panotui.meter.streams.pieces import Pieces
from panotui.meter.streams.probation import Probation
from panotui.meter.streams.rtcp_reports import RtcpReports
from panotui.model import APPS, I32, I64, U8, U16, U64, Bool, PacketBatch, StreamPieces
from panotui.wire import rtcp
from panotui.wire.columns import Columns
from panotui.wire.decode import fragment_identity
from panotui.wire.rtp import LOOK, WORD_BYTES, RtpColumns, plain_headers, read_headers

Report: TypeAlias = tuple[rtcp.Compound, Place]
_APP_RTCP = APPS.index("rtcp")
_PLAUSIBLE = np.array(
    [kind < 128 and media_heuristics.plausible_payload_type(kind) for kind in range(256)]
)


class UdpMedia:
    """The lane of datagrams; a carrier is a direction of a flow: 2 * slot + from_client."""

    def __init__(
        self,
        ports: Ports,
        known: KnownStreams,
        probation: Probation,
        reports: RtcpReports,
        mark: Callable[[int, int], None],
    ) -> None:
        self.carriers = Carriers(1024)
        self.pieces = Pieces()
        self._places: dict[int, Place] = {}
        self._ports = ports
        self._known = known
        self._probation = probation
        self._reports = reports
        self._mark = mark

    # ------------------------------------------------------------ carriers

    def place(self, carrier: int) -> Place:
        return self._places[carrier]

    def announced(self, carrier: int, time_ns: int) -> Announced:
        place = self._places[carrier]
        ports = self._ports.media_at((place.dst, place.dport), time_ns, place.src)
        if not ports:
            return NOTHING
        return Announced(tuple(port.track for port in ports), ports[-1].dialogue)

    def opposite(self, carrier: int) -> tuple[int, ...]:
        return (carrier ^ 1,)

    def is_expected(self, carrier: int) -> bool:
        known, back = self.carriers, carrier ^ 1
        return bool(known.stream[back] >= 0 and known.flow[back] == known.flow[carrier])

    def is_secured(self, carrier: int) -> bool:
        secured, flow = self.carriers.secured, self.carriers.flow
        back = carrier ^ 1
        return bool(secured[carrier]) or bool(secured[back] and flow[back] == flow[carrier])

    def give_up(self, carriers: set[int]) -> None:
        self.carriers.kind[list(carriers)] = NO_MEDIA
        if self._places or self._probation:
            for carrier in carriers:
                self._places.pop(carrier, None)
            self._probation.drop(False, carriers)

    def later_fragments(
        self, time_ns: I64, slot: I64 | I32, flow_id: U64, from_client: Bool, identity: U64
    ) -> tuple[I64, I64]:
        """Which of n later fragments belong to known streams (k,), and to which (k,)."""
        place = slot.astype(np.int64) * 2 + from_client
        carriers = self.carriers
        carriers.reserve(int(place.max()) + 1)
        self.pieces.take_later(place, flow_id, time_ns, identity)
        rows = np.flatnonzero((carriers.flow[place] == flow_id) & (carriers.stream[place] >= 0))
        return rows, carriers.stream[place[rows]].astype(np.int64)

    def settled_pieces(self, now_ns: int) -> list[StreamPieces]:
        """Seconds in which fragments of known streams are missing."""
        return self.pieces.settle(now_ns, self._stream_at) if self.pieces else []

    def _stream_at(self, carrier: int, flow: int) -> tuple[int, int] | None:
        carriers = self.carriers
        index = int(carriers.stream[carrier])
        if index < 0 or int(carriers.flow[carrier]) != flow:
            return None
        stream = self._known.by_index[index]
        return (stream.id, stream.place.interface) if stream is not None else None

    def goes_on(
        self, columns: Columns, rows: I64, slot: I64 | I32, flow_id: U64, from_client: Bool
    ) -> Bool:
        """(n,) rows that are packets of a carrier's newest stream, or reports where those come."""
        place = slot.astype(np.int64) * 2 + from_client
        carriers = self.carriers
        carriers.reserve(int(place.max()) + 1)
        first, second = columns.transport[0].take(rows), columns.transport[1].take(rows)
        plain: Bool = ((first >> np.uint64(16)).astype(np.uint16) & LOOK) == carriers.look[place]
        plain &= second.astype(np.uint32) == carriers.ssrc[place]
        plain &= columns.payload_captured.take(rows) >= WORD_BYTES
        plain &= carriers.stream[place] >= 0
        plain |= carriers.kind[place] == RTCP
        plain &= carriers.flow[place] == flow_id
        return plain

    def foresee(
        self, batch: PacketBatch, columns: Columns, rows: I64, slot: I64 | I32, from_client: Bool
    ) -> tuple[U16, Arrivals, I64, I64]:
        """Rows (n,) that go on, see `goes_on`, before they are read: streams and packets of those
        that are RTP; the other rows, and their carriers.
        """
        place = slot.astype(np.int64) * 2 + from_client
        stream = self.carriers.stream[place]
        other = np.flatnonzero(stream < 0)
        others = rows[other], place[other]
        if len(other):
            media = np.flatnonzero(stream >= 0)
            rows, stream = rows[media], stream[media]
        first, second, third = (words.take(rows) for words in columns.transport)
        header = plain_headers(
            (first, second, third),
            second.astype(np.uint32),
            columns.payload.take(rows),
            columns.payload_length.take(rows),
            columns.payload_captured.take(rows),
        )
        return stream.astype(np.uint16), _arrivals(batch, rows, header), *others

    def report(self, batch: PacketBatch, columns: Columns, row: int, carrier: int) -> Report | None:
        """The RTCP packet of a row that is not read yet; None if it is none, or of a new place."""
        place = self._places.get(carrier)
        start, captured = int(columns.payload[row]), int(columns.payload_captured[row])
        raw = batch.data[start : start + captured].tobytes()
        if place is None or len(raw) < 8 or captured < int(columns.payload_length[row]):
            return None
        said = rtcp.parse(raw, complete=True) if raw[0] >> 6 == 2 and raw[1] >= 200 else None
        return None if said is None else (said, place)

    # ------------------------------------------------------------ packets

    def read(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        slot: I64 | I32,
        flow_id: U64,
        from_client: Bool,
    ) -> Recognised:
        """Sort UDP packets; `slot`, `flow_id` and `from_client` are aligned with `rows` (n,)."""
        place = slot.astype(np.int64)
        place += place
        place += from_client
        carriers = self.carriers
        carriers.reserve(int(place.max() | 1) + 1)  # both directions of every flow
        for gone in carriers.check(place, flow_id).tolist():
            self._places.pop(gone, None)
        stream = carriers.stream.take(place)
        idle = carriers.kind.take(place) == NO_MEDIA
        idle &= stream < 0
        if idle.any():
            busy = np.flatnonzero(~idle)
            if not len(busy):
                return Recognised()
            rows, place, stream = rows.take(busy), place.take(busy), stream.take(busy)
        every = len(rows) == len(columns.payload)
        words = columns.transport
        first, second = words[0], words[1]
        captured, length = columns.payload_captured, columns.payload_length
        if not every:
            first, second = first.take(rows), second.take(rows)
            captured, length = captured.take(rows), length.take(rows)
        if columns.fragment.any():
            fragment = columns.fragment[rows]
            own, length = length, _of_datagrams(length, fragment, first)
            at = np.flatnonzero(fragment == 1)
            if len(at):
                number = rows[at] + batch.first_number
                self.pieces.take_first(
                    place[at], carriers.flow[place[at]], batch.time_ns[rows[at]], number,
                    own[at], length[at], fragment_identity(batch, columns, rows[at]),
                )  # fmt: skip
        ssrc = second.astype(np.uint32)
        plain = ((first >> np.uint64(16)).astype(np.uint16) & LOOK) == carriers.look.take(place)
        plain &= ssrc == carriers.ssrc.take(place)
        plain &= captured >= WORD_BYTES
        found = Recognised()
        others: tuple[I64, RtpColumns] | None = None
        if not plain.all():
            which = np.flatnonzero(~plain)
            others = self._read_others(batch, columns, rows, place, length, which, found)
            plain[others[0]] = True
            chosen = np.flatnonzero(plain)
            if not len(chosen):
                return found
            rows, stream = rows.take(chosen), stream.take(chosen)
            first, second, ssrc = first.take(chosen), second.take(chosen), ssrc.take(chosen)
            captured, length, every = captured.take(chosen), length.take(chosen), False
        header = plain_headers(
            (first, second, words[2] if every else words[2][rows]),
            ssrc,
            columns.payload if every else columns.payload[rows],
            length,
            captured,
        )
        if others is not None and len(others[0]):
            header.put(np.searchsorted(chosen, others[0]), others[1])
        found.known = stream.astype(np.uint16), _arrivals(batch, rows, header, every)
        return found

    def _read_others(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        place: I64,
        length: I32,
        which: I64,
        found: Recognised,
    ) -> tuple[I64, RtpColumns]:
        """Rows, by their positions `which`, that are not plain packets of a known stream.

        Those that belong to one nevertheless are returned, with their headers; those of new sources
        are put into `found`.
        """
        carriers = self.carriers
        media = carriers.kind[place[which]] != NO_MEDIA
        media &= columns.payload[rows[which]] >= 0
        media &= columns.payload_captured[rows[which]] >= 4
        which = which[media]
        rows, place, length = rows[which], place[which], length[which]
        offset, captured = columns.payload[rows], columns.payload_captured[rows]
        header = read_headers(batch.data, offset, length, captured)
        known = header.valid & (carriers.stream[place] >= 0)
        known &= header.ssrc == carriers.ssrc[place]
        known &= header.payload_type == carriers.payload_type[place]
        rest = np.flatnonzero(~known)
        if len(rest):
            rest = self._take_reports(batch, columns, rows, place, length, rest)
            rest = self._likely(batch, columns, rows, place, header, length, rest)
            for i in rest[np.unique(place[rest], return_index=True)[1]].tolist():
                self._place_of(batch, columns, int(rows[i]), int(place[i]))
            if len(rest):
                found.new = place[rest], _arrivals(batch, rows[rest], header.take(rest))
        return which[known], header.take(np.flatnonzero(known))

    def _take_reports(
        self, batch: PacketBatch, columns: Columns, rows: I64, place: I64, length: I32, which: I64
    ) -> I64:
        """Process those of the rows `which` that look like RTCP; the others are returned."""
        at = columns.payload[rows[which]]
        b0, b1 = batch.data[at], batch.data[at + 1]
        report = (b0 >> 6 == 2) & (b1 >= 200) & (b1 <= 207) & (length[which] >= 8)
        # a marked packet of types 72 to 79 has the same second byte, but a sequence number for a
        # length
        said = batch.data[at + 2].astype(np.int32) << 8 | batch.data[at + 3]
        report &= 4 * (said + 1) <= length[which]
        for i in self._reports.admitted(which[report]).tolist():
            row, carrier = int(rows[i]), int(place[i])
            start, captured = int(columns.payload[row]), int(columns.payload_captured[row])
            raw = batch.data[start : start + captured].tobytes()
            self._take_report(batch, columns, row, carrier, raw, int(length[i]))
        rest: I64 = which[~report]
        return rest

    def _take_report(
        self, batch: PacketBatch, columns: Columns, row: int, carrier: int, raw: bytes, length: int
    ) -> None:
        carriers = self.carriers
        place = self._place_of(batch, columns, row, carrier)
        time_ns = int(batch.time_ns[row])
        toward = self._ports.find((place.dst, place.dport), time_ns, place.src)
        port = toward or self._ports.find((place.src, place.sport), time_ns, place.dst)
        if carriers.kind[carrier] == UNKNOWN:
            sure = port is not None or self._has_media_beside(place)
            if sure or media_heuristics.is_compound_report(raw, length):
                carriers.kind[carrier] = RTCP
                self._mark(place.flow, _APP_RTCP)
            else:
                carriers.strikes[carrier] += STRIKE
                if carriers.strikes[carrier] >= 4 * media_heuristics.STRIKES_MAX:
                    carriers.kind[carrier] = NO_MEDIA
        order = (row + batch.first_number) << ORDER_BITS
        self._reports.take(raw, length, place, time_ns, order, port.dialogue if port else None)

    def _has_media_beside(self, place: Place) -> bool:
        """Whether RTP flows on the even port below, or on this one (RFC 5761)."""
        return any(
            self._known.toward(address, candidate)
            for address, port in place.endpoints
            for candidate in (port - 1, port)
        )

    def _likely(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        place: I64,
        header: RtpColumns,
        length: I32,
        which: I64,
    ) -> I64:
        """Those of the rows `which` that may be RTP; the others count against their flow."""
        carriers = self.carriers
        valid = header.valid[which]
        wrong = which[~valid]
        if len(wrong):
            beside, dtls = media_heuristics.accompany_media(
                batch.data, columns.payload[rows[wrong]], length[wrong]
            )
            carriers.secured[place[wrong[dtls]]] = True
            weight = np.where(beside, media_heuristics.COMPANION_STRIKE, STRIKE)
            self._strike(place[wrong], weight.astype(np.int32))
        maybe = which[valid]
        unlikely = ~_PLAUSIBLE[header.payload_type[maybe]]
        unlikely[unlikely] = ~media_heuristics.may_be_picture(header.head[maybe[unlikely]])
        if unlikely.any():
            known = carriers.kind[place[maybe]] == RTP
            known |= self._is_announced(batch, columns, rows, place, maybe, unlikely & ~known)
            self._strike(place[maybe[unlikely & ~known]], np.int32(STRIKE))
            maybe = maybe[~unlikely | known]
        likely: I64 = maybe[carriers.kind[place[maybe]] != NO_MEDIA]
        return likely

    def _is_announced(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        place: I64,
        which: I64,
        asked: Bool,
    ) -> Bool:
        """Mask of the rows `which` (n,), where `asked`, that go to a port negotiated by RTSP:
        announced packets are media, whatever their type.
        """
        out = np.zeros(len(which), np.bool_)
        if not self._ports:
            return out
        at = np.flatnonzero(asked)
        carrier = place[which]
        for first in at[np.unique(carrier[at], return_index=True)[1]].tolist():
            row, one = int(rows[which[first]]), int(carrier[first])
            known = self._places.get(one)
            whose = known or place_of(batch, columns, row, int(self.carriers.flow[one]))
            if self._ports.media_at(whose.endpoints[1], int(batch.time_ns[row]), whose.src):
                out |= asked & (carrier == one)
        return out

    def _strike(self, place: I64, weight: I32 | np.int32) -> None:
        """Packets that are not RTP; a flow with many of them is no longer examined."""
        carriers = self.carriers
        np.add.at(carriers.strikes, place, weight)
        over = carriers.strikes.take(place) >= media_heuristics.STRIKES_MAX
        out = place.take(np.flatnonzero(over & (carriers.kind.take(place) == UNKNOWN)))
        if len(out):
            self.give_up(set(out.tolist()))

    def _place_of(self, batch: PacketBatch, columns: Columns, row: int, carrier: int) -> Place:
        known = self._places.get(carrier)
        if known is None:
            known = place_of(batch, columns, row, int(self.carriers.flow[carrier]))
            self._places[carrier] = known
        return known


def _arrivals(batch: PacketBatch, rows: I64, header: RtpColumns, every: bool = False) -> Arrivals:
    """These rows of a batch (`every`: all of it)."""
    return Arrivals(
        batch.data,
        header,
        batch.time_ns if every else batch.time_ns[rows],
        batch.wire_length if every else batch.wire_length[rows],
        (rows + batch.first_number) << ORDER_BITS,
        np.zeros(len(rows), np.int32),
    )


def _of_datagrams(length: I32, fragment: U8, first: U64) -> I32:
    """(n,) payload bytes of whole datagrams; for a first fragment from its UDP header.

    `first` (n,) are the words that begin with that length. Bytes on the wire are not counted here.
    """
    told = (first >> np.uint64(48)).astype(np.int32) - np.int32(8)
    return np.where(fragment == 1, np.maximum(length, told), length)
