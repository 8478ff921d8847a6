"""The time line of a review: bands of what was well and what was not, marks, the place in time.

In comes a `ReviewState`, out come the lines above the page. A gap (recorder off) is blank, never
green, and neither is what nobody knew. Band letters: `#` ok, `!` warning, `x` bad, `-` recorded but
nothing known, `.` no record.
"""

from __future__ import annotations

from datetime import tzinfo

from panotui.tui.glyphs import Glyphs, Role, look, role
from panotui.tui.line import Line, Pen
from panotui.tui.quantities import clock
from panotui.views.frames import ReviewState

_LABEL = 8
BANDS_MAX = 4
_BAND_ROLES: dict[str, Role] = {"#": "ok", "!": "warn", "x": "bad", "-": "dim", ".": "dim"}
_SEVERITIES = {"info": 0, "warning": 1, "error": 2}


def height(review: ReviewState | None) -> int:
    """Lines that the time line takes: the scale, the bands, the events."""
    return 0 if review is None else 2 + min(BANDS_MAX, len(review.bands))


def draw(review: ReviewState, width: int, glyphs: Glyphs, zone: tzinfo | None) -> list[Line]:
    cells = max(10, width - _LABEL - 2)
    here = _column(review.position_ns, review, cells)
    lines = [_scale(review, width, cells, here, glyphs, zone)]
    for label, letters in review.bands[:BANDS_MAX]:
        pen = Pen(width, glyphs.ellipsis).put(" ").field(label, _LABEL - 1, "dim").put(" ")
        for letter in _blank_gaps(_stretched(letters, cells), review, cells):
            pen.put(glyphs.band.get(letter, " "), _BAND_ROLES.get(letter, "dim"))
        lines.append(pen.line())
    lines.append(_events(review, width, cells, here, glyphs))
    return lines


def _column(time_ns: int, review: ReviewState, cells: int) -> int:
    whole = max(1, review.end_ns - review.start_ns)
    return max(0, min(cells - 1, int((time_ns - review.start_ns) / whole * cells)))


def _stretched(letters: str, cells: int) -> str:
    """As many letters as cells; where several share one, the worst is shown."""
    if not letters:
        return "." * cells
    out = []
    for cell in range(cells):
        start = cell * len(letters) // cells
        stop = max(start + 1, (cell + 1) * len(letters) // cells)
        part = letters[start:stop]
        out.append(next((letter for letter in "x!#-" if letter in part), "."))
    return "".join(out)


def _blank_gaps(letters: str, review: ReviewState, cells: int) -> str:
    """Nothing was recorded in a gap, so nothing is shown there."""
    out = list(letters)
    for start_ns, end_ns in review.gaps:
        first = (start_ns - review.start_ns) * cells / max(1, review.end_ns - review.start_ns)
        last = (end_ns - review.start_ns) * cells / max(1, review.end_ns - review.start_ns)
        for cell in range(max(0, round(first)), min(cells, max(round(last), round(first) + 1))):
            out[cell] = "."
    return "".join(out)


def _scale(
    review: ReviewState, width: int, cells: int, here: int, glyphs: Glyphs, zone: tzinfo | None
) -> Line:
    start = clock(review.start_ns, zone)[:5]
    end = clock(review.end_ns, zone)[:5]
    ruler = list("-" * cells)
    ruler[: len(start) + 1] = f"{start} "
    ruler[len(ruler) - len(end) - 1 :] = f" {end}"
    pen = Pen(width, glyphs.ellipsis).put(" ")
    word = ">" if review.playing else "="
    pen.field(f"{word} x{review.speed:g}", _LABEL - 1, "key").put(" ")
    # the cursor stands on the line, never on a time that is to be read: there it is marked instead
    sign = "|" if ruler[here] == "-" or ruler[here] == " " else ruler[here]
    pen.put("".join(ruler[:here]), "dim").put(sign, "cursor")
    pen.put("".join(ruler[here + 1 :]), "dim")
    return pen.line()


def _events(review: ReviewState, width: int, cells: int, here: int, glyphs: Glyphs) -> Line:
    worst: dict[int, str] = {}
    for time_ns, severity, _ in review.marks:
        at = _column(time_ns, review, cells)
        if _SEVERITIES.get(severity, 0) >= _SEVERITIES.get(worst.get(at, ""), -1):
            worst[at] = severity
    pen = Pen(width, glyphs.ellipsis).put(" ").field("events", _LABEL - 1, "dim").put(" ")
    signs = {"error": glyphs.bad, "warning": glyphs.warn}
    for cell in range(cells):
        kind = worst.get(cell)
        if kind is None:
            pen.put(" ")
        else:
            pen.put(signs.get(kind, "."), role(look(kind)))
    return pen.line()
