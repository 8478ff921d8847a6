"""State of the screen kept between two starts: that its hints were shown, chosen columns."""

from __future__ import annotations

import json
import os
from pathlib import Path

from panotui.tui.glyphs import Glyphs
from panotui.tui.line import Line, Pen

_HINTS = (
    ("enter", "opens the line under the cursor: why it is so, and what to do about it"),
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
    """Whether this is the first start of this user: true once, and never if that cannot be
    stored.
    """
    try:
        with (folder() / "hints-shown").open("x", encoding="utf-8"):
            return True
    except (OSError, RuntimeError):
        return False


def remembered_columns() -> dict[str, tuple[str, ...]]:
    """pane -> titles, as chosen last; empty if nothing can be read."""
    try:
        kept = json.loads((folder() / "columns.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {
        pane: tuple(str(title)[:40] for title in titles[:40])
        for pane, titles in kept.items()
        if isinstance(titles, list)
    }


def remember_columns(pane: str, titles: tuple[str, ...]) -> bool:
    """Store them for the next start; returns whether that succeeded."""
    kept = {**remembered_columns(), pane: titles}
    try:
        path = folder() / "columns.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(kept), encoding="utf-8")
        new.replace(path)
    except (OSError, RuntimeError):
        return False
    return True


def folder() -> Path:
    """The folder for this, created if needed. OSError, RuntimeError without a home."""
    base = os.environ.get("XDG_STATE_HOME")
    place = (Path(base) if base else Path.home() / ".local" / "state") / "panotui"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place
