"""Whether a stream's time stamps advance correctly: stream-timestamps."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable

from panotui.diagnosis.cameras.pace import LIMITS as PACE_LIMITS
from panotui.diagnosis.cameras.stream_events import Memory, Watched
from panotui.diagnosis.facts import Observation, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND
from panotui.state.connects import recent

LIMITS = thresholds().cameras.stamps
STREAMS_MAX = 2048


class StampClocks:
    """Start times of wrong stream clocks."""

    def __init__(self) -> None:
        self._since: OrderedDict[str, int] = OrderedDict()

    def are_settled(self, now_ns: int) -> bool:
        """Whether each clock that runs wrong has done so for long enough to be reported."""
        longest_ns = max(LIMITS.off_s) * SECOND
        return all(now_ns - since > longest_ns for since in self._since.values())

    def runs_wrong(self, watched: Watched) -> bool:
        """Whether the clock of the stamps has run too slow or too fast for a while.

        Packets that wait in a queue also become late, over TCP for longer.
        """
        stream, row, now = watched.stream, watched.stream.row, watched.facts.now_ns
        quiet = any(now - f.start_ns < LIMITS.calm_ns for f in stream.freezes)
        off = math.isfinite(row.stamp_rate) and abs(row.stamp_rate - 1) >= LIMITS.off_share
        if (
            not off
            or quiet
            or (row.catching_up and row.stamp_rate < LIMITS.backlog_rate)
            or now - row.last_ns > stream.patience_ns
        ):
            self._since.pop(stream.key, None)
            return False
        since = self._since.setdefault(stream.key, now)
        while len(self._since) > STREAMS_MAX:
            self._since.popitem(last=False)
        return now - since >= LIMITS.off_s[row.transport == 6] * SECOND


def wrong(watched: Watched, memory: Memory, runs_wrong: bool) -> Iterable[Observation]:
    """Time stamps that jump, run too slow or too fast, or do not fit the declared rate."""
    stream, row, now = watched.stream, watched.stream.row, watched.facts.now_ns
    jumps = row.timestamp_jumps
    grew = memory.grew_ns(stream.key, "jumps", jumps, now)
    nominal, expected = row.fps_nominal, stream.fps_expected
    parts = []
    if jumps >= LIMITS.jumps and recent(grew, now, LIMITS.jumped_s):
        parts.append(f"they jumped {jumps} times")
    if runs_wrong and math.isfinite(row.fps_stamped):
        slow = "slow" if row.stamp_rate < 1 else "fast"
        parts.append(
            f"they run {100 * abs(row.stamp_rate - 1):.0f} % too {slow}: they say"
            f" {row.fps_stamped:.4g} frames/s, but {row.fps_stamped * row.stamp_rate:.4g} arrive"
        )
    elif (
        expected
        and math.isfinite(nominal)
        and watched.age_s > LIMITS.compared_s
        # pictures that a camera left out for a while are missing from the count
        and not any(now - f.start_ns < LIMITS.counted_ns for f in stream.freezes)
        and abs(nominal - expected) > LIMITS.declared_share * expected
        and abs(nominal - expected / 2) > LIMITS.half_fps
        # a slow camera with matching time stamps is stream-fps, not a stamp problem
        and not row.fps_now < PACE_LIMITS.fps_share * expected
        # nor is a camera that really sends more pictures than expected
        and not abs(row.fps_now - nominal) <= PACE_LIMITS.agree_share * nominal
    ):
        parts.append(f"they say {nominal:.1f} frames/s, but {expected:.4g} are declared")
    if parts:
        yield Observation(
            "stream-timestamps", watched.subject, {**watched.values, "detail": "; ".join(parts)},
            (evidence(now, row.last_packet, "measured up to here"),),
            # unevenness is measured with the stamps
            replaces=(f"stream-jitter|{watched.anchor}",) if runs_wrong else (),
            **watched.base,
        )  # fmt: skip
