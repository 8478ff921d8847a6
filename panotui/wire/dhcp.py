"""DHCPv4 (RFC 2131, 2132, 3396): a UDP payload in, `DhcpMessage` out.

Options may continue in the `file` and `sname` fields (option 52), and a repeated option is the
concatenation of its parts. Classless routes (option 121) override the routers (RFC 3442).
"""

from __future__ import annotations

import struct

from panotui.model import DhcpMessage
from panotui.wire.addresses import ip_list, ip_text
from panotui.wire.origin import Malformed, Origin
from panotui.wire.text import printable

MAGIC = b"\x63\x82\x53\x63"
_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s")
TYPES = {
    1: "discover",
    2: "offer",
    3: "request",
    4: "decline",
    5: "ack",
    6: "nak",
    7: "release",
    8: "inform",
}
_UNSET = b"\0\0\0\0"


def parse(
    payload: bytes, origin: Origin, src: str, dst: str, eth_src: str = ""
) -> DhcpMessage | None:
    """A BOOTP or DHCP packet; a packet without option 53 has the type `bootp`.

    Types beyond 8 (lease query and later) are named by number. None if the packet is not BOOTP
    (other traffic on the ports).
    """
    if len(payload) < 44:
        raise Malformed("DHCP shorter than its fixed part")
    op, _hardware, mac_length, _hops, xid, _s, _f, client, your, _next, relay, mac = (
        _FIXED.unpack_from(payload)
    )
    if op not in (1, 2):
        return None
    if len(payload) < 236:
        raise Malformed("DHCP shorter than its fixed part")
    options = read_options(payload)
    kind = options.get(53)
    if kind:
        name = TYPES.get(kind[0], f"type-{kind[0]}")
    else:
        name = "bootp"
    lease = options.get(51, b"")
    # a client with classless routes ignores the routers option (RFC 3442)
    given = options.get(121)
    routers = ip_list(options.get(3, b"")) if given is None else _default_routes(given)
    host = options.get(12)
    if not host:
        host = _fqdn(options.get(81, b""))
    return DhcpMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        type=name,
        xid=xid,
        client_mac=mac[: min(mac_length, 16) or 6].hex(":"),
        src=src,
        dst=dst,
        eth_src=eth_src,
        client_ip=_address(client),
        your_ip=_address(your),
        relay_ip=_address(relay),
        requested_ip=_address(options.get(50, b"")),
        server_id=_address(options.get(54, b"")),
        lease_s=int.from_bytes(lease, "big") if len(lease) == 4 else None,
        mask=_mask(options.get(1, b"")),
        routers=routers,
        dns=ip_list(options.get(6, b"")),
        ntp=ip_list(options.get(42, b"")),
        host_name=_text(host),
        vendor_class=_text(options.get(60)),
        domain=_text(options.get(15)),
    )


def read_options(payload: bytes) -> dict[int, bytes]:
    """All options of a BOOTP packet, concatenated over repeats and overloaded fields."""
    options: dict[int, bytes] = {}
    if payload[236:240] != MAGIC:
        return options
    _collect(payload[240:], options)
    overload = options.get(52, b"\0")[:1]
    if overload in (b"\1", b"\3"):
        _collect(payload[108:236], options)
    if overload in (b"\2", b"\3"):
        _collect(payload[44:108], options)
    return options


def _collect(data: bytes, options: dict[int, bytes]) -> None:
    at, end = 0, len(data)
    while at < end:
        code = data[at]
        if code == 255:
            return
        if code == 0:
            at += 1
            continue
        if at + 2 > end or at + 2 + data[at + 1] > end:
            raise Malformed("DHCP option runs past the packet")
        size = data[at + 1]
        options[code] = options.get(code, b"") + data[at + 2 : at + 2 + size]
        at += 2 + size


def _default_routes(raw: bytes) -> tuple[str, ...]:
    """Routers of the default route in option 121; empty if it has none or is invalid."""
    routers: list[str] = []
    at = 0
    while at < len(raw):
        width = raw[at]
        octets = (width + 7) // 8
        if width > 32 or at + 5 + octets > len(raw):
            return ()
        if width == 0:
            routers.append(ip_text(raw[at + 1 : at + 5]))
        at += 5 + octets
    return tuple(routers[:16])


def _fqdn(raw: bytes) -> bytes | None:
    """Name of option 81 (RFC 4702): flags, two rcodes, then text or DNS labels (flag E)."""
    if len(raw) <= 3:
        return None
    name = raw[3:]
    if not raw[0] & 4:
        return name
    labels: list[bytes] = []
    at = 0
    while at < len(name) and name[at]:
        labels.append(name[at + 1 : at + 1 + name[at]])
        at += 1 + name[at]
    return b".".join(labels)


def _address(raw: bytes) -> str | None:
    return ip_text(raw) if len(raw) == 4 and raw != _UNSET else None


def _mask(raw: bytes) -> str | None:
    return ip_text(raw) if len(raw) == 4 else None


def _text(raw: bytes | None) -> str | None:
    if not raw:
        return None
    return printable(raw.rstrip(b"\0")) or None
