"""The mark "known", from the key to "all else is well": one state, its screens, the recording."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from panotui.model import SECOND
from panotui.recording.reader import Recording
from panotui.recording.recorder import Recorder
from panotui.views.frames import Command
from panotui.views.provider import StateProvider
from panotui.views.review import ReviewProvider
from tests.made_up import Scene, answered, site
from tests.tui.frames_builder import Site
from tests.tui.screens import Answering, Driven
from tests.tui.terminals import Terminal


def screen(provider: StateProvider) -> Driven:
    return Driven(cast("Site", Answering(provider)), 120, 40)


def heading(driven: Driven, title: str) -> str:
    driven.fetch()
    return next(line for line in driven.lines() if line.strip().startswith(title)).strip()


def broken() -> Scene:
    """A host behind the appliance asks it for a shell: a violation and its finding."""
    scene = Scene(site())
    scene.tick([answered(1, "192.168.5.77", "192.168.5.5", 22, mac_out_dst="02:00:00:00:00:11")])
    scene.pass_time(3)
    snapshot = scene.engine.snapshot()
    assert [v.state for v in snapshot.violations] == ["open"]
    assert snapshot.all_well_since_ns is None
    return scene


def opened(driven: Driven, pane: str) -> None:
    """Mark what is first in a pane as known."""
    driven.press(pane, "m", "1")


def test_marking_the_last_open_one_as_known_brings_all_well_on_every_screen() -> None:
    scene = broken()
    provider = StateProvider(scene.engine, "live")
    mine, theirs = screen(provider), screen(provider)
    assert "finding" in heading(theirs, "WHAT TO DO")
    opened(mine, "5")
    for driven in (mine, theirs):
        assert "all else is well" in heading(driven, "WHAT TO DO")
        assert "known" in heading(driven, "WHAT TO DO")
        assert "not enough was seen" not in driven.text()
        assert "1 open (1 known)" in heading(driven, "VIOLATIONS")
    theirs.press("5", "m", "1")  # takes the mark away
    assert "all else" not in heading(mine, "WHAT TO DO")
    assert scene.engine.snapshot().all_well_since_ns is None


def test_who_knows_of_a_violation_knows_of_the_finding_that_explains_it() -> None:
    scene = broken()
    driven = screen(StateProvider(scene.engine, "live"))
    assert scene.findings()["inbound-undeclared"].violation
    opened(driven, "5")
    assert heading(driven, "WHAT TO DO").endswith("all else is well, 2 known")
    scene.tick([answered(2, "192.168.5.78", "192.168.5.5", 22, 4.0)])  # another, by another host
    scene.pass_time(2)
    assert heading(driven, "WHAT TO DO").endswith("1 finding, 1 known")


def recorded(folder: Path) -> Path:
    scene = broken()
    recorder = Recorder(folder, lossless=True)
    provider = StateProvider(scene.engine, "attach", notebook=recorder)
    recorder.observe(scene.engine.snapshot())
    for record in (*scene.engine.snapshot().violations, *scene.engine.snapshot().findings):
        kind = "violation" if hasattr(record, "reason") else "finding"
        name = record.id if kind == "violation" else record.key  # type: ignore[union-attr]
        assert provider.command(Command(name="known", key=f"{kind}:{name}")).ok
    scene.tick()
    recorder.observe(scene.engine.snapshot())
    recorder.close()
    return folder


def test_marks_are_kept_in_the_recording_and_come_back_in_the_next_run(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "a.panotui")
    recording = Recording(folder)
    assert recording.final().all_well_since_ns
    assert all(v.known for v in recording.snapshot_at(0).violations)
    driven = screen(ReviewProvider(recording))
    assert "all else is well" in heading(driven, "WHAT TO DO")
    driven.press("5", "m", "1")
    assert "all else" not in heading(driven, "WHAT TO DO")
    assert "1 open," in heading(driven, "VIOLATIONS")

    again = broken()
    recorder = Recorder(folder)
    again.engine.restore_marks(recorder.known_keys())
    recorder.close()
    assert again.engine.snapshot().all_well_since_ns


def test_a_known_violation_reads_so_on_a_terminal(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "a.panotui")
    command = [sys.executable, "-m", "panotui", "review", str(folder)]
    with Terminal(command=command, columns=120, rows=40) as terminal:
        terminal.until(terminal.shows("all else is well"), 60)
        terminal.type("5")
        terminal.until(terminal.shows("REASON"), 60)
        terminal.type("m")
        terminal.until(terminal.shows("1 open, 0 past"), 60)
        terminal.type("1")
        terminal.until(terminal.shows("1 violation to look at"), 60)
        terminal.type("5")
        terminal.until(terminal.shows("REASON"), 60)
        terminal.type("m")
        terminal.until(terminal.shows("1 open (1 known), 0 past"), 60)
        terminal.type("1")
        terminal.until(terminal.shows("all else is well"), 60)
        terminal.type("q")
        assert terminal.ended() == 0


def test_nothing_seen_is_still_not_well() -> None:
    scene = Scene()
    assert scene.engine.mark_known("finding:x", True)
    assert scene.engine.snapshot().all_well_since_ns is None
    scene.pass_time(2)
    assert (scene.engine.snapshot().all_well_since_ns or 0) % SECOND == 0
