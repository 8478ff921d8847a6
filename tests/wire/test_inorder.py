from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.wire.inorder import PENDING_BYTES, InOrder

WRAP = 1 << 32


def collect(segments: list[tuple[int, bytes]]) -> InOrder:
    stream = InOrder()
    for sequence, payload in segments:
        if stream.precedes(sequence):
            stream.restart(sequence, payload)
        else:
            stream.add(sequence, payload)
    return stream


@settings(max_examples=200, deadline=None)
@given(
    st.binary(min_size=1, max_size=3000),
    st.integers(0, WRAP - 1),
    st.randoms(use_true_random=False),
)
def test_any_cut_order_and_repetition_gives_the_same_bytes(data, start, chance: random.Random):
    segments = []
    at = 0
    while at < len(data):
        size = chance.randint(1, 400)
        # segments may begin before what was sent last, as retransmissions with a new cut do
        begin = max(0, at - chance.choice((0, 0, 0, 50)))
        segments.append(((start + begin) % WRAP, data[begin : at + size]))
        at += size
    segments += chance.choices(segments, k=len(segments) // 2)
    chance.shuffle(segments)
    stream = collect(segments)
    assert bytes(stream.ready) == data
    assert not stream.gap
    assert stream.held == len(data)


def test_first_copy_of_a_byte_wins():
    stream = collect([(100, b"first"), (100, b"other-and-more")])
    assert bytes(stream.ready) == b"first-and-more"


def test_hole_holds_back_what_follows():
    stream = collect([(0, b"ab"), (4, b"ef")])
    assert bytes(stream.ready) == b"ab"
    assert stream.gap
    assert stream.add(2, b"cd")
    assert bytes(stream.ready) == b"abcdef"
    assert not stream.gap


def test_what_waits_is_bounded():
    stream = InOrder()
    stream.add(0, b"x")
    for i in range(200):
        stream.add(10 + i * 1500, bytes(1500))
    assert stream.overflowed
    assert stream.held <= PENDING_BYTES + 1


def test_old_data_brings_nothing_new():
    stream = InOrder()
    assert stream.add(100, b"hello")
    assert not stream.add(100, b"hello")
    assert not stream.add(102, b"l")
    assert bytes(stream.ready) == b"hello"
