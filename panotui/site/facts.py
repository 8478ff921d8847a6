"""The roles of the hosts in a site, at one instant."""

from __future__ import annotations

import ipaddress
from collections import Counter
from functools import lru_cache
from typing import Final

from msgspec import Struct, field

from panotui.model import mac_text
from panotui.site.addresses import (
    BROADCAST,
    INTERNET,
    LOOPBACK,
    MULTICAST,
    UNSPECIFIED,
    IpNetwork,
    scope_of,
)


class Who:
    """The roles of an address, as bits; it may have several (a gateway that is also the
    resolver).
    """

    APPLIANCE: Final = 1
    CAMERA: Final = 2
    GATEWAY: Final = 4
    RESOLVER: Final = 8
    TIME_SERVER: Final = 16
    LOCAL: Final = 32
    INTERNET: Final = 64
    LINK_LOCAL: Final = 128
    MULTICAST: Final = 256
    BROADCAST: Final = 512
    LOOPBACK: Final = 1024
    UNSPECIFIED: Final = 2048


GROUP: Final = Who.MULTICAST | Who.BROADCAST


PEER_BITS: dict[str, int] = {
    "appliance": Who.APPLIANCE,
    "camera": Who.CAMERA,
    "gateway": Who.GATEWAY,
    "resolver": Who.RESOLVER,
    "time-server": Who.TIME_SERVER,
    "local": Who.LOCAL,
    "internet": Who.INTERNET,
    "link-local": Who.LINK_LOCAL,
    "multicast": Who.MULTICAST,
    "broadcast": Who.BROADCAST,
    "any": -1,
}


class SiteFacts(Struct, frozen=True):
    """The facts about a site at one time; compared by value."""

    appliance_macs: dict[int, str] = field(default_factory=dict)  # MAC -> port's name
    appliance_addresses: dict[str, str] = field(default_factory=dict)  # address -> port's name
    # all of them, and those that its MACs use against the site file
    appliance_used: frozenset[str] = frozenset()
    fixed_ports: frozenset[str] = frozenset()  # ports whose address the site file names
    cameras: dict[str, str] = field(default_factory=dict)  # address -> name
    cameras_given: bool = False  # by the site file
    gateways: frozenset[str] = frozenset()
    resolvers: frozenset[str] = frozenset()
    time_servers: frozenset[str] = frozenset()
    time_servers_given: bool = False
    local: tuple[IpNetwork, ...] = ()
    inside: tuple[IpNetwork, ...] = ()  # public networks that the site uses internally
    broadcasts: frozenset[str] = frozenset()
    topology: str | None = None
    region: str | None = None
    roles: dict[str, str] = field(default_factory=dict)  # port's name -> role, given (or by guide)
    seen_roles: dict[str, str] = field(default_factory=dict)  # the same, completed from traffic
    interfaces: dict[str, str] = field(default_factory=dict)  # capture interface -> port's name
    inferred: tuple[str, ...] = ()

    def askers(self, client: str) -> tuple[str, ...]:
        """Hosts whose DNS queries count for a client besides its own: the site's resolvers query on
        behalf of everyone, and the appliance may query from one of its addresses and use another.
        """
        if client in self.appliance_addresses:
            return (*self.appliance_addresses, *self.resolvers)
        return tuple(self.resolvers)

    @property
    def appliance_known(self) -> bool:
        return bool(self.appliance_macs or self.appliance_addresses)

    def port_mac(self, name: str) -> str | None:
        """The MAC address of an appliance's port, as text."""
        return next((mac_text(m) for m, port in self.appliance_macs.items() if port == name), None)


class Client(Struct):
    """The signs that a host is the appliance."""

    live555: bool = False
    iot: bool = False
    cameras: set[str] = field(default_factory=set)
    regions: Counter[str] = field(default_factory=Counter)

    @property
    def camera_score(self) -> int:
        return 4 * self.live555 + min(len(self.cameras), 3)


class MediaSession(Struct, frozen=True):
    """The RTSP session that negotiated a media port."""

    client: str
    server: str
    server_port: int


def is_host(address: str) -> bool:
    return scope_of(address) not in (UNSPECIFIED, MULTICAST, BROADCAST, LOOPBACK)


class _Masks:
    """Networks by version and host bits. A lookup takes one step per prefix length, however many
    networks an attacker announces.
    """

    def __init__(self, networks: tuple[IpNetwork, ...]) -> None:
        self.networks = networks
        sets: dict[tuple[int, int], set[int]] = {}
        for one in networks:
            shift = one.max_prefixlen - one.prefixlen
            sets.setdefault((one.version, shift), set()).add(int(one.network_address) >> shift)
        self.by_shift = {
            version: [(shift, numbers) for (v, shift), numbers in sets.items() if v == version]
            for version in (4, 6)
        }


_newest = _Masks(())  # the same networks are asked for again and again


@lru_cache(maxsize=16_384)
def _number(address: str) -> tuple[int, int]:
    """(version, value) of an address."""
    ip = ipaddress.ip_address(address)
    return ip.version, int(ip)


def inside(address: str, networks: tuple[IpNetwork, ...]) -> bool:
    """Whether an address lies in one of the networks; ValueError for invalid text."""
    global _newest
    if _newest.networks is not networks:
        _newest = _Masks(networks)
    if not networks:
        return False
    version, value = _number(address)
    by_shift = _newest.by_shift[version]
    if len(by_shift) == 1:  # a site of one network
        shift, numbers = by_shift[0]
        return value >> shift in numbers
    return any(value >> shift in numbers for shift, numbers in by_shift)


def is_internet(address: str, local: tuple[IpNetwork, ...]) -> bool:
    """Whether an address is on the internet; `local` are networks that count as the site's."""
    try:
        if scope_of(address) != INTERNET:
            return False
    except ValueError:
        return False
    return not inside(address, local)
