"""Single days of a recording: list, check, copy, remove.

A day is a span of time, from midnight to midnight in the caller's zone. All days are in one
database, so that anything that lasts longer than a day (a connection, a finding, a camera's state)
is not split: it is in the copy of every day that it touches, and is removed with the last of them.
A copy is a complete recording, with a list of the SHA-256 of its files that `sha256sum -c` reads.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from msgspec import Struct

from panotui.errors import InputError, UsageError
from panotui.model import SECOND, EvidenceFileRecord
from panotui.recording import folder as folders
from panotui.recording import parts, rows, schema
from panotui.recording.evidence_files import sha256_of
from panotui.recording.packing import Unpacker
from panotui.recording.reader import Recording

SUMS = "SHA256SUMS"
REMOVED = "a person removed this day"  # reason of the gap that a removed day leaves
_ROWS_AT_ONCE = 500

# Data of a day, by table: [:start, :end) in ns, [:start_s, :end_s) in s. Samples describe the
# second before theirs.
_SAMPLES = "time_s > :start_s AND time_s <= :end_s"
_WITHIN: dict[str, str] = {
    "port_sample": _SAMPLES,
    "stream_sample": _SAMPLES,
    "summary_sample": _SAMPLES,
    "flow_sample": "time_s >= :start_s AND time_s < :end_s",
    "snapshot": "time_ns >= :start AND time_ns < :end",
    "event": "time_ns >= :start AND time_ns < :end",
    "mark": "time_ns >= :start AND time_ns < :end",
    "evidence": "time_ns >= :start AND time_ns < :end",
    "gap": "end_ns > :start AND start_ns < :end",
    "flow": "last_ns >= :start AND first_ns < :end",
    "finding": "(cleared_ns IS NULL OR cleared_ns >= :start) AND first_ns < :end",
    "violation": "last_ns >= :start AND first_ns < :end",
}
# Rows that are valid until the next one of the same key: the last one before the day also belongs
# to it.
_STANDING: dict[str, tuple[str, str, str]] = {
    "endpoint_sample": ("session, name", "time_s", ":start_s"),
    "strip": ("session, key", "time_s", ":start_s"),
    "clock": ("session", "time_ns", ":start"),
}
# Data removed with a day: of lasting things only those that lie within it.
_GONE: dict[str, str] = {
    **{t: w for t, w in _WITHIN.items() if t not in ("gap", "flow", "finding", "violation")},
    "snapshot": "time_ns >= :start AND time_ns < :end"
    " AND number NOT IN (SELECT max(number) FROM snapshot)",
    "flow": "first_ns >= :start AND last_ns < :end",
    "finding": "first_ns >= :start AND cleared_ns < :end",
    "violation": "first_ns >= :start AND last_ns < :end",
}
# Rows of a day that are replaced before its end; the last of each key stays valid after it.
_REPLACED = (
    "{time} >= {start} AND {time} < {end} AND EXISTS (SELECT 1 FROM {table} AS later WHERE"
    " {same} AND later.{time} > {table}.{time} AND later.{time} <= {end})"
)


class Day(Struct, frozen=True):
    """A day, and its data in the recording."""

    date: str  # 2026-11-30
    start_ns: int
    end_ns: int  # the next midnight
    first_ns: int  # its part within the recording
    last_ns: int
    recorded_s: int
    flows: int
    events: int
    findings: int
    violations: int
    evidence: int
    evidence_bytes: int

    def within(self) -> dict[str, int]:
        """Parameters of the statements."""
        return {
            "start": self.start_ns, "end": self.end_ns,
            "start_s": self.start_ns // SECOND, "end_s": self.end_ns // SECOND,
        }  # fmt: skip


class Checked(Struct, frozen=True):
    """The result of checking every row and file of a day."""

    rows: int
    damaged: int  # rows that cannot be read
    files: int
    changed: tuple[str, ...]  # evidence files whose content has changed
    missing: tuple[str, ...]  # missing evidence files
    unfinished: tuple[str, ...]  # evidence files that were never closed: unknown content

    @property
    def is_whole(self) -> bool:
        return not (self.damaged or self.changed or self.missing)


def days(recording: Recording, zone: tzinfo | None) -> list[Day]:
    """Every day with recorded data, oldest first. `zone` None: this machine's."""
    with closing(folders.open_for_reading(recording.path)) as connection:
        found = [_day(recording, connection, *span) for span in _spans(recording, zone)]
    return [day for day in found if day.recorded_s or day.events]


def day_of(recording: Recording, date: str, zone: tzinfo | None) -> Day:
    """One of them. UsageError for a day without data."""
    known = days(recording, zone)
    for day in known:
        if day.date == date:
            return day
    some = f"{known[0].date} to {known[-1].date}" if known else "nothing"
    raise UsageError(
        f"days {date}", f"no such day was recorded ({some})", "Name a day of the list."
    )


def _spans(recording: Recording, zone: tzinfo | None) -> Iterator[tuple[str, int, int]]:
    """(date, start_ns, end_ns) of each day from the recording's first to its last."""
    start = datetime.fromtimestamp(recording.start_ns // SECOND, UTC).astimezone(zone)
    end_s = recording.end_ns // SECOND
    date = start.date()
    while True:
        # by the calendar: a day with a clock change has 23 or 25 hours
        begin = _midnight_s(date.year, date.month, date.day, zone)
        if begin > end_s:
            return
        later = date + timedelta(days=1)
        yield (
            date.isoformat(), begin * SECOND,
            _midnight_s(later.year, later.month, later.day, zone) * SECOND,
        )  # fmt: skip
        date = later


def _midnight_s(year: int, month: int, day: int, zone: tzinfo | None) -> int:
    return int(datetime(year, month, day, tzinfo=zone).timestamp())


def _day(
    recording: Recording, connection: sqlite3.Connection, date: str, start: int, end: int
) -> Day:
    at = {"start": start, "end": end, "start_s": start // SECOND, "end_s": end // SECOND}

    def count(table: str, what: str = "count(*)") -> int:
        try:
            query = f"SELECT {what} FROM {table} WHERE {_WITHIN[table]}"  # noqa: S608 - names of ours
            return int(connection.execute(query, at).fetchone()[0] or 0)
        except (*schema.DAMAGE, TypeError, ValueError):
            return 0  # `check` reports the damage

    return Day(
        date, start, end,
        max(start, recording.start_ns), min(end, recording.end_ns),
        count("summary_sample", "sum(resolution)"),
        count("flow"), count("event"), count("finding"), count("violation"),
        count("evidence"), count("evidence", "sum(bytes)"),
    )  # fmt: skip


# ------------------------------------------------------------------ check


def check(recording: Recording, day: Day) -> Checked:
    """Read every row and file of a day."""
    with closing(folders.open_for_reading(recording.path)) as connection:
        unpacker = Unpacker(connection)
        readers: dict[str, tuple[str, Callable[[Any], object]]] = {
            "snapshot": ("body, dictionary", lambda r: rows.snapshot_of(r[0], r[1], unpacker)),
            "flow": ("body, dictionary", lambda r: rows.flow_of(r[0], r[1], unpacker)),
            "event": ("body", lambda r: rows.event_of(r[0])),
            "finding": ("body", lambda r: rows.finding_of(r[0])),
            "violation": ("body", lambda r: rows.violation_of(r[0])),
        }
        total = damaged = 0
        for table, where in _WITHIN.items():
            columns, read = readers.get(table, ("*", tuple))
            query = f"SELECT {columns} FROM {table} WHERE {where}"  # noqa: S608 - names of ours
            try:
                for row in connection.execute(query, day.within()):
                    total += 1
                    try:
                        read(row)
                    except (ValueError, TypeError, RecursionError):
                        damaged += 1
            except schema.DAMAGE:
                damaged += 1  # a damaged page: the rows after it are unknown
        try:
            known = _evidence(connection, day)
        except schema.DAMAGE:
            known, damaged = [], damaged + 1
    there = {e.file: e for e in recording.evidence_files(day.start_ns, day.end_ns, look=True)}
    return Checked(
        rows=total,
        damaged=damaged,
        files=len(known),
        changed=tuple(f for f in known if f in there and there[f].intact is False),
        missing=tuple(f for f in known if f not in there),
        unfinished=tuple(f for f in known if f in there and there[f].intact is None),
    )


def _evidence(connection: sqlite3.Connection, day: Day) -> list[str]:
    query = f"SELECT file FROM evidence WHERE {_WITHIN['evidence']} ORDER BY file"  # noqa: S608
    return [str(file) for (file,) in connection.execute(query, day.within())]


# ------------------------------------------------------------------ copy


def copy(recording: Recording, day: Day, target: Path) -> Path:
    """Write a day as a separate recording; `target` must be new. Returns the list of checksums.

    UsageError if it cannot be written, InputError if the day cannot be read.
    """
    try:
        target.mkdir(mode=0o750)
        (target / parts.EVIDENCE).mkdir(mode=0o750)
        _copy_rows(recording, day, target)
        for record in recording.evidence_files(day.start_ns, day.end_ns):
            source = recording.evidence_path(record)
            if source is not None:
                shutil.copyfile(source, target / parts.EVIDENCE / record.file)
        return _sums(target)
    except FileExistsError:
        raise UsageError(f"-o {target}", "it is there already", "Name a new folder.") from None
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"-o {target}", why, "Name another folder.") from None


def _copy_rows(recording: Recording, day: Day, target: Path) -> None:
    with (
        closing(folders.open_for_reading(recording.path)) as source,
        closing(sqlite3.connect(target / parts.DATABASE, isolation_level=None)) as made,
    ):
        source.text_factory = _as_it_is
        schema.create(made)
        made.execute("PRAGMA journal_mode = DELETE")  # a single file, which reading never changes
        made.execute("BEGIN")
        try:
            for table in ("meta", "known"):
                _fill(made, table, source.execute(f"SELECT * FROM {table}"))  # noqa: S608
            rows.set_meta(made, "removed_before_ns", str(day.start_ns))
            _fill(made, "session", _sessions(source, day))
            for table, where in _WITHIN.items():
                query = f"SELECT * FROM {table} WHERE {where}"  # noqa: S608 - names of ours
                _fill(made, table, source.execute(query, day.within()))
            for table, standing in _STANDING.items():
                _fill(made, table, source.execute(_still(table, *standing), day.within()))
            needed = made.execute(
                "SELECT dictionary FROM snapshot UNION SELECT dictionary FROM flow"
            )
            for (number,) in needed.fetchall():
                found = source.execute("SELECT * FROM dictionary WHERE id = ?", (number,))
                _fill(made, "dictionary", found)
        except schema.DAMAGE as error:
            raise InputError(
                str(recording.path), f"the day cannot be read ({error})", "Check it: --check."
            ) from None
        made.execute("COMMIT")


def _as_it_is(raw: bytes) -> str:
    """A copy keeps the raw text: reading would make it printable."""
    return raw.decode("utf-8", "replace")


def _fill(made: sqlite3.Connection, table: str, found: Any) -> None:
    marks = ", ".join("?" * len(found.description))
    while some := found.fetchmany(_ROWS_AT_ONCE):
        made.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", some)  # noqa: S608


def _sessions(source: sqlite3.Connection, day: Day) -> Any:
    """The recorder's runs on that day, as far as they lasted on it."""
    return source.execute(
        "SELECT id, max(start_ns, :start), min(end_ns, :end - 1), wall_start_ns, wall_end_ns,"
        " version, CASE WHEN end_ns < :end THEN ended ELSE 'closed' END FROM session"
        " WHERE end_ns >= :start AND start_ns < :end AND start_ns > 0",
        day.within(),
    )


def _still(table: str, key: str, time: str, start: str) -> str:
    """The rows of a day and the last of each key before it, which is valid at its start."""
    end = start.replace("start", "end")
    return (
        f"SELECT * FROM {table} WHERE {time} >= {start} AND {time} < {end} UNION ALL"  # noqa: S608
        f" SELECT * FROM {table} WHERE ({key}, {time}) IN"
        f" (SELECT {key}, max({time}) FROM {table} WHERE {time} < {start} GROUP BY {key})"
    )


def _sums(target: Path) -> Path:
    names = [parts.DATABASE, *(f"{parts.EVIDENCE}/{p.name}" for p in
                               sorted((target / parts.EVIDENCE).iterdir()))]  # fmt: skip
    path = target / SUMS
    path.write_text("".join(f"{sha256_of(target / name)}  {name}\n" for name in names), "utf-8")
    return path


# ------------------------------------------------------------------ removal


def remove(recording: Recording, day: Day) -> None:
    """Remove a day from its recording, which leaves a gap. Other days stay unchanged.

    UsageError for a day that is being written, and for the only one.
    """
    if day.last_ns >= recording.newest_ns and folders.is_written(recording.path):
        raise UsageError(
            f"days {day.date}", "it is still being written", "Remove it after the day is over."
        )
    files = recording.evidence_files(day.start_ns, day.end_ns)
    try:
        with closing(folders.open_for_writing(recording.path)) as connection:
            if not _has_others(connection, day):
                raise UsageError(
                    f"days {day.date}", "it is the only recorded day", "Delete the folder instead."
                )
            for table, where in _GONE.items():  # one at a time: a recorder may be waiting
                connection.execute(f"DELETE FROM {table} WHERE {where}", day.within())  # noqa: S608
            for table, standing in _STANDING.items():
                _end_standing(connection, table, *standing, day, day.last_ns < recording.end_ns)
            if day.first_ns <= recording.start_ns:
                rows.set_meta(connection, "removed_before_ns", str(day.end_ns))
            else:
                gap = (day.first_ns, day.last_ns, REMOVED)
                connection.execute("INSERT INTO gap VALUES (?, ?, ?)", gap)
            connection.execute("PRAGMA incremental_vacuum").fetchall()
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except sqlite3.Error as error:
        raise InputError(
            str(recording.path), f"the day cannot be removed ({error})", "Check it: --check."
        ) from None
    for record in files:
        _unlink(recording, record)


def _end_standing(
    connection: sqlite3.Connection, table: str, key: str, time: str, start: str, day: Day, on: bool
) -> None:
    """Remove the day's rows that are valid until the next one. With `on` the recording continues
    after the day, so the state at its end is valid from the next midnight.
    """
    end = start.replace("start", "end")
    names = {"table": table, "time": time, "start": start, "end": end}
    same = " AND ".join(f"later.{name} = {table}.{name}" for name in key.split(", "))
    within = "{time} >= {start} AND {time} < {end}".format(**names)
    if on:
        replaced = _REPLACED.format(same=same, **names)
        connection.execute(f"DELETE FROM {table} WHERE {replaced}", day.within())  # noqa: S608
        connection.execute(f"UPDATE {table} SET {time} = {end} WHERE {within}", day.within())  # noqa: S608
    else:
        connection.execute(f"DELETE FROM {table} WHERE {within}", day.within())  # noqa: S608


def _has_others(connection: sqlite3.Connection, day: Day) -> bool:
    query = f"SELECT 1 FROM summary_sample WHERE NOT ({_SAMPLES}) LIMIT 1"  # noqa: S608 - ours
    return connection.execute(query, day.within()).fetchone() is not None


def _unlink(recording: Recording, record: EvidenceFileRecord) -> None:
    path = recording.evidence_path(record)
    if path is not None:
        path.unlink(missing_ok=True)
