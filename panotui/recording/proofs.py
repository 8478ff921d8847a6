"""The packets that prove a finding or violation."""

from __future__ import annotations

from panotui.model import EvidenceRecord, FindingRecord, ViolationRecord


def proofs_of(record: FindingRecord | ViolationRecord) -> tuple[EvidenceRecord, ...]:
    """A finding's evidence, or without any its sentence at its start; for a violation, the packet
    that revealed it.
    """
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
