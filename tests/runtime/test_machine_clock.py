"""The machine's clock is set, the machine sleeps, a meter is stopped: said, and nobody accused.

The packets are a capture's, come at their times by clocks that the test holds. No test waits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from panotui.engine.engine import Engine
from panotui.engine.settings import EngineSettings
from panotui.model import SECOND, PacketBatch, Site, SourceCounters
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from panotui.runtime.pump import Pump
from panotui.sources import open_file
from panotui.sources.live.timekeeper import SteadySource, Timekeeper
from tests.captures import capture

NAME = "lab/udp-h264.pcap"
HOUR, DAY = 3_600 * SECOND, 86_400 * SECOND
LOOK_NS = SECOND // 10  # how often the ring is read


class Machine:
    """Its clocks, and a ring with a capture in it; what happens to them, happens at `at_ns`."""

    present = True
    ended = False
    name = "eth0"

    def __init__(self) -> None:
        source = open_file(str(capture(NAME)))
        batches = []
        while not source.ended:
            batch = source.read(0.0)
            if batch is not None and len(batch):
                batches.append(batch)
        (self.whole,) = batches
        self.interfaces = list(self.whole.interfaces)
        self.counters = SourceCounters(format="live")
        self.first_ns, self.last_ns = int(self.whole.time_ns[0]), int(self.whole.time_ns[-1])
        self.true_ns = self.first_ns  # the time that it is
        self.set_ns: list[tuple[int, int]] = []  # (from when, the clock is ahead by)
        self.asleep: tuple[int, int] | None = None
        self.stopped: tuple[int, int, int] | None = None  # from, until; the ring holds until
        self._row = 0

    def ahead(self, at_ns: int) -> int:
        return next((by for since, by in reversed(self.set_ns) if at_ns >= since), 0)

    def wall(self) -> int:
        return self.true_ns + self.ahead(self.true_ns)

    def steady(self) -> int:
        return self.true_ns - self.first_ns + 7 * SECOND

    def awake(self) -> int:
        if self.asleep is not None and self.true_ns >= self.asleep[1]:
            return self.steady() - (self.asleep[1] - self.asleep[0])
        return self.steady()

    def keeper(self) -> Timekeeper:
        return Timekeeper(wall=self.wall, steady=self.steady, awake=self.awake)

    def read(self, timeout_s: float) -> PacketBatch | None:
        """What has come since the last time, stamped as the kernel does."""
        before = self.true_ns
        self.true_ns += LOOK_NS
        for away in (self.asleep, self.stopped):
            if away is not None and away[0] <= before < away[1]:
                self.true_ns = away[1]
        true = self.whole.time_ns
        end = int(np.searchsorted(true, self.true_ns, "right"))
        rows = np.arange(self._row, end)
        self._row = end
        lost = np.zeros(len(rows), bool)
        if self.asleep is not None:
            lost |= (true[rows] >= self.asleep[0]) & (true[rows] < self.asleep[1])
            # nobody counts what comes while the machine sleeps
        if self.stopped is not None:
            _, until, held = self.stopped
            missed = (true[rows] >= held) & (true[rows] < until)
            self.counters.dropped_ring += int(missed.sum())
            lost |= missed
        rows = rows[~lost]
        self.ended = self._row >= len(true)
        if not len(rows):
            return None
        stamps = np.array([t + self.ahead(t) for t in true[rows].tolist()], np.int64)
        whole = self.whole
        return PacketBatch(
            whole.data, whole.offset[rows], whole.captured[rows], whole.wire_length[rows], stamps,
            whole.interface[rows], whole.interfaces, self.counters.packets + 1,
        )  # fmt: skip

    def close(self) -> None:
        pass


def watched(machine: Machine, folder: Path) -> tuple[Engine, Recording]:
    """All of it, recorded."""
    keeper = machine.keeper()
    engine = Engine(Site(), EngineSettings(live=True))
    pump = Pump([SteadySource(machine, keeper)], engine, live=True, clock=keeper)
    recorder = Recorder(folder, lossless=True, wall_clock=machine.wall)
    pump.on_tick.append(
        lambda _: recorder.observe(
            engine.snapshot(), engine.drain_changed_flows(), engine.drain_events()
        )
    )
    pump.run(0.0)
    recorder.observe(engine.snapshot(), [], engine.drain_events())
    recorder.close()
    return engine, Recording(folder)


def texts(engine: Engine) -> list[str]:
    return [event.text for event in engine.events.newest(1_000)]


def accused(engine: Engine) -> list[str]:
    snapshot = engine.snapshot()
    said = [t for t in texts(engine) if "stood still" in t or "restarted" in t or "frozen" in t]
    said += [str(f) for stream in snapshot.streams for f in stream.freezes]
    return said + [f.id for f in snapshot.findings if f.id.startswith(("stream-", "camera-"))]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], int]:
    """(what is said of the cameras when nothing happens, seconds recorded)."""
    engine, recording = watched(Machine(), tmp_path_factory.mktemp("calm") / "a.panotui")
    assert not [t for t in texts(engine) if "clock" in t or "slept" in t]
    return accused(engine), len(seconds(recording))


def seconds(recording: Recording) -> list[int]:
    return [t for (t,) in recording._rows("SELECT time_ns FROM snapshot ORDER BY rowid")]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([(5, HOUR)], ["ahead by 1 h"]),
        ([(5, HOUR), (9, 0)], ["ahead by 1 h", "back by 1 h"]),
        ([(5, -2 * HOUR)], ["back by 2 h"]),
        ([(5, 40 * DAY)], ["ahead by 40 d"]),
        ([(5, -SECOND)], ["back by 1.0 s"]),  # a leap second
        ([(5, 10 * SECOND)], ["ahead by 10.0 s"]),
    ],
)  # fmt: skip
def test_a_clock_that_is_set_is_said_and_packet_time_goes_on(
    steps: list[tuple[int, int]], words: list[str], calm: tuple[list[str], int], tmp_path: Path
) -> None:
    machine = Machine()
    machine.set_ns = [(machine.first_ns + s * SECOND + 30_000_000, by) for s, by in steps]
    engine, recording = watched(machine, tmp_path / "a.panotui")
    said = [t for t in texts(engine) if t.startswith("The clock of this machine was set")]
    assert len(said) == len(words)
    assert all(word in text for word, text in zip(words, said, strict=True))
    assert accused(engine) == calm[0]
    times = seconds(recording)
    assert times == sorted(set(times))  # evenly on, none twice
    assert len(times) == calm[1]  # and none lost
    assert times[-1] <= machine.last_ns + SECOND
    assert recording.gaps() == []
    assert recording.final().time_ns == times[-1]
    # what the clock said at a time is kept
    assert [by for _, by in recording.clock_steps()] == pytest.approx(
        [by for _, by in steps], abs=SECOND // 10
    )
    assert machine.wall() == pytest.approx(
        engine.snapshot().time_ns + engine.snapshot().source.clock_stepped_ns, abs=2 * SECOND
    )


def test_a_machine_that_slept_leaves_a_gap_and_no_frozen_camera(
    calm: tuple[list[str], int], tmp_path: Path
) -> None:
    machine = Machine()
    fell = machine.first_ns + 5 * SECOND
    true = machine.whole.time_ns.copy()
    later = true >= fell
    true[later] += HOUR  # cameras go on afterwards: an hour of their packets was never here
    machine.whole = replace(machine.whole, time_ns=true)
    machine.asleep = (fell, fell + HOUR)
    engine, recording = watched(machine, tmp_path / "a.panotui")
    assert "This machine slept for 1 h: nothing was captured meanwhile" in texts(engine)
    # the cameras' clocks in the capture know nothing of the hour
    assert [said for said in accused(engine) if said != "camera-clock"] == calm[0]
    ((start, end),) = recording.gaps()
    assert abs(start - fell) <= 2 * SECOND
    assert abs(end - fell - HOUR) <= 2 * SECOND
    assert "." in recording.band("stream_sample", 60)
    assert recording.final().time_ns > fell + HOUR


def test_a_meter_that_was_stopped_is_this_tools_fault_alone(
    calm: tuple[list[str], int], tmp_path: Path
) -> None:
    machine = Machine()
    length = machine.last_ns - machine.first_ns
    since = machine.first_ns + length // 4
    until = since + length // 2
    machine.stopped = (since, until, since + SECOND // 2)  # what the ring holds
    engine, _ = watched(machine, tmp_path / "a.panotui")
    missed = machine.counters.dropped_ring
    assert missed > 100
    assert until - since > 4 * SECOND
    assert any(f"{missed} packets were missed" in text for text in texts(engine))
    assert accused(engine) == calm[0]
    for stream in engine.snapshot().streams:
        assert not stream.restarts
        # nothing is laid on the way or the camera
        assert stream.capture_lost >= stream.lost > 0
        assert not stream.camera_dropped


def test_a_camera_that_stops_is_frozen_all_the_same(tmp_path: Path) -> None:
    machine = Machine()
    dead = machine.first_ns + 6 * SECOND
    true = machine.whole.time_ns.copy()
    true[true >= dead] += 30 * SECOND
    machine.whole = replace(machine.whole, time_ns=true)
    engine, _ = watched(machine, tmp_path / "a.panotui")
    assert any(freeze.seconds > 20 for s in engine.snapshot().streams for freeze in s.freezes)


def test_processes_that_share_a_beginning_share_their_times() -> None:
    machine = Machine()
    first = machine.keeper()
    machine.true_ns += 3 * SECOND
    machine.set_ns = [(machine.first_ns + SECOND, HOUR)]  # set between the two
    second = Timekeeper(
        first.began_ns, wall=machine.wall, steady=machine.steady, awake=machine.awake
    )
    assert first() == second() == machine.true_ns
    second.look()
    assert second.stepped_ns == HOUR
