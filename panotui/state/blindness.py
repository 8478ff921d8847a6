"""When each meter saw little or nothing: it was stopped, its ring overflowed, the machine slept.

Spans come in from the meters' deltas, and from who waits in vain for a meter's news; what did not
come in a span, or did not go on, is nobody's fault. `last_seen` is how books count silence.
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
        if since_ns <= until:  # it goes on
            since_ns, until_ns = min(since, since_ns), max(until, until_ns)
        self.spans[meter] = since_ns, until_ns

    def last_seen(self, meter: int, last_ns: int) -> int:
        """When something was seen last that came last at `last_ns`: had it come while nothing was
        seen, nobody would know."""
        since, until = self.spans.get(meter, (0, 0))
        return until if since - LIMITS.alive_ns <= last_ns < until else last_ns

    @property
    def until_ns(self) -> int:
        """When the newest span of all meters ended; 0 when there was none."""
        return max((until for _, until in self.spans.values()), default=0)

    def unsettled(self, now_ns: int) -> bool:
        """Some meter saw little or nothing lately: absence proves nothing."""
        return any(now_ns - until <= LIMITS.settled_ns for _, until in self.spans.values())
