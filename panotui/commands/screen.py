"""Starts a collector process and a screen on it; the screen's process keeps no privileges.

The child opens everything that needs privileges; the parent gives up its own, and draws. If the
collector dies, the screen shows its last message.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from panotui.commands.readable import SCREEN, drop_privileges, prepare_to_drop
from panotui.errors import PanotuiError
from panotui.feed.client import AsyncFeedClient
from panotui.feed.codec import FeedError
from panotui.runtime.process import own_program
from panotui.views.frames import Answer, Command, View
from panotui.wire.text import printable

if TYPE_CHECKING:
    from panotui.tui.settings import Settings

END_S = 3.0
LAST_WORDS_S = 1.0  # a process that fails closes its sockets before it has reported why


class _Refused(PanotuiError):
    """The last message of a collector's process that gave up."""

    def __init__(self, what: str, why: str, remedy: str, exit_code: int) -> None:
        super().__init__(what, why, remedy)
        self.exit_code = exit_code


class CollectorProcess:
    """The child, and our end of the socket pair to it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        ready_read, ready_write = os.pipe()
        self._errors = os.memfd_create("panotui-collector") if hasattr(os, "memfd_create") else 2
        command, environment = own_program()
        self.process = subprocess.Popen(
            [
                *command, "_collect",
                "--feed-fd", str(theirs.fileno()), "--ready-fd", str(ready_write), *arguments,
            ],
            pass_fds=(theirs.fileno(), ready_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C in the terminal is handled by the screen
            env={**environment, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        theirs.close()
        os.close(ready_write)
        self.socket = ours
        self._ready = ready_read
        self._is_ready = False

    def wait_ready(self) -> None:
        """Wait until rings are open and privileges dropped; raises the child's error."""
        with os.fdopen(self._ready, encoding="utf-8") as ready:
            text = ready.read(8192)
        try:
            answer = json.loads(text) if text else {}
        except ValueError:
            answer = {}
        if answer.get("ready"):
            self._is_ready = True
            return
        self.end()
        if "error" in answer:
            what, why, remedy = answer["error"]
            raise _Refused(what, why, remedy, int(answer.get("exit", 1)))
        raise FeedError("collector", self.last_words() or "it exited before it was ready")

    async def ended(self) -> int | None:
        """Its exit code; None if it has not ended soon after its end of the feed was closed."""
        until = time.monotonic() + LAST_WORDS_S
        while (code := self.process.poll()) is None and time.monotonic() < until:
            await asyncio.sleep(0.02)
        return code

    def last_words(self) -> str:
        """The last line on the child's stderr."""
        if self._errors == 2:
            return ""
        size = os.fstat(self._errors).st_size
        raw = os.pread(self._errors, 2000, max(0, size - 2000))
        lines = [line for line in raw.splitlines() if line.strip()]
        return printable(lines[-1], 300).removeprefix("panotui: ") if lines else ""

    def end(self) -> None:
        """Close our end, which ends the child; then make sure that it has exited."""
        self.socket.close()
        if not self._is_ready:  # it does not listen yet, and has nothing to write
            self.process.terminate()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class WatchedClient:
    """A feed client that reports the collector's last message when it is gone."""

    def __init__(self, collector: CollectorProcess) -> None:
        self._collector = collector
        self._client: AsyncFeedClient | None = None

    async def ask(self, request: View | Command) -> Answer:
        if self._client is None:
            self._client = await AsyncFeedClient.connect(self._collector.socket.detach())
        try:
            return await self._client.ask(request)
        except FeedError as error:
            code = await self._collector.ended()
            words = self._collector.last_words()
            if code is not None:
                how = f"it ended with code {code}" if code >= 0 else f"signal {-code} ended it"
                raise FeedError("collector", words or how, "Start panotui again.") from None
            raise error

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


def run_screen(
    arguments: Sequence[str],
    *,
    mode: str,
    no_color: bool,
    wanted: tuple[Settings, list[str]],
) -> int:
    """A collector with these arguments, and the screen on it until one of them ends.

    `wanted`: the user's settings of the screen, and the errors in them.
    """
    from panotui.commands.terminal import end_on_signals, require_terminal

    require_terminal()
    prepare_to_drop()
    collector = CollectorProcess(arguments)
    try:
        end_on_signals()
        # The screen's libraries load while the child opens its rings, and before the drop, because
        # only root may be able to read them.
        from panotui.commands import confined_live
        from panotui.sources.live import landlock
        from panotui.tui import app
        from panotui.tui.remembered import first_start

        domain = confined_live.of_screen()
        drop_privileges(SCREEN)
        landlock.enter(domain)
        collector.wait_ready()
        client = WatchedClient(collector)
        return int(app.run(client, mode=mode, no_color=no_color, hints=first_start(),
                           settings=wanted[0], complaints=wanted[1]))  # fmt: skip
    finally:
        collector.end()
