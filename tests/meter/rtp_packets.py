"""RTP packets of made-up cameras, and the core that has measured them."""

from __future__ import annotations

import itertools

import numpy as np

from panotui.meter.rtp.metrics import RtpMetrics
from panotui.meter.rtp.records import ORDER_BITS, RtpRecords
from panotui.model import (
    SECOND,
    STREAM_CODECS,
    STREAM_DTYPE,
)
from panotui.wire.h264 import KEY, MARK, START, VCL
from tests.meter.rtp_reference import Packet

START_NS = 1_700_000_000 * SECOND


def table(streams: int, clock: int = 90000) -> RtpMetrics:
    metrics = RtpMetrics(max(streams, 4))
    for stream in range(streams):
        row = np.zeros(1, STREAM_DTYPE)
        row["id"] = 100 + stream
        row["clock_rate"] = clock
        row["transport"] = 17
        row["codec"] = STREAM_CODECS.index("H264")
        metrics.open(stream, row[0])
        metrics.state.clock[stream] = clock
        metrics.state.picture[stream] = True
        metrics.state.reads_keys[stream] = True
    return metrics


def records(packets: list[tuple[int, Packet]], first: int = 1) -> RtpRecords:
    def column(name: str, dtype: type) -> np.ndarray:
        return np.array([getattr(p, name) for _, p in packets], dtype)

    flags = [
        (VCL if p.vcl else 0) | (KEY if p.key else 0) | (MARK if p.marker else 0) | START
        for _, p in packets
    ]
    return RtpRecords(
        np.array([s for s, _ in packets], np.uint16),
        column("sequence", np.uint16),
        column("timestamp", np.uint32),
        column("time_ns", np.int64),
        column("size", np.int64),
        column("media", np.int32),
        np.array(flags, np.uint8),
        np.arange(first, first + len(packets)) << ORDER_BITS,
        np.zeros(len(packets), np.int32),
    )


def measure(packets: list[tuple[int, Packet]], cuts: list[int], streams: int) -> RtpMetrics:
    metrics = table(streams)
    edges = sorted({0, len(packets), *(c % (len(packets) + 1) for c in cuts)})
    for a, b in itertools.pairwise(edges):
        metrics.measure(records(packets[a:b], a + 1))
    return metrics


def steady(
    count: int, fps: float = 25.0, per_frame: int = 4, gop: int = 25, sequence: int = 0
) -> list[Packet]:
    out = []
    for i in range(count):
        frame = i // per_frame
        out.append(
            Packet(
                (sequence + i) & 0xFFFF,
                int(frame * 90000 / fps) & 0xFFFFFFFF,
                START_NS + int(frame * SECOND / fps) + i % per_frame * 100_000,
                marker=i % per_frame == per_frame - 1,
                key=frame % gop == 0,
            )
        )
    return out


def run(packets: list[Packet], cuts: tuple[int, ...] = ()) -> RtpMetrics:
    return measure([(0, p) for p in packets], list(cuts), 1)


def one(metrics: RtpMetrics) -> np.void:
    return metrics.rows(np.array([0]))[0]
