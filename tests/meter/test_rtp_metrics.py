"""The vectorised RTP core against the scalar reference, on nasty sequences, cut anywhere."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from panotui.meter.rtp_metrics import RtpMetrics
from panotui.meter.rtp_records import ORDER_BITS, RtpRecords
from panotui.model import (
    SECOND,
    STREAM_CODECS,
    STREAM_DTYPE,
    StreamFreeze,
    StreamGap,
    StreamRestart,
)
from panotui.wire.h264 import KEY, MARK, START, VCL
from tests.meter.rtp_reference import Packet, Reference

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
        metrics.clock[stream] = clock
        metrics.picture[stream] = True
        metrics.reads_keys[stream] = True
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


@settings(max_examples=200, deadline=None)
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
    metrics.watched[0] = True
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
    metrics.watched[0] = True
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
    metrics.watched[0] = True
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


def test_late_packet_fills_its_gap_and_no_loss_is_told():
    packets = steady(400)
    packets[100], packets[103] = packets[103], packets[100]
    metrics = run(packets)
    metrics.tick(START_NS + 20 * SECOND)
    row = one(metrics)
    assert (row["lost"], row["gap_events"], row["damaged_frames"]) == (0, 0, 0)
    assert not [m for m in metrics.drain() if isinstance(m, StreamGap)]


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


def test_gap_is_the_path_s_fault_on_udp_and_the_camera_s_inside_tcp():
    packets = steady(400)
    del packets[100:103]
    for transport, where in ((17, "path"), (6, "camera")):
        metrics = table(1)
        metrics.row["transport"][0] = transport
        metrics.measure(records([(0, p) for p in packets]))
        metrics.tick(START_NS + 20 * SECOND)
        gaps = [m for m in metrics.drain() if isinstance(m, StreamGap)]
        assert [(g.lost, g.where) for g in gaps] == [(3, where)]
        assert one(metrics)["camera_dropped"] == (3 if transport == 6 else 0)


def test_gap_where_the_capture_has_a_hole_is_the_capture_s():
    packets = steady(400)
    del packets[100:103]
    metrics = table(1)
    metrics.row["transport"][0] = 6
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
    metrics.gaps.note_capture_loss(START_NS + 2 * SECOND, 500, -1)
    metrics.measure(records([(0, p) for p in packets[295:]], 296))
    metrics.tick(START_NS + 30 * SECOND)
    row = one(metrics)
    assert row["lost"] == 15
    assert row["capture_lost"] == 10
    seconds = metrics.seconds(START_NS + 30 * SECOND)
    assert seconds["capture_lost"].sum() == 10


def test_second_keeps_its_jitter_when_our_capture_admits_loss_in_it():
    packets = steady(4 * 25 * 2)
    for i, packet in enumerate(packets):
        packet.time_ns += i % 8 * 1_000_000
    del packets[150:160]
    metrics = run(packets)
    metrics.gaps.note_capture_loss(START_NS + 2 * SECOND, 500, -1)
    rows = metrics.seconds(START_NS + 2 * SECOND)
    assert rows["capture_lost"].tolist() == [0, 10]
    assert (rows["jitter_ms"] > 0.5).all()
    assert (rows["frame_jitter_ms"] > 0.5).all()


def test_loss_at_the_tail_of_a_key_frame_is_counted_apart():
    packets = steady(400, per_frame=16)
    metrics = table(1)
    part = records([(0, p) for i, p in enumerate(packets) if i not in (8, 9, 10, 50)])
    part.flags &= ~np.uint8(START)
    metrics.measure(part)
    metrics.tick(START_NS + 30 * SECOND)
    assert one(metrics)["tail_lost"] == 3
    assert one(metrics)["damaged_frames"] == 2


def test_timestamp_outlier_does_not_poison_jitter():
    packets = steady(2000)
    for packet in packets[800:804]:
        packet.timestamp = (packet.timestamp + 3_600 * 90_000) & 0xFFFFFFFF
    row = one(run(packets))
    assert row["jitter_max_ms"] < 40
    assert row["frame_jitter_ms"] < 0.5
    assert row["timestamp_jumps"] == 2
    assert row["fps_nominal"] == pytest.approx(25)


def test_camera_of_one_picture_a_minute_has_jitter_and_an_interval_and_never_freezes() -> None:
    packets = [
        Packet(i, i * 60 * 90_000, START_NS + i * 60 * SECOND + i % 2 * 1_000_000, True, key=True)
        for i in range(200)
    ]
    metrics = table(1)
    metrics.watched[0] = True
    for i, packet in enumerate(packets):
        metrics.measure(records([(0, packet)], i + 1))
        metrics.tick(packet.time_ns + 5 * SECOND)
        metrics.tick(packet.time_ns + 59 * SECOND)
    row = one(metrics)
    assert row["jitter_ms"] == pytest.approx(1.0, abs=0.01)
    assert row["frame_jitter_ms"] == pytest.approx(1.0, abs=0.01)
    assert row["fps_nominal"] == pytest.approx(1 / 60)
    assert (row["freezes"], row["timestamp_jumps"]) == (0, 0)


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


def test_b_frames_are_frames_of_their_own():
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]
    packets = [
        Packet(i, 3600 * k, START_NS + i * 40_000_000, True, key=k == 0)
        for i, k in enumerate(order)
    ]
    row = one(run(packets, (3, 5, 8)))
    assert row["frames"] == len(order)
    assert row["fps_nominal"] == pytest.approx(25)
    assert row["late_frame_max_ms"] < 1
    assert row["stalls_50ms"] == 0


def test_pictures_in_each_other_s_midst_count_in_the_order_of_their_first_slices():
    def picture(sequence: int, stamp: int, *, vcl: bool = True, key: bool = False) -> Packet:
        return Packet(sequence, stamp, START_NS + sequence * 1_000_000, vcl=vcl, key=key)

    packets = [
        picture(0, 0, key=True),
        picture(1, 3600),
        picture(2, 10800, vcl=False),  # parameter sets of the next key picture, before
        picture(3, 7200),  # a picture that is shown earlier
        picture(4, 10800, key=True),
    ]
    for cuts in ((), (3,), (1, 4)):
        row = one(run(packets, cuts))
        assert (row["frames"], row["keyframes"], row["gop_frames"]) == (4, 2, 3)


@pytest.mark.parametrize("late_by", [4, 9, 24])
@pytest.mark.parametrize("again", [False, True])
def test_packet_that_is_many_pictures_late_makes_no_second_picture(
    late_by: int, again: bool
) -> None:
    packets = steady(4 * 25 * 8, per_frame=4)
    begin = 4 * 100
    straggler = packets[begin + 2]
    when = begin + 4 * late_by
    moved = replace(straggler, time_ns=packets[when].time_ns + 50_000)
    rest = packets if again else [p for p in packets if p is not straggler]
    at = rest.index(packets[when]) + 1
    arrived = [*rest[:at], moved, *rest[at:]]
    for cuts in ((), (at,), (at, at + 1), tuple(range(0, len(arrived), 7))):
        row = one(run(arrived, cuts))
        assert (row["frames"], row["keyframes"]) == (200, 8)
        assert row["fps"] == pytest.approx(25, abs=0.01)
        assert (row["duplicates"], row["reordered"]) == ((1, 0) if again else (0, 1))


def test_picture_of_which_all_packets_are_late_counts_once() -> None:
    packets = steady(4 * 25 * 8, per_frame=2)
    late = packets[400:402]
    moved = [replace(p, time_ns=packets[440].time_ns + 50_000 + i) for i, p in enumerate(late)]
    arrived = [*packets[:400], *packets[402:441], *moved, *packets[441:]]
    for cuts in ((), (439,), (440,)):
        assert one(run(arrived, cuts))["frames"] == 400


def test_silence_that_a_pause_asked_for_is_no_freeze():
    packets = steady(4 * 25 * 10)
    for packet in packets[400:]:
        packet.time_ns += 30 * SECOND
        packet.timestamp += 30 * 90_000
    metrics = table(1)
    metrics.measure(records([(0, p) for p in packets[:400]]))
    metrics.excused_ns[0] = START_NS + 34 * SECOND - 50_000_000
    metrics.watched[0] = True
    metrics.tick(START_NS + 34 * SECOND)  # played again, and nothing has come yet
    metrics.measure(records([(0, p) for p in packets[400:402]], 401))
    assert (one(metrics)["freezes"], one(metrics)["gop_s"]) == (0, pytest.approx(1.0))
    metrics.measure(records([(0, p) for p in packets[402:]], 403))
    assert (one(metrics)["freezes"], one(metrics)["gop_s"]) == (0, pytest.approx(1.0))


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
    assert sum(len(rows) for rows in metrics._increments) <= 3 * 10


def test_random_sequence_numbers_cost_no_more_than_the_anomaly_they_are():
    rng = np.random.default_rng(3)
    packets = steady(2000)
    for packet in packets:
        packet.sequence = int(rng.integers(0, 65536))
    reference = Reference()
    for packet in packets:
        reference.update(packet)
    same(run(packets, (100, 777)), 0, reference)


def test_numbers_that_came_in_a_row_are_known_when_they_come_again():
    packets = steady(400)
    late = copy.copy(packets[330])
    late.time_ns = packets[-1].time_ns + 1
    metrics = run([*packets, late], (100, 400))
    row = one(metrics)
    assert (row["duplicates"], row["reordered"], row["lost"]) == (1, 0, -1)
