"""The user's settings of the screen: text of `config.toml` in, `Settings` and complaints out.

Nothing in it can prevent the screen from starting: an invalid entry gives a complaint with its
line, and the default applies. `commented` writes the file with every setting and its meaning.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from msgspec import Struct

from panotui.tui import keys
from panotui.tui.manner import NAMES, TIMES, UNITS
from panotui.tui.pages import TABLES
from panotui.views.filter import FilterError, parse
from panotui.views.subjects import PANES

THEMES = ("auto", "dark", "light", "high-contrast", "colour-blind", "16", "none")
MICE = ("auto", "on", "off")
SWITCHES = ("true", "false")
NAME = "config.toml"


class Settings(Struct, frozen=True):
    """The initial settings of a screen."""

    start: str = "overview"
    refresh: float = 2.0  # pictures per second, 1 to 4
    theme: str = "auto"
    mouse: str = "auto"
    units: str = "bits"
    names: str = "names"
    times: str = "clock"
    beside: bool = True  # a detail beside the list where there is room
    hints: bool = True  # at the first start
    keys: dict[str, tuple[str, ...]] = {}  # action -> its keys
    columns: dict[str, tuple[str, ...]] = {}  # pane -> titles, in order
    widths: dict[str, dict[str, int]] = {}  # pane -> title -> cells
    filters: dict[str, str] = {}  # name -> filter


class Complaint(Struct, frozen=True):
    line: int  # line in the file, from 1; 0 if unknown
    text: str

    def said(self, path: str) -> str:
        """One line for the user."""
        return f"{path}:{self.line}: {self.text}" if self.line else f"{path}: {self.text}"


class _Choice(Struct, frozen=True):
    name: str
    choices: tuple[str, ...]
    help: str


_CHOICES = (
    _Choice("start", PANES, "the pane that is shown first"),
    _Choice("theme", THEMES, "auto: dark or light, like the terminal's background"),
    _Choice("mouse", MICE, "auto: on, but not over SSH"),
    _Choice("units", UNITS, "rates in bits/s or bytes/s (key b)"),
    _Choice("names", NAMES, "show names, addresses, or both (key n)"),
    _Choice("times", TIMES, "times of day, how long ago, or UTC (key T)"),
)
_SWITCHES = (
    ("beside", "the detail of the selected row beside the list, where there is room (key v)"),
    ("hints", "three hints at the first start"),
)


def read(text: str) -> tuple[Settings, list[Complaint]]:
    """The settings in a file's text, and the errors in it."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        return Settings(), [Complaint(int(found[1]) if found else 0, f"invalid TOML: {error}")]
    reader = _Reader(text)
    values: dict[str, Any] = reader.screen(tables.pop("screen", {}))
    values["keys"] = reader.keys(tables.pop("keys", {}))
    values["columns"], values["widths"] = reader.columns(tables.pop("columns", {}))
    values["filters"] = reader.filters(tables.pop("filters", {}))
    for name in tables:
        reader.complain(f"unknown section {name}", name)
    return Settings(**values), reader.complaints


class _Reader:
    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self.complaints: list[Complaint] = []

    def complain(self, text: str, *words: str) -> None:
        """Add a complaint at the first line that has these words in order."""
        line = 0
        for word in words:
            found = next(
                (n for n, t in enumerate(self._lines[line:], line + 1) if _has(t, word)), None
            )
            line = found if found is not None else line
        self.complaints.append(Complaint(line, text))

    def screen(self, table: Any) -> dict[str, Any]:
        if not isinstance(table, dict):
            self.complain("screen must be a table", "screen")
            return {}
        values: dict[str, Any] = {}
        choices = {choice.name: choice.choices for choice in _CHOICES}
        for name, value in table.items():
            if name in choices:
                if value in choices[name]:
                    values[name] = value
                else:
                    self.complain(
                        f"{name} must be one of {', '.join(choices[name])}", "screen", name
                    )
            elif name == "refresh":
                if (
                    isinstance(value, int | float)
                    and not isinstance(value, bool)
                    and 1 <= value <= 4
                ):
                    values[name] = float(value)
                else:
                    self.complain("refresh must be 1 to 4 pictures per second", "screen", name)
            elif name in (switch for switch, _ in _SWITCHES):
                if isinstance(value, bool):
                    values[name] = value
                else:
                    self.complain(f"{name} must be true or false", "screen", name)
            else:
                self.complain(f"unknown setting {name}", "screen", name)
        return values

    def keys(self, table: Any) -> dict[str, tuple[str, ...]]:
        actions = {key.action for key in keys.KEYS}
        found: dict[str, tuple[str, ...]] = {}
        for action, value in table.items() if isinstance(table, dict) else ():
            given = [value] if isinstance(value, str) else value
            if action not in actions:
                self.complain(f"unknown action {action}", "keys", action)
            elif not isinstance(given, list) or not all(isinstance(k, str) and k for k in given):
                self.complain(f"{action} must be a key or a list of keys", "keys", action)
            else:
                found[action] = tuple(given)
        for text in keys.clashes(found):
            self.complain(text, "keys")
        return found

    def columns(self, table: Any) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, int]]]:
        shown: dict[str, tuple[str, ...]] = {}
        widths: dict[str, dict[str, int]] = {}
        for pane, wanted in table.items() if isinstance(table, dict) else ():
            if pane not in TABLES or not isinstance(wanted, dict):
                why = f"{pane} is not a pane with a table"
                if pane in TABLES:
                    why = f"columns of {pane} are set by show = [...] below [columns.{pane}]"
                self.complain(why, "columns", pane)
                continue
            titles = {column.title for column in TABLES[pane].columns if column.title}
            show = wanted.pop("show", None)
            if show is not None:
                known = [t for t in show if t in titles] if isinstance(show, list) else []
                for title in (t for t in show if t not in titles) if isinstance(show, list) else ():
                    self.complain(f"{pane} has no column {title}", pane, "show")
                if known:
                    shown[pane] = tuple(known)
            for title, cells in wanted.pop("width", {}).items():
                if title in titles and isinstance(cells, int) and 3 <= cells <= 200:
                    widths.setdefault(pane, {})[title] = cells
                else:
                    self.complain(
                        f"{pane}: the width of {title} must be 3 to 200 cells", pane, title
                    )
            for name in wanted:
                self.complain(f"columns.{pane} can only have show and width", pane, name)
        return shown, widths

    def filters(self, table: Any) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, text in table.items() if isinstance(table, dict) else ():
            try:
                parse(text if isinstance(text, str) else "!")
            except FilterError as error:
                self.complain(f"filter {name}: {error}", "filters", name)
            else:
                found[name] = text
        return found


def _has(line: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", line.partition("#")[0]) is not None


# ------------------------------------------------------------------ the file with comments


def commented(settings: Settings) -> str:
    """The whole file: the present values, each with its meaning and its possible values."""
    lines = [
        "# Settings of Panotui's screen. Every line is optional; without it the default applies.",
        "# Command line options override the environment, which overrides this file.",
        "",
        "[screen]",
    ]
    for choice in _CHOICES:
        lines.append(f"# {choice.help}: {', '.join(choice.choices)}")
        lines.append(f'{choice.name} = "{getattr(settings, choice.name)}"')
    lines += ["# pictures per second: 1 to 4", f"refresh = {settings.refresh:g}"]
    for name, said in _SWITCHES:
        lines += [f"# {said}", f"{name} = {str(getattr(settings, name)).lower()}"]
    lines += [
        "",
        "# Keys of each action: a letter, or a name such as f5, ctrl+r, space.",
        "[keys]",
    ]
    shown: set[str] = set()
    for key in keys.KEYS:
        if key.action in shown or key.action == "pane":
            continue
        shown.add(key.action)
        own = settings.keys.get(key.action)
        text = ", ".join(_quoted(k) for k in own or key.keys)
        lines.append(f"{'' if own else '# '}{key.action} = [{text}]  # {key.help}")
    for pane, table in TABLES.items():
        titles = [column.title for column in table.columns if column.title]
        own = settings.columns.get(pane)
        lines += ["", f"[columns.{pane}]"]
        text = ", ".join(_quoted(t) for t in own or titles)
        lines.append(f"{'' if own else '# '}show = [{text}]")
        widths = settings.widths.get(pane)
        cells = ", ".join(f"{_quoted(t)} = {n}" for t, n in (widths or {}).items())
        cells = cells or f"{_quoted(titles[min(1, len(titles) - 1)])} = 20"
        lines.append(f"{'' if widths else '# '}width = {{ {cells} }}")
    lines += ["", "# Filters offered by /, each under a name of your choice.", "[filters]"]
    lines += [f"{name} = {_quoted(text)}" for name, text in settings.filters.items()]
    if not settings.filters:
        lines.append('# leaks = "reason:stream-leak"')
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
