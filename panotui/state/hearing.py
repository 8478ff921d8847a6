"""Distribution of messages: books declare the types that they need, and get each such message.

A listener declares the types of messages that it learns from (`hears`), and gets each of them with
the number of its meter, in packet order, after the listeners before it. A message without listeners
costs one lookup, so that the most frequent messages stay cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar, Protocol, TypeAlias

from panotui.model import AnyMessage

Ear: TypeAlias = Callable[[AnyMessage, int], None]


class Listener(Protocol):
    """A book that learns from messages."""

    hears: ClassVar[frozenset[type]]

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Learn from one message of a type in `hears`, of the meter with that number."""


class Hearing:
    """Messages to their listeners, by type."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._ears: dict[type, tuple[Ear, ...]] = {}

    def of(self, kind: type) -> tuple[Ear, ...]:
        """The functions to call for each message of a type, in the order of the listeners."""
        ears = self._ears.get(kind)
        if ears is None:
            ears = tuple(one.observe for one in self._listeners if kind in one.hears)
            self._ears[kind] = ears
        return ears

    def tell(self, message: AnyMessage, meter: int) -> None:
        """Pass a message to the listeners of its type."""
        for ear in self.of(type(message)):
            ear(message, meter)
