"""Time stamps compared with arrival: rates of pictures, clocks that run fast or slow, catching up.

In: frames that advance the RTP clock, and the passing of time. Out: in the stream's row the
pictures per second of its stamps (long-term and recent), the speed of the RTP clock against arrival
over 30 s, and whether the stream catches up after a silence. If a sensor skips pictures, the span
of the stamps grows accordingly, so 20 of 25 give 20. The clock is measured by the least delayed
frames of each second, since queues only ever delay.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.by_stream import Segments
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.model import F64, I64, SECOND, Bool, Rows

WINDOW_S = 30  # over which the two clocks are compared
_THIRD_S = WINDOW_S // 3
_CELLS = WINDOW_S + 4  # seconds kept
_AGES = np.arange(WINDOW_S)
_FAR = 1 << 62
LONG_S = 300  # of a stream's usual rate: over this long, and as much before it
LATE_NS = SECOND * 3 // 4  # least lateness of frames that are catching up
FASTER = 1.1  # arrival this much faster than stamped means catching up
_SOON_S = 3  # seconds within which lateness disappears if a stream catches up at once


class StampRate:
    """State per stream: its timeline, transit times per second, and counts at its ticks."""

    def __init__(self, state: StreamColumns) -> None:
        n = state.capacity
        self._state = state
        self._has: Bool = np.zeros(n, bool)
        self._origin_ns: I64 = np.zeros(n, np.int64)
        self._elapsed: I64 = np.zeros(n, np.int64)  # ticks since then
        self._ticks: I64 = np.zeros(n, np.int64)  # over all timelines
        # second, least and largest transit in ns; a second's index is its number modulo _CELLS
        self._cells: I64 = np.zeros((n, _CELLS, 3), np.int64)
        # second, pictures and ticks at its end
        self._counts: I64 = np.zeros((n, _CELLS, 3), np.int64)
        # pictures and ticks: at the start of the long window, and of the one before it
        self._base: I64 = np.zeros((n, 2), np.int64)
        self._before: I64 = np.zeros((n, 2), np.int64)
        self._rolled_s: I64 = np.zeros(n, np.int64)

    def forget(self, stream: int) -> None:
        self._has[stream] = False
        self._rolled_s[stream] = 0
        for table in (self._elapsed, self._ticks, self._cells, self._counts, self._before):
            table[stream] = 0
        self._base[stream] = (1, 0)  # n pictures have n - 1 steps

    def follow(self, moves: Segments, at_ns: I64, ticks: I64, fresh: Bool, rate: F64) -> None:
        """n frames that advanced the clock of `rate` Hz by `ticks`; `fresh` ones begin a
        timeline.
        """
        ids, starts = moves.ids, moves.starts
        begun = ~self._has[ids]
        if begun.any():
            fresh = fresh.copy()
            fresh[starts[begun]] = True
            self._has[ids] = True
        rows: slice | I64 = slice(None)
        if fresh.any():
            ticks = np.where(fresh, 0, ticks)
            np.add.at(self._ticks, moves.ids[moves.index], ticks)
            last = np.maximum.reduceat(np.where(fresh, np.arange(moves.n), -1), starts)
            anew = last >= 0
            self._origin_ns[ids[anew]] = at_ns[last[anew]]
            self._elapsed[ids[anew]] = 0
            self._cells[ids[anew]] = 0
            rows = np.flatnonzero(np.arange(moves.n) >= last[moves.index])
            moves = Segments(moves.ids[moves.index[rows]])
            at_ns, ticks, rate = at_ns[rows], ticks[rows], rate[rows]
        else:
            self._ticks[ids] += np.add.reduceat(ticks, starts)
        elapsed = moves.running_sum(ticks, self._elapsed[ids])
        self._elapsed[ids] = elapsed[moves.ends]
        with np.errstate(divide="ignore", invalid="ignore"):
            media_ns = np.where(rate > 0, elapsed * (SECOND / rate), 0).astype(np.int64)
        transit = at_ns - self._origin_ns[ids][moves.index] - media_ns
        self._add(moves, at_ns // SECOND, transit)

    def _add(self, moves: Segments, second: I64, transit: I64) -> None:
        change = second[1:] != second[:-1]
        if change.any():
            begins = np.append(True, change)
            begins[moves.starts] = True
            starts = np.flatnonzero(begins)
        else:
            starts = moves.starts
        stream, of = moves.ids[moves.index[starts]], second[starts]
        least = np.minimum.reduceat(transit, starts)
        most = np.maximum.reduceat(transit, starts)
        place = of % _CELLS
        cell = self._cells[stream, place]
        same, newer = cell[:, 0] == of, cell[:, 0] < of
        cell[same, 1] = np.minimum(cell[same, 1], least[same])
        cell[same, 2] = np.maximum(cell[same, 2], most[same])
        cell[newer] = np.stack([of, least, most], axis=1)[newer]
        self._cells[stream, place] = cell

    def unrolled_s(self, start_ns: int) -> int:
        """For how many ticks after the one at `start_ns` no long window ends."""
        rolled_s = self._rolled_s[np.flatnonzero(self._state.started & self._state.picture)]
        if not len(rolled_s):
            return LONG_S
        return int(rolled_s.min()) + LONG_S - 1 - start_ns // SECOND if rolled_s.all() else 0

    def has(self, ids: I64) -> Bool:
        """(s,) streams with a timeline."""
        return self._has[ids]

    def ahead(
        self, moves: Segments, at_ns: I64, ticks: I64, rate: F64, cells: I64, start_ns: int
    ) -> tuple[F64, I64]:
        """The speed of the clocks, and their ticks, at the end of each second, (s, k) each.

        The n frames are as for `follow`, of the seconds from `start_ns` on; `cells` (s * k,) are
        the first ones of each second of each stream.
        """
        ids = moves.ids
        count = len(cells) // len(ids)
        elapsed = moves.running_sum(ticks, self._elapsed[ids])
        media_ns = (elapsed * (SECOND / rate)).astype(np.int64)
        transit = at_ns - self._origin_ns[ids][moves.index] - media_ns
        least = np.minimum.reduceat(transit, cells).reshape(-1, count)
        newest = np.full(len(ids), start_ns // SECOND - 1)
        known = np.concatenate([self._by_age(ids, newest)[0][:, ::-1], least], axis=1)
        windows = np.lib.stride_tricks.sliding_window_view(known, WINDOW_S, axis=1)[:, 1:, ::-1]
        rates = _rate(windows.reshape(-1, WINDOW_S)).reshape(-1, count)
        rates[self._state.row["clock_rate"][ids] <= 0] = np.nan
        passed = np.cumsum(np.add.reduceat(ticks, cells).reshape(-1, count), axis=1)
        return rates, self._ticks[ids][:, None] + passed

    def nominal(self, ids: I64, pictures: I64, ticks: I64, visible: Bool) -> F64:
        """(s, k) the usual rate of `visible` streams when these have been counted."""
        pictures = pictures + (self._before[ids, 0] - self._base[ids, 0])[:, None]
        ticks = ticks + (self._before[ids, 1] - self._base[ids, 1])[:, None]
        clock = self._state.row["clock_rate"][ids].astype(np.float64)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = pictures * clock / ticks
        return np.where(visible & (clock > 0) & (ticks > 0) & (pictures > 0), rate, np.nan)

    def sample(self, ids: I64, time_ns: I64, pictures: I64, ticks: I64) -> None:
        """What k ticks store, (s, k) each, of all streams."""
        shown = self._state.picture[ids]
        ids, pictures, ticks = ids[shown, None], pictures[shown], ticks[shown]
        second = time_ns // SECOND
        self._counts[ids, second % _CELLS, 0] = second
        self._counts[ids, second % _CELLS, 1] = pictures
        self._counts[ids, second % _CELLS, 2] = ticks

    def tick(self, now_ns: int) -> None:
        """Once a second of packet time: store the counts."""
        live = np.flatnonzero(self._state.started & self._state.picture)
        if not len(live):
            return
        second = now_ns // SECOND
        counted = np.stack([self._state.row["frames"][live], self._ticks[live]], axis=1)
        self._counts[live, second % _CELLS, 0] = second
        self._counts[live, second % _CELLS, 1:] = counted
        self._rolled_s[live[self._rolled_s[live] == 0]] = second
        over = second - self._rolled_s[live] >= LONG_S
        if over.any():
            rolled = live[over]
            self._before[rolled] = counted[over] - self._base[rolled]
            self._base[rolled] = counted[over]
            self._rolled_s[rolled] = second

    # ------------------------------------------------------------ out

    def write(self, out: Rows, streams: I64) -> None:
        """Fill in the rates by stamps; rates by arrival are there already."""
        shown = np.isfinite(out["fps"]) & (out["clock_rate"] > 0)
        clock = out["clock_rate"].astype(np.float64)
        counted = np.stack([out["frames"], self._ticks[streams]], axis=1)
        usual = counted - self._base[streams] + self._before[streams]
        lately = counted - self._thirty_ago(streams, out["last_ns"] // SECOND)
        for name, (pictures, ticks) in (
            ("fps_nominal", usual.T),
            ("fps_stamped", lately.T),
        ):
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = pictures * clock / ticks
            out[name] = np.where(shown & (ticks > 0) & (pictures > 0), rate, np.nan)
        least, most = self._by_age(streams, out["last_ns"] // SECOND)
        out["stamp_rate"] = np.where(out["clock_rate"] > 0, _rate(least), np.nan)
        out["catching_up"] = self._catches_up(out, least, most)

    def _thirty_ago(self, streams: I64, newest: I64) -> I64:
        """(s, 2) pictures and ticks half a minute before each stream's newest second."""
        out = np.zeros((len(streams), 2), np.int64)
        out[:, 0] = 1
        old = np.flatnonzero(self._state.row["first_ns"][streams] // SECOND < newest - WINDOW_S)
        if len(old):
            counts = self._counts[streams[old]]
            age = newest[old, None] - counts[:, :, 0]
            usable = (counts[:, :, 0] > 0) & (age <= WINDOW_S)
            oldest = np.argmax(np.where(usable, age, -_FAR), axis=1)
            at = np.arange(len(old))
            out[old] = np.where(usable[at, oldest, None], counts[at, oldest, 1:], out[old])
        return out

    def _by_age(self, streams: I64, newest: I64) -> tuple[I64, I64]:
        """(s, WINDOW_S) least and largest transit per second before the newest one; _FAR and -_FAR
        if there is none.
        """
        second = newest[:, None] - _AGES
        cells = self._cells[streams[:, None], second % _CELLS]
        there = cells[:, :, 0] == second
        return np.where(there, cells[:, :, 1], _FAR), np.where(there, cells[:, :, 2], -_FAR)

    def _catches_up(self, out: Rows, least: I64, most: I64) -> Bool:
        """(s,) whether delayed pictures arrive faster than they were produced."""
        with np.errstate(invalid="ignore"):
            faster = out["fps_now"] > FASTER * out["fps_nominal"]
        if not faster.any():
            return faster
        best = least.min(axis=1)
        late = (least[:, 0] != _FAR) & (least[:, 0] - best > LATE_NS)
        for age in range(_THIRD_S):
            soon = least[:, max(age - _SOON_S + 1, 0) : age + 1].min(axis=1)
            held = (most[:, age] != -_FAR) & (most[:, age] - soon > LATE_NS)
            late |= held & (most[:, age] - best > LATE_NS)
        result: Bool = faster & late
        return result


def _rate(least: I64) -> F64:
    """(s,) RTP time over arrival time, by the least transit of the first and last ten seconds."""
    at = np.arange(len(least))
    early, late = least[:, -_THIRD_S:], least[:, :_THIRD_S]
    first, last = early.argmin(axis=1) + WINDOW_S - _THIRD_S, late.argmin(axis=1)
    before, after = least[at, first], least[at, last]
    passed_ns = (first - last) * float(SECOND)
    known = (before != _FAR) & (after != _FAR)
    return np.where(known, 1 - np.where(known, after - before, 0) / passed_ns, np.nan)
