from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panotui.tui.cells import width
from panotui.tui.line import Line, Pen, cells_of, changed_spans, highlighted, text_of

ROLES = st.sampled_from(["plain", "ok", "bad"])
SPAN = st.tuples(st.text(alphabet="ab 北é1", max_size=12), ROLES)


@st.composite
def lines(draw: st.DrawFn, cells: int = 24) -> Line:
    pen = Pen(cells)
    for text, role in draw(st.lists(SPAN, max_size=6)):
        pen.put(text, role)
    return pen.line()


@given(lines())
def test_a_line_is_exactly_as_wide_as_asked(line: Line) -> None:
    assert width(text_of(line)) == 24
    assert len(cells_of(line)) == 24


@given(lines(), lines())
def test_sending_the_changed_spans_turns_the_old_line_into_the_new(old: Line, new: Line) -> None:
    shown, wanted = cells_of(old), cells_of(new)
    for start, stop in changed_spans(old, new):
        assert wanted[start][0] != "", "a span begins inside a wide character"
        assert stop == len(wanted) or wanted[stop][0] != ""
        shown[start:stop] = wanted[start:stop]
    assert shown == wanted


@given(lines())
def test_nothing_is_sent_for_the_same_line(line: Line) -> None:
    assert changed_spans(line, line) == []


def test_one_changed_digit_is_one_cell() -> None:
    old = Pen(40).put("eth0  24.1 Mb/s").line()
    new = Pen(40).put("eth0  24.2 Mb/s").line()
    assert changed_spans(old, new) == [(9, 10)]


def test_far_changes_are_two_spans_and_near_ones_one() -> None:
    old = Pen(60).put("a" + "-" * 40 + "a-a").line()
    new = Pen(60).put("b" + "-" * 40 + "b-b").line()
    assert changed_spans(old, new) == [(0, 1), (41, 44)]


@given(lines(), st.integers(0, 24), st.integers(0, 24))
def test_the_cursor_changes_no_text(line: Line, start: int, stop: int) -> None:
    assert text_of(highlighted(line, start, stop)) == text_of(line)


def test_the_cursor_leaves_a_chart_as_it_is() -> None:
    line = Pen(20).put("eth0 ").put("▇█▇█", "chart").put(" up").line()
    assert highlighted(line, 0, 20) == (
        ("eth0 ", "cursor"),
        ("▇█▇█", "chart"),
        (" up        ", "cursor"),
    )
