"""RTSP connections: TCP packets in, dialogues and `$` frames out.

Each connection has a `Dialogue` and a `Direction` for either side; each channel of either side is
a carrier of media. The walk over packets is the one place where a step a packet is taken; it
handles segments and frame headers only, and leaves the frames to be read together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from panotui.meter.carriers import RTP, Carriers
from panotui.meter.interleaved import HELD_NS_MAX, Direction, Frames
from panotui.meter.places import Place, place_of
from panotui.meter.rtsp_tracker import Dialogue, Track
from panotui.model import I64, U64, AnyMessage, Bool, PacketBatch, address_text
from panotui.wire.columns import Columns
from panotui.wire.rtp import words
from panotui.wire.rtsp import Text

TUNNELS_MAX = 64
_FIN, _SYN, _RST = 1, 2, 4


class Connection:
    """An RTSP connection: its dialogue and both directions ([from server, from client])."""

    __slots__ = ("channels", "dialogue", "ends", "last_ns", "place", "sides")

    def __init__(self, place: Place, dialogue: Dialogue) -> None:
        self.place = place  # client to server
        self.dialogue = dialogue
        self.sides: list[Direction] = []
        self.channels: list[int] = []  # carriers
        self.ends = 0
        self.last_ns = 0


class Connections:
    """At most `capacity` RTSP connections, by flow."""

    def __init__(
        self,
        capacity: int,
        emit: Callable[[AnyMessage], None],
        set_up: Callable[[Dialogue, Track], None],
        changed: Callable[[Dialogue], None],
    ) -> None:
        self._capacity = capacity
        self._emit = emit
        self._set_up = set_up
        self._changed = changed
        self.carriers = Carriers(64)
        self.of_carrier: dict[int, tuple[Connection, bool, int]] = {}
        self.by_flow: OrderedDict[int, Connection] = OrderedDict()
        self.evicted = 0
        self.resyncs = 0
        self._carriers_free: list[int] = []
        self._tunnels: OrderedDict[str, Connection] = OrderedDict()
        self._frames = Frames()
        self._next_session = 1

    def walk(
        self, batch: PacketBatch, columns: Columns, rows: I64, flow_id: U64, from_client: Bool
    ) -> Frames:
        """Take every TCP packet of RTSP flows, both directions; the frames that they complete."""
        self._frames = Frames()
        if not len(rows):
            return self._frames
        if len(flow_id) != len(rows):
            flow_id, from_client = flow_id[rows], from_client[rows]
        keep = columns.l4[rows] >= 0
        if not keep.all():
            rows, flow_id, from_client = rows[keep], flow_id[keep], from_client[keep]
        rows, flow_id, from_client = self._by_connection(rows, flow_id, from_client)
        at = columns.l4[rows]
        if not len(at):
            return self._frames
        last = len(batch.data) - 12
        numbers = words(batch.data, "<u8")[np.minimum(at + 4, max(last + 4, 0))].byteswap()
        view = batch.data.data
        length = columns.payload_length[rows]
        flags = columns.tcp_flags[rows]
        connection: Connection | None = None
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
                connection = self.by_flow.get(flow)
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
        self._note_resyncs()
        return self._frames

    def _by_connection(self, rows: I64, flow_id: U64, from_client: Bool) -> tuple[I64, U64, Bool]:
        """Rows in order of arrival, one connection after the other where that is the same.

        The two connections of a tunnel over HTTP speak to each other, and of a new one it is not
        known yet whether it is one: then all stay in order of arrival.
        """
        apart = not self._tunnels and all(
            flow in self.by_flow for flow in np.unique(flow_id).tolist()
        )
        order = np.lexsort((rows, flow_id)) if apart else np.argsort(rows, kind="stable")
        return rows[order], flow_id[order], from_client[order]

    def _connect(
        self, batch: PacketBatch, columns: Columns, row: int, flow: int, from_client: bool
    ) -> Connection:
        place = place_of(batch, columns, row, flow)
        if not from_client:
            place = Place(
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
            self._emit,
            self._set_up,
            self._changed,
        )
        connection = Connection(place, dialogue)
        connection.last_ns = int(batch.time_ns[row])
        for client in (False, True):
            connection.sides.append(self._side(connection, client))
        self.by_flow[flow] = connection
        return connection

    def _side(self, connection: Connection, client: bool) -> Direction:
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
                if len(self._tunnels) > TUNNELS_MAX:
                    self._tunnels.popitem(last=False)
            elif other is not connection:
                # The POST's requests are answered on the GET's connection.
                connection.dialogue = other.dialogue

        direction = Direction(self._frames, message, channel)
        direction.on_tunnel = tunnel
        return direction

    def _open_channel(self, connection: Connection, client: bool, number: int) -> int:
        if self._carriers_free:
            carrier = self._carriers_free.pop()
        else:
            carrier = len(self.of_carrier)
            while carrier in self.of_carrier:
                carrier += 1
        self.carriers.reserve(carrier + 1)
        self.carriers.clear(np.array([carrier]))
        self.carriers.kind[carrier] = RTP
        self.of_carrier[carrier] = (connection, client, number)
        connection.channels.append(carrier)
        return carrier

    def _disconnect(
        self, connection: Connection, client: bool, reset: bool, time_ns: int, number: int
    ) -> None:
        side = connection.sides[client]
        if side.held:
            side.give_up()
        connection.ends += 1
        if connection.ends == 1 or reset:
            how = f"{'rst' if reset else 'fin'}-{'client' if client else 'server'}"
            if connection.ends == 1:
                connection.dialogue.end(time_ns, number, how)

    def _note_resyncs(self) -> None:
        total = 0
        for connection in self.by_flow.values():
            for side in connection.sides:
                if side.resyncs:
                    total += side.resyncs
                    side.resyncs = 0
        self.resyncs += total

    def endpoints(self, carrier: int) -> Place:
        connection, client, channel = self.of_carrier[carrier]
        p = connection.place
        if client:
            return Place(p.version, p.src, p.dst, p.sport, p.dport, p.flow, p.interface, channel)
        return Place(p.version, p.dst, p.src, p.dport, p.sport, p.flow, p.interface, channel)

    def of(self, dialogue: Dialogue) -> list[Connection]:
        """The connections (two with a tunnel) of a dialogue."""
        return [known for known in self.by_flow.values() if known.dialogue is dialogue]

    def overdue(self) -> list[int]:
        """Flows of the connections that must make room, the longest silent first."""
        count = len(self.by_flow) - self._capacity
        if count <= 0:
            return []
        self.evicted += count
        return sorted(self.by_flow, key=lambda flow: self.by_flow[flow].last_ns)[:count]

    def tick(self, now_ns: int) -> None:
        """Holes before which nothing moves any more are for ever."""
        for connection in self.by_flow.values():
            for side in connection.sides:
                if side.held and now_ns - connection.last_ns > HELD_NS_MAX:
                    side.give_up()

    def forget(self, flow: int, time_ns: int) -> list[int]:
        """A flow has ended; the carriers that were its channels."""
        connection = self.by_flow.pop(flow)
        if not connection.ends:
            connection.dialogue.end(max(time_ns, connection.last_ns), 0, "idle")
        for carrier in connection.channels:
            self.of_carrier.pop(carrier, None)
            self._carriers_free.append(carrier)
        for cookie in [c for c, known in self._tunnels.items() if known is connection]:
            del self._tunnels[cookie]
        return connection.channels
