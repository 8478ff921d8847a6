"""JPEG in RTP (RFC 2435): which packet starts a frame, and the picture's size."""

from __future__ import annotations

import numpy as np

from panotui.model import I32, I64, U8
from panotui.wire.h264 import KEY, START, VCL


def flags(data: U8, payload: I64, captured: I32) -> U8:
    """(n,) flags: every frame is a key frame; a fragment offset of 0 starts one."""
    out = np.zeros(len(payload), np.uint8)
    known = np.flatnonzero(captured >= 8)
    if len(known):
        at = payload[known]
        start = (data[at + 1] | data[at + 2] | data[at + 3]) == 0
        out[known] = VCL | KEY
        out[known[start]] |= START
    return out


def parse_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height in the main header; None where it says 0 (larger than 2040)."""
    if len(payload) < 8 or not payload[6] or not payload[7]:
        return None
    return payload[6] * 8, payload[7] * 8
