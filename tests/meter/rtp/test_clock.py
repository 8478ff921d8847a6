"""Steps of the RTP clock: over its wrap, and those that are no passing of time."""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.clock import deviation, is_far, is_jump, wrap32
from panotui.model import SECOND


def test_step_over_the_wrap_is_as_long_as_any_other():
    stamps = np.array([2**32 - 1800, 1800, 2**32 - 1800], np.int64)
    assert wrap32(np.diff(stamps)).tolist() == [3600, -3600]


def test_far_step_is_a_jump_unless_as_much_time_has_passed():
    step = np.array([450_000, 450_001, 450_001, -450_001, -(2**31)], np.int32)
    time_ns = np.array([0, 0, 5 * SECOND, 5 * SECOND, 0])
    assert is_far(step, 90_000.0).tolist() == [False, True, True, True, True]
    off = deviation(time_ns, step, 90_000.0)
    assert is_jump(step, off, 90_000.0).tolist() == [False, True, False, True, True]


def test_deviation_is_what_time_and_clock_differ_in_ticks_of_each_clock():
    step, rate = np.array([3600, 160]), np.array([90_000.0, 8_000.0])
    off = deviation(np.array([41_000_000, 19_000_000]), step, rate)
    np.testing.assert_allclose(off, [90, 8])
