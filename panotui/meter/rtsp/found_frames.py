"""The content of a batch's connections: `$` frames as numbers, pictures of HTTP responses.

Frames are appended as flat numbers, one short step each; their RTP headers are read later, all at
once. RFC 2326 10.12.
"""

from __future__ import annotations

import re
from array import array

import numpy as np

from panotui.meter.rtsp.multipart import Part
from panotui.model import I64

FRAME_HEAD = 256  # bytes kept of a frame that spans segments: RTP header and parameter sets
# Frames too short for RTP and RTCP, as many as are consecutive.
SMALL = 8
SMALL_FRAMES = re.compile(
    rb"(?:\$.\x00(?:" + b"|".join(b"\\x%02x.{%d}" % (n, n) for n in range(SMALL)) + rb"))+",
    re.DOTALL,
)


class Frames:
    """`$` frames of a batch: `FIELDS` numbers each in `numbers`, split heads in `side`."""

    FIELDS = 7  # carrier, position (>= 0 in the batch's data, else ~position in side), length,
    # captured bytes, time_ns, packet number, epoch

    def __init__(self) -> None:
        self.numbers = array("q")
        self.side = bytearray()
        self.tables: list[I64] = []  # (n, FIELDS) of frames that came in runs
        self.parts: list[Part] = []  # pictures of HTTP responses

    def table(self) -> I64:
        """(n, FIELDS) all frames; within a packet in the order of the rows."""
        if not self.numbers and len(self.tables) == 1:
            return self.tables[0]
        walked = np.frombuffer(self.numbers, np.int64).reshape(-1, self.FIELDS)
        return np.concatenate([walked, *self.tables])
