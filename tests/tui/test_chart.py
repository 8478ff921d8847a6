from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panotui.tui.chart import curve, scale, sparkline
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


@given(HISTORY, st.integers(1, 60), st.integers(1, 5), st.booleans())
def test_a_curve_is_as_wide_and_high_and_blank_where_nothing_is_known(
    history: list, cells: int, height: int, braille: bool
) -> None:
    glyphs = UNICODE if braille else ASCII
    each = 2 if braille else 1
    top = scale(max((v for v in history[-cells * each :] if v is not None), default=0))
    rows = curve(history, cells, height, glyphs, top)
    assert len(rows) == height
    assert all(len(row) == cells for row in rows)
    window = ([None] * cells * each + history)[-cells * each :]
    for column in range(cells):
        known = any(v is not None for v in window[column * each : (column + 1) * each])
        drawn = {row[column] for row in rows}
        assert (drawn == {" "}) is not known


def test_a_scale_moves_in_steps_of_one_two_five_only() -> None:
    assert [scale(v) for v in (0, 0.9, 1, 1.1, 2.1, 5, 5.1, 24e6, 51e6)] == [
        1, 1, 1, 2, 5, 5, 10, 50e6, 100e6,
    ]  # fmt: skip


@given(st.floats(1e-6, 1e12))
def test_a_scale_holds_its_peak_and_is_less_than_a_step_above_it(peak: float) -> None:
    top = scale(peak)
    assert peak <= top * 1.000001
    assert top <= peak * 2.5000001
    assert f"{top:e}"[0] in "125"


def test_a_curve_fills_by_quarters_of_a_line() -> None:
    assert curve([0, 1, 2, 4], 2, 1, UNICODE, 4.0) == ["\u28c0\u28fc"]
