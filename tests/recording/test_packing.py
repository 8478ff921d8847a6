"""Bodies are packed small, and read again whatever became of the recording."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest

from panotui.model import SECOND
from panotui.recording import packing, parts, schema
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from panotui.recording.retention import FLOW_SAMPLES, Limits, roll_up
from panotui.views.frames import Command, View
from panotui.views.review import ReviewProvider
from tests.benchmarks import month
from tests.captures import DATA
from tests.views.records import START, flow, snapshot


def record(folder: Path, flows: int) -> Path:
    recorder = Recorder(folder, lossless=True, commit_every_s=5.0)
    for second in range(0, flows, 10):
        made = [flow(second + n, START + second * SECOND, end="closed") for n in range(10)]
        recorder.observe(snapshot(second), made)
    recorder.close()
    return folder


def test_flows_are_packed_once_there_are_enough_to_learn_from(tmp_path: Path) -> None:
    folder = record(tmp_path / "a.panotui", 1_500)
    recording = Recording(folder)
    assert [f.id for f in recording.all_flows()] == [
        f.id for f in sorted(recording.all_flows(), key=lambda f: (f.first_time_ns, f.id))
    ]
    by_id = {f.id: f for f in recording.all_flows()}
    assert len(by_id) == 1_500
    assert by_id["0-1234"] == flow(1_234, START + 1_230 * SECOND, end="closed")
    sizes = dict(
        recording._connection.execute(
            "SELECT dictionary > 0, avg(length(body)) FROM flow GROUP BY dictionary > 0"
        )
    )
    assert sizes[1] < sizes[0] / 3


def test_snapshots_of_an_hour_are_packed_against_its_first(tmp_path: Path) -> None:
    recording = Recording(record(tmp_path / "a.panotui", 600))
    (whole,) = recording._connection.execute("SELECT max(length(body)) FROM dictionary").fetchone()
    (packed,) = recording._connection.execute("SELECT avg(length(body)) FROM snapshot").fetchone()
    assert packed < whole / 2
    for second in (0, 130, 590):
        assert recording.snapshot_at(START + second * SECOND).source.packets == second * 1_000


def test_a_dictionary_that_is_gone_costs_what_was_packed_with_it(tmp_path: Path) -> None:
    folder = record(tmp_path / "a.panotui", 1_500)
    with sqlite3.connect(folder / parts.DATABASE) as connection:
        connection.execute("DELETE FROM dictionary WHERE kind = ?", (packing.FLOWS,))
    recording = Recording(folder)
    assert 0 < len(recording.all_flows()) < 1_500
    assert recording.damaged > 0
    assert recording.final().limits["recording_damaged"] == recording.damaged


def test_a_body_that_claims_to_be_huge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = sqlite3.connect(":memory:")
    schema.create(connection)
    raw = bytes(100_000)
    number = packing.add_dictionary(connection, raw[:10], packing.SNAPSHOTS)
    body = packing.Packer(number, raw[:10], packing.SNAPSHOTS).pack(raw)
    unpacker = packing.Unpacker(connection)
    assert unpacker.unpack(body, number) == raw
    monkeypatch.setattr(packing, "BODY_MOST", 99_999)
    for broken in (body, body[:-3], b"", b"nonsense"):
        with pytest.raises(ValueError, match=r"size|cannot be read"):
            unpacker.unpack(broken, number)
    with pytest.raises(ValueError, match="is not there"):
        unpacker.unpack(body, number + 1)


def test_after_a_failed_second_nothing_is_packed_against_what_was_undone(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.panotui", lossless=True)
    recorder.observe(snapshot(1))
    recorder.flush()
    recorder._roll_back()
    recorder.observe(snapshot(2))
    recorder.close()
    recording = Recording(tmp_path / "a.panotui")
    assert recording.snapshot_at(START + 2 * SECOND).source.packets == 2_000
    assert recording.damaged == 0


def test_counts_of_flows_are_thinned_and_found_at_every_age(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.panotui", lossless=True, commit_every_s=60.0)
    hours = 30
    for second in range(0, hours * 3_600, 30):
        now = START + second * SECOND
        recorder.observe(snapshot(second), [flow(1, now, packets_out=second)])
    recorder.flush()
    connection = recorder._connection
    connection.execute("BEGIN")
    roll_up(connection, START // SECOND + hours * 3_600, Limits())
    connection.execute("COMMIT")
    (left,) = connection.execute("SELECT count(*) FROM flow_sample").fetchone()
    recorder.close()
    assert left < 120 + 24 * 60 + 6 * 6 + 60
    recording = Recording(tmp_path / "a.panotui")
    for hour, step in ((29.9, 30), (10, 60), (2, 600)):
        second = int(hour * 3_600)
        (found,) = recording.flows_at(START + second * SECOND)
        assert second - step - 30 <= found.packets_out <= second
    assert FLOW_SAMPLES[0][0] == 60


def test_a_week_keeps_to_its_size_and_every_jump_finds_its_state(tmp_path: Path) -> None:
    days = 0.5
    folder = month.record(tmp_path / "m.panotui", days)
    size = sum(p.stat().st_size for p in folder.rglob("*"))
    assert size < 25e6 * max(1, days)
    recording = Recording(folder)
    provider = ReviewProvider(recording)
    provider.command(Command(name="seek", time_ns=recording.start_ns))
    stops = 0
    while (done := provider.command(Command(name="next-event"))).ok:
        frame = provider.frame(View(pane="events", detail=done.key, follow=done.key))
        assert frame.detail is not None
        assert frame.detail.event is not None
        assert frame.detail.event.time_ns == frame.header.time_ns
        stops += 1
    assert stops >= 5
    assert recording.damaged == 0


OLD = DATA / "recordings" / "format3.panotui"


def test_an_old_recording_still_opens_and_goes_on(tmp_path: Path) -> None:
    folder = shutil.copytree(OLD, tmp_path / "old.panotui")
    raw = (folder / parts.DATABASE).read_bytes()
    assert sqlite3.connect(folder / parts.DATABASE).execute("PRAGMA user_version").fetchone() == (
        3,
    )
    recording = Recording(folder)
    final = recording.final(look=True)
    assert {f.id for f in final.findings} >= {"tcp-blocked", "tcp-refused"}
    assert len(recording.all_flows()) == 4
    assert final.evidence
    assert all(e.sha256 for e in final.evidence)
    provider = ReviewProvider(recording)
    provider.command(Command(name="seek", time_ns=recording.start_ns))
    done = provider.command(Command(name="next-event"))
    assert done.ok
    frame = provider.frame(View(pane="events", detail=done.key))
    assert frame.detail is not None
    assert not frame.detail.gone
    assert recording.damaged == 0
    assert (folder / parts.DATABASE).read_bytes() == raw  # reading changes nothing
    recording.close()
    recorder = Recorder(folder, lossless=True)
    later = msgspec.structs.replace(snapshot(1), time_ns=final.time_ns + 60 * SECOND)
    recorder.observe(later, [flow(9)])
    recorder.close()
    again = Recording(folder)
    assert len(again.sessions) == 2
    assert len(again.all_flows()) == 5
    assert again.damaged == 0
