"""The pane of a comparison: both sides of each stream and flow beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from panotui.model.comparison import BothSides
from panotui.model.quantities import UNKNOWN
from panotui.state.both_sides import changes_text
from panotui.tui.glyphs import Look, role
from panotui.tui.line import Span
from panotui.tui.page import Scene
from panotui.tui.quantities import count
from panotui.tui.table import Column, Table

_LOOKS: dict[str, Look] = {"whole": "ok", "losing": "warn", "blocked": "bad", "only": "unknown"}


def look_of(row: BothSides) -> Look:
    return _LOOKS.get(row.state, "unknown")


def state_word(row: BothSides) -> str:
    return f"only {row.first.upper()}" if row.state == "only" else row.state


def _heading(scene: Scene) -> Sequence[Span]:
    return [("what the first place has, and the second", "dim")]


def _number(value: int, *, bad: bool = False) -> Span:
    return count(value), ("warn" if bad and value else "plain")


def _share(row: BothSides) -> str:
    if not row.lost:
        return "0"
    percent = 100 * row.loss
    return f"{percent:.{0 if percent >= 99.95 else 1 if percent >= 10 else 2}f}%"


def _ms(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


TABLE = Table(
    pane="comparison",
    record=BothSides,
    kind="passage",
    rows=lambda frame: frame.passages,
    heading=_heading,
    empty="Both captures share packets, but no flow of theirs is whole enough to tell.",
    copy=lambda r: str(r.name),
    own_sort="state",
    columns=(
        Column("", 1, lambda r, s: s.mark(look_of(r))),
        Column("STATE", 7, lambda r, s: (state_word(r), role(look_of(r))), "state"),
        Column("WHAT", 18, lambda r, s: (r.name, "strong"), "name", most=50),
        Column("WAY", 3, lambda r, s: (f"A{s.glyphs.to}B" if r.first == "a" else
                                       f"B{s.glyphs.to}A", "plain"), "first", drop=3),
        Column("AT A", 7, lambda r, s: _number(r.at_a), "at_a", right=True, biggest_first=True),
        Column("AT B", 7, lambda r, s: _number(r.at_b), "at_b", right=True, biggest_first=True),
        Column("LOST", 6, lambda r, s: _number(r.lost, bad=True), "lost", right=True,
               biggest_first=True),
        Column("SHARE", 6, lambda r, s: (_share(r), "warn" if r.lost else "plain"), "loss",
               right=True, biggest_first=True),
        Column("REORD", 5, lambda r, s: _number(r.reordered, bad=True), "reordered", right=True,
               drop=4, biggest_first=True),
        Column("DUP", 4, lambda r, s: _number(r.duplicated, bad=True), "duplicated", right=True,
               drop=5, biggest_first=True),
        Column("MS", 6, lambda r, s: (_ms(r.delay.median_ms if r.delay else None), "plain"),
               "delay", right=True, drop=2, biggest_first=True),
        Column("IPDV", 6, lambda r, s: (_ms(r.delay.ipdv_ms if r.delay else None), "plain"),
               "ipdv", right=True, drop=6, biggest_first=True),
        Column("CHANGED", 9, lambda r, s: (changes_text(r) or UNKNOWN, "plain"), "changes",
               most=70, drop=7, sentence=True, late=True),
    ),
)  # fmt: skip
