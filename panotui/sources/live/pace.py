"""When the rings of a live capture are worth a look.

A look costs the same for ten packets as for a thousand, so there are few of them while little
comes: the pace rests between two, and only watches how full the rings get. A ring that fills ends
the rest at once, and so does the end of a second of packet time: what is told of it should be on
disk soon. Descriptors of others (a screen, netlink, a pipe) are watched all the while.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from typing import Protocol

REST_S = 0.34  # between two looks; three a second
SETTLED_NS = 70_000_000  # after a second's end its last packets are out of the kernel's hands
SECOND_NS = 1_000_000_000
CHECK_S = 0.05  # how often a resting ring's filling is looked at
WORTH = 1 / 8  # of a ring; a port of small packets at 1 Gbit/s fills 12 MB between two checks
WAIT_S = 0.1  # for packets, when the rest is over: an idle line is told so this often
GONE_S = 0.025  # between two tries of an interface that is gone


class Ring(Protocol):
    """A live source, as far as waiting for it goes."""

    @property
    def present(self) -> bool: ...

    def fileno(self) -> int: ...

    def filled(self) -> float:
        """The share of the ring that waits to be read, 0 to 1."""


class Pace:
    """Waits for rings and for others at once; keeps no packets and reads none."""

    def __init__(
        self,
        rings: Sequence[Ring],
        clock: Callable[[], float] = time.monotonic,
        packet_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`packet_ns`: the packet time that it is now."""
        self._rings = list(rings)
        self._clock = clock
        self._packet_ns = packet_ns
        self._due = 0.0  # when the rest is over

    def wait(self, others: Sequence[int] = ()) -> bool:
        """True when the rings should be read now, false when only one of `others` is readable."""
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
            time.sleep(GONE_S)  # an interface went away between two looks
        to_next_second = SECOND_NS - (self._packet_ns() - SETTLED_NS) % SECOND_NS
        self._due = self._clock() + min(REST_S, to_next_second / SECOND_NS)
        return True
