"""RTCP (RFC 3550 6): one datagram or interleaved frame in, its reports out.

In: the bytes of a compound packet; out: sender reports, report blocks, BYEs, and the kinds of
feedback in it. Lengths must add up (RFC 3550 A.2); anything else gives None.
"""

from __future__ import annotations

import struct

import msgspec

_NTP_TO_UNIX_S = 2_208_988_800
_BLOCKS_MAX = 31


class SenderReport(msgspec.Struct, frozen=True):
    ssrc: int
    ntp: int  # 64-bit NTP timestamp
    rtp_time: int
    packets: int
    octets: int


class ReceptionReport(msgspec.Struct, frozen=True):
    reporter: int
    about: int
    fraction: int  # lost / 256 since the last report
    lost: int  # cumulative, signed 24 bits
    highest: int  # extended highest sequence number
    jitter: int  # timestamp units
    last_sr: int  # middle 32 bits of the NTP timestamp of the last SR, 0 none
    delay: int  # since then, 1/65536 s


class Compound(msgspec.Struct, frozen=True):
    senders: tuple[SenderReport, ...] = ()
    reports: tuple[ReceptionReport, ...] = ()
    byes: tuple[int, ...] = ()
    empty_reports: tuple[int, ...] = ()  # RRs without a block: SSRC of the receiver
    feedback: tuple[str, ...] = ()  # "nack", "pli", "fir", "rtpfb", "psfb"
    canonical_names: tuple[tuple[int, bytes], ...] = ()


def ntp_to_unix_ns(ntp: int) -> int:
    """A 64-bit NTP timestamp as ns since 1970 (RFC 5905 6; era by pivot 1968/2036)."""
    seconds = ntp >> 32
    if seconds < 0x80000000:
        seconds += 1 << 32
    return (seconds - _NTP_TO_UNIX_S) * 1_000_000_000 + ((ntp & 0xFFFFFFFF) * 1_000_000_000 >> 32)


def _blocks(raw: bytes, start: int, end: int, count: int, ssrc: int) -> list[ReceptionReport]:
    found = []
    for position in range(start, min(end - 23, start + 24 * min(count, _BLOCKS_MAX)), 24):
        about, loss, highest, jitter, last_sr, delay = struct.unpack_from("!IIIIII", raw, position)
        lost = loss & 0xFFFFFF
        if lost >= 0x800000:
            lost -= 0x1000000
        found.append(
            ReceptionReport(ssrc, about, loss >> 24, lost, highest, jitter, last_sr, delay)
        )
    return found


_FEEDBACK = {(205, 1): "nack", (206, 1): "pli", (206, 4): "fir"}


def parse(raw: bytes, complete: bool = True) -> Compound | None:
    """A compound packet; `complete` false: truncated by the snap length, read as far as it goes."""
    senders: list[SenderReport] = []
    reports: list[ReceptionReport] = []
    byes: list[int] = []
    empty: list[int] = []
    feedback: list[str] = []
    names: list[tuple[int, bytes]] = []
    position = 0
    while position + 4 <= len(raw):
        if raw[position] >> 6 != 2:
            return None
        count, kind = raw[position] & 31, raw[position + 1]
        end = position + 4 * ((raw[position + 2] << 8 | raw[position + 3]) + 1)
        if not 192 <= kind <= 223 or (end > len(raw) and complete):
            return None
        end = min(end, len(raw))
        if kind == 200 and end - position >= 28:
            ssrc, ntp, rtp_time, packets, octets = struct.unpack_from("!IQIII", raw, position + 4)
            senders.append(SenderReport(ssrc, ntp, rtp_time, packets, octets))
            reports += _blocks(raw, position + 28, end, count, ssrc)
        elif kind == 201 and end - position >= 8:
            (ssrc,) = struct.unpack_from("!I", raw, position + 4)
            blocks = _blocks(raw, position + 8, end, count, ssrc)
            reports += blocks
            if not blocks:
                empty.append(ssrc)
        elif kind == 202 and end - position >= 10 and raw[position + 8] == 1:
            (ssrc,) = struct.unpack_from("!I", raw, position + 4)
            size = raw[position + 9]
            names.append((ssrc, raw[position + 10 : min(position + 10 + size, end)]))
        elif kind == 203:
            byes += [
                int.from_bytes(raw[p : p + 4], "big")
                for p in range(position + 4, min(position + 4 + 4 * count, end - 3), 4)
            ]
        elif kind in (205, 206):
            feedback.append(_FEEDBACK.get((kind, count), "rtpfb" if kind == 205 else "psfb"))
        position = end
    if position != len(raw) and complete:
        return None
    return Compound(
        tuple(senders), tuple(reports), tuple(byes), tuple(empty), tuple(feedback), tuple(names)
    )
