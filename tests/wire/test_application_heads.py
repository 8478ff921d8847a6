"""HTTP heads, MQTT packets, greetings and discovery, as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.model import MqttMessage
from panotui.wire import banner, discovery, http, mqtt
from panotui.wire.origin import Malformed
from tests.captures import capture
from tests.meter.through_lane import run
from tests.wire.seen_at import HERE


def request(data: bytes):
    return http.parse(data, HERE, True).message


def test_host_of_a_proxy_request_is_that_of_its_url():
    message = request(b"GET http://User:pw@Cam.example:8080/x?y HTTP/1.1\r\nHost: proxy\r\n\r\n")
    assert (message.host, message.path, message.credentials) == ("cam.example:8080", "/x", True)


def test_basic_credentials_are_noted_and_others_are_not():
    for value, noted in ((b"Basic eA==", True), (b"basic eA==", True), (b"Digest x", False)):
        message = request(b"GET / HTTP/1.1\r\nAUTHORIZATION: " + value + b"\r\n\r\n")
        assert message.credentials is noted
        assert "eA" not in str(message)


def test_redirect_keeps_no_user_and_no_query():
    head = http.parse(
        b"HTTP/1.1 302 Found\nLocation: http://u:p@h.example/a?t=1\n\nrest", HERE, False
    )
    assert (head.message.status, head.message.location) == (302, "http://h.example/a")
    assert head.size == len(b"HTTP/1.1 302 Found\nLocation: http://u:p@h.example/a?t=1\n\n")


def test_tunnel_cookie_is_noticed():
    assert http.parse(b"GET /a HTTP/1.0\r\nX-SessionCookie: 1\r\n\r\n", HERE, True).tunnel_cookie


@pytest.mark.parametrize(
    "data", [b"", b"GET\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"get / HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_head_is_malformed(data):
    with pytest.raises(Malformed):
        http.parse(data, HERE, True)


def test_hostile_fields_are_printable():
    message = request(b"GET / HTTP/1.1\r\nHost: \x1b]0;x\x07\r\nUser-Agent: [red]\x9b\r\n\r\n")
    assert message.host == r"\x1b]0;x\x07"
    assert message.user_agent == r"[red]\x9b"


@given(st.integers(0, 268_435_455))
def test_mqtt_lengths_are_read_as_they_are_written(value):
    data = bytearray(b"\x30")
    rest = value
    while True:
        data.append(rest & 0x7F | (0x80 if rest > 0x7F else 0))
        rest >>= 7
        if not rest:
            break
    assert mqtt.packet_size(bytes(data)) == value + len(data)


def test_mqtt_5_properties_are_passed_over():
    body = b"\x00\x04MQTT\x05\x00\x04\xb0\x05\x11\x00\x00\x00\x0a\x00\x03dev"
    message = mqtt.parse(b"\x10" + bytes((len(body),)) + body, HERE, True)
    assert message is not None
    assert (message.client_id, message.keep_alive_s, message.username) == ("dev", 1200, False)


@pytest.mark.parametrize(
    "data", [b"\x10", b"\x10\xff\xff\xff\xff\x01", b"\x10\x05\x00\x04MQT", b"\x20\x01\x00"]
)
def test_broken_mqtt_is_malformed(data):
    with pytest.raises(Malformed):
        mqtt.parse(data, HERE, True)


@pytest.mark.parametrize(
    "name",
    [
        "crafted/mqtt-vlan.pcap",
        "open/sv__mqtt-midstream-split_mqtt-midstream-split.pcap",
        "open/sv__mqtt311-pub-qos1.pcap",
        "open/zeek__mqtt.pcap",
    ],
)
def test_real_mqtt_connections_are_told(name):
    result = run(capture(name))
    kinds = {m.type for m in result.of(MqttMessage)}
    assert kinds == set() if "midstream" in name else {"connect", "connack"} <= kinds
    assert result.lane.collected.malformed == 0


@pytest.mark.parametrize(
    ("data", "port", "from_client", "app"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 1, True, "tls"),
        (b"\x15\x03\x03\x00\x02\x02\x28", 1, False, "tls"),
        (b"\x16\x03\x09\x02\x00\x01\x00", 1, True, None),
        (b"\x80\x2e\x01\x03\x01\x00\x15\0\0\0\x10", 443, True, "tls"),
        (b"GET / HTTP/1.1\r\n", 1, True, "http"),
        (b"OPTIONS * HTTP/1.1\r\n", 1, True, "http"),
        (b"OPTIONS * RTSP/1.0\r\n", 1, True, "rtsp"),
        (b"DESCRIBE rtsp://a", 1, True, "rtsp"),
        (b"RTSP/1.0 200 OK", 1, False, "rtsp"),
        (b"\x24\x00\x00\x10\x80\x60" + bytes(14), 1, False, "rtsp"),
        (b"\x24\x00\x00\x10\x00\x60" + bytes(14), 1, False, None),
        (b"220 hello\r\n", 21, False, "ftp"),
        (b"220 hello\r\n", 25, False, "smtp"),
        (b"220 hello\r\n", 9999, False, None),
        (b"\xff\xfb\x01\xff\xfb\x03", 23, False, "telnet"),
        (b"\xff\xd8\xff\xe0", 80, False, None),
        (b"\x03\0\0\x16\x11\xe0" + bytes(16), 102, True, None),  # S7 over the same transport
        (b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0", 9999, True, "rdp"),
        (b"USER root\r\n", 21, True, "ftp"),
        (b"USER root\r\n", 110, True, None),
        (b"GE", 1, True, banner.UNDECIDED),
        (b"\x16\x03", 1, True, banner.UNDECIDED),
        (b"GET / HT", 1, True, banner.UNDECIDED),
        (b"\x99\x00\x01", 1, True, None),
    ],
)
def test_first_bytes_tell_the_protocol(data, port, from_client, app):
    assert banner.recognise(data, port, from_client) == app


def test_onvif_camera_tells_its_name_and_hardware():
    body = (
        b"<s:Envelope><d:ProbeMatches><d:ProbeMatch><d:Scopes>"
        b"onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Yard%20Cam "
        b"onvif://www.onvif.org/hardware/P1448%1b[2J</d:Scopes>"
        b"<d:XAddrs>http://10.20.0.11/onvif/device_service http://[fe80::1]/</d:XAddrs>"
    )
    message = discovery.parse_ws_discovery(body, HERE, "10.20.0.11")
    assert message is not None
    assert (message.protocol, message.name, message.onvif) == ("ws-discovery", "Yard Cam", True)
    assert message.model == r"P1448\x1b[2J"
    assert message.location == "http://10.20.0.11/onvif/device_service"


def test_questions_say_nothing_of_a_host():
    assert discovery.parse_ws_discovery(b"<d:Probe></d:Probe>", HERE, "a") is None
    assert discovery.parse_ssdp(b"M-SEARCH * HTTP/1.1\r\nMX: 1\r\n\r\n", HERE, "a") is None


def test_ssdp_notice_tells_server_and_location():
    message = discovery.parse_ssdp(
        b"NOTIFY * HTTP/1.1\r\nServer: Linux UPnP/1.0 IPCam/2\x1b\r\nLOCATION: http://10.0.0.9/d.xml\r\n",
        HERE,
        "10.0.0.9",
    )
    assert message is not None
    assert (message.model, message.location) == (
        r"Linux UPnP/1.0 IPCam/2\x1b",
        "http://10.0.0.9/d.xml",
    )


def test_netbios_registration_tells_the_name():
    encoded = bytes(
        part for byte in b"CAMERA-SERVER  \x00" for part in ((byte >> 4) + 0x41, (byte & 15) + 0x41)
    )
    data = b"\0\1\x29\x10\0\1\0\0\0\0\0\1\x20" + encoded + b"\0\0\x20\0\1"
    message = discovery.parse_netbios(data, HERE, "10.0.0.9")
    assert message is not None
    assert (message.protocol, message.name) == ("nbns", "CAMERA-SERVER")
    query = b"\0\1\x01\x10" + data[4:]
    assert discovery.parse_netbios(query, HERE, "10.0.0.9") is None
