"""Speed does not rot unseen: the calls that fixed inputs take are held where they are."""

from __future__ import annotations

import sys

import pytest

from tests.benchmarks.counts import INPUTS, WITHIN, counted, expected


@pytest.mark.slow
@pytest.mark.skipif(not expected(), reason=f"nobody has counted with Python {sys.version[:4]}")
@pytest.mark.parametrize("name", INPUTS)
def test_the_work_for_a_fixed_input_has_not_grown(name: str) -> None:
    """Where it has fallen for good: `python -m tests.benchmarks.counts --write`."""
    assert abs(counted(name) - expected()[name]) <= WITHIN * expected()[name]
