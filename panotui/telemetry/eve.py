"""Flows and violations as Suricata EVE JSON lines that a strict reader accepts.

EVE's schema closes its objects, so our own fields go only into `alert.metadata`. Violations are
alerts with action `allowed` (seen, not blocked); signature ids are of the range kept for local use.
"""

from __future__ import annotations

import datetime
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from panotui.model import REASONS, FlowRecord, Snapshot, ViolationRecord

SID_BASE = 9_000_000
CATEGORIES = {
    "stream-leak": "Potential Corporate Privacy Violation",
    "inbound": "Attempted Information Leak",
    "lateral": "Misc Attack",
    "cleartext": "Potentially Bad Traffic",
}
SEVERITIES = {"error": 1, "warning": 2, "info": 3}
APP_PROTO = {
    "other": "unknown",
    "http-connect": "http",
    "rtsp-http": "http",
    "onvif": "http",
    "snapshot": "http",
    "mjpeg": "http",
    "rtsps": "tls",
    "mdns": "dns",
}
STATES = {"closed": "closed", "reset": "closed", "refused": "closed", "established": "established"}


def eve_time(time_ns: int) -> str:
    """`2026-11-24T02:03:04.000005+0000`, the format of EVE's schema."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}+0000"


def _flow_id(key: str) -> int:
    return zlib.crc32(key.encode()) << 16 | zlib.adler32(key.encode()) & 0xFFFF


def _tuple(record: FlowRecord | ViolationRecord) -> dict[str, Any]:
    ends: dict[str, Any] = {"src_ip": record.src, "dest_ip": record.dst}
    if record.transport in ("tcp", "udp"):
        ends |= {"src_port": record.sport or 0, "dest_port": record.dport or 0}
    ends["proto"] = record.transport.upper()
    return ends


def flow_event(flow: FlowRecord) -> dict[str, Any]:
    """One `flow` event."""
    seconds = (flow.last_time_ns - flow.first_time_ns) // 1_000_000_000
    event: dict[str, Any] = {
        "timestamp": eve_time(flow.last_time_ns),
        "flow_id": _flow_id(flow.id),
        "event_type": "flow",
        **_tuple(flow),
        "community_id": flow.community_id,
        "flow": {
            "pkts_toserver": flow.packets_out,
            "pkts_toclient": flow.packets_in,
            "bytes_toserver": flow.bytes_out,
            "bytes_toclient": flow.bytes_in,
            "start": eve_time(flow.first_time_ns),
            "end": eve_time(flow.last_time_ns),
            "age": seconds,
            "state": STATES.get(flow.state, "established" if flow.packets_in else "new"),
            "reason": "timeout" if flow.end == "idle" else "unknown",
            "alerted": flow.verdict == "violation",
        },
    }
    if flow.port:
        event["in_iface"] = flow.port
    if flow.vlan is not None and flow.vlan >= 0:
        event["vlan"] = [flow.vlan]
    if flow.app:
        event["app_proto"] = APP_PROTO.get(flow.app, flow.app)
    return event


def tls_event(flow: FlowRecord) -> dict[str, Any] | None:
    """A `tls` event if a ClientHello carried the name."""
    if flow.host_source != "sni" or not flow.host:
        return None
    return {
        "timestamp": eve_time(flow.first_time_ns),
        "flow_id": _flow_id(flow.id),
        "event_type": "tls",
        **_tuple(flow),
        "tls": {"sni": flow.host},
    }


def alert_event(violation: ViolationRecord) -> dict[str, Any]:
    """A violation as an `alert` with action allowed."""
    number = REASONS.index(violation.reason) if violation.reason in REASONS else len(REASONS)
    metadata = {
        "panotui_reason": [violation.reason],
        "panotui_id": [violation.id],
        "panotui_flows": [str(violation.flows)],
    }
    if violation.host:
        metadata["panotui_host"] = [violation.host]
    event: dict[str, Any] = {
        "timestamp": eve_time(violation.last_time_ns),
        "flow_id": _flow_id(violation.flow or violation.id),
        "event_type": "alert",
        **_tuple(violation),
        "alert": {
            "action": "allowed",
            "gid": 1,
            "signature_id": SID_BASE + number,
            "rev": 1,
            "signature": f"PANOTUI {violation.reason}: {violation.text}"[:250],
            "category": CATEGORIES.get(violation.reason, "Policy Violation"),
            "severity": SEVERITIES[violation.severity],
            "metadata": metadata,
        },
    }
    if violation.port:
        event["in_iface"] = violation.port
    return event


def stats_event(snapshot: Snapshot) -> dict[str, Any]:
    """Capture statistics as EVE's `stats`."""
    return {
        "timestamp": eve_time(snapshot.time_ns),
        "event_type": "stats",
        "stats": {
            "capture": {
                "kernel_packets": snapshot.source.packets,
                "kernel_drops": snapshot.source.lost,
            }
        },
    }


def eve_lines(snapshot: Snapshot, flows: Iterable[FlowRecord]) -> Iterator[str]:
    """Everything of an analysis as EVE lines: flows and their TLS names, alerts, statistics."""
    for flow in flows:
        yield msgspec.json.encode(flow_event(flow)).decode()
        tls = tls_event(flow)
        if tls:
            yield msgspec.json.encode(tls).decode()
    for violation in snapshot.violations:
        yield msgspec.json.encode(alert_event(violation)).decode()
    yield msgspec.json.encode(stats_event(snapshot)).decode()
