"""The collector's loop: packets into the pump, frames out to screens, seconds to disk.

Sources and a listening socket are passed in already opened and unprivileged. It runs until it is
stopped, its time is up, its sources have ended, or (live) its screen is gone. It has one thread. A
screen's request is answered before the news of packets is processed, and again after each second
of that news, so a key waits for one second's work at most. No packet is missed meanwhile: live, the
meters read the rings in their own processes.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from panotui.engine.engine import Engine
from panotui.feed.server import FeedServer
from panotui.model import Delta, FlowRecord, LinkReading, Snapshot
from panotui.recording.evidence import EvidenceTap
from panotui.recording.relay import AnyRecorder

WAIT_S = 0.1
STATUS_S = 1.0


class Links(Protocol):
    """The source of events about the interfaces' links."""

    def read(self, now_ns: int) -> Sequence[LinkReading]: ...

    def filenos(self) -> Sequence[int]: ...

    def close(self) -> None: ...


class Driver(Protocol):
    """Brings news of packets to the engine: a pump, or the connection to live meters."""

    engine: Engine
    live: bool
    on_tick: list[Callable[[int], None]]

    def step(self, timeout_s: float = 0.0) -> bool:
        """Process what is available; false at the end."""

    def finish(self) -> None:
        """Pass the last second to the engine."""

    def close(self) -> None: ...


class Collector:
    """See the module; `stop` may be called from a signal handler."""

    def __init__(
        self,
        pump: Driver,
        *,
        server: FeedServer | None = None,
        recorder: AnyRecorder | None = None,
        evidence: EvidenceTap | None = None,
        links: Links | None = None,
        wait_on: Callable[[], Sequence[int]] = tuple,
        status: Callable[[Collector], None] | None = None,
        exports: Sequence[Callable[[Snapshot, Sequence[FlowRecord]], None]] = (),
        clock: Callable[[], float] = time.monotonic,
        time_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.pump = pump
        self.engine = pump.engine
        self.server = server
        self.recorder = recorder
        self._evidence = evidence
        self._links = links
        self._wait_on = wait_on
        self._status = status
        self._exports = exports  # they get the same data as the recorder
        self._clock = clock
        self._time_ns = time_ns
        self.stopped: str | None = None
        self.began = clock()
        self._status_at = self.began
        if recorder is not None:
            pump.on_tick.append(self._second)
        if server is not None:
            pump.on_tick.append(lambda _: self._answer())

    def stop(self, why: str) -> None:
        """End after the current step."""
        self.stopped = self.stopped or why

    def run(
        self, *, for_s: float | None = None, while_watched: bool = False, stay: bool = True
    ) -> str:
        """Run until the end; returns why: "ended", "time", "unwatched", "recorder failed", or the
        argument of `stop`.

        `while_watched`: end when no screen is attached any more. `stay`: keep answering screens
        after the sources have ended.
        """
        deadline = None if for_s is None else self._clock() + for_s
        ended = False
        while self.stopped is None:
            self._wait(ended)
            self._answer()
            if not ended and not self.pump.step(0.0):
                ended = True
                if self.server is None or not stay:
                    return "ended"
            if self._links is not None:
                for reading in self._links.read(self._time_ns()):
                    self.engine.link(reading)
            if while_watched and self.server is not None and self.server.clients == 0:
                return "unwatched"
            if self.recorder is not None and self.recorder.failure is not None:
                return "recorder failed"
            now = self._clock()
            if self._status is not None and now >= self._status_at:
                self._status_at = now + STATUS_S
                self._status(self)
            if deadline is not None and now >= deadline:
                return "time"
        return self.stopped

    def finish(self, ended: str) -> None:
        """Process what has been captured, write it, close everything."""
        self.pump.finish()
        if self._evidence is not None:
            self._evidence.finish()
        if self.recorder is not None:
            self._last_words(self.recorder)
            self.recorder.close(ended)
        if self.server is not None:
            self.server.close()
        if self._links is not None:
            self._links.close()
        self.pump.close()

    def _last_words(self, recorder: AnyRecorder) -> None:
        """Flows that did not fit into any second's share, and every flow with its final verdict."""
        snapshot = self.engine.snapshot()
        while flows := self.engine.drain_changed_flows():
            recorder.observe(snapshot, flows, self.engine.drain_events())
            for export in self._exports:
                export(snapshot, flows)
        recorder.observe(snapshot, list(self.engine.flow_records()))

    def _answer(self) -> None:
        """Answer the requests that wait."""
        if self.server is not None:
            self.server.poll(0.0)

    def _wait(self, ended: bool) -> None:
        """Wait for news of a meter, a request, or the next clock check.

        Files are always ready. The demo has no descriptor and is polled often.
        """
        if not ended and not self.pump.live:
            return
        meters = [] if ended else list(self._wait_on())
        others = [] if self.server is None else [self.server.fileno()]
        others += [] if self._links is None else list(self._links.filenos())
        select.select([*meters, *others], [], [], WAIT_S if ended or meters else WAIT_S / 4)

    def part(self, delta: Delta) -> None:
        """Write flows of a second that is not over; the state learns about them at the end of the
        second.
        """
        if self.recorder is not None and len(delta.flows):
            flows = self.engine.flows.told(delta.meter, delta.flows, delta.time_ns)
            self.recorder.observe_part(delta.time_ns, list(flows))

    def _second(self, now_ns: int) -> None:
        assert self.recorder is not None
        self.engine.recorder = self.recorder.status()
        snapshot, flows = self.engine.snapshot(), self.engine.drain_changed_flows()
        self.recorder.observe(snapshot, flows, self.engine.drain_events())
        for export in self._exports:
            export(snapshot, flows)
