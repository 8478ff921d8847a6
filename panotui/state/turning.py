"""When a vantage ceases to show what it showed: a mirror session is taken away, or loses a
direction.

Link rows, ARP questions and conversations come in. An interface has *turned* into a plain port if
broadcasts go on there, and either busy hosts that did not close their conversations all fell silent
in the same second, or hosts ask for addresses and need not ask twice, although such answers used to
be seen here: they are answered, out of sight. An idle appliance does none of this. A host has
turned one-way if one direction of it ended while the other goes on, and conversations prove that it
went on as well. Nothing that is missing since then is a fault. Times are seconds of packet time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping

import numpy as np
from msgspec import Struct, field

from panotui.model import NEVER, SECOND, U64, ArpMessage, Bool, Rows, mac_value
from panotui.model.arrays import distinct
from panotui.state.thresholds import thresholds

LIMITS = thresholds().turning
HOSTS_MAX = 4096
SPEAKERS_MAX = 256
QUESTIONS_MAX = 1024
# Bridges and Cisco switches send to these groups themselves; no switch forwards them, and the port
# of a probe may get them from its own switch.
_FROM_SWITCHES = ((0x0180_C200_0000, 4), (0x0100_0CCC_CCC0, 4))  # and how many bits vary
TOWARDS, SENT = "towards", "sent"
Host = tuple[int, int]  # interface, MAC
Pair = tuple[int, int]  # MACs, the smaller one first
Question = tuple[int, str, str]  # interface, MAC that asks, address


class _Interface(Struct):
    """The unicast of one interface."""

    unicast_s: int = 0  # its newest second with unicast
    # seconds, and the pairs of hosts of which one sent much to the other
    busy: deque[tuple[int, frozenset[Pair]]] = field(default_factory=lambda: deque(maxlen=4))
    spread: int = 0  # seconds with broadcasts only, since then
    speakers: set[int] = field(default_factory=set)  # who sent these
    repeats_s: int = 0  # when a host of its unicast asked again for what it had just asked for
    questions: int = 0  # since its newest unicast, asked once, whose answers were once seen here


class _Ways(Struct):
    """When each direction of a host was last seen, and how often since the other one was."""

    towards_s: int = 0
    sent_s: int = 0
    alone: int = 0  # seconds with one direction only, in a row
    proofs: int = 0  # weight of the conversations that prove that the other goes on
    closed_s: int = 0  # when a TCP conversation of it was last closed


class Turning:
    """See the module. Bounded."""

    def __init__(self) -> None:
        self.plain: dict[int, int] = {}  # interface -> second since which it is a plain port
        # (interface, MAC) -> the missing direction, and the last second in which it was seen
        self.one_way: dict[Host, tuple[str, int]] = {}
        self.blind = (0, 0)  # the newest time without unicast that is over
        self.version = 0  # rises when something has turned
        self._interfaces: dict[int, _Interface] = {}
        self._hosts: OrderedDict[Host, _Ways] = OrderedDict()
        self._asked: OrderedDict[Question, int] = OrderedDict()
        self._answered: OrderedDict[Question, int] = OrderedDict()  # in sight
        self._alone: set[Host] = set()  # hosts of which only one direction has been seen lately

    @property
    def doubts(self) -> bool:
        """Some host may have turned one-way: proofs are wanted."""
        return bool(self._alone)

    # ------------------------------------------------------------------ what comes in

    def links(self, rows: Rows, own: frozenset[int]) -> None:
        """Rows of LINK_SECOND_DTYPE; `own`: MACs of this machine, whose frames prove nothing."""
        seconds = rows["second"]
        some, interfaces = distinct(seconds), distinct(rows["interface"])
        if len(some) > 1 and len(interfaces) == 1:
            some = some[some > self._together(int(interfaces[0]), rows, own)]
        for second in some.tolist():
            now = rows[seconds == second]
            for interface in distinct(now["interface"]).tolist():
                self._second(interface, second, now[now["interface"] == interface], own)

    def _second(self, interface: int, second: int, rows: Rows, own: frozenset[int]) -> None:
        at = self._interfaces.setdefault(interface, _Interface())
        src, dst = rows["src_mac"], rows["dst_mac"]
        group = (dst >> np.uint64(40) & np.uint64(1)).astype(bool)
        if own:
            mine = np.isin(src, list(own)) | np.isin(dst, list(own))
            src, dst, group, rows = src[~mine], dst[~mine], group[~mine], rows[~mine]
        if group.all():
            src = src[~_of_switches(dst)]
            if len(src) and second > at.unicast_s:
                at.spread += 1
                if len(at.speakers) < SPEAKERS_MAX:
                    at.speakers.update(distinct(src)[:SPEAKERS_MAX].tolist())
            return
        sent = distinct(src[~group])[:HOSTS_MAX].tolist()
        towards = distinct(dst[~group])[:HOSTS_MAX].tolist()
        often = np.flatnonzero(~group & (rows["packets"] >= LIMITS.busy_packets))
        at.busy.append((second, _pairs(src[often], dst[often])))
        if second > at.unicast_s:
            at.unicast_s, at.spread, at.questions = second, 0, 0
            at.speakers.clear()
        if interface in self.plain:
            self.blind = self.plain.pop(interface), second
        for mac in towards:
            self._ways(interface, mac).towards_s = second
        for mac in sent:
            ways = self._ways(interface, mac)
            ways.sent_s = second
        for mac in {*sent, *towards}:
            known = self._hosts.get((interface, mac))
            if known is not None:  # else it is one too many
                both = known.towards_s == known.sent_s
                self._count((interface, mac), known, both, int(not both))

    def _together(self, interface: int, rows: Rows, own: frozenset[int]) -> int:
        """Take the seconds up to the last one with unicast at once, as `_second` would one by one,
        if all their hosts are known. Returns that one, 0 if none was taken.
        """
        at = self._interfaces.get(interface)
        src, dst = rows["src_mac"], rows["dst_mac"]
        single = (dst >> np.uint64(40) & np.uint64(1)) == 0
        if own:
            single &= ~(np.isin(src, list(own)) | np.isin(dst, list(own)))
        src, dst, second, packets = (
            column[single] for column in (src, dst, rows["second"], rows["packets"])
        )
        seconds = distinct(second)
        if at is None or interface in self.plain or not len(seconds) or seconds[0] <= at.unicast_s:
            return 0
        macs = distinct(np.concatenate([src, dst]))
        keys = [(interface, mac) for mac in macs.tolist()]
        known = [self._hosts[key] for key in keys if key in self._hosts]
        if len(known) < len(keys):
            return 0
        sent, towards = np.zeros((2, len(macs), len(seconds)), bool)
        place, sender, receiver = (
            np.searchsorted(all_of, one)
            for all_of, one in ((seconds, second), (macs, src), (macs, dst))
        )
        sent[sender, place] = towards[receiver, place] = True
        number = np.arange(1, len(seconds) + 1)
        both = ((sent & towards) * number).max(axis=1)
        alone = ((sent | towards) & (number > both[:, None])).sum(axis=1)
        newest = np.append(0, seconds)
        for key, ways, to_s, from_s, back, more in zip(
            keys, known, newest[(towards * number).max(axis=1)].tolist(),
            newest[(sent * number).max(axis=1)].tolist(), both.tolist(), alone.tolist(),
            strict=True,
        ):  # fmt: skip
            ways.towards_s, ways.sent_s = to_s or ways.towards_s, from_s or ways.sent_s
            self._count(key, ways, back > 0, more)
        for one in seconds[-(at.busy.maxlen or 0) :].tolist():
            often = (second == one) & (packets >= LIMITS.busy_packets)
            at.busy.append((one, _pairs(src[often], dst[often])))
        at.unicast_s, at.spread, at.questions = int(seconds[-1]), 0, 0
        at.speakers.clear()
        return at.unicast_s

    def _ways(self, interface: int, mac: int) -> _Ways:
        key = (interface, mac)
        ways = self._hosts.get(key)
        if ways is None:
            while len(self._hosts) >= HOSTS_MAX:
                gone, _ = self._hosts.popitem(last=False)
                self._alone.discard(gone)
                self.one_way.pop(gone, None)
            ways = self._hosts[key] = _Ways()
        return ways

    def _count(self, key: Host, ways: _Ways, both: bool, alone: int) -> None:
        """A host was seen: perhaps in both directions, and then in one, in `alone` seconds."""
        if both:
            ways.alone = ways.proofs = 0
            self._alone.discard(key)
            self.one_way.pop(key, None)
        ways.alone += alone
        if alone and ways.alone >= LIMITS.alone_least and ways.towards_s and ways.sent_s:
            self._alone.add(key)

    def observe(self, message: ArpMessage) -> None:
        """An ARP question or its answer. A question asked again soon had no answer."""
        second = message.time_ns // SECOND
        if message.op == 2:
            _remember(
                self._answered, (message.interface, message.target_mac, message.sender_ip), second
            )
            return
        key = (message.interface, message.sender_mac, message.target_ip)
        before = self._asked.get(key)
        _remember(self._asked, key, second)
        at = self._interfaces.get(message.interface)
        if at is None or (message.interface, mac_value(message.sender_mac)) not in self._hosts:
            return  # who had no part in the unicast says nothing about its end
        if before is not None and second - before <= LIMITS.repeated_s:
            at.repeats_s = second
        elif second > at.unicast_s and key in self._answered:
            at.questions += before is None or second - before >= LIMITS.apart_s

    def closed(self, interface: int, mac: int, second: int) -> None:
        """A TCP conversation of a host was closed: its silence may be its own will."""
        ways = self._hosts.get((interface, mac))
        if ways is not None:
            ways.closed_s = max(ways.closed_s, second)

    def missing_of(self, key: Host) -> tuple[str, int] | None:
        """The direction of a host that has ended while the other goes on, and its last second."""
        ways = self._hosts.get(key) if key in self._alone else None
        if ways is None:
            return None
        if ways.sent_s > ways.towards_s:
            return TOWARDS, ways.towards_s
        return SENT, ways.sent_s

    def prove(self, key: Host, weight: int) -> None:
        """A conversation of a host went on in the missing direction, unseen."""
        if key in self._alone:
            self._hosts[key].proofs += weight

    # ------------------------------------------------------------------ what has turned

    def judge(self, now_ns: int) -> tuple[list[int], list[tuple[Host, str]]]:
        """Interfaces that have turned into plain ports, and hosts that have turned one-way with the
        direction that is missing; each is told once.
        """
        now = now_ns // SECOND
        plain = [i for i, at in self._interfaces.items() if self._is_plain(i, at, now)]
        hosts: list[tuple[Host, str]] = []
        for key in sorted(self._alone):
            missing = self.missing_of(key)
            if missing is None or key in self.one_way or key[0] in self.plain:
                continue
            ways = self._hosts[key]
            if ways.alone < LIMITS.alone or ways.proofs < LIMITS.proofs:
                continue
            if now - missing[1] >= LIMITS.alone_ns // SECOND:
                self.one_way[key] = missing
                hosts.append((key, missing[0]))
        for interface in plain:
            self.plain[interface] = self._interfaces[interface].unicast_s
        self.version += bool(plain or hosts)
        return plain, hosts

    def _is_plain(self, interface: int, at: _Interface, now: int) -> bool:
        if interface in self.plain or now - at.unicast_s < LIMITS.plain_ns // SECOND:
            return False
        if at.spread < LIMITS.spread or at.repeats_s > at.unicast_s:
            return False
        return at.questions >= LIMITS.questions or len(self.ended(interface)) >= LIMITS.busy_pairs

    def speakers(self, interface: int) -> set[int]:
        """Hosts whose broadcasts go on there since its unicast ended."""
        at = self._interfaces.get(interface)
        return set(at.speakers) if at is not None else set()

    def ended(self, interface: int) -> frozenset[Pair]:
        """The busy pairs of hosts that all fell silent together with the interface's last unicast,
        and did not close what they had with each other. One pair alone may have finished.
        """
        at = self._interfaces.get(interface)
        if at is None or len(at.busy) < 4:
            return frozenset()
        first_s = at.busy[0][0]
        if at.busy[-1][0] - first_s > LIMITS.together_s:
            return frozenset()
        whole = [pairs for _, pairs in list(at.busy)[:-1]]  # the last second is cut off
        return frozenset(
            pair
            for pair in whole[0].intersection(*whole[1:])
            if not any(self._closed_since(interface, mac, first_s) for mac in pair)
        )

    def _closed_since(self, interface: int, mac: int, second: int) -> bool:
        ways = self._hosts.get((interface, mac))
        return ways is None or ways.closed_s >= second

    def due_ns(self, now_ns: int, heard: Mapping[int, int]) -> int:
        """When the next interface may be called a plain port; `heard`: when interfaces have shown
        unicast since the newest rows.
        """
        due = (
            max(at.unicast_s * SECOND, heard.get(interface, 0)) + LIMITS.plain_ns
            for interface, at in self._interfaces.items()
            if interface not in self.plain
        )
        return min((at for at in due if at > now_ns), default=NEVER)


def _pairs(src: U64, dst: U64) -> frozenset[Pair]:
    """Of rows (n,); at most HOSTS_MAX."""
    src, dst = src[:HOSTS_MAX], dst[:HOSTS_MAX]
    low, high = np.minimum(src, dst), np.maximum(src, dst)
    return frozenset(zip(low.tolist(), high.tolist(), strict=True))


def _remember(table: OrderedDict[Question, int], key: Question, second: int) -> None:
    table[key] = second
    table.move_to_end(key)
    while len(table) > QUESTIONS_MAX:
        table.popitem(last=False)


def _of_switches(dst: U64) -> Bool:
    """(n,) group addresses that no switch forwards."""
    out = np.zeros(len(dst), bool)
    for group, bits in _FROM_SWITCHES:
        out |= dst >> np.uint64(bits) == np.uint64(group >> bits)
    return out
