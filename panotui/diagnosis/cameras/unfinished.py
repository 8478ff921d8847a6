"""rtsp-unfinished: the camera answers, and its reader closes each connection before PLAY."""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.cameras.words import about, reader_name, subject_of
from panotui.diagnosis.facts import LIMITS as COMMON_LIMITS
from panotui.diagnosis.facts import Facts, Observation, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.state.camera import Camera
from panotui.state.camera_session import Session
from panotui.state.camera_streams import is_group
from panotui.state.connects import recent

LIMITS = thresholds().cameras.offers
_BY_READER = frozenset({"fin-client", "rst-client", "teardown"})


def unfinished(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """Connections of the appliance (of anyone while it is unknown) that got answers but no
    picture.
    """
    appliance = facts.view.facts.appliance_addresses
    ended: dict[str, list[Session]] = {}
    for session in reversed(camera.sessions.values()):  # newest first
        client = session.client
        if appliance and client not in appliance:
            continue
        row = ended.setdefault(client, [])
        if session.ended is None and not session.play_ns:
            continue  # not over yet
        if row and row[-1].play_ns:
            continue  # problems before a session that played are over
        row.append(session)
    fed = {s.dst for s in facts.camera_streams.get(camera.address, [])
           if recent(s.row.last_ns, facts.now_ns, LIMITS.read_lately_s)}  # fmt: skip
    refused = {r.client for r in camera.refusals}
    for client, sessions in ended.items():
        left = [s for s in sessions if _left(s)]
        if (
            client in fed
            or any(map(is_group, fed))  # its multicast is for every reader
            or client in refused
            or len(left) < LIMITS.left_times
            or len(left) < len(sessions)
            or not recent(left[0].ended_ns, facts.now_ns, COMMON_LIMITS.stale_s)
        ):
            continue
        newest, oldest = left[0], left[-1]
        yield Observation(
            "rtsp-unfinished", subject_of(camera),
            {**about(camera), "client": reader_name(client, facts), "count": str(len(left)),
             "method": "SETUP" if newest.set_up else "DESCRIBE"},
            tuple(
                evidence(s.ended_ns, s.ended_packet, f"connection of {client}, {s.ending}")
                for s in reversed(left[:8])
            ),
            oldest.opened_ns, newest.ended_ns, camera=camera.address,
        )  # fmt: skip


def _left(session: Session) -> bool:
    """Its reader closed it before PLAY, with all requests answered."""
    return (
        session.ended in _BY_READER
        and bool(session.described_ns or session.set_up)
        and not session.play_ns
        and session.unanswered() is None
    )
