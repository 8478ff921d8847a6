"""A meter's process, as its parent starts it, speaks to it through two pipes, and ends it."""

from __future__ import annotations

import contextlib
import subprocess
import sys

END_S = 2.0  # for a child to go by itself, and again after it was asked to


def start_meter(*arguments: str) -> subprocess.Popen[bytes]:
    """`panotui _meter` with `arguments` and a pipe each way, in a session of its own: Ctrl-C is
    the parent's, and so is its own share of a busy machine. It goes when its pipes end."""
    return subprocess.Popen(
        [sys.executable, "-m", "panotui", "_meter", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def how_ended(code: int) -> str:
    """The words after "it", for an exit code or (negative) a signal."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def end_meter(process: subprocess.Popen[bytes]) -> None:
    """End it, kindly first; returns when it is gone."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    for ask in (process.terminate, process.kill):
        try:
            process.wait(END_S)
            return
        except subprocess.TimeoutExpired:
            ask()
    process.wait()
