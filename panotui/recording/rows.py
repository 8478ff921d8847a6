"""Records to rows of `recording.sqlite` and back: packing, samples, one place for each statement.

Bodies are msgpack of the record, snapshots compressed. Fields that samples and events contain
anyway (histories, the event list) are left out of snapshots and filled in again on reading.
"""

from __future__ import annotations

import math
import sqlite3
import zlib
from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

import msgspec

from panotui.model import (
    SECOND,
    EventRecord,
    EvidenceFileRecord,
    FindingRecord,
    FlowRecord,
    FrameRecord,
    Snapshot,
    ViolationRecord,
)
from panotui.recording import packing
from panotui.recording.packing import Unpacker
from panotui.state.strips import Change
from panotui.wire.cleaned import cleaned

R = TypeVar("R", bound=msgspec.Struct)
SNAPSHOT_BYTES_MAX = 64 << 20
EVIDENCE_COLUMNS = "file, subject, title, time_ns, packets, bytes, sha256, frames"

_encoder = msgspec.msgpack.Encoder()
_snapshots = msgspec.msgpack.Decoder(Snapshot)
_flows = msgspec.msgpack.Decoder(FlowRecord)
_events = msgspec.msgpack.Decoder(EventRecord)
_findings = msgspec.msgpack.Decoder(FindingRecord)
_frames = msgspec.msgpack.Decoder(tuple[FrameRecord, ...])
_violations = msgspec.msgpack.Decoder(ViolationRecord)


def snapshot_bytes(snapshot: Snapshot) -> bytes:
    """A snapshot without the data in samples and events."""
    replace = msgspec.structs.replace
    lean = replace(
        snapshot,
        events=(),
        evidence=(),
        ports=tuple(replace(p, history_in_bps=(), history_out_bps=()) for p in snapshot.ports),
        streams=tuple(
            replace(
                s,
                history_bps=(),
                history_lost=(),
                history_frames=(),
                history_frame_bytes=(),
                history_keyframes=(),
            )
            for s in snapshot.streams
        ),
    )
    return _encoder.encode(lean)


def snapshot_of(body: bytes, dictionary: int, unpacker: Unpacker) -> Snapshot:
    """The snapshot of a body; ValueError if it is damaged or far too large."""
    raw = unpacker.unpack(body, dictionary) if dictionary else _inflated(body)
    try:
        return cleaned(_snapshots.decode(raw))
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"a snapshot cannot be read ({error})") from None


def _inflated(body: bytes) -> bytes:
    """Decompresses a body of formats before 6."""
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(body, SNAPSHOT_BYTES_MAX)
    except zlib.error as error:
        raise ValueError(f"a snapshot cannot be read ({error})") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("a snapshot is cut off or too large")
    return raw


def flow_of(body: bytes, dictionary: int, unpacker: Unpacker) -> FlowRecord:
    """The flow of a body; ValueError if it is damaged."""
    return cleaned(_flows.decode(unpacker.unpack(body, dictionary) if dictionary else body))


def event_of(body: bytes) -> EventRecord:
    return cleaned(_events.decode(body))


def finding_of(body: bytes) -> FindingRecord:
    return cleaned(_findings.decode(body))


def violation_of(body: bytes) -> ViolationRecord:
    return cleaned(_violations.decode(body))


def evidence_of(row: tuple[Any, ...]) -> EvidenceFileRecord:
    """The record of a row of `EVIDENCE_COLUMNS`. ValueError if it is damaged."""
    file, subject, title, time_ns, packets, size, sha256, frames = row
    return EvidenceFileRecord(
        file=file, subject=subject, title=title, time_ns=time_ns, packets=packets, bytes=size,
        sha256=sha256, frames=cleaned(_frames.decode(frames)) if frames else (),
    )  # fmt: skip


def upsert_evidence(
    connection: sqlite3.Connection, session: int, record: EvidenceFileRecord
) -> None:
    """New packets are added to those of the file."""
    connection.execute(
        f"INSERT INTO evidence AS was ({EVIDENCE_COLUMNS}, session)"  # noqa: S608 - names of ours
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (file) DO UPDATE SET"
        " packets = was.packets + excluded.packets, bytes = excluded.bytes, sha256 = NULL",
        (
            record.file, record.subject, record.title, record.time_ns, record.packets,
            record.bytes, record.sha256, _encoder.encode(record.frames), session,
        ),
    )  # fmt: skip


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _newest(history: tuple[int | None, ...]) -> int | None:
    """The last whole second's value."""
    return history[-1] if history else None


class Bodies:
    """Packs the bodies of one writer: each hour's snapshots against its first, flows against the
    common parts of the first thousand.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._hour = -1
        self._snapshots: packing.Packer | None = None
        self._flows: packing.Packer | None = None
        self._samples: list[bytes] = []

    def forget(self) -> None:
        """A transaction was rolled back: the dictionaries that it created do not exist."""
        self._snapshots = self._flows = None
        self._hour = -1

    def snapshot(self, session: int, snapshot: Snapshot, *, pinned: bool = False) -> None:
        """Write one. `pinned`: it first shows an event, and is never thinned."""
        raw = snapshot_bytes(snapshot)
        hour = snapshot.time_ns // SECOND // 3_600
        if self._snapshots is None or hour != self._hour:
            self._hour = hour
            self._snapshots = self._packer(raw, packing.SNAPSHOTS)
        self._connection.execute(
            "INSERT OR REPLACE INTO snapshot"
            " (time_ns, session, resolution, body, pinned, dictionary) VALUES (?, ?, 1, ?, ?, ?)",
            (
                snapshot.time_ns, session, self._snapshots.pack(raw), int(pinned),
                self._snapshots.number,
            ),
        )  # fmt: skip

    def flows(self, session: int, flows: Iterable[FlowRecord]) -> None:
        """Write flows in their newest state."""
        written = [(f, _encoder.encode(f)) for f in flows]
        if self._flows is None and written:
            self._samples += [raw for _, raw in written]
            if len(self._samples) >= packing.SAMPLES:
                self._learn()
        packer = self._flows
        self._connection.executemany(
            "INSERT OR REPLACE INTO flow VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    session, f.id, f.first_time_ns, f.last_time_ns, f.end is not None, f.verdict,
                    raw if packer is None else packer.pack(raw),
                    0 if packer is None else packer.number,
                )
                for f, raw in written
            ],
        )  # fmt: skip

    def _learn(self) -> None:
        learnt = packing.trained(self._samples[-packing.SAMPLES :])
        self._samples.clear()
        if learnt is not None:
            self._flows = self._packer(learnt, packing.FLOWS)

    def _packer(self, raw: bytes, kind: str) -> packing.Packer:
        number = packing.add_dictionary(self._connection, raw, kind)
        return packing.Packer(number, raw, kind)


def pin(connection: sqlite3.Connection, time_ns: int) -> None:
    """Keep the snapshot shown at a time."""
    connection.execute(
        "UPDATE snapshot SET pinned = 1 WHERE number ="
        " (SELECT number FROM snapshot WHERE time_ns <= ? ORDER BY time_ns DESC LIMIT 1)",
        (time_ns,),
    )


EndpointStates: TypeAlias = dict[str, tuple[str, float | None]]  # as last written, by name


def insert_samples(
    connection: sqlite3.Connection, session: int, snapshot: Snapshot, states: EndpointStates
) -> None:
    """One row per port, per stream and one in total, for the second of this snapshot; for endpoints
    only those that changed since `states`, which is updated.
    """
    second = snapshot.time_ns // SECOND
    connection.executemany(
        "INSERT OR REPLACE INTO port_sample VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                second,
                p.name,
                p.state,
                _finite(p.rate_in_bps),
                _finite(p.rate_out_bps),
                p.packets_in,
                p.packets_out,
                session,
            )
            for p in snapshot.ports
        ],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO stream_sample"
        " VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                second,
                s.id,
                s.state,
                s.camera,
                _finite(s.rate_bps),
                _finite(s.loss_now),
                _finite(s.jitter_ms),
                _finite(s.fps_now),
                s.packets,
                s.lost,
                _newest(s.history_lost),
                _newest(s.history_frames),
                _newest(s.history_keyframes),
                _newest(s.history_frame_bytes),
                session,
            )
            for s in snapshot.streams
            # A stream that ended long ago does not change; its last state is in the snapshots.
            if s.state != "ended" or snapshot.time_ns - s.last_time_ns < 60 * SECOND
        ],
    )
    changed = {
        name: now
        for e in snapshot.endpoints
        if states.get(name := f"{e.service}/{e.host}/{e.port}")
        != (now := (e.state, _finite(e.rtt_ms)))
    }
    states.update(changed)
    connection.executemany(
        "INSERT OR REPLACE INTO endpoint_sample VALUES (?, 0, ?, ?, ?, ?)",
        [(second, name, state, rtt_ms, session) for name, (state, rtt_ms) in changed.items()],
    )
    counts = snapshot.counts
    connection.execute(
        "INSERT OR REPLACE INTO summary_sample VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?)",
        (
            second,
            session,
            snapshot.source.packets,
            snapshot.source.bytes,
            snapshot.source.lost,
            counts.flows_live,
            counts.violations_open,
            counts.findings_open,
        ),
    )


def insert_changes(connection: sqlite3.Connection, session: int, changes: Iterable[Change]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO strip VALUES (?, ?, ?, ?)",
        [(session, change.key, change.time_s, int(change.cell)) for change in changes],
    )


def insert_flow_samples(
    connection: sqlite3.Connection, session: int, second: int, flows: Iterable[FlowRecord]
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO flow_sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                session,
                f.id,
                second,
                f.packets_out,
                f.packets_in,
                f.bytes_out,
                f.bytes_in,
                f.verdict,
                f.state,
            )
            for f in flows
        ],
    )


def insert_events(
    connection: sqlite3.Connection, session: int, events: Iterable[EventRecord], told_ns: int
) -> None:
    """`told_ns`: the time of the snapshot that first shows them; an updated event keeps its own."""
    connection.executemany(
        "INSERT INTO event (session, number, time_ns, severity, kind, body, told_ns)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET severity = excluded.severity,"
        " body = excluded.body",
        [
            (session, e.number, e.time_ns, e.severity, e.kind, _encoder.encode(e), told_ns)
            for e in events
        ],
    )


def upsert_findings(
    connection: sqlite3.Connection, session: int, findings: Iterable[FindingRecord]
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO finding VALUES (?, ?, ?, ?, ?)",
        [
            (
                session,
                f.name,
                f.first_time_ns,
                f.cleared_time_ns,
                _encoder.encode(f),
            )
            for f in findings
        ],
    )


def delete_findings(
    connection: sqlite3.Connection, session: int, keys: Iterable[tuple[str, int]]
) -> None:
    """Forget findings by (name, first_time_ns)."""
    connection.executemany(
        "DELETE FROM finding WHERE session = ? AND key = ? AND first_ns = ?",
        [(session, name, first_ns) for name, first_ns in keys],
    )


def upsert_violations(
    connection: sqlite3.Connection, session: int, violations: Iterable[ViolationRecord]
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO violation VALUES (?, ?, ?, ?, ?)",
        [(session, v.id, v.first_time_ns, v.last_time_ns, _encoder.encode(v)) for v in violations],
    )


def number_of(text: str | None) -> int:
    """A value of `meta` that is a time; 0 if it is none."""
    return int(text) if text and text.isdecimal() and len(text) < 20 else 0


META = "SELECT CAST(value AS BLOB) FROM meta WHERE key = ?"


def set_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def get_meta(connection: sqlite3.Connection, key: str) -> str | None:
    """One line, or the site file unchanged: with its line ends, so it is parsed and never
    displayed.
    """
    row: Any = connection.execute(META, (key,)).fetchone()
    return None if row is None else bytes(row[0]).decode("utf-8", "replace")
