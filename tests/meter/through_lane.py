"""A capture through the control lane alone: a stand-in for the flow table, packet by packet."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from panotui.meter.control.kinds import control_mask
from panotui.meter.control.lane import ControlLane
from panotui.meter.lanes import LANE_BULK, LANE_RTSP
from panotui.model import AnyMessage, MeterSettings, PacketBatch
from panotui.sources import open_file
from panotui.wire.columns import Columns
from panotui.wire.decode import Decoder
from tests.meter.packets_in import batch_of

_WELL_KNOWN = 10_000


@dataclass
class Flows:
    """Numbers flows by their hash and decides who the client is, as the flow table does."""

    ids: dict[int, int] = field(default_factory=dict)
    client_forward: dict[int, bool] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)

    def take(self, columns: Columns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n = len(columns.hash)
        flow = np.full(n, -1, np.int64)
        client = np.zeros(n, np.bool_)
        start = np.zeros(n, np.bool_)
        for row in np.flatnonzero(columns.hash != 0).tolist():
            key = int(columns.hash[row])
            forward = bool(columns.forward[row])
            number = self.ids.setdefault(key, len(self.ids) + 1)
            flags = int(columns.tcp_flags[row])
            if flags & 2:
                self.client_forward[number] = forward if not flags & 16 else not forward
                self.started.add(number)
            elif number not in self.client_forward:
                sport, dport = int(columns.sport[row]), int(columns.dport[row])
                answers = sport < _WELL_KNOWN and sport < dport
                self.client_forward[number] = (not forward) if answers else forward
            flow[row] = number
            client[row] = self.client_forward[number] == forward
            start[row] = number in self.started
        return flow, client, start


@dataclass
class Run:
    lane: ControlLane
    messages: list[AnyMessage]
    lanes: dict[tuple[int, bool], int]
    flows: Flows
    app_of: dict[int, int] = field(default_factory=dict)

    def of(self, kind: type) -> list:
        return [message for message in self.messages if isinstance(message, kind)]

    def apps(self) -> set[int]:
        return set(self.app_of.values())


def run(path: Path | str, settings: MeterSettings | None = None, batch: int = 262_144) -> Run:
    """All messages of a capture file."""
    source = open_file(str(path), batch_packets=batch)
    decoder = Decoder()
    result = Run(ControlLane(settings or MeterSettings()), [], {}, Flows())
    try:
        while not source.ended:
            packets = source.read(0)
            if packets is None:
                continue
            feed(result, packets, decoder.decode(packets))
    finally:
        source.close()
    end(result)
    return result


def end(result: Run) -> None:
    """All flows are over: what was half heard is told."""
    result.lane.forget(list(result.flows.ids.values()))
    result.messages += result.lane.drain()


def run_frames(frames: list[bytes], settings: MeterSettings | None = None, **batch: object) -> Run:
    """All messages of made-up frames, in one batch."""
    result = Run(ControlLane(settings or MeterSettings()), [], {}, Flows())
    packets = batch_of(frames, **batch)  # type: ignore[arg-type]
    feed(result, packets, Decoder().decode(packets))
    return result


def feed(result: Run, packets: PacketBatch, columns: Columns) -> None:
    lane = result.lane
    flow, client, start = result.flows.take(columns)
    chosen = np.flatnonzero(control_mask(columns))
    lane.packets(packets, columns, chosen, flow[chosen])
    tcp = np.flatnonzero((columns.protocol == 6) & (columns.payload_length > 0))
    for row in tcp.tolist():
        key = (int(flow[row]), bool(client[row]))
        if result.lanes.get(key, 0) in (LANE_BULK, LANE_RTSP):
            continue
        one = np.array([row])
        lanes = lane.payloads(packets, columns, one, flow[one], client[one], start[one])
        result.lanes[key] = int(lanes[0])
    result.messages += lane.drain()
    for number in result.flows.ids.values():
        result.app_of[number] = lane.app(number)
