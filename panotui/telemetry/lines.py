"""Alerts as JSON lines at the end of a file, or on standard output."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

import msgspec

from panotui.telemetry.alerts import Alert


def receiver(descriptor: int) -> Callable[[Alert], None]:
    """A function that appends to an open file; a full disk is retried, and no line is left
    incomplete.
    """

    def deliver(alert: Alert) -> None:
        line = msgspec.json.encode(alert) + b"\n"
        written = 0
        try:
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except OSError:
            if written and stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise

    return deliver
