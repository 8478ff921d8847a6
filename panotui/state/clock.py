"""Who keeps the appliance's time, and how far off it is: from NTP packets alone.

`NtpMessage`s come in, a `ClockRecord` goes out. Exchanges are matched by the client's 64-bit
transmit stamp (RFC 5905 section 8). The client's own stamp is used for its clock's error only when
it moves with packet time, because many clients send random or zero stamps; the probe's own offset
is removed by the server's stamps: offset = (T1 - P1) - ((T2 - P1) + (T3 - P4)) / 2, with P1 and P4
the capture times of question and answer.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from panotui.model import SECOND, AnyMessage, ClockRecord, NtpMessage, TimeServerRecord

SERVERS_MAX = 64
WAITING_MAX = 512
ANSWER_WITHIN_NS = 4 * SECOND
SILENT_AFTER = 3  # requests in a row without an answer
OFF_MS = 1_000.0  # from here the clock is called off
_TEN_YEARS_NS = 10 * 365 * 86_400 * SECOND
MODE_CLIENT, MODE_SERVER = 3, 4


@dataclass(slots=True)
class Exchange:
    """One question and its answer."""

    client: str
    time_ns: int
    packet: int
    stamp_ns: int | None  # the client's transmit stamp as time


@dataclass(slots=True)
class TimeServer:
    """What is known of one server."""

    address: str
    clients: set[str] = field(default_factory=set)
    requests: int = 0
    responses: int = 0
    unanswered: int = 0  # in a row
    asked: list[tuple[int, int]] = field(default_factory=list)  # (time, packet) of those
    first_ns: int = 0
    last_ns: int | None = None
    last_packet: int = 0
    stratum: int | None = None
    leap: int | None = None
    kiss: str | None = None  # kiss code of a stratum-0 answer: RATE, DENY
    offset_ms: float | None = None  # of the client against this server
    delay_ms: float | None = None
    poll_s: float = 64.0

    @property
    def synchronised(self) -> bool:
        """The server's answers say that its own clock is right."""
        return self.stratum is not None and 1 <= self.stratum <= 15 and self.leap != 3


class ClockBook:
    """Time servers that were asked, and the appliance's clock against them."""

    hears: ClassVar[frozenset[type]] = frozenset((NtpMessage,))

    def __init__(self) -> None:
        self.servers: OrderedDict[str, TimeServer] = OrderedDict()
        self._waiting: OrderedDict[tuple[str, str, int], Exchange] = OrderedDict()
        self._stamps: dict[str, int] = {}  # client -> last (stamp - packet time)
        self.evicted = 0

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
        """Take one NTP packet."""
        if not isinstance(message, NtpMessage):
            return
        if message.mode == MODE_CLIENT:
            self._question(message)
        elif message.mode == MODE_SERVER:
            self._answer(message)

    def _question(self, message: NtpMessage) -> None:
        server = self._server(message.dst)
        server.clients.add(message.src)
        if len(server.clients) > 256:
            server.clients.pop()
        server.requests += 1
        server.first_ns = server.first_ns or message.time_ns
        if 0 < message.poll <= 17:
            server.poll_s = float(2**message.poll)
        server.unanswered += 1
        server.asked = [*server.asked, (message.time_ns, message.packet)][-8:]
        while len(self._waiting) >= WAITING_MAX:
            self._waiting.popitem(last=False)
        key = (message.src, message.dst, message.transmit)
        self._waiting[key] = Exchange(
            message.src, message.time_ns, message.packet, message.transmit_ns
        )

    def _answer(self, message: NtpMessage) -> None:
        server = self._server(message.src)
        server.responses += 1
        server.unanswered = 0
        server.asked = []
        server.last_ns = message.time_ns
        server.last_packet = message.packet
        server.stratum = message.stratum
        server.leap = message.leap
        server.kiss = message.reference_id if message.stratum == 0 else None
        exchange = self._waiting.pop((message.dst, message.src, message.origin), None)
        if exchange is None or message.time_ns - exchange.time_ns > ANSWER_WITHIN_NS:
            return
        if message.receive_ns is None or message.transmit_ns is None:
            return
        p1, p4 = exchange.time_ns, message.time_ns
        t2, t3 = message.receive_ns, message.transmit_ns
        server.delay_ms = max(0, (p4 - p1) - (t3 - t2)) / 1e6
        server.offset_ms = None
        if not server.synchronised or exchange.stamp_ns is None:
            return
        error = exchange.stamp_ns - p1
        known = self._stamps.get(exchange.client)
        self._stamps[exchange.client] = error
        if len(self._stamps) > 1024:
            self._stamps.pop(next(iter(self._stamps)))
        if abs(error) > _TEN_YEARS_NS:
            return
        # a random stamp is anywhere in 136 years; a real one stays put between questions, or is
        # near packet time at once
        steady = known is not None and abs(known - error) < 2 * SECOND
        if abs(error) > 600 * SECOND and not steady:
            return
        probe = ((t2 - p1) + (t3 - p4)) / 2
        server.offset_ms = (error - probe) / 1e6

    def state(self, servers: list[TimeServer]) -> str:
        """One word for the clock over the servers that were asked."""
        asked = [s for s in servers if s.requests or s.responses]
        if not asked:
            return "unknown"
        answering = [s for s in asked if s.responses and s.unanswered < SILENT_AFTER]
        if not answering:
            if all(s.unanswered < SILENT_AFTER and not s.responses for s in asked):
                return "unknown"  # not asked often enough to say
            return "silent"
        good = [s for s in answering if s.synchronised]
        if not good:
            return "unsynchronised"
        offsets = [s.offset_ms for s in good if s.offset_ms is not None]
        if offsets and min(abs(o) for o in offsets) > OFF_MS:
            return "off"
        return "synchronised"

    def record(
        self, is_local: Callable[[str], bool], clients: frozenset[str] | None = None
    ) -> ClockRecord:
        """The clock's record; only servers that one of `clients` asked, when it is given."""
        servers = [
            s
            for s in self.servers.values()
            if clients is None or not s.clients or s.clients & clients
        ]
        return ClockRecord(
            servers=tuple(
                TimeServerRecord(
                    address=s.address,
                    scope="local" if is_local(s.address) else "public",
                    stratum=s.stratum,
                    requests=s.requests,
                    responses=s.responses,
                    offset_ms=s.offset_ms,
                    delay_ms=s.delay_ms,
                    last_ns=s.last_ns,
                    leap=s.leap,
                )
                for s in sorted(servers, key=lambda s: _order(s.address))
            ),
            state=self.state(servers),
        )


def _order(address: str) -> tuple[int, int]:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return (9, 0)
    return (parsed.version, int(parsed))
