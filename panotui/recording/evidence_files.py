"""What an evidence file says of its packets: which prove the matter, and what the others are.

Packets kept by the meters in, blocks of pcapng with a comment on each packet that has something to
say out, and the frame numbers of those that prove it.
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

SAME_PACKET_NS = 10 * SECOND  # two meters may number different packets alike
CONTEXT = {
    int(Why.OPENING): "context: how a flow began that this is about",
    int(Why.NAMING): "context: names a host that this is about",
}


class Written(NamedTuple):
    """What a file was given."""

    packets: int
    frames: tuple[FrameRecord, ...] = ()  # numbers begin with 1 at the first of these packets


def write_incident(
    context: PacketRows,
    packets: PacketRows,
    title: str,
    proofs: Sequence[EvidenceRecord],
    file: PcapngFile,
    *,
    redactor: Redactor | None = None,
) -> Written:
    """Write packets that prove something behind those that explain them.

    Each packet that a proof names gets its text and the `title` as comment; where none is there,
    the packet nearest in time to the first proof says so.
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
    """Row of each packet that a proof names: the first proof of each."""
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
    """Write packets. With a `redactor`, those that hold secrets are written without."""
    if redactor is not None:
        look_through((rows,), redactor)
    return _write(rows, file, {}, redactor)


def look_through(parts: Sequence[PacketRows], redactor: Redactor) -> None:
    """Show the redactor all packets first: a segment may come before the one whose secret it
    ends."""
    for rows in parts:
        for raw, *_rest in _packets(rows):
            redactor.redacted(raw)


def _write(
    rows: PacketRows, file: PcapngFile, comments: dict[int, str], redactor: Redactor | None
) -> Written:
    """`comments` by row stand before what a packet of the context says of itself."""
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
            # The interface took the tag off; put it back where it was.
            raw = raw[:12] + b"\x81\x00" + vlan_tci.to_bytes(2, "big") + raw[12:]
            wire_length += 4
        yield raw, wire_length, time_ns, interface


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
