"""The lake's index: one line for each processed capture, in a few files.

`index/TIME-RUN-NUMBER.ndjson`: of several lines about one place, the one in the last file counts.
Only drivers write it, every few seconds and at the end; results that a killed driver had not
written yet are found in the lake by their content and not analysed again.
"""

from __future__ import annotations

import contextlib
import secrets
from datetime import UTC, datetime
from typing import Any

import msgspec

from panotui.fleet.entries import Entry
from panotui.fleet.own_lake import make_folder

FOLDER = "index"
FILES_MOST = 32  # then they are joined


class Index:
    """Data about each place, and the lines that are not written yet."""

    def __init__(self, lake: Any, root: str) -> None:
        """Reads the existing index; `lake` is a file system of fsspec."""
        self._lake = lake
        self._root = f"{root}/{FOLDER}"
        self._run = secrets.token_hex(4)
        self._new: list[Entry] = []
        self._written = 0
        self.entries: dict[str, Entry] = {}
        decoder = msgspec.json.Decoder(Entry)
        self._files = self._list()
        for name in self._files:
            for line in lake.cat_file(name).splitlines():
                with contextlib.suppress(msgspec.MsgspecError):  # a torn line: looked at again
                    entry = decoder.decode(line)
                    self.entries[entry.url] = entry

    def _list(self) -> list[str]:
        try:
            names = self._lake.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(name) for name in names if str(name).endswith(".ndjson"))

    def add(self, entry: Entry) -> None:
        """Written with the next `flush`."""
        self.entries[entry.url] = entry
        self._new.append(entry)

    def flush(self) -> None:
        """Write new lines; join the files if there are many."""
        if not self._new:
            return
        self._write(self._new)
        self._new = []

    def _write(self, entries: list[Entry]) -> str:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self._written += 1
        name = f"{self._root}/{now}-{self._run}-{self._written:06}.ndjson"
        raw = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        if "file" in self._lake.protocol:
            make_folder(self._lake, self._root)
            self._lake.pipe_file(f"{name}.part", raw)
            self._lake.mv(f"{name}.part", name)
        else:
            self._lake.pipe_file(name, raw)
        self._files.append(name)
        return name

    def close(self) -> None:
        """Write the last lines, and join the files."""
        self.flush()
        if len(self._files) > FILES_MOST:
            old = list(self._files)
            self._write(list(self.entries.values()))
            for name in old:
                with contextlib.suppress(FileNotFoundError):
                    self._lake.rm_file(name)
