"""Colours: sixteen, by their ANSI names, so that the person's own palette serves.

A role in, a Rich style out. `$variables` of style sheets do not cross files, so the theme is
registered from here and the sheets name only what it defines.
"""

from __future__ import annotations

from rich.style import Style
from textual.theme import Theme

from panotui.tui.glyphs import Role

THEME = Theme(
    name="panotui",
    ansi=True,
    dark=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    accent="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
)

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
}
