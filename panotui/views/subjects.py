"""All kinds of things with a view, in the order of their panes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from panotui.model import (
    CameraRecord,
    EndpointRecord,
    EventRecord,
    FindingRecord,
    FlowRecord,
    PortRecord,
    Snapshot,
    StreamRecord,
    ViolationRecord,
)
from panotui.views import details, inventory, passages
from panotui.views.answers import with_answer
from panotui.views.frames import Detail
from panotui.views.identity import by_id, by_name, endpoint_key, finding_key
from panotui.views.pane import Pane
from panotui.views.state import State

HISTORY_SHOWN = 60  # seconds of history in a list; a detail has all
_SEVERITY = {"error": 0, "warning": 1, "info": 2}
_VERDICT = {"violation": 0, "pending": 1, "allowed": 2, "infrastructure": 3}
_FIRST = {"violation": 0, "pending": 1}  # in the pane's own order; all others after them
_STREAM_STATE = {
    "frozen": 0, "error": 1, "losing": 2, "slow": 3, "warning": 4, "paused": 5, "info": 6,
    "streaming": 6, "ended": 7,
}  # fmt: skip
_CAMERA_STATE = {
    "refused": 0, "unreachable": 0, "silent": 0, "error": 1, "losing": 2, "warning": 4, "paused": 5,
    "connecting": 5, "unseen": 5,
}  # fmt: skip
_ENDPOINT_STATE = {"blocked": 0, "failing": 1, "unseen": 2, "reachable": 3}


def _rate(flow: FlowRecord) -> float:
    return (flow.rate_out_bps or 0.0) + (flow.rate_in_bps or 0.0)


def _slim_stream(stream: StreamRecord) -> StreamRecord:
    return msgspec.structs.replace(
        stream,
        history_bps=stream.history_bps[-HISTORY_SHOWN:],
        history_lost=(),
        history_frames=(),
        history_frame_bytes=(),
        history_keyframes=(),
        freezes=stream.freezes[-3:],
    )


def _worst_stream(stream: StreamRecord) -> tuple[int, str, bool, str]:
    state = _STREAM_STATE.get(stream.standing, 8)
    return state, stream.camera or "~", stream.media != "video", stream.id


def _slim_camera(camera: CameraRecord) -> CameraRecord:
    return msgspec.structs.replace(camera, dialogue=())


FLOWS = Pane(
    kind="flow",
    record=FlowRecord,
    rows=lambda snapshot: (),
    key=by_id,
    detail=details.flow_detail,
    name="flows",
    rows_in="flows",
    short="Flow",
    own=lambda r: (
        _FIRST.get(r.verdict, 2),
        r.end is not None,
        -r.last_time_ns,
        r.id,
    ),
    columns={
        "rate": _rate,
        "bytes": lambda r: r.bytes_out + r.bytes_in,
        "packets": lambda r: r.packets_out + r.packets_in,
        "verdict": lambda r: _VERDICT.get(r.verdict, 4),
        "peer": lambda r: r.host or r.dst,
        "rtt": lambda r: r.rtt_ms,
        "age": lambda r: r.first_time_ns,
        "last": lambda r: r.last_time_ns,
    },
)

STREAMS = Pane(
    kind="stream",
    record=StreamRecord,
    rows=lambda snapshot: snapshot.streams,
    key=by_id,
    detail=details.stream_detail,
    name="streams",
    rows_in="streams",
    short="Strm",
    own=_worst_stream,
    columns={
        "loss": lambda r: r.loss_now,
        "fps": lambda r: r.fps_now,
        "rate": lambda r: r.rate_bps,
        "jitter": lambda r: r.jitter_ms,
        "size": lambda r: (r.width or 0) * (r.height or 0) or None,
        "from": lambda r: r.transport,
        "stream": lambda r: r.media,
        "state": lambda r: _STREAM_STATE.get(r.standing, 8),
    },
    slim=_slim_stream,
)

ENDPOINTS = Pane(
    kind="endpoint",
    record=EndpointRecord,
    rows=lambda snapshot: snapshot.endpoints,
    key=endpoint_key,
    detail=details.endpoint_detail,
    name="endpoints",
    rows_in="endpoints",
    short="Ends",
    own=lambda r: (
        not r.needed,
        _ENDPOINT_STATE.get(r.state, 4),
        r.service,
        r.host,
        r.port,
    ),
    columns={
        "state": lambda r: _ENDPOINT_STATE.get(r.state, 4),
        "rtt": lambda r: r.rtt_ms,
        "tls": lambda r: r.tls_version,
        "last": lambda r: r.last_success_ns,
    },
)

VIOLATIONS = Pane(
    kind="violation",
    record=ViolationRecord,
    rows=lambda snapshot: snapshot.violations,
    key=by_id,
    detail=details.violation_detail,
    name="violations",
    rows_in="violations",
    short="Viol",
    own=lambda r: (
        r.known,
        r.state != "open",
        _SEVERITY.get(r.severity, 3),
        -r.last_time_ns,
        r.id,
    ),
    columns={
        "severity": lambda r: _SEVERITY.get(r.severity, 3),
        "first": lambda r: r.first_time_ns,
        "last": lambda r: r.last_time_ns,
    },
)

FINDINGS = Pane(
    kind="finding",
    record=FindingRecord,
    rows=lambda snapshot: snapshot.findings,
    key=finding_key,
    detail=details.finding_detail,
    name="findings",
    rows_in="findings",
    short="Find",
    columns={
        "severity": lambda r: _SEVERITY.get(r.severity, 3),
        "first": lambda r: r.first_time_ns,
        "since": lambda r: r.first_time_ns,
    },
)

EVENTS = Pane(
    kind="event",
    record=EventRecord,
    rows=lambda snapshot: snapshot.events,
    key=lambda event: str(event.number),
    detail=details.event_detail,
    name="events",
    rows_in="events",
    short="Evts",
    own=lambda r: (-r.time_ns, -r.number),
    columns={
        "time": lambda r: r.time_ns,
        "severity": lambda r: _SEVERITY.get(r.severity, 3),
    },
)

CAMERAS = Pane(
    kind="camera",
    record=CameraRecord,
    rows=lambda snapshot: snapshot.cameras,
    key=by_name,
    detail=details.camera_detail,
    slim=_slim_camera,
)

PORTS = Pane(
    kind="port",
    record=PortRecord,
    rows=lambda snapshot: snapshot.ports,
    key=by_name,
    detail=details.port_detail,
)


def worst_cameras(
    cameras: Sequence[CameraRecord], streams: Sequence[StreamRecord], most: int
) -> tuple[list[CameraRecord], list[StreamRecord]]:
    """The `most` cameras in the worst state, their own or that of a stream, with their streams and
    the worst others; a site may have more than an overview can carry.
    """
    ordered = sorted(streams, key=_worst_stream)
    states = {s.id: _STREAM_STATE.get(s.standing, 8) for s in ordered}

    def rank(camera: CameraRecord) -> tuple[int, str]:
        own = [states[stream] for stream in camera.streams if stream in states]
        return min(_CAMERA_STATE.get(camera.standing, 6), *own, 6), camera.name

    chosen = sorted(cameras, key=rank)[:most]
    theirs = {stream for camera in chosen for stream in camera.streams}
    kept = [s for n, s in enumerate(ordered) if s.id in theirs or n < most]
    return chosen, kept[: 3 * most]


SUBJECTS: tuple[Pane, ...] = (
    FLOWS, STREAMS, ENDPOINTS, VIOLATIONS, FINDINGS, EVENTS, inventory.PANE, CAMERAS, PORTS,
    passages.PANE,
)  # fmt: skip
BY_TYPE: dict[type, Pane] = {subject.record: subject for subject in SUBJECTS}
BY_KIND: dict[str, Pane] = {subject.kind: subject for subject in SUBJECTS}
BY_NAME: dict[str, Pane] = {subject.name: subject for subject in SUBJECTS if subject.name}
PANES: tuple[str, ...] = ("overview", *(s.name for s in BY_NAME.values() if not s.alone))


def row_key(record: Any) -> str:
    """The key of a row across frames; the text after the colon in `View.detail`."""
    return BY_TYPE[type(record)].key(record)


def follow_key(record: Any) -> str:
    """`flow:ID` and the like: the value of `View.detail`."""
    return f"{BY_TYPE[type(record)].kind}:{row_key(record)}"


def detail_of(state: State, key: str, snapshot: Snapshot) -> Detail:
    """The detail for `View.detail`; `gone` if the thing does not exist (any more)."""
    kind, _, name = key.partition(":")
    subject = BY_KIND.get(kind)
    found: Any = None
    if subject is FLOWS:
        found = state.flow(name)
    elif subject is not None:
        found = next((r for r in subject.rows(snapshot) if subject.key(r) == name), None)
    if subject is None or found is None:
        return Detail(key=key, title=f"{kind} {name}"[:120], gone=True)
    return with_answer(subject.detail(key, found, state, snapshot), found, snapshot)
