"""RTP sequence numbers as RFC 3550 A.1 counts them, for all streams of a batch at once.

In: packets grouped by stream. Out: in the stream's row the expected, lost, repeated and late
packets; restarts as messages; and, per stream, how many packets of the batch were expected and how
many count. One comparison finds streams in perfect order (nearly all). For the others there are per
row: the extended number, its step beyond the highest, whether it counts, and whether the sender
restarted. Within MAX_DROPOUT and MAX_MISORDER this is array work; around an anomaly packets are
taken one by one. The caller handles probation. Three things differ from A.1: a missing number
that arrives is late, not a restart, up to RECENT behind; numbers skipped during a PAUSE were not
expected; and packets from before a stream's first one are expected when they come.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.meter.rtp.records import Grouped
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.model import I64, SECOND, U16, Bool, StreamRestart

SEQUENCES = 65536
MAX_DROPOUT = 3000
MAX_MISORDER = 100
RECENT = 256  # numbers remembered per stream; a missing one may arrive this late
_RECENT_ROWS = 2048  # of a batch, searched for such a number
_SCALAR_RUN = 256  # packets taken one at a time around an anomaly
_ARRAY_RUNS = 8  # returns to arrays within one segment


class Flawed(Struct):
    """The meaning of sequence numbers, per row, in the segments that are not in perfect order."""

    packets: Grouped  # only for those segments
    rows: I64  # (m,) their row numbers
    extended: I64  # (m,)
    advance: I64  # (m,) step beyond the highest so far; <= 0 late or duplicate
    counted: Bool  # (m,)
    restarted: Bool  # (m,)
    earlier: Bool  # (m,) late, with a number below the first one that came
    expected: I64  # (m,) more numbers than before
    distinct: Bool  # (m,) counted, and no duplicate
    late: I64  # rows of `packets` that came behind others, for the first time


class Sequence(Struct):
    """The meaning of the sequence numbers of a batch, per segment."""

    expected: I64  # (s,)
    distinct: I64  # (s,) without duplicates
    flawed: Flawed | None

    def between(self, starts: I64, counts: I64, n: int) -> tuple[I64, I64]:
        """How many were expected, and came, in each run of rows that these begin; n rows in total.

        `counts` are the lengths of the runs.
        """
        if self.flawed is None:
            return counts, counts
        each = np.ones(n, np.int64)
        each[self.flawed.rows] = self.flawed.expected
        expected = np.add.reduceat(each, starts)
        each[:] = 1
        each[self.flawed.rows] = self.flawed.distinct
        return expected, np.add.reduceat(each, starts)


class SequenceNumbers:
    """State per stream of RFC 3550 A.1."""

    def __init__(self, state: StreamColumns) -> None:
        capacity = state.capacity
        self._state = state
        # Extended, since the sender (re)started: the first number that came, and the lowest.
        self._first: I64 = np.zeros(capacity, np.int64)
        self._lowest: I64 = np.zeros(capacity, np.int64)
        self._received: I64 = np.zeros(capacity, np.int64)
        self.highest: I64 = np.zeros(capacity, np.int64)  # extended
        self._bad: I64 = np.full(capacity, -1, np.int64)
        self._bad_time: I64 = np.zeros(capacity, np.int64)
        # Numbers received recently: all from `_solid` to `highest`, and those in the table.
        self._solid: I64 = np.zeros(capacity, np.int64)
        self._recent: I64 = np.zeros((capacity, RECENT), np.int64)

    def begin(self, ids: I64, first: U16) -> None:
        """Set streams just before their first number, so that it is a step of one."""
        self._first[ids] = first.astype(np.int64) + SEQUENCES
        self._solid[ids] = self._lowest[ids] = self._first[ids]
        self.highest[ids] = self._first[ids] - 1

    def forget(self, stream: int) -> None:
        self._received[stream] = 0
        self.highest[stream] = 0
        self._bad[stream] = -1
        self._recent[stream] = 0  # extended numbers begin above

    def measure(self, packets: Grouped) -> Sequence:
        """Process the packets of a batch; streams have begun, and their rows describe the packets
        before.
        """
        segments = packets.segments
        ids, starts = segments.ids, segments.starts
        numbers = packets.sequence
        step = np.empty_like(numbers)
        np.subtract(numbers[1:], numbers[:-1], out=step[1:])
        step[starts] = numbers[starts] - self.highest[ids].astype(np.uint16)
        odd = step != 1
        if odd.any():
            sequence = self._with_flaws(packets, np.logical_or.reduceat(odd, starts))
        else:
            self._go_on(ids, segments.counts)
            sequence = Sequence(segments.counts, segments.counts, None)
        row = self._state.row
        row["expected"][ids] += sequence.expected
        row["lost"][ids] = row["expected"][ids] - self._received[ids]
        row["lost_unique"][ids] = row["lost"][ids] + row["duplicates"][ids]
        return sequence

    def _go_on(self, ids: I64, counts: I64) -> None:
        """Streams in perfect order."""
        self.highest[ids] += counts
        self._received[ids] += counts

    def _with_flaws(self, packets: Grouped, which: Bool) -> Sequence:
        """A batch in which the segments `which` (s,) are not in perfect order."""
        segments = packets.segments
        calm = ~which
        self._go_on(segments.ids[calm], segments.counts[calm])
        flawed = self._flawed(*packets.part(which))
        self._count_late(flawed)
        self._remember(flawed)
        flawed.expected = np.maximum(flawed.advance, 0) + flawed.earlier
        starts = flawed.packets.segments.starts
        expected, distinct = segments.counts.copy(), segments.counts.copy()
        expected[which] = np.add.reduceat(flawed.expected, starts)
        distinct[which] = np.add.reduceat(flawed.distinct, starts, dtype=np.int64)
        return Sequence(expected, distinct, flawed)

    def _count_late(self, flawed: Flawed) -> None:
        """Rows behind others are duplicates or late: keep the late ones."""
        late = np.flatnonzero((flawed.advance <= 0) & flawed.counted)
        if not len(late):
            return
        repeated = self._repeated(flawed, late)
        part, row = flawed.packets.segments, self._state.row
        owner, count = part.index[late], len(part.ids)
        row["duplicates"][part.ids] += np.bincount(owner[repeated], minlength=count)
        row["reordered"][part.ids] += np.bincount(owner[~repeated], minlength=count)
        flawed.distinct[late[repeated]] = False
        flawed.late = late[~repeated]
        self._begin_earlier(flawed, flawed.late)

    def _begin_earlier(self, flawed: Flawed, late: I64) -> None:
        """Mark `late` rows with a lower number than the first one that came, each number once.

        These were expected as well, because they came. Others between may have come before the
        capture began: they are not lost. Rows before a restart are far below.
        """
        owner = flawed.packets.stream(late)
        before = self._first[owner] - flawed.extended[late]
        early = (before > 0) & (before < RECENT)
        taken: set[tuple[int, int]] = set()
        for row, stream in zip(late[early].tolist(), owner[early].tolist(), strict=True):
            number = int(flawed.extended[row])
            known = self._recent[stream, number & (RECENT - 1)] == number
            if not known and (stream, number) not in taken:
                taken.add((stream, number))
                flawed.earlier[row] = True
                self._lowest[stream] = min(number, int(self._lowest[stream]))

    def _flawed(self, records: Grouped, rows: I64) -> Flawed:
        segments = records.segments
        ids = segments.ids
        self._list_recent(ids)
        highest = self.highest[ids]
        numbers = records.sequence.astype(np.int64)
        before = segments.previous(numbers, highest & 0xFFFF)
        step = ((numbers - before + 32768) & 0xFFFF) - 32768
        extended = segments.running_sum(step, highest)
        top = extended.copy()
        top[segments.starts] = np.maximum(top[segments.starts], highest)
        top = segments.running_max(top)
        advance = extended - segments.previous(top, highest)
        strange = (advance >= MAX_DROPOUT) | (advance <= -MAX_MISORDER)
        result = Flawed(
            records,
            rows,
            extended,
            advance,
            np.ones(segments.n, bool),
            np.zeros(segments.n, bool),
            np.zeros(segments.n, bool),
            advance,
            np.zeros(0, bool),
            np.zeros(0, np.int64),
        )
        pending = self._bad[ids] >= 0
        odd = np.logical_or.reduceat(strange, segments.starts) if strange.any() else pending & False
        for k in np.flatnonzero(odd).tolist():
            start, end = int(segments.starts[k]), int(segments.ends[k]) + 1
            self._walk(int(ids[k]), records, start, end, result, top)
        if self._state.pauses:
            self._excuse(result)
        result.distinct = result.counted.copy()
        self.highest[ids] = top[segments.ends]
        self._received[ids] += np.add.reduceat(result.counted, segments.starts, dtype=np.int64)
        return result

    def _excuse(self, flawed: Flawed) -> None:
        """Numbers that a sender used while its reader had paused it were not expected."""
        packets = flawed.packets
        rows = np.flatnonzero(flawed.advance > 1)
        ends = packets.before_ns(rows), packets.time_ns[rows]
        flawed.advance[rows[self._state.pauses.ended(packets.stream(rows), *ends)]] = 1

    def _list_recent(self, ids: I64) -> None:
        """Write the newest of consecutive numbers into the table."""
        highest = self.highest[ids]
        number = highest[:, None] - np.arange(RECENT)
        place, back = np.nonzero(number >= self._solid[ids][:, None])
        listed = number[place, back]
        self._recent[ids[place], listed & (RECENT - 1)] = listed

    def _repeated(self, flawed: Flawed, late: I64) -> Bool:
        """Mask of the `late` rows with a number that was received before."""
        segments, extended = flawed.packets.segments, flawed.extended
        numbers = extended[late]
        stream = segments.ids[segments.index[late]]
        known = self._recent[stream, numbers & (RECENT - 1)] == numbers
        width = 1 << 40
        key = segments.index[late] * width + (numbers & (width - 1))
        order = np.sort(key)
        every = segments.index * width + (extended & (width - 1))
        place = np.minimum(np.searchsorted(order, every), len(order) - 1)
        hits = np.flatnonzero((order[place] == every) & flawed.counted)
        _, first = np.unique(every[hits], return_index=True)
        opening = np.zeros(segments.n, bool)
        opening[hits[first]] = True
        result: Bool = known | ~opening[late]
        return result

    def _remember(self, flawed: Flawed) -> None:
        """Store the numbers of segments with flaws, after `_repeated` was called for them."""
        segments = flawed.packets.segments
        # Only the newest numbers of each segment can still be needed.
        tail = np.arange(segments.n) > segments.ends[segments.index] - RECENT
        tail &= flawed.counted
        extended = flawed.extended[tail]
        stream = segments.ids[segments.index[tail]]
        self._recent[stream, extended & (RECENT - 1)] = extended
        self._solid[segments.ids] = self.highest[segments.ids] + 1

    def _walk(
        self, stream: int, records: Grouped, start: int, end: int, out: Flawed, top: I64
    ) -> None:
        """RFC 3550 A.1 `update_seq` over rows [start, end) of one stream, exactly."""
        highest = int(self.highest[stream])
        bad = int(self._bad[stream])
        bad_time = int(self._bad_time[stream])
        numbers = records.sequence[start:end].astype(np.int64)
        position, array_runs = 0, 0
        n = end - start
        calm = 0
        before_ns = int(self._state.row["last_ns"][stream])
        before_stamp = int(self._state.timestamp[stream])
        accepted = int(self._received[stream])
        while position < n:
            if calm >= _SCALAR_RUN and array_runs < _ARRAY_RUNS:
                array_runs += 1
                calm = 0
                taken = self._stride(numbers[position:], highest, start + position, out, top)
                position += taken
                if taken:
                    accepted += taken
                    highest = int(top[start + position - 1])
                    before_ns = int(records.time_ns[start + position - 1])
                    before_stamp = int(records.timestamp[start + position - 1])
                continue
            s = int(numbers[position])
            at = start + position
            time_ns = int(records.time_ns[at])
            d = (s - highest) & 0xFFFF
            calm += 1
            if d < MAX_DROPOUT:
                out.extended[at] = highest + d
                out.advance[at] = d
                highest += d
            elif d <= SEQUENCES - MAX_MISORDER and (
                s == bad
                or d <= SEQUENCES - RECENT
                or not self._is_missing(stream, highest + d - SEQUENCES, out, start, at)
            ):
                calm = 0
                if s == bad:
                    stamp = (int(records.timestamp[at]) - before_stamp) & 0xFFFFFFFF
                    missed = self._state.was_blind(before_ns, bad_time)
                    outage = missed or self._is_outage(
                        stream, d, accepted, before_ns, bad_time, stamp
                    )
                    out.restarted[at] = not outage
                    if outage:
                        highest += d
                        out.advance[at] = d
                        # A.1 held back the first packet after the outage; it did arrive.
                        self._received[stream] += 1
                        accepted += 1
                    else:
                        behind = np.flatnonzero(out.advance[start:at] <= 0) + start
                        self._begin_earlier(out, behind[out.counted[behind]])
                        highest += 2 * SEQUENCES - ((highest - s) & 0xFFFF)
                        self._first[stream] = self._lowest[stream] = highest
                        out.advance[at] = 1
                    out.extended[at] = highest
                    bad = -1
                    if not missed:  # otherwise the loss is reported as our own
                        self._tell_restart(stream, records, at, outage, bad_time - before_ns)
                else:
                    bad = (s + 1) & 0xFFFF
                    bad_time = time_ns
                    out.counted[at] = False
                    out.advance[at] = 0
                    out.extended[at] = highest
            else:
                out.extended[at] = highest + d - SEQUENCES
                out.advance[at] = d - SEQUENCES
            if out.counted[at]:
                accepted += 1
                before_ns = time_ns
                before_stamp = int(records.timestamp[at])
            top[at] = highest
            position += 1
        self._bad[stream] = bad
        self._bad_time[stream] = bad_time

    def _tell_restart(
        self, stream: int, packets: Grouped, at: int, outage: bool, silent_ns: int
    ) -> None:
        row = self._state.row
        if not outage:
            row["restarts"][stream] += 1
        self._state.messages.append(
            StreamRestart(
                time_ns=int(packets.time_ns[at]),
                packet=packets.number_of(at),
                interface=int(row["interface"][stream]),
                flow=int(row["flow"][stream]),
                stream=int(row["id"][stream]),
                kind="outage" if outage else "sequence",
                detail=f"after {max(silent_ns, 0) / SECOND:.1f} s",
            )
        )

    def _is_outage(
        self, stream: int, jump: int, packets: int, before_ns: int, again_ns: int, stamp: int
    ) -> bool:
        """Whether a jump is a loss during the silence between these times, see `_continues`."""
        state = self._state
        first_ns = int(state.row["first_ns"][stream])
        lived_ns = before_ns - first_ns - state.pauses.within(stream, first_ns, before_ns)
        return not state.pauses.between(stream, before_ns, again_ns) and _continues(
            jump, packets, lived_ns, again_ns - before_ns, stamp, int(state.clock[stream])
        )

    def _is_missing(self, stream: int, extended: int, out: Flawed, start: int, at: int) -> bool:
        """Whether this number, less than RECENT behind, never arrived; then it is late.

        A.1 takes a number MAX_MISORDER behind for a restart. But a restarted sender repeats
        numbers, while a packet that waited in a queue brings a missing one.
        """
        if self._recent[stream, extended & (RECENT - 1)] == extended:
            return False
        rows = slice(max(start, at - _RECENT_ROWS), at)
        before = extended - out.extended[rows][out.counted[rows]]
        if extended < self._lowest[stream] and not ((before > 0) & (before < RECENT)).any():
            return False  # the stream had not begun
        return bool((before != 0).all())

    def _stride(self, numbers: I64, highest: int, at: int, out: Flawed, top: I64) -> int:
        """Accept as many rows in sufficient order as possible, as arrays; returns their number."""
        before = np.empty_like(numbers)
        before[1:] = numbers[:-1]
        before[0] = highest & 0xFFFF
        extended = highest + np.cumsum(((numbers - before + 32768) & 0xFFFF) - 32768)
        best = np.maximum(np.maximum.accumulate(extended), highest)
        previous = np.empty_like(best)
        previous[1:] = best[:-1]
        previous[0] = highest
        advance = extended - previous
        strange = np.flatnonzero((advance >= MAX_DROPOUT) | (advance <= -MAX_MISORDER))
        taken = int(strange[0]) if len(strange) else len(numbers)
        span = slice(at, at + taken)
        out.extended[span] = extended[:taken]
        out.advance[span] = advance[:taken]
        out.counted[span] = True
        out.restarted[span] = False
        top[span] = best[:taken]
        return taken


def _continues(
    jump: int, packets: int, lived_ns: int, silent_ns: int, stamp: int, clock: int
) -> bool:
    """Whether a large jump is an outage: as many packets as the silence would have held (+-20 %).

    `packets` came in `lived_ns` before; `stamp` is the step of the RTP clock over the silence.
    """
    silent_s = silent_ns / SECOND
    if packets < 32 or lived_ns <= 0 or silent_s < 0.5:
        return False
    expected = packets * SECOND / lived_ns * silent_s
    if not 0.8 * expected <= jump <= 1.2 * expected:
        return False
    return not clock or abs(stamp / clock - silent_s) <= max(1.0, 0.2 * silent_s)
