"""The play-out model against a plain loop, and on faults that a person would see."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.rtp.playout_stalls import BUFFERS_MS, Stutter

STEP = 40_000_000


def play(lateness_ms: list[float], cuts: list[int] | None = None, fresh: set[int] | None = None):  # type: ignore[no-untyped-def]
    """Frames every 40 ms that arrive so late; stalls and stalled seconds a buffer."""
    model = Stutter(2)
    n = len(lateness_ms)
    complete = 10**18 + np.arange(n) * STEP + (np.array(lateness_ms) * 1e6).astype(np.int64)
    new = np.array([k in (fresh or set()) for k in range(n)])
    edges = sorted({0, n, *((c % (n + 1)) for c in cuts or [])})
    for a, b in itertools.pairwise(edges):
        model.frames(np.ones(b - a, np.int64), complete[a:b], np.full(b - a, STEP), new[a:b])
    return model.stalls[1].tolist(), (model.stalled_ns[1] / 1e9).tolist()


def loop(lateness_ms: list[float], fresh: set[int]) -> tuple[list[int], list[float]]:
    stalls, seconds = [0] * 3, [0.0] * 3
    worst, best, origin = [0] * 3, 0, 0
    for k, value in enumerate(lateness_ms):
        now = 10**18 + k * STEP + int(value * 1e6)
        if k == 0 or k in fresh:
            origin, elapsed, best, worst = now, 0, None, [0] * 3
        else:
            elapsed += STEP
        base = now - origin - elapsed - (now - origin) // 10**9 * 500_000
        best = base if best is None else min(best, base)
        for i, buffer_ms in enumerate(BUFFERS_MS):
            over = base - best - buffer_ms * 1_000_000
            if over > 0:
                stalls[i] += worst[i] == 0
                seconds[i] += max(over - worst[i], 0) / 1e9
                worst[i] = max(worst[i], over)
            else:
                worst[i] = 0
    return stalls, seconds


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.floats(0, 30), st.floats(0, 900)), min_size=1, max_size=60),
    st.lists(st.integers(0, 60), max_size=5),
    st.sets(st.integers(0, 59), max_size=3),
)
def test_model_is_that_of_one_frame_after_the_other(
    late: list[float], cuts: list[int], fresh: set[int]
) -> None:
    stalls, seconds = play(late, cuts, fresh)
    wanted, wanted_seconds = loop(late, fresh)
    assert stalls == wanted
    assert seconds == pytest.approx(wanted_seconds, abs=1e-9)


def test_small_buffer_stalls_where_a_large_one_does_not():
    late = [0.0] * 50 + [120.0] + [0.0] * 50 + [700.0, 660.0, 620.0] + [0.0] * 20
    assert play(late)[0] == [2, 1, 1]
    assert play(late)[1] == pytest.approx([0.07 + 0.65, 0.5, 0.2], abs=0.01)


def test_camera_clock_that_runs_off_is_no_lateness():
    assert play([k * 0.04 * 0.3 for k in range(20_000)])[0] == [0, 0, 0]  # 300 ppm
