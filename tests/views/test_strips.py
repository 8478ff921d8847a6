"""Strips and curves out of a running engine's seconds, and out of a recording."""

from __future__ import annotations

from pathlib import Path

import msgspec

from panotui.model import SECOND, CameraRecord, EventRecord, PortRecord, Snapshot
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from panotui.state.strips import Cell
from panotui.views.frames import Strips, StripsView
from panotui.views.identity import sentence_of
from panotui.views.provider import StateProvider
from panotui.views.recorded_times import RecordedTimes
from panotui.views.strips import LiveTimes, strips
from tests.views.records import START, FixedState, snapshot, stream

FIRST = START // SECOND


def second(number: int) -> Snapshot:
    """eth0 dies at second 20 and comes back at 30; yard refuses throughout; 3 packets are lost."""
    at = START + number * SECOND
    port = PortRecord(
        name="eth0", state="down" if 20 < number <= 30 else "up", rate_in_bps=float(number) * 1e6
    )
    return msgspec.structs.replace(
        snapshot(number, quiet=True),
        time_ns=at,
        ports=(port,),
        cameras=(CameraRecord(name="yard", address="10.20.0.13", state="refused"),),
        streams=(stream("gate", at, history_lost=(0, 3 if number == 40 else 0)),),
    )


def lived() -> LiveTimes:
    times = LiveTimes()
    for number in range(1, 61):
        times.add(second(number))
    return times


def asked(columns: int, **changes: int) -> StripsView:
    return StripsView(columns=columns, rows=10, **{"cell_s": 0, **changes})


def cells(found: Strips, key: str) -> str:
    return next(s.cells for s in found.strips if s.key == key)


def test_seconds_become_cells_of_the_worst_of_their_span() -> None:
    found = strips(lived(), asked(60), (), tuple)
    assert found.cell_s == 1
    eth0 = cells(found, "port:eth0")
    assert eth0.count(str(int(Cell.DEAD))) == 10
    assert set(cells(found, "camera:yard")) == {str(int(Cell.DEAD))}
    by_ten = strips(lived(), asked(6), (), tuple)
    assert by_ten.cell_s == 10
    assert cells(by_ten, "port:eth0").count(str(int(Cell.DEAD))) in (1, 2)


def test_cells_lie_on_a_grid_so_that_a_picture_moves_by_whole_cells() -> None:
    for end in range(5):
        times = lived()
        for number in range(61, 61 + end):
            times.add(second(number))
        found = strips(times, asked(40, cell_s=10), (), tuple)
        assert found.end_s % 10 == 0
        assert found.start_s % 10 == 0
        assert found.end_s - found.start_s == 400


def test_curves_are_means_and_sums_of_their_cells_and_gaps_stay_gaps() -> None:
    found = strips(lived(), asked(10, cell_s=10), (), tuple)
    rates, lost = (curve.values for curve in found.curves)
    assert [v is None for v in rates] == [v is None for v in lost]
    assert rates[0] is None
    known = [v for v in rates if v is not None]
    assert known == sorted(known)
    assert sum(v for v in lost if v) == 3


def test_what_scrolled_out_can_be_asked_for_again() -> None:
    found = strips(lived(), asked(20, cell_s=1, end_s=FIRST + 30), (), tuple)
    assert found.end_s == FIRST + 30
    assert str(int(Cell.DEAD)) in cells(found, "port:eth0")


def test_a_held_moment_shows_the_strips_up_to_it() -> None:
    state = FixedState(second=30)
    provider = StateProvider(state, "live")
    assert isinstance(provider.times, LiveTimes)
    for number in range(1, 31):
        provider.times.add(second(number))
    from panotui.views.frames import View

    view = View(hold="a", strips=asked(20, cell_s=1))
    before = provider.frame(view).strips
    for number in range(31, 61):
        provider.times.add(second(number))
    assert provider.frame(view).strips == before
    now = provider.frame(View(strips=asked(20, cell_s=1))).strips
    assert now is not None
    assert before is not None
    assert now.end_s == before.end_s + 30


def test_a_recording_answers_the_same_as_the_engine_did(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.panotui", lossless=True)
    for number in range(1, 61):
        recorder.observe(second(number))
    recorder.close()
    recording = Recording(tmp_path / "a.panotui")
    live, kept = lived(), RecordedTimes(recording)
    window = asked(60, cell_s=1, end_s=FIRST + 60)
    ours, theirs = strips(live, window, (), tuple), strips(kept, window, (), tuple)
    for key in ("port:eth0", "camera:yard"):
        assert cells(ours, key) == cells(theirs, key)
    assert [c.name for c in theirs.curves] == [c.name for c in ours.curves]
    recording.close()


def test_an_event_names_its_host_once() -> None:
    def said(subject: str, text: str) -> str:
        return sentence_of(
            EventRecord(time_ns=FIRST, number=1, kind="endpoint", severity="info",
                        subject=subject, text=text)
        )  # fmt: skip

    assert said("logs.example.com", "Logs.example.com is blocked") == "Logs.example.com is blocked"
    assert said("eth0", "the link is up") == "eth0: the link is up"
    assert said("", "all is well") == "all is well"
