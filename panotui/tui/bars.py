"""The line above every page and the lines below it.

The header always shows site, topology, vantage, both ports' state, packets lost by this tool, the
recording light, the local clock of packet time, and whether the picture is frozen or late. Parts
that do not fit are dropped by rank. The footer shows the keys that work here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import tzinfo

from msgspec import Struct

from panotui.model import SECOND
from panotui.tui.cells import cut_middle, width
from panotui.tui.glyphs import Glyphs, Look, Role, glyph, look, role
from panotui.tui.keys import Key, written
from panotui.tui.line import Line, Pen, Span
from panotui.tui.quantities import clock, count, stopwatch
from panotui.views.frames import Header
from panotui.views.subjects import BY_NAME, PANES

KEYS_CELLS = 14  # of the pane line that are kept for keys
TWO_ROWS_HEIGHT = 20  # from here on the footer may take two lines
SITE_CELLS = 12  # of the site's name that other parts never use


class _Part(Struct, frozen=True):
    spans: Sequence[Span]
    rank: int  # dropped first if there is no room: highest; 0 never
    right: bool = False
    short: Sequence[Span] | None = None  # short form, before anything is dropped

    @property
    def cells(self) -> int:
        return sum(width(text) for text, _ in self.spans)


def header_line(
    header: Header,
    cells: int,
    glyphs: Glyphs,
    zone: tzinfo | None,
    frozen_s: float | None = None,
    late_s: float | None = None,
    *,
    private: bool = False,
) -> Line:
    """The header; `frozen_s` is the age of a frozen picture, `late_s` that of a silent collector's
    last answer, `private` means that names and addresses are masked.
    """
    parts = [*_left(header, glyphs), *_right(header, glyphs, zone, frozen_s, late_s)]
    if private:
        parts.append(_Part([("MASKED", "warn")], 0))
    site = header.site.name or "no site"
    # The site's name is shortened before anything else is dropped, but stays readable.
    parts[0] = _Part([(cut_middle(site, SITE_CELLS, glyphs.ellipsis), "strong")], 0)
    for number, part in enumerate(parts):
        if part.short is not None and _needed(_worth_keeping(parts)) > cells:
            parts[number] = _Part(part.short, part.rank, part.right)
    while _needed(parts) > cells:
        droppable = [part for part in parts if part.rank]
        if not droppable:
            break
        parts.remove(max(droppable, key=lambda part: part.rank))
    room = cells - _needed(parts) + parts[0].cells
    parts[0] = _Part([(cut_middle(site, max(4, room), glyphs.ellipsis), "strong")], 0)
    pen = Pen(cells, glyphs.ellipsis).put(" ")
    for part in (p for p in parts if not p.right):
        pen.spans(part.spans).put("  ")
    rights = [p for p in parts if p.right]
    pen.to(cells - 1 - sum(p.cells for p in rights) - 2 * (len(rights) - 1))
    for number, part in enumerate(rights):
        pen.put("  " if number else "").spans(part.spans)
    return pen.line()


def _worth_keeping(parts: Sequence[_Part]) -> list[_Part]:
    """Without droppable parts: nothing is shortened for their sake."""
    return [part for part in parts if part.rank < 5]


def _needed(parts: Sequence[_Part]) -> int:
    return sum(part.cells + 2 for part in parts)


def _left(header: Header, glyphs: Glyphs) -> list[_Part]:
    site = header.site
    parts = [_Part([(site.name or "no site", "strong")], 0)]
    if header.mode == "review":
        parts.append(_Part([("REVIEW", "warn")], 0))
        if header.recorder is not None:
            name = os.path.basename(header.recorder.path.rstrip("/"))
            parts.append(_Part([(cut_middle(name, 24, glyphs.ellipsis), "plain")], 4))
    elif header.mode == "demo":
        parts.append(_Part([("DEMO", "warn")], 3))
    guessed = "?" if "topology" in site.inferred else ""
    if site.topology:
        parts.append(_Part([(f"{site.topology}{guessed}", "plain")], 6))
    vantage = f"{site.vantage or 'vantage -'}{' one-way' if site.one_way else ''}"
    parts.append(_Part([(vantage, "warn" if site.one_way else "plain")], 5))
    if site.region:
        parts.append(_Part([(site.region, "plain")], 9))
    if site.mode != "normal":
        parts.append(_Part([(site.mode, "warn")], 7))
    parts.append(_ports(header, glyphs))
    return parts


def _ports(header: Header, glyphs: Glyphs) -> _Part:
    """Every port's state; in one word if they agree and there is little room."""
    if not header.ports:
        return _Part([("ports -", "dim")], 2)
    spans: list[Span] = []
    for name, _, state in header.ports[:4]:
        of = look(state)
        text = f"{cut_middle(name, 8, glyphs.ellipsis)} {_marked(state, of, glyphs)}"
        spans.append((("  " if spans else "") + text, role(of)))
    states = {state for _, _, state in header.ports}
    if len(states) > 1 or len(header.ports) == 1:
        return _Part(spans, 0)
    state = states.pop()
    of = look(state)
    text = f"{len(header.ports)} ports {_marked(state, of, glyphs)}"
    return _Part(spans, 0, short=[(text, role(of))])


def _marked(state: str, of: Look, glyphs: Glyphs) -> str:
    """A state with its glyph; "unknown" needs none."""
    return state if of == "unknown" else f"{glyph(glyphs, of)}{state}"


def _right(
    header: Header,
    glyphs: Glyphs,
    zone: tzinfo | None,
    frozen_s: float | None,
    late_s: float | None,
) -> list[_Part]:
    parts: list[_Part] = []
    if late_s is not None:
        late: list[Span] = [(f"no news {late_s:.0f} s", "bad")]
        parts.append(_Part([(f"no news for {late_s:.0f} s", "bad")], 0, True, late))
    if frozen_s is not None:
        parts.append(_Part([(f"FROZEN -{frozen_s:.0f} s", "warn")], 0, True))
    recorder = header.recorder
    if header.mode != "review":
        if recorder is None:
            parts.append(_Part([("not rec", "dim")], 1, True))
        elif recorder.state == "recording":
            took = stopwatch((header.time_ns - recorder.since_ns) / SECOND)
            short: list[Span] = [(glyphs.record, "bad"), ("REC", "plain")]
            parts.append(_Part([short[0], (f"REC {took}", "plain")], 0, True, short))
        else:
            parts.append(_Part([(f"{glyphs.bad}REC {recorder.state}", "bad")], 0, True))
    lost: Role = "bad" if header.lost else "plain"
    parts.append(_Part([(f"lost {count(header.lost)}", lost)], 0, True))
    here: list[Span] = [(clock(header.time_ns, zone), "strong")]
    text = clock(header.time_ns, zone, with_zone=True)
    parts.append(_Part([(text, "strong")], 0, True, here))
    return parts


def footer_rows(pane: str | None, keys: Sequence[Key], cells: int, height: int) -> int:
    """One line if all keys fit beside the panes, else two; one on a low terminal."""
    if height < TWO_ROWS_HEIGHT:
        return 1
    need = sum(width(written(key)) + width(key.label) + 3 for key in keys if key.footer)
    if pane is not None:
        need += sum(len(word) + 3 for word in _words(cells))
    return 1 if need + 2 <= cells else 2


def footer(
    pane: str | None, keys: Sequence[Key], cells: int, height: int, glyphs: Glyphs
) -> list[Line]:
    """The keys that work here and the panes with their digits, in one line or two; without panes in
    a detail.
    """
    if footer_rows(pane, keys, cells, height) == 1:
        pen = Pen(cells, glyphs.ellipsis)
        if pane is not None:
            _put_panes(pen, pane, cells)
        _put_keys(pen, keys, ("?", "/", "q") if pane is not None else ("escape", "?", "q"))
        return [pen.line()]
    always = ("?", "q")
    first, second = Pen(cells, glyphs.ellipsis), Pen(cells, glyphs.ellipsis)
    if pane is not None:
        _put_panes(second, pane, cells)
    shown = sorted((key for key in keys if key.footer), key=lambda key: key.footer)
    last = [key for key in shown if key.keys[0] in always]
    reserved = 2 + sum(width(written(key)) + width(key.label) + 3 for key in last)
    for key in shown:
        need = width(written(key)) + width(key.label) + 3
        if key in last:
            continue
        for pen, kept in ((first, 0), (second, reserved)):
            if pen.room >= need + kept + 1:
                pen.put("  ").put(written(key), "key").put(f" {key.label}", "dim")
                break
    _put_keys(second, last, always)
    return [first.line(), second.line()]


def _words(cells: int) -> list[str]:
    words = ["Overview", *(BY_NAME[name].name.capitalize() for name in PANES[1:])]
    if sum(len(word) + 3 for word in words) + KEYS_CELLS > cells:
        words = ["Over", *(BY_NAME[name].short for name in PANES[1:])]
    return [word[:3] for word in words] if cells < 70 else words


def _put_panes(pen: Pen, pane: str, cells: int) -> None:
    for number, (name, word) in enumerate(zip(PANES, _words(cells), strict=True), 1):
        if name == pane:
            pen.put(" ").put(f"{number} {word}", "bar")
        else:
            pen.put(" ").put(str(number), "key").put(f" {word}", "dim")


def _put_keys(pen: Pen, keys: Sequence[Key], always: Sequence[str]) -> None:
    """Keys with their words while there is room; the most important at least by their sign."""
    shown = sorted((key for key in keys if key.footer), key=lambda key: key.footer)
    short = [key for key in shown if key.keys[0] in always]
    reserve = sum(width(written(key)) + 1 for key in short)
    for key in shown:
        text = written(key)
        need = width(text) + width(key.label) + 4
        if key in short:
            reserve -= width(text) + 1
        if pen.room >= need + reserve + 1:
            pen.put("  ").put(text, "key").put(f" {key.label}", "dim")
        elif key in short and pen.room > width(text) + 1:
            pen.put(" ").put(text, "key")
