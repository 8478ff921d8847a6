"""Seconds that are skipped: what none of them may contain."""

from __future__ import annotations

import numpy as np

from panotui.model import Delta, MeterCounters

NO_FLOWS = np.zeros(0, np.uint64)


def is_empty(delta: Delta, before: MeterCounters | None) -> bool:
    """True if nothing came and nothing changed; `before` are the meter's counters of the previous
    tick.
    """
    if before is None or before.packets != delta.counters.packets or delta.blind is not None:
        return False
    media = len(delta.streams) + len(delta.stream_seconds)
    return not (len(delta.flows) + media + len(delta.link_seconds) + len(delta.messages))
