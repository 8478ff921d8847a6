"""Findings from TLS messages: interception, portals, alerts, lost ALPN.

Hellos, certificates and alerts of the appliance's own connections come in, observations go out.
`diagnosis.cloud` handles failures without such messages, by the ladder. One interceptor is one
finding, whatever the number of names, with its consequences below it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from msgspec import Struct, field

from panotui.diagnosis.catalogue import alerts, says_no_more
from panotui.diagnosis.cloud import AMAZON, TABLE_MAX
from panotui.diagnosis.facts import Facts, Observation, Rule, day_text, evidence
from panotui.model import (
    NEVER,
    AnyMessage,
    Confidence,
    EvidenceRecord,
    TlsAlert,
    TlsCertificate,
    TlsClientHello,
    TlsFinished,
    TlsServerHello,
    address_text,
)
from panotui.model.quantities import listed, times

_REJECTS_CLIENT = frozenset({42, 43, 44, 45, 46, 48, 49, 51, 116})
_MQTT = ("mqtt", "x-amzn-mqtt-ca")
_FOLLOWS = ("tls-alert", "client-cert-rejected", "alpn-stripped", "endpoint-failing",
            "sni-filtered")  # fmt: skip
_HOSTS_MAX = 256
_DISTRUST = frozenset({42, 46, 48})  # a bad or unknown certificate, or one of an unknown issuer
_EXPIRED = 45
_REVOKED = "The device certificate is revoked or not registered"


class _Handshake(Struct):
    """The opening of one TLS connection."""

    hello: TlsClientHello
    client: str
    server: str
    mqtt: bool
    requested: bool = False
    stripped: bool = False
    genuine: bool = False  # the server's certificate was seen, and is Amazon's
    not_after_ns: int | None = None  # the end of the server's certificate


class _Failure(Struct):
    seen: deque[EvidenceRecord] = field(default_factory=lambda: deque(maxlen=8))
    first_ns: int = 0
    last_ns: int = 0
    values: dict[str, str] = field(default_factory=dict)
    confidence: Confidence | None = None
    count: int = 0
    flow: str | None = None
    works: bool = False  # the handshake succeeded anyway
    clock: bool = False  # the appliance calls a certificate expired that is not, as far as is seen
    distrust: bool = False  # the appliance rejects the server's certificate


def _of_dates(handshake: _Handshake, not_after_ns: int, now_ns: int) -> tuple[str, str]:
    """Who is wrong about a certificate that the appliance calls expired: it was seen itself."""
    day = day_text(not_after_ns)
    if not_after_ns < now_ns:
        return (
            f", and the certificate ended on {day}",
            f"Find out what answers for {handshake.hello.sni or 'that name'} with an old"
            " certificate (a proxy or an endpoint of the site), and have its owner renew it",
        )
    return (
        f", but the certificate is good until {day}",
        "Set the appliance's clock right (NTP): it is ahead",
    )


class TlsRule(Rule):
    """tls-alert, tls-intercepted, captive-portal by its certificate, client-cert-rejected,
    alpn-stripped."""

    hears = frozenset((TlsClientHello, TlsServerHello, TlsCertificate, TlsAlert, TlsFinished))
    wakes = frozenset(("site",))

    def __init__(self) -> None:
        self._open: OrderedDict[int, _Handshake] = OrderedDict()
        self._failures: OrderedDict[tuple[str, str], _Failure] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, TlsClientHello):
            self._hello(message, facts)
            return
        if not self._open:
            return
        key = facts.key_of(message)
        if isinstance(message, TlsFinished):
            done = self._open.pop(key, None)
            if done is not None:
                self._clear(done)
            return
        handshake = self._open.get(key)
        if handshake is None:
            return
        if isinstance(message, TlsServerHello):
            self._server_hello(handshake, message, facts)
        elif isinstance(message, TlsCertificate):
            if not message.from_client:
                self._certificate(handshake, message, facts)
        elif isinstance(message, TlsAlert):
            self._alert(handshake, message, facts)

    def _hello(self, message: TlsClientHello, facts: Facts) -> None:
        """Remember the openings of the appliance's own connections; other hosts' are not
        reported.
        """
        if not message.sni or message.carrier != "tls":
            return
        key = facts.key_of(message)
        slot = facts.flows.slot(key)
        client = server = ""
        if slot >= 0:
            row = facts.flows.rows[slot]
            client = address_text(row.version, row.src)
            server = address_text(row.version, row.dst)
            if not facts.is_appliance(client):
                return
        mqtt = any(a in _MQTT for a in message.alpn)
        self._open[key] = _Handshake(message, client, server, mqtt)
        while len(self._open) > TABLE_MAX:
            self._open.popitem(last=False)

    def _server_hello(self, handshake: _Handshake, message: TlsServerHello, facts: Facts) -> None:
        host = handshake.hello.sni or ""
        if not handshake.mqtt or message.retry_request:
            return
        if message.alpn is not None:
            self._failures.pop(("alpn-stripped", host), None)
        elif message.version in ("1.0", "1.1", "1.2"):  # 1.3 answers in encrypted form
            handshake.stripped = True
            self._fail(
                "alpn-stripped", handshake, message, {}, "server answers without ALPN", facts
            )

    def _certificate(self, handshake: _Handshake, message: TlsCertificate, facts: Facts) -> None:
        host = handshake.hello.sni or ""
        handshake.not_after_ns = message.not_after_ns
        issuer = message.issuer_organisation or message.issuer
        if not any(m.rule.kind == "cloud" for m in facts.policy.match_host(host)):
            return
        if any(name in f"{issuer} {message.issuer}".lower() for name in AMAZON):
            handshake.genuine = True
            self._failures.pop(("tls-intercepted", host), None)
            self._failures.pop(("captive-portal", host), None)
            return
        text = f"certificate of {message.subject or host} by {issuer}"
        if message.names and not any(_covers(name, host) for name in message.names):
            subject = message.subject or message.names[0]
            values = {"detail": f": its certificate is that of {subject}"}
            self._fail("captive-portal", handshake, message, values, text, facts)
            return
        values = {"issuer": issuer or message.issuer or "an unnamed issuer"}
        self._fail("tls-intercepted", handshake, message, values, text, facts)

    def _alert(self, handshake: _Handshake, message: TlsAlert, facts: Facts) -> None:
        side = "the appliance" if message.from_client else "the server"
        if message.code is None:
            # TLS 1.3 encrypts it; an alert instead of an answer to a certificate is a refusal
            if not message.from_client and message.after_client_certificate:
                failure = self._fail(
                    "client-cert-rejected", handshake, message,
                    {
                        "meaning": "an alert in place of an answer; TLS 1.3 hides which",
                        "advice": _REVOKED,
                    },
                    "encrypted alert after the client's certificate", facts,
                )  # fmt: skip
                failure.confidence = "likely" if failure.count > 1 else "possible"
            return
        if message.code == 0:
            return
        if not message.from_client and says_no_more(message.code):
            return  # the server fails, and does not say of what: the ladder reports the step
        unknown = (f"alert {message.code}", "Look at the log of the appliance")
        meaning, advice = alerts().get(message.code, unknown)
        text = f"alert {message.code} ({meaning}) from {side}"
        rejected = message.after_client_certificate and message.code in _REJECTS_CLIENT
        if rejected and not message.from_client:
            expired = "The device certificate has expired"
            values = {"meaning": meaning, "advice": expired if message.code == 45 else _REVOKED}
            self._fail("client-cert-rejected", handshake, message, values, text, facts)
            return
        until = ""
        if message.code == _EXPIRED and message.from_client and handshake.not_after_ns:
            until, advice = _of_dates(handshake, handshake.not_after_ns, message.time_ns)
        failure = self._fail(
            "tls-alert", handshake, message,
            {"side": side, "meaning": f"{meaning} ({message.code}){until}", "advice": advice},
            text, facts,
        )  # fmt: skip
        failure.confidence = "possible" if message.level is None else None
        # a client that rejects Amazon's own certificate has a wrong clock, and nobody intercepts
        theirs = message.from_client and not handshake.genuine
        ends = handshake.not_after_ns or NEVER
        failure.clock = message.from_client and message.code == _EXPIRED and ends >= message.time_ns
        failure.distrust = theirs and message.code in _DISTRUST

    def _fail(
        self,
        kind: str,
        handshake: _Handshake,
        message: AnyMessage,
        values: dict[str, str],
        text: str,
        facts: Facts,
    ) -> _Failure:
        host = handshake.hello.sni or ""
        failure = self._failures.setdefault((kind, host), _Failure())
        self._failures.move_to_end((kind, host))
        while len(self._failures) > _HOSTS_MAX:
            self._failures.popitem(last=False)
        failure.first_ns = failure.first_ns or message.time_ns
        failure.last_ns = message.time_ns
        failure.values = {
            "host": host,
            "client": handshake.client,
            "server": handshake.server,
            "port": facts.port_of(handshake.client) or "",
            **values,
        }
        failure.count += 1
        failure.works = False
        failure.flow = facts.flow_id(message)
        failure.seen.append(evidence(message.time_ns, message.packet, text))
        return failure

    def _clear(self, done: _Handshake) -> None:
        """A handshake succeeded: its host's failures are over."""
        host = done.hello.sni or ""
        for kind in ("tls-alert", "client-cert-rejected"):
            self._failures.pop((kind, host), None)
        stripped = self._failures.get(("alpn-stripped", host))
        if stripped is not None and done.stripped:
            stripped.works = True  # still without ALPN

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        shared: dict[tuple[str, str], list[tuple[str, _Failure]]] = {}
        for (kind, host), failure in self._failures.items():
            if kind in ("tls-intercepted", "captive-portal", "tls-alert"):
                values = failure.values
                who = values.get("issuer") or values.get("detail") or (
                    f"{values['side']} {values['meaning']}"
                )  # fmt: skip
                shared.setdefault((kind, who), []).append((host, failure))
                continue
            out.append(
                Observation(
                    kind, host, failure.values, tuple(failure.seen), failure.first_ns,
                    failure.last_ns, failure.confidence, detail=(times(failure.count),),
                    flow=failure.flow, severity="warning" if failure.works else None,
                )
            )  # fmt: skip
        out.extend(self._in_between(shared))
        return out

    def _in_between(
        self,
        shared: dict[tuple[str, str], list[tuple[str, _Failure]]],
    ) -> Iterable[Observation]:
        """The interceptor of endpoints: one finding for all its names."""
        for (kind, who), found in shared.items():
            hosts = [host for host, _ in found]
            # an alert may come by itself; each interceptor is one finding
            alike = kind != "tls-alert"
            newest = max((f for _, f in found), key=lambda f: f.last_ns)
            text = None
            seen = any(("tls-intercepted", h) in self._failures for h in hosts)
            if not (alike or seen) and len(found) > 1 and all(f.distrust for _, f in found):
                # TLS 1.3 hides the certificate, but not that the appliance rejects all of them
                text = (
                    f"The appliance trusts the certificate of none of {len(found)} endpoints"
                    f" ({newest.values['meaning']}): something answers in their place, as TLS"
                    f" inspection does ({listed(hosts)})"
                )
                newest.confidence = "likely"
                kind, alike = "tls-intercepted", True
            yield Observation(
                kind,
                hosts[0] if len(hosts) == 1 else f"{len(hosts)} names",
                {**newest.values, "host": listed(hosts)},
                tuple(e for _, f in found for e in list(f.seen)[:2])[:8],
                min(f.first_ns for _, f in found),
                newest.last_ns,
                newest.confidence,
                detail=(times(sum(f.count for _, f in found)), *hosts[:8]),
                flow=newest.flow,
                key=f"{newest.values['port']} {who}",
                blocks=tuple(f"endpoint:{h}" for h in hosts),
                relies=(*(f"endpoint:{h}" for h in hosts), *_by_clock(newest)),
                covers=(
                    *((f"proxy-seen|{newest.values['server']}",) if alike else ()),
                    *(f"{k}|{h}" for h in hosts for k in _FOLLOWS if alike),
                    *((f"tls-alert|{newest.values['port']} {who}",) if text else ()),
                ),
                text=text,
            )


def _by_clock(failure: _Failure) -> tuple[str, ...]:
    """The tag of the clock, if that makes the appliance call a certificate expired."""
    return (f"clock:{failure.values['port']}",) if failure.clock else ()


def _covers(name: str, host: str) -> bool:
    """A certificate's name matches a host."""
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:] or host == name[2:]
    return name == host
