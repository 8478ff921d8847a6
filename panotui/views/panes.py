"""From all rows of a pane to those that a view shows: port, filter, sort, page, follow.

Records in (a snapshot's tuples, or flows), one `Page` out. Sorting is stable, unknown values go to
the end in either direction, and a filter that cannot be read leaves the rows as they are and says
why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from panotui.model import (
    CameraRecord,
    EndpointRecord,
    EventRecord,
    FindingRecord,
    FlowRecord,
    PortRecord,
    StreamRecord,
    ViolationRecord,
)
from panotui.views.filter import FilterError, parse
from panotui.views.frames import View

ROWS_MAX = 200

R = TypeVar("R")
Key = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """The visible rows of a pane and where they are among all."""

    rows: tuple[R, ...]
    total: int
    matched: int
    first: int
    follow_row: int | None
    filter_error: str | None


# ------------------------------------------------------------------ identity of a row


def row_key(record: Any) -> str:
    """What names a row across frames; the same text as after the colon in `View.detail`."""
    if isinstance(record, FlowRecord | StreamRecord | ViolationRecord):
        return record.id
    if isinstance(record, EndpointRecord):
        return f"{record.service}/{record.host}/{record.port}"
    if isinstance(record, FindingRecord):
        return record.key or f"{record.id} {record.subject}"
    if isinstance(record, EventRecord):
        return str(record.number)
    return str(record.name)


# ------------------------------------------------------------------ own order of each pane

_SEVERITY = {"error": 0, "warning": 1, "info": 2}
_VERDICT = {"violation": 0, "pending": 1, "allowed": 2, "infrastructure": 3}
_STREAM_STATE = {"frozen": 0, "losing": 1, "slow": 2, "paused": 3, "streaming": 4, "ended": 5}
_ENDPOINT_STATE = {"blocked": 0, "failing": 1, "unseen": 2, "reachable": 3}


def _rate(flow: FlowRecord) -> float:
    return (flow.rate_out_bps or 0.0) + (flow.rate_in_bps or 0.0)


_OWN_ORDER: dict[type, Key] = {
    FlowRecord: lambda r: (
        _VERDICT.get(r.verdict, 4),
        r.end is not None,
        -_rate(r),
        -r.last_time_ns,
        r.id,
    ),
    StreamRecord: lambda r: (
        _STREAM_STATE.get(r.state, 6),
        r.camera or "~",
        r.media != "video",
        r.id,
    ),
    EndpointRecord: lambda r: (
        not r.needed,
        _ENDPOINT_STATE.get(r.state, 4),
        r.service,
        r.host,
        r.port,
    ),
    ViolationRecord: lambda r: (
        r.known,
        r.state != "open",
        _SEVERITY.get(r.severity, 3),
        -r.last_time_ns,
        r.id,
    ),
    EventRecord: lambda r: -r.number,
}

# Names of columns that are no field of their record.
_COLUMNS: dict[tuple[type, str], Key] = {
    (FlowRecord, "rate"): _rate,
    (FlowRecord, "bytes"): lambda r: r.bytes_out + r.bytes_in,
    (FlowRecord, "packets"): lambda r: r.packets_out + r.packets_in,
    (FlowRecord, "verdict"): lambda r: _VERDICT.get(r.verdict, 4),
    (FlowRecord, "peer"): lambda r: r.host or r.dst,
    (FlowRecord, "rtt"): lambda r: r.rtt_ms,
    (FlowRecord, "age"): lambda r: r.first_time_ns,
    (FlowRecord, "last"): lambda r: r.last_time_ns,
    (StreamRecord, "loss"): lambda r: r.loss_now,
    (StreamRecord, "fps"): lambda r: r.fps_now,
    (StreamRecord, "rate"): lambda r: r.rate_bps,
    (StreamRecord, "jitter"): lambda r: r.jitter_ms,
    (StreamRecord, "size"): lambda r: (r.width or 0) * (r.height or 0) or None,
    (StreamRecord, "from"): lambda r: r.transport,
    (StreamRecord, "stream"): lambda r: r.media,
    (StreamRecord, "state"): lambda r: _STREAM_STATE.get(r.state, 6),
    (EndpointRecord, "state"): lambda r: _ENDPOINT_STATE.get(r.state, 4),
    (EndpointRecord, "rtt"): lambda r: r.rtt_ms,
    (EndpointRecord, "tls"): lambda r: r.tls_version,
    (EndpointRecord, "last"): lambda r: r.last_success_ns,
    (ViolationRecord, "severity"): lambda r: _SEVERITY.get(r.severity, 3),
    (ViolationRecord, "first"): lambda r: r.first_time_ns,
    (ViolationRecord, "last"): lambda r: r.last_time_ns,
    (FindingRecord, "severity"): lambda r: _SEVERITY.get(r.severity, 3),
    (FindingRecord, "first"): lambda r: r.first_time_ns,
    (FindingRecord, "since"): lambda r: r.first_time_ns,
    (EventRecord, "time"): lambda r: r.time_ns,
    (EventRecord, "severity"): lambda r: _SEVERITY.get(r.severity, 3),
}


def sort_key(record_type: type, column: str) -> Key | None:
    """How to order rows by a column; None when the type has no such column."""
    key = _COLUMNS.get((record_type, column))
    if key is not None:
        return key
    fields = getattr(record_type, "__struct_fields__", ())
    for name in (column, f"{column}_bps", f"{column}_ms", f"{column}_ns", f"{column}_time_ns"):
        if name in fields:
            return attrgetter(name)
    return None


def order(records: Sequence[R], record_type: type, column: str | None, reverse: bool) -> list[R]:
    """Rows in a view's order, ascending unless `reverse`; unknown values last either way.

    No column, or one that the rows do not have, means the pane's own order.
    """
    key = None if column is None else sort_key(record_type, column)
    if key is None:
        own = _OWN_ORDER.get(record_type)
        rows = sorted(records, key=own) if own else list(records)
        return rows[::-1] if reverse else rows
    known = [(key(record), record) for record in records]
    having = [pair for pair in known if pair[0] is not None]
    lacking = [record for value, record in known if value is None]
    having.sort(key=lambda pair: _comparable(pair[0]), reverse=reverse)
    return [record for _, record in having] + lacking


def _comparable(value: Any) -> Any:
    if isinstance(value, str):
        return (1, value.lower())
    if isinstance(value, tuple):
        return (2, len(value))
    return (0, value)


# ------------------------------------------------------------------ the page


def _of_port(records: Sequence[R], port: str | None) -> Sequence[R]:
    if port is None:
        return records
    return [
        r
        for r in records
        if getattr(r, "port", None) == port
        or getattr(r, "port_in", None) == port
        or getattr(r, "subject", None) == port
        or not isinstance(getattr(r, "port", None), str | None)
    ]


KIND: dict[type, str] = {
    FlowRecord: "flow",
    StreamRecord: "stream",
    CameraRecord: "camera",
    EndpointRecord: "endpoint",
    ViolationRecord: "violation",
    FindingRecord: "finding",
    EventRecord: "event",
    PortRecord: "port",
}


def follow_key(record: Any) -> str:
    """`flow:ID` and the like: what `View.detail` holds."""
    return f"{KIND[type(record)]}:{row_key(record)}"


def page(records: Sequence[R], record_type: type, view: View) -> Page[R]:
    """The rows of `records` that `view` shows."""
    chosen, error = matching(records, record_type, view)
    ordered = order(chosen, record_type, view.sort, view.reverse)
    return window(ordered, len(records), view, error)


def matching(records: Sequence[R], record_type: type, view: View) -> tuple[Sequence[R], str | None]:
    """The rows of the view's port that pass its filter, and what is wrong with the filter."""
    chosen: Sequence[R] = _of_port(records, view.port)
    if view.filter.strip():
        try:
            return parse(view.filter).select(chosen, record_type), None
        except FilterError as problem:
            return chosen, str(problem)
    return chosen, None


def window(ordered: Sequence[R], total: int, view: View, error: str | None) -> Page[R]:
    """The visible part of rows that are in order already."""
    rows = max(0, min(view.rows, ROWS_MAX))
    first = max(0, min(view.first, len(ordered) - max(rows, 1)))
    follow_row = None
    if view.follow is not None:
        follow_row = next(
            (
                number
                for number, record in enumerate(ordered)
                if view.follow in (row_key(record), follow_key(record))
            ),
            None,
        )
    return Page(tuple(ordered[first : first + rows]), total, len(ordered), first, follow_row, error)
