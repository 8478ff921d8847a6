"""New violations and findings for machines or people elsewhere: a snapshot in, `Alert`s out.

Each violation and finding is sent once, and so is its end. `delivery` sends them.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import msgspec

from panotui.model import FindingRecord, Severity, Snapshot, ViolationRecord


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert for a machine or person elsewhere."""

    time: str  # RFC 3339 UTC
    type: str  # "violation", "finding", "cleared"
    id: str
    severity: Severity
    subject: str
    text: str
    action: str | None = None
    site: str | None = None
    port: str | None = None


def rfc3339(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


class AlertFilter:
    """Turns successive snapshots into alerts: each violation and finding once, and its clearing."""

    def __init__(self, limit: int = 4_096) -> None:
        self._told: dict[str, str] = {}
        self._limit = limit

    def news(self, snapshot: Snapshot) -> Iterator[Alert]:
        """New and cleared ones since the last call."""
        for violation in snapshot.violations:
            yield from self._violation(violation, snapshot)
        for finding in snapshot.findings:
            yield from self._finding(finding, snapshot)

    def _new(self, key: str, state: str) -> bool:
        if self._told.get(key) == state:
            return False
        self._told.pop(key, None)
        self._told[key] = state
        while len(self._told) > self._limit:
            del self._told[next(iter(self._told))]
        return True

    def _violation(self, v: ViolationRecord, snapshot: Snapshot) -> Iterator[Alert]:
        if v.known or not self._new(f"violation {v.id}", "told"):
            return
        yield Alert(
            time=rfc3339(v.first_time_ns),
            type="violation",
            id=v.reason,
            severity=v.severity,
            subject=f"{v.src} > {v.host or v.dst}",
            text=v.text,
            action=v.suggestion,
            site=snapshot.site.name,
            port=v.port,
        )

    def _finding(self, f: FindingRecord, snapshot: Snapshot) -> Iterator[Alert]:
        if f.hidden_by or f.known or f.severity == "info":
            return
        cleared = f.cleared_time_ns is not None
        key = f"finding {f.key or f.id + ' ' + f.subject}"
        if cleared and key not in self._told:
            return
        if not self._new(key, "cleared" if cleared else "open"):
            return
        yield Alert(
            time=rfc3339(f.cleared_time_ns or f.first_time_ns),
            type="cleared" if cleared else "finding",
            id=f.id,
            severity="info" if cleared else f.severity,
            subject=f.subject,
            text=f.text,
            action=None if cleared else f.action,
            site=snapshot.site.name,
        )
