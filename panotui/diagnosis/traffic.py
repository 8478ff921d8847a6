"""Findings about traffic on the link: flow control, loops, load, VLAN tags, switches, MTU.

Link rows of the port book and a few control messages come in, observations go out.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import (
    NEVER,
    SECOND,
    AnyMessage,
    EvidenceRecord,
    IcmpMessage,
    LinkControlMessage,
    NeighbourMessage,
    mac_text,
    mac_value,
)
from panotui.model.quantities import link_speed, listed, times
from panotui.state.ports import Looped, switch_port

LIMITS = thresholds().traffic
# what comes round again is no mirror's copy, and it takes the place of others' packets
_BY_LOOP = ("mirror-duplicates|mirror", "loss-shared|*", "stream-loss|*")
SLOW_MBPS = 90  # seconds that a meter skips have less, see `meter.steady`


class TrafficRule(Rule):
    """pause-storm, saturated, loop, vlan-tagged, lldp-info, mtu-low."""

    hears = frozenset((LinkControlMessage, IcmpMessage, NeighbourMessage))
    wakes = frozenset(("links", "ports", "site"))

    def __init__(self) -> None:
        self._pause: OrderedDict[int, LinkControlMessage] = OrderedDict()  # by MAC
        self._mtu: OrderedDict[str, tuple[IcmpMessage, int]] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, LinkControlMessage) and message.protocol in ("pause", "pfc"):
            self._pause[mac_value(message.src_mac)] = message
            while len(self._pause) > 64:
                self._pause.popitem(last=False)
        elif isinstance(message, IcmpMessage) and self._needs_fragmentation(message):
            if not facts.is_appliance(message.quoted_src or ""):
                return  # other hosts' packets
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
        out = [
            *self._pauses(facts),
            *self._storm(facts),
            *self._loops(facts),
            *self._saturated(facts),
        ]
        out.extend(self._tagged(facts))
        narrow = self._narrow(facts)
        if out or narrow:
            self.due(facts.now_ns + SECOND)
        for index, (message, seen_ns) in facts.ports.neighbours.items():
            over_ns = seen_ns + max(message.ttl, 1) * SECOND
            if now > over_ns:
                continue
            self.due(over_ns + 1)
            where = facts.interface_name(index)
            port = facts.port_at(index)
            extra = []
            if message.vlan:
                extra.append(f"VLAN {message.vlan}")
            if message.speed_mbps:
                extra.append(link_speed(message.speed_mbps, message.duplex))
            out.append(
                Observation(
                    "lldp-info",
                    port or where,
                    {
                        "interface": f"Port {port}" if port else f"Interface {where}",
                        "switch": message.system_name or message.chassis,
                        "switch_port": switch_port(message),
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
        return [*out, *narrow]

    def steady_ns(self, facts: Facts) -> int:
        for port in facts.port_records:
            slow = port.speed_mbps and port.speed_mbps < SLOW_MBPS and not port.link_is_ours
            rates = (*port.history_in_bps, *port.history_out_bps)
            if slow or max((r for r in rates if r), default=0) > SLOW_MBPS * 1e6:
                return facts.now_ns
        return NEVER

    def _narrow(self, facts: Facts) -> list[Observation]:
        """Routers that accept only smaller packets, by their answers to the appliance's packets."""
        senders: dict[tuple[str, int | None], list[tuple[str, IcmpMessage, int]]] = {}
        for host, (error, count) in self._mtu.items():
            if facts.now_ns - error.time_ns <= LIMITS.narrow_ns:
                senders.setdefault((error.src, error.mtu), []).append((host, error, count))
        out = []
        for (src, mtu), told in senders.items():
            names = [facts.host_of(error.quoted_src or "", host) for host, error, _ in told]
            total = sum(count for _, _, count in told)
            newest = told[-1][1]
            out.append(
                Observation(
                    "mtu-low",
                    names[0] if len(names) == 1 else src,
                    {"host": listed(names), "mtu": str(mtu or "fewer"), "detail": f", says {src}"},
                    tuple(
                        evidence(e.time_ns, e.packet, f"ICMP: fragmentation needed to {name}")
                        for name, (_, e, _) in zip(names[:8], told[:8], strict=True)
                    ),
                    min(error.time_ns for _, error, _ in told),
                    newest.time_ns,
                    detail=(f"told {times(total)}",),
                    key=f"{src} {mtu}",
                    covers=tuple(f"tls-stalled|{name}" for name in names[:8]),
                )
            )
        return out

    def _pauses(self, facts: Facts) -> list[Observation]:
        """Senders of many PAUSE frames, by complete seconds."""
        last, out = facts.now_ns // SECOND, []
        for mac, seconds in facts.ports.pauses.items():
            # the first and the last second are not complete
            full = {
                s: n for s, n in seconds.items() if last - s <= LIMITS.pause_window_s and s < last
            }
            most = max(full.values(), default=0)
            if most < LIMITS.pause_frames or last - max(full) > LIMITS.full_seconds:
                continue
            stormy = [n for n in full.values() if n >= LIMITS.pause_frames]
            inner = sorted(stormy)[len(stormy) // 2]
            name = mac_text(mac) or "?"
            port = facts.ports.port_of_mac(mac)
            message = self._pause.get(mac)
            start = min(s for s, n in seconds.items() if n >= LIMITS.pause_frames) * SECOND
            span = "1 s" if len(stormy) == 1 else f"{len(stormy)} s"
            total = sum(seconds.values())
            out.append(
                Observation(
                    "pause-storm",
                    name,
                    {"rate": str(inner), "mac": f"port {port} ({name})" if port else name},
                    (
                        evidence(
                            message.time_ns if message else start,
                            message.packet if message else 0,
                            f"PAUSE, one of {total:,} within a minute",
                        ),
                    ),
                    start,
                    max(full) * SECOND,
                    detail=(f"measured over {span}",),
                    action=f"The appliance cannot take what it is sent: read fewer or smaller"
                    f" streams over {port}, or turn flow control off on its switch port"
                    if port
                    else None,
                )
            )
        return out

    @staticmethod
    def _loops(facts: Facts) -> list[Observation]:
        """The same frames are seen again and again."""
        last = facts.now_ns // SECOND
        seen: dict[int, list[Looped]] = {}
        for one in facts.ports.loops:
            if last - one.second <= LIMITS.loop_window_s:
                seen.setdefault(one.interface, []).append(one)
        out = []
        for interface, rows in seen.items():
            frames = sum(one.frames for one in rows)
            if frames < LIMITS.looped_frames:
                continue
            name = facts.interface_name(interface)
            first, until = min(o.second for o in rows), max(o.second for o in rows)
            senders = sorted({mac_text(one.src_mac) or "?" for one in rows})
            span = until - first + 1
            out.append(
                Observation(
                    "loop",
                    name,
                    {"interface": name, "rate": str(frames // span)},
                    (
                        evidence(
                            until * SECOND,
                            max(one.packet for one in rows),
                            f"the newest of {frames:,} repeated frames within {span} s",
                        ),
                    ),
                    first * SECOND,
                    until * SECOND,
                    text=f"The same frames come round again and again on {name}: {frames:,} within"
                    f" {span} s; the network has a loop",
                    detail=(f"sent by {', '.join(senders[:4])}",),
                    covers=_BY_LOOP,
                    weight=float(frames),  # the last seconds of a loop have few
                )
            )
        return out

    @staticmethod
    def _storm(facts: Facts) -> list[Observation]:
        last = facts.now_ns // SECOND
        out: list[Observation] = []
        seen: dict[int, tuple[int, int, int]] = {}
        for second, interface, count, packet in facts.ports.broadcast:
            if last - second <= LIMITS.full_seconds and count > LIMITS.broadcasts:
                seen[interface] = max(seen.get(interface, (0, 0, 0)), (count, second, packet))
        for interface, (count, second, packet) in seen.items():
            name = facts.interface_name(interface)
            out.append(
                Observation(
                    "loop",
                    name,
                    {"interface": name, "rate": str(count)},
                    (
                        evidence(
                            second * SECOND, packet, f"the last of {count} broadcasts in a second"
                        ),
                    ),
                    covers=_BY_LOOP,
                )
            )
        return out

    @staticmethod
    def _saturated(facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for port in facts.port_records:
            speed = (
                port.speed_mbps
                if port.speed_mbps and not port.link_is_ours
                else LIMITS.nominal_mbps
            )
            for way, history in (("in", port.history_in_bps), ("out", port.history_out_bps)):
                recent = [r for r in history[-LIMITS.saturated_s :] if r is not None]
                if (
                    len(recent) < LIMITS.saturated_s
                    or min(recent) < LIMITS.saturated_share * speed * 1e6
                ):
                    continue
                share = sum(recent) / len(recent) / (speed * 1e4)
                out.append(
                    Observation(
                        "saturated",
                        port.name,
                        {"port": port.name, "share": f"{share:.0f}", "speed": str(speed)},
                        (
                            evidence(
                                facts.now_ns,
                                _newest(port.name, facts),
                                f"{share:.0f} % {way} for {LIMITS.saturated_s} s",
                            ),
                        ),
                    )
                )
        return out

    @staticmethod
    def _tagged(facts: Facts) -> list[Observation]:
        if facts.view.vantage in (None, "file"):
            return []  # the place of capture is unknown: the mirror of a trunk rightly shows tags
        out: list[Observation] = []
        for port in facts.ports.facts:
            counts = [facts.ports.macs[m] for m in port.macs if m in facts.ports.macs]
            tagged = sum(c.tagged for c in counts)
            total = sum(c.frames for c in counts)
            if total < LIMITS.tagged_frames or tagged < LIMITS.tagged_share * total:
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


def _newest(port: str, facts: Facts) -> int:
    """The newest packet that a port sent."""
    macs = next((f.macs for f in facts.ports.facts if f.name == port), frozenset())
    counts = (facts.ports.macs.get(mac) for mac in macs)
    return max((c.last_packet for c in counts if c is not None), default=0)


def _vlan_of(macs: frozenset[int], facts: Facts) -> tuple[int | None, tuple[EvidenceRecord, ...]]:
    """The VLAN of the newest tagged flow of these MACs, and where that flow begins."""
    rows = facts.flows.rows
    tagged = rows[facts.flows.live & (rows["vlan"] >= 0)]
    ours = np.array(sorted(macs), np.uint64)
    mine = tagged[np.isin(tagged["mac_out_src"], ours) | np.isin(tagged["mac_in_src"], ours)]
    if not len(mine):
        return None, ()
    row = mine[np.argmax(mine["last_ns"])]
    vlan = row.vlan
    seen = evidence(row.first_ns, row.first_packet, f"a flow in VLAN {vlan}")
    return vlan, (seen,)
