"""Captures named on the command line: files, folders, `-`, and a pass over them with progress.

Names in; the engine after the last packet out. Progress goes to stderr, and only to a terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from panotui.errors import InputError
from panotui.recording.parts import is_capture_name

if TYPE_CHECKING:
    from panotui.engine.engine import Engine
    from panotui.meter.meter import Meter
    from panotui.model import PacketBatch, Site, Source
    from panotui.model.baseline import Baseline
    from panotui.wire.columns import Columns

PROGRESS_S = 0.25


def captures(names: Sequence[str]) -> list[str]:
    """The named files; folders are expanded to their captures (sorted); `-` stays.

    InputError for a missing file, and for a folder without captures.
    """
    files: list[str] = []
    for name in names:
        path = Path(name)
        if name == "-":
            files.append(name)
        elif path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and is_capture_name(p.name))
            if not inside:
                raise InputError(name, "there is no capture in this folder")
            files += [str(p) for p in inside]
        elif path.exists():
            files.append(name)
        else:
            raise InputError(name, "does not exist", "Check the name.")
    return files


class Progress:
    """A line on a terminal's stderr: share, rate, time left; no output otherwise."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = sys.stderr.isatty()
        self._began = time.monotonic()
        self._next = self._began + PROGRESS_S

    def update(self, done_bytes: int, total_bytes: int | None, packets: int) -> None:
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + PROGRESS_S
        passed = now - self._began
        rate = f"{packets / passed / 1000:,.0f} k packets/s" if passed > 0 else ""
        if total_bytes and done_bytes:
            left = passed * (total_bytes - done_bytes) / done_bytes
            share = f"{100 * min(1.0, done_bytes / total_bytes):3.0f} %, {max(0, left):.0f} s left"
        else:
            share = f"{packets:,} packets"
        print(f"\r\x1b[K{self._what}: {share}, {rate}", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def open_captures(files: Sequence[str]) -> list[Source]:
    from panotui.sources import open_file

    opened: list[Source] = []
    try:
        for name in files:
            opened.append(cast("Source", open_file(name)))  # its interfaces are read-only
    except BaseException:
        for source in opened:
            source.close()
        raise
    return opened


def analysed(
    files: Sequence[str],
    site: Site,
    what: str = "analyze",
    processes: int | None = None,
    baseline: Baseline | None = None,
    tap: Tap | None = None,
) -> Engine:
    """One pass over captures; Ctrl-C raises KeyboardInterrupt with the files closed. For a single
    capture, `tap` also sees each packet.

    Several captures are metered by `processes` processes (default: as many as useful), with the
    same result for any number.
    """
    from panotui.engine.engine import Engine
    from panotui.engine.settings import EngineSettings

    engine = Engine(site, EngineSettings(baseline=baseline))
    progress = Progress(what)
    try:
        if len(files) > 1 and "-" not in files:
            _side_by_side(files, engine, progress, processes)
        else:
            _in_one(files, engine, progress, tap)
    finally:
        progress.done()
    return engine


def _side_by_side(
    files: Sequence[str], engine: Engine, progress: Progress, processes: int | None
) -> None:
    from panotui.runtime.side_by_side import processes_for, run_files

    run_files(
        files,
        engine,
        processes=processes_for(files, processes),
        progress=lambda p: progress.update(p.read_bytes, p.total_bytes, p.packets),
    )


class Tap(Protocol):
    """Who sees the packets as they were decoded for the meter."""

    def take(self, batch: PacketBatch, columns: Columns) -> None:
        """A batch or a piece of one; both are valid until `flush` has returned."""

    def flush(self) -> None: ...


def _in_one(
    files: Sequence[str],
    engine: Engine,
    progress: Progress,
    tap: Tap | None,
) -> None:
    from panotui.runtime.pump import Pump

    sources = open_captures(files)
    try:
        pump = Pump(sources, engine, files=files)
        if tap is not None:
            pump.taps.append(partial(_hand_on, tap))
        more = True
        while more:
            more = pump.step(0.0)
            if tap is not None:
                tap.flush()
            progress.update(
                sum(s.counters.read_bytes for s in sources),
                total_bytes([s.counters.total_bytes for s in sources]),
                sum(s.counters.packets for s in sources),
            )
    finally:
        for source in sources:
            source.close()


def _hand_on(tap: Tap, batch: PacketBatch, meter: Meter) -> None:
    assert meter.last_columns is not None
    tap.take(batch, meter.last_columns)


def total_bytes(sizes: Sequence[int | None]) -> int | None:
    """The sum of input sizes; None if one is unknown (a pipe)."""
    return None if any(size is None for size in sizes) else sum(size or 0 for size in sizes)
