"""The failures that a user may see, each with its exit code.

Everything that can go wrong for a reason outside the program is raised as a `PanotuiError` with
three parts: what happened, why, and what to do about it. `cli.main` turns it into one line on
stderr; nothing else in the package prints errors.
"""

from __future__ import annotations


class PanotuiError(Exception):
    """A failure with a reason and a remedy; `str()` gives the line that the user reads."""

    exit_code = 1

    def __init__(self, what: str, why: str, remedy: str = "") -> None:
        super().__init__(what, why, remedy)
        self.what = what
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        line = f"{self.what}: {self.why.rstrip('.')}."
        return f"{line} {self.remedy}" if self.remedy else line


class UsageError(PanotuiError):
    """The command line or the site file is wrong."""

    exit_code = 2


class SiteError(UsageError):
    """The site file is wrong; `what` is `FILE:LINE`, `why` names the field."""


class InputError(PanotuiError):
    """The input is missing or not what it should be."""

    exit_code = 3


class PrivilegeError(PanotuiError):
    """The kernel refuses what the command needs."""

    exit_code = 4


class InterfaceError(PanotuiError):
    """An interface does not exist or has gone."""

    exit_code = 5


class RecordingError(PanotuiError):
    """The recording cannot be written any more."""

    exit_code = 6
