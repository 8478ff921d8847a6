"""Each situation is told rightly: its causes, once each, and nothing else of warning or error."""

from __future__ import annotations

import pytest

from tests.situations import SITUATIONS

# told wrongly today
PENDING = frozenset(
    {
        "every-lease-is-in-use-already",
        "first-port-fails-and-the-second-takes-over",
        "mirror-shows-only-what-the-port-gets",
        "nobody-answers-and-the-port-helps-itself",
        "nobody-answers-discover",
        "offers-are-never-taken",
        "office-without-an-appliance",
        "one-way-mirror-and-an-endpoint-is-dropped",
        "only-the-camera-port-is-mirrored",
        "server-refuses-the-old-address",
        "the-port-speaks-from-a-link-local-address",
    }
)


@pytest.mark.parametrize("name", [n for n in SITUATIONS if n not in PENDING])
def test_a_situation_is_told_rightly(name: str) -> None:
    one = SITUATIONS[name]
    wrong = list(one.wrong(one.watch()))
    assert not wrong, f"{one.text}\n" + "\n".join(wrong)


@pytest.mark.parametrize("name", sorted(PENDING))
def test_what_is_pending_still_fails(name: str) -> None:
    one = SITUATIONS[name]
    assert list(one.wrong(one.watch())), "right now: take it off the list"
