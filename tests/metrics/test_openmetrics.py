"""A recorder's metrics: what a scrape holds, and that a real Prometheus takes it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from panotui.commands.metrics import command
from panotui.errors import UsageError
from panotui.feed.server import FeedServer, listen
from panotui.metrics.openmetrics import Recorder, RecorderCollector
from panotui.sources.live import privileges
from panotui.views.provider import StateProvider
from tests.lab.netns import require_root
from tests.tui import frames_builder
from tests.views.records import FixedState

REPOSITORY = Path(__file__).parents[2]
RULES = REPOSITORY / "docs" / "metrics" / "rules.yml"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The socket of a recorder with a known state."""
    with serving(StateProvider(FixedState(), "live"), tmp_path / "s.sock"):
        yield tmp_path / "s.sock"


@contextlib.contextmanager
def serving(provider: StateProvider, path: Path) -> Iterator[None]:
    """A recorder's socket at `path`."""
    server = FeedServer(provider, listen(path))
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            server.poll(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()
    server.close()


def scraped(path: Path) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    registry = CollectorRegistry()
    registry.register(RecorderCollector(Recorder(str(path))))
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped_of(
    provider: StateProvider, path: Path
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with serving(provider, path):
        return scraped(path)


def families(path: Path) -> set[str]:
    """Names of all that can be exported, as a query has them; a recording is not shown here."""
    found = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in RecorderCollector(Recorder(str(path))).collect()
    }
    return found | {"panotui_recording", "panotui_recording_bytes"}


def test_a_scrape_has_the_recorders_numbers(path: Path) -> None:
    found = scraped(path)
    snapshot = FixedState().snapshot()
    site = ("site", snapshot.site.name or "")
    assert found["panotui_recorder_up", ()] == 1
    for port in snapshot.ports:
        labels = tuple(sorted((site, ("port", port.name), ("direction", "in"))))
        assert found["panotui_port_bytes_total", labels] == port.bytes_in
    for camera in {s.camera or s.src for s in snapshot.streams}:
        labels = tuple(sorted((site, ("camera", camera))))
        mine = [s for s in snapshot.streams if (s.camera or s.src) == camera]
        assert found["panotui_camera_packets_total", labels] == sum(s.packets for s in mine)
        assert found["panotui_camera_lost_packets_total", labels] == sum(s.lost for s in mine)
    assert len(snapshot.endpoints) > 1
    for endpoint in snapshot.endpoints:
        labels = tuple(
            sorted(
                (site, ("service", endpoint.service), ("host", endpoint.host),
                 ("port", str(endpoint.port)))
            )
        )  # fmt: skip
        assert found["panotui_endpoint_attempts_total", labels] == endpoint.attempts
    open_ones = [
        f for f in snapshot.findings
        if f.cleared_time_ns is None and f.hidden_by is None and not f.known
    ]  # fmt: skip
    told = sum(v for (name, _), v in found.items() if name == "panotui_findings_open")
    assert told == len(open_ones) > 0


def test_rows_of_several_pages_come_once(path: Path) -> None:
    rows = Recorder(str(path)).rows("flows", lambda frame: frame.flows)
    assert len({flow.id for flow in rows}) == len(rows) == len(FixedState().flow_records()) > 400


@pytest.mark.parametrize(("number", "left"), [(100, 0), (230, 30)])
def test_a_site_of_many_cameras_has_them_all_or_says_how_many_are_missing(
    tmp_path: Path, number: int, left: int
) -> None:
    site = frames_builder.large()
    names = [f"hall-{n:03}" for n in range(number)]
    site.cameras = tuple(frames_builder.camera(n, name) for n, name in enumerate(names, 1))
    found = scraped_of(StateProvider(site, "live"), tmp_path / "many.sock")
    assert sum(name == "panotui_camera_ok" for name, _ in found) == number - left
    out = {dict(labels)["kind"]: v for (n, labels), v in found.items() if n.endswith("left_out")}
    assert out["camera"] == left


def test_without_a_recorder_the_scrape_says_so(tmp_path: Path) -> None:
    found = scraped(tmp_path / "nobody.sock")
    assert found["panotui_recorder_up", ()] == 0
    assert {name for name, _ in found} == {"panotui_recorder_up", "panotui_info"}


def test_names_carry_their_units_and_labels_are_few(path: Path) -> None:
    for (name, labels), _ in scraped(path).items():
        assert re.fullmatch(r"panotui_[a-z_]+", name)
        assert {label for label, _ in labels} <= {
            "site", "port", "direction", "camera", "service", "host", "finding", "severity", "kind",
            "version",
        }  # fmt: skip


@pytest.fixture
def served(path: Path) -> Iterator[str]:
    """The address of `panotui metrics` on that recorder."""
    process = subprocess.Popen(
        [sys.executable, "-m", "panotui", "metrics", str(path), "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://(127\.0\.0\.1:\d+)/metrics", line)
    assert found, line + (process.stderr.read() if process.stderr else "")
    yield found.group(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (130, "")


def test_the_command_answers_in_openmetrics(served: str) -> None:
    request = urllib.request.Request(
        f"http://{served}/metrics", headers={"Accept": "application/openmetrics-text"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        parsed = list(text_string_to_metric_families(answer.read().decode()))
    assert len(parsed) > 15


def test_no_packet_library_is_in_the_process() -> None:
    code = (
        "import sys; import panotui.commands.metrics, panotui.metrics.openmetrics;"
        "print([m for m in sys.modules if m.split('.')[0] in ('scapy', 'textual')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout == "[]\n"


def test_a_low_port_is_bound_before_the_rights_are_gone(path: Path) -> None:
    require_root()
    for port in range(1023, 900, -1):
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", port))
            break
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "panotui", "metrics", str(path), "--listen", f"127.0.0.1:{port}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline().endswith(f"http://127.0.0.1:{port}/metrics\n")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=300) as answer:
            assert b"panotui_recorder_up 1.0" in answer.read()
        state = privileges.state(Path(f"/proc/{process.pid}/status").read_text())
        assert state.none_left
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=300)


@pytest.mark.parametrize("listen", ["9109", "localhost:9109", "127.0.0.1:99999", "127.0.0.1:x"])
def test_a_place_that_is_none_is_one_line(listen: str) -> None:
    with pytest.raises(UsageError, match="not an address and port"):
        command.main(["--listen", listen], standalone_mode=False)


# Grafana's own types take what they know and write it again. Two fields are of the import dialogue.
DASHBOARD = """
import json, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()
told = json.load(open(sys.argv[1]))
del told["__inputs"]
for variable in told["templating"]["list"]:
    del variable["definition"]
again = json.loads(JSONEncoder().encode(Dashboard.from_json(told)))

def differences(told, again, place):
    if isinstance(told, dict) and isinstance(again, dict):
        for name, value in told.items():
            yield from differences(value, again.get(name, "absent"), f"{place}.{name}")
    elif isinstance(told, list) and isinstance(again, list) and len(told) == len(again):
        for number, pair in enumerate(zip(told, again)):
            yield from differences(*pair, f"{place}[{number}]")
    elif told != again:
        yield f"{place}: {told!r} is read as {again!r}"

print("\\n".join(differences(told, again, "dashboard")))
"""
prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is absent")


@prometheus
def test_prometheus_accepts_the_rules_and_scrapes(served: str, tmp_path: Path) -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{RULES}']\n"
        "scrape_configs:\n"
        f"  - {{job_name: panotui, static_configs: [{{targets: ['{served}']}}]}}\n"
    )
    process = subprocess.Popen(
        [
            "prometheus", f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        found: list[object] = []
        while not found:
            assert time.monotonic() < until, "nothing was scraped"
            assert process.poll() is None
            try:
                address = f"http://127.0.0.1:{port}/api/v1/query?query=panotui_camera_ok"
                with urllib.request.urlopen(address, timeout=5) as answer:
                    found = json.load(answer)["data"]["result"]
            except OSError:
                pass
            time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(60)
    assert len(found) == len(FixedState().snapshot().cameras)


def test_each_alert_names_metrics_that_there_are(path: Path) -> None:
    named = set(re.findall(r"panotui_[a-z_]+", RULES.read_text()))
    assert named <= families(path)


def test_what_is_exported_is_documented(path: Path) -> None:
    text = (REPOSITORY / "docs" / "metrics.md").read_text()
    for name in families(path) - {"panotui_info"}:
        assert name in text or name.replace("panotui_camera", "") in text, name


def test_the_dashboard_is_as_its_script_writes_it_and_asks_for_what_there_is(path: Path) -> None:
    script = REPOSITORY / "docs" / "metrics" / "make_dashboard.py"
    spec = importlib.util.spec_from_file_location("make_dashboard", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept = script.with_name("grafana.json").read_text()
    assert kept == module.text()
    known = families(path)
    panels = json.loads(kept)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for target in panel["targets"]:
            assert set(re.findall(r"panotui_[a-z_]+", target["expr"])) <= known, target


@pytest.mark.parametrize("fault", [None, "panles", "gridPoss"])
def test_grafanas_types_read_all_of_the_dashboard(tmp_path: Path, fault: str | None) -> None:
    text = (REPOSITORY / "docs" / "metrics" / "grafana.json").read_text()
    if fault is not None:  # what is not of the schema is found
        text = text.replace({"panles": '"panels"', "gridPoss": '"gridPos"'}[fault], f'"{fault}"')
    (tmp_path / "dashboard.json").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", DASHBOARD, str(tmp_path / "dashboard.json")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout.strip() == "") is (fault is None), done.stdout
