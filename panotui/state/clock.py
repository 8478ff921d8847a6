"""The appliance's time servers, and the offset of its clock, from NTP packets.

`NtpMessage`s come in, a `ClockRecord` goes out. Exchanges are matched by the client's 64-bit
transmit stamp (RFC 5905 section 8). The client's own stamp is used for its clock's error only if it
advances with packet time, because many clients send random or zero stamps. The probe's own offset
is removed by the server's stamps: offset = (T1 - P1) - ((T2 - P1) + (T3 - P4)) / 2, with P1 and P4
the capture times of request and answer. The steps of a server are: requested, answered, an answer
that the client can use (its origin stamp is the request's), a synchronised server.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Collection
from itertools import islice
from typing import ClassVar

from msgspec import Struct, field

from panotui.model import AnyMessage, ClockRecord, NtpMessage, TimeServerRecord
from panotui.site.facts import SiteFacts
from panotui.state.thresholds import thresholds

SERVERS_MAX = 64
WAITING_MAX = 512
LIMITS = thresholds().clock
SHOWN = 8  # most packets in a row kept as evidence
CLIENTS_MAX = 256
STAMPS_MAX = 1024
LOOKED_AT = 64  # questions, of whom a stray answer may be
MODE_CLIENT, MODE_SERVER = 3, 4


class Exchange(Struct):
    """One request and its answer."""

    client: str
    time_ns: int
    packet: int
    stamp_ns: int | None  # the client's transmit stamp as time
    receive: int = 0  # raw; an answer in interleaved mode quotes this stamp (RFC 9769)


class Side(Struct):
    """One client's exchanges with one server, by the step that they reached."""

    requests: int = 0
    unanswered: int = 0  # in a row
    asked: list[tuple[int, int]] = field(default_factory=list)  # (time, packet) of those
    rejected: int = 0  # consecutive answers that fit no recent request
    rejected_seen: list[tuple[int, int]] = field(default_factory=list)  # (time, packet) of those
    elsewhere: str = ""  # another address that answered its newest question,
    elsewhere_seen: list[tuple[int, int]] = field(default_factory=list)  # (time, packet) of those
    accepted_ns: int = 0  # the newest answer that fits its question
    offset_ms: float | None = None  # of the client against this server
    stratum: int | None = None
    leap: int | None = None
    kiss: str | None = None  # kiss code of a stratum-0 answer: RATE, DENY; may be empty
    stamp_off_ns: int | None = None  # the client's newest stamp minus the time of its request,
    stamp_ns: int = 0  # and that time
    clock_off_ns: int | None = None  # the same, if two requests agree: some clients send no time
    answer_packet: int = 0
    answer_ns: int = 0
    ahead_ns: float | None = None  # the server's time minus the capture's, when last in time
    last: tuple[int, int] = (0, 0)  # stamps of the newest answer, to recognise a copy of it

    @property
    def synchronised(self) -> bool:
        """The newest answer to this client says that the server is synchronised."""
        return _synchronised(self.stratum, self.leap)


class TimeServer(Struct):
    """The state of one server."""

    address: str
    sides: OrderedDict[str, Side] = field(default_factory=OrderedDict)  # by client
    requests: int = 0
    responses: int = 0
    first_ns: int = 0
    last_ns: int | None = None
    last_packet: int = 0
    stratum: int | None = None
    leap: int | None = None
    delay_ms: float | None = None
    poll_s: float = 64.0  # interval between two requests, as the client says

    @property
    def clients(self) -> set[str]:
        """Hosts that sent it requests."""
        return set(self.sides)

    @property
    def synchronised(self) -> bool:
        """The server's answers say that it is synchronised."""
        return _synchronised(self.stratum, self.leap)

    @property
    def unanswered(self) -> int:
        """Consecutive unanswered requests of the client with the best results."""
        return self.side().unanswered

    @property
    def offset_ms(self) -> float | None:
        """The offset of the client with the best results."""
        return self.side().offset_ms

    def side(self, clients: Collection[str] | None = None) -> Side:
        """The exchanges of that one of `clients` (of all, if None) that got furthest."""
        mine = [s for c, s in self.sides.items() if clients is None or c in clients]
        return max(mine, key=_progress, default=Side())

    def works(self, clients: Collection[str] | None = None) -> bool:
        """It answers these clients, the answers fit their requests, and it is synchronised."""
        side = self.side(clients)
        answered = self.responses > 0 and side.unanswered < LIMITS.silent_requests
        return answered and side.rejected < LIMITS.silent_requests and side.synchronised


def _synchronised(stratum: int | None, leap: int | None) -> bool:
    return stratum is not None and 1 <= stratum <= 15 and leap != 3


def _progress(side: Side) -> tuple[bool, int, int]:
    return (side.offset_ms is not None, side.accepted_ns, -side.unanswered)


class ClockBook:
    """Time servers in use, and the appliance's clock against them."""

    hears: ClassVar[frozenset[type]] = frozenset((NtpMessage,))

    def __init__(self) -> None:
        self.servers: OrderedDict[str, TimeServer] = OrderedDict()
        self._waiting: OrderedDict[tuple[str, str, int], Exchange] = OrderedDict()
        # client -> (packet time, stamp - packet time) for comparison with a later request
        self._stamps: dict[str, tuple[int, int]] = {}
        self.evicted = 0

    def ahead_of_capture_ns(
        self, clients: Collection[str], servers: Collection[str]
    ) -> float | None:
        """How far time servers are ahead of the capture's clock: the median of those that answer
        one of `clients` (of any, if that is empty) or are among `servers`. None: none is in time.
        """
        told = [  # the lower of two middle ones: `statistics` costs 4 ms of each start
            side.ahead_ns
            for server in self.servers.values()
            for client, side in server.sides.items()
            if side.ahead_ns is not None
            and (not clients or client in clients or server.address in servers)
        ]
        return sorted(told)[(len(told) - 1) // 2] if told else None

    def needed(self, facts: SiteFacts, appliance: frozenset[str]) -> frozenset[str]:
        """The site's time servers; of learnt ones not those that only other hosts ask."""
        if facts.time_servers_given or not appliance:
            return facts.time_servers
        clients = appliance | facts.resolvers
        asked = (self.servers.get(address) for address in facts.time_servers)
        others = {s.address for s in asked if s and s.sides and s.clients.isdisjoint(clients)}
        return facts.time_servers - others

    def _server(self, address: str) -> TimeServer:
        server = self.servers.get(address)
        if server is None:
            if len(self.servers) >= SERVERS_MAX:
                self.servers.popitem(last=False)
                self.evicted += 1
            server = self.servers[address] = TimeServer(address)
        self.servers.move_to_end(address)
        return server

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Process one NTP packet."""
        if not isinstance(message, NtpMessage):
            return
        if message.mode == MODE_CLIENT:
            self._question(message)
        elif message.mode == MODE_SERVER:
            self._answer(message)

    def _question(self, message: NtpMessage) -> None:
        server = self._server(message.dst)
        side = server.sides.get(message.src)
        if side is None:
            side = server.sides[message.src] = Side()
            if len(server.sides) > CLIENTS_MAX:
                server.sides.popitem(last=False)
        key = (message.src, message.dst, message.transmit)
        if message.transmit and key in self._waiting:
            return  # a mirror's copy
        server.requests += 1
        side.requests += 1
        server.first_ns = server.first_ns or message.time_ns
        if 0 < message.poll <= 17:
            server.poll_s = float(2**message.poll)
        side.unanswered += 1
        self._stamped(side, message)
        side.asked = [*side.asked, (message.time_ns, message.packet)][-SHOWN:]
        while len(self._waiting) >= WAITING_MAX:
            self._waiting.popitem(last=False)
        self._waiting[key] = Exchange(
            message.src, message.time_ns, message.packet, message.transmit_ns, message.receive
        )

    @staticmethod
    def _stamped(side: Side, message: NtpMessage) -> None:
        """What a request says of the client's clock, if its stamp is a time at all."""
        if message.transmit_ns is None:
            side.stamp_off_ns = side.clock_off_ns = None
            return
        off = message.transmit_ns - message.time_ns
        before = side.stamp_off_ns
        if before is None or message.time_ns - side.stamp_ns >= LIMITS.steady_after_ns:
            agrees = before is not None and abs(off - before) <= LIMITS.steady_ns
            side.clock_off_ns = off if agrees else None
            side.stamp_off_ns, side.stamp_ns = off, message.time_ns

    def _answer(self, message: NtpMessage) -> None:
        if self._from_elsewhere(message):
            return
        server = self._server(message.src)
        side = server.sides.get(message.dst)
        if side is not None and side.last == (message.origin, message.transmit) != (0, 0):
            return  # a mirror's copy
        server.responses += 1
        server.last_ns = message.time_ns
        server.last_packet = message.packet
        server.stratum = message.stratum
        server.leap = message.leap
        exchange = self._matched(message)
        if side is None:
            return  # its request was sent before the capture
        side.last = (message.origin, message.transmit)
        side.unanswered = 0
        side.asked = []
        side.elsewhere, side.elsewhere_seen = "", []
        side.stratum, side.leap = message.stratum, message.leap
        side.answer_ns, side.answer_packet = message.time_ns, message.packet
        side.kiss = message.reference_id if message.stratum == 0 else None
        if exchange is None:
            side.rejected += 1
            seen = (message.time_ns, message.packet)
            side.rejected_seen = [*side.rejected_seen, seen][-SHOWN:]
            return
        side.accepted_ns = message.time_ns
        side.rejected = 0
        side.rejected_seen = []
        if message.receive_ns is None or message.transmit_ns is None:
            return
        p1, p4 = exchange.time_ns, message.time_ns
        t2, t3 = message.receive_ns, message.transmit_ns
        server.delay_ms = max(0, (p4 - p1) - (t3 - t2)) / 1e6
        side.offset_ms = None
        if not side.synchronised:
            return
        probe = ((t2 - p1) + (t3 - p4)) / 2
        side.ahead_ns = probe
        if exchange.stamp_ns is None:
            return
        if self._believed(exchange, exchange.stamp_ns):
            side.offset_ms = (exchange.stamp_ns - p1 - probe) / 1e6

    def _from_elsewhere(self, message: NtpMessage) -> bool:
        """An answer that quotes a question which went to another address: no client takes it."""
        known = self.servers.get(message.src)
        if not message.origin or (known is not None and message.dst in known.sides):
            return False
        for key in islice(reversed(self._waiting), LOOKED_AT):
            if key[0] == message.dst and key[2] == message.origin:
                side = self._server(key[1]).sides.get(message.dst)
                if side is not None:
                    seen = (message.time_ns, message.packet)
                    side.elsewhere = message.src
                    side.elsewhere_seen = [*side.elsewhere_seen, seen][-SHOWN:]
                return True
        return False

    def _matched(self, message: NtpMessage) -> Exchange | None:
        """The request that an answer fits, if it was sent just before."""
        exchange = self._waiting.pop((message.dst, message.src, message.origin), None)
        if exchange is None and message.origin:
            key = next(
                (
                    k
                    for k, e in self._waiting.items()
                    if k[:2] == (message.dst, message.src) and e.receive == message.origin
                ),
                None,
            )
            exchange = self._waiting.pop(key) if key is not None else None
        if exchange is None or message.time_ns - exchange.time_ns > LIMITS.answer_within_ns:
            return None
        return exchange

    def _believed(self, exchange: Exchange, stamp_ns: int) -> bool:
        """True if the client's stamp is its clock: it advances with packet time. A random stamp is
        anywhere in 136 years, and a constant one stands still; a real one is near packet time, near
        1970, or as far off as it was a while ago.
        """
        at = exchange.time_ns
        error = stamp_ns - at
        known = self._stamps.get(exchange.client)
        if known is None or abs(known[1] - error) >= LIMITS.steady_ns:
            self._stamps[exchange.client] = known = (at, error)
            if len(self._stamps) > STAMPS_MAX:
                self._stamps.pop(next(iter(self._stamps)))
        if abs(error) <= LIMITS.doubted_ns or 0 <= stamp_ns <= LIMITS.after_1970_ns:
            return True
        return at - known[0] >= LIMITS.steady_after_ns

    def foreseen_ms(self, question: NtpMessage, answer: NtpMessage) -> float | None:
        """The client's offset that this exchange will show; None if it is not known to be one that
        goes on as before.
        """
        server = self.servers.get(question.dst)
        side = None if server is None else server.sides.get(question.src)
        if side is None or side.offset_ms is None or side.unanswered or side.rejected:
            return None
        if side.elsewhere or (side.stratum, side.leap) != (answer.stratum, answer.leap):
            return None
        stamp, t2, t3 = question.transmit_ns, answer.receive_ns, answer.transmit_ns
        known = self._stamps.get(question.src)
        if stamp is None or t2 is None or t3 is None or known is None or not side.synchronised:
            return None
        p1, p4 = question.time_ns, answer.time_ns
        error = stamp - p1
        # a clock that is far from packet time must have advanced with it, see `_believed`
        late = abs(error) > LIMITS.doubted_ns and p1 - known[0] < LIMITS.steady_after_ns
        if late or abs(known[1] - error) >= LIMITS.steady_ns or p4 - p1 > LIMITS.answer_within_ns:
            return None
        return (error - ((t2 - p1) + (t3 - p4)) / 2) / 1e6

    def state(self, servers: list[TimeServer], clients: Collection[str] | None = None) -> str:
        """One word for the clock over the servers in use, by these clients if given."""
        asked = [(s, s.side(clients)) for s in servers if s.requests or s.responses]
        if not asked:
            return "unknown"
        answering = [
            s for s, mine in asked if s.responses and mine.unanswered < LIMITS.silent_requests
        ]
        if not answering:
            if all(
                mine.unanswered < LIMITS.silent_requests and not s.responses for s, mine in asked
            ):
                return "unknown"  # not enough requests to decide
            return "silent"
        good = [s.side(clients) for s in answering if s.works(clients)]
        if not good:
            return "unsynchronised"
        offsets = [side.offset_ms for side in good if side.offset_ms is not None]
        if offsets and min(abs(o) for o in offsets) > LIMITS.off_ms:
            return "off"
        return "synchronised"

    def record(
        self, is_local: Callable[[str], bool], clients: frozenset[str] | None = None
    ) -> ClockRecord:
        """The clock's record; only servers used by `clients`, if given."""
        servers = [
            s
            for s in self.servers.values()
            if clients is None or not s.sides or s.clients & clients
        ]
        return ClockRecord(
            servers=tuple(
                TimeServerRecord(
                    address=s.address,
                    scope="local" if is_local(s.address) else "public",
                    stratum=s.stratum,
                    requests=s.requests,
                    responses=s.responses,
                    offset_ms=s.side(clients).offset_ms,
                    delay_ms=s.delay_ms,
                    last_ns=s.last_ns,
                    leap=s.leap,
                )
                for s in sorted(servers, key=lambda s: _order(s.address))
            ),
            state=self.state(servers, clients),
        )


def _order(address: str) -> tuple[int, int]:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return (9, 0)
    return (parsed.version, int(parsed))
