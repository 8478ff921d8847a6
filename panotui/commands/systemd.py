"""Reports the state of a service to systemd: ready, a line of status, alive, stopping
(sd_notify(3)).

Does nothing if the program was not started by systemd. The protocol is a datagram of lines to the
socket that the environment names; it is connected before privileges are given up.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

STATUS_S = 10.0  # between two lines of status


class Systemd:
    """The connection to the service manager. Create it early: `environment` is that of the
    start.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._socket: socket.socket | None = None
        self._alive_at = self._status_at = 0.0
        self._every_s = _watchdog_s(environment)
        name = environment.get("NOTIFY_SOCKET", "")
        if not name.startswith(("/", "@")):
            return
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            told.connect("\0" + name[1:] if name.startswith("@") else name)
            told.setblocking(False)
        except OSError:
            told.close()
            return
        self._socket = told

    def ready(self) -> None:
        """It has started; units that depend on it may start, too."""
        self._tell("READY=1")

    def alive(self, status: Callable[[], str]) -> None:
        """Call about once per second while all is well; `status` is called when a status is due."""
        now = self._clock()
        if self._every_s is not None and now >= self._alive_at:
            self._alive_at = now + self._every_s
            self._tell("WATCHDOG=1")
        if now >= self._status_at:
            self._status_at = now + STATUS_S
            self._tell(f"STATUS={' '.join(status().split())}")

    def stopping(self) -> None:
        """It ends by itself or as it was told to."""
        self._tell("STOPPING=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, text: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # nothing can be done about it
                self._socket.send(text.encode("utf-8", "replace"))


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """How often to report that it is alive: a third of systemd's timeout; None without one."""
    text = environment.get("WATCHDOG_USEC", "")
    pid = environment.get("WATCHDOG_PID", "")
    if not text.isdecimal() or int(text) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 3e6
