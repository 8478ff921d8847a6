"""The process that writes Parquet: tables in through a pipe, files out by pyarrow.

From this program it imports only the version, and it loads nothing that is GPL-2.0-only: pyarrow's
licence (Apache-2.0) is not compatible with that in one program. A frame is four bytes of length and
msgpack: first the head (`folder`, `schema`, `tables`), then (table, rows) until the pipe ends.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

OPEN_MOST = 32  # open files at a time; more days than that are written in several parts
INT64 = 1 << 63
TYPES = {
    "time": pa.timestamp("ns", tz="UTC"),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
}


class Table:
    """The files of one table, one folder per day."""

    def __init__(self, folder: Path, name: str, columns: list[list[str]], about: dict[str, str]):
        self.folder = folder / name
        self.times = [i for i, (_, shape, _) in enumerate(columns) if shape == "time"]
        self.ints = [i for i, (_, shape, _) in enumerate(columns) if shape == "int"]
        self.schema = pa.schema(
            [
                pa.field(column, TYPES[shape], metadata={"unit": unit} if unit else None)
                for column, shape, unit in columns
            ],
            metadata={**about, "table": name},
        )
        self.writers: dict[str, Any] = {}
        self.parts: dict[str, int] = {}

    def add(self, rows: list[list[Any]]) -> None:
        """Rows of any days."""
        days: dict[str, list[list[Any]]] = {}
        for row in rows:
            for place in self.ints:  # a value that is not a 64-bit number counts as unknown
                if row[place] is not None and not -INT64 <= row[place] < INT64:
                    row[place] = None
            days.setdefault(_day(row[self.times[0]]), []).append(row)
        for day, some in days.items():
            columns = [
                pa.array([row[i] for row in some], type=field.type)
                for i, field in enumerate(self.schema)
            ]
            self._writer(day).write_table(pa.Table.from_arrays(columns, schema=self.schema))

    def _writer(self, day: str) -> Any:
        writer = self.writers.pop(day, None)
        if writer is None:
            if len(self.writers) >= OPEN_MOST:
                self.writers.pop(next(iter(self.writers))).close()
            part = self.parts.get(day, 0)
            self.parts[day] = part + 1
            folder = self.folder / f"day={day}"
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob("part-*.parquet") if part == 0 else ():
                old.unlink()
            writer = pq.ParquetWriter(
                folder / f"part-{part}.parquet", self.schema, compression="zstd"
            )
        self.writers[day] = writer  # newest last
        return writer

    def close(self) -> None:
        """A table without rows is one file with its columns."""
        for writer in self.writers.values():
            writer.close()
        if not self.parts:
            self.folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(self.schema.empty_table(), self.folder / "part-0.parquet")


def _day(time_ns: int | None) -> str:
    """The day in UTC."""
    return datetime.fromtimestamp((time_ns or 0) // 10**9, UTC).strftime("%Y-%m-%d")


def frame(stream: IO[bytes]) -> Any:
    """The next frame; None at the end."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    return msgspec.msgpack.decode(stream.read(int.from_bytes(head, "little")))


def become(user: int, group: int) -> None:
    """Give up root permanently."""
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def main() -> int:
    head = frame(sys.stdin.buffer)
    if head is None:
        return 0
    if head["become"] is not None:
        become(*head["become"])
    about = {"schema": head["schema"], "made_by": head["made_by"]}
    folder = Path(head["folder"])
    try:
        found = {name: Table(folder, name, cols, about) for name, cols in head["tables"].items()}
        while (told := frame(sys.stdin.buffer)) is not None:
            name, rows = told
            found[name].add(rows)
        for table in found.values():
            table.close()
    except OSError as error:
        print(error.strerror or error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
