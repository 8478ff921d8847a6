"""Arrays of zeros that take memory only where they have been written.

`np.zeros` guarantees this only for arrays that the C library maps separately. Whether it does
depends on earlier frees, and memory from its heap is filled with zeros. A table that is reserved
for the worst case is therefore mapped directly: the system provides its pages on first write.
"""

from __future__ import annotations

import mmap
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def untouched(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """A writable array of zeros; parts that are only read take no memory."""
    kind = np.dtype(dtype)
    size = prod(shape) * kind.itemsize if isinstance(shape, tuple) else shape * kind.itemsize
    if not size or not hasattr(mmap, "MAP_PRIVATE"):
        return np.zeros(shape, kind)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, kind).reshape(shape)
