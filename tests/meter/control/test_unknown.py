"""The first look passes over payloads that are nothing known as reading each of them would."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.control import unknown
from panotui.meter.lanes import LANE_BULK, LANE_HANDSHAKE
from panotui.model import APPS, BannerMessage, NotTls, TlsClientHello
from panotui.wire import banner
from tests.meter.control.test_established import DATA, PORTS, several_at_once
from tests.meter.control.test_tls import hello_record, records
from tests.meter.packets_in import Conversation
from tests.meter.through_lane import end, run_frames

NOISE = (
    b"\x02\x20\x30\x40\x50\x60", b"\x99",
    b"\x07abc$", b"\x08$\x01\x00", b"\xe3\x00\x00\x01\x22",
    bytes(range(128, 250)), b"\x01" * 90 + b"$\x05\x00\x04\x80\x60", b"Zz", b"q\r\n",
    b"\x09" * 1400,
)  # fmt: skip
KNOWN = (
    DATA, records(hello_record()), b"GET / HTTP/1.1\r\n\r\n", b"G", b"SSH-2.0-x\r\n",
    b"220 ftp\r\n",
    b"\x00\x04\x80\x60ab$\x00\x00\x04\x80abc$\x01\x00\x02\x80a", b"ehlo me\r\n", b"Ehlo me\r\n",
    b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", b"\x10", b"\x14\x03", b"\xff\xfb\x01",
    b"$\x00\x00\x04\x80abc$\x00\x00\x04\x80abc", b"\x00\x00\x00\x20\xfeSMB", b"",
    b"\x03\x00\x00\x0b",
    b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
)  # fmt: skip


def conversations(seed: int, flows: int, turns: int) -> list[bytes]:
    """Frames of several connections, some of theirs repeated, late or lost, all of them mingled."""
    chance = random.Random(seed)
    talks: list[list[bytes]] = []
    for number in range(flows):
        talk = Conversation(chance.choice((*PORTS, 53, 3389)), 40_000 + number)
        if chance.random() < 0.5:
            talk.start()
        strange = chance.random() < 0.4
        for _ in range(chance.randint(1, turns)):
            said = NOISE + KNOWN if strange and chance.random() < 0.4 else NOISE
            talk.say(chance.random() < 0.5, chance.choice(said))
        frames = talk.frames
        if chance.random() < 0.3 and len(frames) > 2:
            at = chance.randrange(1, len(frames))
            kind = chance.randrange(3)
            if kind == 0:
                frames.insert(at, frames[at - 1])
            elif kind == 1:
                frames[at - 1], frames[at] = frames[at], frames[at - 1]
            else:
                del frames[at]
        talks.append(frames)
    turn = [number for number, frames in enumerate(talks) for _ in frames]
    chance.shuffle(turn)
    waiting = [iter(frames) for frames in talks]
    return [next(waiting[number]) for number in turn]


@given(st.integers(0, 2**32), st.integers(1, 25), st.lists(st.integers(1, 60), min_size=1))
@settings(max_examples=120, deadline=None)
def test_many_at_once_tell_what_one_at_a_time_tells(
    seed: int, flows: int, sizes: list[int]
) -> None:
    frames = conversations(seed, flows, 7)
    if not frames:
        return
    slow, quick = run_frames(frames), several_at_once(frames, sizes)
    assert quick.app_of == slow.app_of
    end(slow)
    end(quick)
    key = lambda message: (message.packet, repr(message))  # noqa: E731
    assert sorted(quick.messages, key=key) == sorted(slow.messages, key=key)
    assert quick.lane.collected.malformed == slow.lane.collected.malformed
    assert quick.lane.reassembly_skipped == slow.lane.reassembly_skipped


@given(st.lists(st.sampled_from([*NOISE, *KNOWN]) | st.binary(min_size=1, max_size=70), min_size=1))
@settings(max_examples=200, deadline=None)
def test_nothing_is_passed_over_that_is_recognised(payloads: list[bytes]) -> None:
    some = [payload for payload in payloads if payload]
    if not some:
        return
    block = np.zeros((len(some), 64), np.uint8)
    for row, payload in enumerate(some):
        block[row] = 0xEE
        block[row, : len(payload[:64])] = np.frombuffer(payload[:64], np.uint8)
    length = np.array([len(payload) for payload in some])
    told = unknown._begins_something(block, length).tolist()
    for payload, something in zip(some, told, strict=True):
        if not something:
            for after in (b"", b"abcdefgh", bytes(40), b"\x00\x04MQTT", b" / HTTP/1.1\r\n"):
                for from_client in (False, True):
                    seen = banner.recognise(payload + after, 21, from_client)
                    assert seen in (None, "rtsp")
                    assert seen is None or payload[0] == 0x24  # frames are looked for elsewhere


def test_flows_of_unknown_content_are_passed_over_without_being_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talks = [Conversation(9000 + number % 2, 40_000 + number) for number in range(40)]
    for number, talk in enumerate(talks):
        if number % 4 < 2:
            talk.start()
        for turn in range(4):
            talk.say(turn % 2 == 0, bytes((2, 128 | number, turn)))
    monkeypatch.setattr("panotui.meter.control.openings.Opening", None)  # nobody may begin to read
    frames = [frame for turn in zip(*(t.frames[-4:] for t in talks), strict=True) for frame in turn]
    starts = [talk.frames[0] for talk in talks if len(talk.frames) > 4]
    for size in (40, 200):
        result = several_at_once(starts + frames, [size])
        assert set(result.lanes.values()) <= {LANE_BULK, LANE_HANDSHAKE}
        assert list(result.lanes.values()).count(LANE_BULK) >= 40
        apps = [APPS[app] for app in result.app_of.values()]
        assert apps.count("other") == 20  # of those whose beginning was seen it is told


def test_what_follows_unknown_bytes_is_read_all_the_same() -> None:
    talks = [Conversation(5432, 40_000 + number) for number in range(12)]
    for talk in talks:
        talk.start()
        talk.say(True, b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # PostgreSQL asks for TLS
        talk.say(False, b"\x53"[:1])
        talk.say(True, records(hello_record()))
    frames = [frame for turn in zip(*(t.frames for t in talks), strict=True) for frame in turn]
    for size in (12, 60):
        assert len(several_at_once(frames, [size]).of(TlsClientHello)) == 12


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown, "KEPT", 10)
    talks = [Conversation(443, 40_000 + number) for number in range(40)]
    for talk in talks:
        talk.start()
        talk.say(True, NOISE[0])
    frames = [frame for turn in zip(*(t.frames for t in talks), strict=True) for frame in turn]
    result = several_at_once(frames, [40])
    assert len(result.lane.openings._unknown._shown) == 10
    assert not result.of(NotTls)  # one payload proves nothing


def test_what_was_heard_before_a_greeting_is_part_of_what_was_said() -> None:
    talks = [Conversation(9000, 40_000 + number) for number in range(12)]
    for talk in talks:
        talk.say(True, b"ZzZz")
        talk.say(False, b"\xff\xfb\x01")  # telnet
        talk.say(True, b"root\r\n")
    frames = [frame for turn in zip(*(t.frames for t in talks), strict=True) for frame in turn]
    slow, quick = run_frames(frames), several_at_once(frames, [12])
    assert quick.of(BannerMessage) == slow.of(BannerMessage) != []
