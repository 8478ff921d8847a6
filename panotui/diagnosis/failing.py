"""One failing target of the appliance, and its observation before it is compared with others.

An attempt that ended before data comes in, an observation goes out: the failing step, and the
reason if the end is a known one.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from panotui.diagnosis.catalogue import alert_named, says_no_more
from panotui.diagnosis.facts import Facts, Observation, clock_text, evidence
from panotui.diagnosis.fate import Trial
from panotui.model import SECOND
from panotui.model.quantities import counted, times
from panotui.site.facts import Who
from panotui.state.connects import Attempts, evidence_of, icmp_meaning
from panotui.state.ladder import HANDSHAKE, HELLO, STEPS, SYN, Attempt, syns

_NO_ROUTE = {4: frozenset((0, 1, 6, 7)), 6: frozenset((0, 3))}  # ICMP: no route
_CLOUD_PORTS = (443, 8883, 8443)


class Failing(Struct):
    """A failing target of the appliance, with its own observation."""

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
        """Its form for `fate`."""
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

    @property
    def unreached(self) -> bool:
        """Its SYN is not answered, or a router reports that there is no route."""
        if self.seen.id == "tcp-blocked":
            return True
        message = self.target.icmp
        return (
            self.seen.id == "icmp-blocked"
            and message is not None
            and (self.version == 6 or message.code in _NO_ROUTE[message.version])
        )


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
    """Only the host if the policy has it on this port, else host and port."""
    rule = facts.endpoints.rule_of(host, "tcp", target.port)
    return host if rule is not None else f"{host}:{target.port}"


def allowed(host: str, target: Attempts, facts: Facts) -> bool:
    """A rule of the policy lets the appliance go there."""
    return facts.endpoints.rule_of(host, "tcp", target.port) is not None or not (
        facts.view.who(target.server) & Who.INTERNET
    )


def named_before(host: str, target: Attempts, facts: Facts) -> bool:
    """An address of AWS without a name: it was looked up before the capture began, if at all."""
    ours = host == target.server and target.port in _CLOUD_PORTS
    return ours and (facts.names.range_of(host) or "").startswith("AWS")


def _find_out(host: str, target: Attempts, facts: Facts) -> str:
    """The action for traffic that the policy forbids: never to allow it."""
    if named_before(host, target, facts):
        return (
            f"Find out what on {target.client or 'the appliance'} asks for {host}, an address of"
            " AWS: its name was not looked up during this capture, so that no rule is known for it"
        )
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
    if not allowed(host, target, facts):
        more.setdefault("action", _find_out(host, target, facts))
        more.setdefault("severity", "warning")
    extra = more.pop("values", None)
    if isinstance(extra, dict):
        more["values"] = {**values, **extra}
    return replace(seen, **more)


def alone(target: Attempts, attempt: Attempt, host: str, facts: Facts) -> Observation:
    """The observation of one failing target, before it is compared with others."""
    failures = target.failures
    tries = counted(len(failures), "attempt")
    lines = (tries, *dict.fromkeys(f"{clock_text(a.first_ns)} {a.words()}" for a in failures[-3:]))
    if target.icmp is not None and attempt.how == "icmp":
        return _by_icmp(target, attempt, host, facts)
    if attempt.how == "refused":
        return _refused(target, attempt, host, lines, facts)
    if attempt.passed < SYN:
        return _unanswered(target, attempt, host, lines, facts)
    if attempt.how == "http":
        return _observe("captive-portal", target, attempt, host, facts, detail=lines,
                        values=_portal_values(attempt, host))  # fmt: skip
    if attempt.small_only and attempt.passed >= HANDSHAKE:
        return _narrow(target, attempt, host, lines, facts)
    if attempt.small_only:
        way = "to" if attempt.passed <= HELLO else "from"
        return _observe(
            "tls-stalled", target, attempt, host, facts, detail=lines, values={"direction": way}
        )
    # a filter for names lets no server answer; where hellos are not read, no name is known
    answered = any(HELLO < a.passed < HANDSHAKE for a in failures)
    unnamed = answered or facts.visibility.snapped
    if attempt.passed == HELLO and attempt.synacks <= 1 and not unnamed:
        return _observe(
            "sni-filtered", target, attempt, host, facts, detail=lines,
            values={"detail": how_cut(attempt)},
        )  # fmt: skip
    return _failing_at(target, attempt, host, lines, facts)


def _unanswered(
    target: Attempts, attempt: Attempt, host: str, lines: tuple[str, ...], facts: Facts
) -> Observation:
    """Its SYNs get no answer. An attempt before these may have come further, and failed there."""
    failures = target.failures
    further = [n for n, a in enumerate(failures) if a.passed >= SYN]
    silent = failures[further[-1] + 1 :] if further else failures
    more: dict[str, object] = {}
    if further and silent:
        more = {
            "detail": (counted(len(silent), "attempt"), *lines[1:]),
            "first_ns": silent[0].first_ns,
            "evidence": evidence_of(silent),
        }
    count = sum(a.syns for a in silent)
    return _observe(
        "tcp-blocked", target, attempt, host, facts,
        **{"detail": lines, **more},
        values={"syns": syns(max(count, target.syns)), "detail": ""},
    )  # fmt: skip


def _narrow(
    target: Attempts, attempt: Attempt, host: str, lines: tuple[str, ...], facts: Facts
) -> Observation:
    """The handshake passes, and then full-size segments are lost, without a word by ICMP."""
    way = "to" if attempt.narrow_to else "from"
    return _observe(
        "tls-stalled", target, attempt, host, facts, detail=lines,
        confidence="likely" if len(target.failures) > 1 else "possible",
        text=f"Connections to {host} stall after the TLS handshake: large packets {way} it are lost"
        f" on the way, small ones get through ({counted(len(target.failures), 'attempt')}), and no"
        " router says so by ICMP",
    )  # fmt: skip


def _failing_at(
    target: Attempts, attempt: Attempt, host: str, lines: tuple[str, ...], facts: Facts
) -> Observation:
    """No signature matches: the sentence names the last step that was reached."""
    reason = ""
    if attempt.passed == HELLO and attempt.synacks > 1:
        reason = (
            f"; {host} sends its SYN-ACK {attempt.synacks} times: what {target.client} sends after"
            " its SYN does not reach it"
        )
    if attempt.distrusts:
        reason = (
            "; the appliance hangs up right after the server's certificate, so it does not trust it"
            " (TLS inspection on the way, or a wrong clock)"
        )
    count = len(target.failures)
    more = (
        {"action": after_the_handshake(host, target.client)} if attempt.how == "unanswered" else {}
    )
    fault = fault_of(attempt)
    if fault is not None:
        reason = f"; {host} itself says {alert_named(fault)}"
        more = {"action": own_fault(host)}
    if not allowed(host, target, facts):
        more.clear()
    if attempt.doubted:
        more["severity"] = "warning"
        more["text"] = (
            f"{host} port {target.port} accepts requests and answers none:"
            f" {counted(count, 'attempt')}, the last: {attempt.words()}"
        )
        lines = (*lines, "also possible: the client ends its own wait, as in a long poll")
    return _observe(
        "endpoint-failing", target, attempt, host, facts, detail=lines, **more,
        values={
            "attempts": counted(count, "attempt"),
            "reached": attempt.words(),
            "step": STEPS[attempt.failing_step],
            "reason": reason,
        },
        confidence="likely" if count > 1 and not attempt.doubted else "possible",
    )  # fmt: skip


def fault_of(attempt: Attempt) -> int | None:
    """The alert of a server that fails and does not say of what."""
    alert = attempt.alert
    if attempt.how != "alert" or alert is None or alert.from_client or not alert.code:
        return None
    return alert.code if says_no_more(alert.code) else None


def own_fault(host: str) -> str:
    """The action where the server itself fails; no host: several of AWS."""
    why = "answers and fails by itself, so nothing at the site mends it"
    if not host:
        return f"Look at AWS's health page for the region: each endpoint {why}"
    if host.endswith(".amazonaws.com"):
        return f"Look at AWS's health page for the service of {host}: it {why}"
    return f"Ask the owner of {host} why it refuses each TLS connection: it {why}"


def after_the_handshake(host: str, client: str) -> str:
    """The action where a handshake is done and nothing more comes."""
    return (
        f"Ask the owner of the firewall why nothing comes back from {host} to {client} after the"
        " TLS handshake: an inspection or a proxy on the way, or a time-out there"
    )


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
    action: str | None = None
    own = bool(known_ttl) and abs(known_ttl - (target.refused_ttl or known_ttl)) <= 1
    if not own and facts.view.who(target.server) & Who.INTERNET and allowed(host, target, facts):
        # what is needed of the internet listens there: it is for the site to let it through
        action = (
            f"Ask the owner of the firewall to allow outbound TCP {target.port} from"
            f" {target.client or 'the appliance'} to {host}"
        )
    if known_ttl and target.refused_ttl and abs(known_ttl - target.refused_ttl) > 1:
        detail = " (a firewall answers for it)"
        text = f"TTL of the RST is {target.refused_ttl}, of the host's packets {known_ttl}"
    elif known_ttl and target.refused_ttl:
        text = f"TTL of the RST is the host's own ({known_ttl}): nothing listens there"
    else:
        text = "host or firewall: no other packet of the host to compare the TTL with"
    more: dict[str, object] = {} if action is None else {"action": action}
    return _observe(
        "tcp-refused", target, attempt, host, facts, values={"detail": detail},
        detail=(*lines, text), **more,
    )  # fmt: skip


def how_cut(attempt: Attempt) -> str:
    """How a connection ends after its ClientHello, without a guess at the cause."""
    if attempt.how == "reset":
        waited = attempt.last_ns - (attempt.hello.time_ns if attempt.hello else attempt.last_ns)
        later = f" after {waited / SECOND:.0f} s" if waited >= 2 * SECOND else ""
        return "reset by RST" + later
    if attempt.how == "closed":
        return "closed by FIN"
    if attempt.again:
        return f"no answer, the ClientHello was sent again {times(attempt.again)}"
    return "accepted, and no answer"


def _portal_values(attempt: Attempt, host: str) -> dict[str, str]:
    where = attempt.http.location if attempt.http else None
    status = attempt.http.status if attempt.http else None
    to = f" and sends the client to {where}" if where else ""
    return {"host": host, "detail": f" (status {status or '?'}{to})"}
