"""Writes a table as CSV or JSON lines, or a detail as JSON, to a file.

Files are new (never overwritten), named after their content and the packet time. Text cells that a
spreadsheet would run as a formula are quoted, because names in them come from the wire.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from panotui.errors import UsageError
from panotui.model import SECOND
from panotui.views.filter import FilterError, parse
from panotui.views.frames import Detail

T = TypeVar("T")
_NOT_HERE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR)


def _name(what: str, time_ns: int, ending: str) -> str:
    stamp = datetime.fromtimestamp(time_ns // SECOND, UTC).strftime("%Y%m%dT%H%M%SZ")
    safe = "".join(c if c.isalnum() or c in "-." else "-" for c in what)[:60]
    return f"panotui-{safe}-{stamp}{ending}"


def _write_new(folder: Path, name: str, text: str) -> Path:
    """Write a text into `folder`, see `write_somewhere`."""

    def write(path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)

    path, _ = write_somewhere(folder, name, write)
    return shown(path)


def write_packets(
    folder: Path, key: str, time_ns: int, write: Callable[[Path], T]
) -> tuple[Path, T]:
    """Let `write` create a new pcapng file named after `key`; (its name for the user, the result of
    `write`).
    """
    path, written = write_somewhere(folder, _name(f"evidence-{key}", time_ns, ".pcapng"), write)
    return shown(path), written


def write_somewhere(folder: Path, name: str, write: Callable[[Path], T]) -> tuple[Path, T]:
    """Let `write` create a file with that or a similar name in `folder`, or beside the system's
    temporary files if this process may not write there: after the drop, the caller's folder may be
    closed to it. UsageError.
    """
    refused = ""
    for place in (folder, Path(tempfile.gettempdir())):
        try:
            return _written(place, name, write)
        except OSError as error:
            refused = refused or f"it cannot be written: {error.strerror or error}"
            if error.errno not in _NOT_HERE:
                break
    raise UsageError(f"export into {shown(folder)}", refused)


def shown(path: Path) -> Path:
    """The name for users: that of the folder behind one of our handles."""
    return Path(os.path.realpath(path)) if path.is_relative_to("/proc/self/fd") else path


def _written(folder: Path, name: str, write: Callable[[Path], T]) -> tuple[Path, T]:
    folder.mkdir(parents=True, exist_ok=True)
    stem, ending = os.path.splitext(name)
    for attempt in range(100):
        path = folder / (name if attempt == 0 else f"{stem}-{attempt}{ending}")
        try:
            return path, write(path)
        except FileExistsError:
            continue
    raise UsageError(
        str(folder / name), "there are already a hundred exports with that name", "Remove some."
    )


def safe_cell(value: Any) -> Any:
    """A value as a CSV cell: no formula, no nested structure."""
    if isinstance(value, str):
        return "'" + value if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    if isinstance(value, tuple | list | dict):
        return msgspec.json.encode(value).decode()
    return value


def csv_text(records: Sequence[Any], columns: Sequence[str]) -> str:
    """Records as CSV with a header line."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for record in records:
        writer.writerow([safe_cell(getattr(record, column)) for column in columns])
    return out.getvalue()


def write_table(
    folder: Path, pane: str, records: Sequence[Any], filter_text: str, kind: str, time_ns: int
) -> tuple[Path, int]:
    """Write the rows that pass the filter; (path, rows). `kind` is `csv` or `json`."""
    rows: Sequence[Any] = records
    if records and filter_text.strip():
        try:
            rows = parse(filter_text).select(records, type(records[0]))
        except FilterError as error:
            raise UsageError("filter", str(error)) from None
    if kind == "json":
        text = "".join(msgspec.json.encode(row).decode() + "\n" for row in rows)
        return _write_new(folder, _name(pane, time_ns, ".ndjson"), text), len(rows)
    columns = getattr(type(rows[0]), "__struct_fields__", ()) if rows else ()
    return _write_new(folder, _name(pane, time_ns, ".csv"), csv_text(rows, columns)), len(rows)


def write_detail(folder: Path, detail: Detail, time_ns: int) -> Path:
    text = msgspec.json.format(msgspec.json.encode(detail), indent=2).decode() + "\n"
    return _write_new(folder, _name(detail.key, time_ns, ".json"), text)
