"""Interarrival jitter (RFC 3550 6.4.1 and A.8): how irregularly packets, or frames, arrive.

In: the deviation of each arrival from the RTP clock, and which arrivals count. Out: the filter's
value after each that counts, and its last, mean and largest value per stream. `packet_deviation`
computes the deviation of packets in order of arrival, `frame_timing` that of frames.
"""

from __future__ import annotations

import itertools

import numpy as np
from msgspec import Struct

from panotui.meter.rtp.by_stream import Segments
from panotui.meter.rtp.clock import JUMP_S, deviation, is_jump
from panotui.meter.rtp.records import Grouped
from panotui.meter.rtp.sequence import Sequence
from panotui.model import F64, I64, Bool, Rows

_DECAY = 15 / 16  # RFC 3550 6.4.1
_BLOCK = 128  # rows
_POWERS = _DECAY ** np.arange(_BLOCK)
_UNSCALE, _SCALE, _CARRIED = 1 / _POWERS, _POWERS / 16, _POWERS * _DECAY
_UNITS = 1 << 23
_FULL = 2.0**51  # units; a few hours' jitter of a stream
_FEW = 16  # streams whose blocks are chained one by one


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


class _Run(Struct):
    """The filter over the rows of s segments, and its state behind them."""

    values: F64  # (n,)
    level: F64  # (s,) where the open block begins
    scaled: F64  # (s,) of its deviations so far


class Jitter:
    """The filter's state, one per stream.

    A stream's rows are filtered in blocks that begin at each 128th of them, and values are summed
    in whole units of 2^-23 ticks: so neither depends on how the rows are cut, to the last digit.
    """

    def __init__(self, capacity: int) -> None:
        self._now: F64 = np.zeros(capacity)  # ticks, as all of these
        self._most: F64 = np.zeros(capacity)
        self._count: I64 = np.zeros(capacity, np.int64)
        # In _UNITS, exact: the sum is that of both, the first of which is a multiple of _FULL.
        self._sums: F64 = np.zeros(capacity)
        self._sum: F64 = np.zeros(capacity)
        # (see `_Run`)
        self._level: F64 = np.zeros(capacity)
        self._scaled: F64 = np.zeros(capacity)

    def forget(self, stream: int) -> None:
        self._count[stream] = 0
        for table in (
            self._now, self._most, self._sums, self._sum, self._level, self._scaled,
        ):  # fmt: skip
            table[stream] = 0

    def fold(self, off: F64, valid: Bool | None, segments: Segments) -> Smoothed:
        """Run the filter over the deviations (n,) of rows that are `valid` (None: all)."""
        if valid is None or valid.all():
            rows, part = None, segments
        else:
            rows = np.flatnonzero(valid)
            if not len(rows):
                return Smoothed(np.zeros(0), rows)
            off, part = off[rows], Segments(segments.ids[segments.index[rows]])
        run = self._run(off, part)
        ids, values = part.ids, run.values
        self._now[ids] = values[part.ends]
        self._most[ids] = np.maximum(self._most[ids], np.maximum.reduceat(values, part.starts))
        self._count[ids] += part.counts
        total = self._sum[ids] + np.add.reduceat(np.rint(values * _UNITS), part.starts)
        rest = total % _FULL
        self._sums[ids] += total - rest
        self._sum[ids] = rest
        self._level[ids], self._scaled[ids] = run.level, run.scaled
        return Smoothed(values, rows)

    def ahead(self, off: F64, segments: Segments) -> F64:
        """(n,) its value after each of these deviations, all of which count."""
        return self._run(off, segments).values

    def _run(self, off: F64, part: Segments) -> _Run:
        """J += (x - J) / 16 over each segment (RFC 3550 6.4.1).

        Within a block, J_k = a^(k+1) J + (1/16) sum a^(k-i) x_i is a scaled cumulative sum (all
        terms are positive, so nothing cancels); the blocks of a segment are chained.
        """
        ids = part.ids
        before = self._count[ids] % _BLOCK
        blocks = (before + part.counts - 1) // _BLOCK + 1
        first = np.cumsum(blocks) - blocks
        last, end = first + blocks - 1, (before + part.counts - 1) % _BLOCK
        at = (first * _BLOCK + before - part.starts)[part.index] + np.arange(part.n)
        # What the open block has so far stands before its first row here.
        open_ = np.flatnonzero(before)
        behind = first[open_], before[open_] - 1
        table = np.zeros((int(blocks.sum()), _BLOCK))
        table.reshape(-1)[at] = off
        table *= _UNSCALE
        table[behind] = self._scaled[ids[open_]]
        np.cumsum(table, axis=1, out=table)
        scaled = table[last, end]
        table *= _SCALE
        carry = _chain(table[:, -1], blocks, self._level[ids])
        table += carry[:, None] * _CARRIED
        values: F64 = table.reshape(-1)[at]
        full = end == _BLOCK - 1
        level = np.where(full, values[part.ends], carry[last])
        return _Run(values, level, np.where(full, 0, scaled))

    def write(self, out: Rows, streams: I64, name: str) -> None:
        """Fill `{name}_ms`, `{name}_mean_ms` and `{name}_max_ms` of the streams' rows."""
        now, most, count = self._now[streams], self._most[streams], self._count[streams]
        total = (self._sums[streams] + self._sum[streams]) / _UNITS
        known = count > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            to_ms = np.where(out["clock_rate"] > 0, 1000 / out["clock_rate"], np.nan)
            out[f"{name}_ms"] = np.where(known, now * to_ms, np.nan)
            out[f"{name}_mean_ms"] = np.where(known, total / count * to_ms, np.nan)
            out[f"{name}_max_ms"] = np.where(known, most * to_ms, np.nan)


def _chain(tails: F64, blocks: I64, level: F64) -> F64:
    """(b,) the filter's value before each of the blocks of s segments.

    `tails` (b,) are the blocks' own shares of the value at their ends, `blocks` (s,) their numbers,
    `level` (s,) the values before the first ones.
    """
    whole = float(_CARRIED[-1])
    if len(blocks) <= _FEW:
        out: list[float] = []
        rest = iter(tails.tolist())
        for count, j in zip(blocks.tolist(), level.tolist(), strict=True):
            for tail in itertools.islice(rest, count):
                out.append(j)
                j = tail + j * whole
        return np.array(out)
    there = np.arange(int(blocks.max())) < blocks[:, None]
    shares = np.zeros(there.shape)
    shares[there] = tails
    carry = np.empty_like(shares)
    for k in range(int(blocks.max())):
        carry[:, k] = level
        level = shares[:, k] + level * whole
    return carry[there]


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
