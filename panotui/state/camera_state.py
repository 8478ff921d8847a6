"""The state of a camera in one word: from its media, otherwise from the step at which its reader is
stuck.

Each function checks one thing and returns a verdict (state, text, since) or None; the first verdict
counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from panotui.model import SECOND
from panotui.model.quantities import times
from panotui.model.tables import GOODBYE
from panotui.state.camera import Camera
from panotui.state.camera_media import (
    Misdirected,
    is_cut,
    misdirected,
    pictureless,
    silent_requests,
    turned_away,
    unsuited,
)
from panotui.state.camera_sealed import sealed_failure
from panotui.state.camera_session import Session
from panotui.state.camera_streams import (
    given_up,
    label_of,
    let_go,
    loss_behind,
    own_sessions,
    own_streams,
)
from panotui.state.camera_vain import Vain, in_vain
from panotui.state.ladder import syns
from panotui.state.streams import StreamState, media_of
from panotui.state.thresholds import thresholds

LIMITS = thresholds().camera_state

Verdict: TypeAlias = tuple[str, str | None, int]


class Scene(Struct):
    """A camera at `now_ns`."""

    camera: Camera
    streams: list[StreamState]  # from the camera to its reader (the appliance, if it reads)
    sessions: list[Session]  # likewise
    now_ns: int
    unseen_until_ns: int  # the capture saw little or nothing until then
    appliance: frozenset[str]  # its addresses, empty while unknown
    final: bool
    astray: list[Misdirected]
    vain: list[Vain]


def state_of(
    camera: Camera,
    streams: list[StreamState],
    now_ns: int,
    unseen_until_ns: int = 0,
    appliance: frozenset[str] = frozenset(),
    final: bool = False,
) -> Verdict:
    """(state, text, since) of a camera."""
    own = own_streams(camera, [s for s in streams if s.dst != camera.address], appliance)
    sessions = own_sessions(camera, appliance)
    vain = [one for one in in_vain(sessions, own) if one.way != "udp, then tcp"]
    scene = Scene(
        camera, own, sessions, now_ns, unseen_until_ns, appliance, final,
        misdirected(camera, own, now_ns), vain,
    )  # fmt: skip
    for look in _LOOKS:
        found = look(scene)
        if found is not None:
            return found
    return "unseen", None, now_ns


def _flowing(scene: Scene) -> Verdict | None:
    elsewhere = {id(stream) for one in scene.astray for stream in one.streams}
    flowing = [
        s
        for s in scene.streams
        if scene.now_ns - max(s.row.last_ns, s.seen_ns)
        <= max(LIMITS.media_recent_ns, s.patience_ns)
        and id(s) not in elsewhere
        # a few packets of each attempt are no picture
        and not any(f"{s.meter}-{s.row.session}" in one.keys for one in scene.vain)
        and not _torn_down(scene.camera, s)
    ]
    video = [s for s in flowing if media_of(s.codec) in ("video", None)] or flowing
    if not video:
        return None
    away = turned_away(scene.camera, scene.now_ns)
    if away is not None and away[0] in scene.sessions:
        return "silent", f"its reader refuses the media: port {away[2].port}", away[2].first_ns
    bare = pictureless(scene.camera, scene.sessions, scene.streams, scene.now_ns)
    if bare is not None:
        what = "packets of another type" if any(s.row.undeclared for s in video) else "only sound"
        return "silent", f"{what}, and no picture", bare.play_ns
    frozen = [s for s in video if s.state == "frozen"]
    if len(frozen) == len(video):
        return "silent", "the picture stands still", frozen[0].state_since_ns
    # with several pictures, a missing one is the worst of the camera
    refused = _refused(scene)
    if refused is not None:
        return refused[0], f"{refused[1]}, while {_streams(len(video))}", refused[2]
    frozen += [s for s in scene.streams if _is_missed(scene, s)]
    if frozen:
        name = label_of(frozen[0], scene.streams)
        which = f"the picture {name}" if name else "one of its pictures"
        return "silent", f"{which} stands still", frozen[0].state_since_ns
    losing = [s for s in video if s.state == "losing"]
    if losing:
        share = max(s.loss_now(scene.now_ns) or 0.0 for s in losing)
        shown = f"{share * 100:.2f} % lost"
        text = "it lost packets in the last two minutes" if shown.startswith("0.00") else shown
        return "losing", text, losing[0].state_since_ns
    behind = {s.key: loss_behind(s, scene.now_ns) for s in video}
    if worst := max((share for share in behind.values() if share), default=0.0):
        stream = next(s for s in video if behind[s.key] == worst)
        text = f"its reader reports {worst * 100:.1f} % lost"
        return "losing", text, stream.reports.newest[0].time_ns
    return "streaming", None, max(s.state_since_ns for s in video)


def _streams(count: int) -> str:
    return "another stream plays" if count == 1 else f"{count} others play"


def _is_missed(scene: Scene, stream: StreamState) -> bool:
    """A picture that stopped while its reader still waits for it."""
    session = _session_of(scene, stream)
    return (
        stream.state == "frozen"
        and not stream.superseded
        and session is not None
        and media_of(stream.codec) in ("video", None)
        and not let_go(scene.camera, stream, session)
    )


def _astray(scene: Scene) -> Verdict | None:
    if not scene.astray:
        return None
    one = scene.astray[0]
    return "silent", f"its media go to port {one.port}, {one.asked} was requested", one.first_ns


def _vain(scene: Scene) -> Verdict | None:
    """Its newest reader gives up again and again, and the camera has answered it until then."""
    one = next((v for v in scene.vain if v.session is scene.sessions[-1]), None)
    if one is None:
        return None
    for look in (_out_of_reach, _refused, _mute):
        found = look(scene)
        if found is not None and found[2] >= one.tries[-1].until_ns:
            return found
    text = f"PLAY is answered and no picture comes ({times(len(one.tries))})"
    return "silent", text, one.tries[0].play_ns


def _sealed(scene: Scene) -> Verdict | None:
    camera = scene.camera
    if camera.sealed_ns and scene.now_ns - camera.sealed_ns <= LIMITS.sealed_recent_ns:
        ports = ", ".join(str(port) for port in sorted(camera.sealed_tries)) or "322"
        text = f"inside TLS (RTSPS, port {ports}): its contents cannot be seen"
        return "streaming", text, camera.sealed_since_ns
    return None


def _paused(scene: Scene) -> Verdict | None:
    paused = [s for s in scene.streams if s.state == "paused" and not s.row.end]
    if paused or any(s.state == "paused" for s in scene.sessions):
        since = paused[0].state_since_ns if paused else scene.now_ns
        return "paused", "paused by the reader", since
    return None


def _frozen(scene: Scene) -> Verdict | None:
    frozen = [s for s in scene.streams if s.state == "frozen"]
    if frozen:
        last = max(s.row.last_ns for s in frozen)
        for look in (_out_of_reach, _refused, _mute):
            found = look(scene)
            if found is not None and found[2] >= last:
                return found  # its result since then
        ended = [s for s in (_session_of(scene, one) for one in frozen) if s and s.ended]
        if len(ended) == len(frozen):
            return "silent", f"the session was {ended[-1].ending}", last
        return "silent", "no packets although the session is open", last
    return None


def _session_of(scene: Scene, stream: StreamState) -> Session | None:
    return scene.camera.sessions.get(f"{stream.meter}-{stream.row.session}")


def _out_of_reach(scene: Scene) -> Verdict | None:
    camera = scene.camera
    if camera.arp_silent_ns:
        return "unreachable", "ARP goes unanswered", camera.arp_silent_ns
    if camera.syn_unanswered >= LIMITS.unanswered_syns:
        return "unreachable", f"{syns(camera.syn_unanswered)} unanswered", camera.syn_first_ns
    answered = max((s.answered_ns for s in camera.sessions.values()), default=0)
    ended = [when for _, when in camera.hung_up if when > answered]
    if len(ended) > 1:
        return "silent", "it closes connections at once", ended[0]
    if camera.resets and camera.reset_ns > camera.connected_ns:
        return "refused", f"port {camera.reset_port} refuses the connection", camera.reset_ns
    return None


def _refused(scene: Scene) -> Verdict | None:
    camera = scene.camera
    sessions = camera.sessions.values()
    standing = camera.refusals.standing(
        sessions, scene.now_ns, scene.appliance, scene.final, camera.fed
    )
    refusals = [r for r, whose in standing if whose == "reader"]
    if not refusals:
        return None
    refusal = max(refusals, key=lambda r: r.time_ns)
    text = f"RTSP {refusal.status}"
    if refusal.by_http:
        text = "a web server answers on its RTSP port"
    elif refusal.status == 401:
        text += ", no credentials sent" if refusal.challenge else " after credentials"
    elif refusal.location:
        text += f": it sends its reader to {refusal.location}"
    elif refusal.reason:
        text += f" {refusal.reason}"
    return "refused", text, refusal.first_ns


def _mute(scene: Scene) -> Verdict | None:
    silent = [s for s in silent_requests(scene.camera, scene.now_ns) if s[0] in scene.sessions]
    if not silent:
        return None
    session, asked = silent[0]
    if asked.answered_ns:
        waited = (asked.answered_ns - asked.time_ns) / SECOND
        return "silent", f"{asked.method} is answered after {waited:.0f} s only", asked.time_ns
    if is_cut(session):
        return "silent", f"it cuts the connection at {asked.method}", silent[-1][1].time_ns
    return "silent", f"{asked.method} is not answered", silent[-1][1].time_ns


def _unopened(scene: Scene) -> Verdict | None:
    """Inside TLS nothing is visible, but it is visible that nobody gets in."""
    found = sealed_failure(scene.camera)
    if found is None:
        return None
    return "refused", f"TLS on port {found.port}: {found.text}", found.target.since_ns


def _unsuited(scene: Scene) -> Verdict | None:
    """Its reader has left, because the description does not suit it."""
    offer = unsuited(scene.sessions, bool(scene.appliance))
    if offer is None or offer.session.set_up:
        return None
    return "silent", f"it offers {offer.text}", offer.session.described_ns


def _playing(scene: Scene) -> Verdict | None:
    playing = [s for s in scene.sessions if s.state == "playing"]
    if not playing:
        return None
    latest = max(playing, key=lambda s: s.play_ns)
    if scene.now_ns - max(latest.play_ns, scene.unseen_until_ns) > LIMITS.media_awaited_ns:
        return "silent", "PLAY was answered, but no picture arrives", latest.play_ns
    return "connecting", "waiting for the first media packet", latest.play_ns


def _over(scene: Scene) -> Verdict | None:
    if not scene.streams:
        return None
    last = max(s.row.last_ns for s in scene.streams)
    if any(given_up(scene.camera, s, _session_of(scene, s)) for s in scene.streams):
        return "silent", "no packets came any more, and its reader has left", last
    ended = next((s for s in reversed(scene.sessions) if s.state == "ended"), None)
    said = any(s.row.end == GOODBYE for s in scene.streams)
    goodbye = "it has ended the stream (RTCP BYE)" if said else "the stream ended"
    how = f"the session was {ended.ending}" if ended else goodbye
    return _rests(ended), how, last


def _rests(session: Session | None) -> str:
    """The state after a session: its reader may have wanted no more of it."""
    return "paused" if session is not None and session.ended == "teardown" else "silent"


def _connecting(scene: Scene) -> Verdict | None:
    opened = [s for s in scene.sessions if s.state in ("open", "ready")]
    if opened:
        return "connecting", "RTSP dialogue under way", opened[-1].opened_ns
    if scene.camera.syn_unanswered:
        return "connecting", "waiting for an answer to SYN", scene.camera.syn_first_ns
    return None


def _pictures(scene: Scene) -> Verdict | None:
    camera = scene.camera
    if camera.pictures_ns and scene.now_ns - camera.pictures_ns <= LIMITS.sealed_recent_ns:
        return "streaming", f"pictures over HTTP to {camera.pictures_to}", camera.pictures_ns
    return None


def _past(scene: Scene) -> Verdict | None:
    camera = scene.camera
    if camera.sessions:
        last = next(reversed(camera.sessions.values()))
        if last.play_ns and not last.paused_ns:
            text = "PLAY was answered, but no picture arrived"
            if last.ended == "teardown":
                text += f" before the session was {last.ending}"
            return "silent", text, last.play_ns
        return _rests(last), f"the session was {last.ending}", last.ended_ns
    if camera.sealed_ns:
        return "silent", "no more comes through its RTSPS connection", camera.sealed_ns
    if camera.connected_ns:  # where frames are cut, its dialogue is not read
        text = "connections to it are accepted, and no RTSP is seen in them"
        return "unseen", text, camera.connected_ns
    if camera.last_seen_ns:
        return "silent", "nobody asks it for a stream", camera.last_seen_ns
    return None


_LOOKS: tuple[Callable[[Scene], Verdict | None], ...] = (
    _flowing, _astray, _sealed, _paused, _vain, _frozen, _out_of_reach, _refused, _mute, _unopened,
    _unsuited, _playing, _over, _connecting, _pictures, _past,
)  # fmt: skip


def _torn_down(camera: Camera, stream: StreamState) -> bool:
    """Whether the camera has confirmed the end of the stream, and no longer sends."""
    row = stream.row
    session = camera.sessions.get(f"{stream.meter}-{row.session}")
    if session is None or not row.end or not session.torn_down_ns:
        return False
    return row.last_ns <= session.torn_down_ns + LIMITS.torn_down_ns
