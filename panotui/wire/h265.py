"""H.265 in RTP (RFC 7798): flags of each payload, for all rows at once, and the SPS's size.

In: a byte buffer and the start of each RTP payload; out: the flags of `panotui.wire.h264`. DONL
fields (sprop-max-don-diff > 0) are not supported; no camera sends them.
"""

from __future__ import annotations

import base64
import binascii

import numpy as np

from panotui.model import I32, I64, U8, U64
from panotui.wire import start_codes
from panotui.wire.h264 import KEY, PARAMETER, SPS, SPS_PART, START, VCL, Fragments, _Bits

_AGGREGATE_MAX = 16
_NO_UNIT = 63  # an unassigned type: no flags
_PACI = 50


def _table() -> U8:
    """Flags of a NAL unit type (6 bits), as a unit that starts here."""
    table = np.zeros(64, np.uint8)
    table[:32] = VCL | START
    table[16:24] |= KEY
    table[32:41] = PARAMETER | START
    table[33] |= SPS
    return table


_TABLE = _table()
_UNITS = _TABLE[np.arange(256) >> 1 & 63]  # of a unit's first byte


def flags(data: U8, payload: I64, captured: I32, head: U64) -> U8:
    """(n,) flags of n H.265 RTP payloads: single units, aggregates (48), fragments (49) and what
    is inside a PACI (50).

    `head` is their first eight bytes, as in `RtpColumns`.
    """
    kind = (head >> np.uint64(57)).astype(np.uint8) & np.uint8(63)
    kind[captured < 3] = _NO_UNIT
    inside_paci = np.flatnonzero(kind == _PACI)
    if len(inside_paci):
        kind[inside_paci] = _inner_kind(data, payload[inside_paci], captured[inside_paci])
    out: U8 = _TABLE.take(kind)
    fragments = np.flatnonzero(kind == 49)
    if len(fragments):
        header = (head[fragments] >> np.uint64(40)).astype(np.uint8)
        starts = header >= 0x80
        out[fragments] = _TABLE[header & 63] & ~np.uint8(START | SPS)
        out[fragments[starts]] |= START
        out[fragments[header & 63 == 33]] |= SPS_PART
    coded = np.flatnonzero(head >> np.uint64(48) == 0)
    if len(coded):
        out[coded] = start_codes.flags(data, payload[coded], captured[coded], _UNITS)
    rows = np.flatnonzero(kind == 48)
    out[rows] = START
    position = payload[rows] + 2
    end = payload[rows] + captured[rows]
    for _ in range(_AGGREGATE_MAX):
        inside = position + 3 <= end
        rows, position, end = rows[inside], position[inside], end[inside]
        if not len(rows):
            break
        size = data[position].astype(np.int64) << 8 | data[position + 1]
        out[rows] |= _TABLE[data[position + 2] >> 1 & 63]
        position = position + 2 + size
    return out


def _inner_kind(data: U8, payload: I64, captured: I32) -> U8:
    """(n,) unit types inside PACI packets, that of a fragment already read (RFC 7798 4.4.4)."""
    known = captured >= 5
    at = np.where(known, payload, 0)
    out = np.where(known, data[at + 2] >> 1 & 63, np.uint8(_NO_UNIT))
    body = 4 + ((data[at + 2].astype(np.int64) & 1) << 4 | data[at + 3] >> 4)
    split = np.flatnonzero(known & (out == 49) & (body < captured))
    out[split] = data[payload[split] + body[split]] & 63
    out[out >= 48] = _NO_UNIT  # an aggregate in there is not looked at
    return out


def find_sps(payload: bytes) -> bytes | None:
    """The SPS NAL unit in one RTP payload (single or in an aggregate), None without one."""
    if len(payload) < 3:
        return None
    for unit in start_codes.units(payload):
        if unit and unit[0] >> 1 & 63 == 33:
            return unit[:1024]
    if payload[0] >> 1 & 63 != 48:
        return None
    position = 2
    for _ in range(_AGGREGATE_MAX):
        if position + 3 > len(payload):
            return None
        size = payload[position] << 8 | payload[position + 1]
        unit = payload[position + 2 : position + 2 + size]
        if unit and unit[0] >> 1 & 63 == 33:
            return unit[:1024]
        position += 2 + size
    return None


def is_fragment(payload: bytes) -> bool:
    """True if an RTP payload is a fragment of a unit."""
    return payload[0] >> 1 & 63 == 49


def read_part(parts: Fragments, sequence: int, payload: bytes, whole: bool) -> bytes | None:
    """The SPS that the fragment in an RTP payload completes (RFC 7798 4.4.3)."""
    if len(payload) < 3:
        return None
    header = bytes([payload[0] & 0x81 | (payload[2] & 63) << 1, payload[1]])
    return parts.add(sequence, header, payload[2], payload[3:], whole)


def sps_of_sprop(value: str) -> bytes | None:
    """The SPS in a `sprop-sps` value (RFC 7798 7.1)."""
    try:
        unit = next(start_codes.units(base64.b64decode(value.split(",")[0].strip())), b"")
    except (binascii.Error, ValueError):
        return None
    return unit[:1024] if len(unit) > 3 and unit[0] >> 1 & 63 == 33 else None


def parse_size(unit: bytes) -> tuple[int, int] | None:
    """Width and height of an SPS NAL unit (ITU-T H.265 7.3.2.2.1); None if unreadable."""
    if len(unit) < 16 or unit[0] >> 1 & 63 != 33:
        return None
    bits = _Bits(unit[2:1024].replace(b"\0\0\3", b"\0\0"))
    try:
        bits.u(4)
        layers = bits.u(3)
        bits.u(1)
        bits.u(88)  # general profile, tier and flags
        bits.u(8)  # general level
        present = [(bits.u(1), bits.u(1)) for _ in range(layers)]
        if layers:
            for _ in range(layers, 8):
                bits.u(2)
        for profile, level in present:
            bits.u(88 * profile + 8 * level)
        bits.ue()
        chroma = bits.ue()
        if chroma == 3:
            bits.u(1)
        width, height = bits.ue(), bits.ue()
        if bits.u(1):
            sub_x = 2 if chroma in (1, 2) else 1
            sub_y = 2 if chroma == 1 else 1
            left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
            width -= sub_x * (left + right)
            height -= sub_y * (top + bottom)
    except ValueError:
        return None
    return (width, height) if 0 < width <= 16384 and 0 < height <= 16384 else None
