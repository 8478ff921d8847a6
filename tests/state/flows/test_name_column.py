"""A column of shared texts reads as an array of objects does, and forgets texts nobody has."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.state.flows import name_column
from panotui.state.flows.name_column import NameColumn

TEXTS = st.one_of(st.none(), st.sampled_from(["a", "b", "c.example", ""]))


@given(st.lists(st.tuples(st.lists(st.integers(0, 19), min_size=1, unique=True), TEXTS)))
@settings(max_examples=60, deadline=None)
def test_column_agrees_with_an_array_of_objects(writes: list[tuple[list[int], str | None]]) -> None:
    column, kept = NameColumn(20), np.full(20, None, object)
    for slots, text in writes:
        column[np.array(slots)] = text
        kept[slots] = text
    assert column[np.arange(20)].tolist() == kept.tolist()
    assert [column[slot] for slot in range(20)] == kept.tolist()
    assert column.equals("a").tolist() == [text == "a" for text in kept]


def test_texts_are_chosen_from_a_list_of_which_the_last_is_none() -> None:
    column = NameColumn(8)
    column.choose(np.array([1, 5, 6]), ["x", "y", None], np.array([1, -1, 0]))
    assert [column[slot] for slot in range(8)] == [None, "y", None, None, None, None, "x", None]


def test_names_that_no_flow_has_any_more_are_forgotten() -> None:
    column, slots = NameColumn(100), np.arange(100)
    for turn in range(200):
        names = [f"host-{turn}-{slot}.example" for slot in range(100)]
        column.choose(slots, names, slots)
        assert column[slots].tolist() == names
    assert len(column._texts) < 3 * name_column._SWEPT_FROM
