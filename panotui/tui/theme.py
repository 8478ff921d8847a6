"""Colours: roles in, Rich styles out, by themes.

`16` uses the terminal's own colours, and so the user's palette; the others use fixed ones of the
256, light enough for dark backgrounds or dark enough for light ones (contrast at least 4.5:1,
checked by a test). No theme paints the background. `$variables` of style sheets do not cross files,
so Textual's theme is registered here and the sheets use only its names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from rich.color import Color
from rich.style import Style
from textual.theme import BUILTIN_THEMES

from panotui.tui.glyphs import Role

# Textual's `ansi-dark` uses only the terminal's own colours.
THEME = replace(BUILTIN_THEMES["ansi-dark"], name="panotui", accent="ansi_cyan")


def _style(colour: int | str | None = None, *, bold: bool = False, reverse: bool = False) -> Style:
    name = f"color({colour})" if isinstance(colour, int) else colour
    return Style(color=name, bold=bold or None, reverse=reverse or None)


def _fixed(dim: int, ok: int, warn: int, bad: int, head: int, chart: int) -> dict[Role, Style]:
    return {
        "plain": Style.null(),
        "dim": _style(dim),
        "ok": _style(ok),
        "warn": _style(warn),
        "bad": _style(bad, bold=True),
        "head": _style(head, bold=True),
        "strong": _style(bold=True),
        "key": _style(bold=True),
        "cursor": _style(reverse=True),
        "bar": _style(reverse=True),
        "chart": _style(chart),
    }


# theme -> background -> styles
THEMES: dict[str, dict[str, dict[Role, Style]]] = {
    "dark": {"dark": _fixed(248, 114, 221, 210, 117, 80)},
    "light": {"light": _fixed(240, 22, 94, 124, 24, 24)},
    "high-contrast": {
        "dark": _fixed(252, 120, 228, 217, 159, 159),
        "light": _fixed(236, 22, 52, 88, 17, 17),
    },
    # blue, yellow and orange differ in every kind of colour vision; so do blue, brown and purple
    "colour-blind": {
        "dark": _fixed(248, 117, 228, 215, 231, 117),
        "light": _fixed(240, 25, 94, 90, 16, 25),
    },
    "16": {
        "dark": {
            "plain": Style.null(), "dim": Style(dim=True), "ok": _style("green"),
            "warn": _style("yellow"), "bad": _style("bright_red", bold=True),
            "head": _style("cyan", bold=True), "strong": _style(bold=True),
            "key": _style(bold=True), "cursor": _style(reverse=True), "bar": _style(reverse=True),
            "chart": _style("cyan"),
        },
        "light": {
            "plain": Style.null(), "dim": Style(dim=True), "ok": _style("blue"),
            "warn": _style("magenta"), "bad": _style("red", bold=True),
            "head": _style("blue", bold=True), "strong": _style(bold=True),
            "key": _style(bold=True), "cursor": _style(reverse=True), "bar": _style(reverse=True),
            "chart": _style("blue"),
        },
    },
    "none": {
        "dark": {
            "plain": Style.null(), "dim": Style.null(), "ok": Style.null(),
            "warn": Style(bold=True), "bad": Style(bold=True), "head": Style(bold=True),
            "strong": Style(bold=True), "key": Style(bold=True), "cursor": Style(reverse=True),
            "bar": Style(reverse=True), "chart": Style.null(),
        }
    },
}  # fmt: skip

# The present styles: changed by `use`.
STYLES: dict[Role, Style] = dict(THEMES["16"]["dark"])


def chosen(
    wanted: str, background: str, environment: Mapping[str, str] | None = None
) -> dict[Role, Style]:
    """The styles of a theme on a background ("dark" or "light").

    `auto`: none if NO_COLOR is set, 16 colours if the terminal has no more.
    """
    values = os.environ if environment is None else environment
    if values.get("NO_COLOR"):
        wanted = "none"
    elif wanted == "auto":
        many = "256" in values.get("TERM", "") or values.get("COLORTERM", "") != ""
        wanted = background if many else "16"
    kinds = THEMES[wanted]
    return kinds.get(background) or next(iter(kinds.values()))


def use(styles: Mapping[Role, Style]) -> None:
    """Draw with these styles from here on."""
    STYLES.update(styles)


def luminance(colour: Color) -> float:
    """Relative luminance 0..1 (WCAG 2.1)."""
    parts = []
    for value in colour.get_truecolor():
        share = value / 255
        parts.append(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4)
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(first: Color, second: Color) -> float:
    """Contrast 1..21 between two colours (WCAG 2.1)."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)
