"""Findings about names: whether a resolver is queried, answers, and answers usefully, by name and
type.

The resolver and lookup books and ICMP errors come in, observations go out. A needed name is one
that a rule of the policy matches; other names need not exist. A lookup succeeds if any server gives
an address, so a failing AAAA beside a good A, or one server's refusal beside another's answer, is
no problem. Equal failures at one server are one finding.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable

from msgspec.structs import replace

from panotui.diagnosis.facts import Facts, Observation, Rule, clock_text, evidence
from panotui.diagnosis.servers import together
from panotui.diagnosis.thresholds import thresholds
from panotui.diagnosis.unheard import unheard
from panotui.diagnosis.useless import NAMED, NOWHERE, Bad, of_all_servers, told
from panotui.model import (
    NEVER,
    SECOND,
    AnyMessage,
    ArpMessage,
    DnsMessage,
    EvidenceRecord,
    IcmpMessage,
)
from panotui.model.quantities import counted
from panotui.site.addresses import INTERNET, scope_of
from panotui.state.connects import icmp_meaning
from panotui.state.lookups import Given, Lookup, Seen, Useless
from panotui.state.resolvers import LIMITS as RESOLVER_LIMITS
from panotui.state.resolvers import Lost, Resolver, Side

LIMITS = thresholds().dns
TIME_LIMITS = thresholds().clock
ERRORS_MAX = 64
# addresses to which well-known filters lead blocked names
BLOCK_PAGES = tuple(map(ipaddress.ip_network, ("146.112.61.104/29", "208.91.112.52/30")))
_CLOUD_PORTS = (443, 8883, 8443)
_PORT_CLOSED = "port unreachable"  # nothing listens there
_AWS = ".amazonaws.com"
_PRINTED = ".aws.amazon.com"
# AWS names are aliases of other AWS names
_OF_AWS = (_AWS, ".amazonaws.com.cn", ".amazon.com", ".aws", ".awsglobalaccelerator.com",
           ".cloudfront.net", ".awsdns.com")  # fmt: skip


class DnsRule(Rule):
    """dns-timeout, dns-slow, dns-nxdomain, dns-servfail, dns-refused, dns-filtered, dns-sinkhole,
    guide-names."""

    hears = frozenset((DnsMessage, IcmpMessage, ArpMessage))
    wakes = frozenset(("endpoints", "resolvers", "site"))

    def __init__(self) -> None:
        self._unreachable: OrderedDict[str, IcmpMessage] = OrderedDict()  # by resolver
        self._sought = False  # a resolver is requested by ARP

    def steady_ns(self, facts: Facts) -> int:
        # while a resolver is requested by ARP, each ARP answer counts
        return facts.now_ns if self._sought else NEVER

    def observe(self, message: AnyMessage, facts: Facts) -> bool | None:
        if isinstance(message, DnsMessage):
            return None  # the books have it
        if isinstance(message, ArpMessage):
            if message.op == 2:
                return self._sought  # the interface answers ARP, so that silence means something
            return message.target_ip in facts.view.facts.resolvers
        if not isinstance(message, IcmpMessage) or message.quoted_dport != 53:
            return False
        if message.quoted_dst and message.type == (3 if message.version == 4 else 1):
            self._unreachable[message.quoted_dst] = message
            self._unreachable.move_to_end(message.quoted_dst)
            while len(self._unreachable) > ERRORS_MAX:
                self._unreachable.popitem(last=False)
        return None

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for resolver in facts.resolvers.resolvers.values():
            out.extend(self._of_server(resolver, facts))
        out.extend(self._silent_by_arp(facts))
        out.extend(together([o for o in out if o.id == "dns-timeout"], _silence_text, "dns"))
        out = [_stopped(o, facts) for o in out]
        bad: OrderedDict[tuple[str, str, str], Bad] = OrderedDict()
        blocked = _block_pages(facts)
        for lookup in facts.lookups.lookups.values():
            if not _counts(lookup.client, facts):
                continue
            if lookup.useless:
                for row in lookup.useless.values():
                    self.due_later(row.first_ns + _settles_ns(lookup, row), facts)
                _add_useless(lookup, bad, facts)
            if not _needed(lookup.name, facts) and _AWS not in lookup.name:
                continue
            for given in lookup.given.values():
                self.due_later(given.first_ns + _settles_ns(lookup, given), facts)
                _add_hole(lookup, given, blocked, bad, facts)
        out.extend(told(one, facts) for one in of_all_servers(bad.values()))
        out.extend(_guide(facts))
        if out:
            self.due(facts.now_ns + SECOND)
        return out

    # ------------------------------------------------------------------ queried, and answered

    def _of_server(self, resolver: Resolver, facts: Facts) -> list[Observation]:
        mine = [(c, s) for c, s in resolver.sides.items() if facts.is_appliance(c)]
        if not mine:
            return []
        client, side = max(mine, key=lambda m: (m[1].unanswered, m[1].queries))
        values = {"server": resolver.address, "port": facts.port_of(client) or ""}
        out = self._silent(resolver, client, side, values, facts)
        lost = _lost(resolver, client, side, values, facts)
        if lost is not None:
            return [*out, lost]
        middle = resolver.median_ms
        if (
            middle is not None
            and middle > RESOLVER_LIMITS.slow_ms
            and len(resolver.times_ms) >= LIMITS.slow_answers
        ):
            out.append(
                Observation(
                    "dns-slow",
                    resolver.address,
                    {**values, "median": f"{middle:.0f}", "count": str(len(resolver.times_ms))},
                    tuple(
                        evidence(t, p, f"answer for {name} after {took:.0f} ms")
                        for t, p, took, name in resolver.slowest
                    ),
                    last_ns=resolver.last_answer_ns,
                )
            )
        return out

    def _silent(
        self, resolver: Resolver, client: str, side: Side, values: dict[str, str], facts: Facts
    ) -> list[Observation]:
        if side.unanswered < LIMITS.queries:
            return []
        since = side.unanswered_first_ns
        others = _answering(resolver.address, client, since, facts)
        detail = [f"control: {o} answers" for o in others[:2]]
        if side.answers:
            before = "query" if side.answers == 1 else "queries"
            detail.append(f"it answered {side.answers} {before} before")
        seen = [evidence(t, p, f"query for {n}, no answer") for t, p, n in side.unanswered_seen]
        text = None
        error = self._unreachable.get(resolver.address)
        action = _other_resolver(resolver.address, values["port"] or client, facts)
        if error is not None and error.time_ns >= since:
            said = icmp_meaning(error)
            seen.append(evidence(error.time_ns, error.packet, f"ICMP: {error.src} says {said}"))
            count = f"{side.unanswered} queries without an answer"
            if error.src == resolver.address and said == _PORT_CLOSED:
                text = (
                    f"{resolver.address} is up, but no DNS server runs on it: it says {said}"
                    f" ({count})"
                )
                action = action or (
                    f"Turn on the DNS service of {resolver.address}, or set a DNS server on the"
                    " appliance that answers"
                )
            else:
                text = (
                    f"DNS server {resolver.address} cannot be reached: {error.src} says"
                    f" {said} ({count})"
                )
        newest = list(side.unanswered_seen)[-LIMITS.queries :]  # an older one may have been cut off
        silent = Observation(
            "dns-timeout",
            resolver.address,
            {**values, "count": str(side.unanswered)},
            tuple(seen),
            since,
            side.unanswered_seen[-1][0] if side.unanswered_seen else 0,
            detail=tuple(detail),
            severity="warning" if others else None,
            text=text,
            action=action,
            unheard=unheard(resolver.address, 53, newest[0][0], facts),
        )
        return [_hung(silent, client, facts) or silent]

    def _silent_by_arp(self, facts: Facts) -> list[Observation]:
        """A resolver in the appliance's own network that does not answer ARP never gets a query."""
        out = []
        self._sought = False
        for row in facts.claims.questions.values():
            known = row.target in facts.view.facts.resolvers and facts.is_appliance(row.asker)
            if not known or row.target in facts.view.facts.gateways or row.count < LIMITS.queries:
                continue
            self._sought = True
            self.due_later(row.first_ns + LIMITS.settle_ns, facts)
            self.due_later(row.last_ns + LIMITS.asked_ns + 1, facts)
            if (
                facts.now_ns - row.first_ns < LIMITS.settle_ns
                or facts.now_ns - row.last_ns > LIMITS.asked_ns
            ):
                continue
            answer = facts.claims.last_answer.get(row.interface)
            if answer is None or answer.time_ns < row.first_ns:
                continue
            others = _answering(row.target, row.asker, row.first_ns, facts)
            out.append(
                Observation(
                    "dns-timeout",
                    row.target,
                    {
                        "server": row.target,
                        "port": facts.port_of(row.asker) or "",
                        "count": str(row.count),
                    },
                    tuple(evidence(s.time_ns, s.packet, s.text) for s in row.seen),
                    row.first_ns,
                    row.last_ns,
                    text=f"DNS server {row.target} is not on the network: it does not answer ARP"
                    f" ({row.count} requests)",
                    detail=(
                        f"control: {answer.text} (packet {answer.packet})",
                        *(f"control: {o} answers" for o in others[:2]),
                    ),
                    severity="warning" if others else None,
                    action=f"Check that {row.target} is up, and in the same VLAN",
                    unheard=True,
                )
            )
        return out


def _answering(server: str, client: str, since_ns: int, facts: Facts) -> list[str]:
    """Other resolvers that have answered the same client since: names come, only later."""
    return [
        r.address
        for r in facts.resolvers.resolvers.values()
        if r.address != server and (s := r.sides.get(client)) and s.last_answer_ns > since_ns
    ]


def _stopped(seen: Observation, facts: Facts) -> Observation:
    """A server that has answered before has the right address: something has changed."""
    server = facts.resolvers.resolvers.get(seen.subject)
    if server is None or seen.id != "dns-timeout" or seen.action or seen.text:
        return seen
    if not any(side.answers for c, side in server.sides.items() if facts.is_appliance(c)):
        return seen
    return replace(
        seen,
        action=f"Find out why {server.address} stopped answering names at"
        f" {clock_text(seen.first_ns)}: its DNS service, its own way to the internet, or a new rule"
        " for UDP and TCP 53",
    )


def _hung(seen: Observation, client: str, facts: Facts) -> Observation | None:
    """The resolver is the time server as well, and does neither: one host has one fault."""
    address = seen.subject
    clock = facts.clock.servers.get(address)
    asked = clock.sides.get(client) if clock is not None else None
    if asked is None or asked.unanswered < TIME_LIMITS.requests or seen.text is not None:
        return None
    owner = facts.claims.owner(address)
    claim = facts.claims.claims(address, owner) if owner is not None else None
    lives = claim is not None and claim.last.time_ns >= seen.first_ns
    proofs = [evidence(t, p, "time request, no answer") for t, p in asked.asked]
    alive = ", although it answers ARP" if lives else ""
    gateway = address in facts.view.facts.gateways
    return replace(
        seen,
        text=f"{address} answers neither name queries nor time requests{alive}"
        f" ({seen.values['count']} queries, {counted(asked.unanswered, 'time request')})",
        action=seen.action
        or (
            f"Look at the {'router' if gateway else 'host'} {address} itself: its services hang, or"
            " its firewall drops what comes in; restart it, or set another DNS and time server"
        ),
        evidence=tuple(sorted((*seen.evidence[-5:], *proofs[-3:]), key=lambda e: e.time_ns)),
        first_ns=min(seen.first_ns, *(t for t, _ in asked.asked)) if asked.asked else seen.first_ns,
        covers=(f"ntp-silent|{address}",),
    )


def _other_resolver(server: str, who: str, facts: Facts) -> str | None:
    """The action for a server that the site file does not name: never to allow it."""
    named = facts.site.network.dns
    if not named or server in named:
        return None
    return (
        f"Set the DNS server of {who} to {' or '.join(named[:2])}, in its settings or in the lease"
        f" that it gets: {server} is not one of the site's"
    )


def _stands(lookup: Lookup, row: Useless | Given, facts: Facts) -> bool:
    """It is recent, and another type, another server or a connection had enough time; after the
    end of the input nothing more comes.
    """
    if facts.now_ns - row.last_ns > LIMITS.recent_ns:
        return False
    return facts.final or facts.now_ns - row.first_ns >= _settles_ns(lookup, row)


def _settles_ns(lookup: Lookup, row: Useless | Given) -> int:
    """A single odd answer beside right ones waits for the next question."""
    before = 0 < lookup.first_given_ns < row.first_ns
    return LIMITS.once_ns if row.count == 1 and before else LIMITS.settle_ns


def _counts(client: str, facts: Facts) -> bool:
    """Queries of the appliance count, and those that the site's own resolvers forward."""
    return facts.is_appliance(client) or client in facts.view.facts.resolvers


def _needed(name: str, facts: Facts) -> bool:
    """A rule of the policy matches the name, and the name exists."""
    matches = facts.policy.match_host(name)
    return bool(matches) and not _printed(name, facts)


def _printed(name: str, facts: Facts) -> bool:
    """A name that occurs only in the 2021 guide; it never existed."""
    return name.endswith(_PRINTED) and bool(facts.policy.match_host(name))


def _lost(
    resolver: Resolver, client: str, side: Side, values: dict[str, str], facts: Facts
) -> Observation | None:
    """Single queries get no answer while others do: each such lookup waits."""
    if len(side.lost) < LIMITS.lost_queries:
        return None
    lost, asked = side.losses(facts.now_ns - LIMITS.recent_ns)
    if (
        len(lost) < LIMITS.lost_queries
        or len(lost) < LIMITS.lost_share * asked
        or side.unanswered >= LIMITS.queries
    ):
        return None
    who = facts.port_of(client) or client
    raced = [one for one in lost if one.raced]
    pairs = len(raced) > len(lost) // 2
    if pairs and all(one.type == "AAAA" for one in raced):
        return _no_aaaa(resolver, who, lost, values)
    waits = any(one.again for one in lost)
    text = (
        f"{resolver.address} answers {who} only one of two queries sent at once (IPv4 and IPv6,"
        f" {len(raced)} times)"
        if pairs
        else f"DNS server {resolver.address} does not answer {len(lost)} of {asked} queries of"
        f" {who}"
    )
    if not waits:
        text += "; none was asked again, so the answers may have passed out of sight"
    elif pairs:
        text = (
            f"Lookups of {who} wait 5 s each: of two queries sent at once (IPv4 and IPv6),"
            f" {resolver.address} answers only one ({len(raced)} times)"
        )
    else:
        text += "; each such lookup waits a few seconds"
    return Observation(
        "dns-slow",
        resolver.address,
        {**values, "median": "5000", "count": str(len(lost))},
        tuple(evidence(o.time_ns, o.packet, f"{o.type} {o.name}, no answer") for o in lost[-8:]),
        lost[0].time_ns,
        lost[-1].time_ns,
        severity=None if waits else "info",
        text=text,
        action=f"The firewall's owner should let both answers of {resolver.address} through: a"
        " firewall or NAT on the way drops one of two that cross it together"
        if pairs
        else f"Check the way to {resolver.address} for loss, or use a nearer DNS server",
    )


def _no_aaaa(resolver: Resolver, who: str, lost: list[Lost], values: dict[str, str]) -> Observation:
    """Only IPv6 queries are never answered: this is harmful if lookups wait."""
    waits = any(one.again for one in lost)
    return Observation(
        "dns-slow",
        resolver.address,
        {**values, "median": "5000", "count": str(len(lost))},
        tuple(evidence(o.time_ns, o.packet, f"{o.type} {o.name}, no answer") for o in lost[-8:]),
        lost[0].time_ns,
        lost[-1].time_ns,
        severity=None if waits else "info",
        text=f"DNS server {resolver.address} does not answer {who} when it asks for IPv6 addresses"
        f" (AAAA, {len(lost)} times)" + ("; such lookups wait 5 s each" if waits else ""),
        action=f"The owner of {resolver.address} should make it answer AAAA queries, even if only"
        " to say that there is no such address",
    )


# ---------------------------------------------------------------------- answered usefully


def _add_useless(lookup: Lookup, bad: OrderedDict[tuple[str, str, str], Bad], facts: Facts) -> None:
    needed = _needed(lookup.name, facts)
    for row in lookup.useless.values():
        if not _stands(lookup, row, facts):
            continue
        everything = row.kind == "refused" and _refuses_all(row, lookup.client, facts)
        if not (needed or everything) or _beside_the_point(row, lookup):
            continue
        usable = [g for g in lookup.given.values() if not _hole(lookup.name, g, facts)]
        often = row.count >= LIMITS.queries  # a client with IPv6 connects after the first answer
        only_six = row.kind == "nodata" and row.type == "A" and _only_six(row, usable)
        if only_six and (not often or _uses_six(lookup.client, usable, facts)):
            continue  # a name with only IPv6 addresses is not filtered
        rescued = not only_six and any(g.last_ns >= row.first_ns for g in usable)
        if rescued and row.count < LIMITS.rescues:
            continue
        manner = "six" if only_six else "rescued" if rescued and not everything else ""
        key = (row.kind, row.server, manner)
        one = bad.get(key)
        if one is None:
            one = bad[key] = Bad(
                row.kind, row.server, lookup.client, [], [], row.first_ns, row.last_ns, 0
            )
        _add(one, lookup.name, row.seen, row.first_ns, row.last_ns, row.count)
        one.through, one.rescued = row.through or one.through, rescued
        one.everything, one.only_six = everything, only_six


def _add(
    one: Bad, name: str, seen: Iterable[Seen], first_ns: int, last_ns: int, count: int
) -> None:
    if name not in one.names:
        one.names.append(name)
    one.seen.extend(seen)
    one.first_ns = min(one.first_ns, first_ns)
    one.last_ns = max(one.last_ns, last_ns)
    one.count += count


def _only_six(row: Useless, usable: list[Given]) -> bool:
    """There are addresses, and all of them are IPv6."""
    later = [g for g in usable if g.last_ns >= row.first_ns - LIMITS.settle_ns]
    return bool(later) and all(g.type == "AAAA" for g in later)


def _uses_six(client: str, usable: list[Given], facts: Facts) -> bool:
    """The client's port has got answers over IPv6, or it tries these addresses."""
    way = facts.port_of(client) or client
    if facts.beyond.answered(way, version=6)[0]:
        return True
    addresses = [a for g in usable if g.type == "AAAA" for a in g.addresses]
    return any(facts.connects.get(a, port) is not None for a in addresses for port in _CLOUD_PORTS)


def _beside_the_point(row: Useless, lookup: Lookup) -> bool:
    """One type has no address, or fails, beside the other type that was also queried."""
    if row.type == "A":
        return False
    return "A" in lookup.asked or "A" in lookup.answered


def _refuses_all(row: Useless, client: str, facts: Facts) -> bool:
    """The server has refused all queries of this client since it began to, for more than one
    name.
    """
    refused = 0
    names: set[str] = set()
    for (asker, _), lookup in facts.lookups.lookups.items():
        if asker != client:
            continue
        if any(g.server == row.server and g.last_ns > row.first_ns for g in lookup.given.values()):
            return False
        for other in lookup.useless.values():
            if other.server != row.server:
                continue
            if other.kind != "refused" and other.last_ns > row.first_ns:
                return False
            if other.kind == "refused":
                refused += other.count
                names.add(lookup.name)
    return refused >= LIMITS.queries and len(names) > 1


def _add_hole(
    lookup: Lookup,
    given: Given,
    blocked: frozenset[str],
    bad: OrderedDict[tuple[str, str, str], Bad],
    facts: Facts,
) -> None:
    """An answer that leads a needed name to an impossible address."""
    # a connection to the address, or another server, may still show that it is right
    if not _stands(lookup, given, facts):
        return
    taken = _taken_by_search_domain(lookup, facts)
    if taken is None:
        if not _needed(lookup.name, facts):
            return
        if not (_hole(lookup.name, given, facts) or set(given.addresses) <= blocked):
            return
        if _works(given, facts) or _another_is_used(lookup, given, blocked, facts):
            return
    address = given.addresses[0]
    whither = _whither(address)
    key = ("sinkhole", given.server, f"{whither} {taken or ''}")
    one = bad.get(key)
    if one is None:
        one = bad[key] = Bad(
            "sinkhole" if taken is None else "search", given.server, lookup.client, [], [],
            given.first_ns, given.last_ns, 0, address, whither=whither,
        )  # fmt: skip
        if whither == NOWHERE:
            one.sure = "certain"
    elif ":" in one.address and ":" not in address:
        one.address = address
    elif address != one.address and (":" in address) == (":" in one.address):
        one.many_addresses = True
    one.through = taken or ""
    _add(one, lookup.name, given.seen, given.first_ns, given.last_ns, given.count)


def _whither(address: str) -> str:
    """The common address of equal answers: a filter that gives each name another private address,
    or an IPv4 and an IPv6 one, is one filter.
    """
    ip = ipaddress.ip_address(address)
    if ip.is_unspecified or ip.is_loopback:
        return NOWHERE
    return "inside" if scope_of(address) != INTERNET else address


def _taken_by_search_domain(lookup: Lookup, facts: Facts) -> str | None:
    """The needed name that is queried with a search domain appended, which answers, so that the
    name itself is never queried.
    """
    head, found, _ = lookup.name.partition(_AWS + ".")
    if not found:
        return None
    name = head + _AWS
    if not _needed(name, facts) or (lookup.client, name) in facts.lookups.lookups:
        return None
    return name


def _works(given: Given, facts: Facts) -> bool:
    """A connection to the address succeeded: PrivateLink, say. Once is enough: then the address is
    right, whatever fails later.
    """
    return any(
        target is not None and target.successes > 0
        for address in given.addresses
        for target in (facts.connects.get(address, port) for port in _CLOUD_PORTS)
    )


def _another_is_used(lookup: Lookup, given: Given, blocked: frozenset[str], facts: Facts) -> bool:
    """A later answer of another server, or for the other type, leads to the right place."""
    return any(
        g.last_ns >= given.first_ns
        for g in lookup.given.values()
        if g is not given and not _hole(lookup.name, g, facts) and not set(g.addresses) <= blocked
    )


def _hole(name: str, given: Given, facts: Facts) -> bool:
    """None of the addresses is possible for a public name, or an alias leads elsewhere."""
    if name.endswith(_AWS) and any(not a.endswith(_OF_AWS) for a in given.aliases):
        return True
    return all(_is_hole(address, name, facts) for address in given.addresses)


def _is_hole(address: str, name: str, facts: Facts) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
        scope = scope_of(address)
    except ValueError:
        return False
    if parsed.is_unspecified or parsed.is_loopback:
        return True
    if any(parsed in net for net in BLOCK_PAGES):
        return True
    if facts.site.site.private_link or not _public(name, facts):
        return False
    return scope != INTERNET


def _public(name: str, facts: Facts) -> bool:
    """The name leads to the internet: an application's service may well be inside the site."""
    return any(m.rule.kind == "cloud" for m in facts.policy.match_host(name))


def _block_pages(facts: Facts) -> frozenset[str]:
    """Public addresses shared by names of different AWS services, which share none."""
    services: dict[str, set[str]] = {}
    for lookup in facts.lookups.lookups.values():
        if not lookup.name.endswith(_AWS) or not _counts(lookup.client, facts):
            continue
        labels = lookup.name.removesuffix(_AWS).split(".")
        service = labels[-2].partition("-")[0] if len(labels) > 1 else ""
        for given in lookup.given.values():
            if len(given.addresses) == 1 and facts.now_ns - given.last_ns <= LIMITS.recent_ns:
                services.setdefault(given.addresses[0], set()).add(service)
    return frozenset(
        address
        for address, named in services.items()
        if len(named) > 1 and not (facts.names.range_of(address) or "").startswith("AWS")
    )


# ---------------------------------------------------------------------- the guide of 2021


def _guide(facts: Facts) -> list[Observation]:
    """Names from the 2021 guide are queried: they never existed. If the real ones are blocked at
    the same time, somebody built the firewall from that list.
    """
    printed = [lookup for lookup in facts.lookups.lookups.values() if _printed(lookup.name, facts)]
    if not printed:
        return []
    blocked = [
        e
        for e in facts.endpoints.endpoints.values()
        if e.host.endswith(_AWS) and e.attempts.state in ("blocked", "failing")
    ]
    first = printed[0]
    seen = _asked(first)
    if blocked:
        return [
            Observation(
                "guide-names",
                "firewall",
                {"host": first.name, "real": blocked[0].host},
                seen,
                seen[0].time_ns if seen else 0,
                seen[-1].time_ns if seen else 0,
            )
        ]
    mine = [p for p in printed if p.useless and _counts(p.client, facts)]
    if not mine:
        return []
    names = sorted({p.name for p in mine})
    real = [n.removesuffix(_PRINTED) + _AWS for n in names]
    asked = all((mine[0].client, n) in facts.lookups.lookups for n in real)
    who = facts.port_of(mine[0].client) or mine[0].client
    rows = [u for p in mine for u in p.useless.values()]
    named = ", ".join(names[:NAMED]) + (" and others" if len(names) > NAMED else "")
    seen = tuple(
        evidence(s.time_ns, s.packet, s.text)
        for s in sorted((s for u in rows for s in u.seen), key=lambda s: s.time_ns)[-8:]
    )
    return [
        Observation(
            "guide-names",
            "names",
            {"host": names[0], "real": real[0]},
            seen,
            min(u.first_ns for u in rows),
            max(u.last_ns for u in rows),
            severity="info" if asked else "warning",
            text=f"{who} looks up {'names' if len(names) > 1 else 'a name'} that the guide of 2021"
            f" prints, but that never existed: {named}",
            action=f"Replace {names[0]} with {real[0]} wherever these names are set",
            detail=("the real names are looked up as well",) if asked else (),
        )
    ]


def _asked(lookup: Lookup) -> tuple[EvidenceRecord, ...]:
    questions = sorted(lookup.asked.items(), key=lambda q: q[1])
    return tuple(
        evidence(at, packet, f"query for {lookup.name}") for _, (at, packet, _) in questions
    )


def _silence_text(servers: str, count: int) -> str:
    return f"DNS servers {servers} do not answer ({count} queries without an answer)"
