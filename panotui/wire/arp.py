"""ARP (RFC 826, RFC 5227) over Ethernet for IPv4: header bytes in, `ArpMessage` out.

Other hardware or protocol types (InARP over ATM, RARP's own ethertype) do not matter to a site and
give None; an inconsistent or truncated header is `Malformed`.
"""

from __future__ import annotations

import struct

from panotui.model import ArpMessage
from panotui.wire.addresses import ip_text, mac_bytes_text
from panotui.wire.origin import Malformed, Origin

_FIXED = struct.Struct("!HHBBH")
ETHERNET, IPV4 = 1, 0x0800


def parse(data: bytes, origin: Origin, eth_src: str = "", vlan: int = -1) -> ArpMessage | None:
    """An ARP packet from its first byte; `eth_src` is the frame's source address."""
    if len(data) < 8:
        raise Malformed("ARP shorter than its fixed part")
    hardware, protocol, hardware_length, protocol_length, op = _FIXED.unpack_from(data)
    if hardware not in (ETHERNET, 6) or protocol != IPV4:
        return None
    if hardware_length != 6 or protocol_length != 4:
        raise Malformed("ARP with lengths that are not Ethernet's and IPv4's")
    if len(data) < 28:
        raise Malformed("ARP cut short")
    if op not in (1, 2):
        return None
    return ArpMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=-1,
        op=op,
        eth_src=eth_src,
        sender_mac=mac_bytes_text(data[8:14]),
        sender_ip=ip_text(data[14:18]),
        target_mac=mac_bytes_text(data[18:24]),
        target_ip=ip_text(data[24:28]),
        vlan=vlan,
    )
