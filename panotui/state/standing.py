"""How the site stands, counted once: what every screen, summary and report says of it.

In come the records of a snapshot, out come what works, what was not seen, and the words for it.
Nobody else counts, so that no two places differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from panotui.model import (
    CameraRecord,
    CountsRecord,
    EndpointRecord,
    Snapshot,
    StreamRecord,
)

_DEAD_CAMERAS = frozenset({"silent", "refused", "unreachable"})
_DEAD_ENDPOINTS = frozenset({"blocked", "failing"})


def plays(record: CameraRecord | StreamRecord) -> bool:
    """Its picture comes, and no open error says otherwise."""
    return record.state == "streaming" and record.trouble_severity != "error"


def dead_cameras(cameras: Iterable[CameraRecord]) -> list[str]:
    """Cameras that were seen and give no picture; not calls that have ended, of which nobody knows
    whether they were one's."""
    return [c.name for c in cameras if c.state in _DEAD_CAMERAS and not _only_heard(c)]


def _only_heard(record: CameraRecord) -> bool:
    """Known by its packets alone: nobody was seen to ask for them, and nothing is said of it."""
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
    """Whether nothing that is needed is seen not to work; what was not seen is another matter."""
    return not dead_cameras(cameras) and not dead_endpoints(endpoints)


def unseen(snapshot: Snapshot) -> list[str]:
    """What is needed and was not seen: cameras, then endpoints, each once."""
    names = [f"camera {c.name}" for c in snapshot.cameras if c.state == "unseen"]
    return list(dict.fromkeys(names + unseen_endpoints(snapshot.endpoints)))


def unseen_endpoints(endpoints: Iterable[EndpointRecord]) -> list[str]:
    """Endpoints that are needed and were not seen; with their host where a name is shared."""
    needed = [e for e in endpoints if e.needed]
    shared = Counter(e.label or e.service for e in needed)
    names = [
        (e.label or e.service) + (f" {e.host}" if shared[e.label or e.service] > 1 else "")
        for e in needed
        if e.state == "unseen"
    ]
    return list(dict.fromkeys(names))


def cameras_said(counts: CountsRecord) -> str:
    """`2 of 3 streaming, 1 losing`: a camera with an open error is not among the two."""
    words = f"{counts.cameras_ok} of {counts.cameras} streaming"
    words += f", {counts.cameras_losing} losing" if counts.cameras_losing else ""
    return words + (f", {counts.cameras_unseen} not seen" if counts.cameras_unseen else "")


def endpoints_said(counts: CountsRecord) -> str:
    """`3 of 6 needed reachable, 2 not seen`: those beside them that work are in no number."""
    words = f"{counts.endpoints_ok} of {counts.endpoints} needed reachable"
    return words + (f", {counts.endpoints_unseen} not seen" if counts.endpoints_unseen else "")


def violations_said(counts: CountsRecord) -> str:
    """`2 open (1 known), 0 past`."""
    known = f" ({counts.violations_known} known)" if counts.violations_known else ""
    return f"{counts.violations_open} open{known}, {counts.violations_past} past"
