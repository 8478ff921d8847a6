"""What a person is doing on the screen: pane, place, filter, sort, opened details, frozen or not.

Frames and key presses in; the view to ask for, effects and a picture of lines out. Knows neither
Textual nor a terminal nor the machine's clock, so that everything a key does is proved by calling
`press` and reading `picture`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from panotui.model import SECOND
from panotui.tui import bars, compare, keys, timeline
from panotui.tui.cells import cut_end
from panotui.tui.commands import Order, completed, matching, read
from panotui.tui.edit import Edit
from panotui.tui.effects import (
    Copy,
    Effect,
    Fetch,
    Help,
    Quit,
    Rate,
    Redraw,
    Send,
    Suspend,
)
from panotui.tui.glyphs import ASCII, UNICODE, Glyphs, Role
from panotui.tui.line import Line, Pen, plain
from panotui.tui.page import Item, Page, Place, Scene
from panotui.tui.pages import TABLES, details, draw_pane
from panotui.tui.table import Table, fixed_rows, window_rows
from panotui.views.filter import FilterError, parse
from panotui.views.frames import Command, Done, Frame, View
from panotui.views.subjects import PANES, row_key

WIDTH_MIN, HEIGHT_MIN = 60, 16
MESSAGE_S = 5.0
LATE_S = 3.0  # without an answer before the header says so
STEP_S, LEAP_S = 10, 600
EXIT_INTERRUPTED = 130


# Keys that act on what a picture shows; typed ahead of it they wait for it.
_NEED_A_PICTURE = frozenset(
    pressed
    for key in keys.KEYS
    if key.action
    in (
        "down", "up", "left", "right", "page-down", "page-up", "top", "bottom", "open",
        "open-flow", "copy", "export", "known", "accept",
    )
    for pressed in key.keys
)  # fmt: skip


@dataclass(slots=True)
class Picture:
    """Everything on the screen, line by line."""

    header: Line
    body: list[Line]
    footer: Line


@dataclass(slots=True)
class _Opened:
    """A detail that is open: its key, and where it was scrolled to."""

    key: str
    place: Place = field(default_factory=Place)
    frame: Frame | None = None


class Session:
    """The state of one screen."""

    def __init__(
        self, glyphs: Glyphs = UNICODE, zone: tzinfo | None = None, mode: str = "live"
    ) -> None:
        self.mode = mode  # frames tell it too, once there are any
        self.glyphs = glyphs
        self.zone = zone
        self.width, self.height = 80, 24
        self.pane = "overview"
        self.port: str | None = None
        self.frozen_at: float | None = None  # of the machine's monotonic clock
        self.compared: Frame | None = None
        self._places = {pane: Place() for pane in PANES}
        self._frames: dict[str, Frame] = {}
        self._newest: Frame | None = None
        self._heard_at = 0.0
        self._opened: list[_Opened] = []
        self._edit: Edit | None = None
        self._editing = ""  # "filter" or "command"
        self._before = ""  # the filter before it was edited
        self._message = ""
        self._message_role: Role = "plain"
        self._message_until = 0.0
        self._items: list[Item] = []
        self._comparing = False
        self._held: list[tuple[str, str | None]] = []  # typed ahead of the picture they need
        self._stale = False  # something has come since the items were laid out

    # ------------------------------------------------------------ what is asked for

    @property
    def place(self) -> Place:
        return self._places[self.pane]

    @property
    def newest(self) -> Frame | None:
        return self._newest

    @property
    def frozen(self) -> bool:
        return self.frozen_at is not None

    def view(self) -> View:
        """The request that this screen needs answered now."""
        if self._opened:
            return View(pane=self.pane, rows=0, port=self.port, detail=self._opened[-1].key)
        place, table = self.place, TABLES.get(self.pane)
        if table is None:
            return View(pane=self.pane, rows=200, port=self.port)
        column = table.column(place.sort)
        biggest_first = column is not None and column.biggest_first
        return View(
            pane=self.pane,
            sort=place.sort,
            reverse=place.reverse is not biggest_first,
            filter=place.filter,
            port=self.port,
            first=max(0, place.first),
            rows=min(200, window_rows(table, self._frames.get(self.pane), self._page_height())),
            follow=_bare(place.key),
        )

    def resize(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._keep_in_sight()

    def _page_height(self) -> int:
        height = self.height - 2
        if self._newest is not None:
            height -= timeline.height(self._newest.header.review)
            height -= 1 if self._newest.header.notice else 0
        return max(1, height)

    # ------------------------------------------------------------ what comes

    def take(self, frame: Frame, now: float) -> bool:
        """Show this frame; True when another one is needed because the cursor's row has moved."""
        self._newest, self._heard_at, self._stale = frame, now, True
        if self.frozen_at is not None:
            self.frozen_at = now  # a picture that was asked for while frozen is a new picture
        view = frame.view
        if view.detail is not None:
            for opened in self._opened:
                if opened.key == view.detail:
                    opened.frame = frame
            return False
        self._frames[view.pane] = frame
        table = TABLES.get(view.pane)
        if table is None or view.pane != self.pane:
            return False
        if frame.filter_error:
            self.say(f"filter: {frame.filter_error}", now, "bad")
        return self._follow(table, frame)

    def _follow(self, table: Table, frame: Frame) -> bool:
        """Keep the cursor on its row's key, wherever the row is now."""
        place, view = self.place, frame.view
        above = fixed_rows(table, frame, self._page_height())
        rows = window_rows(table, frame, self._page_height())
        place.first = frame.first
        if place.key is not None and view.follow == _bare(place.key):
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
        # No key yet, or its row has gone: the row at the same place.
        total = len(above) + frame.matched
        place.index = max(0, min(place.index, total - 1))
        place.key = self._key_at(table, frame, place.index)
        return False

    def _key_at(self, table: Table, frame: Frame, index: int) -> str | None:
        above = fixed_rows(table, frame, self._page_height())
        if index < len(above):
            return f"{table.fixed_kind}:{row_key(above[index])}"
        rows = table.rows(frame)
        at = index - len(above) - frame.first
        return f"{table.kind}:{row_key(rows[at])}" if 0 <= at < len(rows) else None

    def told(self, done: Done, now: float) -> None:
        """A command was answered."""
        self.say(done.text or ("done" if done.ok else "refused"), now, "ok" if done.ok else "bad")

    def say(self, text: str, now: float, role: Role = "plain") -> None:
        """One line for the person, for a few seconds."""
        self._message, self._message_role = text, role
        self._message_until = now + MESSAGE_S

    # ------------------------------------------------------------ keys

    def where(self) -> frozenset[str]:
        """What holds at this place, for the keys that work here."""
        review = self._newest is not None and self._newest.header.review is not None
        found = {keys.REVIEW if review else keys.LIVE}
        if self._opened:
            found.add(keys.DETAIL)
            frame = self._opened[-1].frame
            if frame is not None and frame.detail is not None and frame.detail.links:
                found.add(keys.LINKS)
        else:
            found.add(keys.PANE)
            if self.pane in TABLES:
                found.add(keys.TABLE)
        kind = (self._subject() or "").partition(":")[0]
        if kind in ("finding", "violation"):
            found.add(keys.MARKABLE)
        if kind == "violation":
            found.add(keys.VIOLATION)
        return frozenset(found)

    def _subject(self) -> str | None:
        """What a key acts on: the open detail, or the item under the cursor."""
        return self._opened[-1].key if self._opened else self.place.key

    def press(self, key: str, character: str | None, now: float) -> list[Effect]:
        """Take one key (Textual's name and its character); nothing happens for an unknown one."""
        pressed = character if character and character.isprintable() and character != " " else key
        if key == "ctrl+c":
            return [Quit(EXIT_INTERRUPTED)]
        if self._edit is not None:
            return self._edited(key, character, now)
        if self._comparing and key in ("escape", "q", "enter"):
            self._comparing = False
            return []
        if self._blind() and pressed in _NEED_A_PICTURE:
            self._held.append((key, character))
            return []
        self._held.clear()
        if self._stale:
            self.picture(now)  # keys act on what is there now, drawn already or not
        action = keys.action_of(pressed, self.where())
        if action is None:
            return []
        if action == "pane":
            return self._show(PANES[int(pressed) - 1])
        return self._act(action, now)

    def _blind(self) -> bool:
        """What was opened or changed to last has not come yet."""
        if self._opened:
            return self._opened[-1].frame is None
        return self.pane not in self._frames

    def release(self, now: float) -> list[Effect]:
        """Keys that were typed ahead of the picture take effect once it is there."""
        effects: list[Effect] = []
        while self._held and not self._blind():
            held, self._held = self._held, []
            for number, (key, character) in enumerate(held):
                effects += self.press(key, character, now)
                if self._held or self._blind():
                    self._held += held[number + 1 :]
                    break
        return effects

    def paste(self, text: str) -> list[Effect]:
        if self._edit is not None:
            self._edit.insert(text)
            return self._try_filter()
        return []

    def _act(self, action: str, now: float) -> list[Effect]:
        moves = {
            "down": 1, "up": -1, "page-down": self._page_rows(), "page-up": -self._page_rows(),
            "top": -(1 << 40), "bottom": 1 << 40,
        }  # fmt: skip
        if action in moves:
            return self._move(moves[action])
        if action in ("left", "right"):
            return self._beside(1 if action == "right" else -1)
        if action in ("next-pane", "previous-pane"):
            step = 1 if action == "next-pane" else -1
            return self._show(PANES[(PANES.index(self.pane) + step) % len(PANES)])
        if action == "back":
            if self._opened:
                self._opened.pop()
                return [Fetch()]
            return [Quit(0)]
        if action == "clear":
            self._message = ""
            if self.place.filter:
                return self._filter("")
            return []
        alone: dict[str, Effect] = {"help": Help(), "redraw": Redraw(), "suspend": Suspend()}
        if action in alone:
            return [alone[action]]
        if action in ("open", "open-flow"):
            return self._open(action == "open-flow")
        if action in ("filter", "command"):
            return self._start(action)
        if action in ("sort", "reverse", "port", "reset"):
            return self._arrange(action, now)
        if action == "freeze":
            self.frozen_at = None if self.frozen else now
            return [] if self.frozen else [Fetch()]
        if action in ("copy", "export", "known", "accept", "undo"):
            return self._with_subject(action, now)
        return self._in_time(action, now)

    # ------------------------------------------------------------ moving

    def _show(self, pane: str) -> list[Effect]:
        self.pane = pane
        self._opened.clear()
        self._comparing = False
        return [Fetch()]

    def _page_rows(self) -> int:
        return max(1, self._page_height() - 3)

    def _move(self, rows: int) -> list[Effect]:
        if self._opened:
            self._opened[-1].place.first = max(0, self._opened[-1].place.first + rows)
            return []
        table = TABLES.get(self.pane)
        return self._move_items(rows) if table is None else self._move_row(table, rows)

    def _move_items(self, rows: int) -> list[Effect]:
        """On the overview: to the nearest item of another line."""
        lines = sorted({item.row for item in self._items})
        if not lines:
            return []
        here = next((i for i in self._items if i.key == self.place.key), None)
        if here is None:
            at = 0
        else:
            at = max(0, min(len(lines) - 1, lines.index(here.row) + rows))
        column = here.start if here is not None else 0
        there = [item for item in self._items if item.row == lines[at]]
        self.place.key = min(there, key=lambda item: abs(item.start - column)).key
        return []

    def _move_row(self, table: Table, rows: int) -> list[Effect]:
        frame, place = self._frames.get(self.pane), self.place
        if frame is None:
            return []
        above = len(fixed_rows(table, frame, self._page_height()))
        total = above + frame.matched
        place.index = max(0, min(total - 1, place.index + rows))
        place.key = self._key_at(table, frame, place.index)
        moved = self._keep_in_sight()
        return [Fetch()] if moved or place.key is None else []

    def _keep_in_sight(self) -> bool:
        """Scroll the table's window so that the cursor's row is in it; True when it moved."""
        table, frame, place = TABLES.get(self.pane), self._frames.get(self.pane), self.place
        if table is None or frame is None:
            return False
        height = self._page_height()
        rows = window_rows(table, frame, height)
        row = place.index - len(fixed_rows(table, frame, height))
        if row < 0:
            return False
        first = min(place.first, row)
        first = max(first, row - rows + 1)
        moved = first != place.first
        place.first = first
        return moved

    def _beside(self, step: int) -> list[Effect]:
        if self._opened:
            place = self._opened[-1].place
            place.index = max(0, place.index + step)
            return []
        here = next((i for i in self._items if i.key == self.place.key), None)
        if here is None:
            return self._move(1)
        row = sorted((i for i in self._items if i.row == here.row), key=lambda i: i.start)
        at = max(0, min(len(row) - 1, row.index(here) + step))
        if self.pane not in TABLES:
            self.place.key = row[at].key
        return []

    def _open(self, flow: bool) -> list[Effect]:
        if self._opened:
            opened = self._opened[-1]
            detail = opened.frame.detail if opened.frame is not None else None
            links = detail.links if detail is not None else ()
            if flow:
                links = tuple(link for link in links if link[1].startswith("flow:"))
            if not links:
                return []
            key = links[0 if flow else min(opened.place.index, len(links) - 1)][1]
        elif self.place.key is None:
            return []
        else:
            key = self.place.key
        if len(self._opened) >= 20:
            del self._opened[0]
        self._opened.append(_Opened(key))
        return [Fetch()]

    # ------------------------------------------------------------ filter, sort, port

    def _start(self, what: str) -> list[Effect]:
        self._editing = what
        self._before = self.place.filter
        self._edit = Edit.of(self.place.filter if what == "filter" else "")
        self._message = ""
        return []

    def _edited(self, key: str, character: str | None, now: float) -> list[Effect]:
        assert self._edit is not None
        if key == "enter":
            text = self._edit.text
            if self._editing == "filter":
                wrong = self._filter_fault(text)
                if wrong is None:
                    self._edit = None
                    return self._filter(text)
                return []
            return self._ordered(text, now)
        if key == "escape":
            self._edit = None
            return self._filter("") if self._editing == "filter" else []
        if key == "tab" and self._editing == "command":
            self._edit = Edit.of(completed(self._edit.text))
            return []
        self._edit.press(key, character)
        return self._try_filter()

    def _try_filter(self) -> list[Effect]:
        """A filter shows its effect while it is typed, as soon as it can be read."""
        if self._edit is None or self._editing != "filter":
            return []
        if self._filter_fault(self._edit.text) is not None:
            return []
        return self._filter(self._edit.text)

    def _filter(self, text: str) -> list[Effect]:
        place = self.place
        if place.filter == text.strip():
            return []
        place.filter = text.strip()
        place.first, place.index = 0, 0
        return [Fetch()]

    def _filter_fault(self, text: str) -> str | None:
        table = TABLES.get(self.pane)
        try:
            found = parse(text)
            if table is not None:
                found.predicate(table.record)
        except FilterError as error:
            return str(error)
        return None

    def _arrange(self, action: str, now: float) -> list[Effect]:
        place, table = self.place, TABLES.get(self.pane)
        if action == "reverse":
            place.reverse = not place.reverse
        elif action == "port":
            self._next_port(now)
        elif action == "reset":
            place.filter, place.sort, place.reverse = "", None, False
            place.first = place.index = 0
            place.key, self.port = None, None
        elif table is not None:
            names = [None, *(column.sort for column in table.sorts())]
            at = names.index(place.sort) if place.sort in names else 0
            place.sort, place.reverse = names[(at + 1) % len(names)], False
        return [Fetch()]

    def _next_port(self, now: float) -> None:
        names = self._port_names()
        choices = [None, *names]
        at = choices.index(self.port) if self.port in choices else 0
        self.port = choices[(at + 1) % len(choices)]
        self.say(f"port {self.port}" if self.port else "all ports", now)

    def _port_names(self) -> list[str]:
        return [name for name, _, _ in self._newest.header.ports] if self._newest else []

    # ------------------------------------------------------------ the thing under the cursor

    def _with_subject(self, action: str, now: float) -> list[Effect]:
        subject = self._subject()
        if action == "copy":
            text = self._copy_text()
            if not text:
                self.say("nothing to copy here", now)
                return []
            self.say(f"copied: {text}", now, "ok")
            return [Copy(text)]
        if action == "export":
            if self._opened:
                return [Send(Command(name="export", key=self._opened[-1].key))]
            text = f"csv {self.place.filter}".strip()
            return [Send(Command(name="export", key=self.pane, text=text))]
        if action == "undo":
            return [Send(Command(name="undo")), Fetch()]
        if subject is None:
            return []
        if action == "known":
            return [Send(Command(name="unknown" if self._is_known() else "known", key=subject)),
                    Fetch()]  # fmt: skip
        return [Send(Command(name="accept", key=subject)), Fetch()]

    def _is_known(self) -> bool:
        if self._opened:
            frame = self._opened[-1].frame
            detail = frame.detail if frame is not None else None
            record = (detail.finding or detail.violation) if detail is not None else None
            return record is not None and record.known
        return any(item.known for item in self._items if item.key == self.place.key)

    def _copy_text(self) -> str:
        if self._opened:
            frame = self._opened[-1].frame
            detail = frame.detail if frame is not None else None
            return (detail.copy or detail.title) if detail is not None else ""
        return next((item.copy for item in self._items if item.key == self.place.key), "")

    # ------------------------------------------------------------ review

    def _in_time(self, action: str, now: float) -> list[Effect]:
        frame = self._newest
        review = frame.header.review if frame is not None else None
        if review is None:
            return []
        steps = {"step-back": -STEP_S, "step-on": STEP_S, "leap-back": -LEAP_S, "leap-on": LEAP_S}
        if action in steps:
            target = review.position_ns + steps[action] * SECOND
            target = max(review.start_ns, min(review.end_ns, target))
            return [Send(Command(name="seek", time_ns=target)), Fetch()]
        if action in ("previous-event", "next-event"):
            return [Send(Command(name=action)), Fetch()]
        if action == "play":
            return [Send(Command(name="pause" if review.playing else "play")), Fetch()]
        if action in ("slower", "faster"):
            speed = review.speed / 2 if action == "slower" else review.speed * 2
            return [Send(Command(name="speed", value=max(0.1, min(10_000.0, speed)))), Fetch()]
        if action == "compare":
            return self._compare(now)
        return []

    def _compare(self, now: float) -> list[Effect]:
        overview = self._frames.get("overview")
        if self.pane != "overview" or self._opened or overview is None:
            self._show("overview")
            self.say("compare from the overview: press c again", now)
            return [Fetch()]
        if self.compared is None:
            self.compared = overview
            self.say("this moment is remembered: go elsewhere in time and press c again", now)
        else:
            self._comparing = True
        return []

    # ------------------------------------------------------------ orders of the command line

    def _ordered(self, text: str, now: float) -> list[Effect]:
        if not text.strip():
            self._edit = None
            return []
        order = self._read(text)
        if isinstance(order, str):
            return []  # the line says why; it stays open
        self._edit = None
        return self._obey(order, now)

    def _read(self, text: str) -> Order | str:
        table = TABLES.get(self.pane)
        sorts = [column.sort for column in table.sorts()] if table is not None else []
        review = self._newest.header.review if self._newest is not None else None
        return read(text, review, self.zone, sorts, self._port_names())

    def _obey(self, order: Order, now: float) -> list[Effect]:
        if order.name in PANES:
            return self._show(order.name)
        if order.name == "sort":
            self.place.sort, self.place.reverse = order.text, False
            return [Fetch()]
        if order.name == "filter":
            wrong = self._filter_fault(order.text)
            if wrong is not None:
                self.say(f"filter: {wrong}", now, "bad")
                return []
            return self._filter(order.text)
        if order.name == "port":
            self.port = order.text or None
            return [Fetch()]
        if order.name == "rate":
            self.say(f"{order.value:g} pictures a second", now)
            return [Rate(order.value)]
        if order.name == "mark":
            return [Send(Command(name="mark", text=order.text)), Fetch()]
        if order.name == "goto":
            return [Send(Command(name="seek", time_ns=order.time_ns)), Fetch()]
        if order.name == "speed":
            return [Send(Command(name="speed", value=order.value)), Fetch()]
        if order.name == "ascii":
            self.glyphs = UNICODE if self.glyphs is ASCII else ASCII
            return []
        if order.name == "quit":
            return [Quit(0)]
        return self._act(order.name, now)

    # ------------------------------------------------------------ the picture

    def picture(self, now: float) -> Picture:
        """Everything on the screen as it is now: the header, `height - 2` lines, the footer."""
        self._stale = False
        width, height = self.width, self.height
        if width < WIDTH_MIN or height < HEIGHT_MIN:
            return self._too_small()
        frame = self._newest
        if frame is None:
            waiting = [plain("", width), plain(" waiting for the first picture", width, "dim")]
            empty = Page(waiting).fill(width, height - 2).lines
            head = plain(f" panotui {self.mode}", width, "strong")
            return Picture(head, empty, plain(" q quit", width, "dim"))
        frozen = now - self.frozen_at if self.frozen_at is not None else None
        late = now - self._heard_at if not self.frozen else 0.0
        header = bars.header_line(
            frame.header, width, self.glyphs, self.zone, frozen, late if late > LATE_S else None
        )
        body: list[Line] = []
        if frame.header.notice:
            notice = f" {frame.header.notice}"
            body.append(Pen(width, self.glyphs.ellipsis).put(notice, "bad").line())
        if frame.header.review is not None:
            body.extend(timeline.draw(frame.header.review, width, self.glyphs, self.zone))
        body.extend(self._page(height - 2 - len(body)).lines)
        bottom = self._bottom_line(now)
        if bottom is not None:
            body[-1] = bottom
        shown = keys.keys_at(self.where())
        footer = (
            bars.detail_footer(shown, width, self.glyphs)
            if self._opened
            else bars.pane_footer(self.pane, shown, width, self.glyphs)
        )
        return Picture(header, body, footer)

    def _page(self, height: int) -> Page:
        opened = self._opened[-1] if self._opened else None
        frame = self._frames.get(self.pane) if opened is None else opened.frame
        place = self.place if opened is None else opened.place
        if frame is None:
            assert self._newest is not None
            frame = Frame(number=0, view=View(pane=self.pane), header=self._newest.header)
            if opened is None:
                name = Pen(self.width).put(" ").put(self.pane.upper(), "head").line()
                return Page([name]).fill(self.width, height)
        scene = Scene(
            frame, place, self.width, height, self.glyphs, self.zone, self.port, self._own()
        )
        if self._comparing and self.compared is not None:
            return compare.draw(self.compared, scene)
        if opened is not None:
            page = details.draw(scene)
            self._items = page.items
            links = frame.detail.links if frame.detail is not None else ()
            return page.with_cursor(links[place.index][1] if links else None)
        page = draw_pane(self.pane, scene)
        self._items = page.items
        if self.pane not in TABLES and place.key not in {item.key for item in page.items}:
            place.key = page.items[0].key if page.items else None
        return page.with_cursor(place.key)

    def _own(self) -> frozenset[str]:
        """The appliance's addresses, from the overview that every screen begins with."""
        overview = self._frames.get("overview")
        ports = overview.ports if overview is not None else ()
        return frozenset(address for port in ports for address in port.addresses)

    def _bottom_line(self, now: float) -> Line | None:
        """The line that is typed, or a message, over the page's last line."""
        if self._edit is not None:
            return self._edit_line(self._edit)
        if self._message and now < self._message_until:
            pen = Pen(self.width, self.glyphs.ellipsis)
            return pen.put(" ").name(self._message, self._message_role).line()
        return None

    def _edit_line(self, edit: Edit) -> Line:
        said, role = self._validity(edit.text)
        said = cut_end(said, self.width - 24, self.glyphs.ellipsis)
        pen = Pen(self.width, self.glyphs.ellipsis)
        pen.put("/" if self._editing == "filter" else ":", "key")
        room = max(20, self.width - len(said) - 5)
        start = max(0, edit.at - room + 1)
        shown = edit.text[start : start + room]
        at = edit.at - start
        pen.put(shown[:at]).put(shown[at : at + 1] or " ", "cursor").put(shown[at + 1 :])
        return pen.right(f"{said} ", role).line()

    def _validity(self, text: str) -> tuple[str, Role]:
        """Whether the typed line reads, in a word and a colour."""
        if self._editing == "filter":
            wrong = self._filter_fault(text)
            if wrong is not None:
                return f"invalid: {wrong}", "bad"
            frame = self._frames.get(self.pane)
            if frame is None or frame.view.filter != text.strip():
                return "valid", "ok"
            return f"valid: {frame.matched} of {frame.total}", "ok"
        if not text.strip():
            return "tab completes, esc leaves", "dim"
        order = self._read(text)
        if isinstance(order, str):
            near = matching(text)
            if len(near) == 1 and near[0].takes:
                return f"{near[0].name} {near[0].takes}: {near[0].help}", "dim"
            return order, "bad"
        return f"valid: {order.name}", "ok"

    def _too_small(self) -> Picture:
        text = f"panotui needs {WIDTH_MIN}x{HEIGHT_MIN}, this is {self.width}x{self.height}"
        if len(text) > self.width:
            text = f"{self.width}x{self.height} < {WIDTH_MIN}x{HEIGHT_MIN}"
        lines = Page([plain(text, self.width)]).fill(self.width, max(0, self.height - 2)).lines
        blank = plain("", self.width)
        if self.height < 3:
            return Picture(plain(text, self.width), lines, blank)
        return Picture(blank, lines, blank)

    def help_place(self) -> Sequence[keys.Key]:
        """The keys that the help lists."""
        return keys.keys_at(self.where())


def _bare(key: str | None) -> str | None:
    """The row's own key: `flow:7` -> `7`."""
    return None if key is None else key.partition(":")[2]
