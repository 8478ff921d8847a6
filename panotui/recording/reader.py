"""Reads a recording: a time in, the state at that time out.

A recording of any length opens in well under a second, because nothing is read ahead: snapshots,
flows, samples and events are found by index. Times that were not recorded (the recorder was off,
the disk was full, retention removed them) are returned as gaps, never as silence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from panotui.errors import InputError
from panotui.model import (
    SECOND,
    EventRecord,
    EvidenceFileRecord,
    FindingRecord,
    FlowRecord,
    Snapshot,
    StreamRecord,
    ViolationRecord,
)
from panotui.recording import folder as folders
from panotui.recording import parts, rows
from panotui.recording.event_numbers import numbered, own_number, whole_number
from panotui.recording.evidence_files import sha256_of
from panotui.recording.packing import Unpacker
from panotui.recording.queries import ALIVE, alive, stands_for
from panotui.recording.retention import FLOW_SAMPLES, thinned_key
from panotui.recording.schema import DAMAGE
from panotui.recording.states import LETTERS, rank
from panotui.state.leads import events_without_counts, leads_nowhere, with_evidence
from panotui.state.marks import Marks
from panotui.state.strips import Cell, Change

FLOWS_MAX = 5_000  # of one time
EVENTS_IN_SNAPSHOT = 300
EVENTS_SHOWN = 5_000
HISTORY_S = 300
SNAPSHOTS_TRIED = 60  # of a damaged stretch before giving up

R = TypeVar("R")


class Session(Struct, frozen=True):
    """One run of the recorder."""

    id: int
    start_ns: int
    end_ns: int
    version: str
    ended: str


class Recording:
    """A recording opened for reading.

    Damage affects only the damaged rows: a row that cannot be read is skipped and counted in
    `damaged`.
    """

    def __init__(self, path: Path) -> None:
        """InputError if there is nothing to read; see `folder.open_for_reading`."""
        self.path = path
        self.damaged = 0  # rows and pages that could not be read so far
        self._connection = folders.open_for_reading(path)
        self._unpacker = Unpacker(self._connection)
        self.refresh()
        if not self.sessions:
            why = "its database is damaged" if self.damaged else "nothing was recorded yet"
            raise InputError(str(path), why)
        self.known = Marks(self._known_keys())

    def refresh(self) -> None:
        """Update the end of the recording (a recorder may be writing). Sessions are in the order of
        writing, because the clock may have been wrong in one of them.
        """
        self.sessions = tuple(
            Session(*row)
            for row in self._rows(
                "SELECT id, start_ns, end_ns, version, ended FROM session"
                " WHERE start_ns > 0 ORDER BY id",
                kinds=(int, int, int, str, str),
            )
        )

    def _rows(
        self,
        query: str,
        values: Sequence[Any] | Mapping[str, Any] = (),
        kinds: tuple[type | None, ...] = (),
    ) -> Iterator[tuple[Any, ...]]:
        """The readable rows of a query, with the given `kinds` of columns (None: anything).

        A column of another kind drops its row, a damaged page the rows after it.
        """
        try:
            for row in self._connection.execute(query, values):
                if all(k is None or isinstance(v, k) for v, k in zip(row, kinds, strict=False)):
                    yield row
                else:
                    self.damaged += 1
        except (*DAMAGE, OverflowError):
            self.damaged += 1

    def _meta(self, key: str) -> str:
        """That value of the whole recording; empty if it is missing or unreadable."""
        found = self._rows(rows.META, (key,), kinds=(bytes,))
        return next((value.decode("utf-8", "replace") for (value,) in found), "")

    def _snapshot_of(self, packed: Sequence[Any]) -> Snapshot:
        return rows.snapshot_of(packed[0], packed[1], self._unpacker)

    def _flow_of(self, packed: Sequence[Any]) -> FlowRecord:
        return rows.flow_of(packed[0], packed[1], self._unpacker)

    def _read(self, read: Callable[[Any], R], bodies: Iterable[tuple[Any, ...]]) -> Iterator[R]:
        """The readable records of (body,) rows."""
        for (body,) in bodies:
            try:
                yield read(body)
            except (ValueError, TypeError, RecursionError):  # msgspec's errors are ValueErrors
                self.damaged += 1

    @property
    def start_ns(self) -> int:
        """Its start; later than the first session if retention removed the beginning."""
        removed = rows.number_of(self._meta("removed_before_ns"))
        return max(min(session.start_ns for session in self.sessions), removed)

    @property
    def end_ns(self) -> int:
        return max(session.end_ns for session in self.sessions)

    @property
    def newest_ns(self) -> int:
        """The time that was written last; earlier than `end_ns` if the clock was wrong."""
        return self.sessions[-1].end_ns

    @property
    def site_text(self) -> str:
        return self._meta("site")

    @cached_property
    def captured(self) -> bool:
        """Whether it was made from captures, whose packets can be looked up by number."""
        before = self.damaged
        try:
            return not leads_nowhere(self._snapshot_near(1 << 62)[1])
        except InputError:
            return False
        finally:
            self.damaged = before  # damage is counted elsewhere

    def close(self) -> None:
        self._connection.close()

    # ------------------------------------------------------------------ state at a time

    def snapshot_at(self, time_ns: int) -> Snapshot:
        """The last snapshot at or before a time (the first one if there is none before); after the
        end the last one written, whatever the clock said.

        Events up to that time and the histories of ports and streams are filled in from their
        tables. InputError if the recording has no snapshot.
        """
        return self._filled(*self._snapshot_near(time_ns))

    def _filled(self, session: int, snapshot: Snapshot) -> Snapshot:
        replace = msgspec.structs.replace
        end = snapshot.time_ns
        shown = with_evidence(self.known.over_snapshot(snapshot), self._evidence_of)
        return replace(
            shown,
            events=self._events_of(session, end),
            ports=tuple(
                replace(
                    port,
                    history_in_bps=self._history(
                        "port_sample", "rate_in_bps", port.name, end, session
                    ),
                    history_out_bps=self._history(
                        "port_sample", "rate_out_bps", port.name, end, session
                    ),
                )
                for port in shown.ports
            ),
            streams=tuple(
                replace(
                    stream,
                    history_bps=self._history("stream_sample", "rate_bps", stream.id, end, session),
                    history_lost=self._counts("lost_s", stream.id, end, session),
                    history_frames=self._counts("frames_s", stream.id, end, session),
                    history_keyframes=self._counts("keyframes_s", stream.id, end, session),
                    history_frame_bytes=self._counts("frame_bytes", stream.id, end, session),
                )
                for stream in shown.streams
            ),
        )

    def _evidence_of(self, subject: str, since_ns: int) -> EvidenceFileRecord | None:
        found = self._evidence_where("subject = ? AND time_ns = ?", (subject, since_ns))
        return found[-1] if found else None

    def _evidence_where(self, where: str, values: tuple[Any, ...]) -> list[EvidenceFileRecord]:
        found: list[EvidenceFileRecord] = []
        for row in self._rows(
            f"SELECT {rows.EVIDENCE_COLUMNS} FROM evidence WHERE {where}"  # noqa: S608 - names of ours
            " ORDER BY time_ns, file",
            values,
        ):
            found += self._read(rows.evidence_of, [(row,)])
        return found

    def _snapshot_near(self, time_ns: int) -> tuple[int, Snapshot]:
        """(session, snapshot): the last readable one before a time, else the first one after."""
        for where, order in (
            ("session = ? AND time_ns <= ?", "DESC"),
            ("? IS NOT NULL AND time_ns <= ?", "DESC"),
            ("? IS NOT NULL AND time_ns > ?", "ASC"),
        ):
            for session, *body in self._rows(
                f"SELECT session, body, dictionary FROM snapshot WHERE {where}"  # noqa: S608 - text of ours
                f" ORDER BY time_ns {order} LIMIT {SNAPSHOTS_TRIED}",
                (self.session_at(time_ns), time_ns),
                kinds=(int, bytes, int),
            ):
                for snapshot in self._read(self._snapshot_of, [(body,)]):
                    return session, snapshot
        why = "its snapshots are damaged" if self.damaged else "no snapshot was written"
        raise InputError(str(self.path), f"{why}: samples only")

    def _history(
        self, table: str, column: str, name: str, end_ns: int, session: int
    ) -> tuple[float | None, ...]:
        """One value per second up to a time of a session, newest last; None where nothing was
        recorded. A port's history includes earlier sessions; streams are separate per session.
        """
        last = end_ns // SECOND
        values: list[float | None] = [None] * HISTORY_S
        found = self._rows(
            f"SELECT time_s, resolution, {column} FROM {table}"  # noqa: S608 - names of ours
            " WHERE name = ? AND time_s > ? AND time_s <= ?"
            f" AND session {'=' if table == 'stream_sample' else '<='} ? ORDER BY session",
            (name, last - HISTORY_S - 60, last, session),
            kinds=(int, int),
        )
        for time_s, resolution, value in found:
            if value is not None and not isinstance(value, int | float):
                self.damaged += 1
                continue
            for second in range(time_s, min(time_s + resolution, last + 1)):
                position = HISTORY_S - 1 - (last - second)
                if position >= 0:
                    values[position] = value
        first = next((i for i, value in enumerate(values) if value is not None), HISTORY_S)
        return tuple(values[first:])

    def _counts(self, column: str, name: str, end_ns: int, session: int) -> tuple[int | None, ...]:
        """A stream's counts per second; for rolled-up seconds the mean, with small values as
        one.
        """
        history = self._history("stream_sample", column, name, end_ns, session)
        return tuple(
            None if value is None or not math.isfinite(value) else math.ceil(value)
            for value in history
        )

    def _events_of(self, session: int, end_ns: int) -> tuple[EventRecord, ...]:
        """The newest events in a snapshot of that time, oldest first."""
        return tuple(
            self._events_where(
                "session = ? AND told_ns <= ?", (session, end_ns), EVENTS_IN_SNAPSHOT
            )
        )

    def _events_where(self, where: str, values: tuple[Any, ...], limit: int) -> list[EventRecord]:
        """The newest `limit` of some events, oldest first, in order of their own time."""
        found: list[EventRecord] = []
        for session, body in self._rows(
            f"SELECT session, body FROM event WHERE {where}"  # noqa: S608 - text of ours
            " ORDER BY time_ns DESC, session DESC, number DESC LIMIT ?",
            (*values, limit),
            kinds=(int,),
        ):
            for event in self._read(rows.event_of, [(body,)]):
                found.append(numbered(event, session))
        found.reverse()
        return found if self.captured else list(events_without_counts(found))

    def flows_at(self, time_ns: int) -> list[FlowRecord]:
        """Flows that were alive at a time or had ended shortly before, with their counts at that
        time.

        Counters are those of the last sample before that time (every 10 s) or, for a flow that had
        ended by then, its final ones.
        """
        session = self.session_at(time_ns)
        bodies = self._rows(
            f"SELECT body, dictionary FROM ({ALIVE}) ORDER BY last_ns DESC LIMIT :limit",  # noqa: S608
            {**alive(session, time_ns), "limit": FLOWS_MAX},
            kinds=(bytes, int),
        )
        flows = list(self._read(self._flow_of, ((body,) for body in bodies)))
        return self._as_of(session, flows, time_ns)

    def count_flows_at(self, time_ns: int) -> int:
        """The number of flows that `flows_at` would return without its limit."""
        found = self._rows(
            f"SELECT count(*) FROM ({ALIVE})",  # noqa: S608 - text of ours
            alive(self.session_at(time_ns), time_ns),
            kinds=(int,),
        )
        return next((count for (count,) in found), 0)

    def _as_of(self, session: int, flows: list[FlowRecord], time_ns: int) -> list[FlowRecord]:
        second = time_ns // SECOND
        samples: dict[str, tuple[Any, ...]] = {}
        later = {flow.id for flow in flows if flow.last_time_ns > time_ns}
        if later:
            # Long flows were sampled within this time if they had any packets.
            within = 60 + max(
                (s for s, _ in FLOW_SAMPLES if second < rows.number_of(self._meta(thinned_key(s)))),
                default=0,
            )
            for row in self._rows(
                "SELECT id, packets_out, packets_in, bytes_out, bytes_in, verdict, state, time_s"
                " FROM flow_sample WHERE session = ? AND time_s > ? AND time_s <= ?"
                " ORDER BY time_s",
                (session, second - within, second),
                kinds=(str, int, int, int, int, str, str, int),
            ):
                samples[row[0]] = row
        result: list[FlowRecord] = []
        for flow in flows:
            sample = samples.get(flow.id)
            if flow.id in later and sample is not None:
                flow = msgspec.structs.replace(
                    flow,
                    packets_out=sample[1],
                    packets_in=sample[2],
                    bytes_out=sample[3],
                    bytes_in=sample[4],
                    verdict=sample[5],
                    state=sample[6],
                    last_time_ns=min(flow.last_time_ns, sample[7] * SECOND),
                    end=None,
                )
            result.append(flow)
        return result

    def flow(self, time_ns: int, flow_id: str) -> FlowRecord | None:
        session = self.session_at(time_ns)
        bodies = self._rows(
            "SELECT body, dictionary FROM flow WHERE session = ? AND id = ?",
            (session, flow_id),
            kinds=(bytes, int),
        )
        flows = list(self._read(self._flow_of, ((body,) for body in bodies)))
        return self._as_of(session, flows, time_ns)[0] if flows else None

    def session_at(self, time_ns: int) -> int:
        """The session shown at a time: of several the newest, else the last that had begun."""
        if time_ns > self.end_ns:
            return self.sessions[-1].id
        begun = [s for s in self.sessions if s.start_ns <= time_ns]
        holding = [s for s in begun if time_ns < s.end_ns + SECOND]
        if holding:
            return holding[-1].id
        return max(begun, key=lambda s: (s.end_ns, s.id), default=self.sessions[0]).id

    # ------------------------------------------------------------------ histories

    def events(
        self,
        start_ns: int = 0,
        end_ns: int = 1 << 62,
        limit: int = EVENTS_SHOWN,
        *,
        known_by: int = 1 << 62,
    ) -> list[EventRecord]:
        """Events between two times known at `known_by`, oldest first; the newest `limit` of
        them.
        """
        return self._events_where(
            "time_ns >= ? AND time_ns <= ? AND told_ns <= ?", (start_ns, end_ns, known_by), limit
        )

    def event(self, number: int) -> EventRecord | None:
        """The event with a number from `events`."""
        found = self._events_where("session = ? AND number = ?", own_number(number), 1)
        return found[0] if found else None

    def count_events(self, known_by: int = 1 << 62) -> int:
        """The number of events known at that time."""
        found = self._rows(
            "SELECT count(*) FROM event WHERE told_ns <= ?", (known_by,), kinds=(int,)
        )
        return next((count for (count,) in found), 0)

    def next_stop(
        self, time_ns: int, number: int | None, *, forward: bool
    ) -> tuple[int, int | None] | None:
        """(time_ns of the state that shows it, number) of the next event to stop at: warnings and
        errors, and users' marks (number None).

        Counted from a time; `number`: the event shown there, after which those of the same state
        follow.
        """
        compare, order = (">", "ASC") if forward else ("<", "DESC")
        where, values = f"told_ns {compare} ?", [time_ns]
        if number is not None:
            # in the order in which states show them, and by number within one
            where = f"(told_ns, session, number) {compare} (?, ?, ?)"
            values += own_number(number)
        found = self._rows(
            "SELECT told_ns, session, number FROM event"  # noqa: S608 - text of ours
            f" WHERE severity != 'info' AND {where}"
            f" ORDER BY told_ns {order}, session {order}, number {order} LIMIT 1",
            values,
            kinds=(int, int, int),
        )
        stops: list[tuple[int, int | None]] = [
            (told_ns, whole_number(number, session)) for told_ns, session, number in found
        ]
        marks = self._rows(
            f"SELECT time_ns FROM mark WHERE time_ns {compare} ? ORDER BY 1 {order} LIMIT 1",  # noqa: S608
            (time_ns,),
            kinds=(int,),
        )
        stops += [(time_ns, None) for (time_ns,) in marks]
        return (min if forward else max)(stops, key=lambda stop: stop[0], default=None)

    def find(
        self,
        keep: Callable[[EventRecord], bool],
        time_ns: int,
        number: int | None,
        *,
        forward: bool,
    ) -> tuple[int, int] | None:
        """(time_ns of the state that shows it, number) of the next event accepted by `keep`, in the
        whole recording; the start is as in `next_stop`.
        """
        compare, order = (">", "ASC") if forward else ("<", "DESC")
        where, values = f"told_ns {compare} ?", [time_ns]
        if number is not None:
            where = f"(told_ns, session, number) {compare} (?, ?, ?)"
            values += own_number(number)
        for told_ns, session, body in self._rows(
            f"SELECT told_ns, session, body FROM event WHERE {where}"  # noqa: S608 - text of ours
            f" ORDER BY told_ns {order}, session {order}, number {order}",
            values,
            kinds=(int, int),
        ):
            for event in self._read(rows.event_of, [(body,)]):
                if keep(event):
                    return told_ns, whole_number(event.number, session)
        return None

    def marks(self) -> list[tuple[int, str]]:
        found = self._rows("SELECT time_ns, text FROM mark ORDER BY 1", kinds=(int, str))
        return [(time_ns, text) for time_ns, text in found]

    def event_marks(self, columns: int = 400) -> list[tuple[int, str, str]]:
        """(time_ns, severity, text) for a time line with this many columns: for each the first of
        its worst events, with the number of the others, and every mark of a user.
        """
        step = max(1, (self.end_ns - self.start_ns) // columns)
        marks: list[tuple[int, str, str]] = []
        for count, body in self._rows(
            "SELECT total, body FROM (SELECT body, count(*) OVER column AS total, row_number() OVER"
            " (PARTITION BY time_ns / :step ORDER BY severity != 'error', time_ns) AS place"
            " FROM event WHERE severity != 'info' WINDOW column AS (PARTITION BY time_ns / :step))"
            " WHERE place = 1",
            {"step": step},
            kinds=(int,),
        ):
            for event in self._read(rows.event_of, [(body,)]):
                more = f" (and {count - 1:,} more)" if count > 1 else ""
                marks.append((event.time_ns, str(event.severity), event.text + more))
        return sorted(marks + [(time_ns, "info", text) for time_ns, text in self.marks()])

    def gaps(self) -> list[tuple[int, int]]:
        """Times between start and end in which nothing was recorded."""
        gaps = [
            (start, end)
            for start, end, reason in self._rows(
                "SELECT start_ns, end_ns, reason FROM gap", kinds=(int, int, str)
            )
            if not reason.startswith(parts.SAMPLES_ONLY)
        ]
        reached = 0
        for session in sorted(self.sessions, key=lambda s: s.start_ns):
            if reached and session.start_ns - reached > 2 * SECOND:
                gaps.append((reached, session.start_ns))
            reached = max(reached, session.end_ns)
        return sorted(gaps)

    def strip_changes(self) -> Iterator[tuple[int, str, Change]]:
        """(session, key, change) of every subject, each in order of time; see `strips`."""
        for session, key, time_s, cell in self._rows(
            "SELECT session, key, time_s, cell FROM strip ORDER BY session, key, time_s",
            kinds=(int, str, int, int),
        ):
            try:
                change = Change(key, time_s, Cell(cell))
            except ValueError:  # written by an unknown version
                self.damaged += 1
            else:
                yield session, key, change

    def clock_steps(self) -> list[tuple[int, int]]:
        """(time_ns, ahead_ns) at each change of the machine's clock relative to packet time."""
        found = self._rows("SELECT time_ns, ahead_ns FROM clock ORDER BY rowid", kinds=(int, int))
        return [(time_ns, ahead_ns) for time_ns, ahead_ns in found]

    def _known_keys(self) -> set[str]:
        return {key for (key,) in self._rows("SELECT key FROM known", kinds=(str,))}

    def band(self, table: str, columns: int, names: Sequence[str] | None = None) -> str:
        """One letter per column over the whole time, the worst of its seconds.

        `#` ok, `!` warning, `x` bad, `-` recorded but unknown, `.` no record.
        """
        start, end = self.start_ns // SECOND, self.end_ns // SECOND + 1
        step = max(1.0, (end - start) / columns)
        worst = [0] * columns
        # a rolled-up row begins before its samples, and an endpoint's row may be valid that long
        where, values = "", [0 if table == "endpoint_sample" else start - 3_600, end]
        if names is not None:
            where = f" AND name IN ({', '.join('?' * len(names))})"
        query = (
            f"SELECT time_s, {stands_for(table)}, state FROM {table}"  # noqa: S608 - names of ours
            f" WHERE time_s >= ? AND time_s < ?{where}"
        )
        kinds = (int, int, str)
        for time_s, resolution, state in self._rows(query, (*values, *(names or ())), kinds):
            level = rank(state)
            first = int((time_s - start) / step)
            last = int((time_s + resolution - 1 - start) / step)
            for column in range(max(first, 0), min(last, columns - 1) + 1):
                worst[column] = max(worst[column], level)
        width = min(columns, max(1, round((end - start) / step)))
        return "".join(LETTERS[level] for level in worst[:width])

    def samples(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """All rows of a sample table: (time_s, name, ...columns), for plots; empty if its layout is
        damaged.
        """
        if table not in ("port_sample", "stream_sample", "endpoint_sample"):
            raise ValueError(table)
        known = {str(r[1]) for r in self._rows(f"PRAGMA table_info({table})")}
        if not set(columns) <= known:
            self.damaged += 1
            return []
        wanted = ", ".join(stands_for(table) if c == "resolution" else c for c in columns)
        return list(
            self._rows(
                f"SELECT time_s, name, {wanted} FROM {table} ORDER BY time_s",  # noqa: S608
                kinds=(int, str),
            )
        )

    # ------------------------------------------------------------------ all of it

    def final(self, *, look: bool = False) -> Snapshot:
        """The last snapshot, including the streams, violations and findings of earlier runs, and
        the evidence files. `look`: see `evidence_files`.
        """
        evidence = self.evidence_files(look=look)
        return self._with_damage(msgspec.structs.replace(self._final(), evidence=evidence))

    def _with_damage(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot, with the amount of unreadable data."""
        if not self.damaged:
            return snapshot
        replace = msgspec.structs.replace
        return replace(
            snapshot,
            source=replace(snapshot.source, truncated=True),
            limits={**snapshot.limits, "recording_damaged": self.damaged},
        )

    def _final(self) -> Snapshot:
        last = self.snapshot_at(1 << 62)
        if len(self.sessions) == 1:
            return msgspec.structs.replace(last, events=tuple(self.events()))
        streams: list[StreamRecord] = []
        for session in self.sessions[:-1]:
            bodies = self._rows(
                "SELECT body, dictionary FROM snapshot WHERE session = ?"
                " ORDER BY number DESC LIMIT 1",
                (session.id,),
                kinds=(bytes, int),
            )
            for snapshot in self._read(self._snapshot_of, ((body,) for body in bodies)):
                streams += [_of_session(stream, session.id) for stream in snapshot.streams]
        last_id = self.sessions[-1].id
        whole = msgspec.structs.replace(
            last,
            streams=(*streams, *last.streams),
            violations=self.known.over_violations(
                self._earlier("violation", last_id, rows.violation_of)
            )
            + last.violations,
            findings=self.known.over_findings(self._earlier("finding", last_id, rows.finding_of))
            + last.findings,
            events=tuple(self.events()),
        )
        return with_evidence(whole, self._evidence_of)

    def _earlier(self, table: str, last_session: int, read: Any) -> tuple[Any, ...]:
        bodies = self._rows(
            f"SELECT body FROM {table} WHERE session != ? ORDER BY session, first_ns",  # noqa: S608
            (last_session,),
        )
        return tuple(self._read(read, bodies))

    def all_flows(self) -> list[FlowRecord]:
        """Every flow in its last state, in order of start; ids of earlier runs get a prefix."""
        return list(self.flows_within(0, 1 << 62))

    def flows_within(self, start_ns: int, end_ns: int) -> Iterator[FlowRecord]:
        """The same one by one, for flows between two times: a month has a million."""
        last = self.sessions[-1].id
        for session, *body in self._rows(
            "SELECT session, body, dictionary FROM flow WHERE first_ns <= ? AND last_ns >= ?"
            " ORDER BY first_ns, id",
            (end_ns, start_ns),
            kinds=(int, bytes, int),
        ):
            for flow in self._read(self._flow_of, [(body,)]):
                if session != last:
                    flow = msgspec.structs.replace(flow, id=f"s{session}-{flow.id}")
                yield flow

    def findings(self) -> list[FindingRecord]:
        bodies = self._rows("SELECT body FROM finding ORDER BY first_ns")
        return list(self._read(rows.finding_of, bodies))

    def lives(self, newest: Sequence[FindingRecord]) -> tuple[FindingRecord, ...]:
        """All periods of a finding: `newest`, then the other recorded ones, newest first."""
        told = {(f.name, f.first_time_ns) for f in newest}
        others = [f for f in self.findings() if (f.name, f.first_time_ns) not in told]
        others.sort(key=lambda f: f.first_time_ns, reverse=True)
        return (*newest, *self.known.over_findings(tuple(others)))

    def violations(self) -> list[ViolationRecord]:
        bodies = self._rows("SELECT body FROM violation ORDER BY first_ns")
        return list(self._read(rows.violation_of, bodies))

    def evidence(self) -> list[tuple[str, int, str, int]]:
        """(file, time_ns, title, packets) of the evidence files."""
        return [(e.file, e.time_ns, e.title, e.packets) for e in self.evidence_files()]

    def evidence_files(
        self, start_ns: int = 0, end_ns: int = 1 << 62, *, look: bool = False
    ) -> tuple[EvidenceFileRecord, ...]:
        """Data about the existing evidence files of a time. `look`: read each and check that it is
        unchanged; a file that was never closed gets its present SHA-256.
        """
        there: list[EvidenceFileRecord] = []
        for record in self._evidence_where("time_ns >= ? AND time_ns < ?", (start_ns, end_ns)):
            path = self.evidence_path(record)
            try:
                if path is None or not path.is_file():
                    continue
                if look:
                    now = sha256_of(path)
                    intact = None if record.sha256 is None else record.sha256 == now
                    record = msgspec.structs.replace(
                        record, sha256=record.sha256 or now, intact=intact
                    )
            except OSError:
                self.damaged += 1
                continue
            there.append(record)
        return tuple(there)

    def evidence_path(self, record: EvidenceFileRecord) -> Path | None:
        """The path of a file; None for a name that leads out of the folder."""
        name = record.file
        if not name.endswith(".pcapng") or Path(name).name != name:
            return None
        return self.path / parts.EVIDENCE / name


def _of_session(stream: StreamRecord, session: int) -> StreamRecord:
    flow = None if stream.flow is None else f"s{session}-{stream.flow}"
    return msgspec.structs.replace(stream, id=f"s{session}-{stream.id}", flow=flow)
