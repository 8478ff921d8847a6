"""Alerts leave once, in order, and never hold anything up."""

from __future__ import annotations

import http.server
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from panotui.errors import UsageError
from panotui.model import (
    FindingRecord,
    SiteRecord,
    Snapshot,
    SourceRecord,
    ViolationRecord,
)
from panotui.telemetry.alerts import (
    Alert,
    AlertFilter,
    QueuedSink,
    ndjson_sink,
    syslog_line,
    syslog_sink,
    webhook_sink,
)
from panotui.telemetry.eve import alert_event, eve_time

ALERT = Alert(
    time="2026-11-24T00:00:00.000000Z",
    type="violation",
    id="stream-leak",
    severity="error",
    subject='gate > "x]"',
    text="Camera gate talks to the internet",
)


def violation(**changes: object) -> ViolationRecord:
    given: dict[str, object] = {
        "id": "v1",
        "reason": "stream-leak",
        "severity": "error",
        "port": "eth0",
        "src": "10.20.0.12",
        "sport": 4000,
        "dst": "203.0.113.9",
        "dport": 443,
        "transport": "tcp",
        "host": "p2p.vendor.example",
        "first_time_ns": 1_000_000_000,
        "last_time_ns": 2_000_000_000,
        "text": "Camera gate talks to the internet",
    }
    return ViolationRecord(**(given | changes))  # type: ignore[arg-type]


def finding(cleared: int | None = None) -> FindingRecord:
    return FindingRecord(
        id="tcp-blocked",
        severity="error",
        confidence="certain",
        subject="logs",
        text="Logs is blocked",
        action="Allow it",
        first_time_ns=1_000_000_000,
        last_time_ns=2_000_000_000,
        cleared_time_ns=cleared,
        key="tcp-blocked logs",
    )


def snapshot(
    violations: tuple[ViolationRecord, ...] = (), findings: tuple[FindingRecord, ...] = ()
) -> Snapshot:
    return Snapshot(
        time_ns=3,
        number=1,
        site=SiteRecord(name="plant-7"),
        source=SourceRecord(),
        violations=violations,
        findings=findings,
    )


def test_each_violation_and_finding_is_told_once_and_its_clearing_too() -> None:
    news = AlertFilter()
    first = list(news.news(snapshot((violation(),), (finding(),))))
    assert [a.type for a in first] == ["violation", "finding"]
    assert not list(news.news(snapshot((violation(last_time_ns=9),), (finding(),))))
    last = list(news.news(snapshot((violation(),), (finding(cleared=5_000_000_000),))))
    assert [(a.type, a.severity) for a in last] == [("cleared", "info")]
    again = list(news.news(snapshot((violation(),), (finding(),))))
    assert [a.type for a in again] == ["finding"]


def test_what_a_person_marked_as_known_is_silent() -> None:
    assert not list(AlertFilter().news(snapshot((violation(known=True),))))


def test_lines_are_appended_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.ndjson"
    for _ in range(2):
        sink = ndjson_sink(str(path))
        sink.send(ALERT)
        sink.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["stream-leak", "stream-leak"]
    assert path.stat().st_mode & 0o007 == 0


def test_full_queue_counts_what_it_loses_and_does_not_wait() -> None:
    gate = threading.Event()
    taken: list[Alert] = []

    def slow(alert: Alert) -> bool:
        gate.wait(10)
        taken.append(alert)
        return True

    sink = QueuedSink(slow, limit=2)
    for _ in range(10):
        sink.send(ALERT)
    assert sink.lost >= 7
    gate.set()
    sink.close()
    assert len(taken) + sink.lost == 10


def test_syslog_line_is_rfc_5424() -> None:
    line = syslog_line(ALERT, "box").decode()
    assert re.match(r"<131>1 2026-11-24T00:00:00\.000000Z box panotui \d+ violation \[", line)
    assert 'subject="gate > \\"x\\]\\""]' in line
    assert line.endswith("\ufeffCamera gate talks to the internet")


def test_syslog_arrives_over_udp_on_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        sink = syslog_sink(f"127.0.0.1:{server.getsockname()[1]}")
        sink.send(ALERT)
        assert b"stream-leak" in server.recv(4096)
        sink.close()
        assert sink.lost == 0


@contextmanager
def web(codes: list[int]) -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(codes.pop(0) if codes else 200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_webhook_tries_again_after_a_server_error() -> None:
    with web([503, 500, 200]) as (url, bodies):
        sink = webhook_sink(url, pause_s=0.01)
        sink.send(ALERT)
        sink.close(10)
    assert len(bodies) == 3
    assert json.loads(bodies[0])["subject"] == 'gate > "x]"'
    assert sink.lost == 0


def test_webhook_gives_up_on_a_refusal_and_counts_it() -> None:
    with web([404]) as (url, bodies):
        sink = webhook_sink(url, pause_s=0.01)
        sink.send(ALERT)
        sink.close(10)
    assert len(bodies) == 1
    assert sink.lost == 1


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://"])
def test_bad_webhook_is_one_clear_line(url: str) -> None:
    with pytest.raises(UsageError, match="--webhook"):
        webhook_sink(url)


def test_eve_alert_keeps_to_the_closed_schema() -> None:
    event = alert_event(violation())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000", eve_time(1_500))
    assert set(event) == {
        *("timestamp", "flow_id", "event_type", "src_ip", "dest_ip", "src_port", "dest_port"),
        *("proto", "in_iface", "alert"),
    }
    assert event["alert"]["action"] == "allowed"
    assert set(event["alert"]) == {
        *("action", "gid", "signature_id", "rev", "signature", "category", "severity", "metadata")
    }
