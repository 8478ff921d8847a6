"""Retention: roll-up of old samples, and removal by age, size and free disk.

Samples are kept each second for an hour, then every 10 s for half a day, every minute for a week,
and every hour after that. Snapshots are larger and thinned earlier, except those that show an
event. Removal starts with the oldest, evidence files before the tables, and is stored in `meta` so
that a review never shows it as silence.
"""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from panotui.model import SECOND
from panotui.recording.packing import SNAPSHOTS
from panotui.recording.parts import EVIDENCE
from panotui.recording.rows import get_meta, number_of, set_meta
from panotui.recording.states import worst_sql

DAY_S = 86_400
CONTROL_FILE = "-control.pcapng"  # suffix of files with all control packets
# Shares of the size limit: removal starts at the first, and stops at the second. The log of a
# removal itself counts too, until it is empty again.
FULL, ROOM = 0.95, 0.92
STEPS_MOST = 30  # removals at once


Levels: TypeAlias = tuple[tuple[int, int, int], ...]


class Limits(Struct, frozen=True):
    """Size and age limits of a recording."""

    size_bytes: int = 2_000_000_000
    age_s: int | None = None
    evidence_bytes: int = 256_000_000
    control_age_s: int = 7 * DAY_S  # of files with all control packets, which grow all the time
    free_bytes: int = 200_000_000  # the floor: below it evidence stops and the oldest goes
    samples_second_s: int = 3_600  # age limits of samples per second, per ten seconds, per minute
    samples_ten_s: int = DAY_S // 2
    samples_minute_s: int = 7 * DAY_S
    snapshots_second_s: int = 600  # the same for snapshots, and those per ten minutes
    snapshots_ten_s: int = 3_600
    snapshots_minute_s: int = DAY_S
    snapshots_ten_minutes_s: int = 7 * DAY_S

    def samples(self) -> Levels:
        """(seconds that a row covers, seconds that it will cover, age of the change)."""
        return (
            (1, 10, self.samples_second_s),
            (10, 60, self.samples_ten_s),
            (60, 3_600, self.samples_minute_s),
        )

    def snapshots(self) -> Levels:
        """The same for snapshots."""
        return (
            (1, 10, self.snapshots_second_s),
            (10, 60, self.snapshots_ten_s),
            (60, 600, self.snapshots_minute_s),
            (600, 3_600, self.snapshots_ten_minutes_s),
        )


# Counts of flows are sampled every ten seconds: (seconds between remaining samples, age)
FLOW_SAMPLES = ((60, 3_600), (600, DAY_S), (3_600, 7 * DAY_S))


_SAMPLES = {
    "port_sample": (
        "name",
        f"{worst_sql('state')}, avg(rate_in_bps), avg(rate_out_bps),"
        " max(packets_in), max(packets_out)",
    ),
    "stream_sample": (
        "name",
        f"{worst_sql('state')}, max(camera), avg(rate_bps), max(loss), max(jitter_ms), avg(fps),"
        " max(packets), max(lost), avg(lost_s), avg(frames_s), avg(keyframes_s), max(frame_bytes)",
    ),
    # rows of older formats; since 6 there is one per change, which stays
    "endpoint_sample": ("name", f"{worst_sql('state')}, avg(rtt_ms)"),
}


def roll_up(connection: sqlite3.Connection, now_s: int, limits: Limits) -> int:
    """Thin old data; returns the rows removed. Call inside a transaction, once a minute."""
    before = connection.total_changes
    for table, (key, aggregates) in _SAMPLES.items():
        for fine, coarse, age in limits.samples():
            _coarsen(connection, table, key, aggregates, fine, coarse, now_s - age)
    for fine, coarse, age in limits.samples():
        edge = (now_s - age) // coarse * coarse
        connection.execute(
            f"DELETE FROM summary_sample WHERE resolution = ? AND time_s < ? AND time_s % {coarse}",  # noqa: S608 - a number of ours
            (fine, edge),
        )
        connection.execute(
            "UPDATE summary_sample SET resolution = ? WHERE resolution = ? AND time_s < ?",
            (coarse, fine, edge),
        )
    _thin_snapshots(connection, now_s, limits)
    _thin_flow_samples(connection, now_s)
    return connection.total_changes - before


def _coarsen(
    connection: sqlite3.Connection,
    table: str,
    key: str,
    aggregates: str,
    fine: int,
    coarse: int,
    edge: int,
) -> None:
    edge = edge // coarse * coarse
    # The names below are this module's own constants; values are bound.
    oldest = connection.execute(
        f"SELECT min(time_s) FROM {table} WHERE resolution = ? AND time_s < ?",  # noqa: S608
        (fine, edge),
    ).fetchone()[0]
    if oldest is None:
        return
    rows = connection.execute(
        f"SELECT time_s / {coarse} * {coarse}, {coarse}, {key}, {aggregates}, session"  # noqa: S608
        f" FROM {table} WHERE resolution = ? AND time_s < ?"
        f" GROUP BY {key}, session, time_s / {coarse}",
        (fine, edge),
    ).fetchall()
    connection.execute(
        f"DELETE FROM {table} WHERE resolution = ? AND time_s < ?",  # noqa: S608
        (fine, edge),
    )
    marks = ", ".join("?" * len(rows[0]))
    connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)  # noqa: S608


def _thin_snapshots(connection: sqlite3.Connection, now_s: int, limits: Limits) -> None:
    for fine, coarse, age in limits.snapshots():
        edge_ns = (now_s - age) // coarse * coarse * SECOND
        step = coarse * SECOND
        # The last of each step stays, and always the newest of each session.
        connection.execute(
            "DELETE FROM snapshot WHERE resolution = ? AND time_ns < ? AND NOT pinned"
            " AND number NOT IN"
            " (SELECT max(number) FROM snapshot WHERE resolution = ? AND time_ns < ?"
            "  GROUP BY session, time_ns / ?)"
            " AND number NOT IN (SELECT max(number) FROM snapshot GROUP BY session)",
            (fine, edge_ns, fine, edge_ns, step),
        )
        connection.execute(
            "UPDATE snapshot SET resolution = ? WHERE resolution = ? AND time_ns < ?",
            (coarse, fine, edge_ns),
        )
    _forget_dictionaries(connection)


def _forget_dictionaries(connection: sqlite3.Connection) -> None:
    """Drop the dictionaries of removed snapshots."""
    connection.execute(
        "DELETE FROM dictionary WHERE kind = ? AND id NOT IN (SELECT dictionary FROM snapshot)"
        " AND id < (SELECT max(dictionary) FROM snapshot)",
        (SNAPSHOTS,),
    )


def _thin_flow_samples(connection: sqlite3.Connection, now_s: int) -> None:
    """Keep the last sample of each step; the progress is stored."""
    for step, age in FLOW_SAMPLES:
        edge = (now_s - age) // step * step
        done = number_of(get_meta(connection, thinned_key(step)))
        if edge <= done:
            continue
        connection.execute(
            "DELETE FROM flow_sample WHERE time_s >= :done AND time_s < :edge AND EXISTS"
            " (SELECT 1 FROM flow_sample AS later WHERE later.session = flow_sample.session"
            "  AND later.id = flow_sample.id AND later.time_s > flow_sample.time_s"
            "  AND later.time_s < (flow_sample.time_s / :step + 1) * :step)",
            {"done": done, "edge": edge, "step": step},
        )
        set_meta(connection, thinned_key(step), str(edge))


def thinned_key(step: int) -> str:
    """The name of the value that says until which second counts of flows are `step` seconds
    apart.
    """
    return f"flow_samples_{step}"


# ------------------------------------------------------------------ removal


def size_of(folder: Path) -> int:
    """Bytes of all files on disk, except users' exports."""
    return _size(folder.iterdir()) + evidence_size_of(folder)


def evidence_size_of(folder: Path) -> int:
    """Bytes of its evidence."""
    return _size((folder / EVIDENCE).glob("*"))


def _size(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        try:
            found = path.lstat()
        except OSError:
            continue  # removed meanwhile
        if stat.S_ISREG(found.st_mode):
            total += found.st_size
    return total


def free_of(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def trim_evidence(
    connection: sqlite3.Connection, folder: Path, keep_bytes: int, writing: str | None = None
) -> int:
    """Remove the oldest evidence files until at most `keep_bytes` are left; returns the bytes
    freed.

    Files of control packets, which grow all the time, get half of it, so that they never cost a
    finding its packets. `writing`: the file being written, which stays.
    """
    files = []
    for path in (folder / EVIDENCE).glob("*.pcapng"):
        try:
            files.append((path.name, path.stat().st_size, path))
        except OSError:
            continue
    files.sort()
    control = [file for file in files if file[0].endswith(CONTROL_FILE)]
    others = [file for file in files if not file[0].endswith(CONTROL_FILE)]
    freed = _trim(connection, control, keep_bytes // 2, writing)
    left = sum(size for _, size, _ in control) - freed
    return freed + _trim(connection, others, keep_bytes - left, writing)


def age_control(
    connection: sqlite3.Connection, folder: Path, before_ns: int, writing: str | None = None
) -> int:
    """Remove files of control packets from before a time; returns their number."""
    found = connection.execute(
        "SELECT file FROM evidence WHERE time_ns < ? AND file LIKE ? AND file IS NOT ?",
        (before_ns, f"%{CONTROL_FILE}", writing),
    ).fetchall()
    for (name,) in found:
        if Path(name).name == name:
            (folder / EVIDENCE / name).unlink(missing_ok=True)
        connection.execute("DELETE FROM evidence WHERE file = ?", (name,))
    return len(found)


def _trim(
    connection: sqlite3.Connection,
    files: list[tuple[str, int, Path]],
    keep_bytes: int,
    writing: str | None,
) -> int:
    total, freed = sum(size for _, size, _ in files), 0
    for name, size, path in files:
        if total - freed <= keep_bytes:
            break
        if name == writing:
            continue
        path.unlink(missing_ok=True)
        connection.execute("DELETE FROM evidence WHERE file = ?", (name,))
        freed += size
    return freed


def remove_before(connection: sqlite3.Connection, time_ns: int) -> None:
    """Remove everything older than a time, and record this. Call inside a transaction."""
    second = time_ns // SECOND
    for table in ("port_sample", "stream_sample"):
        connection.execute(f"DELETE FROM {table} WHERE time_s < ?", (second,))  # noqa: S608
    # An endpoint's state is its last row before that time.
    connection.execute(
        "DELETE FROM endpoint_sample WHERE time_s < :edge AND (resolution > 0 OR EXISTS"
        " (SELECT 1 FROM endpoint_sample AS later WHERE later.session = endpoint_sample.session"
        " AND later.name = endpoint_sample.name AND later.time_s > endpoint_sample.time_s"
        " AND later.time_s <= :edge))",
        {"edge": second},
    )
    connection.execute("DELETE FROM summary_sample WHERE time_s < ?", (second,))
    connection.execute(
        "DELETE FROM snapshot WHERE time_ns < ?"
        " AND number NOT IN (SELECT max(number) FROM snapshot)",
        (time_ns,),
    )
    _forget_dictionaries(connection)
    connection.execute("DELETE FROM flow WHERE last_ns < ?", (time_ns,))
    connection.execute("DELETE FROM flow_sample WHERE time_s < ?", (second,))
    connection.execute("DELETE FROM event WHERE time_ns < ?", (time_ns,))
    # A subject's state at that time is its last change before.
    connection.execute(
        "DELETE FROM strip WHERE time_s < :edge AND EXISTS (SELECT 1 FROM strip AS later"
        " WHERE later.session = strip.session AND later.key = strip.key"
        " AND later.time_s > strip.time_s AND later.time_s <= :edge)",
        {"edge": second},
    )
    connection.execute("DELETE FROM finding WHERE cleared_ns < ?", (time_ns,))
    connection.execute("DELETE FROM violation WHERE last_ns < ?", (time_ns,))
    connection.execute("DELETE FROM mark WHERE time_ns < ?", (time_ns,))
    connection.execute(
        "DELETE FROM clock WHERE time_ns < ? AND session NOT IN (SELECT max(id) FROM session)",
        (time_ns,),
    )
    connection.execute("DELETE FROM gap WHERE end_ns < ?", (time_ns,))
    earlier = number_of(get_meta(connection, "removed_before_ns"))
    set_meta(connection, "removed_before_ns", str(max(earlier, time_ns)))


def enforce(
    connection: sqlite3.Connection,
    folder: Path,
    now_ns: int,
    limits: Limits,
    free: int,
    writing: str | None = None,
) -> str | None:
    """Keep a recording within its limits; returns a line about the removal, or None.

    Removes a twentieth of the recorded time at once, as often as needed, so that not much more is
    removed than necessary. `writing`: the evidence file being written.
    """
    said: str | None = None
    if limits.age_s is not None:
        oldest = connection.execute("SELECT min(time_s) FROM summary_sample").fetchone()[0]
        edge = now_ns - limits.age_s * SECOND
        if oldest is not None and oldest * SECOND < edge:
            _in_transaction(connection, edge)
            said = "what is older than the limit was removed"
    # a file holds an hour: the age refers to its newest packets
    if age_control(connection, folder, now_ns - (limits.control_age_s + 3_600) * SECOND, writing):
        said = "control packets older than their limit were removed"
    evidence_limit = min(limits.evidence_bytes, limits.size_bytes // 2)
    if free < limits.free_bytes:
        evidence_limit = 0
    if trim_evidence(connection, folder, evidence_limit, writing):
        said = "the oldest evidence was removed"
    size = size_of(folder)
    low_disk = free < limits.free_bytes and size > 50_000_000
    if size <= limits.size_bytes * FULL and not low_disk:
        return said
    for _ in range(1 if low_disk else STEPS_MOST):
        first, last = connection.execute(
            "SELECT min(time_s), max(time_s) FROM summary_sample"
        ).fetchone()
        if first is None or last - first <= 60:
            break
        _in_transaction(connection, (first + max(60, (last - first) // 20)) * SECOND)
        said = "the oldest part was removed to keep the size"
        if size_of(folder) <= limits.size_bytes * ROOM:
            break
    return said


def _in_transaction(connection: sqlite3.Connection, edge_ns: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    remove_before(connection, edge_ns)
    connection.execute("COMMIT")
    connection.execute("PRAGMA incremental_vacuum").fetchall()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
