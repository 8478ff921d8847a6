"""The classic capture file format (libpcap, draft-ietf-opsawg-pcap): bytes in, batches out.

Micro- and nanosecond stamps, both byte orders, and Kuznetzov's variant with longer headers. A
record with an impossible size is counted, and reading continues at the next plausible record. A
snap length that is zero, huge or smaller than its records is tolerated, as in libpcap.
"""

from __future__ import annotations

import struct

import numpy as np
from msgspec import Struct

from panotui.errors import InputError
from panotui.model import I64, U8, U32, Bool, Interface, PacketBatch, SourceCounters
from panotui.sources.files.walk import Geometry, walk

FILE_HEADER = 24
LARGEST_CAPTURED = 262_144  # libpcap's MAXIMUM_SNAPLEN for all links that carry IP
RESYNC_WINDOW = 65_536
TRIES = 8  # false matches allowed in one window of a search
FEW_WINDOWS = 16  # windows that are searched one by one

# magic as bytes -> (byte order, nanoseconds per unit, record header bytes)
MAGICS: dict[bytes, tuple[str, int, int]] = {
    struct.pack(order + "I", number): (order, unit, head)
    for order in "<>"
    for number, unit, head in (
        (0xA1B2C3D4, 1_000, 16),
        (0xA1B23C4D, 1, 16),
        (0xA1B2CD34, 1_000, 24),
    )
}


class Taken(Struct):
    """The result of parsing a window of bytes."""

    batch: PacketBatch | None
    next: int  # bytes before this position are consumed
    need: int = 0  # bytes needed from `next` on before the next call is useful
    ended: bool = False


class PcapFormat:
    """Reads one file; `take` gets windows of its bytes in order."""

    name = "pcap"

    def __init__(self, header: bytes, counters: SourceCounters, what: str, label: str) -> None:
        """`header` is the first 24 bytes; `what` names the input in errors, `label` the interface.

        InputError if it is not a pcap header.
        """
        if len(header) < FILE_HEADER or header[:4] not in MAGICS:
            raise InputError(what, "not a capture file (pcap, pcapng, plain, .gz or .zst)")
        self.order, self.unit_ns, head = MAGICS[header[:4]]
        snaplen, network = struct.unpack(self.order + "II", header[16:24])
        # above bit 16: the number of FCS bytes at the end of frames; not the link type
        self.interfaces: list[Interface] = [
            Interface(label, network & 0xFFFF, snaplen if 0 < snaplen < 1 << 24 else 262_144)
        ]
        self.counters = counters
        self.geometry = Geometry(
            head=head,
            least_head=head,
            length_at=8,
            overhead=head,
            order=self.order,
            least=head,
            largest=head + max(LARGEST_CAPTURED, self.interfaces[0].snaplen),
        )
        self._largest_seen = 0
        self._lost_sync = False
        self._recent = 0  # seconds of the last record, for judging the next records

    def take(self, data: U8, start: int, stop: int, final: bool, most: int) -> Taken:
        """The whole records of `data[start:stop]`; `final`: no more bytes will come."""
        if self._lost_sync:
            found, start = self._resync(data, start, stop, final)
            if not found:
                self.counters.truncated |= final
                return Taken(None, start, stop - start + 1, ended=final)
        if not self._recent and stop - start >= 4:
            (self._recent,) = struct.unpack_from(self.order + "I", data.data, start)
        walked = walk(data, start, stop, self.geometry, self._guess(), most, self._largest_seen)
        batch = None
        if len(walked.offsets):
            batch = self._batch(data, walked.offsets, walked.heads.view(self.order + "u4"))
        if walked.broken:
            self.counters.malformed += 1
            self._lost_sync = True
            return Taken(batch, walked.next + 1, 0)
        if batch is None:
            left = stop - walked.next
            need = self.geometry.head
            if left >= need:
                need = self.geometry.step(data, walked.next)
            if final and left > 0:
                self.counters.truncated = True
            return Taken(None, walked.next, need, ended=final)
        return Taken(batch, walked.next, 0)

    def _batch(self, data: U8, offsets: I64, words: U32) -> PacketBatch:
        n = len(offsets)
        words = words.reshape(n, self.geometry.head // 4)
        time_ns = words[:, 0].astype(np.int64)
        time_ns *= 1_000_000_000 // self.unit_ns
        time_ns += words[:, 1]
        if self.unit_ns != 1:
            time_ns *= self.unit_ns
        captured = words[:, 2].astype(np.int64)
        wire_length = words[:, 3].astype(np.int64)
        # some writers leave the wire length zero, or smaller than what they captured
        np.maximum(wire_length, captured, out=wire_length)
        self._largest_seen = max(self._largest_seen, int(captured.max()) + self.geometry.overhead)
        self._recent = int(words[-1, 0])
        first = self.counters.packets + 1
        self.counters.packets += n
        self.counters.bytes += int(wire_length.sum())
        return PacketBatch(
            data,
            offsets + self.geometry.overhead,
            captured,
            wire_length,
            time_ns,
            np.zeros(n, np.int16),
            self.interfaces,
            first,
        )

    def _guess(self) -> _PcapGuess:
        return _PcapGuess(self.geometry, self.unit_ns, self._recent)

    def _resync(self, data: U8, start: int, stop: int, final: bool) -> tuple[bool, int]:
        """(found, position): the next plausible record, otherwise where to continue the search."""
        guess = self._guess()
        position = start
        while position < stop:
            window = np.array([position], np.int64)
            (candidate,) = guess.same_day(data, window, window + RESYNC_WINDOW, stop).tolist()
            if candidate < 0:
                position += RESYNC_WINDOW
            elif guess.chained(data, np.array([candidate], np.int64), stop)[0]:
                self._lost_sync = False
                return True, int(candidate)
            else:
                position = candidate + 1
        # bytes that may be the head of an incomplete record are kept
        return False, stop if final else max(start, stop - self.geometry.head)


class _PcapGuess(Struct, frozen=True):
    """Finds plausible records: a time near the neighbours', consistent sizes, and a plausible
    successor.
    """

    geometry: Geometry
    unit_ns: int
    recent: int

    def __call__(self, data: U8, positions: I64, window: int, stop: int) -> I64:
        found = np.full(len(positions), -1, np.int64)
        # search position of each window; a window is given up after a few false matches
        current = positions.copy()
        rows = np.arange(len(positions))
        for _ in range(TRIES):
            candidates = self.same_day(data, current[rows], positions[rows] + window, stop)
            rows, candidates = rows[candidates >= 0], candidates[candidates >= 0]
            if not len(rows):
                break
            plausible = self.chained(data, candidates, stop)
            found[rows[plausible]] = candidates[plausible]
            rows, candidates = rows[~plausible], candidates[~plausible]
            current[rows] = candidates + 1
        return found

    def same_day(self, data: U8, starts: I64, ends: I64, stop: int) -> I64:
        """The first position from each start whose word could be a time within 18 hours, or -1."""
        order = self.geometry.order
        at = 2 if order == "<" else 0
        high = struct.pack(order + "I", self.recent)[at : at + 2]
        # the last whole header starts before this place
        ends = np.minimum(ends, max(0, stop - self.geometry.head + 1))
        width = int((ends - starts).max(initial=0)) + 1
        if len(starts) < FEW_WINDOWS or int(starts.max()) + at + width > len(data):
            found = [
                bytes(data.data[start + at : max(0, end + at + 1)]).find(high)
                for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            ]
            distance = np.array(found, np.int64)
        else:
            # all windows as the rows of one table
            view = np.ndarray((len(data) - width + 1,), f"V{width}", buffer=data, strides=(1,))
            rows = view[starts + at].view(np.uint8).reshape(-1, width)
            hit = (rows[:, :-1] == high[0]) & (rows[:, 1:] == high[1])
            distance = hit.argmax(axis=1)
            distance[~hit[np.arange(len(starts)), distance]] = -1
            distance[distance >= ends - starts] = -1
        return np.where(distance < 0, -1, starts + distance)

    def chained(self, data: U8, candidates: I64, stop: int) -> Bool:
        """Plausible, and the two records behind them too, where they are inside the data."""
        plausible, following = self._plausible(data, candidates, stop)
        for _ in range(2):
            alive = np.flatnonzero(plausible)
            inside = alive[following[alive] + self.geometry.head <= stop]
            good, after = self._plausible(data, following[inside], stop)
            plausible[inside] = good
            following[inside] = after
        return plausible

    def _plausible(self, data: U8, at: I64, stop: int) -> tuple[Bool, I64]:
        head = self.geometry.head
        view = np.ndarray((len(data) - head + 1,), f"V{head}", buffer=data, strides=(1,))
        words = view[at].view(self.geometry.order + "u4").reshape(-1, head // 4)
        captured = words[:, 2].astype(np.int64)
        good = captured <= words[:, 3]
        good &= words[:, 3] <= 1 << 20
        good &= captured <= self.geometry.largest - head
        good &= words[:, 1] < 1_000_000_000 // self.unit_ns
        seconds = words[:, 0].astype(np.int64)
        good &= np.abs(seconds - self.recent) < 1 << 17
        return good, at + head + captured
