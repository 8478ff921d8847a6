"""What a reader's RTCP reports say of a stream that it gets: the loss behind this vantage.

In: the reports about a stream. Out: the share that the reader loses, if several reports in a row
and the reader's own counts agree.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct, field

from panotui.model import RtcpReport
from panotui.state.thresholds import thresholds

LIMITS = thresholds().reader_reports


class Reported(Struct, frozen=True):
    """One report of a reader."""

    time_ns: int
    packet: int
    share: float  # lost since the report before
    lost: int  # in all
    highest: int  # extended sequence number


class ReaderReports(Struct):
    """The newest reports about one stream."""

    newest: deque[Reported] = field(default_factory=lambda: deque(maxlen=LIMITS.reports + 1))

    def take(self, message: RtcpReport) -> None:
        """Process a report."""
        share, lost = message.fraction_lost or 0.0, message.cumulative_lost or 0
        self.newest.append(
            Reported(message.time_ns, message.packet, share, lost, message.highest or 0)
        )

    def loss(self, now_ns: int) -> float | None:
        """The share of packets that the reader has lost lately, by its own reports."""
        if len(self.newest) <= LIMITS.reports:
            return None
        first, *rest = self.newest
        if now_ns - first.time_ns > LIMITS.recent_ns or min(r.share for r in rest) < LIMITS.share:
            return None
        expected, lost = rest[-1].highest - first.highest, rest[-1].lost - first.lost
        said = sum(one.share for one in rest) / len(rest)
        if expected <= 0 or not LIMITS.agree_share * said <= lost / expected <= 1:
            return None
        return lost / expected
