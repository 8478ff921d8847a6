"""Findings about long connections: idle timeouts, flapping, proxies."""

from __future__ import annotations

import struct
from collections import OrderedDict, deque

import numpy as np
from msgspec import Struct

from panotui.diagnosis.cameras.words import anchor_of
from panotui.diagnosis.cloud import IDLE, TABLE_MAX
from panotui.diagnosis.cloud import LIMITS as CLOUD_LIMITS
from panotui.diagnosis.cuts import Cuts
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.mqtt import Opened, flapping
from panotui.diagnosis.thresholds import thresholds
from panotui.model import (
    I64,
    SECOND,
    U64,
    AnyMessage,
    EvidenceRecord,
    MqttMessage,
    TlsClientHello,
    TlsFinished,
    address_text,
)
from panotui.model.flow_rows import FlowRow
from panotui.model.untouched import untouched
from panotui.state.ladder import SYN

_MQTT_PORTS = (8883,)
_MQTT_ALPN = ("mqtt", "x-amzn-mqtt-ca")
LIMITS = thresholds().connections


class _Woken(Struct):
    """A connection that sent after a silence and waits for an answer."""

    slot: int
    key: int
    time_ns: int
    packet: int
    quiet_ns: int


class SessionRule(Rule):
    """idle-timeout, mqtt-flapping."""

    hears = frozenset((TlsClientHello, TlsFinished, MqttMessage))
    wakes = frozenset(("flows", "site"))

    def __init__(self) -> None:
        self._mqtt: OrderedDict[tuple[str, str], Opened] = OrderedDict()
        self._opening: OrderedDict[int, tuple[str, str]] = OrderedDict()  # flow -> client, host
        self._silences: OrderedDict[tuple[str, int], deque[tuple[int, float, EvidenceRecord]]] = (
            OrderedDict()
        )
        # (server, port) -> (longest silence that a connection survived, when)
        self._survived: OrderedDict[tuple[str, int], tuple[int, int]] = OrderedDict()
        self._asleep: OrderedDict[bytes, int] = OrderedDict()  # five-tuple -> last packet
        self._woken: list[_Woken] = []
        self._cuts = Cuts()
        # by slot of the flow table
        self._last_ns: I64 = np.zeros(0, np.int64)
        self._quiet_ns: I64 = np.zeros(0, np.int64)  # the silence before it
        self._woke_ns: I64 = np.zeros(0, np.int64)
        self._key: U64 = np.zeros(0, np.uint64)

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        key = facts.key_of(message)
        if isinstance(message, TlsFinished):
            self._cuts.finished(key)
            # a connection that was never established is not a session that ended
            opening = self._opening.pop(key, None) if self._opening else None
            if opening is not None:
                entry = self._opened(*opening, message)
                entry.begins(key, message.time_ns)
            return
        slot = facts.flows.slot(key)
        if slot < 0:
            return
        row = facts.flows.rows[slot]
        client = address_text(row.version, row.src)
        if isinstance(message, TlsClientHello):
            mqtt = row.dport in _MQTT_PORTS or any(a in _MQTT_ALPN for a in message.alpn)
            if message.sni and mqtt:
                self._opening[key] = (client, message.sni)
                while len(self._opening) > TABLE_MAX:
                    self._opening.popitem(last=False)
        elif isinstance(message, MqttMessage) and message.type == "connect":
            server = address_text(row.version, row.dst)
            entry = self._opened(client, facts.host_of(client, server), message)
            if message.client_id and len(entry.ids) < 16:
                entry.ids.add(message.client_id)

    def _opened(self, client: str, host: str, message: AnyMessage) -> Opened:
        key = (client, host)
        entry = self._mqtt.setdefault(key, Opened(client, host))
        self._mqtt.move_to_end(key)
        while len(self._mqtt) > 64:
            self._mqtt.popitem(last=False)
        entry.times.append((message.time_ns, message.packet))
        return entry

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        for entry in self._mqtt.values():
            entry.note_ends(facts)
        for entry in self._mqtt.values():
            times = [t for t in entry.times if now - t[0] <= LIMITS.flap_ns]
            if len(times) >= LIMITS.openings:
                self.due(times[0][0] + LIMITS.flap_ns + SECOND)
                seen = flapping(entry, times, self._mqtt.values(), facts)
                if seen is not None:
                    out.append(seen)
        out.extend(self._idle(facts))
        out.extend(self._cuts.told(facts))
        self.due_later(self._cuts.due_ns(now), facts)
        return out

    def _idle(self, facts: Facts) -> list[Observation]:
        """Equal silences before each end of a connection to one server."""
        now = facts.now_ns
        self._note_silences(facts)
        self._note_unanswered(facts)
        out: list[Observation] = []
        for (server, port), ends in self._silences.items():
            recent_ends = [e for e in ends if now - e[0] <= LIMITS.remembered_ns]
            if len(recent_ends) < LIMITS.silences:
                continue
            seconds = np.array([e[1] for e in recent_ends])
            middle = float(np.median(seconds))
            same = np.abs(seconds - middle) <= max(LIMITS.even_s, LIMITS.even_share * middle)
            if middle < LIMITS.least_silence_s or np.count_nonzero(same) < LIMITS.silences:
                continue
            survived, at = self._survived.get((server, port), (0, 0))
            if survived >= LIMITS.survived_share * middle * SECOND and (
                now - at <= LIMITS.remembered_ns
            ):
                continue  # an equally long silence is harmless: they died of something else
            target = facts.connects.get(server, port)
            client = target.client if target else ""
            host = facts.host_of(client, server)
            out.append(
                Observation(
                    "idle-timeout",
                    f"{host}:{port}",
                    {
                        "host": host,
                        "seconds": f"{middle:.0f}",
                        "count": str(int(same.sum())),
                        "client": client,
                        "port": facts.port_of(client) or "",
                    },
                    tuple(e[2] for e in recent_ends[-8:]),
                    recent_ends[0][0],
                    recent_ends[-1][0],
                    covers=_as_ends(facts, client, server, host, middle),
                )
            )
        return out

    def _note_unanswered(self, facts: Facts) -> None:
        """Connections that sent after a silence and were never answered, while the server accepts
        new ones: a box on the path has forgotten them.
        """
        if not self._woken:
            return
        flows, now = facts.flows, facts.now_ns
        waiting: list[_Woken] = []
        for woken in self._woken:
            if int(flows.key[woken.slot]) != woken.key:
                continue
            row = flows.rows[woken.slot]
            if row.last_in_ns >= woken.time_ns or row.rst_in:
                if not row.rst_in:
                    self._came_through(woken.slot, woken.quiet_ns, facts)
                continue
            if now - woken.time_ns < LIMITS.answer_ns:
                waiting.append(woken)
                continue
            server = address_text(row.version, row.dst)
            target = facts.connects.get(server, row.dport)
            if target is not None and target.connected_ns > woken.time_ns:
                self._ended(woken.slot, woken.quiet_ns, facts, woken)
            elif now - woken.time_ns < LIMITS.said_ns:
                waiting.append(woken)
        self._woken = waiting[-TABLE_MAX:]
        if waiting:
            self.due(now + 5 * SECOND)

    def _note_silences(self, facts: Facts) -> None:
        """Find flows that sent after a long silence, and those of them that were reset."""
        flows = facts.flows
        slots, rows = facts.changed_flows()
        if not len(slots):
            return
        if len(self._last_ns) != len(flows.rows):
            self._last_ns = untouched(len(flows.rows), np.int64)
            self._quiet_ns = untouched(len(flows.rows), np.int64)
            self._woke_ns = untouched(len(flows.rows), np.int64)
            self._key = untouched(len(flows.rows), np.uint64)
        tcp = rows["protocol"] == 6
        known = self._key[slots] == flows.key[slots]
        last = rows["last_ns"]
        before = np.where(known, self._last_ns[slots], last)
        gap = np.zeros_like(last) if facts.lasting else last - before
        new = slots[~known]
        self._quiet_ns[new[self._quiet_ns[new] != 0]] = 0
        woke = tcp & (gap >= CLOUD_LIMITS.silence_ns)
        self._quiet_ns[slots[woke]] = gap[woke]
        self._woke_ns[slots[woke]] = facts.now_ns
        for i in np.flatnonzero(woke & (rows["last_in_ns"] > before) & (rows["rst_ns"] == 0))[:64]:
            self._came_through(int(slots[i]), int(gap[i]), facts)
        self._last_ns[slots], self._key[slots] = last, flows.key[slots]
        # the meter forgets an idle flow sooner than many a firewall: join it with the following one
        forgotten = tcp & (rows["end"] == IDLE) & (rows["payload_in"] > 0)
        for slot in slots[forgotten][:64].tolist():
            self._asleep[_ends_of(flows.rows[slot])] = int(flows.rows["last_ns"][slot])
            while len(self._asleep) > TABLE_MAX:
                self._asleep.popitem(last=False)
        again = tcp & ~known & (rows["syn_out"] == 0)
        for slot in slots[again][:64].tolist():
            slept = self._asleep.pop(_ends_of(flows.rows[slot]), 0)
            if 0 < slept < int(flows.rows["first_ns"][slot]):
                self._quiet_ns[slot] = int(flows.rows["first_ns"][slot]) - slept
                self._woke_ns[slot] = facts.now_ns
        speaks = tcp & (self._woke_ns[slots] == facts.now_ns) & (rows["rst_ns"] == 0)
        # a late ACK for the answer to it is no packet that waits for an answer itself
        speaks &= rows["last_in_ns"] <= np.where(known, before, rows["first_ns"])
        for i in np.flatnonzero(speaks)[:64].tolist():
            slot, out_ns = int(slots[i]), int(rows["last_out_ns"][i])
            quiet = int(self._quiet_ns[slot])
            self._woken.append(
                _Woken(slot, int(flows.key[slot]), out_ns, int(rows["last_packet"][i]), quiet)
            )
        just_woken = facts.now_ns - self._woke_ns[slots] <= LIMITS.woken_ns
        reset = (
            tcp
            & (rows["rst_in"] > 0)  # the client's own RST says nothing of the way
            & (rows["fin_in"] == 0)  # a server that has closed may reset later packets
            & (self._quiet_ns[slots] >= CLOUD_LIMITS.silence_ns)
            & just_woken
        )
        silent = self._quiet_ns[slots] >= CLOUD_LIMITS.silence_ns
        self._cuts.look(slots, rows, silent, facts)
        for slot in slots[reset][:64].tolist():
            self._ended(slot, int(self._quiet_ns[slot]), facts)
            self._quiet_ns[slot] = 0

    def _came_through(self, slot: int, quiet_ns: int, facts: Facts) -> None:
        """A connection was answered after a silence."""
        row = facts.flows.rows[slot]
        key = (address_text(row.version, row.dst), int(row.dport))
        longest, at = self._survived.get(key, (0, 0))
        if quiet_ns >= longest or facts.now_ns - at > LIMITS.remembered_ns:
            self._survived[key] = (quiet_ns, facts.now_ns)
            self._survived.move_to_end(key)
            while len(self._survived) > 256:
                self._survived.popitem(last=False)

    def _ended(
        self, slot: int, quiet_ns: int, facts: Facts, unanswered: _Woken | None = None
    ) -> None:
        """A connection died of a silence: by RST, or without an answer."""
        row = facts.flows.rows[slot]
        client = address_text(row.version, row.src)
        if not facts.is_appliance(client):
            return
        server = address_text(row.version, row.dst)
        ended_ns = row.rst_ns if unanswered is None else unanswered.time_ns
        if _path_failed(facts, client, server, ended_ns - quiet_ns, facts.now_ns):
            return  # then it was not the silence that ended it
        ends = self._silences.setdefault((server, row.dport), deque(maxlen=32))
        silence = f"{quiet_ns / SECOND:.0f} s of silence"
        if unanswered is not None:
            at, packet = unanswered.time_ns, unanswered.packet
            seen = evidence(at, packet, f"no answer after {silence}")
        else:
            at = row.rst_ns
            seen = evidence(at, row.rst_packet, f"RST after {silence}")
        ends.append((at, quiet_ns / SECOND, seen))
        while len(self._silences) > 256:
            self._silences.popitem(last=False)


def _path_failed(facts: Facts, client: str, server: str, since_ns: int, until_ns: int) -> bool:
    """Whether an outage may have ended a connection in this time: its own host, which accepts
    connections at other times, did not answer SYNs of the appliance; or several hosts did not, and
    none did meanwhile on the same way. One other host that is blocked is no outage.
    """
    way, host = facts.port_of(client) or client, facts.host_of(client, server)
    failed: dict[str, list[int]] = {}
    worked: list[int] = []
    for target in facts.connects.ours():
        if (facts.port_of(target.client) or target.client) != way:
            continue
        for attempt in target.recent:
            if not since_ns <= attempt.first_ns <= until_ns:
                continue
            if attempt.passed >= SYN and not attempt.older:
                worked.append(attempt.first_ns)
            elif attempt.how == "silent" and attempt.passed < SYN and target.successes:
                name = facts.host_of(target.client, target.server)
                failed.setdefault(name, []).append(attempt.first_ns)
    if host in failed:
        return True
    times = [at for each in failed.values() for at in each]
    if len(failed) < 2:
        return False
    return not any(min(times) <= at <= max(times) for at in worked)


def _ends_of(row: FlowRow) -> bytes:
    return row.src + row.dst + struct.pack("!HH", row.sport, row.dport)


def _as_ends(facts: Facts, client: str, server: str, host: str, silent_s: float) -> tuple[str, ...]:
    """The findings that such ends look like: each is followed by a new opening, and ends a camera's
    session. At the time-out that the camera has announced, the camera itself may have ended it.
    """
    camera = facts.cameras.get(server)
    if camera is None:
        return (f"mqtt-flapping|{host} {client}",)
    sessions = camera.sessions.values()
    announced = min((s.timeout_s for s in sessions), default=0)
    if announced and silent_s >= announced:
        return ()
    if any(s.client != client and s.ended and not s.let_go_ns for s in sessions):
        return ()  # another reader's session ended too, perhaps for another reason
    anchor = anchor_of(camera)
    return tuple(f"{kind}|{anchor}" for kind in ("rtsp-closed", "rtsp-timeout", "rtsp-keepalive"))
