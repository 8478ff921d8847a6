"""Flow rows by column hold what rows hold, and take memory only where something is written."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.model import FLOW_DTYPE, Rows
from panotui.model.flow_rows import FlowColumns, FlowRows
from panotui.model.untouched import untouched


def any_rows(count: int, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    table = random.integers(0, 256, (count, FLOW_DTYPE.itemsize), np.uint8).view(FLOW_DTYPE)[:, 0]
    for name in FLOW_DTYPE.names or ():  # half of the fields of most flows are zero
        blank = random.random(count) < random.choice([0.0, 0.5, 1.0])
        table[name][blank] = np.zeros((), FLOW_DTYPE[name].base)[()]
    return table


@given(st.integers(0, 300), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_columns_rows_and_bytes_are_the_same_flows(count: int, seed: int) -> None:
    table = any_rows(count, seed)
    rows = FlowRows.of(table)
    assert len(rows) == count
    assert (rows.whole() == table).all()
    assert (FlowRows.of_bytes(rows.tobytes()).whole() == table).all()
    assert (rows.copy().whole() == table).all()
    for name in FLOW_DTYPE.names or ():
        assert (rows[name] == table[name]).all()


def test_bytes_that_are_no_whole_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="no flow rows"):
        FlowRows.of_bytes(b"\0" * (FLOW_DTYPE.itemsize + 1))


def test_some_flows_are_chosen_by_mask_places_or_slice() -> None:
    table = any_rows(50, 7)
    rows = FlowRows.of(table)
    for which in (table["dport"] > 30_000, np.array([4, 4, 0, 49]), slice(3, 20)):
        for chosen in (rows[which], FlowColumns(rows, np.arange(50))[which]):
            assert (chosen.whole() == table[which]).all()
            assert [row.id for row in chosen] == table[which]["id"].tolist()
    twice = rows[10:40][np.arange(30) % 3 == 0]
    assert (twice["src"] == table[10:40:3]["src"]).all()
    assert rows[7].history == table[7]["history"]
    assert twice[3].alone().whole() == table[19]
    assert (rows.some(np.array([9, 2])).whole() == table[[9, 2]]).all()


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 2**32)), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_table_by_slot_agrees_with_an_array_of_rows(writes: list[tuple[int, int]]) -> None:
    table, kept = FlowRows(0, 500), np.zeros(500, FLOW_DTYPE)
    table.grow(500)
    for count, seed in writes:
        news = any_rows(count, seed)
        slots = np.random.default_rng(seed).permutation(500)[:count]
        table.put(slots, FlowRows.of(news))
        kept[slots] = news
    assert (table.whole() == kept).all()


def test_a_field_that_is_set_is_set_in_the_table() -> None:
    rows = FlowRows.of(any_rows(3, 8))
    row = rows[1]
    row.src, row.last_ns, row.history = b"\x0a\x00\x00\x01", 12, b"Sh"
    assert rows["src"][1].tobytes() == b"\x0a\x00\x00\x01" + bytes(12)
    assert (rows["last_ns"][1], rows["history"][1], row.last_ns) == (12, b"Sh", 12)


def resident_kb() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_fields_that_are_zero_take_no_memory() -> None:
    count = 65_536
    news = np.zeros(count, FLOW_DTYPE)
    news["id"], news["packets_out"] = np.arange(count), 1
    table, rows, slots = FlowRows(0, count), FlowRows.of(news), np.arange(count)
    table.grow(count)
    before = resident_kb()
    table.put(slots, rows)
    assert not any(table[name].any() for name in ("rst_ns", "unseen_in", "bytes_out"))
    # two fields of 8 bytes, two addresses of 16, and what the calls themselves and other tests'
    # leavings take: far from the whole rows
    whole_kb = FLOW_DTYPE.itemsize * count // 1024
    assert 48 * count // 1024 < whole_kb // 8
    assert resident_kb() - before < whole_kb // 3


def test_memory_that_was_only_read_is_zero_and_writable() -> None:
    one, two = untouched(0, np.int64), untouched((3, 5), np.uint16)
    assert one.shape == (0,)
    assert two.sum() == 0
    two[1, 2] = 7
    assert two.sum() == 7
