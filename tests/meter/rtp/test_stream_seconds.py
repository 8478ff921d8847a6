"""Seconds of streams add up to the whole."""

from __future__ import annotations

from panotui.model import (
    SECOND,
)
from tests.meter.rtp_packets import START_NS, one, run, steady


def test_second_keeps_its_jitter_when_our_capture_admits_loss_in_it():
    packets = steady(4 * 25 * 2)
    for i, packet in enumerate(packets):
        packet.time_ns += i % 8 * 1_000_000
    del packets[150:160]
    metrics = run(packets)
    metrics.note_capture_loss(START_NS + 2 * SECOND, 500, -1)
    rows = metrics.seconds(START_NS + 2 * SECOND)
    assert rows["capture_lost"].tolist() == [0, 10]
    assert (rows["jitter_ms"] > 0.5).all()
    assert (rows["frame_jitter_ms"] > 0.5).all()


def test_seconds_add_up_to_the_whole():
    packets = steady(4 * 25 * 10)
    del packets[310:320]
    metrics = run(packets, (250, 700))
    rows = metrics.seconds(START_NS + 10 * SECOND)
    assert rows["packets"].sum() == 990
    assert rows["lost"].sum() == 10
    assert rows["frames"].sum() == one(metrics)["frames"]
    assert rows["keyframes"].sum() == 10
    assert len(rows) == 10
    assert one(metrics)["bitrate_peak_bps"] == 100 * 1250 * 8


def test_what_waits_for_the_end_of_a_second_does_not_grow_with_frames():
    metrics = run(steady(4 * 25 * 10))
    assert metrics._seconds.waiting <= 3 * 10
