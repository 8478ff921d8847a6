"""RFC 3550's filter over columns: against a plain loop, and alike for any cut to the last digit."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.rtp.by_stream import Segments
from panotui.meter.rtp.jitter import Jitter
from panotui.model import STREAM_DTYPE, Rows


def written(jitter: Jitter, streams: int) -> Rows:
    out = np.zeros(streams, STREAM_DTYPE)
    out["clock_rate"] = 90_000
    jitter.write(out, np.arange(streams), "jitter")
    return out[["jitter_ms", "jitter_mean_ms", "jitter_max_ms"]]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 900), min_size=1, max_size=20),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-6, 1.0, 1e6, 4e11]),
)
def test_blocks_smooth_as_one_packet_after_the_other(
    counts: list[int], seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    key = np.repeat(np.arange(len(counts)), counts)
    values = rng.exponential(scale, len(key)) * (rng.random(len(key)) < 0.7)
    jitter = Jitter(len(counts))
    got = jitter.fold(values, None, Segments(key)).values
    now, total = np.zeros(len(counts)), np.zeros(len(counts))
    for k, segment in enumerate(key):
        now[segment] += (values[k] - now[segment]) / 16
        total[segment] += now[segment]
        assert abs(got[k] - now[segment]) <= 1e-9 * max(now[segment], 1e-300)
    np.testing.assert_allclose(
        written(jitter, len(counts))["jitter_mean_ms"],
        total / counts / 90,
        rtol=1e-9,
        atol=2.0**-23 / 90,  # the unit of the sum
    )


def test_one_long_segment_is_smoothed_as_well() -> None:
    values = np.abs(np.sin(np.arange(50_000.0)))
    got = Jitter(1).fold(values, None, Segments(np.zeros(50_000, np.int64))).values
    j = 0.0
    for value in values:
        j += (value - j) / 16
    assert abs(got[-1] - j) < 1e-12


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 700), min_size=1, max_size=20),
    cuts=st.integers(0, 12),
    counted=st.sampled_from([1.0, 0.8]),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_digit_depends_on_how_rows_are_cut(
    counts: list[int], cuts: int, counted: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stream = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    off, valid = rng.exponential(30.0, len(stream)), rng.random(len(stream)) < counted
    found = []
    for pieces in (0, cuts):
        jitter, values = Jitter(len(counts)), np.full(len(stream), np.nan)
        edges = sorted({0, len(stream), *rng.integers(0, len(stream), pieces).tolist()})
        for start, stop in itertools.pairwise(edges):
            order = start + np.argsort(stream[start:stop], kind="stable")
            smoothed = jitter.fold(off[order], valid[order], Segments(stream[order]))
            values[order] = smoothed.at(np.arange(len(order)))
        found.append((values, written(jitter, len(counts))))
    (whole, row), (pieced, rows) = found
    np.testing.assert_array_equal(whole, pieced)
    for name in row.dtype.names or ():
        np.testing.assert_array_equal(row[name], rows[name])


def test_the_mean_of_a_day_does_not_depend_on_the_cut() -> None:
    """The sum of so many values has more digits than a float."""
    values = np.random.default_rng(6).exponential(5e5, 60_000)
    rows = []
    for step in (100, 700, 1_000):
        jitter = Jitter(1)
        for start in range(0, len(values), step):
            part = values[start : start + step]
            jitter.fold(part, None, Segments(np.zeros(len(part), np.int64)))
        rows.append(written(jitter, 1))
    assert rows[0] == rows[1] == rows[2]
