"""The inputs of rules: the site's books at a tick, and evidence.

The engine fills one `Facts` and passes it to every rule; a rule returns `Observation`s: the
conditions that hold now. Rules never create findings themselves and never read a clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
from msgspec import Struct, field

from panotui.diagnosis.thresholds import thresholds
from panotui.model import (
    I64,
    NEVER,
    SECOND,
    AnyMessage,
    Confidence,
    EvidenceRecord,
    Heard,
    Interface,
    MeterCounters,
    PortRecord,
    Severity,
    Site,
    ViolationRecord,
)
from panotui.model.flow_rows import FlowColumns
from panotui.policy.rules import Policy
from panotui.site.names import NameBook
from panotui.site.view import SiteView
from panotui.state.beyond import BeyondBook
from panotui.state.blindness import Blindness
from panotui.state.cameras import CameraBook
from panotui.state.claims import ClaimBook
from panotui.state.clock import ClockBook
from panotui.state.connects import ConnectBook
from panotui.state.endpoints import EndpointBook
from panotui.state.flows.book import FlowBook, flow_key, flow_text_id
from panotui.state.leases import LeaseBook
from panotui.state.lookups import LookupBook
from panotui.state.ports import PortBook
from panotui.state.resolvers import ResolverBook
from panotui.state.streams import StreamBook, StreamState
from panotui.state.visibility import Visibility

LIMITS = thresholds().common
VANTAGE_LIMITS = thresholds().vantage
SIGHT_LIMITS = thresholds().sight


NOBODY = Heard({}, {})


class Facts(Struct):
    """The state that rules read; the same object every tick, with `now_ns` moved on."""

    site: Site
    view: SiteView
    policy: Policy
    names: NameBook
    flows: FlowBook
    ports: PortBook
    streams: StreamBook
    cameras: CameraBook
    endpoints: EndpointBook
    connects: ConnectBook
    resolvers: ResolverBook
    clock: ClockBook
    leases: LeaseBook
    claims: ClaimBook
    lookups: LookupBook
    beyond: BeyondBook
    visibility: Visibility = field(default_factory=Visibility)
    blindness: Blindness = field(default_factory=Blindness)
    now_ns: int = 0
    before_ns: int = 0  # the tick before, whether it was looked at or not
    started_ns: int = 0
    final: bool = False  # the input has ended: nothing more will be learnt
    meter: int = 0  # meter of the messages being observed
    live: bool = False  # link readings and the machine's interfaces are meaningful
    one_way: bool = False  # no host is seen in both directions
    plain: tuple[int, ...] = ()  # capture interfaces that are plain switch ports
    woken: frozenset[str] = frozenset()  # changes in this tick, see `Rule.wakes`
    capture_lossy: bool = False  # packets were missed recently: absence proves less
    cameras_rest: bool = False  # none has sent a message or a picture for long
    clock_ahead_ns: int = 0  # this machine's clock minus packet time, if it was set meanwhile
    ring_dropped: int = 0
    interface_dropped: int = 0
    interfaces: tuple[str, ...] = ()
    links: dict[int, Sequence[Interface]] = field(default_factory=dict)  # by meter
    counters: MeterCounters = field(default_factory=MeterCounters)
    # seconds before this tick without anything new, which had no tick: see `Delta.passed`
    passed: tuple[tuple[int, int], ...] = ()
    lasting: bool = False  # see `Delta.lasting`
    heard: Heard = NOBODY  # since this tick
    changed: I64 | None = None  # slots of `flows` that changed in this tick
    port_records: tuple[PortRecord, ...] = ()
    violations: tuple[ViolationRecord, ...] = ()
    # addresses to which forged answers lead (`forged`): what fails there says nothing of the way
    forged: frozenset[str] = frozenset()
    camera_streams: dict[str, list[StreamState]] = field(default_factory=dict)
    _columns: tuple[I64, I64, FlowColumns] | None = None  # of `changed`

    @property
    def nobody(self) -> bool:
        """No host here is the appliance, for all that is seen: nothing is judged as its own."""
        seen = (
            self.counters.packets >= VANTAGE_LIMITS.packets
            or len(self.visibility.hosts) > VANTAGE_LIMITS.hosts
        )
        waited = self.now_ns - self.started_ns >= SIGHT_LIMITS.appliance_ns
        return seen and waited and not self.view.facts.appliance_known

    @property
    def lacks(self) -> str:
        """The traffic that is not copied here, in words; empty if none is known to be missing."""
        if self.one_way:
            return "one direction only is copied here"
        plain = bool(self.plain) and len(self.plain) == len(self.visibility.interfaces)
        return "only broadcasts are copied here" if plain else ""

    def changed_flows(self) -> tuple[I64, FlowColumns]:
        """(slots, columns) of the live flows that changed in this tick; shared by all rules."""
        changed = self.changed
        if changed is None:
            changed = np.zeros(0, np.int64)
        if self._columns is None or self._columns[0] is not changed:
            slots = changed[self.flows.live[changed]]
            self._columns = (changed, slots, FlowColumns(self.flows.rows, slots))
        return self._columns[1:]

    def forget_changed(self) -> None:
        """The tick is over: drop the shared columns of changed flows."""
        self.changed = self._columns = None

    def key_of(self, message: AnyMessage) -> int:
        """The engine-wide key of a message's flow."""
        return flow_key(self.meter, max(0, message.flow))

    def flow_id(self, message: AnyMessage) -> str | None:
        """The text id of a message's flow."""
        return flow_text_id(self.key_of(message)) if message.flow >= 0 else None

    def port_of(self, address: str) -> str | None:
        """The appliance port that owns an address."""
        return self.view.facts.appliance_addresses.get(address)

    def is_appliance(self, address: str) -> bool:
        """The address is the appliance's; anyone's while the appliance is unknown."""
        known = self.view.facts.appliance_addresses
        return address in known or not known

    def host_of(self, client: str, server: str) -> str:
        """The best name for a server: from answers to this client, else any known name."""
        also = self.view.facts.askers(client)
        found = self.names.answers_for(client, server, self.now_ns, also)
        if found:
            return found[0]
        named = self.names.address_names(server)
        return named[0].name if named and named[0].source != "range" else server

    def camera_name(self, address: str) -> str:
        """The name of the camera at an address."""
        camera = self.cameras.get(address)
        return camera.name if camera else address

    def interface_name(self, index: int) -> str:
        """The name of a capture interface."""
        return self.interfaces[index] if 0 <= index < len(self.interfaces) else f"#{index}"

    def port_at(self, interface: int) -> str | None:
        """The appliance port shown by a capture interface, if it is just one."""
        name = self.interface_name(interface)
        found = [p.name for p in self.port_records if p.interface == name]
        return found[0] if len(found) == 1 else None


class Observation(Struct, frozen=True):
    """A condition that holds now."""

    id: str  # of findings.toml
    subject: str  # its subject: "eth1", "camera yard", a host name
    values: dict[str, str] = field(default_factory=dict)
    evidence: tuple[EvidenceRecord, ...] = ()
    first_ns: int = 0  # since when; 0: now
    last_ns: int = 0  # last evidence; 0: now
    confidence: Confidence | None = None
    severity: Severity | None = None
    detail: tuple[str, ...] = ()  # checks, and where to look
    action: str | None = None  # replaces the catalogue's
    text: str | None = None  # replaces the catalogue's
    flow: str | None = None
    stream: str | None = None
    camera: str | None = None
    violation: str | None = None  # id of the violation that it explains
    key: str | None = None  # key among observations of its id, if it is not the subject
    asker: str | None = None  # whose unicast must be seen: a port, MAC or address; else the client
    # whether the client retried soon, as without an answer, independent of the vantage
    retried: bool | None = None
    unheard: bool = False  # nothing at all came back, so that no contents need be read to say so
    blocks: tuple[str, ...] = ()  # tags besides those of its table
    relies: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()  # `life_key`s of the observations with this cause
    # severity measure, for findings that are reported at their worst when over; 0: as it was last
    weight: float = 0.0
    missing: float = 0.0  # share of packets or pictures that seem to be missing; 0: not measured
    replaces: tuple[str, ...] = ()  # `life_key`s of observations that turned out to be wrong

    @property
    def life_key(self) -> str:
        """Identifies this finding among all others."""
        return f"{self.id}|{self.key or self.subject}"


class Rule(ABC):
    """A rule: it learns from messages and returns at each tick the conditions that hold. Bounded.

    `hears` lists the types of messages that it learns from. `wakes` lists the changes that affect
    its result: "flows", "streams", "links", "ports", "site", "endpoints", "violations",
    "visibility", "loss", "resolvers", "packets"; None: it runs every second. A message that it
    hears also wakes it, unless `observe` returns False, and so does the time `due_ns` set in
    `tick`. While it sleeps, its last observations stay valid.
    """

    hears: ClassVar[frozenset[type]] = frozenset()
    wakes: ClassVar[frozenset[str] | None] = None
    # runs each second only if cameras or streams are known, and not all are at rest
    of_cameras: ClassVar[bool] = False
    # findings that do not change, except for numbers in their sentences, while streams merely
    # continue
    lasting: ClassVar[frozenset[str]] = frozenset()
    due_ns: int = 0

    def due(self, time_ns: int) -> None:
        """Run again at this time; the earliest of several counts."""
        if not self.due_ns or time_ns < self.due_ns:
            self.due_ns = time_ns

    def due_later(self, time_ns: int, facts: Facts) -> None:
        """Run again at this time, unless it has passed."""
        if time_ns > facts.now_ns:
            self.due(time_ns)

    def steady_ns(self, facts: Facts) -> int:
        """Until when its result stays the same while known connections and streams merely continue
        (see `cameras.going_on`): with rows of flows, streams and links in each second, but nothing
        new except more packets. `due` applies as well.
        """
        return NEVER

    def calm(self, facts: Facts) -> bool:
        """Whether more of what is usual (connections, lookups and time requests that work, as they
        did before) cannot lead it to an observation: it may be told of them later.
        """
        return True

    def observe(self, message: AnyMessage, facts: Facts) -> bool | None:
        """Learn from one message; False: do not wake."""
        return None

    @abstractmethod
    def tick(self, facts: Facts) -> list[Observation]:
        """The conditions that hold at `facts.now_ns`."""


def clock_text(time_ns: int) -> str:
    """A time of day in a sentence: `14:02:11 UTC`."""
    try:
        return datetime.fromtimestamp(time_ns // SECOND, UTC).strftime("%H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


def day_text(time_ns: int) -> str:
    """A day in a sentence: `2026-03-01`."""
    try:
        return datetime.fromtimestamp(time_ns // SECOND, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return "an unknown day"


def evidence(time_ns: int, packet: int, text: str) -> EvidenceRecord:
    """One piece of evidence; packet 0 means that none can be named."""
    return EvidenceRecord(time_ns=time_ns, packet=packet or None, text=text)
