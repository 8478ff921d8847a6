"""One line of the screen as spans of text with a role each, always of exactly the requested
width.

Pages write lines with a `Pen`; the widget turns roles into styles and repaints only what differs
between two lines of the same row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from panotui.tui.cells import cut_end, cut_middle, exactly, width
from panotui.tui.glyphs import Role

Span: TypeAlias = tuple[str, Role]
Line: TypeAlias = tuple[Span, ...]


class Pen:
    """Writes one line from left to right; text that does not fit is cut, never wrapped."""

    def __init__(self, cells: int, ellipsis: str = "…") -> None:
        self._cells = cells
        self._ellipsis = ellipsis
        self._spans: list[Span] = []
        self.column = 0

    @property
    def room(self) -> int:
        return self._cells - self.column

    def put(self, text: str, role: Role = "plain") -> Pen:
        """Write a sentence: cut at its end if there is no room."""
        return self._add(cut_end(text, self.room, self._ellipsis), role)

    def name(self, text: str, role: Role = "plain", keep: int = 0) -> Pen:
        """Write a name: cut in its middle, leaving `keep` cells for what follows."""
        return self._add(cut_middle(text, max(0, self.room - keep), self._ellipsis), role)

    def field(self, text: str, cells: int, role: Role = "plain", *, right: bool = False) -> Pen:
        """Write a name in exactly `cells` cells."""
        cells = min(cells, self.room)
        text = cut_middle(text, cells, self._ellipsis)
        blanks = " " * (cells - width(text))
        return self._add(blanks + text if right else text + blanks, role)

    def to(self, column: int) -> Pen:
        """Move to a column further right."""
        if column > self.column:
            self._add(" " * (min(column, self._cells) - self.column), "plain")
        return self

    def spans(self, spans: Sequence[Span]) -> Pen:
        for text, role in spans:
            self.put(text, role)
        return self

    def right(self, text: str, role: Role = "plain") -> Pen:
        """Write at the right edge, if there is room for it and a space."""
        if width(text) < self.room:
            self.to(self._cells - width(text)).put(text, role)
        return self

    def line(self) -> Line:
        self.to(self._cells)
        return tuple(self._spans)

    def _add(self, text: str, role: Role) -> Pen:
        if text:
            if self._spans and self._spans[-1][1] == role:
                self._spans[-1] = (self._spans[-1][0] + text, role)
            else:
                self._spans.append((text, role))
            self.column += width(text)
        return self


def plain(text: str, cells: int, role: Role = "plain") -> Line:
    return ((exactly(text, cells), role),) if cells > 0 else ()


def text_of(line: Line) -> str:
    return "".join(text for text, _ in line)


def cells_of(line: Line) -> list[Span]:
    """One entry per cell; the second cell of a wide character is empty text, combining marks join
    their letter.
    """
    cells: list[Span] = []
    for text, role in line:
        if text.isascii():
            cells.extend((character, role) for character in text)
            continue
        for character in text:
            size = width(character)
            if size == 0 and cells:
                cells[-1] = (cells[-1][0] + character, cells[-1][1])
            else:
                cells.append((character, role))
                cells.extend(("", role) for _ in range(size - 1))
    return cells


def highlighted(line: Line, start: int, stop: int, role: Role = "cursor") -> Line:
    """The line with cells [start, stop) in one role.

    A chart keeps its own: reversed, its full bars would look like a hole in the cursor's bar.
    """
    cells = cells_of(line)
    out: list[Span] = []
    for column, (text, old) in enumerate(cells):
        drawn = old == "chart" and text.strip() != ""
        new = role if start <= column < stop and not drawn else old
        if out and out[-1][1] == new:
            out[-1] = (out[-1][0] + text, new)
        else:
            out.append((text, new))
    return tuple(out)


def changed_spans(old: Line, new: Line, join: int = 10) -> list[tuple[int, int]]:
    """The differences of two lines of one row: `(start, stop)` cells; neighbours within `join` are
    merged.

    Moving the terminal's cursor costs about as many bytes as repeating ten cells.
    """
    if old == new:
        return []
    before, after = cells_of(old), cells_of(new)
    if len(before) != len(after):
        return [(0, len(after))]
    spans: list[tuple[int, int]] = []
    for column, (a, b) in enumerate(zip(before, after, strict=True)):
        if a == b:
            continue
        start = column
        # Never start or stop inside a wide character, old or new.
        while start > 0 and (before[start][0] == "" or after[start][0] == ""):
            start -= 1
        stop = column + 1
        while stop < len(after) and (before[stop][0] == "" or after[stop][0] == ""):
            stop += 1
        if spans and start - spans[-1][1] <= join:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((start, stop))
    return spans
