"""The first look at TCP payloads: flows that show only whole records of TLS data.

Most connections in a capture that is already running are of this kind: their handshake is over.
Payloads of flows without a known protocol come in, many at a time; the classified flows go out,
with the same result as from `opening.Opening`: TLS, and after data in both directions, a handshake
that must have succeeded. Before that the flow's newest segment is remembered, as the start for an
`Opening` if anything else follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from panotui.meter.control.first_look import FEW_ROWS, FirstLook, by_flow
from panotui.meter.lanes import LANE_BULK, LANE_HANDSHAKE
from panotui.model import I64, U8, Bool, PacketBatch, TlsFinished
from panotui.wire import tls
from panotui.wire.columns import Columns
from panotui.wire.gather import gather
from panotui.wire.origin import Origin

HALF_SEEN_KEPT = 16_384
_HEADER = 5


class HalfSeen(NamedTuple):
    """The newest segment of a flow that has sent TLS data in one direction only."""

    from_client: bool
    sequence: int
    size: int  # of the record, header included
    version: int  # minor version of its header
    time_ns: int
    packet: int
    interface: int

    def origin(self, flow: int) -> Origin:
        """Where it was seen."""
        return Origin(self.time_ns, self.packet, self.interface, flow)

    def payload(self) -> bytes:
        """A substitute for the segment: the content of the record is encrypted and never read."""
        size = self.size - _HEADER
        return bytes((tls.DATA, 3, self.version)) + size.to_bytes(2, "big") + bytes(size)


class Settled(NamedTuple):
    """Rows that need no further look, and their result."""

    rows: Bool  # (n,) of the offered rows
    lanes: U8  # (number of these,)
    new: list[tuple[int, bool]]  # flows seen for the first time; is the server's port one of RTSPS?
    finished: list[TlsFinished]
    forgotten: int  # flows whose first direction was forgotten for lack of room


class Established(FirstLook[HalfSeen]):
    """Remembers flows that have sent TLS data in one direction, at most `HALF_SEEN_KEPT`."""

    def __init__(self, rtsps_port: int) -> None:
        super().__init__(HALF_SEEN_KEPT)
        self._rtsps_port = rtsps_port

    def settle(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        flows: I64,
        from_client: Bool,
        is_known: Callable[[int], bool],
    ) -> Settled | None:
        """Settle as many of `rows` (in order of arrival) as possible; None if there are none.

        All rows of a flow are settled or none of them. `is_known` tests for flows that are past
        this.
        """
        if len(rows) < FEW_ROWS:
            return None
        header = gather(batch.data, columns.payload[rows], _HEADER).view(np.uint8).reshape(-1, 5)
        whole = _is_whole_record(columns, rows, header)
        offered = by_flow(flows, whole)
        if offered is None:
            return None
        ids, of, fits = offered
        began = np.full(len(ids), -1, np.int64)  # 1 the client did, 0 the server, -1 nobody yet
        for i, half in self._remembered(offered, is_known):
            began[i] = half.from_client
        mine = offered.rows()
        if not len(mine):
            return None
        place, flow_of, way = np.arange(len(mine)), of[mine], from_client[mine].astype(np.int64)
        first = _first(flow_of, place, len(ids))
        fresh = np.flatnonzero(fits & (began < 0))
        began[fresh] = way[first[fresh]]
        other = way != began[flow_of]
        answer = _first(flow_of[other], place[other], len(ids))
        done = answer >= 0
        newest = np.full(len(ids), -1, np.int64)
        newest[flow_of] = place
        server = np.where(way == 1, columns.dport[rows[mine]], columns.sport[rows[mine]])
        new = zip(
            ids[fresh].tolist(), (server[first[fresh]] == self._rtsps_port).tolist(), strict=True
        )
        told = list(new)
        finished = self._finish(batch, rows[mine[answer[done]]], ids[done])
        waiting = np.flatnonzero(fits & ~done)
        at = mine[newest[waiting]]
        forgotten = self._remember(
            batch, columns, rows[at], ids[waiting], from_client[at], header[at]
        )
        lanes = np.where(done[flow_of], LANE_BULK, LANE_HANDSHAKE).astype(np.uint8)
        return Settled(offered.mask(mine), lanes, told, finished, forgotten)

    def _finish(self, batch: PacketBatch, rows: I64, flows: I64) -> list[TlsFinished]:
        """The message and position of each flow that has now sent data in its second direction."""
        out: list[TlsFinished] = []
        for flow, time_ns, packet, interface in zip(
            flows.tolist(),
            batch.time_ns[rows].tolist(),
            (rows + batch.first_number).tolist(),
            batch.interface[rows].tolist(),
            strict=True,
        ):
            self._shown.pop(flow, None)
            out.append(TlsFinished(time_ns=time_ns, packet=packet, interface=interface, flow=flow))
        return out

    def _remember(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        flows: I64,
        from_client: Bool,
        header: U8,
    ) -> int:
        sequence = gather(batch.data, columns.l4[rows] + 4, 4).view(">u4")
        values = zip(
            from_client.tolist(),
            sequence.tolist(),
            columns.payload_length[rows].tolist(),
            header[:, 2].tolist(),
            batch.time_ns[rows].tolist(),
            (rows + batch.first_number).tolist(),
            batch.interface[rows].tolist(),
            strict=True,
        )
        for flow, seen in zip(flows.tolist(), values, strict=True):
            self._shown[flow] = HalfSeen(*seen)
            self._shown.move_to_end(flow)
        return self._make_room()


def _is_whole_record(columns: Columns, rows: I64, header: U8) -> Bool:
    """(n,) payloads that are exactly one whole record of TLS data."""
    size = header[:, 3].astype(np.int64) << 8 | header[:, 4]
    captured = columns.payload_captured[rows]
    whole: Bool = (header[:, 0] == tls.DATA) & (header[:, 1] == 3) & (header[:, 2] <= 4)
    whole &= (size > 0) & (size <= tls.RECORD_LIMIT) & (size + _HEADER == captured)
    whole &= (captured == columns.payload_length[rows]) & (columns.l4[rows] >= 0)
    whole &= (columns.payload[rows] >= 0) & (columns.tcp_flags[rows] & 2 == 0)
    return whole


def _first(group: I64, place: I64, groups: int) -> I64:
    """The first position of each group, -1 for a group without any; positions are ascending."""
    out = np.full(groups, -1, np.int64)
    out[group[::-1]] = place[::-1]
    return out
