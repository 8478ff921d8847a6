"""Findings about the appliance's two ports: redundancy, failover, swapped cables, one network.

Port records and the flow table come in, observations go out.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from panotui.diagnosis.arp import mac_number
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import APPS, SECOND, EvidenceRecord, PortRecord, mac_text
from panotui.model.arrays import among

LIMITS = thresholds().topology
_RTSP = APPS.index("rtsp")


class TopologyRule(Rule):
    """no-standby, standby-wrong-net, failover, swapped-ports, port-same-net."""

    wakes = frozenset(("links", "ports", "flows", "site"))

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
        if out or topology == "single":
            self.due(facts.now_ns + SECOND)
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
            # a standby port sends little, but an hour's DHCP, ARP or IPv6 is not nothing
            quiet_since = max(facts.started_ns, self._last_sent(port, facts))
            silent = now - quiet_since >= LIMITS.standby_quiet_ns and not (
                port.up and not port.link_is_ours
            )
            if not down and not silent:
                continue
            since = (port.state_since_ns or now) if down else quiet_since
            packet = 0 if down else self._packet(port.name, facts)
            said = "no link" if down else "the last frame from it"
            said = said if down or packet else "start of the capture; no frame from it since"
            out.append(
                Observation(
                    "no-standby",
                    port.name,
                    {
                        "port": port.name,
                        "state": "down" if down else "silent",
                        "other": other.name,
                    },
                    (evidence(since, packet, said),),
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
                        (
                            evidence(
                                now,
                                self._packet(port.name, facts),
                                f"{first} is in {theirs}, {port.name} in {mine}",
                            ),
                        ),
                        detail=(f"addresses of {port.name}: {', '.join(port.addresses)}",),
                    )
                )
        self._watch_moves(facts, now)
        for stopped, began, source, target, gap in self._moves:
            if now - began <= LIMITS.moved_ns:
                out.append(
                    Observation(
                        "failover",
                        source,
                        {"port": source, "other": target, "gap": f"{gap:.0f}"},
                        (
                            evidence(
                                stopped,
                                self._packet(source, facts, stopped),
                                f"the last frame that {source} sent",
                            ),
                            evidence(
                                began,
                                self._packet(target, facts, began),
                                f"{target} sends, in its first second",
                            ),
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

    @staticmethod
    def _packet(port: str, facts: Facts, time_ns: int = 0) -> int:
        """The newest packet that a port sent, or the one in the second of a given time; 0 none."""
        macs = next((f.macs for f in facts.ports.facts if f.name == port), frozenset())
        counts = [facts.ports.macs[m] for m in macs if m in facts.ports.macs]
        if not time_ns:
            return max((c.last_packet for c in counts), default=0)
        return max((c.sent_packets.get(time_ns // SECOND, 0) for c in counts), default=0)

    def _watch_moves(self, facts: Facts, now: int) -> None:
        """A port has fallen silent, and another carries its load or sends from its addresses."""
        last = now // SECOND
        sent = {p.name: self._sent(p.name, facts) for p in facts.port_records}
        for port in facts.port_records:
            mine = sent[port.name]
            busy = [s for s in range(last - LIMITS.seen_s, last) if mine.get(s)]
            if len(busy) < LIMITS.busy_s:
                continue
            stopped = busy[-1]
            gaps = [b - a for a, b in pairwise(busy)]
            if last - 1 - stopped < max(LIMITS.failover_silence_s, *gaps):
                continue
            if any(m[2] == port.name and now - m[1] < LIMITS.settled_ns for m in self._moves):
                continue
            before = _mean(mine, stopped - LIMITS.load_s, stopped)
            for other in facts.port_records:
                if other.name == port.name:
                    continue
                theirs = sent[other.name]
                began = next((s for s in range(stopped + 1, last) if theirs.get(s)), None)
                if began is None:
                    continue
                gain = _mean(theirs, began - 1, last - 1)
                gain -= _mean(theirs, stopped - LIMITS.load_s, stopped)
                times = sum(bool(theirs.get(s)) for s in range(began, last))
                busy_now = times >= LIMITS.busy_s and 2 * times >= last - began
                moved = (
                    busy_now and before >= LIMITS.load_bytes and gain >= LIMITS.load_share * before
                )
                if moved or self._took_address(port, other.name, facts, stopped * SECOND):
                    self._moves.append(
                        (stopped * SECOND, began * SECOND, port.name, other.name, began - stopped)
                    )

    @staticmethod
    def _sent(port: str, facts: Facts) -> dict[int, int]:
        """Bytes sent by a port, by the second, over the last minute."""
        out: dict[int, int] = {}
        macs = next((f.macs for f in facts.ports.facts if f.name == port), frozenset())
        for mac in macs:
            count = facts.ports.macs.get(mac)
            for second, (_, size) in count.seconds.items() if count else ():
                out[second] = out.get(second, 0) + size
        return out

    @staticmethod
    def _took_address(port: PortRecord, other: str, facts: Facts, since_ns: int) -> bool:
        """Another port claims this port's address by ARP."""
        macs = next((f.macs for f in facts.ports.facts if f.name == other), frozenset())
        for address in port.addresses:
            known = facts.claims.addresses.get(address)
            claim = known.claims.get(known.holder) if known else None
            if claim and mac_number(claim.mac) in macs and claim.last.time_ns > since_ns:
                return True
        return False

    def _note_ways(self, facts: Facts) -> None:
        """Which port reads cameras and which reaches the cloud, by the MACs of answered flows."""
        flows = facts.flows
        slots, rows = facts.changed_flows()
        if not len(slots):
            return
        macs = facts.view.facts.appliance_macs
        mine = among(rows["mac_out_src"], np.array(sorted(macs), np.uint64))
        mine &= rows["packets_in"] > 0
        media = mine & (rows["app"] == _RTSP)
        cloud = mine & flows.endpoint[slots]
        for table, chosen, what in (
            (self._to_cameras, media, "a camera answers"),
            (self._to_cloud, cloud, "the cloud answers"),
        ):
            for row in flows.rows[slots[chosen][:64]]:
                port = macs[row.mac_out_src]
                at, packet = row.last_ns, row.last_packet
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
                            (evidence(count.last_ns, count.last_packet, heard),),
                        )
                    )
        if not any(seen.id == "port-same-net" for seen in out):
            out.extend(_one_network(camera_port, cloud_port, facts))
        return out


def _one_network(port: str, other: str, facts: Facts) -> Iterable[Observation]:
    """Both ports use addresses of one network: which of them a packet leaves by is chance."""
    given = [facts.site.ports.get(name) for name in (port, other)]
    texts = [g.address for g in given if g is not None and g.address and "/" in g.address]
    if len(texts) < 2:
        return
    one, two = (ipaddress.ip_interface(text) for text in texts)
    used = [facts.claims.addresses.get(str(i.ip)) for i in (one, two)]
    if one.ip == two.ip or one.ip not in two.network or two.ip not in one.network:
        return
    claims = [c.claims[c.holder].last for c in used if c is not None and c.holder in c.claims]
    if len(claims) < 2:
        return
    yield Observation(
        "port-same-net", port, {"port": port, "other": other},
        tuple(evidence(c.time_ns, c.packet, c.text) for c in claims),
        first_ns=min(c.time_ns for c in claims),
        text=f"Both ports are in one network: {port} has {one.ip} and {other} has {two.ip}, both of"
        f" {one.network}",
    )  # fmt: skip


def _mean(sizes: dict[int, int], after: int, until: int) -> float:
    """Bytes per second over the seconds (after, until]."""
    seconds = range(after + 1, until + 1)
    return sum(sizes.get(s, 0) for s in seconds) / max(1, len(seconds))


def _fresh(seen: dict[str, EvidenceRecord], now_ns: int) -> dict[str, EvidenceRecord]:
    return {port: e for port, e in seen.items() if now_ns - e.time_ns <= LIMITS.moved_ns}


def _net(addresses: tuple[str, ...], facts: Facts) -> str | None:
    for address in addresses:
        for network in facts.view.facts.local:
            if ipaddress.ip_address(address) in network:
                return str(network)
    return None
