"""Drives the pipeline: sources in, meters ticked at every second of packet time, deltas applied.

`Pump(sources, engine, settings)` reads batches, splits them at the end of each second of packet
time, passes them to a meter, and passes the meter's deltas to the engine. `step` does one read,
`run` all of them. `MeterPump` is the part without an engine, for a meter in a separate process
(`live_meter`). On an idle live line time comes from the clock. Across a gap in a file, ticks become
less and less frequent, so that a gap of years costs nothing.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from panotui.meter.meter import Meter
from panotui.meter.rtp.foresight import Coming
from panotui.model import (
    I64,
    SECOND,
    U64,
    AnyMessage,
    Delta,
    Earlier,
    Heard,
    MeterSettings,
    PacketBatch,
    Rows,
    Source,
    SourceCounters,
    SourceRecord,
)
from panotui.model.flow_rows import FlowRows, joined
from panotui.model.foreseen import Foreseen
from panotui.runtime.seconds import SecondSplitter
from panotui.runtime.set_forward import SetForward
from panotui.sources.files.merge import merge
from panotui.sources.files.source import FileSource

if TYPE_CHECKING:
    from panotui.engine.engine import Engine

# If packets do not show that a second is over, the clock does, late enough for the kernel to have
# delivered its last packets: blocks are closed after 40 ms.
IDLE_LAG_NS = 60_000_000
BLIND_SHARE = 0.1  # share of missed packets from which any absence may be due to them
BLIND_NS = 2 * SECOND  # ... or no read at all for this long
UNKNOWN_MANY = 1 << 40  # packets: nobody counted
LOOKS_LATE_NS = SECOND  # drop counters are read slightly less often than packets
LET_PASS_NS = 60 * SECOND  # most seconds without news before a tick
# ... before one with a connection that was silent for long: how long must be seen
AWAKE_PASS_NS = 20 * SECOND
EARLIER_MOST = 48  # new flows of skipped seconds; rules look at some 64 of a tick
HEARD_MOST = 8_192  # newest packets of skipped seconds whose senders are looked up
LAST_BATCHES = 16  # most reads of live sources at the end; a ring holds less
FORESEEN_A_SECOND = 4_096  # packets: with more, each second is measured on its own
REFUSED_PARTS = 4  # ... after something uneven
NO_TICKS, NO_FLOWS = np.zeros(0, np.int64), np.zeros(0, np.uint64)
Tap = Callable[[PacketBatch, Meter], None]


def missed(counters: SourceCounters) -> int:
    """Packets that passed the interface and that this tool never saw, whoever dropped them."""
    return counters.dropped_ring + counters.dropped_interface


class Counting:
    """Packets delivered by all sources together, per interface, for `SourceRecord`."""

    def __init__(self) -> None:
        self.batches = 0
        self.packets: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self._named = 0  # interfaces in the tables

    def add(self, batch: PacketBatch) -> None:
        """Count one batch."""
        self.batches += 1
        count = len(batch.interfaces)
        index = np.clip(batch.interface, 0, max(0, count - 1))
        packets = np.bincount(index, minlength=count)
        sizes = np.bincount(index, weights=batch.wire_length, minlength=count)
        for interface in batch.interfaces[self._named :]:  # a file may name thousands
            self.packets.setdefault(interface.name, 0)
            self.bytes.setdefault(interface.name, 0)
        self._named = count
        for i in np.flatnonzero(packets).tolist():
            name = batch.interfaces[i].name
            self.packets[name] += int(packets[i])
            self.bytes[name] += int(sizes[i])
        low, high = int(batch.time_ns.min()), int(batch.time_ns.max())
        self.first_ns = low if self.first_ns is None else min(self.first_ns, low)
        self.last_ns = high if self.last_ns is None else max(self.last_ns, high)

    def record(
        self, files: Sequence[str], counters: Sequence[SourceCounters], malformed: int
    ) -> SourceRecord:
        """The record; `malformed` are packets whose headers the decoder could not read."""
        formats = dict.fromkeys(c.format for c in counters if c.format)
        return SourceRecord(
            files=tuple(files),
            format=", ".join(formats),
            packets=sum(self.packets.values()),
            bytes=sum(self.bytes.values()),
            first_time_ns=self.first_ns,
            last_time_ns=self.last_ns,
            truncated=any(c.truncated for c in counters),
            malformed=sum(c.malformed for c in counters) + malformed,
            interfaces=tuple((n, self.packets[n], self.bytes[n]) for n in self.packets),
            lost=sum(max(missed(c), c.dropped_told) for c in counters),
            clock_stepped_ns=max((c.clock_stepped_ns for c in counters), key=abs, default=0),
            slept_ns=max((c.slept_ns for c in counters), default=0),
        )


class MeterPump(ABC):
    """Drives one meter over all interfaces of all sources (merged by time).

    `tell` takes each delta; the subclass passes it to the engine, or into a pipe.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        settings: MeterSettings | None = None,
        *,
        index: int = 0,
        live: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.sources = [merge(list(sources))] if len(sources) > 1 else list(sources)
        self.settings = settings or MeterSettings()
        self.live = live
        self.clock = clock
        self.meter = Meter(self.settings, index, cuts_bulk=live)
        self.taps: list[Tap] = []
        self._splitter = SecondSplitter()
        self._forward = SetForward()
        self._finished = False
        self._ticked_ns = 0
        self._nothing_new = False  # ... came since that tick; earlier ticks may be skipped
        self._let_pass_until = 0
        self._looks = False  # there are streams: their rows are checked at each skipped tick
        self._refused = 0  # parts before looking ahead again
        self._passed: list[tuple[int, int]] = []  # ticks skipped since the last one, see `Delta`
        self._heard_from = 0  # row of the batch after the last tick
        # new flows that were found to come and are usual, and the first tick after one of them
        self._coming: tuple[int, int] | None = None
        self._earlier: Earlier | None = None  # see `Delta.earlier`
        # A file reports missed packets without their time: no gap is known to be this tool's, and
        # the engine marks all that may be.
        self._dropped = sum(missed(source.counters) for source in self.sources)
        self._looked_ns = 0  # time of the last look at drop counters, live
        self._seen = 0  # packets of about the last second, since `_seen_since_ns`
        self._seen_since_ns = 0
        self._slept_ns = 0

    @property
    def time_ns(self) -> int:
        """The newest packet time."""
        return self._splitter.highest_ns

    def step(self, timeout_s: float = 0.0) -> bool:
        """Read once from each source; false at the end of all of them (after the last report)."""
        share = timeout_s / max(1, len(self.sources))
        is_up_to_date = True
        for source in self.sources:
            if not self._read_from(source, share):
                continue
            # live, all packets have arrived by now: only then does the clock decide which seconds
            # are over
            if self.live and self._read_from(source, 0.0):
                is_up_to_date = False
        if all(source.ended for source in self.sources):
            self.finish()
            return False
        if self.live and is_up_to_date:
            self._idle()
        return True

    def _read_from(self, source: Source, timeout_s: float) -> bool:
        """Meter the packets of a source; true if there were any."""
        if source.ended:
            return False
        batch = source.read(timeout_s)
        if self.live:
            self._look_for_loss(0 if batch is None else len(batch))
        if batch is None or not len(batch):
            return False
        self.feed(batch)
        if isinstance(source, FileSource):
            source.spare(self.meter.flooded)
        return True

    def run(self, timeout_s: float = 0.1) -> None:
        """Call `step` until the end."""
        while self.step(timeout_s):
            pass

    def feed(self, batch: PacketBatch) -> None:
        """Meter one batch and report what is due."""
        self.count(batch)
        start = 0
        for row, since_ns, until_ns in () if self.live else self._forward.gaps(batch):
            if row > start:
                self._feed(batch.slice(start, row))
            start = row
            self.meter.note_blind(since_ns, until_ns)
            self._splitter.skip(since_ns, until_ns)
        self._feed(batch if not start else batch.slice(start, len(batch)))

    def _feed(self, batch: PacketBatch) -> None:
        if batch.time_ns[0] // SECOND != batch.time_ns[-1] // SECOND:
            self.meter.look_ahead(batch)
        parts: Iterable[tuple[PacketBatch, I64]] = self._splitter.parts(batch)
        for part, due in parts if self.live else self._folded(batch, list(parts)):
            for now_ns in due.tolist():
                self._tick(now_ns)
            for piece in self.meter.pieces(part):
                self.meter.update(piece)
                for tap in self.taps:
                    tap(piece, self.meter)
                self.meter.forget_batch()
        self.meter.look_back()

    def _folded(
        self, batch: PacketBatch, parts: list[tuple[PacketBatch, I64]]
    ) -> Iterator[tuple[PacketBatch, I64]]:
        """The parts of a batch with the ticks before each. Seconds without anything new are merged
        with the following part, and have no tick; with streams they stay parts of their own.
        """
        edges = [part.first_number - batch.first_number for part, _ in parts] + [len(batch)]
        ticks = [due for _, due in parts]
        place = self._heard_from = 0
        while place < len(parts):
            due = self._let_pass(ticks[place], self.meter.counters.packets)
            if len(due):
                yield batch.slice(0, 0), due
                self._heard_from = edges[place]
            steady = self._steady_parts(edges, ticks, place)
            here, counted = place, self.meter.counters.packets - edges[place]
            start = place
            if not steady:
                self._tell_passed(edges[place])
            ahead = self._foresee(edges, ticks, place, here + steady)
            place += 1 if ahead is None else len(ahead.told.time_ns)
            while place < len(parts) and place <= here + steady:
                if self._looks:
                    yield batch.slice(edges[start], edges[place]), NO_TICKS
                    if ahead is not None:
                        packets = [counted + edge for edge in edges[start + 1 : place + 1]]
                        ticks[place] = self._pass_together(ahead, packets)
                    start = place
                ticks[place] = self._let_pass(ticks[place], counted + edges[place])
                if len(ticks[place]):
                    break
                if place == here + steady:
                    if self._coming is not None or self._is_long():
                        yield batch.slice(edges[start], edges[place]), NO_TICKS
                        self._put_off()
                        self._tell_passed(edges[place])
                        start = place
                    self._nothing_new, self._let_pass_until = False, 0
                ahead = self._foresee(edges, ticks, place, here + steady)
                place += 1 if ahead is None else len(ahead.told.time_ns)
            if edges[place] > edges[start]:
                yield batch.slice(edges[start], edges[place]), NO_TICKS
                self._put_off()

    def _let_pass(self, ticks: I64, packets: int) -> I64:
        """Skip the ticks without anything to report; returns the rest. `packets`: counted until
        then.
        """
        left_out = int(np.searchsorted(ticks, self._let_pass_until))
        for place, at in enumerate(ticks[:left_out].tolist()):
            if self._looks:
                seen = self.meter.look(at)
                if seen is None or not self.streams_go_on(*seen, at):
                    self._nothing_new, self._let_pass_until = False, 0
                    return ticks[place:]
            else:
                self.meter.let_pass(at)
            self._passed.append((at, packets))
        return ticks[left_out:]

    def _put_off(self) -> None:
        """What was found to come, and is usual, has been metered: a later tick reports it."""
        coming, self._coming = self._coming, None
        if coming is None:
            return
        at_ns, count = coming
        slots, rows, _ = self.meter.fresh()
        if len(rows) != count:
            return
        earlier = self._earlier or Earlier(at_ns, FlowRows(0), [])
        earlier.messages += self.meter.fresh_told(slots)
        earlier.flows = joined((earlier.flows, rows))
        self._earlier = earlier

    def _usual_parts(self, edges: list[int], rows: I64) -> int:
        """How many of the parts between `edges`, which go on but for `rows` of the batch, hold
        nothing in these that is news. Notes what will be put off.
        """
        ahead, found = self.meter.ahead, self.meter.scout(edges[0], edges[-1], rows)
        if ahead is None or found is None:
            return 0
        flows, messages = found
        room = EARLIER_MOST - (0 if self._earlier is None else len(self._earlier.flows))
        until_ns = self.usual(flows, messages, room)
        row = ahead.first_from(rows, until_ns)
        count = len(edges) - 1
        if row >= 0:
            count = int(np.searchsorted(edges[1:], row, side="right"))
        if count:
            self.meter.expect(rows[rows < edges[count]])
            first_ns = min(
                int(flows["first_ns"].min(initial=until_ns)),
                min((m.time_ns for m in messages), default=until_ns),
            )
            if first_ns < until_ns:
                at_ns = (first_ns // SECOND + 1) * SECOND
                self._coming = at_ns, int(np.count_nonzero(flows["first_ns"] < until_ns))
        return count

    def _is_long(self) -> bool:
        """Whether a tick now would come after so many skipped seconds that it must not report a
        connection that was silent for long.
        """
        if not self._passed or self.meter.has_streams:
            return False
        return self._passed[-1][0] + SECOND - self._ticked_ns > AWAKE_PASS_NS

    def _tell_passed(self, row: int) -> None:
        """Report skipped seconds at the last of them, if they are many; the packets from `row` of
        the batch on are news.
        """
        if self._is_long():
            self._tick(self._passed.pop()[0])
            self._nothing_new, self._heard_from = False, row

    def _foresee(self, edges: list[int], ticks: list[I64], place: int, last: int) -> Coming | None:
        """What streams will say at the ticks that end the parts from a place on, none of which has
        anything new up to the part `last`; None: look at each.
        """
        if not self._looks:
            return None
        if self._refused:
            self._refused -= 1
            return None
        start_ns = self._passed[-1][0] if self._passed else self._ticked_ns
        count = 0
        for due in ticks[place + 1 : last + 1]:
            next_ns = start_ns + (count + 1) * SECOND
            if len(due) != 1 or due[0] != next_ns or next_ns >= self._let_pass_until:
                break
            count += 1
        start, stop = edges[place], edges[place + count]
        if count < 2 or stop - start > count * FORESEEN_A_SECOND:
            return None
        ahead = self.meter.foresee(start, stop, start_ns, count)
        count = 0 if ahead is None else self.streams_foreseen(ahead.told)
        if ahead is None or count < 2:
            self._refused = REFUSED_PARTS
            return None
        return ahead.part(count)

    def _pass_together(self, ahead: Coming, packets: list[int]) -> I64:
        """Skip the ticks that were foreseen, with the packets counted until each; returns the rest:
        none, if all is as it was foreseen.
        """
        ticks = ahead.told.time_ns
        passed = list(zip(ticks.tolist(), packets, strict=True))
        seen = self.meter.look(int(ticks[-1]), ahead)
        if seen is None or not self.streams_went_on(*seen, ahead.told):
            self._nothing_new, self._let_pass_until = False, 0
            self._passed += passed[:-1]
            return ticks[-1:]
        self._passed += passed
        return NO_TICKS

    def _steady_parts(self, edges: list[int], ticks: list[I64], place: int) -> int:
        """The number of parts from a place on without anything new; notes until when they need no
        tick.
        """
        new, self._nothing_new = not self._nothing_new, False
        self._let_pass_until, self._looks = 0, False
        if new or sum(missed(s.counters) for s in self.sources) > self._dropped:
            return 0
        until_ns, restless = self.settled()
        most_ns = self._ticked_ns + LET_PASS_NS
        until_ns = min(until_ns, most_ns)
        last = place
        while last + 1 < len(ticks) and len(ticks[last + 1]):
            tick_ns = int(ticks[last + 1][-1])
            if tick_ns >= until_ns:
                later_ns = self._prolonged(edges[last + 1], until_ns, most_ns)
                if tick_ns >= later_ns:
                    break
                until_ns = later_ns
            last += 1
        if until_ns <= self._ticked_ns or (last == place < len(ticks) - 1):
            return 0
        usual = not self.meter.has_streams and self.calm()
        edges = edges[place : last + 2]
        steady, until_ns, rows = self.meter.steady(edges, until_ns, restless, usual)
        if len(rows):
            steady = self._usual_parts(edges[: steady + 1], rows)
        if steady:
            self._nothing_new, self._let_pass_until = True, until_ns
            self._looks = self.meter.has_streams
        return steady

    def _prolonged(self, row: int, until_ns: int, most_ns: int) -> int:
        """Until when no tick is needed, as known from the rows of the batch before `row`, at most
        `most_ns`; `until_ns`: without them.
        """
        ahead = self.meter.ahead
        since = max(self._heard_from, row - HEARD_MOST)
        if not 0 < until_ns < most_ns or since >= row or ahead is None:
            return until_ns
        heard = ahead.heard(since, row)
        return min(self.prolonged(heard), most_ns)

    def _look_for_loss(self, packets: int) -> None:
        """Read the drop counters, before the new packets are metered."""
        now = self.clock()
        since, self._looked_ns = self._looked_ns or now, now
        self._seen += packets
        slept = max((s.counters.slept_ns for s in self.sources), default=0)
        if slept > self._slept_ns:
            self._slept_ns = slept
            self.meter.note_capture_loss(now, UNKNOWN_MANY, since_ns=since)
            self.meter.note_blind(since, now)
            self._splitter.skip(since, now)
        dropped = sum(missed(s.counters) for s in self.sources)
        lost = dropped - self._dropped
        if lost > 0:
            self._dropped = dropped
            away = now - since > BLIND_NS
            since -= LOOKS_LATE_NS
            self.meter.note_capture_loss(now, lost, since_ns=since)
            if away or lost > BLIND_SHARE * (lost + self._seen):
                self.meter.note_blind(since, now)
        if now - self._seen_since_ns > SECOND:
            self._seen_since_ns, self._seen = now, 0

    def _idle(self) -> None:
        now = self.clock() - IDLE_LAG_NS
        if not self._splitter.begun:
            self._splitter.begun = True
            self._splitter.ticked_ns = now // SECOND * SECOND
        for tick_ns in self._splitter.due(self._splitter.ticked_ns, now):
            self._splitter.ticked_ns = tick_ns
            self._splitter.highest_ns = max(self._splitter.highest_ns, tick_ns)
            self._tick(tick_ns)

    def _tick(self, now_ns: int) -> None:
        dropped = 0 if self.live else sum(missed(s.counters) for s in self.sources)
        if dropped > self._dropped:
            # gaps of this second are the capture's, not the network's
            self.meter.note_capture_loss(now_ns, dropped - self._dropped)
            self._dropped = dropped
        delta = self.meter.tick(now_ns)
        if self._passed:
            delta.passed = tuple(self._passed)
            self._passed.clear()
            long = now_ns - self._ticked_ns > AWAKE_PASS_NS
            delta.lasting = long and not self.meter.has_streams
        delta.earlier, self._earlier = self._earlier, None
        self._ticked_ns, self._nothing_new, self._let_pass_until = now_ns, True, 0
        self.tell(delta)

    def finish(self) -> None:
        """Report the last, unfinished second; done once."""
        if self._finished:
            return
        self._finished = True
        if self.live:
            self._take_what_waits()
        if not self.live:
            self.meter.finish()
        self.tell_last(self._splitter.begun, max(self.time_ns, self._splitter.ticked_ns))

    def _take_what_waits(self) -> None:
        """Read what is still in the rings, but no packets that keep arriving."""
        for _ in range(LAST_BATCHES):
            waiting = [batch for s in self.sources if (batch := _still_open(s)) is not None]
            for batch in waiting:
                self.feed(batch)
            if not waiting:
                return

    def close(self) -> None:
        """Close the sources."""
        for source in self.sources:
            source.close()

    def settled(self) -> tuple[int, U64]:
        """Until when seconds with only known, continuing conversations need no tick; and ids of
        flows whose every row counts.
        """
        return 0, NO_FLOWS

    def prolonged(self, heard: Heard) -> int:
        """The same time, if this was heard since the last tick."""
        return 0

    def calm(self) -> bool:
        """Whether what is usual may be reported later."""
        return False

    def usual(self, rows: FlowRows, messages: list[AnyMessage], most: int) -> int:
        """Until when these new flows, `most` of them, and messages are usual, so that nothing must
        process the ticks after them: the begin of the first second with others.
        """
        return 0

    def streams_go_on(self, rows: Rows, seconds: Rows, now_ns: int) -> bool:
        """Whether streams merely continued until a tick, so that nothing must process it."""
        return False

    def streams_foreseen(self, told: Foreseen) -> int:
        """At how many of these ticks, from the first on, streams will merely have continued."""
        return 0

    def streams_went_on(self, rows: Rows, seconds: Rows, told: Foreseen) -> bool:
        """Whether they have, by the last of ticks that were foreseen, as it was foreseen."""
        return False

    @abstractmethod
    def count(self, batch: PacketBatch) -> None:
        """Note a delivered batch."""

    @abstractmethod
    def tell(self, delta: Delta) -> None:
        """Take the delta of a second."""

    @abstractmethod
    def tell_last(self, begun: bool, now_ns: int) -> None:
        """Tick for the last time, at `now_ns`, if any time has passed."""


def _still_open(source: Source) -> PacketBatch | None:
    batch = None if source.ended else source.read(0.0)
    return batch if batch is not None and len(batch) else None


class Pump(MeterPump):
    """A meter with the engine beside it, in one process."""

    def __init__(
        self,
        sources: Sequence[Source],
        engine: Engine,
        settings: MeterSettings | None = None,
        *,
        files: Sequence[str] = (),
        live: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(sources, settings, live=live, clock=clock)
        self.engine = engine
        self.files = tuple(files)
        self.on_tick: list[Callable[[int], None]] = []
        self._counting = Counting()
        self._told: tuple[int, ...] = ()  # the engine's copy of the source counters

    def count(self, batch: PacketBatch) -> None:
        self._counting.add(batch)

    def settled(self) -> tuple[int, U64]:
        # functions called after each tick need each one
        return (0, NO_FLOWS) if self.on_tick else self.engine.settled()

    def prolonged(self, heard: Heard) -> int:
        return self.engine.prolonged(heard)

    def calm(self) -> bool:
        return self.engine.usual.calm()

    def usual(self, rows: FlowRows, messages: list[AnyMessage], most: int) -> int:
        return self.engine.usual.until(rows, messages, most)

    def streams_go_on(self, rows: Rows, seconds: Rows, now_ns: int) -> bool:
        return self.engine.streams_go_on(rows, seconds, now_ns)

    def streams_foreseen(self, told: Foreseen) -> int:
        return self.engine.foresee(told)

    def streams_went_on(self, rows: Rows, seconds: Rows, told: Foreseen) -> bool:
        return self.engine.streams_went_on(rows, seconds, told)

    def tell(self, delta: Delta) -> None:
        self._tell_source(delta.counters.malformed, again=False)
        self.engine.apply(delta)
        for told in self.on_tick:
            told(delta.time_ns)

    def tell_last(self, begun: bool, now_ns: int) -> None:
        if not begun:
            self._tell_source(0)
            return
        self.engine.final = not self.live
        self._tick(now_ns)

    def _tell_source(self, malformed: int, *, again: bool = True) -> None:
        counters = [source.counters for source in self.sources]
        news = [self._counting.batches, malformed]
        for c in counters:
            news += (c.dropped_ring, c.dropped_interface, c.dropped_told, c.clock_stepped_ns)
            news += (c.slept_ns, c.malformed, c.truncated)
        if not again and tuple(news) == self._told:
            return  # a quiet second
        self._told = tuple(news)
        self.engine.source(self._counting.record(self.files, counters, malformed), counters)
