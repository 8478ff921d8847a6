"""Seconds that are skipped: what none of them may contain, and until when nothing is due."""

from __future__ import annotations

import numpy as np

from panotui.diagnosis.cameras.going_on import GoingOn, going_on
from panotui.diagnosis.diagnosis import Diagnosis
from panotui.diagnosis.facts import Facts
from panotui.model import SECOND, STREAM_DTYPE, U64, Delta, Heard, MeterCounters, Rows, RtcpReport
from panotui.model.foreseen import Foreseen
from panotui.state.tracking import ConnectionTracking
from panotui.state.verdicts import VerdictBook

NO_FLOWS = np.zeros(0, np.uint64)
_NO_STREAMS = np.zeros(0, STREAM_DTYPE)


def is_empty(delta: Delta, before: MeterCounters | None) -> bool:
    """True if nothing came and nothing changed; `before` are the meter's counters of the previous
    tick.
    """
    if before is None or before.packets != delta.counters.packets or delta.blind is not None:
        return False
    media = len(delta.streams) + len(delta.stream_seconds)
    return not (len(delta.flows) + media + len(delta.link_seconds) + len(delta.messages))


class Passing:
    """Until when time alone changes nothing, and whether streams merely continue meanwhile."""

    def __init__(
        self,
        facts: Facts,
        diagnosis: Diagnosis,
        verdicts: VerdictBook,
        tracking: ConnectionTracking,
    ) -> None:
        self._facts = facts
        self._diagnosis = diagnosis
        self._verdicts = verdicts
        self._tracking = tracking
        self.stream_rows: Rows = _NO_STREAMS  # of the newest delta
        self._streams: GoingOn | None = None

    def quiet_until(self, now_ns: int, *, streaming: bool = False) -> int:
        """The first time at which a tick would do something without packets since the one at
        `now_ns`; `streaming`: with continuing streams.
        """
        facts = self._facts
        rest_ns = max(facts.streams.rest_ns(), facts.cameras.rest_ns())
        facts.cameras_rest = now_ns >= rest_ns
        if not facts.cameras_rest and not streaming:
            return 0
        return min(
            facts.resolvers.due_ns(), self._verdicts.due_ns(now_ns), self._tracking.due_ns(),
            facts.ports.due_ns(now_ns, facts.heard.senders),
            facts.visibility.due_ns(now_ns, facts.heard.unicast),
            self._diagnosis.due_ns(facts, streaming=streaming),
        )  # fmt: skip

    def prolonged(self, now_ns: int, heard: Heard) -> int:
        """The time that `settled` gives if this was heard since the tick at `now_ns`."""
        self._facts.heard = heard
        until = self.quiet_until(now_ns, streaming=self._streams is not None)
        return min(until, self._diagnosis.steady_ns(self._facts))

    def settled(self, quiet_until_ns: int) -> tuple[int, U64]:
        """Until when seconds without anything new may be reported in one delta, and ids of flows
        whose every row counts. `quiet_until_ns`: see `quiet_until`; if streams leave no such time,
        they may still merely continue.
        """
        facts = self._facts
        now, until = facts.now_ns, quiet_until_ns
        self._streams = None
        if not until and not facts.cameras_rest:
            self._streams = going_on(facts, self.stream_rows)
            until = self.quiet_until(now, streaming=True) if self._streams is not None else 0
        if until > now:
            until = min(until, self._diagnosis.steady_ns(facts))
        if not until:
            return until, NO_FLOWS
        return until, self._tracking.unsettled(self._verdicts.unsettled())

    def streams_go_on(self, rows: Rows, seconds: Rows, now_ns: int) -> bool:
        """Whether streams merely continued until a tick; see `GoingOn.go_on`. Without known
        streams, none may have come.
        """
        if self._streams is None:
            return not (len(rows) or len(seconds))
        return self._streams.go_on(rows, seconds, now_ns)

    def foresee(self, ahead: Foreseen) -> int:
        """See `GoingOn.foresee`."""
        return 0 if self._streams is None else self._streams.foresee(ahead)

    def streams_went_on(self, rows: Rows, seconds: Rows, ahead: Foreseen) -> bool:
        """See `GoingOn.went_on`."""
        return self._streams is not None and self._streams.went_on(rows, seconds, ahead)

    def restate(self, delta: Delta) -> None:
        """Extend everything that lasted while streams continued to the newest skipped tick."""
        streams, self._streams = self._streams, None
        if streams is None:
            return
        facts, now_ns = self._facts, self._facts.now_ns
        facts.now_ns = at_ns = delta.passed[-1][0]
        known = delta.stream_seconds["second"] < at_ns // SECOND
        facts.streams.update(delta.meter, streams.rows, delta.stream_seconds[known], at_ns)
        for message in delta.messages:
            if isinstance(message, RtcpReport) and message.time_ns < at_ns:
                self._diagnosis.observe(message, facts)
        self._diagnosis.restate(facts)
        facts.now_ns = now_ns
