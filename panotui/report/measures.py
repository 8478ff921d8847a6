"""The numbers in a report's tables of cameras, ports and endpoints: a `Story` in, rows out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from panotui.model import SECOND, CameraRecord, EndpointRecord, PortRecord, StreamRecord
from panotui.recording.spans import NO_CAMERA, Counted
from panotui.report.content import endpoints_in_order
from panotui.report.plots import Band, Series
from panotui.report.story import Story
from panotui.report.wording import duration, frame_text, lost_share, per_cent

PICTURES_MAX = 4
BANDS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class CameraMeasures:
    """One camera over the span; streams without a known camera have a row of their own."""

    key: str  # among the story's histories
    name: str
    record: CameraRecord | None
    address: str
    vendor: str | None
    pictures: tuple[str, ...]
    available: str
    mean_bps: float | None
    peak_bps: float | None
    loss: str
    jitter_ms: float | None
    freezes: int
    frozen_s: float
    still: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class PortMeasures:
    """One port over the span."""

    record: PortRecord
    available: str
    mean_in_bps: float | None
    peak_in_bps: float | None
    mean_out_bps: float | None
    peak_out_bps: float | None


def cameras(story: Story) -> list[CameraMeasures]:
    """One row per camera, those with problems first."""
    found = [_camera(story, record, story.streams_of(record.name)) for record in _ordered(story)]
    others = story.streams_of(None)
    if others:
        found.append(_camera(story, None, others))
    return found


def _ordered(story: Story) -> list[CameraRecord]:
    def lost(camera: CameraRecord) -> tuple[int, int]:
        told = story.tally(f"camera:{camera.name}")
        return -told.dead_s, -told.damaged_s

    return sorted(story.snapshot.cameras, key=lost)


def _camera(
    story: Story, record: CameraRecord | None, streams: list[StreamRecord]
) -> CameraMeasures:
    key = NO_CAMERA if record is None else record.name
    history = story.cameras.get(key)
    rates = None if history is None else history.series["rate"]
    counted = story.counted.get(key, Counted())
    freezes = [f for s in streams for f in s.freezes]
    jitters = [s.jitter_max_ms for s in streams if s.jitter_max_ms is not None]
    pictures = list(dict.fromkeys(frame_text(s) for s in streams if s.media != "audio"))
    if len(pictures) > PICTURES_MAX:
        pictures = [*pictures[:PICTURES_MAX], f"and {len(pictures) - PICTURES_MAX} more"]
    peaks = [s.bitrate_peak_bps for s in streams if s.bitrate_peak_bps is not None]
    tally = story.tally(f"camera:{key}")
    return CameraMeasures(
        key=key,
        name="streams of no known camera" if record is None else record.name,
        record=record,
        address=", ".join(sorted({s.src for s in streams})[:4]) if record is None
        else record.address,
        vendor=None if record is None else record.vendor,
        pictures=tuple(pictures),
        available=per_cent(tally.availability),
        mean_bps=_mean(rates),
        peak_bps=max(peaks) if peaks else _peak(rates),
        loss=lost_share(counted.lost, counted.expected),
        jitter_ms=max(jitters) if jitters else None,
        freezes=len(freezes),
        frozen_s=sum(f.seconds for f in freezes),
        still=tuple(
            Band(f.start_ns / SECOND, f.start_ns / SECOND + f.seconds,
                 f"stood still {f.seconds:.1f} s")
            for f in freezes[:BANDS_MAX]
        ),
    )  # fmt: skip


def ports(story: Story) -> list[PortMeasures]:
    """One row per port."""
    found = []
    for record in story.snapshot.ports:
        history = story.ports.get(record.name)
        low = None if history is None else history.series["in"]
        high = None if history is None else history.series["out"]
        found.append(
            PortMeasures(
                record=record,
                available=per_cent(story.tally(f"port:{record.name}").availability),
                mean_in_bps=_mean(low),
                peak_in_bps=record.peak_in_bps,
                mean_out_bps=_mean(high),
                peak_out_bps=record.peak_out_bps,
            )
        )
    return found


def endpoints(story: Story) -> list[tuple[EndpointRecord, str, str]]:
    """(endpoint, available, lost): problems first."""
    found = []
    for record in endpoints_in_order(story):
        told = story.tally(f"endpoint:{record.service}/{record.host}/{record.port}")
        lost = duration(told.dead_s) if told.dead_s else ""
        found.append((record, per_cent(told.availability), lost))
    return sorted(found, key=lambda row: not row[2])


def worst(story: Story, prefix: str) -> str:
    """The lowest availability of the subjects whose key has this prefix."""
    shares: Iterable[float | None] = (
        story.tally(key).availability for key in story.runs if key.startswith(prefix)
    )
    known = [share for share in shares if share is not None]
    return per_cent(min(known)) if known else per_cent(None)


def _mean(series: Series | None) -> float | None:
    """The mean over the time with data."""
    known = [] if series is None else [s for s in series.samples if s.value is not None]
    seconds = sum(s.seconds for s in known)
    if not seconds:
        return None
    return sum((s.value or 0.0) * s.seconds for s in known) / seconds


def _peak(series: Series | None) -> float | None:
    return None if series is None else max(
        (s.value for s in series.samples if s.value is not None), default=None
    )  # fmt: skip
