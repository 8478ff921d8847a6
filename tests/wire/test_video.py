"""What RTP payloads of H.264, H.265 and JPEG hold, and the picture's size."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.wire import h264, h265, jpeg
from panotui.wire.h264 import KEY, PARAMETER, SPS, SPS_PART, START, VCL
from panotui.wire.rtp import payload_heads

# Sets that x264 wrote for films of that profile, size and rate.
SETS = [
    ("Z2QAFqzZQKAv+XARAAADAAEAAAMAHg8WLZY=", (100, 640, 360, 15.0)),
    ("Z01AKOygPAET8uAiAAADAAIAAAMAZB4wYyw=", (77, 1920, 1080, 25.0)),
    ("Z0LAH9kAUAW7ARAAAAMAEAAAAwPA8YMkgA==", (66, 1280, 720, 30.0)),
    ("Z2QAMqzZQCgAtbARAAADAAEAAAMAKA8YMZY=", (100, 2560, 1440, 20.0)),
    ("Z3oAFbzZQXCfiI/ARAAAAwAEAAADAFA8WLZY", (122, 354, 290, 10.0)),
    ("Z/QAKpGbKA8gRPHz4CIAAAMAAgAAAwAwHjBjLA==", (244, 1922, 1082, 12.0)),
    ("Z2QAHqzZQLQk2AiAAAADAIAAABkPihTL", (100, 720, 576, 25.0)),
]
HEVC = "QgEBBAgAAAMAnggAAAMAAHiQAHgQAhyyys0kmV4C3AgIABAAAAMAEAAAAwGQgA=="


def flags_of(module, payloads: list[bytes]) -> list[int]:  # type: ignore[no-untyped-def]
    lengths = np.array([len(p) for p in payloads], np.int32)
    offsets = (np.cumsum(lengths) - lengths).astype(np.int64)
    data = np.frombuffer(b"".join(payloads) + b"\0" * 4, np.uint8)
    head = payload_heads(data, offsets)
    if module is jpeg:
        return jpeg.flags(lengths, head).tolist()
    return module.flags(data, offsets, lengths, head).tolist()


def test_h264_units_fragments_and_aggregates_are_told_apart():
    def aggregate(*units: bytes) -> bytes:
        return b"\x18" + b"".join(len(u).to_bytes(2, "big") + u for u in units)

    assert flags_of(
        h264,
        [
            b"\x41slice",
            b"\x65key",
            b"\x67sps",
            b"\x68pps",
            b"\x7c\x85fragment starts, key",
            b"\x7c\x05fragment goes on",
            b"\x5c\x41fragment ends",
            b"\x7c\x87set starts",
            b"\x7c\x47set ends",
            aggregate(b"\x67sps", b"\x68pps"),
            aggregate(b"\x67sps", b"\x68pps", b"\x65key"),
            aggregate(b"\x41slice"),
            b"\x18\xff\xff",
            b"\x19\0\7" + aggregate(b"\x67sps", b"\x65key")[1:],
            b"\x1a\0\7" + b"\0\6\0\0\0" + b"\x41slice" + b"\0\4\0\0\0" + b"\x65key",
            b"\x1b\0\7" + b"\0\4\0\0\0\0" + b"\x65key",
            b"\x1b\0\7",
            b"\x65",
        ],
    ) == [
        VCL | START,
        VCL | KEY | START,
        SPS | PARAMETER | START,
        PARAMETER | START,
        VCL | KEY | START,
        VCL | KEY,
        VCL,
        SPS_PART | PARAMETER | START,
        SPS_PART | PARAMETER,
        SPS | PARAMETER | START,
        VCL | KEY | SPS | PARAMETER | START,
        VCL | START,
        START,
        VCL | KEY | SPS | PARAMETER | START,
        VCL | KEY | START,
        VCL | KEY | START,
        START,
        0,
    ]


def test_picture_after_a_recovery_point_is_one_that_a_decoder_can_start_with():
    recovery = b"\x06\x06\x01\xc4\x80"
    timing_first = b"\x06\x00\x02\xaa\xbb\x01\x01\x06\x06\x01\xc4\x80"
    others = b"\x06\x05\x03\x06\x06\x06\x80"  # user data that only look like it
    aggregate = b"\x78" + b"".join(
        len(unit).to_bytes(2, "big") + unit for unit in (b"\x09\xf0", timing_first, b"\x41" * 9)
    )
    cut = b"\x78\x00\x09\x06\x00\x40"
    payloads = [
        recovery,
        timing_first,
        others,
        aggregate,
        b"\x78\x00\x07" + others,
        b"\x06\xff",
        cut,
    ]
    assert [bool(flag & KEY) for flag in flags_of(h264, payloads)] == [
        True, True, False, True, False, False, False,
    ]  # fmt: skip
    assert all(flag & PARAMETER for flag in flags_of(h264, payloads))


def test_h265_units_fragments_and_aggregates_are_told_apart():
    aggregate = b"\x60\x01" + b"\0\x04\x42\x01ab" + b"\0\x04\x26\x01ab"
    assert flags_of(
        h265,
        [
            b"\x02\x01slice",
            b"\x26\x01key",
            b"\x42\x01sps",
            b"\x62\x01\x93key starts",
            b"\x62\x01\x13key goes on",
            b"\x62\x01\x41slice ends",
            aggregate,
            b"\x64\x01\x26\x20phesslice",
            b"\x64\x01\x62\x00\x93key starts",
            b"\x64\x01\x62\x00",
            b"\x64\x01\x62\xf0",
            b"\x26\x01",
        ],
    ) == [
        VCL | START,
        VCL | KEY | START,
        SPS | PARAMETER | START,
        VCL | KEY | START,
        VCL | KEY,
        VCL,
        VCL | KEY | SPS | PARAMETER | START,
        VCL | KEY | START,
        VCL | KEY | START,
        0,
        0,
        0,
    ]


def test_jpeg_starts_at_offset_zero_and_says_its_size():
    first = bytes([0, 0, 0, 0, 1, 60, 80, 45])
    assert flags_of(jpeg, [first, b"\0\0\5\0\1\x3c\x50\x2d", b"short"]) == [
        VCL | KEY | START,
        VCL | KEY,
        0,
    ]
    two = np.frombuffer(first + bytes(8), np.uint8)
    assert jpeg.sizes(two, np.array([0, 8])).tolist() == [[640, 360], [0, 0]]


@pytest.mark.parametrize(("text", "wanted"), SETS)
def test_sequence_parameter_set_says_size_and_rate(
    text: str, wanted: tuple[int, int, int, float]
) -> None:
    unit = h264.sps_of_sprop(text + ",aO48gA==")
    assert unit is not None
    read = h264.parse_sps(unit)
    assert read is not None
    assert (read.profile, read.width, read.height, read.fps) == wanted


def test_cut_set_is_unknown_and_no_error():
    unit = base64.b64decode(SETS[0][0])
    assert [h264.parse_sps(unit[:n]) for n in range(8)] == [None] * 8


def test_h265_set_says_its_size():
    unit = h265.sps_of_sprop(HEVC)
    assert unit is not None
    assert h265.parse_size(unit) == (1920, 1080)


def test_set_is_found_alone_and_in_an_aggregate():
    unit = base64.b64decode(SETS[0][0])
    assert h264.find_sps(unit) == unit
    together = b"\x18" + len(unit).to_bytes(2, "big") + unit + b"\0\x02\x68\xee"
    assert h264.find_sps(together) == unit
    assert h264.find_sps(b"\x19\0\7" + together[1:]) == unit
    size = len(unit).to_bytes(2, "big")
    assert h264.find_sps(b"\x1a\0\7\0\2\0\0\0\x68\xee" + size + b"\0\0\0" + unit) == unit
    assert h264.find_sps(b"\x1b\0\7" + size) is None
    assert h264.find_sps(b"\x65slice") is None
    assert h264.find_sps(b"") is None


@given(st.binary(max_size=60))
def test_any_bytes_are_a_set_or_none(raw: bytes) -> None:
    read = h264.parse_sps(b"\x67" + raw)
    assert read is None or 0 < read.width <= 16384
    size = h265.parse_size(b"\x42\x01" + raw)
    assert size is None or 0 < size[1] <= 16384
    h264.find_sps(raw)
    h265.find_sps(raw)


@given(st.binary(max_size=200))
def test_any_header_extension_is_a_size_or_none(raw: bytes) -> None:
    count = len(raw) // 4
    before = b"\xff\xd8" + count.to_bytes(2) + raw[: 4 * count]
    size = jpeg.size_in_extension(before)
    assert size is None or 0 < size[0] <= 16384
    jpeg.size_in_extension(raw)


@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(min_size=2, max_size=60))))
def test_any_fragments_are_a_unit_or_none(parts: list[tuple[int, bytes]]) -> None:
    for module in (h264, h265):
        joined = h264.Fragments()
        for sequence, payload in parts:
            unit = module.read_part(joined, sequence, payload, True)
            assert unit is None or len(unit) <= 1024


@given(st.binary(min_size=1, max_size=200))
def test_any_payload_has_flags(raw: bytes) -> None:
    for module in (h264, h265, jpeg):
        (flags,) = flags_of(module, [raw])
        assert 0 <= flags < 64


@given(st.text(max_size=60))
def test_any_sprop_is_a_set_or_none(text: str) -> None:
    unit = h264.sps_of_sprop(text)
    assert unit is None or unit[0] & 31 == 7
