"""When to read the rings of a live capture.

A read costs the same for ten packets as for a thousand. With little traffic there are few reads:
the pace rests between two, and only watches the fill level of the rings. A ring that fills ends the
rest at once, and so does the end of a second of packet time, because that second should soon be on
disk. Other descriptors (a screen, netlink, a pipe) are watched all the time.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from typing import Protocol

REST_S = 0.34  # between two reads; three per second
SETTLED_NS = 70_000_000  # by then the kernel has delivered the last packets of a second
SECOND_NS = 1_000_000_000
CHECK_S = 0.05  # how often the fill level of a resting ring is checked
WORTH = 1 / 8  # of a ring; a port with small packets at 1 Gbit/s fills 12 MB between two checks
WAIT_S = 0.1  # wait for packets after the rest; an idle line is reported at this interval
GONE_S = 0.025  # between two attempts to reopen a missing interface


class Ring(Protocol):
    """The part of a live source that is needed to wait for it."""

    @property
    def present(self) -> bool: ...

    def fileno(self) -> int: ...

    def filled(self) -> float:
        """The share of the ring that waits to be read, 0 to 1."""


class Pace:
    """Waits for rings and other descriptors together; keeps and reads no packets."""

    def __init__(
        self,
        rings: Sequence[Ring],
        clock: Callable[[], float] = time.monotonic,
        packet_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`packet_ns`: the current packet time."""
        self._rings = list(rings)
        self._clock = clock
        self._packet_ns = packet_ns
        self._due = 0.0  # when the rest is over

    def wait(self, others: Sequence[int] = ()) -> bool:
        """True if the rings should be read now, false if only one of `others` is readable."""
        try:
            while (left := self._due - self._clock()) > 0:
                if any(ring.filled() >= WORTH for ring in self._rings):
                    break
                if select.select(others, [], [], min(left, CHECK_S))[0]:
                    return False
            present = [ring.fileno() for ring in self._rings if ring.present]
            wait_s = WAIT_S if len(present) == len(self._rings) else GONE_S
            select.select([*present, *others], [], [], wait_s)
        except OSError:
            time.sleep(GONE_S)  # an interface disappeared between two reads
        to_next_second = SECOND_NS - (self._packet_ns() - SETTLED_NS) % SECOND_NS
        self._due = self._clock() + min(REST_S, to_next_second / SECOND_NS)
        return True
