"""The packets that a live screen holds without a recorder, and what `w` makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from panotui.engine.engine import Engine
from panotui.engine.settings import EngineSettings
from panotui.errors import UsageError
from panotui.model import SECOND
from panotui.recording.evidence import EvidenceTap
from panotui.recording.evidence_files import Written
from panotui.recording.held_evidence import KEEPING, HeldEvidence
from panotui.recording.items import Evidence
from panotui.runtime.packet_keeper import LocalKeeper
from panotui.runtime.pump import Pump
from panotui.site.file import load_site
from panotui.sources import open_file
from panotui.state.marks import key_of
from panotui.views.frames import Command
from panotui.views.provider import StateProvider
from tests.recording.test_evidence import DEMO, comments


def evidence(subject: str, since_ns: int, size: int) -> Evidence:
    return Evidence("x.pcapng", subject, since_ns, lambda file: Written(0), subject=subject,
                    bytes=size)  # fmt: skip


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> StateProvider:
    """The demo's capture, seen to its end by a live screen's collector."""
    engine = Engine(load_site(DEMO / "site.toml"), EngineSettings(live=True))
    pump = Pump([open_file(str(DEMO / "site.pcapng.zst"))], engine)
    held = HeldEvidence()
    tap = EvidenceTap(pump, held, LocalKeeper(pump, KEEPING), KEEPING)
    while pump.step():
        pass
    pump.finish()
    tap.finish()
    folder = tmp_path_factory.mktemp("held")
    return StateProvider(engine, "live", packets=held, export_folder=folder)


def test_w_on_a_live_screen_writes_the_packets_that_prove_a_finding(watched: StateProvider) -> None:
    bad = [f for f in watched.snapshot().findings if f.severity != "info"]
    assert len(bad) >= 3
    for finding in bad:
        done = watched.command(Command(name="evidence", key=key_of(finding)))
        assert done.ok, done.text
        assert "frame " in done.text
        assert any(finding.id.split("-")[0] in c for c in comments(Path(done.path)).values())


def test_what_is_still_gathered_says_so_until_it_is_held(tmp_path: Path) -> None:
    engine = Engine(load_site(DEMO / "site.toml"), EngineSettings(live=True))
    pump = Pump([open_file(str(DEMO / "site.pcapng.zst"))], engine)
    held = HeldEvidence()
    held.gathers = EvidenceTap(pump, held, LocalKeeper(pump, KEEPING), KEEPING).gathers
    provider = StateProvider(engine, "live", packets=held, export_folder=tmp_path)
    answers = []

    def ask(_now_ns: int) -> None:
        if engine.facts.violations and not (answers and answers[-1].ok):
            key = key_of(engine.facts.violations[0])
            answers.append(provider.command(Command(name="evidence", key=key)))

    pump.on_tick.append(ask)
    while pump.step():
        pass
    *early, done = answers
    assert done.ok
    assert len(early) >= KEEPING.after_ns // SECOND
    assert all(answer.pending and "still gathered" in answer.text for answer in early)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_not_held_says_what_to_do(watched: StateProvider) -> None:
    done = watched.command(Command(name="evidence", key="finding:nothing/of-it"))
    assert not done.ok
    assert "panotui record" in done.text


def test_no_number_stands_that_nobody_can_look_up(watched: StateProvider) -> None:
    assert not [e for f in watched.snapshot().findings for e in f.evidence if e.frame is not None]


def test_the_newest_stay_within_their_bytes_and_their_number() -> None:
    held = HeldEvidence(most_bytes=100, most=3)
    for number in range(5):
        assert held.keep(evidence(f"finding:{number}", number, 10))
    assert held.keep(evidence("finding:large", 9, 95))
    assert not held.keep(evidence("finding:larger", 9, 101))
    with pytest.raises(UsageError, match="none are held"):
        held.save("finding:4", Path("/nowhere/x.pcapng"))


def test_files_of_all_control_packets_are_no_matter_of_a_screen() -> None:
    assert not HeldEvidence().keep(evidence("", 0, 10))
