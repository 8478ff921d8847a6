"""The whole screen as lines: header, notice, time line, page or detail, footer."""

from __future__ import annotations

from dataclasses import dataclass

from panotui.tui import bars, compare, keys, timeline
from panotui.tui.line import Line, Pen, plain
from panotui.tui.page import Page, Scene
from panotui.tui.pages import TABLES, details, draw_pane
from panotui.tui.prompt import edit_line
from panotui.tui.screen_state import HEIGHT_MIN, WIDTH_MIN, ScreenState
from panotui.views.frames import Frame, View

LATE_S = 3.0  # without an answer before the header says so


@dataclass(slots=True)
class Picture:
    """Everything on the screen, line by line."""

    header: Line
    body: list[Line]
    footer: Line


def draw(screen: ScreenState, now: float) -> Picture:
    """Everything on the screen as it is now: the header, `height - 2` lines, the footer."""
    screen.stale = False
    width, height = screen.width, screen.height
    if width < WIDTH_MIN or height < HEIGHT_MIN:
        return too_small(screen)
    frame = screen.newest
    if frame is None:
        waiting = [plain("", width), plain(" waiting for the first picture", width, "dim")]
        empty = Page(waiting).fill(width, height - 2).lines
        head = plain(f" panotui {screen.mode}", width, "strong")
        return Picture(head, empty, plain(" q quit", width, "dim"))
    frozen = now - screen.frozen_at if screen.frozen_at is not None else None
    late = now - screen.heard_at if not screen.frozen else 0.0
    header = bars.header_line(
        frame.header, width, screen.glyphs, screen.zone, frozen, late if late > LATE_S else None
    )
    body: list[Line] = []
    for notice in screen.notices():
        body.append(Pen(width, screen.glyphs.ellipsis).put(f" {notice}", "bad").line())
    if frame.header.review is not None:
        body.extend(timeline.draw(frame.header.review, width, screen.glyphs, screen.zone))
    body.extend(page(screen, height - 2 - len(body)).lines)
    bottom = bottom_line(screen, now)
    if bottom is not None:
        body[-1] = bottom
    shown = keys.keys_at(screen.where())
    footer = (
        bars.detail_footer(shown, width, screen.glyphs)
        if screen.opened
        else bars.pane_footer(screen.pane, shown, width, screen.glyphs)
    )
    return Picture(header, body, footer)


def page(screen: ScreenState, height: int) -> Page:
    opened = screen.opened[-1] if screen.opened else None
    frame = screen.frames.get(screen.pane) if opened is None else opened.frame
    place = screen.place if opened is None else opened.place
    if frame is None:
        assert screen.newest is not None
        frame = Frame(number=0, view=View(pane=screen.pane), header=screen.newest.header)
        if opened is None:
            name = Pen(screen.width).put(" ").put(screen.pane.upper(), "head").line()
            return Page([name]).fill(screen.width, height)
    scene = Scene(
        frame, place, screen.width, height, screen.glyphs, screen.zone, screen.port,
        opened.seen_ns if opened is not None else None, own(screen),
    )  # fmt: skip
    if screen.comparing and screen.compared is not None:
        return compare.draw(screen.compared, scene)
    if opened is not None:
        page = details.draw(scene)
        screen.items = page.items
        links = frame.detail.links if frame.detail is not None else ()
        return page.with_cursor(links[place.index][1] if links else None)
    page = draw_pane(screen.pane, scene)
    screen.items = page.items
    if screen.pane not in TABLES and place.key not in {item.key for item in page.items}:
        place.key = page.items[0].key if page.items else None
    return page.with_cursor(place.key)


def own(screen: ScreenState) -> frozenset[str]:
    """The appliance's addresses, from the overview that every screen begins with."""
    overview = screen.frames.get("overview")
    ports = overview.ports if overview is not None else ()
    return frozenset(address for port in ports for address in port.addresses)


def bottom_line(screen: ScreenState, now: float) -> Line | None:
    """The line that is typed, or a message, over the page's last line."""
    if screen.edit is not None:
        return edit_line(screen, screen.edit)
    if screen.message and now < screen.message_until:
        pen = Pen(screen.width, screen.glyphs.ellipsis)
        return pen.put(" ").name(screen.message, screen.message_role).line()
    return None


def too_small(screen: ScreenState) -> Picture:
    text = f"panotui needs {WIDTH_MIN}x{HEIGHT_MIN}, this is {screen.width}x{screen.height}"
    if len(text) > screen.width:
        text = f"{screen.width}x{screen.height} < {WIDTH_MIN}x{HEIGHT_MIN}"
    lines = Page([plain(text, screen.width)]).fill(screen.width, max(0, screen.height - 2)).lines
    blank = plain("", screen.width)
    if screen.height < 3:
        return Picture(plain(text, screen.width), lines, blank)
    return Picture(blank, lines, blank)
