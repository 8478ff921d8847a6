"""Findings about long connections: idle time-outs, flapping, proxies."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np

from panotui.diagnosis.cloud import HOUR, IDLE, SILENCE_NS, TABLE_MAX
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import (
    I64,
    SECOND,
    U64,
    AnyMessage,
    EvidenceRecord,
    MqttMessage,
    TlsClientHello,
    address_text,
)
from panotui.model.flow_rows import FlowRow
from panotui.model.untouched import untouched


@dataclass(slots=True)
class _Opened:
    times: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=32))
    clients: set[str] = field(default_factory=set)


class SessionRule(Rule):
    """idle-timeout, mqtt-flapping."""

    hears = frozenset((TlsClientHello, MqttMessage))

    def __init__(self) -> None:
        self._mqtt: OrderedDict[str, _Opened] = OrderedDict()
        self._silences: OrderedDict[tuple[str, int], deque[tuple[int, float, EvidenceRecord]]] = (
            OrderedDict()
        )
        self._asleep: OrderedDict[bytes, int] = OrderedDict()  # five-tuple -> last packet
        # by slot of the flow table
        self._last_ns: I64 = np.zeros(0, np.int64)
        self._quiet_ns: I64 = np.zeros(0, np.int64)  # the silence that it woke from
        self._woke_ns: I64 = np.zeros(0, np.int64)
        self._key: U64 = np.zeros(0, np.uint64)

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, TlsClientHello) and message.sni:
            if any(a in ("mqtt", "x-amzn-mqtt-ca") for a in message.alpn):
                self._opened(message.sni, message)
        elif isinstance(message, MqttMessage) and message.type == "connect":
            slot = facts.flows.slot(facts.key_of(message))
            if slot >= 0:
                row = facts.flows.rows[slot]
                server = address_text(int(row["version"]), row["dst"].tobytes())
                entry = self._opened(facts.host_of("", server), message)
                if message.client_id and len(entry.clients) < 16:
                    entry.clients.add(message.client_id)

    def _opened(self, host: str, message: AnyMessage) -> _Opened:
        entry = self._mqtt.setdefault(host, _Opened())
        while len(self._mqtt) > 64:
            self._mqtt.popitem(last=False)
        entry.times.append((message.time_ns, message.packet))
        return entry

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        for host, entry in self._mqtt.items():
            times = [t for t in entry.times if now - t[0] <= 600 * SECOND]
            if len(times) < 4:  # the first opening, and three more
                continue
            target = next((e for e in facts.endpoints.endpoints.values() if e.host == host), None)
            if target is not None and len(target.attempts.open_flows) >= len(times):
                continue  # several applications, each with a connection that stays
            gaps = np.diff([t[0] for t in times])
            regular = len(gaps) >= 3 and float(gaps.std()) < 0.05 * float(gaps.mean())
            out.append(
                Observation(
                    "mqtt-flapping",
                    host,
                    {
                        "host": host,
                        "count": str(len(times)),
                        "detail": ", at a regular pace: two devices may share a client id"
                        if regular
                        else "",
                    },
                    tuple(evidence(t, p, "MQTT connection opened") for t, p in times[-8:]),
                    times[0][0],
                    times[-1][0],
                )
            )
        out.extend(self._idle(facts))
        return out

    def _idle(self, facts: Facts) -> list[Observation]:
        """The same silence before each end of a connection to one server."""
        now = facts.now_ns
        self._note_silences(facts)
        out: list[Observation] = []
        for (server, port), ends in self._silences.items():
            recent_ends = [e for e in ends if now - e[0] <= 6 * HOUR]
            if len(recent_ends) < 3:
                continue
            seconds = np.array([e[1] for e in recent_ends])
            middle = float(np.median(seconds))
            same = np.abs(seconds - middle) <= max(2.0, 0.05 * middle)
            if middle < 30 or np.count_nonzero(same) < 3:
                continue
            host = facts.host_of("", server)
            out.append(
                Observation(
                    "idle-timeout",
                    f"{host}:{port}",
                    {"host": host, "seconds": f"{middle:.0f}", "count": str(int(same.sum()))},
                    tuple(e[2] for e in recent_ends[-8:]),
                    recent_ends[0][0],
                    recent_ends[-1][0],
                )
            )
        return out

    def _note_silences(self, facts: Facts) -> None:
        """Find the flows that woke after a long silence, and those of them that were reset."""
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
        gap = np.where(known, last - self._last_ns[slots], 0)
        new = slots[~known]
        self._quiet_ns[new[self._quiet_ns[new] != 0]] = 0
        woke = tcp & (gap >= SILENCE_NS)
        self._quiet_ns[slots[woke]] = gap[woke]
        self._woke_ns[slots[woke]] = facts.now_ns
        self._last_ns[slots], self._key[slots] = last, flows.key[slots]
        # the meter forgets an idle flow sooner than many a firewall: join it with what comes after
        forgotten = tcp & (rows["end"] == IDLE) & (rows["payload_in"] > 0)
        for slot in slots[forgotten][:64].tolist():
            self._asleep[_ends_of(flows.rows[slot])] = int(flows.rows["last_ns"][slot])
            while len(self._asleep) > TABLE_MAX:
                self._asleep.popitem(last=False)
        again = tcp & ~known & (rows["syn_out"] == 0)
        for slot in slots[again][:64].tolist():
            slept = self._asleep.pop(_ends_of(flows.rows[slot]), 0)
            if slept:
                self._quiet_ns[slot] = int(flows.rows["first_ns"][slot]) - slept
                self._woke_ns[slot] = facts.now_ns
        just_woken = facts.now_ns - self._woke_ns[slots] <= 15 * SECOND
        reset = tcp & (rows["rst_ns"] > 0) & (self._quiet_ns[slots] >= SILENCE_NS) & just_woken
        for slot in slots[reset][:64].tolist():
            self._ended(slot, int(self._quiet_ns[slot]), facts)
            self._quiet_ns[slot] = 0

    def _ended(self, slot: int, quiet_ns: int, facts: Facts) -> None:
        row = facts.flows.rows[slot]
        client = address_text(int(row["version"]), row["src"].tobytes())
        if not facts.is_appliance(client):
            return
        server = address_text(int(row["version"]), row["dst"].tobytes())
        ends = self._silences.setdefault((server, int(row["dport"])), deque(maxlen=32))
        rst = int(row["rst_ns"])
        seen = evidence(rst, int(row["rst_packet"]), f"RST after {quiet_ns / SECOND:.0f} s")
        ends.append((rst, quiet_ns / SECOND, seen))
        while len(self._silences) > 256:
            self._silences.popitem(last=False)


def _ends_of(row: FlowRow) -> bytes:
    return b"".join(row[n].tobytes() for n in ("src", "dst", "sport", "dport"))
