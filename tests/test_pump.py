"""The pump: ticks at whole seconds, gaps that cost nothing, one answer in every arrangement."""

from __future__ import annotations

import numpy as np
import pytest

from panotui.engine import Engine
from panotui.model import SECOND, Interface, PacketBatch, Site, SourceCounters
from panotui.pump import Pump, SecondSplitter, gap_ticks
from panotui.report.analysis import analysis
from panotui.sources import open_file
from tests.captures import shared_capture


def batch(times_ns: list[int]) -> PacketBatch:
    n = len(times_ns)
    return PacketBatch(
        np.zeros(64, np.uint8), np.zeros(n, np.int64), np.full(n, 60, np.int64),
        np.full(n, 60, np.int64), np.array(times_ns, np.int64), np.zeros(n, np.int16),
        [Interface("eth0", 1)],
    )  # fmt: skip


def test_gap_of_years_takes_about_a_hundred_ticks() -> None:
    ticks = list(gap_ticks(0, 30 * 365 * 86_400 * SECOND))
    assert len(ticks) < 130
    assert ticks[:3] == [SECOND, 2 * SECOND, 3 * SECOND]
    assert ticks[-1] == 30 * 365 * 86_400 * SECOND
    assert ticks == sorted(set(ticks))


def test_no_time_no_tick() -> None:
    assert list(gap_ticks(5 * SECOND, 5 * SECOND + 999)) == []


def test_batches_are_cut_where_a_second_ends() -> None:
    splitter = SecondSplitter()
    start = 100 * SECOND
    parts = list(splitter.parts(batch([start, start + 5, start + SECOND, start + 2 * SECOND + 1])))
    assert [len(part) for part, _ in parts] == [2, 1, 1]
    assert [due.tolist() for _, due in parts] == [[], [101 * SECOND], [102 * SECOND]]


def test_time_that_steps_back_makes_no_tick() -> None:
    splitter = SecondSplitter()
    start = 100 * SECOND
    parts = list(splitter.parts(batch([start + SECOND, start, start + SECOND + 5])))
    assert [len(part) for part, _ in parts] == [3]
    assert splitter.highest_ns == start + SECOND + 5


class SmallBatches:
    """A source that hands out its packets in batches of a given size."""

    def __init__(self, path: str, size: int) -> None:
        self._source = open_file(path)
        self._size = size
        self._left: PacketBatch | None = None
        self.interfaces = self._source.interfaces
        self.counters = self._source.counters

    @property
    def ended(self) -> bool:
        return self._source.ended and self._left is None

    def read(self, timeout_s: float) -> PacketBatch | None:
        whole = self._left or self._source.read(timeout_s)
        if whole is None:
            return None
        self._left = whole.slice(self._size, len(whole)) if len(whole) > self._size else None
        return whole.slice(0, min(self._size, len(whole)))

    def close(self) -> None:
        self._source.close()


@pytest.mark.parametrize("name", ["lab/udp-h264-loss2pct.pcap", "lab/peers.pcap"])
def test_the_same_answer_whatever_the_batches(name: str) -> None:
    path = str(shared_capture(name))
    answers = []
    for size in (1 << 20, 100, 7):
        engine = Engine(Site())
        source = SmallBatches(path, size)
        Pump([source], engine, files=[path]).run(0.0)
        source.close()
        answers.append(analysis(engine))
    assert answers[1] == answers[0]
    assert answers[2] == answers[0]


def test_taps_and_ticks_are_called_and_the_source_is_counted() -> None:
    path = str(shared_capture("lab/faults.pcap"))
    source = open_file(path)
    engine = Engine(Site())
    pump = Pump([source], engine, files=[path])
    seen: list[int] = []
    ticks: list[int] = []
    pump.taps.append(lambda part, meter: seen.append(len(part)))
    pump.on_tick.append(ticks.append)
    pump.run(0.0)
    pump.finish()
    source.close()
    assert sum(seen) == 8
    assert len(ticks) == 5
    record = engine.snapshot().source
    assert (record.packets, record.bytes, record.truncated) == (8, 600, False)
    assert record.interfaces[0][1] == 8


def test_idle_live_line_ticks_from_the_clock() -> None:
    class Silent:
        ended = False

        def __init__(self) -> None:
            self.interfaces = [Interface("eth0", 1)]
            self.counters = SourceCounters()

        def read(self, timeout_s: float) -> None:
            return None

        def close(self) -> None: ...

    now = [1_790_000_000 * SECOND]
    engine = Engine(Site())
    pump = Pump([Silent()], engine, live=True, clock=lambda: now[0])
    pump.step(0.0)
    now[0] += 5 * SECOND
    pump.step(0.0)
    assert engine.now_ns == 1_790_000_004 * SECOND
