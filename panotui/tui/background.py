"""Whether the terminal's background is dark or light: requested by OSC 11, otherwise from
COLORFGBG.

A request that every terminal answers follows it, so that a terminal without OSC 11 costs one round
trip instead of a timeout. A late answer is removed from the input by `terminal.Reports`. Keys that
are typed meanwhile are returned: they belong to the screen.
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
_ANSWER = re.compile(
    rb"\x1b\]11;rgba?:([0-9a-fA-F]+)/([0-9a-fA-F]+)/([0-9a-fA-F]+)[0-9a-fA-F/]*(?:\x07|\x1b\\)"
)
_FENCE = re.compile(rb"\x1b\[\d*n")


def background(environment: Mapping[str, str] | None = None) -> tuple[str, bytes]:
    """("dark" or "light", the input that is no answer); asks the terminal, and restores its
    state.
    """
    values = os.environ if environment is None else environment
    said = values.get("COLORFGBG", "").rpartition(";")[2]
    if said.isdigit():
        return ("light" if int(said) in (7, 15) else "dark"), b""
    if values.get("TERM", "").startswith("linux"):
        return "dark", b""
    answer = _asked()
    return shade(answer), _FENCE.sub(b"", _ANSWER.sub(b"", answer))


def shade(answer: bytes) -> str:
    """ "dark" or "light" by the answer to OSC 11."""
    found = _ANSWER.search(answer)
    if found is None:
        return "dark"
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in found.groups())
    return "light" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 else "dark"


def _asked() -> bytes:
    """All input until the terminal has answered, or for `PATIENCE_S`."""
    try:
        source, target = sys.__stdin__.fileno(), sys.__stdout__.fileno()  # type: ignore[union-attr]
        before = termios.tcgetattr(source)
    except (AttributeError, OSError, ValueError, termios.error):
        return b""
    answer = b""
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
            answer += data
    except OSError:
        return answer
    finally:
        with contextlib.suppress(termios.error):  # it is gone: the screen will notice
            termios.tcsetattr(source, termios.TCSANOW, before)
    return answer
