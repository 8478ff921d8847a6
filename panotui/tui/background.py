"""Whether the terminal's background is dark or light: requested by OSC 11, otherwise from
COLORFGBG.

A request that every terminal answers follows it, so that a terminal without OSC 11 costs one round
trip instead of a timeout. A late answer is removed from the input by `terminal.take_reports`.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Mapping

QUESTION = "\x1b]11;?\x1b\\\x1b[5n"
PATIENCE_S = 1.0
_ANSWER = re.compile(r"\x1b\]11;rgba?:([0-9a-fA-F]+)/([0-9a-fA-F]+)/([0-9a-fA-F]+)")
_FENCE = re.compile(r"\x1b\[\d*n")


def background(environment: Mapping[str, str] | None = None) -> str:
    """Returns "dark" or "light"; asks the terminal, and restores its state."""
    values = os.environ if environment is None else environment
    said = values.get("COLORFGBG", "").rpartition(";")[2]
    if said.isdigit():
        return "light" if int(said) in (7, 15) else "dark"
    if values.get("TERM", "").startswith("linux"):
        return "dark"
    answer = _asked()
    return "dark" if answer is None else shade(answer)


def shade(answer: str) -> str:
    """ "dark" or "light" by the answer to OSC 11."""
    found = _ANSWER.search(answer)
    if found is None:
        return "dark"
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in found.groups())
    return "light" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 else "dark"


def _asked() -> str | None:
    """The terminal's answer; None without one in time."""
    try:
        source, target = sys.__stdin__.fileno(), sys.__stdout__.fileno()  # type: ignore[union-attr]
        before = termios.tcgetattr(source)
    except (AttributeError, OSError, ValueError, termios.error):
        return None
    answer = ""
    try:
        tty.setraw(source, termios.TCSANOW)
        os.write(target, QUESTION.encode())
        until = time.monotonic() + PATIENCE_S
        while not _FENCE.search(answer) and (left := until - time.monotonic()) > 0:
            if not select.select([source], [], [], left)[0]:
                break
            data = os.read(source, 256)
            if not data:
                break
            answer += data.decode("latin-1")
    except OSError:
        return None
    finally:
        with contextlib.suppress(termios.error):  # it is gone: the screen will notice
            termios.tcsetattr(source, termios.TCSANOW, before)
    return answer or None
