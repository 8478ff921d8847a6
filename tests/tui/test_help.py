"""The help explains the pane where it was opened."""

from __future__ import annotations

from panotui.tui import help
from panotui.tui.cells import width
from panotui.tui.glyphs import UNICODE
from panotui.tui.keys import KEYS
from panotui.tui.line import text_of


def shown(pane: str, cells: int = 80) -> list[str]:
    return [text_of(line) for line in help.text([], cells, UNICODE, pane)]


def test_the_inventory_explains_its_columns() -> None:
    text = "\n".join(shown("inventory"))
    for column in ("ROLE", "ADDRESS", "MAKER", "PORT, VLAN", "SENT"):
        assert column in text


def test_a_state_that_is_no_everyday_word_is_explained() -> None:
    text = "\n".join(shown("findings"))
    for word in ("behind", "known", "cleared", "unseen"):
        assert word in text


def test_no_line_of_the_help_is_cut_at_80_columns() -> None:
    for pane in ("flows", "streams", "endpoints", "violations", "findings", "inventory"):
        lines = shown(pane)
        assert {width(line) for line in lines} == {80}
        assert not any(line.rstrip().endswith("…") for line in lines)


def test_no_page_of_the_help_begins_beyond_its_end() -> None:
    lines = help.text(KEYS, 80, UNICODE, "flows")
    first, shown = help.page(lines, 80, 24, 10_000, UNICODE)
    assert first == len(lines) - 23
    assert len(shown) == 24
    assert text_of(shown[-2]) == text_of(lines[-1])
    assert f"{len(lines)} of {len(lines)}" in text_of(shown[-1])
    assert help.page(lines, 80, 24, -5, UNICODE)[0] == 0
    assert help.page(lines[:5], 80, 24, 3, UNICODE)[0] == 0
