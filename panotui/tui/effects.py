"""What a key press asks of the world outside the session: quit, copy, tell the collector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from panotui.views.frames import Command


@dataclass(frozen=True, slots=True)
class Quit:
    code: int


@dataclass(frozen=True, slots=True)
class Send:
    command: Command


@dataclass(frozen=True, slots=True)
class Copy:
    text: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """A new picture is wanted at once."""


@dataclass(frozen=True, slots=True)
class Rate:
    hertz: float


@dataclass(frozen=True, slots=True)
class Redraw:
    """Paint everything again, whatever the terminal may show."""


@dataclass(frozen=True, slots=True)
class Suspend:
    pass


@dataclass(frozen=True, slots=True)
class Help:
    pass


Effect: TypeAlias = Quit | Send | Copy | Fetch | Rate | Redraw | Suspend | Help
