"""Findings about ARP claims: conflicts, spoofing, answers for others, sweeps.

The claim book comes in, observations go out. Several MACs may claim one address for good reasons: a
virtual router, a redundant pair, a router that answers for everyone, one device with two ports.
Otherwise it is a conflict if both devices use the address, or spoofing if one only sends
unsolicited answers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import numpy as np

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import (
    NEVER,
    SECOND,
    AnyMessage,
    ArpMessage,
    EvidenceRecord,
    LinkControlMessage,
    mac_text,
    mac_value,
)
from panotui.site.facts import Who
from panotui.state.claims import Address, Claim, Seen, neighbours, virtual

LIMITS = thresholds().arp


def shown(*seen: Seen) -> tuple[EvidenceRecord, ...]:
    """Packets as evidence, in the order of time."""
    ordered = sorted(set(seen), key=lambda s: (s.time_ns, s.packet))
    return tuple(evidence(s.time_ns, s.packet, s.text) for s in ordered)


def mac_number(text: str) -> int:
    """A MAC as a number; 0 for an invalid one."""
    try:
        return mac_value(text)
    except ValueError:
        return 0


class ArpRule(Rule):
    """ip-conflict, arp-spoof, proxy-arp, and the scan of a network by ARP."""

    hears = frozenset((ArpMessage, LinkControlMessage))
    wakes = frozenset(("site",))

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        """The book has it; the message only wakes the rule."""

    def steady_ns(self, facts: Facts) -> int:
        # a repeated claim is news if another device claims the address as well
        return facts.now_ns if facts.claims.contested else NEVER

    def __init__(self) -> None:
        self._sweeps: dict[str, tuple[Seen, int, int]] = {}  # by asker: first, last, most targets

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        proxies: dict[str, list[str]] = {}
        for ip in facts.claims.contested:
            out.extend(self._contested(ip, facts.claims.addresses[ip], proxies, facts))
        for mac, addresses in proxies.items():
            out.append(_proxy(mac, addresses, facts))
        told = {seen.subject for seen in out}
        out.extend(seen for seen in self._doubles(facts) if seen.subject not in told)
        out.extend(self._swept(facts))
        return out

    def _contested(
        self, ip: str, address: Address, proxies: dict[str, list[str]], facts: Facts
    ) -> list[Observation]:
        """The meaning of the claims of one address, each compared with the oldest one."""
        out: list[Observation] = []
        claims = [
            c for c in address.claims.values()
            if facts.now_ns - c.last.time_ns <= LIMITS.recent_ns and not virtual(c.mac)
        ]  # fmt: skip
        if len(claims) > 1:  # until one of them, or a change, is too old
            self.due(min(c.last.time_ns for c in claims) + LIMITS.recent_ns + 1)
            for turn in address.turns:
                self.due_later(turn.time_ns + LIMITS.recent_ns + 1, facts)
        for i, newer in enumerate(claims):
            for older in claims[:i]:
                if excused(ip, older, newer, facts):
                    continue
                spoofer = suspect(ip, older, newer, facts)
                if spoofer is not None:
                    owner = older if spoofer is newer else newer
                    out.append(_spoof(ip, owner, spoofer, facts))
                elif (answers := answers_for_others(ip, older, newer, facts)) is not None:
                    proxies.setdefault(answers.mac, []).append(ip)
                elif _turns(address, facts.now_ns) >= LIMITS.turns and not _doubtful(older, newer):
                    out.append(_conflict(ip, address, older, newer, facts))
        return out[:1]  # one address, one sentence

    def _doubles(self, facts: Facts) -> Iterator[Observation]:
        """Another device claims an address of the appliance, and the appliance keeps sending from
        it: its packets show that long before it announces itself by ARP again.
        """
        for ip, port in facts.view.facts.appliance_addresses.items():
            known = facts.claims.addresses.get(ip)
            for claim in known.claims.values() if known else ():
                number, now = mac_number(claim.mac), facts.now_ns
                ours = number in facts.view.facts.appliance_macs or virtual(claim.mac)
                # a proxy answers for others, and a spoofer sends unsolicited answers: neither sends
                # as owner
                if ours or not (claim.used or claim.announced) or claim.unasked:
                    continue
                if now - claim.last.time_ns > LIMITS.recent_ns:
                    continue
                self.due_later(claim.last.time_ns + LIMITS.recent_ns + 1, facts)
                spoke = _speaks(ip, port, facts)
                self.due_later(now + 2 * SECOND, facts)
                if spoke is not None and spoke.time_ns > claim.first.time_ns:
                    yield _double(ip, claim, spoke, facts)
                    break

    def _swept(self, facts: Facts) -> list[Observation]:
        now = facts.now_ns
        for asker in facts.claims.sweepers(LIMITS.swept_targets):
            targets = facts.claims.swept(asker, now)
            if len(targets) > LIMITS.swept_targets:
                first, _, most = self._sweeps.get(asker, (targets[0], 0, 0))
                last = max(t.time_ns for t in targets)
                self._sweeps[asker] = (first, last, max(most, len(targets)))
        self._sweeps = {
            a: s for a, s in self._sweeps.items() if now - s[1] <= LIMITS.sweep_lasts_ns
        }
        out = []
        for asker, (first, last, most) in self._sweeps.items():
            self.due(last + LIMITS.sweep_lasts_ns + 1)
            router = asker in facts.view.facts.gateways
            out.append(
                Observation(
                    "scan",
                    asker,
                    {"src": asker, "count": f"{most:,}"},
                    shown(first),
                    first.time_ns,
                    last,
                    text=f"{asker} asks by ARP for {most:,} addresses of the network in a minute,"
                    " and none answers"
                    + (": a host behind this router scans the network" if router else ""),
                    action=f"Find out which host behind {asker} scans the network"
                    if router
                    else None,
                    severity="warning" if router else None,
                    key=f"{asker} by ARP",
                )
            )
        return out


def _turns(address: Address, now_ns: int) -> int:
    return sum(now_ns - turn.time_ns <= LIMITS.recent_ns for turn in address.turns)


def _doubtful(one: Claim, other: Claim) -> bool:
    """Only one of two is seen to use the address: the other may turn out to be spoofed."""
    return any(
        b.lives_there and not a.lives_there and a.unasked < LIMITS.pushes
        for a, b in ((one, other), (other, one))
    )


def excused(ip: str, older: Claim, newer: Claim, facts: Facts) -> bool:
    """Two MACs may claim the address: the appliance's own ports, or redundant routers."""
    macs = facts.view.facts.appliance_macs
    if mac_number(older.mac) in macs and mac_number(newer.mac) in macs:
        return True
    book = facts.claims
    return book.advertises(newer.mac) and (
        ip in facts.view.facts.gateways or book.advertises(older.mac)
    )


def suspect(ip: str, older: Claim, newer: Claim, facts: Facts) -> Claim | None:
    """The one of two claims that is sent unsolicited while the other device uses the address."""
    gateway = ip in facts.view.facts.gateways
    for claim, other in ((newer, older), (older, newer)):
        if other.last.time_ns < claim.pushed_ns or not claim.pushed_ns:
            continue  # the other has gone: the address moved
        pushes = claim.pushes if gateway else claim.unasked
        spread = claim.pushed[-1].time_ns - claim.pushed_ns
        persists = pushes >= LIMITS.pushes and spread >= LIMITS.pushed_ns
        # a device that has the address by mistake answers for it and sends from it as well
        if claim.lives_there:
            persists = persists and claim.unasked > claim.asked + claim.used
        elif gateway and claim is newer:
            persists = persists or pushes > 0
        if persists and (other.lives_there or (other is older and _concerns(ip, facts))):
            return claim
    return None


def _concerns(ip: str, facts: Facts) -> bool:
    """The site depends on the address, or the appliance requests it; conflicts among other hosts
    are not the site's fault.
    """
    mine = facts.view.facts.appliance_addresses
    ours = Who.APPLIANCE | Who.CAMERA | Who.GATEWAY | Who.RESOLVER | Who.TIME_SERVER
    if not mine or facts.view.who(ip) & ours:
        return True
    book = facts.claims
    return any((me, ip) in book.answered or (me, ip) in book.questions for me in mine)


def answers_for_others(ip: str, older: Claim, newer: Claim, facts: Facts) -> Claim | None:
    """The one of two claims from a host that answers for many, or from another port of the same
    device.
    """
    if not (older.asked and newer.asked):
        return None
    book = facts.claims
    shared = set(book.claimed_by(older.mac)) & set(book.claimed_by(newer.mac))
    # two devices of one maker shipped with the same address also have neighbouring MACs, but then
    # neither has another address
    if neighbours(older.mac, newer.mac) and book.has_another(newer.mac, ip):
        return newer
    if len(shared) >= LIMITS.proxied:
        return newer
    if ip in facts.view.facts.gateways:
        return None
    routers = {book.owner(g) for g in facts.view.facts.gateways}
    for claim in (newer, older):
        mine = (book.claims(a, claim.mac) for a in book.claimed_by(claim.mac))
        quiet = sum(c is not None and not c.unasked for c in mine)
        if claim.mac in routers or quiet >= LIMITS.proxied:
            return claim
    return None


def _spoof(ip: str, owner: Claim, spoofer: Claim, facts: Facts) -> Observation:
    gateway = ip in facts.view.facts.gateways
    values = {"gateway": ip, "mac": owner.mac, "other": spoofer.mac}
    return Observation(
        "arp-spoof",
        ip,
        values,
        shown(owner.last, *list(spoofer.pushed)[-7:]),
        spoofer.pushed_ns,
        spoofer.last.time_ns,
        text=None if gateway else f"{spoofer.mac} claims to be {ip}, which is at {owner.mac}",
        detail=(f"{spoofer.pushes} claims that nobody asked for; the owner still answers",),
        covers=(f"gateway-changed|{ip}",),
    )


def _hangs_on(ip: str, facts: Facts) -> tuple[str, ...]:
    """Functions of an appliance's port that fail while another device gets its answers."""
    port = facts.view.facts.appliance_addresses.get(ip)
    return tuple(f"{what}:{port}" for what in ("names", "time", "cloud") if port)


def _conflict(ip: str, address: Address, one: Claim, two: Claim, facts: Facts) -> Observation:
    ours = _concerns(ip, facts)
    seen = (one.first, two.first, *list(address.turns)[-6:])
    return Observation(
        "ip-conflict",
        ip,
        {"address": ip, "mac": one.mac, "other": two.mac},
        shown(*seen),
        two.first.time_ns,
        max(one.last.time_ns, two.last.time_ns),
        severity=None if ours else "info",
        text=_two(ip, one.mac, two.mac, facts),
        action=_routers(ip, facts) if ours else "",
        covers=(f"gateway-changed|{ip}",),
        blocks=_hangs_on(ip, facts),
    )


def _speaks(ip: str, port: str, facts: Facts) -> EvidenceRecord | None:
    """The newest packet that the appliance's port sent from an address."""
    rows = facts.flows.rows[facts.flows.live]
    macs = [mac for mac, name in facts.view.facts.appliance_macs.items() if name == port]
    packed = np.frombuffer(ipaddress.ip_address(ip).packed, np.uint8)
    mine = np.isin(rows["mac_out_src"], np.array(macs, np.uint64)) & (rows["last_out_ns"] > 0)
    mine &= (rows["src"][:, : len(packed)] == packed).all(axis=1)
    if not mine.any():
        return None
    row = int(np.argmax(np.where(mine, rows["last_out_ns"], 0)))
    text = f"{port} uses {ip}"
    return evidence(int(rows["last_out_ns"][row]), int(rows["last_packet"][row]), text)


def _double(ip: str, claim: Claim, spoke: EvidenceRecord, facts: Facts) -> Observation:
    macs = facts.view.facts.appliance_macs
    port = facts.port_of(ip)
    mine = next((mac for mac, name in macs.items() if name == port), 0)
    return Observation(
        "ip-conflict",
        ip,
        {"address": ip, "mac": mac_text(mine) or "the appliance", "other": claim.mac},
        (*shown(claim.first, claim.last), spoke),
        claim.first.time_ns,
        max(claim.last.time_ns, spoke.time_ns),
        text=_two(ip, mac_text(mine) or "the appliance", claim.mac, facts),
        blocks=_hangs_on(ip, facts),
    )


def _two(ip: str, mac: str, other: str, facts: Facts) -> str | None:
    """The sentence for an address that is something to the site; None: any other."""
    port = facts.view.facts.appliance_addresses.get(ip)
    if port:
        whose = f"{ip} of the appliance's port {port}"
    elif ip in facts.view.facts.gateways:
        whose = f"{ip} of the gateway"
    elif ip in facts.view.facts.cameras:
        whose = f"{ip} of camera {facts.camera_name(ip)}"
    else:
        return None
    return f"Two devices use the address {whose}: {mac} and {other}"


def _routers(ip: str, facts: Facts) -> str | None:
    """The action if two claim the gateway's address: they may be a redundant pair in which both are
    active.
    """
    if ip not in facts.view.facts.gateways:
        return None
    return (
        f"Ask the network's owner whether these two are a pair of routers (VRRP, HSRP) that do not"
        f" hear each other; if not, take one of them off {ip}"
    )


def _proxy(mac: str, addresses: list[str], facts: Facts) -> Observation:
    book = facts.claims
    routers = {book.owner(g): g for g in sorted(facts.view.facts.gateways)}
    who = f"Router {routers[mac]} ({mac})" if mac in routers else mac
    named = ", ".join(sorted(addresses)[:4]) + (", ..." if len(addresses) > 4 else "")
    mine = [c for a in addresses if (c := book.claims(a, mac)) is not None]
    several = f"{len(addresses)} addresses" if len(addresses) > 1 else "an address"
    return Observation(
        "proxy-arp",
        mac,
        {"mac": who, "count": several, "addresses": named},
        shown(*(c.first for c in mine[:8])),
        min(c.first.time_ns for c in mine),
        max(c.last.time_ns for c in mine),
    )
