"""The twenty-five conventions that people bring along from other tools, one test each by number.

They come from a look at less, vim, htop, iftop, sngrep, termshark, trippy, k9s and others: what
their users rely on, and what they ask for.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
import pytest

from panotui.cli import COMMANDS, group
from panotui.model import SECOND
from panotui.model.quantities import rate, size
from panotui.tui import help, keys
from panotui.tui.effects import Copy, Quit, Redraw
from panotui.tui.glyphs import ASCII, UNICODE
from panotui.tui.line import text_of
from panotui.tui.quantities import mega, short_volume
from panotui.tui.session import Session
from panotui.tui.theme import THEMES, chosen
from panotui.views.export import write_table
from panotui.views.frames import View
from tests.tui import frames_builder
from tests.tui.screens import Driven
from tests.tui.terminals import Terminal

ROOT = Path(__file__).parents[2]
PANES = "12345678"


@pytest.fixture
def plant() -> Driven:
    return Driven(frames_builder.plant())


@pytest.fixture
def large() -> Driven:
    return Driven(frames_builder.large())


def panotui(
    *arguments: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "panotui", *arguments], input=stdin, capture_output=True,
        timeout=300, check=False, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip


def demo_capture() -> str:
    return str(ROOT / "panotui" / "sources" / "demo" / "site.pcapng.zst")


def test_01_q_leaves_the_screen_or_goes_back_and_is_never_a_dead_key(plant: Driven) -> None:
    for pane in PANES:
        assert plant.press(pane, "q").effects[-1] == Quit(0)
        plant.press("enter")
        if plant.session.opened:
            plant.press("q")
            assert not plant.session.opened


def test_02_ctrl_c_ends_at_once_restores_the_terminal_and_exits_with_130() -> None:
    with Terminal("plant", "--step") as terminal:
        terminal.until(terminal.shows("PORTS"))
        terminal.type("3\x03")
        assert terminal.ended(60) == 130
        assert terminal.restored()


def test_03_question_mark_opens_help_for_this_place_with_keys_that_work(plant: Driven) -> None:
    for way in (["2"], ["5"], ["6", "enter"]):
        plant.press(*way)
        shown = plant.session.help_place()
        text = "\n".join(text_of(line) for line in help.text(shown, 100, UNICODE))
        for key in keys.KEYS:
            works = key in shown
            assert (f" {key.help}" in " ".join(text.split())) or not works
        _, page = help.page((), 100, 24, 0, UNICODE)
        assert "esc back" in text_of(page[-1])
    assert "mark as known" not in " ".join(
        k.help for k in plant.press("escape", "4").session.help_place()
    )


def test_04_slash_filters_enter_keeps_escape_clears_and_validity_is_a_word(plant: Driven) -> None:
    plant.press("2", "/").type("verdikt:x")
    assert "invalid: unknown field verdikt" in plant.text()
    plant.press("ctrl+u").type("verdict:violation")
    assert "valid  2 of 6" in plant.text()
    plant.press("enter")
    assert plant.session.place.filter == "verdict:violation"
    plant.press("escape")
    assert plant.session.place.filter == ""


@pytest.mark.parametrize(
    ("text", "rows"),
    [("app:tls verdict:violation", 2), ("!app:tls", 4), ("/p2p|gate/", 3), ("port:53", 1),
     ("verdict:violation,pending", 3), ("bytes:>70k", 3)],
)  # fmt: skip
def test_05_filters_are_key_value_terms_with_not_and_patterns_and_say_how_many(
    plant: Driven, text: str, rows: int
) -> None:
    plant.press("2", "/").type(text).press("enter")
    frame = plant.session.frames["flows"]
    assert (frame.matched, frame.total) == (rows, 6)
    plant.session.resize(120, 40)
    assert f"{rows} (all: 6)" in plant.press("v").lines()[1]


def test_06_arrows_letters_pages_and_ends_move(large: Driven) -> None:
    large.press("2")
    place = large.session.place
    for step, back in (("down", "up"), ("j", "k"), ("pagedown", "pageup"), ("ctrl+f", "ctrl+b"),
                       ("G", "g"), ("end", "home")):  # fmt: skip
        before = place.index
        large.press(step)
        assert place.index > before
        large.press(back)
        assert place.index == before


def test_07_enter_opens_escape_goes_back_to_the_same_row_whatever_moved(large: Driven) -> None:
    large.press("2", *["down"] * 7)
    key = large.session.place.key
    large.press("enter")
    large.site.flows = large.site.flows[::-1]
    large.press("escape")
    large.fetch()
    assert large.session.place.key == key
    assert key is not None
    assert key.partition(":")[2] in str(large.session.frames["flows"].flows)


def test_08_tab_goes_through_the_panes_and_digits_jump(plant: Driven) -> None:
    seen = [plant.press("tab").session.pane for _ in PANES]
    assert len(set(seen)) == len(PANES)
    assert plant.press("shift+tab").session.pane == seen[-2]
    for digit, pane in zip(PANES, ["overview", "flows", "streams", "endpoints", "violations",
                                   "findings", "events", "inventory"], strict=True):  # fmt: skip
        assert plant.press(digit).session.pane == pane


def test_09_space_pauses_the_view_alone_says_so_and_the_footer_says_resume(plant: Driven) -> None:
    assert "space freeze" in plant.text()
    plant.press("space")
    plant.now += 9
    assert "FROZEN -9 s" in plant.lines()[0]
    assert "space resume" in plant.text()
    plant.press("space")
    assert "FROZEN" not in plant.text()


def test_10_s_sorts_capital_s_reverses_o_holds_and_an_arrow_shows_it(large: Driven) -> None:
    large.press("2", "s")
    assert "▲" in large.lines()[2]
    large.press("S")
    assert "▼" in large.lines()[2]
    rows = [flow.id for flow in large.session.frames["flows"].flows]
    large.fetch()
    assert [flow.id for flow in large.session.frames["flows"].flows] == rows  # equal keys: stable
    large.press("o")
    asked = large.site.asked[-1]
    assert isinstance(asked, View)
    assert asked.order


def test_an_order_whose_column_has_no_room_is_named_beside_the_pane(large: Driven) -> None:
    large.press("2", "a")
    seen = set()
    for _ in range(8):
        large.press("s")
        seen.add(tuple(large.lines()[1:3]))
        assert ("▲" in large.lines()[2] or "▼" in large.lines()[2]) is not ("by " in large.text())
    assert len(seen) == 8  # each order says what it is
    large.press(*["s"] * 8, "S")
    assert "by BYTES▲" in large.lines()[1]


def test_11_the_selection_sticks_to_its_item(large: Driven) -> None:
    large.press("2", *["down"] * 9)
    key = large.session.place.key
    for _ in range(3):
        large.site.advance()
        large.fetch()
        assert large.session.place.key == key


def test_12_the_footer_shows_five_and_more_keys_that_work_here(plant: Driven) -> None:
    for pane in PANES:
        plant.press(pane)
        foot = " ".join(plant.lines()[-2:])
        working = [k for k in plant.session.working_keys() if k.footer]
        assert sum(f"{keys.written(k)} {k.label}" in foot for k in working) >= 5
    assert "w save packets" in " ".join(plant.press("6", "enter").lines()[-2:])


def test_13_r_resets_the_view_and_ctrl_l_draws_it_again(plant: Driven) -> None:
    plant.press("2", "s", "/").type("app:tls").press("enter", "p", "r")
    assert (plant.session.place.filter, plant.session.place.sort, plant.session.port) == (
        "", None, None,
    )  # fmt: skip
    assert plant.press("ctrl+l").effects[-1] == Redraw()


def test_14_rates_are_decimal_bits_volumes_binary_bytes_and_b_changes_rates(plant: Driven) -> None:
    assert rate(125_000 * 8.0) == "1.00 Mb/s"
    assert mega(1e6) == "1.00"
    assert size(1 << 20) == "1.00 MiB"
    assert short_volume(2048) == "2.0K"
    assert "Mb/s" in plant.text()
    assert "MB/s" in plant.press("b").text()
    said = panotui("demo", "--help").stdout.decode()
    assert "--units" in said


def test_15_unknown_is_a_dash_and_gaps_stay_gaps(plant: Driven) -> None:
    plant.site.streams = tuple(
        msgspec.structs.replace(s, fps_now=None, loss_now=None, frame_jitter_ms=None,
                                jitter_ms=None, rate_bps=None)
        for s in plant.site.streams
    )  # fmt: skip
    rows = [line for line in plant.press("3").lines() if line[1:2] in "!✔"]
    assert rows
    for row in rows:
        assert " - " in row
        assert not re.search(r"\b0\.00\b", row)


@pytest.mark.parametrize("pane", PANES)
def test_16_colour_is_never_the_only_carrier(plant: Driven, pane: str) -> None:
    text = plant.press(pane).text()
    for line in text.splitlines():
        if line[1:2] in ("✖", "!"):
            assert re.search(r"[a-z]{3}", line)
    assert all(style.color is None for style in THEMES["none"]["dark"].values())
    assert (
        chosen("auto", "dark", {"NO_COLOR": "1", "TERM": "xterm-256color"})
        == THEMES["none"]["dark"]
    )
    bare = Driven(frames_builder.plant(), glyphs=ASCII).press(pane).text()
    assert bare.replace("北", "").isascii()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_17_it_works_at_80x24_and_says_so_below_its_minimum(size: tuple[int, int]) -> None:
    driven = Driven(frames_builder.large(), *size)
    for pane in PANES:
        driven.press(pane)
        assert len(driven.lines()) == size[1]
    assert "panotui needs 60x16" in Driven(frames_builder.large(), 50, 10).text()
    narrow = Driven(frames_builder.plant(), 80, 24).press("2").lines()[2].split()
    wide = Driven(frames_builder.plant(), 200, 60).press("2", "v").lines()[2].split()
    assert len(narrow) < len(wide)


def test_18_times_are_local_with_zone_exports_utc_and_t_toggles(
    plant: Driven, tmp_path: Path
) -> None:
    assert "14:02:31 CET" in plant.lines()[0]
    path, _ = write_table(tmp_path, "events", plant.site.events, "", "json", plant.site.time_ns)
    moment = datetime.fromtimestamp(plant.site.time_ns // SECOND, UTC)
    assert f"{moment:%Y%m%dT%H%M%SZ}" in path.name
    plant.press("7", "T")
    assert " 33 s" in plant.text()
    assert "UTC" in plant.press("T").lines()[0]


def test_19_n_toggles_names_and_nothing_is_ever_resolved_for_the_screen(plant: Driven) -> None:
    assert "10.20.0.12" not in plant.press("3").text()
    plant.press("n")
    assert re.search(r"10\S*0\.12", plant.text())
    assert " gate " not in plant.text()
    for part in ("tui", "views", "feed", "state", "engine"):
        for path in (ROOT / "panotui" / part).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"getaddrinfo|gethostby|getnameinfo", text), path


def test_20_y_copies_by_osc_52_and_the_mouse_is_optional(plant: Driven) -> None:
    plant.press("6", "y")
    assert isinstance(plant.effects[-1], Copy)
    with Terminal("plant") as terminal:
        terminal.until(terminal.shows("PORTS"))
        terminal.type("6")
        terminal.until(terminal.shows("FINDINGS"))
        terminal.type("y")
        terminal.until(lambda: b"\x1b]52;c;" in terminal.raw)
    for command in ("live", "demo", "attach", "review"):
        assert b"--mouse / --no-mouse" in panotui(command, "--help").stdout


def test_21_without_a_terminal_no_escape_code_and_a_closed_pipe_is_quiet() -> None:
    done = panotui("analyze", demo_capture())
    assert b"\x1b" not in done.stdout
    done = panotui("analyze", "--json", demo_capture())
    assert json.loads(done.stdout)["schema"] == "panotui.analysis/1"
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "panotui", "analyze", demo_capture()], stdout=write,
        stderr=subprocess.PIPE, check=False, cwd=ROOT, timeout=300,
    )  # fmt: skip
    os.close(write)
    assert b"Traceback" not in process.stderr
    assert process.returncode in (0, 141)


def test_22_exit_codes_are_documented_and_kept(tmp_path: Path) -> None:
    said = panotui("--help").stdout.decode()
    for code in ("0 clean", "2 usage", "3 input", "4 no privilege", "5 interface", "130"):
        assert code in " ".join(said.split())
    assert panotui("--version").returncode == 0
    assert panotui("analyze", "--nonsense").returncode == 2
    assert panotui("analyze", str(tmp_path / "nothing.pcap")).returncode == 3
    assert panotui("analyze", demo_capture(), "--fail-on", "finding").returncode == 1


def manual() -> object:
    spec = importlib.util.spec_from_file_location("make_manual", ROOT / "docs" / "make_manual.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_23_there_is_a_man_page_and_completion_made_from_the_help() -> None:
    for path, text in manual().files().items():  # type: ignore[attr-defined]
        assert path.read_text(encoding="utf-8") == text, f"python docs/make_manual.py: {path.name}"
    page = (ROOT / "docs" / "panotui.1").read_text(encoding="utf-8")
    for part in ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "KEYS", "FILES", "ENVIRONMENT",
                 "EXIT STATUS", "EXAMPLES"):  # fmt: skip
        assert f".SH {part}" in page
    context = click.Context(group, info_name="panotui")
    for name, (_, _, shown) in COMMANDS.items():
        if not shown:
            continue
        command = group.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else ():
                assert option.replace("-", r"\-") in page
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for place in ("share/man/man1/panotui.1", "share/bash-completion", "share/zsh", "share/fish"):
        assert place in project
    if shutil.which("man"):
        shown_page = subprocess.run(
            ["man", "--warnings", "-l", "docs/panotui.1"], capture_output=True, check=False,
            cwd=ROOT, env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert shown_page.returncode == 0
        assert b"panotui record" in shown_page.stdout


def test_24_an_error_says_what_why_and_what_to_do() -> None:
    for arguments in (("analyze", "/nowhere.pcap"), ("analyse",), ("review", "/"), ("demo", "-x")):
        done = panotui(*arguments)
        said = done.stderr.decode()
        assert said.count("\n") == 1
        assert re.match(r"panotui: .+[:;] .+", said)
        assert said.rstrip().endswith((".", "?"))
        assert "Traceback" not in said


def test_25_settings_have_their_place_and_order_and_capital_q_leaves_the_picture(
    plant: Driven, tmp_path: Path
) -> None:
    where = panotui("config", "--path", XDG_CONFIG_HOME=str(tmp_path)).stdout.decode().strip()
    assert where == str(tmp_path / "panotui" / "config.toml")
    Path(where).parent.mkdir()
    Path(where).write_text("[screen]\nsped = 3\n")
    wrong = panotui("config", XDG_CONFIG_HOME=str(tmp_path))
    assert wrong.returncode == 0  # the default holds
    assert b"config.toml:2: unknown setting sped" in wrong.stderr
    assert plant.press("Q").effects[-1] == Quit(0, leaving=True)
    with Terminal("plant") as terminal:
        terminal.until(terminal.shows("PORTS"))
        terminal.type("Q")
        assert terminal.ended() == 0
        assert b"PORTS  both up" in terminal.raw.rpartition(b"\x1b[?1049l")[2]


def test_a_session_needs_no_terminal() -> None:
    """All of this is proved without one: keys and frames in, lines out."""
    assert Session(UNICODE).picture(0.0).body
