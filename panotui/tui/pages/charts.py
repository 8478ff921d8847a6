"""Curves of one thing's last minutes: an axis, a scale that moves in steps only, gaps as gaps.

In comes a stream's or a port's history, a value a second; out come lines. Two seconds are one cell
in braille, one second in ASCII.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from panotui.model import PortRecord, StreamRecord
from panotui.model.quantities import span
from panotui.tui.chart import History, curve, scale
from panotui.tui.glyphs import Role
from panotui.tui.line import Line
from panotui.tui.page import Scene

LABEL, PEAK = 11, 16  # cells at the left and at the right of a curve
SECONDS_MOST = 300
_TICKS_S = (10, 30, 60, 120, 300)


class _Curve(Struct, frozen=True):
    name: str
    history: History
    share: int  # of the lines there are
    show: Callable[[float], str]
    role: Role = "chart"
    level: float = 0.0  # the scale is at least so much
    unit: float = 1.0  # in which its scale is round


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
    return _drawn(curves, keys, scene)


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
    return _drawn(curves, (), scene)


def _unit(scene: Scene) -> float:
    """Bits of the unit in which rates are shown."""
    return 1.0 if scene.manner.units == "bits" else 8.0


def _count(value: float) -> str:
    return f"{value:.0f}"


def _kibibytes(value: float) -> str:
    return f"{value / 1024:.3g} KiB"


def _drawn(curves: Sequence[_Curve], keys: History, scene: Scene) -> list[Line]:
    cells = max(10, scene.width - LABEL - PEAK - 5)
    known = max(len(c.history) for c in curves)
    # a short history takes a column a second, so that it is large enough to be seen
    each = 2 if scene.glyphs.braille and known > cells else 1
    seconds = min(SECONDS_MOST, known, cells * each)
    seconds += seconds % each
    cells = seconds // each
    lines = [_title(seconds, each, scene)]
    shares = sum(c.share for c in curves)
    room = max(shares, min(2 * shares, scene.height - 14))
    for found in curves:
        tall = max(1, found.share * room // shares)
        lines += _curve(found, cells, seconds, tall, scene, stretched=each == 1)
    if keys:
        tail = [None] * (seconds - len(keys[-seconds:])) + list(keys[-seconds:])
        row = "".join(
            scene.glyphs.keyframe if any(tail[place : place + each]) else " "
            for place in range(0, seconds, each)
        )
        pen = scene.pen().put(" ").field("key frames", LABEL, "dim", right=True)
        lines.append(pen.put("  ").put(row, "key").line())
    lines.append(_axis(cells, each, scene))
    return lines


def _title(seconds: int, each: int, scene: Scene) -> Line:
    said = f"  a column is {span(each)}; blank: no record"
    return scene.pen().put(" ").put(f"LAST {span(seconds)}", "head").put(said, "dim").line()


def _curve(
    found: _Curve, cells: int, seconds: int, tall: int, scene: Scene, *, stretched: bool
) -> list[Line]:
    shown = found.history[-seconds:]
    dots = [v for v in shown for _ in range(2)] if stretched and scene.glyphs.braille else shown
    peak = max((v for v in shown if v is not None), default=0)
    top = scale(max(peak, found.level) / found.unit) * found.unit
    lines = []
    for number, row in enumerate(curve(dots, cells, tall, scene.glyphs, top)):
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


def _axis(cells: int, each: int, scene: Scene) -> Line:
    """Ages below the curves, newest at the right."""
    tick = next((t for t in _TICKS_S if t >= 12 * each), _TICKS_S[-1])
    ruler = [" "] * cells
    ruler[cells - 3 :] = "now"
    for age in range(tick, cells * each + 1, tick):
        text = f"-{span(age)}"
        place = cells - age // each
        if place >= 0 and place + len(text) < cells - 3:
            ruler[place : place + len(text)] = text
    pen = scene.pen().put(" " * (LABEL + 3))
    return pen.put("".join(ruler), "dim").line()
