"""A capture as a table of its IP packets, each with the fields that a router does not change.

Files in; one row per packet out: a hash of the content that neither routers nor address translation
change (TCP's numbers and flags, UDP's and ICMP's payload, lengths), the IP identification, the time
and the flow. No packet is kept.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct

from panotui.compare.flows import FlowIndex, Flows
from panotui.errors import InputError
from panotui.model import I32, I64, U8, U32, U64, PacketBatch, Source
from panotui.wire.columns import Columns, joined
from panotui.wire.decode import Decoder, hash_rows
from panotui.wire.gather import gather
from panotui.wire.protocols import ICMP, ICMP6, TCP, UDP

PACKETS_MOST = 40_000_000  # 1.6 GB
FLOWS_MOST = 1_000_000  # directed
# bytes of payload that identify packets: for whole captures, and for truncated ones
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
_FLAGS = 0x3F  # URG to FIN: routers set the two congestion bits


class PacketTable(Struct):
    """The IP packets of a capture in its order."""

    content: U64  # (n,) hash of the part that is equal at both places
    ident: I32  # (n,) IPv4 identification; 0 none
    time_ns: I64  # (n,)
    flow: I64  # (n,) index into `flows`
    tag: U32  # (n,) SSRC of probable RTP over UDP, sequence number of TCP, else 0
    length: I32  # (n,) bytes of transport payload
    number: I64  # (n,) the packet's number in the file, from 1
    flows: Flows
    packets: int  # of the file, including packets that are not IP
    truncated: bool
    snapped: bool  # frames are so short that only `SHORT` bytes identify packets
    first_ns: int
    last_ns: int

    def __len__(self) -> int:
        return len(self.content)


class TooShort(Exception):
    """Frames of this capture are too short for the bytes that identify packets."""


def read_table(
    source: Source, what: str, width: int, progress: Callable[[], None] = lambda: None
) -> PacketTable:
    """Read a capture to its end; `width`: `WHOLE` or `SHORT` bytes of payload.

    `TooShort` if frames are truncated before these; InputError for more packets or flows than the
    limit, or for none.
    """
    reader = TableReader(what, width)
    decoder = Decoder()
    while not source.ended and not reader.is_short:
        batch = source.read(1.0)
        if batch is not None and len(batch):
            reader.take(batch, decoder.decode(batch))
            reader.flush()
            progress()
    return reader.table(source.counters.truncated)


class TableReader:
    """Takes the packets of a capture and builds its table; see `read_table`."""

    def __init__(self, what: str, width: int) -> None:
        self._what = what
        self._width = width
        self._pieces: list[tuple[PacketBatch, Columns]] = []
        self._parts: list[tuple[U64, I32, I64, I32, U32, I32, I64]] = []
        self._flows = FlowIndex()
        self._packets = 0
        self._kept = 0
        self.is_short = False  # frames are too short: there will be no table

    def take(self, batch: PacketBatch, columns: Columns) -> None:
        """Add a batch or a piece of one; call `flush` before its source reads on."""
        if not self.is_short:
            self._pieces.append((batch, columns))

    def flush(self) -> None:
        """Process the packets added since the last call; none of them is kept."""
        if not self._pieces:
            return
        pieces, self._pieces = self._pieces, []
        data, number = pieces[0][0].data, pieces[0][0].first_number
        for batch, columns in pieces:
            # fragments before their first one belong to no flow until it comes
            homeless = np.flatnonzero((columns.hash == 0) & (columns.version > 0))
            if len(homeless):
                hash_rows(batch, columns, homeless)
        if len(pieces) == 1:
            times, columns = pieces[0][0].time_ns, pieces[0][1]
        else:
            times = np.concatenate([batch.time_ns for batch, _ in pieces])
            columns = joined([columns for _, columns in pieces])
        self._packets += len(times)
        self._add(data, times, columns, number)

    def _add(self, data: U8, times: I64, columns: Columns, number: int) -> None:
        rows = np.flatnonzero(columns.version)
        if not len(rows):
            return
        self._kept += len(rows)
        if self._kept > PACKETS_MOST:
            raise InputError(
                self._what, f"it has more than {PACKETS_MOST / 1e6:.0f} million packets",
                "Compare a part of it (editcap -A and -B cut by time).",
            )  # fmt: skip
        # including packets that are not IP, which are removed at the end, so that rows are selected
        # once
        first = _first_word(data, columns)
        ident = (first >> np.uint64(16)).astype(np.uint16).astype(np.int32)
        ident[columns.version != 4] = 0
        content, tag, length = self._content(data, columns, first)
        if len(rows) < len(times):
            content, ident, times = content[rows], ident[rows], times[rows]
            tag, length = tag[rows], length[rows]
        flow = self._flows.numbers(data, columns, rows, first)
        if len(self._flows) > FLOWS_MOST:
            raise InputError(
                self._what, f"it has more than {FLOWS_MOST // 2:,} flows",
                "Compare a part of it (editcap -A and -B cut by time).",
            )  # fmt: skip
        self._parts.append((content, ident, times.copy(), flow, tag, length, rows + number))

    def _content(self, data: U8, columns: Columns, first: U64) -> tuple[U64, U32, I32]:
        protocol = columns.protocol
        start = columns.payload
        absent = start < 0
        length = columns.payload_length
        if absent.any():
            start, length = np.where(absent, 0, start), np.where(absent, 0, length)
        present = np.minimum(length, self._width)
        self.is_short |= bool((columns.payload_captured < present).any())
        words = gather(data, start, self._width).view(">u8").reshape(-1, self._width // 8)
        # from here on each word is a separate column
        words = words.T.astype(np.uint64)
        partial = np.flatnonzero(present < self._width)
        for place in range(len(words)) if len(partial) else ():
            words[place, partial] &= _FIRST[np.clip(present[partial] - 8 * place, 0, 8)]
        value = protocol.astype(np.uint64) << np.uint64(32)
        value ^= length.astype(np.uint64)
        is_udp = protocol == UDP
        if not is_udp.all() or (columns.fragment == 2).any():
            value ^= self._head(columns, protocol, first)
        for place in range(len(words)):
            value ^= words[place]
            value *= _ODD[place]
            value ^= value >> (_S29 if place % 2 else _S32)
        kind = (words[0] >> np.uint64(48)) & np.uint64(0x7F)
        media = is_udp & (present >= 12) & (words[0] >> np.uint64(62) == 2)
        media &= (kind < 72) | (kind > 76)  # these types are RTCP
        tag = (words[1] >> np.uint64(32)) * media
        if (protocol == TCP).any():
            tag = np.where(protocol == TCP, columns.transport[0] >> np.uint64(32), tag)
        return value, tag.astype(np.uint32), length

    @staticmethod
    def _head(columns: Columns, protocol: U8, first: U64) -> U64:
        """The part of the transport header, hashed: for TCP both numbers and the flags; for ICMP
        type, code and sequence (NAT changes its identifier); for a later fragment its offset.
        """
        transport = columns.transport[0]
        flags = (columns.tcp_flags & _FLAGS).astype(np.uint64)
        head: U64 = np.where(protocol == TCP, (transport + flags) * _ODD[7], np.uint64(0))
        icmp = (protocol == ICMP) | (protocol == ICMP6)
        if icmp.any():
            kind = (columns.sport.astype(np.uint64) << np.uint64(16)) | columns.dport
            sequence = (transport >> np.uint64(32)) & np.uint64(0xFFFF)
            head = np.where(icmp, (kind << np.uint64(16) | sequence) * _ODD[6], head)
        later = columns.fragment == 2
        return np.where(later, (first & np.uint64(0xFFFFFFFF)) * _ODD[5], head)

    def table(self, truncated: bool) -> PacketTable:
        """The table; `truncated`: the file ended inside a packet."""
        self.flush()
        if self.is_short:
            raise TooShort(self._what)
        if not self._parts:
            raise InputError(self._what, "it holds no IP packet to compare")
        content, ident, times, flow, tag, length, number = (
            np.concatenate([part[i] for part in self._parts]) for i in range(7)
        )
        self._parts.clear()
        return PacketTable(
            content, ident, times, flow.astype(np.int64), tag, length, number, self._flows.flows(),
            self._packets, truncated, self._width < WHOLE, int(times.min()), int(times.max()),
        )  # fmt: skip


def _first_word(data: U8, columns: Columns) -> U64:
    """(m,) the first eight bytes of the IP header as a big-endian number."""
    words = gather(data, columns.l3, 8).view(">u8")
    return words.reshape(-1).astype(np.uint64)
