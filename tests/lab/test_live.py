"""The whole program in the lab: live on both mirror ports, recorded, killed, reviewed, analysed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from panotui.feed.client import FeedClient
from panotui.feed.codec import FeedError
from panotui.views.frames import Frame, View
from tests.lab.film import analyze, filming, wait_until
from tests.lab.netns import end, require_root
from tests.lab.plant import Plant

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def _root() -> None:
    require_root()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the recorder can reach after it has given up root."""
    path = Path(tempfile.mkdtemp(prefix="panotui-live-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def start_recorder(plant: Plant, folder: Path, *options: str) -> subprocess.Popen[str]:
    log = (folder / "recorder.log").open("w")
    return plant.probe.popen(
        [
            *(sys.executable, "-m", "panotui", "record", "mir0", "mir1"),
            *("-o", str(folder / "night"), "--socket", str(folder / "feed.sock")),
            *("--site", str(plant.site_file), "--json", *options),
        ],
        stdout=log,
        stderr=log,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )


def ask(folder: Path, **view: Any) -> Frame | None:
    """A frame of the recorder, or None while it does not listen yet."""
    try:
        client = FeedClient.connect(str(folder / "feed.sock"))
    except FeedError:
        return None
    try:
        answer = client.ask(View(**view))
    finally:
        client.close()
    assert isinstance(answer, Frame), answer
    return answer


def both_streams(frame: Frame | None) -> bool:
    return (
        frame is not None
        and len([s for s in frame.streams if s.codec == "H264" and s.rate_bps]) == 2
        and all(p.rate_in_bps is not None for p in frame.ports)
        and len(frame.ports) == 2
    )


def plausible_rates(frame: Frame) -> bool:
    """2,000 and 700 kbit/s are set; an encoder on a busy machine has slow seconds."""
    rates = {s.camera: s.rate_bps or 0 for s in frame.streams}
    return 1.0e6 < rates["dock"] < 4.0e6 and 0.3e6 < rates["gate"] < 1.5e6


def test_both_ports_streams_and_the_violation_within_three_seconds(folder: Path) -> None:
    with Plant() as plant:
        for camera in ("dock", "gate"):
            plant.start_camera(camera)
        plant.read_camera("dock", "udp")
        plant.read_camera("gate", "tcp")
        plant.start_cloud_traffic(1.0)
        time.sleep(2)  # the site has been running before anyone looks
        recorder = start_recorder(plant, folder)
        wait_until(lambda: ask(folder) is not None, 90, "the recorder listens")
        plant.phone_home("gate")
        wait_until(lambda: both_streams(ask(folder)), 90, "both streams with their bit-rates")
        frame = ask(folder)
        assert frame is not None
        wait_until(
            lambda: [v.reason for v in (ask(folder) or frame).violations] == ["stream-leak"],
            3,
            "the violation",
        )
        wait_until(
            lambda: plausible_rates(ask(folder) or frame),
            15,
            "bit-rates near what the encoders were set to",
        )
        assert {p.name for p in frame.ports} == {"eth0", "eth1"}
        assert frame.header.lost == 0
        assert end(recorder, 8) == 0, (folder / "recorder.log").read_text()


def test_recorder_gives_up_every_privilege_before_its_first_packet(folder: Path) -> None:
    with Plant([]) as plant:
        recorder = start_recorder(plant, folder)
        wait_until(lambda: ask(folder) is not None, 90, "the recorder listens")
        pids = [recorder.pid, *plant.probe.pids()]
        states = {p: Path(f"/proc/{p}/status").read_text() for p in set(pids)}
        mine = {
            p: text
            for p, text in states.items()
            if b"panotui" in Path(f"/proc/{p}/cmdline").read_bytes()
        }
        assert mine
        for text in mine.values():
            fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
            assert int(fields["CapEff"], 16) == 0
            assert int(fields["CapPrm"], 16) == 0
            assert fields["NoNewPrivs"] == "1"
            assert "0" not in fields["Uid"].split()
        assert end(recorder, 8) == 0


def story(answer: dict[str, Any], until: str) -> dict[str, Any]:
    """What must be the same however it was captured: who talked, verdicts, losses, violations."""
    return {
        "flows": {
            (f["transport"], f["src"], f["sport"], f["dst"], f["dport"]): (f["verdict"], f["host"])
            for f in answer["flows"]
            if f["first_time"] < until and f["transport"] == "tcp"
        },
        "streams": {(s["camera"], s["ssrc"]): s["lost"] for s in answer["streams"]},
        "violations": {(v["reason"], v["src"], v["dst"]) for v in answer["violations"]},
    }


def test_killed_recorder_tells_the_same_story_as_tcpdump_beside_it(folder: Path) -> None:
    with Plant() as plant:
        for camera in ("dock", "gate"):
            plant.start_camera(camera)
        path = folder / "beside.pcapng"
        os.chmod(folder, 0o777)
        recorder = start_recorder(plant, folder)
        wait_until(lambda: ask(folder) is not None, 90, "the recorder listens")
        with filming(plant, path):
            plant.read_camera("dock", "udp")
            plant.read_camera("gate", "tcp")
            cloud = plant.start_cloud_traffic(4.0)
            time.sleep(5)
            plant.phone_home("gate")
            time.sleep(13)
            os.killpg(recorder.pid, signal.SIGKILL)
            recorder.wait(60)
            end(cloud)
        recording = folder / "night.panotui"
        beside = analyze("--site", plant.site_file, path)
        recorded = analyze(recording)
    until = recorded["source"]["last_time"]
    # at most the last second is missing
    last_seen = json.loads((folder / "recorder.log").read_text().splitlines()[-1])
    assert last_seen
    a, b = story(recorded, until), story(beside, until[:-9])
    assert set(b["flows"]) <= set(a["flows"])
    assert {k: a["flows"][k] for k in b["flows"] if k in a["flows"]} == b["flows"]
    assert a["streams"].keys() == b["streams"].keys()
    assert set(a["streams"].values()) == {0}
    assert a["violations"] == b["violations"] == {("stream-leak", "10.20.0.12", "203.0.113.99")}
    dock = next(s for s in recorded["streams"] if s["camera"] == "dock")
    assert dock["packets"] > 1000
