"""Time strips as lines: an axis, one row per subject, curves with their scale, a legend.

`Strips` from the collector come in; lines and their selectable parts go out. Each kind of cell has
its own glyph, so that colour is not needed. Only unrecorded cells are blank.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from itertools import groupby

from msgspec import Struct

from panotui.model import SECOND
from panotui.model.quantities import span
from panotui.state.strips import Cell
from panotui.tui.cells import cut_middle, distinct, width
from panotui.tui.chart import curve, scale
from panotui.tui.glyphs import Glyphs, Role, glyph, look, role
from panotui.tui.line import Line, Pen, Span
from panotui.tui.page import Item
from panotui.tui.quantities import clock, moment, short_rate
from panotui.views.frames import Curve, Strips
from panotui.views.strips import ZOOMS

CELL_WIDEST = 8  # columns of a cell of time
VALUE = 10  # cells of the text after a row
_TICKS_S = (5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 4 * 3600, 12 * 3600, 86_400, 7 * 86_400)
ROLES: dict[Cell, Role] = {
    Cell.BLANK: "dim", Cell.UNASKED: "dim", Cell.WELL: "ok", Cell.MISSED: "warn",
    Cell.DAMAGED: "warn", Cell.DEAD: "bad",
}  # fmt: skip
_LEGEND = (Cell.WELL, Cell.DAMAGED, Cell.DEAD, Cell.UNASKED, Cell.MISSED)


class Drawn(Struct, frozen=True):
    lines: list[Line]
    items: list[Item]


def labels_width(cells: int) -> int:
    """The width of the labels on a screen with this many cells."""
    return 8 if cells < 100 else 16


def columns(cells: int) -> int:
    """The number of time cells beside labels and values."""
    return max(10, cells - labels_width(cells) - VALUE - 4)


def width_of_cell(many: int, cells: int) -> int:
    """Columns per time cell: more than one if fewer cells were requested than fit."""
    return max(1, columns(cells) // max(1, many))


def asked_columns(fit: int, known_s: int) -> int:
    """The number of one-second cells to request if `fit` cells fit: fewer while little is known,
    each then drawn wider.
    """
    return fit // max(1, min(CELL_WIDEST, fit // max(1, known_s + 2)))


def zoomed(cell_s: int, step: int) -> int:
    """The next shorter (-1) or longer cell length."""
    at = min(range(len(ZOOMS)), key=lambda i: abs(ZOOMS[i] - cell_s))
    return ZOOMS[max(0, min(len(ZOOMS) - 1, at + step))]


def draw(
    strips: Strips,
    cells: int,
    height: int,
    glyphs: Glyphs,
    zone: tzinfo | None,
    values: Mapping[str, str],
    cursor_s: int | None = None,
    *,
    title: str = "",
    legend: bool = True,
) -> Drawn:
    """At most `height` lines of exactly `cells` cells: axis, rows, and if there is room the moment
    under the cursor, curves and the legend.
    """
    if height < 2:
        return Drawn([], [])
    label = labels_width(cells)
    many = len(strips.strips[0].cells) if strips.strips else columns(cells)
    wide = width_of_cell(many, cells)
    at = None if cursor_s is None else (cursor_s - strips.start_s) // strips.cell_s
    if at is not None and not 0 <= at < many:
        at = None
    lines = [_axis(strips, cells, label, many, wide, at, glyphs, zone, title)]
    items: list[Item] = []
    room = height - 1 - (1 if legend else 0)
    names = distinct(tuple(s.label for s in strips.strips), label, glyphs.ellipsis)
    for strip in strips.strips[:room]:
        pen = Pen(cells, glyphs.ellipsis).put(" ").field(names[strip.label], label, "strong")
        pen.put(" ")
        stretched = "".join(cell * wide for cell in strip.cells)
        pen.spans(cell_spans(stretched, glyphs, None if at is None else at * wide))
        pen.put(" ").put(cut_middle(values.get(strip.key, ""), VALUE, glyphs.ellipsis))
        if ":" in strip.key:
            items.append(Item(strip.key, len(lines), 0, label + 1, strip.label))
        lines.append(pen.line())
    room -= len(lines) - 1
    told = _moment(strips, cells, glyphs, zone, room) if at is not None else Drawn([], [])
    items += [Item(i.key, len(lines) + i.row, i.start, i.stop, i.copy) for i in told.items]
    lines += told.lines
    room -= len(told.lines)
    for found in strips.curves:
        least, most = (3, 20) if found.name == "bit-rate" else (2, 8)
        most = most if any(found.values) else least  # an empty chart needs no height
        if room >= least and any(v is not None for v in found.values):
            tall = max(least, min(most, room * 3 // 5))
            lines += curve_lines(found, cells, label, tall, wide, glyphs)
            room -= tall
    if legend:
        lines.append(_legend(strips, cells, glyphs))
    return Drawn(lines, items)


def cell_spans(cells: str, glyphs: Glyphs, at: int | None = None) -> list[Span]:
    """The cells of a strip as spans; the one at the cursor is highlighted."""
    if at is not None and 0 <= at < len(cells):
        here = glyphs.cells[int(cells[at])]
        before, after = cell_spans(cells[:at], glyphs), cell_spans(cells[at + 1 :], glyphs)
        return [*before, (here, "cursor"), *after]
    return [
        (glyphs.cells[int(digit)] * len(list(run)), ROLES[Cell(int(digit))])
        for digit, run in groupby(cells)
    ]


def _axis(
    strips: Strips,
    cells: int,
    label: int,
    many: int,
    wide: int,
    at: int | None,
    glyphs: Glyphs,
    zone: tzinfo | None,
    title: str,
) -> Line:
    pen = Pen(cells, glyphs.ellipsis).put(" ")
    last = f"{'LAST ' if label > 12 else ''}{span(many * strips.cell_s)}"
    pen.field(title or last, label, "head").put(" ")
    ruler = [" "] * many * wide
    here = moment(strips.start_s * SECOND, zone).utcoffset()
    offset = int(here.total_seconds()) if here is not None else 0
    fitting = (t for t in _TICKS_S if t * wide >= 10 * strips.cell_s and t % strips.cell_s == 0)
    tick = next(fitting, _TICKS_S[-1])
    cut = 8 if tick < 60 else 5
    for place in range(many):
        local = strips.start_s + place * strips.cell_s + offset
        if local % tick < strips.cell_s and place * wide + cut < many * wide:
            text = clock((local - offset) * SECOND, zone)[:cut]
            if tick >= 86_400:
                text = f"{moment((local - offset) * SECOND, zone):%m-%d}"
            ruler[place * wide : place * wide + len(text)] = text
    text = "".join(ruler)
    if at is not None:
        said = clock((strips.start_s + at * strips.cell_s) * SECOND, zone)
        start = max(0, min(many * wide - len(said), at * wide - len(said) // 2))
        # a label that would touch the cursor's time is left out
        before, after = text[:start], text[start + len(said) :]
        if before and before[-1] != " ":
            before = before[: before.rfind(" ") + 1].ljust(len(before))
        if after and after[0] != " ":
            after = (after[after.find(" ") :] if " " in after else "").rjust(len(after))
        pen.put(before, "dim").put(said, "cursor").put(after, "dim")
    else:
        pen.put(text, "dim")
    return pen.put(" ").put(f"cell {_cell(strips.cell_s)}", "dim").line()


def _cell(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _moment(strips: Strips, cells: int, glyphs: Glyphs, zone: tzinfo | None, room: int) -> Drawn:
    """Open findings and events in the cell under the cursor."""
    told = strips.moment
    if told is None or room <= 0:
        return Drawn([], [])
    at = clock(told.time_s * SECOND, zone)
    if not told.told:
        pen = Pen(cells, glyphs.ellipsis).put(f" {at}  ", "dim")
        return Drawn([pen.put("nothing was open, nothing happened", "dim").line()], [])
    lines: list[Line] = []
    items: list[Item] = []
    for severity, text, key in told.told[:room]:
        of = look(severity)
        pen = Pen(cells, glyphs.ellipsis).put(f" {at if not lines else ' ' * len(at)}  ", "dim")
        start = pen.column
        pen.put(glyph(glyphs, of), role(of)).put(" ").put(text)
        items.append(Item(key, len(lines), start, pen.column, text))
        lines.append(pen.line())
    return Drawn(lines, items)


def curve_lines(
    found: Curve, cells: int, label: int, tall: int, wide: int, glyphs: Glyphs
) -> list[Line]:
    """A curve under the strips, column for column; its scale at the left, its peak at the right."""
    peak = max((v for v in found.values if v is not None), default=0)
    top = scale(peak)
    shown = [v for v in found.values for _ in range(wide * (2 if glyphs.braille else 1))]
    rows = curve(shown, len(found.values) * wide, tall, glyphs, top)
    bits = found.name == "bit-rate"
    lines = []
    for number, row in enumerate(rows):
        pen = Pen(cells, glyphs.ellipsis).put(" ")
        head = (_round_rate(top) if bits else f"{top:.0f}") if number == 0 else ""
        head = found.name if number == tall - 1 else head
        pen.field(head, label, "dim", right=True).put(" ")
        pen.put(row, "chart" if bits or not peak else "bad").put(" ")
        if number == 0:
            said = f"peak {short_rate(peak) if bits else peak}" if peak else "none"
            pen.put(said, "dim")
        lines.append(pen.line())
    return lines


def _round_rate(top: float) -> str:
    """A step of the scale: `50 Mb/s`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if top >= size:
            return f"{top / size:g} {letter}b/s"
    return f"{top:g} b/s"


def _legend(strips: Strips, cells: int, glyphs: Glyphs) -> Line:
    pen = Pen(cells, glyphs.ellipsis).put(" ")
    for cell in _LEGEND:
        pen.put(glyphs.cells[cell], ROLES[cell]).put(f" {cell.word}  ", "dim")
    if pen.room > width("(blank) not recording"):
        pen.put("(blank) not recording", "dim")
    left = [f"+{strips.more} in trouble"] if strips.more else []
    left += [f"+{strips.well} well"] if strips.well else []
    pen.right(" ".join(left) + " ", "bad" if strips.more else "dim")
    return pen.line()
