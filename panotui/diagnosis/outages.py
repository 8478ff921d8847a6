"""Shared failures: one finding for the element that failing targets share.

Failing targets come in, observations that cover the targets' own go out. Unreachable targets are
compared by the elements that they depend on (`diagnosis.fate`); those that fail at a higher step,
by how they end there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from msgspec.structs import replace

from panotui.diagnosis.catalogue import alert_named
from panotui.diagnosis.facts import Facts, Observation, clock_text, evidence
from panotui.diagnosis.failing import (
    Failing,
    after_the_handshake,
    fault_of,
    how_cut,
    own_fault,
)
from panotui.diagnosis.fate import Element, Fate, Trial, shared
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, EvidenceRecord
from panotui.model.quantities import listed, milliseconds
from panotui.site.facts import Who
from panotui.state.connects import Attempts, icmp_meaning
from panotui.state.ladder import HANDSHAKE, HELLO, STEPS, Attempt

LIMITS = thresholds().outages


def worked(element: Element, facts: Facts) -> tuple[int, str]:
    """When something that depends on an element was last answered, and by which host (0 never)."""
    kind, name = element
    way, _, rest = name.partition(" ")
    if kind == "port":
        return facts.beyond.answered(way)
    if kind == "family":
        return facts.beyond.answered(way, version=int(rest))
    return facts.beyond.answered(way, protocol=6, dport=int(rest))


def least(element: Element, facts: Facts) -> int:
    """How many targets must fail: one is enough if the other family is known to work."""
    kind, name = element
    if kind != "family":
        return 2
    return 1 if name.endswith(" 6") else 2


def of_fate(fate: Fate, failing: list[Failing], facts: Facts) -> Observation:
    """One sentence for targets that share the path to the internet."""
    kind, name = fate.element
    way, _, rest = name.partition(" ")
    keys = {t.key for t in fate.members}
    members = [f for f in failing if f.seen.life_key in keys]
    if kind == "port" and len(members) == len(fate.members) and _only_six(members):
        kind, rest = "family", "6"  # the narrowest known one
    names = fate.names
    since = fate.since_ns
    newest = max((f.attempt.last_ns for f in members), default=facts.now_ns)
    proofs = tuple(e for f in members[:4] for e in _two(f))
    message = next((f.target.icmp for f in members if f.target.icmp is not None), None)
    reason = f" ({message.src} says {icmp_meaning(message)})" if message else ""
    lost = next((f.target.lost_at for f in members if f.target.lost_at is not None), None)
    if lost is not None and message is None:
        reason = f" ({lost.src} says by ICMP that packets loop there)"
        proofs = (*proofs[:7], evidence(lost.time_ns, lost.packet, "ICMP: time exceeded"))
    detail = tuple(f"{n} does not answer" for n in names[:6])
    values = {
        "port": way, "since": clock_text(since), "count": str(len(names)),
        "names": listed(names), "control": _controls(since, facts), "reason": reason,
        "gateway": _gateway(way, facts), "dport": rest,
    }  # fmt: skip
    common = Observation(
        "internet-down", way, values, proofs, since, newest, detail=detail,
        covers=(*keys, f"dns-timeout|{way} beyond", f"ntp-silent|{way} beyond", "dns-servfail|*",
                "slow-uplink|internet"),
        asker=members[0].target.client if members else None,
    )  # fmt: skip
    if kind == "port":
        heard, first = facts.beyond.open_heard.get(way, (0, 0))
        if heard > since + SECOND and first < since:
            return replace(
                common, id="new-connections-fail", replaces=(common.life_key,),
                values={**values, "heard": clock_text(heard)},
                covers=(*(t.key for t in fate.members), "slow-uplink|internet"),
            )  # fmt: skip
        return _by_the_wrong_port(common, way, facts)
    if kind == "family" and rest == "6":
        works = facts.beyond.answered(way, version=4)[0] >= since
        through = all(f.target.server.startswith("64:ff9b:") for f in members)
        return replace(
            common, id="ipv6-unreachable",
            values={**values, "detail": "; IPv4 is used instead" if works else ""},
            action="Ask the owner of the router to look at its NAT64 gateway: the appliance reaches"
            " IPv4 hosts only through it (64:ff9b::/96)"
            if members and through and not works else None,
            severity="info" if works else "error",
            covers=tuple(t.key for t in fate.members),
        )  # fmt: skip
    what = f"TCP port {rest}" if kind == "number" else f"IPv{rest}"
    return replace(
        common, id="tcp-blocked", key=f"{way} {what}", subject=f"{way} {what}",
        text=f"No connection over {what} has been answered since {clock_text(since)}:"
        f" {len(names)} hosts were tried from {way}, and other traffic gets through",
        action=f"Ask the owner of the firewall to allow outbound {what} from {way}"
        " to the endpoints of the policy (panotui policy export lists them)",
        confidence="likely", covers=tuple(t.key for t in fate.members),
    )  # fmt: skip


def _only_six(members: list[Failing]) -> bool:
    """All of them were tried over IPv6, and nothing over IPv4."""
    return bool(members) and all(f.version == 6 for f in members)


def _two(failing: Failing) -> tuple[EvidenceRecord, ...]:
    """A target's first failing step, and its last observation."""
    seen = failing.seen.evidence
    return seen if len(seen) < 2 else (seen[0], seen[-1])


def may_yet_speak(fate: Fate, facts: Facts) -> bool:
    """An older connection may still be alive: wait a moment for its packets."""
    since = fate.since_ns
    if facts.now_ns - since > LIMITS.open_wait_ns:
        return False
    return any(
        began < since
        for target in facts.connects.ours()
        for began in target.open_flows.values()
        if facts.view.who(target.server) & Who.INTERNET
    )


def every_hello(cut: list[Failing], facts: Facts) -> Iterable[Observation]:
    """Each TLS connection is cut after its ClientHello, whatever the name."""
    trials = [
        Trial(f.host, f.since_ns, (("port", f.way),), f.seen.life_key) for f in cut if f.beyond
    ]

    def worked(element: Element) -> int:
        return max(
            (
                t.success_ns
                for t in facts.connects.ours()
                if (facts.port_of(t.client) or t.client) == element[1] and t.tls_version
            ),
            default=0,
        )

    for fate in shared(trials, worked):
        keys = {t.key for t in fate.members}
        members = [f for f in cut if f.seen.life_key in keys]
        text, action = _accepted_nearby(fate, members)
        yield Observation(
            "tls-blocked", fate.element[1],
            {
                "port": fate.element[1], "since": clock_text(fate.since_ns),
                "count": str(len(fate.names)), "names": listed(fate.names),
                "detail": how_cut(members[-1].attempt),
            },
            tuple(e for f in members[:4] for e in f.seen.evidence[:2]),
            fate.since_ns, max(f.attempt.last_ns for f in members),
            covers=tuple(keys), asker=members[0].target.client, text=text, action=action,
            detail=tuple(f"{n}: TCP connects, the ClientHello is not answered"
                         for n in fate.names[:6]),
        )  # fmt: skip


def _accepted_nearby(fate: Fate, members: list[Failing]) -> tuple[str | None, str | None]:
    """The sentence and the action if connections are accepted too fast for a distant server."""
    trips = [f.attempt.rtt_ms for f in members if f.attempt.rtt_ms is not None]
    if len(trips) < len(members) or max(trips) >= LIMITS.nearby_ms:
        return None, None
    way, last = fate.element[1], members[-1].attempt
    return (
        f"Something near {way} accepts its connections instead of the servers (in"
        f" {milliseconds(max(trips))}), and no first message has been answered since"
        f" {clock_text(fate.since_ns)}, whatever the name ({how_cut(last)}): {listed(fate.names)}",
        "Ask the owner of the firewall whether the line behind it works: it accepts connections"
        " itself (SYN proxy, TLS inspection), and nothing comes from beyond it",
    )


def portal(failing: list[Failing], facts: Facts) -> Iterable[Observation]:
    """One portal in front of many endpoints is one cause."""
    caught = [f for f in failing if f.seen.id == "captive-portal"]
    for way in dict.fromkeys(f.way for f in caught):
        here = [f for f in caught if f.way == way]
        if len(here) < 2:
            continue
        hosts = list(dict.fromkeys(f.host for f in here))
        values = {**here[-1].seen.values, "host": listed(hosts), "port": way}
        yield replace(
            here[-1].seen, subject=way, key=f"{way} all", values=values,
            first_ns=min(f.since_ns for f in here),
            evidence=tuple(e for f in here[:4] for e in f.seen.evidence[:2]),
            covers=tuple(f.seen.life_key for f in here),
        )  # fmt: skip


# ---------------------------------------------------------------------- equal failures


def alike(failing: list[Failing], facts: Facts) -> Iterable[Observation]:
    """Several targets beyond the site that were reached, and fail in the same way."""
    groups: dict[tuple[str, ...], list[Failing]] = {}
    for one in failing:
        key = _manner(one)
        if one.beyond and key is not None:
            groups.setdefault((one.way, *key), []).append(one)
    for found in groups.values():
        names = list(dict.fromkeys(f.host for f in found))
        if len(names) < 2:
            continue
        seen = _as_one(found, names, facts)
        if seen is None:
            continue
        first = min(f.since_ns for f in found)
        yield replace(
            seen, subject=found[0].way, key=f"{found[0].way} {seen.key or 'all'}",
            values={**found[-1].seen.values, **seen.values, "port": found[0].way},
            evidence=tuple(e for f in found[:4] for e in _two(f)),
            first_ns=first, last_ns=max(f.attempt.last_ns for f in found),
            covers=tuple(f.seen.life_key for f in found), asker=found[0].target.client,
            relies=(
                *(f"endpoint:{name}" for name in names),
                *((f"clock:{found[0].way}",) if all(f.attempt.distrusts for f in found) else ()),
            ),
            detail=tuple(f"{f.host}: {f.attempt.words()}" for f in found[:6]),
        )  # fmt: skip


def _manner(one: Failing) -> tuple[str, ...] | None:
    """The common manner of targets that fail in the same way."""
    kind, attempt = one.seen.id, one.attempt
    if kind == "tcp-refused":
        return kind, str(one.target.port)
    if kind == "icmp-blocked" and one.target.icmp is not None:
        message = one.target.icmp
        return kind, message.src, icmp_meaning(message), str(one.target.port)
    if kind == "tls-stalled":
        return kind, _stalled(attempt)
    # the text of an alert or a certificate identifies it
    told = attempt.certificate is not None or (attempt.alert is not None and attempt.alert.code)
    fault = fault_of(attempt)
    if kind == "endpoint-failing" and (fault is not None or not told):
        return kind, str(attempt.passed), attempt.how, str(fault or "")
    return None


def _stalled(attempt: Attempt) -> str:
    """Which way large packets are lost, `to` or `from`, and whether `after` the handshake."""
    if attempt.passed >= HANDSHAKE:
        return f"after {'to' if attempt.narrow_to else 'from'}"
    return "to" if attempt.passed <= HELLO else "from"


def _as_one(found: list[Failing], names: list[str], facts: Facts) -> Observation | None:
    """The sentence for targets that fail in the same way; None if a control shows that they
    differ.
    """
    one, way = found[-1], found[0].way
    since, kind, port = min(f.since_ns for f in found), one.seen.id, str(one.target.port)
    hosts, said = listed(names), clock_text(since)
    owner = "Ask the owner of the firewall to allow outbound"
    policy = "the endpoints of the policy (panotui policy export lists them)"
    if kind == "tcp-refused":
        if worked(("number", f"{way} {port}"), facts)[0] >= since:
            return None
        return Observation(
            kind, way, text=f"Every connection from {way} to TCP port {port} has been refused by"
            f" RST since {said}: {len(names)} hosts were tried ({hosts})",
            action=f"{owner} TCP {port} from {way} to {policy}", key=f"TCP {port}",
        )  # fmt: skip
    if kind == "icmp-blocked" and one.target.icmp is not None:
        sender, meaning = one.target.icmp.src, icmp_meaning(one.target.icmp)
        allowed = [f for f in found if f.seen.action is None]
        return Observation(
            kind, way, text=f"{sender} blocks {len(names)} hosts on TCP port {port}: ICMP says"
            f" {meaning} ({hosts})", key=f"{sender} TCP {port} {meaning}",
            action=f"Change the rule on {sender}: allow TCP {port} from {way} to {policy}"
            if allowed else one.seen.action,
            severity=None if allowed else one.seen.severity,
        )  # fmt: skip
    if kind == "tls-stalled":
        stalled = _stalled(one.attempt)
        when, _, side = stalled.rpartition(" ")
        later = " after the TLS handshake" if when else ""
        icmp = ", and no router says so by ICMP" if when else ""
        return Observation(
            kind, way, text=f"Connections of {way} to {len(names)} hosts stall{later}: large"
            f" packets {side} them are lost on the way, small ones get through ({hosts}){icmp}",
            key=stalled,
        )  # fmt: skip
    mine = (t for t in facts.connects.ours() if t.tls_version and _way(t, facts) == way)
    done = max((t.success_ns for t in mine), default=0)
    if done >= since:
        return None
    step = STEPS[one.attempt.failing_step]
    fault = fault_of(one.attempt)
    if fault is not None:
        return Observation(
            kind, way, text=f"{len(names)} endpoints fail by themselves since {said}: each answers"
            f" the ClientHello with the TLS alert {alert_named(fault)} ({hosts})",
            action=own_fault(""), key=f"alert {fault}",
        )  # fmt: skip
    if all(f.attempt.distrusts for f in found):
        return Observation(
            "tls-intercepted", way, confidence="likely",
            text=f"Since {said} the appliance has ended each TLS handshake right after the server's"
            " certificate, whatever the name: it does not trust it, as with TLS inspection on the"
            f" way or a wrong clock ({hosts})",
            action="Ask the owner of the firewall whether it inspects TLS, and to exempt the"
            " appliance, which trusts only Amazon's roots; check the appliance's clock as well",
            key="leaves", values={"issuer": ""},
        )  # fmt: skip
    return Observation(
        kind, way, text=f"{len(names)} endpoints have not worked since {said}; each attempt ends"
        f" the same way ({one.attempt.words()}): {hosts}",
        action=after_the_handshake("any of them", way)
        if one.attempt.how == "unanswered"
        else f"Ask the owner of the firewall what happens to TLS connections of {way} at this"
        f" step ({step}), whatever the name; check the appliance's clock as well",
        key=f"{one.attempt.passed} {one.attempt.how}",
    )  # fmt: skip


def _way(target: Attempts, facts: Facts) -> str:
    return facts.port_of(target.client) or target.client


def _controls(since_ns: int, facts: Facts) -> str:
    """Hosts inside the site that answered since: the proof that the fault lies beyond."""
    works: list[str] = []
    for address, resolver in facts.resolvers.resolvers.items():
        local = not facts.view.who(address) & Who.INTERNET
        if local and resolver.last_answer_ns >= since_ns:
            works.append("the DNS server")
            break
    return f"; {works[0]} does" if works else ""


def _by_the_wrong_port(seen: Observation, way: str, facts: Facts) -> Observation:
    """The camera port is no way to the internet if another port is."""
    roles = {p.name: p.role for p in facts.port_records}
    cloud = next((name for name, role in roles.items() if role == "cloud"), None)
    if roles.get(way) != "camera" or cloud is None:
        return seen
    return replace(
        seen,
        text=f"The appliance sends its cloud traffic out of {way}, the camera port, and nothing"
        f" has answered there since {seen.values['since']}: {seen.values['count']} hosts were tried"
        f" ({seen.values['names']})",
        action=f"Keep one default route, on {cloud}: remove the gateway of {way} in the appliance's"
        " network settings",
    )


def _gateway(way: str, facts: Facts) -> str:
    """The one gateway in the network of a port, preceded by a space."""
    known = sorted(facts.view.facts.gateways)
    nets = [
        p.address for name, p in facts.site.ports.items() if name == way and p.address is not None
    ]
    inside = [g for g in known if not nets or _within(g, nets[0])]
    return f" {inside[0]}" if len(inside) == 1 else ""


def _within(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_interface(network).network
    except ValueError:
        return True
