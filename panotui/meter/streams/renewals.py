"""Streams that go on under another SSRC: whether packets continue those of another source.

In: the last packet of one source and the first of another. Out: whether sequence and time go on;
of the sources on probation, those that are one stream with a confirmed one.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.clock import wrap32
from panotui.meter.rtp.sequence import MAX_DROPOUT, MAX_MISORDER
from panotui.meter.streams.known_streams import Source
from panotui.meter.streams.probation import Held, Probation
from panotui.model import SECOND, Rows

_FASTEST = 4_000  # packets per second of one stream
_RENEWAL_S = 2.0  # tolerance between the clocks of a new SSRC and the old one
_VIDEO_HZ = 90_000


def follows(first: Rows, sequence: int, stamp: int, time_ns: int, clock: int) -> bool:
    """Whether a packet goes on where another stopped, which has this sequence number, timestamp and
    arrival; `clock` in Hz.
    """
    ahead = (int(first["sequence"]) - sequence) & 0xFFFF
    passed_s = (int(first["time_ns"]) - time_ns) / SECOND
    if not 0 < ahead < MAX_DROPOUT or not clock:
        return False
    if ahead > MAX_MISORDER + _FASTEST * max(passed_s, 0.0):
        return False  # more than can have been sent meanwhile
    moved_s = int(wrap32(np.array([int(first["timestamp"]) - stamp]))[0]) / clock
    return abs(moved_s - passed_s) <= max(_RENEWAL_S, passed_s / 4)


def ends_before(earlier: Held, later: Rows) -> bool:
    """Whether all packets of a source came before the others."""
    return bool(earlier.in_order()["order"][-1] < later["order"][0])


def sources_before(probation: Probation, source: Source, held: Held) -> list[Source]:
    """The sources on probation whose stream goes on as this one, oldest first: a camera that takes
    a new SSRC with each key frame has shown too few packets of the first ones.
    """
    first = held.in_order()
    past = []
    for other in probation.on(source[0], (source[1],)):
        known = probation.look(other)
        if known.payload_type == held.payload_type and ends_before(known, first):
            past.append((known.in_order(), other))
    out: list[Source] = []
    for rows, other in sorted(past, key=lambda one: -int(one[0]["order"][-1])):
        last = rows[-1]
        number, stamp, time_ns = (int(last[name]) for name in ("sequence", "timestamp", "time_ns"))
        if follows(first[0], number, stamp, time_ns, _VIDEO_HZ):
            out.append(other)
            first = rows
    return out[::-1]
