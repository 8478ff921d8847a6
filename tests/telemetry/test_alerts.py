"""Alerts leave once, in order, and never hold anything up."""

from __future__ import annotations

import re

from panotui.model import (
    FindingRecord,
    SiteRecord,
    Snapshot,
    SourceRecord,
    ViolationRecord,
)
from panotui.telemetry.alerts import AlertFilter
from panotui.telemetry.eve import alert_event, eve_time


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
