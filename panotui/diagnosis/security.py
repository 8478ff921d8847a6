"""Findings about security: leaks, exposure, lateral movement, scans, cleartext, tunnels,
beacons.

Violations, the flow table and cleartext and DNS messages come in, observations go out. Violations
of the policy become findings with evidence, and patterns over many flows are found.
"""

from __future__ import annotations

import ipaddress
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import (
    F64,
    SECOND,
    AnyMessage,
    BannerMessage,
    DnsMessage,
    HttpMessage,
    MqttMessage,
    RtspMessage,
    ViolationRecord,
    address_text,
)
from panotui.model.flow_rows import FlowColumns
from panotui.model.quantities import counted, listed, size, times
from panotui.site.facts import Who, inside
from panotui.state.connects import recent
from panotui.state.flows.book import VIOLATION, flow_text_id
from panotui.state.streams import StreamState

TABLE_MAX = 512
SCANNED_KEPT = 4096  # targets remembered per scanner
_TARGET = np.dtype([("address", "u1", (16,)), ("port", ">u2")])
LIMITS = thresholds().security
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")  # RFC 6598: between a provider and its customers
OF_A_KIND = 8  # findings of one kind; the violations list has all of them


class ViolationRule(Rule):
    """stream-leak, camera-phones-home, inbound-internet, inbound-undeclared, lateral, exfil."""

    wakes = frozenset(("flows", "streams", "violations", "site"))

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        recent_s = LIMITS.recent_s
        # several may make one finding, which is known only when all of them are
        for violation in sorted(facts.violations[:300], key=lambda v: v.known):
            if not recent(violation.last_time_ns, facts.now_ns, recent_s):
                continue
            self.due(violation.last_time_ns + int(recent_s * SECOND) + 1)
            found = self._of(violation, facts)
            if found is None:
                continue
            if violation.known and any((o.id, o.subject) == (found.id, found.subject) for o in out):
                continue
            # reported twice: the policy determines the severity
            severity = found.severity if violation.severity == "info" else violation.severity
            found = replace(found, violation=violation.id, severity=severity)
            if found.id == "inbound-internet" and _joined(out, found, violation):
                continue
            if sum(o.id == found.id for o in out) < OF_A_KIND:
                out.append(found)
        if facts.violations and (sent := self._exfil(facts)):
            out.extend(sent)
            self.due(facts.now_ns + SECOND)  # until it is too old
        out.extend(self._public_inside(facts))
        return out

    @staticmethod
    def _public_inside(facts: Facts) -> Iterable[Observation]:
        """Streams between neighbours with public addresses: most likely no leak."""
        nets = facts.view.facts.inside
        if not nets:
            return
        found: dict[str, list[StreamState]] = {}
        for stream in facts.streams.streams.values():
            if inside(stream.src, nets) and inside(stream.dst, nets):
                around = next(n for n in nets if inside(stream.src, (n,)))
                found.setdefault(str(around), []).append(stream)
        for net, streams in list(found.items())[:OF_A_KIND]:
            first = streams[0]
            own = ipaddress.ip_network(net)
            shared = isinstance(own, ipaddress.IPv4Network) and own.subnet_of(_SHARED)
            numbers = "a carrier's numbers" if shared else "numbers of the internet"
            if len(streams) == 1:
                what = f"A camera stream runs between {first.src} and {first.dst}"
            else:
                what = f"{len(streams)} camera streams run between hosts of {net}"
            yield Observation(
                "stream-leak", f"{first.src} - {first.dst}" if len(streams) == 1 else net,
                {"src": first.src, "dst": first.dst, "detail": ""},
                tuple(
                    evidence(int(s.row.first_ns), int(s.row.first_packet), "the stream begins")
                    for s in streams[:OF_A_KIND]
                ),
                min(int(s.row.first_ns) for s in streams),
                max(int(s.row.last_ns) for s in streams), confidence="possible",
                severity="warning", key=net,
                text=f"{what}: {numbers}, but they are neighbours on this wire, so the picture most"
                " likely stays inside",
                action=f'Add "{net}" to local in [network] of the site file if the site uses these'
                " numbers inside (panotui init drafts it)",
            )  # fmt: skip

    @staticmethod
    def _of(violation: ViolationRecord, facts: Facts) -> Observation | None:
        v = violation
        seen = (
            evidence(v.first_time_ns, v.first_packet,
                     f"{v.src}:{v.sport or 0} > {v.dst}:{v.dport or 0} {v.transport}"),
        )  # fmt: skip
        more = (f", {v.flows} flows" if v.flows > 1 else "") + f", {counted(v.packets, 'packet')}"
        more += f" ({size(v.bytes)})" if v.reason == "stream-leak" else ""
        values = {
            "src": v.src, "dst": v.dst, "dport": str(v.dport or 0), "host": v.host or v.dst,
            "detail": more, "port": v.port or "",
        }  # fmt: skip
        first, last = v.first_time_ns, v.last_time_ns
        if v.reason == "stream-leak":
            camera = facts.cameras.get(v.src)
            if camera is not None and v.severity != "error":
                host = f"{v.host} ({v.dst})" if v.host and v.host != v.dst else v.dst
                home = Observation(
                    "camera-phones-home", f"camera {camera.name}",
                    {**values, "camera": camera.name, "address": camera.address,
                     "host": f"{host} port {v.dport}"},
                    seen, first, last, flow=v.flow, camera=camera.address, severity=v.severity,
                )  # fmt: skip
                if v.transport != "udp" or v.dport != 123:
                    return home
                return replace(
                    home, key=f"camera {camera.name} time",
                    text=f"Camera {camera.name} asks a public time server for the time:"
                    f" {host} (NTP){more}",
                    action=f"Set a time server of the site in camera {camera.name}",
                )  # fmt: skip
            own = camera or facts.cameras.get(v.dst)
            tried = facts.connects.get(v.dst, v.dport or 0)
            leak = Observation(
                "stream-leak", f"{v.src} - {v.dst}", values, seen, first, last, flow=v.flow,
                camera=own.address if own is not None else None,
                # passwords that are tried from outside are a part of it
                covers=(f"cleartext|{v.src} > {v.dst}:{v.dport or 0}",),
            )  # fmt: skip
            if v.transport == "tcp" and tried is not None and not tried.connected_ns:
                return replace(
                    leak,
                    text=f"{v.src} tries to open a camera stream at {v.dst} port {v.dport}, across"
                    f" the border of the site: no connection came about{more}",
                )  # fmt: skip
            return leak
        if v.reason == "inbound":
            kind = "inbound-undeclared"
            if facts.view.who(v.src) & Who.INTERNET:
                kind = "inbound-internet"
            answered = v.severity == "error" and "no answer was seen" not in v.text
            target = facts.connects.get(v.dst, v.dport or 0)
            if v.transport == "tcp" and target is not None:
                answered = target.connected_ns > 0  # a RST is an answer, but no service
            values["detail"] = ", and it answers" if answered else ""
            if kind == "inbound-undeclared" and not answered:
                return None  # an attempt at a closed port
            if v.transport not in ("tcp", "udp"):
                return None
            # what the internet reaches is one open door, whoever comes through it
            door = f"{v.dst}:{v.dport} {v.transport}" if kind == "inbound-internet" else ""
            return Observation(
                kind, f"{v.src} > {v.dst}:{v.dport}", values, seen, first, last, flow=v.flow,
                severity=None if answered or kind == "inbound-undeclared" else "warning",
                key=door,
            )  # fmt: skip
        if v.reason == "lateral":
            return Observation(
                "lateral", f"{v.dst}:{v.dport}", values, seen, first, last, flow=v.flow,
                severity="error" if v.severity == "error" else "warning",
                # that a strange peer refuses, or does not answer, is no trouble of the site
                covers=tuple(f"{i}|{v.dst}:{v.dport}" for i in ("tcp-refused", "tcp-blocked")),
            )  # fmt: skip
        return None

    @staticmethod
    def _exfil(facts: Facts) -> list[Observation]:
        flows = facts.flows
        rows = flows.rows
        slots = np.flatnonzero(flows.live & (flows.verdict == VIOLATION))
        slots = slots[rows["payload_out"][slots] > 0]
        if not len(slots):
            return []
        sent: dict[tuple[str, str], tuple[int, int]] = {}
        slots = slots[facts.now_ns - rows["last_ns"][slots] < LIMITS.exfil_lasts_ns]
        slots = slots[np.argsort(-rows["payload_out"][slots])][:200]
        for slot in slots.tolist():
            row = rows[slot]
            version = row.version
            server = address_text(version, row.dst)
            if not facts.view.who(server) & Who.INTERNET:
                continue
            client = address_text(version, row.src)
            key = (client, flows.host[slot] or server)
            total, first = sent.get(key, (0, slot))
            sent[key] = (total + row.payload_out, first)
        return [
            Observation(
                "exfil",
                f"{client} > {host}",
                {"src": client, "host": host, "megabytes": f"{total / 1e6:.0f}"},
                (
                    evidence(
                        int(rows["first_ns"][slot]),
                        int(rows["first_packet"][slot]),
                        "the largest flow begins",
                    ),
                ),
                flow=flow_text_id(int(flows.key[slot])),
            )
            for (client, host), (total, slot) in sent.items()
            if total > LIMITS.exfil_bytes
        ]


def _joined(out: list[Observation], found: Observation, violation: ViolationRecord) -> bool:
    """Whether another host came through the same door before: then it is one finding of both."""
    at = next((i for i, o in enumerate(out) if o.life_key == found.life_key), None)
    if at is None:
        return False
    first = out[at]
    count = int(first.values.get("hosts", "1")) + 1
    worst = "error" if "error" in (first.severity, found.severity) else first.severity
    answers = first.values["detail"] or found.values["detail"]
    out[at] = replace(
        first, severity=worst, subject=f"{violation.dst}:{violation.dport}",
        values={**first.values, "hosts": str(count), "detail": answers},
        text=f"{count} hosts on the internet reach {violation.dst} port {violation.dport}{answers}",
        evidence=(*first.evidence, *found.evidence)[:OF_A_KIND],
        first_ns=min(first.first_ns, found.first_ns), last_ns=max(first.last_ns, found.last_ns),
    )  # fmt: skip
    return True


class ScanRule(Rule):
    """scan: many peers or ports tried without success by one host."""

    wakes = frozenset(("flows",))

    def __init__(self) -> None:
        # by source: address and port of each target, and the time of the last attempt
        self._scanners: OrderedDict[str, dict[bytes, int]] = OrderedDict()
        self._found: OrderedDict[str, tuple[int, int, int, int]] = OrderedDict()

    def tick(self, facts: Facts) -> list[Observation]:
        if facts.changed is not None:
            self._look(facts)
        out: list[Observation] = []
        lasts_ns = int(2 * LIMITS.scan_s * SECOND)
        for src, (first, last, packet, count) in self._found.items():
            if facts.now_ns - last <= lasts_ns:
                self.due(last + lasts_ns + 1)
                out.append(
                    Observation(
                        "scan",
                        src,
                        {"src": src, "count": f"{count:,}"},
                        (evidence(first, packet, "first packet of the scan"),),
                        first,
                        last,
                        covers=(f"scan|{src} by ARP",),  # the same search, one layer below
                    )
                )
        return out

    def _look(self, facts: Facts) -> None:
        slots, rows = facts.changed_flows()
        tcp = rows["protocol"] == 6
        udp = rows["protocol"] == 17
        failed = tcp & (rows["syn_out"] > 0) & (rows["payload_in"] == 0) & (
            (rows["packets_in"] == 0) | (rows["rst_in"] > 0) | (rows["rst_out"] > 0)
        )  # fmt: skip
        # a UDP probe: unanswered, tiny, and to one host; groups and broadcasts are no targets
        few = rows["packets_out"] <= LIMITS.probe_packets
        failed |= udp & (rows["packets_in"] == 0) & few & (
            (rows["dst"][:, 0] < 224) & (rows["dst"][:, 3] != 255)
        )  # fmt: skip
        failed &= rows["first_ns"] >= facts.now_ns - int(LIMITS.scan_s * SECOND)
        if not failed.any():
            return
        bad = facts.flows.rows[slots[failed]]
        raw = np.ascontiguousarray(bad["src"]).view("V16").reshape(-1)
        _, inverse, counts = np.unique(raw.view("S16"), return_inverse=True, return_counts=True)
        for i in np.argsort(-counts)[:16].tolist():
            mine = bad[inverse == i]
            src = address_text(int(mine["version"][0]), mine["src"][0].tobytes())
            self._add(src, mine, facts.now_ns)

    def _add(self, src: str, mine: FlowColumns, now: int) -> None:
        targets = self._scanners.setdefault(src, {})
        self._scanners.move_to_end(src)
        while len(self._scanners) > 256:
            self._scanners.popitem(last=False)
        some = mine[:SCANNED_KEPT]
        keys = np.empty(len(some), _TARGET)
        keys["address"], keys["port"] = some["dst"], some["dport"]
        targets.update(zip(keys.view("V18").tolist(), some["last_ns"].tolist(), strict=True))
        over = len(targets) - SCANNED_KEPT
        gone: list[bytes] = []
        for key, seen in targets.items():
            if now - seen <= LIMITS.scan_s * SECOND and len(gone) >= over:
                break
            gone.append(key)
        for key in gone:
            del targets[key]
        if len(targets) > LIMITS.scan_targets:
            first = self._found.get(src)
            low = int(np.argmin(mine["first_ns"]))
            start = first[0] if first else int(mine["first_ns"][low])
            packet = first[2] if first else int(mine["first_packet"][low])
            count = max(len(targets), len(mine))
            self._found[src] = (start, now, packet, count)
            while len(self._found) > 64:
                self._found.popitem(last=False)


class _Said(Struct):
    """One kind of clear text, as `HTTP password (Basic)`."""

    advice: str
    credentials: bool
    first_ns: int
    packet: int
    count: int = 0


class _Clear(Struct):
    """What one client says in the clear to one service."""

    src: str
    dst: str
    dport: int
    flow: str | None
    first_ns: int
    last_ns: int = 0
    said: dict[str, _Said] = field(default_factory=dict)  # by kind, a few per protocol


class CleartextRule(Rule):
    """cleartext: HTTP, Telnet, FTP, MQTT without TLS, RTSP Basic."""

    hears = frozenset((RtspMessage, HttpMessage, MqttMessage, BannerMessage))
    wakes = frozenset()

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, int], _Clear] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, RtspMessage):
            if message.auth_sent == "Basic":
                self._note(
                    message, facts, "RTSP password (Basic)",
                    "Set the camera to Digest authentication", True,
                    (message.client, message.server, message.server_port),
                )  # fmt: skip
        elif isinstance(message, HttpMessage):
            if message.from_client and message.credentials:
                self._note(message, facts, "HTTP password (Basic)", "Use HTTPS", True)
            elif message.from_client and message.method not in (None, "CONNECT", "M-SEARCH"):
                self._note(message, facts, "HTTP", "Use HTTPS if the contents matter", False)
        elif isinstance(message, MqttMessage):
            if message.type == "connect":
                what = "MQTT with a user name" if message.username else "MQTT"
                self._note(message, facts, what, "Use MQTT over TLS", message.username)
        elif isinstance(message, BannerMessage) and message.app in ("telnet", "ftp"):
            name = "Telnet" if message.app == "telnet" else "FTP"
            what = f"{name} password" if message.credentials else name
            self._note(message, facts, what, f"Turn {name} off; use SSH or HTTPS", True)

    def _note(
        self,
        message: AnyMessage,
        facts: Facts,
        what: str,
        advice: str,
        credentials: bool,
        ends: tuple[str, str, int] | None = None,
    ) -> None:
        if ends is None:
            slot = facts.flows.slot(facts.key_of(message)) if message.flow >= 0 else -1
            if slot < 0:
                return
            row = facts.flows.rows[slot]
            version = row.version
            ends = (
                address_text(version, row.src),
                address_text(version, row.dst),
                row.dport,
            )
        src, dst, dport = ends
        if not self._matters(src, dst, facts):
            return
        entry = self._seen.get(ends)
        if entry is None:
            flow = facts.flow_id(message)
            entry = self._seen[ends] = _Clear(src, dst, dport, flow, message.time_ns)
            while len(self._seen) > TABLE_MAX:
                self._seen.popitem(last=False)
        entry.last_ns = message.time_ns
        said = entry.said.setdefault(
            what, _Said(advice, credentials, message.time_ns, message.packet)
        )
        said.count += 1

    @staticmethod
    def _matters(src: str, dst: str, facts: Facts) -> bool:
        ours = facts.view.facts.appliance_addresses
        cameras = facts.cameras.cameras
        return not ours or src in ours or dst in ours or src in cameras or dst in cameras

    def tick(self, facts: Facts) -> list[Observation]:
        told = [c for c in self._seen.values() if recent(c.last_ns, facts.now_ns, LIMITS.clear_s)]
        for clear in told:
            self.due(clear.last_ns + LIMITS.clear_s * SECOND + 1)
        return [_in_the_clear(clear) for clear in told]


def _in_the_clear(clear: _Clear) -> Observation:
    """One door is one finding, whatever passes it; the worst names the remedy."""
    worst_first = sorted(clear.said.items(), key=lambda item: not item[1].credentials)
    worst = worst_first[0][1]
    first = sorted(clear.said.items(), key=lambda item: item[1].first_ns)
    return Observation(
        "cleartext",
        f"{clear.src} > {clear.dst}:{clear.dport}",
        {
            "what": listed([what for what, _ in worst_first]), "src": clear.src, "dst": clear.dst,
            "dport": str(clear.dport), "advice": worst.advice,
        },
        tuple(evidence(said.first_ns, said.packet, what) for what, said in first[:8]),
        clear.first_ns,
        clear.last_ns,
        severity="warning" if worst.credentials else "info",
        flow=clear.flow,
        detail=tuple(f"{what}: {times(said.count)}" for what, said in worst_first),
    )  # fmt: skip


class _Domain(Struct):
    names: OrderedDict[str, tuple[int, int]] = field(default_factory=OrderedDict)
    client: str = ""


class TunnelRule(Rule):
    """dns-tunnel: many unique, random-looking names under one domain."""

    hears = frozenset((DnsMessage,))
    wakes = frozenset()

    def __init__(self) -> None:
        self._domains: OrderedDict[tuple[str, str], _Domain] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if not isinstance(message, DnsMessage) or message.response:
            return
        labels = message.name.split(".")
        if message.transport not in ("udp", "tcp") or len(labels) < 3:
            return
        if message.name.endswith((".arpa", ".local")):
            return
        if facts.policy.match_host(message.name):
            return
        key = (message.client, ".".join(labels[-2:]))
        domain = self._domains.setdefault(key, _Domain(client=message.client))
        self._domains.move_to_end(key)
        while len(self._domains) > TABLE_MAX:
            self._domains.popitem(last=False)
        domain.names[message.name] = (message.time_ns, message.packet)
        span_ns = LIMITS.tunnel_s * SECOND
        while domain.names:
            name, (seen, _) = next(iter(domain.names.items()))
            if message.time_ns - seen <= span_ns and len(domain.names) <= 1024:
                break
            del domain.names[name]

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for (client, name), domain in self._domains.items():
            now_names = [
                (n, t, p)
                for n, (t, p) in domain.names.items()
                if facts.now_ns - t <= LIMITS.tunnel_s * SECOND
            ]
            if len(now_names) <= LIMITS.tunnel_names:
                continue
            self.due(min(t for _, t, _ in now_names) + int(LIMITS.tunnel_s * SECOND) + 1)
            sample = [n[: -len(name) - 1] for n, _, _ in now_names[-100:]]
            entropy = sum(map(_entropy, sample)) / len(sample)
            length = sum(map(len, sample)) / len(sample)
            if entropy < LIMITS.tunnel_entropy and length < LIMITS.tunnel_chars:
                continue
            out.append(
                Observation(
                    "dns-tunnel",
                    f"{client} {name}",
                    {"client": client, "count": str(len(now_names)), "domain": name},
                    tuple(evidence(t, p, n[:80]) for n, t, p in now_names[-4:]),
                    now_names[0][1],
                    now_names[-1][1],
                    detail=(f"labels of {length:.0f} characters, {entropy:.1f} bits each",),
                )
            )
        return out


def _entropy(text: str) -> float:
    """Shannon entropy of a text's characters, bits per character."""
    if not text:
        return 0.0
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())


class BeaconRule(Rule):
    """beacon: an endpoint that no rule allows is contacted at a fixed period."""

    wakes = frozenset(("flows",))

    def __init__(self) -> None:
        self._starts: OrderedDict[tuple[str, str, int], deque[tuple[int, int]]] = OrderedDict()
        self._seen: OrderedDict[int, None] = OrderedDict()

    def tick(self, facts: Facts) -> list[Observation]:
        flows = facts.flows
        changed = facts.changed
        if changed is not None and len(changed):
            slots = changed[flows.live[changed]]
            bad = slots[flows.verdict[slots] == VIOLATION][:128]
            for slot in bad.tolist():
                self._start(slot, facts)
        out: list[Observation] = []
        for (client, host, port), starts in self._starts.items():
            last = starts[-1][0]
            if len(starts) < LIMITS.beacon_times or not recent(
                last, facts.now_ns, LIMITS.beacon_lasts_s
            ):
                continue
            self.due(last + LIMITS.beacon_lasts_s * SECOND + 1)
            gaps: F64 = np.diff(np.array([s[0] for s in starts], np.float64)) / SECOND
            middle = float(np.median(gaps))
            if (
                middle < LIMITS.beacon_least_s
                or float(np.abs(gaps - middle).max()) > LIMITS.beacon_spread * middle
            ):
                continue
            out.append(
                Observation(
                    "beacon",
                    f"{client} > {host}:{port}",
                    {"src": client, "host": host, "period": f"{middle:.0f}"},
                    tuple(evidence(t, p, "contact") for t, p in list(starts)[-8:]),
                    starts[0][0],
                    starts[-1][0],
                )
            )
        return out

    def _start(self, slot: int, facts: Facts) -> None:
        flows = facts.flows
        key = int(flows.key[slot])
        if key in self._seen:
            return
        self._seen[key] = None
        while len(self._seen) > 4096:
            self._seen.popitem(last=False)
        row = flows.rows[slot]
        version = row.version
        server = address_text(version, row.dst)
        if not facts.view.who(server) & Who.INTERNET or flows.reason[slot] == "address-changed":
            return  # the appliance goes where it may, from another address
        client = address_text(version, row.src)
        name = (client, flows.host[slot] or server, row.dport)
        starts = self._starts.setdefault(name, deque(maxlen=16))
        starts.append((row.first_ns, row.first_packet))
        while len(self._starts) > TABLE_MAX:
            self._starts.popitem(last=False)


class DriftRule(Rule):
    """policy-drift: declared services that nothing used for a day."""

    wakes = frozenset(("endpoints", "flows", "site"))

    def tick(self, facts: Facts) -> list[Observation]:
        begins_ns = facts.started_ns + int(LIMITS.drift_s * SECOND)
        if facts.now_ns < begins_ns:
            self.due(begins_ns)
            return []
        used = {e.rule.id for e in facts.endpoints.endpoints.values() if e.attempts.attempts}
        unused = [
            r for r in facts.policy.rules if r.kind == "service" and r.hosts and r.id not in used
        ]
        if unused:
            self.due(facts.now_ns + SECOND)
        return [
            Observation(
                "policy-drift",
                rule.service,
                {
                    "detail": f"service {rule.service} ({rule.hosts[0]}) was never used in a day",
                    "advice": f"Remove [[service]] {rule.service} from the site file if it is gone",
                },
            )
            for rule in unused[:8]
        ]
