"""When each meter saw little or nothing: it was stopped, its ring overflowed, the machine slept.

Spans come from the meters' deltas, and from the engine if it waits in vain for a meter. Packets
that are missing in such a span are nobody's fault. Books measure silence with `last_seen`.
"""

from __future__ import annotations

from panotui.state.thresholds import thresholds

LIMITS = thresholds().blindness


class Blindness:
    """The newest span of each meter."""

    def __init__(self) -> None:
        self.spans: dict[int, tuple[int, int]] = {}

    def note(self, meter: int, since_ns: int, until_ns: int) -> None:
        """The meter saw little or nothing between these times."""
        since, until = self.spans.get(meter, (0, 0))
        if since_ns <= until:  # it continues
            since_ns, until_ns = min(since, since_ns), max(until, until_ns)
        self.spans[meter] = since_ns, until_ns

    def last_seen(self, meter: int, last_ns: int) -> int:
        """The reference time of silence for something last seen at `last_ns`: packets during a
        blind span would have been missed.
        """
        since, until = self.spans.get(meter, (0, 0))
        return until if since - LIMITS.alive_ns <= last_ns < until else last_ns

    def covers(self, meter: int, start_ns: int, end_ns: int) -> bool:
        """Whether a silence between these times lies within a blind span."""
        since, until = self.spans.get(meter, (0, 0))
        return start_ns >= since - LIMITS.alive_ns and end_ns <= until + LIMITS.alive_ns

    @property
    def until_ns(self) -> int:
        """When the newest span of all meters ended; 0 if there was none."""
        return max((until for _, until in self.spans.values()), default=0)

    def unsettled(self, now_ns: int) -> bool:
        """True if some meter saw little or nothing recently: absence proves nothing."""
        return any(now_ns - until <= LIMITS.settled_ns for _, until in self.spans.values())
