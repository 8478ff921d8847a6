"""The policy as an nftables table for the box between the appliance and its networks.

A site view and observed DNS answers go in, text for `nft -f` comes out. The table filters only the
traffic of the appliance and the cameras; all other traffic passes. A packet filter knows addresses,
not names: each service has a named set, filled with observed answers. The resolver should keep the
sets up to date (see the dnsmasq lines at the end). The head of the file lists what the filter
cannot distinguish (names that share an address, TLS or not).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct, field

from panotui.model import mac_text
from panotui.policy.rules import Policy, Rule, expand_regions
from panotui.site.addresses import INTERNET, scope_of
from panotui.site.hosts import canonical_host, is_address
from panotui.site.view import SiteView
from panotui.wire.text import printable

FAMILIES = ("inet", "bridge")
MEDIA_PORTS = "1024-65535"
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "224.0.0.0/4")


class _Parts(Struct):
    """The parts of the text."""

    cloud: list[str] = field(default_factory=list)  # appliance addresses that may reach the cloud
    camera: list[str] = field(default_factory=list)  # and to cameras
    every: list[str] = field(default_factory=list)
    macs: list[str] = field(default_factory=list)
    sets: dict[str, list[str]] = field(default_factory=dict)  # named set -> IPv4 elements
    rules: list[Rule] = field(default_factory=list)  # names that have a set


def export_nftables(
    view: SiteView, answers: Iterable[tuple[str, str]] = (), *, family: str = "inet"
) -> str:
    """The table as text. `answers`: (name, address) pairs from observed DNS answers.

    `family`: "inet" for a router, "bridge" for an inline bridge. `ValueError` for another.
    """
    if family not in FAMILIES:
        raise ValueError(f"no such family: {family}")
    policy = Policy.for_site(view.site, view.facts.region)
    parts = _parts(view, policy, answers)
    lines = [
        *_head(view, policy, parts),
        f"table {family} panotui",
        f"delete table {family} panotui",
    ]
    lines += [
        "",
        f"table {family} panotui {{",
        *_sets(view, policy, parts),
        *_chains(view, parts, family),
    ]
    lines += ["}", "", *_dnsmasq(policy, parts, family)]
    return "\n".join(lines) + "\n"


def _parts(view: SiteView, policy: Policy, answers: Iterable[tuple[str, str]]) -> _Parts:
    parts, facts = _Parts(), view.facts
    dual = facts.topology == "dual"
    for address, port in facts.appliance_addresses.items():
        if scope_of(address) != INTERNET or "." in address:
            role = facts.roles.get(port)
            if ":" in address:
                continue
            parts.every.append(address)
            if not dual or role in ("cloud", "both", None):
                parts.cloud.append(address)
            if not dual or role in ("camera", "both", None):
                parts.camera.append(address)
    parts.macs = [text for mac in facts.appliance_macs if (text := mac_text(mac))]
    parts.rules = [r for r in policy.rules if r.hosts and r.direction != "in"]
    for rule in parts.rules:
        hosts = [h for h in rule.hosts if is_address(h) and ":" not in h]
        parts.sets[_set_name(rule)] = hosts
    for name, address in sorted(set(answers)):
        host, ip = canonical_host(name), canonical_host(address)
        if host is None or ip is None or ":" in ip or not is_address(ip):
            continue
        for match in policy.match_host(host):
            plausible = scope_of(ip) == INTERNET or policy.site.site.private_link
            if not plausible and match.rule.kind == "cloud":
                continue  # an answer that cannot be genuine: a sinkhole must not be allowed
            elements = parts.sets.get(_set_name(match.rule))
            if elements is not None and ip not in elements:
                elements.append(ip)
    return parts


def _set_name(rule: Rule) -> str:
    return "to_" + re.sub(r"[^a-z0-9]+", "_", rule.id.lower()).strip("_")[:40]


def _comment(text: str) -> str:
    return printable(text, 200).replace("\n", " ")


def _head(view: SiteView, policy: Policy, parts: _Parts) -> list[str]:
    name = _comment(view.site.site.name or "(no name)")
    empty = [name for name, elements in parts.sets.items() if not elements]
    lines = [
        "#!/usr/sbin/nft -f",
        f"# Panotui: the network policy of the AWS Panorama Appliance of site {name}.",
        f"# Region: {policy.region or 'unknown (' + ', '.join(policy.regions()) + ')'}.",
        "#",
        "# For the box that forwards between the appliance and its networks. Only the appliance's",
        "# and the cameras' traffic is judged; everything else passes untouched.",
        "# Check it:  nft -c -f FILE      Load it:  nft -f FILE",
        "#",
        "# Names: a packet filter knows addresses only. Each service has a set (to_...), filled",
        "# with the DNS answers that were observed. AWS changes its addresses all day, so let the",
        "# resolver keep the sets filled: the dnsmasq lines at the end of this file do that.",
        "# Not told by a packet filter, but by Panotui: a foreign name on an allowed address,",
        "# bytes that are not TLS, a name of another region that shares an address.",
        "# Media: RTSP negotiates UDP ports, so between the appliance and its cameras all ports",
        "# from 1024 are open (with cameras set to TCP interleaved those two lines can go).",
        "# On an inline bridge (family bridge) the kernel needs nf_conntrack_bridge (Linux 5.3).",
    ]
    if not parts.every:
        lines.append("# The appliance's addresses are not known: name them in the site file.")
    if empty:
        lines.append(f"# Still empty, so blocked until filled: {', '.join(empty)}.")
    return lines


def _elements(values: Iterable[str]) -> str:
    listed = ", ".join(dict.fromkeys(values))
    return f"        elements = {{ {listed} }}" if listed else ""


def _set(
    name: str, kind: str, values: Iterable[str], flags: str = "", comment: str = ""
) -> list[str]:
    lines = [f"    set {name} {{", f"        type {kind}"]
    if comment:
        lines.insert(0, f"    # {_comment(comment)}")
    if flags:
        lines.append(f"        flags {flags}")
    if "interval" in flags:
        lines.append("        auto-merge")
    elements = _elements(values)
    if elements:
        lines.append(elements)
    return [*lines, "    }", ""]


def _sets(view: SiteView, policy: Policy, parts: _Parts) -> list[str]:
    facts = view.facts
    cameras = [a for a in facts.cameras if "." in a]
    ports = [
        f"{address} . {port}"
        for address in cameras
        for port in policy.camera_rtsp.get(address, ()) or (554,)
    ]
    local = [*_PRIVATE, *(str(n) for n in facts.local if n.version == 4)]
    lines = _set("appliance", "ipv4_addr", parts.every)
    lines += _set("appliance_cloud", "ipv4_addr", parts.cloud)
    lines += _set("appliance_camera", "ipv4_addr", parts.camera)
    if parts.macs:
        lines += _set("appliance_mac", "ether_addr", parts.macs)
    lines += _set("cameras", "ipv4_addr", cameras)
    lines += _set("camera_rtsp", "ipv4_addr . inet_service", ports)
    lines += _set("site_local", "ipv4_addr", local, "interval")
    lines += _set("resolvers", "ipv4_addr", sorted(a for a in facts.resolvers if "." in a))
    lines += _set("time_servers", "ipv4_addr", sorted(a for a in facts.time_servers if "." in a))
    for rule in parts.rules:
        name = _set_name(rule)
        lines += _set(name, "ipv4_addr", parts.sets[name], comment=f"{rule.id}: {rule.source}")
    return lines


def _chains(view: SiteView, parts: _Parts, family: str) -> list[str]:
    six = "meta nfproto ipv6" if family == "inet" else "ether type ip6"
    lines = [
        "    chain forward {",
        "        type filter hook forward priority filter; policy accept;",
    ]
    if parts.macs:
        lines += [
            "        # the appliance speaks IPv4 from its own addresses only (DHCP from 0.0.0.0)",
            f"        ether saddr @appliance_mac {six} counter drop",
            "        ether saddr @appliance_mac ip saddr != @appliance ip saddr != 0.0.0.0 "
            "counter drop",
        ]
    lines += [
        "        # streams stay on the site: no camera to or from the internet",
        "        ip saddr @cameras ip daddr != @site_local counter drop",
        "        ip daddr @cameras ip saddr != @site_local counter drop",
        "        ip saddr @appliance jump from_appliance",
        "        ip daddr @appliance jump to_appliance",
        "    }",
        "",
        *(_INPUT if family == "inet" else ()),
        *_outgoing(view, parts),
        "",
        *_incoming(view),
    ]
    return lines


_ANY_CAMERA = "        ip daddr @site_local tcp dport 554 accept  # no camera is named"
_ANY_RESOLVER = (
    "        udp dport 53 accept  # no resolver is named",
    "        tcp dport 53 accept",
)
_INPUT = (
    "    chain input {",
    "        type filter hook input priority filter; policy accept;",
    "        # the box itself is a local host like any other",
    "        ip saddr @appliance jump from_appliance",
    "    }",
    "",
)


def _outgoing(view: SiteView, parts: _Parts) -> list[str]:
    lines = [
        "    chain from_appliance {",
        "        ct state established,related accept",
        "        ct state invalid counter drop",
        "        # cameras",
        "        ip saddr @appliance_camera ip daddr . tcp dport @camera_rtsp accept",
        f"        ip saddr @appliance_camera ip daddr @cameras udp dport {MEDIA_PORTS} accept",
        *(() if view.facts.cameras else (_ANY_CAMERA,)),
        "        # names, time, addresses, errors",
        *(() if view.facts.resolvers else _ANY_RESOLVER),
        "        ip daddr @resolvers udp dport 53 accept",
        "        ip daddr @resolvers tcp dport 53 accept",
        "        ip daddr @time_servers udp dport 123 accept",
        "        udp dport { 67, 68 } accept",
        "        icmp type { destination-unreachable, time-exceeded, parameter-problem } accept",
        "        ip daddr @site_local icmp type { echo-request, echo-reply } accept",
        "        # services",
    ]
    for rule in parts.rules:
        name = _set_name(rule)
        source = "@appliance_cloud" if rule.role == "cloud" else "@appliance"
        if rule.id == "ntp-public" and not view.facts.time_servers_given:
            lines.append("        # no time server is named: the public pool, whose names change")
            lines.append(f"        ip saddr {source} ip daddr != @site_local udp dport 123 accept")
            continue
        for transport in rule.transports:
            ports = ", ".join(rule.ports)
            lines.append(
                f"        ip saddr {source} ip daddr @{name} {transport} dport {{ {ports} }} accept"
            )
    return [*lines, "        counter drop", "    }"]


def _incoming(view: SiteView) -> list[str]:
    lines = [
        "    chain to_appliance {",
        "        ct state established,related accept",
        "        ct state invalid counter drop",
        "        # media of the cameras",
        f"        ip saddr @cameras ip daddr @appliance_camera udp dport {MEDIA_PORTS} accept",
        "        udp dport { 67, 68 } accept",
        "        icmp type { destination-unreachable, time-exceeded, parameter-problem } accept",
        "        ip saddr @site_local icmp type { echo-request, echo-reply } accept",
        "        # inbound ports that the site declares",
    ]
    for listen in view.site.listen:
        networks = ", ".join(n for n in listen.from_ if ":" not in n)
        source = f"ip saddr {{ {networks} }} " if networks else ""
        if networks or not listen.from_:
            lines.append(f"        {source}{listen.transport} dport {listen.port} accept")
    for service in view.site.service:
        if service.direction == "in" and is_address(service.host) and ":" not in service.host:
            lines.append(
                f"        ip saddr {service.host} {service.transport} dport {service.port} accept"
            )
    return [*lines, "        counter drop", "    }"]


def _dnsmasq(policy: Policy, parts: _Parts, family: str) -> list[str]:
    """Lines for dnsmasq (2.87 or newer) that fill the sets as names are resolved.

    dnsmasq uses the longest matching domain, so each domain lists all sets that its names need.
    """
    domains: dict[str, set[str]] = {}
    for rule in parts.rules:
        for text in rule.hosts:
            for host in expand_regions(text, policy.regions()):
                fixed = ".".join(label for label in host.split(".") if "*" not in label)
                if not is_address(host):
                    matches = policy.match_host(host.replace("*", "x"))
                    found = {_set_name(m.rule) for m in matches if m.rule in parts.rules}
                    domains.setdefault(fixed, set()).update(found)
    lines = ["# For /etc/dnsmasq.d/panotui.conf of the site's resolver, to keep the sets filled:"]
    for domain, names in domains.items():
        listed = ",".join(f"4#{family}#panotui#{name}" for name in sorted(names))
        lines.append(f"# nftset=/{domain}/{listed}")
    return lines
