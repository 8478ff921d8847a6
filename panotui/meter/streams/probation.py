"""Packets of sources that are not yet believed to send media (RFC 3550 A.1 calls it probation).

In: packets of an SSRC of a carrier. Out: all that were held of it, once enough follow each other.
What a codec would say of them is worked out when they come, since their bytes do not stay.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from panotui.meter.rtp.records import Arrivals, RtpRecords, join
from panotui.meter.streams.formats import first_bytes, payload_of, video_flags
from panotui.meter.streams.known_streams import Source
from panotui.meter.streams.media_heuristics import in_sequence
from panotui.model import U8
from panotui.wire import h264

SOURCES_MAX = 4_096
PACKETS_MAX = 64  # kept of a source when all of them were not enough
_NEVER = 1 << 62
SETS_MAX = 8  # payloads with parameter sets kept of one call
HeldSet: TypeAlias = tuple[int, bytes, bool]  # sequence number, payload, not cut by the capture


@dataclass(slots=True)
class Held:
    """What is held of a source, oldest call first."""

    payload_type: int  # of its first packet
    looked: int  # packets so far
    records: RtpRecords  # (n,) in the order of the calls, of no stream yet
    heads: list[U8]  # (m, 2) the first two bytes of payloads, 0xFF where they were not captured
    flags: list[U8]  # (m, 3) of `video_flags`
    sets: list[list[HeldSet]]

    def in_order(self) -> tuple[RtpRecords, U8, U8]:
        """Packets in order of arrival, with their heads (n, 2) and flags (n, 3)."""
        order = np.argsort(self.records.order, kind="stable")
        n = len(order)
        heads, flags = np.concatenate(self.heads)[-n:], np.concatenate(self.flags)[-n:]
        return self.records.take(order), heads[order], flags[order]

    def trim(self) -> None:
        """Keep the newest few."""
        n = len(self.records.stream)
        if n > PACKETS_MAX:
            self.records = self.records.take(np.arange(n - PACKETS_MAX, n))
        for parts in (self.heads, self.flags, self.sets):
            del parts[:-PACKETS_MAX]


class Probation:
    """Sources that are held, at most SOURCES_MAX of them."""

    def __init__(self) -> None:
        self._held: OrderedDict[Source, Held] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._held)

    def __contains__(self, source: Source) -> bool:
        return source in self._held

    def hold(self, source: Source, packets: Arrivals) -> None:
        """Add packets of a source; where there are too many sources, the oldest goes."""
        data, header = packets.data, packets.header
        n = len(packets.time_ns)
        flags = video_flags(data, header)
        heads = first_bytes(header)
        with_sets = np.flatnonzero((flags[:, 0] | flags[:, 1]) & (h264.SPS | h264.SPS_PART))
        sets = [
            (int(header.sequence[i]), *payload_of(data, header, i))
            for i in with_sets[:SETS_MAX].tolist()
        ]
        records = packets.records(np.zeros(n, np.uint16), np.zeros(n, np.uint8))
        held = self._held.get(source)
        if held is None:
            kind = int(header.payload_type[0])
            self._held[source] = Held(kind, n, records, [heads], [flags], [sets])
            if len(self._held) > SOURCES_MAX:
                self._held.popitem(last=False)
            return
        held.looked += n
        held.records = join([held.records, records])
        held.heads.append(heads)
        held.flags.append(flags)
        held.sets.append(sets)

    def release(self, source: Source, wanted: int) -> Held | None:
        """All that is held of a source, when `wanted` packets follow each other; else None."""
        held = self._held[source]
        records = held.records.take(np.argsort(held.records.order, kind="stable"))
        if in_sequence(records.sequence, records.timestamp, wanted):
            return self._held.pop(source)
        held.trim()
        return None

    def proven(self, source: Source, wanted: int) -> int:
        """The packet, by its order, with which `wanted` of a source followed each other; one of
        the far future where they never did."""
        held = self._held.get(source)
        if held is None:
            return _NEVER
        records = held.records.take(np.argsort(held.records.order, kind="stable"))
        count = in_sequence(records.sequence, records.timestamp, wanted)
        return int(records.order[count - 1]) if count else _NEVER

    def looked(self, source: Source) -> int:
        """How many packets of a source have come."""
        return self._held[source].looked

    def on(self, tcp: bool, carriers: Container[int]) -> list[Source]:
        """The sources that are held of these carriers."""
        return [name for name in self._held if name[0] == tcp and name[1] in carriers]

    def drop(self, tcp: bool, carriers: Container[int]) -> None:
        """Nothing is held of these carriers any more."""
        for source in self.on(tcp, carriers):
            del self._held[source]
