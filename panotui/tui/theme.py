"""Colours: sixteen, by their ANSI names, so that the person's own palette serves.

A role in, a Rich style out. `$variables` of style sheets do not cross files, so the theme is
registered from here and the sheets name only what it defines.
"""

from __future__ import annotations

from dataclasses import replace

from rich.style import Style
from textual.theme import BUILTIN_THEMES

from panotui.tui.glyphs import Role

# Textual's `ansi-dark` names the terminal's own colours and nothing else.
THEME = replace(BUILTIN_THEMES["ansi-dark"], name="panotui", accent="ansi_cyan")

STYLES: dict[Role, Style] = {
    "plain": Style.null(),
    "dim": Style(dim=True),
    "ok": Style(color="green"),
    "warn": Style(color="yellow"),
    "bad": Style(color="red", bold=True),
    "head": Style(bold=True, color="cyan"),
    "strong": Style(bold=True),
    "key": Style(bold=True),
    "cursor": Style(reverse=True),
    "bar": Style(reverse=True),
    "chart": Style(color="cyan"),
}
