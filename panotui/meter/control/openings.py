"""The beginnings of TCP flows: their first payloads in, the lane of each direction out.

Flows that show only TLS data, or no known protocol, are settled many at a time (`established`,
`unknown`). Every other flow has an `Opening`, which reads its segments one after another until its
protocol and messages are known. The number of segments read per second of packet time is limited
per port; the number of openings and their bytes are limited in total.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from panotui.meter.control.collected import Collected
from panotui.meter.control.established import Established
from panotui.meter.control.first_look import FEW_ROWS
from panotui.meter.control.opening import (
    DNS_PORTS,
    RTSP_APPS,
    RTSPS_PORT,
    SOCKS_PORT,
    TLS_PORTS,
    Opening,
    not_tls,
)
from panotui.meter.control.unknown import Unknown
from panotui.meter.flows.state import SYN
from panotui.meter.lanes import LANE_BULK, LANE_RTSP
from panotui.model import (
    APPS,
    I64,
    SECOND,
    U8,
    AnyMessage,
    Bool,
    MeterSettings,
    PacketBatch,
    TlsCertificate,
)
from panotui.wire.columns import Columns
from panotui.wire.origin import Malformed, Origin

# Payloads per second, as multiples of `control_per_second`: cameras and the cloud have their own,
# so that a flood of other connections cannot hide them.
_OTHER, _RTSP, _TLS = range(3)
_SHARES = (2, 1, 2)
# Reading the first messages of a connection, judging it and showing it costs about sixty packets. A
# site begins tens of connections per second; a capture of many sites begins hundreds at once, and a
# flood thousands all the time. Per share, this many may begin at once, and this many more each
# second, as parts of `control_per_second`.
_AT_ONCE, _A_SECOND = 1 / 4, 1 / 16
_CERTIFICATE_COST = 20  # weight in payloads of parsing a certificate
TALKS_KEPT = 1024
TALK_BYTES_KEPT = 16 << 20


class Openings:
    """The openings in progress. Their results go to `collected`."""

    def __init__(self, settings: MeterSettings, collected: Collected) -> None:
        self.talks: OrderedDict[int, Opening] = OrderedDict()  # by flow, longest silent first
        self.talk_bytes = 0  # in all of them
        self._collected = collected
        self._established = Established(RTSPS_PORT)
        self._rtsp_ports = frozenset(settings.rtsp_ports)
        self._unknown = Unknown(self._rtsp_ports | DNS_PORTS.keys() | {SOCKS_PORT})
        self._allowed = [settings.control_per_second * share for share in _SHARES]
        self._used = [0] * len(_SHARES)
        self._second = -1
        self._at_once = settings.control_per_second * _AT_ONCE
        self._a_second = settings.control_per_second * _A_SECOND
        self._may_begin = [self._at_once] * len(_SHARES)

    def payloads(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        flow_id: NDArray[np.generic],
        from_client: Bool,
        from_start: Bool | None = None,
    ) -> U8:
        """See `ControlLane.payloads`."""
        lanes: U8 = np.full(len(rows), LANE_BULK, np.uint8)
        if not len(rows):
            return lanes
        offered = _Offered.of(rows, flow_id, from_client, from_start)
        offered = self._pass_known(offered, lanes)
        offered = self._settle(batch, columns, offered, lanes)
        offered = self._pass_unknown(batch, columns, offered, lanes)
        data = batch.data.data
        for segment in _segments(batch, columns, offered):
            lanes[segment.place] = self._take(segment, data)
        return lanes

    def forget(self, flows: Sequence[int]) -> None:
        """Report the incomplete messages of ended flows."""
        for flow in flows:
            if flow in self.talks:
                talk = self.talks.pop(flow)
                self.talk_bytes -= talk.held
                talk.close()
                self._collected.messages += talk.messages
        self._established.forget(flows)
        self._unknown.forget(flows)

    # -------------------------------------------------------------- many at a time

    def _pass_known(self, offered: _Offered, lanes: U8) -> _Offered:
        """Write the lanes of flows past their openings; returns the remaining segments."""
        if len(offered.rows) < FEW_ROWS:
            return offered
        apps, talks, established = self._collected.apps, self.talks, self._established
        ids, of = np.unique(offered.flows, return_inverse=True)
        lane_of = np.zeros(len(ids), np.uint8)
        for i, flow in enumerate(ids.tolist()):
            known = apps.get(flow)
            if known is not None and flow not in talks and flow not in established:
                lane_of[i] = LANE_RTSP if APPS[known] in RTSP_APPS else LANE_BULK
        told = lane_of[of]
        past = told != 0
        if not past.any():
            return offered
        lanes[offered.place[past]] = told[past]
        return offered.some(~past)

    def _pass_unknown(
        self, batch: PacketBatch, columns: Columns, offered: _Offered, lanes: U8
    ) -> _Offered:
        """Write the lanes of flows without a known protocol; returns the remaining segments."""
        passed = self._unknown.settle(
            batch, columns, offered.rows, offered.flows, offered.from_client, offered.from_start,
            lambda flow: flow in self._established or self._is_known(flow),
        )  # fmt: skip
        if passed is None:
            return offered
        collected = self._collected
        lanes[offered.place[passed.rows]] = passed.lanes
        collected.taken += len(passed.lanes)
        collected.mark_nothing(passed.quiet)
        for flow, from_start, server_port, by_client, *seen in passed.done:
            collected.mark(flow, "other" if from_start else None)
            if from_start and by_client and server_port in TLS_PORTS:
                time_ns, packet, interface = seen
                origin = Origin(time_ns, packet, interface, flow)
                collected.messages.append(not_tls(origin, "other"))
        return offered.some(~passed.rows)

    def _settle(
        self, batch: PacketBatch, columns: Columns, offered: _Offered, lanes: U8
    ) -> _Offered:
        """Write the lanes of flows with TLS data only; returns the remaining segments."""
        settled = self._established.settle(
            batch, columns, offered.rows, offered.flows, offered.from_client,
            lambda flow: flow in self._unknown or self._is_known(flow),
        )  # fmt: skip
        if settled is None:
            return offered
        collected = self._collected
        lanes[offered.place[settled.rows]] = settled.lanes
        collected.taken += len(settled.lanes)
        collected.reassembly_skipped += settled.forgotten
        collected.messages += settled.finished
        for flow, rtsps in settled.new:
            collected.mark(flow, "rtsps" if rtsps else "tls")
        return offered.some(~settled.rows)

    def _is_known(self, flow: int) -> bool:
        """True if an opening is in progress, or the flow's protocol was reported."""
        return flow in self.talks or flow in self._collected.apps

    # -------------------------------------------------------------- one at a time

    def _take(self, segment: _Segment, data: memoryview) -> int:
        """Read a segment; returns the further lane of its direction."""
        flow = segment.flow
        talk = self.talks.get(flow)
        if talk is None and flow not in self._established:
            known = self._collected.apps.get(flow)
            if known is not None:
                return LANE_RTSP if APPS[known] in RTSP_APPS else LANE_BULK
        share = self._share_of(segment)
        heard = segment.readable and self._afford(segment.time_ns, share)
        if not heard or (talk is None and not self._may(share)):
            if talk is None and self._unknown.take(flow) is None:
                return LANE_BULK
            return self._give_up(flow)
        if talk is None:
            talk = self._begin(segment, data)
        else:
            self.talks.move_to_end(flow)
        lane = self._feed(talk, segment, data)
        if talk.messages:
            self._used[share] += _weight(talk.messages)
            self._collected.messages += talk.messages
            talk.messages.clear()
        if talk.finished:
            self._end(flow, talk)
        else:
            if talk.app is not None:
                self._collected.mark(flow, talk.app)
            if self.talk_bytes > TALK_BYTES_KEPT:
                self._make_room()
        return lane

    def _begin(self, segment: _Segment, data: memoryview) -> Opening:
        """An opening for the flow of a segment, with the data of `established`."""
        source, destination = segment.addresses(data)
        ends = (source, destination), (segment.sport, segment.dport)
        (client, server), (client_port, server_port) = (
            ends if segment.from_client else (ends[0][::-1], ends[1][::-1])
        )
        flow = segment.flow
        heard = self._unknown.take(flow)
        from_start = segment.from_start
        if heard is not None:
            from_start = heard.from_start
            if heard.server_port != server_port:  # the client was determined better in between
                client, server = server, client
                client_port, server_port = server_port, client_port
        talk = self.talks[flow] = Opening(
            client=client,
            server=server,
            client_port=client_port,
            server_port=server_port,
            rtsp_ports=self._rtsp_ports,
            from_start=from_start,
        )
        self._make_room()
        seen = self._established.take(flow)
        if seen is not None:
            talk.feed(seen.sequence, seen.payload(), seen.from_client, seen.origin(flow))
        if heard is not None:
            for piece in heard.pieces:
                talk.feed(piece.sequence, piece.data, piece.from_client, piece.origin(flow))
        self.talk_bytes += talk.held
        return talk

    def _feed(self, talk: Opening, segment: _Segment, data: memoryview) -> int:
        """Pass a segment to its opening; returns the lane."""
        held = talk.held
        try:
            lane = talk.feed(
                segment.sequence(data),
                bytes(data[segment.first : segment.last]),
                segment.from_client,
                Origin(segment.time_ns, segment.packet, segment.interface, segment.flow),
                segment.missing,
            )
        except Malformed:
            self._collected.refuse(talk.app or "tcp")
            talk.finished = True
            lane = LANE_BULK
        self.talk_bytes += talk.held - held
        return lane

    # -------------------------------------------------------------- bounds

    def _share_of(self, segment: _Segment) -> int:
        """The entry of `_SHARES` that a connection uses."""
        ports = segment.sport, segment.dport
        if not self._rtsp_ports.isdisjoint(ports):
            return _RTSP
        return _OTHER if TLS_PORTS.isdisjoint(ports) else _TLS

    def _afford(self, time_ns: int, share: int) -> bool:
        """Whether this second of packet time allows another payload."""
        second = time_ns // SECOND
        if second != self._second:
            more = self._a_second * max(1, second - self._second)
            self._may_begin = [min(self._at_once, left + more) for left in self._may_begin]
            self._second = second
            self._used = [0] * len(_SHARES)
        self._used[share] += 1
        if self._used[share] > self._allowed[share]:
            self._collected.skipped += 1
            return False
        self._collected.taken += 1
        return True

    def _may(self, share: int) -> bool:
        """Whether another opening is allowed."""
        if self._may_begin[share] < 1:
            self._collected.taken -= 1
            self._collected.skipped += 1
            return False
        self._may_begin[share] -= 1
        return True

    def _end(self, flow: int, talk: Opening) -> None:
        """Drop an opening; the flow's protocol is kept."""
        self.talks.pop(flow, None)
        self.talk_bytes -= talk.held
        self._collected.mark(flow, talk.app)

    def _give_up(self, flow: int) -> int:
        """End an opening early; returns the lane of its flow."""
        self._collected.reassembly_skipped += 1
        talk = self.talks.get(flow)
        if talk is None:  # its content was unknown so far
            self._collected.mark(flow, None)
            return LANE_BULK
        held = talk.held
        talk.close()
        self.talk_bytes += talk.held - held
        self._collected.messages += talk.messages
        self._end(flow, talk)
        return LANE_RTSP if talk.app in RTSP_APPS else LANE_BULK

    def _make_room(self) -> None:
        """Give up the openings that were silent longest until the limits hold."""
        while len(self.talks) > TALKS_KEPT or (
            self.talk_bytes > TALK_BYTES_KEPT and len(self.talks) > 1
        ):
            self._give_up(next(iter(self.talks)))


class _Offered(NamedTuple):
    """Payloads in order of arrival: parallel columns, (n,) each."""

    place: I64  # among the given rows
    rows: I64
    flows: I64
    from_client: Bool
    from_start: Bool

    @classmethod
    def of(
        cls,
        rows: I64,
        flow_id: NDArray[np.generic],
        from_client: Bool,
        from_start: Bool | None,
    ) -> _Offered:
        rows = np.asarray(rows, np.int64)
        order = np.argsort(rows, kind="stable")
        if from_start is None:
            from_start = np.zeros(len(rows), np.bool_)
        return cls(
            order,
            rows[order],
            aligned(flow_id, rows).astype(np.int64)[order],
            aligned(from_client, rows)[order],
            aligned(from_start, rows)[order],
        )

    def some(self, which: Bool) -> _Offered:
        """The segments selected by `which`."""
        return _Offered(
            self.place[which],
            self.rows[which],
            self.flows[which],
            self.from_client[which],
            self.from_start[which],
        )


class _Segment(NamedTuple):
    """One TCP segment with payload; positions are offsets in the batch's bytes."""

    place: int
    time_ns: int
    packet: int
    interface: int
    flow: int
    from_client: bool
    from_start: bool
    l3: int
    l4: int
    version: int
    first: int
    last: int
    sport: int
    dport: int
    tcp_flags: int
    missing: int  # bytes of the payload that were on the wire but not captured

    @property
    def readable(self) -> bool:
        """True if payload was captured."""
        return self.first >= 0 and self.l4 >= 0 and self.last > self.first

    def addresses(self, data: memoryview) -> tuple[bytes, bytes]:
        """Source and destination, raw."""
        at, size = (self.l3 + 12, 4) if self.version == 4 else (self.l3 + 8, 16)
        return bytes(data[at : at + size]), bytes(data[at + size : at + 2 * size])

    def sequence(self, data: memoryview) -> int:
        """The sequence number of its first byte."""
        number = int.from_bytes(data[self.l4 + 4 : self.l4 + 8], "big")
        # TCP Fast Open: the SYN takes one sequence number
        return (number + 1) & 0xFFFFFFFF if self.tcp_flags & SYN else number


def _segments(batch: PacketBatch, columns: Columns, offered: _Offered) -> Iterator[_Segment]:
    rows = offered.rows
    captured = columns.payload_captured[rows]
    first = columns.payload[rows]
    return map(
        _Segment._make,
        zip(
            offered.place.tolist(),
            batch.time_ns[rows].tolist(),
            (rows + batch.first_number).tolist(),
            batch.interface[rows].tolist(),
            offered.flows.tolist(),
            offered.from_client.tolist(),
            offered.from_start.tolist(),
            columns.l3[rows].tolist(),
            columns.l4[rows].tolist(),
            columns.version[rows].tolist(),
            first.tolist(),
            (first + captured).tolist(),
            columns.sport[rows].tolist(),
            columns.dport[rows].tolist(),
            columns.tcp_flags[rows].tolist(),
            np.maximum(columns.payload_length[rows] - captured, 0).tolist(),
            strict=True,
        ),
    )


def aligned(values: NDArray[Any], rows: I64) -> NDArray[Any]:
    """Values of the rows, from a column with one value per given row or per row of the batch."""
    values = np.asarray(values)
    return values if len(values) == len(rows) else values[rows]


def _weight(messages: list[AnyMessage]) -> int:
    """The cost of reading these, in payloads beyond their own packet."""
    certificates = sum(isinstance(message, TlsCertificate) for message in messages)
    return len(messages) - 1 + _CERTIFICATE_COST * certificates
