"""Carriers of media: a direction of a UDP flow, or a channel of an RTSP connection.

Parallel arrays, one slot per carrier, so that one array lookup gives a batch's rows their stream,
or shows that they are not media. A `Lane` is one of the two transports of media: it sorts packets
into `Recognised` and knows the identity of its carriers.
"""

from __future__ import annotations

import numpy as np

from panotui.model import I32, I64, U8, U16, U32, U64, Bool
from panotui.model.arrays import distinct
from panotui.wire.rtp import NO_LOOK, look_of

UNKNOWN = 0
NO_MEDIA = 1
RTP = 2
RTCP = 3
_NO_PAYLOAD_TYPE = 255


class Carriers:
    """Grows as slots are used; `check` resets a slot when another flow has taken it."""

    def __init__(self, size: int) -> None:
        self.kind: U8 = np.zeros(size, np.uint8)
        self.stream: I32 = np.full(size, -1, np.int32)  # index of the newest stream
        self.ssrc: U32 = np.zeros(size, np.uint32)
        self.payload_type: U8 = np.zeros(size, np.uint8)
        # the first two bytes of that stream's plain packets, without the marker
        self.look: U16 = np.full(size, NO_LOOK, np.uint16)
        self.strikes: I32 = np.zeros(size, np.int32)
        self.secured: Bool = np.zeros(size, bool)  # DTLS was seen: what follows is SRTP
        self.flow: U64 = np.zeros(size, np.uint64)

    def reserve(self, size: int) -> None:
        """Make room for slots below `size`."""
        have = len(self.kind)
        if size <= have:
            return
        more = max(size, 2 * have)
        for name, fill in (
            ("kind", 0),
            ("stream", -1),
            ("ssrc", 0),
            ("payload_type", 0),
            ("look", NO_LOOK),
            ("strikes", 0),
            ("secured", False),
            ("flow", 0),
        ):
            old = getattr(self, name)
            new = np.full(more, fill, old.dtype)
            new[:have] = old
            setattr(self, name, new)

    def check(self, place: I64, flow: U64) -> I64:
        """Reset slots whose flow has changed; returns them."""
        other = self.flow.take(place) != flow
        if not other.any():
            return place[:0]
        changed = place[other]
        self.flow[changed] = flow[other]
        self.clear(changed)
        return distinct(changed)

    def point(self, place: int, stream: int, ssrc: int, payload_type: int) -> None:
        """Set the newest stream of a slot, and the look of its packets."""
        self.stream[place] = stream
        self.ssrc[place] = ssrc
        self.payload_type[place] = payload_type
        self.look[place] = look_of(payload_type)

    def look_again(self) -> None:
        """Examine packets again that were not taken for media."""
        again = np.flatnonzero(self.kind == NO_MEDIA)
        self.kind[again] = UNKNOWN
        self.strikes[again] = 0

    def doubt(self, place: int) -> None:
        """The next packet of a slot takes the slow path."""
        self.payload_type[place] = _NO_PAYLOAD_TYPE
        self.look[place] = NO_LOOK

    def lose(self, place: I64 | int) -> None:
        """Remove the stream of these slots."""
        self.stream[place] = -1
        self.look[place] = NO_LOOK

    def clear(self, place: I64) -> None:
        self.kind[place] = UNKNOWN
        self.lose(place)
        self.strikes[place] = 0
        self.secured[place] = False
