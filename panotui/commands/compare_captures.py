"""`panotui compare-captures A B`: the changes to the same traffic between two places."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from panotui import __version__
from panotui.commands.compare_files import compare, two_names
from panotui.commands.confined import confined
from panotui.commands.options import common_options, read_site, site_option
from panotui.errors import UsageError

if TYPE_CHECKING:
    from panotui.model.comparison import Comparison


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Also write one HTML page for a customer, such as compare.html.")  # fmt: skip
@click.option(
    "--names", default="A,B", show_default=True, metavar="A,B",
    help="Names of the two places, e.g. switch,appliance.",
)  # fmt: skip
@click.option(
    "--any-offset", is_flag=True, help="Compare also when the clocks are an hour or more apart."
)
@site_option
@common_options
def command(
    a: str,
    b: str,
    as_json: bool,
    output: Path | None,
    names: str,
    any_offset: bool,
    site: Path | None,
    verbose: bool,
    no_color: bool,
) -> None:
    """Report packets that were lost, delayed or changed between two places.

    A and B are two captures of the same traffic, e.g. at the cameras' switch and at the appliance,
    or before and behind a firewall. A packet is recognised in both by fields that routers and
    address translation do not change; the clocks need not agree.
    """
    called = two_names(names)
    if "-" in (a, b):
        raise UsageError("-", "a comparison reads two files", "Save the capture first.")
    known, _, _ = read_site(site)
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        raise UsageError(f"-o {output}", "there is no place for a file", "Name another.")
    with confined(captures=[a, b], files=[("-o", output)]) as places:
        found = compare(a, b, called, known, any_offset)
        if output is not None:
            _write_page(found, output, places.place(output))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        from panotui.compare.words import page

        click.echo(page(found), nl=False)


def _write_page(found: Comparison, named: Path, target: Path) -> None:
    from panotui.compare.words import clock_line
    from panotui.report.comparison import page
    from panotui.report.wording import LocalTime

    text = page(found, clock_line(found), f"panotui {__version__}", LocalTime(None))
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"-o {named}", error.strerror or str(error), "Name another.") from None
