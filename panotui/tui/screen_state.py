"""Where a person is on the screen: pane, places, opened details, what was answered last.

Pure state and what follows from it. `session` changes it by keys and frames, `moving` by the
cursor, `prompt` by typed lines; `picture` draws it.
"""

from __future__ import annotations

import secrets
from datetime import tzinfo
from typing import Any

import msgspec
from msgspec import Struct, field

from panotui.tui import bars, keys, timeline
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
MESSAGE_S = 5.0


class Opened(Struct):
    """A detail that is open: its key, and where it was scrolled to."""

    key: str
    place: Place = field(default_factory=Place)
    frame: Frame | None = None
    seen_ns: int | None = None  # the thing has gone: `frame` is how it was then

    def take(self, frame: Frame) -> None:
        """The newest answer; what is gone stays as it was last seen."""
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
        self.mode = mode  # frames tell it too, once there are any
        self.glyphs = glyphs
        self.zone = zone
        self.width, self.height = 80, 24
        self.pane = "overview"
        self.port: str | None = None
        self.beside_on = True  # a detail stands beside where there is room
        self.beside: Opened | None = None
        self.strips_alone = False  # the overview is time strips and nothing else
        self.cell_s: int | None = None  # of strips, as a person chose it; None: as all fits
        self.cursor_s: int | None = None  # of strips
        self.strips_end_s = 0  # where strips end; 0: at the newest
        self.saved: tuple[str, str] | None = None  # (subject, how to look at its saved packets)
        self.manner = Manner()
        self.keymap: tuple[keys.Key, ...] = keys.KEYS
        self.columns: dict[str, Columns] = {}  # by pane, where a person chose them
        self.masker: Masker | None = None  # names and addresses are masked
        self.order_held: set[str] = set()  # panes whose rows stay where they are
        self.fold = True  # flows that say one thing as one row
        self.frozen_at: float | None = None  # of the machine's monotonic clock
        self.token = secrets.token_hex(4)  # of this screen among those on one collector
        self.moments = 0  # how often it was frozen
        self.hold: str | None = None  # the token of the moment that all panes show
        self.compared: Frame | None = None
        self.comparing = False
        self.places = {pane: Place() for pane in PANES}
        self.frames: dict[str, Frame] = {}
        self.newest: Frame | None = None
        self.heard_at = 0.0
        self.lost: str | None = None  # why the recorder has gone; it is tried again
        self.opened: list[Opened] = []
        self.edit: Edit | None = None
        self.editing = ""  # "filter" or "command"
        self.chosen = -1  # of what is offered while something is typed
        self.offered: Candidates | None = None
        self.hints = False  # the first start: three hints until a key is pressed
        self.rows_before: tuple[Any, ...] = ()  # that were shown before a filter was typed
        self.saved_filters: list[str] = []
        self.message = ""
        self.message_role: Role = "plain"
        self.message_until = 0.0
        self.items: list[Item] = []
        self.page_top = 0  # lines above the page: notices, a time line
        self.strips_row: int | None = None  # of the page, where strips begin
        self.foot: Line = ()
        self.held: list[tuple[str, str | None]] = []  # typed ahead of the picture they need
        self.stale = False  # something has come since the items were laid out

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
        """The pane that the footer names; None in a detail."""
        return None if self.opened else self.pane

    def footer_rows(self) -> int:
        """Lines of the footer."""
        working = self.working_keys()
        return bars.footer_rows(self.footed(), working, self.width, self.height)

    def notices(self) -> list[str]:
        """What must be seen above every page, a line each."""
        said = []
        if self.lost is not None:
            said.append(f"The recorder is gone ({self.lost}): tried again each second, r: at once")
        if self.newest is not None and self.newest.header.notice:
            said.append(self.newest.header.notice)
        return said

    def say(self, text: str, now: float, role: Role = "plain") -> None:
        """One line for the person, for a few seconds."""
        self.message, self.message_role = text, role
        self.message_until = now + MESSAGE_S

    def working_keys(self) -> list[keys.Key]:
        """The keys that work here."""
        return keys.keys_at(self.where(), self.keymap)

    def where(self) -> frozenset[str]:
        """What holds at this place, for the keys that work here."""
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
        """The detail that is open, or stands beside the row under the cursor."""
        if self.opened:
            frame = self.opened[-1].frame
        else:
            beside = self.beside
            frame = beside.frame if beside and beside.key == self.place.key else None
        return frame.detail if frame is not None else None

    def packets_key(self) -> str:
        """Whose packets a key saves here: "finding:KEY", "violation:ID", or nobody's."""
        detail = self.shown_detail()
        if detail is not None:
            return detail.packets
        subject = self.subject() or ""
        return subject if subject.startswith(("finding:", "violation:")) else ""

    def subject(self) -> str | None:
        """What a key acts on: the open detail, or the item under the cursor."""
        return self.opened[-1].key if self.opened else self.place.key

    def blind(self) -> bool:
        """What was opened or changed to last has not come yet."""
        if self.opened:
            return self.opened[-1].frame is None
        return self.pane not in self.frames

    def port_names(self) -> list[str]:
        return [name for name, _, _ in self.newest.header.ports] if self.newest else []


def bare(key: str | None) -> str | None:
    """The row's own key: `flow:7` -> `7`."""
    return None if key is None else key.partition(":")[2]
