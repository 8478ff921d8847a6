"""Differences: between two policies, between a policy and the traffic, between two judgements.

Sites or judged flow rows go in; lists of added, removed, missing and unused entries come out.
"""

from __future__ import annotations

import msgspec
import numpy as np

from panotui.model import REASONS, Site, address_text
from panotui.model.arrays import distinct
from panotui.model.flow_rows import AnyRows
from panotui.policy.judging.rows import HOST_SOURCES, VERDICTS, JudgedRows
from panotui.policy.queries.explain import rule_line
from panotui.policy.queries.show import resolve
from panotui.policy.rules import Policy, Rule, expand_regions
from panotui.site.view import SiteView

SCHEMA_DIFF = "panotui.policy-diff/1"
_FACTS = (
    "topology",
    "region",
    "private_link",
    "mode",
    "ports",
    "cameras",
    "resolvers",
    "time_servers",
    "gateways",
    "local",
)


class PolicyChange(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between two policies."""

    kind: str  # "added", "removed", "changed"
    what: str  # a rule's id or a fact's name
    old: str | None = None
    new: str | None = None

    def line(self) -> str:
        mark = {"added": "+", "removed": "-", "changed": "~"}[self.kind]
        if self.kind == "changed":
            return f"{mark} {self.what}: {self.old} -> {self.new}"
        return f"{mark} {self.what}: {self.new or self.old}"


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Traffic that the policy does not allow."""

    reason: str
    host: str  # name, or the address if there is no name
    transport: str
    port: int
    flows: int
    packets: int


class ObservedDiff(msgspec.Struct, frozen=True, kw_only=True):
    """A policy against traffic."""

    schema: str = SCHEMA_DIFF
    missing: tuple[Need, ...] = ()  # additions that the traffic would need
    unused: tuple[str, ...] = ()  # rules that no flow used, in words

    def lines(self) -> list[str]:
        out = []
        for need in self.missing:
            flows = f"{need.flows} flow{'s' if need.flows != 1 else ''}"
            out.append(f"+ {need.host} {need.transport}/{need.port}: {need.reason}, {flows}")
        out += [f"- never used: {text}" for text in self.unused]
        return out


def diff_policies(old: Site, new: Site) -> tuple[PolicyChange, ...]:
    """The changes from one site file's policy to another's."""
    a, b = SiteView(old), SiteView(new)
    shown_a, shown_b = resolve(a), resolve(b)
    changes = []
    for name in _FACTS:
        before, after = getattr(shown_a, name), getattr(shown_b, name)
        if before != after:
            changes.append(
                PolicyChange(kind="changed", what=name, old=_text(before), new=_text(after))
            )
    rules_a, rules_b = _rules(a), _rules(b)
    for rule_id in dict.fromkeys([*rules_a, *rules_b]):
        before_line, after_line = rules_a.get(rule_id), rules_b.get(rule_id)
        if before_line != after_line:
            kind = (
                "added" if before_line is None else "removed" if after_line is None else "changed"
            )
            changes.append(PolicyChange(kind=kind, what=rule_id, old=before_line, new=after_line))
    return tuple(changes)


def _rules(view: SiteView) -> dict[str, str]:
    """Rule id -> everything that affects its decisions, in one line."""
    policy = Policy.for_site(view.site, view.facts.region)
    out = {}
    for rule in policy.rules:
        hosts = [h for text in rule.hosts for h in expand_regions(text, policy.regions())]
        line = rule_line(msgspec.structs.replace(rule, hosts=tuple(hosts)))
        networks = f" from {', '.join(rule.networks)}" if rule.networks else ""
        out[rule.id] = line + networks
    return out


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in sorted(value.items())) or "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def diff_observed(view: SiteView, rows: AnyRows, judged: JudgedRows) -> ObservedDiff:
    """Rules that the traffic needs and the policy lacks, and rules that no flow used."""
    return ObservedDiff(missing=_missing(rows, judged), unused=_unused(view, rows, judged))


def _missing(rows: AnyRows, judged: JudgedRows) -> tuple[Need, ...]:
    found: dict[tuple[str, str, str, int], list[int]] = {}
    bad = np.flatnonzero((judged.verdict == VERDICTS.index("violation")) & ~judged.own)
    for index in bad.tolist():
        row = rows[index]
        said = HOST_SOURCES[int(judged.host_source[index])] in ("sni", "http", "dns")
        host = judged.hosts[int(judged.host[index])] if said else None
        inbound = judged.reason[index] == 1 + REASONS.index("inbound")
        end = row.src if inbound else row.dst
        key = (
            REASONS[int(judged.reason[index]) - 1],
            host if host and not inbound else address_text(row.version, end),
            {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp6"}.get(row.protocol, str(row.protocol)),
            row.dport,
        )
        counts = found.setdefault(key, [0, 0])
        counts[0] += 1
        counts[1] += row.packets_out + row.packets_in
    needs = [
        Need(reason=r, host=h, transport=t, port=p, flows=n, packets=k)
        for (r, h, t, p), (n, k) in found.items()
    ]
    return tuple(sorted(needs, key=lambda n: (REASONS.index(n.reason), -n.flows, n.host, n.port)))


def _unused(view: SiteView, rows: AnyRows, judged: JudgedRows) -> tuple[str, ...]:
    used = {judged.rules[i] for i in distinct(judged.rule).tolist() if i >= 0}
    policy = Policy.for_site(view.site, view.facts.region)
    out = [_rule_words(r) for r in policy.rules if r.id not in used and _may_be_used(r)]
    seen = {
        address_text(row.version, row.dst) for row in rows[judged.rule == _index(judged, "rtsp")]
    }
    for address, name in view.facts.cameras.items():
        if address not in seen:
            out.append(f"camera {name} ({address})" if name != address else f"camera {address}")
    return tuple(out)


def _index(judged: JudgedRows, rule_id: str) -> int:
    return judged.rules.index(rule_id) if rule_id in judged.rules else -2


def _may_be_used(rule: Rule) -> bool:
    return rule.kind in ("cloud", "service", "listen")


def _rule_words(rule: Rule) -> str:
    return f"{rule.id} ({'/'.join(rule.transports)} {rule.port_text})"
