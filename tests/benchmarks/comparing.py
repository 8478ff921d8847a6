"""`compare-captures` of two large captures against `analyze` of one, in turns, CPU seconds.

python -m tests.benchmarks.comparing [--kind KIND] [--packets N] [--rate R] [--rounds K]
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
HEADERS = 54  # Ethernet, IPv4 and TCP


def other_place(path: Path, out: Path, joins: bool) -> None:
    """The capture as another place has it: some packets less, 3 s and 40 us later. With `joins`
    as behind a network card that joins segments: those of a burst which follow each other are one.
    """
    data = path.read_bytes()
    kept = np.random.default_rng(1).random(len(data) // 60) >= SHARE
    view, at, number = memoryview(data), 24, 0
    run: list[memoryview] = []  # frames that will be one
    head = (0, 0)  # time of the first
    with out.open("wb") as file:
        file.write(view[:24])
        while at < len(data):
            seconds, micros, captured, _ = struct.unpack_from("<IIII", data, at)
            frame = view[at + 16 : at + 16 + captured]
            if run and not (joins and kept[number] and follows(run[-1], frame)):
                file.write(joined(head, run))
                run = []
            if kept[number]:
                head = head if run else (seconds + 3, min(micros + 40, 999_999))
                run.append(frame)
            at, number = at + 16 + captured, number + 1
        if run:
            file.write(joined(head, run))


def follows(before: memoryview, frame: memoryview) -> bool:
    """Is it the next segment of the same connection?"""
    size = len(before) - HEADERS
    next_one = (int.from_bytes(before[38:42], "big") + size) & 0xFFFFFFFF
    return before[26:38] == frame[26:38] and next_one == int.from_bytes(frame[38:42], "big")


def joined(head: tuple[int, int], run: list[memoryview]) -> bytes:
    """The record of all segments as one."""
    frame = b"".join([run[0], *(after[HEADERS:] for after in run[1:])])
    if len(run) > 1:
        frame = frame[:16] + (len(frame) - 14).to_bytes(2, "big") + frame[18:]
    return struct.pack("<IIII", *head, len(frame), len(frame)) + frame


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
    parser.add_argument("--kind", choices=("rtp", "mixed", "segments"), default="rtp")
    parser.add_argument("--packets", type=int, default=800_000)
    parser.add_argument("--rate", type=float, default=3_000.0)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        a, b = Path(folder) / "a.pcap", Path(folder) / "b.pcap"
        generate = [
            sys.executable,
            "-m",
            "tests.benchmarks.generate",
            given.kind,
            str(given.packets),
        ]
        subprocess.run([*generate, str(a), "--rate", str(given.rate)], check=True)
        # in a process of its own: a child counts the memory of the parent that it came from
        making = multiprocessing.get_context("spawn").Process(
            target=other_place, args=(a, b, given.kind == "segments")
        )
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
