"""A live meter in a process of its own: rings in, news down a pipe.

It opens its rings, gives up every privilege, and only then reports ready. It reads its first packet
after the signal to begin. From then on it waits only for its own work: a thread writes to the pipe,
and while the engine is behind and a second's news has not left yet, the next second's news is not
made; the following tick covers both. Only after `POSTPONED_MOST` such seconds does it pause;
packets that overflow the ring then count as missed. When the pipe ends, so does the process,
whatever happened to its parent.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Sequence
from pathlib import Path
from traceback import extract_tb
from typing import IO

import msgspec
import numpy as np

from panotui.errors import PanotuiError
from panotui.model import (
    I16,
    SECOND,
    Delta,
    Interface,
    MeterSettings,
    PacketBatch,
    SourceCounters,
)
from panotui.runtime.heap import give_back
from panotui.runtime.packet_keeper import PacketKeeper
from panotui.runtime.pipe import (
    MANY_FLOWS,
    Ask,
    Begin,
    Control,
    Failed,
    Finish,
    LiveOrder,
    News,
    Opened,
    SourceState,
    encode_news,
    encoder,
    frames,
    read_frame,
    write_frame,
)
from panotui.runtime.pump import MeterPump
from panotui.sources import open_live
from panotui.sources.live import landlock, namespaces, privileges
from panotui.sources.live.capture import LiveSource
from panotui.sources.live.pace import Pace
from panotui.sources.live.timekeeper import SteadySource, Timekeeper

POSTPONED_MOST = 10  # seconds whose news may wait for earlier news to leave
# A second's flows are also reported once before it is over, at the first read of the rings after
# this part of it, so that a recording never lacks a whole second. There are three reads per second;
# this adds none.
PART_NS = SECOND * 35 // 100
PART_MOST = 1_000  # flows with the most packets
CHUNK = 1 << 16
SYSFS = ("/sys/class/net", "/sys/devices")  # drops of the interfaces themselves
_order = msgspec.msgpack.Decoder(LiveOrder)
_begin = msgspec.msgpack.Decoder(Begin)
_requests: msgspec.msgpack.Decoder[Ask | Finish] = msgspec.msgpack.Decoder(Ask | Finish)


class Outbox:
    """Writes frames to a pipe in a thread of its own, so that a slow reader delays nobody."""

    def __init__(self, fileno: int) -> None:
        self._fileno = fileno
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Condition()
        self.broken = False  # there is no reader any more
        threading.Thread(target=self._write, name="outbox", daemon=True).start()

    @property
    def free(self) -> bool:
        """True if everything has left."""
        return self._waiting == 0

    def put(self, content: bytes) -> None:
        """Queue a frame's content; never waits."""
        with self._lock:
            self._waiting += 1
        self._queue.put(content)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until everything has left, or the reader is gone; false on timeout."""
        with self._lock:
            return self._lock.wait_for(lambda: self._waiting == 0 or self.broken, timeout_s)

    def _write(self) -> None:
        while True:
            try:
                self._send(self._queue.get())
            except OSError:
                self.broken = True
            with self._lock:
                self._waiting -= 1
                self._lock.notify_all()

    def _send(self, content: bytes) -> None:
        for part in (len(content).to_bytes(4, "little"), content):
            left = memoryview(part)
            while left:
                left = left[os.write(self._fileno, left) :]


class LivePump(MeterPump):
    """A pump that writes to an outbox, and postpones ticks while it is not empty."""

    def __init__(
        self,
        sources: Sequence[LiveSource],
        settings: MeterSettings,
        outbox: Outbox,
        *,
        index: int,
        interfaces: Sequence[Interface],
        places: Sequence[int],
        keeper: Timekeeper | None = None,
        parts: bool = False,
    ) -> None:
        time = keeper or Timekeeper()
        steady = [SteadySource(source, time) for source in sources]
        super().__init__(steady, settings, index=index, live=True, clock=time)
        self._rings = list(sources)
        self._outbox = outbox
        self._interfaces = list(interfaces)
        self._places: I16 = np.array(places, np.int16)
        self._state = SourceState(counters=SourceCounters())
        self.keeper: PacketKeeper | None = None
        self.postponed = 0  # ticks since the last one that was made
        self._last = False
        self._many = False  # the last tick's news had flows
        self._parts = parts
        self._parted_ns = 0  # the tick after which a partial report was last sent

    def feed(self, batch: PacketBatch) -> None:
        """Meter one batch, with its interfaces numbered as across all meters."""
        super().feed(
            PacketBatch(
                batch.data,
                batch.offset,
                batch.captured,
                batch.wire_length,
                batch.time_ns,
                self._places[batch.interface],
                self._interfaces,
                batch.first_number,
                batch.vlan_tci,
                batch.outgoing,
            )
        )

    def step(self, timeout_s: float = 0.0) -> bool:
        """See `MeterPump`; once in a second with packets, its flows are reported early."""
        going = super().step(timeout_s)
        if going and self._parts:
            self._tell_part()
        return going

    def _tell_part(self) -> None:
        since = self._splitter.ticked_ns
        now = self.clock()
        if since in (0, self._parted_ns) or now < since + PART_NS:
            return
        if not (self.meter.touched and self._outbox.free):
            return
        self._parted_ns = since
        delta = self.meter.so_far(min(now, since + SECOND - 1), PART_MOST)
        self._outbox.put(encode_news(News(0, self.meter.index, delta, self._state, part=True)))

    def count(self, batch: PacketBatch) -> None:
        self._state.add(batch)

    def _tick(self, now_ns: int) -> None:
        if not self._outbox.free:
            if self.postponed < POSTPONED_MOST:
                self.postponed += 1
                return
            self._outbox.wait()
        self.postponed = 0
        super()._tick(now_ns)
        if self._many:
            give_back()

    def tell(self, delta: Delta) -> None:
        (source,) = self.sources
        self._state.counters = source.counters
        self._state.gone = tuple(ring.name for ring in self._rings if not ring.present)
        self._state.drops = {
            ring.name: (ring.counters.dropped_ring, ring.counters.dropped_interface)
            for ring in self._rings
        }
        if self.keeper is not None:
            rows = self.keeper.control()
            if rows.length:
                skipped = self.keeper.control_skipped
                self._outbox.put(encoder.encode(Control(packets=rows, skipped=skipped)))
        self._outbox.put(encode_news(News(int(self._last), self.meter.index, delta, self._state)))
        self._many = len(delta.flows) >= MANY_FLOWS

    def tell_last(self, begun: bool, now_ns: int) -> None:
        self._outbox.wait()
        self._last = True
        super()._tick(now_ns if begun else self.clock())


def serve(asked: IO[bytes], told: IO[bytes]) -> None:
    """Main loop of a live meter's process; a failure is sent, not raised."""
    rings: list[LiveSource] = []
    try:
        raw = read_frame(asked)
        if raw is None:
            return
        order = _order.decode(raw)
        rings = _open(order)
        interfaces = tuple(ring.interfaces[0] for ring in rings)
        write_frame(told, encoder.encode(Opened(interfaces=interfaces)))
        raw = read_frame(asked)
        if raw is None:
            return
        begin = _begin.decode(raw)
        outbox = Outbox(told.fileno())
        pump = LivePump(
            rings,
            order.settings,
            outbox,
            index=order.meter,
            interfaces=begin.interfaces,
            places=begin.places,
            keeper=Timekeeper(order.began_ns),
            parts=order.parts,
        )
        if order.keeping is not None:
            pump.keeper = PacketKeeper(order.keeping)
            pump.taps.append(pump.keeper.tap)
        _run(pump, rings, asked.fileno(), outbox)
    except PanotuiError as error:
        _fail(told, error.what, error.why, error.remedy, error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last line of defence: never a traceback
        place = extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name} line {place.lineno}"
        why = f"a meter process gave up ({type(error).__name__}: {error}, {where})"
        _fail(told, "capture", why, "Start panotui again.", 70)
    finally:
        for ring in rings:
            ring.close()


def _fail(told: IO[bytes], what: str, why: str, remedy: str, exit_code: int) -> None:
    failed = Failed(what=what, why=why, remedy=remedy, exit_code=exit_code)
    try:
        write_frame(told, encoder.encode(failed))
    except OSError:
        pass  # there is no reader left


def load() -> None:
    """Import now the modules that meters need later: once for all forked meters, while every file
    can be reached, and so that no packet waits for it.
    """
    # the forking process imports this module anyway; the parsers (60 ms) are loaded here
    from panotui.meter.control import dissectors

    dissectors.load()


def _open(order: LiveOrder) -> list[LiveSource]:
    """Rings open, every privilege dropped."""
    rings: list[LiveSource] = []
    try:
        for name in order.names:
            rings.append(
                open_live(
                    name,
                    ring_bytes=order.ring_bytes,
                    snap_bulk=order.snap_bulk,
                    promiscuous=order.promiscuous,
                )
            )
        privileges.go_first()
        keep_only_rings()
    except BaseException:
        for ring in rings:
            ring.close()
        raise
    return rings


def keep_only_rings() -> None:
    """Keep no privilege, no network except that of the open rings, no file except the program's
    own.
    """
    namespaces.leave_network()
    needed = [*landlock.own_places(), *SYSFS]
    domain = landlock.domain((place, landlock.READ) for place in needed)
    privileges.drop()
    landlock.enter(domain)


def _run(pump: LivePump, rings: Sequence[LiveSource], asked: int, outbox: Outbox) -> None:
    pace = Pace(rings, packet_ns=pump.clock)
    buffer = bytearray()
    finished = False
    while not outbox.broken:
        if finished:
            read = True  # it waits only for requests
        else:
            if pace.wait([asked]):
                pump.step(0.0)
            read = _readable(asked)
        if not read:
            continue
        data = os.read(asked, CHUNK)
        if not data:
            break
        buffer += data
        asked_for, buffer = frames(buffer)
        for frame in asked_for:
            request = _requests.decode(frame)
            if isinstance(request, Finish):
                pump.finish()
                finished = True
            elif pump.keeper is not None:
                outbox.put(encoder.encode(pump.keeper.answer(request)))
    # queued frames must leave before the process ends, if there is a reader
    outbox.wait(1.0)


def _readable(fileno: int) -> bool:
    return bool(select.select([fileno], [], [], 0)[0])
