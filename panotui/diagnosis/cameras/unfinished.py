"""rtsp-unfinished: the camera answers, and its reader closes each connection before PLAY."""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.cameras.words import about, reader_name, subject_of
from panotui.diagnosis.facts import LIMITS as COMMON_LIMITS
from panotui.diagnosis.facts import Facts, Observation, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.state.camera import Camera
from panotui.state.camera_media import late_answer
from panotui.state.camera_session import Session
from panotui.state.camera_streams import is_group, place_of
from panotui.state.connects import recent

LIMITS = thresholds().cameras.offers
_BY_READER = frozenset({"fin-client", "rst-client", "teardown"})


def unfinished(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """Connections of the appliance (of anyone while it is unknown) that got answers but no
    picture.
    """
    appliance = facts.view.facts.appliance_addresses
    players = {s.client for s in camera.sessions.values() if s.play_ns}
    # by client, and by URL where the client has played something of this camera
    ended: dict[tuple[str, str], list[Session]] = {}
    for session in reversed(camera.sessions.values()):  # newest first
        if session.ended is None or session.play_ns:
            continue
        if not appliance or session.client in appliance:
            place = place_of(session.url) if session.client in players else ""
            ended.setdefault((session.client, place), []).append(session)
    if not ended:
        return
    passed = {r.client for r in camera.refusals}
    for (client, place), sessions in ended.items():
        had_ns = _had_picture_ns(camera, client, place, facts)
        since = [s for s in sessions if s.opened_ns > had_ns]
        left = [s for s in since if _left(s)]
        if (
            client in passed
            or len(left) < LIMITS.left_times
            or len(left) < len(since)
            or not recent(left[0].ended_ns, facts.now_ns, COMMON_LIMITS.stale_s)
        ):
            continue
        passed.add(client)  # one sentence about a reader
        newest, oldest = left[0], left[-1]
        method = "SETUP" if newest.set_up else "DESCRIBE"
        plays = any(
            s.client == client and s.play_ns and not s.ended for s in camera.sessions.values()
        )
        yield Observation(
            "rtsp-unfinished", subject_of(camera),
            {**about(camera), "client": reader_name(client, facts), "count": str(len(left)),
             "method": method},
            tuple(
                evidence(s.ended_ns, s.ended_packet, f"connection of {client}, {s.ending}")
                for s in reversed(left[:8])
            ),
            oldest.opened_ns, newest.ended_ns, severity="warning" if plays else None,
            text=f"Camera {camera.name} answers, but {reader_name(client, facts)} ends each "
                 f"connection to {place} after {method} without playing ({len(left)} times); it "
                 "plays another stream of this camera"
                 if plays else None,
            camera=camera.address,
        )  # fmt: skip


def _had_picture_ns(camera: Camera, client: str, place: str, facts: Facts) -> int:
    """Until when a client had the picture of a URL: as it requested it, or without a request that
    was seen (older than the capture, by multicast), which may be of any URL. 0: never.
    """
    had_ns = 0
    for session in camera.sessions.values():
        if session.client != client or not session.play_ns:
            continue
        played = place_of(session.url), place_of(session.described)
        if not place or place in played or "" in played:
            had_ns = max(had_ns, session.ended_ns if session.ended else facts.now_ns)
    for stream in facts.camera_streams.get(camera.address, []):
        session_of = camera.sessions.get(f"{stream.meter}-{stream.row.session}")
        if is_group(stream.dst) or (stream.dst == client and session_of is None):
            had_ns = max(had_ns, stream.row.last_ns)
            if recent(stream.row.last_ns, facts.now_ns, LIMITS.read_lately_s):
                had_ns = facts.now_ns
    return had_ns


def _left(session: Session) -> bool:
    """Its reader closed it before PLAY, with all requests answered."""
    return (
        session.ended in _BY_READER
        and bool(session.described_ns or session.set_up)
        and not session.play_ns
        and session.unanswered() is None
        and late_answer(session) is None
    )
