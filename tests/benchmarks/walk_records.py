"""Nanoseconds a packet from bytes of a capture in memory to batches, beside a plain read of them.

`python -m tests.benchmarks.walk_records [packets]` prints a table, CPU time; nothing is written to
disk. The bytes are walked in windows as large as the buffer that files are read through.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from panotui.model import U8, SourceCounters
from panotui.sources.files.pcap import PcapFormat
from panotui.sources.files.pcapng import PcapngFormat
from panotui.sources.files.source import BATCH_PACKETS, FILE_BUFFER, LARGE_BUFFER, LARGE_PACKETS

ROUNDS = 7


def pcap(sizes: np.ndarray) -> U8:
    """A capture with frames of these sizes and random payload."""
    words = np.empty((len(sizes), 4), "<u4")
    times = 1_700_000_000_000_000 + 7 * np.arange(len(sizes), dtype=np.int64)
    words[:, 0], words[:, 1] = times // 1_000_000, times % 1_000_000
    words[:, 2] = words[:, 3] = sizes
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
    return _laid_out(header, words, sizes + 16, None)


def pcapng(sizes: np.ndarray) -> U8:
    words = np.empty((len(sizes), 7), "<u4")
    blocks = ((sizes + 3) & ~3) + 32
    times = 1_700_000_000_000_000 + 7 * np.arange(len(sizes), dtype=np.int64)
    words[:, 0], words[:, 1], words[:, 2] = 6, blocks, 0
    words[:, 3], words[:, 4] = times >> 32, times & 0xFFFFFFFF
    words[:, 5] = words[:, 6] = sizes
    header = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    header += struct.pack("<IIHHII", 1, 20, 1, 0, 262_144, 20)
    return _laid_out(header, words, blocks, blocks)


def _laid_out(header: bytes, words: np.ndarray, steps: np.ndarray, tail: np.ndarray | None) -> U8:
    offsets = len(header) + np.concatenate(([0], np.cumsum(steps)))
    data = np.random.default_rng(1).integers(0, 256, int(offsets[-1]), dtype=np.uint8)
    data[: len(header)] = np.frombuffer(header, np.uint8)
    raw = words.view(np.uint8).reshape(len(words), -1)
    for column in range(raw.shape[1]):
        data[offsets[:-1] + column] = raw[:, column]
    if tail is not None:
        ends = tail.astype("<u4").view(np.uint8).reshape(-1, 4)
        for column in range(4):
            data[offsets[1:] - 4 + column] = ends[:, column]
    return data


def walked(
    data: U8, make: Callable[..., PcapFormat | PcapngFormat], start: int, window: int
) -> int:
    form = make(data[:24].tobytes(), SourceCounters(), "memory", "memory")
    position, packets = start, 0
    while position < len(data):
        stop = min(position + window, len(data))
        taken = form.take(data, position, stop, stop == len(data), BATCH_PACKETS)
        position = taken.next
        packets += len(taken.batch) if taken.batch is not None else 0
        if taken.ended:
            break
    return packets


def best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
    rng = np.random.default_rng(2)
    print(f"{'capture':28} {'walk':>8} {'plain read':>11}   ns a packet, best of {ROUNDS}")
    for name, sizes in (
        ("60 bytes", np.full(count, 60)),
        ("1250 bytes", np.full(count, 1250)),
        ("60 to 100 bytes", rng.integers(60, 101, count)),
        ("60 to 1500 bytes", rng.integers(60, 1501, count)),
    ):
        for kind, make, start in ((pcap, PcapFormat, 24), (pcapng, PcapngFormat, 0)):
            data = kind(sizes)
            window = LARGE_BUFFER if len(data) >= LARGE_PACKETS * count else FILE_BUFFER
            assert walked(data, make, start, window) == count
            whole = data[: len(data) & ~7].view(np.uint64)
            walk = best(partial(walked, data, make, start, window)) / count * 1e9
            read = best(whole.sum) / count * 1e9
            print(f"{kind.__name__ + ', ' + name:28} {walk:8.1f} {read:11.1f}")


if __name__ == "__main__":
    main()
