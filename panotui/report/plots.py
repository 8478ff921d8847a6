"""Plots of a report: samples in, one SVG element out; no script, no font, no outside reference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

Point = tuple[float, float | None]  # (seconds since the epoch, value); None: no record

WIDTH, HEIGHT = 860, 130
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 8, 22
POINTS_MAX = 600


def scaled(value: float, unit: str) -> str:
    """A value with a prefix: 2.5 Mb/s."""
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def thinned(points: Sequence[Point], most: int = POINTS_MAX) -> list[Point]:
    """At most `most` points: of each stretch its largest value, so that a peak never vanishes."""
    if len(points) <= most:
        return list(points)
    size = -(-len(points) // most)
    out: list[Point] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        known = [p for p in stretch if p[1] is not None]
        out.append(max(known, key=lambda p: p[1] or 0.0) if known else stretch[0])
    return out


def line_plot(
    series: Sequence[tuple[str, Sequence[Point]]],
    start_s: float,
    end_s: float,
    unit: str,
    gap_s: float = 5.0,
) -> str:
    """An SVG of lines over time. A hole of more than `gap_s` between samples stays a hole."""
    shown = [(name, thinned(points)) for name, points in series]
    values = [v for _, points in shown for _, v in points if v is not None]
    top = max(values, default=0.0) or 1.0
    span = max(end_s - start_s, 1.0)
    step = max(gap_s, 2.5 * span / POINTS_MAX)

    def x(time_s: float) -> float:
        return LEFT + (time_s - start_s) / span * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" class="plot">']
    for share in (0.0, 0.5, 1.0):
        height = y(top * share)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}"'
            f' y2="{height:.1f}"/><text class="axis" x="{LEFT - 6}" y="{height + 4:.1f}"'
            f' text-anchor="end">{escape(scaled(top * share, unit))}</text>'
        )
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = start_s + span * share
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        label = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
        parts.append(
            f'<text class="axis" x="{x(at):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">'
            f"{label}</text>"
        )
    for number, (name, points) in enumerate(shown):
        for run in _runs(points, step):
            path = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in run)
            parts.append(f'<polyline class="line s{number % 6}" points="{path}"/>')
        parts.append(
            f'<text class="key s{number % 6}" x="{LEFT + 8 + 150 * number}" y="{TOP + 10}">'
            f"{escape(name)}</text>"
        )
    parts.append("</svg>")
    return "".join(parts)


def _runs(points: Sequence[Point], step: float) -> list[list[tuple[float, float]]]:
    """The points in stretches without holes."""
    runs: list[list[tuple[float, float]]] = []
    last: float | None = None
    for time_s, value in points:
        if value is None:
            last = None
            continue
        if last is None or time_s - last > step:
            runs.append([])
        runs[-1].append((time_s, value))
        last = time_s
    return runs
