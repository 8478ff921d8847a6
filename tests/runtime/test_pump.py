"""The pump: ticks at whole seconds, gaps that cost nothing, one answer in every arrangement."""

from __future__ import annotations

import numpy as np
import pytest

from panotui.engine.engine import Engine
from panotui.model import SECOND, Interface, PacketBatch, Site, SourceCounters
from panotui.report.analysis import analysis
from panotui.runtime.pump import Pump
from panotui.runtime.seconds import SecondSplitter, gap_ticks
from panotui.sources import open_file
from tests.captures import capture


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
    path = str(capture(name))
    answers = []
    for size in (1 << 20, 100, 7):
        engine = Engine(Site())
        source = SmallBatches(path, size)
        Pump([source], engine, files=[path]).run(0.0)
        source.close()
        answers.append(analysis(engine))
    assert answers[1] == answers[0]
    assert answers[2] == answers[0]


class Missing(SmallBatches):
    """Of a capture's packets some are missed, as the counter named says."""

    def __init__(self, path: str, counter: str) -> None:
        super().__init__(path, 200)
        self._counter = counter
        self._missed = False

    def read(self, timeout_s: float) -> PacketBatch | None:
        batch = super().read(timeout_s)
        if batch is None or self._missed or batch.first_number < 800:
            return batch
        self._missed = True
        if self._counter:
            self.counters = SourceCounters(**{self._counter: 30})
        return batch.slice(30, len(batch))


@pytest.mark.parametrize("counter", ["dropped_ring", "dropped_interface", ""])
def test_what_this_tool_missed_is_no_loss_of_the_network(counter: str) -> None:
    path = str(capture("lab/udp-h264.pcap"))
    source = Missing(path, counter)
    engine = Engine(Site())
    Pump([source], engine, files=[path]).run(0.0)
    source.close()
    (stream,) = [s for s in engine.snapshot().streams if s.codec == "H264"]
    found = {f.id for f in engine.snapshot().findings}
    assert stream.lost >= 25
    assert stream.uncertain == bool(counter)
    assert stream.capture_lost == (stream.lost if counter else 0)
    assert ("stream-loss" in found) == (not counter)


def test_taps_and_ticks_are_called_and_the_source_is_counted() -> None:
    path = str(capture("lab/faults.pcap"))
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


def test_packets_at_time_zero_begin_the_second_zero() -> None:
    splitter = SecondSplitter()
    parts = list(splitter.parts(batch([0, 5, SECOND + 1])))
    assert [len(part) for part, _ in parts] == [2, 1]
    assert [due.tolist() for _, due in parts] == [[], [SECOND]]


@pytest.mark.parametrize("size", [1, 3, 1000, 10_000])
def test_ticks_go_on_when_the_clock_is_set_back_by_hours(size: int) -> None:
    start, hour = 500_000 * SECOND, 3600 * SECOND
    times = [start + i * SECOND // 100 for i in range(2000)]
    times += [start - hour + i * SECOND // 100 for i in range(2000)]
    splitter = SecondSplitter()
    ticks: list[int] = []
    for at in range(0, len(times), size):
        for _, due in splitter.parts(batch(times[at : at + size])):
            ticks += due.tolist()
    assert ticks == [
        *range(start + SECOND, start + 20 * SECOND, SECOND),
        *range(start - hour + SECOND, start - hour + 20 * SECOND, SECOND),
    ]


def test_two_clocks_that_take_turns_cost_few_ticks() -> None:
    """Every packet an hour off the one before: the clock is set back ever more seldom."""
    times = [(500_000 + 3600 * (i % 2)) * SECOND + i for i in range(200_000)]
    splitter = SecondSplitter()
    ticks = sum(len(due) for _, due in splitter.parts(batch(times)))
    assert ticks < 10 * 130


@pytest.mark.parametrize("size", [1, 3, 1000, 10_000])
def test_ticks_go_on_when_the_clock_is_set_back_by_seconds(size: int) -> None:
    """Once so many packets in a row are late, whatever the batches."""
    start = 500_000 * SECOND
    times = [start + i * SECOND // 100 for i in range(2000)]
    times += [start + 10 * SECOND + i * SECOND // 100 for i in range(2000)]
    splitter = SecondSplitter()
    ticks: list[int] = []
    for at in range(0, len(times), size):
        for _, due in splitter.parts(batch(times[at : at + size])):
            ticks += due.tolist()
    assert ticks == [
        *range(start + SECOND, start + 20 * SECOND, SECOND),
        *range(start + 11 * SECOND, start + 30 * SECOND, SECOND),
    ]


def test_a_few_late_packets_set_no_clock_back() -> None:
    start = 500_000 * SECOND
    times = [start + i * SECOND // 100 for i in range(2000)]
    times[1500:1530] = [at - 5 * SECOND for at in times[1500:1530]]
    splitter = SecondSplitter()
    ticks = [at for _, due in splitter.parts(batch(times)) for at in due.tolist()]
    assert ticks == list(range(start + SECOND, start + 20 * SECOND, SECOND))
