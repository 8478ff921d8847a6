"""Alerts to syslog: lines by RFC 5424, over a Unix socket, UDP (RFC 5426), TCP or TLS (RFC 5425).

Structured data carries the fields of the alert besides its text. A private SD-ID needs a private
enterprise number (RFC 5424, 6.3.2 and 7.2.2), which only an organization has. With it the element
is `panotui@NUMBER`; without it only registered elements are used (`origin`, `meta`), and the
message's text has the rest.
"""

from __future__ import annotations

import itertools
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from panotui import __version__
from panotui.errors import UsageError
from panotui.telemetry.alerts import Alert

LEVELS = {"error": 3, "warning": 4, "info": 6}
FACILITY_LOCAL0 = 16
PORT, TLS_PORT = 514, 6514
TIMEOUT_S = 10.0
LINE_MOST = 8_192  # receivers need not accept more (RFC 5424, 6.1: SHOULD accept 2,048)
DATAGRAM_MOST = 2_048
REFUSED_WITHIN_S = 0.05  # an ICMP error or a reset of a connection that has ended

Deliver = Callable[[Alert], None]


def syslog_line(
    alert: Alert, host: str, *, enterprise: int | None = None, sequence: int = 1
) -> bytes:
    """`<PRI>1 TIME HOST APP PROCID MSGID [SD] MSG`; the text is UTF-8 and marked as such."""
    priority = FACILITY_LOCAL0 * 8 + LEVELS[alert.severity]
    data = _element("origin", {"software": "panotui", "swVersion": __version__})
    data += _element("meta", {"sequenceId": str(sequence)})
    text = f"{alert.type} {alert.id}: {alert.text}"
    if enterprise is not None:
        pairs = {
            "type": alert.type, "id": alert.id, "subject": alert.subject, "site": alert.site,
            "port": alert.port, "action": alert.action,
        }  # fmt: skip
        data += _element(f"panotui@{enterprise}", {k: v for k, v in pairs.items() if v})
        text = alert.text
    elif alert.subject not in alert.text:
        text = f"{alert.type} {alert.id} ({alert.subject}): {alert.text}"
    head = (
        f"<{priority}>1 {alert.time} {_name(host, 255)} panotui {os.getpid()}"
        f" {_name(alert.id, 32)} {data} "
    )
    return head.encode() + b"\xef\xbb\xbf" + text.encode("utf-8", "replace")


def _name(text: str, most: int) -> str:
    """Printable ASCII without spaces, as in a header field."""
    return "".join(c for c in text if 33 <= ord(c) <= 126)[:most] or "-"


def _element(name: str, pairs: dict[str, str]) -> str:
    def value(text: str) -> str:  # 6.3.3: backslash, quote and bracket are escaped
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")

    return f"[{name} " + " ".join(f'{k}="{value(v)}"' for k, v in pairs.items()) + "]"


def _cut(line: bytes, most: int) -> bytes:
    """At most this many bytes, without half a character at the end."""
    return line if len(line) <= most else line[:most].decode("utf-8", "ignore").encode()


def sequence() -> Iterator[int]:
    """RFC 5424, 7.3.1: from 1 to 2147483647, then from 1 again."""
    return itertools.cycle(range(1, 2**31))


def receiver(
    target: str,
    *,
    enterprise: int | None = None,
    ca: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Deliver:
    """A function that delivers to `HOST[:PORT]`, `tcp://HOST[:PORT]`, `tls://HOST[:PORT]` or a
    socket's path.

    `ca`: certificates in PEM that TLS trusts instead of the machine's. UsageError for an invalid
    target.
    """
    host, numbers = socket.gethostname(), sequence()

    def line(alert: Alert) -> bytes:
        return syslog_line(alert, host, enterprise=enterprise, sequence=next(numbers))

    if target.startswith("/"):
        return _to_path(target, line)
    parts = urlsplit(target if "//" in target else f"udp://{target}")
    try:
        port = parts.port or (TLS_PORT if parts.scheme == "tls" else PORT)
    except ValueError:
        port = 0
    if parts.scheme not in ("udp", "tcp", "tls") or not parts.hostname or not port:
        raise UsageError(
            f"--syslog {target}",
            "not HOST[:PORT], tcp://HOST:PORT, tls://HOST:PORT or a socket's path",
        )
    if parts.scheme == "udp":
        return _to_datagrams((parts.hostname, port), line)
    context = tls_context(ca) if parts.scheme == "tls" else None
    return Stream((parts.hostname, port), line, context, timeout_s).deliver


def tls_context(ca: str | None) -> ssl.SSLContext:
    """A context that trusts the machine's certificates, or only those of `ca`. UsageError."""
    try:
        return ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError):
        raise UsageError(
            "--alerts-ca", "the file has no certificate (PEM)", "Name the CA's certificate."
        ) from None


def _to_path(path: str, line: Callable[[Alert], bytes]) -> Deliver:
    def deliver(alert: Alert) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(path)
            sock.send(_cut(line(alert), LINE_MOST))

    return deliver


def _to_datagrams(address: tuple[str, int], line: Callable[[Alert], bytes]) -> Deliver:
    def deliver(alert: Alert) -> None:
        family, kind, proto, _, where = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, proto) as sock:
            sock.connect(where)
            sock.send(_cut(line(alert), DATAGRAM_MOST))
            # Datagrams are not acknowledged, but a host without a receiver reports it by ICMP.
            time.sleep(REFUSED_WITHIN_S)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))

    return deliver


class Stream:
    """Lines with a length prefix (RFC 6587, 3.4.1; RFC 5425, 4.3) over one connection that is kept,
    and reopened after it has ended.
    """

    def __init__(
        self,
        address: tuple[str, int],
        line: Callable[[Alert], bytes],
        context: ssl.SSLContext | None,
        timeout_s: float,
    ) -> None:
        self._address = address
        self._line = line
        self._context = context
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def deliver(self, alert: Alert) -> None:
        """OSError if it was not sent, or if the receiver closed the connection right then."""
        line = _cut(self._line(alert), LINE_MOST)
        try:
            self._drop_if_ended(0.0)
            connection = self._socket or self._connect()
            connection.sendall(f"{len(line)} ".encode() + line)
            self._drop_if_ended(REFUSED_WITHIN_S)
        except OSError:
            self._drop()
            raise
        if self._socket is None:
            raise ConnectionResetError("the receiver ended the connection")

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(self._address, timeout=self._timeout_s)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            if self._context is not None:
                plain = self._context.wrap_socket(plain, server_hostname=self._address[0])
        except BaseException:
            plain.close()
            raise
        self._socket = plain
        return plain

    def _drop_if_ended(self, within_s: float) -> None:
        """A receiver sends nothing over this connection: a readable socket means that it has
        ended.
        """
        connection = self._socket
        if connection is None:
            return
        readable, _, _ = select.select([connection], [], [], within_s)
        if not readable:
            return
        connection.settimeout(0.0)
        try:
            ended = connection.recv(4096) == b""
        except (BlockingIOError, ssl.SSLWantReadError):
            ended = False  # a message of TLS itself, such as a session ticket
        finally:
            connection.settimeout(self._timeout_s)
        if ended:
            self._drop()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
