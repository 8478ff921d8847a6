"""Where a camera's media go, and which of its readers' requests it does not answer."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from panotui.state.camera import Camera, Unreachable
from panotui.state.camera_session import RUNGS, Asked, Session, Track
from panotui.state.camera_streams import place_of
from panotui.state.streams import StreamState, media_of
from panotui.state.thresholds import thresholds

LIMITS = thresholds().camera_media


class Misdirected(Struct):
    """Media that go to a port that their reader did not request."""

    session: Session
    track: Track
    asked: str  # "50000-50001"
    port: int
    first_ns: int
    streams: list[StreamState]
    refused: Unreachable | None  # the ICMP message of the reader's host about it


NEEDED = "H264"
CODEC_NAMES = {"H265": "H.265", "JPEG": "MJPEG", "MP4V-ES": "MPEG-4 part 2"}


class Offer(Struct):
    """The description that a camera sent to a reader that needs another codec."""

    session: Session
    codecs: tuple[str, ...]  # of its pictures; empty: it described none

    @property
    def text(self) -> str:
        """`only H.265`, `no video`."""
        return only(self.codecs) if self.codecs else "no video"


def only(codecs: Iterable[str]) -> str:
    """`only H.265, MJPEG`."""
    return "only " + ", ".join(CODEC_NAMES.get(c, c) for c in codecs)


def unsuited(sessions: list[Session], whose: bool) -> Offer | None:
    """A description that does not suit the readers of these sessions: the newest, or one that
    plays.

    `whose`: the sessions are the appliance's; otherwise one suitable description is enough.
    """
    described = [s for s in sessions if s.described_ns]
    if not described:
        return None
    newest = max(described, key=lambda s: s.described_ns)
    wrong = []
    for session in described:
        codecs = tuple(
            dict.fromkeys(t.codec for t in session.tracks if t.media == "video" and t.codec)
        )
        if NEEDED in codecs or (not codecs and any(t.media == "video" for t in session.tracks)):
            if not whose:
                return None
        elif session is newest or session.state == "playing":
            wrong.append(Offer(session, codecs))
    return max(wrong, key=lambda o: o.session.described_ns, default=None)


def ports_text(ports: tuple[int, int] | None) -> str:
    """`50000-50001`."""
    return f"{ports[0]}-{ports[1]}" if ports else "?"


def toward(session: Session, streams: list[StreamState]) -> list[StreamState]:
    """UDP streams to a session's reader since it started to play, but none that was sent before
    and ended when it started.
    """
    return [
        s
        for s in streams
        if s.row.transport == 17
        and s.dst == session.client
        and s.row.last_ns >= session.play_ns - LIMITS.early_ns
        and not _is_former(s, session)
    ]


def misdirected(camera: Camera, streams: list[StreamState], now_ns: int) -> list[Misdirected]:
    """Tracks whose media go to other ports than requested, while nothing arrives at the requested
    ones.
    """
    out = []
    wanted = {
        track.asked[0]
        for session in camera.sessions.values()
        for track in session.udp_tracks
        if track.asked and not _is_replaced(camera, session)
    }
    for session in camera.sessions.values():
        if not session.play_ns or (session.ended_ns or now_ns) - session.play_ns < LIMITS.astray_ns:
            continue
        theirs = toward(session, streams)
        for track in session.udp_tracks:
            if track.asked is None:
                continue
            if any(s.row.dport == track.asked[0] for s in theirs):
                continue  # it arrives as it should
            strange = [s for s in theirs if s.row.dport not in wanted]
            if not strange or track.optional:
                continue
            first = min(strange, key=lambda s: s.row.first_ns)
            port = first.row.dport
            refused = camera.unreachable.get((session.client, port))
            if refused is None and any(s.receiver_report_ns > session.play_ns for s in strange):
                continue  # the reader receives them: it sends reports
            out.append(
                Misdirected(
                    session,
                    track,
                    ports_text(track.asked),
                    port,
                    first.row.first_ns,
                    strange,
                    refused,
                ),
            )
    return out


def _is_former(stream: StreamState, session: Session) -> bool:
    """It was sent before the session, and ended when that began: its own has not come yet."""
    before = stream.row.first_ns < session.play_ns - LIMITS.early_ns
    return before and stream.row.last_ns - session.play_ns < LIMITS.astray_ns


def _is_replaced(camera: Camera, session: Session) -> bool:
    """Its reader has ended it, and plays the same URL in a newer one: nobody waits at its ports."""
    by_reader = session.ended in ("fin-client", "rst-client")
    left_ns = session.let_go_ns or (session.ended_ns if by_reader else 0)
    return left_ns > 0 and any(
        other.client == session.client
        and other.play_ns > left_ns
        and place_of(other.url) == place_of(session.url)
        for other in reversed(camera.sessions.values())
    )


def pictureless(
    camera: Camera, sessions: list[Session], streams: list[StreamState], now_ns: int
) -> Session | None:
    """The newest session that plays a picture of which nothing has arrived: over TCP, or beside
    other media (sound, packets of a type that the description does not name).
    """
    for session in reversed(sessions):
        if session.state != "playing" or not session.plays_video:
            continue
        if now_ns - session.play_ns < LIMITS.awaited_ns:
            return None  # wait for it
        own = [s for s in streams if f"{s.meter}-{s.row.session}" == session.key]
        if any(media_of(s.codec) in ("video", None) and not s.row.undeclared for s in own):
            return None
        return session if session.transport == "tcp" or own else None
    return None


def turned_away(camera: Camera, now_ns: int) -> tuple[Session, Track, Unreachable] | None:
    """Media that arrive at the requested port, while the reader's host has reported for some time
    that nobody listens there.
    """
    for session in reversed(camera.sessions.values()):
        if session.state != "playing" or session.let_go_ns:
            continue
        for track in session.udp_tracks:
            told = track.asked and camera.unreachable.get((session.client, track.asked[0]))
            if not told or track.optional or now_ns - told.last_ns > LIMITS.turned_away_ns:
                continue
            if (
                told.first_ns >= session.play_ns
                and told.last_ns - told.first_ns >= LIMITS.astray_ns
            ):
                return session, track, told
    return None


def silent_requests(camera: Camera, now_ns: int) -> list[tuple[Session, Asked]]:
    """Requests for a picture that the camera received and never answered, or so late that their
    reader left, newest connection first; empty once it has answered the same reader again.
    """
    out: list[tuple[Session, Asked]] = []
    answered: set[str] = set()
    for session in reversed(camera.sessions.values()):
        if session.client in answered:
            continue
        asked = session.unanswered()
        if asked is not None and session.answered_ns <= asked.time_ns:
            waited = (session.ended_ns or now_ns) - asked.time_ns
            patience = LIMITS.play_silent_ns if asked.method == "PLAY" else LIMITS.silent_ns
            cut = is_cut(session) and now_ns - session.ended_ns >= LIMITS.cut_ns
            if (waited >= patience or cut) and camera.connected_ns and not session.let_go_ns:
                out.append((session, asked))
        elif (late := late_answer(session)) is not None:
            out.append((session, late))
        elif session.answered_ns:
            answered.add(session.client)
    return out


def late_answer(session: Session) -> Asked | None:
    """A request whose answer came so late that its reader asked for nothing more and left."""
    asked = session.answered
    if asked is None or not asked.time_ns or session.play_ns or session.unanswered() is not None:
        return None
    waited = asked.answered_ns - asked.time_ns
    left = session.ended in ("fin-client", "rst-client", "teardown")
    is_late = asked.method in RUNGS and waited >= LIMITS.silent_ns
    return asked if left and is_late else None


def is_cut(session: Session) -> bool:
    """The camera closed the connection instead of answering."""
    asked = session.unanswered()
    return (
        asked is not None
        and session.answered_ns <= asked.time_ns
        and session.ended in ("fin-server", "rst-server")
    )
