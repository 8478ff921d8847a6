"""One direction of an RTSP connection, cut, swapped, holed and joined anywhere."""

from __future__ import annotations

import base64
import itertools
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.rtsp.found_frames import Frames
from panotui.meter.rtsp.interleaved import (
    HELD_BYTES_MAX,
    RESYNC_BYTES_MAX,
    RESYNC_TRIES_MAX,
    Direction,
)
from panotui.wire.rtsp import Text

PLAY = b"RTSP/1.0 200 OK\r\nCSeq: 4\r\nSession: 12;timeout=65\r\n\r\n"
BODIED = b"RTSP/1.0 200 OK\r\nCSeq: 5\r\nContent-Length: 10\r\n\r\n$$$$$$$$$$"
ISN = 0xFFFFFF00  # wraps soon


def frame(sequence: int, size: int = 700, channel: int = 0) -> bytes:
    payload = struct.pack("!BBHII", 0x80, 96, sequence & 0xFFFF, 3600 * sequence, 0xABCD)
    payload += bytes([sequence & 0xFF]) * (size - 12)
    return struct.pack("!cBH", b"$", channel, size) + payload


class Heard:
    """A direction and what it has said."""

    def __init__(self) -> None:
        self.frames = Frames()
        self.texts: list[tuple[Text, bytes]] = []
        self.direction = Direction(
            self.frames, lambda text, body, *_: self.texts.append((text, body)), lambda ch: ch
        )
        self.data = b""

    def segment(self, offset: int, payload: bytes, time_ns: int = 0, captured: int = -1) -> None:
        kept = payload if captured < 0 else payload[:captured]
        start = len(self.data)
        # Behind a segment comes the padding of its frame, and the next packet.
        self.data += kept + b"$\x00\x00\x20RTSP/1.0 "
        self.direction.segment(
            (ISN + 1 + offset) & 0xFFFFFFFF,
            memoryview(self.data),
            start,
            len(kept),
            len(payload),
            time_ns,
            1 + time_ns,
        )

    def sequences(self) -> list[int]:
        """RTP sequence numbers of all frames, in order."""
        table = list(self.frames.numbers)
        out = []
        for i in range(0, len(table), Frames.FIELDS):
            position = table[i + 1]
            source = self.data if position >= 0 else bytes(self.frames.side)
            at = position if position >= 0 else ~position
            out.append(int.from_bytes(source[at + 2 : at + 4], "big"))
        return out

    def lengths(self) -> list[int]:
        return list(self.frames.numbers)[2 :: Frames.FIELDS]

    def epochs(self) -> list[int]:
        return list(self.frames.numbers)[6 :: Frames.FIELDS]


def begun() -> Heard:
    heard = Heard()
    heard.direction.begin(ISN)
    return heard


STREAM = (
    PLAY
    + b"".join(frame(i, 12 + 97 * (i % 9)) for i in range(12))
    + BODIED
    + frame(12)
    + b"\r\n"
    + PLAY
    + b"".join(frame(i, 1400) for i in range(13, 16))
)


def cut(stream: bytes, places: list[int]) -> list[tuple[int, bytes]]:
    edges = sorted({0, len(stream), *(p % len(stream) for p in places)})
    return [(a, stream[a:b]) for a, b in itertools.pairwise(edges)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 100_000), max_size=40))
def test_segments_may_cut_anywhere(places: list[int]) -> None:
    heard = begun()
    for offset, part in cut(STREAM, places):
        heard.segment(offset, part)
    assert heard.sequences() == list(range(16))
    assert [text.cseq for text, _ in heard.texts] == [4, 5, 4]
    assert heard.texts[1][1] == b"$" * 10
    assert heard.direction.resyncs == 0


def test_segments_of_one_byte_are_read_to_the_last() -> None:
    heard = begun()
    for offset, part in cut(STREAM, list(range(len(STREAM)))):
        heard.segment(offset, part)
    assert heard.sequences() == list(range(16))
    assert heard.direction.resyncs == 0


def test_a_body_may_come_in_pieces_after_its_header() -> None:
    heard = begun()
    head = len(BODIED) - 10
    for offset, part in cut(BODIED + frame(1), [head, head + 4, head + 7]):
        heard.segment(offset, part)
    assert [body for _, body in heard.texts] == [b"$" * 10]
    assert heard.sequences() == [1]
    assert heard.direction.resyncs == 0


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 100_000), max_size=20), st.randoms(use_true_random=False))
def test_segments_may_come_late_twice_and_overlapping(places, random) -> None:  # type: ignore[no-untyped-def]
    parts = cut(STREAM, places)
    again = [parts[random.randrange(len(parts))] for _ in range(3)]
    longer = [(o, STREAM[o : o + len(p) + 50]) for o, p in again]
    mixed = parts[1:] + again + longer
    random.shuffle(mixed)
    heard = begun()
    for offset, part in [parts[0], *mixed]:
        heard.segment(offset, part)
    assert heard.sequences() == list(range(16))
    assert [text.cseq for text, _ in heard.texts] == [4, 5, 4]
    assert not heard.direction.held


def test_dollar_header_in_a_segment_of_its_own_is_read() -> None:
    heard = begun()
    stream = b"".join(frame(i) for i in range(5))
    offset = 0
    for i in range(5):
        heard.segment(offset, stream[offset : offset + 4])
        heard.segment(offset + 4, stream[offset + 4 : offset + 704], time_ns=i)
        offset += 704
    assert heard.sequences() == [0, 1, 2, 3, 4]
    assert heard.lengths() == [700] * 5


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 3000), st.lists(st.integers(0, 100_000), max_size=20))
def test_start_in_mid_stream_finds_the_next_frames(start: int, places: list[int]) -> None:
    stream = b"".join(frame(i, 700 + i) for i in range(30))
    heard = Heard()
    for offset, part in cut(stream[start:], places):
        heard.segment(start + offset, part)
    found = heard.sequences()
    assert found == list(range(found[0], 30))
    assert found[0] <= start // 700 + 1
    assert heard.direction.resyncs == 0


def test_hole_inside_a_frame_costs_nothing_but_bytes() -> None:
    stream = b"".join(frame(i, 3000) for i in range(6))
    heard = begun()
    heard.segment(0, stream[:4000])
    # 4000..5000 lies in the body of the second frame and never comes.
    heard.segment(5000, stream[5000:9000], time_ns=1_000_000)
    assert heard.sequences() == [0]
    heard.direction.acknowledged((ISN + 1 + 9000) & 0xFFFFFFFF, 2_000_000)
    heard.direction.acknowledged((ISN + 1 + 9000) & 0xFFFFFFFF, 40_000_000)
    heard.segment(9000, stream[9000:], time_ns=50_000_000)
    assert heard.sequences() == list(range(6))
    assert heard.direction.resyncs == 0
    assert heard.epochs()[0] == 0
    assert heard.epochs()[-1] == 1


def test_hole_over_a_frame_header_is_resynchronised_and_counted() -> None:
    stream = b"".join(frame(i, 900) for i in range(40))
    heard = begun()
    heard.segment(0, stream[:5000])
    heard.segment(8000, stream[8000:30000], time_ns=1)
    heard.direction.give_up()
    heard.segment(30000, stream[30000:], time_ns=2)
    found = heard.sequences()
    assert found[:6] == [0, 1, 2, 3, 4, 5]
    assert found[-30:] == list(range(10, 40))
    assert heard.direction.resyncs == 1


def test_hole_that_is_filled_late_delays_but_loses_nothing() -> None:
    stream = b"".join(frame(i, 900) for i in range(20))
    heard = begun()
    heard.segment(0, stream[:1000], time_ns=1)
    heard.segment(2000, stream[2000:], time_ns=2)
    heard.segment(1000, stream[1000:2000], time_ns=9)
    assert heard.sequences() == list(range(20))
    assert set(list(heard.frames.numbers)[4 :: Frames.FIELDS]) == {1, 9}


def test_what_waits_behind_a_hole_is_bounded() -> None:
    heard = begun()
    heard.segment(0, frame(0))
    for i in range(400):
        heard.segment(2000 + i * 1400, b"x" * 1400, time_ns=i)
    assert sum(len(raw) for raw, *_ in heard.direction.held.values()) <= HELD_BYTES_MAX + 1400


def test_bytes_that_were_not_captured_are_skipped_within_a_frame() -> None:
    heard = begun()
    for i in range(5):
        heard.segment(i * 1404, frame(i, 1400), captured=60)
    assert heard.sequences() == list(range(5))
    assert heard.lengths() == [1400] * 5


def test_garbage_is_left_alone_after_a_while() -> None:
    heard = begun()
    junk = bytes(range(256)) * 20
    for i in range(2 + RESYNC_BYTES_MAX * (RESYNC_TRIES_MAX + 1) // len(junk)):
        heard.segment(i * len(junk), junk)
    kept = heard.direction._buffer
    assert len(kept) <= RESYNC_BYTES_MAX + len(junk)
    heard.segment(10**9, PLAY)
    assert not heard.texts


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=12), st.booleans())
def test_hostile_bytes_never_raise(parts: list[bytes], syn: bool) -> None:
    heard = begun() if syn else Heard()
    offset = 0
    for part in parts:
        heard.segment(offset, part)
        offset += len(part) + (7 if len(part) % 5 == 4 else 0)
    heard.direction.give_up()
    sent = sum(len(part) for part in parts)
    assert len(heard.direction._buffer) <= sent
    assert sum(heard.lengths()) + sum(len(body) for _, body in heard.texts) <= sent


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"$\0\0\x10\x80", b"$", b"RTSP/1.0 200 OK\r\n\r\n", b"x", PLAY]),
        max_size=60,
    )
)
def test_boundaries_that_lead_nowhere_do_not_recurse_without_end(parts: list[bytes]) -> None:
    heard = Heard()
    sent = b"y" * 10 + b"".join(parts) * 20
    heard.segment(0, sent)
    assert len(heard.texts) <= sent.count(b"RTSP/1.0") + sent.count(b"PLAY ")
    assert len(heard.direction._buffer) <= len(sent)


def test_tunnel_over_http_is_read_on_both_connections() -> None:
    got = begun()
    got.segment(0, b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n" + PLAY)
    assert [text.status for text, _ in got.texts] == [200]
    post = begun()
    head = b"POST /cam HTTP/1.0\r\nx-sessioncookie: abc\r\nContent-Length: 32767\r\n\r\n"
    requests = [
        b"OPTIONS rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 2\r\n\r\n",
    ]
    body = b"".join(base64.b64encode(request) for request in requests)
    offset = 0
    for part in (head, body[:33], body[33:80], body[80:]):
        post.segment(offset, part)
        offset += len(part)
    assert [text.method for text, _ in post.texts] == ["OPTIONS", "DESCRIBE"]
    assert post.direction.cookie == "abc"
