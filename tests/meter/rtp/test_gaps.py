"""Missing packets: what is told of them, and whose fault they are."""

from __future__ import annotations

import numpy as np

from panotui.model import (
    SECOND,
    StreamGap,
)
from panotui.wire.h264 import START
from tests.meter.rtp_packets import START_NS, one, records, run, steady, table


def test_late_packet_fills_its_gap_and_no_loss_is_told():
    packets = steady(400)
    packets[100], packets[103] = packets[103], packets[100]
    metrics = run(packets)
    metrics.tick(START_NS + 20 * SECOND)
    row = one(metrics)
    assert (row["lost"], row["gap_events"], row["damaged_frames"]) == (0, 0, 0)
    assert not [m for m in metrics.drain() if isinstance(m, StreamGap)]


def test_gap_is_the_path_s_fault_on_udp_and_the_camera_s_inside_tcp():
    packets = steady(400)
    del packets[100:103]
    for transport, where in ((17, "path"), (6, "camera")):
        metrics = table(1)
        metrics.state.row["transport"][0] = transport
        metrics.measure(records([(0, p) for p in packets]))
        metrics.tick(START_NS + 20 * SECOND)
        gaps = [m for m in metrics.drain() if isinstance(m, StreamGap)]
        assert [(g.lost, g.where) for g in gaps] == [(3, where)]
        assert one(metrics)["camera_dropped"] == (3 if transport == 6 else 0)


def test_gap_where_the_capture_has_a_hole_is_the_capture_s():
    packets = steady(400)
    del packets[100:103]
    metrics = table(1)
    metrics.state.row["transport"][0] = 6
    part = records([(0, p) for p in packets])
    part.epoch[100:] = 1
    metrics.measure(part)
    metrics.tick(START_NS + 20 * SECOND)
    row = one(metrics)
    assert (row["capture_lost"], row["camera_dropped"], row["lost"]) == (3, 0, 3)


def test_loss_that_our_capture_admits_a_moment_later_is_told_apart():
    packets = steady(4 * 25 * 4)
    del packets[150:160]
    del packets[300:305]
    metrics = run(packets[:295])
    metrics.note_capture_loss(START_NS + 2 * SECOND, 500, -1)
    metrics.measure(records([(0, p) for p in packets[295:]], 296))
    metrics.tick(START_NS + 30 * SECOND)
    row = one(metrics)
    assert row["lost"] == 15
    assert row["capture_lost"] == 10
    seconds = metrics.seconds(START_NS + 30 * SECOND)
    assert seconds["capture_lost"].sum() == 10


def test_loss_at_the_tail_of_a_key_frame_is_counted_apart():
    packets = steady(400, per_frame=16)
    metrics = table(1)
    part = records([(0, p) for i, p in enumerate(packets) if i not in (8, 9, 10, 50)])
    part.flags &= ~np.uint8(START)
    metrics.measure(part)
    metrics.tick(START_NS + 30 * SECOND)
    assert one(metrics)["tail_lost"] == 3
    assert one(metrics)["damaged_frames"] == 2
