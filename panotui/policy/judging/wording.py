"""The wording of verdicts: facts and a decision in; a sentence, the nearest rules and advice out.

Each of the nearest rules comes with the condition that failed, so that the user sees which part of
the policy (or of the flow) would have to change.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from panotui.policy.judging.decision import (
    BETWEEN_PORTS,
    BYSTANDER,
    OWN,
    Decision,
    FlowFacts,
    Judgement,
)
from panotui.policy.judging.judge import Judge
from panotui.policy.rules import LISTEN_TEXT, HostMatch, Rule
from panotui.site.facts import GROUP, Who
from panotui.site.hosts import canonical_host
from panotui.site.names import TUNNEL, HostName

NEAREST_MAX = 3


def worded(judge: Judge, facts: FlowFacts) -> Judgement:
    """The verdict of a flow with its wording."""
    decision = judge.decide(facts)
    violation = decision.verdict == "violation"
    facts = facts.unasked() if decision.unasked else facts
    return Judgement(
        verdict=decision.verdict,
        rule=decision.rule,
        reason=decision.reason,
        severity=decision.severity,
        final=decision.final,
        host=decision.host.name if decision.host else None,
        host_source=decision.host.source if decision.host else None,
        nearest=nearest(judge, facts, decision) if violation else (),
        text=_text(judge, facts, decision),
        alias=decision.alias,
        ech=bool(decision.host and decision.host.ech),
        suggestion=_suggestion(judge, facts, decision) if violation else None,
    )


def peer(judge: Judge, address: str, who: int) -> str:
    """An address with its role: "camera dock (10.20.0.11)"."""
    facts = judge.facts
    if address in facts.appliance_addresses:
        return f"the appliance's {facts.appliance_addresses[address]} ({address})"
    if address in facts.cameras:
        name = facts.cameras[address]
        return f"camera {address}" if name == address else f"camera {name} ({address})"
    if who & Who.APPLIANCE:
        return f"the appliance ({address})"
    if who & Who.GATEWAY:
        return f"the gateway {address}"
    if who & Who.INTERNET:
        return f"{address} on the internet"
    return address


def service(facts: FlowFacts) -> str:
    """Transport and port as one word: "tcp/443", "icmp type 8"; through a proxy those of the far
    end.
    """
    if 0 < facts.tunnel < TUNNEL:
        return f"{facts.transport}/{facts.tunnel}"
    if facts.transport in ("tcp", "udp"):
        return f"{facts.transport}/{facts.dport}"
    if facts.transport in ("icmp", "icmp6"):
        return f"{facts.transport} type {facts.sport}"
    return facts.transport if facts.transport.isalpha() else f"IP protocol {facts.transport}"


def _named(facts: FlowFacts, decision: Decision) -> str:
    host = decision.host
    if host is None or host.source == "range":
        return facts.server
    if host.name == facts.server:
        return host.name
    if facts.tunnel:
        return f"{host.name} through the proxy {facts.server} ({facts.transport}/{facts.dport})"
    outer = ", the outer name of an encrypted hello" if host.ech else ""
    return f"{host.name} ({facts.server}{outer})"


def _text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    if d.detail == "before-start":
        return "It began before the capture, so its name is unknown and no rule fits."
    if d.detail == "cut-short":
        return "The capture cuts frames short, so its name is unknown and no rule fits."
    if d.detail == "one-way":
        return "The mirror copies one direction only, so its name is unknown and no rule fits."
    if d.detail == "no-ports":
        return "No captured packet of it has ports (later fragments have none), so no rule fits."
    if d.verdict == "pending":
        return "Not enough has been seen of this flow yet."
    if d.verdict != "violation":
        return _allowed_text(judge, f, d)
    return _VIOLATIONS[d.reason or ""](judge, f, d)


def _allowed_text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    if d.rule == OWN:
        return "Traffic of this tool or of the technician's session."
    if d.rule == BYSTANDER:
        return "Traffic of other hosts: neither the appliance nor a camera leaves the site by it."
    if d.rule == BETWEEN_PORTS:
        return "Traffic between the appliance's own ports."
    rule = judge.policy.rule(d.rule)
    if rule is None:
        return ""
    what = f"Allowed by {rule.id}: {rule.source}."
    if d.alias:
        what += " The name is one that the 2021 guide prints; the real one is under amazonaws.com."
    if "inferred" in rule.labels:
        what += f" (inferred) {rule.note}"
    return what


def _leak_text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    a, b = peer(judge, f.client, f.client_who), peer(judge, f.server, f.server_who)
    if d.detail.startswith("camera:"):
        return f"{_sentence(a)} contacts {b} by {service(f)}: a camera must not reach the internet"
    if f.transport == "tcp" and f.app is None and f.session is None:
        # known by its port alone: refused, unanswered, or not read yet
        return (
            f"{_sentence(a)} contacts {b} by {service(f)}, a port of camera streams: they must not"
            " cross the border of the site"
        )
    return f"{_sentence(a)} and {b} exchange a camera stream by {service(f)}: it leaves the site"


def _inbound_text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    a, b = peer(judge, f.client, f.client_who), peer(judge, f.server, f.server_who)
    answer = "; it answered" if f.answered else "; no answer was seen"
    if f.refused:
        answer = "; it refused"
    if f.supposed:
        answer = ""
    if f.transport not in ("tcp", "udp"):
        return f"{_sentence(a)} sends {service(f)} to {b}{answer}"
    return f"{_sentence(a)} opens {service(f)} on {b}, which the site does not declare{answer}"


def _wrong_port_text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    rule = judge.policy.rule(d.rule)
    role = judge.facts.roles.get(f.port or "", "other")
    carries = rule.role if rule else "other"
    what = _named(f, d) if f.server_who & Who.INTERNET else peer(judge, f.server, f.server_who)
    return f"{what} is allowed on the {carries} port, but was seen on {f.port}, the {role} port"


def _mismatch_text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    name = d.host.name if d.host else f.server
    kind = "loopback" if f.server_who & Who.LOOPBACK else "private"
    if f.server_who & Who.UNSPECIFIED:
        kind = "unspecified"
    return f"{name} is allowed, but {f.server} is a {kind} address, which cannot be its own"


def _unlisted_port_text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    if d.rule:
        return f"{_named(f, d)} is allowed, but not by {service(f)}"
    who = peer(judge, f.server, f.server_who)
    content = f" ({f.app})" if f.app and f.app != "other" else ""
    if f.app == "tls" and f.server_who & Who.CAMERA:
        return (
            f"The appliance opens {service(f)} (TLS) on {who}: RTSP may be inside, and no URL of "
            "the site file names this port"
        )
    return f"The appliance opens {service(f)}{content} on {who}, which is known for something else"


def _cleartext_text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    if f.app == "http-connect" and not f.tunnel:
        asked = d.host.name if d.host is not None else "the internet"
        return (
            f"The appliance asks the proxy {f.server} ({service(f)}) for {asked}; it should reach"
            " it directly, by TLS"
        )
    what = f.app if f.app and f.app != "other" else "something else"
    return f"{_named(f, d)} wants TLS on {service(f)}, but the bytes are {what}"


def _address_text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    mine = f.client if f.client_who & Who.APPLIANCE else f.server
    known = ", ".join(sorted(judge.facts.appliance_addresses)) or "none"
    return f"{f.port or 'The appliance'} uses {mine}; the site file says {known}"


def _lateral_text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    return (
        f"The appliance opens {service(f)} on {f.server}, a local host that is no camera, "
        "service or infrastructure of the site"
    )


def _unlisted_text(judge: Judge, f: FlowFacts, d: Decision) -> str:
    region, _, rule = d.detail.removeprefix("region:").partition(":")
    if d.detail.startswith("region:"):
        here = " or ".join(judge.policy.regions())
        return f"{_named(f, d)} is {rule} of region {region}; the site's region is {here}"
    if d.detail == "encrypted-dns":
        return f"Encrypted DNS to {_named(f, d)} by {service(f)} hides names from the site"
    if d.detail == "resolver":
        return f"DNS to {f.server}, which is no resolver of the site"
    if d.detail == "group":
        return f"The appliance sends {service(f)} to the group address {f.server}"
    return f"No rule allows {service(f)} to {_named(f, d)}"


_VIOLATIONS = {
    "stream-leak": _leak_text,
    "inbound": _inbound_text,
    "wrong-port": _wrong_port_text,
    "name-mismatch": _mismatch_text,
    "unlisted-port": _unlisted_port_text,
    "cleartext": _cleartext_text,
    "address-changed": _address_text,
    "lateral": _lateral_text,
    "unlisted-endpoint": _unlisted_text,
}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


# ------------------------------------------------------------------ the nearest rules


def nearest(judge: Judge, f: FlowFacts, d: Decision) -> tuple[str, ...]:
    """The nearest rules, at most three, each with the condition that failed: "cloudwatch: port 8444
    is not 443".
    """
    if d.reason == "stream-leak":
        return ("rtsp: streams stay between a camera and the appliance, on the site",)
    inbound = d.reason == "inbound"
    lines = _nearest_listens(judge, f) if inbound else _nearest_out(judge, f, d)
    return tuple(dict.fromkeys(lines))[:NEAREST_MAX]


def _nearest_listens(judge: Judge, f: FlowFacts) -> list[str]:
    listens = [r for r in judge.policy.rules if r.kind == "listen"]
    listens.sort(key=lambda r: not r.carries(f.transport, f.dport))
    lines = []
    for rule in listens:
        if rule.carries(f.transport, f.dport):
            lines.append(f"{rule.id}: {f.client} is not in {', '.join(rule.networks)}")
        else:
            lines.append(f"{rule.id}: {_port_failure(rule, f)}")
    return lines or [LISTEN_TEXT]


def _nearest_out(judge: Judge, f: FlowFacts, d: Decision) -> list[str]:
    lines: list[str] = []
    rule = judge.policy.rule(d.rule)
    if rule is not None and d.reason != "unlisted-port":
        lines.append(f"{rule.id}: {_failure(judge, rule, f, d)}")
        return lines
    if d.detail == "resolver":
        return [_not_among("dns", f.server, "resolver", judge.facts.resolvers)]
    if d.detail == "encrypted-dns":
        return ["dns: encrypted DNS is not among the site's services"]
    for name in f.names:
        for match in judge.policy.match_host(name.name):
            lines.append(_match_failure(match, f))
        moved = judge.policy.other_region(name.name)
        if moved is not None:
            here = " or ".join(judge.policy.regions())
            lines.append(f"{moved[0].id}: region {moved[1]} is not {here}")
        lines.extend(_look_alikes(judge, name))
    lines.extend(_by_role(judge, f))
    said = [n for n in f.names if n.source != "range"]
    if not lines and not said:
        carrying = [r.id for r in judge.policy.named if r.carries(f.transport, f.dport)]
        if carrying:
            few = ", ".join(carrying[:3])
            lines.append(f"{few}: {service(f)} fits, but no name was seen for {f.server}")
    if not lines and f.server_who & Who.INTERNET:
        lines.append(f"no rule names {said[0].name if said else f.server}")
    return lines


def _by_role(judge: Judge, f: FlowFacts) -> list[str]:
    lines = []
    rtsp = judge.policy.rule("rtsp")
    if f.server_who & Who.CAMERA and rtsp is not None:
        ports = judge.policy.camera_rtsp.get(f.server, ()) or (rtsp.port_text,)
        if f.transport != "tcp":
            lines.append(f"rtsp: transport {f.transport} is not tcp")
        elif str(f.dport) in map(str, ports):
            lines.append(f"rtsp: the bytes are {f.app}, not RTSP")
        else:
            lines.append(f"rtsp: port {f.dport} is not {' or '.join(map(str, ports))}")
    if f.server_who & Who.RESOLVER:
        lines.append(_role_failure(judge, "dns", f))
    if f.server_who & Who.TIME_SERVER:
        lines.append(_role_failure(judge, "ntp", f))
    local = f.server_who & Who.LOCAL and not f.server_who & GROUP
    if local and not lines and rtsp is not None:
        if f.dport in judge.policy.settings.rtsp_ports:
            lines.append(_not_among("rtsp", f.server, "camera", judge.facts.cameras))
        elif f.dport == 123:
            lines.append(_not_among("ntp", f.server, "time server", judge.facts.time_servers))
        else:
            lines.append(f"rtsp: {f.server} is no camera, and port {f.dport} is not 554")
    return lines


def _role_failure(judge: Judge, rule_id: str, f: FlowFacts) -> str:
    rule = judge.policy.rule(rule_id)
    assert rule is not None
    if rule.carries(f.transport, f.dport):
        return f"{rule_id}: the bytes are {f.app}, not {' or '.join(rule.apps)}"
    return f"{rule_id}: {_port_failure(rule, f)}"


def _not_among(rule_id: str, address: str, role: str, known: Iterable[str]) -> str:
    listed = ", ".join(sorted(known)) or "none"
    return f"{rule_id}: {address} is no {role} of the site ({listed})"


def _match_failure(match: HostMatch, f: FlowFacts) -> str:
    rule = match.rule
    if rule.direction == "in":
        return f"{rule.id}: declared for the other direction"
    if not rule.carries(f.transport, f.dport):
        return f"{rule.id}: {_port_failure(rule, f)}"
    return f"{rule.id}: host and port fit"


def _port_failure(rule: Rule, f: FlowFacts) -> str:
    if f.transport not in rule.transports:
        return f"transport {f.transport} is not {' or '.join(rule.transports)}"
    if f.transport in ("icmp", "icmp6"):
        return f"type {f.sport} is not {rule.port_text.removeprefix('type ')}"
    return f"port {f.dport} is not {rule.port_text}"


def _failure(judge: Judge, rule: Rule, f: FlowFacts, d: Decision) -> str:
    if d.reason == "wrong-port":
        role = judge.facts.roles.get(f.port or "", "other")
        return f"{f.port} is the {role} port, not the {rule.role} port"
    if d.reason == "name-mismatch":
        return f"{f.server} is no public address (and the site has no PrivateLink)"
    if d.reason == "cleartext":
        return f"the bytes are {f.app or 'something else'}, not TLS"
    if d.reason == "address-changed":
        return "host and port fit, but the appliance's address is not the site's"
    return _port_failure(rule, f)


def _look_alikes(judge: Judge, name: HostName) -> list[str]:
    """Rules whose host name is imitated: the same text before or after, or nearly the same."""
    if judge.policy.match_host(name.name) or judge.policy.other_region(name.name):
        return []
    host = canonical_host(name.name) or name.name.lower()
    lines = []
    for rule, literal in judge.policy.literals():
        near = literal in host or difflib.SequenceMatcher(None, host, literal).ratio() > 0.86
        if near:
            lines.append(f"{rule.id}: host {host[:80]} is not {literal}")
    return lines[:2]


# ------------------------------------------------------------------ advice


def _suggestion(judge: Judge, f: FlowFacts, d: Decision) -> str:
    low = {
        "stream-leak": "Block the camera's way to the internet at the firewall; remove port "
        "forwards and UPnP.",
        "wrong-port": "Check which cable is in which port, and the routes of the two networks.",
        "name-mismatch": "Look at the resolver: filtering or interception answers for this name. "
        "With PrivateLink set private_link = true in the site file.",
        "cleartext": "Find what speaks without TLS here: a proxy, an inspection device or a "
        "wrongly set application.",
        "address-changed": "Reserve the address in DHCP, or write the new one into the site file "
        "and the firewall.",
    }
    if d.reason in low:
        return low[d.reason]
    if d.reason == "inbound":
        if d.detail == "internet":
            return "Close the port forward or the rule that lets the internet in."
        return "If an application of the appliance declares this port, add a [[listen]] for it."
    if d.detail.startswith("region:"):
        return "Check the region of the site file against the one of the provisioning."
    if d.detail in ("resolver", "encrypted-dns"):
        return "Allow DNS to the site's resolvers only, or add this one to network.dns."
    if d.reason == "lateral":
        return (
            "If this host is a camera, a server of the application or infrastructure, name it in "
            "the site file; otherwise find what opens it."
        )
    return "If the application needs it, add a [[service]] for it; otherwise find what asks for it."
