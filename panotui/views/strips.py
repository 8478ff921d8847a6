"""Time strips and curves in the form that a screen requests: a number of cells of some seconds.

`LiveTimes` keeps the last hours of a running engine, `recorded_times` reads a recording; both
answer a `StripsView` with the same `Strips`. Cells lie on a grid from the epoch, so that a picture
moves on by one cell and nothing else in it changes. If there are too many subjects, those without
trouble are left out first, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from panotui.model import (
    F64,
    I64,
    SECOND,
    EndpointRecord,
    EventRecord,
    FindingRecord,
    Snapshot,
)
from panotui.state.strips import (
    INTERNET,
    LIVE_S,
    US,
    Cell,
    Run,
    StripBook,
    fold,
    in_order,
    label,
)
from panotui.views.frames import Curve, Moment, Strip, Strips, StripsView
from panotui.views.identity import endpoint_key, endpoint_names, finding_key, sentence_of
from panotui.views.words import state_word

ROWS_MAX = 60
ZOOMS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 86_400)  # s a cell
AUTO_MOST_S = 60  # a cell that was not requested is not longer than this
TOLD_MAX = 12  # findings and events of one moment
_TROUBLE = (Cell.DEAD, Cell.DAMAGED, Cell.MISSED)
_NOTHING: tuple[float | None, str] = (None, "")


class Times(Protocol):
    """The source of a site's states over time."""

    def span(self) -> tuple[int, int]:
        """(start_s, end_s) of the available data, seconds since the epoch."""

    def runs(self) -> dict[str, list[Run]]:
        """The states of each subject, in order of time."""

    def curves(self, start_s: int, cell_s: int, columns: int) -> tuple[Curve, ...]:
        """Bit-rate and loss, one value per cell."""


class LiveTimes:
    """The last hours of a running engine; `add` takes in a second."""

    def __init__(self) -> None:
        self._book = StripBook()
        self._second: I64 = np.zeros(LIVE_S, np.int64)  # kept per place
        self._rate_bps: F64 = np.zeros(LIVE_S)
        self._lost: F64 = np.zeros(LIVE_S)

    def add(self, snapshot: Snapshot) -> None:
        """Add the second that a snapshot ends."""
        if not snapshot.time_ns:
            return
        self._book.add(snapshot)
        second = snapshot.time_ns // SECOND - 1
        rates = [r for p in snapshot.ports for r in (p.rate_in_bps, p.rate_out_bps)]
        lost = [s.history_lost[-1] for s in snapshot.streams if s.history_lost]
        at = second % LIVE_S
        self._second[at] = second
        self._rate_bps[at] = total(rates)
        self._lost[at] = total(lost)

    def span(self) -> tuple[int, int]:
        return self._book.span

    def runs(self) -> dict[str, list[Run]]:
        return self._book.runs()

    def curves(self, start_s: int, cell_s: int, columns: int) -> tuple[Curve, ...]:
        order = np.argsort(self._second, kind="stable")
        known = order[self._second[order] > 0]
        return curves_of(
            self._second[known], self._rate_bps[known], self._lost[known], start_s, cell_s, columns
        )


def total(values: Sequence[float | None]) -> float:
    """NaN if nothing is known."""
    known = [value for value in values if value is not None and value == value]
    return float(sum(known)) if known else float("nan")


def curves_of(
    second: I64, rate_bps: F64, lost: F64, start_s: int, cell_s: int, columns: int
) -> tuple[Curve, ...]:
    """Rates as means of their cells, losses as sums; `second` must be ascending."""
    low, high = np.searchsorted(second, (start_s, start_s + cell_s * columns))
    cell = (second[low:high] - start_s) // cell_s
    out = []
    for name, values in (("bit-rate", rate_bps[low:high]), ("lost", lost[low:high])):
        known = np.isfinite(values)
        sums: F64 = np.bincount(cell[known], values[known], minlength=columns).astype(np.float64)
        counts = np.bincount(cell[known], minlength=columns)
        if name == "bit-rate":
            sums /= np.maximum(counts, 1)
        shown = tuple(
            round(v) if n else None for v, n in zip(sums.tolist(), counts.tolist(), strict=True)
        )
        out.append(Curve(name=name, values=shown))
    return tuple(out)


# ------------------------------------------------------------------ the answer


def strips(
    times: Times,
    asked: StripsView,
    findings: Sequence[FindingRecord],
    events: Callable[[], Sequence[EventRecord]],
    endpoints: Sequence[EndpointRecord] = (),
    now: Mapping[str, tuple[float | None, str]] | None = None,
) -> Strips:
    """The strips for `asked`; `findings` and `events` describe the moment under the cursor,
    `endpoints` say what their strips are called, `now` is from `values_of`."""
    columns = max(1, min(asked.columns, 400))
    first_s, last_s = times.span()
    cell_s = asked.cell_s or auto_cell_s(first_s, last_s, columns)
    end_s = min(asked.end_s or last_s, last_s)
    end_s = -(-end_s // cell_s) * cell_s
    start_s = end_s - cell_s * columns
    runs = times.runs()
    cells = {key: _folded(runs[key], start_s, end_s, columns, last_s) for key in runs}
    shown, well, more = _chosen(cells, asked.rows)
    at_s = asked.at_s and max(start_s, min(asked.at_s, end_s - 1))
    place = (at_s - start_s) // cell_s if at_s else 0
    names = {f"endpoint:{key}": name for key, name in endpoint_names(endpoints).items()}
    values = now or {}
    return Strips(
        start_s=start_s,
        end_s=end_s,
        cell_s=cell_s,
        first_s=first_s,
        strips=tuple(
            Strip(
                key=key,
                label=names.get(key) or label(key),
                cells="".join(str(int(c)) for c in cells[key]),
                rate_bps=values.get(key, _NOTHING)[0],
                word=values.get(key, _NOTHING)[1],
            )
            for key in shown
        ),
        well=well,
        more=more,
        curves=times.curves(start_s, cell_s, columns),
        moment=_moment(start_s + place * cell_s, cell_s, findings, events()) if at_s else None,
    )


def values_of(snapshot: Snapshot) -> dict[str, tuple[float | None, str]]:
    """(bits a second, word) of each port, camera and endpoint now, by the key of its strip: the
    rate of what works, the word for everything else."""
    out: dict[str, tuple[float | None, str]] = {}
    for port in snapshot.ports:
        known = [rate for rate in (port.rate_in_bps, port.rate_out_bps) if rate is not None]
        up = port.state == "up"
        out[f"port:{port.name}"] = (sum(known) if up and known else None, "" if up else port.state)
    rates: dict[str | None, float] = {}
    for stream in snapshot.streams:
        if stream.rate_bps is not None:
            rates[stream.camera] = rates.get(stream.camera, 0.0) + stream.rate_bps
    for camera in snapshot.cameras:
        flows = camera.state in ("streaming", "losing") and camera.name in rates
        refused = camera.state == "refused" and camera.last_status
        word = str(camera.last_status) if refused else state_word(camera)
        out[f"camera:{camera.name}"] = (rates[camera.name], "") if flows else (None, word)
    for endpoint in snapshot.endpoints:
        out[f"endpoint:{endpoint_key(endpoint)}"] = (None, endpoint.state)
    return out


def auto_cell_s(first_s: int, end_s: int, columns: int) -> int:
    """The shortest cell with which all data fits, up to `AUTO_MOST_S`."""
    known = max(1, end_s - first_s)
    return next((z for z in ZOOMS if z * columns >= known and z <= AUTO_MOST_S), AUTO_MOST_S)


def _folded(
    runs: Sequence[Run], start_s: int, end_s: int, columns: int, last_s: int
) -> tuple[Cell, ...]:
    """The cells; the last one by the part that has passed."""
    cells = fold(runs, start_s, end_s, columns)
    begun_s = end_s - (end_s - start_s) // columns
    if begun_s < last_s < end_s:
        return (*cells[:-1], *fold(runs, begun_s, last_s, 1))
    return cells


def _chosen(cells: dict[str, tuple[Cell, ...]], rows: int) -> tuple[list[str], int, int]:
    """The shown subjects in order, and the numbers of those left out: well ones, others."""
    rows = max(0, min(rows, ROWS_MAX))
    troubled = {key for key, row in cells.items() if any(cell in _TROUBLE for cell in row)}
    found = [key for key in in_order(cells) if not key.startswith("endpoint:") or key in troubled]
    if len(found) <= rows:
        return found, 0, 0

    def weight(key: str) -> int:
        if key in troubled and not key.startswith("endpoint:"):
            return 0
        return 1 if key in troubled or key in (INTERNET, US) or key.startswith("port:") else 2

    kept = set(sorted(found, key=weight)[:rows])
    left = [key for key in found if key not in kept]
    hurt = sum(key in troubled for key in left)
    return [key for key in found if key in kept], len(left) - hurt, hurt


def _moment(
    start_s: int, cell_s: int, findings: Sequence[FindingRecord], events: Sequence[EventRecord]
) -> Moment:
    """Open findings in a cell, and its events."""
    low, high = start_s * SECOND, (start_s + cell_s) * SECOND
    told = [
        (f.severity, f.text, f"finding:{finding_key(f)}")
        for f in findings
        if f.hidden_by is None
        and f.first_time_ns < high
        and (f.cleared_time_ns is None or f.cleared_time_ns >= low)
    ]
    told += [
        (e.severity, sentence_of(e), f"event:{e.number}")
        for e in events
        if low <= e.time_ns < high and e.kind not in ("finding", "cleared")
    ]
    ranks = {"error": 0, "warning": 1}
    told.sort(key=lambda line: ranks.get(line[0], 2))
    return Moment(time_s=start_s, told=tuple(told[:TOLD_MAX]), more=max(0, len(told) - TOLD_MAX))
