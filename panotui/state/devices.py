"""Every device that was seen on the wire: its maker, names and location.

Ethernet pairs by the second, flow rows and messages by which hosts identify themselves (ARP,
neighbour discovery, DHCP, mDNS and the like, LLDP and CDP) come in. `DeviceRecord`s go out, one per
MAC address that has sent frames. Packets and bytes are those it sent. First and last times are in
whole seconds. Bounded: the least recently seen devices are evicted first, and counted.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from msgspec import Struct, field

from panotui.model import (
    I64,
    SECOND,
    U8,
    U64,
    AnyMessage,
    ArpMessage,
    DeviceRecord,
    DhcpMessage,
    DiscoveryMessage,
    IcmpMessage,
    LinkControlMessage,
    NeighbourMessage,
    Rows,
    address_text,
    mac_text,
    mac_value,
)
from panotui.model.arrays import among, distinct
from panotui.model.flow_rows import AnyRows
from panotui.site.facts import Who
from panotui.site.view import SiteView
from panotui.state.vendors import vendor_of

DEVICES_MAX = 512
ADDRESSES_MAX = 8  # newest per device
NAMES_MAX = 4
FEW = 32  # rows of a tick that are processed one by one
MACS_A_TICK = 1_024  # senders processed per tick, the busiest first
PAIRS_A_TICK = 256  # per MAC and an address or VLAN
_GROUP = np.uint64(1 << 40)  # the group bit
# Sources of a name; lower is better.
_BEST_BY = ("site", "discovery", "lldp", "cdp", "dhcp")
_SPANNING = frozenset(("stp", "rstp", "mstp"))
_ROLES = (
    (Who.APPLIANCE, "appliance"),
    (Who.CAMERA, "camera"),
    (Who.GATEWAY, "gateway"),
    (Who.RESOLVER, "resolver"),
    (Who.TIME_SERVER, "time server"),
)


class Device(Struct):
    """The state of one MAC address."""

    mac: int
    first_ns: int
    last_ns: int
    packets: int = 0
    bytes: int = 0
    interface: int = -1  # last capture interface that received it
    port: str | None = None  # the appliance's, that it sends to
    vlan: int | None = None
    addresses: OrderedDict[str, None] = field(default_factory=OrderedDict)
    names: dict[str, str] = field(default_factory=dict)  # by source
    vendor_said: str | None = None
    bridges: bool = False  # sends LLDP, CDP or spanning tree
    outside: tuple[str, ...] = ()  # internet addresses that it sends from, two at most
    record: DeviceRecord | None = None  # as reported last, until something changes

    @property
    def routes(self) -> bool:
        """It forwards for others; a plain host may have one internet address, and no other."""
        return len(self.outside) + bool(self.addresses) > 1


class DeviceBook:
    """All devices by MAC address; `limit` at most."""

    hears: ClassVar[frozenset[type]] = frozenset(
        (ArpMessage, IcmpMessage, DhcpMessage, DiscoveryMessage, NeighbourMessage,
         LinkControlMessage)
    )  # fmt: skip

    def __init__(self, view: SiteView, limit: int = DEVICES_MAX) -> None:
        self.devices: OrderedDict[int, Device] = OrderedDict()
        self.evicted = 0
        self.skipped = 0  # senders skipped in a second with too many
        self._view = view
        self._limit = limit
        self._by_address: OrderedDict[str, int] = OrderedDict()
        self._told: tuple[object, ...] = ()  # inputs of the cached records

    # ------------------------------------------------------------------ input

    def update(self, rows: Rows) -> None:
        """Process one tick's Ethernet pairs (LINK_SECOND_DTYPE)."""
        rows = rows[(rows["src_mac"] & _GROUP) == 0]
        rows = rows[rows["src_mac"] != 0]
        if not len(rows):
            return
        if len(rows) <= FEW:
            self._update_few(rows)
            return
        macs, first, inverse = np.unique(rows["src_mac"], return_index=True, return_inverse=True)
        packets = np.bincount(inverse, rows["packets"], len(macs)).astype(np.int64)
        size = np.bincount(inverse, rows["bytes"], len(macs)).astype(np.int64)
        newest, oldest = rows["second"][first].copy(), rows["second"][first].copy()
        np.maximum.at(newest, inverse, rows["second"])
        np.minimum.at(oldest, inverse, rows["second"])
        chosen = np.arange(len(macs))
        if len(macs) > MACS_A_TICK:
            self.skipped += len(macs) - MACS_A_TICK
            chosen = np.sort(np.argpartition(-size, MACS_A_TICK)[:MACS_A_TICK])
        # in order of arrival, so that eviction does not depend on the MAC
        for i in chosen[np.argsort(first[chosen], kind="stable")].tolist():
            device = self._at(int(macs[i]), int(oldest[i]) * SECOND, int(newest[i]) * SECOND)
            device.packets += int(packets[i])
            device.bytes += int(size[i])
            device.interface = int(rows["interface"][first[i]])
        spoken = rows[rows["ip4_src"] != 0]
        pairs = distinct(spoken[["src_mac", "ip4_src"]])[:PAIRS_A_TICK]
        for mac, raw in pairs.tolist():
            self._address(mac, str(ipaddress.IPv4Address(raw)))
        ports = self._view.facts.appliance_macs
        to_us = rows[among(rows["dst_mac"], np.fromiter(ports, np.uint64, len(ports)))]
        for mac, port in distinct(to_us[["src_mac", "dst_mac"]])[:MACS_A_TICK].tolist():
            found = self.devices.get(mac)
            if found is not None:
                found.port = ports[port]

    def _update_few(self, rows: Rows) -> None:
        """The same for a quiet second, where numpy calls would cost more than the rows."""
        names = ("src_mac", "dst_mac", "second", "packets", "bytes", "interface", "ip4_src")
        spoken: set[tuple[int, int]] = set()
        to_us: set[tuple[int, int]] = set()
        ports = self._view.facts.appliance_macs
        heard: set[int] = set()
        for mac, dst, second, packets, size, interface, raw in zip(
            *(rows[name].tolist() for name in names), strict=True
        ):
            device = self.devices.get(mac) if mac in heard else None
            if device is None:
                device = self._at(mac, second * SECOND, second * SECOND)
                device.interface = interface
                heard.add(mac)
            device.first_ns = min(device.first_ns, second * SECOND)
            device.last_ns = max(device.last_ns, second * SECOND)
            device.packets += packets
            device.bytes += size
            if raw:
                spoken.add((mac, raw))
            if dst in ports:
                to_us.add((mac, dst))
        for mac, raw in sorted(spoken):
            self._address(mac, str(ipaddress.IPv4Address(raw)))
        for mac, dst in sorted(to_us):
            if mac in self.devices:
                self.devices[mac].port = ports[dst]

    def observe_flows(self, rows: AnyRows) -> None:
        """Process changed flows: the VLAN of a sender, and the addresses that it sends from."""
        if not len(rows):
            return
        for macs, senders in (
            (rows["mac_out_src"], rows["src"]),
            (rows["mac_in_src"], rows["dst"]),
        ):
            tagged = np.flatnonzero((rows["vlan"] >= 0) & (macs != 0))
            at = tagged[np.unique(macs[tagged], return_index=True)[1]][:PAIRS_A_TICK]
            for mac, vlan in zip(macs[at].tolist(), rows["vlan"][at].tolist(), strict=True):
                device = self.devices.get(mac)
                if device is not None and device.vlan != vlan:
                    device.vlan, device.record = vlan, None
            pairs = _distinct(macs, senders)[:PAIRS_A_TICK]
            for mac, version, raw in zip(
                macs[pairs].tolist(), rows["version"][pairs].tolist(), senders[pairs],
                strict=True,
            ):  # fmt: skip
                if mac:
                    self._address(mac, address_text(version, raw.tobytes()))

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Process a message by which a host identifies itself."""
        if isinstance(message, ArpMessage):
            device = self._said(message.sender_mac, message.sender_ip, message)
            if device is not None and message.vlan >= 0:
                device.vlan = message.vlan
        elif isinstance(message, IcmpMessage):
            if message.target_mac is not None:
                self._neighbour(message)
        elif isinstance(message, DhcpMessage):
            address = message.your_ip if message.type == "ack" else message.client_ip
            device = self._said(message.client_mac, address, message)
            if device is not None and message.host_name:
                device.names["dhcp"] = message.host_name
        elif isinstance(message, DiscoveryMessage):
            mac = self._by_address.get(message.src)
            if mac is not None:
                self._introduce(self.devices[mac], message)
        elif isinstance(message, NeighbourMessage):
            device = self._said(message.src_mac, None, message)
            if device is not None:
                device.bridges = True
                device.names[message.protocol] = message.system_name or message.chassis
                for address in message.management[:2]:
                    self._address(device.mac, address)
        elif isinstance(message, LinkControlMessage) and message.protocol in _SPANNING:
            device = self._said(message.src_mac, None, message)
            if device is not None:
                device.bridges = True

    def _neighbour(self, message: IcmpMessage) -> None:
        """Neighbour discovery: the target of an advertisement, otherwise the sender (RFC 4861,
        4).
        """
        if message.version != 6 or message.target_mac is None:
            return
        if message.type == 136:
            self._said(message.target_mac, message.target, message)
        elif message.type in (133, 134, 135):
            self._said(message.target_mac, message.src, message)

    @staticmethod
    def _introduce(device: Device, message: DiscoveryMessage) -> None:
        vendor = " ".join(filter(None, (message.vendor, message.model)))
        device.vendor_said = vendor or device.vendor_said
        if message.name:
            device.names["discovery"] = message.name
        device.record = None

    def _said(self, mac: str, address: str | None, message: AnyMessage) -> Device | None:
        """The device of a MAC in a message, with the address that it claims."""
        try:
            number = mac_value(mac)
        except ValueError:
            return None
        if not number or number >> 40 & 1:
            return None
        device = self._at(number, message.time_ns, message.time_ns)
        if device.interface < 0:
            device.interface = message.interface
        device.record = None
        if address:
            self._address(number, address)
        return device

    def _at(self, mac: int, first_ns: int, last_ns: int) -> Device:
        device = self.devices.get(mac)
        if device is None:
            while len(self.devices) >= self._limit:
                self._forget(self.devices.popitem(last=False)[1])
            device = self.devices[mac] = Device(mac, first_ns, last_ns)
        else:
            self.devices.move_to_end(mac)
        device.first_ns = min(device.first_ns, first_ns)
        device.last_ns = max(device.last_ns, last_ns)
        device.record = None
        return device

    def _forget(self, device: Device) -> None:
        self.evicted += 1
        for address in device.addresses:
            if self._by_address.get(address) == device.mac:
                del self._by_address[address]

    def _address(self, mac: int, address: str) -> None:
        """An address that a device sends from; internet addresses are behind it."""
        device = self.devices.get(mac)
        if device is None:
            return
        if address in device.addresses:
            return
        who = self._view.who(address)
        if who & Who.INTERNET and not who & Who.APPLIANCE:
            if len(device.outside) < 2 and address not in device.outside:
                device.outside = (*device.outside, address)
                device.record = None
            return
        if not who & (Who.LOCAL | Who.LINK_LOCAL | Who.APPLIANCE):
            return
        device.addresses[address] = None
        device.record = None
        self._by_address[address] = mac
        while len(device.addresses) > ADDRESSES_MAX:
            old, _ = device.addresses.popitem(last=False)
            if self._by_address.get(old) == mac:
                del self._by_address[old]

    # ------------------------------------------------------------------ what goes out

    def records(
        self, ports: Sequence[str | None], names: Mapping[str, str]
    ) -> tuple[DeviceRecord, ...]:
        """All devices in the order in which they were first seen.

        `ports`: names of the capture interfaces; `names`: of addresses, as in the site and its
        cameras.
        """
        made_with = (self._view.version, tuple(ports), dict(names))
        if made_with != self._told:
            self._told = made_with
            for device in self.devices.values():
                device.record = None
        ordered = sorted(self.devices.values(), key=lambda d: (d.first_ns, d.mac))
        return tuple(
            d.record if d.record is not None else self._record(d, ports, names) for d in ordered
        )

    def _record(
        self, device: Device, ports: Sequence[str | None], names: Mapping[str, str]
    ) -> DeviceRecord:
        mac = mac_text(device.mac) or ""
        own_port = self._view.facts.appliance_macs.get(device.mac)
        said = device.names
        heard_on = ports[device.interface] if 0 <= device.interface < len(ports) else None
        site_names = [names[a] for a in device.addresses if a in names]
        if own_port is not None:
            site_names.insert(0, own_port)
        found = [*site_names, *(said[by] for by in _BEST_BY if by in said)]
        device.record = DeviceRecord(
            mac=mac,
            vendor=device.vendor_said or vendor_of(mac),
            addresses=tuple(device.addresses) or (device.outside if not device.routes else ()),
            names=tuple(dict.fromkeys(found))[:NAMES_MAX],
            port=own_port or device.port or heard_on,
            vlan=device.vlan,
            role=self._role(device),
            first_time_ns=device.first_ns,
            last_time_ns=device.last_ns,
            packets=device.packets,
            bytes=device.bytes,
        )
        return device.record

    def _role(self, device: Device) -> str:
        facts = self._view.facts
        who = 0
        for address in (*device.addresses, *device.outside):
            who |= self._view.who(address)
        if device.mac in facts.appliance_macs:
            return "appliance"
        # a router sends for the addresses behind it: none of them is its own
        if device.routes:
            return "gateway" if who & Who.GATEWAY else "router"
        for bit, role in _ROLES:
            if who & bit:
                return role
        return "switch" if device.bridges else "host"


def _distinct(macs: U64, addresses: U8) -> I64:
    """Positions of one row each of distinct pairs of a MAC (n,) and an address (n, 16); two pairs
    with the same hash count as one until the next tick.
    """
    words = np.ascontiguousarray(addresses).view(np.uint64)  # (n, 2)
    mixed = macs * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= words[:, 0] * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= words[:, 1] * np.uint64(0x165667B19E3779F9)
    places: I64 = np.unique(mixed, return_index=True)[1]
    return places
