"""History as text: one line of bars, or a small block of them; a gap stays a gap.

Values per second come in, newest last, `None` if unknown; text of exactly the requested width goes
out, newest at the right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from panotui.tui.glyphs import Glyphs

History = Sequence[float | int | None]


def _window(history: History, width: int) -> list[float | int | None]:
    tail = list(history[-width:]) if width > 0 else []
    return [None] * (width - len(tail)) + tail


def sparkline(history: History, width: int, glyphs: Glyphs, top: float | None = None) -> str:
    """The newest `width` values as one line of bars, scaled to their maximum (or to `top`).

    Zero is the lowest bar, unknown is a blank.
    """
    values = _window(history, width)
    known = [v for v in values if v is not None]
    peak = top if top is not None else max(known, default=0)
    steps = len(glyphs.bars) - 1
    out = []
    for value in values:
        if value is None:
            out.append(" ")
        elif peak <= 0:
            out.append(glyphs.bars[0])
        else:
            out.append(glyphs.bars[min(steps, max(0, round(value / peak * steps)))])
    return "".join(out)


def scale(peak: float) -> float:
    """The top of a chart: 1, 2 or 5 times a power of ten, so that it changes only in steps."""
    if peak < 1e-9:
        return 1.0
    power = 10.0 ** math.floor(math.log10(peak))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= peak * (1 - 1e-9))


_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of a braille cell, downwards


def curve(history: History, width: int, height: int, glyphs: Glyphs, top: float) -> list[str]:
    """The newest values as filled curves of `height` lines (top first) up to `top`.

    Two values per cell in braille, one per cell in ASCII; unknown is blank, zero a line at the
    bottom.
    """
    if not glyphs.braille:
        values = _window(history, width)
        steps = len(glyphs.bars)
        return [
            "".join(_bar(v, level, height, steps, top, glyphs) for v in values)
            for level in range(height - 1, -1, -1)
        ]
    values = _window(history, 2 * width)
    levels = height * 4
    rows = [[0] * width for _ in range(height)]
    for place, value in enumerate(values):
        if value is None:
            continue
        filled = max(1, min(levels, math.ceil(value / top * levels - 1e-9)))
        for dot in range(filled):
            row, within = divmod(levels - 1 - dot, 4)
            rows[row][place // 2] |= _DOTS[place % 2][within]
    return ["".join(chr(0x2800 + bits) if bits else " " for bits in row) for row in rows]


def _bar(
    value: float | int | None, level: int, height: int, steps: int, top: float, glyphs: Glyphs
) -> str:
    if value is None:
        return " "
    eighths = max(1, round(min(1.0, value / top) * steps * height)) - level * steps
    return " " if eighths <= 0 else glyphs.bars[min(steps, eighths) - 1]
