"""One scene twice: with seconds let pass in which nothing new came, and with a look at each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from panotui.model import U64, Delta, Site
from panotui.report.analysis import analysis
from panotui.runtime.pump import NO_FLOWS, Pump
from tests.diagnosis.wire import Wire


def answers_alike(
    scene: Callable[[Wire], None], site: Site, monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    """Ticks that were let pass, when both gave the same answer."""
    passed: list[int] = []
    tell = Pump.tell

    def telling(self: Pump, delta: Delta) -> None:
        passed.extend(at for at, _ in delta.passed)
        tell(self, delta)

    def answer() -> dict[str, Any]:
        wire = Wire()
        scene(wire)
        told: dict[str, Any] = analysis(wire.watch(site))
        return told

    def settled(self: Pump) -> tuple[int, U64]:
        return self.engine.settled()  # although the scene's own clock is called after each tick

    monkeypatch.setattr(Pump, "tell", telling)
    monkeypatch.setattr(Pump, "settled", settled)
    together = answer()
    found = list(passed)

    def each(self: Pump) -> tuple[int, U64]:
        return 0, NO_FLOWS

    monkeypatch.setattr(Pump, "settled", each)
    passed.clear()
    assert answer() == together
    assert not passed
    return found
