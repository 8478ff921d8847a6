"""Blocks of a TPACKET_V3 ring as packet batches: kernel memory in, columns out, no copy.

Layout: Linux, include/uapi/linux/if_packet.h. Every block is a chain of packet headers, each with
the distance to the next one (0 in the last). numpy follows the chains of all ready blocks at once,
as for a capture file (`walk`), with guessed starts inside each block if there are many packets;
after a wrong guess the chain is followed one packet at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from panotui.model import I16, I32, I64, U8, U32, Interface, PacketBatch

STATUS_KERNEL, STATUS_USER = 0, 1
VLAN_VALID = 0x10
PACKET_OUTGOING = 4
BLOCK_STATUS, BLOCK_PACKETS, BLOCK_FIRST = 8, 12, 16  # offsets in the block's header
HEAD = 60  # tpacket3_hdr (48) and the head of sockaddr_ll up to its packet type
NEXT, SECOND, NANOSECOND, CAPTURED, LENGTH, STATUS = range(6)  # words of the packet header
MAC_NET, VLAN_TCI = 6, 8  # tp_mac and tp_net share a word
SERIAL_BELOW = 768  # packets; fewer are followed one at a time


def block_words(ring: U8, block_size: int) -> U32:
    """(blocks, block_size / 4) words of the ring, in the machine's byte order."""
    words: U32 = ring.view(np.uint32).reshape(-1, block_size // 4)
    return words


def packet_offsets(ring: U8, block_size: int, blocks: Sequence[int]) -> I64:
    """Positions of the packet headers of these blocks in `ring`, in order: int64, one per
    packet.
    """
    words = block_words(ring, block_size)
    at = np.array(blocks, np.int64)
    counts = words[at, BLOCK_PACKETS // 4].astype(np.int64)
    firsts = at * block_size + words[at, BLOCK_FIRST // 4]
    total = int(counts.sum())
    if total < SERIAL_BELOW:
        return _serial(ring, firsts, counts)
    uniform = _uniform(ring, firsts, counts, block_size)
    if uniform is not None:
        return uniform
    return _lockstep(ring, block_size, at, firsts, counts)


def _serial(ring: U8, firsts: I64, counts: I64) -> I64:
    unpack = struct.Struct("=I").unpack_from
    view = ring.data
    found: list[int] = []
    for first, count in zip(firsts.tolist(), counts.tolist(), strict=True):
        offset = first
        for _ in range(count):
            found.append(offset)
            offset += unpack(view, offset)[0]
    return np.array(found, np.int64)


def _uniform(ring: U8, firsts: I64, counts: I64, block_size: int) -> I64 | None:
    """All offsets if each block's packets have one size, else None."""
    pieces: list[I64] = []
    for first, count in zip(firsts.tolist(), counts.tolist(), strict=True):
        (step,) = struct.unpack_from("=I", ring.data, first)
        if count > 1:
            if not step or first % block_size + (count - 1) * step + HEAD > block_size:
                return None
            steps: U32 = np.ndarray(
                (count - 1,), np.uint32, buffer=ring, offset=first, strides=(step,)
            )
            if steps[min(count, 16) - 2] != step or not (steps == step).all():
                return None
        pieces.append(np.arange(count, dtype=np.int64) * step + first)
    return np.concatenate(pieces)


def _lockstep(ring: U8, block_size: int, blocks: I64, firsts: I64, counts: I64) -> I64:
    starts, owner = _starts(ring, block_size, blocks, firsts, counts)
    words: U32 = ring.view(np.uint32)
    chains = len(starts)
    far = len(ring)  # target of a chain after the end of its block
    ends = np.full(chains, far, np.int64)
    same = owner[1:] == owner[:-1]
    ends[:-1][same] = starts[1:][same]
    rows: list[I64] = []
    offsets = starts.copy()
    total = int(counts.sum())
    most_rows = total // chains * 6 + 64
    clip = len(words) - 1
    while len(rows) < most_rows:
        rows.append(offsets)
        if len(rows) % 4 == 0 and bool((offsets >= ends).all()):
            break
        step = words.take(np.minimum(offsets >> 2, clip)).astype(np.int64)
        step[step == 0] = far
        offsets = np.minimum(offsets + step, far)
    table = np.stack(rows)
    inside = table < ends
    inside &= table < far
    lengths = inside.sum(axis=0)
    exits = table[np.minimum(lengths, len(rows) - 1), np.arange(chains)]
    if bool((exits == ends).all()) and int(lengths.sum()) == total:
        chosen: I64 = table.T[inside.T]
        return chosen
    return _serial(ring, firsts, counts)


def _starts(ring: U8, block_size: int, blocks: I64, firsts: I64, counts: I64) -> tuple[I64, I64]:
    """Chain starts in ring order, and the index in `blocks` of each one's block."""
    total = int(counts.sum())
    wanted = int((20 * total) ** 0.5)
    a_block = max(wanted // len(blocks), 1)
    owners = np.arange(len(blocks), dtype=np.int64)
    if a_block < 2:
        return firsts, owners
    words: U32 = ring.view(np.uint32)
    mac_net = words[(firsts >> 2) + MAC_NET]
    # the used part of each block, cut in equal segments
    used = words[(blocks * block_size >> 2) + 5].astype(np.int64)  # blk_len
    used = np.minimum(used, block_size)
    segment = (used // a_block) & ~7
    places = (firsts[:, None] + segment[:, None] * np.arange(1, a_block)).ravel() & ~7
    owner = np.repeat(owners, a_block - 1)
    limit = (blocks * block_size + used - HEAD)[owner]
    # every packet header stands at a multiple of 8 and has the same tp_mac and tp_net
    reach = int(min(max(3 * used.sum() // total, 512), 2_048)) & ~7
    grid = (places[:, None] + np.arange(0, reach, 8, dtype=np.int64)) >> 2
    np.minimum(grid, (limit >> 2)[:, None], out=grid)
    row, column = np.divmod(
        np.flatnonzero(words.take(grid + MAC_NET) == mac_net[owner][:, None]), reach // 8
    )
    at = grid[row, column]
    step = words.take(at)
    hit = (step >= 64) & (step <= 1 << 17) & (step % 8 == 0)
    hit &= words.take(at + CAPTURED) <= words.take(at + LENGTH)
    hit &= words.take(at + NANOSECOND) < 1_000_000_000
    guessed, rows = at[hit] << 2, row[hit]
    fresh = np.ones(len(rows), bool)
    fresh[1:] = rows[1:] != rows[:-1]
    guessed, rows = guessed[fresh], rows[fresh]
    every = np.concatenate((firsts, guessed))
    belongs = np.concatenate((owners, owner[rows]))
    order = np.lexsort((every, belongs))
    every, belongs = every[order], belongs[order]
    keep = np.ones(len(every), bool)
    keep[1:] = every[1:] != every[:-1]
    return every[keep], belongs[keep]


def batch(
    ring: U8,
    offsets: I64,
    interfaces: Sequence[Interface],
    interface: int,
    first_number: int,
    view: U8,
) -> PacketBatch:
    """The packets whose headers are at `offsets`; `view` is the same memory, read-only."""
    n = len(offsets)
    heads = np.ndarray((len(ring) - HEAD + 1,), f"V{HEAD}", buffer=ring, strides=(1,))[offsets]
    words: U32 = heads.view(np.uint32).reshape(n, HEAD // 4)
    time_ns = words[:, SECOND].astype(np.int64)
    time_ns *= 1_000_000_000
    time_ns += words[:, NANOSECOND]
    halves = heads.view(np.uint16).reshape(n, HEAD // 2)
    data_at = offsets + halves[:, MAC_NET * 2]
    status = words[:, STATUS]
    tagged = (status & np.uint32(VLAN_VALID)) != 0
    vlan: I32 | None = None
    if tagged.any():
        vlan = np.where(tagged, words[:, VLAN_TCI] & np.uint32(0xFFFF), 0).astype(np.int32)
        vlan[~tagged] = -1
    kind = heads.view(np.uint8).reshape(n, HEAD)[:, 58]
    outgoing: I16 = (kind == PACKET_OUTGOING).astype(np.int16)
    return PacketBatch(
        view,
        data_at,
        words[:, CAPTURED].astype(np.int64),
        words[:, LENGTH].astype(np.int64),
        time_ns,
        np.full(n, interface, np.int16),
        interfaces,
        first_number,
        vlan,
        outgoing,
    )
