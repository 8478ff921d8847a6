"""What the screen's own process costs, its collector apart, and how long a key takes to be seen.

`python -m tests.benchmarks.bench_screen_alone [SECONDS] [COLUMNSxROWS]` serves made-up sites from
another process, whose numbers change each second, and attaches the real screen on a pseudo-terminal
that answers at once. It prints CPU seconds of the screen's process as a share of a core, bytes a
second, and of one hundred keys the median and the 99th percentile from key to changed picture.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from panotui.feed.server import FeedServer, listen
from panotui.views.provider import StateProvider
from tests.benchmarks.bench_screen import cpu_s
from tests.tui import frames_builder
from tests.tui.terminals import Terminal

PANES = (("1", "overview"), ("2", "flows"), ("3", "streams"), ("6", "findings"))
KEYS = 100


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


def main() -> None:
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
