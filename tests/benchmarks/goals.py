"""Times Panotui against its goals: the same whole file for every tool, in one run.

`python -m tests.benchmarks.goals [--rounds 3] [--only NAME ...] [--nfstream-venv DIR]`: a markdown
table, a row for each traffic: CPU seconds (user and system, start included, the least of the
rounds) of `analyze --json` and of the other tool, in turns, and how many times as fast ours is.
`--folder DIR` keeps the files for the next time. `--curve` is a table of the same number of packets
in more and more seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import generate, interleaved, site_day
from tests.benchmarks.run import NFSTREAM, Contender
from tests.captures import capture, captures

RTP_PORTS = ["-d", "udp.port==50000-50014,rtp"]
CURVE_S = (1, 10, 100, 1_000, 10_000)
CURVE_PACKETS = 100_000
LARGE = 1_000_000  # bytes, of a capture at hand
Write = Callable[[Path], object]


def ours(path: Path) -> list[str]:
    return [sys.executable, "-m", "panotui", "analyze", str(path), "--json"]


def tshark(path: Path, *statistics: str, options: list[str] | None = None) -> list[str]:
    asked = [word for one in statistics for word in ("-z", one)]
    return ["tshark", "-n", "-q", "-r", str(path), *(options or []), *asked]


def conversations(path: Path) -> list[str]:
    return tshark(path, "conv,tcp")


def streams(path: Path) -> list[str]:
    return tshark(path, "rtp,streams", options=RTP_PORTS)


def interleaved_streams(path: Path) -> list[str]:
    return tshark(path, "rtp,streams")


def tcpdump(path: Path) -> list[str]:
    return ["tcpdump", "-r", str(path), "-w", "/dev/null"]


def generated(kind: str, packets: int, rate: float = 1_000_000.0) -> Write:
    return lambda path: generate.write(path, kind, packets, rate)


def at_hand(name: str) -> Write:
    return lambda path: shutil.copyfile(capture(name), path)


# name -> how its file is written, and the tool that the goal names
ROWS: dict[str, tuple[Write, Callable[[Path], list[str]]]] = {
    "cameras": (generated("cameras", 400_000, 1440.0), streams),
    "interleaved": (
        lambda path: interleaved.write(path, 400_000, 1440.0), interleaved_streams,
    ),
    "day": (lambda path: site_day.write(path, 86_400), conversations),
    "quiet": (at_hand("open/tcpdump__arp-oobr.pcap"), conversations),
    "middle": (generated("middle", 1_000_000), conversations),
    "connections": (generated("connections", 800_000, 50_000.0), conversations),
    "hellos": (generated("hellos", 800_000, 50_000.0), conversations),
    "rtp": (generated("rtp", 2_000_000), tcpdump),
}  # fmt: skip
WITH_NFSTREAM = ("connections", "hellos")


def least(rows: list[Contender], rounds: int) -> list[float]:
    """CPU seconds of each, which take turns."""
    for _ in range(rounds):
        for row in rows:
            row.run()
    return [min(row.spent) for row in rows]


def compared(name: str, path: Path, rounds: int, nfstream: Path | None) -> None:
    """Print one row of the table."""
    write, other = ROWS[name]
    if not path.exists():
        write(path)
    rows = [Contender("ours", ours(path), 0), Contender("theirs", other(path), 0)]
    if nfstream is not None and name in WITH_NFSTREAM:
        command = [str(nfstream / "bin" / "python"), "-c", NFSTREAM, str(path)]
        rows.append(Contender("nfstream", command, 0))
    own, *others = least(rows, rounds)
    told = "".join(f" {spent:.2f}, x {spent / own:.1f} |" for spent in others)
    print(f"| {name} | {own:.2f} |{told} load {os.getloadavg()[0]:.0f}", flush=True)


def large_captures(rounds: int) -> None:
    """The captures at hand of more than 1 MB, together."""
    paths = [path for path in map(capture, captures()) if path.stat().st_size > LARGE]
    rows = [
        Contender(tool, command(path), 0)
        for path in paths
        for tool, command in (
            ("ours", ours), ("theirs", lambda p: tshark(p, "conv,tcp", "conv,udp")),
        )
    ]  # fmt: skip
    spent = least(rows, rounds)
    own, theirs = sum(spent[::2]), sum(spent[1::2])
    told = f"{own:.2f} | {theirs:.2f}, x {theirs / own:.1f}"
    print(f"| {len(paths)} captures over 1 MB | {told} | load {os.getloadavg()[0]:.0f}", flush=True)


def curve(folder: Path, rounds: int) -> None:
    """The same number of packets in more and more seconds: conversations, and streams."""
    print("| kind | " + " | ".join(f"{seconds:,} s" for seconds in CURVE_S) + " |")
    for kind in ("kept", "cameras"):
        rows = []
        for seconds in CURVE_S:
            path = folder / f"{kind}-{seconds}.pcap"
            generate.write(path, kind, CURVE_PACKETS, CURVE_PACKETS / seconds)
            rows.append(Contender(kind, ours(path), CURVE_PACKETS))
        told = " | ".join(f"{spent:.2f}" for spent in least(rows, rounds))
        print(f"| {kind} | {told} | load {os.getloadavg()[0]:.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=[*ROWS, "captures"])
    parser.add_argument("--nfstream-venv", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--curve", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="panotui-benchmark-") as made:
        folder = options.folder or Path(made)
        if options.curve:
            curve(folder, options.rounds)
            return
        for name in ROWS:
            if options.only is None or name in options.only:
                path = folder / f"{name}.pcap"
                compared(name, path, options.rounds, options.nfstream_venv)
                if options.folder is None:
                    path.unlink()
        if options.only is None or "captures" in options.only:
            large_captures(options.rounds)


if __name__ == "__main__":
    main()
