"""Live meters in processes of their own: nobody waits for the engine, and no second is lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from panotui.engine.engine import Engine
from panotui.errors import PanotuiError
from panotui.meter.meter import Meter
from panotui.model import (
    SECOND,
    Interface,
    MeterSettings,
    PacketBatch,
    Site,
    SourceCounters,
)
from panotui.runtime import live_meter, live_meters, pipe
from panotui.runtime.live_meter import LivePump, Outbox
from panotui.runtime.live_meters import LiveMeters
from panotui.runtime.packet_keeper import PacketKeeper
from panotui.sources import open_file
from tests.captures import capture

START = 1_790_000_000 * SECOND
INTERFACES = (Interface("eth0", 1), Interface("eth1", 1))


def batches(name: str, rows: int) -> Iterator[PacketBatch]:
    source = open_file(str(capture(name)))
    while not source.ended:
        batch = source.read(0.0)
        if batch is not None:
            yield from (
                batch.slice(i, min(i + rows, len(batch))) for i in range(0, len(batch), rows)
            )
    source.close()


class Ring:
    """A ring with the packets of a capture in it."""

    name = "eth1"
    present = True
    ended = False

    def __init__(self, name: str) -> None:
        self._batches = batches(name, 200)
        self.interfaces = [Interface("eth1", 1)]
        self.counters = SourceCounters(format="live")

    def read(self, timeout_s: float) -> PacketBatch | None:
        batch = next(self._batches, None)
        if batch is not None:
            self.counters.packets += len(batch)
        return batch


class Pipe:
    """A pipe of which one end is read by a test, as slowly as it likes."""

    def __init__(self) -> None:
        self.end, self.start = os.pipe()

    def frames(self) -> Iterator[bytes]:
        with os.fdopen(self.end, "rb", closefd=False) as stream:
            while (frame := pipe.read_frame(stream)) is not None:
                yield frame


@pytest.fixture
def wire() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    for end in (made.end, made.start):
        try:
            os.close(end)
        except OSError:
            pass


def told(frame: bytes) -> pipe.News:
    message = live_meters._said.decode(frame)
    assert isinstance(message, pipe.Told)
    return pipe.news_of(message, INTERFACES)


def live_pump(ring: Ring, outbox: Outbox) -> LivePump:
    pump = LivePump(
        [ring],  # type: ignore[list-item]
        MeterSettings(), outbox, index=3, interfaces=INTERFACES, places=[1],
    )  # fmt: skip
    pump.clock = lambda: 0  # no idle ticks: the capture is of another year
    return pump


def test_an_engine_that_reads_nothing_makes_no_meter_wait(
    wire: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_meter, "POSTPONED_MOST", 1_000)
    ring = Ring("lab/udp-h264.pcap")
    pump = live_pump(ring, Outbox(wire.start))
    pump._outbox.put(bytes(4 << 20))  # more than the pipe holds: the engine is busy
    while pump.time_ns == 0 or ring.counters.packets < 2_000:
        before = ring.counters.packets
        pump.step()
        if ring.counters.packets == before:
            break
    packets = ring.counters.packets
    assert packets > 1_000  # all were metered
    assert pump.postponed > 0

    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.extend(wire.frames()))
    reader.start()
    pump.finish()
    assert pump._outbox.wait(60)
    os.close(wire.start)
    reader.join(10)
    assert len(read[0]) == 4 << 20
    (last,) = [one for one in map(told, read[1:]) if one.tick]
    # nothing of the seconds in between is missing
    assert last.source.packets == {"eth1": packets}
    whole = Meter(MeterSettings(), 3)
    seconds = 0
    for batch in batches("lab/udp-h264.pcap", 200):
        whole.update(batch)
    stream = max(whole.tick(pump.time_ns).streams, key=lambda row: int(row["packets"]))
    every = [one.delta for one in map(told, read[1:])]
    counted = max(
        (row for delta in every for row in delta.streams), key=lambda row: int(row["packets"])
    )
    assert int(counted["packets"]) == int(stream["packets"])
    assert int(counted["interface"]) == 1
    for delta in every:
        seconds += int(delta.stream_seconds["packets"][
            delta.stream_seconds["stream"] == counted["id"]].sum())  # fmt: skip
    assert seconds == int(stream["packets"])


def test_an_outbox_whose_reader_has_gone_is_broken_and_never_waits(wire: Pipe) -> None:
    outbox = Outbox(wire.start)
    os.close(wire.end)
    outbox.put(b"nobody reads this")
    assert outbox.wait(60)
    assert outbox.broken


class Process:
    """What a meter's process says, said by a test."""

    def __init__(self, meter: int, name: str) -> None:
        self.order = pipe.LiveOrder(
            meter=meter, names=(name,), ring_bytes=0, snap_bulk=0, promiscuous=False,
            keeping=None, settings=MeterSettings(),
        )  # fmt: skip
        self.ended = False
        self.fileno = -1
        self.waiting: list[object] = []
        self.asked: list[object] = []
        self._meter = Meter(MeterSettings(), meter)

    def opened(self) -> tuple[Interface, ...]:
        return (Interface(self.order.names[0], 1),)

    def send(self, request: object) -> None:
        self.asked.append(request)

    def said(self) -> list[object]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def failure(self) -> PanotuiError:
        return PanotuiError("capture", "its meter was killed by signal 9")

    def tell(self, second: int, packets: int = 0, gone: tuple[str, ...] = ()) -> None:
        delta = self._meter.tick(START + second * SECOND)
        state = pipe.SourceState(
            counters=SourceCounters(packets=packets), packets={self.order.names[0]: packets},
            gone=gone,
        )  # fmt: skip
        one = pipe.News(0, self.order.meter, delta, state)
        self.waiting.append(live_meters._said.decode(pipe.encode_news(one)))


@pytest.fixture
def two() -> tuple[LiveMeters, Process, Process, list[float]]:
    left, right = Process(0, "eth0"), Process(1, "eth1")
    now = [0.0]
    meters = LiveMeters([left, right], clock=lambda: now[0])  # type: ignore[list-item]
    meters.opened(["eth0", "eth1"])
    meters.begin(Engine(Site()))
    return meters, left, right, now


Two = tuple[LiveMeters, Process, Process, list[float]]


def test_a_second_is_told_when_all_meters_have_told_theirs(two: Two) -> None:
    meters, left, right, _ = two
    ticks: list[int] = []
    meters.on_tick.append(lambda now_ns: ticks.append((now_ns - START) // SECOND))
    left.tell(1, 10)
    left.tell(2, 20)
    meters.step()
    assert ticks == []
    right.tell(1, 5)
    meters.step()
    assert ticks == [1]
    assert meters.engine.snapshot().source.interfaces == (("eth0", 10, 0), ("eth1", 5, 0))
    right.tell(3, 7)  # it was behind, and tells of two seconds at once
    left.tell(3, 30)
    meters.step()
    assert ticks == [1, 2, 3]
    assert meters.engine.snapshot().source.packets == 37


def test_a_meter_that_is_late_is_waited_for_a_second_only(two: Two) -> None:
    meters, left, right, now = two
    ticks: list[int] = []
    meters.on_tick.append(lambda now_ns: ticks.append((now_ns - START) // SECOND))
    left.tell(1, 10)
    meters.step()
    now[0] += live_meters.LATE_S + 0.1
    meters.step()
    assert ticks == [1]
    right.tell(1, 5)
    left.tell(2, 20)
    meters.step()
    assert ticks == [1, 1]
    assert meters.engine.snapshot().source.packets == 25 - 10
    assert meters.engine.now_ns == START + SECOND


def test_a_meter_that_has_died_is_a_failure_of_the_program(two: Two) -> None:
    meters, left, _, _ = two
    left.ended = True
    with pytest.raises(PanotuiError, match="killed by signal 9"):
        meters.step()


def test_what_a_meter_fails_of_keeps_its_exit_code(two: Two) -> None:
    meters, left, _, _ = two
    left.waiting.append(pipe.Failed(what="eth0", why="gone", remedy="", exit_code=5))
    with pytest.raises(PanotuiError, match="eth0: gone") as caught:
        meters.step()
    assert caught.value.exit_code == 5


def test_an_interface_that_is_gone_is_known_until_it_is_back(two: Two) -> None:
    meters, left, right, _ = two
    for second, gone in ((1, ("eth1",)), (2, ())):
        left.tell(second)
        right.tell(second, gone=gone)
        meters.step()
        assert meters.gone() == list(gone)


def test_evidence_of_two_meters_is_one_answer_by_time(two: Two) -> None:
    meters, left, right, _ = two
    left.fileno = right.fileno = 0

    def rows(name: str, times: list[int]) -> pipe.PacketRows:
        n = len(times)
        return pipe.PacketRows(
            data=b"".join(bytes([t]) * (t + 1) for t in times),
            length=np.array([t + 1 for t in times], np.int64).tobytes(),
            wire_length=np.full(n, 99, np.int64).tobytes(),
            time_ns=np.array(times, np.int64).tobytes(),
            interface=np.zeros(n, np.int16).tobytes(),
            vlan_tci=np.full(n, -1, np.int32).tobytes(),
            number=np.array(times, np.int64).tobytes(),
            why=bytes(n),
            names=((name, 1),),
        )

    meters.ask(pipe.Ask(number=4, hosts=("10.0.0.1",)))
    assert left.asked[-1] == right.asked[-1] == pipe.Ask(number=4, hosts=("10.0.0.1",))
    empty = pipe.PacketRows()
    left.waiting.append(pipe.Answer(number=4, context=empty, packets=rows("eth0", [1, 4])))
    meters.step()
    assert meters.answers() == []
    right.waiting.append(pipe.Answer(number=4, context=empty, packets=rows("eth1", [2, 3])))
    meters.step()
    (answer,) = meters.answers()
    packets = answer.packets
    assert np.frombuffer(packets.time_ns, np.int64).tolist() == [1, 2, 3, 4]
    names = [packets.names[i][0] for i in np.frombuffer(packets.interface, np.int16).tolist()]
    assert names == ["eth0", "eth1", "eth1", "eth0"]
    assert packets.data == b"".join(bytes([t]) * (t + 1) for t in (1, 2, 3, 4))
    assert packets.number == packets.time_ns
    assert packets.why == bytes(4)


def test_control_packets_that_nobody_fetches_are_bounded_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("panotui.runtime.packet_keeper.FRESH_BYTES", 2_000)
    keeper, meter = PacketKeeper(), Meter(MeterSettings(), 0)
    for batch in batches("lab/peers.pcap", 20):
        meter.update(batch)
        keeper.tap(batch, meter)
    rows = keeper.control()
    assert keeper.control_skipped > 0
    assert len(rows.data) <= 2_000
    assert keeper.control().data == b""


def test_frames_come_out_whole_whatever_the_pipe_delivers() -> None:
    contents = [bytes([3]) * 3, b"", b"\x2c" * 300]
    stream = b"".join(len(one).to_bytes(4, "little") + one for one in contents)
    for size in (1, 2, 7, 1000):
        buffer, out = bytearray(), []
        for start in range(0, len(stream), size):
            buffer += stream[start : start + size]
            found, buffer = pipe.frames(buffer)
            out += found
        assert out == contents
        assert not buffer
    with pytest.raises(ValueError, match="frame of"):
        pipe.frames(bytearray(b"\xff\xff\xff\xff"))


def test_a_live_meter_whose_asker_has_gone_ends() -> None:
    asked, told_end = os.pipe(), os.pipe()
    os.close(asked[1])
    with os.fdopen(asked[0], "rb") as requests, os.fdopen(told_end[1], "wb") as out:
        live_meter.serve(requests, out)
    assert os.read(told_end[0], 10) == b""
    os.close(told_end[0])


def test_a_meter_that_tells_nothing_is_named_once_and_its_streams_are_not_judged(
    two: tuple[LiveMeters, Process, Process, list[float]],
) -> None:
    meters, left, right, now = two
    engine = meters.engine
    for second in range(40):
        left.tell(second)
        if not 3 < second < 33:
            right.tell(second)
        meters.step()
        now[0] += live_meters.LATE_S + 0.1
        meters.step()
        if 3 < second < 33:  # what the right one saw last, may go on unseen
            last = START + 3 * SECOND
            known = engine.blindness.last_seen(right.order.meter, last)
            assert known == (last if second < 6 else START + second * SECOND)
            assert engine.blindness.last_seen(left.order.meter, last) == last
    late = [e.text for e in engine.events.newest(100) if "tells nothing" in e.text]
    assert late == ["The meter of eth1 tells nothing: what passes there is not known until it does"]
    assert engine.now_ns == START + 39 * SECOND
    assert engine.blindness.unsettled(engine.now_ns)
    assert not engine.blindness.unsettled(engine.now_ns + 60 * SECOND)
