"""`panotui check`: active checks from here, along the layers: gateway, DNS, NTP, TCP and TLS, RTSP.

Sends a handful of packets to what the site file and the policy name, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui.commands.options import (
    EXIT_FOUND,
    common_options,
    read_site,
    site_option,
    use_color,
)

if TYPE_CHECKING:
    from panotui.model import Site
    from panotui.probes.result import ProbeResult

AT_ONCE = 8
HOSTS_MAX = 64
Probe = Callable[[], "Sequence[ProbeResult]"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@site_option
@click.option("--fail-on", type=click.Choice(["finding"]), help="Exit with 1 when a check fails.")
@common_options
def command(
    as_json: bool, site: Path | None, fail_on: str | None, verbose: bool, no_color: bool
) -> int:
    """Active checks from here: gateway, DNS, NTP, TCP, TLS and its chain, RTSP of each camera.

    Credentials of cameras come from PANOTUI_RTSP_USER and PANOTUI_RTSP_PASSWORD (or, for the
    camera NAME, PANOTUI_RTSP_USER_NAME and PANOTUI_RTSP_PASSWORD_NAME).
    """
    import msgspec

    from panotui.wire.text import printable

    known, _, _ = read_site(site)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [result for results in pool.map(_run, probes(known)) for result in results]
    clean = [
        msgspec.structs.replace(
            r,
            target=printable(r.target),
            text=printable(r.text),
            detail=tuple(printable(d) for d in r.detail),
        )
        for r in found
    ]
    if as_json:
        failed = sum(not r.ok for r in clean)
        answer = {"schema": "panotui.check/1", "failed": failed, "checks": clean}
        click.echo(msgspec.json.encode(answer).decode())
    else:
        _show(clean, use_color(no_color))
    return EXIT_FOUND if fail_on and any(not r.ok for r in clean) else 0


def _run(probe: Probe) -> Sequence[ProbeResult]:
    return probe()


def _show(results: Sequence[ProbeResult], colour: bool) -> None:
    for result in results:
        mark, code = ("✔", "32") if result.ok else ("✖", "31")
        shown = f"\x1b[{code}m{mark}\x1b[0m" if colour else mark
        ms = f"  {result.ms:.0f} ms" if result.ms is not None else ""
        more = f"  ({', '.join(result.detail)})" if result.detail else ""
        click.echo(f" {shown} {result.kind:<8}{result.target}  {result.text}{ms}{more}")
        if result.action:
            click.echo(f"     > {result.action}")


def probes(site: Site) -> list[Probe]:
    """What to do for a site, lowest layer first."""
    from panotui.probes.gateway import gateway, gateways
    from panotui.probes.ntp import ntp
    from panotui.probes.rtsp import rtsp

    found: list[Probe] = []
    ways = [(address, "") for address in site.network.gateways] or gateways()
    found += [partial(_one, gateway, address, name) for address, name in ways]
    servers: list[str | None] = [*site.network.dns] or [None]
    hosts = cloud_hosts(site)
    for server in servers:
        found.append(partial(_name, hosts[0][0], server))
    found += [partial(_one, ntp, server) for server in site.network.ntp or ("pool.ntp.org",)]
    found += [partial(_cloud, host, port, servers[0], tls) for host, port, tls in hosts]
    for camera in site.camera:
        user, password = _credentials(camera.name)
        url = camera.url or f"rtsp://{camera.address}/"
        found.append(partial(_one, rtsp, url, user, password))
    return found


def _credentials(camera: str) -> tuple[str | None, str | None]:
    own = "".join(c if c.isalnum() else "_" for c in camera).upper()
    environment = os.environ
    user = environment.get(f"PANOTUI_RTSP_USER_{own}") or environment.get("PANOTUI_RTSP_USER")
    password = environment.get(f"PANOTUI_RTSP_PASSWORD_{own}") or environment.get(
        "PANOTUI_RTSP_PASSWORD"
    )
    return user, password


def cloud_hosts(site: Site) -> list[tuple[str, int, bool]]:
    """(host, port, TLS) of the needed rules that name a host without a wildcard."""
    from panotui.policy.show import resolve
    from panotui.policy.siteview import SiteView

    found: dict[tuple[str, int], bool] = {}
    for rule in resolve(SiteView(site)).rules:
        if rule.kind not in ("cloud", "service") or not (rule.needed or rule.kind == "service"):
            continue
        for host in rule.hosts:
            if "*" in host or "tcp" not in rule.transports:
                continue
            for port in rule.ports[:1]:
                if port.isdigit():
                    found.setdefault((host, int(port)), rule.kind == "cloud" or port == "443")
    hosts = [(host, port, tls) for (host, port), tls in found.items()][:HOSTS_MAX]
    return hosts or [("iot.us-east-1.amazonaws.com", 443, True)]


def _one(probe: Callable[..., ProbeResult], *arguments: object) -> Sequence[ProbeResult]:
    return (probe(*arguments),)


def _name(host: str, server: str | None) -> Sequence[ProbeResult]:
    from panotui.probes.names import resolve

    return (resolve(host, server)[0],)


def _cloud(host: str, port: int, server: str | None, tls: bool) -> Sequence[ProbeResult]:
    """DNS, then TCP or TLS to the address that it gave: the lowest failing layer is told."""
    from panotui.probes import connect
    from panotui.probes.names import resolve

    named, addresses = resolve(host, server)
    if not addresses:
        return (named,)
    if tls:
        return (connect.tls(host, port, address=addresses[0]),)
    return (connect.tcp(addresses[0], port),)
