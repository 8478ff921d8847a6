"""The engine's side of live meters: one process per group of interfaces, their news into the
engine.

Processes are forked while there are privileges (each gives up its own). `opened` waits until all
have their rings, `begin` lets them read. `step` reads the pipes and applies the news second by
second of packet time, all meters' deltas of a second together. A meter that reports nothing (its
machine is busy, or it has died) is waited for no longer than `LATE_S`; its later news is applied
when it comes. Nothing here ever makes a meter wait: see `live_meter`.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np
from msgspec import Struct, field

from panotui.model import SECOND, Delta, Interface, MeterSettings
from panotui.runtime.heap import give_back
from panotui.runtime.pipe import (
    MANY_FLOWS,
    Answer,
    Ask,
    Begin,
    Control,
    Failed,
    Finish,
    Keeping,
    LiveOrder,
    MeterFailure,
    News,
    Opened,
    PacketRows,
    Told,
    Totals,
    encoder,
    frames,
    news_of,
    read_frame,
    write_frame,
)
from panotui.runtime.process import END_S, Process, end_meter, fork_meter, how_ended
from panotui.sources.live.own import own_traffic

if TYPE_CHECKING:
    from panotui.engine.engine import Engine

LATE_S = 1.0
SILENT_NS = 2 * SECOND  # of packet time without news from one meter, while another has some
FINISH_S = 5.0  # wait for the last news
CHUNK = 1 << 20
TAKEN_MOST = 64 << 20  # bytes read from one meter's pipe per step
Serve: TypeAlias = Callable[[IO[bytes], IO[bytes]], None]  # main loop of a meter's process
_said: msgspec.msgpack.Decoder[Told | Control | Answer | Opened | Failed] = msgspec.msgpack.Decoder(
    Told | Control | Answer | Opened | Failed
)


class LiveMeterProcess:
    """One meter's process, as seen by the engine's process."""

    def __init__(self, order: LiveOrder, serve: Serve) -> None:
        self.order = order
        self.ended = False  # its pipe has ended
        self.process: Process = fork_meter(serve)
        self._buffer = bytearray()
        assert self.process.stdout is not None
        self._out = self.process.stdout
        self.fileno = self._out.fileno()
        self.send(order)

    def send(self, request: LiveOrder | Begin | Ask | Finish) -> None:
        """Send a request; requests are small and always fit into the pipe."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the next read finds the reason
            write_frame(self.process.stdin, encoder.encode(request))

    def opened(self) -> tuple[Interface, ...]:
        """Wait until its rings are open and its privileges dropped. MeterFailure."""
        raw = read_frame(self._out)
        if raw is None:
            raise self.failure()
        answer = _said.decode(raw)
        if isinstance(answer, Failed):
            raise MeterFailure(answer)
        assert isinstance(answer, Opened)
        os.set_blocking(self.fileno, False)
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import fcntl

            fcntl.fcntl(self.fileno, fcntl.F_SETPIPE_SZ, CHUNK)
        return answer.interfaces

    def said(self) -> list[Told | Control | Answer | Opened | Failed]:
        """All messages in its pipe. MeterFailure for an invalid one."""
        taken = 0
        while taken < TAKEN_MOST and not self.ended:
            try:
                data = os.read(self.fileno, CHUNK)
            except BlockingIOError:
                break
            if not data:
                self.ended = True
            taken += len(data)
            self._buffer += data
        try:
            whole, self._buffer = frames(self._buffer)
            return [_said.decode(frame) for frame in whole]
        except (msgspec.DecodeError, ValueError) as error:
            raise MeterFailure(
                Failed(
                    what="capture", why=f"a meter said what is no news ({error})", remedy=_REMEDY,
                    exit_code=70,
                )
            ) from None  # fmt: skip

    def failure(self) -> MeterFailure:
        """Why its pipe ended."""
        try:
            code = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            code = 0
        on = " and ".join(self.order.names)
        return MeterFailure(
            Failed(
                what=f"capture on {on}",
                why=f"its meter {how_ended(code)}",
                remedy=_REMEDY,
                exit_code=70,
            )
        )

    def close(self) -> None:
        """End it: it exits when its pipe ends."""
        end_meter(self.process)


_REMEDY = "Start panotui again."


class _Line(Struct):
    """News of one meter that the engine has not taken yet, oldest first."""

    process: LiveMeterProcess
    news: deque[tuple[float, News]] = field(default_factory=deque)  # with the time of arrival
    told_ns: int = 0  # packet time of its newest applied news
    part: News | None = None  # the newest partial report of a second


class LiveMeters:
    """Several live meters, one engine; drives the engine as a pump does."""

    live = True

    def __init__(
        self,
        processes: Sequence[LiveMeterProcess],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on_tick: list[Callable[[int], None]] = []
        self.on_part: list[Callable[[Delta], None]] = []
        self.interfaces: tuple[Interface, ...] = ()
        self._clock = clock
        self._lines = [_Line(process) for process in processes]
        self._control: list[PacketRows] = []
        self._answers: dict[int, list[Answer]] = {}
        self._complete: list[Answer] = []
        self._finished = False

    def opened(self, names: Sequence[str]) -> None:
        """Wait for all rings; `names` is the order in which interfaces are numbered. MeterFailure
        with its subject.
        """
        try:
            found = {i.name: i for line in self._lines for i in line.process.opened()}
        except BaseException:
            self.close()
            raise
        self.interfaces = tuple(found[name] for name in names)
        self._total = Totals((), self.interfaces, [])

    def begin(self, engine: Engine) -> None:
        """Let the meters read packets, for this engine."""
        self.engine = engine
        ours = own_traffic()
        if ours is not None:
            engine.own = (ours.client, ours.client_port, ours.server, ours.server_port)
        place = {interface.name: number for number, interface in enumerate(self.interfaces)}
        for line in self._lines:
            places = tuple(place[name] for name in line.process.order.names)
            line.process.send(Begin(interfaces=self.interfaces, places=places))

    def filenos(self) -> list[int]:
        """Descriptors that are readable when there is news."""
        return [line.process.fileno for line in self._lines if not line.process.ended]

    def gone(self) -> list[str]:
        """Interfaces that are missing now."""
        return [name for state in self._total.states.values() for name in state.gone]

    def drops(self) -> dict[str, tuple[int, int]]:
        """Missed packets per interface: (by the ring, by the interface itself)."""
        return {
            name: missed
            for state in self._total.states.values()
            for name, missed in state.drops.items()
        }

    def pids(self) -> list[int]:
        """The meters' processes."""
        return [line.process.process.pid for line in self._lines]

    # ------------------------------------------------------------------ news into the engine

    def step(self, timeout_s: float = 0.0) -> bool:
        """Read all news and apply what is due; true as long as the meters live. MeterFailure if one
        has died.
        """
        self._take(timeout_s)
        self._apply()
        return True

    def _take(self, timeout_s: float) -> None:
        waiting = self.filenos()
        if timeout_s > 0 and waiting:
            select.select(waiting, [], [], timeout_s)
        now = self._clock()
        for line in self._lines:
            for said in line.process.said():
                if isinstance(said, Told):
                    news = news_of(said, self.interfaces)
                    if not news.part:
                        line.news.append((now, news))
                        continue
                    line.part = news
                    for told in self.on_part:
                        told(news.delta)
                elif isinstance(said, Control):
                    self._control.append(said.packets)
                elif isinstance(said, Answer):
                    self._answered(said)
                elif isinstance(said, Failed):
                    raise MeterFailure(said)
            if line.process.ended and not self._finished:
                raise line.process.failure()

    def _apply(self, *, all_of_it: bool = False) -> None:
        while True:
            heads = [line.news[0] for line in self._lines if line.news]
            if not heads:
                return
            missing = len(heads) < len(self._lines)
            tick = min(news.delta.time_ns for _, news in heads)
            if missing and not all_of_it:
                came = min(at for at, news in heads if news.delta.time_ns == tick)
                if self._clock() - came < LATE_S:
                    return
            due: list[News] = []
            for line in self._lines:
                if line.news and line.news[0][1].delta.time_ns == tick:
                    due.append(line.news.popleft()[1])
                    line.told_ns = max(line.told_ns, tick)
                elif line.told_ns and not line.news and tick - line.told_ns > SILENT_NS:
                    names = " and ".join(line.process.order.names)
                    self.engine.meter_is_late(line.process.order.meter, names, line.told_ns, tick)
            for news in due:
                self._total.take(news)
            self.engine.source(self._total.record(), self._total.counters())
            for number, news in enumerate(due, 1):
                self.engine.apply(news.delta, tick=number == len(due))
            for told in self.on_tick:
                told(tick)
            if sum(len(news.delta.flows) for news in due) >= MANY_FLOWS:
                del heads, due, news
                give_back()

    # ------------------------------------------------------------------ evidence

    def control(self) -> list[PacketRows]:
        """Control packets that the meters kept since the last call."""
        control, self._control = self._control, []
        return control

    def ask(self, question: Ask) -> None:
        """Ask all meters for kept packets."""
        self._answers[question.number] = []
        for line in self._lines:
            line.process.send(question)

    def answers(self, timeout_s: float = 0.0) -> list[Answer]:
        """Answers of all meters to one question, as one."""
        ends = self._clock() + timeout_s
        while not self._complete and timeout_s > 0 and (left := ends - self._clock()) > 0:
            if not self.filenos():
                break
            self._take(left)
        complete, self._complete = self._complete, []
        return complete

    def _answered(self, answer: Answer) -> None:
        parts = self._answers.get(answer.number)
        if parts is None:
            return
        parts.append(answer)
        if len(parts) >= len(self.filenos()):
            del self._answers[answer.number]
            self._complete.append(
                Answer(
                    number=answer.number,
                    context=by_time([part.context for part in parts]),
                    packets=by_time([part.packets for part in parts]),
                )
            )

    # ------------------------------------------------------------------ the end

    def finish(self) -> None:
        """Take the last, unfinished second of all meters; they keep answering requests."""
        if self._finished:
            return
        self._finished = True
        for line in self._lines:
            line.process.send(Finish())
        ends = self._clock() + FINISH_S
        last = {line.process.order.meter for line in self._lines}
        # each sends a final report of everything; earlier news arrives before it
        while last and (left := ends - self._clock()) > 0:
            before = {id(line): len(line.news) for line in self._lines}
            with contextlib.suppress(MeterFailure):
                self._take(min(left, 0.2))
            for line in self._lines:
                fresh = list(line.news)[before[id(line)] :]
                if line.process.ended or any(news.tick for _, news in fresh):
                    last.discard(line.process.order.meter)
        self._apply(all_of_it=True)
        for line in self._lines:  # of a meter that died within a second: its partial report
            if line.part is not None and line.part.delta.time_ns > line.told_ns:
                self.engine.apply(line.part.delta, tick=False)

    def close(self) -> None:
        """End the meters' processes."""
        self._finished = True
        for line in self._lines:
            line.process.close()


def start_meters(
    groups: Sequence[Sequence[str]],
    serve: Serve,
    *,
    ring_bytes: int,
    snap_bulk: int,
    promiscuous: bool,
    keeping: Keeping | None = None,
    settings: MeterSettings | None = None,
    began_ns: int | None = None,
    parts: bool = False,
) -> LiveMeters:
    """Fork a process for each group of interfaces, in which `serve` runs. `ring_bytes` is the size
    per interface, `began_ns` the start of the shared `Timekeeper`; `parts`: flows are also reported
    within a second.
    """
    processes: list[LiveMeterProcess] = []
    try:
        for meter, names in enumerate(groups):
            order = LiveOrder(
                meter=meter,
                names=tuple(names),
                ring_bytes=ring_bytes,
                snap_bulk=snap_bulk,
                promiscuous=promiscuous,
                keeping=keeping,
                settings=settings or MeterSettings(),
                began_ns=began_ns,
                parts=parts,
            )
            processes.append(LiveMeterProcess(order, serve))
    except BaseException:
        for process in processes:
            process.close()
        raise
    return LiveMeters(processes)


def by_time(parts: Sequence[PacketRows]) -> PacketRows:
    """Rows of several meters in order of time; rows of one meter with equal times keep their
    order.
    """
    parts = [part for part in parts if part.length]
    if len(parts) < 2:
        return parts[0] if parts else PacketRows()
    names: dict[tuple[str, int], int] = {}
    interface = [
        np.array([names.setdefault(n, len(names)) for n in part.names], np.int16)[
            np.frombuffer(part.interface, np.int16)
        ]
        for part in parts
    ]
    length = np.concatenate([np.frombuffer(part.length, np.int64) for part in parts])
    times = np.concatenate([np.frombuffer(part.time_ns, np.int64) for part in parts])
    order = np.argsort(times, kind="stable")
    data = b"".join(part.data for part in parts)
    ends = np.cumsum(length)
    pieces = [
        data[end - size : end]
        for end, size in zip(ends[order].tolist(), length[order].tolist(), strict=True)
    ]
    wire = np.concatenate([np.frombuffer(part.wire_length, np.int64) for part in parts])
    tags = np.concatenate([np.frombuffer(part.vlan_tci, np.int32) for part in parts])
    return PacketRows(
        data=b"".join(pieces),
        length=length[order].tobytes(),
        wire_length=wire[order].tobytes(),
        time_ns=times[order].tobytes(),
        interface=np.concatenate(interface)[order].tobytes(),
        vlan_tci=tags[order].tobytes(),
        number=np.concatenate([np.frombuffer(part.number, np.int64) for part in parts])[
            order
        ].tobytes(),
        why=np.concatenate([np.frombuffer(part.why, np.uint8) for part in parts])[order].tobytes(),
        names=tuple(names),
    )
