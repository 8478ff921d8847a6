"""Times Panotui against the tools that a user would pick instead, on the same files, in one run.

`python -m tests.benchmarks.run [--rounds 3] [--nfstream-venv DIR] [--curve]` writes capture files
(see `generate`), runs every contender in turn, round after round, so that all of them meet the same
machine, and prints a markdown table: packets a second of CPU time (user and system, children
included, the start of the process too), the median of the rounds, and how many times as fast
`panotui analyze --json` is. Slow tools get the first packets of the same traffic, with `--few 0`
the same file. What is not installed is left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tests.benchmarks.generate import write

ROOT = Path(__file__).parents[2]
NFSTREAM = (
    "import sys; from nfstream import NFStreamer\n"
    "if __name__ == '__main__':\n"
    "    print(sum(1 for _ in NFStreamer(source=sys.argv[1], n_meters=1)))\n"
)
READ = (
    "import sys, numpy as np\n"
    "print(int(np.memmap(sys.argv[1], np.uint64, 'r', 0, "
    "(__import__('os').path.getsize(sys.argv[1]) // 8,)).max()))\n"
)
EMPTY = "import numpy\n"
WHOLE = "panotui analyze --json"


@dataclass
class Contender:
    """A command over a file; its CPU seconds, a round each."""

    # compiled modules are kept, as where Panotui is installed
    environment: ClassVar[dict[str, str]] = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }

    name: str
    command: list[str]
    packets: int
    spent: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def run(self) -> None:
        start = time.perf_counter()
        process = subprocess.Popen(
            self.command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=self.environment,
        )
        _, _, usage = os.wait4(process.pid, 0)
        self.wall.append(time.perf_counter() - start)
        self.spent.append(usage.ru_utime + usage.ru_stime)

    @property
    def rate(self) -> float:
        """Packets a second of CPU time."""
        return self.packets / max(statistics.median(self.spent), 1e-6)


def contenders(
    kind: str, long: tuple[Path, int], short: tuple[Path, int], nfstream: Path | None
) -> list[Contender]:
    """Everybody who is installed, Panotui first."""
    path, packets = long
    small, few = short
    python = sys.executable
    out = [
        Contender(
            "panotui meter", [python, "-m", "tests.benchmarks.meter_file", str(path)], packets
        ),
        Contender(
            WHOLE,
            [python, "-m", "panotui", "analyze", str(path), "--json"],
            packets,
        ),
    ]
    tools = [
        ("tshark -z conv,tcp -z conv,udp", small, few,
         ["tshark", "-n", "-q", "-r", str(small), "-z", "conv,tcp", "-z", "conv,udp"]),
        ("tshark -z rtp,streams", small, few,
         ["tshark", "-n", "-q", "-r", str(small), "--enable-heuristic", "rtp_udp",
          "-z", "rtp,streams"]),
        ("tcpdump, text", small, few, ["tcpdump", "-nn", "-r", str(small)]),
        ("ndpiReader", small, few, ["ndpiReader", "-q", "-i", str(small)]),
        ("capinfos", path, packets, ["capinfos", str(path)]),
        ("tcpdump -w /dev/null", path, packets, ["tcpdump", "-r", str(path), "-w", "/dev/null"]),
    ]  # fmt: skip
    for name, _, count, command in tools:
        if "rtp" in name and kind not in ("rtp", "mixed"):
            continue
        if shutil.which(command[0]):
            out.append(Contender(name, command, count))
    if nfstream is not None:
        command = [str(nfstream / "bin" / "python"), "-c", NFSTREAM, str(small)]
        out.append(Contender("nfstream", command, few))
    out.append(Contender("cat > /dev/null", ["cat", str(path)], packets))
    out.append(Contender("memory read", [python, "-c", READ, str(path)], packets))
    return out


def table(kind: str, rows: list[Contender], start_s: float) -> str:
    """A markdown table of one kind of traffic."""
    ours = next(row.rate for row in rows if row.name == WHOLE)
    lines = [
        f"### {kind}",
        "",
        "| tool | packets | CPU s | wall s | M packets/s of CPU | analyze is |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.packets:,} | {statistics.median(row.spent):.2f} | "
            f"{statistics.median(row.wall):.2f} | {row.rate / 1e6:.3f} | x {ours / row.rate:.2f} |"
        )
    lines += ["", f"(Starting Python with numpy takes {start_s:.2f} s of these.)", ""]
    return "\n".join(lines)


def starting() -> float:
    contender = Contender("start", [sys.executable, "-c", EMPTY], 0)
    for _ in range(3):
        contender.run()
    return statistics.median(contender.spent)


def curve(folder: Path) -> str:
    """Work of the meter alone, from 10^5 to 10^7 small packets."""
    lines = [
        "### curve, small packets",
        "",
        "| packets | CPU s in the meter | ns a packet | memory peak MB |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for packets in (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000):
        path = folder / "curve.pcap"
        write(path, "small", packets)
        command = [sys.executable, "-m", "tests.benchmarks.meter_file", str(path)]
        runs = [
            subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
            .stdout.splitlines()[-1]
            .split()
            for _ in range(3)
        ]
        spent = statistics.median(float(run[2]) for run in runs)
        peak = statistics.median(float(run[3]) for run in runs)
        lines.append(f"| {packets:,} | {spent:.2f} | {spent / packets * 1e9:.0f} | {peak:.0f} |")
        path.unlink()
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", type=int, default=3_000_000)
    parser.add_argument("--rtp", type=int, default=800_000)
    parser.add_argument("--few", type=int, default=200_000, help="packets for slow tools, 0: all")
    parser.add_argument("--kinds", nargs="*", default=["small", "rtp", "mixed"])
    parser.add_argument("--nfstream-venv", type=Path)
    parser.add_argument("--curve", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="panotui-benchmark-") as name:
        folder = Path(name)
        start_s = starting()
        for kind in options.kinds:
            packets = options.small if kind == "small" else options.rtp
            long, short = folder / f"{kind}.pcap", folder / f"{kind}-few.pcap"
            write(long, kind, packets)
            slow = (long, packets)
            if options.few:
                slow = (short, options.few)
                write(short, kind, options.few)
            rows = contenders(kind, (long, packets), slow, options.nfstream_venv)
            for _ in range(options.rounds):
                for row in rows:
                    row.run()
            print(table(kind, rows, start_s), flush=True)
            print(f"Load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n", flush=True)
            long.unlink()
            short.unlink(missing_ok=True)
        if options.curve:
            print(curve(folder), flush=True)


if __name__ == "__main__":
    main()
