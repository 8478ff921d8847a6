"""TLS as the control lane sees it: real OpenSSL handshakes, cut, shuffled and refused."""

from __future__ import annotations

import random
import ssl
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.lanes import LANE_BULK, LANE_HANDSHAKE
from panotui.model import (
    APPS,
    BannerMessage,
    HttpMessage,
    NotTls,
    TlsAlert,
    TlsCertificate,
    TlsClientHello,
    TlsFinished,
    TlsServerHello,
)
from tests.meter.packets_in import Conversation
from tests.meter.through_lane import Run, end, run_frames
from tests.meter.tls_in_memory import (
    client_context,
    handshake,
    server_context,
)

NAME = "logs.us-east-1.amazonaws.com"
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def converse(turns: list[tuple[bool, bytes]], cut: int = 1400, **options) -> Conversation:
    talk = Conversation(**options)
    talk.start()
    for from_client, said in turns:
        talk.say(from_client, said, cut)
    return talk


def seen(turns: list[tuple[bool, bytes]], cut: int = 1400, **options) -> Run:
    result = run_frames(converse(turns, cut, **options).frames)
    end(result)
    return result


def hello_record(extensions: bytes = b"", fill: int = 0, name: bytes = NAME.encode()) -> bytes:
    """A ClientHello record (or several) whose key share is as long as `fill`."""
    sni = struct.pack("!HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    share = struct.pack("!HH", 51, fill) + bytes(fill) if fill else b""
    body = sni + extensions + share
    message = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    message += struct.pack("!H", len(body)) + body
    return b"\x01" + len(message).to_bytes(3, "big") + message


def records(message: bytes, size: int = 16_384) -> bytes:
    out = b""
    for at in range(0, len(message), size):
        part = message[at : at + size]
        out += b"\x16\x03\x01" + struct.pack("!H", len(part)) + part
    return out


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("cut", [1400, 100, 7])
@pytest.mark.parametrize("v6", [False, True])
def test_handshake_is_followed_however_it_is_cut(version, cut, v6):
    result = seen(handshake(version, alpn=["x-amzn-mqtt-ca"]), cut, v6=v6)
    (hello,) = result.of(TlsClientHello)
    assert (hello.sni, hello.alpn) == (NAME, ("x-amzn-mqtt-ca",))
    assert hello.version == ("1.3" if version == V13 else "1.2")
    (answer,) = result.of(TlsServerHello)
    assert answer.version == hello.version
    assert len(result.of(TlsFinished)) == 1
    assert not result.of(TlsAlert)
    assert not result.of(NotTls)
    assert [APPS[app] for app in result.apps()] == ["tls"]
    certificates = result.of(TlsCertificate)
    if version == V13:
        assert certificates == []
    else:
        assert [(c.subject, c.issuer_organisation, c.names) for c in certificates] == [
            (NAME, "Lab Inc.", (NAME,))
        ]
        assert certificates[0].not_before_ns < certificates[0].not_after_ns
    assert LANE_BULK in result.lanes.values()


def test_agreed_protocol_of_tls_1_2_is_told():
    result = seen(handshake(V12, alpn=["mqtt", "http/1.1"], server_alpn=["http/1.1"]))
    assert result.of(TlsServerHello)[0].alpn == "http/1.1"


@pytest.mark.parametrize("version", [V12, V13])
def test_resumed_session_is_told_and_shows_no_certificate(version):
    server, client = server_context(version), client_context(version, trusts=NAME)
    sessions: list[ssl.SSLSession] = []
    handshake(version, server=server, client=client, keep=sessions)
    turns = handshake(version, server=server, client=client, session=sessions[-1])
    result = seen(turns)
    assert result.of(TlsClientHello)[0].resumption
    assert result.of(TlsServerHello)[0].resumed
    assert result.of(TlsCertificate) == []
    assert len(result.of(TlsFinished)) == 1


def test_first_handshake_is_not_called_resumed():
    for version in (V12, V13):
        result = seen(handshake(version))
        assert not result.of(TlsClientHello)[0].resumption
        assert not result.of(TlsServerHello)[0].resumed


def test_client_that_distrusts_the_server_sends_a_clear_alert_in_tls_1_2():
    result = seen(handshake(V12, client_trusts="someone else"))
    (alert,) = result.of(TlsAlert)
    assert (alert.from_client, alert.level, alert.code) == (True, 2, 48)
    assert result.of(TlsFinished) == []


def test_client_that_distrusts_the_server_alerts_in_tls_1_3():
    turns = handshake(V13, client_trusts="someone else")
    result = seen(turns)
    (alert,) = result.of(TlsAlert)
    assert (alert.from_client, alert.code) == (True, 48)  # OpenSSL has no keys for it yet
    assert result.of(TlsFinished) == []
    # clients that have them (Go, NSS, s2n) send a record that only its size betrays
    hidden = [
        *turns[:-1],
        (True, b"\x14\x03\x03\x00\x01\x01" + b"\x17\x03\x03\x00\x13" + bytes(19)),
    ]
    (alert,) = seen(hidden).of(TlsAlert)
    assert (alert.from_client, alert.level, alert.code) == (True, None, None)


@pytest.mark.parametrize("version", [V12, V13])
def test_mutual_tls_that_works_is_finished(version):
    turns = handshake(version, ask_client=True, client_certificate="device", server_trusts="device")
    result = seen(turns)
    assert len(result.of(TlsFinished)) == 1
    assert result.of(TlsAlert) == []
    if version == V12:
        ours, theirs = result.of(TlsCertificate)
        assert (ours.from_client, theirs.from_client) == (False, True)
        assert ours.requested
        assert theirs.subject == "device"


@pytest.mark.parametrize("version", [V12, V13])
def test_refused_client_certificate_is_told_as_such(version):
    turns = handshake(version, ask_client=True, client_certificate="stranger")
    result = seen(turns)
    (alert,) = result.of(TlsAlert)
    assert not alert.from_client
    assert alert.after_client_certificate
    assert result.of(TlsFinished) == []
    if version == V12:
        assert alert.code in (42, 46, 48)


def test_server_that_wants_a_certificate_and_gets_none_is_no_refused_certificate():
    result = seen(handshake(V12, ask_client=True))
    (alert,) = result.of(TlsAlert)
    assert (alert.from_client, alert.after_client_certificate) == (False, False)


def test_no_common_version_is_a_clear_alert():
    server, client = server_context(V13), client_context(V12)
    result = seen(handshake(V12, server=server, client=client))
    (alert,) = result.of(TlsAlert)
    assert (alert.from_client, alert.level, alert.code) == (False, 2, 70)


def test_connection_that_only_shakes_hands_and_closes_has_no_alert():
    result = seen(handshake(V13, data=False))
    assert result.of(TlsAlert) == []
    assert len(result.of(TlsFinished)) == 1  # the server's tickets answer the client's Finished


@pytest.mark.parametrize("fill", [0, 1200, 1900, 9000])
@pytest.mark.parametrize("size", [16_384, 300])
def test_long_hello_in_many_records_is_read(fill, size):
    result = seen([(True, records(hello_record(fill=fill), size))], cut=536)
    (hello,) = result.of(TlsClientHello)
    assert hello.sni == NAME
    assert hello.size == len(hello_record(fill=fill))


def test_tls_on_the_port_of_rtsps_is_named_so():
    hello = records(hello_record(name=b"dock.cameras.example"))
    result = seen([(True, hello)], dport=322)
    assert {APPS[app] for app in result.apps()} == {"rtsps"}
    assert [found.sni for found in result.of(TlsClientHello)] == ["dock.cameras.example"]
    assert not result.of(NotTls)


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(60, 700))
def test_shuffled_and_repeated_segments_give_the_same_name(chance: random.Random, cut: int):
    talk = Conversation()
    talk.say(True, records(hello_record(fill=1500)), cut)
    segments = talk.frames + chance.sample(talk.frames, k=len(talk.frames) // 2)
    # any order that lets the first segment be among the first two of the flow, as networks do
    later = segments[1:]
    chance.shuffle(later)
    segments = (
        [later[0], segments[0], *later[1:]] if chance.random() < 0.5 else [segments[0], *later]
    )
    result = run_frames(segments)
    assert [hello.sni for hello in result.of(TlsClientHello)] == [NAME]


def test_hello_beyond_the_limit_is_counted_and_left():
    message = b"\x01" + (17_000).to_bytes(3, "big") + bytes(17_000)
    result = run_frames(converse([(True, records(message))]).frames)
    assert result.of(TlsClientHello) == []
    assert result.lane.collected.malformed == 1
    assert result.lanes[(1, True)] == LANE_BULK


def test_hello_whose_end_was_not_captured_still_gives_its_name():
    frame = converse([(True, records(hello_record(fill=600)))]).frames[-1]
    result = run_frames([frame[:260]], wire_lengths=[len(frame)])
    end(result)
    assert [hello.sni for hello in result.of(TlsClientHello)] == [NAME]


def test_names_are_lower_case_without_dot_and_addresses_are_no_names():
    for raw, name in (
        (b"LOGS.US-East-1.amazonaws.com.", NAME),
        (b"10.20.0.1", None),
        (b"2001:db8::1", None),
        (b"1.2.3.4.example", "1.2.3.4.example"),
        (b"\x1b]0;x\x07[red].example", r"\x1b]0;x\x07[red].example"),
    ):
        result = seen([(True, records(hello_record(name=raw)))])
        assert [hello.sni for hello in result.of(TlsClientHello)] == [name]


def test_grease_is_left_out_and_ech_alone_hides_nothing():
    alpn = struct.pack("!HHH", 16, 8, 6) + b"\x02\x2a\x2a\x02h2"
    versions = struct.pack("!HHB", 43, 7, 6) + bytes.fromhex("7a7a03040303")
    ech = struct.pack("!HH", 0xFE0D, 4) + bytes(4)
    result = seen([(True, records(hello_record(alpn + versions + ech)))])
    (hello,) = result.of(TlsClientHello)
    assert (hello.alpn, hello.version) == (("h2",), "1.3")
    assert (hello.sni, hello.ech, hello.ech_outer) == (NAME, True, False)
    result = seen([(True, records(hello_record(ech, name=b"cloudflare-ech.com")))])
    assert result.of(TlsClientHello)[0].ech_outer


def test_tls_is_recognised_on_any_port():
    result = seen(handshake(V13), dport=9999)
    assert result.of(TlsClientHello)[0].sni == NAME


def test_tls_inside_a_proxy_tunnel_is_read():
    turns = [
        (True, b"CONNECT logs.us-east-1.amazonaws.com:443 HTTP/1.1\r\nHost: proxy\r\n\r\n"),
        (False, b"HTTP/1.1 200 Connection established\r\n\r\n"),
        *handshake(V12),
    ]
    result = seen(turns, dport=3128)
    ask, answer = result.of(HttpMessage)
    assert (ask.method, ask.host, answer.status) == ("CONNECT", f"{NAME}:443", 200)
    assert result.of(TlsClientHello)[0].sni == NAME
    assert len(result.of(TlsFinished)) == 1
    assert {APPS[app] for app in result.apps()} == {"http-connect"}


def test_refused_tunnel_is_no_tunnel():
    turns = [
        (True, b"CONNECT logs.us-east-1.amazonaws.com:443 HTTP/1.1\r\n\r\n"),
        (False, b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
    ]
    assert [m.status for m in seen(turns, dport=3128).of(HttpMessage)] == [None, 407]


def test_mail_that_changes_to_tls_is_followed():
    turns = [
        (False, b"220 mail.example ESMTP\r\n"),
        (True, b"EHLO appliance\r\n"),
        (False, b"250 STARTTLS\r\n"),
        (True, b"STARTTLS\r\n"),
        (False, b"220 go\r\n"),
        *handshake(V12),
    ]
    result = seen(turns, dport=587)
    assert result.of(BannerMessage)[0].app == "smtp"
    assert result.of(TlsClientHello)[0].sni == NAME


@pytest.mark.parametrize(
    ("said", "looks_like"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh"),
        (b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd", "mqtt"),
    ],
)
def test_something_else_on_a_tls_port_is_told(said, looks_like):
    result = seen([(True, said)])
    assert [m.looks_like for m in result.of(NotTls)] == [looks_like]


def test_unknown_bytes_on_a_tls_port_are_told_only_when_the_start_was_seen():
    said = [(True, b"\x99\x88" * 40), (False, b"\x77" * 40), (True, b"\x99" * 40)]
    assert [m.looks_like for m in seen(said).of(NotTls)] == ["other"]
    middle = converse(said).frames[1:]  # without the SYN
    result = run_frames(middle)
    assert result.of(NotTls) == []
    assert result.apps() == {0}


def test_middle_of_a_tls_connection_is_tls_and_works():
    data = b"\x17\x03\x03\x00\x20" + bytes(32)
    result = run_frames(converse([(True, data), (False, data), (True, data)]).frames[1:])
    assert {APPS[app] for app in result.apps()} == {"tls"}
    assert len(result.of(TlsFinished)) == 1
    assert result.of(NotTls) == []


def test_stalled_server_flight_keeps_the_lane_open_and_is_not_finished():
    turns = handshake(V12)
    half = [turns[0], (False, turns[1][1][:400])]
    result = run_frames(converse(half).frames)
    assert result.of(TlsFinished) == []
    assert result.lanes[(1, False)] == LANE_HANDSHAKE


def test_direction_that_never_answers_is_left_after_64_kb():
    data = records(hello_record()) + b"".join(
        b"\x17\x03\x03\x40\x00" + bytes(16_384) for _ in range(6)
    )
    result = run_frames(converse([(True, data)]).frames)
    assert result.lanes[(1, True)] == LANE_BULK


def test_hole_in_the_capture_does_not_hide_that_data_flows():
    talk = converse(handshake(V13)[:1])
    talk.sequence[False] += 4000  # the server's flight was missed
    for _ in range(10):
        for from_client in (True, False):
            talk.say(from_client, b"\x17\x03\x03\x20\x00" + bytes(8192))
    result = run_frames(talk.frames)
    end(result)
    assert result.of(TlsClientHello)[0].sni == NAME
    assert len(result.of(TlsFinished)) == 1


def snapped_to(frames: list[bytes], size: int, only_data: bool) -> Run:
    """As live capture keeps them: all, or just segments that start with data, cut to `size`."""
    kept = []
    for frame in frames:
        cut = not only_data or frame[54:56] == b"\x17\x03"
        kept.append(frame[:size] if cut else frame)
    result = run_frames(kept, wire_lengths=[len(frame) for frame in frames])
    end(result)
    return result


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("cut", [1400, 500])
def test_data_that_live_capture_cuts_does_not_hide_that_it_flows(version, cut):
    turns = handshake(version)
    data = b"\x17\x03\x03\x08\x00" + bytes(2048)
    frames = converse([*turns, (True, data), (False, data)], cut).frames
    result = snapped_to(frames, 160, only_data=True)
    assert result.of(TlsClientHello)[0].sni == NAME
    assert len(result.of(TlsServerHello)) == 1
    assert len(result.of(TlsFinished)) == 1
    assert result.of(TlsAlert) == []
    assert result.lane.collected.malformed == 0


@pytest.mark.parametrize("size", [96, 128, 260])
@pytest.mark.parametrize("version", [V12, V13])
def test_capture_of_short_packets_still_tells_tls_and_that_it_works(version, size):
    data = b"\x17\x03\x03\x02\x00" + bytes(512)
    turns = [*handshake(version), (True, data), (False, data), (True, data), (False, data)]
    result = snapped_to(converse(turns).frames, size, only_data=False)
    assert {m.sni for m in result.of(TlsClientHello)} <= {NAME}  # a cut name is never told
    assert len(result.of(TlsFinished)) == 1
    assert result.lane.collected.malformed == 0
    assert {APPS[app] for app in result.apps()} == {"tls"}


def test_web_pages_that_are_cut_keep_their_heads():
    frames = converse(
        [
            (True, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (False, b"HTTP/1.1 200 OK\r\nServer: s\r\n\r\n" + bytes(3000)),
            (True, b"GET /2 HTTP/1.1\r\nHost: b\r\n\r\n"),
        ],
        dport=80,
    ).frames
    result = snapped_to(frames, 120, only_data=False)
    assert [m.host for m in result.of(HttpMessage) if m.method] == ["a", "b"]
    assert result.lane.collected.malformed == 0


def test_certificate_that_waits_is_told_at_the_end_and_its_bytes_are_given_back():
    turns = handshake(V12)
    # up to and with the Certificate message, without what follows it
    flight = turns[1][1]
    at = 5 + int.from_bytes(flight[3:5], "big")
    at += 5 + int.from_bytes(flight[at + 3 : at + 5], "big")
    result = run_frames(converse([turns[0], (False, flight[:at])]).frames)
    assert result.of(TlsCertificate) == []
    assert result.lane.openings.talk_bytes > 0
    end(result)
    assert [m.subject for m in result.of(TlsCertificate)] == [NAME]
    assert result.lane.openings.talk_bytes == 0
