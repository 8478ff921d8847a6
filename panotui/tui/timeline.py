"""The time line of a review: the strips of the recording, its events, the position in time.

A `ReviewState` and the strips around its position come in; the lines above the page go out. A gap
(recorder off) is blank, never green, and an outage is drawn as an outage.
"""

from __future__ import annotations

from datetime import tzinfo

from panotui.model import SECOND
from panotui.tui.cells import distinct
from panotui.tui.glyphs import Glyphs, Role, look, role
from panotui.tui.line import Line, Pen
from panotui.tui.quantities import clock, moment
from panotui.tui.strips import cell_spans
from panotui.views.frames import ReviewState, Strips

_SEVERITIES = {"info": 0, "warning": 1, "error": 2}


def label_width(width: int) -> int:
    """Cells before the line: names of cameras need more than the least."""
    return 10 if width < 100 else 20


def height(review: ReviewState | None, strips: Strips | None) -> int:
    """Lines of the time line: the scale, the strips, the events."""
    if review is None:
        return 0
    return 2 + (len(strips.strips) if strips is not None else 0)


def draw(
    review: ReviewState, strips: Strips | None, width: int, glyphs: Glyphs, zone: tzinfo | None
) -> list[Line]:
    """The scale with the position in time, one strip per subject, the events."""
    label = label_width(width)
    if strips is None or not strips.strips:
        fit = max(10, width - label - 2)
        start_s = review.start_ns // SECOND
        known_s = review.end_ns // SECOND - start_s + 1
        cells, whole = min(fit, known_s), max(1, -(-known_s // fit))
        strips = Strips(
            start_s=start_s, end_s=start_s + whole * cells, cell_s=whole, first_s=start_s
        )
        many = cells
    else:
        many = len(strips.strips[0].cells)
    room = max(many, width - label - 2)  # a short recording fills the line
    span_s = strips.cell_s * many
    here = (review.position_ns // SECOND - strips.start_s) * room // span_s
    here = max(0, min(room - 1, here))
    lines = [_scale(review, strips, width, room, here, glyphs, zone)]
    names = distinct(tuple(s.label for s in strips.strips), label - 2, glyphs.ellipsis)
    for strip in strips.strips:
        pen = (
            Pen(width, glyphs.ellipsis)
            .put(" ")
            .field(names[strip.label], label - 2, "dim")
            .put(" ")
        )
        shown = "".join(strip.cells[at * many // room] for at in range(room))
        pen.spans(cell_spans(shown, glyphs))
        lines.append(pen.line())
    lines.append(_events(review, strips, width, room, span_s, glyphs))
    return lines


def _scale(
    review: ReviewState,
    strips: Strips,
    width: int,
    many: int,
    here: int,
    glyphs: Glyphs,
    zone: tzinfo | None,
) -> Line:
    """Both ends are labelled with their time; the position's mark never covers them."""
    start_ns, end_ns = strips.start_s * SECOND, strips.end_s * SECOND
    days = moment(start_ns, zone).date() != moment(end_ns, zone).date()
    letters = 8 if end_ns - start_ns <= 600 * SECOND and many >= 60 else 5  # with seconds
    start, end = (
        f"{moment(t, zone):%m-%d %H:%M}" if days and many >= 60 else clock(t, zone)[:letters]
        for t in (start_ns, end_ns)
    )
    ruler = list("-" * many)
    ruler[: len(start) + 1] = f"{start} "
    ruler[many - len(end) - 1 :] = f" {end}"
    pen = Pen(width, glyphs.ellipsis).put(" ")
    word = ">" if review.playing else "="
    pen.field(f"{word} x{review.speed:g}", label_width(width) - 2, "key").put(" ")
    # inside a label, the position is marked on its letter
    sign = "|" if ruler[here] in "- " else ruler[here]
    pen.put("".join(ruler[:here]), "dim").put(sign, "cursor")
    return pen.put("".join(ruler[here + 1 :]), "dim").line()


def _events(
    review: ReviewState, strips: Strips, width: int, many: int, span_s: int, glyphs: Glyphs
) -> Line:
    worst: dict[int, str] = {}
    for time_ns, severity, _ in review.marks:
        at = (time_ns // SECOND - strips.start_s) * many // span_s
        if not 0 <= at < many:
            continue
        if _SEVERITIES.get(severity, 0) >= _SEVERITIES.get(worst.get(at, ""), -1):
            worst[at] = severity
    pen = Pen(width, glyphs.ellipsis).put(" ")
    pen.field("events", label_width(width) - 2, "dim").put(" ")
    signs = {"error": glyphs.bad, "warning": glyphs.warn}
    for cell in range(many):
        kind = worst.get(cell)
        shown: Role = role(look(kind)) if kind else "plain"
        pen.put(" " if kind is None else signs.get(kind, "."), shown)
    return pen.line()
