"""Segment operations against plain loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.rtp.by_stream import Segments, smooth


@settings(max_examples=100, deadline=None)
@given(
    counts=st.lists(st.integers(1, 900), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-6, 1.0, 1e6, 4e11]),
)
def test_blocks_smooth_as_one_packet_after_the_other(
    counts: list[int], seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    key = np.repeat(np.arange(len(counts)), counts)
    values = rng.exponential(scale, len(key)) * (rng.random(len(key)) < 0.7)
    before = rng.exponential(scale, len(counts))
    got = smooth(values, Segments(key), before)
    j = before.copy()
    for k, segment in enumerate(key):
        j[segment] += (values[k] - j[segment]) / 16
        assert abs(got[k] - j[segment]) <= 1e-9 * max(j[segment], 1e-300)


def test_one_long_segment_is_smoothed_as_well():
    values = np.abs(np.sin(np.arange(50_000.0)))
    got = smooth(values, Segments(np.zeros(50_000, np.int64)), np.array([3.0]))
    j = 3.0
    for value in values:
        j += (value - j) / 16
    assert abs(got[-1] - j) < 1e-12


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-(2**40), 2**40)), min_size=1))
def test_running_values_start_anew_in_each_segment(rows: list[tuple[int, int]]) -> None:
    rows.sort(key=lambda row: row[0])
    key = np.array([row[0] for row in rows])
    values = np.array([row[1] for row in rows])
    segments = Segments(key)
    most, least, total, previous = [], [], [], []
    for k, value in enumerate(values.tolist()):
        new = k == 0 or key[k] != key[k - 1]
        most.append(value if new else max(most[-1], value))
        least.append(value if new else min(least[-1], value))
        total.append(value + 7 if new else total[-1] + value)
        previous.append(-1 if new else int(values[k - 1]))
    count = len(segments.ids)
    assert segments.running_max(values).tolist() == most
    assert segments.running_min(values).tolist() == least
    assert segments.running_sum(values, np.full(count, 7)).tolist() == total
    assert segments.previous(values, np.full(count, -1)).tolist() == previous
