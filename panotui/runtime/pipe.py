"""The messages between a meter's process and the engine's: deltas and progress.

`News` is one meter's delta at one tick, with the state of its sources. It is sent as msgpack with
the raw bytes of the columns, in frames with a 4-byte length; `frames` finds them in pipe reads of
any size. `Totals` sums the newest states of all meters for the engine. File meters (`side_by_side`)
and live meters (`live_meters`) use the same messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import IO, Any, Protocol

import msgspec
import numpy as np
from msgspec import Struct, field

from panotui.errors import PanotuiError
from panotui.model import (
    LINK_SECOND_DTYPE,
    SECOND,
    STREAM_DTYPE,
    STREAM_SECOND_DTYPE,
    AnyMessage,
    Delta,
    Interface,
    MeterCounters,
    MeterSettings,
    PacketBatch,
    Rows,
    SourceCounters,
    SourceRecord,
)
from panotui.model.flow_rows import FlowRows

MANY_FLOWS = 1_024  # live: a report this large returns its memory to the system afterwards
HEADER_BYTES = 96  # of a bulk packet that is not kept whole
FRAME_MOST = 1 << 30  # bytes; a larger frame means a broken pipe


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """From a meter process: why it gives up."""

    what: str
    why: str
    remedy: str
    exit_code: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """From a meter process: there is no more news."""


class MeterFailure(PanotuiError):
    """The last message of a meter process that gave up, with its exit code."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.what, failed.why, failed.remedy)
        self.exit_code = failed.exit_code


class SourceState(msgspec.Struct, kw_only=True):
    """Packets delivered so far by one meter's captures or rings."""

    counters: SourceCounters
    packets: dict[str, int] = {}  # by interface
    bytes: dict[str, int] = {}
    first_ns: int | None = None
    last_ns: int | None = None
    gone: tuple[str, ...] = ()  # interfaces that are missing now
    drops: dict[str, tuple[int, int]] = {}  # live: (ring, interface) per interface

    def add(self, batch: PacketBatch) -> None:
        """Count one batch."""
        count = len(batch.interfaces)
        number = np.bincount(batch.interface, minlength=count)
        size = np.bincount(batch.interface, weights=batch.wire_length, minlength=count)
        for index in np.flatnonzero(number).tolist():
            name = batch.interfaces[index].name
            self.packets[name] = self.packets.get(name, 0) + int(number[index])
            self.bytes[name] = self.bytes.get(name, 0) + int(size[index])
        low, high = int(batch.time_ns.min()), int(batch.time_ns.max())
        self.first_ns = low if self.first_ns is None else min(self.first_ns, low)
        self.last_ns = high if self.last_ns is None else max(self.last_ns, high)


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="news"):
    """A `News` in the form for the pipe: columns as raw bytes."""

    tick: int
    meter: int
    time_ns: int
    flows: memoryview  # of megabytes: the decoded columns are views of the frame
    streams: bytes
    stream_seconds: bytes
    link_seconds: bytes
    messages: list[AnyMessage]
    counters: MeterCounters
    source: SourceState
    blind: tuple[int, int] | None = None
    part: bool = False


class News(Struct):
    """The report of one meter at one tick (files: an index into the shared ticks; live: 1 in the
    last news, 0 before).
    """

    tick: int
    meter: int
    delta: Delta
    source: SourceState
    part: bool = False  # only flows, within a second that is not over

    def order(self) -> tuple[int, int]:
        """By tick, then by meter: the order in which the engine takes news."""
        return self.tick, self.meter


# ------------------------------------------------------------------ live: orders and answers


class PacketRows(msgspec.Struct, frozen=True, kw_only=True):
    """Packets, or their beginnings, kept as evidence: columns as raw bytes, by row."""

    data: bytes = b""  # the kept bytes, one packet after the other
    length: bytes = b""  # int64, of each in `data`
    wire_length: bytes = b""  # int64
    time_ns: bytes = b""  # int64
    interface: bytes = b""  # int16, into `names`
    vlan_tci: bytes = b""  # int32, -1 none
    number: bytes = b""  # int64, packet numbers of the meter
    why: bytes = b""  # uint8, see `Why`: what a packet of the context is
    names: tuple[tuple[str, int], ...] = ()  # interfaces: (name, link type)


class Why(IntEnum):
    """The role of a packet in an answer."""

    AROUND = 0  # it passed in the seconds around the incident
    OPENING = 1  # one of the first packets of a flow between the hosts
    NAMING = 2  # it names one of the hosts


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """Which packets are kept for evidence; control packets always are."""

    before_ns: int = 10 * SECOND  # around a violation or finding
    after_ns: int = 5 * SECOND
    bulk_bytes: int = HEADER_BYTES  # of a bulk packet; 0: no bulk packets are kept
    of_hosts: dict[str, int] = {}  # IPv4 address: the same for packets from and to it
    ring_bytes: int | None = None  # kept of the last seconds; None: as a recorder does
    segments: bool = True  # control packets are sent each second, for the files with all of them

    @property
    def media(self) -> bool:
        """Whether whole bulk packets are kept for anyone."""
        return max(self.bulk_bytes, *self.of_hosts.values(), 0) > HEADER_BYTES


class LiveOrder(msgspec.Struct, frozen=True, kw_only=True, tag="live"):
    """To a live meter's process: open rings on these interfaces."""

    meter: int
    names: tuple[str, ...]
    ring_bytes: int  # of each
    snap_bulk: int
    promiscuous: bool
    keeping: Keeping | None  # which packets to keep for `Ask`; None: none
    settings: MeterSettings
    began_ns: int | None = None  # packet time minus steady time, the same in all meters
    parts: bool = False  # report flows within a second too, because they are recorded


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """From it: the rings are open, every privilege is dropped."""

    interfaces: tuple[Interface, ...]


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag="begin"):
    """To it: read packets. `places` maps its interfaces to those of all meters."""

    interfaces: tuple[Interface, ...]
    places: tuple[int, ...]


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """To it: send kept packets, for evidence.

    Those of the last seconds between `hosts` (or of one host; without hosts all), with the openings
    of their flows; or, with `openings_until_ns`, the openings of all recent flows before that.
    """

    number: int
    hosts: tuple[str, ...] = ()
    openings_until_ns: int = 0


class Finish(msgspec.Struct, frozen=True, kw_only=True, tag="finish"):
    """To it: send all remaining news and stop reading; keep answering until the pipe ends."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """From it: the packets requested by `Ask`."""

    number: int
    context: PacketRows
    packets: PacketRows


class Control(msgspec.Struct, frozen=True, kw_only=True, tag="control"):
    """From it: the control packets since the last time."""

    packets: PacketRows
    skipped: int = 0  # dropped for lack of room, since the beginning


class Keepers(Protocol):
    """The owner of the kept packets, in this process or in others."""

    def control(self) -> list[PacketRows]:
        """Control packets since the last call."""

    def ask(self, question: Ask) -> None:
        """Request kept packets; `answers` returns the answer."""

    def answers(self, timeout_s: float = 0.0) -> list[Answer]:
        """Answers since the last call, of all meters together; waits at most the given time for
        one.
        """


# ------------------------------------------------------------------ coding


encoder = msgspec.msgpack.Encoder(enc_hook=lambda value: _plain(value))


def _plain(value: object) -> object:
    """Numpy scalars as Python values."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not cross a pipe")


def encode_news(news: News) -> bytes:
    """One frame's content; `news_of` is the inverse after decoding."""
    delta = news.delta
    return encoder.encode(
        Told(
            tick=news.tick,
            meter=news.meter,
            time_ns=delta.time_ns,
            flows=memoryview(delta.flows.tobytes()),
            streams=delta.streams.tobytes(),
            stream_seconds=delta.stream_seconds.tobytes(),
            link_seconds=delta.link_seconds.tobytes(),
            messages=delta.messages,
            counters=delta.counters,
            source=news.source,
            blind=delta.blind,
            part=news.part,
        )
    )


def news_of(told: Told, interfaces: Sequence[Interface]) -> News:
    """The message of a meter's process; `interfaces` are those of all meters. ValueError for
    invalid rows.
    """
    delta = Delta(
        time_ns=told.time_ns,
        meter=told.meter,
        flows=FlowRows.of_bytes(told.flows),
        streams=_rows(told.streams, STREAM_DTYPE),
        stream_seconds=_rows(told.stream_seconds, STREAM_SECOND_DTYPE),
        link_seconds=_rows(told.link_seconds, LINK_SECOND_DTYPE),
        messages=told.messages,
        counters=told.counters,
        interfaces=tuple(interfaces),
        shared_interfaces=True,
        blind=told.blind,
    )
    return News(told.tick, told.meter, delta, told.source, told.part)


def _rows(raw: bytes, dtype: np.dtype[Any]) -> Rows:
    return np.frombuffer(bytearray(raw), dtype)


def write_frame(stream: IO[bytes], content: bytes) -> None:
    """Write one frame, waiting for room in the pipe."""
    stream.write(len(content).to_bytes(4, "little"))
    stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """One frame; None at the end of the pipe, also in the middle of a frame."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head, "little")
    if size > FRAME_MOST:
        return None
    content = stream.read(size)
    return content if len(content) == size else None


def frames(buffer: bytearray) -> tuple[list[memoryview], bytearray]:
    """The complete frames read so far, as views, and the buffer for the next read. ValueError for
    invalid data.
    """
    view = memoryview(buffer)
    found: list[memoryview] = []
    start = 0
    while len(view) - start >= 4:
        size = int.from_bytes(view[start : start + 4], "little")
        if size > FRAME_MOST:
            raise ValueError(f"a frame of {size} bytes")
        if len(view) - start - 4 < size:
            break
        found.append(view[start + 4 : start + 4 + size])
        start += 4 + size
    return found, (bytearray(view[start:]) if found else buffer)


def summed(each: Sequence[SourceCounters]) -> SourceCounters:
    """The sum of the counters of several sources."""
    formats = dict.fromkeys(name for c in each for name in c.format.split(", ") if name)
    return SourceCounters(
        packets=sum(c.packets for c in each),
        bytes=sum(c.bytes for c in each),
        dropped_ring=sum(c.dropped_ring for c in each),
        dropped_interface=sum(c.dropped_interface for c in each),
        dropped_told=sum(c.dropped_told for c in each),
        truncated=any(c.truncated for c in each),
        malformed=sum(c.malformed for c in each),
        format=", ".join(formats),
        total_bytes=sum(c.total_bytes or 0 for c in each),
        read_bytes=sum(c.read_bytes for c in each),
        clock_stepped_ns=max((c.clock_stepped_ns for c in each), key=abs, default=0),
        slept_ns=max((c.slept_ns for c in each), default=0),
    )


class Totals(Struct):
    """The newest source state of each meter, summed for the engine."""

    files: tuple[str, ...]
    interfaces: tuple[Interface, ...]
    empty: list[SourceCounters]
    dropped: tuple[int, int] | None = None  # (ring, interface) of all, if known in advance
    states: dict[int, SourceState] = field(default_factory=dict)
    meters: dict[int, MeterCounters] = field(default_factory=dict)

    def take(self, news: News) -> None:
        """Store the state that comes with news."""
        self.states[news.meter] = news.source
        self.meters[news.meter] = news.delta.counters

    def counters(self) -> list[SourceCounters]:
        """Counters of each meter that has reported, of captures without packets, and the missed
        packets of all others: surveys of captures know them before the first packet is judged.
        """
        told = [*(self.states[meter].counters for meter in sorted(self.states)), *self.empty]
        if self.dropped is None:
            return told
        ring, interface = self.dropped
        rest = SourceCounters(
            dropped_ring=ring - sum(c.dropped_ring for c in told),
            dropped_interface=interface - sum(c.dropped_interface for c in told),
        )
        return [*told, rest]

    def record(self) -> SourceRecord:
        """All captures together."""
        each = [self.states[meter] for meter in sorted(self.states)]
        total = summed(self.counters())
        by_interface = tuple(
            (
                name,
                sum(s.packets.get(name, 0) for s in each),
                sum(s.bytes.get(name, 0) for s in each),
            )
            for name in dict.fromkeys(interface.name for interface in self.interfaces)
        )
        return SourceRecord(
            files=self.files,
            format=total.format,
            packets=sum(entry[1] for entry in by_interface),
            bytes=sum(entry[2] for entry in by_interface),
            first_time_ns=min((s.first_ns for s in each if s.first_ns is not None), default=None),
            last_time_ns=max((s.last_ns for s in each if s.last_ns is not None), default=None),
            truncated=total.truncated,
            malformed=total.malformed + sum(m.malformed for m in self.meters.values()),
            interfaces=by_interface,
            lost=max(total.dropped_ring + total.dropped_interface, total.dropped_told),
            clock_stepped_ns=total.clock_stepped_ns,
            slept_ns=total.slept_ns,
        )

    def quiet(self, time_ns: int) -> Delta:
        """A tick without news from any meter: time still passes for the engine."""
        meter = min(self.meters, default=0)
        return Delta(
            time_ns=time_ns,
            meter=meter,
            flows=FlowRows(0),
            streams=np.zeros(0, STREAM_DTYPE),
            stream_seconds=np.zeros(0, STREAM_SECOND_DTYPE),
            link_seconds=np.zeros(0, LINK_SECOND_DTYPE),
            messages=[],
            counters=self.meters.get(meter) or MeterCounters(),
            interfaces=self.interfaces,
            shared_interfaces=True,
        )
