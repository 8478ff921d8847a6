"""The vectorised RTP core against the scalar reference, on nasty sequences, cut anywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from panotui.meter.rtp.metrics import RtpMetrics
from panotui.model import (
    SECOND,
    STREAM_DTYPE,
)
from tests.meter.rtp_packets import START_NS, measure, one, run, steady
from tests.meter.rtp_reference import Packet, Reference


def same(metrics: RtpMetrics, stream: int, ref: Reference) -> None:
    row = metrics.rows(np.array([stream]))[0]
    gaps, longest = ref.gaps()
    facts = {
        "packets": ref.packets,
        "expected": ref.expected,
        "lost": ref.lost,
        "duplicates": ref.duplicates,
        "reordered": ref.reordered,
        "restarts": ref.restarts,
        "frames": ref.frames,
        "keyframes": ref.keyframes,
        "gop_frames": ref.gop_frames,
        "gap_events": gaps,
        "longest_gap": longest,
        "lost_unique": ref.lost + ref.duplicates,
        "timestamp_jumps": ref.jumps,
    }
    assert {name: int(row[name]) for name in facts} == facts
    if ref.jitter_count:
        mean = ref.jitter_sum / ref.jitter_count
        for name, value in (
            ("jitter_ms", ref.jitter),
            ("jitter_mean_ms", mean),
            ("jitter_max_ms", ref.jitter_max),
        ):
            assert row[name] == pytest.approx(value / ref.clock * 1000, rel=1e-9, abs=1e-9)
    else:
        assert math.isnan(row["jitter_ms"])
    if ref.frame_jitter_count:
        assert row["frame_jitter_ms"] == pytest.approx(
            ref.frame_jitter / ref.clock * 1000, rel=1e-9, abs=1e-9
        )
        assert row["frame_jitter_max_ms"] == pytest.approx(
            ref.frame_jitter_max / ref.clock * 1000, rel=1e-9, abs=1e-9
        )
    if ref.packets > 1:
        assert row["delta_max_ms"] == pytest.approx(ref.delta_max_ms, abs=1e-9)


# Steps of a nasty sender and path: mostly in order, at times anything.
sequence_step = st.one_of(
    st.just(1),
    st.just(1),
    st.just(1),
    st.integers(-3, 5),
    st.integers(-99, 200),
    st.sampled_from([2999, 3000, 3001, -99, -100, -101, 32767, 32768, 32769, 65535, 20000]),
    st.sampled_from([101, 150, -150, 200, -200, 255, -255, -256]),
)
stamp_step = st.one_of(
    st.just(0),
    st.just(0),
    st.just(3600),
    st.just(-3600),
    st.integers(-20000, 20000),
    st.sampled_from([450_000, 450_001, -450_001, 2**31, 10**9]),
)
time_step = st.one_of(
    st.integers(0, 40_000_000), st.just(0), st.just(3 * SECOND), st.integers(-(10**6), 10**9)
)
LONG_STEP = (0, 1, 540_000, 6 * SECOND + 20_000_000, True, False)  # time and clock agree
packet_steps = st.lists(
    st.just(LONG_STEP)
    | st.tuples(
        st.integers(0, 2),
        sequence_step,
        stamp_step,
        time_step,
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=120,
)


LATE_WHERE_ALL_IS_TOLD = [
    LONG_STEP, (0, 24, 0, 0, False, False), (0, 127, 0, 0, False, False), LONG_STEP,
    (0, -150, 0, 0, False, False),
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@example(steps=LATE_WHERE_ALL_IS_TOLD, first=0, cuts=[])
@given(
    steps=packet_steps, first=st.integers(0, 65535), cuts=st.lists(st.integers(0, 200), max_size=6)
)
def test_arrays_say_what_the_rfc_says_packet_by_packet(steps, first, cuts):  # type: ignore[no-untyped-def]
    state = [(first, 2**32 - 5000) for _ in range(3)]
    now = START_NS
    packets: list[tuple[int, Packet]] = []
    references = [Reference() for _ in range(3)]
    for stream, ds, dt, dn, marker, vcl in steps:
        sequence, stamp = state[stream]
        sequence, stamp = (sequence + ds) & 0xFFFF, (stamp + dt) & 0xFFFFFFFF
        state[stream] = (sequence, stamp)
        now += dn
        # All slices of a picture are of one kind (H.264 7.4.1.2.4).
        key = stamp % 7 < 2
        packet = Packet(sequence, stamp, now, marker, vcl or key, key)
        packets.append((stream, packet))
        references[stream].update(packet)
    metrics = measure(packets, cuts, 3)
    for stream, reference in enumerate(references):
        if reference.packets:
            same(metrics, stream, reference)


_NEXT = (0, 1, 540_000, 6 * SECOND, True, False)
LATE_INTO_A_GAP_THAT_IS_FAR = [
    _NEXT, _NEXT, (0, 2999, 0, 0, True, True), _NEXT, _NEXT, _NEXT,
    (0, 125, -3600, 3 * SECOND, False, True), (0, -150, 0, 0, False, True),
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(steps=packet_steps, cuts=st.lists(st.integers(0, 200), min_size=1, max_size=8))
@example(steps=LATE_INTO_A_GAP_THAT_IS_FAR, cuts=[4, 7])
def test_numbers_do_not_depend_on_how_packets_are_cut_into_batches(steps, cuts):  # type: ignore[no-untyped-def]
    sequence, stamp, now = 65000, 2**32 - 5000, START_NS
    packets = []
    for stream, ds, dt, dn, marker, vcl in steps:
        sequence, stamp = (sequence + ds) & 0xFFFF, (stamp + dt) & 0xFFFFFFFF
        now += abs(dn)
        key = stamp % 7 < 2
        packets.append((stream, Packet(sequence, stamp, now, marker, vcl or key, key)))
    whole, parts = measure(packets, [], 3), measure(packets, cuts, 3)
    for metrics in (whole, parts):
        metrics.tick(now + 10 * SECOND)
    a, b = whole.rows(np.arange(3)), parts.rows(np.arange(3))
    for name in STREAM_DTYPE.names or ():
        if a[name].dtype.kind == "f":
            np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-9, err_msg=name)
        else:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    sa, sb = whole.seconds(now), parts.seconds(now)
    for name in ("packets", "bytes", "lost", "frames", "keyframes", "gap_max_ms"):
        np.testing.assert_array_equal(sa[name], sb[name], err_msg=name)


def test_steady_video_has_its_frame_rate_gop_and_no_fault():
    packets = steady(25 * 4 * 10)
    row = one(run(packets))
    assert row["frames"] == 250
    assert row["keyframes"] == 10
    assert row["fps"] == pytest.approx(25, abs=0.01)
    assert row["fps_now"] == pytest.approx(25, abs=0.1)
    assert row["fps_nominal"] == pytest.approx(25, abs=0.01)
    assert (row["gop_frames"], row["gop_s"]) == (25, pytest.approx(1.0))
    assert row["frame_jitter_ms"] < 0.01
    assert row["late_frame_max_ms"] < 1
    assert (row["freezes"], row["stalls_50ms"], row["damaged_frames"]) == (0, 0, 0)
    assert row["bitrate_mean_bps"] == pytest.approx(1000 * 1250 * 8 / 9.9603, rel=1e-3)


def test_random_sequence_numbers_cost_no_more_than_the_anomaly_they_are():
    rng = np.random.default_rng(3)
    packets = steady(2000)
    for packet in packets:
        packet.sequence = int(rng.integers(0, 65536))
    reference = Reference()
    for packet in packets:
        reference.update(packet)
    same(run(packets, (100, 777)), 0, reference)
