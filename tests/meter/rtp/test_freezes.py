"""Silences and pictures that stand, and those that are no freeze."""

from __future__ import annotations

import pytest

from panotui.model import (
    SECOND,
    StreamFreeze,
)
from tests.meter.rtp_packets import START_NS, one, records, run, steady, table
from tests.meter.rtp_reference import Packet


def test_frozen_sender_that_catches_up_is_a_backlog_of_that_length():
    packets = steady(4 * 25 * 10)
    for packet in packets[400:]:  # a sender stopped for 5 s sends what it had at once
        packet.time_ns = max(packet.time_ns, START_NS + 9 * SECOND)
    metrics = run(packets)
    row = one(metrics)
    assert row["freezes"] == 1
    assert row["freeze_longest_s"] == pytest.approx(5.04, abs=0.05)
    freeze = next(m for m in metrics.drain() if isinstance(m, StreamFreeze))
    assert freeze.kind == "backlog"
    assert row["stalls_500ms"] == 1
    assert row["stall_500ms_s"] == pytest.approx(4.5, abs=0.1)


def test_silent_camera_is_frozen_after_two_seconds_while_it_should_play():
    metrics = run(steady(4 * 25 * 5))
    metrics.state.watched[0] = True
    last = START_NS + 5 * SECOND
    metrics.tick(last + SECOND)
    assert not [m for m in metrics.drain() if isinstance(m, StreamFreeze)]
    metrics.tick(last + 3 * SECOND)
    told = [m for m in metrics.drain() if isinstance(m, StreamFreeze)]
    assert [m.kind for m in told] == ["silence"]
    assert one(metrics)["freezes"] == 1
    metrics.tick(last + 4 * SECOND)
    assert not metrics.drain()
    assert one(metrics)["freeze_longest_s"] > 3.9


def test_one_picture_in_three_seconds_is_not_a_freeze():
    packets = [Packet(i, i * 270_000, START_NS + i * 3 * SECOND, True, key=True) for i in range(20)]
    metrics = table(1)
    metrics.state.watched[0] = True
    for i, packet in enumerate(packets):
        metrics.measure(records([(0, packet)], i + 1))
        for second in (1, 2, 3):
            metrics.tick(packet.time_ns + second * SECOND)
    row = one(metrics)
    assert row["fps_nominal"] == pytest.approx(1 / 3, rel=1e-6)
    assert row["freezes"] == 0
    assert not metrics.drain()


@pytest.mark.parametrize("pictures", [1, 2, 3])
def test_silence_after_the_first_pictures_is_judged_once_their_interval_is_known(
    pictures: int,
) -> None:
    packets = steady(4 * 25 * 3)
    for packet in packets[4 * pictures :]:
        packet.time_ns += 6 * SECOND
    metrics = table(1)
    metrics.state.watched[0] = True
    metrics.measure(records([(0, p) for p in packets[: 4 * pictures]]))
    for second in range(1, 7):
        metrics.tick(START_NS + second * SECOND)
    metrics.measure(records([(0, p) for p in packets[4 * pictures :]], 4 * pictures + 1))
    metrics.tick(START_NS + 10 * SECOND)
    row = one(metrics)
    assert row["freezes"] == 1
    assert row["freeze_longest_s"] == pytest.approx(6.04, abs=0.01)
    told = [m for m in metrics.drain() if isinstance(m, StreamFreeze)][-1]
    assert (told.seconds, told.packet) == (row["freeze_longest_s"], 4 * pictures + 1)


def test_clock_that_stands_still_is_a_frozen_picture():
    packets = steady(4 * 25 * 5)
    still = packets[-1].timestamp
    more = steady(4 * 25 * 4, sequence=len(packets))
    for packet in more:
        packet.time_ns += 5 * SECOND
        packet.timestamp = still
        packet.key = False
    metrics = run(packets + more)
    metrics.tick(START_NS + 9 * SECOND)
    assert one(metrics)["frozen_picture_s"] == pytest.approx(4, abs=0.2)
    assert [m.kind for m in metrics.drain() if isinstance(m, StreamFreeze)] == ["clock"]


def test_silence_that_a_pause_asked_for_is_no_freeze():
    packets = steady(4 * 25 * 10)
    for packet in packets[400:]:
        packet.time_ns += 30 * SECOND
        packet.timestamp += 30 * 90_000
    metrics = table(1)
    metrics.measure(records([(0, p) for p in packets[:400]]))
    metrics.state.excused_ns[0] = START_NS + 34 * SECOND - 50_000_000
    metrics.state.watched[0] = True
    metrics.tick(START_NS + 34 * SECOND)  # played again, and nothing has come yet
    metrics.measure(records([(0, p) for p in packets[400:402]], 401))
    assert (one(metrics)["freezes"], one(metrics)["gop_s"]) == (0, pytest.approx(1.0))
    metrics.measure(records([(0, p) for p in packets[402:]], 403))
    assert (one(metrics)["freezes"], one(metrics)["gop_s"]) == (0, pytest.approx(1.0))
