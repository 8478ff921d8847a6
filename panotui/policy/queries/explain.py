"""Explanations: the rule that allows a connection, or the nearest rules and what failed in each.

`explain` answers without traffic (host, port, the appliance's port). `explain_flow` describes an
observed flow, with the sources of its name and any contradictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from panotui.errors import UsageError
from panotui.model.flow_rows import FlowRow
from panotui.policy.judging.decision import FlowFacts, Judgement
from panotui.policy.judging.judge import Judge
from panotui.policy.judging.rows import RowJudge
from panotui.policy.judging.wording import service, worded
from panotui.policy.rules import Policy, Rule
from panotui.site.facts import Who
from panotui.site.hosts import canonical_host, is_address
from panotui.site.names import HostName
from panotui.site.view import SiteView
from panotui.wire.text import printable

TRANSPORTS = ("tcp", "udp", "icmp", "icmp6")


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `policy explain`; its JSON is these fields."""

    host: str
    port: int
    transport: str
    direction: str  # "out", "in"
    from_port: str | None
    verdict: str
    rule: str | None
    reason: str | None
    text: str
    nearest: tuple[str, ...] = ()
    suggestion: str | None = None
    source: str | None = None  # source of the rule
    alias: bool = False

    def lines(self) -> list[str]:
        """The explanation as text lines."""
        what = f"{self.transport}/{self.port}"
        where = f" on {self.from_port}" if self.from_port else ""
        arrow = "to" if self.direction == "out" else "from"
        head = f"{what} {arrow} {self.host}{where}: {self.verdict}"
        out = [head + (f" ({self.reason})" if self.reason else "")]
        if self.text:
            out.append(f"  {self.text.rstrip('.')}.")
        out.extend(f"  nearest: {line}" for line in self.nearest)
        if self.suggestion:
            out.append(f"  {self.suggestion}")
        return out


def explain(
    view: SiteView,
    host: str,
    port: int,
    transport: str = "tcp",
    from_port: str | None = None,
    direction: str = "out",
) -> Explanation:
    """The policy's verdict on a hypothetical connection.

    `host`: a name or an address. Raises `UsageError` for an invalid host, port or name of a port.
    """
    _check(view, host, port, transport, from_port, direction)
    judge = Judge(Policy.for_site(view.site, view.facts.region), view.facts)
    facts = _facts(view, judge, host, port, transport, from_port, direction)
    judgement = worded(judge, facts)
    rule = judge.policy.rule(judgement.rule)
    return Explanation(
        host=canonical_host(host) or printable(host),
        port=port,
        transport=transport,
        direction=direction,
        from_port=from_port,
        verdict=judgement.verdict,
        rule=judgement.rule,
        reason=judgement.reason,
        text=judgement.text,
        nearest=judgement.nearest,
        suggestion=judgement.suggestion,
        source=rule.source if rule else None,
        alias=judgement.alias,
    )


def _check(
    view: SiteView, host: str, port: int, transport: str, from_port: str | None, direction: str
) -> None:
    if canonical_host(host) is None:
        raise UsageError("policy explain", f"{printable(host, 60)!r} is not a host name or address")
    if not 0 <= port <= 65535:
        raise UsageError("policy explain", f"{port} is not a port", "Ports are 1-65535.")
    if transport not in TRANSPORTS:
        raise UsageError("policy explain", f"{printable(transport, 20)!r} is not a transport")
    if direction not in ("out", "in"):
        raise UsageError("policy explain", f"{printable(direction, 20)!r} is not a direction")
    known = {*view.facts.roles, *view.site.ports, "eth0", "eth1"}
    if from_port is not None and from_port not in known:
        names = ", ".join(sorted(known))
        raise UsageError(
            "policy explain",
            f"the site has no port {printable(from_port, 20)!r}",
            f"It has {names}.",
        )


def _facts(
    view: SiteView,
    judge: Judge,
    host: str,
    port: int,
    transport: str,
    from_port: str | None,
    direction: str,
) -> FlowFacts:
    name = canonical_host(host) or host
    appliance = _appliance_address(view, from_port)
    if is_address(name):
        who, names = view.who(name), tuple[HostName, ...]()
    else:
        who, names = Who.INTERNET, (HostName(name, "sni"),)
        local = [c.address for c in view.site.camera if c.name.lower() == name]
        if local:
            return _facts(view, judge, local[0], port, transport, from_port, direction)
        if any(
            m.rule.scope == "any" and m.rule.kind == "service" and m.rule.role == "any"
            for m in judge.policy.match_host(name)
        ):
            who = Who.LOCAL
    ours = Who.APPLIANCE | Who.LOCAL
    icmp = transport in ("icmp", "icmp6")
    known: dict[str, Any] = {
        "transport": transport,
        "sport": port if icmp else 0,
        "dport": 0 if icmp else port,
        "port": from_port,
        "settled": True,
        "supposed": True,
        "hello": transport == "tcp" and not is_address(name),
    }
    if direction == "in":
        return FlowFacts(client=name, server=appliance, client_who=who, server_who=ours, **known)
    return FlowFacts(
        client=appliance, server=name, client_who=ours, server_who=who, names=names, **known
    )


def _appliance_address(view: SiteView, from_port: str | None) -> str:
    for address, port in view.facts.appliance_addresses.items():
        if from_port is None or port == from_port:
            return address
    return "appliance"


def explain_flow(
    judge: RowJudge,
    row: FlowRow,
    now_ns: int,
    meter: int = 0,
    *,
    interfaces: Sequence[str] = (),
    own: bool = False,
    final: bool = False,
) -> tuple[tuple[str, str], ...]:
    """The lines (label, text) of a flow's detail: verdict, rule, names and the nearest rules."""
    facts = judge.facts(row, now_ns, meter, interfaces=interfaces, own=own, final=final)
    judgement = worded(judge.judge, facts)
    lines = [("verdict", _verdict_line(judgement)), ("why", judgement.text)]
    rule = judge.policy.rule(judgement.rule)
    if rule is not None:
        lines.append(("rule", f"{rule.id} ({rule.source})"))
        if rule.note:
            lines.append(("", rule.note))
    lines.extend(("nearest", line) for line in judgement.nearest)
    for name in facts.names:
        lines.append(("name", _name_line(name)))
    if not facts.names:
        lines.append(("name", f"none seen for {facts.server}"))
    for conflict in judge.names.conflicts(facts.names):
        lines.append(("conflict", conflict))
    if facts.session is not None:
        session = facts.session
        lines.append(
            ("session", f"negotiated by RTSP {session.client} -> {session.server}:{session.dport}")
        )
    lines.extend(_doubts(facts))
    if judgement.suggestion:
        lines.append(("to do", judgement.suggestion))
    return tuple((label, text) for label, text in lines if text)


def _verdict_line(judgement: Judgement) -> str:
    reason = f": {judgement.reason} ({judgement.severity})" if judgement.reason else ""
    return f"{judgement.verdict}{reason}{'' if judgement.final else ', not final yet'}"


def _name_line(name: HostName) -> str:
    words = {
        "sni": "said by the client in TLS (SNI)",
        "http": "said by the client in HTTP (Host)",
        "dns": "by a DNS answer for this address",
        "site": "by the site file",
        "mdns": "by the host itself (mDNS)",
        "range": "by its address range only: a hint",
    }
    hidden = "; the outer name of an encrypted hello" if name.ech else ""
    return f"{name.name}, {words.get(name.source, name.source)}{hidden}"


def _doubts(facts: FlowFacts) -> list[tuple[str, str]]:
    out = []
    if facts.mid_stream:
        out.append(("seen", "its beginning was not seen"))
    if facts.opened != "syn" and facts.transport == "tcp":
        by = "by its port" if facts.opened == "port" else "as the first to send"
        out.append(("client", f"{facts.client} is taken for the client {by}"))
    if facts.one_way:
        out.append(("seen", "the mirror copies one direction only: an answer proves nothing"))
    if facts.foreign_address:
        out.append(("address", "the appliance's MAC speaks from an address that is not the site's"))
    return out


def rule_line(rule: Rule) -> str:
    """A rule in one line: "cloudwatch  tcp/443  monitoring.us-east-1.amazonaws.com"."""
    hosts = ", ".join(rule.hosts) or ", ".join(rule.to)
    return f"{rule.id}  {'/'.join(rule.transports)}/{rule.port_text}  {hosts}"


__all__ = ["Explanation", "explain", "explain_flow", "rule_line", "service"]
