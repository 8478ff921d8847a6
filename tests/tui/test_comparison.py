"""The screen of two captures that are compared: what stands where, and what its keys do."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from panotui.commands.compare_files import compare
from panotui.commands.review import command
from panotui.errors import UsageError
from panotui.model import Site
from panotui.model.comparison import Comparison
from panotui.state.both_sides import both_sides
from panotui.tui.comparison import ComparisonSession, strips_for
from panotui.tui.effects import Copy, Quit, Send
from panotui.tui.glyphs import ASCII, UNICODE
from panotui.tui.line import text_of
from panotui.tui.strips import width_of_cell
from panotui.views.comparison import ComparisonSource
from panotui.views.frames import Done, Frame
from tests.compare.test_compare_captures import (
    CAMERA,
    READER,
    START,
    SYN,
    Packet,
    questions,
    rtp,
    two,
)


def made(folder: Path) -> Comparison:
    """A camera that loses a second's packets, one that loses nothing, and a closed port."""
    other = [
        Packet(
            p.at, "10.1.0.12", 5002, READER, 6000, p.body[:8] + struct.pack("!I", 0x777)
            + p.body[12:], ident=p.ident + 9000,
        )
        for p in rtp(1000)
    ]  # fmt: skip
    knocks = [
        Packet(
            START + 3 + n, CAMERA, 41_000, READER, 443, b"", 6, 100 + n, numbers=(5, 0), flags=SYN
        )
        for n in range(4)
    ]  # fmt: skip
    files = two(
        folder,
        [*rtp(1000), *other, *questions(40), *knocks],
        lambda n, p: [] if 300 <= n < 350 or p.dport == 443 else [(0.0, p)],
    )
    return compare(str(files[0]), str(files[1]), ("switch", "appliance"), Site(), False)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return made(tmp_path_factory.mktemp("captures"))


class Screen:
    """A session and its source, without a terminal."""

    def __init__(self, found: Comparison, folder: Path, width: int, height: int) -> None:
        self.source = ComparisonSource(found, folder)
        self.session = ComparisonSession(found, UNICODE)
        self.session.resize(width, height)
        self.fetch()

    def fetch(self) -> None:
        for _ in range(3):
            answer = asyncio.run(self.source.ask(self.session.view()))
            assert isinstance(answer, Frame)
            if not self.session.take(answer, 0.0):
                return

    def press(self, *pressed: str) -> None:
        for key in pressed:
            for effect in self.session.press(key, key if len(key) == 1 else None, 0.0):
                if isinstance(effect, Send):
                    done = asyncio.run(self.source.ask(effect.command))
                    assert isinstance(done, Done)
                    self.session.told(done, 0.0)
            self.fetch()

    def lines(self) -> list[str]:
        picture = self.session.picture(0.0)
        return [text_of(line) for line in (picture.header, *picture.body, picture.footer)]


@pytest.mark.parametrize(("width", "height"), [(60, 16), (80, 24), (120, 40), (200, 60)])
def test_the_sentence_is_on_top_and_both_sides_stand_beside_each_other(
    found: Comparison, tmp_path: Path, width: int, height: int
) -> None:
    screen = Screen(found, tmp_path, width, height)
    lines = screen.lines()
    assert len(lines) == height
    assert {len(line) for line in lines} == {width}
    assert "A switch a.pcap" in lines[0]
    assert lines[1].startswith(f" {CAMERA} loses 5.0 % (50 of 1,000 packets)")
    (losing,) = (line for line in lines if " losing " in line)
    assert "1000" in losing
    assert "950" in losing
    assert "5.00%" in losing
    text = "\n".join(lines)
    assert text.index(" blocked ") < text.index(" losing ") < text.index(" whole ")
    strip_a, strip_b = (next(ln for ln in lines if ln.startswith(n)) for n in (" switch", " app"))
    assert "█" in strip_a or "·" in strip_a
    assert "✖" in strip_b, "the first row is blocked: nothing came"


def test_a_sentence_that_is_cut_says_so(found: Comparison, tmp_path: Path) -> None:
    long = msgspec.structs.replace(found, sentence=f"{found.sentence} {'and so on ' * 30}end")
    lines = Screen(long, tmp_path, 60, 16).lines()
    assert lines[3].rstrip().endswith("…")
    assert lines[4].startswith(" Clocks")
    assert "…" not in "".join(Screen(long, tmp_path, 200, 60).lines()[1:4])


def test_the_strips_are_of_the_row_under_the_cursor(found: Comparison, tmp_path: Path) -> None:
    screen = Screen(found, tmp_path, 80, 24)
    screen.press("down")
    strip = next(line for line in screen.lines() if line.startswith(" app"))
    columns = width_of_cell(20, 80)  # of each of its seconds
    assert strip.count("✖") == columns, "one second is gone whole"
    assert strip.rstrip().endswith("-50")
    assert strip.count("█") == 19 * columns


def test_enter_opens_all_that_is_known_and_y_copies_how_to_see_the_lost_packets(
    found: Comparison, tmp_path: Path
) -> None:
    screen = Screen(found, tmp_path, 80, 40)
    screen.press("down", "enter")
    text = "\n".join(screen.lines())
    assert "switch first, then appliance" in text
    assert "50 (5 %" in text
    assert "packets  " in text[text.index("FIRST LOST") :]
    (copied,) = screen.session.press("y", "y", 0.0)
    assert isinstance(copied, Copy)
    assert copied.text.startswith(f"tshark -r {found.a.file} -Y 'frame.number in {{")
    screen.press("escape")
    assert " losing " in "\n".join(screen.lines())
    assert screen.session.press("q", "q", 0.0) == [Quit(0)]


def test_a_blocked_row_says_what_blocks_and_misses_no_finding(
    found: Comparison, tmp_path: Path
) -> None:
    screen = Screen(found, tmp_path, 120, 40)
    screen.press("enter")
    text = "\n".join(screen.lines())
    assert "it heads for appliance and never" in text
    assert "No finding" not in text


def test_rows_are_filtered_sorted_and_exported(found: Comparison, tmp_path: Path) -> None:
    screen = Screen(found, tmp_path, 80, 24)
    screen.press("/", *"lost:>0", "enter", "e")
    rows = [line for line in screen.lines() if line[3:10].strip() in ("blocked", "losing", "whole")]
    assert len(rows) == 2
    (file,) = tmp_path.glob("panotui-comparison-*.csv")
    assert len(file.read_text().splitlines()) == 3
    screen.press("escape", "enter", "e")
    (detail,) = tmp_path.glob("panotui-passage-*.json")
    assert json.loads(detail.read_text())["passage"]["state"] == "blocked"


def test_keys_of_other_screens_do_nothing(found: Comparison, tmp_path: Path) -> None:
    screen = Screen(found, tmp_path, 80, 24)
    before = screen.lines()
    screen.press("1", "tab", "space", "p", "[", "t", ":", "x", "m", "2")
    assert screen.lines() == before


def test_what_only_one_place_has_and_when_it_did_not_capture_is_told_apart(
    found: Comparison,
) -> None:
    rows = {row.state: row for row in both_sides(found)}
    shown = strips_for(found, rows["losing"], 10)
    assert [strip.label for strip in shown.strips] == ["switch", "appliance"]
    assert {len(strip.cells) for strip in shown.strips} == {10}
    assert shown.curves[0].values[3] == 50
    assert sum(value or 0 for value in shown.curves[0].values) == 50
    blocked = strips_for(found, rows["blocked"], 100)
    assert "5" in blocked.strips[1].cells
    assert "2" not in blocked.strips[1].cells


def test_it_is_drawn_in_ascii_as_well(found: Comparison, tmp_path: Path) -> None:
    screen = Screen(found, tmp_path, 80, 24)
    screen.session.glyphs = ASCII
    assert all(line.isascii() for line in screen.lines())


def test_a_review_of_more_than_two_or_of_recordings_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "night.panotui"
    folder.mkdir()
    for names in (["a", "b", "c"], ["a", str(folder)]):
        with pytest.raises(UsageError, match="side by side are two captures"):
            CliRunner().invoke(command, names, standalone_mode=False, catch_exceptions=False)
