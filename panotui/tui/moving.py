"""The cursor: up, down and sideways over tables, the overview and details; opening things.

Each function changes a `ScreenState` and returns the effects.
"""

from __future__ import annotations

from panotui.tui.effects import Effect, Fetch
from panotui.tui.pages import TABLES
from panotui.tui.screen_state import Opened, ScreenState, bare
from panotui.tui.table import Table, fixed_rows, window_rows
from panotui.views.frames import Frame
from panotui.views.subjects import row_key


def follow(screen: ScreenState, table: Table, frame: Frame) -> bool:
    """Keep the cursor on its row's key, wherever the row is; True if another frame is needed."""
    place, view = screen.place, frame.view
    if view.first != max(0, place.first):
        return True  # a key has scrolled since this was requested: its place stands
    above = fixed_rows(table, frame, screen.page_height())
    rows = window_rows(table, frame, screen.page_height())
    place.first = frame.first
    if place.key is not None and view.follow == bare(place.key):
        for number, record in enumerate(above):
            if place.key == f"{table.fixed_kind}:{row_key(record)}":
                place.index = number
                return False
        if frame.follow_row is not None:
            offset = max(0, min(rows - 1, place.index - len(above) - view.first))
            place.index = len(above) + frame.follow_row
            if not place.first <= frame.follow_row < place.first + rows:
                place.first = max(0, min(frame.follow_row - offset, frame.matched - rows))
                return True
            return False
    # No key yet, or its row is gone: the row at the same position.
    total = len(above) + frame.matched
    place.index = max(0, min(place.index, total - 1))
    place.key = key_at(screen, table, frame, place.index)
    return False


def key_at(screen: ScreenState, table: Table, frame: Frame, index: int) -> str | None:
    above = fixed_rows(table, frame, screen.page_height())
    if index < len(above):
        return f"{table.fixed_kind}:{row_key(above[index])}"
    rows = table.rows(frame)
    at = index - len(above) - frame.first
    return f"{table.kind}:{row_key(rows[at])}" if 0 <= at < len(rows) else None


def page_rows(screen: ScreenState) -> int:
    return max(1, screen.page_height() - 3)


def move(screen: ScreenState, rows: int) -> list[Effect]:
    if screen.opened:
        screen.opened[-1].place.first = max(0, screen.opened[-1].place.first + rows)
        return []
    table = TABLES.get(screen.pane)
    return move_items(screen, rows) if table is None else move_row(screen, table, rows)


def move_items(screen: ScreenState, rows: int) -> list[Effect]:
    """On the overview: to the nearest item of another line."""
    lines = sorted({item.row for item in screen.items})
    if not lines:
        return []
    here = next((i for i in screen.items if i.key == screen.place.key), None)
    if here is None:
        at = 0
    else:
        at = max(0, min(len(lines) - 1, lines.index(here.row) + rows))
    column = here.start if here is not None else 0
    there = [item for item in screen.items if item.row == lines[at]]
    screen.place.key = min(there, key=lambda item: abs(item.start - column)).key
    return []


def move_row(screen: ScreenState, table: Table, rows: int) -> list[Effect]:
    frame, place = screen.frames.get(screen.pane), screen.place
    if frame is None:
        return []
    above = len(fixed_rows(table, frame, screen.page_height()))
    total = above + frame.matched
    place.index = max(0, min(total - 1, place.index + rows))
    place.key = key_at(screen, table, frame, place.index)
    moved = keep_in_sight(screen)
    return [Fetch()] if moved or place.key is None else []


def keep_in_sight(screen: ScreenState) -> bool:
    """Scroll the table's window so that it includes the cursor's row; True if it moved."""
    table, frame, place = TABLES.get(screen.pane), screen.frames.get(screen.pane), screen.place
    if table is None or frame is None:
        return False
    height = screen.page_height()
    rows = window_rows(table, frame, height)
    row = place.index - len(fixed_rows(table, frame, height))
    if row < 0:
        return False
    first = min(place.first, row)
    first = max(first, row - rows + 1)
    moved = first != place.first
    place.first = first
    return moved


def beside(screen: ScreenState, step: int) -> list[Effect]:
    if screen.opened:
        place = screen.opened[-1].place
        place.index = max(0, place.index + step)
        return []
    here = next((i for i in screen.items if i.key == screen.place.key), None)
    if here is None:
        return move(screen, 1)
    row = sorted((i for i in screen.items if i.row == here.row), key=lambda i: i.start)
    at = max(0, min(len(row) - 1, row.index(here) + step))
    if screen.pane not in TABLES:
        screen.place.key = row[at].key
    return []


def open_detail(screen: ScreenState, flow: bool) -> list[Effect]:
    if screen.opened:
        opened = screen.opened[-1]
        detail = opened.frame.detail if opened.frame is not None else None
        links = detail.links if detail is not None else ()
        if flow:
            links = tuple(link for link in links if link[1].startswith("flow:"))
        if not links:
            return []
        key = links[0 if flow else min(opened.place.index, len(links) - 1)][1]
    elif screen.place.key is None:
        return []
    else:
        key = screen.place.key
    if len(screen.opened) >= 20:
        del screen.opened[0]
    screen.opened.append(Opened(key))
    return [Fetch()]


def to_key(screen: ScreenState, key: str) -> list[Effect]:
    """Put the cursor on a visible item."""
    table, frame = TABLES.get(screen.pane), screen.frames.get(screen.pane)
    if table is None or frame is None:
        screen.place.key = key
        return []
    keys = [item.key for item in screen.items]
    if key not in keys or screen.place.key not in keys:
        screen.place.key = key
        return [Fetch()]
    return move_row(screen, table, keys.index(key) - keys.index(screen.place.key))
