"""Zeek's history letters of a TCP connection, kept a batch at a time.

Upper case for the client, lower for the server, in order of first appearance: S SYN, H SYN/ACK, A
bare ACK, D data, F FIN, R RST; T retransmission, G gap and W zero window come again each time that
their count passes a power of ten (Zeek, `Conn::history`). At most sixteen letters are kept.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.flows import ACK, COUNT, FIN, RST, SYN, FlowTable
from panotui.model import I64, U8, U32

# letters in the order in which one segment that earns several writes them
_LETTERS = b"SHTGADWFR"
_REPEATED = ((2, "retransmits"), (3, "lost_segments"), (6, "zero_window"))
_POWERS = 10 ** np.arange(1, 10)
_ROOM = 16


def note_history(
    flows: FlowTable, slot: I64, side: I64, first: I64, flags: U8, length: I64, verdicts: U8
) -> None:
    """Append the new letters of TCP segments ordered by (slot, arrival).

    `verdicts` (m,): 1 retransmission, 2 gap, 4 zero window; `first` (g,) starts of the groups.
    """
    syn, ack = flags & SYN != 0, flags & ACK != 0
    rst, fin = flags & RST != 0, flags & FIN != 0
    data = length > 0
    bits = np.zeros(len(slot), np.uint32)
    marks = (
        syn & ~ack,
        syn & ack,
        verdicts & 1 != 0,
        verdicts & 2 != 0,
        ack & ~data & ~syn & ~fin & ~rst,
        data,
        verdicts & 4 != 0,
        fin,
        rst,
    )
    for number, mark in enumerate(marks):
        bits |= mark.astype(np.uint32) << np.uint32(number)
    bits <<= (side * len(_LETTERS)).astype(np.uint32)
    slots = slot[first]
    new = np.bitwise_or.reduceat(bits, first) & ~flows.history_seen[slots]
    found = _new(flows, slots, first, bits, new) if new.any() else []
    if verdicts.any():
        found += _repeated(flows, slots, first, bits)
    if found:
        group, place, bit = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.lexsort((bit, place, group))
        _write(flows, slots[group[order]], bit[order])


# groups, rows and letters of events
_Found = list[tuple[I64, I64, I64]]


def _new(flows: FlowTable, slots: I64, first: I64, bits: U32, new: U32) -> _Found:
    """Letters that appear for the first time: `new` (g,) of each group."""
    flows.history_seen[slots] |= new
    wanted = np.repeat(new, np.diff(first, append=len(bits)))
    rows = np.flatnonzero(bits & wanted)
    group_of = np.searchsorted(first, rows, side="right") - 1
    found: _Found = []
    for bit in range(2 * len(_LETTERS)):
        hit = np.flatnonzero(bits[rows] & wanted[rows] & np.uint32(1 << bit))
        if len(hit):
            groups, earliest = np.unique(group_of[hit], return_index=True)
            found.append((groups, rows[hit[earliest]], np.full(len(groups), bit)))
    return found


def _repeated(flows: FlowTable, slots: I64, first: I64, bits: U32) -> _Found:
    """Letters that come again at 10, 100, ... events, which are counted already."""
    found: _Found = []
    for number, name in _REPEATED:
        for half in (0, 1):
            bit = number + half * len(_LETTERS)
            rows = np.flatnonzero(bits & np.uint32(1 << bit))
            if not len(rows):
                continue
            group = np.searchsorted(first, rows, side="right") - 1
            # events of the group from each one on, itself included
            left = np.searchsorted(group, group, side="right") - np.arange(len(rows))
            count = flows.tcp_counts[slots[group], half, COUNT[name]] - left + 1
            hit = np.isin(count, _POWERS)
            if hit.any():
                found.append((group[hit], rows[hit], np.full(int(hit.sum()), bit)))
    return found


def _write(flows: FlowTable, slot: I64, bit: I64) -> None:
    """Append letters; several of one slot are adjacent and in order."""
    first = np.flatnonzero(np.append(True, slot[1:] != slot[:-1]))
    rank = np.arange(len(slot)) - np.repeat(first, np.diff(first, append=len(slot)))
    place = flows.history_length[slot] + rank
    letter = np.frombuffer(_LETTERS, np.uint8)[bit % len(_LETTERS)]
    from_client = bit // len(_LETTERS) == flows.client[slot]
    letter = np.where(from_client, letter, letter | 32)
    fits = place < _ROOM
    flows.history[slot[fits], place[fits]] = letter[fits]
    last = np.append(first[1:], len(slot)) - 1
    flows.history_length[slot[last]] = np.minimum(place[last] + 1, _ROOM)
