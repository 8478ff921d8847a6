"""Media in an HTTP tunnel or a WebSocket, and pictures in an HTTP answer, cost no step a segment,
and are counted as they are one segment after the other."""

from __future__ import annotations

from typing import Any

import pytest

from panotui.meter.rtsp.interleaved import Direction
from tests.diagnosis.met.clothes import jpegs, tunnel, websocket
from tests.diagnosis.wire import Wire
from tests.made_up import site

MEDIA_FROM = 450  # bytes of a frame; words and acknowledgements are smaller


def carried(how: str) -> Wire:
    wire = Wire()
    if how == "tunnel":
        tunnel(wire, 2000)
    elif how == "websocket":
        websocket(wire, 2000)
    else:
        jpegs(wire, 2000, size=24_000)
    return wire


def swapped(wire: Wire) -> Wire:
    """The same, each third large segment behind the next one: nothing goes the quick way."""
    large = [i for i, frame in enumerate(wire.frames) if len(frame[2]) > MEDIA_FROM]
    for first, second in list(zip(large[::3], large[1::3], strict=False))[1:]:
        a, b = wire.frames[first], wire.frames[second]
        if b[0] - a[0] < 1_000_000:
            wire.frames[first], wire.frames[second] = (b[0], *a[1:]), (a[0], *b[1:])
    return wire


def counted(wire: Wire) -> list[tuple[Any, ...]]:
    shot = wire.watch(site()).snapshot()
    return [(s.codec, s.packets, s.bytes, s.lost, s.frames, s.state) for s in shot.streams]


@pytest.mark.parametrize("how", ["tunnel", "websocket", "parts"])
def test_media_inside_http_cost_few_steps(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    step, feed = Direction.segment, Direction.feed

    def segment(self: Direction, *args: Any) -> None:
        taken.append(1)
        step(self, *args)

    def fed(self: Direction, *args: Any) -> None:
        taken.append(1)
        feed(self, *args)

    monkeypatch.setattr(Direction, "segment", segment)
    monkeypatch.setattr(Direction, "feed", fed)
    wire = carried(how)
    large = sum(len(frame[2]) > MEDIA_FROM for frame in wire.frames)
    quick = counted(wire)
    few = len(taken)
    taken.clear()
    assert counted(swapped(carried(how))) == quick
    assert len(taken) >= large
    assert few < large / 3
