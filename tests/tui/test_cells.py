from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panotui.tui.cells import cut_end, cut_middle, distinct, exactly, fit, width, wrap

TEXT = st.text(alphabet=st.sampled_from("abc-.:0 é北門…ǘ"), max_size=60)


def test_a_host_name_keeps_its_beginning_and_its_end() -> None:
    cut = cut_middle("monitoring.us-east-1.amazonaws.com", 20)
    assert cut == "monitoring.u…aws.com"
    assert width(cut) == 20


def test_an_address_keeps_its_last_octet_and_port() -> None:
    assert cut_middle("203.0.113.101:443", 12).endswith(".101:443"[-6:])


def test_wide_characters_count_two_cells() -> None:
    assert width("北門") == 4
    assert width(fit("北門カメラ", 7)) == 7


@given(TEXT, st.integers(0, 40))
def test_cutting_never_exceeds_the_room(text: str, cells: int) -> None:
    assert width(cut_middle(text, cells)) <= cells or width(text) <= cells
    assert width(cut_middle(text, cells)) <= max(cells, 0) or not text
    assert width(cut_end(text, cells)) <= max(cells, 0)


@given(TEXT, st.integers(0, 40), st.booleans())
def test_fitting_is_exact(text: str, cells: int, right: bool) -> None:
    assert width(fit(text, cells, right=right)) == cells
    assert width(exactly(text, cells)) == cells


def test_what_fits_is_left_alone() -> None:
    assert cut_middle("dock", 4) == "dock"


def test_siblings_still_differ_when_they_are_cut() -> None:
    names = tuple(f"building-{b}-floor-{f}-entrance-north-west" for b in range(4) for f in range(6))
    short = distinct(names, 14)
    assert len(set(short.values())) == len(names)
    assert short[names[8]].startswith("…1-floor-2")
    assert all(width(text) <= 14 for text in short.values())


def test_siblings_are_cut_once_where_that_tells_them_apart() -> None:
    names = tuple(f"building-{b}-floor-2-west" for b in range(3))
    assert distinct(names, 12)[names[1]] == "building-1…t"
    assert all(text.count("…") == 1 for text in distinct(names, 12).values())


@given(st.lists(TEXT, max_size=8, unique=True), st.integers(1, 20))
def test_distinct_names_never_exceed_the_room(names: list[str], cells: int) -> None:
    assert all(width(t) <= cells for t in distinct(tuple(names), cells).values())


@given(TEXT, st.integers(2, 40))
def test_wrapping_keeps_every_word_in_the_room(text: str, cells: int) -> None:
    lines = wrap(text, cells)
    assert all(width(line) <= cells for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_wrapping_leaves_a_number_beside_its_unit() -> None:
    text = "contacts the internet: 36 packets (8.29 KiB), 16 s ago, 2 flows"
    assert wrap(text, 39) == ["contacts the internet: 36 packets", "(8.29 KiB), 16 s ago, 2 flows"]
    assert wrap("it took 4500 ms", 12) == ["it took", "4500 ms"]
    assert wrap("4500 ms", 5) == ["4500", "ms"]
