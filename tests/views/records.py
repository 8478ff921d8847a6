"""A small site as records, for tests of what shows and stores them."""

from __future__ import annotations

from msgspec.structs import replace

from panotui.model import (
    SECOND,
    CameraRecord,
    ClockRecord,
    CountsRecord,
    DialogueLine,
    EndpointRecord,
    EventRecord,
    EvidenceRecord,
    FindingRecord,
    FlowRecord,
    PortRecord,
    SiteRecord,
    Snapshot,
    SourceRecord,
    StreamRecord,
    ViolationRecord,
)
from panotui.model.page import Page
from panotui.state.marks import Marks

START = 1_700_000_000 * SECOND


def flow(number: int, at_ns: int = START, **changes: object) -> FlowRecord:
    fields: dict[str, object] = {
        "id": f"0-{number}",
        "community_id": f"1:{number}=",
        "port": "eth0" if number % 2 else "eth1",
        "transport": "tcp",
        "src": "192.168.5.5",
        "sport": 40_000 + number,
        "dst": f"203.0.113.{number % 250}",
        "dport": 443,
        "first_time_ns": START,
        "last_time_ns": at_ns,
        "packets_out": number,
        "bytes_out": number * 100,
        "verdict": ("allowed", "pending", "violation", "infrastructure")[number % 4],
        "host": f"host{number}.example" if number % 3 else None,
        "rtt_ms": None if number % 5 == 0 else float(number),
        "state": "established",
    }
    return FlowRecord(**{**fields, **changes})  # type: ignore[arg-type]


def stream(camera: str, at_ns: int, packets: int = 100, **changes: object) -> StreamRecord:
    fields: dict[str, object] = {
        "id": f"0-{camera}",
        "camera": camera,
        "url": f"rtsp://{camera}/1",
        "ssrc": "0x00000001",
        "payload_type": 96,
        "codec": "H264",
        "transport": "udp",
        "src": "10.20.0.11",
        "sport": 5000,
        "dst": "10.20.0.5",
        "dport": 6000,
        "first_time_ns": START,
        "last_time_ns": at_ns,
        "packets": packets,
        "rate_bps": 4e6,
        "loss_now": 0.0,
        "history_bps": (4e6,) * 300,
    }
    return StreamRecord(**{**fields, **changes})  # type: ignore[arg-type]


def violation(**changes: object) -> ViolationRecord:
    fields: dict[str, object] = {
        "id": "v1",
        "reason": "stream-leak",
        "severity": "error",
        "port": "eth0",
        "src": "10.20.0.12",
        "sport": 50000,
        "dst": "203.0.113.9",
        "dport": 443,
        "transport": "tcp",
        "host": "p2p.vendor.example",
        "first_time_ns": START,
        "last_time_ns": START,
        "flow": "0-2",
        "text": "Camera gate talks to the internet",
        "nearest": ("cloudwatch: host differs",),
    }
    return ViolationRecord(**{**fields, **changes})  # type: ignore[arg-type]


def finding(**changes: object) -> FindingRecord:
    fields: dict[str, object] = {
        "id": "endpoint-blocked",
        "severity": "error",
        "confidence": "certain",
        "subject": "logs.us-east-1.amazonaws.com",
        "text": "Logs is blocked by a firewall",
        "action": "Allow outbound TCP 443 to logs.us-east-1.amazonaws.com",
        "evidence": (EvidenceRecord(time_ns=START, packet=7, text="SYN, no answer"),),
        "first_time_ns": START,
        "last_time_ns": START,
        "key": "endpoint-blocked logs",
        "flow": "0-3",
    }
    return FindingRecord(**{**fields, **changes})  # type: ignore[arg-type]


def event(number: int, at_ns: int, severity: str = "info") -> EventRecord:
    return EventRecord(
        time_ns=at_ns,
        number=number,
        kind="camera",
        severity=severity,  # type: ignore[arg-type]
        subject="dock",
        text=f"event {number}",
    )


def snapshot(second: int = 0, *, quiet: bool = False) -> Snapshot:
    """The site after so many seconds."""
    at = START + second * SECOND
    return Snapshot(
        time_ns=at,
        number=second,
        site=SiteRecord(name="plant-7", topology="dual"),
        source=SourceRecord(
            packets=second * 1000, bytes=second * 10**6, first_time_ns=START, last_time_ns=at
        ),
        ports=(
            PortRecord(name="eth0", role="camera", state="up", rate_in_bps=1e6 + second),
            PortRecord(name="eth1", role="cloud", state="up", rate_in_bps=2e6),
        ),
        streams=(stream("dock", at, second * 100), stream("gate", at, second * 50, state="losing")),
        cameras=(
            CameraRecord(
                name="dock",
                address="10.20.0.11",
                state="streaming",
                streams=("0-dock",),
                dialogue=(
                    DialogueLine(time_ns=START, packet=1, from_client=True, text="DESCRIBE x"),
                ),
            ),
            CameraRecord(name="gate", address="10.20.0.12", state="losing", streams=("0-gate",)),
            CameraRecord(name="yard", address="10.20.0.13", state="refused", last_status=401),
        ),
        endpoints=(
            EndpointRecord(service="iot", host="x.iot", port=443, rule="iot", state="reachable"),
            EndpointRecord(service="logs", host="logs.x", port=443, rule="logs", state="blocked"),
        ),
        clock=ClockRecord(state="synchronised"),
        violations=() if quiet else (violation(last_time_ns=at),),
        findings=() if quiet else (finding(last_time_ns=at),),
        events=tuple(event(n, START + n * SECOND) for n in range(1, min(second, 20) + 1)),
        counts=CountsRecord(flows=10, cameras=3, cameras_ok=1),
        limits={"flows_evicted": 0},
    )


class FixedState:
    """A `State` of records made up here."""

    def __init__(self, flows: int = 500, second: int = 30) -> None:
        self.flows = [flow(n, START + n) for n in range(1, flows + 1)]
        self.now = snapshot(second)
        self.marks = Marks()

    def snapshot(self) -> Snapshot:
        return self.marks.over_snapshot(self.now)

    def mark_known(self, key: str, known: bool) -> bool:
        return self.marks.set(key, known)

    def flow_records(self) -> list[FlowRecord]:
        return self.flows

    def flow(self, flow_id: str) -> FlowRecord | None:
        return next((f for f in self.flows if f.id == flow_id), None)

    def explain_flow(self, flow_id: str) -> list[tuple[str, str]]:
        return [("cloudwatch", "the host is another")]

    def flow_page(
        self,
        keep: object = None,
        sort: str | None = None,
        reverse: bool = False,
        port: str | None = None,
        first: int = 0,
        rows: int = 50,
        follow: str | None = None,
        fold: bool = False,
    ) -> Page[FlowRecord]:
        from panotui.views.frames import View
        from panotui.views.panes import flow_rows

        chosen = [f for f in self.flows if keep is None or keep(f)]  # type: ignore[operator]
        view = View(
            sort=sort, reverse=reverse, port=port, first=first, rows=rows, follow=follow, fold=fold
        )
        shown = flow_rows(chosen, view)
        return replace(shown, total=len(self.flows))
