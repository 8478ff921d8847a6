"""NTP (RFC 5905): a UDP payload in, `NtpMessage` out, with the four raw 64-bit stamps kept.

`ntplib` reads the header. The stamps are read here, because seconds as floats lose the low bits
that match an answer with its request.
"""

from __future__ import annotations

import struct

import ntplib

from panotui.model import SECOND, NtpMessage
from panotui.wire.origin import Malformed, Origin
from panotui.wire.text import printable

_STAMPS = struct.Struct("!QQQQ")  # reference, origin, receive, transmit
_UNIX_1900 = 2_208_988_800  # seconds from 1900 to 1970
_ERA = 1 << 32


def parse(payload: bytes, origin: Origin, src: str, dst: str, sport: int, dport: int) -> NtpMessage:
    """An NTP packet; control and private packets (modes 6, 7) carry no stamps."""
    if not payload:
        raise Malformed("empty NTP packet")
    mode, version = payload[0] & 7, payload[0] >> 3 & 7
    if mode in (6, 7) and len(payload) >= 4:
        return NtpMessage(
            time_ns=origin.time_ns,
            packet=origin.packet,
            interface=origin.interface,
            flow=origin.flow,
            src=src,
            dst=dst,
            sport=sport,
            dport=dport,
            mode=mode,
            leap=0,
            version=version,
            stratum=0,
            poll=0,
            reference_id="",
            origin=0,
            receive=0,
            transmit=0,
            transmit_ns=None,
            receive_ns=None,
        )
    if len(payload) < 48 or not 1 <= version <= 4:
        raise Malformed("not an NTP packet")
    packet = ntplib.NTPPacket()
    try:
        packet.from_data(payload)
    except (ntplib.NTPException, ValueError, OverflowError) as fault:
        raise Malformed(str(fault)) from None
    _, originate, receive, transmit = _STAMPS.unpack_from(payload, 16)
    return NtpMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        src=src,
        dst=dst,
        sport=sport,
        dport=dport,
        mode=packet.mode,
        leap=packet.leap,
        version=packet.version,
        stratum=packet.stratum,
        poll=packet.poll,
        reference_id=_reference(packet.stratum, payload[12:16]),
        origin=originate,
        receive=receive,
        transmit=transmit,
        transmit_ns=stamp_ns(transmit),
        receive_ns=stamp_ns(receive),
        root_delay_ms=packet.root_delay * 1e3,
        root_dispersion_ms=packet.root_dispersion * 1e3,
    )


def stamp_ns(stamp: int) -> int | None:
    """A 64-bit NTP timestamp as ns since 1970, None if unset.

    The top bit selects the era (RFC 4330 section 3): set, 1968 to 2036; clear, after 2036-02-07.
    """
    if not stamp:
        return None
    seconds, fraction = stamp >> 32, stamp & 0xFFFFFFFF
    if not seconds & 0x80000000:
        seconds += _ERA
    return (seconds - _UNIX_1900) * SECOND + (fraction * SECOND >> 32)


def _reference(stratum: int, raw: bytes) -> str:
    """Kiss code or clock name for strata 0 and 1, else the upstream server's id as an address."""
    if stratum <= 1:
        return printable(raw.rstrip(b"\0 "), 16)
    return f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"
