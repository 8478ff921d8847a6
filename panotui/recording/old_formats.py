"""Converts recordings of older formats: one function per version.

The layouts of older versions are repeated here: the present one in `schema` does not help to open
an old recording.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

from panotui.recording import old_strips

THIRD = """
CREATE TABLE snapshot (
    time_ns INTEGER NOT NULL, session INTEGER NOT NULL, resolution INTEGER NOT NULL,
    body BLOB NOT NULL, number INTEGER PRIMARY KEY, UNIQUE (session, time_ns));
CREATE TABLE port_sample (
    time_s INTEGER NOT NULL, resolution INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
    rate_in_bps REAL, rate_out_bps REAL, packets_in INTEGER, packets_out INTEGER,
    session INTEGER NOT NULL, PRIMARY KEY (name, time_s, session)) WITHOUT ROWID;
CREATE TABLE stream_sample (
    time_s INTEGER NOT NULL, resolution INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
    camera TEXT, rate_bps REAL, loss REAL, jitter_ms REAL, fps REAL, packets INTEGER, lost INTEGER,
    lost_s REAL, frames_s REAL, keyframes_s REAL, frame_bytes INTEGER,
    session INTEGER NOT NULL, PRIMARY KEY (name, time_s, session)) WITHOUT ROWID;
CREATE TABLE endpoint_sample (
    time_s INTEGER NOT NULL, resolution INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
    rtt_ms REAL, session INTEGER NOT NULL,
    PRIMARY KEY (name, time_s, session)) WITHOUT ROWID;
CREATE TABLE summary_sample (
    time_s INTEGER NOT NULL, resolution INTEGER NOT NULL, session INTEGER NOT NULL,
    packets INTEGER, bytes INTEGER, lost INTEGER, flows INTEGER,
    violations INTEGER, findings INTEGER, PRIMARY KEY (time_s, session)) WITHOUT ROWID;
CREATE TABLE clock (session INTEGER NOT NULL, time_ns INTEGER NOT NULL, ahead_ns INTEGER NOT NULL);
"""
FOURTH_STRIP = """
CREATE TABLE strip (
    session INTEGER NOT NULL, key TEXT NOT NULL, time_s INTEGER NOT NULL, cell INTEGER NOT NULL,
    PRIMARY KEY (session, key, time_s)) WITHOUT ROWID
"""

Converter = Callable[[sqlite3.Connection], None]


def _with_seconds_of_streams(connection: sqlite3.Connection) -> None:
    """Version 2: losses and pictures of a stream per second; unknown for older ones."""
    for column in ("lost_s REAL", "frames_s REAL", "keyframes_s REAL", "frame_bytes INTEGER"):
        connection.execute(f"ALTER TABLE stream_sample ADD COLUMN {column}")


def _with_sessions_apart(connection: sqlite3.Connection) -> None:
    """Version 3: seconds are separate per session, snapshots are numbered as written, clock steps
    are stored.

    A sample's session was not stored: it is the last that had begun by then.
    """
    made = {s.split()[2]: s for s in THIRD.split(";") if s.strip()}
    for table in ("snapshot", "port_sample", "stream_sample", "endpoint_sample", "summary_sample"):
        old = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
        columns = ", ".join(old)
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
        connection.execute(made[table])
        extra, value = "", ""
        if "session" not in old:
            extra = ", session"
            value = (
                ", coalesce((SELECT max(id) FROM session WHERE start_ns / 1000000000 <= time_s), 1)"
            )
        order = " ORDER BY time_ns" if table == "snapshot" else ""
        connection.execute(
            f"INSERT INTO {table} ({columns}{extra})"  # noqa: S608 - names of ours
            f" SELECT {columns}{value} FROM old_{table}{order}"
        )
        connection.execute(f"DROP TABLE old_{table}")
    connection.execute("CREATE INDEX snapshot_time ON snapshot (time_ns)")
    connection.execute(made["clock"])


def _with_strips(connection: sqlite3.Connection) -> None:
    """Version 4: changes of a subject's state, as far as the samples show them."""
    connection.execute(FOURTH_STRIP)
    for session, key, time_s, cell in old_strips.changes(connection):
        connection.execute(
            "INSERT OR REPLACE INTO strip VALUES (?, ?, ?, ?)", (session, key, time_s, int(cell))
        )


def _with_proofs_and_moments(connection: sqlite3.Connection) -> None:
    """Version 5: the incident of an evidence file (unknown for older ones), and the snapshot that
    first shows an event: the first remaining one from then on.
    """
    for column in (
        "session INTEGER NOT NULL DEFAULT 0", "subject TEXT NOT NULL DEFAULT ''", "sha256 TEXT",
        "frames BLOB",
    ):  # fmt: skip
        connection.execute(f"ALTER TABLE evidence ADD COLUMN {column}")
    connection.execute("CREATE INDEX evidence_subject ON evidence (subject)")
    connection.execute("ALTER TABLE event ADD COLUMN told_ns INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE snapshot ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0")
    connection.execute(
        "UPDATE event SET told_ns = coalesce((SELECT min(s.time_ns) FROM snapshot AS s"
        " WHERE s.session = event.session AND s.time_ns >= event.time_ns), time_ns)"
    )
    connection.execute(
        "UPDATE snapshot SET pinned = 1 WHERE (session, time_ns) IN"
        " (SELECT session, told_ns FROM event WHERE severity != 'info')"
    )
    connection.execute("CREATE INDEX event_told ON event (told_ns)")


def _with_packed_bodies(connection: sqlite3.Connection) -> None:
    """Version 6: bodies may be packed against a dictionary; those of older formats are not."""
    connection.execute(
        "CREATE TABLE dictionary (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL)"
    )
    for table in ("snapshot", "flow"):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN dictionary INTEGER NOT NULL DEFAULT 0")
    connection.execute("DROP INDEX IF EXISTS flow_first")  # it cost more than it helped


def _with_long_flows(connection: sqlite3.Connection) -> None:
    """Version 7: flows of more than an hour have their own index, so that flows of any time are
    found without scanning all later ones.
    """
    connection.execute(
        "CREATE INDEX flow_long ON flow (last_ns, first_ns)"
        " WHERE last_ns - first_ns > 3600000000000"
    )


def _with_one_life_each(connection: sqlite3.Connection) -> None:
    """Version 8: a finding whose start was corrected had one row for each start, with the first
    ones open for ever.
    """
    connection.execute(
        "DELETE FROM finding WHERE cleared_ns IS NULL AND EXISTS"
        " (SELECT 1 FROM finding AS other WHERE other.session = finding.session"
        " AND other.key = finding.key AND other.first_ns != finding.first_ns"
        " AND (other.cleared_ns IS NULL AND other.first_ns < finding.first_ns"
        " OR other.cleared_ns >= finding.first_ns AND other.first_ns < finding.first_ns))"
    )


# version -> function that converts it to version + 1
CONVERTERS: Mapping[int, Converter] = {
    1: _with_seconds_of_streams,
    2: _with_sessions_apart,
    3: _with_strips,
    4: _with_proofs_and_moments,
    5: _with_packed_bodies,
    6: _with_long_flows,
    7: _with_one_life_each,
}
