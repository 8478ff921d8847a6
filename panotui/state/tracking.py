"""Connects attempts with their targets: servers, endpoints of the policy, cameras.

The flow table's changed slots and the messages that explain flows (ICMP, TLS, MQTT) come in;
`ConnectBook`, `EndpointBook` and `CameraBook` are updated. Work grows with flows whose outcome
changed, and is bounded per tick.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from panotui.model import (
    APPS,
    I64,
    NEVER,
    U64,
    AnyMessage,
    ArpMessage,
    Bool,
    HttpMessage,
    IcmpMessage,
    TlsAlert,
    TlsCertificate,
    TlsClientHello,
    TlsFinished,
    TlsServerHello,
    address_text,
    mac_text,
)
from panotui.model.arrays import among
from panotui.model.flow_rows import FlowColumns, FlowRow
from panotui.model.untouched import untouched
from panotui.site.facts import Who
from panotui.site.names import NameBook
from panotui.site.view import SiteView
from panotui.state.camera import SEALED_PORTS_MAX, Camera
from panotui.state.cameras import CameraBook
from panotui.state.connects import (
    ANSWERED,
    BROKEN,
    CONNECTED,
    LOOKED_AT,
    REFUSED,
    UNANSWERED,
    Attempts,
    ConnectBook,
    icmp_blocks,
    icmp_gives_up,
    outcomes,
    take_flow,
)
from panotui.state.endpoints import Endpoint, EndpointBook
from panotui.state.flows import column_text
from panotui.state.flows.book import FlowBook, flow_key, flow_text_id
from panotui.state.flows.records import METER_SHIFT
from panotui.state.ladder import SYN, Attempt
from panotui.state.thresholds import thresholds

WAITING_MAX = 4096  # flows whose TLS messages came before their first row
_OF_TLS = (
    TlsClientHello, TlsServerHello, TlsCertificate, TlsFinished, TlsAlert, HttpMessage,
)  # fmt: skip
_TLS_APPS = frozenset(APPS.index(a) for a in ("tls", "rtsps", "quic", "dtls"))
_RTSPS, _TLS = APPS.index("rtsps"), APPS.index("tls")
_ACCEPTED = (CONNECTED, ANSWERED, BROKEN)
LIMITS = thresholds().tracking
_OVER = (4, 5, 6)  # FLOW_STATES of connections that are over
_NUMBER = np.uint64((1 << METER_SHIFT) - 1)  # of a flow's key, without its meter
_RTSPS_PORTS = (322, 7441, 8322)
_RTSP_PORTS = frozenset({554, 8554, 10554, 5554, 7070, *_RTSPS_PORTS})


class ConnectionTracking:
    """See the module."""

    hears: ClassVar[frozenset[type]] = frozenset((*_OF_TLS, IcmpMessage, ArpMessage))

    def __init__(
        self,
        flows: FlowBook,
        connects: ConnectBook,
        endpoints: EndpointBook,
        cameras: CameraBook,
        names: NameBook,
        view: SiteView,
    ) -> None:
        self.flows = flows
        self.connects = connects
        self.endpoints = endpoints
        self.cameras = cameras
        self.names = names
        self.view = view
        self.skipped = 0  # connections whose outcome or handshake was not processed
        self._tls: OrderedDict[int, list[AnyMessage]] = OrderedDict()  # by flow key
        self._attempts: OrderedDict[int, Attempt] = OrderedDict()  # by flow key
        self._due: dict[int, int] = {}  # flow key -> time to check its silence
        self._climbing: Bool = np.zeros(0, np.bool_)  # by slot: an attempt that may continue
        self._closed: Bool = np.zeros(0, np.bool_)  # by slot: it is over
        self._endpoint_of: OrderedDict[int, Endpoint] = OrderedDict()  # by flow key
        self._arp: OrderedDict[str, str] = OrderedDict()
        self._looked_for: dict[str, int] = {}  # camera -> times
        # prefixes of the cameras' addresses, for the present cameras
        self._heads = np.zeros(0, np.uint32)
        self._heads_of = (0, 0)

    # ------------------------------------------------------------------ flows

    def update(self, slots: I64, now_ns: int) -> None:
        """Process the flows of one delta (slots of the flow table)."""
        self._settle_tls(now_ns)
        self._look_at_silence(now_ns)
        if not len(slots):
            return
        if len(self._climbing) != len(self.flows.rows):
            self._climbing, climbing = untouched(len(self.flows.rows), np.bool_), self._climbing
            self._closed, closed = untouched(len(self.flows.rows), np.bool_), self._closed
            self._climbing[: len(climbing)], self._closed[: len(closed)] = climbing, closed
        rows = FlowColumns(self.flows.rows, slots)
        self._sealed(rows)
        now = outcomes(rows)
        was = self.flows.outcome[slots]
        more_syns = (now == UNANSWERED) & (rows["syn_out"] > self.flows.syns_counted[slots])
        # a connection is over when both sides have closed it: that the meter forgets it some time
        # later says nothing of its server, nor that it is the newest
        closed = (rows["end"] != 0) | among(rows["state"], _OVER)
        open_end = ((now == CONNECTED) | (now == ANSWERED)) & closed
        open_end &= ~(self._closed[slots] & (was != 0))
        climbing = self._climbing[slots] & (now != 0)
        news = np.flatnonzero((now != was) & (now != 0) | more_syns | open_end | climbing)
        if len(news) > LOOKED_AT:
            self.skipped += len(news) - LOOKED_AT
            # the appliance's own connections matter more than scans of it
            news = news[np.argsort(rows["syn_out"][news] == 0, kind="stable")][:LOOKED_AT]
        for i in news.tolist():
            slot = int(slots[i])
            self._flow(slot, self.flows.rows[slot], int(now[i]), int(was[i]), now_ns)
        self.flows.outcome[slots], self._closed[slots] = now, closed
        self.flows.syns_counted[slots] = rows["syn_out"]

    def unsettled(self, others: Bool) -> U64:
        """Ids of flows whose attempt may change with any row, those that may carry a camera's
        pictures, and those of `others`, a mask of slots.
        """
        flows = self.flows
        slots = others | (flows.live & (flows.rows["app"] == _RTSPS))
        known = min(len(self._climbing), len(slots))
        slots[:known] |= self._climbing[:known] & flows.live[:known]
        ids: U64 = flows.key[slots] & _NUMBER
        return ids

    def _flow(self, slot: int, row: FlowRow, outcome: int, was: int, now_ns: int) -> None:
        version = row.version
        client = address_text(version, row.src)
        server = address_text(version, row.dst)
        port = row.dport
        key = int(self.flows.key[slot])
        counted = int(self.flows.syns_counted[slot])
        target = self.connects.at(server, port, self._is_ours(client))
        target.client = client
        target.flow = flow_text_id(key)
        target.appliance_port = self.view.facts.appliance_addresses.get(client)
        take_flow(target, row, key, outcome, was, counted)
        endpoint = self._endpoint(slot, row.first_ns, key, client, server, port)
        if endpoint is not None:
            take_flow(endpoint.attempts, row, key, outcome, was, counted)
            endpoint.attempts.flow = target.flow
            endpoint.attempts.client = client
            endpoint.attempts.appliance_port = target.appliance_port
        self._climb(key, slot, row, target, endpoint, now_ns)
        self._camera(row, client, port, outcome, was, counted)

    # ------------------------------------------------------------------ attempts

    def _is_ours(self, client: str) -> bool:
        """A connection of the appliance; anyone's while the appliance is unknown."""
        known = self.view.facts.appliance_addresses
        return client in known or not known

    def _climb(
        self,
        key: int,
        slot: int,
        row: FlowRow,
        target: Attempts,
        endpoint: Endpoint | None,
        now_ns: int,
    ) -> None:
        """Update the attempt of a flow, and its target."""
        self.connects.version += 1
        attempt = self._attempt(key, row, target)
        attempt.climb(row, now_ns, self._is_tls(row), self.view.cut_short)
        if target.icmp is not None and attempt.passed < SYN and not attempt.older:
            attempt.how = "icmp" if target.icmp.time_ns >= attempt.first_ns else attempt.how
        targets = (target,) if endpoint is None else (target, endpoint.attempts)
        works = attempt.works and not any(t.doubts(attempt) for t in targets)
        for to in targets:
            to.note(attempt)
            if works:
                to.successes += not attempt.counted
                to.succeeded(attempt.done_ns or _first_answer(row, attempt.older), key)
            elif attempt.in_vain:
                to.successes -= attempt.counted
                to.take_back(key)
        if works or attempt.in_vain:
            attempt.counted = works
        if endpoint is not None:
            self.endpoints.version += 1
        if slot < len(self._climbing):
            self._climbing[slot] = not (attempt.works and attempt.proven)
        if attempt.due_ns:
            self._due[key] = attempt.due_ns
        else:
            self._due.pop(key, None)

    def _attempt(self, key: int, row: FlowRow, target: Attempts) -> Attempt:
        """The attempt of a flow, created if it is new."""
        attempt = self._attempts.get(key)
        if attempt is None:
            if len(self._attempts) >= WAITING_MAX:
                gone, _ = self._attempts.popitem(last=False)
                self._due.pop(gone, None)
            attempt = self._attempts[key] = Attempt(
                key, target.client, target.server, target.port,
                row.first_ns, row.first_packet,
            )  # fmt: skip
        return attempt

    def _look_at_silence(self, now_ns: int) -> None:
        """End attempts that have been silent for too long."""
        if not self._due:
            return
        for key in [k for k, due in self._due.items() if due <= now_ns][:LOOKED_AT]:
            del self._due[key]
            slot = self.flows.slot(key)
            attempt = self._attempts.get(key)
            if slot < 0 or attempt is None:
                continue
            target = self.connects.at(attempt.server, attempt.port, self._is_ours(attempt.client))
            row = self.flows.rows[slot]
            self._climb(key, slot, row, target, self._endpoint_of.get(key), now_ns)

    def due_ns(self) -> int:
        """When the silence of an attempt must be checked."""
        if self._tls:
            return 0
        return min(self._due.values(), default=NEVER)

    def _is_tls(self, row: FlowRow) -> bool:
        """A conversation that only a TLS handshake proves to work."""
        if row.app in _TLS_APPS:
            return row.syn_out > 0  # seen from the middle, data both ways is proof enough
        return row.app == 0 and row.dport in (443, 8443, 8883) and bool(row.syn_out > 0)

    def _endpoint(
        self, slot: int, first_ns: int, key: int, client: str, server: str, port: int
    ) -> Endpoint | None:
        known = self._endpoint_of.get(key)
        if known is not None and known.host == self.flows.host[slot]:
            return known
        facts = self.view.facts
        if facts.appliance_addresses and client not in facts.appliance_addresses:
            return None
        host = self.flows.host[slot]
        if host is None:
            found = self.names.answers_for(client, server, first_ns, facts.askers(client))
            host = found[0] if found else None
        rule = self.endpoints.rule_of(host, "tcp", port)
        if rule is None or host is None:
            return known
        endpoint = self.endpoints.at(rule, host, port, server)
        if self.flows.alpn[slot]:
            endpoint.alpn = self.flows.alpn[slot]
        self._endpoint_of[key] = endpoint
        self.flows.endpoint[slot] = True
        while len(self._endpoint_of) > WAITING_MAX:
            self._endpoint_of.popitem(last=False)
        return endpoint

    def _camera(
        self, row: FlowRow, client: str, port: int, outcome: int, was: int, counted: int
    ) -> None:
        server = address_text(row.version, row.dst)
        camera = self.cameras.get(server)
        if camera is None:
            if not self._is_asked_for(client, server, port, outcome):
                return
            camera = self.cameras.at(server)
        elif (
            port not in _RTSP_PORTS
            and port not in camera.ports
            and port not in camera.sealed_tries
            and f":{port}/" not in (camera.url or "")
        ):
            return
        first, packet = row.first_ns, row.first_packet
        appliance = self.view.facts.appliance_addresses
        if outcome in (UNANSWERED, REFUSED) and (
            client not in appliance if appliance else camera.feeds_another(client, first)
        ):
            return  # a scan, a recorder's own trouble: nothing that keeps the appliance's picture
        if outcome == UNANSWERED:
            fresh = row.syn_out - counted
            if fresh > 0:
                last = row.syn_last_ns or row.last_ns
                self.cameras.connect_tried(server, first, last, packet, fresh)
        elif outcome == REFUSED and was != REFUSED:
            self.cameras.connect_refused(
                server,
                client,
                row.rst_ns or row.last_ns,
                row.rst_packet or row.last_packet,
                port,
            )
        elif outcome in _ACCEPTED and was not in _ACCEPTED:
            self.cameras.connected(server, row.synack_ns or first)
        if outcome == CONNECTED and _is_hung_up(row):
            self.cameras.hung_up(server, client, first, row.first_packet)

    def _is_asked_for(self, client: str, server: str, port: int, outcome: int) -> bool:
        """A neighbour from which a reader of cameras requests RTSP in vain is a camera that is
        off.
        """
        if outcome not in (UNANSWERED, REFUSED) or port not in _RTSP_PORTS:
            return False
        if self.view.who(server) & (Who.INTERNET | Who.APPLIANCE | Who.MULTICAST):
            return False
        return client in self.view.facts.appliance_addresses and self.cameras.is_reader(client)

    def _sealed(self, rows: FlowColumns) -> None:
        """Cameras read inside TLS: only the arrival of bytes is visible."""
        sealed = rows["app"] == _RTSPS
        tls = rows["app"] == _TLS
        if tls.any():
            sealed |= tls & (among(rows["dport"], _RTSPS_PORTS) | self._may_be_cameras(rows))
        for i in np.flatnonzero(sealed)[:LOOKED_AT].tolist():
            version = int(rows["version"][i])
            ended = rows["fin_out"][i] + rows["fin_in"][i] + rows["rst_out"][i] + rows["rst_in"][i]
            server = address_text(version, rows["dst"][i].tobytes())
            client = address_text(version, rows["src"][i].tobytes())
            port = int(rows["dport"][i])
            asked = client in self.view.facts.appliance_addresses
            if port in _RTSPS_PORTS:
                # this much data inside RTSPS is pictures, and the appliance requests nothing else
                much = self._is_ours(client) or int(rows["payload_in"][i]) >= LIMITS.sealed_bytes
                if much and not self.view.who(server) & (Who.INTERNET | Who.APPLIANCE):
                    self.cameras.at(server)
            elif not asked:
                continue  # a browser on the camera's own pages
            camera = self.cameras.get(server)
            tries = camera.sealed_tries if camera is not None else {}
            if port in tries or len(tries) < SEALED_PORTS_MAX:
                tries[port] = self.connects.at(server, port, self._is_ours(client))
            self.cameras.sealed(
                server,
                client,
                int(rows["last_in_ns"][i]),
                int(rows["payload_in"][i]),
                int(rows["last_packet"][i]),
                bool(ended),
            )

    def _may_be_cameras(self, rows: FlowColumns) -> Bool:
        """(n,) mask of rows whose server's address has the prefix of a camera's."""
        book = self.cameras
        if self._heads_of != (known := (len(book.cameras), book.evicted)):
            self._heads_of = known
            self._heads = np.array([_head(address) for address in book.cameras], np.uint32)
        begins = np.ascontiguousarray(rows["dst"][:, :4]).view("<u4")[:, 0]
        found: Bool = among(begins, self._heads)
        return found

    # ------------------------------------------------------------------ messages

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Process a message that explains a flow."""
        if isinstance(message, _OF_TLS):
            if message.flow >= 0:
                key = flow_key(meter, message.flow)
                self._tls.setdefault(key, []).append(message)
                while len(self._tls) > WAITING_MAX:
                    self._tls.popitem(last=False)
                    self.skipped += 1
        elif isinstance(message, IcmpMessage):
            self._icmp(message)
        elif isinstance(message, ArpMessage):
            self._take_arp(message)

    def _take_arp(self, message: ArpMessage) -> None:
        if message.sender_ip in ("", "0.0.0.0"):  # noqa: S104 - an ARP probe's sender
            return
        self._arp[message.sender_ip] = message.sender_mac
        while len(self._arp) > WAITING_MAX:
            self._arp.popitem(last=False)
        camera = self.cameras.get(message.sender_ip)
        if camera is not None:
            camera.arp_silent_ns = 0
            camera.mac = message.sender_mac

    def _icmp(self, message: IcmpMessage) -> None:
        gives_up = icmp_gives_up(message)
        if not (gives_up or icmp_blocks(message)) or message.quoted_protocol != 6:
            return
        server, port = message.quoted_dst, message.quoted_dport
        if server is None or not port:
            return
        self.connects.version += 1
        targets = [self.connects.at(server, port, self._is_ours(message.quoted_src or ""))]
        targets += [
            e.attempts
            for e in self.endpoints.endpoints.values()
            if e.attempts.server == server and e.port == port
        ]
        for target in targets:
            if target.success_ns > message.time_ns:
                continue
            if gives_up:
                target.lost_at = message
                continue
            target.icmp = message
            target.icmp_count += 1
            for attempt in target.recent:
                if not attempt.works and attempt.passed < SYN and attempt.server == server:
                    attempt.how = "icmp"
                    target.since_ns = target.since_ns or attempt.first_ns
            target.client = target.client or message.quoted_src or ""

    def _settle_tls(self, now_ns: int) -> None:
        """Pass TLS messages to the servers and endpoints of their flows, now that rows exist."""
        if not self._tls:
            return
        waiting, self._tls = self._tls, OrderedDict()
        keys = np.fromiter(waiting, np.uint64, len(waiting))
        slots = self.flows.find(keys)
        found = np.flatnonzero(slots >= 0)
        slots = slots[found]
        rows = FlowColumns(self.flows.rows, slots)
        for key, slot, client, server, port, first_ns in zip(
            keys[found].tolist(),
            slots.tolist(),
            column_text.addresses(rows["version"], rows["src"]),
            column_text.addresses(rows["version"], rows["dst"]),
            rows["dport"].tolist(),
            rows["first_ns"].tolist(),
            strict=True,
        ):
            target = self.connects.at(server, port, self._is_ours(client))
            target.client = client
            endpoint = self._endpoint(slot, first_ns, key, client, server, port)
            row = self.flows.rows[slot]
            attempt = self._attempt(key, row, target)
            for message in waiting[key]:
                attempt.hear(message)
                if isinstance(message, TlsServerHello):
                    target.tls_version = message.version or target.tls_version
                if endpoint is not None:
                    if isinstance(message, TlsServerHello):
                        endpoint.attempts.tls_version = target.tls_version
                    if isinstance(message, TlsServerHello) and message.alpn:
                        endpoint.alpn = message.alpn
                    elif isinstance(message, TlsClientHello) and message.alpn:
                        endpoint.alpn = endpoint.alpn or message.alpn[0]
            self._climb(key, slot, row, target, endpoint, now_ns)

    # ------------------------------------------------------------------ locations

    def camera_macs(self, cameras: dict[str, Camera]) -> Iterable[tuple[str, str]]:
        """MAC addresses of cameras without one, from ARP or from their flows."""
        missing = [
            a
            for a, c in cameras.items()
            if c.mac is None and c.last_seen_ns and self._looked_for.get(a, 0) < 5
        ][:4]
        out: list[tuple[str, str]] = []
        for address in missing:
            mac = self._arp.get(address)
            if mac is None:
                mac = self._mac_from_flows(address)
            self._looked_for[address] = self._looked_for.get(address, 0) + 1
            if mac is not None:
                out.append((address, mac))
        return out

    def _mac_from_flows(self, address: str) -> str | None:
        raw = np.zeros(16, np.uint8)
        packed = _packed(address)
        if packed is None:
            return None
        raw[: len(packed)] = np.frombuffer(packed, np.uint8)
        rows, live = self.flows.rows, self.flows.live
        first, second = raw.view(np.uint64).tolist()
        for side, mac in (("dst", "mac_in_src"), ("src", "mac_out_src")):
            halves = rows.column(side).view(np.uint64)  # (n, 2)
            here = live & (halves[:, 0] == first)
            here &= halves[:, 1] == second
            at = np.flatnonzero(here)
            at = at[rows.column(mac)[at] != 0]
            if len(at):
                found = rows.column(mac)[at[0]]
                # a MAC that sends for several addresses is a router's, not the camera's
                its = live & (rows.column(mac) == found)
                return mac_text(int(found)) if not (its & ~here).any() else None
        return None


def _is_hung_up(row: FlowRow) -> bool:
    """The server closed an accepted connection at once, before any data."""
    if row.payload_in or row.payload_out or row.last_ns - row.first_ns > LIMITS.hung_up_ns:
        return False
    ended = next((letter for letter in row.history if letter in b"FRfr"), 0)
    return ended in b"fr"


def _first_answer(row: FlowRow, older: bool) -> int:
    """When a conversation without a TLS handshake worked."""
    if older:
        return row.last_in_ns
    return row.first_answer_ns or row.last_ns


def _packed(address: str) -> bytes | None:
    try:
        return ipaddress.ip_address(address).packed
    except ValueError:
        return None


def _head(address: str) -> int:
    """The first four bytes of an address as a number; 0 for invalid ones."""
    try:
        return int.from_bytes(ipaddress.ip_address(address).packed[:4], "little")
    except ValueError:
        return 0
