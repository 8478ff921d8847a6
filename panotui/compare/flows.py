"""The flows of a capture, each direction separately, as columns.

In: the decoded columns of a batch. `FlowIndex` gives each row the number of its flow and keeps the
first packet of each; `Flows` has the properties of flows, with lookups by number, key or opposite
direction.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import numpy as np
from msgspec import Struct

from panotui.meter.flows.hashindex import HashIndex
from panotui.model import I32, I64, U8, U16, U64, Bool
from panotui.wire.columns import Columns
from panotui.wire.gather import gather

_ONE, _FLOW = np.uint64(1), np.uint64(1 << 63)


class Place(Struct, frozen=True):
    """One direction of a flow in one capture."""

    version: int
    protocol: int
    src: str
    sport: int
    dst: str
    dport: int
    vlan: int  # -1 none
    ttl: int
    dscp: int
    src_mac: int
    dst_mac: int

    @property
    def ends(self) -> tuple[int, str, int, str, int]:
        """Protocol and both ends."""
        return self.protocol, self.src, self.sport, self.dst, self.dport


class Flows(Struct):
    """Directions of flows as columns (m,), from the first packet of each."""

    key: U64  # equal for equal ends in every capture that this process reads
    version: U8
    protocol: U8
    src: U64  # (m, 2) address, high and low half; of IPv4 the low one
    dst: U64  # (m, 2)
    sport: U16
    dport: U16
    vlan: I32  # -1 none
    ttl: U8
    dscp: U8
    src_mac: U64
    dst_mac: U64

    def __len__(self) -> int:
        return len(self.key)

    def __getitem__(self, index: int) -> Place:
        four = self.version[index] == 4
        return Place(
            int(self.version[index]), int(self.protocol[index]), _address(self.src[index], four),
            int(self.sport[index]), _address(self.dst[index], four), int(self.dport[index]),
            int(self.vlan[index]), int(self.ttl[index]), int(self.dscp[index]),
            int(self.src_mac[index]), int(self.dst_mac[index]),
        )  # fmt: skip

    def find(self, keys: U64) -> I64:
        """(k,) the numbers of the flows with these keys, -1 none."""
        order = np.argsort(self.key)
        ordered = self.key[order]
        at = np.searchsorted(ordered, keys)
        at[at == len(ordered)] = 0
        return np.where(ordered[at] == keys, order[at], -1)

    def turned(self) -> I64:
        """(m,) the number of each flow's other direction, -1 none."""
        return self.find(self.key ^ _ONE)

    def stay(self) -> Bool:
        """(m,) mask of flows to an address that no router forwards: multicast, link-local."""
        high, low = self.dst[:, 0], self.dst[:, 1]
        four = (low >> np.uint64(28) == 0xE) | (low >> np.uint64(16) == 0xA9FE)
        four |= low == 0xFFFF_FFFF
        six = (high >> np.uint64(56) == 0xFF) | (high >> np.uint64(54) == 0x3FA)
        stay: Bool = np.where(self.version == 4, four, six)
        return stay

    def hosts(self) -> tuple[I64, I64, int]:
        """(m,) numbers of the senders and of the receivers, and how many hosts there are."""
        ends = np.concatenate([self.src, self.dst])
        low, high = ends[:, 1], ends[:, 0]
        order = np.lexsort((low, high)) if high.any() else np.argsort(low)
        new = np.ones(len(order), np.bool_)
        new[1:] = (ends[order[1:]] != ends[order[:-1]]).any(1)
        number = np.empty(len(order), np.int64)
        number[order] = np.cumsum(new) - 1
        return number[: len(self)], number[len(self) :], int(np.count_nonzero(new))


class FlowIndex:
    """Numbers flows in the order of their first packets."""

    def __init__(self) -> None:
        self._index = HashIndex(1 << 14)
        self._room = 1 << 14
        self._parts: list[Flows] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def numbers(self, data: U8, columns: Columns, rows: I64, first: U64) -> I32:
        """(r,) the flow of each of these rows, in order; `first` (n,) are the first words of all IP
        headers.
        """
        # the lowest bit is the direction, the highest marks it as a key
        keys = columns.hash << _ONE | ~columns.forward | _FLOW
        if len(rows) < len(keys):
            keys = keys[rows]
        numbers = self._index.find(keys)
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            # in order of arrival, because keys differ in each process
            at = np.sort(np.unique(keys[unknown], return_index=True)[1])
            chosen = rows[unknown[at]]
            self._note(data, columns.rows(chosen), first[chosen], keys[unknown[at]])
            numbers[unknown] = self._index.find(keys[unknown])
        return numbers

    def _note(self, data: U8, columns: Columns, first: U64, keys: U64) -> None:
        if self._count + len(keys) > self._room:
            while self._count + len(keys) > self._room:
                self._room *= 2
            self._index = HashIndex(self._room)
            known = np.concatenate([np.empty(0, np.uint64), *(part.key for part in self._parts)])
            self._index.insert(known, np.arange(self._count, dtype=np.int32))
        self._index.insert(keys, np.arange(self._count, self._count + len(keys), dtype=np.int32))
        self._count += len(keys)
        four = columns.version == 4
        ends = gather(data, columns.l3 + 8, 32).view(">u8").reshape(-1, 4).astype(np.uint64)
        ends[four] = 0
        ends[four, 1], ends[four, 3] = columns.src4[four], columns.dst4[four]
        dscp = (first >> np.where(four, np.uint64(50), np.uint64(54))) & np.uint64(0x3F)
        c = columns
        self._parts.append(
            Flows(
                keys, c.version, c.protocol, ends[:, :2].copy(), ends[:, 2:].copy(), c.sport,
                c.dport, c.vlan, c.ttl, dscp.astype(np.uint8), c.src_mac, c.dst_mac,
            )
        )  # fmt: skip

    def flows(self) -> Flows:
        """All of them, by number."""
        names = Flows.__struct_fields__
        return Flows(*(np.concatenate([getattr(p, n) for p in self._parts]) for n in names))


def _address(halves: U64, four: bool) -> str:
    high, low = halves.tolist()
    return str(IPv4Address(low)) if four else str(IPv6Address(high << 64 | low))
