"""The site file as typed records."""

from __future__ import annotations

from typing import Literal

import msgspec


class SitePort(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: Literal["camera", "cloud", "both"] | None = None
    mac: str | None = None
    address: str | None = None  # "10.20.0.5/24"
    interface: str | None = None


class SiteNetwork(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    local: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()


class SiteCamera(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    address: str
    url: str | None = None
    fps: float | None = None
    mac: str | None = None


class SiteService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    host: str
    port: int = 443
    direction: Literal["out", "in"] = "out"
    transport: Literal["tcp", "udp"] = "tcp"


class SiteListen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    port: int
    from_: tuple[str, ...] = msgspec.field(default=(), name="from")
    transport: Literal["tcp", "udp"] = "tcp"


class SiteIdentity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str | None = None
    topology: Literal["single", "dual"] | None = None
    region: str | None = None
    vantage: Literal["mirror", "inline", "router", "host", "file"] | None = None
    private_link: bool = False
    mode: Literal["normal", "camera-only"] = "normal"


class SiteReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The head of a report, and its time zone."""

    title: str | None = None
    customer: str | None = None
    technician: str | None = None
    zone: str | None = None  # "Europe/Berlin"


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The site file (every field is optional). `site.file.load_site` reads and checks it."""

    site: SiteIdentity = SiteIdentity()
    ports: dict[str, SitePort] = {}
    network: SiteNetwork = SiteNetwork()
    camera: tuple[SiteCamera, ...] = ()
    service: tuple[SiteService, ...] = ()
    listen: tuple[SiteListen, ...] = ()
    report: SiteReport = SiteReport()
