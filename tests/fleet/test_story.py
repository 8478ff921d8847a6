"""What a report says of a fleet: availability, trend, what is open, and what is folded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from panotui.fleet.entries import Entry, Model, Seen
from panotui.fleet.pages import percent, points, said, write_pages
from panotui.fleet.places import jobs
from panotui.fleet.story import Fleet, fleet

ACME = Model("Acme", "fw 1.2", 2)


def seen(is_open: bool = True, severity: str = "error", maker: str = "Acme") -> Seen:
    return Seen(
        id="stream-loss", severity=severity, subject="camera dock", text="Camera dock drops",
        action="Look at the way from dock", is_open=is_open, maker=maker,
        software="fw 1.2" if maker else "",
    )  # fmt: skip


def entry(site: str, day: int, ok: int, *findings: Seen, hours: int = 1, cameras: int = 2) -> Entry:
    name = f"{site}-{day}-{hours}"
    return Entry(
        url=name, size=1, stamp="1", site=site, site_hash="", made_by="x", key=name,
        first_time=f"2026-03-{day:02}T00:00:00.000000Z",
        last_time=f"2026-03-{day:02}T{hours:02}:00:00.000000Z", bytes=10,
        counts={"cameras": cameras, "cameras_ok": ok}, findings=findings, models=(ACME,),
    )  # fmt: skip


def told(*entries: Entry, days: int = 30) -> Fleet:
    return fleet(entries, days)


def test_availability_is_weighted_by_time_and_what_is_unseen_does_not_count() -> None:
    (row,) = told(entry("a", 1, 2, hours=3), entry("a", 1, 0, hours=1)).sites
    assert row.availability == pytest.approx(0.75)
    assert row.reachable is None  # no endpoint was to be seen
    (row,) = told(entry("b", 1, 0, cameras=0)).sites
    assert row.availability is None


def test_the_trend_is_the_newest_day_less_those_before() -> None:
    (row,) = told(entry("a", 1, 2), entry("a", 2, 2), entry("a", 3, 1)).sites
    assert row.trend == pytest.approx(-0.5)
    assert points(row.trend) == "↓ 50.0 points"


def test_what_was_not_met_on_the_newest_day_is_not_open() -> None:
    (row,) = told(entry("a", 1, 1, seen()), entry("a", 2, 2)).sites
    assert row.worst is None
    assert [one.is_open for _, one in row.findings] == [False]
    (row,) = told(entry("a", 1, 1, seen()), entry("a", 2, 1, seen())).sites
    assert row.worst is not None
    assert (row.worst.captures, row.worst.first_day, row.worst.last_day) == (
        2, "2026-03-01", "2026-03-02",
    )  # fmt: skip


def test_the_same_finding_is_folded_over_sites_that_have_such_cameras() -> None:
    other = Entry(
        url="d", size=1, stamp="1", site="d", site_hash="", made_by="x", key="d",
        first_time="2026-03-01T00:00:00.000000Z", last_time="2026-03-01T01:00:00.000000Z",
    )  # fmt: skip
    whole = told(
        entry("a", 1, 1, seen()), entry("b", 1, 1, seen()), entry("c", 1, 2), other,
        entry("c", 2, 2, seen(maker="", severity="info")),
    )  # fmt: skip
    first, second = whole.folded
    assert (first.maker, first.sites, first.of_sites) == ("Acme", 2, 3)
    assert said(first) == "at 2 of 3 sites that have such cameras"
    assert (second.maker, second.sites, second.of_sites) == ("", 1, 4)
    assert [row.name for row in whole.sites][:2] == ["a", "b"]


def test_one_content_at_two_places_counts_once_and_days_before_the_span_not_at_all() -> None:
    one = entry("a", 9, 2)
    again = Entry(**{f: getattr(one, f) for f in one.__struct_fields__} | {"url": "copy"})
    whole = told(one, again, entry("a", 1, 0), days=3)
    assert whole.captures == 1
    assert whole.days == ("2026-03-07", "2026-03-08", "2026-03-09")


@pytest.mark.parametrize(
    ("share", "text"), [(None, "–"), (1.0, "100 %"), (0.9999, ">99.9 %"), (0.5, "50 %")]
)
def test_all_is_only_said_of_all(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_pages_show_names_as_text_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    bad = entry("<script>x</script>", 1, 1, seen())
    whole = told(bad, entry("../up", 1, 2))
    out = tmp_path / "fleet.html"
    assert write_pages(whole, out, "<b>") == 4
    for page in (out, *(tmp_path / "fleet.pages").iterdir()):
        text = page.read_text()
        assert "<script" not in text
        for link in re.findall(r'href="([^"]+)"', text):
            assert (page.parent / link).exists(), link
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fleet.html", "fleet.pages"]


def test_places_are_named_by_site_file_or_folder(tmp_path: Path) -> None:
    for name in ("north/a.pcap", "north/deep/b.pcapng.gz", "c.pcap", "north/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "north" / "deep" / "site.toml").write_text('[site]\nname = "Deep"\n')
    (tmp_path / "south.panotui").mkdir()
    (tmp_path / "south.panotui" / "recording.sqlite").write_bytes(b"x")
    (tmp_path / "south.panotui" / "evidence").mkdir()
    (tmp_path / "south.panotui" / "evidence" / "e.pcapng").write_bytes(b"x")
    found = {job.name: job for job in jobs([str(tmp_path), str(tmp_path / "north" / "a.pcap")])}
    assert {name: job.site for name, job in found.items()} == {
        "a.pcap": "north", "b.pcapng.gz": "Deep", "c.pcap": tmp_path.name,
        "south.panotui": tmp_path.name,
    }  # fmt: skip
    assert found["south.panotui"].is_recording
    assert found["south.panotui"].size == 2
    assert found["b.pcapng.gz"].site_file
    again = {job.name for job in jobs([f"{tmp_path}/*/*.pcap"])}
    assert again == {"a.pcap"}
