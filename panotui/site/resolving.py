"""Combines the site file and the facts learnt from traffic into the facts of the site.

In: the site file, and `Learnt`, a view of the tables that `SiteView` fills. Out: `SiteFacts`. The
site file is never overruled; anything inferred beyond it is listed in `SiteFacts.inferred`.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from panotui.model import Site, mac_value
from panotui.site.addresses import IpNetwork, network
from panotui.site.facts import Client, SiteFacts, is_host, is_internet
from panotui.site.hosts import canonical_host, is_address


class Learnt(Struct, frozen=True):
    """The facts learnt from traffic so far. Tables are in order of learning and are only read
    here.
    """

    clients: Mapping[str, Client]  # by address
    servers: Collection[str]  # RTSP servers and senders of RTP
    arp: Mapping[str, int]  # IP -> MAC, as announced by the host itself
    mac_ips: Mapping[int, Collection[str]]  # MAC -> the addresses seen with it
    mac_ip6s: Mapping[int, Collection[str]]  # the same for IPv6, from neighbour discovery and flows
    router_macs: Collection[int]
    inside: Collection[str]  # public networks that neighbours use
    leases: Mapping[int, str]  # MAC -> address, by DHCP ACK
    dhcp_routers: Collection[str]
    dhcp_dns: Collection[str]
    dhcp_ntp: Collection[str]
    dhcp_nets: Collection[str]
    dns_servers: Collection[str]  # that answered
    ntp_servers: Collection[str]  # that answered
    fed: Mapping[str, Collection[str]]  # sender of media -> hosts that get them


ADDRESSES_MOST = 3  # of one port, without a site file


class _Port(Struct, frozen=True):
    role: str | None
    macs: frozenset[int]
    addresses: tuple[str, ...]


def resolve(site: Site, learnt: Learnt) -> SiteFacts:
    """The facts of the site as far as they are known now."""
    return _Resolving(site, learnt).facts()


class _Resolving:
    """One pass over the known facts; `guess` collects the names of inferred ones."""

    def __init__(self, site: Site, learnt: Learnt) -> None:
        self.site = site
        self.learnt = learnt
        self.guess: list[str] = []
        self.given_local = tuple(network(n) for n in site.network.local)
        self._used_inside = (*self.given_local, *map(network, learnt.inside))

    def facts(self) -> SiteFacts:
        site, guess = self.site, self.guess
        ports = {name: self._with_ipv6(name, port) for name, port in self._ports().items()}
        addresses: dict[str, str] = {}
        fixed = frozenset(n for n, p in site.ports.items() if p.address)
        for name, port in ports.items():
            for address in port.addresses:
                addresses.setdefault(address, name)
        macs = {mac: name for name, port in ports.items() for mac in port.macs}
        local = self._local(addresses)
        topology = site.site.topology
        roles: dict[str, str] = {n: port.role for n, port in site.ports.items() if port.role}
        if topology == "dual" and not roles:
            roles = {"eth0": "camera", "eth1": "cloud"}  # the order of the guide
        seen = {name: port.role for name, port in ports.items() if port.role} | roles
        if topology is None and len(ports) > 1:
            topology = "dual" if set(seen.values()) == {"camera", "cloud"} else None
            if topology:
                guess.append("topology")
        region = site.site.region
        if region is None:
            region = self._region(addresses)
            if region:
                guess.append("region")
        cameras = {canonical_host(c.address) or c.address: c.name for c in site.camera}
        if not cameras:
            cameras = {a: a for a in self.learnt.servers if a not in addresses}
            if cameras:
                guess.append("cameras")
        return SiteFacts(
            appliance_macs=macs,
            appliance_addresses=addresses,
            appliance_used=frozenset(
                (*addresses, *(a for a, m in self.learnt.arp.items() if m in macs and is_host(a)))
            ),
            fixed_ports=fixed,
            cameras=cameras,
            cameras_given=bool(site.camera),
            gateways=self._given_or(
                "gateways", site.network.gateways, self._seen_gateways(addresses)
            ),
            resolvers=self._given_or(
                "dns", site.network.dns, self.learnt.dhcp_dns or self.learnt.dns_servers
            ),
            time_servers=self._time_servers(),
            time_servers_given=bool(site.network.ntp),
            local=local,
            broadcasts=frozenset(
                str(n.broadcast_address)
                for n in local
                if isinstance(n, ipaddress.IPv4Network) and n.prefixlen < 31
            ),
            topology=topology,
            region=region,
            roles=roles,
            seen_roles=seen,
            interfaces={p.interface: n for n, p in site.ports.items() if p.interface},
            inside=tuple(n for n in map(network, self.learnt.inside) if n not in self.given_local),
            inferred=tuple(guess),
        )

    def _given_or(self, name: str, given: Iterable[str], seen: Iterable[str]) -> frozenset[str]:
        known = frozenset(canonical_host(a) or a for a in given)
        if known:
            return known
        found = frozenset(seen)
        if found:
            self.guess.append(name)
        return found

    def _is_internet(self, address: str) -> bool:
        return is_internet(address, self._used_inside)

    # -------------------------------------------------------------- the network

    def _time_servers(self) -> frozenset[str]:
        given = self.site.network.ntp
        if given:
            return frozenset(canonical_host(a) or a for a in given if is_address(a))
        inside = [a for a in self.learnt.ntp_servers if not self._is_internet(a)]
        return self._given_or("ntp", (), self.learnt.dhcp_ntp or inside)

    def _seen_gateways(self, appliance: dict[str, str]) -> set[str]:
        found = set(self.learnt.dhcp_routers)
        for address, mac in self.learnt.arp.items():
            if mac in self.learnt.router_macs and address not in appliance:
                found.add(address)
        return {a for a in found if not self._is_internet(a)}

    def _local(self, appliance: Collection[str]) -> tuple[IpNetwork, ...]:
        """The local networks, including the links of the appliance's IPv6 addresses (/64, RFC
        4291).
        """
        nets: dict[IpNetwork, None] = dict.fromkeys(self.given_local)
        for port in self.site.ports.values():
            if port.address and "/" in port.address:
                nets[ipaddress.ip_interface(port.address).network] = None
        if not nets:
            nets = {network(text): None for text in self.learnt.dhcp_nets}
            if nets:
                self.guess.append("local")
        for text in self.learnt.inside:
            own = ipaddress.IPv4Network(text)
            if not any(isinstance(n, ipaddress.IPv4Network) and own.subnet_of(n) for n in nets):
                nets[own] = None
        for address in appliance:
            if ":" in address and is_host(address):
                link = ipaddress.IPv6Network(f"{address}/64", strict=False)
                if not any(
                    isinstance(n, ipaddress.IPv6Network) and link.subnet_of(n) for n in nets
                ):
                    nets[link] = None
        return tuple(nets)

    def _region(self, appliance: dict[str, str]) -> str | None:
        total: Counter[str] = Counter()
        mine: Counter[str] = Counter()
        for address, client in self.learnt.clients.items():
            total.update(client.regions)
            if address in appliance:
                mine.update(client.regions)
        best = (mine or total).most_common(1)
        return best[0][0] if best else None

    # -------------------------------------------------------------- the appliance's ports

    def _ports(self) -> dict[str, _Port]:
        if not any(p.mac or p.address for p in self.site.ports.values()):
            return self._guess_named_ports()
        out: dict[str, _Port] = {}
        for name, given in self.site.ports.items():
            mac = mac_or_none(given.mac)
            address = given.address.split("/")[0] if given.address else None
            macs = {mac} if mac else set()
            if not mac and address:
                learnt = self._mac_of(address)
                if learnt:
                    macs = {learnt}
                    self.guess.append(f"ports.{name}.mac")
            addresses = [address] if address else []
            if not address and mac:
                addresses = self._addresses_of(mac)
                if addresses:
                    self.guess.append(f"ports.{name}.address")
            out[name] = _Port(given.role, frozenset(macs), tuple(addresses))
        return out

    def _with_ipv6(self, name: str, port: _Port) -> _Port:
        """The port with the IPv6 addresses that its MACs use, besides those of the site file."""
        macs = [m for m in sorted(port.macs) if m not in self.learnt.router_macs]
        more = [a for m in macs for a in self.learnt.mac_ip6s.get(m, ()) if a not in port.addresses]
        if not more:
            return port
        self.guess.append(f"ports.{name}.ipv6")
        return replace(port, addresses=(*port.addresses, *more))

    def _mac_of(self, address: str) -> int | None:
        """The MAC of a host on the segment: announced by ARP, or seen with only this address."""
        routers = self.learnt.router_macs
        mac = self.learnt.arp.get(address)
        if mac is not None and mac not in routers:
            return mac
        found = [m for m, ips in self.learnt.mac_ips.items() if list(ips) == [address]]
        return found[0] if len(found) == 1 and found[0] not in routers else None

    def _addresses_of(self, mac: int) -> list[str]:
        found = [a for a in self.learnt.mac_ips.get(mac, ()) if is_host(a)]
        lease = self.learnt.leases.get(mac)
        if lease and lease not in found:
            found.append(lease)
        return found

    def _guess_ports(self) -> dict[str, _Port]:
        """Recognise the appliance by its behaviour: it reads cameras with LIVE555 and connects to
        AWS IoT.
        """
        servers = set(self.learnt.servers)
        clients = {
            a: c
            for a, c in self.learnt.clients.items()
            if not self._is_internet(a) and a not in servers
        }
        scores = self._reader_scores(clients)
        reader = max(scores, key=lambda a: scores[a], default=None)
        forwarders = set(self.learnt.dns_servers)
        speakers = [a for a, c in clients.items() if c.iot and a not in forwarders]
        speaker = reader if reader in speakers else (speakers[0] if speakers else None)
        if reader is None and speaker is None:
            return {}
        self.guess.append("ports")
        if reader is None or speaker is None or self._is_one(reader, speaker):
            only = reader or speaker
            assert only is not None
            both = reader is not None and speaker is not None
            role = "both" if both else "camera" if reader else "cloud"
            name = "eth1" if role == "cloud" else "eth0"
            return {name: self._guessed(role, only)}
        return {"eth0": self._guessed("camera", reader), "eth1": self._guessed("cloud", speaker)}

    def _is_one(self, address: str, other: str) -> bool:
        """Both are one port's: it may have got another address meanwhile."""
        mac = self._mac_of(address)
        return address == other or (mac is not None and mac == self._mac_of(other))

    def _reader_scores(self, clients: Mapping[str, Client]) -> dict[str, tuple[int, bool]]:
        """How many signs each possible reader of cameras shows.

        A host that only gets the media began before the capture. One that asks and gets nothing,
        while others get the same cameras' media, is a stranger, unless it asks as the appliance
        does.
        """
        fed = self.learnt.fed
        cameras = {camera for client in clients.values() for camera in client.cameras}
        fed_by: Counter[str] = Counter(
            receiver
            for camera in cameras
            for receiver in fed.get(camera, ())
            if receiver not in self.learnt.servers and not self._is_internet(receiver)
        )
        out: dict[str, tuple[int, bool]] = {}
        for address, client in clients.items():
            gets = fed_by[address] > 0
            idle = not gets and any(fed.get(camera) for camera in client.cameras)
            if client.camera_score > 0 and (client.live555 or not idle):
                out[address] = (client.camera_score, client.iot)
        for address, count in fed_by.items():
            if address not in clients or not clients[address].cameras:
                out[address] = (min(count, 3), address in clients and clients[address].iot)
        return out

    def _guess_named_ports(self) -> dict[str, _Port]:
        """The guess, under the names and roles that the site file gives without addresses."""
        found = self._guess_ports()
        if not self.site.ports:
            return found
        by_role = {port.role: port for port in found.values()}
        out: dict[str, _Port] = {}
        for name, given in self.site.ports.items():
            port = by_role.get(given.role) or found.get(name) or _Port(None, frozenset(), ())
            out[name] = _Port(given.role or port.role, port.macs, port.addresses)
        return out

    def _guessed(self, role: str, address: str) -> _Port:
        mac = self._mac_of(address)
        if not mac:
            return _Port(role, frozenset(), (address,))
        # an address that it got meanwhile; of more it is one that answers for others
        more = [a for a, m in self.learnt.arp.items() if m == mac and a != address and is_host(a)]
        more = more if len(more) < ADDRESSES_MOST else []
        return _Port(role, frozenset({mac}), (address, *more))


def mac_or_none(text: str | None) -> int | None:
    """A MAC address as a number; None for an empty or invalid one."""
    try:
        return mac_value(text) if text else None
    except ValueError:
        return None
