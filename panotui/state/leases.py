"""Address leases: how far each DHCP client gets, and the servers' offers.

`DhcpMessage`s and `ArpMessage`s come in. For each client the steps DISCOVER, OFFER, REQUEST, ACK,
and then renewal or DECLINE are kept, each with its packets. A relay's or a mirror's copy of a
message counts once. A REQUEST that names a server proves that server's OFFER, whether it was seen
or not; a client that sends from the requested address proves its ACK.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from typing import ClassVar

from msgspec import Struct, field

from panotui.model import SECOND, AnyMessage, ArpMessage, DhcpMessage
from panotui.state.thresholds import thresholds

CLIENTS_MAX = 1024
SERVERS_MAX = 8  # per client, or network
NETWORKS_MAX = 64
SHOWN = 8  # most packets of a row kept as evidence
LIMITS = thresholds().leases


class Seen(Struct, frozen=True):
    """A packet that proves a step."""

    time_ns: int
    packet: int
    text: str


class Row(Struct):
    """Consecutive messages of one kind, the newest last."""

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    xid: int = -1
    seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=SHOWN))

    def add(self, message: DhcpMessage, text: str, *, ages: bool = True) -> bool:
        """Count a message; false if it is a copy of the one before. Renewals are hours apart and do
        not age.
        """
        if (
            message.xid == self.xid
            and message.time_ns - self.last_ns < LIMITS.copy_ns
            and self.count
        ):
            return False
        if ages and self.count and message.time_ns - self.last_ns > LIMITS.ages_ns:
            self.clear()
        self.first_ns = self.first_ns or message.time_ns
        self.last_ns, self.xid = message.time_ns, message.xid
        self.count += 1
        self.seen.append(Seen(message.time_ns, message.packet, text))
        return True

    def clear(self) -> None:
        """Start a new row."""
        self.count = self.first_ns = 0
        self.seen.clear()


class Offer(Struct, frozen=True):
    """A server's offer: its options show whether the server belongs to the site."""

    server: str
    seen: Seen
    address: str
    network: str | None
    routers: tuple[str, ...]
    dns: tuple[str, ...]
    mac: str

    def contradicts(self, other: Offer) -> str | None:
        """What differs for the client: "network", "gateway" or "resolver"."""
        if self.network and other.network and self.network != other.network:
            return "network"
        if self.routers and other.routers and not set(self.routers) & set(other.routers):
            return "gateway"
        if self.dns and other.dns and not set(self.dns) & set(other.dns):
            return "resolver"
        return None


class Lease(Struct):
    """One client, and how far it got."""

    mac: str
    host_name: str | None = None
    discovers: Row = field(default_factory=Row)  # since the last OFFER
    unclaimed: Row = field(default_factory=Row)  # answered DISCOVERs since the last REQUEST
    requests: Row = field(default_factory=Row)  # since the last ACK or NAK
    declines: Row = field(default_factory=Row)
    offers: Row = field(default_factory=Row)
    answered: bool = False  # an OFFER, ACK or NAK to this client was captured
    address: str | None = None  # leased, by the last ACK or a renewal
    lease_s: int | None = None
    leased_ns: int = 0  # of the last ACK
    server: str | None = None
    astray: Seen | None = None  # the last ACK had an address and no gateway
    asked: str = ""  # the address in the last REQUEST
    renewing: bool = False  # the requests are for an address in use
    declined: str = ""
    declined_for: str = ""  # MAC of the host that uses it
    nak: DhcpMessage | None = None
    nak_seen: tuple[Seen, ...] = ()
    by_server: OrderedDict[str, Offer] = field(default_factory=OrderedDict)
    last_ns: int = 0  # the newest message from or to the client

    @property
    def in_trouble(self) -> bool:
        """A step is open: a request was not answered, refused or declined."""
        rows = (self.discovers, self.unclaimed, self.requests, self.declines)
        return self.nak is not None or any(row.count for row in rows)

    @property
    def until_ns(self) -> int:
        """End of the lease, 0 if unknown."""
        return self.leased_ns + self.lease_s * SECOND if self.leased_ns and self.lease_s else 0


class LeaseBook:
    """DHCP clients by MAC."""

    hears: ClassVar[frozenset[type]] = frozenset((DhcpMessage, ArpMessage))

    def __init__(self) -> None:
        self.clients: OrderedDict[str, Lease] = OrderedDict()
        self.served_ns = 0  # the newest ACK to anyone
        self.served: str = ""  # and its client
        self.rogue: tuple[Offer, Offer, str] | None = None  # the first, the other, the difference
        self.offered: OrderedDict[str, int] = OrderedDict()  # server -> its newest OFFER
        # by network: the offers of each server
        self._given: OrderedDict[str, OrderedDict[str, Offer]] = OrderedDict()
        self._defended: OrderedDict[str, tuple[str, Seen]] = OrderedDict()  # address -> answer

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Process a DHCP message, or an ARP message that shows which host uses an address."""
        if isinstance(message, ArpMessage):
            self._observe_arp(message)
        elif isinstance(message, DhcpMessage):
            lease = self._lease(message)
            step = getattr(self, f"_on_{message.type}", None)
            if step is not None:
                step(lease, message)

    def _lease(self, message: DhcpMessage) -> Lease:
        lease = self.clients.setdefault(message.client_mac, Lease(message.client_mac))
        self.clients.move_to_end(message.client_mac)
        while len(self.clients) > CLIENTS_MAX:
            self.clients.popitem(last=False)
        lease.host_name = message.host_name or lease.host_name
        lease.last_ns = message.time_ns
        return lease

    def _observe_arp(self, message: ArpMessage) -> None:
        if message.sender_ip in ("", "0.0.0.0"):  # noqa: S104 - an ARP probe
            return
        lease = self.clients.get(message.sender_mac)
        if lease is not None and lease.requests.count and not lease.renewing:
            if message.sender_ip == lease.asked:
                self._got(lease, message.time_ns, None)
        elif message.op == 2:
            text = f"{message.sender_ip} is at {message.sender_mac}"
            seen = Seen(message.time_ns, message.packet, text)
            self._defended[message.sender_ip] = (message.sender_mac, seen)
            self._defended.move_to_end(message.sender_ip)
            while len(self._defended) > CLIENTS_MAX:
                self._defended.popitem(last=False)

    # ------------------------------------------------------------------ from the client

    def _on_discover(self, lease: Lease, message: DhcpMessage) -> None:
        if lease.discovers.add(message, "DISCOVER"):
            lease.unclaimed.add(message, "DISCOVER")

    def _on_request(self, lease: Lease, message: DhcpMessage) -> None:
        renewing = message.client_ip is not None
        wanted = message.requested_ip or message.client_ip or ""
        if message.server_id is not None:
            lease.discovers.clear()  # it names the server whose OFFER it accepts
            lease.server = message.server_id
        lease.unclaimed.clear()
        lease.offers.clear()
        if renewing != lease.renewing:
            lease.requests.clear()
        lease.renewing, lease.asked = renewing, wanted
        if renewing:
            lease.address = wanted
            unicast = message.dst != "255.255.255.255"
            if unicast and lease.server is None:
                lease.server = message.dst
            how = "renewal" if unicast else "renewal, to any server"
            lease.requests.add(message, f"REQUEST for {wanted} ({how})", ages=False)
        else:
            lease.requests.add(message, f"REQUEST for {wanted}" if wanted else "REQUEST")

    def _on_decline(self, lease: Lease, message: DhcpMessage) -> None:
        address = message.requested_ip or lease.asked
        owner = self._defended.get(address)
        if not lease.declines.add(message, f"DECLINE of {address}"):
            return
        lease.declined, lease.declined_for = address, owner[0] if owner else ""
        if owner is not None and message.time_ns - owner[1].time_ns < LIMITS.ages_ns:
            last = lease.declines.seen.pop()
            lease.declines.seen.extend((owner[1], last))
        lease.leased_ns, lease.address = 0, None

    # ------------------------------------------------------------------ from a server

    def _on_offer(self, lease: Lease, message: DhcpMessage) -> None:
        lease.answered = True
        lease.discovers.clear()
        lease.offers.add(message, f"OFFER of {message.your_ip or '?'}")
        server = message.server_id or message.src
        self.offered[server] = message.time_ns
        self.offered.move_to_end(server)
        while len(self.offered) > NETWORKS_MAX:
            self.offered.popitem(last=False)
        self._compare(lease, message)

    def _on_ack(self, lease: Lease, message: DhcpMessage) -> None:
        lease.answered = True
        if message.your_ip:
            self._compare(lease, message)
            text = f"ACK of {message.your_ip} without a gateway"
            known = message.mask is not None and not message.routers
            lease.astray = Seen(message.time_ns, message.packet, text) if known else None
        self._got(lease, message.time_ns, message)

    def _got(self, lease: Lease, time_ns: int, message: DhcpMessage | None) -> None:
        for row in (lease.discovers, lease.unclaimed, lease.offers, lease.requests):
            row.clear()
        lease.nak = None
        lease.leased_ns = self.served_ns = time_ns
        self.served = lease.mac
        lease.address = lease.asked or lease.address
        if message is not None:
            lease.address = message.your_ip or message.client_ip or lease.address
            lease.lease_s = message.lease_s or lease.lease_s
            lease.server = message.server_id or message.src

    def _on_nak(self, lease: Lease, message: DhcpMessage) -> None:
        lease.answered = True
        refused = Seen(message.time_ns, message.packet, "NAK")
        asked = tuple(lease.requests.seen)[-1:]
        lease.requests.clear()
        lease.nak, lease.nak_seen = message, (*asked, refused)

    def _compare(self, lease: Lease, message: DhcpMessage) -> None:
        """Check whether two servers give one client different settings."""
        server = message.server_id or message.src
        text = f"{message.type.upper()} of {message.your_ip} by {server}"
        mine = Offer(
            server,
            Seen(message.time_ns, message.packet, text),
            message.your_ip or "",
            _network_of(message),
            message.routers,
            message.dns,
            message.eth_src,
        )
        for other in lease.by_server.values():
            if (
                other.server == server
                or message.time_ns - other.seen.time_ns > LIMITS.offers_age_ns
            ):
                continue
            kind = mine.contradicts(other)
            if kind is not None:
                self.rogue = (other, mine, kind)
        self._compare_in_network(mine)
        lease.by_server[server] = mine
        while len(lease.by_server) > SERVERS_MAX:
            lease.by_server.popitem(last=False)

    def _compare_in_network(self, mine: Offer) -> None:
        """Servers of one network must give all its clients the same gateway and resolver. Different
        networks are no contradiction here: several may be mirrored.
        """
        if mine.network is None:
            return
        given = self._given.setdefault(mine.network, OrderedDict())
        while len(self._given) > NETWORKS_MAX:
            self._given.popitem(last=False)
        for other in given.values():
            late = mine.seen.time_ns - other.seen.time_ns > LIMITS.offers_age_ns
            if other.server != mine.server and not late:
                kind = mine.contradicts(other)
                if kind is not None:
                    self.rogue = (other, mine, kind)
        given[mine.server] = mine
        while len(given) > SERVERS_MAX:
            given.popitem(last=False)


def _network_of(message: DhcpMessage) -> str | None:
    if not message.your_ip:
        return None
    try:
        return str(ipaddress.ip_interface(f"{message.your_ip}/{message.mask or '24'}").network)
    except ValueError:
        return None
