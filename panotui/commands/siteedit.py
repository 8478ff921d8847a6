"""Accepts a violation into the site file from a screen, and undoes it.

A confined collector cannot write a site file. `SiteDesk` is a process that it forked before: it
receives only violations, and changes only that file.
"""

from __future__ import annotations

import os
import select
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from panotui.errors import PanotuiError, UsageError
from panotui.model import ViolationRecord
from panotui.runtime.pipe import encoder, read_frame, write_frame
from panotui.runtime.process import fork_meter
from panotui.sources.live import landlock

if TYPE_CHECKING:
    from panotui.policy.queries.accept import Accepted


class SiteFileEditor:
    """Edits one site file through `policy.accept`; remembers its changes for undo."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done: list[Accepted] = []

    def accept(self, violation: ViolationRecord) -> str:
        """The line to show; UsageError if it cannot be accepted."""
        from panotui.policy.queries.accept import accept

        accepted = accept(self.path, violation)
        self._done.append(accepted)
        return f"{accepted.what} in {self.path}; it counts from the next start"

    def undo(self) -> str:
        from panotui.policy.queries.accept import undo

        if not self._done:
            return "nothing to take back"
        undo(self._done.pop())
        return f"{self.path} is as it was"


ANSWER_S = 10.0


class _Ask(msgspec.Struct, frozen=True):
    accept: ViolationRecord | None  # None: undo


class _Said(msgspec.Struct, frozen=True):
    """The result, or the reason for a refusal, as in `PanotuiError`."""

    text: str
    why: str | None = None
    remedy: str = ""


_asked = msgspec.msgpack.Decoder(_Ask)
_said = msgspec.msgpack.Decoder(_Said)


class SiteDesk:
    """A `SiteFileEditor` in a separate process; created after the drop, before any thread."""

    def __init__(self, path: Path) -> None:
        self._process = fork_meter(partial(_serve, path), title="panotui: site file")

    def accept(self, violation: ViolationRecord) -> str:
        """The line to show; UsageError if it cannot be accepted."""
        return self._ask(_Ask(violation))

    def undo(self) -> str:
        """The line to show; UsageError if it cannot be undone."""
        return self._ask(_Ask(None))

    def _ask(self, ask: _Ask) -> str:
        raw = None
        try:
            write_frame(self._process.stdin, encoder.encode(ask))
            if select.select([self._process.stdout], [], [], ANSWER_S)[0]:
                raw = read_frame(self._process.stdout)
            else:
                self._process.kill()  # a late answer would count as the answer to the next question
        except OSError:
            pass  # it has ended
        if raw is None:
            raise UsageError(
                "site file", "the process that edits it does not answer", "Start panotui again."
            )
        said = _said.decode(raw)
        if said.why is not None:
            raise UsageError(said.text, said.why, said.remedy)
        return said.text


def editor_of(path: Path) -> SiteFileEditor | SiteDesk:
    """The editor of a site file for a collector that is about to be confined."""
    shut_in = landlock.version() > 0
    if shut_in and os.access(path.resolve().parent, os.W_OK | os.X_OK):
        return SiteDesk(path)
    return SiteFileEditor(path)


def _serve(path: Path, asked: IO[bytes], told: IO[bytes]) -> None:
    editor = SiteFileEditor(path)
    while (raw := read_frame(asked)) is not None:
        ask = _asked.decode(raw)
        try:
            said = _Said(editor.undo() if ask.accept is None else editor.accept(ask.accept))
        except PanotuiError as error:
            said = _Said(error.what, error.why, error.remedy)
        write_frame(told, encoder.encode(said))
