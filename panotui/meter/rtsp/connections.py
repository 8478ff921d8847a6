"""RTSP connections: TCP packets in, dialogues and `$` frames out.

Each connection has a `Dialogue` and a `Direction` for each side; each channel of each side is a
carrier of media. Runs of segments with only frames take the fast path (`runs`), with one short step
per frame; all others take one step per packet, which handles segments and frame headers only. RTP
headers are then read all at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from panotui.meter.rtsp.carriers import RTP, Carriers
from panotui.meter.rtsp.dialogue import Dialogue, Track
from panotui.meter.rtsp.found_frames import Frames
from panotui.meter.rtsp.interleaved import HELD_NS_MAX, Direction
from panotui.meter.rtsp.places import Place, place_of
from panotui.meter.rtsp.runs import Readable, Runs, readable
from panotui.model import I64, U64, AnyMessage, Bool, PacketBatch, address_text
from panotui.model.arrays import distinct
from panotui.wire.columns import Columns
from panotui.wire.rtp import words
from panotui.wire.rtsp import Text

TUNNELS_MAX = 64
OPENING = 64  # first packets of a new connection, which may show that it is half of a tunnel
CHUNK = 256  # packets of a connection that take the same path, fast or slow
_FIN, _SYN, _RST = 1, 2, 4
_SEQUENCE = 0xFFFFFFFF


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


class _Segments:
    """TCP packets of RTSP connections as parallel columns."""

    def __init__(
        self, batch: PacketBatch, columns: Columns, rows: I64, flow: U64, client: Bool
    ) -> None:
        self.batch, self.columns = batch, columns
        self.rows, self.flow, self.client = rows, flow, client

    def take(self, order: I64) -> None:
        """Sort the rows in that order and read their columns."""
        self.rows, self.flow = self.rows[order], self.flow[order]
        self.client = self.client[order]
        rows, columns, batch = self.rows, self.columns, self.batch
        last = max(len(batch.data) - 8, 0)
        numbers = words(batch.data, "<u8")[np.minimum(columns.l4[rows] + 4, last)].byteswap()
        self.sequence = (numbers >> np.uint64(32)).astype(np.int64)
        self.acknowledgement = (numbers & np.uint64(_SEQUENCE)).astype(np.int64)
        self.payload = columns.payload[rows]
        self.size = columns.payload_length[rows]
        self.captured = columns.payload_captured[rows]
        self.flags = columns.tcp_flags[rows]
        self.time_ns = batch.time_ns[rows]


def _changes(flow: U64) -> Bool:
    """(n,) rows that begin another flow."""
    change = np.ones(len(flow), np.bool_)
    np.not_equal(flow[1:], flow[:-1], out=change[1:])
    return change


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
        """Process every TCP packet of RTSP flows, both directions; returns the completed frames."""
        self._frames = Frames()
        if not len(rows):
            return self._frames
        if len(flow_id) != len(rows):
            flow_id, from_client = flow_id[rows], from_client[rows]
        keep = columns.l4[rows] >= 0
        if not keep.all():
            rows, flow_id, from_client = rows[keep], flow_id[keep], from_client[keep]
        if not len(rows):
            return self._frames
        segments = _Segments(batch, columns, rows, flow_id, from_client)
        segments.take(np.lexsort((rows, segments.flow)))
        early = self._opening(segments)
        if early.any():
            self._step(segments, np.flatnonzero(early))
        rest = np.flatnonzero(~early)
        if len(rest):
            self._go_on(segments, rest)
        self._note_resyncs()
        return self._frames

    def _opening(self, segments: _Segments) -> Bool:
        """(n,) rows that must be taken in order of arrival across connections.

        The two connections of a tunnel over HTTP refer to each other, and the first packets of a
        new one may show that it belongs to a tunnel.
        """
        first = np.flatnonzero(_changes(segments.flow))
        count = np.diff(np.append(first, len(segments.flow)))
        early = np.empty(len(first), np.int64)
        for i, flow in enumerate(segments.flow[first].tolist()):
            known = self.by_flow.get(flow)
            if known is None:
                early[i] = OPENING
            else:
                begins = known.dialogue.carrier == "rtsp-http" and not known.dialogue.played_ns
                early[i] = int(count[i]) if begins else 0
        rank = np.arange(len(segments.flow)) - np.repeat(first, count)
        chosen: Bool = rank < np.repeat(early, count)
        return chosen

    def _go_on(self, segments: _Segments, rest: I64) -> None:
        """Process connections one after the other, their runs of frames on the fast path."""
        # A dialogue in a tunnel uses two connections: its messages are read in order of arrival.
        tunnelled = {
            flow
            for flow in distinct(segments.flow[rest]).tolist()
            if (known := self.by_flow.get(flow)) and known.dialogue.carrier == "rtsp-http"
        }
        words: list[I64] = []
        flow, client = segments.flow[rest], segments.client[rest]
        change = _changes(flow)
        group = np.flatnonzero(change)
        rank = np.arange(len(rest)) - np.repeat(group, np.diff(np.append(group, len(rest))))
        chunk_starts = np.flatnonzero(change | (rank % CHUNK == 0))
        chunk_ends = np.append(chunk_starts[1:], len(rest))
        chunk = np.repeat(np.arange(len(chunk_starts)), chunk_ends - chunk_starts)
        size = segments.size[rest]
        odd = (segments.flags[rest] & (_FIN | _SYN | _RST) != 0) | (segments.captured[rest] < size)
        # Segments with data, by chunk and direction: in order if each begins where the last one
        # ends.
        key = 2 * chunk + client
        data = np.flatnonzero(size > 0)
        data = data[np.argsort(key[data], kind="stable")]
        of = key[data]
        sequence = segments.sequence[rest[data]]
        after = (sequence + size[data]) & _SEQUENCE
        odd[data[1:][(of[1:] == of[:-1]) & (sequence[1:] != after[:-1])]] = True
        odd_chunk = np.logical_or.reduceat(odd, chunk_starts)
        bounds = np.searchsorted(of, np.arange(2 * len(chunk_starts) + 1))
        at = rest[data]
        runs = Runs(
            segments.batch.data.data,
            segments.payload[at],
            size[data].astype(np.int64),
            segments.time_ns[at],
            segments.rows[at] + segments.batch.first_number,
        )
        none = at[:0]
        carried = Runs(segments.batch.data.data, none, none, none, none)
        for i, (begin, end, odd_one, this) in enumerate(
            zip(
                chunk_starts.tolist(),
                chunk_ends.tolist(),
                odd_chunk.tolist(),
                flow[chunk_starts].tolist(),
                strict=True,
            )
        ):
            connection = self.by_flow.get(this)
            spans = bounds[2 * i : 2 * i + 3].tolist()
            if (
                odd_one
                or connection is None
                or not self._run(connection, (runs, carried), spans, sequence, after)
            ):
                if this in tunnelled:
                    words.append(rest[begin:end])
                else:
                    self._step(segments, rest[begin:end])
                continue
            if spans[2] > spans[0]:
                connection.last_ns = int(segments.time_ns[rest[end - 1]])
        if words:
            self._step(segments, np.concatenate(words))
        runs.tell(self._frames)
        carried.tell(self._frames)

    def _run(
        self,
        connection: Connection,
        both: tuple[Runs, Runs],
        spans: list[int],
        sequence: I64,
        after: I64,
    ) -> bool:
        """Process both directions' segments of a chunk on the fast path; False if that is
        impossible.

        `both`: the runs of TCP segments, and the runs of RTSP inside WebSocket frames.
        """
        found: list[tuple[Direction, Readable, int]] = []
        if connection.sides[0].parts is not None:
            return self._take_parts(connection.sides[0], both[0], spans, sequence, after)
        for side, first, last in zip(connection.sides, spans[:2], spans[1:], strict=True):
            if first == last and not side.held:
                continue
            read = None
            if not side.held and side.expects == int(sequence[first]):
                side.frames = self._frames
                read = readable(side, both, first, last)
            if read is None:
                for _, known, _ in found:
                    known.undo()
                return False
            found.append((side, read, int(after[last - 1])))
        for side, read, following in found:
            read.keep()
            side.moved_to(following)
        return True

    def _take_parts(
        self, side: Direction, runs: Runs, spans: list[int], sequence: I64, after: I64
    ) -> bool:
        """Pictures in an HTTP response, without any data of the client."""
        first, last, client_last = spans
        if side.held or last < client_last or first == last:
            return False
        if side.expects != int(sequence[first]):
            return False
        side.frames = self._frames
        runs.take_parts(side, first, last)
        side.moved_to(int(after[last - 1]))
        return True

    def _step(self, segments: _Segments, chosen: I64) -> None:
        """Process the chosen rows one at a time, in order of arrival."""
        rows = segments.rows[chosen]
        if len(chosen) > 1 and (np.diff(rows) < 0).any():
            chosen = chosen[np.argsort(rows, kind="stable")]
        batch, columns = segments.batch, segments.columns
        view = batch.data.data
        connection: Connection | None = None
        flow = -1
        for row, this, client, sequence, ack, payload, size, captured, bits, time_ns in zip(
            segments.rows[chosen].tolist(),
            segments.flow[chosen].tolist(),
            segments.client[chosen].tolist(),
            segments.sequence[chosen].tolist(),
            segments.acknowledgement[chosen].tolist(),
            segments.payload[chosen].tolist(),
            segments.size[chosen].tolist(),
            segments.captured[chosen].tolist(),
            segments.flags[chosen].tolist(),
            segments.time_ns[chosen].tolist(),
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
                other.settle()
                side.segment(sequence, view, payload, captured, size, time_ns, number)
            if bits & (_FIN | _RST):
                self._disconnect(connection, client, bool(bits & _RST), time_ns, number)

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

        def stray() -> None:
            connection.dialogue.strays += 1

        direction = Direction(self._frames, message, channel)
        direction.on_tunnel = tunnel
        if not client:
            direction.on_stray = stray
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
        side.settle()
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
        """The connections of a dialogue (two with a tunnel)."""
        return [known for known in self.by_flow.values() if known.dialogue is dialogue]

    def overdue(self) -> list[int]:
        """Flows of the connections to evict: closed ones first, then the longest silent."""
        count = len(self.by_flow) - self._capacity
        if count <= 0:
            return []
        self.evicted += count
        known = self.by_flow
        # one reader that connects without end must not cost the others their dialogues
        return sorted(known, key=lambda flow: (not known[flow].ends, known[flow].last_ns))[:count]

    @property
    def holding(self) -> bool:
        """Whether segments wait for a hole before them."""
        return any(side.held for connection in self.by_flow.values() for side in connection.sides)

    def tick(self, now_ns: int) -> None:
        """Give up holes that stop all progress."""
        for connection in self.by_flow.values():
            for side in connection.sides:
                if side.held and now_ns - connection.last_ns > HELD_NS_MAX:
                    side.give_up()

    def forget(self, flow: int, time_ns: int) -> list[int]:
        """A flow has ended; returns the carriers that were its channels."""
        connection = self.by_flow.pop(flow)
        if not connection.ends:
            connection.dialogue.end(max(time_ns, connection.last_ns), 0, "idle")
        for carrier in connection.channels:
            self.of_carrier.pop(carrier, None)
            self._carriers_free.append(carrier)
        for cookie in [c for c, known in self._tunnels.items() if known is connection]:
            del self._tunnels[cookie]
        return connection.channels
