"""All overrides of Textual's private names.

`PacedDriver` is Textual's Linux driver with three changes: reports for the pacer are removed from
the input; end of file or an error on input ends the screen (Textual would spin); output to a lost
or stalled terminal neither raises nor delays the exit. `TightApp` is Textual's application, changed
to send only differences to the terminal, followed by the pacer's request.

Checked against Textual 8.2.8, the version that the project pins: `_get_terminal_size`,
`_enable_mouse_support`, `_request_terminal_sync_mode_support`, `run_input_thread` and
`_writer_thread` of `LinuxDriver`, `_display` and `_batch_count` of `App`, `ChopsUpdate` and
`LayoutUpdate` of `_compositor`, `_parser.ParseError` and `_xterm_parser.XTermParser`. Check these
again before raising the pin.
"""

from __future__ import annotations

import os
import selectors
import sys
import termios
import threading
from codecs import getincrementaldecoder
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from rich.console import RenderableType
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size
from textual.screen import Screen

from panotui.tui.pacing import QUESTIONS, Pacer, Report
from panotui.tui.terminal import Reports, TerminalOutput, first_report
from panotui.tui.tight import TightLayout, TightUpdate

CHECKED_TEXTUAL = "8.2.8"
_EXIT_PATIENCE_S = 0.5


class PacedDriver(LinuxDriver):
    """Textual's driver, made robust for slow and disappearing terminals."""

    def __init__(self, app: Any, **settings: Any) -> None:
        super().__init__(app, **settings)
        self.output = TerminalOutput(sys.__stdout__.fileno())  # type: ignore[union-attr]
        self._file = cast("Any", self.output)
        self._pacer: Pacer = app.pacer
        self._typed_ahead: bytes = app.typed_ahead
        self._on_report: Callable[[Report], None] = app.terminal_reported
        self._on_lost: Callable[[], None] = app.terminal_lost
        self._on_taken: Callable[[], None] = app.terminal_taken
        self._told_sync = False

    def _get_terminal_size(self) -> tuple[int, int]:
        # The kernel's size comes before COLUMNS and LINES, which a resize does not change.
        try:
            size = os.get_terminal_size(self.output.fileno())
        except OSError:
            return super()._get_terminal_size()
        return (size.columns or 80, size.lines or 24)

    def new_size(self, old: Size) -> Size | None:
        """The terminal's size if it is another than `old`."""
        size = Size(*self._get_terminal_size())
        return size if size != old else None

    @property
    def backlog(self) -> int:
        """Waiting output: queued writes, and characters the kernel has not accepted."""
        writer = self._writer_thread
        queued = writer._queue.qsize() if writer is not None else 0
        return queued + self.output.waiting

    def start_application_mode(self) -> None:
        """Take the terminal, at the start and after it was released."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self._on_taken()

    def _enable_mouse_support(self) -> None:
        # Only clicks and the wheel; Textual would request each movement, too.
        if self._mouse:
            self.write("\x1b[?1000h\x1b[?1006h")
            self.flush()

    def _request_terminal_sync_mode_support(self) -> None:
        # Both requests once: the answers show which one this terminal supports.
        if first_report() == "mode":
            self.write(QUESTIONS["mode"])
        self.write(QUESTIONS["status"])

    def run_input_thread(self) -> None:
        """Read input until stopped, or until the terminal is gone."""
        selector = selectors.SelectSelector()
        selector.register(self.fileno, selectors.EVENT_READ)
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        reports = Reports()
        raw, self._typed_ahead = self._typed_ahead, b""
        try:
            while not self.exit_event.is_set():
                if raw or selector.select(0.1):
                    try:
                        raw = raw or os.read(self.fileno, 4096)
                    except OSError:
                        raw = b""
                    if not raw:
                        self._loop.call_soon_threadsafe(self._on_lost)
                        return
                    text, found = reports.take(decode(raw), monotonic(), self._pacer.expects)
                    raw = b""
                    for report in found:
                        self._reported(report)
                else:
                    text = reports.idle(monotonic())
                if text:
                    for message in parser.feed(text):
                        self.process_message(message)
                for message in parser.tick():
                    self.process_message(message)
        except RuntimeError:
            return  # the event loop has ended
        finally:
            selector.close()
            try:
                for _ in parser.feed(""):
                    pass
            except (EOFError, ParseError):
                pass

    def _reported(self, report: str) -> None:
        kind: Report = "mode" if report.startswith("\x1b[?") else "status"
        if kind == "mode" and report[-3] != "0" and not self._told_sync:
            from textual.messages import TerminalSupportsSynchronizedOutput

            self._told_sync = True
            self.process_message(TerminalSupportsSynchronizedOutput())
        self._loop.call_soon_threadsafe(self._on_report, kind)

    def close(self) -> None:
        """Let the writer finish, but not for long: a stalled terminal must not delay the exit."""
        writer = self._writer_thread
        if writer is None:
            return
        stopper = threading.Thread(target=writer.stop, daemon=True)
        stopper.start()
        stopper.join(_EXIT_PATIENCE_S)
        if stopper.is_alive():
            try:
                termios.tcflush(self.output.fileno(), termios.TCOFLUSH)
            except termios.error:
                pass
            stopper.join(_EXIT_PATIENCE_S)


class TightApp(App[None]):
    """Textual's application, sending only changes, at the terminal's pace."""

    def __init__(self, driver_class: type[Driver] | None = None, typed_ahead: bytes = b"") -> None:
        """`typed_ahead`: input that was read before the driver started."""
        super().__init__(driver_class=driver_class, ansi_color=True)
        self.typed_ahead = typed_ahead
        self.pacer = Pacer(first_report())
        self._shown: dict[int, str] = {}  # the content last sent for a whole row
        self._shown_size = Size(0, 0)

    def terminal_blank(self) -> None:
        """The terminal may show anything: forget the sent content."""
        self._shown.clear()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Textual's single output path: only changed spans, followed by the pacer's request."""
        if isinstance(renderable, ChopsUpdate | LayoutUpdate) and not self._batch_count:
            if self.size != self._shown_size:
                self.terminal_blank()
                self._shown_size = self.size
            tight = (
                TightUpdate(renderable, self.size.width, self._shown)
                if isinstance(renderable, ChopsUpdate)
                else TightLayout(renderable, self._shown)
            )
            if not tight.text:
                return
            renderable = tight
        super()._display(screen, renderable)
        driver = self._driver
        if isinstance(driver, PacedDriver) and renderable is not None and not self._batch_count:
            driver.write(self.pacer.question)
            self.pacer.sent(monotonic())
