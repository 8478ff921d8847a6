"""What a report holds of a night: spans, outages to the second, comparisons, evidence, names."""

from __future__ import annotations

import hashlib
import re
import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from panotui.cli import main
from panotui.commands.times import moment_s, zone_of
from panotui.diagnosis.catalogue import catalogue
from panotui.errors import InputError, UsageError
from panotui.model import SECOND
from panotui.recording.parts import EVIDENCE
from panotui.recording.reader import Recording
from panotui.report import content, glance, pdf
from panotui.report.heat import heat
from panotui.report.markdown import markdown
from panotui.report.page import css_text, page
from panotui.report.story import Story, story_of
from panotui.report.wording import LocalTime, per_cent
from panotui.state.strips import Cell, Run
from tests.report.nights import BEGIN_S, FAULTS, Trouble, record_night


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    return record_night(folder / "night.panotui", 9, cameras=4, troubles=FAULTS, leak=True)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days; a camera is off each night, longer and longer."""
    troubles = [
        Trouble("off", "dock", day * 86_400 + 18_000, day * 86_400 + 18_000 + 900 * (day + 1))
        for day in range(4)
    ]
    folder = tmp_path_factory.mktemp("days") / "days.panotui"
    return record_night(folder, 96, cameras=2, endpoints=6, troubles=troubles, step_s=60)


def told(folder: Path, **options: object) -> Story:
    recording = Recording(folder)
    try:
        return story_of(recording, folder.name, "test", **options)  # type: ignore[arg-type]
    finally:
        recording.close()


def test_every_fault_of_a_night_is_named_with_its_time_and_nothing_else_as_one(
    night: Path,
) -> None:
    outages = glance.outages(told(night))
    dead = [t for t in FAULTS if t.kind != "losing"]
    assert len(outages) == len(dead)
    for outage, trouble in zip(outages, sorted(dead, key=lambda t: t.start_s), strict=True):
        assert abs(outage.start_s - BEGIN_S - trouble.start_s) <= 10
        assert abs(outage.end_s - BEGIN_S - min(trouble.end_s, 9 * 3600)) <= 10
        assert trouble.camera in (outage.name, "internet")
    assert [o.is_open for o in outages] == [False, False, False, True]


def test_endpoints_that_were_lost_together_are_one_row(night: Path) -> None:
    shown, folded = glance.rows(told(night))
    endpoints = [row for row in shown if row.kind == "endpoint"]
    assert [row.name for row in endpoints] == ["my-app-10 and 31 more"]
    assert endpoints[0].lost == "15 min lost"
    assert folded == []
    assert [row.level for row in shown if row.name == "yard"] == ["bad"]
    assert [row.level for row in shown if row.name == "dock"] == ["warn"]  # it is over


def test_no_tile_is_greener_than_the_page(night: Path, days: Path) -> None:
    tiles = {what: (level, how) for level, what, how in content.standing(told(night))}
    assert tiles["Cameras"][0] == "bad"
    assert tiles["Endpoints"][0] == "warn"
    assert tiles["Endpoints"][1].endswith("reachable; 15 min lost at most")
    assert tiles["Violations"][0] == "bad"
    over = {what: (level, how) for level, what, how in content.standing(told(days))}
    assert over["Cameras"] == ("warn", "2 of 2 streaming; 2 h 30 min lost at most")
    assert over["Ports"][0] == "ok"


def test_a_span_has_what_happened_in_it_and_how_it_stood_at_its_end(night: Path) -> None:
    first = told(night, since_s=BEGIN_S + 4_000, until_s=BEGIN_S + 6_000)
    assert (first.start_s, first.end_s) == (BEGIN_S + 4_000, BEGIN_S + 6_000)
    assert [f.subject for f in first.snapshot.findings] == ["dock"]
    assert first.snapshot.findings[0].cleared_time_ns is None  # it was not over then
    dock = next(c for c in first.snapshot.cameras if c.name == "dock")
    assert dock.state == "silent"
    assert first.tally("camera:dock").dead_s == 601  # a snapshot tells of the second before
    assert first.snapshot.violations == ()
    later = told(night, since_s=BEGIN_S + 15_000)
    assert {f.subject for f in later.snapshot.findings} == {"dock", "internet", "yard"}
    with pytest.raises(InputError, match="nothing was recorded in that span"):
        told(night, since_s=BEGIN_S + 10**6)


def test_two_spans_are_compared_wherever_they_lie(night: Path) -> None:
    span = {"since_s": BEGIN_S + 9_000, "until_s": BEGIN_S + 12_000}
    story = told(night, **span, against_s=BEGIN_S)
    assert story.before is not None
    assert story.before.span.start_s == BEGIN_S
    assert story.before.span.seconds == 3_000
    then, now = story.before.counted["gate"]
    assert then.lost == 0
    assert now.lost > 100
    loss = next(d for d in content.differences(story) if d.what == "Loss of gate")
    assert (loss.level, loss.before[:1]) == ("bad", "0")
    with pytest.raises(InputError, match="nothing was recorded in that span"):
        told(night, **span, against_s=BEGIN_S - 10**6)


def test_loss_is_that_of_the_span(night: Path) -> None:
    whole = told(night).counted["gate"]
    inside = told(night, since_s=BEGIN_S + 9_000, until_s=BEGIN_S + 14_400).counted["gate"]
    before = told(night, since_s=BEGIN_S, until_s=BEGIN_S + 3_000).counted["gate"]
    assert 0.015 < inside.lost / inside.expected < 0.025
    assert before.lost == 0
    assert whole.lost > inside.lost - 60


def test_the_last_day_is_compared_with_the_day_before(days: Path) -> None:
    story = told(days)
    lines = {line.what: line for line in content.differences(story)}
    assert lines["Cameras, worst"].level == "bad"
    assert lines["Cameras, worst"].before == "96.88 % (dock)"
    assert lines["Cameras, worst"].now == "95.83 % (dock)"
    assert (lines["Ports, worst"].before, lines["Ports, worst"].now) == ("100 %", "100 %")
    assert lines["New devices"].now == "none"
    for text in (page(story), markdown(story)):
        assert "Compared with the span before" in text
    assert told(days, until_s=BEGIN_S + 30_000).before is None  # there is nothing before it


def test_a_chosen_span_is_compared_with_as_long_a_one_before(days: Path) -> None:
    before = told(days, since_s=BEGIN_S + 2 * 86_400, until_s=BEGIN_S + 3 * 86_400).before
    assert before is not None
    assert (before.span.start_s, before.span.end_s) == (BEGIN_S + 86_400, BEGIN_S + 2 * 86_400)
    assert before.findings == (1, 1)


def test_hours_over_days_show_the_same_hour_each_night(days: Path) -> None:
    story = told(days)
    drawn = page(story)
    assert "Hour by hour" in drawn
    picture = heat(story.runs["camera:dock"], story.start_s, story.end_s, LocalTime(UTC), "dock")
    lost = re.findall(r"<title>(\w+ \d+) 02:00 [^<]*lost</title>", picture)
    assert len(lost) == 4
    assert "Hour by hour" not in page(told(days, until_s=BEGIN_S + 30 * 3600))


def test_evidence_is_listed_with_its_hash(night: Path) -> None:
    story = told(night)
    assert len(story.evidence) == len(FAULTS)
    for kept in story.evidence:
        raw = (night / EVIDENCE / kept.file).read_bytes()
        assert kept.sha256 == hashlib.sha256(raw).hexdigest()
        assert (kept.bytes, kept.intact) == (len(raw), True)
        assert kept.sha256 is not None
        assert kept.sha256 in page(story)
        assert kept.sha256 in markdown(story)


def test_evidence_that_was_changed_since_is_said_to_be(night: Path, tmp_path: Path) -> None:
    copy = tmp_path / "night.panotui"
    shutil.copytree(night, copy)
    changed = copy / EVIDENCE / told(copy).evidence[0].file
    changed.write_bytes(changed.read_bytes() + b"x")
    story = told(copy)
    assert [e.intact for e in story.evidence].count(False) == 1
    assert page(story).count("changed since") == 1
    assert markdown(story).count("changed since") == 1


def test_what_came_again_is_one_finding_with_its_times(night: Path) -> None:
    story = told(night)
    dock = next(t for t in content.told(story.findings) if t.finding.subject == "dock")
    said = dock.lasted(LocalTime(ZoneInfo("Europe/Berlin")))
    assert said.startswith("2 times, 19 min 30 s in all: from 2026-11-29 23:30:00 to 23:48:30")
    yard = next(t for t in content.told(story.findings) if t.finding.subject == "yard")
    assert yard.lasted(LocalTime(UTC)) == "since 2026-11-30 04:30:00, not over at the end"


def test_each_finding_is_for_somebody() -> None:
    text = (Path(content.__file__).parent / "owners.toml").read_text()
    named = [name for names in tomllib.loads(text)["findings"].values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) <= set(catalogue())
    groups = {spec.group for spec in catalogue().values()}
    assert groups <= set(tomllib.loads(text)["groups"])


# ------------------------------------------------------------------ several, redacted, on the line


def test_several_recordings_have_a_row_each(night: Path, days: Path, tmp_path: Path) -> None:
    other = record_night(tmp_path / "other.panotui", 1, cameras=1, site="plant-8")
    out = tmp_path / "all.html"
    assert main(["report", str(night), str(other), "-o", str(out), "--customer", "Acme"]) == 0
    text = out.read_text()
    assert "Network report: 2 sites" in text
    rows = re.findall(r"<tr><td><strong>(plant-\d)</strong>", text)
    assert rows == ["plant-7", "plant-8"]
    assert text.count('<section class="site">') == 2
    both = markdown(told(night), told(other))
    assert "| plant-7 | ✖ Needs action | 83.36 % |" in both
    assert "| plant-8 | ✔ All well | 100 % |" in both


def test_what_is_redacted_names_nobody_and_can_still_be_followed(
    night: Path, tmp_path: Path
) -> None:
    for form, name in (([], "out.html"), (["--markdown"], "out.md")):
        out = tmp_path / name
        options = ["--redact", "--title", "TITLE", "--customer", "CUSTOMER", *form]
        assert main(["report", str(night), "-o", str(out), *options]) == 0
        text = out.read_text()
        for secret in (
            "plant-7", "plant.example", "dock", "yard", "10.20.0.", "192.168.5", "203.0.113",
            "02:00:00:00", "a1b2c3d4", "panorama-artifacts", "my-app", "TITLE", "CUSTOMER",
            "night.pan", "p2p.vendor",
        ):  # fmt: skip
            assert secret not in text, secret
        assert "logs.us-east-1.amazonaws.com" in text
        assert "Camera camera-1 sends no picture any more" in text
        assert "camera-3 refuses the password" in text


def test_customer_technician_and_zone_come_from_the_site_file_or_the_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    site = (
        '[site]\nname = "plant-7"\n[report]\ncustomer = "Acme <GmbH>"\n'
        'technician = "field service"\n'
        'zone = "Asia/Kolkata"\n'
    )
    folder = record_night(tmp_path / "a.panotui", 0.2, cameras=1, site_text=site)
    assert main(["report", str(folder), "-o", "-"]) == 0
    text = capfd.readouterr().out
    assert "Acme &lt;GmbH&gt;" in text
    assert "<dd>field service</dd>" in text
    assert "IST (UTC+5:30)" in text
    assert main(["report", str(folder), "--markdown", "--customer", "Other", "--zone", "UTC"]) == 0
    text = capfd.readouterr().out
    assert "Customer: Other" in text
    assert "UTC, 11 min 51 s" in text
    wrong = tmp_path / "site.toml"
    wrong.write_text('[report]\nzone = "Mars/Base"\n')
    assert main(["report", str(folder), "--markdown", "--site", str(wrong)]) == 2
    assert "site.toml:2: report.zone: expected a time zone" in capfd.readouterr().err
    assert main(["report", str(folder), "--markdown", "--zone", "Mars/Base"]) == 2
    assert "--zone Mars/Base: unknown time zone" in capfd.readouterr().err


def test_without_chromium_one_line_says_what_to_do(
    night: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["report", str(night), "--pdf", "-o", str(tmp_path / "x.pdf")]) == 2
    assert capfd.readouterr().err == (
        "panotui: --pdf: no Chromium is installed here. Install it, or write a page"
        " (-o report.html) and print that from a browser.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_browser_that_fails_is_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(UsageError, match="it made no file"):
        pdf.pdf("<p>", str(broken))
    broken.write_text("#!/bin/sh\nsleep 60\n")
    with pytest.raises(UsageError, match="it took more than"):
        pdf.pdf("<p>", str(broken), timeout_s=0.2)


# ------------------------------------------------------------------ times

NOW = 1_796_000_000  # Mon 30 Nov 2026 00:53:20 UTC


@pytest.mark.parametrize(
    ("text", "zone", "seconds"),
    [
        ("00:30", "UTC", NOW - 53 * 60 - 20 + 30 * 60),
        ("22:00", "UTC", NOW - 53 * 60 - 20 - 2 * 3600),
        ("yesterday 22:00", "UTC", NOW - 53 * 60 - 20 - 2 * 3600),
        ("today", "UTC", NOW - 53 * 60 - 20),
        ("2026-11-29 22:00", "Europe/Berlin", NOW - 53 * 60 - 20 - 3 * 3600),
        ("2026-11-29T22:00:00Z", "Europe/Berlin", NOW - 53 * 60 - 20 - 2 * 3600),
        ("8h", "UTC", NOW - 8 * 3600),
        ("-90m", "UTC", NOW - 5400),
    ],
)
def test_times_are_read_as_a_person_means_them(text: str, zone: str, seconds: int) -> None:
    assert moment_s(text, NOW, zone_of(zone), "--since") == seconds


@pytest.mark.parametrize("text", ["", "25:00", "soon", "2026-13-01", "8x", "22:00:99"])
def test_what_is_no_time_is_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="not a time such as"):
        moment_s(text, NOW, UTC, "--since")


def test_local_time_says_its_zone_also_when_summer_ends_in_the_night() -> None:
    berlin = LocalTime(ZoneInfo("Europe/Berlin"))
    assert berlin.moment(NOW * SECOND) == "2026-11-30 01:53:20"
    assert berlin.span(NOW, NOW + 3600) == ("Mon 30 Nov 2026 01:53 to 02:53 CET (UTC+1)")
    october = 1_792_879_200  # Sun 25 Oct 2026 00:00 in Berlin, the day when summer time ends
    assert berlin.name(october, october + 5 * 3600) == "CEST (UTC+2) / CET (UTC+1)"
    assert LocalTime(UTC).name(NOW, NOW) == "UTC"
    days = re.findall(
        r">(\w{3} \d+)<", heat([], october - 86_400, october + 2 * 86_400, berlin, "x")
    )
    assert days == ["Sat 24", "Sun 25", "Mon 26"] or len(days) == len(set(days)) >= 3


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"), (0.99999, "> 99.99 %"), (0.9723, "97.23 %"), (0.0, "0 %"),
        (0.00001, "< 0.01 %"), (None, "–"), (float("nan"), "–"),
    ],
)  # fmt: skip
def test_what_is_not_whole_is_never_said_to_be(share: float | None, text: str) -> None:
    assert per_cent(share) == text


def test_a_title_cannot_leave_its_quotes_in_the_style_sheet() -> None:
    safe = css_text('a"; } body { background: url(//evil.example)')
    assert not set(safe) & set('"{}();:/')
    assert "a\\22 " in safe


def test_a_strip_says_its_outages_to_who_cannot_see_it() -> None:
    picture = glance.strip([Run(0, 60, Cell.WELL), Run(60, 90, Cell.DEAD)], 0, 120, "<dock>")
    assert "&lt;dock&gt;" in picture
    assert picture.count("<rect") == 2
    assert 'class="dead"' in picture


def test_times_in_sentences_are_local_too() -> None:
    at = datetime(2026, 11, 30, 1, 30, tzinfo=UTC)
    near_ns = int(at.timestamp()) * SECOND
    time = LocalTime(ZoneInfo("America/New_York"))
    said = time.retold("No answer since 01:29:04 UTC; the last at 23:59:59 UTC", near_ns)
    assert said == "No answer since 20:29:04; the last at 18:59:59"
    assert LocalTime(UTC).retold("since 01:29:04 UTC", near_ns) == "since 01:29:04 UTC"
    assert time.retold("99:99:99 UTC is no time", near_ns) == "99:99:99 UTC is no time"


def test_a_filter_leaves_what_belongs_to_what_passes(
    night: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(night), "--markdown"]) == 0
    whole = capfd.readouterr().out
    assert main(["report", str(night), "--markdown", "--filter", "camera:gate"]) == 0
    part = capfd.readouterr().out
    assert "Only what passes the filter camera:gate is told" in part
    assert "Only what passes" not in whole
    assert "| dock |" in whole
    assert "dock" not in part  # neither a camera, nor its strip, evidence or comparison
    assert "gate" in part
    assert "1 of 1 streaming" in part or "0 of 1 streaming" in part
    assert main(["report", str(night), "--markdown", "--filter", "nonsense:1"]) == 2
