"""Interarrival jitter (RFC 3550 6.4.1 and A.8): how irregularly packets, or frames, arrive.

In: the deviation of each arrival from the RTP clock, and which arrivals count. Out: the filter's
value after each that counts, and its last, mean and largest value per stream. `packet_deviation`
computes the deviation of packets in order of arrival, `frame_timing` that of frames.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.meter.rtp.by_stream import Segments, smooth
from panotui.meter.rtp.clock import JUMP_S, deviation, is_jump
from panotui.meter.rtp.records import Grouped
from panotui.meter.rtp.sequence import Sequence
from panotui.model import F64, I64, Bool, Rows


class Smoothed(Struct):
    """Jitter after each counted row."""

    values: F64  # (k,) ticks of the stream's clock
    rows: I64 | None  # (k,) those rows, ascending; None: all of them

    def at(self, rows: I64) -> F64:
        """Jitter at these rows; NaN at rows that do not count."""
        if self.rows is None:
            return self.values[rows]
        place = np.searchsorted(self.rows, rows, side="right") - 1
        known = place >= 0
        known[known] = self.rows[place[known]] == rows[known]
        out = np.full(len(rows), np.nan)
        out[known] = self.values[place[known]]
        return out


class Jitter:
    """The filter's state, one per stream."""

    def __init__(self, capacity: int) -> None:
        self._state: F64 = np.zeros((capacity, 4))  # present value, sum, count, largest; ticks

    def forget(self, stream: int) -> None:
        self._state[stream] = 0

    def fold(self, off: F64, valid: Bool | None, segments: Segments) -> Smoothed:
        """Run the filter over the deviations (n,) of rows that are `valid` (None: all)."""
        state = self._state
        if valid is None or valid.all():
            rows, part = None, segments
            values = smooth(off, part, state[part.ids, 0])
        else:
            rows = np.flatnonzero(valid)
            if not len(rows):
                return Smoothed(np.zeros(0), rows)
            part = Segments(segments.ids[segments.index[rows]])
            values = smooth(off[rows], part, state[part.ids, 0])
        ids = part.ids
        state[ids, 0] = values[part.ends]
        state[ids, 1] += np.add.reduceat(values, part.starts)
        state[ids, 2] += part.counts
        state[ids, 3] = np.maximum(state[ids, 3], np.maximum.reduceat(values, part.starts))
        return Smoothed(values, rows)

    def write(self, out: Rows, streams: I64, name: str) -> None:
        """Fill `{name}_ms`, `{name}_mean_ms` and `{name}_max_ms` of the streams' rows."""
        now, total, count, most = self._state[streams].T
        known = count > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            to_ms = np.where(out["clock_rate"] > 0, 1000 / out["clock_rate"], np.nan)
            out[f"{name}_ms"] = np.where(known, now * to_ms, np.nan)
            out[f"{name}_mean_ms"] = np.where(known, total / count * to_ms, np.nan)
            out[f"{name}_max_ms"] = np.where(known, most * to_ms, np.nan)


def packet_deviation(
    packets: Grouped, clock: I64, gap_ns: I64, sequence: Sequence, untold: I64
) -> tuple[F64, Bool | None]:
    """(n,) |D| of each packet in ticks, and which of them count (None: all).

    `clock` are the rates of all streams, in Hz.

    Packets after a restart of the sender or a jump of its clock do not count, nor do the rows
    `untold`: earlier packets say nothing about the path.
    """
    segments, step, flawed = packets.segments, packets.step, sequence.flawed
    hz = clock[segments.ids].astype(np.float64)
    one = float(hz[0])
    rate: F64 | float = one
    calm = bool((hz == one).all())
    if calm:
        limit = JUMP_S * one
        calm = one > 0 and -limit <= int(step.min()) and int(step.max()) <= limit
    else:
        rate = hz[segments.index]
    off = deviation(gap_ns, step, rate)
    restarted = flawed.rows[flawed.restarted] if flawed is not None else untold[:0]
    if calm and not len(untold) and not len(restarted):
        return off, None
    valid = ~is_jump(step, off, rate)
    valid &= np.asarray(rate) > 0
    valid[untold] = False
    valid[restarted] = False
    return off, valid
