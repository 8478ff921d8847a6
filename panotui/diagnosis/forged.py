"""Forged names: two different answers to one question, of which a client takes the first.

DNS messages come in, one observation per server and port of the appliance goes out. Somebody nearer
than the resolver answers in its place; the resolver's own answer follows. A question that was sent
twice may well be answered twice, with other addresses of a pool. Every table is bounded.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from msgspec import Struct, field

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.diagnosis.useless import names_of
from panotui.model import AnyMessage, DnsMessage, EvidenceRecord, Severity
from panotui.model.quantities import counted

LIMITS = thresholds().forged
QUESTIONS_MAX = 1024
NAMES_MAX = 256
_TYPES = ("A", "AAAA")
_AWS = "AWS"  # how the labels of its published ranges begin

Question = tuple[str, int, str, int, str, str]


class _Asked(Struct):
    """A question, and the first answer to it."""

    time_ns: int
    asked: int = 1
    answers: int = 0
    first: DnsMessage | None = None


class _Forged(Struct):
    """Doubled answers for one name of one client at one server."""

    client: str
    server: str
    name: str
    first: DnsMessage
    then: DnsMessage
    first_ns: int
    count: int = 0
    alone: int = 0  # questions since then that got one answer
    seen: deque[EvidenceRecord] = field(default_factory=lambda: deque(maxlen=8))


class ForgedNamesRule(Rule):
    """dns-forged."""

    hears = frozenset((DnsMessage,))
    wakes = frozenset(("site",))

    def __init__(self) -> None:
        self._asked: OrderedDict[Question, _Asked] = OrderedDict()
        self._forged: OrderedDict[tuple[str, str, str], _Forged] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> bool | None:
        """Only what opens, continues or ends a finding wakes it."""
        if not isinstance(message, DnsMessage) or message.type not in _TYPES:
            return False
        if message.transport not in ("udp", "tcp"):
            return False
        key = (
            message.client, message.client_port, message.server, message.id, message.name,
            message.type,
        )  # fmt: skip
        known = self._asked.get(key)
        if not message.response:
            if known is None or message.time_ns - known.time_ns > LIMITS.within_ns:
                self._asked[key] = _Asked(message.time_ns)
                self._asked.move_to_end(key)
            else:
                known.asked += 1
            while len(self._asked) > QUESTIONS_MAX:
                self._asked.popitem(last=False)
            return False
        if known is None or message.truncated:
            return False
        known.answers += 1
        whose = (message.client, message.server, message.name)
        if known.first is None:
            known.first = message
            row = self._forged.get(whose)
            if row is not None:
                row.alone += 1
            return row is not None
        late = message.time_ns - known.first.time_ns > LIMITS.within_ns
        if late or known.answers <= known.asked or not _differ(known.first, message):
            return False
        self._note(whose, known.first, message)
        return True

    def _note(self, whose: tuple[str, str, str], first: DnsMessage, then: DnsMessage) -> None:
        row = self._forged.get(whose)
        if row is None:
            row = self._forged[whose] = _Forged(*whose, first, then, first.time_ns)
            while len(self._forged) > NAMES_MAX:
                self._forged.popitem(last=False)
        self._forged.move_to_end(whose)
        row.first, row.then, row.alone = first, then, 0
        row.count += 1
        later = (then.time_ns - first.time_ns) / 1e6
        row.seen.append(evidence(first.time_ns, first.packet, f"{first.name}: {_said(first)}"))
        row.seen.append(
            evidence(
                then.time_ns, then.packet, f"{_said(then)}, {later:.0f} ms later, same question"
            )
        )

    def tick(self, facts: Facts) -> list[Observation]:
        for whose in [w for w, row in self._forged.items() if row.alone >= LIMITS.alone]:
            del self._forged[whose]
        groups: dict[tuple[str, str, str], list[_Forged]] = {}
        facts.forged = frozenset()
        for row in self._forged.values():
            if not (facts.is_appliance(row.client) or row.client in facts.view.facts.resolvers):
                continue
            genuine = tuple(_is_of_aws(m, facts) for m in (row.first, row.then))
            if all(genuine):
                continue  # two answers of the service's own pool: the question was doubled
            kind = "late" if genuine[0] else "first"
            groups.setdefault((row.client, row.server, kind), []).append(row)
            if kind == "first":
                facts.forged |= _addresses(row.first)
        return [_observation(kind, rows, facts) for (_, _, kind), rows in groups.items()]


def _observation(kind: str, rows: list[_Forged], facts: Facts) -> Observation:
    newest = max(rows, key=lambda r: r.then.time_ns)
    names = sorted(row.name for row in rows)
    server, named = newest.server, names_of(names)
    who = facts.port_of(newest.client) or newest.client
    first, then = _said(newest.first), _said(newest.then)
    later = (newest.then.time_ns - newest.first.time_ns) / 1e6
    text: str | None = None
    severity: Severity | None = None
    tags = [f"{tag}:{name}" for name in names for tag in ("endpoint", "forged")]
    if kind == "late":
        text = (
            f"Something answers in place of DNS server {server}, too late so far: {who} asks for"
            f" {named} and gets {first}, and {then} {later:.0f} ms later"
        )
        severity, tags = "warning", []
    elif not any(facts.policy.match_host(name) for name in names):
        severity = "warning"
    return Observation(
        "dns-forged",
        server,
        {
            "server": server, "client": who, "port": facts.port_of(newest.client) or "",
            "host": named, "first": first, "then": then, "later": f"{later:.0f}",
        },
        tuple(e for row in rows for e in list(row.seen)[-8 if len(rows) == 1 else -2 :])[:8],
        min(row.first_ns for row in rows),
        newest.then.time_ns,
        severity=severity,
        text=text,
        detail=(
            f"{counted(sum(row.count for row in rows), 'question')} answered twice",
            *(f"{r.name}: first {_said(r.first)}, then {_said(r.then)}" for r in rows[:6]),
        ),
        blocks=tuple(tags),
        asker=newest.client,
        key=f"{server} {newest.client}" + (" late" if kind == "late" else ""),
    )  # fmt: skip


def _addresses(message: DnsMessage) -> frozenset[str]:
    return frozenset(a.data for a in message.answers if a.type == message.type)


def _differ(first: DnsMessage, then: DnsMessage) -> bool:
    """They cannot both be one server's answer to one question."""
    mine, other = _addresses(first), _addresses(then)
    if mine and other:
        return not mine & other
    return first.rcode != then.rcode or mine != other


def _is_of_aws(message: DnsMessage, facts: Facts) -> bool:
    """One of its addresses lies in a published range of AWS."""
    return any(
        (facts.names.range_of(address) or "").startswith(_AWS) for address in _addresses(message)
    )


def _said(message: DnsMessage) -> str:
    """`203.0.113.66`, `NXDOMAIN`, `no address`."""
    addresses = [a.data for a in message.answers if a.type == message.type]
    if addresses:
        return addresses[0]
    return "no address" if message.rcode == "NOERROR" else message.rcode
