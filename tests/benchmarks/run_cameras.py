"""Times Panotui against tshark on whole files of cameras at their own pace, in one run.

`python -m tests.benchmarks.run_cameras [--rounds 3]`: eight cameras over UDP at 1,440 and at 246
packets a second, and interleaved in RTSP connections. Prints a markdown table of CPU seconds (user
and system, start included, the median of the rounds), and what remains of them: the start, the same
packets in one second, and the rest for each second of packet time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import generate, interleaved
from tests.benchmarks.run import ROOT, Contender

START = ROOT / "tests" / "data" / "lab" / "lldp.pcap"  # 15 packets


def analyzed(name: str, path: Path, packets: int) -> Contender:
    command = [sys.executable, "-m", "panotui", "analyze", str(path), "--json"]
    return Contender(name, command, packets)


def tshark(path: Path, packets: int, ports: bool) -> Contender:
    declared = ["-d", "udp.port==50000-50014,rtp"] if ports else []
    command = ["tshark", "-n", "-q", "-r", str(path), *declared, "-z", "rtp,streams"]
    return Contender("tshark -z rtp,streams", command, packets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| traffic | analyze | tshark | | start | the packets | ms a second |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory(prefix="panotui-benchmark-") as name:
        for title, packets, rate, udp in (
            ("1,440 packets/s over UDP", 400_000, 1440.0, True),
            ("246 packets/s over UDP", 200_000, 246.0, True),
            ("1,440 packets/s inside TCP", 400_000, 1440.0, False),
        ):
            path, dense = Path(name) / "paced.pcap", Path(name) / "dense.pcap"
            if udp:
                generate.write(path, "cameras", packets, rate)
                generate.write(dense, "cameras", packets, float(packets), rate)
            else:
                interleaved.write(path, packets, rate)
                interleaved.write(dense, packets, float(packets), rate)
            whole = analyzed("whole", path, packets)
            rows = [whole, tshark(path, packets, udp)]
            rows += [analyzed("start", START, 15), analyzed("dense", dense, packets)]
            for _ in range(options.rounds):
                for row in rows:
                    row.run()
            all_s, theirs, start, close = (statistics.median(row.spent) for row in rows)
            each = (all_s - close) / (packets / rate - 1) * 1000
            print(
                f"| {title}, {packets / rate:,.0f} s | {all_s:.2f} | {theirs:.2f} "
                f"| x {theirs / all_s:.1f} | {start:.2f} | {close - start:.2f} | {each:.2f} |",
                flush=True,
            )
    print(f"Load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
