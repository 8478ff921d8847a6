"""Orders and distinct values of columns, against numpy's own."""

from __future__ import annotations

import numpy as np
import pytest

from panotui.model.arrays import group_order, lengths


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
@pytest.mark.parametrize("highest", [1, 7, 1 << 32])
def test_group_order_is_the_stable_order(count: int, highest: int) -> None:
    groups = np.random.default_rng(count).integers(0, highest, count)
    assert group_order(groups).tolist() == np.argsort(groups, kind="stable").tolist()


@pytest.mark.parametrize("starts", [[], [0], [0, 1], [3, 4, 9]])
def test_lengths_are_the_steps_to_the_end(starts: list[int]) -> None:
    column = np.array(starts, np.int64)
    assert lengths(column, 12).tolist() == np.diff(column, append=12).tolist()
