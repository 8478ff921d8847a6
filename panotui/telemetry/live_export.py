"""Flows, names and violations as lines while they happen: EVE and Zeek's conn.log, live.

Each second's news comes in; threads write lines to files, so that a slow disk or a pipe without a
reader delays nothing: lines that do not fit are dropped and counted. A flow is written when it has
ended, or when the program ends; a name when it is seen; a violation once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from panotui.model import SECOND, FlowRecord, Snapshot
from panotui.telemetry.eve import alert_event, flow_event, stats_event, tls_event
from panotui.telemetry.zeek import conn_close, conn_head, conn_line, networks_of

QUEUE_MOST = 1_000  # seconds of news
KNOWN_MOST = 200_000  # ids of written flows, the newest ones
STATS_S = 10


class Format(Protocol):
    """Turns news into lines, without line ends."""

    def begin(self, time_ns: int) -> Iterator[str]: ...

    def lines(self, snapshot: Snapshot, flows: Sequence[FlowRecord]) -> Iterator[str]: ...

    def end(self, snapshot: Snapshot, flows: Iterable[FlowRecord]) -> Iterator[str]: ...


class _Once:
    """Ids that were seen; the newest are kept."""

    def __init__(self, most: int = KNOWN_MOST) -> None:
        self._seen: dict[str, None] = {}
        self._most = most

    def first(self, name: str) -> bool:
        if name in self._seen:
            return False
        self._seen[name] = None
        if len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
        return True


class Eve:
    """Suricata's EVE: `flow`, `tls`, `alert` and, every ten seconds, `stats`."""

    def __init__(self) -> None:
        self._flows, self._names, self._violations = _Once(), _Once(), _Once()
        self._stats_ns = 0

    def begin(self, time_ns: int) -> Iterator[str]:
        return iter(())

    def lines(self, snapshot: Snapshot, flows: Sequence[FlowRecord]) -> Iterator[str]:
        for flow in flows:
            tls = tls_event(flow) if flow.host_source == "sni" else None
            if tls is not None and self._names.first(flow.id):
                yield _json(tls)
            if flow.end and self._flows.first(flow.id):
                yield _json(flow_event(flow))
        for violation in snapshot.violations:
            if self._violations.first(violation.id):
                yield _json(alert_event(violation))
        if snapshot.time_ns - self._stats_ns >= STATS_S * SECOND:
            self._stats_ns = snapshot.time_ns
            yield _json(stats_event(snapshot))

    def end(self, snapshot: Snapshot, flows: Iterable[FlowRecord]) -> Iterator[str]:
        for flow in flows:
            if not flow.end and self._flows.first(flow.id):
                event = flow_event(flow)
                event["flow"]["reason"] = "shutdown"
                yield _json(event)
        yield _json(stats_event(snapshot))


class Zeek:
    """Zeek's conn.log, tab-separated; open flows are written at the end."""

    def __init__(self, local: Iterable[str] = ()) -> None:
        self._networks = networks_of(local)
        self._flows = _Once()

    def begin(self, time_ns: int) -> Iterator[str]:
        return conn_head(time_ns)

    def lines(self, snapshot: Snapshot, flows: Sequence[FlowRecord]) -> Iterator[str]:
        for flow in flows:
            if flow.end and self._flows.first(flow.id):
                yield conn_line(flow, self._networks)

    def end(self, snapshot: Snapshot, flows: Iterable[FlowRecord]) -> Iterator[str]:
        for flow in flows:
            if not flow.end and self._flows.first(flow.id):
                yield conn_line(flow, self._networks)
        yield conn_close(snapshot.time_ns)


def _json(event: object) -> str:
    return msgspec.json.encode(event).decode()


class Export:
    """One file that is written while packets are read."""

    def __init__(self, named: str, descriptor: int, shape: Format) -> None:
        """`named`: the user's name for it. The descriptor is closed with it."""
        self.named = named
        self.lost = 0  # lines
        self.failing: str | None = None
        self._file = descriptor
        self._shape = shape
        self._begun = False
        self._queue: queue.Queue[list[str] | None] = queue.Queue(QUEUE_MOST)
        # Started with the first lines: privileges are per thread, and may be dropped before.
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"export {named}")

    def observe(self, snapshot: Snapshot, flows: Sequence[FlowRecord]) -> None:
        """Take a second's news; returns at once."""
        lines: list[str] = []
        if not self._begun:
            self._begun = True
            lines += self._shape.begin(snapshot.time_ns)
        self._put([*lines, *self._shape.lines(snapshot, flows)])

    def close(
        self, snapshot: Snapshot, flows: Iterable[FlowRecord], timeout_s: float = 5.0
    ) -> None:
        """Write open flows, then all waiting lines, for at most `timeout_s`."""
        if not self._begun:
            self._put(list(self._shape.begin(snapshot.time_ns)))
        self._put(list(self._shape.end(snapshot, flows)))
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=timeout_s)
            if self._thread.ident is not None:
                self._thread.join(timeout_s)
        if not self._thread.is_alive():
            os.close(self._file)

    def _put(self, lines: list[str]) -> None:
        if not lines:
            return
        if self._thread.ident is None:
            self._thread.start()
        try:
            self._queue.put_nowait(lines)
        except queue.Full:
            self.lost += len(lines)

    def _work(self) -> None:
        while (lines := self._queue.get()) is not None:
            try:
                self._write("".join(f"{line}\n" for line in lines).encode())
                self.failing = None
            except OSError as error:
                self.failing = error.strerror or str(error)
                self.lost += len(lines)

    def _write(self, text: bytes) -> None:
        written = 0
        while written < len(text):
            written += os.write(self._file, text[written:])
