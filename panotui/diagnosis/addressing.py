"""Findings of addressing: DHCP, ARP, gateways, conflicts, masks, asymmetric routes.

DHCP, ARP and neighbour messages and the flow table come in, observations go out. Virtual router
addresses (VRRP, HSRP) and the appliance's own two ports answering for each other are no conflict.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import (
    SECOND,
    AnyMessage,
    ArpMessage,
    EvidenceRecord,
    address_text,
    mac_text,
    mac_value,
)

TABLE_MAX = 1024
DISCOVERS = 3
ARP_REQUESTS = 3
ARP_SILENCE_NS = 2 * SECOND
RECENT_NS = 120 * SECOND
MOVED_NS = 300 * SECOND
OWN_NS = 60 * SECOND  # an address of the appliance that has not spoken for so long is history
_VIRTUAL = ("00:00:5e:00:01", "00:00:5e:00:02", "00:00:0c:07:ac", "00:00:0c:9f:f", "00:05:73:a0")


def _virtual(mac: str) -> bool:
    return mac.startswith(_VIRTUAL)


def _mac(text: str) -> int:
    try:
        return mac_value(text)
    except ValueError:
        return 0


@dataclass(slots=True)
class _Asked:
    """ARP requests for an address without an answer."""

    seen: deque[EvidenceRecord] = field(default_factory=lambda: deque(maxlen=8))
    first_ns: int = 0
    last_ns: int = 0
    count: int = 0
    by: str = ""


@dataclass(slots=True)
class _Move:
    """A gateway's address that went from one MAC to another."""

    old: str
    new: str
    first_ns: int
    last_ns: int
    unasked: bool  # announced by gratuitous ARP
    seen: list[EvidenceRecord]
    back: bool = False  # the first owner answered for it again


class ArpRule(Rule):
    """ip-conflict, gateway-silent, gateway-changed, arp-spoof, wrong-mask, link-local,
    address-changed; tells the camera book of cameras that ARP does not find."""

    hears = frozenset((ArpMessage,))

    def __init__(self) -> None:
        self._owner: OrderedDict[str, tuple[str, int, int]] = OrderedDict()  # ip -> mac, ns, pkt
        self._conflict: OrderedDict[str, tuple[str, str, list[EvidenceRecord], int]] = OrderedDict()
        self._moves: OrderedDict[str, _Move] = OrderedDict()  # gateways by address
        self._link_local: dict[str, tuple[str, EvidenceRecord]] = {}  # port -> address
        self._strange: dict[str, tuple[str, EvidenceRecord]] = {}
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._outside: OrderedDict[tuple[str, str], _Asked] = OrderedDict()
        self._answers = 0

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if not isinstance(message, ArpMessage):
            return
        if message.sender_ip not in ("", "0.0.0.0"):  # noqa: S104 - an ARP probe's sender
            self._claim(message, facts)
            self._asked.pop(message.sender_ip, None)
            port = facts.ports.port_of_mac(_mac(message.sender_mac))
            if port and message.sender_ip.startswith("169.254."):
                seen = evidence(message.time_ns, message.packet, f"ARP from {message.sender_ip}")
                if self._link_local.get(port, ("",))[0] != message.sender_ip:
                    self._link_local[port] = (message.sender_ip, seen)
        if message.op == 2:
            self._answers += 1
        elif message.op == 1 and message.target_ip != message.sender_ip:
            self._ask(message, facts)

    def _claim(self, message: ArpMessage, facts: Facts) -> None:
        ip, mac = message.sender_ip, message.sender_mac
        old = self._owner.get(ip)
        self._owner[ip] = (mac, message.time_ns, message.packet)
        self._owner.move_to_end(ip)
        while len(self._owner) > TABLE_MAX:
            self._owner.popitem(last=False)
        if old is None or old[0] == mac or _virtual(mac) or _virtual(old[0]):
            return
        macs = facts.view.facts.appliance_macs
        if _mac(mac) in macs and _mac(old[0]) in macs:
            return  # the appliance's two ports answer for each other (arp_ignore=0)
        seen = [
            evidence(old[1], old[2], f"{ip} is at {old[0]}"),
            evidence(message.time_ns, message.packet, f"{ip} is at {mac}"),
        ]
        if ip in facts.view.facts.gateways:
            self._moved(ip, old[0], mac, message, seen)
        # a conflict is two devices that both go on speaking: the first must come back
        known = self._conflict.get(ip)
        if known is not None and {known[0], known[1]} == {old[0], mac}:
            self._conflict[ip] = (known[0], known[1], [*known[2], seen[1]][-8:], known[3] + 1)
        else:
            self._conflict[ip] = (old[0], mac, seen, 1)
        self._conflict.move_to_end(ip)
        while len(self._conflict) > 256:
            self._conflict.popitem(last=False)

    def _moved(
        self, ip: str, old: str, new: str, message: ArpMessage, seen: list[EvidenceRecord]
    ) -> None:
        """The gateway's address has gone from one MAC to another, or back."""
        move = self._moves.get(ip)
        if move is not None and move.old == new and message.time_ns - move.last_ns < MOVED_NS:
            move.back = True  # the first owner is still there
            move.seen.append(seen[1])
            move.last_ns = message.time_ns
            return
        unasked = message.target_ip == ip
        if move is None or (move.old, move.new) != (old, new):
            self._moves[ip] = _Move(old, new, message.time_ns, message.time_ns, unasked, list(seen))
        else:
            move.unasked |= unasked
            move.last_ns = message.time_ns
            move.seen = [*move.seen[:2], *move.seen[2:], seen[1]][-8:]
        while len(self._moves) > 64:
            self._moves.popitem(last=False)

    def _ask(self, message: ArpMessage, facts: Facts) -> None:
        target = message.target_ip
        asked = self._asked.setdefault(target, _Asked())
        self._asked.move_to_end(target)
        while len(self._asked) > TABLE_MAX:
            self._asked.popitem(last=False)
        if message.time_ns - asked.last_ns > 60 * SECOND:
            asked.count = 0
            asked.seen.clear()
        if not asked.count:
            asked.first_ns = message.time_ns
        asked.count += 1
        asked.last_ns = message.time_ns
        asked.by = message.sender_ip
        asked.seen.append(
            evidence(message.time_ns, message.packet, f"who has {target}? (from {asked.by})")
        )
        self._off_subnet(message, facts)

    def _off_subnet(self, message: ArpMessage, facts: Facts) -> None:
        """The appliance asks by ARP for a host that its declared network does not hold."""
        if message.sender_ip not in facts.view.facts.appliance_addresses:
            return
        network = _declared_network(facts, message.sender_ip)
        if network is None or message.sender_ip not in map(str, [network.ip]):
            return
        try:
            target = ipaddress.ip_address(message.target_ip)
        except ValueError:
            return
        if target in network.network or target.is_link_local:
            return
        entry = self._outside.setdefault((message.sender_ip, message.target_ip), _Asked())
        entry.count += 1
        entry.first_ns = entry.first_ns or message.time_ns
        entry.last_ns = message.time_ns
        entry.seen.append(evidence(message.time_ns, message.packet, f"ARP for {message.target_ip}"))
        while len(self._outside) > 64:
            self._outside.popitem(last=False)

    def tick(self, facts: Facts) -> list[Observation]:
        now = facts.now_ns
        out = [*self._conflicts(facts), *self._gateways(facts), *self._own_addresses(facts)]
        for (client, target), asked in self._outside.items():
            network = _declared_network(facts, client)
            if network is None or asked.count < 2 or now - asked.last_ns > RECENT_NS:
                continue
            out.append(
                Observation(
                    "wrong-mask",
                    client,
                    {
                        "client": client,
                        "address": target,
                        "network": str(network.network),
                        "port": facts.port_of(client) or "",
                    },
                    tuple(asked.seen),
                    asked.first_ns,
                    asked.last_ns,
                )
            )
        self._silent_cameras(facts)
        return out

    def _conflicts(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for ip, (one, two, seen, changes) in self._conflict.items():
            if changes < 2 or facts.now_ns - seen[-1].time_ns > RECENT_NS:
                continue
            move = self._moves.get(ip)
            if move is not None and move.unasked:
                continue  # told as arp-spoof
            out.append(
                Observation(
                    "ip-conflict",
                    ip,
                    {"address": ip, "mac": one, "other": two},
                    tuple(seen),
                    seen[0].time_ns,
                    seen[-1].time_ns,
                )
            )
        return out

    def _unanswered(self, address: str, now: int) -> _Asked | None:
        asked = self._asked.get(address)
        if asked is None or asked.count < ARP_REQUESTS or now - asked.first_ns < ARP_SILENCE_NS:
            return None
        return asked if now - asked.last_ns <= 60 * SECOND else None

    def _gateways(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        for gateway in sorted(facts.view.facts.gateways):
            asked = self._unanswered(gateway, now)
            if asked is not None and self._answers:
                out.append(
                    Observation(
                        "gateway-silent",
                        gateway,
                        {
                            "gateway": gateway,
                            "count": str(asked.count),
                            "port": facts.port_of(asked.by) or "",
                        },
                        tuple(asked.seen),
                        asked.first_ns,
                        asked.last_ns,
                        detail=("control: other hosts answer ARP",),
                    )
                )
            elif asked is not None:
                out.append(
                    Observation(
                        "gateway-silent",
                        gateway,
                        {
                            "gateway": gateway,
                            "count": str(asked.count),
                            "port": facts.port_of(asked.by) or "",
                        },
                        tuple(asked.seen),
                        asked.first_ns,
                        asked.last_ns,
                        confidence="possible",
                    )
                )
            moved = self._moves.get(gateway)
            if moved is None or now - moved.last_ns > MOVED_NS:
                continue
            if moved.back and not moved.unasked:
                continue  # two owners that take turns: ip-conflict tells it
            # a router that takes over announces itself unasked as well, but then the first is gone
            over = moved.unasked and not moved.back
            out.append(
                Observation(
                    "arp-spoof" if moved.unasked else "gateway-changed",
                    gateway,
                    {"gateway": gateway, "mac": moved.old, "other": moved.new},
                    tuple(moved.seen[-8:]),
                    moved.first_ns,
                    moved.last_ns,
                    "possible" if over else None,
                    action=f"Ask the network's owner whether a failover took place; if not, find"
                    f" {moved.new} and take it off the network"
                    if over
                    else None,
                    detail=("both go on answering for it",) if moved.back else (),
                )
            )
        return out

    def _own_addresses(self, facts: Facts) -> list[Observation]:
        """What the appliance's MACs speak from, against what the site says."""
        out: list[Observation] = []
        declared = {
            name: port.address.split("/")[0]
            for name, port in facts.site.ports.items()
            if port.address
        }
        macs = facts.view.facts.appliance_macs
        self._note_own(facts)
        for port, (address, seen) in self._link_local.items():
            if facts.now_ns - seen.time_ns <= OWN_NS:
                out.append(
                    Observation(
                        "link-local",
                        port,
                        {
                            "port": port,
                            "address": address,
                            "mac": next(
                                (mac_text(m) or "" for m, p in macs.items() if p == port), ""
                            ),
                        },
                        (seen,),
                        seen.time_ns,
                    )
                )
        for port, (address, seen) in self._strange.items():
            fits = port not in declared or address in declared.values()
            if fits or facts.view.vantage == "router" or facts.now_ns - seen.time_ns > OWN_NS:
                continue
            out.append(
                Observation(
                    "address-changed",
                    port,
                    {"port": port, "address": address, "declared": declared[port] or ""},
                    (seen,),
                    seen.time_ns,
                )
            )
        return out

    def _note_own(self, facts: Facts) -> None:
        """The addresses that the appliance's MACs speak from, with the flow that shows it."""
        slots, rows = facts.changed_flows()
        if not len(slots):
            return
        known = facts.view.facts.appliance_macs
        macs = np.array(sorted(known), np.uint64)
        mine = np.isin(rows["mac_out_src"], macs) & (rows["version"] == 4)
        for row in facts.flows.rows[slots[mine][:256]]:
            address = address_text(4, row["src"].tobytes())
            if address.startswith(("0.", "127.")):
                continue
            port = known[int(row["mac_out_src"])]
            packet = int(row["first_packet"])
            table = self._link_local if address.startswith("169.254.") else self._strange
            old = table.get(port)
            if old is not None and old[0] == address:
                packet = old[1].packet or packet
            seen = evidence(int(row["last_ns"]), packet, f"{address} speaks from {port}'s MAC")
            if table is self._strange and old is None and _is_declared(facts, address):
                continue
            table[port] = (address, seen)

    def _silent_cameras(self, facts: Facts) -> None:
        for address, camera in facts.cameras.cameras.items():
            asked = self._unanswered(address, facts.now_ns)
            if asked is not None and not camera.arp_silent_ns:
                camera.arp_silent_ns = asked.first_ns
                camera.syn_packet = camera.syn_packet or (asked.seen[0].packet or 0)
            elif asked is None and camera.arp_silent_ns and address not in self._asked:
                camera.arp_silent_ns = 0


def _is_declared(facts: Facts, address: str) -> bool:
    ports = facts.site.ports.values()
    return any(p.address is not None and p.address.split("/")[0] == address for p in ports)


def _declared_network(
    facts: Facts, address: str
) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    for port in facts.site.ports.values():
        if port.address and "/" in port.address and port.address.split("/")[0] == address:
            return ipaddress.ip_interface(port.address)
    return None


class AsymmetryRule(Rule):
    """asymmetric: answers of a flow arrive on the other port."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[int, int, EvidenceRecord, str, str]] = OrderedDict()

    def tick(self, facts: Facts) -> list[Observation]:
        slots, rows = facts.changed_flows()
        macs = facts.view.facts.appliance_macs
        if len(slots) and len(facts.ports.facts) > 1:
            flows = facts.flows
            known = np.array(sorted(macs), np.uint64)
            two = (
                np.isin(rows["mac_out_src"], known)
                & np.isin(rows["mac_in_dst"], known)
                & (rows["mac_out_src"] != rows["mac_in_dst"])
                & (rows["packets_in"] > 1)
            )
            for slot in slots[two][:64].tolist():
                row = flows.rows[slot]
                out_port = macs[int(row["mac_out_src"])]
                in_port = macs[int(row["mac_in_dst"])]
                if out_port == in_port:
                    continue
                host = address_text(int(row["version"]), row["dst"].tobytes())
                seen = evidence(
                    int(row["last_ns"]), int(row["last_packet"]),
                    f"left on {out_port}, came back on {in_port}",
                )  # fmt: skip
                first = self._seen.get(host, (int(row["first_ns"]),))[0]
                self._seen[host] = (first, int(row["last_ns"]), seen, out_port, in_port)
                while len(self._seen) > 32:
                    self._seen.popitem(last=False)
        return [
            Observation(
                "asymmetric",
                host,
                {"host": facts.host_of("", host), "port": out_port, "other": in_port},
                (seen,),
                first,
                last,
            )
            for host, (first, last, seen, out_port, in_port) in self._seen.items()
            if facts.now_ns - last <= RECENT_NS
        ]
