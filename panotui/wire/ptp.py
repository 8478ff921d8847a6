"""PTP, the Precision Time Protocol (IEEE 1588): a datagram or a frame in, its data about the
grandmaster out.

Version 2 (with 802.1AS, which is a profile of it) names the grandmaster in Announce messages,
version 1 (IEEE 1588-2002; audio networks still speak it) in Sync messages. All other messages carry
only times for the clocks, and give None.
"""

from __future__ import annotations

from panotui.model import LinkControlMessage
from panotui.wire.linkcontrol import link_message
from panotui.wire.origin import Malformed, Origin

_HEADER = 34
_ANNOUNCE, _ANNOUNCE_SIZE = 0xB, 64
_TYPES = frozenset((0, 1, 2, 3, 8, 9, 0xA, _ANNOUNCE, 0xC, 0xD))
_ACCURACY = (  # from 0x20 on
    "25 ns", "100 ns", "250 ns", "1 us", "2.5 us", "10 us", "25 us", "100 us", "250 us", "1 ms",
    "2.5 ms", "10 ms", "25 ms", "100 ms", "250 ms", "1 s", "10 s",
)  # fmt: skip
_TIME_SOURCE = {
    0x10: "an atomic clock",
    0x20: "satellites",
    0x30: "radio",
    0x39: "a serial time code",
    0x40: "PTP",
    0x50: "NTP",
    0x60: "a setting by hand",
    0x90: "another source",
    0xA0: "its own oscillator",
}
_V1_SYNC, _V1_SYNC_SIZE = 0, 124
_V1_CONTROL, _V1_SUBDOMAIN, _V1_GRANDMASTER, _V1_STRATUM = 32, 4, 54, 67


def parse(
    data: bytes, origin: Origin, src: str = "", src_mac: str = ""
) -> LinkControlMessage | None:
    """A PTP message from its first byte. `src` is empty if it is not in a datagram."""
    if len(data) < _HEADER:
        raise Malformed("PTP shorter than its header")
    version = data[1] & 15
    if version == 1 and data[0] == 0:
        return _version_1(data, origin, src, src_mac)
    if version != 2 or data[0] & 15 not in _TYPES:
        raise Malformed("not a PTP message")
    size = int.from_bytes(data[2:4], "big")
    if not _HEADER <= size <= len(data):
        raise Malformed("PTP runs past its packet")
    if data[0] & 15 != _ANNOUNCE:
        return None
    if size < _ANNOUNCE_SIZE:
        raise Malformed("PTP Announce cut short")
    parts = [f"domain {data[4]}", f"priority {data[47]}/{data[52]}", f"class {data[48]}"]
    if 0 <= data[49] - 0x20 < len(_ACCURACY):
        parts.append(f"within {_ACCURACY[data[49] - 0x20]}")
    if data[63] in _TIME_SOURCE:
        parts.append(f"time from {_TIME_SOURCE[data[63]]}")
    parts.append(_distance(int.from_bytes(data[61:63], "big")))
    if data[0] >> 4 == 1:
        parts.append("802.1AS")
    return _message(data[53:61], ", ".join(parts), origin, src, src_mac)


def _distance(steps: int) -> str:
    """The number of clocks between the sender and the grandmaster."""
    if not steps:
        return "is the grandmaster"
    return f"{steps} step away" if steps == 1 else f"{steps} steps away"


def _version_1(data: bytes, origin: Origin, src: str, src_mac: str) -> LinkControlMessage | None:
    if data[_V1_CONTROL] != _V1_SYNC:
        return None
    if len(data) < _V1_SYNC_SIZE:
        raise Malformed("PTP Sync of version 1 cut short")
    subdomain = data[_V1_SUBDOMAIN : _V1_SUBDOMAIN + 16].split(b"\0")[0].decode("latin-1")
    detail = f"version 1, domain {subdomain}, stratum {data[_V1_STRATUM]}"
    grandmaster = data[_V1_GRANDMASTER : _V1_GRANDMASTER + 6]
    return _message(grandmaster, detail, origin, src, src_mac)


def _message(
    grandmaster: bytes, detail: str, origin: Origin, src: str, src_mac: str
) -> LinkControlMessage:
    identity = grandmaster.hex(":")
    return link_message(
        "ptp",
        detail,
        origin,
        src_mac,
        src or None,
        group=identity,
        # another grandmaster is reported again
        title=f"PTP with grandmaster {identity}",
    )
