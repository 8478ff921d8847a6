"""Which packets are a picture, and how often it counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.meter.rtp_packets import START_NS, one, run, steady
from tests.meter.rtp_reference import Packet


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
