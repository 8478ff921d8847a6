"""Captures that were opened before rights were given up, by the names that they are asked for by.

A name may be out of reach afterwards, or somebody may have put another file in its place.
"""

from __future__ import annotations

import os

_given: dict[str, int] = {}


def give(path: str, descriptor: int) -> None:
    """From now on `path` means this open file or pipe."""
    _given[path] = descriptor


def descriptors() -> tuple[int, ...]:
    """All that were given."""
    return tuple(_given.values())


def descriptor(path: str) -> int | None:
    """The descriptor that was given for a name; it stays where it is."""
    return _given.get(path)


def size(path: str) -> int:
    """Bytes of a file, 0 for what is none."""
    given = _given.get(path)
    try:
        status = os.stat(path) if given is None else os.fstat(given)
    except OSError:
        return 0
    return status.st_size
