"""Drops what is known of flows that ended long ago, in a program that runs for days.

A capture's flows are all kept: its answer lists them. A recorder has written them to disk, and a
screen shows those of the last hours. Without this, the memory of a recorder would grow until its
tables are full, which takes a day on one site and a week on another.
"""

from __future__ import annotations

import math

from panotui.model import SECOND
from panotui.site.names import NameBook
from panotui.state.flows.book import FlowBook

EVERY_NS = 60 * SECOND


class Retiring:
    """Looks once a minute of packet time."""

    def __init__(self, flows: FlowBook, names: NameBook, keep_s: float) -> None:
        """`keep_s`: seconds that a flow is kept for after its end; infinite: for ever."""
        self._flows, self._names = flows, names
        self._keep_s = keep_s
        self._next_ns = 0

    def tick(self, now_ns: int) -> None:
        if self._keep_s == math.inf or now_ns < self._next_ns:
            return
        self._next_ns = now_ns + EVERY_NS
        self._names.forget(self._flows.retire(now_ns - int(self._keep_s * SECOND)))
