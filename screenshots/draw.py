"""A picture of the screen's lines as SVG: text by cells, bars and dots as shapes.

Bars, blocks and braille are drawn as shapes, so that a viewer's fonts cannot break them. The lines
of a `Picture` and the styles of a theme come in, the SVG goes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from rich.style import Style

from panotui.tui.glyphs import Role
from panotui.tui.line import Line, cells_of

CELL, LINE = 9.0, 19.0  # of one character, in pixels
MARGIN = 14.0
GROUNDS = {"dark": ("#15181e", "#d4d7dd"), "light": ("#ffffff", "#1d2024")}  # (back, front)
_EIGHTHS = "▁▂▃▄▅▆▇█"
_SHADES = {"▒": 3, "░": 6}  # pixels from one hatching line to the next
_DOTS = ((0x01, 0, 0), (0x02, 0, 1), (0x04, 0, 2), (0x40, 0, 3),
         (0x08, 1, 0), (0x10, 1, 1), (0x20, 1, 2), (0x80, 1, 3))  # fmt: skip


def svg(lines: Sequence[Line], styles: Mapping[Role, Style], ground: str, title: str = "") -> str:
    """The whole picture."""
    back, front = GROUNDS[ground]
    columns = max(len(cells_of(line)) for line in lines)
    width, height = columns * CELL + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="DejaVu Sans Mono, Menlo, Consolas, '
        f'monospace" font-size="14.95" xml:space="preserve">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{back}"/>',
    ]
    for row, line in enumerate(lines):
        parts += _row(line, row, styles, back, front)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(line: Line, row: int, styles: Mapping[Role, Style], back: str, front: str) -> list[str]:
    out: list[str] = []
    top = MARGIN + row * LINE
    column = 0
    for text, role in line:
        style = styles[role]
        colour = front
        if style.color is not None:
            red, green, blue = style.color.get_truecolor()
            colour = f"#{red:02x}{green:02x}{blue:02x}"
        cells = cells_of(((text, role),))
        left = MARGIN + column * CELL
        if style.reverse:
            size = len(cells) * CELL
            out.append(_rect(left, top, size, LINE, colour))
            colour = back
        shown = "".join(" " if _drawn(c) else c or "" for c, _ in cells)
        if shown.strip():
            out += _words(cells, left, top, colour, bool(style.bold))
        for place, (character, _) in enumerate(cells):
            if _drawn(character):
                out += _shape(character, left + place * CELL, top, colour)
        column += len(cells)
    return out


def _words(
    cells: Sequence[tuple[str, Role]], left: float, top: float, colour: str, bold: bool
) -> list[str]:
    """Each word at its own position, as wide as its cells."""
    out: list[str] = []
    word, start = "", 0
    weight = ' font-weight="bold"' if bold else ""
    for place, (character, _) in enumerate([*cells, (" ", "plain")]):
        if character != "" and (character == " " or _drawn(character)):
            if word:
                x, size = left + start * CELL, (place - start) * CELL
                out.append(
                    f'<text x="{x:g}" y="{top + LINE * 0.74:g}" fill="{colour}"{weight} '
                    f'textLength="{size:g}" lengthAdjust="spacingAndGlyphs">{escape(word)}</text>'
                )
            word = ""
        else:
            start = place if not word else start
            word += character
    return out


def _drawn(character: str) -> bool:
    return bool(character) and (
        character in _EIGHTHS or character in _SHADES or "\u2800" <= character <= "\u28ff"
    )


def _shape(character: str, left: float, top: float, colour: str) -> list[str]:
    # the bottom and top of a line stay free, so that the strips of two rows are separate
    foot, tall = top + LINE - 1.5, LINE - 4
    if character in _SHADES:
        return _hatched(left, foot - tall, tall, colour, _SHADES[character])
    if character in _EIGHTHS:
        high = tall * (_EIGHTHS.index(character) + 1) / 8
        gap = 0 if character == "█" else 1
        return [_rect(left, foot - high, CELL - gap, high, colour)]
    bits = ord(character) - 0x2800
    return [
        _rect(left + 0.6 + x * CELL / 2, top + 0.5 + y * LINE / 4, CELL / 2 - 0.8, LINE / 4 - 0.9,
              colour)
        for bit, x, y in _DOTS
        if bits & bit
    ]  # fmt: skip


def _hatched(left: float, top: float, tall: float, colour: str, step: int) -> list[str]:
    """A cell with vertical lines, which distinguish it from a full one without colour."""
    count = round(CELL / step)
    each = CELL / count
    return [_rect(left + n * each, top, each * 0.6, tall, colour) for n in range(count)]


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{colour}"/>'
