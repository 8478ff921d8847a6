"""A situation is told alike by each way to ask: live objects, a file, a recording of that file.

Every `EVERY`th situation is taken, so that this stays short.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.situations import SITUATIONS
from tests.situations.ways import greener, miscounted, other_ways

EVERY = 16
CHOSEN = [name for name, one in SITUATIONS.items() if not one.live][::EVERY]


@pytest.mark.parametrize("name", CHOSEN)
def test_a_file_and_its_recording_tell_what_was_seen(name: str, tmp_path: Path) -> None:
    one = SITUATIONS[name]
    assert not list(other_ways(one, tmp_path)), one.text


@pytest.mark.parametrize("name", CHOSEN)
def test_counts_are_one_number_and_no_tile_is_greener_than_its_page(name: str) -> None:
    one = SITUATIONS[name]
    engine = one.watch()
    assert not [*miscounted(engine), *greener(engine)], one.text
