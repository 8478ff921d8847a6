"""The location of a packet number: in a capture, in an evidence file, or nowhere.

The packet count of a live meter cannot be looked up: it is replaced by the frame number in the
evidence file that holds the packet, or removed. Packet numbers of captures stay unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from msgspec.structs import replace

from panotui.model import (
    EventRecord,
    EvidenceFileRecord,
    EvidenceRecord,
    FindingRecord,
    Snapshot,
    ViolationRecord,
)
from panotui.state.marks import key_of

Lookup: TypeAlias = Callable[[str, int], EvidenceFileRecord | None]  # of a subject since a time


def with_evidence(snapshot: Snapshot, lookup: Lookup) -> Snapshot:
    """Findings and violations with their evidence files and frames, without live counts."""
    return without_counts(
        replace(
            snapshot,
            findings=tuple(finding_with(f, lookup) for f in snapshot.findings),
            violations=tuple(violation_with(v, lookup) for v in snapshot.violations),
        )
    )


def finding_with(finding: FindingRecord, lookup: Lookup) -> FindingRecord:
    """A finding with the evidence file of its present period."""
    kept = lookup(key_of(finding), finding.first_time_ns)
    if kept is None:
        return finding
    frames = {(f.time_ns, f.packet): f.frame for f in kept.frames}
    return replace(
        finding,
        evidence_file=kept.file,
        evidence=tuple(
            replace(e, frame=frames.get((e.time_ns, e.packet))) for e in finding.evidence
        ),
    )


def violation_with(violation: ViolationRecord, lookup: Lookup) -> ViolationRecord:
    """A violation with its evidence file."""
    kept = lookup(key_of(violation), violation.first_time_ns)
    if kept is None:
        return violation
    frame = kept.frames[0].frame if kept.frames else None
    return replace(violation, evidence_file=kept.file, frame=frame)


def leads_nowhere(snapshot: Snapshot) -> bool:
    """Whether packet numbers are a live count."""
    return not snapshot.source.files


def without_counts(snapshot: Snapshot) -> Snapshot:
    """The same without numbers that cannot be looked up; a frame in an evidence file replaces its
    count.
    """
    if not leads_nowhere(snapshot):
        return snapshot
    return replace(
        snapshot,
        findings=tuple(replace(f, evidence=_in_file(f.evidence)) for f in snapshot.findings),
        violations=tuple(replace(v, first_packet=v.frame or 0) for v in snapshot.violations),
        streams=tuple(
            replace(s, evidence=_in_file(s.evidence)) if s.evidence else s for s in snapshot.streams
        ),
        endpoints=tuple(
            replace(e, attempts_detail=tuple(replace(a, packet=None) for a in e.attempts_detail))
            if e.attempts_detail
            else e
            for e in snapshot.endpoints
        ),
        cameras=tuple(
            replace(c, dialogue=tuple(replace(line, packet=0) for line in c.dialogue))
            if c.dialogue
            else c
            for c in snapshot.cameras
        ),
        events=events_without_counts(snapshot.events),
    )


def events_without_counts(events: Iterable[EventRecord]) -> tuple[EventRecord, ...]:
    """Events without the numbers of packets."""
    return tuple(e if e.packet is None else replace(e, packet=None) for e in events)


def _in_file(evidence: Iterable[EvidenceRecord]) -> tuple[EvidenceRecord, ...]:
    return tuple(e if e.packet == e.frame else replace(e, packet=e.frame) for e in evidence)
