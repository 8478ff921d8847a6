"""Columns of numbers as text: the same text as one at a time."""

from __future__ import annotations

import base64
import ipaddress

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from panotui.model import address_text
from panotui.state.flows import column_text

RAW = st.binary(min_size=16, max_size=16)


def matrix(raw: list[bytes], width: int) -> np.ndarray:
    return np.frombuffer(b"".join(raw), np.uint8).reshape(-1, width)


@given(st.lists(st.tuples(st.sampled_from((4, 6)), RAW), max_size=20))
def test_addresses_are_those_of_one_at_a_time(given_: list[tuple[int, bytes]]) -> None:
    version = np.array([v for v, _ in given_], np.uint8)
    texts = column_text.addresses(version, matrix([r for _, r in given_], 16))
    assert texts == [address_text(v, r) for v, r in given_]
    for text, (number, _) in zip(texts, given_, strict=True):
        assert ipaddress.ip_address(text).version == number


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**63)), max_size=20))
def test_pairs_of_numbers_keep_all_their_digits(pairs: list[tuple[int, int]]) -> None:
    first = np.array([a for a, _ in pairs], np.uint64)
    second = np.array([b for _, b in pairs], np.uint64)
    assert column_text.numbered(first, second) == [f"{a}-{b}" for a, b in pairs]


@given(st.lists(st.integers(0, 2**62), max_size=20), st.integers(1, 6))
def test_digits_are_filled_with_zeros_up_to_the_width_asked_for(
    values: list[int], least: int
) -> None:
    texts = column_text.lines(column_text.digits(np.array(values, np.int64), least))
    assert texts == [f"{value:0{least}d}" for value in values]


@given(st.lists(st.binary(min_size=20, max_size=20), max_size=20))
def test_base64_is_that_of_the_standard_library(raw: list[bytes]) -> None:
    texts = column_text.lines(column_text.base64(matrix(raw, 20)))
    assert texts == [base64.b64encode(part).decode() for part in raw]
