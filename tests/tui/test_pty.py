"""The screen on a real terminal: keys, sizes, slow links, lost links, and what is left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.terminals import ROOT, RUN, Terminal


def started(*arguments: str, **settings: object) -> Terminal:
    terminal = Terminal(*(arguments or ("plant",)), **settings)  # type: ignore[arg-type]
    terminal.until(terminal.shows("PORTS"))
    return terminal


@pytest.fixture
def plant() -> Iterator[Terminal]:
    with started("plant", "--step") as terminal:
        yield terminal


def test_keys_are_answered_and_q_leaves_the_terminal_as_it_was(plant: Terminal) -> None:
    assert "both up" in plant.text()
    plant.type("3")
    plant.until(plant.shows("STREAMS"))
    plant.type("j\r")
    plant.until(plant.shows("OPEN"))
    plant.type("\x1b")
    plant.until(plant.shows("FPS/EXP"))
    plant.type("?")
    plant.until(plant.shows("KEYS THAT WORK HERE"))
    plant.type("q")
    plant.until(plant.shows("FPS/EXP"))
    plant.type("q")
    assert plant.ended() == 0
    assert plant.restored()


def test_ctrl_c_ends_within_a_second_with_130(plant: Terminal) -> None:
    plant.type("\x03")
    assert plant.ended(1.5) == 130
    assert plant.restored()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_end_cleanly_with_their_code(number: int, code: int) -> None:
    with started() as terminal:
        os.kill(terminal.pid, number)
        assert terminal.ended(60) == code
        assert terminal.restored()


def test_more_signals_do_not_cut_the_end_short() -> None:
    with started() as terminal:
        still = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, terminal.pid, still) is None:
            os.kill(terminal.pid, signal.SIGHUP)
            terminal.read(0.005)
        assert terminal.ended(60) == 129
        assert terminal.restored()


def test_a_lost_link_ends_the_screen_and_burns_no_cpu() -> None:
    with started("plant", "--step") as terminal:
        os.close(terminal.theirs)
        os.close(terminal.ours)
        assert terminal.ended(3, reading=False) in (129, -signal.SIGHUP)


def test_the_end_of_input_alone_ends_the_screen(tmp_path: Path) -> None:
    """Without a controlling terminal no SIGHUP comes: only the end of file tells."""
    log = tmp_path / "log"
    program = (
        "import os, pty, sys, time, select\n"
        "ours, theirs = pty.openpty()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os.close(ours)\n"
        "    os.setsid()\n"  # and no controlling terminal
        "    [os.dup2(theirs, n) for n in (0, 1, 2)]\n"
        "    os.execv(sys.argv[1], sys.argv[1:])\n"
        "os.close(theirs)\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end:\n"
        "    if select.select([ours], [], [], 0.1)[0]: os.read(ours, 65536)\n"
        "os.close(ours)\n"
        "began = time.monotonic()\n"
        "_, status = os.waitpid(pid, 0)\n"
        "print(os.waitstatus_to_exitcode(status), time.monotonic() - began)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *RUN, "plant", "--step", "--log", str(log)],
        capture_output=True, text=True, timeout=300, cwd=ROOT, check=False,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    code, seconds = done.stdout.split()
    assert code == "129", done.stderr
    assert float(seconds) < 2


def test_a_new_size_is_drawn_whole(plant: Terminal) -> None:
    plant.resize(120, 40)
    plant.until(plant.shows("us-east-1"))
    plant.until(lambda: "1 Over" in plant.screen.display[39])
    plant.resize(50, 10)
    plant.until(plant.shows("panotui needs 60x16, this is 50x10"))
    plant.resize(80, 24)
    plant.until(plant.shows("WHAT TO DO"))


def test_columns_and_lines_of_the_environment_do_not_hold_up_a_new_size() -> None:
    with started(environment={"COLUMNS": "80", "LINES": "24"}) as terminal:
        terminal.resize(120, 40)
        terminal.until(lambda: "1 Over" in terminal.screen.display[39])


def test_ctrl_z_suspends_and_fg_draws_again(plant: Terminal) -> None:
    plant.type("\x1a")
    pid, status = 0, 0
    deadline = time.monotonic() + 5
    while not pid and time.monotonic() < deadline:
        pid, status = os.waitpid(plant.pid, os.WUNTRACED | os.WNOHANG)
        plant.read(0.02)
    assert os.WIFSTOPPED(status)
    plant.during(0.2)
    assert plant.restored()
    plant.screen.reset()
    os.kill(plant.pid, signal.SIGCONT)
    plant.until(plant.shows("PORTS"))
    plant.type("5")
    plant.until(plant.shows("VIOLATIONS"))
    plant.type("q")
    assert plant.ended() == 0


def test_ctrl_l_draws_what_a_stray_message_has_spoilt(plant: Terminal) -> None:
    plant.screen.reset()
    plant.type("\x0c")
    plant.until(plant.shows("WHAT TO DO"))
    plant.until(plant.shows("CLOUD"))  # the upper rows may come with the next write


def test_copy_goes_to_the_terminals_clipboard(plant: Terminal) -> None:
    plant.type("4y")
    plant.until(lambda: b"\x1b]52;c;" in plant.raw)
    plant.until(plant.shows("copied: "))


# ------------------------------------------------------------ slow terminals


def cursor_row(terminal: Terminal) -> int | None:
    rows = range(1, terminal.screen.lines - 1)
    return next((y for y in rows if terminal.screen.buffer[y][1].reverse), None)


def test_on_a_slow_link_the_rate_falls_and_keys_stay_quick() -> None:
    with started("plant", "--step", "--rate", "4", bytes_per_second=800) as terminal:
        terminal.until(terminal.shows("WHAT TO DO"), 60)  # the first picture takes 4 s
        terminal.during(2)
        pictures = terminal.pictures
        terminal.during(4)
        assert terminal.pictures - pictures < 4 * 4 * 0.8, "pictures were not held back"
        for _ in range(3):
            row, sent = cursor_row(terminal), len(terminal.raw)
            terminal.type("j")
            terminal.until(lambda row=row: cursor_row(terminal) != row)  # type: ignore[misc]
            assert len(terminal.raw) - sent < 2 * 800  # what the link carries in two seconds
        sent = len(terminal.raw)
        terminal.type("5")
        terminal.until(terminal.shows("REASON"))
        # A pane of about 1.5 kB, behind at most one other picture.
        assert len(terminal.raw) - sent < 4 * 800
        terminal.type("\x03")
        assert terminal.ended(60) == 130


def test_a_terminal_that_stops_reading_neither_freezes_the_keys_nor_the_exit() -> None:
    with started("large", "--step", "--rate", "4") as terminal:
        time.sleep(4)  # nothing is read
        terminal.type("2222")
        time.sleep(0.5)
        terminal.type("\x03")
        assert terminal.ended(3, reading=False) == 130


@pytest.mark.parametrize("answers", [("status",), ()])
def test_terminals_that_answer_less_are_drawn_on_all_the_same(answers: tuple[str, ...]) -> None:
    with started("plant", "--step", answers=answers) as terminal:
        terminal.type("3")
        terminal.until(terminal.shows("STREAMS"))
        if answers:
            pictures = terminal.pictures
            terminal.during(2)
            assert terminal.pictures - pictures >= 2
        terminal.type("q")
        assert terminal.ended() == 0


# ------------------------------------------------------------ what is refused, what is plain


@pytest.mark.parametrize("term", ["dumb", "", "unknown"])
def test_a_dumb_terminal_is_pointed_to_the_headless_commands(term: str) -> None:
    with Terminal("plant", environment={"TERM": term}) as terminal:
        assert terminal.ended() == 2
        assert "panotui record" in terminal.text().replace("\n", " ")
        assert b"\x1b" not in terminal.raw


def test_a_pipe_is_pointed_to_the_headless_commands() -> None:
    done = subprocess.run(
        [*RUN, "plant"], capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )
    assert done.returncode == 2
    assert "\x1b" not in done.stdout + done.stderr
    assert "panotui analyze" in done.stderr


def test_no_color_means_no_colour_but_the_cursor_is_still_seen() -> None:
    with started(environment={"NO_COLOR": "1"}) as terminal:
        assert not re.search(rb"\x1b\[(?:\d+;)*(?:3[0-7]|4[0-7]|[349]8;|9[0-7])[;m]", terminal.raw)
        assert b"\x1b[7m" in terminal.raw


def test_colours_are_the_terminals_own_sixteen_where_it_names_no_more() -> None:
    with started("plant", environment={"TERM": "xterm", "COLORTERM": ""}) as terminal:
        terminal.type("2")
        terminal.until(terminal.shows("FLOWS"))
        assert re.search(rb"\x1b\[3[0-7]m", terminal.raw)
        assert not re.search(rb"\x1b\[(?:\d+;)*[34]8;", terminal.raw)


def test_colours_are_those_of_the_256_elsewhere_and_no_background_is_painted(
    plant: Terminal,
) -> None:
    assert re.search(rb"\x1b\[(?:\d+;)*38;5;\d+m", plant.raw)
    assert not re.search(rb"\x1b\[(?:\d+;)*(?:48;|38;2;)", plant.raw)


def test_a_locale_without_utf8_gets_ascii() -> None:
    with started(environment={"LANG": "C", "LC_ALL": "C"}) as terminal:
        assert bytes(terminal.raw).isascii()


def test_the_collectors_end_is_a_screen_and_its_code() -> None:
    with Terminal("plant", "--fatal") as terminal:
        terminal.until(terminal.shows("The collector has stopped"))
        assert "Traceback" not in terminal.text()
        terminal.type("q")
        assert terminal.ended() == 3
        assert terminal.restored()


# ------------------------------------------------------------ how much goes over the link


@pytest.mark.parametrize(
    ("site", "pane", "goal"), [("idle", "1", 1000), ("plant", "1", 4000), ("large", "2", 10_000)]
)
def test_bytes_per_second_to_the_terminal_stay_within_their_goal(
    site: str, pane: str, goal: int
) -> None:
    with started(site, "--step") as terminal:
        terminal.type(pane)
        terminal.during(1.0)
        before = len(terminal.raw)
        terminal.during(4.0)
        sent = (len(terminal.raw) - before) / 4.0
        print(f"{site} pane {pane}: {sent:.0f} B/s")
        assert sent < goal


# ------------------------------------------------------------ tmux


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_in_tmux_keys_sizes_and_the_way_back_work(tmp_path: Path) -> None:
    tmux = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]

    def run(*arguments: str) -> str:
        return subprocess.run(
            [*tmux, *arguments], capture_output=True, text=True, check=True, timeout=300
        ).stdout

    def until(text: str, timeout_s: float = 60.0) -> str:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            shown = run("capture-pane", "-p", "-t", "s")
            if text in shown:
                return shown
            time.sleep(0.05)
        raise AssertionError(shown)

    command = f"cd {ROOT}; {' '.join(RUN)} plant --step; echo left with $?; sleep 60"
    run("new-session", "-d", "-x", "80", "-y", "24", "-s", "s", command)
    try:
        shown = until("WHAT TO DO")
        assert "Allow outbound TCP 443" in shown
        run("send-keys", "-t", "s", "6", "Enter")
        until("EVIDENCE")
        run("resize-window", "-t", "s", "-x", "120", "-y", "40")
        until("us-east-1")
        run("send-keys", "-t", "s", "q", "q")
        assert "PORTS" not in until("left with 0")
    finally:
        run("kill-server")
