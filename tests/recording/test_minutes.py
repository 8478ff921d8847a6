"""Habits learnt from what the recorder wrote, and another recording compared with them."""

from __future__ import annotations

import json
import random
import time
from importlib import resources
from pathlib import Path

import msgspec
import pytest
from click import Command
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from panotui.cli import main
from panotui.commands.analyze import command as analyze
from panotui.commands.baseline import command as baseline
from panotui.commands.report import command as report
from panotui.errors import InputError, OtherSite
from panotui.model import (
    SECOND,
    CountsRecord,
    FlowRecord,
    SiteRecord,
    Snapshot,
    SourceRecord,
    StreamRecord,
)
from panotui.recording.minutes import minutes
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from panotui.recording.retention import Limits

MONDAY = int(time.mktime((2026, 11, 2, 0, 0, 0, 0, 0, 0)))
HOUR, DAY = 3600, 86_400


def stream(now_s: int, begun_s: int, rate: float, reader: str, number: int = 1) -> StreamRecord:
    passed = now_s - begun_s
    return StreamRecord(
        id=f"0-{number}", camera="dock", url=None, ssrc="0x00000001", payload_type=96,
        codec="H264", transport="udp", src="10.20.0.11", sport=5000, dst=reader, dport=6000,
        first_time_ns=begun_s * SECOND, last_time_ns=now_s * SECOND, packets=200 * passed,
        lost=passed // 50, rate_bps=rate, fps_now=25.0, media="video", history_lost=(0,),
        history_frames=(25,), history_keyframes=(1,), history_frame_bytes=(9_000,),
    )  # fmt: skip


def flow(number: int, at_s: int, host: str, rule: str | None) -> FlowRecord:
    return FlowRecord(
        id=f"0-{number}", community_id="", port="eth1", transport="tcp", src="10.20.0.5",
        sport=40_000, dst="203.0.113.9", dport=443, first_time_ns=at_s * SECOND,
        last_time_ns=at_s * SECOND, host=host, host_source="sni", client_by="syn", rtt_ms=25.0,
        verdict="allowed" if rule else "violation", rule=rule, service=rule, app="tls",
    )  # fmt: skip


def record(
    folder: Path, begin_s: int, seconds: int, other_from_s: int = 1 << 40, site: str = "plant"
) -> Path:
    """A recording of a camera and an endpoint; `other_from_s`: the camera sends half, somebody else
    reads it, and the appliance speaks to a stranger."""
    chance = random.Random(begin_s)
    recorder = Recorder(
        folder, lossless=True, commit_every_s=30.0, limits=Limits(free_bytes=0, size_bytes=1 << 40)
    )
    for number, now_s in enumerate(range(begin_s, begin_s + seconds, 60)):
        night = time.localtime(now_s).tm_hour < 6
        other = now_s >= other_from_s
        rate = (1e6 if night else 2e6) * chance.gauss(1, 0.04) * (0.4 if other else 1)
        streams = [stream(now_s, begin_s, rate, "10.20.0.5")]
        if other:
            streams.append(stream(now_s, other_from_s, 0.0, "10.20.0.99", 2))
        flows = [flow(number, now_s, "logs.us-east-1.amazonaws.com", "logs")] * (number % 10 == 0)
        if other:
            flows.append(flow(10_000 + number, now_s, "p2p.example", None))
        recorder.observe(
            Snapshot(
                number=number, time_ns=now_s * SECOND, site=SiteRecord(name=site),
                source=SourceRecord(
                    files=(), format="", packets=number, bytes=number,
                    first_time_ns=begin_s * SECOND, last_time_ns=now_s * SECOND,
                ),
                counts=CountsRecord(), streams=tuple(streams),
            ),
            flows, (),
        )  # fmt: skip
    recorder.close()
    return folder


def run(command: Command, *arguments: str | Path) -> Result:
    done = CliRunner().invoke(command, [*map(str, arguments)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learnt")
    parts = [
        record(folder / f"{day}.panotui", MONDAY + day * DAY, DAY) for day in (1, 0)
    ]  # in any order
    done = run(baseline, "learn", *parts, "-o", folder / "site.baseline")
    assert done.stdout == "plant: 2.0 days, cameras 1, endpoints 1, peers 1\n"
    return folder / "site.baseline"


def test_minutes_are_what_the_recorder_saw(tmp_path: Path) -> None:
    recording = Recording(record(tmp_path / "one.panotui", MONDAY + 8 * HOUR, 2 * HOUR))
    found = list(minutes(recording))
    assert [m.time_s for m in found] == list(range(found[0].time_s, found[-1].time_s + 1, 60))
    assert 118 <= len(found) <= 120
    for minute in found[1:]:
        camera = minute.cameras["dock"]
        assert camera.rate_bps == pytest.approx(2e6, rel=0.25)
        assert (camera.fps, camera.gop_s, camera.readers) == (25.0, 1.0, ("10.20.0.5",))
        assert camera.loss == pytest.approx(0.0001, abs=0.0001)
    contacts = [m for m in found if m.endpoints]
    assert len(contacts) == 12
    assert contacts[0].endpoints == {"logs/logs.us-east-1.amazonaws.com/443": 25.0}
    assert contacts[0].peers == ("10.20.0.5 > logs",)


def test_a_day_like_the_others_has_no_departure(tmp_path: Path, learnt: Path) -> None:
    same = record(tmp_path / "same.panotui", MONDAY + 2 * DAY + 4 * HOUR, 6 * HOUR)
    answer = json.loads(run(analyze, "--json", "--baseline", learnt, same).stdout)
    assert answer["findings"] == []


def test_what_departs_is_in_the_answer_with_both_numbers(tmp_path: Path, learnt: Path) -> None:
    begin = MONDAY + 2 * DAY + 9 * HOUR
    other = record(tmp_path / "other.panotui", begin, 4 * HOUR, begin + 2 * HOUR)
    answer = json.loads(run(analyze, "--json", "--baseline", learnt, other).stdout)
    told = {f["id"]: f for f in answer["findings"]}
    assert set(told) == {"unusual-stream", "unusual-reader", "unusual-peer"}
    text = told["unusual-stream"]["text"]
    assert text.startswith(
        "dock sends 801 kb/s, on weekdays at this hour 2.02 Mb/s +- 85.8 kb/s"
    ), text
    assert told["unusual-stream"]["subject"] == "camera dock"
    assert told["unusual-reader"]["text"] == "10.20.0.99 reads dock, which it did not in 2 days"
    assert "p2p.example tcp/443" in told["unusual-peer"]["text"]
    assert all(f["severity"] == "info" and f["action"] for f in told.values())


def test_what_departs_is_in_the_report_with_its_date_and_both_numbers(
    tmp_path: Path, learnt: Path
) -> None:
    begin = MONDAY + 2 * DAY + 9 * HOUR
    other = record(tmp_path / "other.panotui", begin, 4 * HOUR, begin + 2 * HOUR)
    whole = run(report, "--markdown", other).stdout
    assert "on weekdays at this hour" not in whole
    text = run(report, "--markdown", "--baseline", learnt, other).stdout
    assert "dock sends 801 kb/s, on weekdays at this hour 2.02 Mb/s +- 85.8 kb/s" in text
    told = text[text.index("dock sends 801 kb/s") :]
    assert "2026-11-04 11:0" in told[:1500], "since when, with the date"
    run(report, "--baseline", learnt, other, "-o", tmp_path / "other.html")
    page = (tmp_path / "other.html").read_text("utf-8")
    assert "on weekdays at this hour 2.02 Mb/s" in page
    assert "2026-11-04" in page
    before = run(report, "--markdown", "--baseline", learnt, "--until", "10:30", other).stdout
    assert "on weekdays at this hour" not in before


def test_a_file_that_is_no_baseline_of_this_site_is_one_line(tmp_path: Path, learnt: Path) -> None:
    capture = tmp_path / "a.pcap"
    capture.write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(20))
    site = tmp_path / "site.toml"
    site.write_text('[site]\nname = "another"\n')
    with pytest.raises(OtherSite, match="it is of the site plant, not of another"):
        run(analyze, "--baseline", learnt, "--site", site, capture)
    with pytest.raises(InputError, match="this is not a baseline"):
        run(analyze, "--baseline", site, capture)
    with pytest.raises(InputError, match="No such file"):
        run(analyze, "--baseline", tmp_path / "nosuch", capture)
    newer = tmp_path / "newer"
    newer.write_bytes(msgspec.json.encode({**json.loads(learnt.read_bytes()), "version": 99}))
    with pytest.raises(InputError, match="a baseline of version 99"):
        run(analyze, "--baseline", newer, capture)
    with pytest.raises(InputError, match="this is not a recording"):
        run(baseline, "learn", capture, "-o", tmp_path / "out")


def test_a_baseline_of_another_site_has_an_exit_code_of_its_own(
    tmp_path: Path, learnt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = record(tmp_path / "other.panotui", MONDAY, HOUR, site="depot")
    assert main(["analyze", "--baseline", str(learnt), str(other)]) == 10
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "it is of the site plant, not of depot. Learn one of this site." in said[0]


def test_recordings_of_two_sites_are_not_learnt_together(tmp_path: Path) -> None:
    one = record(tmp_path / "one.panotui", MONDAY, HOUR)
    two = record(tmp_path / "two.panotui", MONDAY + DAY, HOUR, site="depot")
    with pytest.raises(OtherSite, match="it is of the site depot, not of plant"):
        run(baseline, "learn", one, two, "-o", tmp_path / "out")


def test_a_recording_of_another_site_is_not_compared(tmp_path: Path, learnt: Path) -> None:
    other = record(tmp_path / "other.panotui", MONDAY, HOUR, site="depot")
    with pytest.raises(OtherSite, match="it is of the site plant, not of depot"):
        run(analyze, "--baseline", learnt, other)


def test_show_says_what_was_learnt(learnt: Path) -> None:
    lines = run(baseline, "show", learnt).stdout.splitlines()
    assert lines[0] == "plant: 2.0 days, cameras 1, endpoints 1, peers 1"
    assert any(line.startswith("camera dock: ") and "25.0 +- 0.0 fps" in line for line in lines)
    assert "peer 10.20.0.5 > logs" in lines


def test_show_answers_with_the_object_that_the_schema_describes(learnt: Path) -> None:
    answer = json.loads(run(baseline, "show", "--json", learnt).stdout)
    text = resources.files("panotui.model").joinpath("baseline.schema.json").read_text("utf-8")
    Draft202012Validator(json.loads(text)).validate(answer)
    assert answer["schema"] == "panotui.baseline/1"
    assert set(answer["cameras"]) == {"dock"}
    assert json.loads(learnt.read_bytes()) == answer


def test_hours_of_another_zone_are_not_compared(tmp_path: Path, learnt: Path) -> None:
    capture = tmp_path / "a.pcap"
    capture.write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(20))
    elsewhere = tmp_path / "elsewhere"
    whole = json.loads(learnt.read_bytes())
    elsewhere.write_bytes(msgspec.json.encode({**whole, "zone": "XYZ"}))
    with pytest.raises(OtherSite, match=r"learnt in the zone XYZ, and here it is .*TZ="):
        run(analyze, "--baseline", elsewhere, capture)


def test_a_baseline_whose_cameras_are_none_of_the_sites_is_of_another(
    tmp_path: Path, learnt: Path
) -> None:
    capture = tmp_path / "a.pcap"
    capture.write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(20))
    site = tmp_path / "site.toml"
    site.write_text('[[camera]]\nname = "yard"\naddress = "10.20.0.77"\n')
    with pytest.raises(OtherSite, match=r"none of its cameras \(dock\) is one of this site's"):
        run(analyze, "--baseline", learnt, "--site", site, capture)
    site.write_text('[[camera]]\nname = "dock"\naddress = "10.20.0.11"\n')
    assert run(analyze, "--baseline", learnt, "--site", site, capture).exit_code == 0
