"""Hour by hour over days: runs of cells in, a small picture out, one row per day and one column per
hour.

The colour of an hour shows the share that was lost, and so does the size of its mark, so that a
daily pattern (every night at two) is visible, also in black and white. Hours are local.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from panotui.report.wording import LocalTime, duration, per_cent
from panotui.state.strips import Run, Tally, tally

HOUR_S = 3600
LEFT, TOP, CELL, ROW = 44, 14, 10, 12
DAYS_MAX = 31


def heat(runs: Sequence[Run], start_s: int, end_s: int, time: LocalTime, name: str) -> Markup:
    """An `<svg>` of the hours of at most the last 31 days in [start_s, end_s)."""
    days = _days(start_s, end_s, time)[-DAYS_MAX:]
    width, height = LEFT + 24 * CELL + 4, TOP + ROW * len(days) + 2
    title = f"{name}, hour by hour"
    parts = [
        f'<svg class="heat" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
    ]
    parts += [f'<text x="{LEFT + hour * CELL}" y="10">{hour:02}</text>' for hour in range(0, 24, 6)]
    for row, (midnight, text) in enumerate(days):
        y = TOP + row * ROW
        parts.append(f'<text x="0" y="{y + 9}">{escape(text)}</text>')
        for hour in range(24):
            low = midnight + hour * HOUR_S
            if low + HOUR_S <= start_s or low >= end_s:
                continue
            parts.append(_cell(tally(runs, low, low + HOUR_S), LEFT + hour * CELL, y, text, hour))
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - all text in it is escaped above


def _days(start_s: int, end_s: int, time: LocalTime) -> list[tuple[int, str]]:
    """(midnight, text) of each local day in the span."""
    found: list[tuple[int, str]] = []
    moment = start_s - (start_s + time.offset_s(start_s)) % 86_400
    while moment < end_s:
        at = time.at(moment + 12 * HOUR_S)
        found.append((moment, "" if at is None else f"{at:%a} {at.day}"))
        following = moment + 36 * HOUR_S  # the middle of the next day, whatever its clock does
        moment = following - (following + time.offset_s(following)) % 86_400
    return found


def _cell(found: Tally, x: int, y: int, day: str, hour: int) -> str:
    share = found.availability
    words = f"{day} {hour:02}:00 "
    if share is None:
        words += "nothing asked" if found.unasked_s else "not recorded"
        level = "unasked" if found.unasked_s else "blank"
    else:
        words += per_cent(share) + (f", {duration(found.dead_s)} lost" if found.dead_s else "")
        bad = found.dead_s > 0
        level = ("dead" if found.dead_s >= 600 else "part") if bad else (
            "damaged" if found.damaged_s >= 60 else "well"
        )  # fmt: skip
    size = CELL - 1
    square = (
        f'<rect class="{level}" x="{x}" y="{y}" width="{size}" height="{size}">'
        f"<title>{escape(words)}</title></rect>"
    )
    if found.dead_s and share is not None:
        mark = 2 + (size - 2) * min(1.0, found.dead_s / HOUR_S)
        inset = (size - mark) / 2
        square += (
            f'<rect class="mark" x="{x + inset:.1f}" y="{y + inset:.1f}"'
            f' width="{mark:.1f}" height="{mark:.1f}"/>'
        )
    return square
