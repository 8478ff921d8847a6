"""A folder of Parquet files: flows, streams, seconds and events, one file per day for each.

`TABLE/day=YYYY-MM-DD/part-0.parquet`, days in UTC, so that a year of nights is one data set.
Columns are the records' fields; times are timestamps in UTC, and each column has its unit in its
metadata.

A separate process writes the files (`parquet_process`): pyarrow is Apache-2.0 only and is not
loaded beside GPL-2.0-only packages such as scapy.
"""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, get_args

import msgspec

from panotui import __version__
from panotui.errors import UsageError
from panotui.model import SECOND, EventRecord, FlowRecord, StreamRecord
from panotui.recording.reader import Recording

SCHEMA_PARQUET = "panotui.parquet/1"
ROWS_A_PIECE = 5_000
Column = tuple[str, str, str]  # name, type, unit
Rows = Iterable[Sequence[Any]]

# unit by the end of a field's name
_UNITS = (
    ("_bps", "bit/s"), ("_ms", "ms"), ("_ns", "ns since the epoch, UTC"), ("_s", "s"),
    ("_ppm", "ppm"), ("bytes", "byte"), ("packets", "packet"), ("lost", "packet"),
    ("fps", "1/s"), ("payload_out", "byte"), ("payload_in", "byte"),
)  # fmt: skip
# (name, type, unit, tables with such samples)
_SECONDS: tuple[Column, ...] = (
    ("time", "time", ""), ("resolution", "int", "s"), ("kind", "text", ""), ("name", "text", ""),
    ("camera", "text", ""), ("state", "text", ""), ("rate_in_bps", "float", "bit/s"),
    ("rate_out_bps", "float", "bit/s"), ("rate_bps", "float", "bit/s"), ("loss", "float", "share"),
    ("jitter_ms", "float", "ms"), ("fps", "float", "1/s"), ("rtt_ms", "float", "ms"),
    ("packets_in", "int", "packet"), ("packets_out", "int", "packet"),
    ("packets", "int", "packet"), ("lost", "int", "packet"),
)  # fmt: skip
_SAMPLES = {
    "port": ("port_sample", (
        "resolution", "state", "rate_in_bps", "rate_out_bps", "packets_in", "packets_out",
    )),
    "stream": ("stream_sample", (
        "resolution", "camera", "state", "rate_bps", "loss", "jitter_ms", "fps", "packets", "lost",
    )),
    "endpoint": ("endpoint_sample", ("resolution", "state", "rtt_ms")),
}  # fmt: skip


def columns_of(kind: type[msgspec.Struct]) -> tuple[Column, ...]:
    """(name, type, unit) of a record's plain fields; nested ones are only in the JSON."""
    found: list[Column] = []
    for field in msgspec.structs.fields(kind):
        shape = _type_of(field.type)
        if shape is None or field.name.startswith("history_"):
            continue
        if field.name.endswith("_ns"):
            found.append((field.name[:-3], "time", ""))
        else:
            found.append((field.name, shape, _unit_of(field.name, shape)))
    return tuple(found)


def _type_of(hint: Any) -> str | None:
    """The column type for a field's type; None if it is not a plain value."""
    kinds = {k for k in (get_args(hint) or (hint,)) if k is not type(None)}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int"
    if kinds <= {int, float}:
        return "float"
    if kinds == {str} or all(isinstance(k, str) for k in kinds):  # some words
        return "text"
    return "texts" if kinds == {str, Ellipsis} else None


def _unit_of(name: str, shape: str) -> str:
    if shape not in ("int", "float"):
        return ""
    found = (unit for end, unit in _UNITS if name.endswith(end) or name.startswith(f"{end}_"))
    return next(found, "")


def tables() -> dict[str, tuple[Column, ...]]:
    """The columns of each table."""
    return {
        "flows": columns_of(FlowRecord),
        "streams": columns_of(StreamRecord),
        "seconds": _SECONDS,
        "events": columns_of(EventRecord),
    }


def _values(records: Iterable[Any], columns: Sequence[Column]) -> Iterator[list[Any]]:
    names = [f"{name}_ns" if shape == "time" else name for name, shape, _ in columns]
    for record in records:
        yield [getattr(record, name) for name in names]


def _seconds(recording: Recording) -> Iterator[list[Any]]:
    for kind, (table, names) in _SAMPLES.items():
        places = [names.index(c) if c in names else -1 for c, _, _ in _SECONDS]
        for time_s, name, *values in recording.samples(table, names):
            row = [values[place] if place >= 0 else None for place in places]
            row[0], row[2], row[3] = time_s * SECOND, kind, name
            yield row


def require_pyarrow() -> None:
    """UsageError if it is not installed; it is never loaded here."""
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            "--parquet", "pyarrow is not installed", "Install it: pip install 'panotui[parquet]'."
        )


class ParquetWriter:
    """The process that writes, waiting for its tables.

    It is started while every file can be reached. `write` sends it the folder, and `become` (user,
    group): the user that it must become before it reads anything else.
    """

    def __init__(self, named: Path) -> None:
        """`named`: the user's name for the folder. UsageError without pyarrow."""
        require_pyarrow()
        self._named = named
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "panotui.report.parquet_process"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """It ends when its pipe ends; unwritten tables are no longer needed."""
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if kind is not None:
            self._process.terminate()
        self._process.wait()

    def write(
        self,
        folder: Path,
        flows: Iterable[FlowRecord],
        streams: Iterable[StreamRecord],
        recording: Recording,
        become: tuple[int, int] | None = None,
    ) -> None:
        """Write all tables into `folder`, which is created if needed. Seconds and events are those
        of `recording`. UsageError if that fails.
        """
        specs = tables()
        parts: dict[str, Rows] = {
            "flows": _values(flows, specs["flows"]),
            "streams": _values(streams, specs["streams"]),
            "seconds": _seconds(recording),
            "events": _values(recording.events(limit=1 << 30), specs["events"]),
        }
        head = {
            "schema": SCHEMA_PARQUET, "made_by": f"Panotui {__version__}", "folder": str(folder),
            "tables": specs, "become": become,
        }  # fmt: skip
        process = self._process
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            _send(process.stdin, head)
            for name, rows in parts.items():
                remaining = iter(rows)
                while piece := list(islice(remaining, ROWS_A_PIECE)):
                    _send(process.stdin, (name, piece))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it reports why
        said = process.stderr.read().decode("utf-8", "replace").strip()
        if process.wait():
            why = said.splitlines()[-1] if said else "its process ended"
            raise UsageError(f"--parquet {self._named}", why[:200], "Name another folder.")


def _send(stream: IO[bytes], content: object) -> None:
    raw = msgspec.msgpack.encode(content)
    stream.write(len(raw).to_bytes(4, "little") + raw)
