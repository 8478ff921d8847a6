"""Hostile and damaged recordings: what is damaged costs itself, and all text is printable."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path

import msgspec
import pytest

from panotui.errors import InputError
from panotui.model import SECOND
from panotui.recording import parts
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from tests.recording.test_recording import record
from tests.views.records import START, event, flow, snapshot

BOMB = "\x1b]0;owned\x07\u202e"


def everything(recording: Recording) -> list[object]:
    """What any command asks of a recording."""
    middle = (recording.start_ns + recording.end_ns) // 2
    found: list[object] = [
        recording.site_text, recording.gaps(), recording.marks(), recording.event_marks(),
        recording.known, recording.evidence(), recording.events(), recording.findings(),
        recording.violations(), recording.all_flows(), recording.flows_at(middle),
        recording.flow(middle, "0-1"), recording.next_stop(middle, None, forward=True),
        recording.next_stop(middle, 3, forward=False), recording.event(2),
        recording.band("port_sample", 80), recording.band("stream_sample", 80, ["x"]),
        recording.samples("stream_sample", ["rate_bps", "loss"]),
    ]  # fmt: skip
    for time_ns in (0, middle, 1 << 62):
        with contextlib.suppress(InputError):  # "samples only": said in one line
            found.append(recording.snapshot_at(time_ns))
    with contextlib.suppress(InputError):
        found.append(recording.final())
    return found


def plain(folder: Path) -> sqlite3.Connection:
    """The database with everything in one file, so that bytes of it can be changed."""
    connection = sqlite3.connect(folder / parts.DATABASE, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    return connection


def test_one_damaged_row_costs_that_row(tmp_path: Path) -> None:
    folder = record(tmp_path / "a.panotui", 30)
    connection = plain(folder)
    connection.execute("UPDATE event SET body = x'c1' WHERE number = 7")
    connection.execute("UPDATE flow SET body = 'text' WHERE id = '0-2'")
    connection.execute(
        "UPDATE snapshot SET body = substr(body, 1, 40) WHERE time_ns = ?", (START + 29 * SECOND,)
    )
    connection.execute(
        "UPDATE port_sample SET resolution = 'x' WHERE time_s = ?", (START // SECOND + 3,)
    )
    connection.close()
    recording = Recording(folder)
    assert [e.number for e in recording.events()] == [n for n in range(1, 31) if n != 7]
    assert [f.id for f in recording.all_flows()] == ["0-1", "0-3", "0-4"]
    assert recording.damaged == 2
    final = recording.final()
    assert final.time_ns == START + 28 * SECOND
    assert final.source.truncated
    assert final.limits["recording_damaged"] == recording.damaged >= 4
    assert final.ports[0].history_in_bps[3] is None
    assert final.ports[0].history_in_bps[4] == 1e6 + 4


def test_whatever_bytes_change_nothing_is_raised_but_one_line(tmp_path: Path) -> None:
    folder = record(tmp_path / "a.panotui", 40)
    plain(folder).close()
    file = folder / parts.DATABASE
    whole = file.read_bytes()
    chance = random.Random(11)
    answered = 0
    said: list[str] = []
    for turn in range(300):
        raw = bytearray(whole)
        if turn % 5 == 4:
            del raw[chance.randrange(100, len(raw)) :]
        for _ in range(chance.choice((1, 3, 20, 200))):
            start = 0 if turn % 2 else 100  # also in the header
            at = chance.randrange(start, len(raw))
            raw[at] = chance.randrange(256)
        file.write_bytes(raw)
        try:
            recording = Recording(folder)
        except InputError as error:
            said.append(str(error))
            continue
        try:
            everything(recording)
            answered += 1
        finally:
            recording.close()
    assert answered > 120  # a short recording is a quarter lay-out, and without that nothing is
    assert said
    assert all(line.isprintable() for line in said)


@pytest.mark.parametrize("fill", [b"\0", b"\x0d\xff", b"\x05\x31"])
def test_each_damaged_table_costs_itself(tmp_path: Path, fill: bytes) -> None:
    folder = record(tmp_path / "a.panotui", 30)
    connection = plain(folder)
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    pages = dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 1"))
    connection.close()
    assert {"meta", "session", "flow", "event", "snapshot"} <= set(pages)
    file = folder / parts.DATABASE
    whole = file.read_bytes()
    for name, page in pages.items():
        raw = bytearray(whole)
        raw[(page - 1) * size : page * size] = fill * (size // len(fill))
        file.write_bytes(raw)
        if name in ("session", "sqlite_autoindex_session_1"):  # nothing is known without it
            with pytest.raises(InputError, match="damaged"):
                Recording(folder)
            continue
        recording = Recording(folder)
        everything(recording)
        recording.close()


def test_text_in_a_doctored_recording_is_printable(tmp_path: Path) -> None:
    folder = record(tmp_path / "a.panotui", 5)
    connection = plain(folder)
    encode = msgspec.msgpack.encode
    replace = msgspec.structs.replace
    connection.execute("UPDATE event SET body = ?", (encode(replace(event(1, START), text=BOMB)),))
    connection.execute(
        "UPDATE flow SET body = ? WHERE id = '0-1'", (encode(replace(flow(1, START), host=BOMB)),)
    )
    connection.execute("INSERT INTO mark VALUES (?, ?)", (START, BOMB))
    connection.execute("INSERT INTO known VALUES (?)", (BOMB,))
    connection.execute(
        "INSERT INTO evidence (file, time_ns, title, packets, bytes)"
        " VALUES ('x.pcapng', 1, ?, 1, 1)",
        (BOMB,),
    )
    (folder / "evidence" / "x.pcapng").touch()
    connection.execute("UPDATE session SET version = ?, ended = ?", (BOMB, BOMB))
    connection.close()
    recording = Recording(folder)
    said = repr([recording.sessions, *everything(recording)])
    assert "owned" in said
    assert r"\x1b]0;owned" not in said.replace("\\\\", "|")  # repr of a bare escape character
    for hidden in ("\x1b", "\x07", "\u202e"):
        assert hidden not in said
    assert recording.marks() == [(START, "\\x1b]0;owned\\x07\\u202e")]


def test_the_site_file_of_a_recording_keeps_its_lines(tmp_path: Path) -> None:
    text = '[site]\nname = "plant"\n'
    assert Recording(record(tmp_path / "a.panotui", 3, site_text=text)).site_text == text


def test_a_writer_that_fails_is_noticed_and_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path / "a.panotui", lossless=True)
    recorder.observe(snapshot(1))
    recorder.flush()
    assert recorder.failure is None

    def fail(*arguments: object) -> None:
        raise AssertionError("a fault of the program")

    monkeypatch.setattr("panotui.recording.rows.insert_samples", fail)
    recorder.observe(snapshot(2))
    recorder._worker.join(10)
    assert "a fault of the program" in (recorder.failure or "")
    assert recorder.status().state == "failed"
    for second in range(3, 60):  # more than the queue holds: nobody waits for a dead thread
        recorder.observe(snapshot(second))
    recorder.flush(5)
    recorder.close()


def test_an_item_that_cannot_be_written_costs_itself(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.panotui", lossless=True)
    recorder.observe(snapshot(1))
    recorder.mark(2**64 - 1, "beyond the database's integers")
    recorder.mark(START, "kept")
    recorder.observe(snapshot(2))
    recorder.flush()
    assert recorder.failure is None
    assert recorder.refused == 1
    recorder.close()
    recording = Recording(tmp_path / "a.panotui")
    assert recording.marks() == [(START, "kept")]
    assert recording.end_ns == START + 2 * SECOND


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_database_that_vanishes_is_noticed_with_the_next_second(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "a.panotui"
    recorder = Recorder(folder, lossless=True)
    recorder.observe(snapshot(1))
    recorder.flush()
    if how == "moved":
        (folder / parts.DATABASE).rename(folder / "elsewhere.sqlite")
    else:
        (folder / parts.DATABASE).unlink()
    if how == "replaced":
        (folder / parts.DATABASE).write_bytes(b"")
    recorder.observe(snapshot(2))
    recorder._worker.join(10)
    assert "its database" in (recorder.failure or "")
    recorder.close()
