"""Copies a fixed number of bytes from many places of a buffer at once.

The one primitive under the decoder: with a view of the buffer as overlapping items of `width`
bytes, numpy copies a whole header per row with one `memcpy` (5 ns for 64 bytes), instead of one
gather per byte. Starts before or after the buffer are legal and give zeros.
"""

from __future__ import annotations

import numpy as np

from panotui.model import I64, U8, Rows


def gather(data: U8, starts: I64, width: int) -> Rows:
    """(m,) items of `width` bytes (dtype `V<width>`, contiguous), one from each start."""
    size = len(data)
    count = size - width + 1
    if not len(starts):
        return np.empty(0, f"V{width}")
    if count > 0:
        items: Rows = np.ndarray((count,), f"V{width}", data, 0, (1,))
        if starts.min() >= 0 and starts.max() < count:
            return items[starts]
    return _gather_at_the_rim(data, starts, width)


def _gather_at_the_rim(data: U8, starts: I64, width: int) -> Rows:
    size = len(data)
    count = size - width + 1
    out: Rows = np.empty(len(starts), f"V{width}")
    inside = np.clip(starts, 0, max(count - 1, 0))
    if count > 0:
        items: Rows = np.ndarray((count,), f"V{width}", data, 0, (1,))
        out = items[inside]
    block = out.view(np.uint8).reshape(len(starts), width)
    outside = np.arange(len(starts)) if count <= 0 else np.flatnonzero(inside != starts)
    for row in outside.tolist():  # at most a few rows per batch
        start = int(starts[row])
        block[row] = 0
        first, last = max(start, 0), min(start + width, size)
        if first < last:
            block[row, first - start : last - start] = data[first:last]
    return out
