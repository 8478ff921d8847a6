"""The clock of frames: outliers, and frames that are far apart."""

from __future__ import annotations

import pytest

from panotui.model import (
    SECOND,
)
from tests.meter.rtp_packets import START_NS, one, records, run, steady, table
from tests.meter.rtp_reference import Packet


def test_timestamp_outlier_does_not_poison_jitter():
    packets = steady(2000)
    for packet in packets[800:804]:
        packet.timestamp = (packet.timestamp + 3_600 * 90_000) & 0xFFFFFFFF
    row = one(run(packets))
    assert row["jitter_max_ms"] < 40
    assert row["frame_jitter_ms"] < 0.5
    assert row["timestamp_jumps"] == 1  # of one picture
    assert row["fps_nominal"] == pytest.approx(25)


def test_camera_of_one_picture_a_minute_has_jitter_and_an_interval_and_never_freezes() -> None:
    packets = [
        Packet(i, i * 60 * 90_000, START_NS + i * 60 * SECOND + i % 2 * 1_000_000, True, key=True)
        for i in range(200)
    ]
    metrics = table(1)
    metrics.state.watched[0] = True
    for i, packet in enumerate(packets):
        metrics.measure(records([(0, packet)], i + 1))
        metrics.tick(packet.time_ns + 5 * SECOND)
        metrics.tick(packet.time_ns + 59 * SECOND)
    row = one(metrics)
    assert row["jitter_ms"] == pytest.approx(1.0, abs=0.01)
    assert row["frame_jitter_ms"] == pytest.approx(1.0, abs=0.01)
    assert row["fps_nominal"] == pytest.approx(1 / 60)
    assert (row["freezes"], row["timestamp_jumps"]) == (0, 0)
