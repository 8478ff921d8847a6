"""The line that is typed over the page's last one: a filter or a command, and whether it reads."""

from __future__ import annotations

from panotui.tui import commands
from panotui.tui.cells import cut_end
from panotui.tui.commands import Order, matching
from panotui.tui.edit import Edit
from panotui.tui.effects import Effect, Fetch
from panotui.tui.glyphs import Role
from panotui.tui.line import Line, Pen
from panotui.tui.pages import TABLES
from panotui.tui.screen_state import ScreenState
from panotui.views.filter import FilterError, parse


def start(screen: ScreenState, what: str) -> list[Effect]:
    screen.editing = what
    screen.edit = Edit.of(screen.place.filter if what == "filter" else "")
    screen.message = ""
    return []


def try_filter(screen: ScreenState) -> list[Effect]:
    """A filter shows its effect while it is typed, as soon as it can be read."""
    if screen.edit is None or screen.editing != "filter":
        return []
    if filter_fault(screen, screen.edit.text) is not None:
        return []
    return set_filter(screen, screen.edit.text)


def set_filter(screen: ScreenState, text: str) -> list[Effect]:
    place = screen.place
    if place.filter == text.strip():
        return []
    place.filter = text.strip()
    place.first, place.index = 0, 0
    return [Fetch()]


def filter_fault(screen: ScreenState, text: str) -> str | None:
    table = TABLES.get(screen.pane)
    try:
        found = parse(text)
        if table is not None:
            found.predicate(table.record)
    except FilterError as error:
        return str(error)
    return None


def read(screen: ScreenState, text: str) -> Order | str:
    table = TABLES.get(screen.pane)
    sorts = [column.sort for column in table.sorts()] if table is not None else []
    review = screen.newest.header.review if screen.newest is not None else None
    return commands.read(text, review, screen.zone, sorts, screen.port_names())


def edit_line(screen: ScreenState, edit: Edit) -> Line:
    said, role = validity(screen, edit.text)
    said = cut_end(said, screen.width - 24, screen.glyphs.ellipsis)
    pen = Pen(screen.width, screen.glyphs.ellipsis)
    pen.put("/" if screen.editing == "filter" else ":", "key")
    room = max(20, screen.width - len(said) - 5)
    start = max(0, edit.at - room + 1)
    shown = edit.text[start : start + room]
    at = edit.at - start
    pen.put(shown[:at]).put(shown[at : at + 1] or " ", "cursor").put(shown[at + 1 :])
    return pen.right(f"{said} ", role).line()


def validity(screen: ScreenState, text: str) -> tuple[str, Role]:
    """Whether the typed line reads, in a word and a colour."""
    if screen.editing == "filter":
        wrong = filter_fault(screen, text)
        if wrong is not None:
            return f"invalid: {wrong}", "bad"
        frame = screen.frames.get(screen.pane)
        if frame is None or frame.view.filter != text.strip():
            return "valid", "ok"
        return f"valid: {frame.matched} of {frame.total}", "ok"
    if not text.strip():
        return "tab completes, esc leaves", "dim"
    order = read(screen, text)
    if isinstance(order, str):
        near = matching(text)
        if len(near) == 1 and near[0].takes:
            return f"{near[0].name} {near[0].takes}: {near[0].help}", "dim"
        return order, "bad"
    return f"valid: {order.name}", "ok"
