"""A state cut to a span of time and a filter, for output in one piece.

The filter is that of the screen's `/`. A thing belongs to the span if it existed in any part of it;
its numbers are those of its whole life.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from panotui.errors import UsageError
from panotui.model import (
    CameraRecord,
    DeviceRecord,
    EndpointRecord,
    EventRecord,
    FindingRecord,
    FlowRecord,
    PortRecord,
    Snapshot,
    StreamRecord,
    ViolationRecord,
    WindowRecord,
)
from panotui.views.filter import Filter, FilterError, Predicate, parse

# the tables of a snapshot, and the records in them
TABLES: dict[str, type] = {
    "ports": PortRecord,
    "streams": StreamRecord,
    "cameras": CameraRecord,
    "endpoints": EndpointRecord,
    "devices": DeviceRecord,
    "violations": ViolationRecord,
    "findings": FindingRecord,
    "events": EventRecord,
}


def check_filter(text: str) -> None:
    """UsageError for an invalid filter, or one whose fields no table has."""
    chosen = _parsed(WindowRecord(filter=text))
    if all(_predicate(chosen, kind) is None for kind in (*TABLES.values(), FlowRecord)):
        _refuse(chosen)


def narrowed(snapshot: Snapshot, window: WindowRecord) -> Snapshot:
    """The part of a state inside the window; a table without a field of the filter is empty.
    UsageError as for `check_filter`.
    """
    chosen = _parsed(window)
    tables: dict[str, tuple[Any, ...]] = {}
    called = {c.address: c.name for c in snapshot.cameras}
    for name, record_type in TABLES.items():
        keep = _predicate(chosen, record_type)
        rows: Sequence[Any] = getattr(snapshot, name)
        if keep is None:
            tables[name] = ()
        else:
            tables[name] = tuple(
                r for r in rows if in_span(r, window) and (keep(r) or keep(_called(r, called)))
            )
    return replace(snapshot, **tables, window=window)


def _called(record: Any, names: Mapping[str, str]) -> Any:
    """A finding with the camera's name; it knows its camera by address."""
    if isinstance(record, FindingRecord) and record.camera and record.camera in names:
        return replace(record, camera=names[record.camera])
    return record


def flows_inside(window: WindowRecord) -> Callable[[FlowRecord], bool]:
    """A test whether a flow is inside. UsageError as for `narrowed`."""
    keep = _predicate(_parsed(window), FlowRecord)
    return lambda flow: keep is not None and in_span(flow, window) and keep(flow)


def in_span(record: Any, window: WindowRecord) -> bool:
    """Whether a thing existed in the span; things without times always do."""
    first, last = _life(record)
    since, until = window.since_ns, window.until_ns
    return not (
        (until is not None and first is not None and first > until)
        or (since is not None and last is not None and last < since)
    )


def _life(record: Any) -> tuple[int | None, int | None]:
    """(first, last) time of a record; None: unlimited."""
    if isinstance(record, EventRecord):
        return record.time_ns, record.until_ns or record.time_ns
    if isinstance(record, FindingRecord):
        return record.first_time_ns, record.cleared_time_ns
    if isinstance(record, ViolationRecord | StreamRecord | FlowRecord | DeviceRecord):
        return record.first_time_ns, record.last_time_ns
    return None, None


def _parsed(window: WindowRecord) -> Filter:
    try:
        return parse(window.filter)
    except FilterError as error:
        raise UsageError(f"--filter {window.filter}", str(error), "See the help of /.") from None


def _predicate(chosen: Filter, record_type: type) -> Predicate | None:
    """The test for a table; None if it has no such field."""
    try:
        return chosen.predicate(record_type)
    except FilterError:
        return None


def _refuse(chosen: Filter) -> None:
    try:
        chosen.predicate(FlowRecord)
    except FilterError as error:
        raise UsageError("--filter", str(error), "See the help of /.") from None
