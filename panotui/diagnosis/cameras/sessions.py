"""Unintended ends of sessions: rtsp-timeout, rtsp-keepalive, rtsp-closed.

A session is kept alive by requests answered with success, or by the reader's RTCP reports if the
camera counts them. If it ends one timeout after the last of these that counted, the timeout is the
reason, and the refused or ignored keep-alives are named.
"""

from __future__ import annotations

from msgspec import Struct

from panotui.diagnosis.cameras.reboots import cut_by_camera, stopped_before
from panotui.diagnosis.cameras.words import about, reader_name, subject_of
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, EvidenceRecord, Severity
from panotui.model.tables import GOODBYE, TEARDOWN
from panotui.state.camera import Camera
from panotui.state.camera_session import Session
from panotui.state.connects import recent
from panotui.state.streams import StreamState
from panotui.wire.protocols import UDP

# A camera ends a session when its timeout is over, never before, and some check only now and then.
LIMITS = thresholds().cameras.sessions
_KEEPERS = ("GET_PARAMETER", "OPTIONS", "SET_PARAMETER")  # best first


class _Stop(Struct, frozen=True):
    """The time at which a session was over."""

    time_ns: int
    seen: EvidenceRecord
    by_camera: bool  # it closed the connection


class SessionEndRule(Rule):
    """See the module."""

    of_cameras = True

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for camera in facts.cameras.cameras.values():
            found: dict[str, Observation] = {}
            for session in camera.sessions.values():
                told = _ended(camera, session, facts)
                if told is not None:
                    # the newest of each kind; the appliance's own before another's
                    old = found.get(told.id)
                    if old is None or told.severity is None or old.severity is not None:
                        found[told.id] = told
            out.extend(found.values())
        return out


def _ended(camera: Camera, session: Session, facts: Facts) -> Observation | None:
    if not session.play_ns:
        return None
    stop = _stop_of(camera, session, facts)
    if stop is None or not recent(stop.time_ns, facts.now_ns, LIMITS.told_s):
        return None
    told = _expired(camera, session, stop, facts)
    if told is not None:
        return told
    if stop.by_camera and not stopped_before(camera, session, facts):
        return _closed(camera, session, stop, facts)
    return None


def _stop_of(camera: Camera, session: Session, facts: Facts) -> _Stop | None:
    if cut_by_camera(session):
        if _outlive(camera, session, facts):
            return None
        seen = evidence(session.ended_ns, session.ended_packet, session.ending)
        return _Stop(session.ended_ns, seen, True)
    if session.state == "paused":
        return None
    media = _media_of(camera, session, facts)
    if not media or any(s.paused for s in media):
        return None
    stream = max(media, key=lambda s: s.row.last_ns)
    last = stream.row
    over = min(t for t in (session.let_go_ns, session.ended_ns, facts.now_ns) if t)
    if over - last.last_ns <= stream.patience_ns:
        return None
    seen = evidence(last.last_ns, last.last_packet, "last RTP packet")
    return _Stop(last.last_ns, seen, False)


def _outlive(camera: Camera, session: Session, facts: Facts) -> bool:
    """Whether media over UDP go on without the connection, which is allowed; or may do so, for
    they have come since and may still stop. A session that lasts for less than its time-out
    afterwards did need it, unless its reader ended it.
    """
    media = [s for s in _media_of(camera, session, facts) if s.row.transport == UDP]
    newest_ns = max((s.row.last_ns for s in media), default=0)
    if newest_ns <= session.ended_ns:
        return False
    if facts.now_ns - newest_ns > max(s.patience_ns for s in media):
        lasted_s = (newest_ns - session.ended_ns) / SECOND
        wanted = any(s.row.end in (TEARDOWN, GOODBYE) or s.superseded or s.paused for s in media)
        return wanted or lasted_s > session.timeout_s + LIMITS.expires_s[1]
    if newest_ns - session.ended_ns > LIMITS.outlive_ns:
        return True
    return not facts.final and facts.now_ns - session.ended_ns <= LIMITS.outlive_ns


def _media_of(camera: Camera, session: Session, facts: Facts) -> list[StreamState]:
    return [
        s
        for s in facts.camera_streams.get(camera.address, [])
        if f"{s.meter}-{s.row.session}" == session.key and s.dst != camera.address
    ]


def _is_due(stop_ns: int, kept_ns: int, timeout_s: int) -> bool:
    late = (stop_ns - kept_ns) / SECOND - timeout_s
    return kept_ns > 0 and LIMITS.expires_s[0] <= late <= LIMITS.expires_s[1]


def _expired(camera: Camera, session: Session, stop: _Stop, facts: Facts) -> Observation | None:
    timeout = session.timeout_s
    report = max(
        [session.report_ns, *(s.receiver_report_ns for s in _media_of(camera, session, facts))]
    )
    kept = session.kept_ns
    refused = session.refused
    by_request = _is_due(stop.time_ns, kept, timeout)
    # keep-alives that were answered, or reports that were sent, and yet it ended as if there were
    # none
    since_play = not by_request and _is_due(stop.time_ns, session.play_ns, timeout)
    by_report = not by_request and not since_play and _is_due(stop.time_ns, report, timeout)
    forgotten = (
        refused is not None
        and refused.status == 454
        and stop.by_camera
        and stop.time_ns - refused.answered_ns <= LIMITS.expires_s[1] * SECOND
    )
    if not (by_request or since_play or by_report or forgotten):
        return None
    reported = report > (session.play_ns if since_play else kept) and refused is None
    text, action = None, None
    seen: list[EvidenceRecord]
    if refused is not None:
        text, action = _refused_text(camera, session)
        seen = [
            evidence(refused.time_ns, refused.packet, refused.method),
            evidence(refused.answered_ns, refused.answer_packet, refused.told),
        ]
    elif since_play and not reported:
        text = (
            f"Camera {camera.name} closed the session at its time-out of {timeout} s: it answers "
            f"{session.kept_by}, but does not count it as a keep-alive"
        )
        action = _use_another(session.kept_by, camera, session)
        seen = [evidence(kept, session.kept_packet, f"200 to {session.kept_by}")]
    elif reported:
        seen = [evidence(report, 0, "last RTCP report of the reader")]
        if session.transport == "tcp":  # what is sent there arrives
            text = (
                f"The session of camera {camera.name} ends at its time-out of {timeout} s: the"
                " reader's RTCP reports arrive, and do not count there"
            )
            action = f"Let the reader of {camera.name} send GET_PARAMETER as well, or use UDP"
        if kept:
            seen.insert(0, evidence(kept, session.kept_packet, f"200 to {session.kept_by}"))
    else:
        seen = [
            evidence(kept, session.kept_packet, f"200 to {session.kept_by}, the last keep-alive")
        ]
    values = {
        **about(camera),
        "timeout": str(timeout),
        "client": session.client,
        "detail": ": no keep-alive reached it",
    }
    if reported and by_report:
        values["detail"] = f" and none came for {timeout} s"
    return Observation(
        "rtsp-keepalive" if reported else "rtsp-timeout", subject_of(camera), values,
        (*seen, stop.seen), stop.time_ns, stop.time_ns, None, _severity(session, facts),
        detail=(f"read by {reader_name(session.client, facts)}",),
        text=text, action=action, camera=camera.address,
    )  # fmt: skip


def _severity(session: Session, facts: Facts) -> Severity | None:
    """Problems of another reader are information."""
    appliance = facts.view.facts.appliance_addresses
    return None if not appliance or session.client in appliance else "info"


def _refused_text(camera: Camera, session: Session) -> tuple[str, str]:
    refused = session.refused
    assert refused is not None
    said = f"{refused.method} was refused ({refused.told})"
    if refused.status == 454:
        text = (
            f"Camera {camera.name} has forgotten the session at its time-out of "
            f"{session.timeout_s} s: {said}"
        )
        last = f"the last keep-alive that counted was {session.kept_by}"
        action = (
            f"Let the reader keep the session alive more often than every {session.timeout_s} s "
            f"({last}), by {_another('', session)}"
        )
        return text, action
    text = (
        f"Camera {camera.name} closed the session at its time-out of {session.timeout_s} s: {said},"
        " so nothing kept it alive"
    )
    if refused.status == 401:
        action = (
            f"Let the reader send {refused.method} again with the new nonce of the 401 "
            f"(update it), or keep the session alive by RTCP reports"
        )
        return text, action
    return text, _use_another(refused.method, camera, session)


def _another(method: str, session: Session) -> str:
    offered = [m for m in _KEEPERS if m != method and (not session.offers or m in session.offers)]
    return offered[0] if offered else "RTCP reports"


def _use_another(method: str, camera: Camera, session: Session) -> str:
    use = _another(method, session)
    known = ", which it offers," if use in session.offers else ""
    return (
        f"Let the reader keep the session of {camera.name} alive by {use}{known} instead of "
        f"{method}; or update the camera's firmware"
    )


def _closed(camera: Camera, session: Session, stop: _Stop, facts: Facts) -> Observation:
    played = (stop.time_ns - session.play_ns) / SECOND
    how = "a reset" if session.ended == "rst-server" else "a close"
    return Observation(
        "rtsp-closed", subject_of(camera),
        {**about(camera), "seconds": f"{played:.0f}", "timeout": str(session.timeout_s),
         "client": session.client, "reader": reader_name(session.client, facts), "how": how},
        (evidence(session.play_ns, session.play_packet, "200 to PLAY"), stop.seen),
        stop.time_ns, stop.time_ns, None, _severity(session, facts), camera=camera.address,
    )  # fmt: skip
