"""Which recorder `attach` means when none is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from panotui.commands.attach import only_socket
from panotui.errors import InputError, UsageError
from panotui.feed import server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(server, "SHARED_FOLDER", tmp_path)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path


def test_sockets_that_killed_recorders_left_are_passed_over(folder: Path) -> None:
    server.listen(folder / "dead.sock").close()
    with pytest.raises(InputError, match="no recorder is running"):
        only_socket()
    with server.listen(folder / "live.sock"):
        assert only_socket() == folder / "live.sock"
        with (
            server.listen(folder / "other.sock"),
            pytest.raises(UsageError, match=r"live\.sock, .*other\.sock"),
        ):
            only_socket()


def test_a_user_who_may_not_write_the_shared_folder_has_one_of_his_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder)
    own = folder / "temporary" / "panotui-1234"
    assert server.default_path("r") == own / "r.sock"
    assert server.default_folders() == (own, folder)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    assert server.default_path("r") == folder / "panotui" / "r.sock"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert server.default_path("r") == folder / "r.sock"


def test_a_folder_for_temporary_files_that_somebody_else_made_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = folder / "temporary" / "panotui-1234"
    own.mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(UsageError, match="belongs to another user"):
        server.listen(own / "r.sock")
