"""Two compared captures as one HTML page: the sentence, both sides of each stream and flow, a strip
per place. It loads nothing and has no scripts, like the report of a recording.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from panotui.model.comparison import BothSides, Comparison
from panotui.report import glance
from panotui.report.content import GLYPHS
from panotui.report.wording import LocalTime, duration
from panotui.state.both_sides import both_sides, changes_text, over_time
from panotui.state.strips import Run

ROWS_MAX = 200
STRIPS_MAX = 32
COLUMNS = 240
_LEVELS = {"whole": "ok", "losing": "warn", "blocked": "bad", "only": "none"}
_ORDER = ("blocked", "losing", "whole", "only")


def page(found: Comparison, clocks: str, made_by: str, time: LocalTime) -> str:
    """The whole page as text; `clocks`: the offset of the clocks, in words."""
    rows = sorted(both_sides(found), key=lambda row: (_ORDER.index(row.state), -row.loss))
    states = {row.state for row in rows}
    level = next((_LEVELS[s] for s in ("blocked", "losing") if s in states), "ok")
    told = [row for row in rows if row.packets_by_cell and row.state != "only"][:STRIPS_MAX]
    drawn = [_strips(found, row) for row in told]
    total = len(found.streams) + found.flows_total + found.absent_total
    return _template().render(
        title=f"{found.a.name} and {found.b.name} compared",
        found=found,
        sentence=found.sentence[:1].upper() + found.sentence[1:],
        clocks=clocks,
        level=level,
        levels=_LEVELS,
        glyphs=GLYPHS,
        rows=rows[:ROWS_MAX],
        left_out=total - min(len(rows), ROWS_MAX),
        strips=[(name, pair) for name, pair, _ in drawn],
        cell=duration(drawn[0][2]) if drawn else "",
        changes=changes_text,
        span=f"{time.moment(found.a.first_time_ns)} to {time.moment(found.a.last_time_ns)}",
        made_by=made_by,
        css=_css(),
    )


def _strips(found: Comparison, row: BothSides) -> tuple[str, list[tuple[str, Markup, str]], int]:
    """A row's name, (place, strip, words) for both places, and the seconds per cell."""
    cells = over_time(found, row, COLUMNS)
    start_s, end_s = cells.start_s, cells.start_s + len(cells.lost) * cells.cell_s
    pair = []
    for place, label, strip in cells.strips:
        runs = [
            Run(start_s + n * cells.cell_s, start_s + (n + 1) * cells.cell_s, cell)
            for n, cell in enumerate(strip)
        ]
        here = row.at_a if place == "a" else row.at_b
        words = f"{here:,} packets"
        if place != row.first:
            words += f", {row.lost:,} lost" if row.lost else ", none lost"
        said = f"{row.name} at {label}: {words}"
        pair.append((label, glance.strip(runs, start_s, end_s, said), words))
    return row.name, pair, cells.cell_s


@lru_cache(maxsize=1)
def _css() -> Markup:
    text = Path(__file__).with_name("page.css").read_text("utf-8")
    return Markup(text)  # noqa: S704 - a file of ours


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = Path(__file__).with_name("comparison.html.j2").read_text("utf-8")
    return environment.from_string(text)
