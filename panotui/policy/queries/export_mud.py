"""The policy as a Manufacturer Usage Description (RFC 8520, JSON), for MUD managers.

MUD supports neither wildcards in names, nor the appliance's two ports, nor TLS. Anything lost is
listed under the extension `panotui`, and wildcard patterns are replaced by observed names.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from panotui.policy.rules import Policy, Rule, expand_regions
from panotui.site.hosts import canonical_host, is_address
from panotui.site.view import SiteView
from panotui.wire.text import printable

DEFAULT_URL = "https://panotui.invalid/panorama.json"  # RFC 2606: a name that does not resolve
CACHE_VALIDITY_H = 48
_PROTOCOLS = {"tcp": 6, "udp": 17}


def export_mud(
    view: SiteView,
    observed: Iterable[str] = (),
    *,
    url: str = DEFAULT_URL,
    time_ns: int = 0,
) -> bytes:
    """The MUD file. `observed`: host names that replace wildcards. `time_ns`: last update."""
    document = mud_document(view, observed, url=url, time_ns=time_ns)
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def mud_document(
    view: SiteView, observed: Iterable[str] = (), *, url: str = DEFAULT_URL, time_ns: int = 0
) -> dict[str, Any]:
    """The MUD file as plain data."""
    policy = Policy.for_site(view.site, view.facts.region)
    builder = _Builder(view, policy, sorted({h for n in observed if (h := canonical_host(n))}))
    builder.build()
    when = datetime.datetime.fromtimestamp(time_ns // 1_000_000_000, datetime.UTC)
    name = printable(view.site.site.name or "AWS Panorama Appliance", 60)
    return {
        "ietf-mud:mud": {
            "mud-version": 1,
            "mud-url": url,
            "last-update": when.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
            "cache-validity": CACHE_VALIDITY_H,
            "is-supported": True,
            "systeminfo": printable(f"AWS Panorama Appliance, site {name}", 60),
            "extensions": ["panotui"],
            "from-device-policy": _lists("from-ipv4-panotui"),
            "to-device-policy": _lists("to-ipv4-panotui"),
            "panotui:panotui": {
                "region": policy.region or "",
                "topology": view.facts.topology or "",
                "not-expressed": builder.lost,
            },
        },
        "ietf-access-control-list:acls": {
            "acl": [
                _acl("from-ipv4-panotui", builder.out),
                _acl("to-ipv4-panotui", builder.into),
            ]
        },
    }


def _lists(name: str) -> dict[str, Any]:
    return {"access-lists": {"access-list": [{"name": name}]}}


def _acl(name: str, aces: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "type": "ipv4-acl-type", "aces": {"ace": aces}}


class _Builder:
    def __init__(self, view: SiteView, policy: Policy, observed: list[str]) -> None:
        self.view = view
        self.policy = policy
        self.observed = observed
        self.out: list[dict[str, Any]] = []
        self.into: list[dict[str, Any]] = []
        self.lost: list[str] = [
            "which of the two Ethernet ports carries what",
            "that the bytes must be TLS",
            "the RTSP session that negotiates the media's UDP ports",
        ]
        self._names: set[str] = set()

    def build(self) -> None:
        for rule in self.policy.rules:
            if rule.hosts and rule.direction == "out":
                self._named(rule)
        self._controller("dns", "urn:ietf:params:mud:dns", ("udp", "tcp"), 53)
        self._controller("ntp", "urn:ietf:params:mud:ntp", ("udp",), 123)
        self._cameras()
        for listen in self.view.site.listen:
            self._listen(listen.port, listen.transport, listen.from_)

    def _unique(self, text: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:56]
        name, number = base, 1
        while name in self._names:
            number += 1
            name = f"{base}-{number}"
        self._names.add(name)
        return name

    def _pair(self, label: str, transport: str, port: str, ours: Any, theirs: Any) -> None:
        """One ACE per direction for a connection that the device opens."""
        number = _port_match(port)
        tcp: dict[str, Any] = {"ietf-mud:direction-initiated": "from-device"}
        out: dict[str, Any] = {"destination-port": number}
        into: dict[str, Any] = {"source-port": number}
        if transport == "tcp":
            out, into = {**tcp, **out}, {**tcp, **into}
        for aces, peer, transport_match, way in (
            (self.out, ours, out, "out"),
            (self.into, theirs, into, "in"),
        ):
            matches: dict[str, Any] = {"ipv4": {"protocol": _PROTOCOLS[transport]}}
            for key, value in peer.items():
                if key == "ipv4":
                    matches["ipv4"].update(value)
                else:
                    matches[key] = value
            matches[transport] = transport_match
            self._ace(aces, f"{label}-{way}", matches)

    def _ace(self, aces: list[dict[str, Any]], label: str, matches: dict[str, Any]) -> None:
        aces.append(
            {
                "name": self._unique(label),
                "matches": matches,
                "actions": {"forwarding": "accept"},
            }
        )

    def _named(self, rule: Rule) -> None:
        hosts: list[str] = []
        for text in rule.hosts:
            for host in expand_regions(text, self.policy.regions()):
                if "*" not in host:
                    hosts.append(host)
                else:
                    self.lost.append(f"{rule.id}: wildcard {host}")
        for name in self.observed:
            if any(m.rule is rule and not m.alias for m in self.policy.match_host(name)):
                hosts.append(name)
        for host in dict.fromkeys(hosts):
            for transport in rule.transports:
                for port in rule.ports:
                    ours, theirs = _peer(host)
                    self._pair(f"{rule.id}-{host}-{port}", transport, port, ours, theirs)

    def _controller(self, label: str, urn: str, transports: tuple[str, ...], port: int) -> None:
        match = {"ietf-mud:mud": {"controller": urn}}
        for transport in transports:
            self._pair(f"{label}-{transport}", transport, str(port), match, match)

    def _cameras(self) -> None:
        local = {"ietf-mud:mud": {"local-networks": [None]}}
        cameras = [a for a in self.view.facts.cameras if ":" not in a]
        for address in cameras:
            ours, theirs = _peer(address)
            for port in self.policy.camera_rtsp.get(address, ()) or (554,):
                self._pair(f"rtsp-{address}-{port}", "tcp", str(port), ours, theirs)
            self._pair(f"rtp-{address}", "udp", "1024-65535", ours, theirs)
        if not cameras:
            self._pair("rtsp", "tcp", "554", local, local)
            self._pair("rtp", "udp", "1024-65535", local, local)

    def _listen(self, port: int, transport: str, networks: tuple[str, ...]) -> None:
        for net in networks or ("0.0.0.0/0",):
            if ":" in net:
                self.lost.append(f"listen {port} from {net}")
                continue
            number = _port_match(str(port))
            way: dict[str, Any] = (
                {"ietf-mud:direction-initiated": "to-device"} if transport == "tcp" else {}
            )
            protocol = _PROTOCOLS[transport]
            self._ace(
                self.into,
                f"listen-{port}-{net}-in",
                {
                    "ipv4": {"protocol": protocol, "source-ipv4-network": net},
                    transport: {**way, "destination-port": number},
                },
            )
            self._ace(
                self.out,
                f"listen-{port}-{net}-out",
                {
                    "ipv4": {"protocol": protocol, "destination-ipv4-network": net},
                    transport: {**way, "source-port": number},
                },
            )


def _peer(host: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Matches of a peer: as destination, and as source."""
    if is_address(host):
        net = f"{host}/32"
        return {"ipv4": {"destination-ipv4-network": net}}, {"ipv4": {"source-ipv4-network": net}}
    return {"ipv4": {"ietf-acldns:dst-dnsname": host}}, {"ipv4": {"ietf-acldns:src-dnsname": host}}


def _port_match(port: str) -> dict[str, Any]:
    low, dash, high = port.partition("-")
    if dash:
        return {"lower-port": int(low), "upper-port": int(high)}
    return {"operator": "eq", "port": int(low)}
