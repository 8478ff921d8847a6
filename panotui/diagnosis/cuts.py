"""Established connections that are cut while in use, and the ends of MQTT connections.

Ended flow rows come in, one observation per host goes out: the server or a box on the path resets
connections that it had let through, or stops acknowledging. A connection that was silent before is
no case of this (`idle-timeout`). Every table is bounded.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

import numpy as np
from msgspec import Struct, field

from panotui.diagnosis.facts import Facts, Observation, clock_text, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import I64, SECOND, Bool, EvidenceRecord, address_text
from panotui.model.flow_rows import FlowColumns, FlowRow
from panotui.model.quantities import times

HOSTS_MAX = 256
KNOWN_MAX = 2048
LIMITS = thresholds().connections
_SEEN = {
    "reset": "RST",
    "shut": "the window stays closed, the client gives up",
    "starved": "no more comes, the client gives up",
}


class Cut(Struct, frozen=True):
    """One connection that was cut."""

    time_ns: int
    how: str  # "reset", "shut" (the server's side took no more) or "starved" (it sent no more)
    lived_ns: int
    moved: int  # bytes that the client sent, or received where it starved
    ttl: int  # of the RST
    ttl_before: int  # of earlier data
    seen: EvidenceRecord


class _Host(Struct):
    client: str
    host: str
    port: int
    cuts: deque[Cut] = field(default_factory=lambda: deque(maxlen=32))
    ended: deque[int] = field(default_factory=lambda: deque(maxlen=64))  # well, when
    began: deque[int] = field(default_factory=lambda: deque(maxlen=96))  # all that ended, when

    def is_sure(self, cut: Cut) -> bool:
        """A large answer looks alike whether it stopped or was whole. A client that throws a
        connection out of its pool has what it wanted; one that waited in vain begins anew."""
        if cut.how != "starved":
            return True
        return any(0 <= at - cut.time_ns <= LIMITS.anew_ns for at in self.began)


class Cuts:
    """Cut connections by client, host and port."""

    def __init__(self) -> None:
        self._hosts: OrderedDict[tuple[str, str, int], _Host] = OrderedDict()
        self._known: OrderedDict[int, None] = OrderedDict()  # flows that were checked
        self._done: OrderedDict[int, None] = OrderedDict()  # flows whose TLS handshake succeeded

    def finished(self, key: int) -> None:
        """A flow's TLS handshake succeeded: from then on it carries application data."""
        self._done[key] = None
        while len(self._done) > KNOWN_MAX:
            self._done.popitem(last=False)

    def look(self, slots: I64, rows: FlowColumns, quiet: Bool, facts: Facts) -> None:
        """Process the connections that ended. `quiet` (bool): silent before, one per row."""
        used = (rows["payload_in"] > 0) & (rows["payload_out"] > 0) & (rows["syn_out"] > 0)
        used &= facts.flows.endpoint[slots] & (rows["protocol"] == 6)
        fins = rows["fin_out"] + rows["fin_in"]
        reset = (rows["rst_in"] > 0) & (rows["rst_out"] == 0) & (fins == 0)
        shut = (rows["zero_window_now_in"] > 0) & (rows["rst_out"] + rows["fin_out"] > 0)
        # an answer so large that it stops, and the client throws the connection away
        starved = quiet & (rows["rst_out"] > 0) & (rows["rst_in"] == 0) & (fins == 0)
        starved &= (rows["payload_in"] >= LIMITS.starved_bytes) & ~shut
        cut = used & (reset | shut | starved)
        well = used & ~cut & (fins > 0)
        for i in np.flatnonzero(cut | well)[:64].tolist():
            slot = int(slots[i])
            key = int(facts.flows.key[slot])
            if key in self._known:
                continue
            self._known[key] = None
            while len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
            if cut[i] and quiet[i] and not starved[i]:
                continue
            if key in self._done:
                how = "shut" if shut[i] else "starved" if starved[i] else "reset"
                self._take(slot, how if cut[i] else "", facts)

    def _take(self, slot: int, how: str, facts: Facts) -> None:
        """`how` it was cut; empty: it ended well."""
        row = facts.flows.rows[slot]
        client = address_text(row.version, row.src)
        if not facts.is_appliance(client):
            return
        server = address_text(row.version, row.dst)
        name = facts.flows.host[slot] or facts.host_of(client, server)
        where = (client, name, row.dport)
        host = self._hosts.get(where)
        if host is None:
            host = self._hosts[where] = _Host(client, name, row.dport)
            while len(self._hosts) > HOSTS_MAX:
                self._hosts.popitem(last=False)
        self._hosts.move_to_end(where)
        at = row.rst_ns or row.last_ns
        host.began.append(row.first_ns)
        if not how:
            host.ended.append(at)
            return
        moved = row.payload_in if how == "starved" else row.payload_out
        lived = row.last_in_ns - row.first_ns if how == "starved" else at - row.first_ns
        way = "received" if how == "starved" else "sent"
        said = f"{_SEEN[how]} after {_span(at - row.first_ns)}, {_bytes(moved)} {way}"
        packet = row.rst_packet or row.last_packet
        seen = evidence(at, packet, said)
        host.cuts.append(Cut(at, how, lived, moved, row.rst_ttl, row.ttl_in, seen))

    def due_ns(self, now_ns: int) -> int:
        """When the next of the present cases expires; 0 never."""
        ends = (c.time_ns + LIMITS.flap_ns for h in self._hosts.values() for c in h.cuts)
        return min((end + SECOND for end in ends if end >= now_ns), default=0)

    def told(self, facts: Facts) -> Iterable[Observation]:
        """Hosts whose connections are repeatedly cut."""
        for host in self._hosts.values():
            since = facts.now_ns - LIMITS.flap_ns
            cuts = [c for c in host.cuts if c.time_ns >= since and host.is_sure(c)]
            well = sum(t >= cuts[0].time_ns for t in host.ended) if cuts else 0
            if len(cuts) < LIMITS.cuts or well > 2 * len(cuts):
                continue
            yield _observation(host, cuts, well, facts)


def _observation(host: _Host, cuts: list[Cut], well: int, facts: Facts) -> Observation:
    first, last = cuts[0], cuts[-1]
    kind = max(_SEEN, key=lambda how: sum(c.how == how for c in cuts))
    lives, sizes = sorted(c.lived_ns for c in cuts), sorted(c.moved for c in cuts)
    rest = f"; {well} others ended normally" if well else ""
    who = f"{host.host} port {host.port}"
    since = f"{times(len(cuts))} since {clock_text(first.time_ns)}"
    foreign = [c for c in cuts if c.ttl and c.ttl_before and abs(c.ttl - c.ttl_before) > 1]
    detail: tuple[str, ...] = ()
    if len(foreign) > len(cuts) // 2:
        detail = (
            f"TTL of the RST is {last.ttl}, of the host's packets {last.ttl_before}: a box on the"
            " way sends it",
        )
    if kind == "starved":
        text = (
            f"{who} begins to answer and then stops: nothing more comes after"
            f" {_between(sizes, _bytes)}, and the client gives up, {since}{rest}"
        )
        action = (
            f"Ask the owner of the firewall what holds back large downloads of {host.client} from"
            f" {host.host}: a proxy or virus scan that waits for the end, or a limit"
        )
    else:
        how = (
            "accepts no more data (its window stays closed)"
            if kind == "shut"
            else "is reset by RST"
        )
        after = f"after {_between(lives, _span)} and {_between(sizes, _bytes)} sent"
        side = "its side" if kind == "shut" else "the connection"
        box = (
            "a firewall or proxy on the way"
            if detail or kind == "shut"
            else "a firewall, or the server"
        )
        text = f"{who} connects, and then {side} {how} while it is in use, {since} ({after}){rest}"
        action = (
            f"Ask the owner of the firewall what ends connections of {host.client} to"
            f" {host.host} after they were let through: {box} does (application control,"
            " inspection of uploads, a limit)"
        )
    return Observation(
        "endpoint-failing",
        host.host,
        {
            "host": host.host, "dport": str(host.port), "client": host.client,
            "port": facts.port_of(host.client) or "", "attempts": str(len(cuts)),
            "reached": "data flows", "reason": "", "step": "open",
        },
        tuple(c.seen for c in cuts[-8:]),
        first.time_ns,
        last.time_ns,
        text=text,
        action=action,
        severity="warning" if well or kind == "starved" else None,
        confidence="possible" if kind == "starved" else None,
        detail=detail,
        key=f"{host.host}:{host.port} cut",
        covers=(f"mqtt-flapping|{host.host} {host.client}", "slow-uplink|internet"),
    )  # fmt: skip


def _span(nanoseconds: int) -> str:
    seconds = nanoseconds / SECOND
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _bytes(count: int) -> str:
    return f"{count} bytes" if count < 10_000 else f"{count / 1000:.0f} kB"


def _between(values: list[int], said: object) -> str:
    assert callable(said)
    low, high = said(values[0]), said(values[-1])
    return str(low) if low == high else f"{low} to {high}"


# ---------------------------------------------------------------------- ends of connections


def ended_by(row: FlowRow) -> str:
    """`server`, `client` or `reset` of a TCP flow that has ended, else an empty text."""
    for letter in row.history.decode("ascii", "replace"):
        if letter == "r":
            return "reset"
        if letter == "f":
            return "server"
        if letter in "FR":
            return "client"
    return ""
