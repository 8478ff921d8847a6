"""Keeps the packets that may become evidence, in the meter's process.

It is a tap on a pump. A ring of the last seconds holds control packets whole and the first bytes of
bulk packets, gathered by numpy per batch and bounded in bytes. In addition, the first packets of
recent flows (DNS answers, ClientHello, RTSP set-up) are kept as context. `evidence` decides which
packets are written; it may run at the other end of a pipe.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from panotui.meter.meter import Meter
from panotui.model import I16, I32, I64, SECOND, U8, U32, Bool, PacketBatch
from panotui.runtime.pipe import Answer, Ask, Keeping, PacketRows, Why
from panotui.wire.columns import Columns

if TYPE_CHECKING:
    from panotui.runtime.pump import MeterPump

CONTROL_BYTES = 4_096
BULK_PER_SECOND = 20_000
RING_BYTES = 32 << 20
MEDIA_RING_BYTES = 96 << 20  # for media packets kept whole
FRESH_BYTES = 16 << 20  # control packets that wait for a request
CONTEXT_FLOWS = 4_096
CONTEXT_PACKETS = 24
CONTEXT_BYTES = 16 << 20
KEPT_BYTES = 300  # of memory per packet of an opening, besides its own bytes
CONTEXT_PER_SECOND = 4_000
CONTEXT_SHOWN = 2_000
INCIDENT_PACKETS = 50_000
OPENINGS_NS = 300 * SECOND  # flows silent for longer are not reported any more


class Chunk(Struct):
    """Copied rows of one batch, in order of arrival."""

    data: U8
    offset: I64  # start of each row in `data`
    length: I64
    wire_length: I64
    time_ns: I64
    interface: I16
    vlan_tci: I32
    number: I64  # packet numbers of the meter
    control: Bool
    src4: U32
    dst4: U32
    names: tuple[tuple[str, int], ...]  # interfaces: (name, link type)


class Kept(Struct, frozen=True):
    """One packet of a flow's opening."""

    time_ns: int
    name: str
    linktype: int
    wire_length: int
    raw: bytes
    vlan_tci: int
    number: int


class Opening(Struct):
    """The remembered beginning of a flow."""

    hosts: tuple[int, int]
    packets: list[Kept]
    last_ns: int
    size: int = 0


class PacketKeeper:
    """The packets of one meter kept for evidence; bounded."""

    def __init__(self, keeping: Keeping | None = None) -> None:
        self._keeping = keeping or Keeping()
        usual = MEDIA_RING_BYTES if self._keeping.media else RING_BYTES
        self._ring_most = self._keeping.ring_bytes or usual
        self._context_most = min(CONTEXT_BYTES, self._ring_most // 2)
        self._of_hosts = [
            (int(ip_address(host)), size) for host, size in self._keeping.of_hosts.items()
        ]
        self._ring: deque[Chunk] = deque()
        self._ring_bytes = 0
        self._openings: OrderedDict[int, Opening] = OrderedDict()
        self._openings_bytes = 0
        self._second = 0
        self._bulk_left = BULK_PER_SECOND
        self._context_left = CONTEXT_PER_SECOND
        self._fresh: list[Chunk] = []  # with control packets that were not requested yet
        self._fresh_bytes = 0
        self.skipped = 0  # bulk packets over the budget
        self.control_skipped = 0  # control packets not requested in time

    # ------------------------------------------------------------------ packets in

    def tap(self, batch: PacketBatch, meter: Meter) -> None:
        """Copy the bytes to keep of a batch."""
        columns = meter.last_columns
        if columns is None or not len(batch):
            return
        second = int(batch.time_ns[-1]) // SECOND
        if second != self._second:
            self._second = second
            self._bulk_left = BULK_PER_SECOND
            self._context_left = CONTEXT_PER_SECOND
        control = meter.last_control | (columns.tcp_flags & 7 != 0)
        control |= _rtsp_text(batch, columns)
        limit = self._limits(columns)
        bulk = np.flatnonzero(~control & (limit > 0))
        if len(bulk) > self._bulk_left:
            self.skipped += len(bulk) - self._bulk_left
            bulk = bulk[: self._bulk_left]
        self._bulk_left -= len(bulk)
        chosen = np.sort(np.concatenate((np.flatnonzero(control), bulk)))
        if not len(chosen):
            return
        limit[control] = CONTROL_BYTES
        chunk = _copy(
            batch, chosen, limit[chosen], control[chosen],
            columns.src4[chosen], columns.dst4[chosen],
        )  # fmt: skip
        self._ring.append(chunk)
        self._offer_control(chunk)
        self._ring_bytes += len(chunk.data)
        oldest = int(batch.time_ns[-1]) - self._keeping.before_ns - self._keeping.after_ns
        while self._ring and (
            self._ring_bytes > self._ring_most or int(self._ring[0].time_ns[-1]) < oldest
        ):
            self._ring_bytes -= len(self._ring.popleft().data)
        self._remember(chunk, meter.last_flow_id[chosen])

    def _limits(self, columns: Columns) -> I64:
        """(n,) bytes to keep of each packet if it is a bulk packet."""
        limit = np.full(len(columns.src4), self._keeping.bulk_bytes, np.int64)
        for host, size in self._of_hosts:
            limit[(columns.src4 == host) | (columns.dst4 == host)] = size
        return limit

    def _offer_control(self, chunk: Chunk) -> None:
        if not self._keeping.segments or not chunk.control.any():
            return
        self._fresh.append(chunk)
        self._fresh_bytes += len(chunk.data)
        while self._fresh_bytes > FRESH_BYTES:
            gone = self._fresh.pop(0)
            self._fresh_bytes -= len(gone.data)
            self.control_skipped += int(np.count_nonzero(gone.control))

    def _remember(self, chunk: Chunk, flow_id: np.ndarray) -> None:
        """Openings of flows: one step per control packet, within the control lane's budget."""
        rows = np.flatnonzero(chunk.control & (flow_id != 0))
        if len(rows) > self._context_left:
            rows = rows[: self._context_left]
        self._context_left -= len(rows)
        for row in rows.tolist():
            key = int(flow_id[row])
            opening = self._openings.get(key)
            if opening is None:
                hosts = (int(chunk.src4[row]), int(chunk.dst4[row]))
                opening = self._openings[key] = Opening(hosts, [], 0)
            else:
                self._openings.move_to_end(key)
            opening.last_ns = int(chunk.time_ns[row])
            if len(opening.packets) >= CONTEXT_PACKETS:
                continue
            kept = _kept(chunk, row)
            opening.packets.append(kept)
            opening.size += len(kept.raw) + KEPT_BYTES
            self._openings_bytes += len(kept.raw) + KEPT_BYTES
        while len(self._openings) > CONTEXT_FLOWS or self._openings_bytes > self._context_most:
            _, gone = self._openings.popitem(last=False)
            self._openings_bytes -= gone.size

    # ------------------------------------------------------------------ packets out

    def control(self) -> PacketRows:
        """Control packets since the last call."""
        chunks, self._fresh, self._fresh_bytes = self._fresh, [], 0
        return _rows_of((chunk, np.flatnonzero(chunk.control)) for chunk in chunks)

    def answer(self, question: Ask) -> Answer:
        """The kept packets that were requested."""
        if question.openings_until_ns:
            recent = self._recent_openings(question.openings_until_ns)
            kept = _rows_kept([(packet, Why.OPENING) for packet in recent])
            return Answer(number=question.number, context=kept, packets=PacketRows())
        hosts = question.hosts
        first = int(self._ring[0].time_ns[0]) if self._ring else 1 << 62
        context = self._context(hosts, first)
        left = INCIDENT_PACKETS - len(context)
        chosen: list[tuple[Chunk, I64]] = []
        for chunk in self._ring:
            rows = _chosen(chunk, hosts)[:left]
            chosen.append((chunk, rows))
            left -= len(rows)
        return Answer(number=question.number, context=_rows_kept(context), packets=_rows_of(chosen))

    def _context(self, hosts: tuple[str, ...], before_ns: int) -> list[tuple[Kept, Why]]:
        """Openings between the hosts, and DNS answers that name one of them.

        Without hosts: of all flows that have packets in the window.
        """
        numbers, raws = _numbers(hosts)
        chosen: list[tuple[Kept, Why]] = []
        for opening in self._openings.values():
            if not hosts:
                between = opening.last_ns >= before_ns
            else:
                between = bool(numbers) and numbers <= set(opening.hosts)
            for kept in opening.packets:
                if kept.time_ns >= before_ns:
                    break
                if between:
                    chosen.append((kept, Why.OPENING))
                elif len(kept.raw) < 1500 and any(raw in kept.raw[34:] for raw in raws):
                    chosen.append((kept, Why.NAMING))
        chosen.sort(key=lambda found: found[0].time_ns)
        return chosen[-CONTEXT_SHOWN:]

    def _recent_openings(self, until_ns: int) -> list[Kept]:
        found = [
            kept
            for opening in self._openings.values()
            if until_ns - opening.last_ns < OPENINGS_NS
            for kept in opening.packets
            if kept.time_ns < until_ns
        ]
        found.sort(key=lambda kept: kept.time_ns)
        return found[-INCIDENT_PACKETS:]


class LocalKeeper:
    """`Keepers` of one pump in this process."""

    def __init__(self, pump: MeterPump, keeping: Keeping | None = None) -> None:
        self._keeper = PacketKeeper(keeping)
        self._answers: list[Answer] = []
        pump.taps.append(self._keeper.tap)

    def control(self) -> list[PacketRows]:
        return [self._keeper.control()]

    def ask(self, question: Ask) -> None:
        self._answers.append(self._keeper.answer(question))

    def answers(self, timeout_s: float = 0.0) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers


# ------------------------------------------------------------------ copying


_RTSP_STARTS = np.array(
    [
        int.from_bytes(word[:4], "big")
        for word in (
            b"RTSP", b"OPTIONS", b"DESCRIBE", b"SETUP", b"PLAY", b"PAUSE", b"TEARDOWN",
            b"GET_PARAMETER", b"SET_PARAMETER", b"ANNOUNCE", b"RECORD", b"REDIRECT",
        )
    ],
    np.uint32,
)  # fmt: skip


def _rtsp_text(batch: PacketBatch, columns: Columns) -> Bool:
    """(n,) rows whose TCP payload begins with an RTSP message (RFC 2326, 4), on any port."""
    found = np.zeros(len(batch), np.bool_)
    rows = np.flatnonzero((columns.protocol == 6) & (columns.payload_captured >= 8))
    if len(rows):
        at = columns.payload[rows]
        first = np.zeros(len(rows), np.uint32)
        for byte in range(4):
            first = (first << np.uint32(8)) | batch.data[at + byte]
        found[rows] = np.isin(first, _RTSP_STARTS)
    return found


def _copy(batch: PacketBatch, rows: I64, limit: I64, control: Bool, src4: U32, dst4: U32) -> Chunk:
    """Rows of a batch with the first `limit` of their bytes."""
    length = np.minimum(batch.captured[rows], limit).astype(np.int64)
    start = np.zeros(len(rows), np.int64)
    np.cumsum(length[:-1], out=start[1:])
    source = np.repeat(batch.offset[rows] - start, length) + np.arange(int(length.sum()))
    vlan = (
        np.full(len(rows), -1, np.int32) if batch.vlan_tci is None else batch.vlan_tci[rows].copy()
    )
    return Chunk(
        data=batch.data[source],
        offset=start,
        length=length,
        wire_length=batch.wire_length[rows].copy(),
        time_ns=batch.time_ns[rows].copy(),
        interface=batch.interface[rows].copy(),
        vlan_tci=vlan,
        number=batch.first_number + rows,
        control=control,
        src4=src4.copy(),
        dst4=dst4.copy(),
        names=tuple((i.name, i.linktype) for i in batch.interfaces),
    )


def _kept(chunk: Chunk, row: int) -> Kept:
    start = int(chunk.offset[row])
    name, linktype = chunk.names[int(chunk.interface[row])]
    return Kept(
        int(chunk.time_ns[row]),
        name,
        linktype,
        int(chunk.wire_length[row]),
        chunk.data[start : start + int(chunk.length[row])].tobytes(),
        int(chunk.vlan_tci[row]),
        int(chunk.number[row]),
    )


def _numbers(hosts: Iterable[str]) -> tuple[set[int], list[bytes]]:
    """IPv4 hosts as column values, and the bytes of every host as in an answer."""
    numbers: set[int] = set()
    raws: list[bytes] = []
    for host in hosts:
        try:
            address = ip_address(host)
        except ValueError:
            continue
        raws.append(address.packed)
        if address.version == 4:
            numbers.add(int(address))
    return numbers, raws


def _chosen(chunk: Chunk, hosts: tuple[str, ...]) -> I64:
    """Rows between the hosts (or of the one host), and control packets; all rows without hosts."""
    numbers, raws = _numbers(hosts)
    if not hosts or len(raws) != len(numbers):
        return np.flatnonzero(np.ones(len(chunk.control), np.bool_))
    wanted = np.fromiter(numbers, np.uint32)
    from_host = np.isin(chunk.src4, wanted)
    to_host = np.isin(chunk.dst4, wanted)
    matching = from_host & to_host if len(wanted) > 1 else from_host | to_host
    return np.flatnonzero(matching | chunk.control)


def _rows_of(chosen: Iterable[tuple[Chunk, I64]]) -> PacketRows:
    """Rows of chunks, in order."""
    parts = [(chunk, rows) for chunk, rows in chosen if len(rows)]
    names: dict[tuple[str, int], int] = {}
    data, interfaces = [], []
    for chunk, rows in parts:
        length = chunk.length[rows]
        start = np.cumsum(length) - length
        data.append(
            chunk.data[np.repeat(chunk.offset[rows] - start, length) + np.arange(int(length.sum()))]
        )
        places = [names.setdefault(name, len(names)) for name in chunk.names]
        interfaces.append(np.array(places or [0], np.int16)[chunk.interface[rows]])
    return PacketRows(
        data=b"".join(part.tobytes() for part in data),
        length=b"".join(c.length[rows].astype(np.int64).tobytes() for c, rows in parts),
        wire_length=b"".join(c.wire_length[rows].astype(np.int64).tobytes() for c, rows in parts),
        time_ns=b"".join(c.time_ns[rows].tobytes() for c, rows in parts),
        interface=b"".join(part.tobytes() for part in interfaces),
        vlan_tci=b"".join(c.vlan_tci[rows].astype(np.int32).tobytes() for c, rows in parts),
        number=b"".join(c.number[rows].tobytes() for c, rows in parts),
        why=bytes(sum(len(rows) for _, rows in parts)),
        names=tuple(names),
    )


def _rows_kept(context: Sequence[tuple[Kept, Why]]) -> PacketRows:
    kept = [packet for packet, _ in context]
    names: dict[tuple[str, int], int] = {}
    places = [names.setdefault((k.name, k.linktype), len(names)) for k in kept]
    return PacketRows(
        data=b"".join(k.raw for k in kept),
        length=np.array([len(k.raw) for k in kept], np.int64).tobytes(),
        wire_length=np.array([k.wire_length for k in kept], np.int64).tobytes(),
        time_ns=np.array([k.time_ns for k in kept], np.int64).tobytes(),
        interface=np.array(places, np.int16).tobytes(),
        vlan_tci=np.array([k.vlan_tci for k in kept], np.int32).tobytes(),
        number=np.array([k.number for k in kept], np.int64).tobytes(),
        why=bytes(why for _, why in context),
        names=tuple(names),
    )
