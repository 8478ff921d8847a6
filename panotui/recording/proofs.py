"""What proves a finding or a violation, packet by packet."""

from __future__ import annotations

from panotui.model import EvidenceRecord, FindingRecord, ViolationRecord


def proofs_of(record: FindingRecord | ViolationRecord) -> tuple[EvidenceRecord, ...]:
    """A finding's evidence, or its sentence at its first moment where it has none; of a violation
    the packet by which it was known."""
    if isinstance(record, FindingRecord):
        return record.evidence or (
            EvidenceRecord(time_ns=record.first_time_ns, packet=None, text=record.text),
        )
    return (
        EvidenceRecord(
            time_ns=record.first_time_ns,
            packet=record.first_packet or None,
            text=f"first packet of {record.reason}",
        ),
    )
