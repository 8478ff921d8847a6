"""Captures that were opened before privileges were dropped, by the names used for them.

Such a name may be out of reach later, or another file may have replaced it.
"""

from __future__ import annotations

import os

_given: dict[str, int] = {}


def give(path: str, descriptor: int) -> None:
    """From now on `path` stands for this open file or pipe."""
    _given[path] = descriptor


def descriptors() -> tuple[int, ...]:
    """All descriptors that were given."""
    return tuple(_given.values())


def descriptor(path: str) -> int | None:
    """The descriptor that was given for a name; its offset is not moved."""
    return _given.get(path)


def size(path: str) -> int:
    """Size of a file in bytes, 0 if it is not one."""
    given = _given.get(path)
    try:
        status = os.stat(path) if given is None else os.fstat(given)
    except OSError:
        return 0
    return status.st_size
