"""Whether a decoder with a given buffer would have stalled: a play-out model, vectorised over
frames.

In: when each frame was complete, and its RTP timestamp. Out: how often and how long a decoder with
50, 200 or 500 ms of buffer would have stalled. A frame's lateness is its transit time minus the
best recent one; the best may grow by 500 ppm, so that clock drift of a camera does not count as
lateness. Consecutive frames later than the buffer are one stall, as long as the latest of them
exceeds the buffer.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.by_stream import Segments
from panotui.meter.rtp.clock import is_far, wrap32
from panotui.model import F64, I64, SECOND, Bool

BUFFERS_MS = (50, 200, 500)
_LEAK_NS_PER_S = 500_000
_TRANSIT_LIMIT = 1 << 42  # ns, 73 minutes: beyond it a timeline is broken anyway


class Stutter:
    """State per stream: the best transit, and continuing stalls."""

    def __init__(self, capacity: int) -> None:
        self._has: Bool = np.zeros(capacity, bool)
        self._origin_ns: I64 = np.zeros(capacity, np.int64)
        self._best: I64 = np.zeros(capacity, np.int64)
        self._elapsed: I64 = np.zeros(capacity, np.int64)  # media time since the origin, ns
        self._played: I64 = np.zeros(capacity, np.int64)  # RTP timestamp of the newest frame
        self._worst: I64 = np.zeros((capacity, len(BUFFERS_MS)), np.int64)  # 0: no stall now
        self.stalls: I64 = np.zeros((capacity, len(BUFFERS_MS)), np.int64)
        self.stalled_ns: I64 = np.zeros((capacity, len(BUFFERS_MS)), np.int64)

    def forget(self, stream: int) -> None:
        self._has[stream] = False
        self._worst[stream] = 0
        self.stalls[stream] = 0
        self.stalled_ns[stream] = 0

    def play(self, stream: I64, complete_ns: I64, timestamp: I64, rate: F64, fresh: Bool) -> None:
        """n > 0 frames grouped by stream, in order: completion time, RTP timestamp, clock rate in
        Hz.

        `fresh` starts a new timeline, as a jump of the timestamps does by itself.
        """
        part = Segments(stream)
        step = wrap32(timestamp - part.previous(timestamp, self._played[part.ids]))
        broken = is_far(step, rate) | fresh
        self._played[part.ids] = timestamp[part.ends]
        step_ns = np.where(broken, 0, step * (SECOND / rate)).astype(np.int64)
        self.frames(stream, complete_ns, step_ns, broken)

    def frames(self, stream: I64, complete_ns: I64, step_ns: I64, fresh: Bool) -> None:
        """n frames grouped by stream, in order: completion time, media time since the previous
        frame.

        `fresh` starts a new timeline (first frame, restart, timestamp jump): the best transit is
        forgotten and `step_ns` is not read.
        """
        by_stream = Segments(stream)
        starts, ids = by_stream.starts, by_stream.ids
        fresh = fresh.copy()
        fresh[starts] |= ~self._has[ids]
        anew = fresh.copy()
        anew[starts] = True
        pieces = Segments(np.cumsum(anew))
        # What each piece continues: the stream's state, or nothing.
        head = pieces.starts
        continues = ~fresh[head]
        owner = stream[head]
        origin = np.where(continues, self._origin_ns[owner], complete_ns[head])
        before = np.where(continues, self._elapsed[owner], 0)
        steps = step_ns.copy()
        steps[fresh] = 0
        elapsed = pieces.running_sum(steps, before)
        arrived = complete_ns - origin[pieces.index]
        transit = np.clip(arrived - elapsed, -_TRANSIT_LIMIT, _TRANSIT_LIMIT)
        leak = arrived // 1_000_000_000 * _LEAK_NS_PER_S
        base = transit - leak
        seeded = base.copy()
        keep = head[continues]
        seeded[keep] = np.minimum(base[keep], self._best[owner[continues]])
        best = pieces.running_min(seeded)
        late = base - best
        last = pieces.ends[np.searchsorted(pieces.starts, by_stream.ends, side="right") - 1]
        most = int(late.max())
        for i, buffer_ms in enumerate(BUFFERS_MS):
            if most <= buffer_ms * 1_000_000:
                self._worst[owner, i] = 0
                continue
            self._count(i, late - buffer_ms * 1_000_000, pieces, owner, continues)
        self._has[ids] = True
        self._best[ids] = best[last]
        self._elapsed[ids] = elapsed[last]
        self._origin_ns[ids] = origin[pieces.index[last]]

    def _count(self, i: int, over: I64, pieces: Segments, owner: I64, continues: Bool) -> None:
        """Merge frames that are `over` (ns) the buffer into stalls."""
        head, worst = pieces.starts, self._worst[:, i]
        open_before = np.where(continues, worst[owner], 0)
        # A stall ends with its timeline.
        worst[owner] = np.where(continues, worst[owner], 0)
        late = over > 0
        if not late.any():
            worst[owner] = 0
            return
        previous = np.empty_like(late)
        previous[1:] = late[:-1]
        previous[head] = open_before > 0
        rows = np.flatnonzero(late)
        key = np.cumsum(late & ~previous)[rows] + pieces.index[rows] * len(late)
        runs = Segments(key)
        longest = np.maximum.reduceat(over[rows], runs.starts)
        at = rows[runs.starts]
        piece = pieces.index[at]
        joined = previous[at] & (at == head[piece])
        earlier = np.where(joined, open_before[piece], 0)
        longest = np.maximum(longest, earlier)
        np.add.at(self.stalls[:, i], owner[piece], (~joined).astype(np.int64))
        np.add.at(self.stalled_ns[:, i], owner[piece], longest - earlier)
        # The stall of each piece that continues at its end; pieces of a stream come in order.
        ongoing = np.zeros(len(head), np.int64)
        tail = rows[runs.ends] == pieces.ends[piece]
        ongoing[piece[tail]] = longest[tail]
        worst[owner] = ongoing
