"""The first start's three hints, and the file that remembers that they were shown."""

from __future__ import annotations

import os
from pathlib import Path

from panotui.tui.glyphs import Glyphs
from panotui.tui.line import Line, Pen

_HINTS = (
    ("enter", "opens what is under the cursor: why it is so, and what to do about it"),
    ("?", "explains the marks, words and columns of what you see"),
    (":", "lists every command with its key; letters narrow the list"),
)


def draw(cells: int, glyphs: Glyphs) -> list[Line]:
    """The hints as lines, each with its key."""
    head = Pen(cells, glyphs.ellipsis).put(" FIRST TIME HERE", "head")
    lines = [head.put("  (any key takes this away)", "dim").line()]
    for key, text in _HINTS:
        lines.append(Pen(cells, glyphs.ellipsis).put("   ").field(key, 6, "key").put(text).line())
    return lines


def first_start() -> bool:
    """Whether this is the first start of this user: true once, and never where that cannot be
    remembered."""
    base = os.environ.get("XDG_STATE_HOME")
    try:
        folder = (Path(base) if base else Path.home() / ".local" / "state") / "panotui"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "hints-shown").open("x", encoding="utf-8"):
            return True
    except (OSError, RuntimeError):
        return False
