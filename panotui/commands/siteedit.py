"""Accepting a violation into the site file, and taking that back."""

from __future__ import annotations

from pathlib import Path

from panotui.model import ViolationRecord


class SiteFileEditor:
    """Edits one site file through `policy.accept`, keeping its comments."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before: list[str] = []

    def accept(self, violation: ViolationRecord) -> str:
        """Write what allows it; the line to show. PanotuiError when it cannot be accepted."""
        from panotui.policy.accept import accept_violation
        from panotui.policy.site import read_text

        text = read_text(self.path)
        changed, said = accept_violation(text, violation)
        self._write(changed)
        self._before.append(text)
        return f"{said} ({self.path}; takes effect at the next start)"

    def undo(self) -> str:
        if not self._before:
            return "nothing to take back"
        self._write(self._before.pop())
        return f"{self.path} is as it was"

    def _write(self, text: str) -> None:
        """Whole or not at all: a new file beside it, then renamed over it."""
        beside = self.path.with_name(f".{self.path.name}.new")
        beside.write_text(text, encoding="utf-8")
        beside.chmod(self.path.stat().st_mode & 0o777)
        beside.replace(self.path)
