from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from panotui.model import SECOND
from panotui.recording import parts
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from panotui.recording.retention import remove_before
from panotui.recording.strips import recorded_runs
from panotui.state.strips import Cell, Run, fold, tally
from tests.recording.test_recording import as_second_format
from tests.views.records import START, snapshot

BEGIN = START // SECOND


def record(folder: Path, seconds: range, dead: range) -> None:
    """The small site; its first port has no carrier in the seconds of `dead`."""
    recorder = Recorder(folder, lossless=True)
    for second in seconds:
        now = snapshot(second)
        state = "down" if second in dead else "up"
        ports = (msgspec.structs.replace(now.ports[0], state=state), *now.ports[1:])
        recorder.observe(msgspec.structs.replace(now, ports=ports))
    recorder.close()


def test_minutes_lost_are_counted_to_the_second_and_a_gap_is_blank(tmp_path: Path) -> None:
    folder = tmp_path / "a.panotui"
    record(folder, range(60), range(20, 35))
    record(folder, range(100, 130), range(0))
    recording = Recording(folder)
    runs = recorded_runs(recording)["port:eth0"]
    assert runs == [
        Run(BEGIN - 1, BEGIN + 19, Cell.WELL),
        Run(BEGIN + 19, BEGIN + 34, Cell.DEAD),
        Run(BEGIN + 34, BEGIN + 59, Cell.WELL),
        Run(BEGIN + 99, BEGIN + 129, Cell.WELL),
    ]
    found = tally(runs, BEGIN - 1, BEGIN + 129)
    assert (found.dead_s, found.blank_s, found.times_dead) == (15, 40, 1)
    columns = fold(runs, BEGIN - 1, BEGIN + 129, 13)
    assert columns[1:4] == (Cell.WELL, Cell.DEAD, Cell.DEAD)
    assert columns[7] == Cell.BLANK


def test_a_strip_costs_a_row_a_change(tmp_path: Path) -> None:
    folder = tmp_path / "a.panotui"
    record(folder, range(300), range(20, 35))
    database = sqlite3.connect(folder / parts.DATABASE)
    counted = dict(database.execute("SELECT key, count(*) FROM strip GROUP BY key"))
    assert counted["port:eth0"] == 3
    assert all(count == 1 for key, count in counted.items() if key != "port:eth0")


def test_removal_keeps_how_a_subject_stood_at_the_edge(tmp_path: Path) -> None:
    folder = tmp_path / "a.panotui"
    record(folder, range(60), range(20, 35))
    database = sqlite3.connect(folder / parts.DATABASE, isolation_level=None)
    database.execute("BEGIN")
    remove_before(database, START + 30 * SECOND)
    database.execute("COMMIT")
    database.close()
    runs = recorded_runs(Recording(folder))["port:eth0"]
    assert runs == [
        Run(BEGIN + 29, BEGIN + 34, Cell.DEAD),
        Run(BEGIN + 34, BEGIN + 59, Cell.WELL),
    ]


def test_an_old_recording_has_strips_of_its_samples(tmp_path: Path) -> None:
    folder = tmp_path / "a.panotui"
    record(folder, range(60), range(20, 35))
    before = recorded_runs(Recording(folder))
    as_second_format(folder).close()
    after = recorded_runs(Recording(folder))
    assert after["port:eth0"] == before["port:eth0"]
    assert any(key.startswith("camera:") for key in after)
