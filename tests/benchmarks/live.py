"""Live capture at rate: what is offered, received and lost, and what the collector spends on it.

`python -m tests.benchmarks.live [--seconds 30] [--packets 400000] [--only NAME ...]` (root; Linux)
makes two network namespaces with two veth cables, starts the collector of `panotui live` in one,
sends with tcpreplay from the other, asks for a frame four times a second as a screen does, and
prints a markdown table. Offered packets are the sending interface's own count. Packets that are
sent while the collector is busy elsewhere wait in its ring; what is lost is the kernel's count.
CPU, RSS and PSS are summed over the collector's processes: the engine's and one a meter.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
import psutil

from panotui.feed.client import FeedClient
from panotui.views.frames import Frame, View
from tests.benchmarks.generate import PCAP_HEADER, START_NS, Rtp, _records, write
from tests.commands.test_flood import write as write_flood
from tests.lab.netns import Namespace, veth

ROOT = Path(__file__).parents[2]
CAMERAS, CAMERA_PPS, CAMERA_PICTURE = 8, 400, 16  # 16 packets of 1250 bytes at 25/s: 4 Mb/s
ASK_EVERY_S = 0.25
PORTS = """[site]
vantage = "mirror"
[ports.eth0]
interface = "mir0"
[ports.eth1]
interface = "mir1"
"""
QUIET_S = 1.2  # after the last packet, until the second it fell in has been told


@dataclass
class Cables:
    """A sender and a probe, joined by two cables: `out0` to `mir0`, `out1` to `mir1`."""

    sender: Namespace = field(default_factory=lambda: Namespace("ptsend"))
    probe: Namespace = field(default_factory=lambda: Namespace("ptprobe"))

    def __enter__(self) -> Cables:
        for number in (0, 1):
            veth(self.sender, self.probe, f"out{number}", f"mir{number}")
        for space in (self.sender, self.probe):  # no router solicitations between our packets
            space.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sender.close()
        self.probe.close()

    def sent(self, number: int) -> int:
        """Packets that left `out0` or `out1`."""
        text = self.sender.run(["ip", "-j", "-s", "link", "show", f"out{number}"]).stdout
        return int(json.loads(text)[0]["stats64"]["tx"]["packets"])


class LiveCollector:
    """`panotui live`'s collector in the probe, asked for a frame four times a second."""

    def __init__(self, cables: Cables, interfaces: Sequence[str], *options: str) -> None:
        ours, theirs = socket.socketpair()
        ready, told = os.pipe()
        self.process = subprocess.Popen(
            cables.probe.command(
                [sys.executable, "-m", "panotui", "_collect", "--feed-fd", str(theirs.fileno()),
                 "--ready-fd", str(told), *options, *interfaces]
            ),
            pass_fds=(theirs.fileno(), told), stdin=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
        theirs.close()
        os.close(told)
        with os.fdopen(ready, encoding="utf-8") as answer:
            text = answer.read()
        if not text or "ready" not in json.loads(text):
            raise RuntimeError(f"the collector did not start: {text}")
        self._client = FeedClient.connect(ours.detach())
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.frames = 0
        self.slowest_s = 0.0
        self.frame = self.ask()
        self.known = psutil.Process(self.process.pid)
        self._asker = threading.Thread(target=self._keep_asking, daemon=True)
        self._asker.start()

    def __enter__(self) -> LiveCollector:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._asker.join(10)
        self._client.close()
        try:
            self.process.wait(8)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self) -> Frame:
        """The newest frame."""
        with self._lock:
            began = time.monotonic()
            frame = self._client.ask(View(pane="overview"), timeout_s=30)
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.frames += 1
        assert isinstance(frame, Frame)
        return frame

    def _keep_asking(self) -> None:
        while not self._stop.wait(ASK_EVERY_S):
            self.frame = self.ask()

    def spent_s(self) -> float:
        """CPU seconds so far, with those of its children."""
        return sum(
            times.user + times.system
            for times in (p.cpu_times() for p in (self.known, *self.known.children(True)))
        )

    def memory_bytes(self) -> tuple[int, int]:
        """Its memory and its children's, rings included: RSS, which counts what they share once
        for each, and PSS, which counts it once."""
        each = [p.memory_full_info() for p in (self.known, *self.known.children(True))]
        return sum(m.rss for m in each), sum(m.pss for m in each)

    def wait_for(self, packets: int, timeout_s: float = 15.0) -> Frame:
        """The first frame that counts so many packets, received and lost together."""
        deadline = time.monotonic() + timeout_s
        while True:
            frame = self.ask()
            if frame.header.packets + frame.header.lost >= packets:
                return frame
            if time.monotonic() > deadline:
                return frame
            time.sleep(0.1)


def replay(cables: Cables, number: int, path: Path, *options: str) -> subprocess.Popen[str]:
    """tcpreplay of a capture out of one cable."""
    return cables.sender.popen(
        ["tcpreplay", "-q", "-i", f"out{number}", *options, str(path)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def write_cameras(path: Path, seconds: float) -> int:
    """RTP of a typical site, at its own pace; the number of packets."""
    count = int(CAMERAS * CAMERA_PPS * seconds)
    rtp = Rtp(streams=CAMERAS, picture=CAMERA_PICTURE)
    step_ns = 10**9 // (CAMERAS * CAMERA_PPS)
    with path.open("wb") as file:
        file.write(PCAP_HEADER)
        for first in range(0, count, 20_000):
            n = min(20_000, count - first)
            times = START_NS + (first + np.arange(n, dtype=np.int64)) * step_ns
            file.write(_records(rtp.block(n), times).tobytes())
    return count


@dataclass
class Result:
    """One line of the table."""

    name: str
    offered: int
    received: int
    lost: int
    seconds: float
    cpu_s: float
    memory: tuple[int, int]  # RSS and PSS, bytes
    frames: int
    slowest_s: float

    def line(self) -> str:
        rate = self.offered / self.seconds if self.seconds else 0.0
        each = 1e6 * self.cpu_s / max(1, self.received)
        return (
            f"| {self.name} | {self.offered:,} | {rate:,.0f} | {self.received:,} | {self.lost:,} |"
            f" {each:.2f} | {100 * self.cpu_s / self.seconds:.1f} | {self.memory[0] / 1e6:.0f} |"
            f" {self.memory[1] / 1e6:.0f} |"
            f" {self.frames} | {1000 * self.slowest_s:.0f} |"
        )


HEADER = (
    "| traffic | offered | packets/s | received | lost | CPU us a packet | CPU % of a core |"
    " RSS MB | PSS MB | frames | slowest frame ms |\n| --- |" + " ---: |" * 10
)


def measured(
    name: str,
    cables: Cables,
    interfaces: Sequence[str],
    send: Callable[[], list[subprocess.Popen[str]]],
    *,
    settle_s: float = 1.0,
    options: Sequence[str] = (),
) -> Result:
    """Start a collector, send, wait until all is told."""
    numbers = [int(interface[-1]) for interface in interfaces]
    with LiveCollector(cables, interfaces, *options) as collector:
        time.sleep(settle_s)
        before = [cables.sent(number) for number in numbers]
        collector.slowest_s, collector.frames = 0.0, 0
        spent = collector.spent_s()
        began = time.monotonic()
        for child in send():
            child.wait()
        seconds = time.monotonic() - began
        offered = sum(cables.sent(n) - b for n, b in zip(numbers, before, strict=True))
        frame = collector.wait_for(offered)
        time.sleep(QUIET_S)
        return Result(
            name, offered, frame.header.packets, frame.header.lost, seconds,
            collector.spent_s() - spent, collector.memory_bytes(), collector.frames,
            collector.slowest_s,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the eight cameras")
    parser.add_argument("--packets", type=int, default=400_000, help="of a run at top speed")
    parser.add_argument("--only", nargs="*", default=[], help="rows whose name has this word")
    options = parser.parse_args()
    print(HEADER)
    with Cables() as cables, tempfile.TemporaryDirectory() as folder:
        small, rtp, site, flood = (
            Path(folder) / f"{n}.pcap" for n in ("small", "rtp", "site", "flood")
        )
        write(small, "small", options.packets)
        write(rtp, "rtp", options.packets // 2)
        write_cameras(site, options.seconds)
        top = ("--topspeed", "-K")
        # a picture at a time, as cameras send; sleeping for each packet would be too slow
        site_pace = (f"--pps={CAMERAS * CAMERA_PPS}", f"--pps-multi={CAMERA_PICTURE}")
        both = ["mir0", "mir1"]
        ports = Path(folder) / "site.toml"  # two ports of one appliance: a meter each
        ports.write_text(PORTS)
        ports.chmod(0o644)
        Path(folder).chmod(0o755)

        def idle_then_burst() -> list[subprocess.Popen[str]]:
            time.sleep(5)
            return [replay(cables, 0, small, *top)]

        rows: list[tuple[str, Sequence[str], Callable[[], list[subprocess.Popen[str]]]]] = [
            ("8 cameras x 4 Mb/s", ["mir0"], lambda: [replay(cables, 0, site, *site_pace)]),
            ("8 cameras x 4 Mb/s, 2 interfaces", both,
             lambda: [replay(cables, 0, site, *site_pace)]),
            ("60 bytes, top speed", ["mir0"], lambda: [replay(cables, 0, small, *top)]),
            ("1250-byte RTP, top speed", ["mir0"], lambda: [replay(cables, 0, rtp, *top)]),
            ("two at once, top speed", both,
             lambda: [replay(cables, 0, small, *top), replay(cables, 1, rtp, *top)]),
            ("burst after 5 s of silence", ["mir0"], idle_then_burst),
            ("a million flows, 100,000 packets/s", ["mir0"],
             lambda: [replay(cables, 0, flood, "--pps=100000", "--pps-multi=50")]),
        ]  # fmt: skip
        for name, interfaces, send in rows:
            if options.only and not any(word in name for word in options.only):
                continue
            if "million" in name:
                write_flood(flood, 1_000_000)
            told = ("--site", str(ports)) if len(interfaces) > 1 else ()
            print(measured(name, cables, interfaces, send, options=told).line(), flush=True)


if __name__ == "__main__":
    main()
