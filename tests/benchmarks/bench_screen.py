"""What the screen costs: bytes a second on the line, CPU of its process, at each pane and size.

`python -m tests.benchmarks.bench_screen [SECONDS]` runs the real screen on made-up sites whose
numbers change twice a second, over a pseudo-terminal that answers at once, and prints a table.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.tui.terminals import Terminal

SITES = (("idle", "rest"), ("plant", "typical"), ("large", "30 cameras"))
SIZES = ((80, 24), (120, 40), (200, 60))
PANES = (("1", "PORTS"), ("2", "FLOWS"), ("3", "STREAMS"), ("3G\r", "bit-rate"))


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(
    site: str, size: tuple[int, int], keys: str, word: str, seconds: float
) -> tuple[float, float]:
    """(bytes a second, share of a core)."""
    step = () if site == "idle" else ("--step",)
    with Terminal(site, *step, columns=size[0], rows=size[1]) as terminal:
        terminal.until(terminal.shows("PORTS"), 20)
        for key in keys:
            terminal.type(key)
            terminal.until(terminal.shows("STREAMS" if key in "3G" else word), 20)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            terminal.read(0.05)
        sent, used, began = len(terminal.raw), cpu_s(terminal.pid), time.monotonic()
        while time.monotonic() - began < seconds:
            terminal.read(0.05)
        took = time.monotonic() - began
        rate, share = (len(terminal.raw) - sent) / took, (cpu_s(terminal.pid) - used) / took
        terminal.type("\x03")
        terminal.ended()
        return rate, share


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    print(f"{'site':12} {'size':8} {'pane':10} {'B/s':>7} {'CPU %':>6}")
    for site, name in SITES:
        for size in SIZES:
            for keys, word in PANES:
                rate, share = measure(site, size, keys, word, seconds)
                said = {"1": "overview", "2": "flows", "3": "streams"}.get(keys, "stream")
                line = f"{name:12} {size[0]}x{size[1]:<4} {said:10} {rate:7.0f} {share * 100:6.2f}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
