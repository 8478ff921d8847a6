"""The control lane: the few packets with news, taken one at a time under a budget.

In: the batch, its columns and the rows that `control_mask` picked (ARP, link control, ICMP, IGMP,
DNS, DHCP, NTP, discovery, QUIC Initials), and the first payloads of TCP flows. Out: the messages of
`model.py`, the lane of each TCP direction from then on, and what each flow looks like. What is over
the budget of a second of packet time is counted and never looked at; every kind of packet has a
share of its own, so that a flood of one cannot hide the others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from panotui.meter.control.established import Established
from panotui.meter.control.opening import RTSP_APPS, RTSPS_PORT, TLS_PORTS, Opening
from panotui.meter.lanes import LANE_BULK, LANE_RTSP
from panotui.model import (
    APPS,
    I64,
    SECOND,
    U8,
    U16,
    AnyMessage,
    Bool,
    MeterSettings,
    PacketBatch,
    TlsCertificate,
    mac_text,
)
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
from panotui.wire.addresses import ip_text
from panotui.wire.columns import SNAPPED, Columns
from panotui.wire.origin import Malformed, Origin

# Kinds of control packets, each with a budget of its own; 0 is no control packet. Where both ports
# of a datagram are known, the later kind here is meant (a query from port 5353 to 53 is DNS).
(
    _NONE,
    _ARP,
    _LINK,
    _PAUSE,
    _ICMP,
    _NEIGHBOUR,
    _ECHO,
    _IGMP,
    _ROUTER,
    _NAMED,
    _QUIC,
    _NBNS,
    _WSD,
    _SSDP,
    _LLMNR,
    _MDNS,
    _NTP,
    _DHCP,
    _DNS,
) = range(19)
_KINDS = 19

# Share of the second's budget that a kind has for itself, and whether it may also draw on the
# common half. What anyone can send without end and that says little (echo, PAUSE) may not.
_SHARES: dict[int, tuple[float, bool]] = {
    _ARP: (0.10, True),
    _LINK: (0.03, True),
    _PAUSE: (0.03, False),
    _ICMP: (0.06, True),
    _NEIGHBOUR: (0.04, True),
    _ECHO: (0.01, False),
    _IGMP: (0.02, True),
    _ROUTER: (0.01, True),
    _DNS: (0.10, True),
    _DHCP: (0.03, True),
    _NTP: (0.03, True),
    _MDNS: (0.02, False),
    _LLMNR: (0.01, False),
    _SSDP: (0.01, False),
    _WSD: (0.01, False),
    _NBNS: (0.005, False),
    _NAMED: (0.01, False),
}
_COMMON_SHARE = 0.5
_QUIC_PER_SECOND = 50
# TCP payloads a second, as multiples of `control_per_second`: cameras and the cloud have their own,
# so that a flood of other connections cannot hide them.
_PAYLOAD_SHARES = (2, 1, 2)  # other ports, RTSP ports, TLS ports
_CERTIFICATE_COST = 20  # payloads that reading a certificate weighs
_RECORDS_A_UNIT = 4  # DNS records that weigh a packet
_SECONDS_KEPT = 4

_UDP_PORTS: dict[int, int] = {
    161: _NAMED,
    162: _NAMED,
    514: _NAMED,
    3478: _NAMED,
    53: _DNS,
    67: _DHCP,
    68: _DHCP,
    123: _NTP,
    137: _NBNS,
    1900: _SSDP,
    1985: _ROUTER,
    2029: _ROUTER,
    3702: _WSD,
    5353: _MDNS,
    5355: _LLMNR,
    **dict.fromkeys(quic.PORTS, _QUIC),
}
_PORT_KIND: U8 = np.zeros(65_536, np.uint8)
for _port, _kind in _UDP_PORTS.items():
    _PORT_KIND[_port] = _kind

_TCP, _UDP = 6, 17
_ICMP4_PROTOCOL, _IGMP_PROTOCOL, _ICMP6_PROTOCOL, _VRRP_PROTOCOL = 1, 2, 58, 112
_PROTOCOL_KIND: U8 = np.zeros(256, np.uint8)
_PROTOCOL_KIND[[_ICMP4_PROTOCOL, _ICMP6_PROTOCOL]] = _ICMP
_PROTOCOL_KIND[_IGMP_PROTOCOL] = _IGMP
_PROTOCOL_KIND[_VRRP_PROTOCOL] = _ROUTER

_ETHERTYPE_KIND = {
    0x0806: _ARP,
    0x88CC: _LINK,
    0x8809: _LINK,
    0x888E: _LINK,
    0x8808: _PAUSE,
}
# Group addresses of bridges (STP, LLDP, LACP: 01:80:c2:00:00:0x) and of Cisco (CDP, PVST).
_BRIDGE_GROUP, _CISCO_GROUP = 0x0180C2000000, 0x01000CCCCCC0

_APP = {name: number for number, name in reversed(list(enumerate(APPS))) if name is not None}
_STUN_COOKIE = bytes.fromhex("2112a442")  # RFC 8489 section 5
_PACKET_NUMBER = attrgetter("packet")
_TALKS_KEPT = 1024
_TALK_BYTES_KEPT = 16 << 20
_QUIC_KEPT = 256


class _Packet(NamedTuple):
    """One control packet as its handler needs it."""

    origin: Origin
    data: memoryview
    l3: int
    l4: int
    payload: int
    payload_end: int
    frame_end: int
    version: int
    protocol: int
    ethertype: int
    sport: int
    dport: int
    src_mac: int
    vlan: int

    def body(self) -> bytes:
        return bytes(self.data[self.payload : self.payload_end])

    def addresses(self) -> tuple[str, str]:
        at = self.l3
        if self.version == 4:
            return (
                ip_text(bytes(self.data[at + 12 : at + 16])),
                ip_text(bytes(self.data[at + 16 : at + 20])),
            )
        return (
            ip_text(bytes(self.data[at + 8 : at + 24])),
            ip_text(bytes(self.data[at + 24 : at + 40])),
        )

    def transport(self) -> bytes:
        """Bytes from the transport header to the end of the IP packet."""
        at = self.l4
        if at < 0:
            at = self.l3 + (self.data[self.l3] & 15) * 4 if self.version == 4 else self.l3 + 40
        return bytes(self.data[at : self._ip_end()])

    def _ip_end(self) -> int:
        data, at = self.data, self.l3
        if self.version == 4:
            size = data[at + 2] << 8 | data[at + 3]
        else:
            size = (data[at + 4] << 8 | data[at + 5]) + 40
        return min(self.frame_end, at + size) if size > 20 else self.frame_end


def load_dissectors() -> None:
    """Import now what the parsers import with their first packet.

    For a collector that is about to give up its privileges: the interpreter's own files may be out
    of reach then. It also takes the imports off the packets' path.
    """
    import numpy.ma  # noqa: F401  numpy's set functions import it with their first call (0.2 s)

    dns.load()
    x509.load()
    quic.load()


def control_mask(columns: Columns) -> Bool:
    """Which rows are control packets, (n,) bool; by headers alone.

    UDP towards `quic.PORTS` counts only where the datagram is as long as a client's Initial must
    be; the lane then looks for the long header in all of them at once.
    """
    mask: Bool = _kinds(columns, None) != _NONE
    return mask


def _kinds(columns: Columns, rows: I64 | None) -> U8:
    """The kind of each row, (n,) uint8."""

    def pick(column: NDArray[Any]) -> NDArray[Any]:
        return column if rows is None else column[rows]

    protocol, version = pick(columns.protocol), pick(columns.version)
    udp = protocol == _UDP
    kind: U8 = np.maximum(
        _PORT_KIND.take(pick(columns.sport)), _PORT_KIND.take(pick(columns.dport))
    )
    kind *= udp
    rest = np.flatnonzero(~udp & (protocol != _TCP))  # neither has a kind of its own
    kind[rest] |= _PROTOCOL_KIND[protocol[rest]]
    fragment = pick(columns.fragment)
    if fragment.any():
        kind[fragment == 2] = _NONE
    if (kind == _QUIC).any():
        short = pick(columns.payload_length) < quic.INITIAL_BYTES
        server = _PORT_KIND[pick(columns.sport)] == _QUIC
        kind[(kind == _QUIC) & (short | server)] = _NONE
    _split_icmp(kind, version, protocol, pick(columns.sport))
    other = np.flatnonzero(version == 0)
    if len(other):
        kind[other] = _link_kinds(
            pick(columns.ethertype)[other], pick(columns.dst_mac)[other], pick(columns.l3)[other]
        )
    return kind


def _split_icmp(kind: U8, version: U8, protocol: U8, type_: U16) -> None:
    """Tell errors, echoes, neighbour discovery and listener reports apart, in place."""
    at = np.flatnonzero(kind == _ICMP)
    if not len(at):
        return
    six = version[at] == 6
    # ICMP in IPv6 and ICMPv6 in IPv4 mean nothing
    odd = six != (protocol[at] == _ICMP6_PROTOCOL)
    types = type_[at]
    echo = np.where(six, (types == 128) | (types == 129), (types == 0) | (types == 8))
    neighbour = six & (types >= 133) & (types <= 137)
    listener = six & (((types >= 130) & (types <= 132)) | (types == 143))
    kind[at[echo]] = _ECHO
    kind[at[neighbour]] = _NEIGHBOUR
    kind[at[listener]] = _IGMP
    kind[at[odd]] = _NONE


def _link_kinds(ethertype: U16, dst_mac: NDArray[np.uint64], l3: I64) -> U8:
    kind = np.zeros(len(ethertype), np.uint8)
    for number, name in _ETHERTYPE_KIND.items():
        kind[ethertype == number] = name
    group = dst_mac & np.uint64(0xFFFFFFFFFFF0)
    llc = (ethertype <= 1500) & ((group == _BRIDGE_GROUP) | (group == _CISCO_GROUP))
    kind[llc & (dst_mac != 0)] = _LINK
    kind[l3 < 0] = _NONE
    return kind


class _Budget:
    """Allowances of each second of packet time: a share a kind, and a common pool."""

    def __init__(self, per_second: int) -> None:
        self._share = np.zeros(_KINDS, np.int64)
        self._pooled = np.zeros(_KINDS, np.bool_)
        for kind, (share, pooled) in _SHARES.items():
            self._share[kind] = max(1, round(per_second * share))
            self._pooled[kind] = pooled
        self._share[_QUIC] = _QUIC_PER_SECOND
        self._pool = max(1, int(per_second * _COMMON_SHARE))
        self._used: OrderedDict[int, tuple[I64, int]] = OrderedDict()

    def allow(self, time_ns: I64, kind: U8) -> Bool:
        """Which of the packets may be taken, (n,) bool; packets are in arrival order."""
        allowed = np.zeros(len(kind), np.bool_)
        seconds = time_ns // SECOND
        if len(seconds) and seconds[0] == seconds[-1] and (seconds == seconds[0]).all():
            self._second(int(seconds[0]), slice(0, len(kind)), kind, allowed)
            return allowed
        order = np.argsort(seconds, kind="stable")
        ordered = seconds[order]
        cuts = np.flatnonzero(np.diff(ordered)) + 1
        for rows in np.split(order, cuts):
            if len(rows):
                self._second(int(seconds[rows[0]]), rows, kind, allowed)
        return allowed

    def charge(self, time_ns: int, kind: int, units: int) -> None:
        """Count a packet that was taken as more than one."""
        used = self._used.get(time_ns // SECOND)
        if used is not None:
            used[0][kind] += units

    def _second(self, second: int, rows: I64 | slice, kind: U8, allowed: Bool) -> None:
        used, pool = self._used.get(second, (None, 0))
        if used is None:
            used = np.zeros(_KINDS, np.int64)
        kinds = kind[rows]
        counts = np.bincount(kinds, minlength=_KINDS)
        if (used + counts <= self._share).all():  # the usual second: nobody is over
            allowed[rows] = True
            self._keep(second, used + counts, pool)
            return
        rank = _rank(kinds) + used[kinds]
        own = rank < self._share[kinds]
        asks = ~own & self._pooled[kinds]
        granted = asks & (np.cumsum(asks) + pool <= self._pool)
        allowed[rows] = own | granted
        self._keep(second, used + counts, pool + int(granted.sum()))

    def _keep(self, second: int, used: I64, pool: int) -> None:
        self._used[second] = (used, pool)
        self._used.move_to_end(second)
        while len(self._used) > _SECONDS_KEPT:
            self._used.popitem(last=False)


def _rank(kinds: U8) -> I64:
    """How many earlier entries are of the same kind, for each entry."""
    # bytes are sorted by radix: a flood costs a few ns a packet here
    order = np.argsort(kinds, kind="stable")
    ordered = kinds[order]
    starts = np.concatenate(([0], np.flatnonzero(np.diff(ordered)) + 1))
    lengths = np.diff(np.concatenate((starts, [len(kinds)])))
    rank = np.empty(len(kinds), np.int64)
    rank[order] = np.arange(len(kinds)) - np.repeat(starts, lengths)
    return rank


class ControlLane:
    """Dissects control packets and the beginnings of TCP flows.

    Counters, cumulative: `taken`, `skipped` (over budget), `malformed`, `reassembly_skipped`
    (half-done handshakes given up for want of room). `malformed_by` tells which parser refused.
    """

    def __init__(self, settings: MeterSettings) -> None:
        self.taken = 0
        self.skipped = 0
        self.malformed = 0
        self.reassembly_skipped = 0
        self.malformed_by: dict[str, int] = {}
        self._settings = settings
        self._rtsp_ports = frozenset(settings.rtsp_ports)
        self._budget = _Budget(settings.control_per_second)
        self._payload_budget = [settings.control_per_second * share for share in _PAYLOAD_SHARES]
        self._payload_second = -1
        self._payloads_used = [0] * len(_PAYLOAD_SHARES)
        self._messages: list[AnyMessage] = []
        self._apps: OrderedDict[int, int] = OrderedDict()
        self._apps_kept = 2 * settings.flows_max
        self._talks: OrderedDict[int, Opening] = OrderedDict()
        self._talk_bytes = 0
        self._established = Established(RTSPS_PORT)
        self._quic: OrderedDict[int, quic.Hello] = OrderedDict()
        self._handlers: dict[int, Callable[[_Packet], None]] = {
            _ARP: self._arp,
            _LINK: self._link,
            _PAUSE: self._pause,
            _ICMP: self._icmp,
            _NEIGHBOUR: self._icmp,
            _ECHO: self._icmp,
            _IGMP: self._igmp,
            _ROUTER: self._router,
            _DNS: self._dns,
            _DHCP: self._dhcp,
            _NTP: self._ntp,
            _MDNS: self._mdns,
            _LLMNR: self._llmnr,
            _SSDP: self._ssdp,
            _WSD: self._wsd,
            _NBNS: self._nbns,
            _NAMED: self._named,
            _QUIC: self._quic_initial,
        }

    # -------------------------------------------------------------- control packets

    def packets(
        self, batch: PacketBatch, columns: Columns, rows: I64, flow_id: NDArray[np.generic]
    ) -> None:
        """Take the control packets at `rows` (arrival order); at most one message or two each.

        `flow_id` is (len(rows),) or (len(batch),); what is no flow has any value.
        """
        if not len(rows):
            return
        rows = np.asarray(rows, np.int64)
        kind = _kinds(columns, rows)
        keep = kind != _NONE
        initials = np.flatnonzero(kind == _QUIC)
        if len(initials):
            keep[initials] = _long_headers(batch.data, columns, rows[initials])
        allowed = np.zeros(len(rows), np.bool_)
        kept = np.flatnonzero(keep)
        allowed[kept] = self._budget.allow(batch.time_ns[rows[kept]], kind[kept])
        chosen = np.flatnonzero(allowed)
        self.taken += len(chosen)
        self.skipped += len(kept) - len(chosen)
        if not len(chosen):
            return
        flows = _aligned(flow_id, rows)[chosen]
        for packet, number, flags in self._each(batch, columns, rows[chosen], flows):
            handler = self._handlers[int(kind[chosen[number]])]
            try:
                handler(packet)
            except Malformed as fault:
                if not flags:
                    self._refuse(handler.__name__.strip("_"), fault)
            except IndexError:
                if not flags:
                    self._refuse(handler.__name__.strip("_"), None)

    def _each(
        self, batch: PacketBatch, columns: Columns, rows: I64, flows: I64
    ) -> Iterable[tuple[_Packet, int, int]]:
        """The rows as packets, with their place and whether their bytes are incomplete."""
        data = batch.data.data
        payload = columns.payload[rows]
        version = columns.version[rows]
        incomplete = (columns.flags[rows] & SNAPPED) | (columns.fragment[rows] != 0)
        lists = zip(
            batch.time_ns[rows].tolist(),
            (rows + batch.first_number).tolist(),
            batch.interface[rows].tolist(),
            np.where(version != 0, flows, -1).tolist(),
            columns.l3[rows].tolist(),
            columns.l4[rows].tolist(),
            payload.tolist(),
            (payload + columns.payload_captured[rows]).tolist(),
            (batch.offset[rows] + batch.captured[rows]).tolist(),
            version.tolist(),
            columns.protocol[rows].tolist(),
            columns.ethertype[rows].tolist(),
            columns.sport[rows].tolist(),
            columns.dport[rows].tolist(),
            columns.src_mac[rows].tolist(),
            columns.vlan[rows].tolist(),
            incomplete.tolist(),
            strict=True,
        )
        for number, (time_ns, packet, interface, flow, *rest, flags) in enumerate(lists):
            origin = Origin(time_ns, packet, interface, flow)
            yield _Packet(origin, data, *rest), number, flags

    def _refuse(self, what: str, fault: Malformed | None) -> None:
        self.malformed += 1
        self.malformed_by[what] = self.malformed_by.get(what, 0) + 1

    def _tell(self, message: AnyMessage | None) -> None:
        if message is not None:
            self._messages.append(message)

    def _arp(self, packet: _Packet) -> None:
        data = bytes(packet.data[packet.l3 : min(packet.frame_end, packet.l3 + 64)])
        source = mac_text(packet.src_mac) or ""
        self._tell(arp.parse(data, packet.origin, source, packet.vlan))

    def _link(self, packet: _Packet) -> None:
        data = bytes(packet.data[packet.l3 : packet.frame_end])
        source = mac_text(packet.src_mac) or ""
        origin = packet.origin
        if packet.ethertype == 0x88CC:
            self._tell(lldp.parse(data, origin, source))
        elif packet.ethertype == 0x8809:
            self._tell(linkcontrol.parse_slow(data, origin, source))
        elif packet.ethertype == 0x888E:
            self._tell(linkcontrol.parse_eapol(data, origin, source))
        elif data.startswith(linkcontrol.STP_LLC):
            self._tell(linkcontrol.parse_stp(data[3:], origin, source))
        elif data.startswith(linkcontrol.PVST_SNAP):
            self._tell(linkcontrol.parse_stp(data[8:], origin, source))
        elif data.startswith(cdp.SNAP):
            self._tell(cdp.parse(data[8 : packet.ethertype or None], origin, source))

    def _pause(self, packet: _Packet) -> None:
        data = bytes(packet.data[packet.l3 : packet.frame_end])
        self._tell(linkcontrol.parse_pause(data, packet.origin, mac_text(packet.src_mac) or ""))

    def _icmp(self, packet: _Packet) -> None:
        src, dst = packet.addresses()
        self._tell(icmp.parse(packet.transport(), packet.origin, packet.version, src, dst))

    def _igmp(self, packet: _Packet) -> None:
        src, _ = packet.addresses()
        source = mac_text(packet.src_mac) or ""
        parse = igmp.parse if packet.version == 4 else igmp.parse_mld
        self._tell(parse(packet.transport(), packet.origin, src, source))

    def _router(self, packet: _Packet) -> None:
        src, _ = packet.addresses()
        source = mac_text(packet.src_mac) or ""
        if packet.protocol == _VRRP_PROTOCOL:
            self._tell(linkcontrol.parse_vrrp(packet.transport(), packet.origin, src, source))
        else:
            self._tell(linkcontrol.parse_hsrp(packet.body(), packet.origin, src, source))

    def _dns(self, packet: _Packet) -> None:
        self._name_message(packet, "udp", "dns")

    def _llmnr(self, packet: _Packet) -> None:
        self._name_message(packet, "llmnr", "llmnr")

    def _name_message(self, packet: _Packet, transport: str, app: str) -> None:
        src, dst = packet.addresses()
        message = dns.parse(
            packet.body(), packet.origin, src, dst, packet.sport, packet.dport, transport
        )
        self._mark(packet.origin.flow, app)
        self._charge(packet, len(message.answers))
        self._tell(message)

    def _charge(self, packet: _Packet, records: int) -> None:
        """Let a packet of many records weigh as many in the budget of what follows."""
        if records > _RECORDS_A_UNIT:
            kind = _PORT_KIND[packet.sport] or _PORT_KIND[packet.dport]
            self._budget.charge(packet.origin.time_ns, int(kind), records // _RECORDS_A_UNIT)

    def _mdns(self, packet: _Packet) -> None:
        src, dst = packet.addresses()
        found = dns.split(packet.body())
        self._mark(packet.origin.flow, "mdns")
        self._charge(packet, len(found.answers) + len(found.additional))
        self._tell(
            dns.message_of(found, packet.origin, src, dst, packet.sport, packet.dport, "mdns")
        )
        self._tell(discovery.of_mdns(found, packet.origin, src))

    def _dhcp(self, packet: _Packet) -> None:
        src, dst = packet.addresses()
        if packet.version != 4:
            return
        source = mac_text(packet.src_mac) or ""
        message = dhcp.parse(packet.body(), packet.origin, src, dst, source)
        self._mark(packet.origin.flow, "dhcp")
        self._tell(message)

    def _ntp(self, packet: _Packet) -> None:
        src, dst = packet.addresses()
        message = ntp.parse(packet.body(), packet.origin, src, dst, packet.sport, packet.dport)
        self._mark(packet.origin.flow, "ntp")
        self._tell(message)

    def _ssdp(self, packet: _Packet) -> None:
        src, _ = packet.addresses()
        message = discovery.parse_ssdp(packet.body(), packet.origin, src)
        self._mark(packet.origin.flow, "ssdp")
        self._tell(message)

    def _wsd(self, packet: _Packet) -> None:
        src, _ = packet.addresses()
        message = discovery.parse_ws_discovery(packet.body(), packet.origin, src)
        self._mark(packet.origin.flow, "ws-discovery")
        self._tell(message)

    def _nbns(self, packet: _Packet) -> None:
        src, _ = packet.addresses()
        self._tell(discovery.parse_netbios(packet.body(), packet.origin, src))

    def _named(self, packet: _Packet) -> None:
        """Protocols that are told by name alone."""
        body = packet.body()
        if body[4:8] == _STUN_COOKIE:
            self._mark(packet.origin.flow, "stun")
        elif body[:1] == b"<" and b">" in body[:5]:
            self._mark(packet.origin.flow, "syslog")
        elif body[:1] == b"\x30" and {packet.sport, packet.dport} & {161, 162}:
            self._mark(packet.origin.flow, "snmp")

    def _quic_initial(self, packet: _Packet) -> None:
        flow = packet.origin.flow
        hello = self._quic.get(flow)
        if hello is None:
            hello = self._quic[flow] = quic.Hello()
            if len(self._quic) > _QUIC_KEPT:
                _, oldest = self._quic.popitem(last=False)
                self.reassembly_skipped += not oldest.done
        else:
            self._quic.move_to_end(flow)
        self._mark(flow, "quic")
        if not hello.done:
            self._tell(hello.feed(packet.body(), packet.origin))

    # -------------------------------------------------------------- beginnings of TCP flows

    def payloads(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        flow_id: NDArray[np.generic],
        from_client: Bool,
        from_start: Bool | None = None,
    ) -> U8:
        """Take TCP payloads of flows that are not yet known; the lane of each row from then on.

        `rows` are rows of the batch with payload; `flow_id`, `from_client` and the answer are
        (len(rows),) (the first two may be (len(batch),) as well). Packets are read in order of
        arrival whatever the order of `rows`. `from_start` tells of which flows the SYN was seen:
        only of these is unknown content on a TLS port told as `NotTls`; None: of none.
        """
        lanes: U8 = np.full(len(rows), LANE_BULK, np.uint8)
        if not len(rows):
            return lanes
        rows = np.asarray(rows, np.int64)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        flows = _aligned(flow_id, rows)[order]
        clients = _column(from_client, rows)[order]
        starts = (
            np.zeros(len(rows), np.bool_)
            if from_start is None
            else _column(from_start, rows)[order]
        )
        settled = self._established.settle(batch, columns, ordered, flows, clients, self._is_known)
        if settled is not None:
            lanes[order[settled.rows]] = settled.lanes
            self.taken += len(settled.lanes)
            self.reassembly_skipped += settled.forgotten
            self._messages += settled.finished
            for flow, rtsps in settled.new:
                self._mark(flow, "rtsps" if rtsps else "tls")
            rest = ~settled.rows
            order, ordered = order[rest], ordered[rest]
            flows, clients, starts = flows[rest], clients[rest], starts[rest]
        data = batch.data.data
        at = columns.payload[ordered]
        for (
            place,
            time_ns,
            number,
            interface,
            flow,
            client,
            start,
            l3,
            l4,
            version,
            first,
            last,
            sport,
            dport,
            tcp_flags,
            missing,
        ) in zip(
            order.tolist(),
            batch.time_ns[ordered].tolist(),
            (ordered + batch.first_number).tolist(),
            batch.interface[ordered].tolist(),
            flows.tolist(),
            clients.tolist(),
            starts.tolist(),
            columns.l3[ordered].tolist(),
            columns.l4[ordered].tolist(),
            columns.version[ordered].tolist(),
            at.tolist(),
            (at + columns.payload_captured[ordered]).tolist(),
            columns.sport[ordered].tolist(),
            columns.dport[ordered].tolist(),
            columns.tcp_flags[ordered].tolist(),
            np.maximum(
                columns.payload_length[ordered] - columns.payload_captured[ordered], 0
            ).tolist(),
            strict=True,
        ):
            talk = self._talks.get(flow)
            if talk is None and flow not in self._established:
                known = self._apps.get(flow)
                if known is not None:
                    lanes[place] = LANE_RTSP if APPS[known] in RTSP_APPS else LANE_BULK
                    continue
            share = self._share(sport, dport)
            if first < 0 or l4 < 0 or last <= first or not self._afford(time_ns, share):
                if talk is None:
                    lanes[place] = LANE_BULK
                else:
                    lanes[place] = self._give_up(flow)
                continue
            if talk is None:
                src = l3 + (12 if version == 4 else 8)
                size = 4 if version == 4 else 16
                one, other = bytes(data[src : src + size]), bytes(data[src + size : src + 2 * size])
                talk = Opening(
                    client=one if client else other,
                    server=other if client else one,
                    client_port=sport if client else dport,
                    server_port=dport if client else sport,
                    rtsp_ports=self._rtsp_ports,
                    from_start=start,
                )
                self._talks[flow] = talk
                self._make_room()
                seen = self._established.take(flow)
                if seen is not None:
                    talk.feed(seen.sequence, seen.payload(), seen.from_client, seen.origin(flow))
            else:
                self._talks.move_to_end(flow)
            sequence = int.from_bytes(data[l4 + 4 : l4 + 8], "big")
            if tcp_flags & 2:
                sequence = (sequence + 1) & 0xFFFFFFFF  # TCP Fast Open: the SYN counts one
            origin = Origin(time_ns, number, interface, flow)
            held = talk.held
            try:
                lanes[place] = talk.feed(sequence, bytes(data[first:last]), client, origin, missing)
            except Malformed as fault:
                self._refuse(talk.app or "tcp", fault)
                talk.finished = True
                lanes[place] = LANE_BULK
            self._talk_bytes += talk.held - held
            if talk.messages:
                self._payloads_used[share] += _weight(talk.messages)
                self._messages += talk.messages
                talk.messages.clear()
            if talk.finished:
                self._end(flow, talk)
            else:
                if talk.app is not None:
                    self._mark(flow, talk.app)
                if self._talk_bytes > _TALK_BYTES_KEPT:
                    self._make_room()
        return lanes

    def _is_known(self, flow: int) -> bool:
        """An opening is being read, or what the flow is was told."""
        return flow in self._talks or flow in self._apps

    def _share(self, sport: int, dport: int) -> int:
        """Which of `_PAYLOAD_SHARES` a connection draws on."""
        if sport in self._rtsp_ports or dport in self._rtsp_ports:
            return 1
        return 2 if dport in TLS_PORTS or sport in TLS_PORTS else 0

    def _afford(self, time_ns: int, share: int) -> bool:
        """One more payload in this second of packet time?"""
        second = time_ns // SECOND
        if second != self._payload_second:
            self._payload_second = second
            self._payloads_used = [0] * len(_PAYLOAD_SHARES)
        self._payloads_used[share] += 1
        if self._payloads_used[share] > self._payload_budget[share]:
            self.skipped += 1
            return False
        self.taken += 1
        return True

    def _end(self, flow: int, talk: Opening) -> None:
        """Forget an opening but for what it was."""
        self._talks.pop(flow, None)
        self._talk_bytes -= talk.held
        self._mark(flow, talk.app)

    def _give_up(self, flow: int) -> int:
        """End an opening before its time; its lane."""
        talk = self._talks[flow]
        held = talk.held
        talk.close()
        self._talk_bytes += talk.held - held
        self._messages += talk.messages
        self.reassembly_skipped += 1
        self._end(flow, talk)
        return LANE_RTSP if talk.app in RTSP_APPS else LANE_BULK

    def _make_room(self) -> None:
        """Give up the openings that were silent longest until the limits hold."""
        while len(self._talks) > _TALKS_KEPT or (
            self._talk_bytes > _TALK_BYTES_KEPT and len(self._talks) > 1
        ):
            self._give_up(next(iter(self._talks)))

    # -------------------------------------------------------------- answers

    def _mark(self, flow: int, app: str | None) -> None:
        """Note what a flow looks like; flows that no longer matter make room."""
        if flow < 0:
            return
        self._apps[flow] = _APP[app] if app is not None else 0
        if len(self._apps) > self._apps_kept:
            self._apps.popitem(last=False)

    def app(self, flow_id: int) -> int:
        """What a flow looks like, an index into `APPS`; 0 unknown."""
        return self._apps.get(flow_id, 0)

    def forget(self, flow_ids: Iterable[int]) -> None:
        """Flows that have ended: tell what was half heard of them, free the rest."""
        for flow in flow_ids:
            flow = int(flow)
            talk = self._talks.pop(flow, None)
            if talk is not None:
                self._talk_bytes -= talk.held
                talk.close()
                self._messages += talk.messages
            self._apps.pop(flow, None)
            self._quic.pop(flow, None)
            self._established.take(flow)

    def drain(self) -> list[AnyMessage]:
        """The messages since the last call, in the order of their packets."""
        messages, self._messages = self._messages, []
        messages.sort(key=_PACKET_NUMBER)
        return messages


def _weight(messages: list[AnyMessage]) -> int:
    """What reading these has cost beyond their packet, in payloads."""
    certificates = sum(isinstance(message, TlsCertificate) for message in messages)
    return len(messages) - 1 + _CERTIFICATE_COST * certificates


def _aligned(flow_id: NDArray[Any], rows: I64) -> I64:
    """Flow ids of the rows as int64."""
    return _column(flow_id, rows).astype(np.int64)


def _column(values: NDArray[Any], rows: I64) -> NDArray[Any]:
    values = np.asarray(values)
    return values if len(values) == len(rows) else values[rows]


def _long_headers(data: U8, columns: Columns, rows: I64) -> Bool:
    """Which datagrams begin like a client's QUIC Initial of version 1 or 2, (len(rows),) bool."""
    whole = columns.payload_captured[rows] >= quic.INITIAL_BYTES
    at = np.where(whole, columns.payload[rows], 0)
    first = data[at]
    version = np.zeros(len(rows), np.int64)
    for i in range(1, 5):
        version = version << 8 | data[at + i]
    found: Bool = whole & (first & 0xC0 == 0xC0) & np.isin(version, quic.VERSIONS)
    found &= first >> 4 & 3 == np.where(version == quic.V2, 1, 0)
    return found
