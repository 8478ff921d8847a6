"""Findings of names and time: DNS that is silent, denies, fails, lies or is slow; NTP; the clock.

DNS messages and the resolver and clock books come in, observations go out. A needed name is one
that a rule of the policy knows; names that nobody needs may well not exist.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TypeVar

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import (
    SECOND,
    AnyMessage,
    Confidence,
    DnsMessage,
    EvidenceRecord,
)
from panotui.site.addresses import INTERNET, scope_of
from panotui.state.resolvers import SLOW_MS, Resolver

_Key = TypeVar("_Key")
QUERIES = 3
SLOW_ANSWERS = 5
RECENT_NS = 600 * SECOND
TABLE_MAX = 512


@dataclass(slots=True)
class _Refused:
    """Bad answers of one kind for one name by one server."""

    client: str
    seen: deque[EvidenceRecord] = field(default_factory=lambda: deque(maxlen=8))
    first_ns: int = 0
    last_ns: int = 0
    count: int = 0
    address: str = ""


class DnsRule(Rule):
    """dns-timeout, dns-nxdomain, dns-servfail, dns-refused, dns-sinkhole, dns-slow, guide-names."""

    hears = frozenset((DnsMessage,))

    def __init__(self) -> None:
        self._bad: OrderedDict[tuple[str, str, str], _Refused] = OrderedDict()
        self._printed: OrderedDict[str, _Refused] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if not isinstance(message, DnsMessage) or message.transport not in ("udp", "tcp"):
            return
        if not message.response:
            if message.name.endswith(".aws.amazon.com") and facts.policy.match_host(message.name):
                self._note(self._printed, message.name, message, f"query for {message.name}")
            return
        if message.type not in ("A", "AAAA"):
            return
        if not facts.is_appliance(message.client) and message.client not in (
            facts.view.facts.resolvers
        ):
            return
        kind = {
            "NXDOMAIN": "dns-nxdomain",
            "SERVFAIL": "dns-servfail",
            "REFUSED": "dns-refused",
        }.get(message.rcode)
        needed = bool(facts.policy.match_host(message.name))
        if kind == "dns-nxdomain" and not needed:
            return
        if kind is not None:
            text = f"{message.rcode} for {message.name}"
            self._note(self._bad, (kind, message.server, message.name), message, text)
        elif message.rcode == "NOERROR" and message.type == "A":
            self._good(message, needed, facts)

    def _good(self, message: DnsMessage, needed: bool, facts: Facts) -> None:
        addresses = [a.data for a in message.answers if a.type == "A"]
        if not addresses:
            return
        for kind in ("dns-nxdomain", "dns-servfail", "dns-refused"):
            self._bad.pop((kind, message.server, message.name), None)
        key = ("dns-sinkhole", message.server, message.name)
        holes = [a for a in addresses if _hole(a, needed, facts)]
        if len(holes) == len(addresses):
            text = f"{message.name} is {holes[0]}"
            self._note(self._bad, key, message, text).address = holes[0]
        else:
            self._bad.pop(key, None)

    @staticmethod
    def _note(
        table: OrderedDict[_Key, _Refused], key: _Key, message: DnsMessage, text: str
    ) -> _Refused:
        entry = table.setdefault(key, _Refused(message.client))
        table.move_to_end(key)
        while len(table) > TABLE_MAX:
            table.popitem(last=False)
        entry.first_ns = entry.first_ns or message.time_ns
        entry.last_ns = message.time_ns
        entry.count += 1
        entry.seen.append(evidence(message.time_ns, message.packet, text))
        return entry

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        for resolver in facts.resolvers.resolvers.values():
            out.extend(self._of_server(resolver, facts))
        for (kind, server, name), entry in self._bad.items():
            if now - entry.last_ns > RECENT_NS:
                continue
            values = {
                "server": server,
                "host": name,
                "client": entry.client,
                "address": entry.address,
                "port": facts.port_of(entry.client) or "",
            }
            out.append(
                Observation(
                    kind,
                    name,
                    values,
                    tuple(entry.seen),
                    entry.first_ns,
                    entry.last_ns,
                    detail=("1 answer" if entry.count == 1 else f"{entry.count} answers",),
                    confidence=self._sureness(kind, entry),
                )
            )
        out.extend(self._guide(facts))
        return out

    @staticmethod
    def _sureness(kind: str, entry: _Refused) -> Confidence | None:
        if kind == "dns-sinkhole" and entry.address in ("0.0.0.0", "127.0.0.1"):  # noqa: S104
            return "certain"
        return None

    @staticmethod
    def _of_server(resolver: Resolver, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        clients = [c for c in resolver.clients if facts.is_appliance(c)]
        if not clients:
            return out
        values = {"server": resolver.address, "port": facts.port_of(clients[-1]) or ""}
        if resolver.unanswered >= QUERIES:
            others = [
                r.address
                for r in facts.resolvers.resolvers.values()
                if r.address != resolver.address and r.answers
            ]
            detail = [f"control: {o} answers" for o in others[:2]]
            if resolver.answers:
                detail.append(f"it answered {resolver.answers} queries before")
            out.append(
                Observation(
                    "dns-timeout",
                    resolver.address,
                    {**values, "count": str(resolver.unanswered)},
                    tuple(
                        evidence(t, p, f"query for {n}, no answer")
                        for t, p, n in resolver.unanswered_seen
                    ),
                    resolver.unanswered_first_ns,
                    resolver.unanswered_seen[-1][0] if resolver.unanswered_seen else 0,
                    detail=tuple(detail),
                )
            )
        middle = resolver.median_ms
        if middle is not None and middle > SLOW_MS and len(resolver.times_ms) >= SLOW_ANSWERS:
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

    def _guide(self, facts: Facts) -> list[Observation]:
        """Names as the 2021 guide prints them are asked for while the real ones are refused."""
        blocked = [
            e
            for e in facts.endpoints.endpoints.values()
            if e.host.endswith(".amazonaws.com") and e.attempts.state in ("blocked", "failing")
        ]
        if not blocked or not self._printed:
            return []
        name, entry = next(iter(self._printed.items()))
        return [
            Observation(
                "guide-names",
                "firewall",
                {"host": name, "real": blocked[0].host},
                tuple(entry.seen),
                entry.first_ns,
                entry.last_ns,
            )
        ]


def _hole(address: str, needed: bool, facts: Facts) -> bool:
    """An address that a public name cannot have."""
    try:
        parsed = ipaddress.ip_address(address)
        scope = scope_of(address)
    except ValueError:
        return False
    if parsed.is_unspecified or parsed.is_loopback:
        return True
    if not needed or facts.site.site.private_link:
        return False
    return scope != INTERNET
