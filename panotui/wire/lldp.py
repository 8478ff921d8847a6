"""LLDP (IEEE 802.1AB): bytes after the ethertype in, `NeighbourMessage` out.

Besides the mandatory TLVs it reads the switch port's VLAN, operational MAU type (the switch's own
view of speed and duplex), largest frame and power.
"""

from __future__ import annotations

from panotui.model import NeighbourMessage
from panotui.wire.addresses import ip_text, mac_bytes_text
from panotui.wire.origin import Malformed, Origin
from panotui.wire.text import printable

# Operational MAU types (IANA-MAU-MIB, dot3MauType): (Mb/s, duplex).
MAU_TYPES: dict[int, tuple[int, str | None]] = {
    5: (10, None),
    10: (10, "half"),
    11: (10, "full"),
    12: (10, "half"),
    13: (10, "full"),
    14: (100, "half"),
    15: (100, "half"),
    16: (100, "full"),
    17: (100, "half"),
    18: (100, "full"),
    19: (100, "half"),
    20: (100, "full"),
    21: (1000, "half"),
    22: (1000, "full"),
    23: (1000, "half"),
    24: (1000, "full"),
    25: (1000, "half"),
    26: (1000, "full"),
    27: (1000, "half"),
    28: (1000, "full"),
    29: (1000, "half"),
    30: (1000, "full"),
    **dict.fromkeys(range(31, 42), (10000, "full")),
    44: (100, "full"),
    45: (100, "full"),
    46: (100, "full"),
    **dict.fromkeys(range(47, 54), (1000, "full")),
    54: (10_000, "full"),
    55: (10_000, "full"),
    56: (1000, "full"),
    57: (10_000, "full"),
    58: (10_000, "full"),
}

_8021, _8023, _TIA_MED = b"\x00\x80\xc2", b"\x00\x12\x0f", b"\x00\x12\xbb"


def parse(data: bytes, origin: Origin, src_mac: str) -> NeighbourMessage:
    """An LLDP data unit; `Malformed` unless chassis, port and time to live come first."""
    chassis = port = ""
    ttl = -1
    name: str | None = None
    description: str | None = None
    port_description: str | None = None
    management: list[str] = []
    vlan: int | None = None
    speed: int | None = None
    duplex: str | None = None
    max_frame: int | None = None
    power: float | None = None
    at = number = 0
    while at + 2 <= len(data):
        header = int.from_bytes(data[at : at + 2], "big")
        kind, size = header >> 9, header & 0x1FF
        at += 2
        if kind == 0:
            break
        if at + size > len(data):
            raise Malformed("LLDP TLV runs past the frame")
        value = data[at : at + size]
        at += size
        number += 1
        if number <= 3 and kind != number:
            raise Malformed("LLDP without its mandatory TLVs")
        if kind == 1:
            chassis = _identity(value, mac_subtype=4, address_subtype=5)
        elif kind == 2:
            port = _identity(value, mac_subtype=3, address_subtype=4)
        elif kind == 3:
            if size < 2:
                raise Malformed("LLDP time to live cut short")
            ttl = int.from_bytes(value[:2], "big")
        elif kind == 4:
            port_description = printable(value) or None
        elif kind == 5:
            name = printable(value) or None
        elif kind == 6:
            description = printable(value) or None
        elif kind == 8:
            address = _management(value)
            if address and len(management) < 8:
                management.append(address)
        elif kind == 127 and size >= 4:
            organisation, subtype, body = value[:3], value[3], value[4:]
            if organisation == _8021 and subtype == 1 and len(body) >= 2:
                vlan = int.from_bytes(body[:2], "big") or None
            elif organisation == _8023 and subtype == 1 and len(body) >= 5:
                mau = int.from_bytes(body[3:5], "big")
                speed, duplex = MAU_TYPES.get(mau, (None, None))
            elif organisation == _8023 and subtype == 2 and len(body) >= 8:
                power = int.from_bytes(body[6:8], "big") / 10
            elif organisation == _8023 and subtype == 4 and len(body) >= 2:
                max_frame = int.from_bytes(body[:2], "big") or None
            elif organisation == _TIA_MED and subtype == 4 and len(body) >= 3 and power is None:
                power = int.from_bytes(body[1:3], "big") / 10
    if ttl < 0:
        raise Malformed("LLDP without its mandatory TLVs")
    return NeighbourMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=-1,
        protocol="lldp",
        src_mac=src_mac,
        chassis=chassis,
        port=port,
        ttl=ttl,
        system_name=name,
        system_description=description,
        port_description=port_description,
        management=tuple(management),
        vlan=vlan,
        speed_mbps=speed,
        duplex=duplex,
        max_frame=max_frame,
        power_w=power,
    )


def _identity(value: bytes, mac_subtype: int, address_subtype: int) -> str:
    if len(value) < 2:
        raise Malformed("LLDP identity cut short")
    subtype, raw = value[0], value[1:]
    if subtype == mac_subtype and len(raw) == 6:
        return mac_bytes_text(raw)
    if subtype == address_subtype and raw[0] in (1, 2) and len(raw) in (5, 17):
        return ip_text(raw[1:])
    return printable(raw)


def _management(value: bytes) -> str | None:
    """Management address TLV: length of subtype and address, subtype, address."""
    if len(value) < 2 or value[0] < 1 or 1 + value[0] > len(value):
        raise Malformed("LLDP management address cut short")
    subtype, raw = value[1], value[2 : 1 + value[0]]
    if (subtype, len(raw)) in ((1, 4), (2, 16)):
        return ip_text(raw)
    if subtype == 6 and len(raw) == 6:
        return mac_bytes_text(raw)
    return None
