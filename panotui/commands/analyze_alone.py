"""`_analyze`: the process that a fleet's worker starts for each capture."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from panotui.commands import analyze
from panotui.commands.confined import is_roots_own
from panotui.commands.confined_live import of_analysis
from panotui.sources.live import landlock


@click.command(hidden=True)
@click.argument("name")
@click.option("--site", type=click.Path(path_type=Path))
@click.pass_context
def command(context: click.Context, name: str, site: Path | None) -> int:
    """`analyze --json` in a process that can do nothing else (internal): where the kernel has
    Landlock it opens only its capture, its site file and what the program itself needs, and has no
    network. Temporary files go where TMPDIR says."""
    if not is_roots_own():  # the command gives up root in a stricter way
        landlock.enter(of_analysis(Path(name), site, Path(tempfile.gettempdir())))
    return int(context.invoke(analyze.command, names=(name,), as_json=True, site=site))
