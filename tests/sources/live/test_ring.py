"""Ring blocks as the kernel writes them, made up in memory."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.model import Interface
from panotui.sources.live import ring as ringing

BLOCK = 1 << 16
INTERFACES = [Interface("x", 1)]


def made_ring(blocks: list[list[tuple[int, int | None, int]]]) -> np.ndarray:
    """A ring whose blocks hold packets of (captured bytes, VLAN or None, packet type)."""
    memory = bytearray(len(blocks) * BLOCK)
    number = 0
    for at, packets in enumerate(blocks):
        offset = first = at * BLOCK + 48
        last = None
        for captured, vlan, kind in packets:
            size = (82 + captured + 7) & ~7
            if offset + size > (at + 1) * BLOCK:
                break
            status = 1 | (0x50 if vlan is not None else 0)
            struct.pack_into(
                "=IIIIIIHHIIHH8x", memory, offset, size, 1_700_000_000 + at, number, captured,
                captured + 5, status, 82, 96, 0, vlan or 0, 0x8100, 0,
            )  # fmt: skip
            struct.pack_into("=HHiHB", memory, offset + 48, 17, 0, 1, 1, kind)
            memory[offset + 82 : offset + 82 + captured] = struct.pack("<I", number) * (
                captured // 4
            ) + bytes(captured % 4)
            last = offset
            offset += size
            number += 1
        if last is not None:
            struct.pack_into("=I", memory, last, 0)
        count = number_in(memory, first, last)
        struct.pack_into("=IIIIII", memory, at * BLOCK, 3, 48, 1, count, 48, offset - at * BLOCK)
    return np.frombuffer(memory, np.uint8)


def number_in(memory: bytearray, first: int, last: int | None) -> int:
    count = 0
    offset = first
    while last is not None:
        count += 1
        (step,) = struct.unpack_from("=I", memory, offset)
        if not step:
            break
        offset += step
    return count


packet = st.tuples(
    st.integers(0, 300), st.one_of(st.none(), st.integers(0, 4095)), st.sampled_from([0, 4])
)


@settings(max_examples=60, deadline=None)
@given(
    blocks=st.lists(
        st.lists(st.tuples(packet, st.integers(1, 120)), max_size=6), min_size=1, max_size=4
    ),
    start=st.integers(0, 3),
)
def test_ring_packets_equal_what_was_written(blocks, start):
    flat = [[p for p, times in block for _ in range(times)] for block in blocks]
    memory = made_ring(flat)
    order = [(start + i) % len(flat) for i in range(len(flat))]
    expected = []
    for at in order:
        offset = at * BLOCK + 48
        (count,) = struct.unpack_from("=I", memory.data, at * BLOCK + 12)
        for _ in range(count):
            expected.append(offset)
            offset += struct.unpack_from("=I", memory.data, offset)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ringing, "SERIAL_BELOW", 0)
        if not expected:
            return
        offsets = ringing.packet_offsets(memory, BLOCK, [b for b in order if flat[b]])
    assert offsets.tolist() == expected
    batch = ringing.batch(memory, offsets, INTERFACES, 0, 1, memory)
    for row, at in enumerate(expected):
        second, nano, captured, length = struct.unpack_from("=IIII", memory.data, at + 4)
        assert batch.time_ns[row] == second * 10**9 + nano
        assert (batch.captured[row], batch.wire_length[row]) == (captured, length)
        assert batch.offset[row] == at + 82
        (status,) = struct.unpack_from("=I", memory.data, at + 20)
        vlan = struct.unpack_from("=I", memory.data, at + 32)[0] if status & 0x10 else -1
        assert vlan == (-1 if batch.vlan_tci is None else batch.vlan_tci[row])
        assert batch.outgoing is not None
        assert batch.outgoing[row] == (memory[at + 58] == 4)


def test_many_mixed_packets_are_followed_in_lockstep(monkeypatch):
    rng = np.random.default_rng(2)
    memory = made_ring([[(int(n), None, 0) for n in rng.integers(20, 257, 250)] for _ in range(8)])
    monkeypatch.setattr(ringing, "_serial", None)  # would fail if it were needed
    offsets = ringing.packet_offsets(memory, BLOCK, [5, 6, 7, 0, 1, 2])
    assert len(offsets) > 1_200
    first_words = np.ndarray((len(memory) - 3,), "<u4", buffer=memory, strides=(1,))[offsets + 82]
    assert (np.diff(first_words[offsets >= 5 * BLOCK].astype(int)) == 1).all()
