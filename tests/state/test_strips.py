from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from panotui.model import SECOND, CameraRecord, Snapshot
from panotui.state.strips import (
    US,
    Cell,
    Change,
    Changes,
    Run,
    StripBook,
    camera_cell,
    cells,
    fold,
    in_order,
    label,
    runs_of,
    tally,
    together,
)
from tests.views.records import START, snapshot, stream

BEGIN = START // SECOND


def with_camera(second: int, lost: int = 0, **changes: object) -> Snapshot:
    """The small site at a second, its first camera changed."""
    now = snapshot(second)
    first, *others = now.cameras
    return msgspec.structs.replace(
        now,
        streams=(),
        cameras=(msgspec.structs.replace(first, **changes), *others),
        source=msgspec.structs.replace(now.source, lost=lost),
    )


def test_an_outage_is_drawn_dead_and_what_nobody_asked_for_is_not() -> None:
    camera = CameraRecord(name="dock", address="10.0.0.1", state="silent")
    assert camera_cell(camera, []) == Cell.DEAD
    assert camera_cell(msgspec.structs.replace(camera, state="paused"), []) == Cell.UNASKED
    assert camera_cell(msgspec.structs.replace(camera, state="unseen"), []) == Cell.UNASKED


def test_a_frozen_picture_is_dead_and_a_troubled_one_is_damaged() -> None:
    camera = CameraRecord(name="dock", address="10.0.0.1", state="streaming")
    frozen, well = (stream("dock", START, state=state) for state in ("frozen", "streaming"))
    assert camera_cell(camera, [frozen]) == Cell.DEAD
    assert camera_cell(camera, [frozen, well]) == Cell.DAMAGED
    assert camera_cell(camera, [well]) == Cell.WELL
    troubled = msgspec.structs.replace(camera, trouble="x", trouble_severity="error")
    assert camera_cell(troubled, [well]) == Cell.DAMAGED
    assert camera_cell(troubled, []) == Cell.DEAD


def test_several_subjects_are_dead_together_only_when_all_are() -> None:
    assert together([Cell.DEAD, Cell.DEAD, Cell.UNASKED]) == Cell.DEAD
    assert together([Cell.DEAD, Cell.WELL]) == Cell.DAMAGED
    assert together([Cell.UNASKED]) == Cell.UNASKED
    assert together([]) == Cell.UNASKED


def test_a_change_is_dated_back_to_when_its_state_began() -> None:
    changes = Changes()
    name = snapshot(0).cameras[0].name
    for second in range(10):
        changes.add(with_camera(second, state="streaming"))
    found = changes.add(
        with_camera(30, state="silent", state_since_ns=START + 21 * SECOND, trouble_severity=None)
    )
    assert Change(f"camera:{name}", BEGIN + 21, Cell.DEAD) in found
    assert changes.add(with_camera(31, state="silent", trouble_severity=None)) == []


def test_packets_that_we_missed_are_a_cell_of_our_own_strip() -> None:
    book = StripBook()
    for second in range(20):
        book.add(with_camera(second, lost=100 if second >= 12 else 0))
    cells_of_us = fold(book.runs()[US], *book.span, 20)
    assert cells_of_us[12] == Cell.MISSED
    assert [c for i, c in enumerate(cells_of_us) if i != 12] == [Cell.WELL] * 19


def test_a_subject_that_goes_is_not_asked_any_more() -> None:
    changes = Changes()
    changes.add(snapshot(0))
    found = changes.add(msgspec.structs.replace(snapshot(1), cameras=()))
    gone = {change.key for change in found if change.cell == Cell.UNASKED}
    assert {f"camera:{c.name}" for c in snapshot(0).cameras} & gone


def test_a_live_book_is_bounded() -> None:
    book = StripBook()
    for second in range(0, 40_000, 4):
        book.add(with_camera(second, state="silent" if second % 8 else "streaming"))
    assert sum(len(kept) for kept in book._kept.values()) < 1_100
    start_s, end_s = book.span
    assert end_s - start_s == 4 * 3600


def test_a_column_is_the_worst_of_its_span_and_blank_where_hardly_anything_was_recorded() -> None:
    runs = [Run(0, 100, Cell.WELL), Run(40, 41, Cell.DEAD), Run(190, 200, Cell.WELL)]
    assert fold(runs, 0, 200, 4) == (Cell.DEAD, Cell.WELL, Cell.BLANK, Cell.BLANK)
    assert fold(runs, 0, 200, 2) == (Cell.DEAD, Cell.BLANK)
    assert fold([], 0, 10, 3) == (Cell.BLANK,) * 3
    assert fold(runs, 5, 5, 3) == ()


def test_availability_is_of_the_time_in_which_it_was_asked_for() -> None:
    runs = [Run(0, 60, Cell.WELL), Run(60, 80, Cell.DEAD), Run(80, 90, Cell.DAMAGED)]
    runs += [Run(90, 150, Cell.UNASKED), Run(150, 160, Cell.DEAD)]
    found = tally(runs, 0, 200)
    assert (found.dead_s, found.damaged_s, found.unasked_s, found.blank_s) == (30, 10, 60, 40)
    assert found.known_s == 100
    assert found.availability == 0.7
    assert found.times_dead == 2
    assert tally([], 0, 100).availability is None


@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from(list(Cell)[1:])), max_size=20),
    st.integers(1, 70),
)
def test_runs_and_cells_say_the_same(changes: list[tuple[int, Cell]], columns: int) -> None:
    told = [Change("x", t, cell) for t, cell in sorted(changes, key=lambda c: c[0])]
    runs = runs_of(told, 0, 60)
    seconds = [Cell.BLANK] * 60
    for change in told:
        seconds[change.time_s :] = [change.cell] * (60 - change.time_s)
    assert fold(runs, 0, 60, 60) == tuple(seconds)
    assert all(a.end_s <= b.start_s for a, b in pairwise(runs))
    folded = fold(runs, 0, 60, columns)
    assert len(folded) == columns
    assert max(folded) == max(seconds) or max(seconds) < Cell.MISSED


def test_every_subject_of_a_snapshot_has_a_strip_with_a_name() -> None:
    now = snapshot(5)
    keys = in_order(cells(now))
    assert [k for k in keys if k.startswith("port:")] == [f"port:{p.name}" for p in now.ports]
    assert keys[0].startswith("port:")
    assert "internet" in keys
    assert label("camera:dock") == "dock"
    assert label("endpoint:iot/host.example/443") == "iot"
    assert label("us") == "us"
