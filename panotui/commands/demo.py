"""`panotui demo`: the screen on a bundled recording of a real site, in a loop."""

from __future__ import annotations

from pathlib import Path

import click

from panotui.commands.options import common_options
from panotui.commands.preferences import preferences, screen_options


@click.command()
@screen_options
@common_options
def command(
    theme: str | None,
    units: str | None,
    mouse: bool | None,
    config_file: Path | None,
    verbose: bool,
    no_color: bool,
) -> int:
    """The screen on a bundled, real recording, in a loop; needs no privileges.

    Without a terminal the recording is analysed once and its summary printed.
    """
    from panotui.commands.screen import run_screen
    from panotui.commands.terminal import has_terminal

    if has_terminal():
        wanted = preferences(theme, mouse, config_file, units)
        return run_screen(["--demo"], mode="demo", no_color=no_color, wanted=wanted)

    from panotui.commands.capture import demo_folder
    from panotui.commands.input import analysed
    from panotui.commands.options import use_color
    from panotui.commands.summary import summary
    from panotui.site.file import load_site

    site = load_site(demo_folder() / "site.toml")
    engine = analysed([str(demo_folder() / "site.pcapng.zst")], site, "demo")
    click.echo(summary(engine.snapshot(), colour=use_color(no_color)))
    return 0
