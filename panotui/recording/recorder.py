"""The only writer of a recording: snapshots, flows and events of each second in, a folder out.

The collector passes one `Second` per second of packet time and continues; a separate thread packs,
writes and commits, so that a slow disk never delays the capture. Live, each second is a
transaction, and so are the flows of its first half: after `kill -9` less than a second of packets
is missing. When the disk is full it writes only samples, reports this in `status()`, and resumes
everything when there is room again.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from panotui import __version__
from panotui.model import (
    SECOND,
    EventRecord,
    EvidenceFileRecord,
    FindingRecord,
    FlowRecord,
    RecorderRecord,
    Snapshot,
    ViolationRecord,
)
from panotui.recording import folder as folders
from panotui.recording import parts, rows
from panotui.recording.evidence_files import sha256_of
from panotui.recording.items import (
    Evidence,
    Flush,
    Item,
    Known,
    Mark,
    Part,
    Second,
    is_stop,
    join,
)
from panotui.recording.pcapng import PcapngFile, repair
from panotui.recording.retention import (
    FULL,
    Limits,
    enforce,
    evidence_size_of,
    free_of,
    roll_up,
    size_of,
)
from panotui.state.strips import Changes
from panotui.wire.text import printable

QUEUE_SECONDS = 16
FLOW_SAMPLE_S = 10
FLOWS_SAMPLED = 1_000
EVIDENCE_KNOWN = 1_000  # newest evidence files known to `evidence_of`
SAMPLES_KEPT = 600  # seconds held in memory while the disk refuses
EVENTS_KEPT = 5_000  # held in memory while the disk refuses
RESERVE_BYTES = 4 << 20  # largest reserve: released when the disk is full, so that samples continue
RETRY_S = 10.0
REFUSED_MOST_S = 8.0  # a disk that is not full and refuses for longer counts as gone
HOUSEKEEPING_S = 30.0
HOUSEKEEPING_NS = 600 * SECOND  # of packet time, if that runs faster
GAP_NS = 5 * SECOND  # between two seconds, live: longer, and nothing was written meanwhile
HAND_OVER_S = 1.0  # how long a hand-over waits before checking that the worker lives


class _GoneError(Exception):
    """The folder or disk is gone."""


class Recorder:
    """Owns a recording folder until `close`."""

    def __init__(
        self,
        folder: Path,
        *,
        handle: int | None = None,
        site_text: str = "",
        limits: Limits | None = None,
        lossless: bool = False,
        commit_every_s: float = 0.0,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Open or create `folder`, exclusively. `handle`, an open folder, replaces the name, which
        a process that gave up root may not reach any more. It is closed with the recorder.

        `lossless`: wait for the disk instead of merging seconds (captures, not live). UsageError if
        another recorder holds it, InputError for an unusable database.
        """
        self.name = folder.name
        self.limits = limits or Limits()
        self._reserve_bytes = min(RESERVE_BYTES, self.limits.size_bytes // 32)
        self._lossless = lossless
        self._commit_every_s = commit_every_s
        self._wall_clock = wall_clock
        if handle is None:
            folders.prepare(folder, folder)
            self._handle, self.folder = folders.held_open(folder)
        else:
            self._handle, self.folder = handle, Path(f"/proc/self/fd/{handle}")
            folders.prepare(self.folder, folder)
        self._lock = folders.lock(self.folder, folder)
        try:
            self._connection = folders.open_for_writing(self.folder, folder)
            # data waiting in the log counts too: 4 KB per page, a hundredth of the limit
            pages = max(16, min(256, self.limits.size_bytes // 400_000))
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
            opened = os.stat(self.folder / parts.DATABASE)
            self._database = (opened.st_dev, opened.st_ino)
            for torn in sorted((self.folder / parts.EVIDENCE).glob("*.pcapng"))[-3:]:
                repair(torn)
            self._session = self._begin(site_text)
            self._known = {str(k) for (k,) in self._connection.execute("SELECT key FROM known")}
        except BaseException:
            os.close(self._lock)
            folders.let_go(self._handle)
            raise
        self._since_ns = wall_clock()
        self._state = "recording"
        self._detail: str | None = None
        self._disk_low = False
        self._measure()
        self._queue: queue.Queue[Item | None] = queue.Queue(QUEUE_SECONDS)
        self._joined: Second | None = None
        self._failure: str | None = None
        self._closing = False
        self.refused = 0  # items that could not be written because of their content
        # --- only for the worker
        self._findings: dict[tuple[str, int], FindingRecord] = {}
        self._violations: dict[str, ViolationRecord] = {}
        self._strips = Changes()
        self._bodies = rows.Bodies(self._connection)
        self._endpoints: rows.EndpointStates = {}
        self._changed: dict[str, FlowRecord] = {}
        self._held: deque[Snapshot] = deque(maxlen=SAMPLES_KEPT)
        self._untold: deque[EventRecord] = deque(maxlen=EVENTS_KEPT)
        self._segment: tuple[str, PcapngFile] | None = None
        self._kept: OrderedDict[tuple[str, int], EvidenceFileRecord] = OrderedDict()
        self._last_ns = 0
        self._ahead_ns = 0  # offset of the wall clock as last written
        self._slept_ns = 0
        self._unwritten_since_ns: int | None = None
        self._in_transaction = False
        self._committed_at = time.monotonic()
        self._retry_at = 0.0
        self._refused_since: float | None = None  # by a disk that is not full
        self._housekeeping_at = 0.0
        self._housekept_ns = 0
        self._rolled_s = 0
        self._reserve()
        # Started with the first item: privileges are per thread, and may be dropped before.
        self._worker = threading.Thread(target=self._work, name="recorder", daemon=True)

    # ------------------------------------------------------------------ called by the collector

    def observe(
        self,
        snapshot: Snapshot,
        flows: Sequence[FlowRecord] = (),
        events: Sequence[EventRecord] = (),
    ) -> None:
        """Queue a second. Never waits when live: seconds without room are merged."""
        self._start()
        second = Second(snapshot, list(flows), list(events))
        if self._lossless:
            self._put(second)
            return
        if self._joined is not None:
            second = join(self._joined, second)
            self._joined = None
        try:
            self._queue.put_nowait(second)
        except queue.Full:
            self._joined = second

    def observe_part(self, time_ns: int, flows: Sequence[FlowRecord]) -> None:
        """Queue flows within a second that is not over; skipped without room."""
        if self._joined is None:
            self._offer(Part(time_ns, list(flows)))

    def mark(self, time_ns: int, text: str) -> None:
        self._offer(Mark(time_ns, text))

    def known(self, key: str, is_known: bool) -> None:
        self._offer(Known(key, is_known))

    def keep(self, evidence: Evidence) -> bool:
        """Offer packets for a file; false if there is no room for them now."""
        if self._state != "recording" or self._disk_low:
            return False
        return self._offer(evidence)

    def status(self) -> RecorderRecord:
        return RecorderRecord(
            path=self.name,
            since_ns=self._since_ns,
            bytes=self._bytes,
            evidence_bytes=self._evidence_bytes,
            state=self._state,
            detail=self._detail,
        )

    def evidence_of(self, subject: str, since_ns: int) -> EvidenceFileRecord | None:
        """The written file with the packets of a finding or violation that began then."""
        return self._kept.get((subject, since_ns))

    def known_keys(self) -> set[str]:
        """Keys that users marked as known in earlier runs."""
        return set(self._known)

    @property
    def failure(self) -> str | None:
        """Why nothing is written any more, if the worker has ended unexpectedly; else None."""
        if self._failure is not None:
            return self._failure
        if self._worker.ident is not None and not self._worker.is_alive() and not self._closing:
            return "its writer has ended"
        return None

    def _start(self) -> None:
        if self._worker.ident is None:
            self._worker.start()

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything queued is on disk."""
        self._start()
        self._release_joined()
        done = threading.Event()
        if self._put(Flush(done)):
            deadline = time.monotonic() + timeout_s
            while self._worker.is_alive() and time.monotonic() < deadline:
                if done.wait(HAND_OVER_S):
                    return

    def close(self, ended: str = "closed") -> None:
        """Write the rest, end the session as `ended`, release the folder."""
        self._start()
        self._closing = True
        self._release_joined()
        if self._put(None):
            self._worker.join(60.0)
        try:
            self._write_end(ended)
        except sqlite3.Error:
            pass  # a full disk: the session ends with its last commit
        self._connection.close()
        self._state = "stopped"
        (self.folder / parts.RESERVE).unlink(missing_ok=True)
        os.close(self._lock)
        folders.let_go(self._handle)

    def _offer(self, item: Part | Mark | Known | Evidence) -> bool:
        self._start()
        try:
            if self._lossless:
                return self._put(item)
            self._queue.put_nowait(item)
        except queue.Full:
            return False
        return True

    def _put(self, item: Item | None) -> bool:
        """Wait for room for an item; false if the worker has ended."""
        while self._worker.is_alive():
            try:
                self._queue.put(item, timeout=HAND_OVER_S)
            except queue.Full:
                continue
            return True
        return False

    def _release_joined(self) -> None:
        if self._joined is not None:
            self._put(self._joined)
            self._joined = None

    # ------------------------------------------------------------------ session

    def _begin(self, site_text: str) -> int:
        now = self._wall_clock()
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        cursor = connection.execute(
            "INSERT INTO session (start_ns, end_ns, wall_start_ns, wall_end_ns, version, ended)"
            " VALUES (0, 0, ?, ?, ?, 'killed')",
            (now, now, __version__),
        )
        rows.set_meta(connection, "panotui", __version__)
        if site_text:
            rows.set_meta(connection, "site", site_text)
        connection.execute("COMMIT")
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _write_end(self, ended: str) -> None:
        self._connection.execute(
            "UPDATE session SET ended = ?, wall_end_ns = ? WHERE id = ?",
            (ended, self._wall_clock(), self._session),
        )
        # A session without a second contains nothing.
        self._connection.execute("DELETE FROM session WHERE start_ns = 0")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _reserve(self) -> None:
        """Reserve disk space that can be released when the disk is full."""
        path = self.folder / parts.RESERVE
        try:
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._reserve_bytes)
        except OSError:
            path.unlink(missing_ok=True)

    # ------------------------------------------------------------------ the worker

    def _work(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                self._take(item)
            self._guarded(self._close_segment)
            self._guarded(self._commit)
        except _GoneError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is: nothing is written from now on
            self._fail(f"its writer has ended ({printable(repr(error))})")

    def _fail(self, why: str) -> None:
        self._failure = why
        self._state, self._detail = "failed", why

    def _take(self, item: Item) -> None:
        """Write one item. One that cannot be written because of its content is dropped alone."""
        try:
            if isinstance(item, Flush):
                self._guarded(self._commit)
                item.done.set()
            elif isinstance(item, Second):
                self._second(item)
            elif isinstance(item, Part):
                # a session begins with a complete second, and a full disk is not asked for less
                if self._last_ns and self._state == "recording":
                    self._guarded(partial(self._part, item))
            elif isinstance(item, Evidence):
                self._guarded(partial(self._evidence, item))
            else:
                self._guarded(partial(self._note, item))
        except (OverflowError, ValueError, TypeError) as error:
            self.refused += 1
            self._roll_back()
            self._detail = f"{self.refused} items could not be written ({printable(repr(error))})"

    def _second(self, second: Second) -> None:
        self._look_for_database()
        snapshot = second.snapshot
        for flow in second.flows:
            self._changed[flow.id] = flow
        if self._state == "recording":
            if not self._guarded(lambda: self._write_all(second)):
                self._hold(second)
        else:
            self._hold(second)
            if time.monotonic() >= self._retry_at:
                self._retry(second)
            elif len(self._held) >= FLOW_SAMPLE_S:
                self._guarded(self._write_held)
        self._last_ns = snapshot.time_ns
        if (
            self._is_large()
            or time.monotonic() >= self._housekeeping_at
            or (snapshot.time_ns - self._housekept_ns >= HOUSEKEEPING_NS)
        ):
            self._guarded(lambda: self._housekeeping(snapshot.time_ns))

    def _is_large(self) -> bool:
        """Whether it has grown past its limit since the last check; called each second."""
        try:
            sizes = [os.stat(self.folder / name).st_size for name in (parts.DATABASE, parts.LOG)]
        except OSError:
            return False
        grown = self._bytes - self._bytes_database + sum(sizes) + self._bytes_evidence
        return grown > self.limits.size_bytes * FULL

    def _measure(self) -> None:
        self._bytes = size_of(self.folder)
        self._evidence_bytes = evidence_size_of(self.folder)
        self._bytes_evidence = 0
        self._bytes_database = sum(
            path.stat().st_size
            for name in (parts.DATABASE, parts.LOG)
            if (path := self.folder / name).exists()
        )

    def _hold(self, second: Second) -> None:
        """Keep data that must not be lost while the disk refuses."""
        self._held.append(second.snapshot)
        self._untold.extend(second.events)

    def _look_for_database(self) -> None:
        """SQLite keeps writing into a file that was deleted or moved: nobody would notice."""
        try:
            found = os.stat(self.folder / parts.DATABASE)
        except OSError as error:
            raise _GoneError(f"its database is gone ({error.strerror})") from None
        if (found.st_dev, found.st_ino) != self._database:
            raise _GoneError("its database was replaced by another")

    def _write_all(self, second: Second) -> None:
        snapshot = second.snapshot
        connection = self._connection
        self._open_transaction()
        if self._held:
            self._write_held_rows()
        self._write_samples(snapshot)
        # if the second is written again they are reported twice: their numbers make them one
        events = [*self._untold, *second.events]
        self._bodies.snapshot(self._session, snapshot, pinned=any(map(is_stop, events)))
        self._bodies.flows(self._session, second.flows)
        rows.insert_events(connection, self._session, events, snapshot.time_ns)
        self._write_news(snapshot)
        self._write_clock(snapshot)
        second_s = snapshot.time_ns // SECOND
        if second_s % FLOW_SAMPLE_S == 0 or self._last_ns // SECOND // FLOW_SAMPLE_S != (
            second_s // FLOW_SAMPLE_S
        ):
            self._write_flow_samples(second_s)
        self._extend_session(snapshot.time_ns)
        self._commit_when_due()
        self._held.clear()
        self._untold.clear()
        # only now: a failed second is written again
        self._ahead_ns, self._slept_ns = snapshot.source.clock_stepped_ns, snapshot.source.slept_ns

    def _write_samples(self, snapshot: Snapshot) -> None:
        rows.insert_samples(self._connection, self._session, snapshot, self._endpoints)
        rows.insert_changes(self._connection, self._session, self._strips.add(snapshot))

    def _write_clock(self, snapshot: Snapshot) -> None:
        """Store the wall clock's offset from packet time, and unobserved times."""
        ahead, slept = snapshot.source.clock_stepped_ns, snapshot.source.slept_ns
        if ahead != self._ahead_ns:
            self._connection.execute(
                "INSERT INTO clock VALUES (?, ?, ?)", (self._session, snapshot.time_ns, ahead)
            )
        if not self._last_ns:
            return
        gap = self._last_ns, snapshot.time_ns
        if slept > self._slept_ns:
            self._insert_gap(*gap, "the machine slept")
        elif not self._lossless and gap[1] - gap[0] > GAP_NS and not self._held:
            self._insert_gap(*gap, "no second was written")

    def _write_news(self, snapshot: Snapshot) -> None:
        findings = [
            f for f in snapshot.findings if self._findings.get((f.name, f.first_time_ns)) != f
        ]
        now = {(f.name, f.first_time_ns): f for f in snapshot.findings}
        began: dict[str, int] = {}
        for name, first_ns in now:
            began[name] = min(first_ns, began.get(name, first_ns))
        # a corrected, earlier start is the same period; a later start is a new one
        moved = [
            key
            for key, was in self._findings.items()
            if was.cleared_time_ns is None and key not in now and began.get(key[0], key[1]) < key[1]
        ]
        rows.delete_findings(self._connection, self._session, moved)
        rows.upsert_findings(self._connection, self._session, findings)
        violations = [v for v in snapshot.violations if self._violations.get(v.id) != v]
        rows.upsert_violations(self._connection, self._session, violations)
        # Only after the statements succeeded: a failed second is written again.
        self._findings = now
        self._violations = {v.id: v for v in snapshot.violations}

    def _write_flow_samples(self, second_s: int) -> None:
        # a past one is represented by its last state only
        flows = [flow for flow in self._changed.values() if flow.end is None]
        if len(flows) > FLOWS_SAMPLED:
            flows.sort(key=lambda f: f.bytes_out + f.bytes_in, reverse=True)
            del flows[FLOWS_SAMPLED:]
        rows.insert_flow_samples(self._connection, self._session, second_s, flows)
        self._changed.clear()

    def _extend_session(self, time_ns: int) -> None:
        self._connection.execute(
            "UPDATE session SET"
            " start_ns = CASE start_ns WHEN 0 THEN :now ELSE min(start_ns, :now) END,"
            " end_ns = max(end_ns, :now), wall_end_ns = :wall WHERE id = :session",
            {"now": time_ns, "wall": self._wall_clock(), "session": self._session},
        )

    def _part(self, part: Part) -> None:
        self._open_transaction()
        self._bodies.flows(self._session, part.flows)
        self._extend_session(part.time_ns)
        self._commit_when_due()

    def _note(self, item: Mark | Known) -> None:
        self._open_transaction()
        if isinstance(item, Mark):
            self._connection.execute("INSERT INTO mark VALUES (?, ?)", (item.time_ns, item.text))
            rows.pin(self._connection, item.time_ns)
        elif item.is_known:
            self._connection.execute("INSERT OR REPLACE INTO known VALUES (?)", (item.key,))
        else:
            self._connection.execute("DELETE FROM known WHERE key = ?", (item.key,))
        self._commit()

    def _evidence(self, item: Evidence) -> None:
        path = self.folder / parts.EVIDENCE / item.file
        sha256: str | None = None
        before = path.stat().st_size if path.exists() else 0
        if item.stays_open:
            if self._segment is None or self._segment[0] != item.file:
                self._close_segment()
                self._segment = (item.file, PcapngFile(path, item.title))
            written = item.write(self._segment[1])
            self._segment[1].flush()
        else:
            # An earlier run may have had a file with this name: frame numbers restart in each.
            number = 1
            while path.exists():
                number += 1
                path = path.with_name(f"{item.file.removesuffix('.pcapng')}-{number}.pcapng")
            with PcapngFile(path, item.title) as file:
                written = item.write(file)
            sha256 = sha256_of(path)
        self._open_transaction()
        record = EvidenceFileRecord(
            file=path.name, subject=item.subject, title=item.title, time_ns=item.time_ns,
            packets=written.packets, bytes=path.stat().st_size, sha256=sha256,
            frames=written.frames,
        )  # fmt: skip
        rows.upsert_evidence(self._connection, self._session, record)
        self._bytes_evidence += record.bytes - (before if item.stays_open else 0)
        if item.subject:
            self._kept[item.subject, item.time_ns] = record
            if len(self._kept) > EVIDENCE_KNOWN:
                self._kept.popitem(last=False)
        self._commit_when_due()

    def _close_segment(self) -> None:
        if self._segment is None:
            return
        name, file = self._segment
        self._segment = None
        file.close()
        sha256 = sha256_of(self.folder / parts.EVIDENCE / name)
        self._open_transaction()
        self._connection.execute("UPDATE evidence SET sha256 = ? WHERE file = ?", (sha256, name))
        self._commit_when_due()

    # ------------------------------------------------------------------ transactions

    def _open_transaction(self) -> None:
        if not self._in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
            self._in_transaction = True

    def _commit_when_due(self) -> None:
        if (
            self._commit_every_s <= 0
            or time.monotonic() - self._committed_at >= self._commit_every_s
        ):
            self._commit()

    def _commit(self) -> None:
        if self._in_transaction:
            self._connection.execute("COMMIT")
            self._in_transaction = False
        self._committed_at = time.monotonic()

    def _guarded(self, work: Callable[[], None]) -> bool:
        """Run it; if the disk refuses, roll back, switch to samples only and return false."""
        try:
            work()
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            self._degrade(error)
            return False
        return True

    def _roll_back(self) -> None:
        self._in_transaction = False
        self._findings = {}
        self._violations = {}
        self._strips.forget()
        self._bodies.forget()
        self._endpoints.clear()
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the failure has rolled back already

    def _degrade(self, error: Exception) -> None:
        (self.folder / parts.RESERVE).unlink(missing_ok=True)
        if self._state == "recording":
            self._unwritten_since_ns = self._last_ns or None
        self._state = "samples-only"
        try:
            self._close_segment()
        except (OSError, sqlite3.Error):
            pass  # its buffered data is lost with the full disk
        why = "the disk is full" if _is_full(error) else f"the disk refuses ({error})"
        self._detail = f"{why}: evidence, flows and snapshots pause"
        self._retry_at = time.monotonic() + RETRY_S
        self._look_whether_gone()

    def _look_whether_gone(self) -> None:
        """A disk that is not full and refuses even a few bytes for so long is gone."""
        try:
            folders.try_writing(self.folder)
        except OSError as error:
            if not _is_full(error):
                now = time.monotonic()
                self._refused_since = self._refused_since or now
                self._detail = f"the disk refuses ({error.strerror}): nothing is written"
                if now - self._refused_since >= REFUSED_MOST_S:
                    raise _GoneError(f"its disk cannot be written ({error.strerror})") from None
                return
        self._refused_since = None

    def _write_held(self) -> None:
        self._open_transaction()
        self._write_held_rows()
        self._commit()
        self._held.clear()

    def _write_held_rows(self) -> None:
        for snapshot in self._held:
            self._write_samples(snapshot)
            self._extend_session(snapshot.time_ns)

    def _retry(self, second: Second) -> None:
        """Check whether everything can be written again."""
        self._retry_at = time.monotonic() + RETRY_S
        if free_of(self.folder) < 2 * self._reserve_bytes:
            self._guarded(self._write_held)
            return
        self._state = "recording"
        if not self._guarded(lambda: self._write_all(second)):
            return
        self._detail = self._refused_since = None
        if self._unwritten_since_ns is not None:
            since = self._unwritten_since_ns
            self._unwritten_since_ns = None
            self._guarded(lambda: self._write_gap(since, second.snapshot.time_ns))
        self._reserve()

    def _write_gap(self, start_ns: int, end_ns: int) -> None:
        self._open_transaction()
        self._insert_gap(start_ns, end_ns, f"{parts.SAMPLES_ONLY}: the disk was full")
        self._commit()

    def _insert_gap(self, start_ns: int, end_ns: int, reason: str) -> None:
        self._connection.execute("INSERT INTO gap VALUES (?, ?, ?)", (start_ns, end_ns, reason))

    def _housekeeping(self, time_ns: int) -> None:
        self._housekeeping_at = time.monotonic() + HOUSEKEEPING_S
        self._housekept_ns = time_ns
        self._commit()
        now_s = time_ns // SECOND
        if now_s - self._rolled_s >= 60:
            self._rolled_s = now_s
            self._open_transaction()
            roll_up(self._connection, now_s, self.limits)
            self._commit()
        free = free_of(self.folder)
        writing = None if self._segment is None else self._segment[0]
        enforce(self._connection, self.folder, time_ns, self.limits, free, writing)
        self._measure()
        if self._state == "recording":
            self._disk_low = free < self.limits.free_bytes
            self._detail = "little disk left: no evidence is kept" if self._disk_low else None


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (28, 27, 122)  # ENOSPC, EFBIG, EDQUOT
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
