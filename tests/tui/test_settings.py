"""A person's own set-up: read with its faults named, laid out with comments, and it works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.color import Color

from panotui.tui import remembered
from panotui.tui.background import shade
from panotui.tui.effects import Remember
from panotui.tui.settings import THEMES as NAMED
from panotui.tui.settings import Settings, commented, read
from panotui.tui.theme import THEMES, chosen, contrast
from panotui.tui.tight import _codes
from tests.tui import frames_builder
from tests.tui.screens import Driven

FILE = """
[screen]
theme = "colour-blind"
start = "streams"
refresh = 3
units = "bytes"
beside = false

[keys]
freeze = ["f5", "z"]

[columns.flows]
show = ["VERDICT", "HOST", "BYTES"]
width = { "HOST" = 30 }

[filters]
leaks = "reason:stream-leak"
"""


def test_settings_are_read() -> None:
    settings, complaints = read(FILE)
    assert complaints == []
    assert (settings.theme, settings.start, settings.refresh) == ("colour-blind", "streams", 3.0)
    assert settings.keys["freeze"] == ("f5", "z")
    assert settings.columns["flows"] == ("VERDICT", "HOST", "BYTES")
    assert settings.widths["flows"] == {"HOST": 30}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[screen]\ntheme = 'pink'\n", 2, "theme must be one of auto, dark"),
        ("[screen]\n\nrefresh = 9\n", 3, "refresh must be 1 to 4"),
        ("[screen]\ncolour = 1\n", 2, "unknown setting colour"),
        ("[keys]\nfly = 'x'\n", 2, "unknown action fly"),
        ("[keys]\nfreeze = 's'\n", 1, "s does freeze and sort"),
        ("[columns.flows]\nshow = ['NOSE']\n", 2, "flows has no column NOSE"),
        ("[columns]\nflows = ['HOST']\n", 2, "below [columns.flows]"),
        ("[filters]\nbad = 'verdikt:x'\n", 2, "unknown field verdikt"),
        ("[other]\n", 1, "unknown section other"),
        ("[screen\n", 1, "invalid TOML"),
    ],
)
def test_what_is_not_understood_is_named_with_its_line(text: str, line: int, said: str) -> None:
    settings, complaints = read(text)
    assert settings == Settings() or settings.keys
    assert [c.line for c in complaints] == [line]
    assert said in complaints[0].text
    assert complaints[0].said("config.toml").startswith(f"config.toml:{line}: ")


def test_the_printed_file_reads_as_the_same_settings() -> None:
    for settings in (Settings(), read(FILE)[0]):
        again, complaints = read(commented(settings))
        assert complaints == []
        assert again == settings


def test_every_setting_is_explained_in_the_printed_file() -> None:
    text = commented(Settings())
    for name in Settings.__struct_fields__:
        assert f"{name.rstrip('s')} = " in text or f"{name} = " in text or f"[{name}" in text
    assert all(line.startswith(("#", "[")) or " = " in line for line in text.splitlines() if line)


def panotui(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "panotui", *arguments], capture_output=True, text=True, check=False,
        timeout=300, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment},
    )  # fmt: skip


def test_panotui_config_prints_checks_and_says_where_the_file_is(tmp_path: Path) -> None:
    folder = tmp_path / "panotui"
    folder.mkdir()
    (folder / "config.toml").write_text(FILE)
    said = panotui("config", XDG_CONFIG_HOME=str(tmp_path))
    assert said.returncode == 0
    assert read(said.stdout)[0] == read(FILE)[0]
    assert panotui("config", "--check", XDG_CONFIG_HOME=str(tmp_path)).returncode == 0
    where = panotui("config", "--path", XDG_CONFIG_HOME=str(tmp_path))
    assert where.stdout.strip() == str(folder / "config.toml")
    (folder / "config.toml").write_text("[screen]\ntheme = 'pink'\n")
    wrong = panotui("config", "--check", XDG_CONFIG_HOME=str(tmp_path))
    assert wrong.returncode == 2
    assert "config.toml:2: theme must be one of" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_options_go_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from panotui.commands.preferences import preferences

    file = tmp_path / "c.toml"
    file.write_text("[screen]\ntheme = 'light'\nmouse = 'on'\n")
    assert preferences(None, None, file)[0].theme == "light"
    assert preferences("16", False, file)[0].theme == "16"
    assert preferences("16", False, file)[0].mouse == "off"
    said = panotui("live", "--theme", "pink")
    assert said.returncode == 2
    said = panotui("live", PANOTUI_THEME="pink")
    assert "--theme pink: there is no such theme" in said.stderr


def test_settings_shape_the_screen() -> None:
    driven = Driven(frames_builder.plant(), 120, 40)
    driven.session.set_up(read(FILE)[0])
    driven.fetch()
    assert driven.session.pane == "streams"
    assert "MB/s" in driven.text()
    assert "│" not in driven.text()
    driven.press("z")
    assert driven.session.frozen
    driven.press("space")
    assert driven.session.frozen  # the key was given away
    driven.press("2")
    titles = driven.lines()[2].split()
    assert [t.strip("▲▼") for t in titles] == ["VERDICT", "HOST", "BYTES"]
    driven.press("/")
    assert "reason:stream-leak" in driven.text()


def test_columns_are_chosen_on_the_screen_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    driven = Driven(frames_builder.plant(), 120, 40).press("2", "v", ":")
    driven.type("columns host, bytes").press("enter")
    assert driven.effects[-1] == Remember("flows", ("HOST", "BYTES"))
    assert driven.lines()[2].split() == ["HOST", "BYTES"]
    assert remembered.remember_columns("flows", ("HOST", "BYTES"))
    again = Driven(frames_builder.plant(), 120, 40)
    again.session.set_up(Settings(beside=False), remembered.remembered_columns())
    assert again.press("2").lines()[2].split() == ["HOST", "BYTES"]
    again.press(":").type("columns nose").press("enter")
    assert "no column NOSE: VERDICT" in again.text()
    again.press(":").type("columns").press("enter")
    assert "VERDICT" in again.lines()[2]
    (tmp_path / "panotui" / "columns.json").write_text("[]")
    assert remembered.remembered_columns() == {}


# ------------------------------------------------------------ colours

DARK = ("#000000", "#1e1e1e", "#282a36", "#002b36", "#303030")
LIGHT = ("#ffffff", "#fdf6e3", "#f0f0f0", "#eee8d5")
# what xterm draws the sixteen with
XTERM = {"green": "#00cd00", "yellow": "#cdcd00", "bright_red": "#ff0000", "cyan": "#00cdcd",
         "blue": "#0000ee", "magenta": "#cd00cd", "red": "#cd0000"}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMED if name not in ("auto", "none")])
def test_every_theme_has_a_contrast_of_at_least_four_and_a_half(name: str) -> None:
    for background, styles in THEMES[name].items():
        grounds = DARK if background == "dark" else LIGHT
        if name == "16":
            grounds = ("#000000",) if background == "dark" else ("#ffffff",)
        for role, style in styles.items():
            if style.color is None:
                continue  # the terminal's own
            colour = style.color
            if name == "16":
                colour = Color.parse(XTERM[colour.name])
            for ground in grounds:
                least = 6.0 if name == "high-contrast" else 4.5
                found = contrast(colour, Color.parse(ground))
                # magenta and red of xterm on white are the nearest that sixteen colours offer
                if name == "16" and role in ("warn", "bad"):
                    least = 4.0
                assert found >= least, (name, background, role, ground, round(found, 2))


@pytest.mark.parametrize("name", [name for name in NAMED if name != "auto"])
def test_a_state_is_told_without_colour_and_the_three_differ_with_it(name: str) -> None:
    for styles in THEMES[name].values():
        if name != "none":
            assert len({styles["ok"], styles["warn"], styles["bad"]}) == 3
        assert styles["cursor"].reverse


def test_no_color_takes_all_colour_away_and_few_colours_mean_sixteen() -> None:
    assert chosen("dark", "dark", {"NO_COLOR": "1"}) == THEMES["none"]["dark"]
    assert chosen("auto", "light", {"TERM": "xterm"}) == THEMES["16"]["light"]
    assert chosen("auto", "light", {"TERM": "xterm-256color"}) == THEMES["light"]["light"]
    assert chosen("dark", "light", {"TERM": "xterm"}) == THEMES["dark"]["dark"]


def test_the_background_is_read_from_what_the_terminal_answers() -> None:
    assert shade(b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[0n") == "light"
    assert shade(b"\x1b]11;rgb:1e/1e/1e\x07") == "dark"
    assert shade(b"\x1b[0n") == "dark"


def test_colours_of_the_256_are_sent_whole() -> None:
    assert _codes(THEMES["dark"]["dark"]["dim"]) == "38;5;248"
    assert _codes(THEMES["dark"]["dark"]["bad"]) == "1;38;5;210"
    assert _codes(THEMES["16"]["dark"]["ok"]) == "32"


# ------------------------------------------------------------ the mouse


def test_a_click_chooses_a_row_and_a_second_one_opens_it() -> None:
    driven = Driven(frames_builder.plant()).press("3")
    line = next(n for n, text in enumerate(driven.lines()) if "dock" in text)
    for _ in range(2):
        effects = driven.session.click(5, line, driven.now)
        assert effects
        driven.fetch()
    assert driven.session.opened[-1].key == "stream:s1"


def test_a_click_on_a_panes_name_shows_it_and_one_on_a_strip_moves_the_cursor() -> None:
    driven = Driven(frames_builder.plant(), 120, 40)
    foot = driven.lines()[-1]
    driven.session.click(foot.index("3 Streams") + 2, 39, driven.now)
    assert driven.session.pane == "streams"
    driven.fetch()
    driven.press("1")
    row = next(n for n, text in enumerate(driven.lines()) if text.startswith(" gate  "))
    driven.session.click(100, row, driven.now)
    assert driven.session.cursor_s is not None
    driven.fetch()
    assert "nothing was open" in driven.text() or "✖ Logs" in driven.text()
    before = driven.session.cursor_s
    driven.session.click(3, 0, driven.now)  # the header is nothing to take hold of
    assert driven.session.cursor_s == before


def test_a_click_on_a_link_of_a_detail_opens_it() -> None:
    driven = Driven(frames_builder.plant()).press("3", "j", "enter")
    row = next(n for n, text in enumerate(driven.lines()) if text.startswith(" OPEN "))
    column = driven.lines()[row].index("finding")
    driven.session.click(column, row, driven.now)
    driven.fetch()
    assert driven.session.opened[-1].key.startswith("finding:")
