"""What a camera answers to RTSP when it gives no picture: a refusal, or nothing at all.

rtsp-auth, rtsp-lockout, rtsp-not-found, rtsp-sessions, rtsp-transport, rtsp-error, rtsp-silent. A
refusal is told of the client that it was given to: the appliance's own stop a picture; those of
other clients, and of tracks that the picture does without, are information.
"""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.cameras.lockout import lockout
from panotui.diagnosis.cameras.statuses import status_of
from panotui.diagnosis.cameras.words import about, reader_name, subject_of
from panotui.diagnosis.catalogue import filled
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import EvidenceRecord
from panotui.state.camera import Camera
from panotui.state.camera_media import silent_requests
from panotui.state.camera_refusals import Refusal

_LOGGED = 'the appliance logs "Failed to get SDP description" or "SETUP failed" for this'
EVIDENCE_MAX = 8


class RefusalRule(Rule):
    """See the module's text."""

    of_cameras = True

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        appliance = facts.view.facts.appliance_addresses
        for camera in facts.cameras.cameras.values():
            standing = camera.refusals.standing(
                camera.sessions.values(), facts.now_ns, appliance, facts.final
            )
            groups: dict[tuple[str, str, str], list[Refusal]] = {}
            for refusal, whose in standing:
                client = "" if whose == "reader" else refusal.client
                group = (status_of(refusal.status).finding, whose, client)
                groups.setdefault(group, []).append(refusal)
            for (_finding, whose, _client), refusals in groups.items():
                out.append(_told(camera, whose, refusals, facts))
            out.extend(_silence(camera, facts))
        return out


def _told(camera: Camera, whose: str, refusals: list[Refusal], facts: Facts) -> Observation:
    newest = max(refusals, key=lambda r: r.time_ns)
    status = status_of(newest.status)
    seen = tuple(
        sorted((e for r in refusals for e in r.seen), key=lambda e: e.time_ns)[-EVIDENCE_MAX:]
    )
    first = min(r.first_ns for r in refusals)
    client = newest.client
    wrong = camera.refusals.wrong.get(client, 0)
    if whose == "reader" and newest.status == 403 and wrong:
        return lockout(camera, "403 Forbidden", wrong, first, seen)
    values = {
        **about(camera),
        "count": str(sum(r.times for r in refusals)),
        "status": str(newest.status),
        "reason": newest.reason or "error",
        "meaning": status.meaning,
        "method": newest.method,
        "url": newest.url or camera.url or "of that name",
        "client": client,
        "advice": filled(status.advice, {"camera": camera.name}),
    }
    if newest.status == 461 and newest.transport:
        values["detail"] = f" ({newest.transport.split(';')[0]})"
    if whose == "other":
        return _of_another(camera, newest, values, seen, first)
    if whose == "optional":
        return _of_a_track(camera, newest, values, seen, first)
    text = action = None
    if newest.challenge:
        text = (
            f"Camera {camera.name} asks for a password, and {reader_name(client, facts)} sends none"
            f" ({newest.status} to {newest.method}, {_times(newest.times)})"
        )
        action = f"Enter the user name and password of {camera.name} where its stream is set up"
    return Observation(
        status.finding, subject_of(camera), values, seen, first, newest.time_ns,
        detail=(f"refused to {reader_name(client, facts)}", _LOGGED),
        text=text, action=action, camera=camera.address,
    )  # fmt: skip


def _of_another(
    camera: Camera,
    refusal: Refusal,
    values: dict[str, str],
    seen: tuple[EvidenceRecord, ...],
    first_ns: int,
) -> Observation:
    return Observation(
        status_of(refusal.status).finding, subject_of(camera), values, seen, first_ns,
        refusal.time_ns, severity="info",
        text=(
            f"{refusal.client} is refused by camera {camera.name}: {values['meaning']} "
            f"({refusal.status} to {refusal.method}, {_times(int(values['count']))})"
        ),
        action=f"Find out what {refusal.client} is and whether it may read {camera.name}",
        detail=("the appliance's own stream is not concerned",),
        camera=camera.address, key=f"{subject_of(camera)}|{refusal.client}",
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
        status_of(refusal.status).finding, subject_of(camera), values, seen, first_ns,
        refusal.time_ns, severity="info",
        text=(
            f"Camera {camera.name} refuses its {track} track ({refusal.status} to "
            f"{refusal.method}); the picture plays without it"
        ),
        action=f"Turn the {track} track off where the stream is set up, or on in {camera.name}",
        camera=camera.address, key=f"{subject_of(camera)}|{refusal.client}|{track}",
    )  # fmt: skip


def _silence(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """TCP is accepted, and requests stay without an answer."""
    if camera.media_ns and any(
        facts.now_ns - s.row.last_ns < 2_000_000_000
        and s.dst in {session.client for session in camera.sessions.values()}
        and s.row.session >= 0
        for s in facts.camera_streams.get(camera.address, [])
    ):
        return  # what plays was answered, whatever this vantage has seen of it
    silent = silent_requests(camera, facts.now_ns)
    appliance = facts.view.facts.appliance_addresses
    silent = [(s, a) for s, a in silent if not appliance or s.client in appliance]
    if not silent:
        return
    silent.reverse()  # oldest first
    session, asked = silent[-1]
    dport = next(iter(sorted(camera.ports)), 554)
    yield Observation(
        "rtsp-silent", subject_of(camera),
        {**about(camera), "client": session.client, "dport": str(dport),
         "method": asked.method, "count": str(len(silent)),
         "times": _times(len(silent))},
        tuple(
            evidence(a.time_ns, a.packet, f"{a.method}, no answer") for _, a in silent
        )[-EVIDENCE_MAX:],
        silent[0][1].time_ns, asked.time_ns,
        detail=(f"asked by {reader_name(session.client, facts)}", _LOGGED),
        camera=camera.address,
    )  # fmt: skip


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
