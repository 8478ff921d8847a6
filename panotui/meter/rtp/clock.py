"""The clock of RTP timestamps: 32 bits that wrap, and steps that are not elapsed time.

A step of more than JUMP_S is an outlier or the start of another timeline, unless as much real time
has passed (a camera with one picture per minute, a PAUSE during which the clock ran).
"""

from __future__ import annotations

import numpy as np

from panotui.model import F64, I32, I64, SECOND, Bool

JUMP_S = 5.0
AGREES_S = 0.1
HALF = 1 << 31
VIDEO_HZ = 90_000.0  # assumed for unknown clocks


def wrap32(difference: I64) -> I64:
    """Differences of RTP timestamps as signed 32-bit numbers."""
    result: I64 = ((difference + HALF) & 0xFFFFFFFF) - HALF
    return result


def deviation(time_ns: I64, step: I32 | I64, rate: F64 | float) -> F64:
    """(n,) |D| of RFC 3550 6.4.1 in ticks: elapsed time at `rate` Hz against the clock's step."""
    out = np.multiply(time_ns, rate / SECOND, dtype=np.float64)
    out -= step
    return np.abs(out, out=out)


def is_far(step: I32 | I64, rate: F64 | float) -> Bool:
    """(n,) steps of more than JUMP_S, in either direction, of clocks of `rate` Hz."""
    result: Bool = (step > JUMP_S * rate) | (step < -JUMP_S * rate)
    return result


def is_jump(step: I32 | I64, off: F64, rate: F64 | float) -> Bool:
    """(n,) far steps that are `off` (see `deviation`) from the elapsed time."""
    far = is_far(step, rate)
    if far.any():
        far &= off > AGREES_S * rate
    return far
