"""What can be done is found on the screen itself; how things are said is a choice."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from panotui.model import SECOND
from panotui.tui import keys, remembered
from panotui.tui.commands import ACTIONS, WORDS
from panotui.tui.effects import Send
from panotui.tui.glyphs import UNICODE
from panotui.tui.help import text as help_text
from panotui.tui.line import text_of
from panotui.views.filter import KEYS
from panotui.views.provider import StateProvider
from tests.tui import frames_builder
from tests.tui.screens import Answering, Driven


@pytest.fixture
def plant() -> Driven:
    return Driven(frames_builder.plant())


# ------------------------------------------------------------ the list of commands


def test_colon_lists_all_commands_with_their_keys(plant: Driven) -> None:
    plant.session.resize(100, 50)
    text = plant.press(":").text()
    assert "COMMANDS" in text
    assert re.search(r"freeze +space +freeze the picture", text)
    listed: set[str] = set()
    for _ in range(80):
        listed |= {line.split()[0] for line in plant.lines() if re.match(r"   [a-z]", line)}
        plant.press("down")
    assert {"flows", "freeze", "mask", "names", "quit", "rate"} <= listed
    assert re.search(r"quit +q +quit", plant.text())


def test_letters_narrow_the_list_and_words_of_the_help_are_found_too(plant: Driven) -> None:
    plant.press(":").type("screenshots")
    rows = [line for line in plant.lines() if line.startswith("   mask ")]
    assert rows
    assert not any(line.startswith("   freeze") for line in plant.lines())


def test_a_command_is_chosen_with_the_arrows_and_done_with_enter(plant: Driven) -> None:
    plant.press(":").type("fre").press("enter")
    assert plant.session.frozen
    plant.press("space", ":").type("endpo").press("down", "enter")
    assert plant.session.pane == "endpoints"


def test_every_key_that_does_something_has_a_word_or_is_a_movement() -> None:
    words = {ACTIONS.get(word.name, word.name) for word in WORDS}
    moving = {
        "interrupt", "pane", "next-pane", "previous-pane", "down", "up", "left", "right",
        "page-down", "page-up", "top", "bottom", "open", "open-flow", "clear", "back", "command",
        "cursor-back", "cursor-on", "step-back", "step-on", "leap-back", "leap-on",
        "previous-event", "next-event", "find-previous", "find-next", "slower", "faster", "suspend",
        "reattach",
    }  # fmt: skip
    left = {key.action for key in keys.KEYS} - words - moving
    assert left == set()


# ------------------------------------------------------------ the filter


def test_tab_completes_fields_and_values_that_are_there(plant: Driven) -> None:
    plant.press("2", "/").type("verd")
    assert "verdict:" in plant.lines()[-4]
    plant.press("tab")
    assert plant.session.edit is not None
    assert plant.session.edit.text == "verdict:"
    offered = plant.lines()[-4]
    assert "verdict:violation" in offered
    assert "verdict:allowed" in offered
    plant.type("v").press("tab")
    assert plant.session.edit.text == "verdict:violation"
    assert "2 of 6" in plant.lines()[-3]


def test_tab_goes_through_what_may_stand_there(plant: Driven) -> None:
    plant.press("2", "/").type("verdict:").press("tab")
    assert plant.session.edit is not None
    first = plant.session.edit.text
    plant.press("tab")
    assert plant.session.edit.text != first
    assert plant.session.edit.text.startswith("verdict:")


def test_an_error_is_marked_in_its_place_and_the_count_stays(plant: Driven) -> None:
    plant.press("2", "/").type("app:tls verdikt:x port:443")
    picture = plant.session.picture(plant.now)
    line = picture.body[-2]
    wrong = "".join(text for text, role in line if role == "bad")
    assert wrong.startswith("verdikt:x")
    assert "unknown field" in wrong
    assert "of 6" in text_of(line)
    right = "".join(text for text, role in line if role == "plain")
    assert "app:tls" in right


def test_filters_that_were_used_are_offered_again(plant: Driven) -> None:
    plant.press("2", "/").type("app:dns").press("enter", "escape", "/")
    assert "app:dns" in plant.lines()[-4]
    plant.press("tab")
    assert plant.session.edit is not None
    assert plant.session.edit.text == "app:dns"


# ------------------------------------------------------------ footer and help


@pytest.mark.parametrize("way", [["1"], ["2"], ["3"], ["5"], ["6", "enter"], ["3", "j", "enter"]])
@pytest.mark.parametrize("site", ["plant", "review"])
def test_footers_show_working_keys_with_their_words_at_80x24(site: str, way: list[str]) -> None:
    driven = Driven(getattr(frames_builder, site)()).press(*way)
    foot = " ".join(driven.lines()[-2:])
    working = {k.action for k in keys.keys_at(driven.session.where())}
    shown = [
        key for key in keys.KEYS
        if key.footer and key.action in working and f"{keys.written(key)} {key.label}" in foot
    ]  # fmt: skip
    assert len(shown) >= 5, foot
    if site == "review":
        assert "[ ] step" in foot
        assert "< > event" in foot
    assert "q" in foot


def test_a_footer_never_names_a_key_that_does_nothing(plant: Driven) -> None:
    for way in ("1", "2", "3", "4", "5", "6", "7", "8"):
        foot = " ".join(plant.press(way).lines()[-2:])
        working = keys.keys_at(plant.session.where())
        for key in keys.KEYS:
            if key.footer and f"  {keys.written(key)} {key.label} " in foot:
                assert any(w.label == key.label for w in working), key


@pytest.mark.parametrize("pane", ["flows", "streams", "endpoints", "violations", "findings"])
def test_help_explains_the_states_marks_and_filter_fields_of_the_pane(pane: str) -> None:
    driven = Driven(frames_builder.plant()).press(":").type(pane).press("enter")
    fields = driven.session.help_fields()
    shown = driven.session.help_place()
    text = "\n".join(text_of(line) for line in help_text(shown, 100, UNICODE, pane, fields))
    assert "STATES HERE" in text
    assert "MARKS" in text
    assert "TIME STRIPS" in text
    record = type(getattr(driven.site, pane)[0])
    flat = " ".join(text.split())
    for field in KEYS[record]:
        assert field in flat


def test_every_state_that_a_pane_shows_is_explained(plant: Driven) -> None:
    from panotui.tui.help import _STATES

    words = {word for word, _ in _STATES["endpoints"]}
    assert {e.state for e in plant.site.endpoints} <= words
    assert {"open", "past", "known"} <= {word for word, _ in _STATES["violations"]}


def test_the_first_start_shows_three_hints_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert remembered.first_start()
    assert not remembered.first_start()
    driven = Driven(frames_builder.plant())
    driven.session.hints = True
    assert "FIRST TIME HERE" in driven.text()
    assert sum(line.startswith("   ") for line in driven.lines()[-6:-2]) == 3
    assert "FIRST TIME HERE" in driven.press("down").text()  # typed ahead of the first picture
    driven.session.drawn(driven.now)
    assert "FIRST TIME HERE" not in driven.press("down").text()
    (tmp_path / "panotui").chmod(0o500)
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    assert not remembered.first_start()  # what cannot be remembered is not shown each time


# ------------------------------------------------------------ order


@pytest.mark.parametrize("pane", ["2", "3", "4", "5", "6", "7", "8"])
def test_the_sort_column_is_marked_from_the_start(plant: Driven, pane: str) -> None:
    titles = plant.press(pane).lines()[2]
    assert UNICODE.ascending in titles or UNICODE.descending in titles


def test_o_holds_the_order_while_numbers_change() -> None:
    site = frames_builder.large()
    driven = Driven(Answering(StateProvider(site, "live")))  # type: ignore[arg-type]
    driven.press("2", "s")

    def keys_shown() -> list[str]:
        frame = driven.session.frames["flows"]
        return [flow.id for flow in frame.flows]

    driven.press("o")
    before = keys_shown()
    for _ in range(3):
        site.advance()
        site.flows = site.flows[::-1]
        driven.fetch()
        assert keys_shown() == before
    driven.press("o")
    assert keys_shown() != before


def test_o_holds_the_order_of_other_panes_too() -> None:
    site = frames_builder.plant()
    driven = Driven(Answering(StateProvider(site, "live")))  # type: ignore[arg-type]
    driven.press("3", "o")
    before = [s.id for s in driven.session.frames["streams"].streams]
    site.streams = tuple(
        msgspec.structs.replace(s, state="streaming" if s.state == "losing" else "frozen")
        for s in site.streams
    )
    driven.fetch()
    assert [s.id for s in driven.session.frames["streams"].streams] == before


# ------------------------------------------------------------ how things are said


def test_n_shows_names_addresses_or_both(plant: Driven) -> None:
    plant.session.resize(170, 40)
    plant.press("3", "v")
    assert "dock" in plant.text()
    plant.press("n")
    assert "10.20.0.11" in plant.text()
    assert " dock " not in plant.text()
    plant.press("n")
    assert "dock 10.20.0.11" in plant.text()


def test_b_shows_bits_or_bytes_everywhere(plant: Driven) -> None:
    assert " 24.1 " in plant.text()
    plant.press("b")
    text = plant.text()
    assert "Mb/s" not in text
    assert "3.01" in text  # 24.1 Mb/s are 3.01 MB/s
    assert "MB/s" in text
    plant.press("3")
    assert "0.49" in plant.text()
    assert "MB/s" in plant.lines()[2]
    plant.press("G", "enter")
    assert not re.search(r"\d [kMG]?b/s", plant.text())


def test_capital_t_shows_local_times_ages_or_utc(plant: Driven) -> None:
    plant.press("7")
    assert "14:01:58" in plant.text()
    plant.press("T")
    assert "14:01:58" not in plant.text()
    assert " 33 s" in plant.text()
    plant.press("T")
    assert "13:01:58" in plant.text()
    assert "UTC" in plant.lines()[0]
    plant.press("T")
    assert "14:01:58" in plant.text()


SECRETS = ("10.20.0", "192.168.5", "203.0.113", "p2p.vendor", "yard", "plant-7", "switch7",
           "02:00:00", "ac:cc:8e", "2001:db8")  # fmt: skip


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_x_masks_names_and_addresses_everywhere_and_consistently(size: tuple[int, int]) -> None:
    driven = Driven(frames_builder.plant(), *size).press("x")
    assert "MASKED" in driven.lines()[0]
    for pane in "12345678":
        driven.press(pane)
        for _ in range(2):
            for secret in SECRETS:
                assert secret not in driven.text(), (pane, secret, driven.text())
            driven.press("enter")
        driven.press("escape")
    # the same camera has the same stand-in in the list, in its detail and on the overview
    driven.press("3", "g")
    name = driven.session.place.key
    assert name is not None
    stand_in = name.partition(":")[2]
    assert stand_in in driven.press("enter").lines()[1]
    assert stand_in in driven.press("1").text()


def test_a_masked_screen_still_opens_marks_and_goes_back(plant: Driven) -> None:
    plant.press("6", "x", "enter")
    assert "WHAT TO DO" in plant.text()
    plant.press("m")
    sent = [e.command for e in plant.effects if isinstance(e, Send)]
    assert sent[-1].key == "finding:endpoint-blocked/logs.us-east-1.amazonaws.com"
    plant.press("escape", "x")
    assert "MASKED" not in plant.lines()[0]
    assert "yard" in plant.press("3").text()


def test_times_go_on_while_masked(plant: Driven) -> None:
    plant.press("x")
    plant.site.time_ns += 60 * SECOND
    plant.fetch()
    assert "14:03:31" in plant.lines()[0]
