"""Link control protocols, reported with one line of detail: bytes in, `LinkControlMessage` out.

STP and PAUSE are parsed here, because every switch sends them all the time. The rare ones (LACP,
EAPOL, VRRP, HSRP) are recognised here and their first bytes kept; `described` parses these with
scapy, which takes 14 MB and a third of a second to load, and which no meter loads.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from panotui.model import LinkControlMessage
from panotui.wire.addresses import mac_bytes_text
from panotui.wire.origin import Malformed, Origin
from panotui.wire.text import printable

STP_LLC = b"\x42\x42\x03"
PVST_SNAP = b"\xaa\xaa\x03\x00\x00\x0c\x01\x0b"
_STP_ROLES = ("", "alternate", "root", "designated")
_SLOW = {1: "lacp", 2: "marker", 3: "oam", 10: "esmc"}
_EAPOL = {0: "packet", 1: "start", 2: "logoff", 3: "key", 5: "mka"}
_VRRP_TYPE_ADVERTISEMENT = 1
_HSRP_ADVERTISE = 3
_HSRP2_ACTIVE = 6
# rare on most links, so each new sender is reported as an event
_TITLES = {"lacp": "LACP", "eapol": "802.1X", "vrrp": "VRRP", "hsrp": "HSRP"}
RAW_MOST = 256  # bytes kept of a rare packet


def parse_stp(data: bytes, origin: Origin, src_mac: str) -> LinkControlMessage | None:
    """A bridge protocol data unit (IEEE 802.1D, 802.1Q) from its protocol identifier."""
    if len(data) < 4:
        raise Malformed("BPDU shorter than its header")
    if data[:2] != b"\0\0":
        return None  # GARP and others that share the LLC address
    version, kind = data[2], data[3]
    name = {0: "stp", 2: "rstp", 3: "mstp"}.get(version, "stp")
    if kind == 0x80:
        return link_message(name, "topology change notification", origin, src_mac)
    if len(data) < 35:
        raise Malformed("BPDU cut short")
    flags = data[4]
    root, cost = _bridge(data[5:13]), int.from_bytes(data[13:17], "big")
    bridge, port = _bridge(data[17:25]), int.from_bytes(data[25:27], "big")
    parts = [f"root {root}", f"cost {cost}", f"bridge {bridge}", f"port {port & 0xFFF}"]
    if version >= 2 and _STP_ROLES[flags >> 2 & 3]:
        parts.append(_STP_ROLES[flags >> 2 & 3])
        parts.append("forwarding" if flags & 0x20 else "learning" if flags & 0x10 else "discarding")
    if flags & 1:
        parts.append("topology change")
    return link_message(name, ", ".join(parts), origin, src_mac)


def parse_pause(data: bytes, origin: Origin, src_mac: str) -> LinkControlMessage | None:
    """A MAC control frame (IEEE 802.3 annex 31B and 31D) from its opcode."""
    if len(data) < 4:
        raise Malformed("MAC control frame cut short")
    opcode = int.from_bytes(data[:2], "big")
    if opcode == 1:
        quanta = int.from_bytes(data[2:4], "big")
        return link_message("pause", f"{quanta} quanta", origin, src_mac)
    if opcode == 0x0101:
        if len(data) < 20:
            raise Malformed("PFC frame cut short")
        enabled = data[3]
        times = [
            f"{priority}: {int.from_bytes(data[4 + 2 * priority : 6 + 2 * priority], 'big')}"
            for priority in range(8)
            if enabled >> priority & 1
        ]
        return link_message("pfc", f"quanta by priority {', '.join(times)}", origin, src_mac)
    return link_message("mac-control", f"opcode {opcode:#06x}", origin, src_mac)


def parse_slow(data: bytes, origin: Origin, src_mac: str) -> LinkControlMessage:
    """A slow-protocols frame (IEEE 802.3 annex 57A) from its subtype: LACP, marker, OAM, ESMC."""
    if not data:
        raise Malformed("empty slow-protocols frame")
    name = _SLOW.get(data[0], f"slow-{data[0]}")
    if name != "lacp":
        return link_message(name, "", origin, src_mac)
    if len(data) < 50:
        raise Malformed("LACP cut short")
    return link_message(name, "", origin, src_mac, raw=data)


def parse_eapol(data: bytes, origin: Origin, src_mac: str) -> LinkControlMessage:
    """An IEEE 802.1X frame from its version byte: which device asks which to authenticate."""
    if len(data) < 4:
        raise Malformed("EAPOL shorter than its header")
    size = int.from_bytes(data[2:4], "big")
    if 4 + size > len(data):
        raise Malformed("EAPOL runs past the frame")
    detail = _EAPOL.get(data[1], f"type {data[1]}")
    packet = data[1] == 0 and size >= 4
    return link_message("eapol", detail, origin, src_mac, raw=data if packet else b"")


def parse_vrrp(data: bytes, origin: Origin, src: str, src_mac: str) -> LinkControlMessage:
    """A VRRP advertisement (RFC 3768, 5798) or CARP from its version byte; `group` is the id."""
    if len(data) < 8 or data[0] >> 4 not in (2, 3):
        raise Malformed("not a VRRP packet")
    if data[0] & 15 != _VRRP_TYPE_ADVERTISEMENT:
        raise Malformed("VRRP of an unknown type")
    detail = f"version {data[0] >> 4}, priority {data[2]}"
    return link_message("vrrp", detail, origin, src_mac, src, str(data[1]), data)


def parse_hsrp(data: bytes, origin: Origin, src: str, src_mac: str) -> LinkControlMessage | None:
    """An HSRP packet (RFC 2281) from its version byte; of version 2 its group and whether it is
    active."""
    if len(data) < 2:
        raise Malformed("HSRP cut short")
    if data[0] == 1 and data[1] >= 4:
        state, group = "", None
        if len(data) >= 8:
            state = ", active" if data[4] == _HSRP2_ACTIVE else ""
            group = str(int.from_bytes(data[6:8], "big"))
        return link_message("hsrp", f"version 2{state}", origin, src_mac, src, group)
    if data[0] != 0:
        return None
    if data[1] == _HSRP_ADVERTISE and len(data) >= 8:
        return link_message("hsrp", "advertise", origin, src_mac, src)
    if len(data) < 20:
        raise Malformed("HSRP cut short")
    return link_message("hsrp", "", origin, src_mac, src, str(data[6]), data)


def _bridge(raw: bytes) -> str:
    return f"{int.from_bytes(raw[:2], 'big') & 0xF000}/{mac_bytes_text(raw[2:8])}"


def link_message(
    name: str,
    detail: str,
    origin: Origin,
    src_mac: str,
    src: str | None = None,
    group: str | None = None,
    raw: bytes = b"",
    title: str | None = None,
) -> LinkControlMessage:
    """A message with its origin; without a `title`, the one of this module's rare protocols."""
    return LinkControlMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        protocol=name,
        src_mac=src_mac,
        src=src,
        group=group,
        detail=printable(detail),
        raw=raw[:RAW_MOST],
        title=_TITLES.get(name, "") if title is None else title,
    )


# ------------------------------------------------------------------ through scapy


def described(message: LinkControlMessage) -> str:
    """One line of detail; for a rare packet, scapy's summary if it has one."""
    describe = _dissectors().get(message.protocol) if message.raw else None
    if describe is None:
        return message.detail
    try:
        return printable(describe(message.raw)) or message.detail
    except Exception:  # noqa: BLE001  scapy raises what it likes on bytes from the wire
        return message.detail


def load() -> None:
    """Load scapy's parsers now, for a process that cannot reach its libraries when the first rare
    packet comes.
    """
    _dissectors()


def _forget_makers() -> None:
    """Drop scapy's list of network card vendors, half of its memory (13 MB): it is not needed here,
    and `state.vendors` has its own list.
    """
    from scapy.data import MANUFDB

    with contextlib.suppress(AttributeError):
        MANUFDB.d.clear()


@lru_cache(maxsize=1)
def _dissectors() -> dict[str, Callable[[bytes], str]]:
    """Load scapy's layers once, without their warnings; empty if scapy cannot be loaded."""
    import logging  # 1 ms of each start, only for scapy, which loads it anyway

    for name in ("scapy.runtime", "scapy.loading", "scapy.interactive", "scapy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from scapy.contrib.lacp import LACP
            from scapy.layers.eap import EAPOL
            from scapy.layers.hsrp import HSRP
            from scapy.layers.vrrp import VRRP, VRRPv3
    except Exception:  # noqa: BLE001  a broken scapy must not cost a packet
        return {}
    _forget_makers()

    def lacp(data: bytes) -> str:
        packet: Any = LACP(data[1:])
        return (
            f"actor {packet.actor_system} key {packet.actor_key} "
            f"port {packet.actor_port_number}, partner {packet.partner_system} "
            f"port {packet.partner_port_number}"
        )

    def eapol(data: bytes) -> str:
        packet: Any = EAPOL(data)
        return str(packet.payload.summary())

    def vrrp(data: bytes) -> str:
        packet: Any = VRRPv3(data) if data[0] >> 4 == 3 else VRRP(data)
        addresses = ", ".join(str(address) for address in packet.addrlist[:4])
        return f"version {packet.version}, priority {packet.priority}, {addresses}"

    def hsrp(data: bytes) -> str:
        packet: Any = HSRP(data)
        state = packet.sprintf("%HSRP.opcode% %HSRP.state%")
        return f"{state}, priority {packet.priority}, {packet.virtualIP}"

    return {"lacp": lacp, "eapol": eapol, "vrrp": vrrp, "hsrp": hsrp}
