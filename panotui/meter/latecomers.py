"""Later fragments that arrive before their first one, held until it arrives.

Only a datagram's first fragment holds ports. If a sender sends the last one first, or a path
reorders them, the others would end up in a flow without ports. Rows that the decoder could not give
ports come in. They go out as a separate batch at a tick: at the next one if their first fragment
has arrived by then, otherwise at the first one that is a second later. So the result depends on
when packets arrived, and not on how they were batched. At most `HELD_MOST` are held between two
ticks.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct, field

from panotui.model import I16, I32, I64, SECOND, U8, U64, Bool, Interface, PacketBatch
from panotui.wire.gather import gather

HELD_MOST = 1024
_HEAD_BYTES = 192  # tags, labels, an IPv6 header and some extension headers
_WAIT_NS = SECOND
_WAIT_TICKS = 3  # where the clock was set back


class _Held(Struct):
    """The held data of m packets."""

    head: U8  # (m, _HEAD_BYTES)
    captured: I64
    wire_length: I64
    time_ns: I64
    interface: I16
    tag: I32
    outgoing: I16
    number: I64
    identity: U64  # of the datagram
    ticks: I64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def take(self, rows: I64) -> _Held:
        return _Held(*(getattr(self, name)[rows] for name in _FIELDS))


_FIELDS = (
    "head", "captured", "wire_length", "time_ns", "interface", "tag", "outgoing", "number",
    "identity", "ticks",
)  # fmt: skip


class Latecomers:
    """Holds packets, or the needed part of their headers, between ticks."""

    def __init__(self) -> None:
        self._held: list[_Held] = []
        self._taken = 0  # since the last tick
        self._interfaces: tuple[Interface, ...] = ()

    def __len__(self) -> int:
        return sum(len(part.number) for part in self._held)

    def hold(self, batch: PacketBatch, rows: I64, identity: U64) -> I64:
        """Hold `rows` of a batch, in order of arrival; returns those for which there was room."""
        kept = max(0, HELD_MOST - self._taken)
        rows, identity = rows[:kept], identity[:kept]
        if not len(rows):
            return rows
        self._taken += len(rows)
        self._interfaces = tuple(batch.interfaces)
        captured = np.minimum(batch.captured[rows], _HEAD_BYTES)
        head = gather(batch.data, batch.offset[rows], _HEAD_BYTES).view(np.uint8)
        none = np.full(len(rows), -1)
        self._held.append(
            _Held(
                head=head.reshape(len(rows), _HEAD_BYTES).copy(),
                captured=captured.astype(np.int64),
                wire_length=batch.wire_length[rows],
                time_ns=batch.time_ns[rows],
                interface=batch.interface[rows],
                tag=none.astype(np.int32) if batch.vlan_tci is None else batch.vlan_tci[rows],
                outgoing=none.astype(np.int16) if batch.outgoing is None else batch.outgoing[rows],
                number=rows + batch.first_number,
                identity=identity,
                ticks=np.zeros(len(rows), np.int64),
            )
        )
        return rows

    def release(self, now_ns: int, known: U64, everything: bool) -> tuple[PacketBatch, I64] | None:
        """Packets to release at a tick, and their numbers.

        `known`: datagrams whose first fragments have arrived; `everything`: the input has ended.
        """
        self._taken = 0
        if not self._held:
            return None
        held = _joined(self._held)
        held.ticks += 1
        due: Bool = np.isin(held.identity, known)
        due |= (now_ns - held.time_ns >= _WAIT_NS) | (held.ticks >= _WAIT_TICKS) | everything
        rest = np.flatnonzero(~due)
        self._held = [held.take(rest)] if len(rest) else []
        rows = np.flatnonzero(due)
        if not len(rows):
            return None
        out = held.take(rows)
        data = np.zeros((len(rows) + 1, _HEAD_BYTES), np.uint8)  # bytes past the end are zero
        data[:-1] = out.head
        batch = PacketBatch(
            data.reshape(-1),
            np.arange(len(rows)) * _HEAD_BYTES,
            out.captured,
            out.wire_length,
            out.time_ns,
            out.interface,
            self._interfaces,
            vlan_tci=out.tag,
            outgoing=out.outgoing,
        )
        return batch, out.number


def _joined(parts: list[_Held]) -> _Held:
    if len(parts) == 1:
        return parts[0]
    return _Held(*(np.concatenate([getattr(p, name) for p in parts]) for name in _FIELDS))
