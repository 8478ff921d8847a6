"""Effects of a key press outside the session: quit, copy, send a command to the collector."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from panotui.views.frames import Command


class Quit(Struct, frozen=True):
    code: int
    leaving: bool = False  # the last picture stays in the terminal


class Send(Struct, frozen=True):
    command: Command


class Copy(Struct, frozen=True):
    text: str


class Fetch(Struct, frozen=True):
    """A new frame is needed at once."""


class Rate(Struct, frozen=True):
    hertz: float


class Redraw(Struct, frozen=True):
    """Paint everything again, whatever the terminal may show."""


class Suspend(Struct, frozen=True):
    pass


class Help(Struct, frozen=True):
    pass


class Remember(Struct, frozen=True):
    """The columns of a pane, for the next start."""

    pane: str
    columns: tuple[str, ...]


Effect: TypeAlias = Quit | Send | Copy | Fetch | Rate | Redraw | Suspend | Help | Remember
