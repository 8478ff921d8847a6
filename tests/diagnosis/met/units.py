"""Cameras that put the units of H.264 and H.265 into packets in ways of their own."""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Callable

from tests.diagnosis.camera_maker import (
    PPS,
    SPROP,
    SPS,
    Film,
    Reader,
    description,
    media_line,
)
from tests.diagnosis.met.reported import SDP
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import Wire

ONE = 0x5EED0001
CODE = b"\0\0\0\1"
WHOLE = {ONE: {"lost": 0, "fps": 25.0, "gop_frames": 25}}
Units = Callable[[bool, random.Random], list[bytes]]


def unit(kind: int, chance: random.Random, size: int = 300) -> bytes:
    """An H.264 unit; the first bit of a slice is set, as in the first of a picture."""
    return bytes([0x60 | kind, 0x80 | chance.randrange(128)]) + chance.randbytes(size)


def picture(key: bool, chance: random.Random) -> bytes:
    return unit(5 if key else 1, chance)


def send(wire: Wire, made: Units, sdp: str = SDP, first: int = 0x80) -> None:
    """A session whose pictures have the payloads that `made` gives, one packet each."""
    reader, chance, sequence = Reader(wire).start(0.2, sdp), random.Random(3), 500
    for number in range(25 * 19):
        payloads = made(number % 25 == 0, chance)
        for k, payload in enumerate(payloads):
            mark = 0x80 if k == len(payloads) - 1 else 0
            head = struct.pack("!BBHII", first, mark | 96, sequence, 3600 * number, ONE)
            reader.packet(0.6 + number / 25 + 0.0002 * k, head + payload)
            sequence += 1
    reader.reports(1, 20, Film())


@scene
def several_slices_of_a_picture(wire: Wire) -> Truth:
    send(wire, lambda key, chance: [picture(key, chance) for _ in range(4)])
    return Truth(streams=WHOLE)


@scene
def sets_and_picture_in_one_aggregate(wire: Wire) -> Truth:
    def made(key: bool, chance: random.Random) -> list[bytes]:
        if not key:
            return [picture(key, chance)]
        parts = (SPS, PPS, picture(key, chance))
        return [b"\x78" + b"".join(struct.pack("!H", len(one)) + one for one in parts)]

    send(wire, made)
    return Truth(streams=WHOLE)


@scene
def delimiter_and_messages_before_each_picture(wire: Wire) -> Truth:
    def made(key: bool, chance: random.Random) -> list[bytes]:
        sets = [SPS, PPS] if key else []
        return [b"\x09\x10", b"\x06\x05" + bytes(20), *sets, picture(key, chance)]

    send(wire, made)
    return Truth(streams=WHOLE)


@scene
def last_fragment_is_never_marked_as_such(wire: Wire) -> Truth:
    def made(key: bool, chance: random.Random) -> list[bytes]:
        return [
            bytes([0x7C, (0x80 if part == 0 else 0) | (5 if key else 1)]) + chance.randbytes(300)
            for part in range(3)
        ]

    send(wire, made)
    return Truth(streams=WHOLE)


@scene
def start_codes_stay_before_the_units(wire: Wire) -> Truth:
    """Also in the description: three bytes of zero and a one before each set."""
    sets = ",".join(base64.b64encode(CODE + one).decode() for one in (SPS, PPS))
    send(wire, lambda key, chance: [CODE + picture(key, chance)] * 2, SDP.replace(SPROP, sets))
    return Truth(streams={ONE: WHOLE[ONE] | {"width": 1920, "height": 1080}})


@scene
def sets_and_picture_in_one_packet_with_start_codes(wire: Wire) -> Truth:
    def made(key: bool, chance: random.Random) -> list[bytes]:
        parts = (SPS, PPS, picture(key, chance)) if key else (picture(key, chance),)
        return [b"".join(CODE + one for one in parts)]

    send(wire, made, SDP.replace(f";sprop-parameter-sets={SPROP}", ""))
    return Truth(streams={ONE: WHOLE[ONE] | {"width": 1920, "height": 1080}})


@scene
def h265_with_start_codes(wire: Wire) -> Truth:
    def made(key: bool, chance: random.Random) -> list[bytes]:
        return [CODE[1:] + (b"\x26\x01" if key else b"\x02\x01") + chance.randbytes(300)]

    send(wire, made, description(media_line("H265")))
    return Truth(("stream-codec",), streams=WHOLE)


@scene
def h265_in_aggregates(wire: Wire) -> Truth:
    def made(key: bool, chance: random.Random) -> list[bytes]:
        one = (b"\x26\x01\x80" if key else b"\x02\x01\x80") + chance.randbytes(200)
        return [b"\x60\x01" + 2 * (struct.pack("!H", len(one)) + one)]

    send(wire, made, description(media_line("H265")))
    return Truth(("stream-codec",), streams=WHOLE)


@scene
def padding_of_no_bytes_is_announced(wire: Wire) -> Truth:
    """The padding bit is set and the count is 0: readers show the picture."""
    send(wire, lambda key, chance: [picture(key, chance) + b"\0" for _ in range(2)], first=0xA0)
    return Truth(streams=WHOLE)


@scene
def extension_is_longer_than_its_packets(wire: Wire) -> Truth:
    """Nobody can read these packets; they do arrive, so no firewall is at fault."""
    broken = struct.pack("!HH", 0xABAC, 4000)
    send(wire, lambda key, chance: [broken + picture(key, chance)], first=0x90)
    return Truth(("stream-codec",), state="silent", never=("udp-blocked",))


def _aggregates(wire: Wire, kind: int, extra: bytes) -> None:
    """Every picture in an aggregate with a number; `extra` precedes each unit, after its size."""

    def made(key: bool, chance: random.Random) -> list[bytes]:
        parts = [*((SPS, PPS) if key else ()), picture(key, chance)]
        inner = b"".join(struct.pack("!H", len(one)) + extra + one for one in parts)
        return [bytes([0x60 | kind]) + b"\0\7" + inner]

    send(wire, made)


@scene
def pictures_in_aggregates_with_numbers(wire: Wire) -> Truth:
    """STAP-B of packetization-mode 2."""
    _aggregates(wire, 25, b"")
    return Truth(streams=WHOLE)


@scene
def pictures_in_aggregates_of_several_times(wire: Wire) -> Truth:
    """MTAP16: a number and an offset of time before each unit."""
    _aggregates(wire, 26, b"\0\0\0")
    return Truth(streams=WHOLE)


@scene
def pictures_in_aggregates_of_several_distant_times(wire: Wire) -> Truth:
    """MTAP24."""
    _aggregates(wire, 27, b"\0\0\0\0")
    return Truth(streams=WHOLE)


@scene
def units_of_h265_with_control_information(wire: Wire) -> Truth:
    """PACI around whole units and around fragments."""

    def made(key: bool, chance: random.Random) -> list[bytes]:
        kind = 19 if key else 1
        head = struct.pack("!H", 50 << 9 | 1)
        whole = head + struct.pack("!H", kind << 9 | 4 << 4) + bytes(4)
        split = head + struct.pack("!H", 49 << 9)
        return [
            whole + b"\x80" + chance.randbytes(300),
            split + bytes([0x80 | kind]) + chance.randbytes(300),
            split + bytes([0x40 | kind]) + chance.randbytes(300),
        ]

    send(wire, made, description(media_line("H265")))
    return Truth(("stream-codec",), streams=WHOLE)
