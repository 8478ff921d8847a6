"""A line that an upload fills: the router before it queues, and each round trip takes many times as
long as on the idle line.

Attempts and the rates of flows come in, one observation of `slow-uplink` goes out. The control is
the line itself: the same hosts answered much sooner before.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from panotui.diagnosis.facts import Facts, Observation, clock_text, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import address_text
from panotui.model.quantities import milliseconds, rate
from panotui.site.facts import Who
from panotui.state.connects import Attempts
from panotui.state.ladder import Attempt
from panotui.state.middle import median

LIMITS = thresholds().queued
WAYS_MAX = 64
_Try: TypeAlias = tuple[Attempts, Attempt, float]  # the host, the attempt, milliseconds


class Queued:
    """See the module. Bounded by the appliance's ports."""

    def __init__(self) -> None:
        # by way: when an upload was last seen, to which host, and its rate in bits/s
        self._uploads: dict[str, tuple[int, str, float]] = {}

    def observed(self, facts: Facts) -> Observation | None:
        """New connections that take many times as long as before, while one connection uploads."""
        tries = _tries(facts)
        for way, late in _late(tries, facts).items():
            found = _upload(way, facts)
            if found is not None:
                if len(self._uploads) >= WAYS_MAX:
                    self._uploads.clear()
                self._uploads[way] = facts.now_ns, *found
            seen_ns, host, speed = self._uploads.get(way, (0, "", 0.0))
            if facts.now_ns - seen_ns <= LIMITS.recent_ns:
                return _told(way, late, host, speed, facts)
        return None


def _tries(facts: Facts) -> dict[str, list[_Try]]:
    """Handshakes with hosts on the internet whose time is known, by the port that they left by."""
    by_way: dict[str, list[_Try]] = {}
    for target in facts.connects.ours():
        if not facts.view.who(target.server) & Who.INTERNET:
            continue
        way = facts.port_of(target.client) or target.client
        for one in target.recent:
            if one.rtt_ms is not None:
                by_way.setdefault(way, []).append((target, one, one.rtt_ms))
    return by_way


def _late(by_way: dict[str, list[_Try]], facts: Facts) -> dict[str, list[tuple[_Try, float]]]:
    """Recent ones that took many times as long as the quickest with the same host, and that."""
    out: dict[str, list[tuple[_Try, float]]] = {}
    for way, tries in by_way.items():
        least: dict[str, float] = {}
        for target, _, took in tries:
            least[target.server] = min(took, least.get(target.server, took))
        late = [
            (one, least[one[0].server])
            for one in tries
            if facts.now_ns - one[1].first_ns <= LIMITS.recent_ns
            and one[2] >= max(LIMITS.rtt_ms, LIMITS.grown * least[one[0].server])
        ]
        if len(late) >= LIMITS.handshakes:
            out[way] = sorted(late, key=lambda t: t[0][1].first_ns)
    return out


def _told(
    way: str, late: list[tuple[_Try, float]], host: str, speed: float, facts: Facts
) -> Observation:
    now_ms, was_ms = median([one[2] for one, _ in late]), median([was for _, was in late])
    since = late[0][0][1].first_ns
    slow = {(facts.host_of(t.client, t.server), t.client) for (t, _, _), _ in late}
    return Observation(
        "slow-uplink", "internet",
        {
            "detail": f"since {clock_text(since)} each round trip takes {milliseconds(now_ms)}"
            f" instead of {milliseconds(was_ms)}, while {way} uploads {rate(speed)} to {host}",
            "port": way,
        },
        tuple(
            evidence(a.first_ns, a.packet, f"answer after {milliseconds(took)},"
                     f" {milliseconds(was)} at other times")
            for (_, a, took), was in late[-6:]
        ),
        since, late[-1][0][1].first_ns,
        action="Ask the owner of the router to limit its queue for uploads (smart queue management)"
        " or to give the appliance's other connections priority; or upload less at a time",
        covers=(
            *(f"mqtt-flapping|{name} {client}" for name, client in sorted(slow)),
            "idle-timeout|*",
        ),
    )  # fmt: skip


def _upload(way: str, facts: Facts) -> tuple[str, float] | None:
    """The host that a port sends most to now, and its rate in bits/s, if that fills a line."""
    flows = facts.flows
    slots = np.flatnonzero(flows.live & flows.endpoint)
    out, back = flows.rates(slots, facts.now_ns)
    for i in np.argsort(-out)[: LIMITS.handshakes].tolist():
        if out[i] < LIMITS.upload_bps or out[i] < LIMITS.upload_ratio * back[i]:
            return None
        row = flows.rows[slots[i]]
        client = address_text(row.version, row.src)
        if (facts.port_of(client) or client) == way:
            return facts.host_of(client, address_text(row.version, row.dst)), float(out[i])
    return None
