"""A collector that has shut itself in still accepts violations into its site file, and no other."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from panotui.commands import siteedit
from panotui.commands.siteedit import SiteDesk, SiteFileEditor, editor_of
from panotui.errors import UsageError
from panotui.runtime.process import end_meter
from panotui.sources.live import landlock
from tests.views.records import violation

SITE = '# mine\n[site]\nname = "plant"\n'


def test_a_desk_accepts_and_takes_back_and_says_why_not(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(SITE)
    desk = SiteDesk(site)
    try:
        one = violation(reason="unknown-endpoint")
        said = desk.accept(one)
        plain = SiteFileEditor(site)
        assert str(site) in said
        assert site.read_text().startswith(SITE)
        assert len(site.read_text()) > len(SITE)
        assert desk.undo() == f"{site} is as it was"
        assert site.read_text() == SITE
        assert desk.undo() == plain.undo() == "nothing to take back"
        with pytest.raises(UsageError, match="must not reach the internet"):
            desk.accept(violation(reason="stream-leak"))
        site.write_text("[site\n")
        with pytest.raises(UsageError) as refused:
            desk.accept(one)
        assert str(site) in str(refused.value)
        desk._process.kill()
        desk._process.wait(60)
        with pytest.raises(UsageError, match="does not answer"):
            desk.undo()
    finally:
        end_meter(desk._process)


def test_a_desk_is_made_where_it_can_be_of_use(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    editor = editor_of(site)
    assert isinstance(editor, SiteDesk if landlock.version() else SiteFileEditor)
    if isinstance(editor, SiteDesk):
        end_meter(editor._process)
    if os.geteuid() != 0:  # root may write everywhere
        assert isinstance(editor_of(Path("/etc/panotui-site.toml")), SiteFileEditor)


def test_a_desk_that_is_too_late_answers_no_later_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site.toml"
    site.write_text(SITE)
    desk = SiteDesk(site)
    try:
        monkeypatch.setattr(siteedit, "ANSWER_S", 0.05)
        os.kill(desk._process.pid, signal.SIGSTOP)
        with pytest.raises(UsageError, match="does not answer"):
            desk.accept(violation(reason="unknown-endpoint"))
        desk._process.wait(60)  # it was ended
        with pytest.raises(UsageError, match="does not answer"):
            desk.undo()
        assert site.read_text() == SITE
    finally:
        end_meter(desk._process)
