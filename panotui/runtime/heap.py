"""The C library's heap, whose free memory stays this process's until it is asked for."""

from __future__ import annotations

import contextlib
import ctypes


def give_back() -> None:
    """Give whole free pages of the heap back to the system (malloc_trim(3)), in 1 to 20 ms.

    A second of a flood needs megabytes for a moment; what is allocated meanwhile and stays keeps
    the C library from giving them back by itself. Other C libraries have no such call.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
