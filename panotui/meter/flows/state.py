"""The columns of the flow table: the state of each flow, one slot each.

`_Columns` creates each column together with the value that a new flow starts with: so no column is
forgotten, and no flow inherits the state of another.

A column is per slot, or per slot and direction ("half"). Half 0 is the direction whose source is
the lower end of the canonical five-tuple, half 1 the other; `client` is the half from client to
server.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from panotui.model import I16, I32, I64, U8, U16, U32, U64, Bool
from panotui.model.arrays import nonzero
from panotui.model.untouched import untouched
from panotui.wire.protocols import TCP

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32

END_IDLE, END_CLOSED, END_RESET, END_EVICTED, END_REUSED, END_ACTIVE = range(1, 7)  # `FLOW_ENDS`
BY_FIRST, BY_PORT, BY_SYN = range(3)  # `CLIENT_BY`

# Names of the per-half TCP counters that `meter.tcp` and this table share: rows of `tcp_counts`.
TCP_COUNTS = (
    "syn",
    "fin",
    "rst",
    "data_segments",
    "retransmits",
    "fast_retransmits",
    "spurious",
    "out_of_order",
    "lost_segments",
    "dup_acks",
    "zero_window",
    "window_full",
    "window_update",
    "keep_alive",
    "acked_unseen",
)
COUNT = {name: i for i, name in enumerate(TCP_COUNTS)}

_HISTORY = 16


class _Columns:
    """Creates the columns of a table, and clears them when a slot is reused."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._blanks: list[tuple[NDArray[np.generic], int]] = []
        self._rare: list[NDArray[np.generic]] = []

    def opened(self, kind: DTypeLike, *shape: int) -> NDArray[Any]:
        """A column that `FlowTable` writes for every new flow."""
        return untouched((self._capacity, *shape), kind)

    def blank(self, kind: DTypeLike, *shape: int, blank: int = 0) -> NDArray[Any]:
        """A column that is 0 or -1 for a new flow."""
        size = (self._capacity, *shape)
        column = np.full(size, blank, kind) if blank else untouched(size, kind)
        self._blanks.append((_flat(column), blank))
        return column

    def rare(self, kind: DTypeLike, *shape: int) -> NDArray[Any]:
        """A column that most flows never write. Unwritten memory costs nothing, so it is cleared
        only where it is not empty: in a flood it stays unused.
        """
        column = untouched((self._capacity, *shape), kind)
        self._note_rare(column)
        return column

    def counters(self, number: int) -> I32:
        """(number, capacity, 2) rare counters per half; each is contiguous, because most flows need
        few of them.
        """
        counts: I32 = untouched((number, self._capacity, 2), np.int32)
        for column in counts:
            self._note_rare(column)
        return counts

    def _note_rare(self, column: NDArray[Any]) -> None:
        self._rare.append(_flat(column, 8))  # a wider integer could not be compared with zero

    def clear(self, slots: I32) -> None:
        """Clear these slots for new flows."""
        for column, blank in self._blanks:
            column[slots] = blank
        for column in self._rare:
            if column.take(slots, axis=0).any():
                column[slots] = 0


class FlowState:
    """The columns, (capacity, ...) each; zero until written."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        # No slot from here on was ever used. Low slots are used first, so that operations on all
        # flows need not cover the whole table.
        self.top = 0
        new = self._columns = _Columns(capacity)
        self.id: U64 = new.opened(np.uint64)  # 0: the slot is free
        self.hash: U64 = new.opened(np.uint64)
        self.version: U8 = new.opened(np.uint8)
        self.protocol: U8 = new.opened(np.uint8)
        self.client: U8 = new.opened(np.uint8)  # the half from client to server
        self.client_by: U8 = new.opened(np.uint8)
        self.app: U8 = new.blank(np.uint8)
        self.vlan: I32 = new.opened(np.int32)
        self.first_ns: I64 = new.opened(np.int64)
        self.last_ns: I64 = new.opened(np.int64)
        self.first_packet: I64 = new.opened(np.int64)
        self.last_packet: I64 = new.blank(np.int64)
        self.changed: Bool = new.blank(np.bool_)
        self.reported: Bool = new.blank(np.bool_)
        self.address: U8 = new.opened(np.uint8, 2, 16)  # source of each half
        self.port: U16 = new.opened(np.uint16, 2)
        # --- per half
        self.packets: I64 = new.blank(np.int64, 2)
        self.bytes: I64 = new.blank(np.int64, 2)
        self.payload: I64 = new.blank(np.int64, 2)
        self.half_last_ns: I64 = new.blank(np.int64, 2)
        self.interface: I16 = new.blank(np.int16, 2, blank=-1)
        self.src_mac: U64 = new.blank(np.uint64, 2)
        self.dst_mac: U64 = new.blank(np.uint64, 2)
        self.ttl: U8 = new.blank(np.uint8, 2)
        self.lane: U8 = new.blank(np.uint8, 2)
        self.offered: U8 = new.blank(np.uint8, 2)
        self.first_payload_ns: I64 = new.blank(np.int64, 2)
        # --- TCP
        self.isn: U32 = new.rare(np.uint32, 2)
        self.isn_known: Bool = new.blank(np.bool_, 2)
        counts = new.counters(len(TCP_COUNTS))
        self.counts: list[I32] = list(counts)  # (cap, 2) each, as `TCP_COUNTS`
        # (cap, 2, counters); each counter is contiguous, because most flows need few of them
        self.tcp_counts: I32 = counts.transpose(1, 2, 0)
        self.syn_ns: I64 = new.blank(np.int64)
        self.syn_last_ns: I64 = new.blank(np.int64)
        self.synack_ns: I64 = new.rare(np.int64)
        self.handshake_ack_ns: I64 = new.rare(np.int64)
        self.rst_ns: I64 = new.rare(np.int64)
        self.rst_packet: I64 = new.rare(np.int64)
        self.rst_ttl: U8 = new.rare(np.uint8)
        self.unseen: I64 = new.rare(np.int64, 2)
        self.mss: U16 = new.rare(np.uint16, 2)
        self.max_segment: I32 = new.rare(np.int32, 2)
        self.window: U32 = new.blank(np.uint32, 2)  # of the last segment; above: 1 << 16 of a SYN
        self.window_shift: NDArray[np.int8] = new.blank(np.int8, 2, blank=-1)  # -1 unknown
        self.tcp_open: Bool = new.blank(np.bool_, 2)  # the half's sequence state is valid
        self.next_seq: U32 = new.blank(np.uint32, 2)
        self.next_seq_ns: I64 = new.blank(np.int64, 2)
        self.to_be_acked: U32 = new.blank(np.uint32, 2)
        self.holes: Bool = new.rare(np.bool_)  # `meter.tcp` follows bytes that were never captured
        self.last_ack: U32 = new.rare(np.uint32, 2)
        self.last_ack_ns: I64 = new.blank(np.int64, 2)
        self.dup_ack_run: I32 = new.rare(np.int32, 2)
        self.last_kind: U8 = new.rare(np.uint8, 2)  # of the last segment: keep-alive, probe
        self.rtt_seq: U32 = new.rare(np.uint32, 2)  # end of the half's newest segment
        self.rtt_ns: I64 = new.rare(np.int64, 2)  # time when it was sent; 0: not timed
        self.rtt_least: I32 = new.rare(np.int32, 2)  # microseconds and one; 0 unknown
        self.history: U8 = new.blank(np.uint8, _HISTORY)
        self.history_length: U8 = new.blank(np.uint8)
        self.history_seen: U32 = new.blank(np.uint32)

    @property
    def live(self) -> I64:
        """Slots in use."""
        return nonzero(self.id[: self.top])

    def clear(self, slots: I32) -> None:
        """Prepare slots for new flows: all is cleared, except `opened` columns."""
        self._columns.clear(slots)

    def is_closed(self, slots: I64) -> Bool:
        """Mask of the connections that are over: both ends closed, or one refused."""
        # a refused connection may be retried with the same number
        reset = either(self.counted("rst", slots)) & (
            self.syn_last_ns.take(slots) <= self.rst_ns.take(slots)
        )
        return both(self.counted("fin", slots)) | reset

    def counted(self, name: str, slots: I64 | I32) -> Bool:
        """(n, 2) halves of which a TCP counter is not zero."""
        counted: Bool = self.counts[COUNT[name]].take(slots, axis=0) > 0
        return counted

    def one_way(self, slots: I64) -> Bool:
        """Mask of established connections that were seen in one direction only."""
        packets = self.packets.take(slots, axis=0)
        one = nonzero(either(packets == 0) & (self.protocol.take(slots) == TCP))
        packets, syns = packets[one], self.counts[COUNT["syn"]].take(slots[one], axis=0)
        out = np.zeros(len(slots), np.bool_)
        out[one] = packets.max(axis=1) > syns.max(axis=1) + 2
        return out


def tally(counts: I32, slot: I64, side: I64, number: int) -> None:
    """Add one to counter `number` of each (slot, side); repeated pairs count each time."""
    # numpy adds in place a hundred times faster with plain index and type
    np.add.at(counts[:, :, number].reshape(-1), slot * 2 + side, np.int32(1))


def both(halves: Bool) -> Bool:
    """(n, 2) -> (n,): of both directions."""
    out: Bool = halves[:, 0] & halves[:, 1]
    return out


def either(halves: Bool) -> Bool:
    """(n, 2) -> (n,): of one direction at least."""
    out: Bool = halves[:, 0] | halves[:, 1]
    return out


def _flat(column: NDArray[Any], widest: int = 16) -> NDArray[np.generic]:
    """The same memory, one element per slot where a type of at most `widest` bytes fits: numpy is
    then several times faster. Zero stays zero, and -1 (all bits of an integer) stays -1.
    """
    size = column.itemsize * column[0].size
    wide = {2: "i2", 4: "i4", 8: "i8", 16: "c16"}.get(size)
    if column.ndim == 1 or wide is None or size > widest:
        return column
    return column.reshape(len(column), -1).view(wide)[:, 0]
