"""Meters in processes of their own: several captures, metered side by side, into one engine.

Capture files come in; an engine that has taken all of them goes out. Each capture is surveyed first
(its times, its interfaces); from the surveys alone, never from the number of cores, follows which
meter reads what: a capture that goes on where another ended (a rotated one) is read by the same
meter, captures that overlap or lie far apart have a meter each. All meters tick at the same packet
times and their deltas are applied tick by tick, meter by meter; so the answer is the same in one
process and in many. Deltas cross a pipe as msgpack with the raw bytes of the columns; the pipe is
the bounded queue: a meter that is ahead waits in its write.
"""

from __future__ import annotations

import contextlib
import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from panotui.engine.engine import Engine
from panotui.errors import InputError, PanotuiError
from panotui.meter.meter import Meter
from panotui.model import (
    I64,
    SECOND,
    Delta,
    Interface,
    MeterSettings,
    PacketBatch,
    SourceCounters,
)
from panotui.runtime.pipe import (
    Ended,
    Failed,
    MeterFailure,
    News,
    SourceState,
    Told,
    Totals,
    encode_news,
    encoder,
    news_of,
    read_frame,
    summed,
    write_frame,
)
from panotui.runtime.process import end_meter, how_ended, start_meter
from panotui.runtime.pump import gap_ticks, missed
from panotui.sources import open_file

METERS_MOST = 200  # the engine's keys have a byte for the meter
WORTH_BYTES = 48 << 20  # captures smaller than this together are done before a process has started
OVERLAP_NS = 10_000_000  # a rotated capture may begin a little before the one before it ends

# ------------------------------------------------------------------ what crosses the pipe


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What a capture holds, known before any packet of it is metered."""

    file: str
    packets: int
    first_ns: int  # smallest time
    last_ns: int  # largest time
    interfaces: tuple[Interface, ...]
    seconds: bytes  # int64, the whole seconds of packet time (running maximum) with packets
    counters: SourceCounters


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One capture of a meter; `places` maps its interfaces to those of the whole input."""

    file: str
    places: tuple[int, ...]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What one meter reads, one capture after the other."""

    meter: int
    parts: tuple[Part, ...]
    packets: int


class SurveyWork(msgspec.Struct, frozen=True, kw_only=True, tag="survey"):
    """To a meter process: look through these captures."""

    files: tuple[str, ...]


class MeterWork(msgspec.Struct, frozen=True, kw_only=True, tag="meter"):
    """To a meter process: meter these, all ticking at `ticks` (int64 bytes) and at `final_ns`."""

    orders: tuple[Order, ...]
    interfaces: tuple[Interface, ...]
    ticks: bytes
    final_ns: int
    settings: MeterSettings


class Surveyed(msgspec.Struct, frozen=True, kw_only=True, tag="surveyed"):
    """From a meter process: the surveys it was asked for."""

    surveys: tuple[Survey, ...]


_answers: msgspec.msgpack.Decoder[Told | Surveyed | Failed | Ended] = msgspec.msgpack.Decoder(
    Told | Surveyed | Failed | Ended
)
_work = msgspec.msgpack.Decoder(SurveyWork | MeterWork)


def decode_answer(
    raw: bytes, interfaces: Sequence[Interface] = ()
) -> News | Surveyed | Failed | Ended:
    """What a meter process said. msgspec.DecodeError or ValueError for what it cannot have."""
    told = _answers.decode(raw)
    return news_of(told, interfaces) if isinstance(told, Told) else told


# ------------------------------------------------------------------ surveys and plan


# ------------------------------------------------------------------ surveys and plan


def survey(file: str) -> Survey:
    """Read a capture's record headers from end to end (no packet is decoded). InputError."""
    source = open_file(file)
    highest = 0
    first: int | None = None
    seconds: list[I64] = []
    try:
        while not source.ended:
            batch = source.read(0.1)
            if batch is None or not len(batch):
                continue
            running = np.maximum(np.maximum.accumulate(batch.time_ns), highest)
            highest = int(running[-1])
            low = int(batch.time_ns.min())
            first = low if first is None else min(first, low)
            second = running // SECOND
            seconds.append(second[np.flatnonzero(np.diff(second, prepend=-1))])
        return Survey(
            file=file,
            packets=source.counters.packets,
            first_ns=first or 0,
            last_ns=highest,
            interfaces=tuple(source.interfaces),
            seconds=_distinct(seconds).tobytes(),
            counters=source.counters,
        )
    finally:
        source.close()


def _distinct(parts: Sequence[I64]) -> I64:
    """Sorted distinct values."""
    if not parts:
        return np.zeros(0, np.int64)
    every: I64 = np.sort(np.concatenate(parts), kind="stable")
    if len(every):
        every = every[np.diff(every, prepend=every[0] - 1) != 0]
    return every


def chains(surveys: Sequence[Survey], idle_ns: int) -> list[list[int]]:
    """Which captures one meter reads, as indices into `surveys`, each list by time.

    A capture that begins after another ended, and before that one's flows are idle for `idle_ns`,
    goes on with it: flows, RTSP sessions and sequence numbers live across the cut. Of several that
    it may continue, the one whose name is most alike, then the one that ended last.
    """
    out: list[list[int]] = []
    order = sorted(
        (i for i, s in enumerate(surveys) if s.packets), key=lambda i: (surveys[i].first_ns, i)
    )
    for index in order:
        one = surveys[index]
        fitting = []
        for number, chain in enumerate(out):
            last = surveys[chain[-1]]
            shorter = min(one.last_ns - one.first_ns, last.last_ns - last.first_ns)
            gap = one.first_ns - last.last_ns
            if -min(OVERLAP_NS, shorter // 10) <= gap <= idle_ns:
                alike = _alike(Path(one.file).name, Path(last.file).name)
                fitting.append((alike, last.last_ns, -number))
        if fitting:
            out[-max(fitting)[2]].append(index)
        else:
            out.append([index])
    for extra in out[METERS_MOST:]:  # the engine names no more meters: the last one takes the rest
        out[METERS_MOST - 1] += extra
    del out[METERS_MOST:]
    out[-1:] = [sorted(chain, key=lambda i: (surveys[i].first_ns, i)) for chain in out[-1:]]
    return out


def _alike(a: str, b: str) -> int:
    """How many first characters two names share."""
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


@dataclass(slots=True)
class Plan:
    """Who reads what, and when all of them tick."""

    orders: list[Order]
    interfaces: tuple[Interface, ...]
    ticks: I64
    final_ns: int
    packets: int
    empty: list[SourceCounters]  # of captures without packets, which no meter reads
    dropped: tuple[int, int]  # by the systems and the interfaces of all captures


def plan(surveys: Sequence[Survey], settings: MeterSettings) -> Plan:
    """The plan that follows from the surveys; equal surveys give equal plans.

    An interface is the same in two captures when its name and link type are. Ticks are the whole
    seconds that a single pump over all packets would tick at.
    """
    places: dict[tuple[str, int], int] = {}
    interfaces: list[Interface] = []
    parts: list[Part] = []
    for one in surveys:
        mine = []
        for interface in one.interfaces:
            key = (interface.name, interface.linktype)
            if key not in places:
                places[key] = len(interfaces)
                interfaces.append(interface)
            mine.append(places[key])
        parts.append(Part(file=one.file, places=tuple(mine)))
    idle_ns = int(max(settings.idle_tcp_s, settings.idle_udp_s) * SECOND)
    orders = [
        Order(
            meter=meter,
            parts=tuple(parts[i] for i in chain),
            packets=sum(surveys[i].packets for i in chain),
        )
        for meter, chain in enumerate(chains(surveys, idle_ns))
    ]
    seconds = _distinct([np.frombuffer(s.seconds, np.int64) for s in surveys])
    return Plan(
        orders,
        tuple(interfaces),
        _ticks(seconds),
        max((s.last_ns for s in surveys), default=0),
        sum(s.packets for s in surveys),
        [s.counters for s in surveys if not s.packets],
        (
            sum(s.counters.dropped_ring for s in surveys),
            sum(s.counters.dropped_interface for s in surveys),
        ),
    )


def _ticks(seconds: I64) -> I64:
    """When to tick (ns) for packets in these seconds: at each of them, and in gaps as the pump."""
    if len(seconds) < 2:
        return np.zeros(0, np.int64)
    gaps = np.flatnonzero(np.diff(seconds) > 1)
    extra = [
        np.fromiter(
            gap_ticks(int(seconds[g]) * SECOND, int(seconds[g + 1]) * SECOND), dtype=np.int64
        )
        for g in gaps.tolist()
    ]
    return _distinct([seconds[1:] * SECOND, *extra])


# ------------------------------------------------------------------ one meter over its captures


class FileMeter:
    """One meter over the captures of an order.

    Packet numbers count from 1 in what the meter reads: in a capture of its own, or through all
    captures that go on where another ended, as if they were one (a meter needs rising numbers).
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
        self._before = SourceCounters()  # of the captures that are through
        self._dropped = 0  # told by a capture beforehand, or already told to the streams
        self._asleep_ns = int(2 * max(settings.idle_tcp_s, settings.idle_udp_s) * SECOND)

    def news(self) -> Iterator[News]:
        """All news in order of their ticks; ticks without any are left out, the final one not."""
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
                if highest or stop:  # nothing is told before the first packet
                    yield from self._tick(at)
                at += 1
                edges = edges[1:]
            highest = int(running[-1])
        while at < len(ticks) and int(ticks[at]) < highest + self._asleep_ns:
            yield from self._tick(at)
            at += 1
        self.meter.flows.last_drain = True
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


def _merged(streams: Sequence[Iterator[News]]) -> Iterator[News]:
    """By tick, then by meter."""
    return heapq.merge(*streams, key=News.order)


# ------------------------------------------------------------------ the meter process


def serve(asked: IO[bytes], told: IO[bytes]) -> None:
    """The life of a meter process: work orders from one pipe, answers into the other.

    It ends when there is no more work, or nobody to tell. A failure is told, not raised.
    """
    try:
        while (raw := read_frame(asked)) is not None:
            for content in _done(raw):
                write_frame(told, content)
    except (BrokenPipeError, ConnectionError):
        # Who asked has gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), told.fileno())


def _done(raw: bytes) -> Iterator[bytes]:
    try:
        work = _work.decode(raw)
        if isinstance(work, SurveyWork):
            yield encoder.encode(Surveyed(surveys=tuple(survey(file) for file in work.files)))
            return
        ticks = np.frombuffer(work.ticks, np.int64)
        meters = [
            FileMeter(order, work.interfaces, ticks, work.final_ns, work.settings)
            for order in work.orders
        ]
        for news in _merged([meter.news() for meter in meters]):
            yield encode_news(news)
        yield encoder.encode(Ended())
    except PanotuiError as error:
        yield encoder.encode(
            Failed(what=error.what, why=error.why, remedy=error.remedy, exit_code=error.exit_code)
        )
    except (OSError, ValueError, MemoryError) as error:
        why = f"a meter process gave up ({type(error).__name__}: {error})"
        yield encoder.encode(Failed(what="analysis", why=why, remedy=_REMEDY, exit_code=70))


_REMEDY = "Run it again, or give the captures one at a time."


class MeterProcess:
    """A child that surveys and meters captures; see `serve`."""

    def __init__(self) -> None:
        self.process = start_meter()
        self._interfaces: tuple[Interface, ...] = ()

    def ask(self, work: SurveyWork | MeterWork) -> None:
        """Hand over work; its answers come in order."""
        assert self.process.stdin is not None
        if isinstance(work, MeterWork):
            self._interfaces = work.interfaces
        with contextlib.suppress(BrokenPipeError):  # `_answer` finds out why
            write_frame(self.process.stdin, encoder.encode(work))

    def surveys(self) -> tuple[Survey, ...]:
        """The answer to `SurveyWork`. MeterFailure."""
        answer = self._answer()
        assert isinstance(answer, Surveyed)
        return answer.surveys

    def news(self) -> Iterator[News]:
        """The answers to `MeterWork`, until all is told. MeterFailure, also when it died."""
        while isinstance(answer := self._answer(), News):
            yield answer

    def _answer(self) -> News | Surveyed | Ended:
        assert self.process.stdout is not None
        raw = read_frame(self.process.stdout)
        if raw is None:
            how = how_ended(self.process.wait())
            raise MeterFailure(
                Failed(
                    what="analysis",
                    why=f"a meter process {how} before it was done",
                    remedy=_REMEDY,
                    exit_code=70,
                )
            )
        answer = decode_answer(raw, self._interfaces)
        if isinstance(answer, Failed):
            raise MeterFailure(answer)
        return answer

    def close(self) -> None:
        """End it, kindly first."""
        end_meter(self.process)


# ------------------------------------------------------------------ into the engine


@dataclass(slots=True)
class Progress:
    """How far an analysis of several captures is."""

    packets: int = 0
    packets_total: int = 0
    read_bytes: int = 0
    total_bytes: int = 0


def processes_for(files: Sequence[str], wanted: int | None = None) -> int:
    """How many meter processes: as wanted, else a core each where there is enough to do."""
    if "-" in files or len(files) < 2:
        return 1
    if wanted is not None:
        return max(1, min(wanted, len(files)))
    size = sum(Path(file).stat().st_size for file in files if Path(file).is_file())
    return min(len(files), _cores()) if size >= WORTH_BYTES else 1


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_files(
    files: Sequence[str],
    engine: Engine,
    *,
    processes: int = 1,
    settings: MeterSettings | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Meter captures into `engine`, in this process or in so many others; the answer is the same.

    InputError (or MeterFailure with its exit code) for a capture that cannot be read, or that is
    standard input; MeterFailure for a process that died.
    """
    if "-" in files:
        raise InputError("-", "standard input can only be read once", "Give one capture at a time.")
    chosen = settings or MeterSettings()
    children = [MeterProcess() for _ in range(processes)] if processes > 1 else []
    try:
        planned = plan(_surveyed(files, children), chosen)
        streams = _streams(planned, children, chosen)
        _apply(planned, streams, engine, tuple(files), progress)
    finally:
        for child in children:
            child.close()


def _surveyed(files: Sequence[str], children: Sequence[MeterProcess]) -> list[Survey]:
    if not children:
        return [survey(file) for file in files]
    shares = _shares(
        [(Path(f).stat().st_size if Path(f).exists() else 0, f) for f in files], len(children)
    )
    for child, share in zip(children, shares, strict=True):
        child.ask(SurveyWork(files=tuple(share)))
    known = {one.file: one for child in children for one in child.surveys()}
    return [known[file] for file in files]


def _streams(
    planned: Plan, children: Sequence[MeterProcess], settings: MeterSettings
) -> list[Iterator[News]]:
    if not children:
        return [
            FileMeter(order, planned.interfaces, planned.ticks, planned.final_ns, settings).news()
            for order in planned.orders
        ]
    shares = _shares([(order.packets, order) for order in planned.orders], len(children))
    for child, share in zip(children, shares, strict=True):
        child.ask(
            MeterWork(
                orders=tuple(sorted(share, key=lambda order: order.meter)),
                interfaces=planned.interfaces,
                ticks=planned.ticks.tobytes(),
                final_ns=planned.final_ns,
                settings=settings,
            )
        )
    return [child.news() for child in children]


def _shares(weighed: Iterable[tuple[int, Any]], count: int) -> list[list[Any]]:
    """Things dealt out so that each of `count` has about the same weight."""
    shares: list[list[Any]] = [[] for _ in range(count)]
    load = [0] * count
    for weight, thing in sorted(weighed, key=lambda pair: -pair[0]):
        least = load.index(min(load))
        shares[least].append(thing)
        load[least] += weight + 1
    return shares


def _apply(
    planned: Plan,
    streams: list[Iterator[News]],
    engine: Engine,
    files: tuple[str, ...],
    progress: Callable[[Progress], None] | None,
) -> None:
    """Tick by tick: all meters' deltas, and the engine's own tick with the last of them."""
    total = Totals(files, planned.interfaces, planned.empty, planned.dropped)
    done = Progress(packets_total=planned.packets)
    waiting = _merged(streams)
    news = next(waiting, None)
    last = len(planned.ticks)
    for tick in range(last + 1):
        due: list[Delta] = []
        while news is not None and news.tick == tick:
            total.take(news)
            due.append(news.delta)
            news = next(waiting, None)
        engine.source(total.record(), total.counters())
        engine.final = tick == last
        if not due and tick < last:
            due = [total.quiet(int(planned.ticks[tick]))]
        for number, delta in enumerate(due, 1):
            engine.apply(delta, tick=number == len(due))
        if progress is not None:
            counters = total.counters()
            done.packets = sum(c.packets for c in counters)
            done.read_bytes = sum(c.read_bytes for c in counters)
            done.total_bytes = sum(c.total_bytes or 0 for c in counters)
            progress(done)
