"""DNS servers: what they were asked, how quickly and how well they answered.

`DnsMessage`s come in; per server counts, response times and failures go out. Questions are matched
with answers by (client, port, server, id, name, type); a repeated question counts once for its
time, which runs from the first of them (RFC 1035, 7.3).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from statistics import median
from typing import ClassVar

from panotui.model import SECOND, AnyMessage, DnsMessage, ResolverRecord

RESOLVERS_MAX = 64
WAITING_MAX = 4096
ANSWER_WITHIN_NS = 5 * SECOND  # stub resolvers ask again after 5 s
SLOW_MS = 500.0
REPEATED_NS = SECOND // 2  # a question that comes again so late is a retry, not a mirror's copy
Question = tuple[str, int, str, int, str, str]


@dataclass(slots=True)
class Resolver:
    """What is known of one DNS server."""

    address: str
    queries: int = 0
    answers: int = 0
    failures: int = 0  # SERVFAIL, REFUSED and silence
    unanswered: int = 0  # questions that went without an answer since the last answer
    unanswered_first_ns: int = 0
    unanswered_seen: deque[tuple[int, int, str]] = field(default_factory=lambda: deque(maxlen=8))
    times_ms: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    slowest: deque[tuple[int, int, float, str]] = field(default_factory=lambda: deque(maxlen=4))
    clients: OrderedDict[str, None] = field(default_factory=OrderedDict)
    last_answer_ns: int = 0
    last_ns: int = 0

    @property
    def median_ms(self) -> float | None:
        """Median response time of the last hundred answers."""
        return median(self.times_ms) if self.times_ms else None


class ResolverBook:
    """DNS servers by address."""

    hears: ClassVar[frozenset[type]] = frozenset((DnsMessage,))

    def __init__(self) -> None:
        self.resolvers: OrderedDict[str, Resolver] = OrderedDict()
        self._waiting: OrderedDict[Question, tuple[int, int]] = OrderedDict()
        self._repeated: OrderedDict[Question, int] = OrderedDict()
        self.evicted = 0

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Take a question or an answer (unicast DNS only)."""
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
        resolver.clients[message.client] = None
        while len(resolver.clients) > 64:
            resolver.clients.popitem(last=False)
        key = (
            message.client, message.client_port, message.server, message.id, message.name,
            message.type,
        )  # fmt: skip
        if not message.response:
            resolver.queries += 1
            asked = self._waiting.get(key)
            if asked is not None and message.time_ns - asked[0] >= REPEATED_NS:
                # asked again: the first one has gone unanswered
                self._missed(resolver, message.name, *asked)
                self._repeated[key] = message.time_ns
                if len(self._repeated) > WAITING_MAX:
                    self._repeated.popitem(last=False)
            if asked is None:
                self._waiting[key] = (message.time_ns, message.packet)
                while len(self._waiting) > WAITING_MAX:
                    self._waiting.popitem(last=False)
            return
        resolver.answers += 1
        resolver.unanswered = 0
        resolver.unanswered_seen.clear()
        resolver.last_answer_ns = message.time_ns
        if message.rcode in ("SERVFAIL", "REFUSED"):
            resolver.failures += 1
        asked = self._waiting.pop(key, None)
        self._repeated.pop(key, None)
        if asked is not None:
            took_ms = (message.time_ns - asked[0]) / 1e6
            resolver.times_ms.append(took_ms)
            if took_ms > SLOW_MS:
                resolver.slowest.append((message.time_ns, message.packet, took_ms, message.name))

    def tick(self, now_ns: int) -> None:
        """Count the questions that have waited too long."""
        while self._waiting:
            key, (time_ns, packet) = next(iter(self._waiting.items()))
            if now_ns - time_ns < ANSWER_WITHIN_NS:
                return
            del self._waiting[key]
            resolver = self.resolvers.get(key[2])
            if self._repeated.pop(key, 0) or resolver is None or resolver.last_answer_ns > time_ns:
                continue
            self._missed(resolver, key[4], time_ns, packet)

    @staticmethod
    def _missed(resolver: Resolver, name: str, time_ns: int, packet: int) -> None:
        if not resolver.unanswered:
            resolver.unanswered_first_ns = time_ns
        resolver.unanswered += 1
        resolver.failures += 1
        resolver.unanswered_seen.append((time_ns, packet, name))

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
