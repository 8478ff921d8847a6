"""Findings of the way to the cloud: blocked, refused, filtered, intercepted, stalled, forgotten.

The connection and endpoint books, the flow table and TLS, HTTP and MQTT messages come in,
observations go out. "Blocked" is said only where something of the same kind works: another
endpoint, or another port of the same host.
"""

from __future__ import annotations

from collections import Counter

from panotui.diagnosis.facts import STALE_S, Facts, Observation, Rule, evidence
from panotui.model import (
    FLOW_ENDS,
    SECOND,
    Confidence,
)
from panotui.state.connects import Attempts, icmp_meaning, recent
from panotui.state.endpoints import Endpoint

SYNS = 3
CONTROL_S = 600.0
TARGETS_A_TICK = 64
FAILING_MAX = 24  # a client that knocks in vain at more targets scans (`scan` tells of it)
TABLE_MAX = 1024
RTT_MS = 300.0
RETRANSMITTED = 0.02
SEGMENTS_LEAST = 200
HOUR = 3600 * SECOND
SILENCE_NS = 30 * SECOND
IDLE = FLOW_ENDS.index("idle")
SUPPORT_ENDED_NS = 1_780_272_000 * SECOND  # 2026-06-01T00:00:00Z
AMAZON = ("amazon", "aws", "starfield")


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


class ReachRule(Rule):
    """tcp-blocked, tcp-refused, icmp-blocked, sni-filtered."""

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        looked = 0
        for target in reversed(facts.connects.targets.values()):
            if not _failing(target) or not recent(target.last_ns, facts.now_ns, STALE_S):
                continue
            if not _relevant(target, facts):
                continue
            looked += 1
            if looked > TARGETS_A_TICK:
                break
            found = self._of(target, facts)
            if found is not None:
                out.append(found)
        # one host on many ports is a scan or a stray application, not a firewall's rule for each
        if out:
            in_vain = Counter(
                t.client
                for t in facts.connects.targets.values()
                if (t.syns or t.refusals)
                and not t.connected_ns
                and recent(t.last_ns, facts.now_ns, STALE_S)
            )
            out = [seen for seen in out if in_vain[seen.values["client"]] <= FAILING_MAX]
        by_host: dict[str, int] = {}
        kept = []
        for seen in out:
            server = seen.values["server"]
            by_host[server] = by_host.get(server, 0) + 1
            if by_host[server] <= 4:
                kept.append(seen)
        return kept

    def _of(self, target: Attempts, facts: Facts) -> Observation | None:
        named = _endpoint_of(target, facts)
        host = named.host if named else facts.host_of(target.client, target.server)
        if target.icmp is not None:
            return self._icmp(target, host, facts)
        if target.refusals and target.refused_ns > max(target.connected_ns, target.success_ns):
            return self._refused(target, host, facts)
        if target.syns >= SYNS:
            return self._blocked(target, host, facts)
        if target.broken and target.broken_ns > target.success_ns:
            return self._filtered(target, host, facts)
        return None

    @staticmethod
    def _icmp(target: Attempts, host: str, facts: Facts) -> Observation:
        message = target.icmp
        assert message is not None
        sender = "the host itself" if message.src == target.server else message.src
        values = {
            **_values(target, host, facts),
            "sender": message.src,
            "meaning": icmp_meaning(message),
        }
        own = message.code == 3 and message.src == target.server
        return Observation(
            "icmp-blocked", _subject(target, host, facts), values,
            (
                *target.evidence,
                evidence(message.time_ns, message.packet,
                         f"ICMP from {message.src}: {icmp_meaning(message)}"),
            )[-8:],
            target.icmp.time_ns if target.icmp else 0, message.time_ns,
            detail=(f"said by {sender}, {times(target.icmp_count)}",), flow=target.flow,
            confidence="likely" if own else None,
        )  # fmt: skip

    @staticmethod
    def _refused(target: Attempts, host: str, facts: Facts) -> Observation:
        known_ttl = target.ttl or next(
            (
                t.ttl
                for t in facts.connects.targets.values()
                if t.server == target.server and t.ttl and t is not target
            ),
            0,
        )
        detail, text = "", ""
        if known_ttl and target.refused_ttl and abs(known_ttl - target.refused_ttl) > 1:
            detail = " (a firewall answers for it)"
            text = f"TTL of the RST is {target.refused_ttl}, of the host's packets {known_ttl}"
        elif known_ttl and target.refused_ttl:
            text = f"TTL of the RST is the host's own ({known_ttl}): nothing listens there"
        else:
            text = "host or firewall: no other packet of the host to compare the TTL with"
        return Observation(
            "tcp-refused", _subject(target, host, facts),
            {**_values(target, host, facts), "detail": detail}, tuple(target.evidence),
            target.refused_ns, target.refused_ns,
            detail=(_attempts(target.refusals), text), flow=target.flow,
        )  # fmt: skip

    @staticmethod
    def _blocked(target: Attempts, host: str, facts: Facts) -> Observation | None:
        since = facts.now_ns - int(CONTROL_S * SECOND)
        control = facts.connects.control(
            lambda t: (
                t.server != target.server
                and facts.is_appliance(t.client)
                and facts.cameras.get(t.server) is None
            ),
            max(1, since),
        )
        same_host = facts.connects.alive(target.server, target.port)
        detail: list[str] = [_attempts(target.syn_flows)]
        confidence: Confidence = "possible"
        text = f"{host} port {target.port} does not answer: {target.syns} SYNs unanswered"
        works = facts.endpoints.working(max(1, since), host)
        if control is not None:
            name = facts.host_of(control.client, control.server)
            rtt = f" in {milliseconds(control.rtt_ms)}" if control.rtt_ms is not None else ""
            detail.append(f"control: {name} port {control.port} answers{rtt}")
            confidence = "likely"
        if same_host is not None:
            detail.append(f"control: {target.server} answers on port {same_host.port}")
            confidence = "certain" if control is not None else "likely"
        blocked = control is not None or same_host is not None
        values = {
            **_values(target, host, facts),
            "count": str(target.syns),
            "detail": f"; {len(works)} other endpoints work" if works else "",
        }
        if target.syn_last_ns and facts.now_ns - target.syn_last_ns > int(STALE_S * SECOND):
            return None
        return Observation(
            "tcp-blocked", _subject(target, host, facts), values, tuple(target.evidence),
            target.syn_first_ns, target.syn_last_ns, confidence, detail=tuple(detail),
            text=None if blocked else text, flow=target.flow,
            action=None if blocked
            else f"Check the route to {host} and whether it is up, then the firewall",
            severity=None if blocked else "warning",
        )  # fmt: skip

    @staticmethod
    def _filtered(target: Attempts, host: str, facts: Facts) -> Observation | None:
        since = max(1, facts.now_ns - int(CONTROL_S * SECOND))
        confidence, text, action, proof = filter_words(host, since, facts)
        return Observation(
            "sni-filtered", host,
            {**_values(target, host, facts), "detail": "reset by RST"}, tuple(target.evidence),
            target.broken_ns, target.broken_ns, confidence,
            detail=(times(target.broken), *proof), text=text, action=action,
            flow=target.flow,
        )  # fmt: skip


def filter_words(
    host: str, since_ns: int, facts: Facts
) -> tuple[Confidence, str | None, str | None, tuple[str, ...]]:
    """(confidence, text, action, control) of a connection that dies once it is named: a filter is
    only called so where another name works. None: the catalogue's words."""
    control = next(
        (
            e.host
            for e in facts.endpoints.endpoints.values()
            if e.host != host and e.attempts.success_ns >= since_ns
        ),
        None,
    )
    if control is not None:
        return "likely", None, None, (f"control: {control} works",)
    text = f"The connection to {host} dies right after the ClientHello"
    action = f"Check whether {host} is up; if other names work, a firewall filters by TLS name"
    return "possible", text, action, ("no other endpoint works to compare with",)


def milliseconds(value: float) -> str:
    """`< 1 ms`, `23 ms`."""
    return "< 1 ms" if value < 1 else f"{value:.0f} ms"


def _failing(target: Attempts) -> bool:
    return bool(target.syns >= SYNS or target.refusals or target.icmp or target.broken)


def _endpoint_of(target: Attempts, facts: Facts) -> Endpoint | None:
    return next(
        (
            e
            for e in reversed(facts.endpoints.endpoints.values())
            if e.attempts.server == target.server and e.port == target.port
        ),
        None,
    )


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
