"""The tables of `recording.sqlite`, their version, and the chain of converters for old ones.

`PRAGMA user_version` holds the format's version and `application_id` identifies the program. A
newer format is rejected by name and version; an older one goes through `CONVERTERS`, one step per
version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from panotui import __version__
from panotui.errors import InputError
from panotui.recording.old_formats import CONVERTERS, Converter
from panotui.wire.text import printable

APPLICATION_ID = 0x50414E4F  # "PANO"
VERSION = 8

# Times: *_ns nanoseconds of packet time, *_s whole seconds of it. `body`: msgpack of the record.
# `resolution`: seconds that a row covers. Two sessions may hold the same time: the machine's clock
# was wrong in one of them. `clock`: wall clock = packet time + `ahead_ns` from then on in that
# session. `number` rises in the order of writing. `strip`: changes of a subject's state, see
# `strips`. `told_ns`: the snapshot that first shows an event; it is `pinned`, so that a jump to the
# event always finds it. `dictionary`: the dictionary of a body, see `packing`; 0: a body of an
# older format, or an unpacked one. `resolution` 0 of an endpoint: the state is valid until its next
# row, or until its session ends.
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE session (
    id INTEGER PRIMARY KEY, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL,
    wall_start_ns INTEGER NOT NULL, wall_end_ns INTEGER NOT NULL,
    version TEXT NOT NULL, ended TEXT NOT NULL);
CREATE TABLE snapshot (
    time_ns INTEGER NOT NULL, session INTEGER NOT NULL, resolution INTEGER NOT NULL,
    body BLOB NOT NULL, number INTEGER PRIMARY KEY, pinned INTEGER NOT NULL DEFAULT 0,
    dictionary INTEGER NOT NULL DEFAULT 0, UNIQUE (session, time_ns));
CREATE INDEX snapshot_time ON snapshot (time_ns);
CREATE TABLE dictionary (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL);
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
CREATE TABLE strip (
    session INTEGER NOT NULL, key TEXT NOT NULL, time_s INTEGER NOT NULL, cell INTEGER NOT NULL,
    PRIMARY KEY (session, key, time_s)) WITHOUT ROWID;
CREATE TABLE flow (
    session INTEGER NOT NULL, id TEXT NOT NULL, first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL, ended INTEGER NOT NULL, verdict TEXT NOT NULL, body BLOB NOT NULL,
    dictionary INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (session, id)) WITHOUT ROWID;
CREATE INDEX flow_last ON flow (last_ns);
CREATE INDEX flow_long ON flow (last_ns, first_ns) WHERE last_ns - first_ns > 3600000000000;
CREATE TABLE flow_sample (
    session INTEGER NOT NULL, id TEXT NOT NULL, time_s INTEGER NOT NULL,
    packets_out INTEGER, packets_in INTEGER, bytes_out INTEGER, bytes_in INTEGER,
    verdict TEXT, state TEXT, PRIMARY KEY (session, id, time_s)) WITHOUT ROWID;
CREATE INDEX flow_sample_time ON flow_sample (time_s);
CREATE TABLE event (
    session INTEGER NOT NULL, number INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    severity TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL,
    told_ns INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (session, number)) WITHOUT ROWID;
CREATE INDEX event_time ON event (time_ns);
CREATE INDEX event_told ON event (told_ns);
CREATE TABLE finding (
    session INTEGER NOT NULL, key TEXT NOT NULL, first_ns INTEGER NOT NULL,
    cleared_ns INTEGER, body BLOB NOT NULL,
    PRIMARY KEY (session, key, first_ns)) WITHOUT ROWID;
CREATE TABLE violation (
    session INTEGER NOT NULL, id TEXT NOT NULL, first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (session, id)) WITHOUT ROWID;
CREATE TABLE mark (time_ns INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TABLE known (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE clock (session INTEGER NOT NULL, time_ns INTEGER NOT NULL, ahead_ns INTEGER NOT NULL);
CREATE TABLE gap (start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE evidence (
    file TEXT PRIMARY KEY, time_ns INTEGER NOT NULL, title TEXT NOT NULL,
    packets INTEGER NOT NULL, bytes INTEGER NOT NULL, session INTEGER NOT NULL DEFAULT 0,
    subject TEXT NOT NULL DEFAULT '', sha256 TEXT, frames BLOB) WITHOUT ROWID;
CREATE INDEX evidence_subject ON evidence (subject);
"""

# SQLite's exceptions for a damaged file: its own messages quote damaged text, too.
DAMAGE = (sqlite3.Error, UnicodeDecodeError)


def create(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty database."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(
        f"BEGIN; {TABLES} PRAGMA application_id = {APPLICATION_ID};"
        f" PRAGMA user_version = {VERSION}; COMMIT;"
    )


def check(connection: sqlite3.Connection, name: str) -> int:
    """The format's version; InputError if this is not one of our recordings or a newer one."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except DAMAGE as error:
        raise InputError(name, f"its database cannot be read ({printable(str(error))})") from None
    if application != APPLICATION_ID:
        raise InputError(name, "its recording.sqlite was not written by panotui")
    if version > VERSION:
        raise InputError(
            name,
            f"format {version} is newer than panotui {__version__} knows ({VERSION})",
            "Update panotui to read it.",
        )
    return int(version)


def upgrade(
    connection: sqlite3.Connection,
    name: str,
    converters: Mapping[int, Converter] = CONVERTERS,
    target: int = VERSION,
) -> None:
    """Convert an older format up to `target`, a step at a time, each in its own transaction.

    InputError if a step is missing or fails; the state before the step stays.
    """
    version = check(connection, name)
    while version < target:
        converter = converters.get(version)
        if converter is None:
            raise InputError(
                name,
                f"format {version} is too old for panotui {__version__}",
                "Open it with the version that wrote it.",
            )
        connection.execute("BEGIN IMMEDIATE")
        try:
            converter(connection)
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except DAMAGE as error:
            connection.execute("ROLLBACK")
            raise InputError(
                name, f"format {version} cannot be converted ({printable(str(error))})"
            ) from None
        version += 1
