"""Curves of one thing's last minutes: an axis, a scale that changes only in steps, gaps as gaps.

A stream's or a port's history, one value per second, comes in; lines go out. One cell is two
seconds in braille, one second in ASCII; a short history gets several cells per second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from panotui.model import SECOND, PortRecord, StreamRecord
from panotui.model.quantities import span
from panotui.state.strips import Cell
from panotui.tui.chart import History, curve, scale
from panotui.tui.glyphs import Role
from panotui.tui.line import Line
from panotui.tui.page import Scene

LABEL, PEAK = 11, 16  # cells at the left and at the right of a curve
SECONDS_MOST = 300
STRETCH_MOST = 4  # cells of one second
_TICKS_S = (10, 30, 60, 120, 300)


class _Curve(Struct, frozen=True):
    name: str
    history: History
    share: int  # of the available lines
    show: Callable[[float], str]
    role: Role = "chart"
    level: float = 0.0  # the scale is at least this
    unit: float = 1.0  # in which its scale is round


class _Marks(Struct, frozen=True):
    """A mark under the curves for each second that has a value."""

    name: str
    history: History
    sign: str
    role: Role
    lasting: bool = False  # as wide as its seconds


def stream_charts(stream: StreamRecord, scene: Scene) -> list[Line]:
    """Bit-rate, loss, frame rate, frame size with key frames."""
    if not any(value is not None for value in stream.history_bps):
        return []
    lossy = any(stream.history_lost)
    curves = [
        _Curve("bit-rate", stream.history_bps, 3, scene.manner.rate, unit=_unit(scene)),
        _Curve("lost", stream.history_lost, 1, _count, "bad" if lossy else "dim"),
    ]
    if any(value for value in stream.history_frames):
        expected = stream.fps_expected or 0.0
        curves.append(_Curve("frames/s", stream.history_frames, 2, _count, level=expected))
    if any(value for value in stream.history_frame_bytes):
        curves.append(_Curve("frame size", stream.history_frame_bytes, 2, _kibibytes, unit=1024.0))
    keys = stream.history_keyframes if any(stream.history_keyframes) else ()
    rows = [_Marks("key frames", keys, scene.glyphs.keyframe, "key"),
            _Marks("frozen", _frozen(stream, scene), scene.glyphs.cells[Cell.DEAD], "bad",
                   lasting=True)]  # fmt: skip
    return _drawn(curves, [marks for marks in rows if any(marks.history)], scene, "nothing came")


def _frozen(stream: StreamRecord, scene: Scene) -> History:
    """Whether the picture was frozen, one value per second, newest last."""
    last_s = scene.now_ns // SECOND
    known = len(stream.history_bps)
    still = [0] * known
    for freeze in stream.freezes:
        first = freeze.start_ns // SECOND - last_s + known
        for place in range(max(0, first), min(known, first + round(freeze.seconds))):
            still[place] = 1
    return still


def port_charts(port: PortRecord, scene: Scene) -> list[Line]:
    """Bits/s towards the appliance and away from it."""
    if not any(v is not None for v in (*port.history_in_bps, *port.history_out_bps)):
        return []
    curves = [
        _Curve(
            f"{scene.glyphs.inward} in",
            port.history_in_bps,
            3,
            scene.manner.rate,
            unit=_unit(scene),
        ),
        _Curve(
            f"{scene.glyphs.outward} out",
            port.history_out_bps,
            3,
            scene.manner.rate,
            unit=_unit(scene),
        ),
    ]
    return _drawn(curves, (), scene, "no record")


def _unit(scene: Scene) -> float:
    """Bits per displayed rate unit."""
    return 1.0 if scene.manner.units == "bits" else 8.0


def _count(value: float) -> str:
    return f"{value:.0f}"


def _kibibytes(value: float) -> str:
    return f"{value / 1024:.3g} KiB"


def _drawn(
    curves: Sequence[_Curve], marks: Sequence[_Marks], scene: Scene, blank: str
) -> list[Line]:
    cells = max(10, scene.width - LABEL - PEAK - 5)
    known = max(len(c.history) for c in curves)
    # as wide as possible: a short history gets one column per second, or more
    pair = 2 if scene.glyphs.braille and known > cells else 1
    seconds = min(SECONDS_MOST, known, cells * pair)
    seconds += seconds % pair
    time = _Time(seconds, pair, max(1, min(STRETCH_MOST, cells * pair // max(1, seconds))))
    lines = [_title(time, scene, blank)]
    shares = sum(c.share for c in curves)
    room = max(shares, min(2 * shares, scene.height - 14))
    for found in curves:
        tall = max(1, found.share * room // shares)
        lines += _curve(found, time, tall, scene)
    for row in marks:
        tail = [None] * (seconds - len(row.history[-seconds:])) + list(row.history[-seconds:])
        sign = row.sign * (time.cells if row.lasting else 1)
        text = "".join(
            (sign if any(tail[place : place + pair]) else "").ljust(time.cells)
            for place in range(0, seconds, pair)
        )
        pen = scene.pen().put(" ").field(row.name, LABEL, "dim", right=True)
        lines.append(pen.put("  ").put(text, row.role).line())
    lines.append(_axis(time, scene))
    return lines


class _Time(Struct, frozen=True):
    """A number of seconds, `pair` of them in `cells` columns."""

    seconds: int
    pair: int
    cells: int

    @property
    def width(self) -> int:
        return self.seconds // self.pair * self.cells


def _title(time: _Time, scene: Scene, blank: str) -> Line:
    said = f"a column is {span(time.pair)}"
    if time.cells > 1:
        said = f"{time.cells} columns are {span(time.pair)}"
    pen = scene.pen().put(" ").put(f"LAST {span(time.seconds)}", "head")
    return pen.put(f"  {said}; blank: {blank}", "dim").line()


def _curve(found: _Curve, time: _Time, tall: int, scene: Scene) -> list[Line]:
    shown = found.history[-time.seconds :]
    each = time.cells * (2 if scene.glyphs.braille else 1) // time.pair
    dots = [v for v in shown for _ in range(each)]
    peak = max((v for v in shown if v is not None), default=0)
    top = scale(max(peak, found.level) / found.unit) * found.unit
    lines = []
    for number, row in enumerate(curve(dots, time.width, tall, scene.glyphs, top)):
        label = found.show(top) if number == 0 and tall > 1 else ""
        label = found.name if number == tall - 1 else label
        pen = scene.pen().put(" ").field(label, LABEL, "dim", right=True)
        pen.put(scene.glyphs.wall, "dim").put(" ").put(row, found.role)
        if number == 0:
            newest = next((v for v in reversed(shown) if v is not None), None)
            said = f" peak {found.show(peak)}" if peak else " none"
            pen.put(said if newest is not None else "", "dim")
        lines.append(pen.line())
    return lines


def _axis(time: _Time, scene: Scene) -> Line:
    """Ages below the curves, newest at the right."""
    cells = time.width
    tick = next((t for t in _TICKS_S if t * time.cells >= 12 * time.pair), _TICKS_S[-1])
    ruler = [" "] * cells
    ruler[cells - 3 :] = "now"
    for age in range(tick, time.seconds + 1, tick):
        text = f"-{span(age)}"
        place = cells - age * time.cells // time.pair
        if place >= 0 and place + len(text) < cells - 3:
            ruler[place : place + len(text)] = text
    pen = scene.pen().put(" " * (LABEL + 3))
    return pen.put("".join(ruler), "dim").line()
