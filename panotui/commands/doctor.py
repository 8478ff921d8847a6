"""`panotui doctor`: what works on this machine, and how to mend what does not."""

from __future__ import annotations

import click

from panotui.commands.options import common_options, use_color


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@common_options
def command(as_json: bool, verbose: bool, no_color: bool) -> int:
    """What works here: capabilities, ring, link events, terminal; and how to mend the rest."""
    import msgspec

    from panotui.sources.doctor import diagnose

    checks = [*diagnose(), *_terminal_checks()]
    if as_json:
        click.echo(msgspec.json.encode({"checks": checks}).decode())
        return 0
    colour = use_color(no_color)
    for check in checks:
        mark, code = {"ok": ("✔", "32"), "warning": ("!", "33")}.get(check["state"], ("✖", "31"))
        shown = f"\x1b[{code}m{mark}\x1b[0m" if colour else mark
        click.echo(f" {shown} {check['name']}: {check['text']}")
        if check["remedy"]:
            click.echo(f"     > {check['remedy']}")
    return 0


def _terminal_checks() -> list[dict[str, str]]:
    import os
    import shutil
    import sys

    checks: list[dict[str, str]] = []
    term = os.environ.get("TERM", "")
    usable = sys.stdout.isatty() and term not in ("", "dumb", "unknown")
    size = shutil.get_terminal_size((80, 24))
    if usable:
        small = size.columns < 80 or size.lines < 24
        checks.append(
            {
                "name": "terminal",
                "state": "warning" if small else "ok",
                "text": f"{term}, {size.columns}x{size.lines}",
                "remedy": "The screens are made for 80x24 and more." if small else "",
            }
        )
    else:
        checks.append(
            {
                "name": "terminal",
                "state": "warning",
                "text": f"no screen can be drawn here (TERM is {term or 'not set'})",
                "remedy": "`record`, `analyze` and `report` need none.",
            }
        )
    encoding = (sys.stdout.encoding or "").lower()
    unicode_works = encoding.replace("-", "") in ("utf8", "utf8sig")
    checks.append(
        {
            "name": "character set",
            "state": "ok" if unicode_works else "warning",
            "text": encoding or "unknown",
            "remedy": "" if unicode_works else "Set LANG to a UTF-8 locale; ASCII is drawn else.",
        }
    )
    return checks
