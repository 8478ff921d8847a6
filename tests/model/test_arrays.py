"""Orders and distinct values of columns, against numpy's own."""

from __future__ import annotations

import numpy as np
import pytest

from panotui.model.arrays import group_order


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
@pytest.mark.parametrize("highest", [1, 7, 1 << 32])
def test_group_order_is_the_stable_order(count: int, highest: int) -> None:
    groups = np.random.default_rng(count).integers(0, highest, count)
    assert group_order(groups).tolist() == np.argsort(groups, kind="stable").tolist()
