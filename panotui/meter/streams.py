"""The stream table: UDP packets and RTSP connections in, measured media streams out.

It finds out by signalling (RTSP) or by content which packets are RTP and RTCP, gives each SSRC of
each carrier a stream, and hands header columns to `RtpMetrics`. Out go STREAM_DTYPE rows, rows a
second, messages, and which flows are media. It learns ports, clock rates and codecs from the RTSP
that passes here, and from nowhere else. RTP packets wait until `tick` (or until many have come)
and are measured together; results do not depend on that.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import TypeVar

import msgspec
import numpy as np

from panotui.meter import media_heuristics, rtcp_tracker
from panotui.meter.carriers import NO_MEDIA, RTCP, RTP, UNKNOWN, Carriers
from panotui.meter.interleaved import Direction, Frames
from panotui.meter.media_heuristics import Held
from panotui.meter.rtcp_tracker import Clockwork
from panotui.meter.rtp_metrics import ORDER_BITS, RtpMetrics, RtpRecords, join
from panotui.meter.rtsp_tracker import Dialogue, Track
from panotui.model import (
    APPS,
    I32,
    I64,
    SECOND,
    STREAM_CODECS,
    STREAM_DTYPE,
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
from panotui.wire import h264, h265, jpeg, rtcp
from panotui.wire.columns import Columns
from panotui.wire.rtp import STATIC_PAYLOADS, RtpColumns, read_headers, words
from panotui.wire.rtsp import Text
from panotui.wire.sdp import Format

MEASURE_AT = 65_536  # packets waiting
RTCP_PER_SECOND = 2_000  # reports taken one at a time
HELD_STREAMS_MAX = 4_096
ORDER_MASK = (1 << ORDER_BITS) - 1
PORTS_MAX = 4_096
PARAMETER_SETS_PER_CALL = 256
CODEC_LOOKS = 8
_FIN, _SYN, _RST = 1, 2, 4
_APP_RTP, _APP_RTCP, _APP_SRTP = APPS.index("rtp"), APPS.index("rtcp"), APPS.index("srtp")
_CODECS = {name: index for index, name in enumerate(STREAM_CODECS) if name}
_OTHER = _CODECS["OTHER"]
_H264, _H265, _JPEG = _CODECS["H264"], _CODECS["H265"], _CODECS["JPEG"]
_PICTURES = frozenset({_H264, _H265, _JPEG, _CODECS["MP4V-ES"]})
_AUDIO_CLOCKS = frozenset({8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000})
_NOT_PICTURES = frozenset(
    _CODECS[name]
    for name in (
        "PCMU",
        "PCMA",
        "MPEG4-GENERIC",
        "MP4A-LATM",
        "G722",
        "G726",
        "L16",
        "OPUS",
        "VND.ONVIF.METADATA",
        "MPA",
        "MP2T",
    )
)


_Key = TypeVar("_Key")


def codec_index(name: str | None) -> int:
    """Place of an encoding name in STREAM_CODECS; 0 unknown, OTHER for names that are not there."""
    if not name:
        return 0
    name = name.upper()
    if name.startswith("G726"):
        name = "G726"
    return _CODECS.get(name, _OTHER)


class _Place(msgspec.Struct, frozen=True):
    """Where a carrier's packets go from and to."""

    version: int
    src: bytes  # 16
    dst: bytes
    sport: int
    dport: int
    flow: int
    interface: int
    channel: int = -1

    @property
    def endpoints(self) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
        return (self.src, self.sport), (self.dst, self.dport)


class _Stream(msgspec.Struct, eq=False):
    """What is known of a stream beside its numbers."""

    id: int
    index: int
    tcp: bool
    carrier: int
    ssrc: int
    place: _Place
    track: Track | None
    dialogue: Dialogue | None
    payload_type: int
    codec: int = 0
    looks: int = 0
    sps: bytes | None = None
    clockwork: Clockwork = msgspec.field(default_factory=Clockwork)


class _Port(msgspec.Struct, eq=False):
    """A UDP port that a SETUP has named."""

    since_ns: int
    track: Track
    dialogue: Dialogue
    rtcp: bool


class _Connection:
    """An RTSP connection: its dialogue and both directions ([from server, from client])."""

    __slots__ = ("channels", "dialogue", "ends", "last_ns", "place", "sides")

    def __init__(self, place: _Place, dialogue: Dialogue) -> None:
        self.place = place  # client to server
        self.dialogue = dialogue
        self.sides: list[Direction] = []
        self.channels: list[int] = []  # carriers
        self.ends = 0
        self.last_ns = 0


class _Report(msgspec.Struct):
    """RTCP that waits for the packets before it to be measured."""

    compound: rtcp.Compound
    place: _Place
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
        self.streams_evicted = 0
        self.rtsp_evicted = 0
        self.rtsp_resyncs = 0
        self.rtcp_skipped = 0
        self._udp = Carriers(1024)
        self._tcp = Carriers(64)
        self._tcp_place: dict[int, tuple[_Connection, bool, int]] = {}
        self._tcp_free: list[int] = []
        self._streams: list[_Stream | None] = [None] * settings.streams_max
        self._free = list(range(settings.streams_max - 1, -1, -1))
        self._by_carrier: dict[tuple[bool, int, int], _Stream] = {}
        self._by_ssrc: dict[int, list[_Stream]] = {}
        self._by_flow: dict[int, list[_Stream]] = {}
        self._by_target: dict[tuple[bytes, int], list[_Stream]] = {}
        self._codec: U8 = np.zeros(settings.streams_max, np.uint8)
        self._looking: Bool = np.zeros(settings.streams_max, bool)
        self._held: OrderedDict[tuple[bool, int, int], Held] = OrderedDict()
        self._held_first: dict[tuple[bool, int, int], list[tuple[U8, U8, list[bytes]]]] = {}
        self._udp_place: dict[int, _Place] = {}
        self._ports: OrderedDict[tuple[bytes, int], list[_Port]] = OrderedDict()
        self._connections: OrderedDict[int, _Connection] = OrderedDict()
        self._tunnels: OrderedDict[str, _Connection] = OrderedDict()
        self._frames = Frames()
        self._waiting: list[RtpRecords] = []
        self._waiting_count = 0
        self._unordered = False
        self._reports: list[_Report] = []
        self._rtcp_second = 0
        self._rtcp_taken = 0
        self._messages: list[AnyMessage] = []
        self._apps: dict[int, int] = {}
        self._last_rows: list[Rows] = []
        self._next_stream = 1
        self._next_session = 1
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
            slot, flow_id, from_client = slot[rows], flow_id[rows], from_client[rows]
        place = slot.astype(np.int64) * 2 + from_client
        carriers = self._udp
        carriers.reserve(int(place.max()) + 1)
        for gone in carriers.check(place, flow_id).tolist():
            self._udp_place.pop(gone, None)
        media = np.flatnonzero(
            (carriers.kind[place] != NO_MEDIA)
            & (columns.payload[rows] >= 0)
            & (columns.payload_captured[rows] >= 4)
        )
        if not len(media):
            return
        if len(media) < len(rows):
            rows, place = rows[media], place[media]
        offset = columns.payload[rows]
        length, captured = columns.payload_length[rows], columns.payload_captured[rows]
        header = read_headers(batch.data, offset, length, captured)
        stream = carriers.stream[place]
        fast = header.valid & (stream >= 0)
        fast &= header.ssrc == carriers.ssrc[place]
        fast &= header.payload_type == carriers.payload_type[place]
        if fast.all():
            self._take(batch, rows, place, header, stream.astype(np.uint16))
            return
        self._look_at(batch, columns, rows, place, header, offset, length, captured, fast)
        chosen = np.flatnonzero(fast)
        if len(chosen):
            self._take(
                batch,
                rows[chosen],
                place[chosen],
                _columns_of(header, chosen),
                stream[chosen].astype(np.uint16),
            )

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
            self._strike(place[wrong])
        maybe = rest[valid]
        unlikely = ~_PLAUSIBLE[header.payload_type[maybe]]
        known = carriers.kind[place[maybe]] == RTP
        if unlikely.any():
            self._strike(place[maybe[unlikely & ~known]])
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
            _columns_of(header, maybe),
            batch.time_ns[rows[maybe]],
            batch.wire_length[rows[maybe]],
            (rows[maybe] + batch.first_number) << ORDER_BITS,
            np.zeros(len(maybe), np.int32),
        )

    def _strike(self, place: I64) -> None:
        """Packets that are no RTP; a flow with many of them is not looked at again."""
        carriers = self._udp
        np.add.at(carriers.strikes, place, 1)
        out = place[
            (carriers.strikes[place] >= media_heuristics.STRIKES_MAX)
            & (carriers.kind[place] == UNKNOWN)
        ]
        if len(out):
            carriers.kind[out] = NO_MEDIA
            for gone in np.unique(out).tolist():
                self._udp_place.pop(gone, None)
                self._drop_held(False, gone)

    def _place_of(self, batch: PacketBatch, columns: Columns, row: int, place: int) -> _Place:
        known = self._udp_place.get(place)
        if known is None:
            known = _place(batch, columns, row, int(self._udp.flow[place]))
            self._udp_place[place] = known
        return known

    # ================================================================ RTSP

    def rtsp(
        self, batch: PacketBatch, columns: Columns, rows: I64, flow_id: U64, from_client: Bool
    ) -> None:
        """Take every TCP packet of RTSP flows, both directions, in order of arrival."""
        if not len(rows):
            return
        if len(flow_id) != len(rows):
            flow_id, from_client = flow_id[rows], from_client[rows]
        keep = columns.l4[rows] >= 0
        if not keep.all():
            rows, flow_id, from_client = rows[keep], flow_id[keep], from_client[keep]
        rows, flow_id, from_client = self._by_connection(rows, flow_id, from_client)
        at = columns.l4[rows]
        if not len(at):
            return
        last = len(batch.data) - 12
        numbers = words(batch.data, "<u8")[np.minimum(at + 4, max(last + 4, 0))].byteswap()
        view = batch.data.data
        length = columns.payload_length[rows]
        flags = columns.tcp_flags[rows]
        self._frames = Frames()
        connection: _Connection | None = None
        flow = -1
        for row, this, client, sequence, ack, payload, size, captured, bits, time_ns in zip(
            rows.tolist(),
            flow_id.tolist(),
            from_client.tolist(),
            (numbers >> np.uint64(32)).tolist(),
            (numbers & np.uint64(0xFFFFFFFF)).tolist(),
            columns.payload[rows].tolist(),
            length.tolist(),
            columns.payload_captured[rows].tolist(),
            flags.tolist(),
            batch.time_ns[rows].tolist(),
            strict=True,
        ):
            if this != flow or connection is None:
                flow = this
                connection = self._connections.get(flow)
                if connection is None:
                    connection = self._connect(batch, columns, row, flow, client)
                for side in connection.sides:
                    side.frames = self._frames
            if not size and not bits & 7:
                other = connection.sides[not client]
                if other.held:
                    other.acknowledged(ack, time_ns)
                continue
            number = row + batch.first_number
            side = connection.sides[client]
            connection.last_ns = time_ns
            if bits & _SYN:
                side.begin(sequence)
                sequence += 1
            if size:
                other = connection.sides[not client]
                if other.held:
                    other.acknowledged(ack, time_ns)
                side.segment(sequence, view, payload, captured, size, time_ns, number)
            if bits & (_FIN | _RST):
                self._disconnect(connection, client, bool(bits & _RST), time_ns, number)
        self._take_frames(batch)

    def _by_connection(self, rows: I64, flow_id: U64, from_client: Bool) -> tuple[I64, U64, Bool]:
        """Rows in order of arrival, one connection after the other where that is the same.

        The two connections of a tunnel over HTTP speak to each other, and of a new one it is not
        known yet whether it is one: then all stay in order of arrival.
        """
        apart = not self._tunnels and all(
            flow in self._connections for flow in np.unique(flow_id).tolist()
        )
        order = np.lexsort((rows, flow_id)) if apart else np.argsort(rows, kind="stable")
        return rows[order], flow_id[order], from_client[order]

    def _connect(
        self, batch: PacketBatch, columns: Columns, row: int, flow: int, from_client: bool
    ) -> _Connection:
        place = _place(batch, columns, row, flow)
        if not from_client:
            place = _Place(
                place.version, place.dst, place.src, place.dport, place.sport, flow, place.interface
            )
        session = self._next_session
        self._next_session += 1
        dialogue = Dialogue(
            session,
            address_text(place.version, place.src),
            address_text(place.version, place.dst),
            place.dport,
            flow,
            place.interface,
            self._messages.append,
            self._set_up,
            self._playing_changed,
        )
        connection = _Connection(place, dialogue)
        connection.last_ns = int(batch.time_ns[row])
        for client in (False, True):
            connection.sides.append(self._side(connection, client))
        self._connections[flow] = connection
        if len(self._connections) > self._settings.rtsp_connections_max:
            oldest = min(self._connections, key=lambda f: self._connections[f].last_ns)
            if oldest != flow:
                self._forget_connection(oldest, connection.last_ns)
                self.rtsp_evicted += 1
        return connection

    def _side(self, connection: _Connection, client: bool) -> Direction:
        def message(text: Text, body: bytes, time_ns: int, number: int) -> None:
            connection.dialogue.message(text, body, client, time_ns, number)

        def channel(number: int) -> int:
            return self._open_channel(connection, client, number)

        def tunnel(cookie: str) -> None:
            connection.dialogue.carrier = "rtsp-http"
            if not cookie or not client:
                return
            other = self._tunnels.get(cookie)
            if other is None:
                self._tunnels[cookie] = connection
                if len(self._tunnels) > 64:
                    self._tunnels.popitem(last=False)
            elif other is not connection:
                # The POST's requests are answered on the GET's connection.
                connection.dialogue = other.dialogue

        direction = Direction(self._frames, message, channel)
        direction.on_tunnel = tunnel
        return direction

    def _open_channel(self, connection: _Connection, client: bool, number: int) -> int:
        if self._tcp_free:
            carrier = self._tcp_free.pop()
        else:
            carrier = len(self._tcp_place)
            while carrier in self._tcp_place:
                carrier += 1
        self._tcp.reserve(carrier + 1)
        self._tcp.clear(np.array([carrier]))
        self._tcp.kind[carrier] = RTP
        self._tcp_place[carrier] = (connection, client, number)
        connection.channels.append(carrier)
        return carrier

    def _disconnect(
        self, connection: _Connection, client: bool, reset: bool, time_ns: int, number: int
    ) -> None:
        side = connection.sides[client]
        if side.held:
            side.give_up()
        connection.ends += 1
        if connection.ends == 1 or reset:
            how = f"{'rst' if reset else 'fin'}-{'client' if client else 'server'}"
            if connection.ends == 1:
                connection.dialogue.end(time_ns, number, how)

    def _take_frames(self, batch: PacketBatch) -> None:
        """Read the RTP headers of the frames that the walk has found."""
        frames = self._frames
        self._note_resyncs()
        if not frames.numbers:
            return
        table = np.frombuffer(frames.numbers, np.int64).reshape(-1, Frames.FIELDS).copy()
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

    def _note_resyncs(self) -> None:
        total = 0
        for connection in self._connections.values():
            for side in connection.sides:
                if side.resyncs:
                    total += side.resyncs
                    side.resyncs = 0
        self.rtsp_resyncs += total

    def _take_part(self, data: U8, part: I64, position: I64) -> None:
        place, length, captured = part[:, 0], part[:, 2], part[:, 3]
        header = read_headers(data, position, length, captured)
        kind = data[np.minimum(position + 1, len(data) - 1)] if len(data) else length * 0
        report = (captured >= 8) & (kind >= 200) & (kind <= 207)
        for i in np.flatnonzero(report).tolist():
            start = int(position[i])
            raw = data[start : start + int(captured[i])].tobytes()
            carrier = int(place[i])
            connection, client, _ = self._tcp_place[carrier]
            self._report(
                raw,
                int(length[i]),
                self._tcp_endpoints(carrier),
                int(part[i, 4]),
                int(part[i, 5]),
                connection.dialogue,
                client,
            )
        carriers = self._tcp
        usable = np.flatnonzero(header.valid & ~report)
        if not len(usable):
            return
        place, part = place[usable], part[usable]
        header = _columns_of(header, usable)
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
                _columns_of(header, slow),
                time_ns[slow],
                size[slow],
                rank[slow],
                epoch[slow],
            )
        chosen = np.flatnonzero(fast)
        if len(chosen):
            self._append(
                data,
                _columns_of(header, chosen),
                stream[chosen].astype(np.uint16),
                time_ns[chosen],
                size[chosen],
                rank[chosen],
                epoch[chosen],
            )

    def _tcp_endpoints(self, carrier: int) -> _Place:
        connection, client, channel = self._tcp_place[carrier]
        p = connection.place
        if client:
            return _Place(p.version, p.src, p.dst, p.sport, p.dport, p.flow, p.interface, channel)
        return _Place(p.version, p.dst, p.src, p.dport, p.sport, p.flow, p.interface, channel)

    # ================================================================ signalling

    def _set_up(self, dialogue: Dialogue, track: Track) -> None:
        """A SETUP was answered: bind its ports or channels, also to what already flows."""
        transport = track.transport
        if transport.tcp:
            for connection in self._connections.values():
                if connection.dialogue is dialogue:
                    for carrier in connection.channels:
                        self._rebind_carrier(carrier, dialogue, track)
            return
        found = [c for c in self._connections.values() if c.dialogue is dialogue]
        if not found:
            return
        connection = found[0]
        p = connection.place
        if transport.multicast:
            target = _raw_address(transport.destination, p.version) or p.src
            ports = transport.port or transport.client_port
            if ports:
                self._bind(target, ports, dialogue, track)
            return
        if transport.client_port:
            target = _raw_address(transport.destination, p.version) or p.src
            self._bind(target, transport.client_port, dialogue, track)
        if transport.server_port:
            self._bind_one(p.dst, transport.server_port[1], dialogue, track, True)

    def _bind(
        self, address: bytes, ports: tuple[int, int], dialogue: Dialogue, track: Track
    ) -> None:
        self._bind_one(address, ports[0], dialogue, track, False)
        if ports[1] != ports[0]:
            self._bind_one(address, ports[1], dialogue, track, True)
        # Flows that were taken for something else get another look.
        kind = self._udp.kind
        again = np.flatnonzero(kind == NO_MEDIA)
        kind[again] = UNKNOWN
        self._udp.strikes[again] = 0
        for stream in list(self._by_target.get((address, ports[0]), ())):
            since = int(self.metrics.row["last_ns"][stream.index])
            if stream.track is None or since >= track.since_ns:
                self._bind_stream(stream, dialogue, track)

    def _bind_one(
        self, address: bytes, port: int, dialogue: Dialogue, track: Track, is_rtcp: bool
    ) -> None:
        key = (address, port)
        known = self._ports.setdefault(key, [])
        known.append(_Port(track.since_ns, track, dialogue, is_rtcp))
        del known[:-4]
        self._ports.move_to_end(key)
        if len(self._ports) > PORTS_MAX:
            self._ports.popitem(last=False)

    def _port(self, key: tuple[bytes, int], time_ns: int) -> _Port | None:
        """The SETUP that holds for a port at a time: the last before it, else the first."""
        known = self._ports.get(key)
        if not known:
            return None
        for port in reversed(known):
            if port.since_ns <= time_ns + SECOND:
                return port
        return known[0]

    def _rebind_carrier(self, carrier: int, dialogue: Dialogue, track: Track) -> None:
        _, client, channel = self._tcp_place[carrier]
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
            port = self._port((place.dst, place.dport), time_ns)
            if port is not None and not port.rtcp:
                return port.track, port.dialogue
            return None, None
        connection, client, channel = self._tcp_place[carrier]
        dialogue = connection.dialogue
        for track in reversed(dialogue.tracks):
            pair = track.transport.interleaved
            if pair is not None and channel == pair[0]:
                return track, dialogue
        videos = dialogue.tracks
        if len(videos) == 1 and not client and videos[0].transport.interleaved is None:
            return videos[0], dialogue
        return None, dialogue

    def _bind_stream(self, stream: _Stream, dialogue: Dialogue, track: Track | None) -> None:
        stream.track = track
        stream.dialogue = dialogue
        row = self.metrics.row
        index = stream.index
        row["session"][index] = dialogue.session
        if track is None:
            return
        row["signalled"][index] = 1
        row["encrypted"][index] = track.encrypted
        self._learn_format(stream, stream.payload_type)
        if track.sps is not None:
            self._learn_sps(stream, track.sps)
        self.metrics.watched[index] = track.playing
        if track.playing:
            row["end"][index] = 0
        self.metrics.changed[index] = True
        self._tell_bound(stream)
        if track.encrypted:
            self._mark(stream.place.flow, _APP_SRTP)

    def _tell_bound(self, stream: _Stream) -> None:
        track = stream.track
        assert track is not None
        row = self.metrics.row[stream.index]
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
            playing = track.playing if track is not None else not dialogue.over
            self.metrics.watched[index] = playing
            if playing:
                # While it was paused its silence was no freeze.
                self.metrics.excused_ns[index] = dialogue.played_ns
            elif (track is not None and track.ended_ns) or (stream.tcp and dialogue.over):
                self.metrics.row["end"][index] = 1
            self.metrics.changed[index] = True

    def _streams_of(self, dialogue: Dialogue) -> list[_Stream]:
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
            part = _columns_of(header, chosen)
            stream = self._by_carrier.get(name)
            if stream is not None:
                self._follow(stream, part)
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

    def _follow(self, stream: _Stream, header: RtpColumns) -> None:
        """Another SSRC or payload type of a known carrier: it is the newest now."""
        carriers = self._tcp if stream.tcp else self._udp
        kind = int(header.payload_type[-1])
        carriers.stream[stream.carrier] = stream.index
        carriers.ssrc[stream.carrier] = stream.ssrc
        carriers.payload_type[stream.carrier] = kind
        if kind != stream.payload_type:
            formats = stream.track.formats if stream.track else {}
            # Comfort noise, events and FEC come and go; only a declared media type changes it.
            if kind in formats and formats[kind].clock_rate:
                self._learn_format(stream, kind)

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
        carriers = self._tcp if tcp else self._udp
        track, dialogue = self._signalled(tcp, carrier, int(time_ns[0]))
        has_stream = carriers.stream[carrier] >= 0
        if track is not None:
            wanted = 2 if has_stream and track.transport.ssrc != ssrc else 1
        else:
            wanted = 2 if tcp or has_stream else media_heuristics.ADOPT_PACKETS
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = Held(ssrc, int(header.payload_type[0]))
            self._held_first[name] = []
            if len(self._held) > HELD_STREAMS_MAX:
                gone, _ = self._held.popitem(last=False)
                self._held_first.pop(gone, None)
        flags = h264.flags(data, header.payload, header.payload_captured)
        limit = len(data) - 1
        first = data[np.minimum(header.payload, limit)]
        second = data[np.minimum(header.payload + 1, limit)]
        empty = header.payload_captured < 2
        first = np.where(empty, np.uint8(0xFF), first)
        sets = [
            data[int(header.payload[i]) :][: min(int(header.payload_captured[i]), 1024)].tobytes()
            for i in np.flatnonzero(flags & h264.SPS)[:4].tolist()
        ]
        fits = header.payload_captured >= 3
        third = np.where(fits, data[np.minimum(header.payload + 2, limit)], 0).astype(np.uint8)
        self._held_first[name].append(
            (np.stack([first, second, third], axis=1), _pictures(data, header), sets)
        )
        held.add(
            RtpRecords(
                np.zeros(len(time_ns), np.uint16),
                header.sequence,
                header.timestamp,
                time_ns,
                size,
                header.payload_length.astype(np.int64),
                np.where(header.marker, np.uint8(h264.MARK), np.uint8(0)),
                rank,
                epoch,
            )
        )
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
                self._drop_held(False, carrier)
            return
        del self._held[name]
        seen = self._held_first.pop(name)
        self._adopt(name, held, records, order, seen, track, dialogue)

    def _drop_held(self, tcp: bool, carrier: int) -> None:
        for name in [n for n in self._held if n[0] == tcp and n[1] == carrier]:
            del self._held[name]
            self._held_first.pop(name, None)

    def _adopt(
        self,
        name: tuple[bool, int, int],
        held: Held,
        records: RtpRecords,
        order: I64,
        seen: list[tuple[U8, U8, list[bytes]]],
        track: Track | None,
        dialogue: Dialogue | None,
    ) -> None:
        """An SSRC is believed: give it a stream and measure what was held."""
        tcp, carrier, ssrc = name
        carriers = self._tcp if tcp else self._udp
        place = self._tcp_endpoints(carrier) if tcp else self._udp_place[carrier]
        before = int(carriers.stream[carrier])
        stream = self._open(tcp, carrier, ssrc, place, held.payload_type)
        self.metrics.row["first_ns"][stream.index] = records.time_ns[0]
        self.metrics.row["first_packet"][stream.index] = records.order[0] >> ORDER_BITS
        self.metrics.row["last_ns"][stream.index] = records.time_ns[0]
        heads = np.concatenate([part[0] for part in seen])[-len(order) :][order]
        if track is not None and dialogue is not None:
            self._bind_stream(stream, dialogue, track)
        else:
            if dialogue is not None:
                self.metrics.row["session"][stream.index] = dialogue.session
                stream.dialogue = dialogue
                self.metrics.watched[stream.index] = True
            self._learn_format(stream, held.payload_type)
            if not stream.codec and not self.metrics.row["encrypted"][stream.index]:
                self._guess(stream, heads[:, 0], heads[:, 1])
        if stream.codec == _H264:
            for _, _, sets in seen:
                for payload in sets:
                    self._learn_sps(stream, h264.find_sps(payload))
        records.stream = np.full(len(order), stream.index, np.uint16)
        pictures = np.concatenate([part[1] for part in seen])[-len(order) :][order]
        records.flags = records.flags | self._flags_of(stream, heads, pictures)
        carriers.kind[carrier] = RTP
        carriers.stream[carrier] = stream.index
        carriers.ssrc[carrier] = ssrc
        carriers.payload_type[carrier] = held.payload_type
        if before >= 0 and self._streams[before] is not None:
            self._tell_ssrc_change(before, stream, records)
        if not tcp:
            self._mark(
                place.flow,
                _APP_SRTP if self.metrics.row["encrypted"][stream.index] else _APP_RTP,
            )
        self._queue(records)

    def _flags_of(self, stream: _Stream, heads: U8, pictures: U8) -> U8:
        """Payload flags of held packets, from their first three payload bytes."""
        n = len(heads)
        if self.metrics.row["encrypted"][stream.index]:
            return np.zeros(n, np.uint8)
        flat = np.ascontiguousarray(heads).reshape(-1)
        at = np.arange(n, dtype=np.int64) * 3
        size = np.full(n, 3, np.int32)
        if stream.codec == _H264:
            return h264.flags(flat, at, size)
        if stream.codec == _H265:
            return h265.flags(flat, at, size)
        if stream.codec == _JPEG:
            return pictures
        return np.zeros(n, np.uint8)

    def _tell_ssrc_change(self, before: int, stream: _Stream, records: RtpRecords) -> None:
        old = self._streams[before]
        assert old is not None
        self.metrics.watched[before] = False
        self.metrics.changed[before] = True
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

    def _open(
        self, tcp: bool, carrier: int, ssrc: int, place: _Place, payload_type: int
    ) -> _Stream:
        if not self._free:
            live = [s for s in self._streams if s is not None]
            last = self.metrics.row["last_ns"][[s.index for s in live]]
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
        stream = _Stream(
            int(row["id"][0]), index, tcp, carrier, ssrc, place, None, None, payload_type
        )
        self._streams[index] = stream
        self._codec[index] = 0
        self._looking[index] = False
        self._by_carrier[(tcp, carrier, ssrc)] = stream
        self._by_ssrc.setdefault(ssrc, []).append(stream)
        self._by_flow.setdefault(place.flow, []).append(stream)
        self._by_target.setdefault((place.dst, place.dport), []).append(stream)
        return stream

    def _retire(self, stream: _Stream, end: int) -> None:
        """Take a stream off the table; its last row goes out with the next `rows`."""
        self.measure()
        index = stream.index
        self.metrics.close(index)
        row = self.metrics.row
        if not row["end"][index]:
            row["end"][index] = end
        self._last_rows.append(self.metrics.rows(np.array([index])))
        self._streams[index] = None
        self._free.append(index)
        self.metrics.changed[index] = False
        self.metrics.release(index)
        _remove(self._by_ssrc, stream.ssrc, stream)
        _remove(self._by_flow, stream.place.flow, stream)
        _remove(self._by_target, (stream.place.dst, stream.place.dport), stream)
        self._by_carrier.pop((stream.tcp, stream.carrier, stream.ssrc), None)
        carriers = self._tcp if stream.tcp else self._udp
        if carriers.stream[stream.carrier] == index:
            carriers.stream[stream.carrier] = -1

    # ================================================================ formats

    def _learn_format(self, stream: _Stream, payload_type: int) -> None:
        """Codec and clock by the SDP, else by the static table; else they stay unknown."""
        stream.payload_type = payload_type
        track = stream.track
        form = track.formats.get(payload_type) if track else None
        if form is None or not form.codec:
            name, clock = STATIC_PAYLOADS.get(payload_type, (None, 0))
            form = Format(name, form.clock_rate if form and form.clock_rate else clock)
        self.metrics.row["payload_type"][stream.index] = payload_type
        self._set_codec(stream, codec_index(form.codec), form.clock_rate)

    def _set_codec(self, stream: _Stream, codec: int, clock: int) -> None:
        index = stream.index
        metrics = self.metrics
        row = metrics.row
        media = stream.track.media if stream.track else ""
        encrypted = bool(row["encrypted"][index])
        if codec in (_H264, _H265, _JPEG) and not clock:
            clock = 90_000  # RFC 6184 8.2.1, RFC 7798 7.1, RFC 2435 fix it
        stream.codec = codec
        row["codec"][index] = codec
        row["clock_rate"][index] = clock
        # With an unknown clock sums run as if it were video's; they are only shown once it is.
        metrics.clock[index] = clock or 90_000
        metrics.picture[index] = codec in _PICTURES or (
            codec not in _NOT_PICTURES
            and clock not in _AUDIO_CLOCKS
            and media in ("", "video")
            and (codec != 0 or media == "video" or clock in (0, 90_000))
        )
        metrics.reads_keys[index] = codec in (_H264, _H265, _JPEG) and not encrypted
        self._codec[index] = codec if not encrypted else 0
        self._looking[index] = codec == 0 and not encrypted and stream.payload_type >= 96
        metrics.changed[index] = True

    def _guess(self, stream: _Stream, first: U8, second: U8) -> None:
        stream.looks += 1
        if stream.looks > CODEC_LOOKS:
            self._looking[stream.index] = False
            return
        name = media_heuristics.guess_codec(first, second)
        if name is not None and stream.payload_type >= 96:
            self._set_codec(stream, codec_index(name), 90_000)

    def _learn_sps(self, stream: _Stream, unit: bytes | None) -> None:
        """Size, profile and declared rate; the one in band is newer than the SDP's."""
        if unit is None or unit == stream.sps:
            return
        row, index = self.metrics.row, stream.index
        if stream.codec == _H265:
            stream.sps = unit
            size = h265.parse_size(unit)
            if size:
                row["width"][index], row["height"][index] = size
                self.metrics.changed[index] = True
            return
        if stream.codec != _H264:
            return
        stream.sps = unit
        found = h264.parse_sps(unit)
        if found is not None:
            row["width"][index], row["height"][index] = found.width, found.height
            row["profile"][index] = found.profile
            row["constraint"][index] = found.constraint
            row["level"][index] = found.level
            row["vui_fps"][index] = found.fps if found.fps is not None else np.nan
            self.metrics.changed[index] = True

    # ================================================================ to the core

    def _take(
        self, batch: PacketBatch, rows: I64, place: I64, header: RtpColumns, stream: U16
    ) -> None:
        del place
        self._append(
            batch.data,
            header,
            stream,
            batch.time_ns[rows],
            batch.wire_length[rows],
            (rows + batch.first_number) << ORDER_BITS,
            np.zeros(len(rows), np.int32),
        )

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
        flags = self._classify(data, header, stream)
        flags |= header.marker.view(np.uint8) << np.uint8(7)
        self._queue(
            RtpRecords(
                stream,
                header.sequence,
                header.timestamp,
                time_ns,
                size,
                header.payload_length.astype(np.int64),
                flags,
                rank,
                epoch,
            )
        )

    def _classify(self, data: U8, header: RtpColumns, stream: U16) -> U8:
        codec = self._codec[stream]
        kinds = np.flatnonzero(np.bincount(codec, minlength=1))
        out: U8 = np.zeros(len(stream), np.uint8)
        for kind in kinds.tolist():
            if kind not in (_H264, _H265, _JPEG):
                continue
            every = len(kinds) == 1
            rows = np.arange(len(stream)) if every else np.flatnonzero(codec == kind)
            payload = header.payload if every else header.payload[rows]
            captured = header.payload_captured if every else header.payload_captured[rows]
            if kind == _JPEG:
                flags = jpeg.flags(data, payload, captured)
            else:
                flags = (h264 if kind == _H264 else h265).flags(data, payload, captured)
            if every:
                out = flags
            else:
                out[rows] = flags
            self._read_parameters(kind, data, rows, flags, payload, captured, stream)
        if self._looking[stream].any():
            self._look_again(data, header, stream)
        return out

    def _read_parameters(
        self, kind: int, data: U8, rows: I64, flags: U8, payload: I64, captured: I32, stream: U16
    ) -> None:
        """Parameter sets in band, and the picture's size of JPEG: a few a call."""
        if kind == _JPEG:
            unsized = self.metrics.row["width"][stream[rows]] == 0
            chosen = np.flatnonzero((flags & h264.START != 0) & unsized)[:8]
        else:
            chosen = np.flatnonzero(flags & h264.SPS)
            if len(chosen) > PARAMETER_SETS_PER_CALL:
                # The newest of each stream are enough.
                _, last = np.unique(stream[rows[chosen]][::-1], return_index=True)
                chosen = chosen[::-1][last][:PARAMETER_SETS_PER_CALL]
        for i in chosen.tolist():
            owner = self._streams[int(stream[rows[i]])]
            if owner is None:
                continue
            start = int(payload[i])
            raw = data[start : start + min(int(captured[i]), 1024)].tobytes()
            if kind == _JPEG:
                size = jpeg.parse_size(raw)
                if size:
                    row = self.metrics.row
                    row["width"][owner.index], row["height"][owner.index] = size
            else:
                find = h264.find_sps if kind == _H264 else h265.find_sps
                self._learn_sps(owner, find(raw))

    def _look_again(self, data: U8, header: RtpColumns, stream: U16) -> None:
        """Streams of unknown codec: do the newest packets tell it?"""
        unknown = np.flatnonzero(self._looking[stream] & (header.payload_captured >= 2))
        for index in np.unique(stream[unknown])[:16].tolist():
            owner = self._streams[index]
            rows = unknown[stream[unknown] == index]
            if owner is None or len(rows) < media_heuristics.ADOPT_PACKETS:
                continue
            at = header.payload[rows]
            self._guess(owner, data[at], data[at + 1])

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
        before = self.metrics.row["packets"].copy() if reports else None
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
        toward = self._port((place.dst, place.dport), time_ns)
        back = self._port((place.src, place.sport), time_ns)
        port = toward or back
        if carriers.kind[carrier] == UNKNOWN:
            if port is not None or self._has_media_beside(place):
                carriers.kind[carrier] = RTCP
                self._mark(place.flow, _APP_RTCP)
            else:
                carriers.strikes[carrier] += 1
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

    def _has_media_beside(self, place: _Place) -> bool:
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
        place: _Place,
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
        row = self.metrics.row
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
            self.metrics.changed[stream.index] = True
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
            self.metrics.changed[stream.index] = True
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
            self.metrics.watched[stream.index] = False
            self.metrics.changed[stream.index] = True
            self._messages.append(
                rtcp_tracker.bye_message(
                    ssrc, stream.id, report.time_ns, report.number, place.interface, place.flow
                )
            )

    def _find(self, ssrc: int, place: _Place) -> _Stream | None:
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
        for connection in self._connections.values():
            for side in connection.sides:
                if side.held and now_ns - connection.last_ns > 3 * SECOND:
                    side.give_up()
        for stream in self._streams:
            if stream is None:
                continue
            timeout_s = stream.dialogue.timeout_s if stream.dialogue else 60
            index = stream.index
            row = self.metrics.row
            silent_ns = now_ns - int(row["last_ns"][index])
            if not row["end"][index] and silent_ns > 2 * timeout_s * SECOND:
                row["end"][index] = 2
                self.metrics.watched[index] = False
                self.metrics.changed[index] = True
            elif row["end"][index] == 2 and silent_ns < SECOND:
                row["end"][index] = 0
                self.metrics.changed[index] = True

    def rows(self) -> Rows:
        """STREAM_DTYPE rows of streams that changed since the last call; cumulative."""
        changed = np.flatnonzero(self.metrics.changed)
        parts = [*self._last_rows, self.metrics.rows(changed)]
        self._last_rows = []
        self.metrics.changed[changed] = False
        return np.concatenate(parts)

    def seconds(self) -> Rows:
        """STREAM_SECOND_DTYPE rows that are new or changed since the last call."""
        return self.metrics.seconds(self._now_ns)

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
            if flow in self._connections:
                self._forget_connection(flow, self._now_ns)

    def _forget_connection(self, flow: int, time_ns: int) -> None:
        connection = self._connections.pop(flow)
        if not connection.ends:
            connection.dialogue.end(max(time_ns, connection.last_ns), 0, "idle")
        for stream in list(self._by_flow.get(flow, ())):
            self._retire(stream, 2)
        for carrier in connection.channels:
            self._tcp_place.pop(carrier, None)
            self._drop_held(True, carrier)
            self._tcp_free.append(carrier)
        for cookie in [c for c, known in self._tunnels.items() if known is connection]:
            del self._tunnels[cookie]


def _remove(table: dict[_Key, list[_Stream]], key: _Key, stream: _Stream) -> None:
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


def _pictures(data: U8, header: RtpColumns) -> U8:
    return jpeg.flags(data, header.payload, header.payload_captured)


def _columns_of(header: RtpColumns, rows: I64) -> RtpColumns:
    return RtpColumns(
        header.valid[rows],
        header.payload_type[rows],
        header.marker[rows],
        header.sequence[rows],
        header.timestamp[rows],
        header.ssrc[rows],
        header.payload[rows],
        header.payload_length[rows],
        header.payload_captured[rows],
    )


def _place(batch: PacketBatch, columns: Columns, row: int, flow: int) -> _Place:
    """Addresses and ports of one packet."""
    version = int(columns.version[row])
    l3 = int(columns.l3[row])
    if version == 4:
        raw = batch.data[l3 + 12 : l3 + 20].tobytes()
        src, dst = raw[:4] + bytes(12), raw[4:] + bytes(12)
    else:
        raw = batch.data[l3 + 8 : l3 + 40].tobytes()
        src, dst = raw[:16], raw[16:]
    return _Place(
        version,
        src,
        dst,
        int(columns.sport[row]),
        int(columns.dport[row]),
        flow,
        int(batch.interface[row]),
    )


def _raw_address(text: str | None, version: int) -> bytes | None:
    """16 bytes of an address column; None for names and for what is no address."""
    if not text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.version != version or address.is_unspecified:
        return None
    return address.packed.ljust(16, b"\0")
