"""`panotui fleet` with one worker and with two, and what a file costs beyond its analysis.

`python -m tests.benchmarks.fleet FOLDER [--files N] [--packets P] [--small N] [--rounds K]` makes
one capture of P packets (`mixed`: 880 bytes each on the average) in FOLDER and N names of it, and
small ones of the lab. The runs take turns. CPU is user and system of all processes; the load stands
beside, for wall times mean little on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.captures import capture


def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(*words: str | Path) -> tuple[float, float, bytes]:
    """(CPU seconds, wall seconds, stdout)."""
    before, began = spent(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "panotui", *map(str, words)], stdout=subprocess.PIPE, check=True
    )
    return spent() - before, time.monotonic() - began, done.stdout


def fleet(source: Path, lake: Path, workers: int) -> tuple[float, dict[str, float]]:
    shutil.rmtree(lake, ignore_errors=True)
    cpu, _, said = run("fleet", source, "-o", lake, "--workers", str(workers), "--json")
    return cpu, json.loads(said)


def folder_of(folder: Path, base: Path, files: int) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(files):
        name = folder / f"site-{number % 10}" / f"{number:05}.pcap"
        name.parent.mkdir(parents=True, exist_ok=True)
        os.link(base, name)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=24)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    base = args.folder / "base.pcap"
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.generate", "mixed", str(args.packets), str(base)],
        check=True,
    )
    little = args.folder / "small.pcap"
    shutil.copy(capture("lab/udp-h264.pcap"), little)
    lake = args.folder / "lake"
    for name, one, files in (("large", base, args.files), ("small", little, args.small)):
        source = folder_of(args.folder / name, one, files)
        print(f"{name}: {files} files, {files * one.stat().st_size / 1e9:.2f} GB")
        single = folder_of(args.folder / "one", one, 1)
        start = {}  # what a run costs beyond the analysis of its only file
        for workers in (1, 2):
            cpu, said = fleet(single, lake, workers)
            start[workers] = cpu - said["cpu_s"]
        for _ in range(args.rounds):
            for workers in (1, 2):
                cpu, said = fleet(source, lake, workers)
                beyond = (cpu - said["cpu_s"] - start[workers]) / (files - 1)
                size = sum(p.stat().st_size for p in lake.rglob("*") if p.is_file())
                count = sum(1 for p in lake.rglob("*") if p.is_file())
                print(
                    f"  {workers} workers: {said['seconds']:.1f} s wall, start "
                    f"{said['start_s']:.1f} s, {cpu:.1f} s CPU, analyses {said['cpu_s']:.1f}, "
                    f"{beyond:.3f} a file beyond them, lake {size / files / 1e3:.1f} kB and "
                    f"{count / files:.1f} files a capture, load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
