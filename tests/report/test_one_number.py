"""The overview, the panes, the summary, the report and the JSON say the same numbers.

Each capture is a situation: a camera refused, the internet down, one endpoint blocked, all well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

from panotui.commands.options import read_site
from panotui.commands.rehearse import record_capture
from panotui.commands.summary import summary
from panotui.model import Site, Snapshot
from panotui.recording.reader import Recording
from panotui.report import content
from panotui.report.analysis import analysis_from_records
from panotui.report.markdown import markdown
from panotui.report.page import page
from panotui.report.story import Story, story_of
from panotui.state.marks import Marks, key_of
from panotui.state.standing import (
    all_works,
    cameras_said,
    endpoints_said,
    unseen,
    violations_said,
)
from panotui.views.frames import Answer, Command, View
from panotui.views.review import ReviewProvider
from tests.tui.screens import Driven

FIELD = Path(__file__).parents[1] / "data" / "field"
CAPTURES = {
    "camera-answers-500": "site-plant.toml",
    "picture-stands-still-40s": None,
    "internet-goes-away-names-cached": "site-dock.toml",
    "logs-accept-and-never-answer": "site-plant.toml",
    "camera-pushes-its-stream-out": "site-plant.toml",
    "a-well-site": "site-dock.toml",
}


class Reviewed:
    """A recording that answers as a site does."""

    def __init__(self, provider: ReviewProvider) -> None:
        self._provider = provider

    def answer(self, request: View | Command) -> Answer:
        if isinstance(request, Command):
            return self._provider.command(request)
        return self._provider.frame(request)


@dataclass(frozen=True)
class Told:
    """What each place says of one capture."""

    story: Story
    overview: str
    endpoints: str
    findings: str

    @property
    def snapshot(self) -> Snapshot:
        return self.story.snapshot


@lru_cache(maxsize=8)
def told(name: str, folder: str) -> Told:
    site, text = Site(), ""
    if CAPTURES[name]:
        site, text, _ = read_site(FIELD / CAPTURES[name])
    capture = str(FIELD / f"{name}.pcap.zst")
    recording = Recording(record_capture([capture], site, text, Path(folder) / f"{name}.panotui"))
    provider = ReviewProvider(recording)
    provider.command(Command(name="seek", time_ns=recording.end_ns))
    driven = Driven(Reviewed(provider), 160, 60).press("v")  # the lists alone
    shown = [driven.press(key).text() for key in "146"]
    story = story_of(recording, name, "tests")
    recording.close()
    return Told(story, *shown)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("one_number"))


@pytest.mark.parametrize("name", CAPTURES)
def test_every_place_says_the_same_numbers(name: str, folder: str) -> None:
    place = told(name, folder)
    counts = place.snapshot.counts
    said = [cameras_said(counts), endpoints_said(counts), violations_said(counts)]
    words, tiles, whole = (
        summary(place.snapshot), markdown(place.story), page(place.story)
    )  # fmt: skip
    cameras, endpoints, violations = said
    if counts.cameras:
        for text in (place.overview, words, tiles, whole):
            assert cameras in text
    if counts.endpoints:
        for text in (place.overview, place.endpoints, words, tiles, whole):
            assert endpoints in text
    if counts.violations_open or counts.violations_past:
        for text in (place.overview, words, whole, tiles):
            assert violations in text
    assert f"{(news := counts.findings_open - counts.findings_notes)} open" in (place.findings) or (
        not news and "none open" in place.findings
    )
    printed = analysis_from_records(place.snapshot, ())
    assert printed["counts"]["cameras_ok"] == sum(
        c["state"] == "streaming"
        and not any(
            f["id"] == c["trouble"] and f["severity"] == "error" for f in printed["findings"]
        )
        for c in printed["cameras"]
    )
    needed = [e for e in printed["endpoints"] if e["needed"]]
    assert counts.endpoints == len(needed)
    assert counts.endpoints_ok == sum(e["state"] == "reachable" for e in needed)


@pytest.mark.parametrize("name", CAPTURES)
def test_no_place_is_greener_than_the_page_below_it(name: str, folder: str) -> None:
    place = told(name, folder)
    snapshot = place.snapshot
    wrong = [
        f for f in snapshot.findings
        if f.cleared_time_ns is None and f.hidden_by is None and f.severity != "info"
    ]  # fmt: skip
    dead = not all_works(snapshot.cameras, snapshot.endpoints)
    broken = snapshot.counts.violations_open > 0
    ill = bool(wrong) or dead or broken
    assert (content.verdict(place.story).level == "ok") is not ill or content.verdict(
        place.story
    ).word == "Well now"
    assert ("NOTHING TO DO" in summary(snapshot)) is not ill
    assert ("all is well" in place.overview) <= (not ill)
    if not ill:
        for name_ in unseen(snapshot)[:8]:
            assert name_ in summary(snapshot)
    levels = {what: level for level, what, _ in content.standing(place.story)}
    if any(e.needed and e.state in ("blocked", "failing") for e in snapshot.endpoints):
        assert levels["Endpoints"] == "bad"


@pytest.mark.parametrize("name", CAPTURES)
def test_a_violation_and_its_finding_are_equally_bad(name: str, folder: str) -> None:
    snapshot = told(name, folder).snapshot
    severities = {v.id: v.severity for v in snapshot.violations}
    for finding in snapshot.findings:
        severity = severities.get(finding.violation or "", finding.severity)
        assert finding.severity == severity or severity == "info"


@pytest.mark.parametrize("name", CAPTURES)
def test_events_stand_in_the_order_of_time(name: str, folder: str) -> None:
    times = [e.time_ns for e in told(name, folder).snapshot.events]
    assert times == sorted(times)


def test_what_is_known_is_not_called_well(folder: str) -> None:
    snapshot = told("internet-goes-away-names-cached", folder).snapshot
    marks = Marks(key_of(f) for f in snapshot.findings)
    known = marks.over_snapshot(snapshot)
    assert known.counts.findings_known == 1
    words = summary(known)
    assert "NOTHING TO DO" not in words
    assert "1 known" in words
    assert "(known)" in words


def test_what_hangs_on_a_cause_is_not_shown_as_open(folder: str) -> None:
    place = told("internet-goes-away-names-cached", folder)
    rows = [line for line in place.findings.splitlines() if "does not answer" in line]
    assert rows
    assert not [line for line in rows if " warn " in line]
    assert sum(" behind " in line for line in rows) == len(rows) - sum(
        "Nothing on" in line for line in rows
    )
