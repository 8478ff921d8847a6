"""What can be seen from this vantage: for each interface and host, which of their frames pass
here.

Link rows, changed flows and the meters' counters come in; the book answers one kind of question:
would an answer to this host have been seen? Absence proves something only if it would. A plain
switch port shows only broadcasts; a mirror of one direction shows either the frames to a host or
those from it; a mirror of some ports shows some hosts; a short snap length hides contents; and
packets that this tool missed were not seen either.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
from msgspec import Struct, field

from panotui.model import (
    I64,
    NEVER,
    SECOND,
    AnyMessage,
    ArpMessage,
    Bool,
    DhcpMessage,
    MeterCounters,
    Rows,
    mac_value,
)
from panotui.model.arrays import among, distinct
from panotui.model.flow_rows import FlowColumns
from panotui.state.blindness import Blindness
from panotui.state.mirror_share import MirrorShare
from panotui.state.thresholds import thresholds
from panotui.state.turning import Host, Turning

HOSTS_MAX = 4096
PAIRS_MAX = 256  # unicast pairs of an interface that are remembered individually
PROOFS_SHOWN = 4
LIMITS = thresholds().visibility
ROWS_A_TICK = 512

BOTH, TOWARDS, SENT, SPREAD, NOTHING = "both", "towards", "sent", "spread", "nothing"
# BOTH     unicast towards the host and from it     TOWARDS  only what goes to it
# SENT     only what it sends                       SPREAD   only its broadcasts
_NO_ADDRESS = ("0.", "169.254.")
_ANSWERING_PORTS = (53, 123)  # an answer from there proves that a query was sent


class Seen(Struct):
    """Frames of one MAC address at one interface."""

    towards: int = 0  # unicast
    sent: int = 0  # unicast
    spread: int = 0  # broadcast and multicast
    since_ns: int = 0
    # (time, packet) of them
    proof_packets: dict[int, tuple[int, int]] = field(default_factory=dict)
    one_sided: dict[int, int] = field(default_factory=dict)  # flow -> weight: other side unseen

    @property
    def status(self) -> str:
        """BOTH, TOWARDS, SENT, SPREAD or NOTHING."""
        if self.towards and self.sent:
            return BOTH
        if self.towards or self.sent:
            return TOWARDS if self.towards else SENT
        return SPREAD if self.spread else NOTHING

    @property
    def proofs(self) -> int:
        """How strongly its conversations prove that their other side is not copied here."""
        return sum(self.one_sided.values())


class _Interface(Struct):
    """All frames of one interface."""

    since_ns: int
    spread: int = 0
    newest: tuple[int, int] = (0, 0)  # time and packet of the newest broadcast
    speakers: set[int] = field(default_factory=set)  # hosts that send broadcasts
    pairs: set[tuple[int, int]] = field(default_factory=set)  # unicast (src, dst)
    common: set[int] | None = None  # MACs that take part in every unicast frame; None: none seen


class Visibility:
    """See the module. MACs are integers as in LINK_SECOND_DTYPE."""

    hears: ClassVar[frozenset[type]] = frozenset((DhcpMessage, ArpMessage))

    def __init__(self) -> None:
        self.leases_seen = False  # a DHCP server's answer was seen, by broadcast or not
        # (interface, MAC) of hosts with an address that request others, so that they will exchange
        # unicast
        self._talkers: set[tuple[int, int]] = set()
        self._elsewhere: set[int] = set()  # interfaces where an unseen answer was used
        self.hosts: OrderedDict[tuple[int, int], Seen] = OrderedDict()  # (interface, MAC)
        self.interfaces: dict[int, _Interface] = {}
        self.own: frozenset[int] = frozenset()  # MACs of this machine
        self.beside = True  # we are beside the appliance, on a mirror or in a file
        self.evicted = 0
        self.version = 0  # rises when a result of this book may have changed
        self._unaddressed = Seen()  # conversations without Ethernet addresses
        self.only_tcp = True  # nothing else was seen: perhaps a filter has taken it out
        # of every TCP conversation only its opening and its end: a filter has left the data out
        self.bare = False
        self._has_data = False  # payload of some TCP conversation was captured
        self._without: set[int] = set()  # flows of which some was exchanged and none was captured
        self._both_ways = False  # some TCP conversation was seen in both directions
        self._all_one_way = False  # result for that version and input
        self._judged_at: tuple[int, bool] | None = None
        self._settled: set[tuple[int, int, int]] = set()  # (interface, src, dst): nothing new
        self._missed: deque[tuple[int, int, int]] = deque(maxlen=130)  # time, missed, packets
        self.snapped = False
        self.missed_share = 0.0
        self.turning = Turning()
        self.mirror = MirrorShare()
        self._turned_ns = 0  # when the vantage last turned: conversations of before prove nothing
        self._acked: dict[tuple[int, str], int] = {}  # (flow, direction): bytes, unseen

    # ------------------------------------------------------------------ what comes in

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Process a message that proves what can be seen."""
        self.only_tcp = False
        if isinstance(message, DhcpMessage) and message.type in ("offer", "ack", "nak"):
            self.version += not self.leases_seen
            self.leases_seen = True
        elif isinstance(message, DhcpMessage):
            if message.type == "request" and message.server_id and not self.leases_seen:
                self.version += message.interface not in self._elsewhere
                self._elsewhere.add(message.interface)
        elif isinstance(message, ArpMessage) and message.op == 2:
            self.turning.observe(message)
        elif isinstance(message, ArpMessage) and message.op == 1:
            mine, target = message.sender_ip, message.target_ip
            if mine != target and not mine.startswith(_NO_ADDRESS):
                self.turning.observe(message)
                key = (message.interface, mac_value(message.sender_mac))
                if key not in self._talkers and len(self._talkers) < HOSTS_MAX:
                    self._talkers.add(key)
                    self.version += 1

    def links(self, rows: Rows) -> None:
        """Rows of LINK_SECOND_DTYPE."""
        if not len(rows):
            return
        self.turning.links(rows, self.own if self.beside else frozenset())
        chosen = rows[: ROWS_A_TICK * len(distinct(rows["second"]))]
        fields = ("interface", "src_mac", "dst_mac", "second", "packets", "last_packet")
        for interface, src, dst, second, packets, newest in zip(
            *(chosen[name].tolist() for name in fields), strict=True
        ):
            if (interface, src, dst) not in self._settled:
                self._frame(interface, src, dst, second * SECOND, packets, newest)

    def _frame(
        self, interface: int, src: int, dst: int, time_ns: int, packets: int, newest: int
    ) -> None:
        if self.beside and (src in self.own or dst in self.own):
            return  # this machine's own traffic says nothing about the mirror
        if not src:
            return
        at = self.interfaces.get(interface)
        if at is None:
            at = self.interfaces[interface] = _Interface(time_ns)
        sender = self._host(interface, src, time_ns)
        before = sender.status
        if _is_group(dst):
            at.spread += packets
            at.newest = time_ns, newest
            if len(at.speakers) < PAIRS_MAX:
                at.speakers.add(src)
            sender.spread += packets
        else:
            receiver = self._host(interface, dst, time_ns)
            was = receiver.status
            sender.sent += packets
            receiver.towards += packets
            at.common = {src, dst} if at.common is None else at.common & {src, dst}
            if len(at.pairs) < PAIRS_MAX:
                at.pairs.add((src, dst))
            self.version += was != receiver.status
            if receiver.status == BOTH == sender.status and not at.common:
                if len(self._settled) >= HOSTS_MAX:
                    self._settled.clear()
                self._settled.add((interface, src, dst))
        self.version += before != sender.status

    def _host(self, interface: int, mac: int, time_ns: int) -> Seen:
        key = (interface, mac)
        seen = self.hosts.get(key)
        if seen is None:
            if len(self.hosts) >= HOSTS_MAX:
                gone, _ = self.hosts.popitem(last=False)
                self._settled = {s for s in self._settled if s[0] != gone[0] or gone[1] not in s}
                self.evicted += 1
            seen = self.hosts[key] = Seen(since_ns=time_ns)
        return seen

    def flows(self, slots: I64, rows: FlowColumns) -> None:
        """Changed flows: conversations seen in one direction only."""
        if not len(slots):
            return
        tcp, out, back = rows["protocol"] == 6, rows["packets_out"], rows["packets_in"]
        self.only_tcp &= bool(tcp.all())
        self._data(slots, rows, tcp)
        self._closings(rows, tcp)
        only_out, only_in = (back == 0) & (out > 0), (out == 0) & (back > 0)
        # what is sent again and again is sent to nobody
        again = rows["retransmits_out"] + rows["retransmits_in"]
        again += rows["keep_alive_out"] + rows["keep_alive_in"]
        fresh = out + back - again
        goes_on = fresh >= LIMITS.packets
        # a host that acknowledges has received something
        heard = out > rows["syn_out"] + rows["rst_out"]
        said = back > rows["rst_in"]
        proof = tcp & (
            (only_out & heard & (goes_on | (rows["syn_out"] > 0)))
            | (only_in & said & (goes_on | (rows["syn_in"] > 0)))
        )
        proof |= (rows["protocol"] == 17) & only_in & among(rows["dport"], _ANSWERING_PORTS)
        self._both_ways |= bool(
            (tcp & (out > 0) & (back > 0) & (rows["first_ns"] > self._turned_ns)).any()
        )
        self.mirror.update(slots, rows)
        if self.turning.doubts:
            self._acknowledged(slots, rows)
        else:
            self._acked.clear()
        for i in np.flatnonzero(proof)[:64].tolist():
            side = "in" if only_in[i] else "out"
            # a handshake with data after it: the other side has sent, unseen
            whole = rows.column(f"syn_{side}")[i] and rows.column(f"payload_{side}")[i]
            weight = LIMITS.proofs if whole or fresh[i] >= LIMITS.certain_packets else 1
            interface = int(rows.column(f"interface_{side}")[i])
            for end in ("src", "dst"):
                mac = int(rows.column(f"mac_{side}_{end}")[i])
                self._prove((interface, mac), end, int(rows["first_ns"][i]), weight)
                seen = self.hosts.get((interface, mac)) if mac else self._unaddressed
                if seen is not None and len(seen.one_sided) < 64:
                    before = seen.proofs
                    seen.one_sided[int(slots[i])] = weight
                    proof = int(rows["first_ns"][i]), int(rows["first_packet"][i])
                    if len(seen.proof_packets) < PROOFS_SHOWN:
                        seen.proof_packets.setdefault(int(slots[i]), proof)
                    self.version += before < LIMITS.proofs <= seen.proofs

    def _closings(self, rows: FlowColumns, tcp: Bool) -> None:
        """Who has closed a TCP conversation, at each interface."""
        ends = rows["fin_out"] + rows["fin_in"] + rows["rst_out"] + rows["rst_in"]
        closed = np.flatnonzero(tcp & (ends > 0))
        if not len(closed):
            return
        seconds = (rows["last_ns"][closed] // SECOND).tolist()
        for side in ("out", "in"):
            fields = (f"interface_{side}", f"mac_{side}_src", f"mac_{side}_dst")
            columns = (rows.column(name)[closed].tolist() for name in fields)
            for interface, src, dst, second in set(zip(*columns, seconds, strict=True)):
                self.turning.closed(interface, src, second)
                self.turning.closed(interface, dst, second)

    def _prove(self, key: Host, end: str, first_ns: int, weight: int) -> None:
        """A conversation of which one side is seen, with this host at one end of it."""
        missing = self.turning.missing_of(key)
        way = TOWARDS if end == "src" else SENT
        if missing is not None and missing[0] == way and first_ns > missing[1] * SECOND:
            self.turning.prove(key, weight)

    def _acknowledged(self, slots: I64, rows: FlowColumns) -> None:
        """Known conversations whose one side goes on to acknowledge what is no longer seen."""
        for side in ("out", "in"):
            counts = rows.column(f"unseen_{side}")
            for i in np.flatnonzero(counts)[:64].tolist():
                key = (int(slots[i]), side)
                before, self._acked[key] = self._acked.get(key), int(counts[i])
                if before is None or before >= counts[i]:
                    continue
                interface = int(rows.column(f"interface_{side}")[i])
                for end, way in (("src", SENT), ("dst", TOWARDS)):
                    host = (interface, int(rows.column(f"mac_{side}_{end}")[i]))
                    missing = self.turning.missing_of(host)
                    if missing is not None and missing[0] == way:
                        self.turning.prove(host, 1)
        if len(self._acked) > HOSTS_MAX:
            self._acked.clear()

    def blind_ns(self) -> tuple[int, int]:
        """The newest time, now over, in which a mirror showed broadcasts only."""
        since, until = self.turning.blind
        return since * SECOND, until * SECOND

    def note_blind(self, blindness: Blindness, meter: int, now_ns: int) -> None:
        """What a meter missed while a mirror showed broadcasts only, as soon as that is over."""
        since_ns, until_ns = self.blind_ns()
        if now_ns - until_ns <= LIMITS.back_ns:
            blindness.note(meter, since_ns, until_ns)

    def turn(self, now_ns: int) -> None:
        """Forget what an interface or a host showed before the vantage turned."""
        plain, hosts = self.turning.judge(now_ns)
        for interface in plain:
            since_ns = self.turning.plain[interface] * SECOND
            self._forget(interface, None)
            if interface in self.interfaces:
                before = self.interfaces[interface]
                speakers = self.turning.speakers(interface)
                self.interfaces[interface] = _Interface(
                    since_ns, len(speakers), before.newest, speakers
                )
            for (at, _), seen in self.hosts.items():
                if at == interface:
                    seen.towards = seen.sent = 0
        for key, missing in hosts:
            self._forget(key[0], key[1])
            if key in self.hosts:
                setattr(self.hosts[key], missing, 0)
        if plain or hosts:
            self._both_ways, self._turned_ns = False, now_ns
            self.version += 1

    def _forget(self, interface: int, mac: int | None) -> None:
        """Look at all frames of an interface, or of one host there, anew."""
        self._settled = {
            s for s in self._settled if s[0] != interface or (mac is not None and mac not in s[1:])
        }

    def turned_ns(self, macs: Iterable[int], ways: Iterable[str] = (TOWARDS, SENT)) -> int | None:
        """Since when frames of a host with these MACs no longer pass here in all of these
        directions, wherever they were seen; None if they still do. Without MACs: of any host.
        """
        turning = self.turning
        if not (turning.plain or turning.one_way):
            return None
        wanted, asked = frozenset(macs), frozenset(ways)
        since: list[int] = []
        for key in self.hosts:
            if wanted and key[1] not in wanted:
                continue
            second = turning.plain.get(key[0])
            way, at = turning.one_way.get(key, ("", 0))
            if second is None and way in asked:
                second = at
            if second is None and wanted:
                return None
            if second is not None:
                since.append(second * SECOND)
        return max(since, default=None)

    def _data(self, slots: I64, rows: FlowColumns, tcp: Bool) -> None:
        """Whether conversations without their data are all there is."""
        if self._has_data:
            return
        seen = rows["payload_out"] + rows["payload_in"] > 0
        self._has_data = bool((tcp & seen).any())
        if len(self._without) < LIMITS.bare_flows:
            acknowledged = rows["unseen_out"] + rows["unseen_in"] > 0
            self._without.update(slots[tcp & acknowledged & ~seen][: LIMITS.bare_flows].tolist())
        was, self.bare = self.bare, not self._has_data and len(self._without) >= LIMITS.bare_flows
        self.version += was != self.bare

    def counters(self, counters: MeterCounters, missed: int, now_ns: int) -> None:
        """Cumulative counters of the meters, and packets missed so far by this tool."""
        packets = counters.packets
        self._missed.append((now_ns, missed, packets))
        first = next(
            (m for m in self._missed if now_ns - m[0] <= LIMITS.missed_ns), self._missed[-1]
        )
        lost, seen = missed - first[1], packets - first[2]
        if len(self._missed) == 1:
            lost, seen = missed, packets
        self.missed_share = lost / (lost + seen) if lost > 0 else 0.0
        # the snap length is the same for the whole capture; a few odd frames are no short capture
        cut = counters.snapped
        was, self.snapped = (
            self.snapped,
            cut >= LIMITS.snapped_packets and cut > LIMITS.snapped_share * packets,
        )
        self.version += was != self.snapped

    # ------------------------------------------------------------------ queries

    @property
    def unread(self) -> bool:
        """Names and contents are not in the capture."""
        return self.snapped or self.bare

    def status(self, macs: Iterable[int], interface: int | None = None) -> str:
        """What is seen of a host with these MACs; at one interface, or at any."""
        wanted = frozenset(macs)
        total = Seen()
        for (at, mac), seen in self.hosts.items():
            if mac in wanted and interface in (None, at):
                total.towards += seen.towards
                total.sent += seen.sent
                total.spread += seen.spread
        return total.status

    def one_way(self, macs: Iterable[int]) -> str | None:
        """TOWARDS or SENT if conversations of a host are seen only in this direction."""
        wanted = frozenset(macs)
        turned = self.turned_ns(wanted) is not None
        proofs = sum(s.proofs for (_, mac), s in self.hosts.items() if mac in wanted)
        if proofs < LIMITS.proofs and not turned:
            return None
        status = self.status(wanted)
        return status if status in (TOWARDS, SENT) else None

    def unseen(self, macs: Iterable[int]) -> bool:
        """Frames of a host, in one direction at least, do not pass here, or no longer do."""
        return self.one_way(macs) is not None or self.turned_ns(macs) is not None

    def one_way_flows(self, macs: Iterable[int]) -> int:
        """The number of conversations of a host that were seen in one direction."""
        wanted = frozenset(macs)
        counted = sum(len(s.one_sided) for (_, mac), s in self.hosts.items() if mac in wanted)
        return counted or sum(key[1] in wanted for key in self.turning.one_way)

    def all_one_way(self) -> bool:
        """Conversations are seen in one direction, and no host in both, at any interface."""
        known = (self.version, self._both_ways)
        if self._judged_at != known:  # called each second, changes rarely
            self._judged_at = known
            self._all_one_way = not (
                self._both_ways or any(seen.status == BOTH for seen in self.hosts.values())
            ) and (
                bool(self.turning.one_way)
                or any(s.proofs >= LIMITS.proofs for s in (*self.hosts.values(), self._unaddressed))
            )
        return self._all_one_way

    def one_sided(self) -> int:
        """The largest number of one-way conversations of a single host."""
        return max(len(s.one_sided) for s in (*self.hosts.values(), self._unaddressed))

    def plain(self, now_ns: int, appliance: Iterable[int]) -> list[int]:
        """Interfaces that show only broadcasts and at most one foreign host's own traffic: plain
        switch ports. `appliance`: its MACs.
        """
        if not self.beside:
            return []
        ours = frozenset(appliance)
        out = []
        for interface, at in self.interfaces.items():
            if interface in self.turning.plain:
                out.append(interface)
                continue
            if now_ns - at.since_ns < LIMITS.plain_ns or at.spread < 2:
                continue
            if not self._would_talk(interface, ours):
                continue
            if at.common is None:
                out.append(interface)
            elif ours and at.common and len(at.pairs) < PAIRS_MAX:
                touched = {mac for pair in at.pairs for mac in pair}
                if not touched & ours:
                    out.append(interface)
        return out

    def due_ns(self, now_ns: int, heard: Mapping[int, int]) -> int:
        """When the next interface has been watched long enough to be called a plain port; `heard`:
        when interfaces have shown unicast since the newest rows.
        """
        judged = (at.since_ns + LIMITS.plain_ns for at in self.interfaces.values())
        first = min((time_ns for time_ns in judged if time_ns > now_ns), default=NEVER)
        return min(first, self.turning.due_ns(now_ns, heard))

    def _would_talk(self, interface: int, ours: frozenset[int]) -> bool:
        """Unicast was to be expected there, so that its absence proves something: a host without an
        address has no peers.
        """
        if interface in self._elsewhere:
            return True
        if not ours:
            return any(at == interface for at, _ in self._talkers)
        here = {mac for at, mac in self.hosts if at == interface and mac in ours}
        return not here or any((interface, mac) in self._talkers for mac in here)

    def only_spread(self) -> bool:
        """No unicast frame was seen at all: nothing shows yet that this is a mirror."""
        return self.beside and all(at.common is None for at in self.interfaces.values())

    def proofs_of(self, macs: Iterable[int]) -> tuple[tuple[int, int], ...]:
        """(time, packet) at the start of conversations seen in one direction; of all hosts if none
        is given.
        """
        wanted = frozenset(macs)
        found = {
            proof
            for (_, mac), s in self.hosts.items()
            if mac in wanted or not wanted
            for proof in s.proof_packets.values()
        }
        found |= set(self._unaddressed.proof_packets.values()) if not wanted else set()
        return tuple(sorted(found)[:PROOFS_SHOWN])


def _is_group(mac: int) -> bool:
    return bool(mac >> 40 & 1)
