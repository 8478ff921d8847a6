"""Each situation is told rightly: its causes, once each, and nothing else of warning or error."""

from __future__ import annotations

import pytest

from tests.situations import SITUATIONS

# told wrongly today
PENDING = frozenset(("first-port-fails-and-the-second-takes-over",))


@pytest.mark.parametrize("name", [n for n in SITUATIONS if n not in PENDING])
def test_a_situation_is_told_rightly(name: str) -> None:
    one = SITUATIONS[name]
    wrong = list(one.wrong(one.watch()))
    assert not wrong, f"{one.text}\n" + "\n".join(wrong)


@pytest.mark.parametrize("name", sorted(PENDING))
def test_what_is_pending_still_fails(name: str) -> None:
    one = SITUATIONS[name]
    assert list(one.wrong(one.watch())), "right now: take it off the list"
