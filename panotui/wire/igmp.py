"""IGMP (RFC 1112, 2236, 3376) and multicast listener discovery (RFC 2710, 3810): bytes in, a
`LinkControlMessage` out: `igmp-query`, `igmp-report`, `igmp-leave`, and the same as `mld-...`.

`group` is the first group; the detail lists the rest in one line.
"""

from __future__ import annotations

from panotui.model import LinkControlMessage
from panotui.wire.addresses import ip_text
from panotui.wire.linkcontrol import link_message
from panotui.wire.origin import Malformed, Origin

_RECORDS = {1: "include", 2: "exclude", 3: "to-include", 4: "to-exclude", 5: "allow", 6: "block"}
_GROUPS_TOLD = 8


def parse(data: bytes, origin: Origin, src: str, src_mac: str = "") -> LinkControlMessage | None:
    """An IGMP message from its type byte; None for types that are not about membership."""
    if len(data) < 8:
        raise Malformed("IGMP shorter than its header")
    kind = data[0]
    if kind == 0x11:
        version = 3 if len(data) >= 12 else 2 if data[1] else 1
        return _query("igmp", version, data[4:8], data[1], origin, src, src_mac)
    if kind in (0x12, 0x16):
        name, detail = "igmp-report", f"v{1 if kind == 0x12 else 2}"
    elif kind == 0x17:
        name, detail = "igmp-leave", "v2"
    elif kind == 0x22:
        return _records("igmp", data, 4, origin, src, src_mac)
    else:
        return None
    return link_message(name, detail, origin, src_mac, src, ip_text(data[4:8]))


def parse_mld(
    data: bytes, origin: Origin, src: str, src_mac: str = ""
) -> LinkControlMessage | None:
    """ICMPv6 types 130, 131, 132 and 143 from the type byte."""
    if len(data) < 8:
        raise Malformed("MLD shorter than its header")
    kind = data[0]
    if kind == 143:
        return _records("mld", data, 16, origin, src, src_mac)
    if kind not in (130, 131, 132):
        return None
    if len(data) < 24:
        raise Malformed("MLD cut short")
    if kind == 130:
        delay = int.from_bytes(data[4:6], "big")
        version = 2 if len(data) >= 28 else 1
        return _query("mld", version, data[8:24], delay // 100, origin, src, src_mac)
    name = "mld-report" if kind == 131 else "mld-leave"
    return link_message(name, "v1", origin, src_mac, src, ip_text(data[8:24]))


def _query(
    family: str, version: int, raw: bytes, tenths: int, origin: Origin, src: str, src_mac: str
) -> LinkControlMessage:
    group = ip_text(raw) if any(raw) else None
    detail = f"v{version} {'for one group' if group else 'general'}, answer within {tenths / 10} s"
    return link_message(f"{family}-query", detail, origin, src_mac, src, group)


def _records(
    family: str, data: bytes, width: int, origin: Origin, src: str, src_mac: str
) -> LinkControlMessage:
    """IGMPv3 and MLDv2 reports: type, aux words, sources, group, sources, aux data."""
    count = int.from_bytes(data[6:8], "big")
    at = 8
    told: list[str] = []
    group: str | None = None
    leaves = joins = 0
    for _ in range(min(count, 1024)):
        if at + 4 + width > len(data):
            raise Malformed(f"{family} report cut short")
        kind, aux = data[at], data[at + 1]
        sources = int.from_bytes(data[at + 2 : at + 4], "big")
        address = ip_text(data[at + 4 : at + 4 + width])
        group = group or address
        if kind in (1, 3) and not sources:
            leaves += 1
        elif kind != 6:
            joins += 1
        if len(told) < _GROUPS_TOLD:
            told.append(f"{_RECORDS.get(kind, f'type {kind}')} {address}")
        at += 4 + width + sources * width + aux * 4
    if at > len(data):
        raise Malformed(f"{family} report cut short")
    detail = f"v{3 if family == 'igmp' else 2} {count} records: {', '.join(told)}"
    name = f"{family}-leave" if leaves and not joins else f"{family}-report"
    return link_message(name, detail, origin, src_mac, src, group)
