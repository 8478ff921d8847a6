"""Findings about address leases: each by the last step that a DHCP client reached.

The lease book comes in, observations go out. A client is reported if it never gets an OFFER,
accepts none, gets no answer to its REQUEST, is refused, or declines its address; so are two servers
with contradictory settings. Findings about hosts that are neither the appliance nor a camera are
information.
"""

from __future__ import annotations

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, AnyMessage, DhcpMessage, EvidenceRecord, Severity, mac_value
from panotui.model.quantities import span
from panotui.state.leases import Lease, Offer, Seen

LIMITS = thresholds().dhcp


class DhcpRule(Rule):
    """dhcp-no-offer, dhcp-pool, dhcp-offer-not-taken, dhcp-request-unanswered, dhcp-nak,
    dhcp-rogue; ip-conflict of addresses that are declined."""

    hears = frozenset((DhcpMessage,))
    wakes = frozenset(("site",))

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        """The book has it; the message only wakes the rule."""

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        waiting = False
        for lease in facts.leases.clients.values():
            if lease.astray is not None:
                tried_ns = lease.astray.time_ns + LIMITS.tried_ns
                if facts.now_ns < tried_ns and not facts.final:
                    self.due(tried_ns)
                elif (lost := _gives_no_gateway(lease, facts)) is not None:
                    out.append(lost)
            if not lease.in_trouble:
                continue
            waiting = waiting or lease.renewing or facts.now_ns - lease.last_ns <= LIMITS.no_news_ns
            client = _Client(lease, facts)
            for step in (_unoffered, _untaken, _unacknowledged, _refused, _declined):
                found = step(lease, client, facts)
                if found is not None:
                    out.append(found)
        if (rogue := _rogue(facts)) is not None:
            out.append(rogue)
        if waiting or out:
            self.due(facts.now_ns + SECOND)
        return out


def _gives_no_gateway(lease: Lease, facts: Facts) -> Observation | None:
    """The appliance's lease names no router, and the port has no other way out."""
    port, seen = facts.ports.port_of_mac(_mac(lease.mac)), lease.astray
    if not port or seen is None:
        return None
    roles = {p.name: p.role for p in facts.port_records}
    if roles.get(port) == "camera" or facts.beyond.answered(port)[0] > seen.time_ns:
        return None
    others = (name for name in roles if name != port and roles[name] != "camera")
    if roles.get(port) is None and any(facts.beyond.answered(name)[0] for name in others):
        return None  # the other port is the way out
    given = sorted(facts.view.facts.gateways)
    option = f" ({given[0]})" if len(given) == 1 else ""
    return Observation(
        "wrong-gateway",
        port,
        {"port": port, "address": "", "gateway": given[0] if given else "", "count": "1"},
        _shown((seen,)),
        seen.time_ns,
        facts.now_ns,
        text=f"The lease of port {port} names no gateway: DHCP server {lease.server} gave"
        f" {lease.address} without one, so that nothing beyond its own network can be reached",
        action=f"The owner of DHCP server {lease.server} should let it give the gateway{option}"
        " with the address (option 3, or a default route in option 121)",
    )


class _Client:
    """A DHCP client in words, and its severity."""

    def __init__(self, lease: Lease, facts: Facts) -> None:
        self.mac = lease.mac
        self.port = facts.ports.port_of_mac(_mac(lease.mac)) or ""
        camera = next((c for c in facts.cameras.cameras.values() if c.mac == lease.mac), None)
        if self.port:
            self.name = f"port {self.port}"
        elif camera is not None:
            self.name = f"camera {camera.name}"
        else:
            self.name = f"{lease.host_name} ({lease.mac})" if lease.host_name else lease.mac
        self.subject = self.port or lease.mac
        stranger = facts.view.facts.appliance_known and not self.port and camera is None
        self.severity: Severity | None = "info" if stranger else None
        self.camera = camera

    def values(self, **more: str) -> dict[str, str]:
        return {"client": self.name, "port": self.port, "mac": self.mac, **more}


def _shown(seen: tuple[Seen, ...]) -> tuple[EvidenceRecord, ...]:
    return tuple(evidence(s.time_ns, s.packet, s.text) for s in seen)


def _unoffered(lease: Lease, client: _Client, facts: Facts) -> Observation | None:
    asked = lease.discovers
    if asked.count < LIMITS.discovers or facts.now_ns - asked.last_ns > LIMITS.no_news_ns:
        return None
    book = facts.leases
    served = book.served_ns > 0 and book.served != lease.mac
    pool = served and facts.now_ns - book.served_ns < LIMITS.pool_ns
    camera = client.camera
    # pictures of the moment in which an old lease was given up prove no address
    proved_ns = max(camera.media_ns, camera.connected_ns) if camera is not None else 0
    settled = proved_ns > asked.first_ns + LIMITS.settled_ns
    return Observation(
        "dhcp-pool" if pool else "dhcp-no-offer",
        client.subject,
        client.values(count=str(asked.count)),
        _shown(tuple(asked.seen)),
        asked.first_ns,
        asked.last_ns,
        severity="info" if settled else client.severity,
        text=f"{client.name[:1].upper()}{client.name[1:]} asks for a lease that nobody gives"
        f" ({asked.count} requests), and works with the address that it has"
        if settled
        else None,
        action="Turn DHCP off in the camera's settings, as its address is fixed"
        if settled
        else None,
    )


def _untaken(lease: Lease, client: _Client, facts: Facts) -> Observation | None:
    """OFFERs come but the client keeps sending DISCOVER, as if it never got one."""
    asked, offers = lease.unclaimed, lease.offers
    if asked.count < LIMITS.discovers or offers.count < LIMITS.discovers:
        return None
    if (
        facts.now_ns - offers.last_ns < LIMITS.settle_ns
        or facts.now_ns - asked.last_ns > LIMITS.no_news_ns
    ):
        return None
    seen = sorted([*asked.seen, *offers.seen], key=lambda s: s.packet)[-8:]
    return Observation(
        "dhcp-offer-not-taken",
        client.subject,
        client.values(count=str(offers.count)),
        _shown(tuple(seen)),
        asked.first_ns,
        asked.last_ns,
        severity=client.severity,
    )


def _unacknowledged(lease: Lease, client: _Client, facts: Facts) -> Observation | None:
    asked, now = lease.requests, facts.now_ns
    if asked.count < (LIMITS.unanswered_renewals if lease.renewing else LIMITS.unanswered_requests):
        return None
    # absence counts only if an answer to this client was seen before, or is unicast to a port whose
    # unicast is seen in both directions
    if (
        not (lease.answered or (lease.renewing and client.port))
        or now - asked.last_ns < LIMITS.settle_ns
    ):
        return None
    if lease.renewing:
        over = 0 < lease.until_ns <= now
        end = span(abs(lease.until_ns - now) / SECOND) if lease.until_ns else ""
        said = f"; the lease has been over for {end}" if over else f"; the lease ends in {end}"
        text = (
            f"No DHCP server renews the address {lease.address} of {client.name}: {asked.count}"
            f" requests without an answer{said if end else ''}"
        )
        severity: Severity = "error" if over else "warning"
    else:
        if now - asked.last_ns > LIMITS.no_news_ns:
            return None
        text, severity = None, "error"
    return Observation(
        "dhcp-request-unanswered",
        client.subject,
        client.values(
            count=str(asked.count),
            server=lease.server or "of the site",
            address=lease.asked or "an address",
        ),
        _shown(tuple(asked.seen)),
        asked.first_ns,
        asked.last_ns,
        text=text,
        severity=client.severity or severity,
    )


def _refused(lease: Lease, client: _Client, facts: Facts) -> Observation | None:
    nak = lease.nak
    if nak is None or facts.now_ns - nak.time_ns > LIMITS.no_news_ns:
        return None
    return Observation(
        "dhcp-nak",
        client.subject,
        client.values(server=nak.server_id or nak.src, address=lease.asked or "asked for"),
        _shown(lease.nak_seen),
        nak.time_ns,
        nak.time_ns,
        severity=client.severity,
    )


def _declined(lease: Lease, client: _Client, facts: Facts) -> Observation | None:
    """The client finds each assigned address in use."""
    row, now = lease.declines, facts.now_ns
    if row.count < LIMITS.declines or now - row.last_ns > LIMITS.no_news_ns:
        return None
    if lease.leased_ns > row.last_ns and now - lease.leased_ns > LIMITS.kept_ns:
        return None
    other = lease.declined_for
    return Observation(
        "ip-conflict",
        client.subject,
        client.values(address=lease.declined, mac=lease.mac, other=other or "another device"),
        _shown(tuple(row.seen)),
        row.first_ns,
        row.last_ns,
        text=f"The addresses that DHCP gives to {client.name} are already in use: it declined"
        f" {row.count} leases, the last for {lease.declined}"
        + (f", which {other} answers for" if other else ""),
        action=(
            f"Find {other} and give it an address outside the DHCP server's pool"
            if other
            else "Take the addresses that are in use out of the DHCP server's pool"
        ),
        severity=client.severity,
    )


def _rogue(facts: Facts) -> Observation | None:
    """Two servers with contradictory settings for one client; the one unknown to the site is named
    second.
    """
    rogue = facts.leases.rogue
    if rogue is None or facts.now_ns - max(o.seen.time_ns for o in rogue[:2]) > LIMITS.no_news_ns:
        return None
    one, two, kind = rogue
    older, newer = sorted(facts.leases.offered.get(o.server, 0) for o in (one, two))
    if older and newer - older > LIMITS.gone_ns:
        return None  # a client asks all servers, and one of them no longer offers
    if _foreign(one, facts) and not _foreign(two, facts):
        one, two = two, one
    text = None
    if kind == "gateway":
        text = (
            f"A second DHCP server, {two.server}, gives the gateway {', '.join(two.routers)};"
            f" {one.server} gives {', '.join(one.routers)}"
        )
    elif kind == "resolver":
        text = (
            f"A second DHCP server, {two.server}, gives the DNS server {', '.join(two.dns)};"
            f" {one.server} gives {', '.join(one.dns)}"
        )
    seen = sorted((one.seen, two.seen), key=lambda s: s.time_ns)
    return Observation(
        "dhcp-rogue",
        "DHCP",
        {
            "server": one.server,
            "network": one.network or "?",
            "other": two.server,
            "other_network": two.network or "?",
        },
        _shown(tuple(seen)),
        seen[0].time_ns,
        seen[1].time_ns,
        text=text,
        detail=(f"{one.server} is at {one.mac}, {two.server} at {two.mac}",)
        if one.mac and two.mac
        else (),
        action=f"Find {two.server} ({two.mac}) and switch its DHCP service off"
        if _foreign(two, facts) and two.mac
        else None,
    )


def _foreign(offer: Offer, facts: Facts) -> bool:
    """It names a gateway or resolver that the site file does not have."""
    network = facts.site.network
    gateways, resolvers = set(network.gateways), set(network.dns)
    return bool(
        (gateways and offer.routers and not gateways & set(offer.routers))
        or (resolvers and offer.dns and not resolvers & set(offer.dns))
    )


def _mac(text: str) -> int:
    try:
        return mac_value(text)
    except ValueError:
        return 0
