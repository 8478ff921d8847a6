"""Marks: the one place for findings and violations that users have marked as known.

A mark is an opinion about a record, not a measurement. It is added to records on output, wherever
they come from (the engine's books, a recording). All screens of one state share its marks; a
recorder stores them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from panotui.model import (
    CameraRecord,
    CountsRecord,
    DeviceRecord,
    EndpointRecord,
    FindingRecord,
    Snapshot,
    StreamRecord,
    ViolationRecord,
)
from panotui.state.standing import all_works, plays

MARKS_MAX = 10_000


def key_of(record: FindingRecord | ViolationRecord) -> str:
    """The key of a record's mark."""
    if isinstance(record, ViolationRecord):
        return f"violation:{record.id}"
    return f"finding:{record.name}"


class Marks:
    """The keys that users have marked."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys = set(keys)
        self.version = 0  # rises with each change

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def restore(self, keys: Iterable[str]) -> None:
        """Marks of earlier runs."""
        self._keys.update(keys)
        self.version += 1

    def set(self, key: str, known: bool) -> bool:
        """Mark a key, or remove the mark; false if there is no room for another."""
        if known and key not in self._keys and len(self._keys) >= MARKS_MAX:
            return False
        (self._keys.add if known else self._keys.discard)(key)
        self.version += 1
        return True

    def over_findings(self, found: tuple[FindingRecord, ...]) -> tuple[FindingRecord, ...]:
        """The records with their marks."""
        if not self._keys and not any(f.known for f in found):
            return found
        return tuple(
            f if f.known == self._knows(f) else msgspec.structs.replace(f, known=not f.known)
            for f in found
        )

    def _knows(self, finding: FindingRecord) -> bool:
        """A known violation makes the finding that explains it known."""
        return key_of(finding) in self._keys or f"violation:{finding.violation}" in self._keys

    def over_violations(self, found: tuple[ViolationRecord, ...]) -> tuple[ViolationRecord, ...]:
        """The records with their marks."""
        if not self._keys and not any(v.known for v in found):
            return found
        return tuple(
            v if v.known == (key_of(v) in self._keys)
            else msgspec.structs.replace(v, known=not v.known)
            for v in found
        )  # fmt: skip

    def over_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot with the present marks, which may be newer."""
        findings = self.over_findings(snapshot.findings)
        violations = self.over_violations(snapshot.violations)
        findings_known, violations_known = open_and_known(findings, violations)
        since = snapshot.all_well_since_ns
        known = findings_known + violations_known
        works = known > 0 or all_works(snapshot.cameras, snapshot.endpoints)
        if not works or not is_well(findings, violations):
            since = None
        elif since is None and known:
            since = snapshot.time_ns
        return msgspec.structs.replace(
            snapshot,
            findings=findings,
            violations=violations,
            all_well_since_ns=since,
            counts=msgspec.structs.replace(
                snapshot.counts,
                findings_known=findings_known,
                findings_notes=open_notes(findings),
                violations_known=violations_known,
            ),
        )


def is_well(findings: Iterable[FindingRecord], violations: Iterable[ViolationRecord]) -> bool:
    """Nothing is open except known records. Findings that depend on a known one are known with
    it.
    """
    opened = [f for f in findings if f.cleared_time_ns is None and f.severity != "info"]
    known = {f.key for f in opened if f.known}
    return all(f.known or f.hidden_by in known for f in opened) and all(
        v.known or v.state != "open" for v in violations
    )


def open_notes(findings: Iterable[FindingRecord]) -> int:
    """The number of open findings that are information only, and not marked."""
    return sum(
        f.severity == "info" and not f.known and f.cleared_time_ns is None and f.hidden_by is None
        for f in findings
    )


def open_and_known(
    findings: Iterable[FindingRecord], violations: Iterable[ViolationRecord]
) -> tuple[int, int]:
    """The number of open findings and violations that users have marked as known."""
    return (
        sum(f.known and f.cleared_time_ns is None and f.hidden_by is None for f in findings),
        sum(v.known and v.state == "open" for v in violations),
    )


def counts_of(
    devices: Sequence[DeviceRecord],
    streams: Sequence[StreamRecord],
    cameras: Sequence[CameraRecord],
    endpoints: Sequence[EndpointRecord],
    findings: Sequence[FindingRecord],
    violations: Sequence[ViolationRecord],
) -> CountsRecord:
    """The counts of a state or of a part of it, without flows and events."""
    needed = [e for e in endpoints if e.needed]
    findings_known, violations_known = open_and_known(findings, violations)
    violations_open = sum(v.state == "open" for v in violations)
    return CountsRecord(
        devices=len(devices),
        streams=len(streams),
        streams_ok=sum(s.standing == "streaming" for s in streams),
        cameras=len(cameras),
        cameras_ok=sum(plays(c) for c in cameras),
        cameras_losing=sum(c.state == "losing" for c in cameras),
        cameras_unseen=sum(c.state == "unseen" for c in cameras),
        endpoints=len(needed),
        endpoints_ok=sum(e.state == "reachable" for e in needed),
        endpoints_unseen=sum(e.state == "unseen" for e in needed),
        violations_open=violations_open,
        violations_past=len(violations) - violations_open,
        violations_known=violations_known,
        findings_open=sum(f.cleared_time_ns is None and f.hidden_by is None for f in findings),
        findings_known=findings_known,
        findings_notes=open_notes(findings),
    )
