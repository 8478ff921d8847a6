"""`panotui config`: the screen's settings with comments, and the errors in them."""

from __future__ import annotations

from pathlib import Path

import click

from panotui.commands.options import common_options
from panotui.errors import UsageError


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path, dir_okay=False),
              metavar="FILE", envvar="PANOTUI_CONFIG",
              help="Use this file instead of your own.")  # fmt: skip
@click.option("--check", is_flag=True, help="Only report errors in the file (exit 2).")
@click.option("--path", "only_path", is_flag=True, help="Only print the path of the file.")
@common_options
def command(
    config_file: Path | None, check: bool, only_path: bool, verbose: bool, no_color: bool
) -> int:
    """Print the screen's settings as a file with comments: keys, columns, theme, units, filters.

    `panotui config > ~/.config/panotui/config.toml` creates a file to edit. Invalid lines are
    reported with their number, and the default is used for them.
    """
    from panotui.commands.preferences import config_path, default_path, read_config
    from panotui.tui.settings import commented, read

    path = config_file or config_path()
    if only_path:
        click.echo(str(path or default_path()))
        return 0
    settings, complaints = read("" if path is None else read_config(path))
    for complaint in complaints:
        click.echo(complaint.said(str(path)), err=True)
    if check:
        if complaints:
            several = f"{len(complaints)} things are" if complaints[1:] else "one thing is"
            raise UsageError(str(path), f"{several} not understood", "See the lines above.")
        click.echo(
            f"{path or default_path()}: {'no errors' if path else 'no such file, defaults apply'}"
        )
        return 0
    click.echo(commented(settings), nl=False)
    return 0
