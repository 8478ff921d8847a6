"""What crosses the socket between the collector and a screen: requests in, frames out, msgpack.

A `View` says what a screen shows (pane, sort, filter, visible rows, opened detail); the answer is
one `Frame` that holds just that. A `Command` changes something (mark a finding as known, seek in a
recording) and is answered by a `Done`. The same frames serve the live collector, a recorder and a
review.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from panotui.model import (
    CameraRecord,
    ClockRecord,
    CountsRecord,
    DeviceRecord,
    EndpointRecord,
    EventRecord,
    FindingRecord,
    FlowRecord,
    PortRecord,
    RecorderRecord,
    ResolverRecord,
    SiteRecord,
    StreamRecord,
    ViolationRecord,
)
from panotui.model.comparison import BothSides
from panotui.model.page import Fold

SCHEMA_FRAME = "panotui.frame/1"
FRAME_BYTES_MAX = 4 << 20


# What a screen may ask for is bounded by its type: the decoder refuses the rest.
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=100)]
Key: TypeAlias = Annotated[str, msgspec.Meta(max_length=1_000)]
Words: TypeAlias = Annotated[str, msgspec.Meta(max_length=2_000)]
Row: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
Time: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]  # fits the database's integers
Speed: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]  # and is no NaN


class StripsView(msgspec.Struct, frozen=True, kw_only=True):
    """Which time strips a screen shows."""

    columns: Annotated[int, msgspec.Meta(ge=1, le=400)]
    rows: Annotated[int, msgspec.Meta(ge=0, le=100)]
    cell_s: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]  # 0: as all that is known fits
    end_s: Time = 0  # seconds since the epoch; 0: up to the newest
    at_s: Time = 0  # the cursor's time; 0: there is none


class View(msgspec.Struct, frozen=True, kw_only=True, tag="view"):
    pane: Name = "overview"
    sort: Name | None = None  # a column's name of that pane; None: the pane's own order
    reverse: bool = False
    filter: Words = ""
    port: Name | None = None  # only this appliance port
    first: Row = 0  # first visible row
    rows: Row = 50  # at most 200
    follow: Key | None = (
        None  # key of the row under the cursor: `Frame.follow_row` tells where it is
    )
    fold: bool = False  # flows that say one thing as one row
    order: Name | None = None  # a token: rows stand as when it was first used
    hold: Name | None = None  # a token: what is shown is the moment when it was first used
    news: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0  # newest events beside an overview
    strips: StripsView | None = None
    detail: Key | None = (
        None  # "flow:ID", "stream:ID", "camera:NAME", "endpoint:SERVICE/HOST/PORT",
    )
    # "violation:ID", "finding:KEY", "event:NUMBER", "port:NAME", "device:MAC"


class Command(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    name: Name
    # "known" (mark as known), "unknown", "mark" (a note at this time), "accept" (violation into the
    # site file), "undo", "export" (detail or table), "evidence" (save the packets of the finding or
    # violation `key` as pcapng; `Done.text` says where, and which frame shows it), "seek"
    # (time_ns), "speed", "play", "pause", "next-event", "previous-event", "find-next" and
    # "find-previous" (of a whole recording the event that passes the filter `text`; `Done.key`)
    key: Key = ""
    text: Words = ""
    value: Speed = 0.0
    time_ns: Time = 0


Request: TypeAlias = View | Command


class ReviewState(msgspec.Struct, frozen=True, kw_only=True):
    start_ns: int
    end_ns: int
    position_ns: int
    playing: bool = False
    speed: float = 1.0
    gaps: tuple[tuple[int, int], ...] = ()  # recorder off
    marks: tuple[tuple[int, str, str], ...] = ()  # (time_ns, severity, text) for the event line
    event: int | None = None  # number of the event that "next-event" has led to: its row is
    # `Events`' with the key "event:NUMBER", to be put under the cursor


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """How one subject stood: a digit a cell, the value of `state.strips.Cell`."""

    key: str  # "port:NAME", "camera:NAME", "endpoint:...", "internet", "us"
    label: str
    cells: str


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # "bit-rate" in bits/s, all ports together; "lost" packets, all streams together
    values: tuple[int | None, ...]  # a cell each; None: nothing is known


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What was open and what happened in the cell under the cursor, worst first."""

    time_s: int
    told: tuple[tuple[str, str, str], ...]  # (severity, text, detail key)
    more: int = 0


class Strips(msgspec.Struct, frozen=True, kw_only=True):
    start_s: int
    end_s: int
    cell_s: int
    first_s: int  # nothing is known of before
    strips: tuple[Strip, ...] = ()
    well: int = 0  # subjects left out for want of rows that were never in trouble
    more: int = 0  # and others that were left out
    curves: tuple[Curve, ...] = ()
    moment: Moment | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True):
    mode: str = "live"  # "live", "demo", "attach", "review"
    site: SiteRecord
    time_ns: int
    ports: tuple[tuple[str, str | None, str], ...] = ()  # (name, role, state)
    lost: int = 0  # packets that this tool missed
    packets: int = 0  # and received, since it was started
    recorder: RecorderRecord | None = None
    counts: CountsRecord = CountsRecord()
    limits: dict[str, int] = {}
    notice: str | None = None  # one line that must be seen: a dead interface, a full disk
    fatal: str | None = None  # the collector has stopped, and why
    all_well_since_ns: int | None = None
    review: ReviewState | None = None


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A titled block of a detail view; each line is (label, text), the label may be empty."""

    title: str
    lines: tuple[tuple[str, str], ...]


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that explains what is looked at, in one sentence with its action."""

    key: str  # of its detail: "finding:KEY"
    severity: str
    confidence: str
    text: str
    action: str
    since_ns: int
    known: bool = False


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was seen on the wire."""

    time_ns: int
    text: str
    packet: int | None = None  # its number in the capture
    frame: int | None = None  # or in the evidence file


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    key: str  # as asked for in `View.detail`
    title: str
    since_ns: int | None = None  # that its state lasts, or that it was first seen
    explained: tuple[Explained, ...] = ()  # open findings about it, worst first
    evidence: tuple[Proof, ...] = ()  # newest first
    packets: str = ""  # whose packets can be saved for it: "finding:KEY", "violation:ID", or none
    display_filter: str = ""  # what Wireshark finds it by
    gone: bool = False  # the thing was evicted or does not exist at this time
    sections: tuple[Section, ...] = ()
    flow: FlowRecord | None = None
    stream: StreamRecord | None = None
    camera: CameraRecord | None = None
    endpoint: EndpointRecord | None = None
    violation: ViolationRecord | None = None
    finding: FindingRecord | None = None
    event: EventRecord | None = None
    port: PortRecord | None = None
    device: DeviceRecord | None = None
    passage: BothSides | None = None
    copy: str = ""  # what `y` copies
    links: tuple[tuple[str, str], ...] = ()  # (text, detail key) that can be opened from here


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag="frame"):
    schema: str = SCHEMA_FRAME
    number: int
    view: View
    header: Header
    total: int = 0  # rows in the pane before the filter
    matched: int = 0  # and after it
    first: int = 0  # row number of the first row sent (moved when the view asked past the end)
    follow_row: int | None = None
    filter_error: str | None = None
    cut: str = ""  # what is not among the rows although it is there: "newest 5,000 of 14,600; ..."
    ports: tuple[PortRecord, ...] = ()
    cameras: tuple[CameraRecord, ...] = ()
    streams: tuple[StreamRecord, ...] = ()
    endpoints: tuple[EndpointRecord, ...] = ()
    clock: ClockRecord | None = None
    resolvers: tuple[ResolverRecord, ...] = ()
    violations: tuple[ViolationRecord, ...] = ()
    findings: tuple[FindingRecord, ...] = ()
    flows: tuple[FlowRecord, ...] = ()
    folds: dict[str, Fold] = {}  # rows of `flows` that stand for several, by id
    devices: tuple[DeviceRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    passages: tuple[BothSides, ...] = ()  # of two captures that are compared
    detail: Detail | None = None
    strips: Strips | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    ok: bool
    text: str  # one line for the person
    path: str = ""  # the file that was written
    pending: bool = False  # on its way: the same command, given again in a moment, gives it
    key: str = ""  # what was led to, as in `View.detail`: its row belongs under the cursor


Answer: TypeAlias = Frame | Done
