"""The policy of a site: the resolved rules of `panorama.toml` and of the site file. Hosts are
matched here, flows are judged in `judge`.

Rules are data, each with its source. `{region}` is replaced by the site's region, by the inferred
one, or, while neither is known, by every region that ever had AWS Panorama.
"""

from __future__ import annotations

import tomllib
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from panotui.model import Site, SiteListen, SiteService
from panotui.site.addresses import IpNetwork, network, scope_of
from panotui.site.hosts import HostPattern, canonical_host, is_address

Peer: TypeAlias = Literal[
    "appliance",
    "camera",
    "gateway",
    "resolver",
    "time-server",
    "local",
    "internet",
    "link-local",
    "multicast",
    "broadcast",
    "any",
]
Kind: TypeAlias = Literal["cloud", "camera", "infrastructure", "service", "listen"]
MATCHES_KEPT = 16_384
LISTEN_TEXT = "no [[listen]] declares any port"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may connect to whom. The field names are those of `panorama.toml`."""

    id: str
    service: str
    label: str  # for the screen; of a service of the site, its name
    kind: Kind
    from_: tuple[Peer, ...] = msgspec.field(default=("appliance",), name="from")
    to: tuple[Peer, ...]
    hosts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()  # printed in the 2021 guide, but not in the DNS
    vpce_hosts: tuple[str, ...] = ()  # names of VPC endpoints, allowed with PrivateLink only
    nameless: bool = False  # also matches a peer whose name was never seen
    transports: tuple[str, ...] = ("tcp",)
    ports: tuple[str, ...] = ()  # "443", "1024-65535", "*"; of the server side
    from_ports: tuple[str, ...] = ()
    types: tuple[int, ...] = ()  # ICMP
    apps: tuple[str, ...] = ()  # the allowed content if it is known; empty: any
    networks: tuple[str, ...] = ()  # the other side's networks (listens); empty: any
    role: Literal["camera", "cloud", "any"] = "any"  # the appliance's port in the dual topology
    scope: Literal["internet", "local", "any"] = "any"
    tls: bool = False
    needed: bool = False
    session: bool = False  # only as part of an RTSP session
    noted: bool = False
    labels: tuple[str, ...] = ()
    source: str = ""
    note: str = ""

    @property
    def direction(self) -> str:
        """As seen from the appliance: "out", "in" or "any"."""
        if "appliance" in self.from_ and "appliance" not in self.to:
            return "out"
        if "appliance" in self.to and "appliance" not in self.from_:
            return "in"
        return "any"

    @property
    def port_text(self) -> str:
        """Ports as text: "443", "8883 or 8443", "any"."""
        if self.types:
            return "type " + " or ".join(map(str, self.types))
        return " or ".join("any" if p == "*" else p for p in self.ports) or "any"

    def carries(self, transport: str, port: int) -> bool:
        """True if the rule covers this transport and port (ICMP: type)."""
        if transport not in self.transports:
            return False
        if transport in ("icmp", "icmp6"):
            return not self.types or port in self.types
        if transport not in ("tcp", "udp"):
            return True
        return in_ports(self.ports, port)


@lru_cache(maxsize=1024)
def _ranges(ports: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    out = []
    for text in ports:
        low, _, high = ("0-65535" if text == "*" else text).partition("-")
        out.append((int(low), int(high or low)))
    return tuple(out)


def in_ports(ports: tuple[str, ...], port: int) -> bool:
    """True if `port` is one of the ports ("443", "8000-9000", "*")."""
    return any(low <= port <= high for low, high in _ranges(ports))


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[policy]` table of `panorama.toml`."""

    version: int
    regions: tuple[str, ...]
    settle_s: float
    unanswered_s: float
    rtsp_ports: tuple[int, ...]
    rtsps_ports: tuple[int, ...]
    leak_ports: tuple[int, ...]
    rtsp_certain: tuple[int, ...]
    push_ports: tuple[int, ...]
    dns_elsewhere: tuple[int, ...]
    remote_access_ports: tuple[int, ...]


class _PolicyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    policy: PolicySettings
    rule: tuple[Rule, ...]


@lru_cache(maxsize=1)
def policy_file() -> tuple[PolicySettings, tuple[Rule, ...]]:
    """The settings and the unresolved rules that ship with the package."""
    text = Path(__file__).with_name("panorama.toml").read_text("utf-8")
    data = msgspec.convert(tomllib.loads(text), _PolicyFile)
    return data.policy, data.rule


class HostMatch(Struct, frozen=True):
    """A rule that matches a host."""

    rule: Rule
    pattern: str  # resolved
    literal: int  # how specific the pattern is
    alias: bool = False  # a name that occurs only in the 2021 guide


class _Compiled(Struct, frozen=True):
    pattern: HostPattern
    rule: Rule
    alias: bool


class Policy:
    """The rules of one site; immutable except for its cache of host matches."""

    def __init__(self, site: Site, rules: Sequence[Rule], region: str | None) -> None:
        self.site = site
        self.settings = policy_file()[0]
        self.region = region
        self.rules = tuple(rules)
        self._by_id = {rule.id: rule for rule in self.rules}
        self.named = tuple(r for r in self.rules if r.hosts)
        self.camera_rtsp = _camera_ports(site)
        self._patterns = _compile(self.named, self.regions(), site.site.private_link)
        self.names_addresses = any(is_address(h) for r in self.named for h in r.hosts)
        self._by_ending: dict[str, tuple[_Compiled, ...]] = {}
        for entry in self._patterns:
            ending = _ending(entry.pattern.text)
            self._by_ending[ending] = (*self._by_ending.get(ending, ()), entry)
        self._literals = tuple(
            (e.rule, e.pattern.text.lstrip("*").lstrip(".-"))
            for e in self._patterns
            if e.rule.kind in ("cloud", "service") and not e.alias
        )
        self._matches: OrderedDict[str, tuple[HostMatch, ...]] = OrderedDict()

    @classmethod
    def for_site(cls, site: Site, inferred_region: str | None = None) -> Policy:
        """The policy of a site file; if it names no region, with the one learnt from traffic."""
        rules = [*policy_file()[1]]
        rules.extend(_service_rule(service) for service in site.service)
        rules.extend(_listen_rule(listen) for listen in site.listen)
        named_servers = tuple(name for name in site.network.ntp if not is_address(name))
        if named_servers:
            rules.append(_time_server_rule(named_servers))
        return cls(site, rules, site.site.region or inferred_region)

    def regions(self) -> tuple[str, ...]:
        """The regions whose names are allowed: the site's, or all while it is unknown."""
        return (self.region,) if self.region else self.settings.regions

    def rule(self, rule_id: str | None) -> Rule | None:
        """The rule with that id."""
        return self._by_id.get(rule_id) if rule_id else None

    def literals(self) -> tuple[tuple[Rule, str], ...]:
        """Rules with the fixed part of each of their hosts, for detecting imitated names."""
        return self._literals

    def match_host(self, host: str) -> tuple[HostMatch, ...]:
        """The rules that match a host, most specific pattern first; empty for an unknown host."""
        known = self._matches.get(host)
        if known is None:
            known = self._match(host)
            self._matches[host] = known
            if len(self._matches) > MATCHES_KEPT:
                self._matches.popitem(last=False)
        return known

    def _match(self, host: str) -> tuple[HostMatch, ...]:
        name = canonical_host(host)
        if name is None:
            return ()
        best: dict[str, HostMatch] = {}
        # first by the last two labels: a flood of foreign names must cost next to nothing
        for entry in (*self._by_ending.get(_ending(name), ()), *self._by_ending.get("", ())):
            if entry.pattern.matches_canonical(name):
                literal = entry.pattern.literal
                old = best.get(entry.rule.id)
                if old is None or literal > old.literal:
                    best[entry.rule.id] = HostMatch(
                        entry.rule, entry.pattern.text, literal, entry.alias
                    )
        return tuple(sorted(best.values(), key=lambda m: (-m.literal, m.alias)))

    def other_region(self, host: str) -> tuple[Rule, str] | None:
        """The rule that would match `host` in another region, and that region."""
        name = canonical_host(host)
        if name is None or self.match_host(host):
            return None
        if _ending(name) not in self._by_ending:
            return None
        labels = name.split(".")
        for position, label in enumerate(labels):
            if _looks_like_region(label) and label not in self.regions():
                here = self.regions()[0]
                moved = ".".join([*labels[:position], here, *labels[position + 1 :]])
                matches = self.match_host(moved.replace(label, here))
                if matches:
                    return matches[0].rule, label
        return None


def _ending(name: str) -> str:
    """The last two labels of a name or pattern; "" if they are not fixed."""
    labels = name.lower().rstrip(".").split(".")[-2:]
    if ":" in name or "*" in ".".join(labels) or not name.isascii():
        return ""
    return ".".join(labels)


def _looks_like_region(label: str) -> bool:
    parts = label.split("-")
    return (
        len(parts) >= 3
        and len(parts[0]) == 2
        and all(p.isalpha() for p in parts[:-1])
        and parts[-1].isdigit()
    )


def _compile(
    rules: Sequence[Rule], regions: Sequence[str], private_link: bool
) -> tuple[_Compiled, ...]:
    out: list[_Compiled] = []
    for rule in rules:
        texts = [(t, False) for t in rule.hosts] + [(t, True) for t in rule.aliases]
        if private_link:
            texts += [(t, False) for t in rule.vpce_hosts]
        for text, alias in texts:
            for resolved in expand_regions(text, regions):
                out.append(_Compiled(HostPattern(resolved), rule, alias))
    return tuple(out)


def expand_regions(text: str, regions: Sequence[str]) -> list[str]:
    """A pattern with `{region}` replaced, once per region; without it, the pattern itself."""
    if "{region}" not in text:
        return [text]
    return [text.replace("{region}", region) for region in regions]


def _service_rule(service: SiteService) -> Rule:
    aws = service.host.lower().rstrip(".").endswith((".amazonaws.com", ".api.aws"))
    local = is_address(service.host) and scope_of(service.host) != 0
    out = service.direction == "out"
    return Rule(
        id=f"service:{service.name}",
        service=service.name,
        label=service.name,
        kind="service",
        from_=("appliance",) if out else ("any",),
        to=("any",) if out else ("appliance",),
        hosts=(service.host,),
        transports=(service.transport,),
        ports=(str(service.port),),
        role="any" if local or not out else "cloud",
        scope="internet" if aws else "any",
        tls=out and service.transport == "tcp" and service.port in (443, 8443, 8883),
        needed=out,
        source=f"site file, [[service]] {service.name}",
    )


def _listen_rule(listen: SiteListen) -> Rule:
    return Rule(
        id=f"listen:{listen.port}/{listen.transport}",
        service=f"listen-{listen.port}",
        label=f"listen {listen.port}",
        kind="listen",
        from_=("any",),
        to=("appliance",),
        transports=(listen.transport,),
        ports=(str(listen.port),),
        networks=listen.from_,
        source=f"site file, [[listen]] port {listen.port}"
        " (guide, Configuring local network access: inbound ports that the manifest declares)",
    )


def _time_server_rule(names: tuple[str, ...]) -> Rule:
    return Rule(
        id="ntp-named",
        service="ntp",
        label="NTP",
        kind="infrastructure",
        to=("internet", "local"),
        hosts=names,
        transports=("udp",),
        ports=("123",),
        apps=("ntp",),
        source="site file, network.ntp",
    )


def _camera_ports(site: Site) -> dict[str, tuple[int, ...]]:
    """Address of each camera of the site file -> its RTSP ports; empty: the usual ones."""
    out: dict[str, tuple[int, ...]] = {}
    for camera in site.camera:
        address = canonical_host(camera.address) or camera.address
        ports = set(out.get(address, ()))
        if camera.url:
            parts = urlsplit(camera.url)
            ports.add(parts.port or (322 if parts.scheme == "rtsps" else 554))
        out[address] = tuple(sorted(ports))
    return out


def listen_networks(rule: Rule) -> tuple[IpNetwork, ...]:
    """The networks that a listen allows; empty: all."""
    return tuple(network(text) for text in rule.networks)
