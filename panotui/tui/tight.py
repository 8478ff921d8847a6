"""Sends a picture in few bytes: exactly the changed spans, without redundant colour codes.

Textual 8.2.8 repeats a line from its start up to a changed span, sets and resets the colour of each
segment, and sends the default colours each time. The compositor's update comes in, the same update
as shorter text goes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rich.color import ColorSystem
from rich.console import Console
from rich.control import Control
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

_DEFAULTS = frozenset(("", "39", "49"))
_EXTENDED = frozenset(("38", "48"))


@lru_cache(maxsize=1024)
def _codes(style: Style | None) -> str:
    """The SGR parameters of a style; empty for the terminal's own."""
    if style is None:
        return ""
    codes = iter(Strip.render_ansi(style, ColorSystem.EIGHT_BIT).split(";"))
    kept: list[str] = []
    for code in codes:
        if code in _EXTENDED:  # a colour of the 256 is three parameters
            kept += [code, next(codes), next(codes)]
        elif code not in _DEFAULTS:
            kept.append(code)
    return ";".join(kept)


def sequences(strips: Iterable[Strip]) -> str:
    """The text of adjacent strips, with their styles; the style is reset at the end."""
    out: list[str] = []
    current = ""
    for strip in strips:
        for text, style, _ in strip:
            codes = _codes(style)
            if codes != current:
                out.append(f"\x1b[0;{codes}m" if codes and current else f"\x1b[{codes}m")
                current = codes
            out.append(text)
    if current:
        out.append("\x1b[m")
    return "".join(out)


class TightUpdate(ChopsUpdate):
    """Some spans of the screen, without lines that the terminal already shows.

    `shown` maps rows to the content last sent for the whole row; it is updated here.
    """

    def __init__(self, update: ChopsUpdate, width: int, shown: dict[int, str]) -> None:
        super().__init__(update.chops, update.spans, update.chop_ends)
        out: list[str] = []
        for y, x1, x2 in self.spans:
            parts: list[Strip] = []
            first = x2
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= x2 or end <= x1:
                    continue
                start = max(x, x1)
                first = min(first, start)
                parts.append(strip.crop(start - x, min(end, x2) - x))
            text = sequences(parts)
            if x1 == 0 and x2 >= width:
                if shown.get(y) == text:
                    continue
                shown[y] = text
            else:
                shown.pop(y, None)
            if parts:
                out.append(Control.move_to(first, y).segment.text + text)
        self.text = "".join(out)

    def render_segments(self, console: Console) -> str:
        """The terminal sequences of all spans: a move, then exactly the span's cells."""
        return self.text


class TightLayout(LayoutUpdate):
    """The whole screen, without the lines that the terminal already shows.

    `shown` maps rows to the content last sent for the whole row; it is updated here.
    """

    def __init__(self, update: LayoutUpdate, shown: dict[int, str]) -> None:
        super().__init__(update.strips, update.region)
        x, top = update.region.offset
        out: list[str] = []
        for y, line in enumerate(update.strips, top):
            text = sequences(line)
            if shown.get(y) != text:
                shown[y] = text
                out.append(Control.move_to(x, y).segment.text + text)
        self.text = "".join(out)

    def render_segments(self, console: Console) -> str:
        """The terminal sequences of the lines that differ."""
        return self.text
