"""Exports the packets of one finding or violation as a file that can be read alone.

A recorded evidence file is copied unchanged. If there is none (the finding is information only, or
the file was removed for its size), the packets around it are cut out of the control packets.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from panotui.errors import InputError, NotYetError, UsageError
from panotui.model import (
    SECOND,
    EvidenceFileRecord,
    FindingRecord,
    FrameRecord,
    ViolationRecord,
)
from panotui.recording.evidence_files import sha256_of
from panotui.recording.pcapng import PcapngFile
from panotui.recording.proofs import proofs_of
from panotui.recording.reader import Recording
from panotui.recording.relay import AnyRecorder
from panotui.sources import open_file
from panotui.state.marks import key_of
from panotui.wire.text import printable

GATHERED = "those of the seconds after it are still gathered"
BEFORE_NS, AFTER_NS = 10 * SECOND, 5 * SECOND  # cut around a finding or violation


class Saved(NamedTuple):
    """The exported file."""

    path: Path
    packets: int
    frames: tuple[FrameRecord, ...]
    cut: bool  # from the control packets: there was no file for it
    changed: bool = False  # the recording's file has been changed since it was written

    def text(self, name: str) -> str:
        """One line for a user who knows the file as `name`."""
        proof = f" (frame {self.frames[0].frame} shows it)" if self.frames else ""
        what = "control packets around it" if self.cut else "packets"
        warning = "; the file was changed since it was recorded" if self.changed else ""
        return f"{self.packets:,} {what}{proof} written to {name}{warning}"


class RecordingPackets:
    """The packets of a recording under review (`views.provider.Packets`)."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def of(self, subject: str, since_ns: int) -> EvidenceFileRecord | None:
        return None  # the reader has reported it already

    def save(self, key: str, target: Path) -> Saved:
        return save(self._recording, key, target)


class RecorderPackets:
    """The packets of a recording that is being written (`views.provider.Packets`)."""

    def __init__(self, recorder: AnyRecorder) -> None:
        self._recorder = recorder
        self.gathers: Callable[[str], bool] = lambda _key: False  # `EvidenceTap.gathers`

    def of(self, subject: str, since_ns: int) -> EvidenceFileRecord | None:
        return self._recorder.evidence_of(subject, since_ns)

    def save(self, key: str, target: Path) -> Saved:
        if self.gathers(key):
            raise NotYetError("packets", GATHERED)
        recording = Recording(self._recorder.folder)
        try:
            return save(recording, key, target)
        finally:
            recording.close()


def save(recording: Recording, key: str, target: Path) -> Saved:
    """Write the packets of `key` into the new file `target`.

    `key`: "finding:KEY", "violation:ID", or anything that `matching` accepts. UsageError if it
    names nothing or several, if there is no packet, or if `target` exists or cannot be written.
    """
    subject, since_ns, record = _one(recording, key)
    kept = [e for e in recording.evidence_files() if e.subject == subject and e.time_ns == since_ns]
    try:
        if kept:
            return _copied(recording, kept[-1], target)
        return _cut(recording, record, target)
    except OSError as error:
        target_name = printable(str(target))
        raise UsageError(
            f"evidence {target_name}", error.strerror or str(error), "Name another file with -o."
        ) from None


def matching(
    recording: Recording, key: str
) -> list[tuple[str, int, FindingRecord | ViolationRecord]]:
    """(subject, since_ns, record) of the matches of `key`, oldest first: a subject, the id of a
    finding or violation, a finding's key, or an evidence file's name.
    """
    known: list[FindingRecord | ViolationRecord] = [
        *recording.findings(), *recording.violations(),
    ]  # fmt: skip
    everything = [(key_of(record), record.first_time_ns, record) for record in known]
    files = {
        (e.subject, e.time_ns) for e in recording.evidence_files() if e.subject and e.file == key
    }
    return [
        (subject, since_ns, record)
        for subject, since_ns, record in everything
        if key in (subject, subject.partition(":")[2], record.id) or (subject, since_ns) in files
    ]


def _one(recording: Recording, key: str) -> tuple[str, int, FindingRecord | ViolationRecord]:
    found = matching(recording, key)
    shown = printable(key, 80)
    if not found:
        raise UsageError(
            f"evidence {shown}", "the recording has nothing with that name",
            "List its evidence: `panotui evidence RECORDING`.",
        )  # fmt: skip
    subjects = list(dict.fromkeys(subject for subject, _, _ in found))
    if len(subjects) > 1:
        some = ", ".join(subjects[:4]) + (", ..." if len(subjects) > 4 else "")
        raise UsageError(
            f"evidence {shown}", f"that names {len(subjects)}: {some}", "Name one of them."
        )
    return found[-1]  # its newest period


def _copied(recording: Recording, kept: EvidenceFileRecord, target: Path) -> Saved:
    path = recording.evidence_path(kept)
    assert path is not None  # the reader lists no others
    with path.open("rb") as source, target.open("xb") as out:
        shutil.copyfileobj(source, out)
    changed = kept.sha256 is not None and sha256_of(target) != kept.sha256
    return Saved(target, kept.packets, kept.frames, False, changed)


def _cut(recording: Recording, record: FindingRecord | ViolationRecord, target: Path) -> Saved:
    proofs = proofs_of(record)
    first = min(p.time_ns for p in proofs) - BEFORE_NS
    last = max(p.time_ns for p in proofs) + AFTER_NS
    title = f"{key_of(record)}: {record.text}"
    packets, frames = 0, []
    with PcapngFile(target, title, new=True) as out:
        for segment in recording.evidence_files():
            path = recording.evidence_path(segment)
            if segment.subject or path is None or segment.time_ns > last:
                continue
            for name, linktype, time_ns, raw, wire_length in _packets(path, first, last):
                proof = next((p for p in proofs if p.time_ns == time_ns), None)
                comment = f"{proof.text} ({title})" if proof else "context: a control packet"
                packets += 1
                if proof:
                    frames.append(
                        FrameRecord(
                            frame=packets, time_ns=time_ns, packet=proof.packet, text=proof.text
                        )
                    )
                out.packet(out.interface(name, linktype), time_ns, raw, wire_length, comment)
    if not packets:
        os.unlink(target)
        raise UsageError(
            "evidence", f"no packets were kept for {title}",
            "Packets are kept until --max-size; --no-evidence keeps none.",
        )  # fmt: skip
    return Saved(target, packets, tuple(frames), True)


def _packets(path: Path, first_ns: int, last_ns: int) -> list[tuple[str, int, int, bytes, int]]:
    """(interface, link type, time_ns, bytes, length on the wire) of a file's packets in a span."""
    found: list[tuple[str, int, int, bytes, int]] = []
    try:
        source = open_file(str(path))
    except InputError:
        return found  # it is being written, or damaged
    try:
        while (batch := source.read(0.0)) is not None:
            for row in range(len(batch)):
                time_ns = int(batch.time_ns[row])
                if not first_ns <= time_ns <= last_ns:
                    continue
                start = int(batch.offset[row])
                interface = batch.interfaces[int(batch.interface[row])]
                raw = batch.data[start : start + int(batch.captured[row])].tobytes()
                found.append(
                    (interface.name, interface.linktype, time_ns, raw, int(batch.wire_length[row]))
                )
    except InputError:
        pass  # a truncated block ends it
    finally:
        source.close()
    return found
