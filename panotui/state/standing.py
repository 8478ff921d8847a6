"""The state of the site, counted once for every screen, summary and report.

The records of a snapshot come in; what works, what was not seen, and the sentences for it go out.
No other code counts, so that no two places differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from panotui.model import (
    CameraRecord,
    ClockRecord,
    CountsRecord,
    EndpointRecord,
    PortRecord,
    Snapshot,
    StreamRecord,
)

_DEAD_CAMERAS = frozenset({"silent", "refused", "unreachable"})
_DEAD_ENDPOINTS = frozenset({"blocked", "failing"})
_DEAD_CLOCKS = frozenset({"silent", "unsynchronised"})


def plays(record: CameraRecord | StreamRecord) -> bool:
    """Its picture arrives, and there is no open error about it."""
    return record.state == "streaming" and record.trouble_severity != "error"


def dead_cameras(cameras: Iterable[CameraRecord]) -> list[str]:
    """Cameras that were seen and give no picture; without ended connections of hosts that may not
    be cameras at all.
    """
    return [c.name for c in cameras if c.state in _DEAD_CAMERAS and not _only_heard(c)]


def _only_heard(record: CameraRecord) -> bool:
    """Known only by its packets: no reader was seen, and there is no finding about it."""
    return (
        record.state == "silent"
        and not record.sessions
        and record.named_by != "site"
        and record.trouble is None
    )


def dead_endpoints(endpoints: Iterable[EndpointRecord]) -> list[str]:
    """Endpoints that are needed, were tried, and do not work."""
    return [e.label or e.service for e in endpoints if e.needed and e.state in _DEAD_ENDPOINTS]


def all_works(cameras: Iterable[CameraRecord], endpoints: Iterable[EndpointRecord]) -> bool:
    """Whether nothing that is needed was seen to fail; unseen things are reported separately."""
    return not dead_cameras(cameras) and not dead_endpoints(endpoints)


def unseen(snapshot: Snapshot) -> list[str]:
    """Needed things that were not seen: cameras, then endpoints, each once."""
    names = [f"camera {c.name}" for c in snapshot.cameras if c.state == "unseen"]
    return list(dict.fromkeys(names + unseen_endpoints(snapshot.endpoints)))


def unseen_endpoints(endpoints: Iterable[EndpointRecord]) -> list[str]:
    """Needed endpoints that were not seen; with their host if a name is shared."""
    needed = [e for e in endpoints if e.needed]
    shared = Counter(e.label or e.service for e in needed)
    names = [
        (e.label or e.service) + (f" {e.host}" if shared[e.label or e.service] > 1 else "")
        for e in needed
        if e.state == "unseen"
    ]
    return list(dict.fromkeys(names))


def seen_from_here(
    cameras: tuple[CameraRecord, ...],
    endpoints: tuple[EndpointRecord, ...],
    clock: ClockRecord,
    lacks: str,
) -> tuple[tuple[CameraRecord, ...], tuple[EndpointRecord, ...], ClockRecord]:
    """The same where some of the traffic is not copied (`lacks`, in words; empty: all of it is):
    an answer that was not seen may have come. A clock is known only while a time server is reached.
    """
    if lacks:
        cameras = tuple(
            replace(c, state="unseen", state_text=lacks)
            if c.state in _DEAD_CAMERAS and not c.trouble
            else c
            for c in cameras
        )
        endpoints = tuple(
            replace(e, state="unseen", detail=lacks, failing_step=None)
            if e.state in _DEAD_ENDPOINTS
            else e
            for e in endpoints
        )
        clock = replace(clock, state="unknown") if clock.state in _DEAD_CLOCKS else clock
    asked = [e for e in endpoints if e.service == "ntp" and e.attempts]
    if clock.state == "synchronised" and asked and all(e.state != "reachable" for e in asked):
        clock = replace(clock, state="unknown")
    return cameras, endpoints, clock


def cameras_said(counts: CountsRecord) -> str:
    """`2 of 3 streaming, 1 losing`: a camera with an open error does not count as streaming."""
    words = f"{counts.cameras_ok} of {counts.cameras} streaming"
    words += f", {counts.cameras_losing} losing" if counts.cameras_losing else ""
    return words + (f", {counts.cameras_unseen} not seen" if counts.cameras_unseen else "")


def endpoints_said(counts: CountsRecord) -> str:
    """`3 of 6 needed reachable, 2 not seen`: only needed endpoints are counted."""
    words = f"{counts.endpoints_ok} of {counts.endpoints} needed reachable"
    return words + (f", {counts.endpoints_unseen} not seen" if counts.endpoints_unseen else "")


def but_said(record: PortRecord | CameraRecord | StreamRecord) -> str:
    """`, but its key frames are rare`: the worst finding beside a state that alone would be well;
    empty without one. Recordings of earlier versions name no more than its id.
    """
    if record.standing == record.state:
        return ""
    return f", but {record.trouble_text or 'something is wrong'}"


def violations_said(counts: CountsRecord) -> str:
    """`2 open (1 known), 0 past`."""
    known = f" ({counts.violations_known} known)" if counts.violations_known else ""
    return f"{counts.violations_open} open{known}, {counts.violations_past} past"
