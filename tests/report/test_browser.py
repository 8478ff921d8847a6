"""The report in a real browser: on paper, on a phone, in the dark, and what it asks for."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from panotui.cli import main
from panotui.report.pdf import NAMES
from tests.report.chromium import Chromium
from tests.report.nights import FAULTS, record_night

PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed"),
    pytest.mark.xdist_group("chromium"),
]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_night(tmp_path_factory.mktemp("night") / "faults.panotui", 9, troubles=FAULTS)


@pytest.fixture(scope="module")
def page(night: Path) -> Path:
    out = night.parent / "faults.html"
    assert main(["report", str(night), "-o", str(out), "--zone", "Europe/Berlin"]) == 0
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    assert PROGRAM is not None
    with Chromium(PROGRAM) as opened:
        yield opened


def test_the_page_asks_for_nothing_and_runs_nothing(page: Path, browser: Chromium) -> None:
    browser.open(page)
    assert browser.requests() == [page.as_uri()]
    assert browser.value("document.scripts.length") == 0
    complaints = [e for e in browser.events if e.get("method") == "Runtime.exceptionThrown"]
    assert complaints == []
    assert browser.value("document.querySelectorAll('svg.strip').length") >= 11


@pytest.mark.parametrize("width", [1200, 768, 390, 320])
def test_nothing_hangs_over_the_edge_of_a_phone_or_a_desk(
    width: int, page: Path, browser: Chromium
) -> None:
    browser.size(width, 800)
    browser.open(page)
    assert browser.value("document.documentElement.scrollWidth") <= width
    # a strip stays wide enough to be read
    assert browser.value("document.querySelector('svg.strip').getBoundingClientRect().width") > 150


def test_in_the_dark_the_paper_is_dark_and_the_print_is_not(page: Path, browser: Chromium) -> None:
    def brightness(element: str, what: str) -> float:
        colour = browser.value(f"getComputedStyle(document.querySelector('{element}')).{what}")
        return sum(int(n) for n in re.findall(r"\d+", str(colour))[:3]) / 3

    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.size(1000, 800)
    browser.ask("Emulation.setEmulatedMedia", features=features)
    browser.open(page)
    assert brightness("body", "backgroundColor") < 50
    assert brightness("body", "color") > 180
    browser.ask("Emulation.setEmulatedMedia", media="print", features=features)
    assert brightness("body", "backgroundColor") > 240
    assert brightness("body", "color") < 60
    browser.ask("Emulation.setEmulatedMedia", media="", features=[])


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))


def test_a_night_without_trouble_is_four_pages_of_a4(tmp_path: Path) -> None:
    quiet = record_night(tmp_path / "quiet.panotui", 9, cameras=8, endpoints=32)
    out = tmp_path / "quiet.pdf"
    said = ["--customer", "Acme", "--technician", "field service", "--zone", "Europe/Berlin"]
    assert main(["report", str(quiet), "-o", str(out), *said]) == 0
    made = out.read_bytes()
    assert made.startswith(b"%PDF-")
    assert 1 <= pages_of(made) <= 4
    boxes = {tuple(map(float, b.split())) for b in re.findall(rb"/MediaBox \[([^\]]+)\]", made)}
    assert len(boxes) == 1
    _, _, width, height = boxes.pop()
    assert (round(width), round(height)) == (595, 842)


def test_pdf_goes_beside_where_it_was_asked_for(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(night), "--pdf"]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["faults.pdf"]
    assert pages_of((tmp_path / "faults.pdf").read_bytes()) <= 8
