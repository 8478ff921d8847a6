"""The input line over the page's last line: a filter or a command, and its validation.

While a filter is typed, the line above offers completions; while a command is typed, a list of all
matching commands that work here is shown above it.
"""

from __future__ import annotations

from panotui.model.quantities import UNKNOWN
from panotui.tui import commands, completion, keys
from panotui.tui.cells import cut_end, width
from panotui.tui.commands import Order, Word, completed, matching
from panotui.tui.completion import Candidates
from panotui.tui.edit import Edit
from panotui.tui.effects import Effect, Fetch
from panotui.tui.glyphs import Role
from panotui.tui.line import Line, Pen, highlighted
from panotui.tui.pages import TABLES
from panotui.tui.screen_state import ScreenState
from panotui.views.subjects import PANES

LIST_MOST = 40  # lines of the list of commands


def start(screen: ScreenState, what: str) -> list[Effect]:
    screen.editing = what
    screen.edit = Edit.of(screen.place.filter if what == "filter" else "")
    screen.chosen = -1
    table, frame = TABLES.get(screen.pane), screen.frames.get(screen.pane)
    screen.rows_before = () if table is None or frame is None else tuple(table.rows(frame))
    screen.message = ""
    return []


def edited(screen: ScreenState, key: str, character: str | None) -> list[Effect] | Order:
    """Process one key of the line; the caller executes the returned order."""
    assert screen.edit is not None
    if key == "enter":
        return _entered(screen)
    if key == "escape":
        screen.edit = None
        return set_filter(screen, "") if screen.editing == "filter" else []
    if key in ("tab", "shift+tab", "backtab", "up", "down"):
        step = -1 if key in ("shift+tab", "backtab", "up") else 1
        return _complete(screen, step) if screen.editing == "filter" else _choose(screen, key, step)
    screen.edit.press(key, character)
    screen.chosen = -1
    return try_filter(screen)


def _entered(screen: ScreenState) -> list[Effect] | Order:
    assert screen.edit is not None
    text = screen.edit.text
    if screen.editing == "filter":
        if filter_fault(screen, text) is not None:
            return []
        screen.edit = None
        remember(screen, text.strip())
        return set_filter(screen, text)
    if screen.chosen < 0:
        if not text.strip():
            screen.edit = None
            return []
        order = read(screen, text)
        if not isinstance(order, str):
            screen.edit = None
            return order
    listed = words(screen)
    if not listed:
        return []  # the line shows the error and stays open
    word = listed[max(0, min(screen.chosen, len(listed) - 1))]
    if screen.chosen < 0 and len(listed) > 1:
        return []
    if word.takes:
        screen.edit = Edit.of(f"{word.name} ")
        screen.chosen = -1
        return []
    order = read(screen, word.name)
    screen.edit = None
    return [] if isinstance(order, str) else order


def _complete(screen: ScreenState, step: int) -> list[Effect]:
    """Complete the word at the cursor; again: the next candidate."""
    assert screen.edit is not None
    edit = screen.edit
    found = screen.offered if screen.chosen >= 0 else offered(screen)
    if found is None or not found.words:
        return []
    if screen.chosen < 0 and len(found.words) == 1:
        return _put(screen, found, found.words[0])
    if screen.chosen < 0:
        longest = completion.common(found.words)
        if longest != edit.text[found.start : found.stop] and len(found.words) > 1 and longest:
            return _put(screen, found, longest)
        screen.offered = found
    screen.chosen = (screen.chosen + step) % len(found.words)
    stop = edit.at
    word = found.words[screen.chosen]
    placed = Candidates(found.start, stop, found.words)
    return _put(screen, placed, word)


def _put(screen: ScreenState, found: Candidates, word: str) -> list[Effect]:
    assert screen.edit is not None
    text = screen.edit.text
    screen.edit.text = text[: found.start] + word + text[found.stop :]
    screen.edit.at = found.start + len(word)
    return try_filter(screen)


def _choose(screen: ScreenState, key: str, step: int) -> list[Effect]:
    """Up and down in the list of commands; tab completes the name."""
    assert screen.edit is not None
    listed = words(screen)
    if key == "tab":
        longer = completed(screen.edit.text)
        if longer != screen.edit.text:
            screen.edit, screen.chosen = Edit.of(longer), -1
            return []
    if listed:
        screen.chosen = max(0, min(len(listed) - 1, screen.chosen + step))
    return []


def try_filter(screen: ScreenState) -> list[Effect]:
    """Apply a filter while it is typed, as soon as it is valid."""
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


def remember(screen: ScreenState, text: str) -> None:
    """Remember a used filter for completion, the newest first."""
    if text:
        kept = [text, *(old for old in screen.saved_filters if old != text)]
        screen.saved_filters = kept[: completion.SAVED_MAX]


def filter_fault(screen: ScreenState, text: str) -> str | None:
    found = _fault(screen, text)
    return None if found is None else found.text


def _fault(screen: ScreenState, text: str) -> completion.Fault | None:
    table = TABLES.get(screen.pane)
    return completion.fault(text, None if table is None else table.record)


def offered(screen: ScreenState) -> Candidates | None:
    """The completions of the filter."""
    table, edit = TABLES.get(screen.pane), screen.edit
    if edit is None or screen.editing != "filter" or table is None:
        return None
    rows = screen.rows_before
    return completion.candidates(edit.text, edit.at, table.record, rows, screen.saved_filters)


def read(screen: ScreenState, text: str) -> Order | str:
    table = TABLES.get(screen.pane)
    sorts = [column.sort for column in table.sorts()] if table is not None else []
    review = screen.newest.header.review if screen.newest is not None else None
    return commands.read(text, review, screen.zone, sorts, screen.port_names())


def words(screen: ScreenState) -> list[Word]:
    """The commands that work here, those that begin with the typed text first."""
    assert screen.edit is not None
    return commands.listed(screen.edit.text, screen.working_keys())


# ------------------------------------------------------------------ drawing


def lines(screen: ScreenState, room: int) -> list[Line]:
    """The lines over the page's last ones while something is typed, at most `room` lines."""
    assert screen.edit is not None
    last = edit_line(screen, screen.edit)
    if screen.editing == "command":
        return [*_list(screen, min(room - 1, LIST_MOST)), last]
    above = _offer_line(screen)
    return [above, last] if above is not None and room > 2 else [last]


def _offer_line(screen: ScreenState) -> Line | None:
    found = screen.offered if screen.chosen >= 0 else offered(screen)
    if found is None or not found.words:
        return None
    pen = Pen(screen.width, screen.glyphs.ellipsis).put(" tab ", "key")
    first = max(0, screen.chosen - 4)
    for number, word in enumerate(found.words[first:], first):
        if pen.room < width(word) + 3:
            pen.put(f" +{len(found.words) - number}", "dim")
            break
        pen.put(" ").put(word, "cursor" if number == screen.chosen else "plain").put(" ")
    return pen.line()


def _list(screen: ScreenState, room: int) -> list[Line]:
    """The commands, each with its key and its description."""
    listed = words(screen)
    first = max(0, min(screen.chosen - room + 2, len(listed) - room + 1))
    shown = listed[first : first + max(1, room - 1)]
    head = Pen(screen.width, screen.glyphs.ellipsis).put(" COMMANDS", "head")
    said = "letters narrow the list, up and down choose, enter runs it"
    head.put(f"  {len(listed)}; {said}" if listed else "  none of this name or purpose", "dim")
    up = screen.glyphs.more_above if first else " "
    down = screen.glyphs.more_below if first + len(shown) < len(listed) else " "
    out = [head.right(f"{up}{down} ", "dim").line()]
    works = {key.action: key for key in reversed(screen.working_keys())}
    anywhere = {key.action: key for key in reversed(screen.keymap)}
    for number, word in enumerate(shown, first):
        pen = Pen(screen.width, screen.glyphs.ellipsis).put("   ")
        pen.field(f"{word.name} {word.takes}".strip(), 18, "strong").put(" ")
        action = commands.ACTIONS.get(word.name, word.name)
        key = works.get(action) or anywhere.get(action)
        written = keys.written(key) if key is not None else ""
        if word.name in PANES and "pane" in works:
            place = PANES.index(word.name)
            written = works["pane"].keys[place] if place < len(works["pane"].keys) else ""
            action = "pane"
        pen.field(written, 10, "key" if action in works else "dim").put(" ").put(word.help)
        line = pen.line()
        out.append(highlighted(line, 0, screen.width) if number == screen.chosen else line)
    return out


def edit_line(screen: ScreenState, edit: Edit) -> Line:
    """The typed text with its cursor, the invalid word marked, and at the right whether it is valid
    and how many rows match.
    """
    said, role = validity(screen, edit.text)
    count = _count(screen)
    room = screen.width - max(20, width(edit.text)) - len(count) - 6
    said = cut_end(said, max(16, room), screen.glyphs.ellipsis)
    pen = Pen(screen.width, screen.glyphs.ellipsis)
    pen.put("/" if screen.editing == "filter" else ":", "key")
    room = max(20, screen.width - len(said) - len(count) - 5)
    first = max(0, edit.at - room + 1)
    wrong = _fault(screen, edit.text) if screen.editing == "filter" else None
    for place in range(first, min(len(edit.text), first + room) + 1):
        letter = edit.text[place : place + 1]
        at_fault = wrong is not None and wrong.start <= place < wrong.stop
        if place == edit.at:
            pen.put(letter or " ", "cursor")
        elif letter:
            pen.put(letter, "bad" if at_fault else "plain")
    pen.to(max(pen.column, screen.width - width(said) - len(count) - 1))
    return pen.put(said, role).put(count, "dim").line()


def _count(screen: ScreenState) -> str:
    """The number of rows that match the present filter."""
    frame = screen.frames.get(screen.pane)
    if screen.editing != "filter" or frame is None:
        return ""
    older = screen.masker is None and frame.view.filter != screen.place.filter
    return f"  {UNKNOWN if older else frame.matched} of {frame.total}"


def validity(screen: ScreenState, text: str) -> tuple[str, Role]:
    """Whether the typed line is valid, as a word and a colour."""
    if screen.editing == "filter":
        wrong = filter_fault(screen, text)
        return ("valid", "ok") if wrong is None else (f"invalid: {wrong}", "bad")
    if not text.strip():
        return "tab completes, esc leaves", "dim"
    order = read(screen, text)
    if isinstance(order, str):
        near = matching(text)
        if len(near) == 1 and near[0].takes:
            return f"{near[0].name} {near[0].takes}: {near[0].help}", "dim"
        return (order, "bad") if not words(screen) else ("", "dim")
    return f"valid: {order.name}", "ok"
