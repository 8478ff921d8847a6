"""Packets in the form that every source delivers: one byte buffer with parallel columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from panotui.model.arrays import I16, I32, I64, U8


class Interface(Struct, frozen=True):
    """A capture interface: a NIC, or an interface description of a file. Its index is its
    position.
    """

    name: str
    linktype: int  # LINKTYPE_* of tcpdump.org: 1 Ethernet, 113 SLL, 276 SLL2, 101 raw, 0 null ...
    snaplen: int = 262144
    speed_bps: int | None = None


class PacketBatch(Struct, frozen=True):
    """Packets as parallel columns over one shared, read-only byte buffer.

    Rows are in arrival order. A batch is valid until the next `read()` or `close()` of its source,
    when a ring block returns to the kernel. Code that keeps bytes must copy them.
    """

    data: U8  # (bytes,)
    offset: I64  # (n,) start of each frame in `data`
    captured: I64  # (n,) captured bytes of the frame
    wire_length: I64  # (n,) bytes of the frame on the wire
    time_ns: I64  # (n,)
    interface: I16  # (n,) index into `interfaces`
    interfaces: Sequence[Interface]
    first_number: int = 1  # 1-based number of row 0 in its source
    vlan_tci: I32 | None = None  # (n,) tag removed by the NIC, -1 none (live only)
    outgoing: I16 | None = None  # (n,) 1 sent, 0 received, -1 unknown (live, pcapng flags)
    missed: I64 | None = None  # (n,) packets that the capture dropped just before (pcapng)

    def __len__(self) -> int:
        return len(self.offset)

    def slice(self, start: int, stop: int) -> PacketBatch:
        """Rows [start, stop) over the same buffer."""
        s = slice(start, stop)
        return PacketBatch(
            self.data,
            self.offset[s],
            self.captured[s],
            self.wire_length[s],
            self.time_ns[s],
            self.interface[s],
            self.interfaces,
            self.first_number + start,
            None if self.vlan_tci is None else self.vlan_tci[s],
            None if self.outgoing is None else self.outgoing[s],
            None if self.missed is None else self.missed[s],
        )


class SourceCounters(msgspec.Struct, kw_only=True):
    """Packets delivered and missed by a source since it was opened; cumulative."""

    packets: int = 0
    bytes: int = 0  # on the wire
    dropped_ring: int = 0  # our own ring was full (PACKET_STATISTICS, accumulated)
    dropped_interface: int = 0  # the interface's own rx_dropped / rx_missed since start
    dropped_told: int = 0  # of these (or, without totals, in all), reported with single packets
    truncated: bool = False  # the file ended inside a record
    malformed: int = 0  # records skipped because their header is invalid
    format: str = ""  # "pcap", "pcapng", "live", "demo", with "+gzip"/"+zstd"
    total_bytes: int | None = None  # size of the input, for progress
    read_bytes: int = 0
    clock_stepped_ns: int = 0  # live: how far the machine's clock was set ahead since the start
    slept_ns: int = 0  # live: total time that the machine slept since the start


class Source(Protocol):
    """A source of packets. `read` never raises for bad packet data, only if the input fails."""

    interfaces: list[Interface]  # may grow while reading (pcapng)
    ended: bool  # no more packets will come
    counters: SourceCounters

    def read(self, timeout_s: float) -> PacketBatch | None:
        """The next batch, or None if no packet arrived within `timeout_s` (live) or at the end."""

    def close(self) -> None: ...
