"""Which unannounced flows are believed to be media."""

from __future__ import annotations

import numpy as np

from panotui.meter.streams.media_heuristics import guess_codec, in_sequence, plausible_payload_type


def test_eight_in_a_row_are_believed_also_over_the_wrap_and_after_a_gap():
    stamps = np.arange(9) * 3600
    assert in_sequence((np.arange(9) + 65530) & 0xFFFF, stamps, 8) == 8
    assert in_sequence(np.array([1, 5, 6, 7, 8, 9, 10, 11, 12]), stamps, 8) == 9
    assert not in_sequence(np.arange(7), stamps[:7], 8)
    assert not in_sequence(np.array([1, 2, 3, 4, 6, 7, 8, 9, 10]), stamps, 8)


def test_timestamps_that_run_wild_are_not_believed():
    rng = np.random.default_rng(1)
    assert not in_sequence(np.arange(9), rng.integers(0, 2**32, 9), 8)


def test_random_bytes_are_hardly_ever_believed():
    rng = np.random.default_rng(2)
    hits = sum(
        in_sequence(rng.integers(0, 65536, 64), rng.integers(0, 2**32, 64), 8) for _ in range(2000)
    )
    assert hits == 0


def test_payload_types_that_rfc_3551_leaves_alone_are_not_believed():
    assert [plausible_payload_type(kind) for kind in (0, 26, 96, 127)] == [True] * 4
    assert [plausible_payload_type(kind) for kind in (1, 24, 35, 77, 95)] == [False] * 5


def test_h264_is_told_by_its_units_and_other_bytes_are_not():
    first = np.array([0x67, 0x68, 0x65, 0x7C, 0x7C, 0x7C, 0x41, 0x41], np.uint8)
    second = np.array([0x42, 0xEE, 0x88, 0x85, 0x05, 0x45, 0x9A, 0x9A], np.uint8)
    assert guess_codec(first, second) == "H264"
    rng = np.random.default_rng(3)
    for _ in range(200):
        noise = rng.integers(0, 256, (2, 64)).astype(np.uint8)
        assert guess_codec(noise[0], noise[1]) is None
    opus = np.full(16, 0x7C, np.uint8)
    assert guess_codec(opus, rng.integers(0, 256, 16).astype(np.uint8)) is None


def test_h265_is_told_by_its_units():
    first = np.array([0x40, 0x42, 0x44, 0x62, 0x62, 0x62, 0x02, 0x02], np.uint8)
    assert guess_codec(first, np.ones(8, np.uint8)) == "H265"
