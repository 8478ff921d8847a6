"""The probes against real servers on loopback."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from panotui.probes.connect import tcp, tls
from panotui.probes.names import resolve
from panotui.probes.ntp import ntp
from panotui.probes.rtsp import rtsp

Handler = Callable[[socket.socket], None]


@contextmanager
def tcp_server(handler: Handler) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            try:
                with peer:
                    peer.settimeout(3)
                    handler(peer)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@contextmanager
def udp_server(answer: Callable[[bytes], bytes | None]) -> Iterator[int]:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                data, peer = server.recvfrom(4096)
            except OSError:
                return
            back = answer(data)
            if back:
                server.sendto(back, peer)

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def test_tcp_tells_open_from_refused() -> None:
    with tcp_server(lambda peer: None) as port:
        assert tcp("127.0.0.1", port).ok
    with socket.socket() as silent:  # bound, so that nobody else listens at its port
        silent.bind(("127.0.0.1", 0))
        closed = tcp("127.0.0.1", silent.getsockname()[1])
    assert not closed.ok
    assert "refused" in closed.text


def test_a_name_that_resolves_and_one_that_does_not() -> None:
    def answer(query: bytes) -> bytes:
        question = query[12:]
        end = question.index(b"\0") + 5
        if b"missing" in question:
            return query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + question[:end]
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x0a"
        return query[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + question[:end] + record

    with udp_server(answer) as port:
        result, addresses = resolve("logs.example.com", "127.0.0.1", 2.0, port)
        assert result.ok
        assert addresses == ("203.0.113.10",)
        result, addresses = resolve("missing.example.com", "127.0.0.1", 2.0, port)
        assert "NXDOMAIN" in result.text
        assert not addresses
    with udp_server(lambda query: None) as port:
        assert "no answer" in resolve("x.example.com", "127.0.0.1", 0.3, port)[0].text


@pytest.mark.parametrize(("shift_s", "ok"), [(0, True), (600, False)])
def test_a_time_server_is_compared_with_our_clock(shift_s: int, ok: bool) -> None:
    def answer(request: bytes) -> bytes:
        now = time.time() + 2_208_988_800 + shift_s
        stamp = struct.pack(">II", int(now), int((now % 1) * 2**32))
        return bytes([0x24, 2, 6, 0xEC]) + bytes(12) + stamp + request[40:48] + stamp + stamp

    with udp_server(answer) as port:
        result = ntp("127.0.0.1", 2.0, port)
    assert result.ok is ok, result
    assert ("stratum 2" if ok else "off by") in result.text


def digest_camera(codec: str) -> Handler:
    """Asks for Digest with user admin and password secret, then describes."""

    def right(head: str) -> bool:
        given = dict(re.findall(r'(\w+)="([^"]*)"', head))
        one = hashlib.md5(b"admin:cam:secret").hexdigest()
        two = hashlib.md5(f"DESCRIBE:{given['uri']}".encode()).hexdigest()
        return hashlib.md5(f"{one}:n1:{two}".encode()).hexdigest() == given["response"]

    def handle(peer: socket.socket) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                chunk = peer.recv(4096)
                if not chunk:
                    return
                data += chunk
            head, _, data = data.partition(b"\r\n\r\n")
            text = head.decode()
            if text.startswith("OPTIONS"):
                peer.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE\r\n\r\n")
            elif "Authorization" in text and right(text):
                sdp = f"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 {codec}/90000\r\n".encode()
                peer.sendall(
                    b"RTSP/1.0 200 OK\r\nServer: cam\r\nContent-Length: %d\r\n\r\n" % len(sdp) + sdp
                )
            else:
                peer.sendall(
                    b'RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm="cam",'
                    b' nonce="n1"\r\n\r\n'
                )

    return handle


def test_a_camera_is_asked_with_digest_and_its_codec_judged() -> None:
    with tcp_server(digest_camera("H264")) as port:
        url = f"rtsp://127.0.0.1:{port}/stream1"
        good = rtsp(url, "admin", "secret")
        assert good.ok
        assert good.text == "H264"
        assert "asks for a password" in rtsp(url).text
        wrong = rtsp(url, "admin", "wrong")
        assert not wrong.ok
        assert "refuses the password" in wrong.text
        assert "secret" not in str(good)
    with tcp_server(digest_camera("H265")) as port:
        other = rtsp(f"rtsp://127.0.0.1:{port}/", "admin", "secret")
        assert not other.ok
        assert "H.264 only" in other.text


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad\r\n\r\n", b"\x00" * 100_000, b"", b"RTSP/1.0 x\r\n\r\n"]
)
def test_what_is_no_camera_is_told_in_a_line(said: bytes) -> None:
    def handle(peer: socket.socket) -> None:
        peer.recv(100)
        peer.sendall(said)

    with tcp_server(handle) as port:
        result = rtsp(f"rtsp://127.0.0.1:{port}/", timeout_s=2.0)
    assert not result.ok
    assert "\n" not in result.text


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Lab CA"),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "c.pem", folder / "k.pem"
    cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, private


def test_a_chain_that_is_trusted_and_one_that_is_not(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "logs.example.com")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(cert, key)

    def handle(peer: socket.socket) -> None:
        served.wrap_socket(peer, server_side=True).recv(1)

    trusting = ssl.create_default_context(cafile=str(cert))
    with tcp_server(handle) as port:
        good = tls("logs.example.com", port, address="127.0.0.1", context=trusting)
        assert good.ok, good
        assert "Lab CA" in good.detail[0]
        bad = tls("logs.example.com", port, address="127.0.0.1")
        assert not bad.ok
        assert "not accepted" in bad.text
        other = tls("other.example.com", port, address="127.0.0.1", context=trusting)
        assert "not accepted" in other.text
    with tcp_server(lambda peer: peer.sendall(b"SSH-2.0-x\r\n")) as port:
        assert "handshake fails" in tls("x.example.com", port, address="127.0.0.1").text
