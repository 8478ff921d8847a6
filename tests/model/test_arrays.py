"""Orders and distinct values of columns, against numpy's own."""

from __future__ import annotations

import numpy as np
import pytest

from panotui.model.arrays import among, group_order, lasts, lengths, nonzero


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
@pytest.mark.parametrize("highest", [1, 7, 1 << 32])
def test_group_order_is_the_stable_order(count: int, highest: int) -> None:
    groups = np.random.default_rng(count).integers(0, highest, count)
    assert group_order(groups).tolist() == np.argsort(groups, kind="stable").tolist()


@pytest.mark.parametrize("starts", [[], [0], [0, 1], [3, 4, 9]])
def test_lengths_are_the_steps_to_the_end(starts: list[int]) -> None:
    column = np.array(starts, np.int64)
    assert lengths(column, 12).tolist() == np.diff(column, append=12).tolist()


def test_places_and_members_are_those_of_numpy() -> None:
    draw = np.random.default_rng(5)
    for size, few in ((0, 0), (0, 3), (7, 0), (50, 4), (3_000, 40)):
        values = draw.integers(0, 60, size).astype(np.uint64)
        some = draw.integers(0, 60, few).astype(np.uint64)
        assert nonzero(values > 30).tolist() == np.flatnonzero(values > 30).tolist()
        assert among(values, some).tolist() == np.isin(values, some).tolist()


def test_last_positions_of_runs() -> None:
    assert lasts(np.array([0, 3, 4]), 9).tolist() == [2, 3, 8]
    assert lasts(np.array([], np.int64), 0).tolist() == []
