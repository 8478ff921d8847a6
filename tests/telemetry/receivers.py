"""Receivers of alerts on loopback: a web server, and a syslog server over TCP or TLS."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from panotui.telemetry.alerts import Alert

ALERT = Alert(
    time="2026-11-24T00:00:00.000000Z",
    type="violation",
    id="stream-leak",
    severity="error",
    subject='gate > "x]"',
    text="Camera gate talks to the internet",
)


def alert(number: int) -> Alert:
    return Alert(
        time="2026-11-24T00:00:00.000000Z", type="finding", id="tcp-blocked", severity="error",
        subject=f"host {number}", text=f"text {number}",
    )  # fmt: skip


class Web:
    """What came to a web server, and what it answers: codes in order, then 200."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.headers: dict[str, str] = {}
        self.bodies: list[bytes] = []
        self.headers_seen: list[dict[str, str]] = []
        self.url = ""


@contextmanager
def web(codes: list[int] | None = None, port: int = 0) -> Iterator[Web]:
    told = Web()
    told.codes = codes or []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            told.headers_seen.append(dict(self.headers))
            self.send_response(told.codes.pop(0) if told.codes else 200)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            return

    http.server.HTTPServer.allow_reuse_address = True
    server = http.server.HTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Syslog:
    """A syslog server that reads frames of RFC 6587's octet counting."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.lines: list[bytes] = []
        self.connections = 0
        self._context = context
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen()
        self.port = int(self._listener.getsockname()[1])
        self.came = threading.Condition()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
                peer = plain if self._context is None else self._context.wrap_socket(
                    plain, server_side=True
                )  # fmt: skip
            except ssl.SSLError:
                continue
            except OSError:
                return
            self.connections += 1
            self._open.append(peer)
            threading.Thread(target=self._read, args=(peer,), daemon=True).start()

    def _read(self, peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as stream:
            try:
                while True:
                    digits = b""
                    while (byte := stream.read(1)) not in (b" ", b""):
                        digits += byte
                    if not digits:
                        return
                    line = stream.read(int(digits))
                    with self.came:
                        self.lines.append(line)
                        self.came.notify_all()
            except OSError:
                return

    def wait_for(self, count: int, seconds: float = 60) -> list[bytes]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.lines) >= count, seconds)
            return list(self.lines)

    def hang_up(self) -> None:
        """End the connections that are open; more may come."""
        for peer in self._open:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._open.clear()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._thread.join(5)


@contextmanager
def syslog(port: int = 0, context: ssl.SSLContext | None = None) -> Iterator[Syslog]:
    server = Syslog(port, context)
    try:
        yield server
    finally:
        server.close()


def certificates(folder: Path, host: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """(a CA's certificate, what a server of `host` uses that it has signed)."""

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]

    def signed(subject: str, key: int, extension: x509.ExtensionType) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject)).issuer_name(name("a CA"))
            .public_key(keys[key].public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(extension, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(keys[key].public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()),
                critical=False,
            )
            .sign(keys[0], hashes.SHA256())
        )  # fmt: skip

    ca = signed("a CA", 0, x509.BasicConstraints(ca=True, path_length=None))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    leaf = signed("a receiver", 1, names)
    ca_file, both = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    both.write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + leaf.public_bytes(serialization.Encoding.PEM)
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return ca_file, context
