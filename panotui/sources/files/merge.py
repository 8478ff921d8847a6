"""Several sources as one, ordered by packet time: two ports' rings, or the files of one capture.

Each source has at most one batch waiting here, so memory is bounded by their batches. Rows are
delivered up to the earliest of the last times of the waiting batches, so the output is in order if
each source is. A silent live source does not delay the others.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence

import numpy as np

from panotui.model import I16, I32, I64, U8, Interface, PacketBatch, Source, SourceCounters


def merge(sources: Sequence[Source]) -> Source:
    """One source over all; its interfaces are those of the sources, one list after the other."""
    return sources[0] if len(sources) == 1 else MergedSource(sources)


class MergedSource:
    """See `merge`. Packets are numbered in merged order."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)
        self.interfaces: list[Interface] = []
        self.ended = not self.sources
        self._waiting: list[PacketBatch | None] = [None] * len(self.sources)
        self._places: dict[tuple[int, int], int] = {}  # (source, its index) -> merged index
        self._packets = 0
        self._learn_interfaces()
        self.counters = self._count()

    @property
    def present(self) -> bool:
        """False while an interface is missing."""
        return all(getattr(source, "present", True) for source in self.sources)

    def read(self, timeout_s: float = 0.0) -> PacketBatch | None:
        """The next rows in time order; None on timeout or at the end."""
        batch = self._read(timeout_s)
        self.counters = self._count()
        return batch

    def _read(self, timeout_s: float) -> PacketBatch | None:
        deadline = time.monotonic() + timeout_s
        while not self.ended:
            self._refill()
            self._learn_interfaces()
            if any(batch is not None for batch in self._waiting):
                return self._give()
            if all(source.ended for source in self.sources):
                self.ended = True
                break
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self._wait(left)
        return None

    def close(self) -> None:
        self.ended = True
        for source in self.sources:
            source.close()

    def _count(self) -> SourceCounters:
        each = [source.counters for source in self.sources]
        sizes = [counters.total_bytes for counters in each]
        formats = sorted({counters.format for counters in each if counters.format})
        return SourceCounters(
            packets=self._packets,
            bytes=sum(counters.bytes for counters in each),
            dropped_ring=sum(counters.dropped_ring for counters in each),
            dropped_interface=sum(counters.dropped_interface for counters in each),
            dropped_told=sum(counters.dropped_told for counters in each),
            truncated=any(counters.truncated for counters in each),
            malformed=sum(counters.malformed for counters in each),
            format="+".join(formats),
            total_bytes=None if None in sizes else sum(size or 0 for size in sizes),
            read_bytes=sum(counters.read_bytes for counters in each),
            clock_stepped_ns=max((c.clock_stepped_ns for c in each), key=abs, default=0),
            slept_ns=max((c.slept_ns for c in each), default=0),
        )

    def _refill(self) -> None:
        for at, source in enumerate(self.sources):
            if self._waiting[at] is None and not source.ended:
                batch = source.read(0.0)
                self._waiting[at] = batch if batch is not None and len(batch) else None

    def _wait(self, seconds: float) -> None:
        poll = select.poll()
        for source in self.sources:
            fileno = getattr(source, "fileno", None)
            if fileno is not None and not source.ended:
                poll.register(fileno(), select.POLLIN)
        # a source whose interface is missing fails at once: a short sleep, not a busy loop
        if poll.poll(min(seconds, 0.1) * 1000) and not self.present:
            time.sleep(min(seconds, 0.02))

    def _learn_interfaces(self) -> None:
        for at, source in enumerate(self.sources):
            for index, interface in enumerate(source.interfaces):
                if (at, index) not in self._places:
                    self._places[at, index] = len(self.interfaces)
                    self.interfaces.append(interface)

    def _give(self) -> PacketBatch:
        waiting = [(at, batch) for at, batch in enumerate(self._waiting) if batch is not None]
        if len(waiting) == 1:
            at, batch = waiting[0]
            self._waiting[at] = None
            return self._numbered(self._renamed(at, batch))
        # a packet later than another source's last one may have a predecessor that is still to come
        until = min(int(batch.time_ns.max()) for _, batch in waiting)
        pieces: list[PacketBatch] = []
        for at, batch in waiting:
            later = batch.time_ns > until
            cut = int(later.argmax()) if later.any() else len(batch)
            self._waiting[at] = batch.slice(cut, len(batch)) if cut < len(batch) else None
            if cut:
                pieces.append(self._renamed(at, batch.slice(0, cut)))
        if not pieces:  # times that step back: the batch with the earliest start goes first, whole
            at, batch = min(waiting, key=lambda pair: int(pair[1].time_ns[0]))
            self._waiting[at] = None
            pieces = [self._renamed(at, batch)]
        return self._numbered(pieces[0] if len(pieces) == 1 else _interleaved(pieces))

    def _renamed(self, at: int, batch: PacketBatch) -> PacketBatch:
        """`batch` with merged interface indices."""
        count = len(self.sources[at].interfaces)
        table = np.array([self._places[at, index] for index in range(count)], np.int16)
        return PacketBatch(
            batch.data,
            batch.offset,
            batch.captured,
            batch.wire_length,
            batch.time_ns,
            table[batch.interface],
            self.interfaces,
            batch.first_number,
            batch.vlan_tci,
            batch.outgoing,
            batch.missed,
        )

    def _numbered(self, batch: PacketBatch) -> PacketBatch:
        first = self._packets + 1
        self._packets += len(batch)
        return PacketBatch(
            batch.data,
            batch.offset,
            batch.captured,
            batch.wire_length,
            batch.time_ns,
            batch.interface,
            self.interfaces,
            first,
            batch.vlan_tci,
            batch.outgoing,
            batch.missed,
        )


def _interleaved(pieces: Sequence[PacketBatch]) -> PacketBatch:
    """Batches over different memories as one batch over a copy of their bytes, by time.

    The span of the pieces is copied once; rows with equal times keep their order.
    """
    memories: list[U8] = []
    offsets = []
    base = 0
    for piece in pieces:
        start = int(piece.offset.min())
        stop = int((piece.offset + piece.captured).max())
        memories.append(piece.data[start:stop])
        offsets.append(piece.offset - start + base)
        base += stop - start
    times = np.concatenate([piece.time_ns for piece in pieces])
    order = np.argsort(times, kind="stable")
    data = np.concatenate(memories)
    data.flags.writeable = False
    vlan: I32 | None = None
    if any(piece.vlan_tci is not None for piece in pieces):
        vlan = np.concatenate(
            [
                np.full(len(piece), -1, np.int32) if piece.vlan_tci is None else piece.vlan_tci
                for piece in pieces
            ]
        )[order]
    outgoing: I16 | None = None
    if any(piece.outgoing is not None for piece in pieces):
        outgoing = np.concatenate(
            [
                np.full(len(piece), -1, np.int16) if piece.outgoing is None else piece.outgoing
                for piece in pieces
            ]
        )[order]
    missed: I64 | None = None
    if any(piece.missed is not None for piece in pieces):
        missed = np.concatenate(
            [
                np.zeros(len(piece), np.int64) if piece.missed is None else piece.missed
                for piece in pieces
            ]
        )[order]
    return PacketBatch(
        data,
        np.concatenate(offsets)[order],
        np.concatenate([piece.captured for piece in pieces])[order],
        np.concatenate([piece.wire_length for piece in pieces])[order],
        times[order],
        np.concatenate([piece.interface for piece in pieces])[order],
        pieces[0].interfaces,
        1,
        vlan,
        outgoing,
        missed,
    )
