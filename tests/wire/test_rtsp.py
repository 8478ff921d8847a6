"""RTSP messages and their headers, from bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.wire.rtsp import (
    find_message,
    head_end,
    parse_head,
    parse_transport,
    starts_message,
)


def test_request_is_read_and_its_credentials_dropped():
    got = parse_head(
        b"DESCRIBE rtsp://admin:geheim@10.0.0.1/s1 RTSP/1.0\r\nCSeq: 3\r\n"
        b'Authorization: Digest username="admin", response="0123abcd"\r\n'
        b"User-Agent: LIVE555\r\n Streaming Media\r\n\r\n"
    )
    assert got is not None
    assert (got.method, got.url, got.cseq) == ("DESCRIBE", "rtsp://10.0.0.1/s1", 3)
    assert got.auth_sent == "Digest"
    assert got.one("user-agent") == "LIVE555 Streaming Media"
    assert not any(secret in str(got) for secret in ("geheim", "admin", "0123abcd"))


def test_answer_is_read_with_its_session_and_challenges():
    got = parse_head(
        b"RTSP/1.0 401 Unauthorized\nCSeq: 7\nSession: AbC ; timeout=30\n"
        b'WWW-Authenticate: Digest realm="x", nonce="n", stale=TRUE\n'
        b'WWW-Authenticate: Basic realm="x"\n\n'
    )
    assert got is not None
    assert (got.status, got.reason, got.cseq) == (401, "Unauthorized", 7)
    assert got.session() == ("AbC", 30)
    assert got.challenges() == (("Digest", "Basic"), True)


def test_control_characters_never_pass():
    got = parse_head(b"RTSP/1.0 200 \x1b]0;x\x07\r\nServer: \x1b[31mred\r\nCSeq: 1\r\n\r\n")
    assert got is not None
    assert "\x1b" not in str(got.reason) + str(got.headers)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"RTSP/1.0 200", True),
        (b"OPTIONS rtsp", True),
        (b"OPT", None),
        (b"", None),
        (b"GET / HTTP/1.1", False),
        (b"GET_PARAMETER x", True),
        (b"$\0\0\4", False),
    ],
)
def test_start_of_a_message_is_recognised(raw: bytes, wanted: bool | None) -> None:
    assert starts_message(raw) is wanted


def test_end_of_the_header_is_found_with_either_line_end():
    assert head_end(b"a\r\nb\r\n\r\nbody") == 8
    assert head_end(b"a\nb\n\nbody") == 5
    assert head_end(b"a\r\nb\r\n") == -1
    assert find_message(b"\x80junkRTSP/1.0 200 OK") == 5
    assert find_message(b"RTSP/1.0 then nothing") == -1


def test_transport_of_live555_gstreamer_and_rtsp_2():
    (live,) = parse_transport(
        "RTP/AVP;unicast;destination=10.0.0.5;source=10.0.0.1;client_port=5000-5001;"
        'server_port=6970-6971;ssrc=4B5A;mode="PLAY"'
    )
    assert (live.client_port, live.server_port) == ((5000, 5001), (6970, 6971))
    assert (live.destination, live.source, live.ssrc) == ("10.0.0.5", "10.0.0.1", 0x4B5A)
    assert not live.tcp
    first, second = parse_transport("RTP/AVP/TCP;unicast;interleaved=2-3,RTP/AVP;client_port=9000")
    assert first.tcp
    assert first.interleaved == (2, 3)
    assert second.client_port == (9000, 9001)
    (new,) = parse_transport(
        'RTP/AVP/UDP;unicast;dest_addr="192.0.2.5:3456"/"192.0.2.5:3457";src_addr=":6256"/":6257"'
    )
    assert (new.destination, new.client_port, new.server_port) == (
        "192.0.2.5",
        (3456, 3457),
        (6256, 6257),
    )
    (many,) = parse_transport("RTP/SAVP;multicast;destination=239.1.1.1;port=5004-5005;ttl=4")
    assert many.multicast
    assert (many.port, many.ttl, many.protocol) == ((5004, 5005), 4, "RTP/SAVP")


@given(st.text(max_size=200))
def test_any_transport_is_a_list(text: str) -> None:
    for one in parse_transport(text):
        assert one.client_port is None or one.client_port[0] <= 65535


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_none(raw: bytes) -> None:
    for start in (b"RTSP/1.0 200 OK\r\n", b"SETUP x RTSP/1.0\r\n", b""):
        got = parse_head(start + raw)
        if got is not None:
            assert got.body_length >= 0
            got.session()
            got.challenges()
            assert got.cseq is None or got.cseq >= 0
