"""Findings of the way to the cloud, from the ladder of each connection: blocked, refused, filtered,
stalled, answered by a portal, or just failing.

The connection and endpoint books come in, observations go out. Each target that fails is told by
the step that it does not pass; a signature adds the reason. Targets that fail at one step and share
something without a working member since are told as one (`diagnosis.fate`), and hang below it.
"Blocked" is said only where something of the same kind has worked since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from panotui.diagnosis.facts import STALE_S, Facts, Observation, Rule, clock_text, evidence
from panotui.diagnosis.fate import Element, Fate, Trial, shared
from panotui.model import FLOW_ENDS, SECOND, Confidence
from panotui.site.facts import Who
from panotui.state.connects import Attempts, icmp_meaning, recent
from panotui.state.endpoints import Endpoint
from panotui.state.ladder import FLIGHT, HELLO, STEPS, SYN, Attempt

CONTROL_S = 600.0
TARGETS_A_TICK = 64
FAILING_MAX = 24  # a client that knocks in vain at more targets scans (`scan` tells of it)
A_HOST_MOST = 4
TABLE_MAX = 1024
RTT_MS = 300.0
RETRANSMITTED = 0.02
SEGMENTS_LEAST = 200
HOUR = 3600 * SECOND
SILENCE_NS = 30 * SECOND
IDLE = FLOW_ENDS.index("idle")
SUPPORT_ENDED_NS = 1_780_272_000 * SECOND  # 2026-06-01T00:00:00Z
AMAZON = ("amazon", "aws", "starfield")
_NO_ROUTE = {4: frozenset((0, 1, 6, 7)), 6: frozenset((0, 3))}  # ICMP: no way there
OPEN_WAIT_NS = 12 * SECOND  # so long an open connection may be silent before the internet is down


class Failing(Struct):
    """A target of the appliance that fails, and what is said of it alone."""

    target: Attempts
    attempt: Attempt
    host: str
    way: str  # the appliance's port, or its address while no port is known
    beyond: bool  # the server is on the internet
    seen: Observation

    @property
    def since_ns(self) -> int:
        """When its first failing attempt began."""
        return self.target.since_ns or self.attempt.first_ns

    @property
    def version(self) -> int:
        """IP version."""
        return 6 if ":" in self.target.server else 4

    def trial(self) -> Trial:
        """As `fate` compares it."""
        way = self.way
        return Trial(
            self.host,
            self.since_ns,
            (
                ("port", way),
                ("family", f"{way} {self.version}"),
                ("number", f"{way} {self.target.port}"),
            ),
            self.seen.life_key,
        )


class ReachRule(Rule):
    """internet-down, new-connections-fail, ipv6-unreachable, tcp-blocked, tcp-refused,
    icmp-blocked, tls-blocked, sni-filtered, tls-stalled, captive-portal, endpoint-failing."""

    wakes = frozenset(("flows", "endpoints", "site"))

    def __init__(self) -> None:
        self._outages: dict[str, tuple[int, int]] = {}  # way -> (since, end; 0 it lasts)

    def tick(self, facts: Facts) -> list[Observation]:
        failing = self._failing(facts)
        if not failing and not self._outages:
            return []
        self.due(facts.now_ns + 5 * SECOND)
        out: list[Observation] = []
        folded: set[str] = set()
        unreached = [f for f in failing if _unreached(f)]
        for fate in self._unreachable(unreached, facts):
            seen = _of_fate(fate, unreached, facts)
            if seen.id != "internet-down" or not _may_yet_speak(fate, facts):
                out.append(seen)
            folded.update(t.key for t in fate.members)
            if fate.element[0] == "port":
                self._outages[fate.element[1]] = (fate.since_ns, 0)
        self._note_ends(facts)
        cut = [f for f in failing if _cut(f)]
        out.extend(_every_hello(cut, facts))
        out.extend(_portal(failing, facts))
        for one in failing:
            if one.seen.id == "endpoint-failing" and not _needed(one, facts):
                continue
            if one.seen.life_key in folded or not self._was_outage(one):
                out.append(_compared(one, facts))
        return out

    def _failing(self, facts: Facts) -> list[Failing]:
        """The appliance's targets that fail, with what is said of each."""
        found: list[Failing] = []
        in_vain: Counter[str] = Counter()
        a_server: Counter[str] = Counter()
        for target in facts.connects.ours():
            knocks = (target.syns or target.refusals) and not target.connected_ns
            if knocks and recent(target.last_ns, facts.now_ns, STALE_S):
                in_vain[target.client] += 1
            attempt = target.failing
            if attempt is None or not _relevant(target, facts):
                continue
            if len(found) >= TARGETS_A_TICK or a_server[target.server] >= A_HOST_MOST:
                continue
            a_server[target.server] += 1
            named = _endpoint_of(target, facts)
            host = named.host if named else facts.host_of(target.client, target.server)
            # another address of the same name has answered since: the appliance took that one
            since = target.since_ns or attempt.first_ns
            beyond = bool(facts.view.who(target.server) & Who.INTERNET)
            other = _other_address_works(host, target, since, facts)
            if other is not None and not _family_dead(target, since, facts):
                continue
            seen = _alone(target, attempt, host, facts)
            way = facts.port_of(target.client) or target.client
            found.append(Failing(target, attempt, host, way, beyond, seen))
        # one host on many ports is a scan or a stray application, not a firewall's rule for each
        return [f for f in found if in_vain[f.target.client] <= FAILING_MAX]

    @staticmethod
    def _unreachable(failing: list[Failing], facts: Facts) -> list[Fate]:
        """Fates of what gets no answer to its SYN, beyond the site."""
        trials = [f.trial() for f in failing if f.beyond]
        if not trials:
            return []
        for server, asked in facts.beyond.unanswered(facts.now_ns):
            way = (("port", asked.port), ("family", f"{asked.port} {asked.version}"))
            key = f"{'ntp-silent' if asked.dport == 123 else 'dns-timeout'}|{server}"
            trials.append(Trial(server, asked.since_ns, way, key))
        return shared(trials, lambda e: _worked(e, facts)[0], lambda e: _least(e, facts))

    def _note_ends(self, facts: Facts) -> None:
        """An outage is over when something new has answered on its way."""
        for way, (since, end) in list(self._outages.items()):
            worked, _ = facts.beyond.answered(way)
            if not end and worked > since:
                self._outages[way] = (since, worked)
            elif end and facts.now_ns - end > 24 * HOUR:
                del self._outages[way]

    def _was_outage(self, failing: Failing) -> bool:
        """It failed while nothing worked, and nobody has tried it since that is over."""
        since, end = self._outages.get(failing.way, (0, 0))
        if not end or not _unreached(failing):
            return False
        return failing.since_ns >= since and failing.attempt.first_ns <= end


# ---------------------------------------------------------------------- single targets


def _relevant(target: Attempts, facts: Facts) -> bool:
    """A connection of the appliance to something that is no camera of the site."""
    if not target.client or not facts.is_appliance(target.client):
        return False
    return facts.cameras.get(target.server) is None


def _values(target: Attempts, host: str, facts: Facts) -> dict[str, str]:
    return {
        "host": host,
        "dport": str(target.port),
        "server": target.server,
        "client": target.client or "the appliance",
        "port": facts.port_of(target.client) or "",
        "transport": "TCP",
    }


def _subject(target: Attempts, host: str, facts: Facts) -> str:
    """The host alone where the policy knows it on this port, else host and port."""
    rule = facts.endpoints.rule_of(host, "tcp", target.port)
    return host if rule is not None else f"{host}:{target.port}"


def _allowed(host: str, target: Attempts, facts: Facts) -> bool:
    """A rule of the policy lets the appliance go there."""
    return facts.endpoints.rule_of(host, "tcp", target.port) is not None or not (
        facts.view.who(target.server) & Who.INTERNET
    )


def _needed(failing: Failing, facts: Facts) -> bool:
    """The policy names it: of other things it is not known whether they should work."""
    return facts.endpoints.rule_of(failing.host, "tcp", failing.target.port) is not None


def _find_out(host: str, target: Attempts) -> str:
    """The action for what the policy forbids: never to let it through."""
    return (
        f"Find out what on {target.client or 'the appliance'} asks for {host}: no rule of the"
        " policy allows it, so it may stay blocked"
    )


def _observe(
    kind: str, target: Attempts, attempt: Attempt, host: str, facts: Facts, **more: object
) -> Observation:
    values = _values(target, host, facts)
    seen = Observation(
        kind, _subject(target, host, facts), values, target.evidence,
        target.since_ns or attempt.first_ns, attempt.last_ns, flow=target.flow,
        asker=target.client or None,
    )  # fmt: skip
    if not _allowed(host, target, facts):
        more.setdefault("action", _find_out(host, target))
        more.setdefault("severity", "warning")
    extra = more.pop("values", None)
    if isinstance(extra, dict):
        more["values"] = {**values, **extra}
    return replace(seen, **more)


def _alone(target: Attempts, attempt: Attempt, host: str, facts: Facts) -> Observation:
    """What is said of one target that fails, before it is compared with others."""
    failures = target.failures
    tries = _attempts(len(failures))
    lines = (tries, *dict.fromkeys(f"{clock_text(a.first_ns)} {a.words()}" for a in failures[-3:]))
    if target.icmp is not None and attempt.how == "icmp":
        return _by_icmp(target, attempt, host, facts)
    if attempt.how == "refused":
        return _refused(target, attempt, host, lines, facts)
    if attempt.passed < SYN:
        count = sum(a.syns for a in failures)
        return _observe(
            "tcp-blocked", target, attempt, host, facts, detail=lines,
            values={"count": str(max(count, target.syns)), "detail": ""},
        )  # fmt: skip
    if attempt.how == "http":
        return _observe("captive-portal", target, attempt, host, facts, detail=lines,
                        values=_portal_values(attempt, host))  # fmt: skip
    if attempt.small_only:
        way = "to" if attempt.passed <= HELLO else "from"
        return _observe(
            "tls-stalled", target, attempt, host, facts, detail=lines, values={"direction": way}
        )
    if attempt.passed == HELLO:
        return _observe(
            "sni-filtered", target, attempt, host, facts, detail=lines,
            values={"detail": _how_cut(attempt)},
        )  # fmt: skip
    return _failing_at(target, attempt, host, lines, facts)


def _failing_at(
    target: Attempts, attempt: Attempt, host: str, lines: tuple[str, ...], facts: Facts
) -> Observation:
    """No signature fits: the last step that was reached is the sentence."""
    reason = ""
    if attempt.how == "left" and attempt.passed == FLIGHT:
        reason = (
            "; the appliance leaves right after the server's certificate, so it does not trust it"
            " (TLS inspection on the way, or a wrong clock)"
        )
    count = len(target.failures)
    return _observe(
        "endpoint-failing", target, attempt, host, facts, detail=lines,
        values={
            "attempts": _attempts(count),
            "reached": attempt.words(),
            "step": STEPS[attempt.failing_step],
            "reason": reason,
        },
        confidence="likely" if count > 1 else "possible",
    )  # fmt: skip


def _by_icmp(target: Attempts, attempt: Attempt, host: str, facts: Facts) -> Observation:
    message = target.icmp
    assert message is not None
    sender = "the host itself" if message.src == target.server else message.src
    own = message.code == 3 and message.src == target.server
    said = evidence(
        message.time_ns, message.packet, f"ICMP from {message.src}: {icmp_meaning(message)}"
    )
    return _observe(
        "icmp-blocked", target, attempt, host, facts,
        values={"sender": message.src, "meaning": icmp_meaning(message)},
        evidence=(*target.evidence[:7], said), last_ns=message.time_ns,
        detail=(f"said by {sender}, {times(target.icmp_count)}",),
        confidence="likely" if own else None,
    )  # fmt: skip


def _refused(
    target: Attempts, attempt: Attempt, host: str, lines: tuple[str, ...], facts: Facts
) -> Observation:
    known_ttl = target.ttl or next(
        (t.ttl for t in facts.connects.ours() if t.server == target.server and t.ttl), 0
    )
    detail = ""
    if known_ttl and target.refused_ttl and abs(known_ttl - target.refused_ttl) > 1:
        detail = " (a firewall answers for it)"
        text = f"TTL of the RST is {target.refused_ttl}, of the host's packets {known_ttl}"
    elif known_ttl and target.refused_ttl:
        text = f"TTL of the RST is the host's own ({known_ttl}): nothing listens there"
    else:
        text = "host or firewall: no other packet of the host to compare the TTL with"
    return _observe(
        "tcp-refused", target, attempt, host, facts, values={"detail": detail},
        detail=(*lines, text),
    )  # fmt: skip


def _how_cut(attempt: Attempt) -> str:
    """How a connection ends after its ClientHello, as it was seen and no more."""
    if attempt.how == "reset":
        return "reset by RST"
    if attempt.how == "closed":
        return "closed by FIN"
    if attempt.again:
        return f"no answer, the ClientHello was sent again {times(attempt.again)}"
    return "accepted, and no answer"


# ---------------------------------------------------------------------- comparing


def _compared(failing: Failing, facts: Facts) -> Observation:
    """The observation of one target with its control, or with words that need none."""
    seen = failing.seen
    if seen.id == "tcp-blocked":
        return _blocked(failing, facts)
    if seen.id == "sni-filtered":
        return _filtered(failing, facts)
    return seen


def _blocked(failing: Failing, facts: Facts) -> Observation:
    """Blocked only where another target of the same port has answered since."""
    seen, target = failing.seen, failing.target
    since = failing.since_ns
    worked, who = facts.beyond.answered(failing.way, version=failing.version, protocol=6)
    if not failing.beyond or worked < since:
        worked, who = _any_answer(failing, since, facts)
    same_host = facts.connects.alive(target.server, target.port)
    detail = list(seen.detail)
    confidence: Confidence = "possible"
    if worked >= since and who:
        name = facts.host_of(target.client, who)
        known = next((t for t in facts.connects.ours() if t.server == who), None)
        port = f" port {known.port}" if known else ""
        took = f" in {milliseconds(known.rtt_ms)}" if known and known.rtt_ms is not None else ""
        detail.append(f"control: {name}{port} answers{took}, last at {clock_text(worked)}")
        confidence = "likely"
    if same_host is not None and max(same_host.connected_ns, same_host.refused_ns) >= since:
        detail.append(f"control: {target.server} answers on port {same_host.port}")
        confidence = "certain" if worked >= since and who else "likely"
    if confidence != "possible":
        works = facts.endpoints.working(since, failing.host)
        plural = (
            "1 other endpoint works" if len(works) == 1 else f"{len(works)} other endpoints work"
        )
        extra = f"; {plural}" if works else ""
        return replace(
            seen, values={**seen.values, "detail": extra}, confidence=confidence,
            detail=tuple(detail),
        )  # fmt: skip
    count = seen.values["count"]
    allowed = _allowed(failing.host, target, facts)
    return replace(
        seen,
        text=f"{failing.host} port {target.port} does not answer: {count} SYNs unanswered"
        f" since {clock_text(since)}",
        action=f"Check the route to {failing.host} and whether it is up, then the firewall"
        if allowed
        else seen.action,
        severity=seen.severity or "warning",
        confidence=confidence,
        detail=(*detail, "nothing else of its kind has answered since to compare with"),
    )


def _any_answer(failing: Failing, since: int, facts: Facts) -> tuple[int, str]:
    """The newest TCP connection of the same client that was answered since: a control."""
    control = facts.connects.control(
        lambda t: (
            t.server != failing.target.server
            and facts.is_appliance(t.client)
            and facts.cameras.get(t.server) is None
            and (facts.port_of(t.client) or t.client) == failing.way
        ),
        since,
    )
    return (control.connected_ns, control.server) if control else (0, "")


def _filtered(failing: Failing, facts: Facts) -> Observation:
    """A filter by name only where another name has passed the same step since."""
    control = handshake_since(failing.host, failing.way, failing.since_ns, facts)
    if control is not None:
        return replace(
            failing.seen, confidence="likely",
            detail=(*failing.seen.detail, f"control: {control} works since"),
        )  # fmt: skip
    attempt, seen = failing.attempt, failing.seen
    return replace(
        seen,
        text=f"The connection to {failing.host} ends right after the ClientHello"
        f" ({_how_cut(attempt)}), since {clock_text(failing.since_ns)}",
        action=seen.action
        or f"Ask the owner of the firewall what it does with TLS to {failing.host}",
        confidence="possible",
        detail=(*seen.detail, "no other name has passed this step since to compare with"),
    )


def handshake_since(host: str, way: str, since_ns: int, facts: Facts) -> str | None:
    """Another name whose TLS handshake was done since, from the same port."""
    found = [
        e
        for e in facts.endpoints.endpoints.values()
        if e.host != host
        and e.attempts.success_ns >= since_ns > 0
        and (facts.port_of(e.attempts.client) or e.attempts.client) == way
    ]
    best = max(found, key=lambda e: e.attempts.success_ns, default=None)
    return best.host if best else None


def _other_address_works(
    host: str, target: Attempts, since_ns: int, facts: Facts
) -> Attempts | None:
    """Another address of the same name on the same port that has answered since."""
    for endpoint in facts.endpoints.endpoints.values():
        same = endpoint.host == host and endpoint.port == target.port
        if same and endpoint.attempts.success_ns >= since_ns > 0:
            return endpoint.attempts
    return None


def _family_dead(target: Attempts, since_ns: int, facts: Facts) -> bool:
    """No new connection of the target's address family has been answered since."""
    way = facts.port_of(target.client) or target.client
    version = 6 if ":" in target.server else 4
    return version == 6 and facts.beyond.answered(way, version=6)[0] < since_ns


def _unreached(failing: Failing) -> bool:
    """Nothing answers its SYN, or a router says that there is no way."""
    if failing.seen.id == "tcp-blocked":
        return True
    message = failing.target.icmp
    return (
        failing.seen.id == "icmp-blocked"
        and message is not None
        and (failing.version == 6 or message.code in _NO_ROUTE[message.version])
    )


def _cut(failing: Failing) -> bool:
    return failing.seen.id == "sni-filtered"


# ---------------------------------------------------------------------- what many share


def _worked(element: Element, facts: Facts) -> tuple[int, str]:
    kind, name = element
    way, _, rest = name.partition(" ")
    if kind == "port":
        return facts.beyond.answered(way)
    if kind == "family":
        return facts.beyond.answered(way, version=int(rest))
    return facts.beyond.answered(way, protocol=6, dport=int(rest))


def _least(element: Element, facts: Facts) -> int:
    """How many targets must fail: one is enough where the other family is known to work."""
    kind, name = element
    if kind != "family":
        return 2
    return 1 if name.endswith(" 6") else 2


def _of_fate(fate: Fate, failing: list[Failing], facts: Facts) -> Observation:
    """One sentence for what shares the way to the internet."""
    kind, name = fate.element
    way, _, rest = name.partition(" ")
    members = [f for f in failing if f.seen.life_key in {t.key for t in fate.members}]
    names = fate.names
    since = fate.since_ns
    newest = max((f.attempt.last_ns for f in members), default=facts.now_ns)
    proofs = tuple(e for f in members[:4] for e in f.seen.evidence[:2])
    detail = tuple(f"{n} does not answer" for n in names[:6])
    values = {
        "port": way, "since": clock_text(since), "count": str(len(names)),
        "names": listed(names), "control": _controls(since, facts),
        "gateway": _gateway(facts), "dport": rest,
    }  # fmt: skip
    common = Observation(
        "internet-down", way, values, proofs, since, newest, detail=detail,
        covers=(*(t.key for t in fate.members), "dns-servfail|*"),
        asker=members[0].target.client if members else None,
    )  # fmt: skip
    if kind == "port":
        heard, first = facts.beyond.open_heard.get(way, (0, 0))
        if heard > since + SECOND and first < since:
            return replace(
                common, id="new-connections-fail", replaces=(common.life_key,),
                values={**values, "heard": clock_text(heard)},
                covers=tuple(t.key for t in fate.members),
            )  # fmt: skip
        return common
    if kind == "family" and rest == "6":
        works = facts.beyond.answered(way, version=4)[0] >= since
        message = next((f.target.icmp for f in members if f.target.icmp is not None), None)
        reason = f": {message.src} says {icmp_meaning(message)}" if message else ""
        return replace(
            common, id="ipv6-unreachable",
            values={
                **values,
                "reason": reason,
                "detail": "; IPv4 is used instead" if works else "",
            },
            severity="info" if works else None,
            covers=tuple(t.key for t in fate.members),
        )  # fmt: skip
    what = f"TCP port {rest}" if kind == "number" else f"IPv{rest}"
    return replace(
        common, id="tcp-blocked", key=f"{way} {what}", subject=f"{way} {what}",
        text=f"No connection over {what} is answered since {clock_text(since)}:"
        f" {len(names)} hosts were tried from {way}, and other traffic gets through",
        action=f"Ask the owner of the firewall to allow outbound {what} from {way}"
        " to the endpoints of the policy (panotui policy export lists them)",
        confidence="likely", covers=tuple(t.key for t in fate.members),
    )  # fmt: skip


def _may_yet_speak(fate: Fate, facts: Facts) -> bool:
    """A connection that was open before may still be alive: it is given a moment to say so."""
    since = fate.since_ns
    if facts.now_ns - since > OPEN_WAIT_NS:
        return False
    return any(
        began < since
        for target in facts.connects.ours()
        for began in target.open_flows.values()
        if facts.view.who(target.server) & Who.INTERNET
    )


def _every_hello(cut: list[Failing], facts: Facts) -> Iterable[Observation]:
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
        yield Observation(
            "tls-blocked", fate.element[1],
            {
                "port": fate.element[1], "since": clock_text(fate.since_ns),
                "count": str(len(fate.names)), "names": listed(fate.names),
                "detail": _how_cut(members[-1].attempt),
            },
            tuple(e for f in members[:4] for e in f.seen.evidence[:2]),
            fate.since_ns, max(f.attempt.last_ns for f in members),
            covers=tuple(keys), asker=members[0].target.client,
            detail=tuple(f"{n}: TCP connects, the ClientHello is not answered"
                         for n in fate.names[:6]),
        )  # fmt: skip


def _portal_values(attempt: Attempt, host: str) -> dict[str, str]:
    where = attempt.http.location if attempt.http else None
    status = attempt.http.status if attempt.http else None
    to = f" and sends the client to {where}" if where else ""
    return {"host": host, "detail": f" (status {status or '?'}{to})"}


def _portal(failing: list[Failing], facts: Facts) -> Iterable[Observation]:
    """One portal in the way of many endpoints is one cause."""
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


def _controls(since_ns: int, facts: Facts) -> str:
    """What inside the site has answered since: the proof that the fault lies beyond."""
    works: list[str] = []
    for address, resolver in facts.resolvers.resolvers.items():
        local = not facts.view.who(address) & Who.INTERNET
        if local and resolver.last_answer_ns >= since_ns:
            works.append("the DNS server")
            break
    return f"; {works[0]} does" if works else ""


def _gateway(facts: Facts) -> str:
    known = sorted(facts.view.facts.gateways)
    return f" {known[0]}" if len(known) == 1 else ""


def listed(names: list[str]) -> str:
    """`a, b and 3 more`."""
    if len(names) <= 3:
        return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"{', '.join(names[:2])} and {len(names) - 2} more"


def milliseconds(value: float) -> str:
    """`< 1 ms`, `23 ms`."""
    return "< 1 ms" if value < 1 else f"{value:.0f} ms"


def _endpoint_of(target: Attempts, facts: Facts) -> Endpoint | None:
    return next(
        (
            e
            for e in reversed(facts.endpoints.endpoints.values())
            if e.port == target.port and any(a.server == target.server for a in e.attempts.recent)
        ),
        None,
    )


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def times(count: int) -> str:
    """`once`, `3 times`."""
    return "once" if count == 1 else f"{count} times"
