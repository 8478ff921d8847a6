"""Whether a stream is alive: stream-frozen, stream-frozen-picture, stream-restart.

A freeze is over when a packet arrives, or when nobody waits for one any more: its reader has paused
the session or started the camera again. A reader that leaves because nothing comes ends no freeze.
"""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.cameras.stream_events import Watched
from panotui.diagnosis.cameras.words import reader_name
from panotui.diagnosis.facts import Observation, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, Confidence
from panotui.model.quantities import counted
from panotui.model.tables import GOODBYE
from panotui.state.camera_session import Session
from panotui.state.camera_streams import given_up, let_go
from panotui.state.streams import LIMITS as STREAM_LIMITS
from panotui.state.streams import StreamState, media_of

LIMITS = thresholds().cameras.freezes


def _session(watched: Watched) -> Session | None:
    stream = watched.stream
    found = watched.facts.cameras.session_of(stream.meter, stream.row.session)
    return found[1] if found else None


def frozen(watched: Watched) -> Iterable[Observation]:
    """What is frozen: packets, or only the picture."""
    stream, row, now = watched.stream, watched.stream.row, watched.facts.now_ns
    last = row.last_ns
    if stream.paused or stream.superseded or row.packets < LIMITS.packets:
        return
    if media_of(stream.codec) == "metadata":
        return
    session = _session(watched)
    if session is None and media_of(stream.codec) != "video":
        return  # recognised only by its content: a call that ended is not a frozen camera
    if media_of(stream.codec) == "audio":
        yield from _mute(watched, session)
        return
    where = ", although the session is open" if session is not None and not session.ended else ""
    sureness: Confidence = "certain" if session is not None else "likely"
    values = {**watched.values, "detail": where}
    for freeze in watched.events.freezes:
        end = freeze.start_ns + int(freeze.seconds * SECOND)
        if 0 < stream.paused_ns <= end and stream.is_pause(freeze.start_ns):
            continue
        if watched.facts.blindness.covers(stream.meter, freeze.start_ns, end):
            continue
        over = freeze.kind in ("silence", "backlog") and freeze.seconds > STREAM_LIMITS.frozen_s
        if over and end <= last and now - end <= LIMITS.resumed_ns:
            caught = freeze.kind == "backlog"
            yield Observation(
                "stream-frozen", watched.subject, {**values, "seconds": f"{freeze.seconds:.1f}"},
                (
                    evidence(freeze.start_ns, 0, "last packet before the freeze"),
                    evidence(end, freeze.packet, "first packet after it"),
                ),
                freeze.start_ns, end, sureness,
                detail=_meanwhile(stream.taken_by(freeze), caught),
                **watched.base,
            )  # fmt: skip
            return
    silent = (now - max(last, stream.seen_ns)) / SECOND
    still = row.frozen_picture_s
    if still > STREAM_LIMITS.frozen_s and silent <= STREAM_LIMITS.frozen_s and not row.end:
        yield Observation(
            "stream-frozen-picture", watched.subject, {**values, "seconds": f"{still:.0f}"},
            (evidence(now - int(still * SECOND), 0, "the picture stands still from here"),),
            now - int(still * SECOND), now, **watched.base,
        )  # fmt: skip
        return
    goodbye = said_goodbye(stream, session)
    left = given_up(watched.camera, stream, session)
    stands = stream.state == "frozen" and not let_go(watched.camera, stream, session)
    if not (stands or goodbye or left) or silent <= STREAM_LIMITS.frozen_s:
        return
    if left:
        assert session is not None
        reader = reader_name(session.client, watched.facts)
        values["detail"] = f"; {reader} has ended its session since"
    if goodbye:
        values["detail"] = " since its RTCP BYE, although the session is open"
    yield Observation(
        "stream-frozen", watched.subject, {**values, "seconds": f"{silent:.0f}"},
        (evidence(last, row.last_packet, "last packet"),), last, now, sureness,
        **watched.base,
    )  # fmt: skip


def _meanwhile(lost: int, caught: bool) -> tuple[str, ...]:
    """What the first packets after a freeze show about the time of the freeze."""
    if caught:
        return ("the packets held back came all at once afterwards: the stream caught up",)
    if not lost:
        return ()
    said = f"{counted(lost, 'packet')} of that time were lost on the way"
    return (f"the camera kept sending: {said}",)


def said_goodbye(stream: StreamState, session: Session | None) -> bool:
    """The sender has ended the stream, while its session plays on."""
    return bool(
        stream.row.end == GOODBYE
        and not stream.superseded
        and session is not None
        and session.state == "playing"
        and not session.let_go_ns
    )


def _mute(watched: Watched, session: Session | None) -> Iterable[Observation]:
    """Audio that has stopped; nobody looks at it, and some cameras send none in silence."""
    stream, now = watched.stream, watched.facts.now_ns
    last = stream.row.last_ns
    silent = (now - max(last, stream.seen_ns)) / SECOND
    if (
        stream.state != "frozen"
        or silent <= STREAM_LIMITS.frozen_s
        or let_go(watched.camera, stream, session)
    ):
        return
    yield Observation(
        "stream-frozen", watched.subject, {**watched.values, "seconds": f"{silent:.0f}"},
        (evidence(last, stream.row.last_packet, "last packet"),), last, now, "likely", "info",
        text=f"The sound of camera {watched.values['camera']} has stopped: no packets for "
             f"{silent:.0f} s",
        action=f"Look at the microphone and the audio settings of {watched.camera.name}, if the "
               "sound is needed",
        **watched.base,
    )  # fmt: skip


def restarted(watched: Watched) -> Iterable[Observation]:
    """The sender restarted without a request."""
    now = watched.facts.now_ns
    session = _session(watched)
    for restart in reversed(watched.events.restarts):
        if (
            restart.kind not in ("ssrc", "sequence")
            or now - restart.time_ns > LIMITS.restart_s * SECOND
        ):
            continue
        if session is not None and abs(restart.time_ns - session.play_ns) < LIMITS.played_ns:
            continue
        yield Observation(
            "stream-restart", watched.subject,
            {**watched.values, "kind": "SSRC" if restart.kind == "ssrc" else "sequence numbers"},
            (evidence(restart.time_ns, restart.packet, f"{restart.kind} {restart.detail}"),),
            restart.time_ns, restart.time_ns, "likely" if session else "possible", **watched.base,
        )  # fmt: skip
        return
