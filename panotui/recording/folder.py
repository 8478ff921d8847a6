"""The folder `NAME.panotui/`: its parts, its single writer, and how it is opened.

One writer at a time holds `recorder.lock`. Remains of an unclean end (a truncated evidence file)
are repaired on opening for writing; readers never change anything.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from pathlib import Path
from urllib.parse import quote

from panotui.errors import InputError, UsageError
from panotui.recording import schema
from panotui.recording.parts import DATABASE, EVIDENCE, LOCK, PROBE, README
from panotui.wire.cleaned import clean_text
from panotui.wire.text import printable

_README = """\
This folder is a recording of panotui. View it with `panotui review`; never change it by hand.

recording.sqlite   measurements, flows, events, findings
evidence/          unchanged packets around violations and findings, with names, addresses and
                   the cleartext passwords of cameras and clients. Give them only to people who
                   may know those passwords. (With --redact-evidence recognised passwords,
                   tokens and cookies are zeros; check the files all the same.)
exports/           exports from the screen
"""


def prepare(path: Path, shown: Path) -> None:
    """Create the needed parts of the folder; `shown` is its name for the user.

    UsageError if it cannot be created or is not a recording.
    """
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        (path / EVIDENCE).mkdir(mode=0o750, exist_ok=True)
        (path / README).write_text(_README, "utf-8")
        for part in (*path.iterdir(), *(path / EVIDENCE).iterdir()):
            _close_to_others(part)
    except OSError as error:
        raise UsageError(
            str(shown), error.strerror or str(error), "Choose another folder with -o."
        ) from None


def _close_to_others(part: Path) -> None:
    """Remove access that an earlier run with another umask left to others."""
    mode = part.lstat().st_mode
    if (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and mode & 0o027:
        part.chmod(mode & ~0o027)


def held_open(path: Path) -> tuple[int, Path]:
    """(descriptor, path through it): the folder stays reachable after privileges are dropped.

    Without /proc, -1 and the path itself.
    """
    if not Path("/proc/self/fd").exists():
        return -1, path
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return descriptor, Path(f"/proc/self/fd/{descriptor}")


def let_go(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def lock(path: Path, shown: Path) -> int:
    """Take the writer's lock; returns the descriptor that holds it.

    UsageError "recorder already running" if another process has it.
    """
    try:
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise UsageError(
            str(shown), f"cannot be written ({error.strerror})", "Choose another folder with -o."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise UsageError(
            str(shown),
            f"recorder already running{f' (process {holder})' if holder.isdigit() else ''}",
            "Look at it with `panotui attach`, or record into another folder.",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


def is_written(path: Path) -> bool:
    """Whether a recorder holds the writer's lock now."""
    try:
        descriptor = os.open(path / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # nothing was recorded into it, or nobody else may know
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def try_writing(path: Path) -> None:
    """Write a little into the folder and remove it again. OSError."""
    probe = path / PROBE
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        os.write(descriptor, bytes(64))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


def open_for_writing(path: Path, shown: Path | None = None) -> sqlite3.Connection:
    """The database, created or converted; the caller holds the lock."""
    file = path / DATABASE
    try:
        new = not file.exists() or file.stat().st_size == 0
        name = (shown or path).name
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        if new:
            schema.create(connection)
        else:
            schema.upgrade(connection, name)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 256")
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA temp_store = MEMORY")
    except OSError as error:
        why = f"its {DATABASE} cannot be opened ({error.strerror})"
        raise UsageError(str(shown or path), why, "Choose another folder with -o.") from None
    except sqlite3.Error as error:
        raise InputError(
            (shown or path).name,
            f"its database cannot be written ({printable(str(error))})",
            "Is the disk full?",
        ) from None
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The database, read-only, also while a recorder writes and on a read-only medium.

    All its text is printable.

    InputError if it is not a recording, or has a newer format. An older format is converted in a
    copy in memory, so that reading changes nothing on disk.
    """
    file = path / DATABASE
    if not path.exists():
        raise InputError(str(path), "does not exist")
    if not file.exists():
        raise InputError(
            str(path),
            f"this is not a recording: it has no {DATABASE}",
            "Name a folder of `record`.",
        )
    name = quote(str(file.resolve()))
    try:
        connection = _connect(f"file:{name}?mode=ro")
    except sqlite3.OperationalError:
        # A WAL database on a read-only medium cannot make its shared-memory file.
        try:
            connection = _connect(f"file:{name}?mode=ro&immutable=1")
        except schema.DAMAGE as error:
            raise _unreadable(path, error) from None
    except schema.DAMAGE as error:
        raise _unreadable(path, error) from None
    if schema.check(connection, path.name) < schema.VERSION:
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            connection.backup(memory)
        except schema.DAMAGE as error:
            raise _unreadable(path, error) from None
        finally:
            connection.close()
        schema.upgrade(memory, path.name)
        connection = memory
    connection.text_factory = _text
    return connection


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(str(path), f"its database cannot be read ({printable(str(error))})")


def _text(raw: bytes) -> str:
    """A recording may come from anywhere: its text is made printable on reading."""
    return clean_text(raw.decode("utf-8", "surrogateescape"))


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection
