"""A capture's clock that was set forward is told from silence by the stamps of streams."""

from __future__ import annotations

import pytest

from panotui.model import SECOND
from panotui.runtime.set_forward import SetForward
from tests.meter.packets_in import START_NS, batch_of
from tests.situations.visits_well import small
from tests.situations.yard import Frames, Yard


def site() -> Frames:
    """Two cameras, one of them read over TCP."""
    return small(3001, 40).sorted()


def gaps(frames: Frames, size: int) -> list[float]:
    """Seconds of each gap that only the clock explains."""
    forward, found = SetForward(), []
    for first in range(0, len(frames), size):
        some = frames[first : first + size]
        times = [START_NS + round(at * SECOND) for at, _, _ in some]
        for _, since, until in forward.gaps(batch_of([f for _, f, _ in some], times)):
            found.append((until - since) / SECOND)
    return found


@pytest.mark.parametrize("size", [7, 500, 100_000])
def test_the_clock_is_set_forward(size: int) -> None:
    frames = [(t + 20 if t >= 20 else t, f, i) for t, f, i in site()]
    assert gaps(frames, size) == [pytest.approx(20, abs=0.2)]


@pytest.mark.parametrize("size", [7, 500, 100_000])
def test_the_capture_stood_still_meanwhile(size: int) -> None:
    """The stamps show that time passed."""
    assert gaps([f for f in site() if not 12 <= f[0] < 32], size) == []


def test_nothing_is_said_of_a_site_without_gaps() -> None:
    assert gaps(site(), 500) == []


def test_one_camera_alone_proves_nothing() -> None:
    """It may have stood still, and its clock with it."""
    yard = Yard(3002, cams=1)
    frames = [(t + 20 if t >= 20 else t, f, i) for t, f, i in small(3002, 40, cams=1).sorted()]
    only = [f for f in frames if yard.cams[0].raw in f[1][:12]]
    assert gaps(only, 500) == []
