"""The stream table: UDP packets and RTSP connections in, measured media streams out.

It finds out by signalling (RTSP) or by content which packets are RTP and RTCP, gives each SSRC of
each carrier a stream, and hands header columns to `RtpMetrics`. Out go STREAM_DTYPE rows, rows a
second, messages, and which flows are media. It learns ports, clock rates and codecs from the RTSP
that passes here, and from nowhere else. RTP packets wait until `tick` (or until many have come)
and are measured together; results do not depend on that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np

from panotui.meter import media_heuristics, rtcp_tracker
from panotui.meter.carriers import NO_MEDIA, RTCP, RTP, UNKNOWN, Carriers
from panotui.meter.connections import Connections
from panotui.meter.formats import Formats, Stream, payload_of, video_flags
from panotui.meter.interleaved import Frames
from panotui.meter.media_heuristics import STRIKE, Held
from panotui.meter.places import Place, place_of, raw_address
from panotui.meter.ports import Ports
from panotui.meter.rtp_metrics import RtpMetrics
from panotui.meter.rtp_records import ORDER_BITS, RtpRecords, join
from panotui.meter.rtsp_tracker import Dialogue, Track
from panotui.model import (
    APPS,
    I32,
    I64,
    SECOND,
    STREAM_CODECS,
    STREAM_DTYPE,
    STREAM_SECOND_DTYPE,
    U8,
    U16,
    U64,
    AnyMessage,
    Bool,
    MeterSettings,
    PacketBatch,
    Rows,
    StreamBound,
    StreamRestart,
    address_text,
)
from panotui.wire import h264, rtcp
from panotui.wire.columns import Columns
from panotui.wire.rtp import LOOK, WORD_BYTES, RtpColumns, plain_headers, read_headers

MEASURE_AT = 65_536  # packets waiting
RTCP_PER_SECOND = 2_000  # reports taken one at a time
HELD_STREAMS_MAX = 4_096
HELD_SETS_MAX = 8  # payloads with parameter sets kept of one call
ORDER_MASK = (1 << ORDER_BITS) - 1
_APP_RTP, _APP_RTCP, _APP_SRTP = APPS.index("rtp"), APPS.index("rtcp"), APPS.index("srtp")

_Key = TypeVar("_Key")
HeldSet: TypeAlias = tuple[int, bytes, bool]  # sequence number, payload, not cut by the capture


class _Report(msgspec.Struct):
    """RTCP that waits for the packets before it to be measured."""

    compound: rtcp.Compound
    place: Place
    time_ns: int
    number: int
    rank: int
    dialogue: Dialogue | None
    from_client: bool


class StreamTable:
    """All media streams that one meter sees."""

    def __init__(self, settings: MeterSettings) -> None:
        self._settings = settings
        self.metrics = RtpMetrics(settings.streams_max)
        self._state = self.metrics.state
        self._messages: list[AnyMessage] = []
        self.streams_evicted = 0
        self.rtcp_skipped = 0
        self._udp = Carriers(1024)
        self._streams: list[Stream | None] = [None] * settings.streams_max
        self._free = list(range(settings.streams_max - 1, -1, -1))
        self._by_carrier: dict[tuple[bool, int, int], Stream] = {}
        self._by_ssrc: dict[int, list[Stream]] = {}
        self._by_flow: dict[int, list[Stream]] = {}
        self._by_target: dict[tuple[bytes, int], list[Stream]] = {}
        self._formats = Formats(self._state, self._streams)
        self._held: OrderedDict[tuple[bool, int, int], Held] = OrderedDict()
        self._held_first: dict[tuple[bool, int, int], list[tuple[U8, U8, list[HeldSet]]]] = {}
        self._udp_place: dict[int, Place] = {}
        self._ports = Ports()
        self._connections = Connections(
            settings.rtsp_connections_max,
            self._messages.append,
            self._set_up,
            self._playing_changed,
        )
        self._waiting: list[RtpRecords] = []
        self._waiting_count = 0
        self._unordered = False
        self._reports: list[_Report] = []
        self._rtcp_second = 0
        self._rtcp_taken = 0
        self._apps: dict[int, int] = {}
        self._last_rows: list[Rows] = []
        self._last_seconds: list[Rows] = []
        self._next_stream = 1
        self._now_ns = 0

    # ================================================================ UDP

    def udp(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        slot: I64 | I32,
        flow_id: U64,
        from_client: Bool,
    ) -> None:
        """Take UDP packets that are no control packets.

        `rows` (n,) index the batch; `slot`, `flow_id` and `from_client` are aligned with `rows`,
        or with the whole batch.
        """
        if not len(rows):
            return
        if len(slot) != len(rows):
            slot, flow_id, from_client = slot.take(rows), flow_id.take(rows), from_client.take(rows)
        place = slot.astype(np.int64)
        place += place
        place += from_client
        carriers = self._udp
        carriers.reserve(int(place.max() | 1) + 1)  # both directions of every flow
        for gone in carriers.check(place, flow_id).tolist():
            self._udp_place.pop(gone, None)
        stream = carriers.stream.take(place)
        idle = carriers.kind.take(place) == NO_MEDIA
        idle &= stream < 0
        if idle.any():
            busy = np.flatnonzero(~idle)
            if not len(busy):
                return
            rows, place, stream = rows.take(busy), place.take(busy), stream.take(busy)
        # Packets of a known stream with nothing but the fixed header are told, and read, from the
        # words that the decoder kept.
        every = len(rows) == len(columns.payload)
        words = columns.transport
        first, second = words[0], words[1]
        captured, length = columns.payload_captured, columns.payload_length
        if not every:
            first, second = first.take(rows), second.take(rows)
            captured, length = captured.take(rows), length.take(rows)
        if columns.fragment.any():
            length = _of_datagrams(length, columns.fragment[rows], first)
        ssrc = second.astype(np.uint32)
        known = ((first >> np.uint64(16)).astype(np.uint16) & LOOK) == carriers.look.take(place)
        known &= ssrc == carriers.ssrc.take(place)
        known &= captured >= WORD_BYTES
        others: tuple[I64, RtpColumns] | None = None
        if not known.all():
            others = self._others(batch, columns, rows, place, length, np.flatnonzero(~known))
            known[others[0]] = True
            chosen = np.flatnonzero(known)
            if not len(chosen):
                return
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
        self._append(
            batch.data,
            header,
            stream.astype(np.uint16),
            batch.time_ns if every else batch.time_ns[rows],
            batch.wire_length if every else batch.wire_length[rows],
            (rows + batch.first_number) << ORDER_BITS,
            np.zeros(len(rows), np.int32),
        )

    def _others(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        place: I64,
        length: I32,
        which: I64,
    ) -> tuple[I64, RtpColumns]:
        """Rows, by their places `which`, that are no plain packets of a known stream.

        Those of them that belong to one nevertheless are returned, with their headers.
        """
        carriers = self._udp
        media = carriers.kind[place[which]] != NO_MEDIA
        media &= columns.payload[rows[which]] >= 0
        media &= columns.payload_captured[rows[which]] >= 4
        which = which[media]
        rows, place, length = rows[which], place[which], length[which]
        offset, captured = columns.payload[rows], columns.payload_captured[rows]
        header = read_headers(batch.data, offset, length, captured)
        fast = header.valid & (carriers.stream[place] >= 0)
        fast &= header.ssrc == carriers.ssrc[place]
        fast &= header.payload_type == carriers.payload_type[place]
        if not fast.all():
            self._look_at(batch, columns, rows, place, header, offset, length, captured, fast)
        return which[fast], header.take(np.flatnonzero(fast))

    def fragments(
        self, time_ns: I64, size: I64, slot: I64 | I32, flow_id: U64, from_client: Bool
    ) -> None:
        """Take later fragments of UDP packets, (n,) each: a stream's bytes are those of all."""
        place = slot.astype(np.int64) * 2 + from_client
        carriers = self._udp
        carriers.reserve(int(place.max()) + 1)
        known = np.flatnonzero((carriers.flow[place] == flow_id) & (carriers.stream[place] >= 0))
        if len(known):
            stream = carriers.stream[place[known]].astype(np.int64)
            self.metrics.add_bytes(stream, time_ns[known], size[known])

    def _look_at(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        place: I64,
        header: RtpColumns,
        offset: I64,
        length: I32,
        captured: I32,
        fast: Bool,
    ) -> None:
        """Rows whose stream is not known: reports, new streams, or nothing of interest."""
        carriers = self._udp
        slow = np.flatnonzero(~fast)
        at = offset[slow]
        b0, b1 = batch.data[at], batch.data[at + 1]
        report = (b0 >> 6 == 2) & (b1 >= 200) & (b1 <= 207) & (length[slow] >= 8)
        for i in slow[report].tolist():
            start = int(offset[i])
            raw = batch.data[start : start + int(captured[i])].tobytes()
            self._udp_report(batch, columns, int(rows[i]), int(place[i]), raw, int(length[i]))
        rest = slow[~report]
        valid = header.valid[rest]
        wrong = rest[~valid]
        if len(wrong):
            beside, dtls = media_heuristics.accompany_media(
                batch.data, offset[wrong], length[wrong]
            )
            carriers.secured[place[wrong[dtls]]] = True
            weight = np.where(beside, media_heuristics.COMPANION_STRIKE, STRIKE)
            self._strike(place[wrong], weight.astype(np.int32))
        maybe = rest[valid]
        unlikely = ~_PLAUSIBLE[header.payload_type[maybe]]
        known = carriers.kind[place[maybe]] == RTP
        if unlikely.any():
            self._strike(place[maybe[unlikely & ~known]], np.int32(STRIKE))
            maybe = maybe[~unlikely | known]
        maybe = maybe[carriers.kind[place[maybe]] != NO_MEDIA]
        if not len(maybe):
            return
        for i in maybe[np.unique(place[maybe], return_index=True)[1]].tolist():
            self._place_of(batch, columns, int(rows[i]), int(place[i]))
        self._new_streams(
            False,
            batch.data,
            place[maybe],
            header.take(maybe),
            batch.time_ns[rows[maybe]],
            batch.wire_length[rows[maybe]],
            (rows[maybe] + batch.first_number) << ORDER_BITS,
            np.zeros(len(maybe), np.int32),
        )

    def _strike(self, place: I64, weight: I32 | np.int32) -> None:
        """Packets that are no RTP; a flow with many of them is not looked at again."""
        carriers = self._udp
        np.add.at(carriers.strikes, place, weight)
        over = carriers.strikes.take(place) >= media_heuristics.STRIKES_MAX
        out = place.take(np.flatnonzero(over & (carriers.kind.take(place) == UNKNOWN)))
        if not len(out):
            return
        carriers.kind[out] = NO_MEDIA
        if self._udp_place or self._held:
            gone = set(out.tolist())
            for carrier in gone:
                self._udp_place.pop(carrier, None)
            self._drop_held(False, gone)

    def _secured(self, carrier: int) -> bool:
        """Did either end of a carrier's flow speak DTLS?"""
        secured, flow = self._udp.secured, self._udp.flow
        back = carrier ^ 1
        return bool(secured[carrier]) or bool(secured[back] and flow[back] == flow[carrier])

    def _place_of(self, batch: PacketBatch, columns: Columns, row: int, place: int) -> Place:
        known = self._udp_place.get(place)
        if known is None:
            known = place_of(batch, columns, row, int(self._udp.flow[place]))
            self._udp_place[place] = known
        return known

    # ================================================================ RTSP

    def rtsp(
        self, batch: PacketBatch, columns: Columns, rows: I64, flow_id: U64, from_client: Bool
    ) -> None:
        """Take every TCP packet of RTSP flows, both directions, in order of arrival."""
        frames = self._connections.walk(batch, columns, rows, flow_id, from_client)
        self._take_frames(batch, frames)
        for flow in self._connections.overdue():
            self._forget_connection(flow, int(batch.time_ns[-1]))

    @property
    def rtsp_evicted(self) -> int:
        return self._connections.evicted

    @property
    def rtsp_resyncs(self) -> int:
        return self._connections.resyncs

    def _take_frames(self, batch: PacketBatch, frames: Frames) -> None:
        """Read the RTP headers of the frames that the walk has found."""
        table = frames.table()
        if not len(table):
            return
        # Several frames may be completed by one packet: their order is that of the walk.
        table[:, 5] = (table[:, 5] << ORDER_BITS) | (np.arange(len(table)) & ORDER_MASK)
        for direct in (True, False):
            chosen = np.flatnonzero((table[:, 1] >= 0) == direct)
            if len(chosen):
                data = batch.data if direct else np.frombuffer(bytes(frames.side), np.uint8)
                part = table[chosen]
                position = part[:, 1] if direct else ~part[:, 1]
                self._take_part(data, part, position)
        self._unordered = True

    def _take_part(self, data: U8, part: I64, position: I64) -> None:
        place, length, captured = part[:, 0], part[:, 2], part[:, 3]
        header = read_headers(data, position, length, captured)
        kind = data[np.minimum(position + 1, len(data) - 1)] if len(data) else length * 0
        report = (captured >= 8) & (kind >= 200) & (kind <= 207)
        for i in np.flatnonzero(report).tolist():
            start = int(position[i])
            raw = data[start : start + int(captured[i])].tobytes()
            carrier = int(place[i])
            connection, client, _ = self._connections.of_carrier[carrier]
            self._report(
                raw,
                int(length[i]),
                self._connections.endpoints(carrier),
                int(part[i, 4]),
                int(part[i, 5]),
                connection.dialogue,
                client,
            )
        carriers = self._connections.carriers
        usable = np.flatnonzero(header.valid & ~report)
        if not len(usable):
            return
        place, part = place[usable], part[usable]
        header = header.take(usable)
        stream = carriers.stream[place]
        fast = stream >= 0
        fast &= header.ssrc == carriers.ssrc[place]
        fast &= header.payload_type == carriers.payload_type[place]
        time_ns, size = part[:, 4], part[:, 2] + 4
        rank, epoch = part[:, 5], part[:, 6].astype(np.int32)
        slow = np.flatnonzero(~fast)
        if len(slow):
            self._new_streams(
                True,
                data,
                place[slow],
                header.take(slow),
                time_ns[slow],
                size[slow],
                rank[slow],
                epoch[slow],
            )
        chosen = np.flatnonzero(fast)
        if len(chosen):
            self._append(
                data,
                header.take(chosen),
                stream[chosen].astype(np.uint16),
                time_ns[chosen],
                size[chosen],
                rank[chosen],
                epoch[chosen],
            )

    # ================================================================ signalling

    def _set_up(self, dialogue: Dialogue, track: Track) -> None:
        """A SETUP was answered: bind its ports or channels, also to what already flows."""
        transport = track.transport
        if transport.tcp:
            for connection in self._connections.of(dialogue):
                for carrier in connection.channels:
                    self._rebind_carrier(carrier, dialogue, track)
            return
        found = self._connections.of(dialogue)
        if not found:
            return
        connection = found[0]
        p = connection.place
        if transport.multicast:
            target = raw_address(transport.destination, p.version) or p.src
            ports = transport.port or transport.client_port
            if ports:
                self._bind(target, ports, dialogue, track)
            return
        if transport.client_port:
            target = raw_address(transport.destination, p.version) or p.src
            self._bind(target, transport.client_port, dialogue, track)
        if transport.server_port:
            self._ports.bind(p.dst, transport.server_port[1], dialogue, track, True)

    def _bind(
        self, address: bytes, ports: tuple[int, int], dialogue: Dialogue, track: Track
    ) -> None:
        self._ports.bind(address, ports[0], dialogue, track, False)
        if ports[1] != ports[0]:
            self._ports.bind(address, ports[1], dialogue, track, True)
        # Flows that were taken for something else get another look.
        kind = self._udp.kind
        again = np.flatnonzero(kind == NO_MEDIA)
        kind[again] = UNKNOWN
        self._udp.strikes[again] = 0
        for stream in list(self._by_target.get((address, ports[0]), ())):
            since = int(self._state.row["last_ns"][stream.index])
            if stream.track is None or since >= track.since_ns:
                self._bind_stream(stream, dialogue, track)
            else:
                # It belongs to an earlier session, unless packets of it come again.
                self._udp.doubt(stream.carrier)

    def _rebind_carrier(self, carrier: int, dialogue: Dialogue, track: Track) -> None:
        _, client, channel = self._connections.of_carrier[carrier]
        if client or track.transport.interleaved is None:
            return
        if track.transport.interleaved[0] == channel:
            for (tcp, place, _), stream in list(self._by_carrier.items()):
                if tcp and place == carrier:
                    self._bind_stream(stream, dialogue, track)

    def _signalled(
        self, tcp: bool, carrier: int, time_ns: int
    ) -> tuple[Track | None, Dialogue | None]:
        """The track that a carrier's RTP belongs to."""
        if not tcp:
            place = self._udp_place[carrier]
            port = self._ports.find((place.dst, place.dport), time_ns)
            if port is not None and not port.rtcp:
                return port.track, port.dialogue
            return None, None
        connection, client, channel = self._connections.of_carrier[carrier]
        dialogue = connection.dialogue
        for track in reversed(dialogue.tracks):
            pair = track.transport.interleaved
            if pair is not None and channel == pair[0]:
                return track, dialogue
        videos = dialogue.tracks
        if len(videos) == 1 and not client and videos[0].transport.interleaved is None:
            return videos[0], dialogue
        return None, dialogue

    def _bind_stream(self, stream: Stream, dialogue: Dialogue, track: Track | None) -> None:
        stream.track = track
        stream.dialogue = dialogue
        row = self._state.row
        index = stream.index
        row["session"][index] = dialogue.session
        if track is None:
            return
        row["signalled"][index] = 1
        row["encrypted"][index] = track.encrypted
        self._formats.learn(stream, stream.payload_type)
        if track.sps is not None:
            self._formats.learn_sps(stream, track.sps)
        self._formats.learn_size(stream, track.width, track.height)
        self._state.watched[index] = track.playing
        if track.playing:
            row["end"][index] = 0
            self._resume(index, dialogue)
        self._state.changed[index] = True
        self._tell_bound(stream)
        if track.encrypted:
            self._mark(stream.place.flow, _APP_SRTP)

    def _tell_bound(self, stream: Stream) -> None:
        track = stream.track
        assert track is not None
        row = self._state.row[stream.index]
        name = STREAM_CODECS[stream.codec]
        form = track.formats.get(stream.payload_type)
        self._messages.append(
            StreamBound(
                time_ns=int(row["first_ns"]) or track.since_ns,
                packet=int(row["first_packet"]),
                interface=stream.place.interface,
                flow=stream.place.flow,
                stream=stream.id,
                session=track.session,
                url=track.url or None,
                control=track.control,
                media=track.media,
                codec=form.codec if form and form.codec else name,
                client=track.client,
                server=track.server,
            )
        )

    def _playing_changed(self, dialogue: Dialogue) -> None:
        for stream in self._streams_of(dialogue):
            track, index = stream.track, stream.index
            unnamed = not (dialogue.over or dialogue.paused_ns)
            playing = track.playing if track is not None else unnamed
            self._state.watched[index] = playing
            if playing:
                self._resume(index, dialogue)
            elif (track is not None and track.ended_ns) or (stream.tcp and dialogue.over):
                self._state.row["end"][index] = 1
            elif dialogue.paused_ns:
                self._state.pauses.begin(index, dialogue.paused_ns)
            self._state.changed[index] = True

    def _resume(self, index: int, dialogue: Dialogue) -> None:
        """It plays: while it was paused its silence was no freeze."""
        self._state.excused_ns[index] = dialogue.played_ns
        self._state.pauses.end(index, dialogue.played_ns)

    def _streams_of(self, dialogue: Dialogue) -> list[Stream]:
        return [s for s in self._streams if s is not None and s.dialogue is dialogue]

    # ================================================================ streams

    def _new_streams(
        self,
        tcp: bool,
        data: U8,
        place: I64,
        header: RtpColumns,
        time_ns: I64,
        size: I64,
        rank: I64,
        epoch: I32,
    ) -> None:
        """Rows whose carrier's newest stream is another or none: hold, adopt, or follow."""
        self._unordered = True
        key = place << 32 | header.ssrc
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
            chosen = order[begin:end]
            carrier, ssrc = int(place[chosen[0]]), int(header.ssrc[chosen[0]])
            name = (tcp, carrier, ssrc)
            part = header.take(chosen)
            stream = self._by_carrier.get(name)
            if stream is not None:
                self._follow(stream, part, int(time_ns[chosen[-1]]))
                self._append(
                    data,
                    part,
                    np.full(len(chosen), stream.index, np.uint16),
                    time_ns[chosen],
                    size[chosen],
                    rank[chosen],
                    epoch[chosen],
                )
                continue
            self._hold(name, data, part, time_ns[chosen], size[chosen], rank[chosen], epoch[chosen])

    def _follow(self, stream: Stream, header: RtpColumns, time_ns: int) -> None:
        """Another SSRC or payload type of a known carrier: it is the newest now."""
        carriers = self._connections.carriers if stream.tcp else self._udp
        track, dialogue = self._signalled(stream.tcp, stream.carrier, time_ns)
        if track is not None and dialogue is not None and track is not stream.track:
            self._bind_stream(stream, dialogue, track)
        kind = int(header.payload_type[-1])
        carriers.point(stream.carrier, stream.index, stream.ssrc, kind)
        if kind != stream.payload_type:
            formats = stream.track.formats if stream.track else {}
            # Comfort noise, events and FEC come and go; only a declared media type changes it.
            if kind in formats and formats[kind].clock_rate:
                self._formats.learn(stream, kind)
                if STREAM_CODECS[stream.codec] == "OTHER":
                    self._tell_bound(stream)  # only the message has its name

    def _hold(
        self,
        name: tuple[bool, int, int],
        data: U8,
        header: RtpColumns,
        time_ns: I64,
        size: I64,
        rank: I64,
        epoch: I32,
    ) -> None:
        """Packets of an SSRC that is not believed yet."""
        tcp, carrier, ssrc = name
        carriers = self._connections.carriers if tcp else self._udp
        if carriers.kind[carrier] == NO_MEDIA:
            return  # another SSRC of this batch has just spent its chances
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = Held(ssrc, int(header.payload_type[0]))
            self._held_first[name] = []
            if len(self._held) > HELD_STREAMS_MAX:
                gone, _ = self._held.popitem(last=False)
                self._held_first.pop(gone, None)
        flags = video_flags(data, header)
        captured = header.payload_captured
        heads = header.head.astype(">u8").view(np.uint8).reshape(-1, 8)[:, :2].copy()
        heads[captured < 2, 0] = 0xFF
        sets = [
            (int(header.sequence[i]), *payload_of(data, header, i))
            for i in np.flatnonzero((flags[:, 0] | flags[:, 1]) & (h264.SPS | h264.SPS_PART))[
                :HELD_SETS_MAX
            ].tolist()
        ]
        self._held_first[name].append((heads, flags, sets))
        held.add(
            RtpRecords(
                np.zeros(len(time_ns), np.uint16),
                header.sequence,
                header.timestamp,
                time_ns,
                size,
                header.payload_length,
                np.where(header.marker, np.uint8(h264.MARK), np.uint8(0)),
                rank,
                epoch,
            )
        )
        self._believe(name, int(time_ns[0]))

    def _believe(self, name: tuple[bool, int, int], time_ns: int) -> None:
        """Are the packets that are held of an SSRC enough?"""
        tcp, carrier, ssrc = name
        carriers = self._connections.carriers if tcp else self._udp
        held = self._held[name]
        track, dialogue = self._signalled(tcp, carrier, time_ns)
        has_stream = carriers.stream[carrier] >= 0
        if track is not None:
            wanted = 2 if has_stream and track.transport.ssrc != ssrc else 1
        else:
            sure = tcp or has_stream or self._answers_media(carrier)
            wanted = 2 if sure else media_heuristics.ADOPT_PACKETS
        records = held.records
        assert records is not None
        order = np.argsort(records.order, kind="stable")
        records = records.take(order)
        if not media_heuristics.in_sequence(records.sequence, records.timestamp, wanted):
            held.trim()
            del self._held_first[name][: -media_heuristics.HELD_MAX]
            if not tcp and held.looked >= media_heuristics.LOOKS_MAX and not has_stream:
                carriers.kind[carrier] = NO_MEDIA
                self._udp_place.pop(carrier, None)
                self._drop_held(False, {carrier})
            return
        del self._held[name]
        seen = self._held_first.pop(name)
        self._adopt(name, held, records, order, seen, track, dialogue)
        if not tcp:
            for other in [n for n in self._held if n[:2] == (False, carrier ^ 1)]:
                if other in self._held:
                    self._believe(other, time_ns)

    def _answers_media(self, carrier: int) -> bool:
        """Are media already known in the other direction of a UDP flow?"""
        known = self._udp
        back = carrier ^ 1
        return bool(known.stream[back] >= 0 and known.flow[back] == known.flow[carrier])

    def _drop_held(self, tcp: bool, carriers: Container[int]) -> None:
        for name in [n for n in self._held if n[0] == tcp and n[1] in carriers]:
            del self._held[name]
            self._held_first.pop(name, None)

    def _adopt(
        self,
        name: tuple[bool, int, int],
        held: Held,
        records: RtpRecords,
        order: I64,
        seen: list[tuple[U8, U8, list[HeldSet]]],
        track: Track | None,
        dialogue: Dialogue | None,
    ) -> None:
        """An SSRC is believed: give it a stream and measure what was held."""
        tcp, carrier, ssrc = name
        carriers = self._connections.carriers if tcp else self._udp
        place = self._connections.endpoints(carrier) if tcp else self._udp_place[carrier]
        before = int(carriers.stream[carrier])
        stream = self._open(tcp, carrier, ssrc, place, held.payload_type)
        self._state.row["first_ns"][stream.index] = records.time_ns[0]
        self._state.row["first_packet"][stream.index] = records.order[0] >> ORDER_BITS
        self._state.row["last_ns"][stream.index] = records.time_ns[0]
        heads = np.concatenate([part[0] for part in seen])[-len(order) :][order]
        if track is not None and dialogue is not None:
            self._bind_stream(stream, dialogue, track)
        else:
            if dialogue is not None:
                self._state.row["session"][stream.index] = dialogue.session
                stream.dialogue = dialogue
                self._state.watched[stream.index] = True
            if not tcp and self._secured(carrier):
                self._state.row["encrypted"][stream.index] = True
            self._formats.learn(stream, held.payload_type)
            if not stream.codec and not self._state.row["encrypted"][stream.index]:
                self._formats.guess(stream, heads[:, 0], heads[:, 1])
        for _, _, sets in seen:
            for sequence, payload, whole in sets:
                self._formats.read_set(stream, sequence, payload, whole)
        records.stream = np.full(len(order), stream.index, np.uint16)
        flags = np.concatenate([part[1] for part in seen])[-len(order) :][order]
        records.flags = records.flags | self._formats.flags_of_held(stream, flags)
        carriers.kind[carrier] = RTP
        carriers.point(carrier, stream.index, ssrc, held.payload_type)
        if before >= 0 and self._streams[before] is not None:
            self._tell_ssrc_change(before, stream, records)
        if not tcp:
            self._mark(
                place.flow,
                _APP_SRTP if self._state.row["encrypted"][stream.index] else _APP_RTP,
            )
        self._queue(records)

    def _tell_ssrc_change(self, before: int, stream: Stream, records: RtpRecords) -> None:
        old = self._streams[before]
        assert old is not None
        self._state.watched[before] = False
        self._state.changed[before] = True
        self._messages.append(
            StreamRestart(
                time_ns=int(records.time_ns[0]),
                packet=int(records.order[0]) >> ORDER_BITS,
                interface=stream.place.interface,
                flow=stream.place.flow,
                stream=stream.id,
                kind="ssrc",
                detail=f"0x{old.ssrc:08x} -> 0x{stream.ssrc:08x}",
            )
        )

    def _open(self, tcp: bool, carrier: int, ssrc: int, place: Place, payload_type: int) -> Stream:
        if not self._free:
            live = [s for s in self._streams if s is not None]
            last = self._state.row["last_ns"][[s.index for s in live]]
            self._retire(live[int(np.argmin(last))], 3)
            self.streams_evicted += 1
        index = self._free.pop()
        row = np.zeros(1, STREAM_DTYPE)
        row["id"] = self._next_stream
        self._next_stream += 1
        row["flow"] = place.flow
        row["session"] = -1
        row["ssrc"] = ssrc
        row["payload_type"] = payload_type
        row["transport"] = 6 if tcp else 17
        row["channel"] = place.channel
        row["version"] = place.version
        row["src"] = np.frombuffer(place.src, np.uint8)
        row["dst"] = np.frombuffer(place.dst, np.uint8)
        row["sport"], row["dport"] = place.sport, place.dport
        row["interface"] = place.interface
        self.metrics.open(index, row[0])
        stream = Stream(
            int(row["id"][0]), index, tcp, carrier, ssrc, place, None, None, payload_type
        )
        self._streams[index] = stream
        self._formats.begin(index)
        self._by_carrier[(tcp, carrier, ssrc)] = stream
        self._by_ssrc.setdefault(ssrc, []).append(stream)
        self._by_flow.setdefault(place.flow, []).append(stream)
        self._by_target.setdefault((place.dst, place.dport), []).append(stream)
        return stream

    def _retire(self, stream: Stream, end: int) -> None:
        """Take a stream off the table; its last row goes out with the next `rows`."""
        self.measure()
        index = stream.index
        self._close_seconds()
        self.metrics.close(index)
        row = self._state.row
        if not row["end"][index]:
            row["end"][index] = end
        self._last_rows.append(self.metrics.rows(np.array([index])))
        self._streams[index] = None
        self._free.append(index)
        self._state.changed[index] = False
        self._state.release(index)
        _remove(self._by_ssrc, stream.ssrc, stream)
        _remove(self._by_flow, stream.place.flow, stream)
        _remove(self._by_target, (stream.place.dst, stream.place.dport), stream)
        self._by_carrier.pop((stream.tcp, stream.carrier, stream.ssrc), None)
        carriers = self._connections.carriers if stream.tcp else self._udp
        if carriers.stream[stream.carrier] == index:
            carriers.lose(stream.carrier)

    # ================================================================ to the core

    def _append(
        self,
        data: U8,
        header: RtpColumns,
        stream: U16,
        time_ns: I64,
        size: I64,
        rank: I64,
        epoch: I32,
    ) -> None:
        """Classify payloads by their stream's codec and put the packets in line."""
        flags = self._formats.flags(data, header, stream)
        flags |= header.marker.view(np.uint8) << np.uint8(7)
        self._queue(
            RtpRecords(
                stream,
                header.sequence,
                header.timestamp,
                time_ns,
                size,
                header.payload_length,
                flags,
                rank,
                epoch,
            )
        )

    def _queue(self, records: RtpRecords) -> None:
        self._waiting.append(records)
        self._waiting_count += len(records.stream)
        if self._waiting_count >= MEASURE_AT:
            self.measure()

    def measure(self) -> None:
        """Measure what waits; RTCP that came in between sees the packets before it."""
        if not self._waiting:
            self._settle_reports(None)
            return
        records = join(self._waiting)
        self._waiting = []
        self._waiting_count = 0
        if self._unordered:
            if (records.order[1:] < records.order[:-1]).any():
                records = records.take(np.argsort(records.order, kind="stable"))
            self._unordered = False
        reports = self._reports
        before = self._state.row["packets"].copy() if reports else None
        self.metrics.measure(records)
        self._settle_reports(None if before is None else (before, records))

    # ================================================================ RTCP

    def _udp_report(
        self, batch: PacketBatch, columns: Columns, row: int, carrier: int, raw: bytes, length: int
    ) -> None:
        carriers = self._udp
        place = self._place_of(batch, columns, row, carrier)
        time_ns = int(batch.time_ns[row])
        rank = (row + batch.first_number) << ORDER_BITS
        toward = self._ports.find((place.dst, place.dport), time_ns)
        back = self._ports.find((place.src, place.sport), time_ns)
        port = toward or back
        if carriers.kind[carrier] == UNKNOWN:
            if port is not None or self._has_media_beside(place):
                carriers.kind[carrier] = RTCP
                self._mark(place.flow, _APP_RTCP)
            else:
                carriers.strikes[carrier] += STRIKE
                if carriers.strikes[carrier] >= 4 * media_heuristics.STRIKES_MAX:
                    carriers.kind[carrier] = NO_MEDIA
        sender = address_text(place.version, place.src)
        from_client = port is not None and port.track.client == sender
        self._report(
            raw,
            length,
            place,
            time_ns,
            rank,
            port.dialogue if port else None,
            from_client,
        )

    def _has_media_beside(self, place: Place) -> bool:
        """Does RTP flow on the even port below, or on this one (RFC 5761)?"""
        for address, port in place.endpoints:
            for candidate in (port - 1, port):
                if self._by_target.get((address, candidate)):
                    return True
        return False

    def _report(
        self,
        raw: bytes,
        length: int,
        place: Place,
        time_ns: int,
        rank: int,
        dialogue: Dialogue | None,
        from_client: bool,
    ) -> None:
        second = time_ns // SECOND
        if second != self._rtcp_second:
            self._rtcp_second, self._rtcp_taken = second, 0
        self._rtcp_taken += 1
        if self._rtcp_taken > RTCP_PER_SECOND:
            self.rtcp_skipped += 1
            return
        compound = rtcp.parse(raw, complete=len(raw) >= length)
        if compound is not None:
            self._reports.append(
                _Report(compound, place, time_ns, rank >> ORDER_BITS, rank, dialogue, from_client)
            )

    def _settle_reports(self, measured: tuple[I64, RtpRecords] | None) -> None:
        reports, self._reports = self._reports, []
        if len(reports) > 1:
            reports.sort(key=lambda report: report.rank)
        for report in reports:
            self._settle_report(report, measured)

    def _settle_report(self, report: _Report, measured: tuple[I64, RtpRecords] | None) -> None:
        compound, place = report.compound, report.place
        row = self._state.row
        dialogue = report.dialogue
        for sender in compound.senders:
            stream = self._find(sender.ssrc, place)
            if stream is None:
                continue
            seen = int(row["packets"][stream.index])
            if measured is not None:
                before, records = measured
                early = (records.stream == stream.index) & (records.order < report.rank)
                seen = int(before[stream.index]) + int(np.count_nonzero(early))
            at = row[stream.index : stream.index + 1]
            rtcp_tracker.sender_report(at, stream.clockwork, sender, report.time_ns, seen)
            self._state.changed[stream.index] = True
            self._messages.append(
                rtcp_tracker.sender_message(
                    sender, stream.id, report.time_ns, report.number, place.interface, place.flow
                )
            )
        for block in compound.reports:
            stream = self._find(block.about, place)
            if stream is None:
                continue
            at = row[stream.index : stream.index + 1]
            rtcp_tracker.reception_report(at, stream.clockwork, block, report.time_ns)
            self._state.changed[stream.index] = True
            dialogue = dialogue or stream.dialogue
            self._messages.append(
                rtcp_tracker.reception_message(
                    block, stream.id, report.time_ns, report.number, place.interface, place.flow
                )
            )
        receives = bool(compound.reports or compound.empty_reports) and not compound.senders
        if receives and dialogue is not None:
            dialogue.kept_alive(report.time_ns, "rtcp")
        for ssrc in compound.byes:
            stream = self._find(ssrc, place)
            if stream is None or stream.place.src != place.src:
                continue
            row["end"][stream.index] = 1
            self._state.watched[stream.index] = False
            self._state.changed[stream.index] = True
            self._messages.append(
                rtcp_tracker.bye_message(
                    ssrc, stream.id, report.time_ns, report.number, place.interface, place.flow
                )
            )

    def _find(self, ssrc: int, place: Place) -> Stream | None:
        """The stream of an SSRC between these two hosts (several readers may share an SSRC)."""
        known = self._by_ssrc.get(ssrc)
        if not known:
            return None
        hosts = {place.src, place.dst}
        near = [s for s in known if {s.place.src, s.place.dst} == hosts]
        if len(near) > 1:
            ports = {place.sport, place.dport, place.sport - 1, place.dport - 1}
            near = [s for s in near if s.place.dport in ports] or near
        return near[-1] if near else (known[-1] if len(known) == 1 else None)

    # ================================================================ time passes, out

    def note_capture_loss(self, time_ns: int, packets: int, interface: int = -1) -> None:
        """Our own capture missed `packets` before `time_ns` (-1: on any interface)."""
        self.metrics.note_capture_loss(time_ns, packets, interface)

    def tick(self, now_ns: int) -> None:
        """Once a second of packet time."""
        self._now_ns = max(self._now_ns, now_ns)
        self.measure()
        self.metrics.tick(now_ns)
        self._connections.tick(now_ns)
        for stream in self._streams:
            if stream is None:
                continue
            timeout_s = stream.dialogue.timeout_s if stream.dialogue else 60
            index = stream.index
            row = self._state.row
            silent_ns = now_ns - int(row["last_ns"][index])
            if not row["end"][index] and silent_ns > 2 * timeout_s * SECOND:
                row["end"][index] = 2
                self._state.watched[index] = False
                self._state.changed[index] = True
            elif row["end"][index] == 2 and silent_ns < SECOND:
                row["end"][index] = 0
                self._state.changed[index] = True

    def rows(self) -> Rows:
        """STREAM_DTYPE rows of streams that changed since the last call; cumulative."""
        self._close_seconds()
        changed = np.flatnonzero(self._state.changed)
        parts = [*self._last_rows, self.metrics.rows(changed)]
        self._last_rows = []
        self._state.changed[changed] = False
        return np.concatenate(parts)

    def _close_seconds(self) -> None:
        """Fold what was measured into seconds: a stream's row tells of the fullest."""
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
        """Flows found to be media since the last call, and their place in APPS."""
        apps, self._apps = self._apps, {}
        return np.array(list(apps), np.uint64), np.array(list(apps.values()), np.uint8)

    def _mark(self, flow: int, app: int) -> None:
        self._apps[flow] = app

    def forget(self, flow_ids: U64) -> None:
        """Flows have ended: their streams end with them."""
        gone = [int(flow) for flow in np.asarray(flow_ids).tolist()]
        for flow in gone:
            for stream in list(self._by_flow.get(flow, ())):
                self._retire(stream, 2)
            if flow in self._connections.by_flow:
                self._forget_connection(flow, self._now_ns)

    def _forget_connection(self, flow: int, time_ns: int) -> None:
        for stream in list(self._by_flow.get(flow, ())):
            self._retire(stream, 2)
        for carrier in self._connections.forget(flow, time_ns):
            self._drop_held(True, {carrier})


def _of_datagrams(length: I32, fragment: U8, first: U64) -> I32:
    """(n,) payload bytes of whole datagrams: of a first fragment, its UDP header tells them.

    `first` (n,) are the words that begin with that length. Bytes on the wire are not counted here.
    """
    told = (first >> np.uint64(48)).astype(np.int32) - np.int32(8)
    return np.where(fragment == 1, np.maximum(length, told), length)


def _remove(table: dict[_Key, list[Stream]], key: _Key, stream: Stream) -> None:
    rest = [other for other in table.get(key, ()) if other is not stream]
    if rest:
        table[key] = rest
    else:
        table.pop(key, None)


def _plausible() -> Bool:
    table = np.zeros(256, bool)
    for payload_type in range(128):
        table[payload_type] = media_heuristics.plausible_payload_type(payload_type)
    return table


_PLAUSIBLE = _plausible()
