"""Typed rows have the fields of their dtypes, in order and with the values of the columns."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from panotui.model import (
    LINK_SECOND_DTYPE,
    STREAM_DTYPE,
    STREAM_SECOND_DTYPE,
    LinkSecond,
    StreamRow,
    StreamSecond,
    typed,
)

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
