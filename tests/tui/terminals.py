"""A terminal for tests: a pty, pyte to draw on, a reader as slow as asked for.

`Terminal` runs a program, answers the reports that terminals answer (each after everything before
it has been read), and tells what is shown, how much was sent, and how the program ended.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pyte

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, str(Path(__file__).with_name("run_screen.py"))]
_QUESTIONS = re.compile(rb"\x1b\[\?2026\$p|\x1b\[5n")
# pyte 0.8 takes the `p`, `u` and `$` of newer sequences for text.
_NOT_FOR_PYTE = re.compile(rb"\x1b\[\?\d+\$p|\x1b\[[<>=]\d*u|\x1b\[5n")


class Terminal:
    """Runs a program on a pty of its own."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        rows: int = 24,
        environment: dict[str, str] | None = None,
        bytes_per_second: float | None = None,
        answers: tuple[str, ...] = ("mode", "status"),
        command: list[str] | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self.answers = answers
        self.bytes_per_second = bytes_per_second
        self.pictures = 0
        self._allowance = 0.0
        self._allowed_at = time.monotonic()
        self._tail = b""
        self.code: int | None = None
        self.ours, theirs = pty.openpty()
        self._size(columns, rows)
        self.before = termios.tcgetattr(theirs)
        values = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TMUX")}
        values |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "TZ": "Europe/Berlin"}
        values |= environment or {}
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.ours)
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
            for descriptor in (0, 1, 2):
                os.dup2(theirs, descriptor)
            os.chdir(ROOT)
            whole = [*(command or RUN), *arguments]
            os.execve(whole[0], whole, values)
        self.theirs = theirs

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        for descriptor in (self.ours, self.theirs):
            try:
                os.close(descriptor)
            except OSError:
                pass

    def _size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self._size(columns, rows)

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def read(self, wait_s: float = 0.05) -> None:
        """Take what the link lets through, draw it, answer its questions."""
        size = 65536
        if self.bytes_per_second is not None:
            now = time.monotonic()
            self._allowance += (now - self._allowed_at) * self.bytes_per_second
            self._allowed_at = now
            self._allowance = min(self._allowance, self.bytes_per_second / 4)
            size = int(self._allowance)
            if size < 1:
                time.sleep(0.01)
                return
        if not select.select([self.ours], [], [], wait_s)[0]:
            return
        try:
            data = os.read(self.ours, size)
        except OSError:
            return
        self._allowance -= len(data)
        self.raw += data
        text = self._tail + data
        cut = text.rfind(b"\x1b", max(0, len(text) - 12))
        self._tail = text[cut:] if cut >= 0 else b""
        if self._tail and _QUESTIONS.search(self._tail):
            self._tail = b""
        text = text[: len(text) - len(self._tail)]
        for question in _QUESTIONS.findall(text):
            kind = "status" if question.endswith(b"5n") else "mode"
            self.pictures += 1
            if kind in self.answers:
                answer = b"\x1b[0n" if kind == "status" else b"\x1b[?2026;2$y"
                try:
                    os.write(self.ours, answer)
                except OSError:
                    return
        self._stream.feed(_NOT_FOR_PYTE.sub(b"", text))

    def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> float:
        """Seconds until the condition holds; AssertionError with the screen when it does not."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > timeout_s:
                raise AssertionError(f"after {timeout_s} s:\n{self.text()}")
            self.read()
        return time.monotonic() - began

    def during(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.02)

    def shows(self, text: str) -> Callable[[], bool]:
        return lambda: text in self.text()

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def ended(self, timeout_s: float = 60.0, *, reading: bool = True) -> int:
        """The exit code, once the program has ended."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                while reading and select.select([self.ours], [], [], 0)[0]:
                    self.read(0)
                return self.code
            if reading:
                self.read(0.02)
            else:
                time.sleep(0.02)
        raise AssertionError(f"still running after {timeout_s} s:\n{self.text()}")

    def restored(self) -> bool:
        """The terminal is as it was: its modes, the main screen, the cursor."""
        raw = bytes(self.raw)
        return (
            termios.tcgetattr(self.theirs)[:4] == self.before[:4]
            and raw.rfind(b"\x1b[?1049l") > raw.rfind(b"\x1b[?1049h")
            and raw.rfind(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l")
        )
