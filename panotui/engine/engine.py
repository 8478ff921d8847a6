"""The only owner of the site's state: deltas and link readings in, snapshots and events out.

`Engine(site, settings)` takes the meters' deltas in time order, keeps the books of `state/`, asks
`policy/` for verdicts and `diagnosis/` for findings, and provides `snapshot()` (immutable, cheap
enough for a few calls per second), pages and records of flows, and the news since the last call
(`drain_events`, `drain_changed_flows`). Each message goes to the books that hear its type. It reads
no clock: all time is packet time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np

from panotui.diagnosis import all_rules
from panotui.diagnosis.diagnosis import Diagnosis
from panotui.diagnosis.facts import NOBODY, Facts
from panotui.diagnosis.worst import also_with_troubles, cut_at, with_troubles
from panotui.engine.events import Events
from panotui.engine.limits import limits_of
from panotui.engine.numbering import numbered
from panotui.engine.passing import NO_FLOWS, Passing, is_empty
from panotui.engine.retiring import Retiring
from panotui.engine.settings import EngineSettings
from panotui.engine.usual import Usual
from panotui.model import (
    I64,
    SECOND,
    SET_BACK_NS,
    U64,
    AnyMessage,
    Bool,
    Delta,
    DeviceRecord,
    Earlier,
    EventRecord,
    FlowRecord,
    Heard,
    LinkReading,
    MeterCounters,
    PortRecord,
    RecorderRecord,
    Rows,
    Site,
    Snapshot,
    SourceCounters,
    SourceRecord,
    mac_value,
)
from panotui.model.arrays import distinct
from panotui.model.flow_rows import FlowRows
from panotui.model.foreseen import Foreseen
from panotui.model.page import Page
from panotui.policy.rules import Policy
from panotui.site.facts import Who
from panotui.site.names import NameBook
from panotui.site.view import SiteView
from panotui.state.beyond import BeyondBook
from panotui.state.blindness import Blindness
from panotui.state.cameras import CameraBook
from panotui.state.claims import ClaimBook
from panotui.state.clock import ClockBook
from panotui.state.connects import ConnectBook
from panotui.state.devices import DeviceBook
from panotui.state.endpoints import EndpointBook
from panotui.state.flows.book import VIOLATION, FlowBook, FlowListing, flow_key_of
from panotui.state.hearing import Hearing
from panotui.state.leases import LeaseBook
from panotui.state.lookups import LookupBook
from panotui.state.marks import Marks, counts_of, is_well, open_and_known
from panotui.state.ports import HISTORY_S, PortBook, PortFacts
from panotui.state.resolvers import ResolverBook
from panotui.state.rungs import ladder_of
from panotui.state.standing import all_works, seen_from_here
from panotui.state.streams import StreamBook, StreamState
from panotui.state.tracking import ConnectionTracking
from panotui.state.verdicts import VerdictBook
from panotui.state.visibility import Visibility

RULED_S = 10  # seconds of a port's rates that rules use


class Engine:
    """See the module. Not thread-safe: one owner."""

    def __init__(self, site: Site, settings: EngineSettings | None = None) -> None:
        self.site = site
        self.settings = settings or EngineSettings()
        self.view = SiteView(site, self.settings.vantage)
        self.names = NameBook(self.view.site_names())
        self.flows = FlowBook(self.settings.flows_max)
        self.verdicts = VerdictBook(self.view, self.names, self.flows)
        self.policy = self.verdicts.judge.policy
        self.ports = PortBook()
        self.blindness = Blindness()
        self.streams = StreamBook(self.settings.streams_max, self.blindness)
        self.cameras = CameraBook(site, self.settings.cameras_max)
        self.endpoints = EndpointBook(self.policy)
        self.connects = ConnectBook()
        self.devices = DeviceBook(self.view, self.settings.devices_max)
        self.resolvers = ResolverBook()
        self.clock = ClockBook()
        self.leases = LeaseBook()
        self.claims = ClaimBook()
        self.lookups = LookupBook()
        self.beyond = BeyondBook(self.flows, self.view)
        self.visibility = Visibility()
        self.visibility.beside = self.view.vantage in ("mirror", "file", None)
        self.tracking = ConnectionTracking(
            self.flows, self.connects, self.endpoints, self.cameras, self.names, self.view
        )
        self.diagnosis = Diagnosis(all_rules(self.settings.baseline))
        self.events = Events(self.cameras, self.streams, self.settings.events_max)
        # in this order: what a thing is, then consequences for others, then reports about it
        self._hearing = Hearing(
            (
                self.cameras, self.resolvers, self.clock, self.leases, self.claims, self.lookups,
                self.ports, self.devices, self.streams, self.verdicts, self.tracking,
                self.visibility, self.events,
            )
        )  # fmt: skip
        self.facts = Facts(
            site=site, view=self.view, policy=self.policy, names=self.names, flows=self.flows,
            ports=self.ports, streams=self.streams, cameras=self.cameras,
            endpoints=self.endpoints, connects=self.connects, resolvers=self.resolvers,
            clock=self.clock, leases=self.leases, claims=self.claims, lookups=self.lookups,
            beyond=self.beyond, visibility=self.visibility, blindness=self.blindness,
            live=self.settings.live,
        )  # fmt: skip
        self._retiring = Retiring(self.flows, self.names, self.settings.flows_keep_s)
        self._passing = Passing(self.facts, self.diagnosis, self.verdicts, self.tracking)
        self.usual = Usual(self.facts, self.diagnosis, self.verdicts.judge)
        self.known = Marks()
        self.now_ns = 0
        self.number = 0
        self.recorder: RecorderRecord | None = None
        self.own: tuple[bytes, int, bytes, int] | None = None  # see FlowBook.mark_own
        self.final = False  # the input has ended: nothing more will be learnt about any flow
        self._source = SourceRecord()
        self._counters: dict[int, MeterCounters] = {}
        self._interfaces: tuple[str, ...] = ()
        self._changed_slots: list[I64] = []
        self._woken: set[str] = set()  # changes since the last tick, see `Rule.wakes`
        self._versions: tuple[object, ...] = ()
        self._view_version = -1
        self._last_tick_ns = 0
        self._quiet_until_ns: int | None = 0  # see `_quiet_until`; None: not computed yet
        self._settled: tuple[int, U64] | None = None  # see `settled`; None: not computed yet
        self._missed = 0
        self._missed_ns = 0
        self._all_well_since: int | None = None
        self._snapshot: Snapshot | None = None
        self._observe_site()

    # ------------------------------------------------------------------ what comes in

    def apply(self, delta: Delta, *, tick: bool = True) -> None:
        """Apply one meter's delta; `tick=False` for all but the last delta of a second."""
        if not self.now_ns:
            self.facts.started_ns = delta.time_ns
        # the clock of a file's capture may be set back; time then continues from there
        set_back = not self.settings.live and delta.time_ns < self.now_ns - SET_BACK_NS
        self.now_ns = delta.time_ns if set_back else max(self.now_ns, delta.time_ns)
        self.number += 1
        if delta.blind is not None:
            self.blindness.note(delta.meter, *delta.blind)
        counted = self._counters.get(delta.meter)
        self._counters[delta.meter] = delta.counters
        meter = delta.meter
        interfaces = self._interfaces
        self.facts.links[meter] = delta.interfaces
        self._interfaces = numbered(delta, interfaces)
        if (
            tick
            and is_empty(delta, counted)
            and self.now_ns < self._quiet_until()
            and self._interfaces == interfaces
            and not (self._woken or self._changed_slots or self.final)
        ):
            self._let_pass()
            return
        self.facts.heard = NOBODY
        self.facts.meter = meter
        self.facts.passed, self.facts.lasting = delta.passed, delta.lasting
        self.facts.before_ns = delta.passed[-1][0] if delta.passed else self._last_tick_ns
        self.facts.interfaces = self.verdicts.interfaces = self._interfaces
        links = delta.link_seconds
        if delta.earlier is not None:
            known = int(np.searchsorted(links["second"], self.facts.before_ns // SECOND))
            self._see(links[:known])
            links = links[known:]
            self._take_earlier(delta.earlier, meter)
        if len(delta.streams) or len(delta.stream_seconds):
            self._woken.add("streams")
        self._see(links)
        self.visibility.note_blind(self.blindness, meter, self.now_ns)
        slots, is_new = self._learn(delta.flows, delta.messages, meter, self.now_ns)
        if delta.passed:
            self._passing.restate(delta)
            self.diagnosis.let_pass(delta.passed[-1][0])
        self._hear(delta.messages, meter)
        new_streams = self.streams.update(meter, delta.streams, delta.stream_seconds, self.now_ns)
        self.streams.let_pass(delta.passed)
        self._passing.stream_rows = delta.streams
        for stream in new_streams:
            self._place_stream(stream)
        for stream, before in self.streams.resized:
            self.events.resized(stream, before)
        self._judge(delta.flows, slots, meter, self.now_ns)
        if tick:
            fresh = np.flatnonzero(is_new & (slots >= 0))
            at = slots[fresh]
            fine = self.flows.final[at] & (self.flows.verdict[at] != VIOLATION)
            self.usual.learn(delta.flows[fresh], fine, delta.messages)
        self._snapshot = None
        if tick:
            self._tick()

    def _see(self, links: Rows) -> None:
        """Take link rows."""
        self.ports.update(links)
        self.view.observe_links(links)
        self.devices.update(links)
        self.visibility.links(links)
        if len(links):
            self._woken.add("links")

    def _learn(
        self, rows: FlowRows, messages: list[AnyMessage], meter: int, now_ns: int
    ) -> tuple[I64, Bool]:
        """Take flow rows, and what messages say of the site and its names; see `FlowBook.update`
        for what is returned.
        """
        # the most frequent messages carry no names
        self.view.observe_all((m for m in messages if type(m) in self.view.hears), meter)
        self.view.observe_flows(rows, meter)
        self.devices.observe_flows(rows)
        self._observe_site()
        for message in messages:
            if type(message) in self.names.hears:
                self.names.observe(message, meter)
        slots, is_new = self.flows.update(meter, rows, now_ns)
        known = slots[slots >= 0]
        if self.own is not None and len(known):
            self.flows.mark_own(known, self.own)
        if len(known):
            self._changed_slots.append(known)
            self.flows.changed[known] = True
        self.facts.now_ns = now_ns
        return slots, is_new

    def _hear(self, messages: list[AnyMessage], meter: int) -> None:
        for message in messages:
            self._hearing.tell(message, meter)
            self.diagnosis.observe(message, self.facts)

    def _judge(self, rows: FlowRows, slots: I64, meter: int, now_ns: int) -> None:
        """Judge flow rows, and connect them with their servers."""
        self.verdicts.take_names()  # a flow's names must be known before it is first judged
        for change in self.verdicts.update(meter, rows, slots, now_ns):
            self.events.verdict(change, now_ns)
        self.tracking.update(slots[slots >= 0], now_ns)

    def _take_earlier(self, earlier: Earlier, meter: int) -> None:
        """Take what came in skipped seconds and was usual, before the news of the last second."""
        slots, _ = self._learn(earlier.flows, earlier.messages, meter, earlier.time_ns)
        self._hear(earlier.messages, meter)
        self._judge(earlier.flows, slots, meter, earlier.time_ns)

    def link(self, reading: LinkReading) -> None:
        """Apply one reading of a capture interface of this machine."""
        self._woken.add("ports")
        if reading.mac:
            self._learn_own(reading.mac)
        if self.ports.link(reading):
            self.events.link(reading)
        self.facts.port_records = self._port_records()
        self._snapshot = None

    def _learn_own(self, mac: str) -> None:
        try:
            own = mac_value(mac)
        except ValueError:
            return
        # on the appliance itself the capture interfaces are its ports
        if own not in self.view.facts.appliance_macs:
            self.visibility.own |= {own}

    def source(self, record: SourceRecord, counters: Sequence[SourceCounters] = ()) -> None:
        """Store the packets delivered and missed so far by the sources."""
        self.events.clock(self._source, record, self.now_ns)
        self._source = record
        self.facts.clock_ahead_ns = record.clock_stepped_ns
        ring = sum(c.dropped_ring for c in counters)
        if ring > self.facts.ring_dropped and self.now_ns:
            packets = str(ring - self.facts.ring_dropped)
            self.events.tell("ring-dropped", self.now_ns, "this tool", {"packets": packets})
        interface = sum(c.dropped_interface for c in counters)
        if (ring, interface) != (self.facts.ring_dropped, self.facts.interface_dropped):
            self._quiet_until_ns = self._settled = None  # evaluate the missed packets
        self.facts.ring_dropped, self.facts.interface_dropped = ring, interface
        self._snapshot = None

    def meter_is_late(self, meter: int, interfaces: str, since_ns: int, now_ns: int) -> None:
        """A meter reports nothing while time passes: its traffic is unknown."""
        if self.blindness.spans.get(meter, (0, 0))[1] < since_ns:
            self.events.tell("meter-late", now_ns, "this tool", {"interfaces": interfaces})
        self.blindness.note(meter, since_ns, now_ns)

    def mark(self, text: str, time_ns: int | None = None) -> EventRecord:
        """A note that a user adds to the events."""
        return self.events.tell("mark", time_ns or self.now_ns, "mark", {"text": text})

    def mark_known(self, key: str, known: bool) -> bool:
        """Set or remove a mark as known, see `Marks`; false if there is no room for another."""
        done = self.known.set(key, known)
        self._take_marks()
        return done

    def restore_marks(self, keys: Iterable[str]) -> None:
        """Marks that users set in earlier runs."""
        self.known.restore(keys)
        self._take_marks()

    def _take_marks(self) -> None:
        self.facts.violations = self.known.over_violations(self.facts.violations)
        self._woken.add("violations")
        self._take_well()
        self._snapshot = None

    def _take_well(self) -> None:
        well = is_well(self.known.over_findings(self.diagnosis.records()), self.facts.violations)
        self._all_well_since = (self._all_well_since or self.now_ns or None) if well else None

    def counters(self) -> MeterCounters:
        """The meters' counters, summed."""
        if len(self._counters) == 1:
            return next(iter(self._counters.values()))
        total = MeterCounters()
        for counters in self._counters.values():
            for name in counters.__struct_fields__:
                setattr(total, name, getattr(total, name) + getattr(counters, name))
        return total

    def _observe_site(self) -> None:
        """Update everything that depends on the site's facts."""
        if self.view.version == self._view_version:
            return
        self._view_version = self.view.version
        facts = self.view.facts
        if facts.region != self.policy.region and not self.site.site.region:
            self.policy = Policy.for_site(self.site, facts.region)
            self.facts.policy = self.policy
            self.endpoints.set_policy(self.policy)
        names = dict.fromkeys([*self.site.ports, *facts.appliance_macs.values(),
                               *facts.appliance_addresses.values()])  # fmt: skip
        by_port = {port: name for name, port in facts.interfaces.items()}
        self.ports.set_facts(
            tuple(
                PortFacts(
                    name,
                    facts.roles.get(name),
                    frozenset(m for m, p in facts.appliance_macs.items() if p == name),
                    tuple(a for a, p in facts.appliance_addresses.items() if p == name),
                    by_port.get(name),
                )
                for name in sorted(names)
            )
        )

    # ------------------------------------------------------------------ streams and cameras

    def _place_stream(self, stream: StreamState) -> None:
        """Find the camera, session and port of a new stream."""
        facts = self.view.facts
        found = self.cameras.session_of(stream.meter, stream.row.session)
        if found is not None:
            camera, session = found
            stream.url = (session.url or camera.url or "").rstrip("/") or None
        else:
            sender = stream.src
            if sender in facts.appliance_addresses or stream.over_http:
                return  # a page with pictures does not make a host a camera
            camera = self.cameras.at(sender)
        stream.camera = camera.name
        camera.last_seen_ns = max(camera.last_seen_ns, stream.row.last_ns)
        stream.fps_expected = camera.fps_expected
        stream.port = facts.appliance_addresses.get(stream.dst)
        camera.port = stream.port or camera.port
        if stream.url is None:
            stream.url = camera.url

    def _by_camera(self) -> dict[str, list[StreamState]]:
        """Streams by their camera's address."""
        out: dict[str, list[StreamState]] = {}
        for stream in self.streams.streams.values():
            found = self.cameras.session_of(stream.meter, stream.row.session)
            address = found[0].address if found else stream.src
            camera = self.cameras.get(address)
            if camera is None:
                continue
            stream.camera = camera.name
            if stream.over_http:  # a browser's pictures say nothing about the camera's sessions
                if stream.row.last_ns > camera.pictures_ns:
                    camera.pictures_ns, camera.pictures_to = stream.row.last_ns, stream.dst
                continue
            stream.fps_expected = camera.fps_of(found[1]) if found else camera.fps_expected
            out.setdefault(address, []).append(stream)
        return out

    # ------------------------------------------------------------------ a second of packet time

    def _let_pass(self) -> None:
        """A second without packets, in which nothing is due."""
        self.facts.now_ns = self.now_ns
        if self.now_ns > self._last_tick_ns:
            self._last_tick_ns = self.now_ns
            self.diagnosis.let_pass(self.now_ns)
        self._snapshot = None

    def _quiet_until(self) -> int:
        """The first time at which a tick would do something if no packets came."""
        if self._quiet_until_ns is None:
            may = not self._misses() and len(self._counters) == 1
            self._quiet_until_ns = self._passing.quiet_until(self._last_tick_ns) if may else 0
        return self._quiet_until_ns

    def settled(self) -> tuple[int, U64]:
        """Until when seconds without anything new may be reported in one delta; and ids of flows
        whose every row counts.
        """
        if self._settled is None:
            may = not (self.final or self._misses() or len(self._counters) != 1)
            self._settled = self._passing.settled(self._quiet_until()) if may else (0, NO_FLOWS)
        return self._settled

    def prolonged(self, heard: Heard) -> int:
        """The time that `settled` gives if this was heard since the last tick."""
        return self._passing.prolonged(self._last_tick_ns, heard)

    def streams_go_on(self, rows: Rows, seconds: Rows, now_ns: int) -> bool:
        """Whether the streams of these rows, in the meter's state at a tick within that time,
        merely continued since the previous tick: then they need not be reported.
        """
        return self._passing.streams_go_on(rows, seconds, now_ns)

    def foresee(self, ahead: Foreseen) -> int:
        """At how many of these ticks, from the first on, the streams will merely have continued."""
        return self._passing.foresee(ahead)

    def streams_went_on(self, rows: Rows, seconds: Rows, ahead: Foreseen) -> bool:
        """Whether they have, by the last of ticks that were foreseen, as it was foreseen."""
        return self._passing.streams_went_on(rows, seconds, ahead)

    def _misses(self) -> bool:
        return bool(self._missed or self.facts.ring_dropped or self.facts.interface_dropped)

    def _tick(self) -> None:
        now = self.now_ns
        if now <= self._last_tick_ns and not self._changed_slots and not self.final:
            return
        self._last_tick_ns = now
        self._look_around()
        self.resolvers.tick(now)
        self.verdicts.take_names()
        for change in self.verdicts.tick(now, final=self.final):
            self.events.verdict(change, now)
        self.facts.camera_streams = self._by_camera()
        self._judge_cameras(now)
        asked = self.view.facts.appliance_addresses
        self.endpoints.take_lookups(self.lookups.drain_changed(), asked)
        for endpoint, was in self.endpoints.judge_states(now):
            self.events.endpoint(endpoint, was, now)
        self.facts.port_records = self._port_records()
        self.events.ports(self.facts.port_records, now)
        for violation in self.verdicts.drain_new():
            self.events.violation(violation)
        self.facts.violations = self.known.over_violations(self.verdicts.violations())
        self.facts.woken = self._what_woke()
        self.diagnosis.tick(self.facts)
        for kind, finding in self.diagnosis.drain_changes():
            self.events.finding(kind, finding, now)
        self.facts.forget_changed()
        self._retiring.tick(now)
        self._take_well()
        self._quiet_until_ns = self._settled = None
        self._snapshot = None

    def _judge_cameras(self, now: int) -> None:
        """The states of cameras and their streams."""
        for address, mac in self.tracking.camera_macs(self.cameras.cameras):
            self.cameras.cameras[address].mac = mac
        for stream, was in self.streams.judge_states(now):
            self.events.stream(stream, was)
        for stream in self.streams.streams.values():
            self.verdicts.judge_stream(stream)
        self.facts.final = self.final
        appliance = self.view.facts.appliance_used
        for camera in self.cameras.judge_states(
            self.facts.camera_streams, now, self.blindness.until_ns, appliance, self.final
        ):
            self.events.camera(camera, now)

    def _look_around(self) -> None:
        """Changes in this tick, and what is visible from this vantage."""
        facts, view, visibility = self.facts, self.view, self.visibility
        facts.counters = self.counters()
        facts.capture_lossy = self._is_lossy()
        facts.changed = (
            distinct(np.concatenate(self._changed_slots)) if self._changed_slots else None
        )
        self._changed_slots = []
        if facts.changed is not None:
            self._woken.add("flows")
            visibility.flows(*facts.changed_flows())
            self.beyond.update(*facts.changed_flows())
        missed = facts.ring_dropped + facts.interface_dropped
        visibility.counters(facts.counters, missed, self.now_ns)
        visibility.turn(self.now_ns)
        macs = view.facts.appliance_macs
        facts.plain = tuple(visibility.plain(self.now_ns, macs))
        facts.one_way = visibility.all_one_way()
        one_way = frozenset(n for m, n in macs.items() if visibility.unseen((m,)))
        view.set_sight(facts.one_way, one_way, visibility.unread, facts.nobody)

    def _what_woke(self) -> frozenset[str]:
        """Changes since the last tick, by the names of `Rule.wakes`."""
        woken, self._woken = self._woken, set()
        facts = self.facts
        versions = (
            ("site", self.view.version),
            ("visibility", (self.visibility.version, facts.plain, facts.one_way)),
            ("ports", tuple(p.state for p in facts.port_records)),
            ("violations", (self.verdicts.version, self.known.version)),
            ("loss", (facts.capture_lossy, facts.ring_dropped, facts.interface_dropped)),
            ("endpoints", self.endpoints.version),
            ("resolvers", self.resolvers.version),
            ("packets", facts.counters.packets),
        )
        before = self._versions or (None,) * len(versions)
        woken.update(name for (name, now), was in zip(versions, before, strict=True) if now != was)
        self._versions = tuple(now for _, now in versions)
        return frozenset(woken)

    def _is_lossy(self) -> bool:
        """True if this tool missed or skipped packets within the last minute."""
        counters = self.facts.counters
        dropped = self.facts.ring_dropped + self.facts.interface_dropped
        if dropped and not self.settings.live:
            # a capture file reports that it missed packets, but not when
            for stream in self.streams.streams.values():
                stream.uncertain = True
            return True
        missed = dropped + counters.control_skipped
        if missed > self._missed:
            self._missed, self._missed_ns = missed, self.now_ns
            for stream in self.streams.streams.values():
                if self.now_ns - stream.row.last_ns < 2 * SECOND:
                    stream.uncertain = True
        return self._missed_ns > 0 and self.now_ns - self._missed_ns <= 60 * SECOND

    def _port_records(self, history_s: int = RULED_S) -> tuple[PortRecord, ...]:
        ours = self.view.vantage in ("mirror", None, "file") and self.settings.live
        topology = self.view.facts.topology
        return self.ports.records(self.now_ns, self._interfaces, ours, topology, history_s)

    # ------------------------------------------------------------------ what goes out

    def snapshot(self) -> Snapshot:
        """The whole state at this instant, without the flow table."""
        if self._snapshot is not None and self._snapshot.recorder == self.recorder:
            return self._snapshot
        facts = self.view.facts
        now = self.now_ns
        appliance = frozenset(facts.appliance_addresses)
        ports = tuple(
            msgspec.structs.replace(
                p, ladder=ladder_of(p, self.leases, self.claims, facts.gateways, now)
            )
            for p in self._port_records(HISTORY_S)
        )
        streams = self.streams.records(now)
        devices = self._device_records()
        cameras = self.cameras.records(self.facts.camera_streams, facts.appliance_used)
        cut = self.diagnosis.cut_off()
        endpoints = self.endpoints.records(
            self.site.site.mode != "camera-only", self.resolvers, self.clock, facts.resolvers,
            self.clock.needed(facts, appliance),
            appliance | facts.resolvers if appliance else appliance,
            cut_at(cut, self.view, self.claims, self.facts.one_way), self.flows,
        )  # fmt: skip
        clock = self.clock.record(self._is_local, appliance or None)
        cameras, endpoints, clock = seen_from_here(cameras, endpoints, clock, self.facts.lacks)
        violations = self.known.over_violations(self.verdicts.violations())
        findings = self.known.over_findings(self.diagnosis.records())
        cameras, streams = with_troubles(cameras, streams, findings)
        ports, endpoints = also_with_troubles(ports, endpoints, findings, cut)
        findings_known, violations_known = open_and_known(findings, violations)
        if not findings_known + violations_known and not all_works(cameras, endpoints):
            self._all_well_since = None  # no finding reports it yet, but not everything is well
        site = self.view.site_record()
        if self.facts.one_way != site.one_way:
            site = msgspec.structs.replace(site, one_way=self.facts.one_way)
        self._snapshot = Snapshot(
            time_ns=now,
            number=self.number,
            site=site,
            source=self._source,
            ports=ports,
            streams=streams,
            cameras=cameras,
            endpoints=endpoints,
            clock=clock,
            devices=devices,
            resolvers=self.resolvers.records(),
            violations=violations,
            findings=findings,
            events=self.events.newest(self.settings.events_shown),
            counts=msgspec.structs.replace(
                counts_of(devices, streams, cameras, endpoints, findings, violations),
                flows=len(self.flows),
                flows_live=int(np.count_nonzero(self.flows.live & (self.flows.rows["end"] == 0))),
                events=self.events.number,
            ),
            limits=self.limits(),
            recorder=self.recorder,
            all_well_since_ns=self._all_well_since,
        )
        return self._snapshot

    def _device_records(self) -> tuple[DeviceRecord, ...]:
        names = {
            c.address: c.name for c in self.cameras.cameras.values() if c.named_by != "address"
        }
        shown = [self.facts.port_at(i) or name for i, name in enumerate(self._interfaces)]
        return self.devices.records(shown, names)

    def _is_local(self, address: str) -> bool:
        return not self.view.who(address) & Who.INTERNET

    def limits(self) -> dict[str, int]:
        """Counts of evicted, skipped and missed things, by name."""
        return limits_of(
            self.counters(), self.facts, self.devices, self.verdicts, self.tracking, self.diagnosis
        )

    def flow_page(
        self,
        keep: Callable[[FlowRecord], bool] | None = None,
        sort: str | None = None,
        reverse: bool = False,
        port: str | None = None,
        first: int = 0,
        rows: int = 50,
        follow: str | None = None,
        fold: bool = False,
    ) -> Page[FlowRecord]:
        """Visible rows of the flow table: (records, total, matched, first, row of `follow`)."""
        return self.flows.page(
            now_ns=self.now_ns, keep=keep, sort=sort, reverse=reverse, port=port, first=first,
            rows=rows, follow=follow, fold=fold,
        )  # fmt: skip

    def flow(self, flow_id: str) -> FlowRecord | None:
        """One flow by its id."""
        key = flow_key_of(flow_id)
        slot = self.flows.slot(key) if key is not None else -1
        return self.flows.record(slot, self.now_ns) if slot >= 0 else None

    def flow_records(self) -> FlowListing:
        """All flows in memory, by first time and first packet."""
        slots = self.flows.shown()
        rows = self.flows.rows
        order = np.lexsort((rows["first_packet"][slots], rows["first_ns"][slots]))
        return self.flows.listed(slots[order], self.now_ns)

    def explain_flow(self, flow_id: str) -> list[tuple[str, str]]:
        """Why a flow has its verdict: (label, text) lines; empty for an unknown flow."""
        key = flow_key_of(flow_id)
        slot = self.flows.slot(key) if key is not None else -1
        return self.verdicts.explain(slot, self.now_ns) if slot >= 0 else []

    def drain_events(self) -> list[EventRecord]:
        """Events since the last call, oldest first."""
        return self.events.drain()

    def drain_changed_flows(self, limit: int = 5_000) -> list[FlowRecord]:
        """Flows that changed since the last call, at most `limit`; the rest follows next time."""
        changed = self.flows.changed
        chosen = np.flatnonzero(changed & self.flows.live)
        if len(chosen) > limit:  # ended ones first
            lives_on = self.flows.rows["end"][chosen] == 0
            chosen = chosen[np.argsort(lives_on, kind="stable")[:limit]]
        changed[chosen] = False
        return list(self.flows.records(chosen, self.now_ns))
