"""DNS servers: their queries, response times and failures.

`DnsMessage`s come in. Per server, counts, response times and failures go out; per client of a
server, its unanswered queries, because one client's silence is not another's. Queries are matched
with answers by (client, port, server, id, name, type); a repeated query counts once for its time,
which runs from the first of them (RFC 1035, 7.3).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Collection
from typing import ClassVar

from msgspec import Struct, field

from panotui.model import NEVER, AnyMessage, DnsMessage, ResolverRecord
from panotui.state.middle import median
from panotui.state.thresholds import thresholds

RESOLVERS_MAX = 64
CLIENTS_MAX = 64  # per resolver
WAITING_MAX = 4096
PAIRS_MAX = 1024
LIMITS = thresholds().resolvers
SHOWN = 8
LOST_KEPT = 256
Question = tuple[str, int, str, int, str, str]


class Lost(Struct):
    """A query without an answer, although the server answered others meanwhile."""

    time_ns: int
    packet: int
    name: str
    type: str
    raced: bool  # the other query for the same name, sent at once, was answered
    again: bool  # it was repeated, perhaps from another port: somebody waited for it


class Side(Struct):
    """One client's queries to one server, and those it waits for."""

    queries: int = 0
    answers: int = 0
    errors: int = 0  # of the answers: SERVFAIL and REFUSED
    errors_in_a_row: int = 0  # since the last useful answer
    error_names: set[str] = field(default_factory=set)  # names that they were about
    unanswered: int = 0  # unanswered queries since the last answer
    unanswered_first_ns: int = 0
    unanswered_seen: deque[tuple[int, int, str]] = field(
        default_factory=lambda: deque(maxlen=SHOWN)
    )
    last_answer_ns: int = 0
    lost: deque[Lost] = field(default_factory=lambda: deque(maxlen=LOST_KEPT))
    asked: deque[int] = field(default_factory=lambda: deque(maxlen=2 * LOST_KEPT))  # times
    # of them, those that were answered: when they had been asked
    served: deque[int] = field(default_factory=lambda: deque(maxlen=2 * LOST_KEPT))
    # from the last answer before to the first one after: no query was answered in between
    outages: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=SHOWN))

    @property
    def refuses_all(self) -> bool:
        """It has recently received only errors, whatever the name."""
        return len(self.error_names) >= LIMITS.error_names

    def losses(self, since_ns: int) -> tuple[list[Lost], int]:
        """(queries lost one by one, queries asked), both since `since_ns` or as far back as the
        times of all queries are kept.

        Queries for several names in a row of which none was answered are not among either: the
        server was away for a moment, as at a restart. If that happens again and again they are.
        """
        asked = self.asked
        if asked and len(asked) == asked.maxlen:
            since_ns = max(since_ns, asked[0])
        served = sorted(self.served)
        runs: OrderedDict[int, list[Lost]] = OrderedDict()  # by the answered queries before
        for one in self.lost:
            if one.time_ns >= since_ns:
                runs.setdefault(bisect_right(served, one.time_ns), []).append(one)
        away = [r for r in runs.values() if len({one.name for one in r}) >= LIMITS.outage_queries]
        if len(away) > LIMITS.outages_few:
            away = []
        single = [one for r in runs.values() if r not in away for one in r]
        return single, sum(t >= since_ns for t in asked) - sum(map(len, away))

    def answered(self, time_ns: int) -> None:
        """The server answers this client."""
        waiting = 0
        for asked in reversed(self.asked):
            if asked <= self.last_answer_ns or waiting >= LIMITS.outage_queries:
                break
            waiting += time_ns - asked >= LIMITS.outage_ns
        if waiting >= LIMITS.outage_queries:
            self.outages.append((self.last_answer_ns, time_ns))
        self.answers += 1
        self.unanswered = 0
        self.unanswered_seen.clear()
        self.last_answer_ns = time_ns


class Resolver(Struct):
    """The state of one DNS server."""

    address: str
    queries: int = 0
    answers: int = 0
    failures: int = 0  # SERVFAIL, REFUSED and no answer
    times_ms: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    slowest: deque[tuple[int, int, float, str]] = field(default_factory=lambda: deque(maxlen=4))
    sides: OrderedDict[str, Side] = field(default_factory=OrderedDict)  # by client
    last_answer_ns: int = 0
    last_ns: int = 0

    @property
    def median_ms(self) -> float | None:
        """Median response time of the last hundred answers."""
        return median(self.times_ms) if self.times_ms else None

    def sides_of(self, clients: Collection[str]) -> list[Side]:
        """The sides of these clients; of all clients if none is named."""
        return [side for client, side in self.sides.items() if client in clients or not clients]


class ResolverBook:
    """DNS servers by address."""

    hears: ClassVar[frozenset[type]] = frozenset((DnsMessage,))

    def __init__(self) -> None:
        self.resolvers: OrderedDict[str, Resolver] = OrderedDict()
        self._waiting: OrderedDict[Question, tuple[int, int]] = OrderedDict()
        self._repeated: OrderedDict[Question, int] = OrderedDict()
        # (client, server, name, type) -> when last asked
        self._newest: OrderedDict[tuple[str, str, str, str], int] = OrderedDict()
        # (client, server, name) -> (type, asked) of recently answered queries
        self._good: OrderedDict[tuple[str, str, str], deque[tuple[str, int]]] = OrderedDict()
        self.evicted = 0
        self.version = 0  # changes when a query has waited too long

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Process a query or an answer (unicast DNS only)."""
        if not isinstance(message, DnsMessage) or message.transport not in ("udp", "tcp"):
            return
        resolver = self.resolvers.get(message.server)
        if resolver is None:
            if len(self.resolvers) >= RESOLVERS_MAX:
                self.resolvers.popitem(last=False)
                self.evicted += 1
            resolver = self.resolvers[message.server] = Resolver(message.server)
        self.resolvers.move_to_end(message.server)
        resolver.last_ns = message.time_ns
        side = resolver.sides.setdefault(message.client, Side())
        resolver.sides.move_to_end(message.client)
        while len(resolver.sides) > CLIENTS_MAX:
            resolver.sides.popitem(last=False)
        key = (
            message.client, message.client_port, message.server, message.id, message.name,
            message.type,
        )  # fmt: skip
        if message.response:
            self._answered(resolver, side, key, message)
        else:
            self._asked(resolver, side, key, message)

    def _asked(self, resolver: Resolver, side: Side, key: Question, message: DnsMessage) -> None:
        resolver.queries += 1
        side.queries += 1
        waits = self._waiting.get(key)
        if waits is not None and message.time_ns - waits[0] >= LIMITS.repeated_ns:
            # repeated: the first one was not answered
            self._missed(resolver, side, message.name, *waits)
            self._repeated[key] = message.time_ns
            if len(self._repeated) > WAITING_MAX:
                self._repeated.popitem(last=False)
        if waits is not None:
            return
        side.asked.append(message.time_ns)
        self._note_again(side, message)
        self._waiting[key] = (message.time_ns, message.packet)
        while len(self._waiting) > WAITING_MAX:
            self._waiting.popitem(last=False)

    def _note_again(self, side: Side, message: DnsMessage) -> None:
        """A question that was asked before, from another port or with another number."""
        what = (message.client, message.server, message.name, message.type)
        self._newest[what] = message.time_ns
        self._newest.move_to_end(what)
        while len(self._newest) > WAITING_MAX:
            self._newest.popitem(last=False)
        for place in range(-min(SHOWN, len(side.lost)), 0):
            lost = side.lost[place]
            if (lost.name, lost.type) == what[2:] and self._is_again(lost.time_ns, message.time_ns):
                lost.again = True
                self.version += 1

    @staticmethod
    def _is_again(first_ns: int, later_ns: int) -> bool:
        """Asked so soon after that it is no lookup of its own."""
        return LIMITS.repeated_ns <= later_ns - first_ns <= LIMITS.again_ns

    def _answered(self, resolver: Resolver, side: Side, key: Question, message: DnsMessage) -> None:
        resolver.answers += 1
        resolver.last_answer_ns = message.time_ns
        side.answered(message.time_ns)
        if message.rcode in ("SERVFAIL", "REFUSED"):
            resolver.failures += 1
            side.errors += 1
            side.errors_in_a_row += 1
            if len(side.error_names) < LIMITS.error_names:
                side.error_names.add(message.name)
        else:
            side.errors_in_a_row = 0
            side.error_names.clear()
        asked = self._waiting.pop(key, None)
        self._repeated.pop(key, None)
        if asked is None:
            return
        side.served.append(asked[0])
        if message.type in ("A", "AAAA"):
            pair = (message.client, message.server, message.name)
            self._good.setdefault(pair, deque(maxlen=SHOWN)).append((message.type, asked[0]))
            self._good.move_to_end(pair)
            while len(self._good) > PAIRS_MAX:
                self._good.popitem(last=False)
        if message.rcode == "SERVFAIL":
            return  # the server's own failure to find out, which takes its time
        took_ms = (message.time_ns - asked[0]) / 1e6
        resolver.times_ms.append(took_ms)
        if took_ms > LIMITS.slow_ms:
            resolver.slowest.append((message.time_ns, message.packet, took_ms, message.name))

    def tick(self, now_ns: int) -> None:
        """Count the queries that have waited too long."""
        while self._waiting:
            key, (time_ns, packet) = next(iter(self._waiting.items()))
            if now_ns - time_ns < LIMITS.answer_within_ns:
                return
            del self._waiting[key]
            self.version += 1
            resolver = self.resolvers.get(key[2])
            side = resolver.sides.get(key[0]) if resolver else None
            if resolver is None or side is None:
                continue
            repeated = self._repeated.pop(key, 0)
            if any(start < time_ns < end for start, end in side.outages):
                continue  # the whole server was down, which is a different problem
            if side.last_answer_ns > time_ns:
                newest = self._newest.get((key[0], key[2], key[4], key[5]), 0)
                again = repeated > 0 or self._is_again(time_ns, newest)
                raced = self._raced(key, time_ns)
                side.lost.append(Lost(time_ns, packet, key[4], key[5], raced, again))
            elif not repeated:
                self._missed(resolver, side, key[4], time_ns, packet)

    def due_ns(self) -> int:
        """When the next query will have waited too long."""
        first = next(iter(self._waiting.values()), None)
        return NEVER if first is None else first[0] + LIMITS.answer_within_ns

    def _raced(self, key: Question, time_ns: int) -> bool:
        """The other query for the name, sent at the same moment, was answered."""
        good = self._good.get((key[0], key[2], key[4]), ())
        return any(kind != key[5] and abs(at - time_ns) <= LIMITS.pair_ns for kind, at in good)

    @staticmethod
    def _missed(resolver: Resolver, side: Side, name: str, time_ns: int, packet: int) -> None:
        if not side.unanswered:
            side.unanswered_first_ns = time_ns
        side.unanswered += 1
        resolver.failures += 1
        side.unanswered_seen.append((time_ns, packet, name))

    def records(self) -> tuple[ResolverRecord, ...]:
        """All servers."""
        return tuple(
            ResolverRecord(
                address=r.address,
                queries=r.queries,
                answers=r.answers,
                median_ms=r.median_ms,
                failures=r.failures,
            )
            for r in self.resolvers.values()
        )
