"""The requirements of a screen on its terminal, and its end on signals."""

from __future__ import annotations

import os
import signal
import sys

from panotui.errors import UsageError

_HEADLESS = "Use `panotui record`, or `panotui analyze` on a capture, without one."


def has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def require_terminal() -> None:
    """UsageError unless a screen can be drawn here."""
    if not has_terminal():
        raise UsageError("screen", "this is not a terminal", _HEADLESS)
    if os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        term = os.environ.get("TERM") or "not set"
        raise UsageError("screen", f"this terminal cannot draw (TERM is {term})", _HEADLESS)


def end_on_signals() -> None:
    """SIGHUP and SIGTERM end a screen like Ctrl-C, with its clean-up."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, interrupt)
