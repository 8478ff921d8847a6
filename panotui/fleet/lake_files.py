"""Parquet and answers, written for one capture by the worker that analysed it.

`TABLE/site=NAME/day=YYYY-MM-DD/KEY.parquet` (days in UTC) and `answers/KE/KEY.json.zst`. A file is
written completely or not at all. Loads pyarrow, so it is never loaded in a process with scapy.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from panotui.fleet.own_lake import make_folder, require_own
from panotui.fleet.tables import CAPTURES, TABLES, capture_columns, columns, flat

NO_DAY = "__HIVE_DEFAULT_PARTITION__"  # of a capture without a packet
TYPES = {
    "time": pa.timestamp("us", tz="UTC"),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "json": pa.string(),
}
_BLOCK = 16 << 20  # bytes of JSON read at once; a row is never longer


def schema_of(table: str, counts: Iterable[str] = ()) -> Any:
    """The columns of a table's files, `capture` (the key of the capture) first."""
    shapes = capture_columns() if table == CAPTURES else columns(table)
    fields = [pa.field("capture", pa.string()), *(pa.field(n, TYPES[s]) for n, s in shapes.items())]
    return pa.schema([*fields, *(pa.field(name, pa.int64()) for name in counts)])


class LakeFiles:
    """The files of one capture: written into a local folder, then put into the lake."""

    def __init__(self, scratch: Path, key: str) -> None:
        self._scratch = scratch
        self._key = key
        self._open: dict[tuple[str, str], tuple[Any, Path]] = {}
        self.days: set[str] = set()
        self.placed: set[str] = set()  # the files in the lake, once they are there

    def add_lines(self, table: str, lines: bytes, day: str) -> None:
        """Rows as JSON objects, one per line, without nested ones. `day`: for rows without one."""
        wanted = schema_of(table)
        plain = pa.schema([f for f in wanted if f.name != "capture"])
        read = pj.read_json(
            pa.BufferReader(lines),
            pj.ReadOptions(use_threads=False, block_size=_BLOCK),
            pj.ParseOptions(explicit_schema=plain, unexpected_field_behavior="ignore"),
        )
        self._add(table, read.select(plain.names), wanted, day)

    def add_rows(self, table: str, rows: list[dict[str, Any]], day: str) -> None:
        """The same for rows in the form of the JSON."""
        if rows:
            flattened = b"\n".join(msgspec.json.encode(flat(table, row)) for row in rows)
            self.add_lines(table, flattened, day)

    def add_capture(self, row: dict[str, Any], counts: dict[str, int], day: str) -> None:
        """The one row of the table of captures."""
        wanted = schema_of(CAPTURES, counts)
        plain = pa.schema([f for f in wanted if f.name != "capture"])
        read = pj.read_json(
            pa.BufferReader(msgspec.json.encode(row | counts)),
            parse_options=pj.ParseOptions(explicit_schema=plain),
        )
        self._add(CAPTURES, read, wanted, day)

    def _add(self, table: str, read: Any, wanted: Any, day: str) -> None:
        key = pa.array([self._key] * read.num_rows, pa.string())
        whole = pa.Table.from_arrays([key, *read.columns], schema=wanted)
        by = TABLES.get(table)
        if by is None:
            self._write(table, day, whole)
            return
        days = pc.strftime(whole[by], format="%Y-%m-%d")
        for one in pc.unique(days).to_pylist():
            chosen = whole.filter(pc.is_null(days) if one is None else pc.equal(days, one))
            self._write(table, one or day, chosen)

    def _write(self, table: str, day: str, rows: Any) -> None:
        if (table, day) not in self._open:
            path = self._scratch / f"{len(self._open)}.parquet"
            self._open[table, day] = (pq.ParquetWriter(path, rows.schema, compression="zstd"), path)
            self.days.add(day)
        self._open[table, day][0].write_table(rows)

    def put(self, lake: Any, root: str, site: str) -> None:
        """Close the files and move them into the lake."""
        for (table, day), (writer, path) in self._open.items():
            writer.close()
            target = f"{root}/{table_file(table, site, day, self._key)}"
            put_file(lake, path, target)
            self.placed.add(target)
        self._open.clear()


def table_file(table: str, site: str, day: str, key: str) -> str:
    """Path of the rows of one capture, table and day, below the lake's root."""
    return f"{table}/site={quote(site, safe=' ')}/day={day}/{key}.parquet"


def answer_file(key: str) -> str:
    """Path of the JSON of a capture, below the lake's root."""
    return f"answers/{key[:2]}/{key}.json.zst"


def remove_rows(
    lake: Any, root: str, site: str, days: Sequence[str], key: str, kept: Set[str]
) -> None:
    """Remove the rows of a capture, except the files that are `kept`: those of older content.
    `days`: of all its rows; empty if unknown.
    """
    for table in (CAPTURES, *TABLES):
        for day in days or _days(lake, f"{root}/{table}/site={quote(site, safe=' ')}"):
            path = f"{root}/{table_file(table, site, day, key)}"
            if path not in kept:
                remove_file(lake, path)


def _days(lake: Any, folder: str) -> list[str]:
    """The days for which a site has rows."""
    try:
        names = lake.ls(folder, detail=False)
    except FileNotFoundError:
        return []
    return [str(name).rpartition("/day=")[2].rstrip("/") for name in names if "/day=" in str(name)]


def remove_file(lake: Any, path: str) -> None:
    """Remove a file if it exists."""
    require_own(lake, path)
    with contextlib.suppress(FileNotFoundError):
        lake.rm_file(path)


def pack(plain: Path, packed: Path) -> None:
    """Compress a file with zstd."""
    with plain.open("rb") as source, pa.CompressedOutputStream(str(packed), "zstd") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def unpack(packed: Path, plain: Path) -> None:
    """The opposite of `pack`."""
    with pa.CompressedInputStream(str(packed), "zstd") as source, plain.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def put_file(lake: Any, path: Path, target: str) -> None:
    """Put a local file into the lake, completely or not at all."""
    if "file" not in lake.protocol:
        lake.put_file(str(path), target)  # an object appears when all of it has been written
        return
    final = Path(target)
    make_folder(lake, str(final.parent))
    beside = final.with_name(f".{final.name}.part")
    shutil.copyfile(path, beside)
    beside.replace(final)
