"""The control lane: the few packets that are parsed one at a time, under a budget.

In: the batch, its columns and the rows selected by `kinds.control_mask` (ARP, link control, ICMP,
IGMP, DNS, DHCP, NTP, discovery, QUIC Initials), and the first payloads of TCP flows. Out: messages
of `model`, the further lane of each TCP direction, and the protocol of each flow. Packets over the
budget of a second of packet time are counted and never read; every kind has its own share, so that
a flood of one cannot hide the others.

The lane applies the budget, calls the dissectors and collects; `openings` does the same for TCP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from panotui.meter.control.budget import Budget
from panotui.meter.control.collected import Collected
from panotui.meter.control.dissectors import FlowDissector
from panotui.meter.control.kinds import KINDS, handlers, kinds_of, wanted
from panotui.meter.control.openings import Openings, aligned
from panotui.meter.control.packet import ControlPacket
from panotui.model import I64, U8, AnyMessage, Bool, MeterSettings, PacketBatch
from panotui.wire.columns import SNAPPED, Columns
from panotui.wire.origin import Malformed, Origin


class ControlLane:
    """Dissects control packets and the beginnings of TCP flows; counts in `collected`."""

    def __init__(self, settings: MeterSettings) -> None:
        self.collected = Collected(2 * settings.flows_max)
        self.openings = Openings(settings, self.collected)
        self._budget = Budget(settings.control_per_second)
        self._dissectors = handlers()
        self._remembering = [d for d in self._dissectors if isinstance(d, FlowDissector)]

    @property
    def taken(self) -> int:
        """Packets and payloads that were parsed."""
        return self.collected.taken

    @property
    def skipped(self) -> int:
        """Packets and payloads that were over the budget."""
        return self.collected.skipped

    @property
    def reassembly_skipped(self) -> int:
        """Incomplete handshakes that were given up for lack of room."""
        hellos = sum(dissector.given_up for dissector in self._remembering)
        return self.collected.reassembly_skipped + hellos

    def packets(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        flow_id: NDArray[np.generic],
        kind: U8 | None = None,
    ) -> None:
        """Parse the control packets at `rows` (arrival order); one or two messages each at most.

        `flow_id` is (len(rows),) or (len(batch),), with any value for packets without a flow.
        `kind` (len(rows),) if it is known, see `kinds_of`.
        """
        if not len(rows):
            return
        rows = np.asarray(rows, np.int64)
        kind = kinds_of(columns, rows) if kind is None else kind.copy()
        kept = np.flatnonzero(wanted(batch.data, columns, rows, kind))
        kind = kind[kept]
        allowed = np.flatnonzero(self._budget.allow(batch.time_ns[rows[kept]], kind))
        self.collected.taken += len(allowed)
        self.collected.skipped += len(kept) - len(allowed)
        if not len(allowed):
            return
        chosen = kept[allowed]
        flows = aligned(flow_id, rows).astype(np.int64)[chosen]
        packets = _packets(batch, columns, rows[chosen], flows)
        for number, (packet, whole) in zip(kind[allowed].tolist(), packets, strict=True):
            if self._budget.is_spent(packet.origin.time_ns, number):
                self.collected.taken -= 1
                self.collected.skipped += 1
                continue
            self._dissect(number, packet, whole)

    def _dissect(self, number: int, packet: ControlPacket, whole: bool) -> None:
        """Parse a packet of the kind with that number; a truncated one does not count as
        malformed.
        """
        collected = self.collected
        try:
            read = self._dissectors[number - 1](packet)
        except (Malformed, IndexError):
            if whole:
                collected.refuse(KINDS[number - 1].name)
            return
        if read.malformed and whole:
            collected.refuse(KINDS[number - 1].name)
        if read.app is not None:
            collected.mark(packet.origin.flow, read.app)
        if read.units:
            self._budget.charge(packet.origin.time_ns, number, read.units)
        collected.tell(read.messages)

    def payloads(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        flow_id: NDArray[np.generic],
        from_client: Bool,
        from_start: Bool | None = None,
    ) -> U8:
        """Parse TCP payloads of flows without a known protocol; returns the further lane of each
        row.

        `rows` are rows of the batch with payload; `flow_id`, `from_client` and the result are
        (len(rows),) (the first two may also be (len(batch),)). Packets are read in order of
        arrival, whatever the order of `rows`. `from_start` marks flows whose SYN was seen: only for
        these is unknown content on a TLS port reported as `NotTls`; None: for none.
        """
        return self.openings.payloads(batch, columns, rows, flow_id, from_client, from_start)

    def app(self, flow_id: int) -> int:
        """The protocol of a flow, an index into `APPS`; 0 unknown."""
        return self.collected.apps.get(flow_id, 0)

    def apps(self, flow_ids: Iterable[int]) -> list[int]:
        """The protocol of each of these flows, as from `app`."""
        known = self.collected.apps
        return [known.get(flow, 0) for flow in flow_ids]

    def forget(self, flow_ids: Iterable[int]) -> None:
        """Report the incomplete messages of ended flows, and free their memory."""
        ended = [int(flow) for flow in flow_ids]
        self.openings.forget(ended)
        apps = self.collected.apps
        for flow in ended:
            apps.pop(flow, None)
        for dissector in self._remembering:
            dissector.forget(ended)

    def drain(self) -> list[AnyMessage]:
        """The messages since the last call, in the order of their packets."""
        return self.collected.drain()


def _packets(
    batch: PacketBatch, columns: Columns, rows: I64, flows: I64
) -> Iterator[tuple[ControlPacket, bool]]:
    """The rows as packets, and whether all of their bytes were captured."""
    data = batch.data.data
    payload = columns.payload[rows]
    version = columns.version[rows]
    whole = (columns.flags[rows] & SNAPPED == 0) & (columns.fragment[rows] == 0)
    lists = zip(
        batch.time_ns[rows].tolist(),
        (rows + batch.first_number).tolist(),
        batch.interface[rows].tolist(),
        np.where(version != 0, flows, -1).tolist(),
        columns.l3[rows].tolist(),
        columns.l4[rows].tolist(),
        payload.tolist(),
        (payload + columns.payload_captured[rows]).tolist(),
        (batch.offset[rows] + batch.captured[rows]).tolist(),
        version.tolist(),
        columns.protocol[rows].tolist(),
        columns.ethertype[rows].tolist(),
        columns.sport[rows].tolist(),
        columns.dport[rows].tolist(),
        columns.src_mac[rows].tolist(),
        columns.vlan[rows].tolist(),
        whole.tolist(),
        strict=True,
    )
    for time_ns, number, interface, flow, *rest, complete in lists:
        yield ControlPacket(Origin(time_ns, number, interface, flow), data, *rest), complete
