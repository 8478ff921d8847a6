"""The kinds of control packets: one table, and the arrays derived from it.

A row of `KINDS` says which headers identify packets of a kind, what share of a second's budget they
may use, and which dissector reads them. The look-up arrays here, the shares of `budget` and the
handlers of `lane` are derived from it: a new protocol is a new row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from panotui.meter.control import dissectors
from panotui.meter.control.dissectors import Dissector, FlowDissector
from panotui.model import I64, U8, U16, Bool
from panotui.wire import discovery, ptp, quic
from panotui.wire.columns import Columns
from panotui.wire.protocols import ICMP, ICMP6, IGMP, TCP, UDP, VRRP


class Kind(Struct, frozen=True, kw_only=True):
    """A kind of control packets. It needs at least one identifying header field."""

    name: str
    dissector: Dissector | type[FlowDissector]
    share: float = 0.0  # of the second's budget, only for this kind
    per_second: int = 0  # packets per second instead of a share
    may_draw_on_pool: bool = False  # may use the pool after its own share
    udp_ports: tuple[int, ...] = ()
    protocols: tuple[int, ...] = ()  # of IP
    icmp_types: tuple[int, ...] = ()
    icmp6_types: tuple[int, ...] = ()
    ethertypes: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()  # LLC frames to these MAC addresses, whatever their last 4 bits


# Group addresses of bridges (STP, LLDP, LACP: 01:80:c2:00:00:0x) and of Cisco (CDP, PVST).
_BRIDGE_GROUP, _CISCO_GROUP = 0x0180C2000000, 0x01000CCCCCC0
_GROUP_MASK = np.uint64(0xFFFFFFFFFFF0)

# If both ports of a datagram are in the table, the later kind wins (a query from port 5353 to 53 is
# DNS). Kinds that anyone can flood and that carry little (echo, PAUSE) may not use the pool.
KINDS: tuple[Kind, ...] = (
    Kind(
        name="arp",
        ethertypes=(0x0806,),
        share=0.10,
        may_draw_on_pool=True,
        dissector=dissectors.address_resolution,
    ),
    Kind(
        name="link",  # LLDP, slow protocols, 802.1X; CDP and spanning tree by their groups
        ethertypes=(0x88CC, 0x8809, 0x888E),
        groups=(_BRIDGE_GROUP, _CISCO_GROUP),
        share=0.03,
        may_draw_on_pool=True,
        dissector=dissectors.link,
    ),
    Kind(name="pause", ethertypes=(0x8808,), share=0.03, dissector=dissectors.pause),
    Kind(
        name="icmp",  # all types except those of the kinds below
        protocols=(ICMP, ICMP6),
        share=0.06,
        may_draw_on_pool=True,
        dissector=dissectors.icmp_message,
    ),
    Kind(
        name="neighbour",
        icmp6_types=(133, 134, 135, 136, 137),
        share=0.04,
        may_draw_on_pool=True,
        dissector=dissectors.icmp_message,
    ),
    Kind(
        name="echo",
        icmp_types=(0, 8),
        icmp6_types=(128, 129),
        share=0.01,
        dissector=dissectors.icmp_message,
    ),
    Kind(
        name="igmp",
        protocols=(IGMP,),
        icmp6_types=(130, 131, 132, 143),  # MLD
        share=0.02,
        may_draw_on_pool=True,
        dissector=dissectors.membership,
    ),
    Kind(
        name="router",  # VRRP, HSRP
        protocols=(VRRP,),
        udp_ports=(1985, 2029),
        share=0.01,
        may_draw_on_pool=True,
        dissector=dissectors.standby_router,
    ),
    Kind(
        name="named",  # SNMP, syslog, STUN
        udp_ports=(161, 162, 514, 3478),
        share=0.01,
        dissector=dissectors.named_alone,
    ),
    Kind(
        name="ptp",
        udp_ports=(319, 320),
        ethertypes=(0x88F7,),
        share=0.02,  # a master sends its times often per second, its name only now and then
        dissector=dissectors.from_sender(ptp.parse, "ptp"),
    ),
    Kind(name="quic", udp_ports=quic.PORTS, per_second=50, dissector=dissectors.QuicHellos),
    Kind(
        name="nbns",
        udp_ports=(137,),
        share=0.005,
        dissector=dissectors.from_address(discovery.parse_netbios),
    ),
    Kind(
        name="wsd",
        udp_ports=(3702,),
        share=0.01,
        dissector=dissectors.from_address(discovery.parse_ws_discovery, "ws-discovery"),
    ),
    Kind(
        name="ssdp",
        udp_ports=(1900,),
        share=0.01,
        dissector=dissectors.from_address(discovery.parse_ssdp, "ssdp"),
    ),
    Kind(name="llmnr", udp_ports=(5355,), share=0.01, dissector=dissectors.names("llmnr", "llmnr")),
    Kind(name="mdns", udp_ports=(5353,), share=0.02, dissector=dissectors.multicast_names),
    Kind(
        name="ntp",
        udp_ports=(123,),
        share=0.03,
        may_draw_on_pool=True,
        dissector=dissectors.network_time,
    ),
    Kind(
        name="dhcp",
        udp_ports=(67, 68),
        share=0.03,
        may_draw_on_pool=True,
        dissector=dissectors.address_lease,
    ),
    Kind(
        name="dns",
        udp_ports=(53,),
        share=0.10,
        may_draw_on_pool=True,
        dissector=dissectors.names("udp", "dns"),
    ),
)

NONE = 0  # the number for "no kind"; row i of the table has the number i + 1
NUMBERS = len(KINDS) + 1
NUMBER = {kind.name: number for number, kind in enumerate(KINDS, 1)}
_ICMP, _QUIC = NUMBER["icmp"], NUMBER["quic"]


def _look_up(size: int, field: str, unknown: int = NONE) -> U8:
    """The kind's number for each value of a header field, (size,) uint8."""
    table: U8 = np.full(size, unknown, np.uint8)
    for number, kind in enumerate(KINDS, 1):
        table[list(getattr(kind, field))] = number
    return table


_OF_PORT = _look_up(65_536, "udp_ports")
_OF_PROTOCOL = _look_up(256, "protocols")
_OF_ICMP_TYPE = np.stack(  # row 1: ICMPv6
    (_look_up(256, "icmp_types", _ICMP), _look_up(256, "icmp6_types", _ICMP))
)
_OF_ETHERTYPE = _look_up(65_536, "ethertypes")
_OF_GROUP = tuple(
    (np.uint64(group), number) for number, kind in enumerate(KINDS, 1) for group in kind.groups
)


def control_mask(columns: Columns) -> Bool:
    """Mask (n,) of the control packets, by headers only.

    UDP to `quic.PORTS` counts only if the datagram has at least the size of a client's Initial; the
    lane then checks the long header of all of them at once.
    """
    mask: Bool = kinds_of(columns, None) != NONE
    return mask


def kinds_of(columns: Columns, rows: I64 | None) -> U8:
    """The number of each row's kind, (n,) uint8; None stands for all rows."""

    def pick(column: NDArray[Any]) -> NDArray[Any]:
        return column if rows is None else column[rows]

    protocol, version = pick(columns.protocol), pick(columns.version)
    udp = protocol == UDP
    kind: U8 = np.maximum(_OF_PORT.take(pick(columns.sport)), _OF_PORT.take(pick(columns.dport)))
    kind *= udp
    rest = np.flatnonzero(~udp & (protocol != TCP))  # neither has a kind of its own
    kind[rest] |= _OF_PROTOCOL[protocol[rest]]
    fragment = pick(columns.fragment)
    if fragment.any():
        kind[fragment == 2] = NONE
    if (kind == _QUIC).any():
        short = pick(columns.payload_length) < quic.INITIAL_BYTES
        server = _OF_PORT[pick(columns.sport)] == _QUIC
        kind[(kind == _QUIC) & (short | server)] = NONE
    _split_icmp(kind, version, protocol, pick(columns.sport))
    other = np.flatnonzero(version == 0)
    if len(other):
        kind[other] = _link_kinds(
            pick(columns.ethertype)[other], pick(columns.dst_mac)[other], pick(columns.l3)[other]
        )
    return kind


def _split_icmp(kind: U8, version: U8, protocol: U8, type_: U16) -> None:
    """Separate errors, echoes, neighbour discovery and listener reports, in place."""
    at = np.flatnonzero(kind == _ICMP)
    if not len(at):
        return
    six = version[at] == 6
    kind[at] = _OF_ICMP_TYPE[six.astype(np.int64), type_[at] & 255]
    # ICMP in IPv6 and ICMPv6 in IPv4 have no meaning
    kind[at[six != (protocol[at] == ICMP6)]] = NONE


def _link_kinds(ethertype: U16, dst_mac: NDArray[np.uint64], l3: I64) -> U8:
    kind: U8 = _OF_ETHERTYPE.take(ethertype)
    group = dst_mac & _GROUP_MASK
    llc = ethertype <= 1500
    for address, number in _OF_GROUP:
        kind[llc & (group == address)] = number
    kind[l3 < 0] = NONE
    return kind


def wanted(data: U8, columns: Columns, rows: I64, kind: U8) -> Bool:
    """Mask (n,) of the rows that are control packets by their bytes too: of those that may be QUIC,
    only the ones that begin like a client's Initial.
    """
    keep: Bool = kind != NONE
    initials = np.flatnonzero(kind == _QUIC)
    if len(initials):
        keep[initials] = _long_headers(data, columns, rows[initials])
    return keep


def _long_headers(data: U8, columns: Columns, rows: I64) -> Bool:
    """Mask (len(rows),) of datagrams that begin like a client's QUIC Initial of version 1 or 2."""
    whole = columns.payload_captured[rows] >= quic.INITIAL_BYTES
    at = np.where(whole, columns.payload[rows], 0)
    first = data[at]
    version = np.zeros(len(rows), np.int64)
    for i in range(1, 5):
        version = version << 8 | data[at + i]
    found: Bool = whole & (first & 0xC0 == 0xC0) & np.isin(version, quic.VERSIONS)
    found &= first >> 4 & 3 == np.where(version == quic.V2, 1, 0)
    return found


def handlers() -> list[Dissector]:
    """A dissector for each row of the table; new instances of those that remember flows."""
    return [
        kind.dissector() if isinstance(kind.dissector, type) else kind.dissector for kind in KINDS
    ]
