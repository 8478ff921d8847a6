"""`panotui doctor`: what works on this machine, and how to fix the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from panotui.commands.options import common_options, ring_options, ring_sizes, use_color

if TYPE_CHECKING:
    from panotui.sources.doctor import Check


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@ring_options
@common_options
def command(as_json: bool, ring: str, snap: int, verbose: bool, no_color: bool) -> int:
    """Check capabilities, ring, link events and terminal on this machine, and how to fix
    problems.
    """
    import msgspec

    from panotui.sources.doctor import checks
    from panotui.sources.live.bpf import Snap

    ring_bytes, snap_bytes = ring_sizes(ring, snap)
    found = [*checks(ring_bytes, Snap(bulk=snap_bytes)), *_terminal_checks()]
    if as_json:
        click.echo(msgspec.json.encode({"checks": found}).decode())
        return 0
    colour = use_color(no_color)
    for check in found:
        mark, code = ("✔", "32") if check.ok else ("✖", "31")
        shown = f"\x1b[{code}m{mark}\x1b[0m" if colour else mark
        click.echo(f" {shown} {check.name}: {check.text}")
        if check.remedy and not check.ok:
            click.echo(f"     > {check.remedy}")
    return 0


def _terminal_checks() -> list[Check]:
    import os
    import shutil
    import sys

    from panotui.sources.doctor import Check

    term = os.environ.get("TERM", "")
    size = shutil.get_terminal_size((80, 24))
    drawn = sys.stdout.isatty() and term not in ("", "dumb", "unknown")
    if drawn:
        enough = size.columns >= 80 and size.lines >= 24
        terminal = Check(
            name="terminal",
            ok=enough,
            text=f"{term}, {size.columns}x{size.lines}",
            remedy="The screens are made for 80x24 and more.",
        )
    else:
        terminal = Check(
            name="terminal",
            ok=False,
            text=f"no screen can be drawn here (TERM is {term or 'not set'})",
            remedy="`record`, `analyze` and `report` need none.",
        )
    encoding = (sys.stdout.encoding or "").lower()
    characters = Check(
        name="character set",
        ok=encoding.replace("-", "").startswith("utf8"),
        text=encoding or "unknown",
        remedy="Set LANG to a UTF-8 locale; ASCII is drawn else.",
    )
    return [terminal, characters]
