from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.engine.engine import Engine
from panotui.errors import InputError, UsageError
from panotui.model import SECOND, Site
from panotui.recording import folder as folders
from panotui.recording import parts, schema
from panotui.recording.evidence_files import Written
from panotui.recording.packing import Unpacker
from panotui.recording.pcapng import PcapngFile, packet_block, repair, section_block
from panotui.recording.reader import Recording
from panotui.recording.recorder import Evidence, Recorder
from panotui.recording.retention import Limits, enforce, remove_before, roll_up
from panotui.recording.rows import set_meta
from panotui.runtime.pump import Pump
from panotui.sources import open_file
from tests.captures import capture
from tests.views.records import START, event, flow, snapshot, violation

REPOSITORY = Path(__file__).parents[2]


def record(folder: Path, seconds: int, start: int = 0, **options: object) -> Path:
    recorder = Recorder(folder, lossless=True, **options)  # type: ignore[arg-type]
    for second in range(start, start + seconds):
        now = START + second * SECOND
        flows = [flow(n, now, packets_out=second * n) for n in (1, 2, 3)]
        if second == seconds - 1:
            flows.append(flow(4, now, end="closed"))
        recorder.observe(snapshot(second), flows, [event(second + 1, now)])
    recorder.close()
    return folder


def test_what_was_recorded_is_read_back_second_by_second(tmp_path: Path) -> None:
    recording = Recording(record(tmp_path / "a.panotui", 60))
    for second in (0, 7, 31, 59):
        there = recording.snapshot_at(START + second * SECOND + 5)
        assert there.time_ns == START + second * SECOND
        assert there.source.packets == second * 1000
        assert there.ports[0].rate_in_bps == 1e6 + second
        assert there.ports[0].history_in_bps == tuple(1e6 + n for n in range(second + 1))
        assert [e.number for e in there.events] == list(range(1, second + 2))
    assert recording.start_ns == START
    assert recording.end_ns == START + 59 * SECOND
    assert recording.gaps() == []
    assert [f.id for f in recording.all_flows()] == ["0-1", "0-2", "0-3", "0-4"]
    assert len(recording.events()) == 60
    assert recording.final().violations == snapshot(59).violations


def test_flows_are_shown_as_they_were_counted_at_that_time(tmp_path: Path) -> None:
    recording = Recording(record(tmp_path / "a.panotui", 60))
    flows = {f.id: f for f in recording.flows_at(START + 35 * SECOND)}
    assert flows["0-2"].packets_out == 30 * 2
    assert recording.flows_at(START + 59 * SECOND)[0].packets_out >= 50


def test_a_recording_is_continued_and_the_time_between_is_a_gap(tmp_path: Path) -> None:
    folder = tmp_path / "a.panotui"
    record(folder, 20)
    record(folder, 20, start=100)
    recording = Recording(folder)
    assert recording.gaps() == [(START + 19 * SECOND, START + 100 * SECOND)]
    band = recording.band("port_sample", 120)
    assert band.count(".") >= 78
    assert band[0] == "#"
    assert len(recording.all_flows()) == 7
    assert recording.final().streams[0].id.startswith("s1-")


def test_a_second_recorder_is_refused_in_one_line(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.panotui")
    with pytest.raises(UsageError, match="recorder already running") as caught:
        Recorder(tmp_path / "a.panotui")
    assert str(os.getpid()) in str(caught.value)
    recorder.close()
    Recorder(tmp_path / "a.panotui").close()


def test_marks_of_persons_are_kept(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.panotui", lossless=True)
    recorder.observe(snapshot(1))
    recorder.mark(START + 5, "cable changed")
    recorder.known("violation:v1", True)
    recorder.known("finding:x", True)
    recorder.known("finding:x", False)
    recorder.close()
    recording = Recording(tmp_path / "a.panotui")
    assert recording.marks() == [(START + 5, "cable changed")]
    assert recording._known_keys() == {"violation:v1"}


CHILD = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from panotui.recording.recorder import Recorder
from panotui.sources import open_file
from tests.views.records import START, snapshot, flow, event
from panotui.model import SECOND
recorder = Recorder(Path({folder!r}), lossless=True)
second = 0
while True:
    recorder.observe(snapshot(second), [flow(n, START + second * SECOND) for n in range(1, 30)],
                     [event(second + 1, START + second * SECOND)])
    recorder.flush()
    sys.stdout.write(f"{{second}}\\n"); sys.stdout.flush()
    second += 1
"""


@pytest.mark.parametrize("seed", range(4))
def test_after_kill_9_at_a_random_moment_at_most_the_last_second_is_missing(
    tmp_path: Path, seed: int
) -> None:
    folder = tmp_path / "k.panotui"
    code = CHILD.format(root=str(REPOSITORY), folder=str(folder))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(5 + seed * 3):
        child.stdout.readline()
    time.sleep(random.Random(seed).random() / 50)
    child.send_signal(signal.SIGKILL)
    told = [int(line) for line in child.stdout.read().split() if line.strip()]
    child.wait()
    last = told[-1] if told else 4 + seed * 3
    recording = Recording(folder)
    found = (recording.end_ns - START) // SECOND
    assert found >= last
    assert recording.snapshot_at(1 << 62).time_ns == recording.end_ns
    assert len(recording.events()) == found + 1
    assert recording.sessions[0].ended == "killed"
    recording.close()
    record(folder, 3, start=found + 10)  # and it can be continued
    assert len(Recording(folder).gaps()) == 1


FULL = """
import resource, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from panotui.recording import recorder as module
from panotui.sources import open_file
from tests.views.records import START, snapshot, flow, event
from panotui.model import SECOND
module.RETRY_S = 0.0
recorder = module.Recorder(Path({folder!r}), lossless=True)
recorder.observe(snapshot(0)); recorder.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
states = set()
for second in range(1, 400):
    recorder.observe(snapshot(second), [flow(n * second, START) for n in range(1, 40)])
    if second % 20 == 0:
        recorder.flush()
    states.add(recorder.status().state)
said = recorder.status().detail
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for second in range(400, 420):
    recorder.observe(snapshot(second)); recorder.flush()
print(sorted(states), said, recorder.status().state)
recorder.close()
"""


def test_a_file_that_cannot_grow_leaves_samples_and_says_so_then_recovers(tmp_path: Path) -> None:
    folder = tmp_path / "f.panotui"
    code = FULL.format(root=str(REPOSITORY), folder=str(folder))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert "samples-only" in run.stdout
    assert "pause" in run.stdout
    assert run.stdout.strip().endswith("recording")
    recording = Recording(folder)
    assert recording.end_ns == START + 419 * SECOND


@pytest.mark.lab
def test_a_full_disk_leaves_samples_and_the_recording_stays_readable(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounts a small tmpfs")
    mount = tmp_path / "small"
    mount.mkdir()
    folder = mount / "f.panotui"
    code = f"""
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, (1 << 18) | (1 << 14), None) == 0
assert libc.mount(b"none", {str(mount).encode()!r}, b"tmpfs", 0, b"size=7m") == 0
sys.path.insert(0, {str(REPOSITORY)!r})
from pathlib import Path
from panotui.recording.recorder import Recorder, Evidence
from panotui.recording.retention import Limits
from panotui.recording.reader import Recording
from panotui.sources import open_file
from tests.views.records import START, snapshot, flow
from panotui.model import SECOND
recorder = Recorder(Path({str(folder)!r}), lossless=True, limits=Limits(free_bytes=0))
for second in range(1500):
    flows = [flow(n + second * 20, START + second * SECOND) for n in range(1, 20)]
    recorder.observe(snapshot(second), flows)
recorder.flush()
print(recorder.status().state, "|", recorder.status().detail)
recorder.close()
recording = Recording(Path({str(folder)!r}))
print((recording.end_ns - START) // SECOND, len(recording.samples("port_sample", ["state"])) // 2)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    said, numbers = run.stdout.strip().splitlines()
    assert said.startswith("samples-only | the disk is full")
    end, samples = (int(word) for word in numbers.split())
    assert end >= 1400  # samples went on after the disk was full
    assert samples >= 1400


def test_newer_and_foreign_formats_are_refused_by_name_and_version(tmp_path: Path) -> None:
    folder = record(tmp_path / "night.panotui", 3)
    database = sqlite3.connect(folder / parts.DATABASE)
    database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    database.close()
    for opening in (lambda: Recording(folder), lambda: Recorder(folder)):
        with pytest.raises(
            InputError, match=rf"night\.panotui: format {schema.VERSION + 1} is newer"
        ):
            opening()
    other = tmp_path / "other.panotui"
    other.mkdir()
    with pytest.raises(InputError, match="is not a recording"):
        Recording(other)
    sqlite3.connect(other / parts.DATABASE).execute("CREATE TABLE t (a)")
    with pytest.raises(InputError, match="not written by panotui"):
        Recording(other)
    (other / parts.DATABASE).write_bytes(b"garbage" * 1000)
    with pytest.raises(InputError, match="cannot be read"):
        Recording(other)


def test_an_older_format_goes_through_the_chain_of_converters() -> None:
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    database.execute("PRAGMA user_version = 1")
    steps: list[int] = []

    def step(number: int) -> schema.Converter:
        def convert(connection: sqlite3.Connection) -> None:
            steps.append(number)
            connection.execute(f"CREATE TABLE t{number} (a)")

        return convert

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "VERSION", 3)
        schema.upgrade(database, "x", {1: step(1), 2: step(2)}, 3)
        assert steps == [1, 2]
        assert schema.check(database, "x") == 3
        patch.setattr(schema, "VERSION", 9)
        with pytest.raises(InputError, match="too old"):
            schema.upgrade(database, "x", {}, 9)


# the tables of version 2 that version 3 lays out anew
SECOND_FORMAT = """
CREATE TABLE snapshot (
    time_ns INTEGER PRIMARY KEY, session INTEGER NOT NULL, resolution INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE port_sample (
    time_s INTEGER NOT NULL, resolution INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
    rate_in_bps REAL, rate_out_bps REAL, packets_in INTEGER, packets_out INTEGER,
    PRIMARY KEY (name, time_s)) WITHOUT ROWID;
CREATE TABLE stream_sample (
    time_s INTEGER NOT NULL, resolution INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
    camera TEXT, rate_bps REAL, loss REAL, jitter_ms REAL, fps REAL, packets INTEGER, lost INTEGER,
    lost_s REAL, frames_s REAL, keyframes_s REAL, frame_bytes INTEGER,
    PRIMARY KEY (name, time_s)) WITHOUT ROWID;
CREATE TABLE endpoint_sample (
    time_s INTEGER NOT NULL, resolution INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
    rtt_ms REAL, PRIMARY KEY (name, time_s)) WITHOUT ROWID;
CREATE TABLE summary_sample (
    time_s INTEGER PRIMARY KEY, resolution INTEGER NOT NULL, session INTEGER NOT NULL,
    packets INTEGER, bytes INTEGER, lost INTEGER, flows INTEGER,
    violations INTEGER, findings INTEGER);
"""


def as_second_format(folder: Path) -> sqlite3.Connection:
    """The folder's database as version 2 laid it out."""
    database = sqlite3.connect(folder / parts.DATABASE, isolation_level=None)
    unpacker = Unpacker(database)
    packed = database.execute("SELECT number, body, dictionary FROM snapshot").fetchall()
    for number, body, dictionary in packed:
        plain = zlib.compress(unpacker.unpack(body, dictionary))
        database.execute("UPDATE snapshot SET body = ? WHERE number = ?", (plain, number))
    database.execute("DROP TABLE dictionary")
    database.execute("DROP INDEX flow_long")
    database.execute("ALTER TABLE flow DROP COLUMN dictionary")
    for statement in SECOND_FORMAT.split(";")[:-1]:
        table = statement.split()[2]
        database.execute(f"ALTER TABLE {table} RENAME TO newer")
        database.execute(statement)
        columns = ", ".join(row[1] for row in database.execute(f"PRAGMA table_info({table})"))
        database.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM newer")
        database.execute("DROP TABLE newer")
    database.execute("DROP TABLE clock")
    database.execute("DROP TABLE strip")
    for index in ("evidence_subject", "event_told"):
        database.execute(f"DROP INDEX {index}")
    database.execute("ALTER TABLE event DROP COLUMN told_ns")
    for column in ("session", "subject", "sha256", "frames"):
        database.execute(f"ALTER TABLE evidence DROP COLUMN {column}")
    database.execute("PRAGMA user_version = 2")
    return database


def test_a_recording_of_the_second_format_opens_and_goes_on(tmp_path: Path) -> None:
    folder = record(tmp_path / "old.panotui", 20)
    record(folder, 20, start=100)

    def told() -> list[object]:
        recording = Recording(folder)
        out = [recording.gaps(), recording.final(), recording.band("port_sample", 120)]
        out += [recording.snapshot_at(START + s * SECOND) for s in (0, 7, 19, 60, 100, 119)]
        recording.close()
        return out

    before = told()
    as_second_format(folder).close()
    raw = (folder / parts.DATABASE).read_bytes()
    assert told() == before
    assert (folder / parts.DATABASE).read_bytes() == raw  # reading changes nothing
    record(folder, 5, start=200)
    assert Recording(folder).final().time_ns == START + 204 * SECOND
    assert len(Recording(folder).gaps()) == 2


def test_no_second_of_an_earlier_run_is_overwritten_when_the_clock_was_wrong(
    tmp_path: Path,
) -> None:
    folder = record(tmp_path / "a.panotui", 30, start=86_400)  # a day ahead
    record(folder, 20, start=0)  # the clock was set right
    record(folder, 20, start=10)  # and back by ten seconds
    recording = Recording(folder)
    (rows,) = recording._connection.execute("SELECT count(*) FROM snapshot").fetchone()
    assert rows == 70
    for table in ("port_sample", "stream_sample"):
        per_second = 2 if table == "port_sample" else len(snapshot(0).streams)
        assert len(recording.samples(table, ["state"])) == 70 * per_second
    # the newest state is what was written last
    assert recording.final().time_ns == START + 29 * SECOND
    assert recording.newest_ns == START + 29 * SECOND
    assert recording.snapshot_at(START + 15 * SECOND).number == snapshot(15).number
    assert recording.snapshot_at(START + 86_410 * SECOND).time_ns == START + 86_410 * SECOND
    assert recording.gaps() == [(START + 29 * SECOND, START + 86_400 * SECOND)]
    assert recording.start_ns == START


def test_a_recording_of_the_first_format_opens_without_what_it_did_not_know(tmp_path: Path) -> None:
    folder = record(tmp_path / "old.panotui", 20)
    database = as_second_format(folder)
    for column in ("lost_s", "frames_s", "keyframes_s", "frame_bytes"):
        database.execute(f"ALTER TABLE stream_sample DROP COLUMN {column}")
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()
    stream = Recording(folder).final().streams[0]
    assert len(stream.history_bps) == 20
    assert stream.history_lost == ()
    record(folder, 5, start=30)  # goes on in the new format
    assert Recording(folder).final().time_ns == START + 34 * SECOND


def test_review_has_the_seconds_of_a_stream_as_they_were_measured(tmp_path: Path) -> None:
    path = str(capture("lab/udp-h264-loss2pct.pcap"))
    source = open_file(path)
    engine = Engine(Site())
    pump = Pump([source], engine, files=[path])
    recorder = Recorder(tmp_path / "a.panotui", lossless=True)
    pump.on_tick.append(lambda _: recorder.observe(engine.snapshot(), [], []))
    pump.run(0.0)
    source.close()
    recorder.close()
    (seen,) = engine.snapshot().streams
    (kept,) = Recording(tmp_path / "a.panotui").final().streams
    for name in ("lost", "frames", "keyframes", "frame_bytes"):
        told, there = getattr(seen, f"history_{name}"), getattr(kept, f"history_{name}")
        assert len(there) >= 20
        # a gap is told when nothing can fill it any more: a second may have been sampled before
        assert there[:-2] == told[-len(there) :][:-2], name
    assert sum(filter(None, kept.history_lost)) > 30
    assert sum(filter(None, kept.history_keyframes)) >= 10


def test_samples_are_rolled_up_and_keep_their_average(tmp_path: Path) -> None:
    folder = record(tmp_path / "a.panotui", 300)
    connection = folders.open_for_writing(folder)
    now_s = START // SECOND + 299
    limits = Limits(samples_second_s=100, snapshots_second_s=100, samples_ten_s=200)
    (before,) = connection.execute(
        "SELECT avg(rate_in_bps) FROM port_sample WHERE name = 'eth1'"
    ).fetchone()
    roll_up(connection, now_s, limits)
    counts = dict(
        connection.execute(
            "SELECT resolution, count(*) FROM port_sample WHERE name = 'eth0' GROUP BY 1"
        ).fetchall()
    )
    assert counts.keys() == {1, 10, 60}
    assert counts[1] <= 110
    (after,) = connection.execute(
        "SELECT avg(rate_in_bps) FROM port_sample WHERE name = 'eth1'"
    ).fetchone()
    assert after == pytest.approx(before)
    assert roll_up(connection, now_s, limits) == 0
    connection.close()
    recording = Recording(folder)
    assert recording.snapshot_at(1 << 62).time_ns == START + 299 * SECOND
    assert "." not in recording.band("port_sample", 60)


def test_roll_up_keeps_the_worst_state_of_its_seconds(tmp_path: Path) -> None:
    connection = folders.open_for_writing(record(tmp_path / "a.panotui", 100))
    oldest = START // SECOND
    cases = (
        ("port_sample", "up", "down"),
        ("stream_sample", "streaming", "silent"),
        ("endpoint_sample", "unseen", "reachable"),
    )
    names = {}
    endpoints = [row[0] for row in connection.execute("SELECT name FROM endpoint_sample")]
    connection.executemany(  # as formats before 6 kept them
        "INSERT OR REPLACE INTO endpoint_sample VALUES (?, 1, ?, 'unseen', NULL, 1)",
        [(oldest + n, name) for n in range(200) for name in endpoints],
    )
    for table, state, worse in cases:
        (names[table],) = connection.execute(f"SELECT name FROM {table}").fetchone()
        connection.execute(f"UPDATE {table} SET state = ?", (state,))
        connection.execute(f"UPDATE {table} SET state = ? WHERE time_s = ?", (worse, oldest + 33))
    roll_up(connection, oldest + 200, Limits(samples_second_s=60))
    for table, state, worse in cases:
        states = [
            row[0]
            for row in connection.execute(
                f"SELECT state FROM {table} WHERE name = ? AND resolution = 10", (names[table],)
            )
        ]
        assert states.count(worse) == 1
        assert states.count(state) == len(states) - 1


def test_what_nobody_knew_is_not_shown_as_well(tmp_path: Path) -> None:
    folder = record(tmp_path / "a.panotui", 40)
    connection = folders.open_for_writing(folder)
    with connection:
        connection.execute("UPDATE endpoint_sample SET state = 'unseen'")
    connection.close()
    assert set(Recording(folder).band("endpoint_sample", 20)) == {"-"}


def test_removal_takes_the_oldest_and_says_so(tmp_path: Path) -> None:
    folder = record(tmp_path / "a.panotui", 900)
    connection = folders.open_for_writing(folder)
    size = sum(p.stat().st_size for p in folder.iterdir() if p.is_file())
    now_ns = START + 899 * SECOND
    assert (
        enforce(connection, folder, now_ns, Limits(size_bytes=size * 2, free_bytes=0), 1 << 40)
        is None
    )
    near = Limits(size_bytes=int(size / 0.97), free_bytes=0)  # a little too large
    said = enforce(connection, folder, now_ns, near, 1 << 40)
    assert said is not None
    connection.close()
    recording = Recording(folder)
    assert START < recording.start_ns <= now_ns - 60 * SECOND
    assert recording.end_ns == now_ns
    connection = folders.open_for_writing(folder)
    enforce(connection, folder, now_ns, Limits(age_s=30, free_bytes=0), 1 << 40)
    connection.close()
    assert Recording(folder).start_ns == START + 869 * SECOND


def test_too_much_evidence_loses_the_oldest_files_only(tmp_path: Path) -> None:
    recorder = Recorder(
        tmp_path / "a.panotui", lossless=True, limits=Limits(evidence_bytes=30_000, free_bytes=0)
    )
    for number in range(10):
        recorder.keep(Evidence(f"{number:03}.pcapng", "x", START, lambda file: fill(file, 9_000)))
    recorder.flush()
    connection = folders.open_for_writing(tmp_path / "a.panotui")
    enforce(connection, tmp_path / "a.panotui", START, recorder.limits, 1 << 40)
    connection.close()
    left = sorted(p.name for p in (tmp_path / "a.panotui" / "evidence").glob("*"))
    assert left == ["007.pcapng", "008.pcapng", "009.pcapng"]
    recorder.close()


def fill(file: PcapngFile, size: int) -> Written:
    number = file.interface("eth0", 1)
    file.packet(number, START, bytes(size), size)
    return Written(1)


@given(st.lists(st.binary(min_size=0, max_size=60), max_size=5), st.data())
@settings(max_examples=60)
def test_a_torn_evidence_file_is_cut_at_its_last_whole_block(
    raws: list[bytes], data: st.DataObject
) -> None:
    import tempfile

    blocks = [section_block("x"), *(packet_block(0, START, raw, len(raw)) for raw in raws)]
    whole = b"".join(blocks)
    cut = data.draw(st.integers(0, len(whole)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.pcapng"
        path.write_bytes(whole[:cut])
        repair(path)
        kept = 0
        for block in blocks:
            if kept + len(block) > cut:
                break
            kept += len(block)
        assert (path.read_bytes() if path.exists() else b"") == whole[:kept]


def test_removing_before_a_time_leaves_what_is_newer(tmp_path: Path) -> None:
    folder = record(tmp_path / "a.panotui", 50)
    connection = folders.open_for_writing(folder)
    connection.execute("BEGIN")
    remove_before(connection, START + 40 * SECOND)
    set_meta(connection, "x", "y")
    connection.execute("COMMIT")
    connection.close()
    recording = Recording(folder)
    assert [e.number for e in recording.events()] == list(range(41, 51))
    assert recording.snapshot_at(START).time_ns == START + 40 * SECOND


def test_a_recording_of_a_day_opens_and_jumps_quickly(tmp_path: Path) -> None:
    folder = record(tmp_path / "day.panotui", 2)
    connection = folders.open_for_writing(folder)
    connection.execute("BEGIN")
    day = 86_400
    query = "SELECT body, dictionary FROM snapshot LIMIT 1"
    body, dictionary = connection.execute(query).fetchone()
    first = START // SECOND
    connection.executemany(
        "INSERT OR REPLACE INTO snapshot VALUES (?, 1, 10, ?, NULL, 0, ?)",
        ((START + n * SECOND, body, dictionary) for n in range(0, day, 10)),
    )
    for name in ("eth0", "eth1"):
        connection.executemany(
            "INSERT OR REPLACE INTO port_sample VALUES (?, 10, ?, 'up', 1, 1, 1, 1, 1)",
            ((first + n, name) for n in range(0, day, 10)),
        )
    connection.execute("UPDATE session SET end_ns = ?", (START + day * SECOND,))
    connection.execute("COMMIT")
    connection.close()
    began = time.perf_counter()
    recording = Recording(folder)
    recording.snapshot_at(1 << 62)
    recording.band("port_sample", 240)
    assert time.perf_counter() - began < 1.0
    began = time.perf_counter()
    for part in range(20):
        recording.snapshot_at(START + day * SECOND * part // 20)
    assert (time.perf_counter() - began) / 20 < 0.1


def test_a_violation_that_changes_is_written_again(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.panotui", lossless=True)
    recorder.observe(snapshot(1))
    later = msgspec.structs.replace(snapshot(2), violations=(violation(packets=77),))
    recorder.observe(later)
    recorder.close()
    assert [v.packets for v in Recording(tmp_path / "a.panotui").violations()] == [77]


def test_limits_of_the_process_are_left_alone() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
