"""The kernel filter, run by a small interpreter of classic BPF."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.sources.live.bpf import FULL, Assembler, Snap, snap_program

SNAP = Snap()
PROGRAM = snap_program(SNAP)


def run(program: bytes, packet: bytes) -> int:
    """The snap length that the kernel would use (0: the packet is lost)."""
    code = list(struct.iter_unpack("=HBBI", program))
    a = x = at = 0
    memory = [0] * 16

    def load(offset: int, size: int) -> int | None:
        if offset + size > len(packet):
            return None
        return int.from_bytes(packet[offset : offset + size], "big")

    while True:
        op, yes, no, k = code[at]
        at += 1
        kind = op & 7
        if kind == 0:
            mode, size = op & 0xE0, {0x00: 4, 0x08: 2, 0x10: 1}[op & 0x18]
            if mode in (0x20, 0x40):
                value = load(k + (x if mode == 0x40 else 0), size)
                if value is None:
                    return 0
                a = value
            else:
                a = {0x00: k, 0x60: memory[k & 15], 0x80: len(packet)}[mode]
        elif kind == 1:
            x = {0x00: k, 0x60: memory[k & 15]}[op & 0xE0]
        elif kind == 2:
            memory[k] = a
        elif kind == 3:
            memory[k] = x
        elif kind == 4:
            other = x if op & 8 else k
            a = {
                0x00: a + other,
                0x50: a & other,
                0x60: a << other,
                0x70: a >> other,
            }[op & 0xF0] & 0xFFFFFFFF
        elif kind == 5:
            other = x if op & 8 else k
            if op & 0xF0 == 0:
                at += k
            else:
                hit = {0x10: a == other, 0x20: a > other, 0x30: a >= other, 0x40: a & other != 0}[
                    op & 0xF0
                ]
                at += yes if hit else no
        elif kind == 6:
            return k
        else:
            if op & 0xF8:
                a = x
            else:
                x = a


def frame(
    protocol: int, transport: bytes, tags: int = 0, six: bool = False, options: int = 0
) -> bytes:
    link = bytes(12) + b"\x81\x00\x00\x05" * tags + (b"\x86\xdd" if six else b"\x08\x00")
    if six:
        return link + struct.pack(">IHBB32x", 6 << 28, len(transport), protocol, 64) + transport
    length = 20 + options + len(transport)
    head = struct.pack(">BBHHHBBH8x", 0x45 + options // 4, 0, length, 1, 0, 64, protocol, 0)
    return link + head + bytes(options) + transport


def udp(sport: int, dport: int, payload: bytes = bytes(1200)) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(sport: int, dport: int, flags: int = 16, payload: bytes = b"", options: int = 0) -> bytes:
    offset = (5 + options // 4) << 4
    return (
        struct.pack(">HHIIBBHHH", sport, dport, 1, 1, offset, flags, 9, 0, 0)
        + bytes(options)
        + payload
    )


PLACES = [
    {"tags": tags, "six": six, "options": options}
    for tags in (0, 1, 2)
    for six in (False, True)
    for options in (0, 8)
]


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize(
    ("protocol", "transport", "expected"),
    [
        (17, udp(40000, 5004), SNAP.bulk),
        (17, udp(5004, 53), FULL),
        (17, udp(53, 5004), FULL),
        (17, udp(40000, 443, b"\xc3" + bytes(1200)), FULL),
        (17, udp(40000, 443, b"\x43" + bytes(1200)), SNAP.bulk),
        (6, tcp(40000, 443, 2), FULL),
        (6, tcp(40000, 443, 17), FULL),
        (6, tcp(40000, 443, 16, b"\x16\x03\x01" + bytes(500)), SNAP.tcp),
        (6, tcp(40000, 443, 24, b"\x17\x03\x03" + bytes(500), 12), SNAP.bulk),
        (6, tcp(40000, 443, 16), SNAP.tcp),
        (6, tcp(40000, 443, 16, b"\x17"), SNAP.tcp),
        (6, tcp(554, 40000, 16, bytes(1400)), FULL),
        (6, tcp(40000, 8554, 16, bytes(1400)), FULL),
        (1, bytes(100), FULL),
        (58, bytes(100), FULL),
        (44, bytes(100), FULL),
    ],
)
def test_snap_length_by_kind_of_packet(place, protocol, transport, expected):
    assert run(PROGRAM, frame(protocol, transport, **place)) == expected


def test_fragments_and_other_ethertypes_come_whole():
    whole = bytearray(frame(17, udp(1, 5004)))
    whole[20:22] = b"\x20\x00"
    assert run(PROGRAM, bytes(whole)) == FULL
    whole[20:22] = b"\x00\x05"
    assert run(PROGRAM, bytes(whole)) == FULL
    assert run(PROGRAM, bytes(12) + b"\x08\x06" + bytes(46)) == FULL
    assert run(PROGRAM, bytes(12) + b"\x88\xcc" + bytes(46)) == FULL


@given(st.binary(max_size=120), st.integers(0, 80))
def test_no_packet_is_ever_lost(noise, cut):
    assert run(PROGRAM, noise) > 0
    for place in PLACES:
        for transport in (udp(1, 443), tcp(1, 443, 16, b"\x17\x03")):
            whole = frame(17 if len(transport) > 1000 else 6, transport, **place)
            assert run(PROGRAM, whole[:cut]) > 0


def test_bulk_snap_holds_the_longest_headers_and_parameter_sets():
    headers = 14 + 2 * 4 + 40 + 8 + 12 + 16
    assert SNAP.bulk - headers >= 100


def test_a_jump_too_far_is_refused():
    a = Assembler()
    a.jump(0x15, 0, "end")
    for _ in range(300):
        a.op(0x00)
    a.label("end")
    a.op(0x06)
    with pytest.raises(ValueError, match="does not fit"):
        a.assemble()
