"""Accepting a violation into the site file from a screen, and taking that back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from panotui.model import ViolationRecord

if TYPE_CHECKING:
    from panotui.policy.queries.accept import Accepted


class SiteFileEditor:
    """Edits one site file through `policy.accept`; remembers what it did, for undo."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done: list[Accepted] = []

    def accept(self, violation: ViolationRecord) -> str:
        """The line to show; UsageError when it cannot be accepted."""
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
