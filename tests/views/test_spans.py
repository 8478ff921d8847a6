"""Two spans of a recording compared on the screen: `:spans 22:00-06:00`."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from panotui.recording.reader import Recording
from panotui.tui.commands import Order, read
from panotui.views.frames import ReviewState, View
from panotui.views.review import ReviewProvider
from tests.report.nights import BEGIN_S, Trouble, record_night

HOUR = 3_600


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hours: the dock is off for 6 minutes of the third, the yard loses in the first."""
    troubles = [
        Trouble("losing", "yard", 600, 1_200),
        Trouble("off", "dock", 2 * HOUR + 600, 2 * HOUR + 960),
    ]
    folder = tmp_path_factory.mktemp("spans") / "a.panotui"
    return record_night(folder, 3, cameras=3, endpoints=4, troubles=troubles)


def sections(folder: Path, key: str) -> dict[str, dict[str, str]]:
    frame = ReviewProvider(Recording(folder)).frame(View(detail=key))
    assert frame.detail is not None
    assert not frame.detail.gone
    return {s.title: dict(s.lines) for s in frame.detail.sections}


def test_availability_loss_bit_rate_and_news_of_two_spans(recorded: Path) -> None:
    now, then = BEGIN_S + 2 * HOUR, BEGIN_S
    told = sections(recorded, f"spans:{now}/{now + HOUR}/{then}")
    assert told["available: then, now"]["dock"] in ("100 %, 90.00 %", "100 %, 89.97 %")
    assert set(told["available: then, now"]) == {"dock"}
    lost = told["lost by cameras: then, now"]["yard"].split(", ")
    assert float(lost[0].split()[0]) > 0.1
    assert lost[1] == "0 %"
    assert set(told["bit-rate of cameras: then, now"]) >= {"dock", "gate", "yard"}
    began = told["began: then, now"]["warnings and errors"].split(", ")
    assert int(began[1]) >= 1
    assert any("dock" in name for name in told["findings that are new"].values())


def test_a_key_that_is_no_comparison_is_gone(recorded: Path) -> None:
    frame = ReviewProvider(Recording(recorded)).frame(View(detail="spans:x/y/z"))
    assert frame.detail is not None
    assert frame.detail.gone


@pytest.mark.parametrize(
    ("text", "start", "length", "back"),
    [
        ("spans 22:00-06:00", -2 * HOUR, 8 * HOUR, 24 * HOUR),
        ("spans 22:00 - 06:00 7", -2 * HOUR, 8 * HOUR, 7 * 24 * HOUR),
        ("spans 10:30-11:00", 10 * HOUR + 1_800, 1_800, 24 * HOUR),
        ("spans 13:00-14:00", -11 * HOUR, HOUR, 24 * HOUR),  # today's has not begun
    ],
)
def test_spans_are_named_by_times_of_day(text: str, start: int, length: int, back: int) -> None:
    midnight = BEGIN_S // 86_400 * 86_400
    review = ReviewState(
        start_ns=(midnight - 30 * 86_400) * 10**9, end_ns=(midnight + 86_400) * 10**9,
        position_ns=(midnight + 12 * HOUR) * 10**9,
    )  # fmt: skip
    order = read(text, review, UTC, (), ())
    assert isinstance(order, Order)
    begin = midnight + start
    assert order.text == f"spans:{begin}/{begin + length}/{begin - back}"


@pytest.mark.parametrize(
    ("text", "why"),
    [("spans", "two spans are"), ("spans 25:00-26:00", "no such times"),
     ("spans 22:00-06:00 300", "nothing was recorded at that time")],
)  # fmt: skip
def test_spans_that_cannot_be_are_said_in_one_line(text: str, why: str) -> None:
    review = ReviewState(
        start_ns=BEGIN_S * 10**9, end_ns=(BEGIN_S + 90_000) * 10**9,
        position_ns=(BEGIN_S + 90_000) * 10**9,
    )  # fmt: skip
    said = read(text, review, UTC, (), ())
    assert isinstance(said, str)
    assert why in said
    assert (
        read("spans 22:00-06:00", None, UTC, (), ())
        == "this is not a review: only the present is available"
    )
