"""RTP headers, vectorised: offsets of UDP payloads or interleaved frames in, columns out.

In: one byte buffer and, per row, start and length of a possible RTP packet. Out: `RtpColumns`,
aligned with the rows, with `valid` false where the bytes cannot be RTP (RFC 3550 5.1 and A.1, RFC
5761 4). Nothing is assumed about the payload.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.model import I32, I64, U8, U16, U32, U64, Bool
from panotui.wire.gather import gather

HEADER_BYTES = 12
WORD_BYTES = 20  # fixed header and the first eight bytes of payload
LOOK = np.uint16(0xFF7F)  # of the first two bytes: all but the marker
NO_LOOK = 0x0080  # a value that no packet can have

# Static payload types with a fixed clock rate (RFC 3551 table 4 and 5): (encoding name, Hz).
STATIC_PAYLOADS: dict[int, tuple[str, int]] = {
    0: ("PCMU", 8000),
    3: ("GSM", 8000),
    4: ("G723", 8000),
    5: ("DVI4", 8000),
    6: ("DVI4", 16000),
    7: ("LPC", 8000),
    8: ("PCMA", 8000),
    9: ("G722", 8000),
    10: ("L16", 44100),
    11: ("L16", 44100),
    12: ("QCELP", 8000),
    13: ("CN", 8000),
    14: ("MPA", 90000),
    15: ("G728", 8000),
    16: ("DVI4", 11025),
    17: ("DVI4", 22050),
    18: ("G729", 8000),
    25: ("CELB", 90000),
    26: ("JPEG", 90000),
    28: ("NV", 90000),
    31: ("H261", 90000),
    32: ("MPV", 90000),
    33: ("MP2T", 90000),
    34: ("H263", 90000),
}


class RtpColumns(Struct):
    """Parallel columns of n possible RTP packets."""

    valid: Bool  # (n,) version 2, not RTCP, lengths consistent with CC, X and P
    payload_type: U8  # (n,) 0..127
    marker: Bool  # (n,)
    sequence: U16  # (n,)
    timestamp: U32  # (n,)
    ssrc: U32  # (n,)
    payload: I64  # (n,) offset of the media payload in the buffer
    payload_length: I32  # (n,) bytes of media, without padding
    payload_captured: I32  # (n,) of them in the buffer
    head: U64  # (n,) the first eight bytes of the payload as a big-endian word

    def take(self, rows: I64) -> RtpColumns:
        """The given rows, in that order."""
        return RtpColumns(
            self.valid[rows],
            self.payload_type[rows],
            self.marker[rows],
            self.sequence[rows],
            self.timestamp[rows],
            self.ssrc[rows],
            self.payload[rows],
            self.payload_length[rows],
            self.payload_captured[rows],
            self.head[rows],
        )

    def put(self, rows: I64, other: RtpColumns) -> None:
        """Replace the given rows by those of another."""
        for name in self.__struct_fields__:
            getattr(self, name)[rows] = getattr(other, name)


def look_of(payload_type: int) -> int:
    """The first two bytes, without the marker, of packets that have only the fixed header."""
    return 0x8000 | payload_type


def plain_headers(
    transport: tuple[U64, U64, U64], ssrc: U32, payload: I64, length: I32, captured: I32
) -> RtpColumns:
    """RTP columns of n datagrams that have only the fixed header, from words of
    `Columns.transport`.

    `payload`, `length` and `captured` (at least `WORD_BYTES`) are those of the datagrams; a row is
    valid if its first two bytes match.
    """
    first, second, head = transport
    bits = first >> np.uint64(16)
    return RtpColumns(
        valid=np.ones(len(first), np.bool_),
        payload_type=bits.astype(np.uint8) & np.uint8(0x7F),
        marker=(bits & np.uint64(0x80)).astype(np.bool_),
        sequence=first.astype(np.uint16),
        timestamp=(second >> np.uint64(32)).astype(np.uint32),
        ssrc=ssrc,
        payload=payload + HEADER_BYTES,
        payload_length=length - np.int32(HEADER_BYTES),
        payload_captured=captured - np.int32(HEADER_BYTES),
        head=head,
    )


def words(data: U8, kind: str) -> U64 | U32 | U16:
    """`data` as overlapping little-endian words at every byte offset (no copy)."""
    dtype = np.dtype(kind)
    n = max(len(data) - dtype.itemsize + 1, 0)
    return np.ndarray((n,), dtype, data.data if n else bytearray(8), strides=(1,))


def read_headers(data: U8, offset: I64, length: I64 | I32, captured: I64 | I32) -> RtpColumns:
    """RTP columns of n packets at `offset` (bytes from `length` on the wire, `captured` present).

    RFC 3550 5.1 (fixed header), 5.3.1 (extension), A.1 (validity). Rows that are too short have
    `valid` false and undefined other columns.
    """
    n = len(offset)
    whole = (length >= HEADER_BYTES) & (captured >= HEADER_BYTES) & (offset >= 0)
    at = offset if whole.all() else np.where(whole, offset, 0)
    if n == 0 or len(data) < HEADER_BYTES:
        none = np.zeros(n, bool)
        number = np.zeros(n, np.uint32)
        narrow = np.zeros(n, np.int32)
        return RtpColumns(
            none,
            none.view(np.uint8),
            none,
            number.astype(np.uint16),
            number,
            number,
            np.zeros(n, np.int64),
            narrow,
            narrow,
            np.zeros(n, np.uint64),
        )
    first = words(data, "<u8")[at]
    first.byteswap(inplace=True)
    ssrc = words(data, "<u4")[at + 8]
    ssrc.byteswap(inplace=True)
    b0 = (first >> np.uint64(56)).astype(np.uint8)
    b1 = (first >> np.uint64(48)).astype(np.uint8)
    kind: U8 = b1 & np.uint8(0x7F)
    valid = whole & (b0 >> 6 == 2) & ((kind < 72) | (kind > 76))
    length32 = np.asarray(length, np.int64)
    present = np.minimum(np.asarray(captured, np.int64), length32)
    head = np.full(n, HEADER_BYTES, np.int64)
    special = np.flatnonzero((b0 & 0x3F != 0) & valid)
    padding = np.zeros(n, np.int64) if len(special) else None
    if len(special):
        head[special] += 4 * (b0[special] & 0x0F).astype(np.int64)
        extended = special[(b0[special] & 0x10) != 0]
        if len(extended):
            ends = head[extended] + 4
            fits = ends <= present[extended]
            valid[extended[~fits]] = False
            extended = extended[fits]
            size_at = at[extended] + head[extended] + 2
            size = data[size_at].astype(np.int64) << 8 | data[size_at + 1]
            head[extended] += 4 + 4 * size
        padded = special[(b0[special] & 0x20) != 0]
        # The padding count is the packet's last byte; if that was not captured, the count is
        # unknown. The count includes itself, but readers take 0 for no padding at all.
        padded = padded[present[padded] >= length32[padded]]
        if len(padded) and padding is not None:
            count = data[at[padded] + length32[padded] - 1].astype(np.int64)
            padding[padded] = count
            valid[padded[head[padded] + count > length32[padded]]] = False
        valid[special[head[special] > length32[special]]] = False
    media = length32 - head
    if padding is not None:
        media -= padding
    np.maximum(media, 0, out=media)
    payload = at + head
    if len(special):
        np.copyto(payload, at, where=~valid)  # nowhere beyond the buffer
    return RtpColumns(
        valid=valid,
        payload_type=kind,
        marker=b1 >= 0x80,
        sequence=(first >> np.uint64(32)).astype(np.uint16),
        timestamp=first.astype(np.uint32),
        ssrc=np.asarray(ssrc, np.uint32),
        payload=payload,
        payload_length=media.astype(np.int32),
        payload_captured=np.clip(present - head, 0, media).astype(np.int32),
        head=payload_heads(data, payload),
    )


def payload_heads(data: U8, payload: I64) -> U64:
    """(n,) the eight bytes at each offset as a big-endian word; 0 past the end of the buffer."""
    return gather(data, payload, 8).view(">u8").astype(np.uint64)
