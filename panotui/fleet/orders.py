"""Orders for a worker; a separate module, because the driver must not load the worker's code."""

from __future__ import annotations

from msgspec import Struct

from panotui.fleet.entries import Job


class Order(Struct, frozen=True):
    """One capture to be analysed into a lake."""

    job: Job
    lake: str
    memory: int  # bytes for the analysis; 0 for the worker's own share
    is_again: bool = False  # also analyse what the lake already has
