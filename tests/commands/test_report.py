"""`panotui report`: from a recording and from a capture, to a file, whole or not at all."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from panotui.cli import main
from panotui.commands import report
from panotui.errors import UsageError
from panotui.recording.parts import DATABASE
from tests.captures import capture

DEMO = Path(report.__file__).parents[1] / "sources" / "demo"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from panotui.commands.rehearse import record_capture
    from panotui.site.file import parse_site

    text = (DEMO / "site.toml").read_text()
    folder = tmp_path_factory.mktemp("report") / "demo.panotui"
    return record_capture([str(DEMO / "site.pcapng.zst")], parse_site(text, "site"), text, folder)


def test_a_recording_becomes_a_page_with_what_a_technician_looks_for(
    recording: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.html"
    assert main(["report", str(recording), "-o", str(out)]) == 0
    text = out.read_text()
    order = [
        "plant-7", "Needs action", "At a glance", "<svg", "Outages", "and what to do",
        "logs.us-east-1.amazonaws.com port 443 is blocked", "owner of the firewall",
        "Violations of the policy", "p2p.vendor.example", "Cameras and streams", "dock",
        "stood still", "Ports of the appliance", "Endpoints", "Names and time", "Inventory",
        "What was not seen", "Source and site", "Words",
    ]  # fmt: skip
    position = 0
    for words in order:
        position = text.index(words, position)
    # two ports; bit-rate, frames and loss of two cameras; their strips, the cloud's and our own
    assert text.count('<svg class="plot"') == 2 + 3 * 2
    assert text.count('<svg class="strip"') == 2 + 2 + 3
    assert len(text) < 200_000
    assert list(tmp_path.iterdir()) == [out]


def test_a_capture_gives_the_same_report_as_its_recording(
    recording: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    site = ["--site", str(DEMO / "site.toml")]
    assert main(["report", str(DEMO / "site.pcapng.zst"), "--markdown", *site]) == 0
    of_capture = capfd.readouterr().out
    assert main(["report", str(recording), "--markdown", "-o", "-"]) == 0
    of_recording = capfd.readouterr().out
    # a packet's number leads somewhere only in the capture itself
    assert "packet 103: SYN, no answer" in of_capture
    assert ", packet " not in of_recording
    numbered = re.compile(r", packet \d+:")
    assert numbered.sub(":", of_capture) == of_recording.replace("demo.panotui", "site.pcapng.zst")
    assert "| dock | ✔ streaming |" in of_capture
    assert "**✖ Needs action.**" in of_capture


def test_a_freeze_is_seen_in_the_plot_as_no_bits_and_no_frames(recording: Path) -> None:
    from panotui.recording.reader import Recording
    from panotui.report.story import story_of

    opened = Recording(recording)
    story = story_of(opened, "demo", "test")
    opened.close()
    dock = next(s for s in story.snapshot.streams if s.camera == "dock")
    freeze = dock.freezes[0]
    inside = range(freeze.start_ns // 10**9 + 1, freeze.start_ns // 10**9 + int(freeze.seconds))
    assert len(inside) >= 3
    for name in ("rate", "fps"):
        values = {s.start_s: s.value for s in story.cameras["dock"].series[name].samples}
        assert [values[second] for second in inside] == [0.0] * len(inside)
        assert (values[inside[0] - 5] or 0) > 20


def test_fail_on_counts_for_a_report_too(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    for kind in ("violation", "finding"):
        assert main(["report", str(recording), "-o", str(out), "--fail-on", kind]) == 1
        assert out.exists()


def test_a_capture_without_a_packet_is_reported_as_that(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    assert main(["report", str(empty), "-o", "-"]) == 0
    page = capfd.readouterr().out
    assert "Nothing seen" in page
    assert "No packet was missed" not in page
    assert "<svg" not in page
    assert main(["report", str(empty), "--markdown"]) == 0
    assert "**· Nothing seen.**" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["lab/gst-udp-blocked.pcap", "lab/dhcp.pcap", "lab/any-sll2.pcap"])
def test_captures_of_all_kinds_give_a_page(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    assert main(["report", str(capture(name)), "-o", str(out)]) == 0
    assert out.read_text().endswith("</html>\n") or out.read_text().endswith("</html>")


def test_a_truncated_capture_says_so(tmp_path: Path) -> None:
    whole = capture("lab/dhcp.pcap").read_bytes()
    cut = tmp_path / "cut.pcap.gz"
    cut.write_bytes(gzip.compress(whole[:-7]))
    out = tmp_path / "out.md"
    assert main(["report", str(cut), "--markdown", "-o", str(out)]) == 0
    assert "The file ends inside a packet" in out.read_text()


def test_the_target_is_checked_before_the_work(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(recording), "-o", str(tmp_path)]) == 2
    assert "it is a folder" in capsys.readouterr().err
    assert main(["report", str(recording), "-o", str(tmp_path / "no" / "x.html")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_input_that_is_none_ends_with_3_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.html"
    junk = tmp_path / "junk.pcap"
    junk.write_bytes(b"no capture at all, really")
    (tmp_path / "folder").mkdir()
    for name in ("missing.pcap", "junk.pcap", "folder"):
        assert main(["report", str(tmp_path / name), "-o", str(out)]) == 3
        error = capsys.readouterr().err
        assert error.startswith("panotui: ")
        assert error.count("\n") == 1
    assert not out.exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_an_older_page_stays_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.html"
    out.write_text("older")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        report._write(str(out), str(out), b"newer")
    assert out.read_text() == "older"
    assert list(tmp_path.iterdir()) == [out]
    monkeypatch.undo()
    report._write(str(out), str(out), b"newer")
    assert out.read_text() == "newer"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real.html"
    real.write_text("older")
    link = tmp_path / "link.html"
    link.symlink_to(real)
    report._write(str(link), str(link), b"newer")
    assert link.is_symlink()
    assert real.read_text() == "newer"


def test_reading_changes_nothing_in_the_recording(recording: Path, tmp_path: Path) -> None:
    before = (recording / DATABASE).read_bytes()
    assert main(["report", str(recording), "-o", str(tmp_path / "out.html")]) == 0
    assert (recording / DATABASE).read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="root gives up its rights")
def test_root_reports_of_several_and_prints_without_its_rights(
    recording: Path, tmp_path: Path
) -> None:
    """What reads may open nothing else any more; what prints is a process apart, and no root."""
    # not below pytest's own folders, which are closed to others
    place = Path(tempfile.mkdtemp(prefix="panotui-test-"))
    browser = place / "chromium"
    browser.write_text(
        "#!/bin/sh\n"
        'for last; do case "$last" in --print-to-pdf=*) out="${last#*=}";; esac; done\n'
        'page="${last#file://}"\n'
        'printf "%%PDF-1.4 uid=%s " "$(id -u)" > "$out"\n'
        'grep -c "<section class=.site." "$page" >> "$out"\n'
    )
    browser.chmod(0o755)
    place.chmod(0o755)
    out = tmp_path / "both.pdf"
    done = subprocess.run(
        [
            sys.executable, "-m", "panotui", "report", str(recording),
            str(DEMO / "site.pcapng.zst"), "--pdf", "-o", str(out),
        ],
        capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PATH": f"{browser.parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = out.read_text()
    assert said.startswith("%PDF-1.4 uid=")
    assert "uid=0 " not in said
    assert said.split()[-1] == "2"
    shutil.rmtree(place)
