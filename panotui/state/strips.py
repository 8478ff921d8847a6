"""Time strips: the state of each subject of a site, in cells of time.

Snapshots go in once per second, changes come out, and runs of equal cells are folded into the
available columns. The screen, review and the report draw the same cells, and lost minutes are
counted from the same runs. Only a cell's glyph and word are defined here; drawing is elsewhere.

A subject is named by a key: `port:NAME`, `camera:NAME`, `endpoint:SERVICE/HOST/PORT`, `internet`
(all needed endpoints together) and `us` (this tool itself: packets that it missed).

Live: `StripBook().add(snapshot)` each second, `StripBook.runs(start_s, end_s)` on demand. Of a
recording: `recording.strips.recorded_runs`. Then `fold(runs[key], start_s, end_s, columns)` gives
the cells of one strip and `tally(runs[key], start_s, end_s)` its seconds of each kind.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from panotui.model import (
    SECOND,
    CameraRecord,
    EndpointRecord,
    PortRecord,
    Snapshot,
    StreamRecord,
)

INTERNET, US = "internet", "us"
LIVE_S = 4 * 3600  # history of a live book
CHANGES_MAX = 1_000  # per subject, in a live book
SUBJECTS_MAX = 400
_SINCE_MAX_S = 600  # a state that began longer ago was reported as another one until now


class Cell(IntEnum):
    """The state of a subject; of several cells the largest counts."""

    BLANK = 0  # nothing was recorded
    UNASKED = 1  # nothing was requested, or nothing is known
    WELL = 2
    MISSED = 3  # we missed packets
    DAMAGED = 4
    DEAD = 5

    @property
    def glyph(self) -> str:
        return " ·█░▒✖"[self]

    @property
    def letter(self) -> str:
        """The glyph in ASCII."""
        return " .#:%x"[self]

    @property
    def word(self) -> str:
        return _WORDS[self]


_WORDS = ("not recording", "nothing asked", "well", "packets missed by us", "damaged", "dead")


class Run(NamedTuple):
    """Equal seconds: [start_s, end_s), seconds since the epoch."""

    start_s: int
    end_s: int
    cell: Cell


class Change(NamedTuple):
    """From `time_s` on the subject `key` has the state `cell`."""

    key: str
    time_s: int
    cell: Cell


Runs: TypeAlias = Mapping[str, Sequence[Run]]

_PORT = {"up": Cell.WELL, "standby": Cell.WELL, "silent": Cell.DAMAGED, "down": Cell.DEAD}
_ENDPOINT = {"reachable": Cell.WELL, "blocked": Cell.DEAD, "failing": Cell.DEAD}
_CAMERA = {
    "streaming": Cell.WELL,
    "losing": Cell.DAMAGED,
    "silent": Cell.DEAD,
    "refused": Cell.DEAD,
    "unreachable": Cell.DEAD,
}
_STREAM = {
    "streaming": Cell.WELL,
    "losing": Cell.DAMAGED,
    "slow": Cell.DAMAGED,
    "frozen": Cell.DEAD,
}


# ------------------------------------------------------------------ one moment


def port_cell(state: str) -> Cell:
    return _PORT.get(state, Cell.UNASKED)


def endpoint_cell(state: str) -> Cell:
    return _ENDPOINT.get(state, Cell.UNASKED)


def stream_cell(state: str) -> Cell:
    return _STREAM.get(state, Cell.UNASKED)


def camera_cell(camera: CameraRecord, streams: Iterable[StreamRecord]) -> Cell:
    """Dead without a wanted picture, damaged if the picture arrives with problems."""
    cells = [stream_cell(s.state) for s in streams if s.media in (None, "video") and not s.stray]
    running = [cell for cell in cells if cell != Cell.UNASKED]
    if running:
        worst = Cell.DEAD if min(running) == Cell.DEAD else min(max(running), Cell.DAMAGED)
        troubled = camera.trouble_severity in ("warning", "error")
        return max(worst, Cell.DAMAGED) if troubled else worst
    cell = _CAMERA.get(camera.state, Cell.UNASKED)
    if camera.trouble_severity == "error":
        return Cell.DEAD
    if camera.trouble_severity == "warning" and cell == Cell.WELL:
        return Cell.DAMAGED
    return cell


def internet_cell(endpoints: Iterable[EndpointRecord]) -> Cell:
    """All needed endpoints together: dead if all that were tried are, damaged if one is."""
    return together(endpoint_cell(e.state) for e in endpoints if e.needed)


def together(cells: Iterable[Cell]) -> Cell:
    """Several subjects as one: dead if all known ones are dead, damaged if some are."""
    known = [cell for cell in cells if cell > Cell.UNASKED]
    if not known:
        return Cell.UNASKED
    return Cell.DEAD if min(known) == Cell.DEAD else min(max(known), Cell.DAMAGED)


def cells(snapshot: Snapshot) -> dict[str, tuple[Cell, int]]:
    """key -> (cell, since_s) of each subject except `us`; `since_s` is 0 if unknown."""
    found: dict[str, tuple[Cell, int]] = {}
    for port in snapshot.ports:
        found[f"port:{port.name}"] = (port_cell(port.state), _since(port))
    streams: dict[str, list[StreamRecord]] = defaultdict(list)
    for stream in snapshot.streams:
        if stream.camera is not None:
            streams[stream.camera].append(stream)
    for camera in snapshot.cameras:
        cell = camera_cell(camera, streams[camera.name])
        # Only the start of the state itself is known; problems from a finding start now.
        own = cell == _CAMERA.get(camera.state)
        found[f"camera:{camera.name}"] = (cell, _since(camera) if own else 0)
    for endpoint in snapshot.endpoints:
        key = f"endpoint:{endpoint.service}/{endpoint.host}/{endpoint.port}"
        found[key] = (endpoint_cell(endpoint.state), _since(endpoint))
    if any(e.needed for e in snapshot.endpoints):
        found[INTERNET] = (internet_cell(snapshot.endpoints), 0)
    return found


def _since(record: PortRecord | CameraRecord | EndpointRecord) -> int:
    return (record.state_since_ns or 0) // SECOND


class Changes:
    """Changes from one snapshot to the next."""

    def __init__(self) -> None:
        self._cells: dict[str, Change] = {}
        self._lost: int | None = None
        self._second = 0

    def add(self, snapshot: Snapshot) -> list[Change]:
        """The changes in a second's snapshot. A change is dated back to the start of its state, but
        never before the previous change. Subjects that disappeared become unrequested.
        """
        second = snapshot.time_ns // SECOND - 1  # a snapshot describes the second that it ends
        now = cells(snapshot)
        lost = snapshot.source.lost
        missed = self._lost is not None and lost > self._lost
        now[US] = (Cell.MISSED if missed else Cell.WELL, 0)
        self._lost = lost
        found: list[Change] = []
        for key, (cell, since_s) in now.items():
            before = self._cells.get(key)
            if before is not None and before.cell == cell:
                continue
            time_s = second
            if before is not None and second - _SINCE_MAX_S <= since_s < second:
                time_s = max(since_s, before.time_s + 1)
            if before is None and len(self._cells) >= SUBJECTS_MAX:
                continue
            found.append(Change(key, min(time_s, second) if before is None else time_s, cell))
        for key, before in self._cells.items():
            if key not in now and before.cell != Cell.UNASKED:
                found.append(Change(key, second, Cell.UNASKED))
        self._cells.update((change.key, change) for change in found)
        self._second = second
        return found

    def forget(self) -> None:
        """The next snapshot returns everything again: the last changes did not arrive."""
        self._cells.clear()


class StripBook:
    """The last hours of a running engine, bounded."""

    def __init__(self) -> None:
        self._changes = Changes()
        self._kept: dict[str, deque[Change]] = {}
        self._start_s = 0
        self._end_s = 0

    def add(self, snapshot: Snapshot) -> None:
        """Add a second."""
        for change in self._changes.add(snapshot):
            kept = self._kept.setdefault(change.key, deque(maxlen=CHANGES_MAX))
            kept.append(change)
        second = snapshot.time_ns // SECOND
        self._start_s = self._start_s or second - 1
        self._end_s = max(self._end_s, second)
        for kept in self._kept.values():
            while len(kept) > 1 and kept[1].time_s <= self._end_s - LIVE_S:
                kept.popleft()

    @property
    def span(self) -> tuple[int, int]:
        """(start_s, end_s) of what is held."""
        return max(self._start_s, self._end_s - LIVE_S), self._end_s

    def runs(self) -> dict[str, list[Run]]:
        """The runs of each subject over `span`."""
        start_s, end_s = self.span
        return {key: runs_of(kept, start_s, end_s) for key, kept in self._kept.items()}


# ------------------------------------------------------------------ over time


def runs_of(changes: Iterable[Change], start_s: int, end_s: int) -> list[Run]:
    """The runs of one subject within [start_s, end_s), from its changes in order of time."""
    found: list[Run] = []
    last: Change | None = None
    for change in changes:
        if last is not None:
            _append(found, max(last.time_s, start_s), min(change.time_s, end_s), last.cell)
        last = change
    if last is not None:
        _append(found, max(last.time_s, start_s), end_s, last.cell)
    return found


def _append(runs: list[Run], start_s: int, end_s: int, cell: Cell) -> None:
    if start_s >= end_s:
        return
    if runs and runs[-1].end_s == start_s and runs[-1].cell == cell:
        runs[-1] = Run(runs[-1].start_s, end_s, cell)
    else:
        runs.append(Run(start_s, end_s, cell))


def by_second(runs: Sequence[Run], start_s: int, end_s: int) -> NDArray[np.uint8]:
    """uint8[end_s - start_s]: the worst cell of each second; BLANK outside runs."""
    seconds = np.zeros(max(0, end_s - start_s), np.uint8)
    for run in runs:
        low, high = max(run.start_s, start_s), min(run.end_s, end_s)
        if low < high:
            part = seconds[low - start_s : high - start_s]
            np.maximum(part, np.uint8(run.cell), out=part)
    return seconds


def fold(runs: Sequence[Run], start_s: int, end_s: int, columns: int) -> tuple[Cell, ...]:
    """`columns` cells over [start_s, end_s), each the worst of its span.

    A cell that was recorded for less than half of its span is blank, unless it has a problem.
    """
    seconds = by_second(runs, start_s, end_s)
    if columns <= 0 or not len(seconds):
        return ()
    edges = np.arange(columns) * len(seconds) // columns
    worst = np.maximum.reduceat(seconds, edges)
    recorded = np.add.reduceat((seconds != Cell.BLANK).astype(np.int64), edges)
    widths = np.diff(np.append(edges, len(seconds)))
    blank = (worst < Cell.MISSED) & (2 * recorded < np.maximum(widths, 1))
    return tuple(Cell(int(cell)) for cell in np.where(blank, Cell.BLANK, worst))


class Tally(Struct, frozen=True):
    """Seconds of each kind in a span."""

    blank_s: int = 0
    unasked_s: int = 0
    well_s: int = 0
    missed_s: int = 0
    damaged_s: int = 0
    dead_s: int = 0
    times_dead: int = 0  # how often it became dead

    @property
    def known_s(self) -> int:
        """Seconds in which it was requested and seen."""
        return self.well_s + self.missed_s + self.damaged_s + self.dead_s

    @property
    def availability(self) -> float | None:
        """The share 0..1 of the known seconds that were not dead; None if none is known."""
        return None if not self.known_s else 1 - self.dead_s / self.known_s


def tally(runs: Sequence[Run], start_s: int, end_s: int) -> Tally:
    """The seconds of each kind within [start_s, end_s)."""
    seconds = by_second(runs, start_s, end_s)
    counts = [int(n) for n in np.bincount(seconds, minlength=len(Cell))]
    dead = np.concatenate(([False], seconds == Cell.DEAD))
    times = int(np.count_nonzero(dead[1:] & ~dead[:-1]))
    blank, unasked, well, missed, damaged, lost = counts
    return Tally(blank, unasked, well, missed, damaged, lost, times)


def label(key: str) -> str:
    """The label of a subject beside its strip."""
    kind, _, name = key.partition(":")
    return name.split("/")[0] if kind == "endpoint" else name or kind


_ORDER = ("port", "camera", INTERNET, "endpoint", US)


def in_order(keys: Iterable[str]) -> list[str]:
    """Ports, cameras, the internet, its endpoints, and this tool last; each by name."""

    def place(key: str) -> tuple[int, str]:
        kind = key.partition(":")[0]
        return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), key)

    return sorted(keys, key=place)
