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
    of_group = np.bitwise_or.reduceat(bits, first)
    slots = slot[first]
    new = of_group & ~flows.history_seen[slots]
    if new.any():
        _append_new(flows, slots, first, bits, new)
    if verdicts.any():
        _append_powers(flows, slots, of_group)


def _append_new(flows: FlowTable, slots: I64, first: I64, bits: U32, new: U32) -> None:
    flows.history_seen[slots] |= new
    size = np.diff(first, append=len(bits))
    groups = np.flatnonzero(new)
    wanted = np.repeat(new, size)
    rows = np.flatnonzero(bits & wanted)
    group_of = np.searchsorted(first, rows, side="right") - 1
    found: list[tuple[I64, I64, I64]] = []
    for bit in range(2 * len(_LETTERS)):
        hit = np.flatnonzero(bits[rows] & wanted[rows] & np.uint32(1 << bit))
        if len(hit):
            groups_hit, earliest = np.unique(group_of[hit], return_index=True)
            found.append((groups_hit, rows[hit[earliest]], np.full(len(groups_hit), bit)))
    if not found or not len(groups):
        return
    group = np.concatenate([f[0] for f in found])
    place = np.concatenate([f[1] for f in found])
    bit_of = np.concatenate([f[2] for f in found])
    order = np.lexsort((bit_of, place, group))
    _write(flows, slots[group[order]], bit_of[order])


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


def _append_powers(flows: FlowTable, slots: I64, of_group: U32) -> None:
    """Letters that come again at 10, 100, ... events."""
    for column, (number, name) in enumerate(_REPEATED):
        for half in (0, 1):
            hit = slots[of_group & np.uint32(1 << (number + half * len(_LETTERS))) != 0]
            if not len(hit):
                continue
            count = flows.tcp_counts[hit, half, COUNT[name]]
            reached = np.floor(np.log10(np.maximum(count, 1))).astype(np.uint8)
            told = flows.history_power[hit, half, column]
            more = reached > told
            flows.history_power[hit[more], half, column] = reached[more]
            for _ in range(int((reached - told)[more].max(initial=0))):
                again = hit[more]
                _write(flows, again, np.full(len(again), number + half * len(_LETTERS)))
                told = told + 1
                more = reached > told
