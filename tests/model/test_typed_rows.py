"""Typed rows have the fields of their dtypes, in order and with the values of the columns."""

from __future__ import annotations

import math
import typing
from typing import Any

import msgspec
import numpy as np
import pytest

from panotui.model import (
    FLOW_DTYPE,
    LINK_SECOND_DTYPE,
    STREAM_DTYPE,
    STREAM_SECOND_DTYPE,
    LinkSecond,
    StreamRow,
    StreamSecond,
    typed,
)
from panotui.model.flow_rows import FlowField, FlowRow, FlowRows

PAIRS: list[tuple[Any, Any]] = [
    (STREAM_DTYPE, StreamRow),
    (STREAM_SECOND_DTYPE, StreamSecond),
    (LINK_SECOND_DTYPE, LinkSecond),
]


def kind_of(dtype: np.dtype[Any]) -> type:
    if dtype.shape:
        return bytes
    return float if dtype.kind == "f" else int


@pytest.mark.parametrize(("dtype", "record"), PAIRS, ids=lambda p: getattr(p, "__name__", ""))
def test_a_typed_row_has_the_columns_of_its_dtype(dtype: Any, record: Any) -> None:
    fields = [(f.name, f.type) for f in msgspec.structs.fields(record)]
    assert fields == [(name, kind_of(dtype[name])) for name in dtype.names]


@pytest.mark.parametrize(("dtype", "record"), PAIRS, ids=lambda p: getattr(p, "__name__", ""))
def test_values_are_those_of_the_columns_whatever_the_bytes(dtype: Any, record: Any) -> None:
    raw = np.random.default_rng(7).bytes(dtype.itemsize * 9)
    rows = np.frombuffer(raw, dtype)
    made = typed(rows, record)
    assert len(made) == 9
    for row, values in zip(made, rows, strict=True):
        for name in dtype.names:
            value, expected = getattr(row, name), values[name]
            if dtype[name].shape:
                assert value == expected.tobytes()
            elif dtype[name].kind == "f":
                assert value == float(expected) or (math.isnan(value) and math.isnan(expected))
            else:
                assert value == int(expected)


def test_no_rows_make_none() -> None:
    assert typed(np.zeros(0, STREAM_DTYPE), StreamRow) == []


def test_a_flow_row_has_the_columns_of_its_dtype_as_plain_values() -> None:
    fields = typing.get_type_hints(FlowRow)
    expected = {
        name: bytes if FLOW_DTYPE[name].kind == "S" else kind_of(FLOW_DTYPE[name])
        for name in FLOW_DTYPE.names or ()
    }
    assert fields == expected
    assert typing.get_args(FlowField) == tuple(expected)
    raw = np.random.default_rng(7).bytes(FLOW_DTYPE.itemsize * 5)
    rows = np.frombuffer(raw, FLOW_DTYPE)
    kept = FlowRows.of(rows)
    for place in range(len(rows)):
        for name, kind in expected.items():
            value = getattr(kept[place], name)
            assert type(value) is kind, name
            plain = rows[name][place]
            assert value == (plain.tobytes() if FLOW_DTYPE[name].shape else plain.item()), name
