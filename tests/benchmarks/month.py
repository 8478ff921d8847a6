"""A made-up month of a site, recorded: what it costs on disk, to open and to jump in.

    python -m tests.benchmarks.month /tmp/month --days 30

Eight cameras, 32 endpoints, 2,000 flows an hour and a few alarms a day go through the recorder as
they would live. Old days are observed as often as their samples and snapshots are kept in the end
(the last hour each second, the last half day every 10 s, before that each minute), so that a month
takes minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from panotui.model import (
    SECOND,
    CameraRecord,
    CountsRecord,
    EndpointRecord,
    EventRecord,
    FindingRecord,
    FlowRecord,
    PortRecord,
    SiteRecord,
    Snapshot,
    SourceRecord,
    StreamRecord,
)
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from panotui.recording.retention import Limits
from panotui.views.frames import Command, View
from panotui.views.review import ReviewProvider

END = 1_780_000_000  # seconds; the month ends there
CAMERAS, ENDPOINTS, FLOWS_AN_HOUR, ALARMS_A_DAY = 8, 32, 2_000, 40
SERVICES = ("iot", "logs", "s3", "monitoring", "sts", "kms", "ecr", "panorama")


class Site:
    """The state of the site, second by second."""

    def __init__(self, start: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.start = start
        self.flows_made = 0.0
        self.number = 0
        self.alarms = 0
        self.open: list[FlowRecord] = []
        self.state = ["reachable"] * ENDPOINTS
        self.rtt = [20.0 + n for n in range(ENDPOINTS)]
        self.findings: tuple[FindingRecord, ...] = ()

    def snapshot(self, second: int) -> Snapshot:
        now, passed, chance = second * SECOND, second - self.start, self.chance
        streams = tuple(
            StreamRecord(
                id=f"0-{n}", camera=f"camera-{n}", url=f"rtsp://10.20.0.{10 + n}/stream1",
                ssrc=f"0x{0x1234567 * (n + 1):08x}", payload_type=96, codec="H264",
                transport="udp", src=f"10.20.0.{10 + n}", sport=5_000, dst="10.20.0.5",
                dport=6_000 + 2 * n, first_time_ns=self.start * SECOND, last_time_ns=now,
                packets=180 * passed, bytes=240_000 * passed, expected=180 * passed,
                lost=passed // 300, rate_bps=chance.gauss(2e6, 1e5),
                loss_now=0.0, jitter_ms=chance.random() * 4, fps_now=chance.gauss(15, 0.1),
                jitter_mean_ms=chance.random() * 4, frames=15 * passed, keyframes=passed // 2,
                width=1920, height=1080, profile="High", fps=15.0, gop_s=2.0,
                bitrate_mean_bps=chance.gauss(2e6, 1e3), delta_max_ms=30.0, media="video",
                clock_rate=90_000, signalled=True, verdict="allowed", rule="rtsp", port="eth0",
                history_lost=(0,), history_frames=(15,), history_keyframes=(1,),
                history_frame_bytes=(chance.randrange(20_000, 60_000),),
            )
            for n in range(CAMERAS)
        )  # fmt: skip
        endpoint = chance.randrange(ENDPOINTS)
        if passed % 60 == 0:
            self.rtt[endpoint] = round(chance.gauss(25, 5), 1)
        ports = tuple(
            PortRecord(
                name=f"eth{n}", role=role, mac=f"02:00:00:00:00:1{n}", state="up",
                addresses=(f"10.2{n}.0.5",), packets_in=1_500 * passed, packets_out=900 * passed,
                bytes_in=2_000_000 * passed, bytes_out=60_000 * passed,
                rate_in_bps=chance.gauss(16e6, 1e5), rate_out_bps=chance.gauss(5e5, 1e4),
                peak_in_bps=2e7, speed_mbps=1_000, duplex="full", last_seen_ns=now,
            )
            for n, role in enumerate(("camera", "cloud"))
        )  # fmt: skip
        return Snapshot(
            time_ns=now,
            number=passed,
            site=SiteRecord(name="plant-7", topology="dual", vantage="mirror"),
            source=SourceRecord(
                packets=2_400 * passed, bytes=2_060_000 * passed, first_time_ns=self.start * SECOND,
                last_time_ns=now, interfaces=(("enp3s0", 2_400 * passed, 2_060_000 * passed),),
            ),
            ports=ports,
            streams=streams,
            cameras=tuple(
                CameraRecord(
                    name=f"camera-{n}", address=f"10.20.0.{10 + n}", sessions=1, port="eth0",
                    streams=(f"0-{n}",), state="streaming", user_agent_server="LIVE555",
                )
                for n in range(CAMERAS)
            ),
            endpoints=tuple(
                EndpointRecord(
                    service=SERVICES[n % 8], host=f"{SERVICES[n % 8]}-{n}.us-east-1.amazonaws.com",
                    port=443, rule=SERVICES[n % 8], state=self.state[n], rtt_ms=self.rtt[n],
                    attempts=passed // 60, successes=passed // 60, tls_version="1.3",
                    last_success_ns=now // (60 * SECOND) * 60 * SECOND, bytes=5_000 * passed,
                    address=f"203.0.113.{n + 1}", label=SERVICES[n % 8],
                )
                for n in range(ENDPOINTS)
            ),
            findings=self.findings,
            counts=CountsRecord(
                flows=self.number, flows_live=len(self.open), cameras=CAMERAS, cameras_ok=CAMERAS,
                endpoints=ENDPOINTS, endpoints_ok=ENDPOINTS, events=2 * self.alarms,
            ),
        )  # fmt: skip

    def flows(self, second: int, step: int) -> list[FlowRecord]:
        """Flows that changed in the last `step` seconds."""
        now, chance = second * SECOND, self.chance
        changed = [
            msgspec.structs.replace(
                f, last_time_ns=now, packets_out=f.packets_out + 20 * step, packets_in=f.packets_in,
                bytes_out=f.bytes_out + 9_000 * step, end="closed",
            )
            for f in self.open
        ]  # fmt: skip
        self.open = []
        self.flows_made += FLOWS_AN_HOUR / 3_600 * step
        while self.flows_made >= 1:
            self.flows_made -= 1
            self.number += 1
            n = chance.randrange(ENDPOINTS)
            began = now - chance.randrange(step * SECOND)
            flow = FlowRecord(
                id=f"0-{self.number}", community_id=f"1:{chance.randbytes(20).hex()[:27]}=",
                port="eth1", transport="tcp", src="192.168.5.5",
                sport=chance.randrange(32_768, 61_000), dst=f"203.0.113.{n + 1}", dport=443,
                first_time_ns=began, last_time_ns=now, packets_out=chance.randrange(10, 60),
                packets_in=chance.randrange(10, 60), bytes_out=chance.randrange(2_000, 90_000),
                bytes_in=chance.randrange(2_000, 20_000), app="tls",
                host=f"{SERVICES[n % 8]}-{n}.us-east-1.amazonaws.com", host_source="sni",
                alpn="h2", verdict="allowed", rule=SERVICES[n % 8], service=SERVICES[n % 8],
                rtt_ms=round(chance.gauss(25, 5), 3), retransmits=0, state="closed",
                end="closed" if chance.random() < 0.7 else None, history="ShADadFf",
                conn_state="SF", handshake_ms=round(chance.gauss(30, 5), 3), retransmits_out=0,
                retransmits_in=0, out_of_order=0, dup_acks=0, zero_window=0, syn=1, resets=0,
                mac_src="02:00:00:00:00:11", mac_dst="02:00:00:00:00:fe", client_by="syn",
                payload_out=chance.randrange(90_000), payload_in=chance.randrange(20_000),
                first_packet=self.number * 40, last_packet=self.number * 40 + 30,
            )  # fmt: skip
            changed.append(flow)
            if flow.end is None:
                self.open.append(flow)
        return changed

    def events(self, second: int, step: int) -> list[EventRecord]:
        if self.chance.random() > ALARMS_A_DAY / 86_400 * step:
            return []
        self.alarms += 1
        camera = self.chance.randrange(CAMERAS)
        text = f"Camera camera-{camera} loses packets: {self.alarms} lost"
        now = second * SECOND
        self.findings = (
            FindingRecord(
                id="stream-loss", severity="warning", confidence="certain", key=f"loss {camera}",
                subject=f"camera-{camera}", text=text, action="Look at the cable.",
                first_time_ns=now, last_time_ns=now, camera=f"camera-{camera}",
            ),
        )  # fmt: skip
        return [
            EventRecord(
                time_ns=now,
                number=2 * self.alarms + n,
                kind=kind,
                severity=severity,
                subject=f"camera-{camera}",
                text=text,
            )
            for n, (kind, severity) in enumerate((("finding", "warning"), ("stream", "info")))
        ]


def seconds(days: float) -> Iterator[tuple[int, int]]:
    """(second, step) of the observations."""
    second = END - int(days * 86_400)
    while second < END:
        left = END - second
        step = 1 if left <= 3_600 else 10 if left <= 43_200 else 60
        yield second, step
        second += step


def record(folder: Path, days: float, seed: int = 1, max_size: int = 1 << 40) -> Path:
    """Write the month; returns the folder."""
    limits = Limits(free_bytes=0, size_bytes=max_size)
    recorder = Recorder(folder, lossless=True, commit_every_s=2.0, limits=limits)
    site = Site(END - int(days * 86_400), seed)
    for second, step in seconds(days):
        events = site.events(second, step)
        recorder.observe(site.snapshot(second), site.flows(second, step), events)
    recorder.close()
    return folder


def measure(folder: Path) -> None:
    """Print what it costs."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    began = time.process_time()
    recording = Recording(folder)
    provider = ReviewProvider(recording)
    provider.frame(View())
    opened = time.process_time() - began
    chance, jumps = random.Random(2), []
    for _ in range(100):
        began = time.process_time()
        time_ns = chance.randrange(recording.start_ns, recording.end_ns)
        provider.command(Command(name="seek", time_ns=time_ns))
        provider.frame(View(pane=chance.choice(("overview", "flows", "events", "streams"))))
        jumps.append(time.process_time() - began)
    began = time.process_time()
    provider.command(Command(name="next-event"))
    provider.frame(View(pane="events"))
    event = time.process_time() - began
    jumps.sort()
    days = (recording.end_ns - recording.start_ns) / SECOND / 86_400
    print(f"{days:.1f} days: {size / 1e6:.1f} MB, {size / 1e6 / days:.1f} MB a day")
    print(f"open and first frame {opened * 1e3:.0f} ms of CPU")
    print(f"jump {jumps[50] * 1e3:.0f} ms, at most {jumps[-1] * 1e3:.0f} ms of CPU")
    print(f"to the next event {event * 1e3:.0f} ms of CPU")
    recording.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory at most {peak / 1e3:.0f} MB")
    for path in sorted(folder.rglob("*.sqlite")):
        tables(path)


def tables(path: Path) -> None:
    """Print what is in a database."""
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    connection = sqlite3.connect(path)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in names:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        size = 0
        with contextlib.suppress(sqlite3.Error):  # not every SQLite can say it
            (size,) = connection.execute(
                "SELECT sum(pgsize) FROM dbstat WHERE name = ?", (table,)
            ).fetchone()
        if count:
            print(f"  {table:16} {count:9,} rows {(size or 0) / 1e6:8.1f} MB")
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--only-measure", action="store_true")
    given = parser.parse_args()
    folder = given.folder.with_suffix(".panotui")
    if not given.only_measure:
        began = time.process_time()
        record(folder, given.days)
        print(f"written in {time.process_time() - began:.0f} s of CPU")
    measure(folder)


if __name__ == "__main__":
    main()
