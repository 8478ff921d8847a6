from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from panotui.model import SECOND
from panotui.tui.commands import Order, completed, read
from panotui.views.frames import ReviewState

BERLIN = ZoneInfo("Europe/Berlin")
START = 1_767_045_600 * SECOND  # 2025-12-29 23:00 in Berlin
NIGHT = ReviewState(start_ns=START, end_ns=START + 8 * 3600 * SECOND, position_ns=START)


def typed(text: str, review: ReviewState | None = None) -> Order | str:
    return read(text, review, BERLIN, ["rate", "host"], ["eth0", "eth1"])


def test_a_time_after_midnight_is_in_the_night_of_the_recording() -> None:
    order = typed("03:14", NIGHT)
    assert isinstance(order, Order)
    assert order.time_ns == START + (4 * 3600 + 14 * 60) * SECOND


@pytest.mark.parametrize(
    ("text", "why"),
    [("nonsense", "unknown command"), ("sort nothing", "sort by rate, host"), ("rate 9", "1 to 4"),
     ("port eth7", "ports are eth0, eth1"), ("03:14", "not a review"),
     ("speed x", "takes a number"), ("quit now", "takes nothing"), ("mark", "mark what")],
)  # fmt: skip
def test_what_cannot_be_read_says_why(text: str, why: str) -> None:
    answer = typed(text)
    assert isinstance(answer, str)
    assert why in answer


def test_a_beginning_that_is_clear_is_enough() -> None:
    assert typed("viol") == Order("violations")
    assert typed("so rate") == Order("sort", "rate")


def test_tab_completes_as_far_as_it_is_clear() -> None:
    assert completed("fil") == "filter "
    assert completed("f") == "f"
    assert completed("endp") == "endpoints"


def test_a_time_outside_the_recording_is_refused() -> None:
    assert typed("12:00", NIGHT) == "that is after the end of the recording"
    assert typed("25:00", NIGHT) == "there is no such time of day"
