"""What is said of a camera in a word agrees with the worst finding about it, all over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from panotui.commands.summary import summary
from panotui.engine.engine import Engine
from panotui.model import SECOND, Delta, Site, Snapshot
from panotui.runtime.pump import Pump
from panotui.site.file import load_site
from panotui.sources import open_file
from panotui.state.standing import dead_cameras, plays
from panotui.views.words import state_word
from tests.captures import DATA, capture, captures
from tests.diagnosis.met.run import observed
from tests.diagnosis.met.truth import SCENES
from tests.field.cases import all_cases, name
from tests.situations import SITUATIONS, cameras

FIELD = DATA / "field"
OVER = ("by its reader",)  # its own doing
AHEAD_S = 4
BRIEF = [
    name
    for name, one in SITUATIONS.items()
    if one.build.__module__ == cameras.__name__ and "day" not in one.text
]


def of_file(path: str, site: Site) -> Snapshot:
    engine, source = Engine(site), open_file(path)
    Pump([source], engine, files=[path]).run(0.0)
    source.close()
    return engine.snapshot()


def differences(shot: Snapshot) -> list[str]:
    """Where a word says other than the findings."""
    out = []
    told = summary(shot)
    opened = [f for f in shot.findings if f.cleared_time_ns is None and f.severity != "info"]
    causes = {None, *(f.key for f in opened)}  # what hangs on a cause that is over is over soon
    opened = [f for f in opened if f.hidden_by in causes]
    for camera in shot.cameras:
        streams = [s for s in shot.streams if s.camera == camera.name]
        ids, flows = {s.id for s in streams}, {s.flow for s in streams if s.flow}
        about = [
            f for f in opened if f.camera == camera.address or f.stream in ids or f.flow in flows
        ]
        worst = min((f.severity for f in about), default=None)  # "error" before "warning"
        said = f"{camera.name}: {camera.state} ({camera.state_text}), findings {about}"
        if worst == "error" and plays(camera):
            out.append(f"counted as playing: {said}")
        if (worst is None) != (camera.trouble is None) or worst != camera.trouble_severity:
            out.append(f"trouble is {camera.trouble} {camera.trouble_severity}: {said}")
        if worst and state_word(camera) in ("ok", "streaming"):
            out.append(f"the pane says {state_word(camera)}: {said}")
        if worst and camera.state == "streaming" and f"but {camera.trouble_text}" not in told:
            out.append(f"the summary does not say it: {said}")
        if camera.name in dead_cameras([camera]) and not about:
            ended = any(how in (camera.state_text or "") for how in OVER)
            if not ended and not (camera.state_text or "").startswith("nobody"):
                out.append(f"no finding: {said}")
    if shot.counts.cameras_ok != sum(plays(c) for c in shot.cameras):
        out.append(f"{shot.counts.cameras_ok} are counted as playing")
    return out


@pytest.fixture
def each_second(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What differed in any second, once asked; a state may be ahead of its finding for a while."""
    apply = Engine.apply
    seen: dict[str, set[int]] = {}

    def applied(engine: Engine, delta: Delta, *, tick: bool = True) -> None:
        apply(engine, delta, tick=tick)
        if tick:
            for one in differences(engine.snapshot()):
                key = one.partition(" (")[0] if one.startswith("no finding") else one
                seen.setdefault(key, set()).add(engine.now_ns // SECOND)

    monkeypatch.setattr(Engine, "apply", applied)
    return lambda: [
        one
        for one, seconds in seen.items()
        if not one.startswith("no finding") or in_a_row(seconds) > AHEAD_S
    ]


def in_a_row(seconds: set[int]) -> int:
    """The longest run of seconds that follow each other."""
    longest = run = 0
    for second in sorted(seconds):
        run = run + 1 if second - 1 in seconds else 1
        longest = max(longest, run)
    return longest


@pytest.mark.parametrize("scene", SCENES)
def test_a_scenes_cameras_are_called_what_their_findings_say_in_every_second(
    scene: str, each_second: Callable[[], list[str]]
) -> None:
    _, engine = observed(SCENES[scene], True)
    assert each_second() == []
    assert differences(engine.snapshot()) == []


@pytest.mark.parametrize("name", BRIEF)
def test_a_situations_cameras_are_called_what_their_findings_say_in_every_second(
    name: str, each_second: Callable[[], list[str]]
) -> None:
    engine = SITUATIONS[name].watch()
    assert each_second() == []
    assert differences(engine.snapshot()) == []


CASES = list(all_cases().values())


@pytest.mark.parametrize("case", CASES, ids=[name(case) for case in CASES])
def test_a_captures_cameras_are_called_what_their_findings_say(case: dict[str, str]) -> None:
    site = load_site(FIELD / case["site"]) if "site" in case else Site()
    assert differences(of_file(str(FIELD / case["file"]), site)) == []


@pytest.mark.parametrize("path", captures())
def test_other_captures_cameras_are_called_what_their_findings_say(path: str) -> None:
    assert differences(of_file(str(capture(path)), Site())) == []
