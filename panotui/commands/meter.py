"""`_meter`: a meter's process, behind `analyze` of several captures and behind live capture.

See `panotui.parallel` and `panotui.livemeter`.
"""

from __future__ import annotations

import signal
import sys

import click


@click.command(hidden=True)
@click.option("--live", is_flag=True)
def command(live: bool) -> int:
    """Meters for another process: orders on stdin, news on stdout (internal)."""
    # Who asked ends us by closing the pipes. A signal to all of a terminal or a service is the
    # collector's to act upon: it still wants our last second.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if live else (signal.SIGINT,):
        signal.signal(number, signal.SIG_IGN)
    if live:
        from panotui.commands.readable import prepare_to_drop

        prepare_to_drop()
        from panotui.livemeter import serve
    else:
        from panotui.parallel import serve
    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0
