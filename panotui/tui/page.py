"""Input and output of drawing a page: a `Scene` in, a `Page` of lines and items out.

An item is a part of the page that the cursor can select; its key is the value for `View.detail`.
Pages are pure functions, so each is tested without a terminal.
"""

from __future__ import annotations

from datetime import tzinfo

from msgspec import Struct, field

from panotui.tui.glyphs import Glyphs, Look, glyph, role
from panotui.tui.line import Line, Pen, Span, highlighted, plain
from panotui.tui.manner import PLAIN, Manner
from panotui.tui.quantities import day_clock, mega, short_clock, since
from panotui.views.frames import Frame


class Place(Struct):
    """The user's place in one pane, kept while other panes are shown."""

    key: str | None = None  # of the item under the cursor
    index: int = 0  # its row in the whole table
    first: int = 0  # first visible row of the table
    sort: str | None = None
    reverse: bool = False
    filter: str = ""
    needs: dict[str, int] = {}  # cells that rows needed so far, by the title of their column
    needed_for: object = None  # ... with this order, filter and width


class Scene(Struct, frozen=True):
    """All inputs of a page."""

    frame: Frame
    place: Place
    width: int
    height: int
    glyphs: Glyphs
    zone: tzinfo | None = None
    port: str | None = None
    seen_ns: int | None = None  # the shown thing is gone: its last state
    manner: Manner = PLAIN
    own: frozenset[str] = frozenset()  # the appliance's addresses, if known

    @property
    def now_ns(self) -> int:
        # after a restart of the demo, older items of its last round are still shown
        return max(self.frame.header.time_ns, self.seen_ns or 0)

    def mega(self, rate_bps: float | None) -> str:
        """A rate in millions of the displayed unit, without the unit."""
        return mega(self.manner.bps(rate_bps))

    @property
    def mega_unit(self) -> str:
        return f"M{self.manner.rate_unit}"

    def when(self, time_ns: int | None) -> str:
        """A time of day, with its date if it is not today; or its age."""
        if self.manner.times == "ago":
            return since(time_ns, self.now_ns)
        return day_clock(time_ns, self.now_ns, self.zone)

    def when_short(self, time_ns: int | None) -> str:
        """The same in at most eight characters."""
        if self.manner.times == "ago":
            return since(time_ns, self.now_ns)
        return short_clock(time_ns, self.now_ns, self.zone)

    def pen(self) -> Pen:
        return Pen(self.width, self.glyphs.ellipsis)

    def mark(self, look: Look) -> Span:
        return glyph(self.glyphs, look), role(look)


class Item(Struct, frozen=True):
    """A selectable part: cells [start, stop) of a line."""

    key: str
    row: int
    start: int
    stop: int
    copy: str = ""
    known: bool | None = None  # None: cannot be marked as known


class Page(Struct):
    lines: list[Line] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    def fill(self, width: int, height: int) -> Page:
        """Exactly `height` lines."""
        del self.lines[height:]
        self.items = [item for item in self.items if item.row < height]
        self.lines.extend(plain("", width) for _ in range(height - len(self.lines)))
        return self

    def with_cursor(self, key: str | None) -> Page:
        """Highlight the item under the cursor."""
        for item in self.items:
            if item.key == key:
                self.lines[item.row] = highlighted(self.lines[item.row], item.start, item.stop)
                break
        return self
