"""`panotui [live] [INTERFACE ...]`: the screen on live interfaces."""

from __future__ import annotations

from pathlib import Path

import click

from panotui.commands.alerting import Targets, alert_options
from panotui.commands.baseline_file import read_baseline, require_same_site
from panotui.commands.options import (
    COMMANDS,
    baseline_option,
    common_options,
    ring_options,
    ring_sizes,
    site_option,
)
from panotui.commands.preferences import preferences, screen_options
from panotui.errors import UsageError


@click.command()
@click.argument("interfaces", nargs=-1, metavar="[INTERFACE]...")
@site_option
@baseline_option
@click.option("--no-promiscuous", is_flag=True, help="Do not use promiscuous mode.")
@ring_options
@alert_options
@screen_options
@common_options
def command(
    interfaces: tuple[str, ...],
    site: Path | None,
    baseline: Path | None,
    no_promiscuous: bool,
    ring: str,
    snap: int,
    targets: Targets,
    theme: str | None,
    units: str | None,
    mouse: bool | None,
    config_file: Path | None,
    verbose: bool,
    no_color: bool,
) -> int:
    """Show the screen on live interfaces: by default the physical ones that are up, at most two.

    Only opening the capture needs root or CAP_NET_RAW; both are given up before the first packet is
    read. The site file may map interfaces to the appliance's ports.
    """
    from panotui.commands.interfaces import chosen
    from panotui.commands.options import read_site
    from panotui.commands.screen import run_screen
    from panotui.commands.terminal import require_terminal

    # Checks that need no privilege come first, so that their errors appear at once.
    known, _, path = read_site(site)
    require_same_site(read_baseline(baseline), baseline, known)
    names = chosen(interfaces, known, COMMANDS)
    ring_sizes(ring, snap)
    wanted = preferences(theme, mouse, config_file, units)
    require_terminal()
    arguments = [*names, "--ring", ring, "--snap", str(snap)]
    if path is not None:
        arguments += ["--site", str(path.resolve())]
    if baseline is not None:
        arguments += ["--baseline", str(baseline.resolve())]
    if no_promiscuous:
        arguments.append("--no-promiscuous")
    if targets.alerts == "-":
        raise UsageError("--alerts -", "stdout is the screen", "Name a file.")
    return run_screen(
        [*arguments, *targets.arguments()], mode="live", no_color=no_color, wanted=wanted
    )
