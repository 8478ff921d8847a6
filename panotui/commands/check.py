"""`panotui check`: active checks from here, layer by layer: gateway, DNS, NTP, TCP, TLS, RTSP.

Sends a handful of packets, only to hosts named by the site file, the policy and the command line,
and only when a user asks.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panotui.commands.confined import confined
from panotui.commands.options import (
    EXIT_FOUND,
    common_options,
    read_site,
    site_option,
    use_color,
)
from panotui.commands.readable import CHECK

if TYPE_CHECKING:
    from panotui.model import Site
    from panotui.probes.result import ProbeResult

SCHEMA_CHECK = "panotui.check/1"
_GLYPHS = {"ok": ("✔", "32"), "failed": ("✖", "31"), "skipped": ("-", "2")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--host", "hosts", multiple=True, metavar="HOST[:PORT]",
    help="Check this server too, such as the account's own IoT endpoint (may be repeated).",
)  # fmt: skip
@site_option
@click.option("--fail-on", type=click.Choice(["finding"]), help="Exit with 1 when a check fails.")
@common_options
def command(
    as_json: bool,
    hosts: tuple[str, ...],
    site: Path | None,
    fail_on: str | None,
    verbose: bool,
    no_color: bool,
) -> int:
    """Active checks from here: gateway, DNS, NTP, TCP, TLS and its chain, RTSP of each camera.

    Credentials of cameras come from PANOTUI_RTSP_USER and PANOTUI_RTSP_PASSWORD (or, for the
    camera NAME, PANOTUI_RTSP_USER_NAME and PANOTUI_RTSP_PASSWORD_NAME), or from a keyring under
    `panotui:NAME` or `panotui` where Python's keyring package is installed. They are never shown.
    """
    import msgspec

    from panotui.probes import connect, gateway
    from panotui.probes.plan import checks
    from panotui.probes.run import run_all

    known, _, path = read_site(site)
    began_ns = time.time_ns()
    planned = checks(known, hosts, credentials)
    if os.geteuid() == 0:  # done before the drop, because only root may
        gateway.open_ahead()
        connect.read_authorities()
    with confined(network=True, late=CHECK):
        found = [_clean(r) for r in run_all(planned)]
    if as_json:
        answer = _answer(found, known, path, began_ns)
        click.echo(msgspec.json.encode(answer).decode())
    else:
        _show(found, use_color(no_color))
    return EXIT_FOUND if fail_on and any(r.state == "failed" for r in found) else 0


def credentials(camera: str) -> tuple[str | None, str | None]:
    """User and password of a camera from the environment or a keyring; never from a file."""
    own = "".join(c if c.isalnum() else "_" for c in camera).upper()
    environment = os.environ
    user = environment.get(f"PANOTUI_RTSP_USER_{own}") or environment.get("PANOTUI_RTSP_USER")
    password = environment.get(f"PANOTUI_RTSP_PASSWORD_{own}") or environment.get(
        "PANOTUI_RTSP_PASSWORD"
    )
    if user is not None:
        return user, password
    return _of_keyring(camera)


def _of_keyring(camera: str) -> tuple[str | None, str | None]:
    """The credentials in the user's keyring, if one is installed and open."""
    try:
        keyring: Any = importlib.import_module("keyring")
        for service in (f"panotui:{camera}", "panotui"):
            entry = keyring.get_credential(service, None)
            if entry is not None:
                return str(entry.username), str(entry.password)
    except Exception:  # noqa: BLE001 - its back ends raise what they like; then there is none
        return None, None
    return None, None


def _clean(result: ProbeResult) -> ProbeResult:
    import msgspec

    from panotui.wire.text import printable

    return msgspec.structs.replace(
        result,
        name=printable(result.name, 80),
        target=printable(result.target),
        text=printable(result.text),
        detail=tuple(printable(d) for d in result.detail),
    )


def _answer(
    results: Sequence[ProbeResult], site: Site, path: Path | None, began_ns: int
) -> dict[str, Any]:
    from panotui.report.objects import time_text

    states = [r.state for r in results]
    return {
        "schema": SCHEMA_CHECK,
        "time": time_text(began_ns),
        "seconds": round((time.time_ns() - began_ns) / 1e9, 3),
        "site": {
            "name": site.site.name,
            "region": site.site.region,
            "mode": site.site.mode,
            "private_link": site.site.private_link,
            "file": None if path is None else str(path),
        },
        "ok": states.count("ok"),
        "failed": states.count("failed"),
        "skipped": states.count("skipped"),
        "checks": [
            {
                "kind": r.kind,
                "name": r.name,
                "target": r.target,
                "state": r.state,
                "ok": None if r.skipped else r.ok,
                "ms": None if r.ms is None else round(r.ms, 3),
                "text": r.text,
                "detail": list(r.detail),
                "action": r.action or None,
            }
            for r in results
        ],
    }


def _show(results: Sequence[ProbeResult], colour: bool) -> None:
    width = min(18, max((len(r.name) for r in results), default=0))
    for result in results:
        mark, code = _GLYPHS[result.state]
        shown = f"\x1b[{code}m{mark}\x1b[0m" if colour else mark
        ms = f"  {result.ms:.0f} ms" if result.ms is not None else ""
        more = f"  ({', '.join(result.detail)})" if result.detail else ""
        word = "" if result.state == "ok" else f"{result.state}: "
        click.echo(
            f" {shown} {result.kind:<8}{result.name:<{width}}  {result.target}  "
            f"{word}{result.text}{ms}{more}"
        )
        if result.action:
            click.echo(f"     > {result.action}")
    states = [r.state for r in results]
    counts = [f"{states.count(s)} {s}" for s in ("ok", "failed", "skipped") if s in states]
    click.echo(", ".join(counts))
