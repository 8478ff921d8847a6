"""Each situation is told rightly: its causes, once each, and nothing else of warning or error."""

from __future__ import annotations

import pytest

from tests.situations import CAPTURES, SITUATIONS


@pytest.mark.parametrize("name", list(SITUATIONS))
def test_a_situation_is_told_rightly(name: str) -> None:
    one = SITUATIONS[name]
    wrong = list(one.wrong(one.watch()))
    assert not wrong, f"{one.text}\n" + "\n".join(wrong)


@pytest.mark.parametrize("name", list(CAPTURES))
def test_an_odd_file_is_read_rightly(name: str) -> None:
    one = CAPTURES[name]
    wrong = list(one.wrong(one.watch()))
    assert not wrong, f"{one.text}\n" + "\n".join(wrong)
