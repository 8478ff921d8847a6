"""Overwrites secrets in packets that are kept as evidence; lengths do not change.

A header may continue in the next segment, and a segment may be retransmitted: the secret bytes of a
connection are remembered by their sequence numbers, within bounds. Packets are processed twice:
first all are searched, then each is returned in redacted form.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import NamedTuple

from msgspec import Struct, field

from panotui.wire.secrets import ZERO, secrets_in

FLOWS = 4_096  # directions of connections that are remembered
RANGES = 64  # secrets per direction
TAIL = 256  # bytes at the end of a segment that may begin a header
COMMENT = "secrets were written over with zeros; the checksum is that of the original"
_TAGS = (0x8100, 0x88A8, 0x9100)
_IPV4, _IPV6, _TCP = 0x0800, 0x86DD, 6
_HALF = 1 << 31


class Segment(NamedTuple):
    """The position of a TCP segment's payload in its frame."""

    flow: bytes  # addresses and ports of this direction
    sequence: int
    payload: int
    end: int


class _Direction(Struct):
    next: int = -1  # sequence number after the last byte seen
    tail: bytes = b""
    open_at: int = -1  # a secret continues there
    until: bytes = b"\n"
    ranges: list[tuple[int, int]] = field(default_factory=list)  # (sequence number, bytes)


class Redactor:
    """See the module."""

    def __init__(self) -> None:
        self._flows: OrderedDict[bytes, _Direction] = OrderedDict()

    def redacted(self, raw: bytes) -> bytes:
        """A frame with zeros for its secrets; the same object if it has none."""
        segment = tcp_segment(raw)
        if segment is None:
            spans = [(start, stop) for start, stop, _ in secrets_in(raw)]
        else:
            spans = self._of(segment, raw[segment.payload : segment.end])
        if not spans:
            return raw
        out = bytearray(raw)
        for start, stop in spans:
            out[start:stop] = ZERO * (stop - start)
        return bytes(out)

    def _of(self, segment: Segment, payload: bytes) -> list[tuple[int, int]]:
        """The secret spans of a frame."""
        if not payload:
            return []
        flow = self._flows.get(segment.flow)
        if flow is None:
            flow = self._flows[segment.flow] = _Direction()
            if len(self._flows) > FLOWS:
                self._flows.popitem(last=False)
        else:
            self._flows.move_to_end(segment.flow)
        self._look(flow, segment.sequence, payload)
        spans = []
        for start, size in flow.ranges:
            at = (start - segment.sequence + _HALF) % (1 << 32) - _HALF
            first, last = max(at, 0), min(at + size, len(payload))
            if first < last:
                spans.append((segment.payload + first, segment.payload + last))
        return spans

    def _look(self, flow: _Direction, sequence: int, payload: bytes) -> None:
        if flow.open_at == sequence:
            stop = payload.find(flow.until)
            if stop > 0 and payload[stop - 1 : stop + 1] == b"\r\n":
                stop -= 1
            self._keep(flow, sequence, len(payload) if stop < 0 else stop)
            flow.open_at = (sequence + len(payload)) % (1 << 32) if stop < 0 else -1
        before = flow.tail if flow.next == sequence else b""
        for start, stop, until in secrets_in(before + payload):
            start, stop = start - len(before), stop - len(before)
            if stop > 0 or until is not None:
                self._keep(flow, sequence + start, stop - start)
            if until is not None:
                flow.open_at, flow.until = (sequence + stop) % (1 << 32), until
        flow.next = (sequence + len(payload)) % (1 << 32)
        flow.tail = (before + payload)[-TAIL:]

    def _keep(self, flow: _Direction, start: int, size: int) -> None:
        one = (start % (1 << 32), size)
        if size > 0 and one not in flow.ranges:
            flow.ranges.append(one)
            del flow.ranges[:-RANGES]


def tcp_segment(raw: bytes) -> Segment | None:
    """The TCP segment in an Ethernet frame or a bare IP packet; None for other frames."""
    at, kind = 14, int.from_bytes(raw[12:14], "big")
    while kind in _TAGS and len(raw) >= at + 4:
        kind = int.from_bytes(raw[at + 2 : at + 4], "big")
        at += 4
    if kind not in (_IPV4, _IPV6):
        at, kind = 0, {4: _IPV4, 6: _IPV6}.get(raw[0] >> 4 if raw else 0, 0)
    try:
        if kind == _IPV4:
            head = 4 * (raw[at] & 15)
            end = at + int.from_bytes(raw[at + 2 : at + 4], "big")
            protocol, ends = raw[at + 9], raw[at + 12 : at + 20]
            if int.from_bytes(raw[at + 6 : at + 8], "big") & 0x1FFF:
                return None
        elif kind == _IPV6:
            head, protocol, ends = 40, raw[at + 6], raw[at + 8 : at + 40]
            end = at + 40 + int.from_bytes(raw[at + 4 : at + 6], "big")
        else:
            return None
        if protocol != _TCP:
            return None
        at += head
        sequence = struct.unpack_from(">I", raw, at + 4)[0]
        payload = at + 4 * (raw[at + 12] >> 4)
    except (IndexError, struct.error):
        return None
    # the length field may be zero (segmentation offload) or less than the data
    end = len(raw) if end <= payload else min(end, len(raw))
    return Segment(ends + raw[at : at + 4], sequence, min(payload, end), end)
