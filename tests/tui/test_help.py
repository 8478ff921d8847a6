"""The help explains the pane where it was opened."""

from __future__ import annotations

from panotui.model.comparison import BothSides
from panotui.tui import help
from panotui.tui.cells import width
from panotui.tui.glyphs import UNICODE
from panotui.tui.keys import KEYS
from panotui.tui.line import text_of
from panotui.views.filter import KEYS as filters
from panotui.views.filter import parse


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


def test_the_help_of_a_comparison_speaks_of_two_places() -> None:
    place = [key for key in KEYS if key.action == "filter"]
    fields = tuple(filters[BothSides])
    text = "\n".join(text_of(line) for line in help.text(place, 80, UNICODE, "comparison", fields))
    for word in ("whole", "blocked", "only A, only B", "some were lost", "AT A, AT B", "IPDV"):
        assert word in text
    for word in ("behind", "damaged", "camera:gate", "verdict:"):
        assert word not in text
    for example in ("state:blocked,losing", "!transport:tcp lost:>10"):
        assert example in text
        assert parse(example).select([], BothSides) == []


def test_no_line_of_the_help_is_cut_at_80_columns() -> None:
    for pane in (
        "flows",
        "streams",
        "endpoints",
        "violations",
        "findings",
        "inventory",
        "comparison",
    ):
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
