"""`:spans` goes by the calendar: over a change of clocks a night is an hour longer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from panotui.model import SECOND
from panotui.tui.commands import Order, read
from panotui.views.frames import ReviewState

BERLIN = ZoneInfo("Europe/Berlin")  # clocks go back at 03:00 on 2026-10-25


@pytest.fixture
def _here_is_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(month: int, day: int, hour: int) -> int:
    return int(datetime(2026, month, day, hour, tzinfo=BERLIN).timestamp())


@pytest.mark.usefixtures("_here_is_berlin")
@pytest.mark.parametrize("zone", [None, BERLIN])
@pytest.mark.parametrize(("day", "hours"), [(24, 8), (25, 9), (26, 8)])
def test_each_night_begins_and_ends_by_its_own_clock(
    zone: tzinfo | None, day: int, hours: int
) -> None:
    review = ReviewState(
        start_ns=at(10, 1, 0) * SECOND, end_ns=at(10, 30, 0) * SECOND,
        position_ns=at(10, day, 12) * SECOND,
    )  # fmt: skip
    told = read("spans 22:00-06:00", review, zone, (), ())
    assert isinstance(told, Order)
    start, end, before = at(10, day - 1, 22), at(10, day, 6), at(10, day - 2, 22)
    assert end - start == hours * 3600
    assert told.text == f"spans:{start}/{end}/{before}"
