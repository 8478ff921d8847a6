"""The one widget of every screen: lines of spans, of which only the changed cells are sent.

`show` takes the wanted lines and repaints only the differences from the present ones. The dirty
area is the SSH traffic.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from panotui.tui.line import Line, changed_spans
from panotui.tui.theme import STYLES


class Lines(Widget, can_focus=False):
    """Draws lines, whatever their content."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._lines: list[Line] = []

    def show(self, lines: Sequence[Line]) -> bool:
        """Repaint the differences; True if there were any."""
        regions: list[Region] = []
        for row, line in enumerate(lines):
            old = self._lines[row] if row < len(self._lines) else ()
            regions.extend(
                Region(start, row, stop - start, 1) for start, stop in changed_spans(old, line)
            )
        shrunk = len(self._lines) - len(lines)
        if shrunk > 0:
            regions.append(Region(0, len(lines), self.size.width, shrunk))
        self._lines = list(lines)
        if regions:
            self.refresh(*regions)
        return bool(regions)

    def forget(self) -> None:
        """The terminal may show anything: the next picture is painted whole."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line as a strip, as wide as it was drawn."""
        if y >= len(self._lines):
            return Strip.blank(self.size.width)
        segments = [Segment(text, STYLES[role]) for text, role in self._lines[y]]
        return Strip(segments).adjust_cell_length(self.size.width)
