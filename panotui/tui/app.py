"""The screen as a program: requests frames from a source, passes keys to a session, draws at the
terminal's pace.

The commands call `run`, which returns the exit code. One request is in flight at a time, two frames
per second are requested (configurable from 1 to 4), and a key requests one at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
from collections.abc import Callable, Sequence
from time import monotonic

from msgspec.structs import replace
from textual import events
from textual.app import ComposeResult
from textual.driver import Driver
from textual.screen import Screen

from panotui.errors import PanotuiError
from panotui.feed.client import AsyncFeedClient
from panotui.tui import cells, effects, help, remembered, theme
from panotui.tui.background import background
from panotui.tui.glyphs import Glyphs, terminal_glyphs
from panotui.tui.keys import DETAIL, action_of
from panotui.tui.line import Pen, plain, text_of
from panotui.tui.pacing import Report
from panotui.tui.session import EXIT_INTERRUPTED, Session
from panotui.tui.settings import Settings
from panotui.tui.sheets import sheet
from panotui.tui.source import FrameSource, ReattachableSource
from panotui.tui.terminal import refuse_unusable
from panotui.tui.textual_overrides import PacedDriver, TightApp
from panotui.tui.theme import THEME
from panotui.tui.widgets import Lines
from panotui.views.frames import Answer, Command, Done, Frame, View

EXIT_HANGUP = 129
EXIT_TERMINATED = 143
EXIT_FATAL = 3
ENDING = {
    signal.SIGINT: EXIT_INTERRUPTED,
    signal.SIGTERM: EXIT_TERMINATED,
    signal.SIGHUP: EXIT_HANGUP,
}
REATTACH_S = 1.0
COMPLAINT_S = 10.0  # how long errors in the settings are shown
CLOCK_S = 1.0  # the ages in the header are redrawn this often without new frames
_FAR = 1 << 20  # lines: beyond either end of the help
SHEETS = ("monitor", "help", "fatal")  # one per screen

# After the drop, the program's own files may be out of reach: everything that Textual loads on
# first use is loaded now, and so are the style sheets.
for _late in (
    "textual.drivers.headless_driver",
    "textual.layouts.factory",
    "textual.layouts.horizontal",
    "textual.layouts.stream",
    "textual.pilot",
    "textual.scrollbar",
):
    importlib.import_module(_late)
cells.width("北")  # loads Rich's table of widths


def run(
    source: str | int | FrameSource,
    *,
    mode: str = "live",
    no_color: bool = False,
    rate_hz: float | None = None,
    hints: bool = False,
    settings: Settings | None = None,
    complaints: Sequence[str] = (),
    session: Callable[[Glyphs], Session] | None = None,
) -> int:
    """Show the screen of a collector until the user quits; returns the exit code of the program.

    `source` is the path of a feed's socket, an inherited connected one, or any `FrameSource`.
    `mode` is only shown before the first frame; frames have their own. `session` creates another
    screen's state than that of all panes. `hints`: three hints until the first key. `settings`: the
    user's settings, with the errors in them. Raises UsageError if no screen can be drawn and
    FeedError if nobody answers at the address; a later failure of the collector is shown on a
    screen, and its exit code is returned when the user quits.
    """
    refuse_unusable()
    if no_color:
        os.environ["NO_COLOR"] = "1"
    settings = settings or Settings()
    ground, typed_ahead = background()
    theme.use(theme.chosen(settings.theme, ground))
    state = session(terminal_glyphs()) if session else Session(terminal_glyphs(), mode=mode)
    state.set_up(settings, remembered.remembered_columns())
    state.hints = hints and settings.hints
    if complaints:
        more = (
            f" (and {len(complaints) - 1} more: panotui config --check)" if complaints[1:] else ""
        )
        state.say(complaints[0] + more, monotonic(), "warn", stands_s=COMPLAINT_S)
    over_ssh = bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
    mouse = settings.mouse == "on" or (settings.mouse == "auto" and not over_ssh)
    return asyncio.run(_run(source, state, rate_hz or settings.refresh, mouse, typed_ahead))


async def _run(
    source: str | int | FrameSource,
    session: Session,
    rate_hz: float,
    mouse: bool,
    typed_ahead: bytes,
) -> int:
    opened: FrameSource
    if isinstance(source, str | int):
        opened = await AsyncFeedClient.connect(source)
    else:
        opened = source
    app = Panotui(
        opened, rate_hz=rate_hz, session=session, driver_class=PacedDriver, typed_ahead=typed_ahead
    )
    try:
        await app.run_async(mouse=mouse)
    finally:
        _end_undisturbed()
        await opened.close()
    if app.leaving:
        _print_picture(session)
    return app.return_code or 0


def _print_picture(session: Session) -> None:
    """The last picture as plain text, left in the terminal."""
    picture = session.picture(monotonic())
    for line in (picture.header, *picture.body):
        print(text_of(line).rstrip())


def _end_undisturbed() -> None:
    """From here on everything only ends, and a second signal (a lost link sends two) would
    interrupt that: asyncio restores each signal's deadly default when its loop closes.
    """
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


class HelpScreen(Screen[None]):
    """The keys that work where the help was opened."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._first = 0

    def compose(self) -> ComposeResult:
        yield Lines(id="body")

    def on_mount(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def press(self, key: str) -> bool:
        """Scroll; True if the help should close."""
        if key in ("escape", "q", "question_mark", "f1", "enter"):
            return True
        action = action_of(key, frozenset((DETAIL,)), self._session.keymap)
        page = max(1, self.app.size.height - 2)
        steps = {"down": 1, "up": -1, "page-down": page, "page-up": -page,
                 "top": -_FAR, "bottom": _FAR}  # fmt: skip
        self._first += steps.get(action or "", 0)
        self.draw()
        return False

    def draw(self) -> None:
        width, height = self.app.size
        shown = self._session.help_place()
        session = self._session
        pane, fields = session.pane, session.help_fields()
        text = help.text(shown, width, session.glyphs, pane, fields)
        self._first, lines = help.page(text, width, height, self._first, session.glyphs)
        self.query_one(Lines).show(lines)


class FatalScreen(Screen[None]):
    """The collector has ended: what happened, why, what to do."""

    def __init__(self, text: str, recorded: bool) -> None:
        super().__init__()
        self._text = text
        self._recorded = recorded

    def compose(self) -> ComposeResult:
        yield Lines(id="body")

    def on_mount(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        width, height = self.app.size
        lines = [plain("", width), Pen(width).put(" The collector has stopped", "bad").line()]
        lines.append(plain("", width))
        lines += [Pen(width).put(f"   {part}").line() for part in cells.wrap(self._text, width - 6)]
        lines.append(plain("", width))
        if self._recorded:
            lines.append(Pen(width).put("   What was recorded until now is kept.", "dim").line())
        lines += [plain("", width)] * (height - len(lines) - 1)
        lines.append(Pen(width).put(" ").put("q", "key").put(" quit", "dim").line())
        self.query_one(Lines).show(lines[:height])


class MonitorScreen(Screen[None]):
    """Header, page, footer."""

    ready = False  # its widgets exist

    def compose(self) -> ComposeResult:
        yield Lines(id="header")
        yield Lines(id="body")
        yield Lines(id="footer")

    def on_mount(self) -> None:
        self.ready = True
        app = self.app
        assert isinstance(app, Panotui)
        app.draw(for_key=True)


class Panotui(TightApp):
    """Connects Textual, the session and the source."""

    CSS = "\n".join(sheet(name).read_text(encoding="utf-8") for name in SHEETS)
    ENABLE_COMMAND_PALETTE = False
    TITLE = "panotui"

    def __init__(
        self,
        source: FrameSource,
        *,
        rate_hz: float = 2.0,
        session: Session | None = None,
        driver_class: type[Driver] | None = None,
        typed_ahead: bytes = b"",
    ) -> None:
        super().__init__(driver_class=driver_class, typed_ahead=typed_ahead)
        self.session = session or Session(terminal_glyphs())
        self.source = source
        self.rate_hz = max(1.0, min(4.0, rate_hz))
        self._wake = asyncio.Event()
        self._commands: list[Command] = []
        self._asking: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._last_answer: Frame | None = None  # the answer that was drawn last
        self._drawn_at = 0.0
        self._owed = False  # a picture waits for the terminal
        self._owed_for_key = False
        self._retry: asyncio.TimerHandle | None = None
        self._ended = False
        self._left = False  # shutting down: nothing is drawn any more
        self._answers_mode = False
        self.register_theme(THEME)
        self.theme = THEME.name

    # ------------------------------------------------------------ life

    def get_default_screen(self) -> Screen[None]:
        return MonitorScreen()

    def on_mount(self) -> None:
        self._catch_signals()
        self._asking = asyncio.create_task(self._ask())
        self._ticking = asyncio.create_task(self._tick())

    def _catch_signals(self) -> None:
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        for number, code in ENDING.items():
            loop.add_signal_handler(number, self._leave, code)

    def _leave(self, code: int) -> None:
        self._left = True
        for task in (self._asking, self._ticking):
            if task is not None:
                task.cancel()
        self.exit(return_code=code)

    def terminal_lost(self) -> None:
        """Input has ended: nobody looks at this screen any more."""
        self._leave(EXIT_HANGUP)

    def terminal_taken(self) -> None:
        """The terminal is ours, at the start or again: answers were lost, everything must be
        painted.
        """
        self.terminal_blank()
        self.pacer.reset()
        if self._running:
            asyncio.get_running_loop().call_soon(self._repaint)

    def _repaint(self) -> None:
        self.terminal_blank()
        self.screen.refresh(layout=True)

    def terminal_reported(self, report: Report) -> None:
        """The terminal has answered; a waiting picture is drawn."""
        if report == "mode":
            self._answers_mode = True
            self.pacer.learn("mode")
        elif not self._answers_mode:
            # Both were requested at the start: if only the status comes, DECRQM is not supported.
            self.pacer.learn("status")
        self.pacer.answered(monotonic())
        if self._owed:
            self.draw(for_key=self._owed_for_key)

    # ------------------------------------------------------------ frames

    async def _ask(self) -> None:
        """One request in flight, at the configured rate, and at once if a key needs it."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for_key = True
        while True:
            self._wake.clear()
            asked_at = loop.time()
            try:
                await self._exchange(for_key)
            except PanotuiError as error:
                if not isinstance(self.source, ReattachableSource):
                    self._fatal(str(error), error.exit_code)
                    return
                await self._reattached(self.source)
            due = max(due + 1 / self.rate_hz, asked_at + 0.02)
            if due < loop.time() - 1:
                due = loop.time()
            for_key = await self._woken(due)
            if for_key:
                due = loop.time()

    async def _reattached(self, source: ReattachableSource) -> None:
        """Wait until a lost recorder comes back: one try per second, and at once with `r`."""
        while True:
            self._wake.clear()
            try:
                await source.reattach()
            except PanotuiError as error:
                self.session.lost = f"{error.why}"
                self.draw()
            else:
                self.session.lost = None
                self._last_answer = None
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), REATTACH_S)

    async def _woken(self, due: float) -> bool:
        """Wait until the next frame is due, or for ever while frozen; True if a key requests
        one.
        """
        loop = asyncio.get_running_loop()
        while True:
            still = self.session.frozen and not self._commands
            timeout = None if still else max(0.0, due - loop.time())
            try:
                await asyncio.wait_for(self._wake.wait(), timeout)
            except TimeoutError:
                if not still:
                    return False
            else:
                return True

    async def _exchange(self, for_key: bool) -> None:
        asked, self._commands = self._commands, []
        for command in asked:
            answer = await self.source.ask(command)
            self._answered(answer, for_key=for_key)
            if isinstance(answer, Done) and answer.pending and command not in self._commands:
                self._commands.append(command)  # with the next picture
        again = True
        for _ in range(3):  # the cursor's row may have left the requested window
            if not again:
                break
            again = self._answered(await self.source.ask(self.session.view()), for_key=for_key)

    def _answered(self, answer: Answer, *, for_key: bool = False) -> bool:
        """Show an answer; True if another one is needed. `for_key`: a key has asked for it, and its
        picture is the key's.
        """
        now = monotonic()
        again = False
        if isinstance(answer, Frame):
            news = self._is_news(answer)
            self._last_answer = answer
            if answer.header.fatal:
                self._fatal(answer.header.fatal, EXIT_FATAL)
            again = self.session.take(answer, now)
            if not again:
                self._carry_out(self.session.release(now))
            if not news and not again and not self._moves_by_itself(now):
                return False
        elif isinstance(answer, Done):
            self.session.told(answer, now)
        self.draw(for_key=for_key)
        return again

    def _is_news(self, answer: Frame) -> bool:
        """Whether an answer differs from the previous one: a site changes once per second."""
        last = self._last_answer
        return last is None or replace(answer, number=last.number) != last

    def _moves_by_itself(self, now: float) -> bool:
        """Whether the picture changes without a new frame: a message expires, an age grows."""
        session = self.session
        return (
            session.frozen
            or now < session.message_until + 2 * CLOCK_S
            or now - session.heard_at > CLOCK_S
        )

    async def _tick(self) -> None:
        """Ages and messages change without new frames, too; also recovers from a lost SIGWINCH."""
        while True:
            await asyncio.sleep(CLOCK_S)
            driver = self._driver
            if isinstance(driver, PacedDriver) and (size := driver.new_size(self.size)):
                self.post_message(events.Resize(size, size))
            now = monotonic()
            if self._moves_by_itself(now) or now - self._drawn_at >= 2 * CLOCK_S:
                self.draw()

    def _fatal(self, text: str, code: int) -> None:
        if self._ended:
            return
        self._ended = True
        self.return_code_on_leave = code
        newest = self.session.newest
        recorded = newest is not None and newest.header.recorder is not None
        self.push_screen(FatalScreen(text, recorded))

    return_code_on_leave = 0
    leaving = False  # the last picture is left in the terminal

    # ------------------------------------------------------------ drawing

    def draw(self, *, for_key: bool = False) -> None:
        """Draw now if the terminal is ready, otherwise as soon as it is; always the newest
        state.
        """
        screen = self.screen
        if self._left or not isinstance(screen, MonitorScreen) or not screen.ready:
            return
        now = monotonic()
        driver = self._driver
        if isinstance(driver, PacedDriver) and not self.pacer.may_draw(
            now, driver.backlog, for_key=for_key
        ):
            self._owed = True
            self._owed_for_key = self._owed_for_key or for_key
            self._try_later()
            return
        self._owed = self._owed_for_key = False
        self._drawn_at = now
        width, height = self.size
        if (width, height) != (self.session.width, self.session.height):
            self.session.resize(width, height)
        picture = self.session.picture(now)
        screen.query_one("#header", Lines).show([picture.header])
        screen.query_one("#body", Lines).show(picture.body)
        screen.query_one("#footer", Lines).show([picture.footer])
        self.session.drawn(now)

    def _try_later(self) -> None:
        if self._retry is None:
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(self.pacer.try_in_s(monotonic()), self._try_now)

    def _try_now(self) -> None:
        self._retry = None
        if self._owed and self.is_running:
            self.draw(for_key=self._owed_for_key)

    # ------------------------------------------------------------ keys

    async def on_event(self, event: events.Event) -> None:
        """Keys go to the session; all other events are Textual's."""
        if isinstance(event, events.Key):
            self._pressed(event)
            return
        if isinstance(event, events.Paste):
            self._carry_out(self.session.paste(event.text))
            self.draw(for_key=True)
            return
        if isinstance(event, events.MouseEvent):
            self._pointed(event)
            return
        await super().on_event(event)
        if isinstance(event, events.Resize):
            self.session.resize(*self.size)
            self._last_answer = None
            self._wake.set()

    def _pointed(self, event: events.MouseEvent) -> None:
        """Wheel and left button; other mouse events are ignored."""
        screen = self.screen
        if isinstance(screen, HelpScreen):
            if isinstance(event, events.MouseScrollDown | events.MouseScrollUp):
                screen.press("down" if isinstance(event, events.MouseScrollDown) else "up")
            return
        now = monotonic()
        if isinstance(event, events.MouseScrollDown):
            self._carry_out(self.session.press("down", None, now))
        elif isinstance(event, events.MouseScrollUp):
            self._carry_out(self.session.press("up", None, now))
        elif isinstance(event, events.MouseDown) and event.button == 1:
            self._carry_out(self.session.click(int(event.screen_x), int(event.screen_y), now))
        else:
            return
        self.draw(for_key=True)

    def _pressed(self, event: events.Key) -> None:
        if event.key == "ctrl+c":
            self._leave(EXIT_INTERRUPTED)
            return
        screen = self.screen
        if isinstance(screen, FatalScreen):
            if event.key in ("q", "escape", "enter"):
                self._leave(self.return_code_on_leave)
            return
        if isinstance(screen, HelpScreen):
            if screen.press(event.key):
                self.pop_screen()
                self.call_later(self.draw, for_key=True)
            return
        self._carry_out(self.session.press(event.key, event.character, monotonic()))
        self.draw(for_key=True)

    def _carry_out(self, wanted: list[effects.Effect]) -> None:
        if not wanted:
            return
        for effect in wanted:
            if isinstance(effect, effects.Quit):
                self.leaving = effect.leaving
                self._leave(effect.code)
                return
            if isinstance(effect, effects.Send):
                self._commands.append(effect.command)
                self._wake.set()
            elif isinstance(effect, effects.Fetch):
                self._wake.set()
            elif isinstance(effect, effects.Copy):
                self.copy_to_clipboard(effect.text)
            elif isinstance(effect, effects.Remember):
                remembered.remember_columns(effect.pane, effect.columns)
            elif isinstance(effect, effects.Rate):
                self.rate_hz = effect.hertz
            elif isinstance(effect, effects.Help):
                self.push_screen(HelpScreen(self.session))
            elif isinstance(effect, effects.Redraw):
                self._repaint()
            elif isinstance(effect, effects.Suspend):
                self.pacer.reset()
                self.action_suspend_process()


__all__ = ["Panotui", "View", "run"]
