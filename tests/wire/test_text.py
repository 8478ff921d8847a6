"""`printable`: nothing from the wire steers a terminal, hides, or grows without bound."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.wire.text import ELLIPSIS, printable


@given(st.binary(max_size=600) | st.text(max_size=600), st.integers(1, 300))
def test_result_is_printable_and_bounded(raw: bytes | str, limit: int) -> None:
    shown = printable(raw, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for c in shown)
    shown.encode("utf-8")  # no surrogate is left


@given(st.binary(max_size=300) | st.text(max_size=300), st.integers(1, 200))
def test_result_is_a_fixed_point(raw: bytes | str, limit: int) -> None:
    shown = printable(raw, limit)
    assert printable(shown, limit) == shown


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_plain_ascii_is_unchanged(text: str) -> None:
    assert printable(text) == text
    assert printable(text.encode()) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),  # C1: a one-byte CSI
        ("abc\u202edef", "abc\\u202edef"),  # bidirectional override
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),  # zero width
        (b"caf\xe9", "caf\\xe9"),  # not UTF-8
        ("caf\u00e9", "caf\u00e9"),
        (b"line\r\nnext\x00", "line\\r\\nnext\\0"),
        ("\ud800", "\\ud800"),
        ("\u3164", "\\u3164"),
        ("e\u0301\u0301\u0301", "e\u0301\u0301\\u0301"),
        ("\U000e0041", "\\U000e0041"),  # tag characters
        ("[red]", "[red]"),  # markup is the screen's own affair: it never reads data as markup
        ("カメラ", "カメラ"),
    ],
)
def test_known_tricks_are_shown(raw: bytes | str, shown: str) -> None:
    assert printable(raw) == shown


def test_long_text_ends_in_an_ellipsis() -> None:
    assert printable("x" * 201) == "x" * 199 + ELLIPSIS
    assert printable(b"x" * 100_000, 10) == "x" * 9 + ELLIPSIS
    assert printable(b"x" * 10, 10) == "x" * 10
    assert printable("x", 0) == ""
