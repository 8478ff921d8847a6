"""Time strips on the screen: what was, when, and what was open then."""

from __future__ import annotations

import re

import msgspec
import pytest

from panotui.model import SECOND
from panotui.state.strips import Cell
from panotui.tui.glyphs import ASCII, UNICODE
from panotui.tui.strips import zoomed
from panotui.views.frames import View
from panotui.views.strips import ZOOMS, auto_cell_s
from tests.tui import frames_builder
from tests.tui.frames_builder import NOW
from tests.tui.screens import Driven


@pytest.fixture
def wide() -> Driven:
    return Driven(frames_builder.plant(), 120, 40)


def strip(driven: Driven, label: str) -> str:
    """The cells of a strip, without its label and value."""
    line = next(line for line in driven.lines() if line.startswith(f" {label} "))
    return line[18:108]


def test_five_states_differ_without_colour() -> None:
    for glyphs in (UNICODE, ASCII):
        assert len(set(glyphs.cells)) == len(Cell) == len(glyphs.cells)
        assert glyphs.cells[Cell.BLANK] == " "
        assert " " not in glyphs.cells[1:]
    assert ASCII.cells.isascii()


def test_an_outage_is_drawn_as_what_it_was(wide: Driven) -> None:
    assert strip(wide, "yard").rstrip().endswith("✖✖✖✖✖✖✖")
    assert "▒▒▒▒" in strip(wide, "gate")
    assert "░░░░░" in strip(wide, "us")
    assert "✖✖✖✖✖✖✖✖✖" in strip(wide, "internet")


def test_only_what_was_not_recorded_is_blank(wide: Driven) -> None:
    before = strip(wide, "eth0").index("█")  # half an hour is known, the window is longer
    for label in ("eth0", "eth1", "dock", "gate", "yard", "internet", "us"):
        cells = strip(wide, label)
        assert cells[:before].strip() == ""
        assert " " not in cells[before:]


def test_an_endpoint_has_a_strip_only_where_it_was_in_trouble(wide: Driven) -> None:
    assert "✖" in strip(wide, "Logs")
    assert not any(line.startswith(" s3 ") for line in wide.lines())


def test_strips_have_an_axis_and_say_how_long_a_cell_is(wide: Driven) -> None:
    axis = next(line for line in wide.lines() if line.startswith(" LAST "))
    assert "13:45" in axis
    assert "14:00" in axis
    assert "cell 30 s" in axis
    column = axis.index("14:00") - 18
    newest = len(strip(wide, "eth0").rstrip())
    assert newest - column == pytest.approx(151 / 30, abs=1)  # 14:02:31 is five cells on


def test_the_legend_names_every_cell(wide: Driven) -> None:
    legend = next(line for line in wide.lines() if "not recording" in line)
    for word in ("well", "damaged", "dead", "nothing asked", "missed by us", "not recording"):
        assert word in legend


def test_small_screens_have_strips_by_t() -> None:
    driven = Driven(frames_builder.plant())
    assert "cell" not in driven.text()
    driven.press("t")
    text = driven.text()
    assert "cell 1 min" in text
    for label in ("eth0", "dock", "gate", "yard", "internet", "us"):
        assert f"\n {label} " in text
    assert "bit-rate" in text
    assert "50 Mb/s" in text  # of a peak of 27: the scale is 1, 2, 5
    assert "peak 27M" in text
    driven.press("t")
    assert "PORTS" in driven.text()


def test_brackets_move_a_cursor_and_tell_what_was_open_then(wide: Driven) -> None:
    wide.press("[")
    here = wide.session.cursor_s
    assert here is not None
    assert "Logs is blocked by a firewall" in wide.text()
    wide.press(*"[" * 5)
    assert wide.session.cursor_s == here - 5 * 30
    asked = wide.site.asked[-1]
    assert isinstance(asked, View)
    assert asked.strips is not None
    assert asked.strips.at_s == here - 150
    wide.press(*"[" * 30)
    text = wide.text()
    assert "nothing was open, nothing happened" in text
    wide.press("]", "escape")
    assert wide.session.cursor_s is None


def test_the_cursor_reaches_back_over_all_that_is_kept() -> None:
    driven = Driven(frames_builder.plant()).press("t", "+")
    first = NOW // SECOND - 1800
    driven.press(*"[" * 65)
    assert driven.session.cursor_s == first
    assert driven.session.strips_end_s < NOW // SECOND - 800
    driven.press(*"]" * 65)
    assert driven.session.cursor_s == NOW // SECOND - 1
    assert driven.session.strips_end_s == 0


def test_enter_opens_what_is_under_the_cursor_in_time(wide: Driven) -> None:
    wide.press("t", "[", "G")
    while not (wide.session.place.key or "").startswith("finding:"):
        before = wide.session.place.key
        wide.press("up")
        assert wide.session.place.key != before, wide.text()
    wide.press("enter")
    assert "WHAT TO DO" in wide.text()


def test_plus_and_minus_zoom(wide: Driven) -> None:
    wide.press("+")
    assert "cell 10 s" in wide.text()
    wide.press("-", "-")
    assert "cell 1 min" in wide.text()
    assert [zoomed(z, 1) for z in ZOOMS[:-1]] == list(ZOOMS[1:])
    assert zoomed(1, -1) == 1


def test_cells_are_as_long_as_all_that_is_known_needs() -> None:
    assert auto_cell_s(0, 60, 90) == 1
    assert auto_cell_s(0, 600, 90) == 10
    assert auto_cell_s(0, 4 * 3600, 90) == 60  # longer ones are asked for


def test_a_picture_moves_on_by_one_cell_and_nothing_else_changes(wide: Driven) -> None:
    site = wide.site
    site.time_ns += 5 * SECOND
    assert site.times is not None
    before = strip(wide, "gate")
    site.times.end_s += 5
    wide.fetch()
    assert strip(wide, "gate") == before  # still within the same half minute
    site.times.end_s += 30
    wide.fetch()
    assert strip(wide, "gate")[:-1].strip().startswith(before.strip()[:-1])


def test_cameras_that_were_always_well_give_way_first() -> None:
    site = frames_builder.plant()
    assert site.times is not None
    site.times.stood |= {f"camera:c{n}": [(0, Cell.WELL)] for n in range(30)}
    driven = Driven(site, 120, 40)
    text = driven.text()
    assert re.search(r"\+\d+ well$", text, re.MULTILINE)
    for label in ("gate", "yard", "eth0", "internet", "us", "Logs"):
        assert f"\n {label} " in text
    assert "in trouble" not in text
    assert site.times is not None
    site.times.stood |= {f"camera:d{n}": [(0, Cell.DEAD)] for n in range(30)}
    assert re.search(r"\+\d+ in trouble \+\d+ well$", Driven(site, 120, 40).text(), re.MULTILINE)


def test_a_review_draws_the_same_strips_as_its_time_line() -> None:
    driven = Driven(frames_builder.review(), 120, 40)
    gate = next(line for line in driven.lines() if line.startswith(" gate"))
    assert "▒" in gate
    assert "✖" in next(line for line in driven.lines() if line.startswith(" eth0"))
    assert "         " in gate.rstrip()[20:]  # the recorder was off
    driven.press("+")
    asked = driven.site.asked[-1]
    assert isinstance(asked, View)
    assert asked.strips is not None
    assert asked.strips.cell_s in ZOOMS


@pytest.mark.parametrize("seconds", [20, 50, 86, 130, 700])
@pytest.mark.parametrize("columns", [80, 120, 200])
def test_a_recording_of_any_length_fills_its_time_line(seconds: int, columns: int) -> None:
    site = frames_builder.review()
    assert site.review is not None
    start, end = NOW - seconds * SECOND, NOW
    site.review = msgspec.structs.replace(
        site.review, start_ns=start, end_ns=end, position_ns=end, gaps=(), marks=()
    )
    site.times = frames_builder.MadeUpTimes(
        start // SECOND, end // SECOND, {"port:eth1": [(0, Cell.WELL)], "us": [(0, Cell.WELL)]}
    )
    driven = Driven(site, columns, 40)
    driven.fetch()
    line = next(line for line in driven.lines() if line.startswith(" eth1"))
    room = columns - (12 if columns < 100 else 22)
    cell = -(-room // min(room, seconds))
    assert room - 2 * cell <= line.count("█") <= room
    assert line.rstrip().endswith("█" * 5)


def test_the_end_of_the_time_line_is_read_whatever_the_place() -> None:
    site = frames_builder.review()
    assert site.review is not None
    for part in (0.0, 0.02, 0.5, 0.97, 1.0):
        whole = site.review.end_ns - site.review.start_ns
        at = site.review.start_ns + int(whole * part)
        site.review = frames_builder.msgspec.structs.replace(site.review, position_ns=at)
        scale = Driven(site).lines()[1]
        assert "06:0" in scale
        assert "14:1" in scale
