"""A capture as a table of its IP packets, each with what a router leaves alone.

Files in; a row a packet out: a hash of the content that neither routers nor address translation
change (TCP's numbers and flags, UDP's and ICMP's payload, lengths), the IP identification, the time
and the flow. No packet is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import numpy as np
from msgspec import Struct

from panotui.errors import InputError
from panotui.model import I32, I64, U8, U32, U64, PacketBatch, Source
from panotui.wire.columns import Columns
from panotui.wire.decode import Decoder
from panotui.wire.gather import gather
from panotui.wire.protocols import ICMP, ICMP6, TCP, UDP

PACKETS_MOST = 40_000_000  # 1.6 GB
FLOWS_MOST = 1_000_000  # directed
# bytes of payload that tell packets apart: whole captures, and captures that were cut short
WHOLE, SHORT = 64, 16

_ODD = np.array(
    [
        0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93,
        0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3,
    ],
    np.uint64,
)  # fmt: skip
_S29, _S32 = np.uint64(29), np.uint64(32)
# the first k bytes of a big-endian word
_FIRST = np.array(
    [(0xFFFFFFFFFFFFFFFF << (64 - 8 * k)) & 0xFFFFFFFFFFFFFFFF for k in range(9)], np.uint64
)
_FLAGS = 0x3F  # URG to FIN: routers set the two of congestion
_OTHER_WAY = np.uint64(0x8000_0000_0000_0000)


class Place(Struct, frozen=True):
    """One direction of a flow as one capture has it."""

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


class PacketTable(Struct):
    """The IP packets of a capture in its order."""

    content: U64  # (n,) hash of what is the same at both places
    ident: I32  # (n,) IPv4 identification; 0 none
    time_ns: I64  # (n,)
    flow: I64  # (n,) index into `flows`
    tag: U32  # (n,) SSRC of what looks like RTP over UDP, sequence number of TCP, else 0
    length: I32  # (n,) bytes of transport payload
    number: I64  # (n,) the packet's number in the file, from 1
    flows: list[Place]
    packets: int  # of the file, also those that are no IP
    truncated: bool
    snapped: bool  # frames were cut so short that only `SHORT` bytes tell packets apart
    first_ns: int
    last_ns: int

    def __len__(self) -> int:
        return len(self.content)


class TooShort(Exception):
    """Frames are cut before the bytes that would tell packets apart."""


def read_table(
    source: Source, what: str, width: int, progress: Callable[[], None] = lambda: None
) -> PacketTable:
    """Read a capture to its end; `width`: `WHOLE` or `SHORT` bytes of payload.

    `TooShort` when frames were cut before these; InputError for more packets or flows than are
    held, or for none.
    """
    reader = TableReader(what, width)
    while not source.ended:
        batch = source.read(1.0)
        if batch is not None and len(batch):
            reader.take(batch)
            progress()
    return reader.table(source.counters.truncated)


class TableReader:
    """Takes the batches of a capture and gives its table; see `read_table`."""

    def __init__(self, what: str, width: int) -> None:
        self._what = what
        self._width = width
        self._decoder = Decoder()
        self._parts: list[tuple[U64, I32, I64, U64, U32, I32, I64]] = []
        self._known: dict[int, Place] = {}
        self._packets = 0
        self._kept = 0
        self._short = 0

    def take(self, batch: PacketBatch) -> None:
        """Take in the next batch; nothing of it is kept."""
        columns = self._decoder.decode(batch)
        self._packets += len(batch)
        rows = np.flatnonzero(columns.version > 0)
        if not len(rows):
            return
        self._kept += len(rows)
        if self._kept > PACKETS_MOST:
            raise InputError(
                self._what, f"it has more than {PACKETS_MOST / 1e6:.0f} million packets",
                "Compare a part of it (editcap -A and -B cut by time).",
            )  # fmt: skip
        first = _first_word(batch.data, columns, rows)
        ident = np.where(
            columns.version[rows] == 4, (first >> np.uint64(16)) & np.uint64(0xFFFF), 0
        )
        content, tag, length = self._content(batch.data, columns, rows, first)
        way = columns.hash[rows] & ~_OTHER_WAY
        way[~columns.forward[rows]] |= _OTHER_WAY
        self._note_flows(batch.data, columns, rows, way, first)
        self._parts.append(
            (
                content, ident.astype(np.int32), batch.time_ns[rows].copy(), way, tag,
                length, rows + batch.first_number,
            )
        )  # fmt: skip

    def _content(self, data: U8, columns: Columns, rows: I64, first: U64) -> tuple[U64, U32, I32]:
        protocol = columns.protocol[rows]
        length = columns.payload_length[rows].astype(np.int64)
        start = columns.payload[rows]
        absent = start < 0
        present = np.where(absent, 0, np.minimum(length, self._width))
        self._short += int(np.count_nonzero(columns.payload_captured[rows] < present))
        words = gather(data, np.where(absent, 0, start), self._width).view(">u8")
        words = words.reshape(-1, self._width // 8).astype(np.uint64)
        partial = np.flatnonzero(present < self._width)
        for place in range(words.shape[1]):
            words[partial, place] &= _FIRST[np.clip(present[partial] - 8 * place, 0, 8)]
        value = protocol.astype(np.uint64) << np.uint64(32)
        value ^= np.where(absent, 0, length).astype(np.uint64)
        if not ((protocol == UDP) & (columns.fragment[rows] != 2)).all():
            value ^= self._head(columns, rows, protocol, first)
        for place in range(words.shape[1]):
            value ^= words[:, place]
            value *= _ODD[place]
            value ^= value >> (_S29 if place % 2 else _S32)
        kind = (words[:, 0] >> np.uint64(48)) & np.uint64(0x7F)
        media = (protocol == UDP) & (present >= 12) & (words[:, 0] >> np.uint64(62) == 2)
        media &= (kind < 72) | (kind > 76)  # these are RTCP's
        tag = np.where(media, words[:, 1] >> np.uint64(32), 0)
        if (protocol == TCP).any():
            tag = np.where(protocol == TCP, columns.transport[0][rows] >> np.uint64(32), tag)
        return value, tag.astype(np.uint32), np.where(absent, 0, length).astype(np.int32)

    @staticmethod
    def _head(columns: Columns, rows: I64, protocol: U8, first: U64) -> U64:
        """What the transport header adds, mixed: of TCP both numbers and the flags; of ICMP type,
        code and sequence (translation changes its identifier); of a later fragment its place."""
        transport = columns.transport[0][rows]
        flags = (columns.tcp_flags[rows] & _FLAGS).astype(np.uint64)
        head: U64 = np.where(protocol == TCP, (transport + flags) * _ODD[7], np.uint64(0))
        icmp = (protocol == ICMP) | (protocol == ICMP6)
        kind = (columns.sport[rows].astype(np.uint64) << np.uint64(16)) | columns.dport[rows]
        sequence = (transport >> np.uint64(32)) & np.uint64(0xFFFF)
        head = np.where(icmp, (kind << np.uint64(16) | sequence) * _ODD[6], head)
        later = columns.fragment[rows] == 2
        return np.where(later, (first & np.uint64(0xFFFFFFFF)) * _ODD[5], head)

    def _note_flows(self, data: U8, columns: Columns, rows: I64, way: U64, first: U64) -> None:
        found, places = np.unique(way, return_index=True)
        for key, place in zip(found.tolist(), places.tolist(), strict=True):
            if key in self._known:
                continue
            if len(self._known) >= FLOWS_MOST:
                raise InputError(
                    self._what, f"it has more than {FLOWS_MOST // 2:,} flows",
                    "Compare a part of it (editcap -A and -B cut by time).",
                )  # fmt: skip
            self._known[key] = _place(data, columns, int(rows[place]), int(first[place]))

    def table(self, truncated: bool) -> PacketTable:
        """All that was taken; `truncated`: the file ended inside a packet."""
        if self._short:
            raise TooShort
        if not self._parts:
            raise InputError(self._what, "it holds no IP packet to compare")
        content, ident, times, way, tag, length, number = (
            np.concatenate([part[i] for part in self._parts]) for i in range(7)
        )
        self._parts.clear()
        keys = np.fromiter(self._known, np.uint64, len(self._known))
        order = np.argsort(keys)
        flow = order[np.searchsorted(keys[order], way)].astype(np.int64)
        return PacketTable(
            content, ident, times, flow, tag, length, number, list(self._known.values()),
            self._packets, truncated, self._width < WHOLE, int(times.min()), int(times.max()),
        )  # fmt: skip


def _first_word(data: U8, columns: Columns, rows: I64) -> U64:
    """(m,) the first eight bytes of the IP header as a big-endian number."""
    words = gather(data, columns.l3[rows], 8).view(">u8")
    return words.reshape(-1).astype(np.uint64)


def _place(data: U8, columns: Columns, row: int, first: int) -> Place:
    version = int(columns.version[row])
    start = int(columns.l3[row])
    if version == 4:
        src, dst = (
            str(IPv4Address(int(columns.src4[row]))),
            str(IPv4Address(int(columns.dst4[row]))),
        )
    else:
        raw = data[start + 8 : start + 40].tobytes().ljust(32, b"\0")
        src, dst = str(IPv6Address(raw[:16])), str(IPv6Address(raw[16:]))
    return Place(
        version, int(columns.protocol[row]), src, int(columns.sport[row]), dst,
        int(columns.dport[row]), int(columns.vlan[row]), int(columns.ttl[row]),
        (first >> 50) & 0x3F if version == 4 else (first >> 54) & 0x3F,
        int(columns.src_mac[row]), int(columns.dst_mac[row]),
    )  # fmt: skip
