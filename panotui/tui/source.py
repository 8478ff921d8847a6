"""Where the screen's frames come from: one question, one answer, nothing else.

In comes a `View` or a `Command`, out comes a `Frame` or a `Done`. The feed's socket client is the
source in production; anything with these two methods serves, so the screen runs without a
collector in tests.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from panotui.views.frames import Answer, Command, View


@runtime_checkable
class FrameSource(Protocol):
    """The collector as the screen sees it. Raises `PanotuiError` when it has gone."""

    async def ask(self, request: View | Command) -> Answer:
        """The answer to one request; the screen never has two in flight."""

    async def close(self) -> None: ...


@runtime_checkable
class ReattachableSource(FrameSource, Protocol):
    """A source whose other end may come back: a recorder that was started again."""

    async def reattach(self) -> None:
        """Connect anew. Raises `PanotuiError` while nobody is there."""
