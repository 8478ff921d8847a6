"""After PLAY: whether the media arrive, and where. udp-blocked, media-wrong-port, and stream-frozen
if a picture never arrived.

"No media" is reported only if nothing at all reaches the reader; media at another port, or rejected
by the reader's host, are reported as such.
"""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.cameras.unread import unread
from panotui.diagnosis.cameras.vain import filtered, of_any_ports, vain
from panotui.diagnosis.cameras.words import about, reader_name, subject_of
from panotui.diagnosis.facts import LIMITS as COMMON_LIMITS
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import SECOND, EvidenceRecord, StreamRow
from panotui.model.quantities import times
from panotui.state.camera import Camera
from panotui.state.camera_media import LIMITS as CAMERA_MEDIA_LIMITS
from panotui.state.camera_media import misdirected, pictureless, ports_text, toward, turned_away
from panotui.state.camera_session import Session
from panotui.state.camera_streams import is_group, own_sessions
from panotui.state.connects import recent
from panotui.state.streams import StreamState


class MediaRule(Rule):
    """See the module."""

    of_cameras = True

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for camera in facts.cameras.cameras.values():
            if not camera.sessions:
                continue
            streams = [
                s for s in facts.camera_streams.get(camera.address, []) if s.dst != camera.address
            ]
            strays = list(_astray(camera, streams, facts))
            strays = strays or _turned_away(camera, facts)
            strays = strays or _no_picture(camera, streams, facts)
            strays = strays or vain(camera, streams, facts)
            out.extend(strays or _nothing(camera, streams, facts) or _no_group(camera, facts))
        return out


def _astray(camera: Camera, streams: list[StreamState], facts: Facts) -> Iterable[Observation]:
    appliance = facts.view.facts.appliance_addresses
    for one in misdirected(camera, streams, facts.now_ns):
        session = one.session
        last = max(s.row.last_ns for s in one.streams)
        if not recent(last, facts.now_ns, COMMON_LIMITS.stale_s):
            continue
        first = min(one.streams, key=lambda s: s.row.first_ns).row
        seen = [
            evidence(one.track.time_ns, one.track.packet,
                     _setup_text(one.asked, one.track.answered)),
            evidence(first.first_ns, first.first_packet,
                     f"first media packet, to port {one.port}"),
        ]  # fmt: skip
        detail = ""
        if one.refused is not None:
            seen.append(
                evidence(one.refused.first_ns, one.refused.packet,
                         f"port unreachable, says {session.client}")
            )  # fmt: skip
            detail = ", where nothing listens"
        elif one.track.asked and one.port == one.track.asked[1]:
            detail = " (the second for reports)"
        own = not appliance or session.client in appliance
        yield Observation(
            "media-wrong-port", subject_of(camera),
            {**about(camera), "client": session.client,
             "reader": reader_name(session.client, facts), "asked": one.asked,
             "sent": str(one.port), "detail": detail},
            tuple(seen), one.first_ns, last, "certain" if one.refused else None,
            None if own else "info", camera=camera.address,
        )  # fmt: skip


def _turned_away(camera: Camera, facts: Facts) -> list[Observation]:
    found = turned_away(camera, facts.now_ns)
    if found is None:
        return []
    session, track, told = found
    reader = reader_name(session.client, facts)
    own = not facts.view.facts.appliance_addresses or facts.port_of(session.client)
    return [
        Observation(
            "media-wrong-port", subject_of(camera),
            {**about(camera), "client": session.client},
            (
                evidence(track.time_ns, track.packet, _setup_text(ports_text(track.asked),
                                                                  track.answered)),
                evidence(told.first_ns, told.packet, f"port unreachable, says {session.client}"),
            ),
            told.first_ns, told.last_ns, "certain", None if own else "info",
            text=f"Camera {camera.name} still sends its media to port {told.port} of {reader}, but "
                 f"nothing listens there any more (refused {times(told.times)})",
            action=f"Restart the application on {reader}: it closed the port without ending "
                   "its session",
            camera=camera.address,
        )
    ]  # fmt: skip


def _no_picture(camera: Camera, streams: list[StreamState], facts: Facts) -> list[Observation]:
    appliance = facts.view.facts.appliance_addresses
    own = own_sessions(camera, appliance)
    session = pictureless(camera, own, streams, facts.now_ns)
    if session is None or (appliance and session.client not in appliance):
        return []
    own_streams = [s for s in streams if f"{s.meter}-{s.row.session}" == session.key]
    strange = next((s.row for s in own_streams if s.row.undeclared), None)
    if strange is not None:
        return [_strange(camera, session, strange)]
    sound = bool(own_streams)
    what = "sent sound but no picture" if sound else "sent nothing"
    waited = (facts.now_ns - session.play_ns) // SECOND
    return [
        Observation(
            "stream-frozen", subject_of(camera), {**about(camera), "client": session.client},
            (evidence(session.play_ns, session.play_packet, "200 to PLAY"),),
            session.play_ns, facts.now_ns,
            text=f"Camera {camera.name} answered PLAY, but has {what} for {waited} s",
            action=f"Restart {camera.name}, and check that the video of this profile is on",
            camera=camera.address,
        )
    ]  # fmt: skip


def _strange(camera: Camera, session: Session, row: StreamRow) -> Observation:
    """Packets of a type that is not in the description: LIVE555 discards them."""
    named = ", ".join(str(t.payload_type) for t in session.tracks if t.media == "video")
    kind = row.payload_type
    return Observation(
        "stream-codec", subject_of(camera), {**about(camera), "client": session.client},
        (
            evidence(session.play_ns, session.play_packet, "200 to PLAY"),
            evidence(row.first_ns, row.first_packet, f"first packet of type {kind}"),
        ),
        row.first_ns, row.last_ns,
        text=f"Camera {camera.name} sends packets of payload type {kind}, but its SDP names "
             f"{named or 'none'}: a reader that follows the SDP shows no picture",
        action=f"Update the firmware of {camera.name}, or choose another profile there",
        camera=camera.address,
    )  # fmt: skip


def _setup_text(asked: str, answered: tuple[int, int] | None) -> str:
    said = f"the answer says {ports_text(answered)}" if answered else "the answer names none"
    return f"200 to SETUP: client_port {asked} was requested, {said}"


def _no_group(camera: Camera, facts: Facts) -> list[Observation]:
    """A multicast group that the camera claims to send to, and that does not arrive."""
    now = facts.now_ns
    appliance = facts.view.facts.appliance_addresses
    own = [s for s in facts.camera_streams.get(camera.address, []) if is_group(s.dst)]
    for session in reversed(camera.sessions.values()):
        wanted = [t for t in session.group_tracks if not t.optional]
        end = session.paused_ns or session.ended_ns or now
        if not wanted or not session.play_ns or (appliance and session.client not in appliance):
            continue
        if end - session.play_ns < CAMERA_MEDIA_LIMITS.awaited_ns or not recent(
            end, now, COMMON_LIMITS.stale_s
        ):
            continue
        if any(s.row.last_ns >= session.play_ns - CAMERA_MEDIA_LIMITS.early_ns for s in own):
            return []
        until = min(end, session.play_ns + CAMERA_MEDIA_LIMITS.awaited_ns)
        address, port = wanted[0].group or ("", 0)
        group = f"{address} port {port}" if address else "that it names nowhere"
        return [Observation(
            "udp-blocked", subject_of(camera),
            {**about(camera), "client": session.client, "ports": f"ports {port}-{port + 1}"},
            (
                evidence(wanted[0].time_ns, wanted[0].packet, f"200 to SETUP: multicast {group}"),
                evidence(session.play_ns, session.play_packet, "200 to PLAY"),
                evidence(until, 0, "no RTP packet until here"),
            ),
            session.play_ns, end, "likely",
            detail=("control: the RTSP dialogue over TCP works",),
            text=f"Camera {camera.name} plays, but its multicast does not arrive (group {group})",
            action=f"Look at multicast between {camera.name} and the reader (IGMP snooping, a "
                   "querier, routing of the group), or set the stream to unicast or TCP",
            camera=camera.address,
        )]  # fmt: skip
    return []


def _nothing(camera: Camera, streams: list[StreamState], facts: Facts) -> list[Observation]:
    now = facts.now_ns
    appliance = facts.view.facts.appliance_addresses
    for session in camera.sessions.values():
        wanted = [t for t in session.udp_tracks if not t.optional] or session.udp_tracks
        if not wanted or not session.play_ns or (appliance and session.client not in appliance):
            continue
        end = session.paused_ns or session.ended_ns or now
        if end - session.play_ns < CAMERA_MEDIA_LIMITS.awaited_ns or not recent(
            end, now, COMMON_LIMITS.stale_s
        ):
            continue
        if toward(session, streams) or _bound(session, streams):
            continue
        later = [
            s
            for s in camera.sessions.values()
            if s is not session and s.client == session.client and s.state == "playing"
            and (s.play_ns > session.play_ns or s.transport == "tcp")
        ]  # fmt: skip
        if later and any(toward(s, streams) or _bound(s, streams) for s in later):
            continue
        strange = unread(camera, session, facts)
        if strange is not None:
            return [strange]
        tcp = any(s.transport == "tcp" for s in camera.sessions.values()) and bool(streams)
        ports = ports_text(wanted[0].asked or wanted[0].answered)
        blocked = _blocked(camera, session, ports, ", while TCP works" if tcp else "", end)
        blocked = of_any_ports(blocked, camera, session)
        return [filtered(blocked, camera) if facts.visibility.only_tcp else blocked]
    return []


def _bound(session: Session, streams: list[StreamState]) -> bool:
    """Streams assigned to the session by signalling, whatever their addresses."""
    return any(
        f"{s.meter}-{s.row.session}" == session.key and s.row.last_ns >= session.play_ns
        for s in streams
    )


def _blocked(
    camera: Camera, session: Session, ports: str, while_text: str, end: int
) -> Observation:
    unwanted: list[EvidenceRecord] = [
        evidence(u.first_ns, u.packet, f"port {u.port} unreachable, says {u.reader}")
        for u in camera.unreachable.values()
        if u.reader == session.client and u.first_ns >= session.play_ns
    ][:2]
    until = min(end, session.play_ns + CAMERA_MEDIA_LIMITS.awaited_ns)
    return Observation(
        "udp-blocked", subject_of(camera),
        {**about(camera), "client": session.client, "ports": f"ports {ports}",
         "detail": while_text},
        (
            evidence(session.play_ns, session.play_packet, "200 to PLAY"),
            *unwanted,
            evidence(until, 0, "no RTP packet until here"),
        ),
        session.play_ns, end,
        detail=("control: the RTSP dialogue over TCP works",), camera=camera.address,
    )  # fmt: skip
