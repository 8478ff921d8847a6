"""Small line plots as inline SVG: time series in, safe markup out.

A second without a record is a grey band and a gap in the line, never a zero. If the recorder ran
and a camera sent nothing, its rate was zero and is drawn as zero. Long series are folded into
columns: the line is the mean of each, and a light area behind it reaches to its highest second, so
that a short burst in a long night stays visible. Colours come from the page's style sheet, and the
second line is also dashed, so that a black-and-white print can be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from panotui.report.wording import LocalTime

LEFT, RIGHT, TOP, BOTTOM = 52, 8, 8, 18
COLUMNS_MAX = 480
_X_STEPS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
    172_800, 259_200, 432_000, 604_800, 1_209_600, 2_419_200,
)  # fmt: skip
_X_TICKS = 6
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Sample:
    """A value that holds from `start_s` (seconds since the epoch) for `seconds`."""

    start_s: int
    seconds: int
    value: float | None  # None: unknown for that time


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name for the legend and its samples in order of time."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def known(self) -> bool:
        """True if there is anything to draw."""
        return any(s.value is not None for s in self.samples)


@dataclass(frozen=True, slots=True)
class Band:
    """A highlighted time, such as a freeze."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a picture in its own units (a small letter is about ten high), the time zone of
    its axis, and when something was recorded (None: where a series has data).
    """

    width: int = 720
    height: int = 132
    time: LocalTime = field(default_factory=LocalTime)
    recorded: Sequence[tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """Mean and maximum of the samples in one column of the picture."""

    mean: float
    highest: float


def folded(series: Series, start_s: int, end_s: int, columns: int) -> list[Column | None]:
    """The series in `columns` equal parts of [start_s, end_s); None without data.

    A sample for many seconds is weighted by the number of them in the column.
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
    frame: Frame | None = None,
    silence_is_zero: bool = False,
) -> Markup:
    """An `<svg>` of up to two series over [start_s, end_s]; empty if no series has data.

    `label` formats a value of the vertical axis, which starts at zero and reaches at least `least`.
    `silence_is_zero`: inside `frame.recorded`, a missing sample means that nothing was sent.
    """
    drawn = [one for one in series if one.known]
    if not drawn:
        return Markup("")
    frame = frame or Frame()
    end_s = max(end_s, start_s + 1)
    count = min(COLUMNS_MAX, frame.width, end_s - start_s)
    columns = [folded(one, start_s, end_s, count) for one in drawn]
    known = [any(line[i] is not None for line in columns) for i in range(count)]
    if frame.recorded is not None:
        told = folded(_recorded(frame.recorded), start_s, end_s, count)
        known = [known[i] or told[i] is not None for i in range(count)]
        if silence_is_zero:
            nothing = Column(0.0, 0.0)
            columns = [
                [c if c is not None or told[i] is None else nothing for i, c in enumerate(line)]
                for line in columns
            ]
    top = nice_top(max((c.highest for line in columns for c in line if c), default=0.0), least)
    plot = _Plot(start_s, end_s, count, top, frame)
    parts = [
        f'<svg class="plot" viewBox="0 0 {frame.width} {frame.height}" role="img"'
        f' aria-label="{escape(title)}"><title>{escape(title)}</title>'
    ]
    parts += plot.gaps(known)
    parts += [plot.band(band) for band in _merged(bands, start_s, end_s, frame.width)]
    parts += plot.axes(label)
    for number, line in enumerate(columns[:2]):
        # In a column of one second, maximum and mean are equal.
        if end_s - start_s > count:
            parts += plot.area(line, number)
        parts += plot.line(line, number)
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - all text in it is escaped above


def _recorded(spans: Sequence[tuple[int, int]]) -> Series:
    return Series("recorded", tuple(Sample(a, b - a, 1.0) for a, b in spans if b > a))


def _merged(bands: Sequence[Band], start_s: int, end_s: int, width: int) -> list[Band]:
    """The visible bands; overlapping ones are merged."""
    near = (end_s - start_s) / width
    shown: list[Band] = []
    for band in sorted(bands, key=lambda b: b.start_s):
        if band.end_s <= start_s or band.start_s >= end_s:
            continue
        if shown and band.start_s - shown[-1].end_s < near:
            last = shown[-1]
            shown[-1] = Band(last.start_s, max(last.end_s, band.end_s), last.text)
        else:
            shown.append(band)
    return shown


@dataclass(frozen=True, slots=True)
class _Plot:
    start_s: int
    end_s: int
    count: int
    top: float
    frame: Frame

    @property
    def right(self) -> int:
        return self.frame.width - RIGHT

    @property
    def bottom(self) -> int:
        return self.frame.height - BOTTOM

    @property
    def inner(self) -> int:
        """The height of the plot within its axes."""
        return self.bottom - TOP

    def x_of(self, time_s: float) -> float:
        share = (time_s - self.start_s) / (self.end_s - self.start_s)
        return LEFT + min(1.0, max(0.0, share)) * (self.right - LEFT)

    def x(self, column: int) -> float:
        """The middle of a column."""
        return LEFT + (column + 0.5) / self.count * (self.right - LEFT)

    def y(self, value: float) -> float:
        share = min(1.0, max(0.0, value / self.top))
        return self.bottom - share * (self.inner)

    def gaps(self, known: Sequence[bool]) -> list[str]:
        width = (self.right - LEFT) / self.count
        return [
            f'<rect class="gap" x="{LEFT + first * width:.1f}" y="{TOP}"'
            f' width="{(last + 1 - first) * width:.1f}" height="{self.inner}">'
            "<title>no record</title></rect>"
            for first, last in _runs([not k for k in known])
        ]

    def band(self, band: Band) -> str:
        left, right = self.x_of(band.start_s), self.x_of(band.end_s)
        return (
            f'<rect class="band" x="{left:.1f}" y="{TOP}" width="{max(2.0, right - left):.1f}"'
            f' height="{self.inner}"><title>{escape(band.text)}</title></rect>'
        )

    def axes(self, label: Callable[[float], str]) -> list[str]:
        parts = []
        for value in (0.0, self.top / 2, self.top):
            y = self.y(value)
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">'
                f"{escape(label(value))}</text>"
            )
        ticks = max(2, min(_X_TICKS, (self.frame.width - LEFT) // 90))
        for time_s, text in time_ticks(self.start_s, self.end_s, self.frame.time, ticks):
            x = self.x_of(time_s)
            half = 3 * len(text)
            edge = self.frame.width - half
            anchor = "middle" if half < x < edge else ("start" if x < half else "end")
            parts.append(
                f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{self.bottom}"'
                f' y2="{self.bottom + 4}"/>'
                f'<text x="{x:.1f}" y="{self.frame.height - 4}" text-anchor="{anchor}">'
                f"{escape(text)}</text>"
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
            # A single value is a dot: a line of zero length with round ends.
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


def time_ticks(
    start_s: int, end_s: int, time: LocalTime, ticks: int = _X_TICKS
) -> list[tuple[int, str]]:
    """Round local times between two, at most one more than `ticks`, each with its text."""
    length = max(1, end_s - start_s)
    step = next((s for s in _X_STEPS if length / s <= ticks), _X_STEPS[-1])
    shape = "%H:%M:%S" if step < 60 else "%H:%M"
    if step >= _DAY_S:
        shape = "%d %b"
    elif length > _DAY_S:
        shape = "%d %b %H:%M"
    found: list[tuple[int, str]] = []
    ahead = time.offset_s(start_s)
    local = -(-(start_s + ahead) // step) * step  # local midnight and whole hours are round
    while len(found) <= ticks:
        # Summer time may begin or end in between: each time is rounded by its own offset.
        moment = local - time.offset_s(local - ahead)
        if moment > end_s:
            break
        at = time.at(moment)
        if moment >= start_s and at is not None:
            found.append((moment, at.strftime(shape)))
        local += step
    return found
