"""A port of the appliance that is no longer seen while its neighbours are.

On a mirror the cable itself is not visible: a dead port shows only by missing packets. This counts
if the port had a regular activity (time requests, lookups, a stream) and has stopped all of it,
while the appliance's other port, or frames that are still sent to this one, show that the network
is up. A port that merely has nothing to send is not silent. If a mirror shows only that port, there
is no other traffic to compare with: then it may be the mirror.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import pairwise

from msgspec import Struct, field

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import NEVER, SECOND, AnyMessage, ArpMessage, DnsMessage, NtpMessage
from panotui.state.ports import MacCount, PortFacts

LIMITS = thresholds().silence
HABITS_MAX = 256


class _Habit(Struct):
    """A repeated activity of a port."""

    times: deque[int] = field(default_factory=lambda: deque(maxlen=8))
    packet: int = 0
    text: str = ""

    def overdue_ns(self) -> int:
        """When it counts as missing for several of its intervals, if it is regular."""
        if len(self.times) < LIMITS.habit_times:
            return NEVER
        times = list(self.times)[-LIMITS.habit_times :]
        pauses = [b - a for a, b in pairwise(times)]
        # times are kept in steps of a second: shorter intervals cannot be known to be regular
        even = max(pauses) <= LIMITS.even_ratio * max(2 * SECOND, min(pauses))
        return times[-1] + int(LIMITS.overdue * max(pauses)) + 1 if even else NEVER

    def overdue(self, now_ns: int) -> bool:
        """It was regular, and has been missing for several of its intervals."""
        return now_ns >= self.overdue_ns()


class _Fault(Struct, frozen=True):
    """The longest reported silence of a port, and its longest pauses before that, in seconds."""

    longest_s: int
    hush_s: int  # in which it sent nothing
    pause_s: int  # in which it was not seen at all


class SilenceRule(Rule):
    """port-silent."""

    hears = frozenset((NtpMessage, DnsMessage, ArpMessage))
    wakes = frozenset(("links", "site"))

    def __init__(self) -> None:
        self._habits: OrderedDict[tuple[str, str], _Habit] = OrderedDict()
        self._faults: dict[str, _Fault] = {}  # port -> its longest silence that was a fault

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, NtpMessage):
            if message.mode == 3:
                self._did(message.src, f"asks {message.dst} for the time", message, facts)
        elif isinstance(message, DnsMessage):
            if not message.response and message.type == "A":
                self._did(message.client, f"looks up {message.name}", message, facts)
        elif isinstance(message, ArpMessage) and message.op == 1:
            self._did(message.sender_ip, f"asks for {message.target_ip}", message, facts)

    def _did(
        self, address: str, text: str, message: NtpMessage | DnsMessage | ArpMessage, facts: Facts
    ) -> None:
        port = facts.port_of(address)
        if port is None:
            return
        habit = self._habits.setdefault((port, text), _Habit())
        self._habits.move_to_end((port, text))
        while len(self._habits) > HABITS_MAX:
            self._habits.popitem(last=False)
        if not habit.times or message.time_ns - habit.times[-1] > SECOND:
            habit.times.append(message.time_ns)
        habit.packet, habit.text = message.packet, text

    def tick(self, facts: Facts) -> list[Observation]:
        if facts.view.vantage not in ("mirror", "file", None):
            return []  # on the appliance or the router the link state itself is known
        out = []
        counts = {port.name: _counts(port, facts) for port in facts.ports.facts}
        for port in facts.ports.facts:
            found = self._of_port(port, counts, facts)
            out.extend([found] if found else [])
        if out:
            self.due(facts.now_ns + SECOND)
        return out

    def steady_ns(self, facts: Facts) -> int:
        if facts.view.vantage not in ("mirror", "file", None):
            return NEVER
        return min((self._steady_ns(port, facts) for port in facts.ports.facts), default=NEVER)

    def _steady_ns(self, port: PortFacts, facts: Facts) -> int:
        mine, now = _counts(port, facts), facts.now_ns
        last_out = max((c.last_out_ns for c in mine), default=0)
        last_out = max(last_out, *(facts.heard.senders.get(mac, 0) for mac in port.macs), 0)
        over_ns = last_out + int(LIMITS.silence_s * SECOND)
        if not last_out or over_ns > now:
            return over_ns if last_out else NEVER
        # it is silent: the proof that this is a fault may come with time
        last_in = max((c.last_in_ns for c in mine), default=0)
        sent_to = last_in > last_out + SECOND and now - last_in < LIMITS.alive_ns
        if sent_to or self._stream_stopped(port, mine, facts):
            return now
        habits = (h.overdue_ns() for (name, _), h in self._habits.items() if name == port.name)
        return min(habits, default=NEVER)

    def _of_port(
        self, port: PortFacts, counts: dict[str, list[MacCount]], facts: Facts
    ) -> Observation | None:
        mine, now = counts[port.name], facts.now_ns
        last_out = max((c.last_out_ns for c in mine), default=0)
        last_in = max((c.last_in_ns for c in mine), default=0)
        busy = sum(c.busy for c in mine)
        still_sent_to = last_in > last_out + LIMITS.alive_ns and now - last_in < LIMITS.alive_ns
        still_sent_to &= sum(c.unreturned for c in mine) >= LIMITS.unreturned_packets
        # media over UDP need no answer: what has hardly sent has not stopped to
        still_sent_to &= sum(c.spoke for c in mine) >= LIMITS.busy_s
        hush = self._usual(port.name, max((c.longest_hush_s for c in mine), default=0), hush=True)
        pause = self._usual(port.name, max((c.longest_gap_s for c in mine), default=0), hush=False)
        gap = hush if still_sent_to else pause
        silent = now - (last_out if still_sent_to else max(last_out, last_in))
        if not last_out or busy < LIMITS.busy_s:
            return None
        if silent < max(LIMITS.silence_s, LIMITS.gaps * gap) * SECOND:
            return None
        others = [n for n, c in counts.items() if n != port.name and _alive(c, now)]
        if facts.view.facts.topology == "single" and others:
            return None  # a standby port, or one that has failed over: reported as such
        if not (others or still_sent_to):
            return None
        is_dark = not self._neighbours_live(port, mine, facts)
        overdue = [h for (name, _), h in self._habits.items() if name == port.name]
        overdue = [h for h in overdue if h.overdue(now)]
        if is_dark and not (others and overdue):
            return None
        if not (overdue or still_sent_to or self._stream_stopped(port, mine, facts)):
            return None
        known = self._faults.get(port.name)
        longest_s = (now - last_out) // SECOND + LIMITS.fault_ends_s
        if known is None or longest_s > known.longest_s:
            self._faults[port.name] = _Fault(longest_s, hush, pause)
        since = last_out if still_sent_to else max(last_out, last_in)
        detail = [f"control: port {name} is still seen" for name in others[:1]]
        detail += [f"it no longer {h.text}" for h in overdue[:3]]
        where = "from" if still_sent_to else "from or to"
        return Observation(
            "port-silent",
            port.name,
            {"port": port.name, "where": where, "client": port.name},
            tuple(evidence(h.times[-1], h.packet, f"the last time that it {h.text}")
                  for h in overdue[:4])
            or (evidence(since, max(c.last_packet for c in mine), "the last frame that it sent"),),
            since,
            since,
            # nothing is seen of its neighbours either: the cable, or the mirror
            "possible" if is_dark else None,
            detail=tuple(detail),
            text=f"Port {port.name} has gone silent, and so has everything beside it"
            if is_dark
            else None,
        )  # fmt: skip

    def _usual(self, port: str, longest_s: int, *, hush: bool) -> int:
        """The port's longest pause that is not a fault reported here: a cable that was pulled once
        is no habit.
        """
        fault = self._faults.get(port)
        if fault is None or longest_s > fault.longest_s:
            return longest_s
        return fault.hush_s if hush else fault.pause_s

    @staticmethod
    def _neighbours_live(port: PortFacts, mine: list[MacCount], facts: Facts) -> bool:
        """Other hosts are seen where the port was: the mirror itself still works."""
        where = {i for c in mine for i in c.interfaces}
        return any(
            facts.now_ns - count.last_out_ns < 2 * LIMITS.alive_ns and where & count.interfaces
            for mac, count in facts.ports.macs.items()
            if mac not in port.macs
        )

    @staticmethod
    def _stream_stopped(port: PortFacts, mine: list[MacCount], facts: Facts) -> bool:
        """A stream to the port has stopped, and nobody ended it."""
        return any(
            stream.dst in port.addresses
            and not int(stream.row.end)
            and stream.state not in ("paused", "ended")
            and int(stream.row.last_ns) - int(stream.row.first_ns) > LIMITS.stream_s * SECOND
            for streams in facts.camera_streams.values()
            for stream in streams
        )


def _counts(port: PortFacts, facts: Facts) -> list[MacCount]:
    return [facts.ports.macs[m] for m in port.macs if m in facts.ports.macs]


def _alive(counts: list[MacCount], now_ns: int) -> bool:
    return any(now_ns - c.last_out_ns < LIMITS.alive_ns for c in counts)
