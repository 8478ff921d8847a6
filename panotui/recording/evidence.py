"""Packets worth keeping: every control packet, and those around each violation and finding.

A tap on the pump. A ring of the last seconds holds control packets whole and the first bytes of
bulk packets, gathered by numpy a batch at a time and bounded in bytes; beside it, the opening
packets of recent flows (DNS answers, ClientHello, RTSP set-up) are kept as context. When the engine
tells a new violation or finding, the file with its name gets that context and the packets before
and after, so that it can be read alone.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np

from panotui.meter.meter import Meter
from panotui.model import I16, I32, I64, SECOND, U8, U32, Bool, PacketBatch, Snapshot
from panotui.recording.pcapng import PcapngFile
from panotui.recording.recorder import Evidence, Recorder
from panotui.wire.columns import Columns

if TYPE_CHECKING:
    from panotui.pump import Pump

BEFORE_NS = 10 * SECOND
AFTER_NS = 5 * SECOND
HEADER_BYTES = 96  # of a bulk packet
CONTROL_BYTES = 4_096
BULK_PER_SECOND = 20_000
RING_BYTES = 32 << 20
CONTEXT_FLOWS = 4_096
CONTEXT_PACKETS = 24
CONTEXT_BYTES = 16 << 20
CONTEXT_PER_SECOND = 4_000
INCIDENTS_WAITING = 32
INCIDENT_PACKETS = 50_000
SEGMENT_BYTES = 16_000_000
SEGMENT_NS = 3600 * SECOND


@dataclass(slots=True)
class Chunk:
    """Copied rows of one batch, in order of arrival."""

    data: U8
    offset: I64  # where each row starts in `data`
    length: I64
    wire_length: I64
    time_ns: I64
    interface: I16
    vlan_tci: I32
    control: Bool
    src4: U32
    dst4: U32
    names: tuple[tuple[str, int], ...]  # interfaces: (name, link type)


@dataclass(slots=True, frozen=True)
class Kept:
    """One packet of a flow's opening."""

    time_ns: int
    name: str
    linktype: int
    wire_length: int
    raw: bytes
    vlan_tci: int


@dataclass(slots=True)
class Opening:
    """What is remembered of a flow's beginning."""

    hosts: tuple[int, int]
    packets: list[Kept]
    last_ns: int
    size: int = 0


@dataclass(slots=True)
class Incident:
    """A violation or finding whose packets are being gathered."""

    name: str
    title: str
    time_ns: int
    until_ns: int
    hosts: tuple[str, ...]


class EvidenceTap:
    """Joins itself to a pump's taps and ticks; writes through the recorder."""

    def __init__(self, pump: Pump, recorder: Recorder) -> None:
        self._engine = pump.engine
        self._recorder = recorder
        self._ring: deque[Chunk] = deque()
        self._ring_bytes = 0
        self._openings: OrderedDict[int, Opening] = OrderedDict()
        self._openings_bytes = 0
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._waiting: list[Incident] = []
        self._second = 0
        self._bulk_left = BULK_PER_SECOND
        self._context_left = CONTEXT_PER_SECOND
        self._number = 0
        self._fresh: list[Chunk] = []  # since the last tick, for the control segment
        self._segment = ""
        self._segment_ns = 0
        self._segment_bytes = 0
        self.skipped = 0  # bulk packets over the budget
        self.lost = 0  # files that found no room with the recorder
        pump.taps.append(self.tap)
        pump.on_tick.append(self.tick)

    # ------------------------------------------------------------------ packets in

    def tap(self, batch: PacketBatch, meter: Meter) -> None:
        """Copy what is kept of a batch."""
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
        bulk = np.flatnonzero(~control)
        if len(bulk) > self._bulk_left:
            self.skipped += len(bulk) - self._bulk_left
            bulk = bulk[: self._bulk_left]
        self._bulk_left -= len(bulk)
        chosen = np.sort(np.concatenate((np.flatnonzero(control), bulk)))
        if not len(chosen):
            return
        chunk = _copy(batch, chosen, control[chosen], columns.src4[chosen], columns.dst4[chosen])
        self._ring.append(chunk)
        self._fresh.append(chunk)
        self._ring_bytes += len(chunk.data)
        oldest = int(batch.time_ns[-1]) - BEFORE_NS - AFTER_NS
        while self._ring and (
            self._ring_bytes > RING_BYTES or int(self._ring[0].time_ns[-1]) < oldest
        ):
            self._ring_bytes -= len(self._ring.popleft().data)
        self._remember(chunk, meter.last_flow_id[chosen])

    def _remember(self, chunk: Chunk, flow_id: np.ndarray) -> None:
        """Openings of flows: one step a control packet, within the control lane's budget."""
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
            opening.size += len(kept.raw)
            self._openings_bytes += len(kept.raw)
        while len(self._openings) > CONTEXT_FLOWS or self._openings_bytes > CONTEXT_BYTES:
            _, gone = self._openings.popitem(last=False)
            self._openings_bytes -= gone.size

    # ------------------------------------------------------------------ seconds

    def tick(self, now_ns: int) -> None:
        """Look for news, write what is complete."""
        self._control_segment(now_ns)
        self._news(self._engine.snapshot(), now_ns)
        due = [i for i in self._waiting if now_ns >= i.until_ns]
        self._waiting = [i for i in self._waiting if now_ns < i.until_ns]
        for incident in due:
            self._write(incident)

    def finish(self) -> None:
        """Write what still waits for its seconds after."""
        for incident in self._waiting:
            self._write(incident)
        self._waiting.clear()
        self._control_segment(self._second * SECOND)

    def _news(self, snapshot: Snapshot, now_ns: int) -> None:
        addresses = {camera.name: camera.address for camera in snapshot.cameras}
        streams = {stream.id: stream.src for stream in snapshot.streams}
        for violation in snapshot.violations:
            if self._is_new(f"violation {violation.id}"):
                self._await(
                    f"violation-{violation.reason}",
                    f"violation {violation.reason}: {violation.text}",
                    violation.first_time_ns,
                    now_ns,
                    (violation.src, violation.dst),
                )
        for finding in snapshot.findings:
            key = f"finding {finding.key or finding.id + finding.subject} {finding.first_time_ns}"
            if finding.severity == "info" or not self._is_new(key):
                continue
            hosts: tuple[str, ...] = ()
            flow = self._engine.flow(finding.flow) if finding.flow else None
            if finding.camera in addresses:
                hosts = (addresses[finding.camera],)
            elif finding.stream in streams:
                hosts = (streams[finding.stream],)
            elif flow is not None:
                hosts = (flow.src, flow.dst)
            self._await(
                f"finding-{finding.id}",
                f"finding {finding.id}, {finding.subject}: {finding.text}",
                finding.first_time_ns,
                now_ns,
                hosts,
            )

    def _is_new(self, key: str) -> bool:
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > 10_000:
            self._seen.popitem(last=False)
        return True

    def _await(
        self, name: str, title: str, time_ns: int, now_ns: int, hosts: tuple[str, ...]
    ) -> None:
        if len(self._waiting) >= INCIDENTS_WAITING:
            self.lost += 1
            return
        self._waiting.append(Incident(name, title, time_ns, now_ns + AFTER_NS, hosts))

    # ------------------------------------------------------------------ files

    def _write(self, incident: Incident) -> None:
        self._number += 1
        stamp = datetime.fromtimestamp(incident.time_ns // SECOND, UTC).strftime("%Y%m%dT%H%M%S")
        safe = "".join(c if c.isalnum() or c == "-" else "-" for c in incident.name)[:60]
        chunks = tuple(self._ring)
        context = self._context(incident.hosts, int(chunks[0].time_ns[0]) if chunks else 1 << 62)
        work = partial(_write_incident, chunks, context, incident.hosts)
        evidence = Evidence(
            f"{stamp}-{self._number:04}-{safe}.pcapng", incident.title, incident.time_ns, work
        )
        if not self._recorder.keep(evidence):
            self.lost += 1

    def _context(self, hosts: tuple[str, ...], before_ns: int) -> list[Kept]:
        """Openings between the hosts, and DNS answers that name one of them.

        Without hosts: of all flows that have packets in the window.
        """
        numbers, raws = _numbers(hosts)
        chosen: list[Kept] = []
        for opening in self._openings.values():
            if not hosts:
                between = opening.last_ns >= before_ns
            else:
                between = bool(numbers) and numbers <= set(opening.hosts)
            for kept in opening.packets:
                if kept.time_ns >= before_ns:
                    break
                named = any(raw in kept.raw[34:] for raw in raws) and len(kept.raw) < 1500
                if between or named:
                    chosen.append(kept)
        chosen.sort(key=lambda kept: kept.time_ns)
        return chosen[-2_000:]

    def _control_segment(self, now_ns: int) -> None:
        chunks = [chunk for chunk in self._fresh if chunk.control.any()]
        self._fresh = []
        if not chunks:
            return
        context: list[Kept] = []
        if (
            not self._segment
            or self._segment_bytes > SEGMENT_BYTES
            or now_ns - self._segment_ns > SEGMENT_NS
        ):
            stamp = datetime.fromtimestamp(now_ns // SECOND, UTC).strftime("%Y%m%dT%H%M%S")
            self._segment = f"{stamp}-control.pcapng"
            self._segment_ns, self._segment_bytes = now_ns, 0
            first = int(chunks[0].time_ns[0])
            context = [
                kept
                for opening in self._openings.values()
                if now_ns - opening.last_ns < 300 * SECOND
                for kept in opening.packets
                if kept.time_ns < first
            ]
            context.sort(key=lambda kept: kept.time_ns)
        self._segment_bytes += sum(int(c.length[c.control].sum()) + 40 for c in chunks)
        evidence = Evidence(
            self._segment,
            "control packets",
            now_ns,
            partial(_write_control, chunks, context),
            stays_open=True,
        )
        if not self._recorder.keep(evidence):
            self.lost += 1


# ------------------------------------------------------------------ copying and writing


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
    """(n,) rows whose TCP payload begins as an RTSP message (RFC 2326, 4), on any port."""
    found = np.zeros(len(batch), np.bool_)
    rows = np.flatnonzero((columns.protocol == 6) & (columns.payload_captured >= 8))
    if len(rows):
        at = columns.payload[rows]
        first = np.zeros(len(rows), np.uint32)
        for byte in range(4):
            first = (first << np.uint32(8)) | batch.data[at + byte]
        found[rows] = np.isin(first, _RTSP_STARTS)
    return found


def _copy(batch: PacketBatch, rows: I64, control: Bool, src4: U32, dst4: U32) -> Chunk:
    """Rows of a batch with their bytes, cut to what is kept of each."""
    limit = np.where(control, CONTROL_BYTES, HEADER_BYTES)
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
    )


def _numbers(hosts: Iterable[str]) -> tuple[set[int], list[bytes]]:
    """IPv4 hosts as column values, and every host's bytes as they stand in an answer."""
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
    """Rows between the hosts (or of the one host), and control packets; all when none is known."""
    numbers, raws = _numbers(hosts)
    if not hosts or len(raws) != len(numbers):
        return np.flatnonzero(np.ones(len(chunk.control), np.bool_))
    wanted = np.fromiter(numbers, np.uint32)
    from_host = np.isin(chunk.src4, wanted)
    to_host = np.isin(chunk.dst4, wanted)
    matching = from_host & to_host if len(wanted) > 1 else from_host | to_host
    return np.flatnonzero(matching | chunk.control)


def _put(file: PcapngFile, kept: Kept, comment: str = "") -> None:
    raw, wire_length = kept.raw, kept.wire_length
    if kept.vlan_tci >= 0 and len(raw) >= 14:
        # The interface took the tag off; put it back where it was.
        raw = raw[:12] + b"\x81\x00" + kept.vlan_tci.to_bytes(2, "big") + raw[12:]
        wire_length += 4
    number = file.interface(kept.name, kept.linktype)
    file.packet(number, kept.time_ns, raw, max(wire_length, len(raw)), comment)


def _write_incident(
    chunks: Sequence[Chunk], context: Sequence[Kept], hosts: tuple[str, ...], file: PcapngFile
) -> int:
    for number, kept in enumerate(context):
        _put(file, kept, "context: how these flows began" if number == 0 else "")
    written = len(context)
    for chunk in chunks:
        for row in _chosen(chunk, hosts).tolist():
            if written >= INCIDENT_PACKETS:
                return written
            _put(file, _kept(chunk, row))
            written += 1
    return written


def _write_control(chunks: Sequence[Chunk], context: Sequence[Kept], file: PcapngFile) -> int:
    for number, kept in enumerate(context):
        _put(file, kept, "context: how these flows began" if number == 0 else "")
    written = len(context)
    for chunk in chunks:
        for row in np.flatnonzero(chunk.control).tolist():
            _put(file, _kept(chunk, row))
            written += 1
    return written
