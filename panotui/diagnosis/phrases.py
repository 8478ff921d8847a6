"""Parts of sentences shared by several rules."""

from __future__ import annotations


def listed(names: list[str]) -> str:
    """`a, b and 3 more`."""
    if len(names) <= 3:
        return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"{', '.join(names[:2])} and {len(names) - 2} more"


def milliseconds(value: float) -> str:
    """`< 1 ms`, `23 ms`."""
    return "< 1 ms" if value < 1 else f"{value:.0f} ms"


def attempts(count: int) -> str:
    """`1 attempt`, `3 attempts`."""
    return "1 attempt" if count == 1 else f"{count} attempts"


def segments_of(count: int) -> str:
    """`1 segment`, `3 segments`."""
    return "1 segment" if count == 1 else f"{count} segments"


def times(count: int) -> str:
    """`once`, `3 times`."""
    return "once" if count == 1 else f"{count} times"
