"""The parameters of a camera's stream: stream-gop, stream-bitrate."""

from __future__ import annotations

import math
from collections.abc import Iterable

from panotui.diagnosis.cameras.stream_events import Watched
from panotui.diagnosis.facts import Observation, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, FreezeRecord
from panotui.model.quantities import rate as rate_text

LIMITS = thresholds().cameras.shape


def key_frames(watched: Watched) -> Iterable[Observation]:
    """Key frames that are too far apart."""
    row, now = watched.stream.row, watched.facts.now_ns
    keyframe = row.keyframe_last_ns
    gop = row.gop_s
    if keyframe and math.isfinite(gop) and _stood_still(watched, keyframe - int(gop * SECOND)):
        gop = math.nan
    came_ns = max([keyframe, *(_end_ns(f) for f in watched.stream.freezes)])
    since = (now - came_ns) / SECOND if keyframe else 0.0
    age = watched.age_s
    long = gop if math.isfinite(gop) and gop > LIMITS.gop_s else 0.0
    if keyframe and now - row.last_ns < watched.stream.patience_ns and not _is_poor(watched):
        long = max(long, since if since > LIMITS.gop_s else 0.0)
    elif (
        not keyframe
        and age > LIMITS.keyless_s
        and watched.stream.codec == "H264"
        and row.frames > LIMITS.keyless_pictures
    ):
        long = age
    if long > LIMITS.gop_s + LIMITS.slack_s:
        yield Observation(
            "stream-gop", watched.subject, {**watched.values, "seconds": f"{long:.0f}"},
            (
                evidence(keyframe or row.first_ns, 0, "last key frame"),
                evidence(row.last_ns, row.last_packet, "measured up to here"),
            ),
            **watched.base,
        )  # fmt: skip


def _stood_still(watched: Watched, since_ns: int) -> bool:
    """Whether the stream froze since then: key frames may have passed meanwhile."""
    return any(_end_ns(freeze) > since_ns for freeze in watched.stream.freezes)


def _end_ns(freeze: FreezeRecord) -> int:
    return freeze.start_ns + int(freeze.seconds * SECOND)


def _is_poor(watched: Watched) -> bool:
    """Only tiny pictures arrive: none may be a key frame because the picture is frozen, which shows
    a little later.
    """
    stream, now = watched.stream, watched.facts.now_ns
    whole = stream.row.bytes - stream.row.media_bytes
    headers = whole / max(1, stream.row.packets)  # of a packet
    content = stream.window(now, LIMITS.poor_s, "bytes") - headers * stream.window(
        now, LIMITS.poor_s, "packets"
    )
    return content / LIMITS.poor_s < LIMITS.poor_share * stream.row.media_bytes / max(
        watched.age_s, 1.0
    )


def heavy(watched: Watched) -> Iterable[Observation]:
    """A bit-rate that is too high for one stream."""
    row, now = watched.stream.row, watched.facts.now_ns
    rate = watched.stream.window(now, LIMITS.over_s, "bytes") * 8 / LIMITS.over_s
    if rate > LIMITS.heavy_bps and watched.age_s > LIMITS.over_s:
        yield Observation(
            "stream-bitrate", watched.subject,
            {**watched.values, "detail": f"{rate_text(rate)} over {LIMITS.over_s} s"},
            (evidence(now, row.last_packet, f"the last of these {LIMITS.over_s} s"),),
            **watched.base,
        )  # fmt: skip
