"""JPEG in RTP (RFC 2435): which packet starts a frame, and the picture's size.

The main header is limited to 2040 pixels. For larger pictures cameras repeat the JPEG file's own
headers in an RTP header extension, as ONVIF's streaming specification requires.
"""

from __future__ import annotations

import numpy as np

from panotui.model import I32, I64, U8, U64
from panotui.wire.h264 import KEY, START, VCL


def flags(captured: I32, head: U64) -> U8:
    """(n,) flags: every frame is a key frame; a fragment offset of 0 starts one.

    `head` is the first eight bytes of each payload, as in `RtpColumns`.
    """
    known = captured >= 8
    start = known & (head & _FRAGMENT_OFFSET == 0)
    out: U8 = known.astype(np.uint8) * np.uint8(VCL | KEY)
    out |= start.astype(np.uint8) * np.uint8(START)
    return out


_FRAGMENT_OFFSET = np.uint64(0x00FF_FFFF_0000_0000)


EXTENSION_BYTES_MAX = 1024  # bytes of a header extension that are searched, from its end
_PROFILE = b"\xff\xd8"
_SIZED = frozenset({0xC0, 0xC1, 0xC2, 0xC3})  # frame headers (ITU-T T.81 B.2.2)


def sizes(data: U8, payload: I64) -> I64:
    """(n, 2) width and height in the main headers of n payloads of 8 bytes or more; 0 unknown."""
    return np.stack([data[payload + 6], data[payload + 7]], axis=1).astype(np.int64) * 8


def size_in_extension(before: bytes) -> tuple[int, int] | None:
    """The picture's size from the RTP header extension that ends `before` the payload."""
    for count in range(1, min(len(before), EXTENSION_BYTES_MAX) // 4):
        at = len(before) - 4 * count - 4
        if before[at : at + 2] == _PROFILE and int.from_bytes(before[at + 2 : at + 4]) == count:
            return _size_in_headers(before[at + 4 :])
    return None


def _size_in_headers(raw: bytes) -> tuple[int, int] | None:
    at = 0
    while at + 9 <= len(raw):
        if raw[at] != 0xFF:
            return None
        if raw[at + 1] in _SIZED:
            height, width = (
                int.from_bytes(raw[at + 5 : at + 7]),
                int.from_bytes(raw[at + 7 : at + 9]),
            )
            return (width, height) if 0 < width <= 16384 and 0 < height <= 16384 else None
        # fill bytes and markers without a length
        at += 1 if raw[at + 1] == 0xFF else 2 + int.from_bytes(raw[at + 2 : at + 4])
    return None


def size_of_picture(head: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG by its first bytes; None if they do not contain it."""
    return _size_in_headers(head[2:]) if head[:2] == b"\xff\xd8" else None
