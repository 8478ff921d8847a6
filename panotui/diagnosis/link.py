"""Findings of the link and Ethernet layer: carrier, speed, duplex, errors, storms, mirrors, LLDP.

Link readings and port counters (through `Facts`) and a few control messages come in, observations
go out. Readings of a probe's own interface say nothing of the appliance's cable: they are told of
the interface, and a slow link there is only what it is, a slow mirror.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.health.ports import LinkState, neighbour_text
from panotui.model import (
    SECOND,
    AnyMessage,
    EvidenceRecord,
    IcmpMessage,
    LinkControlMessage,
)

MINUTE = 60 * SECOND
FLAPS = 3
NOMINAL_MBPS = 1000
SATURATED = 0.9
SATURATED_S = 10
PAUSE_A_SECOND = 100
BROADCASTS_A_SECOND = 1000
ERRORS_PER_FRAME = 1e-5
TAGGED_SHARE = 0.5
FAILOVER_SILENCE_S = 3
UNSEEN_BYTES = 3000  # about two full segments


def _subjects(facts: Facts) -> list[tuple[str, LinkState, bool]]:
    """(subject, link, probe's own) of each capture interface that has readings."""
    ours = facts.view.vantage in ("mirror", "file", None)
    by_interface = {p.interface: p.name for p in facts.port_records if p.interface}
    return [
        (name if ours else by_interface.get(name, name), link, ours)
        for name, link in facts.ports.links.items()
    ]


class LinkRule(Rule):
    """link-down, link-flap, link-slow, half-duplex, rx-errors, rx-dropped."""

    def __init__(self) -> None:
        self._dropped: deque[tuple[int, int]] = deque(maxlen=120)

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for subject, link, ours in _subjects(facts):
            out.extend(self._of_link(subject, link, ours, facts.now_ns))
        out.extend(self._duplex_by_switch(facts))
        out.extend(self._drops(facts))
        return out

    @staticmethod
    def _of_link(subject: str, link: LinkState, ours: bool, now: int) -> list[Observation]:
        reading = link.reading
        out: list[Observation] = []
        values = {"port": subject, "interface": subject}
        where = ("this is the probe's own interface: a mirror port is down, the site may be well",)
        if reading.up is False or not reading.present:
            text = None if reading.present else f"Interface {subject} has gone"
            at = link.down_ns or reading.time_ns
            out.append(
                Observation(
                    "link-down",
                    subject,
                    values,
                    (evidence(at, 0, "carrier lost"),),
                    at,
                    detail=where if ours else (),
                    text=text,
                )
            )
        flaps = [t for t in link.flaps if now - t <= MINUTE]
        if len(flaps) >= FLAPS:
            seen = tuple(evidence(t, 0, "carrier changed") for t in flaps[-8:])
            out.append(
                Observation(
                    "link-flap", subject, {**values, "changes": str(len(flaps))}, seen, flaps[0]
                )
            )
        speed = reading.speed_mbps
        if reading.up and speed is not None and 0 < speed < NOMINAL_MBPS:
            out.append(
                Observation(
                    "link-slow",
                    subject,
                    {**values, "speed": str(speed)},
                    (evidence(reading.time_ns, 0, f"negotiated {speed} Mb/s"),),
                    severity="info" if ours else None,
                )
            )
        if reading.up and reading.duplex == "half":
            out.append(
                Observation(
                    "half-duplex",
                    subject,
                    {**values, "detail": ""},
                    (evidence(reading.time_ns, 0, "the interface reports half duplex"),),
                )
            )
        errors = link.rise("rx_errors", MINUTE)
        frames = link.rise("rx_packets", MINUTE)
        if errors and errors > ERRORS_PER_FRAME * max(frames, 1):
            out.append(
                Observation(
                    "rx-errors",
                    subject,
                    {**values, "errors": str(errors)},
                    (evidence(reading.time_ns, 0, f"{errors} errors in {frames} frames"),),
                )
            )
        dropped = link.rise("rx_dropped", MINUTE)
        if dropped and frames and dropped > 1e-4 * frames:
            out.append(
                Observation(
                    "rx-dropped",
                    subject,
                    {"dropped": str(dropped), "detail": f" on {subject} (interface counter)"},
                    (evidence(reading.time_ns, 0, f"rx_dropped rose by {dropped}"),),
                    confidence="possible",
                    severity="info",
                )
            )
        return out

    @staticmethod
    def _duplex_by_switch(facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for index, (message, _) in facts.ports.neighbours.items():
            if message.duplex != "half":
                continue
            name = facts.port_at(index) or facts.interface_name(index)
            out.append(
                Observation(
                    "half-duplex",
                    name,
                    {"port": name, "detail": f": {neighbour_text(message)} says so"},
                    (evidence(message.time_ns, message.packet, "LLDP: half duplex"),),
                )
            )
        return out

    def _drops(self, facts: Facts) -> list[Observation]:
        now = facts.now_ns
        self._dropped.append((now, facts.ring_dropped))
        old = next((n for t, n in self._dropped if now - t <= MINUTE), 0)
        before = [n for t, n in self._dropped if now - t > MINUTE]
        grown = facts.ring_dropped - (
            before[-1] if before else old if len(self._dropped) > 1 else 0
        )
        if grown <= 0:
            return []
        total = facts.counters.packets + facts.ring_dropped
        share = 100 * grown / max(1, total)
        return [
            Observation(
                "rx-dropped",
                "this tool",
                {"dropped": str(grown), "detail": f" ({share:.2g} % of all)"},
                (evidence(now, 0, f"the capture ring dropped {grown} packets in a minute"),),
            )
        ]


class TrafficRule(Rule):
    """pause-storm, saturated, loop, vlan-tagged, lldp-info, mtu-low."""

    def __init__(self) -> None:
        self._pause: deque[tuple[int, str, int]] = deque(maxlen=1024)
        self._mtu: OrderedDict[str, tuple[IcmpMessage, int]] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, LinkControlMessage) and message.protocol in ("pause", "pfc"):
            self._pause.append((message.time_ns, message.src_mac, message.packet))
        elif isinstance(message, IcmpMessage) and self._needs_fragmentation(message):
            host = message.quoted_dst or message.src
            count = self._mtu.get(host, (message, 0))[1]
            self._mtu[host] = (message, count + 1)
            while len(self._mtu) > 64:
                self._mtu.popitem(last=False)

    @staticmethod
    def _needs_fragmentation(message: IcmpMessage) -> bool:
        if message.version == 4:
            return message.type == 3 and message.code == 4
        return message.type == 2

    def tick(self, facts: Facts) -> list[Observation]:
        now = facts.now_ns
        out = [*self._pauses(now), *self._storm(facts), *self._saturated(facts)]
        out.extend(self._tagged(facts))
        for index, (message, seen_ns) in facts.ports.neighbours.items():
            if now - seen_ns > max(message.ttl, 1) * SECOND:
                continue
            where = facts.interface_name(index)
            port = facts.port_at(index)
            extra = [f"port {port}"] if port else []
            if message.vlan:
                extra.append(f"VLAN {message.vlan}")
            if message.speed_mbps:
                extra.append(f"{message.speed_mbps} Mb/s {message.duplex or ''}".strip())
            out.append(
                Observation(
                    "lldp-info",
                    where,
                    {
                        "interface": where,
                        "switch": message.system_name or message.chassis,
                        "switch_port": message.port_description or message.port,
                        "detail": f" ({', '.join(extra)})" if extra else "",
                    },
                    (evidence(seen_ns, message.packet, message.protocol.upper()),),
                    last_ns=seen_ns,
                    detail=tuple(f"management address {a}" for a in message.management),
                )
            )
        for host, (error, count) in self._mtu.items():
            if now - error.time_ns > 600 * SECOND:
                continue
            out.append(
                Observation(
                    "mtu-low",
                    host,
                    {
                        "host": facts.host_of(error.quoted_src or "", host),
                        "mtu": str(error.mtu or "fewer"),
                        "detail": f", says {error.src}",
                    },
                    (evidence(error.time_ns, error.packet, "ICMP: fragmentation needed"),),
                    last_ns=error.time_ns,
                    detail=(f"told {count} times",),
                    severity="info",
                )
            )
        return out

    def _pauses(self, now: int) -> list[Observation]:
        recent = [p for p in self._pause if now - p[0] <= 2 * SECOND]
        if len(recent) < 2 * PAUSE_A_SECOND:
            return []
        mac = recent[-1][1]
        return [
            Observation(
                "pause-storm",
                mac,
                {"rate": str(len(recent) // 2), "mac": mac},
                (evidence(recent[-1][0], recent[-1][2], "PAUSE"),),
                recent[0][0],
            )
        ]

    @staticmethod
    def _storm(facts: Facts) -> list[Observation]:
        last = facts.now_ns // SECOND
        out: list[Observation] = []
        seen: dict[int, tuple[int, int]] = {}
        for second, interface, count in facts.ports.broadcast:
            if last - second <= 2 and count > BROADCASTS_A_SECOND:
                seen[interface] = max(seen.get(interface, (0, 0)), (count, second))
        for interface, (count, second) in seen.items():
            name = facts.interface_name(interface)
            out.append(
                Observation(
                    "loop",
                    name,
                    {"interface": name, "rate": str(count)},
                    (evidence(second * SECOND, 0, f"{count} broadcasts in a second"),),
                )
            )
        return out

    @staticmethod
    def _saturated(facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for port in facts.port_records:
            speed = port.speed_mbps if port.speed_mbps and not port.link_is_ours else NOMINAL_MBPS
            for way, history in (("in", port.history_in_bps), ("out", port.history_out_bps)):
                recent = [r for r in history[-SATURATED_S:] if r is not None]
                if len(recent) < SATURATED_S or min(recent) < SATURATED * speed * 1e6:
                    continue
                share = sum(recent) / len(recent) / (speed * 1e4)
                out.append(
                    Observation(
                        "saturated",
                        port.name,
                        {"port": port.name, "share": f"{share:.0f}", "speed": str(speed)},
                        (evidence(facts.now_ns, 0, f"{share:.0f} % {way} for {SATURATED_S} s"),),
                    )
                )
        return out

    @staticmethod
    def _tagged(facts: Facts) -> list[Observation]:
        if facts.view.vantage in (None, "file"):
            return []  # where it was captured is not known: a trunk's mirror shows tags rightly
        out: list[Observation] = []
        for port in facts.ports.facts:
            counts = [facts.ports.macs[m] for m in port.macs if m in facts.ports.macs]
            tagged = sum(c.tagged for c in counts)
            total = sum(c.packets_in + c.packets_out for c in counts)
            if total < 20 or tagged < TAGGED_SHARE * total:
                continue
            out.append(
                Observation(
                    "vlan-tagged",
                    port.name,
                    {"port": port.name, "detail": f" ({tagged} of {total})"},
                    confidence="possible" if facts.view.vantage == "mirror" else "likely",
                    severity="info" if facts.view.vantage == "mirror" else None,
                )
            )
        return out


class TopologyRule(Rule):
    """no-standby, standby-wrong-net, failover, swapped-ports, port-same-net."""

    def __init__(self) -> None:
        self._silent_since: dict[str, int] = {}
        self._moves: deque[tuple[int, str, str, float]] = deque(maxlen=8)

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        topology = facts.view.facts.topology
        ports = facts.port_records
        if topology == "single" and len(ports) > 1:
            out.extend(self._single(facts))
        if topology == "dual" and len(ports) > 1:
            out.extend(self._dual(facts))
        return out

    def _single(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        alive = [p for p in facts.port_records if p.state == "up"]
        for port in facts.port_records:
            other = next((p for p in alive if p.name != port.name), None)
            if port.state in ("down", "silent") and other is not None:
                out.append(
                    Observation(
                        "no-standby",
                        port.name,
                        {"port": port.name, "state": port.state, "other": other.name},
                        confidence="certain" if port.state == "down" else "likely",
                        first_ns=port.state_since_ns or 0,
                    )
                )
        nets = {p.name: _net(p.addresses, facts) for p in facts.port_records}
        first = facts.port_records[0].name
        for port in facts.port_records[1:]:
            mine, theirs = nets[port.name], nets[first]
            if mine and theirs and mine != theirs:
                out.append(
                    Observation(
                        "standby-wrong-net",
                        port.name,
                        {"port": port.name, "network": mine, "other": first},
                    )
                )
        self._watch_moves(facts, now)
        for time_ns, source, target, gap in self._moves:
            if now - time_ns <= 300 * SECOND:
                out.append(
                    Observation(
                        "failover",
                        source,
                        {"port": source, "other": target, "gap": f"{gap:.0f}"},
                        (evidence(time_ns, 0, f"{target} took over"),),
                        time_ns,
                        time_ns,
                    )
                )
        return out

    def _watch_moves(self, facts: Facts, now: int) -> None:
        """A port falls silent and, within ten seconds, another that was quiet starts to send."""
        for port in facts.port_records:
            rates = [r or 0.0 for r in port.history_out_bps[-10:]]
            if len(rates) < 10:
                continue
            stopped = all(r == 0 for r in rates[-FAILOVER_SILENCE_S:]) and any(rates[:-3])
            if not stopped:
                continue
            for other in facts.port_records:
                theirs = [r or 0.0 for r in other.history_out_bps[-10:]]
                if other.name == port.name or not any(theirs[-2:]) or any(theirs[:4]):
                    continue
                if any(m[1] == port.name and now - m[0] < 30 * SECOND for m in self._moves):
                    continue
                quiet = next(i for i in range(9, -1, -1) if rates[i] > 0)
                start = next(i for i in range(10) if theirs[i] > 0)
                self._moves.append((now, port.name, other.name, max(0.0, start - quiet)))

    @staticmethod
    def _dual(facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        roles = facts.view.facts.roles
        by_role = {role: name for name, role in roles.items()}
        camera_port, cloud_port = by_role.get("camera"), by_role.get("cloud")
        if not camera_port or not cloud_port:
            return out
        read_on = {
            facts.port_of(s.client)
            for c in facts.cameras.cameras.values()
            for s in c.sessions.values()
        }
        cloud_on = {
            e.attempts.appliance_port
            for e in facts.endpoints.endpoints.values()
            if e.attempts.successes or e.attempts.syns
        }
        if cloud_port in read_on and camera_port not in read_on and camera_port in cloud_on:
            out.append(
                Observation(
                    "swapped-ports",
                    f"{camera_port}, {cloud_port}",
                    {"port": cloud_port, "other": camera_port},
                )
            )
        for port in facts.ports.facts:
            others = {m: f.name for f in facts.ports.facts if f.name != port.name for m in f.macs}
            mine = facts.ports.interface_index(port, facts.interfaces)
            for mac, other in others.items():
                count = facts.ports.macs.get(mac)
                if count is None or mine is None or mine not in count.interfaces:
                    continue
                home = next(f for f in facts.ports.facts if f.name == other)
                index = facts.ports.interface_index(home, facts.interfaces)
                if index is not None and index != mine and len(count.interfaces) > 1:
                    out.append(
                        Observation("port-same-net", port.name, {"port": port.name, "other": other})
                    )
        return out


def _net(addresses: tuple[str, ...], facts: Facts) -> str | None:
    for address in addresses:
        for network in facts.view.facts.local:
            if ipaddress.ip_address(address) in network:
                return str(network)
    return None


class MirrorRule(Rule):
    """mirror-one-way, mirror-duplicates, mirror-loss."""

    def __init__(self) -> None:
        self._history: deque[tuple[int, int, int]] = deque(maxlen=130)  # time, copies, packets
        self._unseen: OrderedDict[int, tuple[int, EvidenceRecord]] = OrderedDict()  # by flow key

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        counters = facts.counters
        if facts.one_way:
            out.append(
                Observation(
                    "mirror-one-way", "mirror", {"flows": str(max(2, counters.one_way_flows))}
                )
            )
        self._history.append((now, counters.mirror_duplicates, counters.packets))
        base = next((h for h in self._history if now - h[0] <= MINUTE), self._history[0])
        first = len(self._history) == 1 or base is self._history[0]
        copies = counters.mirror_duplicates - (0 if first else base[1])
        packets = counters.packets - (0 if first else base[2])
        if copies >= 5 and copies > 0.005 * max(1, packets):
            out.append(
                Observation(
                    "mirror-duplicates",
                    "mirror",
                    {"copies": str(copies), "packets": str(packets)},
                    (evidence(now, 0, f"{copies} repeated frames"),),
                )
            )
        out.extend(self._loss(facts))
        return out

    def _loss(self, facts: Facts) -> list[Observation]:
        if facts.one_way:
            return []
        if facts.changed is not None:
            self._note_unseen(facts)
        recent_flows = [
            u for u in self._unseen.values() if facts.now_ns - u[1].time_ns <= 300 * SECOND
        ]
        if not recent_flows:
            return []
        recent_flows.sort(key=lambda u: -u[0])
        return [
            Observation(
                "mirror-loss",
                "mirror",
                {"unseen": str(sum(u[0] for u in recent_flows))},
                tuple(u[1] for u in recent_flows[:3]),
                last_ns=max(u[1].time_ns for u in recent_flows),
            )
        ]

    def _note_unseen(self, facts: Facts) -> None:
        """Keep the flows of this tick of which acknowledged bytes were never seen."""
        assert facts.changed is not None
        slots = facts.changed[facts.flows.live[facts.changed]]
        rows = facts.flows.rows[slots]
        # the beginning of a flow that was under way is no loss, and neither is one segment
        # that the reader's acknowledgement overtook
        missing = rows["unseen_out"] + rows["unseen_in"]
        events = rows["acked_unseen_out"] + rows["acked_unseen_in"]
        both = (rows["packets_out"] > 0) & (rows["packets_in"] > 0)
        for i in (both & (missing > UNSEEN_BYTES) & (events > 0)).nonzero()[0][:64].tolist():
            row = rows[i]
            text = f"flow to port {int(row['dport'])}: {int(missing[i])} bytes never seen"
            seen = evidence(int(row["last_ns"]), int(row["last_packet"]), text)
            key = int(facts.flows.key[slots[i]])
            self._unseen[key] = (int(missing[i]), seen)
            self._unseen.move_to_end(key)
            while len(self._unseen) > 256:
                self._unseen.popitem(last=False)
