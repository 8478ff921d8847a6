"""A recorder's state and events for an OpenTelemetry collector: metrics and log records.

Runs in a separate process, like `openmetrics`: the SDK is Apache-2.0-only. Metrics are those of a
scrape; a sample that cannot be delivered is replaced by the next. Log records wait, in order, until
they are taken: at most `WAITING_MOST`, beyond which the oldest are dropped and counted.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import Metric as Family

from panotui import __version__
from panotui.feed.codec import FeedError
from panotui.metrics.openmetrics import Recorder, RecorderCollector
from panotui.model import EventRecord, FindingRecord, ViolationRecord
from panotui.views.frames import View

WAITING_MOST = 10_000  # log records
BATCH = 512
EVENTS_MOST = 2_000  # requested at once
NEWS = 100  # events that come with an overview
REFUSED_MOST = 5  # refusals of a batch, while metrics are accepted, before it is dropped
EXPORT_S = 10.0
SCOPE = InstrumentationScope("panotui", __version__)
SEVERITY = {
    "info": (SeverityNumber.INFO, "INFO"),
    "warning": (SeverityNumber.WARN, "WARN"),
    "error": (SeverityNumber.ERROR, "ERROR"),
}
_UNITS = (("_bits_per_second", "bit/s"), ("bytes", "By"), ("_seconds", "s"))
Value = str | int | float | bool


class News:
    """Events since the last request, as log records; the open findings and violations at first."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._last: int | None = None
        self.missed = 0  # events that the recorder had dropped before they were requested

    def records(self, now_ns: int) -> Iterator[LogRecord]:
        """The new log records. FeedError if nobody answers."""
        beside = self._recorder.ask(View(pane="overview", news=NEWS))
        site = beside.header.site.name or ""
        events = sorted(beside.events, key=lambda event: event.number)
        newest = events[-1].number if events else 0
        findings = self._recorder.rows("findings", lambda frame: frame.findings)
        violations = self._recorder.rows("violations", lambda frame: frame.violations)
        if self._last is None:
            self._last = newest
            yield from _open_now(findings, violations, site, now_ns)
            return
        if newest < self._last:  # the recorder was restarted, and counts from one again
            self._last = 0
        fresh = [event for event in events if event.number > self._last]
        if len(fresh) < newest - self._last:  # more than come with an overview
            fresh = [event for event in self._all() if event.number > self._last]
            newest = max(newest, fresh[-1].number if fresh else 0)
            self.missed += newest - self._last - len(fresh)
        self._last = newest
        found = {f"finding:{one.name}": one for one in findings}
        broken = {f"violation:{one.id}": one for one in violations}
        for event in fresh:
            about = event.about or ""
            yield _of_event(event, found.get(about), broken.get(about), site, now_ns)

    def _all(self) -> list[EventRecord]:
        """All events that the recorder still has, by number."""
        rows = self._recorder.rows("events", lambda frame: frame.events, EVENTS_MOST)
        once = {event.number: event for event in rows}  # some may have come between two pages
        return [once[number] for number in sorted(once)]


def _open_now(
    findings: Iterable[FindingRecord], violations: Iterable[ViolationRecord], site: str, now_ns: int
) -> Iterator[LogRecord]:
    for finding in findings:
        if finding.cleared_time_ns is None and finding.hidden_by is None and not finding.known:
            yield _record(
                finding.first_time_ns, now_ns, finding.severity, finding.text,
                _of_finding(finding)
                | {"event.kind": "finding", "site": site, "open_before": True},
            )  # fmt: skip
    for violation in violations:
        if violation.state == "open" and not violation.known:
            yield _record(
                violation.first_time_ns, now_ns, violation.severity, violation.text,
                _of_violation(violation)
                | {"event.kind": "violation", "site": site, "open_before": True},
            )  # fmt: skip


def _of_event(
    event: EventRecord,
    finding: FindingRecord | None,
    violation: ViolationRecord | None,
    site: str,
    now_ns: int,
) -> LogRecord:
    told: dict[str, Value | None] = {
        "event.kind": event.kind, "event.number": event.number, "event.count": event.count,
        "subject": event.subject, "port": event.port, "packet": event.packet, "flow": event.flow,
        "site": site,
    }  # fmt: skip
    told |= {} if finding is None else _of_finding(finding)
    told |= {} if violation is None else _of_violation(violation)
    return _record(event.time_ns, now_ns, event.severity, event.text, told)


def _of_finding(finding: FindingRecord) -> dict[str, Value | None]:
    return {
        "finding.id": finding.id, "finding.action": finding.action, "subject": finding.subject,
        "finding.confidence": finding.confidence, "finding.layer": finding.layer,
    }  # fmt: skip


def _of_violation(violation: ViolationRecord) -> dict[str, Value | None]:
    return {
        "violation.id": violation.id, "violation.reason": violation.reason,
        "source.address": violation.src, "source.port": violation.sport,
        "destination.address": violation.host or violation.dst,
        "destination.port": violation.dport, "network.transport": violation.transport,
        "violation.action": violation.suggestion, "port": violation.port,
    }  # fmt: skip


_STANDARD = ("source.", "destination.", "network.")  # OpenTelemetry's own names


def _record(
    time_ns: int, now_ns: int, severity: str, text: str, told: dict[str, Value | None]
) -> LogRecord:
    number, word = SEVERITY[severity]
    return LogRecord(
        timestamp=time_ns, observed_timestamp=now_ns, severity_number=number, severity_text=word,
        body=text, event_name=f"panotui.{told['event.kind']}",
        attributes={
            name if name.startswith(_STANDARD) else f"panotui.{name}": value
            for name, value in told.items()
            if value is not None
        },
    )  # fmt: skip


class Sums:
    """Start time of each counter: one that fell (a stream was dropped) starts again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[str, ...]], tuple[float, int]] = {}

    def since(self, name: str, labels: tuple[str, ...], value: float, now_ns: int) -> int:
        """The start of this counter's row, ns."""
        before, start = self._known.get((name, labels), (value, now_ns))
        if value < before:
            start = now_ns
        self._known[name, labels] = value, start
        return start

    def forget_all_but(self, kept: set[tuple[str, tuple[str, ...]]]) -> None:
        """Drop rows that are no longer reported."""
        self._known = {key: said for key, said in self._known.items() if key in kept}


def metrics_of(families: Iterable[Family], sums: Sums, now_ns: int) -> list[Metric]:
    """The families of a scrape as OpenTelemetry's; `panotui_x_y` is `panotui.x_y`."""
    out: list[Metric] = []
    kept: set[tuple[str, tuple[str, ...]]] = set()
    for family in families:
        if family.type not in ("counter", "gauge"):
            continue
        points = []
        for sample in family.samples:
            labels = tuple(f"{k}={v}" for k, v in sample.labels.items())
            start = now_ns
            if family.type == "counter":
                kept.add((family.name, labels))
                start = sums.since(family.name, labels, sample.value, now_ns)
            points.append(NumberDataPoint(dict(sample.labels), start, now_ns, sample.value))
        if not points:
            continue
        data: Sum | Gauge = Gauge(points)
        if family.type == "counter":
            data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
        unit = next((unit for end, unit in _UNITS if family.name.endswith(end)), "1")
        name = family.name.replace("panotui_", "panotui.", 1)
        out.append(Metric(name, family.documentation, unit, data))
    sums.forget_all_but(kept)
    return out


class Exporter:
    """Requests data from the recorder and delivers it, one round at a time."""

    def __init__(
        self, recorder: Recorder, endpoint: str, say: Callable[[str], None], site: str
    ) -> None:
        """`endpoint`: the collector's base URL, without `/v1/...`. `say`: prints a line for the
        user.
        """
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # `say` reports it once
        base = endpoint.rstrip("/")
        self._endpoint = endpoint
        self._say = say
        self._collector = RecorderCollector(recorder)
        self._news = News(recorder)
        self._sums = Sums()
        self._resource = Resource.create(
            {"service.name": "panotui", "service.version": __version__, "panotui.site": site}
        )
        self._metrics = OTLPMetricExporter(f"{base}/v1/metrics", timeout=EXPORT_S)
        self._logs = OTLPLogExporter(f"{base}/v1/logs", timeout=EXPORT_S)
        self._waiting: deque[ReadableLogRecord] = deque()
        self._refused = 0
        self._is_well = True
        self.dropped = 0

    def round(self, now_ns: int) -> bool:
        """Deliver all data; returns whether all of it was accepted."""
        try:
            for record in self._news.records(now_ns):
                self._waiting.append(ReadableLogRecord(record, self._resource, SCOPE))
        except FeedError:
            pass  # the metrics report that the recorder is down
        while len(self._waiting) > WAITING_MOST:
            self._waiting.popleft()
            self.dropped += 1
        is_taken = self._deliver_metrics(now_ns)
        is_well = self._deliver_logs(is_taken) and is_taken
        if is_well != self._is_well:
            waiting = f"; {len(self._waiting)} log records wait" if self._waiting else ""
            self._say(
                f"--otlp {self._endpoint}: "
                + ("it accepts data again" if is_well else f"it does not accept data{waiting}")
            )
            self._is_well = is_well
        return is_well

    def _deliver_metrics(self, now_ns: int) -> bool:
        found = metrics_of([*self._collector.collect(), *self._own()], self._sums, now_ns)
        data = MetricsData([ResourceMetrics(self._resource, [ScopeMetrics(SCOPE, found, "")], "")])
        return self._metrics.export(data) is MetricExportResult.SUCCESS

    def _own(self) -> Iterator[Family]:
        for name, text, value in (
            ("panotui_otlp_dropped_log_records", "Never delivered.", self.dropped),
            ("panotui_otlp_missed_events", "Forgotten by the recorder.", self._news.missed),
        ):
            family = Family(name, text, "counter")
            family.add_sample(f"{name}_total", {}, value)
            yield family

    def _deliver_logs(self, are_metrics_taken: bool) -> bool:
        while self._waiting:
            batch = [self._waiting[i] for i in range(min(BATCH, len(self._waiting)))]
            if self._logs.export(batch) is not LogRecordExportResult.SUCCESS:
                self._refused += are_metrics_taken
                if self._refused < REFUSED_MOST:
                    return False
                self.dropped += len(batch)  # this collector rejects something in it
            self._refused = 0
            for _ in batch:
                self._waiting.popleft()
        return True

    def run(self, every_s: float) -> None:
        """Rounds until a signal ends the process."""
        due = time.monotonic()
        while True:
            self.round(time.time_ns())
            due = max(due + every_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
