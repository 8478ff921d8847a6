"""The streams of a session: binds the tracks of RTSP dialogues to streams, and the reverse.

In: the results of the dialogues of `Connections` (SETUP, PLAY, PAUSE, TEARDOWN). Out: streams with
their track, codec and whether they should be playing, `StreamBound` messages, and ports on which
media are expected.
"""

from __future__ import annotations

from collections.abc import Callable

from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.meter.rtsp.carriers import Carriers
from panotui.meter.rtsp.connections import Connections
from panotui.meter.rtsp.dialogue import Dialogue, Track
from panotui.meter.rtsp.named_ports import Ports
from panotui.meter.rtsp.places import raw_address
from panotui.meter.streams.formats import Formats
from panotui.meter.streams.known_streams import KnownStreams, Stream
from panotui.model import APPS, STREAM_CODECS, AnyMessage, StreamBound, address_text

_APP_SRTP = APPS.index("srtp")


class Signalling:
    """Owns the connections; `udp` are the carriers of datagrams."""

    def __init__(
        self,
        connections_max: int,
        ports: Ports,
        udp: Carriers,
        known: KnownStreams,
        formats: Formats,
        state: StreamColumns,
        emit: Callable[[AnyMessage], None],
        mark: Callable[[int, int], None],
    ) -> None:
        self.connections = Connections(connections_max, emit, self._set_up, self._playing_changed)
        self._ports = ports
        self._udp = udp
        self._known = known
        self._formats = formats
        self._state = state
        self._emit = emit
        self._mark = mark

    # ------------------------------------------------------------ SETUP

    def _set_up(self, dialogue: Dialogue, track: Track) -> None:
        """A SETUP was answered: bind its ports or channels, also to streams that already flow."""
        transport = track.transport
        found = self.connections.of(dialogue)
        if transport.tcp:
            for connection in found:
                for carrier in connection.channels:
                    self._bind_channel(carrier, dialogue, track)
            return
        if not found:
            return
        place = found[0].place
        target = raw_address(transport.destination, place.version) or place.src
        if transport.multicast:
            ports = transport.port or transport.client_port
            if ports:
                self._bind_ports(target, ports, dialogue, track, place.dst)
            return
        # media go where the answer says, or to the port that the client requested
        for ports in dict.fromkeys((transport.client_port, track.asked_port)):
            if ports:
                self._bind_ports(target, ports, dialogue, track, place.dst)
        if transport.server_port:
            reports = transport.server_port[1]
            self._ports.bind(place.dst, reports, dialogue, track, True, place.dst)

    def _bind_ports(
        self,
        address: bytes,
        ports: tuple[int, int],
        dialogue: Dialogue,
        track: Track,
        server: bytes,
    ) -> None:
        media, reports = ports
        self._ports.bind(address, media, dialogue, track, False, server)
        if reports != media:
            self._ports.bind(address, reports, dialogue, track, True, server)
        self._udp.look_again()
        for stream in self._known.toward(address, media):
            if not track.declares(stream.payload_type) or stream.stray is dialogue:
                continue
            if stream.dialogue is not dialogue and _is_anothers(stream, server):
                continue
            since_ns = int(self._state.row["last_ns"][stream.index])
            if stream.track is None or since_ns >= track.since_ns:
                self.bind(stream, dialogue, track)
            else:
                # It belongs to an earlier session, unless its packets come again.
                self._udp.doubt(stream.carrier)

    def _bind_channel(self, carrier: int, dialogue: Dialogue, track: Track) -> None:
        _, client, channel = self.connections.of_carrier[carrier]
        pair = track.transport.interleaved
        if not client and pair is not None and pair[0] == channel:
            for stream in self._known.on(True, carrier):
                if not track.declares(stream.payload_type):
                    continue
                self.bind(stream, dialogue, track)

    def bind(self, stream: Stream, dialogue: Dialogue, track: Track) -> None:
        """Bind a stream to a track."""
        stream.track = track
        stream.dialogue = dialogue
        stream.stray = None
        state, row, index = self._state, self._state.row, stream.index
        row["session"][index] = dialogue.session
        row["signalled"][index] = 1
        row["stray"][index] = 0
        row["encrypted"][index] = track.encrypted
        self._formats.learn(stream, stream.payload_type)
        if track.sps is not None:
            self._formats.learn_sps(stream, track.sps)
        self._formats.learn_size(stream, track.width, track.height)
        state.watched[index] = track.playing
        if track.playing:
            row["end"][index] = 0
            self._resume(index, dialogue)
        elif stream.tcp and track not in dialogue.tracks:
            row["end"][index] = 1  # its session has ended meanwhile
        state.changed[index] = True
        self._tell_bound(stream, track)
        if track.encrypted:
            self._mark(stream.place.flow, _APP_SRTP)

    def part(self, stream: Stream) -> None:
        """A stream does not belong to its track after all, but to an earlier session."""
        stream.stray = stream.dialogue
        stream.track = stream.dialogue = None
        state, row, index = self._state, self._state.row, stream.index
        row["session"][index] = -1
        row["signalled"][index] = 0
        row["stray"][index] = 1
        state.watched[index] = False
        state.changed[index] = True

    def join(self, stream: Stream, dialogue: Dialogue) -> None:
        """A stream uses a dialogue's connection; its track is unknown.

        If each track has its own channel, packets in other channels belong to none: old servers
        continue a session that has died.
        """
        if dialogue.tracks and all(t.transport.interleaved for t in dialogue.tracks):
            stream.dialogue = dialogue
            self.part(stream)
            return
        stream.dialogue = dialogue
        self._state.row["session"][stream.index] = dialogue.session
        self._state.watched[stream.index] = True

    def change_payload(self, stream: Stream, payload_type: int) -> None:
        """A stream continues with another payload type, if its track declares it.

        Comfort noise, events and FEC come and go; only a declared media type changes the codec.
        """
        track = stream.track
        declared = track.formats.get(payload_type) if track is not None else None
        if track is not None and declared is not None and declared.clock_rate:
            self._formats.learn(stream, payload_type)
            if STREAM_CODECS[stream.codec] == "OTHER":
                self._tell_bound(stream, track)  # only the message has its name

    def _tell_bound(self, stream: Stream, track: Track) -> None:
        row = self._state.row[stream.index]
        name = STREAM_CODECS[stream.codec]
        form = track.formats.get(stream.payload_type)
        self._emit(
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

    # ------------------------------------------------------------ PLAY, PAUSE, TEARDOWN

    def _playing_changed(self, dialogue: Dialogue) -> None:
        state = self._state
        for stream in self._known.of_dialogue(dialogue):
            track, index = stream.track, stream.index
            unnamed = not (dialogue.over or dialogue.paused_ns)
            playing = track.playing if track is not None else unnamed
            state.watched[index] = playing
            if playing:
                self._resume(index, dialogue)
            elif (track is not None and track.ended_ns) or (stream.tcp and dialogue.over):
                state.row["end"][index] = 1
            elif dialogue.paused_ns:
                state.pauses.begin(index, dialogue.paused_ns)
            state.changed[index] = True

    def _resume(self, index: int, dialogue: Dialogue) -> None:
        """It plays: its silence during the pause was no freeze."""
        self._state.excused_ns[index] = dialogue.played_ns
        self._state.pauses.end(index, dialogue.played_ns)


def _is_anothers(stream: Stream, server: bytes) -> bool:
    """Another camera's stream, which comes as announced by that camera, to a port that their reader
    gave to both.
    """
    place, dialogue = stream.place, stream.dialogue
    if place.src == server or dialogue is None:
        return False
    return dialogue.server == address_text(place.version, place.src)
