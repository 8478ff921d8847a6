"""The C library's heap, whose free memory stays with this process until it is released."""

from __future__ import annotations

import contextlib
import ctypes


def give_back() -> None:
    """Return whole free pages of the heap to the system (malloc_trim(3)), in 1 to 20 ms.

    A second of a flood briefly needs megabytes. Long-lived allocations made meanwhile keep the C
    library from releasing them by itself. Other C libraries have no such call.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
