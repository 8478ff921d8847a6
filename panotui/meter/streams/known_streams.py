"""The known streams, and lookups by carrier, SSRC, flow or target.

A stream is an SSRC of a carrier, or several that continue one another; if several tracks share a
port and an SSRC, each is a separate stream. It has a slot in the tables of the measures (`index`),
which is reused after its end, and an id that is never reused.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np

from panotui.meter.rtsp.dialogue import Dialogue, Track
from panotui.meter.rtsp.places import Place
from panotui.meter.streams.rtcp_tracker import Clockwork
from panotui.model import STREAM_DTYPE, U8, Rows
from panotui.wire import h264

# whether TCP carries it, carrier, SSRC, and a number that separates several of these (0: none)
Source: TypeAlias = tuple[bool, int, int, int]
SSRCS_KEPT = 8  # per stream; packets under an older one would be a separate stream
_Key = TypeVar("_Key")


class Stream(msgspec.Struct, eq=False):
    """The data of a stream besides its measurements."""

    id: int
    index: int
    tcp: bool
    carrier: int
    ssrc: int
    place: Place
    payload_type: int
    track: Track | None = None
    dialogue: Dialogue | None = None
    codec: int = 0
    looks: int = 0  # of eight packets each, for its codec
    shown: int = 0  # the codec of its content, where that differs from what was declared
    heads: U8 = msgspec.field(default_factory=lambda: np.empty((0, 2), np.uint8))  # to be examined
    sps: bytes | None = None
    fragments: h264.Fragments = msgspec.field(default_factory=h264.Fragments)
    clockwork: Clockwork = msgspec.field(default_factory=Clockwork)
    ssrcs: list[int] = []  # oldest first, `ssrc` last
    pictures: int = 0  # of HTTP responses so far
    undeclared: bool = False  # its SETUP declares another payload type
    stray: Dialogue | None = None  # it existed before this one, which has its own stream

    def identity(self) -> Rows:
        """A STREAM_DTYPE row (1,) with only the stream's identity."""
        place = self.place
        row = np.zeros(1, STREAM_DTYPE)
        row["id"] = self.id
        row["flow"] = place.flow
        row["session"] = -1
        row["ssrc"] = self.ssrc
        row["payload_type"] = self.payload_type
        row["transport"] = 6 if self.tcp else 17
        row["channel"] = place.channel
        row["version"] = place.version
        row["src"] = np.frombuffer(place.src, np.uint8)
        row["dst"] = np.frombuffer(place.dst, np.uint8)
        row["sport"], row["dport"] = place.sport, place.dport
        row["interface"] = place.interface
        return row


class KnownStreams:
    """At most `capacity` streams; `by_index` has None in free slots."""

    def __init__(self, capacity: int) -> None:
        self.by_index: list[Stream | None] = [None] * capacity
        self._free = list(range(capacity - 1, -1, -1))
        self._live: dict[int, Stream] = {}  # by index
        self._by_source: dict[tuple[bool, int, int], list[Stream]] = {}
        self._by_carrier: dict[tuple[bool, int], list[Stream]] = {}
        self._by_ssrc: dict[int, list[Stream]] = {}
        self._by_flow: dict[int, list[Stream]] = {}
        self._by_target: dict[tuple[bytes, int], list[Stream]] = {}
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._live)

    @property
    def free(self) -> int:
        """The number of free slots."""
        return len(self._free)

    def open(self, source: Source, place: Place, payload_type: int) -> Stream:
        """A new stream in a free slot; there must be one."""
        tcp, carrier, ssrc, _ = source
        index = self._free.pop()
        stream = Stream(self._next_id, index, tcp, carrier, ssrc, place, payload_type, ssrcs=[ssrc])
        self._next_id += 1
        self.by_index[index] = self._live[index] = stream
        self._by_source.setdefault(source[:3], []).append(stream)
        self._by_carrier.setdefault(source[:2], []).append(stream)
        self._by_ssrc.setdefault(ssrc, []).append(stream)
        self._by_flow.setdefault(place.flow, []).append(stream)
        self._by_target.setdefault((place.dst, place.dport), []).append(stream)
        return stream

    def remove(self, stream: Stream) -> None:
        """The stream is over; its slot is free."""
        place = stream.place
        self.by_index[stream.index] = None
        del self._live[stream.index]
        self._free.append(stream.index)
        for ssrc in stream.ssrcs:
            self._leave(stream, ssrc)
        _remove(self._by_carrier, (stream.tcp, stream.carrier), stream)
        _remove(self._by_flow, place.flow, stream)
        _remove(self._by_target, (place.dst, place.dport), stream)

    def rename(self, stream: Stream, ssrc: int) -> None:
        """The stream continues under another SSRC."""
        stream.ssrc = ssrc
        stream.ssrcs.append(ssrc)
        self._by_source.setdefault((stream.tcp, stream.carrier, ssrc), []).append(stream)
        self._by_ssrc.setdefault(ssrc, []).append(stream)
        if len(stream.ssrcs) > SSRCS_KEPT:
            self._leave(stream, stream.ssrcs.pop(0))

    def _leave(self, stream: Stream, ssrc: int) -> None:
        _remove(self._by_ssrc, ssrc, stream)
        _remove(self._by_source, (stream.tcp, stream.carrier, ssrc), stream)

    def live(self) -> list[Stream]:
        """All of them, by slot."""
        return [self._live[index] for index in sorted(self._live)]

    def at(self, source: Source) -> list[Stream]:
        """The streams of an SSRC on a carrier, oldest first: one per track."""
        return self._by_source.get(source[:3], [])

    def on(self, tcp: bool, carrier: int) -> list[Stream]:
        """All streams of a carrier, oldest first."""
        return list(self._by_carrier.get((tcp, carrier), ()))

    def crowded(self, limit: int) -> list[Stream]:
        """The oldest streams of carriers that have had more than `limit`."""
        return [
            stream
            for known in self._by_carrier.values()
            if len(known) > limit
            for stream in known[:-limit]
        ]

    @property
    def flows(self) -> Collection[int]:
        """The flows that carry streams."""
        return self._by_flow.keys()

    def of_flow(self, flow: int) -> list[Stream]:
        """The streams of a flow, both directions."""
        return list(self._by_flow.get(flow, ()))

    def toward(self, address: bytes, port: int) -> list[Stream]:
        """The streams sent to this address (16 bytes) and port."""
        return list(self._by_target.get((address, port), ()))

    def of_dialogue(self, dialogue: Dialogue) -> list[Stream]:
        """The streams controlled by an RTSP dialogue."""
        return [stream for stream in self.live() if stream.dialogue is dialogue]

    def find(self, ssrc: int, place: Place) -> Stream | None:
        """The stream of an SSRC between these two hosts (several readers may share an SSRC)."""
        known = self._by_ssrc.get(ssrc)
        if not known:
            return None
        hosts = {place.src, place.dst}
        near = [s for s in known if {s.place.src, s.place.dst} == hosts]
        if len(near) > 1:
            ports = {place.sport, place.dport, place.sport - 1, place.dport - 1}
            near = [s for s in near if s.place.dport in ports] or near
        return near[-1] if near else (known[-1] if len(known) == 1 else None)


def _remove(table: dict[_Key, list[Stream]], key: _Key, stream: Stream) -> None:
    rest = [other for other in table.get(key, ()) if other is not stream]
    if rest:
        table[key] = rest
    else:
        table.pop(key, None)
