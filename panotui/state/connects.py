"""Connection attempts by whom they go to: answered, refused, blocked, failed in TLS, working.

TCP flow rows that changed and the messages that explain them (ICMP errors, TLS) come in; one
`Attempts` a server and port (and one an endpoint of the policy, see `health.endpoints`) goes out.
The outcome of a flow is computed for all rows at once; only flows whose outcome changed are looked
at one by one, at most `LOOKED_AT` of them a tick.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from panotui.model import SECOND, U8, EvidenceRecord, IcmpMessage
from panotui.model.flow_rows import AnyRows, FlowRow

CONNECTS_MAX = 4096
LOOKED_AT = 512
_EVIDENCE = 8
UNDECIDED, UNANSWERED, REFUSED, CONNECTED, ANSWERED, BROKEN = range(6)
# UNANSWERED  SYN sent, nothing came back         REFUSED   RST to SYN
# CONNECTED   handshake seen or under way in both directions
# ANSWERED    payload from both sides             BROKEN    reset before the server said anything

_NEW, _SYN_SENT, _REFUSED_STATE, _RESET = 0, 1, 6, 5


def outcomes(rows: AnyRows) -> U8:
    """The outcome (uint8) of each row of FLOW_DTYPE; UNDECIDED for all but TCP."""
    tcp = rows["protocol"] == 6
    out: U8 = np.zeros(len(tcp), np.uint8)
    connected = (rows["synack_ns"] > 0) | ((rows["packets_in"] > 0) & (rows["packets_out"] > 0))
    refused = (rows["state"] == _REFUSED_STATE) | (
        (rows["syn_out"] > 0) & (rows["syn_in"] == 0) & (rows["rst_in"] > 0)
        & (rows["payload_in"] == 0) & (rows["payload_out"] == 0)
    )  # fmt: skip
    unanswered = (
        (rows["syn_out"] > 0) & (rows["packets_in"] == 0) & (rows["syn_out"] == rows["packets_out"])
    )
    answered = (rows["payload_out"] > 0) & (rows["payload_in"] > 0)
    broken = (
        (rows["state"] == _RESET)
        & (rows["payload_out"] > 0)
        & (rows["payload_in"] == 0)
        & (rows["rst_in"] > 0)
    )
    out[tcp & connected] = CONNECTED
    out[tcp & answered] = ANSWERED
    out[tcp & broken] = BROKEN
    out[tcp & unanswered] = UNANSWERED
    out[tcp & refused] = REFUSED
    return out


@dataclass(slots=True)
class Attempts:
    """Connection attempts to one server and port (or one endpoint)."""

    server: str
    port: int
    client: str = ""
    host: str | None = None
    appliance_port: str | None = None
    attempts: int = 0
    successes: int = 0
    flow: str | None = None  # the newest
    last_ns: int = 0
    # unanswered SYNs since the last answer
    syns: int = 0
    syn_flows: int = 0
    syn_first_ns: int = 0
    syn_last_ns: int = 0
    evidence: list[EvidenceRecord] = field(default_factory=list)  # at most `_EVIDENCE`
    # refusals since the last success
    refusals: int = 0
    refused_ns: int = 0
    refused_packet: int = 0
    refused_ttl: int = 0
    # ICMP errors since the last success
    icmp: IcmpMessage | None = None
    icmp_count: int = 0
    # dead or refused after the ClientHello, since the last success
    broken: int = 0
    broken_ns: int = 0
    broken_packet: int = 0
    failure: str | None = None  # what TLS said
    failure_ns: int = 0
    # working
    connected_ns: int = 0
    success_ns: int = 0
    rtt_ms: float | None = None
    ttl: int = 0
    tls_version: str | None = None
    open_flows: dict[int, int] = field(default_factory=dict)  # key -> since
    bytes: int = 0

    def answered_since(self, time_ns: int) -> bool:
        """Something worked at or after a time."""
        return max(self.connected_ns, self.success_ns) >= time_ns > 0

    def add(self, time_ns: int, packet: int, text: str) -> None:
        """Keep a piece of evidence, once."""
        entry = EvidenceRecord(time_ns=time_ns, packet=packet or None, text=text)
        if entry in self.evidence:
            return
        if len(self.evidence) == _EVIDENCE:
            del self.evidence[2]  # the first two stay: they say when it began
        self.evidence.append(entry)

    def connected(self, time_ns: int) -> None:
        """The server accepted a connection."""
        self.connected_ns = max(self.connected_ns, time_ns)
        self.syns = self.syn_flows = self.refusals = self.icmp_count = 0
        self.icmp = None

    def succeeded(self, time_ns: int) -> None:
        """The conversation worked."""
        self.connected(time_ns)
        if time_ns >= self.success_ns:
            self.success_ns = time_ns
            self.broken = 0
            self.failure = None
            self.evidence.clear()

    @property
    def state(self) -> str:
        """`reachable`, `blocked`, `failing` or `unseen`: what the newest evidence says."""
        trouble = max(
            self.syn_last_ns if self.syns >= 3 else 0,
            self.refused_ns if self.refusals else 0,
            self.icmp.time_ns if self.icmp else 0,
            self.broken_ns if self.broken else 0,
            self.failure_ns if self.failure else 0,
        )
        if trouble and trouble >= self.success_ns:
            if self.syns >= 3 or self.icmp or self.refusals:
                return "blocked"
            return "failing"
        if self.success_ns:
            return "reachable"
        return "unseen"

    @property
    def detail(self) -> str | None:
        """A few words on a state that is not `reachable`."""
        if self.state == "reachable":
            return None
        if self.icmp:
            return f"{self.icmp.src} says {icmp_meaning(self.icmp)}"
        if self.syns >= 3:
            return f"{self.syns} SYNs unanswered"
        if self.refusals:
            return "connection refused (RST to SYN)"
        if self.failure:
            return self.failure
        if self.broken:
            return "reset right after the ClientHello"
        return None


class ConnectBook:
    """`Attempts` by (server, port), least recently used first to go."""

    def __init__(self, limit: int = CONNECTS_MAX) -> None:
        self.limit = limit
        self.targets: OrderedDict[tuple[str, int], Attempts] = OrderedDict()
        self.evicted = 0

    def at(self, server: str, port: int) -> Attempts:
        """The target, made if it is new."""
        key = (server, port)
        target = self.targets.get(key)
        if target is None:
            if len(self.targets) >= self.limit:
                self.targets.popitem(last=False)
                self.evicted += 1
            target = self.targets[key] = Attempts(server, port)
        self.targets.move_to_end(key)
        return target

    def get(self, server: str, port: int) -> Attempts | None:
        """The target, if it is known."""
        return self.targets.get((server, port))

    def alive(self, server: str, except_port: int) -> Attempts | None:
        """Another port of the same server that answered somehow: the host is there."""
        for (address, port), target in self.targets.items():
            said = target.connected_ns or target.refused_ns or target.success_ns
            if address == server and port != except_port and said:
                return target
        return None

    def control(self, wanted: Callable[[Attempts], bool], since_ns: int) -> Attempts | None:
        """The newest target that works and fits `wanted`: the proof that the way is open."""
        working = [t for t in self.targets.values() if t.answered_since(since_ns) and wanted(t)]
        return max(working, key=lambda t: max(t.connected_ns, t.success_ns), default=None)


def take_flow(
    target: Attempts, row: FlowRow, key: int, outcome: int, was: int, old_syns: int
) -> None:
    """Fold one flow's new outcome into a target.

    `was` is its outcome before and `old_syns` the SYNs of it that were already counted.
    """
    first, last = int(row["first_ns"]), int(row["last_ns"])
    target.last_ns = max(target.last_ns, last)
    if was == UNDECIDED:
        target.attempts += 1
    ended = int(row["end"]) != 0 or int(row["state"]) in (4, 5, 6)
    if outcome == UNANSWERED:
        fresh = int(row["syn_out"]) - old_syns
        if fresh > 0 and last >= target.connected_ns:
            if not target.syns:
                target.syn_first_ns = first
            if old_syns == 0:
                target.syn_flows += 1
                target.add(first, int(row["first_packet"]), "SYN, no answer")
            if int(row["syn_out"]) > 1:
                target.add(last, int(row["last_packet"]), "SYN again, no answer")
            target.syns += fresh
            target.syn_last_ns = max(target.syn_last_ns, int(row["syn_last_ns"]) or last)
    elif outcome == REFUSED and was != REFUSED:
        if was == UNANSWERED:
            target.syns = max(0, target.syns - old_syns)
        target.refusals += 1
        target.refused_ns = int(row["rst_ns"]) or last
        target.refused_packet = int(row["rst_packet"]) or int(row["last_packet"])
        target.refused_ttl = int(row["rst_ttl"])
        target.add(first, int(row["first_packet"]), "SYN")
        target.add(target.refused_ns, target.refused_packet, "answered by RST")
    elif outcome == BROKEN and was != BROKEN:
        target.broken += 1
        target.broken_ns = int(row["rst_ns"]) or last
        target.broken_packet = int(row["rst_packet"]) or int(row["last_packet"])
        target.add(target.broken_ns, target.broken_packet, "reset before the server said anything")
    if outcome in (CONNECTED, ANSWERED):
        if was in (UNDECIDED, UNANSWERED):
            target.connected(int(row["synack_ns"]) or first)
        if int(row["ttl_in"]):
            target.ttl = int(row["ttl_in"])
        rtt = next(
            (int(row[n]) for n in ("handshake_rtt_us", "server_rtt_us", "rtt_us") if row[n] >= 0),
            -1,
        )
        if rtt >= 0:
            target.rtt_ms = rtt / 1000
        if ended:
            target.open_flows.pop(key, None)
        elif len(target.open_flows) < 64:
            target.open_flows.setdefault(key, first)
    elif key in target.open_flows:
        del target.open_flows[key]


_UNREACHABLE4 = {
    0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable",
    3: "port unreachable", 5: "source route failed", 6: "network unknown", 7: "host unknown",
    9: "network administratively prohibited", 10: "host administratively prohibited",
    11: "network unreachable for this service", 12: "host unreachable for this service",
    13: "communication administratively prohibited", 14: "host precedence violation",
    15: "precedence cutoff",
}  # fmt: skip
_UNREACHABLE6 = {
    0: "no route", 1: "administratively prohibited", 2: "beyond scope", 3: "address unreachable",
    4: "port unreachable", 5: "source address refused by policy", 6: "route rejected",
}  # fmt: skip


def icmp_meaning(message: IcmpMessage) -> str:
    """What an ICMP unreachable says, in words."""
    table = _UNREACHABLE4 if message.version == 4 else _UNREACHABLE6
    return table.get(message.code, f"unreachable, code {message.code}")


def icmp_blocks(message: IcmpMessage) -> bool:
    """The message says that a connection cannot be made (not: fragmentation needed)."""
    if message.version == 4:
        return message.type == 3 and message.code != 4
    return message.type == 1


def recent(time_ns: int, now_ns: int, seconds: float) -> bool:
    """A time within the last `seconds`."""
    return time_ns > 0 and now_ns - time_ns <= seconds * SECOND
