"""A jump to an event lands on it, in every age of a recording."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from panotui.model import SECOND, EventRecord, Snapshot
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from panotui.recording.retention import Limits, roll_up
from panotui.tui.effects import Send
from panotui.tui.line import text_of
from panotui.tui.session import Session
from panotui.views import review
from panotui.views.frames import Command, View
from panotui.views.review import ReviewProvider
from tests.views.records import START, event, snapshot

ALARMS = {17: "warning", 61: "error", 62: "warning", 3_605: "error", 5_000: "warning"}
LATE = 5_000  # tells what happened a minute before


def state(second: int, alarms: int) -> Snapshot:
    """A state that shows how many alarms there were."""
    return msgspec.structs.replace(snapshot(second), limits={"alarms": alarms})


def record(folder: Path, seconds: int = 6_000, start: int = 0) -> Path:
    limits = Limits(
        samples_second_s=600,
        snapshots_second_s=60,
        samples_ten_s=1_200,
        snapshots_ten_s=1_200,
        free_bytes=0,
    )
    recorder = Recorder(folder, lossless=True, commit_every_s=5.0, limits=limits)
    alarms = 0
    for second in range(start, start + seconds, 1):
        if second % 7 and second - start not in ALARMS:
            continue
        events: list[EventRecord] = []
        severity = ALARMS.get(second - start)
        if severity is not None:
            alarms += 1
            back = 60 if second - start == LATE else 0
            events.append(event(alarms, START + (second - back) * SECOND, severity))
        recorder.observe(state(second, alarms), (), events)
    recorder.flush()
    connection = recorder._connection
    connection.execute("BEGIN")
    roll_up(connection, START // SECOND + start + seconds, limits)
    connection.execute("COMMIT")
    recorder.close()
    return folder


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("jumps") / "a.panotui")


def test_a_jump_shows_the_state_with_the_event_in_every_age(aged: Path) -> None:
    recording = Recording(aged)
    provider = ReviewProvider(recording)
    provider.command(Command(name="seek", time_ns=recording.start_ns))
    for number, second in enumerate(ALARMS, 1):
        done = provider.command(Command(name="next-event"))
        assert done.ok
        assert done.key == f"event:{number}"
        frame = provider.frame(View(pane="events", follow=done.key, detail=done.key))
        assert frame.header.time_ns == START + second * SECOND
        assert provider.snapshot().limits == {"alarms": number}
        assert frame.events[frame.follow_row or 0].number == number
        assert frame.detail is not None
        assert frame.detail.event is not None
        assert frame.detail.event.number == number
        assert frame.header.review is not None
        assert frame.header.review.event == number
    assert not provider.command(Command(name="next-event")).ok
    for number in range(len(ALARMS) - 1, 0, -1):
        assert provider.command(Command(name="previous-event")).key == f"event:{number}"
    provider.command(Command(name="seek", value=1.0))
    assert provider.frame(View()).header.review.event is None  # type: ignore[union-attr]


def test_the_screen_selects_what_was_jumped_to_and_enter_opens_it(aged: Path) -> None:
    recording = Recording(aged)
    provider = ReviewProvider(recording)
    screen = Session(mode="review")
    provider.command(Command(name="seek", time_ns=recording.start_ns))

    def draw() -> None:
        while screen.take(provider.frame(screen.view()), 0.0):
            pass

    draw()
    for key in ("7", *">>>"):
        for effect in screen.press(key, key, 0.0):
            if isinstance(effect, Send) and isinstance(effect.command, Command):
                screen.told(provider.command(effect.command), 0.0)
        draw()
    assert screen.pane == "events"
    assert screen.place.key == "event:3"
    screen.press("enter", None, 0.0)
    draw()
    detail = screen.shown_detail()
    assert detail is not None
    assert detail.event is not None
    assert detail.event.number == 3


def test_events_stand_in_the_order_of_their_time(aged: Path) -> None:
    recording = Recording(aged)
    before = [e.number for e in recording.events(known_by=START + (LATE - 1) * SECOND)]
    assert before == [1, 2, 3, 4]  # what is told late is not known before
    times = [e.time_ns for e in recording.events()]
    assert times == sorted(times)
    assert [e.number for e in recording.snapshot_at(1 << 61).events] == [1, 2, 3, 4, 5]


def test_between_events_snapshots_are_thinned(aged: Path) -> None:
    recording = Recording(aged)
    (left,) = recording._connection.execute("SELECT count(*) FROM snapshot").fetchone()
    assert left < 300
    assert recording.snapshot_at(START + 700 * SECOND).time_ns < START + 700 * SECOND


def test_events_of_several_runs_have_numbers_of_their_own(tmp_path: Path) -> None:
    folder = record(tmp_path / "a.panotui", seconds=70)
    record(folder, seconds=70, start=1_000)
    recording = Recording(folder)
    numbers = [e.number for e in recording.events()]
    assert len(set(numbers)) == len(numbers) == 6
    provider = ReviewProvider(recording)
    provider.command(Command(name="seek", time_ns=recording.start_ns))
    for number in numbers:
        done = provider.command(Command(name="next-event"))
        detail = provider.frame(View(detail=done.key)).detail
        assert detail is not None
        assert not detail.gone
        assert detail.event is not None
        assert detail.event.number == number


def test_a_list_that_is_cut_says_so(aged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = ReviewProvider(Recording(aged))
    assert provider.frame(View(pane="events")).cut == ""
    monkeypatch.setattr(review, "EVENTS_SHOWN", 2)
    assert provider.frame(View(pane="events")).cut == "newest 2 of 5; older: ["
    screen = Session(mode="review")
    screen.resize(80, 24)
    screen.press("7", "7", 0.0)
    screen.take(provider.frame(screen.view()), 0.0)
    drawn = "\n".join(map(text_of, screen.picture(0.0).body))
    assert "newest 2 of 5; older: [" in drawn


def test_the_time_line_drops_no_alarm(aged: Path) -> None:
    recording = Recording(aged)
    marks = recording.event_marks(columns=3)
    assert [severity for _, severity, _ in marks] == ["error", "error", "warning"] or len(
        marks
    ) <= 3
    told = sum(1 + (int(text.split("(and ")[1].split()[0]) if "(and " in text else 0)
               for _, _, text in marks)  # fmt: skip
    assert told == len(ALARMS)


def test_a_search_goes_through_the_whole_recording(aged: Path) -> None:
    recording = Recording(aged)
    provider = ReviewProvider(recording)
    provider.command(Command(name="seek", time_ns=recording.start_ns))
    found = []
    while (done := provider.command(Command(name="find-next", text="severity:error"))).ok:
        found.append(done.key)
    assert found == ["event:2", "event:4"]
    assert "no event after this" in done.text
    assert provider.snapshot().limits == {"alarms": 4}
    assert provider.command(Command(name="find-previous", text='"event 1"')).key == "event:1"
    assert not provider.command(Command(name="find-next", text="nonsense:x")).ok
