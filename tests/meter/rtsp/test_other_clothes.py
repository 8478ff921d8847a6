"""RTSP as it is really sent: without a length, with other line ends, amid junk, inside others."""

from __future__ import annotations

import itertools
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.rtsp.interleaved import MESSAGES_PER_SECOND
from panotui.wire.rtsp import BODY_MAX
from panotui.wire.websocket import find_rtsp
from tests.meter.rtsp.test_interleaved import Heard, frame

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    b"a=rtpmap:96 H264/90000\r\na=control:track1\r\n"
)
DESCRIBED = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\n\r\n"
SET_UP = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 1\r\n\r\n"
CUTS = st.lists(st.integers(0, 1 << 12), max_size=12)


def hear(stream: bytes, cuts: list[int], begun: bool = False) -> Heard:
    heard = Heard()
    if not begun:
        heard.direction.begin(0xFFFFFF00)
    edges = [0, *sorted({c % len(stream) for c in cuts} - {0}), len(stream)]
    for a, b in itertools.pairwise(edges):
        heard.segment(a, stream[a:b], a)
    return heard


@settings(max_examples=80, deadline=None)
@given(CUTS, st.sampled_from([b"\r\n", b"\n"]))
def test_description_without_a_length_is_read_to_its_end(cuts: list[int], line: bytes) -> None:
    stream = (DESCRIBED + SDP + SET_UP).replace(b"\r\n", line) + frame(1) + frame(2) + frame(3)
    heard = hear(stream, cuts)
    assert [text.cseq for text, _ in heard.texts] == [2, 3]
    assert heard.texts[0][1] == SDP.replace(b"\r\n", line)
    assert heard.sequences() == [1, 2, 3]
    assert heard.direction.resyncs == 0


def test_description_without_a_length_and_nothing_behind_ends_when_the_other_side_goes_on() -> None:
    heard = hear(DESCRIBED + SDP, [100])
    assert not heard.texts
    heard.direction.settle()
    ((text, body),) = heard.texts
    assert (text.status, body) == (200, SDP)
    heard.segment(len(DESCRIBED + SDP), SET_UP + frame(1))
    assert heard.texts[1][0].cseq == 3
    assert heard.sequences() == [1]


@settings(max_examples=40, deadline=None)
@given(CUTS)
def test_other_line_ends_and_lower_case(cuts: list[int]) -> None:
    one = b"RTSP/1.0 200 OK\ncseq:4\ncontent-type:application/sdp\ncontent-length:%d\n\n" % len(SDP)
    mixed = b"RTSP/1.0 200 OK\r\ncSeQ: 5\n\r\n"
    heard = hear(one + SDP + mixed + frame(1), cuts)
    assert [(text.cseq, body) for text, body in heard.texts] == [(4, SDP), (5, b"")]
    assert heard.sequences() == [1]


@settings(max_examples=40, deadline=None)
@given(CUTS, st.sampled_from([b"\0", b"\0\0\0", b"x" * 5, b"\r\n\r\n", b"junk $ \0\0\xff"]))
def test_junk_between_frames_costs_no_frame(cuts: list[int], junk: bytes) -> None:
    parts = [frame(i) + (junk if i % 10 == 5 else b"") for i in range(40)]
    heard = hear(b"".join(parts) + SET_UP, cuts)
    assert heard.sequences() == list(range(40))


def masked(payload: bytes, opcode: int = 2, mask: bool = True) -> bytes:
    size = len(payload)
    first = struct.pack("!B", 0x80 | opcode)
    bit = 0x80 if mask else 0
    if size < 126:
        head = first + bytes([bit | size])
    elif size < 65536:
        head = first + bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head = first + bytes([bit | 127]) + struct.pack("!Q", size)
    if not mask:
        return head + payload
    key = bytes((9, 200, 3, 77))
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))


@settings(max_examples=60, deadline=None)
@given(CUTS, st.booleans(), st.integers(0, 99))
def test_rtsp_in_a_websocket_is_read(cuts: list[int], client: bool, seed: int) -> None:
    chance = random.Random(seed)
    opening = (
        b"GET /rtsp HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: rtsp.onvif.org\r\n\r\n"
        if client
        else b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Protocol: rtsp.onvif.org\r\n\r\n"
    )
    inner = SET_UP + b"".join(frame(i) for i in range(8)) + frame(8, 40000)
    stream, at = opening, 0
    while at < len(inner):
        size = chance.choice([4, 100, 700, 3000, 70000])
        stream += masked(inner[at : at + size], mask=client)
        stream += masked(b"ping", 9, client) if chance.random() < 0.3 else b""
        at += size
    heard = hear(stream, cuts)
    assert [text.cseq for text, _ in heard.texts] == [3]
    assert heard.sequences() == list(range(9))


@settings(max_examples=60, deadline=None)
@given(CUTS, st.booleans(), st.integers(0, 1500))
def test_websocket_that_was_opened_before_is_recognised_by_its_frames(
    cuts: list[int], client: bool, missed: int
) -> None:
    stream = b"".join(masked(frame(i, 400), mask=client) for i in range(20)) + masked(
        SET_UP, mask=client
    )
    heard = hear(stream[missed:], cuts, begun=True)
    first = -(-missed // len(masked(frame(0, 400), mask=client)))
    assert heard.sequences() == list(range(first, 20))
    assert [text.cseq for text, _ in heard.texts] == [3]


def test_random_bytes_are_no_websocket() -> None:
    chance = random.Random(5)
    noise = chance.randbytes(400_000)
    assert find_rtsp(noise, media_only=True) == -1


def test_body_that_is_too_long_to_keep_is_passed_over() -> None:
    head = DESCRIBED.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % (BODY_MAX + 5))
    heard = hear(head + b"a=x\r\n" * (BODY_MAX // 5) + b"a=x\r\n" + b"x" * 4, [])
    heard = hear(head + bytes(BODY_MAX + 5) + SET_UP + frame(1), list(range(0, 4096, 700)))
    assert [text.cseq for text, _ in heard.texts] == [2, 3]
    assert heard.sequences() == [1]


def test_more_messages_than_anybody_sends_are_left_alone_until_the_second_is_over() -> None:
    heard = Heard()
    heard.direction.begin(0xFFFFFF00)
    many = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" * 50
    for i in range(40):
        heard.segment(i * len(many), many, i)
    assert len(heard.texts) == MESSAGES_PER_SECOND
    heard.segment(40 * len(many), many, 2_000_000_000)
    assert len(heard.texts) == MESSAGES_PER_SECOND + 50


@pytest.mark.parametrize("size", [0, 1, 7])
def test_frames_that_are_too_short_for_anything_are_passed_over(size: int) -> None:
    small = struct.pack("!cBH", b"$", 0, size) + b"$" * size
    heard = hear(frame(1) + small * 5000 + frame(2) + frame(3), list(range(0, 4096, 91)))
    assert heard.sequences() == [1, 2, 3]
    assert len(heard.frames.numbers) == 3 * 7
