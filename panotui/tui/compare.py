"""The differences between two moments of a review: two overview frames in, a page of lines out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from panotui.model.quantities import rate
from panotui.tui.cells import cut_end, width
from panotui.tui.page import Page, Scene
from panotui.tui.quantities import clock, percent
from panotui.views.frames import Frame
from panotui.views.identity import endpoint_names
from panotui.views.subjects import row_key

CHANGE_CELLS = 32  # of a line, for what was and what is


def draw(then: Frame, scene: Scene) -> Page:
    """The changes from `then` to the scene's frame, one per line."""
    now = scene.frame
    times = (
        f"{clock(then.header.time_ns, scene.zone)} {scene.glyphs.to} "
        f"{clock(now.header.time_ns, scene.zone, with_zone=True)}"
    )
    page = Page([scene.pen().put(" ").put("COMPARED", "head").put(f"  {times}").line()])
    changes = differences(then, now)
    longest = max((width(what) for what, _, _ in changes), default=0)
    cells = min(max(30, longest), scene.width - 3 - CHANGE_CELLS)
    for what, before, after in changes:
        if what.startswith(("violation ", "finding ")):  # a sentence
            what = cut_end(what, cells, scene.glyphs.ellipsis)
        pen = scene.pen().put("   ").field(what, cells, "strong")
        page.lines.append(pen.put(f" {before} {scene.glyphs.to} {after}").line())
    if not changes:
        page.lines.append(scene.pen().put("   nothing differs").line())
    page.lines.append(scene.pen().put("   esc: back", "dim").line())
    return page.fill(scene.width, scene.height)


def differences(then: Frame, now: Frame) -> list[tuple[str, str, str]]:
    """(what, before, after) for each thing whose state or rate differs clearly."""
    out: list[tuple[str, str, str]] = []
    endpoints = endpoint_names({row_key(e): e for e in (*then.endpoints, *now.endpoints)}.values())
    for kind, before, after in (
        ("port", then.ports, now.ports),
        ("camera", then.cameras, now.cameras),
        ("endpoint", then.endpoints, now.endpoints),
    ):
        out.extend(_states(kind, before, after, endpoints))
    old = {stream.id: stream for stream in then.streams}
    for stream in now.streams:
        was = old.get(stream.id)
        if was is None:
            continue
        name = f"stream {stream.camera or stream.src}"
        if was.state != stream.state:
            out.append((name, was.state, stream.state))
        if _clearly(was.rate_bps, stream.rate_bps):
            out.append((name, rate(was.rate_bps), rate(stream.rate_bps)))
        if percent(was.loss_now) != percent(stream.loss_now):
            before_text, after_text = percent(was.loss_now), percent(stream.loss_now)
            out.append((f"{name} loss", before_text, after_text))
    out.extend(_come_and_gone("violation", then.violations, now.violations))
    out.extend(_come_and_gone("finding", then.findings, now.findings))
    return out


def _clearly(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return (before is None) != (after is None)
    return abs(after - before) > 0.2 * max(before, after, 1.0)


def _states(
    kind: str, before: Iterable[Any], after: Iterable[Any], names: Mapping[str, str]
) -> Iterable[tuple[str, str, str]]:
    old = {row_key(record): record.state for record in before}
    new = {row_key(record): record.state for record in after}
    for key in [*new, *(k for k in old if k not in new)]:
        if old.get(key) != new.get(key):
            yield f"{kind} {names.get(key, key)}", old.get(key, "absent"), new.get(key, "absent")


def _come_and_gone(
    kind: str, before: Iterable[Any], after: Iterable[Any]
) -> Iterable[tuple[str, str, str]]:
    old = {row_key(r): r for r in before if _open(r)}
    new = {row_key(r): r for r in after if _open(r)}
    for key, record in new.items():
        if key not in old:
            yield f"{kind} {record.text}", "absent", "open"
    for key, record in old.items():
        if key not in new:
            yield f"{kind} {record.text}", "open", "over"


def _open(record: Any) -> bool:
    if getattr(record, "cleared_time_ns", None) is not None:
        return False
    return str(getattr(record, "state", "open")) == "open"
