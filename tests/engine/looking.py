"""One scene twice: with seconds let pass in which nothing new came, and with a look at each. What
was foreseen of streams must come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from panotui.model import U64, Delta, Rows, Site
from panotui.model.foreseen import Foreseen
from panotui.report.analysis import analysis
from panotui.runtime.pump import NO_FLOWS, Pump
from tests.diagnosis.wire import Wire


class Passed(list[int]):
    """Ticks that were let pass; `foreseen`: those of seconds that were measured together;
    `usual`: new flows that were told later, in the order of their ids; `ticks`: those that were not
    let pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self.foreseen: list[int] = []
        self.usual: list[int] = []
        self.ticks: list[int] = []


def answers_alike(
    scene: Callable[[Wire], None], site: Site, monkeypatch: pytest.MonkeyPatch
) -> Passed:
    """Ticks that were let pass, when both gave the same answer."""
    passed = Passed()
    tell, went_on = Pump.tell, Pump.streams_went_on

    def telling(self: Pump, delta: Delta) -> None:
        passed.extend(at for at, _ in delta.passed)
        passed.ticks.append(delta.time_ns)
        if delta.earlier is not None:
            passed.usual.extend(delta.earlier.flows["id"].tolist())
        tell(self, delta)

    def as_foreseen(self: Pump, rows: Rows, seconds: Rows, told: Foreseen) -> bool:
        passed.foreseen.extend(told.time_ns.tolist())
        assert went_on(self, rows, seconds, told)
        return True

    def answer() -> dict[str, Any]:
        wire = Wire()
        scene(wire)
        told: dict[str, Any] = analysis(wire.watch(site))
        return told

    def settled(self: Pump) -> tuple[int, U64]:
        return self.engine.settled()  # although the scene's own clock is called after each tick

    monkeypatch.setattr(Pump, "tell", telling)
    monkeypatch.setattr(Pump, "streams_went_on", as_foreseen)
    monkeypatch.setattr(Pump, "settled", settled)
    together = answer()
    found = Passed()
    found.extend(passed)
    found.foreseen, found.usual, found.ticks = passed.foreseen, passed.usual, list(passed.ticks)

    def each(self: Pump) -> tuple[int, U64]:
        return 0, NO_FLOWS

    monkeypatch.setattr(Pump, "settled", each)
    passed.clear()
    assert answer() == together
    assert not passed
    return found
