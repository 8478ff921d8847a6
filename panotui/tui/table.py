"""Tables of a pane: columns as data, dropped by priority as the width shrinks.

A `Table` defines which records of a frame are its rows, the text of each column, and the pane's
heading; `draw_table` returns the page. A frame only ever contains the visible rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from panotui.tui.cells import cut_end, fit
from panotui.tui.cells import width as width_of
from panotui.tui.glyphs import Role
from panotui.tui.line import Line, Span
from panotui.tui.page import Item, Page, Scene
from panotui.views.frames import Frame
from panotui.views.subjects import row_key

NEED_STEP, NEED_MOST = 4, 160  # cells
WHOLE, LATE = 3, 100  # turns: optional columns after `WHOLE` matter less than a whole name
HEAD_LINES = 2  # the pane's heading and the columns' titles


class Column(Struct, frozen=True):
    """A column of a table; `drop` is its turn to get room (0: always), so the highest is dropped
    first as the width shrinks."""

    title: str
    width: int
    cell: Callable[[Any, Scene], Span]
    sort: str = ""  # the feed's name of it; empty: not sortable
    most: int = 0  # may grow to this without need; 0: never grows
    right: bool = False
    drop: int = 0
    whole: int = WHOLE  # its turn to show the whole text of its rows
    biggest_first: bool = False
    by_width: Callable[[Any, Scene, int], str] | None = None  # text that depends on the room
    late: bool = False  # grows only when the others have their full width
    sentence: bool = False  # shorten at the end; names are shortened in the middle


class Table(Struct, frozen=True):
    pane: str
    record: type
    kind: str  # of the detail view: "flow" in "flow:ID"
    rows: Callable[[Frame], Sequence[Any]]
    columns: tuple[Column, ...]
    heading: Callable[[Scene], Sequence[Span]]
    empty: str | Callable[[Scene], str]  # text of an empty table
    copy: Callable[[Any], str]
    fixed: Callable[[Frame], Sequence[Any]] = lambda frame: ()  # rows above the scrolling window
    fixed_kind: str = ""
    own_sort: str = ""  # first column of the pane's own order
    own_down: bool = False  # and whether it is descending

    def sorts(self) -> list[Column]:
        return [column for column in self.columns if column.sort]

    def column(self, sort: str | None) -> Column | None:
        return next((c for c in self.columns if sort and c.sort == sort), None)


class Columns(Struct, frozen=True):
    """The user's choice of columns, their order and widths."""

    show: tuple[str, ...] = ()  # titles; none: all
    widths: dict[str, int] = {}

    def of(self, table: Table) -> tuple[Column, ...]:
        """The table's chosen columns; marks without a title always stay."""
        found = table.columns
        if self.show:
            by_title = {c.title: c for c in found if c.title}
            marks = tuple(c for c in found if not c.title)
            found = (*marks, *(by_title[t] for t in self.show if t in by_title))
        return tuple(
            replace(c, width=self.widths[c.title], most=self.widths[c.title])
            if c.title in self.widths
            else c
            for c in found
        )


def fixed_rows(table: Table, frame: Frame, height: int) -> Sequence[Any]:
    """The rows above the scrolling window: at most a third of the page."""
    return table.fixed(frame)[: max(0, (height - HEAD_LINES) // 3)]


def window_rows(table: Table, frame: Frame | None, height: int) -> int:
    """The number of rows of the feed that fit."""
    above = len(fixed_rows(table, frame, height)) if frame is not None else 0
    return max(1, height - HEAD_LINES - above)


def layout(
    columns: Sequence[Column], width: int, needs: Mapping[str, int] | None = None
) -> list[tuple[Column, int]]:
    """The columns that fit, each with its width; one space between them.

    Room is given in turns. An optional column gets its width at its `drop`. Any other column gets,
    at its `whole`, what its rows need more (`needs`, by title): a name all of it or nothing, a
    sentence as much as there is. So no name is cut while columns that matter less have room. Once
    an optional column finds no room, those after it get none. What is left goes to columns whose
    rows need it, then up to each column's maximum.
    """
    needs = needs or {}
    widths = {i: c.width for i, c in enumerate(columns) if not c.drop}
    spare = width - sum(widths.values()) - (len(widths) - 1)
    turns = [(c.drop, 0, i) for i, c in enumerate(columns) if c.drop]
    turns += [(LATE if c.late else c.whole, 1, i) for i, c in enumerate(columns) if not c.drop]
    dropping = False
    for _, _, i in sorted(turns):
        column = columns[i]
        if column.drop:
            dropping = dropping or column.width + 1 > spare
            if not dropping:
                widths[i] = column.width
                spare -= column.width + 1
            continue
        more = needs.get(column.title, 0) - widths[i]
        if column.sentence:
            more = min(more, spare)
        if 0 < more <= spare:
            widths[i] += more
            spare -= more
    kept = sorted(widths)
    for most in ({i: needs.get(columns[i].title, 0) for i in kept},
                 {i: columns[i].most for i in kept}):  # fmt: skip
        for late in (False, True):
            growing = [i for i in kept if most[i] > widths[i] and columns[i].late is late]
            while spare > 0 and growing:
                for i in list(growing):
                    if spare <= 0:
                        break
                    widths[i] += 1
                    spare -= 1
                    if widths[i] >= most[i]:
                        growing.remove(i)
    return [(columns[i], widths[i]) for i in kept]


def _needs(columns: Sequence[Column], rows: Sequence[Any], scene: Scene) -> dict[str, int]:
    """The cells that the rows need in the growing columns, in steps. Rows that go do not move the
    columns: what was needed stays, until the user asks for other rows or the size changes."""
    place = scene.place
    asked = (scene.width, place.sort, place.reverse, place.filter, scene.port, scene.manner)
    needs = place.needs if place.needed_for == asked else {}
    for column in columns:
        if not column.title or column.most <= column.width:
            continue
        texts = (
            column.cell(row, scene)[0]
            if column.by_width is None
            else column.by_width(row, scene, column.most)
            for row in rows
        )
        widest = max(map(width_of, texts), default=0)
        widest = min(widest, NEED_MOST if column.by_width is None else column.most)
        needed = -(-widest // NEED_STEP) * NEED_STEP if widest > column.width else 0
        needs[column.title] = max(needed, needs.get(column.title, 0))
    place.needs, place.needed_for = needs, asked
    return needs


def draw_table(table: Table, scene: Scene, chosen: Columns | None = None) -> Page:
    """The pane's heading, the titles, the visible rows."""
    frame = scene.frame
    above = fixed_rows(table, frame, scene.height)
    visible = table.rows(frame)[: window_rows(table, frame, scene.height)]
    wanted = table.columns if chosen is None else chosen.of(table)
    columns = layout(wanted, scene.width - 2, _needs(wanted, (*above, *visible), scene))
    page = Page([_answer(table, scene, columns), _titles(table, scene, columns)])
    for records, kind in ((above, table.fixed_kind), (visible, table.kind)):
        for record in records:
            key = f"{kind}:{row_key(record)}"
            row = len(page.lines)
            page.lines.append(_row(record, scene, columns))
            known = getattr(record, "known", None)
            page.items.append(Item(key, row, 0, scene.width, table.copy(record), known))
    if not page.items:
        page.lines.append(scene.pen().put(f" {_why_empty(table, scene)}", "dim").line())
    return page.fill(scene.width, scene.height)


def _why_empty(table: Table, scene: Scene) -> str:
    if scene.frame.total and (scene.place.filter or scene.port):
        return f"None of {scene.frame.total} matches: esc clears the filter, p the port."
    return table.empty if isinstance(table.empty, str) else table.empty(scene)


def _answer(table: Table, scene: Scene, columns: Sequence[tuple[Column, int]]) -> Line:
    frame, pen = scene.frame, scene.pen()
    pen.put(" ").put(table.pane.upper(), "head").put("  ").spans(table.heading(scene))
    if scene.port:
        pen.put(f"  port {scene.port}", "warn")
    if scene.place.filter:
        pen.put(f"  filter {scene.place.filter}", "warn")
    chosen = table.column(scene.place.sort)
    if chosen is not None and all(column.sort != chosen.sort for column, _ in columns):
        # its title, which would be marked, has no room
        pen.put(f"  by {scene.manner.title(chosen.title)}{_arrow(table, scene, chosen)}", "key")
    if frame.cut:
        pen.put(f"  {frame.cut}", "warn")
    shown = len(table.rows(frame))
    last = min(frame.matched, frame.first + min(shown, window_rows(table, frame, scene.height)))
    where = f"{frame.first + 1 if last else 0}-{last} of {frame.matched}"
    if frame.matched != frame.total:
        where += f" (all: {frame.total})"
    up = scene.glyphs.more_above if frame.first else " "
    down = scene.glyphs.more_below if last < frame.matched else " "
    return pen.right(f"{where} {up}{down} ", "dim").line()


def _arrow(table: Table, scene: Scene, column: Column) -> str:
    """The direction of the rows that are sorted by this column."""
    down = column.biggest_first if scene.place.sort else table.own_down
    descending = down is not scene.place.reverse
    return scene.glyphs.descending if descending else scene.glyphs.ascending


def _titles(table: Table, scene: Scene, columns: Sequence[tuple[Column, int]]) -> Line:
    pen = scene.pen().put(" ")
    sorted_by = scene.place.sort or table.own_sort
    for number, (column, cells) in enumerate(columns):
        title, role = scene.manner.title(column.title), "dim"
        if sorted_by and column.sort == sorted_by:
            title, role = f"{title[: cells - 1]}{_arrow(table, scene, column)}", "key"
        pen.put(" " if number else "").field(title, cells, _as_role(role), right=column.right)
    return pen.line()


def _as_role(text: str) -> Role:
    return "key" if text == "key" else "dim"


def _row(record: Any, scene: Scene, columns: Sequence[tuple[Column, int]]) -> Line:
    pen = scene.pen().put(" ")
    for number, (column, cells) in enumerate(columns):
        text, role = column.cell(record, scene)
        if column.by_width is not None:
            text = column.by_width(record, scene, cells)
        if column.sentence:
            text = cut_end(text, cells, scene.glyphs.ellipsis)
        pen.put(" " if number else "")
        pen.put(fit(text, cells, right=column.right, ellipsis=scene.glyphs.ellipsis), role)
    return pen.line()
