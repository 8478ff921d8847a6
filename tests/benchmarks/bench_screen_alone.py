"""What the screen's own process costs, its collector apart, and how long a key takes to be seen.

`python -m tests.benchmarks.bench_screen_alone [SECONDS] [COLUMNSxROWS]` serves made-up sites from
another process, whose numbers change each second, and attaches the real screen on a pseudo-terminal
that answers at once. It prints CPU seconds of the screen's process as a share of a core, bytes a
second, and of one hundred keys the median and the 99th percentile from key to changed picture.

`... bench_screen_alone flows [FLOWS]` runs a real collector that holds so many flows (100,000). A
meter's process reports a second of some of them each second. It measures keys that order and page
all flows: the time to the changed picture, and the CPU time that collector and screen spend until
then, with the work of a second where one passes meanwhile.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from panotui.engine.engine import Engine
from panotui.engine.settings import EngineSettings
from panotui.feed.collector import Collector
from panotui.feed.server import FeedServer, listen
from panotui.meter.meter import Meter
from panotui.model import SECOND, MeterSettings, SourceCounters
from panotui.runtime.live_meters import LiveMeterProcess, LiveMeters
from panotui.runtime.pipe import (
    LiveOrder,
    News,
    Opened,
    SourceState,
    encode_news,
    encoder,
    read_frame,
    write_frame,
)
from panotui.site.file import parse_site
from panotui.views.provider import StateProvider
from tests.benchmarks.bench_screen import cpu_s
from tests.benchmarks.judging import SITE, START_NS, made_packets
from tests.tui import frames_builder
from tests.tui.terminals import Terminal

PANES = (("1", "overview"), ("2", "flows"), ("3", "streams"), ("6", "findings"))
KEYS = 100
CHANGING = 2_000  # flows of the many that change each second


def hundred() -> frames_builder.Site:
    """100 cameras, each with its stream, and 2,000 flows."""
    site = frames_builder.large()
    names = [f"hall-{n // 10}-camera-{n:03}" for n in range(100)]
    site.cameras = tuple(frames_builder.camera(n, name) for n, name in enumerate(names, 1))
    site.streams = tuple(frames_builder.stream(n, name) for n, name in enumerate(names, 1))
    site.flows = site.flows[:2000]
    return site


SITES = {"typical": frames_builder.plant, "100 cameras": hundred}


def serve(site: frames_builder.Site, path: Path) -> int:
    """The process id of a collector of this site, which listens at `path`."""
    listener = listen(path)
    pid = os.fork()
    if pid:
        listener.close()
        return pid
    provider = StateProvider(site, "attach", recorder=lambda: site.recorder)
    server = FeedServer(provider, listener)
    moved = time.monotonic()
    while True:
        server.poll(0.05)
        if time.monotonic() - moved >= 1.0:
            moved += 1.0
            site.advance()
            provider.second(site.time_ns)


def measure(
    path: Path, size: tuple[int, int], seconds: float
) -> tuple[list[tuple[str, float, float]], list[float]]:
    """([(pane, share of a core, bytes a second)], seconds from key to picture)."""
    command = [sys.executable, "-m", "panotui", "attach", str(path), "--no-mouse"]
    found, waits = [], []
    with Terminal(columns=size[0], rows=size[1], command=command) as terminal:
        terminal.until(terminal.shows("PORTS"), 60)
        for key, pane in PANES:
            terminal.type(key)
            if pane != "overview":
                terminal.until(terminal.shows(pane.upper()), 20)
            settled = time.monotonic() + 3
            while time.monotonic() < settled:
                terminal.read(0.05)
            sent, used, began = len(terminal.raw), cpu_s(terminal.pid), time.monotonic()
            while time.monotonic() - began < seconds:
                terminal.read(0.05)
            took = time.monotonic() - began
            share = (cpu_s(terminal.pid) - used) / took
            found.append((pane, share, (len(terminal.raw) - sent) / took))
        for number in range(KEYS):
            pane = ("streams", "findings")[number % 2]
            terminal.type("36"[number % 2])
            waits.append(terminal.until(terminal.shows(pane.upper()), 20))
        terminal.type("\x03")
        terminal.ended()
    return found, sorted(waits)


def many_flows(number: int) -> tuple[Engine, Callable[[IO[bytes], IO[bytes]], None]]:
    """An engine that holds so many flows, and the main loop of a meter's process that reports a
    second of some of them each second, as a live meter does."""
    batch = made_packets(number, 2, "cloud")
    meter = Meter(MeterSettings(flows_max=2 * number), 0)
    engine = Engine(parse_site(SITE), EngineSettings(flows_max=2 * number))
    for start in range(0, len(batch), 262_144):
        meter.update(batch.slice(start, min(len(batch), start + 262_144)))
    first = START_NS // SECOND + 1
    engine.apply(meter.tick(first * SECOND))

    def report(asked: IO[bytes], told: IO[bytes]) -> None:
        read_frame(asked)  # the order
        write_frame(told, encoder.encode(Opened(interfaces=tuple(batch.interfaces))))
        read_frame(asked)  # "begin"
        changing, moved, second = batch.slice(number, number + CHANGING), time.monotonic(), first
        while True:
            times = second * SECOND + np.arange(CHANGING, dtype=np.int64) * 1000
            meter.update(msgspec.structs.replace(changing, time_ns=times))
            second += 1
            news = News(0, 0, meter.tick(second * SECOND), SourceState(counters=SourceCounters()))
            write_frame(told, encode_news(news))
            moved += 1.0
            time.sleep(max(0.0, moved - time.monotonic()))

    return engine, report


def serve_flows(number: int, path: Path) -> int:
    """The process id of a collector with so many flows, which listens at `path`."""
    listener = listen(path)
    engine, report = many_flows(number)
    pid = os.fork()
    if pid:
        listener.close()
        return pid
    order = LiveOrder(
        meter=0, names=("made",), ring_bytes=0, snap_bulk=0, promiscuous=False, keeping=None,
        settings=MeterSettings(),
    )  # fmt: skip
    meters = LiveMeters([LiveMeterProcess(order, report)])
    meters.opened(["made"])
    meters.begin(engine)
    provider = StateProvider(engine, "attach")
    server = FeedServer(provider, listener)
    meters.on_tick.append(provider.second)
    collector = Collector(meters, server=server, wait_on=meters.filenos)
    collector.run()
    os._exit(0)


def run_ns(*pids: int) -> int:
    """Nanoseconds of CPU that all threads of these processes have had."""
    return sum(
        int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        for pid in pids
        for task in os.listdir(f"/proc/{pid}/task")
    )


def measure_keys(
    path: Path, served: int, number: int, size: tuple[int, int]
) -> list[tuple[float, float]]:
    """(seconds, CPU seconds of collector and screen) from key to changed picture."""
    command = [sys.executable, "-m", "panotui", "attach", str(path), "--no-mouse"]
    out = []
    with Terminal(columns=size[0], rows=size[1], command=command) as terminal:
        terminal.until(terminal.shows("PORTS"), 60)
        terminal.type("2")
        terminal.until(terminal.shows("VERDICT"), 60)
        terminal.type("a")  # each flow a row
        terminal.until(terminal.shows(f" of {number}"), 60)

        def heading() -> list[str]:
            """The pane's name with its rows and order, and its titles: each key changes them."""
            return [line[:140].split(" of ")[0] for line in terminal.screen.display[1:3]]

        def settle() -> None:
            until = time.monotonic() + 0.7
            while time.monotonic() < until:
                terminal.read(0.05)

        for turn in range(KEYS + 5):
            key = "sSG62"[turn % 5]
            if key == "G":
                terminal.type("g")  # from the first row, wherever the cursor's has gone
            settle()
            before = heading()
            used = run_ns(terminal.pid, served)
            terminal.type(key)

            def changed(before: list[str] = before) -> bool:
                return heading() != before

            waited = terminal.until(changed, 3)
            if turn >= 5:  # the first ones load what they need
                out.append((waited, (run_ns(terminal.pid, served) - used) / 1e9))
        terminal.type("\x03")
        terminal.ended()
    return out


def flows(number: int) -> None:
    """Print how long keys take with so many flows."""
    for size in ((80, 24), (200, 60)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "flows.sock"
            pid = serve_flows(number, path)
            try:
                found = measure_keys(path, pid, number, size)
            finally:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        for name, column in (("wall", 0), ("CPU", 1)):
            values = sorted(value[column] * 1e3 for value in found)
            middle, late = values[len(values) // 2], values[len(values) * 99 // 100]
            print(
                f"{number:,} flows {size[0]}x{size[1]}, {len(found)} keys to picture, {name}: "
                f"{middle:.0f} ms, 99th {late:.0f} ms, longest {values[-1]:.0f} ms",
                flush=True,
            )


def main() -> None:
    if sys.argv[1:2] == ["flows"]:
        flows(int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
        return
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    columns, _, rows = (sys.argv[2] if len(sys.argv) > 2 else "120x40").partition("x")
    for name, made in SITES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "made.sock"
            site = made()
            site.site = msgspec.structs.replace(site.site, name=name.replace(" ", "-"))
            pid = serve(site, path)
            try:
                found, waits = measure(path, (int(columns), int(rows)), seconds)
            finally:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        for pane, share, rate in found:
            print(f"{name:12} {columns}x{rows} {pane:9} {share * 100:5.2f} % {rate:6.0f} B/s")
        middle, late = waits[len(waits) // 2] * 1e3, waits[len(waits) * 99 // 100] * 1e3
        print(f"{name:12} key to picture: {middle:.0f} ms, 99th {late:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
