"""Ties connection attempts to whom they are for: servers, endpoints of the policy, cameras.

The flow table's changed slots and the messages that explain flows (ICMP, TLS, MQTT) come in;
`ConnectBook`, `EndpointBook` and `CameraBook` are brought up to date. Work grows with flows whose
outcome changed, and is bounded a tick.
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
    AnyMessage,
    ArpMessage,
    IcmpMessage,
    TlsAlert,
    TlsClientHello,
    TlsFinished,
    TlsServerHello,
    address_text,
    mac_text,
)
from panotui.model.flow_rows import FlowColumns, FlowRow
from panotui.site.names import NameBook
from panotui.site.view import SiteView
from panotui.state.camera import Camera
from panotui.state.cameras import CameraBook
from panotui.state.connects import (
    ANSWERED,
    CONNECTED,
    LOOKED_AT,
    REFUSED,
    UNANSWERED,
    Attempts,
    ConnectBook,
    icmp_blocks,
    outcomes,
    take_flow,
)
from panotui.state.endpoints import Endpoint, EndpointBook
from panotui.state.flows import column_text
from panotui.state.flows.book import FlowBook, flow_key, flow_text_id

WAITING_MAX = 4096  # flows whose TLS messages came before their first row
_OF_TLS = (TlsClientHello, TlsServerHello, TlsFinished, TlsAlert)
_TLS_APPS = frozenset(APPS.index(a) for a in ("tls", "quic", "dtls"))
_RTSPS = APPS.index("rtsps")
_RTSP_PORTS = frozenset({554, 8554, 10554, 5554, 7070, 322})


class ConnectionTracking:
    """See the module's text."""

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
        self.skipped = 0  # connections whose outcome or handshake nobody looked at
        self._tls: OrderedDict[int, list[AnyMessage]] = OrderedDict()  # by flow key
        self._endpoint_of: OrderedDict[int, Endpoint] = OrderedDict()  # by flow key
        self._arp: OrderedDict[str, str] = OrderedDict()
        self._looked_for: dict[str, int] = {}  # camera -> times

    # ------------------------------------------------------------------ flows

    def update(self, slots: I64, now_ns: int) -> None:
        """Take the flows of one delta (slots of the flow table)."""
        self._settle_tls()
        if not len(slots):
            return
        rows = FlowColumns(self.flows.rows, slots)
        self._sealed(rows)
        now = outcomes(rows)
        was = self.flows.outcome[slots]
        more_syns = (now == UNANSWERED) & (rows["syn_out"] > self.flows.syns_counted[slots])
        open_end = ((now == CONNECTED) | (now == ANSWERED)) & (rows["end"] != 0)
        news = np.flatnonzero((now != was) & (now != 0) | more_syns | open_end)
        if len(news) > LOOKED_AT:
            self.skipped += len(news) - LOOKED_AT
            # what the appliance itself does matters more than who scans it
            news = news[np.argsort(rows["syn_out"][news] == 0, kind="stable")][:LOOKED_AT]
        for i in news.tolist():
            slot = int(slots[i])
            self._flow(slot, self.flows.rows[slot], int(now[i]), int(was[i]))
        self.flows.outcome[slots] = now
        self.flows.syns_counted[slots] = rows["syn_out"]

    def _flow(self, slot: int, row: FlowRow, outcome: int, was: int) -> None:
        version = int(row["version"])
        client = address_text(version, row["src"].tobytes())
        server = address_text(version, row["dst"].tobytes())
        port = int(row["dport"])
        key = int(self.flows.key[slot])
        counted = int(self.flows.syns_counted[slot])
        target = self.connects.at(server, port)
        target.client = client
        target.flow = flow_text_id(key)
        target.appliance_port = self.view.facts.appliance_addresses.get(client)
        take_flow(target, row, key, outcome, was, counted)
        if outcome == ANSWERED and not self._is_tls(row):
            self._succeed(target, int(row["first_answer_ns"]) or int(row["last_ns"]), was)
        endpoint = self._endpoint(slot, int(row["first_ns"]), key, client, server, port)
        if endpoint is not None:
            take_flow(endpoint.attempts, row, key, outcome, was, counted)
            endpoint.attempts.flow = target.flow
            endpoint.attempts.client = client
            endpoint.attempts.appliance_port = target.appliance_port
            if outcome == ANSWERED and not self._is_tls(row):
                self._succeed(endpoint.attempts, int(row["last_ns"]), was)
        self._camera(row, server, port, outcome, was, counted)

    @staticmethod
    def _succeed(target: Attempts, time_ns: int, was: int) -> None:
        if was != ANSWERED:
            target.successes += 1
        target.succeeded(time_ns)

    def _is_tls(self, row: FlowRow) -> bool:
        """A conversation whose success only its TLS handshake proves."""
        if int(row["app"]) in _TLS_APPS:
            return int(row["syn_out"]) > 0  # from the middle, data both ways are proof enough
        return (
            int(row["app"]) == 0
            and int(row["dport"]) in (443, 8443, 8883)
            and bool(row["syn_out"] > 0)
        )

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
            found = self.names.answers_for(client, server, first_ns, facts.resolvers)
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
        self, row: FlowRow, server: str, port: int, outcome: int, was: int, counted: int
    ) -> None:
        camera = self.cameras.get(server)
        if camera is None or (port not in _RTSP_PORTS and f":{port}/" not in (camera.url or "")):
            return
        first, packet = int(row["first_ns"]), int(row["first_packet"])
        if outcome == UNANSWERED:
            fresh = int(row["syn_out"]) - counted
            if fresh > 0:
                last = int(row["syn_last_ns"]) or int(row["last_ns"])
                self.cameras.connect_tried(server, first, last, packet, fresh)
        elif outcome == REFUSED and was != REFUSED:
            self.cameras.connect_refused(
                server,
                int(row["rst_ns"]) or int(row["last_ns"]),
                int(row["rst_packet"]) or int(row["last_packet"]),
                port,
            )
        elif outcome in (CONNECTED, ANSWERED) and was not in (CONNECTED, ANSWERED):
            self.cameras.connected(server, int(row["synack_ns"]) or first)

    def _sealed(self, rows: FlowColumns) -> None:
        """Cameras that are read inside TLS: all that is seen of it is that bytes come."""
        for i in np.flatnonzero(rows["app"] == _RTSPS)[:LOOKED_AT].tolist():
            version = int(rows["version"][i])
            self.cameras.sealed(
                address_text(version, rows["dst"][i].tobytes()),
                address_text(version, rows["src"][i].tobytes()),
                int(rows["last_in_ns"][i]),
                int(rows["payload_in"][i]),
            )

    # ------------------------------------------------------------------ messages

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Take a message that explains a flow."""
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
        if not icmp_blocks(message) or message.quoted_protocol != 6:
            return
        server, port = message.quoted_dst, message.quoted_dport
        if server is None or not port:
            return
        targets = [self.connects.at(server, port)]
        targets += [
            e.attempts
            for e in self.endpoints.endpoints.values()
            if e.attempts.server == server and e.port == port
        ]
        for target in targets:
            if target.success_ns > message.time_ns:
                continue
            target.icmp = message
            target.icmp_count += 1
            target.client = target.client or message.quoted_src or ""

    def _settle_tls(self) -> None:
        """Give TLS messages to the servers and endpoints of their flows, now that rows exist."""
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
            target = self.connects.at(server, port)
            endpoint = self._endpoint(slot, first_ns, key, client, server, port)
            for message in waiting[key]:
                self._tls_message(target, message)
                if endpoint is not None:
                    self._tls_message(endpoint.attempts, message)
                    if isinstance(message, TlsServerHello) and message.alpn:
                        endpoint.alpn = message.alpn
                    elif isinstance(message, TlsClientHello) and message.alpn:
                        endpoint.alpn = endpoint.alpn or message.alpn[0]

    @staticmethod
    def _tls_message(target: Attempts, message: AnyMessage) -> None:
        if isinstance(message, TlsServerHello):
            target.tls_version = message.version or target.tls_version
            target.broken = 0
        elif isinstance(message, TlsFinished):
            target.successes += 1
            target.succeeded(message.time_ns)
        elif isinstance(message, TlsAlert) and message.code not in (0, None):
            side = "client" if message.from_client else "server"
            target.failure = f"TLS alert {message.code} from the {side}"
            target.failure_ns = message.time_ns

    # ------------------------------------------------------------------ who is where

    def camera_macs(self, cameras: dict[str, Camera]) -> Iterable[tuple[str, str]]:
        """MAC addresses of cameras that are not known yet, from ARP or from their flows."""
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
            halves = rows[side].view(np.uint64)  # (n, 2)
            here = live & (halves[:, 0] == first)
            here &= halves[:, 1] == second
            at = np.flatnonzero(here)
            at = at[rows[mac][at] != 0]
            if len(at):
                found = rows[mac][at[0]]
                # a MAC that speaks for several addresses is a router's, not the camera's
                its = live & (rows[mac] == found)
                return mac_text(int(found)) if not (its & ~here).any() else None
        return None


def _packed(address: str) -> bytes | None:
    try:
        return ipaddress.ip_address(address).packed
    except ValueError:
        return None
