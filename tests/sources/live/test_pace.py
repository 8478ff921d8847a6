"""The pace of a live capture: rest while little comes, look at once when a ring fills."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from panotui.sources.live import pace
from panotui.sources.live.pace import Pace


class Pipe:
    """A ring of which only the filling is known, and a descriptor to wake up by."""

    def __init__(self) -> None:
        self.present = True
        self.share = 0.0
        self.end, self.start = os.pipe()

    def fileno(self) -> int:
        if not self.present:
            raise AssertionError("a ring that is gone is not waited for")
        return self.end

    def filled(self) -> float:
        return self.share

    def wake(self) -> None:
        os.write(self.start, b"x")


@pytest.fixture
def pipes() -> Iterator[tuple[Pipe, Pipe]]:
    ring, other = Pipe(), Pipe()
    yield ring, other
    for pipe in (ring, other):
        os.close(pipe.end)
        os.close(pipe.start)


def waited(one: Pace, others: list[int]) -> tuple[bool, float]:
    began = time.monotonic()
    due = one.wait(others)
    return due, time.monotonic() - began


def test_the_end_of_a_second_ends_the_rest(pipes: tuple[Pipe, Pipe]) -> None:
    ring, _ = pipes
    ring.wake()
    now = 5 * pace.SECOND_NS + 980_000_000  # of packet time
    one = Pace([ring], packet_ns=lambda: now)
    one.wait()
    began = one._clock()
    assert 0.0 < one._due - began <= 0.0901  # 20 ms to the second's end, 70 ms until it has settled
    now = 6 * pace.SECOND_NS + pace.SETTLED_NS  # that look
    one.wait()
    assert one._due - one._clock() > pace.REST_S - 0.05


def test_a_ring_with_little_in_it_is_left_to_rest(pipes: tuple[Pipe, Pipe]) -> None:
    ring, other = pipes
    one = Pace([ring], packet_ns=lambda: 10**9 + pace.SETTLED_NS)
    ring.wake()  # a block is there all the time
    assert waited(one, [other.end])[0]
    due, seconds = waited(one, [other.end])
    assert due
    assert pace.REST_S * 0.8 < seconds < pace.REST_S + 2.0


def test_a_ring_that_fills_ends_the_rest(pipes: tuple[Pipe, Pipe]) -> None:
    ring, _ = pipes
    one = Pace([ring])
    ring.wake()
    one.wait()
    ring.share = pace.WORTH
    due, seconds = waited(one, [])
    assert due
    assert seconds < pace.REST_S * 0.8


def test_a_screen_is_answered_during_the_rest_without_a_look(pipes: tuple[Pipe, Pipe]) -> None:
    ring, other = pipes
    one = Pace([ring])
    ring.wake()
    one.wait()
    other.wake()
    due, seconds = waited(one, [other.end])
    assert not due
    assert seconds < pace.REST_S * 0.8


def test_an_interface_that_is_gone_is_tried_again_soon(pipes: tuple[Pipe, Pipe]) -> None:
    ring, _ = pipes
    one = Pace([ring])
    ring.present = False
    assert waited(one, [])[0]
    assert waited(one, [])[1] < pace.REST_S + pace.GONE_S + 2.0


def test_an_idle_line_is_looked_at_all_the_same(pipes: tuple[Pipe, Pipe]) -> None:
    ring, _ = pipes
    one = Pace([ring])
    assert [one.wait() for _ in range(2)] == [True, True]
