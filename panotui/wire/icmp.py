"""ICMP (RFC 792, 1191, 4884) and ICMPv6 (RFC 4443, 4861): bytes from the ICMP header in,
`IcmpMessage` out.

Errors carry the addresses, protocol and ports of the packet that they quote, so that its flow can
be found; neighbour discovery carries its target and link-layer address; redirects and router
advertisements carry the router. Multicast listener messages have a `group`.
"""

from __future__ import annotations

from panotui.model import IcmpMessage
from panotui.wire.addresses import ip_text, mac_bytes_text
from panotui.wire.origin import Malformed, Origin

_QUOTING_4 = frozenset((3, 4, 5, 11, 12))
_QUOTING_6 = frozenset((1, 2, 3, 4))
_PORTED = frozenset((6, 17, 33, 132, 136))  # TCP, UDP, DCCP, SCTP, UDP-Lite
# Extension headers before the transport in a quoted IPv6 packet.
_EXTENSIONS = frozenset((0, 43, 60, 135, 139, 140))
_FRAGMENT, _AUTHENTICATION = 44, 51

Quoted = tuple[str, str, int, int | None, int | None]
_NOTHING: tuple[None, None, None, None, None] = (None, None, None, None, None)


def parse(data: bytes, origin: Origin, version: int, src: str, dst: str) -> IcmpMessage:
    """An ICMP message of IP `version` from its type byte on."""
    if len(data) < 4:
        raise Malformed("ICMP shorter than its header")
    kind, code = data[0], data[1]
    mtu: int | None = None
    target: str | None = None
    target_mac: str | None = None
    quoted: Quoted | tuple[None, None, None, None, None] = _NOTHING
    if version == 4:
        if kind in _QUOTING_4:
            quoted = quoted_packet(data[8:]) or _NOTHING
            if kind == 3 and code == 4 and len(data) >= 8:
                mtu = int.from_bytes(data[6:8], "big") or None
            elif kind == 5 and len(data) >= 8:
                target = ip_text(data[4:8])
    elif kind in _QUOTING_6:
        quoted = quoted_packet(data[8:]) or _NOTHING
        if kind == 2 and len(data) >= 8:
            mtu = int.from_bytes(data[4:8], "big") or None
    elif 133 <= kind <= 137:
        target, target_mac, mtu = _neighbour(kind, data)
    return IcmpMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        version=version,
        src=src,
        dst=dst,
        type=kind,
        code=code,
        mtu=mtu,
        quoted_src=quoted[0],
        quoted_dst=quoted[1],
        quoted_protocol=quoted[2],
        quoted_sport=quoted[3],
        quoted_dport=quoted[4],
        target=target,
        target_mac=target_mac,
    )


def quoted_packet(data: bytes) -> Quoted | None:
    """(source, destination, protocol, sport, dport) of a quoted IP packet; None if unreadable.

    Ports are None if the protocol has none, for later fragments, or if they were cut off.
    """
    if len(data) < 20:
        return None
    version = data[0] >> 4
    if version == 4:
        header = (data[0] & 15) * 4
        if header < 20:
            return None
        protocol = data[9]
        later_fragment = (int.from_bytes(data[6:8], "big") & 0x1FFF) != 0
        src, dst = ip_text(data[12:16]), ip_text(data[16:20])
    elif version == 6 and len(data) >= 40:
        protocol, header, later_fragment = data[6], 40, False
        src, dst = ip_text(data[8:24]), ip_text(data[24:40])
        for _ in range(8):
            if header + 8 > len(data):
                break
            if protocol in _EXTENSIONS:
                protocol, header = data[header], header + 8 * (data[header + 1] + 1)
            elif protocol == _FRAGMENT:
                later_fragment = (int.from_bytes(data[header + 2 : header + 4], "big") >> 3) != 0
                protocol, header = data[header], header + 8
            elif protocol == _AUTHENTICATION:
                protocol, header = data[header], header + 4 * (data[header + 1] + 2)
            else:
                break
    else:
        return None
    if protocol in _PORTED and not later_fragment and len(data) >= header + 4:
        sport = int.from_bytes(data[header : header + 2], "big")
        dport = int.from_bytes(data[header + 2 : header + 4], "big")
        return src, dst, protocol, sport, dport
    return src, dst, protocol, None, None


def _neighbour(kind: int, data: bytes) -> tuple[str | None, str | None, int | None]:
    """(target, link-layer address, MTU) of RS 133, RA 134, NS 135, NA 136, redirect 137."""
    start = {133: 8, 134: 16, 135: 24, 136: 24, 137: 40}[kind]
    if len(data) < start:
        raise Malformed("neighbour discovery cut short")
    target = ip_text(data[8:24]) if kind >= 135 else None
    mac: str | None = None
    mtu: int | None = None
    at = start
    while at + 8 <= len(data):
        option, size = data[at], data[at + 1] * 8
        if size == 0:
            raise Malformed("neighbour discovery option of no length")
        if option in (1, 2) and at + size <= len(data) and mac is None:
            mac = mac_bytes_text(data[at + 2 : at + 8])
        elif option == 5:
            mtu = int.from_bytes(data[at + 4 : at + 8], "big")
        at += size
    return target, mac, mtu
