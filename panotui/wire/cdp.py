"""CDP (Cisco Discovery Protocol, versions 1 and 2): bytes after the LLC/SNAP header in,
`NeighbourMessage` out."""

from __future__ import annotations

from panotui.model import NeighbourMessage
from panotui.wire.addresses import ip_text
from panotui.wire.origin import Malformed, Origin
from panotui.wire.text import printable

SNAP = b"\xaa\xaa\x03\x00\x00\x0c\x20\x00"


def parse(data: bytes, origin: Origin, src_mac: str) -> NeighbourMessage:
    """A CDP packet from its version byte; padding after the last TLV is ignored."""
    if len(data) < 8 or data[0] not in (1, 2):
        raise Malformed("not a CDP packet")
    device = port = ""
    platform: str | None = None
    version: str | None = None
    management: list[str] = []
    vlan: int | None = None
    duplex: str | None = None
    power: float | None = None
    at = 4
    while at + 4 <= len(data):
        kind = int.from_bytes(data[at : at + 2], "big")
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if size < 4:
            if kind == 0:
                break
            raise Malformed("CDP TLV shorter than its header")
        if at + size > len(data):
            raise Malformed("CDP TLV runs past the frame")
        value = data[at + 4 : at + size]
        at += size
        if kind == 1:
            device = printable(value)
        elif kind in (2, 22):
            for address in _addresses(value):
                if address not in management and len(management) < 8:
                    management.append(address)
        elif kind == 3:
            port = printable(value)
        elif kind == 5:
            version = printable(value)
        elif kind == 6:
            platform = printable(value)
        elif kind == 10 and len(value) >= 2:
            vlan = int.from_bytes(value[:2], "big") or None
        elif kind == 11 and value:
            duplex = "full" if value[0] else "half"
        elif kind == 16 and len(value) >= 2:
            power = int.from_bytes(value[:2], "big") / 1000
    if not device and not port:
        raise Malformed("CDP without device and port")
    description = printable(", ".join(part for part in (platform, version) if part))
    return NeighbourMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=-1,
        protocol="cdp",
        src_mac=src_mac,
        chassis=device,
        port=port,
        ttl=data[1],
        system_name=device or None,
        system_description=description or None,
        management=tuple(management),
        vlan=vlan,
        duplex=duplex,
        power_w=power,
    )


def _addresses(value: bytes) -> list[str]:
    """Count, then each: protocol type, protocol length, protocol, address length, address."""
    found: list[str] = []
    if len(value) < 4:
        return found
    count, at = int.from_bytes(value[:4], "big"), 4
    for _ in range(min(count, 16)):
        if at + 2 > len(value):
            break
        width = value[at + 1]
        where = at + 2 + width
        if where + 2 > len(value):
            break
        size = int.from_bytes(value[where : where + 2], "big")
        raw = value[where + 2 : where + 2 + size]
        protocol = value[at + 2 : where]
        if size == len(raw) and (size, protocol[-2:]) in ((4, b"\xcc"), (16, b"\x86\xdd")):
            found.append(ip_text(raw))
        at = where + 2 + size
    return found
