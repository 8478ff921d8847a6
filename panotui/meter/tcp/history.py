"""Zeek's history letters of a TCP connection, updated a batch at a time.

Upper case for the client, lower for the server, in order of first appearance: S SYN, H SYN/ACK, A
bare ACK, D data, F FIN, R RST; T retransmission, G gap and W zero window are repeated each time
their count passes a power of ten (Zeek, `Conn::history`). At most sixteen letters are kept.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.flows.state import ACK, COUNT, FIN, RST, SYN, FlowState
from panotui.model import I64, U8, U32, Bool
from panotui.model.arrays import nonzero

# letters in the order for a segment with several of them
_LETTERS = b"SHTGADWFR"
_REPEATED = ((2, "retransmits"), (3, "lost_segments"), (6, "zero_window"))
_POWERS = 10 ** np.arange(1, 10)
_ROOM = 16


def _letters_of_segments() -> U32:
    """(512,) letter bits by TCP flags, with payload from 256 on."""
    number = np.arange(512)
    syn, ack = number & SYN != 0, number & ACK != 0
    rst, fin, data = number & RST != 0, number & FIN != 0, number >= 256
    none = np.zeros(512, np.bool_)
    bare = ack & ~data & ~syn & ~fin & ~rst
    bits = np.zeros(512, np.uint32)
    # in the order of `_LETTERS`; letters from the analysis are added by the verdicts
    for place, mark in enumerate((syn & ~ack, syn & ack, none, none, bare, data, none, fin, rst)):
        bits |= mark.astype(np.uint32) << np.uint32(place)
    return bits


_OF_SEGMENT = _letters_of_segments()
# verdicts 1 retransmission, 2 gap, 4 zero window at the positions of their letters
_OF_VERDICT = np.array(
    [sum(1 << place for bit, (place, _) in enumerate(_REPEATED) if number >> bit & 1)
     for number in range(8)],
    np.uint32,
)  # fmt: skip


def note_history(
    flows: FlowState, slots: I64, group: I64, side: I64, flags: U8, data: Bool, verdicts: U8
) -> None:
    """Append the new letters of TCP segments ordered by (slot, arrival).

    `slots` (g,) of the groups; per segment (m,): its group, half, TCP flags, whether it has a
    payload, `verdicts` 1 retransmission, 2 gap, 4 zero window.
    """
    bits = _OF_SEGMENT.take(flags + data * np.int64(256))
    if verdicts.any():
        bits |= _OF_VERDICT.take(verdicts)
    bits <<= (side * len(_LETTERS)).astype(np.uint32)
    new = bits & ~flows.history_seen.take(slots).take(group)
    rows = nonzero(new)
    found = _new(flows, slots, group.take(rows), rows, new.take(rows)) if len(rows) else []
    if verdicts.any():
        found += _repeated(flows, slots, group, bits)
    if found:
        group, place, bit = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.lexsort((bit, place, group))
        _write(flows, slots[group[order]], bit[order])


# groups, rows and letters of events
_Found = list[tuple[I64, I64, I64]]


def _new(flows: FlowState, slots: I64, group: I64, rows: I64, new: U32) -> _Found:
    """New letters of the segments in `rows`; of each letter the group's first counts."""
    found: _Found = []
    some = int(np.bitwise_or.reduce(new))
    for bit in range(some.bit_length()):
        if not some >> bit & 1:
            continue
        hit = nonzero(new & np.uint32(1 << bit))
        # rows are sorted by group and arrival: the first of each group stays
        of = group.take(hit)
        first = nonzero(np.append(True, of[1:] != of[:-1]))
        of = of.take(first)
        flows.history_seen[slots.take(of)] |= np.uint32(1 << bit)
        found.append((of, rows.take(hit.take(first)), np.full(len(of), bit)))
    return found


def _repeated(flows: FlowState, slots: I64, group: I64, bits: U32) -> _Found:
    """Letters that are repeated at 10, 100, ... events, which are counted already."""
    found: _Found = []
    for number, name in _REPEATED:
        for half in (0, 1):
            bit = number + half * len(_LETTERS)
            rows = nonzero(bits & np.uint32(1 << bit))
            if not len(rows):
                continue
            of = group.take(rows)
            # events of the group from each one on, itself included
            left = np.searchsorted(of, of, side="right") - np.arange(len(rows))
            count = flows.tcp_counts[slots[of], half, COUNT[name]] - left + 1
            hit = np.isin(count, _POWERS)
            if hit.any():
                found.append((of[hit], rows[hit], np.full(int(hit.sum()), bit)))
    return found


def _write(flows: FlowState, slot: I64, bit: I64) -> None:
    """Append letters; several of one slot are adjacent and in order."""
    first = nonzero(np.append(True, slot[1:] != slot[:-1]))
    rank = np.arange(len(slot)) - np.repeat(first, np.diff(first, append=len(slot)))
    place = flows.history_length[slot] + rank
    letter = np.frombuffer(_LETTERS, np.uint8)[bit % len(_LETTERS)]
    from_client = bit // len(_LETTERS) == flows.client[slot]
    letter = np.where(from_client, letter, letter | 32)
    fits = place < _ROOM
    flows.history[slot[fits], place[fits]] = letter[fits]
    last = np.append(first[1:], len(slot)) - 1
    flows.history_length[slot[last]] = np.minimum(place[last] + 1, _ROOM)
