"""Whether a stream is complete: stream-loss, stream-burst, stream-camera-drop."""

from __future__ import annotations

import math
from collections.abc import Iterable

from panotui.diagnosis.cameras.stream_events import Memory, Watched
from panotui.diagnosis.cameras.words import reader_name
from panotui.diagnosis.facts import Observation, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND
from panotui.model.quantities import counted
from panotui.state.camera_streams import loss_behind
from panotui.state.connects import recent
from panotui.state.streams import LIMITS as STREAM_LIMITS

LIMITS = thresholds().cameras.loss


def lost(watched: Watched) -> Iterable[Observation]:
    """Packets lost on the way, over half a minute; the ends of key frames separately."""
    stream, row, facts = watched.stream, watched.stream.row, watched.facts
    if row.transport == 6:
        return  # gaps inside TCP are due to the camera or the capture
    now = facts.now_ns
    # packets within the reorder window are not lost yet, and those in this tool's own drops are not
    # the network's loss
    share = stream.loss_now(now)
    count = stream.lost_now(now)
    if share is None or not stream.loses_now(now):
        return
    seconds = min(STREAM_LIMITS.loss_window_s, max(1, (now - row.first_ns) // SECOND))
    outages = {g.packet for f in stream.freezes if (g := stream.gap_after(f)) is not None}
    gaps = [
        g
        for g in watched.events.gaps
        if now - g.time_ns <= STREAM_LIMITS.loss_window_s * SECOND and g.packet not in outages
    ]
    yield Observation(
        "stream-loss", watched.subject,
        {**watched.values, "loss": f"{100 * share:.2f}", "seconds": str(seconds),
         "detail": _neighbours(watched)},
        tuple(evidence(g.time_ns, g.packet, f"{g.lost} lost") for g in gaps[-8:]),
        gaps[0].time_ns if gaps else 0, gaps[-1].time_ns if gaps else 0,
        "possible" if stream.uncertain else "certain",
        "error" if share > LIMITS.bad_share else None, _whose_loss(watched, count, len(gaps)),
        weight=share, missing=share, **watched.base,
    )  # fmt: skip
    # the one reason for all of it, where the ends of key frames are what is lost
    tail, total = row.tail_lost, row.lost_unique
    if tail >= LIMITS.tail_packets and tail > LIMITS.tail_share * total:
        yield Observation(
            "stream-burst", watched.subject,
            {**watched.values, "tail": str(tail), "lost": str(total)},
            tuple(
                evidence(g.time_ns, g.packet, f"{g.lost} lost at the end of a key frame")
                for g in gaps
                if g.keyframe_tail
            )[-8:],
            severity="error" if share > LIMITS.bad_share else None,
            detail=(f"{100 * share:.2f} % of its packets lost over {seconds} s",),
            covers=(f"stream-loss|{watched.anchor}",), weight=share, missing=share, **watched.base,
        )  # fmt: skip


def lost_behind(watched: Watched) -> Iterable[Observation]:
    """Packets that pass here, and that their reader does not get by its own reports."""
    stream = watched.stream
    share = loss_behind(stream, watched.facts.now_ns)
    if share is None:
        return
    reader = reader_name(stream.dst, watched.facts)
    newest = stream.reports.newest
    yield Observation(
        "stream-loss", watched.subject, {**watched.values, "loss": f"{100 * share:.1f}"},
        tuple(
            evidence(one.time_ns, one.packet, f"{reader} reports {100 * one.share:.1f} % lost")
            for one in newest
        ),
        newest[0].time_ns, newest[-1].time_ns, "likely",
        "error" if share > LIMITS.bad_share else None,
        text=f"{reader[0].upper()}{reader[1:]} loses {100 * share:.1f} % of the packets of camera "
             f"{watched.values['camera']} by its own reports, and they all pass here",
        action=f"Look behind this point: the cable and port of {reader}, and its load (a full "
               "receive buffer loses packets too); or read the stream over TCP",
        weight=share, missing=share, **watched.base,
    )  # fmt: skip


def _neighbours(watched: Watched) -> str:
    """The loss of other cameras on the same path: none, if the fault is this camera's own."""
    stream, facts = watched.stream, watched.facts
    whole = losing = 0
    for address, streams in facts.camera_streams.items():
        if address == watched.camera.address or not stream.port:
            continue
        theirs = [
            s
            for s in streams
            if s.port == stream.port and s.row.transport == 17 and s.state == "streaming"
        ]
        whole += bool(theirs)
        losing += any(s.window(facts.now_ns, STREAM_LIMITS.loss_window_s, "lost") for s in theirs)
    if not whole or losing:
        return ""
    others = "the other camera loses" if whole == 1 else f"the {whole} other cameras lose"
    return f", while {others} nothing: it is this camera's own cable, port or switch"


def _whose_loss(watched: Watched, count: int, gaps: int) -> tuple[str, ...]:
    """What the reports of the camera and the reader say about it."""
    row, facts = watched.stream.row, watched.facts
    detail = [f"{counted(count, 'packet')} in {counted(gaps, 'gap') if gaps else 'several gaps'}"]
    if row.sr_packets >= 0:
        before = row.sr_lost
        detail.append(
            "lost before this point, by the camera's own count"
            if before > 0
            else "the camera's own count does not show it: lost near the camera or not reported yet"
        )
    reported = row.rr_fraction
    if math.isfinite(reported):
        detail.append(f"the reader itself reports {100 * reported:.1f} %")
    missed = facts.ring_dropped + facts.interface_dropped
    if watched.stream.uncertain and missed:
        detail.append(f"the capture itself missed {counted(missed, 'packet')}: some may be these")
    return tuple(detail)


def dropped_by_camera(watched: Watched, memory: Memory) -> Iterable[Observation]:
    """Sequence numbers that skip inside an intact TCP stream."""
    row, now = watched.stream.row, watched.facts.now_ns
    dropped = row.camera_dropped
    grew = memory.grew_ns(watched.stream.key, "dropped", dropped, now)
    share = dropped / max(1, row.expected)
    if (
        dropped < STREAM_LIMITS.lost_packets
        or share < STREAM_LIMITS.losing_share
        or not recent(grew, now, LIMITS.dropped_s)
    ):
        return
    told = [g for g in watched.events.gaps if g.where == "camera"]
    yield Observation(
        "stream-camera-drop", watched.subject,
        {**watched.values, "dropped": counted(dropped, "packet"),
         "gaps": counted(row.camera_gaps, "gap")},
        tuple(evidence(g.time_ns, g.packet, f"{g.lost} not sent") for g in told[-8:]),
        last_ns=grew, **watched.base,
    )  # fmt: skip
