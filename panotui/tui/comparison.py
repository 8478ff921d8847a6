"""The screen of two compared captures: a sentence on top, both sides of each stream and flow, and
below them what each place captured over time, one strip per place.

It is a `Session` with one pane and fewer keys; the picture is drawn here, everything else is
shared.
"""

from __future__ import annotations

from collections.abc import Mapping

from panotui.model.comparison import BothSides, Comparison
from panotui.state.both_sides import over_time
from panotui.state.strips import Cell
from panotui.tui import bars, picture, strips
from panotui.tui.cells import cut_end, wrap
from panotui.tui.effects import Effect
from panotui.tui.glyphs import Glyphs
from panotui.tui.line import Line, Pen, plain
from panotui.tui.page import Place
from panotui.tui.picture import Picture
from panotui.tui.quantities import clock, count
from panotui.tui.screen_state import HEIGHT_MIN, WIDTH_MIN
from panotui.tui.session import Session
from panotui.tui.settings import Settings
from panotui.views.frames import Curve, Frame, Strip, Strips
from panotui.views.passages import PANE

# Keys that work here; all others move in time or change something.
_ACTIONS = frozenset((
    "back", "quit-leaving", "interrupt", "help", "down", "up", "left", "right", "page-down",
    "page-up", "top", "bottom", "open", "clear", "filter", "sort", "reverse", "reset", "copy",
    "export", "hold-order", "beside", "redraw", "suspend",
))  # fmt: skip
_LEGEND = ((Cell.WELL, "all"), (Cell.DAMAGED, "some lost"), (Cell.DEAD, "none came"),
           (Cell.UNASKED, "nothing sent"))  # fmt: skip
SENTENCE_LINES, NOTE_LINES = 3, 3
TALL = 30  # lines from which on notes and a curve of the losses are shown


class ComparisonSession(Session):
    """The state of the screen of a comparison."""

    def __init__(self, found: Comparison, glyphs: Glyphs) -> None:
        super().__init__(glyphs, mode="review")
        self.found = found
        self._only_this_pane()

    def _only_this_pane(self) -> None:
        self.pane = PANE.name
        self.places[PANE.name] = Place()
        self.keymap = tuple(key for key in self.keymap if key.action in _ACTIONS)

    def set_up(
        self, settings: Settings, columns: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        super().set_up(settings, columns)
        self._only_this_pane()

    def _show(self, pane: str) -> list[Effect]:
        """There is no other pane."""
        return []

    def footed(self) -> str | None:
        return None

    def page_height(self) -> int:
        below = self.height - 2 - (self.footer_rows() - 1) - len(self.above())
        return max(1, below - self.strips_height())

    def strips_height(self) -> int:
        """An axis, two strips and their legend; with enough room also the losses over time."""
        return 6 if self.height >= TALL else 4

    def above(self) -> list[Line]:
        """The sentence, the clocks, and with enough room the notes."""
        found, cells = self.found, self.width
        parts = wrap(found.sentence[:1].upper() + found.sentence[1:], cells - 2)
        if len(parts) > SENTENCE_LINES:  # the rest of it is in the report and with --json
            last = cut_end(" ".join(parts[SENTENCE_LINES - 1 :]), cells - 2, self.glyphs.ellipsis)
            parts[SENTENCE_LINES - 1 :] = [last]
        lines = [
            Pen(cells, self.glyphs.ellipsis).put(" ").put(part, "strong").line() for part in parts
        ]
        lines.append(Pen(cells, self.glyphs.ellipsis).put(f" {_clocks(found)}", "dim").line())
        if self.height >= TALL:
            noted = [part for note in found.notes for part in wrap(f"Note: {note}", cells - 2)]
            lines += [plain(f" {part}", cells, "dim") for part in noted[:NOTE_LINES]]
        return lines

    def picture(self, now: float) -> Picture:
        return draw(self, now)

    def looked_at(self) -> BothSides | None:
        """The row whose strips are shown: the opened one, or the one under the cursor."""
        key = (self.subject() or "").partition(":")[2]
        frame: Frame | None = self.frames.get(PANE.name)
        rows = frame.passages if frame is not None else ()
        return next((row for row in rows if row.id == key), None)


def draw(screen: ComparisonSession, now: float) -> Picture:
    """Everything on the screen: header, `height - 2` lines, footer."""
    screen.stale = False
    width, height = screen.width, screen.height
    if width < WIDTH_MIN or height < HEIGHT_MIN or screen.newest is None:
        return picture.draw(screen, now)
    body = screen.above()
    screen.page_top = len(body)
    below = height - 1 - screen.footer_rows() - len(body)
    room = max(1, below - screen.strips_height())
    body.extend(picture.page(screen, room).lines)
    body.extend(strips_of(screen, below - room))
    bottom = picture.bottom_lines(screen, now, len(body) - 1)
    if bottom:
        body[-len(bottom) :] = bottom
    *upper, footer = bars.footer(None, screen.working_keys(), width, height, screen.glyphs)
    screen.foot = footer
    return Picture(_header(screen), [*body, *upper], footer)


def _header(screen: ComparisonSession) -> Line:
    found = screen.found
    pen = Pen(screen.width, screen.glyphs.ellipsis).put(" ").put("COMPARED", "warn")
    for letter, side in (("A", found.a), ("B", found.b)):
        name = side.name if side.name == letter else f"{letter} {side.name}"
        file = side.file.rpartition("/")[2]
        pen.put("  ").put(name, "strong").put(f" {file} {count(side.packets)} packets")
    return pen.right(clock(found.a.last_time_ns, screen.zone, with_zone=True) + " ").line()


def _clocks(found: Comparison) -> str:
    offset = found.clock.offset_s
    side = "ahead of" if offset >= 0 else "behind"
    text = (
        f"Clocks: {found.b.name} {abs(offset):.6f} s {side} {found.a.name}, "
        f"drift {found.clock.drift_ppm:+.1f} ppm"
    )
    uncertain = found.clock.uncertainty_s
    return f"{text}, +- {1000 * uncertain:.1f} ms" if uncertain is not None else text


# ------------------------------------------------------------------ strips


def strips_of(screen: ComparisonSession, height: int) -> list[Line]:
    """What each place captured of the chosen row over time, and the losses between them."""
    cells, row = screen.width, screen.looked_at()
    lines: list[Line] = []
    if row is not None and not row.packets_by_cell:
        lines = [plain(" It is not among those whose packets were counted by time.", cells, "dim")]
    elif row is not None:
        shown = strips_for(screen.found, row, strips.columns(cells))
        values = {row.first: count(sum(row.packets_by_cell))}
        values["b" if row.first == "a" else "a"] = f"-{count(row.lost)}" if row.lost else "all"
        drawn = strips.draw(
            shown, cells, height - 1, screen.glyphs, screen.zone, values, title="TIME",
            legend=False,
        )  # fmt: skip
        lines = [*drawn.lines, _legend(cells, screen.glyphs)]
    lines += [plain("", cells)] * (height - len(lines))
    return lines[:height]


def _legend(cells: int, glyphs: Glyphs) -> Line:
    pen = Pen(cells, glyphs.ellipsis).put(" ")
    for cell, word in _LEGEND:
        pen.put(glyphs.cells[cell], strips.ROLES[cell]).put(f" {word}  ", "dim")
    return pen.put("(blank) not capturing", "dim").line()


def strips_for(found: Comparison, row: BothSides, columns: int) -> Strips:
    """Both strips in at most this many cells, the place that packets pass first on top."""
    cells = over_time(found, row, columns)
    return Strips(
        start_s=cells.start_s,
        end_s=cells.start_s + len(cells.lost) * cells.cell_s,
        cell_s=cells.cell_s,
        first_s=cells.start_s,
        strips=tuple(
            Strip(key=place, label=label, cells="".join(str(int(cell)) for cell in strip))
            for place, label, strip in cells.strips
        ),
        curves=(Curve(name="lost", values=cells.lost),),
    )
