"""The first look at many payloads settles flows of TLS data as reading each of them would."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.control import established
from panotui.meter.control.lane import ControlLane
from panotui.meter.lanes import LANE_BULK, LANE_HANDSHAKE
from panotui.model import MeterSettings, TlsFinished
from panotui.wire.decode import Decoder
from tests.meter.control.test_tls import hello_record, records
from tests.meter.packets_in import Conversation, batch_of
from tests.meter.through_lane import Flows, Run, end, run_frames

DATA = b"\x17\x03\x03\x00\x01Z"
SAID = (
    DATA, DATA, DATA, DATA, DATA, b"\x17\x03\x01\x00\x20" + bytes(32),
    DATA + DATA, b"\x17\x03\x03\x00\x20" + bytes(9), b"\x15\x03\x03\x00\x02\x01\x00",
    records(hello_record()), b"GET / HTTP/1.1\r\n\r\n", b"\x00\x01\x02\x03$abcdef",
    b"\x17\x03\x03\x00\x00", b"\x17\x09\x03\x00\x01Z",
)  # fmt: skip
PORTS = (443, 322, 554, 25, 9000)


def several_at_once(frames: list[bytes], sizes: list[int]) -> Run:
    """As the meter offers them: some packets of all flows whose lanes are still open."""
    result = Run(ControlLane(MeterSettings()), [], {}, Flows())
    packets = batch_of(frames)
    columns = Decoder().decode(packets)
    flow, client, start = result.flows.take(columns)
    tcp = np.flatnonzero((columns.protocol == 6) & (columns.payload_length > 0))
    at = 0
    while at < len(tcp):
        size = sizes[at % len(sizes)]
        some = tcp[at : at + size]
        at += size
        wanted = [
            row for row in some.tolist()
            if result.lanes.get((int(flow[row]), bool(client[row])), 0) <= LANE_HANDSHAKE
        ]  # fmt: skip
        rows = np.array(wanted, np.int64)
        lanes = result.lane.payloads(packets, columns, rows, flow[rows], client[rows], start[rows])
        for row, lane in zip(wanted, lanes.tolist(), strict=True):
            result.lanes[int(flow[row]), bool(client[row])] = lane
    result.messages += result.lane.drain()
    for number in result.flows.ids.values():
        result.app_of[number] = result.lane.app(number)
    return result


def conversations(seed: int, flows: int, turns: int) -> list[bytes]:
    """Frames of several connections, theirs in order and all of them mingled."""
    chance = random.Random(seed)
    talks: list[Conversation] = []
    for number in range(flows):
        talk = Conversation(chance.choice(PORTS), 40_000 + number)
        if chance.random() < 0.7:
            talk.start()
        strange = chance.random() < 0.5
        for _ in range(chance.randint(1, turns)):
            talk.say(chance.random() < 0.5, chance.choice(SAID) if strange else DATA)
        talks.append(talk)
    turn = [talk for talk in talks for _ in talk.frames]
    chance.shuffle(turn)
    waiting = {id(talk): iter(talk.frames) for talk in talks}
    return [next(waiting[id(talk)]) for talk in turn]


@given(st.integers(0, 2**32), st.integers(1, 25), st.lists(st.integers(1, 60), min_size=1))
@settings(max_examples=120, deadline=None)
def test_many_at_once_tell_what_one_at_a_time_tells(
    seed: int, flows: int, sizes: list[int]
) -> None:
    frames = conversations(seed, flows, 6)
    slow, quick = run_frames(frames), several_at_once(frames, sizes)
    assert quick.app_of == slow.app_of
    end(slow)
    end(quick)
    key = lambda message: (message.packet, repr(message))  # noqa: E731
    assert sorted(quick.messages, key=key) == sorted(slow.messages, key=key)
    assert quick.lane.collected.malformed == slow.lane.collected.malformed


def test_flows_under_way_are_settled_without_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    talks = [Conversation(443, 40_000 + i) for i in range(40)]
    for talk in talks:
        talk.say(True, DATA)
        talk.say(False, DATA)
    monkeypatch.setattr("panotui.meter.control.openings.Opening", None)  # nobody may begin to read
    result = several_at_once([frame for talk in talks for frame in talk.frames], [80])
    assert len(result.of(TlsFinished)) == 40
    assert set(result.lanes.values()) == {LANE_BULK}


def test_what_is_remembered_of_one_sided_flows_is_bounded_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(established, "HALF_SEEN_KEPT", 10)
    talks = [Conversation(443, 40_000 + i) for i in range(40)]
    for talk in talks:
        talk.say(True, DATA)
    result = several_at_once([talk.frames[0] for talk in talks], [40])
    assert result.lane.reassembly_skipped == 30
    assert len(set(result.app_of.values())) == 1  # all of them are TLS
