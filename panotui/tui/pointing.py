"""The thing under a cell of the screen: an item, a pane's name, a moment on a strip."""

from __future__ import annotations

import re

from msgspec import Struct

from panotui.tui import strips, times
from panotui.tui.line import text_of
from panotui.tui.screen_state import ScreenState
from panotui.views.subjects import PANES

_PANE = re.compile(r"(\d) \w+")


class Pointed(Struct, frozen=True):
    """One of the three."""

    key: str | None = None
    pane: str | None = None
    second: int | None = None  # since the epoch


def at(screen: ScreenState, x: int, y: int) -> Pointed | None:
    """The thing last drawn there; None if it cannot be clicked."""
    if y == screen.height - 1:
        for found in _PANE.finditer(text_of(screen.foot)):
            if found.start() - 1 <= x <= found.end() and int(found[1]) <= len(PANES):
                return Pointed(pane=PANES[int(found[1]) - 1])
        return None
    row = y - 1 - screen.page_top
    for item in screen.items:
        if item.row == row and item.start <= x < item.stop:
            return Pointed(key=item.key)
    drawn = times.newest(screen)
    if drawn is not None and drawn.strips and screen.strips_row is not None:
        many = len(drawn.strips[0].cells)
        left = x - strips.labels_width(screen.width) - 2
        cell = left // strips.width_of_cell(many, screen.width)
        inside = 0 <= row - screen.strips_row - 1 < len(drawn.strips)
        if inside and left >= 0 and cell < many:
            return Pointed(second=max(drawn.first_s, drawn.start_s + cell * drawn.cell_s))
    return None
