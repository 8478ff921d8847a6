"""Reads a recording: any time in, the state at that time out.

Opens in well under a second whatever its length, because nothing is read ahead: snapshots, flows,
samples and events are found by index. What the recorder did not write (it was off, the disk was
full, retention removed it) is told as gaps, never as silence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from panotui.errors import InputError
from panotui.model import (
    SECOND,
    EventRecord,
    FindingRecord,
    FlowRecord,
    Snapshot,
    StreamRecord,
    ViolationRecord,
)
from panotui.recording import folder as folders
from panotui.recording import parts, rows
from panotui.recording.schema import DAMAGE
from panotui.recording.states import LETTERS, rank
from panotui.state.marks import Marks
from panotui.state.strips import Cell, Change

FLOW_LINGER_S = 60  # a flow is shown this long after its last packet
FLOWS_MAX = 5_000  # of one time
EVENTS_IN_SNAPSHOT = 300
HISTORY_S = 300
SNAPSHOTS_TRIED = 60  # of a damaged stretch, before it is given up

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

    What is damaged costs itself: a row that cannot be read is left out and counted in `damaged`.
    """

    def __init__(self, path: Path) -> None:
        """InputError when there is nothing to read; see `folder.open_for_reading`."""
        self.path = path
        self.damaged = 0  # rows and pages so far that could not be read
        self._connection = folders.open_for_reading(path)
        self.refresh()
        if not self.sessions:
            why = "its database is damaged" if self.damaged else "nothing was recorded yet"
            raise InputError(str(path), why)
        self.known = Marks(self._known_keys())

    def refresh(self) -> None:
        """Look again at how far it goes (a recorder may be writing). Sessions are in the order of
        writing: the clock may have been wrong in one of them."""
        self.sessions = tuple(
            Session(*row)
            for row in self._rows(
                "SELECT id, start_ns, end_ns, version, ended FROM session"
                " WHERE start_ns > 0 ORDER BY id",
                kinds=(int, int, int, str, str),
            )
        )

    def _rows(
        self, query: str, values: Sequence[Any] = (), kinds: tuple[type | None, ...] = ()
    ) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that can be read, of the `kinds` given (None: anything).

        A column of another kind costs its row, a damaged page what would have followed.
        """
        try:
            for row in self._connection.execute(query, values):
                if all(k is None or isinstance(v, k) for v, k in zip(row, kinds, strict=False)):
                    yield row
                else:
                    self.damaged += 1
        except (*DAMAGE, OverflowError):
            self.damaged += 1

    def _read(self, read: Callable[[bytes], R], bodies: Iterable[tuple[Any, ...]]) -> Iterator[R]:
        """The records of (body,) rows that can be read."""
        for (body,) in bodies:
            try:
                yield read(body)
            except (ValueError, TypeError, RecursionError):  # msgspec's errors are ValueErrors
                self.damaged += 1

    @property
    def start_ns(self) -> int:
        """Where it starts; later than the first session when retention removed the beginning."""
        text = rows.get_meta(self._connection, "removed_before_ns") or ""
        removed = int(text) if text.isdecimal() else 0
        return max(min(session.start_ns for session in self.sessions), removed)

    @property
    def end_ns(self) -> int:
        return max(session.end_ns for session in self.sessions)

    @property
    def newest_ns(self) -> int:
        """The time of what was written last; earlier than `end_ns` when the clock was wrong."""
        return self.sessions[-1].end_ns

    @property
    def site_text(self) -> str:
        return rows.get_meta(self._connection, "site") or ""

    def close(self) -> None:
        self._connection.close()

    # ------------------------------------------------------------------ state at a time

    def snapshot_at(self, time_ns: int) -> Snapshot:
        """The last snapshot at or before a time (the first one when there is none before); after
        the end what was written last, whatever the clock said.

        Events up to that time and the histories of ports and streams are filled in from their
        tables. InputError when the recording holds no snapshot.
        """
        return self._filled(*self._snapshot_near(time_ns))

    def _filled(self, session: int, snapshot: Snapshot) -> Snapshot:
        replace = msgspec.structs.replace
        end = snapshot.time_ns
        return replace(
            self.known.over_snapshot(snapshot),
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
                for port in snapshot.ports
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
                for stream in snapshot.streams
            ),
        )

    def _snapshot_near(self, time_ns: int) -> tuple[int, Snapshot]:
        """(session, snapshot): the last that can be read before a time, of the session that is
        shown there or else of any; else the first after."""
        for where, order in (
            ("session = ? AND time_ns <= ?", "DESC"),
            ("? IS NOT NULL AND time_ns <= ?", "DESC"),
            ("? IS NOT NULL AND time_ns > ?", "ASC"),
        ):
            for session, body in self._rows(
                f"SELECT session, body FROM snapshot WHERE {where}"  # noqa: S608 - text of ours
                f" ORDER BY time_ns {order} LIMIT {SNAPSHOTS_TRIED}",
                (self.session_at(time_ns), time_ns),
                kinds=(int, bytes),
            ):
                for snapshot in self._read(rows.snapshot_of, [(body,)]):
                    return session, snapshot
        why = "its snapshots are damaged" if self.damaged else "no snapshot was written"
        raise InputError(str(self.path), f"{why}: samples only")

    def _history(
        self, table: str, column: str, name: str, end_ns: int, session: int
    ) -> tuple[float | None, ...]:
        """One value a second up to a time of a session, newest last; None where nothing was
        recorded. A port's goes back into earlier sessions; streams are each session's own."""
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
        """A stream's counts a second; of rolled-up seconds the mean, and one for a little."""
        history = self._history("stream_sample", column, name, end_ns, session)
        return tuple(
            None if value is None or not math.isfinite(value) else math.ceil(value)
            for value in history
        )

    def _events_of(self, session: int, end_ns: int) -> tuple[EventRecord, ...]:
        bodies = self._rows(
            "SELECT body FROM event WHERE session = ? AND time_ns <= ?"
            " ORDER BY number DESC LIMIT ?",
            (session, end_ns, EVENTS_IN_SNAPSHOT),
        )
        return tuple(self._read(rows.event_of, reversed(list(bodies))))

    def flows_at(self, time_ns: int) -> list[FlowRecord]:
        """Flows that were alive at a time or had ended shortly before, as they were counted then.

        Counters are those of the last sample before that time (every 10 s) or, for a flow that was
        over by then, its final ones.
        """
        session = self.session_at(time_ns)
        bodies = self._rows(
            "SELECT body FROM flow WHERE session = ? AND last_ns >= ? AND first_ns <= ?"
            " ORDER BY last_ns DESC LIMIT ?",
            (session, time_ns - FLOW_LINGER_S * SECOND, time_ns, FLOWS_MAX),
        )
        flows = list(self._read(rows.flow_of, bodies))
        return self._as_of(session, flows, time_ns)

    def _as_of(self, session: int, flows: list[FlowRecord], time_ns: int) -> list[FlowRecord]:
        second = time_ns // SECOND
        samples: dict[str, tuple[Any, ...]] = {}
        later = {flow.id for flow in flows if flow.last_time_ns > time_ns}
        if later:
            # Long-lived flows were sampled within the last minute if anything moved in them.
            for row in self._rows(
                "SELECT id, packets_out, packets_in, bytes_out, bytes_in, verdict, state, time_s"
                " FROM flow_sample WHERE session = ? AND time_s > ? AND time_s <= ?"
                " ORDER BY time_s",
                (session, second - 60, second),
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
            "SELECT body FROM flow WHERE session = ? AND id = ?", (session, flow_id)
        )
        flows = list(self._read(rows.flow_of, bodies))
        return self._as_of(session, flows, time_ns)[0] if flows else None

    def session_at(self, time_ns: int) -> int:
        """The session that is shown at a time: of several that hold it the newest, else the last
        that had begun; after all of them the newest."""
        if time_ns > self.end_ns:
            return self.sessions[-1].id
        begun = [s for s in self.sessions if s.start_ns <= time_ns]
        holding = [s for s in begun if time_ns < s.end_ns + SECOND]
        if holding:
            return holding[-1].id
        return max(begun, key=lambda s: (s.end_ns, s.id), default=self.sessions[0]).id

    # ------------------------------------------------------------------ over time

    def events(
        self, start_ns: int = 0, end_ns: int = 1 << 62, limit: int = 5_000
    ) -> list[EventRecord]:
        """Events between two times, oldest first; the newest `limit` of them."""
        bodies = self._rows(
            "SELECT body FROM event WHERE time_ns >= ? AND time_ns <= ?"
            " ORDER BY time_ns DESC, number DESC LIMIT ?",
            (start_ns, end_ns, limit),
        )
        return list(self._read(rows.event_of, reversed(list(bodies))))

    def next_event_ns(self, time_ns: int, *, forward: bool) -> int | None:
        """When the next event worth a stop is: warnings and errors, and what persons marked."""
        direction = ("> ?", "ASC", "min") if forward else ("< ?", "DESC", "max")
        found = self._rows(
            f"SELECT time_ns FROM event WHERE severity != 'info' AND time_ns {direction[0]}"  # noqa: S608
            f" ORDER BY time_ns {direction[1]} LIMIT 1",
            (time_ns,),
            kinds=(int,),
        )
        marks = self._rows(
            f"SELECT {direction[2]}(time_ns) FROM mark WHERE time_ns {direction[0]}",  # noqa: S608
            (time_ns,),
        )
        times = [t for (t,) in (*found, *marks) if isinstance(t, int)]
        if not times:
            return None
        return min(times) if forward else max(times)

    def marks(self) -> list[tuple[int, str]]:
        found = self._rows("SELECT time_ns, text FROM mark ORDER BY 1", kinds=(int, str))
        return [(time_ns, text) for time_ns, text in found]

    def event_marks(self, limit: int = 400) -> list[tuple[int, str, str]]:
        """(time_ns, severity, text) of the worst events, for a time line."""
        bodies = self._rows(
            "SELECT body FROM event WHERE severity != 'info'"
            " ORDER BY severity = 'error' DESC, time_ns DESC LIMIT ?",
            (limit,),
        )
        events = self._read(rows.event_of, bodies)
        marks = [(e.time_ns, str(e.severity), e.text) for e in events]
        return sorted(marks + [(time_ns, "info", text) for time_ns, text in self.marks()])

    def gaps(self) -> list[tuple[int, int]]:
        """When nothing was recorded between the start and the end."""
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
            except ValueError:  # of no version that we know
                self.damaged += 1
            else:
                yield session, key, change

    def clock_steps(self) -> list[tuple[int, int]]:
        """(time_ns, ahead_ns) since when the machine's clock was so far ahead of packet time."""
        found = self._rows("SELECT time_ns, ahead_ns FROM clock ORDER BY rowid", kinds=(int, int))
        return [(time_ns, ahead_ns) for time_ns, ahead_ns in found]

    def _known_keys(self) -> set[str]:
        return {key for (key,) in self._rows("SELECT key FROM known", kinds=(str,))}

    def band(self, table: str, columns: int, names: Sequence[str] | None = None) -> str:
        """A letter a column over the whole time, the worst of its seconds.

        `#` ok, `!` warning, `x` bad, `-` recorded but nothing known, `.` no record.
        """
        start, end = self.start_ns // SECOND, self.end_ns // SECOND + 1
        step = max(1.0, (end - start) / columns)
        worst = [0] * columns
        where, values = "", [start - 60, end]  # a rolled-up row begins before what it holds
        if names is not None:
            where = f" AND name IN ({', '.join('?' * len(names))})"
        query = (
            f"SELECT time_s, resolution, state FROM {table}"  # noqa: S608 - names of ours
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
        """All rows of a sample table: (time_s, name, ...columns), for plots; none where its lay-out
        is damaged."""
        if table not in ("port_sample", "stream_sample", "endpoint_sample"):
            raise ValueError(table)
        known = {str(r[1]) for r in self._rows(f"PRAGMA table_info({table})")}
        if not set(columns) <= known:
            self.damaged += 1
            return []
        return list(
            self._rows(
                f"SELECT time_s, name, {', '.join(columns)} FROM {table} ORDER BY time_s",  # noqa: S608
                kinds=(int, str),
            )
        )

    # ------------------------------------------------------------------ all of it

    def final(self) -> Snapshot:
        """The last snapshot, with the streams, violations and findings of earlier runs put in."""
        return self._with_damage(self._final())

    def _with_damage(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot, saying how much of the recording could not be read."""
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
                "SELECT body FROM snapshot WHERE session = ? ORDER BY number DESC LIMIT 1",
                (session.id,),
            )
            for snapshot in self._read(rows.snapshot_of, bodies):
                streams += [_of_session(stream, session.id) for stream in snapshot.streams]
        last_id = self.sessions[-1].id
        return msgspec.structs.replace(
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

    def _earlier(self, table: str, last_session: int, read: Any) -> tuple[Any, ...]:
        bodies = self._rows(
            f"SELECT body FROM {table} WHERE session != ? ORDER BY session, first_ns",  # noqa: S608
            (last_session,),
        )
        return tuple(self._read(read, bodies))

    def all_flows(self) -> list[FlowRecord]:
        """Every flow in its last state, in order of start; ids of earlier runs get a prefix."""
        last = self.sessions[-1].id
        flows: list[FlowRecord] = []
        for session, body in self._rows(
            "SELECT session, body FROM flow ORDER BY first_ns, id", kinds=(int,)
        ):
            for flow in self._read(rows.flow_of, [(body,)]):
                if session != last:
                    flow = msgspec.structs.replace(flow, id=f"s{session}-{flow.id}")
                flows.append(flow)
        return flows

    def findings(self) -> list[FindingRecord]:
        bodies = self._rows("SELECT body FROM finding ORDER BY first_ns")
        return list(self._read(rows.finding_of, bodies))

    def violations(self) -> list[ViolationRecord]:
        bodies = self._rows("SELECT body FROM violation ORDER BY first_ns")
        return list(self._read(rows.violation_of, bodies))

    def evidence(self) -> list[tuple[str, int, str, int]]:
        """(file, time_ns, title, packets) of the evidence files."""
        found = self._rows(
            "SELECT file, time_ns, title, packets FROM evidence ORDER BY time_ns",
            kinds=(str, int, str, int),
        )
        return [(file, time_ns, title, packets) for file, time_ns, title, packets in found]


def _of_session(stream: StreamRecord, session: int) -> StreamRecord:
    flow = None if stream.flow is None else f"s{session}-{stream.flow}"
    return msgspec.structs.replace(stream, id=f"s{session}-{stream.id}", flow=flow)
