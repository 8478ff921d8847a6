"""Captures with broken bytes, holes, swaps, cuts and jumps of time never raise nor warn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from panotui.meter.meter import Meter
from panotui.meter.streams.table import StreamTable
from panotui.model import SECOND, MeterSettings, PacketBatch
from panotui.sources import open_file
from tests.captures import capture

CAPTURES = ["lab/tcp-h264-mtu.pcap", "lab/udp-h264-loss2pct.pcap", "lab/gst-h265-udp.pcap"]


def broken(batch: PacketBatch, rng: np.random.Generator) -> PacketBatch:
    data = batch.data.copy()
    count = int(rng.integers(1, 3000))
    rows = rng.integers(0, len(batch), count)
    reach = 60 if rng.random() < 0.7 else 1400
    at = batch.offset[rows] + 34 + rng.integers(0, reach, count)
    data[np.minimum(at, batch.offset[rows] + batch.captured[rows] - 1)] = rng.integers(
        0, 256, count
    )
    keep = np.flatnonzero(rng.random(len(batch)) >= rng.choice([0, 0.01, 0.2]))
    near = rng.integers(0, len(keep) - 5, 100)
    keep[near], keep[near + 3] = keep[near + 3].copy(), keep[near].copy()
    time_ns = batch.time_ns[keep].copy()
    if rng.random() < 0.5:
        time_ns[len(time_ns) // 2 :] += int(rng.integers(-10 * SECOND, 100 * SECOND))
    captured = batch.captured[keep]
    if rng.random() < 0.3:
        captured = np.minimum(captured, int(rng.integers(40, 200)))
    return PacketBatch(
        data,
        batch.offset[keep],
        captured,
        batch.wire_length[keep],
        time_ns,
        batch.interface[keep],
        batch.interfaces,
    )


@pytest.mark.parametrize("name", CAPTURES)
@pytest.mark.parametrize("seed", range(5))
def test_broken_captures_never_raise(name: str, seed: int) -> None:
    source = open_file(str(capture(name)))
    whole = source.read(0)
    assert whole is not None
    rng = np.random.default_rng(seed)
    batch = broken(whole, rng)
    table = StreamTable(MeterSettings(streams_max=4, rtsp_connections_max=2))
    meter = Meter(MeterSettings(), 0, streams=table)
    step = int(rng.choice([7, 50, 500, 5000]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for start in range(0, len(batch), step):
            part = batch.slice(start, min(start + step, len(batch)))
            meter.update(part)
            if step > 10 or start % 70 == 0:
                meter.tick(int(part.time_ns[-1]))
        meter.tick(int(batch.time_ns[-1]) + 200 * SECOND)
    source.close()
    assert len(table._known.live()) <= 4
    assert len(table._connections.by_flow) <= 2
