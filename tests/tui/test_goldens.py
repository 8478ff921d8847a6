"""Every pane as plain text: read the files in golden/, they are the screens.

`PANOTUI_REGENERATE=1 pytest tests/tui/test_goldens.py` writes them anew; read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from panotui.tui.cells import width
from panotui.tui.glyphs import ASCII, UNICODE
from tests.tui import frames_builder
from tests.tui.screens import Driven

GOLDEN = Path(__file__).parent / "golden"

PLANT = {
    "overview": [],
    "flows": ["2"],
    "streams": ["3"],
    "endpoints": ["4"],
    "violations": ["5"],
    "findings": ["6"],
    "events": ["7"],
    "inventory": ["8"],
    "detail-port": ["enter"],
    "detail-flow": ["2", "down", "enter"],
    "detail-stream": ["3", "j", "enter"],
    "detail-camera": ["3", "enter"],
    "detail-endpoint": ["4", "enter"],
    "detail-violation": ["5", "enter"],
    "detail-finding": ["6", "enter"],
    "detail-event": ["7", "enter"],
    "filter": ["2", "/", *"verdict:violation"],
    "filter-invalid": ["2", "/", *"verdikt:x"],
    "command": [":", *"so"],
    "frozen": ["space"],
}
OTHERS = {
    "well": ("well", [], 80, 24),
    "nothing": ("nothing", [], 80, 24),
    "large": ("large", [], 80, 24),
    "large-streams": ("large", ["3"], 80, 24),
    "large-flows-end": ("large", ["2", "G"], 80, 24),
    "review": ("review", [], 80, 24),
    "overview-120x40": ("plant", [], 120, 40),
    "overview-200x60": ("large", [], 200, 60),
    "streams-120x40": ("plant", ["3"], 120, 40),
    "flows-200x60": ("plant", ["2"], 200, 60),
    "inventory-120x40": ("plant", ["8"], 120, 40),
    "inventory-200x60": ("plant", ["8"], 200, 60),
    "overview-60x16": ("plant", [], 60, 16),
    "streams-60x16": ("plant", ["3"], 60, 16),
    "too-small": ("plant", [], 50, 10),
}


def check(name: str, driven: Driven) -> None:
    lines = driven.lines()
    assert {width(line) for line in lines} == {driven.session.width}
    assert len(lines) == driven.session.height
    text = driven.text()
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("PANOTUI_REGENERATE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PLANT)
def test_a_plants_pane_reads_as_its_golden_file(name: str) -> None:
    check(name, Driven(frames_builder.plant()).press(*PLANT[name]))


@pytest.mark.parametrize("name", OTHERS)
def test_other_sites_and_sizes_read_as_their_golden_files(name: str) -> None:
    site, keys, columns, rows = OTHERS[name]
    check(name, Driven(getattr(frames_builder, site)(), columns, rows).press(*keys))


def test_the_ascii_screen_is_ascii() -> None:
    driven = Driven(frames_builder.plant(), glyphs=ASCII)
    check("overview-ascii", driven)
    for keys in PLANT.values():
        text = Driven(frames_builder.plant(), glyphs=ASCII).press(*keys).text()
        # Names come from the wire and may be anything; all that the screen itself draws is ASCII.
        assert text.replace("北", "").isascii(), text


@pytest.mark.parametrize("size", [(60, 16), (72, 20), (80, 24), (100, 30), (120, 40), (200, 60)])
@pytest.mark.parametrize("site", ["plant", "well", "nothing", "large", "review"])
def test_every_line_fits_at_every_size(site: str, size: tuple[int, int]) -> None:
    driven = Driven(getattr(frames_builder, site)(), *size)
    for pane in "1234567":
        lines = driven.press(pane).lines()
        assert len(lines) == size[1]
        assert {width(line) for line in lines} == {size[0]}
        lines = driven.press("enter").lines()
        assert {width(line) for line in lines} == {size[0]}
    assert driven.session.glyphs is UNICODE
