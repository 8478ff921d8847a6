from __future__ import annotations

import os
import pty
import sys
import termios
import tty

import pytest
import textual
from textual.drivers.linux_driver import LinuxDriver

from panotui.errors import UsageError
from panotui.tui.background import background
from panotui.tui.terminal import HOLD_S, Reports, TerminalOutput, first_report, refuse_unusable
from panotui.tui.textual_overrides import CHECKED_TEXTUAL, PacedDriver


def test_reports_are_taken_out_of_the_input() -> None:
    found = Reports().take("j\x1b[?2026;2$yk\x1b[0n", 0.0, False)
    assert found == ("jk", ["\x1b[?2026;2$y", "\x1b[0n"])


@pytest.mark.parametrize("whole", ["\x1b[?2026;2$y", "\x1b[0n"])
def test_a_report_in_two_reads_is_still_a_report(whole: str) -> None:
    for cut in range(1, len(whole)):
        reports = Reports()
        assert reports.take("x" + whole[:cut], 0.0, True) == ("x", [])
        if cut > 2:
            assert reports.idle(0.1) == ""  # no key begins like this
        assert reports.take(whole[cut:] + "y", 0.2, True) == ("y", [whole])


@pytest.mark.parametrize("end", ["\x07", "\x1b\\"])
def test_a_late_answer_about_the_background_in_two_reads_is_no_input(end: str) -> None:
    whole = f"\x1b]11;rgb:1e1e/1e1e/1e1e{end}\x1b[0n"
    for cut in range(1, len(whole)):
        reports = Reports()
        texts, found = [], []
        for part in (whole[:cut], whole[cut:]):
            text, some = reports.take(part, 0.0, True)
            texts.append(text)
            found += some
        assert ("".join(texts), found) == ("", ["\x1b[0n"]), cut


def test_half_a_report_is_dropped_when_the_rest_never_comes() -> None:
    """Given on, it would be the keys `?` and `2`."""
    reports = Reports()
    reports.take("\x1b[?20", 0.0, True)
    assert reports.idle(0.1) == ""
    assert reports.idle(HOLD_S + 0.1) == ""
    assert reports.take("j", HOLD_S + 0.2, True) == ("j", [])


KEYS = ["\x1b", "\x1b[", "\x1b[A", "\x1b[5~", "\x1bOP", "q", "\x1b[1;5C", "\x1b]"]


@pytest.mark.parametrize("keys", KEYS)
def test_keys_are_never_held_back(keys: str) -> None:
    assert Reports().take(keys, 0.0, False) == (keys, [])
    reports = Reports()  # while an answer is due, they wait only for the next moment
    text, found = reports.take(keys, 0.0, True)
    assert (text + reports.idle(0.1), found) == (keys, [])


def test_what_is_no_terminal_is_refused_with_the_headless_commands() -> None:
    with pytest.raises(UsageError, match="panotui record"):
        refuse_unusable({"TERM": "xterm"})  # pytest's own input is no terminal


def test_a_dumb_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    with pytest.raises(UsageError, match="TERM=dumb"):
        refuse_unusable({"TERM": "dumb"})
    refuse_unusable({"TERM": "vt100"})


def test_the_linux_console_is_asked_for_its_status() -> None:
    assert first_report({"TERM": "linux"}) == "status"
    assert first_report({"TERM": "xterm-256color"}) == "mode"


def test_a_lost_terminal_swallows_output_without_raising() -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    output = TerminalOutput(theirs)
    output.write("x")
    output.flush()
    assert os.read(ours, 10) == b"x"
    os.close(ours)
    output.write("y")
    output.flush()
    assert output.lost
    assert output.waiting == 0
    os.close(theirs)


def test_keys_typed_while_the_background_is_asked_for_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r+b", 0) as terminal:
        monkeypatch.setattr(sys, "__stdin__", terminal)
        monkeypatch.setattr(sys, "__stdout__", terminal)
        before = termios.tcgetattr(theirs)
        os.write(ours, "6é\x1b]11;rgb:ffff/ffff/ffff\x1b\\j\x1b[0n".encode())
        assert background({"TERM": "xterm"}) == ("light", "6éj".encode())
        assert termios.tcgetattr(theirs) == before
        assert background({"TERM": "xterm", "COLORFGBG": "15;0"}) == ("dark", b"")
    os.close(ours)


def test_the_overrides_were_read_against_the_textual_that_runs() -> None:
    assert textual.__version__ == CHECKED_TEXTUAL
    for name in ("_get_terminal_size", "_request_terminal_sync_mode_support", "run_input_thread"):
        assert callable(getattr(LinuxDriver, name)), name
        assert name in vars(PacedDriver), name
