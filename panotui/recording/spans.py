"""Two spans of a recording compared: availability, losses and rates of cameras, findings, and new
devices and peers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from panotui.model import SECOND, DeviceRecord, FindingRecord, FlowRecord, ViolationRecord
from panotui.recording.reader import Recording
from panotui.recording.strips import recorded_runs
from panotui.state.strips import Runs

PEERS_MOST = 200_000
NO_CAMERA = ""  # streams without a known camera
STREAM_COLUMNS = ("resolution", "camera", "session", "rate_bps", "fps", "packets", "lost")
StreamRow: TypeAlias = tuple[int, str, int, str | None, int, float | None, float | None, int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a recording, in seconds since the epoch: [start_s, end_s)."""

    start_s: int
    end_s: int

    @property
    def seconds(self) -> int:
        return max(0, self.end_s - self.start_s)


@dataclass(frozen=True, slots=True)
class Counted:
    """Packets of a camera's streams in a span."""

    packets: int = 0
    lost: int = 0
    rate_bps: float | None = None  # the mean of the recorded time

    @property
    def expected(self) -> int:
        return self.packets + self.lost


@dataclass(frozen=True, slots=True)
class Before:
    """The span before the reported one, for comparison."""

    span: Span
    told: Span  # the compared span: the report's, or its newest part
    runs: Runs
    counted: Mapping[str, tuple[Counted, Counted]]  # camera -> (before, now)
    findings: tuple[int, int]  # warnings and errors that began: (before, now)
    violations: tuple[int, int]
    devices: tuple[str, ...]  # first seen in the later span
    peers: tuple[str, ...]  # first contacted in the later span
    news: tuple[str, ...] = ()  # findings that began in the later span only, in words


@dataclass(slots=True)
class Moment:
    """The streams of one camera in one sample."""

    seconds: int = 1
    rate_bps: float | None = None
    fps: float | None = None
    packets: int = 0
    lost: int = 0


def compared(
    recording: Recording,
    earlier: Span,
    told: Span,
    *,
    findings: Iterable[FindingRecord],
    devices: Iterable[DeviceRecord],
    samples: Sequence[StreamRow] | None = None,
    runs: Runs | None = None,
) -> Before:
    """`told` compared with `earlier`. `findings`: each period separately; `runs`: of the earlier
    span, if already known.
    """
    rows = samples if samples is not None else stream_rows(recording)
    then, now = counted(by_camera(rows, earlier)), counted(by_camera(rows, told))
    names = sorted({*then, *now})
    troubles = [f for f in findings if f.severity != "info" and f.hidden_by is None]
    violations = recording.violations()
    known = {f.name for f in troubles if _begins(f.first_time_ns, earlier)}
    new = (f for f in troubles if _begins(f.first_time_ns, told) and f.name not in known)
    return Before(
        span=earlier,
        told=told,
        runs=runs if runs is not None else recorded_runs(recording, earlier.start_s, earlier.end_s),
        counted={n: (then.get(n, Counted()), now.get(n, Counted())) for n in names},
        findings=(_begun(troubles, earlier), _begun(troubles, told)),
        violations=(_begun(violations, earlier), _begun(violations, told)),
        devices=tuple(
            d.names[0] if d.names else d.mac for d in devices if _begins(d.first_time_ns, told)
        ),
        peers=_new_peers(recording, earlier, told),
        news=tuple(dict.fromkeys(f"{f.id} {f.subject}" for f in new)),
    )


def stream_rows(recording: Recording) -> list[StreamRow]:
    return list(recording.samples("stream_sample", STREAM_COLUMNS))


def by_camera(samples: Sequence[StreamRow], span: Span) -> dict[str, list[tuple[int, Moment]]]:
    """The total of each camera's streams in a span, by time."""
    found: dict[str, dict[int, Moment]] = defaultdict(dict)
    for start_s, camera, moment in _moments(samples):
        if not span.start_s <= start_s < span.end_s:
            continue
        of_camera = found[camera]
        there = of_camera.get(start_s)
        of_camera[start_s] = moment if there is None else _joined(there, moment)
    return {camera: sorted(of_camera.items()) for camera, of_camera in found.items()}


def counted(cameras: Mapping[str, Sequence[tuple[int, Moment]]]) -> dict[str, Counted]:
    """Packets and mean rate in a span."""
    found: dict[str, Counted] = {}
    for camera, moments in cameras.items():
        known = [(m.rate_bps, m.seconds) for _, m in moments if m.rate_bps is not None]
        seconds = sum(s for _, s in known)
        found[camera] = Counted(
            sum(m.packets for _, m in moments),
            sum(m.lost for _, m in moments),
            sum(rate * s for rate, s in known) / seconds if seconds else None,
        )
    return found


def _moments(samples: Sequence[StreamRow]) -> Iterable[tuple[int, str, Moment]]:
    """(start_s, camera, the stream's data since its previous sample)."""
    before: dict[tuple[str, int], tuple[int, int]] = {}
    for time_s, name, seconds, camera, session, rate_bps, fps, packets, lost in samples:
        now = (packets or 0, lost or 0)
        old = before.get((name, session), (0, 0))
        before[(name, session)] = now
        more, gone = now[0] - old[0], now[1] - old[1]
        if more < 0:
            more, gone = 0, 0  # another stream has the name now
        # The recorder's rate covers ten seconds, so it lingers after the last packet.
        shown = 0.0 if rate_bps == 0 and fps is not None else fps
        yield time_s - 1, camera or NO_CAMERA, Moment(seconds, rate_bps, shown, more, max(0, gone))


def _joined(one: Moment, other: Moment) -> Moment:
    """Two streams of one camera at one time: rates are added, the better picture counts."""
    rates = [r for r in (one.rate_bps, other.rate_bps) if r is not None]
    frames = [f for f in (one.fps, other.fps) if f is not None]
    return Moment(
        max(one.seconds, other.seconds),
        sum(rates) if rates else None,
        max(frames) if frames else None,
        one.packets + other.packets,
        one.lost + other.lost,
    )


def _begun(records: Iterable[FindingRecord | ViolationRecord], span: Span) -> int:
    return sum(_begins(record.first_time_ns, span) for record in records)


def _begins(first_ns: int, span: Span) -> bool:
    return span.start_s * SECOND <= first_ns < span.end_s * SECOND


def _new_peers(recording: Recording, earlier: Span, told: Span) -> tuple[str, ...]:
    """Peers that were not contacted in the span before."""
    known, new = set[str](), set[str]()
    for flow in _flows_of(recording, earlier, told):
        if flow.own:
            continue
        for span, names in ((earlier, known), (told, new)):
            if _lives_in(flow, span) and len(names) < PEERS_MOST:
                names.add(flow.host or flow.dst)
    return tuple(sorted(new - known))


def _flows_of(recording: Recording, one: Span, other: Span) -> Iterator[FlowRecord]:
    """The flows of two spans, each unpacked once."""
    first, second = sorted((one, other), key=lambda span: span.start_s)
    end_s = first.end_s
    if second.start_s <= end_s:  # what lies in both is read with the first
        yield from recording.flows_within(first.start_s * SECOND, max(end_s, second.end_s) * SECOND)
        return
    yield from recording.flows_within(first.start_s * SECOND, end_s * SECOND)
    for flow in recording.flows_within(second.start_s * SECOND, second.end_s * SECOND):
        if not _lives_in(flow, first):
            yield flow


def _lives_in(flow: FlowRecord, span: Span) -> bool:
    return flow.last_time_ns >= span.start_s * SECOND and flow.first_time_ns <= span.end_s * SECOND
