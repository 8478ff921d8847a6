"""ARP claims and requests, and pairs of redundant routers.

`ArpMessage`s and router advertisements (VRRP, HSRP, CARP) come in. For each address the book has
the MACs that claim it, and how: answered, unsolicited, announced, or by sending from it. Unanswered
requests are kept by asker and target. All tables are bounded.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from typing import ClassVar

from msgspec import Struct, field

from panotui.model import AnyMessage, ArpMessage, LinkControlMessage, mac_value
from panotui.state.thresholds import thresholds

ADDRESSES_MAX = 1024
CLAIMANTS_MAX = 8  # per address
QUESTIONS_MAX = 2048
ROUTERS_MAX = 64
SHOWN = 8
LIMITS = thresholds().claims
SWEPT_MAX = 4096
SWEEPERS_MAX = 64
HSRP_ACTIVE = 16
_LINK_LOCAL = "169.254."
# MACs of a router pair or cluster, not of one device: VRRP and CARP, HSRP, GLBP, network load
# balancing
_VIRTUAL = (
    "00:00:5e:00:01", "00:00:5e:00:02", "00:00:0c:07:ac", "00:00:0c:9f:f", "00:05:73:a0",
    "00:07:b4:", "02:bf:", "03:bf:",
)  # fmt: skip


def virtual(mac: str) -> bool:
    """The MAC belongs to a virtual router or a cluster."""
    return mac.startswith(_VIRTUAL)


class Seen(Struct, frozen=True):
    """A packet that proves something."""

    time_ns: int
    packet: int
    text: str


class Claim(Struct):
    """One MAC that claims an address."""

    mac: str
    first: Seen
    last: Seen
    asked: int = 0  # answers to a question
    unasked: int = 0  # unsolicited answers
    announced: int = 0  # announcements (gratuitous ARP)
    used: int = 0  # requests for others, sent from the address
    pushed_ns: int = 0  # the first unsolicited claim
    pushed: deque[Seen] = field(default_factory=lambda: deque(maxlen=SHOWN))

    @property
    def lives_there(self) -> bool:
        """It behaves like the owner of an address: it answers, and sends from it."""
        return self.asked > 0 or self.used > 0

    @property
    def pushes(self) -> int:
        """Unsolicited claims."""
        return self.unasked + self.announced


class Address(Struct):
    """All claims of one address."""

    claims: OrderedDict[str, Claim] = field(default_factory=OrderedDict)  # by MAC, oldest first
    holder: str = ""  # the last MAC to claim it
    turns: deque[Seen] = field(default_factory=lambda: deque(maxlen=SHOWN))  # to another MAC


class Question(Struct):
    """An address that one host requests, without an answer."""

    asker: str
    target: str
    mac: str
    count: int = 0
    quick: int = 0  # repetitions at the interval of an unanswered request
    first_ns: int = 0
    last_ns: int = 0
    interface: int = -1
    seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=SHOWN))


class RouterGroup(Struct):
    """A pair of redundant routers, by their advertisements."""

    protocol: str
    group: str
    addresses: tuple[str, ...] = ()
    first: str = ""  # the first active router
    active: str = ""
    before: str = ""
    changed: Seen | None = None  # the first advertisement of the active one
    last_before: Seen | None = None  # the last advertisement of the router before it
    last: Seen | None = None
    flips: deque[int] = field(default_factory=lambda: deque(maxlen=SHOWN))  # times of changes
    senders: dict[str, str] = field(default_factory=dict)  # MAC -> address


class ClaimBook:
    """Addresses and their ARP claims."""

    hears: ClassVar[frozenset[type]] = frozenset((ArpMessage, LinkControlMessage))

    def __init__(self) -> None:
        self.addresses: OrderedDict[str, Address] = OrderedDict()
        self.contested: OrderedDict[str, None] = OrderedDict()  # addresses claimed by several MACs
        self.questions: OrderedDict[tuple[str, str], Question] = OrderedDict()
        self.last_answer: dict[int, Seen] = {}  # by interface
        self.routers: OrderedDict[tuple[str, str], RouterGroup] = OrderedDict()
        self.answered: OrderedDict[tuple[str, str], Seen] = OrderedDict()  # by (asker, target)
        self._by_target: dict[str, set[str]] = {}
        self._asked: OrderedDict[str, tuple[int, str]] = OrderedDict()  # target -> time, asker
        self._swept: OrderedDict[str, OrderedDict[str, Seen]] = OrderedDict()

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Process an ARP message or a router's advertisement."""
        if isinstance(message, LinkControlMessage):
            if message.protocol in ("vrrp", "hsrp"):
                self._advertised(message)
        elif isinstance(message, ArpMessage):
            if message.sender_ip not in ("", "0.0.0.0"):  # noqa: S104 - an ARP probe's sender
                self._claimed(message)
            if message.op == 1 and message.target_ip != message.sender_ip:
                self._questioned(message)

    # ------------------------------------------------------------------ asking

    def owner(self, address: str) -> str | None:
        """The last MAC to claim an address."""
        known = self.addresses.get(address)
        return known.holder if known else None

    def claims(self, address: str, mac: str) -> Claim | None:
        """The claims of a MAC on an address."""
        known = self.addresses.get(address)
        return known.claims.get(mac) if known else None

    def claimed_by(self, mac: str) -> list[str]:
        """Contested addresses that a MAC claims."""
        return [a for a in self.contested if mac in self.addresses[a].claims]

    def has_another(self, mac: str, address: str) -> bool:
        """The MAC claims another address as well."""
        return any(mac in a.claims for ip, a in self.addresses.items() if ip != address)

    def moved_to(self, mac: str, address: str, since_ns: int) -> tuple[str, Seen] | None:
        """The one address that a MAC alone has claimed since a time, other than `address`; None
        where it claimed none, or several, as a router does."""
        found = [
            (ip, known.claims[mac].last)
            for ip, known in self.addresses.items()
            if ip != address and mac in known.claims and len(known.claims) == 1
        ]
        now = [(ip, last) for ip, last in found if last.time_ns >= since_ns]
        routable = [one for one in now if not one[0].startswith(_LINK_LOCAL)] or now
        return routable[0] if len(routable) == 1 and not virtual(mac) else None

    def newcomer(self, address: str, mac: str, time_ns: int) -> bool:
        """At that time a MAC had taken an address that another device had used until then."""
        known = self.addresses.get(address)
        if known is None or mac not in known.claims:
            return False
        before = [c for c in known.claims.values() if c.mac != mac and c.lives_there]
        first = known.claims[mac].first.time_ns
        return bool(before) and all(c.first.time_ns < first for c in before) and first <= time_ns

    def advertises(self, mac: str) -> bool:
        """The MAC belongs to a redundant router."""
        return any(mac in g.senders for g in self.routers.values())

    def group_of(self, address: str) -> RouterGroup | None:
        """The router pair that serves an address."""
        return next((g for g in self.routers.values() if address in g.addresses), None)

    def swept(self, asker: str, now_ns: int) -> list[Seen]:
        """Different addresses that a host requested in vain within the last minute."""
        mine = self._swept.get(asker, OrderedDict())
        return [seen for seen in mine.values() if now_ns - seen.time_ns <= LIMITS.sweep_ns]

    def sweepers(self, least: int) -> tuple[str, ...]:
        """Hosts that requested more than `least` addresses in vain, not all of them recently."""
        return tuple(asker for asker, mine in self._swept.items() if len(mine) > least)

    # ------------------------------------------------------------------ learning

    def _claimed(self, message: ArpMessage) -> None:
        ip, mac, now = message.sender_ip, message.sender_mac, message.time_ns
        seen = Seen(now, message.packet, f"{ip} is at {mac}")
        known = self.addresses.get(ip)
        if known is None:
            known = self.addresses[ip] = Address()
            while len(self.addresses) > ADDRESSES_MAX:
                gone, _ = self.addresses.popitem(last=False)
                self.contested.pop(gone, None)
        self.addresses.move_to_end(ip)
        claim = known.claims.get(mac)
        if claim is None:
            claim = known.claims[mac] = Claim(mac, seen, seen)
            while len(known.claims) > CLAIMANTS_MAX:
                known.claims.popitem(last=False)
        claim.last = seen
        self._how(message, claim, seen)
        if known.holder != mac:
            if known.holder:
                known.turns.append(seen)
                self.contested[ip] = None
            known.holder = mac
        self._settle(message, seen)

    def _how(self, message: ArpMessage, claim: Claim, seen: Seen) -> None:
        own = message.target_ip == message.sender_ip
        if message.op == 1 and not own:
            claim.used += 1
            return
        if message.op == 2 and not own:
            asked = self._asked.get(message.sender_ip)
            soon = asked is not None and message.time_ns - asked[0] <= LIMITS.asked_ns
            if soon and asked is not None and asked[1] == message.target_ip:
                claim.asked += 1
                return
            claim.unasked += 1
        else:
            claim.announced += 1
        claim.pushed_ns = claim.pushed_ns or message.time_ns
        claim.pushed.append(seen)

    def _settle(self, message: ArpMessage, seen: Seen) -> None:
        """Requests for the sender's address are answered, or no longer needed."""
        ip = message.sender_ip
        if message.op == 2:
            self.last_answer[message.interface] = seen
        for asker in self._by_target.pop(ip, ()):
            question = self.questions.pop((asker, ip), None)
            if question is not None:
                self.answered[(asker, ip)] = question.seen[-1]
                self.answered.move_to_end((asker, ip))
            while len(self.answered) > QUESTIONS_MAX:
                self.answered.popitem(last=False)
            swept = self._swept.get(asker)
            if swept is not None:
                swept.pop(ip, None)

    def _questioned(self, message: ArpMessage) -> None:
        asker, target, now = message.sender_ip, message.target_ip, message.time_ns
        self._asked[target] = (now, asker)
        self._asked.move_to_end(target)
        while len(self._asked) > QUESTIONS_MAX:
            self._asked.popitem(last=False)
        if asker in ("", "0.0.0.0"):  # noqa: S104 - a probe: silence is what it hopes for
            return
        row = self.questions.get((asker, target))
        if row is None:
            row = self.questions[(asker, target)] = Question(asker, target, message.sender_mac)
            self._by_target.setdefault(target, set()).add(asker)
            while len(self.questions) > QUESTIONS_MAX:
                (old_asker, old), _ = self.questions.popitem(last=False)
                askers = self._by_target.get(old, set())
                askers.discard(old_asker)
                if not askers:
                    self._by_target.pop(old, None)
        self.questions.move_to_end((asker, target))
        if row.count and now - row.last_ns > LIMITS.row_ns:
            row.count = row.quick = 0
            row.seen.clear()
        if not row.count:
            row.first_ns = now
        elif LIMITS.again_ns[0] <= now - row.last_ns <= LIMITS.again_ns[1]:
            row.quick += 1
        row.count += 1
        row.last_ns, row.interface = now, message.interface
        seen = Seen(now, message.packet, f"who has {target}? (from {asker})")
        row.seen.append(seen)
        swept = self._swept.setdefault(asker, OrderedDict())
        self._swept.move_to_end(asker)
        swept[target] = seen
        swept.move_to_end(target)
        while len(swept) > SWEPT_MAX or now - next(iter(swept.values())).time_ns > LIMITS.sweep_ns:
            swept.popitem(last=False)
        while len(self._swept) > SWEEPERS_MAX:
            self._swept.popitem(last=False)

    # ------------------------------------------------------------------ routers

    def _advertised(self, message: LinkControlMessage) -> None:
        if message.protocol == "hsrp" and not _active(message):
            return
        name = (message.protocol, message.group or "")
        group = self.routers.get(name)
        if group is None:
            group = self.routers[name] = RouterGroup(*name)
            while len(self.routers) > ROUTERS_MAX:
                self.routers.popitem(last=False)
        group.addresses = _served(message) or group.addresses
        router = message.src or message.src_mac
        text = f"{message.protocol.upper()} advertisement of {router}"
        seen = Seen(message.time_ns, message.packet, text)
        group.senders[message.src_mac] = router
        while len(group.senders) > CLAIMANTS_MAX:
            group.senders.pop(next(iter(group.senders)))
        group.first = group.first or router
        if router != group.active:
            if group.active:
                group.before, group.last_before, group.changed = group.active, group.last, seen
                group.flips.append(message.time_ns)
            group.active = router
        group.last = seen


def _active(message: LinkControlMessage) -> bool:
    """The HSRP sender is the active router, not a standby."""
    if message.detail.startswith("version 2"):
        return message.detail.endswith("active")
    return len(message.raw) > 2 and message.raw[2] == HSRP_ACTIVE


def _served(message: LinkControlMessage) -> tuple[str, ...]:
    """The virtual addresses of an advertisement."""
    raw = message.raw
    if message.protocol == "hsrp":
        return (str(ipaddress.IPv4Address(raw[16:20])),) if len(raw) >= 20 else ()
    size = 16 if message.src and ":" in message.src else 4
    count = raw[3] if len(raw) > 3 else 0
    found = (raw[at : at + size] for at in range(8, 8 + size * count, size))
    return tuple(str(ipaddress.ip_address(one)) for one in found if len(one) == size)


def neighbours(one: str, other: str) -> bool:
    """Two MACs of neighbouring ports of one device: their last bytes differ by a few."""
    try:
        return one != other and abs(mac_value(one) - mac_value(other)) <= LIMITS.neighbour_macs
    except ValueError:
        return False
