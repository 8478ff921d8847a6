"""`_meter`: a meter's process behind `analyze` of several captures; see `panotui.parallel`."""

from __future__ import annotations

import signal
import sys

import click


@click.command(hidden=True)
def command() -> int:
    """Meters captures for another process: orders on stdin, news on stdout (internal)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked ends us by closing the pipes
    from panotui.parallel import serve

    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0
