"""The columns that `decode` makes of a batch: one row per packet, aligned with the batch's rows.

Offsets are absolute positions in `PacketBatch.data`; -1 means that the header is absent or was not
captured. Lengths are those on the wire, unless the name says captured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import fields

from panotui.model import I16, I32, I64, U8, U16, U32, U64, Bool


class Columns(Struct):
    """Parallel columns of a decoded batch of n packets."""

    ethertype: U16  # (n,) after VLAN tags and MPLS; 0 unknown; LLC frames: their length field
    l3: I64  # (n,) network header (for non-IP: first byte after the link header)
    version: U8  # (n,) 4, 6, or 0 for non-IP
    protocol: U8  # (n,) transport protocol after extension headers; 255 none
    src4: U32  # (n,) IPv4 source as a number (host order); 0 for IPv6 and non-IP
    dst4: U32
    l4: I64  # (n,) transport header; -1 for later fragments and truncated packets
    sport: U16  # (n,) ports; ICMP: type and code; 0 without transport header
    dport: U16  # (later fragments carry the ports of their first fragment when it is known)
    payload: I64  # (n,) transport payload, -1 none
    payload_length: I32  # (n,) bytes on the wire, without link-layer padding
    payload_captured: I32  # (n,) bytes of it that are in the buffer
    tcp_flags: U8  # (n,) 0 for others; FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32
    ttl: U8  # (n,) TTL or hop limit
    vlan: I32  # (n,) innermost VLAN id, -1 none (priority tags with id 0 count as none)
    fragment: U8  # (n,) 0 whole, 1 first fragment, 2 later fragment
    hash: U64  # (n,) keyed hash of the five-tuple, the same for both directions; 0 for non-IP
    forward: Bool  # (n,) true when (src, sport) is the lower end of the canonical five-tuple
    src_mac: U64  # (n,) 0 where the link has none
    dst_mac: U64
    malformed: Bool  # (n,) a header has an impossible value
    outgoing: I16  # (n,) 1 sent by the capturing host (SLL, pcapng flags), 0 received, -1 unknown
    flags: I16  # (n,) bits below
    # (3, n) the 24 bytes from byte 4 of the transport header, as big-endian words: for TCP its
    # numbers, flags and window, for UDP length, checksum and 16 bytes of payload (RTP's fixed
    # header and the first 8 bytes after it); 0 if `l4` is -1, undefined past the captured bytes
    transport: U64
    # (n,) keyed hash of the fields that copies of one packet share: five-tuple, direction, IP
    # identification, length, 16 bytes from the transport header on; None in made-up columns
    digest: U64 | None = None

    def part(self, start: int, stop: int) -> Columns:
        """Rows [start, stop) of the same columns."""
        rows = slice(start, stop)
        parts: list[Any] = []
        for name in _NAMES:
            column = getattr(self, name)  # of `transport` packets are the second axis
            parts.append(None if column is None else column[..., rows])
        return Columns(*parts)

    def rows(self, rows: I64) -> Columns:
        """These rows of the same columns."""
        parts: list[Any] = []
        for name in _NAMES:
            column = getattr(self, name)
            parts.append(None if column is None else column[..., rows])
        return Columns(*parts)


def joined(parts: Sequence[Columns]) -> Columns:
    """The rows of all parts, one after the other."""
    columns: list[Any] = []
    for name in _NAMES:
        of_name = [getattr(part, name) for part in parts]
        columns.append(None if of_name[0] is None else np.concatenate(of_name, axis=-1))
    return Columns(*columns)


_NAMES = tuple(field.name for field in fields(Columns))

# bits of `Columns.flags`
SNAPPED = 1  # captured < wire length
OWN = 2  # this tool's own traffic or the technician's session
TUNNEL = 4  # GRE, VXLAN, GENEVE, IP in IP: named; only the outer header is decoded
DUPLICATE = 8  # a copy made by the mirror; set by the meter, left out of flows and streams
