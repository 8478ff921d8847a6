"""A recorder whose folder or disk goes: said, noticed, and gone on with elsewhere if asked."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from panotui.errors import UsageError
from panotui.model import SECOND
from panotui.recording import folder as folders
from panotui.recording import recorder as recorders
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from panotui.recording.relay import Relay
from tests.views.records import START, snapshot


def until_failed(recorder: Recorder | Relay) -> None:
    ends = time.monotonic() + 10
    while recorder.failure is None and time.monotonic() < ends:
        time.sleep(0.01)


def test_it_goes_on_in_another_folder_and_says_so(tmp_path: Path) -> None:
    told: list[str] = []
    first, second = tmp_path / "first.panotui", tmp_path / "second.panotui"
    relay = Relay(
        Recorder(first, lossless=True),
        lambda: Recorder(second, lossless=True),
        lambda recorder: told.append(recorder.name),
    )
    relay.known("finding:a", True)
    relay.observe(snapshot(1))
    relay.recorder.flush()
    assert relay.failure is None
    assert relay.status().detail is None
    shutil.rmtree(first)
    relay.observe(snapshot(2))
    lost = relay.recorder
    until_failed(lost)
    assert relay.failure is None  # it has moved
    assert relay.recorder is not lost
    status = relay.status()
    assert (status.path, status.state) == ("second.panotui", "recording")
    assert status.detail is not None
    assert "first.panotui: its database is gone" in status.detail
    assert "recording continues in second.panotui" in status.detail
    assert told == ["second.panotui"]
    relay.observe(snapshot(3))
    relay.mark(START, "here")
    relay.close()
    recording = Recording(second)
    assert recording.end_ns == START + 3 * SECOND
    assert recording.marks() == [(START, "here")]
    assert "finding:a" in recording.known
    recording.close()


def test_it_moves_once(tmp_path: Path) -> None:
    first, second = tmp_path / "first.panotui", tmp_path / "second.panotui"
    relay = Relay(Recorder(first, lossless=True), lambda: Recorder(second, lossless=True))
    for folder in (first, second):
        relay.observe(snapshot(1))
        relay.recorder.flush()
        shutil.rmtree(folder)
        relay.observe(snapshot(2))
        until_failed(relay.recorder)
        said = relay.failure
    assert said is not None
    assert "its database is gone" in said
    relay.close()


def test_a_fallback_that_cannot_be_opened_is_a_failure_with_both_reasons(tmp_path: Path) -> None:
    def refuse() -> Recorder:
        raise UsageError("second", "no such folder")

    first = tmp_path / "first.panotui"
    relay = Relay(Recorder(first, lossless=True), refuse)
    relay.observe(snapshot(1))
    relay.recorder.flush()
    shutil.rmtree(first)
    relay.observe(snapshot(2))
    until_failed(relay.recorder)
    for _ in range(2):
        assert relay.failure is not None
        assert "its database is gone" in relay.failure
        assert relay.failure.endswith("second: no such folder")
    relay.close()


@pytest.mark.parametrize(
    ("number", "is_gone"), [(errno.EIO, True), (errno.EROFS, True), (errno.ENOSPC, False)]
)
def test_a_disk_that_refuses_and_is_not_full_is_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_gone: bool
) -> None:
    recorder = Recorder(tmp_path / "a.panotui", lossless=True)
    recorder.observe(snapshot(1))
    recorder.flush()

    def refuse(*arguments: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    def no_room(path: Path) -> None:
        raise OSError(number, "the disk's own words")

    monkeypatch.setattr(recorders, "RETRY_S", 0.0)
    monkeypatch.setattr(recorders, "REFUSED_MOST_S", 0.0)
    monkeypatch.setattr(recorders.rows, "insert_samples", refuse)
    monkeypatch.setattr(folders, "try_writing", no_room)
    recorder.observe(snapshot(2))
    recorder.flush(5)
    assert recorder.status().detail is not None
    for second in range(3, 20):
        recorder.observe(snapshot(second))
    recorder.flush(5)
    if is_gone:
        assert recorder.failure == "its disk cannot be written (the disk's own words)"
    else:
        assert recorder.failure is None
        assert recorder.status().state == "samples-only"
    recorder.close()
