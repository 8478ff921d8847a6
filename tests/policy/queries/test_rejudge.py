"""A recording judged again under another site file: as if it had been captured under that file."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner

from panotui import sources
from panotui.commands.analyze import command
from panotui.commands.input import analysed
from panotui.commands.rehearse import record_capture
from panotui.policy.queries.rejudge import changes, rejudge
from panotui.recording.reader import Recording
from panotui.recording.rejudged import RejudgedRecording
from panotui.report.analysis import schema
from panotui.site.file import parse_site
from tests.captures import capture
from tests.situations import SITUATIONS

DEMO = Path(sources.__file__).parent / "demo"
SITE = (DEMO / "site.toml").read_text("utf-8")
BARE = '[site]\nregion = "us-east-1"\n'
LINKED = "[site]\nprivate_link = true\n"


def recorded(path: Path, site: str, folder: Path) -> Path:
    return record_capture([str(path)], parse_site(site), site, folder / "old.panotui")


@pytest.mark.parametrize(
    ("name", "old", "new", "differ"),
    [
        ("demo", SITE, SITE, 0),
        ("demo", SITE, BARE, 10),
        ("demo", "", SITE, 10),
        ("lab/peers.pcap", "", LINKED, 2),
        ("lab/gst-udp-digest.pcap", "", LINKED, 0),
        ("lab/udp-h264.pcap", "", "", 0),
        ("variants/v-oneway.pcap", "", "", 0),
        ("crafted/home.pcapng", "", LINKED, 0),
    ],
    ids=["same", "without", "with", "private-link", "streams", "nothing", "one-way", "wild"],
)
def test_a_recording_is_judged_as_its_capture_would_be(
    name: str, old: str, new: str, differ: int, tmp_path: Path
) -> None:
    path = DEMO / "site.pcapng.zst" if name == "demo" else capture(name)
    recording = Recording(recorded(path, old, tmp_path))
    again = rejudge(parse_site(new), recording.final(), recording.all_flows())
    recording.close()
    direct = analysed([str(path)], parse_site(new))
    assert changes(direct.flow_records(), again.flows) == ()
    assert len(again.changes) == differ
    said = {(v.reason, v.src, v.dst, v.host, v.flows) for v in again.snapshot.violations}
    assert said == {(v.reason, v.src, v.dst, v.host, v.flows) for v in direct.snapshot().violations}
    assert [(s.verdict, s.rule) for s in again.snapshot.streams] == [
        (s.verdict, s.rule) for s in direct.snapshot().streams
    ]


def test_an_empty_recording_has_nothing_to_judge() -> None:
    snapshot = analysed([str(capture("lab/lldp.pcap"))], parse_site("")).snapshot()
    assert rejudge(parse_site(SITE), snapshot, []).changes == ()


def test_analyze_lists_what_another_site_file_changes(tmp_path: Path) -> None:
    path = DEMO / "site.pcapng.zst"
    old, new = DEMO / "site.toml", tmp_path / "new.toml"
    new.write_text(BARE)
    folder = recorded(path, SITE, tmp_path)
    for arguments in (
        [str(folder), "--site", str(new)],
        [str(path), "--site", str(new), "--was", str(old)],
    ):
        done = CliRunner().invoke(command, arguments, standalone_mode=False)
        assert "Judged again: 10 flows differ" in done.output
        assert (
            "dynamodb.us-east-1.amazonaws.com tcp/443: allowed by service:my-app-dynamodb"
            " -> violation: unlisted-endpoint (10 flows)"
        ) in done.output
        asked = CliRunner().invoke(command, [*arguments, "--json"], standalone_mode=False)
        whole = json.loads(asked.output)
        jsonschema.Draft202012Validator(schema()).validate(whole)
        assert len(whole["verdict_changes"]) == 10
        assert {v["reason"] for v in whole["violations"]} == {"stream-leak", "unlisted-endpoint"}
        lines = CliRunner().invoke(command, [*arguments, "--ndjson"], standalone_mode=False)
        types = [msgspec.json.decode(line)["type"] for line in lines.output.splitlines()]
        assert types.count("verdict-change") == 10


def test_a_review_shows_the_new_verdicts_at_each_time(tmp_path: Path) -> None:
    folder = recorded(DEMO / "site.pcapng.zst", SITE, tmp_path)
    recording = RejudgedRecording(folder, parse_site(BARE), BARE)
    assert recording.site_text == BARE
    end = recording.snapshot_at(recording.end_ns)
    assert {v.reason for v in end.violations} == {"stream-leak", "unlisted-endpoint"}
    assert not recording.snapshot_at(recording.start_ns).violations
    new = [f for f in recording.flows_at(recording.end_ns) if f.reason == "unlisted-endpoint"]
    assert new
    assert all(f.rule is None for f in new)
    one = recording.flow(recording.end_ns, new[0].id)
    assert one is not None
    assert one.reason == "unlisted-endpoint"
    told = [e for e in recording.events() if e.kind == "verdict"]
    assert len(told) == len(recording.changes) == 10
    assert "allowed by service:my-app-dynamodb -> violation" in told[0].text
    times = [e.time_ns for e in recording.events()]
    assert times == sorted(times)
    recording.close()


def test_without_another_site_file_nothing_is_compared(tmp_path: Path) -> None:
    folder = recorded(DEMO / "site.pcapng.zst", SITE, tmp_path)
    done = CliRunner().invoke(command, [str(folder), "--json"], standalone_mode=False)
    assert "verdict_changes" not in json.loads(done.output)


@pytest.mark.parametrize(
    ("name", "violations"),
    [("explicit-proxy-for-everything-1", 0), ("laptop-and-no-appliance-1", 0)],
)
def test_what_the_flows_do_not_say_of_themselves_is_kept(name: str, violations: int) -> None:
    """The far end behind a proxy; that no appliance was seen."""
    one = SITUATIONS[name]
    engine = one.watch()
    again = rejudge(one.site(), engine.snapshot(), list(engine.flow_records()))
    assert len(again.flows) > 10
    assert again.changes == ()
    assert len(again.snapshot.violations) == violations
