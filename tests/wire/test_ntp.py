from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.model import SECOND, NtpMessage
from panotui.wire import ntp
from panotui.wire.origin import Malformed
from tests.captures import capture
from tests.meter.through_lane import run
from tests.wire.seen_at import HERE


def packet(first: int = 0x24, stratum: int = 2, reference: bytes = b"\xc0\xa8\x05\x01") -> bytes:
    head = struct.pack("!BBbb", first, stratum, 6, -20) + struct.pack("!II", 0x8000, 0x10000)
    return head + reference + struct.pack("!QQQQ", 1 << 63, 0xE5_AABBCC_DDEEFF01, 2 << 62, 3 << 62)


def read(data: bytes) -> NtpMessage:
    return ntp.parse(data, HERE, "192.168.5.1", "192.168.5.5", 123, 40_000)


def test_stamps_keep_all_their_bits():
    message = read(packet())
    assert message.origin == 0xE5_AABBCC_DDEEFF01
    assert (message.mode, message.version, message.leap, message.stratum) == (4, 4, 0, 2)
    assert (message.poll, message.reference_id) == (6, "192.168.5.1")
    assert (message.root_delay_ms, message.root_dispersion_ms) == (500.0, 1000.0)


def test_kiss_code_and_clock_name_are_text():
    assert read(packet(stratum=0, reference=b"RATE")).reference_id == "RATE"
    assert read(packet(stratum=1, reference=b"GPS\0")).reference_id == "GPS"
    assert read(packet(stratum=1, reference=b"\x1b]0;")).reference_id == r"\x1b]0;"


def test_eras_turn_in_2036():
    assert ntp.stamp_ns(0) is None
    assert ntp.stamp_ns(2_208_988_800 << 32) == 0
    last = ntp.stamp_ns(0xFFFFFFFF << 32)
    first = ntp.stamp_ns(1 << 32)
    assert last is not None
    assert first == last + 2 * SECOND  # second 2^32 is the unset stamp


@given(st.integers(0, 2_000_000_000), st.integers(0, SECOND - 1))
def test_stamps_survive_the_round_trip_to_a_nanosecond(seconds, nanoseconds):
    stamp = ((seconds + 2_208_988_800) % (1 << 32)) << 32 | (nanoseconds << 32) // SECOND
    ns = ntp.stamp_ns(stamp)
    assert ns is not None
    assert abs(ns - (seconds * SECOND + nanoseconds)) <= 1


def test_exchange_of_the_lab_matches_bit_by_bit():
    ask, answer = run(capture("lab/peers.pcap")).of(NtpMessage)
    assert (ask.mode, answer.mode, answer.stratum) == (3, 4, 8)
    assert ask.transmit == answer.origin  # random bits, as chrony sends them
    assert answer.transmit_ns is not None
    assert abs(answer.transmit_ns - answer.time_ns) < SECOND


def test_control_and_private_modes_are_told_without_stamps():
    modes = {m.mode for m in run(capture("open/zeek__ntp_ntpmode67.pcap")).of(NtpMessage)}
    assert modes == {6, 7}


@pytest.mark.parametrize("data", [b"", bytes(48), packet()[:47], b"\x3c" + packet()[1:]])
def test_other_bytes_on_the_port_are_malformed(data):
    with pytest.raises(Malformed):
        read(data)
