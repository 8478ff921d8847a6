"""Findings about the next hop: whether it is requested, answers, is still the same, and forwards.

The claim book and the flow table come in, observations go out. Requests of the appliance count;
those of other hosts do not concern the site. The same requests show a wrong subnet mask: if it is
too wide, hosts outside the network are requested; if it is too narrow, a neighbour is reached
through the router.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from functools import lru_cache

import numpy as np
from msgspec import Struct

from panotui.diagnosis.arp import mac_number, shown, suspect
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import (
    SECOND,
    AnyMessage,
    ArpMessage,
    EvidenceRecord,
    LinkControlMessage,
    address_text,
    mac_text,
)
from panotui.model.arrays import among
from panotui.site.facts import Who
from panotui.state.claims import Claim, Question, RouterGroup, Seen, virtual
from panotui.state.leases import Offer

LIMITS = thresholds().gateway
WAYS_MAX = 64
_Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class _Way(Struct):
    """Traffic of one port to the internet through one MAC."""

    first: EvidenceRecord
    last_ns: int
    flows: int = 0
    answered: int = 0


class GatewayRule(Rule):
    """gateway-silent, gateway-changed, wrong-gateway, wrong-mask, neighbour-silent; reports cameras
    that do not answer ARP to the camera book.
    """

    hears = frozenset((ArpMessage, LinkControlMessage))
    wakes = frozenset(("flows", "site"))

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        """The book has it; the message only wakes the rule."""

    def __init__(self) -> None:
        self._ways: OrderedDict[tuple[str, int], _Way] = OrderedDict()
        self._around: OrderedDict[tuple[str, str], EvidenceRecord] = OrderedDict()

    def tick(self, facts: Facts) -> list[Observation]:
        self._look(facts)
        out: list[Observation] = []
        unanswered = self._unanswered(facts)
        for gateway in sorted(facts.view.facts.gateways):
            out.extend(self._silent(gateway, unanswered.get(gateway), facts))
            out.extend(self._changed(gateway, facts))
        if facts.site.network.gateways or _declared(facts):
            out.extend(self._asked_wrongly(facts))
        out.extend(self._wrong_way(facts))
        out.extend(self._narrow_mask(facts))
        self._silent_cameras(unanswered, facts)
        out.extend(
            _neighbours(
                unanswered, {o.values["address"] for o in out if "address" in o.values}, facts
            )
        )
        return out

    def _asked_wrongly(self, facts: Facts) -> list[Observation]:
        """The site file's gateways and networks, compared with requests."""
        out = []
        for row in facts.claims.questions.values():
            found = self._wrong_gateway(row, facts)
            if found is None and row.count > 1:
                found = self._wide_mask(row.asker, row.target, tuple(row.seen), facts)
            out.extend([found] if found else [])
        for (asker, target), seen in facts.claims.answered.items():
            found = self._wide_mask(asker, target, (seen,), facts)
            out.extend([found] if found else [])
        return out

    # ------------------------------------------------------------------ requested, and answered

    def _unanswered(self, facts: Facts) -> dict[str, Question]:
        """By address: the appliance's first unanswered requests for it."""
        found: dict[str, Question] = {}
        for row in facts.claims.questions.values():
            if row.count < LIMITS.requests:
                continue
            self.due_later(row.first_ns + LIMITS.silence_ns, facts)
            self.due_later(row.last_ns + LIMITS.row_ns + 1, facts)
            if row.target not in found and _in_vain(row, facts) and facts.is_appliance(row.asker):
                found[row.target] = row
        return found

    @staticmethod
    def _silent(gateway: str, row: Question | None, facts: Facts) -> list[Observation]:
        if row is None:
            return []
        control = _control(row, facts)
        return [
            Observation(
                "gateway-silent",
                gateway,
                {
                    "gateway": gateway,
                    "count": str(row.count),
                    "port": facts.port_of(row.asker) or "",
                },
                shown(*row.seen),
                row.first_ns,
                row.last_ns,
                detail=control or (),
                confidence=None if control else "possible",
                asker=facts.port_of(row.asker) or row.asker,
                retried=_repeated(row),
            )
        ]

    @staticmethod
    def _silent_cameras(unanswered: dict[str, Question], facts: Facts) -> None:
        for address, camera in facts.cameras.cameras.items():
            row = unanswered.get(address)
            would_show = camera.media_ns or camera.connected_ns  # what it sends passes here
            if row is not None and not would_show and not _repeated(row):
                row = None  # not repeated soon: its answer went past this vantage
            if row is not None and not camera.arp_silent_ns:
                camera.arp_silent_ns = row.first_ns
                camera.syn_packet = camera.syn_packet or row.seen[0].packet
            elif row is None and camera.arp_silent_ns:
                asked = any(q.target == address for q in facts.claims.questions.values())
                if not asked:
                    camera.arp_silent_ns = 0

    # ------------------------------------------------------------------ the same answer

    def _changed(self, gateway: str, facts: Facts) -> list[Observation]:
        book = facts.claims
        group = book.group_of(gateway)
        if group is not None and group.changed is not None:
            for flip in group.flips:
                self.due_later(flip + LIMITS.split_ns + 1, facts)
            return _failed_over(gateway, group, facts)
        known = book.addresses.get(gateway)
        if known is None or not known.turns:
            return []
        new = known.claims.get(known.holder)
        old = max(
            (c for c in known.claims.values() if c is not new),
            key=lambda c: c.last.time_ns,
            default=None,
        )
        if new is None or old is None or facts.now_ns - new.first.time_ns > LIMITS.moved_ns:
            return []
        if virtual(new.mac) or (virtual(old.mac) and not new.lives_there):
            return []  # a pair's common MAC: its advertisements show which router is active
        if _one_host(old, new, facts) or old.last.time_ns >= new.first.time_ns:
            return []  # reported as a conflict, or as spoofing
        self.due(new.first.time_ns + LIMITS.moved_ns + 1)
        if suspect(gateway, old, new, facts) is not None:
            return []
        if not new.lives_there and facts.now_ns - new.first.time_ns < LIMITS.unproven_ns:
            self.due(new.first.time_ns + LIMITS.unproven_ns)
            return []  # the old one may still answer: then it is spoofing
        still = facts.ports.macs.get(mac_number(old.mac))
        alive = still is not None and still.last_out_ns > new.first.time_ns + LIMITS.recent_ns // 12
        pushed = new.pushes > 0 and not new.lives_there
        if pushed and not alive:
            self.due(facts.now_ns + SECOND)  # it may still send
        return [
            Observation(
                "gateway-changed",
                gateway,
                {"gateway": gateway, "mac": old.mac, "other": new.mac},
                shown(old.last, new.first),
                new.first.time_ns,
                new.last.time_ns,
                detail=(f"{old.mac} still sends other frames",) if alive and pushed else (),
            )
        ]

    # ------------------------------------------------------------------ the right one

    def _wrong_gateway(self, row: Question, facts: Facts) -> Observation | None:
        """The appliance requests a neighbour that does not exist, and never the site's gateway; or,
        if it once did, sends nothing to the internet any more.
        """
        given = facts.site.network.gateways
        if not given or not _in_vain(row, facts) or not _known_appliance(row.asker, facts):
            return None
        network = _network_of(row.asker, facts)
        if network is None or not _inside(row.target, network) or _named(row.target, facts):
            return None
        mine = [g for g in given if _inside(g, network)]
        book = facts.claims
        asked = {t for a, t in (*book.questions, *book.answered) if a == row.asker}
        port = facts.port_of(row.asker) or row.asker
        sent = max((w.last_ns for (name, _), w in self._ways.items() if name == port), default=0)
        if not mine or sent > row.first_ns or (asked & set(mine) and not sent):
            return None
        control = _control(row, facts)
        return Observation(
            "wrong-gateway",
            port,
            {"port": port, "address": row.target, "gateway": mine[0], "count": str(row.count)},
            shown(*row.seen),
            row.first_ns,
            row.last_ns,
            detail=control or (),
            confidence=None if control else "possible",
        )

    def _look(self, facts: Facts) -> None:
        """The MACs through which the appliance's packets leave, and which of them answer."""
        slots, rows = facts.changed_flows()
        macs = facts.view.facts.appliance_macs
        if not len(slots) or not macs:
            return
        mine = among(rows["mac_out_src"], np.array(sorted(macs), np.uint64))
        mine &= (rows["version"] == 4) & (rows["mac_out_dst"] >> np.uint64(40) & np.uint64(1) == 0)
        for row in facts.flows.rows[slots[mine][:256]]:
            port, through = macs[row.mac_out_src], row.mac_out_dst
            server = address_text(4, row.dst)
            packet, at = row.first_packet, row.last_ns
            text = f"to {server} through {mac_text(through)}"
            seen = evidence(row.first_ns, packet, text)
            client = address_text(4, row.src)
            network = _declared_network(facts, client)
            away = facts.view.who(server) & Who.INTERNET
            if away or (network is not None and not _inside(server, network.network)):
                way = self._ways.setdefault((port, through), _Way(seen, at))
                way.last_ns = max(way.last_ns, at)
                way.flows += 1
                way.answered += row.packets_in > 0
                while len(self._ways) > WAYS_MAX:
                    self._ways.popitem(last=False)
            elif self._goes_around(server, through, client, facts):
                self._around[(port, server)] = evidence(at, packet, text)
                self._around.move_to_end((port, server))
                while len(self._around) > WAYS_MAX:
                    self._around.popitem(last=False)

    @staticmethod
    def _goes_around(server: str, through: int, client: str, facts: Facts) -> bool:
        """A neighbour is reached through a router that does not answer ARP for it."""
        network = _declared_network(facts, client)
        if network is None or not _inside(server, network.network):
            return False
        gateways = facts.view.facts.gateways
        mac = mac_text(through) or ""
        if server in gateways or facts.claims.claims(server, mac) is not None:
            return False
        return any(facts.claims.owner(g) == mac for g in gateways)

    def _wrong_way(self, facts: Facts) -> list[Observation]:
        """Packets for other networks go to a neighbour that is not the site's gateway and does not
        forward.
        """
        book, out = facts.claims, []
        gateways = facts.site.network.gateways
        for (port, through), way in self._ways.items():
            mac = mac_text(through) or ""
            other = next((a for a, known in book.addresses.items() if known.holder == mac), None)
            if other is None or other in gateways or book.advertises(mac):
                continue
            network = _network_of(other, facts)
            right = [g for g in gateways if network is not None and _inside(g, network)]
            if not right:
                continue
            if (
                way.answered
                or way.flows < LIMITS.requests
                or facts.now_ns - way.last_ns > LIMITS.recent_ns
            ):
                continue
            self.due(way.last_ns + LIMITS.recent_ns + 1)
            if any(book.claims(g, mac) for g in gateways):
                continue  # it claims to be the gateway: reported as such
            out.append(
                Observation(
                    "wrong-gateway",
                    port,
                    {
                        "port": port,
                        "address": other,
                        "gateway": right[0],
                        "count": str(way.flows),
                    },
                    (way.first,),
                    way.first.time_ns,
                    way.last_ns,
                    text=f"Port {port} sends traffic for other networks to {other}, which"
                    f" forwards nothing; the site's gateway is {right[0]}",
                )
            )
        return out

    # ------------------------------------------------------------------ the mask

    def _wide_mask(
        self, asker: str, target: str, seen: tuple[Seen, ...], facts: Facts
    ) -> Observation | None:
        """The appliance sends ARP requests for a host outside its declared network. A router that
        answers for everyone does not make the mask right.
        """
        if asker not in facts.view.facts.appliance_addresses:
            return None
        network = _declared_network(facts, asker)
        if network is None or facts.now_ns - seen[-1].time_ns > LIMITS.recent_ns:
            return None
        self.due(seen[-1].time_ns + LIMITS.recent_ns + 1)
        address = ipaddress.ip_address(target)
        if address in network.network or address.is_link_local:
            return None
        if (given := _leased_gateway(asker, target, facts)) is not None:
            return _outside(given, asker, target, str(network.network), seen, facts)
        return Observation(
            "wrong-mask",
            asker,
            {
                "client": asker,
                "address": target,
                "network": str(network.network),
                "port": facts.port_of(asker) or "",
            },
            shown(*(Seen(s.time_ns, s.packet, f"ARP for {target}") for s in seen)),
            seen[0].time_ns,
            seen[-1].time_ns,
        )

    def _narrow_mask(self, facts: Facts) -> list[Observation]:
        out = []
        for (port, server), seen in self._around.items():
            if facts.now_ns - seen.time_ns > LIMITS.recent_ns:
                continue
            self.due(seen.time_ns + LIMITS.recent_ns + 1)
            given = facts.site.ports.get(port)
            address = given.address if given and given.address else port
            text = (
                f"Port {port} reaches {server}, a neighbour in its own network, through the"
                " router: its subnet mask is too narrow"
            )
            out.append(
                Observation(
                    "wrong-mask",
                    port,
                    {"client": port, "address": server, "network": address, "port": port},
                    (seen,),
                    seen.time_ns,
                    seen.time_ns,
                    text=text,
                    action=f"Correct the subnet mask of {port}: the site file says {address}",
                    key=f"{port} narrow",
                )
            )
        return out[:1]


def _leased_gateway(asker: str, target: str, facts: Facts) -> Offer | None:
    """The lease that names `target` as the gateway, where nobody answers for it."""
    lease = facts.leases.clients.get(facts.claims.owner(asker) or "")
    given = lease.by_server.get(lease.server or "") if lease is not None else None
    if given is None or target not in given.routers or facts.claims.owner(target):
        return None
    return given


def _outside(
    given: Offer, asker: str, target: str, network: str, seen: tuple[Seen, ...], facts: Facts
) -> Observation:
    """A gateway that lies outside the leased network cannot be reached."""
    port = facts.port_of(asker) or asker
    right = [g for g in facts.site.network.gateways if _inside(g, ipaddress.ip_network(network))]
    return Observation(
        "wrong-gateway",
        port,
        {"port": port, "address": target, "gateway": right[0] if right else "", "count": ""},
        (
            evidence(given.seen.time_ns, given.seen.packet, given.seen.text),
            *shown(*(Seen(s.time_ns, s.packet, f"ARP for {target}") for s in seen)),
        ),
        seen[0].time_ns,
        seen[-1].time_ns,
        text=f"The DHCP server {given.server} gives {port} the gateway {target}, which lies outside"
        f" its network {network}: nobody answers there",
        action=f"Correct the gateway (router option) of the DHCP server {given.server}"
        + (f" to {right[0]}" if right else ""),
    )


def _failed_over(gateway: str, group: RouterGroup, facts: Facts) -> list[Observation]:
    """A redundant pair of routers, by its advertisements: the active router now, and the one
    before.
    """
    changed, before = group.changed, group.last_before
    if changed is None or before is None:
        return []
    flips = sum(facts.now_ns - t <= LIMITS.split_ns for t in group.flips)
    both = flips >= LIMITS.split_flips
    if not both and group.active == group.first:
        return []  # it is back
    name = group.protocol.upper()
    text = (
        f"Gateway {gateway} is served by two routers at once: {group.before} and {group.active}"
        f" both claim by {name} to be active"
        if both
        else f"Gateway {gateway} failed over ({name}): {group.active} took over from {group.before}"
    )
    return [
        Observation(
            "gateway-changed",
            gateway,
            {"gateway": gateway, "mac": group.before, "other": group.active},
            shown(before, changed),
            changed.time_ns,
            group.last.time_ns if group.last else 0,
            text=text,
            confidence="certain",
            action="The routers' owner should check the link between the two routers"
            if both
            else f"The routers' owner should check why {group.before} stopped",
        )
    ]


def _one_host(old: Claim, new: Claim, facts: Facts) -> bool:
    macs = facts.view.facts.appliance_macs
    return mac_number(old.mac) in macs and mac_number(new.mac) in macs


def _in_vain(row: Question, facts: Facts) -> bool:
    now = facts.now_ns
    waited = row.count >= LIMITS.requests and now - row.first_ns >= LIMITS.silence_ns
    return waited and now - row.last_ns <= LIMITS.row_ns


def _neighbours(
    unanswered: dict[str, Question], explained: set[str], facts: Facts
) -> list[Observation]:
    """Neighbours without a known role that do not answer, while others do: whatever the appliance
    wants there fails before its first packet.
    """
    found = []
    for target, row in unanswered.items():
        if target in explained or not _repeated(row) or not _known_appliance(row.asker, facts):
            continue
        network = _declared_network(facts, row.asker)
        # no request leaves for it, so its own rule sees nothing; a gateway or resolver has another
        clock = target in facts.site.network.ntp
        clock &= target not in facts.view.facts.gateways | facts.view.facts.resolvers
        if _named(target, facts) and not clock:
            continue
        if network is not None and not _inside(target, network.network):
            continue
        if target == row.asker or facts.cameras.get(target) is not None:
            continue
        control = _control(row, facts)
        if control is None:
            continue
        port = facts.port_of(row.asker) or row.asker
        if clock:
            found.append(_clock_away(row, port, control, facts))
            continue
        found.append(
            Observation(
                "neighbour-silent",
                target,
                {"address": target, "port": port, "count": str(row.count)},
                shown(*row.seen),
                row.first_ns,
                row.last_ns,
                detail=control,
                asker=port,
                retried=True,
            )
        )
    return found if len(found) <= LIMITS.neighbours else []  # it looks for something everywhere


def _clock_away(row: Question, port: str, control: tuple[str, ...], facts: Facts) -> Observation:
    """The site's time server does not answer ARP."""
    sides = (side for s in facts.clock.servers.values() for side in s.sides.values())
    others = any(side.answer_ns >= row.first_ns for side in sides)
    return Observation(
        "ntp-silent",
        row.target,
        {"server": row.target, "port": port, "count": str(row.count)},
        shown(*row.seen),
        row.first_ns,
        row.last_ns,
        severity="warning" if others else None,
        text=f"Time server {row.target} is not on the network: it does not answer ARP"
        f" ({row.count} requests)",
        detail=control,
        action=f"Check that {row.target} is up, and in the same VLAN",
        asker=port,
        retried=True,
    )


def _repeated(row: Question) -> bool:
    """The request is repeated soon, as one is that gets no answer: one that is asked now and then
    may be answered past this vantage.
    """
    return row.quick >= LIMITS.again and row.quick >= LIMITS.again_share * row.count


def _control(row: Question, facts: Facts) -> tuple[str, ...] | None:
    """ARP is answered on the same interface since the requests began."""
    answer = facts.claims.last_answer.get(row.interface)
    if answer is None or answer.time_ns < row.first_ns:
        return None
    return (f"control: {answer.text} (packet {answer.packet}), so others answer ARP",)


def _known_appliance(address: str, facts: Facts) -> bool:
    return address in facts.view.facts.appliance_addresses


def _named(address: str, facts: Facts) -> bool:
    """The site has another role for the address than gateway."""
    who = facts.view.who(address)
    if who & (Who.CAMERA | Who.RESOLVER | Who.TIME_SERVER | Who.APPLIANCE | Who.GATEWAY):
        return True
    return address in facts.view.site_names()


def _inside(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    ip = ipaddress.ip_address(address)
    return ip.version == network.version and ip in network


def _network_of(address: str, facts: Facts) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    declared = _declared_network(facts, address)
    if declared is not None:
        return declared.network
    found = [n for n in facts.view.facts.local if _inside(address, n)]
    return max(found, key=lambda n: n.prefixlen, default=None)


def _declared(facts: Facts) -> bool:
    """The site file gives a port's network."""
    return any(port.address and "/" in port.address for port in facts.site.ports.values())


def _declared_network(facts: Facts, address: str) -> _Interface | None:
    for port in facts.site.ports.values():
        if port.address and "/" in port.address and port.address.split("/")[0] == address:
            return _interface(port.address)
    return None


@lru_cache(maxsize=64)
def _interface(text: str) -> _Interface:
    """Each flow asks for the few networks of the site file."""
    return ipaddress.ip_interface(text)
