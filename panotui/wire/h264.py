"""H.264 in RTP (RFC 6184) and its sequence parameter set (ITU-T H.264 7.3.2.1.1, E.1.1).

In: a byte buffer and the start of each RTP payload; out: one byte of flags per row, for all rows at
once. Also, one at a time, an SPS's bytes to size, profile and declared frame rate.
"""

from __future__ import annotations

import base64
import binascii

import msgspec
import numpy as np

from panotui.model import I32, I64, U8, U64, Bool
from panotui.wire import start_codes

# Bits that describe an RTP payload; shared by all video payloads.
VCL = 1  # a slice: part of a picture
KEY = 2  # of a picture that a decoder can start with
SPS = 4  # a whole sequence parameter set
START = 8  # begins a NAL unit, or a frame (JPEG)
PARAMETER = 16  # parameter sets, SEI, delimiters
SPS_PART = 32  # a fragment of a sequence parameter set
MARK = 128  # RTP marker; set by the caller

_AGGREGATE = 64  # an aggregate, SEI of several messages, or a start code: needs a walk
_AGGREGATE_MAX = 16  # NAL units examined in one aggregate
# Aggregates by type: bytes before the first unit's size, and between a unit's size and the unit
# (STAP-A, STAP-B, MTAP16, MTAP24: RFC 6184 5.7).
_STAP_A, _MTAP_24 = 24, 27
_AGGREGATE_HEADS = np.array([1, 3, 3, 3])
_UNIT_HEADS = np.array([0, 0, 3, 4])
_SEI = 6
_RECOVERY_POINT = 6  # SEI message (D.1.8): a decoder may start here although there is no IDR
_SEI_MESSAGES_MAX = 4
_SPS_BYTES_MAX = 1024
_FRAGMENTS_MAX = 16  # packets that one set may be spread over


def _flags_of(nal_type: int, start: bool) -> int:
    flags = START if start else 0
    if 1 <= nal_type <= 5:
        flags |= VCL
    if nal_type == 5:
        flags |= KEY
    if nal_type in (6, 7, 8, 9, 12):
        flags |= PARAMETER
    if nal_type == 7 and start:
        flags |= SPS
    return flags


def _table() -> U8:
    """Flags of the first two payload bytes as a big-endian word."""
    table = np.zeros(65536, np.uint8)
    for b0 in range(256):
        kind = b0 & 31
        if kind in (28, 29):
            for b1 in range(256):
                flags = _flags_of(b1 & 31, b1 >= 0x80) & ~SPS
                table[b0 << 8 | b1] = flags | (SPS_PART if b1 & 31 == 7 else 0)
        else:
            whole = not _STAP_A <= kind <= _MTAP_24
            value = _flags_of(kind, True) if whole else _AGGREGATE | START
            table[b0 << 8 : (b0 + 1) << 8] = value
        if kind == _SEI:
            # Messages with lower numbers may precede the one searched for.
            for message in range(_RECOVERY_POINT):
                table[b0 << 8 | message] |= _AGGREGATE
            table[b0 << 8 | _RECOVERY_POINT] |= KEY
    table[0] = _AGGREGATE  # the first bytes of a start code
    return table


_TABLE = _table()
_UNITS = _TABLE[::256] & ~np.uint8(_AGGREGATE)  # of a unit's first byte
_UNITS[0] = 0


def flags(data: U8, payload: I64, captured: I32, head: U64) -> U8:
    """(n,) flags of n H.264 RTP payloads: single NAL units, aggregates, FU-A and FU-B.

    `head` is their first eight bytes, as in `RtpColumns`.
    """
    out: U8 = _TABLE.take((head >> np.uint64(48)).view(np.int64))
    known = captured >= 2
    if not known.all():
        out[~known] = 0
    rows = np.flatnonzero(out & _AGGREGATE)
    if len(rows):
        sei = rows[data[payload[rows]] & 31 == _SEI]
        rows = rows[data[payload[rows]] & 31 != _SEI]
        out[sei] &= ~np.uint8(_AGGREGATE)
        out[sei[_recovers(data, payload[sei], payload[sei] + captured[sei])]] |= KEY
        coded = rows[data[payload[rows]] == 0]
        if len(coded):
            rows = rows[data[payload[rows]] != 0]
            out[coded] = start_codes.flags(data, payload[coded], captured[coded], _UNITS)
        out[rows] = START
        kind = (data[payload[rows]] & 31).astype(np.int64) - _STAP_A
        gap = _UNIT_HEADS[kind]
        position = payload[rows] + _AGGREGATE_HEADS[kind]
        end = payload[rows] + captured[rows]
        for _ in range(_AGGREGATE_MAX):
            inside = position + gap + 3 <= end
            rows, position, end, gap = rows[inside], position[inside], end[inside], gap[inside]
            if not len(rows):
                break
            size = data[position].astype(np.int64) << 8 | data[position + 1]
            position = position + gap
            first = data[position + 2]
            out[rows] |= _TABLE[first.astype(np.int64) << 8] & ~np.uint8(_AGGREGATE)
            sei = np.flatnonzero(first & 31 == _SEI)
            if len(sei):
                unit = position[sei] + 2
                stop = np.minimum(unit + size[sei], end[sei])
                out[rows[sei[_recovers(data, unit, stop)]]] |= KEY
            position = position + 2 + size
    return out


def _recovers(data: U8, unit: I64, end: I64) -> Bool:
    """(n,) SEI units, each from `unit` to `end`, that hold a recovery point."""
    found = np.zeros(len(unit), bool)
    rows, at = np.arange(len(unit)), unit + 1
    for _ in range(_SEI_MESSAGES_MAX):
        inside = at + 2 <= end[rows]
        rows, at = rows[inside], at[inside]
        if not len(rows):
            break
        kind, size = data[at], data[at + 1].astype(np.int64)
        found[rows[kind == _RECOVERY_POINT]] = True
        more = (kind < _RECOVERY_POINT) & (size < 255)
        rows, at = rows[more], at[more] + 2 + size[more]
    return found


def find_sps(payload: bytes) -> bytes | None:
    """The SPS NAL unit in one RTP payload (single or in an aggregate), None without one."""
    for unit in start_codes.units(payload):
        if unit and unit[0] & 31 == 7:
            return unit[:_SPS_BYTES_MAX]
    kind = payload[0] & 31 if payload else 0
    if not _STAP_A <= kind <= _MTAP_24:
        return None
    gap = int(_UNIT_HEADS[kind - _STAP_A])
    position = int(_AGGREGATE_HEADS[kind - _STAP_A])
    for _ in range(_AGGREGATE_MAX):
        if position + gap + 3 > len(payload):
            return None
        size = payload[position] << 8 | payload[position + 1]
        position += gap
        unit = payload[position + 2 : position + 2 + size]
        if unit and unit[0] & 31 == 7:
            return unit[:_SPS_BYTES_MAX]
        position += 2 + size
    return None


class Fragments:
    """Joins the fragments of one unit: a few packets, in order, and only the part that an SPS
    needs.

    In a fragment the unit's own header is separate (RFC 6184 5.8, RFC 7798 4.4.3).
    """

    __slots__ = ("_count", "_next", "_unit")

    def __init__(self) -> None:
        self._unit = b""
        self._next = -1
        self._count = 0

    def add(self, sequence: int, header: bytes, fu: int, body: bytes, whole: bool) -> bytes | None:
        """One fragment: `header` is the unit's, `fu` the fragment's, `body` the rest.

        Returns the unit if this was its last fragment, or the last usable one (`whole` false:
        truncated by the capture); None while more are needed, or if the start was not seen.
        """
        if fu & 0x80:
            self._unit, self._count = header, 0
        elif sequence != self._next:
            self._next = -1
            return None
        self._next = (sequence + 1) & 0xFFFF
        self._count += 1
        self._unit += body[: _SPS_BYTES_MAX - len(self._unit)]
        if not (fu & 0x40 or self._count >= _FRAGMENTS_MAX or not whole):
            return None
        self._next = -1
        return self._unit


def is_fragment(payload: bytes) -> bool:
    """True if an RTP payload of 2 bytes or more is a fragment of a unit."""
    return payload[0] & 31 in (28, 29)


def read_part(parts: Fragments, sequence: int, payload: bytes, whole: bool) -> bytes | None:
    """The SPS that the fragment (FU-A, FU-B) in an RTP payload completes."""
    kind = payload[0] & 31
    body = 2 if kind == 28 else 4  # FU-B has a decoding order number in its first fragment
    header = bytes([payload[0] & 0xE0 | payload[1] & 31])
    return parts.add(sequence, header, payload[1], payload[body:], whole)


def sps_of_sprop(value: str) -> bytes | None:
    """The SPS in a `sprop-parameter-sets` value (RFC 6184 8.1), None when empty or unreadable."""
    for part in value.split(","):
        try:
            unit = base64.b64decode(part.strip(), validate=False)
        except (binascii.Error, ValueError):
            continue
        unit = next(start_codes.units(unit), b"")
        if unit and unit[0] & 31 == 7:
            return unit[:_SPS_BYTES_MAX]
    return None


class SequenceParameters(msgspec.Struct, frozen=True):
    """The content of an SPS; `fps` is None without timing or with an implausible one."""

    profile: int
    constraint: int
    level: int
    width: int
    height: int
    fps: float | None


class _Bits:
    """A reader of bits; raises ValueError at the end or out of bounds."""

    def __init__(self, raw: bytes) -> None:
        self._value = int.from_bytes(raw, "big")
        self._left = 8 * len(raw)

    def u(self, count: int) -> int:
        if count > self._left:
            raise ValueError("out of bits")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def ue(self) -> int:
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("exp-Golomb code too long")
        return (1 << zeros) - 1 + (self.u(zeros) if zeros else 0)

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def parse_sps(unit: bytes) -> SequenceParameters | None:
    """Size, profile and declared frame rate of an SPS NAL unit; None if it cannot be read."""
    if len(unit) < 4 or unit[0] & 31 != 7:
        return None
    body = unit[1:_SPS_BYTES_MAX].replace(b"\0\0\3", b"\0\0")
    try:
        return _read_sps(_Bits(body))
    except ValueError:
        return None


def _skip_scaling_lists(bits: _Bits, chroma: int) -> None:
    for index in range(12 if chroma == 3 else 8):
        if not bits.u(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            if following == 0:
                break
            last = following


def _read_sps(bits: _Bits) -> SequenceParameters:
    profile, constraint, level = bits.u(8), bits.u(8), bits.u(8)
    bits.ue()
    chroma = 1
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        if chroma > 3:
            raise ValueError("chroma format")
        if chroma == 3:
            bits.u(1)
        bits.ue()
        bits.ue()
        bits.u(1)
        if bits.u(1):
            _skip_scaling_lists(bits, chroma)
    bits.ue()
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1)
        bits.se()
        bits.se()
        cycle = bits.ue()
        if cycle > 255:
            raise ValueError("reference frames in a cycle")
        for _ in range(cycle):
            bits.se()
    bits.ue()
    bits.u(1)
    across, down = bits.ue() + 1, bits.ue() + 1
    frames_only = bits.u(1)
    if not frames_only:
        bits.u(1)
    bits.u(1)
    left = right = top = bottom = 0
    if bits.u(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
    crop_x = 2 if chroma in (1, 2) else 1
    crop_y = (2 - frames_only) * (2 if chroma == 1 else 1)
    width = 16 * across - crop_x * (left + right)
    height = 16 * down * (2 - frames_only) - crop_y * (top + bottom)
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise ValueError("size")
    try:
        fps = _read_timing(bits) if bits.u(1) else None
    except ValueError:
        fps = None  # the size is valid even if the usability information is truncated
    return SequenceParameters(profile, constraint, level, width, height, fps)


def _read_timing(bits: _Bits) -> float | None:
    """Frame rate of the video usability information (E.1.1), None without one."""
    if bits.u(1) and bits.u(8) == 255:
        bits.u(32)
    if bits.u(1):
        bits.u(1)
    if bits.u(1):
        bits.u(4)
        if bits.u(1):
            bits.u(24)
    if bits.u(1):
        bits.ue()
        bits.ue()
    if not bits.u(1):
        return None
    units, scale = bits.u(32), bits.u(32)
    if not units:
        return None
    fps = scale / (2 * units)
    return fps if 1 <= fps <= 240 else None
