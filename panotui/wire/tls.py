"""TLS handshakes as a passive observer sees them (RFC 5246, 6066, 7301, 8446): in-order bytes of
both directions in, messages out; no sockets, no sequence numbers.

`client_hello` and `server_hello` read one handshake message. `Handshake` follows the records of a
connection, however hellos are split into records and segments, until application data has flowed
both ways. It reports names, versions, cleartext certificates (1.2 and before), alerts, and whether
the handshake succeeded. A connection first seen in its middle is followed by its record headers.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple, TypeAlias

from panotui.model import TlsAlert, TlsCertificate, TlsClientHello, TlsFinished, TlsServerHello
from panotui.wire import x509
from panotui.wire.origin import Malformed, Origin
from panotui.wire.text import printable

HELLO_LIMIT = 16_384
FLIGHT_LIMIT = 65_536
RECORD_LIMIT = 16_384 + 2048
CHANGE_CIPHER, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE, _REQUEST, _DONE = 1, 2, 11, 13, 14
_SNI, _ALPN, _TICKET, _PSK, _VERSIONS, _ECH = 0, 16, 35, 41, 43, 0xFE0D
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
VERSIONS = {0x0300: "ssl3", 0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}
# An encrypted TLS 1.3 alert: 2 bytes, 1 of content type, 16 of authentication.
_ALERT_13 = 19
# The longest TLS 1.3 Finished record is 4 + 48 + 1 + 16 bytes; a client whose first record is
# larger has sent a certificate first.
_FINISHED_13_LIMIT = 100
# Names that providers show instead of the real one (outer name of Encrypted Client Hello).
_PUBLIC_NAMES = ("cloudflare-ech.com",)

TlsMessage: TypeAlias = TlsClientHello | TlsServerHello | TlsCertificate | TlsAlert | TlsFinished


class ClientHello(NamedTuple):
    """The content of a ClientHello; `session` is the raw session id."""

    sni: str | None
    alpn: tuple[str, ...]
    version: str
    ech: bool
    ech_outer: bool
    resumption: bool
    session: bytes


class ServerHello(NamedTuple):
    version: str
    cipher: int
    alpn: str | None
    retry_request: bool
    session: bytes
    psk: bool


def version_text(number: int) -> str:
    """Version number as text; drafts of 1.3 count as 1.3, others by number."""
    if number >> 8 == 0x7F:
        return "1.3"
    return VERSIONS.get(number, f"{number:#06x}")


def client_hello(body: bytes, whole: bool = True) -> ClientHello:
    """A ClientHello from its legacy version (after the handshake header).

    `whole` false: only its beginning was captured, and that part is read.
    """
    if len(body) < 35:
        raise Malformed("ClientHello shorter than its fixed part")
    legacy = body[0] << 8 | body[1]
    at = 34
    session, at = _vector(body, at, 1)
    _, at = _vector(body, at, 2)
    _, at = _vector(body, at, 1)
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    offered = 0
    ech = resumption = False
    for kind, value in _extensions(body, at, whole):
        if kind == _SNI:
            sni = server_name(value)
        elif kind == _ALPN:
            alpn = _protocols(value)
        elif kind == _VERSIONS and value:
            listed = value[1 : 1 + value[0]]
            for i in range(0, len(listed) - 1, 2):
                number = listed[i] << 8 | listed[i + 1]
                if number in VERSIONS:
                    offered = max(offered, number)
                elif number >> 8 == 0x7F:
                    offered = max(offered, 0x0304)
        elif kind == _PSK or (kind == _TICKET and value):
            resumption = True
        elif kind == _ECH:
            ech = True
    return ClientHello(
        sni,
        alpn,
        version_text(offered or legacy),
        ech,
        ech and sni is not None and sni.endswith(_PUBLIC_NAMES),
        resumption,
        session,
    )


def server_hello(body: bytes) -> ServerHello:
    """A ServerHello or HelloRetryRequest from its legacy version."""
    if len(body) < 38:
        raise Malformed("ServerHello shorter than its fixed part")
    number = body[0] << 8 | body[1]
    retry = body[2:34] == _RETRY
    session, at = _vector(body, 34, 1)
    if at + 3 > len(body):
        raise Malformed("ServerHello cut short")
    cipher = body[at] << 8 | body[at + 1]
    alpn: str | None = None
    psk = False
    for kind, value in _extensions(body, at + 3):
        if kind == _VERSIONS and len(value) == 2:
            number = value[0] << 8 | value[1]
        elif kind == _ALPN:
            protocols = _protocols(value)
            alpn = protocols[0] if protocols else None
        elif kind == _PSK:
            psk = True
    return ServerHello(version_text(number), cipher, alpn, retry, session, psk)


def server_name(value: bytes) -> str | None:
    """Host name of a server_name extension: lower case, no trailing dot; None for IP literals."""
    if len(value) < 5:
        return None  # empty in a ServerHello
    at, end = 2, min(len(value), 2 + (value[0] << 8 | value[1]))
    while at + 3 <= end:
        size = value[at + 1] << 8 | value[at + 2]
        if at + 3 + size > end:
            raise Malformed("server name runs past its extension")
        if value[at] == 0:
            return host_name(value[at + 3 : at + 3 + size])
        at += 3 + size
    return None


def host_name(raw: bytes) -> str | None:
    """A host name from the wire: lower case, no trailing dot, printable; None if empty or an IP."""
    text = printable(raw, 255).lower().removesuffix(".")
    if not text:
        return None
    if text[-1].isdigit() or ":" in text:
        try:
            ipaddress.ip_address(text.strip("[]"))
        except ValueError:
            return text
        return None
    return text


def _protocols(value: bytes) -> tuple[str, ...]:
    found: list[str] = []
    at = 2
    while at < len(value) and len(found) < 16:
        size = value[at]
        name = value[at + 1 : at + 1 + size]
        if len(name) < size:
            raise Malformed("ALPN name runs past its extension")
        # GREASE (RFC 8701): two equal bytes of the form 0x?A
        if not (size == 2 and name[0] == name[1] and name[0] & 15 == 10):
            found.append(printable(name, 64))
        at += 1 + size
    return tuple(found)


def _vector(body: bytes, at: int, width: int) -> tuple[bytes, int]:
    start = at + width
    end = start + int.from_bytes(body[at:start], "big")
    if start > len(body) or end > len(body):
        raise Malformed("hello field runs past the message")
    return body[start:end], end


def _extensions(body: bytes, at: int, whole: bool = True) -> list[tuple[int, bytes]]:
    """(type, data) of each extension; before TLS 1.3 there may be none."""
    if at + 2 > len(body):
        return []
    end = at + 2 + (body[at] << 8 | body[at + 1])
    if end > len(body):
        if whole:
            raise Malformed("extensions run past the hello")
        end = len(body)
    at += 2
    found: list[tuple[int, bytes]] = []
    while at + 4 <= end:
        kind, size = body[at] << 8 | body[at + 1], body[at + 2] << 8 | body[at + 3]
        if at + 4 + size > end:
            if whole:
                raise Malformed("extension runs past the hello")
            break
        found.append((kind, body[at + 4 : at + 4 + size]))
        at += 4 + size
    return found


class _Side:
    """One direction's position in its records."""

    __slots__ = (
        "alert",
        "blind",
        "changed_cipher",
        "encrypted",
        "first_encrypted",
        "header",
        "kind",
        "left",
        "lost",
        "messages",
        "protected",
        "sent_certificate",
    )

    def __init__(self) -> None:
        self.header = bytearray()  # of the next record, while it is cut
        self.kind = 0
        self.left = 0  # bytes of the current record still to come
        self.messages = bytearray()  # handshake bytes not yet read
        self.blind = False  # handshake bytes were missed: the rest of them is useless
        self.lost = False  # record headers were missed: a segment must start with one
        self.alert = bytearray()
        self.changed_cipher = False
        self.protected = False  # an encrypted handshake or data record was seen
        self.encrypted = 0  # records of type 23 after the ServerHello
        self.first_encrypted = 0  # size of the first of them
        self.sent_certificate = False


class Handshake:
    """Follows one connection; feed it each direction's bytes in order.

    `done` is true when nothing more can be learnt: application data flowed both ways.
    """

    __slots__ = (
        "_begun",
        "_certificate",
        "_client",
        "_hellos",
        "_requested",
        "_served",
        "_server",
        "_session",
        "done",
        "started",
        "version",
    )

    def __init__(self) -> None:
        self._client = _Side()
        self._server = _Side()
        self._session = b""
        self._served = 0  # bytes of the server until now
        self._hellos = 0
        self._requested = False
        self._begun: Origin | None = None  # start of the client's first record
        self._certificate: tuple[Origin, list[bytes]] | None = None
        self.version: str | None = None  # agreed on
        self.started = False  # a hello was seen
        self.done = False

    @property
    def held(self) -> int:
        """Bytes kept in memory."""
        kept = sum(map(len, self._certificate[1])) if self._certificate else 0
        return len(self._client.messages) + len(self._server.messages) + kept

    def feed(self, data: bytes, from_client: bool, origin: Origin) -> list[TlsMessage]:
        """Add the next bytes of a direction; `Malformed` if they are not TLS records."""
        side = self._client if from_client else self._server
        out: list[TlsMessage] = []
        at, end = 0, len(data)
        counted = 0
        while at < end and not self.done:
            if not side.left:
                take = min(5 - len(side.header), end - at)
                side.header += data[at : at + take]
                at += take
                if len(side.header) < 5:
                    break
                if not from_client:
                    self._served += at - counted
                    counted = at
                self._open(side, from_client, origin, out)
                continue
            take = min(side.left, end - at)
            if side.kind == HANDSHAKE and not side.blind:
                side.messages += data[at : at + take]
            elif side.kind == ALERT:
                side.alert += data[at : at + take]
            side.left -= take
            at += take
            if side.kind == HANDSHAKE:
                self._read(side, from_client, origin, out)
            elif side.kind == ALERT and not side.left:
                self._alert(side, from_client, origin, out)
        if not from_client:
            self._served += end - counted
        return out

    def close(self) -> list[TlsMessage]:
        """Report messages that were held back for a following one."""
        out: list[TlsMessage] = []
        self._flush(out)
        self._half_hello(out)
        return out

    @property
    def waits(self) -> bool:
        """True if the client's last message of a TLS 1.3 handshake got no answer."""
        lost = self._server.lost or self._server.blind
        waits = self._client.protected and not self._server.protected
        return self.version == "1.3" and waits and not lost

    def lost(self, from_client: bool) -> bool:
        """Whether a direction's next bytes must start a record, because headers were missed."""
        return (self._client if from_client else self._server).lost

    def resume(self, from_client: bool) -> None:
        """The next bytes of a direction that was lost start a record."""
        side = self._client if from_client else self._server
        side.lost = False

    def skip(self, size: int, from_client: bool) -> list[TlsMessage]:
        """`size` bytes of a direction were not captured; a message cut short by them is reported as
        it is.
        """
        side = self._client if from_client else self._server
        out: list[TlsMessage] = []
        if not from_client:
            self._served += size
        if side.kind == HANDSHAKE and side.left:
            if from_client:
                self._half_hello(out)
            side.blind = True
            side.messages.clear()
        if size <= side.left:
            side.left -= size
        else:
            side.left = 0
            side.header.clear()
            side.lost = True
        return out

    def _half_hello(self, out: list[TlsMessage]) -> None:
        """Report a ClientHello whose end is missing, if its name is complete; "no name" would be
        wrong.
        """
        cut = self._client.messages
        if self._hellos or self._begun is None or cut[:1] != b"\x01":
            return
        try:
            hello = client_hello(bytes(cut[4:]), whole=False)
        except (Malformed, IndexError):
            return
        if hello.sni is None:
            return
        self._hellos = 1
        self.started = True
        self._session = hello.session
        size = int.from_bytes(cut[1:4], "big") + 4
        out.append(hello_message(hello, size, "tls", self._begun))

    def _open(self, side: _Side, from_client: bool, origin: Origin, out: list[TlsMessage]) -> None:
        """A record begins."""
        kind, size = side.header[0], side.header[3] << 8 | side.header[4]
        if side.header[1] != 3 or not CHANGE_CIPHER <= kind <= 24 or size > RECORD_LIMIT:
            raise Malformed("not a TLS record")
        side.header.clear()
        side.kind, side.left = kind, size
        if from_client and self._begun is None:
            self._begun = origin
        if from_client and kind != ALERT:
            self._flush(out)
        if kind == CHANGE_CIPHER:
            if self.version != "1.3":
                side.changed_cipher = True
        elif kind == HANDSHAKE and side.changed_cipher:
            side.kind = 0  # an encrypted Finished: nothing to read
            side.protected = True
        elif kind == ALERT:
            side.alert.clear()
            if side.changed_cipher or size != 2:
                side.kind = 0
                # without a hello it is most likely the close of an old connection
                if size >= 16 and self.started:
                    out.append(self._alert_message(from_client, None, None, origin))
        elif kind == DATA:
            self._protected_data(side, size, from_client, origin, out)
        if self._client.protected and self._server.protected and not self.done:
            self._flush(out)
            self.done = True
            out.append(
                TlsFinished(
                    time_ns=origin.time_ns,
                    packet=origin.packet,
                    interface=origin.interface,
                    flow=origin.flow,
                    server_bytes=self._served + (0 if from_client else size)
                    if self.started
                    else -1,
                )
            )

    def _protected_data(
        self,
        side: _Side,
        size: int,
        from_client: bool,
        origin: Origin,
        out: list[TlsMessage],
    ) -> None:
        """A record of type 23: data, or in TLS 1.3 also the rest of the handshake."""
        if self.version != "1.3":
            if self.started and not side.changed_cipher and self.version is None:
                return  # early data, before the answer
            side.protected = True
            return
        side.encrypted += 1
        first = side.encrypted == 1
        if first:
            side.first_encrypted = size
        if from_client:
            # The client's first one is its Finished (or certificate); an alert instead means
            # refusal.
            if first and size == _ALERT_13:
                out.append(self._alert_message(True, None, None, origin))
            else:
                side.protected = True
        elif self._client.protected:
            # Anything that the server encrypts after the client's Finished, except an alert,
            # accepts it.
            if size == _ALERT_13:
                out.append(self._alert_message(False, None, None, origin))
            else:
                side.protected = True
        elif size == _ALERT_13:
            out.append(self._alert_message(False, None, None, origin))

    def _read(self, side: _Side, from_client: bool, origin: Origin, out: list[TlsMessage]) -> None:
        """Read the complete handshake messages."""
        buffer = side.messages
        while len(buffer) >= 4:
            kind, size = buffer[0], int.from_bytes(buffer[1:4], "big")
            if size > (HELLO_LIMIT if kind in (_CLIENT_HELLO, _SERVER_HELLO) else FLIGHT_LIMIT):
                raise Malformed("handshake message beyond all limits")
            if len(buffer) < 4 + size:
                return
            body = bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
            self._message(kind, body, from_client, origin, out)

    def _message(
        self, kind: int, body: bytes, from_client: bool, origin: Origin, out: list[TlsMessage]
    ) -> None:
        if kind == _CLIENT_HELLO:
            hello = client_hello(body)
            self.started = True
            self._session = hello.session
            self._hellos += 1
            if self._hellos == 1:  # the second answers a HelloRetryRequest
                out.append(hello_message(hello, len(body) + 4, "tls", origin))
        elif kind == _SERVER_HELLO:
            answer = server_hello(body)
            self.started = True
            if not answer.retry_request:
                self.version = answer.version
            echoed = bool(answer.session) and answer.session == self._session
            out.append(
                TlsServerHello(
                    time_ns=origin.time_ns,
                    packet=origin.packet,
                    interface=origin.interface,
                    flow=origin.flow,
                    version=answer.version,
                    cipher=answer.cipher,
                    alpn=answer.alpn,
                    retry_request=answer.retry_request,
                    resumed=answer.psk if answer.version == "1.3" else echoed,
                )
            )
        elif kind == _CERTIFICATE:
            chain = _chain(body)
            if from_client:
                if chain:
                    self._client.sent_certificate = True
                    self._certificate_message(origin, chain, True, out)
            elif chain:
                self._flush(out)
                self._certificate = (origin, chain)
        elif kind == _REQUEST and not from_client:
            self._requested = True
        elif kind == _DONE:
            self._flush(out)

    def _flush(self, out: list[TlsMessage]) -> None:
        """Report the server's certificate, which was held back for a possible
        CertificateRequest.
        """
        if self._certificate is not None:
            origin, chain = self._certificate
            self._certificate = None
            self._certificate_message(origin, chain, False, out)

    def _certificate_message(
        self, origin: Origin, chain: list[bytes], from_client: bool, out: list[TlsMessage]
    ) -> None:
        facts = x509.parse(chain[0])
        out.append(
            TlsCertificate(
                time_ns=origin.time_ns,
                packet=origin.packet,
                interface=origin.interface,
                flow=origin.flow,
                from_client=from_client,
                subject=facts.subject if facts else "",
                issuer=facts.issuer if facts else "",
                issuer_organisation=facts.issuer_organisation if facts else "",
                names=facts.names if facts else (),
                not_before_ns=facts.not_before_ns if facts else None,
                not_after_ns=facts.not_after_ns if facts else None,
                chain=len(chain),
                requested=self._requested,
            )
        )

    def _alert(self, side: _Side, from_client: bool, origin: Origin, out: list[TlsMessage]) -> None:
        self._flush(out)
        out.append(self._alert_message(from_client, side.alert[0], side.alert[1], origin))

    def _alert_message(
        self, from_client: bool, level: int | None, code: int | None, origin: Origin
    ) -> TlsAlert:
        certified = self._client.sent_certificate or (
            self.version == "1.3" and self._client.first_encrypted > _FINISHED_13_LIMIT
        )
        return TlsAlert(
            time_ns=origin.time_ns,
            packet=origin.packet,
            interface=origin.interface,
            flow=origin.flow,
            from_client=from_client,
            level=level,
            code=code,
            after_client_certificate=not from_client and certified,
        )


def hello_message(hello: ClientHello, size: int, carrier: str, origin: Origin) -> TlsClientHello:
    """A ClientHello as a message; `size` includes the handshake header."""
    return TlsClientHello(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        sni=hello.sni,
        alpn=hello.alpn,
        version=hello.version,
        ech=hello.ech,
        ech_outer=hello.ech_outer,
        resumption=hello.resumption,
        carrier=carrier,
        size=size,
    )


def sslv2_hello(data: bytes, origin: Origin) -> TlsClientHello:
    """An SSL 2.0 ClientHello that offers a later version (RFC 5246 E.2): only the version."""
    if len(data) < 11:
        raise Malformed("SSL 2.0 hello cut short")
    return TlsClientHello(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        sni=None,
        version=version_text(data[3] << 8 | data[4]),
        size=((data[0] & 0x7F) << 8) + data[1],
    )


def _chain(body: bytes) -> list[bytes]:
    """The certificates of a Certificate message of TLS 1.2 and before, the leaf first."""
    if len(body) < 3:
        raise Malformed("Certificate message cut short")
    at, end = 3, min(len(body), 3 + int.from_bytes(body[:3], "big"))
    chain: list[bytes] = []
    while at + 3 <= end and len(chain) < 16:
        size = int.from_bytes(body[at : at + 3], "big")
        if at + 3 + size > end:
            raise Malformed("certificate runs past its message")
        chain.append(body[at + 3 : at + 3 + size])
        at += 3 + size
    return chain
