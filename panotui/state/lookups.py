"""Lookups of names: by client, name and type, how far each lookup gets, and with which server.

`DnsMessage`s come in. A lookup succeeds when any server gives a usable address; earlier answers
then no longer matter. Useless answers are kept by server and kind, with their packets. The caller
decides whether an address is usable, because it depends on the site. All tables are bounded.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import ip_address
from typing import ClassVar

from msgspec import Struct, field

from panotui.model import AnyMessage, DnsMessage
from panotui.state.thresholds import thresholds

LOOKUPS_MAX = 2048
SERVERS_MAX = 8  # per name
SHOWN = 8
LIMITS = thresholds().lookups
_KINDS = {"NXDOMAIN": "nxdomain", "SERVFAIL": "servfail", "REFUSED": "refused"}


class Seen(Struct, frozen=True):
    """A packet that proves something."""

    time_ns: int
    packet: int
    text: str


class Useless(Struct):
    """Answers of one kind from one server for one name and type."""

    server: str
    kind: str  # "nxdomain", "servfail", "refused", "nodata"
    type: str  # "A", "AAAA"
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    through: str = ""  # target of an alias
    seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=SHOWN))


class Given(Struct):
    """The addresses from one server for one name."""

    server: str
    type: str
    addresses: tuple[str, ...]
    count: int
    first_ns: int
    last_ns: int
    aliases: tuple[str, ...] = ()  # names on the way of the answer
    seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=SHOWN))


class Vain(Struct, frozen=True):
    """An address query that led to no address."""

    asked_ns: int
    packet: int  # of the answer, or of the unanswered query
    server: str
    said: str  # "NXDOMAIN", "SERVFAIL", "REFUSED", "no address", "no answer", "0.0.0.0"


class Lookup(Struct):
    """One name requested by one client."""

    client: str
    name: str
    # type -> time, packet, server
    asked: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)  # type -> time
    taken: dict[str, tuple[int, int, str]] = field(default_factory=dict)  # type -> question's mark
    first_given_ns: int = 0  # the first useful answer
    given_ns: int = 0  # the newest answer with an address, useful or not
    vain: deque[Vain] = field(default_factory=lambda: deque(maxlen=SHOWN))  # since then
    vain_count: int = 0
    useless: OrderedDict[tuple[str, str, str], Useless] = field(default_factory=OrderedDict)
    given: OrderedDict[tuple[str, str], Given] = field(default_factory=OrderedDict)


class LookupBook:
    """Lookups by client and name."""

    hears: ClassVar[frozenset[type]] = frozenset((DnsMessage,))

    def __init__(self) -> None:
        self.lookups: OrderedDict[tuple[str, str], Lookup] = OrderedDict()
        self._changed: dict[tuple[str, str], None] = {}

    def drain_changed(self) -> list[Lookup]:
        """The lookups that started or stopped failing since the last call, and failing ones that
        were repeated.
        """
        changed, self._changed = self._changed, {}
        return [self.lookups[key] for key in changed if key in self.lookups]

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Process a query or an answer for an address (unicast DNS only)."""
        if not isinstance(message, DnsMessage) or message.type not in ("A", "AAAA"):
            return
        if message.transport not in ("udp", "tcp"):
            return
        key = (message.client, message.name)
        lookup = self.lookups.get(key)
        if lookup is None:
            lookup = self.lookups[key] = Lookup(*key)
            while len(self.lookups) > LOOKUPS_MAX:
                self.lookups.popitem(last=False)
        self.lookups.move_to_end(key)
        if not message.response:
            self._ask_again(lookup, message)
            lookup.asked[message.type] = (message.time_ns, message.packet, message.server)
            return
        mark = (message.client_port, message.id, message.server)
        asked_ns = lookup.asked.get(message.type, (0, 0, ""))[0]
        if lookup.taken.get(message.type) == mark and 0 < asked_ns <= lookup.answered[message.type]:
            return  # a client takes the first answer to its question
        lookup.taken[message.type] = mark
        lookup.answered[message.type] = message.time_ns
        if message.truncated:
            return  # the whole answer follows over TCP
        addresses = tuple(a.data for a in message.answers if a.type == message.type)
        said = ""
        if message.rcode == "NOERROR" and addresses:
            nowhere = all(_is_nowhere(address) for address in addresses)
            self._given(lookup, message, addresses, useful=not nowhere)
            said = addresses[0] if nowhere else ""
        else:
            kind = "nodata" if message.rcode == "NOERROR" else _KINDS.get(message.rcode)
            if kind is not None:
                self._useless(lookup, message, kind)
                said = "no address" if kind == "nodata" else message.rcode
        if said:
            vain = Vain(asked_ns or message.time_ns, message.packet, message.server, said)
            self._in_vain(lookup, message.type, vain)

    def _ask_again(self, lookup: Lookup, message: DnsMessage) -> None:
        """The previous query, if it got no answer."""
        asked_ns, packet, server = lookup.asked.get(message.type, (0, 0, ""))
        unanswered = asked_ns > lookup.answered.get(message.type, 0)
        if unanswered and message.time_ns - asked_ns >= LIMITS.repeated_ns:
            self._in_vain(lookup, message.type, Vain(asked_ns, packet, server, "no answer"))

    def _in_vain(self, lookup: Lookup, kind: str, vain: Vain) -> None:
        if kind == "AAAA" and ("A" in lookup.asked or vain.said == "no address"):
            return  # the other query decides
        last = lookup.vain[-1] if lookup.vain else None
        if last is not None and (last.asked_ns, last.said) == (vain.asked_ns, vain.said):
            return  # a mirror's copy of the answer
        lookup.vain.append(vain)
        lookup.vain_count += 1
        if len(self._changed) < LOOKUPS_MAX:
            self._changed[lookup.client, lookup.name] = None

    def _given(
        self, lookup: Lookup, message: DnsMessage, addresses: tuple[str, ...], *, useful: bool
    ) -> None:
        now = message.time_ns
        lookup.given_ns = now
        if useful and not lookup.first_given_ns:
            lookup.first_given_ns = now
        if lookup.vain_count and useful:
            lookup.vain.clear()
            lookup.vain_count = 0
            if len(self._changed) < LOOKUPS_MAX:
                self._changed[lookup.client, lookup.name] = None
        for key in [k for k in lookup.useless if k[0] == message.server and k[2] == message.type]:
            del lookup.useless[key]
        whose = (message.server, message.type)
        known = lookup.given.get(whose)
        if known is None or known.addresses != addresses:
            lookup.given[whose] = known = Given(
                message.server, message.type, addresses, 0, now, now
            )
        lookup.given.move_to_end(whose)
        while len(lookup.given) > SERVERS_MAX:
            lookup.given.popitem(last=False)
        known.aliases = tuple(a.data for a in message.answers if a.type == "CNAME")
        known.count += 1
        known.last_ns = now
        text = f"{message.name} is {addresses[0]}"
        known.seen.append(Seen(now, message.packet, text))

    @staticmethod
    def _useless(lookup: Lookup, message: DnsMessage, kind: str) -> None:
        key = (message.server, kind, message.type)
        lookup.given.pop((message.server, message.type), None)
        row = lookup.useless.get(key)
        if row is None:
            row = lookup.useless[key] = Useless(message.server, kind, message.type)
            while len(lookup.useless) > 2 * SERVERS_MAX:
                lookup.useless.popitem(last=False)
        row.first_ns = row.first_ns or message.time_ns
        row.last_ns = message.time_ns
        row.count += 1
        row.through = next((a.data for a in message.answers if a.type == "CNAME"), "")
        said = "no address" if kind == "nodata" else message.rcode
        row.seen.append(Seen(message.time_ns, message.packet, f"{said} for {message.name}"))


def _is_nowhere(address: str) -> bool:
    """Nobody can be reached at this address: a filter's answer (0.0.0.0, ::, 127.0.0.1)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return parsed.is_unspecified or parsed.is_loopback
