"""Two spans of a recording compared, as a detail that any screen can show."""

from __future__ import annotations

import re
from collections.abc import Iterable

from panotui.model import SECOND
from panotui.model.quantities import per_cent, rate
from panotui.recording.reader import Recording
from panotui.recording.spans import NO_CAMERA, Before, Span, compared
from panotui.recording.strips import recorded_runs
from panotui.state.strips import Runs, in_order, label, tally
from panotui.views.frames import Detail, Section

LINES_MOST = 40
_KEY = re.compile(r"spans:(\d{1,12})/(\d{1,12})/(\d{1,12})\Z")


def detail(recording: Recording, key: str) -> Detail | None:
    """The comparison for a key: `spans:START/END/THEN` in seconds since the epoch, the span [START,
    END) with an equally long one from THEN. None for another key.
    """
    match = _KEY.match(key)
    if match is None:
        return None
    start, end, then = (int(part) for part in match.groups())
    told = Span(start, end)
    earlier = Span(then, then + told.seconds)
    runs = recorded_runs(recording, start, end)
    last = recording.final()
    before = compared(
        recording, earlier, told, findings=recording.lives(last.findings), devices=last.devices
    )
    return Detail(
        key=key,
        title="TWO SPANS COMPARED",
        since_ns=start * SECOND,
        sections=tuple(s for s in _sections(before, runs) if s.lines),
        copy="\n".join(f"{a}: {b}" for s in _sections(before, runs) for a, b in s.lines),
    )


def _sections(before: Before, runs: Runs) -> Iterable[Section]:
    for title, lines in (
        ("available: then, now", _available(before, runs)),
        ("lost by cameras: then, now", _lost(before)),
        ("bit-rate of cameras: then, now", _rates(before)),
    ):
        told = tuple(lines)
        more = len(told) - LINES_MOST
        rest = (("", f"and {more:,} more"),) if more > 0 else ()
        yield Section(title=title, lines=(*told[:LINES_MOST], *rest))
    began = (
        ("warnings and errors", f"{before.findings[0]:,}, {before.findings[1]:,}"),
        ("violations", f"{before.violations[0]:,}, {before.violations[1]:,}"),
    )
    yield Section(title="began: then, now", lines=began)
    for title, names in (
        ("findings that are new", before.news),
        ("devices that are new", before.devices),
        ("peers that are new", before.peers),
    ):
        more = len(names) - LINES_MOST
        listed = [("", name) for name in names[:LINES_MOST]]
        listed += [("", f"and {more:,} more")] if more > 0 else []
        yield Section(title=title, lines=tuple(listed))


def _available(before: Before, runs: Runs) -> Iterable[tuple[str, str]]:
    """Availability of subjects that had losses in one of the spans."""
    for key in in_order({*before.runs, *runs}):
        then = tally(before.runs.get(key, ()), before.span.start_s, before.span.end_s)
        now = tally(runs.get(key, ()), before.told.start_s, before.told.end_s)
        if then.dead_s or now.dead_s:
            yield label(key), f"{_share(then.availability)}, {_share(now.availability)}"


def _lost(before: Before) -> Iterable[tuple[str, str]]:
    for name, (then, now) in before.counted.items():
        if name != NO_CAMERA and (then.lost or now.lost):
            shares = [c.lost / c.expected if c.expected else None for c in (then, now)]
            yield (
                name,
                ", ".join("nothing seen" if s is None else per_cent(s) for s in shares),
            )


def _rates(before: Before) -> Iterable[tuple[str, str]]:
    for name, counted in before.counted.items():
        if name != NO_CAMERA:
            rates = [c.rate_bps for c in counted]
            yield name, ", ".join("none" if r is None else rate(r) for r in rates)


def _share(availability: float | None) -> str:
    return "not recorded" if availability is None else per_cent(availability)
