"""The detail of one thing: its title and state, charts where it has a history, titled sections.

The text comes from the collector (`Detail.sections`); the charts are drawn here from the record.
The last line lists links that can be opened; `Place.index` is the chosen one, `Place.first` the
first visible text line.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from msgspec.structs import replace

from panotui.tui.cells import cut_middle, width, wrap
from panotui.tui.glyphs import Look, look, role
from panotui.tui.line import Line, plain
from panotui.tui.page import Item, Page, Scene
from panotui.tui.pages import answer, charts, findings, overview, passages, streams, violations
from panotui.tui.quantities import day_clock
from panotui.views.frames import Detail, Section
from panotui.views.words import state_word

LABEL = 16  # cells of a line's label
COLUMN, COLUMNS_MOST = 54, 3  # of sections: least width, largest number


def draw(scene: Scene, *, links: bool = True) -> Page:
    """The detail in the page's height; `Place.first` is limited to the last full page.

    `links`: with the line of links.
    """
    detail = scene.frame.detail
    if detail is None:
        return Page([scene.pen().put(" waiting for the collector", "dim").line()]).fill(
            scene.width, scene.height
        )
    text = lines(detail, scene)
    linked = links and bool(detail.links)
    room = max(1, scene.height - 1 - (1 if linked else 0))
    scene.place.first = max(0, min(scene.place.first, len(text) - room))
    first = scene.place.first
    page = Page([_title(detail, scene, first > 0, first + room < len(text))])
    page.lines.extend(text[first : first + room])
    page.fill(scene.width, scene.height - 1 if linked else scene.height)
    if linked:
        row = len(page.lines)
        line, items = _links(detail, scene, row)
        page.lines.append(line)
        page.items.extend(items)
    return page


def lines(detail: Detail, scene: Scene) -> list[Line]:
    """All text lines below the title."""
    if detail.gone:
        return [scene.pen().put("   It is gone: ended, evicted, or not there at this time.").line()]
    out: list[Line] = []
    if scene.seen_ns is not None:
        out.append(scene.pen().put(f" {_last_seen(scene.seen_ns, scene)}", "warn").line())
    rest = [
        scene.pen().put("   ").put(part, "strong").line()
        for part in _title_parts(detail, scene)[1:]
    ]
    stands = _stands(detail, scene)
    # a finding's sentence comes after its state, the rest of another name before it
    out.extend([*stands, *rest] if detail.finding is not None else [*rest, *stands])
    out.extend(answer.draw(detail, scene, dead=_state(detail, scene)[0] == "bad"))
    out.extend(_charts(detail, scene))
    out.extend(_sections(detail.sections, scene))
    out.extend(answer.rest(detail, scene))
    return out


def _last_seen(seen_ns: int, scene: Scene) -> str:
    """The thing is gone; its last state is shown."""
    why = "The demo has begun again" if scene.frame.header.mode == "demo" else "Not there any more"
    return f"{why}: this is how it was at {scene.when(seen_ns)}."


def _sections(sections: Sequence[Section], scene: Scene) -> list[Line]:
    """One below the other, or in columns of about equal height if these are wide enough."""
    across = min(COLUMNS_MOST, scene.width // COLUMN)
    if across < 2 or len(sections) < 2:
        return [line for section in sections for line in _section(section, scene)]
    cells = scene.width // across
    narrow = replace(scene, width=cells)
    blocks = [_section(section, narrow) for section in sections]
    columns: list[list[Line]] = [[]]
    left = sum(len(block) for block in blocks)
    for block in blocks:
        here = columns[-1]
        # a column ends where the next section would end further below the mean than above it
        mean = -(-(left + len(here)) // (across - len(columns) + 1))
        if here and len(columns) < across and 2 * (len(here) - mean) + len(block) > 0:
            columns.append([])
        columns[-1] += block
        left -= len(block)
    columns += [[] for _ in range(across - len(columns))]
    blank, end = plain("", cells), plain("", scene.width - across * cells)
    return [
        tuple(span for line in (*row, end) for span in line)
        for row in zip_longest(*columns, fillvalue=blank)
    ]


def _section(section: Section, scene: Scene) -> list[Line]:
    out = [scene.pen().put(" ").put(section.title, "head").line()]
    label_cells = max(
        (min(LABEL, width(label) + 2) for label, _ in section.lines if label), default=0
    )
    for label, text in section.lines:
        indent = 3 + label_cells
        first = True
        for part in wrap(scene.manner.words(text), max(10, scene.width - indent - 1)):
            pen = scene.pen().put("   ")
            if label_cells:
                pen.field(label if first else "", label_cells - 1, "dim").put(" ")
            out.append(pen.put(part).line())
            first = False
    return out


# ---------------------------------------------------------------- title


def _state(detail: Detail, scene: Scene) -> tuple[Look, str]:
    if detail.finding is not None:
        finding = detail.finding
        return findings.look_of(finding), f"{findings.state_word(finding)}  {finding.confidence}"
    if detail.violation is not None:
        return violations.look_of(detail.violation), violations.state_word(detail.violation)
    if detail.stream is not None:
        return streams.look_of(detail.stream), state_word(detail.stream)
    if detail.camera is not None:
        return streams.look_of(detail.camera), state_word(detail.camera)
    if detail.endpoint is not None:
        return look(detail.endpoint.state), detail.endpoint.state
    if detail.flow is not None:
        return look(detail.flow.verdict), detail.flow.verdict
    if detail.event is not None:
        return look(detail.event.severity), detail.event.severity
    if detail.port is not None:
        return look(detail.port.standing), overview.port_word(detail.port)
    if detail.passage is not None:
        return passages.look_of(detail.passage), passages.state_word(detail.passage)
    return "unknown", "gone" if detail.gone else ""


def _standing(detail: Detail, scene: Scene) -> tuple[Look, str, str]:
    """Its look, its state, and how long it has lasted."""
    of, words = _state(detail, scene)
    at = day_clock(detail.since_ns, scene.now_ns, scene.zone)
    return of, words, answer.since_words(detail, scene, at)


def _apart(detail: Detail, scene: Scene) -> bool:
    """Whether the state has a line of its own, so that the whole title is shown."""
    if scene.width < answer.NARROW:
        return True
    # a finding's title is its sentence, which is shown below anyway
    return detail.finding is None and width(detail.title) > _room_beside(detail, scene)


def _room_beside(detail: Detail, scene: Scene) -> int:
    _, words, lasts = _standing(detail, scene)
    return scene.width - 6 - width(words) - (2 + width(lasts) if lasts else 0) - 3


def _title_room(detail: Detail, scene: Scene) -> int:
    return scene.width - 8 if _apart(detail, scene) else _room_beside(detail, scene)


def _title_parts(detail: Detail, scene: Scene) -> list[str]:
    """The title in lines. A finding's is its sentence: without room for it, the title is the
    subject, and the whole sentence is below.
    """
    room = max(8, _title_room(detail, scene))
    if detail.finding is None:
        return wrap(detail.title, room) or [""]
    if width(detail.title) <= room:
        return [detail.title]
    about = cut_middle(detail.finding.subject, room, scene.glyphs.ellipsis)
    return [about, *wrap(detail.title, scene.width - 4)]


def _stands(detail: Detail, scene: Scene) -> list[Line]:
    """State and duration, on a line of their own if the title leaves no room."""
    if not _apart(detail, scene):
        return []
    of, words, lasts = _standing(detail, scene)
    pen = scene.pen().put("   ").put(words, role(of)).put("  " if words and lasts else "")
    return [pen.put(lasts, "dim").line()]


def _title(detail: Detail, scene: Scene, above: bool, below: bool) -> Line:
    of, words, lasts = _standing(detail, scene)
    if _apart(detail, scene):
        words, lasts = "", ""
    arrows = (scene.glyphs.more_above if above else " ") + (
        scene.glyphs.more_below if below else " "
    )
    pen = scene.pen().put(" ").put(*scene.mark(of)).put(" ")
    pen.put(_title_parts(detail, scene)[0], "strong")
    pen.to(scene.width - width(words) - (2 + width(lasts) if lasts else 0) - len(arrows) - 2)
    pen.put(words, role(of))
    if lasts:
        pen.put(f"  {lasts}", "dim")
    return pen.put(f" {arrows}", "dim").line()


# ---------------------------------------------------------------- charts


def _charts(detail: Detail, scene: Scene) -> list[Line]:
    if detail.stream is not None:
        return charts.stream_charts(detail.stream, scene)
    if detail.port is not None:
        return charts.port_charts(detail.port, scene)
    return []


# ---------------------------------------------------------------- links


def _links(detail: Detail, scene: Scene, row: int) -> tuple[Line, list[Item]]:
    """The line of links; scrolls sideways so that the chosen one is visible."""
    chosen = max(0, min(scene.place.index, len(detail.links) - 1))
    scene.place.index = chosen
    room = scene.width - 8
    start = chosen
    used = width(detail.links[chosen][0]) + 2
    while start > 0 and used + width(detail.links[start - 1][0]) + 2 <= room:
        start -= 1
        used += width(detail.links[start][0]) + 2
    pen = scene.pen().put(" OPEN ", "head").put("<" if start else " ", "dim")
    items = []
    for text, key in detail.links[start:]:
        if pen.room < 8:
            break
        begin = pen.column
        pen.name(text, "key", keep=1)
        items.append(Item(key, row, begin, pen.column, text))
        pen.put("  ")
    if start + len(items) < len(detail.links):
        pen.right(">", "dim")
    return pen.line(), items
