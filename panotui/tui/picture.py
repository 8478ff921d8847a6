"""The whole screen as lines: header, notice, time line, page or detail, footer."""

from __future__ import annotations

from datetime import UTC

from msgspec import Struct

from panotui.tui import bars, compare, prompt, remembered, strips, timeline, times
from panotui.tui.cells import wrap
from panotui.tui.line import Line, Pen, Span, plain, text_of
from panotui.tui.local_times import with_local_times
from panotui.tui.page import Item, Page, Place, Scene
from panotui.tui.pages import TABLES, details, draw_pane, news
from panotui.tui.pages.overview import strip_values
from panotui.tui.rooms import STRIPS_HEIGHT, STRIPS_WIDTH, Rooms, rooms
from panotui.tui.screen_state import HEIGHT_MIN, WIDTH_MIN, ScreenState
from panotui.views.frames import Frame, View

NEWS_LEAST, NEWS_MOST = 5, 16  # lines of the newest events, with their heading
MESSAGE_LINES = 6
LATE_S = 3.0  # without an answer before the header reports it


class Picture(Struct):
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
        frame.header,
        width,
        screen.glyphs,
        UTC if screen.manner.times == "utc" else screen.zone,
        frozen,
        late if late > LATE_S else None,
        private=screen.masker is not None,
    )
    body: list[Line] = []
    for notice in screen.notices():
        body.append(Pen(width, screen.glyphs.ellipsis).put(f" {notice}", "bad").line())
    if frame.header.review is not None:
        body.extend(
            timeline.draw(frame.header.review, frame.strips, width, screen.glyphs, screen.zone)
        )
    screen.page_top = len(body)
    body.extend(page(screen, height - 1 - screen.footer_rows() - len(body)).lines)
    bottom = bottom_lines(screen, now, len(body) - 1)
    if bottom:
        body[-len(bottom) :] = bottom
    *upper, footer = bars.footer(screen.footed(), screen.working_keys(), width,
                                 screen.height, screen.glyphs)  # fmt: skip
    screen.foot = footer
    return Picture(header, [*body, *upper], footer)


def wants_news(screen: ScreenState) -> bool:
    """Whether the page may have room for the newest events."""
    large = screen.width >= STRIPS_WIDTH and screen.page_height() >= STRIPS_HEIGHT
    return screen.pane == "overview" and not screen.opened and large


def rooms_of(screen: ScreenState, height: int | None = None) -> Rooms:
    """The rooms of the shown pane; `height` of the page, or its present one."""
    overview = screen.pane == "overview"
    pane = screen.frames.get(screen.pane)
    known = times.newest(screen) if overview or pane is None else pane.strips
    return rooms(
        screen.width,
        screen.page_height() if height is None else height,
        overview=overview,
        beside=screen.beside_on and not screen.opened,
        strips_rows=len(known.strips) if known is not None and times.shown(screen) else 0,
        moment=screen.cursor_s is not None,
        strips_alone=overview and screen.strips_alone and times.shown(screen),
        list_lines=times.list_lines(screen),
    )


def page(screen: ScreenState, height: int) -> Page:
    opened = screen.opened[-1] if screen.opened else None
    frame = screen.frames.get(screen.pane) if opened is None else opened.frame
    if frame is None:
        assert screen.newest is not None
        frame = Frame(number=0, view=View(pane=screen.pane), header=screen.newest.header)
        if opened is None:
            name = Pen(screen.width).put(" ").put(screen.pane.upper(), "head").line()
            waits = plain(" waiting for the collector", screen.width, "dim")
            return Page([name, waits]).fill(screen.width, height)
    if screen.comparing and screen.compared is not None:
        scene = _scene(screen, frame, screen.place, screen.width, height)
        return compare.draw(screen.compared, scene)
    if opened is not None:
        drawn = details.draw(
            _scene(screen, frame, opened.place, screen.width, height, opened.seen_ns)
        )
        screen.items = drawn.items
        links = frame.detail.links if frame.detail is not None else ()
        return drawn.with_cursor(links[opened.place.index][1] if links else None)
    room = rooms_of(screen, height)
    screen.strips_row = None
    drawn = Page()
    if room.list_height:
        # the number of rows above depends on the whole page, wherever the list ends
        lines = height if room.below_height else room.list_height
        scene = _scene(screen, frame, screen.place, room.list_width, lines)
        drawn = draw_pane(screen.pane, scene, screen.columns.get(screen.pane))
        del drawn.lines[room.list_height :]
    if room.under_height and frame.strips is not None:
        _set_under(drawn, screen, frame, room)
    news_height = room.news_height
    if screen.pane == "overview" and _add_news(drawn, screen, frame, room.list_width):
        news_height = 0
    if room.beside_width:
        _set_beside(drawn, screen, frame, room, news_height)
    if room.below_height:
        _set_below(drawn, screen, room)
    if room.strips_height:
        _add_strips(drawn, screen, frame, room.strips_height)
    drawn.fill(screen.width, height)
    if not room.list_height:
        _add_news(drawn, screen, frame, screen.width)
    screen.items = drawn.items
    place = screen.place
    if screen.pane not in TABLES and place.key not in {item.key for item in drawn.items}:
        place.key = drawn.items[0].key if drawn.items else None
    return drawn.with_cursor(place.key)


def _scene(
    screen: ScreenState,
    frame: Frame,
    place: Place,
    width: int,
    height: int,
    seen_ns: int | None = None,
) -> Scene:
    zone = UTC if screen.manner.times == "utc" else screen.zone
    frame = with_local_times(frame, zone)
    return Scene(
        frame, place, width, height, screen.glyphs, zone, screen.port, seen_ns, screen.manner,
        own(screen),
    )  # fmt: skip


def _set_below(drawn: Page, screen: ScreenState, room: Rooms) -> None:
    """The detail of the selected row below the list."""
    beside = screen.beside
    if beside is None or beside.frame is None or beside.key != screen.place.key:
        return
    height = room.below_height
    scene = _scene(screen, beside.frame, Place(), screen.width, height, beside.seen_ns)
    drawn.lines += details.draw(scene, links=False).lines


def _add_news(drawn: Page, screen: ScreenState, frame: Frame, width: int) -> bool:
    """The newest events, if a page has room at its bottom."""
    free = 0
    while free < len(drawn.lines) and not text_of(drawn.lines[-1 - free]).strip():
        free += 1
    height = min(free - 1, NEWS_MOST)
    if height < NEWS_LEAST or not frame.events:
        return False
    scene = _scene(screen, frame, Place(), width, height)
    top = len(drawn.lines) - free + 1
    drawn.lines[top : top + height] = news.draw(scene).lines
    return True


def _set_under(drawn: Page, screen: ScreenState, frame: Frame, room: Rooms) -> None:
    """Time strips below a short list."""
    assert frame.strips is not None
    scene = _scene(screen, frame, Place(), room.list_width, room.under_height)
    values = strip_values(scene)
    found = strips.draw(
        frame.strips, room.list_width, room.under_height, screen.glyphs, scene.zone, values
    )
    drawn.lines[len(drawn.lines) - len(found.lines) :] = found.lines


def _set_beside(
    drawn: Page, screen: ScreenState, frame: Frame, room: Rooms, news_height: int
) -> None:
    """The detail of the selected row at the right, and the newest events below it."""
    wall: Span = (screen.glyphs.wall, "dim")
    beside = screen.beside
    lines: list[Line] = []
    height = room.list_height - news_height
    if beside is not None and beside.frame is not None and beside.key == screen.place.key:
        scene = _scene(screen, beside.frame, Place(), room.beside_width, height, beside.seen_ns)
        lines = details.draw(scene, links=False).lines
    lines += [plain("", room.beside_width)] * (height - len(lines))
    if news_height:
        scene = _scene(screen, frame, Place(), room.beside_width, news_height)
        lines += news.draw(scene).lines
    for row, line in enumerate(lines[: len(drawn.lines)]):
        drawn.lines[row] = (*drawn.lines[row], wall, *line)


def _add_strips(drawn: Page, screen: ScreenState, frame: Frame, height: int) -> None:
    if frame.strips is None:
        said = " no time strips from here: the collector is an older one"
        drawn.lines.append(plain(said, screen.width, "dim"))
        return
    scene = _scene(screen, frame, screen.place, screen.width, height)
    found = strips.draw(
        frame.strips,
        screen.width,
        height,
        screen.glyphs,
        scene.zone,
        strip_values(scene),
        screen.cursor_s,
    )
    top = screen.strips_row = len(drawn.lines)
    drawn.lines += found.lines
    taken = {item.key for item in drawn.items}
    drawn.items += [
        Item(i.key, top + i.row, i.start, i.stop, i.copy) for i in found.items if i.key not in taken
    ]


def own(screen: ScreenState) -> frozenset[str]:
    """The appliance's addresses, from the overview that every screen begins with."""
    overview = screen.frames.get("overview")
    ports = overview.ports if overview is not None else ()
    return frozenset(address for port in ports for address in port.addresses)


def bottom_lines(screen: ScreenState, now: float, room: int) -> list[Line]:
    """The input line, a message, or the hints of the first start, over the page's last lines."""
    if screen.edit is not None:
        return prompt.lines(screen, room)
    if screen.message and now < screen.message_until:
        # whole also where a path takes two lines: what to do with it stands at its end
        parts = wrap(screen.message, screen.width - 2)[: min(MESSAGE_LINES, max(1, room))]
        return [
            Pen(screen.width, screen.glyphs.ellipsis).put(" ").put(p, screen.message_role).line()
            for p in parts
        ]
    if screen.hints:
        return remembered.draw(screen.width, screen.glyphs)
    return []


def too_small(screen: ScreenState) -> Picture:
    text = f"panotui needs {WIDTH_MIN}x{HEIGHT_MIN}, this is {screen.width}x{screen.height}"
    if len(text) > screen.width:
        text = f"{screen.width}x{screen.height} < {WIDTH_MIN}x{HEIGHT_MIN}"
    lines = Page([plain(text, screen.width)]).fill(screen.width, max(0, screen.height - 2)).lines
    blank = plain("", screen.width)
    if screen.height < 3:
        return Picture(plain(text, screen.width), lines, blank)
    return Picture(blank, lines, blank)
