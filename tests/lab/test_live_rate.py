"""Live capture at a modest rate: every packet that was sent is counted, none is lost by us."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.generate import write
from tests.benchmarks.live import Cables, LiveCollector, replay, write_cameras
from tests.lab.netns import require_root

pytestmark = pytest.mark.lab

PACKETS = 50_000
PACE = ("--pps=50000", "--pps-multi=250")  # a sleep a packet would be slower than that


@pytest.fixture(scope="module")
def cables() -> Iterator[Cables]:
    require_root()
    with Cables() as cables:
        yield cables


@pytest.fixture(scope="module")
def rtp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rate") / "rtp.pcap"
    write(path, "rtp", PACKETS)
    return path


def test_nothing_is_lost_while_a_screen_asks(cables: Cables, rtp: Path) -> None:
    before = cables.sent(0)
    with LiveCollector(cables, ["mir0"]) as collector:
        assert replay(cables, 0, rtp, *PACE).wait(60) == 0
        frame = collector.wait_for(PACKETS)
        assert cables.sent(0) - before == PACKETS
        assert frame.header.lost == 0
        assert frame.header.packets == PACKETS
        assert collector.frames > 2


def test_two_interfaces_at_once_lose_nothing(cables: Cables, rtp: Path) -> None:
    with LiveCollector(cables, ["mir0", "mir1"]) as collector:
        senders = [replay(cables, number, rtp, *PACE) for number in (0, 1)]
        assert [sender.wait(60) for sender in senders] == [0, 0]
        frame = collector.wait_for(2 * PACKETS)
        assert frame.header.lost == 0
        assert frame.header.packets == 2 * PACKETS


def test_a_burst_after_silence_is_taken_whole(cables: Cables, rtp: Path) -> None:
    with LiveCollector(cables, ["mir0"]) as collector:
        time.sleep(1.5)  # the line is idle, and the collector rests
        assert replay(cables, 0, rtp, "--topspeed", "-K").wait(60) == 0
        frame = collector.wait_for(PACKETS)
        assert frame.header.lost == 0
        assert frame.header.packets == PACKETS


def test_a_typical_site_is_measured_whole(cables: Cables, tmp_path: Path) -> None:
    path = tmp_path / "cameras.pcap"
    sent = write_cameras(path, 4)
    with LiveCollector(cables, ["mir0"]) as collector:
        assert replay(cables, 0, path, "--pps=3200", "--pps-multi=16").wait(60) == 0
        frame = collector.wait_for(sent)
        assert (frame.header.packets, frame.header.lost) == (sent, 0)
        assert frame.header.counts.streams == 8
