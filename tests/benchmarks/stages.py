"""Where the whole of `analyze --json`, or the meter alone, spends its CPU time.

`python -m tests.benchmarks.stages FILE`: a markdown row a part, CPU seconds. A part is what passes
in calls of one function, without the parts that it calls. The first is what has passed before the
command begins: the interpreter, numpy and the modules that are imported up front.

`python -m tests.benchmarks.stages --meter FILE ...`: the parts of the meter, nanoseconds a packet,
a column a file, the best of three passes in one process.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from panotui.cli import main
from panotui.engine.engine import Engine
from panotui.meter.control.lane import ControlLane
from panotui.meter.duplicates import CopyFinder
from panotui.meter.flows.table import FlowTable
from panotui.meter.linkseconds import LinkSeconds
from panotui.meter.meter import Meter
from panotui.meter.tcp.quality import TcpQuality
from panotui.sources.files.source import FileSource
from panotui.wire.decode import Decoder
from tests.benchmarks import meter_file

PARTS: list[tuple[type, str, str]] = [
    (FileSource, "read", "read and walk"),
    (Meter, "update", "meter: batches"),
    (ControlLane, "payloads", "meter: openings and control"),
    (Meter, "tick", "meter: ticks"),
    (Engine, "apply", "engine: flows, verdicts, diagnosis"),
]


INSIDE: list[tuple[type, str, str]] = [
    (FileSource, "read", "read and walk"),
    (Decoder, "read", "decode"),
    (CopyFinder, "find", "copies"),
    (LinkSeconds, "add", "link seconds"),
    (FlowTable, "assign", "assign"),
    (FlowTable, "group", "group"),
    (FlowTable, "split", "split"),
    (FlowTable, "count", "count"),
    (TcpQuality, "update", "TCP"),
    (Meter, "_lanes", "lanes"),
    (Meter, "tick", "tick"),
]
ROUNDS = 3


class Clock:
    """CPU time by part; only one part's time passes at a time."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.now = "JSON, modules imported on the way and the rest"
        self.since = time.process_time()

    def turn(self, part: str) -> str:
        """From now on time is `part`'s; gives back whose it was."""
        time_s = time.process_time()
        self.spent[self.now] = self.spent.get(self.now, 0.0) + time_s - self.since
        before, self.now, self.since = self.now, part, time_s
        return before

    def watch(self, owner: type, name: str, part: str) -> None:
        plain: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(plain)
        def timed(*arguments: Any, **named: Any) -> Any:
            before = self.turn(part)
            try:
                return plain(*arguments, **named)
            finally:
                self.turn(before)

        is_static = isinstance(owner.__dict__[name], staticmethod)
        setattr(owner, name, staticmethod(timed) if is_static else timed)


def measure(path: str) -> dict[str, float]:
    """CPU seconds by part of one run in this process."""
    started = time.process_time()
    clock = Clock()
    for part in PARTS:
        clock.watch(*part)
    code = main(["analyze", "--json", path])
    clock.turn("")
    if code:
        raise SystemExit(code)
    return {"interpreter, numpy, modules": started, **clock.spent}


def inside(paths: list[str]) -> list[str]:
    """Lines of a table: nanoseconds a packet in each part of the meter."""
    clock = Clock()
    for part in INSIDE:
        clock.watch(*part)
    columns: list[dict[str, float]] = []
    for path in paths:
        passes: list[dict[str, float]] = []
        for _ in range(ROUNDS):
            clock.turn("the rest")
            clock.spent = {}
            packets, _ = meter_file.meter(path)
            clock.turn("")
            passes.append({part: s / packets * 1e9 for part, s in clock.spent.items()})
        columns.append(min(passes, key=lambda spent: sum(spent.values())))
    lines = ["| part | " + " | ".join(Path(path).stem for path in paths) + " |"]
    lines.append("| --- |" + " ---: |" * len(paths))
    for part in itertools.chain((name for _, _, name in INSIDE), ("the rest",)):
        cells = " | ".join(f"{column.get(part, 0.0):.0f}" for column in columns)
        lines.append(f"| {part} | {cells} |")
    together = " | ".join(f"{sum(column.values()):.0f}" for column in columns)
    return [*lines, f"| together | {together} |"]


def main_parts(path: str) -> list[str]:
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    parts = measure(path)
    os.dup2(out, 1)
    lines = ["| part | CPU s |", "| --- | ---: |"]
    return lines + [f"| {part} | {seconds:.2f} |" for part, seconds in parts.items()]


if __name__ == "__main__":
    inner = sys.argv[1:2] == ["--meter"]
    print("\n".join(inside(sys.argv[2:]) if inner else main_parts(sys.argv[1])))
