"""A recording keeps to its size, all files counted, and never removes what is being written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from panotui.model import SECOND
from panotui.recording import parts
from panotui.recording.evidence_files import Written
from panotui.recording.pcapng import PcapngFile
from panotui.recording.reader import Recording
from panotui.recording.recorder import Evidence, Recorder
from panotui.recording.retention import CONTROL_FILE, Limits, trim_evidence
from tests.benchmarks import month
from tests.views.records import START, snapshot

MOST = 8_000_000


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def packets(size: int, number: int = 20) -> Evidence:
    def write(file: PcapngFile) -> Written:
        interface = file.interface("eth0", 1)
        for _ in range(number):
            file.packet(interface, START, bytes(size // number), size // number)
        return Written(number)

    return Evidence("x.pcapng", "x", START, write)


def test_the_size_is_kept_within_a_twentieth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(month, "FLOWS_AN_HOUR", 200_000)
    folder = tmp_path / "a.panotui"
    limits = Limits(size_bytes=MOST, evidence_bytes=MOST // 4, free_bytes=0)
    recorder = Recorder(folder, lossless=True, commit_every_s=0.5, limits=limits)
    site = month.Site(month.END, 1)
    largest = 0
    for number in range(1_000):
        second = month.END + number
        site_events = site.events(second, 1)
        recorder.observe(site.snapshot(second), site.flows(second, 1), site_events)
        if number % 20 == 0:
            evidence = packets(60_000)
            evidence.file = f"{number:06}.pcapng"
            recorder.keep(evidence)
        if number % 10 == 0:
            recorder.flush()
            largest = max(largest, on_disk(folder))
    recorder.close()
    assert largest <= MOST * 1.05
    assert largest >= MOST * 0.9  # and it is used
    assert on_disk(folder) >= MOST * 0.75  # no more goes than is needed
    recording = Recording(folder)
    assert recording.start_ns > month.END * SECOND
    newest = recording.snapshot_at(1 << 61)
    assert newest.time_ns == (month.END + 999) * SECOND
    assert recording.damaged == 0
    assert recording.evidence_files()


def test_what_is_being_written_is_never_removed(tmp_path: Path) -> None:
    folder = tmp_path / "a.panotui"
    recorder = Recorder(folder, lossless=True, limits=Limits(free_bytes=0))
    recorder.observe(snapshot(1))
    recorder.flush()
    names = [f"0{n}{CONTROL_FILE}" for n in range(3)] + ["10-x.pcapng", "11-x.pcapng"]
    for name in names:
        (folder / parts.EVIDENCE / name).write_bytes(bytes(1_000))
    connection = sqlite3.connect(folder / parts.DATABASE)
    trim_evidence(connection, folder, 0, f"00{CONTROL_FILE}")
    left = sorted(p.name for p in (folder / parts.EVIDENCE).iterdir())
    assert left == [f"00{CONTROL_FILE}"]
    connection.close()
    recorder.close()


def test_control_packets_do_not_cost_a_finding_its_packets(tmp_path: Path) -> None:
    folder = tmp_path / "a.panotui"
    Recorder(folder, lossless=True, limits=Limits(free_bytes=0)).close()
    for number in range(20):
        (folder / parts.EVIDENCE / f"{number:02}{CONTROL_FILE}").write_bytes(bytes(1_000))
    (folder / parts.EVIDENCE / "00-finding.pcapng").write_bytes(bytes(1_000))
    connection = sqlite3.connect(folder / parts.DATABASE)
    trim_evidence(connection, folder, 8_000)
    left = sorted(p.name for p in (folder / parts.EVIDENCE).iterdir())
    assert left == ["00-finding.pcapng", *(f"{n:02}{CONTROL_FILE}" for n in range(16, 20))]
    connection.close()
