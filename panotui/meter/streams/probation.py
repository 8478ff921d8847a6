"""Packets of sources that are not yet confirmed as media (RFC 3550 A.1 calls it probation).

In: packets of an SSRC of a carrier. Out: all its held packets, once enough are consecutive. Their
payload flags for each codec are computed on arrival, since their bytes are not kept. Packets that
arrive together are read together: a flood of sources costs a short step each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from msgspec import Struct

from panotui.meter.rtp.records import Arrivals, RtpRecords
from panotui.meter.streams.formats import first_bytes, payload_of, video_flags
from panotui.meter.streams.known_streams import Source
from panotui.meter.streams.media_heuristics import ADOPT_PACKETS, guess_codec, in_sequence
from panotui.model import I64, Rows
from panotui.wire import h264

SOURCES_MAX = 4_096
CARRIER_SOURCES_MAX = 64
PACKETS_MAX = 64  # kept of a source if all of them were not enough
_NEVER = 1 << 62
SETS_MAX = 8  # payloads with parameter sets kept per call
HeldSet: TypeAlias = tuple[int, bytes, bool]  # sequence number, payload, not cut by the capture
_HELD = np.dtype(
    [
        ("sequence", "u2"),
        ("timestamp", "u4"),
        ("time_ns", "i8"),
        ("size", "i8"),
        ("media", "i4"),
        ("marker", "u1"),
        ("order", "i8"),
        ("epoch", "i4"),
        ("heads", "u1", (2,)),  # of the payload, 0xFF if not captured
        ("flags", "u1", (3,)),  # of `video_flags`
    ]
)


class Arrived:
    """Packets that arrived together, with their held data."""

    def __init__(self, packets: Arrivals) -> None:
        self._packets = packets
        header = packets.header
        rows = self.rows = np.zeros(len(packets.time_ns), _HELD)
        rows["sequence"], rows["timestamp"] = header.sequence, header.timestamp
        rows["time_ns"], rows["size"] = packets.time_ns, packets.size
        rows["media"], rows["marker"] = header.payload_length, header.marker
        rows["order"], rows["epoch"] = packets.order, packets.epoch
        rows["heads"] = first_bytes(header)
        flags = rows["flags"] = video_flags(packets.data, header)
        set_bits = h264.SPS | h264.SPS_PART
        self._has_set = ((flags[:, 0] | flags[:, 1]) & set_bits).astype(np.bool_)
        self._any_set = bool(self._has_set.any())

    def sets(self, chosen: I64) -> list[HeldSet]:
        """Payloads of these packets with parameter sets, the first few."""
        if not self._any_set:
            return []
        header, data = self._packets.header, self._packets.data
        return [
            (int(header.sequence[i]), *payload_of(data, header, i))
            for i in chosen[self._has_set[chosen]][:SETS_MAX].tolist()
        ]


class Held(Struct):
    """The held packets of a source, oldest call first."""

    payload_type: int  # of its first packet
    looked: int  # packets so far
    count: int  # that are kept of them
    parts: list[Rows]
    sets: list[list[HeldSet]]

    def in_order(self) -> Rows:
        """All packets, as `_HELD` rows in order of arrival."""
        rows = np.concatenate(self.parts) if len(self.parts) > 1 else self.parts[0]
        order = rows["order"]
        if (order[1:] >= order[:-1]).all():  # nearly always
            return rows
        return rows[np.argsort(order, kind="stable")]

    def trim(self) -> None:
        """Keep the newest few."""
        if self.count > PACKETS_MAX:
            self.parts = [np.concatenate(self.parts)[-PACKETS_MAX:]]
            self.count = PACKETS_MAX
        del self.sets[:-PACKETS_MAX]


def records_of(held: Rows) -> RtpRecords:
    """`_HELD` rows as packets without a stream, without the flags of any codec."""
    return RtpRecords(
        np.zeros(len(held), np.uint16),
        held["sequence"].copy(),
        held["timestamp"].copy(),
        held["time_ns"].copy(),
        held["size"].copy(),
        held["media"].copy(),
        held["marker"] << np.uint8(7),
        held["order"].copy(),
        held["epoch"].copy(),
    )


class Probation:
    """Sources on probation, at most SOURCES_MAX of them, and CARRIER_SOURCES_MAX per carrier."""

    def __init__(self) -> None:
        self._held: OrderedDict[Source, Held] = OrderedDict()
        self._of_carrier: dict[tuple[bool, int], dict[Source, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def __contains__(self, source: Source) -> bool:
        return source in self._held

    def hold(self, source: Source, payload_type: int, arrived: Arrived, chosen: I64) -> None:
        """Add packets of a source; if there are too many sources, the oldest is dropped."""
        rows = arrived.rows[chosen]
        sets = arrived.sets(chosen)
        held = self._held.get(source)
        if held is not None:
            held.looked += len(rows)
            held.count += len(rows)
            held.parts.append(rows)
            held.sets.append(sets)
            return
        self._held[source] = Held(payload_type, len(rows), len(rows), [rows], [sets])
        beside = self._of_carrier.setdefault(source[:2], {})
        beside[source] = None
        if len(beside) > CARRIER_SOURCES_MAX:
            self._forget(next(iter(beside)))
        if len(self._held) > SOURCES_MAX:
            self._forget(next(iter(self._held)))

    def release(self, source: Source, wanted: int, by_content: bool) -> Held | None:
        """All held packets of a source, if `wanted` of them are consecutive, and, where only its
        content can tell, the first are of pictures; otherwise None.
        """
        held = self._held[source]
        if held.count >= wanted:
            rows = held.in_order()
            heads = rows["heads"][:ADOPT_PACKETS]
            sure = not by_content or guess_codec(heads[:, 0], heads[:, 1]) is not None
            if sure and in_sequence(rows["sequence"], rows["timestamp"], wanted):
                self._forget(source)
                return held
        held.trim()
        return None

    def proven(self, source: Source, wanted: int) -> int:
        """The packet, by its order, with which `wanted` of a source were consecutive; one in the
        far future if they never were.
        """
        held = self._held.get(source)
        if held is None or held.count < wanted:
            return _NEVER
        rows = held.in_order()
        count = in_sequence(rows["sequence"], rows["timestamp"], wanted)
        return int(rows["order"][count - 1]) if count else _NEVER

    def look(self, source: Source) -> Held:
        """The held packets of a source, which stay."""
        return self._held[source]

    def payload_type(self, source: Source) -> int:
        """The payload type of a source's first packet."""
        return self._held[source].payload_type

    def kept(self, source: Source) -> int:
        """The number of held packets of a source."""
        held = self._held.get(source)
        return held.count if held is not None else 0

    def looked(self, source: Source) -> int:
        """The number of packets received from a source."""
        return self._held[source].looked

    def on(self, tcp: bool, carriers: Iterable[int]) -> list[Source]:
        """The held sources of these carriers."""
        return [
            source for carrier in carriers for source in self._of_carrier.get((tcp, carrier), ())
        ]

    def count(self, tcp: bool, carrier: int) -> int:
        """The number of held sources of a carrier."""
        return len(self._of_carrier.get((tcp, carrier), ()))

    def take(self, source: Source) -> Held:
        """The held packets of a source, which are removed."""
        held = self._held[source]
        self._forget(source)
        return held

    def drop(self, tcp: bool, carriers: Iterable[int]) -> None:
        """Drop everything held for these carriers."""
        for source in self.on(tcp, carriers):
            self._forget(source)

    def _forget(self, source: Source) -> None:
        del self._held[source]
        beside = self._of_carrier[source[:2]]
        del beside[source]
        if not beside:
            del self._of_carrier[source[:2]]
