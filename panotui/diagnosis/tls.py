"""Findings about TLS: interception, alerts, filters by name, stalls."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from panotui.diagnosis.catalogue import alerts
from panotui.diagnosis.cloud import AMAZON, CONTROL_S, TABLE_MAX, filter_words, times
from panotui.diagnosis.facts import STALE_S, Facts, Observation, Rule, evidence
from panotui.model import (
    SECOND,
    AnyMessage,
    Confidence,
    EvidenceRecord,
    TlsAlert,
    TlsCertificate,
    TlsClientHello,
    TlsFinished,
    TlsServerHello,
)
from panotui.model.flow_rows import FlowRow
from panotui.state.connects import recent

_REJECTS_CLIENT = frozenset({42, 43, 44, 45, 46, 48, 49, 51, 116})


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
        if any(name in f"{issuer} {message.issuer}".lower() for name in AMAZON):
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
                confidence, text, action, detail = filter_words(host, since, facts)
            out.append(
                Observation(
                    kind,
                    host,
                    {"host": host, "detail": "no answer", **failure.values},
                    tuple(failure.seen),
                    failure.first_ns,
                    failure.last_ns,
                    confidence,
                    detail=(times(failure.count), *detail),
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


def _half_flight(row: FlowRow) -> bool:
    """The server's full-size segments are missing while its small ones come through."""
    return bool(
        row["lost_segments_in"] > 0
        and 0 < int(row["max_segment_in"]) < 1300
        and int(row["payload_out"]) < 4096
    )
