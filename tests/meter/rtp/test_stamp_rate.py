"""What stamps say against what arrives: left out pictures, wrong clocks, jumps, catching up."""

from __future__ import annotations

import random

import numpy as np
import pytest

from panotui.meter.rtp.metrics import RtpMetrics
from panotui.model import SECOND
from tests.meter.rtp_packets import START_NS, records, table
from tests.meter.rtp_reference import Packet

CUTS = pytest.mark.parametrize("size", [1, 7, 4000])
HOURS = 5 * 3600 * 90_000


def pictures(times: list[tuple[float, float]]) -> list[Packet]:
    """One packet a picture: (arrival in s, stamp in s)."""
    return [
        Packet(i & 0xFFFF, round(stamp * 90_000) & 0xFFFFFFFF, START_NS + round(at * SECOND), True)
        for i, (at, stamp) in enumerate(times)
    ]


def watched(packets: list[Packet], size: int) -> tuple[RtpMetrics, list[np.void]]:
    """The packets in batches of at most so many, with a tick each second; the row after each."""
    metrics, rows = table(1), []
    first, waiting = 1, list(packets)
    second = packets[0].time_ns // SECOND
    while waiting:
        end = (second + 1) * SECOND
        part = [p for p in waiting if p.time_ns < end]
        waiting = waiting[len(part) :]
        for at in range(0, len(part), size):
            metrics.measure(records([(0, p) for p in part[at : at + size]], first))
            first += len(part[at : at + size])
        metrics.tick(end)
        rows.append(metrics.rows(np.array([0]))[0])
        second += 1
    return metrics, rows


@CUTS
@pytest.mark.parametrize(
    ("sensor", "every", "out", "rate"),
    [(25, 5, 1, 20.0), (30, 3, 1, 20.0), (30, 4, 1, 22.5), (25, 2, 1, 12.5), (50, 5, 2, 30.0)],
)
def test_pictures_that_a_sensor_leaves_out_are_not_expected(
    size: int, sensor: int, every: int, out: int, rate: float
) -> None:
    kept = [k / sensor for k in range(sensor * 40) if k % every >= out]
    _, rows = watched(pictures([(at, at) for at in kept]), size)
    row = rows[-1]
    assert row["fps_nominal"] == pytest.approx(rate, rel=0.01)
    assert row["fps_stamped"] == pytest.approx(rate, rel=0.01)
    assert row["stamp_rate"] == pytest.approx(1, abs=1e-3)


def test_rate_that_falls_for_good_is_seen_against_the_usual_one() -> None:
    times = [k / 25 for k in range(70 * 25)] + [70 + k / 8 for k in range(35 * 8)]
    _, rows = watched(pictures([(at, at) for at in times]), 4000)
    assert rows[-1]["fps_now"] == pytest.approx(8, rel=0.02)
    assert rows[-1]["fps_stamped"] == pytest.approx(8, rel=0.05)
    assert rows[-1]["fps_nominal"] > 18


def test_usual_rate_is_that_of_the_last_ten_minutes() -> None:
    times = [k / 25 for k in range(400 * 25)] + [400 + k / 10 for k in range(900 * 10)]
    _, rows = watched(pictures([(at, at) for at in times]), 4000)
    assert rows[-1]["fps_nominal"] == pytest.approx(10, rel=0.01)


@CUTS
@pytest.mark.parametrize("clock", [0.84, 0.97, 0.98, 1.0, 1.02, 1.2])
def test_clock_of_the_stamps_against_arrival(size: int, clock: float) -> None:
    chance = random.Random(7)
    times = [k / 21 for k in range(21 * 45)]
    late = [at + (chance.random() * 0.04 if chance.random() < 0.8 else 0.1) for at in times]
    late = list(np.maximum.accumulate(late))
    _, rows = watched(pictures([(b, a * clock) for a, b in zip(times, late, strict=True)]), size)
    assert np.isnan(rows[15]["stamp_rate"])
    assert rows[-1]["stamp_rate"] == pytest.approx(clock, abs=0.004)
    assert rows[-1]["fps_stamped"] == pytest.approx(21 / clock, rel=0.01)
    assert not rows[-1]["catching_up"]


def test_queue_that_fills_and_empties_is_no_wrong_clock() -> None:
    times = [(k / 25, k / 25) for k in range(25 * 60)]
    delayed = [(at + max(0.0, 1.5 - abs(at - 40) / 2), stamp) for at, stamp in times]
    _, rows = watched(pictures(delayed), 4000)
    assert abs(rows[-1]["stamp_rate"] - 1) < 0.02


@CUTS
@pytest.mark.parametrize("off", [HOURS, -HOURS, -6 * 90_000])
@pytest.mark.parametrize("run", [1, 2])
def test_single_pictures_that_are_stamped_far_off_are_counted_and_change_nothing(
    size: int, off: int, run: int
) -> None:
    packets = pictures([(k / 25, k / 25) for k in range(1000)])
    for k in range(40, 1000, 50):
        for packet in packets[k : k + run]:
            packet.timestamp = (packet.timestamp + off) & 0xFFFFFFFF
    _, rows = watched(packets, size)
    row = rows[-1]
    assert row["timestamp_jumps"] == 20 * run
    assert (row["frames"], row["freezes"], row["restarts"], row["lost"]) == (1000, 0, 0, 0)
    for name in ("fps", "fps_now", "fps_nominal"):
        assert row[name] == pytest.approx(25, rel=0.01)
    assert row["stamp_rate"] == pytest.approx(1, abs=1e-3)
    assert row["frame_jitter_max_ms"] < 1
    assert row["stalls_50ms"] == 0


@CUTS
def test_clock_that_is_set_is_one_jump_and_another_timeline(size: int) -> None:
    packets = pictures([(k / 25, k / 25 + (7200 if k >= 500 else 0)) for k in range(1500)])
    _, rows = watched(packets, size)
    row = rows[-1]
    assert row["timestamp_jumps"] == 1
    assert row["fps_nominal"] == pytest.approx(25, rel=0.01)
    assert row["stamp_rate"] == pytest.approx(1, abs=1e-3)
    assert row["frame_jitter_max_ms"] < 1


@CUTS
@pytest.mark.parametrize("stall", [2.0, 5.0])
def test_pictures_that_were_held_up_catch_up_and_then_do_not(size: int, stall: float) -> None:
    held = [
        (max(k / 25, 20 + stall + (k - 500) / 200) if k >= 500 else k / 25) for k in range(1500)
    ]
    packets = pictures([(at, k / 25) for k, at in enumerate(held)])
    _, rows = watched(packets, size)
    second = [int(row["last_ns"] // SECOND - START_NS // SECOND) for row in rows]
    catching = {s for s, row in zip(second, rows, strict=True) if row["catching_up"]}
    assert all(20 + stall <= s <= 36 + stall for s in catching)
    faster = [row for row in rows if row["fps_now"] > 30]
    assert faster
    assert all(row["catching_up"] for row in faster)


def test_late_pictures_now_and_then_are_no_catching_up() -> None:
    times = [(k / 25 + (0.3 if k % 60 == 0 else 0), k / 25) for k in range(1000)]
    _, rows = watched(pictures(sorted(times)), 4000)
    assert not any(row["catching_up"] for row in rows)
