"""Delivers alerts without ever delaying the capture.

A `Channel` has its own thread. Alerts that its receiver does not accept now are kept, in order and
bounded, and retried; with a `Spool` they also survive a restart. `standing()` returns the state of
delivery, so that the caller can report a failure once.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from panotui.telemetry.alerts import Alert

WAITING_MAX = 1_000
PAUSE_S, PAUSE_MOST_S = 1.0, 60.0
SPOOL_BYTES_MAX = 8 << 20


class Refused(Exception):
    """The receiver will never accept this alert; it may accept the next one."""


class Later(OSError):
    """The receiver accepts nothing now; retry after `seconds`."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds


class Standing(Struct, frozen=True):
    """The state of deliveries to one receiver."""

    to: str  # without secrets
    delivered: int = 0
    waiting: int = 0
    lost: int = 0  # dropped because too many waited
    refused: int = 0  # rejected by the receiver
    failing: str | None = None  # why nothing arrives now
    refusal: str | None = None  # its answer to the last one that it rejected


class Spool:
    """Alerts on disk that have not arrived yet: JSON lines in one file, held open.

    It is written before an alert is sent, so that a killed program loses none.
    """

    def __init__(self, descriptor: int) -> None:
        """`descriptor`: a file opened for reading and writing; it is closed with the spool."""
        self._file = descriptor

    def load(self, limit: int = WAITING_MAX) -> list[Alert]:
        """The newest alerts left by an earlier run; truncated lines are skipped."""
        found: list[Alert] = []
        for line in os.pread(self._file, SPOOL_BYTES_MAX, 0).splitlines():
            with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
                found.append(msgspec.json.decode(line, type=Alert))
        return found[-limit:]

    def append(self, alert: Alert) -> None:
        self._write(msgspec.json.encode(alert) + b"\n", os.fstat(self._file).st_size)

    def keep(self, alerts: Iterable[Alert]) -> None:
        """Replace the content by these alerts."""
        text = b"".join(msgspec.json.encode(alert) + b"\n" for alert in alerts)
        self._write(text, 0)
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, len(text))

    def _write(self, text: bytes, offset: int) -> None:
        # A full disk only costs the alerts that a restart would have saved.
        with contextlib.suppress(OSError):
            os.pwrite(self._file, text, offset)

    def close(self) -> None:
        os.close(self._file)


class Channel:
    """One receiver. `send` returns at once; `deliver(alert)` may block in a thread."""

    def __init__(
        self,
        to: str,
        deliver: Callable[[Alert], None],
        *,
        spool: Spool | None = None,
        limit: int = WAITING_MAX,
        pause_s: float = PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`deliver` raises OSError (`Later`) if it should be retried, `Refused` if not. Starts with
        the content of `spool`.
        """
        self._deliver = deliver
        self._spool = spool
        self._limit = limit
        self._first_pause_s = pause_s
        self._clock = clock
        self._condition = threading.Condition()
        self._waiting: deque[Alert] = deque(spool.load(limit) if spool is not None else ())
        self._standing = Standing(to, waiting=len(self._waiting))
        self._deadline: float | None = None  # set when it is closed
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"alerts to {to}")
        self._thread.start()

    def send(self, alert: Alert) -> None:
        """Queue an alert; if too many wait, the oldest is dropped and counted."""
        with self._condition:
            dropped = len(self._waiting) >= self._limit
            if dropped:
                self._waiting.popleft()
                self._standing = replace(self._standing, lost=self._standing.lost + 1)
            self._waiting.append(alert)
            if self._spool is not None:
                if dropped:
                    self._spool.keep(self._waiting)
                else:
                    self._spool.append(alert)
            self._condition.notify()

    def standing(self) -> Standing:
        with self._condition:
            return replace(self._standing, waiting=len(self._waiting))

    def close(self, timeout_s: float = 2.0) -> None:
        """Deliver waiting alerts for at most `timeout_s`; without a spool the rest is lost."""
        with self._condition:
            self._deadline = self._clock() + timeout_s
            self._condition.notify()
        self._thread.join(timeout_s + 1.0)
        with self._condition:
            if self._spool is None:
                lost = self._standing.lost + len(self._waiting)
                self._standing = replace(self._standing, lost=lost)
                self._waiting.clear()
            elif not self._thread.is_alive():
                self._spool.close()

    # ------------------------------------------------------------------ the thread

    def _work(self) -> None:
        pause_s = self._first_pause_s
        while (alert := self._next()) is not None:
            try:
                self._deliver(alert)
            except Refused as refusal:
                self._done(alert, refused=str(refusal))
            except OSError as error:
                wanted = error.seconds if isinstance(error, Later) else None
                if not self._failed(str(error.strerror or error), wanted or pause_s):
                    return
                pause_s = min(2 * pause_s, PAUSE_MOST_S)
                continue
            else:
                self._done(alert)
            pause_s = self._first_pause_s

    def _next(self) -> Alert | None:
        """The oldest waiting alert; None at the end."""
        with self._condition:
            while not self._waiting:
                if self._deadline is not None:
                    return None
                self._condition.wait()
            if self._deadline is not None and self._clock() > self._deadline:
                return None
            return self._waiting[0]

    def _done(self, alert: Alert, refused: str | None = None) -> None:
        with self._condition:
            if self._waiting and self._waiting[0] is alert:  # otherwise it was dropped meanwhile
                self._waiting.popleft()
            was = self._standing
            if refused is None:
                self._standing = replace(was, delivered=was.delivered + 1, failing=None)
            else:
                self._standing = replace(
                    was, refused=was.refused + 1, refusal=refused, failing=None
                )
            if self._spool is not None:
                self._spool.keep(self._waiting)

    def _failed(self, why: str, pause_s: float) -> bool:
        """Report it and wait; false if there is no time left to retry."""
        with self._condition:
            self._standing = replace(self._standing, failing=why)
            until = self._clock() + pause_s
            while (left := until - self._clock()) > 0:
                if self._deadline is not None:
                    left = min(left, self._deadline - self._clock())
                    if left <= 0 or pause_s > self._first_pause_s:
                        return False
                self._condition.wait(left)
            return True
