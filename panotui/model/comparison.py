"""What a comparison of two captures of the same traffic says, as its JSON has it."""

from __future__ import annotations

import msgspec

COMPARISON_SCHEMA = "panotui.compare-captures/1"


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """One way, in milliseconds of the first place's clock. Beyond `min_ms` nothing hangs on how
    the clocks stand to each other."""

    min_ms: float
    median_ms: float
    p99_ms: float
    max_ms: float
    ipdv_ms: float  # RFC 3393
    pdv_ms: float  # RFC 5481


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A field that is another behind what is between."""

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
    at_edge: int  # unknown: too near to an end of a capture
    reordered: int
    duplicated: int  # copies that the first place does not have
    delay: Delay | None
    changes: tuple[Change, ...] = ()
    camera: str | None = None
    url: str | None = None
    ssrc: str | None = None
    codec: str | None = None
    media: str | None = None
    first_lost: tuple[int, ...] = ()  # numbers of the first lost packets in the file that has them
    lost_bytes: int = 0  # of their transport payload
    # `packets` and `lost` by cell of `Comparison.strips`, of streams and of the worst flows
    packets_by_cell: tuple[int, ...] = ()
    lost_by_cell: tuple[int, ...] = ()


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of a flow of which only one place has packets."""

    transport: str
    src: str
    sport: int
    dst: str
    dport: int
    seen_at: str  # "a" or "b"
    packets: int
    first_packet: int
    blocked: bool  # it heads for the other place and never comes there
    packets_by_cell: tuple[int, ...] = ()  # of the first ones, as of `Passage`


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the captures."""

    file: str
    name: str
    packets: int
    compared: int  # IP packets; of segments that were cut or joined on the way, their pieces
    matched: int
    first_time_ns: int
    last_time_ns: int
    truncated: bool
    snapped: bool


class ClocksRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How the clock of b stands to that of a."""

    offset_s: float
    uncertainty_s: float | None  # None: only one direction is there, and the least delay is 0
    drift_ppm: float
    direction_assumed: bool


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """A grid of time, by the first capture's clock."""

    start_s: int  # seconds since the epoch
    cell_s: int
    count: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `sentence` is what a person is told first."""

    schema: str
    sentence: str
    a: Side
    b: Side
    clock: ClocksRecord
    strips: Cells
    streams: tuple[Passage, ...]
    flows: tuple[Passage, ...]  # those that are no streams, the worst first
    flows_total: int
    absent: tuple[Absent, ...]
    absent_total: int
    notes: tuple[str, ...] = ()


class BothSides(msgspec.Struct, frozen=True, kw_only=True):
    """A `Passage` or an `Absent` as a person looks at it: what both places have, side by side."""

    id: str
    name: str
    state: str  # "whole", "losing", "blocked", "only"
    transport: str
    src: str
    sport: int
    dst: str
    dport: int
    a: str  # what the places are called
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
    file: str = ""  # that `first_lost` are in
    packets_by_cell: tuple[int, ...] = ()
    lost_by_cell: tuple[int, ...] = ()
