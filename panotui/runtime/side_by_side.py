"""Several captures, metered side by side in separate processes, into one engine.

Capture files come in; an engine that has taken all of them goes out. Each capture is surveyed first
(its times, its interfaces). The surveys alone, never the number of cores, determine which meter
reads what: a capture that continues another one (a rotated one) is read by the same meter, captures
that overlap or are far apart have separate meters. All meters tick at the same packet times, and
their deltas are applied tick by tick, meter by meter, so the result is the same in one process and
in many. Deltas are sent through a pipe as msgpack with the raw bytes of the columns. The pipe is
the bounded queue: a meter that is ahead waits in its write.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from panotui.engine.engine import Engine
from panotui.errors import InputError
from panotui.model import (
    Delta,
    Interface,
    MeterSettings,
)
from panotui.runtime.file_meter import REMEDY, FileMeter, merged, serve
from panotui.runtime.pipe import (
    Ended,
    Failed,
    MeterFailure,
    News,
    Totals,
    encoder,
    read_frame,
    write_frame,
)
from panotui.runtime.plan import Plan, plan
from panotui.runtime.process import Process, end_meter, fork_meter, how_ended, start_meter
from panotui.runtime.survey import survey
from panotui.runtime.work import (
    MeterWork,
    Survey,
    Surveyed,
    SurveyWork,
    decode_answer,
)
from panotui.sources.files import given
from panotui.wire.text import writable

WORTH_BYTES = 48 << 20  # together, captures smaller than this are done before a process has started

# ------------------------------------------------------------------ what crosses the pipe


# ------------------------------------------------------------------ surveys and plan


# ------------------------------------------------------------------ surveys and plan


# ------------------------------------------------------------------ one meter over its captures


# ------------------------------------------------------------------ the meter process


class MeterProcess:
    """A child that surveys and meters captures; see `serve`."""

    def __init__(self) -> None:
        opened = given.descriptors()
        # a process that reads captures opened in advance has dropped its rights: the program may be
        # out of reach
        self.process: Process = fork_meter(serve, keep=opened) if opened else start_meter()
        self._interfaces: tuple[Interface, ...] = ()

    def ask(self, work: SurveyWork | MeterWork) -> None:
        """Hand over work; its answers come in order."""
        assert self.process.stdin is not None
        if isinstance(work, MeterWork):
            self._interfaces = work.interfaces
        with contextlib.suppress(BrokenPipeError):  # `_answer` finds the reason
            write_frame(self.process.stdin, encoder.encode(work))

    def surveys(self) -> tuple[Survey, ...]:
        """The answer to `SurveyWork`. MeterFailure."""
        answer = self._answer()
        assert isinstance(answer, Surveyed)
        return answer.surveys

    def news(self) -> Iterator[News]:
        """The answers to `MeterWork`, until the end. MeterFailure, also if it died."""
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
                    remedy=REMEDY,
                    exit_code=70,
                )
            )
        answer = decode_answer(raw, self._interfaces)
        if isinstance(answer, Failed):
            raise MeterFailure(answer)
        return answer

    def close(self) -> None:
        """End it, gracefully at first."""
        end_meter(self.process)


# ------------------------------------------------------------------ into the engine


class Progress(Struct):
    """The progress of an analysis of several captures."""

    packets: int = 0
    packets_total: int = 0
    read_bytes: int = 0
    total_bytes: int = 0


def processes_for(files: Sequence[str], wanted: int | None = None) -> int:
    """The number of meter processes: as requested, otherwise one per core if there is enough
    work.
    """
    if "-" in files or len(files) < 2:
        return 1
    if any(writable(file) != file for file in files):
        return 1  # messages to processes are UTF-8, which such a name is not
    if wanted is not None:
        return max(1, min(wanted, len(files)))
    size = sum(given.size(file) for file in files)
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
    """Meter captures into `engine`, in this process or in several others, with the same result.

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
    shares = _shares([(given.size(file), file) for file in files], len(children))
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
    """Items split into `count` shares of about equal weight."""
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
    waiting = merged(streams)
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
