"""RTCP compounds from bytes."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from panotui.wire.rtcp import ntp_to_unix_ns, parse


def block(about: int, fraction: int, lost: int, last_sr: int = 0, delay: int = 0) -> bytes:
    return struct.pack(
        "!IIIIII", about, fraction << 24 | lost & 0xFFFFFF, 70_000, 90, last_sr, delay
    )


SENDER = struct.pack("!BBHIQIII", 0x80, 200, 6, 7, 0xE1234567_80000000, 12345, 500, 600_000)
RECEIVER = (
    struct.pack("!BBHI", 0x82, 201, 13, 8) + block(7, 64, -3) + block(9, 0, 5, 0x45678000, 65536)
)
NAMES = struct.pack("!BBHIBB", 0x81, 202, 3, 7, 1, 5) + b"dock\0\0"
BYE = struct.pack("!BBHI", 0x81, 203, 1, 7)


def test_sender_receiver_and_bye_in_one_datagram():
    got = parse(SENDER + RECEIVER + NAMES + BYE)
    assert got is not None
    (sender,) = got.senders
    assert (sender.ssrc, sender.rtp_time, sender.packets, sender.octets) == (7, 12345, 500, 600_000)
    first, second = got.reports
    assert (first.about, first.fraction, first.lost) == (7, 64, -3)
    assert (second.about, second.last_sr, second.delay) == (9, 0x45678000, 65536)
    assert got.byes == (7,)


def test_report_without_blocks_is_still_a_sign_of_life():
    got = parse(struct.pack("!BBHI", 0x80, 201, 1, 8))
    assert got is not None
    assert got.empty_reports == (8,)


def test_lengths_that_do_not_add_up_are_no_rtcp():
    assert parse(SENDER[:-4]) is None
    assert parse(SENDER + b"\0\0\0") is None
    assert parse(SENDER[:-4], complete=False) is not None


def test_feedback_is_named():
    nack = struct.pack("!BBHIIHH", 0x81, 205, 3, 1, 2, 100, 0)
    pli = struct.pack("!BBHII", 0x81, 206, 2, 1, 2)
    got = parse(nack + pli)
    assert got is not None
    assert got.feedback == ("nack", "pli")


def test_ntp_time_is_that_of_unix():
    assert ntp_to_unix_ns(2_208_988_800 + 1_700_000_000 << 32) == 1_700_000_000 * 10**9
    assert ntp_to_unix_ns((2_208_988_800 + 1_700_000_000 << 32) + (1 << 31)) % 10**9 == 500_000_000
    # After 2036 the era turns over.
    assert ntp_to_unix_ns(1 << 32) == (2**32 + 1 - 2_208_988_800) * 10**9


@given(st.binary(max_size=200))
def test_any_bytes_are_a_compound_or_none(raw: bytes) -> None:
    parse(raw)
    parse(b"\x81\xc9" + raw, complete=False)
