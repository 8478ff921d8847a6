"""Entry point: `panotui`, `python -m panotui`, and the processes that the program starts itself.

It is small, so that Ctrl-C gives no traceback from the first moment: importing `cli` takes a while.
"""

from __future__ import annotations

import os
import signal
import sys


def _quiet_interrupt(number: int, frame: object) -> None:
    os._exit(130)


_at_start = signal.getsignal(signal.SIGINT)
if _at_start is signal.default_int_handler:
    signal.signal(signal.SIGINT, _quiet_interrupt)

from panotui.cli import main as _main  # noqa: E402


def main() -> int:
    """Run the command line; returns the exit code."""
    if _at_start is signal.default_int_handler:
        signal.signal(signal.SIGINT, _at_start)
    return _main()


if __name__ == "__main__":
    sys.exit(main())
