"""The screen's options and settings: from options, environment, file, defaults."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec.structs import replace

from panotui.errors import UsageError

if TYPE_CHECKING:
    from panotui.tui.settings import Settings

CONFIG_BYTES = 256 << 10

F = TypeVar("F", bound=Callable[..., Any])


def screen_options(function: F) -> F:
    """`--theme`, `--mouse`, `--config`; `preferences` reads them."""
    function = click.option(
        "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
        envvar="PANOTUI_CONFIG",
        help="The screen's settings (default: panotui/config.toml in the configuration folder).",
    )(function)  # fmt: skip
    function = click.option(
        "--mouse/--no-mouse", "mouse", default=None, envvar="PANOTUI_MOUSE",
        help="Use the mouse: wheel, click (default: not over SSH).",
    )(function)  # fmt: skip
    function = click.option(
        "--units", type=click.Choice(["bits", "bytes"]), envvar="PANOTUI_UNITS",
        help="Rates in bits/s (default) or bytes/s.",
    )(function)  # fmt: skip
    return click.option(
        "--theme", metavar="NAME", envvar="PANOTUI_THEME",
        help="auto, dark, light, high-contrast, colour-blind, 16 or none.",
    )(function)  # fmt: skip


def config_path() -> Path | None:
    """The user's own file, if there is one; under sudo the calling user's, if that user owns it."""
    for path, owners in _candidates():
        try:
            if path.is_file() and (owners is None or path.stat().st_uid in owners):
                return path
        except OSError:
            continue
    return None


def default_path() -> Path:
    """The default path of the file."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "panotui" / "config.toml"


def _candidates() -> list[tuple[Path, set[int] | None]]:
    invoker = os.environ.get("SUDO_UID") if os.geteuid() == 0 else None
    if invoker is None or not invoker.isdigit():
        return [(default_path(), None)]
    import pwd

    found: list[tuple[Path, set[int] | None]] = []
    try:
        home = Path(pwd.getpwuid(int(invoker)).pw_dir)
        found.append((home / ".config" / "panotui" / "config.toml", {0, int(invoker)}))
    except KeyError:
        pass  # a user known only to another machine
    return [*found, (default_path(), {0, int(invoker)})]


def preferences(
    theme: str | None,
    mouse: bool | None,
    config_file: Path | None,
    units: str | None = None,
) -> tuple[Settings, list[str]]:
    """The settings to start the screen with, and a line for each error in the file.

    UsageError for an option with an unknown name.
    """
    from panotui.tui.settings import THEMES, read

    path = config_file if config_file is not None else config_path()
    text = "" if path is None else read_config(path)
    settings, complaints = read(text)
    if theme is not None:
        if theme not in THEMES:
            names = ", ".join(THEMES)
            raise UsageError(f"--theme {theme}", "there is no such theme", f"Take one of: {names}.")
        settings = replace(settings, theme=theme)
    if units is not None:
        settings = replace(settings, units=units)
    if mouse is not None:
        settings = replace(settings, mouse="on" if mouse else "off")
    return settings, [complaint.said(str(path)) for complaint in complaints]


def read_config(path: Path) -> str:
    """The file's text. UsageError if it cannot be read."""
    try:
        if os.geteuid() == 0:
            from panotui.sources.live import deputy, privileges  # these need Linux

            # only the caller's own
            with deputy.acting(privileges.caller()), path.open("rb") as file:
                return file.read(CONFIG_BYTES).decode("utf-8")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(str(path), error.strerror or str(error), "Check --config.") from None
    except UnicodeDecodeError:
        raise UsageError(str(path), "it is no text in UTF-8", "Check --config.") from None
