"""Real TLS handshakes by OpenSSL in memory: what each side says, in turns, nothing on any wire."""

from __future__ import annotations

import datetime
import ssl
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Turns = list[tuple[bool, bytes]]  # (from client, bytes)


@lru_cache(maxsize=8)
def certificate(name: str, days: int = 30, organisation: str = "Lab Inc.") -> str:
    """Path of a self-signed certificate and its key in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = Path(mkdtemp(prefix="panotui-tls-")) / "pair.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return str(path)


def handshake(
    version: ssl.TLSVersion,
    *,
    name: str | None = "logs.us-east-1.amazonaws.com",
    alpn: list[str] | None = None,
    server_alpn: list[str] | None = None,
    client_certificate: str | None = None,
    ask_client: bool = False,
    client_trusts: str | None = "logs.us-east-1.amazonaws.com",
    server_trusts: str | None = None,
    data: bool = True,
    session: ssl.SSLSession | None = None,
    keep: list[ssl.SSLSession] | None = None,
    server: ssl.SSLContext | None = None,
    client: ssl.SSLContext | None = None,
) -> Turns:
    """Both sides' bytes of one connection, ending where a side gives up or data went both ways."""
    server = server or server_context(version, server_alpn, ask_client, server_trusts)
    client = client or client_context(version, alpn, client_certificate, client_trusts)
    pipes = [ssl.MemoryBIO() for _ in range(4)]
    a = client.wrap_bio(pipes[0], pipes[1], server_hostname=name, session=session)
    b = server.wrap_bio(pipes[2], pipes[3], server_side=True)
    turns: Turns = []
    shaken = [False, False]
    over = [False, False]
    for _ in range(12):
        for index, side in enumerate((a, b)):
            if over[index]:
                continue
            try:
                if not shaken[index]:
                    side.do_handshake()
                    shaken[index] = True
                if data and shaken[index]:
                    if index == 0:
                        side.write(b"GET / HTTP/1.1\r\n\r\n")
                        over[0] = True
                    elif side.read(4096):
                        side.write(b"HTTP/1.1 200 OK\r\n\r\n")
                        over[1] = True
                elif shaken[index]:
                    side.read(1)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                over[index] = True
            said = pipes[1 + 2 * index].read()
            if said:
                turns.append((index == 0, said))
                pipes[2 - 2 * index].write(said)
    if keep is not None:
        try:
            a.read(4096)
        except ssl.SSLError:
            pass
        if a.session is not None:
            keep.append(a.session)
    return turns


def server_context(
    version: ssl.TLSVersion,
    alpn: list[str] | None = None,
    ask_client: bool = False,
    trusts: str | None = None,
) -> ssl.SSLContext:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers("ALL:@SECLEVEL=0")
    server.minimum_version = server.maximum_version = version
    server.load_cert_chain(certificate("logs.us-east-1.amazonaws.com"))
    if alpn:
        server.set_alpn_protocols(alpn)
    if ask_client:
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(certificate(trusts or "device"))
    return server


def client_context(
    version: ssl.TLSVersion,
    alpn: list[str] | None = None,
    client_certificate: str | None = None,
    trusts: str | None = None,
) -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    client.check_hostname = False
    if trusts:
        client.load_verify_locations(certificate(trusts))
    if alpn:
        client.set_alpn_protocols(alpn)
    if client_certificate:
        client.load_cert_chain(certificate(client_certificate))
    return client
