"""Whether pictures arrive evenly and often enough: stream-jitter, stream-fps."""

from __future__ import annotations

import math
from collections.abc import Iterable

from panotui.diagnosis.cameras.stream_events import Watched
from panotui.diagnosis.facts import Observation, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, StreamRow
from panotui.state.streams import LIMITS as STREAM_LIMITS

LIMITS = thresholds().cameras.pace


def uneven(watched: Watched) -> Iterable[Observation]:
    """Frame jitter over ten seconds; the per-packet jitter of RFC 3550 would alarm on perfect
    links.
    """
    stream, row, now = watched.stream, watched.stream.row, watched.facts.now_ns
    last = now // SECOND
    calm = _calm_since(watched) // SECOND + 1
    span = range(max(last - LIMITS.over_s, calm), last)
    recent_s = [stream.seconds[s] for s in span if s in stream.seconds]
    if not row.clock_rate or len(recent_s) < LIMITS.measured_s:
        return
    jitters = sorted(s.frame_jitter_ms for s in recent_s)
    middle = jitters[len(jitters) // 2]
    gap = max(s.gap_max_ms for s in recent_s)
    nominal = row.fps_nominal
    step = 1000 / nominal if math.isfinite(nominal) and nominal > 0 else 0.0
    parts = []
    if math.isfinite(middle) and middle - _by_stamps_ms(row) > LIMITS.jitter_ms:
        parts.append(f"frame jitter {middle:.0f} ms")
    if (
        math.isfinite(gap)
        and step
        and gap - step > LIMITS.late_ms
        and gap < 1000 * STREAM_LIMITS.frozen_s
    ):
        parts.append(f"a frame came {gap - step:.0f} ms late")
    if parts:
        yield Observation(
            "stream-jitter", watched.subject, {**watched.values, "detail": ", ".join(parts)},
            (evidence(now, row.last_packet, f"measured over the last {LIMITS.over_s} s"),),
            **watched.base,
        )  # fmt: skip


def _by_stamps_ms(row: StreamRow) -> float:
    """The unevenness of pictures that come evenly, but faster than their stamps say: of a recording
    that is read as fast as it can be.
    """
    stamped, fps = row.fps_nominal, row.fps_now
    return 1000 / stamped - 1000 / fps if 0 < stamped < fps < math.inf else 0.0


def _calm_since(watched: Watched) -> int:
    """Since when the filter of RFC 3550 has forgotten the newest freeze, which alone is reported:
    each frame takes away a sixteenth.
    """
    stream = watched.stream
    fps = stream.row.fps_nominal
    if not stream.freezes or not (math.isfinite(fps) and fps > 0):
        return 0
    last = stream.freezes[-1]
    return last.start_ns + int((last.seconds + LIMITS.forgotten_frames / fps) * SECOND)


def fast(watched: Watched) -> Iterable[Observation]:
    """More frames per second than expected, with time stamps that agree: a setting, no fault."""
    stream, row = watched.stream, watched.stream.row
    expected, fps = stream.fps_expected, row.fps_now
    if (
        not expected
        or not math.isfinite(fps)
        or row.last_ns - row.first_ns <= LIMITS.started_ns
        or not LIMITS.fps_share * min(fps, row.fps_nominal) > expected
        or not abs(fps - row.fps_nominal) <= LIMITS.agree_share * fps
    ):
        return
    yield Observation(
        "stream-fps", watched.subject,
        {**watched.values, "fps": f"{fps:.1f}", "expected": f"{expected:.3g}"},
        (evidence(watched.facts.now_ns, row.last_packet,
                  f"measured over the last {LIMITS.over_s} s"),),
        severity="info",
        text=f"Camera {watched.values['camera']} sends {fps:.3g} frames/s, more than the "
             f"{expected:.3g} expected",
        action=f"Correct the frame rate of {watched.camera.name}: in the camera, or in the site "
               "file",
        **watched.base,
    )  # fmt: skip


def slow(watched: Watched) -> Iterable[Observation]:
    """Fewer frames per second than declared, or than before."""
    stream, row, now = watched.stream, watched.stream.row, watched.facts.now_ns
    age = row.last_ns - row.first_ns
    fps = row.fps_now
    wanted = stream.fps_wanted
    if (
        not wanted
        or not math.isfinite(fps)
        or age <= LIMITS.started_ns
        or fps >= LIMITS.fps_share * wanted
    ):
        return
    if now - row.last_ns >= stream.patience_ns:
        return
    if any(now - f.start_ns - int(f.seconds * SECOND) < LIMITS.calm_ns for f in stream.freezes):
        return
    declared = stream.fps_expected is not None
    stamps = row.fps_stamped if math.isfinite(row.fps_stamped) else row.fps_nominal
    detail = ["the expected rate is declared" if declared else "it ran at that rate before"]
    if math.isfinite(stamps) and abs(stamps - fps) <= LIMITS.agree_share * stamps:
        detail.append(
            "its time stamps agree: the camera takes fewer pictures, as with a longer exposure in "
            "the dark"
        )
    yield Observation(
        "stream-fps", watched.subject,
        {**watched.values, "fps": f"{fps:.1f}", "expected": f"{wanted:.3g}"},
        (evidence(now, row.last_packet, f"measured over the last {LIMITS.over_s} s"),),
        detail=tuple(detail), missing=1 - fps / wanted, **watched.base,
    )  # fmt: skip
