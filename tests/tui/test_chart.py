from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panotui.tui.chart import block, marks, sparkline
from panotui.tui.glyphs import ASCII, UNICODE

HISTORY = st.lists(st.none() | st.floats(0, 1e9), max_size=80)


def test_a_gap_stays_a_gap() -> None:
    assert sparkline([1, None, 8], 3, UNICODE) == "▂ █"


def test_zero_is_the_lowest_bar_and_unknown_is_blank() -> None:
    assert sparkline([0, 0], 4, UNICODE) == "  ▁▁"


def test_ascii_bars_are_ascii() -> None:
    assert sparkline([0, 4, 8], 3, ASCII).isascii()


def test_the_newest_value_is_at_the_right() -> None:
    assert sparkline([8, 0, 0, 8], 2, UNICODE) == "▁█"


@given(HISTORY, st.integers(0, 100))
def test_a_sparkline_is_exactly_as_wide_as_asked(history: list, cells: int) -> None:
    assert len(sparkline(history, cells, UNICODE)) == cells


@given(HISTORY, st.integers(1, 100), st.integers(1, 5))
def test_a_block_is_as_wide_and_high_and_blank_where_nothing_is_known(
    history: list, cells: int, height: int
) -> None:
    rows, peak = block(history, cells, height, UNICODE)
    assert len(rows) == height
    assert all(len(row) == cells for row in rows)
    window = ([None] * cells + history)[-cells:]
    for column, value in enumerate(window):
        drawn = {row[column] for row in rows}
        assert (drawn == {" "}) is (value is None)
    assert peak == max((v for v in window if v is not None), default=0)


def test_key_frames_are_marked_under_their_second() -> None:
    assert marks([1, 0, None, 2], 4, "◆") == "◆  ◆"
