"""One capture through one meter in this process; prints packets, seconds of work, memory peak.

`python -m tests.benchmarks.meter_file FILE [--profile]`. The seconds are CPU time of the reading
and metering alone (ticks included), without starting the interpreter.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from panotui.meter.meter import Meter
from panotui.model import SECOND, MeterSettings, PacketBatch
from panotui.sources import open_file


def seconds(batch: PacketBatch) -> Iterator[tuple[PacketBatch, int]]:
    """The batch cut at whole seconds of packet time, each part with its second."""
    second = batch.time_ns // SECOND
    edges = np.flatnonzero(np.diff(second)) + 1
    bounds = [0, *edges.tolist(), len(batch)]
    for start, stop in itertools.pairwise(bounds):
        yield batch.slice(start, stop), int(second[start])


def meter(path: str) -> tuple[int, int]:
    """Packets and flow rows told."""
    process = Meter(MeterSettings(), 0)
    source = open_file(path)
    now = 0
    rows = 0
    while not source.ended:
        batch = source.read(0)
        if batch is None:
            continue
        for part, second in seconds(batch):
            if now and second > now:
                rows += len(process.tick(second * SECOND).flows)
            now = second
            process.update(part)
    rows += len(process.tick((now + 1) * SECOND).flows)
    source.close()
    return process.counters.packets, rows


def peak_bytes() -> int:
    """The largest resident size of this program. (ru_maxrss would count who started it, too.)"""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    start = time.process_time()
    packets, rows = meter(options.path)
    spent = time.process_time() - start
    profile.disable()
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    peak_mb = peak_bytes() / 1e6
    print(packets, rows, f"{spent:.4f}", f"{peak_mb:.0f}")


if __name__ == "__main__":
    main()
