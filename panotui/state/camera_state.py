"""The one word for how a camera is, from its sessions and media."""

from __future__ import annotations

from panotui.state.camera import (
    MEDIA_AWAITED_NS,
    MEDIA_RECENT_NS,
    SEALED_RECENT_NS,
    SYN_UNANSWERED,
    TORN_DOWN_NS,
    Camera,
)
from panotui.state.streams import StreamState, media_of


def state_of(
    camera: Camera, streams: list[StreamState], now_ns: int, unseen_until_ns: int = 0
) -> tuple[str, str | None, int]:
    live = [s for s in streams if not s.row.end and s.state != "ended"]
    flowing = [
        s
        for s in streams
        if now_ns - max(s.row.last_ns, s.seen_ns) <= MEDIA_RECENT_NS and not _torn_down(camera, s)
    ]
    video = [s for s in flowing if media_of(s.codec) in ("video", None)] or flowing
    if flowing:
        losing = [s for s in video if s.state == "losing"]
        frozen = [s for s in video if s.state == "frozen"]
        if frozen and len(frozen) == len(video):
            return "silent", "the picture stands still", frozen[0].state_since_ns
        if losing:
            share = max(s.loss_now(now_ns) or 0.0 for s in losing)
            return "losing", f"{share * 100:.2f} % lost", losing[0].state_since_ns
        since = max((s.state_since_ns for s in video), default=now_ns)
        return "streaming", None, since
    if camera.sealed_ns and now_ns - camera.sealed_ns <= SEALED_RECENT_NS:
        return "streaming", "inside TLS (RTSPS): not to be looked into", camera.sealed_since_ns
    paused = [s for s in live if s.state == "paused"]
    if paused or any(s.state == "paused" for s in camera.sessions.values()):
        since = paused[0].state_since_ns if paused else now_ns
        return "paused", "paused by the reader", since
    frozen = [s for s in live if s.state == "frozen"]
    if frozen:
        last = max(s.row.last_ns for s in frozen)
        return "silent", "no packets although the session is open", last
    failed = _failure_of(camera)
    if failed is not None:
        return failed
    playing = [s for s in camera.sessions.values() if s.state == "playing"]
    if playing:
        latest = max(playing, key=lambda s: s.play_ns)
        if now_ns - max(latest.play_ns, unseen_until_ns) > MEDIA_AWAITED_NS:
            return "silent", "PLAY was answered, but no media arrives", latest.play_ns
        return "connecting", "waiting for the first media packet", latest.play_ns
    if streams:
        last = max(s.row.last_ns for s in streams)
        ended = next((s for s in reversed(camera.sessions.values()) if s.state == "ended"), None)
        how = f"the session ended ({ended.ended})" if ended else "the stream ended"
        return "silent", how, last
    open_sessions = [s for s in camera.sessions.values() if s.state in ("open", "ready")]
    if open_sessions:
        return "connecting", "RTSP dialogue under way", open_sessions[-1].opened_ns
    if camera.syn_unanswered:
        return "connecting", "waiting for an answer to SYN", camera.syn_first_ns
    if camera.sessions:
        last_session = next(reversed(camera.sessions.values()))
        if last_session.play_ns:
            return "silent", "PLAY was answered, but no media arrived", last_session.play_ns
        return "silent", f"the session ended ({last_session.ended})", last_session.ended_ns
    if camera.sealed_ns:
        return "silent", "no more comes through its RTSPS connection", camera.sealed_ns
    if camera.last_seen_ns:
        return "silent", "nobody asks it for a stream", camera.last_seen_ns
    return "unseen", None, now_ns


def _torn_down(camera: Camera, stream: StreamState) -> bool:
    """Has the camera said that it sends the stream no more, and does it not?"""
    row = stream.row
    session = camera.sessions.get(f"{stream.meter}-{row.session}")
    if session is None or not row.end or not session.torn_down_ns:
        return False
    return row.last_ns <= session.torn_down_ns + TORN_DOWN_NS


def _failure_of(camera: Camera) -> tuple[str, str | None, int] | None:
    if camera.arp_silent_ns:
        return "unreachable", "ARP goes unanswered", camera.arp_silent_ns
    if camera.syn_unanswered >= SYN_UNANSWERED:
        return "unreachable", f"{camera.syn_unanswered} SYNs unanswered", camera.syn_first_ns
    if camera.resets and camera.reset_ns > camera.connected_ns:
        return "refused", f"port {camera.reset_port} refuses the connection", camera.reset_ns
    refusal = camera.refusal
    if refusal is not None:
        text = f"RTSP {refusal.status}"
        if refusal.status == 401:
            text += " after credentials"
        elif refusal.reason:
            text += f" {refusal.reason}"
        return "refused", text, refusal.first_ns
    return None
