"""Flows are told once within a second too, so that a recording never lacks a whole one."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from panotui.engine.engine import Engine
from panotui.meter.meter import Meter
from panotui.model import SECOND, MeterSettings, Site
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from panotui.runtime import live_meter, live_meters, pipe
from panotui.runtime.live_meter import LivePump, Outbox
from panotui.runtime.live_meters import LiveMeters
from tests.runtime.test_live_meters import (
    INTERFACES,
    START,
    Pipe,
    Process,
    Ring,
    batches,
    told,
    wire,
)
from tests.views.records import flow, snapshot

__all__ = ["wire"]
NAME = "lab/udp-h264.pcap"


def test_what_is_told_within_a_second_changes_nothing_of_what_the_second_tells() -> None:
    asked, left_alone = Meter(MeterSettings(), 0), Meter(MeterSettings(), 0)
    early = 0
    at = 0
    for number, batch in enumerate(batches(NAME, 300)):
        at = int(batch.time_ns[-1])
        for meter in (asked, left_alone):
            meter.update(batch)
        part = asked.so_far(at, 1_000)
        early += len(part.flows)
        assert not part.messages
        if number % 4 == 3:
            first, second = asked.tick(at), left_alone.tick(at)
            assert first.flows.tobytes() == second.flows.tobytes()
            assert first.streams.tobytes() == second.streams.tobytes()
            assert first.counters == second.counters
    assert early > 4
    assert len(asked.so_far(at, 1).flows) <= 1


def test_a_second_is_told_of_early_once_and_only_when_packets_came(wire: Pipe) -> None:
    (first, *_) = batches(NAME, 1)
    outbox = Outbox(wire.start)
    pump = LivePump(
        [Ring(NAME)],  # type: ignore[list-item]
        MeterSettings(), outbox, index=3, interfaces=INTERFACES, places=[1], parts=True,
    )  # fmt: skip
    second = int(first.time_ns[0]) // SECOND * SECOND

    def look_at(now_ns: int) -> None:
        pump.clock = lambda: now_ns
        pump._tell_part()
        assert outbox.wait(60)

    look_at(second + SECOND // 2)
    pump.feed(first)
    look_at(second + live_meter.PART_NS - 1)
    look_at(second + live_meter.PART_NS)
    look_at(second + SECOND // 2)
    pump._tick(second + SECOND)
    pump._splitter.ticked_ns = second + SECOND
    look_at(second + SECOND + SECOND // 2)  # in which nothing came
    os.close(wire.start)
    news = [told(frame) for frame in wire.frames()]
    parts = [one for one in news if one.part]
    assert len(parts) == 1
    assert len(parts[0].delta.flows)
    assert second < parts[0].delta.time_ns < second + SECOND


def meter_that_told(process: Process, packets: int, at_ns: int) -> None:
    """It has metered `packets` of a capture, and tells of their flows within a second."""
    for batch in batches(NAME, packets):
        process._meter.update(batch)
        break
    state = pipe.SourceState(counters=pipe.SourceCounters())
    part = pipe.News(0, process.order.meter, process._meter.so_far(at_ns, 100), state, part=True)
    process.waiting.append(live_meters._said.decode(pipe.encode_news(part)))


def test_what_a_meter_told_before_it_died_is_known_and_nothing_else_hears_of_parts() -> None:
    process = Process(0, "eth0")
    meters = LiveMeters([process])  # type: ignore[list-item]
    meters.opened(["eth0"])
    engine = Engine(Site())
    meters.begin(engine)
    heard: list[int] = []
    meters.on_part.append(lambda delta: heard.append(len(delta.flows)))
    process.tell(1)
    meter_that_told(process, 40, START + SECOND + SECOND // 2)
    meters.step()
    assert heard
    assert heard[0] > 0
    assert engine.now_ns == START + SECOND
    assert list(engine.flow_records()) == []
    early = list(engine.flows.told(0, process._meter.so_far(0, 100).flows, engine.now_ns))
    assert {f.verdict for f in early} == {"pending"}

    process.ended = True
    meters.finish()
    known = list(engine.flow_records())
    assert sum(f.packets_out + f.packets_in for f in known) == sum(
        f.packets_out + f.packets_in for f in early
    )
    # told again, they keep what is known of them by now
    again = list(engine.flows.told(0, process._meter.so_far(0, 100).flows, engine.now_ns))
    assert {(f.id, f.verdict, f.packets_out) for f in again} == {
        (f.id, f.verdict, f.packets_out) for f in known
    }


def test_flows_of_a_part_are_on_disk_until_their_second_says_more(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "x.panotui")
    one = flow(1)

    def counted(packets: int, at_ns: int) -> None:
        nonlocal one
        one = msgspec.structs.replace(one, packets_out=packets, last_time_ns=at_ns)

    recorder.observe_part(START + 1, [one])  # before any second: nothing begins with it
    counted(10, START + SECOND)
    recorder.observe(snapshot(1), [one])
    counted(15, START + SECOND + SECOND // 2)
    recorder.observe_part(one.last_time_ns, [one])
    recorder.flush()
    with_part = Recording(recorder.folder)
    (read,) = with_part.all_flows()
    assert (read.packets_out, with_part.end_ns) == (15, START + SECOND + SECOND // 2)
    assert [f.packets_out for f in with_part.flows_at(with_part.end_ns)] == [15]
    with_part.close()
    counted(20, START + 2 * SECOND)
    recorder.observe(snapshot(2), [one])
    recorder.flush()
    whole = Recording(recorder.folder)
    assert [f.packets_out for f in whole.all_flows()] == [20]
    whole.close()
    recorder.close()
