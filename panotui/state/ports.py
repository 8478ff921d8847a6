"""The appliance's Ethernet ports: counters, rates, peaks and state, from its MAC addresses.

`LINK_SECOND_DTYPE` rows (Ethernet pairs by the second) and `LinkReading`s come in, `PortRecord`s go
out. *In* is towards the appliance. On a mirror the link readings are those of the capture
interface, and the record says so. Counters are kept by MAC from the first packet on, so that a port
that is recognised late has its whole history.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from msgspec import Struct, field

from panotui.model import (
    NEVER,
    SECOND,
    AnyMessage,
    LinkReading,
    LinkSecond,
    NeighbourMessage,
    PortRecord,
    Rows,
    typed,
)
from panotui.model.arrays import among, distinct
from panotui.state.thresholds import thresholds

HISTORY_S = 60
MACS_MAX = 1024
ROWS_A_TICK = 512  # Ethernet pairs processed one by one per tick, the busiest first
PAUSE_MAC = 0x0180_C200_0001
PAUSERS_MAX = 64
LOOPS_KEPT = 512
LIMITS = thresholds().ports
_NUMBER = re.compile(r"[0-9][0-9/.:-]*$")  # of a switch port: `1/0/3`


class PortFacts(Struct, frozen=True):
    """The site's facts about a port, declared or inferred."""

    name: str
    role: str | None
    macs: frozenset[int]
    addresses: tuple[str, ...]
    interface: str | None


class MacCount(Struct):
    """Traffic of one MAC address, to it (in) and from it (out), without a mirror's copies."""

    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    frames: int = 0  # with a mirror's copies, which the counts above leave out
    tagged: int = 0  # of all frames
    first_ns: int = 0
    last_out_ns: int = 0
    last_in_ns: int = 0
    last_ns: int = 0
    busy: int = 0  # seconds with any traffic
    spoke: int = 0  # seconds in which it sent
    longest_gap_s: int = 0  # longest pause between two of them
    longest_hush_s: int = 0  # longest pause between two seconds in which it sent
    unreturned: int = 0  # packets to it since it last sent
    interfaces: set[int] = field(default_factory=set)
    seconds: OrderedDict[int, list[int]] = field(default_factory=OrderedDict)  # s -> [in, out]
    last_packet: int = 0  # the newest that it sent
    sent_packets: OrderedDict[int, int] = field(default_factory=OrderedDict)  # s -> the newest
    peak_in: int = 0
    peak_out: int = 0

    def sent(self, second: int, packet: int) -> None:
        """The newest packet that it sent in a second."""
        self.last_packet = max(self.last_packet, packet)
        self.sent_packets[second] = max(self.sent_packets.get(second, 0), packet)
        while len(self.sent_packets) > HISTORY_S + 4:
            self.sent_packets.popitem(last=False)

    def add(self, second: int, size: int, side: int) -> None:
        """Bytes of one second; `side` 0 in, 1 out."""
        bucket = self.seconds.get(second)
        if bucket is None:
            bucket = self.seconds[second] = [0, 0]
            while len(self.seconds) > HISTORY_S + 4:
                self.seconds.popitem(last=False)
        bucket[side] += size
        if side == 0:
            self.peak_in = max(self.peak_in, bucket[0])
        else:
            self.peak_out = max(self.peak_out, bucket[1])


class Looped(Struct, frozen=True):
    """Frames of one sender in one second that are part of a loop."""

    second: int
    interface: int
    src_mac: int
    frames: int
    packet: int


class LinkState(Struct):
    """A capture interface on this machine, with a minute of its readings."""

    reading: LinkReading
    first: LinkReading
    flaps: deque[int] = field(default_factory=lambda: deque(maxlen=64))
    down_ns: int = 0
    recent: deque[LinkReading] = field(default_factory=lambda: deque(maxlen=64))

    def rise(self, name: str, span_ns: int) -> int:
        """Growth of a cumulative counter of the readings over the last `span_ns`."""
        start = self.reading.time_ns - span_ns
        base = next((r for r in self.recent if r.time_ns >= start), self.first)
        new, old = getattr(self.reading, name), getattr(base, name)
        if new is None or old is None:
            return 0
        return max(0, int(new) - int(old))


class PortBook:
    """All appliance ports; `facts` is updated whenever the site view changes."""

    hears: ClassVar[frozenset[type]] = frozenset((NeighbourMessage,))

    def __init__(self) -> None:
        self.macs: dict[int, MacCount] = {}
        self.facts: tuple[PortFacts, ...] = ()
        self.links: dict[str, LinkState] = {}
        self.neighbours: dict[int, tuple[NeighbourMessage, int]] = {}  # by capture interface
        self.broadcast: deque[tuple[int, int, int, int]] = deque(maxlen=120)
        # (second, interface, n, the newest of them)
        self.copied: tuple[int, int] = (
            0,
            0,
        )  # time and packet near the newest copy by a mirror
        self.pauses: OrderedDict[int, OrderedDict[int, int]] = OrderedDict()  # MAC -> second -> n
        self.loops: deque[Looped] = deque(maxlen=LOOPS_KEPT)
        self.skipped = 0
        self.last_second = 0
        self._states: dict[str, tuple[str, int]] = {}
        self._by_mac: dict[int, str] = {}

    def set_facts(self, facts: tuple[PortFacts, ...]) -> None:
        """The ports as in the present site view."""
        self.facts = facts
        self._by_mac = {mac: f.name for f in facts for mac in f.macs}

    def port_of_mac(self, mac: int) -> str | None:
        """The appliance port that owns a MAC."""
        return self._by_mac.get(mac)

    def update(self, rows: Rows) -> None:
        """Process one tick's Ethernet pairs."""
        if not len(rows):
            return
        self.last_second = max(self.last_second, int(rows["second"].max()))
        every = (1 << 48) - 1
        flood = rows["dst_mac"] == np.uint64(every)
        if flood.any():
            sent = rows[flood]
            for interface in distinct(sent["interface"]).tolist():
                mine = sent[sent["interface"] == interface]
                for second in distinct(mine["second"]).tolist():
                    then = mine[mine["second"] == second]
                    newest = int(then["last_packet"].max())
                    count = int(then["packets"].sum())
                    self.broadcast.append((second, int(interface), count, newest))
        self._count_odd(rows)
        most = ROWS_A_TICK * len(distinct(rows["second"]))
        if len(rows) > most:
            self.skipped += len(rows) - most
            known = np.array(sorted(self._by_mac), np.uint64)
            weight = rows["bytes"].copy()
            weight[among(rows["src_mac"], known) | among(rows["dst_mac"], known)] += 1 << 50
            rows = rows[np.sort(np.argpartition(-weight, most)[:most])]
        for row in typed(rows, LinkSecond):
            time_ns = row.second * SECOND
            packets, size = row.packets - row.repeated, row.bytes - row.repeated_bytes
            if row.src_mac:
                mine = self._count(row.src_mac, time_ns)
                mine.packets_out += packets
                mine.bytes_out += size
                mine.frames += row.packets
                mine.tagged += row.tagged
                if mine.last_out_ns:
                    hush = (time_ns - mine.last_out_ns) // SECOND
                    mine.longest_hush_s = max(mine.longest_hush_s, hush)
                mine.spoke += time_ns > mine.last_out_ns
                mine.last_out_ns = max(mine.last_out_ns, time_ns)
                mine.unreturned = 0
                mine.sent(row.second, row.last_packet)
                if row.repeated:
                    self.copied = time_ns, row.last_packet
                mine.interfaces.add(row.interface)
                mine.add(row.second, size, 1)
            if row.dst_mac and not row.dst_mac >> 40 & 1:
                theirs = self._count(row.dst_mac, time_ns)
                theirs.packets_in += packets
                theirs.unreturned += packets
                theirs.bytes_in += size
                theirs.frames += row.packets
                theirs.tagged += row.tagged
                theirs.last_in_ns = max(theirs.last_in_ns, time_ns)
                theirs.interfaces.add(row.interface)
                theirs.add(row.second, size, 0)

    def _count_odd(self, rows: Rows) -> None:
        """Frames that stop a port, and frames that come round in a loop, by the second."""
        for row in typed(rows[rows["dst_mac"] == np.uint64(PAUSE_MAC)], LinkSecond):
            seconds = self.pauses.setdefault(row.src_mac, OrderedDict())
            seconds[row.second] = seconds.get(row.second, 0) + row.packets - row.repeated
            while len(seconds) > HISTORY_S:
                seconds.popitem(last=False)
            while len(self.pauses) > PAUSERS_MAX:
                self.pauses.popitem(last=False)
        for row in typed(rows[rows["looped"] > 0][:ROWS_A_TICK], LinkSecond):
            self.loops.append(
                Looped(row.second, row.interface, row.src_mac, row.looped, row.last_packet)
            )

    def _count(self, mac: int, time_ns: int) -> MacCount:
        count = self.macs.get(mac)
        if count is None:
            if len(self.macs) >= MACS_MAX:
                spare = [m for m in self.macs if m not in self._by_mac]
                spare.sort(key=lambda m: self.macs[m].last_ns)
                for old in spare[: MACS_MAX // 8]:
                    del self.macs[old]
            count = self.macs[mac] = MacCount(first_ns=time_ns)
        if time_ns > count.last_ns:
            if count.busy:
                gap = (time_ns - count.last_ns) // SECOND
                count.longest_gap_s = max(count.longest_gap_s, gap)
            count.busy += 1
            count.last_ns = time_ns
        return count

    def link(self, reading: LinkReading) -> bool:
        """Process one reading of a capture interface; true if its carrier changed."""
        state = self.links.get(reading.interface)
        if state is None:
            state = self.links[reading.interface] = LinkState(reading, reading)
            state.recent.append(reading)
            if reading.up is False:
                state.down_ns = reading.time_ns
            return False
        changed = reading.up is not None and reading.up != state.reading.up
        before, after = state.reading.carrier_changes, reading.carrier_changes
        if before is not None and after is not None:
            for _ in range(min(64, max(0, after - before))):
                state.flaps.append(reading.time_ns)
        elif changed:
            state.flaps.append(reading.time_ns)
        if reading.up is False and changed:
            state.down_ns = reading.time_ns
        elif reading.up:
            state.down_ns = 0
        state.reading = reading
        state.recent.append(reading)
        return changed

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Remember the switch and port at the other end of a capture interface."""
        if not isinstance(message, NeighbourMessage):
            return
        if message.ttl > 0:
            self.neighbours[message.interface] = (message, message.time_ns)
        else:
            self.neighbours.pop(message.interface, None)

    def interface_index(self, facts: PortFacts, names: tuple[str, ...]) -> int | None:
        """The capture interface that shows a port: by name, otherwise where its MACs were seen."""
        if facts.interface in names:
            return names.index(facts.interface)
        seen = {i for mac in facts.macs if mac in self.macs for i in self.macs[mac].interfaces}
        return seen.pop() if len(seen) == 1 else None

    def state_of(self, facts: PortFacts, now_ns: int, ours: bool, interface: str | None) -> str:
        """`up`, `down`, `silent` or `unknown`, from traffic and the link of the `interface` that
        shows the port: the appliance's own, or `ours`, which only shows whether we capture
        anything.
        """
        # on the appliance itself a port's interface has the port's name
        link = self.links.get(interface or ("" if ours else facts.name))
        if link is not None and not ours and link.reading.up is False:
            return "down"
        if link is not None and ours and (not link.reading.present or link.reading.up is False):
            return "unknown"
        last = max((self.macs[m].last_out_ns for m in facts.macs if m in self.macs), default=0)
        if last:
            return "up" if now_ns - last <= LIMITS.silent_ns else "silent"
        heard = any(m in self.macs for m in facts.macs)
        if heard:
            return "silent"
        if link is not None and not ours and link.reading.up:
            return "silent"
        return "unknown"

    def due_ns(self, now_ns: int, heard: Mapping[int, int]) -> int:
        """When the next port falls silent without further packets; `heard`: when MACs have sent
        since the newest rows.
        """
        lasts = (
            max(self.macs[m].last_out_ns, heard.get(m, 0))
            for f in self.facts
            for m in f.macs
            if m in self.macs
        )
        overs = (last + LIMITS.silent_ns + 1 for last in lasts)
        return min((over for over in overs if over > now_ns), default=NEVER)

    def records(
        self,
        now_ns: int,
        interfaces: tuple[str, ...],
        ours: bool,
        topology: str | None,
        history_s: int = HISTORY_S,
    ) -> tuple[PortRecord, ...]:
        """All ports. `ours`: the capture interfaces are not the appliance's; `history_s`: seconds
        of their rates.
        """
        return tuple(
            self._record(f, now_ns, interfaces, ours, topology, history_s) for f in self.facts
        )

    def _record(
        self,
        facts: PortFacts,
        now_ns: int,
        interfaces: tuple[str, ...],
        ours: bool,
        topology: str | None,
        history_s: int,
    ) -> PortRecord:
        counts = [self.macs[m] for m in sorted(facts.macs) if m in self.macs]
        index = self.interface_index(facts, interfaces)
        # the site file may name another machine's interfaces
        interface = interfaces[index] if index is not None else facts.interface
        state = self.state_of(facts, now_ns, ours, interface)
        if state == "silent" and topology == "single" and len(self.facts) > 1:
            state = "standby"
        known, since = self._states.get(facts.name, ("", 0))
        if known != state:
            since = now_ns if known else min((c.first_ns for c in counts), default=now_ns)
            self._states[facts.name] = (state, since)
        link = self.links.get(interface or "")
        reading = link.reading if link else None
        neighbour = self.neighbours.get(index) if index is not None else None
        history_in, history_out = self._history(counts, now_ns, history_s)
        mac = next(iter(sorted(facts.macs)), None)
        return PortRecord(
            name=facts.name,
            role=facts.role,
            mac=":".join(f"{mac >> s & 255:02x}" for s in (40, 32, 24, 16, 8, 0)) if mac else None,
            addresses=facts.addresses,
            interface=interface,
            packets_in=sum(c.packets_in for c in counts),
            packets_out=sum(c.packets_out for c in counts),
            bytes_in=sum(c.bytes_in for c in counts),
            bytes_out=sum(c.bytes_out for c in counts),
            rate_in_bps=_rate(history_in) if counts else None,
            rate_out_bps=_rate(history_out) if counts else None,
            peak_in_bps=float(max(c.peak_in for c in counts) * 8) if counts else None,
            peak_out_bps=float(max(c.peak_out for c in counts) * 8) if counts else None,
            state=state,
            state_since_ns=since,
            link_is_ours=ours and reading is not None,
            up=reading.up if reading else None,
            speed_mbps=reading.speed_mbps if reading else None,
            duplex=reading.duplex if reading else None,
            carrier_changes=reading.carrier_changes if reading else None,
            rx_errors=reading.rx_errors if reading else None,
            rx_dropped=reading.rx_dropped if reading else None,
            neighbour=neighbour_text(neighbour[0]) if neighbour else None,
            last_seen_ns=max((c.last_ns for c in counts), default=None),
            history_in_bps=history_in,
            history_out_bps=history_out,
        )

    @staticmethod
    def _history(
        counts: list[MacCount], now_ns: int, history_s: int
    ) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
        """Bits per second over the last seconds, newest (complete) second last."""
        last = now_ns // SECOND
        first = min((c.first_ns // SECOND for c in counts), default=last)
        sides: list[tuple[float | None, ...]] = []
        for side in (0, 1):
            sides.append(
                tuple(
                    None
                    if second < first
                    else float(
                        sum(c.seconds[second][side] for c in counts if second in c.seconds) * 8
                    )
                    for second in range(last - history_s, last)
                )
            )
        return sides[0], sides[1]


def _rate(history: tuple[float | None, ...]) -> float | None:
    return history[-1] if history else None


def switch_port(message: NeighbourMessage) -> str:
    """The switch port as its switch calls it. A description may be its long name, or what somebody
    wrote about it: then it does not say which port this is.
    """
    port, said = message.port or "", message.port_description or ""
    number = _NUMBER.search(port)
    if not port or not number or port.isdigit() or port.count(":") == 5:
        return said or port
    if not said or said.endswith(number.group()):
        return said or port
    return f"{port} ({said})"


def neighbour_text(message: NeighbourMessage) -> str:
    """`switch7 port Gi1/0/3`."""
    name = message.system_name or message.chassis
    return f"{name} port {switch_port(message)}"
