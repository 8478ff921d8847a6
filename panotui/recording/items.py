"""Input of a recorder's worker: a second, a part of one, a mark, packets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct, field

from panotui.model import EventRecord, FlowRecord, Snapshot
from panotui.recording.evidence_files import Written
from panotui.recording.pcapng import PcapngFile


class Second(Struct):
    """The data of one second."""

    snapshot: Snapshot
    flows: list[FlowRecord] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)


class Part(Struct):
    """Flows within a second that is not over."""

    time_ns: int
    flows: list[FlowRecord]


class Mark(Struct):
    time_ns: int
    text: str


class Known(Struct):
    key: str
    is_known: bool


class Evidence(Struct):
    """Packets to keep: a file's name and comment, and the function that writes them into it."""

    file: str
    title: str
    time_ns: int  # start of the incident
    write: Callable[[PcapngFile], Written]
    stays_open: bool = False  # more packets will follow for this file soon
    subject: str = ""  # "finding:KEY", "violation:ID"
    bytes: int = 0  # of packets, approximately


class Flush(Struct):
    done: threading.Event


Item: TypeAlias = Second | Part | Mark | Known | Evidence | Flush


def is_stop(event: EventRecord) -> bool:
    """Whether a review stops at an event, so that its snapshot is kept."""
    return event.severity != "info"


def join(earlier: Second, later: Second) -> Second:
    """Two seconds merged because the disk is too slow: the newer snapshot, all flows and events."""
    flows = {flow.id: flow for flow in earlier.flows}
    flows.update((flow.id, flow) for flow in later.flows)
    return Second(later.snapshot, list(flows.values()), earlier.events + later.events)
