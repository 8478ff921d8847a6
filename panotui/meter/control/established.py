"""The first look at TCP payloads: flows that show nothing but whole records of TLS data.

Most of what a capture finds under way is such: connections whose handshake is over. Payloads of
flows that are not known yet come in, many at a time; out comes which of them are settled, and what
they come to, which is what `opening.Opening` would say of them: TLS, and once data was seen both
ways, a handshake that must have worked. While there was data one way only, the flow's newest
segment is remembered, for an `Opening` to begin with should anything else follow.
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
    """The newest segment of a flow that has sent TLS data one way only."""

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
        """A segment as good as it was: what the record holds is encrypted and never read."""
        size = self.size - _HEADER
        return bytes((tls.DATA, 3, self.version)) + size.to_bytes(2, "big") + bytes(size)


class Settled(NamedTuple):
    """Rows that need no further look, and what they come to."""

    rows: Bool  # (n,) of the rows that were offered
    lanes: U8  # (number of these,)
    new: list[tuple[int, bool]]  # flows heard of for the first time; server's port is RTSPS's?
    finished: list[TlsFinished]
    forgotten: int  # flows whose first direction had to be forgotten for want of room


class Established(FirstLook[HalfSeen]):
    """Remembers which flows have sent TLS data one way, at most `HALF_SEEN_KEPT` of them."""

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
        """Settle what can be of `rows`, which are in order of arrival; None when nothing can.

        All rows of a flow are settled or none of them. `is_known` tells flows that are past this.
        """
        if len(rows) < FEW_ROWS:
            return None
        header = gather(batch.data, columns.payload[rows], _HEADER).view(np.uint8).reshape(-1, 5)
        whole = _is_whole_record(columns, rows, header)
        if not whole.any():
            return None
        offered = by_flow(flows, whole)
        ids, of, fits = offered
        began = np.full(len(ids), -1, np.int64)  # 1 the client did, 0 the server, -1 nobody yet
        for i in np.flatnonzero(fits).tolist():
            flow = int(ids[i])
            half = self._shown.get(flow)
            if half is not None:
                began[i] = half.from_client
            elif is_known(flow):
                fits[i] = False
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
        settled = np.zeros(len(rows), np.bool_)
        settled[mine] = True
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
        return Settled(settled, lanes, told, finished, forgotten)

    def _finish(self, batch: PacketBatch, rows: I64, flows: I64) -> list[TlsFinished]:
        """The message of each flow whose second direction has spoken, and where."""
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
    """(n,) payloads that are one record of TLS data, all of it and nothing else."""
    size = header[:, 3].astype(np.int64) << 8 | header[:, 4]
    captured = columns.payload_captured[rows]
    whole: Bool = (header[:, 0] == tls.DATA) & (header[:, 1] == 3) & (header[:, 2] <= 4)
    whole &= (size > 0) & (size <= tls.RECORD_LIMIT) & (size + _HEADER == captured)
    whole &= (captured == columns.payload_length[rows]) & (columns.l4[rows] >= 0)
    whole &= (columns.payload[rows] >= 0) & (columns.tcp_flags[rows] & 2 == 0)
    return whole


def _first(group: I64, place: I64, groups: int) -> I64:
    """The first place of each group, -1 for a group without any; places are in order."""
    out = np.full(groups, -1, np.int64)
    out[group[::-1]] = place[::-1]
    return out
