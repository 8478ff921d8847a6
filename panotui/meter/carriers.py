"""What carries media: a direction of a UDP flow, or a channel of an RTSP connection.

Parallel arrays, one place a carrier, so that a batch's rows find their stream, or that they are
no media at all, by one array look-up.
"""

from __future__ import annotations

import numpy as np

from panotui.model import I32, I64, U8, U32, U64, Bool

UNKNOWN = 0
NO_MEDIA = 1
RTP = 2
RTCP = 3


class Carriers:
    """Grows as places are used; `check` begins a place anew when another flow has taken it."""

    def __init__(self, size: int) -> None:
        self.kind: U8 = np.zeros(size, np.uint8)
        self.stream: I32 = np.full(size, -1, np.int32)  # index of the newest stream
        self.ssrc: U32 = np.zeros(size, np.uint32)
        self.payload_type: U8 = np.zeros(size, np.uint8)
        self.strikes: I32 = np.zeros(size, np.int32)
        self.secured: Bool = np.zeros(size, bool)  # DTLS was seen: what follows is SRTP
        self.flow: U64 = np.zeros(size, np.uint64)

    def reserve(self, size: int) -> None:
        """Make room for places below `size`."""
        have = len(self.kind)
        if size <= have:
            return
        more = max(size, 2 * have)
        for name, fill in (
            ("kind", 0),
            ("stream", -1),
            ("ssrc", 0),
            ("payload_type", 0),
            ("strikes", 0),
            ("secured", False),
            ("flow", 0),
        ):
            old = getattr(self, name)
            new = np.full(more, fill, old.dtype)
            new[:have] = old
            setattr(self, name, new)

    def check(self, place: I64, flow: U64) -> I64:
        """Begin anew where the flow is another; returns those places."""
        other = self.flow[place] != flow
        if not other.any():
            return place[:0]
        changed = place[other]
        self.flow[changed] = flow[other]
        self.clear(changed)
        return np.unique(changed)

    def clear(self, place: I64) -> None:
        self.kind[place] = UNKNOWN
        self.stream[place] = -1
        self.strikes[place] = 0
        self.secured[place] = False
