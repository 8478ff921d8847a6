"""Rows of flows: the table's content, with the client's direction as `out`.

The columns of some slots go in, the fields of FLOW_DTYPE come out. `EndedRows` keeps the rows of
ended flows, whose slots may be in use again.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from panotui.meter.flows.state import TCP_COUNTS, FlowState, either
from panotui.model import I32, I64, U8
from panotui.model.arrays import nonzero
from panotui.model.flow_rows import Block, FlowRows
from panotui.wire.protocols import TCP

ROWS_AT_ONCE = 2048


# columns of `FlowState` that are fields of a row
_OF_SLOTS = (
    "id", "version", "protocol", "client_by", "app", "vlan", "first_ns", "last_ns", "first_packet",
    "last_packet", "syn_ns", "syn_last_ns", "synack_ns", "rst_ns", "rst_packet", "rst_ttl",
)  # fmt: skip
# those of both directions: the client's, the server's
_OF_HALVES = tuple(
    (column, Block.of(out, back))
    for column, out, back in (
        ("port", "sport", "dport"),
        ("src_mac", "mac_out_src", "mac_in_src"),
        ("dst_mac", "mac_out_dst", "mac_in_dst"),
        ("half_last_ns", "last_out_ns", "last_in_ns"),
        ("first_payload_ns", "first_payload_ns", "first_answer_ns"),
        *(
            (name, f"{name}_out", f"{name}_in")
            for name in (
                "interface", "ttl", "packets", "bytes", "payload", "unseen", "mss", "max_segment",
            )
        ),
    )
)  # fmt: skip
_ADDRESSES = Block.of("src", "dst")
_COUNTS = Block.of(*(f"{name}_{side}" for name in TCP_COUNTS for side in ("out", "in")))
_CLOSED = Block.of("zero_window_now_out", "zero_window_now_in")


class EndedRows:
    """The last rows of flows, until they are reported."""

    def __init__(self) -> None:
        self._parts: deque[FlowRows] = deque()
        self._count = 0
        self._ordered = 0  # of the parts

    def __len__(self) -> int:
        return self._count

    def add(self, rows: FlowRows) -> None:
        """Keep rows, as they are."""
        self._parts.append(rows)
        self._count += len(rows)

    def order(self) -> None:
        """Sort those added since the last call by id; those of a flood keep the order of their
        ends.
        """
        parts = list(self._parts)[self._ordered :]
        count = sum(len(part) for part in parts)
        if 1 < count <= ROWS_AT_ONCE:
            ended, place = FlowRows(count), 0
            for part in parts:
                ended.place(place, part)
                place += len(part)
                self._parts.pop()
            self._parts.append(ended.some(np.argsort(ended["id"])))
        self._ordered = len(self._parts)

    def move_into(self, out: FlowRows) -> int:
        """Write them to the beginning of `out`, freeing one part after another; returns their
        number.
        """
        place = 0
        while self._parts:
            part = self._parts.popleft()
            out.place(place, part)
            place += len(part)
        self._count = self._ordered = 0
        return place


def fill(state: FlowState, out: FlowRows, place: int, slots: I64) -> None:
    """Write the rows of slots from a place on; in portions, to limit the extra memory."""
    for start in range(0, len(slots), ROWS_AT_ONCE):
        out.place(place + start, rows_of(state, slots[start : start + ROWS_AT_ONCE]))


def rows_of(state: FlowState, slots: I64) -> FlowRows:
    """Present rows of slots, with the client's direction as `out`."""
    out = FlowRows(len(slots))
    if not len(slots):
        return out
    for name in _OF_SLOTS:
        out[name] = getattr(state, name).take(slots)
    out["rtt_us"], out["rtt_min_us"] = _round_trips(state, slots)
    # positions in columns per half, flattened: one index is several times faster than two
    client = slots * 2 + state.client.take(slots)
    halves = np.concatenate((client, client ^ 1))
    shape = 2, len(slots)
    for name, block in _OF_HALVES:
        out.fill(block, getattr(state, name).reshape(-1).take(halves).reshape(shape))
    address = state.address.reshape(-1, 16).take(halves, axis=0)
    out.fill(_ADDRESSES, address.reshape(*shape, 16))
    counts = state.tcp_counts.transpose(2, 0, 1).reshape(len(TCP_COUNTS), -1)
    counts = counts.take(halves, axis=1)
    out.fill(_COUNTS, counts.reshape(-1, len(slots)))
    closed = state.window.reshape(-1).take(halves) == 0
    closed &= state.tcp_open.reshape(-1).take(halves)
    out.fill(_CLOSED, closed.reshape(shape))
    syn_ns = state.syn_last_ns.take(slots)
    out["server_rtt_us"] = _span_us(syn_ns, state.synack_ns.take(slots))
    out["handshake_rtt_us"] = _span_us(syn_ns, state.handshake_ack_ns.take(slots))
    out["state"] = _state(out)
    out["history"] = state.history.take(slots, axis=0).view("S16")[:, 0]
    return out


def _round_trips(state: FlowState, slots: I64) -> tuple[I32, I32]:
    """The least round trip from here to each end and back, in total; and that of the nearer end.
    Only of one end if only one is known, -1 if none is.
    """
    both, nearer = np.full((2, len(slots)), -1, np.int32)
    least = state.rtt_least.take(slots, axis=0).astype(np.int64)
    timed = nonzero(either(least != 0))
    if len(timed):
        least = least[timed] - 1
        known = np.where(least < 0, 2**31 - 1, least)
        both[timed] = np.minimum(np.maximum(least, 0).sum(axis=1), 2**31 - 1)
        nearer[timed] = known.min(axis=1)
    return both, nearer


def _state(rows: FlowRows) -> U8:
    """FLOW_STATES of rows whose other fields are filled."""
    packets_out, packets_in = rows["packets_out"], rows["packets_in"]
    both = (packets_out > 0) & (packets_in > 0)
    state = np.where(both, 8, np.where(packets_out + packets_in == 1, 0, 9))
    tcp = rows["protocol"] == TCP
    syn = rows["syn_out"] > 0
    accepted = rows["syn_in"] > 0
    rst_in, rst_out = rows["rst_in"] > 0, rows["rst_out"] > 0
    fin_out, fin_in = rows["fin_out"] > 0, rows["fin_in"] > 0
    spoke = packets_out > rows["syn_out"]
    conditions = [
        syn & ~accepted & rst_in & (rows["data_segments_out"] == 0),
        rst_in | rst_out,
        fin_out & fin_in,
        fin_out | fin_in,
        ~syn & ~accepted,
        accepted | spoke,
    ]
    tcp_state = np.select(conditions, [6, 5, 4, 3, 7, 2], 1)
    return np.where(tcp, tcp_state, state).astype(np.uint8)


def _span_us(start_ns: I64, end_ns: I64) -> I32:
    known = (start_ns > 0) & (end_ns >= start_ns)
    return np.where(known, np.minimum((end_ns - start_ns) // 1000, 2**31 - 1), -1).astype(np.int32)
