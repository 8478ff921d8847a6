"""Sequence numbers: restarts, outages, late and repeated packets."""

from __future__ import annotations

import copy

import pytest

from panotui.model import (
    SECOND,
    StreamRestart,
)
from tests.meter.rtp_packets import one, run, steady


def test_restart_of_the_sender_is_no_loss():
    packets = steady(500) + steady(500, sequence=40_000)
    for i, packet in enumerate(packets[500:]):
        packet.time_ns += 6 * SECOND
        packet.timestamp += 77_000_000 + i * 0
    metrics = run(packets)
    row = one(metrics)
    assert row["restarts"] == 1
    assert row["lost"] == 0
    assert [m.kind for m in metrics.drain() if isinstance(m, StreamRestart)] == ["sequence"]


def test_long_outage_is_loss_and_not_a_restart():
    packets = steady(100 * 60, per_frame=16)  # 400 packets a second
    kept = packets[:2000] + packets[5500:]
    metrics = run(kept)
    row = one(metrics)
    assert row["restarts"] == 0
    assert row["lost"] == 3500
    assert [m.kind for m in metrics.drain() if isinstance(m, StreamRestart)] == ["outage"]


@pytest.mark.parametrize("behind", [99, 100, 128, 200, 255])
@pytest.mark.parametrize("cuts", [(), (110,), (110, 180, 300)])
def test_packet_that_is_far_behind_is_late_when_its_number_is_missing(
    behind: int, cuts: tuple[int, ...]
) -> None:
    packets = steady(600, sequence=65_450)
    late = packets.pop(100)
    late.time_ns = packets[100 + behind - 1].time_ns
    packets.insert(100 + behind, late)
    row = one(run(packets, cuts))
    assert (row["expected"], row["lost"], row["reordered"]) == (600, 0, 1)
    assert (row["restarts"], row["duplicates"]) == (0, 0)


def test_sender_that_restarts_a_little_behind_has_restarted() -> None:
    packets = steady(400)
    for packet in packets[200:]:
        packet.sequence -= 150
    row = one(run(packets))
    assert (row["restarts"], row["reordered"]) == (1, 0)


def test_numbers_that_came_in_a_row_are_known_when_they_come_again():
    packets = steady(400)
    late = copy.copy(packets[330])
    late.time_ns = packets[-1].time_ns + 1
    metrics = run([*packets, late], (100, 400))
    row = one(metrics)
    assert (row["duplicates"], row["reordered"], row["lost"]) == (1, 0, -1)


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2, 3)])
def test_a_packet_from_before_the_first_one_is_expected_when_it_comes(
    cuts: tuple[int, ...],
) -> None:
    packets = steady(400, sequence=65_534)
    packets[0], packets[1] = packets[1], packets[0]
    row = one(run(packets, cuts))
    assert (row["expected"], row["lost"], row["lost_unique"]) == (400, 0, 0)
    assert (row["reordered"], row["duplicates"], row["gap_events"]) == (1, 0, 0)


@pytest.mark.parametrize("cuts", [(), (1,), (3,), (1, 2, 3, 4), (4, 5, 9, 10, 11)])
def test_numbers_between_a_late_packet_and_the_first_one_are_not_lost(
    cuts: tuple[int, ...],
) -> None:
    """A capture that begins between packets out of order: the others came before it began."""
    packets = steady(400)
    early, late = packets[0], packets[2]
    shuffled = [*packets[4:8], early, *packets[8:12], late, late, *packets[12:]]
    row = one(run(shuffled, cuts))
    assert (row["expected"], row["lost_unique"], row["reordered"]) == (398, 0, 2)
    assert (row["lost"], row["duplicates"]) == (-1, 1)
    assert row["gap_events"] == 0


def test_duplicates_hide_no_loss_of_a_second() -> None:
    packets = steady(400)
    again = [copy.copy(p) for p in packets[100:105]]
    for packet in again:
        packet.time_ns = packets[120].time_ns + 1
    metrics = run([*packets[:50], *packets[53:121], *again, *packets[121:]])
    seconds = metrics.seconds(packets[-1].time_ns)
    assert one(metrics)["lost"] == -2
    assert int(seconds["lost"].sum()) == one(metrics)["lost_unique"] == 3
