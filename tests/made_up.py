"""Made-up deltas for tests of the engine: flow and stream rows with sensible defaults."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

import numpy as np

from panotui.engine.engine import Engine
from panotui.engine.settings import EngineSettings
from panotui.model import (
    APPS,
    FLOW_DTYPE,
    FLOW_STATES,
    LINK_SECOND_DTYPE,
    SECOND,
    STREAM_CODECS,
    STREAM_DTYPE,
    STREAM_SECOND_DTYPE,
    AnyMessage,
    Delta,
    Interface,
    MeterCounters,
    Rows,
    Site,
    mac_value,
)
from panotui.model.flow_rows import FlowRows

START = 1_790_000_000 * SECOND
APPLIANCE = "10.20.0.5"
CAMERA = "10.20.0.11"


def packed(address: str) -> np.ndarray[Any, Any]:
    """16 bytes of an address column."""
    raw = ipaddress.ip_address(address).packed
    return np.frombuffer(raw.ljust(16, b"\0"), np.uint8)


def flow(number: int, src: str, dst: str, dport: int, at_s: float = 0.0, **fields: Any) -> Rows:
    """One row of FLOW_DTYPE; TCP with one SYN unless the fields say otherwise."""
    row = np.zeros(1, FLOW_DTYPE)
    row["id"], row["version"], row["protocol"] = number, ipaddress.ip_address(src).version, 6
    row["src"][0], row["dst"][0] = packed(src), packed(dst)
    row["sport"], row["dport"], row["vlan"] = 40_000 + number, dport, -1
    row["first_ns"] = row["last_ns"] = START + int(at_s * SECOND)
    row["first_packet"] = row["last_packet"] = number
    row["client_by"], row["state"] = 2, FLOW_STATES.index("syn-sent")
    row["packets_out"] = row["syn_out"] = 1
    row["bytes_out"] = 74
    row["syn_ns"] = row["syn_last_ns"] = row["first_ns"]
    row["interface_in"] = -1
    for name in ("handshake_rtt_us", "server_rtt_us", "rtt_us", "rtt_min_us"):
        row[name] = -1
    for name, value in fields.items():
        if name == "state":
            value = FLOW_STATES.index(value)
        elif name == "app":
            value = APPS.index(value)
        elif name.startswith("mac_") and isinstance(value, str):
            value = mac_value(value)
        row[name] = value
    return row


def answered(number: int, src: str, dst: str, dport: int, at_s: float = 0.0, **fields: Any) -> Rows:
    """A TCP flow that was accepted and carried data both ways."""
    at = START + int(at_s * SECOND)
    known = {
        "state": "established", "packets_out": 5, "packets_in": 5, "syn_in": 1,
        "synack_ns": at + 1_000_000, "payload_out": 300, "payload_in": 900, "bytes_in": 1200,
        "first_payload_ns": at + 2_000_000, "first_answer_ns": at + 3_000_000,
        "handshake_rtt_us": 1_000, "ttl_in": 60, "app": "other",
    }  # fmt: skip
    return flow(number, src, dst, dport, at_s, **{**known, **fields})


def stream(number: int, at_s: float, last_s: float, **fields: Any) -> Rows:
    """One row of STREAM_DTYPE: H.264 at 25 frames/s from the camera to the appliance, no loss."""
    row = np.zeros(1, STREAM_DTYPE)
    for name in row.dtype.names:
        if row[name].dtype.kind == "f":
            row[name] = np.nan
    row["id"], row["flow"], row["session"], row["ssrc"] = number, number, -1, 0xABCD0000 + number
    row["payload_type"], row["codec"] = 96, STREAM_CODECS.index("H264")
    row["transport"], row["channel"], row["version"], row["signalled"] = 17, -1, 4, 1
    row["src"][0], row["dst"][0] = packed(CAMERA), packed(APPLIANCE)
    row["sport"], row["dport"], row["clock_rate"] = 5000, 6000, 90_000
    row["first_ns"] = START + int(at_s * SECOND)
    row["last_ns"] = START + int(last_s * SECOND)
    count = max(1, int((last_s - at_s) * 200))
    row["packets"] = row["expected"] = count
    row["frames"] = count // 8
    row["keyframes"], row["keyframe_last_ns"] = 3, row["last_ns"]
    row["fps"] = row["fps_now"] = row["fps_nominal"] = 25.0
    row["gop_s"], row["width"], row["height"] = 2.0, 1920, 1080
    row["frozen_picture_s"] = 0.0
    row["sr_packets"] = -1
    row["frame_jitter_ms"] = row["jitter_ms"] = 1.0
    for ms in (50, 200, 500):
        row[f"stall_{ms}ms_s"] = 0.0
    for name, value in fields.items():
        row[name] = value
    return row


def stream_second(number: int, second: int, **fields: Any) -> Rows:
    """One row of STREAM_SECOND_DTYPE."""
    row = np.zeros(1, STREAM_SECOND_DTYPE)
    row["stream"], row["second"] = number, START // SECOND + second
    row["packets"], row["expected"], row["bytes"] = 200, 200, 250_000
    row["frames"], row["frame_jitter_ms"], row["gap_max_ms"] = 25, 1.0, 40.0
    for name, value in fields.items():
        row[name] = value
    return row


def rows(dtype: np.dtype[Any], parts: Sequence[Rows]) -> Rows:
    """Several rows as one array."""
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


class Scene:
    """An engine that is fed second by second."""

    def __init__(self, site: Site | None = None, **settings: Any) -> None:
        self.engine = Engine(site or Site(), EngineSettings(**settings))
        self.second = 0
        self.counters = MeterCounters()

    def tick(
        self,
        flows: Sequence[Rows] = (),
        messages: Sequence[AnyMessage] = (),
        streams: Sequence[Rows] = (),
        seconds: Sequence[Rows] = (),
        links: Sequence[Rows] = (),
        meter: int = 0,
        tick: bool = True,
    ) -> None:
        """One second of packet time with this news."""
        self.second += 1
        self.engine.apply(
            Delta(
                START + self.second * SECOND, meter, FlowRows.of(rows(FLOW_DTYPE, flows)),
                rows(STREAM_DTYPE, streams), rows(STREAM_SECOND_DTYPE, seconds),
                rows(LINK_SECOND_DTYPE, links), list(messages), self.counters,
                (Interface("eth0", 1), Interface("eth1", 1)),
            ),
            tick=tick,
        )  # fmt: skip

    def pass_time(self, seconds: int) -> None:
        """Seconds without news."""
        for _ in range(seconds):
            self.tick()

    def findings(self, *, opened: bool = True) -> dict[str, Any]:
        """Findings by id; only open ones unless told otherwise."""
        return {
            f.id: f
            for f in reversed(self.engine.snapshot().findings)
            if not opened or f.cleared_time_ns is None
        }


def site(**parts: Any) -> Site:
    """A dual site with one camera, as a site file would give it."""
    import msgspec

    data: dict[str, Any] = {
        "site": {"topology": "dual", "region": "us-east-1", "vantage": "mirror"},
        "ports": {
            "eth0": {"role": "camera", "mac": "02:00:00:00:00:10", "address": "10.20.0.5/24"},
            "eth1": {"role": "cloud", "mac": "02:00:00:00:00:11", "address": "192.168.5.5/24"},
        },
        "network": {"gateways": ["192.168.5.1"], "dns": ["192.168.5.1"], "ntp": ["192.168.5.1"]},
        "camera": [{"name": "dock", "address": CAMERA, "fps": 25}],
    }
    data.update(parts)
    return msgspec.convert(data, Site)
