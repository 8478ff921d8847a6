"""Metrics and log records as a real OTLP receiver gets them: HTTP and protobuf, decoded anew."""

from __future__ import annotations

import gzip
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client.core import CounterMetricFamily

from panotui.cli import main
from panotui.feed.server import FeedServer, listen
from panotui.metrics import otlp
from panotui.metrics.openmetrics import Recorder
from panotui.model import EventRecord
from panotui.views.provider import StateProvider
from tests.views.records import START, FixedState

REPOSITORY = Path(__file__).parents[2]
NOW = 1_800_000_000 * 10**9
KINDS = {
    "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    "/v1/logs": (ExportLogsServiceRequest, ExportLogsServiceResponse),
}


class Receiver:
    """Takes what a collector takes; `refuse` says which paths it answers with which code."""

    def __init__(self) -> None:
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.logs: list[ExportLogsServiceRequest] = []
        self.refuse: dict[str, int] = {}
        self.came = threading.Semaphore(0)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                code = outer.refuse.get(self.path, 200)
                if self.headers.get("Content-Encoding") == "gzip":
                    raw = gzip.decompress(raw)
                asked, answer = KINDS[self.path]
                body = answer().SerializeToString() if code == 200 else b""
                if code == 200:
                    message = asked()
                    message.ParseFromString(raw)
                    (outer.metrics if self.path.endswith("metrics") else outer.logs).append(message)
                self.send_response(code)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(body)))
                if code == 503:  # beyond the round: the sender waits for the next one at once
                    self.send_header("Retry-After", "3600")
                self.end_headers()
                self.wfile.write(body)
                outer.came.release()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def numbers(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """The newest metrics, by name and attributes."""
        found = {}
        for metric in self.metrics[-1].resource_metrics[0].scope_metrics[0].metrics:
            for point in getattr(metric, metric.WhichOneof("data")).data_points:
                labels = tuple(sorted((a.key, a.value.string_value) for a in point.attributes))
                found[metric.name, labels] = getattr(point, point.WhichOneof("value"))
        return found

    def records(self) -> list[tuple[str, str, dict[str, object]]]:
        """(severity, text, attributes) of all log records, in the order of their coming."""
        out = []
        for request in self.logs:
            for record in request.resource_logs[0].scope_logs[0].log_records:
                told = {
                    a.key: getattr(a.value, a.value.WhichOneof("value")) for a in record.attributes
                }
                out.append((record.severity_text, record.body.string_value, told))
        return out


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


class Growing(FixedState):
    """A state that events are added to; its provider is told."""

    def __init__(self) -> None:
        super().__init__()
        self.provider = StateProvider(self, "live")


@pytest.fixture
def state() -> Growing:
    return Growing()


@pytest.fixture
def path(tmp_path: Path, state: Growing) -> Iterator[Path]:
    server = FeedServer(state.provider, listen(tmp_path / "s.sock"))
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            server.poll(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    yield tmp_path / "s.sock"
    stop.set()
    thread.join()
    server.close()


def exporter(path: Path, endpoint: str, said: list[str]) -> otlp.Exporter:
    return otlp.Exporter(Recorder(str(path)), endpoint, said.append, "plant")


def happen(state: Growing, *events: EventRecord) -> None:
    now = state.now
    state.now = msgspec.structs.replace(now, events=(*now.events, *events))
    state.provider.forget_snapshot()


def event(number: int, text: str = "", about: str | None = None) -> EventRecord:
    return EventRecord(
        time_ns=START + number, number=number, kind="finding", severity="error",
        subject="camera dock", text=text or f"event {number}", about=about, port="eth0",
    )  # fmt: skip


def test_a_receiver_gets_the_recorders_numbers(
    path: Path, state: Growing, receiver: Receiver
) -> None:
    said: list[str] = []
    assert exporter(path, receiver.endpoint, said).round(NOW)
    found = receiver.numbers()
    snapshot = state.snapshot()
    site = ("site", snapshot.site.name or "")
    assert found["panotui.recorder_up", ()] == 1
    for port in snapshot.ports:
        labels = tuple(sorted((site, ("port", port.name), ("direction", "in"))))
        assert found["panotui.port_bytes", labels] == port.bytes_in
    attributes = receiver.metrics[0].resource_metrics[0].resource.attributes
    resource = {a.key: a.value.string_value for a in attributes}
    assert (resource["service.name"], resource["panotui.site"]) == ("panotui", "plant")
    kinds = {
        m.name: (m.WhichOneof("data"), m.unit)
        for m in receiver.metrics[0].resource_metrics[0].scope_metrics[0].metrics
    }
    assert kinds["panotui.port_bytes"] == ("sum", "By")
    assert kinds["panotui.camera_jitter_seconds"] == ("gauge", "s")
    assert said == []


def test_what_is_open_is_told_once_and_then_each_event(
    path: Path, state: Growing, receiver: Receiver
) -> None:
    sender = exporter(path, receiver.endpoint, [])
    assert sender.round(NOW)
    opened = receiver.records()
    snapshot = state.snapshot()
    texts = {
        *(f.text for f in snapshot.findings
          if f.cleared_time_ns is None and f.hidden_by is None and not f.known),
        *(v.text for v in snapshot.violations if v.state == "open" and not v.known),
    }  # fmt: skip
    assert {text for _, text, _ in opened} == texts
    assert len(texts) == len(opened) > 1
    assert all(told["panotui.open_before"] is True for _, _, told in opened)
    last = max(e.number for e in snapshot.events)
    finding = snapshot.findings[0]
    happen(state, event(last + 1), event(last + 2, "it drops", f"finding:{finding.name}"))
    assert sender.round(NOW)
    assert sender.round(NOW)
    fresh = receiver.records()[len(opened) :]
    assert [text for _, text, _ in fresh] == [f"event {last + 1}", "it drops"]
    severity, _, told = fresh[1]
    assert severity == "ERROR"
    assert told["panotui.finding.id"] == finding.id
    assert told["panotui.finding.action"] == finding.action
    assert (told["panotui.event.kind"], told["panotui.port"]) == ("finding", "eth0")


def test_a_collector_that_is_away_loses_no_event(
    path: Path, state: Growing, receiver: Receiver
) -> None:
    said: list[str] = []
    sender = exporter(path, receiver.endpoint, said)
    receiver.refuse = {"/v1/metrics": 503, "/v1/logs": 503}
    last = max(e.number for e in state.snapshot().events)
    for number in range(3):
        happen(state, event(last + 1 + number))
        assert not sender.round(NOW)
    assert len(said) == 1
    assert re.search(r"does not accept data; \d+ log records wait$", said[0])
    receiver.refuse = {}
    assert sender.round(NOW)
    assert [t for _, t, _ in receiver.records()][-2:] == [f"event {last + n}" for n in (2, 3)]
    assert said[1].endswith("it accepts data again")
    assert sender.dropped == 0


def test_what_waits_is_bounded_and_what_is_refused_does_not_block(
    path: Path, state: Growing, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "WAITING_MOST", 5)
    sender = exporter(path, receiver.endpoint, [])
    receiver.refuse = {"/v1/logs": 400}
    sender.round(NOW)
    last = max(e.number for e in state.snapshot().events)
    happen(state, *(event(last + n) for n in range(1, 9)))
    for _ in range(otlp.REFUSED_MOST - 1):
        sender.round(NOW)
    receiver.refuse = {}
    happen(state, event(last + 9))
    assert sender.round(NOW)
    assert [text for _, text, _ in receiver.records()] == [f"event {last + 9}"]
    assert sender.dropped >= 8
    assert sender.round(NOW)
    assert receiver.numbers()["panotui.otlp_dropped_log_records", ()] == sender.dropped


def test_many_events_at_once_are_all_asked_for(
    path: Path, state: Growing, receiver: Receiver
) -> None:
    sender = exporter(path, receiver.endpoint, [])
    sender.round(NOW)
    before = len(receiver.records())
    last = max(e.number for e in state.snapshot().events)
    happen(state, *(event(last + n) for n in range(1, 3 * otlp.NEWS)))
    assert sender.round(NOW)
    fresh = receiver.records()[before:]
    assert [told["panotui.event.number"] for _, _, told in fresh] == list(
        range(last + 1, last + 3 * otlp.NEWS)
    )


def test_a_counter_that_falls_begins_anew() -> None:
    sums = otlp.Sums()
    for now, value, start in ((1, 5.0, 1), (2, 9.0, 1), (3, 4.0, 3), (4, 6.0, 3)):
        family = CounterMetricFamily("panotui_camera_bytes", "x", labels=("camera",))
        family.add_metric(("dock",), value)
        (metric,) = otlp.metrics_of([family], sums, now)
        (point,) = metric.data.data_points
        assert (point.start_time_unix_nano, point.value) == (start, value)


def test_without_a_recorder_the_metrics_say_so(tmp_path: Path, receiver: Receiver) -> None:
    assert exporter(tmp_path / "nobody.sock", receiver.endpoint, []).round(NOW)
    assert receiver.numbers()["panotui.recorder_up", ()] == 0
    assert receiver.records() == []


def test_the_command_sends_and_loads_no_packet_library(path: Path, receiver: Receiver) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "panotui", "metrics", str(path), "--otlp", receiver.endpoint,
         "--every", "1s"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    try:
        for _ in range(3):  # metrics, log records, metrics again
            assert receiver.came.acquire(timeout=300)
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        assert "scapy" not in mapped
    finally:
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (130, "")
    assert receiver.endpoint in said
    assert len(receiver.records()) > 1
    code = (
        "import sys; import panotui.commands.metrics, panotui.metrics.otlp;"
        "print([m for m in sys.modules if m.split('.')[0] in ('scapy', 'textual')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("endpoint", ["host:4318", "ftp://host", "http://", "http://h:x"])
def test_an_endpoint_that_is_none_is_one_line(
    endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrics", "--otlp", endpoint]) == 2
    assert "not the address of a collector" in capsys.readouterr().err
