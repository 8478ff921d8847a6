"""Hosts beyond the site: when something on the internet last answered each appliance port.

Changed flows come in. For each port, address family, transport and port number the book has the
time of the last answer to a new connection (or query), and of the last packet received at all, also
on older connections. These are the controls of every sentence that says "does not answer".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from panotui.model import I64, U8, U64, address_text
from panotui.model.flow_rows import FlowColumns
from panotui.model.untouched import untouched
from panotui.site.facts import Who
from panotui.site.view import SiteView
from panotui.state.flows.book import FlowBook
from panotui.state.thresholds import thresholds

WAYS_MAX = 256
ASKED_MAX = 256
LOOKED_AT = 256
_UNKNOWN, _BEYOND, _OTHER = range(3)
_ASKING = (53, 123)  # UDP services that answer each question
LIMITS = thresholds().beyond


class Way(NamedTuple):
    """A path to something beyond the site."""

    port: str  # the appliance's
    version: int  # 4 or 6
    protocol: int  # 6 TCP, 17 UDP
    dport: int


class Heard(Struct):
    """When a path last worked."""

    answered_ns: int = 0  # a new connection or query
    heard_ns: int = 0  # any packet except RST
    host: str = ""  # the host that last answered a new one


class Asked(Struct):
    """UDP queries to one server beyond, since its last answer."""

    port: str
    version: int
    dport: int
    count: int = 0
    since_ns: int = 0
    last_ns: int = 0


class BeyondBook:
    """See the module."""

    def __init__(self, flows: FlowBook, view: SiteView) -> None:
        self.flows = flows
        self.view = view
        self.ways: OrderedDict[Way, Heard] = OrderedDict()
        self.asked: OrderedDict[tuple[str, int], Asked] = OrderedDict()  # (server, port number)
        self.open_heard: dict[str, tuple[int, int]] = {}  # port -> (heard, that flow's first)
        self._class: U8 = np.zeros(0, np.uint8)  # by slot
        self._key: U64 = np.zeros(0, np.uint64)
        self._sent: I64 = np.zeros(0, np.int64)
        self._version = -1

    def update(self, slots: I64, rows: FlowColumns) -> None:
        """Process the flows that changed."""
        flows = self.flows
        if len(self._class) != len(flows.rows):
            self._class = untouched(len(flows.rows), np.uint8)
            self._key = untouched(len(flows.rows), np.uint64)
            self._sent = untouched(len(flows.rows), np.int64)
        if self._version != self.view.version:
            self._version = self.view.version
            self._class[self.flows.live] = _UNKNOWN
        new = self._key[slots] != flows.key[slots]
        self._class[slots[new]] = _UNKNOWN
        self._sent[slots[new & (self._sent[slots] != 0)]] = 0
        self._key[slots] = flows.key[slots]
        wanted = self._class[slots] != _OTHER
        for i in np.flatnonzero(wanted)[:LOOKED_AT].tolist():
            self._take(int(slots[i]), i, rows)

    def _take(self, slot: int, i: int, rows: FlowColumns) -> None:
        version = int(rows["version"][i])
        client = address_text(version, rows["src"][i].tobytes())
        server = address_text(version, rows["dst"][i].tobytes())
        port = self._port_of(client)
        if self._class[slot] == _UNKNOWN:
            beyond = port is not None and bool(self.view.who(server) & Who.INTERNET)
            self._class[slot] = _BEYOND if beyond else _OTHER
            if not beyond:
                return
        if port is None:
            return
        protocol, dport = int(rows["protocol"][i]), int(rows["dport"][i])
        heard_ns = int(rows["last_in_ns"][i])
        if int(rows["rst_in"][i]) and int(rows["rst_ns"][i]) >= heard_ns:
            heard_ns = 0  # the last packet was an RST, which any box on the way may send
        if protocol == 17 and dport in _ASKING:
            self._ask(slot, i, rows, server, port)
        if int(rows["packets_in"][i]) <= int(rows["rst_in"][i]):
            return
        way = Way(port, version, protocol, dport)
        heard = self.ways.get(way)
        if heard is None:
            heard = self.ways[way] = Heard()
            while len(self.ways) > WAYS_MAX:
                self.ways.popitem(last=False)
        heard.heard_ns = max(heard.heard_ns, heard_ns)
        opened = int(rows["syn_out"][i]) or int(rows["synack_ns"][i])
        first = int(rows["first_ns"][i]) if opened else 0  # open before the capture
        new_ns = int(rows["synack_ns"][i]) if protocol == 6 else heard_ns
        if new_ns > heard.answered_ns:
            heard.answered_ns, heard.host = new_ns, server
        if protocol == 6:
            before = self.open_heard.get(port, (0, 0))
            if heard_ns > before[0]:
                self.open_heard[port] = (heard_ns, first)

    def _ask(self, slot: int, i: int, rows: FlowColumns, server: str, port: str) -> None:
        key = (server, int(rows["dport"][i]))
        asked = self.asked.get(key)
        if asked is None:
            asked = self.asked[key] = Asked(port, int(rows["version"][i]), key[1])
            while len(self.asked) > ASKED_MAX:
                self.asked.popitem(last=False)
        sent = int(rows["packets_out"][i])
        fresh = sent - int(self._sent[slot])
        self._sent[slot] = sent
        out_ns, in_ns = int(rows["last_out_ns"][i]), int(rows["last_in_ns"][i])
        if in_ns >= asked.last_ns and int(rows["packets_in"][i]):
            asked.count, asked.since_ns = 0, 0
        if fresh > 0 and out_ns > in_ns:  # one port may query again and again
            first_ns = int(rows["first_ns"][i])
            asked.since_ns = asked.since_ns or (first_ns if not in_ns else out_ns)
            asked.count += 1 if in_ns else fresh
        asked.last_ns = max(asked.last_ns, out_ns)

    def _port_of(self, client: str) -> str | None:
        known = self.view.facts.appliance_addresses
        if known:
            return known.get(client)
        return client if not self.view.who(client) & Who.INTERNET else None

    # ------------------------------------------------------------------ what is asked

    def answered(
        self, port: str, *, version: int = 0, protocol: int = 0, dport: int = 0
    ) -> tuple[int, str]:
        """(when, host) of the last answer to something new on the matching paths; 0 matches any."""
        best = max(
            (
                (heard.answered_ns, heard.host)
                for way, heard in self._fitting(port, version, protocol, dport)
            ),
            default=(0, ""),
        )
        return best

    def _fitting(
        self, port: str, version: int, protocol: int, dport: int
    ) -> Iterable[tuple[Way, Heard]]:
        for way, heard in self.ways.items():
            if (
                way.port == port
                and version in (0, way.version)
                and protocol in (0, way.protocol)
                and dport in (0, way.dport)
            ):
                yield way, heard

    def unanswered(self, now_ns: int) -> list[tuple[str, Asked]]:
        """UDP servers beyond that did not answer their queries."""
        return [
            (server, asked)
            for (server, _), asked in self.asked.items()
            if asked.count >= LIMITS.questions and now_ns - asked.last_ns < LIMITS.forgotten_ns
        ]
