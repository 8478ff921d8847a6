"""The stream table: UDP packets and RTSP connections in, measured media streams out.

It recognises RTP and RTCP by signalling (RTSP) or by content, gives each SSRC of each carrier a
stream, and passes header columns to `RtpMetrics`. STREAM_DTYPE rows, rows per second, messages, and
the flows that are media go out. Ports, clock rates and codecs come only from captured RTSP. The two
lanes, `udp_media` and `rtsp_media`, recognise packets; `probation` holds those of new sources; here
they become streams. RTP packets wait until `tick` (or until there are many) and are measured
together; the results do not depend on that.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.foresight import Coming
from panotui.meter.rtp.metrics import RtpMetrics
from panotui.meter.rtp.records import ORDER_BITS, Arrivals, RtpRecords, join
from panotui.meter.rtsp.carriers import NO_MEDIA, RTP
from panotui.meter.rtsp.dialogue import Track
from panotui.meter.rtsp.multipart import Part
from panotui.meter.rtsp.named_ports import Ports
from panotui.meter.streams import media_heuristics
from panotui.meter.streams.ahead import StreamsAhead, may_wait
from panotui.meter.streams.formats import Formats
from panotui.meter.streams.known_streams import KnownStreams, Source, Stream
from panotui.meter.streams.lanes import Announced, Lane, Recognised
from panotui.meter.streams.probation import Arrived, Held, Probation, records_of
from panotui.meter.streams.renewals import ends_before, follows, sources_before
from panotui.meter.streams.rtcp_reports import RtcpReports
from panotui.meter.streams.rtsp_media import RtspMedia
from panotui.meter.streams.signalling import Signalling
from panotui.meter.streams.udp_media import UdpMedia
from panotui.model import (
    APPS,
    I32,
    I64,
    SECOND,
    STREAM_SECOND_DTYPE,
    U8,
    U16,
    U64,
    AnyMessage,
    Bool,
    MeterSettings,
    PacketBatch,
    Rows,
    StreamRestart,
)
from panotui.wire.columns import Columns
from panotui.wire.h264 import KEY, MARK, START, VCL

JPEG_TYPE = 26  # RFC 3551; also for MJPEG over HTTP
MEASURE_AT = 65_536  # packets waiting
TIMEOUT_S = 60  # of sessions without one (RFC 2326 12.37)
_ENDED, _SILENT, _EVICTED = 1, 2, 3  # `end` of a stream's row; a fourth is GOODBYE
CARRIER_STREAMS_MAX = 32  # per sender that restarts each second
RETIRED_PER_TICK = 8
_RENEWALS_LOOKED_AT = 16  # sources held per carrier, while a single packet may decide
_BEGINS_NS = 10 * SECOND  # after SETUP, within which a session's own stream begins
_STRAY_NS = SECOND  # of silence, after which an earlier session's stream is over
_APP_RTP, _APP_SRTP = APPS.index("rtp"), APPS.index("srtp")


class StreamTable:
    """All media streams that one meter sees."""

    def __init__(self, settings: MeterSettings) -> None:
        self.metrics = RtpMetrics(settings.streams_max)
        self.streams_evicted = 0
        self._state = self.metrics.state
        self._messages: list[AnyMessage] = []
        self._apps: dict[int, int] = {}
        self._known = KnownStreams(settings.streams_max)
        self._formats = Formats(self._state, self._known.by_index)
        self._probation = Probation()
        self._reports = RtcpReports(self._state, self._known, self._messages.append)
        ports = Ports()
        self._udp = UdpMedia(ports, self._known, self._probation, self._reports, self._mark)
        self.goes_on, self.pieces = self._udp.goes_on, self._udp.pieces
        self._ahead = StreamsAhead(self.metrics, self._known, self._formats, self._udp)
        self._signalling = Signalling(
            settings.rtsp_connections_max,
            ports,
            self._udp.carriers,
            self._known,
            self._formats,
            self._state,
            self._messages.append,
            self._mark,
        )
        self._connections = self._signalling.connections
        self._rtsp = RtspMedia(self._connections, self._reports)
        self._waiting: list[RtpRecords] = []
        self._waiting_count = 0
        self._last_rows: list[Rows] = []
        self._last_seconds: list[Rows] = []
        self._now_ns = self._looked_ns = 0  # the newest tick; that which was looked at, see `look`

    def _lane(self, tcp: bool) -> Lane:
        return self._rtsp if tcp else self._udp

    # ------------------------------------------------------------ packets

    def udp(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        slot: I64 | I32,
        flow_id: U64,
        from_client: Bool,
    ) -> None:
        """Process UDP packets that are not control packets.

        `rows` (n,) index the batch; `slot`, `flow_id` and `from_client` are aligned with `rows`, or
        with the whole batch.
        """
        if not len(rows):
            return
        if len(slot) != len(rows):
            slot, flow_id, from_client = slot.take(rows), flow_id.take(rows), from_client.take(rows)
        found = self._udp.read(batch, columns, rows, slot, flow_id, from_client)
        self._take(False, found)

    def fragments(
        self, time_ns: I64, size: I64, slot: I64 | I32, flow_id: U64, from_client: Bool,
        identity: U64,
    ) -> None:  # fmt: skip
        """Process later fragments of UDP packets, (n,) each: they count as bytes of the stream.
        `identity`: of their datagrams."""
        rows, stream = self._udp.later_fragments(time_ns, slot, flow_id, from_client, identity)
        if len(rows):
            self.metrics.add_bytes(stream, time_ns[rows], size[rows])

    def rtsp(
        self, batch: PacketBatch, columns: Columns, rows: I64, flow_id: U64, from_client: Bool
    ) -> None:
        """Process every TCP packet of RTSP flows, both directions, in order of arrival."""
        frames = self._connections.walk(batch, columns, rows, flow_id, from_client)
        for found in self._rtsp.read(batch, frames):
            self._take(True, found)
        for flow in self._connections.overdue():
            self._forget_connection(flow, int(batch.time_ns[-1]))

    @property
    def rtsp_evicted(self) -> int:
        return self._connections.evicted

    @property
    def rtsp_resyncs(self) -> int:
        return self._connections.resyncs

    def note_capture_loss(
        self, time_ns: int, packets: int, interface: int = -1, *, since_ns: int | None = None
    ) -> None:
        """Our own capture missed `packets` before `time_ns` (-1: on any interface)."""
        self.metrics.note_capture_loss(time_ns, packets, interface, since_ns)

    def note_blind(self, since_ns: int, until_ns: int) -> None:
        """Between these times our own capture saw little or nothing."""
        self.metrics.note_blind(since_ns, until_ns)

    def _take(self, tcp: bool, found: Recognised) -> None:
        if found.known is not None:
            self._append(*found.known)
        if found.new is not None:
            self._take_new(tcp, *found.new)
        if found.pictures:
            self._take_pictures(found.pictures)

    # ------------------------------------------------------------ new sources

    def _take_new(self, tcp: bool, carriers: I64, packets: Arrivals) -> None:
        """Packets whose carrier's newest stream (n,) is another or none: follow it, or hold
        them.
        """
        lane, header = self._lane(tcp), packets.header
        kinds = header.payload_type
        key = carriers << 39 | header.ssrc.astype(np.int64) << 7 | kinds
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        arrived: Arrived | None = None
        owner = np.full(len(order), -1, np.int64)  # streams that these packets follow
        held: list[tuple[Source, int]] = []
        heads = order[starts]
        for begin, end, carrier, ssrc, kind in zip(
            starts.tolist(),
            [*starts[1:].tolist(), len(order)],
            *(column[heads].tolist() for column in (carriers, header.ssrc, kinds)),
            strict=True,
        ):
            chosen = order[begin:end]
            announced = lane.announced(carrier, int(packets.time_ns[chosen[-1]]))
            source = (tcp, carrier, ssrc, announced.part_of(kind))
            stream = self._stream_at(source, announced, kind)
            if stream is not None:
                self._follow(stream, announced, kind)
                owner[chosen] = stream.index
                continue
            declared = self._declared_on(tcp, carrier) if announced.is_foreign(kind) else None
            if declared is not None:
                numbers, times = header.sequence[chosen], packets.time_ns[chosen]
                self._note_foreign(declared, ssrc, numbers, times)
            elif lane.carriers.kind[carrier] != NO_MEDIA:
                arrived = arrived or Arrived(packets)
                self._probation.hold(source, kind, arrived, chosen)
                if announced.tracks or self._may_be_believed(source):
                    held.append((source, int(packets.time_ns[chosen[0]])))
        known = np.flatnonzero(owner >= 0)
        if len(known):
            self._append(owner[known].astype(np.uint16), packets.take(known))
        held = [each for each in held if each[0] in self._probation]  # in a flood some are dropped
        if len(held) > 1:
            # streams are numbered in the order in which they could be confirmed, independent of
            # batches
            held.sort(key=lambda each: self._probation.proven(each[0], self._wanted(*each)))
        for source, first_ns in held:
            if source in self._probation:  # no other SSRC of its carrier has used up its chances
                self._believe(source, first_ns)

    def _take_pictures(self, parts: list[Part]) -> None:
        """Pictures of HTTP responses: streams without numbers or stamps, measured on arrival."""
        for carrier in dict.fromkeys(part.carrier for part in parts):
            own = [part for part in parts if part.carrier == carrier]
            source = (True, carrier, 0, 0)
            known = self._known.at(source)
            stream = known[-1] if known else self._open_pictures(source, own[0])
            self._formats.learn_picture(stream, own[-1].head)
            count = len(own)
            time_ns = np.array([part.time_ns for part in own], np.int64)
            order = np.array([part.number for part in own], np.int64) << ORDER_BITS
            self._queue(
                RtpRecords(
                    np.full(count, stream.index, np.uint16),
                    (stream.pictures + np.arange(count)).astype(np.uint16),
                    (time_ns * 9 // 100_000).astype(np.uint32),
                    time_ns,
                    np.array([part.size for part in own], np.int64),
                    np.array([part.length for part in own], np.int32),
                    np.full(count, VCL | KEY | START | MARK, np.uint8),
                    order | np.arange(count),
                    np.zeros(count, np.int32),
                )
            )
            stream.pictures += count

    def _open_pictures(self, source: Source, first: Part) -> Stream:
        stream = self._open(source, JPEG_TYPE)
        row, index = self._state.row, stream.index
        row["first_ns"][index] = row["last_ns"][index] = first.time_ns
        row["first_packet"][index] = first.number
        self._formats.learn(stream, JPEG_TYPE)
        row["clock_rate"][index] = 0  # it has none
        dialogue = self._rtsp.announced(source[1], first.time_ns).dialogue
        if dialogue is not None:
            self._signalling.join(stream, dialogue)
            row["session"][index] = -1
        return stream

    def _may_be_believed(self, source: Source) -> bool:
        """Whether an unannounced source is worth examining; in a flood of sources none is."""
        tcp, carrier = source[:2]
        if self._probation.kept(source) > 1:
            return True
        few = self._probation.count(tcp, carrier) <= _RENEWALS_LOOKED_AT
        return few and int(self._lane(tcp).carriers.stream[carrier]) >= 0

    def _stream_at(self, source: Source, announced: Announced, kind: int) -> Stream | None:
        """The stream of packets of a source and payload type; None: none yet."""
        known = self._known.at(source)
        if not known:
            return None
        if not announced.tracks:
            return next((s for s in reversed(known) if s.payload_type == kind), known[-1])
        track = announced.track_of(kind)
        if track is None:
            # a stream of this type that existed before something else was announced
            for stream in reversed(known):
                if stream.payload_type == kind and stream.track not in announced.tracks:
                    return stream
            return None
        for stream in reversed(known):
            if stream.track is track or (stream.track is not None and _same(stream.track, track)):
                return stream
        alone = len(announced.tracks) == 1
        for stream in reversed(known):
            free = stream.track is None or stream.track not in announced.tracks
            fits = alone or track.declares(stream.payload_type)
            if free and fits and not stream.undeclared:
                return stream
        return None

    def _declared_on(self, tcp: bool, carrier: int) -> Stream | None:
        """The newest stream of a carrier that was announced."""
        known = reversed(self._known.on(tcp, carrier))
        return next((s for s in known if not s.undeclared and s.stray is None), None)

    def _note_foreign(self, stream: Stream, ssrc: int, numbers: U16, time_ns: I64) -> None:
        """Packets of a type that was not announced, beside a stream; (n,) each."""
        self._state.row["foreign"][stream.index] += len(numbers)
        self._state.changed[stream.index] = True
        if ssrc in stream.ssrcs:
            self.metrics.note_foreign(stream.index, numbers, time_ns)

    def _note_held(self, stream: Stream, source: Source) -> None:
        """The held packets of a source are beside a stream, and not announced."""
        held = self._probation.take(source)
        rows = held.in_order()
        self._note_foreign(stream, source[2], rows["sequence"], rows["time_ns"])
        self._state.row["foreign"][stream.index] += held.looked - len(rows)

    def _follow(self, stream: Stream, announced: Announced, kind: int) -> None:
        """Another SSRC or payload type of a known carrier: it is the newest now."""
        dialogue, track = announced.dialogue, announced.track_of(kind)
        if (
            dialogue is not None
            and track is not None
            and track is not stream.track
            and dialogue is not stream.stray
        ):
            self._signalling.bind(stream, dialogue, track)
        carriers = self._lane(stream.tcp).carriers
        carriers.point(stream.carrier, stream.index, stream.ssrc, kind)
        if kind != stream.payload_type:
            self._signalling.change_payload(stream, kind)

    def _wanted(self, source: Source, time_ns: int) -> int:
        """How many consecutive packets confirm a source."""
        tcp, carrier, ssrc, _ = source
        lane = self._lane(tcp)
        announced = lane.announced(carrier, time_ns)
        kind = self._probation.payload_type(source)
        track = announced.track_of(kind)
        if track is not None:
            renewed = self._before(source, track, kind) is not None
            return 2 if renewed and track.transport.ssrc != ssrc else 1
        if announced.is_foreign(kind) or (not tcp and announced.needs_content(kind)):
            return media_heuristics.ADOPT_PACKETS
        sure = lane.carriers.stream[carrier] >= 0 or lane.is_expected(carrier)
        return 2 if sure else media_heuristics.ADOPT_PACKETS

    def _before(self, source: Source, track: Track | None, kind: int) -> Stream | None:
        """The stream that a new SSRC may continue: the newest of its carrier and track."""
        for stream in reversed(self._known.on(source[0], source[1])):
            if stream.undeclared or stream.stray is not None:
                continue
            if track is None or stream.track is None:
                if stream.payload_type == kind:
                    return stream
            elif stream.track is track or _same(stream.track, track):
                return stream
        return None

    def _believe(self, source: Source, time_ns: int) -> None:
        """Whether the held packets of a source are enough."""
        tcp, carrier, _, _ = source
        lane = self._lane(tcp)
        announced = lane.announced(carrier, time_ns)
        kind = self._probation.payload_type(source)
        if announced.is_foreign(kind):
            declared = self._declared_on(tcp, carrier)
            if declared is not None:
                self._note_held(declared, source)
                return
        wanted = self._wanted(source, time_ns)
        before = self._before(source, announced.track_of(kind), kind)
        by_content = not tcp and announced.needs_content(kind)
        held = self._probation.release(source, wanted, by_content)
        goes_on = False
        if before is not None:
            few = self._probation.count(tcp, carrier) <= _RENEWALS_LOOKED_AT
            if held is not None:
                goes_on = self._goes_on(before, held)
            elif few and self._goes_on(before, self._probation.look(source)):
                held, goes_on = self._probation.take(source), True
        if held is None:
            looked = self._probation.looked(source)
            without = lane.carriers.stream[carrier] < 0 and not announced.tracks
            if looked >= media_heuristics.LOOKS_MAX and without:
                lane.give_up({carrier})
            return
        if before is not None and goes_on:
            self._renew(before, source, held)
            return
        alone = before is None and not announced.tracks
        earlier = sources_before(self._probation, source, held) if alone else []
        whole = [*((one, self._probation.take(one)) for one in earlier), (source, held)]
        stream = self._adopt(*whole[0], wanted, announced, before)
        for one, its in whole[1:]:
            self._renew(stream, one, its)
        rows = held.in_order()
        for other in self._probation.on(tcp, (carrier, *lane.opposite(carrier))):
            if other in self._probation:
                past = alone and other[1] == carrier
                if not (past and ends_before(self._probation.look(other), rows)):
                    self._believe(other, time_ns)

    def _goes_on(self, stream: Stream, held: Held) -> bool:
        """Whether sequence and time of another SSRC continue those of the stream."""
        first = held.in_order()[0]
        sequence, stamp, time_ns = self._last_of(stream.index, int(first["order"]))
        return follows(first, sequence, stamp, time_ns, int(self._state.clock[stream.index]))

    def _last_of(self, index: int, order: int) -> tuple[int, int, int]:
        """Sequence number, timestamp and time of a stream's packet before another packet."""
        for records in reversed(self._waiting):
            rows = np.flatnonzero((records.stream == index) & (records.order < order))
            if len(rows):
                last = rows[np.argmax(records.order[rows])]
                return (
                    int(records.sequence[last]),
                    int(records.timestamp[last]),
                    int(records.time_ns[last]),
                )
        return self.metrics.last_of(index)

    def _renew(self, stream: Stream, source: Source, held: Held) -> None:
        """A stream continues under another SSRC."""
        index, row = stream.index, self._state.row
        self._known.rename(stream, source[2])
        row["ssrc"][index] = source[2]
        row["ssrc_changes"][index] += 1
        if row["end"][index]:
            row["end"][index] = 0  # a BYE of the SSRC before
            self._state.watched[index] = stream.track is None or stream.track.playing
        rows = held.in_order()
        self._formats.look(stream, rows["heads"])
        carriers = self._lane(stream.tcp).carriers
        carriers.point(stream.carrier, index, stream.ssrc, held.payload_type)
        if held.payload_type != stream.payload_type:
            self._signalling.change_payload(stream, held.payload_type)
        self._queue_held(stream, held, rows, rows["flags"])

    def _adopt(
        self,
        source: Source,
        held: Held,
        wanted: int,
        announced: Announced,
        before: Stream | None,
    ) -> Stream:
        """A source is confirmed: give it a stream and measure its held packets."""
        tcp, carrier, ssrc, _ = source
        lane, row = self._lane(tcp), self._state.row
        kind = held.payload_type
        stream = self._open(source, kind)
        index = stream.index
        rows = held.in_order()
        flags = rows["flags"].copy()
        row["first_ns"][index] = row["last_ns"][index] = rows["time_ns"][0]
        row["first_packet"][index] = rows["order"][0] >> ORDER_BITS
        track, dialogue = announced.track_of(kind), announced.dialogue
        if announced.is_foreign(kind):
            stream.undeclared = True
            row["undeclared"][index] = True
            track = announced.tracks[-1]
        if track is not None and dialogue is not None:
            self._signalling.bind(stream, dialogue, track)
        else:
            if dialogue is not None:
                self._signalling.join(stream, dialogue)
            if lane.is_secured(carrier):
                row["encrypted"][index] = True
            self._formats.learn(stream, kind)
        formats, declared = self._formats, stream.codec
        before_shown = formats.look(stream, rows["heads"])
        if stream.codec != declared and before_shown >= wanted:
            # with packets one at a time, they would already be measured
            old = formats.flags_of_held(stream, flags, declared)[:before_shown]
            flags[:before_shown] = old[:, None]
        lane.carriers.kind[carrier] = RTP
        lane.carriers.point(carrier, index, ssrc, kind)
        if before is not None and not self._is_stray(before, track, int(rows["time_ns"][0])):
            self._tell_ssrc_change(before, stream, rows[0])
        if track is not None and not stream.undeclared:
            self._part_strays(stream, track, int(rows["time_ns"][0]))
        if not tcp:
            self._mark(stream.place.flow, _APP_SRTP if row["encrypted"][index] else _APP_RTP)
        self._queue_held(stream, held, rows, flags)
        return stream

    def _queue_held(self, stream: Stream, held: Held, rows: Rows, flags: U8) -> None:
        """Measure held packets; `flags` (n, 3) are those of `video_flags`."""
        for sets in held.sets:
            for sequence, payload, whole in sets:
                self._formats.read_set(stream, sequence, payload, whole)
        records = records_of(rows)
        records.stream[:] = stream.index
        records.flags |= self._formats.flags_of_held(stream, flags)
        self._queue(records)

    def _is_stray(self, stream: Stream, track: Track | None, time_ns: int) -> bool:
        """Whether it belongs to an earlier session, now that a session's own stream has begun."""
        if track is None or stream.track is not track or stream.undeclared:
            return False
        began_ns = int(self._state.row["first_ns"][stream.index])
        return began_ns < track.since_ns <= time_ns < track.since_ns + _BEGINS_NS

    def _part_strays(self, stream: Stream, track: Track, time_ns: int) -> None:
        """A session's own stream has begun: earlier streams to its port belong to an earlier
        session, which is still sending.
        """
        place = stream.place
        beside = self._known.toward(place.dst, place.dport) if not stream.tcp else []
        for other in beside or self._known.on(stream.tcp, stream.carrier):
            if other is not stream and self._is_stray(other, track, time_ns):
                self._signalling.part(other)

    def _tell_ssrc_change(self, old: Stream, stream: Stream, first: Rows) -> None:
        self._state.watched[old.index] = False
        self._state.changed[old.index] = True
        self._messages.append(
            StreamRestart(
                time_ns=int(first["time_ns"]),
                packet=int(first["order"]) >> ORDER_BITS,
                interface=stream.place.interface,
                flow=stream.place.flow,
                stream=stream.id,
                kind="ssrc",
                detail=f"0x{old.ssrc:08x} -> 0x{stream.ssrc:08x}",
            )
        )

    # ------------------------------------------------------------ streams begin and end

    def _open(self, source: Source, payload_type: int) -> Stream:
        tcp, carrier, _, _ = source
        place = self._lane(tcp).place(carrier)
        if not self._known.free:
            live = self._known.live()
            last_ns = self._state.row["last_ns"][[stream.index for stream in live]]
            self._retire(live[int(np.argmin(last_ns))], _EVICTED)
            self.streams_evicted += 1
        stream = self._known.open(source, place, payload_type)
        self.metrics.open(stream.index, stream.identity()[0])
        self._formats.begin(stream.index)
        return stream

    def _retire(self, stream: Stream, end: int) -> None:
        """Remove a stream from the table; its last row is reported with the next `rows`."""
        self.measure()
        index = stream.index
        self._close_seconds()
        self.metrics.close(index)
        row = self._state.row
        if not row["end"][index]:
            row["end"][index] = end
        self._last_rows.append(self.metrics.rows(np.array([index])))
        self._known.remove(stream)
        self._state.changed[index] = False
        self._state.release(index)
        carriers = self._lane(stream.tcp).carriers
        if carriers.stream[stream.carrier] == index:
            carriers.lose(stream.carrier)

    def forget(self, flow_ids: U64) -> None:
        """Flows have ended: their streams end with them."""
        connections, carriers = self._connections.by_flow, self._known.flows
        for flow in np.asarray(flow_ids).tolist():
            if flow in carriers:
                self._retire_all(flow)
            if flow in connections:
                self._forget_connection(flow, self._now_ns)

    def _forget_connection(self, flow: int, time_ns: int) -> None:
        self._retire_all(flow)
        self._probation.drop(True, self._connections.forget(flow, time_ns))

    def _retire_all(self, flow: int) -> None:
        for stream in self._known.of_flow(flow):
            self._retire(stream, _SILENT)

    def _mark(self, flow: int, app: int) -> None:
        self._apps[flow] = app

    # ------------------------------------------------------------ to the core

    def _append(self, stream: U16, packets: Arrivals) -> None:
        """Compute payload flags by the stream's codec and queue the packets."""
        flags = self._formats.flags(packets.data, packets.header, stream)
        self._queue(packets.records(stream, flags))

    def _queue(self, records: RtpRecords) -> None:
        self._waiting.append(records)
        self._waiting_count += len(records.stream)
        if self._waiting_count >= MEASURE_AT:
            self.measure()

    def measure(self) -> None:
        """Measure queued packets; RTCP in between sees the packets before it."""
        if not self._waiting:
            self._reports.settle(None)
            return
        records = join(self._waiting)
        self._waiting = []
        self._waiting_count = 0
        if (records.order[1:] < records.order[:-1]).any():
            records = records.take(np.argsort(records.order, kind="stable"))
        before = self._state.row["packets"].copy() if self._reports else None
        self.metrics.measure(records)
        self._reports.settle(None if before is None else (before, records))

    # ------------------------------------------------------------ time and results

    @property
    def is_quiet(self) -> bool:
        """No stream, and no dialogue that may announce one: then time changes nothing."""
        return not (len(self._known) or self._connections.by_flow or self._waiting or self._apps)

    @property
    def ahead(self) -> StreamsAhead | None:
        """What packets to come will give; None while something else waits for a look."""
        self._ahead.waiting = self._waiting
        waits = (self._reports, self._apps, self._last_rows, self.pieces, self._formats.learnt)
        return None if any(waits) or self._connections.holding else self._ahead

    def look(self, now_ns: int, ahead: Coming | None = None) -> tuple[Rows, Rows] | None:
        """The rows of streams and of their seconds that changed by the tick at `now_ns`, if there
        is nothing else to report; the next tick reports them again. `ahead`: of several ticks."""
        self.tick(now_ns, ahead)
        self._looked_ns = now_ns
        told = len(self._last_seconds)
        self._close_seconds()
        messages = (*self._messages, *self._state.messages)
        if self._apps or self._last_rows or not may_wait(messages):
            return None
        parts = self._last_seconds[told:]
        seconds = np.concatenate(parts) if parts else np.zeros(0, STREAM_SECOND_DTYPE)
        return self.metrics.rows(np.flatnonzero(self._state.changed)), seconds

    def tick(self, now_ns: int, ahead: Coming | None = None) -> None:
        """Once a second of packet time."""
        if now_ns == self._looked_ns:
            return
        self._now_ns = max(self._now_ns, now_ns)
        self.measure()
        self._formats.learnt = False
        self._messages += self._udp.settled_pieces(now_ns)
        self.metrics.tick(now_ns, ahead)
        self._connections.tick(now_ns)
        for stream in self._known.crowded(CARRIER_STREAMS_MAX)[:RETIRED_PER_TICK]:
            self._retire(stream, _EVICTED)
            self.streams_evicted += 1
        state, row = self._state, self._state.row
        for stream in self._known.live():
            index = stream.index
            timeout_s = stream.dialogue.timeout_s if stream.dialogue else TIMEOUT_S
            silent_ns = now_ns - int(row["last_ns"][index])
            if stream.stray is not None and silent_ns > _STRAY_NS:
                if not row["end"][index]:
                    row["end"][index] = _ENDED
                    state.changed[index] = True
            elif not row["end"][index] and silent_ns > 2 * timeout_s * SECOND:
                row["end"][index] = _SILENT
                state.watched[index] = False
                state.changed[index] = True
            elif row["end"][index] == _SILENT and silent_ns < SECOND:
                row["end"][index] = 0
                state.changed[index] = True

    def rows(self) -> Rows:
        """STREAM_DTYPE rows of streams that changed since the last call; cumulative."""
        self._close_seconds()
        changed = np.flatnonzero(self._state.changed)
        rows = self.metrics.rows(changed)
        self._state.changed[changed] = False
        if self._last_rows:
            rows = np.concatenate([*self._last_rows, rows])
            self._last_rows = []
        return rows

    def _close_seconds(self) -> None:
        """Add measurements to seconds: a stream's row has its second with the most bits."""
        rows = self.metrics.seconds(self._now_ns)
        if len(rows):
            self._last_seconds.append(rows)

    def seconds(self) -> Rows:
        """STREAM_SECOND_DTYPE rows that are new or changed since the last call, oldest first."""
        self._close_seconds()
        parts, self._last_seconds = self._last_seconds, []
        return np.concatenate(parts) if parts else np.zeros(0, STREAM_SECOND_DTYPE)

    def drain(self) -> list[AnyMessage]:
        """Messages since the last call, by time."""
        out = [*self._messages, *self.metrics.drain()]
        self._messages.clear()
        out.sort(key=lambda message: message.time_ns)
        return out

    def media_flows(self) -> tuple[U64, U8]:
        """Flows found to be media since the last call, and their index in APPS."""
        apps, self._apps = self._apps, {}
        return np.array(list(apps), np.uint64), np.array(list(apps.values()), np.uint8)


def _same(one: Track, other: Track) -> bool:
    """Whether it is one track of a camera, set up again."""
    return bool(one.url) and one.url == other.url
