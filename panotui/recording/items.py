"""What a recorder's worker is handed: a second, a part of one, a mark, packets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct, field

from panotui.model import EventRecord, FlowRecord, Snapshot
from panotui.recording.evidence_files import Written
from panotui.recording.pcapng import PcapngFile


class Second(Struct):
    """What one second brought."""

    snapshot: Snapshot
    flows: list[FlowRecord] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)


class Part(Struct):
    """Flows as they stood within a second that is not over."""

    time_ns: int
    flows: list[FlowRecord]


class Mark(Struct):
    time_ns: int
    text: str


class Known(Struct):
    key: str
    is_known: bool


class Evidence(Struct):
    """Packets to keep: a file's name and comment, and what writes them into it."""

    file: str
    title: str
    time_ns: int  # since when there is what it is about
    write: Callable[[PcapngFile], Written]
    stays_open: bool = False  # more will come for this file soon
    subject: str = ""  # "finding:KEY", "violation:ID"
    bytes: int = 0  # of packets, about


class Flush(Struct):
    done: threading.Event


Item: TypeAlias = Second | Part | Mark | Known | Evidence | Flush


def is_stop(event: EventRecord) -> bool:
    """Whether a review stops at an event, so that its snapshot is kept."""
    return event.severity != "info"


def join(earlier: Second, later: Second) -> Second:
    """Two seconds that the disk was too slow for: the newer picture, all flows and events."""
    flows = {flow.id: flow for flow in earlier.flows}
    flows.update((flow.id, flow) for flow in later.flows)
    return Second(later.snapshot, list(flows.values()), earlier.events + later.events)
