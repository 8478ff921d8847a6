"""What loses a packet now and then is not news all day; what comes and goes is one event."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any, cast

import pytest

from panotui.engine.events import Events
from panotui.engine.wavering import CHANGES, SPAN_NS, Waverers
from panotui.model import SECOND, EventRecord, StreamRow, StreamSecond
from panotui.state.streams import LIMITS as STREAM_LIMITS
from panotui.state.streams import StreamState

START = 1_700_000_000
HOUR = 3_600


def second(number: int, expected: int, lost: int) -> StreamSecond:
    return StreamSecond(
        stream=1, second=START + number, packets=expected - lost, bytes=1000 * expected,
        expected=expected, lost=lost, frames=15, keyframes=0, frame_bytes_max=9_000,
        jitter_ms=1.0, frame_jitter_ms=1.0, gap_max_ms=1.0, capture_lost=0,
    )  # fmt: skip


def changes(share: float, rate: int, seconds: int, seed: int = 1) -> tuple[int, int]:
    """(changes between losing and whole, seconds of losing) of packets lost at random."""
    chance = random.Random(seed)
    state = StreamState(key="0-1", meter=0, row=cast(StreamRow, None))
    count, losing, was = 0, 0, False
    for number in range(seconds):
        lost = sum(chance.random() < share for _ in range(rate))
        state.take_second(second(number, rate, lost), START + number - 300)
        now = state.loses((START + number + 1) * SECOND)
        count, losing, was = count + (now != was), losing + now, now
    return count, losing


@pytest.mark.parametrize("rate", [25, 60, 180])
def test_loss_of_two_in_ten_thousand_is_hardly_ever_told(rate: int) -> None:
    told, _ = changes(0.0002, rate, 6 * HOUR)
    assert told <= 4


def test_loss_about_the_threshold_is_one_state_and_not_a_flicker() -> None:
    told, losing = changes(STREAM_LIMITS.losing_share, 180, 2 * HOUR)
    assert told <= 40  # the plain threshold changes some 800 times
    assert losing > HOUR // 2


def test_real_loss_is_seen_at_once_and_over_after_a_while() -> None:
    state = StreamState(key="0-1", meter=0, row=cast(StreamRow, None))
    seen = []
    for number in range(240):
        lost = 2 if 60 <= number < 90 else 0
        state.take_second(second(number, 100, lost), START + number - 300)
        seen.append(state.loses((START + number + 1) * SECOND))
    assert seen.index(True) <= 60 + STREAM_LIMITS.lost_packets
    assert seen[119]
    assert not seen[200]
    assert [a != b for a, b in pairwise(seen)].count(True) == 2


def make() -> Events:
    return Events(cast(Any, None), cast(Any, None), 1_000)


def tell(events: Events, second: int, state: str, name: str = "dock") -> EventRecord:
    values = {"camera": name, "state": state, "detail": ""}
    about = f"camera:{name}"
    return events.tell("camera", second * SECOND, name, values, about=about)


def test_a_camera_that_wavers_is_one_event_with_a_count() -> None:
    events = make()
    for number in range(400):
        tell(events, 40 * number, "losing" if number % 2 == 0 else "streaming")
    kept = events.newest(1_000)
    assert len(kept) == CHANGES
    wavers = next(e for e in kept if e.count > 1)
    assert wavers.count == 400
    assert wavers.until_ns == 40 * 399 * SECOND
    assert wavers.severity == "warning"
    assert "400 changes in 4 h 26 min" in wavers.text
    assert wavers.text.endswith("Camera dock is streaming")
    told = events.drain()
    assert len({e.number for e in told}) == len(kept)
    assert len(told) < 300  # told anew at most once a minute
    assert sorted(e.number for e in kept) == list(range(1, CHANGES + 1))


def test_after_a_calm_while_a_change_is_news_again() -> None:
    events = make()
    for number in range(20):
        tell(events, 30 * number, "losing" if number % 2 == 0 else "streaming")
    before = len(events.newest(1_000))
    late = 30 * 19 + SPAN_NS // SECOND + 1
    assert tell(events, late, "losing").count == 1
    assert tell(events, late + 3_000, "streaming").count == 1
    assert len(events.newest(1_000)) == before + 2


def test_slow_changes_and_other_cameras_are_news_each() -> None:
    events = make()
    for number in range(20):
        tell(events, 300 * number, "losing" if number % 2 == 0 else "streaming")
        tell(events, 300 * number, "silent", f"camera{number}")
    assert len(events.newest(1_000)) == 40


def test_what_wavers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panotui.engine.wavering.THINGS_MAX", 10)
    waverers = Waverers()
    for number in range(1_000):
        waverers.change("camera", f"camera:{number}", number, number)
    assert len(waverers._things) <= 11
