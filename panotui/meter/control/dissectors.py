"""Dissectors of control packets: a packet in, its content out.

A dissector is a function from `ControlPacket` to `Dissected`; the table in `kinds` names one for
each kind. It may raise `Malformed`, or `IndexError` for a truncated packet. `from_sender` and
`from_address` turn a parser with the usual arguments into a dissector. A dissector that must
remember a flow's earlier packets is a class instead: each lane has its own instance.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from panotui.meter.control.packet import ControlPacket, Dissected
from panotui.model import AnyMessage
from panotui.wire import (
    arp,
    cdp,
    dhcp,
    discovery,
    dns,
    icmp,
    igmp,
    linkcontrol,
    lldp,
    ntp,
    quic,
    x509,
)
from panotui.wire.origin import Malformed, Origin

HELLOS_KEPT = 256
_RECORDS_FREE = 4  # of a DNS message; each further record weighs as much as a packet
_STUN_COOKIE = bytes.fromhex("2112a442")  # RFC 8489 section 5
_SNMP_PORTS = frozenset((161, 162))
_VRRP_PROTOCOL = 112
_LLDP, _SLOW, _EAPOL = 0x88CC, 0x8809, 0x888E  # ethertypes

Dissector: TypeAlias = Callable[[ControlPacket], Dissected]


@runtime_checkable
class FlowDissector(Protocol):
    """A dissector that remembers flows, up to a limit."""

    given_up: int  # flows forgotten before they were complete, for lack of room

    def __call__(self, packet: ControlPacket) -> Dissected: ...

    def forget(self, flows: Sequence[int]) -> None:
        """Flows have ended."""


def load() -> None:
    """Import now what the parsers import with their first packet.

    For a collector that is about to drop its privileges: the interpreter's own files may be out of
    reach then. It also keeps the imports off the packets' path.
    """
    import numpy.ma  # noqa: F401  numpy's set functions import it with some calls (10 ms)

    dns.load()
    x509.load()
    quic.load()


# ------------------------------------------------------------------ of parsers


def from_sender(
    parse: Callable[[bytes, Origin, str, str], AnyMessage | None], app: str | None = None
) -> Dissector:
    """A dissector from a parser of (bytes, origin, source address, source MAC). It reads a
    datagram's payload, or a frame behind its link header; then the address is "".
    """

    def dissect(packet: ControlPacket) -> Dissected:
        src = packet.addresses()[0] if packet.version else ""
        data = packet.body() if packet.version else packet.frame()
        return Dissected((parse(data, packet.origin, src, packet.sender()),), app)

    return dissect


def from_address(
    parse: Callable[[bytes, Origin, str], AnyMessage | None], app: str | None = None
) -> Dissector:
    """A dissector from a parser of (a datagram's payload, origin, source address)."""

    def dissect(packet: ControlPacket) -> Dissected:
        src, _ = packet.addresses()
        return Dissected((parse(packet.body(), packet.origin, src),), app)

    return dissect


# ------------------------------------------------------------------ the link


def address_resolution(packet: ControlPacket) -> Dissected:
    """ARP."""
    data = bytes(packet.data[packet.l3 : min(packet.frame_end, packet.l3 + 64)])
    return Dissected((arp.parse(data, packet.origin, packet.sender(), packet.vlan),))


def link(packet: ControlPacket) -> Dissected:
    """LLDP, CDP, 802.1X, the slow protocols (LACP), spanning tree."""
    return Dissected((_link_message(packet),))


def _link_message(packet: ControlPacket) -> AnyMessage | None:
    data, origin, sender = packet.frame(), packet.origin, packet.sender()
    if packet.ethertype == _LLDP:
        return lldp.parse(data, origin, sender)
    if packet.ethertype == _SLOW:
        return linkcontrol.parse_slow(data, origin, sender)
    if packet.ethertype == _EAPOL:
        return linkcontrol.parse_eapol(data, origin, sender)
    if data.startswith(linkcontrol.STP_LLC):
        return linkcontrol.parse_stp(data[3:], origin, sender)
    if data.startswith(linkcontrol.PVST_SNAP):
        return linkcontrol.parse_stp(data[8:], origin, sender)
    if data.startswith(cdp.SNAP):
        return cdp.parse(data[8 : packet.ethertype or None], origin, sender)
    return None


def pause(packet: ControlPacket) -> Dissected:
    """MAC control: PAUSE and PFC."""
    return Dissected((linkcontrol.parse_pause(packet.frame(), packet.origin, packet.sender()),))


# ------------------------------------------------------------------ beside UDP


def icmp_message(packet: ControlPacket) -> Dissected:
    """ICMP and ICMPv6, without multicast membership."""
    src, dst = packet.addresses()
    return Dissected((icmp.parse(packet.transport(), packet.origin, packet.version, src, dst),))


def membership(packet: ControlPacket) -> Dissected:
    """IGMP, and MLD, its IPv6 counterpart."""
    src, _ = packet.addresses()
    parse = igmp.parse if packet.version == 4 else igmp.parse_mld
    return Dissected((parse(packet.transport(), packet.origin, src, packet.sender()),))


def standby_router(packet: ControlPacket) -> Dissected:
    """VRRP and HSRP."""
    src, _ = packet.addresses()
    if packet.protocol == _VRRP_PROTOCOL:
        message = linkcontrol.parse_vrrp(packet.transport(), packet.origin, src, packet.sender())
        return Dissected((message,))
    return Dissected((linkcontrol.parse_hsrp(packet.body(), packet.origin, src, packet.sender()),))


# ------------------------------------------------------------------ datagrams


def names(transport: str, app: str) -> Dissector:
    """DNS messages; `transport` as in `DnsMessage`."""

    def dissect(packet: ControlPacket) -> Dissected:
        src, dst = packet.addresses()
        message = dns.parse(
            packet.body(), packet.origin, src, dst, packet.sport, packet.dport, transport
        )
        return Dissected((message,), app, _weight(len(message.answers)))

    return dissect


def multicast_names(packet: ControlPacket) -> Dissected:
    """mDNS: names, and announced services."""
    src, dst = packet.addresses()
    origin = packet.origin
    found = dns.split(packet.body())
    units = _weight(len(found.answers) + len(found.additional))
    messages: list[AnyMessage | None] = []
    try:
        messages.append(dns.message_of(found, origin, src, dst, packet.sport, packet.dport, "mdns"))
        messages.append(discovery.of_mdns(found, origin, src))
    except (Malformed, IndexError):
        return Dissected(tuple(messages), "mdns", units, malformed=True)
    return Dissected(tuple(messages), "mdns", units)


def _weight(records: int) -> int:
    """The extra weight, in packets, of a packet with many records."""
    return max(0, records - _RECORDS_FREE)


def address_lease(packet: ControlPacket) -> Dissected:
    """DHCP; only IPv4."""
    src, dst = packet.addresses()
    if packet.version != 4:
        return Dissected()
    message = dhcp.parse(packet.body(), packet.origin, src, dst, packet.sender())
    return Dissected((message,), "dhcp")


def network_time(packet: ControlPacket) -> Dissected:
    """NTP."""
    src, dst = packet.addresses()
    message = ntp.parse(packet.body(), packet.origin, src, dst, packet.sport, packet.dport)
    return Dissected((message,), "ntp")


def named_alone(packet: ControlPacket) -> Dissected:
    """Protocols of which only the name is reported."""
    body = packet.body()
    if body[4:8] == _STUN_COOKIE:
        return Dissected(app="stun")
    if body[:1] == b"<" and b">" in body[:5]:
        return Dissected(app="syslog")
    if body[:1] == b"\x30" and not _SNMP_PORTS.isdisjoint((packet.sport, packet.dport)):
        return Dissected(app="snmp")
    return Dissected()


class QuicHellos:
    """The ClientHello of QUIC connections, from one or several Initials."""

    def __init__(self) -> None:
        self.given_up = 0
        self._hellos: OrderedDict[int, quic.Hello] = OrderedDict()

    def __call__(self, packet: ControlPacket) -> Dissected:
        flow = packet.origin.flow
        hello = self._hellos.get(flow)
        if hello is None:
            hello = self._hellos[flow] = quic.Hello()
            if len(self._hellos) > HELLOS_KEPT:
                _, oldest = self._hellos.popitem(last=False)
                self.given_up += not oldest.done
        else:
            self._hellos.move_to_end(flow)
        if hello.done:
            return Dissected(app="quic")
        try:
            return Dissected((hello.feed(packet.body(), packet.origin),), "quic")
        except (Malformed, IndexError):
            return Dissected(app="quic", malformed=True)

    def forget(self, flows: Sequence[int]) -> None:
        """Flows have ended."""
        hellos = self._hellos
        for flow in flows:
            if flow in hellos:
                del hellos[flow]
