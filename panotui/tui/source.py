"""The source of the screen's frames: one request, one answer.

A `View` or a `Command` goes in, a `Frame` or a `Done` comes out. The feed's socket client is the
source in production; any object with this interface works, so that tests run the screen without a
collector.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from panotui.views.frames import Answer, Command, View


@runtime_checkable
class FrameSource(Protocol):
    """The collector from the screen's view. Raises `PanotuiError` if it is gone."""

    async def ask(self, request: View | Command) -> Answer:
        """The answer to one request; the screen never has two in flight."""

    async def close(self) -> None: ...


@runtime_checkable
class ReattachableSource(FrameSource, Protocol):
    """A source whose other end may come back: a restarted recorder."""

    async def reattach(self) -> None:
        """Connect again. Raises `PanotuiError` while nobody listens."""
