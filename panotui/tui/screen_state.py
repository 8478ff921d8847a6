"""The user's position on the screen: pane, places, opened details, the last answer.

Pure state and derived values. `session` changes it by keys and frames, `moving` by the cursor,
`prompt` by typed lines; `picture` draws it.
"""

from __future__ import annotations

import secrets
from datetime import tzinfo
from typing import Any

import msgspec
from msgspec import Struct, field

from panotui.feed.client import CLOSED
from panotui.tui import bars, keys, timeline
from panotui.tui.cells import wrap
from panotui.tui.completion import Candidates
from panotui.tui.edit import Edit
from panotui.tui.glyphs import UNICODE, Glyphs, Role
from panotui.tui.line import Line
from panotui.tui.manner import Manner
from panotui.tui.page import Item, Place
from panotui.tui.pages import TABLES
from panotui.tui.table import Columns
from panotui.views.frames import Detail, Frame
from panotui.views.masking import Masker
from panotui.views.subjects import PANES

WIDTH_MIN, HEIGHT_MIN = 60, 16
NOTICE_LINES = 3
MESSAGE_S = 5.0
UNDRAWN_S = 60.0  # after that it is no news


class Opened(Struct):
    """An open detail: its key, and its scroll position."""

    key: str
    place: Place = field(default_factory=Place)
    frame: Frame | None = None
    seen_ns: int | None = None  # the thing is gone: `frame` is its last state

    def take(self, frame: Frame) -> None:
        """Store the newest answer; something that is gone keeps its last state."""
        before, detail = self.frame, frame.detail
        if detail is None or not detail.gone or before is None or before.detail is None:
            self.frame, self.seen_ns = frame, None
            return
        if before.detail.gone:
            self.frame = frame
            return
        if self.seen_ns is None:
            self.seen_ns = before.header.time_ns
        self.frame = msgspec.structs.replace(before, header=frame.header)


class ScreenState:
    """The state of one screen."""

    def __init__(
        self, glyphs: Glyphs = UNICODE, zone: tzinfo | None = None, mode: str = "live"
    ) -> None:
        self.mode = mode  # frames also have it, once there are any
        self.glyphs = glyphs
        self.zone = zone
        self.width, self.height = 80, 24
        self.pane = "overview"
        self.port: str | None = None
        self.beside_on = True  # show a detail beside the list if there is room
        self.beside: Opened | None = None
        self.strips_alone = False  # the overview shows only time strips
        self.cell_s: int | None = None  # of strips, if the user chose it; None: automatic
        self.cursor_s: int | None = None  # of strips
        self.strips_end_s = 0  # end of the strips; 0: the newest
        self.saved: tuple[str, str] | None = None  # (subject, command to view its saved packets)
        self.manner = Manner()
        self.keymap: tuple[keys.Key, ...] = keys.KEYS
        self.columns: dict[str, Columns] = {}  # by pane, if the user chose them
        self.masker: Masker | None = None  # names and addresses are masked
        self.order_held: set[str] = set()  # panes with a fixed row order
        self.fold = True  # merge flows with the same meaning into one row
        self.frozen_at: float | None = None  # of the machine's monotonic clock
        self.token = secrets.token_hex(4)  # number of this screen among those of one collector
        self.moments = 0  # how often it was frozen
        self.hold: str | None = None  # token of the moment shown by all panes
        self.compared: Frame | None = None
        self.comparing = False
        self.places = {pane: Place() for pane in PANES}
        self.frames: dict[str, Frame] = {}
        self.newest: Frame | None = None
        self.heard_at = 0.0
        self.lost: str | None = None  # why the recorder is gone; it is being reconnected
        self.opened: list[Opened] = []
        self.edit: Edit | None = None
        self.editing = ""  # "filter" or "command"
        self.chosen = -1  # of the completions while something is typed
        self.offered: Candidates | None = None
        self.hints = False  # the first start: three hints until a key is pressed
        self.hints_seen = False  # they have been drawn
        self.rows_before: tuple[Any, ...] = ()  # lines shown before a filter was typed
        self.saved_filters: list[str] = []
        self.message = ""
        self.message_role: Role = "plain"
        self.message_until = 0.0
        self.message_stands_s = MESSAGE_S
        self.message_undrawn = False
        self.items: list[Item] = []
        self.page_top = 0  # lines above the page: notices, a time line
        self.strips_row: int | None = None  # line of the page at which strips begin
        self.foot: Line = ()
        self.held: list[tuple[str, str | None]] = []  # typed ahead of the picture they need
        self.stale = False  # a frame has come since the items were laid out

    @property
    def place(self) -> Place:
        return self.places[self.pane]

    @property
    def frozen(self) -> bool:
        return self.frozen_at is not None

    def page_height(self) -> int:
        height = self.height - 1 - self.footer_rows()
        if self.newest is not None:
            height -= timeline.height(self.newest.header.review, self.newest.strips)
        return max(1, height - len(self.notices()))

    def footed(self) -> str | None:
        """The pane named in the footer; None in a detail."""
        return None if self.opened else self.pane

    def footer_rows(self) -> int:
        """Lines of the footer."""
        working = self.working_keys()
        return bars.footer_rows(self.footed(), working, self.width, self.height)

    def notices(self) -> list[str]:
        """Important lines above every page, wrapped: what to do is at their end."""
        said = []
        if self.lost is not None:
            do = "quit and attach again" if self.lost == CLOSED else "retrying, r: now"
            said.append(f"The recorder is gone ({self.lost}): {do}")
        if self.newest is not None and self.newest.header.notice:
            said.append(self.newest.header.notice)
        return [part for text in said for part in wrap(text, self.width - 2)[:NOTICE_LINES]]

    def say(
        self, text: str, now: float, role: Role = "plain", *, stands_s: float = MESSAGE_S
    ) -> None:
        """One line for the user, for some seconds from when it is drawn."""
        self.message, self.message_role, self.message_stands_s = text, role, stands_s
        self.message_until, self.message_undrawn = now + UNDRAWN_S, True

    def drawn(self, now: float) -> None:
        """A picture of this state is on its way to the terminal.

        A slow terminal may take longer for one picture than a message stands: its time begins here,
        and hints stay until they have been drawn.
        """
        if self.edit is None and (not self.message or now >= self.message_until):
            self.hints_seen = self.hints_seen or self.hints
        if self.message_undrawn:
            self.message_until, self.message_undrawn = now + self.message_stands_s, False

    def working_keys(self) -> list[keys.Key]:
        """The keys that work here."""
        return keys.keys_at(self.where(), self.keymap)

    def where(self) -> frozenset[str]:
        """The conditions at this place, for the keys that work here."""
        review = self.newest is not None and self.newest.header.review is not None
        found = {keys.REVIEW if review else keys.LIVE}
        playing = self.newest is not None and self.newest.header.review
        still = not playing.playing if playing else self.frozen
        found.add(keys.FROZEN if still else keys.RUNNING)
        if self.lost is not None:
            found.add(keys.LOST)
        if self.opened:
            found.add(keys.DETAIL)
            frame = self.opened[-1].frame
            if frame is not None and frame.detail is not None and frame.detail.links:
                found.add(keys.LINKS)
        else:
            found.add(keys.PANE)
            if self.pane in TABLES:
                found.add(keys.TABLE)
            if self.pane == "overview":
                found.add(keys.OVERVIEW)
            if review or self.pane == "overview":
                found.add(keys.STRIPED)
            if self.pane == "flows":
                found.add(keys.FLOWS)
        if self.packets_key():
            found.add(keys.PACKETS)
        kind = (self.subject() or "").partition(":")[0]
        if kind in ("finding", "violation"):
            found.add(keys.MARKABLE)
        if kind == "violation":
            found.add(keys.VIOLATION)
        return frozenset(found)

    def shown_detail(self) -> Detail | None:
        """The detail that is open, or shown beside the row under the cursor."""
        if self.opened:
            frame = self.opened[-1].frame
        else:
            beside = self.beside
            frame = beside.frame if beside and beside.key == self.place.key else None
        return frame.detail if frame is not None else None

    def packets_key(self) -> str:
        """Key of the packets that `w` saves here: "finding:KEY", "violation:ID", or ""."""
        detail = self.shown_detail()
        if detail is not None:
            return detail.packets
        subject = self.subject() or ""
        return subject if subject.startswith(("finding:", "violation:")) else ""

    def subject(self) -> str | None:
        """The target of a key: the open detail, or the item under the cursor."""
        return self.opened[-1].key if self.opened else self.place.key

    def blind(self) -> bool:
        """The frame for the last opening or change has not come yet."""
        if self.opened:
            return self.opened[-1].frame is None
        return self.pane not in self.frames

    def port_names(self) -> list[str]:
        return [name for name, _, _ in self.newest.header.ports] if self.newest else []


def bare(key: str | None) -> str | None:
    """The row's own key: `flow:7` -> `7`."""
    return None if key is None else key.partition(":")[2]
