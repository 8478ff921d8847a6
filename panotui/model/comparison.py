"""The result of a comparison of two captures, in the form of its JSON."""

from __future__ import annotations

import msgspec

COMPARISON_SCHEMA = "panotui.compare-captures/1"


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """One-way delay, in milliseconds of the first place's clock. Values relative to `min_ms` do not
    depend on the offset between the two clocks.
    """

    min_ms: float
    median_ms: float
    p99_ms: float
    max_ms: float
    ipdv_ms: float  # RFC 3393
    pdv_ms: float  # RFC 5481


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A field that has another value at the second place."""

    field: str  # "src", "sport", "dst", "dport", "vlan", "dscp", "ttl"
    before: str
    after: str


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One stream, or one direction of a flow, between the two places."""

    transport: str
    src: str
    sport: int
    dst: str
    dport: int
    first_seen_at: str  # "a" or "b"
    packets: int  # at the place that it passes first, while the other one was capturing
    matched: int
    lost: int
    loss: float  # share, 0 to 1
    appeared: int  # only at the second place
    at_edge: int  # unknown: too close to the start or end of a capture
    reordered: int
    duplicated: int  # copies that the first place does not have
    delay: Delay | None
    changes: tuple[Change, ...] = ()
    camera: str | None = None
    url: str | None = None
    ssrc: str | None = None
    codec: str | None = None
    media: str | None = None
    first_lost: tuple[int, ...] = ()  # numbers of the first lost packets in their file
    lost_bytes: int = 0  # of their transport payload
    # `packets` and `lost` per cell of `Comparison.strips`, for streams and the worst flows
    packets_by_cell: tuple[int, ...] = ()
    lost_by_cell: tuple[int, ...] = ()


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of a flow that only one place has captured."""

    transport: str
    src: str
    sport: int
    dst: str
    dport: int
    seen_at: str  # "a" or "b"
    packets: int
    first_packet: int
    blocked: bool  # it is sent towards the other place and never arrives there
    packets_by_cell: tuple[int, ...] = ()  # of the first packets, as in `Passage`


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two captures."""

    file: str
    name: str
    packets: int
    compared: int  # IP packets; pieces of segments that were split or joined on the way
    matched: int
    first_time_ns: int
    last_time_ns: int
    truncated: bool
    snapped: bool


class ClocksRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The offset of clock b against clock a."""

    offset_s: float
    uncertainty_s: float | None  # None: only one direction seen, the least delay counts as 0
    drift_ppm: float
    direction_assumed: bool


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """A grid of cells over time, by the clock of the first capture."""

    start_s: int  # seconds since the epoch
    cell_s: int
    count: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result; `sentence` is shown first."""

    schema: str
    sentence: str
    a: Side
    b: Side
    clock: ClocksRecord
    strips: Cells
    streams: tuple[Passage, ...]
    flows: tuple[Passage, ...]  # those that are not streams, worst first
    flows_total: int
    absent: tuple[Absent, ...]
    absent_total: int
    notes: tuple[str, ...] = ()


class BothSides(msgspec.Struct, frozen=True, kw_only=True):
    """A `Passage` or an `Absent` for display, with the data of both places side by side."""

    id: str
    name: str
    state: str  # "whole", "losing", "blocked", "only"
    transport: str
    src: str
    sport: int
    dst: str
    dport: int
    a: str  # names of the two places
    b: str
    first: str  # "a" or "b": the place that its packets pass first
    at_a: int  # packets while the other place was capturing
    at_b: int
    lost: int
    loss: float  # share
    lost_bytes: int = 0
    appeared: int = 0
    at_edge: int = 0
    reordered: int = 0
    duplicated: int = 0
    delay: Delay | None = None
    changes: tuple[Change, ...] = ()
    camera: str | None = None
    url: str | None = None
    ssrc: str | None = None
    codec: str | None = None
    media: str | None = None
    first_lost: tuple[int, ...] = ()
    file: str = ""  # the capture that contains `first_lost`
    packets_by_cell: tuple[int, ...] = ()
    lost_by_cell: tuple[int, ...] = ()
