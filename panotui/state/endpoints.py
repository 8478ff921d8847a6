"""The endpoints that the appliance needs: every cloud rule and service of the policy, with its
observed state, and the site's DNS and time servers in the same form.

Flows with a name that a rule matches come in with their outcomes, and failed lookups of such names;
`EndpointRecord`s go out. A rule without traffic is one record with its pattern as host and the
state `unseen`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Container, Iterable, Mapping

import msgspec
import numpy as np
from msgspec import Struct

from panotui.model import AttemptRecord, EndpointRecord
from panotui.policy.rules import Policy, Rule, expand_regions
from panotui.state.clock import LIMITS as CLOCK_LIMITS
from panotui.state.clock import ClockBook, TimeServer
from panotui.state.connects import Attempts
from panotui.state.flows.book import FlowBook
from panotui.state.ladder import NAME, NEXT_HOP, STEPS
from panotui.state.lookups import Lookup, Vain
from panotui.state.resolvers import Resolver, ResolverBook
from panotui.state.thresholds import thresholds

ENDPOINTS_MAX = 512
ATTEMPTS_SHOWN = 8
LIMITS = thresholds().endpoints
_KINDS = ("cloud", "service")


class Cut(Struct):
    """What is not reached now."""

    # (what leads there: `port`, `cloud`, `names` or `time`; the port or address) -> since when, why
    found: dict[tuple[str, str], tuple[int, str]]
    ports: Mapping[str, str]  # the appliance's addresses -> their ports
    place: Callable[[str], str]  # of a server: `near` (in its own network), `inside`, `beyond`
    halves: frozenset[str] = frozenset()  # ports of which one direction only is seen


class Endpoint(Struct):
    """One host and port that a rule of the policy names."""

    rule: Rule
    host: str
    port: int
    attempts: Attempts
    alpn: str | None = None
    state: str = "unseen"
    state_since_ns: int | None = None
    bytes: int = 0
    nameless: Lookup | None = None  # the failed lookup of its name

    @property
    def key(self) -> str:
        """`SERVICE/HOST/PORT`, its key on the screen."""
        return f"{self.rule.service}/{self.host}/{self.port}"

    @property
    def without_name(self) -> Lookup | None:
        """The failed lookup that prevents connections to it: nothing has worked since, no
        connection is open, and no later attempt got further.
        """
        lookup, attempts = self.nameless, self.attempts
        if lookup is None or attempts.open_flows:
            return None
        worked_ns = max(attempts.success_ns, attempts.connected_ns)
        if not _is_in_vain([v for v in lookup.vain if v.asked_ns > worked_ns]):
            return None
        failing = attempts.failing
        if failing is not None and failing.first_ns > lookup.vain[-1].asked_ns:
            return None
        return lookup

    @property
    def newest_state(self) -> str:
        """`reachable`, `blocked`, `failing` or `unseen`, by the newest evidence."""
        return "failing" if self.without_name is not None else self.attempts.state

    @property
    def detail(self) -> str | None:
        """A few words about a state that is not `reachable`."""
        lookup = self.without_name
        return self.attempts.detail if lookup is None else _vain_words(lookup)


class EndpointBook:
    """Endpoints by (service, host, port)."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.endpoints: OrderedDict[tuple[str, str, int], Endpoint] = OrderedDict()
        self.evicted = 0
        self.version = 0  # rises with each attempt

    def set_policy(self, policy: Policy) -> None:
        """The policy was resolved again (the region was learnt)."""
        self.policy = policy

    def rule_of(self, host: str | None, transport: str, port: int) -> Rule | None:
        """The cloud rule or service that matches this host and port."""
        if not host:
            return None
        for match in self.policy.match_host(host):
            rule = match.rule
            if rule.kind in _KINDS and rule.carries(transport, port):
                return rule
        return None

    def at(self, rule: Rule, host: str, port: int, server: str) -> Endpoint:
        """The endpoint, created if it is new."""
        key = (rule.service, host, port)
        endpoint = self.endpoints.get(key)
        if endpoint is None:
            if len(self.endpoints) >= ENDPOINTS_MAX:
                self.endpoints.popitem(last=False)
                self.evicted += 1
            attempts = Attempts(server, port, host=host)
            endpoint = self.endpoints[key] = Endpoint(rule, host, port, attempts)
        endpoint.attempts.server = server
        self.endpoints.move_to_end(key)
        return endpoint

    def take_lookups(self, changed: Iterable[Lookup], askers: Container[str]) -> None:
        """Process lookups that started or stopped failing. `askers`: the appliance's addresses;
        empty while they are unknown, and then everyone counts.
        """
        for lookup in changed:
            if askers and lookup.client not in askers:
                continue
            in_vain = _is_in_vain(lookup.vain)
            mine = [e for e in self.endpoints.values() if e.host == lookup.name]
            if not mine and in_vain:
                mine = self._of_name(lookup.name)
            for endpoint in mine:
                endpoint.nameless = lookup if in_vain else None
            self.version += bool(mine)

    def _of_name(self, name: str) -> list[Endpoint]:
        """The endpoint of a name without a connection, if a rule needs it."""
        for match in self.policy.match_host(name):
            rule = match.rule
            ports = [int(p) for p in rule.ports if p.isdigit()]
            if rule.kind in _KINDS and rule.direction != "in" and ports:
                return [self.at(rule, name, ports[0], "")]
        return []

    def judge_states(self, now_ns: int) -> list[tuple[Endpoint, str]]:
        """Update the states; returns (endpoint, old state) of those that changed."""
        changed: list[tuple[Endpoint, str]] = []
        for endpoint in self.endpoints.values():
            state = endpoint.newest_state
            if state != endpoint.state:
                changed.append((endpoint, endpoint.state))
                endpoint.state, endpoint.state_since_ns = state, now_ns
        return changed

    def working(self, since_ns: int, but: str) -> list[Endpoint]:
        """Endpoints other than host `but` that worked at or after a time: the controls."""
        return [
            e
            for e in self.endpoints.values()
            if e.host != but and e.attempts.worked_since(since_ns)
        ]

    def records(
        self,
        needed: bool,
        resolvers: ResolverBook,
        clock: ClockBook,
        servers: frozenset[str],
        time_servers: frozenset[str],
        mine: Collection[str] = (),
        cut: Cut | None = None,
        flows: FlowBook | None = None,
    ) -> tuple[EndpointRecord, ...]:
        """All endpoints in the policy's order, then DNS and NTP. `needed`: false in camera-only
        mode; `servers` and `time_servers` are the site's own; `mine` are the appliance's addresses,
        the only ones whose service by a resolver is reported (empty: everyone's). `cut`: what is
        not reached now: an endpoint, DNS or time server that was not heard since then is not
        reachable, however well it worked before.
        """
        seen: dict[str, list[Endpoint]] = {}
        for endpoint in self.endpoints.values():
            seen.setdefault(endpoint.rule.id, []).append(endpoint)
        out: list[EndpointRecord] = []
        for rule in self.policy.rules:
            if rule.kind not in _KINDS or not rule.hosts or rule.direction == "in":
                continue
            found = sorted(seen.get(rule.id, ()), key=lambda e: (e.host, e.port))
            out.extend(_cut_off(_record(e, needed), e, cut, flows) for e in found)
            if not found and (rule.needed or rule.kind == "service"):
                out.append(self._unseen(rule, needed))
        for record in _dns_records(resolvers, servers, mine):
            asked = resolvers.resolvers.get(record.host)
            out.append(_server_cut_off(record, asked.sides if asked else (), "names", cut))
        for record in _ntp_records(clock, time_servers):
            server = clock.servers.get(record.host)
            out.append(_server_cut_off(record, server.sides if server else (), "time", cut))
        return tuple(out)

    def _unseen(self, rule: Rule, needed: bool) -> EndpointRecord:
        region = self.policy.region
        host = expand_regions(rule.hosts[0], [region])[0] if region else rule.hosts[0]
        port = next((int(p) for p in rule.ports if p.isdigit()), 443)
        return EndpointRecord(
            service=rule.service,
            host=host,
            port=port,
            rule=rule.id,
            needed=needed and (rule.needed or rule.kind == "service"),
            label=rule.label,
        )


def _is_in_vain(lookups: Collection[Vain]) -> bool:
    return len(lookups) >= LIMITS.vain_lookups or any(v.said == "NXDOMAIN" for v in lookups)


def _record(endpoint: Endpoint, needed: bool) -> EndpointRecord:
    attempts = endpoint.attempts
    rule = endpoint.rule
    failing = attempts.failing
    lookup = endpoint.without_name
    step = STEPS[failing.failing_step] if failing else None
    if lookup is not None:
        step = STEPS[NAME]
    return EndpointRecord(
        service=rule.service,
        host=endpoint.host,
        port=endpoint.port,
        rule=rule.id,
        needed=needed and (rule.needed or rule.kind == "service"),
        state=endpoint.newest_state,
        attempts=attempts.attempts,
        successes=attempts.successes,
        last_success_ns=attempts.success_ns or None,
        rtt_ms=attempts.rtt_ms,
        tls_version=attempts.tls_version,
        detail=endpoint.detail,
        label=rule.label,
        address=attempts.server or None,
        alpn=endpoint.alpn,
        state_since_ns=endpoint.state_since_ns,
        open_since_ns=min(attempts.open_flows.values(), default=None),
        bytes=endpoint.bytes,
        failing_step=step,
        attempts_detail=_attempts_detail(endpoint),
    )


def _cut_off(
    record: EndpointRecord, endpoint: Endpoint, cut: Cut | None, flows: FlowBook | None
) -> EndpointRecord:
    """An endpoint that worked, and of which nothing was heard since its way is dead."""
    attempts = endpoint.attempts
    way = attempts.appliance_port or attempts.client
    askers = {a.client for a in attempts.recent} | {attempts.client}
    askers.add(endpoint.nameless.client if endpoint.nameless else "")
    asked = {cut.ports.get(client, client) for client in askers if client} if cut else set()
    if cut is not None and asked and asked <= cut.halves:
        return _half_seen(record)
    told = cut.found.get(("cloud", way)) if cut is not None else None
    if record.state != "reachable" or told is None:
        return record
    heard = max(attempts.success_ns, attempts.connected_ns, _heard_ns(attempts, flows))
    return record if heard > told[0] else _unheard(record, way, told[1])


def _server_cut_off(
    record: EndpointRecord, clients: Collection[str], kind: str, cut: Cut | None
) -> EndpointRecord:
    """The same of a DNS or time server: one in the appliance's own network is cut off only with its
    port, and one on the internet with that.
    """
    if cut is None:
        return record
    if clients and all(cut.ports.get(client, client) in cut.halves for client in clients):
        return _half_seen(record)
    if record.state != "reachable":
        return record
    kind = {"near": "port", "beyond": "cloud"}.get(cut.place(record.host), kind)
    ways = [cut.ports[client] for client in clients if client in cut.ports]
    told = [cut.found.get((kind, way)) for way in ways]
    heard = record.last_success_ns or 0
    if not told or any(one is None or heard > one[0] for one in told):
        return record
    assert told[0] is not None
    return _unheard(record, ways[0], told[0][1])


def _half_seen(record: EndpointRecord) -> EndpointRecord:
    """Without its answers nobody can say that it fails."""
    if record.state not in ("blocked", "failing"):
        return record
    return msgspec.structs.replace(
        record, state="unseen", failing_step=None, detail="one direction only is seen"
    )


def _unheard(record: EndpointRecord, way: str, why: str) -> EndpointRecord:
    return msgspec.structs.replace(
        record, state="failing", failing_step=STEPS[NEXT_HOP],
        detail=f"it worked, but has not been heard since ({way}: {why})",
    )  # fmt: skip


def _heard_ns(attempts: Attempts, flows: FlowBook | None) -> int:
    """When its open connections were heard last."""
    if flows is None or not attempts.open_flows:
        return 0
    slots = flows.find(np.fromiter(attempts.open_flows, np.uint64, len(attempts.open_flows)))
    return int(flows.rows["last_in_ns"][slots[slots >= 0]].max(initial=0))


def _attempts_detail(endpoint: Endpoint) -> tuple[AttemptRecord, ...]:
    """The last connections, and failed lookups among them, oldest first."""
    records = [a.record() for a in endpoint.attempts.recent]
    lookup = endpoint.nameless
    if lookup is not None:
        records += [
            AttemptRecord(
                time_ns=v.asked_ns, packet=v.packet or None, address=v.server,
                passed="nothing", ended="nameless", text=f"name asked, {v.said} from {v.server}",
            )
            for v in lookup.vain
        ]  # fmt: skip
        records.sort(key=lambda r: r.time_ns)
    return tuple(records)[-ATTEMPTS_SHOWN:]


def _vain_words(lookup: Lookup) -> str:
    said = lookup.vain[-1]
    times = f", {lookup.vain_count} times" if lookup.vain_count > 1 else ""
    return f"{said.said} for its name from {said.server}{times}"


def _dns_records(
    book: ResolverBook, servers: frozenset[str], mine: Collection[str]
) -> list[EndpointRecord]:
    out = []
    for address in sorted(servers | set(book.resolvers)):
        resolver = book.resolvers.get(address)
        sides = resolver.sides_of(mine) if resolver else []
        state, detail, failing = "unseen", None, None
        answers = sum(side.answers for side in sides)
        if sides:
            waiting = min(side.unanswered for side in sides)
            if waiting >= CLOCK_LIMITS.silent_requests:
                state, detail = "blocked", f"{waiting} queries unanswered"
                failing = "answered"
            elif answers and sum(side.errors for side in sides) >= answers:
                state, detail = "failing", "every answer is an error"
                failing = "useful-answer"
            elif all(side.refuses_all for side in sides):
                row = min(side.errors_in_a_row for side in sides)
                state, detail = "failing", f"the last {row} answers are errors"
                failing = "useful-answer"
            elif answers:
                state = "reachable"
        elif address not in servers:
            continue
        out.append(
            EndpointRecord(
                service="dns",
                host=address,
                port=53,
                rule="dns",
                needed=address in servers,
                state=state,
                attempts=sum(side.queries for side in sides),
                successes=answers,
                last_success_ns=max((side.last_answer_ns for side in sides), default=0) or None,
                rtt_ms=resolver.median_ms if resolver else None,
                detail=detail,
                label="DNS",
                failing_step=failing,
                address=address,
                attempts_detail=_unanswered_lookups(resolver),
            )
        )
    return out


def _unanswered_lookups(resolver: Resolver | None) -> tuple[AttemptRecord, ...]:
    """Queries of the client with the best results since the last answer, oldest first."""
    sides = resolver.sides.values() if resolver is not None else ()
    side = min(sides, key=lambda s: s.unanswered, default=None)
    if resolver is None or side is None:
        return ()
    return tuple(
        AttemptRecord(
            time_ns=at, packet=packet or None, address=resolver.address,
            passed="asked", ended="silent", text=f"asked for {name}, nothing after",
        )
        for at, packet, name in side.unanswered_seen
    )  # fmt: skip


def _unanswered_times(server: TimeServer | None) -> tuple[AttemptRecord, ...]:
    """The newest time requests without an answer, or without one that fits, oldest first."""
    if server is None:
        return ()
    side = server.side()
    said = [(at, packet, "asked", "silent", "asked, nothing after") for at, packet in side.asked]
    said += [
        (at, packet, "answered", "rejected", "answer that matches no query")
        for at, packet in side.rejected_seen
    ]
    return tuple(
        AttemptRecord(
            time_ns=at, packet=packet or None, address=server.address,
            passed=passed, ended=ended, text=text,
        )
        for at, packet, passed, ended, text in sorted(said)[-ATTEMPTS_SHOWN:]
    )  # fmt: skip


def _ntp_records(clock: ClockBook, servers: frozenset[str]) -> list[EndpointRecord]:
    out = []
    for address in sorted(servers | set(clock.servers)):
        server = clock.servers.get(address)
        state, detail, failing = "unseen", None, None
        if server is not None:
            if server.unanswered >= CLOCK_LIMITS.silent_requests:
                state, detail = "blocked", f"{server.unanswered} requests unanswered"
                failing = "answered"
            elif server.responses and not server.synchronised:
                state, detail = "failing", "the server is not synchronised"
                failing = "valid"
            elif server.responses:
                state = "reachable"
        out.append(
            EndpointRecord(
                service="ntp",
                host=address,
                port=123,
                rule="ntp",
                needed=address in servers,
                state=state,
                attempts=server.requests if server else 0,
                successes=server.responses if server else 0,
                last_success_ns=server.last_ns if server else None,
                rtt_ms=server.delay_ms if server else None,
                detail=detail,
                label="NTP",
                failing_step=failing,
                address=address,
                attempts_detail=_unanswered_times(server),
            )
        )
    return out
