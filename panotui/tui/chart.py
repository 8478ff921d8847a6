"""History as text: one line of bars, or a small block of them; a gap stays a gap.

In come values a second, newest last, `None` where nothing is known; out comes text of exactly the
asked width, newest at the right.
"""

from __future__ import annotations

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


def block(history: History, width: int, height: int, glyphs: Glyphs) -> tuple[list[str], float]:
    """The newest `width` values as `height` lines of bars (top first), and the value of a full one.

    A value above zero shows at least the lowest bar; unknown is blank in every line.
    """
    values = _window(history, width)
    peak = float(max((v for v in values if v is not None), default=0))
    steps = len(glyphs.bars)
    eighths = [
        -1 if v is None else 0 if peak <= 0 or v <= 0 else max(1, round(v / peak * steps * height))
        for v in values
    ]
    lines = []
    for level in range(height - 1, -1, -1):
        line = []
        for value in eighths:
            above = value - level * steps
            if value < 0 or above <= 0:
                line.append(glyphs.bars[0] if value == 0 and level == 0 else " ")
            else:
                line.append(glyphs.bars[min(steps, above) - 1])
        lines.append("".join(line))
    return lines, peak


def marks(history: History, width: int, mark: str) -> str:
    """`mark` under every second whose value is above zero."""
    return "".join(mark if value else " " for value in _window(history, width))
