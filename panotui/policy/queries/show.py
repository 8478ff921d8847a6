"""The resolved policy of a site, as text and JSON: rules with their sources.

Text lists who may connect to whom, on which port, and the source of each rule; the JSON has the
same content. Errors printed in the 2021 guide are explained, because firewalls were configured from
it.
"""

from __future__ import annotations

import msgspec

from panotui.policy.rules import Policy, Rule, expand_regions
from panotui.site.view import SiteView

SCHEMA_POLICY = "panotui.policy/1"


class ShownRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the resolved policy."""

    id: str
    service: str
    label: str
    kind: str
    direction: str
    from_: tuple[str, ...] = msgspec.field(name="from")
    to: tuple[str, ...]
    hosts: tuple[str, ...]
    aliases: tuple[str, ...]
    transports: tuple[str, ...]
    ports: tuple[str, ...]
    types: tuple[int, ...]  # ICMP
    networks: tuple[str, ...]
    port_role: str
    tls: bool
    needed: bool
    labels: tuple[str, ...]
    source: str
    note: str


class ShownPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The resolved policy; its JSON is these fields."""

    schema: str
    site: str | None
    topology: str | None
    region: str | None
    regions: tuple[str, ...]
    private_link: bool
    mode: str
    inferred: tuple[str, ...]
    ports: dict[str, str]
    cameras: dict[str, str]
    resolvers: tuple[str, ...]
    time_servers: tuple[str, ...]
    gateways: tuple[str, ...]
    local: tuple[str, ...]
    rules: tuple[ShownRule, ...]
    guide_names: tuple[tuple[str, str], ...]  # (name printed in 2021, correct name)


def resolve(view: SiteView) -> ShownPolicy:
    """The policy of a site with everything resolved."""
    policy = Policy.for_site(view.site, view.facts.region)
    facts, identity = view.facts, view.site.site
    needed = identity.mode == "normal"
    return ShownPolicy(
        schema=SCHEMA_POLICY,
        site=identity.name,
        topology=facts.topology,
        region=policy.region,
        regions=policy.regions(),
        private_link=identity.private_link,
        mode=identity.mode,
        inferred=facts.inferred,
        ports={name: facts.seen_roles.get(name, "both") for name in _port_names(view)},
        cameras=dict(facts.cameras),
        resolvers=tuple(sorted(facts.resolvers)),
        time_servers=tuple(sorted(facts.time_servers)),
        gateways=tuple(sorted(facts.gateways)),
        local=tuple(sorted(str(n) for n in facts.local)),
        rules=tuple(_shown(r, policy, needed=needed) for r in policy.rules),
        guide_names=_guide_names(policy),
    )


def _port_names(view: SiteView) -> list[str]:
    return sorted({*view.site.ports, *view.facts.appliance_addresses.values()})


def _shown(rule: Rule, policy: Policy, *, needed: bool) -> ShownRule:
    regions = policy.regions()
    hosts = [h for text in rule.hosts for h in expand_regions(text, regions)]
    if policy.site.site.private_link:
        hosts += [h for text in rule.vpce_hosts for h in expand_regions(text, regions)]
    return ShownRule(
        id=rule.id,
        service=rule.service,
        label=rule.label,
        kind=rule.kind,
        direction=rule.direction,
        from_=rule.from_,
        to=rule.to,
        hosts=tuple(hosts),
        aliases=tuple(h for text in rule.aliases for h in expand_regions(text, regions)),
        transports=rule.transports,
        ports=_ports(rule, policy),
        types=rule.types,
        networks=rule.networks,
        port_role=rule.role,
        tls=rule.tls,
        needed=rule.needed and needed,
        labels=rule.labels,
        source=rule.source,
        note=rule.note,
    )


def _ports(rule: Rule, policy: Policy) -> tuple[str, ...]:
    if rule.id != "rtsp":
        return rule.ports
    more = {str(p) for ports in policy.camera_rtsp.values() for p in ports}
    return tuple(sorted({*rule.ports, *more}, key=int))


def _guide_names(policy: Policy) -> tuple[tuple[str, str], ...]:
    out = []
    for rule in policy.named:
        for alias in rule.aliases:
            for resolved in expand_regions(alias, policy.regions()):
                real = resolved.replace(".aws.amazon.com", ".amazonaws.com")
                out.append((resolved, real))
    return tuple(out)


GUIDE_EXPLANATION = (
    "The guide of 2021 printed some names under aws.amazon.com. Those names do not exist in the "
    "DNS: the services answer under amazonaws.com (the guide was corrected in 2022). A firewall "
    "that allows only the printed names blocks everything."
)


def show_text(view: SiteView) -> str:
    """The resolved policy as text."""
    shown = resolve(view)
    lines = [f"Policy of site {shown.site or '(no name)'}"]
    lines += _facts_lines(shown)
    titles = {
        "cloud": "AWS services (the appliance opens, TLS)",
        "service": "Services of the application (site file)",
        "camera": "Cameras",
        "listen": "Inbound ports (site file)",
        "infrastructure": "Infrastructure that raises no alarm",
    }
    for kind, title in titles.items():
        rules = [r for r in shown.rules if r.kind == kind]
        if rules:
            lines += ["", title]
            for rule in rules:
                lines += _rule_lines(rule)
    lines += ["", "Names that the guide of 2021 printed", f"  {GUIDE_EXPLANATION}"]
    lines += [f"  {printed}  ->  {real}" for printed, real in shown.guide_names]
    lines += ["", "Everything else is a violation."]
    return "\n".join(lines) + "\n"


def show_json(view: SiteView) -> bytes:
    """The resolved policy as JSON."""
    return msgspec.json.format(msgspec.json.encode(resolve(view)), indent=2)


def _facts_lines(shown: ShownPolicy) -> list[str]:
    region = shown.region or f"unknown: any of {', '.join(shown.regions)}"
    pairs = [
        ("topology", shown.topology or "unknown"),
        ("region", region),
        ("mode", shown.mode),
        ("PrivateLink", "yes" if shown.private_link else "no"),
        ("ports", ", ".join(f"{n} ({r})" for n, r in shown.ports.items()) or "unknown"),
        ("cameras", ", ".join(_camera(a, n) for a, n in shown.cameras.items()) or "any on site"),
        ("resolvers", ", ".join(shown.resolvers) or "any"),
        ("time servers", ", ".join(shown.time_servers) or "pool.ntp.org"),
        ("gateways", ", ".join(shown.gateways) or "unknown"),
        ("local", ", ".join(shown.local) or "private addresses"),
    ]
    lines = [f"  {label:<13}{text}" for label, text in pairs]
    if shown.inferred:
        lines.append(f"  {'inferred':<13}{', '.join(shown.inferred)}")
    return lines


def _camera(address: str, name: str) -> str:
    return address if address == name else f"{name} {address}"


def _rule_lines(rule: ShownRule) -> list[str]:
    labels = [*rule.labels, *(["needed"] if rule.needed else [])]
    tail = f"  [{', '.join(labels)}]" if labels else ""
    port = " or ".join("any" if p == "*" else p for p in rule.ports)
    port = port or "type " + " or ".join(map(str, rule.types)) if rule.types else port
    role = f" on the {rule.port_role} port" if rule.port_role != "any" else ""
    lines = [f"  {rule.id:<22}{'/'.join(rule.transports)} {port}".rstrip() + f"{role}{tail}"]
    for host in rule.hosts:
        lines.append(f"    {host}")
    if not rule.hosts:
        away = ", ".join(rule.networks) or ", ".join(rule.from_)
        lines.append(f"    {away} -> {', '.join(rule.to)}")
    lines.append(f"    from: {rule.source}")
    if rule.note:
        lines.append(f"    note: {rule.note}")
    return lines
