from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from panotui.model import SECOND
from panotui.model import quantities as m
from panotui.tui import quantities as q

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1_767_013_351 * SECOND


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (float("nan"), "-"), (0, "0"), (999, "999"), (999.9, "1.0k"), (9_949, "9.9k"),
     (20_000, "20k"), (1_400_000, "1.4M"), (12.5e9, "12G"), (3e12, "3.0T")],
)  # fmt: skip
def test_a_short_rate_takes_at_most_five_characters(value: float | None, text: str) -> None:
    assert q.short_rate(value) == text
    assert len(text) <= 5


def test_a_rate_is_in_bits_and_decimal() -> None:
    assert m.rate(125_000 * 8) == "1.00 Mb/s"
    assert m.rate(None) == "-"


def test_a_volume_is_in_bytes_and_binary() -> None:
    assert m.size(1 << 20) == "1.00 MiB"
    assert m.size(512) == "512 B"


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "-"), (0.0, "0.00%"), (0.0183, "1.83%"), (0.00001, "<.01%"), (1.0, "100%")],
)
def test_loss_above_zero_never_reads_as_zero(share: float | None, text: str) -> None:
    assert q.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0 s"), (33, "33 s"), (119, "119 s"), (120, "2 min"), (2460, "41 min"),
     (7200, "2 h"), (200_000, "2 d")],
)  # fmt: skip
def test_a_span_has_one_unit(seconds: float | None, text: str) -> None:
    assert m.span(seconds) == text


def test_the_clock_is_local_with_its_zone() -> None:
    assert q.clock(NOW, BERLIN, with_zone=True) == "14:02:31 CET"
    assert q.clock(None, BERLIN) == "-"


def test_another_day_shows_its_date() -> None:
    assert q.day_clock(NOW - 86_400 * SECOND, NOW, BERLIN) == "12-28 14:02:31"
    assert q.day_clock(NOW, NOW, BERLIN) == "14:02:31"
    assert q.short_clock(NOW - 86_400 * SECOND, NOW, BERLIN) == "Dec 28"


def test_ipv6_addresses_are_bracketed_before_a_port() -> None:
    assert q.address("2001:db8::1", 443) == "[2001:db8::1]:443"
    assert q.address("10.0.0.1", None) == "10.0.0.1"


def test_mega_shows_small_traffic_as_more_than_nothing() -> None:
    assert q.mega(900.0) == "<.01"
    assert q.mega(0.0) == "0.00"
    assert q.mega(24.1e6) == "24.1"
