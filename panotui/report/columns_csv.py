"""A folder of CSV files, one per table of the analysis, for spreadsheets and tickets.

A snapshot and flow records come in; `flows.csv`, `streams.csv`, `findings.csv` and so on come out.
Nested objects become columns with a dot (`jitter_ms.max`), lists are joined by spaces, null is an
empty cell. A cell that a spreadsheet would run as a formula is quoted with an apostrophe.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from panotui.errors import InputError
from panotui.model import (
    CameraRecord,
    ClockRecord,
    DeviceRecord,
    EndpointRecord,
    FindingRecord,
    FlowRecord,
    PortRecord,
    Snapshot,
    StreamRecord,
    TimeServerRecord,
    ViolationRecord,
)
from panotui.report.analysis import analysis_from_records, clean
from panotui.report.objects import (
    Json,
    camera_object,
    clock_object,
    device_object,
    endpoint_object,
    finding_object,
    flow_object,
    port_object,
    stream_object,
    violation_object,
)

R = TypeVar("R", bound=msgspec.Struct)

# a value of each type of a record's fields
_SAMPLES: dict[Any, Any] = {float: 0.0, int: 0, str: ""}
_NESTED = frozenset({"jitter_ms", "frame_jitter_ms", "delta_ms", "bitrate_bps", "frame_bytes"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
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


@lru_cache(maxsize=1)
def headers() -> dict[str, tuple[str, ...]]:
    """The columns of each table, even without rows: those of a record in which everything is
    known.
    """
    servers = (whole(TimeServerRecord),)
    return {
        "ports": _columns(port_object(whole(PortRecord))),
        "flows": _columns(flow_object(whole(FlowRecord))),
        "streams": _columns(stream_object(whole(StreamRecord))),
        "cameras": _columns(camera_object(whole(CameraRecord))),
        "endpoints": _columns(endpoint_object(whole(EndpointRecord))),
        "devices": _columns(device_object(whole(DeviceRecord))),
        "clock": _columns(clock_object(ClockRecord(servers=servers))["servers"][0]),
        "violations": _columns(violation_object(whole(ViolationRecord))),
        "findings": _columns(finding_object(whole(FindingRecord))),
    }


def _columns(item: Json) -> tuple[str, ...]:
    return tuple(flat(clean(item)))


def whole(kind: type[R]) -> R:
    """A record in which nothing is unknown, so that its object has all nested objects."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        kinds = {k for k in (field.type, *get_args(field.type)) if k in _SAMPLES}
        if kinds:
            values[field.name] = _SAMPLES[next(k for k in _SAMPLES if k in kinds)]
        elif field.required:  # one of some words
            values[field.name] = get_args(field.type)[0]
    return kind(**values)


def write_csv(folder: Path, snapshot: Snapshot, flows: Iterable[FlowRecord]) -> list[Path]:
    """Write every table into `folder` (created if needed); returns the files. InputError if the
    folder cannot be written.
    """
    whole = analysis_from_records(snapshot, ())
    whole["clock"] = whole["clock"]["servers"]
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            path = folder / f"{name}.csv"
            columns = headers()[name]
            if name == "flows":
                _write(path, columns, (flat(clean(flow_object(f))) for f in flows))
            else:
                rows = [flat(item) for item in whole[name]]
                more = (column for row in rows for column in row)
                _write(path, tuple(dict.fromkeys([*columns, *more])), iter(rows))
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
        elif value is None and f"{prefix}{name}" in _NESTED:
            continue  # its columns stay empty
        else:
            out[f"{prefix}{name}"] = value
    return out


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{k}={'' if v is None else v}" for k, v in value.items())
    return str(value)


def cell(value: Any) -> Any:
    """A cell's value: null is empty, and text that looks like a formula is quoted."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
