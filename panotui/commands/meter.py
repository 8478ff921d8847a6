"""`_meter`: the process of one meter for `analyze` of several captures."""

from __future__ import annotations

import signal
import sys

import click


@click.command(hidden=True)
def command() -> int:
    """Meters for another process: orders on stdin, news on stdout (internal)."""
    from panotui.runtime.file_meter import serve

    # The parent ends us by closing the pipes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0
