"""The scope of an address: text or columns in, scope out.

*Internet* means: not private (RFC 1918, RFC 4193), link-local, multicast, broadcast, loopback nor
unspecified, and not in the site's own networks. Documentation and benchmark ranges therefore count
as internet, whatever `ipaddress.is_global` says of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from panotui.model import U8, U32, Bool

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SCOPES: tuple[str, ...] = (
    "internet",  # 0
    "private",  # 1 RFC 1918, RFC 4193
    "link-local",  # 2
    "loopback",  # 3
    "multicast",  # 4
    "broadcast",  # index 5: 255.255.255.255; only the site knows a subnet's own broadcast address
    "unspecified",  # 6 0.0.0.0/8, ::
)
INTERNET, PRIVATE, LINK_LOCAL, LOOPBACK, MULTICAST, BROADCAST, UNSPECIFIED = range(7)

_V4: tuple[tuple[str, int], ...] = (
    ("10.0.0.0/8", PRIVATE),
    ("172.16.0.0/12", PRIVATE),
    ("192.168.0.0/16", PRIVATE),
    ("169.254.0.0/16", LINK_LOCAL),
    ("127.0.0.0/8", LOOPBACK),
    ("224.0.0.0/4", MULTICAST),
    ("0.0.0.0/8", UNSPECIFIED),
    ("255.255.255.255/32", BROADCAST),
)
_V4_MASKS = tuple(
    (int(n.network_address), int(n.netmask), scope)
    for n, scope in ((ipaddress.IPv4Network(text), scope) for text, scope in _V4)
)


@lru_cache(maxsize=65_536)
def scope_of(address: str) -> int:
    """Index into `SCOPES`, without knowledge of the site. `ValueError` for invalid text."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        if mapped is None:
            return _scope6(ip.packed)
        ip = mapped
    value = int(ip)
    for network, mask, scope in _V4_MASKS:
        if value & mask == network:
            return scope
    return INTERNET


def _scope6(raw: bytes) -> int:
    if raw[0] == 0xFF:
        return MULTICAST
    if raw[0] & 0xFE == 0xFC:
        return PRIVATE
    if raw[0] == 0xFE and raw[1] & 0xC0 == 0x80:
        return LINK_LOCAL
    if raw == b"\0" * 15 + b"\1":
        return LOOPBACK
    if raw == b"\0" * 16:
        return UNSPECIFIED
    return INTERNET


def scopes_v4(values: U32) -> U8:
    """`scope_of` for IPv4 addresses as numbers (n,) -> (n,) uint8."""
    out = np.zeros(len(values), np.uint8)
    for network, mask, scope in _V4_MASKS:
        out[(values & np.uint32(mask)) == np.uint32(network)] = scope
    return out


def in_networks_v4(values: U32, networks: Iterable[IpNetwork]) -> Bool:
    """Mask of the IPv4 addresses (n,) that lie in any of the networks."""
    out = np.zeros(len(values), np.bool_)
    for network in networks:
        if isinstance(network, ipaddress.IPv4Network):
            mask = np.uint32(int(network.netmask))
            out |= (values & mask) == np.uint32(int(network.network_address))
    return out


def network(text: str) -> IpNetwork:
    """A CIDR or a single address as a network; host bits are cut off. `ValueError` for invalid
    text.
    """
    return ipaddress.ip_network(text, strict=False)
