"""`compare-captures` of two large captures against `analyze` of one, in turns, CPU seconds.

python -m tests.benchmarks.comparing [--packets N] [--rate R] [--rounds K]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SHARE = 0.005


def other_place(path: Path, out: Path) -> None:
    """The capture as another place has it: some packets less, 3 s and 40 us later."""
    data = np.fromfile(path, np.uint8)
    (captured,) = struct.unpack("<I", data[32:36].tobytes())
    records = data[24:].reshape(-1, 16 + captured)
    records = records[np.random.default_rng(1).random(len(records)) >= SHARE]
    stamps = records[:, :8].copy().view("<u4")
    stamps[:, 0] += 3
    stamps[:, 1] = np.minimum(stamps[:, 1] + 40, 999_999)
    records[:, :8] = stamps.view(np.uint8)
    with out.open("wb") as file:
        file.write(data[:24].tobytes())
        file.write(records.tobytes())


def cost(*args: str | Path) -> tuple[float, float]:
    """CPU seconds and megabytes of `panotui ARGS`."""
    child = subprocess.Popen(
        [sys.executable, "-m", "panotui", *map(str, args)], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{args}: exit code {child.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=800_000)
    parser.add_argument("--rate", type=float, default=3_000.0)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        a, b = Path(folder) / "a.pcap", Path(folder) / "b.pcap"
        generate = [sys.executable, "-m", "tests.benchmarks.generate", "rtp", str(given.packets)]
        subprocess.run([*generate, str(a), "--rate", str(given.rate)], check=True)
        # in a process of its own: a child counts the memory of the parent that it came from
        making = multiprocessing.get_context("spawn").Process(target=other_place, args=(a, b))
        making.start()
        making.join()
        for _ in range(given.rounds):
            one, memory = cost("analyze", "--json", a)
            both, more = cost("compare-captures", "--json", a, b)
            print(
                f"analyze {one:.2f} s {memory:.0f} MB, compare-captures {both:.2f} s {more:.0f} MB:"
                f" x {both / one:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
