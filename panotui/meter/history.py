"""Zeek's history letters of a TCP connection, kept a batch at a time.

Upper case for the client, lower for the server, in order of first appearance: S SYN, H SYN/ACK, A
bare ACK, D data, F FIN, R RST; T retransmission, G gap and W zero window come again each time that
their count passes a power of ten (Zeek, `Conn::history`). At most sixteen letters are kept.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.flows import ACK, COUNT, FIN, RST, SYN, FlowTable
from panotui.model import I64, U8, U32, Bool

# letters in the order in which one segment that earns several writes them
_LETTERS = b"SHTGADWFR"
_REPEATED = ((2, "retransmits"), (3, "lost_segments"), (6, "zero_window"))
_ROOM = 16


def _letters_of_segments() -> U32:
    """(512,) letter bits by TCP flags, with payload from 256 on."""
    number = np.arange(512)
    syn, ack = number & SYN != 0, number & ACK != 0
    rst, fin, data = number & RST != 0, number & FIN != 0, number >= 256
    none = np.zeros(512, np.bool_)
    bare = ack & ~data & ~syn & ~fin & ~rst
    bits = np.zeros(512, np.uint32)
    # in the order of `_LETTERS`; what only the analysis knows comes from the verdicts
    for place, mark in enumerate((syn & ~ack, syn & ack, none, none, bare, data, none, fin, rst)):
        bits |= mark.astype(np.uint32) << np.uint32(place)
    return bits


_OF_SEGMENT = _letters_of_segments()
# verdicts 1 retransmission, 2 gap, 4 zero window in their letters' places
_OF_VERDICT = np.array(
    [sum(1 << place for bit, (place, _) in enumerate(_REPEATED) if number >> bit & 1)
     for number in range(8)],
    np.uint32,
)  # fmt: skip


def note_history(
    flows: FlowTable, slots: I64, group: I64, side: I64, flags: U8, data: Bool, verdicts: U8
) -> None:
    """Append the new letters of TCP segments ordered by (slot, arrival).

    `slots` (g,) of the groups; (m,) a segment: its group, half, TCP flags, whether it has a
    payload, `verdicts` 1 retransmission, 2 gap, 4 zero window.
    """
    bits = _OF_SEGMENT.take(flags + data * np.int64(256))
    if verdicts.any():
        bits |= _OF_VERDICT.take(verdicts)
    bits <<= (side * len(_LETTERS)).astype(np.uint32)
    new = bits & ~flows.history_seen.take(slots).take(group)
    rows = np.flatnonzero(new)
    if len(rows):
        _append_new(flows, slots, group.take(rows), rows, new.take(rows))
    if verdicts.any():
        judged = np.flatnonzero(verdicts)
        of_group = np.zeros(len(slots), np.uint32)
        np.bitwise_or.at(of_group, group.take(judged), bits.take(judged))
        _append_powers(flows, slots, of_group)


def _append_new(flows: FlowTable, slots: I64, group: I64, rows: I64, new: U32) -> None:
    """Append the letters `new` of segments in `rows`; of each letter the group's first counts."""
    found: list[tuple[I64, I64, I64]] = []
    for bit in range(2 * len(_LETTERS)):
        hit = np.flatnonzero(new & np.uint32(1 << bit))
        if len(hit):
            # rows lie by group and arrival: the first of each group stays
            of = group.take(hit)
            first = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
            of = of.take(first)
            flows.history_seen[slots.take(of)] |= np.uint32(1 << bit)
            found.append((of, rows.take(hit.take(first)), np.full(len(of), bit)))
    group_of = np.concatenate([f[0] for f in found])
    place = np.concatenate([f[1] for f in found])
    bit_of = np.concatenate([f[2] for f in found])
    order = np.lexsort((bit_of, place, group_of))
    _write(flows, slots[group_of[order]], bit_of[order])


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
