"""A capture analysed, and the same capture recorded and then analysed: one answer."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from panotui.commands.input import analysed
from panotui.commands.rehearse import record_capture
from panotui.model import SECOND
from panotui.recording.reader import Recording
from panotui.report.analysis import analysis_from_records
from panotui.site.file import load_site
from panotui.views.frames import Command, View
from panotui.views.review import ReviewProvider
from panotui.views.subjects import PANES
from tests.captures import capture

DEMO = Path(__file__).parents[2] / "panotui" / "sources" / "demo"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("r") / "demo.panotui"
    site = load_site(DEMO / "site.toml")
    text = (DEMO / "site.toml").read_text()
    return record_capture([str(DEMO / "site.pcapng.zst")], site, text, folder, evidence=True)


def plain(value: object) -> object:
    """Without what differs by right: the name of the input, our own evidence's state."""
    assert isinstance(value, dict)
    return {key: part for key, part in value.items() if key != "limits"}


def test_a_recording_answers_as_its_capture(recorded: Path) -> None:
    engine = analysed([str(DEMO / "site.pcapng.zst")], load_site(DEMO / "site.toml"))
    direct = analysis_from_records(engine.snapshot(), engine.flow_records())
    recording = Recording(recorded)
    again = analysis_from_records(recording.final(), recording.all_flows())
    again["evidence"] = []  # a capture is its own
    for found in (*again["violations"], *every(again["findings"])):
        found["evidence_file"] = None
        for place in (found, *found.get("evidence", ())):
            if "frame" in place:
                place["frame"] = None
    for key, part in direct.items():
        assert again[key] == part, key


def every(findings: list[Any]) -> list[Any]:
    """Findings and those that hang on them."""
    return [f for one in findings for f in (one, *one["members"])]


@pytest.mark.parametrize(
    "name", ["lab/udp-h264.pcap", "lab/faults.pcap", "variants/v-snap96.pcapng"]
)
def test_lab_captures_answer_the_same_recorded(name: str, tmp_path: Path) -> None:
    from panotui.model import Site

    path = str(capture(name))
    engine = analysed([path], Site())
    direct = analysis_from_records(engine.snapshot(), engine.flow_records())
    recording = Recording(record_capture([path], Site(), "", tmp_path / "x.panotui"))
    again = analysis_from_records(recording.final(), recording.all_flows())
    assert again["flows"] == direct["flows"]
    assert again == direct


def test_a_review_shows_each_pane_at_each_time(recorded: Path) -> None:
    now = [0.0]
    recording = Recording(recorded)
    provider = ReviewProvider(recording, clock=lambda: now[0])
    assert provider.frame(View(pane="violations")).total == 1
    for seconds in range(0, 62, 10):
        time_ns = recording.start_ns + seconds * SECOND
        assert provider.command(Command(name="seek", time_ns=time_ns)).ok
        for pane in PANES:
            frame = provider.frame(View(pane=pane))
            assert frame.header.review is not None
            assert frame.header.review.position_ns == time_ns
            assert abs(frame.header.time_ns - time_ns) <= SECOND
    flows = provider.frame(View(pane="flows", rows=5)).flows
    detail = provider.frame(View(detail=f"flow:{flows[0].id}")).detail
    assert detail is not None
    assert not detail.gone


def test_a_review_plays_at_its_speed_and_steps_between_events(recorded: Path) -> None:
    now = [0.0]
    recording = Recording(recorded)
    provider = ReviewProvider(recording, clock=lambda: now[0])

    def position() -> float:
        review = provider.frame(View()).header.review
        assert review is not None
        return (review.position_ns - recording.start_ns) / SECOND

    provider.command(Command(name="seek", time_ns=recording.start_ns))
    provider.command(Command(name="speed", value=10.0))
    provider.command(Command(name="play"))
    now[0] += 2.0
    assert position() == pytest.approx(20.0)
    provider.command(Command(name="pause"))
    now[0] += 2.0
    assert position() == pytest.approx(20.0)
    assert provider.command(Command(name="next-event")).ok
    assert position() > 20.0
    assert provider.command(Command(name="previous-event")).ok
    assert not provider.command(Command(name="speed", value=float("nan"))).ok
    provider.command(Command(name="play"))
    now[0] += 1000.0
    assert position() == pytest.approx((recording.end_ns - recording.start_ns) / SECOND)


def test_evidence_can_be_read_alone_and_names_its_event(recorded: Path) -> None:
    recording = Recording(recorded)
    files = {name: (title, packets) for name, _, title, packets in recording.evidence()}
    leak = next(name for name in files if "stream-leak" in name)
    path = recorded / "evidence" / leak
    told = subprocess.run(
        ["capinfos", "-k", "-c", "-M", str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert "violation stream-leak" in told
    assert str(files[leak][1]) in told
    names = tshark(path, "tls.handshake.extensions_server_name", "dns.qry.name")
    assert any("p2p.vendor.example" in line for line in names)
    frozen = next(name for name in files if "stream-frozen" in name)
    methods = tshark(recorded / "evidence" / frozen, "rtsp.method", "rtp.ssrc")
    assert any("SETUP" in line for line in methods)  # set up long before the freeze
    longest = max(int(line) for line in tshark(path, "frame.len", only="udp.port >= 5000"))
    assert longest > 96  # length on the wire is told, whatever was kept


def tshark(path: Path, *fields: str, only: str = "") -> list[str]:
    command = ["tshark", "-r", str(path), "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    if only:
        command += ["-Y", only]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.strip()]


def test_media_in_evidence_is_headers_only(recorded: Path) -> None:
    frozen = next((recorded / "evidence").glob("*stream-frozen*"))
    kept = tshark(frozen, "frame.cap_len", only="udp.srcport > 1024 && frame.len > 1000")
    assert kept
    assert {int(size) for size in kept} == {96}


def test_frames_of_a_review_are_small(recorded: Path) -> None:
    provider = ReviewProvider(Recording(recorded))
    for pane in PANES:
        assert len(msgspec.msgpack.encode(provider.frame(View(pane=pane)))) < 100_000
