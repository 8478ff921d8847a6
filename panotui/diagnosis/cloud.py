"""Findings of the way to the cloud: blocked, refused, filtered, intercepted, stalled, forgotten.

The connection and endpoint books, the flow table and TLS, HTTP and MQTT messages come in,
observations go out. "Blocked" is said only where something of the same kind works: another
endpoint, or another port of the same host.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np

from panotui.diagnosis.catalogue import alerts
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import (
    FLOW_ENDS,
    I64,
    SECOND,
    U64,
    AnyMessage,
    Confidence,
    EvidenceRecord,
    HttpMessage,
    MqttMessage,
    TlsAlert,
    TlsCertificate,
    TlsClientHello,
    TlsFinished,
    TlsServerHello,
    address_text,
)
from panotui.model.flow_rows import FlowRow
from panotui.model.untouched import untouched
from panotui.site.view import Who
from panotui.state.connects import Attempts, icmp_meaning, recent
from panotui.state.endpoints import Endpoint

SYNS = 3
CONTROL_S = 600.0
STALE_S = 900.0  # a failure that nobody has tried again for so long is no condition any more
TARGETS_A_TICK = 64
FAILING_MAX = 24  # a client that knocks in vain at more targets scans (`scan` tells of it)
TABLE_MAX = 1024
RTT_MS = 300.0
RETRANSMITTED = 0.02
SEGMENTS_LEAST = 200
HOUR = 3600 * SECOND
SILENCE_NS = 30 * SECOND
_IDLE = FLOW_ENDS.index("idle")
SUPPORT_ENDED_NS = 1_780_272_000 * SECOND  # 2026-06-01T00:00:00Z
_AMAZON = ("amazon", "aws", "starfield")
_REJECTS_CLIENT = frozenset({42, 43, 44, 45, 46, 48, 49, 51, 116})


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
            detail=(f"said by {sender}, {_times(target.icmp_count)}",), flow=target.flow,
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
            rtt = f" in {_milliseconds(control.rtt_ms)}" if control.rtt_ms is not None else ""
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
        confidence, text, action, proof = _filter_words(host, since, facts)
        return Observation(
            "sni-filtered", host,
            {**_values(target, host, facts), "detail": "reset by RST"}, tuple(target.evidence),
            target.broken_ns, target.broken_ns, confidence,
            detail=(_times(target.broken), *proof), text=text, action=action,
            flow=target.flow,
        )  # fmt: skip


def _filter_words(
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


def _milliseconds(value: float) -> str:
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


@dataclass(slots=True)
class _Handshake:
    """One TLS connection's opening."""

    hello: TlsClientHello
    server: TlsServerHello | None = None
    certificate: TlsCertificate | None = None
    requested: bool = False
    finished: bool = False


@dataclass(slots=True)
class _Failure:
    seen: deque[EvidenceRecord] = field(default_factory=lambda: deque(maxlen=8))
    first_ns: int = 0
    last_ns: int = 0
    values: dict[str, str] = field(default_factory=dict)
    action: str | None = None
    confidence: Confidence | None = None
    count: int = 0
    flow: str | None = None
    detail: tuple[str, ...] = ()


class TlsRule(Rule):
    """tls-alert, tls-intercepted, client-cert-rejected, alpn-stripped, tls-stalled,
    sni-filtered by silence."""

    hears = frozenset((TlsClientHello, TlsServerHello, TlsCertificate, TlsAlert, TlsFinished))

    def __init__(self) -> None:
        self._open: OrderedDict[int, _Handshake] = OrderedDict()
        self._failures: OrderedDict[tuple[str, str], _Failure] = OrderedDict()
        self._issuers: OrderedDict[str, str] = OrderedDict()  # host -> issuer

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, TlsClientHello):
            if message.sni and message.carrier == "tls":
                self._open[facts.key_of(message)] = _Handshake(message)
                while len(self._open) > TABLE_MAX:
                    self._open.popitem(last=False)
            return
        if not isinstance(message, TlsServerHello | TlsCertificate | TlsAlert):
            if self._open and isinstance(message, TlsFinished):
                done = self._open.pop(facts.key_of(message), None)
                if done is not None:
                    self._clear(done.hello.sni or "")
            return
        handshake = self._open.get(facts.key_of(message))
        if handshake is None:
            return
        host = handshake.hello.sni or ""
        if isinstance(message, TlsServerHello):
            handshake.server = message
            offered = handshake.hello.alpn
            mqtt = any(a in ("mqtt", "x-amzn-mqtt-ca") for a in offered)
            if mqtt and message.alpn is None and message.version in ("1.0", "1.1", "1.2"):
                self._fail("alpn-stripped", host, message, {}, "server answers without ALPN", facts)
        elif isinstance(message, TlsCertificate):
            if not message.from_client:
                handshake.certificate = message
                self._certificate(host, message, facts)
        elif message.code not in (0, None) or message.level is None:
            self._alert(host, message, facts)

    def _certificate(self, host: str, message: TlsCertificate, facts: Facts) -> None:
        issuer = message.issuer_organisation or message.issuer
        if not any(m.rule.kind == "cloud" for m in facts.policy.match_host(host)):
            return
        self._issuers[host] = issuer
        while len(self._issuers) > 256:
            self._issuers.popitem(last=False)
        if any(name in f"{issuer} {message.issuer}".lower() for name in _AMAZON):
            self._failures.pop(("tls-intercepted", host), None)
            return
        same = sum(1 for other in self._issuers.values() if other == issuer)
        failure = self._fail(
            "tls-intercepted", host, message, {"issuer": issuer or message.issuer or "?"},
            f"certificate of {message.subject or host} by {issuer}", facts,
        )  # fmt: skip
        if same > 1:
            failure.detail = (f"the same issuer signs {same} of the names seen",)

    def _alert(self, host: str, message: TlsAlert, facts: Facts) -> None:
        if message.code is None:
            return  # inferred from its size: the end of a good connection looks the same
        unknown = (f"alert {message.code}", "Look at the server")
        meaning, advice = alerts().get(message.code, unknown)
        side = "the appliance" if message.from_client else "the server"
        text = f"alert {message.code} ({meaning}) from {side}"
        rejected = message.after_client_certificate and message.code in _REJECTS_CLIENT
        if rejected and not message.from_client:
            self._fail("client-cert-rejected", host, message, {"meaning": meaning}, text, facts)
            return
        failure = self._fail(
            "tls-alert", host, message,
            {"side": side, "meaning": f"{meaning} ({message.code})", "advice": advice}, text, facts,
        )  # fmt: skip
        failure.confidence = "possible" if message.level is None else None

    def _fail(
        self,
        kind: str,
        host: str,
        message: AnyMessage,
        values: dict[str, str],
        text: str,
        facts: Facts,
    ) -> _Failure:
        failure = self._failures.setdefault((kind, host), _Failure())
        self._failures.move_to_end((kind, host))
        while len(self._failures) > 256:
            self._failures.popitem(last=False)
        failure.first_ns = failure.first_ns or message.time_ns
        failure.last_ns = message.time_ns
        failure.values = values
        failure.count += 1
        failure.flow = facts.flow_id(message)
        failure.seen.append(evidence(message.time_ns, message.packet, text))
        return failure

    def _clear(self, host: str) -> None:
        for kind in ("tls-alert", "client-cert-rejected", "sni-filtered", "tls-stalled",
                     "alpn-stripped"):  # fmt: skip
            self._failures.pop((kind, host), None)

    def tick(self, facts: Facts) -> list[Observation]:
        self._silences(facts)
        out: list[Observation] = []
        for (kind, host), failure in self._failures.items():
            if not recent(failure.last_ns, facts.now_ns, STALE_S):
                continue
            confidence, detail = failure.confidence, failure.detail
            text: str | None = None
            action: str | None = None
            if kind == "sni-filtered":
                since = max(1, facts.now_ns - int(CONTROL_S * SECOND))
                confidence, text, action, detail = _filter_words(host, since, facts)
            out.append(
                Observation(
                    kind,
                    host,
                    {"host": host, "detail": "no answer", **failure.values},
                    tuple(failure.seen),
                    failure.first_ns,
                    failure.last_ns,
                    confidence,
                    detail=(_times(failure.count), *detail),
                    action=action,
                    text=text,
                    flow=failure.flow,
                )
            )
        return out

    def _silences(self, facts: Facts) -> None:
        """Handshakes that stand still: nothing after the ClientHello, or half a server flight."""
        now = facts.now_ns
        done: list[int] = []
        for flow, handshake in self._open.items():
            age = now - handshake.hello.time_ns
            if age < 8 * SECOND:
                continue
            if age > 60 * SECOND:
                done.append(flow)
                continue
            slot = facts.flows.slot(flow)
            if slot < 0:
                continue
            row = facts.flows.rows[slot]
            host = handshake.hello.sni or ""
            if handshake.server is None and int(row["payload_in"]) == 0:
                if int(row["rst_in"]) or int(row["retransmits_out"]) >= 2:
                    self._fail(
                        "sni-filtered", host, handshake.hello,
                        {"detail": "no answer, the hello was sent again"},
                        "ClientHello, then silence", facts,
                    )  # fmt: skip
                    done.append(flow)
            elif handshake.server is not None and _half_flight(row):
                self._fail(
                    "tls-stalled", host, handshake.server, {},
                    f"{int(row['lost_segments_in'])} segments of the server's flight are missing",
                    facts,
                )  # fmt: skip
                done.append(flow)
        for flow in done:
            self._open.pop(flow, None)


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _half_flight(row: FlowRow) -> bool:
    """The server's full-size segments are missing while its small ones come through."""
    return bool(
        row["lost_segments_in"] > 0
        and 0 < int(row["max_segment_in"]) < 1300
        and int(row["payload_out"]) < 4096
    )


@dataclass(slots=True)
class _Opened:
    times: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=32))
    clients: set[str] = field(default_factory=set)


class SessionRule(Rule):
    """idle-timeout, mqtt-flapping."""

    hears = frozenset((TlsClientHello, MqttMessage))

    def __init__(self) -> None:
        self._mqtt: OrderedDict[str, _Opened] = OrderedDict()
        self._silences: OrderedDict[tuple[str, int], deque[tuple[int, float, EvidenceRecord]]] = (
            OrderedDict()
        )
        self._asleep: OrderedDict[bytes, int] = OrderedDict()  # five-tuple -> last packet
        # by slot of the flow table
        self._last_ns: I64 = np.zeros(0, np.int64)
        self._quiet_ns: I64 = np.zeros(0, np.int64)  # the silence that it woke from
        self._woke_ns: I64 = np.zeros(0, np.int64)
        self._key: U64 = np.zeros(0, np.uint64)

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, TlsClientHello) and message.sni:
            if any(a in ("mqtt", "x-amzn-mqtt-ca") for a in message.alpn):
                self._opened(message.sni, message)
        elif isinstance(message, MqttMessage) and message.type == "connect":
            slot = facts.flows.slot(facts.key_of(message))
            if slot >= 0:
                row = facts.flows.rows[slot]
                server = address_text(int(row["version"]), row["dst"].tobytes())
                entry = self._opened(facts.host_of("", server), message)
                if message.client_id and len(entry.clients) < 16:
                    entry.clients.add(message.client_id)

    def _opened(self, host: str, message: AnyMessage) -> _Opened:
        entry = self._mqtt.setdefault(host, _Opened())
        while len(self._mqtt) > 64:
            self._mqtt.popitem(last=False)
        entry.times.append((message.time_ns, message.packet))
        return entry

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        for host, entry in self._mqtt.items():
            times = [t for t in entry.times if now - t[0] <= 600 * SECOND]
            if len(times) < 4:  # the first opening, and three more
                continue
            target = next((e for e in facts.endpoints.endpoints.values() if e.host == host), None)
            if target is not None and len(target.attempts.open_flows) >= len(times):
                continue  # several applications, each with a connection that stays
            gaps = np.diff([t[0] for t in times])
            regular = len(gaps) >= 3 and float(gaps.std()) < 0.05 * float(gaps.mean())
            out.append(
                Observation(
                    "mqtt-flapping",
                    host,
                    {
                        "host": host,
                        "count": str(len(times)),
                        "detail": ", at a regular pace: two devices may share a client id"
                        if regular
                        else "",
                    },
                    tuple(evidence(t, p, "MQTT connection opened") for t, p in times[-8:]),
                    times[0][0],
                    times[-1][0],
                )
            )
        out.extend(self._idle(facts))
        return out

    def _idle(self, facts: Facts) -> list[Observation]:
        """The same silence before each end of a connection to one server."""
        now = facts.now_ns
        self._note_silences(facts)
        out: list[Observation] = []
        for (server, port), ends in self._silences.items():
            recent_ends = [e for e in ends if now - e[0] <= 6 * HOUR]
            if len(recent_ends) < 3:
                continue
            seconds = np.array([e[1] for e in recent_ends])
            middle = float(np.median(seconds))
            same = np.abs(seconds - middle) <= max(2.0, 0.05 * middle)
            if middle < 30 or np.count_nonzero(same) < 3:
                continue
            host = facts.host_of("", server)
            out.append(
                Observation(
                    "idle-timeout",
                    f"{host}:{port}",
                    {"host": host, "seconds": f"{middle:.0f}", "count": str(int(same.sum()))},
                    tuple(e[2] for e in recent_ends[-8:]),
                    recent_ends[0][0],
                    recent_ends[-1][0],
                )
            )
        return out

    def _note_silences(self, facts: Facts) -> None:
        """Find the flows that woke after a long silence, and those of them that were reset."""
        flows = facts.flows
        slots, rows = facts.changed_flows()
        if not len(slots):
            return
        if len(self._last_ns) != len(flows.rows):
            self._last_ns = untouched(len(flows.rows), np.int64)
            self._quiet_ns = untouched(len(flows.rows), np.int64)
            self._woke_ns = untouched(len(flows.rows), np.int64)
            self._key = untouched(len(flows.rows), np.uint64)
        tcp = rows["protocol"] == 6
        known = self._key[slots] == flows.key[slots]
        last = rows["last_ns"]
        gap = np.where(known, last - self._last_ns[slots], 0)
        new = slots[~known]
        self._quiet_ns[new[self._quiet_ns[new] != 0]] = 0
        woke = tcp & (gap >= SILENCE_NS)
        self._quiet_ns[slots[woke]] = gap[woke]
        self._woke_ns[slots[woke]] = facts.now_ns
        self._last_ns[slots], self._key[slots] = last, flows.key[slots]
        # the meter forgets an idle flow sooner than many a firewall: join it with what comes after
        forgotten = tcp & (rows["end"] == _IDLE) & (rows["payload_in"] > 0)
        for slot in slots[forgotten][:64].tolist():
            self._asleep[_ends_of(flows.rows[slot])] = int(flows.rows["last_ns"][slot])
            while len(self._asleep) > TABLE_MAX:
                self._asleep.popitem(last=False)
        again = tcp & ~known & (rows["syn_out"] == 0)
        for slot in slots[again][:64].tolist():
            slept = self._asleep.pop(_ends_of(flows.rows[slot]), 0)
            if slept:
                self._quiet_ns[slot] = int(flows.rows["first_ns"][slot]) - slept
                self._woke_ns[slot] = facts.now_ns
        just_woken = facts.now_ns - self._woke_ns[slots] <= 15 * SECOND
        reset = tcp & (rows["rst_ns"] > 0) & (self._quiet_ns[slots] >= SILENCE_NS) & just_woken
        for slot in slots[reset][:64].tolist():
            self._ended(slot, int(self._quiet_ns[slot]), facts)
            self._quiet_ns[slot] = 0

    def _ended(self, slot: int, quiet_ns: int, facts: Facts) -> None:
        row = facts.flows.rows[slot]
        client = address_text(int(row["version"]), row["src"].tobytes())
        if not facts.is_appliance(client):
            return
        server = address_text(int(row["version"]), row["dst"].tobytes())
        ends = self._silences.setdefault((server, int(row["dport"])), deque(maxlen=32))
        rst = int(row["rst_ns"])
        seen = evidence(rst, int(row["rst_packet"]), f"RST after {quiet_ns / SECOND:.0f} s")
        ends.append((rst, quiet_ns / SECOND, seen))
        while len(self._silences) > 256:
            self._silences.popitem(last=False)


def _ends_of(row: FlowRow) -> bytes:
    return b"".join(row[n].tobytes() for n in ("src", "dst", "sport", "dport"))


class UplinkRule(Rule):
    """slow-uplink, proxy-seen."""

    hears = frozenset((HttpMessage,))

    def __init__(self) -> None:
        self._proxies: OrderedDict[str, tuple[HttpMessage, str, int]] = OrderedDict()
        self._measured_ns = 0
        self._found: list[Observation] = []

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, HttpMessage) and message.from_client and message.method == "CONNECT":
            host = message.host or message.path or "?"
            slot = facts.flows.slot(facts.key_of(message))
            server = "?"
            if slot >= 0:
                row = facts.flows.rows[slot]
                server = address_text(int(row["version"]), row["dst"].tobytes())
            count = self._proxies.get(server, (message, host, 0))[2]
            self._proxies[server] = (message, host, count + 1)
            while len(self._proxies) > 16:
                self._proxies.popitem(last=False)

    def tick(self, facts: Facts) -> list[Observation]:
        out = [
            Observation(
                "proxy-seen",
                server,
                {"server": server, "host": host},
                (evidence(message.time_ns, message.packet, f"CONNECT {host}"),),
                message.time_ns,
                message.time_ns,
                detail=(_times(count),),
            )
            for server, (message, host, count) in self._proxies.items()
            if recent(message.time_ns, facts.now_ns, STALE_S)
        ]
        if facts.now_ns - self._measured_ns >= 5 * SECOND:
            self._measured_ns = facts.now_ns
            self._found = self._slow(facts)
        return [*out, *self._found]

    @staticmethod
    def _slow(facts: Facts) -> list[Observation]:
        targets = [
            t
            for t in facts.connects.targets.values()
            if recent(max(t.connected_ns, t.success_ns), facts.now_ns, 300)
            and facts.view.who(t.server) & Who.INTERNET
            and facts.is_appliance(t.client)
        ]
        rtts = [t.rtt_ms for t in targets if t.rtt_ms is not None]
        parts: list[str] = []
        if len(rtts) >= 3 and float(np.median(rtts)) > RTT_MS:
            parts.append(f"round trip {float(np.median(rtts)):.0f} ms")
        flows = facts.flows
        rows = flows.rows[flows.live & flows.endpoint]
        # a connection that never came about has sent nothing again but SYNs
        rows = rows[(rows["synack_ns"] > 0) & (facts.now_ns - rows["last_ns"] < 120 * SECOND)]
        segments = int(rows["data_segments_out"].sum() + rows["data_segments_in"].sum())
        again = int(rows["retransmits_out"].sum() + rows["retransmits_in"].sum())
        if segments >= SEGMENTS_LEAST and again > RETRANSMITTED * segments:
            parts.append(f"{100 * again / segments:.1f} % of segments sent again")
        if not parts:
            return []
        worst = np.argsort(-(rows["retransmits_out"] + rows["retransmits_in"]))[:3]
        seen = [
            evidence(
                int(rows["first_ns"][i]),
                int(rows["first_packet"][i]),
                f"flow with {int(rows['retransmits_out'][i] + rows['retransmits_in'][i])} segments"
                " sent again, handshake in "
                + _milliseconds(int(rows["handshake_rtt_us"][i]) / 1000),
            )
            for i in worst.tolist()
        ]
        return [Observation("slow-uplink", "internet", {"detail": ", ".join(parts)}, tuple(seen))]


class PolicyUseRule(Rule):
    """endpoint-silent, wrong-region, cloud-service-ended, name-unverified."""

    hears = frozenset((TlsClientHello,))

    def __init__(self) -> None:
        self._regions: OrderedDict[str, tuple[str, TlsClientHello]] = OrderedDict()
        self._unverified: OrderedDict[str, tuple[str, TlsClientHello]] = OrderedDict()
        self._started: int = 0

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if not isinstance(message, TlsClientHello) or not message.sni:
            return
        moved = facts.policy.other_region(message.sni) if facts.site.site.region else None
        if moved is not None:
            self._regions[message.sni] = (moved[1], message)
            while len(self._regions) > 64:
                self._regions.popitem(last=False)
        slot = facts.flows.slot(facts.key_of(message))
        if slot < 0 or not facts.policy.match_host(message.sni):
            return
        row = facts.flows.rows[slot]
        client = address_text(int(row["version"]), row["src"].tobytes())
        server = address_text(int(row["version"]), row["dst"].tobytes())
        if not facts.view.who(server) & Who.INTERNET or not facts.is_appliance(client):
            return
        answered = facts.names.answers_for(
            client, server, message.time_ns, facts.view.facts.resolvers
        )
        resolved = facts.names.was_resolved(client, message.sni) or any(
            facts.names.was_resolved(r, message.sni) for r in facts.view.facts.resolvers
        )
        if resolved and message.sni not in answered:
            self._unverified[message.sni] = (server, message)
            while len(self._unverified) > 64:
                self._unverified.popitem(last=False)
        else:
            self._unverified.pop(message.sni, None)

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        declared = facts.site.site.region or ""
        for host, (region, message) in self._regions.items():
            if recent(message.time_ns, now, 3600):
                out.append(
                    Observation(
                        "wrong-region",
                        host,
                        {"region": region, "declared": declared, "host": host},
                        (evidence(message.time_ns, message.packet, f"ClientHello for {host}"),),
                        message.time_ns,
                        message.time_ns,
                        flow=facts.flow_id(message),
                    )
                )
        for host, (address, message) in self._unverified.items():
            if recent(message.time_ns, now, 600):
                out.append(
                    Observation(
                        "name-unverified",
                        host,
                        {"host": host, "address": address},
                        (evidence(message.time_ns, message.packet, f"ClientHello for {host}"),),
                        message.time_ns,
                        message.time_ns,
                        flow=facts.flow_id(message),
                    )
                )
        out.extend(self._silent(facts))
        out.extend(self._ended(facts))
        return out

    @staticmethod
    def _silent(facts: Facts) -> list[Observation]:
        if facts.site.site.mode == "camera-only" or now_minus_start(facts) < 24 * HOUR:
            return []
        seen = {e.rule.id: e for e in facts.endpoints.endpoints.values()}
        others = any(recent(e.attempts.success_ns, facts.now_ns, 24 * 3600) for e in seen.values())
        out: list[Observation] = []
        for rule in facts.policy.rules:
            if not others or rule.kind != "cloud" or not rule.needed:
                continue
            mine = [e for e in facts.endpoints.endpoints.values() if e.rule.id == rule.id]
            last = max((e.attempts.last_ns for e in mine), default=facts.started_ns)
            if facts.now_ns - last < 24 * HOUR:
                continue
            out.append(
                Observation(
                    "endpoint-silent",
                    rule.label,
                    {
                        "label": rule.label,
                        "hours": str((facts.now_ns - last) // HOUR),
                        "host": rule.hosts[0],
                    },
                )
            )
        return out

    @staticmethod
    def _ended(facts: Facts) -> list[Observation]:
        """Every cloud endpoint answers TCP and refuses above it, after the end of support."""
        if facts.now_ns < SUPPORT_ENDED_NS:
            return []
        tried = [e for e in facts.endpoints.endpoints.values() if e.rule.kind == "cloud"]
        failing = [e for e in tried if e.attempts.state == "failing"]
        if len(tried) < 3 or len(failing) < len(tried):
            return []
        return [
            Observation(
                "cloud-service-ended",
                "cloud",
                {},
                detail=tuple(f"{e.host}: {e.attempts.detail}" for e in failing[:6]),
            )
        ]


def now_minus_start(facts: Facts) -> int:
    """How long the site has been watched, in ns of packet time."""
    return facts.now_ns - facts.started_ns
