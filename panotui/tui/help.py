"""The help page: the keys that work where it was opened, how to read marks, the filter language."""

from __future__ import annotations

from collections.abc import Sequence

from panotui.tui.cells import width as cells
from panotui.tui.cells import wrap
from panotui.tui.glyphs import Glyphs, Look, glyph, role
from panotui.tui.keys import Key, written
from panotui.tui.line import Line, Pen

_MARKS: tuple[tuple[Look, str], ...] = (
    ("ok", "well"),
    ("warn", "look at it"),
    ("bad", "broken"),
    ("wait", "not decided yet"),
    ("note", "for information"),
    ("unknown", "not known: no data is never drawn as zero or as well"),
)
_FILTER = (
    ("camera:gate", "rows whose camera has gate in its name; a bare word looks at all text"),
    ("verdict:violation,pending", "any of several"),
    ("!app:tls rate:>1M", "not; more than; all terms must hold"),
    ("host:/iot.*amazon/", "a pattern"),
    ("ip:10.20.0.0/24", "a network"),
)


def draw(shown: Sequence[Key], width: int, height: int, first: int, glyphs: Glyphs) -> list[Line]:
    """Exactly `height` lines of the help, from line `first` on as far as there are more."""
    lines = [
        Pen(width, glyphs.ellipsis).put(" KEYS THAT WORK HERE", "head").line(),
        *_keys(shown, width, glyphs),
        Pen(width, glyphs.ellipsis).put(" MARKS", "head").line(),
        *(_mark(of, text, width, glyphs) for of, text in _MARKS),
    ]
    if any(key.action == "filter" for key in shown):
        lines.append(Pen(width, glyphs.ellipsis).put(" FILTER", "head").line())
        for term, text in _FILTER:
            pen = Pen(width, glyphs.ellipsis).put("   ").field(term, 28, "key").put(" ")
            lines.append(pen.put(text).line())
    lines.append(
        Pen(width, glyphs.ellipsis)
        .put(" UNITS ", "head")
        .put(" rates bits/s (k M G: 1000), volumes bytes (K M G: 1024), `-` unknown")
        .line()
    )
    first = max(0, min(first, len(lines) - (height - 1)))
    room = height - 1
    out = lines[first : first + room]
    out.extend(Pen(width).line() for _ in range(room - len(out)))
    end = Pen(width, glyphs.ellipsis).put(" ").put("esc", "key").put(" back", "dim")
    if first + room < len(lines) or first:
        end.put("  ").put("up down", "key").put(" more", "dim")
    out.append(end.line())
    return out


def _keys(shown: Sequence[Key], width: int, glyphs: Glyphs) -> list[Line]:
    lines = []
    for key in shown:
        name = written(key)
        pen = Pen(width, glyphs.ellipsis).put("   ").field(name, 10, "key").put(" ")
        parts = wrap(key.help, max(10, width - 15))
        lines.append(pen.put(parts[0]).line())
        lines.extend(
            Pen(width, glyphs.ellipsis).put(" " * 14).put(part).line() for part in parts[1:]
        )
    return lines


def _mark(of: Look, text: str, width: int, glyphs: Glyphs) -> Line:
    pen = Pen(width, glyphs.ellipsis).put("   ").put(glyph(glyphs, of), role(of))
    return pen.put(" " * (11 - cells(glyph(glyphs, of)))).put(text).line()
