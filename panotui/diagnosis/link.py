"""Findings of the link and Ethernet layer: carrier, speed, duplex, errors, storms, mirrors, LLDP.

Link readings and port counters (through `Facts`) and a few control messages come in, observations
go out. Readings of a probe's own interface say nothing of the appliance's cable: they are told of
the interface, and a slow link there is only what it is, a slow mirror.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque

import numpy as np

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import (
    APPS,
    SECOND,
    AnyMessage,
    EvidenceRecord,
    IcmpMessage,
    LinkControlMessage,
    PortRecord,
    mac_text,
)
from panotui.state.ports import LinkState, neighbour_text

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
STANDBY_QUIET_NS = 600 * SECOND  # the second port has sent nothing at all for so long
MOVED_NS = 300 * SECOND
_RTSP = APPS.index("rtsp")
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
        missed = facts.ring_dropped + facts.interface_dropped
        self._dropped.append((now, missed))
        old = next((n for t, n in self._dropped if now - t <= MINUTE), 0)
        before = [n for t, n in self._dropped if now - t > MINUTE]
        grown = missed - (before[-1] if before else old if len(self._dropped) > 1 else 0)
        if grown <= 0:
            return []
        total = facts.counters.packets + missed
        share = 100 * grown / max(1, total)
        return [
            Observation(
                "rx-dropped",
                "this tool",
                {"dropped": str(grown), "detail": f" ({share:.2g} % of all)"},
                (evidence(now, 0, f"the capture missed {grown} packets until here"),),
            )
        ]


class TrafficRule(Rule):
    """pause-storm, saturated, loop, vlan-tagged, lldp-info, mtu-low."""

    hears = frozenset((LinkControlMessage, IcmpMessage))

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
            extra = []
            if message.vlan:
                extra.append(f"VLAN {message.vlan}")
            if message.speed_mbps:
                extra.append(f"{message.speed_mbps} Mb/s {message.duplex or ''}".strip())
            out.append(
                Observation(
                    "lldp-info",
                    port or where,
                    {
                        "interface": f"Port {port}" if port else f"Interface {where}",
                        "switch": message.system_name or message.chassis,
                        "switch_port": message.port_description or message.port,
                        "detail": f" ({', '.join(extra)})" if extra else "",
                    },
                    (evidence(seen_ns, message.packet, message.protocol.upper()),),
                    last_ns=seen_ns,
                    detail=(
                        *((f"seen on {where}",) if port and port != where else ()),
                        *(f"management address {a}" for a in message.management),
                    ),
                    key=where,
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
                    detail=("told once" if count == 1 else f"told {count} times",),
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
            vlan, seen = _vlan_of(port.macs, facts)
            named = f"VLAN {vlan}, " if vlan is not None else ""
            out.append(
                Observation(
                    "vlan-tagged",
                    port.name,
                    {"port": port.name, "detail": f" ({named}{tagged:,} of {total:,} frames)"},
                    seen,
                    confidence="possible" if facts.view.vantage == "mirror" else "likely",
                    severity="info" if facts.view.vantage == "mirror" else None,
                )
            )
        return out


def _vlan_of(macs: frozenset[int], facts: Facts) -> tuple[int | None, tuple[EvidenceRecord, ...]]:
    """The VLAN of the newest tagged flow of these MACs, and where that flow begins."""
    rows = facts.flows.rows
    tagged = rows[facts.flows.live & (rows["vlan"] >= 0)]
    ours = np.array(sorted(macs), np.uint64)
    rows = tagged[np.isin(tagged["mac_out_src"], ours) | np.isin(tagged["mac_in_src"], ours)]
    if not len(rows):
        return None, ()
    row = rows[np.argmax(rows["last_ns"])]
    vlan = int(row["vlan"])
    seen = evidence(int(row["first_ns"]), int(row["first_packet"]), f"a flow in VLAN {vlan}")
    return vlan, (seen,)


class TopologyRule(Rule):
    """no-standby, standby-wrong-net, failover, swapped-ports, port-same-net."""

    def __init__(self) -> None:
        self._moves: deque[tuple[int, int, str, str, float]] = deque(maxlen=8)
        # by port: the newest answered flow to a camera, and to the cloud
        self._to_cameras: dict[str, EvidenceRecord] = {}
        self._to_cloud: dict[str, EvidenceRecord] = {}

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
            if other is None or port.state == "up":
                continue
            down = port.state == "down"
            # a port that stands by says little, but an hour's DHCP, ARP or IPv6 is not nothing
            quiet_since = max(facts.started_ns, self._last_sent(port, facts))
            silent = now - quiet_since >= STANDBY_QUIET_NS and not (
                port.up and not port.link_is_ours
            )
            if not down and not silent:
                continue
            since = (port.state_since_ns or now) if down else quiet_since
            said = "no link" if down else "last frame from it, or start of the capture"
            out.append(
                Observation(
                    "no-standby",
                    port.name,
                    {
                        "port": port.name,
                        "state": "down" if down else "silent",
                        "other": other.name,
                    },
                    (evidence(since, 0, said),),
                    since,
                    confidence="certain" if down else "possible",
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
                        (evidence(now, 0, f"{first} is in {theirs}, {port.name} in {mine}"),),
                        detail=(f"addresses of {port.name}: {', '.join(port.addresses)}",),
                    )
                )
        self._watch_moves(facts, now)
        for stopped, began, source, target, gap in self._moves:
            if now - began <= MOVED_NS:
                out.append(
                    Observation(
                        "failover",
                        source,
                        {"port": source, "other": target, "gap": f"{gap:.0f}"},
                        (
                            evidence(stopped, 0, f"last second in which {source} sent"),
                            evidence(began, 0, f"first second in which {target} sent"),
                        ),
                        stopped,
                        began,
                    )
                )
        return out

    @staticmethod
    def _last_sent(port: PortRecord, facts: Facts) -> int:
        """When a frame from the port was last seen, 0 never."""
        macs = next((f.macs for f in facts.ports.facts if f.name == port.name), frozenset())
        counts = facts.ports.macs
        return max((counts[m].last_out_ns for m in macs if m in counts), default=0)

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
                if any(m[2] == port.name and now - m[1] < 30 * SECOND for m in self._moves):
                    continue
                quiet = next(i for i in range(9, -1, -1) if rates[i] > 0)
                start = next(i for i in range(10) if theirs[i] > 0)
                oldest = now // SECOND - 10
                self._moves.append(
                    (
                        (oldest + quiet) * SECOND,
                        (oldest + start) * SECOND,
                        port.name,
                        other.name,
                        max(0.0, start - quiet),
                    )
                )

    def _note_ways(self, facts: Facts) -> None:
        """Which port reads cameras and which reaches the cloud, by the MACs of answered flows."""
        flows = facts.flows
        slots, rows = facts.changed_flows()
        if not len(slots):
            return
        macs = facts.view.facts.appliance_macs
        mine = np.isin(rows["mac_out_src"], np.array(sorted(macs), np.uint64))
        mine &= rows["packets_in"] > 0
        media = mine & (rows["app"] == _RTSP)
        cloud = mine & flows.endpoint[slots]
        for table, chosen, what in (
            (self._to_cameras, media, "a camera answers"),
            (self._to_cloud, cloud, "the cloud answers"),
        ):
            for row in flows.rows[slots[chosen][:64]]:
                port = macs[int(row["mac_out_src"])]
                at, packet = int(row["last_ns"]), int(row["last_packet"])
                table[port] = evidence(at, packet, f"{what} on {port}")

    def _dual(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        roles = facts.view.facts.roles
        by_role = {role: name for name, role in roles.items()}
        camera_port, cloud_port = by_role.get("camera"), by_role.get("cloud")
        if not camera_port or not cloud_port:
            return out
        self._note_ways(facts)
        cameras = _fresh(self._to_cameras, facts.now_ns)
        cloud = _fresh(self._to_cloud, facts.now_ns)
        crossed = camera_port in cloud and camera_port not in cameras
        if cloud_port in cameras and crossed:
            out.append(
                Observation(
                    "swapped-ports",
                    f"{camera_port}, {cloud_port}",
                    {"port": cloud_port, "other": camera_port},
                    (cameras[cloud_port], cloud[camera_port]),
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
                    heard = f"frames of {other} ({mac_text(mac)}) on {facts.interface_name(mine)}"
                    out.append(
                        Observation(
                            "port-same-net",
                            port.name,
                            {"port": port.name, "other": other},
                            (evidence(count.last_ns, 0, heard),),
                        )
                    )
        return out


def _fresh(seen: dict[str, EvidenceRecord], now_ns: int) -> dict[str, EvidenceRecord]:
    return {port: e for port, e in seen.items() if now_ns - e.time_ns <= MOVED_NS}


def _net(addresses: tuple[str, ...], facts: Facts) -> str | None:
    for address in addresses:
        for network in facts.view.facts.local:
            if ipaddress.ip_address(address) in network:
                return str(network)
    return None


class MirrorRule(Rule):
    """mirror-duplicates, mirror-loss."""

    def __init__(self) -> None:
        self._history: deque[tuple[int, int, int]] = deque(maxlen=130)  # time, copies, packets
        self._unseen: OrderedDict[int, tuple[int, EvidenceRecord]] = OrderedDict()  # by flow key

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        counters = facts.counters
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
        slots, rows = facts.changed_flows()
        # the beginning of a flow that was under way is no loss, and neither is one segment
        # that the reader's acknowledgement overtook
        missing = rows["unseen_out"] + rows["unseen_in"]
        events = rows["acked_unseen_out"] + rows["acked_unseen_in"]
        both = (rows["packets_out"] > 0) & (rows["packets_in"] > 0)
        for i in (both & (missing > UNSEEN_BYTES) & (events > 0)).nonzero()[0][:64].tolist():
            row = facts.flows.rows[slots[i]]
            text = f"flow to port {int(row['dport'])}: {int(missing[i])} bytes never seen"
            seen = evidence(int(row["last_ns"]), int(row["last_packet"]), text)
            key = int(facts.flows.key[slots[i]])
            self._unseen[key] = (int(missing[i]), seen)
            self._unseen.move_to_end(key)
            while len(self._unseen) > 256:
                self._unseen.popitem(last=False)
