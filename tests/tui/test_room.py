"""A large screen uses its room: strips, newest events, a detail beside what is asked."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from panotui.model import SECOND, FreezeRecord
from panotui.state.strips import Cell
from panotui.tui import strips
from panotui.tui.glyphs import UNICODE
from panotui.tui.strips import asked_columns
from panotui.tui.table import Column, layout
from panotui.views.frames import Curve, Strip, Strips
from tests.tui import frames_builder
from tests.tui.frames_builder import MadeUpTimes
from tests.tui.screens import Driven


def wide(width: int = 200, height: int = 60) -> Driven:
    return Driven(frames_builder.plant(), width, height)


def test_a_large_overview_has_answers_strips_newest_events_and_a_detail() -> None:
    lines = wide().lines()
    left = [line[:110] for line in lines]
    assert any(line.startswith(" WHAT TO DO") for line in left)
    assert any(line.startswith(" NEWEST") for line in left)  # in the room below the answers
    assert any("port eth0" in line[110:] for line in lines)
    assert any(line.startswith(" LAST ") for line in left)
    assert any("bit-rate" in line for line in left)


def test_newest_events_stand_beside_where_the_answers_leave_no_room() -> None:
    lines = Driven(frames_builder.large(), 200, 60).lines()
    assert not any(line.startswith(" NEWEST") for line in lines)
    assert any(" NEWEST" in line[110:] for line in lines)


def test_an_event_that_names_its_subject_names_it_once() -> None:
    driven = wide()
    events = [line for line in driven.lines() if "silent for" in line or "is blocked" in line]
    assert events
    for event in driven.session.frames["overview"].events:
        if event.subject in event.text:
            assert f"{event.subject} {event.text}"[:60] not in driven.text()


def test_a_short_list_on_a_large_screen_has_the_strips_below_it() -> None:
    driven = wide().press("4")
    driven.fetch()
    lines = driven.lines()
    assert any(line.startswith(" LAST ") for line in lines)
    assert any(line.startswith(" yard ") and "✖" in line for line in lines)
    assert not any(line.startswith(" LAST ") for line in wide(120, 40).press("4").lines())
    narrow = driven.press("v").lines()  # the list alone
    assert not any(line.startswith(" LAST ") for line in narrow)


def test_time_strips_alone_leave_room_for_the_newest_events() -> None:
    lines = wide().press("t").lines()
    assert any(line.startswith(" NEWEST") for line in lines)


def test_sections_of_a_detail_stand_side_by_side_where_they_fit() -> None:
    lines = wide().press("2", "enter").lines()
    assert any("VERDICT" in line and "TRAFFIC" in line for line in lines)
    assert {len(line) for line in lines} == {200}
    small = wide(80, 24).press("2", "enter").lines()
    assert not any("VERDICT" in line and "TRAFFIC" in line for line in small)


def test_curves_of_a_detail_are_as_wide_as_there_is_room() -> None:
    driven = wide()
    driven.site.streams = tuple(
        msgspec.structs.replace(
            s,
            history_bps=(4e6,) * 30,
            history_lost=(0,) * 30,
            history_frames=(25,) * 30,
            history_frame_bytes=(),
            history_keyframes=(),
        )
        for s in driven.site.streams
    )
    lines = driven.press("3", "end", "enter").lines()
    assert any("4 columns are 1 s" in line for line in lines)
    widest = max(line.count("⣿") for line in lines)
    assert widest >= 100


def test_a_picture_that_stood_still_is_marked_below_the_curves() -> None:
    driven = wide()
    now_s = driven.site.time_ns // SECOND
    from_s = now_s - 10
    driven.site.streams = tuple(
        msgspec.structs.replace(
            s, history_bps=(4e6,) * 30, history_lost=(0,) * 30, history_frames=(),
            history_frame_bytes=(), history_keyframes=(),
            freezes=(FreezeRecord(
                start_ns=from_s * SECOND, seconds=4.0, kind="silence"),),
        )
        for s in driven.site.streams
    )  # fmt: skip
    lines = driven.press("3", "end", "enter").lines()
    row = next(line for line in lines if line.strip().startswith("frozen") and "✖" in line)
    assert row.count("✖") == 4 * 4  # seconds, columns each
    assert row.rstrip().endswith("✖")
    assert len(row.rstrip()) < len(row) - 6 * 4  # six seconds have passed since


def test_few_seconds_of_strips_are_drawn_wider() -> None:
    assert asked_columns(170, 32) == 34  # and two more that may come before the answer does
    assert asked_columns(170, 60) == 85
    assert asked_columns(170, 100) == 170
    assert asked_columns(170, 100_000) == 170
    assert asked_columns(170, 3) == 21
    driven = wide()
    now_s = driven.site.time_ns // SECOND
    driven.site.times = MadeUpTimes(now_s - 32, now_s, {"us": [(0, Cell.WELL)]})
    driven.fetch()
    driven.fetch()
    lines = driven.lines()
    axis = next(line for line in lines if line.startswith(" LAST "))
    assert "cell 1 s" in axis
    assert re.search(r"( {2,}\d\d:\d\d:\d\d){4}", axis)
    us = next(line for line in lines if line.startswith(" us "))
    assert us.split()[1] == "█" * 32 * 5


def test_a_column_grows_first_where_its_rows_need_it() -> None:
    columns = (
        Column("A", 5, lambda r, s: ("", "plain"), most=50),
        Column("B", 5, lambda r, s: ("", "plain"), most=50),
    )
    widths = [cells for _, cells in layout(columns, 31, {"A": 20, "B": 5})]
    assert widths == [23, 7]
    assert [cells for _, cells in layout(columns, 31)] == [15, 15]


def column(title: str, cells: int, **given: Any) -> Column:
    return Column(title, cells, lambda r, s: ("", "plain"), **given)


def test_no_name_is_cut_while_a_column_that_matters_less_has_room() -> None:
    columns = (
        column("NAME", 10, most=40), column("RATE", 6, drop=1), column("SERVICE", 10, drop=8),
        column("SEEN", 7, drop=9),
    )  # fmt: skip
    wide_enough = {c.title: cells for c, cells in layout(columns, 49, {"NAME": 32})}
    assert wide_enough == {"NAME": 40, "RATE": 6}  # the name whole, and no room for SERVICE then
    narrow = {c.title: cells for c, cells in layout(columns, 35, {"NAME": 32})}
    assert narrow == {"NAME": 17, "RATE": 6, "SERVICE": 10}  # it cannot be whole beside the rate
    short = {c.title: cells for c, cells in layout(columns, 36, {"NAME": 8})}
    assert "SERVICE" in short
    sentence = (column("WHAT", 10, most=40, sentence=True), column("PACKET", 8, drop=4))
    assert [c.title for c, _ in layout(sentence, 30, {"WHAT": 36})] == ["WHAT"]


@pytest.mark.parametrize("pane", ["2", "4"])
def test_host_names_are_whole_at_200x60(pane: str) -> None:
    driven = wide().press(pane)
    rows = [line[2:136] for line in driven.lines()[3:15]]
    assert any("a1b2c3d4e5f6g7-ats.iot.us-east-1.amazonaws.com" in row for row in rows)
    assert not any("…" in row for row in rows)


def test_columns_do_not_move_when_a_long_name_goes() -> None:
    driven = wide().press("2")
    titles = driven.lines()[2]
    flows = driven.site.flows
    driven.site.flows = tuple(f for f in flows if len(f.host or "") < 20)
    assert len(driven.site.flows) < len(flows)
    driven.fetch()
    assert driven.lines()[2] == titles
    driven.press("S")  # other rows are asked for
    assert driven.lines()[2].replace("▼", "▲") != titles


def test_strips_below_any_list_say_what_each_thing_does_now() -> None:
    driven = wide()
    at_home = {
        line.split()[0]: line.split()[-1]
        for line in driven.lines()
        if line.startswith((" yard ", " eth0 ", " gate ")) and "█" in line
    }
    lines = driven.press("6").lines()
    for name, said in at_home.items():
        row = next(line[:136] for line in lines if line.startswith(f" {name} ") and "█" in line)
        assert row.split()[-1].rstrip("│") == said


def test_a_chart_without_a_value_takes_no_height() -> None:
    lost = Curve(name="lost", values=(0,) * 40)
    shown = Strips(
        start_s=0, end_s=40, cell_s=1, first_s=0, curves=(lost,),
        strips=(Strip(key="us", label="us", cells="2" * 40),),
    )  # fmt: skip
    flat = strips.draw(shown, 80, 30, UNICODE, None, {}).lines
    some = msgspec.structs.replace(shown, curves=(Curve(name="lost", values=(1,) * 40),))
    assert len(flat) == 5 < len(strips.draw(some, 80, 30, UNICODE, None, {}).lines)


def test_a_narrow_overview_cuts_no_number() -> None:
    lines = wide(60, 16).lines()
    port = next(line for line in lines if " eth0 " in line and "▼" in line)
    camera = next(line for line in lines if line.startswith(" ! gate "))
    assert "Mb/s" in port
    assert "fps" in camera
    assert "loss 1.83%" in camera
    assert not {"…"} & set(port + camera)
