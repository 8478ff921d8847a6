"""`panotui config`: the screen's settings with comments, and what in them is wrong."""

from __future__ import annotations

from pathlib import Path

import click

from panotui.commands.options import common_options
from panotui.errors import UsageError


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path, dir_okay=False),
              metavar="FILE", envvar="PANOTUI_CONFIG",
              help="Another file than your own.")  # fmt: skip
@click.option("--check", is_flag=True, help="Only say what is wrong with the file (exit 2).")
@click.option("--path", "only_path", is_flag=True, help="Only say where the file is, or belongs.")
@common_options
def command(
    config_file: Path | None, check: bool, only_path: bool, verbose: bool, no_color: bool
) -> int:
    """Print the screen's settings as a file with comments: keys, columns, theme, units, filters.

    `panotui config > ~/.config/panotui/config.toml` makes one to change; lines that are not
    understood are named with their number, and the default holds for them.
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
            f"{path or default_path()}: {'well' if path else 'there is none, defaults hold'}"
        )
        return 0
    click.echo(commented(settings), nl=False)
    return 0
