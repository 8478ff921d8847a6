"""The data of a report, before it becomes a page or Markdown: a recording in, a `Story` out.

The story holds the records that `analyze` prints, the states of each subject over time, and the
histories for plots, of the whole recording or of a span of it. It contains no sentences of its own.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from panotui.errors import InputError
from panotui.model import (
    SECOND,
    EvidenceFileRecord,
    FindingRecord,
    FlowRecord,
    Snapshot,
    StreamRecord,
    ViolationRecord,
)
from panotui.recording.reader import Recording
from panotui.recording.spans import (
    NO_CAMERA,
    Before,
    Counted,
    Moment,
    Span,
    StreamRow,
    by_camera,
    compared,
    counted,
    stream_rows,
)
from panotui.recording.strips import recorded_runs
from panotui.report.plots import Sample, Series
from panotui.report.wording import LocalTime
from panotui.state.strips import US, Runs, Tally, tally

FLOWS_SHOWN = 10
EVENTS_READ = 2_000
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Heading:
    """The user's data about a report."""

    title: str | None = None
    customer: str | None = None
    technician: str | None = None
    time: LocalTime = field(default_factory=LocalTime)


@dataclass(frozen=True, slots=True)
class History:
    """Samples of one port or camera; each by name of its value."""

    series: dict[str, Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """All data of a report."""

    snapshot: Snapshot
    heading: Heading = field(default_factory=Heading)
    flows: int = 0
    largest: tuple[FlowRecord, ...] = ()
    runs: Runs = field(default_factory=dict)
    ports: Mapping[str, History] = field(default_factory=dict)
    cameras: Mapping[str, History] = field(default_factory=dict)
    counted: Mapping[str, Counted] = field(default_factory=dict)  # by camera
    gaps: tuple[tuple[int, int], ...] = ()  # ns
    marks: tuple[tuple[int, str], ...] = ()  # (ns, text of the user)
    evidence: tuple[EvidenceFileRecord, ...] = ()
    before: Before | None = None
    start_s: int = 0
    end_s: int = 0
    named: str = ""  # the input, by the user's name for it
    made_by: str = ""
    is_capture: bool = False  # packet numbers are those of a file

    @property
    def span(self) -> Span:
        return Span(self.start_s, self.end_s)

    @property
    def findings(self) -> list[FindingRecord]:
        """Findings for the reader: open, past and informational.

        Those caused by another finding are only listed there.
        """
        shown = [f for f in self.snapshot.findings if f.hidden_by is None]
        return sorted(shown, key=lambda f: (f.severity == "info", f.cleared_time_ns is not None))

    def streams_of(self, camera: str | None) -> list[StreamRecord]:
        """The streams of a camera (None: of no known camera), in order of their start."""
        return [s for s in self.snapshot.streams if s.camera == camera]

    def tally(self, key: str) -> Tally:
        """The states of a subject over the whole span."""
        return tally(self.runs.get(key, ()), self.start_s, self.end_s)

    @property
    def recorded(self) -> list[tuple[int, int]]:
        """(start_s, end_s) of what was recorded."""
        return [(run.start_s, run.end_s) for run in self.runs.get(US, ())]


def story_of(
    recording: Recording,
    named: str,
    made_by: str,
    *,
    heading: Heading | None = None,
    since_s: int | None = None,
    until_s: int | None = None,
    against_s: int | None = None,
    is_capture: bool = False,
    keep_flow: Callable[[FlowRecord], bool] | None = None,
) -> Story:
    """Read a recording, or a span of it, for its report; it is compared with an equally long span
    from `against_s`, or else the one before. `keep_flow`: whether a flow is included. InputError if
    it holds no snapshot, or nothing in that span.
    """
    whole = Span(recording.start_ns // SECOND - 1, 0)  # the first sample covers the second before
    whole = Span(whole.start_s, max(whole.start_s + 1, -(-recording.end_ns // SECOND)))
    span = Span(
        max(whole.start_s, since_s if since_s is not None else whole.start_s),
        min(whole.end_s, until_s if until_s is not None else whole.end_s),
    )
    against = None if against_s is None else Span(against_s, against_s + span.seconds)
    if not span.seconds or (
        against is not None and not _within(whole.start_s * SECOND, whole.end_s * SECOND, against)
    ):
        raise InputError(named, "nothing was recorded in that span", "Choose another.")
    last = recording.final()
    last = msgspec.structs.replace(last, findings=recording.lives(last.findings))
    snapshot = _snapshot_of(recording, last, span, whole)
    flows, largest = _flows(recording, span, keep_flow)
    samples = stream_rows(recording)
    cameras = by_camera(samples, span)
    packets = counted(cameras)
    if span == whole:
        packets = _counted_by_records(snapshot.streams, packets) or packets
    runs = recorded_runs(recording, span.start_s, span.end_s)
    heading = heading or Heading()
    return Story(
        snapshot=_in_local_time(snapshot, heading.time),
        heading=heading,
        flows=flows,
        largest=largest,
        runs=runs,
        ports=_port_histories(recording, span),
        cameras=_histories(cameras),
        counted=packets,
        gaps=tuple(g for g in recording.gaps() if _within(*g, span)),
        marks=tuple(m for m in recording.marks() if _within(m[0], m[0], span)),
        evidence=tuple(
            msgspec.structs.replace(e, title=heading.time.retold(e.title, e.time_ns))
            for e in recording.evidence_files(look=True)
            if _within(e.time_ns, e.time_ns, span)
        ),
        before=_before(recording, last, span, whole, samples, against),
        start_s=span.start_s,
        end_s=span.end_s,
        named=named,
        made_by=made_by,
        is_capture=is_capture,
    )


def _in_local_time(snapshot: Snapshot, time: LocalTime) -> Snapshot:
    """The state with the times in its sentences in the report's time zone."""
    replace, retold = msgspec.structs.replace, time.retold
    return replace(
        snapshot,
        findings=tuple(
            replace(
                f,
                text=retold(f.text, f.first_time_ns),
                action=retold(f.action, f.first_time_ns),
                detail=tuple(retold(line, f.last_time_ns) for line in f.detail),
                evidence=tuple(replace(e, text=retold(e.text, e.time_ns)) for e in f.evidence),
            )
            for f in snapshot.findings
        ),
        violations=tuple(
            replace(v, text=retold(v.text, v.first_time_ns)) for v in snapshot.violations
        ),
        events=tuple(replace(e, text=retold(e.text, e.time_ns)) for e in snapshot.events),
        endpoints=tuple(
            replace(e, detail=e.detail and retold(e.detail, snapshot.time_ns))
            for e in snapshot.endpoints
        ),
    )


def empty_story(
    snapshot: Snapshot, named: str, made_by: str, heading: Heading | None = None
) -> Story:
    """The story of an input without packets."""
    return Story(
        snapshot=snapshot,
        heading=heading or Heading(),
        named=named,
        made_by=made_by,
        is_capture=True,
    )


def _flows(
    recording: Recording, span: Span, keep: Callable[[FlowRecord], bool] | None
) -> tuple[int, tuple[FlowRecord, ...]]:
    """The number of flows in a span, and the largest of them; read one at a time."""
    count = itertools.count()
    lived = filter(keep, recording.flows_within(span.start_s * SECOND, span.end_s * SECOND))
    largest = heapq.nlargest(
        FLOWS_SHOWN,
        (f for f, _ in zip(lived, count, strict=False)),
        key=lambda f: f.bytes_out + f.bytes_in,
    )  # fmt: skip
    return next(count), tuple(largest)


def _within(first_ns: int, last_ns: int, span: Span) -> bool:
    return last_ns >= span.start_s * SECOND and first_ns <= span.end_s * SECOND


def _snapshot_of(recording: Recording, last: Snapshot, span: Span, whole: Span) -> Snapshot:
    """The state at the end of a span, with all events in it."""
    replace = msgspec.structs.replace
    events = tuple(recording.events(span.start_s * SECOND, span.end_s * SECOND, EVENTS_READ))
    if span == whole:
        return replace(last, events=events)
    end_ns = span.end_s * SECOND
    then = last if span.end_s >= whole.end_s else recording.snapshot_at(end_ns)
    return replace(
        then,
        events=events,
        streams=tuple(
            s for s in last.streams if _within(s.first_time_ns, s.last_time_ns, span)
        ),
        findings=tuple(_findings_of(last.findings, span)),
        violations=tuple(_violations_of(last.violations, span)),
    )  # fmt: skip


def _findings_of(findings: Iterable[FindingRecord], span: Span) -> Iterable[FindingRecord]:
    """Findings open in a span; one that cleared after it counts as open."""
    for finding in findings:
        cleared = finding.cleared_time_ns
        if not _within(finding.first_time_ns, cleared if cleared is not None else 1 << 62, span):
            continue
        if cleared is not None and cleared > span.end_s * SECOND:
            finding = msgspec.structs.replace(finding, cleared_time_ns=None)
        yield finding


def _violations_of(violations: Iterable[ViolationRecord], span: Span) -> Iterable[ViolationRecord]:
    return (v for v in violations if _within(v.first_time_ns, v.last_time_ns, span))


# ------------------------------------------------------------------ histories


def _port_histories(recording: Recording, span: Span) -> dict[str, History]:
    found: dict[str, tuple[list[Sample], list[Sample]]] = defaultdict(lambda: ([], []))
    columns = ("resolution", "rate_in_bps", "rate_out_bps")
    for time_s, name, seconds, rate_in, rate_out in recording.samples("port_sample", columns):
        if span.start_s <= time_s - 1 < span.end_s:
            found[name][0].append(Sample(time_s - 1, seconds, rate_in))
            found[name][1].append(Sample(time_s - 1, seconds, rate_out))
    return {
        name: History({"in": Series("in", tuple(low)), "out": Series("out", tuple(high))})
        for name, (low, high) in found.items()
    }


def _histories(cameras: Mapping[str, Sequence[tuple[int, Moment]]]) -> dict[str, History]:
    """The total of each camera's streams."""
    values: tuple[tuple[str, Callable[[Moment], float | None]], ...] = (
        ("rate", lambda m: m.rate_bps), ("fps", lambda m: m.fps), ("loss", _loss),
    )  # fmt: skip
    return {
        camera: History(
            {
                name: Series(name, tuple(Sample(t, m.seconds, of(m)) for t, m in moments))
                for name, of in values
            }
        )
        for camera, moments in cameras.items()
    }


def _loss(moment: Moment) -> float | None:
    """Loss in per cent; None if nothing was expected."""
    expected = moment.packets + moment.lost
    return 100.0 * moment.lost / expected if expected else None


def _counted_by_records(
    streams: Iterable[StreamRecord], sampled: Mapping[str, Counted]
) -> dict[str, Counted]:
    """The streams' own counts, which are exact if the whole stream lies in the span."""
    found: dict[str, Counted] = {}
    for stream in streams:
        was = found.get(stream.camera or NO_CAMERA, Counted())
        found[stream.camera or NO_CAMERA] = Counted(
            was.packets + max(0, stream.expected - stream.lost), was.lost + stream.lost
        )
    return {
        camera: replace(packets, rate_bps=sampled.get(camera, packets).rate_bps)
        for camera, packets in found.items()
    }


# ------------------------------------------------------------------ the span before


def _before(
    recording: Recording,
    last: Snapshot,
    span: Span,
    whole: Span,
    samples: Sequence[StreamRow],
    against: Span | None = None,
) -> Before | None:
    """The span to compare with: `against`, else an equally long one before; if there is none, and
    the span holds two days, its last day against the day before. None if less than half of it was
    recorded.
    """
    told = span
    if against is None and span.start_s - whole.start_s < span.seconds / 2:
        if span.seconds < 2 * DAY_S:
            return None
        told = Span(span.end_s - DAY_S, span.end_s)
    earlier = against or Span(max(whole.start_s, told.start_s - told.seconds), told.start_s)
    runs = recorded_runs(recording, earlier.start_s, earlier.end_s)
    recorded = sum(run.end_s - run.start_s for run in runs.get(US, ()))
    if against is None and recorded < told.seconds / 2:
        return None
    return compared(
        recording, earlier, told, findings=last.findings, devices=last.devices, samples=samples,
        runs=runs,
    )  # fmt: skip
