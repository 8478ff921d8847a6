"""RTSP answers of a camera that give no picture: a refusal, or no answer at all.

rtsp-auth, rtsp-lockout, rtsp-not-found, rtsp-sessions, rtsp-transport, rtsp-error, rtsp-silent. A
refusal is reported for the client that received it: the appliance's own prevent a picture; those of
other clients, and of tracks that the picture does not need, are information.
"""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.cameras.lockout import changed, lockout
from panotui.diagnosis.cameras.reboots import cut_by_camera
from panotui.diagnosis.cameras.statuses import Status, status_named, status_of
from panotui.diagnosis.cameras.words import about, anchor_in, anchor_of, reader_name, subject_of
from panotui.diagnosis.catalogue import filled
from panotui.diagnosis.facts import LIMITS as COMMON_LIMITS
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.diagnosis.unheard import unheard
from panotui.model import SECOND, EvidenceRecord
from panotui.model.quantities import some, times
from panotui.state.camera import Camera
from panotui.state.camera_media import is_cut, silent_requests
from panotui.state.camera_refusals import Refusal
from panotui.state.camera_session import Asked
from panotui.state.connects import recent

_LOGGED = 'the appliance logs "Failed to get SDP description" or "SETUP failed" for this'
EVIDENCE_MAX = 8
NAMED = 3
LIMITS = thresholds().cameras.refusals


class RefusalRule(Rule):
    """See the module."""

    of_cameras = True

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        appliance = facts.view.facts.appliance_addresses
        for camera in facts.cameras.cameras.values():
            standing = camera.refusals.standing(
                camera.sessions.values(), facts.now_ns, appliance, facts.final, camera.fed
            )
            groups: dict[tuple[str, str, str], list[Refusal]] = {}
            for refusal, whose in standing:
                client = "" if whose == "reader" else refusal.client
                group = (_status(refusal).finding, whose, client)
                groups.setdefault(group, []).append(refusal)
            for (_finding, whose, _client), refusals in groups.items():
                out.append(_told(camera, whose, refusals, facts))
            out.extend(_silence(camera, facts))
        return out


def _status(refusal: Refusal) -> Status:
    if refusal.by_http:
        return status_named("http")
    where = refusal.location or ""
    if 300 < refusal.status < 400 and where.rstrip("/") == refusal.url.rstrip("/"):
        return status_named("back")
    if 300 < refusal.status < 400 and where.startswith("rtsps:"):
        return status_named("sealed")
    return status_of(refusal.status)


def _told(camera: Camera, whose: str, refusals: list[Refusal], facts: Facts) -> Observation:
    newest = max(refusals, key=lambda r: r.time_ns)
    status = _status(newest)
    seen = tuple(
        sorted((e for r in refusals for e in r.seen), key=lambda e: e.time_ns)[-EVIDENCE_MAX:]
    )
    first = min(r.first_ns for r in refusals)
    client = newest.client
    covers = _before(camera, client, newest.path, newest.time_ns, facts)
    if whose == "reader" and newest.status == 403:
        locked = lockout(camera, client, "403 Forbidden", first, seen, facts, covers)
        if locked is not None:
            return locked
    values = {
        **about(camera),
        "count": str(sum(r.times for r in refusals)),
        "status": str(newest.status),
        "reason": newest.reason or "error",
        "meaning": filled(status.meaning, {"location": newest.location or "elsewhere"}),
        "method": newest.method,
        "url": newest.url or camera.url or "of that name",
        "client": client,
        "advice": filled(
            status.advice, {"camera": camera.name, "location": newest.location or "the new URL"}
        ),
    }
    if newest.status == 461 and newest.transport:
        values["detail"] = f" ({newest.transport.split(';')[0]})"
        if _wants_srtp(camera, newest):
            values["detail"] += ": it sends its media encrypted only (SRTP)"
            values["advice"] = f"Turn the encryption of media (SRTP) off in {camera.name}"
    if whose == "other":
        return _of_another(camera, newest, values, seen, first)
    if whose == "optional":
        return _of_a_track(camera, newest, values, seen, first)
    text = action = None
    if newest.stale:
        text = (
            f"Camera {camera.name} keeps rejecting the login of {reader_name(client, facts)} as "
            f"out of date (401 stale, {times(newest.times)} in a row)"
        )
        action = f"Restart the reader; then update it and the firmware of {camera.name}"
    elif newest.status == 401 and not newest.challenge:
        said = _wrong_scheme(camera, newest, facts) or changed(camera, client, newest.times)
        text, action = said or (None, None)
    elif status.finding == "rtsp-sessions":
        text = _taken(camera, newest, facts)
    if newest.challenge:
        text = (
            f"Camera {camera.name} asks for a password, and {reader_name(client, facts)} sends none"
            f" ({newest.status} to {newest.method}, {times(newest.times)})"
        )
        action = f"Enter the user name and password of {camera.name} where its stream is set up"
        if newest.offered and all(" " in scheme for scheme in newest.offered):
            only = " and ".join(newest.offered)
            text = f"{text[:-1]}; it accepts only {only}, which older readers do not support)"
            action = f"Allow Digest with MD5 in {camera.name}, or update the reader"
    return Observation(
        status.finding, subject_of(camera), values, seen, first, newest.time_ns,
        detail=(f"refused to {reader_name(client, facts)}", _LOGGED),
        text=text, action=action, camera=camera.address, covers=covers,
    )  # fmt: skip


def _taken(camera: Camera, refusal: Refusal, facts: Facts) -> str | None:
    """The sentence if it is seen who has the sessions; None: nobody else plays."""
    playing = (s.client for s in camera.sessions.values() if s.state == "playing")
    others = sorted({client for client in playing if client != refusal.client})
    if not others:
        return None
    reads = "reads" if len(others) == 1 else "read"
    who = some([reader_name(client, facts) for client in others], NAMED)
    return (
        f"Camera {camera.name} has no session or bandwidth left ({refusal.status} to"
        f" {refusal.method}) while {who} {reads} it"
    )


def _wrong_scheme(camera: Camera, refusal: Refusal, facts: Facts) -> tuple[str, str] | None:
    """Sentence and action if the reader logs in by a scheme that the camera does not offer."""
    session = camera.sessions.get(refusal.session)
    sent = session.auth_sent if session is not None else None
    offered = [scheme.split(" ")[0] for scheme in refusal.offered]
    if not sent or not offered or sent in offered:
        return None
    reader, only = reader_name(refusal.client, facts), " and ".join(dict.fromkeys(offered))
    return (
        f"Camera {camera.name} refuses the login: {reader} sends {sent}, but the camera offers "
        f"only {only} ({times(refusal.times)})",
        f"Set the reader to {offered[0]}, or allow {sent} in {camera.name}",
    )


def _wants_srtp(camera: Camera, refusal: Refusal) -> bool:
    """Its description has only encrypted media, and the reader did not request them."""
    session = camera.sessions.get(refusal.session)
    tracks = [t for t in session.tracks if t.media == "video"] if session else []
    asked = "SAVP" in (refusal.transport or "").upper()
    return bool(tracks) and all(t.protection for t in tracks) and not asked


def _before(camera: Camera, client: str, path: str, time_ns: int, facts: Facts) -> tuple[str, ...]:
    """The session that the camera had ended, and the picture that had stopped, before it refused
    the same reader another: the present problem is the refusal.
    """
    cut = any(
        s.client == client and s.ended_ns <= time_ns and (s.url or path).rstrip("/") == path
        for s in camera.sessions.values()
        if cut_by_camera(s)
    )
    streams = facts.camera_streams.get(camera.address, [])
    over = [
        f"stream-frozen|{anchor_in(camera, s, streams, facts)}"
        for s in streams
        if s.dst == client and s.row.last_ns < time_ns and (s.url or path).rstrip("/") == path
    ]
    return (*([f"rtsp-closed|{anchor_of(camera)}"] if cut else []), *over)


def _of_another(
    camera: Camera,
    refusal: Refusal,
    values: dict[str, str],
    seen: tuple[EvidenceRecord, ...],
    first_ns: int,
) -> Observation:
    return Observation(
        _status(refusal).finding, subject_of(camera), values, seen, first_ns,
        refusal.time_ns, severity="info",
        text=(
            f"{refusal.client} is refused by camera {camera.name}: {values['meaning']} "
            f"({refusal.status} to {refusal.method}, {times(int(values['count']))})"
        ),
        action=f"Find out what {refusal.client} is and whether it may read {camera.name}",
        detail=("the appliance's own stream is not affected",),
        camera=camera.address, key=f"{anchor_of(camera)}|{refusal.client}",
    )  # fmt: skip


def _of_a_track(
    camera: Camera,
    refusal: Refusal,
    values: dict[str, str],
    seen: tuple[EvidenceRecord, ...],
    first_ns: int,
) -> Observation:
    track = {"application": "metadata", "backchannel": "audio back channel"}.get(
        refusal.media, refusal.media or "further"
    )
    return Observation(
        _status(refusal).finding, subject_of(camera), values, seen, first_ns,
        refusal.time_ns, severity="info",
        text=(
            f"Camera {camera.name} refuses its {track} track ({refusal.status} to "
            f"{refusal.method}); the picture plays without it"
        ),
        action=f"Turn the {track} track off where the stream is set up, or on in {camera.name}",
        camera=camera.address, key=f"{anchor_of(camera)}|{refusal.client}|{track}",
    )  # fmt: skip


def _silence(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """TCP is accepted, and requests stay unanswered."""
    plays = {
        (s.dst, (s.url or "").rstrip("/"))
        for s in facts.camera_streams.get(camera.address, [])
        if recent(s.row.last_ns, facts.now_ns, LIMITS.plays_s) and s.row.session >= 0
    }
    fed = {client for client, _ in plays}
    appliance = facts.view.facts.appliance_addresses
    silent = [
        (s, a)
        for s, a in silent_requests(camera, facts.now_ns)
        # a playing session was answered, whatever was seen from this vantage
        if (not appliance or s.client in appliance)
        and (s.client not in fed
             or (is_cut(s) and (s.client, (s.url or a.url).rstrip("/")) not in plays))
    ]  # fmt: skip
    if not silent:
        yield from _hung_up(camera, facts)
        return
    silent.reverse()  # oldest first
    session, asked = silent[-1]
    cut = is_cut(session)
    seen = tuple(
        evidence(s.ended_ns, s.ended_packet, f"{a.method}; {s.ending}")
        if is_cut(s)
        else evidence(a.time_ns, a.packet, f"{a.method}, {_waited(a)}")
        for s, a in silent
    )[-EVIDENCE_MAX:]
    covers = _before(
        camera, session.client, (session.url or asked.url).rstrip("/"), asked.time_ns, facts
    )
    if cut:
        how, since_ns = "it cuts connections without an answer", silent[0][1].time_ns
        locked = lockout(camera, session.client, how, since_ns, seen, facts, covers)
        if locked is not None:
            yield locked
            return
    dport = next(iter(sorted(camera.ports)), 554)
    text = action = None
    late = [(s, a) for s, a in silent if a.answered_ns]
    if late:
        longest = max(a.answered_ns - a.time_ns for _, a in late) / SECOND
        left = any(s.ended_ns < a.answered_ns for s, a in late)
        text = (
            f"Camera {camera.name} answers {asked.method} only after {longest:.0f} s: "
            f"{reader_name(session.client, facts)} "
            f"{'does not wait so long' if left else 'leaves without playing'} "
            f"({times(len(silent))})"
        )
        action = f"Restart {camera.name}: its RTSP server is overloaded; close its other viewers"
    elif cut:
        text = (
            f"Camera {camera.name} closes the connection instead of answering {asked.method} "
            f"({times(len(silent))})"
        )
        action = (
            f"Close other viewers of {camera.name}: many cameras turn a reader away like this when "
            "their sessions are used up; otherwise restart it and update its firmware"
        )
    yield Observation(
        "rtsp-silent", subject_of(camera),
        {**about(camera), "client": session.client, "dport": str(dport),
         "method": asked.method, "count": str(len(silent)),
         "times": times(len(silent))},
        seen, silent[0][1].time_ns, asked.time_ns,
        detail=(f"asked by {reader_name(session.client, facts)}", _LOGGED),
        text=text, action=action, camera=camera.address, covers=covers,
        unheard=unheard(camera.address, dport, asked.time_ns, facts),
    )  # fmt: skip


def _waited(asked: Asked) -> str:
    if not asked.answered_ns:
        return "no answer"
    return f"answered after {(asked.answered_ns - asked.time_ns) / SECOND:.0f} s"


def _hung_up(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """Connections are accepted, and closed before any data."""
    answered = max((s.answered_ns for s in camera.sessions.values()), default=0)
    appliance = facts.view.facts.appliance_addresses
    found = [
        (time_ns, packet, client)
        for (client, time_ns), packet in camera.hung_up.items()
        if time_ns > answered and (not appliance or client in appliance)
    ]
    if len(found) < LIMITS.hung_up_times or not recent(
        found[-1][0], facts.now_ns, COMMON_LIMITS.stale_s
    ):
        return
    client = found[-1][2]
    yield Observation(
        "rtsp-silent", subject_of(camera),
        {**about(camera), "client": client, "count": str(len(found))},
        tuple(
            evidence(time_ns, packet, f"connection of {who}, ended by the camera")
            for time_ns, packet, who in found[-EVIDENCE_MAX:]
        ),
        found[0][0], found[-1][0],
        detail=(f"asked by {reader_name(client, facts)}", _LOGGED),
        text=f"Camera {camera.name} accepts connections to its RTSP port and ends them at once "
             f"({times(len(found))})",
        action=f"Restart {camera.name}: its RTSP server has stopped; then update its firmware, and "
               "close other viewers",
        camera=camera.address, unheard=True,
    )  # fmt: skip
