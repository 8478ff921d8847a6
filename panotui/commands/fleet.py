"""`panotui fleet SOURCE... -o LAKE`: captures of many sites on Dask workers; `fleet report`."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from panotui.commands.options import common_options, size_bytes
from panotui.errors import UsageError
from panotui.sources.live import privileges
from panotui.wire.text import printable

if TYPE_CHECKING:
    from panotui.fleet.run import Outcome

EXIT_FAILED = 3
NAMED_MOST = 50  # captures that failed, on stderr
NEEDED = ("distributed", "fsspec", "pyarrow")


class _Group(click.Group):
    """Treats an argument that is not a subcommand as a source of `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        plain = args and args[0] not in self.commands and args[0] not in ("-h", "--help")
        return super().parse_args(ctx, ["run", *args] if plain else args)


@click.group(cls=_Group)
def command() -> None:
    """Analyse captures of many sites on Dask workers and store the results in a lake of Parquet
    files; make a report from it. `panotui fleet SOURCE... -o LAKE` is short for `panotui fleet run
    SOURCE... -o LAKE`. Needs the extra `fleet`. docs/fleet.md has the details.
    """


@command.command("run")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("-o", "--output", "lake", required=True, metavar="LAKE",
              help="The lake: a folder, or s3://BUCKET/FOLDER.")  # fmt: skip
@click.option(
    "--scheduler", default="local", show_default=True, metavar="ADDRESS|local",
    help="A Dask scheduler, such as tcp://10.0.0.5:8786; or local workers.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N",
              help="Number of local workers (default: one per core).")  # fmt: skip
@click.option(
    "--memory", metavar="SIZE",
    help="Memory of each local worker, and of its analysis, such as 1GB.",
)  # fmt: skip
@click.option("--again", is_flag=True, help="Also analyse captures that the lake already has.")
@click.option("--json", "as_json", is_flag=True, help="What was done, as one JSON object.")
@common_options
def run_command(
    sources: tuple[str, ...],
    lake: str,
    scheduler: str,
    workers: int | None,
    memory: str | None,
    again: bool,
    as_json: bool,
    verbose: bool,
    no_color: bool,
) -> int:
    """Analyse new captures. A SOURCE is a folder (with its subfolders), a file, a pattern,
    s3://..., a recording, or a FILE.list with one of these per line.

    A capture's site is the one named in the nearest site.toml above it, else the first folder below
    the SOURCE. A capture that fails is named on stderr and the exit code is 3; the others are
    processed.
    """
    require_extra()
    refuse_sudo()
    if scheduler != "local" and (workers is not None or memory is not None):
        raise UsageError(
            "--scheduler", "its workers have their own settings", "Leave --workers, --memory out."
        )
    from panotui.fleet.run import run, watch

    limit = 0 if memory is None else size_bytes(memory)
    outcome = run(
        sources, lake, scheduler, workers or 0, limit, again, watch("fleet"), alone=is_alone()
    )
    for entry in outcome.failed[:NAMED_MOST]:
        click.echo(f"panotui: {printable(entry.url)}: {printable(entry.error)}", err=True)
    if len(outcome.failed) > NAMED_MOST:
        click.echo(f"panotui: and {len(outcome.failed) - NAMED_MOST} more failed", err=True)
    if as_json:
        click.echo(msgspec.json.encode(outcome).decode())
    else:
        click.echo(summary(outcome, lake))
    return EXIT_FAILED if outcome.failed else 0


@command.command("report")
@click.argument("lake", metavar="LAKE")
@click.option("-o", "--output", required=True, metavar="FILE",
              type=click.Path(path_type=Path, dir_okay=False),
              help="The page; pages of sites and findings go into a folder beside it.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, metavar="N",
              help="Number of days, up to the newest one.")  # fmt: skip
@click.option("--title", default="Fleet", show_default=True, help="The page's title.")
@common_options
def report(
    lake: str, output: Path, days: int, title: str, verbose: bool, no_color: bool
) -> None:  # fmt: skip
    """Write a page with one row per site (availability, the worst finding, trend), findings shared
    by many sites merged into one, and pages with details.
    """
    require_extra()
    refuse_sudo()
    from panotui.fleet.pages import write_pages
    from panotui.fleet.places import open_place
    from panotui.fleet.report_alone import enter
    from panotui.fleet.story import story

    if is_alone():
        enter(*open_place(lake), output)
    told = story(lake, days)
    pages = write_pages(told, output, title)
    click.echo(f"{output}: {len(told.sites)} sites, {told.captures} captures, {pages} pages")


def is_alone() -> bool:
    """Whether this process runs only this command, and may give up rights permanently."""
    return bool(click.get_current_context().find_root().obj == "own process")


def refuse_sudo() -> None:
    """UsageError under sudo: as root the lake, lists and captures would be opened with root's
    rights, and none of them needs those.
    """
    if os.geteuid() == 0 and privileges.caller()[0] != 0:
        raise UsageError("fleet", "it is run by sudo and needs no rights of root's", "Leave sudo.")


def require_extra() -> None:
    """UsageError if the extra is not installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            "fleet", f"{missing[0]} is not installed", "Install it: pip install 'panotui[fleet]'."
        )


def summary(outcome: Outcome, lake: str) -> str:
    """The results of a run, in words."""
    parts = [f"{outcome.done} analysed"]
    if outcome.failed:
        parts.append(f"{len(outcome.failed)} failed")
    if outcome.known:
        again = f", {outcome.unreadable} of them unreadable" if outcome.unreadable else ""
        parts.append(f"{outcome.known} known before{again}")
    rate = ""
    if outcome.seconds and outcome.done:
        rate = (
            f"; {outcome.bytes / 1e6:,.1f} MB, {outcome.packets:,} packets in "
            f"{outcome.seconds:.1f} s on {outcome.workers} workers"
        )
    return f"{lake}: {outcome.found} captures: {', '.join(parts)}{rate}"
