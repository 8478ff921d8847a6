"""Announcements of hosts: mDNS answers, SSDP, WS-Discovery (ONVIF) and NetBIOS names.

UDP payloads in, `DiscoveryMessage` out, or None for queries. WS-Discovery's XML is searched, not
parsed: a scope is a word, and no entity is ever expanded.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from panotui.model import DiscoveryMessage
from panotui.wire import dns
from panotui.wire.origin import Malformed, Origin
from panotui.wire.text import printable

_BODY_READ = 16_384
_SCOPE = re.compile(
    rb"onvif://www\.onvif\.org/([A-Za-z_]{1,24})/([^\s<>\"']{1,256})", re.IGNORECASE
)
_XADDRS = re.compile(rb"<(?:[\w.-]{1,32}:)?XAddrs[^>]{0,256}>\s{0,64}([^\s<]{1,256})")
_ANSWERS = (b"ProbeMatches", b"ResolveMatches", b"Hello")
_TXT_MODEL = ("md", "model", "ty", "am", "product")
_TXT_VENDOR = ("manufacturer", "mf", "vendor", "usb_mfg")
_A, _PTR, _TXT, _AAAA, _SRV = 1, 12, 16, 28, 33


def parse_ssdp(payload: bytes, origin: Origin, src: str) -> DiscoveryMessage | None:
    """NOTIFY or an answer to M-SEARCH: SERVER and LOCATION; None for the search itself."""
    lines = payload[:_BODY_READ].split(b"\n", 64)
    start = lines[0].strip()
    if start.startswith(b"M-SEARCH"):
        return None
    if not start.startswith((b"NOTIFY ", b"HTTP/1.")):
        raise Malformed("not an SSDP message")
    fields: dict[bytes, bytes] = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        fields.setdefault(name.strip().lower(), value.strip())
    server = fields.get(b"server")
    location = fields.get(b"location")
    if not server and not location:
        return None
    return _message(
        "ssdp", origin, src, name=None, model=server, location=location, vendor=None, onvif=False
    )


def parse_ws_discovery(payload: bytes, origin: Origin, src: str) -> DiscoveryMessage | None:
    """Hello, ProbeMatches or ResolveMatches: name, hardware and service address of the device."""
    body = payload[:_BODY_READ]
    if b"<" not in body:
        raise Malformed("not a WS-Discovery message")
    if not any(word in body for word in _ANSWERS):
        return None
    scopes: dict[bytes, bytes] = {}
    for kind, value in _SCOPE.findall(body):
        scopes.setdefault(kind.lower(), unquote_to_bytes(value))
    addresses = _XADDRS.search(body)
    location = addresses.group(1) if addresses else None
    if not scopes and not location:
        return None
    return _message(
        "ws-discovery",
        origin,
        src,
        name=scopes.get(b"name"),
        model=scopes.get(b"hardware"),
        vendor=scopes.get(b"manufacturer") or scopes.get(b"mfr"),
        location=location,
        onvif=bool(scopes) or b"onvif" in body,
    )


def of_mdns(packet: dns.Packet, origin: Origin, src: str) -> DiscoveryMessage | None:
    """The data that an mDNS answer gives about its sender: host or instance name, model and vendor
    of TXT.
    """
    if not packet.flags & 0x8000:
        return None
    name: str | None = None
    instance: str | None = None
    model: bytes | None = None
    vendor: bytes | None = None
    for record in [*packet.answers, *packet.additional]:
        if record.type in (_A, _AAAA):
            name = name or packet.names.at(record.name_at)[0]
        elif record.type == _SRV:
            instance = instance or packet.names.at(record.name_at)[0]
        elif record.type == _TXT:
            for text in dns.strings(packet.wire, record):
                key, _, value = text.partition(b"=")
                word = key.decode("latin-1").lower()
                if word in _TXT_MODEL:
                    model = model or value
                elif word in _TXT_VENDOR:
                    vendor = vendor or value
    if name is None and instance is None and model is None and vendor is None:
        return None
    return _message(
        "mdns",
        origin,
        src,
        name=name or instance,
        model=model,
        vendor=vendor,
        location=None,
        onvif=False,
    )


def parse_netbios(payload: bytes, origin: Origin, src: str) -> DiscoveryMessage | None:
    """A NetBIOS name registration or answer (RFC 1002): the name that the sender claims."""
    if len(payload) < 12:
        raise Malformed("NetBIOS name packet shorter than its header")
    flags = int.from_bytes(payload[2:4], "big")
    opcode, response = flags >> 11 & 15, flags & 0x8000
    if not (opcode in (5, 8, 9) or (response and opcode == 0)):
        return None
    if len(payload) < 46 or payload[12] != 32:
        raise Malformed("NetBIOS name cut short")
    half = payload[13:45]
    if any(not 0x41 <= byte <= 0x50 for byte in half):
        raise Malformed("NetBIOS name is not encoded")
    raw = bytes((half[i] - 0x41) << 4 | (half[i + 1] - 0x41) for i in range(0, 32, 2))
    name = raw[:15].rstrip(b" \0")
    if not name or name == b"*":
        return None
    return _message(
        "nbns", origin, src, name=name, model=None, vendor=None, location=None, onvif=False
    )


def _message(
    protocol: str,
    origin: Origin,
    src: str,
    *,
    name: bytes | str | None,
    model: bytes | None,
    vendor: bytes | None,
    location: bytes | None,
    onvif: bool,
) -> DiscoveryMessage:
    return DiscoveryMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        protocol=protocol,
        src=src,
        name=printable(name) if name else None,
        model=printable(model) if model else None,
        vendor=printable(vendor) if vendor else None,
        onvif=onvif,
        location=printable(location) if location else None,
    )
