"""What a worker is told; its own module, for the driver must not load what workers do."""

from __future__ import annotations

from msgspec import Struct

from panotui.fleet.entries import Job


class Order(Struct, frozen=True):
    """One capture to be analysed into a lake."""

    job: Job
    lake: str
    memory: int  # bytes for the analysis; 0 for the worker's own share
    is_again: bool = False  # also what the lake has already
