"""Segment operations against plain loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from panotui.meter.rtp.by_stream import Segments


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
