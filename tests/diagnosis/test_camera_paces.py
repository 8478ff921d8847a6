"""A camera with a picture each few seconds is called the same in every second."""

from __future__ import annotations

import pytest

from panotui.engine.engine import Engine
from panotui.model import SECOND, Delta
from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.run import SITE
from tests.diagnosis.wire import Wire
from tests.made_up import CAMERA, START

LEARNT_S = 25  # by then two pictures have come at the slowest rate


class Words:
    """The words for camera and stream, and the open findings, by second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: dict[int, tuple[str, str, tuple[str, ...]]] = {}
        apply = Engine.apply

        def applied(engine: Engine, delta: Delta, *, tick: bool = True) -> None:
            apply(engine, delta, tick=tick)
            if tick:
                self._take(engine)

        monkeypatch.setattr(Engine, "apply", applied)

    def _take(self, engine: Engine) -> None:
        shot = engine.snapshot()
        camera = next((c for c in shot.cameras if c.address == CAMERA), None)
        stream = next(iter(shot.streams), None)
        loud = tuple(
            f.id
            for f in shot.findings
            if f.camera == CAMERA and f.severity != "info" and f.cleared_time_ns is None
        )
        self.said[(engine.now_ns - START) // SECOND] = (
            camera.state if camera else "",
            stream.state if stream else "",
            loud,
        )

    def between(self, first: int, last: int) -> set[tuple[str, str, tuple[str, ...]]]:
        return {said for second, said in self.said.items() if first <= second <= last}


@pytest.mark.parametrize("channel", [None, 0], ids=["udp", "tcp"])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "not-declared"])
@pytest.mark.parametrize("fps", [0.1, 0.2, 0.4, 0.7])
@pytest.mark.parametrize("parts", [1, 9])
def test_words_follow_what_is_usual_for_a_slow_stream(
    monkeypatch: pytest.MonkeyPatch,
    fps: float,
    declared: bool,
    channel: int | None,
    parts: int,
) -> None:
    words = Words(monkeypatch)
    wire = Wire()
    sdp = description(media_line(extra=f"a=framerate:{fps}" if declared else ""))
    reader = Reader(wire).start(0.2, sdp, channel=channel)
    film = Film(fps=fps, gop=1, key_parts=parts)
    reader.film(0.6, 100, film, channel=channel)
    wire.watch(SITE)
    learnt_s = 3 if declared else LEARNT_S
    assert words.between(learnt_s, 98) == {("streaming", "streaming", ())}


@pytest.mark.parametrize("channel", [None, 0], ids=["udp", "tcp"])
def test_a_slow_stream_that_stops_is_frozen_after_three_pictures_time(
    monkeypatch: pytest.MonkeyPatch, channel: int | None
) -> None:
    words = Words(monkeypatch)
    wire = Wire()
    reader = Reader(wire).start(0.2, description(media_line()), channel=channel)
    reader.film(0.6, 60, Film(fps=0.4, gop=1), channel=channel)
    wire.quiet(60, 90)
    wire.watch(SITE, end=90)
    assert words.between(LEARNT_S, 63) == {("streaming", "streaming", ())}
    assert words.between(72, 88) == {("silent", "frozen", ("stream-frozen",))}
