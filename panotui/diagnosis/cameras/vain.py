"""Readers that play again and again and get no picture, or only over TCP: udp-blocked and
stream-frozen, told by what the readers do.
"""

from __future__ import annotations

from msgspec.structs import replace

from panotui.diagnosis.cameras.unread import unread
from panotui.diagnosis.cameras.words import about, reader_name, subject_of
from panotui.diagnosis.facts import LIMITS as COMMON_LIMITS
from panotui.diagnosis.facts import Facts, Observation, evidence
from panotui.model import SECOND, EvidenceRecord
from panotui.model.quantities import times
from panotui.state.camera import Camera
from panotui.state.camera_media import ports_text
from panotui.state.camera_session import Session
from panotui.state.camera_vain import Vain, in_vain
from panotui.state.connects import recent
from panotui.state.streams import StreamState

EVIDENCE_MAX = 8


def vain(camera: Camera, streams: list[StreamState], facts: Facts) -> list[Observation]:
    """Attempts of the appliance (of anyone while it is unknown) that brought no picture."""
    appliance = facts.view.facts.appliance_addresses
    sessions = [s for s in camera.sessions.values() if not appliance or s.client in appliance]
    out = []
    for one in in_vain(sessions, streams):
        if not recent(one.tries[-1].until_ns, facts.now_ns, COMMON_LIMITS.stale_s):
            continue
        if one.way == "tcp":
            if not facts.visibility.snapped:  # else frames inside TCP cannot be followed
                out.append(_unreadable(camera, one, facts))
            continue
        strange = unread(camera, one.session, facts) or _in_vain_by_udp(camera, one, facts)
        if one.way == "udp" and strange.id == "udp-blocked":
            strange = of_any_ports(strange, camera, one.session)
        # (that a reader falls back to TCP each time is proof also where no UDP was captured)
        doubted = one.way == "udp" and facts.visibility.only_tcp
        out.append(filtered(strange, camera) if doubted else strange)
    return out[:1]


def _in_vain_by_udp(camera: Camera, one: Vain, facts: Facts) -> Observation:
    reader = reader_name(one.session.client, facts)
    ports = f"ports {ports_text(one.tries[-1].ports)}"
    count = times(len(one.tries))
    falls_back = one.way == "udp, then tcp"
    return Observation(
        "udp-blocked", subject_of(camera),
        {**about(camera), "client": one.session.client, "ports": ports},
        _seen(one), one.tries[0].play_ns, one.tries[-1].until_ns,
        "certain" if falls_back else None, "warning" if falls_back else None,
        detail=("control: the picture arrives over TCP",) if falls_back else
               ("control: the RTSP dialogue over TCP works",),
        text=f"Camera {camera.name} plays over TCP only: {reader} first waits {_waited(one)} in "
             f"vain for video over UDP at each start ({count})" if falls_back else
             f"Camera {camera.name} plays, but no video arrives over UDP: {reader} gives up after "
             f"{_waited(one)} each time ({count})",
        action=f"Set the stream of {camera.name} to TCP (interleaved) in the application that "
               f"reads it, or allow UDP {ports} from {camera.address} to {one.session.client}",
        camera=camera.address,
    )  # fmt: skip


def filtered(blocked: Observation, camera: Camera) -> Observation:
    """The same where nothing but TCP was captured: that no UDP is seen proves nothing then."""
    values = blocked.values
    return replace(
        blocked,
        text=f"Camera {camera.name} plays, and no video is seen: this capture holds nothing but"
        " TCP, so a filter has left the media out, or their UDP ports are blocked",
        action="Capture again without a filter; if no UDP comes even then, allow UDP"
        f" {values['ports']} from {camera.address} to {values['client']}, or set the stream to TCP"
        " (interleaved)",
        confidence="possible",
        severity="warning",
    )


def of_any_ports(blocked: Observation, camera: Camera, session: Session) -> Observation:
    """Most readers ask for other ports in each session: to allow the last ones helps once."""
    asked = {
        t.asked
        for s in camera.sessions.values()
        if s.client == session.client
        for t in s.udp_tracks
        if t.asked and not t.optional
    }
    if len(asked) < 2:
        return blocked
    low, high = min(a[0] for a in asked), max(a[1] for a in asked)
    return replace(
        blocked,
        action=f"Allow UDP from {camera.address} to {session.client}, on any port that the reader"
        f" asks for (so far {low} to {high}, others in each session), or set the stream to TCP"
        " (interleaved)",
    )


def _unreadable(camera: Camera, one: Vain, facts: Facts) -> Observation:
    reader = reader_name(one.session.client, facts)
    count = times(len(one.tries))
    broken = 2 * one.strays > len(one.tries)
    text = (
        f"Camera {camera.name} sends its picture inside TCP in frames with wrong lengths: {reader} "
        f"loses it and begins anew ({count})"
        if broken
        else f"Camera {camera.name} answers PLAY and no picture comes: {reader} gives up after "
        f"{_waited(one)} each time ({count})"
    )
    action = (
        f"Set the stream of {camera.name} to UDP in the application that reads it, and update the "
        "camera's firmware"
        if broken
        else f"Restart {camera.name}, and check that the video of this profile is on"
    )
    return Observation(
        "stream-frozen", subject_of(camera), {**about(camera), "client": one.session.client},
        _seen(one), one.tries[0].play_ns, one.tries[-1].until_ns,
        text=text, action=action, camera=camera.address,
    )  # fmt: skip


def _waited(one: Vain) -> str:
    shortest = min(t.until_ns - t.play_ns for t in one.tries)
    return f"{round(shortest / SECOND)} s"


def _seen(one: Vain) -> tuple[EvidenceRecord, ...]:
    out = []
    for t in one.tries[-EVIDENCE_MAX // 2 :]:
        out.append(evidence(t.play_ns, t.play_packet, "200 to PLAY"))
        out.append(evidence(t.until_ns, t.until_packet, "the reader gives up, without a picture"))
    return tuple(out)
