"""Connection attempts by target: answered, refused, blocked, failed in TLS, working.

Changed TCP flow rows and the messages that explain them (ICMP errors, TLS) come in; one `Attempts`
per server and port (and one per endpoint of the policy, see `state.endpoints`) goes out. Outcomes
are computed for all rows at once; only flows whose outcome changed are processed one by one, at
most `LOOKED_AT` of them per tick.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

import numpy as np
from msgspec import Struct, field

from panotui.model import SECOND, U8, EvidenceRecord, IcmpMessage
from panotui.model.flow_rows import AnyRows, FlowRow
from panotui.state.ladder import SYN, Attempt, syns
from panotui.state.thresholds import thresholds

CONNECTS_MAX = 4096
LOOKED_AT = 512
EVIDENCE = 8
RECENT = 12  # attempts kept per target
LIMITS = thresholds().connects
UNDECIDED, UNANSWERED, REFUSED, CONNECTED, ANSWERED, BROKEN = range(6)
# UNANSWERED  SYN sent, nothing came back         REFUSED   RST to SYN
# CONNECTED   handshake seen or under way in both directions
# ANSWERED    payload from both sides             BROKEN    reset before the server said anything

_REFUSED_STATE, _RESET = 6, 5


def outcomes(rows: AnyRows) -> U8:
    """The outcome (uint8) of each row of FLOW_DTYPE; UNDECIDED for all rows that are not TCP."""
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
        & ((rows["syn_out"] > 0) | (rows["syn_in"] > 0))  # an old one may have sent much before
    )
    out[tcp & connected] = CONNECTED
    out[tcp & answered] = ANSWERED
    out[tcp & broken] = BROKEN
    out[tcp & unanswered] = UNANSWERED
    out[tcp & refused] = REFUSED
    return out


def evidence_of(failed: list[Attempt]) -> tuple[EvidenceRecord, ...]:
    """The first failure, which shows when it began, and the newest."""
    chosen = failed if len(failed) <= 3 else [failed[0], *failed[-2:]]
    return tuple(e for a in chosen for e in a.evidence)[:EVIDENCE]


class Attempts(Struct):
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
    recent: deque[Attempt] = field(default_factory=lambda: deque(maxlen=RECENT))
    # refusals and unanswered SYNs since the last answer
    syns: int = 0
    refusals: int = 0
    refused_ns: int = 0
    refused_ttl: int = 0
    # ICMP errors since the last success
    icmp: IcmpMessage | None = None
    icmp_count: int = 0
    lost_at: IcmpMessage | None = None  # "time exceeded": the newest router that dropped the packet
    since_ns: int = 0  # the first failure after the last success
    # working
    connected_ns: int = 0
    success_ns: int = 0
    rtt_ms: float | None = None
    ttl: int = 0
    tls_version: str | None = None
    open_flows: dict[int, int] = field(default_factory=dict)  # key -> since
    # when the newest conversations worked, by their keys; and the newest of all before them
    proofs: OrderedDict[int, int] = field(default_factory=OrderedDict)
    proven_ns: int = 0
    bytes: int = 0

    def worked_since(self, time_ns: int, step: int = SYN) -> bool:
        """A step succeeded at or after a time, by a connection that began then or by data."""
        if step > SYN:
            return self.success_ns >= time_ns > 0
        return max(self.connected_ns, self.success_ns) >= time_ns > 0

    def note(self, attempt: Attempt) -> None:
        """Store the present state of an attempt."""
        if attempt not in self.recent:
            self.recent.append(attempt)
        if attempt.failed and attempt.first_ns > self.success_ns and not self.since_ns:
            self.since_ns = attempt.first_ns

    def connected(self, time_ns: int) -> None:
        """The server accepted a connection: earlier failures are over. For a connection older than
        the newest one, as when it ends, nothing changes.
        """
        if time_ns <= self.connected_ns:
            return
        self.connected_ns = time_ns
        self.syns = self.refusals = self.icmp_count = 0
        self.icmp = self.lost_at = None

    def succeeded(self, time_ns: int, key: int = -1) -> None:
        """The conversation succeeded; `key` is its flow's."""
        self.connected(time_ns)
        self.proofs[key] = max(time_ns, self.proofs.get(key, 0))
        while len(self.proofs) > RECENT:
            self.proven_ns = max(self.proven_ns, self.proofs.popitem(last=False)[1])
        if time_ns >= self.success_ns:
            self.success_ns = time_ns
            self.since_ns = 0

    def take_back(self, key: int) -> None:
        """A conversation that seemed to work did not: what was asked in it was never answered."""
        if self.proofs.pop(key, None) is None:
            return
        self.success_ns = max(self.proofs.values(), default=0)
        self.success_ns = max(self.success_ns, self.proven_ns)
        self.since_ns = min(
            (a.first_ns for a in self.recent if a.failed and a.first_ns > self.success_ns),
            default=0,
        )

    def doubts(self, attempt: Attempt) -> bool:
        """What was left in vain since it worked last is not shown to work by a handshake alone: a
        request wants an answer, and a full-size segment its acknowledgement.
        """
        large = any(side.acked for side in attempt.sizes)
        return not attempt.proven and any(
            a.in_vain and a.first_ns > self.success_ns and not (a.small_only and large)
            for a in self.recent
        )

    @property
    def failures(self) -> list[Attempt]:
        """The attempts since the last success that failed, and of which that is sure; oldest
        first."""
        if self.icmp is not None:
            said = [a for a in self.recent if a.how == "icmp" and a.first_ns > self.success_ns]
            if said:
                return said
        failed = [a for a in self.recent if a.failed and a.first_ns > self.success_ns]
        if not failed:
            return []
        silent = [a for a in failed if a.passed < SYN and a.how == "silent"]
        if len(silent) == len(failed) and sum(a.syns for a in silent) < LIMITS.syns:
            return []
        left = [a for a in failed if a.how == "left" or a.in_vain]
        if len(left) == len(failed) < LIMITS.left_times:
            return []
        return failed

    @property
    def evidence(self) -> tuple[EvidenceRecord, ...]:
        """Of its failures."""
        return evidence_of(self.failures)

    @property
    def failing(self) -> Attempt | None:
        """The newest failure since the last success."""
        failed = self.failures
        return failed[-1] if failed else None

    @property
    def state(self) -> str:
        """`reachable`, `blocked`, `failing` or `unseen`, by the newest evidence."""
        attempt = self.failing
        if attempt is not None:
            return "blocked" if attempt.passed < SYN else "failing"
        return "reachable" if self.success_ns else "unseen"

    @property
    def detail(self) -> str | None:
        """A few words about a state that is not `reachable`."""
        attempt = self.failing
        if attempt is None:
            return None
        if self.icmp and attempt.how == "icmp":
            return f"{self.icmp.src} says {icmp_meaning(self.icmp)}"
        if attempt.how == "silent" and attempt.passed < SYN:
            return f"{syns(self.syns or attempt.syns)} unanswered"
        if attempt.how == "refused":
            return "connection refused (RST to SYN)"
        if attempt.alert is not None and attempt.alert.code:
            side = "client" if attempt.alert.from_client else "server"
            return f"TLS alert {attempt.alert.code} from the {side}"
        return attempt.words()


class ConnectBook:
    """`Attempts` by (server, port, whether they are the appliance's); the least recently used is
    evicted first.
    """

    def __init__(self, limit: int = CONNECTS_MAX) -> None:
        self.limit = limit
        self.targets: OrderedDict[tuple[str, int, bool], Attempts] = OrderedDict()
        self.evicted = 0
        self.version = 0  # rises when an attempt gets further, or ends

    def at(self, server: str, port: int, ours: bool = True) -> Attempts:
        """The target, created if it is new. `ours`: for attempts of the appliance."""
        key = (server, port, ours)
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
        return self.targets.get((server, port, True)) or self.targets.get((server, port, False))

    def ours(self) -> list[Attempts]:
        """The targets of the appliance, newest first."""
        return [t for key, t in reversed(self.targets.items()) if key[2]]

    def alive(self, server: str, except_port: int) -> Attempts | None:
        """Another port of the same server that answered somehow: the host is up."""
        for (address, port, _), target in self.targets.items():
            said = target.connected_ns or target.refused_ns or target.success_ns
            if address == server and port != except_port and said:
                return target
        return None

    def control(self, wanted: Callable[[Attempts], bool], since_ns: int) -> Attempts | None:
        """The newest working target that fits `wanted`: the proof that the path is open."""
        working = [t for t in self.targets.values() if t.worked_since(since_ns) and wanted(t)]
        return max(working, key=lambda t: max(t.connected_ns, t.success_ns), default=None)


def take_flow(
    target: Attempts, row: FlowRow, key: int, outcome: int, was: int, old_syns: int
) -> None:
    """Add one flow's new outcome to a target.

    `was` is its outcome before and `old_syns` its SYNs that were already counted.
    """
    first, last = row.first_ns, row.last_ns
    target.last_ns = max(target.last_ns, last)
    if was == UNDECIDED and row.syn_out:
        target.attempts += 1
    ended = row.end != 0 or row.state in (4, 5, 6)
    if outcome == UNANSWERED:
        fresh = row.syn_out - old_syns
        if fresh > 0 and last >= target.connected_ns:
            target.syns += fresh
    elif outcome == REFUSED and was != REFUSED:
        if was == UNANSWERED:
            target.syns = max(0, target.syns - old_syns)
        target.refusals += 1
        target.refused_ns = row.rst_ns or last
        target.refused_ttl = row.rst_ttl
    if outcome in (CONNECTED, ANSWERED):
        if was in (UNDECIDED, UNANSWERED):
            target.connected(row.synack_ns or first)
        if row.ttl_in:
            target.ttl = row.ttl_in
        trips = (row.handshake_rtt_us, row.server_rtt_us, row.rtt_us)
        rtt = next((us for us in trips if us >= 0), -1)
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
    """The meaning of an ICMP unreachable, in words."""
    table = _UNREACHABLE4 if message.version == 4 else _UNREACHABLE6
    return table.get(message.code, f"unreachable, code {message.code}")


def icmp_gives_up(message: IcmpMessage) -> bool:
    """A router reports that a packet has passed too many hops (time exceeded in transit)."""
    return message.code == 0 and message.type == (11 if message.version == 4 else 3)


def icmp_blocks(message: IcmpMessage) -> bool:
    """The message means that a connection is impossible (not: fragmentation needed)."""
    if message.version == 4:
        return message.type == 3 and message.code != 4
    return message.type == 1


def recent(time_ns: int, now_ns: int, seconds: float) -> bool:
    """Whether a time is within the last `seconds`."""
    return time_ns > 0 and now_ns - time_ns <= seconds * SECOND
