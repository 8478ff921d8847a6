"""Films a scene of the plant at the probe and asks Panotui what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.netns import end
from tests.lab.plant import Plant


def panotui(*args: str | Path, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
    """Run the program to its end; stdout and stderr are captured."""
    return subprocess.run(
        [sys.executable, "-m", "panotui", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def analyze(*args: str | Path) -> dict[str, Any]:
    """`panotui analyze --json ARGS`, which must succeed without a word on stderr."""
    done = panotui("analyze", "--json", *args)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def filming(plant: Plant, path: Path) -> Iterator[None]:
    """Both mirror ports into one pcapng while the block runs."""
    capture = plant.probe.popen(
        ["dumpcap", "-q", "-P", "-i", "mir0", "-w", str(path) + ".0"],
        stdout=subprocess.DEVNULL,
    )
    other = plant.probe.popen(
        ["dumpcap", "-q", "-P", "-i", "mir1", "-w", str(path) + ".1"],
        stdout=subprocess.DEVNULL,
    )
    for process in (capture, other):
        assert process.stderr is not None
        while "File:" not in (line := process.stderr.readline()):
            assert line, "dumpcap did not start"
    try:
        yield
    finally:
        time.sleep(0.3)  # the kernel hands the last packets to the capture
        end(capture)
        end(other)
    subprocess.run(
        ["mergecap", "-w", str(path), f"{path}.0", f"{path}.1"], check=True, capture_output=True
    )


def wait_until(true: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll until `true()`; AssertionError with `what` after the time-out."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def finding_ids(answer: dict[str, Any], *, severities: tuple[str, ...] = ()) -> set[str]:
    return {f["id"] for f in answer["findings"] if not severities or f["severity"] in severities}


def findings_of(answer: dict[str, Any]) -> set[tuple[str, str]]:
    """All findings, of any severity, with their subjects."""
    return {(f["id"], f["subject"]) for f in answer["findings"]}


def stream_of(answer: dict[str, Any], camera: str) -> dict[str, Any]:
    """The video stream of that camera; exactly one is expected."""
    found = [s for s in answer["streams"] if s["camera"] == camera]
    assert len(found) == 1, [(s["camera"], s["ssrc"], s["packets"]) for s in answer["streams"]]
    return dict(found[0])
