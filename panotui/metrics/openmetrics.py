"""A recorder's state as metrics: frames of its socket in, metric families out.

Runs in a separate process without packets: `prometheus_client` is Apache-2.0, which is not
compatible with scapy's GPL-2.0-only in one process. Labels are bounded: a site's ports, cameras,
endpoints and the ids of findings, at most `NAMED_MOST` of each; the rest is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)

from panotui import __version__
from panotui.feed.client import FeedClient
from panotui.feed.codec import FeedError
from panotui.model import CameraRecord, EndpointRecord, FindingRecord, StreamRecord
from panotui.views.frames import Frame, View

NAMED_MOST = 512
PAGE = 200
Row = TypeVar("Row")


class Recorder:
    """Requests all rows of a recorder's panes, a page at a time, on one connection."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._client: FeedClient | None = None

    def frame(self, pane: str, first: int = 0) -> Frame:
        """One page of a pane; FeedError if nobody answers."""
        return self.ask(View(pane=pane, first=first, rows=PAGE))

    def ask(self, view: View) -> Frame:
        """The frame of a view; FeedError if nobody answers."""
        if self._client is None:
            self._client = FeedClient.connect(self._path)
        try:
            answer = self._client.ask(view)
        except FeedError:
            self.close()
            raise
        if not isinstance(answer, Frame):
            raise FeedError(self._path, answer.text)
        return answer

    def rows(
        self, pane: str, of: Callable[[Frame], tuple[Row, ...]], most: int = NAMED_MOST
    ) -> list[Row]:
        """All rows of a pane, up to one more than the limit of named ones."""
        out: list[Row] = []
        while len(out) <= most:
            frame = self.frame(pane, len(out))
            page = of(frame)[max(0, len(out) - frame.first) :]  # the last page is full, too
            out += page
            if not page or len(out) >= frame.matched:
                break
        return out

    def close(self) -> None:
        """Close the connection; the next request reconnects."""
        if self._client is not None:
            self._client.close()
            self._client = None


class RecorderCollector:
    """The collector that a registry of `prometheus_client` calls at each scrape."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        """The metric families; without a recorder only the one that says so."""
        try:
            families = list(self._families())
            up = 1.0
        except FeedError:
            families, up = [], 0.0
        yield GaugeMetricFamily(
            "panotui_recorder_up", "Whether the recorder answered this scrape.", value=up
        )
        yield InfoMetricFamily(
            "panotui", "The version of this program.", value={"version": __version__}
        )
        yield from families

    def _families(self) -> Iterator[Metric]:
        overview = self._recorder.frame("overview")
        site = overview.header.site.name or ""
        yield from _capture(overview, site)
        yield from _ports(overview, site)
        streams = self._recorder.rows("streams", lambda frame: frame.streams)
        yield from _streams(streams, site)
        yield from _cameras(overview.cameras, site)
        endpoints = self._recorder.rows("endpoints", lambda frame: frame.endpoints)
        yield from _endpoints(endpoints, site)
        findings = self._recorder.rows("findings", lambda frame: frame.findings)
        yield from _findings(findings, site)
        left = Counter(
            {
                "stream": len(streams) - NAMED_MOST,
                "camera": overview.header.counts.cameras - len(overview.cameras),
                "endpoint": len(endpoints) - NAMED_MOST,
            }
        )
        family = GaugeMetricFamily(
            "panotui_rows_left_out", "Rows beyond what is named in labels.", labels=("site", "kind")
        )
        for kind in ("stream", "camera", "endpoint"):
            family.add_metric((site, kind), max(0, left[kind]))
        yield family


def _capture(frame: Frame, site: str) -> Iterator[Metric]:
    header = frame.header
    for name, text, value in (
        ("panotui_capture_packets", "Packets received since the start.", header.packets),
        ("panotui_capture_lost_packets", "Packets that this tool missed.", header.lost),
    ):
        counter = CounterMetricFamily(name, text, labels=("site",))
        counter.add_metric((site,), value)
        yield counter
    gauges: list[tuple[str, str, float]] = [
        ("panotui_time_seconds", "Time of the newest packet, since 1970.", header.time_ns / 1e9),
        ("panotui_violations_open", "Open violations.", header.counts.violations_open),
        ("panotui_flows", "Flows that are alive.", header.counts.flows_live),
    ]
    if header.recorder is not None:
        gauges += [
            ("panotui_recording_bytes", "Size of the recording.", header.recorder.bytes),
            (
                "panotui_recording_evidence_bytes", "Of these, kept packets.",
                header.recorder.evidence_bytes,
            ),
            (
                "panotui_recording", "1 while everything is recorded.",
                float(header.recorder.state == "recording"),
            ),
        ]  # fmt: skip
    for name, text, number in gauges:
        gauge = GaugeMetricFamily(name, text, labels=("site",))
        gauge.add_metric((site,), number)
        yield gauge


def _ports(frame: Frame, site: str) -> Iterator[Metric]:
    up = GaugeMetricFamily("panotui_port_up", "Whether a port is up.", labels=("site", "port"))
    sizes = CounterMetricFamily(
        "panotui_port_bytes", "Bytes of a port.", labels=("site", "port", "direction")
    )
    packets = CounterMetricFamily(
        "panotui_port_packets", "Packets of a port.", labels=("site", "port", "direction")
    )
    for port in frame.ports[:NAMED_MOST]:
        up.add_metric((site, port.name), float(port.state in ("up", "standby")))
        sizes.add_metric((site, port.name, "in"), port.bytes_in)
        sizes.add_metric((site, port.name, "out"), port.bytes_out)
        packets.add_metric((site, port.name, "in"), port.packets_in)
        packets.add_metric((site, port.name, "out"), port.packets_out)
    yield from (up, sizes, packets)


def _cameras(cameras: tuple[CameraRecord, ...], site: str) -> Iterator[Metric]:
    ok = GaugeMetricFamily(
        "panotui_camera_ok", "1 while a camera streams and no error is open about it.",
        labels=("site", "camera"),
    )  # fmt: skip
    for camera in cameras[:NAMED_MOST]:
        well = camera.state == "streaming" and camera.trouble_severity != "error"
        ok.add_metric((site, camera.name), float(well))
    yield ok


def _streams(streams: list[StreamRecord], site: str) -> Iterator[Metric]:
    """By camera: streams come and go, and their number would be unlimited."""
    labels = ("site", "camera")
    counted: dict[str, Counter[str]] = {}
    rates: dict[str, float] = {}
    jitter: dict[str, float] = {}
    for stream in streams[:NAMED_MOST]:
        name = stream.camera or stream.src
        sums = counted.setdefault(name, Counter())
        sums["bytes"] += stream.bytes
        sums["packets"] += stream.packets
        sums["lost_packets"] += stream.lost_unique
        sums["frames"] += stream.frames or 0
        rates[name] = rates.get(name, 0.0) + (stream.rate_bps or 0.0)
        jitter[name] = max(jitter.get(name, 0.0), (stream.jitter_ms or 0.0) / 1000)
    for what, text in (
        ("bytes", "RTP bytes"), ("packets", "RTP packets"), ("lost_packets", "RTP packets lost"),
        ("frames", "pictures"),
    ):  # fmt: skip
        counter = CounterMetricFamily(
            f"panotui_camera_{what}", f"{text} of a camera's streams.".capitalize(), labels=labels
        )
        for name, sums in counted.items():
            counter.add_metric((site, name), sums[what])
        yield counter
    for metric, text, values in (
        ("panotui_camera_bits_per_second", "Bit-rate of the last second.", rates),
        ("panotui_camera_jitter_seconds", "Interarrival jitter (RFC 3550), the worst.", jitter),
    ):
        gauge = GaugeMetricFamily(metric, text, labels=labels)
        for name, value in values.items():
            gauge.add_metric((site, name), value)
        yield gauge


def _endpoints(endpoints: list[EndpointRecord], site: str) -> Iterator[Metric]:
    labels = ("site", "service", "host", "port")
    reachable = GaugeMetricFamily(
        "panotui_endpoint_reachable", "1 reachable, 0 blocked or failing; absent: not seen.",
        labels=labels,
    )  # fmt: skip
    trip = GaugeMetricFamily(
        "panotui_endpoint_round_trip_seconds", "Round trip of the last connection.", labels=labels
    )
    attempts = CounterMetricFamily(
        "panotui_endpoint_attempts", "Connections that were tried.", labels=labels
    )
    successes = CounterMetricFamily(
        "panotui_endpoint_successes", "Connections that carried data.", labels=labels
    )
    for endpoint in endpoints[:NAMED_MOST]:
        values = (site, endpoint.service, endpoint.host, str(endpoint.port))
        if endpoint.state != "unseen":
            reachable.add_metric(values, float(endpoint.state == "reachable"))
        if endpoint.rtt_ms is not None:
            trip.add_metric(values, endpoint.rtt_ms / 1000)
        attempts.add_metric(values, endpoint.attempts)
        successes.add_metric(values, endpoint.successes)
    yield from (reachable, trip, attempts, successes)


def _findings(findings: list[FindingRecord], site: str) -> Iterator[Metric]:
    count = Counter(
        (f.id, f.severity)
        for f in findings
        if f.cleared_time_ns is None and f.hidden_by is None and not f.known
    )
    family = GaugeMetricFamily(
        "panotui_findings_open", "Open findings that nobody has marked as known.",
        labels=("site", "finding", "severity"),
    )  # fmt: skip
    for (name, severity), number in count.items():
        family.add_metric((site, name, severity), number)
    yield family
