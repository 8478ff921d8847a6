"""A first pass over a capture: its interfaces and its span of time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from panotui.model import (
    I64,
    SECOND,
)
from panotui.runtime.work import (
    Survey,
)
from panotui.sources import open_file


def survey(file: str) -> Survey:
    """Read a capture's record headers from end to end, without decoding packets. InputError."""
    source = open_file(file)
    highest = 0
    first: int | None = None
    seconds: list[I64] = []
    try:
        while not source.ended:
            batch = source.read(0.1)
            if batch is None or not len(batch):
                continue
            running = np.maximum(np.maximum.accumulate(batch.time_ns), highest)
            highest = int(running[-1])
            low = int(batch.time_ns.min())
            first = low if first is None else min(first, low)
            second = running // SECOND
            seconds.append(second[np.flatnonzero(np.diff(second, prepend=-1))])
        return Survey(
            file=file,
            packets=source.counters.packets,
            first_ns=first or 0,
            last_ns=highest,
            interfaces=tuple(source.interfaces),
            seconds=distinct(seconds).tobytes(),
            counters=source.counters,
        )
    finally:
        source.close()


def distinct(parts: Sequence[I64]) -> I64:
    """Sorted distinct values."""
    if not parts:
        return np.zeros(0, np.int64)
    every: I64 = np.sort(np.concatenate(parts), kind="stable")
    if len(every):
        every = every[np.diff(every, prepend=every[0] - 1) != 0]
    return every
