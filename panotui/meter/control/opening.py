"""The opening of one TCP flow: its first segments of both directions in, its protocol and messages
out.

The content identifies the protocol, in whichever direction it appears first; ports only break ties.
Readers follow the recognised protocol (TLS, HTTP, MQTT, DNS over TCP, text greetings) until nothing
more can be learnt or `FLIGHT_BYTES` have passed. Inside a tunnel (HTTP CONNECT) or an upgrade
(STARTTLS) recognition starts again.
"""

from __future__ import annotations

from panotui.meter.control.unknown import TRIES
from panotui.meter.lanes import LANE_BULK, LANE_HANDSHAKE, LANE_RTSP
from panotui.model import AnyMessage, NotTls, TlsFinished
from panotui.wire import banner, dns, http, mqtt, tls
from panotui.wire.addresses import ip_text
from panotui.wire.inorder import InOrder
from panotui.wire.origin import Malformed, Origin
from panotui.wire.websocket import find_rtsp

FLIGHT_BYTES = 65_536
TLS_PORTS = frozenset((443, 853, 8443, 8883))
RTSP_APPS = frozenset(("rtsp", "rtsp-http"))
RTSPS_PORT = 322  # RFC 7826 22.1
SOCKS_PORT = 1080  # IANA
DNS_PORTS = {53: "dns", 5353: "mdns", 5355: "llmnr"}
_DNS_TRANSPORT = {"dns": "tcp", "mdns": "mdns", "llmnr": "llmnr"}
_UNDECIDED_TRIES = 32
_OVERTAKEN_BYTES = 65_536
_HEADS = 8
_LINE_BYTES = 512


class _Direction:
    """The state of the readers of one direction."""

    __slots__ = ("heads", "in_head", "said", "segments", "stream", "synchronised", "tls_data")

    def __init__(self) -> None:
        self.stream = InOrder()
        self.segments = 0
        self.in_head = True
        self.heads = 0
        self.said = False
        self.synchronised = False
        self.tls_data = False


class Opening:
    """One flow's beginning. `messages` fills as it is fed; `finished` if it needs no more.

    `client` and `server` are raw addresses (4 or 16 bytes).
    """

    __slots__ = (
        "_asked_snapshot",
        "_both",
        "_connecting",
        "_handshake",
        "_last",
        "_ports",
        "_reader",
        "_rtsp_ports",
        "_start",
        "_told_not_tls",
        "_told_socks",
        "_tries",
        "_undecided",
        "app",
        "client",
        "finished",
        "is_video",
        "messages",
        "server",
    )

    def __init__(
        self,
        *,
        client: bytes,
        server: bytes,
        client_port: int,
        server_port: int,
        rtsp_ports: frozenset[int],
        from_start: bool,
    ) -> None:
        self.client, self.server = client, server
        self.app: str | None = None
        self.finished = False
        self.is_video = False  # pictures over HTTP follow
        self.messages: list[AnyMessage] = []
        self._ports = (client_port, server_port)
        self._rtsp_ports = rtsp_ports
        self._start = from_start
        self._both = (_Direction(), _Direction())  # server, client
        self._reader = ""
        self._handshake: tls.Handshake | None = None
        self._connecting = False  # CONNECT was sent, its answer is pending
        self._asked_snapshot = False
        self._told_not_tls = False
        self._told_socks = False
        self._tries = 0
        self._undecided = 0
        self._last: Origin | None = None

    @property
    def held(self) -> int:
        """Bytes kept in memory."""
        inner = self._handshake.held if self._handshake is not None else 0
        return inner + self._both[0].stream.held + self._both[1].stream.held

    def feed(
        self, sequence: int, payload: bytes, from_client: bool, origin: Origin, missing: int = 0
    ) -> int:
        """Add a segment; returns the flow's further lane. `Malformed` ends the opening.

        `missing`: bytes of the segment that were on the wire but not captured.
        """
        self._last = origin
        side = self._both[from_client]
        side.segments += 1
        stream = side.stream
        if payload[0] == tls.DATA and payload[1:2] == b"\x03":
            side.tls_data = True
        if not side.synchronised and stream.precedes(sequence):
            if stream.offered > _OVERTAKEN_BYTES:
                return self._finish()
            stream.restart(sequence, payload)
            fresh = True
        else:
            fresh = stream.add(sequence, payload)
        if fresh:
            self._look(side, from_client, origin, payload)
        if missing and not self.finished:
            self._pass_over(side, from_client, origin, sequence + len(payload), missing)
        if self.finished:
            media = self.is_video or self.app in RTSP_APPS
            return LANE_RTSP if media else LANE_BULK
        if stream.offered > FLIGHT_BYTES or stream.overflowed:
            return self._finish()
        return LANE_HANDSHAKE

    def _look(self, side: _Direction, from_client: bool, origin: Origin, payload: bytes) -> None:
        if not self._reader:
            self._recognise(side, from_client, origin, payload)
        if self._reader and not self.finished:
            self._read(side, from_client, origin, payload)

    def _pass_over(
        self, side: _Direction, from_client: bool, origin: Origin, sequence: int, missing: int
    ) -> None:
        """Continue behind bytes that were not captured."""
        stream = side.stream
        if self._handshake is not None and side.synchronised:
            self.messages += self._handshake.skip(missing, from_client)
        else:
            if self._reader == "http" and side.in_head and len(stream.ready) > 15:
                self._read_head(side, from_client, origin)
            stream.ready.clear()
        if stream.skip(sequence, missing) and stream.ready and not self.finished:
            self._look(side, from_client, origin, b"")

    def close(self) -> None:
        """The flow has ended or is given up: report incomplete messages."""
        if self._handshake is not None:
            self.messages += self._handshake.close()
            data = all(side.tls_data for side in self._both) and not self._handshake.waits
            if data and not self._handshake.done and self._last is not None:
                last = self._last
                self.messages.append(
                    TlsFinished(
                        time_ns=last.time_ns,
                        packet=last.packet,
                        interface=last.interface,
                        flow=last.flow,
                    )
                )
        elif self._reader == "http" and self._last is not None:
            for from_client in (True, False):
                side = self._both[from_client]
                if side.in_head and not side.heads and len(side.stream.ready) > 15:
                    try:
                        head = http.parse(bytes(side.stream.ready), self._last, from_client)
                    except Malformed:
                        continue
                    self.messages.append(head.message)

    def _finish(self) -> int:
        if not self.finished:
            self.finished = True
            self.close()
        return LANE_BULK

    # -------------------------------------------------------------- recognition

    def _recognise(
        self, side: _Direction, from_client: bool, origin: Origin, payload: bytes
    ) -> None:
        ready = side.stream.ready
        if self._ports[1] == SOCKS_PORT and not self._told_socks:
            self._recognise_socks(origin)
        if len(ready) > len(payload) and banner.is_client_hello(payload):
            # an unknown protocol has agreed on TLS (databases, LDAP)
            _begin_with(ready, payload)
        data = bytes(ready[:8192])
        client_port, server_port = self._ports
        app = banner.recognise(data, server_port, from_client)
        if app is banner.UNDECIDED:
            self._undecided += 1
            if self._undecided < _UNDECIDED_TRIES and server_port not in self._rtsp_ports:
                return
            app = "rtsp" if server_port in self._rtsp_ports else None
        if app is None:
            app = self._by_port(data, client_port, server_port)
        if app is None:
            self._tries += 1
            if self._tries >= TRIES or side.stream.offered > 2 * tls.HELLO_LIMIT:
                self._unknown(origin)
            return
        if self.app is None:
            self.app = "rtsps" if app == "tls" and server_port == RTSPS_PORT else app
            if from_client and app != "tls" and server_port in TLS_PORTS:
                self._not_tls(app, origin)
        self._reader = app
        side.synchronised = True
        if app == "tls" and data[0] & 0x80:
            self.messages.append(tls.sslv2_hello(data, origin))
            self.finished = True
        elif app == "tls":
            self._handshake = tls.Handshake()
        elif app == "rtsp":
            self.finished = True

    def _recognise_socks(self, origin: Origin) -> None:
        """A proxy takes the client: the flow goes on as one of unknown content, or as TLS."""
        answer, asked = (bytes(side.stream.ready[:512]) for side in self._both)
        if banner.socks_version(asked, answer):
            self._told_socks = True
            self.messages.append(banner.parse("socks", answer, origin, False))

    def _by_port(self, data: bytes, client_port: int, server_port: int) -> str | None:
        """Protocols that only the port identifies: DNS, and RTSP seen in the middle of its
        media.
        """
        name = DNS_PORTS.get(server_port) or DNS_PORTS.get(client_port)
        if name is not None and _is_dns(data):
            return name
        if banner.holds_interleaved(data) or find_rtsp(data, media_only=True) >= 0:
            return "rtsp"
        if not self._start and not self._rtsp_ports.isdisjoint((client_port, server_port)):
            return "rtsp"
        return None

    def _unknown(self, origin: Origin) -> None:
        self.finished = True
        if self._start and self.app is None:
            self.app = "other"
            if self._both[True].segments and self._ports[1] in TLS_PORTS:
                self._not_tls("other", origin)

    def _not_tls(self, app: str, origin: Origin) -> None:
        if self._told_not_tls:
            return
        self._told_not_tls = True
        self.messages.append(not_tls(origin, app))

    # -------------------------------------------------------------- readers

    def _read(self, side: _Direction, from_client: bool, origin: Origin, payload: bytes) -> None:
        reader = self._reader
        if reader == "tls":
            self._read_tls(side, from_client, origin, payload)
        elif reader == "http":
            self._read_http(side, from_client, origin)
        elif reader == "mqtt":
            self._read_mqtt(side, from_client, origin)
        elif reader in _DNS_TRANSPORT:
            self._read_dns(side, from_client, origin)
        elif reader in ("ftp", "smtp"):
            self._read_dialogue(side, from_client, origin, payload)
        elif reader in ("ssh", "telnet", "smb", "rdp"):
            self._read_banner(side, from_client, origin)

    def _read_tls(
        self, side: _Direction, from_client: bool, origin: Origin, payload: bytes
    ) -> None:
        handshake, ready = self._handshake, side.stream.ready
        if handshake is None:
            return
        if not side.synchronised:
            # the other direction was recognised; this one may begin inside a record, or with data
            # sent before TLS
            if banner.recognise(payload[:16], self._ports[1], from_client) == "tls":
                _begin_with(ready, payload)
            seen = banner.recognise(bytes(ready[:16]), self._ports[1], from_client)
            if seen is banner.UNDECIDED:
                return
            if seen == "http" and not from_client:
                # another host answers the ClientHello in cleartext: a portal
                self._reader = "http"
                self._read_http(side, from_client, origin)
                return
            if seen != "tls":
                if side.segments >= TRIES:
                    self._finish()
                return
            side.synchronised = True
        if handshake.lost(from_client):
            if not payload or banner.recognise(payload[:16], 0, from_client) != "tls":
                ready.clear()
                return
            _begin_with(ready, payload)
            handshake.resume(from_client)
        data = bytes(ready)
        ready.clear()
        try:
            self.messages += handshake.feed(data, from_client, origin)
        except IndexError:
            raise Malformed("TLS message cut short") from None
        if handshake.done:
            self.finished = True

    def _read_http(self, side: _Direction, from_client: bool, origin: Origin) -> None:
        ready = side.stream.ready
        while ready:
            if not side.in_head:
                starts = http.METHODS if from_client else (b"HTTP/1.",)
                if not ready.startswith(starts):
                    ready.clear()
                    return
                side.in_head = True
            if http.end_of_head(ready) < 0 and len(ready) < http.HEAD_LIMIT:
                return
            self._read_head(side, from_client, origin)
            if self.finished or not self._reader:
                return
        if side.heads >= _HEADS:
            self.finished = True

    def _read_head(self, side: _Direction, from_client: bool, origin: Origin) -> None:
        ready = side.stream.ready
        head = http.parse(bytes(ready[: http.HEAD_LIMIT]), origin, from_client)
        side.in_head = False
        side.heads += 1
        side.synchronised = True
        del ready[: head.size or len(ready)]
        if head.tunnel_cookie:
            self.app = "rtsp-http"
            self.finished = True
            return
        self.messages.append(head.message)
        self._note_pictures(head)
        if head.is_video:
            self.is_video = self.finished = True
            return
        if head.message.method == "CONNECT":
            self._connecting = True
            self.app = "http-connect"
        elif self._connecting and (head.message.status or 0) // 100 == 2:
            self._tunnel()

    def _note_pictures(self, head: http.Head) -> None:
        """Name the protocol of a camera's HTTP requests by their purpose."""
        if head.asks_for == "onvif":
            self.app = "onvif"
        elif head.asks_for == "snapshot":
            self._asked_snapshot = True
        elif head.is_video:
            self.app = "mjpeg"
        elif head.is_picture and self._asked_snapshot:
            self.app = "snapshot"

    def _tunnel(self) -> None:
        """A proxy has connected: another protocol follows."""
        self._reader = ""
        self._connecting = False
        self._tries = self._undecided = 0
        for side in self._both:
            side.stream.offered = 0

    def _read_mqtt(self, side: _Direction, from_client: bool, origin: Origin) -> None:
        ready = side.stream.ready
        while ready:
            size = mqtt.packet_size(bytes(ready[:8]))
            if size is None or (len(ready) < size <= tls.HELLO_LIMIT):
                return
            message = mqtt.parse(bytes(ready[:size]), origin, from_client)
            del ready[:size]
            side.said = True
            if message is not None:
                self.messages.append(message)
                if message.type == "disconnect":
                    self.finished = True
        if self._both[0].said and self._both[1].said:
            self.finished = True

    def _read_dns(self, side: _Direction, from_client: bool, origin: Origin) -> None:
        ready = side.stream.ready
        found, used = dns.tcp_messages(bytes(ready))
        del ready[:used]
        client, server = ip_text(self.client), ip_text(self.server)
        client_port, server_port = self._ports
        transport = _DNS_TRANSPORT[self._reader]
        for wire in found:
            if from_client:
                ends = (client, server, client_port, server_port)
            else:
                ends = (server, client, server_port, client_port)
            self.messages.append(dns.parse(wire, origin, *ends, transport))

    def _read_banner(self, side: _Direction, from_client: bool, origin: Origin) -> None:
        ready = side.stream.ready
        if not side.said and len(ready) >= 8:
            if self._reader == "ssh" and b"\n" not in ready and len(ready) < _LINE_BYTES:
                return
            data = bytes(ready[:_LINE_BYTES])
            seen = banner.recognise(data, self._ports[1], from_client)
            if seen != self._reader and self._reader != "telnet":
                self.finished = True
                return
            side.said = True
            self.messages.append(banner.parse(self._reader, data, origin, from_client))
        ready.clear()
        if self._both[0].said and self._both[1].said:
            self.finished = True

    def _read_dialogue(
        self, side: _Direction, from_client: bool, origin: Origin, payload: bytes
    ) -> None:
        """FTP and SMTP: the greeting, then whether credentials or TLS follow."""
        ready = side.stream.ready
        if from_client and ready[0] == tls.HANDSHAKE:
            self._reader = "tls"
            self._handshake = tls.Handshake()
            side.synchronised = True
            self._read_tls(side, from_client, origin, payload)
            return
        while b"\n" in ready:
            line, _, _ = bytes(ready[:4096]).partition(b"\n")
            del ready[: len(line) + 1]
            if not side.said and not from_client:
                side.said = True
                self.messages.append(banner.parse(self._reader, line, origin, from_client))
            elif from_client and banner.gives_credentials(line):
                self.messages.append(banner.parse(self._reader, line, origin, from_client))
                self.finished = True
                return
        if len(ready) > _LINE_BYTES:
            ready.clear()


def not_tls(origin: Origin, app: str) -> NotTls:
    """The report about a connection to a TLS port that carries another protocol."""
    return NotTls(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        looks_like=app,
    )


def _begin_with(ready: bytearray, payload: bytes) -> None:
    """Drop the bytes before the newest segment, if that one is complete."""
    if ready.endswith(payload):
        del ready[: -len(payload)]


def _is_dns(data: bytes) -> bool:
    """A DNS-over-TCP length and a header that could be."""
    if len(data) < 14:
        return False
    size, opcode = data[0] << 8 | data[1], data[4] >> 3 & 15
    return size >= 12 and opcode <= 6 and int.from_bytes(data[6:8], "big") <= 4
