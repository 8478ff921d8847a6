"""Findings about the path to the cloud, from the ladder of each connection: blocked, refused,
filtered, stalled, answered by a portal, or just failing.

The connection and endpoint books come in, observations go out. Each failing target is reported by
its failing step; a signature adds the reason. Targets that fail at one step and share an element
with no working member since then are one finding (`diagnosis.fate`), with them below it. "Blocked"
is reported only if something of the same kind has worked since.
"""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from panotui.diagnosis.facts import LIMITS as COMMON_LIMITS
from panotui.diagnosis.facts import Facts, Observation, Rule, clock_text
from panotui.diagnosis.failing import (
    Failing,
    allowed,
    alone,
    fault_of,
    how_cut,
    named_before,
)
from panotui.diagnosis.fate import Fate, Trial, shared
from panotui.diagnosis.outages import LIMITS as FATES
from panotui.diagnosis.outages import (
    alike,
    every_hello,
    least,
    may_yet_speak,
    of_fate,
    portal,
    worked,
)
from panotui.diagnosis.thresholds import thresholds
from panotui.model import FLOW_ENDS, SECOND, Confidence
from panotui.model.quantities import milliseconds
from panotui.site.facts import Who
from panotui.state.connects import Attempts, recent
from panotui.state.endpoints import Endpoint
from panotui.state.ladder import SYN, Attempt

TARGETS_A_TICK = 64
FAILING_MAX = 24  # a client that tries more targets in vain is scanning (see `scan`)
A_HOST_MOST = 4
TABLE_MAX = 1024
LIMITS = thresholds().cloud
HOUR = 3600 * SECOND
IDLE = FLOW_ENDS.index("idle")
SUPPORT_ENDED_NS = 1_780_272_000 * SECOND  # 2026-06-01T00:00:00Z
METADATA = "169.254.169.254"
AMAZON = ("amazon", "aws", "starfield")
_TURNED_AWAY = ("refused", "reset", "closed")  # a client retries soon, and often succeeds then


class ReachRule(Rule):
    """internet-down, new-connections-fail, ipv6-unreachable, tcp-blocked, tcp-refused,
    icmp-blocked, tls-blocked, sni-filtered, tls-stalled, captive-portal, endpoint-failing."""

    wakes = frozenset(("flows", "endpoints", "site"))

    def __init__(self) -> None:
        self._outages: dict[str, tuple[int, int]] = {}  # way -> (since, end; 0 not over)
        self._single: list[Observation] = []  # single addresses of names, at this tick

    def tick(self, facts: Facts) -> list[Observation]:
        self._single = []
        failing = self._failing(facts)
        if not failing and not self._outages:
            return self._single
        self.due(facts.now_ns + 5 * SECOND)
        out = self._single
        folded: set[str] = set()
        undecided: dict[str, int] = {}
        unreached = [f for f in failing if f.unreached]
        for fate in self._unreachable(unreached, facts):
            seen = of_fate(fate, unreached, facts)
            keys = {t.key for t in fate.members}
            if facts.final or seen.id != "internet-down" or not may_yet_speak(fate, facts):
                out.append(seen)
            else:
                # one cause or several: this is known shortly
                undecided[fate.element[1]] = fate.since_ns
                self.due(fate.since_ns + FATES.open_wait_ns + 1)
            folded |= keys
            if fate.element[0] == "port":
                self._outages[fate.element[1]] = (fate.since_ns, 0)
        self._note_ends(facts)
        cut = [f for f in failing if f.seen.id == "sni-filtered"]
        out.extend(every_hello(cut, facts))
        out.extend(portal(failing, facts))
        out.extend(alike([f for f in failing if f not in unreached and f not in cut], facts))
        for one in failing:
            if one.seen.id == "endpoint-failing" and not _needed(one, facts):
                continue
            if one.beyond and one.attempt.last_ns > undecided.get(one.way, one.attempt.last_ns):
                continue
            seen = _compared(one, facts)
            behind = one.seen.life_key in folded
            if behind or not (self._was_outage(one) or self._is_early(one, seen, facts)):
                out.append(seen)
        return out

    def _is_early(self, failing: Failing, seen: Observation, facts: Facts) -> bool:
        """Nothing else was tried since: others may yet fail with it."""
        if facts.final or seen.confidence != "possible":
            return False
        if seen.id not in ("tcp-blocked", "sni-filtered"):
            return False
        until = failing.since_ns + LIMITS.forming_ns
        if not failing.beyond or until <= facts.now_ns:
            return False
        self.due(until)
        return True

    def _failing(self, facts: Facts) -> list[Failing]:
        """The appliance's failing targets, with the observation of each."""
        found: list[Failing] = []
        in_vain: Counter[str] = Counter()
        a_server: Counter[str] = Counter()
        for target in facts.connects.ours():
            knocks = (target.syns or target.refusals) and not target.connected_ns
            if knocks and recent(target.last_ns, facts.now_ns, COMMON_LIMITS.stale_s):
                in_vain[target.client] += 1
            attempt = target.failing
            if attempt is None or not _relevant(target, facts):
                continue
            soon = attempt.how in _TURNED_AWAY or fault_of(attempt) is not None
            once = soon and len(target.failures) == 1
            if once and facts.now_ns - attempt.last_ns < LIMITS.again_ns and not facts.final:
                self.due(attempt.last_ns + LIMITS.again_ns)
                continue
            if len(found) >= TARGETS_A_TICK or a_server[target.server] >= A_HOST_MOST:
                continue
            a_server[target.server] += 1
            named = _endpoint_of(target, facts)
            host = named.host if named else facts.host_of(target.client, target.server)
            # another address of the same name has answered since: the appliance used that one
            since = target.since_ns or attempt.first_ns
            beyond = bool(facts.view.who(target.server) & Who.INTERNET)
            other = _other_address_works(host, target, since, facts)
            if other is not None and not _family_dead(target, since, facts):
                seen = _of_one_address(target, attempt, host, since, facts)
                if seen is not None:
                    self._single.append(seen)
                continue
            seen = alone(target, attempt, host, facts)
            way = facts.port_of(target.client) or target.client
            found.append(Failing(target, attempt, host, way, beyond, seen))
        # one host on many ports is a scan or a stray application, not a firewall rule for each
        return [f for f in found if in_vain[f.target.client] <= FAILING_MAX]

    @staticmethod
    def _unreachable(failing: list[Failing], facts: Facts) -> list[Fate]:
        """Fates of targets beyond the site that do not answer a SYN."""
        # a firewall may well drop everything that the policy forbids
        if not any(f.beyond and _may_be_allowed(f, facts) for f in failing):
            return []
        trials = [f.trial() for f in failing if f.beyond and f.target.server not in facts.forged]
        for server, asked in facts.beyond.unanswered(facts.now_ns):
            way = (("port", asked.port), ("family", f"{asked.port} {asked.version}"))
            key = f"{'ntp-silent' if asked.dport == 123 else 'dns-timeout'}|{server}"
            trials.append(Trial(server, asked.since_ns, way, key))
        return shared(trials, lambda e: worked(e, facts)[0], lambda e: least(e, facts))

    def _note_ends(self, facts: Facts) -> None:
        """An outage is over when something new has answered on its way."""
        for way, (since, end) in list(self._outages.items()):
            answered, _ = facts.beyond.answered(way)
            if not end and answered > since:
                self._outages[way] = (since, answered)
            elif end and facts.now_ns - end > LIMITS.unused_ns:
                del self._outages[way]

    def _was_outage(self, failing: Failing) -> bool:
        """It failed while nothing worked, and was not tried again since the end of that."""
        since, end = self._outages.get(failing.way, (0, 0))
        if not end or not failing.unreached:
            return False
        return failing.since_ns >= since and failing.attempt.first_ns <= end


# ---------------------------------------------------------------------- single targets


def _relevant(target: Attempts, facts: Facts) -> bool:
    """A connection of the appliance to a target that is not a camera of the site."""
    if not target.client or not facts.is_appliance(target.client):
        return False
    # SDKs query instance metadata first, which exists only on EC2
    return target.server != METADATA and facts.cameras.get(target.server) is None


def _may_be_allowed(failing: Failing, facts: Facts) -> bool:
    """The policy allows it; or it is an address of AWS whose name was looked up before the capture,
    and may be one of the policy's."""
    if allowed(failing.host, failing.target, facts):
        return True
    return named_before(failing.host, failing.target, facts)


def _needed(failing: Failing, facts: Facts) -> bool:
    """The policy names it; for other targets it is unknown whether they should work."""
    return facts.endpoints.rule_of(failing.host, "tcp", failing.target.port) is not None


# ---------------------------------------------------------------------- comparing


def _compared(failing: Failing, facts: Facts) -> Observation:
    """The observation of one target with its control, or with a sentence that needs none."""
    seen = failing.seen
    if seen.id == "tcp-blocked":
        seen = _blocked(failing, facts)
    elif seen.id == "sni-filtered":
        seen = _filtered(failing, facts)
    return _spared(seen, failing, facts)


def _spared(seen: Observation, failing: Failing, facts: Facts) -> Observation:
    """Nothing that is needed fails if the same host works on the port that the policy needs: the
    appliance uses that one instead.
    """
    rule = facts.endpoints.rule_of(failing.host, "tcp", failing.target.port)
    if rule is None or rule.needed:
        return seen
    for endpoint in facts.endpoints.endpoints.values():
        if endpoint.host != failing.host or endpoint.port == failing.target.port:
            continue
        other = facts.endpoints.rule_of(endpoint.host, "tcp", endpoint.port)
        if other is None or not other.needed:
            continue
        if endpoint.attempts.success_ns >= failing.since_ns > 0:
            said = f"; port {endpoint.port} works, and the appliance needs only that one"
            return replace(
                seen, severity="warning", values={**seen.values, "detail": said},
                detail=(*seen.detail, f"control: {endpoint.host} works on port {endpoint.port}"),
            )  # fmt: skip
    return seen


def _blocked(failing: Failing, facts: Facts) -> Observation:
    """Blocked only if another target of the same port has answered since."""
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
    count = seen.values["syns"]
    lets = allowed(failing.host, target, facts)
    return replace(
        seen,
        text=f"{failing.host} port {target.port} does not answer: {count} unanswered"
        f" since {clock_text(since)}",
        action=f"Check the route to {failing.host} and whether it is up, then the firewall"
        if lets
        else seen.action,
        severity=seen.severity or "warning",
        confidence=confidence,
        detail=(*detail, "nothing comparable has answered since"),
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
    """A filter by name only if another name has passed the same step since."""
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
        f" ({how_cut(attempt)}), since {clock_text(failing.since_ns)}",
        action=seen.action
        or f"Ask the owner of the firewall what it does with TLS to {failing.host}",
        confidence="possible",
        detail=(*seen.detail, "no other name has passed this step since"),
    )


def handshake_since(host: str, way: str, since_ns: int, facts: Facts) -> str | None:
    """Another name whose TLS handshake succeeded since, from the same port."""
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


def _of_one_address(
    target: Attempts, attempt: Attempt, host: str, since: int, facts: Facts
) -> Observation | None:
    """One address of a name repeatedly gets no answer, while the name's others do: an outdated
    address list, and each such connection waits.
    """
    tries = [a for a in target.failures if a.server == target.server and a.passed < SYN]
    if len(tries) < LIMITS.address_tries or ":" in target.server or attempt.passed >= SYN:
        return None
    seen = alone(target, attempt, host, facts)
    if seen.id not in ("tcp-blocked", "tcp-refused") or not allowed(host, target, facts):
        return None
    does = "refuses connections" if seen.id == "tcp-refused" else "does not answer"
    return replace(
        seen, severity="warning", confidence="likely", subject=host,
        key=f"{host} {target.server}", replaces=(f"tcp-blocked|{host}", f"tcp-refused|{host}"),
        text=f"One address of {host} {does} on port {target.port}: {target.server},"
        f" {len(tries)} attempts since {clock_text(since)}, while its other addresses work",
        action=f"Ask the owner of the firewall to allow {host} by its name, not by a list of"
        f" addresses: AWS changes them, and {target.server} is missing from it",
    )  # fmt: skip


def _family_dead(target: Attempts, since_ns: int, facts: Facts) -> bool:
    """No new connection of the target's address family has been answered since."""
    way = facts.port_of(target.client) or target.client
    version = 6 if ":" in target.server else 4
    return version == 6 and facts.beyond.answered(way, version=6)[0] < since_ns


def _endpoint_of(target: Attempts, facts: Facts) -> Endpoint | None:
    return next(
        (
            e
            for e in reversed(facts.endpoints.endpoints.values())
            if e.port == target.port and any(a.server == target.server for a in e.attempts.recent)
        ),
        None,
    )
