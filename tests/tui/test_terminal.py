from __future__ import annotations

import os
import pty
import tty

import pytest
import textual
from textual.drivers.linux_driver import LinuxDriver

from panotui.errors import UsageError
from panotui.tui.terminal import TerminalOutput, first_report, refuse_unusable, take_reports
from panotui.tui.textual_overrides import CHECKED_TEXTUAL, PacedDriver


def test_reports_are_taken_out_of_the_input() -> None:
    text, reports, kept = take_reports("j\x1b[?2026;2$yk\x1b[0n")
    assert (text, reports, kept) == ("jk", ["\x1b[?2026;2$y", "\x1b[0n"], "")


@pytest.mark.parametrize("whole", ["\x1b[?2026;2$y", "\x1b[0n"])
def test_a_report_in_two_reads_is_still_a_report(whole: str) -> None:
    for cut in range(3, len(whole)):
        text, reports, kept = take_reports("x" + whole[:cut])
        assert (text, reports) == ("x", [])
        assert take_reports(kept + whole[cut:] + "y") == ("y", [whole], "")


@pytest.mark.parametrize("keys", ["\x1b", "\x1b[", "\x1b[A", "\x1b[5~", "\x1bOP", "q", "\x1b[1;5C"])
def test_keys_are_never_held_back(keys: str) -> None:
    assert take_reports(keys) == (keys, [], "")


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


def test_the_overrides_were_read_against_the_textual_that_runs() -> None:
    assert textual.__version__ == CHECKED_TEXTUAL
    for name in ("_get_terminal_size", "_request_terminal_sync_mode_support", "run_input_thread"):
        assert callable(getattr(LinuxDriver, name)), name
        assert name in vars(PacedDriver), name
