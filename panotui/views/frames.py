"""Messages on the socket between the collector and a screen: requests in, frames out, msgpack.

A `View` says what a screen shows (pane, sort, filter, visible rows, opened detail); the answer is
one `Frame` with exactly that. A `Command` changes something (mark a finding as known, seek in a
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


# The types bound what a screen may request: the decoder rejects the rest.
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=100)]
Key: TypeAlias = Annotated[str, msgspec.Meta(max_length=1_000)]
Words: TypeAlias = Annotated[str, msgspec.Meta(max_length=2_000)]
Row: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
Time: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]  # fits the database's integers
Speed: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]  # and is not NaN


class StripsView(msgspec.Struct, frozen=True, kw_only=True):
    """The time strips that a screen shows."""

    columns: Annotated[int, msgspec.Meta(ge=1, le=400)]
    rows: Annotated[int, msgspec.Meta(ge=0, le=100)]
    cell_s: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]  # 0: such that all data fits
    end_s: Time = 0  # seconds since the epoch; 0: up to the newest
    at_s: Time = 0  # time of the cursor; 0: no cursor


class View(msgspec.Struct, frozen=True, kw_only=True, tag="view"):
    pane: Name = "overview"
    sort: Name | None = None  # a column's name of that pane; None: the pane's own order
    reverse: bool = False
    filter: Words = ""
    port: Name | None = None  # only this appliance port
    first: Row = 0  # first visible row
    rows: Row = 50  # at most 200
    follow: Key | None = None  # key of the row under the cursor: `Frame.follow_row` is its position
    fold: bool = False  # merge flows with the same meaning into one row
    order: Name | None = None  # a token: rows keep the order of its first use
    hold: Name | None = None  # a token: show the moment of its first use
    news: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0  # newest events on an overview
    strips: StripsView | None = None
    detail: Key | None = (
        None  # "flow:ID", "stream:ID", "camera:NAME", "endpoint:SERVICE/HOST/PORT",
    )
    # "violation:ID", "finding:KEY", "event:NUMBER", "port:NAME", "device:MAC"


class Command(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    name: Name
    # "known" (mark as known), "unknown", "mark" (a note at this time), "accept" (violation into the
    # site file), "undo", "export" (detail or table), "evidence" (save the packets of the finding or
    # violation `key` as pcapng; `Done.text` has the file and the frame that proves it), "seek"
    # (time_ns), "speed", "play", "pause", "next-event", "previous-event", "find-next" and
    # "find-previous" (in the whole recording, the event that passes the filter `text`; `Done.key`)
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
    event: int | None = None  # number of the event reached by "next-event": its row is
    # that of `Events` with the key "event:NUMBER", and is selected


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """The states of one subject: one digit per cell, the value of `state.strips.Cell`."""

    key: str  # "port:NAME", "camera:NAME", "endpoint:...", "internet", "us"
    label: str
    cells: str
    rate_bps: float | None = None  # now, of a port or camera that works
    word: str = ""  # otherwise: its state or problem


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # "bit-rate" in bits/s, all ports together; "lost" packets, all streams together
    values: tuple[int | None, ...]  # one per cell; None: unknown


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Open and new things in the cell under the cursor, worst first."""

    time_s: int
    told: tuple[tuple[str, str, str], ...]  # (severity, text, detail key)
    more: int = 0


class Strips(msgspec.Struct, frozen=True, kw_only=True):
    start_s: int
    end_s: int
    cell_s: int
    first_s: int  # unknown before this time
    strips: tuple[Strip, ...] = ()
    well: int = 0  # subjects without trouble, left out for lack of rows
    more: int = 0  # other subjects that were left out
    curves: tuple[Curve, ...] = ()
    moment: Moment | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True):
    mode: str = "live"  # "live", "demo", "attach", "review"
    site: SiteRecord
    time_ns: int
    ports: tuple[tuple[str, str | None, str], ...] = ()  # (name, role, state)
    lost: int = 0  # packets that this tool missed
    packets: int = 0  # packets received since it was started
    recorder: RecorderRecord | None = None
    counts: CountsRecord = CountsRecord()
    limits: dict[str, int] = {}
    notice: str | None = None  # one important line: a dead interface, a full disk
    fatal: str | None = None  # the collector has stopped, and why
    all_well_since_ns: int | None = None
    review: ReviewState | None = None


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A titled block of a detail view; each line is (label, text), the label may be empty."""

    title: str
    lines: tuple[tuple[str, str], ...]


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that explains the subject, in one sentence with its action."""

    key: str  # of its detail: "finding:KEY"
    severity: str
    confidence: str
    text: str
    action: str
    since_ns: int
    known: bool = False


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """One observation on the wire."""

    time_ns: int
    text: str
    packet: int | None = None  # its number in the capture
    frame: int | None = None  # number in the evidence file


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    key: str  # as requested in `View.detail`
    title: str
    since_ns: int | None = None  # start of its state, or its first appearance
    explained: tuple[Explained, ...] = ()  # open findings about it, worst first
    evidence: tuple[Proof, ...] = ()  # newest first
    packets: str = ""  # key for saving its packets: "finding:KEY", "violation:ID", or none
    display_filter: str = ""  # filter for Wireshark
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
    copy: str = ""  # text that `y` copies
    links: tuple[tuple[str, str], ...] = ()  # (text, detail key) that can be opened from here


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag="frame"):
    schema: str = SCHEMA_FRAME
    number: int
    view: View
    header: Header
    total: int = 0  # rows in the pane before the filter
    matched: int = 0  # after the filter
    first: int = 0  # index of the first row sent (adjusted if the view asked past the end)
    follow_row: int | None = None
    filter_error: str | None = None
    cut: str = ""  # existing rows that are not included: "newest 5,000 of 14,600; ..."
    ports: tuple[PortRecord, ...] = ()
    cameras: tuple[CameraRecord, ...] = ()
    streams: tuple[StreamRecord, ...] = ()
    endpoints: tuple[EndpointRecord, ...] = ()
    clock: ClockRecord | None = None
    resolvers: tuple[ResolverRecord, ...] = ()
    violations: tuple[ViolationRecord, ...] = ()
    findings: tuple[FindingRecord, ...] = ()
    flows: tuple[FlowRecord, ...] = ()
    folds: dict[str, Fold] = {}  # rows of `flows` that stand for several flows, by id
    devices: tuple[DeviceRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    passages: tuple[BothSides, ...] = ()  # of two compared captures
    detail: Detail | None = None
    strips: Strips | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    ok: bool
    text: str  # one line for the user
    path: str = ""  # the file that was written
    pending: bool = False  # in progress: the same command returns it if repeated shortly
    key: str = ""  # the target, as in `View.detail`: its row is selected


Answer: TypeAlias = Frame | Done
