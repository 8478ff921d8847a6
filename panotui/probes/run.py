"""Runs checks in parallel within a fixed time; those not finished by then are reported as failed.

Threads are daemons: a check that hangs in the operating system delays neither the results nor the
end of the program, and Ctrl-C ends the wait at once.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from panotui.probes.result import ProbeResult

AT_ONCE = 32
TOTAL_S = 14.0


class Check(Struct, frozen=True):
    """A check to run: its name while it runs, and its function."""

    kind: str
    name: str
    target: str
    run: Callable[[], Sequence[ProbeResult]]


def run_all(checks: Sequence[Check], total_s: float = TOTAL_S) -> list[ProbeResult]:
    """The results of all checks, in their order."""
    waiting: queue.SimpleQueue[tuple[int, Check]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Sequence[ProbeResult]]] = queue.SimpleQueue()
    for item in enumerate(checks):
        waiting.put(item)
    for _ in range(min(AT_ONCE, len(checks))):
        threading.Thread(target=_work, args=(waiting, done), daemon=True).start()
    found: dict[int, Sequence[ProbeResult]] = {}
    end = time.monotonic() + total_s
    while len(found) < len(checks):
        try:
            index, results = done.get(timeout=max(0.001, end - time.monotonic()))
        except queue.Empty:
            break
        found[index] = results
    return [
        result
        for index, check in enumerate(checks)
        for result in found.get(index, (_late(check, total_s),))
    ]


def _work(
    waiting: queue.SimpleQueue[tuple[int, Check]],
    done: queue.SimpleQueue[tuple[int, Sequence[ProbeResult]]],
) -> None:
    while True:
        try:
            index, check = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            results = check.run()
        except Exception as error:  # noqa: BLE001 - one odd answer must not hide the others
            text = f"the check itself failed ({type(error).__name__})"
            results = (
                ProbeResult(
                    kind=check.kind,
                    target=check.target,
                    ok=False,
                    text=text,
                    action="Please tell the maintainers.",
                    name=check.name,
                ),
            )
        done.put((index, results))


def _late(check: Check, total_s: float) -> ProbeResult:
    return ProbeResult(
        kind=check.kind,
        target=check.target,
        ok=False,
        text=f"no result within {total_s:g} s",
        action="Look at the checks above it first, then run again.",
        name=check.name,
    )
