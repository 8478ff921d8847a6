"""A folder of CSV files, one a table of the analysis: for spreadsheets and tickets.

A snapshot and flow records come in; `flows.csv`, `streams.csv`, `findings.csv` and so on come out.
Nested objects become columns with a dot (`jitter_ms.max`), lists are joined by spaces, null is an
empty cell. A cell that a spreadsheet would run as a formula is quoted with an apostrophe.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from panotui.errors import InputError
from panotui.model import FlowRecord, Snapshot
from panotui.report.analysis import analysis_from_records, clean
from panotui.report.objects import Json, flow_object

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_EMPTY_FLOW = FlowRecord(
    id="", community_id="", port=None, transport="", src="", sport=None, dst="", dport=None,
    first_time_ns=0, last_time_ns=0,
)  # fmt: skip
TABLES = (
    "ports",
    "flows",
    "streams",
    "cameras",
    "endpoints",
    "devices",
    "clock",
    "violations",
    "findings",
)
_NESTED = {  # objects of a stream that are null while none of their numbers is known
    "jitter_ms": ("mean", "max"),
    "frame_jitter_ms": ("mean", "max"),
    "delta_ms": ("min", "mean", "max"),
    "bitrate_bps": ("mean", "peak"),
}
_HEADERS: dict[str, tuple[str, ...]] = {
    "ports": ("name", "role", "mac"),
    "streams": ("camera", "ssrc"),
    "cameras": ("name", "address"),
    "endpoints": ("service", "host", "port"),
    "devices": ("mac", "vendor"),
    "clock": ("address", "scope"),
    "violations": ("id", "reason"),
    "findings": ("id", "subject"),
}


def write_csv(folder: Path, snapshot: Snapshot, flows: Iterable[FlowRecord]) -> list[Path]:
    """Write every table into `folder` (made if need be); returns the files. InputError when the
    folder cannot be written."""
    whole = analysis_from_records(snapshot, ())
    whole["clock"] = whole["clock"]["servers"]
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            path = folder / f"{name}.csv"
            if name == "flows":
                columns = tuple(flat(flow_object(_EMPTY_FLOW)))
                _write(path, columns, (flat(clean(flow_object(f))) for f in flows))
            else:
                rows = [flat(item) for item in whole[name]]
                columns = tuple(dict.fromkeys([*_HEADERS[name], *(c for r in rows for c in r)]))
                _write(path, columns, iter(rows))
            written.append(path)
    except OSError as error:
        raise InputError(
            str(folder), f"the tables cannot be written: {error.strerror or error}",
            "Give a folder that can be written, with space left.",
        ) from error  # fmt: skip
    return written


def _write(path: Path, columns: tuple[str, ...], rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([cell(row.get(column)) for column in columns])


def flat(item: Json, prefix: str = "") -> dict[str, Any]:
    """One object as a flat row."""
    out: dict[str, Any] = {}
    for name, value in item.items():
        if isinstance(value, dict):
            out.update(flat(value, f"{prefix}{name}."))
        elif isinstance(value, list):
            out[f"{prefix}{name}"] = " ".join(_text(v) for v in value)
        elif value is None and name in _NESTED:
            out.update({f"{prefix}{name}.{part}": None for part in _NESTED[name]})
        else:
            out[f"{prefix}{name}"] = value
    return out


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{k}={'' if v is None else v}" for k, v in value.items())
    return str(value)


def cell(value: Any) -> Any:
    """A cell's value: null is empty, and text that looks like a formula is defused."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
