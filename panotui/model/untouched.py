"""Arrays of zeros that take memory only where they have been written.

`np.zeros` promises that only for arrays that the C library maps by themselves: which ones it does
depends on what was freed before, and what comes from its heap is written with zeros. A table that
is reserved for the worst case is asked of the system directly instead, which hands out pages when
they are first written.
"""

from __future__ import annotations

import mmap
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def untouched(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """A writable array of zeros; what is only read stays without memory of its own."""
    kind = np.dtype(dtype)
    size = prod(shape) * kind.itemsize if isinstance(shape, tuple) else shape * kind.itemsize
    if not size or not hasattr(mmap, "MAP_PRIVATE"):
        return np.zeros(shape, kind)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, kind).reshape(shape)
