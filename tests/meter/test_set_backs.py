"""The capture's clock is set back where packets stay behind, and not where one of them is late."""

from __future__ import annotations

import numpy as np
import pytest

from panotui.meter.set_backs import SetBacks
from panotui.model import I64, SECOND
from tests.meter.packets_in import batch_of

START_NS = 1_700_000_000 * SECOND


def told(seconds: I64, interfaces: I64 | None = None, size: int = 1000) -> list[float]:
    """The moments that `SetBacks` tells of, in seconds, from batches of `size` packets."""
    time_ns = START_NS + np.round(seconds * SECOND).astype(np.int64)
    of = np.zeros(len(time_ns), np.int16) if interfaces is None else interfaces.astype(np.int16)
    clock, out, before_ns = SetBacks(), [], 0
    for start in range(0, len(time_ns), size):
        stop = start + size
        batch = batch_of([b"\0" * 60] * len(time_ns[start:stop]), time_ns[start:stop].tolist())
        batch.interface[:] = of[start:stop]
        steps = bool((np.diff(np.append(before_ns, batch.time_ns)) < 0).any())
        at_ns = clock.find(batch, steps=steps)
        before_ns = int(batch.time_ns[-1])
        if at_ns is not None:
            out.append((at_ns - START_NS) / SECOND)
    return out


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("back", [0.6, 1.7, 3600])
def test_packets_stay_behind_where_the_clock_was_set_back(back: float, size: int) -> None:
    seconds = np.arange(0, 10, 0.02)
    seconds[250:] -= back
    assert told(seconds, size=size) == [5 - back]


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("late", [1, 20])
def test_late_packets_are_no_clock_that_was_set_back(late: int, size: int) -> None:
    """One frame, or a queue of them, comes two seconds after its time."""
    seconds = np.arange(0, 10, 0.02)
    queue = np.full(late, 3.0) + np.arange(late) * 0.001
    seconds = np.concatenate((seconds[:250], queue, seconds[250:]))
    assert told(seconds, size=size) == []


def test_late_packets_hide_no_clock_that_is_set_back_soon_after() -> None:
    seconds = np.arange(0, 10, 0.02)
    seconds[250:] -= 2
    seconds = np.concatenate((seconds[:200], [1.0], seconds[200:]))
    assert told(seconds) == [3.0]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_two_interfaces_that_were_merged_without_order_are_not_set_back(size: int) -> None:
    blocks = [np.arange(n, n + 1, 0.02) for n in range(10) for _ in range(2)]
    sides = [np.full(50, n % 2) for n in range(20)]
    assert told(np.concatenate(blocks), np.concatenate(sides), size) == []


def test_one_interface_that_goes_back_again_and_again_counts_once() -> None:
    blocks = [np.arange(n, n + 1, 0.02) for n in range(90) for _ in range(2)]
    assert told(np.concatenate(blocks), size=40) == [0.0]
