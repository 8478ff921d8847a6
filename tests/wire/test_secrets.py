"""Secrets in packets are found wherever cameras and clients put them, and nothing else is."""

from __future__ import annotations

import base64
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.wire.secrets import secrets_in, without_secrets

SECRET = "hunTer2/?x"
TOKEN = base64.b64encode(b"admin:hunTer2").decode()
WITH_SECRETS = [
    f"DESCRIBE rtsp://10.20.0.11/s1 RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Basic {TOKEN}\r\n\r\n",
    f"GET / HTTP/1.1\r\nproxy-authorization:Basic {TOKEN}\r\n\r\n",
    f'PLAY * RTSP/1.0\r\nAuthorization: Digest username="admin",\r\n response="{TOKEN}"\r\n\r\n',
    f"DESCRIBE rtsp://admin:{SECRET}@10.20.0.11/s1 RTSP/1.0\r\nCSeq: 2\r\n\r\n",
    f"DESCRIBE rtsp://10.20.0.11/user=admin_password={SECRET}_channel=1.sdp RTSP/1.0\r\n\r\n",
    f"GET /cgi-bin/snap?user=admin&loginpas={SECRET} HTTP/1.1\r\nHost: 10.20.0.11\r\n\r\n",
    f"RTSP/1.0 200 OK\r\nContent-Base: rtsp://10.20.0.11/s1?token={SECRET}\r\n\r\n",
    f"v=0\r\na=control:trackID=1;jwt={SECRET}\r\n",
    '<wsse:UsernameToken><wsse:Username>x</wsse:Username><wsse:Password Type="u#PasswordText">'
    f"{SECRET}</wsse:Password></wsse:UsernameToken>",
    f"HTTP/1.1 200 OK\r\nSet-Cookie: id={TOKEN}; Path=/\r\n\r\n",
    f'{{"user": "admin", "password": "{SECRET}"}}',
    f"some text with Basic {TOKEN} in it",
    f"rtsp://admin:my {SECRET} word@10.20.0.11/s1 was asked for",
    base64.b64encode(
        f"PLAY rtsp://a/ RTSP/1.0\r\nAuthorization: Basic {TOKEN}\r\n\r\n".encode()
    ).decode(),
]
WITHOUT = [
    "OPTIONS rtsp://10.20.0.11:554/cam/realmonitor?channel=1&subtype=0 RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"IPC\", nonce=\"5f2\"\r\n\r\n",
    "SETUP rtsp://10.20.0.11/s1/trackID=1 RTSP/1.0\r\nTransport: RTP/AVP;unicast\r\n\r\n",
    "GET /onvif/device_service HTTP/1.1\r\nHost: 10.20.0.11\r\nUser-Agent: gst\r\n\r\n",
    "v=0\r\no=- 1 1 IN IP4 10.20.0.11\r\nm=video 0 RTP/AVP 96\r\na=control:trackID=1\r\n",
]  # fmt: skip


@pytest.mark.parametrize("text", WITH_SECRETS)
def test_a_secret_is_written_over_and_its_length_stays(text: str) -> None:
    raw = text.encode()
    kept = without_secrets(raw)
    assert len(kept) == len(raw)
    for secret in (SECRET, TOKEN, "hunTer2", TOKEN[:12]):
        assert secret.encode() not in kept
    if base64.b64encode(b"PLAY")[:5] not in raw:
        assert kept[:4] == raw[:4]  # what it is, stays to be read


@pytest.mark.parametrize("text", WITHOUT)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text.encode()) == text.encode()


def test_a_secret_that_goes_on_says_what_ends_it() -> None:
    (secret,) = secrets_in(b"PLAY * RTSP/1.0\r\nAuthorization: Basic YWRt")
    assert secret.until == b"\n"
    (secret,) = secrets_in(b"<wsse:Password>hun")
    assert secret.until == b"<"


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_can_be_looked_through(before: bytes, after: bytes) -> None:
    text = before + b"\r\nAuthorization: Basic abcdefgh\r\n" + after
    found = secrets_in(text)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(found))
    assert b"abcdefgh" not in without_secrets(text)


@pytest.mark.parametrize(
    "piece",
    [b"http://", b" @", b"rtsp://a@", b"Authorization:", b"\n ", b"password=", b"A=", b"GET ",
     b"<password ", b"a_b=", b"%40", b", rtsp", b"Basic "],
)  # fmt: skip
def test_no_packet_costs_more_than_its_bytes(piece: bytes) -> None:
    """Ten times the bytes cost about ten times the work."""

    def spent(size: int) -> float:
        text = (b"GET http://" + piece * size)[:size]
        return min(_once(text) for _ in range(3))

    assert spent(40_000) < 40 * spent(4_000) + 0.005


def _once(text: bytes) -> float:
    began = time.process_time()
    secrets_in(text)
    return time.process_time() - began
