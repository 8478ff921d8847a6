"""RTP headers from bytes, many at once."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from panotui.model import Interface, PacketBatch
from panotui.wire.decode import decode
from panotui.wire.rtp import (
    HEADER_BYTES,
    RtpColumns,
    look_of,
    plain_headers,
    read_headers,
)


def packed(packets: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lengths = np.array([len(p) for p in packets], np.int64)
    offsets = np.cumsum(lengths) - lengths
    return np.frombuffer(b"".join(packets) or b"\0", np.uint8), offsets, lengths


def rtp(flags: int = 0x80, kind: int = 96, rest: bytes = b"payload") -> bytes:
    return struct.pack("!BBHII", flags, kind, 0xFFFE, 0xFFFFFFF0, 0xDEADBEEF) + rest


def test_fixed_header_is_read_at_any_offset():
    data, offset, length = packed([b"x", rtp(kind=0x80 | 26), b"yy", rtp()])
    columns = read_headers(data, offset[[1, 3]], length[[1, 3]], length[[1, 3]])
    assert columns.valid.all()
    assert columns.payload_type.tolist() == [26, 96]
    assert columns.marker.tolist() == [True, False]
    assert columns.sequence.tolist() == [0xFFFE] * 2
    assert columns.timestamp.tolist() == [0xFFFFFFF0] * 2
    assert columns.ssrc.tolist() == [0xDEADBEEF] * 2
    assert columns.payload_length.tolist() == [7, 7]
    assert data[columns.payload[0]] == ord("p")


def test_contributors_extension_and_padding_are_no_payload():
    extension = struct.pack("!HH", 0xBEDE, 2) + b"e" * 8
    packet = rtp(0x80 | 0x20 | 0x10 | 2, rest=b"c" * 8 + extension + b"media" + b"\0\0\3")
    data, offset, length = packed([packet])
    columns = read_headers(data, offset, length, length)
    start, size = int(columns.payload[0]), int(columns.payload_length[0])
    assert bytes(data[start : start + size]) == b"media"
    assert columns.valid.all()


def test_padding_of_no_bytes_is_none_as_readers_take_it() -> None:
    """RFC 3550 5.1 counts the count itself; LIVE555 and FFmpeg show such packets all the same."""
    data, offset, length = packed([rtp(0xA0, rest=b"mm\0")])
    header = read_headers(data, offset, length, length)
    assert (header.valid.all(), header.payload_length.tolist()) == (True, [3])


def test_padding_that_is_not_captured_stays_unknown_but_the_packet_counts():
    data, offset, length = packed([rtp(0xA0, rest=b"m" * 40 + b"\4")])
    columns = read_headers(data, offset, length, np.array([30]))
    assert columns.valid.all()
    assert columns.payload_length.tolist() == [41]
    assert columns.payload_captured.tolist() == [18]


def test_what_cannot_be_rtp_is_not_valid():
    wrong = [
        b"\xce\xfa\xed\xfe",  # LIVE555's hole punching
        rtp(0x40),  # version 1
        rtp(kind=200),  # RTCP
        rtp(kind=204),
        rtp(0x8F, rest=b""),  # 15 contributors that are not there
        rtp(0x90, rest=b"\0"),  # an extension that is not there
        rtp(0x90, rest=struct.pack("!HH", 0, 100)),  # longer than the packet
        rtp(0xA0, rest=b"mm\x40"),  # more padding than packet
        rtp()[:11],
        b"",
    ]
    data, offset, length = packed(wrong)
    assert not read_headers(data, offset, length, length).valid.any()


@given(st.lists(st.binary(max_size=80), max_size=30), st.integers(0, 90))
def test_any_bytes_give_columns_within_the_buffer(parts: list[bytes], cut: int) -> None:
    data, offset, length = packed(parts)
    captured = np.minimum(length, cut)
    columns = read_headers(data, offset, length, captured)
    good = columns.valid
    assert (columns.payload[good] >= offset[good] + HEADER_BYTES).all()
    assert (columns.payload_length[good] <= length[good] - HEADER_BYTES).all()
    assert (columns.payload_captured[good] >= 0).all()


def datagram(tag: bytes, payload: bytes) -> bytes:
    udp = struct.pack("!HHHH", 40000, 50000, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + bytes(range(8))
    return bytes(12) + tag + b"\x08\0" + ip + udp


def test_words_of_the_decoder_say_what_the_header_itself_says():
    packets = [
        datagram(tag, rtp(kind=96 | mark, rest=bytes(range(64, 84))))
        for tag in (b"", b"\x81\0\0\x05")
        for mark in (0, 0x80)
    ]
    data, offset, length = packed(packets)
    batch = PacketBatch(
        data, offset, length, length, offset, np.zeros(4, np.int16), [Interface("eth0", 1)]
    )
    c = decode(batch)
    first, second, head = c.transport
    assert ((first >> np.uint64(16)) & np.uint64(0xFF7F) == look_of(96)).all()
    plain = plain_headers(
        (first, second, head),
        second.astype(np.uint32),
        c.payload,
        c.payload_length,
        c.payload_captured,
    )
    read = read_headers(data, c.payload, c.payload_length, c.payload_captured)
    for name in RtpColumns.__struct_fields__:
        assert getattr(plain, name).tolist() == getattr(read, name).tolist(), name
