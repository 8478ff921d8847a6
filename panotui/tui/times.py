"""The keys of time strips: cell length, cursor position, the strips to request.

Each function changes a `ScreenState` and returns the effects.
"""

from __future__ import annotations

from panotui.model import SECOND
from panotui.tui import strips
from panotui.tui.effects import Effect, Fetch
from panotui.tui.pages import TABLES
from panotui.tui.rooms import STRIPS_HEIGHT, STRIPS_WIDTH, side_width, under_height
from panotui.tui.screen_state import ScreenState
from panotui.tui.table import HEAD_LINES, fixed_rows
from panotui.tui.timeline import label_width
from panotui.views.frames import Strips, StripsView


def shown(screen: ScreenState) -> bool:
    """Whether this screen shows strips now, apart from a review's time line."""
    if screen.opened or _in_review(screen):
        return False
    if screen.pane != "overview":
        return bool(_under_list(screen))
    return screen.strips_alone or (
        screen.width >= STRIPS_WIDTH and screen.page_height() >= STRIPS_HEIGHT
    )


def _under_list(screen: ScreenState) -> int:
    """Lines for strips below a short list."""
    if not screen.beside_on:
        return 0
    return under_height(screen.width, screen.page_height(), list_lines(screen))


def list_lines(screen: ScreenState) -> int:
    """Lines of the list with its head, if all its rows are included; 0: there may be more."""
    table, frame = TABLES.get(screen.pane), screen.frames.get(screen.pane)
    if table is None or frame is None or frame.first or len(table.rows(frame)) < frame.matched:
        return 0
    above = fixed_rows(table, frame, screen.page_height())
    return HEAD_LINES + max(1, len(above) + frame.matched)


def _in_review(screen: ScreenState) -> bool:
    return screen.newest is not None and screen.newest.header.review is not None


def newest(screen: ScreenState) -> Strips | None:
    """The last received strips."""
    frame = screen.newest if _in_review(screen) else screen.frames.get("overview")
    return frame.strips if frame is not None else None


def asked(screen: ScreenState) -> StripsView | None:
    """The strips that this screen needs."""
    if _in_review(screen):
        return _asked_of_review(screen)
    if not shown(screen):
        return None
    width, height = screen.width, screen.page_height()
    rows = height - 8 if screen.strips_alone else max(4, height // 3 - 2)
    if screen.pane != "overview":
        width -= side_width(width) + 1
        rows = _under_list(screen) - 3
    fit = columns = strips.columns(width)
    last = newest(screen)
    if screen.cell_s is None and last is not None and last.first_s:
        columns = strips.asked_columns(fit, _now_s(screen) - last.first_s)
    return StripsView(
        columns=columns,
        rows=max(3, rows),
        cell_s=screen.cell_s or (1 if columns < fit // 2 + 1 else 0),
        end_s=screen.strips_end_s,
        at_s=screen.cursor_s or 0,
    )


def due(screen: ScreenState) -> bool:
    """Strips are shown here, and no answer to a request for them has come yet."""
    if asked(screen) is None:
        return False
    frame = screen.newest if _in_review(screen) else screen.frames.get("overview")
    return frame is None or frame.view.strips is None


def _asked_of_review(screen: ScreenState) -> StripsView:
    assert screen.newest is not None
    review = screen.newest.header.review
    assert review is not None
    columns = max(10, screen.width - label_width(screen.width) - 2)
    start_s, end_s = review.start_ns // SECOND, -(-review.end_ns // SECOND)
    whole_s = max(1, -(-(end_s - start_s) // columns))
    cell_s = min(screen.cell_s or whole_s, whole_s)
    # no more than the recording has: wider ones fill the time line
    columns = max(1, min(columns, -(-end_s // cell_s) - start_s // cell_s))
    window = cell_s * columns
    middle = review.position_ns // SECOND + window // 2
    end = max(start_s + window, min(end_s, -(-middle // cell_s) * cell_s))
    return StripsView(
        columns=columns, rows=review_rows(screen.height), cell_s=cell_s, end_s=max(1, end)
    )


def review_rows(height: int) -> int:
    """Subjects of a review's time line on a screen of this height."""
    return 4 if height < 36 else 8 if height < 50 else 14


def _now_s(screen: ScreenState) -> int:
    return 0 if screen.newest is None else screen.newest.header.time_ns // SECOND


def zoom(screen: ScreenState, step: int) -> list[Effect]:
    """Longer (1) or shorter (-1) cells."""
    last = newest(screen)
    if last is None:
        return []
    screen.cell_s = strips.zoomed(screen.cell_s or last.cell_s, step)
    return [Fetch()]


def move(screen: ScreenState, step: int) -> list[Effect]:
    """Move the cursor by a cell; it starts at the newest one, and the window follows it."""
    last = newest(screen)
    if last is None or not last.strips:
        return []
    now_s = _now_s(screen)
    if screen.cursor_s is None:
        screen.cursor_s = max(last.start_s, min(last.end_s, now_s) - 1) // last.cell_s * last.cell_s
    else:
        screen.cursor_s += step * last.cell_s
    screen.cursor_s = max(last.first_s, min(screen.cursor_s, max(now_s - 1, 0)))
    half = last.cell_s * len(last.strips[0].cells) // 2
    if not last.start_s <= screen.cursor_s < last.end_s:
        screen.strips_end_s = screen.cursor_s + half
    if screen.strips_end_s >= now_s:
        screen.strips_end_s = 0
    return [Fetch()]


def leave(screen: ScreenState) -> list[Effect]:
    """Remove the cursor: show the newest cells again."""
    screen.cursor_s, screen.strips_end_s = None, 0
    return [Fetch()]
