"""Pictures in one HTTP answer, with and without lengths, in any cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.rtsp.multipart import PARTS_PER_SECOND, Multipart, Part

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=%s\r\n\r\n"


def stream(bodies: list[bytes], name: bytes, with_length: bool, line: bytes) -> bytes:
    parts = []
    for body in bodies:
        head = b"--" + name.removeprefix(b"--") + line + b"Content-Type: image/jpeg" + line
        head += b"Content-length:%d" % len(body) + line if with_length else b""
        parts.append(head + line + body + line)
    return b"".join(parts) + b"--" + name.removeprefix(b"--") + line


def feed(multipart: Multipart, raw: bytes, cuts: list[int]) -> list[Part]:
    edges = [0, *sorted({c % len(raw) for c in cuts} - {0}), len(raw)]
    return [
        part
        for number, (a, b) in enumerate(itertools.pairwise(edges))
        for part in multipart.feed(raw[a:b], number, number)
    ]


BODIES = [b"\xff\xd8" + bytes([k]) * (1 + 37 * k) + b"\n-\xff\xd9" for k in range(1, 12)]


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.integers(0, 1 << 13), max_size=20),
    st.sampled_from([b"frame", b"--myboundary", b'"q"']),
    st.booleans(),
    st.sampled_from([b"\r\n", b"\n"]),
)
def test_parts_are_those_that_were_sent(
    cuts: list[int], name: bytes, with_length: bool, line: bytes
) -> None:
    multipart = Multipart(3, HEAD % name)
    parts = feed(multipart, stream(BODIES, name.strip(b'"'), with_length, line), cuts)
    assert [part.length for part in parts] == list(map(len, BODIES))
    assert [part.head for part in parts] == BODIES
    assert {part.carrier for part in parts} == {3}
    assert not multipart.is_lost


def test_hole_within_a_picture_costs_no_picture() -> None:
    multipart = Multipart(0, HEAD % b"b")
    raw = stream([bytes(1000), bytes(900)], b"b", True, b"\r\n")
    first = multipart.feed(raw[:300], 1, 1)
    multipart.skip(200)
    rest = multipart.feed(raw[500:], 2, 2)
    assert [part.length for part in [*first, *rest]] == [1000, 900]


def test_hole_over_a_head_ends_it() -> None:
    multipart = Multipart(0, HEAD % b"b")
    raw = stream([bytes(100), bytes(900)], b"b", True, b"\r\n")
    multipart.feed(raw[:100], 1, 1)
    multipart.skip(200)
    assert multipart.is_lost
    assert not multipart.feed(raw[300:], 2, 2)


@pytest.mark.parametrize("junk", [b"x" * 9000, b"--b\r\n" + b"a: b\r\n" * 2000])
def test_what_is_no_part_is_left_alone(junk: bytes) -> None:
    multipart = Multipart(0, HEAD % b"b")
    for at in range(0, len(junk), 1448):
        assert not multipart.feed(junk[at : at + 1448], 0, 0)
    assert multipart.is_lost


def test_more_pictures_than_a_camera_has_are_left_alone() -> None:
    multipart = Multipart(0, HEAD % b"b")
    parts = feed(multipart, stream([b"x"] * 1000, b"b", True, b"\n"), [])
    assert len(parts) == PARTS_PER_SECOND + 1
    assert multipart.is_lost
