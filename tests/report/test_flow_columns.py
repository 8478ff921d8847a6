"""Flows leave as JSON by column: the same text as one object a flow."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.model import APPS, CLIENT_BY, FLOW_DTYPE, FLOW_ENDS, FLOW_STATES, Rows
from panotui.report.analysis import clean, json_pieces
from panotui.report.objects import flow_object
from panotui.state.flows.book import FlowBook
from tests.made_up import START, Scene, answered, flow, site

_CODES = {"state": FLOW_STATES, "end": FLOW_ENDS, "app": APPS, "client_by": CLIENT_BY}


def made_up(count: int, seed: int) -> Rows:
    """Rows of any content that the meter could tell, and some that it could not."""
    random = np.random.default_rng(seed)
    raw = random.integers(0, 256, (count, FLOW_DTYPE.itemsize), np.uint8)
    table = raw.view(FLOW_DTYPE).reshape(-1)
    for name in FLOW_DTYPE.names or ():
        column = table[name]
        if name.startswith(("packets", "bytes", "payload")) or column.dtype == np.dtype("i4"):
            table[name] = random.choice([-1, 0, 0, 1, 7, 70_000, 2**31 - 1], count)
        if name.endswith("_ns"):
            table[name] = START + random.integers(-(10**12), 10**12, count)
    for name, names in _CODES.items():
        table[name] = random.integers(0, len(names), count)
    table["id"] = random.permutation(count) + 1
    table["version"] = random.choice([4, 6], count)
    table["protocol"] = random.choice([6, 17, 1, 58, 47, 132, 200], count)
    table["history"] = random.choice([b"", b"ShADadFf", b"h", b"^d", b"R"], count)
    table["packets_out"], table["packets_in"] = random.integers(0, 3, (2, count))
    table["first_ns"][:2] = (-5, 2**63 - 1)
    return table


def one_by_one(book: FlowBook, slots: np.ndarray) -> list[Any]:
    return [clean(flow_object(record)) for record in book.records(slots, START)]


@given(st.integers(2, 60), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_objects_by_column_are_the_objects_of_the_records(count: int, seed: int) -> None:
    scene = Scene(site())
    book = FlowBook(256)
    slots, _ = book.update(3, made_up(count, seed), START)
    book.host[slots[0]], book.rule[slots[-1]] = 'a "quoted" näme', "r"
    book.verdict[slots] = np.arange(count) % 4
    text = b"".join(json_pieces(scene.engine.snapshot(), book.listed(slots, START)))
    assert json.loads(text)["flows"] == one_by_one(book, slots)
    old = msgspec.json.encode([flow_object(record) for record in book.records(slots, START)])
    assert old in text


def test_more_flows_than_a_block_come_whole_and_in_order() -> None:
    scene = Scene(site())
    book = FlowBook(8192)
    slots, _ = book.update(0, made_up(5000, 1), START)
    shuffled = np.random.default_rng(2).permutation(slots)
    text = b"".join(json_pieces(scene.engine.snapshot(), book.listed(shuffled, START)))
    assert json.loads(text)["flows"] == one_by_one(book, shuffled)


@pytest.mark.parametrize("flows", [0, 1])
def test_no_flow_and_one_flow_are_lists_too(flows: int) -> None:
    scene = Scene(site())
    scene.tick([answered(1, "192.168.5.5", "203.0.113.90", 443)][:flows])
    text = b"".join(json_pieces(scene.engine.snapshot(), scene.engine.flow_records()))
    assert len(json.loads(text)["flows"]) == flows


def test_two_halves_of_two_meters_are_one_object() -> None:
    scene = Scene()
    out = flow(1, "10.0.0.1", "10.0.0.2", 80, packets_out=5, packets_in=0, bytes_in=0)
    back = flow(1, "10.0.0.1", "10.0.0.2", 80, packets_out=0, bytes_out=0, packets_in=4)
    scene.tick([out], tick=False)
    scene.second -= 1
    scene.tick([back], meter=1)
    text = b"".join(json_pieces(scene.engine.snapshot(), scene.engine.flow_records()))
    (told,) = json.loads(text)["flows"]
    assert (told["packets_out"], told["packets_in"]) == (5, 4)
    assert told["first_time"].endswith("Z")
