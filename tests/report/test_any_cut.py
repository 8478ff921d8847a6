"""One capture, one answer: whole, a packet at a time and cut at random, tick by tick and in the
JSON, to every field; and the same JSON where seconds that hold nothing new are let pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panotui.engine.engine import Engine
from panotui.model import SECOND, U64, Delta, MeterSettings, PacketBatch, Site
from panotui.report.analysis import analysis
from panotui.runtime.pump import NO_FLOWS, Pump
from panotui.sources import open_file
from tests.benchmarks import generate
from tests.captures import capture, captures
from tests.meter.flows.test_flood import batch as batch_of
from tests.meter.flows.test_flood import frames
from tests.meter.random_tcp import conversations, pcap
from tests.meter.rtp.test_random_frames import capture as written
from tests.meter.rtp.test_random_frames import some
from tests.report.test_hostile import START, Given

ONE_BY_ONE = 300  # packets of a capture that is taken a packet at a time
HOURS = 5_000  # ticks of a capture that is cut but once
# seconds in which a new stream's first pictures are not measured yet, or are, by the batch at hand
UNSETTLED = ("width", "height")


def batches(path: Path) -> list[PacketBatch]:
    source, out = open_file(str(path)), []
    while not source.ended:
        batch = source.read(0)
        if batch is not None and len(batch):
            # a batch is only valid until the next is read
            copy = (np.array(column) for column in (
                batch.data, batch.offset, batch.captured, batch.wire_length, batch.time_ns,
                batch.interface,
            ))  # fmt: skip
            out.append(PacketBatch(*copy, batch.interfaces, batch.first_number,
                                   outgoing=batch.outgoing, missed=batch.missed))  # fmt: skip
    source.close()
    return out


def cut(whole: list[PacketBatch], pieces: int | None, seed: int = 0) -> Iterator[PacketBatch]:
    """The batches in about `pieces` pieces each; None: a packet at a time."""
    draw = np.random.default_rng(seed)
    for batch in whole:
        n = len(batch)
        edges = range(n) if pieces is None else draw.integers(0, n, pieces).tolist()
        for start, stop in itertools.pairwise(sorted({0, *edges, n})):
            yield batch.slice(start, stop)


def answered(
    parts: list[PacketBatch], settings: MeterSettings | None = None
) -> tuple[dict[str, Any], list[Delta]]:
    """The JSON, and what was told at each tick, where each second is looked at."""
    deltas: list[Delta] = []

    class Kept(Pump):
        def settled(self) -> tuple[int, U64]:
            return 0, NO_FLOWS

        def tell(self, delta: Delta) -> None:
            deltas.append(delta)
            super().tell(delta)

    engine = Engine(Site())
    if parts:
        Kept([Given(parts)], engine, settings).run()
    whole: dict[str, Any] = analysis(engine)
    return whole, deltas


def let_pass(parts: list[PacketBatch], settings: MeterSettings | None = None) -> dict[str, Any]:
    """The JSON, where seconds that hold nothing new are let pass."""
    engine = Engine(Site())
    if parts:
        Pump([Given(parts)], engine, settings).run()
    whole: dict[str, Any] = analysis(engine)
    return whole


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def hold_to(
    want: tuple[dict[str, Any], list[Delta]],
    parts: Iterator[PacketBatch],
    settings: MeterSettings | None = None,
) -> None:
    cuts = list(parts)
    whole, deltas = answered(cuts, settings)
    assert whole == want[0]
    assert let_pass(cuts, settings) == want[0]
    assert len(deltas) == len(want[1])
    for one, other in zip(deltas, want[1], strict=True):
        flows, wanted = one.flows.whole(), other.flows.whole()
        assert len(flows) == len(wanted)
        for name in flows.dtype.names or ():
            assert same(flows[name], wanted[name]), name
        for kind in ("streams", "stream_seconds", "link_seconds"):
            rows, wanted = getattr(one, kind), getattr(other, kind)
            assert len(rows) == len(wanted), kind
            for name in rows.dtype.names or ():
                assert name in UNSETTLED or same(rows[name], wanted[name]), (kind, name)
        assert one.messages == other.messages
        assert one.counters == other.counters


def hold_to_one_answer(whole: list[PacketBatch]) -> None:
    want = answered(whole)
    if whole:
        assert let_pass(whole) == want[0]
    packets = sum(map(len, whole))
    if packets <= ONE_BY_ONE:
        hold_to(want, cut(whole, None))
        return
    hold_to(want, cut(whole, packets // 6, 1))
    if len(want[1]) < HOURS:
        hold_to(want, cut(whole, 15, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", captures())
def test_captures_have_one_answer(name: str) -> None:
    hold_to_one_answer(batches(capture(name)))


@pytest.mark.parametrize(("seed", "six"), [(302, False), (303, False), (304, True)])
def test_random_conversations_have_one_answer(seed: int, six: bool, tmp_path: Path) -> None:
    """Over minutes, so that time-outs, reuses and findings take part; see `tests.meter`."""
    made = conversations(seed, 20, 25, six)
    start = made[0][0]
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([(start + (at - start) * 20, frame) for at, frame in made]))
    hold_to_one_answer(batches(path))


def test_a_flood_that_fits_the_table_has_one_answer() -> None:
    """More new flows than are told of at a tick, and more that end than go at once."""
    number = np.arange(9_000)
    half = len(number) // 2
    syn = frames(0xC6336400 + number, 1024 + number, np.full(len(number), 0x0A000001),
                 np.full(len(number), 80), tcp=True)  # fmt: skip
    time_ns = START + number * (SECOND // half)
    time_ns[half:] += 100 * SECOND
    whole = [batch_of(syn, time_ns, 1)]
    settings = MeterSettings(flows_max=16_384)
    want = answered(whole, settings)
    assert len(want[1]) > 60
    hold_to(want, cut(whole, 200, 1), settings)
    hold_to(want, cut(whole, 15, 2), settings)


def test_streams_measured_together_have_one_answer(tmp_path: Path) -> None:
    """Even seconds, as many at once as a batch holds."""
    path = tmp_path / "x.pcap"
    generate.write(path, "cameras", 50 * 246, 246.0)
    whole = batches(path)
    want = answered(whole)
    assert let_pass(whole) == want[0]
    for seed in range(3):
        assert let_pass(list(cut(whole, 4, seed))) == want[0]


@pytest.mark.parametrize("seed", [7, 8])
def test_random_frames_have_one_answer(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    path.write_bytes(written(some(seed), "<"))
    hold_to_one_answer(batches(path))
