"""Decides whether a UDP flow without signalling is media, from a few packets.

In: RTP-looking packets of one flow's direction, as `probation` holds them. Out: a verdict. A flow
is adopted when eight packets of one SSRC follow each other in sequence, with one payload type that
RFC 3551 allows, and plausible timestamps (RFC 3550 A.1 with MIN_SEQUENTIAL of eight). With any
other type their content must be pictures. A flow that fails often enough is never examined again.
"""

from __future__ import annotations

import numpy as np

from panotui.model import I32, I64, U8, U16, U32, U64, Bool
from panotui.wire.rtp import HEADER_BYTES, STATIC_PAYLOADS

ADOPT_PACKETS = 8
STRIKES_MAX = 256  # weight of packets that are not RTP before a flow is ignored
STRIKE = 32  # of one that is unrelated to media
COMPANION_STRIKE = 1  # of one that may come before media on their port
LOOKS_MAX = 64  # packets that look like RTP without ever being in sequence
_SENDER_REPORT = 28  # bytes of one without blocks
_TIMESTAMP_STEP_MAX = 90_000 * 10
_H264_UNITS = (1, 5, 6, 7, 8, 9, 24, 28)  # that begin payloads of real streams
_H265_UNITS = (0, 1, 19, 20, 21, 32, 33, 34, 35, 39, 40, 48, 49)


def accompany_media(data: U8, offset: I64, length: I32) -> tuple[Bool, Bool]:
    """(n,) UDP payloads that precede RTP on its port; and those of them that are DTLS.

    STUN and DTLS share the port (RFC 7983), and a payload shorter than an RTP header opens the way
    through a firewall. `data` holds at least four bytes of each.
    """
    first = data[offset]
    said = data[offset + 2].astype(np.int64) << 8 | data[offset + 3]
    stun = (first < 4) & (said + 20 == length)
    dtls = (first >= 20) & (first < 64) & (data[offset + 1] == 0xFE)
    return stun | dtls | (length < HEADER_BYTES), dtls


def is_compound_report(raw: bytes, length: int) -> bool:
    """One datagram that is certainly RTCP: a report whose packets fill it to the last byte (RFC
    3550 6.1), with more than one of them or a sender's. `length`: its bytes on the wire.
    """
    if len(raw) < length or len(raw) < 8 or raw[0] >> 6 != 2 or raw[1] not in (200, 201):
        return False
    at = packets = 0
    while at + 4 <= length:
        if raw[at] >> 6 != 2 or not 200 <= raw[at + 1] <= 207:
            return False
        at += 4 * (int.from_bytes(raw[at + 2 : at + 4], "big") + 1)
        packets += 1
    return at == length and (packets > 1 or (raw[1] == 200 and length >= _SENDER_REPORT))


def plausible_payload_type(payload_type: int) -> bool:
    """A type that RFC 3551 assigns or leaves dynamic."""
    return payload_type >= 96 or payload_type in STATIC_PAYLOADS


def may_be_picture(head: U64) -> Bool:
    """(n,) payloads, by their first eight bytes, that may be a unit of H.264 or H.265."""
    first = (head >> np.uint64(56)).astype(np.uint8)
    second = (head >> np.uint64(48)).astype(np.uint8)
    h264: Bool = (first & 0x80 == 0) & np.isin(first & 31, _H264_UNITS)
    h265: Bool = (first & 0x81 == 0) & (second == 1) & np.isin(first >> 1, _H265_UNITS)
    h264 |= h265
    return h264


def in_sequence(sequence: U16 | I64, timestamp: U32 | I64, wanted: int) -> int:
    """The number of packets after which `wanted` are consecutive, with timestamps that are equal or
    move a little; 0 if they never are. Where many are wanted, they may have overtaken one another.
    """
    if len(sequence) < wanted:
        return 0
    if wanted <= 1:
        return 1
    arrived: I64 = np.arange(len(sequence))
    if wanted >= ADOPT_PACKETS:
        ahead = (sequence.astype(np.int64) - int(sequence[0]) + 0x8000) & 0xFFFF
        _, arrived = np.unique(ahead, return_index=True)  # without copies, in their order
        sequence, timestamp = sequence[arrived], timestamp[arrived]
    step = np.diff(sequence.astype(np.uint16)) == 1
    moved = np.diff(timestamp.astype(np.uint32)).view(np.int32)
    step &= (moved <= _TIMESTAMP_STEP_MAX) & (moved >= -_TIMESTAMP_STEP_MAX)
    if len(step) < wanted - 1:
        return 0
    run = np.convolve(step.astype(np.int64), np.ones(wanted - 1, np.int64), "valid")
    begins = np.flatnonzero(run == wanted - 1)
    if not len(begins):
        return 0
    last = np.lib.stride_tricks.sliding_window_view(arrived, wanted)[begins].max(axis=1)
    return int(last.min()) + 1


def guess_codec(first: U8, second: U8, in_parts: bool = False) -> str | None:
    """The codec of a video stream by the first two payload bytes; None: unsure. `in_parts`: only
    by a unit in fragments, for other payloads may begin like a whole one.

    Only the unit types allowed by RFC 6184 5.2 and RFC 7798 4.4, including headers of fragments, in
    every packet: any other payload soon shows another type.
    """
    if len(first) < ADOPT_PACKETS or (first & 0x80).any():
        return None
    kind = first & 31
    inner = second & 31
    fragment = kind == 28
    if np.isin(kind, _H264_UNITS).all() and np.isin(kind, (28,) if in_parts else (1, 5, 28)).any():
        reserved = (second[fragment] & 0x20).any()
        if not reserved and np.isin(inner[fragment], (1, 5, 6, 7, 8)).all():
            return "H264"
    kind = first >> 1 & 63
    plain = ((first & 1) == 0).all() and ((second >> 3) == 0).all() and ((second & 7) == 1).all()
    if (
        plain
        and np.isin(kind, _H265_UNITS).all()
        and np.isin(kind, (49,) if in_parts else (1, 19, 20, 49)).any()
    ):
        return "H265"
    return None
