"""Small line plots as inline SVG: time series in, safe markup out.

A second without a record is a grey band and a broken line, never a zero. Long series are folded
into columns: the line is the mean of each, a light area behind it reaches to its fullest second, so
that a short burst in a long night stays visible. Colours come from the page's style sheet, and the
second line is dashed too, so that a black-and-white print can be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 132
LEFT, RIGHT, TOP, BOTTOM = 62, 8, 8, 20
COLUMNS_MAX = 480
_X_STEPS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800, 2_419_200,
)  # fmt: skip
_X_TICKS = 6


@dataclass(frozen=True, slots=True)
class Sample:
    """A value that holds from `start_s` (seconds since the epoch) for `seconds`."""

    start_s: int
    seconds: int
    value: float | None  # None: nothing is known of that time


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name for the legend and its samples in order of time."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def known(self) -> bool:
        """True when there is anything to draw."""
        return any(s.value is not None for s in self.samples)


@dataclass(frozen=True, slots=True)
class Band:
    """A time to point at, such as a freeze."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """Mean and maximum of the samples that fall into one column of the picture."""

    mean: float
    highest: float


def folded(series: Series, start_s: int, end_s: int, columns: int) -> list[Column | None]:
    """The series in `columns` equal parts of [start_s, end_s); None where nothing is known.

    A sample that stands for many seconds weighs for as many of them as fall into the column.
    """
    step = max(1, end_s - start_s) / columns
    weight = [0.0] * columns
    total = [0.0] * columns
    highest = [-math.inf] * columns
    for sample in series.samples:
        if sample.value is None or not math.isfinite(sample.value):
            continue
        low = max(sample.start_s, start_s)
        high = min(sample.start_s + sample.seconds, end_s)
        if low >= high:
            continue
        first = int((low - start_s) / step)
        last = min(columns - 1, math.ceil((high - start_s) / step) - 1)
        for column in range(first, last + 1):
            left, right = start_s + column * step, start_s + (column + 1) * step
            share = min(high, right) - max(low, left)
            if share <= 0:
                continue
            weight[column] += share
            total[column] += share * sample.value
            highest[column] = max(highest[column], sample.value)
    return [Column(total[i] / weight[i], highest[i]) if weight[i] else None for i in range(columns)]


def nice_top(value: float, least: float) -> float:
    """The next round number (1, 2, 4, 5 or 10 times a power of ten) above the value."""
    value = max(value, least)
    power = 10.0 ** math.floor(math.log10(value))
    for factor in (1, 2, 4, 5, 10):
        if value <= factor * power * 1.0000001:
            return factor * power
    return 10 * power


def line_plot(
    series: Sequence[Series],
    start_s: int,
    end_s: int,
    *,
    title: str,
    label: Callable[[float], str],
    least: float = 1.0,
    bands: Sequence[Band] = (),
) -> Markup:
    """An `<svg>` of up to two series over [start_s, end_s]; empty when no series knows anything.

    `label` writes a value of the vertical axis, which starts at zero and reaches `least` at least.
    """
    drawn = [one for one in series if one.known]
    if not drawn:
        return Markup("")
    end_s = max(end_s, start_s + 1)
    count = min(COLUMNS_MAX, end_s - start_s)
    columns = [folded(one, start_s, end_s, count) for one in drawn]
    top = nice_top(max((c.highest for line in columns for c in line if c), default=0.0), least)
    plot = _Plot(start_s, end_s, count, top)
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
    ]
    parts += plot.gaps(columns)
    parts += [plot.band(band) for band in bands if band.end_s > start_s and band.start_s < end_s]
    parts += plot.axes(label)
    for number, line in enumerate(columns[:2]):
        # A column of one second has no inside: its highest is its mean.
        if end_s - start_s > count:
            parts += plot.area(line, number)
        parts += plot.line(line, number)
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - all text in it is escaped above


@dataclass(frozen=True, slots=True)
class _Plot:
    start_s: int
    end_s: int
    count: int
    top: float

    def x_of(self, time_s: float) -> float:
        share = (time_s - self.start_s) / (self.end_s - self.start_s)
        return LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT)

    def x(self, column: int) -> float:
        """The middle of a column."""
        return LEFT + (column + 0.5) / self.count * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = min(1.0, max(0.0, value / self.top))
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def gaps(self, columns: Sequence[Sequence[Column | None]]) -> list[str]:
        known = [any(line[i] is not None for line in columns) for i in range(self.count)]
        width = (WIDTH - LEFT - RIGHT) / self.count
        return [
            f'<rect class="gap" x="{LEFT + first * width:.1f}" y="{TOP}"'
            f' width="{(last + 1 - first) * width:.1f}" height="{HEIGHT - TOP - BOTTOM}">'
            "<title>no record</title></rect>"
            for first, last in _runs([not k for k in known])
        ]

    def band(self, band: Band) -> str:
        left, right = self.x_of(band.start_s), self.x_of(band.end_s)
        return (
            f'<rect class="band" x="{left:.1f}" y="{TOP}" width="{max(2.0, right - left):.1f}"'
            f' height="{HEIGHT - TOP - BOTTOM}"><title>{escape(band.text)}</title></rect>'
        )

    def axes(self, label: Callable[[float], str]) -> list[str]:
        parts = []
        for value in (0.0, self.top / 2, self.top):
            y = self.y(value)
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">'
                f"{escape(label(value))}</text>"
            )
        for time_s, text in time_ticks(self.start_s, self.end_s):
            x = self.x_of(time_s)
            anchor = "middle" if LEFT + 24 < x < WIDTH - 34 else ("start" if x < 200 else "end")
            parts.append(
                f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{HEIGHT - BOTTOM}"'
                f' y2="{HEIGHT - BOTTOM + 4}"/>'
                f'<text x="{x:.1f}" y="{HEIGHT - 4}" text-anchor="{anchor}">{escape(text)}</text>'
            )
        return parts

    def area(self, line: Sequence[Column | None], number: int) -> list[str]:
        parts = []
        for first, last in _runs([column is not None for column in line]):
            over = [
                f"{self.x(i):.1f},{self.y(_of(line[i]).highest):.1f}" for i in _span(first, last)
            ]
            base = f"{self.y(0):.1f}"
            points = [f"{self.x(first):.1f},{base}", *over, f"{self.x(last):.1f},{base}"]
            parts.append(f'<polygon class="a{number}" points="{" ".join(points)}"/>')
        return parts

    def line(self, line: Sequence[Column | None], number: int) -> list[str]:
        path = []
        for first, last in _runs([column is not None for column in line]):
            points = [
                f"{self.x(i):.1f} {self.y(_of(line[i]).mean):.1f}" for i in _span(first, last)
            ]
            # A lone value is a dot: a line of no length with a round end.
            path.append("M" + "L".join(points if len(points) > 1 else points * 2))
        return [f'<path class="l{number}" d="{"".join(path)}"/>'] if path else []


def _of(column: Column | None) -> Column:
    assert column is not None
    return column


def _span(first: int, last: int) -> range:
    return range(first, last + 1)


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """(first, last) of each run of true values."""
    runs: list[tuple[int, int]] = []
    first: int | None = None
    for i, flag in enumerate([*flags, False]):
        if flag and first is None:
            first = i
        elif not flag and first is not None:
            runs.append((first, i - 1))
            first = None
    return runs


def time_ticks(start_s: int, end_s: int) -> list[tuple[int, str]]:
    """Round times between two, at most six, each with its text (UTC)."""
    length = max(1, end_s - start_s)
    step = next((s for s in _X_STEPS if length / s <= _X_TICKS), _X_STEPS[-1])
    shape = "%H:%M:%S" if step < 60 else "%H:%M"
    if step >= 86_400:
        shape = "%d %b"
    elif length > 86_400:
        shape = "%d %b %H:%M"
    ticks = range(-(-start_s // step) * step, end_s + 1, step)
    return [(t, datetime.fromtimestamp(t, UTC).strftime(shape)) for t in ticks][: _X_TICKS + 1]
