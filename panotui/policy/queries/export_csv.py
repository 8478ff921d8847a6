"""The policy as a table for a firewall ticket: one CSV line per opening that is needed."""

from __future__ import annotations

import csv
import io

from msgspec import Struct
from msgspec.structs import astuple

from panotui.policy.rules import Policy, Rule, expand_regions
from panotui.site.view import SiteView


class Opening(Struct, frozen=True):
    """One line of the table."""

    number: int
    action: str
    direction: str  # as seen from the appliance
    source: str
    destination: str
    transport: str
    port: str
    tls: str
    needed: str
    service: str
    rule: str
    basis: str
    note: str


def openings(view: SiteView) -> tuple[Opening, ...]:
    """The lines of the table, cloud services first."""
    policy = Policy.for_site(view.site, view.facts.region)
    lines: list[Opening] = []
    order = {"cloud": 0, "service": 1, "camera": 2, "listen": 3, "infrastructure": 4}
    for rule in sorted(policy.rules, key=lambda r: order[r.kind]):
        for source, destination, port in _ends(view, policy, rule):
            lines.append(_opening(len(lines) + 1, view, rule, source, destination, port))
    return tuple(lines)


def _opening(
    number: int, view: SiteView, rule: Rule, source: str, destination: str, port: str
) -> Opening:
    needed = rule.needed and view.site.site.mode == "normal"
    note = "; ".join([*rule.labels, *([rule.note] if rule.note else [])])
    return Opening(
        number=number,
        action="allow",
        direction="in" if rule.direction == "in" else "out",
        source=source,
        destination=destination,
        transport="/".join(rule.transports),
        port=port,
        tls="yes" if rule.tls else "no",
        needed="yes" if needed or rule.kind in ("camera", "listen") else "no",
        service=rule.service,
        rule=rule.id,
        basis=rule.source,
        note=note,
    )


def _ends(view: SiteView, policy: Policy, rule: Rule) -> list[tuple[str, str, str]]:
    """(source, destination, port) of each line that a rule needs; empty if it needs no opening."""
    facts = view.facts
    port = rule.port_text
    if rule.kind == "listen":
        away = ", ".join(rule.networks) or "any"
        return [(away, appliance(view, "any"), port)]
    if rule.hosts and rule.direction == "in":
        return [(host, appliance(view, rule.role), port) for host in rule.hosts]
    if rule.id == "ntp-public" and facts.time_servers_given:
        return []
    if rule.hosts:
        hosts = [h for text in rule.hosts for h in expand_regions(text, policy.regions())]
        return [(appliance(view, rule.role), host, port) for host in hosts]
    if rule.id == "rtsp":
        out = []
        for address, name in facts.cameras.items():
            ports = policy.camera_rtsp.get(address, ()) or (554,)
            label = address if name == address else f"{address} ({name})"
            out.append((appliance(view, rule.role), label, " or ".join(map(str, ports))))
        return out or [(appliance(view, rule.role), "cameras", port)]
    if rule.id == "rtp":
        cameras = ", ".join(facts.cameras) or "cameras"
        return [(cameras, appliance(view, rule.role), "1024-65535 (negotiated by RTSP)")]
    if rule.id == "dns":
        return [(appliance(view, "any"), a, port) for a in sorted(facts.resolvers)]
    if rule.id == "ntp":
        return [(appliance(view, "any"), a, port) for a in sorted(facts.time_servers)]
    return []


def appliance(view: SiteView, role: str) -> str:
    """The appliance's addresses that carry a role, in a form for the owner of a firewall."""
    facts = view.facts
    out = []
    for address, port in facts.appliance_addresses.items():
        carries = facts.roles.get(port, "both")
        if facts.topology != "dual" or role == "any" or carries in (role, "both"):
            out.append(address)
    if out:
        return ", ".join(out)
    macs = [mac for name in sorted(view.site.ports) if (mac := facts.port_mac(name))]
    return f"appliance ({', '.join(macs)})" if macs else "appliance"


def export_csv(view: SiteView) -> str:
    """The table as CSV (RFC 4180), with a header line."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(Opening.__struct_fields__)
    for line in openings(view):
        writer.writerow([_cell(value) for value in astuple(line)])
    return out.getvalue()


def _cell(value: object) -> str:
    """A cell that no spreadsheet interprets as a formula."""
    text = str(value)
    # a host pattern begins with a star, which does not start a formula
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
