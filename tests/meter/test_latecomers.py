"""Fragments that come before their first one: counted where they belong, bounded, in any cut."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable

import numpy as np
import pytest

from panotui.meter.latecomers import HELD_MOST
from panotui.meter.meter import Meter
from panotui.model import SECOND, Delta, Interface, MeterSettings, PacketBatch

START = 1_760_000_000 * SECOND
A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
Sent = tuple[float, bytes]


def fragment(number: int, at: int, size: int, more: bool, protocol: int = 17) -> bytes:
    """Bytes [at, at + size) of a datagram from port 45000 to 6000, by its identification."""
    datagram = struct.pack("!HHHH", 45_000, 6000, 3008, 0) + bytes(3000)
    field = at // 8 | more << 13
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, number, field, 64, protocol, 0) + A + B
    return bytes(range(12)) + b"\x08\0" + head + datagram[at : at + size]


def backwards(number: int) -> list[bytes]:
    return [
        fragment(number, 2000, 1008, False),
        fragment(number, 1000, 1000, True),
        fragment(number, 0, 1000, True),
    ]


def batch(sent: Iterable[Sent], first: int = 1) -> PacketBatch:
    made = list(sent)
    sizes = np.array([len(frame) for _, frame in made], np.int64)
    return PacketBatch(
        np.frombuffer(b"".join(frame for _, frame in made) + bytes(64), np.uint8),
        np.cumsum(sizes) - sizes, sizes, sizes,
        np.array([START + round(at * SECOND) for at, _ in made], np.int64),
        np.zeros(len(made), np.int16), [Interface("a", 1)], first,
    )  # fmt: skip


def told(sent: list[Sent], rows: int) -> Delta:
    """What a meter tells at its last tick; it ticks at each second as the program does."""
    meter = Meter(MeterSettings(), 0)
    edges = {*range(0, len(sent), rows), len(sent)}
    edges |= {i for i in range(1, len(sent)) if int(sent[i][0]) > int(sent[i - 1][0])}
    for start, stop in itertools.pairwise(sorted(edges)):
        if start and int(sent[start][0]) > int(sent[start - 1][0]):
            meter.tick(START + int(sent[start][0]) * SECOND)
        meter.update(batch(sent[start:stop], start + 1))
    meter.finish()
    return meter.tick(START + int(sent[-1][0] + 1) * SECOND)


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_a_datagram_that_comes_last_piece_first_is_of_one_flow(rows: int) -> None:
    sent = [(i * 0.01 + j * 0.001, f) for i in range(20) for j, f in enumerate(backwards(i + 1))]
    (flow,) = told(sent, rows).flows.whole()
    assert (flow["sport"], flow["dport"], flow["packets_out"]) == (45_000, 6000, 60)
    assert flow["bytes_out"] == sum(len(frame) for _, frame in sent)
    assert flow["first_ns"] == START
    assert (flow["first_packet"], flow["last_packet"]) == (3, 60)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_a_first_fragment_is_waited_for_over_a_tick(rows: int) -> None:
    last, middle, first = backwards(1)
    sent = [(0.9, last), (0.95, middle), (1.05, first)]
    (flow,) = told(sent, rows).flows.whole()
    assert (flow["sport"], flow["packets_out"]) == (45_000, 3)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_fragments_whose_first_never_comes_have_no_ports(rows: int) -> None:
    last, middle, _ = backwards(1)
    other = fragment(2, 0, 1000, True)
    meter = Meter(MeterSettings(), 0)
    for start in range(0, 3, rows):
        meter.update(batch([(0.1, last), (0.2, middle), (0.3, other)][start : start + rows]))
    assert [row["sport"] for row in meter.tick(START + SECOND).flows.whole()] == [45_000]
    (flow,) = meter.tick(START + 2 * SECOND).flows.whole()
    assert (flow["sport"], flow["dport"], flow["packets_out"]) == (0, 0, 2)
    assert meter.counters.packets == 3


def test_what_has_no_ports_is_not_held() -> None:
    meter = Meter(MeterSettings(), 0)
    meter.update(batch([(0.1, fragment(1, 1000, 1000, True, protocol=50))]))
    assert meter.last_flow_id[0] > 0


@pytest.mark.parametrize("rows", [64, 10_000])
def test_as_many_are_held_as_there_is_room_for(rows: int) -> None:
    """Who sends nothing but later fragments fills the room; the others are told at once."""
    sent = [(i * 1e-4, fragment(1 + i % 60_000, 1000, 100, True)) for i in range(4000)]
    meter = Meter(MeterSettings(), 0)
    for start in range(0, len(sent), rows):
        meter.update(batch(sent[start : start + rows]))
    (flow,) = meter.tick(START + SECOND // 2).flows.whole()
    assert flow["packets_out"] == 4000 - HELD_MOST
    (flow,) = meter.tick(START + 2 * SECOND).flows.whole()
    assert flow["packets_out"] == 4000
