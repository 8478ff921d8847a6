"""Strips as pictures: runs of cells in, inline SVG and the outages in words out.

Height as well as colour shows a cell's state, so that a black-and-white print can be read: dead
cells have full height, damaged and missed ones are lower, and unrequested ones are a line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from markupsafe import Markup, escape

from panotui.report.plots import time_ticks
from panotui.report.story import Story
from panotui.report.wording import duration, per_cent
from panotui.state.strips import US, Cell, Run, Tally, fold, in_order, label

WIDTH, HEIGHT = 600, 16
TICKS = 5  # most cells, so that their words have room on a phone
COLUMNS = 300
# (class, top, height) of a cell within a strip
_SHAPES = {
    Cell.UNASKED: ("unasked", 7, 2),
    Cell.WELL: ("well", 4, 8),
    Cell.MISSED: ("missed", 6, 6),
    Cell.DAMAGED: ("damaged", 2, 12),
    Cell.DEAD: ("dead", 0, 16),
}
OUTAGES_SAID = 4
ROWS_MAX = 40
OUTAGES_SHOWN = 30
TOGETHER_S = 20  # losses within this many seconds count as one


@dataclass(frozen=True, slots=True)
class Row:
    """One subject of the glance."""

    key: str
    name: str
    kind: str  # "port", "camera", "internet", "endpoint", "us"
    picture: Markup
    tally: Tally

    is_dead: bool = False  # at the end

    @property
    def level(self) -> str:
        """The worst level of the span; "bad" only if it is not over."""
        if self.is_dead:
            return "bad"
        if self.tally.dead_s or self.tally.damaged_s or self.tally.missed_s:
            return "warn"
        return "ok" if self.tally.well_s else "none"

    @property
    def available(self) -> str:
        if self.kind == US:
            return ""
        return per_cent(self.tally.availability)

    @property
    def lost(self) -> str:
        """The losses, in words."""
        said = []
        if self.tally.dead_s:
            times = f" in {self.tally.times_dead} parts" if self.tally.times_dead > 1 else ""
            said.append(f"{duration(self.tally.dead_s)} lost{times}")
        if self.tally.damaged_s:
            said.append(f"{duration(self.tally.damaged_s)} damaged")
        if self.tally.missed_s:
            said.append(f"packets missed in {duration(self.tally.missed_s)}")
        if not said and not self.tally.known_s:
            return "nothing asked" if self.tally.unasked_s else "not recorded"
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a subject was dead."""

    name: str
    start_s: int
    end_s: int
    is_open: bool  # not over at the end


def rows(story: Story) -> tuple[list[Row], list[Row]]:
    """(shown, folded): every port and camera, the internet and this tool, endpoints with problems
    (those lost together share a row); and those for which a line is enough.
    """
    names = names_of(story)
    made = [_row(story, key, names[key]) for key in in_order(story.runs)]
    shown = _together(
        story, [r for r in made if r.kind != "endpoint" or r.level in ("bad", "warn")]
    )
    if len(shown) > ROWS_MAX:
        trouble = [r for r in shown if r.level in ("bad", "warn") or r.kind in ("internet", US)]
        keep = {r.key for r in trouble[:ROWS_MAX]}
        keep |= {r.key for r in shown[: max(0, ROWS_MAX - len(keep))]}
        shown = [r for r in shown if r.key in keep]
    kept = {r.key for r in shown}
    return shown, [r for r in made if r.key not in kept and r.level == "ok"]


def _together(story: Story, made: list[Row]) -> list[Row]:
    """The rows; endpoints with the same strip are merged."""
    alike: dict[tuple[tuple[int, int, int], ...], list[Row]] = defaultdict(list)
    for row in made:
        if row.kind == "endpoint":
            alike[_shape(story.runs[row.key])].append(row)
    firsts = {same[0].key: same for same in alike.values()}
    return [
        replace(row, name=_and_more([r.name for r in firsts[row.key]]))
        if row.key in firsts
        else row
        for row in made
        if row.kind != "endpoint" or row.key in firsts
    ]


def _shape(runs: Sequence[Run]) -> tuple[tuple[int, int, int], ...]:
    """The shape by which strips are compared: times of trouble, to some seconds."""
    return tuple(
        (run.cell, round(run.start_s / TOGETHER_S), round(run.end_s / TOGETHER_S))
        for run in runs
        if run.cell in (Cell.DEAD, Cell.DAMAGED)
    )


def _and_more(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def names_of(story: Story) -> dict[str, str]:
    """key -> name."""
    names = {key: label(key) for key in story.runs}
    for endpoint in story.snapshot.endpoints:
        key = f"endpoint:{endpoint.service}/{endpoint.host}/{endpoint.port}"
        if key in names and endpoint.label:
            names[key] = endpoint.label
    names[US] = "this tool"
    if "internet" in names:
        names["internet"] = "AWS, all needed"
    return names


def _row(story: Story, key: str, name: str) -> Row:
    runs = story.runs[key]
    return Row(
        key=key,
        name=name,
        kind=key.partition(":")[0],
        picture=strip(runs, story.start_s, story.end_s, _words(story, name, runs)),
        tally=story.tally(key),
        is_dead=bool(runs) and runs[-1].cell == Cell.DEAD and runs[-1].end_s >= story.end_s,
    )


def _words(story: Story, name: str, runs: Sequence[Run]) -> str:
    time = story.heading.time
    dead = [
        f"{time.moment(run.start_s * 10**9)} for {duration(run.end_s - run.start_s)}"
        for run in runs
        if run.cell == Cell.DEAD
    ]
    more = f" and {len(dead) - OUTAGES_SAID} more" if len(dead) > OUTAGES_SAID else ""
    return f"{name}: " + (f"dead {', '.join(dead[:OUTAGES_SAID])}{more}" if dead else "never dead")


def strip(runs: Sequence[Run], start_s: int, end_s: int, words: str) -> Markup:
    """One strip as an `<svg>` as wide as its container."""
    cells = fold(runs, start_s, end_s, min(COLUMNS, max(1, end_s - start_s)))
    width = WIDTH / max(1, len(cells))
    parts = [
        f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(words)}"><title>{escape(words)}</title>'
    ]
    column = 0
    for cell, same in groupby(cells):
        count = len(list(same))
        if cell in _SHAPES:
            name, top, height = _SHAPES[cell]
            parts.append(
                f'<rect class="{name}" x="{column * width:.1f}" y="{top}"'
                f' width="{count * width:.1f}" height="{height}"/>'
            )
        column += count
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - all text in it is escaped above


def axis(story: Story) -> Markup:
    """The times below the strips."""
    # no viewBox: its letters keep their size on paper and on a phone
    parts = ['<svg class="axis" role="presentation">']
    length = max(1, story.end_s - story.start_s)
    for time_s, text in time_ticks(story.start_s, story.end_s, story.heading.time, TICKS):
        x = 100 * (time_s - story.start_s) / length
        half = 1.6 * len(text)
        anchor = "start" if x < half else "end" if x > 100 - half else "middle"
        parts.append(
            f'<line x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="3"/>'
            f'<text x="{x:.2f}%" y="13" text-anchor="{anchor}">{escape(text)}</text>'
        )
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - all text in it is escaped above


def outages(story: Story) -> list[Outage]:
    """Every outage, in order of time; endpoints that were lost at the same times, and the internet
    with them, are one.
    """
    names = names_of(story)
    found: dict[tuple[str, int, int], list[str]] = {}
    spans: dict[tuple[str, int, int], tuple[int, int]] = {}
    for key in in_order(story.runs):
        kind = key.partition(":")[0]
        shared = kind in ("endpoint", "internet")
        for start_s, end_s in _dead(story.runs[key]):
            moment = (
                ("", round(start_s / TOGETHER_S), round(end_s / TOGETHER_S))
                if shared
                else (key, start_s, end_s)
            )
            found.setdefault(moment, []).append(names[key])
            low, high = spans.get(moment, (start_s, end_s))
            spans[moment] = (min(low, start_s), max(high, end_s))
    made = [
        Outage(_and_more(who), *spans[moment], spans[moment][1] >= story.end_s)
        for moment, who in found.items()
    ]
    return sorted(made, key=lambda o: (o.start_s, o.name))


def _dead(runs: Sequence[Run]) -> list[tuple[int, int]]:
    """(start_s, end_s) of each uninterrupted outage."""
    found: list[tuple[int, int]] = []
    for run in runs:
        if run.cell != Cell.DEAD:
            continue
        if found and found[-1][1] >= run.start_s:
            found[-1] = (found[-1][0], max(found[-1][1], run.end_s))
        else:
            found.append((run.start_s, run.end_s))
    return found
