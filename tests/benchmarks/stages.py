"""Where the whole of `analyze --json` spends its CPU time.

`python -m tests.benchmarks.stages FILE`: a markdown row a part, CPU seconds. A part is what passes
in calls of one function, without the parts that it calls. The first is what has passed before the
command begins: the interpreter, numpy and the modules that are imported up front.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from panotui.cli import main
from panotui.engine import Engine
from panotui.meter.control import ControlLane
from panotui.meter.meter import Meter
from panotui.sources.file import FileSource

PARTS: list[tuple[type, str, str]] = [
    (FileSource, "read", "read and walk"),
    (Meter, "update", "meter: batches"),
    (ControlLane, "payloads", "meter: openings and control"),
    (Meter, "tick", "meter: ticks"),
    (Engine, "apply", "engine: flows, verdicts, diagnosis"),
]


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

        setattr(owner, name, timed)


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


if __name__ == "__main__":
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    parts = measure(sys.argv[1])
    lines = ["| part | CPU s |", "| --- | ---: |"]
    lines += [f"| {part} | {seconds:.2f} |" for part, seconds in parts.items()]
    os.write(out, "\n".join([*lines, ""]).encode())
