"""The terminal: refuses an unsuitable one, survives one that disappears.

Output waits in a thread of the driver; reports for the pacer are separated from keys here. Changes
to Textual itself are in `textual_overrides`.
"""

from __future__ import annotations

import os
import re
import selectors
import sys
from collections.abc import Mapping

from panotui.errors import UsageError
from panotui.tui.pacing import Report

HOLD_S = 1.0  # how long the rest of a report is waited for

_REPORT = re.compile(r"\x1b\[\?2026;(\d)\$y|\x1b\[0n")
# The answer about the background, if it comes too late.
_LATE = re.compile(r"\x1b\]11;rgba?:[0-9a-fA-F/]+(?:\x07|\x1b\\)")
# An incomplete report at the end of the input: the rest comes with the next read.
_BEGINNING = re.compile(
    r"\x1b\[(?:\?(?:2(?:0(?:2(?:6(?:;(?:\d(?:\$)?)?)?)?)?)?)?|0)\Z"
    r"|\x1b\]1(?:1(?:;[rgba:/0-9a-fA-F]{0,32}\x1b?)?)?\Z"
)
# It may also be a key.
_OR_A_KEY = re.compile(r"\x1b[\[\]]?\Z")


def refuse_unusable(environment: Mapping[str, str] | None = None) -> None:
    """UsageError, with the headless commands, if no screen can be drawn."""
    values = os.environ if environment is None else environment
    remedy = "Use `panotui record`, `panotui analyze` or `panotui report` without a screen."
    try:
        on_terminal = os.isatty(sys.__stdin__.fileno()) and os.isatty(sys.__stdout__.fileno())  # type: ignore[union-attr]
    except (AttributeError, OSError, ValueError):
        on_terminal = False
    if not on_terminal:
        raise UsageError("screen", "input and output are not a terminal", remedy)
    if values.get("TERM", "dumb") in ("dumb", "", "unknown"):
        raise UsageError("screen", "this terminal cannot place text (TERM=dumb)", remedy)


def first_report(environment: Mapping[str, str] | None = None) -> Report:
    """The first kind of report: terminals that would print DECRQM are asked for their status."""
    values = os.environ if environment is None else environment
    if values.get("TERM", "").startswith("linux"):
        return "status"
    return "status" if values.get("TERM_PROGRAM") == "Apple_Terminal" else "mode"


class Reports:
    """Takes the terminal's reports out of the input, in however many reads they come."""

    def __init__(self) -> None:
        self._kept = ""  # an incomplete report
        self._kept_at = 0.0

    def take(self, text: str, now: float, expected: bool) -> tuple[str, list[str]]:
        """Input without reports, and the reports.

        `expected`: the terminal has been asked. Only then an escape at the end may begin a report;
        otherwise it is a key, and keys do not wait.
        """
        text, self._kept = self._kept + text, ""
        if "\x1b]11;" in text:
            text = _LATE.sub("", text)
        reports = [match.group(0) for match in _REPORT.finditer(text)]
        if reports:
            text = _REPORT.sub("", text)
        beginning = _BEGINNING.search(text) or (_OR_A_KEY.search(text) if expected else None)
        if beginning is not None:
            self._kept, self._kept_at = beginning.group(0), now
            text = text[: beginning.start()]
        return text, reports

    def idle(self, now: float) -> str:
        """No input came for a while: what was kept is input if it may be a key. No key begins like
        the rest, which is dropped after `HOLD_S`.
        """
        if _OR_A_KEY.fullmatch(self._kept):
            text, self._kept = self._kept, ""
            return text
        if now - self._kept_at >= HOLD_S:
            self._kept = ""
        return ""


class TerminalOutput:
    """A file for the terminal that counts waiting output, and gives up once the terminal is
    gone.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept: list[str] = []
        self.waiting = 0  # characters accepted but not yet passed to the kernel
        self.written = 0  # bytes
        self.lost = False

    def write(self, text: str) -> int:
        self._kept.append(text)
        self.waiting += len(text)
        return len(text)

    def flush(self) -> None:
        data = "".join(self._kept).encode("utf-8", "replace")
        self._kept.clear()
        view = memoryview(data)
        while view and not self.lost:
            try:
                done = os.write(self._descriptor, view)
            except BlockingIOError:
                selector = selectors.SelectSelector()
                selector.register(self._descriptor, selectors.EVENT_WRITE)
                selector.select(0.1)
                selector.close()
                continue
            except OSError:
                self.lost = True
                break
            self.written += done
            view = view[done:]
        self.waiting = 0

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor
