"""Evidence: each proof names its frame, and its packets can be handed out."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from panotui.commands.evidence import command
from panotui.commands.keeping import kept_packets
from panotui.commands.rehearse import record_capture
from panotui.errors import UsageError
from panotui.model import Site, SiteCamera, Snapshot, SourceRecord
from panotui.recording.evidence_export import RecordingPackets, save
from panotui.recording.reader import Recording
from panotui.report.analysis import analysis_from_records
from panotui.runtime.pipe import Keeping
from panotui.site.file import load_site
from panotui.state.leads import with_evidence, without_counts
from panotui.state.marks import key_of
from panotui.views.frames import Command
from panotui.views.review import ReviewProvider
from tests.tshark import require
from tests.views.records import snapshot

DEMO = Path(__file__).parents[2] / "panotui" / "sources" / "demo"


def recorded(folder: Path, keeping: Keeping | None = None) -> Path:
    text = (DEMO / "site.toml").read_text()
    return record_capture(
        [str(DEMO / "site.pcapng.zst")], load_site(DEMO / "site.toml"), text, folder,
        evidence=True, keeping=keeping,
    )  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("evidence") / "demo.panotui")


def comments(path: Path) -> dict[int, str]:
    """Frame number to comment, as tshark reads the file; it must not complain."""
    require()
    done = subprocess.run(
        ["tshark", "-r", str(path), "-T", "fields", "-e", "frame.number", "-e", "frame.comment"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    complaints = [
        line for line in done.stderr.splitlines() if line and not line.startswith("Running as")
    ]
    assert complaints == []
    rows = (line.partition("\t") for line in done.stdout.splitlines())
    return {int(number): comment for number, _, comment in rows}


def test_the_frame_that_a_finding_names_carries_its_sentence(demo: Path) -> None:
    recording = Recording(demo)
    final = recording.final(look=True)
    named = [f for f in (*final.findings, *final.violations) if f.evidence_file]
    assert len(named) >= 3
    for record in named:
        kept = next(e for e in final.evidence if e.file == record.evidence_file)
        assert kept.frames
        assert kept.intact is True
        said = comments(demo / "evidence" / kept.file)
        assert len(said) == kept.packets
        for frame in kept.frames:
            assert said[frame.frame] == f"{frame.text} ({kept.title})"
        assert record.id.partition("-")[0] in kept.title or record in final.violations
        texts = set(said.values()) - {""}
        assert texts - {said[f.frame] for f in kept.frames} <= {
            "context: how a flow began that this is about",
            "context: names a host that this is about",
        }


def test_proofs_that_were_kept_have_a_frame_number(demo: Path) -> None:
    findings = [f for f in Recording(demo).final().findings if f.evidence_file]
    with_frames = [e for f in findings for e in f.evidence if e.frame is not None]
    assert len(with_frames) >= len(findings)


def test_the_json_lists_evidence_with_its_hash(demo: Path) -> None:
    recording = Recording(demo)
    whole = analysis_from_records(recording.final(look=True), ())
    assert whole["evidence"]
    for kept in whole["evidence"]:
        raw = (demo / "evidence" / kept["file"]).read_bytes()
        assert kept["sha256"] == hashlib.sha256(raw).hexdigest()
        assert kept["bytes"] == len(raw)
        assert kept["intact"] is True
    files = {kept["file"] for kept in whole["evidence"]}
    told = [f for f in whole["findings"] if f["evidence_file"]]
    assert told
    assert {f["evidence_file"] for f in told} <= files


def test_changed_evidence_is_said_to_be_changed(tmp_path: Path) -> None:
    folder = record_capture(
        ["tests/data/lab/faults.pcap"], Site(), "", tmp_path / "a.panotui", evidence=True
    )
    recording = Recording(folder)
    kept = next(e for e in recording.evidence_files() if e.subject)
    path = folder / "evidence" / kept.file
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert [e.intact for e in recording.evidence_files(look=True) if e.file == kept.file] == [False]
    saved = save(recording, kept.subject, tmp_path / "out.pcapng")
    assert "was changed since it was recorded" in saved.text("out.pcapng")


def test_the_command_writes_one_matter_alone(demo: Path, tmp_path: Path) -> None:
    recording = Recording(demo)
    violation = recording.violations()[0]
    out = tmp_path / "out.pcapng"
    told = CliRunner().invoke(command, [str(demo), violation.id, "-o", str(out)])
    assert told.exit_code == 0, told.output
    assert "shows it" in told.output
    assert any(violation.text[:40] in comment for comment in comments(out).values())
    listed = CliRunner().invoke(command, [str(demo)])
    assert key_of(violation) in listed.output
    with pytest.raises(UsageError, match="File exists"):
        save(recording, violation.id, out)
    with pytest.raises(UsageError, match="has nothing with that name"):
        save(recording, "nonsense", tmp_path / "other.pcapng")


def test_what_has_no_file_of_its_own_is_cut_from_the_control_packets(
    demo: Path, tmp_path: Path
) -> None:
    recording = Recording(demo)
    kept = {e.subject for e in recording.evidence_files()}
    finding = next(f for f in recording.findings() if key_of(f) not in kept and f.evidence)
    saved = save(recording, key_of(finding), tmp_path / "cut.pcapng")
    assert saved.cut
    said = comments(saved.path)
    assert len(said) == saved.packets > 0
    for frame in saved.frames:
        assert finding.text[:40] in said[frame.frame]


def test_the_screen_saves_packets_with_one_command(demo: Path, tmp_path: Path) -> None:
    recording = Recording(demo)
    provider = ReviewProvider(recording, export_folder=tmp_path)
    violation = recording.violations()[0]
    done = provider.command(Command(name="evidence", key=key_of(violation)))
    assert done.ok, done.text
    (path,) = tmp_path.glob("*.pcapng")
    assert str(path) in done.text
    assert comments(path)
    assert not provider.command(Command(name="evidence", key="port:eth0")).ok
    assert RecordingPackets(recording).of("violation:x", 0) is None


def test_a_live_count_is_shown_nowhere() -> None:
    live = snapshot(5)
    assert live.findings[0].evidence[0].packet == 7
    shown = without_counts(live)
    assert shown.findings[0].evidence[0].packet is None
    capture = msgspec.structs.replace(live, source=SourceRecord(files=("a.pcap",)))
    assert without_counts(capture) is capture
    assert numbers(with_evidence(live, lambda subject, since_ns: None)) == []


def numbers(shown: Snapshot) -> list[int]:
    """All numbers of packets that a snapshot shows."""
    evidence = [e for f in shown.findings for e in f.evidence]
    evidence += [e for s in shown.streams for e in s.evidence]
    found = [e.packet for e in evidence]
    found += [e.packet for e in shown.events]
    found += [v.first_packet or None for v in shown.violations]
    found += [a.packet for e in shown.endpoints for a in e.attempts_detail]
    return [number for number in found if number is not None]


@pytest.mark.parametrize(("what", "most"), [("control", None), ("headers", 96), ("media", 1514)])
def test_what_is_kept_of_media_is_chosen_by_camera(
    what: str, most: int | None, tmp_path: Path
) -> None:
    site = load_site(DEMO / "site.toml")
    dock = next(c for c in site.camera if c.name == "dock")
    keeping = kept_packets(["headers", f"dock={what}"], "2s", "1s", site)
    folder = recorded(tmp_path / "a.panotui", keeping)
    sizes: set[int] = set()
    others: set[int] = set()
    for path in (folder / "evidence").glob("*finding*"):
        for line in subprocess.run(
            ["tshark", "-r", str(path), "-Y", "udp.length > 300 && udp.port > 5000", "-T",
             "fields", "-e", "ip.src", "-e", "frame.cap_len"],
            capture_output=True, text=True, check=True,
        ).stdout.splitlines():  # fmt: skip
            source, size = line.split()
            (sizes if source == dock.address else others).add(int(size))
    assert max(sizes, default=None) == most or (most == 1514 and max(sizes) > 300)
    assert others <= {96}


def test_seconds_before_and_after_are_settable(tmp_path: Path) -> None:
    spans: list[float] = []
    for before, after in (("0s", "1s"), ("8s", "4s")):
        folder = recorded(tmp_path / f"{before}.panotui", kept_packets((), before, after, Site()))
        path = next((folder / "evidence").glob("*stream-frozen*"))
        out = subprocess.run(
            ["tshark", "-r", str(path), "-Y", "!frame.comment contains \"context\"", "-T", "fields",
             "-e", "frame.time_epoch"],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        spans.append(float(out[-1]) - float(out[0]))
    assert spans[0] < 3 < 8 < spans[1] < 14


def test_wrong_words_for_what_is_kept_are_one_line() -> None:
    site = Site(camera=(SiteCamera(name="dock", address="10.0.0.1"),))
    assert kept_packets(("dock=media",), "10s", "5s", site).of_hosts == {"10.0.0.1": 65_535}
    assert kept_packets(("control",), "10s", "5s", site).bulk_bytes == 0
    for words, match in ((("all",), "none of the kinds"), (("yard=media",), "no camera of that")):
        with pytest.raises(UsageError, match=match):
            kept_packets(words, "10s", "5s", site)
    with pytest.raises(UsageError, match="0 to 120 s"):
        kept_packets((), "1h", "5s", site)


def test_a_second_run_names_its_evidence_anew(tmp_path: Path) -> None:
    for _ in range(2):
        folder = record_capture(
            ["tests/data/lab/faults.pcap"], Site(), "", tmp_path / "a.panotui", evidence=True
        )
    recording = Recording(folder)
    kept = [e for e in recording.evidence_files(look=True) if e.subject]
    assert len({e.file for e in kept}) == len(kept) == 2 * len({e.subject for e in kept})
    assert all(e.intact for e in kept)
