"""The meter of capture files, in a process of its own."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np

from panotui.errors import PanotuiError
from panotui.meter.meter import Meter
from panotui.model import (
    I64,
    SECOND,
    Interface,
    MeterSettings,
    PacketBatch,
    SourceCounters,
)
from panotui.runtime.pipe import (
    Ended,
    Failed,
    News,
    SourceState,
    encode_news,
    encoder,
    read_frame,
    summed,
    write_frame,
)
from panotui.runtime.pump import missed
from panotui.runtime.survey import survey
from panotui.runtime.work import (
    WORK,
    Order,
    Surveyed,
    SurveyWork,
)
from panotui.sources import open_file


class FileMeter:
    """One meter over the captures of an order.

    Packet numbers count from 1 per meter: in a single capture, or through all captures that
    continue one another, as if they were one (a meter needs rising numbers).
    """

    def __init__(
        self,
        order: Order,
        interfaces: Sequence[Interface],
        ticks: I64,
        final_ns: int,
        settings: MeterSettings,
    ) -> None:
        self.order = order
        self.interfaces = list(interfaces)
        self.ticks = ticks
        self.final_ns = final_ns
        self.meter = Meter(settings, order.meter)
        self.source = SourceState(counters=SourceCounters())
        self._before = SourceCounters()  # of finished captures
        self._dropped = 0  # reported by a capture in advance, or already reported to the streams
        self._asleep_ns = int(2 * max(settings.idle_tcp_s, settings.idle_udp_s) * SECOND)

    def news(self) -> Iterator[News]:
        """All news in order of their ticks; ticks without news are left out, except the final
        one.
        """
        ticks = self.ticks
        at = 0
        highest = 0
        for batch in self._batches():
            running = np.maximum(np.maximum.accumulate(batch.time_ns), highest)
            edges = np.searchsorted(running, ticks[at:])
            start = 0
            while start < len(batch):
                stop = int(edges[0]) if len(edges) else len(batch)
                if stop > start:
                    for piece in self.meter.pieces(batch.slice(start, stop)):
                        self.meter.update(piece)
                    start = stop
                if start == len(batch):
                    break
                if highest or stop:  # nothing is reported before the first packet
                    yield from self._tick(at)
                at += 1
                edges = edges[1:]
            highest = int(running[-1])
        while at < len(ticks) and int(ticks[at]) < highest + self._asleep_ns:
            yield from self._tick(at)
            at += 1
        self.meter.finish()
        yield self._news(len(ticks), self.final_ns)

    def _tick(self, at: int) -> Iterator[News]:
        news = self._news(at, int(self.ticks[at]))
        delta = news.delta
        if (
            len(delta.flows)
            or len(delta.streams)
            or len(delta.stream_seconds)
            or len(delta.link_seconds)
            or delta.messages
        ):
            yield news

    def _news(self, tick: int, time_ns: int) -> News:
        dropped = missed(self.source.counters)
        if dropped > self._dropped:
            self.meter.note_capture_loss(time_ns, dropped - self._dropped)
            self._dropped = dropped
        delta = self.meter.tick(time_ns)
        delta.interfaces, delta.shared_interfaces = tuple(self.interfaces), True
        return News(tick, self.order.meter, delta, self.source)

    def _batches(self) -> Iterator[PacketBatch]:
        for part in self.order.parts:
            source = open_file(part.file)
            self._dropped += missed(source.counters)
            places = np.array(part.places or (0,), np.int16)
            try:
                while not source.ended:
                    batch = source.read(0.1)
                    self.source.counters = summed([self._before, source.counters])
                    if batch is None or not len(batch):
                        continue
                    index = np.clip(batch.interface, 0, len(places) - 1)
                    placed = PacketBatch(
                        batch.data,
                        batch.offset,
                        batch.captured,
                        batch.wire_length,
                        batch.time_ns,
                        places[index],
                        self.interfaces,
                        self._before.packets + batch.first_number,
                        batch.vlan_tci,
                        batch.outgoing,
                        batch.missed,
                    )
                    self.source.add(placed)
                    yield placed
                    source.spare(self.meter.flooded)
                self._before = self.source.counters
            finally:
                source.close()


def merged(streams: Sequence[Iterator[News]]) -> Iterator[News]:
    """By tick, then by meter."""
    return heapq.merge(*streams, key=News.order)


def serve(asked: IO[bytes], told: IO[bytes]) -> None:
    """Main loop of a meter process: work orders from one pipe, answers into the other.

    It ends when there is no more work, or no reader. A failure is sent, not raised.
    """
    try:
        while (raw := read_frame(asked)) is not None:
            for content in _done(raw):
                write_frame(told, content)
    except (BrokenPipeError, ConnectionError):
        # The parent has gone. Python would report it again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), told.fileno())


def _done(raw: bytes) -> Iterator[bytes]:
    try:
        work = WORK.decode(raw)
        if isinstance(work, SurveyWork):
            yield encoder.encode(Surveyed(surveys=tuple(survey(file) for file in work.files)))
            return
        ticks = np.frombuffer(work.ticks, np.int64)
        meters = [
            FileMeter(order, work.interfaces, ticks, work.final_ns, work.settings)
            for order in work.orders
        ]
        for news in merged([meter.news() for meter in meters]):
            yield encode_news(news)
        yield encoder.encode(Ended())
    except PanotuiError as error:
        yield encoder.encode(
            Failed(what=error.what, why=error.why, remedy=error.remedy, exit_code=error.exit_code)
        )
    except (OSError, ValueError, MemoryError) as error:
        why = f"a meter process gave up ({type(error).__name__}: {error})"
        yield encoder.encode(Failed(what="analysis", why=why, remedy=REMEDY, exit_code=70))


REMEDY = "Run it again, or give the captures one at a time."
