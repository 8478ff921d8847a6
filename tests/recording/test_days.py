"""Each day of a recording by itself: listed, checked, copied, removed; and what a finding that is
found to have begun earlier leaves behind."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from click.testing import CliRunner

from panotui.commands.days import command
from panotui.errors import UsageError
from panotui.model import SECOND
from panotui.recording import days, parts
from panotui.recording.evidence_files import Written, sha256_of
from panotui.recording.pcapng import PcapngFile
from panotui.recording.reader import Recording
from panotui.recording.recorder import Evidence, Recorder
from panotui.recording.retention import CONTROL_FILE, Limits
from tests.captures import DATA
from tests.views.records import START, event, finding, flow, snapshot

DAY = 86_400
FIRST = (START // SECOND // DAY + 1) * DAY - 40  # seconds before the first midnight
SECONDS = (range(80), range(DAY, DAY + 80), range(2 * DAY, 2 * DAY + 80))  # around three


def dated(second: int) -> str:
    return datetime.fromtimestamp(FIRST + second, UTC).date().isoformat()


def packets(name: str, at_ns: int) -> Evidence:
    def write(file: PcapngFile) -> Written:
        file.packet(file.interface("eth0", 1), at_ns, bytes(400), 400)
        return Written(1)

    return Evidence(name, "packets", at_ns, write)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty seconds before and after each of three midnights, so four days."""
    folder = tmp_path_factory.mktemp("days") / "week.panotui"
    recorder = Recorder(folder, lossless=True, limits=Limits(free_bytes=0))
    for number, span in enumerate(SECONDS):
        for second in span:
            at_ns = (FIRST + second) * SECOND
            there = msgspec.structs.replace(snapshot(second), time_ns=at_ns)
            new = flow(second + 10, at_ns, first_time_ns=at_ns, end="closed")
            began = (FIRST + span[0]) * SECOND
            lasting = flow(1 + number, at_ns, first_time_ns=began)
            recorder.observe(there, [new, lasting], [event(second + 1, at_ns)])
        for moment in (span[10], span[50]):
            name = datetime.fromtimestamp(FIRST + moment, UTC).strftime("%Y%m%dT%H%M%S-x.pcapng")
            recorder.keep(packets(name, (FIRST + moment) * SECOND))
    recorder.close()
    return folder


def test_each_day_is_listed_and_whole(recorded: Path) -> None:
    recording = Recording(recorded)
    known = days.days(recording, UTC)
    assert [d.date for d in known] == [dated(0), dated(40), dated(DAY + 40), dated(2 * DAY + 40)]
    # what is old is kept by whole minutes, of which the one that ends at midnight is of the day
    # before; of what is new each second is kept, and the one that ends at midnight likewise
    assert [d.recorded_s for d in known] == [60, 60, 41, 39]
    assert [d.evidence for d in known] == [1, 2, 2, 1]
    # what lasts over midnight is of both days
    assert [d.flows for d in known] == [41, 82, 82, 41]
    assert [d.evidence_bytes for d in known] == [528, 1056, 1056, 528]
    for day in known:
        checked = days.check(recording, day)
        assert checked.is_whole
        assert checked.rows > 80


def test_days_are_those_of_a_zone(recorded: Path) -> None:
    away = days.days(Recording(recorded), ZoneInfo("Asia/Tokyo"))
    assert [d.recorded_s for d in away] == [60, 60, 80]


def test_a_copy_is_a_recording_of_that_day_alone(recorded: Path, tmp_path: Path) -> None:
    recording = Recording(recorded)
    day = days.day_of(recording, dated(40), UTC)
    sums = days.copy(recording, day, tmp_path / "one.panotui")
    for line in sums.read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((sums.parent / name).read_bytes()).hexdigest() == digest
    copied = Recording(tmp_path / "one.panotui")
    assert copied.start_ns == day.start_ns
    assert copied.end_ns < day.end_ns
    assert [d.date for d in days.days(copied, UTC)] == [day.date]
    assert {f.id for f in copied.all_flows()} == {
        f.id for f in recording.flows_within(day.start_ns, day.end_ns - 1)
    }
    assert [e.text for e in copied.events()] == [
        e.text for e in recording.events(day.start_ns, day.end_ns - 1)
    ]
    last = recording.snapshot_at(day.end_ns - 1)
    assert (copied.final().time_ns, copied.final().source) == (last.time_ns, last.source)
    assert len(copied.evidence_files(look=True)) == 2
    assert copied.final().time_ns < day.end_ns
    assert copied.damaged == 0
    with pytest.raises(UsageError, match="there already"):
        days.copy(recording, day, tmp_path / "one.panotui")


def test_what_is_damaged_or_changed_is_found_on_its_day_alone(
    recorded: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(recorded, tmp_path / "a.panotui")
    stamp = datetime.fromtimestamp(FIRST + DAY + 50, UTC).strftime("%Y%m%dT%H%M%S-x.pcapng")
    with (folder / parts.EVIDENCE / stamp).open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"\1")
    database = sqlite3.connect(folder / parts.DATABASE)
    at = (FIRST + DAY + 45) * SECOND
    database.execute("UPDATE event SET body = x'c1' WHERE time_ns = ?", (at,))
    database.commit()
    database.close()
    recording = Recording(folder)
    looked = {d.date: days.check(recording, d) for d in days.days(recording, UTC)}
    bad = looked.pop(dated(DAY + 40))
    assert (bad.damaged, bad.changed) == (1, (stamp,))
    assert all(checked.is_whole for checked in looked.values())
    done = CliRunner().invoke(
        command, [str(folder), "--check", "--zone", "UTC"], standalone_mode=False
    )
    assert done.return_value == 3
    assert stamp in done.output


def test_a_day_that_was_removed_is_a_gap_and_the_others_are_as_before(
    recorded: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(recorded, tmp_path / "a.panotui")
    before = {d.date: d for d in days.days(Recording(recorded), UTC)}
    done = CliRunner().invoke(command, [str(folder), dated(40), "--remove", "--zone", "UTC"])
    assert done.exit_code == 0, done.output
    recording = Recording(folder)
    after = {d.date: d for d in days.days(recording, UTC)}
    gone = before.pop(dated(40))
    assert dated(40) not in after
    assert {d: (x.events, x.evidence, x.recorded_s) for d, x in after.items()} == {
        d: (x.events, x.evidence, x.recorded_s) for d, x in before.items()
    }
    assert any(start <= gone.first_ns and end >= gone.last_ns for start, end in recording.gaps())
    assert len(list((folder / parts.EVIDENCE).iterdir())) == 4
    # the first one: the recording begins later
    days.remove(recording, after[dated(0)])
    again = Recording(folder)
    assert again.start_ns >= gone.start_ns
    assert all(days.check(again, d).is_whole for d in days.days(again, UTC))


STANDING = {
    "endpoint_sample": ("time_s", "session, name, state, time_s"),
    "strip": ("time_s", "session, key, cell, time_s"),
    "clock": ("time_ns", "session, ahead_ns, time_ns"),
}


def test_what_stands_until_it_changes_stands_on_after_a_day_that_was_removed(
    recorded: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(recorded, tmp_path / "a.panotui")
    midnight = FIRST + 40 + DAY  # at which the day ends
    database = sqlite3.connect(folder / parts.DATABASE)
    for second, state, number in ((midnight - 900, "failing", 3), (midnight - 60, "blocked", 4)):
        database.execute(
            "INSERT INTO endpoint_sample VALUES (?, 0, 'iot/x.iot/443', ?, 1.5, 1)", (second, state)
        )
        database.execute("INSERT INTO strip VALUES (1, 'us', ?, ?)", (second, number))
        database.execute("INSERT INTO clock VALUES (1, ?, ?)", (second * SECOND, number))
    database.commit()
    database.close()
    recording = Recording(folder)
    days.remove(recording, days.day_of(recording, dated(40), UTC))
    database = sqlite3.connect(folder / parts.DATABASE)
    left = {}
    for table, (time, columns) in STANDING.items():
        unit = SECOND if time == "time_ns" else 1
        at = (midnight - DAY) * unit, (midnight + 1) * unit
        query = f"SELECT {columns} FROM {table} WHERE {time} >= ? AND {time} < ?"
        left[table] = database.execute(query, at).fetchall()
    assert left == {
        "endpoint_sample": [(1, "iot/x.iot/443", "blocked", midnight)],
        "strip": [(1, "us", 4, midnight)],
        "clock": [(1, 4, midnight * SECOND)],
    }
    database.close()
    # the last day: nothing of it is left to stand
    again = Recording(folder)
    days.remove(again, days.days(again, UTC)[-1])
    database = sqlite3.connect(folder / parts.DATABASE)
    for table, (time, _) in STANDING.items():
        unit = SECOND if time == "time_ns" else 1
        (newest,) = database.execute(f"SELECT max({time}) FROM {table}").fetchone()
        assert newest <= midnight * unit
    database.close()


def test_damaged_names_of_evidence_are_damage_and_no_fault(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(shutil.copytree(recorded, tmp_path / "a.panotui"))
    day = days.days(recording, UTC)[1]
    whole = days.check(recording, day)

    def damaged(*_: object) -> list[str]:
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(days, "_evidence", damaged)
    looked = days.check(recording, day)
    assert (looked.damaged, looked.rows, looked.files) == (whole.damaged + 1, whole.rows, 0)


def test_a_check_reads_the_evidence_of_its_day_alone(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noted(path: Path) -> str:
        read.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr("panotui.recording.reader.sha256_of", noted)
    recording = Recording(recorded)
    for day in days.days(recording, UTC):
        before = len(read)
        assert days.check(recording, day).files == len(read) - before == day.evidence
    assert len(set(read)) == len(read) == 6


def test_what_is_being_written_and_what_is_all_there_is_are_not_removed(tmp_path: Path) -> None:
    folder = tmp_path / "a.panotui"
    recorder = Recorder(folder, lossless=True, limits=Limits(free_bytes=0))
    recorder.observe(msgspec.structs.replace(snapshot(1), time_ns=FIRST * SECOND))
    recorder.observe(msgspec.structs.replace(snapshot(2), time_ns=(FIRST + 60) * SECOND))
    recorder.flush()
    recording = Recording(folder)
    first, second = days.days(recording, UTC)
    with pytest.raises(UsageError, match="being written"):
        days.remove(recording, second)
    days.remove(recording, first)  # a recorder that goes on does not mind
    recorder.observe(msgspec.structs.replace(snapshot(3), time_ns=(FIRST + 61) * SECOND))
    recorder.close()
    left = Recording(folder)
    (only,) = days.days(left, UTC)
    with pytest.raises(UsageError, match="only recorded day"):
        days.remove(left, only)
    assert left.damaged == 0


def test_a_day_that_was_not_recorded_is_named_in_one_line(recorded: Path) -> None:
    done = CliRunner().invoke(command, [str(recorded), "1999-01-01", "--check"])
    assert isinstance(done.exception, UsageError)
    assert "no such day was recorded" in str(done.exception)
    listed = CliRunner().invoke(command, [str(recorded), "--json", "--zone", "UTC"])
    assert len(json.loads(listed.stdout)["days"]) == 4


def test_a_day_of_an_old_format_is_copied_in_the_present_one(tmp_path: Path) -> None:
    old = shutil.copytree(DATA / "recordings" / "format3.panotui", tmp_path / "old.panotui")
    recording = Recording(old)
    (day,) = days.days(recording, UTC)
    days.copy(recording, day, tmp_path / "new.panotui")
    copied = Recording(tmp_path / "new.panotui")
    assert [f.id for f in copied.all_flows()] == [f.id for f in recording.all_flows()]
    assert copied.site_text == recording.site_text


def test_control_packets_have_an_age_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "a.panotui"
    limits = Limits(free_bytes=0, control_age_s=DAY)
    recorder = Recorder(folder, lossless=True, limits=limits)
    recorder.observe(msgspec.structs.replace(snapshot(1), time_ns=FIRST * SECOND))
    for hours, name in ((0, f"a{CONTROL_FILE}"), (20, f"b{CONTROL_FILE}"), (0, "c-finding.pcapng")):
        recorder.keep(packets(name, (FIRST + hours * 3_600) * SECOND))
    later = (FIRST + DAY + 7_200) * SECOND
    recorder.observe(msgspec.structs.replace(snapshot(2), time_ns=later))
    recorder.close()
    left = sorted(path.name for path in (folder / parts.EVIDENCE).iterdir())
    assert left == [f"b{CONTROL_FILE}", "c-finding.pcapng"]


def test_a_finding_that_began_earlier_than_was_thought_is_still_one(tmp_path: Path) -> None:
    folder = tmp_path / "a.panotui"
    recorder = Recorder(folder, lossless=True)
    for second, began in ((1, 5), (2, 3), (3, 3)):
        there = finding(first_time_ns=START + began, cleared_time_ns=None)
        recorder.observe(msgspec.structs.replace(snapshot(second), findings=(there,)))
    recorder.close()
    assert [f.first_time_ns for f in Recording(folder).findings()] == [START + 3]
    # as an older format kept it
    database = sqlite3.connect(folder / parts.DATABASE)
    for began, cleared in ((5, None), (9, None), (20, 30), (22, None), (40, None)):
        database.execute(
            "INSERT INTO finding SELECT session, 'other', ?, ?, body FROM finding LIMIT 1",
            (START + began, cleared and START + cleared),
        )
    database.execute("PRAGMA user_version = 7")
    database.commit()
    database.close()
    Recorder(folder).close()
    database = sqlite3.connect(folder / parts.DATABASE)
    query = "SELECT first_ns - ? FROM finding WHERE key = 'other' ORDER BY 1"
    assert [n for (n,) in database.execute(query, (START,))] == [5, 20]
    database.close()
