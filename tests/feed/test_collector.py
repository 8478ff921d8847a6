from __future__ import annotations

import socket
from collections.abc import Callable
from typing import cast

from panotui.engine.engine import Engine
from panotui.feed.codec import pack
from panotui.feed.collector import Collector
from panotui.feed.server import FeedServer
from panotui.views.frames import View
from panotui.views.provider import StateProvider
from tests.views.records import FixedState


class Behind:
    """A driver with several seconds' news to apply at each step."""

    live = True

    def __init__(self, log: list[str], seconds: int, between: Callable[[int], None]) -> None:
        self.engine = cast(Engine, None)
        self.on_tick: list[Callable[[int], None]] = []
        self._log = log
        self._seconds = seconds
        self._between = between

    def step(self, timeout_s: float = 0.0) -> bool:
        for second in range(self._seconds):
            self._log.append(f"second {second}")
            self._between(second)
            for told in self.on_tick:
                told(second)
        return False

    def finish(self) -> None: ...

    def close(self) -> None: ...


class Answering(StateProvider):
    """Notes when it was asked."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(FixedState(), "live")
        self._log = log

    def frame(self, view):
        self._log.append(f"answer {view.pane}")
        return super().frame(view)


def run(seconds: int, asked_at: int | None) -> list[str]:
    """What a collector does, in order, if a screen asks before it begins or within a second."""
    log: list[str] = []
    ours, theirs = socket.socketpair()
    server = FeedServer(Answering(log), peers=(theirs,))

    def between(second: int) -> None:
        if second == asked_at:
            ours.sendall(pack(View(pane="flows", rows=5)))

    if asked_at is None:
        ours.sendall(pack(View(pane="flows", rows=5)))
    collector = Collector(Behind(log, seconds, between), server=server)
    assert collector.run(stay=False) == "ended"
    server.close()
    ours.close()
    return log


def test_a_screen_is_answered_before_the_news_of_packets() -> None:
    assert run(1, None) == ["answer flows", "second 0"]


def test_a_screen_waits_for_no_more_than_one_second_of_many() -> None:
    assert run(4, 1) == ["second 0", "second 1", "answer flows", "second 2", "second 3"]
