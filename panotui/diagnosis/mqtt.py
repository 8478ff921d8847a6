"""MQTT connections that are opened again and again, and whose end each of them was.

Openings and flow rows of one client and broker come in, one observation per client goes out. Of two
clients with one client id, the broker closes the older right after the newer's CONNECT.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from panotui.diagnosis.cuts import ended_by
from panotui.diagnosis.facts import Facts, Observation, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND
from panotui.model.flow_rows import FlowRow

LIMITS = thresholds().connections
KEPT_MAX = 32


_BY_SERVER = ("server", "reset")


class _Going(Struct):
    """An open connection."""

    opened_ns: int
    out: int = -1  # bytes of the client and the server when it had settled
    back: int = -1


class End(Struct, frozen=True):
    """The end of a connection."""

    time_ns: int
    by: str  # "server", "reset" (by its side), "client", or "unheard": the client, unanswered
    lived_ns: int
    answered: bool  # the server answered inside TLS


class Opened(Struct):
    """MQTT connections of one client to one host."""

    client: str
    host: str
    times: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=KEPT_MAX))
    ids: set[str] = field(default_factory=set)  # MQTT client identifiers, where in clear text
    going: OrderedDict[int, _Going] = field(default_factory=OrderedDict)  # by flow
    ends: deque[End] = field(default_factory=lambda: deque(maxlen=KEPT_MAX))

    def begins(self, key: int, time_ns: int) -> None:
        """A flow's connection is established."""
        self.going[key] = _Going(time_ns)
        while len(self.going) > KEPT_MAX:
            self.going.popitem(last=False)

    def note_ends(self, facts: Facts) -> None:
        """What became of the open connections, while their rows exist."""
        for key, going in list(self.going.items()):
            slot = facts.flows.slot(key)
            if slot < 0:
                del self.going[key]
                continue
            row = facts.flows.rows[slot]
            by = ended_by(row)
            settled = facts.now_ns - going.opened_ns >= LIMITS.settled_ns
            if not by and going.out < 0 and settled:
                going.out, going.back = row.payload_out, row.payload_in
            # the answer to the last words may come after this tick
            if not by or (not row.end and facts.now_ns - row.last_ns < LIMITS.settled_ns):
                continue
            del self.going[key]
            if by == "client" and _unheard(row):
                by = "unheard"
            lived = row.last_ns - going.opened_ns
            self.ends.append(End(row.last_ns, by, lived, _went_on(going, row)))

    def ended_since(self, since_ns: int) -> list[End]:
        """The ends since a time."""
        return [e for e in self.ends if e.time_ns >= since_ns]


def _unheard(row: FlowRow) -> bool:
    """The client left because the server did not answer any more, not even in TCP."""
    return bool(row.retransmits_out) and row.last_out_ns - row.last_in_ns >= LIMITS.settled_ns


def _went_on(going: _Going, row: FlowRow) -> bool:
    """Something was said after the first moment: a client that waits for the answer to its CONNECT
    says nothing more. One that left before that did not wait.
    """
    if going.out < 0:
        return True
    return row.payload_in > going.back or row.payload_out - going.out > LIMITS.leave_bytes


def flapping(
    entry: Opened, times: list[tuple[int, int]], others: Iterable[Opened], facts: Facts
) -> Observation | None:
    """A connection that is opened again and again, `times` (when, packet); None: several
    applications, each with a connection that stays, or another client's finding has it.
    """
    host, client = entry.host, entry.client
    target = next((e for e in facts.endpoints.endpoints.values() if e.host == host), None)
    if target is not None and len(target.attempts.open_flows) >= len(times):
        return None
    ours = facts.is_appliance(client)
    seen = Observation(
        "mqtt-flapping",
        host,
        {
            "host": host, "count": str(len(times)), "detail": "", "client": client,
            "port": facts.port_of(client) or "",
        },
        tuple(evidence(t, p, "MQTT connection opened") for t, p in times[-8:]),
        times[0][0],
        times[-1][0],
        key=f"{host} {client}",
        # of other hosts it is information, with their name and without an action
        severity=None if ours else "info",
        action=None if ours else "",
    )  # fmt: skip
    taken = _taken_over(entry, others, times[0][0])
    if taken is not None:
        rival, count = taken
        if _is_of(rival, client, facts):
            return None
        return _take_over(seen, entry, rival, count, ours=ours)
    also = next((o for o in others if o.client != client and o.ids & entry.ids), None)
    if also is not None:
        if _is_of(also, client, facts):
            return None
        said = f": {also.client} connects with the same client id ({min(entry.ids)})"
        return replace(seen, values={**seen.values, "detail": said})
    ends = entry.ended_since(times[0][0])
    regular = _period(times)
    own = [e for e in ends if e.by == "client"]
    if len(own) >= LIMITS.cuts and len(own) >= LIMITS.own_share * len(ends):
        return _by_client(seen, own, facts)
    if regular is None:
        told = _at_once(seen, ends, facts)
        if told is not None:
            return told
    detail, by = _whose(ends)
    if by == "unheard" and ours:
        seen = replace(
            seen,
            action=f"Ask the owner of the firewall why nothing comes back from {host} after a while"
            " (an idle time-out, a full table of connections)",
        )
    if regular is not None:
        detail = f", every {regular:.0f} s{detail}"
        detail += ": another device may use the same client id" if by in _BY_SERVER else ""
    return replace(seen, values={**seen.values, "detail": detail})


def _is_of(rival: Opened, client: str, facts: Facts) -> bool:
    """The other client's finding names both: the appliance's, or that of the first address."""
    if facts.is_appliance(client) is not facts.is_appliance(rival.client):
        return not facts.is_appliance(client)
    return rival.client < client


def _period(times: list[tuple[int, int]]) -> float | None:
    """The pause between openings, in seconds, if all are alike."""
    gaps = np.diff([t[0] for t in times])
    middle = float(gaps.mean())
    if len(gaps) < LIMITS.regular_gaps or float(gaps.std()) >= LIMITS.regular_share * middle:
        return None
    return middle / SECOND


def _whose(ends: list[End]) -> tuple[str, str]:
    """Who ended most of them, in words and by `End.by`; the server may have while none was seen."""
    if not ends:
        return "", "server"
    count = {by: sum(e.by == by for e in ends) for by in ("server", "reset", "client", "unheard")}
    by = max(count, key=lambda name: count[name])
    said = {
        "server": "by the server (FIN)", "reset": "by RST from the server's side",
        "client": "by the client itself", "unheard": "by the client, which got no answer any more",
    }[by]  # fmt: skip
    return f", and ended {count[by]} of {len(ends)} times {said}", by


# ---------------------------------------------------------------------- one client id for two


def _taken_over(
    entry: Opened, others: Iterable[Opened], since_ns: int
) -> tuple[Opened, int] | None:
    """Whose new connections end this client's older ones, and how often; it may be the same
    address: two applications, or a NAT.
    """
    mine = [e for e in entry.ended_since(since_ns) if e.by in _BY_SERVER]
    if len(mine) < LIMITS.cuts:
        return None
    for rival in (*(o for o in others if o is not entry), entry):
        if rival.host != entry.host:
            continue
        hit = _pushed_out(mine, rival)
        theirs = [e for e in rival.ended_since(since_ns) if e.by in _BY_SERVER]
        back = _pushed_out(theirs, entry)
        if min(hit, back) >= LIMITS.cuts - 1 and hit >= LIMITS.own_share * len(mine):
            return rival, hit + (back if rival is not entry else 0)
    return None


def _pushed_out(ends: list[End], rival: Opened) -> int:
    """Connections that ended right after a newer one was opened."""
    return sum(
        any(
            0 <= end.time_ns - at <= LIMITS.pushed_ns and at > end.time_ns - end.lived_ns
            for at, _ in rival.times
        )
        for end in ends
    )


def _take_over(
    seen: Observation, entry: Opened, rival: Opened, count: int, *, ours: bool
) -> Observation:
    who = (
        f"{entry.client} and {rival.client} throw each other out at {entry.host}"
        if rival is not entry
        else f"Two MQTT clients at {entry.client} throw each other out at {entry.host}"
    )
    what = (
        f"Give {rival.client} a client id of its own"
        if rival is not entry
        else "Give one of the two applications a client id of its own"
    )
    return replace(
        seen,
        text=f"{who}: the broker closes the older MQTT connection right after the newer one's"
        f" CONNECT, {count} times in 10 min, as it does when both use one client id",
        action=f"{what} (in AWS IoT: its own thing and certificate)" if ours else "",
        evidence=tuple(
            sorted(
                (
                    *seen.evidence[-4:],
                    *(
                        evidence(t, p, f"MQTT connection of {rival.client} opened")
                        for t, p in (list(rival.times)[-4:] if rival is not entry else ())
                    ),
                ),
                key=lambda e: e.time_ns,
            )
        ),
    )


# ---------------------------------------------------------------------- ended by one side


def _at_once(seen: Observation, ends: list[End], facts: Facts) -> Observation | None:
    """The server itself ends each connection at once."""
    soon = [e for e in ends if e.by == "server" and e.lived_ns <= LIMITS.at_once_ns]
    if len(soon) < LIMITS.soon_ends or len(soon) < LIMITS.soon_share * len(ends):
        return None
    longest = max(e.lived_ns for e in soon) / SECOND
    client = seen.values["client"]
    who = facts.port_of(client) or client
    return replace(
        seen,
        severity="error" if seen.severity is None else seen.severity,
        text=f"{seen.subject} accepts each MQTT connection of {who} and closes it within"
        f" {max(longest, 0.1):.1f} s, {len(soon)} times in 10 min",
        action="Check the thing of this appliance in AWS IoT: its certificate must be active, its"
        " policy must allow this client id, and no other device may use that id"
        if seen.action is None
        else seen.action,
    )


def _by_client(seen: Observation, own: list[End], facts: Facts) -> Observation:
    """The client itself ends each connection: nobody takes its place then, for that is done by the
    server."""
    lives = sorted(e.lived_ns for e in own)
    usual = lives[len(lives) // 2] / SECOND
    client = seen.values["client"]
    who = facts.port_of(client) or client
    text = (
        f"{who} keeps opening its MQTT connection to {seen.subject} and ends it itself"
        f" after {usual:.0f} s, {len(own)} times in 10 min"
    )
    if 2 * sum(e.answered for e in own) > len(own):
        return replace(
            seen, severity="info", action="",
            text=f"{text}; it is answered meanwhile, so it is the application's own way",
        )  # fmt: skip
    return replace(
        seen,
        text=f"{text}: most likely it gets no answer inside TLS",
        action=f"Ask the owner of the firewall what happens to MQTT from {client} after the TLS"
        " handshake (application control, inspection)"
        if seen.action is None
        else seen.action,
    )
