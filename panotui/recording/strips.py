"""The strips of a recording: one row per change.

`strip` holds one row for each change of a subject (`state.strips`); the state is valid until its
next row, or until its session ends. So the size depends only on the number of changes, the roll-up
of samples loses nothing, and lost minutes are exact to the second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

from panotui.model import SECOND
from panotui.recording.reader import Recording
from panotui.state.strips import Run, runs_of


def recorded_runs(
    recording: Recording, start_s: int | None = None, end_s: int | None = None
) -> dict[str, list[Run]]:
    """key -> runs within [start_s, end_s) (default: all of it), in order of time.

    There is no run while the recorder was off. Runs of sessions that hold the same time (the
    machine's clock was wrong in one of them) overlap; `state.strips` lets the worst count.
    """
    low = recording.start_ns // SECOND - 1 if start_s is None else start_s
    high = recording.end_ns // SECOND if end_s is None else end_s
    sessions = {s.id: (s.start_ns // SECOND - 1, s.end_ns // SECOND) for s in recording.sessions}
    gaps = [(a // SECOND, -(-b // SECOND) - 1) for a, b in recording.gaps()]
    found: dict[str, list[Run]] = defaultdict(list)
    for (session, key), changes in groupby(recording.strip_changes(), key=lambda row: row[:2]):
        first, last = sessions.get(session, (0, 0))
        inside = max(first, low), min(last, high)
        made = runs_of((change for _, _, change in changes), *inside)
        found[key] += _without(made, gaps)
    return {key: sorted(runs) for key, runs in found.items()}


def _without(runs: Sequence[Run], gaps: Sequence[tuple[int, int]]) -> Iterator[Run]:
    """The runs without their parts in gaps (sorted)."""
    for run in runs:
        start_s = run.start_s
        for low, high in gaps:
            if high <= start_s or low >= run.end_s:
                continue
            if low > start_s:
                yield Run(start_s, low, run.cell)
            start_s = max(start_s, high)
        if start_s < run.end_s:
            yield Run(start_s, run.end_s, run.cell)
