"""Frames that come again: ARP that a mirror doubles, and what a loop sends round."""

from __future__ import annotations

import struct

import numpy as np

from panotui.meter.repeats import DIFFERENT, ROUNDS, ArpCopies, LoopFinder
from panotui.model import SECOND, Interface, PacketBatch
from panotui.wire.decode import Decoder

MS = 1_000_000
ARP, IPV4 = 0x806, 0x800


def frame(kind: int, text: int, dst: bytes = b"\xff" * 6) -> bytes:
    body = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + bytes([text]) * 38
    return dst + b"\x02\0\0\0\0\x07" + struct.pack("!H", kind) + body


def batch(frames: list[tuple[int, bytes]]) -> PacketBatch:
    sizes = np.array([len(f) for _, f in frames], np.int64)
    return PacketBatch(
        data=np.frombuffer(b"".join(f for _, f in frames), np.uint8),
        offset=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        captured=sizes,
        wire_length=sizes,
        time_ns=np.array([t for t, _ in frames], np.int64),
        interface=np.zeros(len(frames), np.int16),
        interfaces=(Interface("mir0", 1),),
        first_number=1,
    )


def copies(frames: list[tuple[int, bytes]], cut: int) -> list[int]:
    """Numbers of the frames, from 0, that are copies, when the batches part at `cut`."""
    finder, decoder, found = ArpCopies(2 * MS), Decoder(), []
    for first, part in ((0, frames[:cut]), (cut, frames[cut:])):
        if part:
            made = batch(part)
            found += [first + row for row in finder.find(made, decoder.decode(made)).tolist()]
    return found


def test_arp_that_comes_again_within_the_mirrors_time_is_a_copy() -> None:
    frames = [
        (0, frame(ARP, 1)),
        (3_000, frame(ARP, 1)),
        (4_000, frame(ARP, 2)),
        (MS, frame(ARP, 1)),
        (SECOND, frame(ARP, 1)),
        (SECOND + 5, frame(IPV4, 1)),
    ]
    for cut in range(len(frames) + 1):
        assert copies(frames, cut) == [1, 3], cut


def looped(frames: list[tuple[int, bytes]], part: int) -> int:
    """How many frames are part of a loop, in batches of `part` frames."""
    finder, decoder, total = LoopFinder(), Decoder(), 0
    for first in range(0, len(frames), part):
        made = batch(frames[first : first + part])
        total += len(finder.find(made, *finder.read(made, decoder.decode(made))))
    return total


def rounds(times: int, different: int, every_ns: int) -> list[tuple[int, bytes]]:
    return [
        (again * every_ns + n * 1000, frame(ARP, n))
        for again in range(times)
        for n in range(different)
    ]


def test_many_frames_that_each_come_round_many_times_are_a_loop() -> None:
    frames = rounds(ROUNDS + 5, DIFFERENT, 50 * MS)
    assert looped(frames, 1_000) == len(frames)
    assert 0 < looped(frames, 7) < len(frames)  # in small batches once it is known


def test_what_is_no_loop() -> None:
    assert looped(rounds(ROUNDS - 1, 20, 50 * MS), 1_000) == 0  # too seldom
    assert looped(rounds(100, DIFFERENT - 1, 50 * MS), 1_000) == 0  # too few different ones
    assert looped(rounds(ROUNDS + 5, 20, SECOND), 1_000) == 0  # too slow
    assert looped(rounds(50, 20, MS // 10), 10_000) == 0  # a mirror's copies, in one moment
    others = [(n * MS, frame(ARP, 0, b"\x01\0\x5e\x7f" + struct.pack("!H", n))) for n in range(900)]
    mixed = sorted(rounds(ROUNDS + 5, DIFFERENT, 50 * MS) + others)
    assert looped(mixed, 10_000) == 0  # a small part of what is sent to groups


def test_link_protocols_that_repeat_themselves_are_no_loop() -> None:
    frames = [(n * 50 * MS, frame(ARP, n % 5, b"\x01\x80\xc2\0\0\x0e")) for n in range(200)]
    assert looped(frames, 1_000) == 0


def test_rows_of_a_kind_that_is_not_there() -> None:
    made = batch([(0, frame(IPV4, 1, b"\x02\0\0\0\0\x09"))])
    columns = Decoder().decode(made)
    assert not len(ArpCopies(2 * MS).find(made, columns))
    assert not len(LoopFinder().find(made, *LoopFinder.read(made, columns)))
