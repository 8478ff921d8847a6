"""The site file of a `Yard`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.situations.yard import Host, Yard


def site_text(
    yard: Yard,
    *,
    vantage: str = "mirror",
    private_link: bool = False,
    local: Iterable[str] = (),
    gateways: list[str] | None = None,
    dns: list[str] | None = None,
    ntp: list[str] | None = None,
    cams: list[Host] | None = None,
    urls: dict[str, str] | None = None,
) -> str:
    """TOML, as a careful person would have written it."""
    eth0, eth1 = _port("eth0", yard.eth0), _port("eth1", yard.eth1)
    if yard.topology != "single":
        eth0, eth1 = [*eth0, 'role = "camera"'], [*eth1, 'role = "cloud"']
    routers = [yard.router.ip]
    if yard.camrouter is not yard.router:
        routers.append(yard.camrouter.ip)
    clocks = [] if yard.ntpmode == "public" else [yard.clock.ip]
    lines = [
        "[site]",
        'name = "yard"',
        f'topology = "{yard.topology}"',
        f'region = "{yard.region}"',
        f'vantage = "{vantage}"',
        *(["private_link = true"] if private_link else []),
        *eth0,
        *eth1,
        "[network]",
        f"local = {_list({yard.camnet + '0/24', yard.net + '0/24', *local})}",
        f"gateways = {_list(routers if gateways is None else gateways)}",
        f"dns = {_list([yard.resolver.ip] if dns is None else dns)}",
        f"ntp = {_list(clocks if ntp is None else ntp)}",
    ]
    for cam in yard.cams if cams is None else cams:
        url = (urls or {}).get(cam.name, f"rtsp://{cam.ip}/live")
        lines += ["[[camera]]", f'name = "{cam.name}"', f'address = "{cam.ip}"', f'url = "{url}"']
    return "\n".join(lines) + "\n"


def _port(name: str, host: Host) -> list[str]:
    return [f"[ports.{name}]", f'mac = "{host.mac}"', f'address = "{host.ip}/24"']


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in sorted(values)) + "]"
