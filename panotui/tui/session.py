"""The user's session on the screen: pane, place, filter, sort, opened details, frozen or not.

Frames and key presses in; the next view, effects and a picture of lines out. It depends neither on
Textual nor on a terminal nor on the machine's clock, so that every key is tested by calling `press`
and reading `picture`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from panotui.model import SECOND
from panotui.tui import keys, moving, picture, pointing, prompt, times
from panotui.tui.commands import ACTIONS, Order
from panotui.tui.effects import (
    Copy,
    Effect,
    Fetch,
    Help,
    Quit,
    Rate,
    Redraw,
    Remember,
    Send,
    Suspend,
)
from panotui.tui.glyphs import ASCII, UNICODE
from panotui.tui.manner import NAMES, TIMES, UNITS, Manner
from panotui.tui.pages import TABLES
from panotui.tui.picture import Picture
from panotui.tui.screen_state import Opened, ScreenState, bare
from panotui.tui.settings import Settings
from panotui.tui.table import Columns, window_rows
from panotui.views.filter import KEYS
from panotui.views.frames import Command, Done, Frame, View
from panotui.views.masking import Masker
from panotui.views.panes import OVERVIEW_ROWS
from panotui.views.subjects import PANES

STEP_S, LEAP_S = 10, 600
EXIT_INTERRUPTED = 130


# Actions on the content of a picture, and on its strips; keys typed ahead of it wait for it.
_ON_A_PICTURE = frozenset((
    "down", "up", "left", "right", "page-down", "page-up", "top", "bottom", "open", "open-flow",
    "copy", "export", "known", "accept", "save-packets",
))  # fmt: skip
_ON_STRIPS = frozenset(("zoom-in", "zoom-out", "cursor-back", "cursor-on"))
HELD_MAX = 64


class Session(ScreenState):
    """The state of one screen, and its changes by keys and frames."""

    # ------------------------------------------------------------ what is asked for

    def view(self) -> View:
        """The next request of this screen."""
        view = self._view()
        return view if self.masker is None else self.masker.request(view)

    def _view(self) -> View:
        if self.opened:
            return View(
                pane=self.pane, rows=0, port=self.port, detail=self.opened[-1].key,
                hold=self.hold, strips=times.asked(self),
            )  # fmt: skip
        place, table = self.place, TABLES.get(self.pane)
        beside = place.key if picture.rooms_of(self).detail else None
        if table is None:
            return View(
                pane=self.pane, rows=OVERVIEW_ROWS, port=self.port, detail=beside, hold=self.hold,
                news=16 if picture.wants_news(self) else 0, strips=times.asked(self),
            )  # fmt: skip
        column = table.column(place.sort)
        biggest_first = column is not None and column.biggest_first
        return View(
            pane=self.pane,
            sort=place.sort,
            reverse=place.reverse is not biggest_first,
            filter=place.filter,
            port=self.port,
            first=max(0, place.first),
            rows=min(200, window_rows(table, self.frames.get(self.pane), self.page_height())),
            follow=bare(place.key),
            fold=self.fold and self.pane == "flows",
            detail=beside,
            order=f"{self.token} {self.pane} {self.moments}"
            if self.pane in self.order_held
            else None,
            hold=self.hold,
            strips=times.asked(self),
        )

    def resize(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        moving.keep_in_sight(self)

    # ------------------------------------------------------------ what comes

    def take(self, frame: Frame, now: float) -> bool:
        """Show this frame; True if another one is needed because the cursor's row has moved."""
        if self.masker is not None:
            frame = self.masker.frame(frame)
        self.newest, self.heard_at, self.stale = frame, now, True
        view = frame.view
        if view.detail is not None and view.rows == 0:
            for opened in self.opened:
                if opened.key == view.detail:
                    opened.take(frame)
            return False
        if view.detail is not None:
            if self.beside is None or self.beside.key != view.detail:
                self.beside = Opened(view.detail)
            self.beside.take(frame)
        self.frames[view.pane] = frame
        table = TABLES.get(view.pane)
        if view.pane != self.pane:
            return False
        if table is None:
            if not picture.rooms_of(self).detail:
                return False
            self.picture(now)  # lays out the selectable items
            return self._beside_lags(frame)
        if frame.filter_error:
            self.say(f"filter: {frame.filter_error}", now, "bad")
        return moving.follow(self, table, frame) or self._beside_lags(frame)

    def _beside_lags(self, frame: Frame) -> bool:
        """The detail beside the list does not belong to the cursor's row yet."""
        wanted = self.place.key if picture.rooms_of(self).detail else None
        return wanted is not None and frame.view.detail != wanted

    def told(self, done: Done, now: float) -> None:
        """A command was answered."""
        text = done.text or ("" if done.ok else "refused")  # what moves in time shows itself
        if done.ok and done.path.endswith(".pcapng"):
            detail = self.shown_detail()
            shown = detail.display_filter if detail is not None else ""
            command = f"tshark -r {shlex.quote(done.path)}"
            command += f" -Y {shlex.quote(shown)}" if shown else ""
            self.saved = (self.subject() or "", command)
            text += " (y copies a tshark command)"
        if done.key.startswith("event:"):
            self.places["events"].key = done.key  # the target of a jump is selected
        self.say(text, now, "ok" if done.ok else "plain" if done.pending else "bad")

    # ------------------------------------------------------------ keys

    def press(self, key: str, character: str | None, now: float) -> list[Effect]:
        """Process one key (Textual's name and its character); unknown keys are ignored."""
        pressed = _pressed(key, character)
        if key == "ctrl+c":
            return [Quit(EXIT_INTERRUPTED)]
        self.hints = self.hints and not self.hints_seen
        if self.edit is not None:
            return self._edited(key, character, now)
        if self.comparing and key in ("escape", "q", "enter"):
            self.comparing = False
            return []
        behind = self.held and self._is_for(pressed, _ON_A_PICTURE | _ON_STRIPS)
        if behind or self._must_wait(pressed):
            if len(self.held) < HELD_MAX:
                self.held.append((key, character))
            return []
        self.held.clear()
        if self.stale:
            self.picture(now)  # keys act on the present content, drawn already or not
        action = keys.action_of(pressed, self.where(), self.keymap)
        if action is None:
            return []
        effects = self._taken(action, pressed, now)
        if self.masker is None:
            return effects
        return [Send(self.masker.request(e.command)) if isinstance(e, Send) else e for e in effects]

    def _taken(self, action: str, pressed: str, now: float) -> list[Effect]:
        before = self.place.key
        if action == "pane":
            return self._show(PANES[int(pressed) - 1])
        effects = self._act(action, now)
        moved = self.place.key != before and Fetch() not in effects
        if moved and picture.rooms_of(self).detail:
            effects.append(Fetch())
        return effects

    def _must_wait(self, pressed: str) -> bool:
        """This key acts on something that has not come yet."""
        if self.blind():
            return self._is_for(pressed, _ON_A_PICTURE)
        return keys.action_of(pressed, self.where(), self.keymap) in _ON_STRIPS and times.due(self)

    def _is_for(self, pressed: str, actions: frozenset[str]) -> bool:
        """Whether a key has one of these actions here or elsewhere."""
        return any(pressed in key.keys for key in self.keymap if key.action in actions)

    def release(self, now: float) -> list[Effect]:
        """Keys that were typed ahead of the picture take effect once it is there."""
        effects: list[Effect] = []
        while self.held and not self._must_wait(_pressed(*self.held[0])):
            (key, character), *rest = self.held
            self.held = []
            effects += self.press(key, character, now)
            self.held += rest
        return effects

    def paste(self, text: str) -> list[Effect]:
        if self.edit is not None:
            self.edit.insert(text)
            self.chosen = -1
            return prompt.try_filter(self)
        return []

    def _act(self, action: str, now: float) -> list[Effect]:
        moves = {
            "down": 1, "up": -1,
            "page-down": moving.page_rows(self), "page-up": -moving.page_rows(self),
            "top": -(1 << 40), "bottom": 1 << 40,
        }  # fmt: skip
        if action in moves:
            return moving.move(self, moves[action])
        if action in ("left", "right"):
            return moving.beside(self, 1 if action == "right" else -1)
        if action in ("next-pane", "previous-pane"):
            step = 1 if action == "next-pane" else -1
            return self._show(PANES[(PANES.index(self.pane) + step) % len(PANES)])
        if action == "back":
            if self.opened:
                self.opened.pop()
                return [Fetch()]
            return [Quit(0)]
        if action == "clear":
            self.message = ""
            if self.cursor_s is not None:
                return times.leave(self)
            if self.strips_alone and self.pane == "overview":
                self.strips_alone = False
                return [Fetch()]
            if self.place.filter:
                return prompt.set_filter(self, "")
            return []
        alone: dict[str, Effect] = {"help": Help(), "redraw": Redraw(), "suspend": Suspend()}
        if action in alone:
            return [alone[action]]
        if action in ("zoom-in", "zoom-out"):
            return times.zoom(self, -1 if action == "zoom-in" else 1)
        if action in ("cursor-back", "cursor-on"):
            if not times.shown(self):
                self.strips_alone = True
                return [Fetch()]
            return times.move(self, -1 if action == "cursor-back" else 1)
        if action == "strips":
            self.strips_alone = not self.strips_alone
            return times.leave(self)
        if action == "beside":
            self.beside_on = not self.beside_on
            return [Fetch()]
        if action in ("names", "units", "times", "private", "hold-order"):
            return self._manner(action, now)
        if action == "fold":
            self.fold = not self.fold
            return [Fetch()]
        if action == "quit-leaving":
            return [Quit(0, leaving=True)]
        if action == "reattach":
            return [Fetch()]
        if action in ("open", "open-flow"):
            return moving.open_detail(self, action == "open-flow")
        if action in ("filter", "command"):
            return prompt.start(self, action)
        if action in ("sort", "reverse", "port", "reset"):
            return self._arrange(action, now)
        if action == "freeze":
            self.frozen_at = None if self.frozen else now
            self.moments += self.frozen
            self.hold = f"{self.token} {self.moments}" if self.frozen else None
            return [Fetch()]
        if action in ("copy", "export", "known", "accept", "undo", "save-packets"):
            return self._with_subject(action, now)
        return self._in_time(action, now)

    # ------------------------------------------------------------ moving

    def _show(self, pane: str) -> list[Effect]:
        self.pane = pane
        self.opened.clear()
        self.comparing = False
        return [Fetch()]

    # ------------------------------------------------------------ filter, sort, port

    def _edited(self, key: str, character: str | None, now: float) -> list[Effect]:
        given = prompt.edited(self, key, character)
        return self._obey(given, now) if isinstance(given, Order) else given

    def _manner(self, action: str, now: float) -> list[Effect]:
        """The display preferences, and masking."""
        manner = self.manner
        if action == "names":
            self.manner = replace(manner, names=_next(NAMES, manner.names))
            said = {"names": "by name", "addresses": "by address", "both": "by name and address"}
            self.say(said[self.manner.names], now)
        elif action == "units":
            self.manner = replace(manner, units=_next(UNITS, manner.units))
            self.say(f"rates in {self.manner.units} a second", now)
        elif action == "times":
            self.manner = replace(manner, times=_next(TIMES, manner.times))
            said = {"clock": "local times", "ago": "how long ago", "utc": "times in UTC"}
            self.say(said[self.manner.times], now)
        elif action == "private":
            self._mask()
            self.say("names and addresses are masked" if self.masker else "nothing is masked", now)
        else:
            self.order_held ^= {self.pane}
            held = self.pane in self.order_held
            self.moments += held
            self.say("rows stay where they are" if held else "sorted anew", now)
        return [Fetch()]

    def _choose_columns(self, text: str, now: float) -> list[Effect]:
        """The columns of this pane, by their titles."""
        table = TABLES.get(self.pane)
        if table is None:
            self.say("this pane has no columns", now)
            return []
        titles = {column.title.upper(): column.title for column in table.columns if column.title}
        wanted = [word.strip().upper() for word in text.split(",") if word.strip()]
        unknown = [word for word in wanted if word not in titles]
        if unknown:
            self.say(f"no column {unknown[0]}: {', '.join(titles.values())}", now, "bad")
            return []
        show = tuple(titles[word] for word in wanted)
        before = self.columns.get(self.pane, Columns())
        self.columns[self.pane] = replace(before, show=show)
        return [Remember(self.pane, show)]

    def _mask(self) -> None:
        """Mask names and addresses from here on, also in all earlier answers."""
        places = [*self.places.values(), *(o.place for o in self.opened)]
        if self.masker is not None:
            masker, self.masker = self.masker, None
            for place in places:
                place.key = None if place.key is None else masker.original(place.key)
            for opened in self.opened:
                opened.key = masker.original(opened.key)
            self.frames.clear()
            self.beside = None
            for opened in self.opened:
                opened.frame = None
            return
        self.masker = masker = Masker()
        self.frames = {pane: masker.frame(frame) for pane, frame in self.frames.items()}
        self.newest = None if self.newest is None else masker.frame(self.newest)
        for shown in (*self.opened, *([self.beside] if self.beside else [])):
            shown.key = masker.text(shown.key)
            shown.frame = None if shown.frame is None else masker.frame(shown.frame)
        for place in places:
            place.key = None if place.key is None else masker.text(place.key)

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
        names = self.port_names()
        choices = [None, *names]
        at = choices.index(self.port) if self.port in choices else 0
        self.port = choices[(at + 1) % len(choices)]
        self.say(f"port {self.port}" if self.port else "all ports", now)

    # ------------------------------------------------------------ the thing under the cursor

    def _with_subject(self, action: str, now: float) -> list[Effect]:
        subject = self.subject()
        if action == "copy":
            text = self._copy_text()
            if not text:
                self.say("nothing to copy here", now)
                return []
            self.say(f"copied: {text}", now, "ok")
            return [Copy(text)]
        if action == "save-packets":
            self.say("saving the packets", now)
            return [Send(Command(name="evidence", key=self.packets_key()))]
        if action == "export":
            if self.opened:
                return [Send(Command(name="export", key=self.opened[-1].key))]
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
        if self.opened:
            frame = self.opened[-1].frame
            detail = frame.detail if frame is not None else None
            record = (detail.finding or detail.violation) if detail is not None else None
            return record is not None and record.known
        return any(item.known for item in self.items if item.key == self.place.key)

    def _copy_text(self) -> str:
        if self.saved is not None and self.saved[0] == self.subject():
            return self.saved[1]
        if self.opened:
            frame = self.opened[-1].frame
            detail = frame.detail if frame is not None else None
            return (detail.copy or detail.title) if detail is not None else ""
        return next((item.copy for item in self.items if item.key == self.place.key), "")

    # ------------------------------------------------------------ review

    def _in_time(self, action: str, now: float) -> list[Effect]:
        frame = self.newest
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
        if action in ("find-previous", "find-next"):
            text = (self.place.filter or self.places["events"].filter).strip()
            if not text:
                self.say("find: say what with / first, as in :events /frozen", now)
                return []
            return [Send(Command(name=action, text=text)), Fetch()]
        if action == "play":
            return [Send(Command(name="pause" if review.playing else "play")), Fetch()]
        if action in ("slower", "faster"):
            speed = review.speed / 2 if action == "slower" else review.speed * 2
            return [Send(Command(name="speed", value=max(0.1, min(10_000.0, speed)))), Fetch()]
        if action == "compare":
            return self._compare(now)
        return []

    def _compare(self, now: float) -> list[Effect]:
        overview = self.frames.get("overview")
        if self.pane != "overview" or self.opened or overview is None:
            self._show("overview")
            self.say("compare from the overview: press c again", now)
            return [Fetch()]
        if self.compared is None:
            self.compared = overview
            self.say("this moment is remembered: go elsewhere in time and press c again", now)
        else:
            self.comparing = True
        return []

    # ------------------------------------------------------------ commands of the command line

    def _obey(self, order: Order, now: float) -> list[Effect]:
        if order.name in PANES:
            return self._show(order.name)
        if order.name == "sort":
            self.place.sort, self.place.reverse = order.text, False
            return [Fetch()]
        if order.name == "filter":
            wrong = prompt.filter_fault(self, order.text)
            if wrong is not None:
                self.say(f"filter: {wrong}", now, "bad")
                return []
            return prompt.set_filter(self, order.text)
        if order.name == "port":
            self.port = order.text or None
            return [Fetch()]
        if order.name == "columns":
            return self._choose_columns(order.text, now)
        if order.name == "rate":
            self.say(f"{order.value:g} pictures a second", now)
            return [Rate(order.value)]
        if order.name == "mark":
            return [Send(Command(name="mark", text=order.text)), Fetch()]
        if order.name == "spans":
            self.opened.append(Opened(order.text))
            return [Fetch()]
        if order.name == "goto":
            return [Send(Command(name="seek", time_ns=order.time_ns)), Fetch()]
        if order.name == "speed":
            return [Send(Command(name="speed", value=order.value)), Fetch()]
        if order.name == "ascii":
            self.glyphs = UNICODE if self.glyphs is ASCII else ASCII
            return []
        if order.name == "quit":
            return [Quit(0)]
        return self._act(ACTIONS.get(order.name, order.name), now)

    # ------------------------------------------------------------ the picture

    def picture(self, now: float) -> Picture:
        """Everything on the screen as it is now: the header, `height - 2` lines, the footer."""
        return picture.draw(self, now)

    def set_up(
        self, settings: Settings, columns: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        """Start with the user's settings; `columns` were chosen on the screen last time."""
        self.pane = settings.start
        self.keymap = keys.remapped(settings.keys)
        self.manner = Manner(settings.names, settings.units, settings.times)  # type: ignore[arg-type]
        self.beside_on = settings.beside
        self.saved_filters = list(settings.filters.values())
        shown = {**settings.columns, **(columns or {})}
        for pane in {*shown, *settings.widths} & set(TABLES):
            self.columns[pane] = Columns(shown.get(pane, ()), settings.widths.get(pane, {}))

    def click(self, x: int, y: int, now: float) -> list[Effect]:
        """A mouse click at a cell: the item there is selected, and opened if it was selected
        already; a pane's name shows that pane; a strip's cell moves the cursor.
        """
        self.hints = self.hints and not self.hints_seen
        if self.edit is not None or self.comparing:
            return []
        found = pointing.at(self, x, y)
        if found is None:
            return []
        if found.pane is not None:
            return self._show(found.pane)
        if found.second is not None:
            self.cursor_s = found.second
            return [Fetch()]
        assert found.key is not None
        if self.opened:
            links = [item.key for item in self.items]
            self.opened[-1].place.index += links.index(found.key) - self._chosen_link(links)
            return moving.open_detail(self, False)
        if self.place.key == found.key:
            return moving.open_detail(self, False)
        moved = moving.to_key(self, found.key)
        return moved or [Fetch()]

    def _chosen_link(self, links: Sequence[str]) -> int:
        detail = self.shown_detail()
        assert detail is not None
        chosen = detail.links[self.opened[-1].place.index][1]
        return links.index(chosen) if chosen in links else 0

    def help_place(self) -> Sequence[keys.Key]:
        """The keys listed in the help."""
        return self.working_keys()

    def help_fields(self) -> Sequence[str]:
        """The filter fields of this pane."""
        table = TABLES.get(self.pane)
        return tuple(KEYS.get(table.record, ())) if table is not None else ()


def _pressed(key: str, character: str | None) -> str:
    """A key as the table of keys names it."""
    return character if character and character.isprintable() and character != " " else key


def _next(choices: Sequence[Any], now: Any) -> Any:
    return choices[(choices.index(now) + 1) % len(choices)]
