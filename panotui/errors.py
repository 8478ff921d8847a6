"""The errors that a user may see, each with its exit code.

Every failure with a cause outside the program is raised as a `PanotuiError` with three parts: what
happened, why, and what to do about it. `cli.main` turns it into one line on stderr; nothing else in
the package prints errors.
"""

from __future__ import annotations


class PanotuiError(Exception):
    """A failure with a reason and a remedy; `str()` is the line for the user."""

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


class NoSuchCommand(UsageError):
    """A word that is not a command of `path`; `guess` is the most similar one."""

    def __init__(self, word: str, guess: str | None, path: str) -> None:
        super().__init__(word, "no such command", f"See `{path} --help`.")
        self.guess = guess

    def __str__(self) -> str:
        if self.guess is not None:
            return f"no such command '{self.what}'; did you mean '{self.guess}'?"
        return f"no such command '{self.what}'. {self.remedy}"


class SiteError(UsageError):
    """The site file is wrong; `what` is `FILE:LINE`, `why` names the field."""


class NotYetError(PanotuiError):
    """The result is in progress; the same request returns it shortly."""


CHECK = "Check the name and the rights."  # what to do about a file that cannot be read


class InputError(PanotuiError):
    """The input is missing or invalid."""

    exit_code = 3


class NothingShared(InputError):
    """Two captures have no packet in common."""

    exit_code = 7


class ClocksApart(InputError):
    """The clocks of two captures differ so much that they hardly show the same traffic."""

    exit_code = 8


class FramesCut(InputError):
    """A capture has too few bytes per packet to identify packets."""

    exit_code = 9


class OtherSite(InputError):
    """A baseline or a recording is of another site: its name, cameras or time zone differ."""

    exit_code = 10


class OutputError(PanotuiError):
    """Standard output cannot be written: its disk is full, or its terminal is gone."""

    exit_code = 3

    def __init__(self, error: OSError) -> None:
        why = f"it cannot be written: {error.strerror or error}"
        super().__init__("standard output", why, "Make room there, or write elsewhere.")


class PrivilegeError(PanotuiError):
    """The kernel refuses what the command needs."""

    exit_code = 4


class InterfaceError(PanotuiError):
    """An interface does not exist or is gone."""

    exit_code = 5


class RecordingError(PanotuiError):
    """The recording can no longer be written."""

    exit_code = 6
