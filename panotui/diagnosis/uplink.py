"""Findings about the path to the cloud as a whole, and about unused rules."""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from panotui.diagnosis.cloud import HOUR, SUPPORT_ENDED_NS
from panotui.diagnosis.cloud import LIMITS as CLOUD_LIMITS
from panotui.diagnosis.facts import LIMITS as COMMON_LIMITS
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.queued import Queued
from panotui.model import (
    I64,
    SECOND,
    U64,
    AnyMessage,
    BannerMessage,
    Bool,
    HttpMessage,
    TlsClientHello,
    address_text,
)
from panotui.model.flow_rows import FlowColumns
from panotui.model.quantities import counted, milliseconds, times
from panotui.model.untouched import untouched
from panotui.policy.rules import expand_regions
from panotui.site.facts import Who
from panotui.state.connects import Attempts, recent
from panotui.state.ladder import FLIGHT, HELLO, SYN, Attempt
from panotui.state.middle import median

_SOCKS = 1080
LOOK_AGAIN_NS = 10 * SECOND
MEASURED_EACH_NS = 5 * SECOND  # while something is sent again
MEASURED_SELDOM_NS = 60 * SECOND  # while nothing is: then only the segments are counted


class _Span(Struct, frozen=True):
    """Data segments between two checks, of connections that were answered in between."""

    end_ns: int
    segments: int
    again: int  # retransmitted


class UplinkRule(Rule):
    """slow-uplink, proxy-seen."""

    hears = frozenset((HttpMessage, BannerMessage))
    wakes = frozenset(("flows", "site"))

    def __init__(self) -> None:
        self._proxies: OrderedDict[str, tuple[HttpMessage, str, int]] = OrderedDict()
        self._asked: OrderedDict[int, tuple[str, str]] = OrderedDict()  # flow -> proxy, host
        # by proxy and host: its last refusal
        self._denied: OrderedDict[tuple[str, str], HttpMessage] = OrderedDict()
        # by server that takes the appliance as a client of SOCKS: when its newest connection was in
        # use, and the packet that shows it
        self._socks: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._found: list[Observation] = []
        self._news: tuple[int, int] | None = None  # versions of what the findings are taken from
        self._until_ns = 0  # time alone changes the findings then
        self._looked_ns = 0
        self._spans: deque[_Span] = deque(maxlen=64)  # of the last two minutes
        self._queued = Queued()
        self._lossy = False  # something was sent again in these, or since
        # by slot of the flow table, at the last check
        self._key: U64 = np.zeros(0, np.uint64)
        self._segments: I64 = np.zeros(0, np.int64)
        self._again: I64 = np.zeros(0, np.int64)
        self._unheard: Bool = np.zeros(0, np.bool_)  # its path was lost

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, BannerMessage):
            if message.app == "socks":
                self._note_socks(message, facts)
        elif (
            isinstance(message, HttpMessage) and message.from_client and message.method == "CONNECT"
        ):
            host = message.host or message.path or "?"
            slot = facts.flows.slot(facts.key_of(message))
            server = "?"
            if slot >= 0:
                row = facts.flows.rows[slot]
                server = address_text(row.version, row.dst)
                if not facts.is_appliance(address_text(row.version, row.src)):
                    return  # the way of other hosts to the internet does not concern us
            count = self._proxies.get(server, (message, host, 0))[2]
            self._proxies[server] = (message, host, count + 1)
            while len(self._proxies) > 16:
                self._proxies.popitem(last=False)
            self._asked[facts.key_of(message)] = server, host
            while len(self._asked) > 64:
                self._asked.popitem(last=False)
        elif isinstance(message, HttpMessage) and not message.from_client and message.status:
            asked = self._asked.pop(facts.key_of(message), None) if self._asked else None
            if asked is None:
                return
            if message.status >= 300:
                self._denied[asked] = message
                self._denied.move_to_end(asked)
                while len(self._denied) > 16:
                    self._denied.popitem(last=False)
            else:
                self._denied.pop(asked, None)

    def _note_socks(self, message: BannerMessage, facts: Facts) -> None:
        """A SOCKS proxy takes the appliance."""
        slot = facts.flows.slot(facts.key_of(message))
        if slot < 0:
            return
        row = facts.flows.rows[slot]
        if not facts.is_appliance(address_text(row.version, row.src)):
            return
        server = address_text(row.version, row.dst)
        self._socks[server] = message.time_ns, message.packet
        self._socks.move_to_end(server)
        while len(self._socks) > 16:
            self._socks.popitem(last=False)

    def _follow_socks(self, facts: Facts) -> None:
        """Connections to these proxies that go on."""
        if facts.changed is None or not self._socks:
            return
        slots, rows = facts.changed_flows()
        some = (rows["protocol"] == 6) & (rows["dport"] == _SOCKS) & (rows["payload_in"] > 0)
        for slot in slots[some][:16].tolist():
            row = facts.flows.rows[slot]
            server = address_text(row.version, row.dst)
            if server in self._socks and facts.is_appliance(address_text(row.version, row.src)):
                last_ns, packet = self._socks[server]
                self._socks[server] = max(last_ns, row.last_ns), packet

    def tick(self, facts: Facts) -> list[Observation]:
        self._follow_socks(facts)
        out = [
            _by_socks(server, packet, last_ns)
            for server, (last_ns, packet) in self._socks.items()
            if recent(last_ns, facts.now_ns, COMMON_LIMITS.stale_s)
        ]
        out += [
            _through(server, message, host, count, self._refusal_of(server))
            for server, (message, host, count) in self._proxies.items()
            if recent(message.time_ns, facts.now_ns, COMMON_LIMITS.stale_s)
        ]
        # at fixed times, independent of other wake-ups and of skipped ticks
        self._lossy = self._lossy or self._is_sent_again(facts)
        each = MEASURED_EACH_NS if self._lossy or self._found else MEASURED_SELDOM_NS
        turn = facts.now_ns // each
        measured = facts.final or turn != facts.before_ns // each
        if measured:
            self._count_again(facts)
        news = facts.connects.version, facts.view.version
        if measured or news != self._news or 0 < self._until_ns <= facts.now_ns:
            self._news = news
            self._found = self._slow(facts)
        if self._found or self._lossy or self._spans or facts.connects.targets:
            each = MEASURED_EACH_NS if self._lossy or self._found else MEASURED_SELDOM_NS
            self.due((facts.now_ns // each + 1) * each)
        if self._until_ns:
            self.due_later(self._until_ns, facts)
        if out:
            self.due(facts.now_ns + LOOK_AGAIN_NS)  # older data does not count any more
        return [*out, *self._found]

    def calm(self, facts: Facts) -> bool:
        slow = (t.rtt_ms for t in facts.connects.targets.values() if t.rtt_ms is not None)
        return not (self._lossy or any(rtt_ms > CLOUD_LIMITS.rtt_ms for rtt_ms in slow))

    def _refusal_of(self, server: str) -> tuple[str, HttpMessage] | None:
        """The newest host that a proxy refuses, and how."""
        for (proxy, host), message in reversed(self._denied.items()):
            if proxy == server:
                return host, message
        return None

    def _slow(self, facts: Facts) -> list[Observation]:
        targets = [
            t
            for t in facts.connects.targets.values()
            if recent(_used_ns(t), facts.now_ns, CLOUD_LIMITS.in_use_s)
            and facts.view.who(t.server) & Who.INTERNET
            and facts.is_appliance(t.client)
        ]
        in_use_ns = int(CLOUD_LIMITS.in_use_s * SECOND)
        self._until_ns = min((_used_ns(t) + in_use_ns + 1 for t in targets), default=0)
        rtts = [t.rtt_ms for t in targets if t.rtt_ms is not None]
        parts: list[str] = []
        if len(rtts) >= CLOUD_LIMITS.handshakes and median(rtts) > CLOUD_LIMITS.rtt_ms:
            parts.append(f"round trip {median(rtts):.0f} ms")
        segments, again = sum(s.segments for s in self._spans), sum(s.again for s in self._spans)
        least, share = CLOUD_LIMITS.segments, CLOUD_LIMITS.retransmitted_share
        if segments >= least and again > share * segments:
            parts.append(f"{100 * again / segments:.1f} % of segments sent again")
        lots = _lottery(facts)
        if lots is not None:
            return [lots]
        full = self._queued.observed(facts)
        if full is not None:
            return [full]
        if not parts:
            return []
        rows = facts.flows.rows[facts.flows.live & facts.flows.endpoint]
        rows = rows[
            (rows["synack_ns"] > 0) & (facts.now_ns - rows["last_ns"] < CLOUD_LIMITS.line_ns)
        ]
        repeats = _repeats(rows)
        worst = np.argsort(-repeats)[:3]
        seen = [
            evidence(
                int(rows["first_ns"][i]),
                int(rows["first_packet"][i]),
                f"flow with {counted(int(repeats[i]), 'segment')}"
                " sent again, handshake in "
                + milliseconds(int(rows["handshake_rtt_us"][i]) / 1000),
            )
            for i in worst.tolist()
        ]
        return [Observation("slow-uplink", "internet", {"detail": ", ".join(parts)}, tuple(seen))]

    def _is_sent_again(self, facts: Facts) -> bool:
        """Whether a connection to an endpoint has sent something again since the last check."""
        slots, rows = facts.changed_flows()
        again = _lost(rows)
        some = np.flatnonzero(again)
        if not len(some):
            return False
        slots, again = slots[some], again[some]
        flows = facts.flows
        if len(self._key) == len(flows.rows):
            known = self._key[slots] == flows.key[slots]
            again -= np.where(known, self._again[slots], 0)
        return bool((flows.endpoint[slots] & (again > 0)).any())

    def _count_again(self, facts: Facts) -> None:
        """Count segments sent since the last check, and retransmissions. A connection that is no
        longer answered has lost its path, which says nothing about the quality of the line.
        """
        flows = facts.flows
        began, self._looked_ns = self._looked_ns or facts.started_ns, facts.now_ns
        if len(self._key) != len(flows.rows):
            self._key = untouched(len(flows.rows), np.uint64)
            self._segments = untouched(len(flows.rows), np.int64)
            self._again = untouched(len(flows.rows), np.int64)
            self._unheard = untouched(len(flows.rows), np.bool_)
        # a connection that was never established has retransmitted only SYNs
        slots = np.flatnonzero(flows.live & flows.endpoint)
        rows = flows.rows[slots]
        new = (rows["synack_ns"] > 0) & (rows["last_ns"] > began - LOOK_AGAIN_NS)
        # segments that still wait for an answer are counted when it has come, or not at all
        waits = rows["last_out_ns"] > rows["last_in_ns"]
        new &= (
            ~(waits & (facts.now_ns - rows["last_out_ns"] < CLOUD_LIMITS.unheard_ns)) | facts.final
        )
        slots, rows = slots[new], rows[new]
        known = self._key[slots] == flows.key[slots]
        segments = (rows["data_segments_out"] + rows["data_segments_in"]).astype(np.int64)
        again = _lost(rows)
        unheard = rows["last_out_ns"] - rows["last_in_ns"] > CLOUD_LIMITS.unheard_ns
        heard = ~unheard & ~(known & self._unheard[slots])
        lately = segments - np.where(known, self._segments[slots], 0)
        lately_again = again - np.where(known, self._again[slots], 0)
        self._key[slots], self._segments[slots] = flows.key[slots], segments
        self._again[slots], self._unheard[slots] = again, unheard
        if heard.any():
            sent, twice = int(lately[heard].sum()), int(lately_again[heard].sum())
            self._add(began, facts.now_ns, sent, twice)
        while self._spans and facts.now_ns - self._spans[0].end_ns > CLOUD_LIMITS.line_ns:
            self._spans.popleft()
        self._lossy = any(span.again for span in self._spans)

    def _add(self, began_ns: int, now_ns: int, segments: int, again: int) -> None:
        """Add what was sent since `began_ns`, spread evenly over that time. What was sent again
        came at its end.
        """
        parts = min(max(1, (now_ns - began_ns) // MEASURED_EACH_NS), self._spans.maxlen or 1)
        for part in range(parts):
            sent = segments * (part + 1) // parts - segments * part // parts
            end_ns = now_ns - (parts - 1 - part) * MEASURED_EACH_NS
            self._spans.append(_Span(end_ns, sent, again if part == parts - 1 else 0))


def _used_ns(target: Attempts) -> int:
    """When the server answered last."""
    return max(target.connected_ns, target.success_ns)


def _lost(rows: FlowColumns) -> I64:
    """Segments retransmitted because of loss; retransmitted SYNs show a path that was closed for a
    while."""
    syns = np.maximum(rows["syn_out"].astype(np.int64) - 1, 0)
    return np.maximum(_repeats(rows) - syns, 0)


def _repeats(rows: FlowColumns) -> I64:
    """Segments retransmitted because of loss.

    A segment that was answered already, or that is seen for the second time here, was not lost
    before us: its answer came late. A segment that fills a hole is retransmitted at once.
    """
    out = rows["retransmits_out"].astype(np.int64) - rows["spurious_out"]
    found: I64 = out + rows["fast_retransmits_in"]
    return found


def _lottery(facts: Facts) -> Observation | None:
    """New connections fail and succeed alternately, whatever their target: no firewall rule does
    that.
    """
    targets = [t for t in facts.connects.ours() if facts.view.who(t.server) & Who.INTERNET]
    tries: list[tuple[int, bool, str, Attempt]] = []
    for target in targets:
        for one in target.recent:
            lately = facts.now_ns - one.first_ns <= CLOUD_LIMITS.lottery_ns
            silent = one.passed < SYN and one.how == "silent"
            if lately and not one.older and (silent or one.passed >= SYN):
                tries.append((one.first_ns, silent, target.server, one))
    tries.sort(key=lambda t: t[0])
    tries = [t for run in _runs(tries) for t in run]
    failed = [t for t in tries if t[1]]
    turns = sum(a[1] != b[1] for a, b in itertools.pairwise(tries))
    hosts = {t[2] for t in failed}
    if (
        len(failed) < CLOUD_LIMITS.lottery_failed
        or turns < CLOUD_LIMITS.lottery_turns
        or len(hosts) < CLOUD_LIMITS.lottery_hosts
    ):
        return None
    worked = {t[2] for t in tries if not t[1]}
    if len(hosts & worked) < CLOUD_LIMITS.lottery_both:
        return None  # some hosts always fail, for reasons of their own
    detail = f"{len(failed)} of {len(tries)} new connections got no answer, to {len(hosts)} hosts"
    # a host that was tried often and never answered has its own problem
    each = Counter(t[2] for t in failed)
    lost = [s for s in hosts if s in worked or each[s] < CLOUD_LIMITS.lottery_failed]
    names = [facts.host_of(t.client, t.server) for t in targets if t.server in lost]
    ways = {facts.port_of(t.client) or t.client for t in targets}
    return Observation(
        "slow-uplink",
        "internet",
        {"detail": f"{detail} that answer at other times"},
        tuple(evidence(t[0], t[3].packet, "SYN, no answer") for t in failed[-8:]),
        failed[0][0],
        failed[-1][0],
        action="Ask the owner of the router or firewall to look at its table of connections and"
        " ports (NAT), and at lines that it shares new connections out to: some are lost",
        key="internet by turns",  # no outage explains it
        covers=(
            *(f"tcp-blocked|{name}" for name in names),
            *(
                f"{kind}|{way}"
                for way in ways
                for kind in ("new-connections-fail", "internet-down")
            ),
            *(f"tcp-blocked|{way} TCP port 443" for way in ways),
        ),
    )


def _runs(
    tries: list[tuple[int, bool, str, Attempt]],
) -> Iterator[list[tuple[int, bool, str, Attempt]]]:
    """Tries of one outcome in a row, without those of an outage: then several hosts fail one after
    the other, and none answers for long.
    """
    for silent, found in itertools.groupby(tries, key=lambda t: t[1]):
        run = list(found)
        lasts = run[-1][3].last_ns - run[0][0] >= CLOUD_LIMITS.outage_ns
        several = len({t[2] for t in run}) >= CLOUD_LIMITS.lottery_both
        if not (silent and lasts and several and len(run) >= CLOUD_LIMITS.lottery_failed):
            yield run


def _by_socks(server: str, packet: int, last_ns: int) -> Observation:
    """A SOCKS proxy has taken the appliance as its client."""
    return Observation(
        "proxy-seen",
        server,
        {"server": server, "host": ""},
        (evidence(last_ns, packet, f"SOCKS to port {_SOCKS} is accepted"),),
        last_ns,
        last_ns,
        "likely",
        text=f"Traffic of the appliance goes through a SOCKS proxy at {server} (port {_SOCKS})",
        covers=(f"lateral|{server}:{_SOCKS}",),
    )


def _through(
    server: str,
    message: HttpMessage,
    host: str,
    count: int,
    refusal: tuple[str, HttpMessage] | None,
) -> Observation:
    """The appliance uses a proxy; one that refuses is an error."""
    seen = Observation(
        "proxy-seen",
        server,
        {"server": server, "host": host},
        (evidence(message.time_ns, message.packet, f"CONNECT {host}"),),
        message.time_ns,
        message.time_ns,
        detail=(times(count),),
    )
    if refusal is None:
        return seen
    host, denied = refusal
    why = {
        407: " (it wants a password)", 403: " (forbidden)", 502: " (bad gateway)",
        503: " (it reaches nobody)", 504: " (it reaches nobody)",
    }.get(denied.status or 0, "")  # fmt: skip
    status = f"status {denied.status}"
    return replace(
        seen,
        text=f"The proxy at {server} refuses the appliance: {status}{why} to CONNECT {host}",
        severity="error",
        evidence=(*seen.evidence, evidence(denied.time_ns, denied.packet, status)),
    )


class PolicyUseRule(Rule):
    """endpoint-silent, wrong-region, cloud-service-ended, name-unverified."""

    hears = frozenset((TlsClientHello,))
    wakes = frozenset(("flows", "endpoints", "site"))

    def __init__(self) -> None:
        self._regions: OrderedDict[str, tuple[str, TlsClientHello]] = OrderedDict()
        self._unverified: OrderedDict[str, tuple[str, TlsClientHello]] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if not isinstance(message, TlsClientHello) or not message.sni:
            return
        slot = facts.flows.slot(facts.key_of(message))
        row = facts.flows.rows[slot] if slot >= 0 else None
        client = address_text(row.version, row.src) if row is not None else ""
        if client and not facts.is_appliance(client):
            return  # where other hosts connect is their own affair
        moved = facts.policy.other_region(message.sni) if facts.site.site.region else None
        if moved is not None:
            self._regions[message.sni] = (moved[1], message)
            while len(self._regions) > 64:
                self._regions.popitem(last=False)
        if row is None or not facts.policy.match_host(message.sni):
            return
        server = address_text(row.version, row.dst)
        if not facts.view.who(server) & Who.INTERNET:
            return
        answered = facts.names.answers_for(
            client, server, message.time_ns, facts.view.facts.askers(client)
        )
        resolved = facts.names.was_resolved(client, message.sni) or any(
            facts.names.was_resolved(r, message.sni) for r in facts.view.facts.askers(client)
        )
        if resolved and message.sni not in answered:
            self._unverified[message.sni] = (server, message)
            while len(self._unverified) > 64:
                self._unverified.popitem(last=False)
        else:
            self._unverified.pop(message.sni, None)

    def tick(self, facts: Facts) -> list[Observation]:
        if facts.endpoints.endpoints:
            for begins_ns in (facts.started_ns + CLOUD_LIMITS.unused_ns, SUPPORT_ENDED_NS):
                self.due_later(begins_ns, facts)
        day = facts.endpoints.endpoints and now_minus_start(facts) >= CLOUD_LIMITS.unused_ns
        if self._regions or self._unverified or day:
            self.due(facts.now_ns + LOOK_AGAIN_NS)  # older data does not count any more
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
        if facts.site.site.mode == "camera-only" or now_minus_start(facts) < CLOUD_LIMITS.unused_ns:
            return []
        seen = {e.rule.id: e for e in facts.endpoints.endpoints.values()}
        others = any(recent(e.attempts.success_ns, facts.now_ns, 24 * 3600) for e in seen.values())
        out: list[Observation] = []
        for rule in facts.policy.rules:
            if not others or rule.kind != "cloud" or not rule.needed:
                continue
            mine = [e for e in facts.endpoints.endpoints.values() if e.rule.id == rule.id]
            last = max((e.attempts.last_ns for e in mine), default=facts.started_ns)
            # the name that the appliance used, or the one for this region
            region = facts.policy.region
            printed = expand_regions(rule.hosts[0], [region])[0] if region else rule.hosts[0]
            host = mine[0].host if mine else printed.replace("{region}", "your region")
            if facts.now_ns - last < CLOUD_LIMITS.unused_ns:
                continue
            out.append(
                Observation(
                    "endpoint-silent",
                    rule.label,
                    {
                        "label": rule.label,
                        "hours": str((facts.now_ns - last) // HOUR),
                        "host": host,
                    },
                )
            )
        return out

    @staticmethod
    def _ended(facts: Facts) -> list[Observation]:
        """Every cloud endpoint accepts TCP and refuses above it, after the end of support."""
        if facts.now_ns < SUPPORT_ENDED_NS:
            return []
        tried = [e for e in facts.endpoints.endpoints.values() if e.rule.kind == "cloud"]
        failing = [e for e in tried if _turned_away(e.attempts.failing)]
        if len(tried) < CLOUD_LIMITS.turned_away or len(failing) < len(tried):
            return []
        newest = max(failing, key=lambda e: e.attempts.last_ns).attempts
        follows = ("tls-alert", "endpoint-failing", "client-cert-rejected", "tcp-refused")
        return [
            Observation(
                "cloud-service-ended",
                "cloud",
                {"client": newest.client, "port": facts.port_of(newest.client) or ""},
                tuple(x for e in failing[:4] for x in e.attempts.evidence[:2]),
                min(e.attempts.since_ns for e in failing),
                newest.last_ns,
                detail=tuple(f"{e.host}: {e.attempts.detail}" for e in failing[:6]),
                covers=tuple(f"{kind}|*" for kind in follows),
            )
        ]


def _turned_away(attempt: Attempt | None) -> bool:
    """The server's side itself refuses, above TCP."""
    if attempt is None or attempt.passed < HELLO:
        return False
    if attempt.alert is not None and attempt.alert.code:
        return not attempt.alert.from_client
    return attempt.passed >= FLIGHT and attempt.how in ("closed", "reset")


def now_minus_start(facts: Facts) -> int:
    """How long the site has been watched, in ns of packet time."""
    return facts.now_ns - facts.started_ns
