"""The content of an evidence file: the packets that prove a finding or violation, and their
context.

Packets kept by the meters in; blocks of pcapng with comments, and the frame numbers of the packets
that prove it, out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from panotui.model import I64, SECOND, EvidenceRecord, FrameRecord
from panotui.recording.pcapng import PcapngFile
from panotui.recording.redacting import COMMENT, Redactor
from panotui.runtime.pipe import PacketRows, Why

SAME_PACKET_NS = 10 * SECOND  # two meters may give different packets the same number
CONTEXT = {
    int(Why.OPENING): "context: how a flow began that this is about",
    int(Why.NAMING): "context: names a host that this is about",
}


class Written(NamedTuple):
    """The content added to a file."""

    packets: int
    frames: tuple[FrameRecord, ...] = ()  # numbers start with 1 at the first of these packets


def write_incident(
    context: PacketRows,
    packets: PacketRows,
    title: str,
    proofs: Sequence[EvidenceRecord],
    file: PcapngFile,
    *,
    redactor: Redactor | None = None,
) -> Written:
    """Write packets that prove something, after those that explain them.

    Each packet named by the evidence gets its text and the `title` as comment; without such a
    packet, the one nearest in time to the first evidence gets them.
    """
    number = np.concatenate([np.frombuffer(rows.number, np.int64) for rows in (context, packets)])
    time_ns = np.concatenate([np.frombuffer(rows.time_ns, np.int64) for rows in (context, packets)])
    found = _frames(number, time_ns, proofs)
    comments = {row: f"{proof.text} ({title})" for row, proof in found.items()}
    if not found and proofs and len(time_ns):
        row = int(np.argmin(np.abs(time_ns - proofs[0].time_ns)))
        found = {row: proofs[0]}
        comments = {row: f"the packet nearest in time to this: {title}"}
    first = len(context.length) // 8
    if redactor is not None:
        look_through((context, packets), redactor)
    _write(context, file, {row: text for row, text in comments.items() if row < first}, redactor)
    after = {row - first: text for row, text in comments.items() if row >= first}
    _write(packets, file, after, redactor)
    frames = [
        FrameRecord(frame=row + 1, time_ns=proof.time_ns, packet=proof.packet, text=proof.text)
        for row, proof in sorted(found.items())
    ]
    return Written(len(number), tuple(frames))


def _frames(
    number: I64, time_ns: I64, proofs: Sequence[EvidenceRecord]
) -> dict[int, EvidenceRecord]:
    """Row of each packet named by the evidence: the first one for each."""
    found: dict[int, EvidenceRecord] = {}
    for proof in proofs:
        if proof.packet is None:
            continue
        rows = np.flatnonzero(number == proof.packet)
        if not len(rows):
            continue
        away = np.abs(time_ns[rows] - proof.time_ns)
        nearest = int(np.argmin(away))
        if away[nearest] <= SAME_PACKET_NS:
            found.setdefault(int(rows[nearest]), proof)
    return found


def write_rows(rows: PacketRows, file: PcapngFile, *, redactor: Redactor | None = None) -> Written:
    """Write packets. With a `redactor`, packets with secrets are redacted."""
    if redactor is not None:
        look_through((rows,), redactor)
    return _write(rows, file, {}, redactor)


def look_through(parts: Sequence[PacketRows], redactor: Redactor) -> None:
    """Show the redactor all packets first: a segment may come before the one in which its secret
    begins.
    """
    for rows in parts:
        for raw, *_rest in _packets(rows):
            redactor.redacted(raw)


def _write(
    rows: PacketRows, file: PcapngFile, comments: dict[int, str], redactor: Redactor | None
) -> Written:
    """`comments` by row precede the comment of a context packet."""
    for row, (raw, wire_length, time_ns, interface) in enumerate(_packets(rows)):
        kept = raw if redactor is None else redactor.redacted(raw)
        said = comments.get(row) or CONTEXT.get(rows.why[row], "")
        if kept is not raw:
            said = "; ".join(filter(None, (said, COMMENT)))
        number = file.interface(*rows.names[interface])
        file.packet(number, time_ns, kept, max(wire_length, len(kept)), said)
    return Written(len(rows.length) // 8)


def _packets(rows: PacketRows) -> Iterator[tuple[bytes, int, int, int]]:
    """(frame, bytes on the wire, time, interface) of each row."""
    length = np.frombuffer(rows.length, np.int64)
    columns = zip(
        np.cumsum(length).tolist(),
        length.tolist(),
        np.frombuffer(rows.wire_length, np.int64).tolist(),
        np.frombuffer(rows.time_ns, np.int64).tolist(),
        np.frombuffer(rows.interface, np.int16).tolist(),
        np.frombuffer(rows.vlan_tci, np.int32).tolist(),
        strict=True,
    )
    for end, size, wire_length, time_ns, interface, vlan_tci in columns:
        raw = rows.data[end - size : end]
        if vlan_tci >= 0 and size >= 14:
            # The NIC removed the tag; put it back.
            raw = raw[:12] + b"\x81\x00" + vlan_tci.to_bytes(2, "big") + raw[12:]
            wire_length += 4
        yield raw, wire_length, time_ns, interface


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
